/*
 * A link with delay, in a process of its own: two UDP ports on 127.0.0.1. Side i sends to port[i],
 * which it takes for the other side; after the delay the datagram leaves from the other port to the
 * other side. In place of netem, which not every kernel has.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

struct delay_link {
	pid_t pid;
	uint16_t port[2];
	int control;
};

/* one_way_us of delay each way. 0 or negative errno. */
int delay_start(struct delay_link *link, uint64_t one_way_us);
/* Where side really is. */
int delay_target(const struct delay_link *link, int side, uint16_t port);
void delay_stop(struct delay_link *link);
