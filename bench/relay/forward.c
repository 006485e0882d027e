/*
 * The bare forwarders that a relay is compared with: what one thread can do at best with the
 * kernel's sockets, and nothing else. No protocol but the 4 bytes of a ChannelData header, taken
 *off on the way up and put on on the way down; one socket for all clients, one for each flow on the
 * peers' side, as a TURN server has them; a flow is known by its client's address (plan.h).
 *
 *	forward mmsg|gso ADDRESS PORT FIRST-RELAYED-PORT FLOWS
 *
 * mmsg: recvmmsg and sendmmsg. gso: besides, UDP_GRO on receipt and UDP_SEGMENT on sending.
 * Prints "ready" and runs until it is killed.
 */
#include <errno.h>
#include <netinet/udp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "plan.h"

#define BATCH 64 /* datagrams of one turn */
#define DATAGRAM_MAX 2048
#define TRAINS 16 /* merged datagrams of one turn */
#define TRAIN_MAX 65536
#define SEGMENTS_MAX 48 /* of one send; the kernel takes 64 */
#define HEADER 4
#define FRONT UINT32_MAX /* epoll's word for the clients' socket */

struct control {
	_Alignas(struct cmsghdr) char bytes[CMSG_SPACE(sizeof(int))];
};

static unsigned n_flows;
static int front;
static int *relayed;
static struct sockaddr_in *clients, *peers;

/* A batch, and for each flow the chain of those of its datagrams in it. */
static struct mmsghdr in[BATCH], out[BATCH];
static struct sockaddr_in from[BATCH];
static struct iovec in_iov[BATCH], out_iov[BATCH][2];
static uint8_t datagrams[BATCH][DATAGRAM_MAX], trains[TRAINS][TRAIN_MAX], headers[BATCH][HEADER];
static struct control controls[TRAINS];
static int *head, *tail, next[BATCH];
static unsigned order[BATCH], n_order;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static int udp_socket(struct sockaddr_in at, bool gro)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int big = 4 << 20, one = 1;

	if (fd < 0)
		die("socket");
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &big, sizeof(big)) < 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &big, sizeof(big));
	if (gro && setsockopt(fd, SOL_UDP, UDP_GRO, &one, sizeof(one)) < 0)
		die("UDP_GRO");
	if (bind(fd, (const struct sockaddr *)&at, sizeof(at)) < 0)
		die("bind");
	return fd;
}

static void set_header(uint8_t h[HEADER], unsigned flow, size_t len)
{
	h[0] = (uint8_t)(plan_channel(flow) >> 8);
	h[1] = (uint8_t)plan_channel(flow);
	h[2] = (uint8_t)(len >> 8);
	h[3] = (uint8_t)len;
}

static void chain_clear(void)
{
	for (unsigned o = 0; o < n_order; o++)
		head[order[o]] = -1;
	n_order = 0;
}

static void chain_add(int k)
{
	unsigned flow = plan_flow(from[k].sin_addr);

	if (flow >= n_flows)
		return;
	next[k] = -1;
	if (head[flow] < 0) {
		head[flow] = k;
		order[n_order++] = flow;
	} else {
		next[tail[flow]] = k;
	}
	tail[flow] = k;
}

/* ---- mmsg ---- */

static void mmsg_up(void)
{
	int n;

	for (int k = 0; k < BATCH; k++) {
		in_iov[k] = (struct iovec){ datagrams[k], DATAGRAM_MAX };
		in[k].msg_hdr = (struct msghdr){ .msg_name = &from[k],
						 .msg_namelen = sizeof(from[k]),
						 .msg_iov = &in_iov[k],
						 .msg_iovlen = 1 };
	}
	n = recvmmsg(front, in, BATCH, MSG_DONTWAIT, NULL);
	for (int k = 0; k < n; k++)
		if (in[k].msg_len > HEADER)
			chain_add(k);
	for (unsigned o = 0; o < n_order; o++) {
		unsigned flow = order[o], c = 0;

		for (int k = head[flow]; k >= 0; k = next[k], c++) {
			out_iov[c][0] = (struct iovec){ datagrams[k] + HEADER,
							in[k].msg_len - HEADER };
			out[c].msg_hdr = (struct msghdr){ .msg_name = &peers[flow],
							  .msg_namelen = sizeof(peers[flow]),
							  .msg_iov = out_iov[c],
							  .msg_iovlen = 1 };
		}
		if (c == 1)
			sendmsg(relayed[flow], &out[0].msg_hdr, 0);
		else
			sendmmsg(relayed[flow], out, c, 0);
	}
	chain_clear();
}

