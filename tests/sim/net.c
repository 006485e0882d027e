#include "net.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "proto/stun/stun.h"

#define HOPS_MAX 16

const struct sim_nat sim_nat_full_cone = { SIM_MAP_INDEPENDENT, SIM_FILTER_OPEN, true };
const struct sim_nat sim_nat_restricted = { SIM_MAP_INDEPENDENT, SIM_FILTER_ADDRESS };
const struct sim_nat sim_nat_port_restricted = { SIM_MAP_INDEPENDENT, SIM_FILTER_ADDRESS_PORT };
const struct sim_nat sim_nat_symmetric = { SIM_MAP_ADDRESS_PORT, SIM_FILTER_ADDRESS_PORT };
const struct sim_nat sim_nat_blocked = { SIM_MAP_INDEPENDENT, SIM_FILTER_ADDRESS_PORT,
					 .blocked = true };
const struct sim_nat sim_router_plain = { SIM_MAP_NONE, SIM_FILTER_OPEN };
const struct sim_nat sim_firewall = { SIM_MAP_NONE, SIM_FILTER_ADDRESS_PORT };

struct mapping {
	struct addr inner, outer, remote; /* remote: what was sent to, for filtering too */
	enum dgram_via via;
	usec_t used;
};

struct router {
	int inner, outer;
	struct addr public_ip; /* port 0 */
	struct sim_nat nat;
	uint16_t next_port;
	struct mapping map[SIM_MAPPINGS_MAX];
	size_t n, oldest;
};

struct segment {
	struct sim_path path;
	usec_t last_arrival[2]; /* of each dgram_via: keeps the order under jitter */
};

struct sim_host {
	struct sim *sim;
	int segment;
	struct sim_ops ops;
	void *arg;
	bool cut;
	struct addr addrs[SIM_HOST_ADDRS_MAX];
	int on[SIM_HOST_ADDRS_MAX]; /* segments */
	size_t n_addrs;
};

/* A datagram that reaches segment at its time, or a call. */
struct event {
	usec_t at;
	uint64_t seq;
	int segment, hops;
	struct addr from, to;
	enum dgram_via via;
	void (*fn)(void *arg, usec_t now, struct span data);
	void *arg;
	size_t len;
	uint8_t data[];
};

struct sim {
	usec_t now;
	uint64_t seq;
	struct rng rng;
	struct segment segments[SIM_SEGMENTS_MAX];
	int n_segments;
	struct router routers[SIM_ROUTERS_MAX];
	int n_routers;
	struct sim_host hosts[SIM_HOSTS_MAX];
	int n_hosts;
	struct event *heap[SIM_IN_FLIGHT_MAX];
	size_t n_heap;
	struct sim_stats stats;
};

/* The events: a binary heap by time, then by order of creation. */

static bool before(const struct event *a, const struct event *b)
{
	return a->at != b->at ? a->at < b->at : a->seq < b->seq;
}

static void heap_push(struct sim *sim, struct event *e)
{
	size_t i = sim->n_heap++;

	assert(sim->n_heap <= SIM_IN_FLIGHT_MAX);
	while (i > 0 && before(e, sim->heap[(i - 1) / 2])) {
		sim->heap[i] = sim->heap[(i - 1) / 2];
		i = (i - 1) / 2;
	}
	sim->heap[i] = e;
}

static struct event *heap_pop(struct sim *sim)
{
	struct event *top = sim->heap[0], *last = sim->heap[--sim->n_heap];
	size_t i = 0, child;

	while ((child = 2 * i + 1) < sim->n_heap) {
		if (child + 1 < sim->n_heap && before(sim->heap[child + 1], sim->heap[child]))
			child++;
		if (!before(sim->heap[child], last))
			break;
		sim->heap[i] = sim->heap[child];
		i = child;
	}
	sim->heap[i] = last;
	return top;
}

static struct event *event_new(struct sim *sim, usec_t at, struct span data)
{
	struct event *e = calloc(1, sizeof(*e) + data.len);

