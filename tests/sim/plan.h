/*
 * A random scenario for two ICE agents: where each end is, what it may use, what the network does
 * to packets, when things happen. Drawn from one seed as plain data, so that the same scenario can
 * be built twice: for the agents, and without loss or delay for the oracle (oracle.h).
 */
#pragma once

#include "proto/ice/ice.h"
#include "stack.h"

#define PLAN_STUN_1 "203.0.113.3"
#define PLAN_STUN_2 "203.0.113.4"
#define PLAN_STUN_V6 "2001:db8:ffff::3"
#define PLAN_RELAY "203.0.113.10"
#define PLAN_RELAY_V6 "2001:db8:ffff::10"
#define PLAN_PLACES_MAX 28
#define PLAN_NATS_MAX 2
#define PLAN_TCP_MAX 6 /* addresses with TCP candidates */

/* How the second end's network lies to the first one's. */
enum plan_meet {
	PLAN_APART, /* nothing in common but the internet */
	PLAN_ONE_LAN,
	PLAN_ROUTED,	  /* two VLANs with a plain router in between, one way out */
	PLAN_ONE_CARRIER, /* two homes behind the same carrier's NAT */
};

struct plan_end {
	bool v4, v6;
	unsigned n_nats;		    /* 0: a public IPv4 address */
	struct sim_nat nats[PLAN_NATS_MAX]; /* from the home outwards */
	bool firewall;
	bool no_udp; /* its way out lets only TCP pass */
	bool stun, stun_twice;
	bool relay_udp, relay_tcp;
	bool tcp;    /* ICE-TCP candidates */
	bool uplink; /* a second network with a NAT of its own */
	bool symmetric_uplink;
	unsigned idle;	     /* interfaces that lead nowhere */
	unsigned containers; /* the same, known to be virtual */
	bool hides_hosts, renomination;
	usec_t late_us;	 /* when the second half of its addresses comes; 0: at once */
	usec_t relay_us; /* when it asks the relay */
};

struct plan {
	struct plan_end end[2];
	enum plan_meet meet;
	bool isolated, lan_no_udp; /* of a LAN in common */
	bool vpn;		   /* both are on one */
	bool same_private;	   /* both homes gave out the same address */
	struct sim_path internet, lan;
	bool controlling[2];
	usec_t signal_min, signal_spread;
	int restarts_who; /* -1: nobody */
	usec_t restart_us;
};

/* An address of an end, on its segment. */
struct plan_place {
	int segment;
	char ip[48];
	enum ice_net net;
	bool out; /* STUN servers and the relay are tried from here */
};

struct plan_places {
	struct plan_place place[PLAN_PLACES_MAX];
	unsigned n;
};

void plan_random(struct plan *p, uint64_t seed);
/* Segments, routers, servers and the relay; where the two ends are. ideal: nothing is lost or late.
 */
struct relay *plan_build(const struct plan *p, struct sim *sim, bool ideal,
			 struct plan_places places[2]);
void plan_print(const struct plan *p);
