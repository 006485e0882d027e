/* Inside peer/: what is around one core. driver.c has the sockets and the timer, tcp.c the TCP
 * candidates and connections, relay.c the allocations at TURN servers, names.c turns names into
 * addresses, servers.c keeps what became of each server for the report, api.c has the public
 * functions.
 */
#pragma once

#pragma GCC visibility push(default)
#include <fairlead/peer.h>
#pragma GCC visibility pop

#include "io/ifaces.h"
#include "io/loop.h"
#include "io/proxy.h"
#include "io/resolve.h"
#include "io/stream.h"
#include "io/udp.h"
#include "peer/core.h"
#include "peer/ice_url.h"
#include "peer/ports.h"
#include "peer/relay_link.h"
#include "proto/mdns/mdns.h"
#include "proto/stun/stun_nat.h"
#include "proto/turn/turn_client.h"

#define DRIVER_SOCKETS_MAX 32
#define DRIVER_LOOKUPS_MAX 32
#define DRIVER_RELAYS_MAX 16 /* servers times transports, direct and through the proxy */
#define DRIVER_CREDENTIAL_MAX 255
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

/* What the report says of a STUN or TURN server. */
struct driver_server {
	struct fl_server told;
	struct addr addrs[2]; /* STUN: as the core was told, IPv4 and IPv6 */
	usec_t asked_us;
};

struct driver_nat {
	struct udp *udp[2]; /* while a server is asked */
	struct stun_nat core;
	struct loop_timer timer;
	struct addr servers[ICE_STUN_SERVERS_MAX];
	size_t n_servers, next;
};

/* One allocation at one server over one transport. */
struct driver_relay {
	struct fl_peer *peer;
	struct ice_url url;
	char username[DRIVER_CREDENTIAL_MAX + 1], password[DRIVER_CREDENTIAL_MAX + 1];
	struct resolve *resolve;
	struct addr addrs[RESOLVE_MAX];
	size_t n_addrs, next;
	bool known;	   /* addrs are from before, not just resolved */
	unsigned fails;	   /* in a row */
	usec_t not_before; /* the next attempt */
	struct relay_link *link;
	struct turn_client *client; /* when the link is open */
	struct loop_timer timer;
	struct addr relayed[2];
	bool gathering;
	/* the same server by the same transport through the proxy; the one after it in relays */
	bool has_twin, by_proxy;
	struct loop_timer head_start;	/* of the direct one over its twin */
	char name[PEER_ORIGIN_MAX + 1]; /* its URL, for the report */
	struct driver_server *server;	/* NULL: no room in the report */
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
	struct driver_server *server;	/* likewise; NULL: no room in the report */
	struct ice_candidate candidate; /* one with a .local name, while mdns is at it */
};

struct driver_patterns {
	size_t n;
	char text[FL_POLICY_LIST_MAX][64];
};

/* rules.c: what of the policy is kept to here. */
struct driver_rules {
	struct peer_policy core; /* the core's part */
	struct ports ports;
	unsigned dscp;
	bool no_turn[TURN_TRANSPORTS];
	struct driver_patterns prefer, exclude; /* names of interfaces */
	struct {
		struct addr base;
		unsigned bits;
	} preferred[FL_POLICY_LIST_MAX];
	size_t n_preferred;
};

struct fl_peer {
	struct loop *loop;
	struct driver_rules rules;
	bool ports_full;  /* an address got no socket, because the range has no free port */
	bool relays_held; /* the last resort: they wait for peer_relay_open() */
	bool holds_end;	  /* … and so does the end of our candidates */
	struct peer *core;
	struct loop_timer timer;
	struct ifaces_watch *ifaces;
	bool loopback;
	struct driver_socket sockets[DRIVER_SOCKETS_MAX];
	struct driver_tcp tcp[DRIVER_TCP_MAX];
	struct driver_tcp_conn tcp_conns[DRIVER_TCP_CONNS_MAX];
	struct driver_lookup lookups[DRIVER_LOOKUPS_MAX];
	unsigned n_gathering; /* look-ups and allocations that may still bring candidates */
	struct proxy *proxy;  /* NULL: none */
	struct driver_relay relays[DRIVER_RELAYS_MAX];
	size_t n_relays;
	struct driver_server servers[FL_ROUTE_SERVERS_MAX];
	size_t n_servers;
	struct driver_nat nat;
	struct loop_timer relays_timer; /* to let go of what is not used */
	bool suspicious;		/* the path, when last looked at */
	struct loop_deferred flush;
	bool flush_set;
	/* .local names; NULL where port 5353 cannot be had */
	struct mdns *mdns;
	struct udp *mdns_udp;
	struct loop_timer mdns_timer;
};

