/* What comes in: the other side's checks, and answers to ours (RFC 8445 §7.3, §7.2.5). */
#include <stdio.h>

#include "proto/ice/ice_internal.h"

struct out *ice__output(struct ice *ice, const struct addr *local, const struct addr *remote,
			enum dgram_via via)
{
	struct out *o;

	if (ice->out_count == ICE_OUTPUT_MAX) {
		ice->stats.over_limit++;
		return NULL;
	}
	o = &ice->outputs[(ice->out_first + ice->out_count++) % ICE_OUTPUT_MAX];
	o->local = *local;
	o->remote = *remote;
	o->via = via;
	o->len = 0;
	return o;
}

bool ice_next_output(struct ice *ice, struct dgram *out)
{
	struct out *o;

	if (ice->out_count == 0)
		return false;
	o = &ice->outputs[ice->out_first];
	ice->out_first = (ice->out_first + 1) % ICE_OUTPUT_MAX;
	ice->out_count--;
	*out = (struct dgram){ o->local, o->remote, span_of(o->data, o->len), o->via };
	return true;
}

static void answer_success(struct ice *ice, const struct dgram *d, const struct stun_msg *m,
			   unsigned gen)
{
	struct out *o = ice__output(ice, &d->local, &d->remote, d->via);
	struct stun_out s;
	int len;

	if (!o)
		return;
	stun_begin(&s, o->data, sizeof(o->data), STUN_SUCCESS, STUN_BINDING, m->tid);
	stun_put_xor_addr(&s, STUN_XOR_MAPPED_ADDRESS, &d->remote);
	stun_put_integrity(&s, span_str(ice->creds[gen].pwd));
	stun_put_fingerprint(&s);
	len = stun_end(&s);
	o->len = (uint16_t)FL_MAX(len, 0);
}

static void answer_error(struct ice *ice, const struct dgram *d, const struct stun_msg *m,
			 unsigned gen, uint16_t code, const char *reason)
{
	static const uint16_t known[] = { STUN_PRIORITY, STUN_USE_CANDIDATE };
	struct out *o = ice__output(ice, &d->local, &d->remote, d->via);
	struct stun_out s;
	uint16_t types[8];
	int len;

	if (!o)
		return;
	stun_begin(&s, o->data, sizeof(o->data), STUN_ERROR, STUN_BINDING, m->tid);
	stun_put_error(&s, code, reason);
	if (code == STUN_UNKNOWN_ATTRIBUTE)
		stun_put_unknown(&s, types,
				 stun_unknown(m, known, ARRAY_LEN(known), types, ARRAY_LEN(types)));
	stun_put_integrity(&s, span_str(ice->creds[gen].pwd));
	stun_put_fingerprint(&s);
	len = stun_end(&s);
	o->len = (uint16_t)FL_MAX(len, 0);
}

/*
 * Which generation a request is for: USERNAME is "ours:theirs" and MESSAGE-INTEGRITY is by our
 * password. Before the other side's credentials are known, theirs is anything. -1: none. A wrong
 * one gets no answer: a stranger learns nothing, and nobody can be hit by our answers.
 */
static int request_generation(const struct ice *ice, const struct stun_msg *m)
{
	char want[ICE_UFRAG_MAX + UFRAG_LEN + 2];
	struct span name;

	if (!stun_get(m, STUN_USERNAME, &name))
		return -1;
	for (unsigned g = 0; g < GENERATIONS; g++) {
		const struct creds *c = &ice->creds[g];
		size_t len = (size_t)snprintf(want, sizeof(want), "%s:%s", c->ufrag,
					      c->have_remote ? c->remote_ufrag : "");
		bool fits = c->have_remote ? name.len == len : name.len > len;

		if (c->ufrag[0] && fits && memcmp(name.ptr, want, len) == 0)
			return stun_check_integrity(m, span_str(c->pwd)) == 0 ? (int)g : -1;
	}
	return -1;
}

/* §7.3.1.1. False when the request was answered by 487. */
static bool settle_role(struct ice *ice, const struct dgram *d, const struct stun_msg *m,
			unsigned gen)
{
	uint64_t tie;
	bool keep;

	if (!stun_get_u64(m, ice->controlling ? STUN_ICE_CONTROLLING : STUN_ICE_CONTROLLED, &tie))
		return true;
	keep = ice->controlling ? ice->tie >= tie : ice->tie < tie;
	if (!keep) {
		ice__set_role(ice, !ice->controlling);
		return true;
	}
	answer_error(ice, d, m, gen, STUN_ROLE_CONFLICT, "Role Conflict");
	return false;
}

