#include "hub/realtime/rt.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "base/text.h"

#define PIECE (16 * 1024)	    /* one write to the stream */
#define FETCH_US (2 * USEC_PER_SEC) /* for the last messages to be fetched */

struct rt {
	struct loop *loop;
	struct rt_carrier carrier;
	struct ws *ws;	/* NULL: no stream */
	struct buf out; /* without a stream: whole messages that nobody has fetched */
	usec_t closed;	/* without a stream: when closing began */
	struct signalr *signalr;
	const struct rt_handler *handler;
	void *arg;
	struct loop_timer timer;
	struct loop_deferred later;
	bool later_pending;
	bool failed;  /* dropped after this turn */
	bool closing; /* the SignalR side is over */
	bool ended;   /* on_end was called */
	bool gone;    /* destroyed; freed after the turn, when no call is kept */
	unsigned calls;
};

struct rt_call {
	struct rt *rt;
	char *id;
};

static void rt_later(struct rt *rt);

static void rt_fail(struct rt *rt)
{
	rt->failed = true;
	rt_later(rt);
}

static void rt_end(struct rt *rt)
{
	if (rt->ended || rt->gone)
		return;
	rt->ended = true;
	rt->carrier.on_end(rt->carrier.conn);
}

static void write_stream(struct rt *rt)
{
	struct span out;

	while (!rt->failed && (out = ws_output(rt->ws)).len > 0) {
		size_t n = FL_MIN(out.len, (size_t)PIECE);
		int err = stream_write(rt->carrier.stream, span_of(out.ptr, n));

		if (err == FL_EQUOTA)
			return;
		if (err < 0)
			rt->failed = true;
		else
			ws_sent(rt->ws, n);
	}
}

static size_t behind(const struct rt *rt)
{
	return rt->ws ? ws_output(rt->ws).len : rt->out.len;
}

static void write_out(struct rt *rt)
{
	if (rt->ws)
		write_stream(rt);
	else if (!rt->failed && rt->out.len > 0)
		rt->carrier.on_output(rt->carrier.conn);
}

static void flush(struct rt *rt)
{
	struct span text;
	int err = 0;

	while (err == 0 && signalr_next_output(rt->signalr, &text)) {
		err = rt->ws ? ws_send_text(rt->ws, text) : buf_append_span(&rt->out, text);
		if (err == FL_EQUOTA)
			log_debug("slow-consumer", "backlog=%zu", behind(rt));
	}
	/* FL_ESTATE: the WebSocket is closing already */
	if (err < 0 && err != FL_ESTATE)
		rt->failed = true;
	write_out(rt);
}

static void close_carrier(struct rt *rt, unsigned code, const char *reason)
{
	rt->closing = true;
	rt->closed = loop_now(rt->loop);
	if (rt->ws)
		ws_close(rt->ws, rt->closed, code, reason);
}

/* Without a stream the end is told once all is fetched. */
static void end_fetched(struct rt *rt)
{
	if (!rt->ws && rt->closing && rt->out.len == 0)
		rt_end(rt);
}

static void on_timer(void *arg);

static void set_timer(struct rt *rt)
{
	usec_t carrier = rt->ws	       ? ws_deadline(rt->ws)
			 : rt->closing ? usec_add(rt->closed, FETCH_US)
				       : USEC_NEVER;
	usec_t at = usec_min(carrier, rt->closing ? USEC_NEVER : signalr_deadline(rt->signalr));

	if (loop_timer_at(&rt->timer, at) < 0)
		rt->failed = true;
}

static void on_invocation(struct rt *rt, const struct signalr_event *e)
{
	const struct rt_method *m = rt->handler->methods;
	char why[SCHEMA_WHY_MAX];
	const char *refused;
	json_t *args;

	while (m->name && strcmp(m->name, e->target) != 0)
		m++;
	if (!m->name) {
		rt_error(rt, e->invocation_id, "unknown-method", "the hub has no such method");
		return;
	}
	refused = rt->handler->on_guard ? rt->handler->on_guard(rt->arg, m->name) : NULL;
	if (refused) {
		rt_error(rt, e->invocation_id, "not-proved", "%s", refused);
		return;
	}
	if (json_array_size(e->args) != 1) {
		rt_error(rt, e->invocation_id, "bad-request", "%s takes exactly one object",
			 m->name);
		return;
	}
	args = schema_take(m->args, json_array_get(e->args, 0), why);
	if (!args) {
		rt_error(rt, e->invocation_id, "bad-request", "%s", why);
		return;
	}
	m->call(rt->arg, e->invocation_id, args);
	json_decref(args);
}

