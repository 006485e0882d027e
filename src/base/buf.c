#include "base/buf.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"

#define BUF_FIRST_CAP 256

void buf_finish(struct buf *b)
{
	free(b->mem);
	*b = BUF_INIT(b->max);
}

static int make_room(struct buf *b, size_t len)
{
	size_t cap = b->cap ? b->cap : BUF_FIRST_CAP;
	uint8_t *mem;

	if (len > b->max || b->len > b->max - len)
		return FL_EQUOTA;
	if (b->cap - b->start - b->len >= len && b->mem)
		return 0;
	if (b->start && b->cap - b->len >= len) {
		memmove(b->mem, b->mem + b->start, b->len);
		b->start = 0;
		return 0;
	}
	while (cap < b->len + len)
		cap *= 2;
	mem = malloc(cap);
	if (!mem)
		return -ENOMEM;
	if (b->mem && b->len)
		memcpy(mem, b->mem + b->start, b->len);
	free(b->mem);
	b->mem = mem;
	b->cap = cap;
	b->start = 0;
	return 0;
}

int buf_append(struct buf *b, const void *src, size_t len)
{
	int err = make_room(b, len);

	if (err < 0)
		return err;
	if (len)
		memcpy(b->mem + b->start + b->len, src, len);
	b->len += len;
	return 0;
}

int buf_append_span(struct buf *b, struct span s)
{
	return buf_append(b, s.ptr, s.len);
}

int buf_vprintf(struct buf *b, const char *fmt, va_list ap)
{
	va_list again;
	int n, err;

	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, again);
	va_end(again);
	if (n < 0)
		return -EINVAL;
	err = make_room(b, (size_t)n + 1); /* vsnprintf writes a 0 that is not kept */
	if (err < 0)
		return err;
	vsnprintf((char *)b->mem + b->start + b->len, (size_t)n + 1, fmt, ap);
	b->len += (size_t)n;
	return 0;
}

int buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	int err;

	va_start(ap, fmt);
	err = buf_vprintf(b, fmt, ap);
	va_end(ap);
	return err;
}

uint8_t *buf_reserve(struct buf *b, size_t len)
{
	return make_room(b, len) < 0 ? NULL : b->mem + b->start + b->len;
}

void buf_commit(struct buf *b, size_t len)
{
	assert(b->start + b->len + len <= b->cap && b->len + len <= b->max);
	b->len += len;
}

void buf_consume(struct buf *b, size_t len)
{
	assert(len <= b->len);
	b->len -= len;
	b->start = b->len ? b->start + len : 0;
}

void buf_clear(struct buf *b)
{
	b->start = b->len = 0;
}

char *buf_steal_string(struct buf *b)
{
	char *s = malloc(b->len + 1);

	if (!s)
		return NULL;
	if (b->len)
		memcpy(s, b->mem + b->start, b->len);
	s[b->len] = 0;
	buf_finish(b);
	return s;
}
