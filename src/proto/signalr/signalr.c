#include "proto/signalr/signalr.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/err.h"
#include "base/text.h"
#include "base/wire.h"
#include "proto/signalr/signalr_message.h"

#define IDLE_CAP 512 /* an idle connection keeps no larger input buffer */
#define NO_STREAMS "streams are not offered here; use an ordinary invocation"

enum state {
	STATE_HANDSHAKE,
	STATE_CONNECTED,
	STATE_TELL_CLOSED, /* SIGNALR_CLOSED is yet to be told */
	STATE_CLOSED,
};

struct signalr {
	struct signalr_config config;
	enum state state;
	usec_t now, began, last_in, last_out;
	struct buf in, out;
	size_t scanned; /* bytes of in that hold no separator */
	size_t lent;	/* bytes at the front of out given out by signalr_next_output() */
	struct signalr_message message; /* what the last event points at */
	uint64_t last_call;
	enum signalr_why why;
	char error[256];
	bool has_error, allow_reconnect;
	struct signalr_counters counters;
};

static const char HANDSHAKE[] = "{\"protocol\":\"json\",\"version\":1}\x1e";
static const char PING[] = "{\"type\":6}\x1e";

static int put_text(struct signalr *s, const char *text)
{
	int r = buf_append_span(&s->out, span_str(text));

	if (r == 0)
		s->last_out = s->now;
	return r;
}

struct signalr *signalr_create(const struct signalr_config *config, usec_t now)
{
	struct signalr *s = calloc(1, sizeof(*s));
	struct signalr_config *c;

	if (!s)
		return NULL;
	s->config = *config;
	c = &s->config;
	c->ping_us = c->ping_us ? c->ping_us : 15 * USEC_PER_SEC;
	c->timeout_us = c->timeout_us ? c->timeout_us : 30 * USEC_PER_SEC;
	c->handshake_timeout_us = c->handshake_timeout_us ? c->handshake_timeout_us
							  : 15 * USEC_PER_SEC;
	c->message_max = c->message_max ? c->message_max : SIGNALR_MESSAGE_MAX;
	c->out_max = c->out_max ? c->out_max : SIGNALR_OUT_MAX;
	c->depth_max = c->depth_max ? c->depth_max : SIGNALR_DEPTH_MAX;
	s->in = BUF_INIT(2 * c->message_max);
	s->out = BUF_INIT(c->out_max);
	s->now = s->began = s->last_in = s->last_out = now;
	if (c->role == SIGNALR_CLIENT && put_text(s, HANDSHAKE) < 0) {
		signalr_destroy(s);
		return NULL;
	}
	return s;
}

void signalr_destroy(struct signalr *s)
{
	if (!s)
		return;
	signalr_message_finish(&s->message);
	buf_finish(&s->in);
	buf_finish(&s->out);
	free(s);
}

/* ---- the end ---- */

/* error may be NULL; text from the other side is cut between characters. */
static void end(struct signalr *s, enum signalr_why why, const char *error)
{
	s->why = why;
	s->has_error = error != NULL;
	if (error && !text_copy(s->error, sizeof(s->error), error)) {
		size_t n = strlen(s->error);

		while (n > 0 && !text_utf8_valid(span_of(s->error, n)))
			n--;
		s->error[n] = 0;
	}
	s->state = STATE_TELL_CLOSED;
	buf_finish(&s->in);
	s->scanned = 0;
}

/* Without room or memory for Close the end of the transport has to say it. */
static void put_close(struct signalr *s, const char *error, bool allow_reconnect)
{
	if (signalr_message_put(&s->out, s->config.message_max,
				signalr_make_close(error, allow_reconnect)) == 0)
		s->counters.messages_out++;
}

/* The other side broke the protocol. */
static void malformed(struct signalr *s, const char *fault)
{
	s->counters.malformed++;
	if (s->state == STATE_CONNECTED)
		put_close(s, fault, false);
	end(s, SIGNALR_WHY_MALFORMED, fault);
}

static void refuse_handshake(struct signalr *s, const char *fault)
{
	json_t *answer;

	s->counters.malformed++;
	if (s->config.role == SIGNALR_SERVER) {
		answer = json_pack("{s:s}", "error", fault);
		(void)!signalr_message_put(&s->out, s->config.message_max, answer);
	}
	end(s, SIGNALR_WHY_HANDSHAKE, fault);
}

