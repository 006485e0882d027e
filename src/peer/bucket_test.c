/* The token bucket, in virtual time. */
#include "test.h"

#include "peer/bucket.h"

#define SEC USEC_PER_SEC

/* An idle second saves up a tenth, not more. */
static void test_burst(void **state)
{
	struct bucket b = { 0 };

	bucket_limit(&b, 0, 800); /* 100 bytes a millisecond */
	assert_true(bucket_open(&b, 50 * SEC));
	assert_int_equal(b.tokens, 80000);
	bucket_sent(&b, 50 * SEC, 10000 - BUCKET_PACKET_OVERHEAD, true);
	assert_false(bucket_open(&b, 50 * SEC));
	assert_int_equal(bucket_deadline(&b), 50 * SEC + 1000);
	assert_true(bucket_open(&b, 50 * SEC + 1000));
}

/* Packets are never held back; what they owe is paid before the next message. */
static void test_debt(void **state)
{
	struct bucket b = { 0 };
	usec_t at = SEC;

	bucket_limit(&b, at, 800);
	for (int i = 0; i < 100; i++)
		bucket_sent(&b, at, 1000 - BUCKET_PACKET_OVERHEAD, false);
	assert_false(bucket_open(&b, at));
	assert_in_range(bucket_deadline(&b), at + SEC, at + SEC + 10);
	assert_false(bucket_open(&b, at + SEC - 2000));
	assert_true(bucket_open(&b, at + SEC + 1000));
}

/* What SCTP has counts, and what it gave up is forgotten in time. */
static void test_handed(void **state)
{
	struct bucket b = { 0 };

	bucket_limit(&b, 0, 800);
	assert_true(bucket_open(&b, SEC));
	bucket_hand(&b, 20000);
	assert_false(bucket_open(&b, SEC));
	assert_false(bucket_open(&b, SEC + SEC / 10));
	for (int i = 0; i < 20; i++)
		bucket_sent(&b, SEC + SEC / 10, 1000, true);
	assert_int_equal(b.handed, 0);
	bucket_hand(&b, 20000);
	assert_false(bucket_open(&b, SEC + SEC / 10));
	for (usec_t at = bucket_deadline(&b); !bucket_open(&b, at); at = bucket_deadline(&b))
		assert_true(at > b.at - 1 && at < 3 * SEC);
}

static void test_no_limit(void **state)
{
	struct bucket b = { 0 };

	bucket_sent(&b, SEC, 1 << 20, true);
	bucket_hand(&b, 1 << 20);
	assert_true(bucket_open(&b, SEC));
	assert_int_equal(bucket_deadline(&b), USEC_NEVER);
	/* a limit begins without a debt, and ends with it */
	bucket_limit(&b, SEC, 8);
	bucket_sent(&b, SEC, 10000, true);
	assert_false(bucket_open(&b, 2 * SEC));
	bucket_limit(&b, 2 * SEC, 0);
	assert_true(bucket_open(&b, 2 * SEC));
}

/* Asking often must not lose the fractions of a bit. */
static void test_fractions(void **state)
{
	struct bucket b = { 0 };

	bucket_limit(&b, 0, 3);
	for (usec_t at = 0; at <= SEC / 20; at += 100)
		(void)bucket_open(&b, at);
	assert_in_range(b.tokens, 149, 150);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_burst),	  cmocka_unit_test(test_debt),
		cmocka_unit_test(test_handed),	  cmocka_unit_test(test_no_limit),
		cmocka_unit_test(test_fractions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
