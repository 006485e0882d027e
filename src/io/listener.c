#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "io/dscp.h"
#include "io/stream.h"

#define BACKLOG 1024
#define ACCEPTS_PER_TURN 64
#define FULL_PAUSE (100 * USEC_PER_MSEC)

struct listener {
	struct loop *loop;
	int fd;
	struct addr addr;
	struct loop_watch watch;
	struct loop_timer resume;
	struct loop_deferred release;
	struct log_limit limit;
	void (*on_accept)(void *arg, int fd, const struct addr *from);
	void *arg;
};

/* Out of descriptors: accepting again at once would spin. */
static void pause_accepting(struct listener *l, int err)
{
	unsigned held;

	if (log_limit_pass(&l->limit, loop_now(l->loop), &held))
		log_warn("accept-failed", "error=%s held=%u", strerrorname_np(err), held);
	loop_watch_set(&l->watch, 0);
	loop_timer_after(&l->resume, FULL_PAUSE);
}

static void on_resume(void *arg)
{
	struct listener *l = arg;

	loop_watch_set(&l->watch, EPOLLIN);
}

static void on_ready(void *arg, uint32_t events)
{
	struct listener *l = arg;

	(void)events;
	for (int i = 0; i < ACCEPTS_PER_TURN && l->watch.loop; i++) {
		struct sockaddr_storage ss;
		socklen_t len = sizeof(ss);
		struct addr from;
		int fd = accept4(l->fd, (struct sockaddr *)&ss, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd < 0) {
			if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
			    errno == ENOMEM)
				pause_accepting(l, errno);
			return;
		}
		if (addr_from_sockaddr((struct sockaddr *)&ss, len, &from) < 0)
			close(fd);
		else
			l->on_accept(l->arg, fd, &from);
	}
}

static int bind_socket(struct listener *l, const struct listener_config *c)
{
	struct sockaddr_storage ss;
	socklen_t len = addr_to_sockaddr(&c->at, &ss);
	int one = 1;

	if (len == 0)
		return -EAFNOSUPPORT;
	l->fd = socket(ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (l->fd < 0)
		return -errno;
	if (c->at.family == ADDR_V6)
		setsockopt(l->fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	setsockopt(l->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (c->dscp)
		(void)dscp_set(l->fd, c->dscp);
	if (c->reuse_port && setsockopt(l->fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)) < 0)
		return -errno;
	return bind(l->fd, (struct sockaddr *)&ss, len) < 0 ? -errno : 0;
}

static int open_socket(struct listener *l, const struct listener_config *c)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	int err = c->adopt ? 0 : bind_socket(l, c);

	if (err < 0)
		return err;
	if (c->adopt && fcntl(l->fd, F_SETFL, O_NONBLOCK) < 0)
		return -errno;
	if (listen(l->fd, BACKLOG) < 0 || getsockname(l->fd, (struct sockaddr *)&ss, &len) < 0)
		return -errno;
	return addr_from_sockaddr((struct sockaddr *)&ss, len, &l->addr);
}

int listener_open(struct loop *loop, const struct listener_config *config,
		  void (*on_accept)(void *arg, int fd, const struct addr *from), void *arg,
		  struct listener **out)
{
	struct listener *l = calloc(1, sizeof(*l));
	int err;

	if (!l) {
		if (config->adopt)
			close(config->fd);
		return -ENOMEM;
	}
	*l = (struct listener){ .loop = loop, .on_accept = on_accept, .arg = arg };
	l->fd = config->adopt ? config->fd : -1;
	loop_timer_init(loop, &l->resume, on_resume, l);
	list_init(&l->release.node);
	err = open_socket(l, config);
	if (err == 0)
		err = loop_watch_start(loop, &l->watch, l->fd, EPOLLIN, on_ready, l);
	if (err < 0) {
		listener_destroy(l);
		return err;
	}
	*out = l;
	return 0;
}

int listener_create(struct loop *loop, const struct addr *at,
		    void (*on_accept)(void *arg, int fd, const struct addr *from), void *arg,
		    struct listener **out)
{
	struct listener_config config = { .at = *at };

	return listener_open(loop, &config, on_accept, arg, out);
}

void listener_destroy(struct listener *l)
{
	if (!l)
		return;
	loop_watch_stop(&l->watch);
	loop_timer_stop(&l->resume);
	fl_closep(&l->fd);
	loop_defer(l->loop, &l->release, free, l); /* on_ready() may be on the stack */
}

struct addr listener_addr(const struct listener *l)
{
	return l->addr;
}
