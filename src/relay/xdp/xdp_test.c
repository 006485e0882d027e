/*
 * The program over packets, by BPF_PROG_TEST_RUN. judge() is the specification once more, written
 * plainly and with full checksums: it says of any frame whether it must be forwarded, and as what.
 */
#include "test.h"

#include <errno.h>
#include <linux/bpf.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "base/err.h"
#include "base/rng.h"
#include "relay/xdp/maps.h"
#include "relay/xdp/xdp_rig.h"

static struct rig rig;

/* A channel, and what the frames around it look like. */
struct way {
	struct xdp_binding b;
	uint8_t client_mac[6], peer_mac[6]; /* the peer's next hop */
	bool near;			    /* the peer is where the client is */
};

enum place { FAR, NEAR, GATEWAY };

static struct way way_of(bool client6, bool peer6, enum place place)
{
	static const char *const relayed[2][3] = {
		{ "10.2.0.1:50000", "10.1.0.1:50000", "10.2.0.1:50002" },
		{ "[fd02::1]:50000", "[fd01::1]:50000", "[fd02::1]:50002" },
	};
	static const char *const peer[2][3] = {
		{ "10.2.0.2:6000", "10.1.0.3:6001", "10.3.0.77:6002" },
		{ "[fd02::2]:6000", "[fd01::3]:6001", "[fd03::77]:6002" },
	};
	static const char *const peer_mac[] = { "\2\0\0\0\2\2", "\2\0\0\0\1\3", "\2\0\0\0\2\xfe" };
	struct way w = { .near = place == NEAR };

	w.b = (struct xdp_binding){
		.client = rig_addr(client6 ? "[fd01::2]:40001" : "10.1.0.2:40001"),
		.server = rig_addr(client6 ? "[fd01::1]:3478" : "10.1.0.1:3478"),
		.channel = (uint16_t)(0x4000 + place * 2 + peer6),
		.relayed = rig_addr(relayed[peer6][place]),
		.peer = rig_addr(peer[peer6][place]),
		.until = usec_monotonic() + 3600 * USEC_PER_SEC,
	};
	memcpy(w.client_mac, "\2\0\0\0\1\2", 6);
	memcpy(w.peer_mac, peer_mac[place], 6);
	return w;
}

static const uint8_t *peer_side_mac(const struct way *w)
{
	return w->near ? rig.cli_mac : rig.per_mac;
}

static struct rig_packet packet(const struct way *w, bool up, size_t len)
{
	struct rig_packet p = { .tos = 0xb9, .ttl = 57, .df = true, .id = 0x1234 };

	memcpy(p.to_mac, up ? rig.cli_mac : peer_side_mac(w), 6);
	memcpy(p.from_mac, up ? w->client_mac : w->peer_mac, 6);
	p.from = up ? w->b.client : w->b.peer;
	p.to = up ? w->b.server : w->b.relayed;
	p.len = len;
	for (size_t i = 0; i < len; i++)
		p.payload[i] = (uint8_t)(i * 7 + 3 + len);
	return p;
}

static void put_channel(struct rig_packet *p, uint16_t channel, size_t data_len)
{
	p->payload[0] = (uint8_t)(channel >> 8);
	p->payload[1] = (uint8_t)channel;
	p->payload[2] = (uint8_t)(data_len >> 8);
	p->payload[3] = (uint8_t)data_len;
}

/* ChannelData with padding bytes behind it that are not zero. */
static struct rig_packet up_packet(const struct way *w, size_t data_len, size_t padding)
{
	struct rig_packet p = packet(w, true, 4 + data_len + padding);

	put_channel(&p, w->b.channel, data_len);
	return p;
}

/* ---- the specification ---- */

static bool is_up(const struct way *w, const struct rig_packet *p, size_t *data_len)
{
	if (!addr_equal(&p->from, &w->b.client) || !addr_equal(&p->to, &w->b.server) || p->len < 4)
		return false;
	*data_len = (size_t)(p->payload[2] << 8 | p->payload[3]);
	return (p->payload[0] << 8 | p->payload[1]) == w->b.channel && *data_len + 4 <= p->len &&
	       *data_len + 4 + 3 >= p->len;
}

