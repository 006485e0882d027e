#include "hublink/realtime.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/ct.h"
#include "base/err.h"
#include "base/list.h"
#include "base/text.h"
#include "hublink/conn.h"
#include "io/ifaces.h"
#include "proto/http/http.h"
#include "proto/signalr/signalr.h"
#include "proto/ws/ws.h"

struct call {
	struct list node;
	uint64_t id;
	void (*fn)(void *arg, json_t *result, const char *error);
	void *arg;
};

struct realtime {
	struct loop *loop;
	struct hub_url url;
	const struct realtime_handler *handler;
	void *arg;
	char *path, *bearer;
	usec_t ping_us, timeout_us;
	struct hub_conn *conn;
	struct http_client *http; /* until the upgrade */
	struct ws *ws;
	struct signalr *signalr;
	char key[WS_KEY_LEN];
	struct loop_timer timer;
	struct ifaces_watch *ifaces;
	struct loop_deferred flush, release;
	bool flush_set;
	struct list calls;
	size_t n_calls;
	bool down, dead;
};

static void go_down(struct realtime *rt, int err, const char *why)
{
	if (rt->down)
		return;
	rt->down = true;
	loop_timer_stop(&rt->timer);
	rt->handler->on_down(rt->arg, err, why);
}

/* A connection from an address that is gone brings nothing any more, but would only tell so after
 * many seconds. */
static void on_ifaces(void *arg)
{
	struct realtime *rt = arg;
	const struct stream *stream = rt->conn ? hub_conn_stream(rt->conn) : NULL;
	struct addr local;

	if (stream && stream_local(stream, &local) && !ifaces_has(&local))
		go_down(rt, -ENETDOWN,
			"The network changed: the address that the hub was reached from is gone.");
}

/* ---- upgrade ---- */

static void start_realtime(struct realtime *rt)
{
	struct span rest = http_client_rest(rt->http);
	struct signalr_config config = {
		.role = SIGNALR_CLIENT,
		.ping_us = rt->ping_us,
		.timeout_us = rt->timeout_us,
	};

	rt->ws = ws_create(&(struct ws_config){ .role = WS_CLIENT }, rng_system());
	rt->signalr = signalr_create(&config, loop_now(rt->loop));
	hub_conn_works(rt->conn);
	if (!rt->ws || !rt->signalr || ws_input(rt->ws, loop_now(rt->loop), rest) < 0)
		go_down(rt, -ENOMEM, "Out of memory.");
	http_client_destroy(rt->http);
	rt->http = NULL;
}

static void explain_refusal(struct realtime *rt, const struct http_response *response)
{
	json_t *body = json_loadb((const char *)response->body.ptr, response->body.len, 0, NULL);
	const char *message = json_string_value(
		json_object_get(json_object_get(body, "error"), "message"));
	char why[500], shown[256];

	if (message)
		snprintf(why, sizeof(why), "%s",
			 text_printable(shown, sizeof(shown), span_str(message)));
	else if (response->status == 401 || response->status == 403)
		snprintf(why, sizeof(why),
			 "The hub does not know this API key. Use the admin.token of this very "
			 "hub.");
	else
		snprintf(
			why, sizeof(why),
			"%.150s answered %u to %.60s where a Fairlead hub opens a WebSocket. Check "
			"the address, and whether a proxy in between strips WebSockets.",
			rt->url.authority, response->status, rt->path);
	go_down(rt, FL_EUNSUPPORTED, why);
	json_decref(body);
}

static void take_http(struct realtime *rt)
{
	struct http_client_event event;
	char why[400];

	while (!rt->down && rt->http && http_client_next_event(rt->http, &event)) {
		if (event.type == HTTP_CLIENT_FAILED) {
			snprintf(why, sizeof(why), "%.150s gave no usable answer (%.100s).",
				 rt->url.authority,
				 event.reason ? event.reason : "no reason given");
			go_down(rt, event.err, why);
		} else if (ws_client_check(event.response, rt->key, NULL) < 0) {
			explain_refusal(rt, event.response);
		} else {
			start_realtime(rt);
		}
	}
}

static void send_upgrade(struct realtime *rt)
{
	struct http_field fields[5];
	char authorization[512];

	ws_client_key(rng_system(), rt->key);
	size_t n = ws_client_fields(rt->key, NULL, fields);
	if (rt->bearer) {
		snprintf(authorization, sizeof(authorization), "Bearer %s", rt->bearer);
		fields[n++] = (struct http_field){ "authorization", authorization };
	}
	struct http_client_request request = {
		.method = "GET",
		.target = rt->path,
		.host = rt->url.authority,
		.fields = fields,
		.field_count = n,
		.upgrade = true,
	};
	int err = http_client_request(rt->http, loop_now(rt->loop), &request);
	ct_wipe(authorization, sizeof(authorization));
	if (err < 0)
		go_down(rt, err, "The request could not be written; is the API key one line?");
}

