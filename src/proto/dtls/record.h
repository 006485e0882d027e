/*
 * Inside proto/dtls: the record layer for application data of one epoch under
 * TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 (RFC 5288, RFC 6347 §4.1).
 *
 *	 0      1        3       5            11      13              21
 *	+------+--------+-------+------------+-------+---------------+------------+---------+
 *	| type | version| epoch | sequence   | length| explicit nonce| ciphertext | tag 16  |
 *	+------+--------+-------+------------+-------+---------------+------------+---------+
 *
 * Handshake and alert records stay with OpenSSL, which counts its own sequence numbers in the same
 * epoch. So ours start at RECORD_FIRST_SEQ: above any that OpenSSL uses for repeating Finished, and
 * near enough that those still fall into the peer's replay window. The nonce is epoch and sequence
 * (RFC 5288 §3), OpenSSL's starts at 64 random bits.
 */
#pragma once

#include <openssl/ssl.h>
#include <stdbool.h>

#include "base/span.h"
#include "base/util.h"
#include "base/wire.h"

#define RECORD_HEADER_LEN 13
#define RECORD_NONCE_LEN 8
#define RECORD_TAG_LEN 16
#define RECORD_FIRST_SEQ 24

enum record_type {
	RECORD_CHANGE_CIPHER_SPEC = 20,
	RECORD_ALERT = 21,
	RECORD_HANDSHAKE = 22,
	RECORD_APPLICATION_DATA = 23,
};

struct record_layer {
	EVP_CIPHER_CTX *seal, *open;
	uint8_t seal_salt[4], open_salt[4];
	uint64_t next_seq;
	uint64_t highest, window; /* replay: highest accepted, and a bit for each of the 64 below */
	bool any;
};

/* Keys from the session of a handshake that has at least sent or verified a Finished. 0, -ENOMEM,
 * FL_ETLS. */
int record_init(struct record_layer *r, SSL *ssl, bool client) FL_WARN_UNUSED;
void record_finish(struct record_layer *r);

static inline bool record_ready(const struct record_layer *r)
{
	return r->seal != NULL;
}

/* Writes a whole record at w. 0 or FL_ETLS; a w that is too small fails. */
int record_seal(struct record_layer *r, enum record_type type, struct span plain,
		struct writer *w) FL_WARN_UNUSED;

/* record is header and body. The plaintext's length into dst (cap at least the record's length), or
 * FL_EMALFORMED, FL_EUNAUTHENTICATED (wrong tag), -EALREADY (replayed or too old). */
int record_open(struct record_layer *r, struct span record, uint8_t *dst,
		size_t cap) FL_WARN_UNUSED;
