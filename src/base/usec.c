#include "base/usec.h"

#include <time.h>

static usec_t read_clock(clockid_t id)
{
	struct timespec ts;

	if (clock_gettime(id, &ts) != 0)
		return 0;
	return (usec_t)ts.tv_sec * USEC_PER_SEC + (usec_t)ts.tv_nsec / 1000;
}

usec_t usec_monotonic(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

usec_t usec_asleep(void)
{
	usec_t awake = usec_monotonic();

	return usec_sub(read_clock(CLOCK_BOOTTIME), awake);
}

usec_t usec_realtime(void)
{
	return read_clock(CLOCK_REALTIME);
}
