/*
 * The TURN core in virtual time: a client that can send every request, sealed or not, and a driver
 * that opens what it is told to.
 */
#include "test.h"

#include "base/err.h"
#include "base/wire.h"
#include "proto/turn/turn_attr.h"
#include "proto/turn/turn_server.h"

#define SEC USEC_PER_SEC
#define START (1000 * SEC)
#define UNIX_START 1900000000
#define REALM "relay.test"
#define EVENTS_MAX 700

static const struct turn_auth_user users[] = { { "anna", "a" }, { "bert", "b" } };

struct ctx {
	struct rng rng;
	struct turn_server *s;
	struct turn_auth *auth;
	struct turn_peers peers;
	struct turn_limit *limit;
	struct turn_server_config config;
	usec_t now;
	struct turn_flow flow;
	const char *user, *password; /* what the client seals with */
	bool sha256;
	char nonce[64];
	uint8_t tid[STUN_TID_LEN];
	uint16_t next_port;
	/* the request being written, and what came of it */
	uint8_t request[2048];
	struct stun_out o;
	uint8_t answer_bytes[STUN_SERVER_ANSWER_MAX];
	struct stun_msg answer;
	struct turn_verdict v;
	struct turn_opened opened; /* what the driver answers to an OPEN */
	struct turn_open open;	   /* what it was asked */
	struct turn_event events[EVENTS_MAX];
	size_t n_events;
};

static struct addr addr_of(const char *text)
{
	struct addr a;

	assert_int_equal(addr_parse(text, &a), 0);
	return a;
}

static void make_auth(struct ctx *c)
{
	struct turn_auth_config config = {
		.realm = REALM,
		.users = users,
		.n_users = ARRAY_LEN(users),
		.secrets = { "secret" },
		.nonce_key = "0123456789abcde",
	};

	assert_int_equal(turn_auth_create(&config, &c->auth), 0);
}

static void start_with(struct ctx *c, const struct turn_server_config *config)
{
	*c = (struct ctx){ .now = START, .user = "anna", .password = "a", .next_port = 50000 };
	rng_seed(&c->rng, 1);
	make_auth(c);
	c->limit = turn_limit_create(&(struct turn_limit_config){ 0 }, &c->rng);
	assert_non_null(c->limit);
	c->config = *config;
	c->config.auth = c->auth;
	c->config.peers = &c->peers;
	c->config.limit = c->limit;
	c->s = turn_server_create(&c->config, &c->rng);
	assert_non_null(c->s);
	turn_server_set_wall(c->s, (int64_t)UNIX_START * 1000000 - (int64_t)START);
	c->flow = (struct turn_flow){ .transport = TURN_UDP,
				      .client = addr_of("8.1.1.1:4000"),
				      .server = addr_of("9.9.9.9:3478") };
}

static const struct turn_server_config usual = {
	.worker = 3,
	.relay_v4 = true,
	.relay_v6 = true,
	.tcp_relay = true,
	.mobility = true,
	.allocations_max = 100,
	.software = "test",
	.ticket_key = "ticket key 1234",
};

static void start(struct ctx *c)
{
	start_with(c, &usual);
}

static void stop(struct ctx *c)
{
	turn_server_destroy(c->s);
	turn_auth_destroy(c->auth);
	turn_limit_destroy(c->limit);
}

/* ---- the client ---- */

static void begin_class(struct ctx *c, enum stun_class class, uint16_t method)
{
	rng_bytes(&c->rng, c->tid, sizeof(c->tid));
	stun_begin(&c->o, c->request, sizeof(c->request), class, method, c->tid);
}

static void begin(struct ctx *c, uint16_t method)
{
	begin_class(c, STUN_REQUEST, method);
}

/* What the driver does; the answer, if any, lies in c->answer. */
static void take_verdict(struct ctx *c)
{
	if (c->v.type == TURN_VERDICT_OPEN) {
		c->open = c->v.open;
		turn_server_opened(c->s, c->now, &c->opened, &c->v);
	}
	c->answer.n_attrs = 0;
	if (c->v.type != TURN_VERDICT_REPLY && c->v.type != TURN_VERDICT_JOIN)
		return;
	assert_true(c->v.data.len <= sizeof(c->answer_bytes));
	memcpy(c->answer_bytes, c->v.data.ptr, c->v.data.len);
	c->v.data.ptr = c->answer_bytes;
	assert_int_equal(stun_parse(c->v.data, &c->answer), 0);
}

static void send_bytes(struct ctx *c, struct span bytes)
{
	turn_server_client(c->s, c->now, &c->flow, bytes, &c->v);
	take_verdict(c);
}

static struct span bare(struct ctx *c)
{
	int len = stun_end(&c->o);

	assert_true(len > 0);
	return span_of(c->request, (size_t)len);
}

static void send_bare(struct ctx *c)
{
	send_bytes(c, bare(c));
}

static size_t key_of(const struct ctx *c, uint8_t key[32])
{
	return turn_auth_key(c->user, REALM, c->password, c->sha256, key);
}

