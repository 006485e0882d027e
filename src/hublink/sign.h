/*
 * The signatures of docs/protocol.md §2.3, §3 and the enrolment proof of §1: Ed25519 (RFC 8032) and
 * HMAC-SHA256. Keys and signatures are base64url text, as they travel.
 */
#pragma once

#include "base/span.h"
#include "base/text.h"
#include "base/util.h"

#define SIGN_SEED_LEN 32
#define SIGN_KEY_TEXT TEXT_B64_LEN(32)	     /* room for a public key or a SHA-256 */
#define SIGN_SIGNATURE_TEXT TEXT_B64_LEN(64) /* room for a signature */
#define SIGN_LINES_MAX 8
#define SIGN_FINGERPRINT_TEXT 96 /* SHA-256 as upper-case hex with colons, and the 0 */

struct sign_key;

/* seed: the private key; NULL: a new random one. 0 or -ENOMEM, FL_ETLS. */
int sign_key_create(const uint8_t seed[SIGN_SEED_LEN], struct sign_key **out) FL_WARN_UNUSED;
void sign_key_destroy(struct sign_key *k); /* NULL is fine; wiped */
const char *sign_key_public(const struct sign_key *k);
void sign_key_seed(const struct sign_key *k, uint8_t seed[SIGN_SEED_LEN]); /* a secret */

/* Signs the texts joined by 0x0A. 0 or negative. */
int sign_lines(const struct sign_key *k, const char *const *lines, size_t n,
	       char out[SIGN_SIGNATURE_TEXT]) FL_WARN_UNUSED;

/* False also for a key or signature that is no such text. */
bool sign_check(const char *public_key, struct span data, const char *signature);
bool sign_check_lines(const char *public_key, const char *const *lines, size_t n,
		      const char *signature);

/* "sha-256 ab:cd:…" or the hex alone becomes the signed form; false: it is no SHA-256 fingerprint.
 */
bool sign_fingerprint(const char *text, char out[SIGN_FINGERPRINT_TEXT]);

/* An enrolment token "fl1.ID.SECRET.HUB". */
struct enrol_token {
	char id[16];
	uint8_t secret[32];
	char hub[SIGN_KEY_TEXT]; /* SHA-256 of the hub's key, base64url */
};
int enrol_token_parse(const char *text, struct enrol_token *out) FL_WARN_UNUSED;
/* proof = HMAC-SHA256(secret, "fairlead-enrol-v1" | publicKey) */
int enrol_token_proof(const struct enrol_token *t, const char *public_key,
		      char out[SIGN_KEY_TEXT]) FL_WARN_UNUSED;
bool enrol_token_names(const struct enrol_token *t, const char *hub_key);
