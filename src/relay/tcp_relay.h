/*
 * TCP allocations (RFC 6062): the listening socket on the relayed address, connections to and from
 * peers, and the pairs of client and peer connections once they are joined. Bytes go through
 * bounded buffers; a slow side slows the other one down, and so does a quota. Until they are
 * joined, what a peer sends waits in the kernel.
 */
#pragma once

#include "relay/worker.h"

struct tcp_relay;

/* fds[0] IPv4, fds[1] IPv6: bound stream sockets, not yet listening, or -1. Takes them over. */
int tcp_relay_create(struct relayed *owner, const int fds[2],
		     struct tcp_relay **out) FL_WARN_UNUSED;
void tcp_relay_destroy(struct tcp_relay *t); /* NULL is fine */
/* TURN_VERDICT_CONNECT. The outcome goes to turn_server_connected(). */
void tcp_relay_connect(struct tcp_relay *t, uint32_t connection, const struct addr *peer);
/* TURN_EVENT_DISCONNECT. */
void tcp_relay_disconnect(struct tcp_relay *t, uint32_t connection);

/* ---- the joined pair: TURN_VERDICT_JOIN, from link_ops.join ---- */

/* The client's half, which stays with stream_front: over WSS its bytes are framed. */
struct tcp_client_ops {
	/* All or nothing. 0; FL_EQUOTA: tcp_pair_drained() follows; else it has ended. */
	int (*write)(void *client, struct span data);
	void (*pause)(void *client, bool pause); /* the end of a pause offers what was left again */
	void (*end)(void *client); /* what is queued, then no more; the client may still speak */
	/* The pair is over; the client's half forgets it. Orderly: what is queued is still sent. */
	void (*close)(void *client, bool orderly);
};

struct tcp_pair;
/* NULL: that connection is gone, end the client's. Valid until tcp_pair_gone() or ops->close. */
struct tcp_pair *tcp_relay_join(struct tcp_relay *t, uint32_t connection,
				const struct tcp_client_ops *ops, void *client);
/* Bytes of the client for the peer. How many were taken; the rest is offered again later. */
size_t tcp_pair_data(struct tcp_pair *p, struct span data);
void tcp_pair_drained(struct tcp_pair *p);
void tcp_pair_eof(struct tcp_pair *p); /* the client says no more, but still listens */
void tcp_pair_gone(struct tcp_pair *p, bool orderly); /* the client's connection is over */
