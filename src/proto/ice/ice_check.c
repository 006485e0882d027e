/* When which pair is checked, and what a check says (RFC 8445 §6.1.4.2, §7.2). */
#include <stdio.h>
#include <string.h>

#include "proto/ice/ice_internal.h"

#define TURN 4 /* pairs of a rank in a row before another rank's turn */

static usec_t pace_interval(const struct ice *ice)
{
	return ice->checks_paced < EARLY_CHECKS ? TA_EARLY_US : TA_LATE_US;
}

/* ice->pace is when the last paced check would have been due at an even pace; it may run ahead of
 * the clock by a burst. */
static usec_t pace_ready(const struct ice *ice)
{
	return usec_sub(ice->pace, (BURST - 1) * pace_interval(ice));
}

static void pace_spend(struct ice *ice, usec_t now)
{
	ice->pace = usec_add(FL_MAX(ice->pace, now), pace_interval(ice));
	ice->checks_paced++;
}

static void write_username(const struct creds *c, struct stun_out *s)
{
	char name[ICE_UFRAG_MAX + UFRAG_LEN + 2];

	snprintf(name, sizeof(name), "%s:%s", c->remote_ufrag, c->ufrag);
	stun_put(s, STUN_USERNAME, span_str(name));
}

static int write_check(const struct ice *ice, const struct pair *p, const struct check *c,
		       struct out *o)
{
	const struct creds *creds = &ice->creds[p->gen];
	const struct lcand *l = &ice->locals[p->local];
	struct stun_out s;

	stun_begin(&s, o->data, sizeof(o->data), STUN_REQUEST, STUN_BINDING, c->tid);
	write_username(creds, &s);
	stun_put_u32(&s, STUN_PRIORITY, ice__priority(ICE_PRFLX, l->transport, l->preference));
	stun_put_u64(&s, c->controlling ? STUN_ICE_CONTROLLING : STUN_ICE_CONTROLLED, ice->tie);
	if (c->nominating) {
		stun_put_flag(&s, STUN_USE_CANDIDATE);
		if (creds->renomination)
			stun_put_u32(&s, STUN_NOMINATION, p->nomination);
	}
	stun_put_integrity(&s, span_str(creds->remote_pwd));
	stun_put_fingerprint(&s);
	return stun_end(&s);
}

/* One check on a pair, now; every sending is a transaction of its own. */
void ice__check_send(struct ice *ice, usec_t now, struct pair *p)
{
	struct check *c = &p->checks[p->next_check];
	struct out *o = ice__output(ice, &ice->locals[p->local].addr, &p->remote_addr,
				    ice_via(ice->locals[p->local].transport));
	int len;

	p->last_sent = now;
	if (!o)
		return; /* full: as if it was lost */
	p->next_check = (p->next_check + 1) % CHECKS_KEPT;
	*c = (struct check){
		.open = true,
		.sent = now,
		.controlling = ice->controlling,
		.nominating = ice->controlling && p->nominating,
	};
	rng_bytes(ice->rng, c->tid, sizeof(c->tid));
	len = write_check(ice, p, c, o);
	o->len = (uint16_t)FL_MAX(len, 0);
	p->sent++;
	ice->stats.checks_sent++;
}

/* A check in answer to one that came in (§7.3.1.4), unless it would tell nothing new. */
void ice__trigger(struct ice *ice, usec_t now, struct pair *p)
{
	if (p->state == ICE_PAIR_SUCCEEDED)
		return;
	if (p->state == ICE_PAIR_IN_PROGRESS && now < usec_add(p->last_sent, RECHECK_US))
		return;
	p->triggered = true;
	p->tries = 0;
	p->rto = RTO_US;
	if (p->state != ICE_PAIR_IN_PROGRESS)
		p->state = ICE_PAIR_WAITING;
}

/* A pair of this generation is in use and well. */
static bool settled(const struct ice *ice)
{
	return ice->selected >= 0 && ice->pairs[ice->selected].gen == ice->gen &&
	       ice->state == ICE_CONNECTED && !ice__doubtful(ice);
}

/* With a pair in use, only those are still tried that would be better, or that the other side has
 * nominated. */
static bool parked(const struct ice *ice, const struct pair *p)
{
	return settled(ice) && !p->wanted && !ice__pair_exceeds(ice, p, &ice->pairs[ice->selected]);
}

/* A valid pair is checked on until one is selected: it may carry data already, and when all our
 * answers were lost, the other side begins anew. */
static bool kept(const struct ice *ice, const struct pair *p)
{
	return p->valid && !settled(ice) && (ice->selected < 0 || p != &ice->pairs[ice->selected]);
}

enum { URGENCY_NONE, URGENCY_REPEAT, URGENCY_FROZEN, URGENCY_WAITING, URGENCY_TRIGGERED };

