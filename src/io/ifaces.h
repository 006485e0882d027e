/* Network interfaces and their addresses, and word when they change (rtnetlink). */
#pragma once

#include "base/addr.h"
#include "io/loop.h"

#define IFACES_MAX 64 /* addresses; what is beyond is left out, physical interfaces first */

struct iface {
	char name[16];
	unsigned index;
	struct addr addr; /* port 0 */
	unsigned prefix_bits;
	bool loopback, point_to_point,
		virtual_link;	    /* virtual: bridges, containers, VPNs by type or name */
	bool temporary, deprecated; /* IPv6, RFC 8981 */
};

/* Running interfaces only. The number written, or negative errno. */
int ifaces_list(struct iface *out, size_t cap) FL_WARN_UNUSED;

/* Whether this machine has the address (port and scope do not matter) on a running interface. True
 * when that cannot be found out. */
bool ifaces_has(const struct addr *ip);

/* fn after addresses, links or routes changed, at most once per 100 ms. */
struct ifaces_watch;
int ifaces_watch_create(struct loop *loop, void (*fn)(void *arg), void *arg,
			struct ifaces_watch **out) FL_WARN_UNUSED;
void ifaces_watch_destroy(struct ifaces_watch *w);
