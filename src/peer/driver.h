/* Inside peer/: what is around one core. driver.c has the sockets and the timer, tcp.c the TCP
 * candidates and connections, names.c turns names into addresses, api.c has the public functions.
 */
#pragma once

#pragma GCC visibility push(default)
#include <fairlead/peer.h>
#pragma GCC visibility pop

#include "io/ifaces.h"
#include "io/loop.h"
#include "io/resolve.h"
#include "io/stream.h"
#include "io/udp.h"
#include "peer/core.h"
#include "proto/mdns/mdns.h"

#define DRIVER_SOCKETS_MAX 32
#define DRIVER_LOOKUPS_MAX 32
#define DRIVER_HOST_MAX 255
#define DRIVER_TCP_MAX 6	/* addresses with TCP candidates */
#define DRIVER_TCP_CONNS_MAX 32 /* connections, strangers' included */

struct fl_identity {
	struct dtls_identity *dtls;
};

struct driver_socket {
	struct fl_peer *peer;
	struct udp *udp; /* NULL: free */
	struct addr addr;
	struct peer_local local; /* as the core was told */
};

/* TCP candidates of one address. */
struct driver_tcp {
	bool used, has_active;
	struct fl_peer *peer;
	struct listener *listener; /* NULL: none could be had */
	struct addr active, passive;
};

struct driver_tcp_conn {
	struct fl_peer *peer;
	struct stream *stream; /* NULL: free */
	struct addr local, remote;
	struct loop_timer silence;
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
	struct driver_tcp tcp[DRIVER_TCP_MAX];
	struct driver_tcp_conn tcp_conns[DRIVER_TCP_CONNS_MAX];
	struct driver_lookup lookups[DRIVER_LOOKUPS_MAX];
	unsigned n_server_lookups;
	/* .local names; NULL where port 5353 cannot be had */
	struct mdns *mdns;
	struct udp *mdns_udp;
	struct loop_timer mdns_timer;
};

int driver_init(struct fl_peer *p, const struct fl_peer_config *config) FL_WARN_UNUSED;
void driver_finish(struct fl_peer *p);

/* tcp.c */
void driver_tcp_open(struct fl_peer *p, const struct driver_socket *s);
void driver_tcp_close(struct fl_peer *p, const struct addr *ip);
void driver_tcp_send(struct fl_peer *p, const struct dgram *d);
void driver_tcp_finish(struct fl_peer *p);

/* names.c */
void driver_names_init(struct fl_peer *p);
int driver_stun_servers(struct fl_peer *p, const struct fl_peer_config *config) FL_WARN_UNUSED;
void driver_names_finish(struct fl_peer *p);
void driver_names_links(struct fl_peer *p, const struct iface *list, size_t n);
void driver_names_start(struct fl_peer *p); /* look-ups the core has asked for since */

/* Sends what the core has to say, starts look-ups, sets the timer. */
void driver_flush(struct fl_peer *p);
