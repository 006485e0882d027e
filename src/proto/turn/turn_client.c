#include "proto/turn/turn_client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/ct.h"
#include "base/err.h"
#include "base/text.h"
#include "proto/turn/turn_client_internal.h"

const char *turn_client_step_name(enum turn_client_step step)
{
	switch (step) {
	case TURN_CLIENT_STEP_ALLOCATE:
		return "allocate";
	case TURN_CLIENT_STEP_AUTHENTICATE:
		return "authenticate";
	case TURN_CLIENT_STEP_REFRESH:
		return "refresh";
	case TURN_CLIENT_STEP_MOVE:
		return "move";
	case TURN_CLIENT_STEP_PERMISSION:
		return "permission";
	case TURN_CLIENT_STEP_CHANNEL:
		return "channel";
	case TURN_CLIENT_STEP_CLOSE:
		return "close";
	}
	return "unknown";
}

/* ---- life ---- */

struct turn_client *turn_client_create(const struct turn_client_config *config, struct rng *rng)
{
	struct turn_client *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->config = *config;
	c->config.username = c->config.password = NULL;
	c->rng = rng;
	c->until = c->refresh_due = USEC_NEVER;
	c->next_number = TURN_CHANNEL_MIN;
	c->seen[0] = config->server;
	rng_bytes(rng, c->indication_tid, sizeof(c->indication_tid));
	if (credentials_init(&c->credentials, config->username, config->password) < 0) {
		turn_client_destroy(c);
		return NULL;
	}
	return c;
}

void turn_client_destroy(struct turn_client *c)
{
	if (!c)
		return;
	credentials_finish(&c->credentials);
	ct_wipe(c->ticket, sizeof(c->ticket));
	free(c);
}

bool client_holds(const struct turn_client *c)
{
	return c->state == STATE_ALLOCATED;
}

struct turn_client_event *client_event(struct turn_client *c, enum turn_client_event_type type)
{
	struct turn_client_event *e;

	if (c->n_events == TURN_CLIENT_EVENTS_MAX)
		c->n_events--; /* the latest gives way */
	e = &c->events[(c->first_event + c->n_events++) % TURN_CLIENT_EVENTS_MAX];
	*e = (struct turn_client_event){ .type = type };
	return e;
}

bool turn_client_next_event(struct turn_client *c, struct turn_client_event *e)
{
	if (c->n_events == 0)
		return false;
	*e = c->events[c->first_event];
	c->first_event = (c->first_event + 1) % TURN_CLIENT_EVENTS_MAX;
	c->n_events--;
	return true;
}

const struct turn_client_stats *turn_client_stats(const struct turn_client *c)
{
	return &c->stats;
}

/* ---- requests ---- */

void client_ask(struct turn_client *c, struct request *r, enum request_kind kind, usec_t now)
{
	*r = (struct request){ .kind = kind };
	if (c->config.stream)
		stun_client_start_once(&r->tr, c->rng, now, TURN_CLIENT_STREAM_TIMEOUT_US);
	else
		stun_client_start(&r->tr, c->rng, now, c->rto_us);
}

static void stop(struct request *r)
{
	r->tr.running = r->send = false;
}

void client_over(struct turn_client *c)
{
	stop(&c->main);
	peers_hold(c, USEC_NEVER);
	c->state = STATE_OVER;
	c->until = c->refresh_due = USEC_NEVER;
}

void client_fail(struct turn_client *c, const struct turn_client_failure *why)
{
	bool closing = c->state == STATE_CLOSING || c->close_later;

	client_event(c, closing ? TURN_CLIENT_CLOSED : TURN_CLIENT_FAILED)->failure = *why;
	client_over(c);
}

void client_fail_because(struct turn_client *c, enum turn_client_step step, const char *reason)
{
	struct turn_client_failure why = { .step = step };

	text_copy(why.reason, sizeof(why.reason), reason);
	client_fail(c, &why);
}

enum turn_client_step client_step_of(const struct request *r)
{
	switch (r->kind) {
	case REQUEST_ALLOCATE:
		return r->credentials ? TURN_CLIENT_STEP_AUTHENTICATE : TURN_CLIENT_STEP_ALLOCATE;
	case REQUEST_REFRESH:
		return TURN_CLIENT_STEP_REFRESH;
	case REQUEST_MOVE:
		return TURN_CLIENT_STEP_MOVE;
	case REQUEST_CLOSE:
		return TURN_CLIENT_STEP_CLOSE;
	case REQUEST_PERMISSION:
		return TURN_CLIENT_STEP_PERMISSION;
	case REQUEST_CHANNEL:
		return TURN_CLIENT_STEP_CHANNEL;
	}
	return TURN_CLIENT_STEP_ALLOCATE;
}

