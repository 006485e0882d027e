#include "proto/rtp/trend.h"

#include <math.h>

#define GROUP_US 5000	 /* packets sent within this belong together */
#define RESET_US 2000000 /* a pause this long ends a trend */
#define SMOOTHING 0.9
#define GAIN 4.0
#define DELTAS_MAX 60
#define THRESHOLD_START_MS 12.5
#define THRESHOLD_MIN_MS 6.0
#define THRESHOLD_MAX_MS 600.0
#define THRESHOLD_UP 0.0087 /* per ms, gcc-02 §5.4 */
#define THRESHOLD_DOWN 0.039
#define OUTLIER_MS 15.0 /* beyond the threshold by this: do not adapt to it */
#define OVERUSE_MS 10.0 /* overuse must last this long */

void trend_init(struct trend *t)
{
	*t = (struct trend){ .threshold_ms = THRESHOLD_START_MS };
}

static void restart(struct trend *t)
{
	double threshold = t->threshold_ms;

	trend_init(t);
	t->threshold_ms = threshold;
}

/* Slope of the line through the window, ms of delay per ms. */
static double fit_slope(const struct trend *t)
{
	double mx = 0, my = 0, num = 0, den = 0;

	for (size_t i = 0; i < t->n; i++) {
		mx += t->x[i] / (double)t->n;
		my += t->y[i] / (double)t->n;
	}
	for (size_t i = 0; i < t->n; i++) {
		num += (t->x[i] - mx) * (t->y[i] - my);
		den += (t->x[i] - mx) * (t->x[i] - mx);
	}
	return den > 0 ? num / den : 0;
}

static void adapt_threshold(struct trend *t, double value, int64_t arrival)
{
	double distance = fabs(value) - t->threshold_ms;
	double dt = fmin((double)(arrival - t->threshold_at) / 1000, 100);

	t->threshold_at = arrival;
	if (distance > OUTLIER_MS || dt < 0)
		return;
	t->threshold_ms += (distance < 0 ? THRESHOLD_DOWN : THRESHOLD_UP) * distance * dt;
	t->threshold_ms = fmin(fmax(t->threshold_ms, THRESHOLD_MIN_MS), THRESHOLD_MAX_MS);
}

static void judge(struct trend *t, double slope, double sent_ms, int64_t arrival)
{
	double value = (t->deltas < DELTAS_MAX ? t->deltas : DELTAS_MAX) * slope * GAIN;

	if (value > t->threshold_ms) {
		t->over_ms += t->over_count ? sent_ms : sent_ms / 2;
		t->over_count++;
		if (t->over_ms > OVERUSE_MS && t->over_count > 1 && slope >= t->last_slope)
			t->state = TREND_OVERUSE;
	} else {
		t->over_ms = 0;
		t->over_count = 0;
		t->state = value < -t->threshold_ms ? TREND_UNDERUSE : TREND_NORMAL;
	}
	t->last_slope = slope;
	adapt_threshold(t, value, arrival);
}

static void group_done(struct trend *t)
{
	double sent_ms = (double)(t->now.last_sent - t->before.last_sent) / 1000;
	double arrived_ms = (double)(t->now.last_arrival - t->before.last_arrival) / 1000;

	if (t->deltas++ == 0)
		t->origin = t->now.last_arrival;
	t->delay_ms += arrived_ms - sent_ms;
	t->smoothed_ms = SMOOTHING * t->smoothed_ms + (1 - SMOOTHING) * t->delay_ms;
	t->x[t->at] = (double)(t->now.last_arrival - t->origin) / 1000;
	t->y[t->at] = t->smoothed_ms;
	t->at = (t->at + 1) % TREND_WINDOW;
	if (t->n < TREND_WINDOW)
		t->n++;
	if (t->n == TREND_WINDOW)
		judge(t, fit_slope(t), sent_ms, t->now.last_arrival);
}

/* Sent together, or held up on the way and let go together (gcc-02 §5.2). */
static bool same_group(const struct trend_group *g, usec_t sent, int64_t arrival)
{
	int64_t between = arrival - g->last_arrival;

	if (sent - g->first_sent <= GROUP_US)
		return true;
	return between <= GROUP_US && between < (int64_t)(sent - g->last_sent) &&
	       arrival - g->first_arrival < 100000;
}

void trend_packet(struct trend *t, usec_t sent, int64_t arrival)
{
	if (t->has_now && (sent < t->now.first_sent))
		return; /* out of order: says nothing about the trend */
	if (t->has_now && sent - t->now.last_sent > RESET_US)
		restart(t);
	if (t->has_now && same_group(&t->now, sent, arrival)) {
		t->now.last_sent = sent;
		if (arrival > t->now.last_arrival)
			t->now.last_arrival = arrival;
		return;
	}
	if (t->has_now) {
		if (t->has_before)
			group_done(t);
		t->before = t->now;
		t->has_before = true;
	}
	t->now = (struct trend_group){ sent, sent, arrival, arrival };
	t->has_now = true;
}
