#include "io/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"

#define DEFAULT_READ_MAX (256 * 1024)
#define DEFAULT_WRITE_MAX (1024 * 1024)
#define DEFAULT_OPEN_TIMEOUT (10 * USEC_PER_SEC)
#define READ_CHUNK 16384	   /* one TLS record */
#define READ_PER_TURN (128 * 1024) /* then other streams have their turn */

enum state { CONNECTING, HANDSHAKE, OPEN, CLOSING, CLOSED };

struct stream {
	struct loop *loop;
	int fd;
	enum state state;
	struct loop_watch watch;
	struct loop_timer timeout;
	struct loop_deferred later, release;
	bool later_pending; /* on_later() runs after the turn */
	bool dead; /* destroyed; the memory goes after the turn, so that callers may still look */
	bool paused, told_full; /* told_full: stream_write() was refused, on_drain is owed */
	bool read_wants_write, write_wants_read; /* TLS */
	bool close_pending, redeliver; /* redeliver: reading goes on with what is queued already */
	int close_err;
	struct buf in, out;
	struct tls_context *tls;
	struct tls_session *session;
	char *server_name;
	struct stream_handler handler;
	void *arg;
};

static void on_later(void *arg);

static void do_later(struct stream *s)
{
	if (s->later_pending || s->dead)
		return;
	s->later_pending = true;
	loop_defer(s->loop, &s->later, on_later, s);
}

static uint32_t wanted(const struct stream *s)
{
	bool in = false, out = false;

	switch (s->state) {
	case CONNECTING:
		out = true;
		break;
	case HANDSHAKE:
		out = tls_session_wants_write(s->session);
		in = !out;
		break;
	case OPEN:
	case CLOSING:
		in = (s->state == OPEN && !s->paused && s->in.len < s->in.max) ||
		     s->write_wants_read;
		out = (s->out.len > 0 && !s->write_wants_read) || s->read_wants_write;
		break;
	case CLOSED:
		break;
	}
	return (in ? EPOLLIN : 0U) | (out ? EPOLLOUT : 0U);
}

/* The one place where a stream ends by itself. The owner is told after the turn, never inside a
 * call. */
static void end(struct stream *s, int err)
{
	if (s->state == CLOSED)
		return;
	s->state = CLOSED;
	s->close_err = err;
	s->close_pending = true;
	loop_watch_stop(&s->watch);
	loop_timer_stop(&s->timeout);
	/* the descriptor and the TLS error text stay until the owner destroys the stream */
	if (s->session)
		tls_session_shutdown(s->session);
	(void)shutdown(s->fd, SHUT_RDWR);
	do_later(s);
}

static void opened(struct stream *s)
{
	s->state = OPEN;
	loop_timer_stop(&s->timeout);
	if (s->handler.on_open)
		s->handler.on_open(s->arg);
}

static void continue_handshake(struct stream *s)
{
	int err = tls_session_handshake(s->session);

	if (err == 0)
		opened(s);
	else if (err != -EAGAIN)
		end(s, err == FL_ECLOSED ? -ECONNRESET : err);
}

static void start_tls(struct stream *s)
{
	int err;

	if (!s->tls) {
		opened(s);
		return;
	}
	err = tls_session_create(s->tls, s->fd, s->server_name, &s->session);
	if (err < 0) {
		end(s, err);
		return;
	}
	s->state = HANDSHAKE;
	continue_handshake(s);
}

static void finish_connect(struct stream *s)
{
	int err = 0;
	socklen_t len = sizeof(err);

	if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0)
		err = errno;
	if (err)
		end(s, -err);
	else
		start_tls(s);
}

static int read_once(struct stream *s)
{
	size_t room = FL_MIN(READ_CHUNK, s->in.max - s->in.len);
	uint8_t *p = buf_reserve(&s->in, room);
	ssize_t n;

	if (!p)
		return -ENOMEM;
	s->read_wants_write = false;
	if (s->session) {
		n = tls_session_read(s->session, p, room);
		s->read_wants_write = n == -EAGAIN && tls_session_wants_write(s->session);
	} else {
		n = recv(s->fd, p, room, 0);
		n = n < 0 ? -errno : n == 0 ? FL_ECLOSED : n;
	}
	if (n > 0)
		buf_commit(&s->in, (size_t)n);
	return (int)n;
}

static void deliver(struct stream *s)
{
	if (s->in.len && s->state == OPEN)
		s->handler.on_read(s->arg, &s->in);
}

