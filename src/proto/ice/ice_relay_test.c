/* Which of several relayed pairs is taken, and when: two agents, whose packets the test carries at
 * once where the case lets them pass. */
#include "test.h"

#include "base/err.h"
#include "proto/ice/ice.h"

#define MS USEC_PER_MSEC
#define OVER_UDP 200 /* preferences, as src/peer gives them */
#define OVER_TLS 100

struct two {
	struct rng rng;
	struct ice *a, *b;
	usec_t now;
	bool (*passes)(const struct addr *from, const struct addr *to);
};

static struct addr at(const char *text)
{
	struct addr a;

	assert_int_equal(addr_parse(text, &a), 0);
	return a;
}

static void add(struct two *t, struct ice *ice, const char *addr, enum ice_type type,
		uint8_t preference)
{
	struct ice_local l = { .type = type, .addr = at(addr), .preference = preference };

	assert_int_equal(ice_add_local(ice, t->now, &l), 0);
}

static void introduce(struct ice *to, const struct ice *other, usec_t now)
{
	struct ice_remote r = { .ufrag = ice_local_ufrag(other),
				.pwd = ice_local_pwd(other),
				.renomination = true };

	assert_int_equal(ice_set_remote(to, now, &r), 0);
}

static void begin(struct two *t, bool (*passes)(const struct addr *, const struct addr *))
{
	*t = (struct two){ .now = 1000, .passes = passes };
	rng_seed(&t->rng, 7);
	t->a = ice_create(&(struct ice_config){ .controlling = true }, &t->rng);
	t->b = ice_create(&(struct ice_config){ 0 }, &t->rng);
	assert_non_null(t->a);
	assert_non_null(t->b);
	introduce(t->a, t->b, t->now);
	introduce(t->b, t->a, t->now);
}

static void end(struct two *t)
{
	ice_destroy(t->a);
	ice_destroy(t->b);
}

static void carry(struct two *t, struct ice *from, struct ice *to)
{
	struct ice_event e;
	struct dgram d;

	while (ice_next_event(from, &e))
		if (e.type == ICE_EVENT_CANDIDATE)
			ice_add_remote(to, t->now, &e.candidate);
	while (ice_next_output(from, &d)) {
		struct dgram in = { .local = d.remote, .remote = d.local, .data = d.data };

		if (t->passes(&d.local, &d.remote))
			assert_int_equal(ice_input(to, t->now, &in), 0);
	}
}

static void run(struct two *t, usec_t for_us)
{
	usec_t until = t->now + for_us;

	for (; t->now < until; t->now += MS) {
		carry(t, t->a, t->b);
		carry(t, t->b, t->a);
		assert_int_equal(ice_timeout(t->a, t->now), 0);
		assert_int_equal(ice_timeout(t->b, t->now), 0);
	}
}

/* Both ends use the same pair. */
static struct ice_path selected(const struct two *t)
{
	struct ice_path a, b;

	assert_int_equal(ice_path(t->a, &a), ICE_PATH_SELECTED);
	assert_int_equal(ice_path(t->b, &b), ICE_PATH_SELECTED);
	assert_true(addr_equal(&a.local, &b.remote));
	assert_true(addr_equal(&a.remote, &b.local));
	return a;
}

static bool all_pass(const struct addr *from, const struct addr *to)
{
	return from->family == to->family;
}

/* The allocation over TLS came first, and nothing else was open: it is used at once, and left for
 * the one over UDP, which may be the lesser address family. */
static void test_way_to_the_relay(void **state)
{
	struct ice_path path;
	struct two t;

	begin(&t, all_pass);
	add(&t, t.a, "[2001:db8:1::1]:5000", ICE_RELAY, OVER_TLS);
	add(&t, t.b, "[2001:db8:2::2]:4000", ICE_HOST, 0);
	add(&t, t.b, "198.51.100.2:4000", ICE_HOST, 0);
	run(&t, 100 * MS);
	path = selected(&t);
	assert_int_equal(path.local.port, 5000);
	add(&t, t.a, "192.0.2.1:6000", ICE_RELAY, OVER_UDP);
	run(&t, 500 * MS);
	path = selected(&t);
	assert_int_equal(path.local.port, 6000);
	end(&t);
}

/* Port 4000 is a host's, behind a router that passes nothing but what goes to a relay. */
static bool no_hole(const struct addr *from, const struct addr *to)
{
	return from->family == to->family && (from->port != 4000 || to->port != 4000);
}

/* Both have relays, by IPv6 too, which RFC 8445's order would put first: a pair of two relays. */
static void test_one_relay_is_enough(void **state)
{
	struct ice_path path;
	struct two t;

	begin(&t, no_hole);
	add(&t, t.a, "198.51.100.1:4000", ICE_HOST, 0);
	add(&t, t.b, "198.51.100.2:4000", ICE_HOST, 0);
	add(&t, t.a, "[2001:db8::1]:5001", ICE_RELAY, OVER_UDP);
	add(&t, t.b, "[2001:db8::1]:5002", ICE_RELAY, OVER_UDP);
	add(&t, t.a, "192.0.2.1:6001", ICE_RELAY, OVER_UDP);
	add(&t, t.b, "192.0.2.1:6002", ICE_RELAY, OVER_UDP);
	run(&t, 2000 * MS);
	path = selected(&t);
	assert_true((path.local_type == ICE_RELAY) != (path.remote_type == ICE_RELAY));
	end(&t);
}

/* Neither host sends UDP. */
static bool relays_only(const struct addr *from, const struct addr *to)
{
	return from->family == to->family && from->port != 4000 && to->port != 4000;
}

static void test_two_relays_where_it_must_be(void **state)
{
	struct ice_path path;
	struct two t;

	begin(&t, relays_only);
	add(&t, t.a, "198.51.100.1:4000", ICE_HOST, 0);
	add(&t, t.b, "198.51.100.2:4000", ICE_HOST, 0);
	add(&t, t.a, "192.0.2.1:6001", ICE_RELAY, OVER_TLS);
	add(&t, t.b, "192.0.2.1:6002", ICE_RELAY, OVER_TLS);
	run(&t, 2000 * MS);
	path = selected(&t);
	assert_int_equal(path.local_type, ICE_RELAY);
	assert_int_equal(path.remote_type, ICE_RELAY);
	end(&t);
}

/* A session that was relayed at first, has been direct for longer than consent lasts, and loses the
 * direct way: the other side is told before it notices by itself. */
static void test_back_to_an_old_pair(void **state)
{
	struct addr host = at("198.51.100.1:4000");
	struct two t;

	begin(&t, all_pass);
	add(&t, t.b, "198.51.100.2:4000", ICE_HOST, 0);
	add(&t, t.a, "192.0.2.1:6000", ICE_RELAY, OVER_UDP);
	run(&t, 1000 * MS);
	assert_int_equal(selected(&t).local.port, 6000);
	add(&t, t.a, "198.51.100.1:4000", ICE_HOST, 0);
	run(&t, 40 * USEC_PER_SEC);
	assert_int_equal(selected(&t).local.port, 4000);
	assert_int_equal(ice_remove_local(t.a, t.now, &host, DGRAM_UDP), 0);
	run(&t, 1000 * MS);
	assert_int_equal(selected(&t).local.port, 6000);
	run(&t, 40 * USEC_PER_SEC);
	assert_int_equal(selected(&t).local.port, 6000);
	assert_int_equal(ice_stats(t.b)->consents_lost, 0);
	end(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_way_to_the_relay),
		TEST(test_one_relay_is_enough),
		TEST(test_two_relays_where_it_must_be),
		TEST(test_back_to_an_old_pair),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
