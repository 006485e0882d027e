/* What is said over the connection of a visit, and how the answers are read. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/text.h"
#include "check/visit_internal.h"
#include "proto/stun/stun.h"
#include "proto/turn/turn.h"
#include "proto/turn/turn_stream.h"

#define PORTAL_SCAN 16384 /* bytes of a page that are looked through for a form */

/* ---- output ---- */

static void write_out(struct visit *v, struct span data)
{
	int err = !v->done && data.len ? stream_write_parts(v->stream, &data, 1) : 0;

	/* when the other side has closed, that comes next and is what there is to tell */
	if (err == -ENOMEM || err == FL_EQUOTA)
		visit_finish(v, CAUSE_INTERNAL);
}

static void flush(struct visit *v)
{
	struct span out;

	if (v->done)
		return;
	if (v->ws) {
		while (v->signalr && signalr_next_output(v->signalr, &out))
			if (ws_send_text(v->ws, out) < 0) {
				visit_finish(v, CAUSE_INTERNAL);
				return;
			}
		out = ws_output(v->ws);
		write_out(v, out);
		ws_sent(v->ws, out.len);
	} else if (v->http) {
		out = http_client_output(v->http);
		write_out(v, out);
		http_client_sent(v->http, out.len);
	}
}

/* ---- requests ---- */

static void request(struct visit *v, const char *target, const struct http_field *fields, size_t n,
		    bool upgrade)
{
	struct http_client_request r = { .method = "GET",
					 .target = target,
					 .host = v->authority,
					 .fields = fields,
					 .field_count = n,
					 .upgrade = upgrade };

	if (!v->http)
		v->http = http_client_create(
			&(struct http_client_config){ .body_max = 1024 * 1024 });
	if (!v->http || http_client_request(v->http, loop_now(v->loop), &r) < 0)
		visit_finish(v, CAUSE_INTERNAL);
	else
		flush(v);
}

static void ask_upgrade(struct visit *v, const char *target, const char *protocols)
{
	struct http_field fields[4];
	size_t n;

	ws_client_key(rng_system(), v->key);
	n = ws_client_fields(v->key, protocols, fields);
	for (size_t i = 0; i < n; i++)
		if (strcmp(fields[i].name, "upgrade") == 0)
			fields[i].value = v->upgrade;
	request(v, target, fields, n, true);
}

/* Nobody gives an allocation without credentials: the refusal proves that a relay answers. */
static void ask_relay(struct visit *v)
{
	uint8_t message[STUN_SHORT_MAX];
	struct stun_out o;
	int len;

	stun_begin(&o, message, sizeof(message), STUN_REQUEST, TURN_ALLOCATE, v->tid);
	stun_put_u32(&o, TURN_REQUESTED_TRANSPORT, (uint32_t)TURN_PROTOCOL_UDP << 24);
	len = stun_end(&o);
	if (len < 0)
		visit_finish(v, CAUSE_INTERNAL);
	else if (v->ws && ws_send_binary(v->ws, span_of(message, (size_t)len)) < 0)
		visit_finish(v, CAUSE_INTERNAL);
	else if (v->ws)
		flush(v);
	else
		write_out(v, span_of(message, (size_t)len));
}

void visit_app_open(struct visit *v)
{
	static const struct http_field accept = { "accept", "application/json" };
	char target[64];

	switch (v->config.kind) {
	case VISIT_HUB:
		v->asked_at = usec_realtime();
		snprintf(target, sizeof(target), "/health?echo=%s", v->nonce);
		request(v, target, &accept, 1, false);
		break;
	case VISIT_STORE:
		request(v, "/", NULL, 0, false);
		break;
	case VISIT_WEBSOCKET:
		ask_upgrade(v, "/endpoint", NULL);
		break;
	case VISIT_TURN_WSS:
		ask_upgrade(v, "/turn", "turn");
		break;
	case VISIT_TURN:
		ask_relay(v);
		break;
	}
}

/* ---- reading pages that nobody asked for ---- */

static bool has_nocase(struct span text, const char *word)
{
	size_t len = strlen(word), limit = FL_MIN(text.len, (size_t)PORTAL_SCAN);

	for (size_t i = 0; i + len <= limit; i++)
		if (text_equal_nocase(span_of(text.ptr + i, len), span_of(word, len)))
			return true;
	return false;
}

