/*
 * A whole peer (src/peer/core.h) as a host of the simulated network, with signalling to another one
 * that takes a fixed time. It keeps what happened to it, says back what comes in on channels that
 * the other side opened, and aborts on what must never be.
 */
#pragma once

#include "net.h"
#include "peer/core.h"

#define PEER_NODE_LOG_MAX 256

struct peer_node;

/* What lies between a node's peer and its host, such as a client of a relay. True: taken. */
struct peer_node_between {
	bool (*send)(struct peer_node *n, usec_t now, const struct dgram *d);
	bool (*receive)(struct peer_node *n, usec_t now, const struct dgram *d);
	usec_t (*deadline)(struct peer_node *n);
	void (*timeout)(struct peer_node *n, usec_t now);
	void (*candidate)(struct peer_node *n, usec_t now); /* one of the other side came */
};

struct peer_node {
	const struct peer_node_between *between; /* or NULL */
	void *between_arg;
	struct sim *sim;
	struct sim_host *host;
	struct peer *peer;
	struct dtls_identity *identity;
	struct peer_node *other;
	struct rng rng;
	usec_t signal_delay;
	uint16_t next_port;
	bool offerer;
	bool foreign;	    /* its descriptions do not say that it is libfairlead */
	const char *claims; /* this fingerprint in its descriptions instead of its own */
	bool wants_video;   /* its descriptions have a section that receives VP8, with mid "v" */

	unsigned videos; /* that became ready to send */
	unsigned connected, routes, disconnected, opened, closed, failed, channels_closed, messages;
	usec_t opened_at, first_message_at, connected_at;
	int channel; /* the latest that opened */
	bool echoed;
	uint32_t next_number; /* messages of 4 bytes count up from 0: what the next one must be */
	bool out_of_order;
	char last_failure[160];
	uint64_t bytes_out, bytes_in; /* of packets with IPv4 and UDP; of messages */
};

void peer_node_init(struct peer_node *n, struct sim *sim, int segment, const char *ip,
		    const char *stun);
/* The same with a policy. */
void peer_node_init_with(struct peer_node *n, struct sim *sim, int segment, const char *ip,
			 const char *stun, const struct peer_policy *policy);
void peer_node_link(struct peer_node *offerer, struct peer_node *answerer, usec_t signal_delay);
void peer_node_finish(struct peer_node *n);
void peer_node_turn(struct peer_node *n); /* drains; after direct calls on n->peer */
void peer_node_offer(struct peer_node *n, const char *label);
/* Sends count numbers on the channel, from first on; those that do not fit are left: the count. */
unsigned peer_node_count(struct peer_node *n, uint32_t first, unsigned count);
