#include "plan.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define MS USEC_PER_MSEC

static bool one_in(struct rng *rng, uint32_t n)
{
	return rng_below(rng, n) == 0;
}

static struct sim_nat random_nat(struct rng *rng)
{
	static const struct sim_nat *const kinds[] = { &sim_nat_full_cone, &sim_nat_restricted,
						       &sim_nat_port_restricted,
						       &sim_nat_symmetric };
	struct sim_nat nat = *kinds[rng_below(rng, ARRAY_LEN(kinds))];

	nat.hairpin = one_in(rng, 2);
	nat.only = ADDR_V4;
	if (one_in(rng, 6))
		nat.timeout_us = 300 * USEC_PER_SEC;
	return nat;
}

static void random_end(struct plan_end *e, struct rng *rng)
{
	unsigned family = rng_below(rng, 8);

	e->v4 = family != 0;
	e->v6 = family < 3;
	e->n_nats = one_in(rng, 6) ? 0 : one_in(rng, 5) ? 2 : 1;
	for (unsigned i = 0; i < e->n_nats; i++)
		e->nats[i] = random_nat(rng);
	e->firewall = !one_in(rng, 4);
	e->no_udp = one_in(rng, 8);
	e->stun = !one_in(rng, 10);
	e->stun_twice = one_in(rng, 2);
	e->relay_udp = !one_in(rng, 3);
	e->relay_tcp = one_in(rng, 3);
	e->tcp = one_in(rng, 2);
	e->uplink = one_in(rng, 8);
	e->symmetric_uplink = one_in(rng, 2);
	e->idle = one_in(rng, 12) ? 1 + rng_below(rng, 11) : one_in(rng, 4);
	e->containers = one_in(rng, 4) ? 1 + rng_below(rng, 3) : 0;
	e->hides_hosts = one_in(rng, 6);
	e->renomination = !one_in(rng, 4);
	e->late_us = one_in(rng, 5) ? rng_below(rng, 3000) * MS : 0;
	e->relay_us = one_in(rng, 5) ? rng_below(rng, 3000) * MS : 0;
}

static void random_network(struct plan *p, struct rng *rng)
{
	p->internet = (struct sim_path){
		.delay_us = 500 + rng_below(rng, 60000),
		.jitter_us = 1 + rng_below(rng, 10000),
		.loss = one_in(rng, 2) ? 0 : rng_below(rng, 301),
		.duplicate = one_in(rng, 4) ? 50 : 0,
		.reorder = one_in(rng, 2) ? 200 : 0,
		.reorder_us = 30000,
	};
	p->lan = (struct sim_path){
		.delay_us = 100 + rng_below(rng, 2000),
		.jitter_us = 1 + rng_below(rng, 500),
		.loss = one_in(rng, 4) ? rng_below(rng, 51) : 0,
	};
}

void plan_random(struct plan *p, uint64_t seed)
{
	struct rng rng;
	unsigned roles;

	*p = (struct plan){ .restarts_who = -1 };
	rng_seed(&rng, seed);
	random_end(&p->end[0], &rng);
	random_end(&p->end[1], &rng);
	random_network(p, &rng);
	p->meet = one_in(&rng, 2) ? PLAN_APART : (enum plan_meet)rng_below(&rng, 4);
	if (p->meet == PLAN_ONE_CARRIER)
		p->end[0].n_nats = p->end[1].n_nats = 2;
	else if (p->meet != PLAN_APART)
		p->end[0].n_nats = FL_MAX(p->end[0].n_nats, 1u);
	p->isolated = one_in(&rng, 3);
	p->lan_no_udp = one_in(&rng, 4);
	p->vpn = one_in(&rng, 10);
	p->same_private = one_in(&rng, 2);
	roles = rng_below(&rng, 20);
	p->controlling[0] = roles != 0;
	p->controlling[1] = roles == 1;
	p->signal_min = 1 + rng_below(&rng, 100000);
	p->signal_spread = rng_below(&rng, 300000);
	if (one_in(&rng, 4)) {
		p->restarts_who = (int)rng_below(&rng, 2);
		p->restart_us = 1000 * MS + rng_below(&rng, 6000) * MS;
	}
}

/* Builds one scenario into a simulator. */
struct building {
	const struct plan *plan;
	struct sim *sim;
	bool ideal;
	struct plan_places *places;
	int home[2], carrier;
};

