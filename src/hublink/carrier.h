/*
 * One attempt to reach a SignalR hub by one transport (docs/protocol.md §2): its connections, its
 * requests, its SignalR. realtime.c runs several side by side and keeps the first that carried the
 * SignalR handshake, for a proxy may accept a WebSocket and then let nothing through.
 */
#pragma once

#include "hublink/realtime.h"
#include "proto/signalr/signalr.h"

enum carrier_kind {
	CARRIER_WEBSOCKET,
	CARRIER_WEBSOCKET_CASE, /* "Upgrade: WebSocket": what some proxies have on their list */
	CARRIER_EVENTS,		/* server-sent events, and POSTs on a connection beside it */
	CARRIER_POLLING,	/* long polling, and POSTs */
};
#define CARRIER_KINDS 4

const char *carrier_name(enum carrier_kind kind); /* "websocket" … */

struct carrier;

enum carrier_fault {
	CARRIER_NETWORK, /* no connection: other transports would fare no better */
	CARRIER_REFUSED, /* the hub itself said no: nor there */
	CARRIER_FAILED,	 /* this transport does not get through, or not any more */
};

struct carrier_handler {
	/* CONNECTED, INVOCATION, COMPLETION */
	void (*on_event)(void *arg, struct carrier *c, const struct signalr_event *event);
	/* Once, the last call. err, why: as realtime's on_down. */
	void (*on_down)(void *arg, struct carrier *c, enum carrier_fault fault, int err,
			const char *why);
};

int carrier_create(struct loop *loop, const struct realtime_config *config, enum carrier_kind kind,
		   const struct carrier_handler *handler, void *arg,
		   struct carrier **out) FL_WARN_UNUSED;
void carrier_destroy(struct carrier *c); /* NULL is fine; from inside a handler too */
enum carrier_kind carrier_kind(const struct carrier *c);
struct signalr *carrier_signalr(struct carrier *c);
void carrier_flush(struct carrier *c); /* what was given to its SignalR leaves */
/* It is the hub that is reached by this way out. */
void carrier_works(struct carrier *c);
/* The connection that answers come by; NULL: none now. */
const struct hub_conn *carrier_conn(const struct carrier *c);