/* On the way down all flows leave by one socket, so a batch is gathered from several of them. */
static unsigned gathered;

static void mmsg_flush(void)
{
	if (gathered)
		sendmmsg(front, out, gathered, 0);
	gathered = 0;
}

static void mmsg_down(unsigned flow)
{
	int n;

	for (unsigned k = gathered; k < BATCH; k++) {
		in_iov[k] = (struct iovec){ datagrams[k], DATAGRAM_MAX };
		in[k].msg_hdr = (struct msghdr){ .msg_iov = &in_iov[k], .msg_iovlen = 1 };
	}
	n = recvmmsg(relayed[flow], in + gathered, BATCH - gathered, MSG_DONTWAIT, NULL);
	for (; n > 0; n--, gathered++) {
		unsigned k = gathered;

		set_header(headers[k], flow, in[k].msg_len);
		out_iov[k][0] = (struct iovec){ headers[k], HEADER };
		out_iov[k][1] = (struct iovec){ datagrams[k], in[k].msg_len };
		out[k].msg_hdr = (struct msghdr){ .msg_name = &clients[flow],
						  .msg_namelen = sizeof(clients[flow]),
						  .msg_iov = out_iov[k],
						  .msg_iovlen = 2 };
	}
	if (gathered > BATCH / 2)
		mmsg_flush();
}

/* ---- gso ---- */

static int trains_read(int fd)
{
	for (int k = 0; k < TRAINS; k++) {
		in_iov[k] = (struct iovec){ trains[k], TRAIN_MAX };
		in[k].msg_hdr = (struct msghdr){ .msg_name = &from[k],
						 .msg_namelen = sizeof(from[k]),
						 .msg_iov = &in_iov[k],
						 .msg_iovlen = 1,
						 .msg_control = &controls[k],
						 .msg_controllen = sizeof(controls[k]) };
	}
	return recvmmsg(fd, in, TRAINS, MSG_DONTWAIT, NULL);
}

static size_t segment_len(struct mmsghdr *m)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(&m->msg_hdr);

	if (c && c->cmsg_level == SOL_UDP && c->cmsg_type == UDP_GRO) {
		int len;

		memcpy(&len, CMSG_DATA(c), sizeof(len));
		return (size_t)len;
	}
	return m->msg_len;
}

/* One send of equal segments, growing. */
struct train {
	int fd;
	const struct sockaddr_in *to;
	struct iovec iov[2 * SEGMENTS_MAX];
	unsigned n_iov, n;
	size_t segment;
};

static void train_send(struct train *t)
{
	struct control control;
	struct msghdr h = { .msg_name = (void *)(uintptr_t)t->to,
			    .msg_namelen = sizeof(*t->to),
			    .msg_iov = t->iov,
			    .msg_iovlen = t->n_iov };

	if (t->n > 1) {
		uint16_t segment = (uint16_t)t->segment;
		struct cmsghdr *c = (struct cmsghdr *)(void *)control.bytes;

		h.msg_control = control.bytes;
		h.msg_controllen = CMSG_SPACE(sizeof(segment));
		c->cmsg_level = SOL_UDP;
		c->cmsg_type = UDP_SEGMENT;
		c->cmsg_len = CMSG_LEN(sizeof(segment));
		memcpy(CMSG_DATA(c), &segment, sizeof(segment));
	}
	if (t->n)
		sendmsg(t->fd, &h, 0);
	t->n = t->n_iov = 0;
}

/* A segment of that length comes next: sends what it does not fit behind. */
static void train_begin_segment(struct train *t, size_t len)
{
	if (t->n == SEGMENTS_MAX || (t->n && t->segment != len))
		train_send(t);
	if (!t->n)
		t->segment = len;
	t->n++;
}

static void gso_up(void)
{
	int n = trains_read(front);

	for (int k = 0; k < n; k++)
		chain_add(k);
	for (unsigned o = 0; o < n_order; o++) {
		unsigned flow = order[o];
		struct train t = { .fd = relayed[flow], .to = &peers[flow] };

		for (int k = head[flow]; k >= 0; k = next[k]) {
			size_t segment = segment_len(&in[k]), len;

			for (size_t at = 0; at + HEADER < in[k].msg_len; at += segment) {
				len = in[k].msg_len - at;
				len = (len < segment ? len : segment) - HEADER;
				train_begin_segment(&t, len);
				t.iov[t.n_iov++] = (struct iovec){ trains[k] + at + HEADER, len };
			}
		}
		train_send(&t);
	}
	chain_clear();
}

