/* Mobility (RFC 8016): an allocation follows its client, within a worker and to another one. */
#include "turn_kit.h"

#define PEER "1.2.3.4:5000"
#define OLD_PORT 4000
#define NEW_PORT 4444

struct ticket {
	uint8_t bytes[64];
	size_t len;
};

static void keep_ticket(const struct kit *k, struct ticket *t)
{
	struct span s;

	assert_true(stun_get(&k->answer, TURN_MOBILITY_TICKET, &s));
	/* turnutils_uclient takes it for a string of up to 32 bytes */
	assert_true(s.len > 0 && s.len <= 32 && !memchr(s.ptr, 0, s.len));
	memcpy(t->bytes, s.ptr, s.len);
	t->len = s.len;
}

static struct turn_alloc *allocate_mobile(struct kit *k, struct ticket *t)
{
	kit_challenge(k);
	kit_begin_allocate(k, TURN_PROTOCOL_UDP);
	stun_put_flag(&k->o, TURN_MOBILITY_TICKET);
	kit_send(k);
	assert_int_equal(kit_outcome(k), 0);
	keep_ticket(k, t);
	assert_int_equal(kit_bind(k, 0x4000, PEER), 0);
	kit_take_events(k);
	return turn_server_find(k->s, &k->flow);
}

static struct span refresh_by(struct kit *k, const struct ticket *t)
{
	kit_begin(k, TURN_REFRESH);
	stun_put(&k->o, TURN_MOBILITY_TICKET, span_of(t->bytes, t->len));
	return kit_seal(k);
}

static int refresh_with(struct kit *k, const struct ticket *t)
{
	kit_send_bytes(k, refresh_by(k, t));
	return kit_outcome(k);
}

static bool flows_from(const struct turn_alloc *a, uint16_t port)
{
	return turn_alloc_flow(a)->client.port == port;
}

static void test_asked_for(void **state)
{
	struct turn_server_config without = kit_usual;
	struct kit k;

	kit_start(&k);
	kit_allocate(&k);
	assert_null(stun_find(&k.answer, TURN_MOBILITY_TICKET)); /* nobody asked */
	kit_stop(&k);
	without.mobility = false;
	kit_start_with(&k, &without);
	kit_challenge(&k);
	kit_begin_allocate(&k, TURN_PROTOCOL_UDP);
	stun_put_flag(&k.o, TURN_MOBILITY_TICKET);
	kit_send(&k);
	assert_int_equal(kit_outcome(&k), 405);
	kit_begin(&k, TURN_REFRESH);
	stun_put_u32(&k.o, TURN_MOBILITY_TICKET, 1);
	kit_send(&k);
	assert_int_equal(kit_outcome(&k), 405);
	kit_stop(&k);
}

/* §3.2.2: peers reach the old flow until the client sends from the new one. */
static void test_move(void **state)
{
	struct kit k;
	struct turn_alloc *a;
	struct ticket first, second;

	kit_start(&k);
	a = allocate_mobile(&k, &first);
	kit_from(&k, TURN_UDP, NEW_PORT);
	assert_int_equal(refresh_with(&k, &first), 0);
	kit_expect_sealed(&k);
	assert_int_equal(kit_lifetime(&k), 600);
	keep_ticket(&k, &second);
	assert_memory_not_equal(first.bytes, second.bytes, first.len);
	kit_take_events(&k);
	assert_null(kit_event(&k, TURN_EVENT_MOVED));
	assert_true(flows_from(a, OLD_PORT));
	kit_from(&k, TURN_UDP, OLD_PORT);
	assert_true(kit_channel_works(&k, 0x4000));
	kit_from(&k, TURN_UDP, NEW_PORT);
	assert_null(turn_server_find(k.s, &k.flow)); /* so that the first message comes in full */
	assert_true(kit_channel_works(&k, 0x4000));
	kit_take_events(&k);
	assert_non_null(kit_event(&k, TURN_EVENT_MOVED));
	assert_true(flows_from(a, NEW_PORT));
	assert_ptr_equal(turn_server_find(k.s, &k.flow), a);
	kit_from(&k, TURN_UDP, OLD_PORT);
	assert_null(turn_server_find(k.s, &k.flow));
	assert_false(kit_channel_works(&k, 0x4000));
	assert_int_equal(refresh_with(&k, &first), 437); /* used up */
	assert_int_equal(refresh_with(&k, &second), 0);
	assert_int_equal(turn_server_stats(k.s)->allocations, 1);
	kit_stop(&k);
}

