#include "base/map.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/err.h"

#define MAP_FIRST_SLOTS 16

struct slot {
	uint64_t hash; /* 0: never used, 1: removed, else the key's hash */
	void *value;
	uint8_t *key;
	size_t key_len;
};

struct map {
	struct slot *slots;
	size_t n_slots, used, live, max; /* used counts removed slots too */
	uint64_t k0, k1;
};

static uint64_t rotl(uint64_t x, int b)
{
	return x << b | x >> (64 - b);
}

static void sip_round(uint64_t v[4])
{
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

/* SipHash-1-3 (Aumasson, Bernstein 2012, with the rounds that hash tables use). */
static uint64_t hash_key(const struct map *m, struct span key)
{
	uint64_t v[4] = { m->k0 ^ 0x736f6d6570736575, m->k1 ^ 0x646f72616e646f6d,
			  m->k0 ^ 0x6c7967656e657261, m->k1 ^ 0x7465646279746573 };
	uint64_t word = 0, h;

	for (size_t i = 0; i < key.len; i++) {
		word |= (uint64_t)key.ptr[i] << (8 * (i % 8));
		if (i % 8 == 7) {
			v[3] ^= word;
			sip_round(v);
			v[0] ^= word;
			word = 0;
		}
	}
	word |= (uint64_t)key.len << 56;
	v[3] ^= word;
	sip_round(v);
	v[0] ^= word;
	v[2] ^= 0xff;
	for (int i = 0; i < 3; i++)
		sip_round(v);
	h = v[0] ^ v[1] ^ v[2] ^ v[3];
	return h < 2 ? h + 2 : h;
}

struct map *map_create(struct rng *rng, size_t max)
{
	struct map *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->slots = calloc(MAP_FIRST_SLOTS, sizeof(*m->slots));
	if (!m->slots) {
		free(m);
		return NULL;
	}
	m->n_slots = MAP_FIRST_SLOTS;
	m->max = max;
	m->k0 = rng_u64(rng);
	m->k1 = rng_u64(rng);
	return m;
}

void map_destroy(struct map *m)
{
	if (!m)
		return;
	for (size_t i = 0; i < m->n_slots; i++)
		free(m->slots[i].key);
	free(m->slots);
	free(m);
}

static struct slot *find(const struct map *m, struct span key, uint64_t hash)
{
	for (size_t i = hash & (m->n_slots - 1);; i = (i + 1) & (m->n_slots - 1)) {
		struct slot *s = &m->slots[i];

		if (s->hash == 0)
			return NULL;
		if (s->hash == hash && span_equal(span_of(s->key, s->key_len), key))
			return s;
	}
}

static struct slot *free_slot(struct slot *slots, size_t n, uint64_t hash)
{
	size_t i = hash & (n - 1);

	while (slots[i].hash > 1)
		i = (i + 1) & (n - 1);
	return &slots[i];
}

static int rehash(struct map *m)
{
	size_t n = m->live * 4 > m->n_slots ? m->n_slots * 2 : m->n_slots;
	struct slot *slots = calloc(n, sizeof(*slots));

	if (!slots)
		return -ENOMEM;
	for (size_t i = 0; i < m->n_slots; i++)
		if (m->slots[i].hash > 1)
			*free_slot(slots, n, m->slots[i].hash) = m->slots[i];
	free(m->slots);
	m->slots = slots;
	m->n_slots = n;
	m->used = m->live;
	return 0;
}

int map_put(struct map *m, struct span key, void *value)
{
	uint64_t hash = hash_key(m, key);
	struct slot *s;
	uint8_t *copy;

	assert(value);
	if (find(m, key, hash))
		return -EEXIST;
	if (m->live >= m->max)
		return FL_EQUOTA;
	if ((m->used + 1) * 4 > m->n_slots * 3 && rehash(m) < 0)
		return -ENOMEM;
	copy = malloc(key.len ? key.len : 1);
	if (!copy)
		return -ENOMEM;
	if (key.len)
		memcpy(copy, key.ptr, key.len);
	s = free_slot(m->slots, m->n_slots, hash);
	m->used += s->hash == 0;
	m->live++;
	*s = (struct slot){ hash, value, copy, key.len };
	return 0;
}

void *map_get(const struct map *m, struct span key)
{
	struct slot *s = find(m, key, hash_key(m, key));

	return s ? s->value : NULL;
}

void *map_remove(struct map *m, struct span key)
{
	struct slot *s = find(m, key, hash_key(m, key));
	void *value;

	if (!s)
		return NULL;
	value = s->value;
	free(s->key);
	*s = (struct slot){ .hash = 1 };
	m->live--;
	return value;
}

size_t map_count(const struct map *m)
{
	return m->live;
}

void *map_next(const struct map *m, size_t *cursor)
{
	while (*cursor < m->n_slots) {
		const struct slot *s = &m->slots[(*cursor)++];

		if (s->hash > 1)
			return s->value;
	}
	return NULL;
}
