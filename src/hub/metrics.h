/*
 * The hub's figures for monitoring (--metrics ADDR:PORT): an HTTP listener of its own with
 *
 *	/metrics	Prometheus' text format (version 0.0.4)
 *	/health		200 while it runs
 *
 * Labels are words from fixed lists and ids of places. The first METRICS_PLACES_MAX places whose
 * devices had a session are told apart, the others are "other"; nothing that a device or a console
 * chooses ever becomes a label.
 */
#pragma once

#include "base/buf.h"
#include "hub/hub.h"
#include "report/seen.h"

struct session;

#define METRICS_PLACES_MAX 200
#define METRICS_TEXT_MAX (2 * 1024 * 1024)

/* 0 or negative errno: the address cannot be listened on. */
int hub_metrics_create(struct hub *h, const struct addr *at,
		       struct hub_metrics **out) FL_WARN_UNUSED;
void hub_metrics_destroy(struct hub_metrics *m); /* NULL is fine, here and below */

/* The first report with a set-up time, in milliseconds. */
void hub_metrics_set_up(struct hub_metrics *m, enum seen_method method, int32_t ms);
/* A session that had a verdict is over. */
void hub_metrics_routed(struct hub_metrics *m, const struct session *s);

/* The whole text of /metrics. 0, FL_EQUOTA, -ENOMEM. */
int hub_metrics_text(struct hub_metrics *m, struct buf *out) FL_WARN_UNUSED;
