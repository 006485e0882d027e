/* The bandwidth estimate over a seeded bottleneck, in virtual time. */
#include "test.h"

#include "proto/rtp/rtcp.h"
#include "proto/rtp/video_world.h"

#define MSEC(n) ((n)*USEC_PER_MSEC)
#define SEC(n) ((n)*USEC_PER_SEC)
#define MBIT(n) ((uint32_t)((n)*1000000))
#define SEEDS 5

static struct world_config config(uint64_t seed, uint32_t rate_bps, usec_t one_way_us)
{
	return (struct world_config){
		.seed = seed,
		.video = { .codec = VIDEO_VP8,
			   .payload_type = 96,
			   .rtx = true,
			   .rtx_payload_type = 97,
			   .ext = { .twcc = 4 } },
		.there = { .rate_bps = rate_bps, .delay_us = one_way_us, .queue_us = MSEC(300) },
		.back = { .delay_us = one_way_us },
		.fps = 30,
		.nack = true,
	};
}

static uint32_t rate_of(const struct world *w)
{
	struct video_stats s;

	video_get_stats(w->video, &s);
	return s.rate_bps;
}

/* Percent of the link that arrived as whole frames in the time from now on. */
static unsigned share(struct world *w, usec_t time)
{
	world_measure(w);
	world_run(w, time);
	return (unsigned)(w->received_bytes * 8 * 100 / (time / 1000) * 1000 / w->there.rate_bps);
}

static void expect_in(const char *what, uint64_t seed, uint64_t value, uint64_t least,
		      uint64_t most)
{
	if (value < least || value > most)
		fail_msg("%s is %lu, not %lu to %lu (seed %lu)", what, (unsigned long)value,
			 (unsigned long)least, (unsigned long)most, (unsigned long)seed);
}

/* From 2 Mbit/s to the limit of 8 within a second of the first frame. */
static void test_lan(void **state)
{
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct world_config c = config(seed, MBIT(100), 200);
		struct world w;

		world_open(&w, &c);
		world_run(&w, SEC(1));
		expect_in("rate after 1 s", seed, rate_of(&w), MBIT(7.9), MBIT(8));
		world_measure(&w);
		world_run(&w, SEC(10));
		expect_in("worst frame, us", seed, w.worst_us, 0, MSEC(25));
		expect_in("rate after 11 s", seed, rate_of(&w), MBIT(7.9), MBIT(8));
		world_close(&w);
	}
}

/* Settles between 80 and 95 % of the link, frames included that had to wait, with a short queue. */
static void test_bottleneck(void **state)
{
	static const struct {
		double mbit;
		unsigned one_way_ms;
	} links[] = { { 0.5, 20 }, { 1, 50 }, { 2.5, 10 }, { 4, 20 }, { 6, 100 } };

	for (size_t i = 0; i < ARRAY_LEN(links); i++)
		for (uint64_t seed = 1; seed <= SEEDS; seed++) {
			usec_t one_way = MSEC(links[i].one_way_ms);
			struct world_config c = config(seed, MBIT(links[i].mbit), one_way);
			struct world w;

			world_open(&w, &c);
			world_run(&w, SEC(8));
			expect_in("share, percent", seed, share(&w, SEC(20)), 80, 95);
			expect_in("worst frame, us", seed, w.worst_us, 0, one_way + MSEC(120));
			expect_in("mean frame, us", seed, w.sum_us / w.n_measured, 0,
				  one_way + MSEC(50));
			world_close(&w);
		}
}

/* The link falls from 6 to 2 Mbit/s and rises again. */
static void test_step(void **state)
{
	for (uint64_t seed = 1; seed <= 4 * SEEDS; seed++) {
		struct world_config c = config(seed, MBIT(6), MSEC(20));
		struct world w;

		world_open(&w, &c);
		world_run(&w, SEC(8));
		w.there.rate_bps = MBIT(2);
		world_run(&w, MSEC(500));
		expect_in("rate 500 ms after the fall", seed, rate_of(&w), MBIT(0.5), MBIT(2));
		world_run(&w, MSEC(2000));
		world_measure(&w);
		world_run(&w, SEC(1));
		expect_in("worst frame, 2.5 s after the fall, us", seed, w.worst_us, 0, MSEC(200));
		expect_in("share after the fall, percent", seed, share(&w, SEC(10)), 80, 95);
		w.there.rate_bps = MBIT(6);
		world_run(&w, SEC(8));
		expect_in("share after the rise, percent", seed, share(&w, SEC(10)), 80, 95);
		world_close(&w);
	}
}

static void test_random_loss(void **state)
{
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct world_config c = config(seed, MBIT(5), MSEC(20));
		struct world w;

		c.there.loss_permille = 20;
		world_open(&w, &c);
		world_run(&w, SEC(8));
		expect_in("share at 2 % loss, percent", seed, share(&w, SEC(20)), 80, 95);
		world_close(&w);
	}
}

