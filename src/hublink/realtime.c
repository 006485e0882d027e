#include "hublink/realtime.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/ct.h"
#include "base/err.h"
#include "base/list.h"
#include "base/log.h"
#include "base/text.h"
#include "hublink/carrier.h"
#include "hublink/conn.h"
#include "hublink/transport.h"
#include "io/ifaces.h"

#define STAGGER_US (2 * USEC_PER_SEC) /* until the next transport is tried beside */
#define SHORT_US (15 * USEC_PER_SEC)  /* a connection that ends so soon was perhaps cut */

struct call {
	struct list node;
	uint64_t id;
	void (*fn)(void *arg, json_t *result, const char *error);
	void *arg;
};

struct realtime {
	struct loop *loop;
	struct hub_url url;
	struct realtime_config config; /* its strings are ours */
	const struct realtime_handler *handler;
	void *arg;
	char *path, *bearer;
	/* Attempts by kind; once one is up, it alone. */
	struct carrier *carriers[CARRIER_KINDS];
	enum carrier_kind order[CARRIER_KINDS]; /* in which they are tried */
	size_t next;				/* of order */
	struct carrier *carrier;		/* the one that is up; NULL: none yet */
	usec_t up_at;
	int err; /* of the first attempt that failed, and its reason */
	char why[512];
	struct loop_timer stagger;
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
	loop_timer_stop(&rt->stagger);
	rt->handler->on_down(rt->arg, err, why);
}

/* A connection from an address that is gone brings nothing any more, but would only tell so after
 * many seconds. */
static void on_ifaces(void *arg)
{
	struct realtime *rt = arg;
	const struct hub_conn *conn = rt->carrier ? carrier_conn(rt->carrier) : NULL;
	const struct stream *stream = conn ? hub_conn_stream(conn) : NULL;
	struct addr local;

	if (stream && stream_local(stream, &local) && !ifaces_has(&local))
		go_down(rt, -ENETDOWN,
			"The network changed: the address that the hub was reached from is gone.");
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

static void take_invocation(struct realtime *rt, const struct signalr_event *event)
{
	if (json_array_size(event->args) == 1 && json_is_object(json_array_get(event->args, 0)))
		rt->handler->on_call(rt->arg, event->target, json_array_get(event->args, 0));
	/* the hub waits for no answer; should it ask for one, it gets an empty one */
	if (!rt->down && signalr_complete(carrier_signalr(rt->carrier), loop_now(rt->loop),
					  event->invocation_id, NULL) < 0)
		go_down(rt, -ENOMEM, "Out of memory.");
}

/* ---- the race ---- */

static void begin_next(struct realtime *rt);

static void on_up(struct realtime *rt, struct carrier *c)
{
	rt->carrier = c;
	rt->up_at = loop_now(rt->loop);
	loop_timer_stop(&rt->stagger);
	/* nothing is wrong with the way out of those that lost */
	for (size_t i = 0; i < CARRIER_KINDS; i++)
		if (rt->carriers[i] && rt->carriers[i] != c) {
			carrier_works(rt->carriers[i]);
			carrier_destroy(rt->carriers[i]);
			rt->carriers[i] = NULL;
		}
	carrier_works(c);
	if (carrier_kind(c) != CARRIER_WEBSOCKET)
		log_info("hub-transport", "transport=%s because=\"%s\"",
			 carrier_name(carrier_kind(c)),
			 *rt->why ? rt->why : "it is what worked here before, or answered first");
	transport_worked(&rt->config, carrier_kind(c), rt->up_at);
	rt->handler->on_up(rt->arg);
}

static void on_event(void *arg, struct carrier *c, const struct signalr_event *event)
{
	struct realtime *rt = arg;

	switch (event->type) {
	case SIGNALR_CONNECTED:
		on_up(rt, c);
		return;
	case SIGNALR_INVOCATION:
		take_invocation(rt, event);
		return;
	case SIGNALR_COMPLETION:
		take_completion(rt, event);
		return;
	case SIGNALR_CLOSED:
		return; /* on_down has the reason */
	}
}

static bool any_left(const struct realtime *rt)
{
	for (size_t i = 0; i < CARRIER_KINDS; i++)
		if (rt->carriers[i])
			return true;
	return rt->next < CARRIER_KINDS;
}

static void on_carrier_down(void *arg, struct carrier *c, enum carrier_fault fault, int err,
			    const char *why)
{
	struct realtime *rt = arg;
	bool was_up = c == rt->carrier;
	usec_t now = loop_now(rt->loop);

	if (rt->down)
		return;
	if (was_up) {
		if (usec_sub(now, rt->up_at) < SHORT_US)
			transport_was_short(&rt->config, carrier_kind(c), now);
		go_down(rt, err, why);
		return;
	}
	log_debug("hub-transport-failed", "transport=%s reason=\"%s\"",
		  carrier_name(carrier_kind(c)), why);
	rt->carriers[carrier_kind(c)] = NULL;
	carrier_destroy(c);
	if (rt->err == 0) {
		rt->err = err;
		text_copy(rt->why, sizeof(rt->why), why);
	}
	if (fault == CARRIER_NETWORK)
		rt->next = CARRIER_KINDS; /* those that are under way may go on */
	if (fault == CARRIER_REFUSED || !any_left(rt))
		go_down(rt, fault == CARRIER_REFUSED ? err : rt->err,
			fault == CARRIER_REFUSED ? why : rt->why);
	else
		begin_next(rt);
}

static const struct carrier_handler carrier_handler = { on_event, on_carrier_down };

/* The next begins before the one before has used up its time. */
static void begin_next(struct realtime *rt)
{
	enum carrier_kind kind;

	if (rt->next == CARRIER_KINDS)
		return;
	kind = rt->order[rt->next++];
	if (carrier_create(rt->loop, &rt->config, kind, &carrier_handler, rt, &rt->carriers[kind]) <
		    0 ||
	    (rt->next < CARRIER_KINDS && loop_timer_after(&rt->stagger, STAGGER_US) < 0))
		go_down(rt, -ENOMEM, "Out of memory.");
}

static void on_stagger(void *arg)
{
	begin_next(arg);
}

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
	list_init(&rt->calls);
	loop_timer_init(loop, &rt->stagger, on_stagger, rt);
	rt->path = strdup(config->path);
	rt->bearer = config->bearer ? strdup(config->bearer) : NULL;
	rt->config = *config;
	rt->config.url = &rt->url;
	rt->config.path = rt->path;
	rt->config.bearer = rt->bearer;
	rt->config.tls = tls_context_ref(config->tls);
	transport_order(&rt->config, rt->order, loop_now(loop));
	int err = -ENOMEM;
	if (rt->path && (!config->bearer || rt->bearer)) {
		rt->next = 1;
		err = carrier_create(loop, &rt->config, rt->order[0], &carrier_handler, rt,
				     &rt->carriers[rt->order[0]]);
	}
	if (err == 0)
		err = loop_timer_after(&rt->stagger, STAGGER_US);
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
	tls_context_unref(rt->config.tls);
	free(rt->path);
	ct_wipe_strp(&rt->bearer);
	free(rt);
}

