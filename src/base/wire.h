/*
 * Bytes from and to the wire: two cursors whose error sticks.
 *
 * A reader walks a borrowed span; a read past its end fails it, and from then on every get yields
 * zeros and reader_failed() says so, so a parser tests once, at the end. A writer fills a caller's
 * buffer; a put that does not fit fails it and writes nothing. All numbers are big-endian.
 * This file pair is the only place that does pointer arithmetic on packets.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"
#include "base/util.h"

struct reader {
	const uint8_t *ptr, *end;
	bool failed;
};

static inline struct reader reader_of(struct span s)
{
	return (struct reader){ s.ptr, s.len ? s.ptr + s.len : s.ptr, false };
}

static inline size_t reader_left(const struct reader *r)
{
	return r->failed ? 0 : (size_t)(r->end - r->ptr);
}

static inline bool reader_failed(const struct reader *r)
{
	return r->failed;
}

/* True when everything was read and nothing failed. */
static inline bool reader_done(const struct reader *r)
{
	return !r->failed && r->ptr == r->end;
}

void reader_fail(struct reader *r);
uint8_t reader_u8(struct reader *r);
uint16_t reader_u16(struct reader *r);
uint32_t reader_u24(struct reader *r);
uint32_t reader_u32(struct reader *r);
uint64_t reader_u64(struct reader *r);
struct span reader_bytes(struct reader *r, size_t len); /* borrowed; empty when it failed */
struct span reader_rest(struct reader *r);		/* all that is left */
void reader_skip(struct reader *r, size_t len);
bool reader_copy(struct reader *r, void *dst, size_t len);

/* A child that ends after len bytes; the parent moves past them. Fails both when too short. */
struct reader reader_sub(struct reader *r, size_t len);

/* Peeks without moving; false when there are not that many bytes. */
bool reader_peek_u8(const struct reader *r, uint8_t *out);

struct writer {
	uint8_t *start, *ptr, *end;
	bool failed;
};

static inline struct writer writer_of(void *buf, size_t cap)
{
	return (struct writer){ buf, buf, (uint8_t *)buf + cap, false };
}

static inline size_t writer_len(const struct writer *w)
{
	return (size_t)(w->ptr - w->start);
}

static inline size_t writer_room(const struct writer *w)
{
	return w->failed ? 0 : (size_t)(w->end - w->ptr);
}

static inline bool writer_failed(const struct writer *w)
{
	return w->failed;
}

static inline struct span writer_span(const struct writer *w)
{
	return (struct span){ w->start, writer_len(w) };
}

void writer_fail(struct writer *w);
void writer_u8(struct writer *w, uint8_t v);
void writer_u16(struct writer *w, uint16_t v);
void writer_u24(struct writer *w, uint32_t v);
void writer_u32(struct writer *w, uint32_t v);
void writer_u64(struct writer *w, uint64_t v);
void writer_bytes(struct writer *w, const void *src, size_t len);
void writer_span_put(struct writer *w, struct span s);
void writer_zeros(struct writer *w, size_t len);
void writer_str(struct writer *w, const char *s);			 /* without the 0 */
void writer_fmt(struct writer *w, const char *fmt, ...) FL_PRINTF(2, 3); /* without the 0 */

/* Room for len bytes that the caller fills now; NULL when it does not fit. */
uint8_t *writer_claim(struct writer *w, size_t len);

/* Overwrites two bytes already written at offset at (a length that is known only later). */
void writer_patch_u16(struct writer *w, size_t at, uint16_t v);
void writer_patch_u32(struct writer *w, size_t at, uint32_t v);
