/* A script for one table: per step a byte of what happens (bit 7: a message follows; else an action
 * by its low bits), the stream, and for a message its length. */
#include "base/wire.h"
#include "proto/dcep/dcep.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void act(struct dcep *d, uint8_t what, uint16_t stream)
{
	struct dcep_params p = { .label = span_str("label") };

	switch (what % 5) {
	case 0:
		dcep_reset_in(d, stream);
		break;
	case 1:
		dcep_reset_out(d, stream);
		break;
	case 2:
		dcep_close(d, stream);
		break;
	case 3:
		dcep_start(d);
		break;
	default:
		if (dcep_open(d, &p) > 65534)
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reader r = reader_of(span_of(data, size));
	struct dcep *d = dcep_create();
	struct dcep_event ev;
	struct span out;
	uint16_t stream;

	if (!d)
		return 0;
	dcep_set_role(d, reader_u8(&r) & 1);
	while (reader_left(&r) > 0) {
		uint8_t what = reader_u8(&r);

		stream = reader_u16(&r);
		if (what & 0x80) {
			size_t len = reader_u16(&r);

			dcep_input(d, stream, reader_bytes(&r, FL_MIN(len, reader_left(&r))));
		} else {
			act(d, what, stream);
		}
		while (dcep_next_event(d, &ev))
			;
		while (dcep_next_output(d, &stream, &out))
			if (out.len > DCEP_MESSAGE_MAX)
				abort();
	}
	dcep_destroy(d);
	return 0;
}
