#include <errno.h>

#include "base/err.h"
#include "base/text.h"
#include "proto/http/http_parser.h"

enum state {
	STATE_IDLE,	 /* nothing of a request has arrived */
	STATE_HEAD,	 /* part of a head has */
	STATE_ASKED,	 /* HTTP_SERVER_HEAD was given out */
	STATE_BODY,	 /* reading a body */
	STATE_REQUEST,	 /* HTTP_SERVER_REQUEST was given out */
	STATE_ANSWERING, /* between start and end */
	STATE_UPGRADED,
	STATE_CLOSING, /* HTTP_SERVER_CLOSE is yet to be told */
	STATE_CLOSED,
};

struct http_server {
	struct http_server_config config;
	enum state state;
	usec_t now, since; /* of the last input; when the state began */
	struct buf in, out;
	struct http_parser parser;
	struct http_target *target; /* while there is a request */
	struct http_request request;
	bool request_given; /* the event was told */
	bool first;	    /* no request has come yet */
	bool close_wanted;
	/* of the answer in pieces */
	bool chunked, no_body;
	uint64_t left;
	char date[HTTP_DATE_LEN];
	int64_t date_time;
	unsigned close_status;
	const char *close_reason;
};

static void set_state(struct http_server *s, enum state state)
{
	s->state = state;
	s->since = s->now;
}

struct http_server *http_server_create(const struct http_server_config *config, usec_t now)
{
	struct http_server *s = calloc(1, sizeof(*s));
	struct http_server_config *c;

	if (!s)
		return NULL;
	s->config = *config;
	c = &s->config;
	c->head_max = c->head_max ? c->head_max : HTTP_HEAD_MAX;
	c->body_max = c->body_max ? c->body_max : HTTP_BODY_MAX;
	c->pipeline_max = c->pipeline_max ? c->pipeline_max : HTTP_PIPELINE_MAX;
	c->out_max = c->out_max ? c->out_max : HTTP_OUT_MAX;
	c->head_timeout_us = c->head_timeout_us ? c->head_timeout_us : 10 * USEC_PER_SEC;
	c->body_timeout_us = c->body_timeout_us ? c->body_timeout_us : 30 * USEC_PER_SEC;
	c->idle_timeout_us = c->idle_timeout_us ? c->idle_timeout_us : 60 * USEC_PER_SEC;
	s->in = BUF_INIT(c->pipeline_max);
	s->out = BUF_INIT(c->out_max);
	s->now = now;
	s->first = true;
	http_parser_init(&s->parser, false, c->head_max, c->body_max);
	set_state(s, STATE_IDLE);
	return s;
}

void http_server_destroy(struct http_server *s)
{
	if (!s)
		return;
	http_parser_finish(&s->parser);
	free(s->target);
	buf_finish(&s->in);
	buf_finish(&s->out);
	free(s);
}

static void closing(struct http_server *s, unsigned status, const char *reason)
{
	s->close_status = status;
	s->close_reason = reason;
	buf_finish(&s->in);
	set_state(s, STATE_CLOSING);
}

/* The core's own answers have no body: who gets them sent something that is not HTTP. */
static void fail(struct http_server *s, unsigned status, const char *reason)
{
	/* no room or memory for the answer: closing says enough */
	(void)!buf_printf(&s->out,
			  "HTTP/1.1 %u %s\r\n%s%s%scontent-length: 0\r\n"
			  "connection: close\r\n\r\n",
			  status, http_status_text(status), s->date[0] ? "date: " : "", s->date,
			  s->date[0] ? "\r\n" : "");
	closing(s, status, reason);
}

int http_server_input(struct http_server *s, usec_t now, struct span bytes)
{
	s->now = now;
	if (s->state == STATE_CLOSING || s->state == STATE_CLOSED || bytes.len == 0)
		return 0;
	if (s->state == STATE_IDLE)
		set_state(s, STATE_HEAD);
	return buf_append_span(&s->in, bytes);
}

/* ---- from head to request ---- */

static const struct {
	uint8_t ll;
	enum http_method method;
} methods[] = {
	{ HTTP_GET, HTTP_METHOD_GET },	       { HTTP_HEAD, HTTP_METHOD_HEAD },
	{ HTTP_POST, HTTP_METHOD_POST },       { HTTP_PUT, HTTP_METHOD_PUT },
	{ HTTP_PATCH, HTTP_METHOD_PATCH },     { HTTP_DELETE, HTTP_METHOD_DELETE },
	{ HTTP_OPTIONS, HTTP_METHOD_OPTIONS },
};

