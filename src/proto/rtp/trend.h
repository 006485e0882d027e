/*
 * Is the one-way delay growing? A least-squares line through the delay of groups of packets,
 * against a threshold that adapts to the path's usual jitter (draft-ietf-rmcat-gcc-02 §5, with the
 * trendline filter in place of its Kalman filter).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/usec.h"

#define TREND_WINDOW 20 /* groups */

enum trend_state { TREND_NORMAL, TREND_OVERUSE, TREND_UNDERUSE };

struct trend_group {
	usec_t first_sent, last_sent;
	int64_t first_arrival, last_arrival;
};

struct trend {
	struct trend_group now, before;
	bool has_now, has_before;

	double delay_ms, smoothed_ms; /* summed up; after the exponential filter */
	int64_t origin;		      /* arrival of the first group */
	double x[TREND_WINDOW], y[TREND_WINDOW];
	size_t n, at;
	unsigned deltas;

	double threshold_ms, last_slope, over_ms;
	unsigned over_count;
	int64_t threshold_at; /* arrival when the threshold was last adapted */
	enum trend_state state;
};

void trend_init(struct trend *t);

/* One packet that arrived, in the order they were sent. arrival_us is on the receiver's clock. */
void trend_packet(struct trend *t, usec_t sent_us, int64_t arrival_us);
