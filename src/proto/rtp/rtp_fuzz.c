#include <string.h>

#include "proto/rtp/rtp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define EXT_MAX 300

/* What parses can be written, and reads back the same. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t out[1 << 20];
	struct rtp_ext ext[EXT_MAX], again;
	struct rtp_packet p, back;
	struct reader at;
	struct writer w = writer_of(out, sizeof(out));
	struct span value;
	size_t n = 0;

	if (rtp_parse(span_of(data, size), &p) < 0)
		return 0;
	at = reader_of(p.ext);
	while (n < EXT_MAX && rtp_ext_next(&p, &at, &ext[n]))
		n++;
	rtp_write_header(&w, &p, ext, n);
	writer_span_put(&w, p.payload);
	if (writer_failed(&w) || rtp_parse(writer_span(&w), &back) < 0 || back.seq != p.seq ||
	    back.ssrc != p.ssrc || !span_equal(back.payload, p.payload))
		__builtin_trap();
	at = reader_of(back.ext);
	for (size_t i = 0; i < n; i++)
		if (!rtp_ext_next(&back, &at, &again) || again.id != ext[i].id ||
		    !span_equal(again.value, ext[i].value))
			__builtin_trap();
	(void)rtp_ext_find(&p, 1, &value);
	return 0;
}
