/*
 * How much may we send? A send-side bandwidth estimate in the spirit of draft-ietf-rmcat-gcc-02.
 *
 * With transport-wide feedback three things move it:
 *  - delay: a growing one-way delay (trend.h) together with a queue that never empties means that
 * the link is full; what arrived meanwhile is its capacity, and the rate goes below it until the
 *    queue is gone;
 *  - loss: over 10 % the rate falls by half the loss, under that it is taken for the path's own;
 *  - trains: the packets of one frame leave faster than the rate; how fast they arrive says how
 * much the link would carry, so no time is lost by feeling the way up. Without transport-wide
 * feedback, receiver reports (loss, round-trip time) and REMB do.
 *
 * Rates are bit/s of RTP packets, headers included.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/usec.h"
#include "base/util.h"
#include "proto/rtp/twcc.h"

struct bwe;

struct bwe_config {
	uint32_t start_bps, min_bps, max_bps;
};

struct bwe *bwe_create(const struct bwe_config *config); /* NULL: no memory */
void bwe_destroy(struct bwe *b);			 /* NULL is fine */

/* Another path: start again at this rate. */
void bwe_reset(struct bwe *b, usec_t now, uint32_t start_bps);
/* Another maximum from now on; the rate follows at once when it is above. */
void bwe_set_max(struct bwe *b, uint32_t max_bps);

/* A packet leaves: returns its transport-wide sequence number. train: packets of one train share a
 * number, 0: of none. */
uint16_t bwe_sent(struct bwe *b, usec_t now, size_t len, uint32_t train);

void bwe_input_twcc(struct bwe *b, usec_t now, const struct twcc *feedback);

/* A receiver report: loss of the last interval, rtt 0: unknown. Counts only while there is no
 * transport-wide feedback. */
void bwe_input_report(struct bwe *b, usec_t now, uint32_t loss_permille, usec_t rtt_us);
void bwe_input_remb(struct bwe *b, usec_t now, uint64_t bps);

/* Lowers the rate when feedback is overdue. */
void bwe_timeout(struct bwe *b, usec_t now);
usec_t bwe_deadline(const struct bwe *b);

/* The rate to probe at with a train of padding, or 0 when there is nothing to learn now. Asking is
 * taking: the next probe is wanted after a while. */
uint32_t bwe_take_probe(struct bwe *b, usec_t now);

uint32_t bwe_rate(const struct bwe *b);

/* Bit/s at which a frame should leave: a multiple of the rate and at least `least`, but near the
 * capacity of a link that lately was full. */
double bwe_pace(const struct bwe *b, usec_t now, double least);
uint32_t bwe_acked(const struct bwe *b); /* 0: unknown */
uint32_t bwe_loss_permille(const struct bwe *b);
usec_t bwe_rtt(const struct bwe *b);		      /* an upper bound from feedback; 0: unknown */
bool bwe_is_acked(const struct bwe *b, uint16_t seq); /* reported as arrived */
