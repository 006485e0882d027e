/*
 * Two ICE agents in thousands of seeded networks. Argument: how many runs, or "seed=N" for one of
 * them with its story. Whether a pair can work is known from the topology; the agents must find one
 * exactly then, agree on it, and otherwise fail in bounded time.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ice_node.h"

#define STUN_1 "203.0.113.3"
#define STUN_2 "203.0.113.4"
#define SETTLE_US (45 * USEC_PER_SEC) /* a session that cannot be fails before this */

struct site {
	const struct sim_nat *nat; /* NULL: the host has a public address */
	bool stun;
};

struct run {
	struct sim *sim;
	struct ice_node a, b;
	struct site site_a, site_b;
	int router_a; /* -1: none */
	bool same_lan;
	unsigned loss;
	bool both_control;
};

static const struct sim_nat *const nats[] = {
	NULL,
	&sim_nat_full_cone,
	&sim_nat_restricted,
	&sim_nat_port_restricted,
	&sim_nat_symmetric,
	&sim_nat_blocked,
};
static const char *const nat_names[] = { "public",	    "full cone", "restricted",
					 "port restricted", "symmetric", "blocked" };

static unsigned pick(struct sim *sim, unsigned n)
{
	return rng_below(sim_rng(sim), n);
}

/* RFC 4787's behaviours: can a hole be punched between the two? */
static bool lets_in_strangers(const struct site *s)
{
	return s->nat->filter == SIM_FILTER_OPEN && s->stun && !s->nat->blocked;
}

static bool punchable(const struct site *a, const struct site *b)
{
	bool sym_a = a->nat && a->nat->map == SIM_MAP_ADDRESS_PORT;
	bool sym_b = b->nat && b->nat->map == SIM_MAP_ADDRESS_PORT;

	if ((a->nat && a->nat->blocked) || (b->nat && b->nat->blocked))
		return false;
	if (!a->nat || !b->nat || lets_in_strangers(a) || lets_in_strangers(b))
		return true;
	/* both filter: each must know where the other's packets come from, at least by address */
	if (!a->stun || !b->stun || (sym_a && sym_b))
		return false;
	if (sym_a)
		return b->nat->filter == SIM_FILTER_ADDRESS;
	if (sym_b)
		return a->nat->filter == SIM_FILTER_ADDRESS;
	return true;
}

static bool possible(const struct run *r)
{
	return r->same_lan || punchable(&r->site_a, &r->site_b);
}

static int make_site(struct run *r, struct site *s, const char *public_ip, int *router)
{
	struct sim_path lan = { .delay_us = 100 + pick(r->sim, 2000),
				.jitter_us = 1 + pick(r->sim, 500) };
	int segment;

	s->nat = nats[pick(r->sim, ARRAY_LEN(nats))];
	s->stun = pick(r->sim, 8) != 0;
	*router = -1;
	if (!s->nat)
		return SIM_INTERNET;
	segment = sim_segment(r->sim, &lan);
	*router = sim_router(r->sim, segment, SIM_INTERNET, public_ip, s->nat);
	return segment;
}

static void fill(struct run *r, struct ice_node *n, const struct site *s, const char *const *ips)
{
	if (!s->nat)
		ice_node_addr(n, ips[0], ICE_NET_PHYSICAL);
	else
		ice_node_addr(n, ips[1], ICE_NET_PHYSICAL);
	if (pick(r->sim, 3) == 0) /* a container bridge that leads nowhere */
		ice_node_addr(n, ips[2], ICE_NET_VIRTUAL);
	if (s->stun)
		ice_node_stun(n, STUN_1 ":3478");
	if (s->stun && pick(r->sim, 2))
		ice_node_stun(n, STUN_2 ":3478");
	n->renomination = pick(r->sim, 2);
	ice_node_ready(n);
}

static void build(struct run *r, uint64_t seed)
{
	static const char *const ips_a[] = { "198.51.100.10", "192.168.1.10", "172.17.0.1" };
	static const char *const ips_b[] = { "198.51.100.20", "192.168.1.20", "172.18.0.1" };
	struct sim_path net = { 0 };
	int lan_a, lan_b, router_b;

	r->sim = sim_create(seed);
	r->loss = pick(r->sim, 3) ? 0 : pick(r->sim, 201);
	net.delay_us = 500 + pick(r->sim, 60000);
	net.jitter_us = 1 + pick(r->sim, 10000);
	net.loss = r->loss;
	net.duplicate = pick(r->sim, 4) ? 0 : 50;
	net.reorder = pick(r->sim, 2) ? 0 : 200;
	net.reorder_us = 30000;
	sim_segment_set(r->sim, SIM_INTERNET, &net);
	sim_stun_server(r->sim, SIM_INTERNET, STUN_1);
	sim_stun_server(r->sim, SIM_INTERNET, STUN_2);
	lan_a = make_site(r, &r->site_a, "198.51.100.1", &r->router_a);
	r->same_lan = r->site_a.nat && pick(r->sim, 5) == 0;
	if (r->same_lan) {
		r->site_b = r->site_a;
		lan_b = lan_a;
	} else {
		lan_b = make_site(r, &r->site_b, "198.51.100.2", &router_b);
	}
	r->both_control = pick(r->sim, 10) == 0;
	ice_node_init(&r->a, r->sim, lan_a, true);
	ice_node_init(&r->b, r->sim, lan_b, r->both_control);
	ice_node_link(&r->a, &r->b, 1000 + pick(r->sim, 100000), pick(r->sim, 300000));
	ice_node_describe(&r->a);
	ice_node_describe(&r->b);
	fill(r, &r->a, &r->site_a, ips_a);
	fill(r, &r->b, &r->site_b, ips_b);
}

