/*
 * One HTTP/1.x message out of a byte stream; shared by the server and the client connection and
 * private to this folder. The head is collected whole, scanned by rules stricter than llhttp's,
 * then parsed in one go; the body is fed to llhttp as it arrives.
 */
#pragma once

#include <llhttp.h>

#include "proto/http/http.h"

enum http_parse {
	HTTP_PARSE_MORE, /* wants more input */
	HTTP_PARSE_OK,
	HTTP_PARSE_FAILED, /* see status, err and reason */
};

struct http_parser {
	llhttp_t ll;
	size_t head_max, body_max;
	bool response;
	bool skip_body; /* of a response to HEAD */

	/* of the message being parsed */
	size_t line_start, scanned; /* in the input, while the head is incomplete */
	unsigned line;		    /* number of the line at line_start; 0 is the start line */
	unsigned blank_lines;	    /* skipped before the start line */
	uint8_t *head;		    /* owned: the whole head, field names in lower case */
	size_t head_len;
	struct http_header *fields; /* owned, HTTP_FIELDS_MAX at most */
	size_t field_count, field_cap;
	struct span target;
	struct buf body;
	size_t framing; /* bytes spent on chunk sizes, extensions and trailers */
	bool trailers;
	bool complete;

	/* after HTTP_PARSE_FAILED */
	unsigned status; /* what a server answers: 400, 413, … */
	int err;	 /* FL_EMALFORMED, FL_EQUOTA, -ENOMEM */
	const char *reason;
};

void http_parser_init(struct http_parser *p, bool response, size_t head_max, size_t body_max);
void http_parser_finish(struct http_parser *p);

/* Forgets the message; the next may begin. */
void http_parser_reset(struct http_parser *p);

/* Consumes the head from in once it is there as a whole. */
enum http_parse http_parser_head(struct http_parser *p, struct buf *in);

/* Consumes body bytes from in; OK at the end of the message. */
enum http_parse http_parser_body(struct http_parser *p, struct buf *in);

/* Whether a body follows the head: a length above 0, chunks, or (response) until the end of stream.
 */
bool http_parser_has_body(const struct http_parser *p);

struct http_headers http_parser_headers(const struct http_parser *p);

enum http_parse http_parser_fail(struct http_parser *p, unsigned status, int err,
				 const char *reason);

/* ---- http_field.c ---- */

bool http_is_token(struct span s); /* RFC 9110 §5.6.2 */

/*
 * Appends "name: value CRLF" for each. FL_EMALFORMED for a name that is no token, a value with
 * control characters, or one of the names that the caller of this function writes itself
 * (content-length, transfer-encoding, connection, date, host when no_host).
 */
int http_put_fields(struct buf *out, const struct http_field *fields, size_t count,
		    bool no_host) FL_WARN_UNUSED;

/* ---- http_target.c ---- */

struct http_target {
	char path[HTTP_TARGET_MAX]; /* decoded and safe, see struct http_request */
	struct span query, host;    /* host: only of a target in absolute form */
};

/* RFC 9112 §3.2: origin form, absolute form, or "*". 0, FL_EMALFORMED, or FL_EQUOTA (too long). */
int http_target_parse(struct span target, struct http_target *out) FL_WARN_UNUSED;

/* Host as RFC 9112 §3.2 wants it: a name or address and perhaps a port, nothing else. */
bool http_host_valid(struct span host);

/* Without the spaces and tabs around it (OWS, RFC 9110, section 5.6.3). */
struct span http_trimmed(struct span s);
