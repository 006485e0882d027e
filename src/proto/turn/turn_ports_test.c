#include "test.h"

#include "base/err.h"
#include "proto/turn/turn_ports.h"

#define BEGIN (77 * USEC_PER_SEC)
#define MINUTE (60 * USEC_PER_SEC)
#define RESERVED_US (TURN_RESERVATION_S * USEC_PER_SEC)

static struct rng rng;

static struct turn_ports *make(uint16_t first, uint16_t last)
{
	struct turn_ports *p;

	rng_seed(&rng, 11);
	p = turn_ports_create(first, last, &rng);
	assert_non_null(p);
	return p;
}

/* Reservations that ran out by now. */
static unsigned expire(struct turn_ports *p, usec_t now)
{
	uint16_t port;
	intptr_t handle;
	unsigned n = 0;

	while (turn_ports_expired(p, now, &port, &handle))
		n++;
	return n;
}

/* Each port is given out once, then none; one that comes back is available at once. */
static void test_exhaustion_and_recovery(void **state)
{
	static bool seen[65536];
	struct turn_ports *p = make(TURN_PORTS_FIRST, TURN_PORTS_LAST);

	assert_int_equal(turn_ports_free(p), 16384);
	for (unsigned i = 0; i < 16384; i++) {
		uint16_t port = turn_ports_take(p, TURN_PORTS_ANY);

		assert_true(port >= TURN_PORTS_FIRST && !seen[port]);
		seen[port] = true;
	}
	assert_int_equal(turn_ports_free(p), 0);
	for (int want = TURN_PORTS_ANY; want <= TURN_PORTS_PAIR; want++)
		assert_int_equal(turn_ports_take(p, (enum turn_ports_want)want), 0);
	turn_ports_put(p, 50001);
	assert_int_equal(turn_ports_take(p, TURN_PORTS_EVEN), 0);
	assert_int_equal(turn_ports_take(p, TURN_PORTS_ANY), 50001);
	turn_ports_put(p, TURN_PORTS_LAST);
	turn_ports_put(p, TURN_PORTS_FIRST);
	assert_int_equal(turn_ports_take(p, TURN_PORTS_EVEN), TURN_PORTS_FIRST);
	assert_int_equal(turn_ports_take(p, TURN_PORTS_ANY), TURN_PORTS_LAST);
	turn_ports_destroy(p);
	turn_ports_destroy(NULL);
}

/* first and last inside words, the lowest and the highest port, and one port alone */
static void test_limits(void **state)
{
	static const struct {
		uint16_t first, last;
		unsigned any, even, pairs;
	} t[] = {
		{ 1, 1, 1, 0, 0 },
		{ 2, 2, 1, 1, 0 },
		{ 65535, 65535, 1, 0, 0 },
		{ 65534, 65535, 2, 1, 1 },
		{ 63, 64, 2, 1, 0 },
		{ 101, 106, 6, 3, 2 },
		{ 1, 65535, 65535, 32767, 32767 },
		{ 127, 193, 67, 33, 33 },
	};

	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		const unsigned want[] = { t[i].any, t[i].even, t[i].pairs };

		for (int w = TURN_PORTS_ANY; w <= TURN_PORTS_PAIR; w++) {
			struct turn_ports *p = make(t[i].first, t[i].last);
			unsigned n = 0;
			uint16_t port;

			for (; (port = turn_ports_take(p, (enum turn_ports_want)w)); n++) {
				assert_true(port >= t[i].first && port <= t[i].last);
				assert_true(w == TURN_PORTS_ANY || port % 2 == 0);
			}
			assert_int_equal(n, want[w]);
			assert_int_equal(turn_ports_free(p),
					 t[i].any - n * (w == TURN_PORTS_PAIR ? 2 : 1));
			turn_ports_destroy(p);
		}
	}
}

/* A pair is given only while both are free, and takes both. */
static void test_pairs(void **state)
{
	struct turn_ports *p = make(50000, 50003);
	uint16_t pair = turn_ports_take(p, TURN_PORTS_PAIR), other;

	assert_true(pair == 50000 || pair == 50002);
	assert_int_equal(turn_ports_free(p), 2);
	other = turn_ports_take(p, TURN_PORTS_EVEN);
	assert_int_equal(other, pair == 50000 ? 50002 : 50000);
	assert_int_equal(turn_ports_take(p, TURN_PORTS_PAIR), 0);
	turn_ports_put(p, pair);
	assert_int_equal(turn_ports_take(p, TURN_PORTS_PAIR), 0);
	turn_ports_put(p, (uint16_t)(pair + 1));
	assert_int_equal(turn_ports_take(p, TURN_PORTS_PAIR), pair);
	turn_ports_destroy(p);
}