static const char *site_name(const struct site *s)
{
	for (size_t i = 0; i < ARRAY_LEN(nats); i++)
		if (nats[i] == s->nat)
			return nat_names[i];
	return "?";
}

static void tell_node(const char *name, const struct ice_node *n)
{
	struct ice_pair_info pairs[16];
	size_t count = ice_pairs(n->ice, pairs, ARRAY_LEN(pairs));
	char local[ADDR_TEXT_MAX], remote[ADDR_TEXT_MAX];

	printf("%s: %s%s\n", name, ice_state_name(ice_state(n->ice)),
	       ice_controlling(n->ice) ? ", controlling" : "");
	for (size_t i = 0; i < count; i++)
		printf("  %s %s -> %s %s: %s%s%s sent %u answered %u received %u rtt %u us\n",
		       ice_type_name(pairs[i].local_type), addr_format(&pairs[i].local, local),
		       ice_type_name(pairs[i].remote_type), addr_format(&pairs[i].remote, remote),
		       ice_pair_state_name(pairs[i].state), pairs[i].selected ? ", selected" : "",
		       pairs[i].nominated ? ", nominated" : "", pairs[i].sent, pairs[i].answered,
		       pairs[i].received, pairs[i].rtt_us);
}

static void tell(const struct run *r)
{
	printf("%s%s - %s%s%s, loss %u/1000, at %.3f s\n", site_name(&r->site_a),
	       r->site_a.stun ? "" : " without STUN", site_name(&r->site_b),
	       r->site_b.stun ? "" : " without STUN", r->same_lan ? ", same LAN" : "", r->loss,
	       (double)sim_now(r->sim) / 1e6 - 1);
	tell_node("A", &r->a);
	tell_node("B", &r->b);
}

/* Both have selected a pair of the present generation, which is the same. */
static bool settled(const struct run *r)
{
	return ice_stats(r->a.ice)->selected_us && ice_stats(r->b.ice)->selected_us &&
	       ice_nodes_agree(&r->a, &r->b);
}

/* Until they agree and still do a second later. */
static void run_until_settled(struct run *r)
{
	usec_t end = sim_now(r->sim) + SETTLE_US;

	do {
		while (!settled(r) && sim_step(r->sim, end))
			;
		sim_run(r->sim, usec_min(sim_now(r->sim) + USEC_PER_SEC, end));
	} while (!settled(r) && sim_now(r->sim) < end);
}

/* One end restarts; sometimes its network has changed, too. */
static const char *judge_restart(struct run *r)
{
	struct ice_node *n = pick(r->sim, 2) ? &r->a : &r->b;
	size_t states = r->a.n_states;

	if (r->router_a >= 0 && !r->same_lan && pick(r->sim, 2))
		sim_router_set(r->sim, r->router_a, r->site_a.nat);
	ice_node_restart(n);
	run_until_settled(r);
	if (!settled(r))
		return "no agreement after a restart";
	for (; states < r->a.n_states; states++)
		if (r->a.states[states] == ICE_FAILED)
			return "failed by a restart";
	return NULL;
}

/* NULL when all is as it must be, else what is not. */
static const char *judge(struct run *r)
{
	run_until_settled(r);
	if (!possible(r)) {
		if (r->a.connected_at || r->b.connected_at)
			return "connected where it cannot be";
		return ice_state(r->a.ice) == ICE_FAILED && ice_state(r->b.ice) == ICE_FAILED
			       ? NULL
			       : "neither connected nor failed in time";
	}
	if (!r->a.connected_at || !r->b.connected_at)
		return "not connected";
	if (!ice_nodes_agree(&r->a, &r->b))
		return "no agreement";
	if (ice_controlling(r->a.ice) == ice_controlling(r->b.ice))
		return "both have the same role";
	return pick(r->sim, 4) ? NULL : judge_restart(r);
}

struct tally {
	unsigned bad, connected;
	usec_t slowest, slowest_lossless;
	uint64_t checks;
};

static void one(uint64_t seed, bool story, struct tally *t)
{
	static struct run r;
	const char *bad;
	usec_t took;

	memset(&r, 0, sizeof(r));
	build(&r, seed);
	bad = judge(&r);
	if (bad)
		printf("seed=%llu: %s\n", (unsigned long long)seed, bad);
	if (bad || story)
		tell(&r);
	t->bad += bad != NULL;
	if (!bad && r.a.connected_at) {
		took = FL_MAX(r.a.connected_at, r.b.connected_at) - USEC_PER_SEC;
		t->connected++;
		t->slowest = FL_MAX(t->slowest, took);
		if (!r.loss)
			t->slowest_lossless = FL_MAX(t->slowest_lossless, took);
		t->checks += ice_stats(r.a.ice)->checks_sent;
	}
	ice_node_finish(&r.a);
	ice_node_finish(&r.b);
	sim_destroy(r.sim);
}

int main(int argc, char **argv)
{
	const char *arg = argc == 2 ? argv[1] : "2000";
	struct tally t = { 0 };
	unsigned long runs = strtoul(arg, NULL, 10);

	if (strncmp(arg, "seed=", 5) == 0) {
		one(strtoull(arg + 5, NULL, 10), true, &t);
		return t.bad != 0;
	}
	for (unsigned long seed = 1; seed <= runs; seed++)
		one(seed, false, &t);
	printf("%lu runs: %u connected, %u wrong; slowest %.0f ms, %.0f ms without loss; "
	       "%.1f checks a session\n",
	       runs, t.connected, t.bad, (double)t.slowest / 1e3, (double)t.slowest_lossless / 1e3,
	       t.connected ? (double)t.checks / t.connected : 0.0);
	return t.bad || !t.connected;
}
