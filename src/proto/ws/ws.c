#include "proto/ws/ws.h"

#include <assert.h>
#include <errno.h>

#include "base/err.h"
#include "base/text.h"
#include "base/wire.h"

#define HEAD_MAX 14		 /* two bytes, eight of length, four of mask */
#define INPUT_ROOM (512 * 1024)	 /* what may arrive behind a message before it is parsed */
#define PONG_BACKLOG (64 * 1024) /* above it pings stay unanswered: they are not read anyway */
#define IDLE_CAP 512		 /* an idle connection keeps no larger input buffer */
#define REASON_MAX (WS_CONTROL_MAX - 2)

enum opcode {
	OP_CONTINUATION = 0,
	OP_TEXT = 1,
	OP_BINARY = 2,
	OP_CLOSE = 8,
	OP_PING = 9,
	OP_PONG = 10,
};

enum state {
	STATE_OPEN,
	STATE_CLOSING, /* our close frame is out, the other side's is not here yet */
	STATE_TELL,    /* WS_EVENT_CLOSED is yet to be told */
	STATE_DONE,
};

struct frame {
	bool known; /* the head was parsed */
	bool fin;
	uint8_t opcode;
	bool masked;
	uint8_t mask[4];
	size_t head_len, len, done; /* done: payload bytes unmasked and checked */
};

struct ws {
	struct ws_config config;
	struct rng *rng;
	enum state state;
	usec_t deadline;
	struct buf in, message, out;
	struct frame frame;
	uint8_t opcode;	   /* of the fragmented message in the making, or 0 */
	uint32_t utf8;	   /* state of its validation */
	size_t borrowed;   /* bytes at the front of in that an event points at */
	bool message_lent; /* an event points at message */
	unsigned code;
	bool by_peer;
	char reason[WS_CONTROL_MAX];
	size_t reason_len;
	struct ws_counters counters;
};

struct ws *ws_create(const struct ws_config *config, struct rng *rng)
{
	struct ws *ws = calloc(1, sizeof(*ws));
	struct ws_config *c;

	if (!ws)
		return NULL;
	ws->config = *config;
	ws->rng = rng;
	c = &ws->config;
	c->message_max = c->message_max ? c->message_max : WS_MESSAGE_MAX;
	c->out_max = c->out_max ? c->out_max : WS_OUT_MAX;
	c->close_timeout_us = c->close_timeout_us ? c->close_timeout_us : 2 * USEC_PER_SEC;
	ws_set_message_max(ws, c->message_max);
	ws->out = BUF_INIT(c->out_max);
	ws->deadline = USEC_NEVER;
	return ws;
}

void ws_set_message_max(struct ws *ws, size_t message_max)
{
	ws->config.message_max = message_max;
	ws->in.max = HEAD_MAX + message_max + INPUT_ROOM;
	ws->message.max = message_max;
}

void ws_destroy(struct ws *ws)
{
	if (!ws)
		return;
	buf_finish(&ws->in);
	buf_finish(&ws->message);
	buf_finish(&ws->out);
	free(ws);
}

/* ---- out ---- */

/* RFC 6455 §5.3, eight bytes at a time. offset: of p in the payload. */
static void apply_mask(uint8_t *p, size_t len, const uint8_t mask[4], size_t offset)
{
	uint8_t turned[8];
	uint64_t word, key;
	size_t i;

	for (i = 0; i < sizeof(turned); i++)
		turned[i] = mask[(offset + i) & 3];
	memcpy(&key, turned, sizeof(key));
	for (i = 0; i + sizeof(word) <= len; i += sizeof(word)) {
		memcpy(&word, p + i, sizeof(word));
		word ^= key;
		memcpy(p + i, &word, sizeof(word));
	}
	for (; i < len; i++)
		p[i] ^= turned[i & 7];
}

/* RFC 6455 §5.2: of one whole frame, up to the mask. */
static void put_head(struct writer *w, enum opcode opcode, uint8_t flag, size_t len)
{
	writer_u8(w, (uint8_t)(0x80 | opcode));
	if (len <= 125) {
		writer_u8(w, (uint8_t)(flag | len));
	} else if (len <= 0xffff) {
		writer_u8(w, flag | 126);
		writer_u16(w, (uint16_t)len);
	} else {
		writer_u8(w, flag | 127);
		writer_u64(w, len);
	}
}

