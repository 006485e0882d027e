/* Remote candidates and the checklist (RFC 8445 §6.1.2). */
#include "base/text.h"
#include "proto/ice/ice_internal.h"

const char *ice_pair_state_name(enum ice_pair_state state)
{
	switch (state) {
	case ICE_PAIR_FROZEN:
		return "frozen";
	case ICE_PAIR_WAITING:
		return "waiting";
	case ICE_PAIR_IN_PROGRESS:
		return "in-progress";
	case ICE_PAIR_SUCCEEDED:
		return "succeeded";
	case ICE_PAIR_FAILED:
		return "failed";
	}
	return "unknown";
}

/* The local side as the other agent sees it; before an answer, the base. */
static const struct lcand *seen_local(const struct ice *ice, const struct pair *p)
{
	return &ice->locals[p->mapped >= 0 ? p->mapped : p->local];
}

/* §6.1.2.3 */
uint64_t ice__pair_priority(const struct ice *ice, const struct pair *p)
{
	uint64_t ours = seen_local(ice, p)->priority, theirs = ice->remotes[p->remote].priority;
	uint64_t g = ice->controlling ? ours : theirs, d = ice->controlling ? theirs : ours;

	return (FL_MIN(g, d) << 32) + 2 * FL_MAX(g, d) + (g > d);
}

/* An address nobody translates on the way: host candidates, and a remote one that was learned from
 * its checks (a browser that hides behind a .local name) when it is not a public one. */
static bool remote_is_direct(const struct rcand *r)
{
	enum addr_range range = addr_range(&r->addr);

	return r->type == ICE_HOST ||
	       (r->type == ICE_PRFLX &&
		(range == ADDR_PRIVATE || range == ADDR_LINK_LOCAL || range == ADDR_LOOPBACK));
}

/* For a pair not yet answered it is the best the pair can become. */
enum ice_rank ice__pair_rank(const struct ice *ice, const struct pair *p)
{
	const struct lcand *l = seen_local(ice, p);
	const struct rcand *r = &ice->remotes[p->remote];

	if (l->type == ICE_RELAY && r->type == ICE_RELAY)
		return RANK_RELAYED_TWICE;
	if (l->type == ICE_RELAY || r->type == ICE_RELAY)
		return RANK_RELAYED;
	if (l->net == ICE_NET_VIRTUAL || l->net == ICE_NET_LINK_LOCAL)
		return RANK_VIRTUAL;
	if (l->type == ICE_HOST && remote_is_direct(r))
		return l->transport == ICE_UDP ? RANK_LOCAL : RANK_LOCAL_TCP;
	return l->transport == ICE_UDP ? RANK_PUNCHED : RANK_PUNCHED_TCP;
}

bool ice__pair_better(const struct ice *ice, const struct pair *a, const struct pair *b)
{
	enum ice_rank rank_a = ice__pair_rank(ice, a), rank_b = ice__pair_rank(ice, b);

	if (rank_a != rank_b)
		return rank_a > rank_b;
	return ice__pair_priority(ice, a) > ice__pair_priority(ice, b);
}

/* Among relayed pairs the priority tells, too: the first one that works may go to its relay over
 * TLS only because that was quicker to answer than UDP. */
bool ice__pair_exceeds(const struct ice *ice, const struct pair *p, const struct pair *s)
{
	enum ice_rank rank = ice__pair_rank(ice, p), rank_s = ice__pair_rank(ice, s);

	if (rank != rank_s)
		return rank > rank_s;
	return rank <= RANK_RELAYED && ice__pair_priority(ice, p) > ice__pair_priority(ice, s);
}

int ice__pair_find(const struct ice *ice, unsigned gen, int local, const struct addr *remote)
{
	for (int i = 0; i < ICE_PAIRS_MAX; i++) {
		const struct pair *p = &ice->pairs[i];

		if (p->used && p->gen == gen && p->local == local &&
		    addr_equal(&p->remote_addr, remote))
			return i;
	}
	return -1;
}

static bool same_foundation(const struct ice *ice, const struct pair *a, const struct pair *b)
{
	return strcmp(ice->locals[a->local].foundation, ice->locals[b->local].foundation) == 0 &&
	       strcmp(ice->remotes[a->remote].foundation, ice->remotes[b->remote].foundation) == 0;
}

/* Nothing depends on it. */
static bool expendable(const struct ice *ice, int pair)
{
	const struct pair *p = &ice->pairs[pair];

	return !p->valid && !p->nominating && !p->heard && pair != ice->selected;
}