static uint16_t method_of(const struct request *r)
{
	switch (r->kind) {
	case REQUEST_ALLOCATE:
		return TURN_ALLOCATE;
	case REQUEST_REFRESH:
	case REQUEST_MOVE:
	case REQUEST_CLOSE:
		return TURN_REFRESH;
	case REQUEST_PERMISSION:
		return TURN_CREATE_PERMISSION;
	case REQUEST_CHANNEL:
		return TURN_CHANNEL_BIND;
	}
	return 0;
}

static void put_allocate(const struct turn_client *c, struct stun_out *o)
{
	turn_put_transport(o, TURN_PROTOCOL_UDP);
	if (c->config.lifetime_s)
		stun_put_u32(o, TURN_LIFETIME, c->config.lifetime_s);
	/* IPv4 is what a server gives unasked, also one that knows no families */
	if (c->config.v6)
		turn_put_family(o,
				c->config.v4 ? TURN_ADDITIONAL_ADDRESS_FAMILY
					     : TURN_REQUESTED_ADDRESS_FAMILY,
				TURN_FAMILY_V6);
	if (c->config.mobility && !c->no_mobility)
		stun_put_flag(o, TURN_MOBILITY_TICKET);
}

/* Written anew for every sending, so with the latest nonce. */
static int write_request(struct turn_client *c, struct request *r)
{
	struct stun_out o;

	stun_begin(&o, c->out, sizeof(c->out), STUN_REQUEST, method_of(r), r->tr.tid);
	switch (r->kind) {
	case REQUEST_ALLOCATE:
		put_allocate(c, &o);
		break;
	case REQUEST_MOVE:
		stun_put(&o, TURN_MOBILITY_TICKET, span_of(c->ticket, c->ticket_len));
		break;
	case REQUEST_REFRESH:
		if (c->config.lifetime_s)
			stun_put_u32(&o, TURN_LIFETIME, c->config.lifetime_s);
		break;
	case REQUEST_CLOSE:
		stun_put_u32(&o, TURN_LIFETIME, 0);
		break;
	case REQUEST_PERMISSION:
	case REQUEST_CHANNEL:
		peers_put(c, r, &o);
		break;
	}
	r->credentials = c->credentials.challenged ? c->credentials.serial : 0;
	if (r->credentials)
		credentials_put(&c->credentials, &o);
	return stun_end(&o);
}

/* ---- all requests, in one order ---- */

static size_t n_requests(const struct turn_client *c)
{
	return 1 + c->n_peers + c->n_channels;
}

static struct request *request_at(struct turn_client *c, size_t i)
{
	if (i == 0)
		return &c->main;
	if (i <= c->n_peers)
		return &c->peers[i - 1].r;
	return &c->channels[i - 1 - c->n_peers].r;
}

struct request *client_request_of(struct turn_client *c, const struct stun_msg *m)
{
	for (size_t i = 0; i < n_requests(c); i++) {
		struct request *r = request_at(c, i);

		if (stun_client_is(&r->tr, m) && method_of(r) == m->method)
			return r;
	}
	return NULL;
}

void client_refresh_later(struct turn_client *c, usec_t now, const struct turn_client_failure *why)
{
	c->last = *why;
	c->refresh_due = now + AGAIN_US;
}

static void given_up(struct turn_client *c, struct request *r, usec_t now)
{
	struct turn_client_failure why = { .step = client_step_of(r) };

	if (r->hint) {
		if (r->hint == c->hint.code)
			why = c->hint;
		why.step = client_step_of(r);
		why.code = r->hint;
		why.unproved = true;
	} else {
		text_copy(why.reason, sizeof(why.reason), "the server did not answer");
	}
	stop(r);
	switch (r->kind) {
	case REQUEST_ALLOCATE:
	case REQUEST_MOVE:
	case REQUEST_CLOSE:
		client_fail(c, &why);
		return;
	case REQUEST_REFRESH:
		client_refresh_later(c, now, &why);
		return;
	case REQUEST_PERMISSION:
	case REQUEST_CHANNEL:
		if (r->hint)
			peers_refused(c, r, now, &why);
		else
			peers_unanswered(c, r, now);
		return;
	}
}

/* Its time is over and it could not be made longer. */
static void expired(struct turn_client *c)
{
	if (c->last.code || c->last.reason[0])
		client_fail(c, &c->last);
	else
		client_fail_because(c, TURN_CLIENT_STEP_REFRESH, "the allocation's time is over");
}

