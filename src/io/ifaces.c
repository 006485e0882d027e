#include "io/ifaces.h"

#include <dirent.h>
#include <errno.h>
#include <ifaddrs.h>
#include <linux/if_addr.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/text.h"

#define SETTLE_US (100 * USEC_PER_MSEC)
#define INET6_FILE_MAX (256 * 1024)

static unsigned mask_bits(const struct sockaddr *mask)
{
	struct addr a;
	unsigned bits = 0;
	size_t len;

	if (!mask || addr_from_sockaddr(mask, sizeof(struct sockaddr_in6), &a) < 0)
		return 0;
	len = a.family == ADDR_V4 ? 4 : 16;
	for (size_t i = 0; i < len; i++)
		bits += (unsigned)__builtin_popcount(a.ip[i]);
	return bits;
}

/* A bridge with a network card among its ports is how a host of virtual machines reaches its own
 * network; one with none leads to containers only. */
static bool has_card(const char *bridge)
{
	char path[96];
	bool card = false;
	struct dirent *port;
	DIR *ports;

	snprintf(path, sizeof(path), "/sys/class/net/%s/brif", bridge);
	ports = opendir(path);
	while (ports && !card && (port = readdir(ports))) {
		char device[400];

		if (port->d_name[0] == '.')
			continue;
		snprintf(device, sizeof(device), "/sys/class/net/%s/device", port->d_name);
		card = access(device, F_OK) == 0;
	}
	if (ports)
		closedir(ports);
	return card;
}

static bool is_virtual(const char *name)
{
	static const char *const prefixes[] = { "docker", "virbr",   "veth", "vmnet", "vboxnet",
						"tun",	  "tap",     "wg",   "zt",    "cni",
						"podman", "flannel", "cali", "lxc",   "lxd" };
	char path[64];

	snprintf(path, sizeof(path), "/sys/class/net/%s/bridge", name);
	if (access(path, F_OK) == 0)
		return !has_card(name);
	for (size_t i = 0; i < ARRAY_LEN(prefixes); i++)
		if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0)
			return true;
	return false;
}

/* A line of /proc/net/if_inet6: address, index, prefix, scope and flags in hex, then the name. */
static bool inet6_line(char *line, uint8_t ip[16], unsigned long *flags, const char **dev)
{
	char *save, *field = strtok_r(line, " \n", &save);
	bool good = field && text_hex_decode(span_str(field), ip, 16) == 16;

	for (int i = 0; i < 4 && good; i++) {
		field = strtok_r(NULL, " \n", &save);
		good = field != NULL;
		if (good)
			*flags = strtoul(field, NULL, 16);
	}
	*dev = good ? strtok_r(NULL, " \n", &save) : NULL;
	return *dev != NULL;
}

/* /proc/net/if_inet6 has the flags that getifaddrs() leaves out. */
static unsigned inet6_flags(const struct addr *want, const char *name)
{
	FILE *f = fopen("/proc/net/if_inet6", "re");
	unsigned long flags = 0;
	unsigned found = 0;
	const char *dev;
	uint8_t ip[16];
	char line[128];

	while (f && !found && fgets(line, sizeof(line), f))
		if (inet6_line(line, ip, &flags, &dev) && memcmp(ip, want->ip, 16) == 0 &&
		    strcmp(dev, name) == 0)
			found = (unsigned)flags;
	if (f)
		fclose(f);
	return found;
}

static bool describe(const struct ifaddrs *ifa, struct iface *out)
{
	struct iface i = { 0 };

	if (!ifa->ifa_addr || !(ifa->ifa_flags & IFF_UP) || !(ifa->ifa_flags & IFF_RUNNING))
		return false;
	if (ifa->ifa_addr->sa_family != AF_INET && ifa->ifa_addr->sa_family != AF_INET6)
		return false;
	if (addr_from_sockaddr(ifa->ifa_addr, sizeof(struct sockaddr_in6), &i.addr) < 0)
		return false;
	snprintf(i.name, sizeof(i.name), "%s", ifa->ifa_name);
	i.index = if_nametoindex(ifa->ifa_name);
	i.prefix_bits = mask_bits(ifa->ifa_netmask);
	i.loopback = ifa->ifa_flags & IFF_LOOPBACK;
	i.point_to_point = ifa->ifa_flags & IFF_POINTOPOINT;
	i.virtual_link = !i.loopback && is_virtual(i.name);
	if (i.addr.family == ADDR_V6) {
		unsigned flags = inet6_flags(&i.addr, i.name);

		i.temporary = flags & IFA_F_TEMPORARY;
		i.deprecated = flags & IFA_F_DEPRECATED;
		if (flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED))
			return false;
	}
	*out = i;
	return true;
}

