#include "hub/http/conn.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/ct.h"
#include "base/err.h"
#include "base/log.h"
#include "base/text.h"
#include "hub/api/api.h"
#include "hub/http/files.h"
#include "hub/realtime/link.h"
#include "hub/realtime/rt.h"

#define STREAM_READ_MAX (64 * 1024)
#define STREAM_WRITE_MAX (128 * 1024)
#define HTTP_QUEUE_MAX (64 * 1024)
#define PIECE (16 * 1024)
#define LINGER_US USEC_PER_SEC
#define CLOSE_US (2 * USEC_PER_SEC)
#define SPARE_DESCRIPTORS 64 /* kept for files, the store and the loop */

static void advance(struct conn *c);

static usec_t now_of(const struct conn *c)
{
	return loop_now(c->server->hub->loop);
}

/* ---- life ---- */

static void free_conn(void *arg)
{
	free(arg);
}

static void drop_body(struct conn *c)
{
	files_unref(c->body_set);
	free(c->body_owned);
	c->body_set = NULL;
	c->body_owned = NULL;
	c->body = (struct span){ 0 };
	c->in_body = false;
}

static void free_exchange(struct exchange *x)
{
	if (x->conn)
		x->conn->exchange = NULL;
	json_decref(x->body);
	json_decref(x->result);
	free(x->extra);
	ct_wipe(&x->password, sizeof(x->password));
	ct_wipe(x->text, sizeof(x->text));
	ct_wipe(x->cookie, sizeof(x->cookie));
	free(x);
}

/* Its connection ends. One that waits for the store is freed when it comes back. */
static void exchange_gone(struct exchange *x)
{
	x->conn = NULL;
	if (x->held.on_gone) {
		x->held.on_gone(x);
		free_exchange(x);
	}
}

void conn_kill(struct conn *c)
{
	if (c->dead)
		return;
	c->dead = true;
	list_remove(&c->node);
	c->server->n_conns--;
	loop_timer_stop(&c->timer);
	if (c->exchange)
		exchange_gone(c->exchange);
	rt_destroy(c->rt);
	turn_pass_destroy(c->turn);
	http_server_destroy(c->http);
	c->http = NULL;
	stream_destroy(c->stream);
	drop_body(c);
	loop_defer(c->server->hub->loop, &c->end, free_conn, c);
}

/*
 * No more is served: what is queued still leaves, then the stream closes. With linger what the
 * other side is still sending is read and dropped for a moment first, or its kernel would throw our
 * last words away with a reset.
 */
static void finish_conn(struct conn *c, bool linger)
{
	if (c->dead || c->finished)
		return;
	c->finished = true;
	c->lingering = linger;
	if (!linger)
		stream_close(c->stream);
	/* a side that does not read must not keep its connection */
	if (!c->dead && loop_timer_after(&c->timer, linger ? LINGER_US : CLOSE_US) < 0)
		conn_kill(c);
}

static void on_rt_end(void *arg)
{
	struct conn *c = arg;
	bool linger = !c->dead && rt_broke_rules(c->rt);

	if (c->dead)
		return;
	rt_destroy(c->rt);
	c->rt = NULL;
	finish_conn(c, linger);
}

/* ---- exchanges ---- */

void exchange_refuse(struct exchange *x, unsigned status, const char *code, const char *fmt, ...)
{
	va_list ap;

	x->status = status;
	x->code = code;
	va_start(ap, fmt);
	vsnprintf(x->message, sizeof(x->message), fmt, ap);
	va_end(ap);
}

static int run_work(struct store_job *job, struct store *s)
{
	struct exchange *x = CONTAINER_OF(job, struct exchange, job);
	int err = 0;

	if (x->route->access == ROUTE_SIGNED_IN) {
		if (x->credential == CREDENTIAL_COOKIE)
			err = s->ops->cookie_user(s, x->credential_hash, x->now, &x->user);
		else if (x->credential == CREDENTIAL_KEY)
			err = s->ops->key_user(s, x->credential_hash, &x->user);
		else
			err = -ENOENT;
		if (err == -ENOENT) {
			exchange_refuse(x, 401, "signed-out", "Sign in first.");
			return 0;
		}
	}
	return err < 0 ? err : x->route->work ? x->route->work(x, s) : 0;
}