static int put_frame(struct ws *ws, enum opcode opcode, struct span payload)
{
	bool masked = ws->config.role == WS_CLIENT;
	uint8_t flag = masked ? 0x80 : 0, mask[4] = { 0 }, *at;
	struct writer w;

	if (ws->out.len + HEAD_MAX + payload.len > ws->out.max)
		return FL_EQUOTA;
	at = buf_reserve(&ws->out, HEAD_MAX + payload.len);
	if (!at)
		return -ENOMEM;
	w = writer_of(at, HEAD_MAX + payload.len);
	put_head(&w, opcode, flag, payload.len);
	if (masked) {
		rng_bytes(ws->rng, mask, sizeof(mask));
		writer_bytes(&w, mask, sizeof(mask));
	}
	if (payload.len) {
		uint8_t *body = writer_claim(&w, payload.len);

		memcpy(body, payload.ptr, payload.len);
		if (masked)
			apply_mask(body, payload.len, mask, 0);
	}
	buf_commit(&ws->out, writer_len(&w));
	ws->counters.bytes_out += writer_len(&w);
	return 0;
}

/* A reason cut between characters (RFC 6455 §5.5.1: it must be UTF-8). */
static size_t reason_len(const char *reason)
{
	size_t n = strlen(reason);

	if (n <= REASON_MAX)
		return n;
	n = REASON_MAX;
	while (n > 0 && ((uint8_t)reason[n] & 0xc0) == 0x80)
		n--;
	return n;
}

/* Without room or memory for it the other side learns of the end from the stream. */
static void put_close(struct ws *ws, unsigned code, const char *reason, size_t len)
{
	uint8_t payload[WS_CONTROL_MAX];
	struct writer w = writer_of(payload, sizeof(payload));

	if (code != WS_CODE_NONE) {
		writer_u16(&w, (uint16_t)code);
		writer_bytes(&w, reason, len);
	}
	(void)!put_frame(ws, OP_CLOSE, writer_span(&w));
}

static int send_message(struct ws *ws, enum opcode opcode, struct span data)
{
	int r;

	if (ws->state != STATE_OPEN)
		return FL_ESTATE;
	r = put_frame(ws, opcode, data);
	if (r == 0)
		ws->counters.messages_out++;
	return r;
}

int ws_send_text(struct ws *ws, struct span text)
{
	return send_message(ws, OP_TEXT, text);
}

int ws_send_binary(struct ws *ws, struct span data)
{
	return send_message(ws, OP_BINARY, data);
}

size_t ws_binary_head(struct ws *ws, size_t payload_len, uint8_t head[WS_HEAD_MAX])
{
	struct writer w = writer_of(head, WS_HEAD_MAX);

	assert(ws->config.role == WS_SERVER); /* a client's payload must be masked */
	if (ws->state != STATE_OPEN)
		return 0;
	put_head(&w, OP_BINARY, 0, payload_len);
	ws->counters.messages_out++;
	ws->counters.bytes_out += writer_len(&w) + payload_len;
	return writer_len(&w);
}

int ws_ping(struct ws *ws, struct span data)
{
	if (ws->state != STATE_OPEN)
		return FL_ESTATE;
	return data.len > WS_CONTROL_MAX ? FL_EQUOTA : put_frame(ws, OP_PING, data);
}

/* ---- the end ---- */

static void finish(struct ws *ws, unsigned code, bool by_peer, const void *reason, size_t len)
{
	ws->code = code;
	ws->by_peer = by_peer;
	ws->reason_len = FL_MIN(len, sizeof(ws->reason));
	if (ws->reason_len)
		memcpy(ws->reason, reason, ws->reason_len);
	ws->deadline = USEC_NEVER;
	ws->state = STATE_TELL;
}

/* The other side broke a rule. */
static void violation(struct ws *ws, unsigned code, const char *reason)
{
	ws->counters.violations++;
	if (ws->state == STATE_OPEN)
		put_close(ws, code, reason, strlen(reason));
	finish(ws, code, false, reason, strlen(reason));
}

void ws_close(struct ws *ws, usec_t now, unsigned code, const char *reason)
{
	if (ws->state != STATE_OPEN)
		return;
	put_close(ws, code, reason ? reason : "", reason ? reason_len(reason) : 0);
	ws->deadline = usec_add(now, ws->config.close_timeout_us);
	ws->state = STATE_CLOSING;
}

void ws_eof(struct ws *ws, usec_t now)
{
	(void)now;
	if (ws->state == STATE_OPEN || ws->state == STATE_CLOSING)
		finish(ws, WS_CODE_ABNORMAL, ws->state == STATE_OPEN, NULL, 0);
}