void signalr_close(struct signalr *s, usec_t now, const char *error, bool allow_reconnect)
{
	s->now = now;
	if (s->state == STATE_CONNECTED)
		put_close(s, error, allow_reconnect);
	end(s, SIGNALR_WHY_PEER, NULL);
	s->state = STATE_CLOSED;
}

/* ---- in ---- */

int signalr_input(struct signalr *s, usec_t now, struct span text)
{
	int r;

	s->now = now;
	if (s->state == STATE_TELL_CLOSED || s->state == STATE_CLOSED)
		return 0;
	s->last_in = now;
	r = buf_append_span(&s->in, text);
	if (r == FL_EQUOTA) {
		malformed(s, "message too big");
		return 0;
	}
	return r;
}

/* The next whole message, without its separator. */
static bool next_record(struct signalr *s, struct span *record)
{
	struct span all = buf_span(&s->in);
	const uint8_t *at = NULL;

	if (all.ptr && all.len > s->scanned)
		at = memchr(all.ptr + s->scanned, SIGNALR_SEPARATOR, all.len - s->scanned);
	if (!at) {
		s->scanned = all.len;
		if (all.len >= s->config.message_max)
			malformed(s, "message too big");
		return false;
	}
	*record = span_of(all.ptr, (size_t)(at - all.ptr));
	if (record->len >= s->config.message_max) {
		malformed(s, "message too big");
		return false;
	}
	return true;
}

static void drop_record(struct signalr *s, size_t len)
{
	if (s->in.len == 0) /* the connection ended meanwhile */
		return;
	buf_consume(&s->in, len + 1);
	s->scanned = 0;
	if (s->in.len == 0 && s->in.cap > IDLE_CAP)
		buf_finish(&s->in);
}

static bool tell_connected(struct signalr *s, struct signalr_event *event)
{
	s->state = STATE_CONNECTED;
	*event = (struct signalr_event){ .type = SIGNALR_CONNECTED };
	return true;
}

/* HubProtocol.md, "Overview": {"protocol","version"}, answered by {} or {"error"}. */
static bool take_handshake_request(struct signalr *s, json_t *root, struct signalr_event *event)
{
	json_t *protocol = json_object_get(root, "protocol");
	json_t *version = json_object_get(root, "version");

	if (!json_is_string(protocol) || !json_is_integer(version))
		refuse_handshake(s, "handshake without protocol and version");
	else if (strcmp(json_string_value(protocol), "json") != 0)
		refuse_handshake(s, "only the protocol json is offered here");
	else if (json_integer_value(version) != 1)
		refuse_handshake(s, "only version 1 of the protocol is offered here");
	else if (put_text(s, "{}\x1e") < 0)
		end(s, SIGNALR_WHY_MEMORY, "no memory");
	else
		return tell_connected(s, event);
	return false;
}

static bool take_handshake_answer(struct signalr *s, json_t *root, struct signalr_event *event)
{
	json_t *error = json_object_get(root, "error");

	if (json_is_string(error)) {
		end(s, SIGNALR_WHY_HANDSHAKE, json_string_value(error));
		return false;
	}
	if (json_object_get(root, "type")) {
		refuse_handshake(s, "another message instead of the handshake's answer");
		return false;
	}
	return tell_connected(s, event);
}

static bool take_handshake(struct signalr *s, struct span record, struct signalr_event *event)
{
	const char *fault;
	json_t *root = signalr_parse(record, s->config.depth_max, &fault);
	bool told = false;

	if (!root)
		refuse_handshake(s, fault);
	else if (!json_is_object(root))
		refuse_handshake(s, "handshake is not an object");
	else if (s->config.role == SIGNALR_SERVER)
		told = take_handshake_request(s, root, event);
	else
		told = take_handshake_answer(s, root, event);
	json_decref(root);
	return told;
}

static void refuse_stream(struct signalr *s, const char *id)
{
	int r;

	s->counters.unsupported++;
	r = signalr_complete_error(s, s->now, id, NO_STREAMS);
	if (r < 0 && s->state == STATE_CONNECTED)
		end(s, SIGNALR_WHY_MEMORY, "no room to answer");
}

