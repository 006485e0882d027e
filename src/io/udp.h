/*
 * UDP sockets in batches: recvmmsg with UDP_GRO, sendmmsg with UDP_SEGMENT for runs of equal-sized
 * datagrams to one address. Tells the local address each datagram came to (IP_PKTINFO), so one
 * socket bound to the wildcard still answers from the right one.
 */
#pragma once

#include "base/dgram.h"
#include "io/loop.h"

struct udp;

struct udp_config {
	struct addr bind;   /* port 0: the kernel chooses */
	int rcvbuf, sndbuf; /* bytes; 0: 1 MiB */
	bool reuse;	    /* SO_REUSEADDR and SO_REUSEPORT, for mDNS */
	int ttl;	    /* unicast and multicast; 0: the system's */
	unsigned dscp;	    /* of what it sends (RFC 2474) */
	/* Optional: the system refused a datagram to this address (-ENETUNREACH, -EPERM …). Called
	 * while the queue is sent; it must not destroy the socket or send by it. */
	void (*on_error)(void *arg, const struct addr *to, int err);
	bool adopt; /* take fd over, also on failure: bound already (inherited) */
	int fd;
};

/* on_batch: the datagrams that one turn read, in order; borrowed. It may destroy the socket. */
int udp_create(struct loop *loop, const struct udp_config *config,
	       void (*on_batch)(void *arg, const struct dgram *dgrams, size_t n), void *arg,
	       struct udp **out) FL_WARN_UNUSED;
void udp_destroy(struct udp *u); /* NULL is fine */

/* Bound address; of a wildcard socket with the wildcard IP. */
struct addr udp_addr(const struct udp *u);

/*
 * Queues; goes out by udp_flush() or at the end of the turn. The bytes are copied. d->local is used
 * as source IP when the socket is bound to the wildcard. 0, FL_EQUOTA when the queue is full (the
 * datagram is dropped, as a network would), -ENOMEM.
 */
int udp_send(struct udp *u, const struct dgram *d);
void udp_flush(struct udp *u);

int udp_join(struct udp *u, const struct addr *group, unsigned ifindex) FL_WARN_UNUSED;

struct udp_stats {
	uint64_t received, sent, dropped, send_errors;
	int last_error; /* of a send: -ENETUNREACH, -EPERM … */
};
const struct udp_stats *udp_stats(const struct udp *u);
