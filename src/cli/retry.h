/*
 * When a transfer that was cut is tried again, and when it is given up: after so long without any
 * progress, however many attempts that took. A core: it is told the time.
 */
#pragma once

#include "hublink/backoff.h"

struct retry {
	usec_t limit_us; /* without progress; 0: never try again */
	usec_t since;	 /* of the first failure after the last progress; 0: none */
	struct backoff backoff;
};

/* Something arrived that was not there before. */
void retry_progress(struct retry *r);
/* An attempt failed. How long to wait before the next one; USEC_NEVER: it is given up. */
usec_t retry_failed(struct retry *r, usec_t now, struct rng *rng);
