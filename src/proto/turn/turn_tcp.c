#include "base/ct.h"
#include "base/err.h"
#include "proto/turn/turn_internal.h"

#define CONNECT_US (30 * USEC_PER_SEC) /* RFC 6062 §5.2: at least thirty seconds */
#define ID_WORKER_SHIFT 24

static uint64_t hash_id(const struct turn_server *s, uint32_t id)
{
	return turn_hash_pair(id ^ s->hash_key[4], s->hash_key[5] | 1);
}

static struct turn_connection *find(const struct turn_server *s, uint32_t id)
{
	uint64_t hash = hash_id(s, id), at = hash;
	struct turn_connection *c;

	do
		c = turn_table_next(&s->connections, hash, &at);
	while (c && c->id != id);
	return c;
}

/* NULL: no memory. */
static struct turn_connection *create(struct turn_server *s, usec_t now, struct turn_alloc *a,
				      const struct addr *peer)
{
	struct turn_connection *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	do
		c->id = s->config.worker << ID_WORKER_SHIFT | rng_u32(s->rng) >> 8;
	while (find(s, c->id));
	c->alloc = a;
	c->peer = *peer;
	c->until = now + CONNECT_US;
	if (turn_table_add(&s->connections, hash_id(s, c->id), c) < 0) {
		free(c);
		return NULL;
	}
	list_push_back(&a->connections, &c->in_alloc);
	a->n_connections++;
	turn_server_due(s, a, c->until);
	return c;
}

static void change(struct turn_server *s, struct turn_connection *c)
{
	c->alloc->connections_changed = true;
	turn_server_mark(s, c->alloc);
}

static void destroy(struct turn_connection *c)
{
	list_remove(&c->in_alloc);
	c->alloc->n_connections--;
	ct_wipe(c, sizeof(*c));
	free(c);
}

/* It ends by us: its Connect may still wait for an answer, and the driver must close it. */
static void end(struct turn_server *s, struct turn_connection *c)
{
	turn_table_remove(&s->connections, hash_id(s, c->id), c);
	if (c->state == TURN_CONNECTING) {
		c->code = TURN_CONNECTION_FAILED;
		c->send = true;
	}
	c->disconnect = true;
	c->over = true;
	change(s, c);
}

void turn_connections_drop(struct turn_server *s, struct turn_alloc *a)
{
	struct turn_connection *c, *tmp;

	list_for_each (c, tmp, &a->connections, in_alloc) {
		if (!c->over)
			turn_table_remove(&s->connections, hash_id(s, c->id), c);
		destroy(c);
	}
	a->connections_changed = false;
}

usec_t turn_connections_tick(struct turn_server *s, struct turn_alloc *a, usec_t now)
{
	struct turn_connection *c, *tmp;
	usec_t next = USEC_NEVER;

	list_for_each (c, tmp, &a->connections, in_alloc) {
		if (c->over)
			continue;
		if (c->until <= now)
			end(s, c);
		else
			next = usec_min(next, c->until);
	}
	return next;
}

void turn_connections_refuse(struct turn_server *s, struct turn_alloc *a)
{
	struct turn_connection *c, *tmp;

	list_for_each (c, tmp, &a->connections, in_alloc)
		if (!c->over &&
		    turn_peers_check(s->config.peers, &c->peer, true) != TURN_PEER_ALLOWED)
			end(s, c);
}

/* ---- events ---- */

/* Connect's answer (RFC 6062 §5.2) or ConnectionAttempt (§5.3). */
static struct span message_of(struct turn_server *s, const struct turn_connection *c)
{
	struct turn_verdict v = { .type = TURN_VERDICT_DROP };
	struct turn_request r = { .s = s, .now = s->now, .flow = &c->alloc->flow, .v = &v };

	r.proved = true;
	r.tid = c->tid;
	if (!c->asked) {
		r.method = TURN_CONNECTION_ATTEMPT;
		turn_answer_begin(&r, STUN_INDICATION);
		stun_put_u32(&r.out, TURN_CONNECTION_ID, c->id);
		stun_put_xor_addr(&r.out, TURN_XOR_PEER_ADDRESS, &c->peer);
		turn_answer_end(&r);
		return v.data;
	}
	r.method = TURN_CONNECT;
	r.sealed = true;
	r.fingerprint = c->fingerprint;
	r.credential = c->credential;
	if (c->code) {
		turn_answer_error(&r, c->code);
	} else {
		turn_answer_begin(&r, STUN_SUCCESS);
		stun_put_u32(&r.out, TURN_CONNECTION_ID, c->id);
		turn_answer_end(&r);
	}
	ct_wipe(&r.credential, sizeof(r.credential));
	return v.data;
}

static bool event_of(struct turn_server *s, struct turn_connection *c, struct turn_event *e)
{
	e->connection = c->id;
	e->peer = c->peer;
	if (c->send) {
		c->send = false;
		e->type = TURN_EVENT_SEND;
		e->data = message_of(s, c);
		return true;
	}
	if (c->disconnect) {
		c->disconnect = false;
		e->type = TURN_EVENT_DISCONNECT;
		return true;
	}
	return false;
}

