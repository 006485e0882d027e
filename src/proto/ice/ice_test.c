#include "test.h"

#include <errno.h>

#include "base/err.h"
#include "ice_node.h"
#include "proto/stun/stun.h"

#define SEC USEC_PER_SEC
#define STUN_IP "203.0.113.3"
#define STUN STUN_IP ":3478"

/* Two agents, each behind a router of its own (or both on one LAN), a STUN server, 20 ms between
 * the sites, 0.3 ms inside of one, 10 ms signalling. */
struct scene {
	struct sim *sim;
	struct ice_node a, b;
	int lan_a, lan_b, router_a, router_b;
};

static void scene_open(struct scene *s, const struct sim_nat *nat_a, const struct sim_nat *nat_b)
{
	struct sim_path lan = { .delay_us = 300 }, net = { .delay_us = 20000 };

	memset(s, 0, sizeof(*s));
	s->sim = sim_create(1);
	sim_segment_set(s->sim, SIM_INTERNET, &net);
	sim_stun_server(s->sim, SIM_INTERNET, STUN_IP);
	s->lan_a = s->lan_b = sim_segment(s->sim, &lan);
	s->router_a = sim_router(s->sim, s->lan_a, SIM_INTERNET, "198.51.100.1", nat_a);
	if (nat_b) {
		s->lan_b = sim_segment(s->sim, &lan);
		s->router_b = sim_router(s->sim, s->lan_b, SIM_INTERNET, "198.51.100.2", nat_b);
	}
	ice_node_init(&s->a, s->sim, s->lan_a, true);
	ice_node_init(&s->b, s->sim, s->lan_b, false);
	ice_node_link(&s->a, &s->b, 10000, 0);
	s->a.renomination = s->b.renomination = true;
}

static void scene_start(struct scene *s)
{
	ice_node_describe(&s->a);
	ice_node_describe(&s->b);
	ice_node_addr(&s->a, "192.168.1.10", ICE_NET_PHYSICAL);
	ice_node_addr(&s->b, "192.168.1.20", ICE_NET_PHYSICAL);
	ice_node_stun(&s->a, STUN);
	ice_node_stun(&s->b, STUN);
	ice_node_ready(&s->a);
	ice_node_ready(&s->b);
}

static void scene_run(struct scene *s, usec_t for_us)
{
	sim_run(s->sim, sim_now(s->sim) + for_us);
}

static void scene_close(struct scene *s)
{
	ice_node_finish(&s->a);
	ice_node_finish(&s->b);
	sim_destroy(s->sim);
}

static void expect_types(struct scene *s, enum ice_type local, enum ice_type remote)
{
	struct ice_pair_info p;

	assert_true(ice_nodes_agree(&s->a, &s->b));
	assert_true(ice_node_selected(&s->a, &p));
	assert_int_equal(p.local_type, local);
	assert_int_equal(p.remote_type, remote);
}

static void test_local(void **state)
{
	struct scene s;
	usec_t began;

	scene_open(&s, &sim_nat_port_restricted, NULL);
	began = sim_now(s.sim);
	scene_start(&s);
	scene_run(&s, SEC);
	expect_types(&s, ICE_HOST, ICE_HOST);
	/* 10 ms signalling, then one check and one nomination of 0.6 ms each */
	assert_true(s.a.connected_at - began < 13 * USEC_PER_MSEC);
	assert_true(s.b.connected_at - began < 13 * USEC_PER_MSEC);
	scene_close(&s);
}

static void test_punched(void **state)
{
	struct scene s;
	usec_t began;

	scene_open(&s, &sim_nat_port_restricted, &sim_nat_port_restricted);
	began = sim_now(s.sim);
	scene_start(&s);
	scene_run(&s, 2 * SEC);
	expect_types(&s, ICE_SRFLX, ICE_SRFLX);
	/* 41 ms STUN, 10 signalling, 1.5 round trips for the hole, grace, and the nomination */
	assert_true(s.a.connected_at - began < 350 * USEC_PER_MSEC);
	assert_int_equal(s.a.gathered, 1);
	assert_int_equal(s.a.candidates, 2);
	scene_close(&s);
}

/* Twelve interfaces at each end, one of which leads somewhere: more pairs than are kept, and the
 * one that works is not among the first nor dropped. */
