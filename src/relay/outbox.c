#include "relay/outbox.h"

#include <errno.h>
#include <netinet/udp.h>

#define PLAIN_MSGS 1000 /* without segmentation after it failed, before it is tried again */

static void add_control(struct outbox_msg *m, struct msghdr *h, int level, int type,
			const void *data, size_t len)
{
	struct cmsghdr *c = (struct cmsghdr *)(void *)(m->control + h->msg_controllen);

	memset(c, 0, CMSG_SPACE(len));
	c->cmsg_level = level;
	c->cmsg_type = type;
	c->cmsg_len = CMSG_LEN(len);
	memcpy(CMSG_DATA(c), data, len);
	h->msg_control = m->control;
	h->msg_controllen += CMSG_SPACE(len);
}

static void add_source(struct outbox_msg *m, struct msghdr *h, const struct addr *from)
{
	if (from->family == ADDR_V4) {
		struct in_pktinfo info = { 0 };

		memcpy(&info.ipi_spec_dst, from->ip, 4);
		add_control(m, h, IPPROTO_IP, IP_PKTINFO, &info, sizeof(info));
	} else {
		struct in6_pktinfo info = { .ipi6_ifindex = from->scope };

		memcpy(&info.ipi6_addr, from->ip, 16);
		add_control(m, h, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof(info));
	}
}

static void add_iov(struct outbox *o, struct msghdr *h, struct span head, struct span data)
{
	if (head.len) {
		o->iov[o->n_iov++] = (struct iovec){ (void *)(uintptr_t)head.ptr, head.len };
		h->msg_iovlen++;
	}
	o->iov[o->n_iov++] = (struct iovec){ (void *)(uintptr_t)data.ptr, data.len };
	h->msg_iovlen++;
}

static bool joins(const struct outbox *o, const union sock_name *to, const struct addr *from,
		  size_t len)
{
	const struct outbox_msg *m;

	if (o->n == 0 || o->plain)
		return false;
	m = &o->meta[o->n - 1];
	return !m->closed && len <= m->segment && len > 0 && m->count < OUTBOX_SEGMENTS &&
	       m->bytes + len <= OUTBOX_RUN_BYTES && sock_name_equal(&m->to, to) &&
	       (!from || addr_ip_equal(&m->from, from));
}

bool outbox_add(struct outbox *o, const union sock_name *to, const struct addr *from,
		struct span head, struct span data)
{
	size_t len = head.len + data.len;
	struct outbox_msg *m;
	struct msghdr *h;

	if (o->n_iov + 2 > OUTBOX_IOVS)
		return false;
	if (joins(o, to, from, len)) {
		m = &o->meta[o->n - 1];
		h = &o->msgs[o->n - 1].msg_hdr;
		if (m->count == 1)
			add_control(m, h, SOL_UDP, UDP_SEGMENT, &m->segment, sizeof(m->segment));
		add_iov(o, h, head, data);
		m->count++;
		m->bytes += len;
		m->closed = len < m->segment;
		return true;
	}
	if (o->n == OUTBOX_MSGS)
		return false;
	m = &o->meta[o->n];
	h = &o->msgs[o->n].msg_hdr;
	m->bytes = len;
	m->segment = len;
	m->count = 1;
	m->closed = false;
	m->to = *to;
	*h = (struct msghdr){ .msg_name = &m->to,
			      .msg_namelen = to->sa.sa_family == AF_INET ? sizeof(to->v4)
									 : sizeof(to->v6),
			      .msg_iov = &o->iov[o->n_iov] };
	if (from) {
		m->from = *from;
		add_source(m, h, from);
	}
	add_iov(o, h, head, data);
	o->n++;
	o->plain -= o->plain > 0;
	return true;
}

/* A device, a path or a kernel that does not segment: the run's datagrams one by one. */
static size_t send_singly(struct outbox *o, unsigned i, int fd)
{
	struct outbox_msg *m = &o->meta[i];
	struct msghdr *h = &o->msgs[i].msg_hdr, one = *h;
	struct iovec *iov = h->msg_iov, *end = iov + h->msg_iovlen;
	size_t lost = 0;

	one.msg_controllen -= CMSG_SPACE(sizeof(uint16_t)); /* it was added last */
	one.msg_control = one.msg_controllen ? one.msg_control : NULL;
	while (iov < end) {
		size_t len = 0;

		one.msg_iov = iov;
		while (iov < end && len < m->segment)
			len += (iov++)->iov_len;
		one.msg_iovlen = (size_t)(iov - one.msg_iov);
		lost += sendmsg(fd, &one, MSG_DONTWAIT) < 0;
	}
	return lost;
}

/*
 * The first unsent message failed with err. True: it is done with. An ICMP error of an earlier send
 * is reported instead of sending, once: what it hit is sent again.
 */
static bool give_up(struct outbox *o, unsigned i, int fd, int err, bool again, size_t *lost)
{
	if (o->meta[i].count > 1 && (err == EINVAL || err == EIO || err == EMSGSIZE)) {
		*lost += send_singly(o, i, fd);
		if (err == EIO)
			o->plain = PLAIN_MSGS;
		return true;
	}
	if (!again && err != EAGAIN && err != ENOBUFS && err != EMSGSIZE)
		return false;
	*lost += o->meta[i].count;
	return true;
}

static int send_some(struct outbox *o, unsigned i, int fd)
{
	const struct msghdr *h = &o->msgs[i].msg_hdr;

	if (i + 1 < o->n || h->msg_controllen || h->msg_iovlen > 1)
		return sendmmsg(fd, o->msgs + i, o->n - i, MSG_DONTWAIT);
	return sendto(fd, h->msg_iov->iov_base, h->msg_iov->iov_len, MSG_DONTWAIT, h->msg_name,
		      h->msg_namelen) < 0
		       ? -1
		       : 1;
}

size_t outbox_send(struct outbox *o, int fd)
{
	unsigned i = 0, failed_at = OUTBOX_MSGS;
	size_t lost = 0;

	while (i < o->n) {
		int n = send_some(o, i, fd);

		if (n > 0) {
			i += (unsigned)n;
		} else if (n < 0 && errno == EINTR) {
			continue;
		} else if (give_up(o, i, fd, errno, failed_at == i, &lost)) {
			i++;
		} else {
			failed_at = i;
		}
	}
	o->n = 0;
	o->n_iov = 0;
	return lost;
}
