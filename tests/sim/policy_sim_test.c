/* Peers that keep to a policy, over the simulated network, in virtual time. */
#include "test.h"

#include <string.h>

#include "base/err.h"
#include "peer_node.h"
#include "vclock.h"

#define ONE_WAY (25 * USEC_PER_MSEC)

static const struct peer_policy local_only = { .no_punched = true, .no_relayed = true };
static const struct peer_policy punched_only = { .no_local = true, .no_relayed = true };
static const struct peer_policy no_relay = { .no_relayed = true };
static const struct peer_policy last_resort = { .relay_last = true };

struct net {
	struct sim *sim;
	struct peer_node a, b; /* a offers */
};

static void begin(struct net *t)
{
	t->sim = sim_create(1);
	vclock_set(sim_now(t->sim));
}

static void finish(struct net *t)
{
	peer_node_finish(&t->a);
	peer_node_finish(&t->b);
	sim_destroy(t->sim);
}

static void run(struct net *t, usec_t duration)
{
	sim_run(t->sim, sim_now(t->sim) + duration);
	vclock_set(sim_now(t->sim));
}

static void link_and_offer(struct net *t)
{
	peer_node_link(&t->a, &t->b, ONE_WAY);
	peer_node_offer(&t->a, "files");
}

static void one_lan(struct net *t, const struct peer_policy *a)
{
	const struct sim_path path = { .delay_us = 2000 };
	int lan;

	begin(t);
	lan = sim_segment(t->sim, &path);
	peer_node_init_with(&t->a, t->sim, lan, "192.168.1.2", NULL, a);
	peer_node_init(&t->b, t->sim, lan, "192.168.1.3", NULL);
	link_and_offer(t);
}

static uint64_t ignored(const struct peer_node *n, const char *word)
{
	static struct fl_route route;

	peer_route(n->peer, &route);
	for (size_t i = 0; i < route.n_ignored; i++)
		if (strcmp(route.ignored[i].word, word) == 0)
			return route.ignored[i].count;
	return 0;
}

static void assert_refused(struct net *t, const char *why)
{
	run(t, 60 * USEC_PER_SEC);
	assert_int_equal(t->a.connected + t->b.connected, 0);
	assert_int_equal(t->a.routes, 0);
	assert_true(t->a.failed > 0);
	assert_non_null(strstr(t->a.last_failure, why));
	assert_true(ignored(&t->a, "policy") > 0);
	finish(t);
}

static void test_local_only_works_at_home(void **state)
{
	struct net t = { 0 };

	one_lan(&t, &local_only);
	run(&t, 5 * USEC_PER_SEC);
	assert_true(t.a.echoed);
	finish(&t);
}

/* Would connect by hole punching: test_punched in peer_sim_test.c has the same network. */
static void test_local_only_refuses_punched(void **state)
{
	const struct sim_path lan = { .delay_us = 300 }, wan = { .delay_us = ONE_WAY };
	struct net t = { 0 };
	int site[2];

	begin(&t);
	sim_segment_set(t.sim, SIM_INTERNET, &wan);
	site[0] = sim_segment(t.sim, &lan);
	site[1] = sim_segment(t.sim, &lan);
	sim_router(t.sim, site[0], SIM_INTERNET, "198.51.100.7", &sim_nat_full_cone);
	sim_router(t.sim, site[1], SIM_INTERNET, "203.0.113.9", &sim_nat_full_cone);
	sim_stun_server(t.sim, SIM_INTERNET, "192.0.2.53");
	peer_node_init_with(&t.a, t.sim, site[0], "192.168.1.2", NULL, &local_only);
	peer_node_init(&t.b, t.sim, site[1], "10.0.0.2", "192.0.2.53");
	link_and_offer(&t);
	assert_refused(&t, "the policy allows only local routes");
}

/* Private addresses on both sides, but a router between them translates: that is only seen by the
 * checks, and it is not the site's own network. */
static void test_local_only_refuses_a_translation_inside(void **state)
{
	const struct sim_path lan = { .delay_us = 300 };
	struct net t = { 0 };
	int inner, outer;

	begin(&t);
	outer = sim_segment(t.sim, &lan);
	inner = sim_segment(t.sim, &lan);
	sim_router(t.sim, inner, outer, "10.1.0.7", &sim_nat_full_cone);
	peer_node_init_with(&t.a, t.sim, inner, "192.168.1.2", NULL, &local_only);
	peer_node_init_with(&t.b, t.sim, outer, "10.1.0.2", NULL, &local_only);
	link_and_offer(&t);
	run(&t, 60 * USEC_PER_SEC);
	assert_int_equal(t.a.connected + t.b.connected, 0);
	assert_true(t.a.failed > 0);
	if (!strstr(t.a.last_failure, "the policy allows only local routes"))
		fail_msg("%s", t.a.last_failure);
	finish(&t);
}

static void test_punched_only(void **state)
{
	struct net t = { 0 };

	one_lan(&t, &punched_only);
	assert_refused(&t, "the policy allows only punched routes");
}

/* b is reached by its relay only: its own address is not there. */
static void behind_relay(struct net *t, const struct peer_policy *a, bool direct)
{
	struct peer_local relay = { .ice = { .type = ICE_RELAY, .preference = 200 } };

	begin(t);
	peer_node_init_with(&t->a, t->sim, SIM_INTERNET, "198.51.100.2", NULL, a);
	peer_node_init(&t->b, t->sim, SIM_INTERNET, direct ? "203.0.113.9" : "192.0.2.9", NULL);
	assert_int_equal(addr_parse("192.0.2.9:45000", &relay.ice.addr), 0);
	if (direct) {
		sim_host_addr(t->b.host, "192.0.2.9");
	} else {
		struct addr host;

		assert_int_equal(addr_parse("192.0.2.9:40000", &host), 0);
		peer_remove_local(t->b.peer, sim_now(t->sim), &host, DGRAM_UDP);
	}
	assert_int_equal(peer_add_local(t->b.peer, sim_now(t->sim), &relay), 0);
	link_and_offer(t);
}

