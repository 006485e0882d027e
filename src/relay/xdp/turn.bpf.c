/*
 * ChannelData over UDP (RFC 8656 §12), forwarded before the kernel's network stack sees it.
 *
 *	up	client ─► server	IP UDP [channel, length] data [padding]
 *		relayed ─► peer		IP UDP data
 *	down	peer ─► relayed		IP UDP data
 *		server ─► client	IP UDP [channel, length] data
 *
 * Whatever is not exactly that goes up to the daemon (XDP_PASS), unchanged: other messages, unknown
 * or expired channels, fragments, IP options and extension headers, VLAN tags, a length or an IP
 * checksum that is wrong, no route or neighbour, too long for the way out. The only packets dropped
 * here are those of a user over its quota.
 *
 * Header fields follow the preferred behaviour of RFC 8656 §13 and §14: TTL counts down, DSCP, ECN
 * and DF are kept. The UDP checksum is changed by the difference only, so a packet that was damaged
 * on its way here stays recognisable as damaged.
 *
 * This is a BPF program, so it reads packets through structs, as the verifier checks every access.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "maps.h"

#define AF_INET 2
#define AF_INET6 10
/*
 * Routes are asked for as if the packet came from here: that is how the kernel asks for what its
 * own sockets send, and it needs no forwarding on the real interfaces, only on this one (xdp.c).
 */
#define LOOPBACK_IFINDEX 1

#define IP_DF 0x4000
#define CHANNEL_MIN 0x4000
#define CHANNEL_MAX 0x7FFF /* of RFC 5766; RFC 8656 has them up to 0x4FFF */
#define CHANNEL_HEADER_LEN 4
#define PADDING_MAX 3	 /* to a multiple of 4; more is left to the daemon */
#define DATA_MAX 9000	 /* longer than what one XDP buffer holds */
#define DF_FROM_LEN 1260 /* IPv6 to IPv4: DF on packets longer than this (RFC 7915 §5.1) */

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1); /* set by xdp.c */
	__type(key, struct xdp_key4);
	__type(value, struct xdp_flow);
} flows4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1);
	__type(key, struct xdp_key6);
	__type(value, struct xdp_flow);
} flows6 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct xdp_user);
} users SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct xdp_counters);
} counters SEC(".maps");

/* Interfaces with this program; a packet goes out nowhere else, because only there the driver is
 * known to send for XDP. */
struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP_HASH);
	__uint(max_entries, XDP_PORTS_MAX);
	__type(key, __u32);
	__type(value, struct bpf_devmap_val);
} ports SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, XDP_PORTS_MAX);
	__type(key, __u32);
	__type(value, struct xdp_mac);
} macs SEC(".maps");

/* What a packet's headers said. */
struct packet {
	__u32 ip_len; /* of the IP header */
	__u32 data;   /* bytes in UDP */
	__u32 cut;    /* up: bytes of padding */
	__u32 cut_sum;
	__u16 check;
	__u16 id;
	__u8 tos, ttl;
	__u8 df, v6;
	__be16 channel, length; /* up: ChannelData's header */
};