/* What becomes of a frame: false is the daemon's. */
static bool judge(const struct way *w, const struct rig_frame *in, struct rig_packet *out,
		  bool *sum_ok)
{
	struct rig_packet p;
	size_t data_len = 0, ip_len;
	bool up, from6, to6;

	if (!rig_read(in, &p, RIG_FRAME_MAX, sum_ok))
		return false;
	up = is_up(w, &p, &data_len);
	if (!up && (!addr_equal(&p.from, &w->b.peer) || !addr_equal(&p.to, &w->b.relayed)))
		return false;
	*out = p;
	out->from = up ? w->b.relayed : w->b.server;
	out->to = up ? w->b.peer : w->b.client;
	out->len = up ? data_len : p.len + 4;
	memcpy(out->payload + (up ? 0 : 4), p.payload + (up ? 4 : 0), up ? data_len : p.len);
	if (!up)
		put_channel(out, w->b.channel, p.len);
	out->ttl--;
	from6 = p.from.family == ADDR_V6;
	to6 = out->to.family == ADDR_V6;
	ip_len = out->len + (to6 ? 48 : 28);
	if (from6 && !to6)
		out->df = ip_len > 1260;
	memcpy(out->from_mac, up ? peer_side_mac(w) : rig.cli_mac, 6);
	memcpy(out->to_mac, up ? w->peer_mac : w->client_mac, 6);
	return p.ttl > 1 && !(p.no_check && (from6 || to6)) && ip_len <= 1500 &&
	       memcmp(p.to_mac, up ? rig.cli_mac : peer_side_mac(w), 6) == 0;
}

/* ---- one run against it ---- */

static void assert_same(const struct way *w, const struct rig_frame *in,
			const struct rig_packet *want, bool sum_ok, const struct rig_frame *got)
{
	struct rig_packet expect = *want, is;
	struct rig_frame frame;
	bool ok;

	assert_true(rig_read(got, &is, in->len, &ok));
	assert_int_equal(ok, sum_ok);
	expect.id = is.id;
	expect.label = is.label;
	rig_write(&expect, &frame);
	assert_true(got->len >= frame.len);
	if (!sum_ok) /* damaged before, damaged after; the rest is compared all the same */
		memcpy(frame.bytes + frame.len - expect.len - 2,
		       got->bytes + frame.len - expect.len - 2, 2);
	assert_memory_equal(got->bytes, frame.bytes, frame.len);
}

static uint32_t run(const struct way *w, bool up, const struct rig_frame *in)
{
	struct rig_packet want;
	struct rig_result result;
	bool sum_ok = false;

	rig_run(xdp_program(rig.x), up || w->near ? rig.cli : rig.per, in, 1, &result);
	if (!judge(w, in, &want, &sum_ok)) {
		assert_int_equal(result.verdict, XDP_PASS);
		assert_int_equal(result.out.len, in->len);
		assert_memory_equal(result.out.bytes, in->bytes, in->len);
	} else {
		assert_int_equal(result.verdict, w->near ? XDP_TX : XDP_REDIRECT);
		assert_same(w, in, &want, sum_ok, &result.out);
	}
	return result.verdict;
}

static uint32_t run_packet(const struct way *w, bool up, const struct rig_packet *p)
{
	struct rig_frame frame;

	rig_write(p, &frame);
	return run(w, up, &frame);
}

static void bind_way(const struct way *w)
{
	assert_int_equal(xdp_bind(rig.x, &w->b), 0);
}

static uint32_t forwarded(const struct way *w)
{
	return w->near ? XDP_TX : XDP_REDIRECT;
}

