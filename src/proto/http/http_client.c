#include <errno.h>

#include "base/err.h"
#include "base/text.h"
#include "proto/http/http_parser.h"

enum state {
	STATE_READY,	/* a request may be sent */
	STATE_HEAD,	/* waiting for the head of the answer */
	STATE_BODY,	/* … for its body */
	STATE_ANSWERED, /* HTTP_CLIENT_RESPONSE is yet to be told */
	STATE_FAILING,	/* HTTP_CLIENT_FAILED is yet to be told */
	STATE_UPGRADED,
	STATE_DEAD, /* the connection cannot be used again */
};

struct http_client {
	struct http_client_config config;
	enum state state;
	usec_t deadline;
	struct buf in, out;
	struct http_parser parser;
	struct http_response response;
	bool upgrade_wanted, close_wanted, pieces_wanted;
	bool told; /* what the parser's body holds was a piece */
	bool eof;
	int err;
	const char *reason;
};

struct http_client *http_client_create(const struct http_client_config *config)
{
	struct http_client *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->config = *config;
	c->config.head_max = config->head_max ? config->head_max : HTTP_HEAD_MAX;
	c->config.body_max = config->body_max ? config->body_max : HTTP_BODY_MAX;
	c->config.timeout_us = config->timeout_us ? config->timeout_us : 30 * USEC_PER_SEC;
	c->in = BUF_INIT(c->config.head_max + HTTP_PIPELINE_MAX);
	c->out = BUF_INIT(HTTP_OUT_MAX);
	c->deadline = USEC_NEVER;
	http_parser_init(&c->parser, true, c->config.head_max, c->config.body_max);
	return c;
}

void http_client_destroy(struct http_client *c)
{
	if (!c)
		return;
	http_parser_finish(&c->parser);
	buf_finish(&c->in);
	buf_finish(&c->out);
	free(c);
}

static void fail(struct http_client *c, int err, const char *reason)
{
	c->err = err;
	c->reason = reason;
	c->deadline = USEC_NEVER;
	c->state = STATE_FAILING;
}

/* ---- request ---- */

static bool is_upper_word(const char *s)
{
	size_t n = strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ");

	return n > 0 && s[n] == 0;
}

/* What we write into the request line and Host must not end them early. */
static bool is_line_part(const char *s)
{
	size_t n = 0;

	for (; s[n]; n++)
		if ((uint8_t)s[n] <= 0x20 || (uint8_t)s[n] >= 0x7f)
			return false;
	return n > 0 && n < HTTP_TARGET_MAX;
}

static bool sends_length(const struct http_client_request *r)
{
	return r->body.len > 0 || strcmp(r->method, "POST") == 0 || strcmp(r->method, "PUT") == 0 ||
	       strcmp(r->method, "PATCH") == 0;
}

static int put_request(struct buf *out, const struct http_client_request *q)
{
	int r;

	if (!is_upper_word(q->method) || !is_line_part(q->target) || !is_line_part(q->host) ||
	    !http_host_valid(span_str(q->host)))
		return FL_EMALFORMED;
	r = buf_printf(out, "%s %s HTTP/1.1\r\nhost: %s\r\n", q->method, q->target, q->host);
	if (r == 0)
		r = http_put_fields(out, q->fields, q->field_count, true);
	if (r == 0 && sends_length(q))
		r = buf_printf(out, "content-length: %zu\r\n", q->body.len);
	if (r == 0 && q->upgrade)
		r = buf_append_span(out, span_str("connection: Upgrade\r\n"));
	else if (r == 0 && q->close)
		r = buf_append_span(out, span_str("connection: close\r\n"));
	if (r == 0)
		r = buf_append_span(out, span_str("\r\n"));
	return r == 0 ? buf_append_span(out, q->body) : r;
}

int http_client_request(struct http_client *c, usec_t now,
			const struct http_client_request *request)
{
	size_t before = c->out.len;
	int r;

	if (c->state != STATE_READY || c->eof || c->in.len)
		return FL_ESTATE;
	r = put_request(&c->out, request);
	if (r < 0) {
		c->out.len = before;
		return r;
	}
	http_parser_reset(&c->parser);
	c->parser.skip_body = strcmp(request->method, "HEAD") == 0;
	c->upgrade_wanted = request->upgrade;
	c->close_wanted = request->close;
	c->pieces_wanted = request->pieces;
	c->deadline = usec_add(now, c->config.timeout_us);
	c->state = STATE_HEAD;
	return 0;
}

/* ---- answer ---- */

int http_client_input(struct http_client *c, usec_t now, struct span bytes)
{
	(void)now;
	if (c->state == STATE_FAILING || c->state == STATE_DEAD)
		return 0;
	return buf_append_span(&c->in, bytes);
}

/* A body that comes in pieces, each of which is dropped when the next is asked for. */
static bool in_pieces(const struct http_client *c)
{
	return c->pieces_wanted && c->state == STATE_BODY && c->parser.ll.status_code == 200;
}

static void drop_piece(struct http_client *c)
{
	if (!c->told)
		return;
	c->told = false;
	c->parser.framing = 0;
	buf_clear(&c->parser.body);
}