static __always_inline __u16 fold(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

static __always_inline __u16 minus(__u16 word)
{
	return ~word;
}

static __always_inline __u16 header_sum(const struct iphdr *ip)
{
	const __u32 *word = (const void *)ip;

	return fold((__u64)word[0] + word[1] + word[2] + word[3] + word[4]);
}

/* The new UDP checksum (RFC 1624): old, minus what goes, plus what comes. */
static __always_inline __u16 udp_check(const struct packet *p, const struct xdp_flow *f,
				       __u16 udp_len)
{
	__u64 sum = minus(p->check);
	__u16 check;

	sum += f->sum;
	/* twice: UDP's own header and the pseudo header */
	sum += 2ull * minus(bpf_htons(p->data + sizeof(struct udphdr)));
	sum += 2ull * bpf_htons(udp_len);
	if (p->channel)
		sum += (__u64)minus(p->channel) + minus(p->length) + minus(fold(p->cut_sum));
	else
		sum += (__u64)f->channel + bpf_htons(p->data);
	check = ~fold(sum);
	return check ? check : 0xffff;
}

/* Moves one of a user's clocks on by cost. False: it is too far ahead. */
static __always_inline int clock_on(__u64 *clock, __u64 at, __u64 cost)
{
	__u64 was, from;

	if (!cost)
		return 1;
#pragma unroll
	for (int i = 0; i < 4; i++) {
		was = *(volatile __u64 *)clock;
		if (was > at + XDP_BURST_NS)
			return 0;
		from = was > at ? was : at;
		if (__sync_val_compare_and_swap(clock, was, from + cost) == was)
			return 1;
	}
	/* other CPUs were quicker four times, so the clock is no longer behind: just add */
	__sync_fetch_and_add(clock, cost);
	return 1;
}

static __always_inline int user_within(__u32 place, __u64 at, __u32 bytes)
{
	struct xdp_user *u = bpf_map_lookup_elem(&users, &place);

	if (!u)
		return 1; /* cannot be */
	if (u->packet_cost_ns && u->packets_ns > at + XDP_BURST_NS)
		return 0; /* without booking its bytes */
	return clock_on(&u->bytes_ns, at, (u->byte_cost_ns_16 * bytes) >> 16) &&
	       clock_on(&u->packets_ns, at, u->packet_cost_ns);
}

static __always_inline int within_quota(const struct xdp_flow *f, __u64 at, __u32 bytes)
{
	if ((f->limited & XDP_LIMITED_USER) && !user_within(f->user, at, bytes))
		return 0;
	return !(f->limited & XDP_LIMITED_ALL) || user_within(XDP_ALL_USERS, at, bytes);
}

/*
 * CLOCK_MONOTONIC, as of the last tick: exact enough for what lasts minutes. The clock is asked
 * once per tick only, since jiffies are a mere load.
 */
static __always_inline __u64 now(struct xdp_counters *c)
{
	__u64 jiffies = bpf_jiffies64();

	if (unlikely(jiffies != c->jiffies)) {
		c->jiffies = jiffies;
		c->now_ns = bpf_ktime_get_coarse_ns();
	}
	return c->now_ns;
}

/* Asks the kernel where a flow goes, and whether the program may send it there. 0 or -1. */
static __noinline int find_route(struct xdp_md *ctx, struct xdp_flow *f, __u64 at)
{
	struct bpf_fib_lookup r = {
		.l4_protocol = IPPROTO_UDP,
		.sport = f->sport,
		.dport = f->dport,
		.ifindex = LOOPBACK_IFINDEX,
		.tot_len = 1, /* has it tell the MTU */
	};
	__u32 in = ctx->ingress_ifindex;
	struct xdp_mac *mac;

	if (f->v6) {
		r.family = AF_INET6;
		__builtin_memcpy(r.ipv6_src, f->src, 16);
		__builtin_memcpy(r.ipv6_dst, f->dst, 16);
	} else {
		r.family = AF_INET;
		r.ipv4_src = f->src[0];
		r.ipv4_dst = f->dst[0];
	}
	if (bpf_fib_lookup(ctx, &r, sizeof(r), 0) != BPF_FIB_LKUP_RET_SUCCESS)
		return -1;
	mac = bpf_map_lookup_elem(&macs, &in);
	if (!mac || !bpf_map_lookup_elem(&ports, &r.ifindex))
		return -1;
	f->in = in;
	f->out = r.ifindex;
	f->mtu = r.mtu_result;
	__builtin_memcpy(f->own, mac->octets, ETH_ALEN);
	__builtin_memcpy(f->dmac, r.dmac, ETH_ALEN);
	__builtin_memcpy(f->smac, r.smac, ETH_ALEN);
	f->route_until_ns = at + XDP_ROUTE_NS;
	return 0;
}

/* The frame was sent to this interface, and not because the switch sends it to all. */
static __always_inline int is_ours(struct xdp_md *ctx, const struct xdp_flow *f)
{
	const __u16 *to = (const void *)(long)ctx->data, *own = (const void *)f->own;

	if ((const void *)(to + ETH_HLEN / 2) > (const void *)(long)ctx->data_end)
		return 0;
	return to[0] == own[0] && to[1] == own[1] && to[2] == own[2];
}

/* The flow's route is known, or asked for. 0 or -1. */
static __always_inline int have_route(struct xdp_md *ctx, struct xdp_flow *f, __u64 at)
{
	if (likely(at < f->route_until_ns && f->in == ctx->ingress_ifindex))
		return 0;
	return find_route(ctx, f, at);
}

static __always_inline void write_ipv4(struct iphdr *ip, const struct packet *p,
				       const struct xdp_flow *f, __u16 udp_len, __u16 ident)
{
	__u16 len = udp_len + sizeof(*ip);
	int df = p->v6 ? len > DF_FROM_LEN : p->df;

	*(__u8 *)ip = 0x45;
	ip->tos = p->tos;
	ip->tot_len = bpf_htons(len);
	/* IPv4's stay as unlike each other as they came: the salt is the same for a whole flow */
	ip->id = (p->v6 ? ident : p->id) ^ (__u16)f->salt;
	ip->frag_off = df ? bpf_htons(IP_DF) : 0;
	ip->ttl = p->ttl - 1;
	ip->protocol = IPPROTO_UDP;
	ip->check = 0;
	ip->saddr = f->src[0];
	ip->daddr = f->dst[0];
	ip->check = ~header_sum(ip);
}

static __always_inline void write_ipv6(struct ipv6hdr *ip, const struct packet *p,
				       const struct xdp_flow *f, __u16 udp_len)
{
	*(__be32 *)ip = bpf_htonl(6u << 28 | (__u32)p->tos << 20 | (f->salt & 0xfffff));
	ip->payload_len = bpf_htons(udp_len);
	ip->nexthdr = IPPROTO_UDP;
	ip->hop_limit = p->ttl - 1;
	__builtin_memcpy(&ip->saddr, f->src, 16);
	__builtin_memcpy(&ip->daddr, f->dst, 16);
}

/* New headers over the old ones; the data stays where it is. -1: nothing was touched. */
static __always_inline int rewrite(struct xdp_md *ctx, const struct packet *p,
				   const struct xdp_flow *f, __u16 udp_len, __u16 ident)
{
	__u32 ip_len = f->v6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr);
	__u16 check = p->check ? udp_check(p, f, udp_len) : 0;
	int shift = (int)p->ip_len - (int)ip_len;
	void *data, *end;
	struct ethhdr *eth;
	struct udphdr *udp;

	shift += p->channel ? CHANNEL_HEADER_LEN : -CHANNEL_HEADER_LEN;
	if (bpf_xdp_adjust_head(ctx, shift))
		return -1;
	if (unlikely(p->cut)) /* failing leaves a few bytes behind the packet, which is legal */
		bpf_xdp_adjust_tail(ctx, -(int)p->cut);
	data = (void *)(long)ctx->data;
	end = (void *)(long)ctx->data_end;
	eth = data;
	if (f->v6) {
		struct ipv6hdr *ip = data + sizeof(*eth);

		udp = (void *)(ip + 1);
		if ((void *)(udp + 1) > end)
			return XDP_DROP; /* cannot be: the old headers were there */
		write_ipv6(ip, p, f, udp_len);
		eth->h_proto = bpf_htons(ETH_P_IPV6);
	} else {
		struct iphdr *ip = data + sizeof(*eth);

		udp = (void *)(ip + 1);
		if ((void *)(udp + 1) > end)
			return XDP_DROP;
		write_ipv4(ip, p, f, udp_len, ident);
		eth->h_proto = bpf_htons(ETH_P_IP);
	}
	for (int i = 0; i < ETH_ALEN / 2; i++) {
		((__u16 *)eth->h_dest)[i] = ((const __u16 *)f->dmac)[i];
		((__u16 *)eth->h_source)[i] = ((const __u16 *)f->smac)[i];
	}
	udp->source = f->sport;
	udp->dest = f->dport;
	udp->len = bpf_htons(udp_len);
	udp->check = check;
	if (!p->channel) {
		__be16 *header = (void *)(udp + 1);

		if ((void *)(header + 2) > end)
			return XDP_DROP;
		header[0] = f->channel;
		header[1] = bpf_htons(p->data);
	}
	return 0;
}

