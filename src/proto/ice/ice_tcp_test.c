/* ICE over TCP (RFC 6544): two agents whose connections are made by the test. */
#include "test.h"

#include <errno.h>

#include "base/err.h"
#include "proto/ice/ice.h"

#define MS USEC_PER_MSEC
#define LISTEN "10.0.0.2:5000"	   /* b's passive candidate */
#define ACTIVE "10.0.0.1:9"	   /* a's active candidate … */
#define CONNECTED "10.0.0.1:40000" /* … and what its connection looks like from b */

struct pair_of {
	struct rng rng;
	struct ice *a, *b;
	usec_t now;
	bool udp_passes, tcp_passes;
	unsigned tcp_packets;
};

static struct addr at(const char *text)
{
	struct addr a;

	assert_int_equal(addr_parse(text, &a), 0);
	return a;
}

static void add(struct pair_of *t, struct ice *ice, const char *addr, enum ice_transport transport)
{
	struct ice_local l = { .addr = at(addr), .transport = transport };

	assert_int_equal(ice_add_local(ice, t->now, &l), 0);
}

static void introduce(struct ice *to, const struct ice *other, usec_t now)
{
	struct ice_remote r = { .ufrag = ice_local_ufrag(other),
				.pwd = ice_local_pwd(other),
				.renomination = true };

	assert_int_equal(ice_set_remote(to, now, &r), 0);
}

static void begin(struct pair_of *t, bool udp_passes, bool tcp_passes)
{
	*t = (struct pair_of){ .now = 1000, .udp_passes = udp_passes, .tcp_passes = tcp_passes };
	rng_seed(&t->rng, 7);
	t->a = ice_create(&(struct ice_config){ .controlling = true }, &t->rng);
	t->b = ice_create(&(struct ice_config){ 0 }, &t->rng);
	assert_non_null(t->a);
	assert_non_null(t->b);
	introduce(t->a, t->b, t->now);
	introduce(t->b, t->a, t->now);
	add(t, t->a, "10.0.0.1:4000", ICE_UDP);
	add(t, t->a, ACTIVE, ICE_TCP_ACTIVE);
	add(t, t->b, "10.0.0.2:4000", ICE_UDP);
	add(t, t->b, LISTEN, ICE_TCP_PASSIVE);
}

static void end(struct pair_of *t)
{
	ice_destroy(t->a);
	ice_destroy(t->b);
}

static void trickle(struct pair_of *t, struct ice *from, struct ice *to)
{
	struct ice_event e;

	while (ice_next_event(from, &e))
		if (e.type == ICE_EVENT_CANDIDATE)
			ice_add_remote(to, t->now, &e.candidate);
}

/* What a TCP connection from ACTIVE to LISTEN does to the addresses of a packet. */
static void carry(struct pair_of *t, struct ice *from, struct ice *to)
{
	struct dgram d, in;

	while (ice_next_output(from, &d)) {
		in = (struct dgram){ d.remote, d.local, d.data, d.via };
		if (d.via == DGRAM_UDP && !t->udp_passes)
			continue;
		if (d.via == DGRAM_TCP) {
			struct addr want = at(from == t->a ? LISTEN : CONNECTED);

			if (!t->tcp_passes)
				continue;
			t->tcp_packets++;
			assert_true(addr_equal(&d.remote, &want));
			in.local = at(from == t->a ? LISTEN : ACTIVE);
			in.remote = at(from == t->a ? CONNECTED : LISTEN);
		}
		assert_int_equal(ice_input(to, t->now, &in), 0);
	}
}

static void run(struct pair_of *t, usec_t for_us)
{
	for (usec_t until = t->now + for_us; t->now < until; t->now += MS) {
		trickle(t, t->a, t->b);
		trickle(t, t->b, t->a);
		ice_timeout(t->a, t->now);
		ice_timeout(t->b, t->now);
		carry(t, t->a, t->b);
		carry(t, t->b, t->a);
	}
}

