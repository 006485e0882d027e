#include "test.h"

#include <errno.h>

#include "base/err.h"
#include "proto/rtp/rtcp.h"
#include "proto/rtp/rtp.h"
#include "proto/rtp/srtp.h"
#include "proto/rtp/video_world.h"

#define MSEC(n) ((n)*USEC_PER_MSEC)
#define SEC(n) ((n)*USEC_PER_SEC)

/* What Chromium negotiates. */
static const struct world_config lan = {
	.seed = 1,
	.video = { .codec = VIDEO_H264,
		   .payload_type = 102,
		   .rtx = true,
		   .rtx_payload_type = 103,
		   .ext = { .twcc = 4, .abs_send_time = 2, .mid = 9, .playout_delay = 12 },
		   .mid = "0",
		   .cname = "tester" },
	.there = { .rate_bps = 100000000, .delay_us = 200, .queue_us = 100000 },
	.back = { .delay_us = 200 },
	.nack = true,
};

static void test_config(void **state)
{
	struct video_config bad[5];
	struct video *v;
	struct rng rng;

	rng_seed(&rng, 1);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		bad[i] = lan.video;
	bad[0].payload_type = 128;
	bad[1].ext.twcc = 15;
	bad[2].mid = "12345678901234567";
	bad[3].cname = "";
	bad[4].rtx_payload_type = 200;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(video_create(&bad[i], &rng, &v), -EINVAL);
	video_destroy(NULL);
	sink_destroy(NULL);
}

/* The first packets, byte for byte, but for what chance chose (sequence number, timestamp, SSRC).
 */
static void test_first_packets(void **state)
{
	struct video_config config = lan.video;
	struct video_output out;
	struct video *v;
	struct rng rng;
	struct span frame = span_of("\0\0\0\1\x67S\0\0\0\1\x68P\0\0\0\1\x65pic", 20);

	config.ssrc = 0xcafebabe;
	rng_seed(&rng, 1);
	assert_int_equal(video_create(&config, &rng, &v), 0);
	assert_int_equal(video_send_frame(v, 1500000, frame, true, 1500000), 0);
	/* send time 1.5 s, playout delay none, both parameter sets in one packet */
	assert_true(video_next_output(v, &out));
	assert_false(out.rtcp);
	assert_memory_equal(out.data, "\x90\x66", 2);
	assert_memory_equal(out.data + 8,
			    "\xca\xfe\xba\xbe\xbe\xde\0\4"
			    "\x41\0\0\x22\x06\0\0\x90"
			    "0\xc2\0\0\0\0\0\0\x78\0\2\x67S\0\2\x68P",
			    33);
	assert_int_equal(out.len, 41);
	assert_true(video_next_output(v, &out));
	assert_true(out.rtcp);
	assert_memory_equal(out.data, "\x80\xc8\0\6\xca\xfe\xba\xbe\0\0\0\1\x80\0\0\0", 16);
	assert_memory_equal(out.data + 20, "\0\0\0\1\0\0\0\x09", 8);
	assert_memory_equal(out.data + 28, "\x81\xca\0\4\xca\xfe\xba\xbe\1\6tester\0\0", 18);
	assert_true(video_next_output(v, &out));
	assert_memory_equal(out.data, "\x90\xe6", 2);
	assert_memory_equal(out.data + 12,
			    "\xbe\xde\0\3\x41\0\1\x22\x06\0\0\x90"
			    "0\0\0\0\x65pic",
			    20);
	assert_false(video_next_output(v, &out));
	video_close(v, 1600000);
	assert_true(video_next_output(v, &out));
	assert_true(out.rtcp);
	assert_memory_equal(out.data + out.len - 8, "\x81\xcb\0\1\xca\xfe\xba\xbe", 8);
	assert_false(video_next_output(v, &out));
	assert_int_equal(video_deadline(v), USEC_NEVER);
	assert_int_equal(video_send_frame(v, 1600000, frame, true, 1), FL_ESTATE);
	video_destroy(v);
}

static void check_all_arrive(const struct world_config *config, usec_t worst)
{
	struct world w;
	struct sink_stats stats;

	world_open(&w, config);
	world_run(&w, SEC(10));
	w.frame_at = USEC_NEVER;
	world_run(&w, SEC(2));
	sink_get_stats(w.sink, &stats);
	assert_int_equal(w.n_measured, w.n_sent);
	assert_true(w.n_sent >= 299);
	assert_int_equal(stats.malformed, 0);
	assert_int_equal(stats.plis, 0);
	assert_true(w.worst_us <= worst);
	world_close(&w);
}

