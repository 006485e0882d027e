/*
 * The race: two ICE agents in thousands of random scenarios (plan.h). What is possible is found by
 * an oracle that knows no ICE (oracle.h). The agents must
 *
 *	- agree on one pair when any works, and else both fail in bounded time;
 *	- come to a pair of the best class that works, and stay there;
 *	- never lose consent on the way that they use;
 *	- do the same after a restart in the middle.
 *
 *	ice_race_test [RUNS [FIRST]]	the seeds FIRST … FIRST + RUNS - 1
 *	ice_race_test seed=N		one of them, with its story
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ice_node.h"
#include "oracle.h"

#define FAIL_US (60 * USEC_PER_SEC)    /* a session that cannot be fails before this */
#define SETTLE_US (240 * USEC_PER_SEC) /* to the best class, from the start */
#define HOLD_US (40 * USEC_PER_SEC)    /* longer than consent lasts */

struct run {
	struct plan plan;
	struct sim *sim;
	struct relay *relay;
	struct ice_node node[2];
	struct plan_places places[2];
	enum oracle_class best[2]; /* as each end sees it */
	bool restarted;
	usec_t agreed_at, best_at; /* 0: not yet */
};

/* A part of an end's addresses, or its relay. */
struct arrival {
	struct ice_node *node;
	const struct plan_end *plan;
	const struct plan_places *places;
	unsigned first, beyond;
	bool relay, last;
};

static void arrive(void *arg, usec_t now, struct span data)
{
	struct arrival a;
	const struct plan_place *p;
	bool v6;

	(void)arg;
	(void)now;
	memcpy(&a, data.ptr, sizeof(a));
	for (unsigned i = a.first; i < a.beyond; i++) {
		p = &a.places->place[i];
		ice_node_addr_on(a.node, p->segment, p->ip, p->net,
				 a.plan->tcp && i < PLAN_TCP_MAX);
	}
	p = &a.places->place[0];
	v6 = strchr(p->ip, ':') != NULL;
	if (a.relay && a.plan->relay_udp)
		ice_node_relay(a.node, p->ip, v6 ? PLAN_RELAY_V6 : PLAN_RELAY, DGRAM_UDP);
	if (a.relay && a.plan->relay_tcp)
		ice_node_relay(a.node, p->ip, v6 ? PLAN_RELAY_V6 : PLAN_RELAY, DGRAM_TCP);
	if (a.last)
		ice_node_ready(a.node);
}

/* The addresses come in two parts, the relay's when it is asked. */
static void schedule(struct run *r, int end)
{
	const struct plan_end *e = &r->plan.end[end];
	unsigned n = r->places[end].n, half = e->late_us ? (n + 1) / 2 : n;
	bool relay_last = e->relay_us >= e->late_us;
	struct arrival a = { &r->node[end], e, &r->places[end], 0, half, false, false };

	if (e->stun) {
		ice_node_stun(&r->node[end], PLAN_STUN_1 ":3478");
		ice_node_stun(&r->node[end], "[" PLAN_STUN_V6 "]:3478");
	}
	if (e->stun && e->stun_twice)
		ice_node_stun(&r->node[end], PLAN_STUN_2 ":3478");
	arrive(NULL, 0, span_of(&a, sizeof(a)));
	a.first = half;
	a.beyond = n;
	a.last = !relay_last;
	sim_after(r->sim, e->late_us, arrive, NULL, span_of(&a, sizeof(a)));
	a.first = a.beyond;
	a.relay = true;
	a.last = relay_last;
	sim_after(r->sim, e->relay_us, arrive, NULL, span_of(&a, sizeof(a)));
}

static void restart(void *arg, usec_t now, struct span data)
{
	struct run *r = arg;

	(void)now;
	(void)data;
	r->restarted = true;
	ice_node_restart(&r->node[r->plan.restarts_who]);
}

/* Loss is meant for the whole way; a relayed one crosses the internet two or three times. */
static unsigned loss_of_crossing(const struct run *r)
{
	static const unsigned percent[] = { [ORACLE_RELAYED_TWICE] = 38, [ORACLE_RELAYED] = 55 };
	enum oracle_class best = FL_MIN(r->best[0], r->best[1]);

	return best == ORACLE_NONE || best > ORACLE_RELAYED
		       ? r->plan.internet.loss
		       : r->plan.internet.loss * percent[best] / 100;
}

static void build(struct run *r, uint64_t seed)
{
	plan_random(&r->plan, seed);
	oracle_best(&r->plan, r->best);
	r->plan.internet.loss = loss_of_crossing(r);
	r->sim = sim_create(seed);
	r->relay = plan_build(&r->plan, r->sim, false, r->places);
	for (int i = 0; i < 2; i++) {
		ice_node_init(&r->node[i], r->sim, SIM_INTERNET, r->plan.controlling[i]);
		r->node[i].hides_hosts = r->plan.end[i].hides_hosts;
		r->node[i].renomination = r->plan.end[1 - i].renomination;
		r->node[i].ordered = r->plan.restarts_who >= 0;
	}
	ice_node_link(&r->node[0], &r->node[1], r->plan.signal_min, r->plan.signal_spread);
	ice_node_describe(&r->node[0]);
	ice_node_describe(&r->node[1]);
	schedule(r, 0);
	schedule(r, 1);
	if (r->plan.restarts_who >= 0)
		sim_after(r->sim, r->plan.restart_us, restart, r, span_of(NULL, 0));
}

