#include "hub/realtime/link.h"

#include <errno.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/ct.h"
#include "base/err.h"
#include "base/log.h"
#include "base/map.h"
#include "base/wire.h"
#include "hub/realtime/rt.h"

#define POLL_US (25 * USEC_PER_SEC)  /* a poll without messages; shorter than proxies wait */
#define TOKEN_US (20 * USEC_PER_SEC) /* from negotiation to the first request */
#define TOKEN_PLAIN 20		     /* u8 kind, 7 bytes of time, 12 random */
#define TOKEN_LEN 36		     /* and 16 of the MAC */
#define PIECE (16 * 1024)

struct links {
	struct hub *hub;
	uint8_t key[32];
	struct map *by_token;
	struct list all;
};

struct link {
	struct links *links;
	struct list node;
	char token[LINK_TOKEN_CAP];
	usec_t born; /* the token */
	enum link_kind kind;
	char user[STORE_ID_CAP]; /* who began it; "" on /endpoint */
	struct addr from;
	struct rt *rt;	    /* NULL: ended */
	struct exchange *x; /* the poll that waits, or the stream; NULL: none */
	bool events;	    /* server-sent events */
	bool in_event;
	size_t event_left; /* bytes of rt_output() that are in the present event */
	struct loop_timer timer;
	struct loop_deferred end;
};

/* ---- tokens ---- */

static void mac(const struct links *l, const uint8_t plain[TOKEN_PLAIN], uint8_t out[32])
{
	unsigned len = 32;

	memset(out, 0, 32);
	if (!HMAC(EVP_sha256(), l->key, sizeof(l->key), plain, TOKEN_PLAIN, out, &len))
		rng_bytes(rng_system(), out, 32); /* then it fits nothing */
}

void link_token(struct links *l, enum link_kind kind, char out[LINK_TOKEN_CAP])
{
	uint8_t bytes[TOKEN_LEN], full[32];
	struct writer w = writer_of(bytes, TOKEN_PLAIN);

	writer_u64(&w, (uint64_t)kind << 56 | (uint64_t)loop_now(l->hub->loop));
	rng_bytes(rng_system(), bytes + 8, TOKEN_PLAIN - 8);
	mac(l, bytes, full);
	memcpy(bytes + TOKEN_PLAIN, full, TOKEN_LEN - TOKEN_PLAIN);
	text_b64url_encode(span_of(bytes, sizeof(bytes)), out, LINK_TOKEN_CAP);
}

/* Is it one of ours, of that kind? */
static bool token_read(const struct links *l, const char *text, enum link_kind kind, usec_t *born)
{
	uint8_t bytes[TOKEN_LEN], full[32];
	struct reader r = reader_of(span_of(bytes, TOKEN_PLAIN));
	uint64_t first;

	if (text_b64url_decode(span_str(text), bytes, sizeof(bytes)) != TOKEN_LEN)
		return false;
	mac(l, bytes, full);
	first = reader_u64(&r);
	*born = (usec_t)(first & (UINT64_MAX >> 8));
	return ct_equal(span_of(full, TOKEN_LEN - TOKEN_PLAIN),
			span_of(bytes + TOKEN_PLAIN, TOKEN_LEN - TOKEN_PLAIN)) &&
	       first >> 56 == (uint64_t)kind;
}

/* ---- life ---- */

static void free_link(void *arg)
{
	free(arg);
}

static void forget(struct link *k)
{
	loop_timer_stop(&k->timer);
	map_remove(k->links->by_token, span_str(k->token));
	list_remove(&k->node);
	loop_defer(k->links->hub->loop, &k->end, free_link, k);
}

static struct exchange *take_exchange(struct link *k)
{
	struct exchange *x = k->x;

	k->x = NULL;
	if (x)
		x->held = (struct exchange_held){ 0 };
	return x;
}

/* 204: nothing more comes here (TransportProtocols.md, "Poll"). */
static void end_poll(struct exchange *x)
{
	x->status = 204;
	exchange_answer_text(x, NULL, 0);
}

/* Until its token is too old a request for it must not begin a new one. */
static void end_link(struct link *k)
{
	struct exchange *x = take_exchange(k);
	struct rt *rt = k->rt;

	if (!rt)
		return;
	k->rt = NULL;
	rt_destroy(rt);
	if (loop_timer_at(&k->timer, usec_add(k->born, TOKEN_US)) < 0)
		forget(k);
	if (x && k->events)
		exchange_stream_end(x);
	else if (x)
		end_poll(x);
}

static void on_rt_end(void *conn)
{
	end_link(conn);
}

