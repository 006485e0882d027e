#include "peer/relay_link.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/wire.h"
#include "io/ifaces.h"
#include "io/stream.h"
#include "io/tunnel.h"
#include "io/udp.h"
#include "proto/http/http.h"
#include "proto/turn/turn_stream.h"
#include "proto/ws/ws.h"

#define OPEN_TIMEOUT_US (8 * USEC_PER_SEC)
#define PROXY_TIMEOUT_US (6 * USEC_PER_SEC) /* of that, the way through the proxy */
#define QUEUE_MAX (512 * 1024)
#define MESSAGE_MAX 2048 /* of what we send ourselves */

struct relay_link {
	struct loop *loop;
	struct ice_url url;
	struct addr server;
	struct proxy *proxy;
	unsigned dscp;
	struct ports ports;
	const struct relay_link_handler *handler;
	void *arg;
	struct udp *udp;
	struct tls_context *tls;
	struct stream *stream;
	struct http_client *http; /* WSS until the upgrade */
	struct ws *ws;
	char key[WS_KEY_LEN];
	struct buf cut;		 /* WSS: payload not yet a whole message */
	struct loop_timer limit; /* of opening, everything together */
	struct loop_deferred opened, release;
	bool dead;
};

static void on_limit(void *arg)
{
	struct relay_link *l = arg;

	l->handler->on_close(l->arg, -ETIMEDOUT);
}

static void tell_open(struct relay_link *l)
{
	loop_timer_stop(&l->limit);
	l->handler->on_open(l->arg);
}

static void fail(struct relay_link *l, int err)
{
	if (!l->dead)
		l->handler->on_close(l->arg, err);
}

/* ---- UDP ---- */

static void on_opened(void *arg)
{
	struct relay_link *l = arg;

	if (!l->dead)
		tell_open(l);
}

static void on_batch(void *arg, const struct dgram *dgrams, size_t n)
{
	struct relay_link *l = arg;

	for (size_t i = 0; i < n && !l->dead; i++)
		if (addr_equal(&dgrams[i].remote, &l->server))
			l->handler->on_message(l->arg, dgrams[i].data);
}

static int open_udp(struct relay_link *l)
{
	struct udp_config config = { .bind = { .family = l->server.family }, .dscp = l->dscp };
	int err = ports_udp_create(l->loop, &l->ports, &config, on_batch, l, &l->udp);

	if (err == 0)
		loop_defer(l->loop, &l->opened, on_opened, l);
	return err;
}

/* ---- streams ---- */

/* Takes whole messages off in; false when the bytes are no TURN. */
static bool take_messages(struct relay_link *l, struct buf *in)
{
	struct span message;
	size_t used;
	int got = 0;

	while (!l->dead && (got = turn_stream_next(buf_span(in), &message, &used)) == 1) {
		l->handler->on_message(l->arg, message);
		if (!l->dead)
			buf_consume(in, used);
	}
	return got >= 0;
}

static void flush_ws(struct relay_link *l)
{
	struct span out;

	while ((out = ws_output(l->ws)).len) {
		if (stream_write_parts(l->stream, &out, 1) < 0)
			break;
		ws_sent(l->ws, out.len);
	}
}

static void take_frames(struct relay_link *l)
{
	struct ws_event e;

	while (!l->dead && ws_next_event(l->ws, &e)) {
		if (e.type == WS_EVENT_CLOSED) {
			fail(l, -ECONNRESET);
			return;
		}
		if (e.type != WS_EVENT_BINARY)
			continue;
		if (buf_append_span(&l->cut, e.data) < 0 || !take_messages(l, &l->cut)) {
			fail(l, FL_EMALFORMED);
			return;
		}
	}
	if (!l->dead)
		flush_ws(l);
}

static void flush_http(struct relay_link *l)
{
	struct span out;

	while ((out = http_client_output(l->http)).len) {
		if (stream_write_parts(l->stream, &out, 1) < 0)
			break;
		http_client_sent(l->http, out.len);
	}
}

