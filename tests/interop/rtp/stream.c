/*
 * For aiortc.py: sends frames in virtual time and writes what it sent to standard output, then
 *reads RTCP from standard input and tells what became of it.
 *
 *	stream h264|vp8 FRAMES
 *
 * Records both ways: kind (1 byte), length (4 bytes), bytes. Kinds: 'f' a frame before packetizing,
 * 'p' an RTP packet, 'c' RTCP; at the end one line of text.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "base/wire.h"
#include "proto/rtp/video.h"

#define FRAME_LEN_MAX 20000
#define FRAME_GAP_US 50000
#define STEP_US 1000

static const uint8_t key_start[] = { 0, 0, 0,	 1,   0x67, 'x', 'y', 'z', 0,	0,
				     0, 1, 0x68, 'q', 0,    0,	 0,   1,   0x65 };

static void put(char kind, const void *data, size_t len)
{
	uint8_t head[5];
	struct writer w = writer_of(head, sizeof(head));

	writer_u8(&w, (uint8_t)kind);
	writer_u32(&w, (uint32_t)len);
	if (fwrite(head, 1, sizeof(head), stdout) != sizeof(head) ||
	    fwrite(data, 1, len, stdout) != len)
		exit(1);
}

static void drain(struct video *v)
{
	struct video_output out;
	struct video_event event;

	while (video_next_output(v, &out))
		put(out.rtcp ? 'c' : 'p', out.data, out.len);
	while (video_next_event(v, &event))
		;
}

static void send_frame(struct video *v, bool vp8, bool keyframe, struct rng *rng, usec_t now)
{
	static uint8_t frame[FRAME_LEN_MAX];
	size_t len = 100 + rng_below(rng, sizeof(frame) - 100);

	for (size_t i = 0; i < len; i++)
		frame[i] = (uint8_t)(1 + rng_below(rng, 255)); /* no start code by accident */
	memcpy(frame, key_start, vp8 ? 0 : sizeof(key_start));
	put('f', frame, len);
	if (video_send_frame(v, now, span_of(frame, len), keyframe, now) < 0)
		exit(1);
}

static void take_rtcp(struct video *v, usec_t now)
{
	static uint8_t bytes[65536];
	uint8_t head[5];

	while (fread(head, 1, sizeof(head), stdin) == sizeof(head)) {
		struct reader r = reader_of(span_of(head, sizeof(head)));
		size_t len;

		reader_skip(&r, 1);
		len = reader_u32(&r);
		if (len > sizeof(bytes) || fread(bytes, 1, len, stdin) != len)
			exit(1);
		video_input_rtcp(v, now, span_of(bytes, len));
	}
}

int main(int argc, char **argv)
{
	struct video_config config = { .payload_type = 102,
				       .ssrc = 1234,
				       .ext = { .twcc = 4, .abs_send_time = 2, .mid = 9 },
				       .mid = "0",
				       .cname = "tester" };
	usec_t now = 1000000;
	struct video_stats s;
	struct video *v;
	struct rng rng;

	if (argc != 3)
		return 2;
	config.codec = strcmp(argv[1], "vp8") == 0 ? VIDEO_VP8 : VIDEO_H264;
	rng_seed(&rng, 3);
	if (video_create(&config, &rng, &v) < 0)
		return 1;
	video_set_path(v, now, true, 300);
	for (long i = 0, n = strtol(argv[2], NULL, 10); i < n; i++) {
		send_frame(v, config.codec == VIDEO_VP8, i == 0, &rng, now);
		for (usec_t end = now + FRAME_GAP_US; now < end; now += STEP_US) {
			video_timeout(v, now);
			drain(v);
		}
	}
	fflush(stdout);
	take_rtcp(v, now);
	video_get_stats(v, &s);
	printf("keyframes %lu nacked %lu missed %lu malformed %lu rate %u rtt %lu\n",
	       (unsigned long)s.keyframe_requests, (unsigned long)s.nacked,
	       (unsigned long)s.nack_missed, (unsigned long)s.rtcp_malformed, s.rate_bps,
	       (unsigned long)s.rtt_us);
	video_destroy(v);
	return 0;
}
