/*
 * What consoles and devices are told to find their way: STUN servers, and TURN servers with
 * credentials that are made here, for who asked and for some hours, from the secret that the relay
 * shares with the hub. A name left out in the configuration is the hub's own, as the asker called
 * it.
 */
#pragma once

#include <jansson.h>

#include "hub/hub.h"
#include "policy/policy.h"

#define ICE_SERVERS_LIFE_S (12 * 3600)

/*
 * {"iceServers":[…],"expires":unixMs} for who, who reached the hub by this Host. What a complete
 * policy does not allow is left out, and it is in the answer as "policy"; NULL: everything, and
 * none. NULL: no memory.
 */
json_t *ice_servers_for(const struct hub *h, const char *host, const char *who,
			const struct policy *policy);

/* The relays' URLs alone; policy NULL: all. NULL: no memory. */
json_t *ice_servers_turn_urls(const struct hub *h, const char *host, const struct policy *policy);

/* "turn:host:3478?transport=udp", "turns::5349" (the hub's own name). */
bool ice_servers_turn_valid(const char *url);
