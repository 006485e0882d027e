#include "relay/xdp/xdp_rig.h"

#include <assert.h>
#include <errno.h>
#include <net/if.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "base/err.h"
#include "base/wire.h"

#define ETHERTYPE_V4 0x0800
#define ETHERTYPE_V6 0x86DD
#define UDP 17

/* ---- the network ---- */

bool rig_ip(const char *fmt, ...)
{
	char words[256], command[300];
	va_list args;

	va_start(args, fmt);
	vsnprintf(words, sizeof(words), fmt, args); // NOLINT(clang-analyzer-valist.Uninitialized)
	va_end(args);
	snprintf(command, sizeof(command), "ip %s >/dev/null 2>&1", words);
	return system(command) == 0;
}

static void set_sysctl(const char *name, const char *value)
{
	char path[200];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/sys/net/%s", name);
	f = fopen(path, "we");
	if (!f)
		return;
	fputs(value, f);
	fclose(f);
}

static bool link_up(const char *name, const char *mac, const char *v4, const char *v6)
{
	return rig_ip("link add %s type veth peer name %s-far", name, name) &&
	       rig_ip("link set %s address %s up", name, mac) &&
	       rig_ip("link set %s-far up", name) && rig_ip("address add %s dev %s", v4, name) &&
	       rig_ip("address add %s dev %s nodad", v6, name);
}

static bool neighbour(const char *dev, const char *ip, const char *mac)
{
	return rig_ip("neighbour replace %s lladdr %s dev %s nud permanent", ip, mac, dev);
}

static bool neighbours(void)
{
	return neighbour("cli0", "10.1.0.2", "02:00:00:00:01:02") &&
	       neighbour("cli0", "fd01::2", "02:00:00:00:01:02") &&
	       neighbour("cli0", "10.1.0.3", "02:00:00:00:01:03") &&
	       neighbour("cli0", "fd01::3", "02:00:00:00:01:03") &&
	       neighbour("per0", "10.2.0.2", "02:00:00:00:02:02") &&
	       neighbour("per0", "fd02::2", "02:00:00:00:02:02") &&
	       neighbour("per0", "10.2.0.254", "02:00:00:00:02:fe") &&
	       neighbour("per0", "fd02::fe", "02:00:00:00:02:fe");
}

bool rig_network(struct rig *r)
{
	memcpy(r->cli_mac, "\2\0\0\0\1\1", 6);
	memcpy(r->per_mac, "\2\0\0\0\2\1", 6);
	if (geteuid() != 0) {
		printf("skipped: BPF programs can be loaded by root only\n");
		return false;
	}
	if (unshare(CLONE_NEWNET) < 0) {
		printf("skipped: no network namespace: %s\n", err_text(-errno));
		return false;
	}
	set_sysctl("ipv6/conf/default/accept_dad", "0");
	set_sysctl("ipv6/conf/default/router_solicitations", "0");
	if (!rig_ip("link set lo up") ||
	    !link_up("cli0", "02:00:00:00:01:01", "10.1.0.1/24", "fd01::1/64") ||
	    !link_up("per0", "02:00:00:00:02:01", "10.2.0.1/24", "fd02::1/64") || !neighbours() ||
	    !rig_ip("route add 10.3.0.0/24 via 10.2.0.254 mtu lock 1280") ||
	    !rig_ip("route add fd03::/64 via fd02::fe mtu lock 1280")) {
		printf("skipped: no veth links to be had (ip link add … type veth)\n");
		return false;
	}
	r->cli = if_nametoindex("cli0");
	r->per = if_nametoindex("per0");
	return true;
}

/* ---- packets ---- */

