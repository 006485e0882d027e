#include "io/udp.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "io/dscp.h"

#define BATCH 32		    /* messages per recvmmsg and sendmmsg */
#define GRO_MAX 65536		    /* bytes of one coalesced read */
#define SEGMENTS_MAX 64		    /* UDP_MAX_SEGMENTS of older kernels */
#define GSO_BYTES_MAX 65000	    /* below the 65,507 of one UDP datagram */
#define QUEUE_MAX (4 * 1024 * 1024) /* bytes waiting for the kernel */
#define DEFAULT_BUF (1024 * 1024)
#define READ_ROUNDS 4 /* batches per turn, so that one busy socket does not starve the others */

/* One queued datagram; its bytes stand one after the other in out.bytes. */
struct queued {
	struct addr local, remote;
	size_t at, len;
};

struct udp {
	struct loop *loop;
	int fd;
	bool wildcard, no_gso;
	enum addr_family family;
	struct addr addr;
	struct loop_watch watch;
	struct loop_deferred flush;
	bool flush_pending, *destroyed;
	struct read_area *area; /* the loop's */
	void (*on_batch)(void *arg, const struct dgram *dgrams, size_t n);
	void (*on_error)(void *arg, const struct addr *to, int err);
	void *arg;
	struct udp_stats stats;
	uint8_t *out;
	size_t out_len, out_cap;
	struct queued *queue;
	size_t n_queued, cap_queued;
};

/* Read buffers are one set per loop, not per socket: a batch is handed on before the next read. A
 * loop without sockets does not keep its 2 MiB. */
struct read_area {
	uint8_t bytes[BATCH][GRO_MAX];
	uint8_t control[BATCH][256];
};

static int set_int(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value)) < 0 ? -errno : 0;
}

static int set_options(int fd, const struct udp_config *c)
{
	bool v6 = c->bind.family == ADDR_V6;
	int err = 0;

	set_int(fd, SOL_SOCKET, SO_RCVBUF, c->rcvbuf ? c->rcvbuf : DEFAULT_BUF);
	set_int(fd, SOL_SOCKET, SO_SNDBUF, c->sndbuf ? c->sndbuf : DEFAULT_BUF);
	set_int(fd, SOL_UDP, UDP_GRO, 1); /* older kernels: single datagrams, just slower */
	if (v6 && !c->adopt)		  /* too late for a bound one */
		err = set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	if (err == 0)
		err = v6 ? set_int(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1)
			 : set_int(fd, IPPROTO_IP, IP_PKTINFO, 1);
	if (err == 0 && c->reuse) {
		err = set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1);
		if (err == 0)
			err = set_int(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	}
	if (err == 0 && c->dscp)
		err = dscp_set(fd, c->dscp);
	if (err == 0 && c->ttl && v6) {
		set_int(fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, c->ttl);
		err = set_int(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, c->ttl);
	} else if (err == 0 && c->ttl) {
		set_int(fd, IPPROTO_IP, IP_MULTICAST_TTL, c->ttl);
		err = set_int(fd, IPPROTO_IP, IP_TTL, c->ttl);
	}
	return err;
}

static void take_control(struct msghdr *msg, struct addr *local, size_t *segment)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
			struct in_pktinfo info;

			memcpy(&info, CMSG_DATA(c), sizeof(info));
			memcpy(local->ip, &info.ipi_addr, 4);
		} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
			struct in6_pktinfo info;

			memcpy(&info, CMSG_DATA(c), sizeof(info));
			memcpy(local->ip, &info.ipi6_addr, 16);
			local->scope = addr_range(local) == ADDR_LINK_LOCAL ? info.ipi6_ifindex : 0;
		} else if (c->cmsg_level == SOL_UDP && c->cmsg_type == UDP_GRO) {
			int size;

			memcpy(&size, CMSG_DATA(c), sizeof(size));
			*segment = size > 0 ? (size_t)size : 0;
		}
	}
}

static size_t split(const struct dgram *whole, size_t segment, struct dgram *out, size_t room)
{
	size_t n = 0;

	for (size_t at = 0; n < room && (at < whole->data.len || at == 0); at += segment) {
		out[n] = *whole;
		out[n].data = span_of(whole->data.ptr + at, FL_MIN(segment, whole->data.len - at));
		n++;
	}
	return n;
}

