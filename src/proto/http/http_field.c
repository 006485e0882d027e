/* Header fields: looking them up, and writing them without letting a value start a new line. */
#include "base/err.h"
#include "base/text.h"
#include "proto/http/http_parser.h"

struct span http_headers_get(const struct http_headers *headers, const char *name)
{
	for (size_t i = 0; i < headers->count; i++)
		if (span_is(headers->fields[i].name, name))
			return headers->fields[i].value;
	return span_of(NULL, 0);
}

static bool is_space(uint8_t c)
{
	return c == ' ' || c == '\t';
}

static bool list_has(struct span list, struct span token)
{
	size_t i = 0;

	while (i < list.len) {
		size_t begin, end;

		while (i < list.len && (is_space(list.ptr[i]) || list.ptr[i] == ','))
			i++;
		begin = i;
		while (i < list.len && list.ptr[i] != ',')
			i++;
		end = i;
		while (end > begin && is_space(list.ptr[end - 1]))
			end--;
		if (end > begin && text_equal_nocase(span_of(list.ptr + begin, end - begin), token))
			return true;
	}
	return false;
}

bool http_headers_has_token(const struct http_headers *headers, const char *name, const char *token)
{
	for (size_t i = 0; i < headers->count; i++)
		if (span_is(headers->fields[i].name, name) &&
		    list_has(headers->fields[i].value, span_str(token)))
			return true;
	return false;
}

bool http_is_token(struct span s)
{
	static const char others[] = "!#$%&'*+-.^_`|~";

	for (size_t i = 0; i < s.len; i++) {
		char c = (char)s.ptr[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		      (c && strchr(others, c))))
			return false;
	}
	return s.len > 0;
}

static bool is_value(const char *s)
{
	for (; *s; s++)
		if (((uint8_t)*s < 0x20 && *s != '\t') || *s == 0x7f)
			return false;
	return true;
}

static bool is_reserved(const char *name, bool no_host)
{
	static const char *const names[] = { "content-length", "transfer-encoding", "connection",
					     "date" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (text_equal_nocase(span_str(name), span_str(names[i])))
			return true;
	return no_host && text_equal_nocase(span_str(name), span_str("host"));
}

int http_put_fields(struct buf *out, const struct http_field *fields, size_t count, bool no_host)
{
	for (size_t i = 0; i < count; i++) {
		int r;

		if (!http_is_token(span_str(fields[i].name)) || !is_value(fields[i].value) ||
		    is_reserved(fields[i].name, no_host))
			return FL_EMALFORMED;
		r = buf_printf(out, "%s: %s\r\n", fields[i].name, fields[i].value);
		if (r < 0)
			return r;
	}
	return 0;
}
