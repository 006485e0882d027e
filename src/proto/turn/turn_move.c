#include <errno.h>

#include "base/ct.h"
#include "base/err.h"
#include "base/text.h"
#include "proto/stun/stun_hash.h"
#include "proto/turn/turn_internal.h"

/*
 * A ticket: the worker that owns the allocation, its name, how often it was renewed, a MAC; as
 * base64, because coturn's client takes it for a string, of 32 bytes at most. It says nothing of
 * what the allocation is, so there is nothing in it to encrypt.
 */
#define TICKET_BODY_LEN 12
#define TICKET_MAC_LEN 12
#define TICKET_LEN (TICKET_BODY_LEN + TICKET_MAC_LEN)
#define GENERATION_MASK 0xFFFFFFu

struct ticket {
	uint8_t worker;
	uint64_t id;
	uint32_t generation;
};

uint64_t turn_ticket_hash(const struct turn_server *s, uint64_t id)
{
	return turn_hash_pair(id ^ s->hash_key[6], s->hash_key[7] | 1);
}

int turn_mobility_create(struct turn_server *s, struct turn_alloc *a)
{
	a->mobility = calloc(1, sizeof(*a->mobility));
	if (!a->mobility)
		return -ENOMEM;
	a->mobility->id = rng_u64(s->rng);
	return 0;
}

static bool ticket_mac(const struct turn_server *s, struct span body, uint8_t mac[STUN_HASH_MAX])
{
	return stun_hmac(STUN_HASH_SHA256,
			 span_of(s->config.ticket_key, sizeof(s->config.ticket_key)), &body, 1,
			 mac);
}

void turn_put_ticket(const struct turn_server *s, struct stun_out *o, const struct turn_alloc *a,
		     unsigned worker)
{
	uint8_t bytes[TICKET_LEN], mac[STUN_HASH_MAX];
	char text[TEXT_B64_LEN(TICKET_LEN)];
	struct writer w = writer_of(bytes, sizeof(bytes));

	writer_u8(&w, (uint8_t)worker);
	writer_u64(&w, a->mobility->id);
	writer_u24(&w, a->mobility->generation);
	if (!ticket_mac(s, writer_span(&w), mac))
		return; /* libcrypto cannot: this client stays where it is */
	writer_bytes(&w, mac, TICKET_MAC_LEN);
	stun_put(o, TURN_MOBILITY_TICKET,
		 span_of(text, text_b64_encode(writer_span(&w), text, sizeof(text))));
}

static bool read_ticket(const struct turn_server *s, struct span text, struct ticket *t)
{
	uint8_t bytes[TICKET_LEN], mac[STUN_HASH_MAX];
	int len = text_b64_decode(text, bytes, sizeof(bytes));
	struct reader r = reader_of(span_of(bytes, len > 0 ? (size_t)len : 0));
	struct span theirs;

	t->worker = reader_u8(&r);
	t->id = reader_u64(&r);
	t->generation = reader_u24(&r);
	theirs = reader_bytes(&r, TICKET_MAC_LEN);
	return reader_done(&r) && ticket_mac(s, span_of(bytes, TICKET_BODY_LEN), mac) &&
	       ct_equal(theirs, span_of(mac, TICKET_MAC_LEN));
}

static struct turn_alloc *find(const struct turn_server *s, uint64_t id)
{
	uint64_t hash = turn_ticket_hash(s, id), at = hash;
	struct turn_alloc *a;

	do
		a = turn_table_next(&s->tickets, hash, &at);
	while (a && a->mobility->id != id);
	return a;
}

void turn_move_forget_next(struct turn_server *s, struct turn_alloc *a)
{
	struct turn_mobility *m = a->mobility;

	if (!m->has_next)
		return;
	turn_table_remove(&s->flows, turn_hash_flow(&m->next, s->hash_key), a);
	m->has_next = false;
}

void turn_move_complete(struct turn_server *s, struct turn_alloc *a)
{
	struct turn_mobility *m = a->mobility;

	turn_table_remove(&s->flows, turn_hash_flow(&a->flow, s->hash_key), a);
	a->flow = m->next;
	m->has_next = false; /* its place in the table is the allocation's own now */
	a->moved = true;
	turn_server_mark(s, a);
}

/*
 * RFC 8016 §3.2.2: what peers send goes to the old flow until the client sends from the new one; a
 * ticket that was used is good until then, as its answer may be lost.
 */
static bool announce(struct turn_request *r, struct turn_alloc *a)
{
	struct turn_mobility *m = a->mobility;

	turn_move_forget_next(r->s, a);
	if (turn_table_add(&r->s->flows, turn_hash_flow(r->flow, r->s->hash_key), a) < 0) {
		turn_answer_error(r, TURN_INSUFFICIENT_CAPACITY);
		return false;
	}
	m->next = *r->flow;
	m->has_next = true;
	if (a->flow.client.family == ADDR_NONE)
		turn_move_complete(r->s, a);
	return true;
}