static bool find_method(struct http_server *s)
{
	for (size_t i = 0; i < ARRAY_LEN(methods); i++)
		if (methods[i].ll == s->parser.ll.method) {
			s->request.method = methods[i].method;
			return true;
		}
	return false;
}

/* RFC 9112 §3.2: exactly one Host in HTTP/1.1. Returns what is wrong, or NULL. */
static const char *find_host(struct http_server *s)
{
	const struct http_headers *h = &s->request.headers;
	unsigned count = 0;

	for (size_t i = 0; i < h->count; i++)
		count += span_is(h->fields[i].name, "host");
	if (count > 1 || (count == 0 && s->parser.ll.http_minor == 1))
		return "host field missing or repeated";
	s->request.host = http_headers_get(h, "host");
	if (!http_host_valid(s->request.host))
		return "malformed host";
	if (s->target->host.len)
		s->request.host = s->target->host;
	return NULL;
}

static void refuse_target(struct http_server *s, int err)
{
	if (err == FL_EQUOTA)
		fail(s, 414, "target too long");
	else
		fail(s, 400, "unsafe target");
}

/* Fills s->request; false when it was refused. */
static bool make_request(struct http_server *s)
{
	const char *fault;
	int r;

	s->request = (struct http_request){ .target = s->parser.target,
					    .headers = http_parser_headers(&s->parser) };
	if (!find_method(s)) {
		fail(s, 501, "method not offered");
		return false;
	}
	s->target = malloc(sizeof(*s->target));
	if (!s->target) {
		fail(s, 503, "no memory");
		return false;
	}
	r = http_target_parse(s->parser.target, s->target);
	if (r == 0 && s->target->path[0] == '*' && s->request.method != HTTP_METHOD_OPTIONS)
		r = FL_EMALFORMED;
	if (r < 0) {
		refuse_target(s, r);
		return false;
	}
	fault = find_host(s);
	if (fault) {
		fail(s, 400, fault);
		return false;
	}
	s->request.path = s->target->path;
	s->request.query = s->target->query;
	s->request.upgrade = s->parser.ll.upgrade && s->parser.ll.http_minor == 1;
	s->request.keep_alive = llhttp_should_keep_alive(&s->parser.ll) && !s->close_wanted;
	return true;
}

static void begin_body(struct http_server *s)
{
	struct http_headers *h = &s->request.headers;
	struct span expect = http_headers_get(h, "expect");

	if (http_headers_get(h, "content-length").ptr &&
	    s->parser.ll.content_length > s->parser.body_max) {
		fail(s, 413, "body too large");
		return;
	}
	if (expect.ptr && !text_equal_nocase(expect, span_str("100-continue"))) {
		fail(s, 417, "unknown expectation");
		return;
	}
	if (expect.ptr && s->in.len == 0 && s->parser.ll.http_minor == 1 &&
	    buf_append_span(&s->out, span_str("HTTP/1.1 100 Continue\r\n\r\n")) < 0) {
		closing(s, 0, "output full");
		return;
	}
	set_state(s, STATE_BODY);
}

int http_server_read_body(struct http_server *s, usec_t now, size_t max)
{
	s->now = now;
	if (s->state != STATE_ASKED)
		return FL_ESTATE;
	s->parser.body_max = max;
	begin_body(s);
	return 0;
}

/* True when there is something new to do. */
static bool parse_head(struct http_server *s)
{
	enum http_parse r = http_parser_head(&s->parser, &s->in);

	if (r == HTTP_PARSE_MORE)
		return false;
	if (r == HTTP_PARSE_FAILED) {
		fail(s, s->parser.status, s->parser.reason);
		return true;
	}
	s->first = false;
	if (!make_request(s))
		return true;
	s->request_given = false;
	if (!http_parser_has_body(&s->parser))
		set_state(s, STATE_REQUEST);
	else if (s->config.ask_body)
		set_state(s, STATE_ASKED);
	else
		begin_body(s);
	return true;
}

static bool parse_body(struct http_server *s)
{
	switch (http_parser_body(&s->parser, &s->in)) {
	case HTTP_PARSE_MORE:
		return false;
	case HTTP_PARSE_FAILED:
		fail(s, s->parser.status, s->parser.reason);
		return true;
	case HTTP_PARSE_OK:
		s->request.body = buf_span(&s->parser.body);
		s->request_given = false;
		set_state(s, STATE_REQUEST);
		return true;
	}
	return false;
}

static bool tell(struct http_server *s, struct http_server_event *event,
		 enum http_server_event_type type)
{
	*event = (struct http_server_event){ .type = type };
	if (type == HTTP_SERVER_CLOSE) {
		event->status = s->close_status;
		event->reason = s->close_reason;
	} else {
		event->request = &s->request;
		s->request_given = true;
	}
	return true;
}

