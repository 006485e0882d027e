#include "proto/dcep/dcep.h"

#include <errno.h>

#include "base/err.h"
#include "base/pktq.h"
#include "base/text.h"
#include "base/wire.h"

#define QUEUE_MAX 65536 /* bytes of messages, and of events, waiting to be fetched */
#define STREAM_END 1024 /* what both ends of ours grant; others grant more */
#define ID_END 65535

struct dcep {
	struct dcep_channel channels[DCEP_CHANNELS_MAX];
	bool used[DCEP_CHANNELS_MAX];
	bool role_known, active, started;
	int next_id;
	struct pktq out;    /* tag: stream */
	struct pktq events; /* tag: stream; data: type, remote, id */
	struct dcep_stats stats;
};

#define TYPE_UNORDERED 0x80
#define TYPE_RETRANSMITS 0x01
#define TYPE_LIFETIME 0x02

int dcep_parse(struct span text, struct dcep_message *out)
{
	struct reader r = reader_of(text);
	struct dcep_message m = { .type = (enum dcep_type)reader_u8(&r) };
	uint16_t label_len, protocol_len;
	uint8_t type;

	if (m.type == DCEP_ACK && reader_done(&r)) {
		*out = m;
		return 0;
	}
	if (m.type != DCEP_OPEN)
		return reader_failed(&r) || m.type == DCEP_ACK ? FL_EMALFORMED : FL_EUNSUPPORTED;
	type = reader_u8(&r);
	m.params.priority = reader_u16(&r);
	m.params.limit = reader_u32(&r);
	label_len = reader_u16(&r);
	protocol_len = reader_u16(&r);
	m.params.label = reader_bytes(&r, label_len);
	m.params.protocol = reader_bytes(&r, protocol_len);
	if (!reader_done(&r))
		return FL_EMALFORMED;
	m.params.unordered = type & TYPE_UNORDERED;
	switch (type & ~TYPE_UNORDERED) {
	case 0:
		m.params.reliability = DCEP_RELIABLE;
		m.params.limit = 0; /* RFC 8832 §5.1: to be ignored */
		break;
	case TYPE_RETRANSMITS:
		m.params.reliability = DCEP_RETRANSMITS;
		break;
	case TYPE_LIFETIME:
		m.params.reliability = DCEP_LIFETIME;
		break;
	default:
		return FL_EUNSUPPORTED;
	}
	*out = m;
	return 0;
}

int dcep_write_open(const struct dcep_params *p, uint8_t *dst, size_t cap)
{
	struct writer w = writer_of(dst, cap);
	uint8_t type = p->unordered ? TYPE_UNORDERED : 0;

	if (p->reliability == DCEP_RETRANSMITS)
		type |= TYPE_RETRANSMITS;
	else if (p->reliability == DCEP_LIFETIME)
		type |= TYPE_LIFETIME;
	writer_u8(&w, DCEP_OPEN);
	writer_u8(&w, type);
	writer_u16(&w, p->priority);
	writer_u32(&w, p->reliability == DCEP_RELIABLE ? 0 : p->limit);
	writer_u16(&w, (uint16_t)p->label.len);
	writer_u16(&w, (uint16_t)p->protocol.len);
	writer_span_put(&w, p->label);
	writer_span_put(&w, p->protocol);
	return writer_failed(&w) || p->label.len > UINT16_MAX || p->protocol.len > UINT16_MAX
		       ? FL_EQUOTA
		       : (int)writer_len(&w);
}

struct dcep *dcep_create(void)
{
	struct dcep *d = calloc(1, sizeof(*d));

	if (d) {
		d->out = PKTQ_INIT(QUEUE_MAX);
		d->events = PKTQ_INIT(QUEUE_MAX);
	}
	return d;
}

void dcep_destroy(struct dcep *d)
{
	if (!d)
		return;
	pktq_finish(&d->out);
	pktq_finish(&d->events);
	free(d);
}