static void test_many_interfaces(void **state)
{
	struct ice_pair_info pairs[2 * ICE_PAIRS_MAX];
	struct scene s;
	char text[32];
	usec_t began;

	scene_open(&s, &sim_nat_port_restricted, &sim_nat_port_restricted);
	began = sim_now(s.sim);
	for (int i = 1; i < 12; i++) {
		snprintf(text, sizeof(text), "10.1.%d.1", i);
		ice_node_addr(&s.a, text, ICE_NET_PHYSICAL);
		snprintf(text, sizeof(text), "10.2.%d.1", i);
		ice_node_addr(&s.b, text, ICE_NET_PHYSICAL);
	}
	scene_start(&s);
	scene_run(&s, 2 * SEC);
	expect_types(&s, ICE_SRFLX, ICE_SRFLX);
	assert_int_equal(ice_pairs(s.a.ice, pairs, ARRAY_LEN(pairs)), ICE_PAIRS_MAX);
	assert_in_range(ice_stats(s.a.ice)->valid_us - began, 0, 250 * USEC_PER_MSEC);
	assert_in_range(s.a.connected_at - began, 0, 450 * USEC_PER_MSEC);
	scene_close(&s);
}

/* How long punched takes, with and without networks of ours that lead nowhere. */
static usec_t punched_beside(bool vpn)
{
	struct scene s;
	usec_t took;

	scene_open(&s, &sim_nat_port_restricted, &sim_nat_port_restricted);
	took = sim_now(s.sim);
	if (vpn) {
		ice_node_addr(&s.a, "10.8.0.2", ICE_NET_VIRTUAL);
		ice_node_addr(&s.b, "10.8.0.3", ICE_NET_VIRTUAL);
		ice_node_addr(&s.a, "172.17.0.1", ICE_NET_VIRTUAL);
		ice_node_addr(&s.b, "169.254.3.3", ICE_NET_LINK_LOCAL);
	}
	scene_start(&s);
	scene_run(&s, 2 * SEC);
	expect_types(&s, ICE_SRFLX, ICE_SRFLX);
	took = s.a.connected_at - took;
	scene_close(&s);
	return took;
}

/* VPN, container and link-local networks come last and are never waited for. */
static void test_virtual_networks(void **state)
{
	assert_true(punched_beside(true) <= punched_beside(false) + 20 * USEC_PER_MSEC);
}

static void test_impossible(void **state)
{
	struct scene s;
	struct ice_path path;

	scene_open(&s, &sim_nat_symmetric, &sim_nat_symmetric);
	scene_start(&s);
	scene_run(&s, 8 * SEC);
	assert_int_equal(ice_state(s.a.ice), ICE_CHECKING);
	scene_run(&s, 4 * SEC);
	assert_int_equal(ice_state(s.a.ice), ICE_FAILED);
	assert_int_equal(ice_state(s.b.ice), ICE_FAILED);
	assert_int_equal(ice_path(s.a.ice, &path), ICE_PATH_NONE);
	assert_true(ice_deadline(s.a.ice) == USEC_NEVER);
	scene_close(&s);
}

/* A browser that hides its address behind a name: only our candidates are known. */
static void test_other_side_unnamed(void **state)
{
	struct scene s;

	scene_open(&s, &sim_nat_port_restricted, NULL);
	s.b.mute = true;
	scene_start(&s);
	scene_run(&s, SEC);
	expect_types(&s, ICE_HOST, ICE_PRFLX);
	scene_close(&s);
}

static void expect_conflict_settled(bool both)
{
	struct scene s;
	struct ice_config config = { .controlling = both };

	scene_open(&s, &sim_nat_port_restricted, NULL);
	ice_destroy(s.a.ice);
	ice_destroy(s.b.ice);
	s.a.ice = ice_create(&config, &s.a.rng);
	s.b.ice = ice_create(&config, &s.b.rng);
	scene_start(&s);
	scene_run(&s, SEC);
	assert_true(ice_nodes_agree(&s.a, &s.b));
	assert_int_equal(ice_controlling(s.a.ice) + ice_controlling(s.b.ice), 1);
	assert_int_equal(s.a.roles + s.b.roles, 1);
	scene_close(&s);
}

static void test_role_conflict(void **state)
{
	expect_conflict_settled(true);
	expect_conflict_settled(false);
}

static void test_consent_lost(void **state)
{
	struct scene s;

	scene_open(&s, &sim_nat_port_restricted, NULL);
	scene_start(&s);
	scene_run(&s, SEC);
	assert_int_equal(ice_state(s.a.ice), ICE_CONNECTED);
	sim_host_cut(s.b.host, true);
	scene_run(&s, 9 * SEC); /* at most 6 s to the next check and 2.5 s of repeats */
	assert_int_equal(ice_state(s.a.ice), ICE_DISCONNECTED);
	scene_run(&s, 24 * SEC);
	assert_int_equal(ice_state(s.a.ice), ICE_FAILED);
	assert_int_equal(ice_stats(s.a.ice)->consents_lost, 1);
	scene_close(&s);
}

