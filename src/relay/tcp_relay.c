#include "relay/tcp_relay.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/wire.h"
#include "io/stream.h"

#define CONNECT_TIMEOUT_S 30 /* RFC 6062 §5.2: at least */
#define PEER_READ_MAX (64 * 1024)
#define PEER_WRITE_MAX (256 * 1024)
#define CHUNK 16384			   /* what one step of a quota books */
#define OVER_QUOTA_US (20 * USEC_PER_MSEC) /* then it is tried again */

struct tcp_relay {
	struct relayed *owner;
	struct loop *loop;
	struct listener *listeners[2]; /* IPv4, IPv6 */
	struct addr bound[2];
	struct list pairs;
};

/* A connection with a peer; a pair once a client has joined it. */
struct tcp_pair {
	struct tcp_relay *relay;
	struct list node;
	uint32_t connection;
	struct stream *peer;
	bool open;
	bool accepted;	  /* the peer began it: the core knows */
	bool reported;	  /* the core has forgotten it; what is queued for the peer still leaves */
	size_t booked[2]; /* bytes that the quota has let pass and that could not be written yet */
	const struct tcp_client_ops *ops;
	void *client; /* NULL: not joined, or over */
	struct loop_timer again;
	struct loop_deferred later;
};

static void free_pair(void *arg)
{
	free(arg);
}

/* The pair is over; nobody is told. */
static void drop(struct tcp_pair *p)
{
	struct loop *loop = p->again.loop;

	list_remove(&p->node);
	list_remove(&p->later.node);
	loop_timer_stop(&p->again);
	stream_destroy(p->peer);
	p->peer = NULL;
	loop_defer(loop, &p->later, free_pair, p);
}

static void close_client(struct tcp_pair *p, bool orderly)
{
	void *client = FL_STEAL(p->client);

	if (client)
		p->ops->close(client, orderly);
}

static void report_gone(struct tcp_pair *p)
{
	struct relayed *owner = p->relay->owner;

	if (p->reported)
		return;
	p->reported = true;
	turn_server_disconnected(owner->worker->core, owner->alloc, p->connection);
	worker_take_events(owner->worker);
}

/* The outcome of a Connect. A failed one is over. */
static void report_connected(struct tcp_pair *p, unsigned code)
{
	struct tcp_relay *t = p->relay;
	struct worker *w = t->owner->worker;
	struct turn_alloc *alloc = t->owner->alloc;
	uint32_t connection = p->connection;

	if (code)
		drop(p);
	turn_server_connected(w->core, loop_now(w->loop), alloc, connection, code);
	worker_take_events(w);
}

/* ---- the peer's half ---- */

/* How much of len may pass now; when nothing, both sides wait a moment. */
static size_t within_quota(struct tcp_pair *p, bool up, size_t len)
{
	len = FL_MIN(len, CHUNK);
	if (loop_timer_running(&p->again))
		return 0;
	if (len <= p->booked[up])
		return len;
	if (worker_try(p->relay->owner, up, 1, len - p->booked[up])) {
		p->booked[up] = len;
		return len;
	}
	stream_pause_read(p->peer, true);
	p->ops->pause(p->client, true);
	(void)loop_timer_after(&p->again, OVER_QUOTA_US);
	return 0;
}

static void on_again(void *arg)
{
	struct tcp_pair *p = arg;

	if (p->peer)
		stream_pause_read(p->peer, false);
	if (p->client)
		p->ops->pause(p->client, false);
}

static void on_open(void *arg)
{
	struct tcp_pair *p = arg;

	p->open = true;
	/* RFC 6062 §5.2: what comes before the ConnectionBind is kept, here by the kernel */
	stream_pause_read(p->peer, !p->client);
	if (!p->accepted)
		report_connected(p, 0);
}

static void on_read(void *arg, struct buf *in)
{
	struct tcp_pair *p = arg;

	while (p->client && in->len) {
		struct reader r = reader_of(buf_span(in));
		size_t len = within_quota(p, false, in->len);
		int err;

		if (len == 0)
			return;
		err = p->ops->write(p->client, reader_bytes(&r, len));
		if (err < 0) { /* full, and goes on by tcp_pair_drained(); or over, which is told */
			stream_pause_read(p->peer, true);
			return;
		}
		buf_consume(in, len);
		p->booked[false] -= len;
	}
}

static void on_drain(void *arg)
{
	struct tcp_pair *p = arg;

	if (p->client && !loop_timer_running(&p->again))
		p->ops->pause(p->client, false);
}

static void on_eof(void *arg)
{
	struct tcp_pair *p = arg;

	if (p->client)
		p->ops->end(p->client);
}

static void on_close(void *arg, int err)
{
	struct tcp_pair *p = arg;

	if (!p->open) {
		report_connected(p, TURN_CONNECTION_FAILED);
		return;
	}
	close_client(p, err == 0);
	report_gone(p);
	drop(p);
}

static const struct stream_handler handler = { on_open, on_read, on_drain, on_close, on_eof };

static struct tcp_pair *new_pair(struct tcp_relay *t, uint32_t connection)
{
	struct tcp_pair *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->relay = t;
	p->connection = connection;
	list_init(&p->later.node);
	loop_timer_init(t->loop, &p->again, on_again, p);
	list_push_back(&t->pairs, &p->node);
	return p;
}

