#include "proto/turn/turn_server.h"

#include <assert.h>
#include <errno.h>

#include "base/ct.h"
#include "base/err.h"
#include "proto/turn/turn_internal.h"

struct turn_server *turn_server_create(const struct turn_server_config *config, struct rng *rng)
{
	struct turn_server *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	assert(config->worker < TURN_WORKERS_MAX);
	s->config = *config;
	s->rng = rng;
	if (!s->config.lifetime_s)
		s->config.lifetime_s = TURN_LIFETIME_S;
	if (!s->config.lifetime_max_s)
		s->config.lifetime_max_s = TURN_LIFETIME_MAX_S;
	s->config.lifetime_s = FL_MIN(s->config.lifetime_s, s->config.lifetime_max_s);
	list_init(&s->dirty);
	rng_bytes(rng, s->hash_key, sizeof(s->hash_key));
	s->indication = malloc(STUN_MESSAGE_MAX);
	if (!s->indication || turn_table_init(&s->flows) < 0 || turn_table_init(&s->tickets) < 0 ||
	    turn_table_init(&s->connections) < 0) {
		turn_server_destroy(s);
		return NULL;
	}
	return s;
}

void turn_server_destroy(struct turn_server *s)
{
	struct turn_alloc *a, *tmp;

	if (!s)
		return;
	turn_server_reap(s);
	list_for_each (a, tmp, &s->dirty, dirty) {
		if (a->closed) { /* in no table any more */
			list_remove(&a->dirty);
			turn_alloc_destroy(a);
		}
	}
	for (size_t i = 0; i < s->heap.n; i++)
		turn_alloc_destroy(s->heap.items[i].alloc);
	free(s->heap.items);
	turn_table_finish(&s->flows);
	turn_table_finish(&s->tickets);
	turn_table_finish(&s->connections);
	free(s->indication);
	ct_wipe(s->config.ticket_key, sizeof(s->config.ticket_key));
	ct_wipe(&s->pending, sizeof(s->pending));
	free(s);
}

static bool is_refused(const void *arg, const struct addr *peer)
{
	return turn_peers_check(arg, peer, false) != TURN_PEER_ALLOWED;
}

void turn_server_set(struct turn_server *s, usec_t now, const struct turn_auth *auth,
		     const struct turn_peers *peers)
{
	turn_server_tell_time(s, now);
	s->config.auth = auth;
	s->config.peers = peers;
	for (size_t i = 0; i < s->heap.n; i++) {
		struct turn_alloc *a = s->heap.items[i].alloc;

		turn_alloc_refuse(a, now, is_refused, peers);
		turn_connections_refuse(s, a);
		turn_server_mark(s, a);
	}
}

void turn_server_set_wall(struct turn_server *s, int64_t unix_us_minus_now)
{
	s->wall_us = unix_us_minus_now;
}

void turn_server_drain(struct turn_server *s, bool drain)
{
	s->draining = drain;
}

const struct turn_server_stats *turn_server_stats(const struct turn_server *s)
{
	return &s->stats;
}

const char *turn_close_reason_name(enum turn_close_reason r)
{
	static const char *const names[TURN_CLOSE_REASONS] = {
		[TURN_CLOSE_EXPIRED] = "expired",
		[TURN_CLOSE_REFRESHED_0] = "by client",
		[TURN_CLOSE_CREDENTIALS] = "credentials expired",
		[TURN_CLOSE_FLOW] = "connection ended",
	};

	return (unsigned)r < TURN_CLOSE_REASONS && names[r] ? names[r] : "unknown";
}

/* ---- which allocation ---- */

struct turn_alloc *turn_server_find(const struct turn_server *s, const struct turn_flow *flow)
{
	uint64_t hash = turn_hash_flow(flow, s->hash_key), at = hash;
	struct turn_alloc *a;

	do
		a = turn_table_next(&s->flows, hash, &at);
	while (a && !turn_same_flow(&a->flow, flow));
	return a;
}

struct turn_alloc *turn_server_look_up(const struct turn_server *s, const struct turn_flow *flow,
				       bool *next)
{
	uint64_t hash = turn_hash_flow(flow, s->hash_key), at = hash;
	struct turn_alloc *a;

	while ((a = turn_table_next(&s->flows, hash, &at))) {
		*next = a->mobility && a->mobility->has_next &&
			turn_same_flow(&a->mobility->next, flow);
		if (*next || turn_same_flow(&a->flow, flow))
			return a;
	}
	*next = false;
	return NULL;
}

int turn_server_enter(struct turn_server *s, struct turn_alloc *a)
{
	uint64_t hash = turn_hash_flow(&a->flow, s->hash_key);
	bool next;

	if (turn_server_look_up(s, &a->flow, &next))
		return -EEXIST;
	if (s->heap.n >= s->config.allocations_max)
		return FL_EQUOTA;
	if (turn_heap_add(&s->heap, a, turn_alloc_tick(a, s->now)) < 0)
		return -ENOMEM;
	if (turn_table_add(&s->flows, hash, a) < 0 ||
	    (a->mobility &&
	     turn_table_add(&s->tickets, turn_ticket_hash(s, a->mobility->id), a) < 0)) {
		turn_table_remove(&s->flows, hash, a);
		turn_heap_remove(&s->heap, a);
		return -ENOMEM;
	}
	turn_server_due(s, a, a->until[TURN_V4] ? a->until[TURN_V4] : USEC_NEVER);
	turn_server_due(s, a, a->until[TURN_V6] ? a->until[TURN_V6] : USEC_NEVER);
	turn_server_mark(s, a);
	s->stats.allocations++;
	return 0;
}