/* The pair a request came over; made when it is new (§7.3.1.3). -1 at a limit. */
static int request_pair(struct ice *ice, const struct dgram *d, int local, uint32_t priority)
{
	struct rcand r = { .type = ICE_PRFLX, .addr = d->remote, .priority = priority };
	int pair = ice__pair_find(ice, ice->gen, local, &d->remote), remote;

	if (pair >= 0)
		return pair;
	if (d->via ==
	    DGRAM_TCP) /* what connects to a listener is active, and the other way round */
		r.transport = ice->locals[local].transport == ICE_TCP_PASSIVE ? ICE_TCP_ACTIVE
									      : ICE_TCP_PASSIVE;
	r.addr.scope = 0;
	snprintf(r.foundation, sizeof(r.foundation), "p%u",
		 addr_hash(&d->remote, ice->foundation_key));
	remote = ice__remote_add(ice, &r);
	return remote < 0 ? -1 : ice__pair_add(ice, local, remote, true);
}

/* Before anything of this request is counted. */
static enum ice_unasked unasked(const struct ice *ice, int pair)
{
	const struct pair *p = &ice->pairs[pair];
	enum ice_unasked how = ICE_UNASKED_ADDRESS;

	if (p->sent || p->received)
		return p->unasked;
	for (int i = 0; i < ICE_PAIRS_MAX; i++) {
		const struct pair *o = &ice->pairs[i];

		if (o->used && o->local == p->local && o->sent &&
		    addr_ip_equal(&o->remote_addr, &p->remote_addr))
			how = ICE_UNASKED_PORT;
	}
	return how;
}

/* Controlled: whether the controlling side wants this pair. */
static void heard_wish(struct ice *ice, usec_t now, struct pair *p, const struct stun_msg *m)
{
	uint32_t nomination;
	bool again = now < usec_add(p->asked_last, ASKED_US);

	if (!stun_get_flag(m, STUN_USE_CANDIDATE)) {
		if (p->asked && !again)
			ice->chooses = true;
		return;
	}
	p->wanted = true;
	p->asked = p->asked && again ? p->asked : now;
	p->asked_last = now;
	/* a late copy of an earlier one takes nothing back */
	if (stun_get_u32(m, STUN_NOMINATION, &nomination))
		p->nomination = FL_MAX(nomination, p->nomination);
}

static void heard_request(struct ice *ice, usec_t now, const struct dgram *d,
			  const struct stun_msg *m, int local)
{
	uint32_t priority;
	int pair;

	if (!stun_get_u32(m, STUN_PRIORITY, &priority))
		priority = ice__priority(ICE_PRFLX, ice->locals[local].transport, 0);
	pair = request_pair(ice, d, local, priority);
	if (pair < 0)
		return;
	ice->pairs[pair].unasked = unasked(ice, pair);
	ice->pairs[pair].received++;
	ice->pairs[pair].heard = true;
	ice__heard_elsewhere(ice, now, &ice->pairs[pair]);
	if (!ice->controlling)
		heard_wish(ice, now, &ice->pairs[pair], m);
	if (ice->pairs[pair].valid && ice->pairs[pair].wanted && !ice__stale(ice, now, pair)) {
		ice__nominated(ice, now, pair);
		return;
	}
	ice__want(ice, now, &ice->pairs[pair]);
}

static void input_request(struct ice *ice, usec_t now, const struct dgram *d,
			  const struct stun_msg *m)
{
	static const uint16_t known[] = { STUN_PRIORITY, STUN_USE_CANDIDATE };
	int local = ice__local_of_base(ice, &d->local, d->via), gen;
	uint16_t types[1];

	if (local < 0) {
		ice->stats.wrong_local++;
		return;
	}
	if (stun_check_fingerprint(m) < 0) {
		ice->stats.fingerprint++;
		return;
	}
	gen = request_generation(ice, m);
	if (gen < 0) {
		ice->stats.unauthenticated++;
		return;
	}
	ice->stats.checks_received++;
	if (stun_unknown(m, known, ARRAY_LEN(known), types, ARRAY_LEN(types)) > 0) {
		ice->stats.unknown_attribute++;
		answer_error(ice, d, m, (unsigned)gen, STUN_UNKNOWN_ATTRIBUTE, "Unknown Attribute");
		return;
	}
	if (!settle_role(ice, d, m, (unsigned)gen))
		return;
	answer_success(ice, d, m, (unsigned)gen);
	if ((unsigned)gen == ice->gen)
		heard_request(ice, now, d, m, local);
}

