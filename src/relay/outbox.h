/*
 * Datagrams on their way out of one socket: gathered, then sent with one sendmmsg. Consecutive ones
 * of equal length to one destination become one segmented send (UDP_SEGMENT), with their parts
 * gathered by the kernel from wherever they lie. Nothing is copied: the bytes are the caller's
 * until outbox_send().
 */
#pragma once

#include <sys/socket.h>

#include "base/span.h"
#include "base/util.h"
#include "relay/sock_name.h"

#define OUTBOX_MSGS 64
#define OUTBOX_IOVS 1024
#define OUTBOX_SEGMENTS 64     /* UDP_MAX_SEGMENTS of older kernels */
#define OUTBOX_RUN_BYTES 65000 /* below the 65,507 of one UDP datagram */
#define OUTBOX_CONTROL 64      /* UDP_SEGMENT and IPV6_PKTINFO */

struct outbox_msg {
	uint32_t bytes;
	uint16_t segment, count; /* length of all but the last datagram; how many */
	bool closed;		 /* its last datagram was shorter: none may follow */
	union sock_name to;
	struct addr from; /* where one was given */
	_Alignas(struct cmsghdr) uint8_t control[OUTBOX_CONTROL];
};

struct outbox {
	unsigned n, n_iov;
	unsigned plain; /* so many messages go without segmentation, after it had failed */
	struct mmsghdr msgs[OUTBOX_MSGS];
	struct outbox_msg meta[OUTBOX_MSGS];
	struct iovec iov[OUTBOX_IOVS];
};

/*
 * One datagram: head (may be empty) and data. from: the IP to send from, where the socket is bound
 * to the wildcard, else NULL. False: there is no room, send first.
 */
bool outbox_add(struct outbox *o, const union sock_name *to, const struct addr *from,
		struct span head, struct span data) FL_WARN_UNUSED;

/* Sends and empties. Returns how many datagrams the kernel did not take. */
size_t outbox_send(struct outbox *o, int fd);

static inline bool outbox_empty(const struct outbox *o)
{
	return o->n == 0;
}
