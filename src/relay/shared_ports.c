#include "relay/shared_ports.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/rng.h"
#include "relay/peer_socket.h"
#include "relay/sock_name.h"

#define TRIES 64	       /* ports that belong to others, one after the other */
#define RCVBUF_BYTES (1 << 20) /* of a relayed socket: half a second of 16 Mbit/s */

struct shared_ports {
	pthread_mutex_t lock;
	struct turn_ports *at[2];
	struct addr bound[2];
	int rcvbuf_option; /* 0: the system's default is as good as what we may ask for */
};

static int set_int(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value)) < 0 ? -errno : 0;
}

static int get_rcvbuf(int fd)
{
	int value = 0;
	socklen_t len = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &value, &len) < 0 ? 0 : value;
}

/* Found out once, so that an allocation costs no system call in vain. */
static int find_rcvbuf_option(void)
{
	static const int options[] = { SO_RCVBUFFORCE, SO_RCVBUF };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), before = get_rcvbuf(fd), found = 0;

	for (size_t i = 0; i < ARRAY_LEN(options) && !found && fd >= 0; i++)
		if (set_int(fd, SOL_SOCKET, options[i], RCVBUF_BYTES) == 0 &&
		    get_rcvbuf(fd) > before)
			found = options[i];
	fl_closep(&fd);
	return found;
}

int shared_ports_create(const struct settings *s, struct shared_ports **out)
{
	struct shared_ports *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	pthread_mutex_init(&p->lock, NULL);
	p->rcvbuf_option = find_rcvbuf_option();
	for (int i = 0; i < 2; i++) {
		if (s->relay[i].bound.family == ADDR_NONE)
			continue;
		p->bound[i] = s->relay[i].bound;
		p->at[i] = turn_ports_create(s->port_first, s->port_last, rng_system());
		if (!p->at[i]) {
			shared_ports_destroy(p);
			return -ENOMEM;
		}
	}
	*out = p;
	return 0;
}

