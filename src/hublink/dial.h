/*
 * One way to the hub, tried out: directly (its name to addresses, each of them a quarter of a
 * second after the one before, the first that takes the connection and the handshake wins; RFC
 * 8305), or through one proxy, which finds the hub by its name. Below conn.h, which lets several
 * ways race.
 */
#pragma once

#include "base/buf.h"
#include "hublink/hub_url.h"
#include "io/loop.h"
#include "io/proxy.h"
#include "io/stream.h"
#include "io/tls.h"

#define HUB_DIAL_WHY 600

struct hub_dial;

struct hub_dial_handler {
	void (*on_open)(void *arg);
	void (*on_read)(void *arg, struct buf *in);
	/* Once; the object is then to be destroyed. err 0: closed in good order. why: a sentence
	 * with cause and remedy, borrowed. */
	void (*on_close)(void *arg, int err, const char *why);
};

/* proxy: NULL: directly. */
int hub_dial_create(struct loop *loop, const struct hub_url *url, struct tls_context *tls,
		    struct proxy *proxy, const struct hub_dial_handler *handler, void *arg,
		    struct hub_dial **out) FL_WARN_UNUSED;
void hub_dial_destroy(struct hub_dial *d); /* NULL is fine; from inside a handler too */
struct stream *hub_dial_stream(const struct hub_dial *d); /* NULL before it is open */
/* The hub is on this machine, as far as its address tells. */
bool hub_dial_is_local(const struct hub_dial *d);
