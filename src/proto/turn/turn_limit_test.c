#include "test.h"

#include "proto/turn/turn_limit.h"

#define SECOND (1000 * USEC_PER_SEC) /* when the tests begin */

static struct turn_limit *make(const struct turn_limit_config *config)
{
	struct rng rng;
	struct turn_limit *l;

	rng_seed(&rng, 7);
	l = turn_limit_create(config, &rng);
	assert_non_null(l);
	return l;
}

static struct addr at(const char *text)
{
	struct addr a;

	assert_int_equal(addr_parse_ip(text, &a), 0);
	a.port = 40000;
	return a;
}

static unsigned requests(struct turn_limit *l, usec_t now, const char *from, unsigned n, size_t len)
{
	struct addr a = at(from);
	unsigned passed = 0;

	for (unsigned i = 0; i < n; i++)
		passed += turn_limit_request(l, now, &a, len);
	return passed;
}

static unsigned answers(struct turn_limit *l, usec_t now, const char *to, unsigned n, size_t len)
{
	struct addr a = at(to);
	unsigned passed = 0;

	for (unsigned i = 0; i < n; i++)
		passed += turn_limit_answer(l, now, &a, len);
	return passed;
}

static void test_requests_of_a_prefix(void **state)
{
	struct turn_limit *l = make(&(struct turn_limit_config){ .requests_per_s = 10 });

	assert_int_equal(requests(l, SECOND, "192.0.2.1", 8, 20), 8);
	assert_int_equal(requests(l, SECOND, "192.0.2.255", 8, 20), 2); /* the same /24 */
	assert_int_equal(requests(l, SECOND, "::ffff:192.0.2.7", 8, 20), 0);
	assert_int_equal(requests(l, SECOND, "192.0.3.1", 8, 20), 8);
	assert_int_equal(requests(l, SECOND, "2001:db8:1::1", 10, 20), 10);
	assert_int_equal(requests(l, SECOND, "2001:db8:1:ffff::1", 1, 20), 0); /* the same /48 */
	assert_int_equal(requests(l, SECOND, "2001:db8:2::1", 1, 20), 1);
	/* the last moment of the second, and the next one */
	assert_int_equal(requests(l, SECOND + USEC_PER_SEC - 1, "192.0.2.1", 1, 20), 0);
	assert_int_equal(requests(l, SECOND + USEC_PER_SEC, "192.0.2.1", 99, 20), 10);
	turn_limit_destroy(l);
}

/* Nobody gets more than was brought in his name, but for the advance. */
static void test_bytes_of_a_prefix(void **state)
{
	struct turn_limit *l = make(
		&(struct turn_limit_config){ .prefix_bytes = 1000, .prefix_bytes_per_s = 100 });

	assert_int_equal(answers(l, SECOND, "192.0.2.1", 100, 100), 10);
	assert_int_equal(answers(l, SECOND, "192.0.2.2", 1, 1), 0);
	assert_int_equal(requests(l, SECOND, "192.0.2.3", 10, 50), 10); /* pays back */
	assert_int_equal(answers(l, SECOND, "192.0.2.1", 100, 100), 5);
	assert_int_equal(requests(l, SECOND, "192.0.2.3", 1, 100), 1);
	assert_int_equal(answers(l, SECOND, "192.0.2.3", 2, 100), 1); /* as long as its request */
	/* time pays back, a little at a time as well */
	assert_int_equal(answers(l, SECOND + USEC_PER_SEC / 2, "192.0.2.1", 9, 10), 5);
	for (usec_t t = 1; t <= 1000; t++)
		assert_int_equal(
			answers(l, SECOND + USEC_PER_SEC / 2 + t * 9999, "192.0.2.1", 1, 1), t > 1);
	/* what is brought beyond the advance is not saved up */
	assert_int_equal(requests(l, SECOND + 60 * USEC_PER_SEC, "192.0.2.1", 10, 1000), 10);
	assert_int_equal(answers(l, SECOND + 60 * USEC_PER_SEC, "192.0.2.1", 100, 100), 10);
	turn_limit_destroy(l);
}

