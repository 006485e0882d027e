/*
 * What the XDP program (xdp/xdp.h) is told of allocations: the channels of clients over UDP, as the
 * core's events tell of them, so that their data goes past the workers. Nothing here decides; a
 * binding that cannot be mirrored is relayed by the worker.
 */
#pragma once

#include "io/loop.h"
#include "relay/worker.h"

struct offload;

/* With s->xdp_interface NULL, or when XDP cannot be had (which is logged), *out is NULL and all is
 * relayed by the workers. Negative: no memory. Sweeps in control's thread. */
int offload_create(struct loop *control, const struct settings *s,
		   struct offload **out) FL_WARN_UNUSED;
void offload_destroy(struct offload *o); /* NULL is fine; detaches the program */

/* Adds what went past the workers. NULL is fine. */
void offload_count(const struct offload *o, struct relay_snapshot *out);

/* ---- for one allocation, in its worker's thread; nothing happens without XDP ---- */

/* TURN_EVENT_BINDING. */
void offload_binding(struct relayed *r, const struct turn_event *e);
/* The client comes from elsewhere now, or its limits changed. */
void offload_renew(struct relayed *r);
/* The relayed address of a family is given up. */
void offload_release(struct relayed *r, bool v6);
/* The allocation is over. */
void offload_end(struct relayed *r);
