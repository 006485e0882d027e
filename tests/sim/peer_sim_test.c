/* Two whole peers over the simulated network, in virtual time. */
#include "test.h"

#include "base/err.h"
#include "peer_node.h"
#include "vclock.h"

#define ONE_WAY (25 * USEC_PER_MSEC)
#define SEEDS 60

struct net {
	struct sim *sim;
	struct peer_node a, b; /* a offers */
	usec_t began;
};

/* Both on one network with the given path. */
static void one_lan(struct net *t, uint64_t seed, const struct sim_path *path)
{
	int lan;

	t->sim = sim_create(seed);
	vclock_set(sim_now(t->sim));
	lan = sim_segment(t->sim, path);
	peer_node_init(&t->a, t->sim, lan, "192.168.1.2", NULL);
	peer_node_init(&t->b, t->sim, lan, "192.168.1.3", NULL);
	peer_node_link(&t->a, &t->b, ONE_WAY);
	t->began = sim_now(t->sim);
}

/* Each behind a router of its own, 25 ms apart, with a STUN server between them; stun: they know of
 * it. */
static void two_sites_with(struct net *t, uint64_t seed, const struct sim_nat *nat_a,
			   const struct sim_nat *nat_b, const char *stun)
{
	struct sim_path lan = { .delay_us = 300 }, wan = { .delay_us = ONE_WAY };
	int site[2];

	t->sim = sim_create(seed);
	vclock_set(sim_now(t->sim));
	sim_segment_set(t->sim, SIM_INTERNET, &wan);
	site[0] = sim_segment(t->sim, &lan);
	site[1] = sim_segment(t->sim, &lan);
	sim_router(t->sim, site[0], SIM_INTERNET, "198.51.100.7", nat_a);
	sim_router(t->sim, site[1], SIM_INTERNET, "203.0.113.9", nat_b);
	sim_stun_server(t->sim, SIM_INTERNET, "192.0.2.53");
	peer_node_init(&t->a, t->sim, site[0], "192.168.1.2", stun);
	peer_node_init(&t->b, t->sim, site[1], "10.0.0.2", stun);
	peer_node_link(&t->a, &t->b, ONE_WAY);
	t->began = sim_now(t->sim);
}

static void two_sites(struct net *t, uint64_t seed, const struct sim_nat *nat_a,
		      const struct sim_nat *nat_b)
{
	two_sites_with(t, seed, nat_a, nat_b, "192.0.2.53");
}

static void end(struct net *t)
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

static enum fl_route_method method(const struct peer_node *n)
{
	static struct fl_route route;

	peer_route(n->peer, &route);
	return route.method;
}

static void assert_working(const struct net *t, uint64_t seed)
{
	if (!t->a.echoed || t->a.connected != 1 || t->b.connected != 1 || t->a.failed ||
	    t->b.failed)
		fail_msg("seed %llu: echoed %d, connected %u and %u, failed %u (%s) and %u (%s)",
			 (unsigned long long)seed, t->a.echoed, t->a.connected, t->b.connected,
			 t->a.failed, t->a.last_failure, t->b.failed, t->b.last_failure);
}

static const struct sim_path far = { .delay_us = ONE_WAY };

/* The offerer's channel is open after three round trips of which signalling is one, and its first
 * message arrives half a one earlier. */
static void test_native_round_trips(void **state)
{
	struct net t = { 0 };

	one_lan(&t, 1, &far);
	peer_node_offer(&t.a, "terminal");
	run(&t, 2 * USEC_PER_SEC);
	assert_working(&t, 1);
	assert_true(t.a.opened_at - t.began <= 6 * ONE_WAY + 5000);
	assert_true(t.b.first_message_at - t.began <= 5 * ONE_WAY + 5000);
	assert_int_equal(method(&t.a), FL_ROUTE_LOCAL);
	assert_int_equal(method(&t.b), FL_ROUTE_LOCAL);
	end(&t);
}

/* Another implementation does not know our ClientHello in the offer, and is not sent any DTLS
 * before it has been answered. */
static void test_foreign_round_trips(void **state)
{
	struct net t = { 0 };

	one_lan(&t, 1, &far);
	t.a.foreign = t.b.foreign = true;
	peer_node_offer(&t.a, "terminal");
	run(&t, 2 * USEC_PER_SEC);
	assert_working(&t, 1);
	assert_true(t.a.opened_at - t.began <= 8 * ONE_WAY + 5000);
	end(&t);
}

