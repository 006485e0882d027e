/*
 * One realtime connection to the hub (docs/protocol.md §2): TLS, SignalR in JSON, by the transport
 * that gets through (carrier.h): what worked before (transport.h) first, the others 2 s after one
 * another or as soon as one has failed; the first that carries the handshake stays. It lives once:
 * when it is lost, on_down says why, and the owner makes another (backoff.h says when).
 */
#pragma once

#include <jansson.h>

#include "hublink/hub_url.h"
#include "hublink/way.h"
#include "io/loop.h"
#include "io/tls.h"

#define HUB_CALLS_MAX 256 /* invocations without an answer yet */

struct realtime;

struct realtime_handler {
	void (*on_up)(void *arg); /* methods can be called */
	/* The hub calls a method of ours; args holds exactly one object, borrowed. */
	void (*on_call)(void *arg, const char *target, json_t *object);
	/* Once, the last call; calls under way get no answer. why: a sentence, borrowed. */
	void (*on_down)(void *arg, int err, const char *why);
};

struct realtime_config {
	const struct hub_url *url;
	struct tls_context *tls;
	struct way *way;    /* NULL: directly */
	const char *path;   /* "/endpoint" */
	const char *bearer; /* API key, or NULL */
	usec_t ping_us, timeout_us;
};

int realtime_create(struct loop *loop, const struct realtime_config *config,
		    const struct realtime_handler *handler, void *arg,
		    struct realtime **out) FL_WARN_UNUSED;
/* NULL is fine; from inside a handler too. */
void realtime_destroy(struct realtime *rt);

/*
 * Calls a method of the hub. object is taken over, also on failure. fn (may be NULL) gets the
 * result, or error = "CODE: sentence"; both borrowed. 0, FL_ESTATE (not up), FL_EQUOTA, -ENOMEM.
 */
int realtime_call(struct realtime *rt, const char *target, json_t *object,
		  void (*fn)(void *arg, json_t *result, const char *error), void *arg);

/* The connection's TLS, for looking at the certificate; NULL when there is none. */
const struct tls_session *realtime_tls(const struct realtime *rt);

/* The hub's address is a loopback one. */
bool realtime_is_local(const struct realtime *rt);

/* "websocket", "long-polling" …; "" before it is up. */
const char *realtime_transport(const struct realtime *rt);