	assert(e);
	e->at = at;
	e->seq = sim->seq++;
	e->len = data.len;
	if (data.len)
		memcpy(e->data, data.ptr, data.len);
	return e;
}

struct sim *sim_create(uint64_t seed)
{
	struct sim *sim = calloc(1, sizeof(*sim));

	assert(sim);
	rng_seed(&sim->rng, seed);
	sim->now = USEC_PER_SEC; /* not 0, so that nobody takes 0 for "now" */
	sim->n_segments = 1;
	return sim;
}

void sim_destroy(struct sim *sim)
{
	if (!sim)
		return;
	while (sim->n_heap)
		free(heap_pop(sim));
	free(sim);
}

struct rng *sim_rng(struct sim *sim)
{
	return &sim->rng;
}

usec_t sim_now(const struct sim *sim)
{
	return sim->now;
}

const struct sim_stats *sim_stats(const struct sim *sim)
{
	return &sim->stats;
}

int sim_segment(struct sim *sim, const struct sim_path *path)
{
	assert(sim->n_segments < SIM_SEGMENTS_MAX);
	sim->segments[sim->n_segments].path = *path;
	return sim->n_segments++;
}

void sim_segment_set(struct sim *sim, int segment, const struct sim_path *path)
{
	sim->segments[segment].path = *path;
}

static struct addr ip_of(const char *text)
{
	struct addr a;
	int err = addr_parse_ip(text, &a);

	assert(err == 0);
	(void)err;
	return a;
}

int sim_router(struct sim *sim, int inner, int outer, const char *public_ip,
	       const struct sim_nat *nat)
{
	struct router *r = &sim->routers[sim->n_routers];

	assert(sim->n_routers < SIM_ROUTERS_MAX);
	assert(public_ip || nat->map == SIM_MAP_NONE);
	r->inner = inner;
	r->outer = outer;
	if (public_ip)
		r->public_ip = ip_of(public_ip);
	sim_router_set(sim, sim->n_routers, nat);
	return sim->n_routers++;
}

void sim_router_set(struct sim *sim, int router, const struct sim_nat *nat)
{
	struct router *r = &sim->routers[router];

	r->nat = *nat;
	r->n = r->oldest = 0;
	r->next_port = (uint16_t)(20000 + rng_below(&sim->rng, 20000));
}

struct sim_host *sim_host(struct sim *sim, int segment, const struct sim_ops *ops, void *arg)
{
	struct sim_host *h = &sim->hosts[sim->n_hosts++];

	assert(sim->n_hosts <= SIM_HOSTS_MAX);
	*h = (struct sim_host){ .sim = sim, .segment = segment, .ops = *ops, .arg = arg };
	return h;
}

void sim_host_addr_on(struct sim_host *host, int segment, const char *ip)
{
	assert(host->n_addrs < SIM_HOST_ADDRS_MAX);
	host->on[host->n_addrs] = segment;
	host->addrs[host->n_addrs++] = ip_of(ip);
}

void sim_host_addr(struct sim_host *host, const char *ip)
{
	sim_host_addr_on(host, host->segment, ip);
}

void sim_host_cut(struct sim_host *host, bool cut)
{
	host->cut = cut;
}

/* The segment of one of the host's addresses, -1 when it is not its own. Scopes are a host's own
 * affair; on the wire there are none. */
static int segment_of(const struct sim_host *h, const struct addr *a)
{
	for (size_t i = 0; i < h->n_addrs; i++)
		if (h->addrs[i].family == a->family && memcmp(h->addrs[i].ip, a->ip, 16) == 0)
			return h->on[i];
	return -1;
}

static struct sim_host *host_on(struct sim *sim, int segment, const struct addr *a)
{
	for (int i = 0; i < sim->n_hosts; i++)
		if (segment_of(&sim->hosts[i], a) == segment)
			return &sim->hosts[i];
	return NULL;
}

static bool chance(struct sim *sim, unsigned per_mille)
{
	return per_mille && rng_below(&sim->rng, 1000) < per_mille;
}