#define FOR_EACH_WAY(w)                                                                            \
	for (int way_ = 0; way_ < 12; way_++)                                                      \
		for (struct way w = way_of(way_ & 1, way_ & 2, (enum place)(way_ / 4)),            \
				*once_ = &w;                                                       \
		     once_; once_ = NULL)

/* ---- what is forwarded ---- */

static void test_forwards(void **state)
{
	static const size_t lens[] = { 0, 1, 2, 3, 4, 5, 18, 159, 160, 1199, 1200 };
	struct xdp_count before, after;
	uint64_t packets = 0, bytes = 0;

	xdp_read(rig.x, &before);
	FOR_EACH_WAY(w)
	{
		bind_way(&w);
		for (size_t i = 0; i < ARRAY_LEN(lens); i++) {
			struct rig_packet down = packet(&w, false, lens[i]);

			for (size_t padding = 0; padding <= 3; padding++) {
				struct rig_packet up = up_packet(&w, lens[i], padding);

				assert_int_equal(run_packet(&w, true, &up), forwarded(&w));
				bytes += lens[i];
				packets++;
			}
			assert_int_equal(run_packet(&w, false, &down), forwarded(&w));
		}
		xdp_unbind(rig.x, &w.b);
	}
	xdp_read(rig.x, &after);
	assert_int_equal(after.up_packets - before.up_packets, packets);
	assert_int_equal(after.up_bytes - before.up_bytes, bytes);
	assert_int_equal(after.down_packets - before.down_packets, packets / 4);
	assert_int_equal(after.down_bytes - before.down_bytes, bytes / 4);
}

/* Data of a peer may begin like ChannelData (QUIC does). */
static void test_peer_data_like_channel_data(void **state)
{
	FOR_EACH_WAY(w)
	{
		struct rig_packet p = packet(&w, false, 100);

		bind_way(&w);
		put_channel(&p, w.b.channel, 96);
		assert_int_equal(run_packet(&w, false, &p), forwarded(&w));
		put_channel(&p, 0x7fff, 9);
		assert_int_equal(run_packet(&w, false, &p), forwarded(&w));
		xdp_unbind(rig.x, &w.b);
	}
}

/* A header field takes every value it can, or many. */
static void test_header_fields(void **state)
{
	FOR_EACH_WAY(w)
	{
		struct rig_packet up = up_packet(&w, 33, 0), down = packet(&w, false, 33);

		bind_way(&w);
		for (unsigned v = 0; v < 256; v++) {
			up.tos = down.ttl = (uint8_t)v;
			down.tos = up.ttl = (uint8_t)(255 - v);
			up.df = !(down.df = v & 1);
			up.id = (uint16_t)(v * 257);
			assert_int_equal(run_packet(&w, true, &up),
					 up.ttl > 1 ? forwarded(&w) : XDP_PASS);
			assert_int_equal(run_packet(&w, false, &down),
					 down.ttl > 1 ? forwarded(&w) : XDP_PASS);
		}
		xdp_unbind(rig.x, &w.b);
	}
}

/* Identifications differ when they came different; a flow keeps one label. */
static void test_identification(void **state)
{
	struct way w4 = way_of(false, false, FAR), w6 = way_of(true, true, FAR);
	struct rig_packet p4 = up_packet(&w4, 20, 0), p6 = up_packet(&w6, 20, 0), is;
	struct rig_result r;
	struct rig_frame in;
	uint32_t label = 0;
	uint16_t first = 0;
	bool ok;

	bind_way(&w4);
	bind_way(&w6);
	for (unsigned i = 0; i < 50; i++) {
		p4.id = (uint16_t)i;
		rig_write(&p4, &in);
		rig_run(xdp_program(rig.x), rig.cli, &in, 1, &r);
		assert_true(rig_read(&r.out, &is, 0, &ok));
		first = i ? first : is.id;
		assert_int_equal(is.id ^ first, i);
		rig_write(&p6, &in);
		rig_run(xdp_program(rig.x), rig.cli, &in, 1, &r);
		assert_true(rig_read(&r.out, &is, 0, &ok));
		label = i ? label : is.label;
		assert_int_equal(is.label, label);
	}
	xdp_unbind(rig.x, &w4.b);
	xdp_unbind(rig.x, &w6.b);
}

