#include "modules/screen/pacer.h"

#include "base/util.h"

#define SMALL_DIVISOR 8		     /* a change of at most this part of the picture is small */
#define SHARP_BYTES 400		     /* a refinement this small has found nothing to do */
#define KEY_BITS_PER_1000_PIXELS 500 /* a desktop with text at PACER_QP_BASE, measured */
#define KEY_TIME_US (100 * USEC_PER_MSEC)

void pacer_init(struct pacer *p, uint32_t rate_bps, int refine_rounds)
{
	*p = (struct pacer){
		.rate_bps = FL_MAX(rate_bps, PACER_RATE_MIN),
		.refine_rounds = refine_rounds,
		.qp = PACER_QP_BASE,
	};
}

void pacer_start(struct pacer *p, int width, int height)
{
	p->playing = true;
	p->pixels = (uint64_t)width * (uint64_t)height;
	p->dirty = true;
	p->key_wanted = true;
	p->any_key = false; /* this one does not wait for its turn */
	p->coarse = 0;
}

void pacer_stop(struct pacer *p)
{
	p->playing = false;
	p->coarse = 0;
}

void pacer_damage(struct pacer *p)
{
	p->dirty = true;
}

void pacer_key(struct pacer *p)
{
	p->key_wanted = true;
}

static uint64_t bits_in(const struct pacer *p, usec_t us)
{
	return p->rate_bps * us / USEC_PER_SEC;
}

static uint64_t debt(const struct pacer *p, usec_t now)
{
	uint64_t paid = bits_in(p, FL_MIN(usec_sub(now, p->debt_at), USEC_PER_SEC));

	return p->debt_bits > paid ? p->debt_bits - paid : 0;
}

void pacer_rate(struct pacer *p, usec_t now, uint32_t rate_bps)
{
	p->debt_bits = debt(p, now);
	p->debt_at = now;
	p->rate_bps = FL_MAX(rate_bps, PACER_RATE_MIN);
	p->debt_bits = FL_MIN(p->debt_bits, bits_in(p, PACER_DEBT_MAX_US));
}

void pacer_hide(struct pacer *p, bool hidden)
{
	if (p->hidden && !hidden)
		p->key_wanted = true; /* the decoder may have thrown its state away */
	p->hidden = hidden;
}

void pacer_block(struct pacer *p, bool blocked)
{
	p->blocked = blocked;
}

/* The earliest start of a next frame. */
static usec_t free_at(const struct pacer *p)
{
	uint64_t load = (uint64_t)p->cost_us * 100 / PACER_LOAD_PERCENT;

	return p->any_frame ? usec_add(p->frame_at, FL_MAX(load, PACER_INTERVAL_US)) : 0;
}

static usec_t paid_at(const struct pacer *p)
{
	uint64_t allowed = bits_in(p, PACER_DEBT_US);

	if (p->debt_bits <= allowed)
		return 0;
	return p->debt_at + (p->debt_bits - allowed) * USEC_PER_SEC / p->rate_bps + 1;
}

static usec_t key_due(const struct pacer *p)
{
	return p->any_key ? usec_add(p->key_at, PACER_KEY_GAP_US) : 0;
}

/* Rounded up; 0 for a ratio of at most 1. */
static int qp_steps(uint64_t have, uint64_t want)
{
	int steps = 0;

	want = FL_MAX(want, 1);
	while (have > want && steps < PACER_QP_MAX) {
		have -= have / 9; /* 2^(-1/6) is 0.89 */
		steps++;
	}
	return steps;
}

/* Fine enough for the first look, and through within KEY_TIME_US. */
static int key_qp(const struct pacer *p)
{
	int steps = qp_steps(p->pixels * KEY_BITS_PER_1000_PIXELS / 1000, bits_in(p, KEY_TIME_US));

	return FL_MIN(FL_MAX(PACER_QP_BASE + steps, p->qp), PACER_QP_MAX);
}