static void test_consent_comes_back(void **state)
{
	struct scene s;

	scene_open(&s, &sim_nat_port_restricted, NULL);
	scene_start(&s);
	scene_run(&s, SEC);
	sim_host_cut(s.b.host, true);
	scene_run(&s, 20 * SEC);
	assert_int_equal(ice_state(s.a.ice), ICE_DISCONNECTED);
	sim_host_cut(s.b.host, false);
	scene_run(&s, SEC);
	assert_true(ice_nodes_agree(&s.a, &s.b));
	scene_run(&s, 60 * SEC);
	assert_true(ice_nodes_agree(&s.a, &s.b));
	scene_close(&s);
}

static void test_suspect(void **state)
{
	struct scene s;

	scene_open(&s, &sim_nat_port_restricted, NULL);
	scene_start(&s);
	scene_run(&s, SEC);
	ice_suspect(s.a.ice, sim_now(s.sim));
	ice_node_turn(&s.a);
	scene_run(&s, SEC);
	assert_int_equal(ice_state(s.a.ice), ICE_CONNECTED); /* it was alive */
	sim_host_cut(s.b.host, true);
	ice_suspect(s.a.ice, sim_now(s.sim));
	ice_node_turn(&s.a);
	scene_run(&s, 1100 * USEC_PER_MSEC);
	assert_int_equal(ice_state(s.a.ice), ICE_DISCONNECTED);
	scene_close(&s);
}

/* The address in use goes away; another one is there. */
static void test_address_removed(void **state)
{
	struct scene s;
	struct ice_pair_info p;

	scene_open(&s, &sim_nat_port_restricted, NULL);
	scene_start(&s);
	ice_node_addr(&s.a, "192.168.1.11", ICE_NET_PHYSICAL);
	scene_run(&s, SEC);
	assert_true(ice_nodes_agree(&s.a, &s.b));
	assert_true(ice_node_selected(&s.a, &p));
	assert_int_equal(ice_remove_local(s.a.ice, sim_now(s.sim), &p.base, DGRAM_UDP), 0);
	assert_int_equal(ice_remove_local(s.a.ice, sim_now(s.sim), &p.base, DGRAM_UDP), -ENOENT);
	ice_node_turn(&s.a);
	assert_int_equal(ice_state(s.a.ice), ICE_DISCONNECTED);
	scene_run(&s, SEC);
	assert_true(ice_nodes_agree(&s.a, &s.b));
	scene_close(&s);
}

static void expect_selected_rank(struct scene *s, enum ice_type local)
{
	struct ice_pair_info p;

	assert_true(ice_nodes_agree(&s->a, &s->b));
	assert_true(ice_node_selected(&s->a, &p));
	assert_int_equal(p.local_type, local);
}

/* Two networks of one site with a router between them, each with its own way out. */
static void way_between_dies_and_comes_back(bool a_notices)
{
	struct sim_nat closed = sim_router_plain;
	struct scene s;
	unsigned before;
	int between;

	closed.blocked = true;
	scene_open(&s, &sim_nat_port_restricted, &sim_nat_port_restricted);
	between = sim_router(s.sim, s.lan_b, s.lan_a, NULL, &sim_router_plain);
	scene_start(&s);
	scene_run(&s, 2 * SEC);
	expect_types(&s, ICE_HOST, ICE_HOST);
	sim_router_set(s.sim, between, &closed);
	before = s.b.data;
	/* the transport above notices within one RTO, at the end that has something to say */
	ice_suspect(a_notices ? s.a.ice : s.b.ice, sim_now(s.sim));
	ice_node_turn(a_notices ? &s.a : &s.b);
	for (int i = 0; i < 10; i++) {
		scene_run(&s, 100 * USEC_PER_MSEC);
		ice_node_send(&s.a);
	}
	assert_true(s.b.data > before); /* data again within 1 s, also from who was told nothing */
	expect_types(&s, ICE_SRFLX, ICE_SRFLX);
	sim_router_set(s.sim, between, &sim_router_plain);
	scene_run(&s, 7 * SEC);
	expect_types(&s, ICE_HOST, ICE_HOST);
	scene_close(&s);
}

static void test_way_between_dies_and_comes_back(void **state)
{
	way_between_dies_and_comes_back(true);
	way_between_dies_and_comes_back(false);
}

/* A pair that is merely slow to answer is not left, and what is checked beside it rests again. */
static void test_false_suspicion(void **state)
{
	struct scene s;
	uint64_t checks;

	scene_open(&s, &sim_nat_port_restricted, NULL);
	scene_start(&s);
	scene_run(&s, 20 * SEC);
	sim_host_cut(s.b.host, true);
	ice_suspect(s.a.ice, sim_now(s.sim));
	ice_node_turn(&s.a);
	assert_true(ice_suspicious(s.a.ice));
	scene_run(&s, 300 * USEC_PER_MSEC);
	sim_host_cut(s.b.host, false);
	scene_run(&s, 700 * USEC_PER_MSEC);
	assert_false(ice_suspicious(s.a.ice));
	assert_false(ice_node_was(&s.a, ICE_DISCONNECTED));
	checks = ice_stats(s.a.ice)->checks_sent;
	scene_run(&s, 20 * SEC);
	assert_in_range(ice_stats(s.a.ice)->checks_sent - checks, 3, 20);
	scene_close(&s);
}