static void read_some(struct stream *s)
{
	size_t taken = 0;
	int n = 0;

	if (s->redeliver && !s->paused) {
		s->redeliver = false;
		deliver(s);
	}
	while (s->state == OPEN && !s->paused && s->in.len < s->in.max && taken < READ_PER_TURN) {
		n = read_once(s);
		if (n <= 0)
			break;
		taken += (size_t)n;
		if (s->in.len >= s->in.max)
			deliver(s);
	}
	if (taken)
		deliver(s);
	if (s->state != OPEN)
		return;
	if (n < 0 && n != -EAGAIN && n != -EINTR)
		end(s, n == FL_ECLOSED ? 0 : n);
	else if (s->session && tls_session_pending(s->session) && !s->paused &&
		 s->in.len < s->in.max)
		do_later(s); /* epoll does not see what OpenSSL holds */
	if (s->in.len == 0 && s->in.cap > READ_CHUNK)
		buf_finish(&s->in); /* a burst's memory is not kept by an idle connection */
}

static void write_some(struct stream *s)
{
	while (s->out.len) {
		struct span data = buf_span(&s->out);
		ssize_t n;

		s->write_wants_read = false;
		if (s->session) {
			n = tls_session_write(s->session, data.ptr, data.len);
			s->write_wants_read = n == -EAGAIN && !tls_session_wants_write(s->session);
		} else {
			n = send(s->fd, data.ptr, data.len, MSG_NOSIGNAL);
			n = n < 0 ? -errno : n;
		}
		if (n == -EAGAIN || n == -EINTR)
			return;
		if (n < 0) {
			end(s, (int)n);
			return;
		}
		buf_consume(&s->out, (size_t)n);
	}
	if (s->out.cap > READ_CHUNK)
		buf_finish(&s->out);
	if (s->state == CLOSING)
		end(s, 0);
}

static void tell_drained(struct stream *s)
{
	if (!s->told_full || s->out.len > s->out.max / 2 || s->state != OPEN)
		return;
	s->told_full = false;
	if (s->handler.on_drain)
		s->handler.on_drain(s->arg);
}

/* Does what can be done now, in any state. */
static void advance(struct stream *s)
{
	if (s->state == CONNECTING)
		finish_connect(s);
	else if (s->state == HANDSHAKE)
		continue_handshake(s);
	if (s->state == OPEN || s->state == CLOSING)
		write_some(s);
	tell_drained(s);
	read_some(s);
	if (s->watch.loop)
		loop_watch_set(&s->watch, wanted(s));
}

static void on_events(void *arg, uint32_t events)
{
	struct stream *s = arg;

	/* a reset shows as EPOLLERR or EPOLLHUP even when nothing was asked for (reading is paused)
	 */
	if (events & (EPOLLERR | EPOLLHUP) && !(wanted(s) & EPOLLIN) && s->state != CONNECTING) {
		end(s, -ECONNRESET);
		return;
	}
	advance(s);
}

static void on_later(void *arg)
{
	struct stream *s = arg;

	s->later_pending = false;
	if (s->dead)
		return;
	if (s->close_pending) {
		s->close_pending = false;
		s->handler.on_close(s->arg, s->close_err);
		return;
	}
	if (s->state != CLOSED)
		advance(s);
}

static void on_timeout(void *arg)
{
	end(arg, -ETIMEDOUT);
}

static void release(void *arg)
{
	struct stream *s = arg;

	buf_finish(&s->in);
	buf_finish(&s->out);
	free(s->server_name);
	free(s);
}

void stream_destroy(struct stream *s)
{
	if (!s || s->dead)
		return;
	s->dead = true;
	s->state = CLOSED;
	loop_watch_stop(&s->watch);
	loop_timer_stop(&s->timeout);
	if (s->later_pending)
		list_remove(&s->later.node);
	tls_session_destroy(s->session);
	s->session = NULL;
	tls_context_unref(s->tls);
	s->tls = NULL;
	fl_closep(&s->fd);
	loop_defer(s->loop, &s->release, release, s);
}