static struct check *find_check(struct ice *ice, const struct stun_msg *m, int *pair)
{
	for (*pair = 0; *pair < ICE_PAIRS_MAX; ++*pair) {
		struct pair *p = &ice->pairs[*pair];

		for (int i = 0; p->used && i < CHECKS_KEPT; i++)
			if (p->checks[i].open &&
			    memcmp(p->checks[i].tid, m->tid, STUN_TID_LEN) == 0)
				return &p->checks[i];
	}
	return NULL;
}

/* Only 487 changes something; all others are noted for the report, and the checks go on, because
 * the credentials may simply not have reached the other side yet. */
static void check_refused(struct ice *ice, usec_t now, struct pair *p, struct check *c,
			  const struct stun_msg *m)
{
	uint16_t code;
	struct span reason;

	if (!stun_get_error(m, &code, &reason)) {
		ice->stats.malformed++;
		return;
	}
	c->open = false;
	if (code != STUN_ROLE_CONFLICT) {
		p->error = ICE_PAIR_REFUSED;
		p->error_code = code;
		return;
	}
	if (c->controlling == ice->controlling)
		ice__set_role(ice, !ice->controlling);
	p->last_sent = 0;
	ice__trigger(ice, now, p);
}

static void check_succeeded(struct ice *ice, usec_t now, int pair, struct check *c,
			    const struct stun_msg *m)
{
	struct pair *p = &ice->pairs[pair];
	bool nominating = c->nominating && ice->controlling;
	struct addr mapped;

	if (!stun_get_xor_addr(m, STUN_XOR_MAPPED_ADDRESS, &mapped)) {
		ice->stats.malformed++;
		return;
	}
	c->open = false;
	mapped = addr_unmap(&mapped);
	p->error = ICE_PAIR_OK;
	p->answered++;
	ice->stats.checks_answered++;
	p->rtt_us = (uint32_t)FL_MIN(FL_MAX(usec_sub(now, c->sent), 1), UINT32_MAX);
	p->mapped = ice__local_mapped(ice, &ice->locals[p->local], &mapped);
	ice__answered(ice, now, pair);
	if (!p->valid)
		ice__valid(ice, now, pair);
	if ((nominating && p->nominating) || (!ice->controlling && p->wanted))
		ice__nominated(ice, now, pair);
}

static void input_answer(struct ice *ice, usec_t now, const struct dgram *d,
			 const struct stun_msg *m)
{
	int pair;
	struct check *c = find_check(ice, m, &pair);
	struct pair *p;

	if (!c) {
		if (!ice__probe_answer(ice, now, d, m))
			ice->stats.unexpected++;
		return;
	}
	p = &ice->pairs[pair];
	if (stun_check_integrity(m, span_str(ice->creds[p->gen].remote_pwd)) < 0) {
		/* 400 and 401 come without one; they are worth a note, and nothing else */
		uint16_t code;
		struct span reason;

		if (m->class == STUN_ERROR && stun_get_error(m, &code, &reason) &&
		    addr_equal(&d->remote, &p->remote_addr) && p->error == ICE_PAIR_OK) {
			p->error = ICE_PAIR_REFUSED;
			p->error_code = code;
		}
		ice->stats.unauthenticated++;
		return;
	}
	if (!addr_equal(&d->remote, &p->remote_addr) ||
	    !addr_equal(&d->local, &ice->locals[p->local].addr) ||
	    d->via != ice_via(ice->locals[p->local].transport)) {
		c->open = false;
		p->error = ICE_PAIR_ASYMMETRIC;
		return;
	}
	if (m->class == STUN_SUCCESS)
		check_succeeded(ice, now, pair, c, m);
	else
		check_refused(ice, now, p, c, m);
}

int ice_input(struct ice *ice, usec_t now, const struct dgram *d)
{
	struct stun_msg m;

	if (d->data.len > STUN_INTEGRITY_MAX || stun_parse(d->data, &m) < 0) {
		ice->stats.malformed++;
		return 0;
	}
	if (m.method != STUN_BINDING) {
		ice->stats.unexpected++;
		return 0;
	}
	switch (m.class) {
	case STUN_REQUEST:
		input_request(ice, now, d, &m);
		break;
	case STUN_SUCCESS:
	case STUN_ERROR:
		input_answer(ice, now, d, &m);
		break;
	case STUN_INDICATION: /* a keep-alive: nothing to do */
		break;
	}
	ice__turn_end(ice, now);
	return 0;
}
