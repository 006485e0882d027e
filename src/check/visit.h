/*
 * One connection to one service, directly or through the proxy, as far as it goes: TCP, TLS, then
 * what the service has to say: the hub's proof of itself and its list of needs, a realtime
 * transport's handshake, a store's answer, the relay's. It ends at the first step that fails.
 *
 * The certificate is looked at, but a bad one does not end the visit: what comes behind it tells a
 * captive portal from an inspecting proxy and both from an expired certificate. Nothing secret is
 * sent.
 */
#pragma once

#include <jansson.h>

#include "base/addr.h"
#include "check/cause.h"
#include "hublink/sign.h"
#include "io/loop.h"
#include "io/proxy.h"
#include "io/tls.h"

#define VISIT_ADDRS_MAX 4
#define VISIT_TEXT_MAX 200
#define VISIT_OPEN_US (3500 * USEC_PER_MSEC) /* TCP and TLS; through a proxy each */
#define VISIT_ANSWER_US (3000 * USEC_PER_MSEC)

enum visit_kind {
	VISIT_HUB,
	VISIT_WEBSOCKET,
	VISIT_STORE,
	VISIT_TURN, /* TCP or TLS */
	VISIT_TURN_WSS,
};

enum visit_step { VISIT_TCP, VISIT_TLS, VISIT_APP, VISIT_DONE };

struct visit_config {
	enum visit_kind kind;
	const char *host;
	uint16_t port;
	const struct addr *addrs; /* directly: tried a quarter of a second apart */
	size_t n_addrs;
	struct proxy *proxy;	 /* NULL: directly */
	struct tls_context *tls; /* made with TLS_VERIFY_NONE; NULL: plain */
	const char *upgrade;	 /* VISIT_WEBSOCKET: "websocket" or "WebSocket" */
	const char *hub_key;	 /* VISIT_HUB: pinned; NULL: whichever it has */
};

struct visit_result {
	enum visit_step reached;    /* VISIT_DONE: all is well but perhaps tls_cause */
	enum check_cause cause;	    /* of the step that failed */
	enum check_cause tls_cause; /* what is wrong with the certificate */
	struct addr at;		    /* the address that took the connection */
	usec_t open_us, answer_us;
	char issuer[VISIT_TEXT_MAX]; /* printable; "": no TLS */
	uint8_t spki[32];
	char seen[VISIT_TEXT_MAX]; /* what was seen, a few words, printable */
	/* VISIT_HUB */
	json_t *network;	   /* the list of needs; the result's owner's */
	enum check_cause identity; /* CAUSE_NONE: it proved its key */
	bool proved;		   /* an older hub cannot */
	uint8_t hub_spki[32];	   /* of the certificate that the hub itself shows */
	char hub_key[SIGN_KEY_TEXT];
	bool timed;
	int64_t clock_off_ms; /* of this machine: positive: it is fast. VISIT_WEBSOCKET too */
};

struct visit;

/* fn once, unless destroyed; the result is the visit's, but for what fn takes out of it. */
int visit_start(struct loop *loop, const struct visit_config *config,
		void (*fn)(void *arg, struct visit_result *result), void *arg,
		struct visit **out) FL_WARN_UNUSED;
void visit_destroy(struct visit *v); /* NULL is fine; from inside fn too */
