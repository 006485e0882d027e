#include "proto/turn/turn_client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/ct.h"
#include "base/err.h"
#include "base/text.h"
#include "proto/turn/turn_client_internal.h"

#define ANSWERS_LIFETIME_MAX_S 86400 /* what is granted beyond is taken as this */

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

/* The same again, as a new transaction. */
static void ask_anew(struct turn_client *c, struct request *r, usec_t now)
{
	unsigned retries = r->retries + 1;

	client_ask(c, r, r->kind, now);
	r->retries = retries;
}

static void stop(struct request *r)
{
	r->tr.running = r->send = false;
}

/* Ends all that is under way and all clocks. */
static void over(struct turn_client *c)
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
	over(c);
}

static void fail(struct turn_client *c, enum turn_client_step step, const char *reason)
{
	struct turn_client_failure why = { .step = step };

	text_copy(why.reason, sizeof(why.reason), reason);
	client_fail(c, &why);
}

static enum turn_client_step step_of(const struct request *r)
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

static struct request *request_of(struct turn_client *c, const struct stun_msg *m)
{
	for (size_t i = 0; i < n_requests(c); i++) {
		struct request *r = request_at(c, i);

		if (stun_client_is(&r->tr, m) && method_of(r) == m->method)
			return r;
	}
	return NULL;
}

static void refresh_later(struct turn_client *c, usec_t now, const struct turn_client_failure *why)
{
	c->last = *why;
	c->refresh_due = now + AGAIN_US;
}