/* Punched at first; then one of them gets an address that needs no translation. */
static void test_better_pair_takes_over(void **state)
{
	struct scene s;
	struct ice_local late = { .type = ICE_HOST };

	scene_open(&s, &sim_nat_full_cone, &sim_nat_full_cone);
	scene_start(&s);
	scene_run(&s, 5 * SEC);
	expect_types(&s, ICE_SRFLX, ICE_SRFLX);
	sim_host_addr(s.b.host, "192.168.2.20");
	assert_int_equal(addr_parse("192.168.2.20:50009", &late.addr), 0);
	assert_int_equal(ice_add_local(s.b.ice, sim_now(s.sim), &late), 0);
	sim_router(s.sim, s.lan_b, s.lan_a, NULL, &sim_router_plain);
	ice_node_turn(&s.b);
	scene_run(&s, 3 * SEC);
	assert_false(ice_node_was(&s.a, ICE_DISCONNECTED));
	expect_selected_rank(&s, ICE_HOST);
	scene_close(&s);
}

static void test_restart_keeps_data_flowing(void **state)
{
	struct scene s;
	char ufrag[64];
	unsigned before;

	scene_open(&s, &sim_nat_port_restricted, &sim_nat_port_restricted);
	scene_start(&s);
	scene_run(&s, 2 * SEC);
	for (int round = 0; round < 3; round++) {
		snprintf(ufrag, sizeof(ufrag), "%s", ice_local_ufrag(s.a.ice));
		ice_node_restart(&s.a);
		assert_string_not_equal(ufrag, ice_local_ufrag(s.a.ice));
		before = s.b.data;
		for (int i = 0; i < 100; i++) {
			assert_true(ice_node_send(&s.a));
			scene_run(&s, 10 * USEC_PER_MSEC);
			assert_int_equal(ice_state(s.a.ice), ICE_CONNECTED);
		}
		scene_run(&s, SEC);
		assert_int_equal(s.b.data - before, 100);
		expect_types(&s, ICE_SRFLX, ICE_SRFLX);
		assert_true(ice_stats(s.a.ice)->selected_us > 0);
	}
	scene_close(&s);
}

static void test_restart_after_failure(void **state)
{
	struct scene s;

	scene_open(&s, &sim_nat_symmetric, &sim_nat_symmetric);
	scene_start(&s);
	scene_run(&s, 15 * SEC);
	assert_int_equal(ice_state(s.a.ice), ICE_FAILED);
	sim_router_set(s.sim, s.router_a, &sim_nat_full_cone);
	ice_node_restart(&s.a);
	scene_run(&s, 3 * SEC);
	assert_true(ice_nodes_agree(&s.a, &s.b));
	scene_close(&s);
}

static void test_long_session(void **state)
{
	struct scene s;
	uint64_t checks;

	scene_open(&s, &sim_nat_port_restricted, &sim_nat_port_restricted);
	scene_start(&s);
	scene_run(&s, 5 * SEC);
	checks = ice_stats(s.a.ice)->checks_sent;
	scene_run(&s, 3600 * SEC);
	assert_true(ice_nodes_agree(&s.a, &s.b));
	checks = ice_stats(s.a.ice)->checks_sent - checks;
	assert_in_range(checks, 600, 900); /* one every 4 to 6 s */
	assert_false(ice_node_was(&s.a, ICE_DISCONNECTED));
	scene_close(&s);
}

static void test_early_paths(void **state)
{
	struct scene s;
	struct ice_path paths[4], path;
	struct ice_candidate c;

	scene_open(&s, &sim_nat_port_restricted, &sim_nat_port_restricted);
	ice_node_addr(&s.a, "192.168.1.10", ICE_NET_PHYSICAL);
	assert_int_equal(ice_path(s.a.ice, &path), ICE_PATH_NONE);
	assert_int_equal(
		ice_candidate_parse(span_str("candidate:1 1 udp 2130706431 10.0.0.7 5000 typ host"),
				    &c),
		0);
	assert_int_equal(ice_add_remote(s.a.ice, sim_now(s.sim), &c), 1);
	c.addr.port++;
	c.priority--;
	assert_int_equal(ice_add_remote(s.a.ice, sim_now(s.sim), &c), 1);
	assert_int_equal(ice_early_paths(s.a.ice, paths, 4), 2);
	assert_int_equal(paths[0].remote.port, 5000);
	assert_int_equal(paths[1].remote.port, 5001);
	assert_int_equal(ice_path(s.a.ice, &path), ICE_PATH_EARLY);
	assert_int_equal(path.remote.port, 5000);
	ice_note_data(s.a.ice, sim_now(s.sim), &(struct dgram){ paths[1].local, paths[1].remote });
	assert_int_equal(ice_early_paths(s.a.ice, paths, 4), 2);
	assert_int_equal(paths[0].remote.port, 5001);
	scene_close(&s);
}

