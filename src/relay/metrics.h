/*
 * The relay's figures for monitoring: an HTTP listener of its own on the control loop, with
 *
 *	/metrics	Prometheus' text format (version 0.0.4)
 *	/health		200 while new clients are welcome, 503 while draining or when a worker hangs
 *
 * Labels are transport, direction, reason, kind, method and result, each from a fixed list; nothing
 * that a client chooses ever becomes one. Who serves them is monitor/monitor.h.
 */
#pragma once

#include "base/buf.h"
#include "io/loop.h"
#include "relay/relay.h"

#define METRICS_TEXT_MAX (64 * 1024)

/* What the control thread knows besides the workers' figures. */
struct metrics_facts {
	int64_t started_s;	     /* Unix time */
	int64_t certificate_until_s; /* 0: there is none */
	bool draining;
	uint64_t reloads, reload_failures; /* of the config, or of the certificate alone */
	bool reload_failed;		   /* the last one of the config */
};

struct metrics;

/* facts is borrowed and read at each request. 0 or negative errno. */
int metrics_create(struct loop *control, const struct addr *at, struct relay *relay,
		   const struct metrics_facts *facts, struct metrics **out) FL_WARN_UNUSED;
/* After relay_destroy(), which may still answer. NULL is fine. */
void metrics_destroy(struct metrics *m);
struct addr metrics_addr(const struct metrics *m);

/* The whole text of /metrics. 0, FL_EQUOTA, -ENOMEM. */
int metrics_text(const struct relay_snapshot *s, const struct metrics_facts *facts,
		 struct buf *out) FL_WARN_UNUSED;
