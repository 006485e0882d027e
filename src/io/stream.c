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
#include "io/dscp.h"

#define DEFAULT_READ_MAX (256 * 1024)
#define DEFAULT_WRITE_MAX (1024 * 1024)
#define DEFAULT_OPEN_TIMEOUT (10 * USEC_PER_SEC)
#define READ_AREA 65536		   /* on the stack, so that idle streams keep none */
#define READ_CHUNK 16384	   /* one TLS record */
#define READ_PER_TURN (128 * 1024) /* then other streams have their turn */

enum state { CONNECTING, HANDSHAKE, OPEN, CLOSING, CLOSED };

struct stream {
	struct loop *loop;
	int fd;
	enum state state;
	struct loop_watch watch;
	struct loop_timer timeout;
	usec_t open_timeout_us;
	unsigned dscp;
	struct loop_deferred later, release;
	bool later_pending; /* on_later() runs after the turn */
	bool dead; /* destroyed; the memory goes after the turn, so that callers may still look */
	bool paused, told_full; /* told_full: stream_write() was refused, on_drain is owed */
	bool read_wants_write, write_wants_read; /* TLS */
	bool eof;				 /* the other side has ended, on_eof was told */
	bool end_wanted, end_sent;		 /* stream_end() */
	bool unwatched;		       /* both sides have ended, but bytes wait behind a pause */
	bool lent;		       /* in is the reader's stack for a moment */
	bool close_pending, redeliver; /* redeliver: reading goes on with what is queued already */
	int close_err;
	struct buf in, out;
	struct tls_context *tls;
	struct tls_session *session;
	struct stream_carrier *carrier; /* NULL: the socket is all there is */
	bool carried;			/* bytes go by the carrier's calls */
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
		in = (s->state == OPEN && !s->eof && !s->paused && s->in.len < s->in.max) ||
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
	err = tls_session_create(s->tls, s->fd, s->carried ? &s->carrier->below : NULL,
				 s->server_name, &s->session);
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

/*
 * Reads into the caller's stack: most of what arrives is consumed at once, so an idle stream keeps
 * no buffer. What was left of the last time goes in front.
 */
static void lend(struct stream *s, uint8_t *area)
{
	struct buf own = s->in;

	if (s->lent || own.len > READ_AREA - READ_CHUNK)
		return;
	if (own.len)
		memcpy(area, own.mem + own.start, own.len);
	free(own.mem);
	s->in = (struct buf){ .mem = area, .len = own.len, .cap = READ_AREA, .max = own.max };
	s->lent = true;
}

static int take_back(struct stream *s)
{
	struct buf area = s->in;

	s->lent = false;
	s->in = BUF_INIT(area.max);
	return s->dead ? 0 : buf_append(&s->in, area.mem + area.start, area.len);
}

static int read_once(struct stream *s, bool *more)
{
	size_t room = s->in.max - s->in.len;
	uint8_t *p;
	ssize_t n;

	/* never let buf_reserve() grow what is not ours */
	room = FL_MIN(room, s->lent ? s->in.cap - s->in.len : READ_CHUNK);
	p = buf_reserve(&s->in, room);
	if (!p)
		return -ENOMEM;
	s->read_wants_write = false;
	if (s->session) {
		n = tls_session_read(s->session, p, room);
		s->read_wants_write = n == -EAGAIN && tls_session_wants_write(s->session);
		*more = n > 0;
	} else if (s->carried) {
		n = s->carrier->below.read(s->carrier->below.arg, p, room);
		*more = n > 0;
	} else {
		n = recv(s->fd, p, room, 0);
		n = n < 0 ? -errno : n == 0 ? FL_ECLOSED : n;
		*more = n == (ssize_t)room; /* else the socket is empty, and epoll tells of more */
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

/* Space for another read, here or on the heap. */
static bool has_room(const struct stream *s)
{
	return s->in.len < s->in.max && (!s->lent || s->in.len < s->in.cap);
}

static int read_round(struct stream *s)
{
	size_t taken = 0;
	bool more = true;
	int n = 0;

	if (s->redeliver && !s->paused) {
		s->redeliver = false;
		deliver(s);
	}
	while (more && s->state == OPEN && !s->paused && !s->eof && has_room(s) &&
	       taken < READ_PER_TURN) {
		n = read_once(s, &more);
		if (n <= 0)
			break;
		taken += (size_t)n;
		if (!has_room(s))
			deliver(s);
	}
	if (taken)
		deliver(s);
	return n;
}

/* The other side has said all. */
static void take_eof(struct stream *s)
{
	if (!s->handler.on_eof || s->end_sent) {
		end(s, 0);
		return;
	}
	s->eof = true;
	s->handler.on_eof(s->arg);
}

static void read_some(struct stream *s)
{
	uint8_t area[READ_AREA];
	int n, err = 0;

	if (s->state != OPEN || s->paused)
		return;
	lend(s, area);
	n = read_round(s);
	if (s->lent)
		err = take_back(s);
	if (s->state != OPEN)
		return;
	if (err < 0)
		end(s, err);
	else if (n == FL_ECLOSED)
		take_eof(s);
	else if (n < 0 && n != -EAGAIN && n != -EINTR)
		end(s, n);
	else if (((s->session && tls_session_pending(s->session)) || (s->carried && n > 0)) &&
		 !s->paused && s->in.len < s->in.max)
		do_later(s); /* epoll does not see what OpenSSL and a carrier hold */
}

/* A count, or negative; -EAGAIN: the socket is full. */
static ssize_t send_bytes(struct stream *s, struct span data)
{
	ssize_t n;

	s->write_wants_read = false;
	if (s->session) {
		n = tls_session_write(s->session, data.ptr, data.len);
		s->write_wants_read = n == -EAGAIN && !tls_session_wants_write(s->session);
		return n;
	}
	if (s->carried)
		return s->carrier->below.write(s->carrier->below.arg, data.ptr, data.len);
	n = send(s->fd, data.ptr, data.len, MSG_NOSIGNAL);
	return n < 0 ? -errno : n;
}

static void finish_writing(struct stream *s)
{
	if (s->state == CLOSING) {
		end(s, 0);
	} else if (s->end_wanted && !s->end_sent && s->state == OPEN) {
		s->end_sent = true;
		if (s->session)
			tls_session_end(s->session);
		else
			(void)shutdown(s->fd, SHUT_WR);
		if (s->eof)
			end(s, 0);
	}
}

static void write_some(struct stream *s)
{
	while (s->out.len) {
		ssize_t n = send_bytes(s, buf_span(&s->out));

		if (n == -EAGAIN || n == -EINTR)
			return;
		if (n < 0) {
			end(s, (int)n);
			return;
		}
		buf_consume(&s->out, (size_t)n);
	}
	buf_finish(&s->out); /* an idle connection keeps no memory */
	finish_writing(s);
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
		if (!(events & EPOLLERR) && s->end_sent && s->paused) {
			loop_watch_stop(&s->watch); /* it would tell so for ever */
			s->unwatched = true;
			return;
		}
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
	if (s->carrier)
		s->carrier->destroy(s->carrier);
	s->carrier = NULL;
	fl_closep(&s->fd);
	if (s->loop)
		loop_defer(s->loop, &s->release, release, s);
	else
		release(s);
}

static struct stream *create(struct loop *loop, const struct stream_config *c,
			     const struct stream_handler *handler, void *arg)
{
	struct stream *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->loop = loop;
	s->fd = -1;
	s->dscp = c->dscp;
	s->open_timeout_us = c->open_timeout_us ? c->open_timeout_us : DEFAULT_OPEN_TIMEOUT;
	s->handler = *handler;
	s->arg = arg;
	s->in = BUF_INIT(c->read_max ? c->read_max : DEFAULT_READ_MAX);
	s->out = BUF_INIT(c->write_max ? c->write_max : DEFAULT_WRITE_MAX);
	list_init(&s->later.node);
	loop_timer_init(loop, &s->timeout, on_timeout, s);
	s->server_name = c->server_name ? strdup(c->server_name) : NULL;
	if ((c->server_name && !s->server_name) ||
	    loop_timer_after(&s->timeout, s->open_timeout_us) < 0) {
		free(s->server_name);
		free(s);
		return NULL;
	}
	s->tls = c->tls ? tls_context_ref(c->tls) : NULL;
	return s;
}

static void set_options(const struct stream *s, int fd)
{
	/* both fail on a socketpair, which has no delay to begin with, and no network */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
	if (s->dscp)
		(void)dscp_set(fd, s->dscp);
}

static int bind_shared(int fd, const struct addr *at)
{
	struct sockaddr_storage ss;
	socklen_t len = addr_to_sockaddr(at, &ss);
	int one = 1;

	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)) < 0 ||
	    bind(fd, (struct sockaddr *)&ss, len) < 0)
		return -errno;
	return 0;
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
	if (err == 0 && config->bind)
		err = bind_shared(s->fd, config->bind);
	if (err == 0) {
		set_options(s, s->fd);
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
	set_options(s, fd);
	err = loop_watch_start(loop, &s->watch, fd, EPOLLOUT, on_events, s);
	if (err < 0) {
		stream_destroy(s);
		return err;
	}
	*out = s;
	return 0;
}

int stream_over(struct loop *loop, struct stream_carrier *carrier,
		const struct stream_config *config, const struct stream_handler *handler, void *arg,
		struct stream **out)
{
	struct stream *s = create(loop, config, handler, arg);

