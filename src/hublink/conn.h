/*
 * A TLS connection to the hub: name to addresses, each address in turn until one takes the
 * connection, handshake; or through a proxy, which finds the hub by its name. Below request.h and
 * realtime.h; only they use it.
 */
#pragma once

#include "base/buf.h"
#include "hublink/hub_url.h"
#include "io/loop.h"
#include "io/proxy.h"
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

/* proxy: NULL: directly. */
int hub_conn_create(struct loop *loop, const struct hub_url *url, struct tls_context *tls,
		    struct proxy *proxy, const struct hub_conn_handler *handler, void *arg,
		    struct hub_conn **out) FL_WARN_UNUSED;
void hub_conn_destroy(struct hub_conn *c); /* NULL is fine; from inside a handler too */
int hub_conn_write(struct hub_conn *c, struct span data) FL_WARN_UNUSED; /* as stream_write() */
void hub_conn_close(struct hub_conn *c);			/* sends what is queued first */
const struct stream *hub_conn_stream(const struct hub_conn *c); /* NULL before it connects */
/* The hub is on this machine, as far as its address tells. */
bool hub_conn_is_local(const struct hub_conn *c);