static void test_relay_works_without_a_policy(void **state)
{
	struct net t = { 0 };

	behind_relay(&t, NULL, false);
	run(&t, 3 * USEC_PER_SEC);
	assert_true(t.a.echoed);
	finish(&t);
}

static void test_remote_relay_is_refused(void **state)
{
	struct net t = { 0 };

	behind_relay(&t, &no_relay, false);
	assert_refused(&t, "the policy allows only local and punched routes");
}

static void test_last_resort(void **state)
{
	struct net t = { 0 };

	behind_relay(&t, &last_resort, false);
	run(&t, 4900 * USEC_PER_MSEC);
	assert_false(peer_relay_open(t.a.peer));
	assert_int_equal(t.a.connected, 0);
	run(&t, 3 * USEC_PER_SEC);
	assert_true(peer_relay_open(t.a.peer));
	assert_true(t.a.echoed);
	finish(&t);
}

static void test_last_resort_is_not_needed(void **state)
{
	static struct fl_route route;
	struct net t = { 0 };

	behind_relay(&t, &last_resort, true);
	run(&t, 20 * USEC_PER_SEC);
	assert_true(t.a.echoed);
	assert_false(peer_relay_open(t.a.peer));
	peer_route(t.a.peer, &route);
	assert_int_equal(route.method, FL_ROUTE_PUNCHED);
	finish(&t);
}

/* A direct route that dies: five seconds later the relay is allowed. */
static void test_last_resort_after_a_loss(void **state)
{
	struct addr host;
	struct net t = { 0 };

	behind_relay(&t, &last_resort, true);
	run(&t, 10 * USEC_PER_SEC);
	assert_true(t.a.echoed);
	assert_int_equal(addr_parse("203.0.113.9:40000", &host), 0);
	peer_remove_local(t.b.peer, sim_now(t.sim), &host, DGRAM_UDP);
	peer_node_turn(&t.b);
	for (int i = 0; i < 20 && !t.a.disconnected; i++)
		run(&t, USEC_PER_SEC);
	assert_true(t.a.disconnected);
	assert_false(peer_relay_open(t.a.peer));
	run(&t, 6 * USEC_PER_SEC);
	assert_true(peer_relay_open(t.a.peer));
	finish(&t);
}

/* ---- budgets ---- */

/* Keeps the channel's queue full for a while; the bytes that left in each second, as a share of
 * the budget in percent, must be in the bounds. */
static void pump(struct net *t, unsigned seconds, uint32_t kbit, unsigned low, unsigned high)
{
	static const uint8_t message[16000];
	uint64_t before = t->a.bytes_out;
	unsigned percent;

	for (unsigned i = 0; i < 10 * seconds; i++) {
		while (peer_channel_send(t->a.peer, sim_now(t->sim), t->a.channel,
					 span_of(message, sizeof(message)), false) == 0)
			;
		peer_node_turn(&t->a);
		run(t, USEC_PER_SEC / 10);
	}
	percent = (unsigned)((t->a.bytes_out - before) * 8 * 100 / (1000 * (uint64_t)kbit) /
			     seconds);
	if (percent < low || percent > high)
		fail_msg("%u kbit/s: %u %% of it were used", kbit, percent);
}

static void test_budget(void **state)
{
	const struct peer_policy policy = { .max_kbit = 2000 };
	struct net t = { 0 };

	one_lan(&t, &policy);
	run(&t, USEC_PER_SEC);
	assert_true(t.a.echoed);
	pump(&t, 10, 2000, 90, 103);
	/* another share of it; what SCTP had already is the overlap */
	peer_limit(t.a.peer, sim_now(t.sim), 500);
	run(&t, USEC_PER_SEC);
	pump(&t, 10, 500, 85, 105);
	peer_limit(t.a.peer, sim_now(t.sim), 8000);
	pump(&t, 5, 8000, 90, 103);
	/* no limit any more: far beyond what was */
	peer_limit(t.a.peer, sim_now(t.sim), 0);
	pump(&t, 2, 8000, 200, 100000);
	assert_false(t.a.failed || t.b.failed || t.a.disconnected);
	finish(&t);
}

/* A path that loses much: repetitions count as well. */
static void test_budget_with_loss(void **state)
{
	const struct sim_path path = { .delay_us = ONE_WAY, .loss = 50 };
	const struct peer_policy policy = { .max_kbit = 1000 };
	struct net t = { 0 };
	int lan;

	begin(&t);
	lan = sim_segment(t.sim, &path);
	peer_node_init_with(&t.a, t.sim, lan, "192.168.1.2", NULL, &policy);
	peer_node_init(&t.b, t.sim, lan, "192.168.1.3", NULL);
	link_and_offer(&t);
	run(&t, 3 * USEC_PER_SEC);
	assert_true(t.a.echoed);
	pump(&t, 20, 1000, 30, 105);
	finish(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_local_only_works_at_home),
		cmocka_unit_test(test_local_only_refuses_punched),
		cmocka_unit_test(test_local_only_refuses_a_translation_inside),
		cmocka_unit_test(test_punched_only),
		cmocka_unit_test(test_relay_works_without_a_policy),
		cmocka_unit_test(test_remote_relay_is_refused),
		cmocka_unit_test(test_last_resort),
		cmocka_unit_test(test_last_resort_is_not_needed),
		cmocka_unit_test(test_last_resort_after_a_loss),
		cmocka_unit_test(test_budget),
		cmocka_unit_test(test_budget_with_loss),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