static void test_reservations(void **state)
{
	struct turn_ports *p = make(50000, 50003);
	uint8_t a[TURN_RESERVATION_TOKEN_LEN], b[TURN_RESERVATION_TOKEN_LEN], wrong[8];
	uint16_t pair = turn_ports_take(p, TURN_PORTS_PAIR), second, port;
	intptr_t handle;

	assert_int_equal(turn_ports_deadline(p), USEC_NEVER);
	assert_int_equal(turn_ports_reserve(p, BEGIN, (uint16_t)(pair + 1), 5, a), 0);
	assert_int_equal(turn_ports_deadline(p), BEGIN + RESERVED_US);
	second = turn_ports_take(p, TURN_PORTS_PAIR);
	assert_int_equal(turn_ports_reserve(p, BEGIN + 1, (uint16_t)(second + 1), 6, b), 0);
	assert_memory_not_equal(a, b, sizeof(a));

	memcpy(wrong, b, sizeof(b));
	wrong[7] ^= 1;
	assert_false(turn_ports_claim(p, BEGIN + 2, wrong, &port, &handle));
	assert_true(turn_ports_claim(p, BEGIN + 2, b, &port, &handle));
	assert_true(port == second + 1 && handle == 6);
	assert_false(turn_ports_claim(p, BEGIN + 2, b, &port, &handle)); /* only once */
	assert_int_equal(turn_ports_free(p), 0); /* the port is the caller's */
	turn_ports_put(p, port);

	/* the other one runs out, on the microsecond */
	assert_false(turn_ports_expired(p, BEGIN + RESERVED_US - 1, &port, &handle));
	assert_false(turn_ports_claim(p, BEGIN + RESERVED_US, a, &port, &handle));
	assert_int_equal(turn_ports_free(p), 1);
	assert_true(turn_ports_expired(p, BEGIN + RESERVED_US, &port, &handle));
	assert_true(port == pair + 1 && handle == 5);
	assert_false(turn_ports_expired(p, BEGIN + RESERVED_US, &port, &handle));
	assert_int_equal(turn_ports_free(p), 2);
	assert_int_equal(turn_ports_deadline(p), USEC_NEVER);
	turn_ports_destroy(p);
}

static void test_reservations_at_their_limit(void **state)
{
	struct turn_ports *p = make(TURN_PORTS_FIRST, TURN_PORTS_LAST);
	static uint8_t token[TURN_PORTS_RESERVATIONS_MAX + 1][TURN_RESERVATION_TOKEN_LEN];
	uint16_t port = 0;
	intptr_t handle;

	for (unsigned i = 0; i <= TURN_PORTS_RESERVATIONS_MAX; i++) {
		port = turn_ports_take(p, TURN_PORTS_ANY);
		assert_int_equal(turn_ports_reserve(p, BEGIN + i, port, (intptr_t)i, token[i]),
				 i < TURN_PORTS_RESERVATIONS_MAX ? 0 : FL_EQUOTA);
	}
	turn_ports_put(p, port); /* the refused one is still the caller's */
	assert_true(turn_ports_claim(p, BEGIN + 2000, token[500], &port, &handle));
	assert_int_equal(handle, 500);
	for (intptr_t i = 0; i < TURN_PORTS_RESERVATIONS_MAX; i++) {
		if (i == 500)
			continue;
		assert_true(turn_ports_expired(p, BEGIN + RESERVED_US + 2000, &port, &handle));
		assert_int_equal(handle, i); /* the oldest first */
	}
	assert_int_equal(expire(p, USEC_NEVER - 1), 0);
	assert_int_equal(turn_ports_free(p), 16383);
	turn_ports_destroy(p);
}

