#include "oracle.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "proto/stun/stun.h"

#define BASES_MAX 96
#define TARGETS_MAX 192
#define HEARD_MAX 64
#define ROUNDS 10
#define ROUND_US (50 * USEC_PER_MSEC)
#define GATHER_US (500 * USEC_PER_MSEC)
#define UDP_PORT 50000
#define TCP_PORT 52000
#define ACTIVE_PORT 9

enum kind { KIND_HOST, KIND_MAPPED, KIND_RELAY };

/* An own address that is called from. */
struct base {
	struct addr addr;
	enum dgram_via via;
	enum ice_net net;
	bool relay, out;
	struct addr heard[HEARD_MAX];
	size_t n_heard;
};

/* An address that the other end is told. */
struct target {
	struct addr addr;
	enum dgram_via via;
	enum kind kind;
};

struct prober {
	unsigned id;
	const struct plan_end *plan;
	struct sim_host *host;
	struct stack stack;
	struct prober *other;
	struct base bases[BASES_MAX];
	size_t n_bases;
	struct target told[TARGETS_MAX];
	size_t n_told;
	enum oracle_class best;
};

/* A call and its answer; the first byte makes it no STUN message. */
struct call {
	uint8_t mark, answer, id;
	struct addr seen; /* where the call came from; called: whom it was for */
	struct addr called;
};

const char *oracle_class_name(enum oracle_class class)
{
	static const char *const names[] = {
		"nothing",	    "relayed twice", "relayed",	       "virtual",
		"punched over TCP", "punched",	     "local over TCP", "local",
	};

	return names[class];
}

enum oracle_class oracle_classify(const struct oracle_view *v)
{
	enum addr_range range = addr_range(&v->remote);
	bool direct = v->remote_host ||
		      (v->remote_unknown && (range == ADDR_PRIVATE || range == ADDR_LINK_LOCAL));

	if (v->local_relay && v->remote_relay)
		return ORACLE_RELAYED_TWICE;
	if (v->local_relay || v->remote_relay)
		return ORACLE_RELAYED;
	if (v->virtual_net)
		return ORACLE_VIRTUAL;
	if (v->local_untranslated && direct)
		return v->tcp ? ORACLE_LOCAL_TCP : ORACLE_LOCAL;
	return v->tcp ? ORACLE_PUNCHED_TCP : ORACLE_PUNCHED;
}

static const struct target *told_by(const struct prober *p, const struct addr *addr,
				    enum dgram_via via)
{
	for (size_t i = 0; i < p->n_told; i++)
		if (p->told[i].via == via && addr_equal(&p->told[i].addr, addr))
			return &p->told[i];
	return NULL;
}

static void tell(struct prober *p, const struct addr *addr, enum dgram_via via, enum kind kind)
{
	if (told_by(p, addr, via))
		return;
	assert(p->n_told < TARGETS_MAX);
	p->told[p->n_told++] = (struct target){ *addr, via, kind };
}

static void call(struct prober *p, const struct base *b, const struct addr *to)
{
	struct call c = { .mark = 0x80, .id = (uint8_t)p->id, .called = *to };
	struct dgram d = { b->addr, *to, span_of(&c, sizeof(c)), b->via };

	if (b->addr.family == to->family && !addr_equal(&b->addr, to))
		stack_send(&p->stack, &d);
}

static void works(struct prober *p, const struct base *b, const struct dgram *d,
		  const struct addr *seen)
{
	const struct target *t = told_by(p->other, &d->remote, d->via);
	struct oracle_view v = {
		.local_relay = b->relay,
		.tcp = b->via == DGRAM_TCP,
		.virtual_net = b->net >= ICE_NET_VIRTUAL,
		.remote = d->remote,
	};
	enum oracle_class class;

	if (t && t->kind == KIND_HOST && p->other->plan->hides_hosts)
		t = NULL;
	v.local_untranslated = addr_ip_equal(seen, &b->addr) &&
			       (v.tcp || seen->port == b->addr.port);
	v.remote_unknown = !t;
	v.remote_host = t && t->kind == KIND_HOST;
	v.remote_relay = t && t->kind == KIND_RELAY;
	class = oracle_classify(&v);
	p->best = FL_MAX(p->best, class);
}

static void heard(struct prober *p, struct base *b, const struct dgram *d)
{
	struct call c;
	struct dgram answer = { d->local, d->remote, span_of(&c, sizeof(c)), d->via };
	size_t i;

	memcpy(&c, d->data.ptr, sizeof(c));
	if (c.id == p->id) /* our own private address is somebody's over there, too */
		return;
	if (c.answer) {
		if (addr_equal(&c.called, &d->remote))
			works(p, b, d, &c.seen);
		return;
	}
	c.answer = 1;
	c.id = (uint8_t)p->id;
	c.seen = d->remote;
	stack_send(&p->stack, &answer);
	for (i = 0; i < b->n_heard; i++)
		if (addr_equal(&b->heard[i], &d->remote))
			return;
	if (b->n_heard < HEARD_MAX)
		b->heard[b->n_heard++] = d->remote;
}

static void on_dgram(void *arg, usec_t now, const struct dgram *d)
{
	struct prober *p = arg;
	struct stun_msg m;
	struct addr mapped;

	(void)now;
	if (stun_is_message(d->data)) {
		if (stun_parse(d->data, &m) == 0 &&
		    stun_get_xor_addr(&m, STUN_XOR_MAPPED_ADDRESS, &mapped))
			tell(p, &mapped, DGRAM_UDP, KIND_MAPPED);
		return;
	}
	for (size_t i = 0; i < p->n_bases && d->data.len == sizeof(struct call); i++)
		if (p->bases[i].via == d->via && addr_equal(&p->bases[i].addr, &d->local))
			heard(p, &p->bases[i], d);
}

