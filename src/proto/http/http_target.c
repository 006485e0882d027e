/* The request target, taken apart so that the path can be used for a look-up as it is. */
#include "base/err.h"
#include "base/text.h"
#include "proto/http/http_parser.h"

static struct span after(struct span s, size_t n)
{
	return span_of(s.ptr + n, s.len - n);
}

static size_t find(struct span s, uint8_t c)
{
	const uint8_t *at = s.len ? memchr(s.ptr, c, s.len) : NULL;

	return at ? (size_t)(at - s.ptr) : s.len;
}

bool http_host_valid(struct span host)
{
	static const char allowed[] = "-._~:[]%!$&'()*+,;=";

	for (size_t i = 0; i < host.len; i++) {
		char c = (char)host.ptr[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		      (c && strchr(allowed, c))))
			return false;
	}
	return true;
}

static bool has_prefix(struct span s, const char *prefix)
{
	size_t n = strlen(prefix);

	return s.len >= n && text_equal_nocase(span_of(s.ptr, n), span_str(prefix));
}

/* No empty, "." or ".." segment between the slashes. */
static bool segments_safe(const char *path)
{
	while (*path == '/') {
		const char *segment = path + 1;
		size_t n = strcspn(segment, "/");

		if ((n == 0 && segment[0]) || (n == 1 && segment[0] == '.') ||
		    (n == 2 && segment[0] == '.' && segment[1] == '.'))
			return false;
		path = segment + n;
	}
	return *path == 0;
}

static bool bytes_safe(const char *path)
{
	for (; *path; path++)
		if ((uint8_t)*path < 0x20 || *path == 0x7f || *path == '\\')
			return false;
	return true;
}

static bool has_encoded_slash(struct span raw)
{
	for (size_t i = 0; i + 2 < raw.len; i++)
		if (raw.ptr[i] == '%' && raw.ptr[i + 1] == '2' &&
		    (raw.ptr[i + 2] == 'f' || raw.ptr[i + 2] == 'F'))
			return true;
	return false;
}

static int parse_origin(struct span target, struct http_target *out)
{
	size_t end = find(target, '?');
	struct span raw = span_of(target.ptr, end);
	int n;

	out->query = end < target.len ? after(target, end + 1) : span_of(NULL, 0);
	if (raw.len == 0)
		raw = span_str("/"); /* "http://host" */
	n = http_percent_decode(raw, false, out->path, sizeof(out->path));
	if (n < 0)
		return n;
	if (has_encoded_slash(raw) || !bytes_safe(out->path) || !segments_safe(out->path) ||
	    !text_utf8_valid(span_of(out->path, (size_t)n)))
		return FL_EMALFORMED;
	return 0;
}

int http_target_parse(struct span target, struct http_target *out)
{
	size_t end;

	out->host = out->query = span_of(NULL, 0);
	if (find(target, '#') < target.len)
		return FL_EMALFORMED;
	if (target.len > HTTP_TARGET_MAX - 1)
		return FL_EQUOTA;
	if (span_is(target, "*")) {
		text_copy(out->path, sizeof(out->path), "*");
		return 0;
	}
	if (target.len && target.ptr[0] == '/')
		return parse_origin(target, out);
	if (has_prefix(target, "http://"))
		target = after(target, 7);
	else if (has_prefix(target, "https://"))
		target = after(target, 8);
	else
		return FL_EMALFORMED;
	end = FL_MIN(find(target, '/'), find(target, '?'));
	out->host = span_of(target.ptr, end);
	if (end == 0 || !http_host_valid(out->host))
		return FL_EMALFORMED;
	return parse_origin(after(target, end), out);
}
