#include "base/rng.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

static void fill_system(struct rng *rng, void *dst, size_t len)
{
	uint8_t *p = dst;

	(void)rng;
	while (len) {
		ssize_t n = getrandom(p, len, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			abort(); /* no randomness: nothing that follows would be safe */
		p += n;
		len -= (size_t)n;
	}
}

struct rng *rng_system(void)
{
	static struct rng system_rng = { .fill = fill_system };

	return &system_rng;
}

static uint64_t rotl(uint64_t x, int k)
{
	return x << k | x >> (64 - k);
}

static uint64_t next_xoshiro(uint64_t s[4])
{
	uint64_t out = rotl(s[1] * 5, 7) * 9, t = s[1] << 17;

	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = rotl(s[3], 45);
	return out;
}

static void fill_seeded(struct rng *rng, void *dst, size_t len)
{
	uint8_t *p = dst;

	while (len) {
		uint64_t v = next_xoshiro(rng->state);
		size_t n = len < sizeof(v) ? len : sizeof(v);

		memcpy(p, &v, n);
		p += n;
		len -= n;
	}
}

void rng_seed(struct rng *rng, uint64_t seed)
{
	rng->fill = fill_seeded;
	for (int i = 0; i < 4; i++) {
		uint64_t z = seed += 0x9e3779b97f4a7c15;

		z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
		z = (z ^ z >> 27) * 0x94d049bb133111eb;
		rng->state[i] = z ^ z >> 31;
	}
}

uint32_t rng_u32(struct rng *rng)
{
	uint32_t v;

	rng_bytes(rng, &v, sizeof(v));
	return v;
}

uint64_t rng_u64(struct rng *rng)
{
	uint64_t v;

	rng_bytes(rng, &v, sizeof(v));
	return v;
}

uint32_t rng_below(struct rng *rng, uint32_t bound)
{
	uint32_t limit, v;

	assert(bound > 0);
	limit = UINT32_MAX - UINT32_MAX % bound; /* reject the uneven tail */
	do
		v = rng_u32(rng);
	while (v >= limit);
	return v % bound;
}