static struct span sealed(struct ctx *c)
{
	uint8_t key[32];
	size_t len = key_of(c, key);

	stun_put(&c->o, STUN_USERNAME, span_str(c->user));
	stun_put(&c->o, STUN_REALM, span_str(REALM));
	stun_put(&c->o, STUN_NONCE, span_str(c->nonce));
	stun_put_integrity(&c->o, span_of(key, len));
	return bare(c);
}

static void send_sealed(struct ctx *c)
{
	send_bytes(c, sealed(c));
}

/* 0: success; else the error's code; -1: no answer. */
static int outcome(const struct ctx *c)
{
	struct span reason;
	uint16_t code;

	if (c->v.type != TURN_VERDICT_REPLY && c->v.type != TURN_VERDICT_JOIN)
		return -1;
	assert_memory_equal(c->answer.tid, c->tid, sizeof(c->tid));
	if (c->answer.class == STUN_SUCCESS)
		return 0;
	assert_int_equal(c->answer.class, STUN_ERROR);
	assert_true(stun_get_error(&c->answer, &code, &reason));
	return code;
}

static void expect_sealed(const struct ctx *c)
{
	uint8_t key[32];
	size_t len = key_of(c, key);

	assert_int_equal(stun_check_integrity(&c->answer, span_of(key, len)), 0);
}

/* Gets a nonce, as a client does by its first request. */
static void challenge(struct ctx *c)
{
	struct span nonce;

	begin(c, TURN_ALLOCATE);
	send_bare(c);
	assert_int_equal(outcome(c), 401);
	assert_true(stun_get(&c->answer, STUN_NONCE, &nonce));
	assert_true(nonce.len < sizeof(c->nonce));
	memcpy(c->nonce, nonce.ptr, nonce.len);
	c->nonce[nonce.len] = 0;
}

static void begin_allocate(struct ctx *c, uint8_t protocol)
{
	c->opened = (struct turn_opened){ .data = c };
	c->opened.relayed[0] = addr_of("9.9.9.9:0");
	c->opened.relayed[0].port = c->next_port++;
	begin(c, TURN_ALLOCATE);
	turn_put_transport(&c->o, protocol);
}

static struct turn_alloc *allocate(struct ctx *c)
{
	challenge(c);
	begin_allocate(c, TURN_PROTOCOL_UDP);
	send_sealed(c);
	assert_int_equal(outcome(c), 0);
	assert_non_null(c->v.alloc);
	return c->v.alloc;
}

static void put_peer(struct ctx *c, const char *peer)
{
	struct addr a = addr_of(peer);

	stun_put_xor_addr(&c->o, TURN_XOR_PEER_ADDRESS, &a);
}

static int permit(struct ctx *c, const char *peer)
{
	begin(c, TURN_CREATE_PERMISSION);
	put_peer(c, peer);
	send_sealed(c);
	return outcome(c);
}

static int bind_channel(struct ctx *c, uint16_t number, const char *peer)
{
	begin(c, TURN_CHANNEL_BIND);
	turn_put_channel(&c->o, number);
	put_peer(c, peer);
	send_sealed(c);
	return outcome(c);
}

static int refresh(struct ctx *c, int64_t seconds)
{
	begin(c, TURN_REFRESH);
	if (seconds >= 0)
		stun_put_u32(&c->o, TURN_LIFETIME, (uint32_t)seconds);
	send_sealed(c);
	return outcome(c);
}

static uint32_t lifetime(const struct ctx *c)
{
	uint32_t seconds;

	assert_true(stun_get_u32(&c->answer, TURN_LIFETIME, &seconds));
	return seconds;
}

/* ---- the driver ---- */

static void take_events(struct ctx *c)
{
	c->n_events = 0;
	while (c->n_events < EVENTS_MAX && turn_server_next_event(c->s, &c->events[c->n_events]))
		c->n_events++;
	assert_true(c->n_events < EVENTS_MAX);
}

/* Lets time pass as a driver does: every deadline is met. */
static void pass(struct ctx *c, usec_t us)
{
	usec_t end = c->now + us;

	while (turn_server_deadline(c->s) <= end) {
		c->now = FL_MAX(c->now, turn_server_deadline(c->s));
		turn_server_timeout(c->s, c->now);
	}
	c->now = end;
}

/* ---- tests ---- */

static void test_binding(void **state)
{
	struct ctx c;
	struct addr mapped;

	start(&c);
	begin(&c, STUN_BINDING);
	send_bare(&c);
	assert_int_equal(outcome(&c), 0);
	assert_true(stun_get_xor_addr(&c.answer, STUN_XOR_MAPPED_ADDRESS, &mapped));
	assert_true(addr_equal(&mapped, &c.flow.client));
	assert_int_equal(turn_server_stats(c.s)->bindings, 1);
	stop(&c);
}

