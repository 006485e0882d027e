#include "base/err.h"
#include "proto/turn/turn_attr.h"
#include "proto/turn/turn_stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void channel(struct span message)
{
	struct span payload;
	uint8_t header[TURN_CHANNEL_HEADER_LEN];
	uint16_t number;

	if (turn_channel_parse(message, &number, &payload) < 0 ||
	    payload.len + TURN_CHANNEL_HEADER_LEN != message.len)
		__builtin_trap();
	turn_channel_header(number, payload.len, header);
	if (memcmp(header, message.ptr, sizeof(header)) != 0)
		__builtin_trap();
}

static void stun(struct span message)
{
	struct stun_msg m;
	uint8_t byte, token[TURN_RESERVATION_TOKEN_LEN];
	struct turn_icmp icmp;
	struct span reason;
	uint16_t u16;
	bool flag;

	if (stun_parse(message, &m) < 0)
		return;
	(void)turn_get_channel(&m, &u16);
	(void)turn_get_family(&m, TURN_REQUESTED_ADDRESS_FAMILY, &byte);
	(void)turn_get_transport(&m, &byte);
	(void)turn_get_even_port(&m, &flag);
	(void)turn_get_token(&m, token);
	if (turn_get_icmp(&m, &icmp) && (icmp.type > 127 || icmp.code > 511))
		__builtin_trap();
	if (turn_get_address_error(&m, &byte, &u16, &reason) && (u16 < 300 || u16 > 699))
		__builtin_trap();
}

/* With fewer bytes the same message is not yet there, or what is there is already refused. */
static void shorter(struct span bytes, size_t used)
{
	struct span message;
	size_t taken, step = used > 64 ? used / 16 : 1;

	for (size_t n = 0; n < used; n += step)
		if (turn_stream_next(span_of(bytes.ptr, n), &message, &taken) != 0 || taken != 0)
			__builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span left = span_of(data, size), message;
	size_t used;
	int got;

	while ((got = turn_stream_next(left, &message, &used)) == 1) {
		if (used == 0 || used > left.len || used > TURN_STREAM_MESSAGE_MAX ||
		    message.ptr != left.ptr || message.len > used || used - message.len > 3)
			__builtin_trap();
		if (turn_is_channel_data(message))
			channel(message);
		else if (stun_is_message(message))
			stun(message);
		else
			__builtin_trap();
		shorter(left, used);
		left = span_of(left.ptr + used, left.len - used);
	}
	if ((got != 0 && got != FL_EMALFORMED) || used != 0 ||
	    (got == 0 && left.len >= TURN_STREAM_MESSAGE_MAX))
		__builtin_trap();
	return 0;
}