/* A port of somebody else rests for a minute at least and two at most. */
static void test_foreign(void **state)
{
	struct turn_ports *p = make(50000, 50002);

	for (int i = 0; i < 3; i++)
		assert_int_not_equal(turn_ports_take(p, TURN_PORTS_ANY), 0);
	turn_ports_foreign(p, BEGIN, 50000);
	turn_ports_foreign(p, BEGIN + MINUTE / 2, 50001);
	turn_ports_put(p, 50000); /* does not shorten it */
	assert_int_equal(turn_ports_free(p), 0);
	assert_int_equal(turn_ports_deadline(p), BEGIN + MINUTE);
	expire(p, BEGIN + MINUTE);
	assert_int_equal(turn_ports_free(p), 0);
	turn_ports_foreign(p, BEGIN + MINUTE, 50000); /* still his */
	assert_int_equal(turn_ports_deadline(p), BEGIN + 2 * MINUTE);
	expire(p, BEGIN + 2 * MINUTE);
	assert_int_equal(turn_ports_take(p, TURN_PORTS_ANY), 50001);
	assert_int_equal(turn_ports_take(p, TURN_PORTS_ANY), 0);
	expire(p, BEGIN + 3 * MINUTE);
	assert_int_equal(turn_ports_take(p, TURN_PORTS_ANY), 50000);
	assert_int_equal(turn_ports_deadline(p), USEC_NEVER);
	/* a deadline that was met late does not shorten the rest of one found after it */
	turn_ports_foreign(p, BEGIN + 10 * MINUTE, 50000);
	turn_ports_foreign(p, BEGIN + 13 * MINUTE, 50001);
	expire(p, BEGIN + 14 * MINUTE - 1);
	assert_int_equal(turn_ports_free(p), 1);
	expire(p, BEGIN + 15 * MINUTE);
	assert_int_equal(turn_ports_free(p), 2);
	turn_ports_destroy(p);
}

#define RANGE 1024
#define ROUNDS 200

/* Sum of (seen - wanted)² / wanted. For 1023 degrees of freedom 99.99 % of draws are below 1200. */
static double chi_square(const unsigned *seen, size_t n, double wanted)
{
	double sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += (seen[i] - wanted) * (seen[i] - wanted) / wanted;
	return sum;
}

/* Uniform when all are free, and when the free ones lie in clumps. */
static void test_uniform(void **state)
{
	static unsigned seen[RANGE], few[4];
	struct turn_ports *p = make(50000, 50000 + RANGE - 1);
	double x;

	for (unsigned i = 0; i < RANGE * ROUNDS; i++) {
		uint16_t port = turn_ports_take(p, TURN_PORTS_ANY);

		seen[port - 50000]++;
		turn_ports_put(p, port);
	}
	x = chi_square(seen, RANGE, ROUNDS);
	assert_true(x > 850 && x < 1200);

	while (turn_ports_take(p, TURN_PORTS_ANY))
		;
	turn_ports_put(p, 50100);
	turn_ports_put(p, 50101);
	turn_ports_put(p, 50102);
	turn_ports_put(p, 51000);
	for (unsigned i = 0; i < 40000; i++) {
		uint16_t port = turn_ports_take(p, TURN_PORTS_ANY);

		few[port == 51000 ? 3 : port - 50100]++;
		turn_ports_put(p, port);
	}
	assert_true(chi_square(few, 4, 10000) < 25);
	turn_ports_destroy(p);
}

/* The next port does not follow from the last one: their distances are uniform too. */
static void test_no_sequence(void **state)
{
	static unsigned seen[RANGE];
	struct turn_ports *p = make(50000, 50000 + RANGE - 1);
	uint16_t last = turn_ports_take(p, TURN_PORTS_ANY), port;
	double x;

	turn_ports_put(p, last);
	for (unsigned i = 0; i < RANGE * ROUNDS; i++) {
		port = turn_ports_take(p, TURN_PORTS_ANY);
		turn_ports_put(p, port);
		seen[(unsigned)(port + RANGE - last) % RANGE]++;
		last = port;
	}
	x = chi_square(seen, RANGE, ROUNDS);
	assert_true(x > 850 && x < 1200);
	turn_ports_destroy(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_exhaustion_and_recovery),
		TEST(test_limits),
		TEST(test_pairs),
		TEST(test_reservations),
		TEST(test_reservations_at_their_limit),
		TEST(test_foreign),
		TEST(test_uniform),
		TEST(test_no_sequence),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
