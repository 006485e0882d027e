/*
 * A whole sender by script. Four bytes choose the configuration, then steps of
 *   kind (1 byte), delay (2 bytes, in 1/4 ms), length (2 bytes), that many bytes:
 * RTCP, a frame, a keyframe, a new path, or nothing. Its own SSRC is 1, so that a script can speak
 * of it.
 */
#include <string.h>

#include "proto/rtp/rtp.h"
#include "proto/rtp/srtp.h"
#include "proto/rtp/video.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define OUTPUTS_MAX 20000 /* far more than the pacer lets go in one step */

static void drain(struct video *v)
{
	struct video_output out;
	struct video_event event;
	struct video_stats stats;
	struct rtp_packet p;
	size_t n = 0;

	while (video_next_output(v, &out)) {
		if (out.len > VIDEO_PACKET_MAX || out.cap - out.len < SRTP_TRAILER_MAX ||
		    n++ > OUTPUTS_MAX)
			__builtin_trap();
		if (srtp_is_rtcp(span_of(out.data, out.len)) != out.rtcp ||
		    (!out.rtcp && rtp_parse(span_of(out.data, out.len), &p) < 0))
			__builtin_trap();
		memset(out.data, 0xff, out.cap); /* as protection might */
	}
	while (video_next_event(v, &event))
		if (n++ > OUTPUTS_MAX)
			__builtin_trap();
	video_get_stats(v, &stats);
	if (stats.rate_bps < VIDEO_RATE_MIN || stats.queued_bytes > VIDEO_QUEUE_MAX + 65536)
		__builtin_trap();
}

static void step(struct video *v, struct reader *r, usec_t *now)
{
	uint8_t kind = reader_u8(r);
	usec_t then = *now + 250 * (usec_t)reader_u16(r);
	struct span bytes = reader_bytes(r, reader_u16(r));
	int err = 0;

	for (int i = 0; i < 100 && video_deadline(v) <= then; i++) {
		*now = FL_MAX(*now, video_deadline(v));
		video_timeout(v, *now);
		drain(v);
	}
	*now = then;
	switch (kind % 8) {
	case 0:
	case 1:
		err = video_send_frame(v, *now, bytes, kind & 1, *now);
		break;
	case 2:
		video_set_path(v, *now, kind & 8, bytes.len);
		break;
	case 3:
		if (kind == 0xfb)
			video_close(v, *now);
		break;
	default:
		video_input_rtcp(v, *now, bytes);
	}
	if (err > 0)
		__builtin_trap();
	drain(v);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reader r = reader_of(span_of(data, size));
	uint8_t bits = reader_u8(&r);
	struct video_config config = { .codec = bits & 1 ? VIDEO_VP8 : VIDEO_H264,
				       .payload_type = 96,
				       .ssrc = 1,
				       .rtx = bits & 2,
				       .rtx_payload_type = 97,
				       .ext = { .twcc = bits & 4 ? 3 : 0,
						.abs_send_time = bits & 8 ? 2 : 0,
						.mid = bits & 16 ? 4 : 0,
						.playout_delay = bits & 32 ? 14 : 0 },
				       .mid = "video" };
	usec_t now = 1000000;
	struct video *v;
	struct rng rng;

	rng_seed(&rng, reader_u24(&r));
	if (video_create(&config, &rng, &v) < 0)
		return 0;
	while (reader_left(&r))
		step(v, &r, &now);
	video_destroy(v);
	return 0;
}
