#include "relay/xdp/xdp.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "base/err.h"
#include "base/log.h"
#include "base/rng.h"
#include "proto/turn/turn.h"
#include "relay/xdp/maps.h"
#include "relay/xdp/xdp_users.h"
#include "turn_bpf.h" /* generated */

#define VERIFIER_LOG_MAX (1 << 20)
#define SWEEP_AGAIN_US USEC_PER_SEC /* a full map is not searched more often */
#define SWEEP_AT_ONCE 1024

struct xdp {
	struct bpf_object *object;
	int program, flows4, flows6, counters, ports, macs;
	int links[XDP_PORTS_MAX];
	size_t n_links;
	bool generic;
	uint64_t salt;
	_Atomic usec_t swept;
	struct xdp_users *known_users;
};

static int quiet(enum libbpf_print_level level, const char *fmt, va_list args)
{
	return 0; /* what is worth saying is said in why */
}

/* ---- loading ---- */

/* The verifier's last line that is no statistics. */
static const char *last_line(char *text)
{
	char *end = text + strlen(text), *line;

	for (;;) {
		while (end > text && end[-1] == '\n')
			*--end = 0;
		line = strrchr(text, '\n');
		line = line ? line + 1 : text;
		if (strncmp(line, "processed ", 10) && strncmp(line, "verification time", 17) &&
		    strncmp(line, "stack depth", 11))
			return line;
		if (line == text)
			return "";
		*line = 0;
		end = line;
	}
}

static int say_load(int err, char *log, size_t bindings_max, char why[256])
{
	const char *line = last_line(log);

	/* without CAP_PERFMON the verifier also guards against speculation, and refuses */
	if (err == -EPERM || (err == -EACCES && (!*line || strstr(line, "!root"))))
		snprintf(why, 256,
			 "loading an XDP program is not permitted: run as root, or with the "
			 "capabilities CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON");
	else if (err == -ENOMEM || err == -E2BIG)
		snprintf(why, 256,
			 "no kernel memory for the maps of %zu channels: free some, or raise the "
			 "memory limit of the service",
			 bindings_max);
	else if (*line)
		snprintf(why, 256,
			 "the kernel refused the XDP program (5.12 is the first that can run it): "
			 "%.150s",
			 line);
	else
		snprintf(why, 256,
			 "the XDP program cannot be loaded (%s): Linux 5.12 or later with "
			 "CONFIG_BPF_SYSCALL is needed",
			 err_text(err));
	return err;
}

static int map_fd(const struct xdp *x, const char *name)
{
	return bpf_object__find_map_fd_by_name(x->object, name);
}

static int load(struct xdp *x, size_t bindings_max, char why[256])
{
	FL_AUTOFREE char *log = calloc(1, VERIFIER_LOG_MAX);
	LIBBPF_OPTS(bpf_object_open_opts, opts, .object_name = "fairlead_turn",
		    .kernel_log_buf = log, .kernel_log_size = VERIFIER_LOG_MAX);
	const char *const sized[] = { "flows4", "flows6", "users" };
	int err;

	if (!log)
		return say_load(-ENOMEM, (char[1]){ 0 }, bindings_max, why);
	x->object = bpf_object__open_mem(turn_bpf, turn_bpf_len, &opts);
	if (!x->object)
		return say_load(-errno, log, bindings_max, why);
	for (size_t i = 0; i < ARRAY_LEN(sized); i++) {
		struct bpf_map *map = bpf_object__find_map_by_name(x->object, sized[i]);

		/* a binding has two flows, and at most one user of its own; one place is for all */
		err = bpf_map__set_max_entries(
			map, (uint32_t)(i < 2 ? 2 * bindings_max : bindings_max + 1));
		if (err)
			return say_load(err, log, bindings_max, why);
	}
	err = bpf_object__load(x->object);
	if (err)
		return say_load(err, log, bindings_max, why);
	x->program = bpf_program__fd(bpf_object__find_program_by_name(x->object, "turn"));
	x->flows4 = map_fd(x, "flows4");
	x->flows6 = map_fd(x, "flows6");
	x->counters = map_fd(x, "counters");
	x->ports = map_fd(x, "ports");
	x->macs = map_fd(x, "macs");
	err = xdp_users_create(map_fd(x, "users"), bindings_max + 1, &x->known_users);
	return err ? say_load(-ENOMEM, log, bindings_max, why) : 0;
}

