/*
 * bench_xdp FOLDER [REPEAT]: what the relay's XDP program costs, in nanoseconds of one CPU per
 * packet, by BPF_PROG_TEST_RUN over the maps and routes of a network of its own. FOLDER has the
 * bench's programs (bench.bpf.c). Each figure is the least of several rounds, because everything
 * else that the machine does only adds.
 */
#include <errno.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "base/err.h"
#include "relay/xdp/xdp_rig.h"

#define ROUNDS 11
#define OTHER_BINDINGS 10000
#define HEAD 96

struct bench {
	struct rig rig;
	struct bpf_object *object;
	int restore, restore_turn, templates;
	uint32_t empty_ns;
	unsigned repeat;
};

static _Noreturn void die(const char *what, int err)
{
	fprintf(stderr, "bench_xdp: %s: %s\n", what, err_text(err));
	exit(1);
}

/* The bench's programs over the maps of the program that is attached. */
static void load(struct bench *b, const char *folder, const char *name)
{
	char path[300];
	static const char *const shared[] = { "flows4",	  "flows6", "users",
					      "counters", "ports",  "macs" };
	int err;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	bpf_object__close(b->object);
	b->object = bpf_object__open_file(path, NULL);
	if (!b->object)
		die(path, -errno);
	for (size_t i = 0; i < ARRAY_LEN(shared); i++) {
		int fd = rig_map(xdp_program(b->rig.x), shared[i]);

		err = bpf_map__reuse_fd(bpf_object__find_map_by_name(b->object, shared[i]), fd);
		if (err)
			die(shared[i], err);
		close(fd);
	}
	err = bpf_object__load(b->object);
	if (err)
		die("loading the bench's programs", err);
	b->restore = bpf_program__fd(bpf_object__find_program_by_name(b->object, "restore"));
	b->restore_turn = bpf_program__fd(
		bpf_object__find_program_by_name(b->object, "restore_turn"));
	b->templates = bpf_object__find_map_fd_by_name(b->object, "templates");
}

static uint32_t least(const struct bench *b, int program, uint32_t ifindex,
		      const struct rig_frame *in, uint32_t verdict)
{
	struct rig_result r;
	uint32_t ns = UINT32_MAX;

	for (int i = 0; i < ROUNDS; i++) {
		rig_run(program, ifindex, in, b->repeat, &r);
		if (r.verdict != verdict) {
			fprintf(stderr, "bench_xdp: verdict %u, not %u\n", r.verdict, verdict);
			exit(1);
		}
		ns = FL_MIN(ns, r.ns);
	}
	return ns;
}

static void forwarded(const struct bench *b, const char *what, uint32_t ifindex,
		      const struct rig_frame *in, uint32_t verdict)
{
	struct {
		uint32_t len;
		uint8_t head[HEAD];
	} template = { .len = (uint32_t)in->len };
	uint32_t zero = 0, alone, both;

	memcpy(template.head, in->bytes, HEAD);
	if (bpf_map_update_elem(b->templates, &zero, &template, BPF_ANY))
		die("the template", -errno);
	alone = least(b, b->restore, ifindex, in, XDP_PASS);
	both = least(b, b->restore_turn, ifindex, in, verdict);
	printf("%-44s %4u %6u\n", what, both - alone, both - alone + b->empty_ns);
}

static void passed(const struct bench *b, const char *what, const struct rig_frame *in)
{
	uint32_t ns = least(b, xdp_program(b->rig.x), b->rig.cli, in, XDP_PASS);

	printf("%-44s %4u %6u\n", what, ns - FL_MIN(ns, b->empty_ns), ns);
}

static void measure_empty(struct bench *b)
{
	struct bpf_program *empty = bpf_object__find_program_by_name(b->object, "empty");
	struct rig_frame any = { .len = 64 };

	b->empty_ns = least(b, bpf_program__fd(empty), b->rig.cli, &any, XDP_PASS);
}

static struct xdp_binding binding(bool client6, bool peer6, bool near, uint16_t port)
{
	const char *relayed[2] = { near ? "10.1.0.1:50000" : "10.2.0.1:50000",
				   near ? "[fd01::1]:50000" : "[fd02::1]:50000" };
	const char *peer[2] = { near ? "10.1.0.3:6000" : "10.2.0.2:6000",
				near ? "[fd01::3]:6000" : "[fd02::2]:6000" };
	struct xdp_binding b = {
		.client = rig_addr(client6 ? "[fd01::2]:1" : "10.1.0.2:1"),
		.server = rig_addr(client6 ? "[fd01::1]:3478" : "10.1.0.1:3478"),
		.channel = 0x4000,
		.relayed = rig_addr(relayed[peer6]),
		.peer = rig_addr(peer[peer6]),
		.until = usec_monotonic() + 3600 * USEC_PER_SEC,
	};