/* A school behind one address: who has shown that he is there pays for those who begin. */
static void test_honest_site(void **state)
{
	struct turn_limit *l = make(NULL);
	struct addr school = at("192.0.2.1");

	for (unsigned i = 0; i < 2000; i++) { /* 350 a second, each with a challenge */
		usec_t now = SECOND + i * USEC_PER_SEC / 350;

		assert_true(turn_limit_request(l, now, &school, 28));
		assert_true(turn_limit_answer(l, now, &school, 120));
		turn_limit_proved(l, now, &school, 150);
	}
	turn_limit_destroy(l);
}

/* A request beyond the number of requests brings nothing. */
static void test_refused_requests_bring_nothing(void **state)
{
	struct turn_limit *l = make(
		&(struct turn_limit_config){ .requests_per_s = 1, .prefix_bytes = 100 });

	assert_int_equal(requests(l, SECOND, "192.0.2.1", 100, 100), 1);
	assert_int_equal(answers(l, SECOND, "192.0.2.1", 100, 100), 1);
	turn_limit_destroy(l);
}

/* A flood with a million forged sources: in all no more than was brought, and the allowance. */
static void test_bytes_of_all(void **state)
{
	struct turn_limit *l = make(&(struct turn_limit_config){ .all_bytes = 100000 });
	uint64_t brought = 0, answered = 0;
	struct addr from = at("11.0.0.1");

	for (uint32_t i = 0; i < 200000; i++) {
		from.ip[1] = (uint8_t)(i >> 16);
		from.ip[2] = (uint8_t)(i >> 8);
		from.ip[3] = (uint8_t)i;
		if (!turn_limit_request(l, SECOND, &from, 28))
			continue;
		brought += 28;
		if (turn_limit_answer(l, SECOND, &from, 140))
			answered += 140;
	}
	assert_true(brought > 2000000);
	assert_true(answered <= brought + 100000);
	/* and yet somebody is answered all the time: what others bring in vain is left over */
	assert_true(answered > brought / 2);
	turn_limit_destroy(l);
}

/* Prefixes share slots rarely, and which of them do depends on the key. */
static void test_slots_are_spread(void **state)
{
	struct turn_limit_config config = { .requests_per_s = 1 };
	unsigned passed[2] = { 0, 0 }, differ = 0;
	struct rng rng;
	struct turn_limit *l[2];
	struct addr from = at("11.0.0.1");

	rng_seed(&rng, 9);
	for (int k = 0; k < 2; k++) {
		l[k] = turn_limit_create(&config, &rng);
		assert_non_null(l[k]);
	}
	for (unsigned i = 0; i < TURN_LIMIT_SLOTS; i++) {
		bool p[2];

		from.ip[1] = (uint8_t)(i >> 8);
		from.ip[2] = (uint8_t)i;
		for (int k = 0; k < 2; k++) {
			p[k] = turn_limit_request(l[k], SECOND, &from, 20);
			passed[k] += p[k];
		}
		differ += p[0] != p[1];
	}
	for (int k = 0; k < 2; k++) {
		/* of n balls in n boxes 1 - 1/e of the boxes get one: 2589 of 4096 */
		assert_true(passed[k] > 2400 && passed[k] < 2800);
		turn_limit_destroy(l[k]);
	}
	assert_true(differ > 1000);
}

static void test_defaults(void **state)
{
	struct turn_limit *l = make(&(struct turn_limit_config){ 0 });

	assert_int_equal(answers(l, SECOND, "192.0.2.1", 1000, 64), 8192 / 64);
	assert_int_equal(requests(l, SECOND, "198.51.100.1", 1000, 20), 400);
	turn_limit_destroy(l);
	turn_limit_destroy(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_requests_of_a_prefix),
		TEST(test_bytes_of_a_prefix),
		TEST(test_honest_site),
		TEST(test_refused_requests_bring_nothing),
		TEST(test_bytes_of_all),
		TEST(test_slots_are_spread),
		TEST(test_defaults),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