/* ---- messages ---- */

static void take_completion(struct realtime *rt, const struct signalr_event *event)
{
	struct call *call, *tmp;

	list_for_each (call, tmp, &rt->calls, node) {
		if (call->id != event->call)
			continue;
		list_remove(&call->node);
		rt->n_calls--;
		if (call->fn)
			call->fn(call->arg, event->result, event->error);
		free(call);
		return;
	}
}

static void take_signalr(struct realtime *rt, const struct signalr_event *event)
{
	char why[400], shown[256];

	switch (event->type) {
	case SIGNALR_CONNECTED:
		rt->handler->on_up(rt->arg);
		return;
	case SIGNALR_INVOCATION:
		if (json_array_size(event->args) == 1 &&
		    json_is_object(json_array_get(event->args, 0)))
			rt->handler->on_call(rt->arg, event->target,
					     json_array_get(event->args, 0));
		/* the hub waits for no answer; should it ask for one, it gets an empty one */
		if (!rt->down && signalr_complete(rt->signalr, loop_now(rt->loop),
						  event->invocation_id, NULL) < 0)
			go_down(rt, -ENOMEM, "Out of memory.");
		return;
	case SIGNALR_COMPLETION:
		take_completion(rt, event);
		return;
	case SIGNALR_CLOSED:
		if (event->why == SIGNALR_WHY_TIMEOUT)
			snprintf(why, sizeof(why), "The hub at %.150s fell silent.",
				 rt->url.authority);
		else if (event->error)
			snprintf(why, sizeof(why), "The hub closed the connection: %s",
				 text_printable(shown, sizeof(shown), span_str(event->error)));
		else
			snprintf(why, sizeof(why), "The hub at %.150s closed the connection.",
				 rt->url.authority);
		go_down(rt, event->why == SIGNALR_WHY_TIMEOUT ? -ETIMEDOUT : FL_ECLOSED, why);
		return;
	}
}

static void take_signalr_events(struct realtime *rt)
{
	struct signalr_event event;

	while (!rt->down && signalr_next_event(rt->signalr, &event))
		take_signalr(rt, &event);
}

static void take_ws(struct realtime *rt)
{
	struct ws_event event;
	char why[400];

	while (!rt->down && ws_next_event(rt->ws, &event)) {
		if (event.type == WS_EVENT_TEXT) {
			if (signalr_input(rt->signalr, loop_now(rt->loop), event.data) < 0)
				go_down(rt, -ENOMEM, "Out of memory.");
			/* before the close frame that may stand behind it */
			take_signalr_events(rt);
		} else if (event.type == WS_EVENT_CLOSED) {
			snprintf(why, sizeof(why), "The hub at %.150s closed the connection (%u).",
				 rt->url.authority, event.code);
			go_down(rt, FL_ECLOSED, why);
		}
	}
}

/* ---- the driver: events until there are none, then output, then the deadline ---- */

static int write_http(struct realtime *rt)
{
	struct span out = http_client_output(rt->http);
	int err = out.len ? hub_conn_write(rt->conn, out) : 0;

	if (err == 0)
		http_client_sent(rt->http, out.len);
	return err;
}

static int write_ws(struct realtime *rt)
{
	struct span out;
	int err = 0;

	while (err == 0 && signalr_next_output(rt->signalr, &out))
		err = ws_send_text(rt->ws, out);
	out = ws_output(rt->ws);
	if (err == 0 && out.len > 0)
		err = hub_conn_write(rt->conn, out);
	if (err == 0)
		ws_sent(rt->ws, out.len);
	return err;
}

static void advance(struct realtime *rt)
{
	if (rt->down)
		return;
	if (rt->http)
		take_http(rt);
	if (rt->ws && !rt->down) {
		take_ws(rt);
		take_signalr_events(rt); /* its timeout */
	}
	if (rt->down)
		return;
	int err = rt->ws ? write_ws(rt) : write_http(rt);
	if (err < 0) {
		go_down(rt, err, "The hub reads too slowly; the connection is started anew.");
		return;
	}
	usec_t at = rt->ws ? usec_min(ws_deadline(rt->ws), signalr_deadline(rt->signalr))
			   : http_client_deadline(rt->http);
	if (loop_timer_at(&rt->timer, at) < 0)
		go_down(rt, -ENOMEM, "Out of memory.");
}

static void on_timer(void *arg)
{
	struct realtime *rt = arg;
	usec_t now = loop_now(rt->loop);

	if (rt->http) {
		http_client_timeout(rt->http, now);
	} else {
		ws_timeout(rt->ws, now);
		signalr_timeout(rt->signalr, now);
	}
	advance(rt);
}