static bool restart_is_due(const struct run *r)
{
	return r->plan.restarts_who >= 0 && !r->restarted;
}

/* Both have selected a pair of the present generation, which is the same. */
static bool agreed(const struct run *r)
{
	return !restart_is_due(r) && ice_stats(r->node[0].ice)->selected_us &&
	       ice_stats(r->node[1].ice)->selected_us && ice_nodes_agree(&r->node[0], &r->node[1]);
}

static bool failed(const struct run *r)
{
	return ice_state(r->node[0].ice) == ICE_FAILED && ice_state(r->node[1].ice) == ICE_FAILED;
}

/* The controlling end chooses. */
static int chooser(const struct run *r)
{
	return ice_controlling(r->node[0].ice) ? 0 : 1;
}

static enum oracle_class selected_class(const struct run *r, int who)
{
	const struct plan_places *at = &r->places[who];
	struct ice_pair_info pair;
	struct oracle_view v = { 0 };
	struct addr ip;

	if (!ice_node_selected(&r->node[who], &pair))
		return ORACLE_NONE;
	for (unsigned i = 0; i < at->n; i++)
		if (addr_parse_ip(at->place[i].ip, &ip) == 0 && addr_ip_equal(&ip, &pair.base))
			v.virtual_net = at->place[i].net >= ICE_NET_VIRTUAL;
	v.local_relay = pair.local_type == ICE_RELAY;
	v.remote_relay = pair.remote_type == ICE_RELAY;
	v.tcp = pair.via == DGRAM_TCP;
	v.local_untranslated = pair.local_type == ICE_HOST;
	v.remote_host = pair.remote_type == ICE_HOST;
	v.remote_unknown = pair.remote_type == ICE_PRFLX;
	v.remote = pair.remote;
	return oracle_classify(&v);
}

/*
 * The controlling end has what is best for it. The other one may see more: who hides its addresses
 * is known by its public IPv6 address only as "seen", not as untranslated, and has no reason to try
 * anything else. A peer that goes by priorities cannot be led against them: then only direct
 * counts.
 */
static bool is_best(const struct run *r)
{
	int who = chooser(r);
	enum oracle_class have = selected_class(r, who), best = r->best[who];

	if (selected_class(r, 1 - who) == ORACLE_LOCAL)
		return true;
	if (r->plan.end[0].renomination && r->plan.end[1].renomination)
		return have >= best;
	return (have > ORACLE_RELAYED) >= (best > ORACLE_RELAYED);
}

/* Until what holds, and still does a second later. */
static bool run_until(struct run *r, bool (*what)(const struct run *), usec_t end)
{
	do {
		while (!what(r) && sim_step(r->sim, end))
			;
		sim_run(r->sim, usec_min(sim_now(r->sim) + USEC_PER_SEC, end));
	} while (!what(r) && sim_now(r->sim) < end);
	return what(r);
}

static bool agreed_on_best(const struct run *r)
{
	return agreed(r) && is_best(r);
}

static const char *judge_hold(struct run *r)
{
	uint64_t before = ice_stats(r->node[0].ice)->consents_lost +
			  ice_stats(r->node[1].ice)->consents_lost;
	size_t states[2] = { r->node[0].n_states, r->node[1].n_states };

	sim_run(r->sim, sim_now(r->sim) + HOLD_US);
	if (ice_stats(r->node[0].ice)->consents_lost + ice_stats(r->node[1].ice)->consents_lost !=
	    before)
		return "consent was lost on a good path";
	if (!r->plan.internet.loss && !r->plan.lan.loss &&
	    (r->node[0].n_states != states[0] || r->node[1].n_states != states[1]))
		return "a good path was given up";
	return run_until(r, agreed_on_best, sim_now(r->sim) + SETTLE_US)
		       ? NULL
		       : "the best path was left for good";
}

/* NULL when all is as it must be, else what is not. */
static const char *judge(struct run *r)
{
	usec_t began = sim_now(r->sim);
	bool possible = r->best[0] != ORACLE_NONE;

	if (possible != (r->best[1] != ORACLE_NONE))
		return "the oracle says that only one end gets through";
	if (!possible) {
		while (!(failed(r) && !restart_is_due(r)) && sim_step(r->sim, began + FAIL_US))
			;
		if (r->node[0].connected_at || r->node[1].connected_at)
			return "connected where it cannot be";
		return failed(r) ? NULL : "neither connected nor failed in time";
	}
	if (!run_until(r, agreed, began + FAIL_US))
		return failed(r) ? "failed where a path works" : "no agreement";
	r->agreed_at = sim_now(r->sim);
	if (ice_controlling(r->node[0].ice) == ice_controlling(r->node[1].ice))
		return "both have the same role";
	if (!run_until(r, agreed_on_best, began + SETTLE_US))
		return "a worse path than the best one";
	r->best_at = sim_now(r->sim);
	return r->node[0].rng.state[0] % 3 ? NULL : judge_hold(r);
}

