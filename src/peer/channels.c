#include <errno.h>

#include "base/err.h"
#include "peer/internal.h"

#define HALF (PEER_CHANNEL_QUEUE_MAX / 2)

struct channel_queue *peer_queue(const struct peer *p, int id)
{
	for (size_t i = 0; id >= 0 && i < DCEP_CHANNELS_MAX; i++)
		if (p->queues[i].id == id)
			return (struct channel_queue *)&p->queues[i];
	return NULL;
}

static struct channel_queue *add_queue(struct peer *p, int id)
{
	for (size_t i = 0; i < DCEP_CHANNELS_MAX; i++)
		if (p->queues[i].id < 0) {
			struct channel_queue *q = &p->queues[i];

			*q = (struct channel_queue){ .id = id, .messages = q->messages };
			return q;
		}
	return NULL;
}

static void drop_queue(struct channel_queue *q)
{
	pktq_finish(&q->messages);
	q->id = -1;
}

/* DTLS lets us speak: the association is set up, and what was asked for early goes along. */
int peer_start_channels(struct peer *p, usec_t now)
{
	struct assoc_config config = { .mtu = DTLS_LINK_MTU - DTLS_RECORD_OVERHEAD };
	int err;

	if (p->assoc)
		return 0;
	err = assoc_create(&config, now, &p->assoc);
	if (err == 0)
		err = assoc_connect(p->assoc, now);
	if (err < 0)
		return err;
	dcep_start(p->dcep);
	peer_flush_channels(p, now);
	return 0;
}

int peer_channel_open(struct peer *p, usec_t now, const char *label,
		      const struct fl_channel_options *options)
{
	struct dcep_params params = { .label = span_str(label) };
	int id;

	if (p->state == PEER_CLOSED || p->state == PEER_FAILED)
		return FL_ESTATE;
	if (options) {
		params.unordered = options->unordered;
		if (options->limited && options->max_lifetime_ms && !options->max_retransmits) {
			params.reliability = DCEP_LIFETIME;
			params.limit = options->max_lifetime_ms;
		} else if (options->limited) {
			params.reliability = DCEP_RETRANSMITS;
			params.limit = options->max_retransmits;
		}
	}
	id = dcep_open(p->dcep, &params);
	if (id >= 0 && !add_queue(p, id))
		return FL_EQUOTA;
	peer_flush_channels(p, now);
	return id;
}

/* 0, -EAGAIN when the association is full. What cannot be sent at all is dropped. */
static int send_now(struct peer *p, usec_t now, const struct dcep_channel *c, struct span data,
		    bool text)
{
	static const uint8_t nothing[1];
	struct assoc_message m = {
		.stream = c->stream,
		.ppid = text ? ASSOC_STRING : ASSOC_BINARY,
		.unordered = c->unordered && c->acked, /* RFC 8832 §6 */
		.limit = c->limit,
		.data = data,
	};
	int err;

	if (!data.len) {
		m.ppid = text ? ASSOC_STRING_EMPTY : ASSOC_BINARY_EMPTY;
		m.data = span_of(nothing, 1);
	}
	if (c->reliability == DCEP_RETRANSMITS)
		m.reliability = ASSOC_RETRANSMITS;
	else if (c->reliability == DCEP_LIFETIME)
		m.reliability = ASSOC_LIFETIME;
	err = assoc_send(p->assoc, now, &m);
	if (err == 0)
		bucket_hand(&p->bucket, m.data.len);
	return err;
}

static bool can_send(struct peer *p, usec_t now, const struct dcep_channel *c)
{
	if (!c || c->state != DCEP_OPENED || !p->assoc || p->assoc_full || p->control_len)
		return false;
	p->bucket_waits = !bucket_open(&p->bucket, now);
	return !p->bucket_waits;
}

