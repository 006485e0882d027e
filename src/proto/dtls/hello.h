/*
 * Inside proto/dtls: the beginning of a ClientHello in a datagram (RFC 6347 §4.2.2), as much as
 * tells a new handshake from one that goes on.
 *
 *	record:    type 22, version, epoch 0, sequence, length
 *	handshake: type 1, length, message_seq, fragment offset and length
 *	hello:     version, random[32], …
 */
#pragma once

#include "base/span.h"
#include "base/util.h"

#define HELLO_RANDOM_LEN 32

struct hello {
	uint16_t message_seq; /* 0: the first one of a handshake, without a cookie */
	uint8_t random[HELLO_RANDOM_LEN];
};

/* False: the datagram does not begin with a whole ClientHello in the clear. */
bool hello_parse(struct span datagram, struct hello *out);
