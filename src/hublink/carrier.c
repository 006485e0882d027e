#include "hublink/carrier.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/ct.h"
#include "base/err.h"
#include "base/text.h"
#include "hublink/line.h"
#include "proto/signalr/event_stream.h"
#include "proto/ws/ws.h"

#define ANSWER_US (10 * USEC_PER_SEC)
#define POLL_ANSWER_US (40 * USEC_PER_SEC) /* longer than the hub holds a poll */
#define BODY_MAX (4 * 1024 * 1024)	   /* what a poll may bring; more than the hub queues */
#define POST_MAX SIGNALR_MESSAGE_MAX
#define FIELDS_MAX 6

enum stage { STAGE_OPENING, STAGE_NEGOTIATING, STAGE_FIRST, STAGE_OPEN };

struct carrier {
	struct loop *loop;
	enum carrier_kind kind;
	enum stage stage;
	struct realtime_config config; /* url, path, bearer: the owner's, who outlives us */
	const struct carrier_handler *handler;
	void *arg;
	struct line *in, *out; /* out: of the POSTs */
	struct ws *ws;
	struct signalr *signalr;
	struct event_stream events;
	struct http_field fields[2][FIELDS_MAX]; /* of the requests under way */
	char key[WS_KEY_LEN];
	char target[512]; /* with the token: a secret */
	char authorization[512];
	struct buf post; /* text that waits for its POST */
	struct loop_timer timer;
	struct loop_deferred release;
	bool down, dead;
};

static const char *const names[] = { "websocket", "websocket-case", "server-sent-events",
				     "long-polling" };

const char *carrier_name(enum carrier_kind kind)
{
	return names[kind];
}

static void advance(struct carrier *c);

static void go_down(struct carrier *c, enum carrier_fault fault, int err, const char *why)
{
	if (c->down)
		return;
	c->down = true;
	loop_timer_stop(&c->timer);
	c->handler->on_down(c->arg, c, fault, err, why);
}

static void no_memory(struct carrier *c)
{
	go_down(c, CARRIER_FAILED, -ENOMEM, "Out of memory.");
}

static bool by_websocket(const struct carrier *c)
{
	return c->kind == CARRIER_WEBSOCKET || c->kind == CARRIER_WEBSOCKET_CASE;
}

/* ---- requests ---- */

static int request(struct carrier *c, struct line *l, const char *method, const char *target,
		   const struct http_field *more, size_t n, struct span body)
{
	struct http_field *fields = c->fields[l == c->out];
	struct http_client_request r = { .method = method,
					 .target = target,
					 .host = c->config.url->authority,
					 .fields = fields,
					 .body = body,
					 .upgrade = by_websocket(c),
					 .pieces = c->kind == CARRIER_EVENTS && l == c->in &&
						   c->stage == STAGE_FIRST };

	for (size_t i = 0; i < n; i++)
		fields[r.field_count++] = more[i];
	if (c->config.bearer)
		fields[r.field_count++] = (struct http_field){ "authorization", c->authorization };
	return line_request(l, &r);
}

static int ask_websocket(struct carrier *c)
{
	struct http_field fields[4];

	ws_client_key(rng_system(), c->key);
	size_t n = ws_client_fields(c->key, NULL, fields);
	for (size_t i = 0; i < n && c->kind == CARRIER_WEBSOCKET_CASE; i++)
		if (strcmp(fields[i].name, "upgrade") == 0)
			fields[i].value = "WebSocket";
	return request(c, c->in, "GET", c->config.path, fields, n, (struct span){ 0 });
}

static int ask_token(struct carrier *c)
{
	c->stage = STAGE_NEGOTIATING;
	snprintf(c->target, sizeof(c->target), "%.200s/negotiate?negotiateVersion=1",
		 c->config.path);
	return request(c, c->in, "POST", c->target, NULL, 0, (struct span){ 0 });
}

static int ask_messages(struct carrier *c)
{
	static const struct http_field events = { "accept", "text/event-stream" };

	return request(c, c->in, "GET", c->target, &events, c->kind == CARRIER_EVENTS,
		       (struct span){ 0 });
}

