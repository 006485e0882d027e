/*
 * What can be wrong with a way to the hub, a store or the relay: one stable word each, and the
 * sentence that says what to do about it. docs/check.md explains them all; a test compares the two.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/util.h"

#define CAUSE_FIX_MAX 400

enum check_cause {
	CAUSE_NONE,
	/* names */
	CAUSE_DNS_SILENT,
	CAUSE_DNS_NO_NAME,
	CAUSE_DNS_WILDCARD,
	CAUSE_DNS_PRIVATE,
	/* connections */
	CAUSE_TCP_REFUSED,
	CAUSE_TCP_TIMEOUT,
	CAUSE_TCP_UNREACHABLE,
	CAUSE_LOCAL_FIREWALL,
	CAUSE_IPV6_BROKEN,
	/* TLS */
	CAUSE_NOT_TLS,
	CAUSE_TLS_SILENT,
	CAUSE_TLS_CLOSED,
	CAUSE_TLS_REFUSED,
	CAUSE_TLS_EXPIRED,
	CAUSE_TLS_NOT_YET_VALID,
	CAUSE_TLS_NAME,
	CAUSE_TLS_ISSUER,
	CAUSE_TLS_INVALID,
	CAUSE_INSPECTION,
	CAUSE_INSPECTION_TRUSTED,
	/* what answers */
	CAUSE_CAPTIVE_PORTAL,
	CAUSE_FILTER_PAGE,
	CAUSE_NOT_A_HUB,
	CAUSE_NOT_HTTP,
	CAUSE_HTTP_SILENT,
	CAUSE_HTTP_CLOSED,
	CAUSE_HUB_DOWN,
	CAUSE_STALE_ANSWER,
	CAUSE_HUB_KEY,
	CAUSE_CLOCK_OFF,
	CAUSE_NETWORK_LIST,
	/* realtime */
	CAUSE_WEBSOCKET_STRIPPED,
	CAUSE_WEBSOCKET_DROPPED,
	CAUSE_WEBSOCKET_SILENT,
	/* UDP and the relay */
	CAUSE_UDP_SILENT,
	CAUSE_UDP_REFUSED,
	CAUSE_UDP_UNREACHABLE,
	CAUSE_NOT_STUN,
	CAUSE_TURN_SILENT,
	CAUSE_TURN_CLOSED,
	CAUSE_TURN_REFUSED,
	CAUSE_NOT_TURN,
	CAUSE_UDP_TO_OTHERS,
	CAUSE_RELAY_PORTS,
	CAUSE_MTU_SMALL,
	CAUSE_LOSS,
	CAUSE_LATENCY,
	CAUSE_NAT_SYMMETRIC,
	/* proxies: the words of io/tunnel.h */
	CAUSE_PROXY_LIBRARY,
	CAUSE_PROXY_NAME,
	CAUSE_PROXY_REFUSED,
	CAUSE_PROXY_UNREACHABLE,
	CAUSE_PROXY_TIMEOUT,
	CAUSE_PROXY_CLOSED,
	CAUSE_PROXY_NOT_HTTP,
	CAUSE_PROXY_TLS,
	CAUSE_PROXY_USER,
	CAUSE_PROXY_SCHEME,
	CAUSE_PROXY_PASSWORD,
	CAUSE_PROXY_DENIED,
	CAUSE_PROXY_TARGET,
	/* ourselves */
	CAUSE_INTERNAL,
	CAUSES
};

/* "tcp-refused"; "" for CAUSE_NONE. */
const char *cause_word(enum check_cause cause);
/* CAUSE_INTERNAL for a word that is not in the list. */
enum check_cause cause_of_word(const char *word);
bool cause_is_proxy(enum check_cause cause);

struct cause_at {
	const char *host; /* "": of nothing in particular */
	uint16_t port;
	bool udp;
	const char *by; /* who: an issuer, a proxy; or "" */
};
/* The remedy as a sentence or two; returns out. */
const char *cause_fix(enum check_cause cause, const struct cause_at *at, char out[CAUSE_FIX_MAX]);
