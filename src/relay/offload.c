#include "relay/offload.h"

#include <errno.h>

#include "base/err.h"
#include "relay/udp_front.h"
#include "relay/xdp/xdp.h"

#define SWEEP_US (60 * USEC_PER_SEC)
#define CHANNELS_PER_PORT 4 /* that are offloaded; a client may have more, most have one */

struct offload {
	struct xdp *xdp;
	struct loop_timer sweep;
};

/* A channel of an allocation; remembered also while its client is not on UDP. */
struct offloaded {
	struct list node; /* of struct relayed */
	struct xdp_binding binding;
	bool bound;
};

static void on_sweep(void *arg)
{
	struct offload *o = arg;

	xdp_sweep(o->xdp);
	(void)loop_timer_after(&o->sweep, SWEEP_US);
}

int offload_create(struct loop *control, const struct settings *s, struct offload **out)
{
	size_t ports = s->port_last - s->port_first + 1u;
	struct offload *o;
	char why[256];

	*out = NULL;
	if (!s->xdp_interface)
		return 0;
	o = calloc(1, sizeof(*o));
	if (!o)
		return -ENOMEM;
	if (xdp_create(s->xdp_interface,
		       FL_MIN(CHANNELS_PER_PORT * ports, (size_t)XDP_BINDINGS_MAX), &o->xdp,
		       why) < 0) {
		log_warn("xdp-off", "interface=%s effect=\"relayed by the workers\" cause=\"%s\"",
			 s->xdp_interface, why);
		free(o);
		return 0;
	}
	log_info("xdp-on", "interface=%s mode=%s", s->xdp_interface, xdp_mode(o->xdp));
	loop_timer_init(control, &o->sweep, on_sweep, o);
	(void)loop_timer_after(&o->sweep, SWEEP_US); /* without it a full map sweeps itself */
	*out = o;
	return 0;
}

void offload_destroy(struct offload *o)
{
	if (!o)
		return;
	loop_timer_stop(&o->sweep);
	xdp_destroy(o->xdp);
	free(o);
}

void offload_count(const struct offload *o, struct relay_snapshot *out)
{
	struct xdp_count c;

	if (!o)
		return;
	xdp_read(o->xdp, &c);
	out->offloaded_up.packets += c.up_packets;
	out->offloaded_up.bytes += c.up_bytes;
	out->offloaded_down.packets += c.down_packets;
	out->offloaded_down.bytes += c.down_bytes;
	out->over_quota += c.over_quota;
}

/* ---- bindings ---- */

static struct offload *of(const struct relayed *r)
{
	return relay_offload(r->worker->relay);
}

static void forget(struct relayed *r, struct offloaded *b)
{
	if (b->bound)
		xdp_unbind(of(r)->xdp, &b->binding);
	list_remove(&b->node);
	free(b);
}

/* As the client's link and the limits are now. */
static void bind_again(struct relayed *r, struct offloaded *b)
{
	struct worker *w = r->worker;
	bool v6 = b->binding.peer.family == ADDR_V6;
	int err;

	if (!link_is_udp(&r->link))
		return;
	b->binding.client = r->link.flow.client;
	b->binding.server = r->link.flow.server;
	b->binding.relayed = w->settings->relay[v6].bound;
	b->binding.relayed.port = r->ports[v6];
	b->binding.user = quota_id(r->quota);
	quota_rates(r->quota, &b->binding.bytes_per_s, &b->binding.packets_per_s);
	quotas_rates(relay_quotas(w->relay), &b->binding.all_bytes_per_s,
		     &b->binding.all_packets_per_s);
	err = xdp_bind(of(r)->xdp, &b->binding);
	b->bound = err == 0;
	if (err)
		log_debug("not-offloaded", "channel=0x%x cause=\"%s\"", b->binding.channel,
			  err_text(err));
}

static struct offloaded *find(struct relayed *r, uint16_t channel)
{
	struct offloaded *b, *tmp;

	list_for_each (b, tmp, &r->offloaded, node)
		if (b->binding.channel == channel)
			return b;
	return NULL;
}

void offload_binding(struct relayed *r, const struct turn_event *e)
{
	struct offloaded *b;

	if (!of(r) || !r->udp)
		return;
	b = find(r, e->channel);
	if (b && (e->until == 0 || !addr_equal(&b->binding.peer, &e->peer))) {
		forget(r, b);
		b = NULL;
	}
	if (e->until == 0)
		return;
	if (!b) {
		b = calloc(1, sizeof(*b));
		if (!b)
			return; /* the worker relays it */
		b->binding.channel = e->channel;
		b->binding.peer = e->peer;
		list_push_back(&r->offloaded, &b->node);
	}
	b->binding.until = e->until;
	bind_again(r, b);
}

void offload_renew(struct relayed *r)
{
	struct offloaded *b, *tmp;

	list_for_each (b, tmp, &r->offloaded, node) {
		const struct turn_flow *flow = &r->link.flow;

		if (b->bound &&
		    (!link_is_udp(&r->link) || !addr_equal(&b->binding.client, &flow->client) ||
		     !addr_equal(&b->binding.server, &flow->server))) {
			xdp_unbind(of(r)->xdp, &b->binding);
			b->bound = false;
		}
		bind_again(r, b);
	}
}

void offload_release(struct relayed *r, bool v6)
{
	struct offloaded *b, *tmp;

	list_for_each (b, tmp, &r->offloaded, node)
		if ((b->binding.peer.family == ADDR_V6) == v6)
			forget(r, b);
}

void offload_end(struct relayed *r)
{
	struct offloaded *b, *tmp;

	list_for_each (b, tmp, &r->offloaded, node)
		forget(r, b);
}
