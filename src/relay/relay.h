/*
 * The relay as a running thing: workers, one thread and one loop each, that share nothing but what
 * is immutable (settings), counted (quotas) or locked for a moment (relayed ports, hand-overs). The
 * control thread, whose loop is given here, starts and ends them and asks them for figures.
 */
#pragma once

#include "io/loop.h"
#include "proto/turn/turn_server.h"
#include "relay/settings.h"

struct relay;

/* What all workers counted, in sums. */
struct relay_snapshot {
	struct turn_server_stats turn;
	struct relay_flow_count {
		uint64_t packets, bytes;
	} up[TURN_TRANSPORTS], down[TURN_TRANSPORTS]; /* user data, by the client's transport */
	struct relay_flow_count offloaded_up, offloaded_down; /* by XDP */
	uint64_t clients[TURN_TRANSPORTS]; /* open connections; allocations for UDP */
	uint64_t allocations[TURN_TRANSPORTS];
	uint64_t over_quota, send_errors, handshakes_failed, ports_free;
	unsigned workers;
};

/* Binds everything, starts the workers. 0, or negative with a sentence in why: nothing is left
 * behind. */
int relay_create(struct loop *control, struct settings *settings, struct relay **out,
		 char why[256]) FL_WARN_UNUSED;
void relay_destroy(struct relay *r); /* NULL is fine; ends all allocations, joins the threads */

/* New users, secrets, certificates, peers and quotas in every worker; allocations live on. */
void relay_reload(struct relay *r, struct settings *settings);

/* No new allocations; on_empty when the last one is gone. */
void relay_drain(struct relay *r, void (*on_empty)(void *arg), void *arg);

/* Asks all workers; fn is called in the control thread when the last has answered. */
int relay_snapshot(struct relay *r, void (*fn)(void *arg, const struct relay_snapshot *s),
		   void *arg) FL_WARN_UNUSED;

/* The n-th listener as bound (port 0 was resolved), for the log and for tests. */
struct addr relay_listener_addr(const struct relay *r, size_t n);

/* ---- for workers ---- */

struct offload;
struct quotas;
struct shared_ports;
struct worker;

struct worker *relay_worker(struct relay *r, unsigned index); /* NULL: there is none */
struct quotas *relay_quotas(struct relay *r);
struct shared_ports *relay_ports(struct relay *r);
struct offload *relay_offload(struct relay *r);			     /* NULL: no XDP */
const struct stun_behaviour *relay_behaviour(const struct relay *r); /* NULL: not offered */
const uint8_t *relay_ticket_key(const struct relay *r);
/* An allocation came to be, or is over; it may move from worker to worker in between. Any thread.
 */
void relay_count(struct relay *r, bool more);