static int add_text(struct ice *ice, const char *text)
{
	struct ice_candidate c;

	assert_int_equal(ice_candidate_parse(span_str(text), &c), 0);
	return ice_add_remote(ice, SEC, &c);
}

static void test_useless_candidates(void **state)
{
	static const char *const useless[] = {
		"candidate:1 1 tcp 1 10.0.0.7 9 typ host tcptype active",
		"candidate:1 2 udp 1 10.0.0.7 5000 typ host",
		"candidate:1 1 udp 1 0.0.0.0 5000 typ host",
		"candidate:1 1 udp 1 224.0.0.1 5000 typ host",
		"candidate:1 1 udp 1 10.0.0.7 0 typ host",
		"candidate:1 1 udp 1 127.0.0.1 5000 typ host",
		"candidate:1 1 udp 1 ::ffff:127.0.0.1 5000 typ host",
		"candidate:1 1 udp 1 5b3cf0c4-8b1f-4b5e-9a55-0f4f5f0d8d11.local 5000 typ host",
	};
	struct scene s;
	struct ice_remote remote = { .ufrag = "ufra", .pwd = "0123456789012345678901" };

	scene_open(&s, &sim_nat_port_restricted, NULL);
	assert_int_equal(ice_set_remote(s.a.ice, SEC, &remote), 0);
	for (size_t i = 0; i < ARRAY_LEN(useless); i++)
		assert_int_equal(add_text(s.a.ice, useless[i]), 0);
	assert_int_equal(ice_stats(s.a.ice)->candidates_ignored, ARRAY_LEN(useless));
	assert_int_equal(add_text(s.a.ice, "candidate:1 1 udp 1 10.0.0.7 5000 typ host ufrag ufra"),
			 1);
	assert_int_equal(add_text(s.a.ice, "candidate:1 1 udp 1 10.0.0.7 5000 typ host"), 0);
	scene_close(&s);
}

/* Of a generation that is not there yet: used when its credentials come, and only then. */
static void test_candidate_before_its_description(void **state)
{
	struct scene s;
	struct ice_remote first = { .ufrag = "ufra", .pwd = "0123456789012345678901" };
	struct ice_remote second = { .ufrag = "next", .pwd = "0123456789012345678901" };
	struct ice_pair_info pair;

	scene_open(&s, &sim_nat_port_restricted, NULL);
	ice_node_addr(&s.a, "192.168.1.10", ICE_NET_PHYSICAL);
	add_text(s.a.ice, "candidate:1 1 udp 1 10.0.0.7 5000 typ host ufrag ufra");
	add_text(s.a.ice, "candidate:1 1 udp 1 10.0.0.7 5001 typ host ufrag stale");
	assert_int_equal(ice_pairs(s.a.ice, &pair, 1), 0);
	assert_int_equal(ice_set_remote(s.a.ice, SEC, &first), 0);
	assert_int_equal(ice_pairs(s.a.ice, &pair, 1), 1);
	assert_int_equal(pair.remote.port, 5000);
	assert_int_equal(ice_stats(s.a.ice)->candidates_ignored, 1);
	add_text(s.a.ice, "candidate:1 1 udp 1 10.0.0.7 5002 typ host ufrag next");
	ice_restart(s.a.ice, SEC);
	assert_int_equal(ice_pairs(s.a.ice, &pair, 1), 0);
	assert_int_equal(ice_set_remote(s.a.ice, SEC, &second), 0);
	assert_int_equal(ice_pairs(s.a.ice, &pair, 1), 1);
	assert_int_equal(pair.remote.port, 5002);
	scene_close(&s);
}

