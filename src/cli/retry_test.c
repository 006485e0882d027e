#include "cli/retry.h"

#include "test.h"

#define LIMIT (600 * USEC_PER_SEC)

static void test_gives_up_after_the_limit(void **state)
{
	struct retry r = { .limit_us = LIMIT };
	usec_t now = 5 * USEC_PER_SEC, wait;
	unsigned attempts = 0;

	while ((wait = retry_failed(&r, now, rng_system())) != USEC_NEVER) {
		assert_true(wait > 0 && wait <= 60 * USEC_PER_SEC);
		now += wait;
		attempts++;
	}
	assert_int_equal(now, 5 * USEC_PER_SEC + LIMIT);
	assert_true(attempts > 20 && attempts < 120);
}

static void test_progress_begins_anew(void **state)
{
	struct retry r = { .limit_us = LIMIT };
	usec_t now = 1;

	for (int i = 0; i < 1000; i++) {
		usec_t wait = retry_failed(&r, now, rng_system());
		assert_true(wait <= 200 * USEC_PER_MSEC); /* the first wait again */
		now += wait + 30 * USEC_PER_SEC;
		retry_progress(&r);
	}
}

static void test_never_when_the_limit_is_nothing(void **state)
{
	struct retry r = { .limit_us = 0 };

	assert_int_equal(retry_failed(&r, 1, rng_system()), USEC_NEVER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_gives_up_after_the_limit),
		TEST(test_progress_begins_anew),
		TEST(test_never_when_the_limit_is_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
