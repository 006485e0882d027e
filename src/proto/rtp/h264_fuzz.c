#include "proto/rtp/h264.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Payloads, each behind two bytes of length; what comes out packetizes and depacketizes to itself.
 */
static void there_and_back(struct span annexb)
{
	struct buf once = BUF_INIT(1 << 20), twice = BUF_INIT(1 << 20);
	struct h264_depacketizer d = { 0 };
	struct h264_packetizer p;
	struct span walk = annexb, nal;
	uint8_t out[64];
	bool last;

	while (h264_next_nal(&walk, &nal))
		if (buf_append(&once, "\0\0\0\1", 4) < 0 || buf_append_span(&once, nal) < 0)
			__builtin_trap();
	if (h264_packetizer_start(&p, annexb))
		for (;;) {
			struct writer w = writer_of(out, sizeof(out));

			if (!h264_packetizer_next(&p, &w, sizeof(out), &last))
				break;
			if (writer_failed(&w))
				__builtin_trap();
			/* unit types of the payload format itself do not come back */
			if (h264_depacketize(&d, writer_span(&w), &twice) < 0)
				goto out;
		}
	for (walk = annexb; h264_next_nal(&walk, &nal);)
		if ((nal.ptr[0] & 0x1f) >= H264_NAL_STAP_A)
			goto out;
	if (!span_equal(buf_span(&once), buf_span(&twice)))
		__builtin_trap();
out:
	buf_finish(&once);
	buf_finish(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reader r = reader_of(span_of(data, size));
	struct h264_depacketizer d = { 0 };
	struct buf out = BUF_INIT(1 << 19);

	while (reader_left(&r)) {
		struct span payload = reader_bytes(&r, reader_u16(&r));

		if (h264_depacketize(&d, payload, &out) < 0)
			h264_depacketizer_reset(&d);
	}
	there_and_back(buf_span(&out));
	there_and_back(span_of(data, size));
	buf_finish(&out);
	return 0;
}
