#include "monitor/monitor.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "io/stream.h"
#include "proto/http/http.h"

#define READ_MAX (16 * 1024)
#define CLOSE_US (2 * USEC_PER_SEC)

struct conn {
	struct monitor *monitor;
	struct list node;
	struct stream *stream;
	struct http_server *http;
	struct loop_timer timer;
	struct loop_deferred end;
	const struct monitor_page *wants; /* before it can be answered; NULL: nothing */
	bool dead, advancing, closing, finished;
};

struct monitor {
	struct loop *loop;
	const struct monitor_config *config;
	void *arg;
	struct listener *listener;
	struct list conns;
	size_t n_conns;
	bool asked; /* the figures are under way */
	struct loop_timer late;
	struct log_limit limit;
};

static void advance(struct conn *c);

/* ---- life ---- */

static void free_conn(void *arg)
{
	free(arg);
}

static void kill_conn(struct conn *c)
{
	if (c->dead)
		return;
	c->dead = true;
	list_remove(&c->node);
	c->monitor->n_conns--;
	loop_timer_stop(&c->timer);
	http_server_destroy(c->http);
	stream_destroy(c->stream);
	loop_defer(c->monitor->loop, &c->end, free_conn, c);
}

/* What is queued leaves, then the stream closes; a side that does not read is cut off. */
static void finish_conn(struct conn *c)
{
	if (c->dead || c->finished)
		return;
	c->finished = true;
	stream_close(c->stream);
	if (!c->dead && loop_timer_after(&c->timer, CLOSE_US) < 0)
		kill_conn(c);
}

/* ---- answers ---- */

static void answer(struct conn *c, unsigned status, const char *type, struct span body)
{
	const struct http_field fields[] = {
		{ "Content-Type", type },
		{ "Cache-Control", "no-store" },
		{ status == 405 ? "Allow" : "X-Content-Type-Options",
		  status == 405 ? "GET, HEAD" : "nosniff" },
	};

	c->wants = NULL;
	http_server_set_date(c->http, (int64_t)(usec_realtime() / USEC_PER_SEC));
	if (http_server_respond(c->http, loop_now(c->monitor->loop), status, fields,
				ARRAY_LEN(fields), body) < 0)
		kill_conn(c);
}

static void answer_text(struct conn *c, unsigned status, const char *text)
{
	answer(c, status, "text/plain; charset=utf-8", span_str(text));
}

static void answer_page(struct conn *c)
{
	const struct monitor *m = c->monitor;
	struct buf b = BUF_INIT(m->config->text_max);
	unsigned status = c->wants->write(m->arg, &b);

	if (status == 0)
		answer_text(c, 500, "out of memory\n");
	else
		answer(c, status, c->wants->type, buf_span(&b));
	buf_finish(&b);
}

/* All who wait, with the figures or without them. */
static void answer_all(struct monitor *m, bool figures)
{
	struct conn *c, *next;

	list_for_each (c, next, &m->conns, node) {
		if (!c->wants)
			continue;
		if (figures)
			answer_page(c);
		else
			answer_text(c, 503, m->config->late);
		if (!c->dead)
			advance(c);
	}
}

void monitor_answer(struct monitor *m)
{
	m->asked = false;
	loop_timer_stop(&m->late);
	answer_all(m, true);
}

static void on_late(void *arg)
{
	answer_all(arg, false);
}

static void want(struct conn *c, const struct monitor_page *page)
{
	struct monitor *m = c->monitor;

	c->wants = page;
	if (!loop_timer_running(&m->late))
		(void)loop_timer_after(&m->late, MONITOR_ANSWER_US);
	if (m->asked)
		return;
	m->asked = true;
	if (m->config->gather(m->arg) < 0) {
		m->asked = false;
		answer_text(c, 503, "out of memory\n");
	}
}

static void on_request(struct conn *c, const struct http_request *r)
{
	const struct monitor_page *page = c->monitor->config->pages;

	if (r->method != HTTP_METHOD_GET && r->method != HTTP_METHOD_HEAD) {
		answer_text(c, 405, "only GET and HEAD\n");
		return;
	}
	while (page->path && strcmp(page->path, r->path) != 0)
		page++;
	if (page->path)
		want(c, page);
	else
		answer_text(c, 404, "there are /metrics and /health\n");
}

/* ---- the stream ---- */

