#include "proto/rtp/twcc.h"

#include "base/err.h"

enum symbol {
	NOT_RECEIVED = 0,
	SMALL_DELTA = 1, /* one byte, unsigned */
	LARGE_DELTA = 2, /* two bytes, signed */
	RESERVED = 3,
};

enum {
	RUN_MAX = 0x1fff,
	VECTOR_LEN = 7,	     /* two-bit symbols in a chunk */
	VECTOR_LEN_BIT = 14, /* one-bit symbols in a chunk */
	STATUSES_MAX = 1024, /* of one feedback that we write */
};

static uint16_t chunk_len(uint16_t chunk)
{
	if (!(chunk & 0x8000))
		return chunk & RUN_MAX;
	return chunk & 0x4000 ? VECTOR_LEN : VECTOR_LEN_BIT;
}

/* The symbol with `left` symbols to go in the chunk, itself included. */
static enum symbol chunk_symbol(uint16_t chunk, uint16_t left)
{
	if (!(chunk & 0x8000))
		return (enum symbol)(chunk >> 13 & 3);
	if (chunk & 0x4000)
		return (enum symbol)(chunk >> (2 * (left - 1)) & 3);
	return chunk >> (left - 1) & 1 ? SMALL_DELTA : NOT_RECEIVED;
}

int twcc_parse(const struct rtcp_feedback *fb, struct twcc *out)
{
	struct reader r = reader_of(fb->fci), chunks;
	struct twcc_walk walk;
	struct twcc_status status;
	size_t covered = 0, n_chunks = 0;

	out->base_seq = reader_u16(&r);
	out->count = reader_u16(&r);
	out->reference = reader_u24(&r);
	out->feedback_seq = reader_u8(&r);
	if (out->count > TWCC_COUNT_MAX)
		return FL_EMALFORMED;
	for (chunks = r; covered < out->count && !reader_failed(&chunks); n_chunks++) {
		uint16_t len = chunk_len(reader_u16(&chunks));

		if (len == 0)
			return FL_EMALFORMED;
		covered += len;
	}
	out->chunks = reader_bytes(&r, 2 * n_chunks);
	out->deltas = reader_rest(&r);
	if (reader_failed(&r))
		return FL_EMALFORMED;
	twcc_walk_start(out, &walk);
	while (twcc_walk_next(out, &walk, &status))
		;
	return walk.done == out->count && !reader_failed(&walk.deltas) ? 0 : FL_EMALFORMED;
}

void twcc_walk_start(const struct twcc *t, struct twcc_walk *walk)
{
	*walk = (struct twcc_walk){ .chunks = reader_of(t->chunks),
				    .deltas = reader_of(t->deltas),
				    .at_us = (int64_t)t->reference * TWCC_REFERENCE_US };
}

bool twcc_walk_next(const struct twcc *t, struct twcc_walk *walk, struct twcc_status *out)
{
	int32_t delta = 0;

	if (walk->done == t->count)
		return false;
	if (walk->left == 0) {
		walk->chunk = reader_u16(&walk->chunks);
		walk->left = chunk_len(walk->chunk);
	}
	if (walk->left == 0)
		return false;
	out->received = false;
	switch (chunk_symbol(walk->chunk, walk->left)) {
	case NOT_RECEIVED:
		break;
	case SMALL_DELTA:
		delta = reader_u8(&walk->deltas);
		out->received = true;
		break;
	case LARGE_DELTA:
		delta = (int16_t)reader_u16(&walk->deltas);
		out->received = true;
		break;
	case RESERVED:
		return false;
	}
	if (reader_failed(&walk->deltas))
		return false;
	walk->left--;
	walk->at_us += (int64_t)delta * TWCC_TICK_US;
	out->seq = (uint16_t)(t->base_seq + walk->done++);
	out->at_us = walk->at_us;
	return true;
}

struct status_list {
	uint8_t symbols[STATUSES_MAX];
	int16_t deltas[STATUSES_MAX];
	size_t n, used;
};

/* Fills the list with the statuses that one packet can carry; deltas are between rounded times, so
 * that rounding does not add up. */
static void collect(struct status_list *l, uint64_t reference, uint16_t base,
		    const struct twcc_arrival *a, size_t n)
{
	int64_t last = (int64_t)reference * (TWCC_REFERENCE_US / TWCC_TICK_US);

	for (; l->used < n; l->used++) {
		size_t at = (uint16_t)(a[l->used].seq - base);
		int64_t tick = (int64_t)(a[l->used].at_us / TWCC_TICK_US), delta = tick - last;

		if (at >= STATUSES_MAX || delta < INT16_MIN || delta > INT16_MAX)
			return;
		while (l->n < at)
			l->symbols[l->n++] = NOT_RECEIVED;
		l->deltas[l->n] = (int16_t)delta;
		l->symbols[l->n++] = delta >= 0 && delta <= 255 ? SMALL_DELTA : LARGE_DELTA;
		last = tick;
	}
}

static size_t run_len(const struct status_list *l, size_t from)
{
	size_t n = 1;

	while (from + n < l->n && n < RUN_MAX && l->symbols[from + n] == l->symbols[from])
		n++;
	return n;
}

/* The longest of: a run, seven symbols of two bits, fourteen of one bit. */
static size_t write_chunk(struct writer *w, const struct status_list *l, size_t from)
{
	size_t run = run_len(l, from), left = l->n - from, n, bits = 1;
	uint16_t chunk;

	if (run >= VECTOR_LEN || run == left) {
		writer_u16(w, (uint16_t)(l->symbols[from] << 13 | run));
		return run;
	}
	for (n = 0; n < FL_MIN(left, (size_t)VECTOR_LEN_BIT); n++)
		if (l->symbols[from + n] == LARGE_DELTA)
			bits = 2;
	chunk = bits == 2 ? 0xc000 : 0x8000;
	n = FL_MIN(left, (size_t)(bits == 2 ? VECTOR_LEN : VECTOR_LEN_BIT));
	for (size_t i = 0; i < n; i++)
		chunk |= (uint16_t)(l->symbols[from + i] << (14 - bits * (i + 1)));
	writer_u16(w, chunk);
	return n;
}

size_t twcc_write(struct writer *w, uint32_t sender, uint32_t media, uint8_t feedback_seq,
		  uint16_t base_seq, const struct twcc_arrival *arrivals, size_t n)
{
	struct status_list l = { .n = 0 };
	uint64_t reference = n ? arrivals[0].at_us / TWCC_REFERENCE_US : 0;
	size_t start;

	if (n == 0)
		return 0;
	if ((uint16_t)(arrivals[0].seq - base_seq) >= STATUSES_MAX) /* a gap too long to tell */
		base_seq = arrivals[0].seq;
	collect(&l, reference, base_seq, arrivals, n);
	start = rtcp_begin(w, RTCP_FMT_TWCC, RTCP_RTPFB);
	writer_u32(w, sender);
	writer_u32(w, media);
	writer_u16(w, base_seq);
	writer_u16(w, (uint16_t)l.n);
	writer_u24(w, (uint32_t)reference & 0xffffff);
	writer_u8(w, feedback_seq);
	for (size_t i = 0; i < l.n;)
		i += write_chunk(w, &l, i);
	for (size_t i = 0; i < l.n; i++) {
		if (l.symbols[i] == SMALL_DELTA)
			writer_u8(w, (uint8_t)l.deltas[i]);
		else if (l.symbols[i] == LARGE_DELTA)
			writer_u16(w, (uint16_t)l.deltas[i]);
	}
	rtcp_end(w, start);
	return l.used;
}