/* The answer to a Refresh that was good; worker will own the allocation. */
static void answer_refreshed(struct turn_request *r, struct turn_alloc *a, unsigned worker)
{
	if (!a->closed)
		turn_put_ticket(r->s, &r->out, a, worker);
	turn_answer_end(r);
}

/* Which allocation the ticket is for; NULL: it was answered. */
static struct turn_alloc *redeem(struct turn_request *r, const struct ticket *t)
{
	struct turn_alloc *a = find(r->s, t->id);

	if (a && !turn_request_owns(r, a))
		return NULL;
	if (a && (t->generation == a->mobility->generation ||
		  (a->mobility->has_next &&
		   ((t->generation + 1) & GENERATION_MASK) == a->mobility->generation)))
		return a;
	turn_answer_error(r, TURN_ALLOCATION_MISMATCH);
	return NULL;
}

/* It comes from a flow that is this allocation's already: a retransmission, or there was no move.
 */
static void refresh_in_place(struct turn_request *r, struct turn_alloc *a, const struct ticket *t)
{
	if (!a->mobility || a->mobility->id != t->id)
		turn_answer_error(r, TURN_ALLOCATION_MISMATCH);
	else if (turn_request_owns(r, a) && turn_refresh(r, a))
		answer_refreshed(r, a, r->s->config.worker);
}

static void refresh_moved(struct turn_request *r, const struct ticket *t, unsigned from_worker,
			  struct turn_alloc **moved)
{
	struct turn_server *s = r->s;
	struct turn_alloc *a = redeem(r, t);

	if (!a)
		return;
	if (!moved && !announce(r, a))
		return;
	if (!turn_refresh(r, a)) {
		if (!moved)
			turn_move_forget_next(s, a);
		return;
	}
	if (t->generation == a->mobility->generation)
		a->mobility->generation = (t->generation + 1) & GENERATION_MASK;
	answer_refreshed(r, a, from_worker);
	if (!moved || a->closed)
		return;
	turn_server_leave(s, a);
	a->flow = *r->flow;
	*moved = a;
}

void turn_refresh_with_ticket(struct turn_request *r, unsigned from_worker,
			      struct turn_alloc **moved)
{
	struct turn_server *s = r->s;
	struct turn_alloc *a;
	struct ticket t;
	struct span text;
	bool next;

	if (!s->config.mobility) {
		turn_answer_error(r, TURN_MOBILITY_FORBIDDEN);
		return;
	}
	(void)stun_get(r->m, TURN_MOBILITY_TICKET, &text);
	if (text.len == 0 || !read_ticket(s, text, &t)) {
		turn_answer_error(r, text.len ? TURN_ALLOCATION_MISMATCH : STUN_BAD_REQUEST);
		return;
	}
	a = moved ? NULL : turn_server_look_up(s, r->flow, &next);
	if (a) {
		refresh_in_place(r, a, &t);
	} else if (t.worker == s->config.worker) {
		refresh_moved(r, &t, from_worker, moved);
	} else if (moved) {
		turn_answer_error(r, TURN_ALLOCATION_MISMATCH);
	} else {
		r->v->type = TURN_VERDICT_ELSEWHERE;
		r->v->worker = t.worker;
	}
}

void turn_server_foreign(struct turn_server *s, usec_t now, unsigned from_worker,
			 const struct turn_flow *flow, struct span message, struct turn_verdict *v,
			 struct turn_alloc **moved)
{
	struct turn_request r;
	struct stun_msg m;

	turn_server_reap(s);
	turn_server_tell_time(s, now);
	*v = (struct turn_verdict){ .type = TURN_VERDICT_DROP };
	*moved = NULL;
	if (!s->config.auth || stun_parse(message, &m) < 0 || m.class != STUN_REQUEST)
		return;
	turn_request_begin(&r, s, now, flow, &m, v);
	if (m.method == TURN_REFRESH && stun_get_flag(&m, TURN_MOBILITY_TICKET)) {
		if (turn_request_admit(&r))
			turn_refresh_with_ticket(&r, from_worker, moved);
	} else if (m.method == TURN_CONNECTION_BIND) {
		if (turn_request_admit(&r))
			turn_connection_bind(&r, true);
	}
	ct_wipe(&r.credential, sizeof(r.credential));
}

int turn_server_attach(struct turn_server *s, usec_t now, struct turn_alloc *a)
{
	turn_server_reap(s);
	turn_server_tell_time(s, now);
	return turn_server_enter(s, a);
}
