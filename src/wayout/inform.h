/*
 * Asks the DHCP server of the network for its PAC file (DHCPINFORM, RFC 2131 §4.4.3), on the
 * interface of the default route. It needs the right to port 68; without it there is no answer, and
 * the leases that are written down have to do (leases.h).
 */
#pragma once

#include "base/span.h"
#include "io/loop.h"
#include "wayout/network.h"

#define INFORM_US (1000 * USEC_PER_MSEC)
#define INFORM_AGAIN_US (300 * USEC_PER_MSEC)

struct inform;

/* Once, later. pac: option 252, borrowed, in it anything; empty: none was sent. err: 0, -ETIMEDOUT,
 * -EACCES …; FL_EMALFORMED: what came was no DHCP. */
typedef void informed(void *arg, int err, struct span pac);

/* 0, or negative: it cannot be asked from here. */
int inform_start(struct loop *loop, const struct network *network, informed *fn, void *arg,
		 struct inform **out) FL_WARN_UNUSED;
void inform_cancel(struct inform *i); /* NULL is fine; from inside fn too */
