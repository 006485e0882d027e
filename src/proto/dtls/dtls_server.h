/*
 * A DTLS 1.2 server for any number of clients on one socket (RFC 6347), with a certificate from
 * files, as TURN over DTLS has it (RFC 7350). WebRTC's connections, which know their peer by a
 * fingerprint, are dtls.h's.
 *
 * A ClientHello without a cookie of ours gets a HelloVerifyRequest that is shorter than itself, and
 * leaves no state (RFC 6347 §4.2.1). The cookie is a MAC over both addresses, the client's random
 * and the time, so only who receives at the address he claims gets a session. One that comes back
 * from the same address with a new handshake takes the place of its old session as soon as it has
 * shown the cookie (§4.2.8).
 *
 * Sans-IO. After each call the driver takes events until there is none, then outputs until there is
 * none, then asks for the deadline. OpenSSL does the records too; what is not pure about it is told
 * in dtls.h. Ownership: sessions belong to the server until their CLOSED event was taken; the
 * driver hangs its own on `user`.
 */
#pragma once

#include "base/dgram.h"
#include "base/rng.h"
#include "base/usec.h"
#include "base/util.h"

#define DTLS_SERVER_SESSIONS_MAX 16384	 /* more are not answered */
#define DTLS_SERVER_HANDSHAKES_MAX 1024	 /* of them under way at a time */
#define DTLS_SERVER_HANDSHAKE_S 15	 /* then it is given up */
#define DTLS_SERVER_COOKIE_S 60		 /* a cookie is good for one to two of these */
#define DTLS_SERVER_OUTPUT_MAX (4 << 20) /* bytes that wait for next_output */
#define DTLS_SERVER_MESSAGE_MAX 16384	 /* of one message: a record (RFC 6347 §4.1) */

struct dtls_server;

struct dtls_session {
	struct addr local, remote;
	void *user;
};

enum dtls_server_event_type {
	DTLS_SERVER_OPENED, /* the handshake is done */
	DTLS_SERVER_DATA,   /* one message */
	DTLS_SERVER_CLOSED, /* by the client, by an error or by a new session of the same client;
			       freed by the next call */
};

struct dtls_server_event {
	enum dtls_server_event_type type;
	struct dtls_session *session;
	struct span data; /* borrowed until the next call */
};

struct dtls_server_stats {
	uint64_t sessions;	     /* alive, with those in their handshake */
	uint64_t opened, failed;     /* handshakes */
	uint64_t cookies;	     /* HelloVerifyRequests sent */
	uint64_t refused, strangers; /* over a limit; neither a session's nor a ClientHello */
};

/* 0 or -ENOMEM. Nothing is answered before the first dtls_server_set_certificate(). */
int dtls_server_create(struct rng *rng, struct dtls_server **out) FL_WARN_UNUSED;
void dtls_server_destroy(struct dtls_server *s); /* NULL is fine; says nothing to anybody */

/*
 * The certificate with its chain and the key, both PEM; alpn: NULL-terminated, in order of
 * preference, or NULL. For sessions from now on. 0, or FL_ETLS with a sentence in why: then the one
 * before stays.
 */
int dtls_server_set_certificate(struct dtls_server *s, struct span cert_pem, struct span key_pem,
				const char *const *alpn, char why[256]) FL_WARN_UNUSED;

/* d->local is the address it came to. */
void dtls_server_input(struct dtls_server *s, usec_t now, const struct dgram *d);
void dtls_server_timeout(struct dtls_server *s, usec_t now);
usec_t dtls_server_deadline(const struct dtls_server *s);
bool dtls_server_next_event(struct dtls_server *s, struct dtls_server_event *e);
bool dtls_server_next_output(struct dtls_server *s, struct dgram *out);

/* One message in parts. 0, FL_ESTATE (no handshake yet, or over), -EMSGSIZE, FL_ETLS. */
int dtls_session_send(struct dtls_server *s, struct dtls_session *session, const struct span *parts,
		      size_t n) FL_WARN_UNUSED;
/* Says close_notify and frees it; no event. */
void dtls_session_close(struct dtls_server *s, struct dtls_session *session);

const struct dtls_server_stats *dtls_server_stats(const struct dtls_server *s);
