/*
 * The digests of STUN (RFC 8489): HMAC-SHA1 and HMAC-SHA256 for message integrity (§14.5, §14.6),
 * MD5 and SHA-256 for keys and user hashes (§9.2.2, §14.4, §18.5). By libcrypto, whose algorithms
 * are looked up once in the process: looking them up in every call, as its one-shot HMAC() does,
 * takes three times as long as the work itself. Threads may call these at once.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"
#include "base/util.h"

enum stun_hash { STUN_HASH_MD5, STUN_HASH_SHA1, STUN_HASH_SHA256 };

#define STUN_HASH_MAX 32 /* bytes of the longest digest */

size_t stun_hash_len(enum stun_hash h);

/*
 * Over the parts as if they stood in one piece. out gets stun_hash_len() bytes. False only when
 * libcrypto cannot (no memory, or the algorithm is forbidden on this machine).
 */
bool stun_digest(enum stun_hash h, const struct span *parts, size_t n_parts,
		 uint8_t out[STUN_HASH_MAX]) FL_WARN_UNUSED;
bool stun_hmac(enum stun_hash h, struct span key, const struct span *parts, size_t n_parts,
	       uint8_t out[STUN_HASH_MAX]) FL_WARN_UNUSED;
