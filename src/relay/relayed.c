#include "relay/relayed.h"

#include <errno.h>
#include <unistd.h>

#include "base/err.h"
#include "relay/offload.h"
#include "relay/peer_socket.h"
#include "relay/shared_ports.h"
#include "relay/tcp_relay.h"
#include "relay/udp_front.h"

/* The client of an allocation with mobility, between its streams. */
static size_t send_nowhere(const struct link *l, const struct link_msg *msgs, size_t n)
{
	(void)l;
	(void)msgs;
	(void)n;
	return 0;
}

static const struct link_ops nowhere = { .send = send_nowhere };

void relayed_set_link(struct relayed *r, const struct link *l)
{
	r->link = l ? *l : (struct link){ .ops = &nowhere, .flow = r->link.flow };
	memset(&r->client, 0, sizeof(r->client));
	(void)sock_name_from(&r->link.flow.client, &r->client);
	offload_renew(r);
}

void relayed_join(struct relayed *r, struct worker *w)
{
	r->worker = w;
	list_push_back(&w->relayed, &r->node);
	w->count.allocations[r->link.flow.transport]++;
}

void relayed_leave(struct relayed *r)
{
	if (list_empty(&r->node))
		return;
	list_remove(&r->node);
	r->worker->count.allocations[r->link.flow.transport]--;
}

static void close_fds(int fds[2])
{
	fl_closep(&fds[0]);
	fl_closep(&fds[1]);
}

/* 0, or the code for the client. One of two families that were asked for suffices. */
static unsigned open_ports(struct worker *w, const struct turn_open *o, struct shared_ports_open *p)
{
	bool wanted[2] = { o->v4, o->v6 };
	unsigned code = 440, bound = 0, held;

	for (int i = 0; i < 2; i++) {
		int err = wanted[i] ? shared_ports_open(relay_ports(w->relay), loop_now(w->loop),
							i == 1, p)
				    : -EAFNOSUPPORT;

		bound += err == 0;
		if (err == 0 || err == -EAFNOSUPPORT)
			continue;
		code = 508;
		if (err != -ENOENT && log_limit_pass(&w->log_fail, loop_now(w->loop), &held))
			log_warn("no-relayed-port", "family=%s cause=\"%s\" held-back=%u",
				 i ? "ipv6" : "ipv4",
				 err == -ENOSPC ? "all ports are in use" : err_text(err), held);
	}
	return bound ? 0 : code;
}

static void describe(struct worker *w, const struct shared_ports_open *p, struct turn_opened *out)
{
	for (int i = 0; i < 2; i++) {
		if (p->ports[i] == 0)
			continue;
		out->relayed[i] = w->settings->relay[i].told;
		out->relayed[i].port = p->ports[i];
	}
	out->reserved = p->reserved;
	if (p->reserved)
		(void)loop_timer_after(&w->ports_timer,
				       TURN_RESERVATION_S * USEC_PER_SEC + USEC_PER_MSEC);
	memcpy(out->token, p->reserved_token, sizeof(out->token));
}

/* Takes the descriptors over. */
static int add_sockets(struct relayed *r, struct shared_ports_open *p)
{
	int fds[2] = { p->fds[0], p->fds[1] };

	p->fds[0] = p->fds[1] = -1;
	return p->stream ? tcp_relay_create(r, fds, &r->tcp) : peer_sockets_create(r, fds, &r->udp);
}

static unsigned open_into(struct relayed *r, const struct turn_open *o, struct turn_opened *out)
{
	struct shared_ports_open p = { .stream = o->protocol == TURN_PROTOCOL_TCP,
				       .token = o->by_token ? o->token : NULL,
				       .want = o->reserve_next ? TURN_PORTS_PAIR
					       : o->even       ? TURN_PORTS_EVEN
							       : TURN_PORTS_ANY,
				       .fds = { -1, -1 } };
	struct worker *w = r->worker;
	unsigned code = (unsigned)quota_take(relay_quotas(w->relay), o->user, &r->quota);

	if (code)
		return code;
	code = open_ports(w, o, &p);
	memcpy(r->ports, p.ports, sizeof(r->ports));
	if (code == 0 && add_sockets(r, &p) < 0)
		code = 508;
	close_fds(p.fds);
	if (code == 0)
		describe(w, &p, out);
	return code;
}

struct relayed *relayed_open(struct worker *w, const struct link *from, const struct turn_open *o,
			     struct turn_opened *out)
{
	struct relayed *r = calloc(1, sizeof(*r));

	*out = (struct turn_opened){ .code = 508 };
	if (!r)
		return NULL;
	r->worker = w;
	list_init(&r->node);
	list_init(&r->offloaded);
	relayed_set_link(r, from);
	out->code = open_into(r, o, out);
	if (out->code) {
		relayed_close(r);
		return NULL;
	}
	out->data = r;
	relay_count(w->relay, true);
	r->counted = true;
	return r;
}

void relayed_release(struct relayed *r, bool v6)
{
	uint16_t ports[2] = { 0 };

	if (!r->udp)
		return; /* with TCP both families end together */
	offload_release(r, v6);
	peer_sockets_release(r->udp, v6);
	ports[v6] = r->ports[v6];
	r->ports[v6] = 0;
	shared_ports_put(relay_ports(r->worker->relay), ports);
}

void relayed_close(struct relayed *r)
{
	if (!r)
		return;
	relayed_leave(r);
	offload_end(r);
	peer_sockets_destroy(r->udp);
	tcp_relay_destroy(r->tcp);
	shared_ports_put(relay_ports(r->worker->relay), r->ports);
	if (r->quota)
		quota_put(relay_quotas(r->worker->relay), r->quota);
	if (r->counted)
		relay_count(r->worker->relay, false);
	free(r);
}
