/*
 * The hub's Ed25519 key (RFC 8032): what clients pin at enrolment, what signs grants and proofs,
 * and what enrolment secrets are derived from. Also the checks of other people's signatures over
 * lines (docs/protocol.md §2.3) and the small secrets: cookies, codes, API keys.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/rng.h"
#include "base/text.h"
#include "base/util.h"

#define HUBKEY_LEN 32
#define HUBKEY_TEXT_CAP TEXT_B64_LEN(32)
#define SIGNATURE_TEXT_CAP TEXT_B64_LEN(64)
#define LINES_MAX 8

struct hubkey;

/* Reads the file (32 bytes of seed, mode 0600) or makes it. 0 or negative with a sentence. */
int hubkey_open(const char *path, struct rng *rng, struct hubkey **out,
		char why[256]) FL_WARN_UNUSED;
/* From a seed in memory, for tests. NULL: no memory. */
struct hubkey *hubkey_from_seed(const uint8_t seed[32]);
void hubkey_destroy(struct hubkey *k); /* NULL is fine; wiped */

const char *hubkey_public(const struct hubkey *k); /* base64url */
const char *hubkey_id(const struct hubkey *k);	   /* base64url of SHA-256 over the public key */

/* Signs n texts joined by 0x0A; out is base64url. 0 or negative. */
int hubkey_sign_lines(const struct hubkey *k, const char *const *lines, size_t n,
		      char out[SIGNATURE_TEXT_CAP]) FL_WARN_UNUSED;
int hubkey_sign(const struct hubkey *k, struct span data,
		char out[SIGNATURE_TEXT_CAP]) FL_WARN_UNUSED;

/* Is this base64url signature by that public key over the joined lines? */
bool signature_fits(const uint8_t key[32], const char *const *lines, size_t n,
		    const char *signature);

/* 32 bytes out of 43 characters; false when it is anything else. */
bool key_from_text(const char *text, uint8_t out[32]);

/* The secret of an enrolment token: HMAC of the key and the token's id, so the database holds no
 * secret and a token can be checked without one. */
void hubkey_token_secret(const struct hubkey *k, const char *token_id, uint8_t out[32]);

/* proof = HMAC-SHA256(secret, "fairlead-enrol-v1" | publicKey), compared in constant time. */
bool enrol_proof_fits(const uint8_t secret[32], const char *public_key, const char *proof);

/* 32 random bytes as base64url, and their hash as it is stored. */
void secret_make(struct rng *rng, char text[HUBKEY_TEXT_CAP], uint8_t hash[32]);
void secret_hash(struct span text, uint8_t hash[32]); /* SHA-256 */

/* n random bytes (at most 16) as base64url. */
void id_make(struct rng *rng, size_t n, char *out, size_t cap);
