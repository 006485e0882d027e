/* TCP allocations (RFC 6062). */
#include "turn_kit.h"

#define PEER "1.2.3.4:5000"

/* Over TLS from port 4000, which is the control connection. */
static struct turn_alloc *start(struct kit *k)
{
	kit_start(k);
	kit_from(k, TURN_TLS, 4000);
	kit_challenge(k);
	kit_begin_allocate(k, TURN_PROTOCOL_TCP);
	kit_send(k);
	assert_int_equal(kit_outcome(k), 0);
	assert_int_equal(k->open.protocol, TURN_PROTOCOL_TCP);
	return k->v.alloc;
}

static int connect_to(struct kit *k, const char *peer)
{
	kit_begin(k, TURN_CONNECT);
	kit_put_peer(k, peer);
	kit_send(k);
	return kit_outcome(k);
}

/* From a connection of its own; back on the control connection afterwards. */
static int bind_connection(struct kit *k, uint32_t id)
{
	kit_from(k, TURN_TLS, 4100);
	kit_begin(k, TURN_CONNECTION_BIND);
	stun_put_u32(&k->o, TURN_CONNECTION_ID, id);
	kit_send(k);
	kit_from(k, TURN_TLS, 4000);
	return kit_outcome(k);
}

/* The SEND event's outcome: 0 or a code; its CONNECTION-ID in *id. */
static int sent_answer(struct kit *k, uint32_t *id)
{
	const struct turn_event *e;
	struct span reason;
	uint16_t code;

	kit_take_events(k);
	e = kit_event(k, TURN_EVENT_SEND);
	assert_non_null(e);
	assert_int_equal(k->sent.method, TURN_CONNECT);
	assert_memory_equal(k->sent.tid, k->tid, sizeof(k->tid));
	k->answer = k->sent;
	kit_expect_sealed(k);
	*id = 0;
	if (stun_get_error(&k->sent, &code, &reason))
		return code;
	assert_true(stun_get_u32(&k->sent, TURN_CONNECTION_ID, id));
	return 0;
}

static void test_allocate(void **state)
{
	struct turn_server_config without = kit_usual;
	struct kit k;

	start(&k);
	kit_from(&k, TURN_UDP, 4001);
	kit_challenge(&k);
	kit_begin_allocate(&k, TURN_PROTOCOL_TCP);
	kit_send(&k);
	assert_int_equal(kit_outcome(&k), 400);
	kit_from(&k, TURN_DTLS, 4001);
	kit_begin_allocate(&k, TURN_PROTOCOL_TCP);
	kit_send(&k);
	assert_int_equal(kit_outcome(&k), 400);
	kit_from(&k, TURN_TCP, 4001);
	kit_begin_allocate(&k, TURN_PROTOCOL_TCP);
	stun_put_flag(&k.o, TURN_DONT_FRAGMENT);
	kit_send(&k);
	assert_int_equal(kit_outcome(&k), 400);
	kit_begin_allocate(&k, TURN_PROTOCOL_TCP);
	turn_put_even_port(&k.o, false);
	kit_send(&k);
	assert_int_equal(kit_outcome(&k), 400);
	kit_stop(&k);
	without.tcp_relay = false;
	kit_start_with(&k, &without);
	kit_from(&k, TURN_TCP, 4001);
	kit_challenge(&k);
	kit_begin_allocate(&k, TURN_PROTOCOL_TCP);
	kit_send(&k);
	assert_int_equal(kit_outcome(&k), 442);
	kit_stop(&k);
}

static void test_connect(void **state)
{
	struct kit k;
	struct turn_alloc *a = start(&k);
	struct addr peer = kit_addr(PEER);
	uint32_t id, connection;

	assert_int_equal(connect_to(&k, PEER), KIT_NONE); /* the answer is for later */
	assert_int_equal(k.v.type, TURN_VERDICT_CONNECT);
	assert_ptr_equal(k.v.alloc, a);
	assert_true(addr_equal(&k.v.peer, &peer));
	connection = k.v.connection;
	assert_int_equal(connection >> 24, kit_usual.worker);
	assert_int_equal(bind_connection(&k, connection), 400); /* too early */
	kit_pass(&k, 29 * SEC);
	/* sent_answer() compares with the id of the Connect, so that one must be the last */
	connect_to(&k, "1.2.3.4:5001");
	turn_server_connected(k.s, k.now, a, k.v.connection, 0);
	assert_int_equal(sent_answer(&k, &id), 0);
	assert_int_equal(id, k.v.connection);
	assert_int_equal(bind_connection(&k, id), 0);
	assert_int_equal(k.v.type, TURN_VERDICT_JOIN);
	assert_int_equal(k.v.connection, id);
	assert_ptr_equal(k.v.alloc, a);
	kit_expect_sealed(&k);
	assert_int_equal(bind_connection(&k, id), 400); /* once */
	kit_refresh(&k, 3600);
	kit_pass(&k, 3000 * SEC); /* joined, it has no end of its own */
	kit_take_events(&k);
	for (size_t i = 0; i < k.n_events; i++)
		assert_true(k.events[i].connection == connection);
	kit_stop(&k);
}

