/* UDP sockets inside a range of ports, so that a firewall can be opened narrowly. */
#pragma once

#include "io/udp.h"

struct ports {
	uint16_t min, max; /* 0, 0: any */
};

/*
 * As udp_create(), at a free port of the range, begun at a random place of it; config's own port is
 * not looked at then. -EADDRINUSE: all of them are taken.
 */
int ports_udp_create(struct loop *loop, const struct ports *ports, const struct udp_config *config,
		     void (*on_batch)(void *arg, const struct dgram *dgrams, size_t n), void *arg,
		     struct udp **out) FL_WARN_UNUSED;