static void test_arrives(void **state)
{
	struct world_config c = lan;

	c.fps = 30;
	check_all_arrive(&c, MSEC(40));
	c.video.codec = VIDEO_VP8;
	c.video.ext = (struct video_extensions){ 0 };
	c.video.rtx = false;
	check_all_arrive(&c, MSEC(40));
}

/* Loss both ways is repaired, with RTX and without. */
static void test_repairs(void **state)
{
	for (uint64_t seed = 1; seed <= 20; seed++) {
		struct world_config c = lan;

		c.seed = seed;
		c.fps = 30;
		c.there.loss_permille = c.back.loss_permille = seed % 2 ? 20 : 50;
		c.video.rtx = seed & 2;
		c.video.codec = seed & 4 ? VIDEO_VP8 : VIDEO_H264;
		check_all_arrive(&c, MSEC(500));
	}
}

static struct span first_copy; /* of the packet that was lost */

static bool compare_copies(struct world *w, struct span packet, bool rtcp)
{
	static uint8_t copy[1500];
	struct rtp_packet p, before;

	if (rtcp || rtp_parse(packet, &p) < 0)
		return true;
	if (first_copy.len == 0 && w->there.drop_next) {
		memcpy(copy, packet.ptr, packet.len);
		first_copy = span_of(copy, packet.len);
	} else if (first_copy.len && rtp_parse(first_copy, &before) == 0 && before.seq == p.seq) {
		assert_true(span_equal(first_copy, packet));
	}
	return true;
}

/* Without RTX the second copy is the first one, bit for bit: anything else would break AES-GCM. */
static void test_plain_retransmission_is_identical(void **state)
{
	struct world_config c = lan;
	struct video_stats stats;
	struct world w;

	first_copy = (struct span){ 0 };
	c.video.rtx = false;
	world_open(&w, &c);
	w.on_packet = compare_copies;
	assert_int_equal(world_send(&w, 5000, true), 0);
	world_run(&w, MSEC(50));
	w.there.drop_next = 1;
	assert_int_equal(world_send(&w, 5000, false), 0);
	world_run(&w, MSEC(300));
	video_get_stats(w.video, &stats);
	assert_int_equal(stats.retransmits, 1);
	assert_true(first_copy.len > 0);
	assert_int_equal(w.n_measured, 2);
	world_close(&w);
}

/* The only packets of a burst are lost and nothing follows: the sender shows the loss by itself. */
static void test_lost_tail(void **state)
{
	for (int mode = 0; mode < 3; mode++) {
		struct world_config c = lan;
		struct world w;

		c.video.rtx = mode == 0;
		if (mode == 2)
			c.video.ext = (struct video_extensions){ 0 };
		world_open(&w, &c);
		assert_int_equal(world_send(&w, 3000, true), 0);
		world_run(&w, MSEC(500));
		w.there.drop_next = 10;
		assert_int_equal(world_send(&w, 4000, false), 0);
		world_run(&w, MSEC(10));
		assert_int_equal(w.n_measured, 1);
		w.there.drop_next = 0;
		world_run(&w, MSEC(250));
		assert_int_equal(w.n_measured, 2);
		world_close(&w);
	}
}

/* Nobody answers: what is sent ends. */
static void test_silence(void **state)
{
	struct world_config c = lan;
	struct video_stats stats;
	struct world w;
	uint64_t sent;

	c.there.loss_permille = 1000;
	world_open(&w, &c);
	assert_int_equal(world_send(&w, 30000, true), 0);
	world_run(&w, SEC(10));
	sent = w.there.sent;
	world_run(&w, SEC(60));
	video_get_stats(w.video, &stats);
	assert_true(stats.probes <= 3);
	assert_true(w.there.sent - sent <= 30); /* reports, further apart when idle */
	world_close(&w);
}

static void input_pli(struct world *w)
{
	uint8_t bytes[64];
	struct writer wr = writer_of(bytes, sizeof(bytes));

	rtcp_write_report(&wr, &(struct rtcp_report){ .ssrc = 77 });
	rtcp_write_pli(&wr, 77, video_ssrc(w->video));
	video_input_rtcp(w->video, w->now, writer_span(&wr));
}

