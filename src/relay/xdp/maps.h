/*
 * What turn.bpf.c and xdp.c share: the layout of the maps. Kernel types only, because one side is
 * compiled for BPF. Everything that stands in packets is in network order.
 *
 * A flow is one direction of a channel: packets that look like the key become packets that look
 * like the value. With a channel number in the key it is the way up (client to peer), without one
 * the way down.
 */
#pragma once

#include <linux/types.h>

struct xdp_key4 {
	__be32 src, dst;
	__be16 sport, dport;
	__be16 channel; /* 0: down */
	__u16 zero;
};

struct xdp_key6 {
	__be32 src[4], dst[4];
	__be16 sport, dport;
	__be16 channel;
	__u16 zero;
};

struct xdp_flow {
	__u64 until_ns; /* CLOCK_MONOTONIC; channel, permission and allocation hold */
	__u64 show_ns;	/* when the daemon is next shown a packet of this flow */
	__be32 src[4], dst[4];
	__be16 sport, dport;
	__be16 channel; /* down: the one to write; up: 0 */
	__u16 sum;	/* what addresses and ports change in the UDP checksum, see fold() */
	__u32 salt;	/* of IPv4 identifications, and the IPv6 flow label */
	__u32 user;	/* place in the map of users */
	__u8 v6;	/* the family of src and dst */
	__u8 limited;	/* XDP_LIMITED_* */
	__u8 zero[6];
	/* The route as the kernel told it, written by the program. Several CPUs may write it at
	 * once; they write the same but when the routes have just changed, when a packet may be
	 * lost anyway. */
	__u32 in, out;	      /* interfaces */
	__u64 route_until_ns; /* 0: none */
	__u16 mtu;
	__u8 own[6]; /* address of in */
	__u8 dmac[6], smac[6];
	__u8 zero2[4];
};

#define XDP_LIMITED_USER 1
#define XDP_LIMITED_ALL 2 /* all users together have a limit, in place XDP_ALL_USERS */
#define XDP_ALL_USERS 0

/*
 * One user's rates, as two virtual clocks (GCRA): each passed packet moves the clock on by what it
 * costs, and a clock that is XDP_BURST_NS ahead of the real one stops the user. The map is shared
 * memory; the program writes the clocks only, the daemon the rest.
 */
struct xdp_user {
	__u64 bytes_ns, packets_ns; /* the clocks */
	__u64 byte_cost_ns_16;	    /* nanoseconds << 16; 0: no limit */
	__u64 packet_cost_ns;	    /* 0: no limit */
};

#define XDP_BURST_NS 1000000000ull /* as in quota.c */
/*
 * So often a packet of each flow takes the way through the sockets, so that the kernel goes on
 * checking the neighbours it sends to, and connection tracking does not forget the flow.
 */
#define XDP_SHOW_NS 10000000000ull
/* How long a flow believes its route, because asking takes longer than all the rest together. */
#ifndef XDP_ROUTE_NS
#define XDP_ROUTE_NS 1000000000ull
#endif

struct xdp_counters {
	__u64 up_packets, up_bytes, down_packets, down_bytes, over_quota;
	__u64 shown, no_route, too_big, passed;
	__u64 jiffies, now_ns; /* this CPU's last tick, see now() in turn.bpf.c */
	__u64 ident;	       /* of IPv4 packets that were IPv6 */
};

struct xdp_mac {
	__u8 octets[6];
	__u8 zero[2];
};

#define XDP_PORTS_MAX 8 /* interfaces with the program */
