#include <errno.h>

#include "proto/turn/turn_internal.h"

#define TABLE_FIRST 16
#define HEAP_FIRST 16

int turn_table_init(struct turn_table *t)
{
	*t = (struct turn_table){ .mask = TABLE_FIRST - 1 };
	t->slots = calloc(TABLE_FIRST, sizeof(*t->slots));
	return t->slots ? 0 : -ENOMEM;
}

void turn_table_finish(struct turn_table *t)
{
	free(t->slots);
	*t = (struct turn_table){ 0 };
}

static void put(struct turn_table *t, uint64_t hash, void *value)
{
	uint64_t at = hash;

	while (t->slots[at & t->mask].value)
		at++;
	t->slots[at & t->mask] = (struct turn_slot){ hash, value };
}

static int grow(struct turn_table *t)
{
	size_t n = t->mask + 1;
	struct turn_slot *old = t->slots, *slots = calloc(2 * n, sizeof(*slots));

	if (!slots)
		return -ENOMEM;
	t->slots = slots;
	t->mask = 2 * n - 1;
	for (size_t i = 0; i < n; i++)
		if (old[i].value)
			put(t, old[i].hash, old[i].value);
	free(old);
	return 0;
}

int turn_table_add(struct turn_table *t, uint64_t hash, void *value)
{
	if (2 * (t->used + 1) > t->mask + 1 && grow(t) < 0)
		return -ENOMEM;
	put(t, hash, value);
	t->used++;
	return 0;
}

/* Moves later entries of the run into the gap, where that is not before their own place. */
static void close_gap(struct turn_table *t, size_t gap)
{
	for (size_t i = (gap + 1) & t->mask; t->slots[i].value; i = (i + 1) & t->mask) {
		size_t home = t->slots[i].hash & t->mask;

		if (((i - home) & t->mask) >= ((i - gap) & t->mask)) {
			t->slots[gap] = t->slots[i];
			gap = i;
		}
	}
	t->slots[gap] = (struct turn_slot){ 0 };
}

void turn_table_remove(struct turn_table *t, uint64_t hash, const void *value)
{
	for (size_t i = hash & t->mask; t->slots[i].value; i = (i + 1) & t->mask) {
		if (t->slots[i].value != value || t->slots[i].hash != hash)
			continue;
		close_gap(t, i);
		t->used--;
		return;
	}
}

static void heap_place(struct turn_heap *h, size_t at, struct turn_due item)
{
	h->items[at] = item;
	item.alloc->heap_at = at;
}

static void heap_sift(struct turn_heap *h, size_t at, struct turn_due item)
{
	for (; at > 0 && h->items[(at - 1) / 2].at > item.at; at = (at - 1) / 2)
		heap_place(h, at, h->items[(at - 1) / 2]);
	for (;;) {
		size_t child = 2 * at + 1;

		if (child + 1 < h->n && h->items[child + 1].at < h->items[child].at)
			child++;
		if (child >= h->n || h->items[child].at >= item.at)
			break;
		heap_place(h, at, h->items[child]);
		at = child;
	}
	heap_place(h, at, item);
}

int turn_heap_add(struct turn_heap *h, struct turn_alloc *a, usec_t at)
{
	if (h->n == h->cap) {
		size_t cap = h->cap ? 2 * h->cap : HEAP_FIRST;
		struct turn_due *items = realloc(h->items, cap * sizeof(*items));

		if (!items)
			return -ENOMEM;
		h->items = items;
		h->cap = cap;
	}
	h->n++;
	heap_sift(h, h->n - 1, (struct turn_due){ at, a });
	return 0;
}

void turn_heap_remove(struct turn_heap *h, struct turn_alloc *a)
{
	size_t at = a->heap_at;

	if (at == TURN_HEAP_NONE)
		return;
	a->heap_at = TURN_HEAP_NONE;
	h->n--;
	if (at < h->n)
		heap_sift(h, at, h->items[h->n]);
}

void turn_heap_set(struct turn_heap *h, struct turn_alloc *a, usec_t at)
{
	heap_sift(h, a->heap_at, (struct turn_due){ at, a });
}