/* One at a time, so that they arrive in order. */
static int post(struct carrier *c)
{
	static const struct http_field type = { "content-type", "text/plain;charset=UTF-8" };
	size_t n = FL_MIN(c->post.len, (size_t)POST_MAX);
	int err;

	if (n == 0 || line_busy(c->out))
		return 0;
	err = request(c, c->out, "POST", c->target, &type, 1, span_of(buf_span(&c->post).ptr, n));
	if (err == 0)
		buf_consume(&c->post, n);
	return err;
}

/* ---- answers ---- */

/* What the hub itself says is final; what somebody in between says is this transport's end. */
static void explain_refusal(struct carrier *c, const struct http_response *response)
{
	json_t *body = json_loadb((const char *)response->body.ptr, response->body.len, 0, NULL);
	json_t *error = json_object_get(body, "error");
	const char *message = json_string_value(json_object_get(error, "message"));
	const char *code = json_string_value(json_object_get(error, "code"));
	bool stripped = code && strcmp(code, "not-a-websocket") == 0;
	bool gone = code && strcmp(code, "unknown-connection") == 0;
	char why[500], shown[256];

	/* nobody else speaks like that */
	if (code && message)
		carrier_works(c);
	if (code && strcmp(code, "signed-out") == 0 && c->config.bearer)
		snprintf(why, sizeof(why),
			 "The hub does not know this API key. Use the admin.token of this very "
			 "hub.");
	else if (message && !stripped)
		snprintf(why, sizeof(why), "%s",
			 text_printable(shown, sizeof(shown), span_str(message)));
	else if (stripped)
		snprintf(why, sizeof(why),
			 "Something between here and %.150s takes the Upgrade out of requests.",
			 c->config.url->authority);
	else
		snprintf(why, sizeof(why),
			 "%.150s answered %u to %.60s where a Fairlead hub opens a connection. "
			 "Check "
			 "the address, and what a proxy in between lets through.",
			 c->config.url->authority, response->status, c->config.path);
	go_down(c, message && !stripped && !gone ? CARRIER_REFUSED : CARRIER_FAILED,
		FL_EUNSUPPORTED, why);
	json_decref(body);
}

static void take_token(struct carrier *c, const struct http_response *response)
{
	json_t *body = json_loadb((const char *)response->body.ptr, response->body.len, 0, NULL);
	const char *token = json_string_value(json_object_get(body, "connectionToken"));
	char encoded[256];

	c->stage = STAGE_FIRST;
	if (!token || http_percent_encode(span_str(token), encoded, sizeof(encoded)) < 0) {
		go_down(c, CARRIER_FAILED, FL_EMALFORMED,
			"The answer to the negotiation is not a Fairlead hub's.");
	} else {
		carrier_works(c);
		snprintf(c->target, sizeof(c->target), "%.200s?id=%s", c->config.path, encoded);
		if (ask_messages(c) < 0)
			no_memory(c);
	}
	json_decref(body);
}

static void take_signalr(struct carrier *c)
{
	struct signalr_event event;
	char why[400], shown[256];
	const char *at = c->config.url->authority;

	while (!c->down && signalr_next_event(c->signalr, &event)) {
		if (event.type != SIGNALR_CLOSED) {
			c->handler->on_event(c->arg, c, &event);
			continue;
		}
		if (event.why == SIGNALR_WHY_TIMEOUT)
			snprintf(why, sizeof(why), "The hub at %.150s fell silent.", at);
		else if (event.error)
			snprintf(why, sizeof(why), "The hub closed the connection: %s",
				 text_printable(shown, sizeof(shown), span_str(event.error)));
		else
			snprintf(why, sizeof(why), "The hub at %.150s closed the connection.", at);
		go_down(c, CARRIER_FAILED,
			event.why == SIGNALR_WHY_TIMEOUT ? -ETIMEDOUT : FL_ECLOSED, why);
	}
}

