#include "hub/http/server.h"

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
#include "hub/realtime/rt.h"

#define LISTENERS_MAX (2 * CONFIG_LISTEN_MAX)
#define STREAM_READ_MAX (64 * 1024)
#define STREAM_WRITE_MAX (128 * 1024)
#define HTTP_QUEUE_MAX (64 * 1024)
#define PIECE (16 * 1024)
#define LINGER_US USEC_PER_SEC
#define CLOSE_US (2 * USEC_PER_SEC)
#define SPARE_DESCRIPTORS 64 /* kept for files, the store and the loop */

struct server {
	struct hub *hub;
	struct tls_context *tls;
	struct listener *listeners[LISTENERS_MAX];
	size_t n_listeners;
	struct list conns;
	size_t n_conns, conns_max;
	struct log_limit limit;
	bool down;
};

struct conn {
	struct server *server;
	struct list node;
	struct stream *stream;
	struct http_server *http; /* until the upgrade */
	struct rt *rt;		  /* after it */
	struct exchange *exchange;
	struct addr from;
	struct loop_timer timer;
	struct loop_deferred end;
	/* what is left of the present answer's body, and who keeps it */
	struct span body;
	struct files_set *body_set;
	char *body_owned;
	bool in_body, dead, advancing;
	bool closing, linger;	  /* once the present answer left */
	bool finished, lingering; /* nothing is served any more */
};

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