/*
 * Ids that we give out are decimal; a server's begin with 's', since a client also sends
 * completions for streams of its own under ids of its own. -1 for what we never gave out.
 */
static const char *id_prefix(const struct signalr *s)
{
	return s->config.role == SIGNALR_SERVER ? "s" : "";
}

static int64_t call_of(const struct signalr *s, const char *id)
{
	size_t skip = strlen(id_prefix(s)), n;
	uint64_t call;

	if (strncmp(id, id_prefix(s), skip) != 0)
		return -1;
	id += skip;
	n = strspn(id, "0123456789");
	if (n < 1 || n > 18 || id[n])
		return -1;
	call = strtoull(id, NULL, 10);
	return call > 0 && call <= s->last_call ? (int64_t)call : -1;
}

static bool take_completion(struct signalr *s, struct signalr_event *event)
{
	const struct signalr_message *m = &s->message;
	int64_t call = call_of(s, m->invocation_id);

	if (call < 0) {
		s->counters.unsupported++;
		return false;
	}
	*event = (struct signalr_event){ .type = SIGNALR_COMPLETION,
					 .call = (uint64_t)call,
					 .result = m->result,
					 .error = m->error };
	return true;
}

static bool take_message(struct signalr *s, struct signalr_event *event)
{
	const struct signalr_message *m = &s->message;

	switch (m->type) {
	case SIGNALR_TYPE_INVOCATION:
		if (m->streams) {
			refuse_stream(s, m->invocation_id);
			return false;
		}
		*event = (struct signalr_event){ .type = SIGNALR_INVOCATION,
						 .invocation_id = m->invocation_id,
						 .target = m->target,
						 .args = m->args };
		return true;
	case SIGNALR_TYPE_COMPLETION:
		return take_completion(s, event);
	case SIGNALR_TYPE_STREAM_INVOCATION:
		refuse_stream(s, m->invocation_id);
		return false;
	case SIGNALR_TYPE_PING:
		return false;
	case SIGNALR_TYPE_CLOSE:
		s->allow_reconnect = m->allow_reconnect;
		end(s, SIGNALR_WHY_PEER, m->error);
		return false;
	default: /* stream items, cancels, acknowledgements, and types of the future: ignored */
		s->counters.unsupported++;
		return false;
	}
}

static bool take_record(struct signalr *s, struct span record, struct signalr_event *event)
{
	const char *fault;
	json_t *root = signalr_parse(record, s->config.depth_max, &fault);

	if (!root) {
		malformed(s, fault);
		return false;
	}
	fault = signalr_message_read(root, &s->message);
	if (fault) {
		malformed(s, fault);
		return false;
	}
	s->counters.messages_in++;
	return take_message(s, event);
}

static bool tell_closed(struct signalr *s, struct signalr_event *event)
{
	if (s->state != STATE_TELL_CLOSED)
		return false;
	s->state = STATE_CLOSED;
	*event = (struct signalr_event){ .type = SIGNALR_CLOSED,
					 .why = s->why,
					 .error = s->has_error ? s->error : NULL,
					 .allow_reconnect = s->allow_reconnect };
	return true;
}

bool signalr_next_event(struct signalr *s, struct signalr_event *event)
{
	struct span record;

	while (s->state == STATE_HANDSHAKE || s->state == STATE_CONNECTED) {
		bool told;

		signalr_message_finish(&s->message);
		if (!next_record(s, &record))
			break;
		told = s->state == STATE_HANDSHAKE ? take_handshake(s, record, event)
						   : take_record(s, record, event);
		drop_record(s, record.len);
		if (told)
			return true;
	}
	return tell_closed(s, event);
}

/* ---- time ---- */

bool signalr_connected(const struct signalr *s)
{
	return s->state == STATE_CONNECTED;
}

usec_t signalr_deadline(const struct signalr *s)
{
	switch (s->state) {
	case STATE_HANDSHAKE:
		return usec_add(s->began, s->config.handshake_timeout_us);
	case STATE_CONNECTED:
		return usec_min(usec_add(s->last_in, s->config.timeout_us),
				usec_add(s->last_out, s->config.ping_us));
	case STATE_TELL_CLOSED:
	case STATE_CLOSED:
		break;
	}
	return USEC_NEVER;
}