/*
 * Up: length and padding of ChannelData. Its length must fit into the datagram, and only padding
 * may follow. False: the daemon's.
 */
static __always_inline int channel_fits(const struct udphdr *udp, const void *end, struct packet *p)
{
	__u32 len = bpf_ntohs(p->length), at = len & 1;
	const __u8 *padding;

	if (len > DATA_MAX || len + CHANNEL_HEADER_LEN > p->data)
		return 0;
	p->cut = p->data - CHANNEL_HEADER_LEN - len;
	if (likely(p->cut == 0))
		return 1;
	if (p->cut > PADDING_MAX)
		return 0;
	padding = (const __u8 *)(udp + 1) + CHANNEL_HEADER_LEN + len;
	for (__u32 i = 0; i < PADDING_MAX && i < p->cut; i++, padding++) {
		barrier_var(padding); /* or clang moves the 1 to end, which the verifier refuses */
		if ((const void *)(padding + 1) > end)
			return 0;
		/* as the low or high half of a 16-bit word */
		p->cut_sum += bpf_htons((at + i) & 1 ? *padding : *padding << 8);
	}
	return 1;
}

static __always_inline int forward(struct xdp_md *ctx, struct packet *p, struct xdp_flow *f)
{
	__u32 zero = 0, bytes, udp_len;
	struct xdp_counters *c = bpf_map_lookup_elem(&counters, &zero);
	__u64 at;
	int done;

	if (!c)
		return XDP_PASS;
	at = now(c);
	if (at >= f->until_ns)
		return XDP_PASS;
	if (unlikely(at >= f->show_ns)) {
		f->show_ns = at + XDP_SHOW_NS;
		c->shown++;
		return XDP_PASS;
	}
	bytes = p->channel ? bpf_ntohs(p->length) : p->data;
	udp_len = bytes + sizeof(struct udphdr) + (p->channel ? 0 : CHANNEL_HEADER_LEN);
	/* IPv6 has no UDP without a checksum, and it would take the whole packet to make one */
	if (p->ttl <= 1 || (!p->check && (p->v6 || f->v6))) {
		c->passed++;
		return XDP_PASS;
	}
	if (have_route(ctx, f, at) || !is_ours(ctx, f)) {
		c->no_route++;
		return XDP_PASS;
	}
	if (udp_len + (f->v6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr)) > f->mtu) {
		c->too_big++;
		return XDP_PASS;
	}
	if (f->limited && !within_quota(f, at, bytes)) {
		c->over_quota++;
		return XDP_DROP;
	}
	done = rewrite(ctx, p, f, udp_len, c->ident++);
	if (unlikely(done))
		return done < 0 ? XDP_PASS : done;
	if (p->channel) {
		c->up_packets++;
		c->up_bytes += bytes;
	} else {
		c->down_packets++;
		c->down_bytes += bytes;
	}
	if (f->out == ctx->ingress_ifindex)
		return XDP_TX;
	return bpf_redirect_map(&ports, f->out, XDP_DROP);
}