/* ---- what is fetched ---- */

static void answer_poll(struct link *k)
{
	struct exchange *x = take_exchange(k);
	struct span out = rt_output(k->rt);
	char *text = out.len ? malloc(out.len) : NULL;

	loop_timer_stop(&k->timer);
	if (out.len && !text) {
		end_poll(x);
		end_link(k);
		return;
	}
	if (text)
		memcpy(text, out.ptr, out.len);
	rt_sent(k->rt, out.len);
	exchange_answer_text(x, text, out.len);
}

/* What is left of the event, and its end. 0, FL_EQUOTA, or another: the connection is broken. */
static int pump_event(struct link *k)
{
	int err = 0;

	if (!k->in_event) {
		err = exchange_stream_write(k->x, span_str("data: "));
		if (err < 0)
			return err;
		k->in_event = true;
		k->event_left = rt_output(k->rt).len;
	}
	while (err == 0 && k->event_left > 0) {
		size_t n = FL_MIN(k->event_left, (size_t)PIECE);

		err = exchange_stream_write(k->x, span_of(rt_output(k->rt).ptr, n));
		if (err < 0)
			return err;
		k->event_left -= n;
		rt_sent(k->rt, n);
	}
	err = exchange_stream_write(k->x, span_str("\n\n"));
	if (err == 0)
		k->in_event = false;
	return err;
}

/* JSON text as it is written here has no line ends, so one line of data is one event. */
static bool pump_events(struct exchange *x)
{
	struct link *k = x->held.arg;
	bool moved = false;

	while (k->rt && (k->in_event || rt_output(k->rt).len > 0)) {
		size_t before = rt_output(k->rt).len;
		int err = pump_event(k);

		moved |= err == 0 || rt_output(k->rt).len != before;
		if (err < 0)
			break;
	}
	return moved;
}

static void on_output(void *conn)
{
	struct link *k = conn;

	if (k->x && k->events)
		exchange_wake(k->x);
	else if (k->x)
		answer_poll(k);
}

/* A poll that went away comes again; a stream does not. */
static void on_gone(struct exchange *x)
{
	struct link *k = x->held.arg;

	k->x = NULL;
	if (k->events)
		end_link(k);
	else
		loop_timer_stop(&k->timer);
}

static void on_timer(void *arg)
{
	struct link *k = arg;

	if (!k->rt)
		forget(k);
	else if (k->x && !k->events)
		answer_poll(k);
}

/* ---- requests ---- */

static void refuse(struct exchange *x, unsigned status, const char *code, const char *why)
{
	exchange_refuse(x, status, code, "%s", why);
	exchange_answer(x);
}

static void refuse_token(struct exchange *x)
{
	refuse(x, 404, "unknown-connection",
	       "There is no such connection (any more); negotiate a new one.");
}

/* The link that the request names, if it may; NULL: there is none yet, and token and born are set;
 * or it was answered. */
static struct link *find(struct exchange *x, enum link_kind kind, char token[LINK_TOKEN_CAP],
			 usec_t *born, bool *answered)
{
	struct links *l = x->hub->links;
	struct link *k = NULL;

	*answered = true;
	if (!x->conn || !l) {
		exchange_answer(x);
		return NULL;
	}
	if (http_query_get(span_str(x->query), "id", token, LINK_TOKEN_CAP) < 0 ||
	    !token_read(l, token, kind, born)) {
		refuse_token(x);
		return NULL;
	}
	k = map_get(l->by_token, span_str(token));
	if (k && strcmp(k->user, x->user.id) != 0) {
		refuse(x, 403, "wrong-user", "This connection was begun by somebody else.");
		return NULL;
	}
	*answered = false;
	return k;
}

static bool address_full(const struct links *l, const struct addr *from)
{
	size_t count = 0;

	for (const struct list *n = l->all.next; n != &l->all; n = n->next)
		if (addr_ip_equal(&CONTAINER_OF(n, struct link, node)->from, from))
			count++;
	return count >= LINKS_ADDRESS_MAX;
}