void shared_ports_destroy(struct shared_ports *p)
{
	if (!p)
		return;
	(void)shared_ports_expire(p, USEC_NEVER - 1);
	for (int i = 0; i < 2; i++)
		turn_ports_destroy(p->at[i]);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

static uint16_t take(struct shared_ports *p, usec_t now, bool v6, enum turn_ports_want want)
{
	uint16_t port;

	pthread_mutex_lock(&p->lock);
	port = turn_ports_take(p->at[v6], want);
	pthread_mutex_unlock(&p->lock);
	if (port)
		return port;
	(void)shared_ports_expire(p, now);
	pthread_mutex_lock(&p->lock);
	port = turn_ports_take(p->at[v6], want);
	pthread_mutex_unlock(&p->lock);
	return port;
}

static void put(struct shared_ports *p, usec_t now, bool v6, uint16_t port, bool foreign)
{
	pthread_mutex_lock(&p->lock);
	if (foreign)
		turn_ports_foreign(p->at[v6], now, port);
	turn_ports_put(p->at[v6], port);
	pthread_mutex_unlock(&p->lock);
}

static void set_options(const struct shared_ports *p, int fd, bool v6, bool stream)
{
	if (!stream) {
		peer_socket_options(fd, v6);
		if (p->rcvbuf_option)
			set_int(fd, SOL_SOCKET, p->rcvbuf_option, RCVBUF_BYTES);
		return;
	}
	if (v6)
		set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	/* connections to peers leave from the port at which others are awaited */
	set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	set_int(fd, SOL_SOCKET, SO_REUSEPORT, 1);
}

static int bind_port(const struct shared_ports *p, bool v6, bool stream, uint16_t port)
{
	int type = (stream ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC | SOCK_NONBLOCK;
	struct addr at = p->bound[v6];
	union sock_name name;
	socklen_t len;
	int fd = socket(v6 ? AF_INET6 : AF_INET, type, 0), err;

	if (fd < 0)
		return -errno;
	set_options(p, fd, v6, stream);
	at.port = port;
	len = sock_name_from(&at, &name);
	if (bind(fd, &name.sa, len) == 0)
		return fd;
	err = -errno;
	close(fd);
	return err;
}

/* Binds the second of a pair too; it waits for whoever brings the token. */
static int reserve(struct shared_ports *p, usec_t now, bool v6, uint16_t port,
		   struct shared_ports_open *o)
{
	int fd = bind_port(p, v6, o->stream, port), err;

	if (fd < 0)
		return fd;
	pthread_mutex_lock(&p->lock);
	err = turn_ports_reserve(p->at[v6], now, port, fd, o->reserved_token);
	pthread_mutex_unlock(&p->lock);
	if (err < 0)
		close(fd);
	else
		o->reserved = true;
	return err;
}

/* One attempt at a port that was taken; on failure it, and its neighbour, are given back. */
static int try_port(struct shared_ports *p, usec_t now, bool v6, uint16_t port,
		    struct shared_ports_open *o)
{
	bool pair = o->want == TURN_PORTS_PAIR;
	int fd = bind_port(p, v6, o->stream, port), err = fd;
	uint16_t failed = port;

	if (fd >= 0 && pair) {
		failed = (uint16_t)(port + 1);
		err = reserve(p, now, v6, failed, o);
		if (err < 0)
			close(fd);
	}
	if (err >= 0) {
		o->fds[v6] = fd;
		o->ports[v6] = port;
		return 0;
	}
	put(p, now, v6, port, err == -EADDRINUSE && failed == port);
	if (pair)
		put(p, now, v6, (uint16_t)(port + 1), err == -EADDRINUSE && failed != port);
	return err;
}

static bool claim(struct shared_ports *p, usec_t now, bool v6, struct shared_ports_open *o)
{
	intptr_t fd = -1;
	bool found;

	pthread_mutex_lock(&p->lock);
	found = turn_ports_claim(p->at[v6], now, o->token, &o->ports[v6], &fd);
	pthread_mutex_unlock(&p->lock);
	if (found)
		o->fds[v6] = (int)fd;
	return found;
}

int shared_ports_open(struct shared_ports *p, usec_t now, bool v6, struct shared_ports_open *o)
{
	if (!p->at[v6])
		return -EAFNOSUPPORT;
	if (o->token)
		return claim(p, now, v6, o) ? 0 : -ENOENT;
	for (int i = 0; i < TRIES; i++) {
		uint16_t port = take(p, now, v6, o->want);
		int err;

		if (port == 0)
			return -ENOSPC;
		err = try_port(p, now, v6, port, o);
		if (err != -EADDRINUSE)
			return err;
	}
	return -EADDRINUSE;
}

void shared_ports_put(struct shared_ports *p, const uint16_t ports[2])
{
	pthread_mutex_lock(&p->lock);
	for (int i = 0; i < 2; i++)
		if (ports[i])
			turn_ports_put(p->at[i], ports[i]);
	pthread_mutex_unlock(&p->lock);
}

unsigned shared_ports_free(struct shared_ports *p)
{
	unsigned n = 0;

	pthread_mutex_lock(&p->lock);
	for (int i = 0; i < 2; i++)
		n += p->at[i] ? turn_ports_free(p->at[i]) : 0;
	pthread_mutex_unlock(&p->lock);
	return n;
}

usec_t shared_ports_expire(struct shared_ports *p, usec_t now)
{
	usec_t next = USEC_NEVER;
	uint16_t port;
	intptr_t fd;

	pthread_mutex_lock(&p->lock);
	for (int i = 0; i < 2; i++) {
		while (p->at[i] && turn_ports_expired(p->at[i], now, &port, &fd))
			close((int)fd);
		if (p->at[i])
			next = usec_min(next, turn_ports_deadline(p->at[i]));
	}
	pthread_mutex_unlock(&p->lock);
	return next;
}
