/*
 * A token bucket for what one end may send (struct fl_route_policy.max_kbit, fl_peer_limit()). No
 * packet is held back: that would only move the queue into SCTP, behind every keystroke. Packets
 * are counted as they leave, also beyond the limit, and new channel messages wait until the debt is
 * paid. So retransmissions, acknowledgements and the checks of ICE go out at once, and the average
 * holds all the same.
 *
 * Messages that SCTP has taken and not sent yet count as sent, or a window that opens late would
 * let out megabytes at once.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/usec.h"

#define BUCKET_BURST_US (100 * USEC_PER_MSEC) /* of the rate, that may be saved up */
#define BUCKET_PACKET_OVERHEAD 28	      /* IPv4 and UDP, beside a packet's bytes */

struct bucket {
	uint32_t kbit;	 /* per second; 0: no limit */
	int64_t tokens;	 /* bits; negative: a debt */
	usec_t at;	 /* when tokens was right */
	uint64_t handed; /* bits that SCTP has, and that have not left yet */
};

void bucket_limit(struct bucket *b, usec_t now, uint32_t kbit);
/* A packet of that many bytes leaves; message: it carries channel messages. */
void bucket_sent(struct bucket *b, usec_t now, size_t len, bool message);
/* SCTP has taken a message of that many bytes. */
void bucket_hand(struct bucket *b, size_t len);
/* May SCTP be given another message? */
bool bucket_open(struct bucket *b, usec_t now);
/* When it is worth asking again; USEC_NEVER: there is no limit. */
usec_t bucket_deadline(const struct bucket *b);
