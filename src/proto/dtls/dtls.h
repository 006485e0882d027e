/*
 * DTLS 1.2 (RFC 6347) for WebRTC (RFC 8827 §6.5): a connection between two self-signed ECDSA P-256
 * certificates that are verified by fingerprint (RFC 8122), with use_srtp (RFC 5764).
 *
 * The interface names no TLS library. Behind it is OpenSSL 3 for the handshake, one SSL over a
 * datagram BIO of our own that keeps packet boundaries. Application data goes through record.h: it
 * costs a third of SSL_write(), and it lets the active side speak as soon as its own Finished is
 * out (False Start, RFC 7918), a whole round trip earlier. The one cipher suite is the one every
 * WebRTC endpoint must have (RFC 8827 §6.5): ECDHE-ECDSA with AES-128-GCM.
 *
 * What is not pure here: OpenSSL takes its randomness from its own generator, and reads
 * gettimeofday() itself to decide whether its retransmission timer has run out. dtls_deadline() is
 * computed from now and what OpenSSL says is left. A test in virtual time defines gettimeofday() in
 * its own executable.
 *
 * Trust: handshake messages are handled before the peer's fingerprint is known, so that no round
 * trip is lost to the signalling. Application data, keying material and DTLS_CONNECTED are held
 * back until dtls_set_fingerprint() was called and the peer's certificate has exactly that
 * fingerprint. A different one is DTLS_FAILED.
 *
 * Ownership: a struct dtls keeps a reference to its identity. Left to others: which packets are
 * DTLS (RFC 7983), where they come from, and the SRTP transforms.
 */
#pragma once

#include <stdbool.h>

#include "base/span.h"
#include "base/usec.h"
#include "base/util.h"

#define DTLS_FINGERPRINT_LEN 32 /* SHA-256 */
/* "sha-256 AB:CD:…" and the 0 */
#define DTLS_FINGERPRINT_TEXT_MAX (8 + 3 * DTLS_FINGERPRINT_LEN)

#define DTLS_LINK_MTU 1200	  /* bytes of one datagram at most, also during the handshake */
#define DTLS_RECORD_OVERHEAD 37	  /* header, explicit nonce and tag around dtls_send()'s data */
#define DTLS_OUTPUT_MAX (1 << 20) /* bytes queued for next_output; what is beyond is dropped */
#define DTLS_RETRANSMIT_US 60000  /* first wait for an answer, doubled each time … */
#define DTLS_RETRANSMIT_MAX_US 2000000 /* … up to this */
#define DTLS_HELD_MAX 16	       /* datagrams kept until the fingerprint is known */

/* A key and its certificate. Reference counted; shared by any number of connections. */
struct dtls_identity;

int dtls_identity_create(struct dtls_identity **out) FL_WARN_UNUSED;
struct dtls_identity *dtls_identity_ref(struct dtls_identity *id);
void dtls_identity_unref(struct dtls_identity *id); /* NULL is fine */
const uint8_t *dtls_identity_fingerprint(const struct dtls_identity *id);
const char *dtls_identity_fingerprint_text(const struct dtls_identity *id);

/* "sha-256 AB:CD:…" (RFC 8122 §5); hexadecimal in either case. 0, FL_EMALFORMED or FL_EUNSUPPORTED
 * (another hash). */
int dtls_fingerprint_parse(struct span text, uint8_t out[DTLS_FINGERPRINT_LEN]) FL_WARN_UNUSED;
void dtls_fingerprint_format(const uint8_t fp[DTLS_FINGERPRINT_LEN],
			     char out[DTLS_FINGERPRINT_TEXT_MAX]);

enum dtls_role { DTLS_ACTIVE, DTLS_PASSIVE }; /* client, server; "setup" of RFC 4145 */

/* Values of the use_srtp extension (RFC 5764 §4.1.2, RFC 7714 §14.2). */
enum dtls_srtp_profile {
	DTLS_SRTP_NONE = 0,
	DTLS_SRTP_AES128_CM_SHA1_80 = 1,
	DTLS_SRTP_AEAD_AES_128_GCM = 7,
};

enum dtls_event_type {
	DTLS_MAY_SEND,	/* dtls_send() works: the peer's certificate is the right one and keys are
			   there. Comes before DTLS_CONNECTED, on the active side a round trip */
	DTLS_CONNECTED, /* both Finished arrived and the fingerprint is the expected one */
	DTLS_DATA,	/* data: one record's plaintext */
	DTLS_CLOSED,	/* close_notify arrived */
	DTLS_FAILED,	/* reason: a sentence for people */
};

struct dtls_event {
	enum dtls_event_type type;
	struct span data; /* borrowed until the next call */
	const char *reason;
};

struct dtls_stats {
	uint64_t records_in, records_out, retransmissions;
	uint64_t malformed; /* not DTLS, or dropped inside: replayed, wrong tag */
	uint64_t dropped;   /* our output queue or the held datagrams were full */
};

struct dtls;

int dtls_create(struct dtls_identity *id, enum dtls_role role, struct dtls **out) FL_WARN_UNUSED;
void dtls_destroy(struct dtls *d); /* NULL is fine; sends nothing */

/* The active side's first flight; nothing for the passive one. 0 or -ENOMEM. */
int dtls_start(struct dtls *d, usec_t now) FL_WARN_UNUSED;

/* One datagram. Whatever it holds, the result is an event or a counter. 0 or -ENOMEM. */
int dtls_input(struct dtls *d, usec_t now, struct span datagram) FL_WARN_UNUSED;
int dtls_timeout(struct dtls *d, usec_t now) FL_WARN_UNUSED;
/* The flight that waits for an answer once more, byte by byte the same: for when it may not have
 * got out of the network. Such a repeat does not make dtls_timeout()'s intervals longer, but the
 * other side drops it as replayed if it did get the first one: it replaces no dtls_timeout(). */
void dtls_repeat(struct dtls *d);
/* Borrowed until the next call on d. */
bool dtls_next_output(struct dtls *d, struct span *datagram);
bool dtls_next_event(struct dtls *d, struct dtls_event *event);
usec_t dtls_deadline(const struct dtls *d);

/* What the peer's description says. May come before, during or after the handshake; a second call
 * with another value fails the connection. */
int dtls_set_fingerprint(struct dtls *d, usec_t now,
			 const uint8_t fp[DTLS_FINGERPRINT_LEN]) FL_WARN_UNUSED;

/* One record with data as its content. 0, FL_ESTATE before DTLS_MAY_SEND, -EMSGSIZE when it would
 * not fit DTLS_LINK_MTU, FL_EQUOTA when the output queue is full. */
int dtls_send(struct dtls *d, struct span data);

/* RFC 5705. FL_ESTATE before DTLS_CONNECTED. */
int dtls_export(struct dtls *d, const char *label, uint8_t *out, size_t len) FL_WARN_UNUSED;
enum dtls_srtp_profile dtls_srtp_profile(const struct dtls *d);

/* Queues close_notify; nothing can be sent after it. */
void dtls_close(struct dtls *d);

bool dtls_connected(const struct dtls *d);
const struct dtls_stats *dtls_stats(const struct dtls *d);
