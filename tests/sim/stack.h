/*
 * What lies between an agent and the simulated network: TCP connections that go out from an active
 * candidate's port 9, and addresses at a relay. The agent sends and gets datagrams by the addresses
 * it knows; here they are wrapped and unwrapped. The relay speaks no TURN, but does what TURN does:
 * an allocation per five-tuple with an address of each family, asked for until it is answered, and
 * only peers that were sent to may send.
 */
#pragma once

#include "net.h"

#define STACK_CONNS_MAX 256
#define STACK_ALLOCS_MAX 4
#define STACK_RELAYED_MAX 2 /* addresses of an allocation */
#define RELAY_PORT 3478
#define RELAY_CLIENTS_MAX 16

struct stack_ops {
	void (*on_dgram)(void *arg, usec_t now, const struct dgram *d);
	/* An allocation is there; way: how the relay is reached. */
	void (*on_relayed)(void *arg, usec_t now, const struct addr *relayed, enum dgram_via way);
};

struct stack_alloc {
	struct addr base, server, relayed[STACK_RELAYED_MAX];
	size_t n_relayed;
	enum dgram_via way;
	unsigned tries;
	struct stack *stack;
};

struct stack {
	struct sim *sim;
	struct sim_host *host;
	struct stack_ops ops;
	void *arg;
	struct {
		struct addr local, remote; /* local with its own port */
	} conns[STACK_CONNS_MAX];
	size_t n_conns;
	struct stack_alloc allocs[STACK_ALLOCS_MAX];
	size_t n_allocs;
};

void stack_init(struct stack *s, struct sim *sim, struct sim_host *host,
		const struct stack_ops *ops, void *arg);
/* Asks for an address at the relay from now on; base: an IP of the host. */
void stack_allocate(struct stack *s, const struct addr *base, const struct addr *server,
		    enum dgram_via way);
void stack_send(struct stack *s, const struct dgram *d);
/* What came to the host. */
void stack_input(struct stack *s, usec_t now, const struct dgram *d);

/* The relay, on the internet, with an address of each family. Freed with free() after the sim. */
struct relay;
struct relay *relay_create(struct sim *sim, const char *v4, const char *v6);
