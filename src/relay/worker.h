/*
 * One worker: a thread's loop, a TURN core, and the sockets that belong to it. The fronts (UDP,
 * streams, DTLS) read messages and call worker_message(); the worker carries verdicts out.
 *
 *	udp_front ─┐                         ┌─ peer_socket (relayed UDP)
 *	stream_front ─ worker_message() ─ core ─ tcp_relay (RFC 6062)
 *	dtls_front ─┘                         └─ link of the client, on the way back
 *
 * Everything here runs in the worker's thread, but worker_post().
 */
#pragma once

#include "io/loop.h"
#include "relay/link.h"
#include "relay/quota.h"
#include "relay/relay.h"

struct peer_sockets;
struct stream_clients;
struct tcp_relay;
struct worker;

/* The driver's side of an allocation: turn_alloc_data(). */
struct relayed {
	struct worker *worker;
	struct turn_alloc *alloc;
	struct link link;
	struct quota_user *quota;
	struct peer_sockets *udp; /* NULL for a TCP allocation */
	struct tcp_relay *tcp;	  /* NULL for a UDP allocation */
};

struct worker {
	unsigned index;
	struct loop *loop;
	struct turn_server *core;
	struct relay *relay;
	struct settings *settings;	/* of the last reload */
	struct stream_clients *streams; /* stream_front's own, of all fronts of this worker */
	struct relay_snapshot count; /* up, down, clients …: written here, read through snapshots */
};

/* One message of a client: asks the core and does what it says. May end the link. */
void worker_message(struct worker *w, const struct link *from, struct span message);
/* The client's connection is gone. */
void worker_link_gone(struct worker *w, const struct link *l);
/* After the core was called by somebody else (tcp_relay): takes its events. */
void worker_take_events(struct worker *w);
/* From any thread: fn(arg) in the worker's. */
int worker_post(struct worker *w, void (*fn)(void *arg), void *arg) FL_WARN_UNUSED;

/* Books user data against quota and counters; false: over quota, drop it. */
bool worker_pass(struct relayed *r, bool up, size_t packets, size_t bytes);