static void given_up(struct turn_client *c, struct request *r, usec_t now)
{
	struct turn_client_failure why = { .step = step_of(r) };

	if (r->hint) {
		if (r->hint == c->hint.code)
			why = c->hint;
		why.step = step_of(r);
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
		refresh_later(c, now, &why);
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
		fail(c, TURN_CLIENT_STEP_REFRESH, "the allocation's time is over");
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
			fail(c, step_of(r), "the request would be too long");
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

/* ---- answers ---- */

static struct turn_client_failure failure_of(const struct request *r, uint16_t code,
					     struct span reason)
{
	struct turn_client_failure why = { .step = step_of(r), .code = code };

	if (r->kind == REQUEST_ALLOCATE && code != STUN_UNAUTHENTICATED &&
	    code != STUN_STALE_NONCE && code != TURN_WRONG_CREDENTIALS)
		why.step = TURN_CLIENT_STEP_ALLOCATE;
	text_printable(why.reason, sizeof(why.reason), reason);
	return why;
}

/* How long it lasts, from when it was asked for: the server's clock began no earlier. */
static bool take_lifetime(struct turn_client *c, const struct stun_msg *m, usec_t asked)
{
	uint32_t lifetime_s = TURN_LIFETIME_S;
	usec_t lasts;

	if (stun_find(m, TURN_LIFETIME) && !stun_get_u32(m, TURN_LIFETIME, &lifetime_s))
		return false;
	if (lifetime_s == 0)
		return false;
	lasts = FL_MIN(lifetime_s, ANSWERS_LIFETIME_MAX_S) * USEC_PER_SEC;
	c->until = asked + lasts;
	c->refresh_due = c->until - FL_MIN(MARGIN_US, lasts / 2);
	c->last = (struct turn_client_failure){ 0 };
	return true;
}

static void take_ticket(struct turn_client *c, const struct stun_msg *m)
{
	struct span ticket;

	if (!stun_get(m, TURN_MOBILITY_TICKET, &ticket) || ticket.len == 0 ||
	    ticket.len > sizeof(c->ticket))
		return;
	memcpy(c->ticket, ticket.ptr, ticket.len);
	c->ticket_len = ticket.len;
}

/* One of each family at most; what was not asked for is not taken. */
static bool take_relayed(struct turn_client *c, const struct stun_msg *m)
{
	for (size_t i = 0; i < m->n_attrs; i++) {
		struct stun_msg one = { .n_attrs = 1 };
		struct addr a;

		if (m->attrs[i].type != TURN_XOR_RELAYED_ADDRESS)
			continue;
		one.attrs[0] = m->attrs[i];
		memcpy(one.tid, m->tid, sizeof(one.tid));
		if (stun_get_xor_addr(&one, TURN_XOR_RELAYED_ADDRESS, &a) && a.port != 0 &&
		    (a.family == ADDR_V6 ? c->config.v6 : c->config.v4))
			c->relayed[a.family == ADDR_V6] = a;
	}
	return c->relayed[0].family != ADDR_NONE || c->relayed[1].family != ADDR_NONE;
}

static void tell(struct turn_client *c, enum turn_client_event_type type)
{
	struct turn_client_event *e = client_event(c, type);

	memcpy(e->relayed, c->relayed, sizeof(e->relayed));
	e->mapped = c->mapped;
	e->until = c->until;
}

static void begin_close(struct turn_client *c, usec_t now)
{
	peers_hold(c, USEC_NEVER);
	c->state = STATE_CLOSING;
	client_ask(c, &c->main, REQUEST_CLOSE, now);
}

static void allocated(struct turn_client *c, const struct stun_msg *m, usec_t now)
{
	(void)!stun_get_xor_addr(m, STUN_XOR_MAPPED_ADDRESS, &c->mapped);
	take_ticket(c, m);
	if (!take_lifetime(c, m, c->main.tr.began) || !take_relayed(c, m)) {
		fail(c, TURN_CLIENT_STEP_ALLOCATE,
		     "the server's answer has no relayed address of the family asked for, or no "
		     "lifetime");
		return;
	}
	if (c->state == STATE_CLOSING) {
		begin_close(c, now);
		return;
	}
	c->state = STATE_ALLOCATED;
	tell(c, TURN_CLIENT_ALLOCATED);
}

static void refreshed(struct turn_client *c, const struct stun_msg *m, usec_t now)
{
	bool moved = c->moving;

	take_ticket(c, m);
	if (!take_lifetime(c, m, c->main.tr.began)) {
		fail(c, step_of(&c->main), "the server ended the allocation");
		return;
	}
	c->moving = false;
	if (c->close_later) {
		begin_close(c, now);
		return;
	}
	if (moved) {
		(void)!stun_get_xor_addr(m, STUN_XOR_MAPPED_ADDRESS, &c->mapped);
		tell(c, TURN_CLIENT_MOVED);
	}
}

static void succeeded(struct turn_client *c, struct request *r, const struct stun_msg *m,
		      usec_t now)
{
	switch (r->kind) {
	case REQUEST_ALLOCATE:
		allocated(c, m, now);
		return;
	case REQUEST_REFRESH:
	case REQUEST_MOVE:
		refreshed(c, m, now);
		return;
	case REQUEST_CLOSE:
		client_event(c, TURN_CLIENT_CLOSED);
		over(c);
		return;
	case REQUEST_PERMISSION:
	case REQUEST_CHANNEL:
		peers_granted(c, r, r->tr.began);
		return;
	}
}

/* RFC 8489 §10. To where we have been there is no going back: that would be a circle. */
static void redirected(struct turn_client *c, const struct stun_msg *m,
		       struct turn_client_failure *why)
{
	struct turn_client_event *e;
	struct span domain = { 0 };
	struct addr to;

	if (!stun_get_addr(m, STUN_ALTERNATE_SERVER, &to)) {
		client_fail(c, why);
		return;
	}
	for (unsigned i = 0; i <= c->redirects; i++)
		if (addr_equal(&c->seen[i], &to) || i == TURN_CLIENT_REDIRECTS_MAX) {
			text_copy(why->reason, sizeof(why->reason),
				  "the servers send us from one to the other");
			client_fail(c, why);
			return;
		}
	c->seen[++c->redirects] = to;
	(void)stun_get(m, STUN_ALTERNATE_DOMAIN, &domain);
	text_printable(c->domain, sizeof(c->domain), domain);
	c->state = STATE_REDIRECTED;
	e = client_event(c, TURN_CLIENT_REDIRECTED);
	e->server = to;
	e->domain = c->domain[0] ? c->domain : NULL;
}

/* The credentials do not hold, whatever we asked for. */
static void unwelcome(struct turn_client *c, struct request *r, usec_t now,
		      const struct turn_client_failure *why)
{
	struct turn_client_event *e;

	if (c->state != STATE_ALLOCATED || c->close_later) {
		client_fail(c, why);
		return;
	}
	if (r->kind == REQUEST_REFRESH || r->kind == REQUEST_MOVE)
		c->refresh_due = now; /* with others, when there are any */
	else
		peers_unanswered(c, r, now);
	if (c->blocked)
		return;
	c->blocked = true;
	c->last = *why;
	e = client_event(c, TURN_CLIENT_CREDENTIALS);
	e->until = c->until;
	e->failure = *why;
}

static void refused(struct turn_client *c, struct request *r, const struct stun_msg *m, usec_t now,
		    struct turn_client_failure *why)
{
	if (why->code == TURN_WRONG_CREDENTIALS) {
		unwelcome(c, r, now, why);
		return;
	}
	switch (r->kind) {
	case REQUEST_ALLOCATE:
		if (why->code == STUN_TRY_ALTERNATE && c->state == STATE_ALLOCATING) {
			redirected(c, m, why);
		} else if (why->code == TURN_MOBILITY_FORBIDDEN && !c->no_mobility) {
			c->no_mobility = true;
			ask_anew(c, r, now);
		} else {
			client_fail(c, why);
		}
		return;
	case REQUEST_CLOSE:
		if (why->code == TURN_ALLOCATION_MISMATCH)
			*why = (struct turn_client_failure){ 0 }; /* it is gone, as we wish */
		client_fail(c, why);
		return;
	case REQUEST_MOVE:
		client_fail(c, why);
		return;
	case REQUEST_REFRESH:
		if (why->code == TURN_ALLOCATION_MISMATCH)
			client_fail(c, why);
		else
			refresh_later(c, now, why);
		return;
	case REQUEST_PERMISSION:
	case REQUEST_CHANNEL:
		if (why->code == TURN_ALLOCATION_MISMATCH)
			client_fail(c, why);
		else
			peers_refused(c, r, now, why);
		return;
	}
}

/*
 * Its answer came. Where a round trip is longer than the first wait for it, all would be sent
 * twice; so the next wait is half as long again as this round trip. If more than one was sent,
 * which of them was answered is not known, and the bound is taken: the next time it will be.
 */
static void end(struct turn_client *c, struct request *r, usec_t now)
{
	bool first = r->tr.tries == 1;
	usec_t took = stun_client_end(&r->tr, now);

	r->send = false;
	if (first)
		c->stats.round_trip_us = took;
	c->rto_us = FL_MIN(FL_MAX(took + took / 2, STUN_RTO_US), RTO_MAX_US);
}

/* May be forged: the real answer gets a little time, then this one counts. */
static void take_hint(struct turn_client *c, struct request *r, usec_t now,
		      const struct turn_client_failure *why)
{
	c->stats.unproved++;
	c->hint = *why;
	r->hint = why->code;
	if (r->tr.tries == r->tr.tries_max)
		r->tr.due = usec_min(r->tr.due, now + HINT_US);
	else
		r->tr.due = now + HINT_US;
	r->tr.tries = r->tr.tries_max;
	r->send = false;
}

/* 401 and 438 carry no proof, there being no key that both know. */
static void challenged(struct turn_client *c, struct request *r, const struct stun_msg *m,
		       usec_t now, const struct turn_client_failure *why)
{
	bool fresh = r->credentials != c->credentials.serial; /* not shown yet */
	enum challenge challenge = credentials_challenge(&c->credentials, m);

	if (challenge == CHALLENGE_BAD) {
		take_hint(c, r, now, why);
		return;
	}
	end(c, r, now);
	if (r->retries < RETRIES_MAX &&
	    (why->code == STUN_STALE_NONCE || fresh || challenge == CHALLENGE_NEW_REALM))
		ask_anew(c, r, now);
	else
		unwelcome(c, r, now, why);
}

static void answered(struct turn_client *c, struct request *r, const struct stun_msg *m, usec_t now)
{
	struct turn_client_failure why = { 0 };
	struct span reason = { 0 };
	uint16_t code = 0;

	if (m->class == STUN_ERROR && !stun_get_error(m, &code, &reason)) {
		c->stats.malformed++;
		return;
	}
	why = failure_of(r, code, reason);
	if (code == STUN_UNAUTHENTICATED || code == STUN_STALE_NONCE) {
		c->stats.answers++;
		challenged(c, r, m, now, &why);
		return;
	}
	if (r->credentials && !credentials_prove(&c->credentials, m)) {
		if (m->class == STUN_ERROR)
			take_hint(c, r, now, &why);
		else
			c->stats.unproved++;
		return;
	}
	c->stats.answers++;
	end(c, r, now);
	if (m->class == STUN_SUCCESS)
		succeeded(c, r, m, now);
	else
		refused(c, r, m, now, &why);
}

/* What an answer or a Data indication may hold that must be understood. */
static bool understood(const struct stun_msg *m)
{
	static const uint16_t known[] = { STUN_MAPPED_ADDRESS,	 STUN_XOR_MAPPED_ADDRESS,
					  TURN_CHANNEL_NUMBER,	 TURN_LIFETIME,
					  TURN_DATA_ATTR,	 TURN_XOR_RELAYED_ADDRESS,
					  TURN_XOR_PEER_ADDRESS, TURN_RESERVATION_TOKEN };

	return stun_unknown(m, known, ARRAY_LEN(known), NULL, 0) == 0;
}

bool turn_client_input(struct turn_client *c, usec_t now, struct span message,
		       struct turn_client_data *data)
{
	struct stun_msg m;
	struct request *r;

	if (turn_is_channel_data(message))
		return client_holds(c) && peers_channel_data(c, message, data);
	if (stun_parse(message, &m) < 0 || !understood(&m)) {
		c->stats.malformed++;
		return false;
	}
	if (m.class == STUN_INDICATION)
		return client_holds(c) && peers_input(c, &m, data);
	r = request_of(c, &m);
	if (r)
		answered(c, r, &m, now);
	else
		c->stats.strays++;
	client_run(c, now);
	return false;
}

/* ---- what the driver asks for ---- */

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
		over(c);
		return;
	case STATE_ALLOCATING:
		if (!c->main.credentials) {
			client_event(c, TURN_CLIENT_CLOSED);
			over(c);
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
		begin_close(c, now);
		client_run(c, now);
		return;
	case STATE_CLOSING:
	case STATE_OVER:
		return;
	}
}
