#include "relay/stream_front.h"

#include <errno.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "io/stream.h"
#include "relay/stream_conn.h"

struct tls_context *stream_front_tls(const struct stream_front *f)
{
	if (f->at.transport == TURN_TLS)
		return f->settings->tls;
	return f->at.transport == TURN_WSS ? f->settings->wss : NULL;
}

/* ---- who may have how many ---- */

bool stream_front_count_source(struct conn *c)
{
	c->counted = source_count_take(&c->worker->streams->unproved, &c->link.flow.client,
				       STREAM_FRONT_UNPROVED_MAX);
	return c->counted;
}

static void forget_source(struct conn *c)
{
	if (c->counted)
		source_count_put(&c->worker->streams->unproved, &c->link.flow.client);
	c->counted = false;
}

void stream_front_proved(struct conn *c)
{
	forget_source(c);
	if (c->ws)
		ws_set_message_max(c->ws, STREAM_WSS_MESSAGE_MAX);
}

/* ---- silent and idle connections ---- */

static void arm(struct stream_clients *all)
{
	usec_t at = USEC_NEVER;

	if (!list_empty(&all->silent))
		at = list_entry(all->silent.next, struct conn, node)->due;
	if (!list_empty(&all->watched))
		at = usec_min(at, list_entry(all->watched.next, struct conn, node)->due);
	if (at == USEC_NEVER || !loop_timer_running(&all->due) || at < all->due.at)
		(void)loop_timer_at(&all->due, at);
}

static void enlist(struct conn *c, struct list *list, unsigned seconds)
{
	list_remove(&c->node);
	list_push_back(list, &c->node);
	c->due = usec_add(loop_now(c->worker->loop), seconds * USEC_PER_SEC);
	arm(c->worker->streams);
}

void stream_front_watch(struct conn *c)
{
	enlist(c, &c->worker->streams->watched, STREAM_FRONT_IDLE_S);
}

static void on_due(void *arg)
{
	struct stream_clients *all = arg;
	usec_t now = loop_now(all->worker->loop);
	struct conn *c, *next;

	list_for_each (c, next, &all->silent, node) {
		if (c->due > now)
			break;
		stream_conn_end(c);
	}
	list_for_each (c, next, &all->watched, node) {
		if (c->due > now)
			break;
		if (stream_conn_idle(c, now))
			stream_conn_close(c);
		stream_front_watch(c);
	}
	arm(all);
}

/* ---- connections ---- */

void stream_front_join(struct stream_front *f, struct conn *c)
{
	struct stream_clients *all = f->worker->streams;

	c->worker = f->worker;
	c->front = f;
	f->n++;
	all->n++;
	if (c->last_message)
		stream_front_watch(c);
	else
		enlist(c, &all->silent, STREAM_FRONT_FIRST_MESSAGE_S);
}

void stream_front_leave(struct stream_front *f, struct conn *c)
{
	forget_source(c);
	list_remove(&c->node);
	f->n--;
	f->worker->streams->n--;
}

static void on_accept(void *arg, int fd, const struct addr *from)
{
	struct stream_front *f = arg;
	struct conn *c = NULL;

	if (f->worker->streams->n < STREAM_FRONT_CONNECTIONS_MAX)
		c = stream_conn_new(f, from);
	if (!c) {
		close(fd);
		return;
	}
	stream_front_join(f, c);
	stream_conn_start(c, fd);
}

struct conn *stream_conn_new(struct stream_front *f, const struct addr *from)
{
	struct conn *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->fd = -1;
	list_init(&c->node);
	list_init(&c->later.node);
	c->rest = BUF_INIT(FL_MAX(TURN_STREAM_MESSAGE_MAX + STREAM_WSS_MESSAGE_MAX, PROXY2_MAX));
	c->stage = f->at.proxy_protocol		 ? STREAM_PROXY
		   : f->at.transport == TURN_WSS ? STREAM_HTTP
						 : STREAM_TURN;
	c->link = (struct link){ .ops = &stream_link_ops, .owner = c };
	c->link.flow.transport = f->at.transport;
	c->link.flow.client = addr_unmap(from);
	c->worker = f->worker;
	/* behind a load balancer everybody comes from its address: counted when the header is here
	 */
	if (c->stage != STREAM_PROXY && !stream_front_count_source(c)) {
		free(c);
		return NULL;
	}
	return c;
}

/* ---- fronts ---- */

static struct stream_clients *clients_of(struct worker *w)
{
	struct stream_clients *all = w->streams;

	if (all)
		return all;
	all = calloc(1, sizeof(*all));
	if (!all)
		return NULL;
	all->worker = w;
	source_count_init(&all->unproved, rng_system());
	list_init(&all->fronts);
	list_init(&all->silent);
	list_init(&all->watched);
	list_init(&all->joined);
	loop_timer_init(w->loop, &all->due, on_due, all);
	w->streams = all;
	return all;
}

static void put_clients(struct worker *w)
{
	struct stream_clients *all = w->streams;

	if (!all || !list_empty(&all->fronts))
		return;
	w->streams = NULL;
	loop_timer_stop(&all->due);
	free(all);
}

int stream_front_create(struct worker *w, const struct settings_listener *at, int fd,
			struct stream_front **out)
{
	struct listener_config config = {
		.at = at->at, .reuse_port = true, .adopt = fd >= 0, .fd = fd
	};
	struct stream_front *f = calloc(1, sizeof(*f));
	struct stream_clients *all = f ? clients_of(w) : NULL;
	int err = -ENOMEM;

	if (!all) {
		if (fd >= 0)
			close(fd);
		free(f);
		return err;
	}
	f->worker = w;
	f->at = *at;
	f->settings = settings_ref(w->settings);
	list_push_back(&all->fronts, &f->node);
	err = listener_open(w->loop, &config, on_accept, f, &f->listener);
	if (err == 0 && at->transport != TURN_TCP && !stream_front_tls(f))
		err = FL_ETLS; /* never in the clear what was to be encrypted */
	if (err < 0) {
		stream_front_destroy(f);
		return err;
	}
	f->addr = listener_addr(f->listener);
	*out = f;
	return 0;
}

static void end_all(struct stream_front *f, struct list *list)
{
	struct conn *c, *next;

	list_for_each (c, next, list, node)
		if (c->front == f)
			stream_conn_end(c);
}

void stream_front_destroy(struct stream_front *f)
{
	struct stream_clients *all;

	if (!f)
		return;
	all = f->worker->streams;
	listener_destroy(f->listener);
	end_all(f, &all->silent);
	end_all(f, &all->watched);
	end_all(f, &all->joined);
	list_remove(&f->node);
	put_clients(f->worker);
	settings_unref(f->settings);
	free(f);
}

struct addr stream_front_addr(const struct stream_front *f)
{
	return f->addr;
}

void stream_front_set(struct stream_front *f, struct settings *s)
{
	struct settings *before = f->settings;

	f->settings = settings_ref(s);
	settings_unref(before);
}

size_t stream_front_count(const struct stream_front *f)
{
	return f->n;
}