static void tell_node(char name, const struct ice_node *n)
{
	static struct ice_pair_info pairs[ICE_PAIRS_MAX];
	size_t count = ice_pairs(n->ice, pairs, ARRAY_LEN(pairs));
	char local[ADDR_TEXT_MAX], base[ADDR_TEXT_MAX], remote[ADDR_TEXT_MAX];

	printf("%c: %s%s\n", name, ice_state_name(ice_state(n->ice)),
	       ice_controlling(n->ice) ? ", controlling" : "");
	for (size_t i = 0; i < count; i++)
		printf("  %s %s (%s) -> %s %s%s: %s%s%s%s sent %u answered %u received %u\n",
		       ice_type_name(pairs[i].local_type), addr_format(&pairs[i].local, local),
		       addr_format(&pairs[i].base, base), ice_type_name(pairs[i].remote_type),
		       addr_format(&pairs[i].remote, remote),
		       pairs[i].via == DGRAM_TCP ? " tcp" : "", ice_pair_state_name(pairs[i].state),
		       pairs[i].valid ? ", valid" : "", pairs[i].selected ? ", selected" : "",
		       pairs[i].nominated ? ", nominated" : "", pairs[i].sent, pairs[i].answered,
		       pairs[i].received);
}

static void tell(const struct run *r)
{
	plan_print(&r->plan);
	printf("  at %.3f s; possible: %s, %s; selected: %s\n", (double)sim_now(r->sim) / 1e6 - 1,
	       oracle_class_name(r->best[0]), oracle_class_name(r->best[1]),
	       oracle_class_name(selected_class(r, chooser(r))));
	tell_node('A', &r->node[0]);
	tell_node('B', &r->node[1]);
}

struct tally {
	unsigned bad, connected, classes[ORACLE_LOCAL + 1];
	usec_t slowest, slowest_lossless, slowest_best;
	uint64_t checks;
};

static void count(struct tally *t, const struct run *r)
{
	usec_t took = FL_MAX(r->node[0].connected_at, r->node[1].connected_at) - USEC_PER_SEC;

	t->classes[r->best[chooser(r)]]++;
	if (!r->agreed_at)
		return;
	t->connected++;
	t->slowest = FL_MAX(t->slowest, took);
	t->slowest_best = FL_MAX(t->slowest_best, r->best_at - r->agreed_at);
	if (!r->plan.internet.loss && !r->plan.lan.loss)
		t->slowest_lossless = FL_MAX(t->slowest_lossless, took);
	t->checks += ice_stats(r->node[0].ice)->checks_sent;
}

static void one(const char *program, uint64_t seed, bool story, struct tally *t)
{
	static struct run r;
	const char *bad;

	memset(&r, 0, sizeof(r));
	build(&r, seed);
	bad = judge(&r);
	if (bad)
		printf("seed=%llu: %s\n  again: %s seed=%llu\n", (unsigned long long)seed, bad,
		       program, (unsigned long long)seed);
	if (bad || story)
		tell(&r);
	t->bad += bad != NULL;
	if (!bad)
		count(t, &r);
	ice_node_finish(&r.node[0]);
	ice_node_finish(&r.node[1]);
	sim_destroy(r.sim);
	free(r.relay);
}

static void sum_up(const struct tally *t, uint64_t runs)
{
	printf("%llu runs: %u connected, %u wrong; slowest %.0f ms, %.0f ms without loss, to the "
	       "best path %.1f s; %.1f checks a session\n",
	       (unsigned long long)runs, t->connected, t->bad, (double)t->slowest / 1e3,
	       (double)t->slowest_lossless / 1e3, (double)t->slowest_best / 1e6,
	       t->connected ? (double)t->checks / t->connected : 0.0);
	for (int i = 0; i <= ORACLE_LOCAL; i++)
		printf("%s%u %s", i ? ", " : "possible: ", t->classes[i],
		       oracle_class_name((enum oracle_class)i));
	printf("\n");
}

int main(int argc, char **argv)
{
	const char *arg = argc > 1 ? argv[1] : "2000";
	uint64_t runs = strtoull(arg, NULL, 10), first = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
	struct tally t = { 0 };

	if (strncmp(arg, "seed=", 5) == 0) {
		one(argv[0], strtoull(arg + 5, NULL, 10), true, &t);
		return t.bad != 0;
	}
	for (uint64_t seed = first; seed < first + runs; seed++)
		one(argv[0], seed, false, &t);
	sum_up(&t, runs);
	return t.bad || !t.connected;
}