static void test_limits(void **state)
{
	struct scene s;
	struct ice_pair_info pairs[2 * ICE_PAIRS_MAX];
	struct ice_local l = { .type = ICE_HOST };
	char text[128];
	int taken = 0, locals = 0;

	scene_open(&s, &sim_nat_port_restricted, NULL);
	for (unsigned i = 0; i < 100; i++) {
		snprintf(text, sizeof(text), "10.1.0.%u:5000", i + 1);
		assert_int_equal(addr_parse(text, &l.addr), 0);
		locals += ice_add_local(s.a.ice, SEC, &l) == 0;
		snprintf(text, sizeof(text), "candidate:1 1 udp %u 10.0.0.%u 5000 typ host",
			 1000 + i, i + 1);
		taken += add_text(s.a.ice, text);
	}
	assert_int_equal(locals, ICE_HOSTS_MAX);
	assert_int_equal(ice_add_local(s.a.ice, SEC, &l), FL_EQUOTA);
	l.type = ICE_RELAY; /* there is room for what reaches further */
	assert_int_equal(ice_add_local(s.a.ice, SEC, &l), 0);
	assert_in_range(taken, 1, ICE_REMOTES_MAX);
	assert_int_equal(ice_pairs(s.a.ice, pairs, ARRAY_LEN(pairs)), ICE_PAIRS_MAX);
	assert_true(ice_stats(s.a.ice)->over_limit > 0);
	scene_close(&s);
}

static void test_local_addresses(void **state)
{
	struct rng rng;
	struct ice_config config = { .controlling = true };
	struct ice_local l = { .type = ICE_HOST };
	struct ice *ice;

	rng_seed(&rng, 1);
	ice = ice_create(&config, &rng);
	assert_int_equal(addr_parse("127.0.0.1:5000", &l.addr), 0);
	assert_int_equal(ice_add_local(ice, 1, &l), FL_EUNSUPPORTED);
	assert_int_equal(addr_parse("10.0.0.1:0", &l.addr), 0);
	assert_int_equal(ice_add_local(ice, 1, &l), FL_EUNSUPPORTED);
	assert_int_equal(addr_parse("10.0.0.1:5000", &l.addr), 0);
	assert_int_equal(ice_add_local(ice, 1, &l), 0);
	assert_int_equal(ice_add_local(ice, 1, &l), -EEXIST);
	l.type = ICE_SRFLX;
	assert_int_equal(addr_parse("10.0.0.2:5000", &l.base), 0);
	assert_int_equal(addr_parse("192.0.2.1:7000", &l.addr), 0);
	assert_int_equal(ice_add_local(ice, 1, &l), -ENOENT);
	assert_int_equal(addr_parse("10.0.0.1:5000", &l.base), 0);
	assert_int_equal(ice_add_local(ice, 1, &l), 0);
	ice_destroy(ice);
	config.loopback = true;
	ice = ice_create(&config, &rng);
	l.type = ICE_HOST;
	assert_int_equal(addr_parse("127.0.0.1:5000", &l.addr), 0);
	assert_int_equal(ice_add_local(ice, 1, &l), 0);
	ice_destroy(ice);
}

static void test_credentials(void **state)
{
	struct scene s;
	struct ice_remote r = { .ufrag = "abc", .pwd = "0123456789012345678901" };

	scene_open(&s, &sim_nat_port_restricted, NULL);
	assert_true(strlen(ice_local_ufrag(s.a.ice)) >= 4);
	assert_true(strlen(ice_local_pwd(s.a.ice)) >= 22);
	assert_int_equal(ice_set_remote(s.a.ice, SEC, &r), FL_EMALFORMED);
	r.ufrag = "abcd:";
	assert_int_equal(ice_set_remote(s.a.ice, SEC, &r), FL_EMALFORMED);
	r.ufrag = "abcd";
	r.pwd = "012345678901234567890";
	assert_int_equal(ice_set_remote(s.a.ice, SEC, &r), FL_EMALFORMED);
	r.pwd = "0123456789012345678901";
	assert_false(ice_is_remote(s.a.ice, r.ufrag, r.pwd));
	assert_int_equal(ice_set_remote(s.a.ice, SEC, &r), 0);
	assert_int_equal(ice_set_remote(s.a.ice, SEC, &r), 0);
	assert_true(ice_is_remote(s.a.ice, r.ufrag, r.pwd));
	r.ufrag = "abce";
	assert_int_equal(ice_set_remote(s.a.ice, SEC, &r), FL_ESTATE);
	scene_close(&s);
}

/* A request to agent A from 10.9.9.9, as a stranger or a peer would send it. */
struct forged {
	const char *pwd; /* NULL: no MESSAGE-INTEGRITY */
	bool no_fingerprint, unknown_attribute;
	enum stun_class class;
};

static void send_forged(struct scene *s, const struct forged *f)
{
	uint8_t buf[STUN_SHORT_MAX];
	char name[64];
	struct stun_out o;
	struct dgram d = { 0 };

	snprintf(name, sizeof(name), "%s:%s", ice_local_ufrag(s->a.ice), "peer");
	stun_begin(&o, buf, sizeof(buf), f->class, STUN_BINDING, (const uint8_t *)"123456789012");
	stun_put(&o, STUN_USERNAME, span_str(name));
	stun_put_u32(&o, STUN_PRIORITY, 1);
	stun_put_u64(&o, STUN_ICE_CONTROLLED, 1);
	if (f->unknown_attribute)
		stun_put_u32(&o, 0x7777, 1);
	if (f->pwd)
		stun_put_integrity(&o, span_str(f->pwd));
	if (!f->no_fingerprint)
		stun_put_fingerprint(&o);
	d.data = span_of(buf, (size_t)stun_end(&o));
	assert_int_equal(addr_parse("10.9.9.9:9", &d.remote), 0);
	assert_int_equal(addr_parse("192.168.1.10:50000", &d.local), 0);
	assert_int_equal(ice_input(s->a.ice, SEC, &d), 0);
}

