#include "base/siphash.h"

static uint64_t rotl(uint64_t x, int b)
{
	return x << b | x >> (64 - b);
}

/* Up to eight bytes, least significant first. */
static uint64_t load(const uint8_t *p, size_t n)
{
	uint64_t v = 0;

	for (size_t i = 0; i < n; i++)
		v |= (uint64_t)p[i] << (8 * i);
	return v;
}

static inline void rounds(uint64_t v[4], int n)
{
	for (int i = 0; i < n; i++) {
		v[0] += v[1];
		v[1] = rotl(v[1], 13) ^ v[0];
		v[0] = rotl(v[0], 32);
		v[2] += v[3];
		v[3] = rotl(v[3], 16) ^ v[2];
		v[0] += v[3];
		v[3] = rotl(v[3], 21) ^ v[0];
		v[2] += v[1];
		v[1] = rotl(v[1], 17) ^ v[2];
		v[2] = rotl(v[2], 32);
	}
}

static inline uint64_t siphash(const uint8_t *key, struct span s, int c, int d)
{
	uint64_t k0 = load(key, 8), k1 = load(key + 8, 8), word;
	uint64_t v[4] = { k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d, k0 ^ 0x6c7967656e657261,
			  k1 ^ 0x7465646279746573 };
	size_t whole = s.len / 8 * 8;

	for (size_t i = 0; i < whole; i += 8) {
		word = load(s.ptr + i, 8);
		v[3] ^= word;
		rounds(v, c);
		v[0] ^= word;
	}
	word = (uint64_t)s.len << 56;
	if (s.len > whole)
		word |= load(s.ptr + whole, s.len - whole);
	v[3] ^= word;
	rounds(v, c);
	v[0] ^= word;
	v[2] ^= 0xff;
	rounds(v, d);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

uint64_t siphash24(const uint8_t key[SIPHASH_KEY_LEN], struct span s)
{
	return siphash(key, s, 2, 4);
}

uint64_t siphash13(const uint8_t key[SIPHASH_KEY_LEN], struct span s)
{
	return siphash(key, s, 1, 3);
}
