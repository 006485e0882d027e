/*
 * Growing memory with a maximum that is named when it is born. A buf is bytes that are appended at
 * the end and consumed at the front (a stream's queue, a message being put together). It owns its
 * memory. All-zero with a max set is a valid empty buf.
 */
#pragma once

#include <stdarg.h>

#include "base/span.h"
#include "base/util.h"

struct buf {
	uint8_t *mem;
	size_t start, len, cap; /* the contents are mem[start … start + len) */
	size_t max;		/* contents never exceed this */
};

#define BUF_INIT(max_len) ((struct buf){ .max = (max_len) })

void buf_finish(struct buf *b); /* frees; the max stays, the buf is empty and usable */

static inline struct span buf_span(const struct buf *b)
{
	return (struct span){ b->mem ? b->mem + b->start : NULL, b->len };
}

/* Each: 0, -ENOMEM or FL_EQUOTA (would exceed max); on failure nothing changes. */
int buf_append(struct buf *b, const void *src, size_t len) FL_WARN_UNUSED;
int buf_append_span(struct buf *b, struct span s) FL_WARN_UNUSED;
int buf_printf(struct buf *b, const char *fmt, ...) FL_PRINTF(2, 3) FL_WARN_UNUSED;
int buf_vprintf(struct buf *b, const char *fmt, va_list ap) FL_WARN_UNUSED;

/* At least len writable bytes at the end, or NULL; then buf_commit() what was filled. */
uint8_t *buf_reserve(struct buf *b, size_t len);
void buf_commit(struct buf *b, size_t len);

void buf_consume(struct buf *b, size_t len); /* from the front */
void buf_clear(struct buf *b);		     /* keeps the memory */

/* A terminated string of the contents that the caller frees; the buf is empty then. NULL: no
 * memory. */
char *buf_steal_string(struct buf *b);