static struct stream *create(struct loop *loop, const struct stream_config *c,
			     const struct stream_handler *handler, void *arg)
{
	struct stream *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->loop = loop;
	s->fd = -1;
	s->handler = *handler;
	s->arg = arg;
	s->in = BUF_INIT(c->read_max ? c->read_max : DEFAULT_READ_MAX);
	s->out = BUF_INIT(c->write_max ? c->write_max : DEFAULT_WRITE_MAX);
	list_init(&s->later.node);
	loop_timer_init(loop, &s->timeout, on_timeout, s);
	s->server_name = c->server_name ? strdup(c->server_name) : NULL;
	if ((c->server_name && !s->server_name) ||
	    loop_timer_after(&s->timeout,
			     c->open_timeout_us ? c->open_timeout_us : DEFAULT_OPEN_TIMEOUT) < 0) {
		free(s->server_name);
		free(s);
		return NULL;
	}
	s->tls = c->tls ? tls_context_ref(c->tls) : NULL;
	return s;
}

static void set_no_delay(int fd)
{
	/* fails on a socketpair, which has no delay to begin with */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
}

int stream_connect(struct loop *loop, const struct addr *to, const struct stream_config *config,
		   const struct stream_handler *handler, void *arg, struct stream **out)
{
	struct sockaddr_storage ss;
	socklen_t len = addr_to_sockaddr(to, &ss);
	struct stream *s;
	int err = 0;

	if (len == 0)
		return -EAFNOSUPPORT;
	s = create(loop, config, handler, arg);
	if (!s)
		return -ENOMEM;
	s->state = CONNECTING;
	s->fd = socket(ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s->fd < 0)
		err = -errno;
	if (err == 0) {
		set_no_delay(s->fd);
		if (connect(s->fd, (struct sockaddr *)&ss, len) < 0 && errno != EINPROGRESS)
			err = -errno;
	}
	if (err == 0)
		err = loop_watch_start(loop, &s->watch, s->fd, EPOLLOUT, on_events, s);
	if (err < 0) {
		stream_destroy(s);
		return err;
	}
	*out = s;
	return 0;
}

int stream_adopt(struct loop *loop, int fd, const struct stream_config *config,
		 const struct stream_handler *handler, void *arg, struct stream **out)
{
	struct stream *s = create(loop, config, handler, arg);
	int err;

	if (!s) {
		close(fd);
		return -ENOMEM;
	}
	s->fd = fd;
	(void)fcntl(fd, F_SETFL, O_NONBLOCK); /* an inherited socketpair blocks */
	s->state = CONNECTING; /* the first turn finds it writable and goes on from there */
	set_no_delay(fd);
	err = loop_watch_start(loop, &s->watch, fd, EPOLLOUT, on_events, s);
	if (err < 0) {
		stream_destroy(s);
		return err;
	}
	*out = s;
	return 0;
}

int stream_write(struct stream *s, struct span data)
{
	bool was_empty = s->out.len == 0;
	int err;

	if (s->state == CLOSED || s->state == CLOSING)
		return -EPIPE;
	err = buf_append_span(&s->out, data);
	if (err == FL_EQUOTA)
		s->told_full = true;
	if (err < 0)
		return err;
	/* sent after the turn, so that many small writes become one; a full socket waits for epoll
	 */
	if (was_empty && s->state == OPEN)
		do_later(s);
	return 0;
}

void stream_close(struct stream *s)
{
	if (s->state == CLOSED || s->state == CLOSING)
		return;
	if (s->state != OPEN || s->out.len == 0) {
		end(s, 0);
		return;
	}
	s->state = CLOSING;
	loop_timer_after(&s->timeout,
			 DEFAULT_OPEN_TIMEOUT); /* a peer that stops reading cannot keep us */
	do_later(s);
}

void stream_pause_read(struct stream *s, bool pause)
{
	if (s->paused == pause)
		return;
	s->paused = pause;
	s->redeliver = !pause;
	if (!pause && s->state == OPEN)
		do_later(s); /* what is in the queue or inside OpenSSL gives no event */
	if (s->watch.loop)
		loop_watch_set(&s->watch, wanted(s));
}

size_t stream_queued(const struct stream *s)
{
	return s->out.len;
}

static bool take_name(int err, const struct sockaddr_storage *ss, socklen_t len, struct addr *out)
{
	return err == 0 && addr_from_sockaddr((const struct sockaddr *)ss, len, out) == 0;
}

bool stream_remote(const struct stream *s, struct addr *out)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);

	return take_name(getpeername(s->fd, (struct sockaddr *)&ss, &len), &ss, len, out);
}

bool stream_local(const struct stream *s, struct addr *out)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);

	return take_name(getsockname(s->fd, (struct sockaddr *)&ss, &len), &ss, len, out);
}

struct tls_session *stream_tls(const struct stream *s)
{
	return s->session;
}

const char *stream_error_text(const struct stream *s)
{
	return s->session ? tls_session_error(s->session) : NULL;
}