/* What TCP's repetition makes of losses. */
static usec_t tcp_delay(struct sim *sim, unsigned loss)
{
	usec_t late = 0, rto = 200 * USEC_PER_MSEC;

	for (; chance(sim, loss) && late < 5 * USEC_PER_SEC; rto *= 2)
		late += rto;
	return late;
}

/* When a datagram that enters a segment now is at its end; USEC_NEVER: it is lost. */
static usec_t arrival(struct sim *sim, struct segment *s, enum dgram_via via)
{
	usec_t at = sim->now + s->path.delay_us;

	if (via == DGRAM_TCP)
		at += tcp_delay(sim, s->path.loss);
	else if (chance(sim, s->path.loss))
		return USEC_NEVER;
	if (s->path.jitter_us)
		at += rng_below(&sim->rng, (uint32_t)s->path.jitter_us);
	if (via == DGRAM_UDP && chance(sim, s->path.reorder))
		return at + rng_below(&sim->rng, (uint32_t)s->path.reorder_us + 1);
	s->last_arrival[via] = FL_MAX(at, s->last_arrival[via]);
	return s->last_arrival[via];
}

/* Puts a copy of e onto a segment; it arrives there (at a host or router) after the delay. */
static void enter(struct sim *sim, int segment, const struct event *e, const struct addr *from,
		  const struct addr *to)
{
	struct segment *s = &sim->segments[segment];
	unsigned copies = e->via == DGRAM_UDP && chance(sim, s->path.duplicate) ? 2 : 1;

	for (unsigned i = 0; i < copies; i++) {
		usec_t at = arrival(sim, s, e->via);
		struct event *copy;

		if (at == USEC_NEVER) {
			sim->stats.lost++;
			continue;
		}
		copy = event_new(sim, at, span_of(e->data, e->len));
		copy->segment = segment;
		copy->hops = e->hops + 1;
		copy->from = *from;
		copy->to = *to;
		copy->via = e->via;
		heap_push(sim, copy);
	}
}

void sim_send(struct sim_host *host, const struct dgram *d)
{
	struct sim *sim = host->sim;
	struct addr from = d->local, to = d->remote;
	int segment = segment_of(host, &from);
	struct event *e;

	assert(d->data.len <= SIM_DGRAM_MAX);
	if (host->cut || segment < 0) {
		sim->stats.unroutable++;
		return;
	}
	from.scope = to.scope = 0;
	sim->stats.sent++;
	e = event_new(sim, sim->now, d->data);
	e->via = d->via;
	enter(sim, segment, e, &from, &to);
	free(e);
}

static bool expired(const struct sim *sim, const struct router *r, const struct mapping *m)
{
	return r->nat.timeout_us && m->used + r->nat.timeout_us < sim->now;
}

static bool same_binding(const struct router *r, const struct mapping *m, const struct event *e)
{
	if (m->via != e->via || !addr_equal(&m->inner, &e->from))
		return false;
	if (e->via == DGRAM_TCP)
		return addr_equal(&m->remote, &e->to);
	switch (r->nat.map) {
	case SIM_MAP_NONE:
	case SIM_MAP_INDEPENDENT:
		return true;
	case SIM_MAP_ADDRESS:
		return addr_ip_equal(&m->remote, &e->to);
	case SIM_MAP_ADDRESS_PORT:
		return addr_equal(&m->remote, &e->to);
	}
	return false;
}

/* One entry per inner address and remote; those of one binding share the outer port. */
static struct mapping *map_out(struct sim *sim, struct router *r, const struct event *e)
{
	const struct mapping *sibling = NULL;
	struct mapping *m;

	for (size_t i = 0; i < r->n; i++) {
		m = &r->map[i];
		if (expired(sim, r, m) || !same_binding(r, m, e))
			continue;
		sibling = m;
		if (addr_equal(&m->remote, &e->to))
			return m;
	}
	m = r->n < SIM_MAPPINGS_MAX ? &r->map[r->n++] : &r->map[r->oldest++ % SIM_MAPPINGS_MAX];
	if (sibling) {
		struct addr outer = sibling->outer;

		*m = (struct mapping){ e->from, outer, e->to, e->via, sim->now };
		return m;
	}
	*m = (struct mapping){ e->from, e->from, e->to, e->via, sim->now };
	if (r->nat.map != SIM_MAP_NONE) {
		m->outer = r->public_ip;
		m->outer.port = r->next_port++;
	}
	return m;
}