int peer_channel_send(struct peer *p, usec_t now, int channel, struct span data, bool text)
{
	struct channel_queue *q = peer_queue(p, channel);
	const struct dcep_channel *c = dcep_by_id(p->dcep, channel);
	int err = -EAGAIN;

	if (data.len > FL_CHANNEL_MESSAGE_MAX)
		return -EMSGSIZE;
	if (!q || !c || q->closing || c->state == DCEP_CLOSING)
		return -ENOENT;
	if (pktq_empty(&q->messages) && can_send(p, now, c)) {
		err = send_now(p, now, c, data, text);
		if (err != -EAGAIN)
			return err;
		p->assoc_full = true;
	}
	if (pktq_bytes(&q->messages) + data.len > PEER_CHANNEL_QUEUE_MAX) {
		q->refused = true;
		return -EAGAIN;
	}
	return pktq_push(&q->messages, text, data);
}

size_t peer_channel_buffered(const struct peer *p, int channel)
{
	const struct channel_queue *q = peer_queue(p, channel);

	return q ? pktq_bytes(&q->messages) : 0;
}

void peer_channel_close(struct peer *p, usec_t now, int channel)
{
	struct channel_queue *q = peer_queue(p, channel);

	if (!q)
		return;
	q->closing = true; /* what is queued goes out first */
	peer_flush_channels(p, now);
}

/* DCEP's own messages come before everything else. False when the association is full. */
static bool flush_control(struct peer *p, usec_t now)
{
	struct assoc_message m = { .ppid = ASSOC_DCEP };
	struct span text;

	for (;;) {
		if (!p->control_len) {
			if (!dcep_next_output(p->dcep, &p->control_stream, &text))
				return true;
			p->control_len = FL_MIN(text.len, sizeof(p->control));
			memcpy(p->control, text.ptr, p->control_len);
		}
		m.stream = p->control_stream;
		m.data = span_of(p->control, p->control_len);
		if (assoc_send(p->assoc, now, &m) == -EAGAIN) {
			p->assoc_full = true;
			return false;
		}
		p->control_len = 0;
	}
}

/* One message of the queue. False when it is empty or may not be sent now. */
static bool flush_one(struct peer *p, usec_t now, struct channel_queue *q)
{
	const struct dcep_channel *c = dcep_by_id(p->dcep, q->id);
	struct span data;
	uint32_t text;

	if (!pktq_peek(&q->messages, &text, &data) || !can_send(p, now, c))
		return false;
	if (send_now(p, now, c, data, text) == -EAGAIN) {
		p->assoc_full = true;
		return false;
	}
	pktq_pop(&q->messages, &text, &data);
	if (q->refused && pktq_bytes(&q->messages) < HALF) {
		q->refused = false;
		peer_emit(p, (struct fl_event){ .type = FL_EVENT_WRITABLE, .channel = q->id },
			  NULL);
	}
	return true;
}

/* Channels take turns, message by message. */
void peer_flush_channels(struct peer *p, usec_t now)
{
	bool any = true;

	p->bucket_waits = false;
	if (p->assoc && !p->assoc_full && flush_control(p, now))
		while (any && !p->assoc_full) {
			any = false;
			for (size_t i = 0; i < DCEP_CHANNELS_MAX && !p->assoc_full; i++) {
				size_t at = (p->turn + i) % DCEP_CHANNELS_MAX;

				if (p->queues[at].id >= 0 && flush_one(p, now, &p->queues[at]))
					any = true;
			}
			p->turn = (p->turn + 1) % DCEP_CHANNELS_MAX;
		}
	for (size_t i = 0; i < DCEP_CHANNELS_MAX; i++)
		if (p->queues[i].id >= 0 && p->queues[i].closing &&
		    pktq_empty(&p->queues[i].messages))
			dcep_close(p->dcep, p->queues[i].id);
}

static bool announce(struct peer *p, struct channel_queue *q, struct fl_event *out)
{
	const struct dcep_channel *c = dcep_by_id(p->dcep, q->id);

	if (!c || q->announced)
		return false;
	q->announced = true;
	*out = (struct fl_event){ .type = FL_EVENT_CHANNEL_OPEN,
				  .channel = q->id,
				  .remote = c->remote,
				  .text = c->label };
	return true;
}

