#include "proto/signalr/event_stream.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

/* The first byte cuts the rest into pieces; what comes out was in there. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	size_t piece = len ? (size_t)bytes[0] + 1 : 1, at = 1, out = 0;
	struct event_stream e;
	struct span data;
	int r = 0;

	event_stream_init(&e);
	while (at < len && r >= 0) {
		size_t n = FL_MIN(piece, len - at);

		if (event_stream_input(&e, span_of(bytes + at, n)) < 0)
			break;
		while ((r = event_stream_next(&e, &data)) == 1)
			out += data.len;
		at += n;
	}
	assert(out <= len);
	event_stream_finish(&e);
	return 0;
}