static void late_servers(void *arg, usec_t now, struct span data)
{
	struct net *t = arg;
	struct addr server;

	assert_int_equal(addr_parse_ip("192.0.2.53", &server), 0);
	server.port = 3478;
	assert_int_equal(peer_add_stun_server(t->a.peer, now, &server), 0);
	assert_int_equal(peer_add_stun_server(t->b.peer, now, &server), 0);
	peer_node_turn(&t->a);
	peer_node_turn(&t->b);
}

/* The addresses that work come late; until then the handshake went to others in vain. Then it is
 * through as fast as ever: a round trip to the STUN server, half a one until the addresses are
 * told, half a one for the checks that open both NATs, and two for handshake and data. Another
 * implementation begins its handshake half a round trip later, and we cannot know that it is there
 * before it was heard. */
static void test_late_path(void **state)
{
	static const struct sim_nat *const nat = &sim_nat_port_restricted;

	for (unsigned late_ms = 70; late_ms <= 2000; late_ms += 70)
		for (int foreign = 0; foreign < 2; foreign++) {
			struct net t = { 0 };
			usec_t late = late_ms * USEC_PER_MSEC, took;

			two_sites_with(&t, late_ms, nat, nat, NULL);
			t.a.foreign = t.b.foreign = foreign;
			peer_node_offer(&t.a, "x");
			sim_after(t.sim, late, late_servers, &t, (struct span){ 0 });
			run(&t, 8 * USEC_PER_SEC);
			assert_working(&t, late_ms);
			took = t.b.first_message_at - t.began - late;
			assert_true(took <= (usec_t)(foreign ? 10 : 8) * ONE_WAY + 8000);
			end(&t);
		}
}

static void test_punched(void **state)
{
	static const struct sim_nat *const nats[] = { &sim_nat_full_cone, &sim_nat_restricted,
						      &sim_nat_port_restricted };

	for (size_t i = 0; i < ARRAY_LEN(nats); i++)
		for (size_t k = 0; k < ARRAY_LEN(nats); k++) {
			struct net t = { 0 };

			two_sites(&t, i * 10 + k, nats[i], nats[k]);
			peer_node_offer(&t.a, "files");
			run(&t, 5 * USEC_PER_SEC);
			assert_working(&t, i * 10 + k);
			assert_int_equal(method(&t.a), FL_ROUTE_PUNCHED);
			assert_int_equal(method(&t.b), FL_ROUTE_PUNCHED);
			end(&t);
		}
}

/* How long from the offer to the first message, between sites that know their STUN server. Where
 * the first packet of the answering side gets in, it brings the handshake along: one and a half
 * round trips until then, and two for the rest. */
static void test_punched_round_trips(void **state)
{
	static const struct {
		const struct sim_nat *nat;
		usec_t one_ways;
	} rows[] = { { &sim_nat_full_cone, 7 }, { &sim_nat_port_restricted, 9 } };

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct net t = { 0 };

		two_sites(&t, 20 + i, rows[i].nat, rows[i].nat);
		peer_node_offer(&t.a, "x");
		run(&t, 2 * USEC_PER_SEC);
		assert_working(&t, 20 + i);
		assert_true(t.b.first_message_at - t.began <= rows[i].one_ways * ONE_WAY + 8000);
		end(&t);
	}
}

/* Two public hosts on different networks: nothing was punched, but it is not the site's own network
 * either (the rule of fl_route). */
static void test_public(void **state)
{
	struct sim_path wan = { .delay_us = ONE_WAY };
	struct net t = { 0 };

	t.sim = sim_create(9);
	sim_segment_set(t.sim, SIM_INTERNET, &wan);
	peer_node_init(&t.a, t.sim, SIM_INTERNET, "8.8.1.1", NULL);
	peer_node_init(&t.b, t.sim, SIM_INTERNET, "9.9.1.1", NULL);
	peer_node_link(&t.a, &t.b, ONE_WAY);
	peer_node_offer(&t.a, "x");
	run(&t, 2 * USEC_PER_SEC);
	assert_working(&t, 9);
	assert_int_equal(method(&t.a), FL_ROUTE_PUNCHED);
	assert_int_equal(method(&t.b), FL_ROUTE_PUNCHED);
	end(&t);
}

/* No pair can work: said in bounded time, on both sides, and nothing else happens. */
static void test_no_route(void **state)
{
	struct net t = { 0 };

	two_sites(&t, 3, &sim_nat_symmetric, &sim_nat_symmetric);
	peer_node_offer(&t.a, "x");
	run(&t, 60 * USEC_PER_SEC);
	assert_int_equal(t.a.failed, 1);
	assert_int_equal(t.b.failed, 1);
	assert_int_equal(t.a.connected + t.b.connected + t.a.opened + t.b.opened, 0);
	assert_int_equal(method(&t.a), FL_ROUTE_NONE);
	end(&t);
}