static void expect_via(const struct ice *ice, enum dgram_via via, const char *local,
		       const char *remote)
{
	struct addr want_local = at(local), want_remote = at(remote);
	struct ice_path p;

	assert_int_equal(ice_state(ice), ICE_CONNECTED);
	assert_int_equal(ice_path(ice, &p), ICE_PATH_SELECTED);
	assert_int_equal(p.via, via);
	assert_true(addr_equal(&p.local, &want_local));
	assert_true(addr_equal(&p.remote, &want_remote));
	assert_int_equal(p.local_type, ICE_HOST);
}

static void test_udp_blocked(void **state)
{
	struct pair_of t;

	begin(&t, false, true);
	run(&t, 500 * MS);
	expect_via(t.a, DGRAM_TCP, ACTIVE, LISTEN);
	expect_via(t.b, DGRAM_TCP, LISTEN, CONNECTED);
	end(&t);
}

static void test_udp_wins(void **state)
{
	struct pair_of t;

	begin(&t, true, true);
	run(&t, 500 * MS);
	expect_via(t.a, DGRAM_UDP, "10.0.0.1:4000", "10.0.0.2:4000");
	expect_via(t.b, DGRAM_UDP, "10.0.0.2:4000", "10.0.0.1:4000");
	end(&t);
}

/* The block ends: the session goes over to UDP without a break. */
static void test_udp_comes_later(void **state)
{
	struct pair_of t;

	begin(&t, false, true);
	run(&t, 8000 * MS);
	expect_via(t.a, DGRAM_TCP, ACTIVE, LISTEN);
	t.udp_passes = true;
	run(&t, 31000 * MS);
	expect_via(t.a, DGRAM_UDP, "10.0.0.1:4000", "10.0.0.2:4000");
	expect_via(t.b, DGRAM_UDP, "10.0.0.2:4000", "10.0.0.1:4000");
	end(&t);
}

/* Who listens does not send first, and there is no connection to nowhere. */
static void test_only_active_begins(void **state)
{
	struct pair_of t;
	struct ice_candidate c = { .type = ICE_HOST,
				   .transport = ICE_TCP_ACTIVE,
				   .component = 1,
				   .priority = 1,
				   .addr = at("10.0.0.9:9") };

	begin(&t, false, false);
	assert_int_equal(ice_add_remote(t.b, t.now, &c), 0);
	c.transport = ICE_TCP_SO;
	assert_int_equal(ice_add_remote(t.b, t.now, &c), 0);
	run(&t, 200 * MS);
	for (struct dgram d; ice_next_output(t.b, &d);)
		assert_int_equal(d.via, DGRAM_UDP);
	assert_int_equal(ice_state(t.a), ICE_CHECKING);
	end(&t);
}

/* The same port number over UDP and TCP is two candidates. */
static void test_same_port(void **state)
{
	struct pair_of t;
	struct ice_local l = { .addr = at("10.0.0.2:5000"), .transport = ICE_UDP };

	begin(&t, true, true);
	assert_int_equal(ice_add_local(t.b, t.now, &l), 0);
	assert_int_equal(ice_add_local(t.b, t.now, &l), -EEXIST);
	l.transport = ICE_TCP_PASSIVE;
	assert_int_equal(ice_add_local(t.b, t.now, &l), -EEXIST);
	assert_int_equal(ice_remove_local(t.b, t.now, &l.addr, DGRAM_TCP), 0);
	assert_int_equal(ice_remove_local(t.b, t.now, &l.addr, DGRAM_TCP), -ENOENT);
	assert_int_equal(ice_remove_local(t.b, t.now, &l.addr, DGRAM_UDP), 0);
	l.type = ICE_RELAY;
	assert_int_equal(ice_add_local(t.b, t.now, &l), FL_EUNSUPPORTED);
	end(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_udp_blocked),	       TEST(test_udp_wins),  TEST(test_udp_comes_later),
		TEST(test_only_active_begins), TEST(test_same_port),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
