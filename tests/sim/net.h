/*
 * A simulated network in virtual time. Nothing waits: sim_step() goes straight to the next arrival
 * or deadline. All chance comes from one seed, so a failing run is repeated by its seed.
 *
 * The network is made of segments. SIM_INTERNET is there from the start; others are LANs. A host
 * has addresses on one segment. Routers join an inner segment to an outer one, with or without
 * address translation and filtering; several in a row make a carrier-grade NAT. A datagram goes
 *
 *	host → its segment → (router → outer segment)… → (router → inner segment)… → host
 *
 * and meets each segment's delay and loss on the way. What nobody owns is dropped silently, as most
 * networks do.
 *
 * TCP is its datagrams (RFC 4571) without the connection: what is lost comes later instead, nothing
 * is doubled or overtaken, and routers let in only what answers.
 *
 * A host is a set of functions: one is given datagrams, two are its clock. So an ICE agent, a whole
 * peer, or a STUN server are attached in the same way. They send by sim_send() at any time.
 *
 *	struct sim *sim = sim_create(seed);
 *	int home = sim_segment(sim, &(struct sim_path){ .delay_us = 300 });
 *	sim_router(sim, home, SIM_INTERNET, "198.51.100.7", &sim_nat_port_restricted);
 *	struct sim_host *a = sim_host(sim, home, &ops, agent);
 *	sim_host_addr(a, "192.168.1.2");
 *	sim_run(sim, 5 * USEC_PER_SEC);
 */
#pragma once

#include "base/dgram.h"
#include "base/rng.h"
#include "base/usec.h"

#define SIM_INTERNET 0
#define SIM_SEGMENTS_MAX 24
#define SIM_HOSTS_MAX 32
#define SIM_HOST_ADDRS_MAX 32
#define SIM_ROUTERS_MAX 16
#define SIM_MAPPINGS_MAX 256 /* of a router; then the oldest goes */
#define SIM_IN_FLIGHT_MAX 65536
#define SIM_DGRAM_MAX 2048

struct sim;
struct sim_host;

/* What one crossing of a segment does to a datagram. */
struct sim_path {
	usec_t delay_us;
	usec_t jitter_us;   /* 0 … jitter is added, keeping the order */
	unsigned loss;	    /* per 1000 */
	unsigned duplicate; /* per 1000 */
	unsigned reorder;   /* per 1000: overtaken by what follows within reorder_us */
	usec_t reorder_us;
	bool isolated; /* its hosts reach the router, not each other (a guest network) */
	bool no_udp;   /* only TCP passes between its hosts */
};

/* RFC 4787 §4.1, §5 */
enum sim_map {
	SIM_MAP_NONE,	      /* no translation: a plain router or a stateful firewall */
	SIM_MAP_INDEPENDENT,  /* one public port per inner address and port */
	SIM_MAP_ADDRESS,      /* … and remote address */
	SIM_MAP_ADDRESS_PORT, /* … and remote port: "symmetric" */
};

enum sim_filter {
	SIM_FILTER_OPEN,	 /* lets in all that has a mapping (SIM_MAP_NONE: all) */
	SIM_FILTER_ADDRESS,	 /* only from addresses sent to */
	SIM_FILTER_ADDRESS_PORT, /* only from addresses and ports sent to */
};

struct sim_nat {
	enum sim_map map;
	enum sim_filter filter;
	bool hairpin;	       /* inner hosts reach each other by the public address */
	bool blocked;	       /* nothing passes */
	usec_t timeout_us;     /* of an unused mapping; 0: never */
	bool no_udp;	       /* only TCP passes */
	enum addr_family only; /* of one family; ADDR_NONE: all that fits public_ip */
};

extern const struct sim_nat sim_nat_full_cone, sim_nat_restricted, sim_nat_port_restricted,
	sim_nat_symmetric, sim_nat_blocked, sim_router_plain, sim_firewall;

struct sim *sim_create(uint64_t seed);
void sim_destroy(struct sim *sim);
struct rng *sim_rng(struct sim *sim); /* for choices of the scenario; same seed, same choices */
usec_t sim_now(const struct sim *sim);

/* The number of a new segment. */
int sim_segment(struct sim *sim, const struct sim_path *path);
/* Changes a segment from now on, SIM_INTERNET too. */
void sim_segment_set(struct sim *sim, int segment, const struct sim_path *path);
/* A router's number. public_ip: its address on the outer segment; NULL for SIM_MAP_NONE. */
int sim_router(struct sim *sim, int inner, int outer, const char *public_ip,
	       const struct sim_nat *nat);
/* Changes it and forgets all its mappings (a reboot; an interface that goes down: blocked). */
void sim_router_set(struct sim *sim, int router, const struct sim_nat *nat);

struct sim_ops {
	void (*on_dgram)(void *arg, usec_t now, const struct dgram *d);
	usec_t (*deadline)(void *arg); /* NULL: none */
	void (*timeout)(void *arg, usec_t now);
};

struct sim_host *sim_host(struct sim *sim, int segment, const struct sim_ops *ops, void *arg);
void sim_host_addr(struct sim_host *host, const char *ip); /* any port of it is the host's */
/* The same on another segment: a host with several interfaces. */
void sim_host_addr_on(struct sim_host *host, int segment, const char *ip);
/* From d->local to d->remote. Dropped when d->local is not the host's. */
void sim_send(struct sim_host *host, const struct dgram *d);
/* Unplugged: sends and gets nothing, its clock goes on. */
void sim_host_cut(struct sim_host *host, bool cut);

/* A STUN server (Binding only) on port 3478 of ip. */
void sim_stun_server(struct sim *sim, int segment, const char *ip);

/* Calls fn(arg, data) after delay, for signalling and for the scenario's turns. data is copied. */
void sim_after(struct sim *sim, usec_t delay, void (*fn)(void *arg, usec_t now, struct span data),
	       void *arg, struct span data);

/* To the next thing that happens, at most until end. False when nothing is left before it (the
 * clock then stands at end). */
bool sim_step(struct sim *sim, usec_t end);
void sim_run(struct sim *sim, usec_t end); /* until end */

struct sim_stats {
	uint64_t sent, delivered, lost, unroutable, filtered;
};
const struct sim_stats *sim_stats(const struct sim *sim);