/* Up to 30 ms of random delay, as on Wi-Fi, is not a full link. */
static void test_jitter(void **state)
{
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct world_config c = config(seed, MBIT(5), MSEC(20));
		struct world w;

		c.there.jitter_us = MSEC(seed * 6);
		world_open(&w, &c);
		world_run(&w, SEC(8));
		expect_in("share with jitter, percent", seed, share(&w, SEC(20)), 75, 95);
		world_close(&w);
	}
}

/* A router that keeps 10 to 50 ms: the pacer must not overrun it with each frame. */
static void test_short_queue(void **state)
{
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct world_config c = config(seed, MBIT(5), MSEC(20));
		struct world w;

		c.there.queue_us = MSEC(seed * 10);
		world_open(&w, &c);
		world_run(&w, SEC(8));
		w.there.dropped = w.there.sent = 0;
		expect_in("share with a short queue, percent", seed, share(&w, SEC(20)), 70, 95);
		expect_in("drops, permille", seed, w.there.dropped * 1000 / w.there.sent, 0, 25);
		world_close(&w);
	}
}

/* A local route that is slower than such routes are: crowded Wi-Fi, a powerline adapter. */
static void test_slow_local(void **state)
{
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct world_config c = config(seed, MBIT(4), MSEC(2));
		struct world w;

		c.there.queue_us = MSEC(30);
		world_open(&w, &c);
		video_set_path(w.video, w.now, true, MSEC(4));
		world_run(&w, SEC(8));
		w.there.dropped = w.there.sent = 0;
		expect_in("share, percent", seed, share(&w, SEC(20)), 75, 95);
		expect_in("drops, permille", seed, w.there.dropped * 1000 / w.there.sent, 0, 40);
		world_close(&w);
	}
}

/* A screen that changes little: the estimate stays, and a padding probe may raise it. */
static void test_little_traffic(void **state)
{
	struct world_config c = config(1, MBIT(20), MSEC(10));
	struct video_stats s;
	struct world w;

	c.fps = 0;
	world_open(&w, &c);
	assert_int_equal(world_send(&w, 20000, true), 0);
	for (int i = 0; i < 30; i++) {
		assert_int_equal(world_send(&w, 3000, false), 0);
		world_run(&w, MSEC(100));
	}
	video_get_stats(w.video, &s);
	assert_true(s.rate_bps >= MBIT(4)); /* from 2, with 240 kbit/s of traffic */
	assert_true(s.probes > 0);
	world_run(&w, SEC(60));
	assert_true(rate_of(&w) >= s.rate_bps);
	world_close(&w);
}

/* Without transport-wide feedback: receiver reports raise and lower the rate, REMB limits it. */
static void test_reports_only(void **state)
{
	struct world_config c = config(1, MBIT(20), MSEC(20));
	uint8_t bytes[64];
	struct writer remb = writer_of(bytes, sizeof(bytes));
	struct world w;

	c.video.ext = (struct video_extensions){ 0 };
	world_open(&w, &c);
	world_run(&w, SEC(8));
	assert_true(rate_of(&w) >= MBIT(6));
	rtcp_write_remb(&remb, 77, video_ssrc(w.video), MBIT(1.5));
	video_input_rtcp(w.video, w.now, writer_span(&remb));
	expect_in("rate under REMB", 1, rate_of(&w), MBIT(1.49), MBIT(1.5));
	world_run(&w, SEC(3));
	expect_in("rate under REMB", 1, rate_of(&w), MBIT(1.49), MBIT(1.5));
	w.there.loss_permille = 300;
	world_run(&w, SEC(5));
	assert_true(rate_of(&w) < MBIT(1.2));
	world_close(&w);
}

/* Nothing comes back any more: halved each second, never under the least rate. */
static void test_no_feedback(void **state)
{
	struct world_config c = config(1, MBIT(20), MSEC(20));
	struct world w;

	world_open(&w, &c);
	world_run(&w, SEC(3));
	assert_true(rate_of(&w) > MBIT(7));
	w.back.loss_permille = 1000;
	world_run(&w, MSEC(2500));
	assert_true(rate_of(&w) < MBIT(4.1));
	world_run(&w, SEC(20));
	assert_int_equal(rate_of(&w), VIDEO_RATE_MIN);
	w.back.loss_permille = 0;
	world_run(&w, SEC(10));
	assert_true(rate_of(&w) > MBIT(2));
	world_close(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_lan),		TEST(test_bottleneck),	   TEST(test_step),
		TEST(test_random_loss), TEST(test_jitter),	   TEST(test_short_queue),
		TEST(test_slow_local),	TEST(test_little_traffic), TEST(test_reports_only),
		TEST(test_no_feedback),
	};

	return cmocka_run_group_tests_name("bwe", tests, NULL, NULL);
}