static void test_keyframe_requests(void **state)
{
	struct world_config c = lan;
	struct world w;
	int err;

	world_open(&w, &c);
	err = world_send(&w, 3000, false);
	assert_int_equal(err, -EAGAIN); /* nothing can be decoded before a keyframe */
	world_run(&w, MSEC(1));
	assert_int_equal(w.keyframe_events, 1);
	assert_int_equal(world_send(&w, 3000, true), 0);
	world_run(&w, MSEC(10));
	input_pli(&w); /* it crossed the keyframe */
	world_run(&w, MSEC(500));
	assert_int_equal(w.keyframe_events, 1);
	for (int i = 0; i < 100; i++) { /* a flood of requests: four events in 1,000 ms */
		input_pli(&w);
		world_run(&w, MSEC(10));
	}
	assert_in_range(w.keyframe_events, 4, 5);
	world_close(&w);
}

/* A frame that asks for too much queue is dropped whole; a keyframe is wanted once there is room.
 */
static void test_queue_limit(void **state)
{
	struct world_config c = lan;
	struct video_stats stats;
	struct world w;
	unsigned taken = 0;

	world_open(&w, &c);
	assert_int_equal(world_send(&w, 3000, true), 0);
	while (world_send(&w, 50000, false) == 0)
		taken++;
	assert_in_range(taken, 5, 20);
	world_run(&w, MSEC(1));
	assert_int_equal(w.keyframe_events,
			 0); /* not yet: it would have to wait behind the queue */
	world_run(&w, SEC(5));
	assert_int_equal(w.keyframe_events, 1);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(world_send(&w, 50000, i == 0), 0);
	video_get_stats(w.video, &stats);
	assert_true(stats.queued_bytes > 200000);
	assert_int_equal(world_send(&w, 20000, true), 0); /* what waits is worth nothing now */
	video_get_stats(w.video, &stats);
	assert_true(stats.queued_bytes < 100000);
	assert_int_equal(
		video_send_frame(w.video, w.now, span_of(NULL, VIDEO_FRAME_MAX + 1), true, w.now),
		-EMSGSIZE);
	assert_int_equal(video_send_frame(w.video, w.now, span_str("no unit"), true, w.now),
			 FL_EMALFORMED);
	world_close(&w);
}

/* A 60 kB picture over a LAN, at the very start: the pacer adds little. */
static void test_pacer_on_lan(void **state)
{
	struct world_config c = lan;
	struct world w;

	c.there.rate_bps = 0;
	world_open(&w, &c);
	video_set_path(w.video, w.now, true, 300);
	assert_int_equal(world_send(&w, 60000, true), 0);
	world_run(&w, MSEC(100));
	assert_int_equal(w.n_measured, 1);
	assert_true(w.worst_us <= MSEC(8));
	world_measure(&w);
	assert_int_equal(world_send(&w, 20000, false), 0);
	world_run(&w, MSEC(100));
	assert_int_equal(w.n_measured, 1);
	assert_true(w.worst_us <= MSEC(1)); /* one burst */
	world_close(&w);
}

/* Feedback about other streams, or nonsense, changes nothing but counters. */
static void test_foreign_rtcp(void **state)
{
	struct world_config c = lan;
	struct video_stats before, after;
	uint8_t bytes[200];
	struct writer wr = writer_of(bytes, sizeof(bytes));
	uint16_t seqs[] = { 1, 2, 3 };
	struct world w;

	world_open(&w, &c);
	assert_int_equal(world_send(&w, 3000, true), 0);
	world_run(&w, SEC(1));
	video_get_stats(w.video, &before);
	rtcp_write_pli(&wr, 77, 5);
	rtcp_write_fir(&wr, 77, 5, 1);
	rtcp_write_nack(&wr, 77, 5, seqs, 3);
	rtcp_write_remb(&wr, 77, 5, 1000);
	video_input_rtcp(w.video, w.now, writer_span(&wr));
	video_input_rtcp(w.video, w.now, span_str("nonsense"));
	rtcp_write_nack(&wr, 77, video_ssrc(w.video), seqs, 3); /* never sent */
	video_input_rtcp(w.video, w.now, writer_span(&wr));
	video_get_stats(w.video, &after);
	assert_int_equal(after.rate_bps, before.rate_bps);
	assert_int_equal(after.keyframe_requests, before.keyframe_requests);
	assert_int_equal(after.rtcp_malformed, before.rtcp_malformed + 1);
	assert_int_equal(after.nack_missed, 3);
	assert_int_equal(after.retransmits, before.retransmits);
	world_close(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_config),	 TEST(test_first_packets),
		TEST(test_arrives),	 TEST(test_repairs),
		TEST(test_lost_tail),	 TEST(test_plain_retransmission_is_identical),
		TEST(test_silence),	 TEST(test_keyframe_requests),
		TEST(test_queue_limit),	 TEST(test_pacer_on_lan),
		TEST(test_foreign_rtcp),
	};

	return cmocka_run_group_tests_name("video", tests, NULL, NULL);
}
