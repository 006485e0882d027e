#include "io/sd.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/err.h"
#include "base/text.h"

#define FIRST_FD 3 /* sd_listen_fds(3) */

/* A decimal number that is the whole text; -1 otherwise. */
static long long number_of(const char *text)
{
	char *end;
	long long v;

	if (!text || *text < '0' || *text > '9')
		return -1;
	errno = 0;
	v = strtoll(text, &end, 10);
	return errno || *end ? -1 : v;
}

static int look_at(int fd, struct sd_socket *s)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss), type_len = sizeof(s->type), only_len = sizeof(int);
	int only = 1, flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ||
	    fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_TYPE, &s->type, &type_len) < 0 ||
	    getsockname(fd, (struct sockaddr *)&ss, &len) < 0)
		return -errno;
	if (addr_from_sockaddr((struct sockaddr *)&ss, len, &s->at) < 0 ||
	    (s->type != SOCK_STREAM && s->type != SOCK_DGRAM))
		return FL_EUNSUPPORTED;
	if (s->at.family == ADDR_V6 &&
	    getsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, &only_len) < 0)
		return -errno;
	s->dual = !only;
	s->fd = fd;
	return 0;
}

/* Names stand in the order of the descriptors, a colon between them. */
static void take_name(const char **names, char dst[SD_NAME_MAX])
{
	size_t len;

	dst[0] = 0;
	if (!*names)
		return;
	len = strcspn(*names, ":");
	text_copy_span(dst, SD_NAME_MAX, span_of(*names, len));
	*names += len + ((*names)[len] == ':');
}

static int take_all(struct sd_sockets *out, long long count, const char *names, char why[256])
{
	if (count < 0 || count > SD_SOCKETS_MAX) {
		snprintf(why, 256, "LISTEN_FDS is not a number from 0 to %d", SD_SOCKETS_MAX);
		return count < 0 ? FL_EMALFORMED : FL_EQUOTA;
	}
	for (int fd = FIRST_FD; fd < FIRST_FD + count; fd++) {
		struct sd_socket *s = &out->at[out->n];
		int err = look_at(fd, s);

		take_name(&names, s->name);
		if (err < 0) {
			snprintf(why, 256,
				 "descriptor %d (%.60s) that LISTEN_FDS hands over is not a UDP or "
				 "TCP socket: %s",
				 fd, s->name, err_text(err));
			return FL_EMALFORMED;
		}
		out->n++;
	}
	return 0;
}

int sd_sockets_take(struct sd_sockets *out, char why[256])
{
	const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS");
	int err = 0;

	out->n = 0;
	/* meant for a process before us, such as the shell that started us */
	if (pid && fds && number_of(pid) == (long long)getpid())
		err = take_all(out, number_of(fds), getenv("LISTEN_FDNAMES"), why);
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
	if (err < 0)
		sd_sockets_close(out);
	return err;
}

int sd_sockets_claim(struct sd_sockets *s, int type, const struct addr *at)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->at[i].fd >= 0 && s->at[i].type == type && addr_equal(&s->at[i].at, at)) {
			int fd = s->at[i].fd;

			s->at[i].fd = -1;
			return fd;
		}
	return -1;
}

void sd_sockets_close(struct sd_sockets *s)
{
	for (size_t i = 0; i < s->n; i++)
		fl_closep(&s->at[i].fd);
}

void sd_notify(const char *fmt, ...)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	char text[1024];
	va_list ap;
	int n;

	if (!path || (path[0] != '/' && path[0] != '@') || strlen(path) >= sizeof(to.sun_path))
		return;
	memcpy(to.sun_path, path, strlen(path));
	if (path[0] == '@') /* an abstract name */
		to.sun_path[0] = 0;
	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	FL_CLEANUP(fl_closep) int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	/* who does not listen does not want to know */
	if (fd >= 0 && n > 0)
		(void)sendto(fd, text, FL_MIN((size_t)n, sizeof(text) - 1), MSG_NOSIGNAL,
			     (struct sockaddr *)&to,
			     (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path)));
}

usec_t sd_watchdog_us(void)
{
	const char *pid = getenv("WATCHDOG_PID");
	long long us = number_of(getenv("WATCHDOG_USEC"));

	if (us <= 0 || (pid && number_of(pid) != (long long)getpid()))
		return 0;
	return (usec_t)us / 2; /* sd_watchdog_enabled(3): half the time */
}