static void test_connect_fails(void **state)
{
	struct kit k;
	struct turn_alloc *a = start(&k);
	uint32_t id, connection;

	connect_to(&k, PEER);
	turn_server_connected(k.s, k.now, a, k.v.connection, 447);
	assert_int_equal(sent_answer(&k, &id), 447);
	assert_null(kit_event(&k, TURN_EVENT_DISCONNECT)); /* the driver knows */
	connect_to(&k, PEER);				   /* it may be tried again */
	assert_int_equal(k.v.type, TURN_VERDICT_CONNECT);
	connection = k.v.connection;
	kit_pass(&k, 30 * SEC - 1);
	kit_take_events(&k);
	assert_int_equal(k.n_events, 0);
	kit_pass(&k, 1);
	assert_int_equal(sent_answer(&k, &id), 447);
	assert_non_null(kit_event(&k, TURN_EVENT_DISCONNECT));
	turn_server_connected(k.s, k.now, a, connection, 0); /* too late */
	kit_take_events(&k);
	assert_int_equal(k.n_events, 0);
	kit_stop(&k);
}

static void test_connect_refused(void **state)
{
	struct kit k;
	struct turn_alloc *a = start(&k);
	char peer[ADDR_TEXT_MAX];

	assert_int_equal(connect_to(&k, "10.0.0.1:1"), 403);
	assert_int_equal(connect_to(&k, "1.2.3.4:0"), 403);
	assert_int_equal(connect_to(&k, "[2600::1]:1"), 443);
	kit_begin(&k, TURN_CONNECT);
	kit_send(&k);
	assert_int_equal(kit_outcome(&k), 400);
	assert_int_equal(connect_to(&k, PEER), KIT_NONE);
	assert_int_equal(connect_to(&k, PEER), 446);
	for (unsigned i = 1; i < TURN_CONNECTIONS_MAX; i++) {
		snprintf(peer, sizeof(peer), "1.2.3.4:%u", 5000 + i);
		assert_int_equal(connect_to(&k, peer), KIT_NONE);
	}
	assert_int_equal(connect_to(&k, "1.2.3.4:6000"), 508);
	turn_server_disconnected(k.s, a, k.v.connection); /* of a verdict without one */
	assert_int_equal(kit_bind(&k, 0x4000, PEER), 403);
	kit_from(&k, TURN_TLS, 4001); /* an allocation for UDP has no connections */
	kit_allocate(&k);
	assert_int_equal(connect_to(&k, PEER), 437);
	kit_stop(&k);
}

static void test_no_datagrams(void **state)
{
	struct kit k;
	struct turn_alloc *a = start(&k);

	assert_int_equal(kit_permit(&k, PEER), 0);
	kit_begin_indication(&k, TURN_SEND);
	kit_put_peer(&k, PEER);
	stun_put(&k.o, TURN_DATA_ATTR, span_str("hello"));
	kit_send_bare(&k);
	assert_int_equal(k.v.type, TURN_VERDICT_DROP);
	assert_false(kit_peer_gets_in(&k, a, PEER));
	kit_stop(&k);
}

static void test_connection_bind_times_out(void **state)
{
	struct kit k;
	struct turn_alloc *a = start(&k);
	const struct turn_event *e;
	uint32_t id;

	connect_to(&k, PEER);
	kit_pass(&k, 20 * SEC);
	turn_server_connected(k.s, k.now, a, k.v.connection, 0);
	assert_int_equal(sent_answer(&k, &id), 0);
	kit_pass(&k, 30 * SEC - 1);
	kit_take_events(&k);
	assert_int_equal(k.n_events, 0);
	kit_pass(&k, 1);
	kit_take_events(&k);
	e = kit_event(&k, TURN_EVENT_DISCONNECT);
	assert_true(e && e->connection == id && e->alloc == a);
	assert_int_equal(k.n_events, 1);
	assert_int_equal(bind_connection(&k, id), 400);
	kit_stop(&k);
}

static void test_accepted(void **state)
{
	struct kit k;
	struct turn_alloc *a = start(&k);
	struct addr peer = kit_addr(PEER), got;
	uint32_t id, told;

	assert_false(turn_server_accepted(k.s, k.now, a, &peer, &id));
	assert_int_equal(kit_permit(&k, "1.2.3.4:1"), 0);
	assert_true(turn_server_accepted(k.s, k.now, a, &peer, &id));
	kit_take_events(&k);
	assert_non_null(kit_event(&k, TURN_EVENT_SEND));
	assert_int_equal(k.sent.class, STUN_INDICATION);
	assert_int_equal(k.sent.method, TURN_CONNECTION_ATTEMPT);
	assert_true(stun_get_u32(&k.sent, TURN_CONNECTION_ID, &told) && told == id);
	assert_true(stun_get_xor_addr(&k.sent, TURN_XOR_PEER_ADDRESS, &got));
	assert_true(addr_equal(&got, &peer));
	assert_int_equal(bind_connection(&k, id), 0);
	for (unsigned i = 1; i < TURN_CONNECTIONS_MAX; i++) {
		peer.port++;
		assert_true(turn_server_accepted(k.s, k.now, a, &peer, &told));
	}
	peer.port++;
	assert_false(turn_server_accepted(k.s, k.now, a, &peer, &told));
	turn_server_disconnected(k.s, a, id);
	assert_true(turn_server_accepted(k.s, k.now, a, &peer, &told));
	kit_pass(&k, 300 * SEC);
	kit_take_events(&k);
	assert_false(turn_server_accepted(k.s, k.now, a, &peer, &id)); /* no permission any more */
	kit_stop(&k);
}

