/*
 * URLs of ICE servers: "stun:host[:port]" (RFC 7064) and "turn[s]:host[:port][?transport=udp|tcp]"
 * (RFC 7065). Beyond the RFC, "turns:host?transport=wss" is TURN in WebSocket frames, for our own
 * relay behind networks that pass nothing but HTTPS.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/util.h"
#include "proto/turn/turn.h"

#define ICE_URL_HOST_MAX 255

struct ice_url {
	bool turn; /* else STUN, which is UDP */
	enum turn_transport transport;
	char host[ICE_URL_HOST_MAX + 1]; /* without the brackets of an IPv6 address */
	uint16_t port;			 /* that of the scheme when the URL has none */
};

/* 0; FL_EMALFORMED; FL_EUNSUPPORTED: another scheme or transport. */
int ice_url_parse(const char *url, struct ice_url *out) FL_WARN_UNUSED;