static const struct stream_config peer_config = {
	.read_max = PEER_READ_MAX,
	.write_max = PEER_WRITE_MAX,
	.open_timeout_us = CONNECT_TIMEOUT_S * USEC_PER_SEC,
};

static void on_accept(void *arg, int fd, const struct addr *from)
{
	struct tcp_relay *t = arg;
	struct worker *w = t->owner->worker;
	struct tcp_pair *p;
	uint32_t connection;
	int err;

	if (!turn_server_accepted(w->core, loop_now(w->loop), t->owner->alloc, from, &connection)) {
		close(fd);
		return;
	}
	p = new_pair(t, connection);
	if (!p) {
		close(fd);
		turn_server_disconnected(w->core, t->owner->alloc, connection);
	} else {
		p->open = p->accepted = true;
		err = stream_adopt(t->loop, fd, &peer_config, &handler, p, &p->peer);
		if (err < 0) {
			turn_server_disconnected(w->core, t->owner->alloc, connection);
			drop(p);
		}
	}
	worker_take_events(w); /* the ConnectionAttempt */
}

/* ---- what the worker asks for ---- */

static int start_listening(struct tcp_relay *t, size_t i, int fd)
{
	struct listener_config config = { .adopt = true, .fd = fd };
	int one = 1, err;

	/* connections to peers leave from the same port */
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
	err = listener_open(t->loop, &config, on_accept, t, &t->listeners[i]);
	if (err == 0)
		t->bound[i] = listener_addr(t->listeners[i]);
	return err;
}

int tcp_relay_create(struct relayed *owner, const int fds[2], struct tcp_relay **out)
{
	struct tcp_relay *t = calloc(1, sizeof(*t));
	int err = t ? 0 : -ENOMEM;

	if (t) {
		t->owner = owner;
		t->loop = owner->worker->loop;
		list_init(&t->pairs);
	}
	for (size_t i = 0; i < 2; i++) {
		if (fds[i] < 0)
			continue;
		if (err == 0)
			err = start_listening(t, i, fds[i]);
		else
			close(fds[i]);
	}
	if (err < 0) {
		tcp_relay_destroy(t);
		return err;
	}
	*out = t;
	return 0;
}

void tcp_relay_destroy(struct tcp_relay *t)
{
	if (!t)
		return;
	while (!list_empty(&t->pairs)) {
		struct tcp_pair *p = list_entry(t->pairs.next, struct tcp_pair, node);

		close_client(p, false);
		drop(p);
	}
	listener_destroy(t->listeners[0]);
	listener_destroy(t->listeners[1]);
	free(t);
}

static void on_refused(void *arg)
{
	report_connected(arg, TURN_CONNECTION_FAILED);
}

void tcp_relay_connect(struct tcp_relay *t, uint32_t connection, const struct addr *peer)
{
	size_t i = peer->family == ADDR_V6;
	struct stream_config config = peer_config;
	struct tcp_pair *p = new_pair(t, connection);
	int err = -EADDRNOTAVAIL;

	if (!p) /* the core gives it up by itself */
		return;
	config.bind = &t->bound[i];
	if (t->listeners[i])
		err = stream_connect(t->loop, peer, &config, &handler, p, &p->peer);
	if (err < 0) /* told after the turn: the core is in the middle of the request */
		loop_defer(t->loop, &p->later, on_refused, p);
}

static struct tcp_pair *find(const struct tcp_relay *t, uint32_t connection)
{
	struct tcp_pair *p, *next;

	list_for_each (p, next, &t->pairs, node)
		if (p->connection == connection && !p->reported)
			return p;
	return NULL;
}

void tcp_relay_disconnect(struct tcp_relay *t, uint32_t connection)
{
	struct tcp_pair *p = find(t, connection);

	if (!p)
		return;
	p->reported = true; /* the core began it */
	close_client(p, false);
	drop(p);
}

/* ---- the joined pair ---- */

struct tcp_pair *tcp_relay_join(struct tcp_relay *t, uint32_t connection,
				const struct tcp_client_ops *ops, void *client)
{
	struct tcp_pair *p = find(t, connection);

	if (!p || !p->peer || !p->open || p->client)
		return NULL;
	p->ops = ops;
	p->client = client;
	stream_pause_read(p->peer, false);
	return p;
}

size_t tcp_pair_data(struct tcp_pair *p, struct span data)
{
	struct reader r = reader_of(data);
	size_t taken = 0;

	while (p->peer && reader_left(&r) > 0) {
		size_t len = within_quota(p, true, reader_left(&r));
		int err;

		if (len == 0)
			break;
		err = stream_write(p->peer, reader_bytes(&r, len));
		if (err < 0) { /* full: on_drain() goes on */
			p->ops->pause(p->client, true);
			break;
		}
		taken += len;
		p->booked[true] -= len;
	}
	return taken;
}

void tcp_pair_drained(struct tcp_pair *p)
{
	if (p->peer && !loop_timer_running(&p->again))
		stream_pause_read(p->peer, false);
}

void tcp_pair_eof(struct tcp_pair *p)
{
	if (p->peer)
		stream_end(p->peer);
}

void tcp_pair_gone(struct tcp_pair *p, bool orderly)
{
	p->client = NULL;
	if (orderly) {
		stream_close(p->peer); /* on_close() drops it */
		report_gone(p);
	} else {
		report_gone(p);
		drop(p);
	}
}
