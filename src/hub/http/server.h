/*
 * The hub's one port: connections, requests and their answers, and the switch to WebSockets. A
 * request becomes an exchange, which lives on its own: it may wait for the store or for a password
 * check while its connection goes away. What a request may do stands in the route table (api/).
 */
#pragma once

#include <jansson.h>

#include "hub/http/headers.h"
#include "hub/hub.h"
#include "hub/json/schema.h"
#include "io/stream.h"
#include "proto/ws/ws.h"

#define SERVER_QUERY_CAP 512

struct server;
struct conn;
struct exchange;

enum route_access { ROUTE_ANYBODY, ROUTE_SIGNED_IN };

struct route {
	enum http_method method;
	const char *path;
	bool prefix;	    /* the rest of the path is one id, in exchange.id */
	const char *suffix; /* after the id, "/place"; NULL: nothing */
	enum route_access access;
	const struct schema *body; /* NULL: a body is ignored */
	bool write;		   /* work() changes the store */
	/*
	 * begin: in the loop; NULL: on to work() at once. Else it calls exchange_work(), or
	 * answers. work: in a worker. 0, or negative (the change is undone, the answer is 500). A
	 * refusal is exchange_refuse() and 0, so that audit rows stay. finish: in the loop after
	 * work(); NULL: answers with what work() left in status, result.
	 */
	void (*begin)(struct exchange *x);
	int (*work)(struct exchange *x, struct store *s);
	void (*finish)(struct exchange *x);
	bool websocket; /* finish() upgrades, or hands on to a link (realtime/link.h) */
	bool message;	/* the body is taken as it is, up to SIGNALR_MESSAGE_MAX, into payload */
};

enum credential { CREDENTIAL_NONE, CREDENTIAL_COOKIE, CREDENTIAL_KEY };

struct exchange {
	struct hub *hub;
	struct conn *conn; /* NULL: the other side went away; there is nobody to answer */
	const struct route *route;
	struct store_job job;
	struct password_job password;
	enum credential credential;
	uint8_t credential_hash[32];
	struct store_user user; /* signed in, or signing in */
	json_t *body;
	char id[STORE_ID_CAP];
	char query[SERVER_QUERY_CAP];
	char host[256]; /* as asked for; "" when it is not valid */
	struct addr from;
	char from_text[ADDR_TEXT_MAX];
	int64_t now; /* milliseconds since 1970 */
	struct ws_offer offer;
	bool upgrade;	       /* it asks for a WebSocket, by offer */
	bool event_stream;     /* it accepts text/event-stream */
	struct span payload;   /* of a route with message; lies in extra */
	struct exchange_held { /* of an answer that waits; see exchange_hold() */
		void (*on_gone)(struct exchange *x); /* the other side went away; x is freed */
		bool (*pump)(struct exchange *x); /* there is room; true: something was written */
		void *arg;
	} held;
	/* the answer */
	unsigned status;
	json_t *result;
	const char *code;
	char message[256];
	char cookie[256]; /* Set-Cookie; "" none */
	/* what work() leaves for finish(); extra is freed with x when nobody took it */
	char text[600];
	uint8_t hash[32];
	int64_t number;
	void *extra;
};

int server_create(struct hub *hub, struct server **out) FL_WARN_UNUSED;
/* at->port 0: *port gets the one that was chosen. Negative errno. */
int server_listen(struct server *s, const struct addr *at, uint16_t *port) FL_WARN_UNUSED;
void server_unlisten(struct server *s);
void server_set_tls(struct server *s, struct tls_context *tls); /* for new connections; takes it */

/* Stops listening, says going-away to every connection. server_idle() when all are gone. */
void server_shut_down(struct server *s);
bool server_idle(const struct server *s);
void server_destroy(struct server *s);

/* To the store, with the route's work(). */
void exchange_work(struct exchange *x);
void exchange_refuse(struct exchange *x, unsigned status, const char *code, const char *fmt, ...)
	FL_PRINTF(4, 5);

/* Answers with status, result or code and message, cookie; frees x. */
void exchange_answer(struct exchange *x);

/* The same with text instead of JSON; text (from malloc, or NULL) is taken over. */
void exchange_answer_text(struct exchange *x, char *text, size_t len);

/*
 * Leaves the request unanswered for as long as it takes; one of the exchange_answer functions ends
 * that. Or exchange_stream() begins an answer without an end: pump then writes pieces whenever
 * there is room, exchange_wake() has it called after the turn's events, exchange_stream_end() ends
 * the answer and frees x.
 */
void exchange_hold(struct exchange *x, const struct exchange_held *held);
int exchange_stream(struct exchange *x, const char *type) FL_WARN_UNUSED;
/* 0; FL_EQUOTA: no room now; else the connection is of no more use. */
int exchange_stream_write(struct exchange *x, struct span piece) FL_WARN_UNUSED;
void exchange_stream_end(struct exchange *x);
void exchange_wake(struct exchange *x);

/* Answers 101 and makes the connection a realtime one; frees x. make: the object behind it, given
 * x (still whole) and what carries it; NULL: no memory. */
struct rt;
struct rt_carrier;
typedef struct rt *exchange_make_fn(struct exchange *x, const struct rt_carrier *carrier);
void exchange_upgrade(struct exchange *x, exchange_make_fn *make);