static void take_text(struct carrier *c, struct span text)
{
	if (signalr_input(c->signalr, loop_now(c->loop), text) < 0)
		no_memory(c);
	else
		take_signalr(c);
}

static void take_events(struct carrier *c, struct span bytes)
{
	struct span data;
	int r = event_stream_input(&c->events, bytes);

	c->stage = STAGE_OPEN;
	while (!c->down && r >= 0 && (r = event_stream_next(&c->events, &data)) == 1)
		take_text(c, data);
	if (r < 0)
		go_down(c, CARRIER_FAILED, r, "The hub sent more than it may at once.");
}

static void take_poll(struct carrier *c, const struct http_response *response)
{
	if (response->status == 204) {
		go_down(c, CARRIER_FAILED, FL_ECLOSED, "The hub closed the connection.");
		return;
	}
	c->stage = STAGE_OPEN;
	if (response->body.len)
		take_text(c, response->body);
	if (!c->down && ask_messages(c) < 0)
		no_memory(c);
}

static void take_upgrade(struct carrier *c, const struct http_response *response)
{
	if (ws_client_check(response, c->key, NULL) < 0) {
		explain_refusal(c, response);
		return;
	}
	carrier_works(c);
	c->ws = ws_create(&(struct ws_config){ .role = WS_CLIENT }, rng_system());
	c->stage = STAGE_OPEN;
	if (!c->ws)
		no_memory(c);
}

static void on_in_answer(void *arg, const struct http_response *response, bool whole)
{
	struct carrier *c = arg;

	if (by_websocket(c))
		take_upgrade(c, response);
	else if (response->status / 100 != 2)
		explain_refusal(c, response);
	else if (c->stage == STAGE_NEGOTIATING)
		take_token(c, response);
	else if (c->kind == CARRIER_POLLING)
		take_poll(c, response);
	else
		take_events(c, response->body);
	if (!c->down && whole && c->kind == CARRIER_EVENTS && c->stage == STAGE_OPEN)
		go_down(c, CARRIER_FAILED, FL_ECLOSED, "The hub closed the connection.");
	if (!c->down)
		advance(c);
}

static void on_out_answer(void *arg, const struct http_response *response, bool whole)
{
	struct carrier *c = arg;

	if (response->status / 100 != 2)
		explain_refusal(c, response);
	else
		advance(c);
}

static void on_failed(void *arg, bool connected, int err, const char *why)
{
	go_down(arg, connected ? CARRIER_FAILED : CARRIER_NETWORK, err, why);
}

static void on_bytes(void *arg, struct span bytes)
{
	struct carrier *c = arg;

	if (c->down)
		return;
	if (ws_input(c->ws, loop_now(c->loop), bytes) < 0)
		go_down(c, CARRIER_FAILED, FL_EQUOTA, "The hub sent more than it may at once.");
	else
		advance(c);
}

static void take_ws(struct carrier *c)
{
	struct ws_event event;
	char why[400];

	while (!c->down && ws_next_event(c->ws, &event)) {
		if (event.type == WS_EVENT_TEXT) {
			take_text(c, event.data);
		} else if (event.type == WS_EVENT_CLOSED) {
			snprintf(why, sizeof(why), "The hub at %.150s closed the connection (%u).",
				 c->config.url->authority, event.code);
			go_down(c, CARRIER_FAILED, FL_ECLOSED, why);
		}
	}
}

/* ---- the driver: events until there are none, then output, then the deadline ---- */

static int write_out(struct carrier *c)
{
	struct span out;
	int err = 0;

	while (err == 0 && signalr_next_output(c->signalr, &out))
		err = c->ws ? ws_send_text(c->ws, out) : buf_append_span(&c->post, out);
	if (err < 0)
		return err;
	if (!c->ws)
		return post(c);
	out = ws_output(c->ws);
	if (out.len > 0)
		err = line_write(c->in, out);
	if (err == 0)
		ws_sent(c->ws, out.len);
	return err;
}

