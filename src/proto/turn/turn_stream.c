#include "proto/turn/turn_stream.h"

#include "base/err.h"
#include "base/wire.h"
#include "proto/stun/stun.h"
#include "proto/turn/turn.h"

/* Both kinds have their length in the second pair of bytes. */
static int cut(struct span bytes, size_t len, size_t padded, struct span *message, size_t *used)
{
	if (bytes.len < padded)
		return 0;
	*message = span_of(bytes.ptr, len);
	*used = padded;
	return 1;
}

int turn_stream_next(struct span bytes, struct span *message, size_t *used)
{
	struct reader r = reader_of(bytes);
	uint8_t first = 0;
	size_t len;

	*message = (struct span){ 0 };
	*used = 0;
	if (!reader_peek_u8(&r, &first))
		return 0;
	if (first > 0x7F)
		return FL_EMALFORMED;
	reader_skip(&r, 2);
	len = reader_u16(&r);
	if (reader_failed(&r))
		return 0;
	if (first >= 0x40)
		return cut(bytes, TURN_CHANNEL_HEADER_LEN + len,
			   TURN_CHANNEL_HEADER_LEN + (len + 3) / 4 * 4, message, used);
	/* what is no STUN is told as early as its bytes are there */
	if (len % 4 != 0 || (reader_left(&r) >= 4 && reader_u32(&r) != STUN_MAGIC))
		return FL_EMALFORMED;
	return cut(bytes, STUN_HEADER_LEN + len, STUN_HEADER_LEN + len, message, used);
}