static bool is_page(const struct http_response *r)
{
	struct span type = http_headers_get(&r->headers, "content-type");

	return has_nocase(type, "text/html") || has_nocase(r->body, "<html") ||
	       has_nocase(r->body, "<!doctype");
}

/* The authority of "https://host:port/path", or all of it. */
static struct span authority_of(struct span url)
{
	for (size_t i = 0; i + 3 <= url.len; i++)
		if (memcmp(url.ptr + i, "://", 3) == 0) {
			size_t from = i + 3, to = from;

			while (to < url.len && url.ptr[to] != '/' && url.ptr[to] != '?')
				to++;
			return span_of(url.ptr + from, to - from);
		}
	return span_of(NULL, 0);
}

/* Who answers in another's place: a sign-in page (a form, a redirection elsewhere, RFC 6585 §6), a
 * filter's page, or nobody. */
static enum check_cause page_cause(struct visit *v, const struct http_response *r)
{
	struct span location = http_headers_get(&r->headers, "location");
	struct span elsewhere = authority_of(location);

	if (r->status >= 300 && r->status < 400 && elsewhere.len &&
	    !text_equal_nocase(elsewhere, span_str(v->authority)) &&
	    !text_equal_nocase(elsewhere, span_str(v->host))) {
		visit_note(v, "a redirection to %.*s", (int)FL_MIN(elsewhere.len, (size_t)100),
			   (const char *)elsewhere.ptr);
		return CAUSE_CAPTIVE_PORTAL;
	}
	if (r->status == 511) {
		visit_note(v, "status 511");
		return CAUSE_CAPTIVE_PORTAL;
	}
	/* servers say these themselves, to what they do not know */
	if (!is_page(r) || r->status == 400 || r->status == 404 || r->status == 405 ||
	    r->status == 426)
		return CAUSE_NONE;
	visit_note(v, "a web page with status %u", r->status);
	return r->status < 400 && has_nocase(r->body, "<form") ? CAUSE_CAPTIVE_PORTAL
							       : CAUSE_FILTER_PAGE;
}

static bool is_gateway(unsigned status)
{
	return status == 502 || status == 503 || status == 504;
}

/* ---- the hub ---- */

static const char *text_of(const json_t *object, const char *name)
{
	const char *s = json_string_value(json_object_get(object, name));

	return s ? s : "";
}

static void take_time(struct visit *v, const json_t *time)
{
	int64_t ours = (int64_t)((v->asked_at + usec_realtime()) / 2 / USEC_PER_MSEC);

	if (!json_is_integer(time))
		return;
	v->result.timed = true;
	v->result.clock_off_ms = ours - (int64_t)json_integer_value(time);
}

static void take_proof(struct visit *v, const json_t *body)
{
	const char *key = text_of(body, "hubKey"), *certificate = text_of(body, "certificate");
	char time[24];
	const char *lines[] = { "fairlead-health-v1", v->nonce, time, certificate };

	snprintf(time, sizeof(time), "%lld",
		 (long long)json_integer_value(json_object_get(body, "time")));
	v->result.proved = true;
	text_copy(v->result.hub_key, sizeof(v->result.hub_key), key);
	if ((*v->pinned && strcmp(v->pinned, key) != 0) ||
	    !sign_check_lines(key, lines, ARRAY_LEN(lines), text_of(body, "signature")))
		v->result.identity = CAUSE_HUB_KEY;
	if (text_b64url_decode(span_str(certificate), v->result.hub_spki,
			       sizeof(v->result.hub_spki)) != sizeof(v->result.hub_spki))
		memset(v->result.hub_spki, 0, sizeof(v->result.hub_spki));
}

/* CAUSE_NONE: it is a hub's answer. */
static enum check_cause health_cause(struct visit *v, const struct http_response *r)
{
	json_t *body = json_loadb((const char *)r->body.ptr, r->body.len, 0, NULL);
	const char *echo = text_of(body, "echo");
	enum check_cause cause = CAUSE_NONE;