static void hand_over(struct udp *u, struct mmsghdr *msgs, int n, bool *destroyed)
{
	struct dgram batch[BATCH * 8];
	size_t count = 0;

	for (int i = 0; i < n && !*destroyed; i++) {
		struct dgram d = { .local = u->addr };
		size_t segment = 0;

		if (addr_from_sockaddr(msgs[i].msg_hdr.msg_name, msgs[i].msg_hdr.msg_namelen,
				       &d.remote) < 0)
			continue;
		take_control(&msgs[i].msg_hdr, &d.local, &segment);
		d.data = span_of(u->area->bytes[i], msgs[i].msg_len);
		segment = segment ? segment : FL_MAX(d.data.len, 1);
		if (count + SEGMENTS_MAX + 1 > ARRAY_LEN(batch)) {
			u->stats.received += count;
			u->on_batch(u->arg, batch, count);
			count = 0;
		}
		if (*destroyed)
			return;
		count += split(&d, segment, batch + count, ARRAY_LEN(batch) - count);
	}
	if (count && !*destroyed) {
		u->stats.received += count;
		u->on_batch(u->arg, batch, count);
	}
}

static int read_batch(struct udp *u, struct mmsghdr *msgs, struct iovec *iov,
		      struct sockaddr_storage *names)
{
	for (int i = 0; i < BATCH; i++) {
		iov[i] = (struct iovec){ u->area->bytes[i], GRO_MAX };
		msgs[i].msg_hdr = (struct msghdr){ .msg_name = &names[i],
						   .msg_namelen = sizeof(names[i]),
						   .msg_iov = &iov[i],
						   .msg_iovlen = 1,
						   .msg_control = u->area->control[i],
						   .msg_controllen = sizeof(u->area->control[i]) };
	}
	return recvmmsg(u->fd, msgs, BATCH, MSG_DONTWAIT, NULL);
}

static void read_all(struct udp *u)
{
	struct mmsghdr msgs[BATCH];
	struct iovec iov[BATCH];
	struct sockaddr_storage names[BATCH];
	bool destroyed = false;

	u->destroyed = &destroyed;
	for (int round = 0; round < READ_ROUNDS; round++) {
		int n = read_batch(u, msgs, iov, names);

		if (n < 0 && errno != EAGAIN && errno != EINTR)
			u->stats.last_error = -errno; /* an ICMP error of an earlier send */
		if (n <= 0)
			break;
		hand_over(u, msgs, n, &destroyed);
		if (destroyed)
			return;
		if (n < BATCH)
			break;
	}
	u->destroyed = NULL;
}

static void on_ready(void *arg, uint32_t events)
{
	struct udp *u = arg;
	struct loop *loop;

	if (events & EPOLLOUT)
		udp_flush(u);
	if (!(events & (EPOLLIN | EPOLLERR)))
		return;
	/* the batch still lies there when the socket is destroyed meanwhile */
	loop = u->loop;
	(void)loop_share(loop, sizeof(*u->area));
	read_all(u);
	loop_unshare(loop);
}

static int bind_socket(struct udp *u, const struct udp_config *c)
{
	struct sockaddr_storage ss;
	socklen_t len = addr_to_sockaddr(&c->bind, &ss);
	int err;

	if (len == 0)
		return -EAFNOSUPPORT;
	u->fd = socket(ss.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (u->fd < 0)
		return -errno;
	err = set_options(u->fd, c);
	if (err < 0)
		return err;
	return bind(u->fd, (struct sockaddr *)&ss, len) < 0 ? -errno : 0;
}

static int take_addr(struct udp *u)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);

	if (getsockname(u->fd, (struct sockaddr *)&ss, &len) < 0)
		return -errno;
	return addr_from_sockaddr((struct sockaddr *)&ss, len, &u->addr);
}

static int adopt_socket(struct udp *u, const struct udp_config *c)
{
	struct udp_config bound = *c;
	int err = take_addr(u);

	if (err < 0)
		return err;
	bound.bind = u->addr;
	bound.reuse = false; /* decided when it was bound */
	return fcntl(u->fd, F_SETFL, O_NONBLOCK) < 0 ? -errno : set_options(u->fd, &bound);
}

static int open_socket(struct udp *u, const struct udp_config *c)
{
	int err;

	if (c->adopt)
		return adopt_socket(u, c);
	err = bind_socket(u, c);
	return err < 0 ? err : take_addr(u);
}

int udp_create(struct loop *loop, const struct udp_config *config,
	       void (*on_batch)(void *arg, const struct dgram *dgrams, size_t n), void *arg,
	       struct udp **out)
{
	struct udp *u = calloc(1, sizeof(*u));
	int err;

