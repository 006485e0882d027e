#include "base/map.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/siphash.h"

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
	uint8_t sip[SIPHASH_KEY_LEN];
};

static uint64_t hash_key(const struct map *m, struct span key)
{
	uint64_t h = siphash13(m->sip, key);

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
	rng_bytes(rng, m->sip, sizeof(m->sip));
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