/*
 * A free slot, or that of a pair that gives way to p. RFC 8445 §6.1.2.5 drops the lowest
 * priorities; on hosts with many interfaces those are all the pairs that reach further than the
 * next switch. So the rank that has the most pairs gives its least one, and what was heard is kept.
 */
static int pair_slot(struct ice *ice, const struct pair *p)
{
	int count[RANKS] = { 0 }, least[RANKS];
	enum ice_rank most = ice__pair_rank(ice, p), rank;

	for (int r = 0; r < RANKS; r++)
		least[r] = -1;
	for (int i = 0; i < ICE_PAIRS_MAX; i++) {
		const struct pair *have = &ice->pairs[i];

		if (!have->used)
			return i;
		rank = ice__pair_rank(ice, have);
		count[rank]++;
		if (expendable(ice, i) &&
		    (least[rank] < 0 || ice__pair_priority(ice, have) <
						ice__pair_priority(ice, &ice->pairs[least[rank]])))
			least[rank] = i;
	}
	ice->stats.over_limit++;
	for (int r = 0; r < RANKS; r++)
		if (least[r] >= 0 && (count[r] > count[most] || least[most] < 0))
			most = (enum ice_rank)r;
	if (least[most] < 0 ||
	    (!p->heard && most == ice__pair_rank(ice, p) &&
	     ice__pair_priority(ice, &ice->pairs[least[most]]) >= ice__pair_priority(ice, p)))
		return -1;
	ice__pair_drop(ice, least[most]);
	return least[most];
}

/* RFC 6544 §6.2: who listens waits for the other side's connection, which shows itself as a peer-
 * reflexive candidate. */
static bool transports_meet(const struct lcand *l, const struct rcand *r)
{
	switch (l->transport) {
	case ICE_UDP:
		return r->transport == ICE_UDP;
	case ICE_TCP_ACTIVE:
		return r->transport == ICE_TCP_PASSIVE;
	case ICE_TCP_PASSIVE:
		return r->transport == ICE_TCP_ACTIVE && r->type == ICE_PRFLX;
	case ICE_TCP_SO:
		return false;
	}
	return false;
}

/* Whether packets between the two can make sense at all. */
static bool can_pair(const struct lcand *l, const struct rcand *r)
{
	enum addr_range lr = addr_range(&l->addr), rr = addr_range(&r->addr);

	if (l->addr.family != r->addr.family || !transports_meet(l, r))
		return false;
	if ((lr == ADDR_LOOPBACK) != (rr == ADDR_LOOPBACK) && l->type == ICE_HOST)
		return false;
	if (l->addr.family == ADDR_V6 && (lr == ADDR_LINK_LOCAL) != (rr == ADDR_LINK_LOCAL))
		return false;
	return !(l->addr.port == r->addr.port && memcmp(l->addr.ip, r->addr.ip, 16) == 0);
}

/* The new pair's slot; -1 when it makes no sense or there is no room. heard: a check came over it.
 */
int ice__pair_add(struct ice *ice, int local, int remote, bool heard)
{
	const struct lcand *l = &ice->locals[local];
	const struct rcand *r = &ice->remotes[remote];
	struct pair p = {
		.used = true,
		.gen = r->gen,
		.local = local,
		.remote = remote,
		.mapped = -1,
		.heard = heard,
		.remote_addr = r->addr,
		.state = ICE_PAIR_WAITING,
		.rto = RTO_US,
		.due = USEC_NEVER,
	};
	int slot;

	if (!can_pair(l, r))
		return -1;
	p.remote_addr.scope = addr_range(&r->addr) == ADDR_LINK_LOCAL ? l->addr.scope : 0;
	for (int i = 0; i < ICE_PAIRS_MAX; i++) {
		const struct pair *o = &ice->pairs[i];

		if (o->used && o->gen == p.gen && same_foundation(ice, o, &p) &&
		    (o->state == ICE_PAIR_WAITING || o->state == ICE_PAIR_IN_PROGRESS))
			p.state = ICE_PAIR_FROZEN;
	}
	slot = pair_slot(ice, &p);
	if (slot >= 0)
		ice->pairs[slot] = p;
	return slot;
}

void ice__pair_drop(struct ice *ice, int pair)
{
	ice->renominate = ice->renominate || ice->pairs[pair].nominating;
	ice->pairs[pair].used = false;
	if (ice->selected == pair)
		ice->selected = -1;
}

