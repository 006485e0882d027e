/* Small things every module uses: attributes, cleanup, limits. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#define FL_WARN_UNUSED __attribute__((warn_unused_result))
#define FL_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define FL_CLEANUP(fn) __attribute__((cleanup(fn)))
#define FL_EXPORT __attribute__((visibility("default")))

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))
#define FL_MIN(a, b) ((a) < (b) ? (a) : (b))
#define FL_MAX(a, b) ((a) > (b) ? (a) : (b))

/* For FL_CLEANUP(fl_freep) char *s = …; the variable's own address comes in. */
static inline void fl_freep(void *p)
{
	free(*(void **)p);
}

#define FL_AUTOFREE FL_CLEANUP(fl_freep)

/* Passes ownership on: returns the pointer and empties the variable. */
#define FL_STEAL(p)                                                                                \
	({                                                                                         \
		__typeof__(p) fl_stolen_ = (p);                                                    \
		(p) = NULL;                                                                        \
		fl_stolen_;                                                                        \
	})

void fl_closep(int *fd); /* for FL_CLEANUP(fl_closep) int fd = -1; */