static void on_signalr_closed(struct rt *rt, const struct signalr_event *e)
{
	static const unsigned codes[] = {
		[SIGNALR_WHY_PEER] = WS_CODE_NORMAL,	  [SIGNALR_WHY_TIMEOUT] = WS_CODE_POLICY,
		[SIGNALR_WHY_HANDSHAKE] = WS_CODE_POLICY, [SIGNALR_WHY_MALFORMED] = WS_CODE_POLICY,
		[SIGNALR_WHY_MEMORY] = WS_CODE_INTERNAL,
	};

	rt->closing = true;
	/* nobody is there to answer a closing handshake */
	if (e->why == SIGNALR_WHY_TIMEOUT)
		rt->failed = true;
	flush(rt);
	close_carrier(rt, codes[e->why], NULL);
}

static void drain_signalr(struct rt *rt)
{
	struct signalr_event e;

	while (!rt->failed && !rt->gone && !rt->closing && signalr_next_event(rt->signalr, &e))
		switch (e.type) {
		case SIGNALR_CONNECTED:
			rt->handler->on_connected(rt->arg);
			break;
		case SIGNALR_INVOCATION:
			on_invocation(rt, &e);
			break;
		case SIGNALR_COMPLETION:
			break; /* the hub asks no questions that way */
		case SIGNALR_CLOSED:
			on_signalr_closed(rt, &e);
			break;
		}
}

static void drain_ws(struct rt *rt)
{
	usec_t now = loop_now(rt->loop);
	struct ws_event e;

	while (rt->ws && !rt->failed && !rt->gone && ws_next_event(rt->ws, &e))
		switch (e.type) {
		case WS_EVENT_TEXT:
			if (rt->closing)
				break;
			if (signalr_input(rt->signalr, now, e.data) < 0)
				rt->failed = true;
			drain_signalr(rt);
			break;
		case WS_EVENT_BINARY:
			rt->closing = true;
			ws_close(rt->ws, now, WS_CODE_UNSUPPORTED, "text only");
			break;
		case WS_EVENT_PONG:
			break;
		case WS_EVENT_CLOSED:
			rt->closing = true;
			write_stream(rt);
			rt_end(rt);
			return;
		}
}

/* After anything happened: events, output, deadline. */
static void advance(struct rt *rt)
{
	drain_ws(rt);
	if (!rt->gone && !rt->ended) {
		drain_signalr(rt);
		if (!rt->gone && !rt->ended) {
			flush(rt);
			set_timer(rt);
		}
	}
	if (rt->failed)
		rt_end(rt);
	else
		end_fetched(rt);
}

static void on_later(void *arg)
{
	struct rt *rt = arg;

	rt->later_pending = false;
	if (!rt->gone) {
		if (!rt->failed)
			flush(rt);
		if (rt->failed)
			rt_end(rt);
		else
			set_timer(rt);
		end_fetched(rt);
	}
	if (!rt->gone || rt->later_pending || rt->calls)
		return;
	ws_destroy(rt->ws);
	buf_finish(&rt->out);
	signalr_destroy(rt->signalr);
	free(rt);
}

static void rt_later(struct rt *rt)
{
	if (rt->later_pending)
		return;
	rt->later_pending = true;
	loop_defer(rt->loop, &rt->later, on_later, rt);
}

static void on_timer(void *arg)
{
	struct rt *rt = arg;
	usec_t now = loop_now(rt->loop);

	if (rt->ws && ws_deadline(rt->ws) <= now)
		ws_timeout(rt->ws, now);
	if (!rt->ws && rt->closing && usec_add(rt->closed, FETCH_US) <= now)
		rt->failed = true;
	if (!rt->closing && signalr_deadline(rt->signalr) <= now)
		signalr_timeout(rt->signalr, now);
	advance(rt);
}

struct rt *rt_create(struct loop *loop, const struct rt_carrier *carrier,
		     const struct rt_config *config, const struct rt_handler *handler, void *arg)
{
	const struct ws_config ws = { .role = WS_SERVER, .out_max = RT_QUEUE_MAX };
	const struct signalr_config signalr = { .role = SIGNALR_SERVER,
						.ping_us = config->ping_us,
						.timeout_us = config->timeout_us,
						.out_max = RT_QUEUE_MAX };
	struct rt *rt = calloc(1, sizeof(*rt));

	if (!rt)
		return NULL;
	*rt = (struct rt){ .loop = loop,
			   .carrier = *carrier,
			   .out = BUF_INIT(RT_QUEUE_MAX),
			   .handler = handler,
			   .arg = arg };
	rt->ws = carrier->stream ? ws_create(&ws, NULL) : NULL;
	rt->signalr = signalr_create(&signalr, loop_now(loop));
	loop_timer_init(loop, &rt->timer, on_timer, rt);
	if ((rt->ws || !carrier->stream) && rt->signalr) {
		set_timer(rt);
		return rt;
	}
	ws_destroy(rt->ws);
	signalr_destroy(rt->signalr);
	free(rt);
	return NULL;
}