static struct dcep_channel *by_id(const struct dcep *d, int id)
{
	for (size_t i = 0; i < DCEP_CHANNELS_MAX; i++)
		if (d->used[i] && d->channels[i].id == id)
			return (struct dcep_channel *)&d->channels[i];
	return NULL;
}

static struct dcep_channel *by_stream(const struct dcep *d, uint16_t stream)
{
	for (size_t i = 0; i < DCEP_CHANNELS_MAX; i++)
		if (d->used[i] && d->channels[i].has_stream && d->channels[i].stream == stream)
			return (struct dcep_channel *)&d->channels[i];
	return NULL;
}

const struct dcep_channel *dcep_by_id(const struct dcep *d, int id)
{
	return by_id(d, id);
}

const struct dcep_channel *dcep_by_stream(const struct dcep *d, uint16_t stream)
{
	return by_stream(d, stream);
}

/* A channel has few events, and there are few channels: the queue is never full. */
static void queue_event(struct dcep *d, enum dcep_event_type type, const struct dcep_channel *c)
{
	uint8_t bytes[4];
	struct writer w = writer_of(bytes, sizeof(bytes));

	writer_u8(&w, (uint8_t)type);
	writer_u8(&w, c->remote);
	writer_u16(&w, (uint16_t)c->id);
	if (pktq_push(&d->events, c->stream, writer_span(&w)) < 0)
		d->stats.refused++;
}

static void ask_reset(struct dcep *d, uint16_t stream)
{
	struct dcep_channel none = { .stream = stream };

	queue_event(d, DCEP_EVENT_RESET, &none);
}

static void drop(struct dcep *d, struct dcep_channel *c)
{
	queue_event(d, DCEP_EVENT_CLOSED, c);
	d->used[c - d->channels] = false;
}

/* A free slot with everything but the stream filled in; NULL when there is none. */
static struct dcep_channel *add(struct dcep *d, const struct dcep_params *p)
{
	size_t i = 0;
	struct dcep_channel *c;

	while (i < DCEP_CHANNELS_MAX && d->used[i])
		i++;
	if (i == DCEP_CHANNELS_MAX || p->label.len > DCEP_LABEL_MAX ||
	    p->protocol.len > DCEP_PROTOCOL_MAX)
		return NULL;
	while (by_id(d, d->next_id))
		d->next_id = (d->next_id + 1) % ID_END;
	c = &d->channels[i];
	*c = (struct dcep_channel){ .id = d->next_id,
				    .unordered = p->unordered,
				    .reliability = p->reliability,
				    .limit = p->limit };
	d->next_id = (d->next_id + 1) % ID_END;
	text_copy_span(c->label, sizeof(c->label), p->label);
	text_copy_span(c->protocol, sizeof(c->protocol), p->protocol);
	d->used[i] = true;
	return c;
}

static bool assign_stream(struct dcep *d, struct dcep_channel *c)
{
	for (uint16_t s = d->active ? 0 : 1; s < STREAM_END; s += 2)
		if (!by_stream(d, s)) {
			c->stream = s;
			c->has_stream = true;
			return true;
		}
	return false;
}

/* Sends OPEN for a waiting channel, when everything it needs is there. */
static void try_open(struct dcep *d, struct dcep_channel *c)
{
	struct dcep_params p = { .label = span_str(c->label),
				 .protocol = span_str(c->protocol),
				 .unordered = c->unordered,
				 .reliability = c->reliability,
				 .limit = c->limit,
				 .priority = 256 };
	uint8_t message[DCEP_MESSAGE_MAX];
	int n;

	if (!d->role_known || c->state != DCEP_WAITING || (!c->has_stream && !assign_stream(d, c)))
		return;
	if (!d->started)
		return;
	n = dcep_write_open(&p, message, sizeof(message));
	if (n < 0 || pktq_push(&d->out, c->stream, span_of(message, (size_t)n)) < 0) {
		drop(d, c);
		return;
	}
	c->state = DCEP_OPENED;
	queue_event(d, DCEP_EVENT_OPENED, c);
}

