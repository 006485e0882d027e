/* What the server answers, and what follows from it. */
#include <string.h>

#include "base/text.h"
#include "proto/turn/turn_client_internal.h"

#define ANSWERS_LIFETIME_MAX_S 86400 /* what is granted beyond is taken as this */

/* The same again, as a new transaction. */
static void ask_anew(struct turn_client *c, struct request *r, usec_t now)
{
	unsigned retries = r->retries + 1;

	client_ask(c, r, r->kind, now);
	r->retries = retries;
}

static struct turn_client_failure failure_of(const struct request *r, uint16_t code,
					     struct span reason)
{
	struct turn_client_failure why = { .step = client_step_of(r), .code = code };

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

static void allocated(struct turn_client *c, const struct stun_msg *m, usec_t now)
{
	(void)!stun_get_xor_addr(m, STUN_XOR_MAPPED_ADDRESS, &c->mapped);
	take_ticket(c, m);
	if (!take_lifetime(c, m, c->main.tr.began) || !take_relayed(c, m)) {
		client_fail_because(
			c, TURN_CLIENT_STEP_ALLOCATE,
			"the server's answer has no relayed address of the family asked for, or no "
			"lifetime");
		return;
	}
	if (c->state == STATE_CLOSING) {
		client_begin_close(c, now);
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
		client_fail_because(c, client_step_of(&c->main), "the server ended the allocation");
		return;
	}
	c->moving = false;
	if (c->close_later) {
		client_begin_close(c, now);
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
		client_over(c);
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
			client_refresh_later(c, now, why);
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
	r = client_request_of(c, &m);
	if (r)
		answered(c, r, &m, now);
	else
		c->stats.strays++;
	client_run(c, now);
	return false;
}