bool http_server_next_event(struct http_server *s, struct http_server_event *event)
{
	for (;;) {
		switch (s->state) {
		case STATE_IDLE:
		case STATE_ANSWERING:
		case STATE_UPGRADED:
		case STATE_CLOSED:
			return false;
		case STATE_HEAD:
			if (!parse_head(s))
				return false;
			break;
		case STATE_BODY:
			if (!parse_body(s))
				return false;
			break;
		case STATE_ASKED:
			return !s->request_given && tell(s, event, HTTP_SERVER_HEAD);
		case STATE_REQUEST:
			return !s->request_given && tell(s, event, HTTP_SERVER_REQUEST);
		case STATE_CLOSING:
			set_state(s, STATE_CLOSED);
			return tell(s, event, HTTP_SERVER_CLOSE);
		}
	}
}

/* ---- time ---- */

usec_t http_server_deadline(const struct http_server *s)
{
	const struct http_server_config *c = &s->config;

	switch (s->state) {
	case STATE_IDLE:
		return usec_add(s->since, s->first ? c->head_timeout_us : c->idle_timeout_us);
	case STATE_HEAD:
		return usec_add(s->since, c->head_timeout_us);
	case STATE_BODY:
		return usec_add(s->since, c->body_timeout_us);
	case STATE_ASKED:
	case STATE_REQUEST:
	case STATE_ANSWERING:
	case STATE_UPGRADED:
	case STATE_CLOSING:
	case STATE_CLOSED:
		break;
	}
	return USEC_NEVER;
}

void http_server_timeout(struct http_server *s, usec_t now)
{
	s->now = now;
	if (now < http_server_deadline(s))
		return;
	if (s->state == STATE_IDLE)
		closing(s, 0, "idle");
	else
		fail(s, 408, s->state == STATE_HEAD ? "slow head" : "slow body");
}

bool http_server_full(const struct http_server *s)
{
	return s->in.len > 0 && (s->state == STATE_ASKED || s->state == STATE_REQUEST ||
				 s->state == STATE_ANSWERING);
}

void http_server_set_date(struct http_server *s, int64_t unix_time)
{
	if (s->date[0] && unix_time == s->date_time)
		return;
	s->date_time = unix_time;
	http_date(unix_time, s->date);
}

void http_server_close(struct http_server *s, usec_t now)
{
	s->now = now;
	s->close_wanted = true;
	s->request.keep_alive = false;
	if (s->state == STATE_IDLE)
		closing(s, 0, "shutdown");
}

/* ---- answers ---- */

static bool awaits_answer(const struct http_server *s)
{
	return s->request_given && (s->state == STATE_REQUEST || s->state == STATE_ASKED);
}

/* RFC 9112 §6.3: these never have a body. */
static bool bodiless(const struct http_server *s, unsigned status)
{
	return s->request.method == HTTP_METHOD_HEAD || status == 204 || status == 304;
}

static int put_framing(struct http_server *s, unsigned status, uint64_t length)
{
	if (status == 204 || (status == 304 && length == 0))
		return 0;
	if (length != HTTP_LENGTH_UNKNOWN)
		return buf_printf(&s->out, "content-length: %llu\r\n", (unsigned long long)length);
	if (s->parser.ll.http_minor == 0) {
		s->request.keep_alive = false; /* the end of the stream ends the body */
		return 0;
	}
	return buf_append_span(&s->out, span_str("transfer-encoding: chunked\r\n"));
}

static int put_head(struct http_server *s, unsigned status, const struct http_field *fields,
		    size_t field_count, uint64_t length)
{
	int r = buf_printf(&s->out, "HTTP/1.1 %u %s\r\n", status, http_status_text(status));

	if (r == 0)
		r = http_put_fields(&s->out, fields, field_count, false);
	if (r == 0 && s->date[0])
		r = buf_printf(&s->out, "date: %s\r\n", s->date);
	if (r == 0)
		r = put_framing(s, status, length);
	if (r == 0 && (!s->request.keep_alive || s->state == STATE_ASKED))
		r = buf_append_span(&s->out, span_str("connection: close\r\n"));
	else if (r == 0 && s->parser.ll.http_minor == 0)
		r = buf_append_span(&s->out, span_str("connection: keep-alive\r\n"));
	return r == 0 ? buf_append_span(&s->out, span_str("\r\n")) : r;
}

static void drop_request(struct http_server *s)
{
	s->parser.body_max = s->config.body_max;
	http_parser_reset(&s->parser);
	free(s->target);
	s->target = NULL;
	s->request_given = false;
}

