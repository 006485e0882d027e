#include "test.h"

#include "relay/gro.h"

/* Batches of n reads until the option changes; -1: it does not within limit. */
static int batches_until_change(struct gro *g, unsigned n, unsigned coalesced, unsigned followers,
				int limit)
{
	for (int i = 1; i <= limit; i++)
		if (gro_batch(g, n, coalesced, followers))
			return i;
	return -1;
}

static void test_begins_on(void **state)
{
	struct gro g = { 0 };

	assert_false(gro_batch(&g, 8, 1, 0));
	assert_int_equal(batches_until_change(&g, 1, 0, 0, 1000), GRO_TRIAL);
	assert_true(g.off);
}

static void test_runs_switch_on(void **state)
{
	struct gro g = { .off = true };

	assert_int_equal(batches_until_change(&g, 1, 0, 0, 1000), -1);
	assert_int_equal(batches_until_change(&g, 8, 0, 7, 10), 2);
	assert_false(g.off);
	assert_int_equal(batches_until_change(&g, 4, 3, 0, 1000), -1);
}

static void test_single_ones_switch_off(void **state)
{
	struct gro g = { 0 };

	assert_int_equal(batches_until_change(&g, 64, 0, 0, 100), GRO_TRIAL / 64);
	assert_true(g.off);
	/* now and then a pair is no evidence */
	assert_int_equal(batches_until_change(&g, 8, 0, 3, 1000), -1);
}

/* Runs that the kernel does not coalesce: each vain attempt makes the next one later. */
static void test_patience(void **state)
{
	struct gro g = { .off = true };
	int before = 0;

	for (int i = 0; i < GRO_PATIENCE_MAX; i++) {
		int n = batches_until_change(&g, 8, 0, 7, 100000);

		assert_true(n > before);
		before = n;
		assert_true(batches_until_change(&g, 64, 0, 63, 100) > 0);
		assert_true(g.off);
	}
	/* one coalesced read, and the next attempt comes soon again */
	assert_true(batches_until_change(&g, 8, 0, 7, 100000) > 0);
	assert_false(gro_batch(&g, 8, 1, 7));
	assert_int_equal(batches_until_change(&g, 64, 0, 0, 100), GRO_TRIAL / 64);
	assert_true(batches_until_change(&g, 8, 0, 7, 100) < 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_begins_on),
		TEST(test_runs_switch_on),
		TEST(test_single_ones_switch_off),
		TEST(test_patience),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
