#include "relay/dtls_front.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/ct.h"
#include "base/err.h"
#include "base/log.h"
#include "io/udp.h"
#include "proto/dtls/dtls_server.h"
#include "relay/source_count.h"

#define PEM_MAX (256 * 1024)

struct dtls_front {
	struct worker *worker;
	struct udp *udp;
	struct dtls_server *server;
	struct loop_timer timer; /* the server's deadline */
	struct loop_timer look;	 /* for idle clients */
	struct list clients;	 /* the one that is to be looked at first in front */
	struct source_count unproved;
	uint64_t failed; /* handshakes that were told to the worker */
};

/* A session whose handshake is done. */
struct client {
	struct dtls_front *front;
	struct dtls_session *session;
	struct list node;
	struct link link;
	usec_t due, last_message;
	struct loop_deferred later;
	bool counted, closing;
};

static const char *const alpn[] = { "stun.turn", "stun.nat-discovery", NULL }; /* RFC 7443 */

/* ---- out ---- */

static void flush(struct dtls_front *f)
{
	struct dgram d;

	while (dtls_server_next_output(f->server, &d))
		(void)udp_send(f->udp, &d); /* a full queue: lost, as on any network */
}

static size_t send_messages(const struct link *l, const struct link_msg *msgs, size_t n)
{
	struct client *c = l->owner;
	size_t taken = 0;

	for (size_t i = 0; i < n && !c->closing; i++) {
		struct span parts[] = { msgs[i].head, msgs[i].data };

		taken += dtls_session_send(c->front->server, c->session, parts, ARRAY_LEN(parts)) ==
			 0;
	}
	flush(c->front);
	return taken;
}

/* ---- clients ---- */

static void forget_source(struct client *c)
{
	if (c->counted)
		source_count_put(&c->front->unproved, &c->link.flow.client);
	c->counted = false;
}

/* The session is over, or is about to be. */
static void end_client(struct client *c)
{
	c->closing = true;
	c->session->user = NULL;
	list_remove(&c->node);
	list_remove(&c->later.node);
	forget_source(c);
	worker_link_gone(c->front->worker, &c->link);
	free(c);
}

static void close_now(void *arg)
{
	struct client *c = arg;
	struct dtls_front *f = c->front;
	struct dtls_session *session = c->session;

	end_client(c);
	dtls_session_close(f->server, session);
	flush(f);
}

/* After the turn: the core, or a message of this client, may be in the middle of something. */
static void close_link(const struct link *l)
{
	struct client *c = l->owner;

	if (c->closing)
		return;
	c->closing = true;
	loop_defer(c->front->worker->loop, &c->later, close_now, c);
}

static const struct link_ops ops = { .send = send_messages, .close = close_link };

static void look_again(struct client *c)
{
	struct dtls_front *f = c->front;

	list_remove(&c->node);
	list_push_back(&f->clients, &c->node);
	c->due = usec_add(loop_now(f->worker->loop), DTLS_FRONT_IDLE_S * USEC_PER_SEC);
	if (!loop_timer_running(&f->look))
		(void)loop_timer_at(&f->look, c->due);
}

static void on_look(void *arg)
{
	struct dtls_front *f = arg;
	usec_t now = loop_now(f->worker->loop);
	struct client *c, *next;

	list_for_each (c, next, &f->clients, node) {
		if (c->due > now)
			break;
		if (usec_sub(now, c->last_message) >= DTLS_FRONT_IDLE_S * USEC_PER_SEC &&
		    !turn_server_find(f->worker->core, &c->link.flow))
			close_link(&c->link);
		look_again(c);
	}
	if (!list_empty(&f->clients))
		(void)loop_timer_at(&f->look,
				    list_entry(f->clients.next, struct client, node)->due);
}

static void open_client(struct dtls_front *f, struct dtls_session *session)
{
	struct client *c = calloc(1, sizeof(*c));

	if (c) {
		list_init(&c->node);
		list_init(&c->later.node);
		c->front = f;
		c->session = session;
		c->link = (struct link){ .ops = &ops, .owner = c };
		c->link.flow = (struct turn_flow){ TURN_DTLS, session->remote, session->local };
		c->last_message = loop_now(f->worker->loop);
		c->counted = source_count_take(&f->unproved, &session->remote,
					       DTLS_FRONT_UNPROVED_MAX);
	}
	if (!c || !c->counted) {
		free(c);
		dtls_session_close(f->server, session);
		return;
	}
	session->user = c;
	look_again(c);
}

