#include "proto/turn/turn_ports.h"

#include <assert.h>

#include "base/ct.h"
#include "base/err.h"

#define WORDS (65536 / 64)
#define EVEN_BITS 0x5555555555555555u
#define FOREIGN_US (60 * USEC_PER_SEC)

struct bitmap {
	uint64_t word[WORDS];
};

struct reservation {
	uint8_t token[TURN_RESERVATION_TOKEN_LEN];
	uint16_t port;
	intptr_t handle;
	usec_t until;
};

struct turn_ports {
	uint16_t first, last;
	unsigned n_free;
	struct rng *rng;
	struct bitmap free;
	/*
	 * Ports of somebody else, in two heaps: when the time is up, the old heap is free again and
	 * the young one becomes old. So each rests for one to two minutes, and nothing is kept per
	 * port but a bit.
	 */
	struct bitmap young, old;
	usec_t turn; /* when; USEC_NEVER while both are empty */
	bool any_young;
	/* by age, which is the order of their ends */
	struct reservation reservations[TURN_PORTS_RESERVATIONS_MAX];
	size_t n_reservations;
};

static uint64_t bit_of(uint16_t port)
{
	return (uint64_t)1 << (port % 64);
}

static bool has(const struct bitmap *b, uint16_t port)
{
	return b->word[port / 64] & bit_of(port);
}

struct turn_ports *turn_ports_create(uint16_t first, uint16_t last, struct rng *rng)
{
	struct turn_ports *p = calloc(1, sizeof(*p));

	assert(first > 0 && first <= last);
	if (!p)
		return NULL;
	p->first = first;
	p->last = last;
	p->rng = rng;
	p->turn = USEC_NEVER;
	for (unsigned port = first; port <= last; port++)
		p->free.word[port / 64] |= bit_of((uint16_t)port);
	p->n_free = last - first + 1u;
	return p;
}

void turn_ports_destroy(struct turn_ports *p)
{
	if (p)
		ct_wipe(p->reservations, sizeof(p->reservations));
	free(p);
}

/* The bits of a word that will do. The other half of a pair stands in the same word. */
static uint64_t candidates(const struct turn_ports *p, unsigned word, enum turn_ports_want want)
{
	uint64_t free_bits = p->free.word[word];

	switch (want) {
	case TURN_PORTS_ANY:
		return free_bits;
	case TURN_PORTS_EVEN:
		return free_bits & EVEN_BITS;
	case TURN_PORTS_PAIR:
		return free_bits & free_bits >> 1 & EVEN_BITS;
	}
	return 0;
}

static unsigned count_bits(uint64_t word)
{
	return (unsigned)__builtin_popcountll(word);
}

static void mark_taken(struct turn_ports *p, uint16_t port)
{
	p->free.word[port / 64] &= ~bit_of(port);
	p->n_free--;
}

static void mark_free(struct turn_ports *p, uint16_t port)
{
	p->free.word[port / 64] |= bit_of(port);
	p->n_free++;
}

/* Every port that will do is as likely as the others, however few are left. */
uint16_t turn_ports_take(struct turn_ports *p, enum turn_ports_want want)
{
	unsigned begin = p->first / 64, end = p->last / 64, n = 0, skip;

	for (unsigned w = begin; w <= end; w++)
		n += count_bits(candidates(p, w, want));
	if (n == 0)
		return 0;
	skip = rng_below(p->rng, n);
	for (unsigned w = begin; w <= end; w++) {
		uint64_t bits = candidates(p, w, want);
		uint16_t port;

		if (skip >= count_bits(bits)) {
			skip -= count_bits(bits);
			continue;
		}
		for (; skip > 0; skip--)
			bits &= bits - 1;
		port = (uint16_t)(w * 64 + (unsigned)__builtin_ctzll(bits));
		mark_taken(p, port);
		if (want == TURN_PORTS_PAIR)
			mark_taken(p, (uint16_t)(port + 1));
		return port;
	}
	return 0;
}

static void assert_taken(const struct turn_ports *p, uint16_t port)
{
	assert(port >= p->first && port <= p->last && !has(&p->free, port));
}

void turn_ports_put(struct turn_ports *p, uint16_t port)
{
	assert_taken(p, port);
	if (!has(&p->young, port) && !has(&p->old, port))
		mark_free(p, port);
}

static void turn_over(struct turn_ports *p)
{
	for (unsigned w = p->first / 64; w <= p->last / 64; w++) {
		p->free.word[w] |= p->old.word[w];
		p->n_free += count_bits(p->old.word[w]);
		p->old.word[w] = p->young.word[w];
		p->young.word[w] = 0;
	}
	p->turn = p->any_young ? usec_add(p->turn, FOREIGN_US) : USEC_NEVER;
	p->any_young = false;
}

static void turn_over_due(struct turn_ports *p, usec_t now)
{
	while (p->turn <= now)
		turn_over(p);
}

void turn_ports_foreign(struct turn_ports *p, usec_t now, uint16_t port)
{
	assert_taken(p, port);
	turn_over_due(p, now);
	if (has(&p->old, port))
		p->old.word[port / 64] &= ~bit_of(port);
	p->young.word[port / 64] |= bit_of(port);
	p->any_young = true;
	if (p->turn == USEC_NEVER)
		p->turn = usec_add(now, FOREIGN_US);
}

unsigned turn_ports_free(const struct turn_ports *p)
{
	return p->n_free;
}

int turn_ports_reserve(struct turn_ports *p, usec_t now, uint16_t port, intptr_t handle,
		       uint8_t token[TURN_RESERVATION_TOKEN_LEN])
{
	struct reservation *r = &p->reservations[p->n_reservations];

	assert_taken(p, port);
	if (p->n_reservations == TURN_PORTS_RESERVATIONS_MAX)
		return FL_EQUOTA;
	*r = (struct reservation){ .port = port,
				   .handle = handle,
				   .until = usec_add(now, TURN_RESERVATION_S * USEC_PER_SEC) };
	rng_bytes(p->rng, r->token, sizeof(r->token));
	memcpy(token, r->token, sizeof(r->token));
	p->n_reservations++;
	return 0;
}

static void remove_reservation(struct turn_ports *p, size_t i, uint16_t *port, intptr_t *handle)
{
	struct reservation *r = &p->reservations[i];

	*port = r->port;
	*handle = r->handle;
	p->n_reservations--;
	memmove(r, r + 1, (p->n_reservations - i) * sizeof(*r));
}

bool turn_ports_claim(struct turn_ports *p, usec_t now,
		      const uint8_t token[TURN_RESERVATION_TOKEN_LEN], uint16_t *port,
		      intptr_t *handle)
{
	for (size_t i = 0; i < p->n_reservations; i++) {
		const struct reservation *r = &p->reservations[i];

		if (r->until > now && ct_equal(span_of(r->token, sizeof(r->token)),
					       span_of(token, TURN_RESERVATION_TOKEN_LEN))) {
			remove_reservation(p, i, port, handle);
			return true;
		}
	}
	return false;
}

bool turn_ports_expired(struct turn_ports *p, usec_t now, uint16_t *port, intptr_t *handle)
{
	turn_over_due(p, now);
	if (p->n_reservations == 0 || p->reservations[0].until > now)
		return false;
	remove_reservation(p, 0, port, handle);
	turn_ports_put(p, *port);
	return true;
}

usec_t turn_ports_deadline(const struct turn_ports *p)
{
	return usec_min(p->turn, p->n_reservations ? p->reservations[0].until : USEC_NEVER);
}
