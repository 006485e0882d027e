/*
 * SignalR's transports for networks that let no WebSocket through (dotnet/aspnetcore,
 * src/SignalR/docs/specs/TransportProtocols.md): server-sent events and long polling. A link is one
 * such connection: an rt whose messages are fetched by requests held open here, and fed by POSTs.
 *
 * The connection token of the negotiation is random, carries its age and a MAC of this process, so
 * nothing is kept for strangers who only negotiate. A link that has ended is remembered until its
 * token is too old to begin another. What may be queued is bounded by RT_QUEUE_MAX, links by
 * LINKS_MAX and by LINKS_ADDRESS_MAX from one address.
 */
#pragma once

#include "hub/http/server.h"
#include "hub/hub.h"

#define LINKS_MAX 20000
#define LINKS_ADDRESS_MAX 2000
#define LINK_TOKEN_CAP TEXT_B64_LEN(36)

struct links;

enum link_kind { LINK_CONSOLE, LINK_ENDPOINT };

int links_create(struct hub *hub, struct links **out) FL_WARN_UNUSED;
void links_shut_down(struct links *l); /* says going-away to all; NULL is fine */
void links_destroy(struct links *l);   /* NULL is fine; after the server */

/* For the answer of a negotiation; a secret. */
void link_token(struct links *l, enum link_kind kind, char out[LINK_TOKEN_CAP]);

/* Requests with "id" in the query, signed in where their route asks for it. Each takes x over. */
void link_get(struct exchange *x, enum link_kind kind, exchange_make_fn *make);
void link_post(struct exchange *x, enum link_kind kind);
void link_delete(struct exchange *x, enum link_kind kind);
