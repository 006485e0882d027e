#include "test.h"

#include "modules/screen/bands.h"
#include "modules/screen/pacer.h"

#define MS USEC_PER_MSEC
#define PIXELS (1280 * 800)

/* A session with its key frame sent at 1 s, and everything sharp. */
static struct pacer started(uint32_t rate, usec_t *now)
{
	struct pacer p;

	*now = USEC_PER_SEC;
	pacer_init(&p, rate, 1);
	pacer_start(&p, 1280, 800);
	pacer_sent(&p, *now, PACER_KEY, PACER_QP_SHARP, 1000, 5000);
	*now += 2 * USEC_PER_SEC;
	return p;
}

static void test_starts_with_a_key_frame_at_once(void **state)
{
	struct pacer p;

	pacer_init(&p, 8000000, 1);
	assert_int_equal(pacer_next(&p, 1), PACER_NOTHING);
	assert_int_equal(pacer_deadline(&p, 1), USEC_NEVER);
	pacer_start(&p, 1280, 800);
	assert_int_equal(pacer_next(&p, 1), PACER_KEY);
	assert_true(pacer_deadline(&p, 1) <= 1);
	assert_int_equal(pacer_qp(&p, 1, PACER_KEY, PIXELS), PACER_QP_BASE);
}

static void test_slow_line_gets_a_coarse_key_frame(void **state)
{
	struct pacer p;

	pacer_init(&p, 500000, 1);
	pacer_start(&p, 1280, 800);
	assert_true(pacer_qp(&p, 1, PACER_KEY, PIXELS) > PACER_QP_BASE + 8);
}

static void test_still_needs_nothing(void **state)
{
	usec_t now;
	struct pacer p = started(4000000, &now);

	assert_int_equal(pacer_next(&p, now), PACER_NOTHING);
	assert_int_equal(pacer_deadline(&p, now), USEC_NEVER);
}

static void test_first_damage_is_encoded_at_once(void **state)
{
	usec_t now;
	struct pacer p = started(4000000, &now);

	pacer_damage(&p);
	assert_true(pacer_deadline(&p, now) <= now);
	assert_int_equal(pacer_next(&p, now), PACER_FRAME);
	assert_int_equal(pacer_qp(&p, now, PACER_FRAME, 100), PACER_QP_SHARP);
	assert_int_equal(pacer_qp(&p, now, PACER_FRAME, PIXELS), PACER_QP_BASE);
}

static void test_frames_are_apart(void **state)
{
	usec_t now;
	struct pacer p = started(4000000, &now);

	pacer_damage(&p);
	pacer_sent(&p, now, PACER_FRAME, PACER_QP_SHARP, 500, 5000);
	pacer_damage(&p);
	assert_int_equal(pacer_next(&p, now + 10 * MS), PACER_NOTHING);
	assert_int_equal(pacer_deadline(&p, now + 10 * MS), now + PACER_INTERVAL_US);
	assert_int_equal(pacer_next(&p, now + PACER_INTERVAL_US), PACER_FRAME);
}

static void test_slow_encoder_slows_the_frames(void **state)
{
	usec_t now;
	struct pacer p = started(4000000, &now);

	for (int i = 0; i < 30; i++) {
		now += USEC_PER_SEC;
		pacer_sent(&p, now, PACER_FRAME, PACER_QP_SHARP, 500, 60000);
	}
	pacer_damage(&p);
	/* 60 ms each at 60 % of a core: one every 100 ms, a little less while the mean settles */
	assert_in_range(pacer_deadline(&p, now), now + 95 * MS, now + 100 * MS);
}

static void test_bits_are_paid_back(void **state)
{
	usec_t now;
	struct pacer p = started(1000000, &now);

	/* 25,000 bytes are 200 ms of the rate, 60 of which may be owed */
	pacer_damage(&p);
	pacer_sent(&p, now, PACER_FRAME, PACER_QP_BASE, 25000, 5000);
	pacer_damage(&p);
	assert_int_equal(pacer_next(&p, now + 130 * MS), PACER_NOTHING);
	assert_in_range(pacer_deadline(&p, now), now + 140 * MS, now + 141 * MS);
	assert_int_equal(pacer_next(&p, now + 141 * MS), PACER_FRAME);
	/* a better rate shortens the wait */
	pacer_rate(&p, now + 10 * MS, 10000000);
	assert_int_equal(pacer_next(&p, now + 20 * MS), PACER_FRAME);
}

static void test_key_frame_is_not_held_back_by_bits(void **state)
{
	usec_t now;
	struct pacer p = started(1000000, &now);

	pacer_sent(&p, now, PACER_FRAME, PACER_QP_BASE, 1000000, 5000);
	pacer_key(&p);
	assert_int_equal(pacer_next(&p, now + 20 * MS), PACER_KEY);
}

static void test_key_requests_are_spread(void **state)
{
	usec_t now;
	struct pacer p = started(4000000, &now);

	pacer_key(&p);
	assert_int_equal(pacer_next(&p, now), PACER_KEY);
	pacer_sent(&p, now, PACER_KEY, PACER_QP_SHARP, 100, 5000);
	pacer_key(&p);
	assert_int_equal(pacer_next(&p, now + 100 * MS), PACER_NOTHING);
	assert_int_equal(pacer_deadline(&p, now), now + PACER_KEY_GAP_US);
	assert_int_equal(pacer_next(&p, now + PACER_KEY_GAP_US), PACER_KEY);
}

