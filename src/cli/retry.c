#include "cli/retry.h"

void retry_progress(struct retry *r)
{
	r->since = 0;
	backoff_reset(&r->backoff);
}

usec_t retry_failed(struct retry *r, usec_t now, struct rng *rng)
{
	if (r->since == 0)
		r->since = now;
	usec_t passed = usec_sub(now, r->since);
	if (passed >= r->limit_us)
		return USEC_NEVER;
	/* the last attempt begins when the time is over, not after it */
	return usec_min(backoff_next(&r->backoff, now, rng), r->limit_us - passed);
}