static void test_strangers(void **state)
{
	struct scene s;
	struct dgram d;
	struct stun_msg m;
	struct ice_pair_info pair;
	const struct ice_stats *stats;
	uint16_t code;
	struct span reason;

	scene_open(&s, &sim_nat_port_restricted, NULL);
	ice_node_addr(&s.a, "192.168.1.10", ICE_NET_PHYSICAL);
	stats = ice_stats(s.a.ice);
	send_forged(&s, &(struct forged){ .pwd = "wrong" });
	assert_int_equal(stats->unauthenticated, 1);
	send_forged(&s, &(struct forged){ .pwd = NULL });
	assert_int_equal(stats->unauthenticated, 2);
	send_forged(&s, &(struct forged){ .pwd = ice_local_pwd(s.a.ice), .no_fingerprint = true });
	assert_int_equal(stats->fingerprint, 1);
	send_forged(&s, &(struct forged){ .pwd = "x", .class = STUN_SUCCESS });
	assert_int_equal(stats->unexpected, 1);
	assert_false(ice_next_output(s.a.ice, &d)); /* none of these gets an answer */
	assert_int_equal(ice_pairs(s.a.ice, &pair, 1), 0);

	send_forged(&s,
		    &(struct forged){ .pwd = ice_local_pwd(s.a.ice), .unknown_attribute = true });
	assert_true(ice_next_output(s.a.ice, &d));
	assert_int_equal(stun_parse(d.data, &m), 0);
	assert_true(stun_get_error(&m, &code, &reason) && code == 420);
	assert_int_equal(ice_pairs(s.a.ice, &pair, 1), 0);

	/* the right password: before the answer came, this is how the peer is first seen */
	send_forged(&s, &(struct forged){ .pwd = ice_local_pwd(s.a.ice) });
	assert_true(ice_next_output(s.a.ice, &d));
	assert_int_equal(stun_parse(d.data, &m), 0);
	assert_int_equal(m.class, STUN_SUCCESS);
	assert_int_equal(ice_pairs(s.a.ice, &pair, 1), 1);
	assert_int_equal(pair.remote_type, ICE_PRFLX);
	assert_false(ice_next_output(s.a.ice, &d)); /* no check without the remote credentials */
	scene_close(&s);
}

/* An answer with the right id but without the password must not make a pair valid. */
static void test_forged_answer(void **state)
{
	struct scene s;
	struct ice_remote remote = { .ufrag = "ufra", .pwd = "0123456789012345678901" };
	struct dgram d;
	struct stun_msg m;
	struct stun_out o;
	struct ice_path path;
	uint8_t buf[STUN_SHORT_MAX];

	for (int good = 0; good <= 1; good++) {
		struct dgram in;

		scene_open(&s, &sim_nat_port_restricted, NULL);
		ice_node_addr(&s.a, "192.168.1.10", ICE_NET_PHYSICAL);
		assert_int_equal(
			add_text(s.a.ice, "candidate:1 1 udp 9 192.168.1.20 5000 typ host"), 1);
		assert_int_equal(ice_set_remote(s.a.ice, SEC, &remote), 0);
		assert_true(ice_next_output(s.a.ice, &d));
		assert_int_equal(stun_parse(d.data, &m), 0);
		in = (struct dgram){ .local = d.local, .remote = d.remote };
		stun_begin(&o, buf, sizeof(buf), STUN_SUCCESS, STUN_BINDING, m.tid);
		stun_put_xor_addr(&o, STUN_XOR_MAPPED_ADDRESS, &d.local);
		stun_put_integrity(&o, span_str(good ? remote.pwd : "another"));
		stun_put_fingerprint(&o);
		in.data = span_of(buf, (size_t)stun_end(&o));
		assert_int_equal(ice_input(s.a.ice, SEC + 1000, &in), 0);
		assert_int_equal(ice_path(s.a.ice, &path), good ? ICE_PATH_VALID : ICE_PATH_EARLY);
		assert_int_equal(ice_stats(s.a.ice)->unauthenticated, !good);
		scene_close(&s);
	}
}