static void take_message(struct client *c, struct span message)
{
	struct dtls_front *f = c->front;

	if (c->closing)
		return;
	c->last_message = loop_now(f->worker->loop);
	worker_message(f->worker, &c->link, message);
	if (c->counted && turn_server_find(f->worker->core, &c->link.flow))
		forget_source(c);
}

/* ---- in ---- */

static void take_events(struct dtls_front *f)
{
	struct dtls_server_event e;

	while (dtls_server_next_event(f->server, &e)) {
		struct client *c = e.session->user;

		if (e.type == DTLS_SERVER_OPENED)
			open_client(f, e.session);
		else if (c && e.type == DTLS_SERVER_DATA)
			take_message(c, e.data);
		else if (c && e.type == DTLS_SERVER_CLOSED)
			end_client(c);
	}
}

/* After every call on the server. */
static void settle(struct dtls_front *f)
{
	uint64_t failed = dtls_server_stats(f->server)->failed;

	flush(f);
	f->worker->count.handshakes_failed += failed - f->failed;
	f->failed = failed;
	(void)loop_timer_at(&f->timer, dtls_server_deadline(f->server));
}

static void on_batch(void *arg, const struct dgram *dgrams, size_t n)
{
	struct dtls_front *f = arg;

	for (size_t i = 0; i < n; i++) {
		dtls_server_input(f->server, loop_now(f->worker->loop), &dgrams[i]);
		take_events(f);
	}
	settle(f);
}

static void on_timer(void *arg)
{
	struct dtls_front *f = arg;

	dtls_server_timeout(f->server, loop_now(f->worker->loop));
	take_events(f);
	settle(f);
}

/* ---- life ---- */

/* The file as it is, of at most PEM_MAX bytes; the caller frees. */
static uint8_t *read_file(const char *path, size_t *len)
{
	FILE *file = path ? fopen(path, "re") : NULL;
	uint8_t *mem = file ? malloc(PEM_MAX) : NULL;

	if (mem)
		*len = fread(mem, 1, PEM_MAX, file);
	if (mem && (ferror(file) || *len == PEM_MAX))
		free(FL_STEAL(mem));
	if (file)
		fclose(file);
	return mem;
}

int dtls_front_set(struct dtls_front *f, struct settings *s)
{
	size_t cert_len = 0, key_len = 0;
	FL_AUTOFREE uint8_t *cert = read_file(s->cert_file, &cert_len);
	FL_AUTOFREE uint8_t *key = read_file(s->key_file, &key_len);
	char why[256] = "the files cannot be read";
	int err = FL_ETLS;

	if (cert && key)
		err = dtls_server_set_certificate(f->server, span_of(cert, cert_len),
						  span_of(key, key_len), alpn, why);
	if (key)
		ct_wipe(key, PEM_MAX);
	if (err < 0)
		log_warn("certificate-refused", "transport=dtls certificate=%s cause=\"%s\"",
			 s->cert_file ? s->cert_file : "", why);
	return err;
}

int dtls_front_create(struct worker *w, const struct settings_listener *at, int fd,
		      struct dtls_front **out)
{
	struct udp_config config = { .bind = at->at, .reuse = true, .adopt = fd >= 0, .fd = fd };
	struct dtls_front *f = calloc(1, sizeof(*f));
	int err;

	if (!f) {
		fl_closep(&fd);
		return -ENOMEM;
	}
	f->worker = w;
	list_init(&f->clients);
	source_count_init(&f->unproved, rng_system());
	loop_timer_init(w->loop, &f->timer, on_timer, f);
	loop_timer_init(w->loop, &f->look, on_look, f);
	err = udp_create(w->loop, &config, on_batch, f, &f->udp);
	if (err == 0)
		err = dtls_server_create(rng_system(), &f->server);
	if (err == 0)
		err = dtls_front_set(f, w->settings);
	if (err < 0) {
		dtls_front_destroy(f);
		return err;
	}
	*out = f;
	return 0;
}

void dtls_front_destroy(struct dtls_front *f)
{
	if (!f)
		return;
	while (!list_empty(&f->clients))
		close_now(list_entry(f->clients.next, struct client, node));
	loop_timer_stop(&f->timer);
	loop_timer_stop(&f->look);
	dtls_server_destroy(f->server);
	udp_destroy(f->udp);
	free(f);
}

struct addr dtls_front_addr(const struct dtls_front *f)
{
	return udp_addr(f->udp);
}

size_t dtls_front_count(const struct dtls_front *f)
{
	return dtls_server_stats(f->server)->sessions;
}