static void test_refines_once_things_are_still(void **state)
{
	usec_t now;
	struct pacer p = started(4000000, &now);

	pacer_damage(&p);
	pacer_sent(&p, now, PACER_FRAME, 30, 3000, 5000);
	assert_int_equal(pacer_deadline(&p, now), now + PACER_STILL_US);
	assert_int_equal(pacer_next(&p, now + PACER_STILL_US - 1), PACER_NOTHING);
	now += PACER_STILL_US;
	assert_int_equal(pacer_next(&p, now), PACER_REFINE);
	assert_int_equal(pacer_qp(&p, now, PACER_REFINE, 0), PACER_QP_SHARP);
	pacer_sent(&p, now, PACER_REFINE, PACER_QP_SHARP, 5000, 5000);
	assert_int_equal(pacer_deadline(&p, now), USEC_NEVER);
}

static void test_refines_in_several_rounds_until_nothing_is_left(void **state)
{
	struct pacer p;
	usec_t now = USEC_PER_SEC;

	pacer_init(&p, 4000000, 3);
	pacer_start(&p, 1280, 800);
	pacer_sent(&p, now, PACER_KEY, 30, 9000, 5000);
	now += USEC_PER_SEC;
	pacer_sent(&p, now, PACER_REFINE, PACER_QP_SHARP, 5000, 5000);
	assert_int_equal(pacer_deadline(&p, now), now + PACER_REFINE_GAP_US);
	now += PACER_REFINE_GAP_US;
	pacer_sent(&p, now, PACER_REFINE, PACER_QP_SHARP, 30, 5000);
	assert_int_equal(pacer_deadline(&p, now), USEC_NEVER);
}

static void test_nothing_while_blocked_or_hidden(void **state)
{
	usec_t now;
	struct pacer p = started(4000000, &now);

	pacer_damage(&p);
	pacer_block(&p, true);
	assert_int_equal(pacer_next(&p, now), PACER_NOTHING);
	assert_int_equal(pacer_deadline(&p, now), now + PACER_BLOCKED_RETRY_US);
	pacer_block(&p, false);
	pacer_hide(&p, true);
	assert_int_equal(pacer_next(&p, now), PACER_NOTHING);
	assert_int_equal(pacer_deadline(&p, now), USEC_NEVER);
	pacer_hide(&p, false);
	assert_int_equal(pacer_next(&p, now), PACER_KEY);
}

/* bits(qp) halves every six steps, as real encoders about do; the mean must come to the rate. */
static void test_rate_is_met_by_coarser_frames(void **state)
{
	usec_t now;
	struct pacer p = started(2000000, &now);
	usec_t began = now, end = now + 10 * USEC_PER_SEC;
	uint64_t bytes = 0, frames = 0;

	while (now < end) {
		pacer_damage(&p);
		usec_t at = pacer_deadline(&p, now);
		now = FL_MAX(at, now);
		assert_int_equal(pacer_next(&p, now), PACER_FRAME);
		int qp = pacer_qp(&p, now, PACER_FRAME, PIXELS);
		uint64_t size = 60000;
		for (int i = PACER_QP_BASE; i < qp; i++)
			size = size * 891 / 1000;
		pacer_sent(&p, now, PACER_FRAME, qp, size, 5000);
		bytes += size;
		frames++;
	}
	uint64_t bps = bytes * 8 * USEC_PER_SEC / (now - began);
	assert_in_range(bps, 1200000, 2200000);
	assert_true(frames >= 20 * 10);
}

static void test_bands(void **state)
{
	struct bands b = { 0 };

	bands_add(&b, 10, 20, 100);
	bands_add(&b, 40, 50, 100);
	bands_add(&b, 20, 25, 100);
	assert_int_equal(b.n, 2);
	assert_int_equal(b.at[0].bottom, 25);
	bands_add(&b, -5, 1, 100);
	bands_add(&b, 99, 200, 100);
	bands_add(&b, 60, 60, 100);
	assert_int_equal(b.n, 4);
	assert_int_equal(bands_rows(&b), 1 + 15 + 10 + 1);
	bands_add(&b, 5, 45, 100);
	assert_int_equal(b.n, 3);
	assert_int_equal(b.at[1].top, 5);
	assert_int_equal(b.at[1].bottom, 50);
}

static void test_too_many_bands_join_the_nearest(void **state)
{
	struct bands b = { 0 };

	for (int i = 0; i < BANDS_MAX; i++)
		bands_add(&b, 100 * i, 100 * i + (i == 7 ? 90 : 10), 10000);
	bands_add(&b, 5000, 5010, 10000);
	assert_int_equal(b.n, BANDS_MAX);
	assert_int_equal(b.at[7].bottom, 810);
	for (int i = 0; i < 1000; i++)
		bands_add(&b, i * 7919 % 10000, i * 7919 % 10000 + 3, 10000);
	for (int i = 1; i < b.n; i++)
		assert_true(b.at[i - 1].bottom < b.at[i].top);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_starts_with_a_key_frame_at_once),
		TEST(test_slow_line_gets_a_coarse_key_frame),
		TEST(test_still_needs_nothing),
		TEST(test_first_damage_is_encoded_at_once),
		TEST(test_frames_are_apart),
		TEST(test_slow_encoder_slows_the_frames),
		TEST(test_bits_are_paid_back),
		TEST(test_key_frame_is_not_held_back_by_bits),
		TEST(test_key_requests_are_spread),
		TEST(test_refines_once_things_are_still),
		TEST(test_refines_in_several_rounds_until_nothing_is_left),
		TEST(test_nothing_while_blocked_or_hidden),
		TEST(test_rate_is_met_by_coarser_frames),
		TEST(test_bands),
		TEST(test_too_many_bands_join_the_nearest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