static void test_checksums(void **state)
{
	FOR_EACH_WAY(w)
	{
		struct rig_packet up = up_packet(&w, 101, 3), down = packet(&w, false, 101);
		size_t at = 14 + (w.b.client.family == ADDR_V4 ? 20 : 40) + 6;
		bool v4 = w.b.client.family == ADDR_V4 && w.b.peer.family == ADDR_V4;
		struct rig_frame f;

		bind_way(&w);
		for (unsigned bit = 0; bit < 16;
		     bit++) { /* none is laundered, judge() sees to it */
			rig_write(&up, &f);
			f.bytes[at + bit / 8] ^= (uint8_t)(1 << bit % 8);
			assert_int_equal(run(&w, true, &f), forwarded(&w));
		}
		rig_write(&up, &f);
		f.bytes[f.len - 1] ^= 0x10; /* in the padding, which is cut off */
		assert_int_equal(run(&w, true, &f), forwarded(&w));
		up.no_check = down.no_check = true;
		assert_int_equal(run_packet(&w, true, &up), v4 ? forwarded(&w) : XDP_PASS);
		assert_int_equal(run_packet(&w, false, &down), v4 ? forwarded(&w) : XDP_PASS);
		xdp_unbind(rig.x, &w.b);
	}
}

/* A sum that comes out as zero is written as 0xffff (RFC 768), both ways. */
static void test_checksum_of_zero(void **state)
{
	FOR_EACH_WAY(w)
	{
		struct rig_packet down = packet(&w, false, 40), up = up_packet(&w, 40, 0);

		bind_way(&w);
		for (unsigned v = 0; v < 65536; v += way_ ? 97 : 1) {
			down.payload[8] = up.payload[8] = (uint8_t)(v >> 8);
			down.payload[9] = up.payload[9] = (uint8_t)v;
			assert_int_equal(run_packet(&w, false, &down), forwarded(&w));
			assert_int_equal(run_packet(&w, true, &up), forwarded(&w));
		}
		xdp_unbind(rig.x, &w.b);
	}
}

/* Bytes behind the IP packet, as Ethernet pads short frames. */
static void test_trailer(void **state)
{
	FOR_EACH_WAY(w)
	{
		struct rig_packet up = up_packet(&w, 1, 3), down = packet(&w, false, 1);
		struct rig_frame f;

		bind_way(&w);
		rig_write(&up, &f);
		memset(f.bytes + f.len, 0xee, 16);
		f.len += 16;
		assert_int_equal(run(&w, true, &f), forwarded(&w));
		rig_write(&down, &f);
		memset(f.bytes + f.len, 0xee, 17);
		f.len += 17;
		assert_int_equal(run(&w, false, &f), forwarded(&w));
		xdp_unbind(rig.x, &w.b);
	}
}

/* ---- what is not ---- */

static void test_truncated(void **state)
{
	FOR_EACH_WAY(w)
	{
		struct rig_packet up = up_packet(&w, 21, 3), down = packet(&w, false, 21);
		struct rig_frame whole, cut;

		bind_way(&w);
		for (int dir = 0; dir < 2; dir++) {
			rig_write(dir ? &up : &down, &whole);
			for (size_t len = 14; len < whole.len; len++) {
				cut = whole;
				cut.len = len;
				assert_int_equal(run(&w, dir, &cut), XDP_PASS);
			}
		}
		xdp_unbind(rig.x, &w.b);
	}
}