static void upgraded(struct relay_link *l)
{
	struct span rest = http_client_rest(l->http);

	l->ws = ws_create(&(struct ws_config){ .role = WS_CLIENT, .out_max = QUEUE_MAX },
			  rng_system());
	if (!l->ws || ws_input(l->ws, loop_now(l->loop), rest) < 0) {
		fail(l, -ENOMEM);
		return;
	}
	http_client_destroy(l->http);
	l->http = NULL;
	tell_open(l);
	if (!l->dead)
		take_frames(l);
}

static void take_http(struct relay_link *l)
{
	struct http_client_event e;

	while (!l->dead && l->http && http_client_next_event(l->http, &e)) {
		if (e.type == HTTP_CLIENT_FAILED)
			fail(l, e.err);
		else if (ws_client_check(e.response, l->key, "turn") < 0)
			fail(l, FL_EUNSUPPORTED);
		else
			upgraded(l);
	}
}

static void ask_upgrade(struct relay_link *l)
{
	struct http_field fields[4];
	char host[ICE_URL_HOST_MAX + 16];
	struct http_client_request request = {
		.method = "GET", .target = "/turn", .host = host, .fields = fields, .upgrade = true
	};

	snprintf(host, sizeof(host), strchr(l->url.host, ':') ? "[%s]:%u" : "%s:%u", l->url.host,
		 l->url.port);
	ws_client_key(rng_system(), l->key);
	request.field_count = ws_client_fields(l->key, "turn", fields);
	l->http = http_client_create(&(struct http_client_config){ .timeout_us = OPEN_TIMEOUT_US });
	if (!l->http || http_client_request(l->http, loop_now(l->loop), &request) < 0)
		fail(l, -ENOMEM);
	else
		flush_http(l);
}

static void on_stream_open(void *arg)
{
	struct relay_link *l = arg;

	if (l->url.transport == TURN_WSS)
		ask_upgrade(l);
	else
		tell_open(l);
}

static void on_stream_read(void *arg, struct buf *in)
{
	struct relay_link *l = arg;
	usec_t now = loop_now(l->loop);
	struct span bytes = buf_span(in);
	int err = 0;

	if (l->url.transport != TURN_WSS) {
		if (!take_messages(l, in))
			fail(l, FL_EMALFORMED);
		return;
	}
	if (l->http)
		err = http_client_input(l->http, now, bytes);
	else if (l->ws)
		err = ws_input(l->ws, now, bytes);
	buf_consume(in, bytes.len);
	if (err < 0)
		fail(l, err);
	else if (l->http)
		take_http(l);
	else if (l->ws)
		take_frames(l);
}

static void on_stream_close(void *arg, int err)
{
	fail(arg, err ? err : -ECONNRESET);
}

static const struct stream_handler stream_handler = {
	.on_open = on_stream_open,
	.on_read = on_stream_read,
	.on_close = on_stream_close,
};

static int open_stream(struct relay_link *l)
{
	static const char *const turn_alpn[] = { "stun.turn", NULL };
	static const char *const http_alpn[] = { "http/1.1", NULL };
	struct stream_config config = { .write_max = QUEUE_MAX,
					.open_timeout_us = OPEN_TIMEOUT_US,
					.server_name = l->url.host };
	bool wss = l->url.transport == TURN_WSS;
	char why[256];
	int err = 0;

	if (l->url.transport != TURN_TCP)
		err = tls_client_create(NULL, TLS_VERIFY_IGNORE, wss ? http_alpn : turn_alpn,
					&l->tls, why);
	config.tls = l->tls;
	config.dscp = l->dscp;
	if (err == 0 && l->proxy) {
		config.open_timeout_us = PROXY_TIMEOUT_US;
		err = tunnel_connect(l->loop, l->proxy, l->url.host, l->url.port, &config,
				     &stream_handler, l, &l->stream);
	} else if (err == 0) {
		err = stream_connect(l->loop, &l->server, &config, &stream_handler, l, &l->stream);
	}
	return err;
}

