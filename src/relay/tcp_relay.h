/*
 * TCP allocations (RFC 6062): the listening socket on the relayed address, connections to and from
 * peers, and the pairs of client and peer connections once they are joined. Bytes go through
 * bounded buffers; a slow side slows the other one down.
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
/* TURN_VERDICT_JOIN: client's stream, with bytes that were read already, becomes the other half. */
struct stream;
void tcp_relay_join(struct tcp_relay *t, uint32_t connection, struct stream *client,
		    struct span already_read);