static void mark_due(struct turn_client *c, usec_t now)
{
	for (size_t i = 0; i < n_requests(c) && c->state != STATE_OVER; i++) {
		struct request *r = request_at(c, i);

		switch (stun_client_due(&r->tr, now)) {
		case STUN_CLIENT_SEND:
			r->send = true;
			break;
		case STUN_CLIENT_GIVE_UP:
			given_up(c, r, now);
			break;
		case STUN_CLIENT_WAIT:
			break;
		}
	}
}

void client_run(struct turn_client *c, usec_t now)
{
	if (c->state == STATE_OVER)
		return;
	if (now >= c->until) {
		expired(c);
		return;
	}
	if (client_holds(c) && !c->blocked && !c->main.tr.running && now >= c->refresh_due) {
		c->refresh_due = USEC_NEVER;
		client_ask(c, &c->main, c->moving ? REQUEST_MOVE : REQUEST_REFRESH, now);
	}
	do { /* what is given up may be worth another try at once */
		peers_ask(c, now);
		mark_due(c, now);
	} while (peers_due(c) <= now);
}

bool turn_client_next_output(struct turn_client *c, struct span *message)
{
	for (size_t i = 0; i < n_requests(c); i++) {
		struct request *r = request_at(c, i);
		int len;

		if (!r->send)
			continue;
		r->send = false;
		len = write_request(c, r);
		if (len < 0) { /* all parts have limits that fit */
			stop(r);
			client_fail_because(c, client_step_of(r), "the request would be too long");
			return false;
		}
		c->stats.requests++;
		c->stats.repeated += r->tr.tries > 1;
		*message = span_of(c->out, (size_t)len);
		return true;
	}
	return false;
}

void turn_client_timeout(struct turn_client *c, usec_t now)
{
	client_run(c, now);
}

usec_t turn_client_deadline(const struct turn_client *c)
{
	struct turn_client *mutable = (struct turn_client *)(uintptr_t)c;
	usec_t due = usec_min(c->until, peers_due(c));

	if (client_holds(c) && !c->blocked && !c->main.tr.running)
		due = usec_min(due, c->refresh_due);
	for (size_t i = 0; i < n_requests(c); i++)
		due = usec_min(due, stun_client_deadline(&request_at(mutable, i)->tr));
	return due;
}

/* ---- what the driver asks for ---- */

void client_begin_close(struct turn_client *c, usec_t now)
{
	peers_hold(c, USEC_NEVER);
	c->state = STATE_CLOSING;
	client_ask(c, &c->main, REQUEST_CLOSE, now);
}

int turn_client_start(struct turn_client *c, usec_t now)
{
	if (c->state != STATE_NEW && c->state != STATE_REDIRECTED)
		return FL_ESTATE;
	c->credentials.challenged = false; /* another server has another realm */
	c->state = STATE_ALLOCATING;
	client_ask(c, &c->main, REQUEST_ALLOCATE, now);
	client_run(c, now);
	return 0;
}

int turn_client_set_credentials(struct turn_client *c, usec_t now, const char *username,
				const char *password)
{
	int err = credentials_change(&c->credentials, username, password);

	if (err < 0)
		return err;
	c->blocked = false;
	if (client_holds(c)) {
		c->refresh_due = now;
		stop(&c->main);
		client_run(c, now);
	}
	return 0;
}

int turn_client_moved(struct turn_client *c, usec_t now)
{
	if (!client_holds(c))
		return FL_ESTATE;
	if (c->ticket_len == 0)
		return FL_EUNSUPPORTED;
	c->moving = true;
	peers_hold(c, now);
	stop(&c->main);
	c->refresh_due = now;
	client_run(c, now);
	return 0;
}

void turn_client_close(struct turn_client *c, usec_t now)
{
	switch (c->state) {
	case STATE_NEW:
	case STATE_REDIRECTED:
		client_event(c, TURN_CLIENT_CLOSED);
		client_over(c);
		return;
	case STATE_ALLOCATING:
		if (!c->main.credentials) {
			client_event(c, TURN_CLIENT_CLOSED);
			client_over(c);
		} else {
			c->state =
				STATE_CLOSING; /* the answer may bring what is to be given back */
		}
		return;
	case STATE_ALLOCATED:
		/* while it moves the server knows us by the ticket only: later, if that can be */
		c->close_later = c->moving;
		if (c->moving && c->blocked)
			client_fail(c, &c->last);
		if (c->moving)
			return;
		client_begin_close(c, now);
		client_run(c, now);
		return;
	case STATE_CLOSING:
	case STATE_OVER:
		return;
	}
}