/* A bad network: everything arrives, in order. */
static void test_loss(void **state)
{
	struct sim_path bad = { .delay_us = 15000,
				.jitter_us = 5000,
				.loss = 100,
				.duplicate = 50,
				.reorder = 50,
				.reorder_us = 20000 };

	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct net t = { 0 };

		one_lan(&t, seed, &bad);
		t.a.foreign = t.b.foreign = seed % 2;
		peer_node_offer(&t.a, "x");
		run(&t, 30 * USEC_PER_SEC);
		assert_working(&t, seed);
		assert_int_equal(peer_node_count(&t.a, 0, 500), 500);
		run(&t, 60 * USEC_PER_SEC);
		if (t.b.next_number != 500 || t.b.out_of_order)
			fail_msg("seed %llu: %u of 500 messages", (unsigned long long)seed,
				 t.b.next_number);
		end(&t);
	}
}

/* The network goes away and comes back under another address of the router; a restart through the
 * signalling brings the session back, with DTLS and SCTP as they were. */
static void test_restart(void **state)
{
	struct net t = { 0 };

	two_sites(&t, 4, &sim_nat_port_restricted, &sim_nat_port_restricted);
	peer_node_offer(&t.a, "x");
	run(&t, 5 * USEC_PER_SEC);
	assert_working(&t, 4);
	sim_router_set(t.sim, 0, &sim_nat_blocked);
	assert_int_equal(peer_node_count(&t.a, 0, 10), 10);
	run(&t, 15 * USEC_PER_SEC);
	assert_true(t.a.disconnected >= 1 && t.b.disconnected >= 1);
	assert_int_equal(t.b.next_number, 0);
	sim_router_set(t.sim, 0, &sim_nat_port_restricted);
	assert_int_equal(peer_restart(t.a.peer, sim_now(t.sim)), 0);
	peer_node_turn(&t.a);
	run(&t, 10 * USEC_PER_SEC);
	assert_int_equal(t.b.next_number, 10);
	assert_false(t.b.out_of_order);
	assert_int_equal(t.a.connected, 1);
	assert_true(t.a.routes >= 2 && t.b.routes >= 2);
	assert_int_equal(method(&t.a), FL_ROUTE_PUNCHED);
	end(&t);
}

/* A certificate that the description does not name: DTLS fails, nothing gets through. */
static void test_wrong_certificate(void **state)
{
	struct net t = { 0 };

	one_lan(&t, 5, &far);
	/* b describes itself by another certificate than its handshake will show */
	t.b.claims = dtls_identity_fingerprint_text(t.a.identity);
	peer_node_offer(&t.a, "x");
	run(&t, 10 * USEC_PER_SEC);
	assert_int_equal(t.a.failed, 1);
	assert_int_equal(t.a.connected + t.a.opened + t.b.messages, 0);
	end(&t);
}

static void test_close(void **state)
{
	struct net t = { 0 };

	one_lan(&t, 6, &far);
	peer_node_offer(&t.a, "x");
	run(&t, USEC_PER_SEC);
	peer_channel_close(t.b.peer, sim_now(t.sim), t.b.channel);
	peer_node_turn(&t.b);
	run(&t, USEC_PER_SEC);
	assert_int_equal(t.a.channels_closed, 1);
	assert_int_equal(t.b.channels_closed, 1);
	peer_close(t.b.peer, sim_now(t.sim));
	peer_node_turn(&t.b);
	run(&t, USEC_PER_SEC);
	assert_int_equal(t.a.closed, 1);
	assert_int_equal(t.b.closed, 1);
	assert_int_equal(peer_deadline(t.b.peer), USEC_NEVER);
	end(&t);
}

/* A session in which nobody says anything sends only consent checks, and rarely. */
static void test_idle(void **state)
{
	struct net t = { 0 };
	uint64_t before;

	one_lan(&t, 7, &far);
	peer_node_offer(&t.a, "x");
	run(&t, 10 * USEC_PER_SEC);
	before = sim_stats(t.sim)->sent;
	run(&t, 60 * USEC_PER_SEC);
	assert_int_equal(t.a.disconnected + t.b.disconnected, 0);
	assert_true(sim_stats(t.sim)->sent - before < 120);
	end(&t);
}

