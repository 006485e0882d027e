#include "relay/stream_conn.h"

#include <errno.h>
#include <unistd.h>

#include "base/err.h"
#include "base/wire.h"
#include "io/stream.h"

#define READ_MAX (256 * 1024)
#define MOVES_MAX 4 /* of one message: workers that disagree about it must not go on for ever */

/* ---- the end ---- */

static void free_conn(void *arg)
{
	struct conn *c = arg;

	buf_finish(&c->rest);
	http_server_destroy(c->http);
	ws_destroy(c->ws);
	free(c);
}

static void leave_pair(struct conn *c, bool orderly)
{
	struct tcp_pair *pair = FL_STEAL(c->pair);

	if (pair)
		tcp_pair_gone(pair, orderly);
}

void stream_conn_end(struct conn *c)
{
	if (c->dead)
		return;
	c->dead = true;
	list_remove(&c->later.node); /* a move that was about to begin */
	leave_pair(c, false);
	stream_front_leave(c->front, c);
	loop_watch_stop(&c->watch);
	fl_closep(&c->fd);
	stream_destroy(FL_STEAL(c->stream));
	if (c->last_message && c->stage != STREAM_JOINED)
		worker_link_gone(c->worker, &c->link);
	/* whoever called may stand in the middle of its buffers */
	loop_defer(c->worker->loop, &c->later, free_conn, c);
}

void stream_conn_close(struct conn *c)
{
	if (c->dead || c->closing)
		return;
	c->closing = true;
	leave_pair(c, true);
	if (!c->stream) {
		stream_conn_end(c);
		return;
	}
	if (c->ws)
		stream_wss_close(c);
	stream_close(c->stream);
}

bool stream_conn_stopped(const struct conn *c)
{
	return c->dead || c->closing || c->moving_to || c->paused;
}

bool stream_conn_idle(const struct conn *c, usec_t now)
{
	return usec_sub(now, c->last_message) >= STREAM_FRONT_IDLE_S * USEC_PER_SEC &&
	       !turn_server_find(c->worker->core, &c->link.flow);
}

/* ---- messages in ---- */

/* False: another worker is to have it. */
static bool pass_message(struct conn *c, struct span message)
{
	bool first = c->last_message == 0;

	c->last_message = loop_now(c->worker->loop);
	if (first)
		stream_front_watch(c);
	worker_message(c->worker, &c->link, message);
	if (c->moving_to)
		return false;
	c->moves = 0;
	if (c->counted && turn_server_find(c->worker->core, &c->link.flow))
		stream_front_proved(c);
	return true;
}

static int take_messages(struct conn *c, struct span bytes, size_t *used)
{
	struct reader r = reader_of(bytes);

	while (c->stage == STREAM_TURN && !stream_conn_stopped(c) && reader_left(&r) > 0) {
		struct reader ahead = r;
		struct span rest = reader_rest(&ahead), message;
		size_t n;
		int whole = turn_stream_next(rest, &message, &n);

		if (whole < 0)
			return whole;
		if (whole == 0)
			/* nobody may have us keep much for nothing */
			return c->counted && rest.len > STREAM_FRONT_UNPROVED_MESSAGE_MAX
				       ? FL_EMALFORMED
				       : 0;
		if (!pass_message(c, message))
			return 0;
		*used += n;
		reader_skip(&r, n);
	}
	return 0;
}

int stream_conn_take(struct conn *c, struct span bytes, size_t *used)
{
	struct reader r = reader_of(bytes);
	int err;

	*used = 0;
	err = take_messages(c, bytes, used);
	if (err < 0 || c->stage != STREAM_JOINED || stream_conn_stopped(c))
		return err;
	reader_skip(&r, *used);
	*used += tcp_pair_data(c->pair, reader_rest(&r));
	return 0;
}

static void on_read(void *arg, struct buf *in)
{
	struct conn *c = arg;
	size_t used = in->len;
	int err = 0;

	if (stream_conn_stopped(c))
		return;
	if (c->http || c->ws)
		stream_wss_read(c, buf_span(in));
	else
		err = stream_conn_take(c, buf_span(in), &used);
	buf_consume(in, used);
	if (err < 0) /* out of step: nothing that follows could be understood */
		stream_conn_close(c);
}

static void on_drain(void *arg)
{
	struct conn *c = arg;

	if (c->pair)
		tcp_pair_drained(c->pair);
}

static void on_eof(void *arg)
{
	struct conn *c = arg;

	if (c->pair && !c->ws)
		tcp_pair_eof(c->pair);
	else
		stream_conn_close(c);
}

static void on_close(void *arg, int err)
{
	struct conn *c = arg;

	if (err == FL_ETLS && !c->last_message)
		c->worker->count.handshakes_failed++;
	leave_pair(c, err == 0);
	stream_conn_end(c);
}

static const struct stream_handler handler = { NULL, on_read, on_drain, on_close, on_eof };

/* ---- the beginning ---- */

static void adopt(struct conn *c, int fd)
{
	struct stream_config config = {
		.read_max = READ_MAX,
		.write_max = STREAM_FRONT_QUEUE_MAX,
		.open_timeout_us = STREAM_FRONT_FIRST_MESSAGE_S * USEC_PER_SEC,
		.tls = stream_front_tls(c->front),
	};

	if (stream_adopt(c->worker->loop, fd, &config, &handler, c, &c->stream) < 0) {
		stream_conn_end(c);
		return;
	}
	if (c->link.flow.server.family == ADDR_NONE)
		(void)stream_local(c->stream, &c->link.flow.server);
	if (c->stage == STREAM_HTTP)
		stream_wss_start(c);
}

