/*
 * Time. One type, one unit: microseconds of a monotonic clock. A core never asks for the time, it
 * is told; a driver samples it once per turn of its loop (loop_now()).
 */
#pragma once

#include <stdint.h>

typedef uint64_t usec_t;

#define USEC_NEVER UINT64_MAX
#define USEC_PER_MSEC ((usec_t)1000)
#define USEC_PER_SEC ((usec_t)1000000)

/* a + b without wrapping past USEC_NEVER. */
static inline usec_t usec_add(usec_t a, usec_t b)
{
	return a > USEC_NEVER - b ? USEC_NEVER : a + b;
}

/* a - b, 0 when b is later. */
static inline usec_t usec_sub(usec_t a, usec_t b)
{
	return a > b ? a - b : 0;
}

static inline usec_t usec_min(usec_t a, usec_t b)
{
	return a < b ? a : b;
}

usec_t usec_monotonic(void); /* CLOCK_MONOTONIC; for drivers and tests, never for cores */
usec_t usec_asleep(void);    /* how long this machine has slept (suspended) since its start */
usec_t usec_realtime(void);  /* since 1970-01-01 UTC */
