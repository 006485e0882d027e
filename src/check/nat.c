#include "check/nat.h"

#include <errno.h>
#include <stdlib.h>

#include "base/rng.h"
#include "io/udp.h"

struct nat {
	struct loop *loop;
	struct stun_nat core;
	struct udp *sockets[2];
	struct addr local[2];
	struct loop_timer timer;
	struct loop_deferred release;
	bool done, dead;
	void (*fn)(void *arg, const struct nat_result *result);
	void *arg;
};

static void finish(struct nat *n)
{
	const struct stun_nat_ask *asks = n->core.asks;
	struct nat_result r = { .mapping = stun_nat_mapping(&n->core),
				.filtering = stun_nat_filtering(&n->core),
				.mapped = asks[STUN_NAT_FIRST].mapped };

	n->done = true;
	loop_timer_stop(&n->timer);
	r.other_known = n->core.other.family != ADDR_NONE &&
			asks[STUN_NAT_OTHER_ADDRESS].state != STUN_NAT_IDLE;
	r.other_answered = asks[STUN_NAT_OTHER_ADDRESS].state == STUN_NAT_ANSWERED ||
			   asks[STUN_NAT_OTHER_BOTH].state == STUN_NAT_ANSWERED;
	n->fn(n->arg, &r);
}

static void advance(struct nat *n)
{
	usec_t now = loop_now(n->loop);
	struct dgram d;

	if (n->done)
		return;
	while (stun_nat_next_output(&n->core, now, &d))
		(void)udp_send(n->sockets[addr_equal(&d.local, &n->local[1])], &d);
	if (stun_nat_done(&n->core) || loop_timer_at(&n->timer, stun_nat_deadline(&n->core)) < 0)
		finish(n);
}

static void take(struct nat *n, size_t which, const struct dgram *dgrams, size_t count)
{
	for (size_t i = 0; i < count && !n->done; i++) {
		struct dgram d = dgrams[i];

		d.local = n->local[which];
		stun_nat_input(&n->core, loop_now(n->loop), &d);
	}
	advance(n);
}

static void on_first(void *arg, const struct dgram *dgrams, size_t count)
{
	take(arg, 0, dgrams, count);
}

static void on_second(void *arg, const struct dgram *dgrams, size_t count)
{
	take(arg, 1, dgrams, count);
}

static void on_timer(void *arg)
{
	advance(arg);
}

int nat_start(struct loop *loop, const struct addr *server, const struct addr *source,
	      void (*fn)(void *arg, const struct nat_result *result), void *arg, struct nat **out)
{
	struct nat *n = calloc(1, sizeof(*n));
	struct udp_config config = { .bind = *source };
	int err = 0;

	if (!n)
		return -ENOMEM;
	*n = (struct nat){ .loop = loop, .fn = fn, .arg = arg };
	config.bind.port = 0;
	loop_timer_init(loop, &n->timer, on_timer, n);
	for (size_t i = 0; i < 2 && err == 0; i++) {
		err = udp_create(loop, &config, i ? on_second : on_first, n, &n->sockets[i]);
		if (err == 0)
			n->local[i] = udp_addr(n->sockets[i]);
	}
	if (err == 0) {
		stun_nat_start(&n->core, rng_system(), loop_now(loop), server, n->local);
		err = loop_timer_after(&n->timer, 0);
	}
	if (err < 0) {
		nat_destroy(n);
		return err;
	}
	*out = n;
	return 0;
}

static void release(void *arg)
{
	free(arg);
}

void nat_destroy(struct nat *n)
{
	if (!n || n->dead)
		return;
	n->dead = n->done = true;
	loop_timer_stop(&n->timer);
	for (size_t i = 0; i < 2; i++)
		udp_destroy(n->sockets[i]);
	loop_defer(n->loop, &n->release, release, n);
}
