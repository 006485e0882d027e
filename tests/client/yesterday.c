/* Preloaded by a test: the wall clock of a machine that is a day behind. */
#include <dlfcn.h>
#include <time.h>

#include "base/util.h"

FL_EXPORT int clock_gettime(clockid_t id, struct timespec *ts)
{
	static int (*real)(clockid_t, struct timespec *);

	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "clock_gettime");
	int err = real(id, ts);
	if (err == 0 && id == CLOCK_REALTIME)
		ts->tv_sec -= 86400;
	return err;
}
