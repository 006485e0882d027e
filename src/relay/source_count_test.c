#include "test.h"

#include "relay/source_count.h"

static struct source_count *fresh(void)
{
	static struct source_count s;
	struct rng rng;

	rng_seed(&rng, 1);
	source_count_init(&s, &rng);
	return &s;
}

static bool take(struct source_count *s, const char *from, uint32_t max)
{
	struct addr a;

	assert_int_equal(addr_parse(from, &a), 0);
	return source_count_take(s, &a, max);
}

static void put(struct source_count *s, const char *from)
{
	struct addr a;

	assert_int_equal(addr_parse(from, &a), 0);
	source_count_put(s, &a);
}

/* A prefix is one source, whatever the rest of the address and the port. */
static void test_prefixes(void **state)
{
	struct source_count *s = fresh();

	assert_true(take(s, "192.0.2.1:1", 2));
	assert_true(take(s, "192.0.2.200:2", 2));
	assert_false(take(s, "192.0.2.3:3", 2));
	assert_true(take(s, "192.0.3.1:1", 2));
	put(s, "192.0.2.77:9");
	assert_true(take(s, "192.0.2.3:3", 2));
	assert_true(take(s, "[2001:db8:1::1]:1", 1));
	assert_false(take(s, "[2001:db8:1:ffff::2]:1", 1));
	assert_true(take(s, "[2001:db8:2::1]:1", 1));
}

/* All that was taken can be given back: nothing is left. */
static void test_balance(void **state)
{
	struct source_count *s = fresh();
	char text[ADDR_TEXT_MAX];

	for (int give = 0; give < 2; give++)
		for (unsigned i = 0; i < 10000; i++) {
			snprintf(text, sizeof(text), "10.%u.%u.1:5", i / 256, i % 256);
			if (give)
				put(s, text);
			else
				assert_true(take(s, text, 10000));
		}
	for (unsigned i = 0; i < SOURCE_COUNTERS; i++)
		assert_int_equal(s->n[i], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = { TEST(test_prefixes), TEST(test_balance) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
