#include "test.h"

#include <pthread.h>

#include "relay/quota.h"

#define BEGIN (1000 * USEC_PER_SEC) /* a monotonic clock does not begin at 0 */

static struct quotas *quotas(struct settings_quota per_user, struct settings_quota total)
{
	struct quotas *q;

	assert_int_equal(quotas_create(&q), 0);
	quotas_set(q, &per_user, &total);
	return q;
}

static const struct settings_quota none;

static void test_allocations_per_user(void **state)
{
	struct quotas *q = quotas((struct settings_quota){ .allocations = 2 }, none);
	struct quota_user *a[2], *b, *c;

	assert_int_equal(quota_take(q, "alice", &a[0]), 0);
	assert_int_equal(quota_take(q, "alice", &a[1]), 0);
	assert_ptr_equal(a[0], a[1]);
	assert_int_equal(quota_take(q, "alice", &c), 486);
	assert_int_equal(quota_take(q, "bob", &b), 0);
	quota_put(q, a[0]);
	assert_int_equal(quota_take(q, "alice", &c), 0);
	quota_put(q, c);
	quota_put(q, a[1]);
	quota_put(q, b);
	quotas_destroy(q);
}

static void test_allocations_in_all(void **state)
{
	struct quotas *q = quotas(none, (struct settings_quota){ .allocations = 2 });
	struct quota_user *a, *b, *c;

	assert_int_equal(quota_take(q, "a", &a), 0);
	assert_int_equal(quota_take(q, "b", &b), 0);
	assert_int_equal(quota_take(q, "c", &c), 508);
	quota_put(q, a);
	assert_int_equal(quota_take(q, "c", &c), 0);
	quota_put(q, b);
	quota_put(q, c);
	quotas_destroy(q);
}

static void test_reload_keeps_what_is_taken(void **state)
{
	struct quotas *q = quotas(none, none);
	struct quota_user *a, *b;

	assert_int_equal(quota_take(q, "a", &a), 0);
	assert_int_equal(quota_take(q, "a", &b), 0);
	quotas_set(q, &(struct settings_quota){ .allocations = 1 }, &none);
	assert_int_equal(quota_take(q, "a", &b), 486);
	quota_put(q, a);
	assert_int_equal(quota_take(q, "a", &b), 486);
	quota_put(q, a);
	assert_int_equal(quota_take(q, "a", &a), 0);
	quota_put(q, a);
	quotas_destroy(q);
}

static void test_no_rate_no_limit(void **state)
{
	struct quotas *q = quotas(none, none);
	struct quota_user *u;
	uint64_t bytes, packets;

	assert_int_equal(quota_take(q, "a", &u), 0);
	for (int i = 0; i < 1000; i++)
		assert_true(quota_pass(u, BEGIN, 64, 64 * 1500));
	quota_rates(u, &bytes, &packets);
	assert_int_equal(bytes, 0);
	assert_int_equal(packets, 0);
	quota_put(q, u);
	quotas_destroy(q);
}

/* How many packets of that size pass when one is tried every step_us for a time. */
static unsigned run(struct quota_user *u, usec_t from, usec_t to, usec_t step_us, size_t size)
{
	unsigned passed = 0;

	for (usec_t now = from; now < to; now += step_us)
		passed += quota_pass(u, now, 1, size);
	return passed;
}

/* The same at one moment, until none passes any more. */
static unsigned burst(struct quota_user *u, usec_t now, size_t size)
{
	unsigned passed = 0;

	while (quota_pass(u, now, 1, size))
		passed++;
	return passed;
}

static void test_bytes_exact(void **state)
{
	struct quotas *q = quotas((struct settings_quota){ .bytes_per_s = 125000 }, none);
	struct quota_user *u;

	assert_int_equal(quota_take(q, "a", &u), 0);
	/* a second's worth at once, no more */
	assert_int_equal(burst(u, BEGIN, 1000), 125);
	/* then exactly the rate: 125 packets a second for an hour */
	assert_int_equal(run(u, BEGIN + 1, BEGIN + 1 + 3600 * USEC_PER_SEC, 1000, 1000),
			 125 * 3600);
	/* after a pause a second's worth again, and not two */
	assert_int_equal(burst(u, BEGIN + 4000 * USEC_PER_SEC, 1000), 125);
	quota_put(q, u);
	quotas_destroy(q);
}

static void test_uneven_rate_is_not_exceeded(void **state)
{
	struct quotas *q = quotas((struct settings_quota){ .packets_per_s = 7 }, none);
	struct quota_user *u;
	unsigned passed;

	assert_int_equal(quota_take(q, "a", &u), 0);
	passed = run(u, BEGIN, BEGIN + 1000 * USEC_PER_SEC, 997, 100);
	assert_in_range(passed, 7 + 7000 - 1, 7 + 7000 + 1);
	quota_put(q, u);
	quotas_destroy(q);
}