/* ---- both ---- */

int relay_link_create(struct loop *loop, const struct ice_url *url, const struct relay_link_to *to,
		      const struct relay_link_handler *handler, void *arg, struct relay_link **out)
{
	struct relay_link *l;
	int err;

	/* what DTLS would add is there, end to end; datagrams go through no proxy */
	if (url->transport == TURN_DTLS || (to->proxy && url->transport == TURN_UDP))
		return FL_EUNSUPPORTED;
	l = calloc(1, sizeof(*l));
	if (!l)
		return -ENOMEM;
	*l = (struct relay_link){
		.loop = loop, .url = *url, .server = to->server, .handler = handler, .arg = arg
	};
	l->dscp = to->dscp;
	l->ports = to->ports;
	l->proxy = to->proxy ? proxy_ref(to->proxy) : NULL;
	l->cut = BUF_INIT(TURN_STREAM_MESSAGE_MAX);
	loop_timer_init(loop, &l->limit, on_limit, l);
	err = loop_timer_after(&l->limit, OPEN_TIMEOUT_US);
	if (err == 0)
		err = url->transport == TURN_UDP ? open_udp(l) : open_stream(l);
	if (err < 0) {
		relay_link_destroy(l);
		return err;
	}
	*out = l;
	return 0;
}

static void release(void *arg)
{
	struct relay_link *l = arg;

	http_client_destroy(l->http);
	ws_destroy(l->ws);
	buf_finish(&l->cut);
	free(l);
}

void relay_link_destroy(struct relay_link *l)
{
	if (!l || l->dead)
		return;
	l->dead = true;
	loop_timer_stop(&l->limit);
	udp_destroy(l->udp);
	stream_destroy(l->stream);
	tls_context_unref(l->tls);
	proxy_unref(l->proxy);
	loop_defer(l->loop, &l->release, release, l);
}

const char *relay_link_error_text(const struct relay_link *l)
{
	const char *text = l->stream ? stream_error_text(l->stream) : NULL;

	return text ? text : "";
}

static void send_frame(struct relay_link *l, const struct span *parts, size_t n)
{
	uint8_t message[TURN_STREAM_MESSAGE_MAX];
	struct writer w = writer_of(message, sizeof(message));

	for (size_t i = 0; i < n; i++)
		writer_span_put(&w, parts[i]);
	if (!writer_failed(&w) && ws_send_binary(l->ws, writer_span(&w)) == 0)
		flush_ws(l);
}

void relay_link_send(struct relay_link *l, struct span head, struct span data, size_t pad)
{
	static const uint8_t zeros[4];
	struct span parts[3] = { head, data, span_of(zeros, FL_MIN(pad, sizeof(zeros))) };
	uint8_t message[MESSAGE_MAX];
	struct writer w = writer_of(message, sizeof(message));
	struct dgram d = { .remote = l->server };

	if (l->ws) {
		send_frame(l, parts, ARRAY_LEN(parts));
	} else if (l->stream) {
		if (stream_write_parts(l->stream, parts, ARRAY_LEN(parts)) == FL_EQUOTA)
			return; /* full: lost, as on any network */
	} else if (l->udp) {
		for (size_t i = 0; i < ARRAY_LEN(parts); i++)
			writer_span_put(&w, parts[i]);
		d.data = writer_span(&w);
		if (!writer_failed(&w))
			(void)udp_send(l->udp, &d);
	}
}

bool relay_link_usable(const struct relay_link *l)
{
	struct addr local;

	return !l->stream || !stream_local(l->stream, &local) || ifaces_has(&local);
}

void relay_link_flush(struct relay_link *l)
{
	if (l->udp)
		udp_flush(l->udp);
}
