/*
 * The hub's permission for one session (docs/protocol.md §3): a compact JWS (RFC 7515) with EdDSA
 * (RFC 8037). Checking is pure: the time and what was used before come in.
 */
#pragma once

#include <stdint.h>

#include "base/util.h"
#include "hublink/sign.h"
#include "policy/policy.h"

#define GRANT_TEXT_MAX 8192
#define GRANT_MODULES_MAX 16
#define GRANT_MODULE_MAX 32
#define GRANT_LEEWAY_S 60
#define GRANT_USED_MAX 1024 /* sessions remembered against replay */

struct grant {
	char session[128], user_id[128], user_name[256];
	char modules[GRANT_MODULES_MAX][GRANT_MODULE_MAX];
	size_t n_modules;
	int64_t expires;			 /* Unix seconds, by the hub's clock */
	char fingerprint[SIGN_FINGERPRINT_TEXT]; /* the console's */
	struct policy policy;			 /* complete; all is allowed where there is none */
};

/* What a grant is measured against. now: Unix seconds by the hub's clock as far as it is known. */
struct grant_check {
	const char *hub_key, *device, *session;
	const char *offer_fingerprint; /* upper-case hex with colons */
	int64_t now;
};

/* 0, FL_EUNAUTHENTICATED or FL_EMALFORMED with a sentence in why. Replay is grant_used_add()'s. */
int grant_verify(const char *text, const struct grant_check *check, struct grant *out,
		 char why[256]) FL_WARN_UNUSED;

struct grant_used {
	struct {
		char session[128];
		int64_t until;
	} items[GRANT_USED_MAX];
	size_t n;
};

/* Remembers a session until its grant cannot be used any more. 0, -EEXIST (used before), FL_EQUOTA.
 */
int grant_used_add(struct grant_used *used, const struct grant *g, int64_t now) FL_WARN_UNUSED;
