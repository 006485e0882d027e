/*
 * What one end's route report (docs/protocol.md §1.1) proves, as a value without pointers, so that
 * a hub can keep it for every session. The report is hostile: nothing of its text is taken over,
 * only words out of fixed lists, counts, and addresses that could be parsed. What is missing or
 * makes no sense counts as not seen.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"

enum seen_method { SEEN_NONE, SEEN_LOCAL, SEEN_PUNCHED, SEEN_RELAYED, SEEN_METHODS };
/* In the order in which they are worse. */
enum seen_transport { SEEN_UDP, SEEN_TCP, SEEN_TLS, SEEN_WSS, SEEN_TRANSPORTS };
/* RFC 4787 §4.1 and §5. */
enum seen_mapping {
	SEEN_MAPPING_UNKNOWN,
	SEEN_MAPPING_NONE,
	SEEN_MAPPING_INDEPENDENT,
	SEEN_MAPPING_ADDRESS,
	SEEN_MAPPING_PORT
};
enum seen_filtering {
	SEEN_FILTERING_UNKNOWN,
	SEEN_FILTERING_OPEN,
	SEEN_FILTERING_ADDRESS,
	SEEN_FILTERING_PORT
};

/* How servers were reached. */
enum seen_way {
	SEEN_BY_UDP,
	SEEN_BY_STREAM,	    /* TCP, TLS or WSS straight, at another port than 443 */
	SEEN_BY_STREAM_443, /* the same at 443 */
	SEEN_BY_PROXY,	    /* through the HTTP proxy of the way out */
	SEEN_WAYS
};

struct seen_servers {
	uint8_t answered, refused, silent, failed, asking;
};

#define SEEN_ADDRS_MAX 4

struct route_seen {
	bool reported;
	enum seen_method method;
	enum seen_transport transport;
	bool tcp;	  /* the pair in use speaks TCP between the ends */
	int32_t setup_ms; /* -1: not told */

	struct seen_servers servers[SEEN_WAYS]; /* all of them */
	struct seen_servers relays;		/* those with TURN, by whatever way */
	uint16_t port[SEEN_TRANSPORTS];		/* of a relay that answered by it; 0: none */
	uint16_t refused_code;			/* of a relay; 0: none */
	enum seen_mapping mapping;
	enum seen_filtering filtering;

	/* own addresses for direct routes: of which family; hidden: a browser does not say */
	bool v4, v6, hidden;
	bool only_relay;   /* it offered nothing else */
	bool reflexive[2]; /* own, and the other end's, server-reflexive candidates */
	struct addr mapped[SEEN_ADDRS_MAX]; /* IPv4 addresses that servers saw; no port */
	unsigned n_mapped;
	struct addr hosts[SEEN_ADDRS_MAX]; /* own private IPv4 addresses of real interfaces */
	unsigned n_hosts;
	unsigned n_remote; /* the other end's candidates, as far as told */

	/* checks of pairs without a relay, over UDP; and of those, between two private addresses */
	uint32_t direct_sent, direct_answered, direct_received;
	bool lan_silent;    /* at least one was checked, none answered */
	struct addr lan[2]; /* such a pair: own address, the other's */
};

/* route: a Route object, or NULL or anything else: nothing was seen. */
void route_seen_take(const json_t *route, struct route_seen *out);
