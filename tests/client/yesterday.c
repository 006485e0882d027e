/* Preloaded by a test: a wall clock that is CLOCK_OFF_S seconds off, by default a day behind. */
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

#include "base/util.h"

static time_t off(void)
{
	const char *seconds = getenv("CLOCK_OFF_S");

	return seconds ? atol(seconds) : -86400;
}

FL_EXPORT int clock_gettime(clockid_t __clock_id, struct timespec *__tp)
{
	static int (*real)(clockid_t, struct timespec *);

	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "clock_gettime");
	int err = real(__clock_id, __tp);
	if (err == 0 && __clock_id == CLOCK_REALTIME)
		__tp->tv_sec += off();
	return err;
}

/* OpenSSL asks this one when it looks at a certificate's dates. */
FL_EXPORT time_t time(time_t *__timer)
{
	static time_t (*real)(time_t *);

	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "time");
	time_t now = real(NULL) + off();
	if (__timer)
		*__timer = now;
	return now;
}
