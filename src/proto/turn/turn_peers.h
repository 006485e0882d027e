/*
 * Which peers the relay may reach: the one place where it is decided. Refused are 0.0.0.0/8 and ::,
 * loopback, link-local, multicast and broadcast, private and reserved ranges, the relay's own
 * addresses, and every IPv6 form that carries one of these (compatible, translated, NAT64, 6to4,
 * Teredo, ISATAP); unless an allowed network names the address. An allowed IPv4 network does not
 * name the IPv6 forms of its addresses, a denied one does. A denied network is always refused.
 * Port 0 and IPv4-mapped addresses are refused in any case: no peer has one.
 *
 * The relay's own relayed addresses are peers of their own kind: behind their ports are other
 * clients, and two who have nothing but this relay must meet there. Where such an address is
 * public, its relayed ports are allowed, and a permission for it, which knows no port; so whatever
 * is sent by a permission alone is to be checked with its port.
 *
 * Immutable once filled, so threads may share it.
 */
#pragma once

#include "base/addr.h"
#include "base/util.h"

#define TURN_PEERS_NETWORKS_MAX 256 /* of each list */
#define TURN_PEERS_RELAYED_MAX 4    /* of each family as told and as bound */

struct turn_network {
	struct addr base;
	unsigned bits;
};

struct turn_peers {
	struct turn_network allow[TURN_PEERS_NETWORKS_MAX], deny[TURN_PEERS_NETWORKS_MAX],
		own[TURN_PEERS_NETWORKS_MAX]; /* own: listeners', relayed and interface addresses */
	size_t n_allow, n_deny, n_own;
	struct addr relayed[TURN_PEERS_RELAYED_MAX]; /* own, with relayed ports */
	size_t n_relayed;
	uint16_t relayed_first, relayed_last;
};

enum turn_peer_verdict {
	TURN_PEER_ALLOWED,
	TURN_PEER_RANGE,  /* a range that a stranger must not reach through us */
	TURN_PEER_OWN,	  /* the relay itself */
	TURN_PEER_DENIED, /* named by the owner */
	TURN_PEER_FORM,	  /* no address, or port 0, or IPv4-mapped */
};

/* "10.0.0.0/8", "192.0.2.1", "fd00::/8"; without a length it is one address. 0 or FL_EMALFORMED:
 * also with a scope, with bits set beyond the length, and for IPv4-mapped ones, which would have no
 * effect. */
int turn_network_parse(const char *text, struct turn_network *out) FL_WARN_UNUSED;

/* with_port false: for permissions, which know no port. */
enum turn_peer_verdict turn_peers_check(const struct turn_peers *p, const struct addr *peer,
					bool with_port);
/* One sentence for logs and answers; never NULL. */
const char *turn_peer_verdict_text(enum turn_peer_verdict v);
