#include "hublink/line.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/ct.h"
#include "base/err.h"

struct line {
	struct loop *loop;
	struct hub_url url;
	struct tls_context *tls;
	struct way *way;
	usec_t timeout_us;
	size_t body_max;
	const struct line_handler *handler;
	void *arg;
	struct hub_conn *conn;
	bool open;
	struct http_client *http;
	struct http_client_request request; /* body lies in body */
	struct buf body;
	bool busy;     /* a request waits for its answer */
	bool asked;    /* it was handed to http */
	bool again;    /* this connection has answered before: it may have been closed meanwhile */
	bool upgraded; /* HTTP is over */
	bool works;    /* line_works() was called */
	bool dead;
	struct loop_timer timer;
	struct loop_deferred release;
};

static void drop(struct line *l)
{
	loop_timer_stop(&l->timer);
	hub_conn_destroy(l->conn);
	http_client_destroy(l->http);
	l->conn = NULL;
	l->http = NULL;
	l->open = l->asked = l->again = false;
}

static void fail(struct line *l, int err, const char *why)
{
	bool connected = l->open, wanted = l->busy || l->upgraded;

	drop(l);
	l->busy = false;
	if (wanted && !l->dead)
		l->handler->on_failed(l->arg, connected, err, why);
}

static int connect_line(struct line *l);

/* 0 or negative: what is to be sent did not fit. */
static int flush(struct line *l)
{
	struct span out = http_client_output(l->http);
	int err = out.len ? hub_conn_write(l->conn, out) : 0;

	if (err == 0)
		http_client_sent(l->http, out.len);
	if (err == 0)
		err = loop_timer_at(&l->timer, http_client_deadline(l->http));
	return err;
}

static int ask(struct line *l)
{
	int err = http_client_request(l->http, loop_now(l->loop), &l->request);

	l->asked = err == 0;
	return err < 0 ? err : flush(l);
}

/* True while there may be more. */
static bool take_event(struct line *l, const struct http_client_event *e)
{
	char why[400];

	if (e->type == HTTP_CLIENT_FAILED) {
		snprintf(why, sizeof(why), "%.150s gave no usable answer (%.100s).",
			 l->url.authority, e->reason ? e->reason : "no reason given");
		fail(l, e->err, why);
		return false;
	}
	bool whole = e->type == HTTP_CLIENT_RESPONSE;
	struct http_client *http = l->http;
	struct span rest = { 0 };

	if (!whole) {
		l->handler->on_answer(l->arg, e->response, false);
		return !l->dead && l->http == http;
	}
	l->busy = l->asked = false;
	l->again = true;
	l->upgraded = e->response->upgraded;
	if (l->upgraded) {
		rest = http_client_rest(l->http);
		loop_timer_stop(&l->timer);
	}
	/* the response lies in http, which therefore outlives the handler */
	bool keep = l->upgraded || e->response->keep_alive;
	l->http = NULL;
	if (!keep) {
		hub_conn_destroy(l->conn);
		l->conn = NULL;
		l->open = l->again = false;
	}
	l->handler->on_answer(l->arg, e->response, true);
	if (!l->dead && l->upgraded)
		l->handler->on_bytes(l->arg, rest);
	if (l->dead || !keep || l->upgraded || l->http) {
		http_client_destroy(http);
	} else {
		l->http = http;
		if (l->busy && ask(l) < 0)
			fail(l, -ENOMEM, "Out of memory.");
	}
	return !l->dead && l->http == http;
}

static void take_events(struct line *l)
{
	struct http_client_event e;

	while (!l->dead && l->http && http_client_next_event(l->http, &e))
		if (!take_event(l, &e))
			return;
	if (!l->dead && l->http && l->open && flush(l) < 0)
		fail(l, -ENOMEM, "Out of memory.");
}

static void on_timer(void *arg)
{
	struct line *l = arg;

	if (!l->http)
		return;
	http_client_timeout(l->http, loop_now(l->loop));
	take_events(l);
}