void turn_server_leave(struct turn_server *s, struct turn_alloc *a)
{
	if (a->mobility) {
		turn_move_forget_next(s, a);
		turn_table_remove(&s->tickets, turn_ticket_hash(s, a->mobility->id), a);
	}
	turn_table_remove(&s->flows, turn_hash_flow(&a->flow, s->hash_key), a);
	turn_heap_remove(&s->heap, a);
	list_remove(&a->dirty);
	s->stats.allocations--;
}

/* ---- ends and events ---- */

void turn_server_reap(struct turn_server *s)
{
	if (s->taken)
		turn_alloc_destroy(s->taken);
	s->taken = NULL;
}

void turn_server_mark(struct turn_server *s, struct turn_alloc *a)
{
	if (list_empty(&a->dirty) && turn_alloc_has_events(a))
		list_push_back(&s->dirty, &a->dirty);
}

void turn_server_due(struct turn_server *s, struct turn_alloc *a, usec_t at)
{
	if (at < s->heap.items[a->heap_at].at)
		turn_heap_set(&s->heap, a, at);
}

void turn_server_close(struct turn_server *s, struct turn_alloc *a, enum turn_close_reason reason)
{
	turn_server_leave(s, a);
	turn_connections_drop(s, a);
	turn_alloc_end(a, s->now);
	a->family_gone = 0;
	a->moved = false;
	a->closed = true;
	a->reason = reason;
	s->stats.closed[reason]++;
	turn_server_mark(s, a);
}

void turn_server_close_family(struct turn_server *s, struct turn_alloc *a, size_t row)
{
	a->until[row] = 0;
	a->family_gone |= (uint8_t)(1u << row);
	turn_alloc_channels_update(a, s->now, NULL);
	turn_server_mark(s, a);
}

static bool event_of(struct turn_server *s, struct turn_alloc *a, struct turn_event *e)
{
	const struct turn_channel *c;

	*e = (struct turn_event){ .alloc = a };
	if (a->moved) {
		e->type = TURN_EVENT_MOVED;
		a->moved = false;
		return true;
	}
	if (a->family_gone) {
		size_t row = a->family_gone & 1u << TURN_V4 ? TURN_V4 : TURN_V6;

		e->type = TURN_EVENT_RELEASED;
		e->peer = a->relayed[row];
		a->relayed[row] = (struct addr){ 0 };
		a->family_gone &= (uint8_t) ~(1u << row);
		return true;
	}
	c = turn_alloc_changed_channel(a);
	if (c) {
		e->type = TURN_EVENT_BINDING;
		e->channel = c->number;
		e->peer = c->peer;
		e->until = c->works_until > s->now ? c->works_until : 0;
		return true;
	}
	if (turn_connection_event(s, a, e))
		return true;
	if (!a->closed)
		return false;
	e->type = TURN_EVENT_CLOSED;
	e->reason = a->reason;
	list_remove(&a->dirty);
	s->taken = a;
	return true;
}

bool turn_server_next_event(struct turn_server *s, struct turn_event *e)
{
	turn_server_reap(s);
	while (!list_empty(&s->dirty)) {
		struct turn_alloc *a = list_entry(s->dirty.next, struct turn_alloc, dirty);

		if (event_of(s, a, e))
			return true;
		list_remove(&a->dirty);
	}
	return false;
}

void turn_server_flow_gone(struct turn_server *s, usec_t now, const struct turn_flow *flow)
{
	bool next;
	struct turn_alloc *a = turn_server_look_up(s, flow, &next);

	turn_server_reap(s);
	turn_server_tell_time(s, now);
	if (!a)
		return;
	if (next) {
		turn_move_forget_next(s, a);
	} else if (a->mobility) {
		turn_table_remove(&s->flows, turn_hash_flow(&a->flow, s->hash_key), a);
		a->flow.client = (struct addr){ 0 };
		a->moved = true;
		turn_server_mark(s, a);
	} else {
		turn_server_close(s, a, TURN_CLOSE_FLOW);
	}
}

/* ---- time ---- */

static void tick(struct turn_server *s, usec_t now, struct turn_alloc *a)
{
	usec_t next;

	for (size_t row = TURN_V4; row <= TURN_V6; row++)
		if (a->until[row] && a->until[row] <= now && a->until[!row] > now)
			turn_server_close_family(s, a, row);
	if (turn_alloc_until(a) <= now) {
		turn_server_close(s, a,
				  a->by_credentials ? TURN_CLOSE_CREDENTIALS : TURN_CLOSE_EXPIRED);
		return;
	}
	next = usec_min(turn_alloc_tick(a, now), turn_connections_tick(s, a, now));
	for (size_t row = TURN_V4; row <= TURN_V6; row++)
		if (a->until[row])
			next = usec_min(next, a->until[row]);
	turn_heap_set(&s->heap, a, next);
	turn_server_mark(s, a);
}

void turn_server_timeout(struct turn_server *s, usec_t now)
{
	turn_server_reap(s);
	turn_server_tell_time(s, now);
	while (s->heap.n && s->heap.items[0].at <= now)
		tick(s, now, s->heap.items[0].alloc);
}

usec_t turn_server_deadline(const struct turn_server *s)
{
	return s->heap.n ? s->heap.items[0].at : USEC_NEVER;
}