void signalr_timeout(struct signalr *s, usec_t now)
{
	s->now = now;
	if (s->state == STATE_HANDSHAKE && now >= signalr_deadline(s)) {
		refuse_handshake(s, "no handshake in time");
		s->why = SIGNALR_WHY_TIMEOUT;
	}
	if (s->state != STATE_CONNECTED)
		return;
	if (now >= usec_add(s->last_in, s->config.timeout_us)) {
		put_close(s, "nothing heard in time", true);
		end(s, SIGNALR_WHY_TIMEOUT, "nothing heard in time");
	} else if (now >= usec_add(s->last_out, s->config.ping_us)) {
		/* with a full queue there is no need for a ping */
		if (put_text(s, PING) == 0)
			s->counters.messages_out++;
		s->last_out = now;
	}
}

/* ---- out ---- */

/* Takes root over. */
static int put_message(struct signalr *s, usec_t now, json_t *root)
{
	int r;

	if (s->state != STATE_CONNECTED) {
		json_decref(root);
		return FL_ESTATE;
	}
	s->now = now;
	r = signalr_message_put(&s->out, s->config.message_max, root);
	if (r == 0) {
		s->last_out = now;
		s->counters.messages_out++;
	}
	return r;
}

/* json_pack() fails for text that is no UTF-8 as it does without memory: tell them apart. */
static bool text_ok(const char *text)
{
	return text_utf8_valid(span_str(text));
}

int signalr_send(struct signalr *s, usec_t now, const char *target, json_t *arg)
{
	if (!text_ok(target))
		return FL_EMALFORMED;
	return put_message(s, now, signalr_make_invocation(NULL, target, arg));
}

int signalr_invoke(struct signalr *s, usec_t now, const char *target, json_t *arg, uint64_t *call)
{
	char id[24];
	int r;

	if (!text_ok(target))
		return FL_EMALFORMED;
	snprintf(id, sizeof(id), "%s%" PRIu64, id_prefix(s), s->last_call + 1);
	r = put_message(s, now, signalr_make_invocation(id, target, arg));
	if (r == 0)
		*call = ++s->last_call;
	return r;
}

int signalr_complete(struct signalr *s, usec_t now, const char *invocation_id, json_t *result)
{
	if (!invocation_id)
		return 0;
	return put_message(s, now, signalr_make_completion(invocation_id, result, NULL));
}

int signalr_complete_error(struct signalr *s, usec_t now, const char *invocation_id,
			   const char *error)
{
	if (!invocation_id)
		return 0;
	if (!text_ok(error))
		return FL_EMALFORMED;
	return put_message(s, now, signalr_make_completion(invocation_id, NULL, error));
}

int signalr_encode(const char *target, json_t *arg, struct buf *out)
{
	if (!text_ok(target))
		return FL_EMALFORMED;
	return signalr_message_put(out, SIGNALR_MESSAGE_MAX,
				   signalr_make_invocation(NULL, target, arg));
}

int signalr_send_encoded(struct signalr *s, usec_t now, struct span message)
{
	int r;

	if (s->state != STATE_CONNECTED)
		return FL_ESTATE;
	if (message.len > s->config.message_max)
		return FL_EQUOTA;
	s->now = now;
	r = buf_append_span(&s->out, message);
	if (r == 0) {
		s->last_out = now;
		s->counters.messages_out++;
	}
	return r;
}

/* The end of the last whole message within the first max bytes. */
static size_t whole_messages(struct span all, size_t max)
{
	const uint8_t *last;

	if (!all.ptr || all.len <= max)
		return all.len;
	last = memrchr(all.ptr, SIGNALR_SEPARATOR, max);
	return last ? (size_t)(last - all.ptr) + 1 : 0;
}

bool signalr_next_output(struct signalr *s, struct span *out)
{
	size_t len;

	buf_consume(&s->out, s->lent);
	s->lent = 0;
	if (s->out.len == 0) {
		buf_finish(&s->out);
		return false;
	}
	len = whole_messages(buf_span(&s->out), s->config.message_max);
	*out = span_of(buf_span(&s->out).ptr, len);
	s->lent = len;
	return len > 0;
}

const struct signalr_counters *signalr_counters(const struct signalr *s)
{
	return &s->counters;
}
