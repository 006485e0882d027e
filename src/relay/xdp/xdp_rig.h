/*
 * What the XDP program's tests and its bench share: a network namespace of their own with two links
 * and known neighbours, packets written and read in full (no incremental sums, none of the
 *program's code), and BPF_PROG_TEST_RUN.
 *
 *	client 10.1.0.2 fd01::2 ── cli0 10.1.0.1 fd01::1 │ relay │ 10.2.0.1 fd02::1 per0 ── peers
 *	near peer .3 ──────────────┘                                    10.2.0.2, gateway 10.2.0.254
 *
 * Behind the gateway lie 10.3.0.0/24 and fd03::/64 with an MTU of 1280. Nobody answers on these
 * links: neighbours are entries, and packets are never really sent.
 */
#pragma once

#include "base/addr.h"
#include "base/span.h"
#include "base/util.h"
#include "relay/xdp/xdp.h"

#define RIG_FRAME_MAX 3000

struct rig {
	struct xdp *x;
	uint32_t cli, per; /* interface indices */
	uint8_t cli_mac[6], per_mac[6];
};

/* The namespace, links and neighbours. False: not permitted here, reason is printed. */
bool rig_network(struct rig *r);
/* "ip …", quietly; true when it succeeded. */
bool rig_ip(const char *fmt, ...) FL_PRINTF(1, 2);

struct rig_frame {
	uint8_t bytes[RIG_FRAME_MAX];
	size_t len;
};

/* One UDP packet in an Ethernet frame, as fields. */
struct rig_packet {
	uint8_t to_mac[6], from_mac[6];
	struct addr from, to; /* their family is the packet's */
	uint8_t tos, ttl;
	bool df;
	uint16_t id;	/* IPv4 */
	uint32_t label; /* IPv6 */
	bool no_check;
	uint8_t payload[2600];
	size_t len;
};

void rig_write(const struct rig_packet *p, struct rig_frame *out);
/* False: anything but a plain UDP packet whose lengths agree, whose IP checksum is right and that
 * fills the frame but for up to trailer_max bytes. Sets *sum_ok for the UDP checksum. */
bool rig_read(const struct rig_frame *f, struct rig_packet *out, size_t trailer_max, bool *sum_ok);

/* addr_parse() that cannot fail. */
struct addr rig_addr(const char *text);

/* A descriptor of one of the program's maps, the caller's to close. */
int rig_map(int program, const char *name);

struct rig_result {
	uint32_t verdict; /* enum xdp_action */
	uint32_t ns;	  /* per run, the mean of repeat */
	struct rig_frame out;
};

void rig_run(int program, uint32_t ifindex, const struct rig_frame *in, unsigned repeat,
	     struct rig_result *out);
