#include "proto/rtp/store.h"

#include <assert.h>
#include <stdlib.h>

struct store {
	uint16_t first_seq;
	uint64_t oldest, next, end;
	size_t waiting_bytes;
	size_t head; /* where in the ring the next packet goes */
	uint8_t *ring;
	struct store_packet slots[STORE_PACKETS_MAX];
};

static struct store_packet *slot(struct store *s, uint64_t index)
{
	return &s->slots[index % STORE_PACKETS_MAX];
}

struct store *store_create(uint16_t first_seq)
{
	struct store *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->first_seq = first_seq;
	s->ring = malloc(STORE_BYTES_MAX);
	if (!s->ring) {
		free(s);
		return NULL;
	}
	return s;
}

void store_destroy(struct store *s)
{
	if (!s)
		return;
	free(s->ring);
	free(s);
}

/* True when the oldest packet's bytes lie in [head, head + max). */
static bool in_the_way(struct store *s, size_t max)
{
	const struct store_packet *p = slot(s, s->oldest);
	size_t at = (size_t)(p->data - s->ring);

	return at < s->head + max && at + p->len > s->head;
}

/* Evicts what lies in [head, head + max), and behind it what is left of the ring's end. */
static bool make_room(struct store *s, size_t max)
{
	while (s->oldest < s->end && in_the_way(s, max)) {
		if (s->oldest == s->next)
			return false;
		s->oldest++;
	}
	return true;
}

/* Packets between head and the ring's end are the oldest ones: they go before the head wraps. */
static bool wrap(struct store *s)
{
	if (!make_room(s, STORE_BYTES_MAX - s->head))
		return false;
	s->head = 0;
	return true;
}

uint8_t *store_reserve(struct store *s, size_t max)
{
	assert(max <= STORE_BYTES_MAX);
	if (s->end - s->next == STORE_PACKETS_MAX)
		return NULL;
	if (STORE_BYTES_MAX - s->head < max && !wrap(s))
		return NULL;
	if (!make_room(s, max))
		return NULL;
	if (s->end - s->oldest == STORE_PACKETS_MAX)
		s->oldest++;
	return s->ring + s->head;
}

struct store_packet *store_push(struct store *s, size_t len)
{
	struct store_packet *p = slot(s, s->end);

	*p = (struct store_packet){ .data = s->ring + s->head,
				    .len = (uint16_t)len,
				    .seq = store_end_seq(s) };
	s->head += len;
	s->end++;
	s->waiting_bytes += len;
	return p;
}

uint64_t store_end(const struct store *s)
{
	return s->end;
}

uint64_t store_next(const struct store *s)
{
	return s->next;
}

uint16_t store_end_seq(const struct store *s)
{
	return (uint16_t)(s->first_seq + s->end);
}

size_t store_waiting_bytes(const struct store *s)
{
	return s->waiting_bytes;
}

struct store_packet *store_at(struct store *s, uint64_t index)
{
	return index >= s->oldest && index < s->end ? slot(s, index) : NULL;
}

struct store_packet *store_find(struct store *s, uint16_t seq)
{
	uint16_t back = (uint16_t)(s->first_seq + s->next - 1 - seq);
	struct store_packet *p;

	if (s->next == s->oldest || back >= s->next - s->oldest)
		return NULL;
	p = slot(s, s->next - 1 - back);
	assert(p->seq == seq);
	return p;
}

struct store_packet *store_send(struct store *s, usec_t now)
{
	struct store_packet *p = slot(s, s->next);

	assert(s->next < s->end);
	s->next++;
	s->waiting_bytes -= p->len;
	p->sent_us = now;
	return p;
}

void store_truncate(struct store *s, uint64_t index)
{
	assert(index >= s->next);
	if (index >= s->end)
		return;
	s->head = (size_t)(slot(s, index)->data - s->ring);
	for (; s->end > index; s->end--)
		s->waiting_bytes -= slot(s, s->end - 1)->len;
}
