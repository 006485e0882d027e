/* Grants: compact JWS (RFC 7515) with EdDSA (RFC 8037), docs/protocol.md §3. */
#pragma once

#include <jansson.h>

#include "hub/identity/hubkey.h"

#define GRANT_LIFE_S 60
#define FINGERPRINT_CAP 128 /* "sha-256 " and 95 characters, and the 0 */

struct grant {
	const char *session, *user, *name, *device;
	json_t *modules; /* array of names; borrowed */
	json_t *policy;	 /* object; borrowed */
	int64_t issued;	 /* seconds since 1970 */
	const char *fingerprint;
};

/* A string the caller frees, or NULL: no memory. */
char *grant_sign(const struct hubkey *k, const struct grant *g);

/*
 * The one DTLS fingerprint of an offer ("sha-256 AB:CD:…", RFC 8122), hash name in lower case,
 * digits in upper case. False when there is none, when two differ, or when it is malformed.
 */
bool grant_fingerprint(struct span sdp, char out[FINGERPRINT_CAP]);