static struct sim_path path_of(const struct building *b, const struct sim_path *like)
{
	struct sim_path path = *like;

	if (b->ideal)
		path = (struct sim_path){ .delay_us = 100 };
	path.isolated = path.no_udp = false;
	return path;
}

static void place(struct building *b, int end, int segment, enum ice_net net, bool out,
		  const char *format, int number)
{
	struct plan_places *at = &b->places[end];
	struct plan_place *p = &at->place[at->n++];

	assert(at->n <= PLAN_PLACES_MAX);
	p->segment = segment;
	p->net = net;
	p->out = out;
	snprintf(p->ip, sizeof(p->ip), format, number);
}

static int new_segment(struct building *b)
{
	struct sim_path path = path_of(b, &b->plan->lan);

	return sim_segment(b->sim, &path);
}

static void nat(struct building *b, int inner, int outer, const char *format, int number,
		const struct sim_nat *like, bool no_udp)
{
	struct sim_nat kind = *like;
	char ip[48];

	snprintf(ip, sizeof(ip), format, number);
	kind.no_udp = no_udp;
	sim_router(b->sim, inner, outer, ip, &kind);
}

/* From a home to the internet over IPv4. */
static void way_out_v4(struct building *b, int end, int home)
{
	const struct plan_end *e = &b->plan->end[end];
	struct sim_nat firewall = e->firewall ? sim_firewall : sim_router_plain;
	int outer = SIM_INTERNET;

	firewall.only = ADDR_V4;
	firewall.no_udp = e->no_udp;
	if (e->n_nats == 0) {
		sim_router(b->sim, home, SIM_INTERNET, NULL, &firewall);
		return;
	}
	if (e->n_nats == 2) {
		if (b->plan->meet == PLAN_ONE_CARRIER && end == 1) {
			outer = b->carrier;
		} else {
			outer = b->carrier = new_segment(b);
			nat(b, outer, SIM_INTERNET, "198.51.100.%d", 30 + end, &e->nats[1], false);
		}
	}
	nat(b, home, outer, outer == SIM_INTERNET ? "198.51.100.%d" : "100.64.0.%d", 2 + end,
	    &e->nats[0], e->no_udp);
}

static void way_out_v6(struct building *b, int end, int home)
{
	const struct plan_end *e = &b->plan->end[end];
	struct sim_nat router = e->firewall ? sim_firewall : sim_router_plain;

	router.only = ADDR_V6;
	router.no_udp = e->no_udp;
	sim_router(b->sim, home, SIM_INTERNET, NULL, &router);
}

static int home_of(struct building *b, int end)
{
	const struct plan *p = b->plan;
	struct sim_path lan = path_of(b, &p->lan);
	int home;

	if (end == 1 && p->meet == PLAN_ONE_LAN)
		return b->home[0];
	if (end == 0 && p->meet == PLAN_ONE_LAN) {
		lan.isolated = p->isolated;
		lan.no_udp = p->lan_no_udp;
	}
	home = sim_segment(b->sim, &lan);
	if (end == 1 && p->meet == PLAN_ROUTED) {
		sim_router(b->sim, home, b->home[0], NULL, &sim_router_plain);
	} else {
		way_out_v4(b, end, home);
		way_out_v6(b, end, home);
	}
	return home;
}

static void main_addresses(struct building *b, int end)
{
	const struct plan *p = b->plan;
	const struct plan_end *e = &p->end[end];
	bool shared = p->meet == PLAN_ONE_LAN || p->meet == PLAN_ROUTED;
	const struct plan_end *first = shared ? &p->end[0] : e;
	int home = b->home[end];

	if (e->v4 && first->n_nats == 0)
		place(b, end, home, ICE_NET_PHYSICAL, true, "198.51.100.%d", 10 + end);
	else if (e->v4 && p->meet == PLAN_ROUTED && end == 1)
		place(b, end, home, ICE_NET_PHYSICAL, true, "192.168.2.%d", 20);
	else if (e->v4)
		place(b, end, home, ICE_NET_PHYSICAL, true, "192.168.1.%d",
		      10 + (p->same_private && !shared ? 0 : end));
	if (e->v6) /* the second may be inside of the first one's network */
		place(b, end, home, ICE_NET_PHYSICAL, true, "2001:db8:1::%d", 10 + end);
}