static void on_open(void *arg)
{
	struct line *l = arg;
	int err;

	l->open = true;
	if (l->works)
		hub_conn_works(l->conn);
	if (l->busy && (err = ask(l)) < 0)
		fail(l, err, "The request could not be written; is the API key one line?");
}

static void on_read(void *arg, struct buf *in)
{
	struct line *l = arg;
	int err;

	if (l->upgraded) {
		l->handler->on_bytes(l->arg, buf_span(in));
		buf_clear(in);
		return;
	}
	err = l->http ? http_client_input(l->http, loop_now(l->loop), buf_span(in)) : 0;
	buf_clear(in);
	if (err < 0)
		fail(l, err, "The hub sent more than it may at once.");
	else
		take_events(l);
}

/* A connection that is kept may be closed by the other side just when the next request leaves. */
static void on_close(void *arg, int err, const char *why)
{
	struct line *l = arg;
	bool retry = l->busy && l->again && !l->upgraded;

	if (l->http && !l->upgraded && l->busy && !retry) {
		http_client_eof(l->http, loop_now(l->loop));
		take_events(l);
		if (l->dead || !l->conn)
			return;
	}
	if (!retry) {
		fail(l, err ? err : FL_ECLOSED, why);
		return;
	}
	drop(l);
	if (connect_line(l) < 0)
		fail(l, -ENOMEM, "Out of memory.");
}

static const struct hub_conn_handler conn_handler = { on_open, on_read, on_close };

static int connect_line(struct line *l)
{
	const struct http_client_config config = { .timeout_us = l->timeout_us,
						   .body_max = l->body_max };

	l->http = http_client_create(&config);
	if (!l->http)
		return -ENOMEM;
	return hub_conn_create(l->loop, &l->url, l->tls, l->way, &conn_handler, l, &l->conn);
}

int line_request(struct line *l, const struct http_client_request *request)
{
	int err;

	if (l->busy || l->upgraded)
		return FL_ESTATE;
	buf_clear(&l->body);
	err = buf_append_span(&l->body, request->body);
	if (err < 0)
		return err;
	l->request = *request;
	l->request.body = buf_span(&l->body);
	l->busy = true;
	if (l->conn && l->open && l->http)
		err = ask(l);
	else if (!l->conn)
		err = connect_line(l);
	if (err < 0) {
		l->busy = false;
		drop(l);
	}
	return err;
}

bool line_busy(const struct line *l)
{
	return l->busy;
}

int line_write(struct line *l, struct span bytes)
{
	return l->conn ? hub_conn_write(l->conn, bytes) : -EPIPE;
}

void line_works(struct line *l)
{
	l->works = true;
	if (l->conn)
		hub_conn_works(l->conn);
}

const struct hub_conn *line_conn(const struct line *l)
{
	return l->conn;
}

int line_create(struct loop *loop, const struct line_config *config,
		const struct line_handler *handler, void *arg, struct line **out)
{
	struct line *l = calloc(1, sizeof(*l));

	if (!l)
		return -ENOMEM;
	l->loop = loop;
	l->url = *config->realtime->url;
	l->tls = tls_context_ref(config->realtime->tls);
	l->way = config->realtime->way;
	l->timeout_us = config->timeout_us;
	l->body_max = config->body_max;
	l->handler = handler;
	l->arg = arg;
	l->body = BUF_INIT(2 * 256 * 1024);
	loop_timer_init(loop, &l->timer, on_timer, l);
	*out = l;
	return 0;
}

static void release(void *arg)
{
	struct line *l = arg;

	http_client_destroy(l->http);
	buf_finish(&l->body);
	tls_context_unref(l->tls);
	free(l);
}

void line_destroy(struct line *l)
{
	if (!l || l->dead)
		return;
	l->dead = true;
	loop_timer_stop(&l->timer);
	hub_conn_destroy(l->conn);
	l->conn = NULL;
	loop_defer(l->loop, &l->release, release, l);
}