/* The answer was lost: the same ticket is good once more, from there or from elsewhere. */
static void test_ticket_again(void **state)
{
	struct kit k;
	struct turn_alloc *a;
	struct ticket first, second, third;

	kit_start(&k);
	a = allocate_mobile(&k, &first);
	kit_from(&k, TURN_UDP, NEW_PORT);
	assert_int_equal(refresh_with(&k, &first), 0);
	keep_ticket(&k, &second);
	kit_send_again(&k);
	assert_int_equal(kit_outcome(&k), 0);
	keep_ticket(&k, &third);
	assert_memory_equal(second.bytes, third.bytes, second.len);
	kit_from(&k, TURN_UDP, NEW_PORT + 1);
	assert_int_equal(refresh_with(&k, &first), 0);
	kit_from(&k, TURN_UDP, NEW_PORT);
	assert_false(kit_channel_works(&k, 0x4000)); /* the newer one holds */
	kit_from(&k, TURN_UDP, NEW_PORT + 1);
	assert_int_equal(kit_permit(&k, PEER), 0); /* any request completes the move */
	assert_true(flows_from(a, NEW_PORT + 1));
	assert_int_equal(refresh_with(&k, &first), 0); /* from there it changes nothing */
	assert_true(flows_from(a, NEW_PORT + 1));
	kit_stop(&k);
}

static void test_ticket_refused(void **state)
{
	struct kit k;
	struct ticket t, bad;

	kit_start(&k);
	allocate_mobile(&k, &t);
	kit_from(&k, TURN_UDP, NEW_PORT);
	for (size_t i = 0; i < t.len; i++) {
		bad = t;
		bad.bytes[i] ^= 1;
		assert_int_equal(refresh_with(&k, &bad), 437);
	}
	bad = t;
	bad.len--;
	assert_int_equal(refresh_with(&k, &bad), 437);
	bad.len = 0;
	assert_int_equal(refresh_with(&k, &bad), 400);
	kit_user(&k, "bert", "b");
	assert_int_equal(refresh_with(&k, &t), 441);
	kit_user(&k, "anna", "a");
	kit_allocate(&k); /* now that flow has one of its own */
	assert_int_equal(refresh_with(&k, &t), 437);
	kit_from(&k, TURN_UDP, OLD_PORT);
	assert_true(kit_channel_works(&k, 0x4000));
	kit_stop(&k);
}

/* A stream cannot outlive its client's address, so the allocation has to outlive the stream. */
static void test_stream_gone(void **state)
{
	struct kit k;
	struct turn_alloc *a;
	const struct turn_event *e;
	struct ticket t;

	kit_start(&k);
	kit_from(&k, TURN_TLS, OLD_PORT);
	a = allocate_mobile(&k, &t);
	turn_server_flow_gone(k.s, k.now, &k.flow);
	kit_take_events(&k);
	e = kit_event(&k, TURN_EVENT_MOVED);
	assert_true(e && e->alloc == a);
	assert_int_equal(turn_alloc_flow(a)->client.family, ADDR_NONE);
	assert_false(kit_peer_gets_in(&k, a, PEER)); /* there is nobody to give it to */
	assert_null(turn_server_find(k.s, &k.flow));
	kit_from(&k, TURN_TCP, NEW_PORT);
	assert_int_equal(refresh_with(&k, &t), 0);
	kit_take_events(&k);
	assert_non_null(kit_event(&k, TURN_EVENT_MOVED)); /* at once: no old flow is in use */
	assert_true(kit_peer_gets_in(&k, a, PEER));
	assert_true(kit_channel_works(&k, 0x4000));
	kit_stop(&k);
}

static void test_nobody_comes_back(void **state)
{
	struct kit k;
	struct ticket t;

	kit_start(&k);
	kit_from(&k, TURN_TLS, OLD_PORT);
	allocate_mobile(&k, &t);
	turn_server_flow_gone(k.s, k.now, &k.flow);
	kit_pass(&k, 600 * SEC - 1);
	assert_int_equal(turn_server_stats(k.s)->allocations, 1);
	kit_pass(&k, 1);
	kit_take_events(&k);
	assert_int_equal(kit_event(&k, TURN_EVENT_CLOSED)->reason, TURN_CLOSE_EXPIRED);
	kit_challenge(&k);
	assert_int_equal(refresh_with(&k, &t), 437);
	kit_stop(&k);
}

static void test_new_stream_gone(void **state)
{
	struct kit k;
	struct turn_alloc *a;
	struct ticket t;

	kit_start(&k);
	a = allocate_mobile(&k, &t);
	kit_from(&k, TURN_TCP, NEW_PORT);
	assert_int_equal(refresh_with(&k, &t), 0);
	turn_server_flow_gone(k.s, k.now, &k.flow);
	assert_false(kit_channel_works(&k, 0x4000));
	assert_true(flows_from(a, OLD_PORT));
	kit_from(&k, TURN_UDP, OLD_PORT);
	assert_true(kit_channel_works(&k, 0x4000));
	kit_stop(&k);
}

static void test_refresh_to_zero(void **state)
{
	struct kit k;
	struct ticket t;

	kit_start(&k);
	allocate_mobile(&k, &t);
	kit_from(&k, TURN_UDP, NEW_PORT);
	kit_begin(&k, TURN_REFRESH);
	stun_put(&k.o, TURN_MOBILITY_TICKET, span_of(t.bytes, t.len));
	stun_put_u32(&k.o, TURN_LIFETIME, 0);
	kit_send(&k);
	assert_int_equal(kit_outcome(&k), 0);
	assert_null(stun_find(&k.answer, TURN_MOBILITY_TICKET));
	kit_take_events(&k);
	assert_int_equal(kit_event(&k, TURN_EVENT_CLOSED)->reason, TURN_CLOSE_REFRESHED_0);
	assert_int_equal(turn_server_stats(k.s)->allocations, 0);
	kit_stop(&k);
}

