#include "hublink/backoff.h"

#define FIRST (200 * USEC_PER_MSEC)
#define MOST_AT_FIRST (3 * USEC_PER_SEC)
#define MOST (60 * USEC_PER_SEC)
#define FIRST_MINUTE (60 * USEC_PER_SEC)

void backoff_reset(struct backoff *b)
{
	*b = (struct backoff){ 0 };
}

usec_t backoff_next(struct backoff *b, usec_t now, struct rng *rng)
{
	if (b->wait == 0)
		b->began = now;
	usec_t most = usec_sub(now, b->began) < FIRST_MINUTE ? MOST_AT_FIRST : MOST;
	b->wait = usec_min(b->wait == 0 ? FIRST : 2 * b->wait, most);
	return b->wait / 2 + rng_below(rng, (uint32_t)(b->wait / 2) + 1);
}
