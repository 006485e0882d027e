/*
 * A link with delay, in a process of its own: two UDP ports on one
 * address. Side i sends to port[i],
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

/* one_way_us of delay each way, on an IP of this machine, where both sides are too. 0 or negative
 * errno. */
int delay_start(struct delay_link *link, const char *ip, uint64_t one_way_us);
/* The port where side really is. */
int delay_target(const struct delay_link *link, int side, uint16_t port);
void delay_stop(struct delay_link *link);
