#include "proto/rtp/vp8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A descriptor that parses is written as it was, but for reserved bits. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reader r = reader_of(span_of(data, size)), again;
	struct vp8_descriptor d, back;
	uint8_t out[8];
	struct writer w = writer_of(out, sizeof(out));

	if (vp8_parse_descriptor(&r, &d) < 0)
		return 0;
	vp8_write_descriptor(&w, &d);
	if (writer_failed(&w) || writer_len(&w) > size)
		__builtin_trap();
	writer_u8(&w, 0);
	again = reader_of(writer_span(&w));
	if (vp8_parse_descriptor(&again, &back) < 0 || back.picture_id != d.picture_id ||
	    back.start != d.start || back.tid != d.tid || back.key_index != d.key_index ||
	    back.tl0 != d.tl0)
		__builtin_trap();
	return 0;
}
