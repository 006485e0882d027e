#include "hub/http/turn_pass.h"

#include <errno.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/log.h"
#include "proto/proxy2/proxy2.h"
#include "proto/ws/ws.h"

#define PIECE (16 * 1024)
#define QUEUE_MAX (64 * 1024)
#define MESSAGE_MAX (66 * 1024) /* a TURN message at its longest fits */
#define PENDING_MAX (256 * 1024)

struct turn_pass {
	struct hub *hub;
	struct list node;
	struct stream *client, *relay;
	struct ws *ws; /* NULL: bytes right after TLS */
	struct addr from;
	struct buf pending; /* payload of frames that the relay has not taken */
	bool over;	    /* on_end was called */
	bool dead;
	void (*on_end)(void *arg);
	void *arg;
	struct loop_deferred release;
};

static void end(struct turn_pass *p)
{
	if (p->over)
		return;
	p->over = true;
	p->on_end(p->arg);
}

/* Pieces of in to a stream, while it takes them. 0, or negative: it is broken. */
static int move(struct buf *in, struct stream *to)
{
	int err = 0;

	while (err == 0 && in->len > 0) {
		size_t n = FL_MIN(in->len, (size_t)PIECE);

		err = stream_write(to, span_of(buf_span(in).ptr, n));
		if (err == 0)
			buf_consume(in, n);
	}
	return err == FL_EQUOTA ? 0 : err;
}

/* ---- client to relay ---- */

static void flush_ws(struct turn_pass *p)
{
	struct span out = ws_output(p->ws);

	/* answers to pings, and the close; the frames of the relay's bytes go by themselves */
	if (out.len && stream_write(p->client, out) < 0)
		end(p);
	else
		ws_sent(p->ws, out.len);
}

static void run_frames(struct turn_pass *p)
{
	struct ws_event e;

	while (!p->over && p->pending.len == 0 && ws_next_event(p->ws, &e)) {
		int err = 0;

		if (e.type == WS_EVENT_BINARY)
			err = buf_append_span(&p->pending, e.data);
		else if (e.type == WS_EVENT_TEXT)
			ws_close(p->ws, loop_now(p->hub->loop), WS_CODE_UNSUPPORTED, "binary only");
		if (err == 0)
			err = move(&p->pending, p->relay);
		if (err < 0 || e.type == WS_EVENT_CLOSED) {
			flush_ws(p);
			end(p);
		}
	}
	if (!p->over)
		flush_ws(p);
}

static void read_frames(struct turn_pass *p, struct buf *in)
{
	while (!p->over && in->len > 0 && p->pending.len == 0) {
		size_t n = FL_MIN(in->len, (size_t)PIECE);

		if (ws_input(p->ws, loop_now(p->hub->loop), span_of(buf_span(in).ptr, n)) < 0) {
			end(p);
			return;
		}
		buf_consume(in, n);
		run_frames(p);
	}
}

void turn_pass_first(struct turn_pass *p, struct span bytes)
{
	if (bytes.len == 0)
		return;
	if (ws_input(p->ws, loop_now(p->hub->loop), bytes) < 0)
		end(p);
	else
		run_frames(p);
}

void turn_pass_read(struct turn_pass *p, struct buf *in)
{
	if (p->ws)
		read_frames(p, in);
	else if (move(in, p->relay) < 0)
		end(p);
	if (!p->over)
		stream_pause_read(p->client, in->len > 0 || p->pending.len > 0);
}

/* ---- relay to client ---- */

/* One piece is one frame: TURN's own lengths say where messages end. */
static int move_frames(struct turn_pass *p, struct buf *in)
{
	int err = 0;

	while (err == 0 && in->len > 0) {
		size_t n = FL_MIN(in->len, (size_t)PIECE);
		uint8_t frame[WS_HEAD_MAX + PIECE];
		size_t head;

		head = ws_binary_head(p->ws, n, frame);
		if (head == 0)
			return -EPIPE;
		memcpy(frame + head, buf_span(in).ptr, n);
		err = stream_write(p->client, span_of(frame, head + n));
		if (err == 0)
			buf_consume(in, n);
	}
	return err == FL_EQUOTA ? 0 : err;
}

