#include "hublink/conn.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/text.h"
#include "hublink/dial.h"

#define WAYS_MAX 12

enum state { WAITING, DIALLING, OVER };

/* One way in the race. */
struct runner {
	struct hub_conn *c;
	struct proxy *proxy; /* NULL: directly */
	char found[WAY_FOUND_MAX];
	usec_t at; /* not before, while others run */
	enum state state;
	struct hub_dial *dial;
};

struct hub_conn {
	struct loop *loop;
	struct hub_url url;
	struct tls_context *tls;
	struct way *way;
	const struct hub_conn_handler *handler;
	void *arg;
	struct way_search *search; /* NULL: no more ways will be found */
	struct runner runners[WAYS_MAX];
	size_t n_runners;
	struct runner *winner;
	bool works;
	bool told; /* on_close was called or is no longer wanted */
	struct loop_timer timer;
	/* of the most preferred way that failed */
	const struct runner *of;
	int err;
	char why[HUB_DIAL_WHY];
	struct loop_deferred later;
	bool later_set;
};

static void give_up(struct hub_conn *c, int err, const char *why)
{
	if (c->told)
		return;
	c->told = true;
	loop_timer_stop(&c->timer);
	c->handler->on_close(c->arg, err, why);
}

static void drop(struct hub_conn *c, struct runner *r)
{
	r->state = OVER;
	hub_dial_destroy(r->dial);
	r->dial = NULL;
}

/* ---- one way's dial ---- */

static void on_dial_open(void *arg)
{
	struct runner *r = arg;
	struct hub_conn *c = r->c;

	c->winner = r;
	loop_timer_stop(&c->timer);
	way_search_cancel(c->search);
	c->search = NULL;
	for (size_t i = 0; i < c->n_runners; i++)
		if (&c->runners[i] != r)
			drop(c, &c->runners[i]);
	c->handler->on_open(c->arg);
}

static void on_dial_read(void *arg, struct buf *in)
{
	struct runner *r = arg;

	r->c->handler->on_read(r->c->arg, in);
}

/* What a proxy says tells more than that there is no name to go to without it. */
static unsigned worth(const struct runner *r, int err)
{
	return r->proxy && err == FL_EPROXY ? 2 : err != -ENOENT && err != -EAGAIN;
}

static void keep_reason(struct hub_conn *c, const struct runner *r, int err, const char *why)
{
	unsigned now = worth(r, err), before = c->of ? worth(c->of, c->err) : 0;

	if (c->of && (now < before || (now == before && c->of->at <= r->at)))
		return;
	c->of = r;
	c->err = err;
	(void)text_copy(c->why, sizeof(c->why), why);
}

static void go_on(struct hub_conn *c);

static void on_dial_close(void *arg, int err, const char *why)
{
	struct runner *r = arg;
	struct hub_conn *c = r->c;

	if (c->winner) {
		give_up(c, err, why);
		return;
	}
	if (c->way)
		way_failed(c->way, c->loop, r->proxy, false);
	keep_reason(c, r, err, why);
	drop(c, r);
	go_on(c);
}

static const struct hub_dial_handler dial_handler = { on_dial_open, on_dial_read, on_dial_close };

/* ---- the race ---- */

static struct runner *next_waiting(struct hub_conn *c)
{
	struct runner *best = NULL;

	for (size_t i = 0; i < c->n_runners; i++)
		if (c->runners[i].state == WAITING && (!best || c->runners[i].at < best->at))
			best = &c->runners[i];
	return best;
}

static bool any_runs(const struct hub_conn *c)
{
	for (size_t i = 0; i < c->n_runners; i++)
		if (c->runners[i].state == DIALLING)
			return true;
	return false;
}

static void start(struct hub_conn *c, struct runner *r)
{
	int err = hub_dial_create(c->loop, &c->url, c->tls, r->proxy, &dial_handler, r, &r->dial);

	r->state = err < 0 ? OVER : DIALLING;
	if (err < 0)
		keep_reason(c, r, err, "Out of memory, or of open files.");
}

/* What was preferred has failed, and nothing else is under way. */
static bool held_up(const struct hub_conn *c)
{
	bool failed = false;

	for (size_t i = 0; i < c->n_runners; i++)
		failed = failed || c->runners[i].state == OVER;
	return !any_runs(c) && (!c->search || failed);
}