/* ---- what the machine must allow ---- */

static bool write_one(const char *path)
{
	FL_CLEANUP(fl_closep) int fd = open(path, O_RDWR | O_CLOEXEC);
	char is = 0;

	if (fd < 0 && errno == ENOENT)
		return true; /* without this family there is nothing to allow */
	if (fd >= 0)
		return (read(fd, &is, 1) == 1 && is == '1') || pwrite(fd, "1", 1, 0) == 1;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd >= 0 && read(fd, &is, 1) == 1 && is == '1';
}

static int allow_routes(char why[256])
{
	if (write_one("/proc/sys/net/ipv4/conf/lo/forwarding") &&
	    write_one("/proc/sys/net/ipv6/conf/lo/forwarding"))
		return 0;
	snprintf(why, 256,
		 "the XDP program may not ask for routes: set net.ipv4.conf.lo.forwarding=1 and "
		 "net.ipv6.conf.lo.forwarding=1 with sysctl (of lo only: no router comes of it)");
	return -EPERM;
}

/* ---- attaching ---- */

static int own_mac(const char *name, struct xdp_mac *mac, char why[256])
{
	FL_CLEANUP(fl_closep) int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = { 0 };

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	if (fd < 0 || ioctl(fd, SIOCGIFHWADDR, &request) < 0) {
		snprintf(why, 256, "the address of interface %s cannot be read: %s", name,
			 err_text(-errno));
		return -errno;
	}
	if (request.ifr_hwaddr.sa_family != ARPHRD_ETHER) {
		snprintf(why, 256, "interface %s is no Ethernet: XDP is for Ethernet only", name);
		return FL_EUNSUPPORTED;
	}
	memcpy(mac->octets, request.ifr_hwaddr.sa_data, sizeof(mac->octets));
	return 0;
}

static int refuse_other(const char *name, unsigned ifindex, char why[256])
{
	LIBBPF_OPTS(bpf_xdp_query_opts, now);
	int err = bpf_xdp_query((int)ifindex, 0, &now);
	uint32_t id = now.prog_id	? now.prog_id
		      : now.drv_prog_id ? now.drv_prog_id
		      : now.hw_prog_id	? now.hw_prog_id
					: now.skb_prog_id;

	if (err) {
		snprintf(why, 256, "interface %s cannot be asked for its XDP program: %s", name,
			 err_text(err));
		return err;
	}
	if (!id)
		return 0;
	snprintf(
		why, 256,
		"interface %s has an XDP program of somebody else (id %u, see bpftool prog show id "
		"%u): take that off first, or do without --xdp",
		name, id, id);
	return -EBUSY;
}

static int attach(struct xdp *x, const char *name, unsigned ifindex, char why[256])
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = XDP_FLAGS_DRV_MODE);
	int link = bpf_link_create(x->program, (int)ifindex, BPF_XDP, &opts), native = link;

	if (link < 0 && link != -EBUSY && link != -EPERM) {
		opts.flags = XDP_FLAGS_SKB_MODE;
		link = bpf_link_create(x->program, (int)ifindex, BPF_XDP, &opts);
		if (link >= 0) {
			x->generic = true;
			log_warn("xdp-generic", "interface=%s cause=%s", name, err_text(native));
		}
	}
	if (link >= 0) {
		x->links[x->n_links++] = link;
		return 0;
	}
	if (link == -EBUSY)
		snprintf(why, 256,
			 "interface %s has an XDP program of somebody else: take that off first, "
			 "or do without --xdp",
			 name);
	else
		snprintf(why, 256,
			 "the XDP program cannot be attached to %s: %s (native mode: %s)%s", name,
			 err_text(link), err_text(native),
			 link == -EPERM ? "; CAP_NET_ADMIN is needed" : "");
	return link;
}