/* Each length field, each wrong value near the right one, and the extremes. */
static void test_lying_lengths(void **state)
{
	FOR_EACH_WAY(w)
	{
		struct rig_packet p = up_packet(&w, 60, 0);
		bool v4 = w.b.client.family == ADDR_V4;
		size_t ip = 14, udp = ip + (v4 ? 20 : 40),
		       at[3] = { v4 ? ip + 2 : ip + 4, udp + 4, udp + 10 };
		struct rig_frame good, bad;

		bind_way(&w);
		rig_write(&p, &good);
		for (size_t field = 0; field < 3; field++)
			for (int lie = -1000; lie <= 65536; lie += lie < 1500 ? 1 : 641) {
				bad = good;
				bad.bytes[at[field]] = (uint8_t)(lie >> 8);
				bad.bytes[at[field] + 1] = (uint8_t)lie;
				run(&w, true, &bad); /* judge() knows the few that are right */
			}
		for (size_t data = 57; data <= 61; data++) { /* 60 fits, 57…59 are padded */
			bad = good;
			bad.bytes[at[2] + 1] = (uint8_t)data;
			assert_int_equal(run(&w, true, &bad),
					 data == 61 ? XDP_PASS : forwarded(&w));
		}
		bad.bytes[at[2] + 1] = 56; /* four bytes too many are no padding */
		assert_int_equal(run(&w, true, &bad), XDP_PASS);
		xdp_unbind(rig.x, &w.b);
	}
}

static void test_unusual_ipv4(void **state)
{
	static const struct {
		const char *what;
		size_t at;
		uint8_t value;
	} cases[] = {
		{ "options", 14, 0x46 },
		{ "short header", 14, 0x44 },
		{ "version 6", 14, 0x65 },
		{ "first fragment", 20, 0x20 },
		{ "later fragment", 21, 0x08 },
		{ "reserved flag", 20, 0x80 },
		{ "TCP", 23, 6 },
		{ "UDP-Lite", 23, 136 },
		{ "VLAN tag", 12, 0x81 },
		{ "ARP", 13, 0x06 },
		{ "other destination", 33, 99 },
		{ "other source", 29, 99 },
		{ "other MAC", 5, 0x77 },
		{ "group MAC", 0, 0x03 },
		{ "other port", 37, 0x97 },
		{ "channel below", 42, 0x3f },
		{ "channel above", 42, 0x80 },
		{ "other channel", 43, 0x77 },
		{ "a STUN message", 42, 0x00 },
	};
	struct way w = way_of(false, false, FAR);
	struct rig_packet p = up_packet(&w, 60, 0);

	bind_way(&w);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		for (int fix = 0; fix < 2; fix++) { /* with the IP checksum as it was, and right */
			struct rig_frame f;
			uint32_t sum = 0;

			rig_write(&p, &f);
			f.bytes[cases[i].at] = cases[i].value;
			f.bytes[24] = f.bytes[25] = fix ? 0 : f.bytes[24];
			for (size_t k = 14; fix && k < 34; k += 2)
				sum += (uint32_t)(f.bytes[k] << 8 | f.bytes[k + 1]);
			sum = ~((sum & 0xffff) + (sum >> 16));
			if (fix)
				f.bytes[24] = (uint8_t)(sum >> 8), f.bytes[25] = (uint8_t)sum;
			if (run(&w, true, &f) != XDP_PASS)
				fail_msg("forwarded: %s", cases[i].what);
		}
	xdp_unbind(rig.x, &w.b);
}

static void test_unusual_ipv6(void **state)
{
	static const struct {
		const char *what;
		size_t at;
		uint8_t value;
	} cases[] = {
		{ "version 4", 14, 0x45 },
		{ "hop-by-hop options", 20, 0 },
		{ "fragment", 20, 44 },
		{ "destination options", 20, 60 },
		{ "TCP", 20, 6 },
		{ "VLAN tag", 12, 0x81 },
		{ "other destination", 53, 0x99 },
		{ "other source", 37, 0x99 },
		{ "other MAC", 5, 0x77 },
		{ "other channel", 63, 0x77 },
	};
	struct way w = way_of(true, true, FAR);
	struct rig_packet p = up_packet(&w, 60, 0);

	bind_way(&w);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct rig_frame f;

		rig_write(&p, &f);
		f.bytes[cases[i].at] = cases[i].value;
		if (run(&w, true, &f) != XDP_PASS)
			fail_msg("forwarded: %s", cases[i].what);
	}
	xdp_unbind(rig.x, &w.b);
}