static void test_allocate(void **state)
{
	struct ctx c;
	struct turn_alloc *a;
	struct addr got;
	struct span software;

	start(&c);
	a = allocate(&c);
	expect_sealed(&c);
	assert_true(c.open.v4 && !c.open.v6 && !c.open.even && !c.open.by_token);
	assert_int_equal(c.open.protocol, TURN_PROTOCOL_UDP);
	assert_true(stun_get_xor_addr(&c.answer, TURN_XOR_RELAYED_ADDRESS, &got));
	assert_true(addr_equal(&got, &c.opened.relayed[0]));
	assert_true(stun_get_xor_addr(&c.answer, STUN_XOR_MAPPED_ADDRESS, &got));
	assert_true(addr_equal(&got, &c.flow.client));
	assert_true(stun_get(&c.answer, STUN_SOFTWARE, &software) && span_is(software, "test"));
	assert_int_equal(lifetime(&c), 600);
	assert_ptr_equal(turn_server_find(c.s, &c.flow), a);
	assert_ptr_equal(turn_alloc_data(a), &c);
	assert_string_equal(turn_alloc_user(a), "anna");
	assert_int_equal(turn_alloc_until(a), c.now + 600 * SEC);
	assert_int_equal(turn_server_stats(c.s)->allocations, 1);
	stop(&c);
}

static void test_channel(void **state)
{
	struct ctx c;
	struct turn_alloc *a;
	struct addr peer = addr_of("1.2.3.4:5000");
	uint16_t number;

	start(&c);
	a = allocate(&c);
	assert_int_equal(bind_channel(&c, 0x4001, "1.2.3.4:5000"), 0);
	expect_sealed(&c);
	send_bytes(&c, span_of("\x40\x01\x00\x03"
			       "abc",
			       7));
	assert_int_equal(c.v.type, TURN_VERDICT_TO_PEER);
	assert_true(span_is(c.v.data, "abc") && addr_equal(&c.v.peer, &peer));
	assert_ptr_equal(c.v.alloc, a);
	turn_server_peer(c.s, c.now, a, &peer, span_str("hello"), &c.v);
	assert_int_equal(c.v.type, TURN_VERDICT_TO_CLIENT);
	assert_true(span_equal(c.v.head, span_of("\x40\x01\x00\x05", 4)));
	assert_true(span_is(c.v.data, "hello"));
	assert_true(turn_alloc_from_peer(a, c.now, &peer, &number) && number == 0x4001);
	assert_true(addr_equal(turn_alloc_channel(a, c.now, 0x4001), &peer));
	assert_null(turn_alloc_channel(a, c.now, 0x4002));
	stop(&c);
}

static void test_send_and_data(void **state)
{
	struct ctx c;
	struct turn_alloc *a;
	struct addr peer = addr_of("1.2.3.4:5000"), got;
	struct span data;
	struct stun_msg m;
	uint8_t whole[256];

	start(&c);
	a = allocate(&c);
	assert_int_equal(permit(&c, "1.2.3.4:1"), 0);
	begin_class(&c, STUN_INDICATION, TURN_SEND);
	put_peer(&c, "1.2.3.4:5000");
	stun_put(&c.o, TURN_DATA_ATTR, span_str("hello"));
	send_bare(&c);
	assert_int_equal(c.v.type, TURN_VERDICT_TO_PEER);
	assert_true(span_is(c.v.data, "hello") && addr_equal(&c.v.peer, &peer));
	assert_false(c.v.dont_fragment);
	for (size_t len = 0; len <= 8; len++) {
		turn_server_peer(c.s, c.now, a, &peer, span_of("12345678", len), &c.v);
		assert_int_equal(c.v.type, TURN_VERDICT_TO_CLIENT);
		memcpy(whole, c.v.head.ptr, c.v.head.len);
		if (c.v.data.len)
			memcpy(whole + c.v.head.len, c.v.data.ptr, c.v.data.len);
		assert_int_equal(stun_parse(span_of(whole, c.v.head.len + c.v.data.len), &m), 0);
		assert_true(m.class == STUN_INDICATION && m.method == TURN_DATA);
		assert_true(stun_get_xor_addr(&m, TURN_XOR_PEER_ADDRESS, &got));
		assert_true(addr_equal(&got, &peer));
		assert_true(stun_get(&m, TURN_DATA_ATTR, &data));
		assert_true(span_equal(data, span_of("12345678", len)));
	}
	stop(&c);
}

static void test_refresh(void **state)
{
	struct ctx c;

	start(&c);
	allocate(&c);
	pass(&c, 599 * SEC);
	assert_int_equal(refresh(&c, -1), 0);
	assert_int_equal(lifetime(&c), 600);
	pass(&c, 599 * SEC);
	assert_non_null(turn_server_find(c.s, &c.flow));
	pass(&c, 1 * SEC);
	assert_null(turn_server_find(c.s, &c.flow));
	take_events(&c);
	assert_int_equal(c.n_events, 1);
	assert_int_equal(c.events[0].type, TURN_EVENT_CLOSED);
	assert_int_equal(c.events[0].reason, TURN_CLOSE_EXPIRED);
	assert_int_equal(turn_server_stats(c.s)->allocations, 0);
	stop(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_binding),	  TEST(test_allocate), TEST(test_channel),
		TEST(test_send_and_data), TEST(test_refresh),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
