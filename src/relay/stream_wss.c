#include "relay/stream_conn.h"

#include "base/err.h"
#include "io/stream.h"

#define HEAD_MAX 8192

static const char *const subprotocols[] = { "turn", NULL };

void stream_wss_start(struct conn *c)
{
	struct http_server_config config = { .head_max = HEAD_MAX, .body_max = 1 };

	c->http = http_server_create(&config, loop_now(c->worker->loop));
	if (!c->http)
		stream_conn_end(c);
}

/* ---- frames ---- */

bool stream_wss_flush(struct conn *c)
{
	struct span out = ws_output(c->ws);

	if (c->dead)
		return false;
	/* pongs of a client that does not read them, at most */
	if (out.len && stream_write_parts(c->stream, &out, 1) < 0)
		return false;
	ws_sent(c->ws, out.len);
	return true;
}

void stream_wss_close(struct conn *c)
{
	ws_close(c->ws, loop_now(c->worker->loop), WS_CODE_NORMAL, NULL);
	(void)stream_wss_flush(c);
}

/* Messages may be cut over frames, and frames hold several. */
static int take_payload(struct conn *c, struct span data)
{
	size_t used = 0;
	int err = 0;

	if (c->rest.len == 0) {
		err = stream_conn_take(c, data, &used);
		data = span_of(data.ptr + used, data.len - used);
		return err < 0 || data.len == 0 ? err : buf_append_span(&c->rest, data);
	}
	err = buf_append_span(&c->rest, data);
	if (err == 0)
		err = stream_conn_take(c, buf_span(&c->rest), &used);
	buf_consume(&c->rest, used);
	if (c->rest.len == 0)
		buf_finish(&c->rest);
	return err;
}

static void refuse(struct conn *c, unsigned code, const char *why)
{
	ws_close(c->ws, loop_now(c->worker->loop), code, why);
	stream_conn_close(c);
}

static void run_frames(struct conn *c)
{
	struct ws_event e;
	bool closed = false;

	while (!closed && !stream_conn_stopped(c) && ws_next_event(c->ws, &e)) {
		if (e.type == WS_EVENT_BINARY && take_payload(c, e.data) < 0)
			refuse(c, WS_CODE_BAD_DATA, "neither STUN nor ChannelData");
		else if (e.type == WS_EVENT_TEXT)
			refuse(c, WS_CODE_UNSUPPORTED, "TURN is binary");
		closed = e.type == WS_EVENT_CLOSED;
	}
	if (!stream_wss_flush(c) || closed)
		stream_conn_close(c);
}

void stream_wss_resume(struct conn *c)
{
	size_t used = 0;
	int err = 0;

	if (c->rest.len && !stream_conn_stopped(c))
		err = stream_conn_take(c, buf_span(&c->rest), &used);
	buf_consume(&c->rest, used);
	if (err < 0)
		refuse(c, WS_CODE_BAD_DATA, "neither STUN nor ChannelData");
	run_frames(c);
}

static void read_frames(struct conn *c, struct span bytes)
{
	if (ws_input(c->ws, loop_now(c->worker->loop), bytes) < 0)
		stream_conn_close(c);
	else
		run_frames(c);
}

/* ---- the request before them ---- */

static bool flush_http(struct conn *c)
{
	struct span out = http_server_output(c->http);

	if (out.len && stream_write(c->stream, out) < 0)
		return false;
	http_server_sent(c->http, out.len);
	return true;
}

static void respond(struct conn *c, unsigned status, const char *sentence)
{
	static const struct http_field fields[] = {
		{ "content-type", "text/plain; charset=utf-8" },
		{ "sec-websocket-version", "13" },
		{ "upgrade", "websocket" },
	};
	usec_t now = loop_now(c->worker->loop);

	c->worker->count.handshakes_failed++;
	if (http_server_respond(c->http, now, status, fields, status == 426 ? ARRAY_LEN(fields) : 1,
				span_str(sentence)) < 0) {
		stream_conn_close(c);
		return;
	}
	http_server_close(c->http, now);
}

static void become_websocket(struct conn *c, const struct ws_offer *offer)
{
	struct ws_config config = { .role = WS_SERVER,
				    .message_max = STREAM_FRONT_UNPROVED_MESSAGE_MAX,
				    .out_max = STREAM_WSS_MESSAGE_MAX };
	struct http_field fields[3];
	size_t n = ws_server_fields(offer, fields);

	c->ws = ws_create(&config, NULL);
	if (!c->ws || http_server_upgrade(c->http, loop_now(c->worker->loop), fields, n) < 0 ||
	    !flush_http(c)) {
		stream_conn_end(c);
		return;
	}
	c->stage = STREAM_TURN;
}

static void answer(struct conn *c, const struct http_request *request)
{
	struct ws_offer offer;
	int status = request->upgrade ? ws_server_check(request, subprotocols, &offer) : 426;

	if (status == 0 && offer.protocol)
		become_websocket(c, &offer);
	else if (status == 0)
		respond(c, 400, "The WebSocket subprotocol \"turn\" must be asked for.\n");
	else
		respond(c, (unsigned)status,
			"This is a TURN relay. It speaks WebSocket, subprotocol \"turn\".\n");
}

static void read_request(struct conn *c, struct span bytes)
{
	struct http_server_event e;
	bool over = false;

	if (http_server_input(c->http, loop_now(c->worker->loop), bytes) < 0)
		over = true;
	while (!over && !c->ws && !stream_conn_stopped(c) && http_server_next_event(c->http, &e)) {
		if (e.type == HTTP_SERVER_REQUEST)
			answer(c, e.request);
		over = e.type == HTTP_SERVER_CLOSE;
	}
	if (c->dead)
		return;
	if (c->ws) {
		read_frames(c, http_server_rest(c->http));
		http_server_destroy(FL_STEAL(c->http));
	} else if (!flush_http(c) || over) {
		stream_conn_close(c);
	}
}

void stream_wss_read(struct conn *c, struct span bytes)
{
	if (c->ws)
		read_frames(c, bytes);
	else
		read_request(c, bytes);
}
