/*
 * TURN (RFC 8656, RFC 6062 for TCP, RFC 8016 for mobility): the numbers on the wire and the
 * ChannelData header, for server and client alike. STUN's own numbers are in proto/stun/stun.h.
 *
 *	ChannelData (RFC 8656 §12.4):
 *	 0                   1                   2                   3
 *	|        channel number         |            length             |
 *	| application data, over a stream padded to a multiple of 4 …
 *
 * Over a stream, STUN messages and ChannelData follow each other; turn_stream.h cuts them apart.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"
#include "base/util.h"

#define TURN_PORT 3478	/* udp and tcp (RFC 8656 §5) */
#define TURNS_PORT 5349 /* tls and dtls */

/* Methods (RFC 8656 §17, RFC 6062 §6.1). */
#define TURN_ALLOCATE 0x003
#define TURN_REFRESH 0x004
#define TURN_SEND 0x006
#define TURN_DATA 0x007
#define TURN_CREATE_PERMISSION 0x008
#define TURN_CHANNEL_BIND 0x009
#define TURN_CONNECT 0x00A
#define TURN_CONNECTION_BIND 0x00B
#define TURN_CONNECTION_ATTEMPT 0x00C

/* Attributes (RFC 8656 §18, RFC 6062 §6.2, RFC 8016 §5). */
#define TURN_CHANNEL_NUMBER 0x000C
#define TURN_LIFETIME 0x000D
#define TURN_XOR_PEER_ADDRESS 0x0012
#define TURN_DATA_ATTR 0x0013
#define TURN_XOR_RELAYED_ADDRESS 0x0016
#define TURN_REQUESTED_ADDRESS_FAMILY 0x0017
#define TURN_EVEN_PORT 0x0018
#define TURN_REQUESTED_TRANSPORT 0x0019
#define TURN_DONT_FRAGMENT 0x001A
#define TURN_RESERVATION_TOKEN 0x0022
#define TURN_CONNECTION_ID 0x002A
#define TURN_ADDITIONAL_ADDRESS_FAMILY 0x8000
#define TURN_ADDRESS_ERROR_CODE 0x8001
#define TURN_ICMP 0x8004
#define TURN_MOBILITY_TICKET 0x8030

/* Error codes (RFC 8656 §19, RFC 6062 §6.3, RFC 8016 §3.1.2). */
#define TURN_FORBIDDEN 403
#define TURN_MOBILITY_FORBIDDEN 405
#define TURN_ALLOCATION_MISMATCH 437
#define TURN_ADDRESS_FAMILY_NOT_SUPPORTED 440
#define TURN_WRONG_CREDENTIALS 441
#define TURN_UNSUPPORTED_TRANSPORT 442
#define TURN_PEER_ADDRESS_FAMILY_MISMATCH 443
#define TURN_CONNECTION_ALREADY_EXISTS 446
#define TURN_CONNECTION_FAILED 447
#define TURN_ALLOCATION_QUOTA_REACHED 486
#define TURN_INSUFFICIENT_CAPACITY 508

#define TURN_PROTOCOL_UDP 17 /* REQUESTED-TRANSPORT: IANA protocol numbers */
#define TURN_PROTOCOL_TCP 6
#define TURN_FAMILY_V4 1
#define TURN_FAMILY_V6 2

/* RFC 8656 §12 has 0x4000…0x4FFF, RFC 5766 had them up to 0x7FFF: clients of then choose from all
 * of those, and a server must let them. */
#define TURN_CHANNEL_MIN 0x4000
#define TURN_CHANNEL_MAX 0x7FFF
#define TURN_CHANNEL_HEADER_LEN 4
#define TURN_RESERVATION_TOKEN_LEN 8

#define TURN_LIFETIME_S 600	  /* RFC 8656 §3.2: the default */
#define TURN_LIFETIME_MAX_S 3600  /* §7.2: the most a server should grant */
#define TURN_PERMISSION_S 300	  /* §9 */
#define TURN_CHANNEL_S 600	  /* §12 */
#define TURN_RESERVATION_S 30	  /* §7.2 */
#define TURN_CONNECTION_BIND_S 30 /* RFC 6062 §5.2: from Connect's answer to ConnectionBind */

/* How a client reaches the relay. The order is that of metrics and reports. */
enum turn_transport { TURN_UDP, TURN_TCP, TURN_TLS, TURN_DTLS, TURN_WSS, TURN_TRANSPORTS };

static inline bool turn_transport_is_stream(enum turn_transport t)
{
	return t == TURN_TCP || t == TURN_TLS || t == TURN_WSS;
}

/* "udp", "tcp", "tls", "dtls", "wss"; never NULL. */
const char *turn_transport_name(enum turn_transport t);

/* The first byte of a datagram or stream element tells (RFC 7983): 64…79, of old clients up to 127,
 * is ChannelData. */
static inline bool turn_is_channel_data(struct span data)
{
	return data.len >= TURN_CHANNEL_HEADER_LEN && data.ptr[0] >= 0x40 && data.ptr[0] <= 0x7F;
}

/*
 * The number and the payload, borrowed. Padding or surplus after the payload is ignored (§12.5).
 * 0 or FL_EMALFORMED (shorter than its length says, or the number is out of range).
 */
int turn_channel_parse(struct span data, uint16_t *number, struct span *payload) FL_WARN_UNUSED;
void turn_channel_header(uint16_t number, size_t len, uint8_t out[TURN_CHANNEL_HEADER_LEN]);