	if (!s) {
		carrier->destroy(carrier);
		return -ENOMEM;
	}
	s->state = CONNECTING;
	s->carrier = carrier;
	loop_timer_stop(&s->timeout); /* the carrier's own limit holds first */
	*out = s;
	return 0;
}

void stream_carrier_open(struct stream *s, int fd, bool bare)
{
	int err;

	s->fd = fd;
	s->carried = !bare;
	set_options(s, fd);
	err = loop_watch_start(s->loop, &s->watch, fd, EPOLLOUT, on_events, s);
	if (err == 0)
		err = loop_timer_after(&s->timeout, s->open_timeout_us);
	if (err < 0)
		end(s, err);
}

void stream_carrier_failed(struct stream *s, int err)
{
	end(s, err);
}

int stream_write(struct stream *s, struct span data)
{
	bool was_empty = s->out.len == 0;
	int err;

	if (s->state == CLOSED || s->state == CLOSING || s->end_wanted)
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

/* How many parts and bytes of them one call to the kernel takes. */
#define PARTS_PER_CALL 128

/* Bytes of the parts from first on, beginning skip bytes into it, as a list for sendmsg(). */
static int send_parts(struct stream *s, const struct span *parts, size_t n, size_t skip)
{
	struct iovec iov[PARTS_PER_CALL];
	struct msghdr msg = { .msg_iov = iov };
	ssize_t sent;

	for (size_t i = 0; i < n && i < PARTS_PER_CALL; i++) {
		iov[i] = (struct iovec){ (void *)(uintptr_t)parts[i].ptr, parts[i].len };
		if (i == 0)
			iov[0] = (struct iovec){ (uint8_t *)iov[0].iov_base + skip,
						 parts[0].len - skip };
		msg.msg_iovlen = i + 1;
	}
	sent = sendmsg(s->fd, &msg, MSG_NOSIGNAL);
	return sent < 0 ? -errno : (int)sent;
}

/* The same as one TLS record: OpenSSL encrypts from one place, so this is the one copy. A carrier
 * takes one piece of memory at a time, too. */
static int seal_parts(struct stream *s, const struct span *parts, size_t n, size_t skip)
{
	uint8_t record[READ_CHUNK];
	size_t len = 0;

	for (size_t i = 0; i < n && len < sizeof(record); i++) {
		size_t take = FL_MIN(parts[i].len - skip, sizeof(record) - len);

		if (take)
			memcpy(record + len, parts[i].ptr + skip, take);
		len += take;
		skip = 0;
	}
	return (int)send_bytes(s, span_of(record, len));
}

/* What could not be sent; there is room, since stream_write_parts() looked. */
static int queue_parts(struct stream *s, const struct span *parts, size_t n, size_t skip)
{
	for (size_t i = 0; i < n; i++) {
		int err = buf_append(&s->out, parts[i].ptr + skip, parts[i].len - skip);

		if (err < 0)
			return err;
		skip = 0;
	}
	return 0;
}

/* Sends as much as goes now. *first and *skip: where the rest begins. */
static int write_now(struct stream *s, const struct span *parts, size_t n, size_t *first,
		     size_t *skip)
{
	for (;;) {
		ssize_t sent;

		for (; *first < n && *skip >= parts[*first].len; (*first)++)
			*skip -= parts[*first].len;
		if (*first == n)
			return 0;
		sent = s->session || s->carried ? seal_parts(s, parts + *first, n - *first, *skip)
						: send_parts(s, parts + *first, n - *first, *skip);
		if (sent < 0)
			return sent == -EAGAIN || sent == -EINTR ? 0 : (int)sent;
		*skip += (size_t)sent;
	}
}

int stream_write_parts(struct stream *s, const struct span *parts, size_t n)
{
	size_t total = 0, first = 0, skip = 0;
	bool was_empty = s->out.len == 0;
	int err = 0;

	if (s->state == CLOSED || s->state == CLOSING || s->end_wanted)
		return -EPIPE;
	for (size_t i = 0; i < n; i++)
		total += parts[i].len;
	if (total > s->out.max - s->out.len) {
		s->told_full = true;
		return FL_EQUOTA;
	}
	if (was_empty && s->state == OPEN)
		err = write_now(s, parts, n, &first, &skip);
	if (err == 0 && first < n)
		err = queue_parts(s, parts + first, n - first, skip);
	if (err < 0) { /* a part of a message may be out: nothing sensible can follow it */
		end(s, err);
		return -EPIPE;
	}
	if (was_empty && first < n && s->watch.loop)
		loop_watch_set(&s->watch, wanted(s));
	return 0;
}

void stream_end(struct stream *s)
{
	if (s->state == CLOSED || s->state == CLOSING || s->end_wanted)
		return;
	s->end_wanted = true;
	do_later(s);
}

void stream_park(struct stream *s)
{
	loop_watch_stop(&s->watch);
	loop_timer_stop(&s->timeout);
	if (s->later_pending)
		list_remove(&s->later.node);
	s->later_pending = false;
	s->loop = NULL;
}

int stream_resume(struct stream *s, struct loop *loop, const struct stream_handler *handler,
		  void *arg)
{
	int err = 0;

	s->paused = false;
	s->redeliver = true;
	if (s->state != CLOSED && !s->unwatched)
		err = loop_watch_start(loop, &s->watch, s->fd, wanted(s), on_events, s);
	if (err < 0)
		return err;
	s->loop = loop;
	loop_timer_init(loop, &s->timeout, on_timeout, s);
	s->handler = *handler;
	s->arg = arg;
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
	const char *cause;

	if (s->session)
		return tls_session_error(s->session);
	return s->carrier ? s->carrier->error(s->carrier, &cause) : NULL;
}

const char *stream_error_cause(const struct stream *s)
{
	const char *cause = NULL;

	if (!s->session && s->carrier)
		(void)s->carrier->error(s->carrier, &cause);
	return cause;
}