/* Data that nobody acknowledges tells within 2 s that the path is dead, long before the next
 * consent is due; a session that is merely quiet is left alone. */
static void test_dead_path(void **state)
{
	struct net t = { 0 };

	one_lan(&t, 8, &far);
	peer_node_offer(&t.a, "x");
	run(&t, 10 * USEC_PER_SEC);
	assert_int_equal(peer_node_count(&t.a, 0, 10), 10);
	peer_node_turn(&t.a);
	run(&t, USEC_PER_SEC);
	assert_int_equal(t.b.next_number, 10);
	assert_int_equal(t.a.disconnected, 0);
	sim_host_cut(t.b.host, true);
	assert_int_equal(peer_node_count(&t.a, 10, 10), 10);
	peer_node_turn(&t.a);
	run(&t, 2 * USEC_PER_SEC);
	assert_int_equal(t.a.disconnected, 1);
	sim_host_cut(t.b.host, false);
	run(&t, 10 * USEC_PER_SEC);
	assert_int_equal(t.b.next_number, 20);
	assert_false(t.b.out_of_order);
	end(&t);
}

/* The way across the site dies under a transfer. It goes on by the way outside in 1.2 s,
 * with what SCTP had repeated in vain, whichever end is the one that sends. */
static void test_dead_path_beside_another(void **state)
{
	struct sim_nat closed = sim_router_plain;

	closed.blocked = true;
	for (int answerer_sends = 0; answerer_sends < 2; answerer_sends++) {
		struct net t = { 0 };
		struct peer_node *from, *to;
		int between;

		two_sites(&t, 9, &sim_nat_port_restricted, &sim_nat_port_restricted);
		between = sim_router(t.sim, 2, 1, NULL, &sim_router_plain);
		peer_node_offer(&t.a, "x");
		run(&t, 10 * USEC_PER_SEC);
		assert_int_equal(method(&t.a), FL_ROUTE_LOCAL);
		from = answerer_sends ? &t.b : &t.a;
		to = answerer_sends ? &t.a : &t.b;
		sim_router_set(t.sim, between, &closed);
		assert_int_equal(peer_node_count(from, 0, 10), 10);
		peer_node_turn(from);
		run(&t, USEC_PER_SEC + 200 * USEC_PER_MSEC);
		assert_int_equal(to->next_number, 10);
		run(&t, 300 * USEC_PER_MSEC);
		assert_int_equal(method(&t.a), FL_ROUTE_PUNCHED);
		assert_int_equal(method(&t.b), FL_ROUTE_PUNCHED);
		end(&t);
	}
}

/* The machine slept, which its clock does not tell: the path is checked at once, once. Where it is
 * dead that is known in two seconds, though nothing is sent. */
static void test_sleep(void **state)
{
	for (int dead = 0; dead < 2; dead++) {
		usec_t asleep = 5 * 3600 * USEC_PER_SEC;
		struct net t = { 0 };
		uint64_t before;

		one_lan(&t, 11, &far);
		assert_false(peer_note_asleep(t.a.peer, sim_now(t.sim), asleep));
		peer_node_offer(&t.a, "x");
		run(&t, 10 * USEC_PER_SEC);
		before = sim_stats(t.sim)->sent;
		assert_false(peer_note_asleep(t.a.peer, sim_now(t.sim), asleep + 500000));
		peer_node_turn(&t.a);
		assert_int_equal(sim_stats(t.sim)->sent, before);
		sim_host_cut(t.b.host, dead);
		asleep += 60 * USEC_PER_SEC;
		assert_true(peer_note_asleep(t.a.peer, sim_now(t.sim), asleep));
		assert_true(peer_suspicious(t.a.peer));
		assert_false(peer_note_asleep(t.a.peer, sim_now(t.sim), asleep));
		peer_node_turn(&t.a);
		assert_true(sim_stats(t.sim)->sent > before);
		run(&t, 2 * USEC_PER_SEC);
		assert_int_equal(peer_suspicious(t.a.peer), dead);
		assert_int_equal(t.a.disconnected, dead);
		end(&t);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_native_round_trips),
		TEST(test_foreign_round_trips),
		TEST(test_late_path),
		TEST(test_punched),
		TEST(test_punched_round_trips),
		TEST(test_no_route),
		TEST(test_public),
		TEST(test_loss),
		TEST(test_restart),
		TEST(test_wrong_certificate),
		TEST(test_close),
		TEST(test_idle),
		TEST(test_dead_path),
		TEST(test_dead_path_beside_another),
		TEST(test_sleep),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