static void on_relay_open(void *arg)
{
}

static void on_relay_read(void *arg, struct buf *in)
{
	struct turn_pass *p = arg;

	if ((p->ws ? move_frames(p, in) : move(in, p->client)) < 0)
		end(p);
	else
		stream_pause_read(p->relay, in->len > 0);
}

void turn_pass_drain(struct turn_pass *p)
{
	stream_pause_read(p->relay, false);
}

static void on_relay_drain(void *arg)
{
	struct turn_pass *p = arg;

	if (p->ws) {
		if (move(&p->pending, p->relay) < 0) {
			end(p);
			return;
		}
		run_frames(p);
	}
	if (!p->over && p->pending.len == 0)
		stream_pause_read(p->client, false);
}

static void on_relay_close(void *arg, int err)
{
	struct turn_pass *p = arg;
	char from[ADDR_TEXT_MAX];

	if (err < 0)
		log_debug("turn-pass-end", "from=%s error=%s", addr_format(&p->from, from),
			  err_name(err));
	if (p->ws && !p->over) {
		ws_close(p->ws, loop_now(p->hub->loop), WS_CODE_NORMAL, NULL);
		flush_ws(p);
	}
	end(p);
}

static const struct stream_handler relay_handler = {
	.on_open = on_relay_open,
	.on_read = on_relay_read,
	.on_drain = on_relay_drain,
	.on_close = on_relay_close,
};

/* ---- life ---- */

static bool too_many(const struct hub *h, const struct addr *from)
{
	size_t all = 0, same = 0;

	for (const struct list *n = h->turn_passes.next; n != &h->turn_passes; n = n->next) {
		all++;
		same += addr_ip_equal(&CONTAINER_OF(n, struct turn_pass, node)->from, from);
	}
	return all >= TURN_PASS_MAX || same >= TURN_PASS_ADDRESS_MAX;
}

static int connect_relay(struct turn_pass *p)
{
	const struct stream_config config = { .read_max = QUEUE_MAX, .write_max = QUEUE_MAX };
	uint8_t header[PROXY2_HEADER_MAX];
	struct addr to = { 0 };
	size_t n;
	int err;

	if (stream_local(p->client, &to))
		to = addr_unmap(&to);
	err = stream_connect(p->hub->loop, &p->hub->config->relay_addr, &config, &relay_handler, p,
			     &p->relay);
	if (err < 0)
		return err;
	n = proxy2_write(&p->from, &to, header);
	return stream_write(p->relay, span_of(header, n));
}

struct turn_pass *turn_pass_create(struct hub *h, struct stream *client, const struct addr *from,
				   bool websocket, void (*on_end)(void *arg), void *arg)
{
	const struct ws_config config = { .role = WS_SERVER,
					  .message_max = MESSAGE_MAX,
					  .out_max = MESSAGE_MAX };
	struct turn_pass *p = too_many(h, from) ? NULL : calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->hub = h;
	p->client = client;
	p->from = *from;
	p->on_end = on_end;
	p->arg = arg;
	p->pending = BUF_INIT(PENDING_MAX);
	p->ws = websocket ? ws_create(&config, NULL) : NULL;
	list_push_back(&h->turn_passes, &p->node);
	if ((websocket && !p->ws) || connect_relay(p) < 0) {
		turn_pass_destroy(p);
		return NULL;
	}
	return p;
}

static void release(void *arg)
{
	struct turn_pass *p = arg;

	ws_destroy(p->ws);
	buf_finish(&p->pending);
	free(p);
}

void turn_pass_destroy(struct turn_pass *p)
{
	if (!p || p->dead)
		return;
	p->dead = p->over = true;
	list_remove(&p->node);
	stream_destroy(p->relay);
	loop_defer(p->hub->loop, &p->release, release, p);
}
