/* Which pair is used: nomination (RFC 8445 §8), consent (RFC 7675), the path for data, the state.
 */
#include <stdio.h>

#include "proto/ice/ice_internal.h"

/* All pairs are tried anew while the selected one is silent; repeated, because the network that is
 * to come back takes its time. */
#define REVIVE_AGAIN_US (7000 * MSEC)

static struct pair *selected_pair(struct ice *ice)
{
	return ice->selected >= 0 ? &ice->pairs[ice->selected] : NULL;
}

bool ice__doubtful(const struct ice *ice)
{
	return ice->selected >= 0 &&
	       ice->misses > (ice->suspect ? DOUBT_MISSES_SUSPECT : DOUBT_MISSES);
}

/* Has another pair answered since the selected one should have? */
static bool other_answered(const struct ice *ice)
{
	for (int i = 0; i < ICE_PAIRS_MAX; i++) {
		const struct pair *p = &ice->pairs[i];

		if (p->used && p->valid && p->gen == ice->gen && i != ice->selected &&
		    p->last_answer >= ice->doubt_at)
			return true;
	}
	return false;
}

static bool disconnected(const struct ice *ice)
{
	return ice->selected >= 0 &&
	       (ice->misses > CONSENT_MISSES ||
		(ice->misses > DOUBT_MISSES && ice__doubtful(ice) && other_answered(ice)));
}

static int best_valid(const struct ice *ice)
{
	int best = -1;

	for (int i = 0; i < ICE_PAIRS_MAX; i++) {
		const struct pair *p = &ice->pairs[i];

		if (!p->used || !p->valid || p->gen != ice->gen ||
		    (i == ice->selected && disconnected(ice)))
			continue;
		if (best < 0 || ice__pair_better(ice, p, &ice->pairs[best]))
			best = i;
	}
	return best;
}

void ice__set_role(struct ice *ice, bool controlling)
{
	if (ice->controlling == controlling)
		return;
	ice->controlling = controlling;
	ice->event_role = true;
	/* What was nominated in the other role binds nobody: the new controlling agent does it
	 * anew, the new controlled one follows. */
	ice->chooses = false;
	if (!controlling)
		ice->nominations = 0;
	for (int i = 0; i < ICE_PAIRS_MAX; i++) {
		struct pair *p = &ice->pairs[i];

		p->nominating = p->wanted = p->nominated = false;
		p->nomination = 0;
		p->asked = p->asked_last = 0;
	}
}

void ice__valid(struct ice *ice, usec_t now, int pair)
{
	struct pair *p = &ice->pairs[pair];
	const char *local = ice->locals[p->local].foundation;
	const char *remote = ice->remotes[p->remote].foundation;

	p->valid = true;
	p->state = ICE_PAIR_SUCCEEDED;
	p->error = ICE_PAIR_OK;
	p->triggered = false;
	p->rto = RTO_MAX_US;
	p->due = usec_add(now, p->rto);
	if (!ice->stats.valid_us)
		ice->stats.valid_us = now;
	for (int i = 0; i < ICE_PAIRS_MAX; i++) { /* §7.2.5.3.3 */
		struct pair *o = &ice->pairs[i];

		if (o->used && o->gen == p->gen && o->state == ICE_PAIR_FROZEN &&
		    strcmp(ice->locals[o->local].foundation, local) == 0 &&
		    strcmp(ice->remotes[o->remote].foundation, remote) == 0)
			o->state = ICE_PAIR_WAITING;
	}
}

static void consent_again(struct ice *ice, usec_t now)
{
	ice->misses = 0;
	ice->suspect = ice->hinted = false;
	ice->consent_due = usec_add(now, CONSENT_MIN_US +
						 rng_below(ice->rng, (uint32_t)CONSENT_SPREAD_US));
}

void ice__answered(struct ice *ice, usec_t now, int pair)
{
	ice->pairs[pair].last_answer = now;
	if (pair == ice->selected)
		consent_again(ice, now);
}

/* Drops the pair of an earlier generation with its remote candidate. */
static void drop_old(struct ice *ice, int pair)
{
	int remote = ice->pairs[pair].remote;

	if (ice->pairs[pair].gen == ice->gen)
		return;
	ice__pair_drop(ice, pair);
	ice__remote_forget(ice, remote);
}

