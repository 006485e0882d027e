/*
 * User data over flows that are ready, as fast as the server takes it or at a given rate, and the
 * count of what arrived. Sends and receives by batches from two sockets, so that it is faster than
 * what it measures. Each payload tells its flow and when it was sent; what comes from the wrong
 * relayed port or channel is an error.
 */
#pragma once

#include "flows.h"

enum traffic_direction { TRAFFIC_UP, TRAFFIC_DOWN, TRAFFIC_ECHO };

#define TRAFFIC_SIZE_MIN 16
#define TRAFFIC_SIZE_MAX 1400
#define TRAFFIC_BURST_MAX 16

struct traffic_plan {
	enum traffic_direction direction;
	size_t size;	 /* bytes of user data in a packet */
	unsigned burst;	 /* packets of one flow in a row, sent at once (UDP_SEGMENT) */
	unsigned window; /* packets under way */
	unsigned rate;	 /* packets a second; 0: as the window allows */
	bool direct;	 /* past the server, from client to peer: what the measure itself takes */
	double warm_s, seconds;
	unsigned first_flow;	     /* sends first; the others follow in turn */
	void (*on_begin)(void *arg); /* the measured time begins; may be NULL, as on_end */
	void (*on_end)(void *arg);
	void *arg;
};

struct traffic_result {
	double seconds;		/* measured time */
	uint64_t relayed;	/* packets by the server in it; an echo counts twice */
	uint64_t sent, arrived; /* in all, with warm-up; sent - arrived were lost */
	uint64_t strays;	/* from the wrong port, on the wrong channel, of the wrong size */
	double idle;		/* share of the time with nothing to send or to receive */
	double p50_us, p95_us, p99_us; /* one way, or there and back for an echo; when paced */
};

/* Exits with a message when there is no memory. */
void traffic_run(struct flows *f, const struct traffic_plan *plan, struct traffic_result *result);