static void advance(struct carrier *c)
{
	usec_t at;

	if (c->ws && !c->down)
		take_ws(c);
	if (!c->down)
		take_signalr(c); /* its timeout */
	if (c->down)
		return;
	int err = c->stage == STAGE_OPEN ? write_out(c) : 0;
	if (err < 0) {
		go_down(c, CARRIER_FAILED, err,
			"The hub reads too slowly; the connection is started anew.");
		return;
	}
	at = signalr_deadline(c->signalr);
	if (c->ws)
		at = usec_min(at, ws_deadline(c->ws));
	if (loop_timer_at(&c->timer, at) < 0)
		no_memory(c);
}

static void on_timer(void *arg)
{
	struct carrier *c = arg;
	usec_t now = loop_now(c->loop);

	if (c->ws)
		ws_timeout(c->ws, now);
	signalr_timeout(c->signalr, now);
	advance(c);
}

void carrier_flush(struct carrier *c)
{
	advance(c);
}

/* ---- life ---- */

static const struct line_handler in_handler = { on_in_answer, on_failed, on_bytes };
static const struct line_handler out_handler = { on_out_answer, on_failed, on_bytes };

static int create_parts(struct carrier *c)
{
	const struct signalr_config signalr = {
		.role = SIGNALR_CLIENT,
		.ping_us = c->config.ping_us,
		.timeout_us = c->config.timeout_us,
	};
	struct line_config line = { .realtime = &c->config,
				    .timeout_us = ANSWER_US,
				    .body_max = BODY_MAX };
	int err = 0;

	c->signalr = signalr_create(&signalr, loop_now(c->loop));
	if (!c->signalr)
		return -ENOMEM;
	if (!by_websocket(c))
		err = line_create(c->loop, &line, &out_handler, c, &c->out);
	if (c->kind == CARRIER_POLLING)
		line.timeout_us = POLL_ANSWER_US;
	if (err == 0)
		err = line_create(c->loop, &line, &in_handler, c, &c->in);
	if (err == 0)
		err = loop_timer_at(&c->timer, signalr_deadline(c->signalr));
	return err;
}

int carrier_create(struct loop *loop, const struct realtime_config *config, enum carrier_kind kind,
		   const struct carrier_handler *handler, void *arg, struct carrier **out)
{
	struct carrier *c = calloc(1, sizeof(*c));
	int err;

	if (!c)
		return -ENOMEM;
	c->loop = loop;
	c->kind = kind;
	c->config = *config;
	c->handler = handler;
	c->arg = arg;
	c->post = BUF_INIT(SIGNALR_OUT_MAX);
	event_stream_init(&c->events);
	loop_timer_init(loop, &c->timer, on_timer, c);
	if (config->bearer)
		snprintf(c->authorization, sizeof(c->authorization), "Bearer %s", config->bearer);
	err = create_parts(c);
	if (err == 0)
		err = by_websocket(c) ? ask_websocket(c) : ask_token(c);
	if (err < 0) {
		carrier_destroy(c);
		return err;
	}
	*out = c;
	return 0;
}

static void release(void *arg)
{
	struct carrier *c = arg;

	signalr_destroy(c->signalr);
	ws_destroy(c->ws);
	event_stream_finish(&c->events);
	buf_finish(&c->post);
	ct_wipe(c, sizeof(*c));
	free(c);
}

void carrier_destroy(struct carrier *c)
{
	if (!c || c->dead)
		return;
	c->dead = c->down = true;
	loop_timer_stop(&c->timer);
	line_destroy(c->in);
	line_destroy(c->out);
	loop_defer(c->loop, &c->release, release, c);
}

enum carrier_kind carrier_kind(const struct carrier *c)
{
	return c->kind;
}

struct signalr *carrier_signalr(struct carrier *c)
{
	return c->signalr;
}

void carrier_works(struct carrier *c)
{
	line_works(c->in);
	if (c->out)
		line_works(c->out);
}

const struct hub_conn *carrier_conn(const struct carrier *c)
{
	return line_conn(c->in);
}
