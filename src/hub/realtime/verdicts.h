/*
 * The hub's word on each session's route: what both ends reported becomes one verdict
 * (report/verdict.h), the console hears it when it changes, it goes into the session's row, and
 * when the session ends it is counted. Kept as values, so that a long report costs no memory.
 */
#pragma once

#include <jansson.h>

#include "hub/store/store.h"
#include "report/verdict.h"

struct session;

/* Embedded in struct session. */
struct session_verdict {
	struct route_seen seen[2]; /* console's, device's */
	bool device_last;	   /* whose report is the newer one */
	bool timed;		   /* its set-up time is counted */
	char *json;		   /* what the console was told last; NULL: nothing yet */
	enum seen_method method;
	enum seen_transport transport;
	enum verdict_cause cause;
	enum verdict_side side;
};

/* A checked Route of one end. */
void verdicts_take(struct session *s, bool from_device, const json_t *route);
/* A running session's, out of its row. */
void verdicts_load(struct session *s, const struct store_session *row);
/* No report will come any more: final, and counted. Once, before the row ends. */
void verdicts_end(struct session *s);
/* To a console that was away. */
void verdicts_tell(struct session *s);
/* For the row; json NULL: there is none. Borrowed until the next report. */
struct store_verdict verdicts_row(const struct session *s);
void verdicts_finish(struct session *s);
