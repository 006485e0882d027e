#include "proto/stun/stun_client.h"

void stun_client_start(struct stun_client *c, struct rng *rng, usec_t now, usec_t rto_us)
{
	*c = (struct stun_client){
		.running = true,
		.tries_max = STUN_TRIES_MAX,
		.rto_us = rto_us ? rto_us : STUN_RTO_US,
		.began = now,
		.due = now,
	};
	rng_bytes(rng, c->tid, sizeof(c->tid));
}

void stun_client_start_once(struct stun_client *c, struct rng *rng, usec_t now, usec_t timeout_us)
{
	stun_client_start(c, rng, now, timeout_us);
	c->tries_max = 1;
}

enum stun_client_step stun_client_due(struct stun_client *c, usec_t now)
{
	if (!c->running || now < c->due)
		return STUN_CLIENT_WAIT;
	if (c->tries == c->tries_max) {
		c->running = false;
		return STUN_CLIENT_GIVE_UP;
	}
	c->tries++;
	c->last_sent = now;
	c->due = usec_add(now, c->rto_us);
	c->rto_us = usec_min(2 * c->rto_us, STUN_RTO_MAX_US);
	return STUN_CLIENT_SEND;
}

usec_t stun_client_deadline(const struct stun_client *c)
{
	return c->running ? c->due : USEC_NEVER;
}

bool stun_client_is(const struct stun_client *c, const struct stun_msg *answer)
{
	return c->running && c->tries > 0 &&
	       (answer->class == STUN_SUCCESS || answer->class == STUN_ERROR) &&
	       span_equal(span_of(c->tid, sizeof(c->tid)),
			  span_of(answer->tid, sizeof(answer->tid)));
}

usec_t stun_client_end(struct stun_client *c, usec_t now)
{
	c->running = false;
	return usec_sub(now, c->began);
}
