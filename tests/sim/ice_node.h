/*
 * An ICE agent as a host of the simulated network, with a signalling channel to another one that
 * delays each message on its own, so that candidates and descriptions come in any order. Candidates
 * travel as text. Whatever the agent must never do (a deadline that is not in the future, an
 * unknown event) aborts.
 */
#pragma once

#include "proto/ice/ice.h"
#include "stack.h"

struct ice_node {
	struct sim *sim;
	struct sim_host *host;
	struct stack stack;
	struct ice *ice;
	struct rng rng;
	struct ice_node *other;
	usec_t signal_min, signal_spread; /* each message takes min … min + spread */
	uint16_t next_port;
	bool ordered; /* signalling keeps the order */
	usec_t last_signal;
	bool mute;	  /* its candidates are not signalled */
	bool hides_hosts; /* its host candidates are not (a browser with .local names) */
	bool renomination;

	enum ice_state states[64]; /* every state it was in */
	size_t n_states;
	usec_t connected_at; /* first time; 0: not yet */
	unsigned candidates, gathered, paths, roles;
	unsigned data; /* datagrams received that are no STUN */
	usec_t data_at;
};

void ice_node_init(struct ice_node *n, struct sim *sim, int segment, bool controlling);
void ice_node_finish(struct ice_node *n);
void ice_node_link(struct ice_node *a, struct ice_node *b, usec_t signal_min, usec_t spread);

void ice_node_addr(struct ice_node *n, const char *ip, enum ice_net net);
/* On an interface of its own; with tcp an active and a passive candidate as well. */
void ice_node_addr_on(struct ice_node *n, int segment, const char *ip, enum ice_net net, bool tcp);
/* A relayed candidate once the relay has answered. */
void ice_node_relay(struct ice_node *n, const char *ip, const char *relay, enum dgram_via way);
void ice_node_stun(struct ice_node *n, const char *server);
void ice_node_ready(struct ice_node *n); /* end of locals */
/* Sends the credentials over; the other side takes them as an offer or answer would do, and, when
 * it runs already, restarts. */
void ice_node_describe(struct ice_node *n);
void ice_node_restart(struct ice_node *n);
/* One datagram of data by ice_path(); false when there is none. */
bool ice_node_send(struct ice_node *n);
void ice_node_turn(struct ice_node *n); /* drains; after direct calls on n->ice */

bool ice_node_was(const struct ice_node *n, enum ice_state state);
/* Both connected, on the same pair seen from both ends. */
bool ice_nodes_agree(const struct ice_node *a, const struct ice_node *b);
/* The selected pair's candidate types, local as the other side sees it. */
bool ice_node_selected(const struct ice_node *n, struct ice_pair_info *out);