usec_t ws_deadline(const struct ws *ws)
{
	return ws->deadline;
}

void ws_timeout(struct ws *ws, usec_t now)
{
	if (now >= ws->deadline)
		finish(ws, WS_CODE_ABNORMAL, false, NULL, 0);
}

/* ---- in ---- */

/* What the last event pointed at is over. */
static void release(struct ws *ws)
{
	buf_consume(&ws->in, ws->borrowed);
	ws->borrowed = 0;
	if (ws->in.len == 0 && ws->in.cap > IDLE_CAP)
		buf_finish(&ws->in);
	if (ws->message_lent)
		buf_finish(&ws->message);
	ws->message_lent = false;
}

int ws_input(struct ws *ws, usec_t now, struct span bytes)
{
	(void)now;
	if (ws->state == STATE_TELL || ws->state == STATE_DONE)
		return 0;
	release(ws);
	ws->counters.bytes_in += bytes.len;
	return buf_append_span(&ws->in, bytes);
}

static bool is_control(uint8_t opcode)
{
	return opcode & 8;
}

/* What is wrong with a frame's head, or NULL. Sets *code. */
static const char *head_fault(const struct ws *ws, const struct frame *f, uint8_t first,
			      uint64_t len, unsigned *code)
{
	*code = WS_CODE_PROTOCOL;
	if (first & 0x70)
		return "reserved bit set";
	if ((f->opcode > OP_BINARY && f->opcode < OP_CLOSE) || f->opcode > OP_PONG)
		return "reserved opcode";
	if (f->masked != (ws->config.role == WS_SERVER))
		return f->masked ? "masked frame from a server" : "frame without mask";
	if (is_control(f->opcode))
		return !f->fin		      ? "fragmented control frame"
		       : len > WS_CONTROL_MAX ? "long control frame"
					      : NULL;
	if (f->opcode == OP_CONTINUATION && !ws->opcode)
		return "continuation of nothing";
	if (f->opcode != OP_CONTINUATION && ws->opcode)
		return "new message inside a fragmented one";
	if (len > ws->config.message_max - ws->message.len) {
		*code = WS_CODE_TOO_BIG;
		return "message too big";
	}
	return NULL;
}

/* RFC 6455 §5.2: the shortest form, and no top bit. */
static bool length_plausible(uint8_t form, uint64_t len)
{
	return form < 126 || (form == 126 && len > 125) ||
	       (form == 127 && len > 0xffff && !(len >> 63));
}

/* False while bytes are missing, or after a violation. */
static bool parse_frame_head(struct ws *ws)
{
	struct span all = buf_span(&ws->in);
	struct reader r = reader_of(all);
	uint8_t first = reader_u8(&r), second = reader_u8(&r);
	struct frame f = {
		.known = true, .fin = first & 0x80, .opcode = first & 15, .masked = second & 0x80
	};
	uint64_t len = second & 0x7f;
	const char *fault;
	unsigned code;

	if (reader_failed(&r))
		return false;
	/* before the rest is here: a wrong first byte is answered at once */
	fault = head_fault(ws, &f, first, len, &code);
	if (!fault && len == 126)
		len = reader_u16(&r);
	else if (!fault && len == 127)
		len = reader_u64(&r);
	if (!fault && !reader_failed(&r)) {
		fault = head_fault(ws, &f, first, len, &code);
		if (!fault && !length_plausible(second & 0x7f, len))
			fault = "length not in its shortest form";
	}
	if (fault) {
		violation(ws, code, fault);
		return false;
	}
	if (f.masked)
		reader_copy(&r, f.mask, sizeof(f.mask));
	if (reader_failed(&r))
		return false;
	f.head_len = all.len - reader_left(&r);
	f.len = (size_t)len;
	ws->frame = f;
	if (f.opcode == OP_TEXT)
		ws->utf8 = 0;
	return true;
}

static bool is_text(const struct ws *ws)
{
	return ws->frame.opcode == OP_TEXT ||
	       (ws->frame.opcode == OP_CONTINUATION && ws->opcode == OP_TEXT);
}

