#include "relay/stream_conn.h"

#include "base/err.h"
#include "base/wire.h"
#include "io/stream.h"

#define BATCH 32		/* messages in one call */
#define BATCH_BYTES (64 * 1024) /* so that a batch never goes beyond the queue's maximum */
#define DATA_INDICATION (TURN_DATA | 0x0010) /* as it stands on the wire (RFC 8489 §5) */

struct batch {
	struct span parts[4 * BATCH];
	uint8_t heads[BATCH][WS_HEAD_MAX];
	size_t n_parts, n, bytes;
};

/* User data may be lost, what signals may not. */
static bool is_user_data(const struct link_msg *m)
{
	struct reader r = reader_of(m->head.len ? m->head : m->data);
	uint16_t type = reader_u16(&r);

	return type == DATA_INDICATION || (type >= TURN_CHANNEL_MIN && type <= TURN_CHANNEL_MAX);
}

static void add_part(struct batch *b, struct span part)
{
	if (part.len)
		b->parts[b->n_parts++] = part;
	b->bytes += part.len;
}

/* False: the WebSocket is closing. */
static bool add_message(struct conn *c, struct batch *b, const struct link_msg *m)
{
	static const uint8_t padding[3];
	size_t len = m->head.len + m->data.len, pad = -len & 3; /* RFC 8656 §12.5 */

	if (c->ws) {
		size_t head = ws_binary_head(c->ws, len + pad, b->heads[b->n]);

		if (head == 0)
			return false;
		add_part(b, span_of(b->heads[b->n], head));
	}
	add_part(b, m->head);
	add_part(b, m->data);
	add_part(b, span_of(padding, pad));
	b->n++;
	return true;
}

size_t stream_send(const struct link *l, const struct link_msg *msgs, size_t n)
{
	struct conn *c = l->owner;
	size_t taken = 0, i = 0;

	while (i < n && !c->dead && !c->closing && c->stage == STREAM_TURN) {
		bool full = stream_queued(c->stream) >= STREAM_FRONT_DATA_QUEUE_MAX;
		struct batch b;

		b.n = b.n_parts = b.bytes = 0;
		for (; i < n && b.n < BATCH && b.bytes < BATCH_BYTES; i++)
			if (!(full && is_user_data(&msgs[i])) && !add_message(c, &b, &msgs[i]))
				return taken;
		if (b.n == 0)
			continue;
		if (stream_write_parts(c->stream, b.parts, b.n_parts) < 0) {
			stream_conn_close(c); /* not even answers are read */
			return taken;
		}
		taken += b.n;
	}
	return taken;
}

int stream_send_raw(struct conn *c, struct span data)
{
	struct span parts[2] = { { 0 }, data };
	uint8_t head[WS_HEAD_MAX];

	if (c->dead || c->closing)
		return FL_ECLOSED;
	if (!c->ws)
		return stream_write_parts(c->stream, &data, 1);
	parts[0] = span_of(head, ws_binary_head(c->ws, data.len, head));
	if (parts[0].len == 0)
		return FL_ECLOSED;
	return stream_write_parts(c->stream, parts, ARRAY_LEN(parts));
}