static int add_interface(struct xdp *x, const char *name, char why[256])
{
	uint32_t ifindex = if_nametoindex(name);
	struct bpf_devmap_val port = { .ifindex = ifindex };
	struct xdp_mac mac = { 0 };
	int err;

	if (!ifindex) {
		snprintf(why, 256, "no interface is called \"%.32s\": see ip link for their names",
			 name);
		return -ENODEV;
	}
	if (x->n_links == XDP_PORTS_MAX) {
		snprintf(why, 256, "more than %d interfaces for XDP", XDP_PORTS_MAX);
		return FL_EQUOTA;
	}
	err = own_mac(name, &mac, why);
	if (!err)
		err = refuse_other(name, ifindex, why);
	if (err)
		return err;
	err = bpf_map_update_elem(x->macs, &ifindex, &mac, BPF_ANY);
	if (!err)
		err = bpf_map_update_elem(x->ports, &ifindex, &port, BPF_ANY);
	if (err) {
		snprintf(why, 256, "interface %s cannot be used for XDP: %s", name, err_text(err));
		return err;
	}
	return attach(x, name, ifindex, why);
}

static int add_interfaces(struct xdp *x, const char *interfaces, char why[256])
{
	FL_AUTOFREE char *names = strdup(interfaces);
	char *rest = names, *name;
	int err = 0;

	if (!names) {
		snprintf(why, 256, "out of memory");
		return -ENOMEM;
	}
	while (!err && (name = strsep(&rest, ",")))
		err = add_interface(x, name, why);
	return err;
}

int xdp_create(const char *interfaces, size_t bindings_max, struct xdp **out, char why[256])
{
	struct xdp *x = calloc(1, sizeof(*x));
	int err;

	assert(bindings_max > 0 && bindings_max <= XDP_BINDINGS_MAX);
	*out = NULL;
	if (!x) {
		snprintf(why, 256, "out of memory");
		return -ENOMEM;
	}
	libbpf_set_print(quiet);
	x->salt = rng_u64(rng_system());
	err = load(x, bindings_max, why);
	if (!err)
		err = allow_routes(why);
	if (!err)
		err = add_interfaces(x, interfaces, why);
	if (err) {
		xdp_destroy(x);
		return err;
	}
	*out = x;
	return 0;
}

void xdp_destroy(struct xdp *x)
{
	if (!x)
		return;
	for (size_t i = 0; i < x->n_links; i++)
		close(x->links[i]);
	xdp_users_destroy(x->known_users);
	bpf_object__close(x->object);
	free(x);
}

/* ---- bindings ---- */

/* An address as a packet carries it, and where in the maps it goes. */
static void put_ip(const struct addr *a, __be32 out[4])
{
	memset(out, 0, 16);
	memcpy(out, a->ip, a->family == ADDR_V4 ? 4 : 16);
}

static bool on_the_wire(const struct addr *a)
{
	enum addr_range range = addr_range(a);

	return a->family != ADDR_NONE && a->port != 0 && a->scope == 0 &&
	       range != ADDR_UNSPECIFIED && range != ADDR_LOOPBACK && range != ADDR_LINK_LOCAL &&
	       range != ADDR_MULTICAST;
}

struct flow_key {
	int map;
	union {
		struct xdp_key4 v4;
		struct xdp_key6 v6;
	} u;
};

static struct flow_key key_of(const struct xdp *x, const struct addr *from, const struct addr *to,
			      uint16_t channel)
{
	struct flow_key k = { .map = from->family == ADDR_V4 ? x->flows4 : x->flows6 };

	if (from->family == ADDR_V4) {
		memcpy(&k.u.v4.src, from->ip, 4);
		memcpy(&k.u.v4.dst, to->ip, 4);
		k.u.v4.sport = htons(from->port);
		k.u.v4.dport = htons(to->port);
		k.u.v4.channel = htons(channel);
	} else {
		put_ip(from, k.u.v6.src);
		put_ip(to, k.u.v6.dst);
		k.u.v6.sport = htons(from->port);
		k.u.v6.dport = htons(to->port);
		k.u.v6.channel = htons(channel);
	}
	return k;
}

