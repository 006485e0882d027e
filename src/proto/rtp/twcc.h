/*
 * Transport-wide feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1): for a run of
 * transport-wide sequence numbers, which packets arrived and when.
 *
 *  |      base sequence number     |      packet status count      |
 *  |                 reference time                | fb pkt. count |
 *  |      status chunks (16 bits each) …, receive deltas …         |
 *
 * Reference time counts 64 ms; deltas count 250 µs, each from the packet that arrived before.
 */
#pragma once

#include "base/usec.h"
#include "proto/rtp/rtcp.h"

#define TWCC_COUNT_MAX 8192 /* statuses; a peer that tells of more costs time and means nothing */
#define TWCC_TICK_US 250
#define TWCC_REFERENCE_US 64000

struct twcc {
	uint16_t base_seq, count;
	uint32_t reference; /* 24 bits, in 64 ms */
	uint8_t feedback_seq;
	struct span chunks, deltas;
};

/* The FCI of an RTPFB packet with RTCP_FMT_TWCC. Checks the whole of it: 0 or FL_EMALFORMED. */
int twcc_parse(const struct rtcp_feedback *fb, struct twcc *out) FL_WARN_UNUSED;

struct twcc_status {
	uint16_t seq;
	bool received;
	int64_t at_us; /* arrival: from the reference time on, when received */
};

struct twcc_walk {
	struct reader chunks, deltas;
	uint16_t done, chunk;
	uint16_t left; /* statuses left in the chunk */
	int64_t at_us;
};

void twcc_walk_start(const struct twcc *t, struct twcc_walk *walk);
bool twcc_walk_next(const struct twcc *t, struct twcc_walk *walk, struct twcc_status *out);

/* One packet that a receiver saw; for twcc_write(). */
struct twcc_arrival {
	uint16_t seq;
	usec_t at_us;
};

/*
 * Writes one feedback packet about the packets from base_seq on; arrivals are sorted by sequence
 * number, without duplicates, none before base_seq. Takes as many as one packet can express and
 * returns how many; the next feedback's base is behind the last of them.
 */
size_t twcc_write(struct writer *w, uint32_t sender, uint32_t media, uint8_t feedback_seq,
		  uint16_t base_seq, const struct twcc_arrival *arrivals, size_t n);