static void on_open(void *arg)
{
	struct realtime *rt = arg;

	send_upgrade(rt);
	advance(rt);
}

static void on_read(void *arg, struct buf *in)
{
	struct realtime *rt = arg;
	usec_t now = loop_now(rt->loop);

	if (rt->down) {
		buf_clear(in);
		return;
	}
	int err = rt->ws ? ws_input(rt->ws, now, buf_span(in))
			 : http_client_input(rt->http, now, buf_span(in));
	buf_clear(in);
	if (err < 0)
		go_down(rt, err, "The hub sent more than it may at once.");
	else
		advance(rt);
}

static void on_close(void *arg, int err, const char *why)
{
	go_down(arg, err ? err : FL_ECLOSED, why);
}

static const struct hub_conn_handler conn_handler = { on_open, on_read, on_close };

int realtime_create(struct loop *loop, const struct realtime_config *config,
		    const struct realtime_handler *handler, void *arg, struct realtime **out)
{
	struct realtime *rt = calloc(1, sizeof(*rt));

	if (!rt)
		return -ENOMEM;
	rt->loop = loop;
	rt->url = *config->url;
	rt->handler = handler;
	rt->arg = arg;
	rt->ping_us = config->ping_us;
	rt->timeout_us = config->timeout_us;
	list_init(&rt->calls);
	loop_timer_init(loop, &rt->timer, on_timer, rt);
	rt->path = strdup(config->path);
	rt->bearer = config->bearer ? strdup(config->bearer) : NULL;
	rt->http = http_client_create(
		&(struct http_client_config){ .timeout_us = 10 * USEC_PER_SEC });
	int err = -ENOMEM;
	if (rt->path && rt->http && (!config->bearer || rt->bearer))
		err = hub_conn_create(loop, &rt->url, config->tls, config->way, &conn_handler, rt,
				      &rt->conn);
	if (err < 0) {
		realtime_destroy(rt);
		return err;
	}
	if (ifaces_watch_create(loop, on_ifaces, rt, &rt->ifaces) < 0)
		rt->ifaces = NULL; /* where netlink is forbidden, silence has to tell */
	*out = rt;
	return 0;
}

static void release(void *arg)
{
	struct realtime *rt = arg;
	struct call *call, *tmp;

	list_for_each (call, tmp, &rt->calls, node)
		free(call);
	http_client_destroy(rt->http);
	signalr_destroy(rt->signalr);
	ws_destroy(rt->ws);
	free(rt->path);
	ct_wipe_strp(&rt->bearer);
	free(rt);
}

void realtime_destroy(struct realtime *rt)
{
	if (!rt || rt->dead)
		return;
	rt->dead = rt->down = true;
	loop_timer_stop(&rt->timer);
	ifaces_watch_destroy(rt->ifaces);
	rt->ifaces = NULL;
	hub_conn_destroy(rt->conn);
	rt->conn = NULL;
	if (rt->flush_set)
		list_remove(&rt->flush.node);
	loop_defer(rt->loop, &rt->release, release, rt);
}

static void on_flush(void *arg)
{
	struct realtime *rt = arg;

	rt->flush_set = false;
	advance(rt);
}

int realtime_call(struct realtime *rt, const char *target, json_t *object,
		  void (*fn)(void *arg, json_t *result, const char *error), void *arg)
{
	struct call *call = NULL;
	int err = object ? 0 : -ENOMEM;

	if (err == 0 && (rt->down || !rt->signalr))
		err = FL_ESTATE;
	if (err == 0 && rt->n_calls >= HUB_CALLS_MAX)
		err = FL_EQUOTA;
	if (err == 0 && !(call = calloc(1, sizeof(*call))))
		err = -ENOMEM;
	if (err == 0)
		err = signalr_invoke(rt->signalr, loop_now(rt->loop), target, object, &call->id);
	json_decref(object);
	if (err < 0) {
		free(call);
		return err;
	}
	call->fn = fn;
	call->arg = arg;
	list_push_back(&rt->calls, &call->node);
	rt->n_calls++;
	/* what is called in one turn travels together */
	if (!rt->flush_set) {
		rt->flush_set = true;
		loop_defer(rt->loop, &rt->flush, on_flush, rt);
	}
	return 0;
}

const struct tls_session *realtime_tls(const struct realtime *rt)
{
	const struct stream *s = rt->conn ? hub_conn_stream(rt->conn) : NULL;

	return s ? stream_tls(s) : NULL;
}

bool realtime_is_local(const struct realtime *rt)
{
	return rt->conn && hub_conn_is_local(rt->conn);
}