void realtime_destroy(struct realtime *rt)
{
	if (!rt || rt->dead)
		return;
	rt->dead = rt->down = true;
	loop_timer_stop(&rt->stagger);
	ifaces_watch_destroy(rt->ifaces);
	rt->ifaces = NULL;
	rt->carrier = NULL;
	for (size_t i = 0; i < CARRIER_KINDS; i++) {
		carrier_destroy(rt->carriers[i]);
		rt->carriers[i] = NULL;
	}
	if (rt->flush_set)
		list_remove(&rt->flush.node);
	loop_defer(rt->loop, &rt->release, release, rt);
}

static void on_flush(void *arg)
{
	struct realtime *rt = arg;

	rt->flush_set = false;
	if (rt->carrier && !rt->down)
		carrier_flush(rt->carrier);
}

int realtime_call(struct realtime *rt, const char *target, json_t *object,
		  void (*fn)(void *arg, json_t *result, const char *error), void *arg)
{
	struct call *call = NULL;
	int err = object ? 0 : -ENOMEM;

	if (err == 0 && (rt->down || !rt->carrier))
		err = FL_ESTATE;
	if (err == 0 && rt->n_calls >= HUB_CALLS_MAX)
		err = FL_EQUOTA;
	if (err == 0 && !(call = calloc(1, sizeof(*call))))
		err = -ENOMEM;
	if (err == 0)
		err = signalr_invoke(carrier_signalr(rt->carrier), loop_now(rt->loop), target,
				     object, &call->id);
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

static const struct hub_conn *conn_of(const struct realtime *rt)
{
	return rt->carrier ? carrier_conn(rt->carrier) : NULL;
}

const struct tls_session *realtime_tls(const struct realtime *rt)
{
	const struct hub_conn *conn = conn_of(rt);
	const struct stream *s = conn ? hub_conn_stream(conn) : NULL;

	return s ? stream_tls(s) : NULL;
}

bool realtime_is_local(const struct realtime *rt)
{
	const struct hub_conn *conn = conn_of(rt);

	return conn && hub_conn_is_local(conn);
}

const char *realtime_transport(const struct realtime *rt)
{
	return rt->carrier ? carrier_name(carrier_kind(rt->carrier)) : "";
}