static void work_done(struct store_job *job, int err)
{
	struct exchange *x = CONTAINER_OF(job, struct exchange, job);

	/* undone, and the refusal says why */
	if (err < 0 && !x->code) {
		log_error("request-failed", "path=%s error=%s", x->route->path, err_name(err));
		if (err == -ENOSPC)
			exchange_refuse(x, 507, "disk-full",
					"The hub's disk is full; nothing was changed.");
		else
			exchange_refuse(x, 500, "internal",
					"The hub could not read or write its store; its log says "
					"why.");
	}
	if (x->code || !x->route->finish)
		exchange_answer(x);
	else
		x->route->finish(x);
}

void exchange_work(struct exchange *x)
{
	x->job = (struct store_job){ .write = x->route->write, .run = run_work, .done = work_done };
	if (store_queue_submit(x->hub->store, &x->job) == 0)
		return;
	exchange_refuse(x, 503, "busy", "The hub has too much to do; try again in a moment.");
	exchange_answer(x);
}

static json_t *error_body(const struct exchange *x)
{
	return json_pack("{s:{s:s, s:s}}", "error", "code", x->code, "message", x->message);
}

void conn_answer(struct conn *c, unsigned status, const struct headers *h, struct span body)
{
	/* 204 and 304 have none; for HEAD the core counts and leaves it out */
	bool none = status == 204 || status == 304;

	if (http_server_start(c->http, now_of(c), status, h->fields, h->count,
			      none ? 0 : body.len) < 0) {
		conn_kill(c);
		return;
	}
	c->body = none ? (struct span){ 0 } : body;
	c->in_body = true;
}

static void answer_json(struct exchange *x)
{
	struct conn *c = x->conn;
	struct headers h;
	json_t *body = x->code ? error_body(x) : json_incref(x->result);
	char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;

	json_decref(body);
	headers_init(&h, span_str(x->host));
	headers_add(&h, "cache-control", "no-store");
	if (text)
		headers_add(&h, "content-type", "application/json");
	if (x->cookie[0])
		headers_add(&h, "set-cookie", x->cookie);
	if (x->status == 429 || x->status == 503)
		headers_add(&h, "retry-after", "5");
	if (x->status == 426)
		headers_add(&h, "sec-websocket-version", "13");
	c->body_owned = text;
	conn_answer(c,
		    x->status ? x->status
		    : text    ? 200
			      : 204,
		    &h, text ? span_str(text) : (struct span){ 0 });
}

void exchange_answer(struct exchange *x)
{
	struct conn *c = x->conn;

	if (c)
		answer_json(x);
	free_exchange(x);
	if (c && !c->dead)
		advance(c);
}

void exchange_answer_text(struct exchange *x, char *text, size_t len)
{
	struct conn *c = x->conn;
	struct headers h;

	if (c) {
		headers_init(&h, span_str(x->host));
		headers_add(&h, "cache-control", "no-store");
		if (len)
			headers_add(&h, "content-type", "text/plain; charset=utf-8");
		c->body_owned = text;
		text = NULL;
		conn_answer(c, x->status ? x->status : 200, &h,
			    span_of((uint8_t *)c->body_owned, len));
	}
	free(text);
	free_exchange(x);
	if (c && !c->dead)
		advance(c);
}

void exchange_hold(struct exchange *x, const struct exchange_held *held)
{
	x->held = *held;
}

int exchange_stream(struct exchange *x, const char *type)
{
	struct headers h;

	headers_init(&h, span_str(x->host));
	headers_add(&h, "cache-control", "no-store");
	headers_add(&h, "content-type", type);
	/* some proxies would wait for the end */
	headers_add(&h, "x-accel-buffering", "no");
	return http_server_start(x->conn->http, now_of(x->conn), 200, h.fields, h.count,
				 HTTP_LENGTH_UNKNOWN);
}