	if (is_gateway(r->status)) {
		cause = CAUSE_HUB_DOWN;
		visit_note(v, "status %u", r->status);
	} else if (!json_is_true(json_object_get(body, "ok"))) {
		cause = page_cause(v, r);
		if (cause == CAUSE_NONE) {
			cause = CAUSE_NOT_A_HUB;
			visit_note(v, "status %u and no hub's answer", r->status);
		}
	} else if (*echo && strcmp(echo, v->nonce) != 0) {
		cause = CAUSE_STALE_ANSWER;
		visit_note(v, "an answer to an earlier question");
	} else {
		visit_note(v, "version %.40s", text_of(body, "version"));
		take_time(v, json_object_get(body, "time"));
		if (*echo)
			take_proof(v, body);
		else if (*v->pinned)
			v->result.identity = CAUSE_HUB_KEY;
	}
	json_decref(body);
	return cause;
}

static void take_hub(struct visit *v, const struct http_response *r)
{
	enum check_cause cause;

	if (v->list_asked) {
		v->result.network = json_loadb((const char *)r->body.ptr, r->body.len,
					       JSON_REJECT_DUPLICATES, NULL);
		visit_finish(v, CAUSE_NONE);
		return;
	}
	cause = health_cause(v, r);
	if (cause != CAUSE_NONE || !r->keep_alive) {
		visit_finish(v, cause);
		return;
	}
	v->list_asked = true;
	request(v, "/network.json", NULL, 0, false);
}

static void take_store(struct visit *v, const struct http_response *r)
{
	enum check_cause cause = page_cause(v, r);

	if (is_gateway(r->status)) {
		cause = CAUSE_HUB_DOWN;
		visit_note(v, "status %u", r->status);
	} else if (cause == CAUSE_NONE) {
		visit_note(v, "status %u", r->status);
	}
	visit_finish(v, cause);
}

/* ---- WebSocket ---- */

static void take_upgrade(struct visit *v, const struct http_response *r)
{
	bool turn = v->config.kind == VISIT_TURN_WSS;
	struct span rest = http_client_rest(v->http);
	enum check_cause cause;

	if (ws_client_check(r, v->key, turn ? "turn" : NULL) < 0) {
		cause = r->status == 101 ? CAUSE_NONE : page_cause(v, r);
		visit_note(v, "status %u in place of a WebSocket", r->status);
		visit_finish(v, cause != CAUSE_NONE	? cause
				: is_gateway(r->status) ? CAUSE_HUB_DOWN
							: CAUSE_WEBSOCKET_STRIPPED);
		return;
	}
	v->ws = ws_create(&(struct ws_config){ .role = WS_CLIENT }, rng_system());
	if (!turn)
		v->signalr = signalr_create(&(struct signalr_config){ .role = SIGNALR_CLIENT },
					    loop_now(v->loop));
	if (!v->ws || (!turn && !v->signalr) || ws_input(v->ws, loop_now(v->loop), rest) < 0) {
		visit_finish(v, CAUSE_INTERNAL);
		return;
	}
	if (turn)
		ask_relay(v);
	else
		flush(v);
}

static void take_http(struct visit *v)
{
	struct http_client_event e;

	while (!v->done && !v->ws && http_client_next_event(v->http, &e)) {
		if (e.type == HTTP_CLIENT_FAILED) {
			visit_note(v, "%s", e.reason ? e.reason : "no usable answer");
			visit_finish(v, v->list_asked	       ? CAUSE_NONE
					: e.err == -ECONNRESET ? CAUSE_HTTP_CLOSED
					: e.err == -ETIMEDOUT  ? CAUSE_HTTP_SILENT
							       : CAUSE_NOT_HTTP);
		} else if (v->config.kind == VISIT_HUB) {
			take_hub(v, e.response);
		} else if (v->config.kind == VISIT_STORE) {
			take_store(v, e.response);
		} else {
			take_upgrade(v, e.response);
		}
	}
	flush(v);
}

/* ---- the relay's answer ---- */

static void take_turn_message(struct visit *v, struct span bytes)
{
	struct stun_msg m;
	struct span reason = { 0 };
	uint16_t code = 0;

	if (stun_parse(bytes, &m) < 0 || m.method != TURN_ALLOCATE ||
	    memcmp(m.tid, v->tid, sizeof(v->tid)) != 0) {
		visit_finish(v, CAUSE_NOT_TURN);
		return;
	}
	if (m.class == STUN_ERROR && stun_get_error(&m, &code, &reason))
		visit_note(v, "the relay's answer: %u", code);
	visit_finish(v, m.class == STUN_SUCCESS || code == STUN_UNAUTHENTICATED
				? CAUSE_NONE
				: CAUSE_TURN_REFUSED);
}