/* The one's complement sum of an address and its port, in the order they lie in memory. */
static uint32_t addr_sum(const struct addr *a)
{
	uint32_t sum = htons(a->port);
	uint16_t word;

	for (size_t i = 0; i < sizeof(a->ip); i += 2) {
		memcpy(&word, a->ip + i, 2);
		sum += word;
	}
	return sum;
}

static uint16_t fold(uint32_t sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)((sum & 0xffff) + (sum >> 16));
}

static uint16_t sum_change(const struct addr *old_from, const struct addr *old_to,
			   const struct addr *from, const struct addr *to)
{
	uint16_t old = fold(addr_sum(old_from) + addr_sum(old_to));

	return fold((uint16_t)~old + addr_sum(from) + addr_sum(to));
}

static struct xdp_flow flow_of(const struct addr *from, const struct addr *to,
			       const struct xdp_binding *b)
{
	usec_t ns_max = UINT64_MAX / 1000;
	struct xdp_flow f = {
		.until_ns = b->until > ns_max ? UINT64_MAX : b->until * 1000,
		.show_ns = usec_monotonic() * 1000 + XDP_SHOW_NS,
		.sport = htons(from->port),
		.dport = htons(to->port),
		.v6 = from->family == ADDR_V6,
		.limited = (b->bytes_per_s || b->packets_per_s ? XDP_LIMITED_USER : 0) |
			   (b->all_bytes_per_s || b->all_packets_per_s ? XDP_LIMITED_ALL : 0),
	};

	put_ip(from, f.src);
	put_ip(to, f.dst);
	return f;
}

/* Both directions, or neither. */
static int put_flows(struct xdp *x, const struct xdp_binding *b)
{
	struct flow_key up = key_of(x, &b->client, &b->server, b->channel);
	struct flow_key down = key_of(x, &b->peer, &b->relayed, 0);
	struct xdp_flow to_peer = flow_of(&b->relayed, &b->peer, b);
	struct xdp_flow to_client = flow_of(&b->server, &b->client, b);
	int err = 0;

	to_peer.salt = addr_hash(&b->client, x->salt) ^ addr_hash(&b->peer, ~x->salt);
	to_peer.sum = sum_change(&b->client, &b->server, &b->relayed, &b->peer);
	to_client.salt = addr_hash(&b->peer, x->salt) ^ addr_hash(&b->client, ~x->salt);
	to_client.sum = sum_change(&b->peer, &b->relayed, &b->server, &b->client);
	to_client.channel = htons(b->channel);
	if (to_peer.limited & XDP_LIMITED_USER)
		err = xdp_users_put(x->known_users, b, &to_peer.user);
	if (to_peer.limited & XDP_LIMITED_ALL)
		xdp_users_put_all(x->known_users, b);
	to_client.user = to_peer.user;
	if (!err)
		err = bpf_map_update_elem(up.map, &up.u, &to_peer, BPF_ANY);
	if (err)
		return err;
	err = bpf_map_update_elem(down.map, &down.u, &to_client, BPF_ANY);
	if (err)
		(void)bpf_map_delete_elem(up.map, &up.u);
	return err;
}

static struct xdp_binding unmapped(const struct xdp_binding *b)
{
	struct xdp_binding out = *b;

	out.client = addr_unmap(&b->client);
	out.server = addr_unmap(&b->server);
	out.relayed = addr_unmap(&b->relayed);
	out.peer = addr_unmap(&b->peer);
	return out;
}

