#include "base/ct.h"
#include "base/err.h"
#include "proto/turn/turn_internal.h"

/* Which relayed addresses. 0 or the code to answer. */
static uint16_t read_families(const struct turn_request *r, struct turn_pending *p)
{
	const struct turn_server_config *config = &r->s->config;
	uint8_t one, more;

	if (!turn_request_family(r, TURN_REQUESTED_ADDRESS_FAMILY, &one) ||
	    !turn_request_family(r, TURN_ADDITIONAL_ADDRESS_FAMILY, &more) || (one && more))
		return STUN_BAD_REQUEST;
	if (stun_get_flag(r->m, TURN_ADDITIONAL_ADDRESS_FAMILY)) {
		if (more != TURN_FAMILY_V6) /* it is IPv4 and IPv6, or nothing (§18.12) */
			return more == TURN_FAMILY_V4 ? STUN_BAD_REQUEST
						      : TURN_ADDRESS_FAMILY_NOT_SUPPORTED;
		p->v4 = config->relay_v4;
		p->v6 = config->relay_v6;
		p->refused_family = !p->v4 ? TURN_FAMILY_V4 : !p->v6 ? TURN_FAMILY_V6 : 0;
		p->refused_code = TURN_ADDRESS_FAMILY_NOT_SUPPORTED;
	} else if (stun_get_flag(r->m, TURN_RESERVATION_TOKEN)) {
		/* that of the reserved port, which only the driver knows */
		p->by_token = true;
		p->v4 = config->relay_v4;
		p->v6 = config->relay_v6;
	} else {
		if (!stun_get_flag(r->m, TURN_REQUESTED_ADDRESS_FAMILY))
			one = TURN_FAMILY_V4; /* §7.2 */
		p->v4 = one == TURN_FAMILY_V4 && config->relay_v4;
		p->v6 = one == TURN_FAMILY_V6 && config->relay_v6;
	}
	return p->v4 || p->v6 ? 0 : TURN_ADDRESS_FAMILY_NOT_SUPPORTED;
}

/* EVEN-PORT and RESERVATION-TOKEN, and what excludes what. */
static uint16_t read_ports(const struct turn_request *r, struct turn_open *o)
{
	bool pair = stun_get_flag(r->m, TURN_ADDITIONAL_ADDRESS_FAMILY);

	o->even = stun_get_flag(r->m, TURN_EVEN_PORT);
	o->by_token = stun_get_flag(r->m, TURN_RESERVATION_TOKEN);
	if (o->even && !turn_get_even_port(r->m, &o->reserve_next))
		return STUN_BAD_REQUEST;
	if (o->by_token && !turn_get_token(r->m, o->token))
		return STUN_BAD_REQUEST;
	if (o->by_token && (o->even || pair || stun_get_flag(r->m, TURN_REQUESTED_ADDRESS_FAMILY)))
		return STUN_BAD_REQUEST;
	return pair && o->reserve_next ? STUN_BAD_REQUEST : 0;
}

static uint16_t read_protocol(const struct turn_request *r, struct turn_pending *p)
{
	if (!turn_get_transport(r->m, &p->protocol))
		return STUN_BAD_REQUEST;
	if (p->protocol == TURN_PROTOCOL_UDP)
		return 0;
	if (p->protocol != TURN_PROTOCOL_TCP || !r->s->config.tcp_relay)
		return TURN_UNSUPPORTED_TRANSPORT;
	/* RFC 6062 §5.1 */
	if (!turn_transport_is_stream(r->flow->transport) ||
	    stun_get_flag(r->m, TURN_DONT_FRAGMENT) || stun_get_flag(r->m, TURN_EVEN_PORT) ||
	    stun_get_flag(r->m, TURN_RESERVATION_TOKEN))
		return STUN_BAD_REQUEST;
	return 0;
}

static uint16_t read_mobility(const struct turn_request *r, struct turn_pending *p)
{
	struct span ticket;

	if (!stun_get(r->m, TURN_MOBILITY_TICKET, &ticket))
		return 0;
	if (ticket.len > 0)
		return STUN_BAD_REQUEST;
	if (!r->s->config.mobility)
		return TURN_MOBILITY_FORBIDDEN;
	/* without ticket in the answer the client knows that there is none */
	p->mobile = p->protocol == TURN_PROTOCOL_UDP;
	return 0;
}

/* In the order of RFC 8656 §7.2; RFC 6062 §5.1 and RFC 8016 §3.1.2 where they add to it. */
static uint16_t read_allocate(const struct turn_request *r, struct turn_pending *p,
			      struct turn_open *o)
{
	uint32_t seconds;
	bool asked;
	uint16_t code = read_protocol(r, p);

	code = code ? code : read_ports(r, o);
	code = code ? code : read_families(r, p);
	code = code ? code : read_mobility(r, p);
	if (code)
		return code;
	if (!turn_request_lifetime(r, &asked, &seconds))
		return STUN_BAD_REQUEST;
	p->lifetime_s = turn_request_grant(r, seconds, &p->by_credentials);
	if (r->s->draining || r->s->heap.n >= r->s->config.allocations_max)
		return TURN_INSUFFICIENT_CAPACITY;
	return 0;
}

