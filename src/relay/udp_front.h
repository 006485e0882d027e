/*
 * Clients over UDP: a listening socket of one worker (SO_REUSEPORT: the kernel gives each client's
 * datagrams to one of them). Reads in batches; ChannelData goes straight to the relayed sockets,
 * all else to the worker. On a socket bound to the wildcard each answer leaves from the address
 * that was asked.
 */
#pragma once

#include "relay/worker.h"

struct udp_front;

/* fd: an inherited socket, taken over, or -1: one is made and bound to at. 0 or negative errno. */
int udp_front_create(struct worker *w, const struct addr *at, int fd,
		     struct udp_front **out) FL_WARN_UNUSED;
void udp_front_destroy(struct udp_front *f); /* NULL is fine */
struct addr udp_front_addr(const struct udp_front *f);
/* Others may bind beside it. */
bool udp_front_shared(const struct udp_front *f);

extern const struct link_ops udp_link_ops;
static inline bool link_is_udp(const struct link *l)
{
	return l->ops == &udp_link_ops;
}

/*
 * A message of a relayed client that is in two parts, or whole in data; borrowed until
 * udp_path_flush(). to: the client's flow.
 */
void udp_front_queue(struct udp_front *f, const struct turn_flow *to, const union sock_name *name,
		     struct span head, struct span data);
/* All fronts of the worker send what is queued; the area of what peers sent is free again. */
void udp_path_flush(struct worker *w);

/* An answer to l: from another listener's address and port, or to another port, where v says so
 * (RFC 5780). */
void udp_front_reply(struct udp_front *f, const struct link *l, const struct turn_verdict *v);