static void more_addresses(struct building *b, int end)
{
	const struct plan_end *e = &b->plan->end[end];
	const struct sim_nat *kind = e->symmetric_uplink ? &sim_nat_symmetric
							 : &sim_nat_port_restricted;
	int segment;

	if (e->uplink) {
		segment = new_segment(b);
		nat(b, segment, SIM_INTERNET, "198.51.100.%d", 50 + end, kind, false);
		place(b, end, segment, ICE_NET_PHYSICAL, true, "192.168.8.%d", 10 + end);
	}
	if (e->idle) {
		segment = new_segment(b);
		for (unsigned i = 0; i < e->idle; i++)
			place(b, end, segment, ICE_NET_PHYSICAL, true,
			      end ? "10.2.%d.1" : "10.1.%d.1", (int)i);
	}
	if (e->containers) {
		segment = new_segment(b);
		for (unsigned i = 0; i < e->containers; i++)
			place(b, end, segment, ICE_NET_VIRTUAL, false, "172.17.%d.1", (int)i);
	}
}

struct relay *plan_build(const struct plan *p, struct sim *sim, bool ideal,
			 struct plan_places places[2])
{
	struct building b = { .plan = p, .sim = sim, .ideal = ideal, .places = places };
	struct sim_path internet = path_of(&b, &p->internet);
	int vpn;

	places[0].n = places[1].n = 0;
	sim_segment_set(sim, SIM_INTERNET, &internet);
	sim_stun_server(sim, SIM_INTERNET, PLAN_STUN_1);
	sim_stun_server(sim, SIM_INTERNET, PLAN_STUN_2);
	sim_stun_server(sim, SIM_INTERNET, PLAN_STUN_V6);
	for (int end = 0; end < 2; end++) {
		b.home[end] = home_of(&b, end);
		main_addresses(&b, end);
	}
	for (int end = 0; end < 2; end++)
		more_addresses(&b, end);
	if (p->vpn) {
		vpn = new_segment(&b);
		place(&b, 0, vpn, ICE_NET_VIRTUAL, false, "10.8.0.%d", 2);
		place(&b, 1, vpn, ICE_NET_VIRTUAL, false, "10.8.0.%d", 3);
	}
	return relay_create(sim, PLAN_RELAY, PLAN_RELAY_V6);
}

static const char *nat_name(const struct sim_nat *n)
{
	static const char *const cones[] = { "full cone", "restricted", "port restricted" };

	return n->map == SIM_MAP_ADDRESS_PORT ? "symmetric" : cones[n->filter];
}

static void print_end(const struct plan_end *e)
{
	printf("  %s%s", e->v4 ? "IPv4 " : "", e->v6 ? "IPv6 " : "");
	for (unsigned i = 0; i < e->n_nats; i++)
		printf("%s%s, ", nat_name(&e->nats[i]), e->nats[i].hairpin ? " hairpin" : "");
	printf("%s%s%s%s%s%s%s, %u idle, %u containers%s%s, late %llu ms, relay at %llu ms\n",
	       e->n_nats     ? ""
	       : e->firewall ? "firewall, "
			     : "public, ",
	       e->no_udp ? "UDP blocked, " : "", e->stun ? "" : "no STUN, ",
	       e->relay_udp ? "relay, " : "", e->relay_tcp ? "relay over TCP, " : "",
	       e->tcp ? "ICE-TCP, " : "",
	       e->uplink ? e->symmetric_uplink ? "symmetric uplink" : "uplink" : "one uplink",
	       e->idle, e->containers, e->hides_hosts ? ", hides hosts" : "",
	       e->renomination ? ", renomination" : "", (unsigned long long)(e->late_us / MS),
	       (unsigned long long)(e->relay_us / MS));
}

void plan_print(const struct plan *p)
{
	static const char *const meets[] = { "apart", "one LAN", "routed VLANs", "one carrier" };

	printf("  %s%s%s%s, loss %u/1000, delay %llu us, LAN loss %u/1000, controlling %d %d\n",
	       meets[p->meet], p->isolated ? ", isolated" : "",
	       p->lan_no_udp ? ", LAN without UDP" : "", p->vpn ? ", VPN" : "", p->internet.loss,
	       (unsigned long long)p->internet.delay_us, p->lan.loss, p->controlling[0],
	       p->controlling[1]);
	if (p->restarts_who >= 0)
		printf("  %c restarts at %llu ms\n", 'A' + p->restarts_who,
		       (unsigned long long)(p->restart_us / MS));
	print_end(&p->end[0]);
	print_end(&p->end[1]);
}
