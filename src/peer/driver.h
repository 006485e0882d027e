/* Inside peer/: the sockets, timers and names around one core. driver.c has them, api.c the public
 * functions. */
#pragma once

#pragma GCC visibility push(default)
#include <fairlead/peer.h>
#pragma GCC visibility pop

#include "io/ifaces.h"
#include "io/loop.h"
#include "io/resolve.h"
#include "io/udp.h"
#include "peer/core.h"

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
	struct resolve *resolve; /* NULL: free */
	bool server;
	struct ice_candidate candidate;
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
};

int driver_init(struct fl_peer *p, const struct fl_peer_config *config) FL_WARN_UNUSED;
void driver_finish(struct fl_peer *p);
/* Sends what the core has to say, starts look-ups, sets the timer. */
void driver_flush(struct fl_peer *p);
