/*
 * Hash map from a short byte key to a pointer. Keys are copied, values belong to the caller. The
 * hash is keyed per map with SipHash-like mixing from the seed, so a stranger who picks the keys
 * cannot pick the collisions. Bounded: map_put() refuses past max entries.
 */
#pragma once

#include <stdbool.h>

#include "base/rng.h"
#include "base/span.h"
#include "base/util.h"

struct map;

/* NULL when there is no memory. */
struct map *map_create(struct rng *rng, size_t max);
void map_destroy(struct map *m); /* NULL is fine; values are not touched */

/* 0, -EEXIST (nothing changed), FL_EQUOTA, -ENOMEM. value must not be NULL. */
int map_put(struct map *m, struct span key, void *value) FL_WARN_UNUSED;
void *map_get(const struct map *m, struct span key); /* NULL when absent */
void *map_remove(struct map *m, struct span key);    /* the value, NULL when absent */
size_t map_count(const struct map *m);

/*
 * Walks all entries in no order: start with cursor 0, until it returns NULL. The current entry may
 * be removed during the walk; adding entries may make it miss or repeat some.
 */
void *map_next(const struct map *m, size_t *cursor);