/* Bytes changed at random: never a wrong forward, and nothing good is left to the daemon. */
static void test_mutations(void **state)
{
	struct rng rng;
	unsigned count[5] = { 0 };

	rng_seed(&rng, 20260911);
	FOR_EACH_WAY(w)
	{
		struct rig_packet up = up_packet(&w, 50, 2), down = packet(&w, false, 50);

		bind_way(&w);
		for (unsigned i = 0; i < 4000; i++) {
			struct rig_frame f;

			rig_write(i & 1 ? &up : &down, &f);
			for (uint32_t n = rng_below(&rng, 4); n > 0; n--)
				f.bytes[rng_below(&rng, i & 2 ? 70 : (uint32_t)f.len)] =
					(uint8_t)rng_u32(&rng);
			if (rng_below(&rng, 8) == 0)
				f.len = 14 + rng_below(&rng, (uint32_t)f.len - 13);
			count[run(&w, i & 1, &f)]++;
		}
		xdp_unbind(rig.x, &w.b);
	}
	assert_true(count[XDP_PASS] > 1000 && count[XDP_TX] > 1000 && count[XDP_REDIRECT] > 1000);
}

static void test_binding_ends(void **state)
{
	FOR_EACH_WAY(w)
	{
		struct rig_packet up = up_packet(&w, 10, 2), down = packet(&w, false, 10);
		struct rig_result r;
		struct rig_frame f[2];

		rig_write(&up, &f[1]);
		rig_write(&down, &f[0]);
		for (int step = 0; step < 4; step++) {
			/* not yet, expired, bound again, ended */
			w.b.until = step == 1 ? usec_monotonic() - 50 * USEC_PER_MSEC
					      : usec_monotonic() + USEC_PER_SEC * 60;
			if (step == 1 || step == 2)
				bind_way(&w);
			if (step == 3)
				xdp_unbind(rig.x, &w.b);
			for (int dir = 0; dir < 2; dir++) {
				rig_run(xdp_program(rig.x), dir || w.near ? rig.cli : rig.per,
					&f[dir], 1, &r);
				assert_int_equal(r.verdict, step == 2 ? forwarded(&w) : XDP_PASS);
			}
		}
	}
}

static uint32_t only_run(const struct way *w, bool up, const struct rig_packet *p, uint32_t ifindex)
{
	struct rig_result r;
	struct rig_frame f;

	rig_write(p, &f);
	rig_run(xdp_program(rig.x), ifindex, &f, 1, &r);
	if (r.verdict == XDP_PASS)
		assert_memory_equal(r.out.bytes, f.bytes, f.len);
	return r.verdict;
}

static void test_routes(void **state)
{
	static const struct {
		const char *peer4, *peer6, *what;
	} nowhere[] = {
		{ "203.0.113.9:1", "[2001:db8::9]:1", "no route" },
		{ "10.2.0.9:1", "[fd02::9]:1", "no neighbour" },
		{ "10.2.0.1:1", "[fd01::1]:1", "an address of our own" },
		{ "127.0.0.1:1", "[::1]:1", "loopback" },
	};
	struct xdp_count before, after;

	xdp_read(rig.x, &before);
	for (size_t i = 0; i < ARRAY_LEN(nowhere); i++)
		for (int v6 = 0; v6 < 2; v6++) {
			struct way w = way_of(false, v6, FAR);
			struct rig_packet p = up_packet(&w, 10, 0);

			w.b.peer = rig_addr(v6 ? nowhere[i].peer6 : nowhere[i].peer4);
			assert_int_equal(xdp_bind(rig.x, &w.b), i == 3 ? -EINVAL : 0);
			if (only_run(&w, true, &p, rig.cli) != XDP_PASS)
				fail_msg("forwarded: %s", nowhere[i].what);
			xdp_unbind(rig.x, &w.b);
		}
	xdp_read(rig.x, &after);
	assert_int_equal(after.no_route - before.no_route, 6);
}

