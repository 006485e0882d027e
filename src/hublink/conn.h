/*
 * A TLS connection to the hub by the best way out: the ways that way.h finds race (dial.h tries
 * each), the preferred one with a head start; the first that brings the hub's TLS handshake to an
 * end carries the connection, and the others end. Below request.h and realtime.h; only they use it.
 */
#pragma once

#include "base/buf.h"
#include "hublink/hub_url.h"
#include "hublink/way.h"
#include "io/loop.h"
#include "io/stream.h"
#include "io/tls.h"

struct hub_conn;

struct hub_conn_handler {
	void (*on_open)(void *arg);
	void (*on_read)(void *arg, struct buf *in);
	/* Once; the object is then to be destroyed. err 0: closed in good order. why: a sentence
	 * with cause and remedy, borrowed. */
	void (*on_close)(void *arg, int err, const char *why);
};

/* way: NULL: directly and no other way. Borrowed while the connection lives. */
int hub_conn_create(struct loop *loop, const struct hub_url *url, struct tls_context *tls,
		    struct way *way, const struct hub_conn_handler *handler, void *arg,
		    struct hub_conn **out) FL_WARN_UNUSED;
void hub_conn_destroy(struct hub_conn *c); /* NULL is fine; from inside a handler too */
int hub_conn_write(struct hub_conn *c, struct span data) FL_WARN_UNUSED; /* as stream_write() */
void hub_conn_close(struct hub_conn *c);			/* sends what is queued first */
const struct stream *hub_conn_stream(const struct hub_conn *c); /* NULL before it is open */
/* The hub is on this machine, as far as its address tells. */
bool hub_conn_is_local(const struct hub_conn *c);

/* It is the hub that answered, in its own protocol: this way is good. One that opens and ends
 * without that is not (a sign-in page in the hub's place), and is tried last the next time. */
void hub_conn_works(struct hub_conn *c);
