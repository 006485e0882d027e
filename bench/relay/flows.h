/*
 * The flows of a measurement: N clients with an allocation each, and N peers, on two sockets
 * (plan.h). They are set up as a TURN client does it: Allocate, Allocate with credentials,
 * CreatePermission, ChannelBind; or not at all, for a bare forwarder.
 *
 * A server may limit how many requests a second strangers may send, so the set-up is paced, and
 * what is not answered is asked again.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/usec.h"
#include "proto/stun/stun.h"

enum flow_step {
	FLOW_NEW,
	FLOW_ASKED,	 /* Allocate without credentials */
	FLOW_ALLOCATING, /* … and with */
	FLOW_ALLOCATED,
	FLOW_PERMITTING,
	FLOW_BINDING,
	FLOW_READY,
	FLOW_REFRESHING,
	FLOW_REFRESHED,
	FLOW_RELEASING,
	FLOW_GONE,
	FLOW_FAILED,
};

#define FLOW_NONCE_MAX 128 /* RFC 8489 §14.10 allows more; no server here sends it */

struct flow {
	enum flow_step step;
	bool waiting; /* for an answer */
	unsigned tries;
	usec_t asked;
	uint16_t relayed_port;
	uint8_t serial; /* of the request, in its transaction id */
	uint8_t nonce_len;
	uint8_t nonce[FLOW_NONCE_MAX];
};

struct flows {
	struct sockaddr_in server;
	const char *user, *password;
	bool bare; /* the server is a bare forwarder, which knows its clients by their port */
	unsigned n;
	struct flow *flow;
	int client_fd, peer_fd;
	uint16_t client_port;
	unsigned per_second; /* new flows in a phase */
	char realm[128];
	uint8_t key[32];
	unsigned waiting, repeated; /* requests sent again */
};

/* Exits with a message when the sockets cannot be made. */
void flows_open(struct flows *f);
/*
 * Takes all flows as far as FLOW_ALLOCATED, FLOW_READY, FLOW_REFRESHED or FLOW_GONE. False, with a
 * message, when one could not be.
 */
bool flows_take_to(struct flows *f, enum flow_step goal);
/* A bare forwarder's flows are there already, at first_port and up. */
void flows_assume(struct flows *f, uint16_t first_port);
