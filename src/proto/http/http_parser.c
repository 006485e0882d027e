#include "proto/http/http_parser.h"

#include <errno.h>

#include "base/err.h"
#include "base/text.h"

#define BLANK_LINES_MAX 2 /* before a request line, RFC 9112 §2.2 */
#define FIELDS_FIRST 16

static struct http_parser *parser_of(llhttp_t *ll)
{
	return ll->data;
}

static int on_url(llhttp_t *ll, const char *at, size_t len)
{
	parser_of(ll)->target = span_of(at, len);
	return 0;
}

static int grow_fields(struct http_parser *p)
{
	size_t cap = p->field_cap ? FL_MIN(p->field_cap * 2, (size_t)HTTP_FIELDS_MAX)
				  : FIELDS_FIRST;
	struct http_header *more;

	if (p->field_count == HTTP_FIELDS_MAX) {
		http_parser_fail(p, 431, FL_EQUOTA, "too many header fields");
		return -1;
	}
	more = realloc(p->fields, cap * sizeof(*more));
	if (!more) {
		http_parser_fail(p, 503, -ENOMEM, "no memory");
		return -1;
	}
	p->fields = more;
	p->field_cap = cap;
	return 0;
}

static int on_header_field(llhttp_t *ll, const char *at, size_t len)
{
	struct http_parser *p = parser_of(ll);

	if (p->trailers)
		return 0;
	if (p->field_count == p->field_cap && grow_fields(p) < 0)
		return -1;
	p->fields[p->field_count++] = (struct http_header){ span_of(at, len), { NULL, 0 } };
	return 0;
}

static int on_header_value(llhttp_t *ll, const char *at, size_t len)
{
	struct http_parser *p = parser_of(ll);

	if (!p->trailers && p->field_count > 0)
		p->fields[p->field_count - 1].value = span_of(at, len);
	return 0;
}

/* 1: no body follows, whatever the fields say. */
static int on_headers_complete(llhttp_t *ll)
{
	struct http_parser *p = parser_of(ll);

	p->trailers = true;
	return p->skip_body ? 1 : 0;
}

static int on_body(llhttp_t *ll, const char *at, size_t len)
{
	struct http_parser *p = parser_of(ll);
	int r = buf_append(&p->body, at, len);

	if (r == 0)
		return 0;
	if (r == FL_EQUOTA)
		http_parser_fail(p, 413, FL_EQUOTA, "body too large");
	else
		http_parser_fail(p, 503, r, "no memory");
	return -1;
}

/* Stops llhttp at the end of the message, so that what follows stays in the input. */
static int on_message_complete(llhttp_t *ll)
{
	parser_of(ll)->complete = true;
	return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
	.on_url = on_url,
	.on_header_field = on_header_field,
	.on_header_value = on_header_value,
	.on_headers_complete = on_headers_complete,
	.on_body = on_body,
	.on_message_complete = on_message_complete,
};

void http_parser_init(struct http_parser *p, bool response, size_t head_max, size_t body_max)
{
	*p = (struct http_parser){ .response = response,
				   .head_max = head_max,
				   .body_max = body_max };
}

void http_parser_finish(struct http_parser *p)
{
	free(p->head);
	free(p->fields);
	buf_finish(&p->body);
	p->head = NULL;
	p->fields = NULL;
}

void http_parser_reset(struct http_parser *p)
{
	bool skip_body = p->skip_body;

	http_parser_finish(p);
	http_parser_init(p, p->response, p->head_max, p->body_max);
	p->skip_body = skip_body;
}

enum http_parse http_parser_fail(struct http_parser *p, unsigned status, int err,
				 const char *reason)
{
	p->status = status;
	p->err = err;
	p->reason = reason;
	return HTTP_PARSE_FAILED;
}

struct http_headers http_parser_headers(const struct http_parser *p)
{
	return (struct http_headers){ p->fields, p->field_count };
}

/* The start line has exactly two separating spaces in a request, at least one in a response. */
static bool start_line_plausible(const struct http_parser *p, struct span line)
{
	unsigned spaces = 0;

	for (size_t i = 0; i < line.len; i++) {
		if (line.ptr[i] == '\t')
			return false;
		if (line.ptr[i] == ' ')
			spaces++;
	}
	return p->response ? spaces >= 1 : spaces == 2 && line.ptr[0] != ' ';
}

