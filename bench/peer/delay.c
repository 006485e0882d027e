#include "delay.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/pktq.h"
#include "io/loop.h"
#include "io/udp.h"

#define QUEUE_MAX (256 << 20)

struct parcel {
	usec_t due;
};

struct port {
	struct forwarder *f;
	struct udp *udp;
	struct addr target; /* the side that knows this port, and that it delivers to */
	struct pktq queue;  /* what waits to leave from here: a parcel and the bytes */
	struct loop_timer timer;
};

struct forwarder {
	struct loop *loop;
	usec_t one_way;
	struct port port[2];
	struct loop_watch control;
	int fd;
	struct addr ip;
};

struct order {
	int side;
	uint16_t port;
};

static void deliver(void *arg)
{
	struct port *p = arg;
	usec_t now = usec_monotonic();
	struct parcel parcel;
	struct span s;

	while (pktq_peek(&p->queue, NULL, &s)) {
		struct dgram d = { .local = udp_addr(p->udp), .remote = p->target };

		memcpy(&parcel, s.ptr, sizeof(parcel));
		if (parcel.due > now) {
			(void)loop_timer_at(&p->timer, parcel.due);
			break;
		}
		pktq_pop(&p->queue, NULL, &s);
		d.data = span_of(s.ptr + sizeof(parcel), s.len - sizeof(parcel));
		if (p->target.port)
			(void)udp_send(p->udp, &d);
	}
	udp_flush(p->udp);
}

/* What a side sends to its port leaves from the other one. */
static void on_batch(void *arg, const struct dgram *dgrams, size_t n)
{
	struct port *in = arg;
	struct forwarder *f = in->f;
	struct port *out = &f->port[in == &f->port[0] ? 1 : 0];
	struct parcel parcel = { .due = usec_monotonic() + f->one_way };

	for (size_t i = 0; i < n; i++) {
		size_t len = sizeof(parcel) + dgrams[i].data.len;
		uint8_t *dst = pktq_reserve(&out->queue, len);

		if (!dst)
			return;
		memcpy(dst, &parcel, sizeof(parcel));
		memcpy(dst + sizeof(parcel), dgrams[i].data.ptr, dgrams[i].data.len);
		pktq_commit(&out->queue, 0, len);
	}
	if (!loop_timer_running(&out->timer))
		(void)loop_timer_at(&out->timer, parcel.due);
}

static void on_order(void *arg, uint32_t events)
{
	struct forwarder *f = arg;
	struct order order;

	if (read(f->fd, &order, sizeof(order)) != sizeof(order))
		exit(0);
	f->port[order.side].target = f->ip;
	f->port[order.side].target.port = order.port;
}

static void run(int fd, const char *ip, usec_t one_way)
{
	static struct forwarder f;
	uint16_t ports[2];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	f = (struct forwarder){ .one_way = one_way, .fd = fd };
	if (addr_parse_ip(ip, &f.ip) < 0 || loop_create(&f.loop) < 0)
		exit(1);
	for (int i = 0; i < 2; i++) {
		struct udp_config c = { .bind = f.ip, .rcvbuf = 16 << 20, .sndbuf = 16 << 20 };

		f.port[i].f = &f;
		f.port[i].queue = PKTQ_INIT(QUEUE_MAX);
		loop_timer_init(f.loop, &f.port[i].timer, deliver, &f.port[i]);
		if (udp_create(f.loop, &c, on_batch, &f.port[i], &f.port[i].udp) < 0)
			exit(1);
		ports[i] = udp_addr(f.port[i].udp).port;
	}
	if (write(fd, ports, sizeof(ports)) != sizeof(ports) ||
	    loop_watch_start(f.loop, &f.control, fd, EPOLLIN, on_order, &f) < 0)
		exit(1);
	exit(loop_run(f.loop) < 0);
}

int delay_start(struct delay_link *link, const char *ip, uint64_t one_way_us)
{
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
		return -errno;
	link->pid = fork();
	if (link->pid < 0)
		return -errno;
	if (link->pid == 0) {
		close(fds[0]);
		run(fds[1], ip, one_way_us);
	}
	close(fds[1]);
	link->control = fds[0];
	return read(fds[0], link->port, sizeof(link->port)) == sizeof(link->port) ? 0 : -EIO;
}

int delay_target(const struct delay_link *link, int side, uint16_t port)
{
	struct order order = { side, port };

	return write(link->control, &order, sizeof(order)) == sizeof(order) ? 0 : -errno;
}

void delay_stop(struct delay_link *link)
{
	close(link->control);
	kill(link->pid, SIGKILL);
	waitpid(link->pid, NULL, 0);
}
