/*
 * When to try the hub again (docs/protocol.md §2.3): from 200 ms, doubling to 3 s during the first
 * minute, then to 60 s; each wait is a random part between half and all of it, so that a thousand
 * clients do not come back at once.
 */
#pragma once

#include "base/rng.h"
#include "base/usec.h"

struct backoff {
	usec_t began; /* of the outage; 0: none */
	usec_t wait;
};

void backoff_reset(struct backoff *b); /* the connection works */
usec_t backoff_next(struct backoff *b, usec_t now, struct rng *rng);