static void answer_allocated(struct turn_request *r, const struct turn_alloc *a)
{
	struct addr mapped = addr_unmap(&r->flow->client);

	turn_answer_begin(r, STUN_SUCCESS);
	for (size_t row = TURN_V4; row <= TURN_V6; row++)
		if (a->until[row])
			stun_put_xor_addr(&r->out, TURN_XOR_RELAYED_ADDRESS, &a->relayed[row]);
	stun_put_u32(&r->out, TURN_LIFETIME, a->lifetime_s);
	if (a->reserved)
		stun_put(&r->out, TURN_RESERVATION_TOKEN, span_of(a->token, sizeof(a->token)));
	if (a->refused_family)
		turn_put_address_error(&r->out, a->refused_family, a->refused_code,
				       turn_error_reason(a->refused_code));
	stun_put_xor_addr(&r->out, STUN_XOR_MAPPED_ADDRESS, &mapped);
	if (a->mobility)
		turn_put_ticket(r->s, &r->out, a, r->s->config.worker);
	turn_answer_end(r);
}

void turn_allocate(struct turn_request *r)
{
	struct turn_pending *p = &r->s->pending;
	struct turn_open *o = &r->v->open;
	bool next;
	struct turn_alloc *a = turn_server_look_up(r->s, r->flow, &next);
	uint16_t code;

	if (a) {
		/* a retransmission of the Allocate that made it is answered as the first */
		if (!next && memcmp(a->tid, r->tid, sizeof(a->tid)) == 0 &&
		    strcmp(a->user, r->credential.user) == 0)
			answer_allocated(r, a);
		else
			turn_answer_error(r, TURN_ALLOCATION_MISMATCH);
		return;
	}
	*p = (struct turn_pending){ .waits = true, .flow = *r->flow };
	code = read_allocate(r, p, o);
	if (code) {
		p->waits = false;
		turn_answer_error(r, code);
		return;
	}
	memcpy(p->tid, r->tid, sizeof(p->tid));
	p->credential = r->credential;
	p->fingerprint = r->fingerprint;
	o->v4 = p->v4;
	o->v6 = p->v6;
	o->protocol = p->protocol;
	o->user = p->credential.user;
	r->v->type = TURN_VERDICT_OPEN;
}

static struct turn_alloc *make_alloc(struct turn_server *s, usec_t now,
				     const struct turn_pending *p, const struct turn_opened *opened)
{
	struct turn_alloc *a = turn_alloc_create(p->credential.user, s->rng);

	if (!a)
		return NULL;
	a->flow = p->flow;
	a->protocol = p->protocol;
	a->lifetime_s = p->lifetime_s;
	a->by_credentials = p->by_credentials;
	a->data = opened->data;
	memcpy(a->tid, p->tid, sizeof(a->tid));
	a->reserved = opened->reserved;
	memcpy(a->token, opened->token, sizeof(a->token));
	a->refused_family = p->refused_family;
	a->refused_code = p->refused_code;
	for (size_t row = TURN_V4; row <= TURN_V6; row++) {
		bool wanted = row == TURN_V4 ? p->v4 : p->v6;

		if (wanted && opened->relayed[row].family != ADDR_NONE) {
			a->relayed[row] = opened->relayed[row];
			a->until[row] = now + p->lifetime_s * USEC_PER_SEC;
		} else if (wanted && !p->by_token) {
			a->refused_family = row == TURN_V4 ? TURN_FAMILY_V4 : TURN_FAMILY_V6;
			a->refused_code = TURN_INSUFFICIENT_CAPACITY;
		}
	}
	if (!turn_alloc_until(a) || (p->mobile && turn_mobility_create(s, a) < 0) ||
	    turn_server_enter(s, a) < 0) {
		turn_alloc_destroy(a);
		return NULL;
	}
	return a;
}

void turn_server_opened(struct turn_server *s, usec_t now, const struct turn_opened *opened,
			struct turn_verdict *v)
{
	struct turn_pending *p = &s->pending;
	struct turn_request r = { .s = s, .now = now, .flow = &p->flow, .v = v };
	struct turn_alloc *a = NULL;

	turn_server_reap(s);
	turn_server_tell_time(s, now);
	*v = (struct turn_verdict){ .type = TURN_VERDICT_DROP };
	if (!p->waits)
		return;
	p->waits = false;
	r.method = TURN_ALLOCATE;
	r.tid = p->tid;
	r.credential = p->credential;
	r.fingerprint = p->fingerprint;
	r.sealed = r.proved = true;
	if (opened->code == 0)
		a = make_alloc(s, now, p, opened);
	if (a) {
		s->stats.allocated++;
		answer_allocated(&r, a);
	} else {
		turn_answer_error(&r, opened->code ? (uint16_t)opened->code
						   : TURN_INSUFFICIENT_CAPACITY);
	}
	v->alloc = a;
	ct_wipe(&r.credential, sizeof(r.credential));
	ct_wipe(&p->credential, sizeof(p->credential));
}
