/*
 * The driver's side of an allocation: made for TURN_VERDICT_OPEN (quota, ports, sockets), ended
 * after TURN_EVENT_CLOSED.
 */
#pragma once

#include "relay/worker.h"

/* out->code tells what became of it; with 0 the result is what out->data points at, else NULL. */
struct relayed *relayed_open(struct worker *w, const struct link *from, const struct turn_open *o,
			     struct turn_opened *out);
/* Gives everything back. NULL is fine. */
void relayed_close(struct relayed *r);
/* One of a UDP allocation's two families was given up (TURN_EVENT_RELEASED). */
void relayed_release(struct relayed *r, bool v6);

/* The client's way is now l, or none. */
void relayed_set_link(struct relayed *r, const struct link *l);

/* Part of a worker: the list, and the figures. */
void relayed_join(struct relayed *r, struct worker *w);
void relayed_leave(struct relayed *r);
