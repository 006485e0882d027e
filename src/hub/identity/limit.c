#include "hub/identity/limit.h"

#include <string.h>

void limit_init(struct limit *l, struct rng *rng, unsigned burst, usec_t refill_us)
{
	memset(l, 0, sizeof(*l));
	l->seed = rng_u64(rng);
	l->burst = burst;
	l->refill_us = refill_us;
}

/* FNV-1a over a secret start, then a finalizer (murmur3's), so sets cannot be aimed at. */
static uint64_t hash_of(const struct limit *l, struct span key)
{
	uint64_t h = 0xcbf29ce484222325u ^ l->seed;

	for (size_t i = 0; i < key.len; i++)
		h = (h ^ key.ptr[i]) * 0x100000001b3u;
	h ^= h >> 33;
	h *= 0xff51afd7ed558ccdu;
	h ^= h >> 33;
	h *= 0xc4ceb9fe1a85ec53u;
	h ^= h >> 33;
	return h ? h : 1;
}

static struct limit_bucket *find(struct limit *l, uint64_t key, bool make)
{
	struct limit_bucket *set = l->buckets[key % LIMIT_SETS], *least = set;

	for (size_t i = 0; i < LIMIT_WAYS; i++) {
		if (set[i].key == key)
			return &set[i];
		if (set[i].full < least->full)
			least = &set[i];
	}
	if (!make)
		return NULL;
	*least = (struct limit_bucket){ .key = key };
	return least;
}

usec_t limit_take(struct limit *l, usec_t now, struct span key)
{
	struct limit_bucket *b = find(l, hash_of(l, key), true);
	usec_t whole = l->burst * l->refill_us, full = FL_MAX(b->full, now) + l->refill_us;

	if (full - now > whole)
		return full - now - whole;
	b->full = full;
	return 0;
}

void limit_give_back(struct limit *l, usec_t now, struct span key)
{
	struct limit_bucket *b = find(l, hash_of(l, key), false);

	if (b && b->full > now)
		b->full -= FL_MIN(l->refill_us, b->full - now);
}

struct span limit_addr_key(const struct addr *a, uint8_t room[16])
{
	struct addr plain = addr_unmap(a);

	memcpy(room, plain.ip, 16);
	return span_of(room, plain.family == ADDR_V6 ? 8 : 4);
}