/* The header's addresses are those that count from here on. False: its source has enough. */
static bool take_header(struct conn *c, const struct proxy2 *header)
{
	if (header->source.family != ADDR_NONE) {
		c->link.flow.client = addr_unmap(&header->source);
		c->link.flow.server = addr_unmap(&header->destination);
	}
	c->stage = c->link.flow.transport == TURN_WSS ? STREAM_HTTP : STREAM_TURN;
	return stream_front_count_source(c);
}

/* Reads exactly the header: a TLS handshake may follow, which is not ours to read. */
static void on_header(void *arg, uint32_t events)
{
	struct conn *c = arg;
	struct proxy2 header;
	size_t need;
	int whole, fd;

	(void)events;
	while ((whole = proxy2_parse(buf_span(&c->rest), &header, &need)) == 0) {
		uint8_t *p = buf_reserve(&c->rest, need - c->rest.len);
		ssize_t n = p ? recv(c->fd, p, need - c->rest.len, 0) : 0;

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0) {
			stream_conn_end(c);
			return;
		}
		buf_commit(&c->rest, (size_t)n);
	}
	if (whole < 0)
		c->worker->count.handshakes_failed++;
	if (whole < 0 || !take_header(c, &header)) {
		stream_conn_end(c);
		return;
	}
	loop_watch_stop(&c->watch);
	buf_finish(&c->rest);
	fd = c->fd;
	c->fd = -1;
	adopt(c, fd);
}

void stream_conn_start(struct conn *c, int fd)
{
	if (c->stage != STREAM_PROXY) {
		adopt(c, fd);
		return;
	}
	c->fd = fd;
	if (loop_watch_start(c->worker->loop, &c->watch, fd, EPOLLIN, on_header, c) < 0)
		stream_conn_end(c);
}

/* ---- to another worker ---- */

/* Between two workers, or in one that cannot take it. */
static void discard(struct conn *c)
{
	stream_destroy(c->stream);
	free_conn(c);
}

static struct stream_front *front_like(struct worker *w, enum turn_transport transport)
{
	struct stream_front *f, *next;

	if (w->streams)
		list_for_each (f, next, &w->streams->fronts, node)
			if (f->at.transport == transport)
				return f;
	return NULL;
}

static void arrive(void *arg)
{
	struct conn *c = arg;
	struct worker *w = FL_STEAL(c->moving_to);
	struct stream_front *f = front_like(w, c->link.flow.transport);

	if (!f || stream_resume(c->stream, w->loop, &handler, c) < 0) {
		discard(c);
		return;
	}
	stream_front_join(f, c);
	if (c->recount && !stream_front_count_source(c))
		stream_conn_end(c);
	else if (c->ws)
		stream_wss_resume(c);
}

static void move(void *arg)
{
	struct conn *c = arg;

	/* what it had here would keep a way to nowhere */
	worker_link_gone(c->worker, &c->link);
	c->recount = c->counted; /* moving proves nothing */
	stream_front_leave(c->front, c);
	stream_park(c->stream);
	c->worker = NULL;
	c->front = NULL;
	if (worker_post(c->moving_to, arrive, c) < 0)
		discard(c);
}

static void hand_over(const struct link *l, struct worker *to)
{
	struct conn *c = l->owner;

	if (c->dead || c->closing || c->moving_to)
		return;
	if (to == c->worker || c->stage != STREAM_TURN || ++c->moves > MOVES_MAX) {
		stream_conn_close(c);
		return;
	}
	c->moving_to = to;
	stream_pause_read(c->stream, true);
	loop_defer(c->worker->loop, &c->later, move, c);
}

/* ---- joined to a peer's connection ---- */

static int pair_write(void *client, struct span data)
{
	return stream_send_raw(client, data);
}

static void pair_pause(void *client, bool pause)
{
	struct conn *c = client;

	if (c->dead || c->paused == pause)
		return;
	c->paused = pause;
	stream_pause_read(c->stream, pause);
	if (!pause && c->ws)
		stream_wss_resume(c);
}

static void pair_end(void *client)
{
	struct conn *c = client;

	if (c->ws) /* WebSocket has no half that could stay open */
		stream_conn_close(c);
	else
		stream_end(c->stream);
}

static void pair_close(void *client, bool orderly)
{
	struct conn *c = client;

	c->pair = NULL;
	if (orderly)
		stream_conn_close(c);
	else
		stream_conn_end(c);
}

static const struct tcp_client_ops pair_ops = { pair_write, pair_pause, pair_end, pair_close };

static void join(const struct link *l, struct turn_alloc *alloc, uint32_t connection)
{
	struct relayed *r = turn_alloc_data(alloc);
	struct conn *c = l->owner;

	if (c->dead || c->closing || c->stage != STREAM_TURN)
		return;
	/* an allocation's own connection stays with it (RFC 6062 §4.3) */
	if (turn_server_find(c->worker->core, &c->link.flow))
		r = NULL;
	c->pair = r && r->tcp ? tcp_relay_join(r->tcp, connection, &pair_ops, c) : NULL;
	if (!c->pair) {
		stream_conn_close(c);
		return;
	}
	c->stage = STREAM_JOINED;
	stream_front_proved(c);
	list_remove(&c->node);
	list_push_back(&c->worker->streams->joined, &c->node);
}

static void close_link(const struct link *l)
{
	stream_conn_close(l->owner);
}

const struct link_ops stream_link_ops = { stream_send, close_link, hand_over, join };