/* What is due starts; what is not waits as long as something may come before it. */
static void go_on(struct hub_conn *c)
{
	struct runner *r;

	if (c->told || c->winner)
		return;
	while ((r = next_waiting(c)) && (r->at <= loop_now(c->loop) || held_up(c)))
		start(c, r);
	if (r) {
		loop_timer_at(&c->timer, r->at);
		return;
	}
	loop_timer_stop(&c->timer);
	if (any_runs(c))
		return;
	if (c->search)
		way_search_need(c->search);
	else
		give_up(c, c->err ? c->err : -ENOENT, c->why);
}

static void on_timer(void *arg)
{
	go_on(arg);
}

static void on_way(void *arg, struct proxy *proxy, const char *found, usec_t delay)
{
	struct hub_conn *c = arg;
	usec_t at = usec_add(loop_now(c->loop), delay);
	struct runner *r = NULL;

	for (size_t i = 0; i < c->n_runners; i++)
		if (c->runners[i].proxy == proxy)
			r = &c->runners[i];
	if (!r && c->n_runners < WAYS_MAX) {
		r = &c->runners[c->n_runners++];
		*r = (struct runner){ .c = c, .at = at };
		r->proxy = proxy ? proxy_ref(proxy) : NULL;
		(void)text_copy(r->found, sizeof(r->found), found);
	} else if (r && r->state == WAITING && at < r->at) {
		r->at = at;
		(void)text_copy(r->found, sizeof(r->found), found);
	}
	/* later: the search that tells this may not have been handed to us yet */
	if (!loop_timer_running(&c->timer) || at < c->timer.at)
		loop_timer_at(&c->timer, at);
}

static void on_search_end(void *arg, const char *problem)
{
	struct hub_conn *c = arg;

	way_search_cancel(FL_STEAL(c->search));
	if (problem && !c->of)
		(void)text_copy(c->why, sizeof(c->why), problem);
	go_on(c);
}

static const struct way_search_handler search_handler = { on_way, on_search_end };

int hub_conn_create(struct loop *loop, const struct hub_url *url, struct tls_context *tls,
		    struct way *way, const struct hub_conn_handler *handler, void *arg,
		    struct hub_conn **out)
{
	struct hub_conn *c = calloc(1, sizeof(*c));
	int err = 0;

	if (!c)
		return -ENOMEM;
	c->loop = loop;
	c->url = *url;
	c->tls = tls_context_ref(tls);
	c->way = way;
	c->handler = handler;
	c->arg = arg;
	loop_timer_init(loop, &c->timer, on_timer, c);
	if (way)
		err = way_search_start(way, loop, url, &search_handler, c, &c->search);
	else
		on_way(c, NULL, "direct", 0);
	if (err < 0) {
		hub_conn_destroy(c);
		return err;
	}
	*out = c;
	return 0;
}

static void release(void *arg)
{
	free(arg);
}

void hub_conn_destroy(struct hub_conn *c)
{
	if (!c || c->later_set)
		return;
	c->told = true;
	c->later_set = true;
	if (c->winner && !c->works && c->way)
		way_failed(c->way, c->loop, c->winner->proxy, true);
	loop_timer_stop(&c->timer);
	way_search_cancel(c->search);
	c->search = NULL;
	for (size_t i = 0; i < c->n_runners; i++) {
		drop(c, &c->runners[i]);
		proxy_unref(c->runners[i].proxy);
		c->runners[i].proxy = NULL;
	}
	tls_context_unref(c->tls);
	loop_defer(c->loop, &c->later, release, c);
}

static struct stream *stream_of(const struct hub_conn *c)
{
	return c->winner && c->winner->dial ? hub_dial_stream(c->winner->dial) : NULL;
}

int hub_conn_write(struct hub_conn *c, struct span data)
{
	struct stream *stream = stream_of(c);

	return stream ? stream_write(stream, data) : -EPIPE;
}

void hub_conn_close(struct hub_conn *c)
{
	struct stream *stream = stream_of(c);

	if (stream)
		stream_close(stream);
}

const struct stream *hub_conn_stream(const struct hub_conn *c)
{
	return stream_of(c);
}

bool hub_conn_is_local(const struct hub_conn *c)
{
	return c->winner && c->winner->dial && hub_dial_is_local(c->winner->dial);
}

void hub_conn_works(struct hub_conn *c)
{
	if (c->works || !c->winner)
		return;
	c->works = true;
	if (c->way)
		way_worked(c->way, c->loop, &c->url, c->winner->proxy, c->winner->found);
}