static void test_candidate_text(void **state)
{
	static const char *const texts[] = {
		"candidate:842163049 1 udp 1677729535 203.0.113.141 50934 typ srflx raddr 10.0.0.4 "
		"rport 50934 ufrag EsAw",
		"candidate:1 1 udp 2130706431 2001:db8::7 1 typ host",
		"candidate:1 1 udp 2130706431 5b3cf0c4-8b1f-4b5e-9a55-0f4f5f0d8d11.local 1 typ "
		"host",
		"candidate:Ab+/9 2 tcp 1 10.0.0.4 9 typ host tcptype active",
		"candidate:1 1 tcp 1 10.0.0.4 5000 typ relay raddr 192.0.2.1 rport 1 tcptype so",
	};
	struct ice_candidate c;
	char text[ICE_CANDIDATE_TEXT_MAX];

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		assert_int_equal(ice_candidate_parse(span_str(texts[i]), &c), 0);
		assert_int_equal(ice_candidate_format(&c, text, sizeof(text)), strlen(texts[i]));
		assert_string_equal(text, texts[i]);
		assert_int_equal(ice_candidate_format(&c, text, strlen(texts[i])), FL_EQUOTA);
	}
	/* as Chromium writes it, with what we skip */
	assert_int_equal(
		ice_candidate_parse(span_str("a=candidate:1 1 UDP 2 10.0.0.4 5000 typ host "
					     "generation 0 ufrag x4 network-id 1 network-cost 10"),
				    &c),
		0);
	assert_string_equal(c.ufrag, "x4");
	assert_int_equal(c.transport, ICE_UDP);
}

static void test_candidate_text_bad(void **state)
{
	static const struct {
		const char *text;
		int err;
	} bad[] = {
		{ "", FL_EMALFORMED },
		{ "candidate", FL_EMALFORMED },
		{ "candidate:", FL_EMALFORMED },
		{ "candidate:1", FL_EMALFORMED },
		{ "candidate:1 1 udp 1 10.0.0.4 5000", FL_EMALFORMED },
		{ "candidate:1 1 udp 1 10.0.0.4 5000 typ", FL_EMALFORMED },
		{ "candidate:1 1 udp 1 10.0.0.4 5000 type host", FL_EMALFORMED },
		{ "candidate:1 0 udp 1 10.0.0.4 5000 typ host", FL_EMALFORMED },
		{ "candidate:1 257 udp 1 10.0.0.4 5000 typ host", FL_EMALFORMED },
		{ "candidate:1 1 udp 4294967296 10.0.0.4 5000 typ host", FL_EMALFORMED },
		{ "candidate:1 1 udp -1 10.0.0.4 5000 typ host", FL_EMALFORMED },
		{ "candidate:1 1 udp 1 10.0.0.4 65536 typ host", FL_EMALFORMED },
		{ "candidate:1 1 udp 1 fe80::1%eth0 5000 typ host", FL_EMALFORMED },
		{ "candidate:1 1 udp 1 <script> 5000 typ host", FL_EMALFORMED },
		{ "candidate:1 1 udp 1 10.0.0.4 5000 typ host raddr", FL_EMALFORMED },
		{ "candidate:1 1 udp 1 10.0.0.4 5000 typ host tcptype active", FL_EMALFORMED },
		{ "candidate:1 1 udp 1 10.0.0.4 5000 typ host ufrag a:b", FL_EMALFORMED },
		{ "candidate:123456789012345678901234567890123 1 udp 1 10.0.0.4 1 typ host",
		  FL_EMALFORMED },
		{ "candidate:1 1 sctp 1 10.0.0.4 5000 typ host", FL_EUNSUPPORTED },
		{ "candidate:1 1 udp 1 10.0.0.4 5000 typ star", FL_EUNSUPPORTED },
	};
	struct ice_candidate c;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(ice_candidate_parse(span_str(bad[i].text), &c), bad[i].err);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_local),
		TEST(test_punched),
		TEST(test_many_interfaces),
		TEST(test_virtual_networks),
		TEST(test_impossible),
		TEST(test_other_side_unnamed),
		TEST(test_role_conflict),
		TEST(test_consent_lost),
		TEST(test_consent_comes_back),
		TEST(test_suspect),
		TEST(test_false_suspicion),
		TEST(test_address_removed),
		TEST(test_better_pair_takes_over),
		TEST(test_way_between_dies_and_comes_back),
		TEST(test_restart_keeps_data_flowing),
		TEST(test_restart_after_failure),
		TEST(test_long_session),
		TEST(test_early_paths),
		TEST(test_useless_candidates),
		TEST(test_candidate_before_its_description),
		TEST(test_limits),
		TEST(test_local_addresses),
		TEST(test_credentials),
		TEST(test_strangers),
		TEST(test_forged_answer),
		TEST(test_candidate_text),
		TEST(test_candidate_text_bad),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