static void take_turn(struct visit *v, struct buf *in)
{
	struct span message, bytes = buf_span(in);
	size_t used;
	int got = turn_stream_next(bytes, &message, &used);

	/* ChannelData is not due yet; "HTTP/1.1" reads like the beginning of some */
	if (got < 0 || (bytes.ptr && bytes.len && bytes.ptr[0] & 0xC0))
		visit_finish(v, CAUSE_NOT_TURN);
	else if (got == 1)
		take_turn_message(v, message);
}

/* ---- frames ---- */

static void take_signalr(struct visit *v)
{
	struct signalr_event e;

	while (!v->done && signalr_next_event(v->signalr, &e)) {
		if (e.type == SIGNALR_CLOSED) {
			visit_note(v, "%s", e.error ? e.error : "closed");
			visit_finish(v, CAUSE_WEBSOCKET_DROPPED);
		} else if (e.type == SIGNALR_INVOCATION && strcmp(e.target, "challenge") == 0) {
			visit_finish(v, CAUSE_NONE);
		}
	}
}

static void take_frames(struct visit *v)
{
	struct ws_event e;

	while (!v->done && ws_next_event(v->ws, &e)) {
		if (e.type == WS_EVENT_CLOSED) {
			visit_note(v, "closed with %u", e.code);
			visit_finish(v, CAUSE_WEBSOCKET_DROPPED);
		} else if (e.type == WS_EVENT_TEXT && v->signalr) {
			if (signalr_input(v->signalr, loop_now(v->loop), e.data) < 0)
				visit_finish(v, CAUSE_INTERNAL);
			else
				take_signalr(v);
		} else if (e.type == WS_EVENT_BINARY && !v->signalr) {
			if (buf_append_span(&v->cut, e.data) < 0)
				visit_finish(v, CAUSE_NOT_TURN);
			else
				take_turn(v, &v->cut);
		}
	}
	flush(v);
}

/* ---- input ---- */

void visit_app_read(struct visit *v, struct buf *in)
{
	usec_t now = loop_now(v->loop);
	int err;

	if (v->config.kind == VISIT_TURN) {
		take_turn(v, in);
		if (v->done)
			buf_clear(in);
		return;
	}
	err = v->ws ? ws_input(v->ws, now, buf_span(in))
		    : http_client_input(v->http, now, buf_span(in));
	buf_clear(in);
	if (err < 0) {
		visit_finish(v, CAUSE_NOT_HTTP);
		return;
	}
	if (!v->ws)
		take_http(v);
	if (!v->done && v->ws)
		take_frames(v);
}

/* Before the first word of the other side, or after it. */
void visit_app_closed(struct visit *v, int err)
{
	if (v->config.kind == VISIT_TURN) {
		visit_finish(v, CAUSE_TURN_CLOSED);
	} else if (v->ws) {
		visit_finish(v, CAUSE_WEBSOCKET_DROPPED);
	} else {
		if (err == 0)
			http_client_eof(v->http, loop_now(v->loop));
		take_http(v);
		if (!v->done && v->ws)
			visit_finish(v, CAUSE_WEBSOCKET_DROPPED);
		else
			visit_finish(v, v->list_asked ? CAUSE_NONE : CAUSE_HTTP_CLOSED);
	}
}

void visit_app_silent(struct visit *v)
{
	switch (v->config.kind) {
	case VISIT_HUB:
	case VISIT_STORE:
		visit_finish(v, v->list_asked ? CAUSE_NONE : CAUSE_HTTP_SILENT);
		break;
	case VISIT_WEBSOCKET:
		visit_finish(v, v->ws ? CAUSE_WEBSOCKET_SILENT : CAUSE_HTTP_SILENT);
		break;
	case VISIT_TURN:
		visit_finish(v, CAUSE_TURN_SILENT);
		break;
	case VISIT_TURN_WSS:
		visit_finish(v, v->ws ? CAUSE_TURN_SILENT : CAUSE_HTTP_SILENT);
		break;
	}
}