/* Unmasks and checks what has arrived. True: the frame is here as a whole. */
static bool take_payload(struct ws *ws, struct span *payload)
{
	struct frame *f = &ws->frame;
	size_t have = FL_MIN(ws->in.len - f->head_len, f->len);
	/* in is ours, so it can be changed where it lies; the bounds are have's */
	uint8_t *fresh = ws->in.mem + ws->in.start + f->head_len + f->done;

	if (f->masked)
		apply_mask(fresh, have - f->done, f->mask, f->done);
	if (is_text(ws) && !text_utf8_feed(&ws->utf8, span_of(fresh, have - f->done))) {
		violation(ws, WS_CODE_BAD_DATA, "text is not UTF-8");
		return false;
	}
	f->done = have;
	if (have < f->len)
		return false;
	if (is_text(ws) && f->fin && ws->utf8 != 0) {
		violation(ws, WS_CODE_BAD_DATA, "text ends inside a character");
		return false;
	}
	*payload = span_of(ws->in.mem + ws->in.start + f->head_len, f->len);
	return true;
}

/* RFC 6455 §7.4 and the registry: what may stand in a close frame. */
static bool code_valid(unsigned code)
{
	return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
	       (code >= 3000 && code <= 4999);
}

static void take_close(struct ws *ws, struct span payload)
{
	struct reader r = reader_of(payload);
	unsigned code = WS_CODE_NONE;
	struct span reason;

	if (payload.len)
		code = reader_u16(&r);
	reason = reader_rest(&r);
	if (payload.len == 1 || (payload.len && !code_valid(code))) {
		violation(ws, WS_CODE_PROTOCOL, "malformed close frame");
		return;
	}
	if (!text_utf8_valid(reason)) {
		violation(ws, WS_CODE_BAD_DATA, "close reason is not UTF-8");
		return;
	}
	if (ws->state == STATE_OPEN)
		put_close(ws, code, "", 0);
	finish(ws, code, ws->state == STATE_OPEN, reason.ptr, reason.len);
}

/* True: *event is to be told. */
static bool take_control(struct ws *ws, struct span payload, struct ws_event *event)
{
	if (ws->frame.opcode == OP_CLOSE) {
		take_close(ws, payload);
		return false;
	}
	if (ws->state != STATE_OPEN)
		return false;
	if (ws->frame.opcode == OP_PING) {
		if (ws->out.len < PONG_BACKLOG)
			(void)!put_frame(ws, OP_PONG, payload);
		return false;
	}
	*event = (struct ws_event){ .type = WS_EVENT_PONG, .data = payload };
	return true;
}

static bool take_data(struct ws *ws, struct span payload, struct ws_event *event)
{
	uint8_t opcode = ws->opcode ? ws->opcode : ws->frame.opcode;
	bool whole = ws->frame.fin && !ws->opcode;

	if (!whole && buf_append_span(&ws->message, payload) < 0) {
		violation(ws, WS_CODE_INTERNAL, "no memory");
		return false;
	}
	ws->opcode = ws->frame.fin ? 0 : opcode;
	if (!ws->frame.fin)
		return false;
	ws->message_lent = !whole;
	if (ws->state != STATE_OPEN)
		return false;
	ws->counters.messages_in++;
	*event = (struct ws_event){
		.type = opcode == OP_TEXT ? WS_EVENT_TEXT : WS_EVENT_BINARY,
		.data = whole ? payload : buf_span(&ws->message),
	};
	return true;
}

static bool tell_closed(struct ws *ws, struct ws_event *event)
{
	if (ws->state != STATE_TELL)
		return false;
	ws->state = STATE_DONE;
	*event = (struct ws_event){ .type = WS_EVENT_CLOSED,
				    .data = span_of(ws->reason, ws->reason_len),
				    .code = ws->code,
				    .by_peer = ws->by_peer };
	return true;
}

bool ws_next_event(struct ws *ws, struct ws_event *event)
{
	while (ws->state == STATE_OPEN || ws->state == STATE_CLOSING) {
		struct span payload;
		bool told;

		release(ws);
		if (!ws->frame.known && !parse_frame_head(ws))
			break;
		if (!take_payload(ws, &payload))
			break;
		told = is_control(ws->frame.opcode) ? take_control(ws, payload, event)
						    : take_data(ws, payload, event);
		ws->borrowed = ws->frame.head_len + ws->frame.len;
		ws->frame.known = false;
		if (told)
			return true;
	}
	return tell_closed(ws, event);
}

struct span ws_output(const struct ws *ws)
{
	return buf_span(&ws->out);
}

void ws_sent(struct ws *ws, size_t len)
{
	buf_consume(&ws->out, len);
	if (ws->out.len == 0)
		buf_finish(&ws->out);
}

const struct ws_counters *ws_counters(const struct ws *ws)
{
	return &ws->counters;
}
