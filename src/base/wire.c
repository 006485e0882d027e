#include "base/wire.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

void reader_fail(struct reader *r)
{
	r->failed = true;
	r->ptr = r->end;
}

static const uint8_t *take(struct reader *r, size_t len)
{
	const uint8_t *p = r->ptr;

	if (r->failed || (size_t)(r->end - r->ptr) < len) {
		reader_fail(r);
		return NULL;
	}
	if (len)
		r->ptr += len;
	return p;
}

static uint64_t take_be(struct reader *r, size_t len)
{
	const uint8_t *p = take(r, len);
	uint64_t v = 0;

	for (size_t i = 0; p && i < len; i++)
		v = v << 8 | p[i];
	return v;
}

uint8_t reader_u8(struct reader *r)
{
	return (uint8_t)take_be(r, 1);
}

uint16_t reader_u16(struct reader *r)
{
	return (uint16_t)take_be(r, 2);
}

uint32_t reader_u24(struct reader *r)
{
	return (uint32_t)take_be(r, 3);
}

uint32_t reader_u32(struct reader *r)
{
	return (uint32_t)take_be(r, 4);
}

uint64_t reader_u64(struct reader *r)
{
	return take_be(r, 8);
}

struct span reader_bytes(struct reader *r, size_t len)
{
	const uint8_t *p = take(r, len);

	return p ? span_of(p, len) : span_of(NULL, 0);
}

struct span reader_rest(struct reader *r)
{
	return reader_bytes(r, reader_left(r));
}

void reader_skip(struct reader *r, size_t len)
{
	(void)take(r, len);
}

bool reader_copy(struct reader *r, void *dst, size_t len)
{
	const uint8_t *p = take(r, len);

	if (r->failed) {
		memset(dst, 0, len);
		return false;
	}
	if (len)
		memcpy(dst, p, len);
	return true;
}

struct reader reader_sub(struct reader *r, size_t len)
{
	struct span s = reader_bytes(r, len);
	struct reader sub = reader_of(s);

	sub.failed = r->failed;
	return sub;
}

bool reader_peek_u8(const struct reader *r, uint8_t *out)
{
	if (r->failed || r->ptr == r->end)
		return false;
	*out = *r->ptr;
	return true;
}

void writer_fail(struct writer *w)
{
	w->failed = true;
}

uint8_t *writer_claim(struct writer *w, size_t len)
{
	uint8_t *p = w->ptr;

	if (w->failed || (size_t)(w->end - w->ptr) < len) {
		writer_fail(w);
		return NULL;
	}
	w->ptr += len;
	return p;
}

static void put_be(struct writer *w, uint64_t v, size_t len)
{
	uint8_t *p = writer_claim(w, len);

	for (size_t i = 0; p && i < len; i++)
		p[i] = (uint8_t)(v >> (8 * (len - 1 - i)));
}

void writer_u8(struct writer *w, uint8_t v)
{
	put_be(w, v, 1);
}

void writer_u16(struct writer *w, uint16_t v)
{
	put_be(w, v, 2);
}

void writer_u24(struct writer *w, uint32_t v)
{
	put_be(w, v, 3);
}

void writer_u32(struct writer *w, uint32_t v)
{
	put_be(w, v, 4);
}

void writer_u64(struct writer *w, uint64_t v)
{
	put_be(w, v, 8);
}

void writer_bytes(struct writer *w, const void *src, size_t len)
{
	uint8_t *p = writer_claim(w, len);

	if (p && len)
		memcpy(p, src, len);
}

void writer_span_put(struct writer *w, struct span s)
{
	writer_bytes(w, s.ptr, s.len);
}

void writer_zeros(struct writer *w, size_t len)
{
	uint8_t *p = writer_claim(w, len);

	if (p && len)
		memset(p, 0, len);
}

void writer_str(struct writer *w, const char *s)
{
	writer_bytes(w, s, strlen(s));
}

void writer_fmt(struct writer *w, const char *fmt, ...)
{
	char text[1024]; /* longer text is a mistake of ours and fails the writer */
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof(text))
		writer_fail(w);
	else
		writer_bytes(w, text, (size_t)n);
}

static void patch_be(struct writer *w, size_t at, uint64_t v, size_t len)
{
	if (w->failed)
		return;
	assert(at <= writer_len(w) && writer_len(w) - at >= len);
	for (size_t i = 0; i < len; i++)
		w->start[at + i] = (uint8_t)(v >> (8 * (len - 1 - i)));
}

void writer_patch_u16(struct writer *w, size_t at, uint16_t v)
{
	patch_be(w, at, v, 2);
}

void writer_patch_u32(struct writer *w, size_t at, uint32_t v)
{
	patch_be(w, at, v, 4);
}