/* Longer than the way out takes: the daemon, whose socket knows how to fragment or to refuse. */
static void test_mtu(void **state)
{
	FOR_EACH_WAY(w)
	{
		size_t mtu = way_ / 4 == GATEWAY ? 1280 : 1500,
		       ip = w.b.peer.family == ADDR_V4 ? 28 : 48;
		size_t ip_in = w.b.client.family == ADDR_V4 ? 28 : 48;
		struct rig_packet up = up_packet(&w, mtu - ip, 0), down;
		struct xdp_count before, after;

		bind_way(&w);
		xdp_read(rig.x, &before);
		assert_int_equal(only_run(&w, true, &up, rig.cli), forwarded(&w));
		up = up_packet(&w, mtu - ip + 1, 0);
		assert_int_equal(only_run(&w, true, &up, rig.cli), XDP_PASS);
		down = packet(&w, false, 1500 - ip_in - 4);
		assert_int_equal(only_run(&w, false, &down, w.near ? rig.cli : rig.per),
				 forwarded(&w));
		down = packet(&w, false, 1500 - ip_in - 3);
		assert_int_equal(only_run(&w, false, &down, w.near ? rig.cli : rig.per), XDP_PASS);
		xdp_read(rig.x, &after);
		assert_int_equal(after.too_big - before.too_big, 2);
		xdp_unbind(rig.x, &w.b);
	}
}

/* Now and then the daemon sees a packet of each flow. */
static void test_shown(void **state)
{
	struct way w = way_of(false, false, NEAR);
	struct rig_packet p = up_packet(&w, 10, 0);
	struct xdp_key4 key = { 0 };
	struct xdp_flow flow;
	struct xdp_count before, after;
	int map = rig_map(xdp_program(rig.x), "flows4");

	bind_way(&w);
	memcpy(&key.src, w.b.client.ip, 4);
	memcpy(&key.dst, w.b.server.ip, 4);
	key.sport = __builtin_bswap16(w.b.client.port);
	key.dport = __builtin_bswap16(w.b.server.port);
	key.channel = __builtin_bswap16(w.b.channel);
	assert_int_equal(bpf_map_lookup_elem(map, &key, &flow), 0);
	flow.show_ns = 1;
	assert_int_equal(bpf_map_update_elem(map, &key, &flow, BPF_ANY), 0);
	xdp_read(rig.x, &before);
	assert_int_equal(only_run(&w, true, &p, rig.cli), XDP_PASS);
	assert_int_equal(only_run(&w, true, &p, rig.cli), XDP_TX);
	xdp_read(rig.x, &after);
	assert_int_equal(after.shown - before.shown, 1);
	close(map);
	xdp_unbind(rig.x, &w.b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_forwards),	  TEST(test_peer_data_like_channel_data),
		TEST(test_header_fields), TEST(test_identification),
		TEST(test_checksums),	  TEST(test_checksum_of_zero),
		TEST(test_trailer),	  TEST(test_truncated),
		TEST(test_lying_lengths), TEST(test_unusual_ipv4),
		TEST(test_unusual_ipv6),  TEST(test_mutations),
		TEST(test_binding_ends),  TEST(test_routes),
		TEST(test_mtu),		  TEST(test_shown),
	};
	char why[256];
	int failed, err;

	if (!rig_network(&rig))
		return 77;
	err = xdp_create("cli0,per0", 1000, &rig.x, why);
	if (err) {
		printf("%s%s\n", err == -EPERM ? "skipped: " : "", why);
		return err == -EPERM ? 77 : 1;
	}
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	xdp_destroy(rig.x);
	return failed;
}