	b.client.port = b.relayed.port = port;
	return b;
}

static struct rig_frame frame(const struct rig *r, const struct xdp_binding *b, bool up, size_t len)
{
	struct rig_packet p = { .ttl = 64, .df = true, .len = up ? len + 4 : len };
	bool near = b->peer.port == 6000 && b->peer.ip[b->peer.family == ADDR_V4 ? 3 : 15] == 3;
	struct rig_frame out;

	memcpy(p.to_mac, up || near ? r->cli_mac : r->per_mac, 6);
	p.from = up ? b->client : b->peer;
	p.to = up ? b->server : b->relayed;
	p.payload[0] = up ? (uint8_t)(b->channel >> 8) : 0x80;
	p.payload[1] = up ? (uint8_t)b->channel : 0;
	p.payload[2] = (uint8_t)(len >> 8);
	p.payload[3] = (uint8_t)len;
	rig_write(&p, &out);
	return out;
}

static void bind_one(const struct bench *b, const struct xdp_binding *one)
{
	int err = xdp_bind(b->rig.x, one);

	if (err)
		die("xdp_bind", err);
}

static void both_ways(const struct bench *b, bool client6, bool peer6)
{
	struct xdp_binding near = binding(client6, peer6, true, 60000);
	struct rig_frame up, down;
	char what[60];

	bind_one(b, &near);
	up = frame(&b->rig, &near, true, 1200);
	down = frame(&b->rig, &near, false, 1200);
	snprintf(what, sizeof(what), "up    IPv%d -> IPv%d", client6 ? 6 : 4, peer6 ? 6 : 4);
	forwarded(b, what, b->rig.cli, &up, XDP_TX);
	snprintf(what, sizeof(what), "down  IPv%d -> IPv%d", peer6 ? 6 : 4, client6 ? 6 : 4);
	forwarded(b, what, b->rig.cli, &down, XDP_TX);
	xdp_unbind(b->rig.x, &near);
}

static void variants(const struct bench *b)
{
	struct xdp_binding near = binding(false, false, true, 60000),
			   far = binding(false, false, false, 60001);
	struct rig_frame f;

	near.bytes_per_s = near.packets_per_s = 1000000000000;
	near.user = 1;
	bind_one(b, &near);
	bind_one(b, &far);
	f = frame(&b->rig, &near, true, 160);
	forwarded(b, "up    IPv4, user with a quota", b->rig.cli, &f, XDP_TX);
	f = frame(&b->rig, &far, true, 160);
	forwarded(b, "up    IPv4, out by another interface", b->rig.cli, &f, XDP_REDIRECT);
	xdp_unbind(b->rig.x, &near);
	f = frame(&b->rig, &near, true, 160);
	passed(b, "passed: ChannelData of nobody", &f);
	f.bytes[42] = 0;
	passed(b, "passed: other UDP (STUN, DNS ...)", &f);
	f.bytes[23] = 6;
	passed(b, "passed: TCP", &f);
}

int main(int argc, char **argv)
{
	struct bench b = { .repeat = argc > 2 ? (unsigned)atoi(argv[2]) : 1000000 };
	char why[256];

	if (argc < 2 || b.repeat == 0) {
		fprintf(stderr, "usage: bench_xdp FOLDER [REPEAT]\n");
		return 2;
	}
	if (!rig_network(&b.rig))
		return 1;
	if (xdp_create("cli0,per0", 2 * OTHER_BINDINGS, &b.rig.x, why)) {
		fprintf(stderr, "bench_xdp: %s\n", why);
		return 1;
	}
	load(&b, argv[1], "bench.bpf.o");
	measure_empty(&b);
	for (unsigned i = 0; i < OTHER_BINDINGS; i++) {
		struct xdp_binding other = binding(i & 1, i & 2, true, (uint16_t)(1024 + i));

		bind_one(&b, &other);
	}
	printf("%d rounds of %u packets, the least; %d other bindings; XDP %s\n", ROUNDS, b.repeat,
	       OTHER_BINDINGS, xdp_mode(b.rig.x));
	printf("%-44s   ns  with the %u ns of an empty program\n", "", b.empty_ns);
	both_ways(&b, false, false);
	both_ways(&b, true, true);
	both_ways(&b, false, true);
	both_ways(&b, true, false);
	variants(&b);
	load(&b, argv[1], "asking.bpf.o");
	printf("the first packet of a flow in each second, which asks for the route:\n");
	both_ways(&b, false, false);
	both_ways(&b, true, true);
	bpf_object__close(b.object);
	xdp_destroy(b.rig.x);
	return 0;
}
