/*
 * Answers to Binding requests (RFC 8489 §6.3), with NAT behaviour discovery (RFC 5780) where the
 * server has two addresses with two ports each: CHANGE-REQUEST, RESPONSE-PORT, PADDING,
 * RESPONSE-ORIGIN, OTHER-ADDRESS. No state: bytes in, bytes out. Who may ask how often is the
 * caller's business.
 *
 * Without behaviour discovery an answer is longer than its request by the one attribute it exists
 * for: 12 bytes, 24 for IPv6. A FINGERPRINT is only answered to one.
 *
 * Clients of RFC 3489, which knew no magic cookie, have an entry of their own. What they may ask
 * for that would send the answer to a third party (RESPONSE-ADDRESS) is refused.
 */
#pragma once

#include "proto/stun/stun.h"

#define STUN_SERVER_ANSWER_MAX 1600 /* with PADDING, which is as long as the request's */

/* Attributes (RFC 5780 §7; SOURCE-ADDRESS and CHANGED-ADDRESS are of RFC 3489 §11.2). */
#define STUN_CHANGE_REQUEST 0x0003
#define STUN_SOURCE_ADDRESS 0x0004
#define STUN_CHANGED_ADDRESS 0x0005
#define STUN_PADDING 0x0026
#define STUN_RESPONSE_PORT 0x0027
#define STUN_RESPONSE_ORIGIN 0x802B
#define STUN_OTHER_ADDRESS 0x802C

#define STUN_CHANGE_IP 4 /* bits of CHANGE-REQUEST */
#define STUN_CHANGE_PORT 2

/* The server's addresses for behaviour discovery: [address][port], all of one family. */
struct stun_behaviour {
	struct addr at[2][2];
};

/* Which of them answers. */
enum stun_origin {
	STUN_ORIGIN_SAME = 0,
	STUN_ORIGIN_OTHER_PORT = 1,
	STUN_ORIGIN_OTHER_ADDRESS = 2,
	STUN_ORIGIN_OTHER_BOTH = 3,
};

struct stun_answer {
	size_t len; /* 0: none is due */
	enum stun_origin origin;
	uint16_t port; /* of the client, when RESPONSE-PORT asked for another; else 0 */
};

/*
 * m is a parsed Binding request that arrived at server from client. An indication, a false
 * FINGERPRINT and a client's port 0 are not answered. behaviour may be NULL, and is not used when
 * server is none of its addresses; without it and over a stream CHANGE-REQUEST, RESPONSE-PORT and
 * PADDING are unknown attributes (RFC 5780 §6).
 */
void stun_server_binding(const struct stun_msg *m, const struct addr *client,
			 const struct addr *server, const struct stun_behaviour *behaviour,
			 bool over_stream, uint8_t buf[STUN_SERVER_ANSWER_MAX],
			 struct stun_answer *out);

/*
 * The same for a datagram that is not a STUN message of today. False: it is no Binding request of
 * RFC 3489 either, and no answer is due.
 */
bool stun_server_classic(struct span datagram, const struct addr *client, const struct addr *server,
			 const struct stun_behaviour *behaviour,
			 uint8_t buf[STUN_SERVER_ANSWER_MAX], struct stun_answer *out);