static void select_pair(struct ice *ice, usec_t now, int pair)
{
	int old = ice->selected;

	if (old == pair)
		return;
	if (disconnected(ice)) { /* it has to show anew that it works */
		ice__pair_restart(ice, now, &ice->pairs[old]);
		ice->pairs[old].error = ICE_PAIR_CONSENT;
	}
	ice->selected = pair;
	ice->was_connected = true;
	ice->pairs[pair].nominated = true;
	if (!ice->stats.selected_us)
		ice->stats.selected_us = now;
	consent_again(ice, now);
	ice->seek_interval = SEEK_US;
	ice->seek_at = usec_add(now, SEEK_US);
	if (old >= 0)
		drop_old(ice, old);
}

/*
 * Controlled, without NOMINATION values: whether a is to be used rather than b, both nominated. A
 * peer that checks a nominated pair without nominating it again chooses one pair after the other,
 * and the latest counts. Any other may nominate several at once (RFC 5245's aggressive way): then
 * it is the one of highest priority.
 */
static bool asked_rather(const struct ice *ice, const struct pair *a, const struct pair *b)
{
	if (ice->chooses)
		return a->asked > b->asked;
	return a->nominated && ice__pair_priority(ice, a) > ice__pair_priority(ice, b);
}

/* It worked once and was not asked since: taken as it is, its consent would be over at once. */
bool ice__stale(const struct ice *ice, usec_t now, int pair)
{
	return pair != ice->selected &&
	       now >= usec_add(ice->pairs[pair].last_answer, CONSENT_MIN_US + CONSENT_SPREAD_US);
}

/* A check of p now; if it is wanted, also when it worked before. */
void ice__want(struct ice *ice, usec_t now, struct pair *p)
{
	if (p->wanted && p->state == ICE_PAIR_SUCCEEDED)
		p->state = ICE_PAIR_WAITING;
	ice__trigger(ice, now, p);
}

/* Controlled: whether a pair that the other side nominated replaces the selected one. With
 * NOMINATION values the latest counts. */
static bool takes_over(struct ice *ice, const struct pair *p)
{
	const struct pair *s = selected_pair(ice);

	if (p->nomination) {
		if (p->nomination <= ice->nominations)
			return false;
		ice->nominations = p->nomination;
		return true;
	}
	return !s || s->gen != ice->gen || !s->nominated || disconnected(ice) ||
	       asked_rather(ice, p, s);
}

void ice__nominated(struct ice *ice, usec_t now, int pair)
{
	struct pair *p = &ice->pairs[pair];

	p->wanted = false;
	p->nominated = true;
	if (ice->controlling) {
		p->nominating = ice->renominate = false;
		p->due = USEC_NEVER;
		select_pair(ice, now, pair);
	} else if (takes_over(ice, p)) {
		select_pair(ice, now, pair);
	}
}

/* A remote candidate's priority may change when it is signalled after its first check, and the
 * other side may have left for a lesser pair because the selected one fell silent for it alone. So
 * the choice is made anew. */
static void reconsider(struct ice *ice, usec_t now)
{
	int best = ice->selected;

	if (ice->controlling || ice->nominations || best < 0 || disconnected(ice) ||
	    ice->pairs[best].gen != ice->gen || !ice->pairs[best].nominated)
		return;
	for (int i = 0; i < ICE_PAIRS_MAX; i++) {
		const struct pair *p = &ice->pairs[i];

		if (p->used && p->gen == ice->gen && p->valid && p->asked &&
		    asked_rather(ice, p, &ice->pairs[best]))
			best = i;
	}
	if (best != ice->selected && ice__stale(ice, now, best)) {
		if (!ice->pairs[best].wanted) {
			ice->pairs[best].wanted = true;
			ice__want(ice, now, &ice->pairs[best]);
		}
		return;
	}
	select_pair(ice, now, best);
}

/* Is something better than p still being found out? */
static bool better_is_open(const struct ice *ice, const struct pair *p)
{
	enum ice_rank rank = ice__pair_rank(ice, p);

	for (int i = 0; i < ICE_PAIRS_MAX; i++) {
		const struct pair *o = &ice->pairs[i];

		if (o->used && o->gen == ice->gen && o->state < ICE_PAIR_SUCCEEDED &&
		    ice__pair_rank(ice, o) > FL_MAX(rank, RANK_VIRTUAL))
			return true;
	}
	return false;
}

/* When a first nomination of p may go out. A local pair is as good as it gets; a VPN's pair is
 * never what others wait for. */
