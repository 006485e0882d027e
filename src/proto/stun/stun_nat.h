/*
 * What the NAT in front of us does, asked of a STUN server with two addresses and two ports (RFC
 * 5780 §4): how it maps (RFC 4787 §4.1), and whom it lets in (§5). For the report only; a session
 * never waits for it.
 *
 * Two sockets of our own take part, because asking the server's other address for the mapping would
 * open the filter that is to be looked at: local[0] asks for the mapping, local[1] for the filter.
 *
 *	local[0] ── Binding ──► server                 tells OTHER-ADDRESS
 *	local[0] ── Binding ──► other address, first port; other address, other port
 *	local[1] ── Binding, CHANGE-REQUEST ──► server: answer from the other address; other port
 *
 * Sans-IO, in caller's memory, nothing to free: after each call that takes now, take outputs until
 * there are none, then ask for the deadline. At most 5 requests, each sent at most STUN_NAT_TRIES
 * times; with the answers' round trip it is over in some 1 to 2 s. A server is believed about its
 * other address only when that is of the same kind: a public one cannot send us at a private one.
 */
#pragma once

#include "base/dgram.h"
#include "proto/stun/stun_client.h"

#define STUN_NAT_TRIES 3

enum stun_nat_mapping {
	STUN_NAT_MAPPING_UNKNOWN,
	STUN_NAT_MAPPING_NONE,
	STUN_NAT_MAPPING_INDEPENDENT,
	STUN_NAT_MAPPING_ADDRESS,
	STUN_NAT_MAPPING_PORT,
};

enum stun_nat_filtering {
	STUN_NAT_FILTERING_UNKNOWN,
	STUN_NAT_FILTERING_OPEN,
	STUN_NAT_FILTERING_ADDRESS,
	STUN_NAT_FILTERING_PORT,
};

enum stun_nat_test {
	STUN_NAT_FIRST,
	STUN_NAT_OTHER_ADDRESS,
	STUN_NAT_OTHER_BOTH,
	STUN_NAT_CHANGE_BOTH,
	STUN_NAT_CHANGE_PORT,
	STUN_NAT_TESTS
};

struct stun_nat_ask {
	enum {
		STUN_NAT_IDLE,
		STUN_NAT_ASKED,
		STUN_NAT_ANSWERED,
		STUN_NAT_SILENT,
		STUN_NAT_REFUSED
	} state;
	struct stun_client client;
	struct addr to, from; /* from: where the answer has to come from */
	struct addr mapped;
};

struct stun_nat {
	struct rng *rng;
	struct addr local[2], server, other;
	struct stun_nat_ask asks[STUN_NAT_TESTS];
	uint8_t out[STUN_SHORT_MAX];
};

/* local: bound addresses of two sockets. rng is kept, not owned. */
void stun_nat_start(struct stun_nat *n, struct rng *rng, usec_t now, const struct addr *server,
		    const struct addr local[2]);
/* Anything that came to one of the sockets; what is no answer of ours is passed over. */
void stun_nat_input(struct stun_nat *n, usec_t now, const struct dgram *d);
/* Borrowed until the next call. */
bool stun_nat_next_output(struct stun_nat *n, usec_t now, struct dgram *out);
usec_t stun_nat_deadline(const struct stun_nat *n); /* USEC_NEVER: done */
bool stun_nat_done(const struct stun_nat *n);

/* At any time; may say more later, until it is done. */
enum stun_nat_mapping stun_nat_mapping(const struct stun_nat *n);
enum stun_nat_filtering stun_nat_filtering(const struct stun_nat *n);
