/*
 * Users with a limit: which place in the XDP program's array of them is whose. The array is memory
 * shared with the program (maps.h), so limits change without stopping its clocks. Locks by itself.
 */
#pragma once

#include "base/usec.h"
#include "base/util.h"
#include "relay/xdp/xdp.h"

struct xdp_users;

/* map: the array's descriptor, borrowed; it has max entries. 0 or negative errno. */
int xdp_users_create(int map, size_t max, struct xdp_users **out) FL_WARN_UNUSED;
void xdp_users_destroy(struct xdp_users *u); /* NULL is fine */

/* b's user has b's limits from now on, and is known until b->until at least. 0 and the place,
 * -E2BIG when all places are taken, or -ENOMEM. */
int xdp_users_put(struct xdp_users *u, const struct xdp_binding *b, uint32_t *place) FL_WARN_UNUSED;
/* The same for all users together, who have the first place. */
void xdp_users_put_all(struct xdp_users *u, const struct xdp_binding *b);
/* Forgets users whose last binding has ended. */
void xdp_users_sweep(struct xdp_users *u, usec_t now);
