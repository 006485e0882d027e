#include "relay/listen_udp.h"

#include <errno.h>
#include <inttypes.h>

#include "base/err.h"
#include "base/log.h"
#include "io/udp.h"
#include "relay/binding.h"

#define TELL_EVERY_US (60 * USEC_PER_SEC)

struct listener_udp {
	struct relay *relay;
	struct udp *udp;
};

struct relay {
	struct loop *loop;
	struct loop_timer tell;
	struct binding binding;
	uint64_t told; /* dropped datagrams already in the log */
	struct listener_udp udp[RELAY_LISTENERS_MAX];
	size_t n_udp;
};

static uint64_t dropped(const struct relay *r)
{
	return r->binding.malformed + r->binding.other + r->binding.limited;
}

static void on_tell(void *arg)
{
	struct relay *r = arg;

	log_info("dropped",
		 "malformed=%" PRIu64 " other=%" PRIu64 " limited=%" PRIu64 " answered=%" PRIu64,
		 r->binding.malformed, r->binding.other, r->binding.limited, r->binding.answered);
	r->told = dropped(r);
}

static void on_batch(void *arg, const struct dgram *dgrams, size_t n)
{
	struct listener_udp *l = arg;
	struct relay *r = l->relay;
	uint8_t answer[BINDING_ANSWER_MAX];

	for (size_t i = 0; i < n; i++) {
		struct dgram out = { .local = dgrams[i].local, .remote = dgrams[i].remote };
		size_t len = binding_answer(&r->binding, loop_now(r->loop), &dgrams[i], answer);

		out.data = span_of(answer, len);
		if (len)
			(void)udp_send(l->udp, &out); /* a full queue: lost, as on any network */
	}
	if (dropped(r) != r->told && !loop_timer_running(&r->tell))
		(void)loop_timer_after(&r->tell, TELL_EVERY_US);
}

int relay_create(struct loop *loop, struct relay **out)
{
	struct relay *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	r->loop = loop;
	binding_init(&r->binding, rng_system());
	loop_timer_init(loop, &r->tell, on_tell, r);
	*out = r;
	return 0;
}

void relay_destroy(struct relay *r)
{
	if (!r)
		return;
	loop_timer_stop(&r->tell);
	for (size_t i = 0; i < r->n_udp; i++)
		udp_destroy(r->udp[i].udp);
	free(r);
}

int relay_listen_udp(struct relay *r, const struct addr *at, struct addr *bound)
{
	struct udp_config config = { .bind = *at };
	struct listener_udp *l = &r->udp[r->n_udp];
	int err;

	if (r->n_udp == RELAY_LISTENERS_MAX)
		return FL_EQUOTA;
	l->relay = r;
	err = udp_create(r->loop, &config, on_batch, l, &l->udp);
	if (err < 0)
		return err;
	r->n_udp++;
	*bound = udp_addr(l->udp);
	return 0;
}
