#include "vclock.h"

#include <sys/time.h>

#include "base/util.h"

static usec_t clock_now = USEC_PER_SEC;

void vclock_set(usec_t now)
{
	clock_now = now;
}

usec_t vclock_now(void)
{
	return clock_now;
}

/* Shared libraries find the executable's definition before libc's. */
FL_EXPORT int gettimeofday(struct timeval *restrict tv, void *restrict tz)
{
	tv->tv_sec = (time_t)(clock_now / USEC_PER_SEC);
	tv->tv_usec = (suseconds_t)(clock_now % USEC_PER_SEC);
	return 0;
}