void rt_read(struct rt *rt, struct span bytes)
{
	if (rt->gone || rt->failed)
		return;
	if (ws_input(rt->ws, loop_now(rt->loop), bytes) < 0)
		rt->failed = true;
	advance(rt);
}

void rt_text(struct rt *rt, struct span text)
{
	if (rt->gone || rt->failed || rt->closing)
		return;
	if (signalr_input(rt->signalr, loop_now(rt->loop), text) < 0)
		rt->failed = true;
	advance(rt);
}

struct span rt_output(const struct rt *rt)
{
	return buf_span(&rt->out);
}

void rt_sent(struct rt *rt, size_t len)
{
	buf_consume(&rt->out, len);
	if (rt->gone || rt->failed || rt->out.len > 0)
		return;
	if (rt->closing)
		rt_later(rt);
	else if (rt->handler->on_drain)
		rt->handler->on_drain(rt->arg);
}

void rt_drain(struct rt *rt)
{
	if (rt->gone || rt->failed)
		return;
	write_stream(rt);
	if (!rt->failed && rt->handler->on_drain && !rt->closing)
		rt->handler->on_drain(rt->arg);
	if (rt->failed)
		rt_end(rt);
}

void rt_destroy(struct rt *rt)
{
	if (!rt || rt->gone)
		return;
	rt->gone = rt->ended = true;
	loop_timer_stop(&rt->timer);
	rt->handler->on_closed(rt->arg);
	rt_later(rt);
}

bool rt_broke_rules(const struct rt *rt)
{
	return rt->ws && ws_counters(rt->ws)->violations > 0;
}

static void check_sent(struct rt *rt, int err)
{
	if (err == 0 || err == FL_ESTATE) {
		rt_later(rt);
		return;
	}
	log_debug("message-not-sent", "error=%s", err_name(err));
	rt_fail(rt);
}

void rt_send(struct rt *rt, const char *target, json_t *arg)
{
	if (!arg)
		rt_fail(rt);
	else if (!rt->gone && !rt->closing)
		check_sent(rt, signalr_send(rt->signalr, loop_now(rt->loop), target, arg));
	json_decref(arg);
}

void rt_send_encoded(struct rt *rt, struct span message)
{
	if (!rt->gone && !rt->closing)
		check_sent(rt, signalr_send_encoded(rt->signalr, loop_now(rt->loop), message));
}

void rt_result(struct rt *rt, const char *call_id, json_t *result)
{
	json_t *answer = result ? result : json_object();

	if (!answer)
		rt_fail(rt);
	else if (!rt->gone && !rt->closing)
		check_sent(rt, signalr_complete(rt->signalr, loop_now(rt->loop), call_id, answer));
	json_decref(answer);
}

void rt_error(struct rt *rt, const char *call_id, const char *code, const char *fmt, ...)
{
	char text[512];
	size_t at = (size_t)snprintf(text, sizeof(text), "%s: ", code);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text + at, sizeof(text) - at, fmt, ap);
	va_end(ap);
	if (!rt->gone && !rt->closing)
		check_sent(rt,
			   signalr_complete_error(rt->signalr, loop_now(rt->loop), call_id, text));
}

struct rt_call *rt_call_keep(struct rt *rt, const char *call_id)
{
	struct rt_call *c = call_id ? calloc(1, sizeof(*c)) : NULL;

	if (c)
		c->id = strdup(call_id);
	if (c && c->id) {
		c->rt = rt;
		rt->calls++;
		return c;
	}
	free(c);
	return NULL;
}

void rt_call_answer(struct rt_call *c, int err)
{
	if (!c)
		return;
	if (err == 0)
		rt_result(c->rt, c->id, NULL);
	else
		rt_error(c->rt, c->id, err == FL_ECLOSED ? "unknown-session" : "internal",
			 err == FL_ECLOSED ? "The session has ended."
					   : "The hub could not store it; its log says why.");
	if (--c->rt->calls == 0 && c->rt->gone)
		rt_later(c->rt);
	free(c->id);
	free(c);
}

void rt_close(struct rt *rt, unsigned ws_code, const char *reason)
{
	if (rt->gone || rt->closing)
		return;
	/* a WebSocket's close says it by itself */
	if (!rt->ws)
		signalr_close(rt->signalr, loop_now(rt->loop), reason, true);
	flush(rt);
	close_carrier(rt, ws_code, reason);
	rt_later(rt);
}

size_t rt_backlog(struct rt *rt)
{
	if (rt->gone || rt->failed)
		return 0;
	flush(rt);
	if (rt->failed)
		rt_later(rt);
	return behind(rt) + (rt->ws ? stream_queued(rt->carrier.stream) : 0);
}