static void test_connection_bind_refused(void **state)
{
	struct kit k;
	struct turn_alloc *a = start(&k);
	uint32_t id;

	connect_to(&k, PEER);
	turn_server_connected(k.s, k.now, a, k.v.connection, 0);
	assert_int_equal(sent_answer(&k, &id), 0);
	assert_int_equal(bind_connection(&k, id ^ 1), 400);
	kit_user(&k, "bert", "b");
	assert_int_equal(bind_connection(&k, id), 441);
	kit_user(&k, "anna", "a");
	kit_begin(&k, TURN_CONNECTION_BIND); /* on the control connection */
	stun_put_u32(&k.o, TURN_CONNECTION_ID, id);
	kit_send(&k);
	assert_int_equal(kit_outcome(&k), 400);
	kit_from(&k, TURN_UDP, 4100);
	kit_begin(&k, TURN_CONNECTION_BIND);
	stun_put_u32(&k.o, TURN_CONNECTION_ID, id);
	kit_send(&k);
	assert_int_equal(kit_outcome(&k), 400);
	kit_from(&k, TURN_TCP, 4100);
	kit_begin(&k, TURN_CONNECTION_BIND);
	kit_send(&k);
	assert_int_equal(kit_outcome(&k), 400);
	assert_int_equal(bind_connection(&k, id), 0);
	kit_stop(&k);
}

/* The connection for data came in at another worker than the one that has the allocation. */
static void test_other_worker(void **state)
{
	struct turn_server_config other = kit_usual;
	struct kit k;
	struct turn_alloc *a = start(&k), *moved;
	struct turn_server *elsewhere;
	struct span message;
	uint32_t id;

	connect_to(&k, PEER);
	turn_server_connected(k.s, k.now, a, k.v.connection, 0);
	assert_int_equal(sent_answer(&k, &id), 0);
	other = k.config;
	other.worker = 9;
	elsewhere = turn_server_create(&other, &k.rng);
	assert_non_null(elsewhere);
	turn_server_set_wall(elsewhere, (int64_t)KIT_UNIX_START * 1000000 - (int64_t)k.now);
	kit_from(&k, TURN_TLS, 4100);
	kit_begin(&k, TURN_CONNECTION_BIND);
	stun_put_u32(&k.o, TURN_CONNECTION_ID, id);
	message = kit_seal(&k);
	turn_server_client(elsewhere, k.now, &k.flow, message, &k.v);
	assert_int_equal(k.v.type, TURN_VERDICT_ELSEWHERE);
	assert_int_equal(k.v.worker, kit_usual.worker);
	turn_server_foreign(k.s, k.now, 9, &k.flow, message, &k.v, &moved);
	assert_int_equal(k.v.type, TURN_VERDICT_JOIN);
	assert_null(moved);
	assert_int_equal(k.v.connection, id);
	assert_ptr_equal(k.v.alloc, a);
	turn_server_destroy(elsewhere);
	kit_stop(&k);
}

/* With the allocation its connections end, without an event each. */
static void test_close(void **state)
{
	struct kit k;
	struct turn_alloc *a = start(&k);

	connect_to(&k, PEER);
	connect_to(&k, "1.2.3.4:5001");
	turn_server_connected(k.s, k.now, a, k.v.connection, 0);
	turn_server_flow_gone(k.s, k.now, &k.flow);
	kit_take_events(&k);
	assert_int_equal(k.n_events, 1);
	assert_int_equal(k.events[0].type, TURN_EVENT_CLOSED);
	assert_int_equal(bind_connection(&k, k.v.connection), 400);
	kit_stop(&k);
}

static void test_reload_forbids(void **state)
{
	struct turn_peers now_denied = { .n_deny = 1 };
	struct kit k;
	uint32_t id;

	start(&k);
	assert_int_equal(turn_network_parse("1.2.3.4", &now_denied.deny[0]), 0);
	connect_to(&k, "1.2.3.5:1");
	connect_to(&k, PEER);
	turn_server_set(k.s, k.now, k.auth, &now_denied);
	assert_int_equal(sent_answer(&k, &id), 447);
	assert_int_equal(k.n_events, 2);
	assert_non_null(kit_event(&k, TURN_EVENT_DISCONNECT));
	kit_stop(&k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_allocate),	   TEST(test_connect),
		TEST(test_connect_fails),  TEST(test_connect_refused),
		TEST(test_no_datagrams),   TEST(test_connection_bind_times_out),
		TEST(test_accepted),	   TEST(test_connection_bind_refused),
		TEST(test_other_worker),   TEST(test_close),
		TEST(test_reload_forbids),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
