#include "modules/wire.h"

#include "base/wire.h"

/* What the protocol allows for each type. */
struct rule {
	uint8_t type;
	bool from_client, from_module;
	uint8_t flags;	 /* the bits that may be set */
	bool channel;	 /* whether the channel field means something; else it must be 0 */
	size_t min, max; /* payload */
};

#define JSON_MAX 65536

static const struct rule rules[] = {
	{ MODULE_HELLO, true, false, 0, false, 2, JSON_MAX },
	{ MODULE_OPEN, true, false, 0, true, 0, 0 },
	{ MODULE_DATA, true, true, MODULE_FLAG_TEXT, true, 0, MODULE_DATA_MAX },
	{ MODULE_CLOSE, true, true, 0, true, 0, 0 },
	{ MODULE_PAUSE, true, false, 0, true, 0, 0 },
	{ MODULE_RESUME, true, false, 0, true, 0, 0 },
	{ MODULE_VIDEO_START, true, false, 0, false, 2, JSON_MAX },
	{ MODULE_VIDEO_STOP, true, false, 0, false, 0, 0 },
	{ MODULE_KEYFRAME, true, false, 0, false, 0, 0 },
	{ MODULE_RATE, true, false, 0, false, 4, 4 },
	{ MODULE_READY, false, true, 0, false, 2, JSON_MAX },
	{ MODULE_VIDEO_READY, false, true, 0, false, 2, JSON_MAX },
	{ MODULE_FRAME, false, true, MODULE_FLAG_KEY, false, 9, MODULE_MESSAGE_MAX - 4 },
};

static const struct rule *rule_of(uint8_t type, enum module_side from)
{
	for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
		const struct rule *rule = &rules[i];
		bool allowed = from == MODULE_FROM_CLIENT ? rule->from_client : rule->from_module;
		if (rule->type == type)
			return allowed ? rule : NULL;
	}
	return NULL;
}

static bool rule_holds(const struct rule *rule, uint8_t flags, uint16_t channel, size_t payload)
{
	return (flags & ~rule->flags) == 0 && (rule->channel || channel == 0) &&
	       payload >= rule->min && payload <= rule->max;
}

int module_wire_get(struct span in, enum module_side from, struct module_message *out, size_t *used)
{
	struct reader r = reader_of(in);

	if (in.len < MODULE_HEADER_LEN)
		return 0;
	size_t len = reader_u32(&r);
	struct module_message m = { .type = reader_u8(&r) };
	m.flags = reader_u8(&r);
	m.channel = reader_u16(&r);
	/* Refused by the header alone: a wrong length must not make anybody wait for 4 GiB. */
	if (len < 4 || len > MODULE_MESSAGE_MAX)
		return FL_EMALFORMED;
	const struct rule *rule = rule_of(m.type, from);
	if (!rule || !rule_holds(rule, m.flags, m.channel, len - 4))
		return FL_EMALFORMED;
	if (reader_left(&r) < len - 4)
		return 0;
	m.payload = reader_bytes(&r, len - 4);

	struct reader p = reader_of(m.payload);
	if (m.type == MODULE_FRAME)
		m.capture_us = reader_u64(&p);
	else if (m.type == MODULE_RATE)
		m.rate_bps = reader_u32(&p);
	m.payload = reader_rest(&p);
	*out = m;
	*used = 4 + len;
	return 1;
}

int module_wire_head(const struct module_message *m, uint8_t head[MODULE_HEAD_MAX])
{
	struct writer w = writer_of(head, MODULE_HEAD_MAX);
	size_t number = m->type == MODULE_FRAME ? 8 : m->type == MODULE_RATE ? 4 : 0;

	if (m->payload.len > MODULE_MESSAGE_MAX - 4 - number)
		return FL_EQUOTA;
	writer_u32(&w, (uint32_t)(4 + number + m->payload.len));
	writer_u8(&w, m->type);
	writer_u8(&w, m->flags);
	writer_u16(&w, m->channel);
	if (m->type == MODULE_FRAME)
		writer_u64(&w, m->capture_us);
	else if (m->type == MODULE_RATE)
		writer_u32(&w, m->rate_bps);
	return (int)writer_len(&w);
}

int module_wire_put(struct buf *out, const struct module_message *m)
{
	uint8_t head[MODULE_HEAD_MAX];
	int n = module_wire_head(m, head);

	if (n < 0)
		return n;
	/* reserved as one, so that a full buffer never holds half a message */
	uint8_t *room = buf_reserve(out, (size_t)n + m->payload.len);
	if (!room)
		return FL_EQUOTA;
	struct writer w = writer_of(room, (size_t)n + m->payload.len);
	writer_bytes(&w, head, (size_t)n);
	writer_span_put(&w, m->payload);
	buf_commit(out, writer_len(&w));
	return 0;
}