static bool field_name_valid(struct span line)
{
	const uint8_t *colon = memchr(line.ptr, ':', line.len);

	return colon && http_is_token(span_of(line.ptr, (size_t)(colon - line.ptr)));
}

/* A line without its CRLF. NULL, or what is wrong with it. */
static const char *line_fault(const struct http_parser *p, struct span line)
{
	if (p->line > 0 && (line.ptr[0] == ' ' || line.ptr[0] == '\t'))
		return "obs-fold"; /* RFC 9112 §5.2 */
	for (size_t i = 0; i < line.len; i++)
		if ((line.ptr[i] < 0x20 && line.ptr[i] != '\t') || line.ptr[i] == 0x7f)
			return line.ptr[i] == '\r' ? "bare carriage return" : "control character";
	if (p->line == 0 && !start_line_plausible(p, line))
		return "malformed start line";
	if (p->line > 0 && !field_name_valid(line))
		return "malformed field name"; /* llhttp takes an empty one */
	return NULL;
}

static enum http_parse head_incomplete(struct http_parser *p, size_t have)
{
	if (p->line == 0 && !p->response && have > HTTP_TARGET_MAX + 64)
		return http_parser_fail(p, 414, FL_EQUOTA, "request line too long");
	if (have >= p->head_max)
		return http_parser_fail(p, 431, FL_EQUOTA, "head too large");
	return HTTP_PARSE_MORE;
}

/* Looks at whole lines only, each once. OK: the first *len bytes of in are a head. */
static enum http_parse scan_head(struct http_parser *p, struct buf *in, size_t *len)
{
	for (;;) {
		struct span all = buf_span(in), line;
		const uint8_t *nl = all.ptr && all.len > p->scanned
					    ? memchr(all.ptr + p->scanned, '\n',
						     all.len - p->scanned)
					    : NULL;
		const char *fault;
		size_t end;

		if (!nl) {
			p->scanned = all.len;
			return head_incomplete(p, all.len);
		}
		end = (size_t)(nl - all.ptr);
		if (end == p->line_start || all.ptr[end - 1] != '\r')
			return http_parser_fail(p, 400, FL_EMALFORMED, "bare line feed");
		line = span_of(all.ptr + p->line_start, end - 1 - p->line_start);
		if (line.len == 0 && p->line == 0) {
			if (p->response || ++p->blank_lines > BLANK_LINES_MAX)
				return http_parser_fail(p, 400, FL_EMALFORMED, "blank lines");
			buf_consume(in, 2);
			p->scanned = 0;
			continue;
		}
		if (end + 1 > p->head_max)
			return http_parser_fail(p, 431, FL_EQUOTA, "head too large");
		if (line.len == 0) {
			*len = end + 1;
			return HTTP_PARSE_OK;
		}
		fault = line_fault(p, line);
		if (fault)
			return http_parser_fail(p, 400, FL_EMALFORMED, fault);
		if (p->line == 0 && !p->response && line.len > HTTP_TARGET_MAX + 64)
			return http_parser_fail(p, 414, FL_EQUOTA, "request line too long");
		p->line++;
		p->line_start = p->scanned = end + 1;
	}
}

/* llhttp says what kind of fault; only the method is told apart, because its answer is another. */
static enum http_parse parse_fault(struct http_parser *p, llhttp_errno_t e)
{
	if (p->status) /* a callback of ours stopped it */
		return HTTP_PARSE_FAILED;
	if (e == HPE_INVALID_METHOD || e == HPE_PAUSED_H2_UPGRADE)
		return http_parser_fail(p, 501, FL_EMALFORMED, "unknown method");
	if (e == HPE_INVALID_VERSION)
		return http_parser_fail(p, 505, FL_EMALFORMED, "unknown version");
	return http_parser_fail(p, 400, FL_EMALFORMED, llhttp_errno_name(e));
}

static void lower_case(struct span s)
{
	uint8_t *c = (uint8_t *)(uintptr_t)s.ptr; /* points into p->head, which is ours */

	for (size_t i = 0; i < s.len; i++)
		if (c[i] >= 'A' && c[i] <= 'Z')
			c[i] = (uint8_t)(c[i] + 32);
}