static void try_all(struct dcep *d)
{
	for (size_t i = 0; i < DCEP_CHANNELS_MAX; i++)
		if (d->used[i])
			try_open(d, &d->channels[i]);
}

int dcep_open(struct dcep *d, const struct dcep_params *params)
{
	struct dcep_channel *c = add(d, params);
	int id;

	if (!c)
		return FL_EQUOTA;
	id = c->id;
	try_open(d, c);
	return id;
}

void dcep_set_role(struct dcep *d, bool active)
{
	d->active = active;
	d->role_known = true;
	try_all(d);
}

void dcep_start(struct dcep *d)
{
	d->started = true;
	try_all(d);
}

void dcep_close(struct dcep *d, int id)
{
	struct dcep_channel *c = by_id(d, id);

	if (!c || c->state == DCEP_CLOSING)
		return;
	if (c->state == DCEP_WAITING) {
		drop(d, c); /* the other side never heard of it */
		return;
	}
	c->state = DCEP_CLOSING;
	ask_reset(d, c->stream);
}

static void on_open(struct dcep *d, uint16_t stream, const struct dcep_params *params)
{
	static const uint8_t ack[] = { DCEP_ACK };
	struct dcep_channel *c = NULL;

	/* the active side opens even streams: another one is not theirs to open */
	if (!by_stream(d, stream) && d->role_known && (stream % 2 == 0) != d->active)
		c = add(d, params);
	if (!c) {
		d->stats.refused++;
		if (!by_stream(d, stream))
			ask_reset(d, stream);
		return;
	}
	c->stream = stream;
	c->has_stream = c->remote = c->acked = true;
	c->state = DCEP_OPENED;
	if (pktq_push(&d->out, stream, span_of(ack, 1)) < 0)
		d->stats.refused++;
	queue_event(d, DCEP_EVENT_OPENED, c);
}

void dcep_input(struct dcep *d, uint16_t stream, struct span message)
{
	struct dcep_channel *c = by_stream(d, stream);
	struct dcep_message m;

	if (dcep_parse(message, &m) < 0) {
		d->stats.malformed++;
		return;
	}
	if (m.type == DCEP_OPEN)
		on_open(d, stream, &m.params);
	else if (c && !c->remote)
		c->acked = true;
	else
		d->stats.malformed++;
}

void dcep_reset_in(struct dcep *d, uint16_t stream)
{
	struct dcep_channel *c = by_stream(d, stream);

	if (!c || c->state == DCEP_WAITING)
		return;
	c->in_reset = true;
	if (c->state == DCEP_OPENED) {
		c->state = DCEP_CLOSING;
		ask_reset(d, stream);
	}
	if (c->out_reset)
		drop(d, c);
}

void dcep_reset_out(struct dcep *d, uint16_t stream)
{
	struct dcep_channel *c = by_stream(d, stream);

	if (!c || c->state != DCEP_CLOSING)
		return;
	c->out_reset = true;
	if (c->in_reset)
		drop(d, c);
}

bool dcep_next_output(struct dcep *d, uint16_t *stream, struct span *message)
{
	uint32_t tag;

	if (!pktq_pop(&d->out, &tag, message))
		return false;
	*stream = (uint16_t)tag;
	return true;
}

bool dcep_next_event(struct dcep *d, struct dcep_event *event)
{
	struct span bytes;
	struct reader r;
	uint32_t tag;

	if (!pktq_pop(&d->events, &tag, &bytes))
		return false;
	r = reader_of(bytes);
	event->type = (enum dcep_event_type)reader_u8(&r);
	event->remote = reader_u8(&r);
	event->id = reader_u16(&r);
	event->stream = (uint16_t)tag;
	return true;
}

const struct dcep_stats *dcep_stats(const struct dcep *d)
{
	return &d->stats;
}
