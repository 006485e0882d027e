/*
 * Randomness as a parameter. Programs pass rng_system(); tests pass a seeded one, so that a failing
 * run can be repeated from its seed. A seeded generator must never reach a program.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct rng {
	void (*fill)(struct rng *rng, void *dst, size_t len);
	uint64_t state[4]; /* of the seeded generator */
};

/* The kernel's generator (getrandom). Shared, has no state, never fails after boot. */
struct rng *rng_system(void);

/* xoshiro256**, seeded by splitmix64. For tests and simulation only. */
void rng_seed(struct rng *rng, uint64_t seed);

static inline void rng_bytes(struct rng *rng, void *dst, size_t len)
{
	rng->fill(rng, dst, len);
}

uint32_t rng_u32(struct rng *rng);
uint64_t rng_u64(struct rng *rng);

/* Uniform in [0, bound), bound > 0. */
uint32_t rng_below(struct rng *rng, uint32_t bound);
