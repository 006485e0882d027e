#include "proto/turn/turn.h"

#include <assert.h>

#include "base/err.h"
#include "base/wire.h"

const char *turn_transport_name(enum turn_transport t)
{
	switch (t) {
	case TURN_UDP:
		return "udp";
	case TURN_TCP:
		return "tcp";
	case TURN_TLS:
		return "tls";
	case TURN_DTLS:
		return "dtls";
	case TURN_WSS:
		return "wss";
	case TURN_TRANSPORTS:
		break;
	}
	return "?";
}

int turn_channel_parse(struct span data, uint16_t *number, struct span *payload)
{
	struct reader r = reader_of(data);
	size_t len;

	*number = reader_u16(&r);
	len = reader_u16(&r);
	*payload = reader_bytes(&r, len);
	if (reader_failed(&r) || *number < TURN_CHANNEL_MIN || *number > TURN_CHANNEL_MAX)
		return FL_EMALFORMED;
	return 0;
}

void turn_channel_header(uint16_t number, size_t len, uint8_t out[TURN_CHANNEL_HEADER_LEN])
{
	struct writer w = writer_of(out, TURN_CHANNEL_HEADER_LEN);

	assert(len <= UINT16_MAX);
	writer_u16(&w, number);
	writer_u16(&w, (uint16_t)len);
}
