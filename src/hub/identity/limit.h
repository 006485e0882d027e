/*
 * Limits how often sign-in may be tried, per account and per address, in fixed memory. Each key has
 * a bucket that fills again over time. When the table is full the bucket that restrains least is
 * given up, so a flood of new addresses cannot free an address that was being held back.
 */
#pragma once

#include "base/addr.h"
#include "base/rng.h"
#include "base/usec.h"

#define LIMIT_WAYS 8
#define LIMIT_SETS 512

struct limit_bucket {
	uint64_t key; /* hash; 0: free */
	usec_t full;  /* when the bucket is whole again */
};

struct limit {
	uint64_t seed;
	usec_t refill_us; /* for one attempt */
	unsigned burst;
	struct limit_bucket buckets[LIMIT_SETS][LIMIT_WAYS];
};

void limit_init(struct limit *l, struct rng *rng, unsigned burst, usec_t refill_us);

/* Takes one attempt. 0: go on; else microseconds until the next is allowed. */
usec_t limit_take(struct limit *l, usec_t now, struct span key);
void limit_give_back(struct limit *l, usec_t now, struct span key); /* it went well */

/* An address as key: IPv4 whole, IPv6 by its /64, which is what one subscriber gets. */
struct span limit_addr_key(const struct addr *a, uint8_t room[16]);
