/*
 * ChannelData forwarded in the kernel: an XDP program (turn.bpf.c) on one interface, and the two
 * maps that tell it which channels and peers belong together. The daemon stays the only owner of
 * state: it mirrors what the core says here, with the time until it holds, and everything that the
 * program does not know goes up to the sockets as always. So losing the program costs speed, never
 * a session.
 *
 * Maps are the kernel's, so workers may call the functions below at the same time.
 */
#pragma once

#include "base/addr.h"
#include "base/usec.h"
#include "base/util.h"

struct xdp;

/* Loads and attaches. Negative with a sentence (cause and remedy) in why. */
int xdp_create(const char *interface, size_t bindings_max, struct xdp **out,
	       char why[256]) FL_WARN_UNUSED;
void xdp_destroy(struct xdp *x); /* NULL is fine; detaches */

struct xdp_binding {
	struct addr client, server; /* UDP only */
	uint16_t channel;
	struct addr relayed, peer; /* relayed: as bound, not as told */
	usec_t until; /* CLOCK_MONOTONIC; channel, permission and allocation all hold */
	uint64_t bytes_per_s, packets_per_s; /* of its user; 0: no limit */
	uint32_t user;			     /* bindings of one user share their limit */
};

/* Adds or refreshes. 0 or negative (full: the binding is then forwarded by the daemon). */
int xdp_bind(struct xdp *x, const struct xdp_binding *b);
void xdp_unbind(struct xdp *x, const struct xdp_binding *b);

struct xdp_count {
	uint64_t up_packets, up_bytes, down_packets, down_bytes, over_quota;
};
void xdp_read(const struct xdp *x, struct xdp_count *out);
/* "native" or "generic" */
const char *xdp_mode(const struct xdp *x);
