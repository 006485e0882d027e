#include "base/pktq.h"

#include <errno.h>

#include "base/err.h"

/* Entries lie one after the other in mem[head … tail): a header, the bytes, padding to 8. */
struct entry {
	uint32_t len, tag;
};

#define PKTQ_FIRST_CAP 4096

static size_t padded(size_t len)
{
	return sizeof(struct entry) + ((len + 7) & ~(size_t)7);
}

void pktq_finish(struct pktq *q)
{
	free(q->mem);
	*q = PKTQ_INIT(q->max);
}

void pktq_clear(struct pktq *q)
{
	q->head = q->tail = 0;
}

/* Room for need bytes at the tail: move the contents to the front, or grow. */
static int make_room(struct pktq *q, size_t need)
{
	size_t used = q->tail - q->head, cap;
	uint8_t *mem;

	if (used == 0)
		q->head = q->tail = 0;
	if (need > q->max || used > q->max - need)
		return FL_EQUOTA;
	if (q->tail + need <= q->cap)
		return 0;
	/* moving costs its length: only when at least half of the block has been consumed */
	if (q->cap && used + need <= q->cap && q->head >= q->cap / 2) {
		memmove(q->mem, q->mem + q->head, used);
		q->head = 0;
		q->tail = used;
		return 0;
	}
	cap = FL_MAX(q->cap, (size_t)PKTQ_FIRST_CAP);
	while (cap < q->tail + need)
		cap *= 2;
	mem = realloc(q->mem, cap);
	if (!mem)
		return -ENOMEM;
	q->mem = mem;
	q->cap = cap;
	return 0;
}

uint8_t *pktq_reserve(struct pktq *q, size_t len)
{
	if (len > UINT32_MAX || make_room(q, padded(len)) < 0)
		return NULL;
	return q->mem + q->tail + sizeof(struct entry);
}

void pktq_commit(struct pktq *q, uint32_t tag, size_t len)
{
	struct entry e = { (uint32_t)len, tag };

	memcpy(q->mem + q->tail, &e, sizeof(e));
	q->tail += padded(len);
}

int pktq_push(struct pktq *q, uint32_t tag, struct span data)
{
	int err = data.len > UINT32_MAX ? FL_EQUOTA : make_room(q, padded(data.len));

	if (err < 0)
		return err;
	if (data.len)
		memcpy(q->mem + q->tail + sizeof(struct entry), data.ptr, data.len);
	pktq_commit(q, tag, data.len);
	return 0;
}

bool pktq_peek(const struct pktq *q, uint32_t *tag, struct span *out)
{
	struct entry e;

	if (pktq_empty(q))
		return false;
	memcpy(&e, q->mem + q->head, sizeof(e));
	*out = span_of(q->mem + q->head + sizeof(e), e.len);
	if (tag)
		*tag = e.tag;
	return true;
}

bool pktq_pop(struct pktq *q, uint32_t *tag, struct span *out)
{
	if (!pktq_peek(q, tag, out))
		return false;
	q->head += padded(out->len);
	return true;
}
