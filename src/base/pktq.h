/*
 * A bounded FIFO of byte strings (datagrams, messages) in one block of memory, so that a core's
 * outputs need no allocation each. Each entry carries a small tag of the caller's. The memory grows
 * to what was needed at once and stays; the maximum counts bytes with a few of overhead per entry.
 */
#pragma once

#include "base/span.h"
#include "base/util.h"

struct pktq {
	uint8_t *mem;
	size_t head, tail, cap;
	size_t max;
};

#define PKTQ_INIT(max_len) ((struct pktq){ .max = (max_len) })

void pktq_finish(struct pktq *q);
void pktq_clear(struct pktq *q); /* keeps the memory */

static inline bool pktq_empty(const struct pktq *q)
{
	return q->head == q->tail;
}

static inline size_t pktq_bytes(const struct pktq *q)
{
	return q->tail - q->head;
}

/* Copies. 0, -ENOMEM or FL_EQUOTA; on failure nothing changes. */
int pktq_push(struct pktq *q, uint32_t tag, struct span data) FL_WARN_UNUSED;

/* Room for an entry of at most len bytes, to be filled in place and finished by pktq_commit() with
 * its true length; NULL when there is none. Nothing is queued until the commit. */
uint8_t *pktq_reserve(struct pktq *q, size_t len);
void pktq_commit(struct pktq *q, uint32_t tag, size_t len);

/* Takes the oldest out; the bytes stay valid until the next push or reserve. False when empty. tag
 * may be NULL. */
bool pktq_pop(struct pktq *q, uint32_t *tag, struct span *out);
/* The oldest without taking it out. */
bool pktq_peek(const struct pktq *q, uint32_t *tag, struct span *out);