static void on_relayed(void *arg, usec_t now, const struct addr *relayed, enum dgram_via way)
{
	struct prober *p = arg;

	(void)now;
	(void)way;
	assert(p->n_bases < BASES_MAX);
	p->bases[p->n_bases++] = (struct base){ .addr = *relayed, .relay = true };
	tell(p, relayed, DGRAM_UDP, KIND_RELAY);
}

static void on_wire(void *arg, usec_t now, const struct dgram *d)
{
	stack_input(&((struct prober *)arg)->stack, now, d);
}

static void ask_stun(struct prober *p, const struct base *b, const char *server)
{
	uint8_t buf[STUN_SHORT_MAX], tid[STUN_TID_LEN] = { 1 };
	struct dgram d = { .local = b->addr };
	struct stun_out o;

	if (addr_parse_ip(server, &d.remote) < 0 || d.remote.family != b->addr.family)
		return;
	d.remote.port = RELAY_PORT;
	stun_begin(&o, buf, sizeof(buf), STUN_REQUEST, STUN_BINDING, tid);
	stun_put_fingerprint(&o);
	d.data = span_of(buf, (size_t)stun_end(&o));
	stack_send(&p->stack, &d);
}

static void add_base(struct prober *p, const struct plan_place *at, uint16_t port,
		     enum dgram_via via)
{
	struct base *b = &p->bases[p->n_bases++];

	assert(p->n_bases <= BASES_MAX);
	*b = (struct base){ .via = via, .net = at->net, .out = at->out };
	if (addr_parse_ip(at->ip, &b->addr) < 0)
		abort();
	b->addr.port = port;
	if (port != ACTIVE_PORT)
		tell(p, &b->addr, via, KIND_HOST);
}

static void start(struct prober *p, struct sim *sim, const struct plan_places *places)
{
	static const struct sim_ops ops = { .on_dgram = on_wire };
	static const struct stack_ops stack_ops = { on_dgram, on_relayed };

	p->host = sim_host(sim, SIM_INTERNET, &ops, p);
	stack_init(&p->stack, sim, p->host, &stack_ops, p);
	for (unsigned i = 0; i < places->n; i++) {
		sim_host_addr_on(p->host, places->place[i].segment, places->place[i].ip);
		add_base(p, &places->place[i], (uint16_t)(UDP_PORT + i), DGRAM_UDP);
		if (!p->plan->tcp || i >= PLAN_TCP_MAX)
			continue;
		add_base(p, &places->place[i], ACTIVE_PORT, DGRAM_TCP);
		add_base(p, &places->place[i], (uint16_t)(TCP_PORT + i), DGRAM_TCP);
	}
}

static void gather(struct prober *p)
{
	size_t n = p->n_bases;
	struct addr server;

	for (size_t i = 0; i < n; i++) {
		const struct base *b = &p->bases[i];
		bool v6 = b->addr.family == ADDR_V6;

		if (b->via != DGRAM_UDP || !b->out)
			continue;
		if (p->plan->stun)
			ask_stun(p, b, v6 ? PLAN_STUN_V6 : PLAN_STUN_1);
	}
	if (addr_parse_ip(p->bases[0].addr.family == ADDR_V6 ? PLAN_RELAY_V6 : PLAN_RELAY,
			  &server) < 0)
		abort();
	server.port = RELAY_PORT;
	if (p->plan->relay_udp)
		stack_allocate(&p->stack, &p->bases[0].addr, &server, DGRAM_UDP);
	if (p->plan->relay_tcp)
		stack_allocate(&p->stack, &p->bases[0].addr, &server, DGRAM_TCP);
}

/* Who listens on TCP never begins. */
static bool may_begin(const struct base *b)
{
	return b->via == DGRAM_UDP || b->addr.port == ACTIVE_PORT;
}

static void call_all(struct prober *p)
{
	for (size_t i = 0; i < p->n_bases; i++) {
		const struct base *b = &p->bases[i];

		for (size_t t = 0; t < p->other->n_told && may_begin(b); t++) {
			const struct target *to = &p->other->told[t];

			if (to->via == b->via &&
			    !(to->kind == KIND_HOST && p->other->plan->hides_hosts))
				call(p, b, &to->addr);
		}
		for (size_t k = 0; k < b->n_heard; k++)
			call(p, b, &b->heard[k]);
	}
}

void oracle_best(const struct plan *plan, enum oracle_class best[2])
{
	static struct prober ends[2];
	struct sim *sim = sim_create(1);
	struct plan_places places[2];
	struct relay *relay = plan_build(plan, sim, true, places);

	for (unsigned i = 0; i < 2; i++) {
		memset(&ends[i], 0, sizeof(ends[i]));
		ends[i].id = i;
		ends[i].plan = &plan->end[i];
		ends[i].other = &ends[1 - i];
		start(&ends[i], sim, &places[i]);
	}
	gather(&ends[0]);
	gather(&ends[1]);
	sim_run(sim, sim_now(sim) + GATHER_US);
	for (unsigned round = 0; round < ROUNDS; round++) {
		call_all(&ends[0]);
		call_all(&ends[1]);
		sim_run(sim, sim_now(sim) + ROUND_US);
	}
	best[0] = ends[0].best;
	best[1] = ends[1].best;
	sim_destroy(sim);
	free(relay);
}
