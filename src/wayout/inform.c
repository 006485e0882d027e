#include "wayout/inform.h"

#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "base/rng.h"
#include "base/text.h"
#include "proto/dhcp/dhcp.h"

struct inform {
	struct loop *loop;
	informed *fn;
	void *arg;
	int fd;
	uint32_t xid;
	uint8_t ip[4], mac[6];
	usec_t until;
	int err; /* of what came instead of an answer */
	struct loop_watch watch;
	struct loop_timer timer;
	struct loop_deferred release;
	bool over;
};

static void stop(struct inform *i)
{
	i->over = true;
	loop_timer_stop(&i->timer);
	loop_watch_stop(&i->watch);
	if (i->fd >= 0)
		close(i->fd);
	i->fd = -1;
}

static void finish(struct inform *i, int err, struct span pac)
{
	stop(i);
	i->fn(i->arg, err, pac);
}

/* Nobody answers for a network that is gone; so what cannot be sent is not worth a word. */
static void send_inform(struct inform *i)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(DHCP_SERVER_PORT) };
	uint8_t message[DHCP_INFORM_LEN];

	to.sin_addr.s_addr = htonl(INADDR_BROADCAST);
	if (dhcp_inform_write(message, sizeof(message), i->xid, i->ip, i->mac) > 0)
		(void)sendto(i->fd, message, sizeof(message), MSG_NOSIGNAL,
			     (const struct sockaddr *)&to, sizeof(to));
}

static void on_timer(void *arg)
{
	struct inform *i = arg;

	if (loop_now(i->loop) >= i->until) {
		finish(i, i->err ? i->err : -ETIMEDOUT, span_of(NULL, 0));
		return;
	}
	send_inform(i);
	loop_timer_at(&i->timer, usec_min(i->until, usec_add(loop_now(i->loop), INFORM_AGAIN_US)));
}

static void on_readable(void *arg, uint32_t events)
{
	struct inform *i = arg;
	uint8_t message[1600];
	struct dhcp_ack ack;
	ssize_t n;

	while ((n = recv(i->fd, message, sizeof(message), 0)) >= 0) {
		int err = dhcp_ack_read(span_of(message, (size_t)n), i->xid, i->mac, &ack);

		if (err == 0) {
			finish(i, 0, span_of(ack.pac, ack.pac_len));
			return;
		}
		if (err == FL_EMALFORMED)
			i->err = err;
	}
}

static int address_of(int fd, const char *device, struct inform *i)
{
	struct ifreq req = { 0 };
	struct sockaddr_in in;

	if (!text_copy(req.ifr_name, sizeof(req.ifr_name), device))
		return -ENAMETOOLONG;
	if (ioctl(fd, SIOCGIFHWADDR, &req) < 0)
		return -errno;
	memcpy(i->mac, req.ifr_hwaddr.sa_data, sizeof(i->mac));
	if (ioctl(fd, SIOCGIFADDR, &req) < 0)
		return -errno;
	memcpy(&in, &req.ifr_addr, sizeof(in));
	memcpy(i->ip, &in.sin_addr, sizeof(i->ip));
	return 0;
}

static int open_socket(struct inform *i, const char *device)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(DHCP_CLIENT_PORT) };
	int on = 1, err;

	i->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (i->fd < 0)
		return -errno;
	err = address_of(i->fd, device, i);
	if (err < 0)
		return err;
	if (setsockopt(i->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    setsockopt(i->fd, SOL_SOCKET, SO_BROADCAST, &on, sizeof(on)) < 0 ||
	    setsockopt(i->fd, SOL_SOCKET, SO_BINDTODEVICE, device, (socklen_t)strlen(device)) < 0 ||
	    bind(i->fd, (const struct sockaddr *)&at, sizeof(at)) < 0)
		return -errno;
	return loop_watch_start(i->loop, &i->watch, i->fd, EPOLLIN, on_readable, i);
}

int inform_start(struct loop *loop, const struct network *network, informed *fn, void *arg,
		 struct inform **out)
{
	struct inform *i;
	int err;

	if (!*network->device)
		return -ENETUNREACH;
	i = calloc(1, sizeof(*i));
	if (!i)
		return -ENOMEM;
	i->loop = loop;
	i->fn = fn;
	i->arg = arg;
	i->fd = -1;
	i->until = usec_add(loop_now(loop), INFORM_US);
	rng_bytes(rng_system(), &i->xid, sizeof(i->xid));
	loop_timer_init(loop, &i->timer, on_timer, i);
	err = open_socket(i, network->device);
	if (err < 0) {
		stop(i);
		free(i);
		return err;
	}
	loop_timer_after(&i->timer, 0);
	*out = i;
	return 0;
}

static void release(void *arg)
{
	free(arg);
}

void inform_cancel(struct inform *i)
{
	if (!i)
		return;
	stop(i);
	loop_defer(i->loop, &i->release, release, i);
}