static uint16_t sum16(struct span bytes, uint32_t sum)
{
	struct reader r = reader_of(bytes);

	while (reader_left(&r) >= 2)
		sum += reader_u16(&r);
	if (reader_left(&r))
		sum += (uint32_t)reader_u8(&r) << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

/* Of a UDP header and data with its pseudo header: 0xffff when the checksum in it is right. */
static uint16_t udp_sum(const struct addr *from, const struct addr *to, struct span udp)
{
	size_t ip = from->family == ADDR_V4 ? 4 : 16;
	uint32_t sum = UDP + (uint32_t)udp.len;

	sum = sum16(span_of(from->ip, ip), sum);
	sum = sum16(span_of(to->ip, ip), sum);
	return sum16(udp, sum);
}

static void write_ip(struct writer *w, const struct rig_packet *p)
{
	size_t at = writer_len(w);

	if (p->from.family == ADDR_V4) {
		writer_u8(w, 0x45);
		writer_u8(w, p->tos);
		writer_u16(w, (uint16_t)(28 + p->len));
		writer_u16(w, p->id);
		writer_u16(w, p->df ? 0x4000 : 0);
		writer_u8(w, p->ttl);
		writer_u8(w, UDP);
		writer_u16(w, 0);
		writer_bytes(w, p->from.ip, 4);
		writer_bytes(w, p->to.ip, 4);
		writer_patch_u16(w, at + 10, (uint16_t)~sum16(span_of(w->start + at, 20), 0));
		return;
	}
	writer_u32(w, 6u << 28 | (uint32_t)p->tos << 20 | p->label);
	writer_u16(w, (uint16_t)(8 + p->len));
	writer_u8(w, UDP);
	writer_u8(w, p->ttl);
	writer_bytes(w, p->from.ip, 16);
	writer_bytes(w, p->to.ip, 16);
}

void rig_write(const struct rig_packet *p, struct rig_frame *out)
{
	struct writer w = writer_of(out->bytes, sizeof(out->bytes));
	size_t udp;
	uint16_t check;

	writer_bytes(&w, p->to_mac, 6);
	writer_bytes(&w, p->from_mac, 6);
	writer_u16(&w, p->from.family == ADDR_V4 ? ETHERTYPE_V4 : ETHERTYPE_V6);
	write_ip(&w, p);
	udp = writer_len(&w);
	writer_u16(&w, p->from.port);
	writer_u16(&w, p->to.port);
	writer_u16(&w, (uint16_t)(8 + p->len));
	writer_u16(&w, 0);
	writer_bytes(&w, p->payload, p->len);
	assert(!writer_failed(&w));
	out->len = writer_len(&w);
	if (p->no_check)
		return;
	check = (uint16_t)~udp_sum(&p->from, &p->to, span_of(out->bytes + udp, out->len - udp));
	writer_patch_u16(&w, udp + 6, check ? check : 0xffff);
}

static bool read_ipv4(struct reader *r, struct rig_packet *p, size_t *ip_len)
{
	struct span header = span_of(r->ptr, FL_MIN(reader_left(r), (size_t)20));
	uint16_t frag;

	p->from.family = p->to.family = ADDR_V4;
	if (reader_u8(r) != 0x45)
		return false;
	p->tos = reader_u8(r);
	*ip_len = (size_t)reader_u16(r) - 20;
	p->id = reader_u16(r);
	frag = reader_u16(r);
	p->df = frag == 0x4000;
	p->ttl = reader_u8(r);
	if ((frag != 0 && !p->df) || reader_u8(r) != UDP)
		return false;
	reader_skip(r, 2);
	return reader_copy(r, p->from.ip, 4) && reader_copy(r, p->to.ip, 4) &&
	       sum16(header, 0) == 0xffff;
}

static bool read_ipv6(struct reader *r, struct rig_packet *p, size_t *ip_len)
{
	uint32_t first = reader_u32(r);

	p->from.family = p->to.family = ADDR_V6;
	p->tos = (uint8_t)(first >> 20);
	p->label = first & 0xfffff;
	*ip_len = reader_u16(r);
	if (first >> 28 != 6 || reader_u8(r) != UDP)
		return false;
	p->ttl = reader_u8(r);
	return reader_copy(r, p->from.ip, 16) && reader_copy(r, p->to.ip, 16);
}

bool rig_read(const struct rig_frame *f, struct rig_packet *p, size_t trailer_max, bool *sum_ok)
{
	struct reader r = reader_of(span_of(f->bytes, f->len)), udp;
	size_t ip_len = 0;
	struct span all;
	uint16_t type;

	*p = (struct rig_packet){ 0 };
	reader_copy(&r, p->to_mac, 6);
	reader_copy(&r, p->from_mac, 6);
	type = reader_u16(&r);
	if (type == ETHERTYPE_V4 ? !read_ipv4(&r, p, &ip_len)
				 : type != ETHERTYPE_V6 || !read_ipv6(&r, p, &ip_len))
		return false;
	all = span_of(r.ptr, ip_len);
	udp = reader_sub(&r, ip_len);
	p->from.port = reader_u16(&udp);
	p->to.port = reader_u16(&udp);
	if (reader_u16(&udp) != ip_len)
		return false;
	p->no_check = reader_u16(&udp) == 0;
	p->len = reader_left(&udp);
	if (reader_failed(&udp) || reader_failed(&r) || reader_left(&r) > trailer_max ||
	    p->len > sizeof(p->payload) || !reader_copy(&udp, p->payload, p->len))
		return false;
	*sum_ok = p->no_check ? type == ETHERTYPE_V4 : udp_sum(&p->from, &p->to, all) == 0xffff;
	return true;
}

struct addr rig_addr(const char *text)
{
	struct addr a;
	int err = addr_parse(text, &a);

	assert(err == 0);
	return a;
}

/* ---- runs ---- */

int rig_map(int program, const char *name)
{
	uint32_t ids[16], len = sizeof(struct bpf_prog_info);
	struct bpf_prog_info info = { .nr_map_ids = ARRAY_LEN(ids), .map_ids = (uintptr_t)ids };
	int err = bpf_obj_get_info_by_fd(program, &info, &len);

	for (size_t i = 0; !err && i < FL_MIN((size_t)info.nr_map_ids, ARRAY_LEN(ids)); i++) {
		struct bpf_map_info map = { 0 };
		uint32_t map_len = sizeof(map);
		int fd = bpf_map_get_fd_by_id(ids[i]);

		if (fd >= 0 && !bpf_obj_get_info_by_fd(fd, &map, &map_len) &&
		    strcmp(map.name, name) == 0)
			return fd;
		if (fd >= 0)
			close(fd);
	}
	fprintf(stderr, "the program has no map %s\n", name);
	abort();
}

void rig_run(int program, uint32_t ifindex, const struct rig_frame *in, unsigned repeat,
	     struct rig_result *out)
{
	struct xdp_md context = { .data_end = (uint32_t)in->len, .ingress_ifindex = ifindex };
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = in->bytes, .data_size_in = (uint32_t)in->len,
		    .data_out = out->out.bytes, .data_size_out = sizeof(out->out.bytes),
		    .ctx_in = &context, .ctx_size_in = sizeof(context), .repeat = (int)repeat);
	int err = bpf_prog_test_run_opts(program, &run);

	if (err) {
		fprintf(stderr, "BPF_PROG_TEST_RUN: %s\n", err_text(err));
		abort();
	}
	out->verdict = run.retval;
	out->ns = run.duration;
	out->out.len = run.data_size_out;
}