static int frame_qp(const struct pacer *p, usec_t now, uint64_t changed_pixels)
{
	bool small = changed_pixels <= p->pixels / SMALL_DIVISOR;

	/* while bits are owed even small changes must not grow finer than the rate carries */
	return small && debt(p, now) <= bits_in(p, PACER_DEBT_US / 2) ? PACER_QP_SHARP : p->qp;
}

int pacer_qp(const struct pacer *p, usec_t now, enum pacer_want want, uint64_t changed_pixels)
{
	if (want == PACER_KEY)
		return key_qp(p);
	return want == PACER_FRAME ? frame_qp(p, now, changed_pixels) : PACER_QP_SHARP;
}

enum pacer_want pacer_next(const struct pacer *p, usec_t now)
{
	if (!p->playing || p->hidden || p->blocked || now < free_at(p))
		return PACER_NOTHING;
	if (p->key_wanted && now >= key_due(p))
		return PACER_KEY;
	if (now < paid_at(p))
		return PACER_NOTHING;
	if (p->dirty)
		return PACER_FRAME;
	return p->coarse && now >= p->refine_at ? PACER_REFINE : PACER_NOTHING;
}

static void note_cost(struct pacer *p, usec_t now, uint32_t cost_us)
{
	p->cost_us = p->any_frame ? (p->cost_us * 3 + cost_us) / 4 : cost_us;
	p->any_frame = true;
	p->frame_at = now;
}

/* Towards thirty frames a second at the rate: quickly coarser, slowly finer. */
static void steer(struct pacer *p, usec_t now, uint64_t bits)
{
	uint64_t budget = p->rate_bps / 30;

	if (bits > budget && debt(p, now) > bits_in(p, PACER_DEBT_US / 2))
		p->qp = FL_MIN(p->qp + FL_MIN((qp_steps(bits, budget) + 1) / 2, 6), PACER_QP_MAX);
	else if (bits < budget * 3 / 4 && p->qp > PACER_QP_BASE)
		p->qp--;
}

void pacer_sent(struct pacer *p, usec_t now, enum pacer_want want, int qp, uint64_t bytes,
		uint32_t cost_us)
{
	uint64_t bits = bytes * 8;

	note_cost(p, now, cost_us);
	if (want == PACER_KEY)
		bits = FL_MIN(bits, bits_in(p, PACER_KEY_DEBT_US));
	p->debt_bits = FL_MIN(debt(p, now) + bits, bits_in(p, PACER_DEBT_MAX_US));
	p->debt_at = now;
	p->dirty = false;
	if (want == PACER_KEY) {
		p->key_wanted = false;
		p->any_key = true;
		p->key_at = now;
	}
	if (want == PACER_FRAME)
		steer(p, now, bytes * 8);
	if (want == PACER_REFINE) {
		if (--p->refine_left <= 0 || bytes <= SHARP_BYTES)
			p->coarse = 0;
		p->refine_at = usec_add(now, PACER_REFINE_GAP_US);
		return;
	}
	if (qp > PACER_QP_SHARP)
		p->coarse = FL_MAX(p->coarse, qp);
	if (p->coarse) {
		p->refine_left = p->refine_rounds;
		p->refine_at = usec_add(now, PACER_STILL_US);
	} else if (want == PACER_FRAME) {
		p->qp = PACER_QP_BASE;
	}
}

void pacer_still(struct pacer *p, usec_t now)
{
	p->frame_at = now;
	p->any_frame = true;
	p->dirty = false;
}

usec_t pacer_deadline(const struct pacer *p, usec_t now)
{
	usec_t at = USEC_NEVER;

	if (!p->playing || p->hidden || !(p->key_wanted || p->dirty || p->coarse))
		return USEC_NEVER;
	if (p->blocked)
		return usec_add(now, PACER_BLOCKED_RETRY_US);
	if (p->key_wanted)
		at = key_due(p);
	if (p->dirty)
		at = usec_min(at, paid_at(p));
	else if (p->coarse)
		at = usec_min(at, FL_MAX(paid_at(p), p->refine_at));
	return FL_MAX(at, free_at(p));
}