	if (u)
		u->area = loop_share(loop, sizeof(*u->area));
	if (!u || !u->area) {
		if (config->adopt)
			close(config->fd);
		free(u);
		return -ENOMEM;
	}
	u->loop = loop;
	u->fd = config->adopt ? config->fd : -1;
	u->on_batch = on_batch;
	u->on_error = config->on_error;
	u->arg = arg;
	list_init(&u->flush.node);
	err = open_socket(u, config);
	if (err == 0)
		err = loop_watch_start(loop, &u->watch, u->fd, EPOLLIN, on_ready, u);
	if (err < 0) {
		udp_destroy(u);
		return err;
	}
	u->wildcard = addr_range(&u->addr) == ADDR_UNSPECIFIED;
	*out = u;
	return 0;
}

void udp_destroy(struct udp *u)
{
	if (!u)
		return;
	if (u->destroyed)
		*u->destroyed = true;
	if (u->n_queued)
		udp_flush(u); /* a last goodbye must leave */
	list_remove(&u->flush.node);
	loop_watch_stop(&u->watch);
	fl_closep(&u->fd);
	free(u->out);
	free(u->queue);
	loop_unshare(u->loop);
	free(u);
}

struct addr udp_addr(const struct udp *u)
{
	return u->addr;
}

const struct udp_stats *udp_stats(const struct udp *u)
{
	return &u->stats;
}

static int grow(struct udp *u, size_t len)
{
	if (u->out_len + len > u->out_cap) {
		size_t cap = FL_MAX(u->out_cap, 8192);
		uint8_t *out;

		while (cap < u->out_len + len)
			cap *= 2;
		out = realloc(u->out, cap);
		if (!out)
			return -ENOMEM;
		u->out = out;
		u->out_cap = cap;
	}
	if (u->n_queued == u->cap_queued) {
		size_t cap = FL_MAX(2 * u->cap_queued, 16);
		struct queued *queue = realloc(u->queue, cap * sizeof(*queue));

		if (!queue)
			return -ENOMEM;
		u->queue = queue;
		u->cap_queued = cap;
	}
	return 0;
}

static void flush_deferred(void *arg)
{
	struct udp *u = arg;

	u->flush_pending = false;
	udp_flush(u);
}

int udp_send(struct udp *u, const struct dgram *d)
{
	int err;

	if (u->out_len + d->data.len > QUEUE_MAX) {
		u->stats.dropped++;
		return FL_EQUOTA;
	}
	err = grow(u, d->data.len);
	if (err < 0)
		return err;
	u->queue[u->n_queued++] = (struct queued){ d->local, d->remote, u->out_len, d->data.len };
	if (d->data.len)
		memcpy(u->out + u->out_len, d->data.ptr, d->data.len);
	u->out_len += d->data.len;
	if (!u->flush_pending && u->watch.events == EPOLLIN) {
		u->flush_pending = true;
		loop_defer(u->loop, &u->flush, flush_deferred, u);
	}
	return 0;
}

struct out_msg {
	struct sockaddr_storage name;
	struct iovec iov;
	_Alignas(struct cmsghdr) uint8_t
		control[CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(uint16_t))];
	size_t n; /* datagrams in it */
};

/* How many of the queue, from first, may go out as one segmented send. */
static size_t run_length(const struct udp *u, size_t first)
{
	const struct queued *q = &u->queue[first];
	size_t n = 1, total = q->len;

	if (u->no_gso || q->len == 0)
		return 1;
	while (first + n < u->n_queued && n < SEGMENTS_MAX) {
		const struct queued *next = &q[n];

		if (next->len > q->len || next->len == 0 || total + next->len > GSO_BYTES_MAX ||
		    !addr_equal(&next->remote, &q->remote) ||
		    !addr_ip_equal(&next->local, &q->local))
			break;
		total += next->len;
		n++;
		if (next->len < q->len)
			break; /* only the last one may be shorter */
	}
	return n;
}

static struct cmsghdr *add_control(struct msghdr *msg, size_t cap, int level, int type,
				   const void *data, size_t len)
{
	struct cmsghdr *c;

	msg->msg_controllen += CMSG_SPACE(len);
	if (msg->msg_controllen > cap)
		abort();
	c = (struct cmsghdr *)(void *)((uint8_t *)msg->msg_control + msg->msg_controllen -
				       CMSG_SPACE(len));
	c->cmsg_level = level;
	c->cmsg_type = type;
	c->cmsg_len = CMSG_LEN(len);
	memcpy(CMSG_DATA(c), data, len);
	return c;
}

