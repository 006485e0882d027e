/*
 * Whether a socket shall have the kernel coalesce what arrives (UDP_GRO). Coalesced reads make
 * bursts of one flow about three times cheaper, but where nothing comes in bursts the kernel looks
 * for them in vain. So it is chosen by what the batches show. Sockets begin with it, because with
 * many of them each would have to learn it anew; batches without a coalesced read switch it off,
 * runs of one sender on again, and each vain attempt makes the next one wait longer. Pure.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define GRO_TRIAL 256	   /* datagrams without a coalesced read after which it goes off */
#define GRO_EVIDENCE 8	   /* datagrams in runs, more than single ones, after which it goes on */
#define GRO_PATIENCE_MAX 8 /* doublings of the evidence asked for after vain attempts */

struct gro {
	bool off; /* so that a zeroed one is on */
	uint8_t patience;
	uint16_t evidence, vain;
};

/*
 * One batch: reads as the kernel gave them, how many of them were coalesced, and how many followed
 * a read of the same sender and length (while off: what would have been coalesced). True: on has
 * changed, set the socket's option.
 */
bool gro_batch(struct gro *g, unsigned reads, unsigned coalesced, unsigned followers);