int xdp_bind(struct xdp *x, const struct xdp_binding *binding)
{
	struct xdp_binding b = unmapped(binding);
	usec_t now, swept;
	int err;

	if (!on_the_wire(&b.client) || !on_the_wire(&b.server) || !on_the_wire(&b.relayed) ||
	    !on_the_wire(&b.peer) || b.client.family != b.server.family ||
	    b.relayed.family != b.peer.family || b.channel < TURN_CHANNEL_MIN ||
	    b.channel > TURN_CHANNEL_MAX)
		return -EINVAL;
	err = put_flows(x, &b);
	if (err != -E2BIG)
		return err;
	now = usec_monotonic();
	swept = atomic_load(&x->swept);
	if (now - swept >= SWEEP_AGAIN_US && atomic_compare_exchange_strong(&x->swept, &swept, now))
		if (xdp_sweep(x) > 0)
			err = put_flows(x, &b);
	return err == -E2BIG ? FL_EQUOTA : err;
}

void xdp_unbind(struct xdp *x, const struct xdp_binding *binding)
{
	struct xdp_binding b = unmapped(binding);
	struct flow_key up = key_of(x, &b.client, &b.server, b.channel);
	struct flow_key down = key_of(x, &b.peer, &b.relayed, 0);
	struct xdp_flow to_peer = flow_of(&b.relayed, &b.peer, &b), f;

	if (bpf_map_lookup_elem(up.map, &up.u, &f) == 0 && f.dport == to_peer.dport &&
	    memcmp(f.dst, to_peer.dst, sizeof(f.dst)) == 0)
		(void)bpf_map_delete_elem(up.map, &up.u);
	if (bpf_map_lookup_elem(down.map, &down.u, &f) == 0 && f.channel == htons(b.channel))
		(void)bpf_map_delete_elem(down.map, &down.u);
}

/* Entries that ended before now_ns, of one map. A refresh that comes in between is lost with its
 * entry, until the next one. */
static size_t sweep_map(int map, size_t key_len, uint64_t now_ns)
{
	FL_AUTOFREE uint8_t *keys = calloc(SWEEP_AT_ONCE, key_len);
	FL_AUTOFREE struct xdp_flow *flows = calloc(SWEEP_AT_ONCE, sizeof(*flows));
	uint32_t from = 0, to = 0, count;
	size_t removed = 0;
	bool first = true;
	int err = keys && flows ? 0 : -ENOMEM;

	while (!err) {
		count = SWEEP_AT_ONCE;
		err = bpf_map_lookup_batch(map, first ? NULL : &from, &to, keys, flows, &count,
					   NULL);
		if (err && err != -ENOENT) /* which is the last batch */
			break;
		for (uint32_t i = 0; i < count; i++)
			if (flows[i].until_ns <= now_ns)
				removed += !bpf_map_delete_elem(map, keys + i * key_len);
		from = to;
		first = false;
	}
	return removed;
}

size_t xdp_sweep(struct xdp *x)
{
	usec_t now = usec_monotonic();

	xdp_users_sweep(x->known_users, now);
	return sweep_map(x->flows4, sizeof(struct xdp_key4), now * 1000) +
	       sweep_map(x->flows6, sizeof(struct xdp_key6), now * 1000);
}

/* ---- figures ---- */

void xdp_read(const struct xdp *x, struct xdp_count *out)
{
	int cpus = libbpf_num_possible_cpus();
	FL_AUTOFREE struct xdp_counters *each = cpus > 0 ? calloc((size_t)cpus, sizeof(*each))
							 : NULL;
	uint32_t zero = 0;

	*out = (struct xdp_count){ 0 };
	if (!each || bpf_map_lookup_elem(x->counters, &zero, each))
		return;
	for (int i = 0; i < cpus; i++) {
		out->up_packets += each[i].up_packets;
		out->up_bytes += each[i].up_bytes;
		out->down_packets += each[i].down_packets;
		out->down_bytes += each[i].down_bytes;
		out->over_quota += each[i].over_quota;
		out->shown += each[i].shown;
		out->no_route += each[i].no_route;
		out->too_big += each[i].too_big;
		out->passed += each[i].passed;
	}
}

const char *xdp_mode(const struct xdp *x)
{
	return x->generic ? "generic" : "native";
}

int xdp_program(const struct xdp *x)
{
	return x->program;
}