static void test_batch_is_owed(void **state)
{
	struct quotas *q = quotas((struct settings_quota){ .packets_per_s = 10 }, none);
	struct quota_user *u;

	assert_int_equal(quota_take(q, "a", &u), 0);
	assert_true(quota_pass(u, BEGIN, 64, 64)); /* a batch larger than the burst is not stuck */
	assert_false(quota_pass(u, BEGIN, 1, 1));
	/* 54 are owed beyond the burst of 10: 5.4 s */
	assert_false(quota_pass(u, BEGIN + 5400000, 1, 1));
	assert_true(quota_pass(u, BEGIN + 5400001, 1, 1));
	quota_put(q, u);
	quotas_destroy(q);
}

static void test_total_and_users(void **state)
{
	struct quotas *q = quotas((struct settings_quota){ .packets_per_s = 10 },
				  (struct settings_quota){ .packets_per_s = 15 });
	struct quota_user *a, *b;

	assert_int_equal(quota_take(q, "a", &a), 0);
	assert_int_equal(quota_take(q, "b", &b), 0);
	assert_int_equal(burst(a, BEGIN, 1), 10);
	/* the total lets 5 more pass; what it refuses is not taken from b's own */
	assert_int_equal(burst(b, BEGIN, 1), 5);
	assert_int_equal(burst(b, BEGIN + USEC_PER_SEC / 2, 1), 8);
	assert_int_equal(burst(b, BEGIN + USEC_PER_SEC * 3 / 2, 1), 10);
	quota_put(q, a);
	quota_put(q, b);
	quotas_destroy(q);
}

static void test_new_allocation_is_no_new_bucket(void **state)
{
	struct quotas *q = quotas((struct settings_quota){ .packets_per_s = 10 }, none);
	struct quota_user *u;

	assert_int_equal(quota_take(q, "a", &u), 0);
	assert_int_equal(burst(u, BEGIN, 1), 10);
	quota_put(q, u);
	for (int i = 0; i < 2000; i++) {
		char name[16];

		snprintf(name, sizeof(name), "u%d", i % 500);
		assert_int_equal(quota_take(q, name, &u), 0);
		quota_put(q, u);
	}
	assert_int_equal(quota_take(q, "a", &u), 0);
	assert_int_equal(burst(u, BEGIN, 1), 0);
	assert_int_equal(burst(u, BEGIN + USEC_PER_SEC, 1), 10);
	quota_put(q, u);
	quotas_destroy(q);
}

/* ---- threads ---- */

#define THREADS 4
#define ROUNDS 20000

struct job {
	struct quotas *q;
	unsigned passed, refused;
};

static void *work(void *arg)
{
	struct job *j = arg;
	struct quota_user *u, *own;

	if (quota_take(j->q, "own", &own) != 0)
		return NULL;
	for (unsigned i = 0; i < ROUNDS; i++) {
		j->passed += quota_pass(own, BEGIN, 1, 100);
		if (i % 16)
			continue;
		if (quota_take(j->q, i % 32 ? "x" : "y", &u) == 0)
			quota_put(j->q, u);
		else
			j->refused++;
	}
	quota_put(j->q, own);
	return NULL;
}

static void test_threads(void **state)
{
	struct quotas *q = quotas(
		(struct settings_quota){ .packets_per_s = 5000, .allocations = 8 }, none);
	struct job jobs[THREADS];
	pthread_t threads[THREADS];
	struct quota_user *u;
	unsigned passed = 0;

	assert_int_equal(quota_take(q, "own", &u), 0);
	for (size_t i = 0; i < THREADS; i++) {
		jobs[i] = (struct job){ .q = q };
		assert_int_equal(pthread_create(&threads[i], NULL, work, &jobs[i]), 0);
	}
	for (size_t i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		passed += jobs[i].passed;
		assert_int_equal(jobs[i].refused, 0);
	}
	assert_int_equal(passed, 5000); /* a burst, whoever takes it */
	quota_put(q, u);
	quotas_destroy(q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_allocations_per_user),
		TEST(test_allocations_in_all),
		TEST(test_reload_keeps_what_is_taken),
		TEST(test_no_rate_no_limit),
		TEST(test_bytes_exact),
		TEST(test_uneven_rate_is_not_exceeded),
		TEST(test_batch_is_owed),
		TEST(test_total_and_users),
		TEST(test_new_allocation_is_no_new_bucket),
		TEST(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