static bool push_output(struct conn *c)
{
	struct span out = http_server_output(c->http);

	if (out.len == 0)
		return false;
	if (stream_write(c->stream, out) < 0) {
		kill_conn(c);
		return false;
	}
	http_server_sent(c->http, out.len);
	return true;
}

static void on_event(struct conn *c, const struct http_server_event *e)
{
	switch (e->type) {
	case HTTP_SERVER_HEAD:
		break; /* not asked for */
	case HTTP_SERVER_REQUEST:
		on_request(c, e->request);
		break;
	case HTTP_SERVER_CLOSE:
		c->closing = true;
		break;
	}
}

static void advance(struct conn *c)
{
	struct http_server_event e;
	bool moved = true;

	if (c->advancing || c->dead || c->finished)
		return;
	c->advancing = true;
	while (moved && !c->dead) {
		moved = false;
		while (!c->dead && !c->wants && http_server_next_event(c->http, &e)) {
			on_event(c, &e);
			moved = true;
		}
		if (!c->dead)
			moved |= push_output(c);
	}
	c->advancing = false;
	if (c->dead)
		return;
	if (c->closing) {
		finish_conn(c);
		return;
	}
	stream_pause_read(c->stream, http_server_full(c->http));
	if (!c->dead && loop_timer_at(&c->timer, http_server_deadline(c->http)) < 0)
		kill_conn(c);
}

static void on_open(void *arg)
{
}

static void on_read(void *arg, struct buf *in)
{
	struct conn *c = arg;
	struct span bytes = buf_span(in);
	int err = 0;

	if (!c->closing)
		err = http_server_input(c->http, loop_now(c->monitor->loop), bytes);
	if (err < 0) {
		kill_conn(c);
		return;
	}
	buf_consume(in, bytes.len);
	advance(c);
}

static void on_close(void *arg, int err)
{
	kill_conn(arg);
}

static void on_timer(void *arg)
{
	struct conn *c = arg;

	if (c->finished) {
		kill_conn(c);
		return;
	}
	http_server_timeout(c->http, loop_now(c->monitor->loop));
	advance(c);
}

static void on_accept(void *arg, int fd, const struct addr *from)
{
	static const struct stream_handler handler = { .on_open = on_open,
						       .on_read = on_read,
						       .on_close = on_close };
	struct monitor *m = arg;
	const struct stream_config config = { .read_max = READ_MAX,
					      .write_max = 2 * m->config->text_max };
	const struct http_server_config http = { .head_max = 8192,
						 .body_max = 1,
						 .pipeline_max = READ_MAX,
						 .out_max = 2 * m->config->text_max };
	struct conn *c = m->n_conns < MONITOR_CONNECTIONS_MAX ? calloc(1, sizeof(*c)) : NULL;
	unsigned held;

	(void)from;
	if (!c) {
		close(fd);
		if (log_limit_pass(&m->limit, loop_now(m->loop), &held))
			log_warn("metrics-refused", "open=%zu max=%d held=%u", m->n_conns,
				 MONITOR_CONNECTIONS_MAX, held);
		return;
	}
	c->monitor = m;
	list_push_back(&m->conns, &c->node);
	m->n_conns++;
	loop_timer_init(m->loop, &c->timer, on_timer, c);
	c->http = http_server_create(&http, loop_now(m->loop));
	if (!c->http) {
		close(fd);
		kill_conn(c);
	} else if (stream_adopt(m->loop, fd, &config, &handler, c, &c->stream) < 0) {
		kill_conn(c);
	} else {
		advance(c);
	}
}

int monitor_create(struct loop *loop, const struct addr *at, const struct monitor_config *config,
		   void *arg, struct monitor **out)
{
	struct monitor *m = calloc(1, sizeof(*m));
	int err;

	if (!m)
		return -ENOMEM;
	m->loop = loop;
	m->config = config;
	m->arg = arg;
	list_init(&m->conns);
	loop_timer_init(loop, &m->late, on_late, m);
	err = listener_create(loop, at, on_accept, m, &m->listener);
	if (err < 0) {
		free(m);
		return err;
	}
	*out = m;
	return 0;
}

void monitor_destroy(struct monitor *m)
{
	struct conn *c, *next;

	if (!m)
		return;
	listener_destroy(m->listener);
	loop_timer_stop(&m->late);
	list_for_each (c, next, &m->conns, node)
		kill_conn(c);
	free(m);
}

struct addr monitor_addr(const struct monitor *m)
{
	return listener_addr(m->listener);
}