static bool passes(const struct router *r, const struct mapping *m, const struct addr *from)
{
	if (m->via == DGRAM_TCP)
		return addr_equal(&m->remote, from);
	switch (r->nat.filter) {
	case SIM_FILTER_OPEN:
		return true;
	case SIM_FILTER_ADDRESS:
		return addr_ip_equal(&m->remote, from);
	case SIM_FILTER_ADDRESS_PORT:
		return addr_equal(&m->remote, from);
	}
	return false;
}

/* The inner address for a datagram from outside, or NULL when it is filtered. */
static const struct addr *map_in(struct sim *sim, struct router *r, const struct event *e,
				 const struct addr *from)
{
	for (size_t i = 0; i < r->n; i++) {
		struct mapping *m = &r->map[i];

		if (m->via == e->via && !expired(sim, r, m) && addr_equal(&m->outer, &e->to) &&
		    passes(r, m, from)) {
			m->used = sim->now;
			return &m->inner;
		}
	}
	sim->stats.filtered++;
	return NULL;
}

static bool shut(const struct router *r, const struct event *e)
{
	return r->nat.blocked || (r->nat.no_udp && e->via == DGRAM_UDP);
}

static bool carries(const struct router *r, const struct addr *to)
{
	if (r->nat.only != ADDR_NONE)
		return r->nat.only == to->family;
	return r->nat.map == SIM_MAP_NONE || r->public_ip.family == to->family;
}

/* Is an address somewhere inside of a segment, reached without translation? */
static bool inside(struct sim *sim, int segment, const struct addr *a, int depth)
{
	if (host_on(sim, segment, a))
		return true;
	for (int i = 0; i < sim->n_routers && depth < HOPS_MAX; i++)
		if (sim->routers[i].outer == segment && sim->routers[i].nat.map == SIM_MAP_NONE &&
		    carries(&sim->routers[i], a) &&
		    inside(sim, sim->routers[i].inner, a, depth + 1))
			return true;
	return false;
}

/* From the outer side into the router's inner segment; true when it was the router's to handle. */
static bool go_in(struct sim *sim, struct router *r, const struct event *e, const struct addr *from)
{
	const struct addr *to = &e->to;

	if (r->nat.map == SIM_MAP_NONE) {
		if (!carries(r, &e->to) || !inside(sim, r->inner, &e->to, 0))
			return false;
		if (r->nat.filter != SIM_FILTER_OPEN)
			to = map_in(sim, r, e, from);
	} else {
		if (!addr_ip_equal(&r->public_ip, &e->to))
			return false;
		to = map_in(sim, r, e, from);
	}
	if (to && !shut(r, e))
		enter(sim, r->inner, e, from, to);
	return true;
}

/* From the inner side out, or back in when it is for the router's own public address. */
static void go_out(struct sim *sim, struct router *r, const struct event *e)
{
	struct mapping *m;

	if (shut(r, e)) {
		sim->stats.filtered++;
		return;
	}
	m = map_out(sim, r, e);
	m->used = sim->now;
	if (r->nat.map != SIM_MAP_NONE && addr_ip_equal(&r->public_ip, &e->to)) {
		struct addr from = m->outer;

		if (r->nat.hairpin)
			go_in(sim, r, e, &from);
		else
			sim->stats.filtered++;
		return;
	}
	enter(sim, r->outer, e, &m->outer, &e->to);
}

static void deliver(struct sim *sim, struct sim_host *h, const struct event *e)
{
	const struct sim_path *path = &sim->segments[e->segment].path;
	bool neighbour = e->hops == 1; /* no router in between */
	struct dgram d = { e->to, e->from, span_of(e->data, e->len), e->via };

	if (h->cut) {
		sim->stats.unroutable++;
		return;
	}
	if (neighbour && (path->isolated || (path->no_udp && e->via == DGRAM_UDP))) {
		sim->stats.filtered++;
		return;
	}
	sim->stats.delivered++;
	h->ops.on_dgram(h->arg, sim->now, &d);
}