/* ChannelData's header, if the datagram can be ChannelData. */
static __always_inline void read_channel(const struct udphdr *udp, const void *end,
					 struct packet *p)
{
	const __be16 *header = (const void *)(udp + 1);
	__u16 number;

	if (p->data < CHANNEL_HEADER_LEN || (const void *)(header + 2) > end)
		return;
	number = bpf_ntohs(header[0]);
	if (number < CHANNEL_MIN || number > CHANNEL_MAX)
		return;
	p->channel = header[0];
	p->length = header[1];
}

static __always_inline int ipv4(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	const struct iphdr *ip = data + sizeof(struct ethhdr);
	const struct udphdr *udp = (const void *)(ip + 1);
	struct packet p = { .ip_len = sizeof(*ip) };
	struct xdp_key4 key = {};
	struct xdp_flow *f;
	__u32 len;

	if ((const void *)(udp + 1) > end)
		return XDP_PASS;
	len = bpf_ntohs(ip->tot_len);
	if (*(const __u8 *)ip != 0x45 || ip->protocol != IPPROTO_UDP ||
	    (ip->frag_off & ~bpf_htons(IP_DF)) || len < sizeof(*ip) + sizeof(*udp) ||
	    (const void *)ip + len > end || bpf_ntohs(udp->len) != len - sizeof(*ip))
		return XDP_PASS;
	p.data = len - sizeof(*ip) - sizeof(*udp);
	p.check = udp->check;
	p.id = ip->id;
	p.tos = ip->tos;
	p.ttl = ip->ttl;
	p.df = ip->frag_off != 0;
	read_channel(udp, end, &p);
	key.src = ip->saddr;
	key.dst = ip->daddr;
	key.sport = udp->source;
	key.dport = udp->dest;
	key.channel = p.channel;
	f = bpf_map_lookup_elem(&flows4, &key);
	if (!f && p.channel) { /* data of a peer that looks like ChannelData? */
		key.channel = p.channel = 0;
		f = bpf_map_lookup_elem(&flows4, &key);
	}
	if (!f || header_sum(ip) != 0xffff || (p.channel && !channel_fits(udp, end, &p)))
		return XDP_PASS;
	return forward(ctx, &p, f);
}

