/* Inside peer/: what is around one core. driver.c has the sockets and the timer, names.c turns
 * names into addresses, api.c has the public functions. */
#pragma once

#pragma GCC visibility push(default)
#include <fairlead/peer.h>
#pragma GCC visibility pop

#include "io/ifaces.h"
#include "io/loop.h"
#include "io/resolve.h"
#include "io/udp.h"
#include "peer/core.h"
#include "proto/mdns/mdns.h"

#define DRIVER_SOCKETS_MAX 32
#define DRIVER_LOOKUPS_MAX 32
#define DRIVER_HOST_MAX 255

struct fl_identity {
	struct dtls_identity *dtls;
};

struct driver_socket {
	struct fl_peer *peer;
	struct udp *udp; /* NULL: free */
	struct addr addr;
};

/* A name on its way to an address: a STUN server's, or a candidate's. */
struct driver_lookup {
	struct fl_peer *peer;
	bool used, mdns;
	struct resolve *resolve; /* a STUN server's name, while the system's resolver is at it */
	struct ice_candidate candidate; /* one with a .local name, while mdns is at it */
};

struct fl_peer {
	struct loop *loop;
	struct peer *core;
	struct loop_timer timer;
	struct ifaces_watch *ifaces;
	bool loopback;
	uint16_t port_min, port_max;
	struct driver_socket sockets[DRIVER_SOCKETS_MAX];
	struct driver_lookup lookups[DRIVER_LOOKUPS_MAX];
	unsigned n_server_lookups;
	/* .local names; NULL where port 5353 cannot be had */
	struct mdns *mdns;
	struct udp *mdns_udp;
	struct loop_timer mdns_timer;
};

int driver_init(struct fl_peer *p, const struct fl_peer_config *config) FL_WARN_UNUSED;
void driver_finish(struct fl_peer *p);

/* names.c */
void driver_names_init(struct fl_peer *p);
int driver_stun_servers(struct fl_peer *p, const struct fl_peer_config *config) FL_WARN_UNUSED;
void driver_names_finish(struct fl_peer *p);
void driver_names_links(struct fl_peer *p, const struct iface *list, size_t n);
void driver_names_start(struct fl_peer *p); /* look-ups the core has asked for since */

/* Sends what the core has to say, starts look-ups, sets the timer. */
void driver_flush(struct fl_peer *p);
