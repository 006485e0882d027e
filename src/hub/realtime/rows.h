/*
 * A session's rows on their way to the store, each with its audit row in the same transaction. A
 * call that caused one is answered when it is on the disk, not before.
 */
#pragma once

#include <jansson.h>

#include "hub/hub.h"
#include "hub/realtime/rt.h"

enum row_change { ROW_ADD, ROW_ROUTE, ROW_END };

struct row {
	enum row_change change;
	const char *session, *device, *user; /* ids */
	const char *text;		     /* ADD: modules, ROUTE: route (JSON); END: reason */
	bool from_device;		     /* ROUTE */
	struct store_verdict verdict;	     /* ROUTE, END; json NULL: none */
	const char *actor, *action;	     /* of the audit row; not for ROUTE */
	json_t *detail;			     /* taken over */
	struct rt_call *call;		     /* taken over; NULL: nobody waits */
	/* In the loop, with the store's verdict; not after a negative result. May be NULL. */
	void (*stored)(void *arg, const char *session, bool from_device, int err);
	void *arg;
};

/* Copies what it needs. 0 or negative: nothing was submitted, the call is answered with an error.
 */
int rows_submit(struct hub *h, const struct row *row);
