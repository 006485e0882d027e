/*
 * CPU time of sending video, per RTP packet: packetizing, pacing and storing, then with SRTP.
 *
 *	rtp [PACKETS]
 *
 * 30 frames a second of 33 kB (8 Mbit/s) in virtual time, so nothing waits and only work is
 * measured: the thread's CPU time, the best of ROUNDS rounds.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/rng.h"
#include "proto/rtp/srtp.h"
#include "proto/rtp/video.h"

#define FRAME_LEN 33000
#define FRAME_US 33333
#define ROUNDS 5

static double cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static struct video *open_video(enum video_codec codec, struct rng *rng)
{
	struct video_config config = { .codec = codec,
				       .payload_type = 102,
				       .rtx = true,
				       .rtx_payload_type = 103,
				       .ext = { .twcc = 4, .abs_send_time = 2, .mid = 9 },
				       .mid = "0" };
	struct video *v;

	if (video_create(&config, rng, &v) < 0)
		abort();
	video_set_path(v, 1000000, true, 300);
	return v;
}

static struct srtp_session *open_srtp(enum srtp_protection profile, struct rng *rng)
{
	uint8_t keying[SRTP_KEYING_MAX];
	struct srtp_session *s;

	rng_bytes(rng, keying, sizeof(keying));
	if (srtp_session_create(profile, span_of(keying, srtp_keying_len(profile)), true, &s) < 0)
		abort();
	return s;
}

static size_t take_all(struct video *v, struct srtp_session *s)
{
	struct video_output out;
	struct video_event event;
	size_t n = 0;

	while (video_next_output(v, &out)) {
		if (s && srtp_session_protect(s, out.rtcp, out.data, out.len, out.cap) < 0)
			abort();
		n++;
	}
	while (video_next_event(v, &event))
		;
	return n;
}

/* Nanoseconds of CPU per packet. */
static double measure(enum video_codec codec, struct srtp_session *s, size_t packets)
{
	static uint8_t frame[FRAME_LEN];
	usec_t now = 1000000, end;
	struct rng rng;
	struct video *v;
	size_t n = 0;
	double began;

	rng_seed(&rng, 1);
	for (size_t i = 0; i < sizeof(frame); i++)
		frame[i] = (uint8_t)(rng_u32(&rng) | 1);
	if (codec == VIDEO_H264)
		memcpy(frame, "\0\0\0\1\x65", 5);
	v = open_video(codec, &rng);
	began = cpu_ns();
	while (n < packets) {
		if (video_send_frame(v, now, span_of(frame, FRAME_LEN), true, now) < 0)
			abort();
		n += take_all(v, s);
		for (end = now + FRAME_US; video_deadline(v) < end; n += take_all(v, s)) {
			now = video_deadline(v) > now ? video_deadline(v) : now;
			video_timeout(v, now);
		}
		now = end;
	}
	began = cpu_ns() - began;
	video_destroy(v);
	return began / (double)n;
}

static double best_of(enum video_codec codec, int profile, size_t packets)
{
	double best = 1e9;

	for (int i = 0; i < ROUNDS; i++) {
		struct srtp_session *s = NULL;
		struct rng rng;
		double ns;

		rng_seed(&rng, 2);
		if (profile)
			s = open_srtp((enum srtp_protection)profile, &rng);
		ns = measure(codec, s, packets);
		best = ns < best ? ns : best;
		srtp_session_destroy(s);
	}
	return best;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int profile;
	} kinds[] = { { "plain", 0 },
		      { "AES128_CM_SHA1_80", SRTP_AES128_CM_SHA1_80 },
		      { "AEAD_AES_128_GCM", SRTP_AEAD_AES_128_GCM } };
	size_t packets = argc > 1 ? strtoul(argv[1], NULL, 10) : 50000;

	printf("%-20s %10s %10s   (CPU ns per packet of up to %d bytes)\n", "", "H.264", "VP8",
	       VIDEO_PACKET_MAX);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		printf("%-20s %10.0f %10.0f\n", kinds[i].name,
		       best_of(VIDEO_H264, kinds[i].profile, packets),
		       best_of(VIDEO_VP8, kinds[i].profile, packets));
	return 0;
}
