/*
 * Answers to Binding requests (RFC 8489 §6.3), with NAT behaviour discovery (RFC 5780) where the
 * server has two addresses with two ports each: CHANGE-REQUEST, RESPONSE-PORT, PADDING,
 * RESPONSE-ORIGIN, OTHER-ADDRESS. No state: bytes in, bytes out. Who may ask how often is the
 * caller's business.
 */
#pragma once

#include "proto/stun/stun.h"

#define STUN_SERVER_ANSWER_MAX 1600 /* with PADDING, which is as long as the request's */

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
 * m is a parsed Binding request that arrived at server from client. behaviour may be NULL, and is
 * not used when server is none of its addresses. over_stream: CHANGE-REQUEST, RESPONSE-PORT and
 * PADDING are refused (RFC 5780 §6).
 */
void stun_server_binding(const struct stun_msg *m, const struct addr *client,
			 const struct addr *server, const struct stun_behaviour *behaviour,
			 bool over_stream, uint8_t buf[STUN_SERVER_ANSWER_MAX],
			 struct stun_answer *out);
