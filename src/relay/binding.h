/*
 * The STUN side of the relay: Binding requests (RFC 8489 §2, §6.3) answered without any state but a
 * small table of counters. Pure: bytes in, bytes out.
 *
 * Whoever forges a source address must not gain by it. An answer is longer than its request by the
 * one attribute it exists for and no more (12 bytes, 24 for IPv6; a FINGERPRINT only when the
 * request had one), and one source gets at most BINDING_PER_SECOND of them.
 */
#pragma once

#include "base/dgram.h"
#include "base/rng.h"
#include "base/usec.h"
#include "base/util.h"

#define BINDING_PER_SECOND 200 /* per IPv4 address or IPv6 /64: a site behind one NAT has many */
#define BINDING_SOURCES 4096   /* counters; sources that share one share its limit */
#define BINDING_ANSWER_MAX 128

struct binding_counter {
	usec_t second;
	uint32_t answers;
};

struct binding {
	uint64_t key; /* of the counters' hash, so that nobody can choose a neighbour */
	uint64_t answered, malformed, other, limited;
	struct binding_counter counters[BINDING_SOURCES];
};

void binding_init(struct binding *b, struct rng *rng);

/* The answer's length, written to answer; 0: none is due. */
size_t binding_answer(struct binding *b, usec_t now, const struct dgram *d,
		      uint8_t answer[BINDING_ANSWER_MAX]);