static usec_t grace_end(const struct ice *ice, const struct pair *p)
{
	enum ice_rank rank = ice__pair_rank(ice, p);

	if (rank == RANK_LOCAL || !better_is_open(ice, p))
		return 0;
	return usec_add(ice->stats.valid_us, rank <= RANK_RELAYED ? GRACE_RELAY_US : GRACE_US);
}

/* Whether it is worth leaving a working pair for p. One that goes by priorities would not follow
 * against them. */
static bool is_upgrade(const struct ice *ice, const struct pair *p, const struct pair *s)
{
	if (!ice__pair_exceeds(ice, p, s))
		return false;
	return ice->creds[ice->gen].renomination ||
	       ice__pair_priority(ice, p) > ice__pair_priority(ice, s);
}

/* The pair to nominate and from when on; -1 when there is nothing to change. */
static int nominee(const struct ice *ice, usec_t *at)
{
	int best = best_valid(ice);
	const struct pair *s = ice->selected >= 0 ? &ice->pairs[ice->selected] : NULL;

	*at = USEC_NEVER;
	if (!ice->controlling || best < 0 || ice->failed)
		return -1;
	for (int i = 0; i < ICE_PAIRS_MAX; i++)
		if (ice->pairs[i].used && ice->pairs[i].nominating)
			return -1;
	if (!s || s->gen != ice->gen) {
		*at = grace_end(ice, &ice->pairs[best]);
		return best;
	}
	if (!s->nominated) {
		*at = 0;
		return best;
	}
	if (best == ice->selected ||
	    (!disconnected(ice) && !is_upgrade(ice, &ice->pairs[best], s))) {
		if (!ice->renominate || disconnected(ice))
			return -1;
		best = ice->selected;
	}
	*at = 0;
	return best;
}

/* True when a nomination was begun: its check wants to go out. */
static bool consider(struct ice *ice, usec_t now)
{
	usec_t at;
	int i = nominee(ice, &at);
	struct pair *p;

	if (i < 0 || now < at)
		return false;
	p = &ice->pairs[i];
	p->nominating = true;
	p->nomination = ++ice->nominations;
	p->tries = 0;
	p->rto = RTO_US;
	p->due = now;
	return true;
}

/* All pairs of this generation but the selected one begin anew. */
void ice__revive(struct ice *ice, usec_t now)
{
	for (int i = 0; i < ICE_PAIRS_MAX; i++)
		if (ice->pairs[i].used && ice->pairs[i].gen == ice->gen && i != ice->selected)
			ice__pair_restart(ice, now, &ice->pairs[i]);
	ice->revive_at = usec_add(now, REVIVE_AGAIN_US);
	if (ice->selected < 0)
		ice->fail_at = usec_add(now, ice->config.fail_after_us);
}

static void consent_lost(struct ice *ice, usec_t now)
{
	struct pair *p = selected_pair(ice);
	int old = ice->selected;

	p->valid = false;
	p->state = ICE_PAIR_FAILED;
	p->error = ICE_PAIR_CONSENT;
	ice->stats.consents_lost++;
	ice->selected = -1;
	drop_old(ice, old);
	/* Controlled with another valid pair: the other side has yet to nominate it. */
	if (ice->creds[ice->gen].have_remote)
		ice->fail_at = best_valid(ice) < 0 && ice->pairs[old].used
				       ? now
				       : usec_add(now, PATIENCE_US);
	else
		ice->fail_at = now;
}

/* A pair that failed, of a better rank than the selected one. */
static bool sought(const struct ice *ice, const struct pair *p)
{
	return p->used && p->gen == ice->gen && p->state == ICE_PAIR_FAILED &&
	       ice__pair_rank(ice, p) > ice__pair_rank(ice, &ice->pairs[ice->selected]);
}

/* By turns: those that worked once, then those that were not tried for the longest time. */
static bool has_turn_before(const struct ice *ice, const struct pair *a, const struct pair *b)
{
	if ((a->answered > 0) != (b->answered > 0))
		return a->answered > 0;
	if (a->last_sent != b->last_sent)
		return a->last_sent < b->last_sent;
	return ice__pair_better(ice, a, b);
}

static struct pair *seek_next(struct ice *ice,
			      bool (*before)(const struct ice *ice, const struct pair *a,
					     const struct pair *b))
{
	struct pair *next = NULL;

	for (int i = 0; i < ICE_PAIRS_MAX; i++) {
		struct pair *p = &ice->pairs[i];

		if (sought(ice, p) && (!next || before(ice, p, next)))
			next = p;
	}
	return next;
}

/* The network may have changed for the better: a LAN that lets its hosts meet now, UDP that is no
 * longer blocked. */
