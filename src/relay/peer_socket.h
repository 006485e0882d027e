/*
 * The relayed UDP sockets of an allocation, one per address family, and both directions of its user
 * data:
 *
 *	up    what a listener read for it is queued (borrowed, in the order of arrival) and sent by
 *	      peer_path_flush(), socket by socket
 *	down  what peers sent is read into the worker's area, looked up once per run of one peer,
 *and given to the client's link; where that is UDP it leaves with the listener's next flush
 *
 * ICMP errors are read from the sockets' error queues and told to the core (RFC 8656 §11.5).
 */
#pragma once

#include "relay/gro.h"
#include "relay/worker.h"

struct peer_socket { /* what each packet needs comes first, in one line of the cache */
	struct relayed *owner;
	struct peer_socket *next_queued; /* what the present batch has for it: see udp_path.h */
	int fd;				 /* -1: no such family */
	uint16_t first, last;		 /* of the queued, 0: none */
	struct gro gro;
	uint8_t want; /* datagrams that the next read asks for */
	bool v6;
	bool fragments_kept; /* IP_MTU_DISCOVER was set for a DONT-FRAGMENT */
	struct loop_watch watch;
};

struct peer_sockets {
	struct peer_socket at[2]; /* [0] IPv4, [1] IPv6 */
};

/* fds as in tcp_relay_create(): bound, or -1. Takes them over, also on failure. */
int peer_sockets_create(struct relayed *owner, const int fds[2],
			struct peer_sockets **out) FL_WARN_UNUSED;
void peer_sockets_destroy(struct peer_sockets *p); /* NULL is fine */

/* Moving to another worker: stop in the old one's thread, start in the new one's. */
void peer_sockets_stop(struct peer_sockets *p);
int peer_sockets_start(struct peer_sockets *p) FL_WARN_UNUSED;

/* One of two families was given up. */
void peer_sockets_release(struct peer_sockets *p, bool v6);

/* Sends one datagram now. */
void peer_socket_send(struct relayed *r, const struct addr *peer, struct span data,
		      bool dont_fragment);

/* Queues one datagram; data and peer are borrowed until peer_path_flush(). */
void peer_socket_queue(struct peer_socket *s, const struct addr *peer, struct span data);
void peer_path_flush(struct worker *w);

/* Options that every relayed UDP socket gets before bind(). */
void peer_socket_options(int fd, bool v6);
