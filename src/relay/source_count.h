/*
 * How many connections each source prefix (IPv4 /24, IPv6 /48) has that have proved nothing but
 * their address. Fixed memory, keyed: prefixes that share a counter share its limit, and nobody can
 * choose a neighbour.
 */
#pragma once

#include "base/addr.h"
#include "base/rng.h"

#define SOURCE_COUNTERS 4096

struct source_count {
	uint64_t key;
	uint32_t n[SOURCE_COUNTERS];
};

static inline void source_count_init(struct source_count *s, struct rng *rng)
{
	*s = (struct source_count){ .key = rng_u64(rng) };
}

/* False when the source has max of them; else it has one more, to be given back. */
bool source_count_take(struct source_count *s, const struct addr *from, uint32_t max);
void source_count_put(struct source_count *s, const struct addr *from);