int exchange_stream_write(struct exchange *x, struct span piece)
{
	return http_server_write(x->conn->http, now_of(x->conn), piece);
}

void exchange_stream_end(struct exchange *x)
{
	struct conn *c = x->conn;
	int err = http_server_end(c->http, now_of(c));

	free_exchange(x);
	if (err < 0)
		conn_kill(c);
	else
		advance(c);
}

void exchange_wake(struct exchange *x)
{
	advance(x->conn);
}

void exchange_upgrade(struct exchange *x, exchange_make_fn *make)
{
	struct http_field fields[3];
	struct conn *c = x->conn;
	struct rt_carrier carrier;
	struct span out, rest;
	size_t n = ws_server_fields(&x->offer, fields);

	if (!c) {
		free_exchange(x);
		return;
	}
	if (http_server_upgrade(c->http, now_of(c), fields, n) < 0)
		goto failed;
	/* earlier answers left before this one was begun; the 101 is small */
	out = http_server_output(c->http);
	if (stream_write(c->stream, out) < 0)
		goto failed;
	http_server_sent(c->http, out.len);
	loop_timer_stop(&c->timer);
	carrier = (struct rt_carrier){ .stream = c->stream, .on_end = on_rt_end, .conn = c };
	c->rt = make(x, &carrier);
	if (!c->rt)
		goto failed;
	free_exchange(x);
	rest = http_server_rest(c->http);
	rt_read(c->rt, rest);
	http_server_destroy(c->http);
	c->http = NULL;
	return;
failed:
	free_exchange(x);
	conn_kill(c);
}

/* ---- the relay on our port ---- */

static void on_turn_end(void *arg)
{
	struct conn *c = arg;

	turn_pass_destroy(c->turn);
	c->turn = NULL;
	http_server_destroy(c->http);
	c->http = NULL;
	finish_conn(c, false);
}

/* Answers 101. False: the connection was closed. */
static bool switch_protocols(struct conn *c, const struct ws_offer *offer)
{
	struct http_field fields[3];
	size_t n = ws_server_fields(offer, fields);
	struct span out;

	if (http_server_upgrade(c->http, now_of(c), fields, n) < 0) {
		conn_kill(c);
		return false;
	}
	out = http_server_output(c->http);
	if (stream_write(c->stream, out) < 0) {
		conn_kill(c);
		return false;
	}
	http_server_sent(c->http, out.len);
	return true;
}

void conn_pass_turn(struct conn *c, const struct ws_offer *offer)
{
	if (offer && !switch_protocols(c, offer))
		return;
	loop_timer_stop(&c->timer);
	c->turn = turn_pass_create(c->server->hub, c->stream, &c->from, offer != NULL, on_turn_end,
				   c);
	if (!c->turn) {
		conn_kill(c);
		return;
	}
	if (offer)
		turn_pass_first(c->turn, http_server_rest(c->http));
	http_server_destroy(c->http);
	c->http = NULL;
}

/* ---- the stream ---- */

static bool push_body(struct conn *c)
{
	size_t n;
	int err;

	if (!c->in_body)
		return false;
	while (c->body.len) {
		n = FL_MIN(c->body.len, (size_t)PIECE);
		err = http_server_write(c->http, now_of(c), span_of(c->body.ptr, n));
		if (err == FL_EQUOTA)
			return false;
		if (err < 0) {
			conn_kill(c);
			return false;
		}
		c->body = span_of(c->body.ptr + n, c->body.len - n);
	}
	drop_body(c);
	if (http_server_end(c->http, now_of(c)) < 0)
		conn_kill(c);
	return !c->dead;
}