static unsigned count_field(const struct http_parser *p, const char *name)
{
	unsigned n = 0;

	for (size_t i = 0; i < p->field_count; i++)
		n += span_is(p->fields[i].name, name);
	return n;
}

static bool all_digits(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.ptr[i] < '0' || s.ptr[i] > '9')
			return false;
	return s.len > 0 && s.len <= 18;
}

/*
 * How long is the message? Two answers to that are what request smuggling lives on (RFC 9112 §6.3,
 * §11.2), so anything but one plain Content-Length or one plain "chunked" is refused here too, and
 * does not depend on what llhttp's version makes of it.
 */
static enum http_parse check_framing(struct http_parser *p)
{
	struct http_headers h = http_parser_headers(p);
	unsigned lengths = count_field(p, "content-length");
	unsigned codings = count_field(p, "transfer-encoding");

	if (lengths && codings)
		return http_parser_fail(p, 400, FL_EMALFORMED,
					"both content-length and transfer-encoding");
	if (lengths > 1 || (lengths && !all_digits(http_headers_get(&h, "content-length"))))
		return http_parser_fail(p, 400, FL_EMALFORMED, "content-length");
	if (codings && (p->ll.http_major != 1 || p->ll.http_minor != 1))
		return http_parser_fail(p, 400, FL_EMALFORMED, "transfer-encoding in HTTP/1.0");
	if (codings > 1 || (codings && !text_equal_nocase(http_headers_get(&h, "transfer-encoding"),
							  span_str("chunked"))))
		return http_parser_fail(p, 501, FL_EUNSUPPORTED, "transfer-encoding");
	if (p->ll.http_major != 1 || p->ll.http_minor > 1)
		return http_parser_fail(p, 505, FL_EMALFORMED, "unknown version");
	return HTTP_PARSE_OK;
}

static enum http_parse parse_head(struct http_parser *p)
{
	llhttp_errno_t e;

	llhttp_init(&p->ll, p->response ? HTTP_RESPONSE : HTTP_REQUEST, &settings);
	p->ll.data = p;
	e = llhttp_execute(&p->ll, (const char *)p->head, p->head_len);
	if (e != HPE_OK && !(p->complete && (e == HPE_PAUSED || e == HPE_PAUSED_UPGRADE)))
		return parse_fault(p, e);
	if (!p->trailers) /* cannot happen: the scan saw the empty line */
		return http_parser_fail(p, 400, FL_EMALFORMED, "incomplete head");
	for (size_t i = 0; i < p->field_count; i++) {
		lower_case(p->fields[i].name);
		p->fields[i].value = http_trimmed(p->fields[i].value);
	}
	return check_framing(p);
}

enum http_parse http_parser_head(struct http_parser *p, struct buf *in)
{
	size_t len = 0;
	enum http_parse r = scan_head(p, in, &len);
	struct span all;

	if (r != HTTP_PARSE_OK)
		return r;
	p->head = malloc(len);
	if (!p->head)
		return http_parser_fail(p, 503, -ENOMEM, "no memory");
	all = buf_span(in);
	if (all.ptr)
		memcpy(p->head, all.ptr, len);
	p->head_len = len;
	buf_consume(in, len);
	p->body.max = p->body_max;
	return parse_head(p);
}

bool http_parser_has_body(const struct http_parser *p)
{
	return !p->complete;
}

enum http_parse http_parser_body(struct http_parser *p, struct buf *in)
{
	struct span s = buf_span(in);
	size_t before = p->body.len, used = s.len;
	llhttp_errno_t e;

	if (p->complete)
		return HTTP_PARSE_OK;
	if (s.len == 0)
		return HTTP_PARSE_MORE;
	p->body.max = p->body_max;
	e = llhttp_execute(&p->ll, (const char *)s.ptr, s.len);
	if (e != HPE_OK) {
		if (!p->complete)
			return parse_fault(p, e);
		used = (size_t)(llhttp_get_error_pos(&p->ll) - (const char *)s.ptr);
	}
	buf_consume(in, used);
	p->framing += used - (p->body.len - before);
	if (p->framing > p->head_max + 8 * p->body.len) /* endless extensions or trailers */
		return http_parser_fail(p, 431, FL_EQUOTA, "chunk framing too large");
	return p->complete ? HTTP_PARSE_OK : HTTP_PARSE_MORE;
}