bool turn_connection_event(struct turn_server *s, struct turn_alloc *a, struct turn_event *e)
{
	struct turn_connection *c, *tmp;

	if (!a->connections_changed)
		return false;
	list_for_each (c, tmp, &a->connections, in_alloc) {
		if (event_of(s, c, e))
			return true;
		if (c->over)
			destroy(c);
	}
	a->connections_changed = false;
	return false;
}

/* ---- requests ---- */

static uint16_t check_connect(struct turn_request *r, struct turn_alloc *a, struct addr *peer)
{
	struct turn_connection *c, *tmp;
	uint16_t code;

	if (a->protocol != TURN_PROTOCOL_TCP)
		return TURN_ALLOCATION_MISMATCH;
	if (!stun_get_xor_addr(r->m, TURN_XOR_PEER_ADDRESS, peer))
		return STUN_BAD_REQUEST;
	code = turn_request_peer(r, a, peer, true);
	if (code)
		return code;
	list_for_each (c, tmp, &a->connections, in_alloc)
		if (!c->over && turn_same_addr(&c->peer, peer))
			return TURN_CONNECTION_ALREADY_EXISTS;
	return a->n_connections < TURN_CONNECTIONS_MAX ? 0 : TURN_INSUFFICIENT_CAPACITY;
}

void turn_connect(struct turn_request *r)
{
	struct turn_alloc *a = turn_request_alloc(r);
	struct turn_connection *c = NULL;
	struct addr peer;
	uint16_t code;

	if (!a)
		return;
	code = check_connect(r, a, &peer);
	if (!code) {
		c = create(r->s, r->now, a, &peer);
		code = c ? 0 : TURN_INSUFFICIENT_CAPACITY;
	}
	if (code) {
		turn_answer_error(r, code);
		return;
	}
	c->asked = true;
	c->state = TURN_CONNECTING;
	c->fingerprint = r->fingerprint;
	c->credential = r->credential;
	memcpy(c->tid, r->tid, sizeof(c->tid));
	r->v->type = TURN_VERDICT_CONNECT;
	r->v->alloc = a;
	r->v->peer = peer;
	r->v->connection = c->id;
}

void turn_connection_bind(struct turn_request *r, bool foreign)
{
	struct turn_connection *c;
	uint32_t id;
	bool next;

	if (!turn_transport_is_stream(r->flow->transport) ||
	    !stun_get_u32(r->m, TURN_CONNECTION_ID, &id) ||
	    (!foreign && turn_server_look_up(r->s, r->flow, &next))) {
		turn_answer_error(r, STUN_BAD_REQUEST);
		return;
	}
	if (id >> ID_WORKER_SHIFT != r->s->config.worker && !foreign) {
		r->v->type = TURN_VERDICT_ELSEWHERE;
		r->v->worker = id >> ID_WORKER_SHIFT;
		return;
	}
	c = find(r->s, id);
	if (!c || c->state != TURN_WAITS_FOR_BIND) {
		turn_answer_error(r, STUN_BAD_REQUEST);
		return;
	}
	if (!turn_request_owns(r, c->alloc))
		return;
	turn_answer_empty(r);
	if (r->v->type != TURN_VERDICT_REPLY)
		return;
	c->state = TURN_JOINED;
	c->until = USEC_NEVER;
	r->v->type = TURN_VERDICT_JOIN;
	r->v->alloc = c->alloc;
	r->v->peer = c->peer;
	r->v->connection = id;
}

/* ---- what the driver tells ---- */

void turn_server_connected(struct turn_server *s, usec_t now, struct turn_alloc *a,
			   uint32_t connection, unsigned code)
{
	struct turn_connection *c = find(s, connection);

	turn_server_reap(s);
	turn_server_tell_time(s, now);
	if (!c || c->alloc != a || c->state != TURN_CONNECTING)
		return; /* its time was over, which an event has told */
	c->send = true;
	c->code = (uint16_t)code;
	if (code) {
		turn_table_remove(&s->connections, hash_id(s, c->id), c);
		c->over = true;
	} else {
		c->state = TURN_WAITS_FOR_BIND;
		c->until = now + TURN_CONNECTION_BIND_S * USEC_PER_SEC;
		turn_server_due(s, a, c->until);
	}
	change(s, c);
}

bool turn_server_accepted(struct turn_server *s, usec_t now, struct turn_alloc *a,
			  const struct addr *peer, uint32_t *connection)
{
	struct turn_connection *c;
	uint16_t number;

	turn_server_reap(s);
	turn_server_tell_time(s, now);
	if (a->closed || a->protocol != TURN_PROTOCOL_TCP ||
	    !turn_alloc_from_peer(a, now, peer, &number)) {
		s->stats.no_permission++;
		return false;
	}
	c = a->n_connections < TURN_CONNECTIONS_MAX ? create(s, now, a, peer) : NULL;
	if (!c)
		return false;
	c->state = TURN_WAITS_FOR_BIND;
	c->send = true;
	rng_bytes(s->rng, c->tid, sizeof(c->tid));
	change(s, c);
	*connection = c->id;
	return true;
}

void turn_server_disconnected(struct turn_server *s, struct turn_alloc *a, uint32_t connection)
{
	struct turn_connection *c = find(s, connection);

	turn_server_reap(s);
	if (!c || c->alloc != a)
		return;
	turn_table_remove(&s->connections, hash_id(s, c->id), c);
	destroy(c);
}