int driver_init(struct fl_peer *p, const struct fl_peer_config *config) FL_WARN_UNUSED;
void driver_finish(struct fl_peer *p);

/* rules.c. -EINVAL: a subnet or DSCP that is none. */
int driver_rules_init(struct driver_rules *r, const struct fl_peer_config *config) FL_WARN_UNUSED;
/* NULL, or why an address is not used. */
const char *driver_rules_exclude(const struct driver_rules *r, const struct iface *i);
uint8_t driver_rules_preference(const struct driver_rules *r, const struct iface *i);
/* NULL, or why a relay over this transport is not asked. */
const char *driver_rules_relay(const struct driver_rules *r, enum turn_transport transport);

/* tcp.c */
void driver_tcp_open(struct fl_peer *p, const struct driver_socket *s);
void driver_tcp_close(struct fl_peer *p, const struct addr *ip);
void driver_tcp_send(struct fl_peer *p, const struct dgram *d);
void driver_tcp_finish(struct fl_peer *p);

/* relay.c */
int driver_relays_add(struct fl_peer *p, const struct ice_url *url,
		      const struct fl_ice_server *server) FL_WARN_UNUSED;
/* False: d does not leave from a relayed address. */
bool driver_relay_send(struct fl_peer *p, const struct dgram *d);
void driver_relays_flush(struct fl_peer *p);
void driver_relays_open(struct fl_peer *p);   /* the last resort is allowed now */
void driver_relays_moved(struct fl_peer *p);  /* this machine's addresses changed */
void driver_relays_watch(struct fl_peer *p);  /* whether relays are needed again */
void driver_relays_permit(struct fl_peer *p); /* candidates of the other side came */
void driver_relays_event(struct fl_peer *p, const struct fl_event *event);
/* What only we know about the relay in use. */
void driver_relays_describe(const struct fl_peer *p, struct fl_route *route);
void driver_relays_finish(struct fl_peer *p);

/*
 * servers.c. Every configured server has a row in the report, also one that is not asked; the row
 * outlives what asks. NULL in place of a row is fine everywhere.
 */
/* The row; NULL when the report has no room. */
struct driver_server *driver_server_add(struct fl_peer *p, const char *url, const char *transport,
					bool proxy);
void driver_server_asking(struct driver_server *s);
void driver_server_answered(struct driver_server *s, const struct addr *mapped);
/* state: SILENT, REFUSED, FAILED or UNUSED; code: the server's, or 0; error: a part of a sentence,
 * possibly from outside. */
void driver_server_failed(struct driver_server *s, enum fl_server_state state, unsigned code,
			  const char *error);
/* REFUSED with a STUN error code, whose meaning is said in our words where it is a known one. */
void driver_server_refused(struct driver_server *s, unsigned code, const char *reason);
/* How a way to a server ended: a negative errno or FL_E… of relay_link.h. */
void driver_server_broken(struct driver_server *s, int err);
void driver_servers_describe(const struct fl_peer *p, struct fl_route *route);

/* nat.c */
void driver_nat_init(struct fl_peer *p);
void driver_nat_server(struct fl_peer *p, const struct addr *server); /* one more to ask */
void driver_nat_moved(struct fl_peer *p); /* this machine's addresses changed */
void driver_nat_finish(struct fl_peer *p);

/* names.c */
void driver_names_init(struct fl_peer *p);
int driver_ice_servers(struct fl_peer *p, const struct fl_peer_config *config) FL_WARN_UNUSED;
void driver_names_finish(struct fl_peer *p);
void driver_names_links(struct fl_peer *p, const struct iface *list, size_t n);
void driver_names_start(struct fl_peer *p); /* look-ups the core has asked for since */

/* A socket with a port of the range that the configuration of the peer allows. */
int driver_udp_open(struct fl_peer *p, struct udp_config config,
		    void (*fn)(void *arg, const struct dgram *dgrams, size_t n), void *arg,
		    struct udp **out) FL_WARN_UNUSED;
/* Sends what the core has to say, starts look-ups, sets the timer. */
void driver_flush(struct fl_peer *p);
void driver_flush_later(struct fl_peer *p); /* at the end of the turn, once */
/* One of those that were being gathered is there, or will not come. */
void driver_gathered(struct fl_peer *p);
