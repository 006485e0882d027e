/* A borrowed run of bytes. Whoever holds a span does not own what it points at. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct span {
	const uint8_t *ptr;
	size_t len;
};

static inline struct span span_of(const void *ptr, size_t len)
{
	return (struct span){ ptr, len };
}

static inline struct span span_str(const char *s)
{
	return (struct span){ (const uint8_t *)s, strlen(s) };
}

/* Plain comparison; for secrets use ct_equal() of base/ct.h. */
static inline bool span_equal(struct span a, struct span b)
{
	if (a.len != b.len)
		return false;
	return a.len == 0 || (a.ptr && b.ptr && memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline bool span_is(struct span a, const char *s)
{
	return span_equal(a, span_str(s));
}