/* To the start of the state machine, as if it were new; what was learned for the report stays. */
void ice__pair_restart(struct ice *ice, usec_t now, struct pair *p)
{
	(void)now;
	ice->renominate = ice->renominate || p->nominating;
	p->state = ICE_PAIR_WAITING;
	p->valid = p->nominating = p->nominated = false;
	p->mapped = -1;
	p->tries = 0;
	p->rto = RTO_US;
	p->due = USEC_NEVER;
}

static void pair_remote(struct ice *ice, int remote)
{
	for (int i = 0; i < ICE_LOCALS_MAX; i++) {
		const struct lcand *l = &ice->locals[i];

		if (l->used && (l->type == ICE_HOST || l->type == ICE_RELAY))
			ice__pair_add(ice, i, remote, false);
	}
}

void ice__pair_local(struct ice *ice, int local)
{
	for (int i = 0; i < ICE_REMOTES_MAX; i++)
		if (ice->remotes[i].used && ice->remotes[i].gen == ice->gen)
			ice__pair_add(ice, local, i, false);
}

static int find_remote(const struct ice *ice, const struct addr *addr, enum dgram_via via)
{
	for (int i = 0; i < ICE_REMOTES_MAX; i++)
		if (ice->remotes[i].used && ice->remotes[i].gen == ice->gen &&
		    ice_via(ice->remotes[i].transport) == via &&
		    addr_equal(&ice->remotes[i].addr, addr))
			return i;
	return -1;
}

/* A signalled candidate takes the place of a peer-reflexive one (RFC 8838 §11.4). */
static bool upgrade(struct rcand *have, const struct rcand *r)
{
	if (have->type != ICE_PRFLX || r->type == ICE_PRFLX)
		return false;
	have->type = r->type;
	have->transport = r->transport;
	have->priority = r->priority;
	memcpy(have->foundation, r->foundation, sizeof(have->foundation));
	return true;
}

/* The last slots are for those that show themselves by their checks. */
static int free_remote(const struct ice *ice, enum ice_type type)
{
	int end = type == ICE_PRFLX ? ICE_REMOTES_MAX : ICE_REMOTES_MAX - PRFLX_REMOTES_KEPT;

	for (int i = 0; i < end; i++)
		if (!ice->remotes[i].used)
			return i;
	return -1;
}

/* The slot of a new or known candidate of the present generation, -1 at the limit. A signalled one
 * is paired with all bases, a peer-reflexive one only by the caller (§7.3.1.4). */
int ice__remote_add(struct ice *ice, const struct rcand *r)
{
	int i = find_remote(ice, &r->addr, ice_via(r->transport));

	if (i >= 0) {
		if (upgrade(&ice->remotes[i], r)) {
			for (int l = 0; l < ICE_LOCALS_MAX; l++)
				if (ice->locals[l].used && ice->locals[l].type != ICE_SRFLX &&
				    ice->locals[l].type != ICE_PRFLX &&
				    ice__pair_find(ice, ice->gen, l, &r->addr) < 0)
					ice__pair_add(ice, l, i, false);
		} else if (r->type != ICE_PRFLX) {
			ice->stats.candidates_ignored++;
		}
		return i;
	}
	i = free_remote(ice, r->type);
	if (i < 0) {
		ice->stats.over_limit++;
		ice->stats.candidates_full += r->type != ICE_PRFLX;
		return -1;
	}
	ice->remotes[i] = *r;
	ice->remotes[i].used = true;
	ice->remotes[i].gen = ice->gen;
	if (r->type != ICE_PRFLX)
		pair_remote(ice, i);
	else
		ice->stats.reflexive++;
	return i;
}

static bool candidate_usable(const struct ice *ice, const struct ice_candidate *c)
{
	enum addr_range range = addr_range(&c->addr);

	return (c->transport == ICE_UDP || c->transport == ICE_TCP_PASSIVE) && c->component == 1 &&
	       c->addr.family != ADDR_NONE && c->addr.port != 0 && range != ADDR_UNSPECIFIED &&
	       range != ADDR_MULTICAST && (range != ADDR_LOOPBACK || ice->config.loopback);
}

/* Of another generation than the present one: it may have overtaken its description. */
static bool is_early(const struct ice *ice, const struct ice_candidate *c)
{
	const struct creds *creds = &ice->creds[ice->gen];

	return c->ufrag[0] && (!creds->have_remote || strcmp(c->ufrag, creds->remote_ufrag) != 0);
}