/* Physical interfaces first, loopback last; the system's order inside a class. */
static int rank(const struct iface *i)
{
	return i->loopback ? 3 : i->virtual_link ? 2 : i->point_to_point ? 1 : 0;
}

int ifaces_list(struct iface *out, size_t cap)
{
	struct ifaddrs *list;
	struct iface all[4 * IFACES_MAX];
	size_t n = 0, count = 0;

	if (getifaddrs(&list) < 0)
		return -errno;
	for (struct ifaddrs *ifa = list; ifa && n < ARRAY_LEN(all); ifa = ifa->ifa_next)
		if (describe(ifa, &all[n]))
			n++;
	freeifaddrs(list);
	for (int r = 0; r <= 3; r++)
		for (size_t i = 0; i < n && count < cap; i++)
			if (rank(&all[i]) == r)
				out[count++] = all[i];
	return (int)count;
}

bool ifaces_has(const struct addr *ip)
{
	struct iface list[IFACES_MAX];
	struct addr want = addr_unmap(ip);
	int n = ifaces_list(list, IFACES_MAX);

	want.scope = 0;
	for (int i = 0; i < n; i++) {
		list[i].addr.scope = 0;
		if (addr_ip_equal(&list[i].addr, &want))
			return true;
	}
	return n < 0 || n == IFACES_MAX;
}

struct ifaces_watch {
	struct loop_watch watch;
	struct loop_timer settle;
	int fd;
	void (*fn)(void *arg);
	void *arg;
};

static void on_netlink(void *arg, uint32_t events)
{
	struct ifaces_watch *w = arg;
	uint8_t junk[8192];
	bool any = false;

	(void)events;
	/* what changed is read anew by ifaces_list(); ENOBUFS means the kernel dropped word of a
	 * change */
	for (;;) {
		ssize_t n = recv(w->fd, junk, sizeof(junk), MSG_DONTWAIT);

		any |= n > 0 || (n < 0 && errno == ENOBUFS);
		if (n <= 0 && errno != ENOBUFS)
			break;
	}
	if (any && !loop_timer_running(&w->settle))
		loop_timer_after(&w->settle, SETTLE_US);
}

static void on_settled(void *arg)
{
	struct ifaces_watch *w = arg;

	w->fn(w->arg);
}

int ifaces_watch_create(struct loop *loop, void (*fn)(void *arg), void *arg,
			struct ifaces_watch **out)
{
	struct sockaddr_nl nl = { .nl_family = AF_NETLINK,
				  .nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR |
					       RTMGRP_IPV6_IFADDR | RTMGRP_IPV4_ROUTE |
					       RTMGRP_IPV6_ROUTE };
	struct ifaces_watch *w = calloc(1, sizeof(*w));
	int err = 0;

	if (!w)
		return -ENOMEM;
	w->fn = fn;
	w->arg = arg;
	loop_timer_init(loop, &w->settle, on_settled, w);
	w->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
	if (w->fd < 0 || bind(w->fd, (struct sockaddr *)&nl, sizeof(nl)) < 0)
		err = -errno;
	if (err == 0)
		err = loop_watch_start(loop, &w->watch, w->fd, EPOLLIN, on_netlink, w);
	if (err < 0) {
		ifaces_watch_destroy(w);
		return err;
	}
	*out = w;
	return 0;
}

void ifaces_watch_destroy(struct ifaces_watch *w)
{
	if (!w)
		return;
	loop_watch_stop(&w->watch);
	loop_timer_stop(&w->settle);
	fl_closep(&w->fd);
	free(w);
}
