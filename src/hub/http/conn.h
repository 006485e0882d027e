/*
 * A connection to the hub's port from the inside: server.c moves its bytes and owns it, request.c
 * makes exchanges of its requests. Nobody else includes this.
 */
#pragma once

#include "base/log.h"
#include "hub/http/files.h"
#include "hub/http/server.h"
#include "hub/http/turn_pass.h"
#include "hub/realtime/rt.h"

#define LISTENERS_MAX (2 * CONFIG_LISTEN_MAX)

struct server {
	struct hub *hub;
	struct tls_context *tls;
	struct listener *listeners[LISTENERS_MAX];
	size_t n_listeners;
	struct list conns;
	size_t n_conns, conns_max;
	struct log_limit limit;
	bool down;
};

struct conn {
	struct server *server;
	struct list node;
	struct stream *stream;
	struct http_server *http; /* until the upgrade */
	struct rt *rt;		  /* after it */
	struct turn_pass *turn;	  /* or the way to the relay */
	struct exchange *exchange;
	struct addr from;
	struct loop_timer timer;
	struct loop_deferred end;
	/* what is left of the present answer's body, and who keeps it */
	struct span body;
	struct files_set *body_set;
	char *body_owned;
	bool in_body, dead, advancing;
	bool closing, linger;	  /* once the present answer left */
	bool finished, lingering; /* nothing is served any more */
};

/* ---- server.c ---- */

void conn_kill(struct conn *c);
/* Starts the answer's head; the body follows as the connection takes it. */
void conn_answer(struct conn *c, unsigned status, const struct headers *h, struct span body);

/* From now on the connection is the relay's. offer: of the WebSocket asked for; NULL: TURN comes
 * right after TLS. */
void conn_pass_turn(struct conn *c, const struct ws_offer *offer);

/* ---- request.c ---- */

/* Its head has come, and says that there is a body: how much of it is wanted. */
void conn_request_head(struct conn *c, const struct http_request *r);
/* Becomes c's exchange, or is answered at once. */
void conn_request(struct conn *c, const struct http_request *r);