static void keep_early(struct ice *ice, const struct rcand *r, const char *ufrag)
{
	struct early *e = &ice->early[ice->n_early++ % EARLY_MAX];

	if (ice->n_early > EARLY_MAX)
		ice->stats.over_limit++;
	e->candidate = *r;
	text_copy(e->ufrag, sizeof(e->ufrag), ufrag);
}

/* The credentials came: what was kept for them is added, the rest is of no use any more. */
void ice__remote_take_early(struct ice *ice)
{
	for (size_t i = 0; i < FL_MIN(ice->n_early, (size_t)EARLY_MAX); i++) {
		struct early *e = &ice->early[i];

		if (strcmp(e->ufrag, ice->creds[ice->gen].remote_ufrag) == 0)
			ice__remote_add(ice, &e->candidate);
		else
			ice->stats.candidates_ignored++;
	}
	ice->n_early = 0;
}

int ice_add_remote(struct ice *ice, usec_t now, const struct ice_candidate *candidate)
{
	struct rcand r = { .type = candidate->type,
			   .transport = candidate->transport,
			   .priority = candidate->priority };
	uint64_t known = ice->stats.candidates_ignored, over = ice->stats.over_limit;
	int i;

	if (!candidate_usable(ice, candidate)) {
		ice->stats.candidates_ignored++;
		return 0;
	}
	r.addr = addr_unmap(&candidate->addr);
	r.addr.scope = 0;
	text_copy(r.foundation, sizeof(r.foundation), candidate->foundation);
	if (is_early(ice, candidate)) {
		keep_early(ice, &r, candidate->ufrag);
		return 1;
	}
	i = ice__remote_add(ice, &r);
	/* a relay asked for in the middle of a session, or what is told anew: the other side's path
	 * is in doubt */
	if (i >= 0)
		ice__hint(ice, now, known != ice->stats.candidates_ignored);
	ice__turn_end(ice, now);
	return i >= 0 && known == ice->stats.candidates_ignored && over == ice->stats.over_limit;
}

void ice_end_of_remotes(struct ice *ice, usec_t now)
{
	ice->remotes_done = true;
	ice__turn_end(ice, now);
}

void ice__remote_forget(struct ice *ice, int remote)
{
	ice->remotes[remote].used = false;
}

static void describe(const struct ice *ice, int i, struct ice_pair_info *out)
{
	const struct pair *p = &ice->pairs[i];
	const struct lcand *seen = seen_local(ice, p);

	*out = (struct ice_pair_info){
		.local_type = seen->type,
		.remote_type = ice->remotes[p->remote].type,
		.local = seen->addr,
		.base = ice->locals[p->local].addr,
		.remote = p->remote_addr,
		.via = ice_via(ice->locals[p->local].transport),
		.state = p->state,
		.valid = p->valid,
		.nominated = p->nominated,
		.selected = i == ice->selected,
		.priority = ice__pair_priority(ice, p),
		.sent = p->sent,
		.answered = p->answered,
		.received = p->received,
		.rtt_us = p->rtt_us,
		.unasked = p->unasked,
		.error = p->error,
		.error_code = p->error_code,
		.send_error = p->send_error,
	};
}

size_t ice_pairs(const struct ice *ice, struct ice_pair_info *out, size_t cap)
{
	bool taken[ICE_PAIRS_MAX] = { false };
	size_t n = 0;

	while (n < cap) {
		int best = -1;

		for (int i = 0; i < ICE_PAIRS_MAX; i++) {
			if (!ice->pairs[i].used || taken[i])
				continue;
			if (best < 0 || i == ice->selected ||
			    (best != ice->selected &&
			     ice__pair_better(ice, &ice->pairs[i], &ice->pairs[best])))
				best = i;
		}
		if (best < 0)
			break;
		taken[best] = true;
		describe(ice, best, &out[n++]);
	}
	return n;
}

size_t ice_servers(const struct ice *ice, struct ice_server_info *out, size_t cap)
{
	size_t n = 0;

	for (int i = 0; i < PROBES_MAX && n < cap; i++) {
		const struct probe *p = &ice->probes[i];

		if (p->used)
			out[n++] = (struct ice_server_info){
				.server = ice->servers[p->server],
				.base = ice->locals[p->local].addr,
				.mapped = p->mapped,
				.rtt_us = p->rtt_us,
				.sent = p->sent,
				.gave_up = p->gave_up,
			};
	}
	return n;
}

const struct ice_stats *ice_stats(const struct ice *ice)
{
	return &ice->stats;
}
