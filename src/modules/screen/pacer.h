/*
 * When to encode a frame, and how finely: the clockwork of the screen module as a core. It is told
 * what happens (damage, a frame's size and cost, the rate, back-pressure) and answers what to do
 * now and when to ask again. No clock, no I/O, no memory of its own.
 *
 * - The first damage after a pause is encoded at once; there is no fixed tick.
 * - Frames are at least 1/60 s apart, and far enough for encoding to take at most
 * PACER_LOAD_PERCENT of one core.
 * - Bits are owed and paid back at the rate: a frame waits while more than PACER_DEBT_US of them
 * are owed. A key frame is never held back by that.
 * - Quantizers are in H.264 units (6 steps halve the bits). A small change is sharp at once; a
 * large one starts at PACER_QP_BASE, coarser when the rate asks for it.
 * - Once things are still for PACER_STILL_US, what was sent coarse is sent again sharp.
 */
#pragma once

#include <stdbool.h>

#include "base/usec.h"

#define PACER_INTERVAL_US 16667
#define PACER_LOAD_PERCENT 60
#define PACER_DEBT_US (60 * USEC_PER_MSEC)
#define PACER_DEBT_MAX_US USEC_PER_SEC		/* more is forgiven: the rate is an estimate */
#define PACER_KEY_DEBT_US (300 * USEC_PER_MSEC) /* of which a key frame makes at most this */
#define PACER_STILL_US (120 * USEC_PER_MSEC)
#define PACER_REFINE_GAP_US (60 * USEC_PER_MSEC)
#define PACER_KEY_GAP_US (250 * USEC_PER_MSEC) /* a stream of requests is one */
#define PACER_BLOCKED_RETRY_US (4 * USEC_PER_MSEC)
#define PACER_QP_SHARP 20
#define PACER_QP_BASE 26
#define PACER_QP_MAX 44
#define PACER_RATE_MIN 50000u /* bit/s */

enum pacer_want { PACER_NOTHING, PACER_FRAME, PACER_KEY, PACER_REFINE };

struct pacer {
	bool playing, hidden, blocked;
	bool dirty, key_wanted;
	uint64_t pixels; /* of the whole picture */
	uint32_t rate_bps;
	uint64_t debt_bits; /* as of debt_at */
	usec_t debt_at;
	usec_t frame_at;  /* start of the last frame */
	usec_t key_at;	  /* of the last key frame */
	usec_t refine_at; /* when to refine, if coarse */
	uint32_t cost_us; /* of a frame, smoothed */
	int qp;		  /* for the next large change */
	int coarse;	  /* the coarsest quantizer not yet sent sharp; 0: all is sharp */
	int refine_rounds, refine_left;
	bool any_frame, any_key;
};

/* refine_rounds: how many sharp frames the encoder needs until the picture is sharp. */
void pacer_init(struct pacer *p, uint32_t rate_bps, int refine_rounds);

/* A picture of this size starts, or starts anew: a key frame is wanted at once. */
void pacer_start(struct pacer *p, int width, int height);
void pacer_stop(struct pacer *p);

void pacer_damage(struct pacer *p);
void pacer_key(struct pacer *p); /* wanted by the other side, or after a frame was lost */
void pacer_rate(struct pacer *p, usec_t now, uint32_t rate_bps);
void pacer_hide(struct pacer *p, bool hidden);
void pacer_block(struct pacer *p, bool blocked); /* what was sent has not been taken yet */

/* What to do now. After all but PACER_NOTHING follows pacer_sent() or pacer_still(). */
enum pacer_want pacer_next(const struct pacer *p, usec_t now);

/* The quantizer for it, once it is known how many pixels changed. */
int pacer_qp(const struct pacer *p, usec_t now, enum pacer_want want, uint64_t changed_pixels);

/* A frame that was begun at now for want, with the quantizer that pacer_qp() said. */
void pacer_sent(struct pacer *p, usec_t now, enum pacer_want want, int qp, uint64_t bytes,
		uint32_t cost_us);

/* There was nothing to encode after all. */
void pacer_still(struct pacer *p, usec_t now);

/* When pacer_next() may answer differently without anything else happening. */
usec_t pacer_deadline(const struct pacer *p, usec_t now);