static void answered(struct http_client *c)
{
	struct http_parser *p = &c->parser;

	c->response = (struct http_response){
		.status = p->ll.status_code,
		.headers = http_parser_headers(p),
		.body = buf_span(&p->body),
		.upgraded = p->ll.status_code == 101,
		.keep_alive = p->ll.status_code != 101 && llhttp_should_keep_alive(&p->ll) &&
			      !c->close_wanted && !c->eof,
	};
	c->deadline = USEC_NEVER;
	c->state = STATE_ANSWERED;
}

static bool parse_head(struct http_client *c)
{
	struct http_parser *p = &c->parser;
	struct http_headers h;

	switch (http_parser_head(p, &c->in)) {
	case HTTP_PARSE_MORE:
		return false;
	case HTTP_PARSE_FAILED:
		fail(c, p->err, p->reason);
		return true;
	case HTTP_PARSE_OK:
		break;
	}
	h = http_parser_headers(p);
	if (p->ll.status_code == 101) {
		if (c->upgrade_wanted)
			answered(c);
		else
			fail(c, FL_EMALFORMED, "101 that nobody asked for");
	} else if (p->ll.status_code < 200) {
		http_parser_reset(p); /* interim: the answer proper follows */
	} else if (!http_parser_has_body(p)) {
		answered(c);
	} else if (http_headers_get(&h, "content-length").ptr &&
		   p->ll.content_length > p->body_max) {
		fail(c, FL_EQUOTA, "body too large");
	} else {
		c->state = STATE_BODY;
		if (in_pieces(c))
			c->deadline = USEC_NEVER;
	}
	return true;
}

/* The end of the stream may be the end of a body without length. */
static bool parse_eof(struct http_client *c)
{
	if (c->state == STATE_BODY && llhttp_message_needs_eof(&c->parser.ll)) {
		answered(c);
		return true;
	}
	fail(c, -ECONNRESET, "closed before the end of the answer");
	return true;
}

static bool parse_body(struct http_client *c)
{
	switch (http_parser_body(&c->parser, &c->in)) {
	case HTTP_PARSE_MORE:
		return false;
	case HTTP_PARSE_FAILED:
		fail(c, c->parser.err, c->parser.reason);
		return true;
	case HTTP_PARSE_OK:
		answered(c);
		return true;
	}
	return false;
}

void http_client_eof(struct http_client *c, usec_t now)
{
	(void)now;
	c->eof = true;
}

static bool tell_answer(struct http_client *c, struct http_client_event *event)
{
	if (c->response.upgraded)
		c->state = STATE_UPGRADED;
	else if (c->response.keep_alive)
		c->state = STATE_READY;
	else
		c->state = STATE_DEAD;
	*event = (struct http_client_event){ .type = HTTP_CLIENT_RESPONSE,
					     .response = &c->response };
	return true;
}

static bool tell_piece(struct http_client *c, struct http_client_event *event)
{
	struct http_parser *p = &c->parser;

	if (!in_pieces(c) || p->body.len == 0)
		return false;
	c->told = true;
	c->response = (struct http_response){ .status = p->ll.status_code,
					      .headers = http_parser_headers(p),
					      .body = buf_span(&p->body) };
	*event = (struct http_client_event){ .type = HTTP_CLIENT_PIECE, .response = &c->response };
	return true;
}

bool http_client_next_event(struct http_client *c, struct http_client_event *event)
{
	drop_piece(c);
	for (;;) {
		switch (c->state) {
		case STATE_READY:
			/* bytes that nobody asked for would be taken for the next answer */
			if (c->in.len)
				c->state = STATE_DEAD;
			return false;
		case STATE_UPGRADED:
		case STATE_DEAD:
			return false;
		case STATE_HEAD:
			if (!parse_head(c) && !(c->eof && parse_eof(c)))
				return false;
			break;
		case STATE_BODY:
			if (!parse_body(c) && tell_piece(c, event))
				return true;
			if (c->state == STATE_BODY && !(c->eof && parse_eof(c)))
				return false;
			break;
		case STATE_ANSWERED:
			return tell_answer(c, event);
		case STATE_FAILING:
			c->state = STATE_DEAD;
			*event = (struct http_client_event){ .type = HTTP_CLIENT_FAILED,
							     .err = c->err,
							     .reason = c->reason };
			return true;
		}
	}
}

usec_t http_client_deadline(const struct http_client *c)
{
	return c->deadline;
}

void http_client_timeout(struct http_client *c, usec_t now)
{
	if (now >= c->deadline)
		fail(c, -ETIMEDOUT, "no answer in time");
}

struct span http_client_output(const struct http_client *c)
{
	return buf_span(&c->out);
}

void http_client_sent(struct http_client *c, size_t len)
{
	buf_consume(&c->out, len);
	if (c->out.len == 0)
		buf_finish(&c->out);
}

struct span http_client_rest(const struct http_client *c)
{
	return c->state == STATE_UPGRADED ? buf_span(&c->in) : span_of(NULL, 0);
}
