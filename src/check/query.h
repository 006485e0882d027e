/*
 * Questions over UDP to one server: STUN Binding requests (RFC 8489), small or padded to a size
 * that must not be fragmented, or a TURN Allocate without credentials (RFC 8656), whose refusal
 * proves that the relay answers. Over a connected socket, so that a rejection (ICMP) is told from
 * silence.
 */
#pragma once

#include "base/addr.h"
#include "check/cause.h"
#include "io/loop.h"

#define QUERY_SENDS_MAX 16
#define QUERY_PACKET_MAX 1472

struct query_config {
	struct addr to;
	bool allocate; /* else Binding */
	size_t len;    /* bytes of the request, filled up with an attribute that servers pass over
			  (RFC 8489 §14); 0: as short as it is. At most QUERY_PACKET_MAX */
	bool dont_fragment;
	unsigned sends; /* at most QUERY_SENDS_MAX */
	unsigned want;	/* answers; with so many it is over */
	usec_t spacing_us;
	bool backoff;	/* each wait twice the one before */
	usec_t wait_us; /* after the last one */
};

struct query_result {
	enum check_cause cause; /* CAUSE_NONE: at least one good answer */
	unsigned sent, answered;
	usec_t first_us, least_us, total_us; /* round trips: the first's, the least, their sum */
	struct addr mapped;		     /* family ADDR_NONE: not told */
	struct addr local;
	uint16_t code; /* of an error answer */
};

struct query;

/* fn once, unless destroyed; it may destroy the ask. */
int query_start(struct loop *loop, const struct query_config *config,
		void (*fn)(void *arg, const struct query_result *result), void *arg,
		struct query **out) FL_WARN_UNUSED;
void query_destroy(struct query *a); /* NULL is fine */
