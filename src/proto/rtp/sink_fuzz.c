/* A sink by script: kind (1 byte), delay (2 bytes, in 1/4 ms), length (2 bytes), that many bytes of
 * RTP or RTCP. The sender's SSRC is 1, its RTX 2. */
#include "proto/rtp/sink.h"

#include "base/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void drain(struct sink *s)
{
	struct sink_frame frame;
	struct span report;
	size_t n = 0;

	while (sink_next_frame(s, &frame))
		if (frame.data.len == 0)
			__builtin_trap();
	while (sink_next_output(s, &report))
		if (report.len == 0 || report.len > 1200 || n++ > 1000)
			__builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reader r = reader_of(span_of(data, size));
	uint8_t bits = reader_u8(&r);
	struct sink_config config = { .codec = bits & 1 ? VIDEO_VP8 : VIDEO_H264,
				      .payload_type = 96,
				      .ssrc = 1,
				      .rtx = true,
				      .rtx_payload_type = 97,
				      .rtx_ssrc = 2,
				      .ext = { .twcc = 3 },
				      .local_ssrc = 9,
				      .nack = bits & 2 };
	struct sink *s = sink_create(&config);
	usec_t now = 1000000;

	while (s && reader_left(&r)) {
		uint8_t kind = reader_u8(&r);
		struct span bytes;

		now += 250 * (usec_t)reader_u16(&r);
		bytes = reader_bytes(&r, reader_u16(&r));
		if (kind & 1)
			sink_input_rtcp(s, now, bytes);
		else
			sink_input_rtp(s, now, bytes);
		drain(s);
		sink_timeout(s, FL_MAX(now, usec_min(sink_deadline(s), now + 1000)));
		drain(s);
	}
	sink_destroy(s);
	return 0;
}
