#include "relay/metrics.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "io/stream.h"
#include "proto/http/http.h"

#define READ_MAX (16 * 1024)
#define WRITE_MAX (2 * METRICS_TEXT_MAX)
#define CLOSE_US (2 * USEC_PER_SEC)

enum wanted { WANT_NOTHING, WANT_METRICS, WANT_HEALTH };

struct conn {
	struct metrics *metrics;
	struct list node;
	struct stream *stream;
	struct http_server *http;
	struct loop_timer timer;
	struct loop_deferred end;
	enum wanted wants; /* the workers' figures, before it can be answered */
	bool dead, advancing, closing, finished;
};

struct metrics {
	struct loop *loop;
	struct relay *relay;
	const struct metrics_facts *facts;
	struct listener *listener;
	struct list conns;
	size_t n_conns;
	bool asked; /* a snapshot is under way */
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
	c->metrics->n_conns--;
	loop_timer_stop(&c->timer);
	http_server_destroy(c->http);
	stream_destroy(c->stream);
	loop_defer(c->metrics->loop, &c->end, free_conn, c);
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

	c->wants = WANT_NOTHING;
	http_server_set_date(c->http, (int64_t)(usec_realtime() / USEC_PER_SEC));
	if (http_server_respond(c->http, loop_now(c->metrics->loop), status, fields,
				ARRAY_LEN(fields), body) < 0)
		kill_conn(c);
}

static void answer_text(struct conn *c, unsigned status, const char *text)
{
	answer(c, status, "text/plain; charset=utf-8", span_str(text));
}

static void answer_metrics(struct conn *c, const struct relay_snapshot *s)
{
	struct buf b = BUF_INIT(METRICS_TEXT_MAX);

	if (metrics_text(s, c->metrics->facts, &b) < 0)
		answer_text(c, 500, "out of memory\n");
	else
		answer(c, 200, "text/plain; version=0.0.4; charset=utf-8", buf_span(&b));
	buf_finish(&b);
}

/* All who wait, with the figures or without them. */
static void answer_all(struct metrics *m, const struct relay_snapshot *s)
{
	struct conn *c, *next;

	list_for_each (c, next, &m->conns, node) {
		if (c->wants == WANT_NOTHING)
			continue;
		if (!s)
			answer_text(c, 503, "a worker does not answer\n");
		else if (c->wants == WANT_METRICS)
			answer_metrics(c, s);
		else if (m->facts->draining)
			answer_text(c, 503, "draining\n");
		else
			answer_text(c, 200, "ok\n");
		if (!c->dead)
			advance(c);
	}
}

static void on_snapshot(void *arg, const struct relay_snapshot *s)
{
	struct metrics *m = arg;

	m->asked = false;
	loop_timer_stop(&m->late);
	answer_all(m, s);
}

static void on_late(void *arg)
{
	answer_all(arg, NULL);
}

static void want(struct conn *c, enum wanted what)
{
	struct metrics *m = c->metrics;

	c->wants = what;
	if (!loop_timer_running(&m->late))
		(void)loop_timer_after(&m->late, METRICS_ANSWER_US);
	if (m->asked)
		return;
	m->asked = true;
	if (relay_snapshot(m->relay, on_snapshot, m) < 0) {
		m->asked = false;
		answer_text(c, 503, "out of memory\n");
	}
}

static void on_request(struct conn *c, const struct http_request *r)
{
	if (r->method != HTTP_METHOD_GET && r->method != HTTP_METHOD_HEAD)
		answer_text(c, 405, "only GET and HEAD\n");
	else if (strcmp(r->path, "/metrics") == 0)
		want(c, WANT_METRICS);
	else if (strcmp(r->path, "/health") == 0)
		want(c, WANT_HEALTH);
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
		while (!c->dead && c->wants == WANT_NOTHING &&
		       http_server_next_event(c->http, &e)) {
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
		err = http_server_input(c->http, loop_now(c->metrics->loop), bytes);
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
	http_server_timeout(c->http, loop_now(c->metrics->loop));
	advance(c);
}

static void on_accept(void *arg, int fd, const struct addr *from)
{
	static const struct stream_handler handler = { .on_open = on_open,
						       .on_read = on_read,
						       .on_close = on_close };
	static const struct stream_config config = { .read_max = READ_MAX, .write_max = WRITE_MAX };
	static const struct http_server_config http = {
		.head_max = 8192, .body_max = 1, .pipeline_max = READ_MAX, .out_max = WRITE_MAX
	};
	struct metrics *m = arg;
	struct conn *c = m->n_conns < METRICS_CONNECTIONS_MAX ? calloc(1, sizeof(*c)) : NULL;
	unsigned held;

	(void)from;
	if (!c) {
		close(fd);
		if (log_limit_pass(&m->limit, loop_now(m->loop), &held))
			log_warn("metrics-refused", "open=%zu max=%d held=%u", m->n_conns,
				 METRICS_CONNECTIONS_MAX, held);
		return;
	}
	c->metrics = m;
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

int metrics_create(struct loop *control, const struct addr *at, struct relay *relay,
		   const struct metrics_facts *facts, struct metrics **out)
{
	struct metrics *m = calloc(1, sizeof(*m));
	int err;

	if (!m)
		return -ENOMEM;
	m->loop = control;
	m->relay = relay;
	m->facts = facts;
	list_init(&m->conns);
	loop_timer_init(control, &m->late, on_late, m);
	err = listener_create(control, at, on_accept, m, &m->listener);
	if (err < 0) {
		free(m);
		return err;
	}
	*out = m;
	return 0;
}

void metrics_destroy(struct metrics *m)
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

struct addr metrics_addr(const struct metrics *m)
{
	return listener_addr(m->listener);
}