/* True when something left. */
static bool push_output(struct conn *c)
{
	bool moved = false;
	struct span out;

	while (!c->dead && (out = http_server_output(c->http)).len > 0) {
		size_t n = FL_MIN(out.len, (size_t)PIECE);
		int err = stream_write(c->stream, span_of(out.ptr, n));

		if (err == FL_EQUOTA)
			return moved;
		if (err < 0) {
			conn_kill(c);
			return false;
		}
		http_server_sent(c->http, n);
		moved = true;
	}
	return moved;
}

static void on_http_event(struct conn *c, const struct http_server_event *e)
{
	switch (e->type) {
	case HTTP_SERVER_HEAD:
		conn_request_head(c, e->request);
		break;
	case HTTP_SERVER_REQUEST:
		http_server_set_date(c->http, hub_now_ms() / 1000);
		conn_request(c, e->request);
		break;
	case HTTP_SERVER_CLOSE:
		c->closing = true;
		c->linger = e->status != 0;
		log_debug("connection-close", "status=%u reason=\"%s\"", e->status, e->reason);
		break;
	}
}

static void set_timer(struct conn *c)
{
	if (loop_timer_at(&c->timer, http_server_deadline(c->http)) < 0)
		conn_kill(c);
}

/* No HTTP is spoken on it any more. */
static bool gone_on(const struct conn *c)
{
	return c->dead || c->rt || c->turn;
}

/* After anything happened. Answers given on the way come back here and leave at once: the loop
 * above them goes on. */
static void advance(struct conn *c)
{
	struct http_server_event e;
	bool moved = true;

	if (c->advancing || c->dead || c->rt || c->turn || !c->http || c->finished)
		return;
	c->advancing = true;
	while (moved && !gone_on(c)) {
		moved = false;
		while (!gone_on(c) && !c->in_body && !c->exchange &&
		       http_server_next_event(c->http, &e)) {
			on_http_event(c, &e);
			moved = true;
		}
		if (!c->dead && c->exchange && c->exchange->held.pump)
			moved |= c->exchange->held.pump(c->exchange);
		if (!gone_on(c)) {
			moved |= push_body(c);
			if (!c->dead)
				moved |= push_output(c);
		}
	}
	c->advancing = false;
	if (gone_on(c))
		return;
	stream_pause_read(c->stream, !c->closing && http_server_full(c->http));
	set_timer(c);
	if (c->closing && !c->dead && http_server_output(c->http).len == 0)
		finish_conn(c, c->linger);
}

static void on_open(void *arg)
{
	struct conn *c = arg;
	const struct tls_session *tls = stream_tls(c->stream);

	if (c->server->hub->config->relay_stream && tls &&
	    strcmp(tls_session_alpn(tls), TURN_PASS_ALPN) == 0)
		conn_pass_turn(c, NULL);
}

static void on_read(void *arg, struct buf *in)
{
	struct conn *c = arg;
	struct span bytes = buf_span(in);

	if (c->turn) {
		turn_pass_read(c->turn, in);
		return;
	}
	if (c->rt) {
		rt_read(c->rt, bytes);
	} else if (c->http && !c->closing) {
		if (http_server_input(c->http, now_of(c), bytes) < 0) {
			conn_kill(c);
			return;
		}
	}
	if (c->dead)
		return;
	buf_consume(in, bytes.len);
	advance(c);
}

static void on_drain(void *arg)
{
	struct conn *c = arg;

	if (c->turn)
		turn_pass_drain(c->turn);
	else if (c->rt)
		rt_drain(c->rt);
	else
		advance(c);
}

static void on_close(void *arg, int err)
{
	struct conn *c = arg;

	conn_kill(c);
}

static void on_timer(void *arg)
{
	struct conn *c = arg;

	if (c->lingering) {
		c->lingering = false;
		stream_close(c->stream);
		if (c->dead || loop_timer_after(&c->timer, CLOSE_US) == 0)
			return;
	}
	if (c->finished || !c->http) {
		conn_kill(c); /* closing took too long */
		return;
	}
	http_server_timeout(c->http, now_of(c));
	advance(c);
}