static enum peer_step on_dcep(struct peer *p, usec_t now, const struct dcep_event *ev,
			      struct fl_event *out)
{
	struct channel_queue *q = peer_queue(p, ev->id);

	switch (ev->type) {
	case DCEP_EVENT_OPENED:
		if (ev->remote)
			q = add_queue(p, ev->id);
		/* our own is open when the other side is there */
		return q && p->channels_up && announce(p, q, out) ? PEER_EVENT : PEER_PROGRESS;
	case DCEP_EVENT_CLOSED:
		if (!q)
			return PEER_PROGRESS;
		drop_queue(q);
		*out = (struct fl_event){ .type = FL_EVENT_CHANNEL_CLOSED,
					  .channel = ev->id,
					  .remote = ev->remote };
		return PEER_EVENT;
	case DCEP_EVENT_RESET:
		if (assoc_reset_stream(p->assoc, now, ev->stream) < 0)
			peer_fail(p, FL_EQUOTA, "SCTP: too many channels closed at once.");
		return PEER_PROGRESS;
	}
	return PEER_PROGRESS;
}

static enum peer_step on_message(struct peer *p, usec_t now, const struct assoc_message *m,
				 struct fl_event *out)
{
	const struct dcep_channel *c = dcep_by_stream(p->dcep, m->stream);
	bool empty = m->ppid == ASSOC_STRING_EMPTY || m->ppid == ASSOC_BINARY_EMPTY;

	if (m->ppid == ASSOC_DCEP) {
		dcep_input(p->dcep, m->stream, m->data);
		peer_flush_channels(p, now);
		return PEER_PROGRESS;
	}
	if (!c || c->state == DCEP_WAITING ||
	    (!empty && m->ppid != ASSOC_STRING && m->ppid != ASSOC_BINARY))
		return PEER_PROGRESS;
	*out = (struct fl_event){
		.type = FL_EVENT_CHANNEL_DATA,
		.channel = c->id,
		.remote = c->remote,
		.is_text = m->ppid == ASSOC_STRING || m->ppid == ASSOC_STRING_EMPTY,
		.data = m->data.ptr,
		.len = empty ? 0 : m->data.len,
	};
	return PEER_EVENT;
}

static enum peer_step on_assoc(struct peer *p, usec_t now, const struct assoc_event *ev,
			       struct fl_event *out)
{
	const struct dcep_channel *c;

	switch (ev->type) {
	case ASSOC_UP:
		p->channels_up = true;
		break;
	case ASSOC_MESSAGE:
		return on_message(p, now, &ev->message, out);
	case ASSOC_WRITABLE:
		p->assoc_full = false;
		peer_flush_channels(p, now);
		break;
	case ASSOC_RESET_IN:
		dcep_reset_in(p->dcep, ev->stream);
		break;
	case ASSOC_RESET_OUT:
		dcep_reset_out(p->dcep, ev->stream);
		break;
	case ASSOC_TOO_LONG: /* we announced the limit (RFC 8841 §6): the channel ends */
		c = dcep_by_stream(p->dcep, ev->stream);
		if (c)
			peer_channel_close(p, now, c->id);
		break;
	case ASSOC_LOST:
		if (p->channels_up)
			peer_closed(p);
		else
			peer_fail(p, -ECONNRESET, ev->reason);
		break;
	}
	return PEER_PROGRESS;
}

enum peer_step peer_channel_step(struct peer *p, usec_t now, struct fl_event *out)
{
	struct dcep_event de;
	struct assoc_event ae;

	for (size_t i = 0; p->channels_up && i < DCEP_CHANNELS_MAX; i++) {
		struct channel_queue *q = &p->queues[i];
		const struct dcep_channel *c = q->announced ? NULL : dcep_by_id(p->dcep, q->id);

		if (c && c->state == DCEP_OPENED && announce(p, q, out))
			return PEER_EVENT;
	}
	if (dcep_next_event(p->dcep, &de))
		return on_dcep(p, now, &de, out);
	if (p->assoc && assoc_next_event(p->assoc, now, &ae))
		return on_assoc(p, now, &ae, out);
	return PEER_NOTHING;
}