static void arrive(struct sim *sim, const struct event *e)
{
	struct sim_host *h = host_on(sim, e->segment, &e->to);

	if (h) {
		deliver(sim, h, e);
		return;
	}
	if (e->hops >= HOPS_MAX)
		return;
	for (int i = 0; i < sim->n_routers; i++)
		if (sim->routers[i].outer == e->segment &&
		    go_in(sim, &sim->routers[i], e, &e->from))
			return;
	for (int i = 0; i < sim->n_routers; i++)
		if (sim->routers[i].inner == e->segment &&
		    sim->routers[i].nat.map == SIM_MAP_NONE && carries(&sim->routers[i], &e->to) &&
		    inside(sim, sim->routers[i].outer, &e->to, 0)) {
			go_out(sim, &sim->routers[i], e); /* the straight way, before any NAT */
			return;
		}
	for (int i = 0; i < sim->n_routers; i++)
		if (sim->routers[i].inner == e->segment && carries(&sim->routers[i], &e->to)) {
			go_out(sim, &sim->routers[i], e);
			return;
		}
	sim->stats.unroutable++;
}

void sim_after(struct sim *sim, usec_t delay, void (*fn)(void *arg, usec_t now, struct span data),
	       void *arg, struct span data)
{
	struct event *e = event_new(sim, sim->now + delay, data);

	e->fn = fn;
	e->arg = arg;
	heap_push(sim, e);
}

static struct sim_host *next_deadline(struct sim *sim, usec_t *at)
{
	struct sim_host *first = NULL;

	*at = USEC_NEVER;
	for (int i = 0; i < sim->n_hosts; i++) {
		struct sim_host *h = &sim->hosts[i];
		usec_t t = h->ops.deadline ? h->ops.deadline(h->arg) : USEC_NEVER;

		if (t < *at) {
			*at = t;
			first = h;
		}
	}
	return first;
}

bool sim_step(struct sim *sim, usec_t end)
{
	usec_t timer;
	struct sim_host *h = next_deadline(sim, &timer);
	usec_t arrival = sim->n_heap ? sim->heap[0]->at : USEC_NEVER;
	usec_t next = usec_min(timer, arrival);

	if (next >= end) {
		sim->now = usec_min(end, FL_MAX(sim->now, end));
		return false;
	}
	sim->now = FL_MAX(sim->now, next);
	if (timer <= arrival) {
		h->ops.timeout(h->arg, sim->now);
	} else {
		struct event *e = heap_pop(sim);

		if (e->fn)
			e->fn(e->arg, sim->now, span_of(e->data, e->len));
		else
			arrive(sim, e);
		free(e);
	}
	return true;
}

void sim_run(struct sim *sim, usec_t end)
{
	while (sim_step(sim, end))
		;
}

/* The host's arg is the host itself, known only after it was made. */
static void stun_answer(void *arg, usec_t now, const struct dgram *d)
{
	struct sim_host *self = arg;
	uint8_t buf[STUN_SHORT_MAX];
	struct stun_msg m;
	struct stun_out o;
	struct dgram out = { .local = d->local, .remote = d->remote };

	(void)now;
	if (d->local.port != 3478 || stun_parse(d->data, &m) < 0 || m.class != STUN_REQUEST)
		return;
	stun_begin(&o, buf, sizeof(buf), STUN_SUCCESS, STUN_BINDING, m.tid);
	stun_put_xor_addr(&o, STUN_XOR_MAPPED_ADDRESS, &d->remote);
	stun_put_fingerprint(&o);
	out.data = span_of(buf, (size_t)stun_end(&o));
	sim_send(self, &out);
}

void sim_stun_server(struct sim *sim, int segment, const char *ip)
{
	static const struct sim_ops ops = { .on_dgram = stun_answer };
	struct sim_host *h = sim_host(sim, segment, &ops, NULL);

	h->arg = h;
	sim_host_addr(h, ip);
}
