#include "relay/area.h"

#include <errno.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <sys/mman.h>

#define AREA_BYTES ((size_t)AREA_SLOTS * AREA_STRIDE)

static void reset_slot(struct area *a, unsigned i)
{
	struct msghdr *m = &a->msgs[i].msg_hdr;

	m->msg_namelen = sizeof(a->names[i]);
	m->msg_controllen = AREA_CONTROL;
}

struct area *area_create(void)
{
	struct area *a = calloc(1, sizeof(*a));

	if (!a)
		return NULL;
	a->bytes = mmap(NULL, AREA_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			0);
	if (a->bytes == MAP_FAILED) {
		free(a);
		return NULL;
	}
	for (unsigned i = 0; i < AREA_SLOTS; i++) {
		a->iov[i] = (struct iovec){ area_bytes(a, i), AREA_STRIDE - AREA_HEADROOM };
		a->msgs[i].msg_hdr = (struct msghdr){ .msg_name = &a->names[i],
						      .msg_iov = &a->iov[i],
						      .msg_iovlen = 1,
						      .msg_control = a->control[i] };
		reset_slot(a, i);
	}
	return a;
}

void area_destroy(struct area *a)
{
	if (!a)
		return;
	munmap(a->bytes, AREA_BYTES);
	free(a);
}

void area_drop(struct area *a, unsigned first)
{
	for (unsigned i = first; i < a->used; i++)
		reset_slot(a, i);
	a->used = FL_MIN(a->used, first);
}

int area_read(struct area *a, int fd, unsigned want)
{
	int n = recvmmsg(fd, a->msgs + a->used, want, MSG_DONTWAIT, NULL);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	a->used += (unsigned)n;
	return n;
}

size_t area_segment(struct area *a, unsigned slot, struct addr *local)
{
	struct msghdr *msg = &a->msgs[slot].msg_hdr;
	size_t segment = 0;

	if (msg->msg_controllen == 0)
		return 0;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level == SOL_UDP && c->cmsg_type == UDP_GRO) {
			int size;

			memcpy(&size, CMSG_DATA(c), sizeof(size));
			segment = size > 0 && (size_t)size < area_len(a, slot) ? (size_t)size : 0;
		} else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
			struct in_pktinfo info;

			memcpy(&info, CMSG_DATA(c), sizeof(info));
			memcpy(local->ip, &info.ipi_addr, 4);
		} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
			struct in6_pktinfo info;

			memcpy(&info, CMSG_DATA(c), sizeof(info));
			memcpy(local->ip, &info.ipi6_addr, 16);
			local->scope = addr_range(local) == ADDR_LINK_LOCAL ? info.ipi6_ifindex : 0;
		}
	}
	return segment;
}
