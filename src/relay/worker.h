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

#include "base/list.h"
#include "base/log.h"
#include "io/loop.h"
#include "relay/link.h"
#include "relay/quota.h"
#include "relay/relay.h"
#include "relay/sock_name.h"

struct peer_sockets;
struct stream_clients;
struct tcp_relay;
struct udp_front;
struct udp_path;
struct worker;

/* The driver's side of an allocation: turn_alloc_data(). */
struct relayed { /* what each packet needs comes first, in one line of the cache */
	struct worker *worker;
	struct turn_alloc *alloc;
	struct quota_user *quota;
	struct peer_sockets *udp; /* NULL for a TCP allocation */
	struct link link;
	union sock_name client; /* link's client, for UDP */
	struct tcp_relay *tcp;	/* NULL for a UDP allocation */
	uint16_t ports[2];	/* taken: [0] IPv4, [1] IPv6; 0: none */
	bool counted;		/* by relay_count() */
	struct list node;	/* of the worker */
	struct list offloaded;	/* offload.c's own */
};

struct worker {
	unsigned index;
	struct loop *loop;
	struct turn_server *core;
	struct relay *relay;
	struct settings *settings;	/* of the last reload */
	struct stream_clients *streams; /* stream_front's own, of all fronts of this worker */
	struct relay_snapshot count; /* up, down, clients …: written here, read through snapshots */

	/* worker.c's and the UDP files' own: */
	struct turn_limit *limit;
	struct udp_front *udp_fronts;
	struct udp_path *path;
	struct list relayed, handovers; /* handovers: asked of other workers, not yet answered */
	const struct link *asking;	/* whose message is being judged */
	struct loop_timer timer;	/* the core's deadline */
	struct loop_timer ports_timer;	/* the end of a reservation that was made here */
	usec_t timer_at, wall_at;
	struct log_limit log_open, log_close, log_fail;
	unsigned n_handovers;
};

int worker_create(struct relay *relay, unsigned index, struct settings *settings,
		  struct worker **out) FL_WARN_UNUSED;
void worker_destroy(struct worker *w); /* NULL is fine; ends its allocations without a word */
/* A reload: from now on these. */
void worker_set(struct worker *w, struct settings *settings);
void worker_drain(struct worker *w);

/* Before the core is asked outside of a message: keeps its wall clock true. */
void worker_wake(struct worker *w);

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
/* The same for what can wait: false is not counted as dropped. */
bool worker_try(struct relayed *r, bool up, size_t packets, size_t bytes);

/* One message to a link; false when it was not taken. */
static inline bool link_send(const struct link *l, struct span head, struct span data)
{
	struct link_msg m = { head, data };

	return l->ops->send(l, &m, 1) == 1;
}