static void answered(struct http_server *s)
{
	bool keep = s->request.keep_alive && s->state != STATE_ASKED;

	if (!keep) {
		closing(s, 0, "answered");
		return;
	}
	drop_request(s);
	set_state(s, s->in.len ? STATE_HEAD : STATE_IDLE);
}

int http_server_respond(struct http_server *s, usec_t now, unsigned status,
			const struct http_field *fields, size_t field_count, struct span body)
{
	size_t before = s->out.len;
	bool keep_alive = s->request.keep_alive;
	int r;

	if (!awaits_answer(s))
		return FL_ESTATE;
	s->now = now;
	r = put_head(s, status, fields, field_count, body.len);
	if (r == 0 && !bodiless(s, status))
		r = buf_append_span(&s->out, body);
	if (r < 0) {
		s->out.len = before;
		s->request.keep_alive = keep_alive;
		return r;
	}
	answered(s);
	return 0;
}

int http_server_start(struct http_server *s, usec_t now, unsigned status,
		      const struct http_field *fields, size_t field_count, uint64_t length)
{
	size_t before = s->out.len;
	bool keep_alive = s->request.keep_alive;
	int r;

	if (!awaits_answer(s))
		return FL_ESTATE;
	s->now = now;
	r = put_head(s, status, fields, field_count, length);
	if (r < 0) {
		s->out.len = before;
		s->request.keep_alive = keep_alive;
		return r;
	}
	s->no_body = bodiless(s, status);
	s->chunked = length == HTTP_LENGTH_UNKNOWN && s->parser.ll.http_minor == 1;
	s->left = length;
	if (s->state == STATE_ASKED)
		s->request.keep_alive = false;
	set_state(s, STATE_ANSWERING);
	return 0;
}

static int put_piece(struct http_server *s, struct span piece)
{
	size_t before = s->out.len;
	int r = 0;

	if (s->chunked)
		r = buf_printf(&s->out, "%zx\r\n", piece.len);
	if (r == 0)
		r = buf_append_span(&s->out, piece);
	if (r == 0 && s->chunked)
		r = buf_append_span(&s->out, span_str("\r\n"));
	if (r < 0)
		s->out.len = before;
	return r;
}

int http_server_write(struct http_server *s, usec_t now, struct span piece)
{
	int r;

	if (s->state != STATE_ANSWERING)
		return FL_ESTATE;
	s->now = now;
	if (piece.len > s->left)
		return FL_EMALFORMED;
	if (!s->no_body && piece.len) {
		r = put_piece(s, piece);
		if (r < 0)
			return r;
	}
	if (s->left != HTTP_LENGTH_UNKNOWN)
		s->left -= piece.len;
	return 0;
}

int http_server_end(struct http_server *s, usec_t now)
{
	int r = 0;

	if (s->state != STATE_ANSWERING)
		return FL_ESTATE;
	s->now = now;
	if (s->chunked && !s->no_body)
		r = buf_append_span(&s->out, span_str("0\r\n\r\n"));
	if (r < 0)
		return r;
	if (s->left != HTTP_LENGTH_UNKNOWN && s->left > 0 && !s->no_body) {
		closing(s, 0, "answer cut short");
		return FL_EMALFORMED;
	}
	answered(s);
	return 0;
}

int http_server_upgrade(struct http_server *s, usec_t now, const struct http_field *fields,
			size_t field_count)
{
	size_t before = s->out.len;
	int r;

	if (!awaits_answer(s) || s->state != STATE_REQUEST || !s->request.upgrade)
		return FL_ESTATE;
	s->now = now;
	r = buf_append_span(&s->out, span_str("HTTP/1.1 101 Switching Protocols\r\n"));
	if (r == 0)
		r = http_put_fields(&s->out, fields, field_count, false);
	if (r == 0)
		r = buf_append_span(&s->out, span_str("connection: Upgrade\r\n\r\n"));
	if (r < 0) {
		s->out.len = before;
		return r;
	}
	drop_request(s);
	set_state(s, STATE_UPGRADED);
	return 0;
}

struct span http_server_rest(const struct http_server *s)
{
	return s->state == STATE_UPGRADED ? buf_span(&s->in) : span_of(NULL, 0);
}

struct span http_server_output(const struct http_server *s)
{
	return buf_span(&s->out);
}

void http_server_sent(struct http_server *s, size_t len)
{
	buf_consume(&s->out, len);
	if (s->out.len == 0)
		buf_finish(&s->out); /* an idle connection holds no memory for answers */
}
