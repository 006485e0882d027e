/*
 * Long-term credentials (RFC 8489 §9.2) as a TURN server checks them: static users, and the time-
 * limited ones that every client has (user name "expiry:name", password base64(HMAC-SHA1(secret,
 * user name)), of draft-uberti-behave-turn-rest). Two secrets are valid at once, so that they can
 * be rotated. Password algorithms MD5 and SHA-256, USERHASH for static users,
 * MESSAGE-INTEGRITY-SHA256.
 *
 * Nonces are stateless: time, the port, and a MAC over both and the client's IP with a key that the
 * owner keeps, behind the "obMatJos2" cookie with its security features (RFC 8489 §9.2). So any
 * worker, and the relay after a reload, knows its nonces again; and a request with a good nonce
 * proves that its sender can receive at the address it claims. The port makes nonces of two ports
 * differ (§9.2.4 wants that); when the nonce comes back it may be another, as a NAT may change it.
 *
 * Whether a user exists cannot be told from what an answer says, nor from the work done for it:
 * an unknown name takes the same steps, with a key that nobody has.
 *
 * User names and passwords are taken as they are; what OpaqueString (RFC 8265) does to them was
 * done before.
 *
 * A struct turn_auth is immutable, so threads may share it; a reload makes a new one.
 */
#pragma once

#include "base/addr.h"
#include "proto/stun/stun.h"

#define TURN_AUTH_USERS_MAX 10000
#define TURN_AUTH_SECRETS_MAX 2
#define TURN_AUTH_NONCE_KEY_LEN 16
#define TURN_AUTH_NONCE_S 3600 /* RFC 8489 §9.2.9 and RFC 8656 §5: at most an hour */
#define TURN_AUTH_USER_MAX 128 /* bytes of a user name that we take; longer is 401 */
#define TURN_AUTH_REALM_MAX 127
#define TURN_AUTH_SECRET_MAX 256

struct turn_auth_user {
	const char *name, *password;
};

struct turn_auth_config {
	const char *realm;
	const struct turn_auth_user *users;
	size_t n_users;
	const char *secrets[TURN_AUTH_SECRETS_MAX]; /* NULL: none */
	uint8_t nonce_key[TURN_AUTH_NONCE_KEY_LEN];
	unsigned nonce_s; /* 0: TURN_AUTH_NONCE_S */
};

struct turn_auth;
/* Copies everything. 0, -ENOMEM, FL_EQUOTA (more than TURN_AUTH_USERS_MAX), FL_EMALFORMED (an empty
 * or over-long name, realm or secret, a name twice, nonce_s over TURN_AUTH_NONCE_S). */
int turn_auth_create(const struct turn_auth_config *config, struct turn_auth **out) FL_WARN_UNUSED;
void turn_auth_destroy(struct turn_auth *a); /* NULL is fine; wipes */

enum turn_integrity { TURN_INTEGRITY_SHA1, TURN_INTEGRITY_SHA256 };

/* Who a request was found to come from, and how its answer is to be sealed. */
struct turn_credential {
	/* the name without expiry: whose quota it is; empty for "expiry" without a name */
	char user[TURN_AUTH_USER_MAX + 1];
	int64_t expires_s; /* Unix time; INT64_MAX for static users */
	enum turn_integrity integrity;
	uint8_t key[32];
	uint8_t key_len; /* 16 or 32 */
	/* the request came with a nonce that we gave to this IP, whether or not the rest was right
	 */
	bool reachable;
};

/*
 * Checks a request. 0 and *out; or the error code to answer: 400, 401, 438. For 401 and 438 the
 * answer carries turn_auth_challenge(). *out's reachable is set in every case.
 */
int turn_auth_check(const struct turn_auth *a, const struct stun_msg *m, const struct addr *client,
		    int64_t unix_s, struct turn_credential *out) FL_WARN_UNUSED;

/* Whether the request has such a nonce. Costs little, and tells before anything else is done for
 * it.
 */
bool turn_auth_reachable(const struct turn_auth *a, const struct stun_msg *m,
			 const struct addr *client, int64_t unix_s);

/* REALM, NONCE and PASSWORD-ALGORITHMS for an error answer. */
void turn_auth_challenge(const struct turn_auth *a, struct stun_out *o, const struct addr *client,
			 int64_t unix_s);

/* MESSAGE-INTEGRITY-SHA256 for a request with PASSWORD-ALGORITHM, else MESSAGE-INTEGRITY (§9.2.4).
 */
void turn_auth_seal(struct stun_out *o, const struct turn_credential *c);

/* Password of a time-limited user name; for the hub, which mints them, and for tests. out needs 29
 * bytes: base64 of 20 and the 0. */
#define TURN_AUTH_PASSWORD_LEN 29
void turn_auth_password(const char *secret, const char *user,
			char out[TURN_AUTH_PASSWORD_LEN]); /* empty when libcrypto refuses */
/* MD5 or SHA-256 of "user:realm:password" (RFC 8489 §18.5.1); returns the key's length, 0 when
 * libcrypto refuses. */
size_t turn_auth_key(const char *user, const char *realm, const char *password, bool sha256,
		     uint8_t key[32]);
