/* Preloaded by a test: the wall clock of a machine that is a day behind. */
#include <dlfcn.h>
#include <time.h>

#include "base/util.h"

FL_EXPORT int clock_gettime(clockid_t __clock_id, struct timespec *__tp)
{
	static int (*real)(clockid_t, struct timespec *);

	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "clock_gettime");
	int err = real(__clock_id, __tp);
	if (err == 0 && __clock_id == CLOCK_REALTIME)
		__tp->tv_sec -= 86400;
	return err;
}