static struct link *begin(struct exchange *x, enum link_kind kind, exchange_make_fn *make,
			  const char *token, usec_t born)
{
	struct links *l = x->hub->links;
	struct link *k = address_full(l, &x->from) ? NULL : calloc(1, sizeof(*k));
	struct rt_carrier carrier = { .on_output = on_output, .on_end = on_rt_end, .conn = k };

	if (!k)
		return NULL;
	k->links = l;
	k->kind = kind;
	k->born = born;
	k->from = x->from;
	k->events = x->event_stream;
	text_copy(k->token, sizeof(k->token), token);
	text_copy(k->user, sizeof(k->user), x->user.id);
	loop_timer_init(l->hub->loop, &k->timer, on_timer, k);
	if (map_put(l->by_token, span_str(k->token), k) < 0) {
		free(k);
		return NULL;
	}
	k->rt = make(x, &carrier);
	if (!k->rt) {
		map_remove(l->by_token, span_str(k->token));
		free(k);
		return NULL;
	}
	list_push_back(&l->all, &k->node);
	log_debug("realtime", "transport=%s from=%s", k->events ? "events" : "polling",
		  x->from_text);
	return k;
}

static void hold(struct link *k, struct exchange *x)
{
	const struct exchange_held held = { .on_gone = on_gone,
					    .pump = k->events ? pump_events : NULL,
					    .arg = k };

	k->x = x;
	exchange_hold(x, &held);
}

static void begin_events(struct link *k, struct exchange *x)
{
	/* a first line, so that the other side sees at once that it is open */
	if (exchange_stream(x, "text/event-stream") < 0) {
		exchange_answer(x);
		end_link(k);
		return;
	}
	hold(k, x);
	if (exchange_stream_write(x, span_str(":\n\n")) < 0)
		end_link(k);
	else
		exchange_wake(x);
}

static void poll(struct link *k, struct exchange *x)
{
	struct exchange *old = take_exchange(k);

	if (old)
		end_poll(old);
	if (!k->rt) {
		end_poll(x);
		return;
	}
	/* who polls is there; such clients send no pings of their own */
	rt_text(k->rt, (struct span){ 0 });
	if (!k->rt) {
		end_poll(x);
		return;
	}
	hold(k, x);
	if (rt_output(k->rt).len > 0 || loop_timer_after(&k->timer, POLL_US) < 0)
		answer_poll(k);
}

void link_get(struct exchange *x, enum link_kind kind, exchange_make_fn *make)
{
	char token[LINK_TOKEN_CAP];
	bool answered;
	usec_t born;
	struct link *k = find(x, kind, token, &born, &answered);

	if (answered)
		return;
	if (k && k->events) {
		refuse(x, 409, "in-use", "This connection is open already.");
	} else if (k) {
		poll(k, x);
	} else if (usec_add(born, TOKEN_US) <= loop_now(x->hub->loop)) {
		refuse_token(x);
	} else if (!(k = begin(x, kind, make, token, born))) {
		refuse(x, 503, "busy", "The hub has too many connections; try again in a moment.");
	} else if (k->events) {
		begin_events(k, x);
	} else {
		/* the first poll only says that it is open */
		exchange_answer_text(x, NULL, 0);
	}
}

/* The link that is there and lives; NULL: the request was answered. */
static struct link *find_living(struct exchange *x, enum link_kind kind)
{
	char token[LINK_TOKEN_CAP];
	bool answered;
	usec_t born;
	struct link *k = find(x, kind, token, &born, &answered);

	if (answered)
		return NULL;
	if (k && k->rt)
		return k;
	refuse_token(x);
	return NULL;
}

void link_post(struct exchange *x, enum link_kind kind)
{
	struct link *k = find_living(x, kind);

	if (!k)
		return;
	rt_text(k->rt, x->payload);
	exchange_answer_text(x, NULL, 0);
}

void link_delete(struct exchange *x, enum link_kind kind)
{
	struct link *k = find_living(x, kind);

	if (!k)
		return;
	end_link(k);
	x->status = 202;
	exchange_answer_text(x, NULL, 0);
}

/* ---- all of them ---- */

int links_create(struct hub *hub, struct links **out)
{
	struct links *l = calloc(1, sizeof(*l));

	if (!l)
		return -ENOMEM;
	l->hub = hub;
	list_init(&l->all);
	rng_bytes(rng_system(), l->key, sizeof(l->key));
	l->by_token = map_create(rng_system(), LINKS_MAX);
	if (!l->by_token) {
		free(l);
		return -ENOMEM;
	}
	*out = l;
	return 0;
}

void links_shut_down(struct links *l)
{
	struct link *k, *next;

	if (!l)
		return;
	list_for_each (k, next, &l->all, node)
		if (k->rt)
			rt_close(k->rt, WS_CODE_GOING_AWAY, "the hub is going away");
}

void links_destroy(struct links *l)
{
	struct link *k, *next;

	if (!l)
		return;
	list_for_each (k, next, &l->all, node) {
		end_link(k);
		forget(k);
	}
	map_destroy(l->by_token);
	ct_wipe(l->key, sizeof(l->key));
	free(l);
}