static void seek(struct ice *ice, usec_t now)
{
	struct pair *p;

	if (now < ice->seek_at)
		return;
	for (int n = 0; n < SEEK_BEST + SEEK_TURNS; n++) {
		p = seek_next(ice, n < SEEK_BEST ? ice__pair_better : has_turn_before);
		if (!p)
			break;
		p->state = ICE_PAIR_WAITING;
		p->tries = TRIES_MAX - 1; /* just one */
		p->rto = SEEK_US / 2;
	}
	if (ice__pair_rank(ice, selected_pair(ice)) < RANK_PUNCHED)
		ice__probe_again(ice, now);
	if (ice__pair_rank(ice, selected_pair(ice)) > RANK_RELAYED)
		ice->seek_interval = usec_min(ice->seek_interval * 5 / 4, SEEK_MAX_US);
	ice->seek_at = usec_add(now, ice->seek_interval);
}

static bool seeks(const struct ice *ice)
{
	return ice->selected >= 0 && ice->pairs[ice->selected].gen == ice->gen &&
	       !ice__doubtful(ice) && ice__pair_rank(ice, &ice->pairs[ice->selected]) < RANK_LOCAL;
}

static usec_t consent_repeat(const struct ice *ice, const struct pair *p)
{
	usec_t patience = (usec_t)p->rtt_us * 3 / 2;

	return FL_MAX(patience, ice->suspect ? SUSPECT_REPEAT_US : CONSENT_REPEAT_US);
}

void ice__select_timeout(struct ice *ice, usec_t now)
{
	struct pair *p = selected_pair(ice);
	bool was = ice__doubtful(ice);

	if (!p)
		return;
	if (now >= usec_add(p->last_answer, CONSENT_LOST_US)) {
		consent_lost(ice, now);
		return;
	}
	if (now >= ice->consent_due) {
		if (ice->misses++ == 0)
			ice->doubt_at = now;
		ice->consent_due = usec_add(now, consent_repeat(ice, p));
		ice__check_send(ice, now, p);
	}
	if (ice__doubtful(ice) && (!was || now >= ice->revive_at)) {
		ice__revive(ice, now);
		if (!ice->hinted)
			ice__tell_again(ice, now);
	}
	if (seeks(ice))
		seek(ice, now);
}

void ice_suspect(struct ice *ice, usec_t now)
{
	if (ice->selected < 0 || ice->misses > 0)
		return;
	ice->suspect = true;
	ice->consent_due = now;
	ice__turn_end(ice, now);
}

void ice__hint(struct ice *ice, usec_t now, bool sure)
{
	const struct pair *s = selected_pair(ice);

	if (!s || ice->misses > 0 || s->gen != ice->gen || now < usec_add(s->last_answer, FRESH_US))
		return;
	ice->suspect = ice->hinted = true;
	ice->consent_due = ice->doubt_at = now;
	if (sure)
		ice->misses = DOUBT_MISSES_SUSPECT;
}

/* While a pair works that is better than p, nobody checks p. */
void ice__heard_elsewhere(struct ice *ice, usec_t now, const struct pair *p)
{
	const struct pair *s = selected_pair(ice);

	if (s && s != p && !ice__pair_exceeds(ice, p, s))
		ice__hint(ice, now, false);
}

bool ice_suspicious(const struct ice *ice)
{
	return ice->selected >= 0 ? ice->suspect || ice__doubtful(ice) : ice->was_connected;
}

static bool all_failed(const struct ice *ice)
{
	if (!ice->gathered || !ice->remotes_done)
		return false;
	for (int i = 0; i < ICE_PAIRS_MAX; i++)
		if (ice->pairs[i].used && ice->pairs[i].gen == ice->gen &&
		    ice->pairs[i].state != ICE_PAIR_FAILED)
			return false;
	return true;
}

static usec_t fail_time(const struct ice *ice)
{
	if (ice->failed || ice->selected >= 0)
		return USEC_NEVER;
	if (!ice->was_connected && ice->creds[ice->gen].have_remote && all_failed(ice))
		return usec_min(ice->fail_at, usec_add(ice->stats.began_us, PATIENCE_US));
	return ice->fail_at;
}

static void fail(struct ice *ice)
{
	ice->failed = true;
	for (int i = 0; i < ICE_PAIRS_MAX; i++) {
		struct pair *p = &ice->pairs[i];

		if (!p->used || p->state == ICE_PAIR_FAILED)
			continue;
		p->error = p->error == ICE_PAIR_OK ? ICE_PAIR_TIMEOUT : p->error;
		p->state = ICE_PAIR_FAILED;
		p->valid = p->nominating = p->triggered = false;
	}
}