static void kill_conn(struct conn *c)
{
	if (c->dead)
		return;
	c->dead = true;
	list_remove(&c->node);
	c->server->n_conns--;
	loop_timer_stop(&c->timer);
	if (c->exchange)
		c->exchange->conn = NULL;
	rt_destroy(c->rt);
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
		kill_conn(c);
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

/* Starts the answer's head; the body follows as the connection takes it. */
static void start_answer(struct conn *c, unsigned status, const struct headers *h, struct span body)
{
	/* 204 and 304 have none; for HEAD the core counts and leaves it out */
	bool none = status == 204 || status == 304;

	if (http_server_start(c->http, now_of(c), status, h->fields, h->count,
			      none ? 0 : body.len) < 0) {
		kill_conn(c);
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
	start_answer(c,
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

void exchange_upgrade(struct exchange *x,
		      struct rt *(*make)(struct exchange *x, struct stream *stream,
					 void (*on_end)(void *conn)))
{
	struct http_field fields[3];
	struct conn *c = x->conn;
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
	c->rt = make(x, c->stream, on_rt_end);
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
	kill_conn(c);
}

/* ---- requests ---- */

static void take_credential(struct exchange *x, const struct http_request *r)
{
	static const char bearer[] = "bearer ";
	struct span auth = http_headers_get(&r->headers, "authorization");
	struct span cookie = http_cookie_get(&r->headers, "fairlead");
	char token[256];

	if (auth.ptr && auth.len > sizeof(bearer) - 1 &&
	    text_equal_nocase(span_of(auth.ptr, sizeof(bearer) - 1), span_str(bearer))) {
		x->credential = CREDENTIAL_KEY;
		secret_hash(span_of(auth.ptr + sizeof(bearer) - 1, auth.len - sizeof(bearer) + 1),
			    x->credential_hash);
	} else if (r->upgrade &&
		   http_query_get(r->query, "access_token", token, sizeof(token)) > 0) {
		/* what SignalR clients do where a WebSocket cannot carry headers */
		x->credential = CREDENTIAL_KEY;
		secret_hash(span_str(token), x->credential_hash);
		ct_wipe(token, sizeof(token));
	} else if (cookie.ptr) {
		x->credential = CREDENTIAL_COOKIE;
		secret_hash(cookie, x->credential_hash);
	}
}

/* A page of another site must not act with this browser's cookie. */
static bool origin_ok(const struct exchange *x, const struct http_request *r)
{
	struct span origin = http_headers_get(&r->headers, "origin");
	bool changes = r->method != HTTP_METHOD_GET && r->method != HTTP_METHOD_HEAD;
	bool cookie = http_cookie_get(&r->headers, "fairlead").ptr != NULL;

	if (!origin.ptr)
		return !(cookie && x->credential != CREDENTIAL_KEY && (changes || r->upgrade));
	return !(changes || r->upgrade) || headers_origin_fits(origin, r->host);
}

static void take_body(struct exchange *x, const struct http_request *r)
{
	static const char json[] = "application/json";
	struct span type = http_headers_get(&r->headers, "content-type");
	char why[SCHEMA_WHY_MAX];

	if (!x->route->body)
		return;
	/* also keeps forms of other sites out, which cannot send this type */
	if (type.len < sizeof(json) - 1 ||
	    !text_equal_nocase(span_of(type.ptr, sizeof(json) - 1), span_str(json))) {
		exchange_refuse(x, 415, "not-json", "Send content-type: application/json.");
		return;
	}
	x->body = schema_take_text(x->route->body, r->body, why);
	if (!x->body)
		exchange_refuse(x, 400, "bad-request", "%s", why);
}

static void check_request(struct exchange *x, const struct http_request *r)
{
	int status;

	if (!origin_ok(x, r)) {
		exchange_refuse(x, 403, "wrong-origin", "This request comes from another site.");
	} else if (x->route->websocket) {
		status = ws_server_check(r, NULL, &x->offer);
		if (status)
			exchange_refuse(x, (unsigned)status, "not-a-websocket",
					"Open this path as a WebSocket (version 13).");
	} else {
		take_body(x, r);
	}
}

static struct exchange *make_exchange(struct conn *c, const struct route *route,
				      const struct http_request *r)
{
	struct exchange *x = calloc(1, sizeof(*x));

	if (!x)
		return NULL;
	x->hub = c->server->hub;
	x->conn = c;
	x->route = route;
	x->from = c->from;
	addr_format_ip(&c->from, x->from_text);
	x->now = hub_now_ms();
	text_copy_span(x->query, sizeof(x->query), r->query);
	if (headers_host_valid(r->host))
		text_copy_span(x->host, sizeof(x->host), r->host);
	take_credential(x, r);
	c->exchange = x;
	return x;
}

static void begin_exchange(struct conn *c, const struct route *route, const char *id,
			   const struct http_request *r)
{
	struct exchange *x = make_exchange(c, route, r);

	if (!x) {
		kill_conn(c);
		return;
	}
	text_copy(x->id, sizeof(x->id), id);
	check_request(x, r);
	if (x->code)
		exchange_answer(x);
	else if (route->begin)
		route->begin(x);
	else
		exchange_work(x);
}

static void answer_plain(struct conn *c, const struct http_request *r, unsigned status,
			 const char *code, const char *message)
{
	static const struct route none = { .path = "" };
	struct exchange *x = make_exchange(c, &none, r);

	if (!x) {
		kill_conn(c);
		return;
	}
	exchange_refuse(x, status, code, "%s", message);
	exchange_answer(x);
}

static void answer_file(struct conn *c, const struct http_request *r)
{
	static const char *const codings[] = {
		[HTTP_CODING_GZIP] = "gzip", [HTTP_CODING_BR] = "br"
	};
	struct headers h;
	struct file file;
	bool same;

	if (!files_get(c->server->hub->files, r->path, &r->headers, &file)) {
		answer_plain(c, r, 404, "not-found", "There is nothing under this address.");
		return;
	}
	same = http_etag_match(http_headers_get(&r->headers, "if-none-match"), file.etag);
	headers_init(&h, r->host);
	headers_add(&h, "etag", file.etag);
	headers_add(&h, "cache-control",
		    file.immutable ? "public, max-age=31536000, immutable" : "no-cache");
	if (file.varies)
		headers_add(&h, "vary", "accept-encoding");
	if (!same)
		headers_add(&h, "content-type", file.type);
	if (!same && file.coding != HTTP_CODING_IDENTITY)
		headers_add(&h, "content-encoding", codings[file.coding]);
	files_ref(file.set);
	c->body_set = file.set;
	start_answer(c, same ? 304 : 200, &h, file.data);
}

static bool under_api(const char *path)
{
	static const char *const prefixes[] = { "/api/", "/id/", "/endpoint", "/realtime",
						"/health" };

	for (size_t i = 0; i < ARRAY_LEN(prefixes); i++)
		if (strncmp(path, prefixes[i], strlen(prefixes[i])) == 0)
			return true;
	return false;
}

static void on_request(struct conn *c, const struct http_request *r)
{
	char id[STORE_ID_CAP] = "";
	bool path_known = false;
	const struct route *route = api_find(r->method, r->path, id, &path_known);

	if (route)
		begin_exchange(c, route, id, r);
	else if (path_known)
		answer_plain(c, r, 405, "wrong-method", "This address does not know that method.");
	else if (under_api(r->path))
		answer_plain(c, r, 404, "not-found", "There is nothing under this address.");
	else if (r->method == HTTP_METHOD_GET || r->method == HTTP_METHOD_HEAD)
		answer_file(c, r);
	else
		answer_plain(c, r, 405, "wrong-method", "Pages are only for reading.");
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
			kill_conn(c);
			return false;
		}
		c->body = span_of(c->body.ptr + n, c->body.len - n);
	}
	drop_body(c);
	if (http_server_end(c->http, now_of(c)) < 0)
		kill_conn(c);
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
			kill_conn(c);
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
		break; /* not asked for */
	case HTTP_SERVER_REQUEST:
		http_server_set_date(c->http, hub_now_ms() / 1000);
		on_request(c, e->request);
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
		kill_conn(c);
}

/* After anything happened. Answers given on the way come back here and leave at once: the loop
 * above them goes on. */
static void advance(struct conn *c)
{
	struct http_server_event e;
	bool moved = true;

	if (c->advancing || c->dead || c->rt || !c->http || c->finished)
		return;
	c->advancing = true;
	while (moved && !c->dead && !c->rt) {
		moved = false;
		while (!c->dead && !c->rt && !c->in_body && !c->exchange &&
		       http_server_next_event(c->http, &e)) {
			on_http_event(c, &e);
			moved = true;
		}
		if (!c->dead && !c->rt) {
			moved |= push_body(c);
			if (!c->dead)
				moved |= push_output(c);
		}
	}
	c->advancing = false;
	if (c->dead || c->rt)
		return;
	stream_pause_read(c->stream, !c->closing && http_server_full(c->http));
	set_timer(c);
	if (c->closing && !c->dead && http_server_output(c->http).len == 0)
		finish_conn(c, c->linger);
}

static void on_open(void *arg)
{
}

static void on_read(void *arg, struct buf *in)
{
	struct conn *c = arg;
	struct span bytes = buf_span(in);

	if (c->rt) {
		rt_read(c->rt, bytes);
	} else if (c->http && !c->closing) {
		if (http_server_input(c->http, now_of(c), bytes) < 0) {
			kill_conn(c);
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

	if (c->rt)
		rt_drain(c->rt);
	else
		advance(c);
}

static void on_close(void *arg, int err)
{
	struct conn *c = arg;

	kill_conn(c);
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
	if (c->finished) {
		kill_conn(c); /* closing took too long */
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
	const struct http_server_config http = { .out_max = HTTP_QUEUE_MAX };
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
		kill_conn(c);
	} else if (stream_adopt(loop, fd, &config, &stream_handler, c, &c->stream) < 0) {
		kill_conn(c);
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
	list_for_each (c, next, &s->conns, node) {
		if (c->rt) {
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
		kill_conn(c);
	tls_context_unref(s->tls);
	free(s);
}
