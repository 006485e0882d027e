/*
 * The relay on the hub's own port: TURN that a client brings there, right after TLS (ALPN
 * "stun.turn", RFC 7443) or in the binary frames of a WebSocket on /turn (subprotocol "turn"), goes
 * on to the relay's plain TCP listener. The PROXY protocol (proto/proxy2) tells the relay whose
 * connection it is, so its limits, its log and the addresses it answers with are those of the
 * client. Nothing of TURN is looked at here; who is silent or proves nothing is ended by the relay.
 *
 * Copying is bounded in both directions: who reads slowly slows the other side down.
 */
#pragma once

#include "hub/hub.h"
#include "io/stream.h"

#define TURN_PASS_ALPN "stun.turn"
#define TURN_PASS_PATH "/turn"
#define TURN_PASS_MAX 8192	   /* at once; two descriptors each */
#define TURN_PASS_ADDRESS_MAX 2048 /* from one address: whole sites stand behind one */

struct turn_pass;

/* client stays the connection's. on_end: the client's connection is to be closed, after what is
 * queued. NULL: no memory, or too many. */
struct turn_pass *turn_pass_create(struct hub *h, struct stream *client, const struct addr *from,
				   bool websocket, void (*on_end)(void *arg), void *arg);
void turn_pass_destroy(struct turn_pass *p); /* NULL is fine */

/* What came behind the request; at most what one read brings. */
void turn_pass_first(struct turn_pass *p, struct span bytes);
void turn_pass_read(struct turn_pass *p, struct buf *in);
void turn_pass_drain(struct turn_pass *p);