static void add_source(struct udp *u, struct msghdr *msg, size_t cap, const struct addr *local)
{
	if (!u->wildcard || addr_range(local) == ADDR_UNSPECIFIED)
		return;
	if (local->family == ADDR_V4) {
		struct in_pktinfo info = { 0 };

		memcpy(&info.ipi_spec_dst, local->ip, 4);
		add_control(msg, cap, IPPROTO_IP, IP_PKTINFO, &info, sizeof(info));
	} else {
		struct in6_pktinfo info = { .ipi6_ifindex = local->scope };

		memcpy(&info.ipi6_addr, local->ip, 16);
		add_control(msg, cap, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof(info));
	}
}

static void fill(struct udp *u, size_t first, struct out_msg *m, struct msghdr *msg)
{
	const struct queued *q = &u->queue[first];
	const struct queued *last;

	m->n = run_length(u, first);
	last = &q[m->n - 1];
	m->iov = (struct iovec){ u->out + q->at, last->at + last->len - q->at };
	memset(m->control, 0, sizeof(m->control));
	*msg = (struct msghdr){ .msg_name = &m->name,
				.msg_namelen = addr_to_sockaddr(&q->remote, &m->name),
				.msg_iov = &m->iov,
				.msg_iovlen = 1,
				.msg_control = m->control };
	add_source(u, msg, sizeof(m->control), &q->local);
	if (m->n > 1) {
		uint16_t size = (uint16_t)q->len;

		add_control(msg, sizeof(m->control), SOL_UDP, UDP_SEGMENT, &size, sizeof(size));
	}
	if (msg->msg_controllen == 0)
		msg->msg_control = NULL;
}

/* Number of queue entries that are done with (sent or given up), 0: the socket is full. */
static size_t send_some(struct udp *u, size_t first)
{
	static __thread struct out_msg out[BATCH];
	struct mmsghdr msgs[BATCH];
	size_t next = first, done = 0;
	unsigned n = 0;
	int sent;

	for (; n < BATCH && next < u->n_queued; n++) {
		fill(u, next, &out[n], &msgs[n].msg_hdr);
		next += out[n].n;
	}
	sent = sendmmsg(u->fd, msgs, n, MSG_DONTWAIT);
	if (sent < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (sent < 0 && out[0].n > 1 && (errno == EINVAL || errno == EIO || errno == EMSGSIZE)) {
		u->no_gso = true; /* a device or kernel without segmentation: one at a time from
				     here on */
		return send_some(u, first);
	}
	if (sent < 0) {
		u->stats.last_error = -errno;
		u->stats.send_errors += out[0].n;
		if (u->on_error)
			u->on_error(u->arg, &u->queue[first].remote, u->stats.last_error);
		return out[0].n;
	}
	for (int i = 0; i < sent; i++)
		done += out[i].n;
	u->stats.sent += done;
	return done;
}

void udp_flush(struct udp *u)
{
	size_t first = 0;

	while (first < u->n_queued) {
		size_t done = send_some(u, first);

		if (done == 0)
			break;
		first += done;
	}
	if (first == u->n_queued) {
		u->n_queued = 0;
		u->out_len = 0;
	} else if (first) {
		size_t at = u->queue[first].at;

		memmove(u->out, u->out + at, u->out_len - at);
		memmove(u->queue, u->queue + first, (u->n_queued - first) * sizeof(*u->queue));
		u->n_queued -= first;
		u->out_len -= at;
		for (size_t i = 0; i < u->n_queued; i++)
			u->queue[i].at -= at;
	}
	if (u->watch.loop)
		loop_watch_set(&u->watch, u->n_queued ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

int udp_join(struct udp *u, const struct addr *group, unsigned ifindex)
{
	if (group->family == ADDR_V4) {
		struct ip_mreqn req = { .imr_ifindex = (int)ifindex };

		memcpy(&req.imr_multiaddr, group->ip, 4);
		if (setsockopt(u->fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &req, sizeof(req)) < 0 ||
		    setsockopt(u->fd, IPPROTO_IP, IP_MULTICAST_IF, &req, sizeof(req)) < 0)
			return -errno;
	} else {
		struct ipv6_mreq req = { .ipv6mr_interface = ifindex };
		int index = (int)ifindex;

		memcpy(&req.ipv6mr_multiaddr, group->ip, 16);
		if (setsockopt(u->fd, IPPROTO_IPV6, IPV6_JOIN_GROUP, &req, sizeof(req)) < 0 ||
		    setsockopt(u->fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, &index, sizeof(index)) < 0)
			return -errno;
	}
	return 0;
}