static __always_inline int ipv6(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	const struct ipv6hdr *ip = data + sizeof(struct ethhdr);
	const struct udphdr *udp = (const void *)(ip + 1);
	struct packet p = { .ip_len = sizeof(*ip), .v6 = 1 };
	struct xdp_key6 key = {};
	struct xdp_flow *f;
	__u32 len;

	if ((const void *)(udp + 1) > end)
		return XDP_PASS;
	len = bpf_ntohs(ip->payload_len);
	if ((*(const __u8 *)ip & 0xf0) != 0x60 || ip->nexthdr != IPPROTO_UDP ||
	    len < sizeof(*udp) || (const void *)udp + len > end || bpf_ntohs(udp->len) != len)
		return XDP_PASS;
	p.data = len - sizeof(*udp);
	p.check = udp->check;
	p.tos = bpf_ntohl(*(const __be32 *)ip) >> 20;
	p.ttl = ip->hop_limit;
	read_channel(udp, end, &p);
	__builtin_memcpy(key.src, &ip->saddr, 16);
	__builtin_memcpy(key.dst, &ip->daddr, 16);
	key.sport = udp->source;
	key.dport = udp->dest;
	key.channel = p.channel;
	f = bpf_map_lookup_elem(&flows6, &key);
	if (!f && p.channel) {
		key.channel = p.channel = 0;
		f = bpf_map_lookup_elem(&flows6, &key);
	}
	if (!f || (p.channel && !channel_fits(udp, end, &p)))
		return XDP_PASS;
	return forward(ctx, &p, f);
}

static __always_inline int turn_packet(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	const struct ethhdr *eth = data;

	if ((const void *)(eth + 1) > end)
		return XDP_PASS;
	if (eth->h_proto == bpf_htons(ETH_P_IP))
		return ipv4(ctx);
	if (eth->h_proto == bpf_htons(ETH_P_IPV6))
		return ipv6(ctx);
	return XDP_PASS;
}

SEC("xdp")
int turn(struct xdp_md *ctx)
{
	return turn_packet(ctx);
}

/* bpf_fib_lookup() is for programs under the GPL: this file, and maps.h that it includes, may be
 * had under GPL-2.0 as well as under Apache-2.0. */
char program_license[] SEC("license") = "GPL";
