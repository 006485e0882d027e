/*
 * The way to one TURN server, whatever carries it: UDP, TCP, TLS, or WSS (an HTTP upgrade, then one
 * TURN message a binary frame), the streams also through a proxy. Whole messages go in and come
 * out. A stream that ends tells so once and is then only good for relay_link_destroy().
 *
 * The server's certificate is not checked: what goes through the relay is sealed end to end, and
 * networks that inspect TLS would otherwise have no relay at all.
 */
#pragma once

#include "base/addr.h"
#include "io/loop.h"
#include "io/proxy.h"
#include "peer/ice_url.h"
#include "peer/ports.h"

struct relay_link;

struct relay_link_handler {
	void (*on_open)(void *arg);
	void (*on_message)(void *arg, struct span message); /* borrowed */
	void (*on_close)(void *arg, int err);		    /* negative; only streams */
};

/* Where the server is: at an address, or behind a proxy that finds it by its name (only streams).
 */
struct relay_link_to {
	struct addr server;
	struct proxy *proxy; /* NULL: direct */
	unsigned dscp;	     /* of what goes there (RFC 2474) */
	struct ports ports;  /* ours, over UDP */
};

/* 0 and *out; on_open follows (over UDP at the end of the turn). */
int relay_link_create(struct loop *loop, const struct ice_url *url, const struct relay_link_to *to,
		      const struct relay_link_handler *handler, void *arg,
		      struct relay_link **out) FL_WARN_UNUSED;
/* NULL is fine; allowed inside the handlers. */
void relay_link_destroy(struct relay_link *l);
/* False: it goes out from an address that this machine has no longer. */
bool relay_link_usable(const struct relay_link *l);
void relay_link_flush(struct relay_link *l); /* what waits for the end of the turn */
/* After on_close(FL_EPROXY), until it is destroyed: what the proxy had against it. */
const char *relay_link_error_text(const struct relay_link *l);
/* head, data and pad zero bytes are one message. What does not fit is lost. */
void relay_link_send(struct relay_link *l, struct span head, struct span data, size_t pad);