/* ---- to another worker ---- */

struct pair {
	struct kit k; /* worker 3 */
	struct turn_server *other, *first;
};

static void start_pair(struct pair *p, size_t other_max)
{
	struct turn_server_config config;

	kit_start(&p->k);
	config = p->k.config;
	config.worker = 9;
	config.allocations_max = other_max;
	p->first = p->k.s;
	p->other = turn_server_create(&config, &p->k.rng);
	assert_non_null(p->other);
	turn_server_set_wall(p->other, (int64_t)KIT_UNIX_START * 1000000 - (int64_t)p->k.now);
}

static void stop_pair(struct pair *p)
{
	turn_server_destroy(p->other);
	p->k.s = p->first;
	kit_stop(&p->k);
}

/* The ticket arrives at the other worker, which asks the first; returns what came over. */
static struct turn_alloc *move_over(struct pair *p, const struct ticket *t)
{
	struct kit *k = &p->k;
	struct turn_alloc *moved;
	struct span message;

	kit_from(k, TURN_UDP, NEW_PORT);
	message = refresh_by(k, t);
	turn_server_client(p->other, k->now, &k->flow, message, &k->v);
	assert_int_equal(k->v.type, TURN_VERDICT_ELSEWHERE);
	assert_int_equal(k->v.worker, 3);
	turn_server_foreign(p->first, k->now, 9, &k->flow, message, &k->v, &moved);
	assert_int_equal(k->v.type, TURN_VERDICT_REPLY);
	assert_int_equal(stun_parse(k->v.data, &k->answer), 0);
	return moved;
}

static void test_other_worker(void **state)
{
	struct pair p;
	struct kit *k = &p.k;
	struct turn_alloc *a, *moved;
	struct ticket first, second;

	start_pair(&p, 10);
	a = allocate_mobile(k, &first);
	moved = move_over(&p, &first);
	assert_ptr_equal(moved, a);
	keep_ticket(k, &second);
	kit_take_events(k);
	assert_null(kit_event(k, TURN_EVENT_CLOSED));
	assert_int_equal(turn_server_stats(p.first)->allocations, 0);
	assert_int_equal(turn_server_deadline(p.first), USEC_NEVER);
	assert_int_equal(turn_server_attach(p.other, k->now, moved), 0);
	assert_int_equal(turn_server_stats(p.other)->allocations, 1);
	k->s = p.other;
	assert_ptr_equal(turn_server_find(k->s, &k->flow), a);
	assert_true(kit_channel_works(k, 0x4000));
	assert_true(kit_peer_gets_in(k, a, PEER));
	assert_int_equal(refresh_with(k, &first), 0); /* a retransmission */
	kit_from(k, TURN_UDP, NEW_PORT + 1);
	assert_int_equal(refresh_with(k, &second), 0); /* names its new worker */
	kit_pass(k, 600 * SEC);
	kit_take_events(k);
	assert_non_null(kit_event(k, TURN_EVENT_CLOSED));
	stop_pair(&p);
}

static void test_other_worker_is_full(void **state)
{
	struct pair p;
	struct kit *k = &p.k;
	struct turn_alloc *moved;
	struct ticket t;

	start_pair(&p, 0);
	allocate_mobile(k, &t);
	moved = move_over(&p, &t);
	assert_non_null(moved);
	assert_int_equal(turn_server_attach(p.other, k->now, moved), FL_EQUOTA);
	turn_alloc_destroy(moved);
	assert_int_equal(turn_server_stats(p.other)->allocations, 0);
	stop_pair(&p);
}

static void test_foreign_messages(void **state)
{
	struct pair p;
	struct kit *k = &p.k;
	struct turn_alloc *moved;
	struct ticket t;

	start_pair(&p, 10);
	allocate_mobile(k, &t);
	kit_user(k, "bert", "b");
	moved = move_over(&p, &t);
	assert_int_equal(kit_outcome(k), 441);
	assert_null(moved);
	kit_begin_allocate(k, TURN_PROTOCOL_UDP);
	turn_server_foreign(p.first, k->now, 9, &k->flow, kit_seal(k), &k->v, &moved);
	assert_int_equal(k->v.type, TURN_VERDICT_DROP);
	turn_server_foreign(p.first, k->now, 9, &k->flow, span_str("nonsense"), &k->v, &moved);
	assert_int_equal(k->v.type, TURN_VERDICT_DROP);
	assert_null(moved);
	stop_pair(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_asked_for),	     TEST(test_move),
		TEST(test_ticket_again),     TEST(test_ticket_refused),
		TEST(test_stream_gone),	     TEST(test_nobody_comes_back),
		TEST(test_new_stream_gone),  TEST(test_refresh_to_zero),
		TEST(test_other_worker),     TEST(test_other_worker_is_full),
		TEST(test_foreign_messages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