static void gso_down(unsigned flow)
{
	struct train t = { .fd = front, .to = &clients[flow] };
	int n = trains_read(relayed[flow]);
	uint8_t header[HEADER];

	for (int k = 0; k < n; k++) {
		size_t segment = segment_len(&in[k]), len;

		for (size_t at = 0; at < in[k].msg_len; at += segment) {
			len = in[k].msg_len - at;
			len = len < segment ? len : segment;
			train_begin_segment(&t, len + HEADER);
			if (t.n == 1)
				set_header(header, flow, len);
			t.iov[t.n_iov++] = (struct iovec){ header, HEADER };
			t.iov[t.n_iov++] = (struct iovec){ trains[k] + at, len };
		}
	}
	train_send(&t);
}

/* ---- set-up ---- */

static int watch_all(struct sockaddr_in at, uint16_t first_port, bool gso)
{
	struct epoll_event e = { .events = EPOLLIN, .data.u32 = FRONT };
	int epoll = epoll_create1(EPOLL_CLOEXEC);

	front = udp_socket(at, gso);
	if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, front, &e) < 0)
		die("epoll");
	relayed = calloc(n_flows, sizeof(*relayed));
	head = calloc(n_flows, sizeof(*head));
	tail = calloc(n_flows, sizeof(*tail));
	clients = calloc(n_flows, sizeof(*clients));
	peers = calloc(n_flows, sizeof(*peers));
	if (!relayed || !head || !tail || !clients || !peers)
		die("memory");
	for (unsigned i = 0; i < n_flows; i++) {
		clients[i] = (struct sockaddr_in){ .sin_family = AF_INET,
						   .sin_port = htons(PLAN_CLIENT_PORT),
						   .sin_addr = plan_client(i) };
		peers[i] = (struct sockaddr_in){ .sin_family = AF_INET,
						 .sin_port = htons(PLAN_PEER_PORT),
						 .sin_addr = plan_peer(i) };
		at.sin_port = htons((uint16_t)(first_port + i));
		relayed[i] = udp_socket(at, gso);
		head[i] = -1;
		e.data.u32 = i;
		if (epoll_ctl(epoll, EPOLL_CTL_ADD, relayed[i], &e) < 0)
			die("epoll");
	}
	return epoll;
}

static void run(int epoll, bool gso)
{
	struct epoll_event events[BATCH];

	for (;;) {
		int n = epoll_wait(epoll, events, BATCH, -1);

		for (int k = 0; k < n; k++) {
			unsigned flow = events[k].data.u32;

			if (flow != FRONT) {
				gso ? gso_down(flow) : mmsg_down(flow);
			} else if (gso) {
				gso_up();
			} else {
				mmsg_flush(); /* both ways use the same buffers */
				mmsg_up();
			}
		}
		mmsg_flush();
	}
}

int main(int argc, char **argv)
{
	struct sockaddr_in at = { .sin_family = AF_INET };
	unsigned long first_port;
	bool gso;
	int epoll;

	if (argc != 6 || (strcmp(argv[1], "mmsg") != 0 && strcmp(argv[1], "gso") != 0) ||
	    inet_pton(AF_INET, argv[2], &at.sin_addr) != 1) {
		fprintf(stderr, "usage: %s mmsg|gso ADDRESS PORT FIRST-RELAYED-PORT FLOWS\n",
			argv[0]);
		return 2;
	}
	gso = strcmp(argv[1], "gso") == 0;
	at.sin_port = htons((uint16_t)strtoul(argv[3], NULL, 10));
	first_port = strtoul(argv[4], NULL, 10);
	n_flows = (unsigned)strtoul(argv[5], NULL, 10);
	if (!n_flows || n_flows > PLAN_FLOWS_MAX || first_port + n_flows > 65536) {
		fprintf(stderr, "%s: 1 to %u flows, in the ports up to 65535\n", argv[0],
			PLAN_FLOWS_MAX);
		return 2;
	}
	epoll = watch_all(at, (uint16_t)first_port, gso);
	puts("ready");
	fflush(stdout);
	run(epoll, gso);
}
