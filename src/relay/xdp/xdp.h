/*
 * ChannelData forwarded in the kernel: an XDP program (turn.bpf.c) on the interfaces that clients
 * and peers are reached by, and maps that tell it which channels and peers belong together. The
 * daemon stays the only owner of state: it mirrors what the core says here, with the time until it
 * holds, and everything that the program does not know goes up to the sockets as always. So losing
 * the program costs speed, never a session.
 *
 * Maps are the kernel's, so workers may call the functions below at the same time.
 *
 * The attachment belongs to the process: when it ends, however it ends, the program is off the
 * interface. docs/xdp.md says what is offloaded and what is not.
 */
#pragma once

#include "base/addr.h"
#include "base/usec.h"
#include "base/util.h"

#define XDP_BINDINGS_MAX 262144 /* 25 MB of kernel memory when empty, 150 when full */

struct xdp;

/*
 * Loads and attaches. interfaces: one name, or several with commas between them; a packet leaves
 * only by one of them. Native mode where the driver has it, else generic (logged). Negative with a
 * sentence (cause and remedy) in why; nothing is left behind then.
 *
 * Turns on "forwarding" of the loopback interface, which makes no router of the machine but is the
 * kernel's condition for telling routes to XDP.
 */
int xdp_create(const char *interfaces, size_t bindings_max, struct xdp **out,
	       char why[256]) FL_WARN_UNUSED;
void xdp_destroy(struct xdp *x); /* NULL is fine; detaches */

struct xdp_binding {
	struct addr client, server; /* UDP only */
	uint16_t channel;
	struct addr relayed, peer; /* relayed: as bound, not as told */
	usec_t until; /* CLOCK_MONOTONIC; channel, permission and allocation all hold */
	uint64_t bytes_per_s, packets_per_s;	     /* of its user; 0: no limit */
	uint32_t user;				     /* bindings of one user share their limit */
	uint64_t all_bytes_per_s, all_packets_per_s; /* of all users together */
};

/*
 * Adds or refreshes. 0; FL_EQUOTA (full) or -ENOMEM: the binding is then forwarded by the daemon;
 * -EINVAL: so too, because an address cannot be one of packets on the wire (0.0.0.0, link-local).
 */
int xdp_bind(struct xdp *x, const struct xdp_binding *b);
/* Only what still is this binding's: a peer that has another channel by now keeps that. */
void xdp_unbind(struct xdp *x, const struct xdp_binding *b);
/* Takes out what has ended; about once a minute. xdp_bind() does it when it finds no room. Returns
 * how many entries went (a binding has two). */
size_t xdp_sweep(struct xdp *x);

/* What the program did with packets of known bindings. Bytes are user data. */
struct xdp_count {
	uint64_t up_packets, up_bytes, down_packets, down_bytes;
	uint64_t over_quota; /* dropped */
	/* Given to the daemon: one each 10 s and flow on purpose (turn.bpf.c); no route, neighbour
	 * or other interface with the program; longer than the route's MTU; TTL of 1 or without the
	 * UDP checksum that IPv6 needs. */
	uint64_t shown, no_route, too_big, passed;
};
void xdp_read(const struct xdp *x, struct xdp_count *out);
/* "native" or "generic" (when one of the interfaces is) */
const char *xdp_mode(const struct xdp *x);
/* The program, for BPF_PROG_TEST_RUN in tests and bench. Borrowed. */
int xdp_program(const struct xdp *x);