static enum ice_state state_now(const struct ice *ice)
{
	if (ice->selected >= 0)
		return disconnected(ice) ? ICE_DISCONNECTED : ICE_CONNECTED;
	if (ice->failed)
		return ICE_FAILED;
	if (ice->was_connected)
		return ICE_DISCONNECTED;
	return ice->creds[ice->gen].have_remote ? ICE_CHECKING : ICE_NEW;
}

static bool early_better(const struct ice *ice, const struct pair *a, const struct pair *b)
{
	return a->heard != b->heard ? a->heard : ice__pair_better(ice, a, b);
}

static int best_early(const struct ice *ice, const bool *taken)
{
	int best = -1;

	for (int i = 0; i < ICE_PAIRS_MAX; i++) {
		const struct pair *p = &ice->pairs[i];

		if (p->used && p->gen == ice->gen && p->state < ICE_PAIR_SUCCEEDED &&
		    !(taken && taken[i]) && (best < 0 || early_better(ice, p, &ice->pairs[best])))
			best = i;
	}
	return best;
}

static void fill_path(const struct ice *ice, int pair, enum ice_path_level level,
		      struct ice_path *out)
{
	const struct pair *p = &ice->pairs[pair];

	*out = (struct ice_path){
		.level = level,
		.local = ice->locals[p->local].addr,
		.remote = p->remote_addr,
		.via = ice_via(ice->locals[p->local].transport),
		.local_type = ice->locals[p->mapped >= 0 ? p->mapped : p->local].type,
		.remote_type = ice->remotes[p->remote].type,
		.rtt_us = p->rtt_us,
	};
}

enum ice_path_level ice_path(const struct ice *ice, struct ice_path *out)
{
	int valid = best_valid(ice), early = best_early(ice, NULL);

	*out = (struct ice_path){ .level = ICE_PATH_NONE };
	if (ice->selected >= 0 && (!disconnected(ice) || valid < 0))
		fill_path(ice, ice->selected, ICE_PATH_SELECTED, out);
	else if (valid >= 0)
		fill_path(ice, valid, ICE_PATH_VALID, out);
	else if (early >= 0 && !ice->failed)
		fill_path(ice, early, ICE_PATH_EARLY, out);
	return out->level;
}

size_t ice_early_paths(const struct ice *ice, struct ice_path *out, size_t cap)
{
	bool taken[ICE_PAIRS_MAX] = { false };
	size_t n = 0;
	int i;

	while (n < cap && (i = best_early(ice, taken)) >= 0) {
		taken[i] = true;
		fill_path(ice, i, ICE_PATH_EARLY, &out[n++]);
	}
	return n;
}

static void update_path(struct ice *ice)
{
	struct ice_path path;

	ice_path(ice, &path);
	if (path.level != ice->path.level || path.via != ice->path.via ||
	    !addr_equal(&path.local, &ice->path.local) ||
	    !addr_equal(&path.remote, &ice->path.remote) ||
	    path.local_type != ice->path.local_type || path.remote_type != ice->path.remote_type)
		ice->event_path = true;
	ice->path = path;
}

/* The one place that changes the state. */
static void update_state(struct ice *ice)
{
	enum ice_state state = state_now(ice);

	if (state != ice->state)
		ice->event_state = true;
	ice->state = state;
}

/* Whatever is due, until nothing changes any more. Ends every call that changes something. */
void ice__turn_end(struct ice *ice, usec_t now)
{
	ice__select_timeout(ice, now);
	reconsider(ice, now);
	update_state(ice);
	ice__probe_timeout(ice, now);
	do
		ice__check_timeout(ice, now);
	while (consider(ice, now));
	if (now >= fail_time(ice))
		fail(ice);
	update_state(ice);
	update_path(ice);
}

usec_t ice__select_deadline(const struct ice *ice)
{
	usec_t at = fail_time(ice), nominate;

	if (ice->selected >= 0) {
		at = usec_min(ice->consent_due,
			      usec_add(ice->pairs[ice->selected].last_answer, CONSENT_LOST_US));
		if (ice__doubtful(ice))
			at = usec_min(at, ice->revive_at);
		if (seeks(ice))
			at = usec_min(at, ice->seek_at);
	}
	nominee(ice, &nominate);
	return usec_min(at, nominate);
}