/* URGENCY_NONE: nothing to do for it before *at. */
static int urgency(const struct ice *ice, const struct pair *p, usec_t now, usec_t *at)
{
	*at = USEC_NEVER;
	if (!p->used || p->gen != ice->gen)
		return URGENCY_NONE;
	if (p->triggered)
		return URGENCY_TRIGGERED;
	if (p->nominating || (p->state == ICE_PAIR_IN_PROGRESS && !parked(ice, p)) ||
	    kept(ice, p)) {
		*at = p->due;
		if (p->due > now)
			return URGENCY_NONE;
		return p->nominating ? URGENCY_TRIGGERED : URGENCY_REPEAT;
	}
	if (p->state == ICE_PAIR_WAITING && !parked(ice, p))
		return URGENCY_WAITING;
	if (p->state == ICE_PAIR_FROZEN && !parked(ice, p))
		return URGENCY_FROZEN;
	return URGENCY_NONE;
}

/* How many pairs of each rank have been checked. */
static void count_begun(const struct ice *ice, unsigned begun[RANKS])
{
	memset(begun, 0, RANKS * sizeof(begun[0]));
	for (int i = 0; i < ICE_PAIRS_MAX; i++) {
		const struct pair *p = &ice->pairs[i];

		if (p->used && p->gen == ice->gen && p->state > ICE_PAIR_WAITING)
			begun[ice__pair_rank(ice, p)]++;
	}
}

/*
 * Of two pairs of one urgency, which is first. Those not checked yet take turns by rank, so that
 * the one pair that gets through a NAT need not wait for all pairs of a host's many interfaces.
 */
static bool sooner(const struct ice *ice, int urgency, const unsigned begun[RANKS],
		   const struct pair *a, const struct pair *b)
{
	enum ice_rank rank_a = ice__pair_rank(ice, a), rank_b = ice__pair_rank(ice, b);

	if ((urgency == URGENCY_WAITING || urgency == URGENCY_FROZEN) &&
	    begun[rank_a] / TURN != begun[rank_b] / TURN)
		return begun[rank_a] < begun[rank_b];
	return ice__pair_better(ice, a, b);
}

static struct pair *pick(struct ice *ice, usec_t now)
{
	struct pair *best = NULL;
	int best_urgency = URGENCY_NONE;
	unsigned begun[RANKS];
	usec_t at;

	count_begun(ice, begun);
	for (int i = 0; i < ICE_PAIRS_MAX; i++) {
		struct pair *p = &ice->pairs[i];
		int u = urgency(ice, p, now, &at);

		if (u > best_urgency ||
		    (u == best_urgency && best && sooner(ice, u, begun, p, best))) {
			best = p;
			best_urgency = u;
		}
	}
	return best;
}

/* Its series of checks is over without an answer. Whether the selected pair works is for consent to
 * say; another one that was to be nominated did work, and begins anew. */
static void give_up(struct ice *ice, usec_t now, struct pair *p)
{
	if (p->nominating && ice->selected >= 0 && p == &ice->pairs[ice->selected]) {
		ice->renominate = true;
		p->nominating = false;
		p->due = USEC_NEVER;
		return;
	}
	p->error = p->error == ICE_PAIR_OK ? ICE_PAIR_TIMEOUT : p->error;
	if (p->nominating) {
		ice__pair_restart(ice, now, p);
		return;
	}
	p->state = ICE_PAIR_FAILED;
	p->valid = false;
	p->due = USEC_NEVER;
}

static void give_up_due(struct ice *ice, usec_t now)
{
	for (int i = 0; i < ICE_PAIRS_MAX; i++) {
		struct pair *p = &ice->pairs[i];

		if (p->used && p->gen == ice->gen && !p->triggered && p->tries >= TRIES_MAX &&
		    (p->nominating || p->state == ICE_PAIR_IN_PROGRESS) && now >= p->due)
			give_up(ice, now, p);
	}
}

void ice__check_timeout(struct ice *ice, usec_t now)
{
	struct pair *p;

	if (!ice->creds[ice->gen].have_remote || ice->failed)
		return;
	give_up_due(ice, now);
	while (pace_ready(ice) <= now && (p = pick(ice, now))) {
		p->triggered = false;
		p->tries++;
		p->due = usec_add(now, p->rto);
		p->rto = usec_min(2 * p->rto, RTO_MAX_US);
		if (p->state != ICE_PAIR_SUCCEEDED)
			p->state = ICE_PAIR_IN_PROGRESS;
		ice__check_send(ice, now, p);
		pace_spend(ice, now);
	}
}

usec_t ice__check_deadline(const struct ice *ice)
{
	usec_t first = USEC_NEVER, at;

	if (!ice->creds[ice->gen].have_remote || ice->failed)
		return USEC_NEVER;
	for (int i = 0; i < ICE_PAIRS_MAX; i++) {
		if (urgency(ice, &ice->pairs[i], 0, &at) != URGENCY_NONE)
			at = 0;
		first = usec_min(first, at);
	}
	return first == USEC_NEVER ? first : FL_MAX(first, pace_ready(ice));
}