static const struct stream_handler stream_handler = {
	.on_open = on_open,
	.on_read = on_read,
	.on_drain = on_drain,
	.on_close = on_close,
};

static void on_accept(void *arg, int fd, const struct addr *from)
{
	const struct http_server_config http = { .out_max = HTTP_QUEUE_MAX, .ask_body = true };
	struct server *s = arg;
	struct stream_config config = { .read_max = STREAM_READ_MAX,
					.write_max = STREAM_WRITE_MAX,
					.tls = s->tls };
	struct loop *loop = s->hub->loop;
	/* between listening and ready connections wait in the kernel's queue */
	struct conn *c = s->tls && s->n_conns < s->conns_max ? calloc(1, sizeof(*c)) : NULL;
	unsigned held;

	if (!c) {
		close(fd);
		if (log_limit_pass(&s->limit, loop_now(loop), &held))
			log_warn("connection-refused", "open=%zu max=%zu held=%u", s->n_conns,
				 s->conns_max, held);
		return;
	}
	c->server = s;
	c->from = addr_unmap(from);
	list_push_back(&s->conns, &c->node);
	s->n_conns++;
	loop_timer_init(loop, &c->timer, on_timer, c);
	c->http = http_server_create(&http, loop_now(loop));
	if (!c->http) {
		close(fd);
		conn_kill(c);
	} else if (stream_adopt(loop, fd, &config, &stream_handler, c, &c->stream) < 0) {
		conn_kill(c);
	}
}

/* ---- the server ---- */

int server_create(struct hub *hub, struct server **out)
{
	struct server *s = calloc(1, sizeof(*s));
	struct rlimit files = { .rlim_cur = 1024 };

	if (!s)
		return -ENOMEM;
	s->hub = hub;
	list_init(&s->conns);
	/* WebSockets of devices are as many as the system gives descriptors */
	if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
		files.rlim_cur = files.rlim_max;
		if (setrlimit(RLIMIT_NOFILE, &files) < 0 && getrlimit(RLIMIT_NOFILE, &files) < 0)
			files.rlim_cur = 1024;
	}
	s->conns_max = files.rlim_cur > 2 * SPARE_DESCRIPTORS
			       ? (size_t)files.rlim_cur - SPARE_DESCRIPTORS
			       : SPARE_DESCRIPTORS;
	*out = s;
	return 0;
}

int server_listen(struct server *s, const struct addr *at, uint16_t *port)
{
	struct listener *l;
	int err;

	if (s->n_listeners == LISTENERS_MAX)
		return FL_EQUOTA;
	err = listener_create(s->hub->loop, at, on_accept, s, &l);
	if (err < 0)
		return err;
	s->listeners[s->n_listeners++] = l;
	*port = listener_addr(l).port;
	return 0;
}

void server_unlisten(struct server *s)
{
	while (s->n_listeners)
		listener_destroy(s->listeners[--s->n_listeners]);
}

void server_set_tls(struct server *s, struct tls_context *tls)
{
	tls_context_unref(s->tls);
	s->tls = tls;
}

void server_shut_down(struct server *s)
{
	struct conn *c, *next;

	s->down = true;
	server_unlisten(s);
	links_shut_down(s->hub->links);
	list_for_each (c, next, &s->conns, node) {
		if (c->turn) {
			conn_kill(c);
		} else if (c->rt) {
			rt_close(c->rt, WS_CODE_GOING_AWAY, "the hub is going away");
		} else if (c->http) {
			http_server_close(c->http, now_of(c));
			advance(c);
		}
	}
}

bool server_idle(const struct server *s)
{
	return list_empty(&s->conns);
}

void server_destroy(struct server *s)
{
	struct conn *c, *next;

	if (!s)
		return;
	server_unlisten(s);
	list_for_each (c, next, &s->conns, node)
		conn_kill(c);
	tls_context_unref(s->tls);
	free(s);
}
