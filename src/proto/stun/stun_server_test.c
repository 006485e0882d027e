#include "test.h"

#include "proto/stun/stun_server.h"

#define TID "abcdefghijkl"

/* [address][port], and what a client asks from. */
static const char *const places[2][2] = {
	{ "192.0.2.1:3478", "192.0.2.1:3479" },
	{ "192.0.2.2:3478", "192.0.2.2:3479" },
};
static struct stun_behaviour behaviour;

struct question {
	uint8_t buf[2048];
	struct stun_out o;
	const char *from, *at;
	bool alone, stream, classic;
	/* the answer */
	uint8_t answer[STUN_SERVER_ANSWER_MAX];
	struct stun_answer said;
	struct stun_msg m;
	uint16_t code; /* 0: success */
};

static struct addr addr_of(const char *text)
{
	struct addr a;

	if (addr_parse(text, &a) < 0)
		fail_msg("%s is an address", text);
	return a;
}

static int set_up(void **state)
{
	for (int i = 0; i < 4; i++)
		behaviour.at[i / 2][i % 2] = addr_of(places[i / 2][i % 2]);
	return 0;
}

static struct question *begin(void)
{
	static struct question q;

	q = (struct question){ .from = "198.51.100.7:5000", .at = places[0][0] };
	stun_begin(&q.o, q.buf, sizeof(q.buf), STUN_REQUEST, STUN_BINDING, (const uint8_t *)TID);
	return &q;
}

/* RFC 3489: the first four bytes of the transaction id are any. */
static void make_classic(struct question *q, struct span *message)
{
	memcpy(q->buf + 4, "WXYZ", 4);
	q->classic = true;
	*message = span_of(q->buf, message->len);
}

static void ask_bytes(struct question *q, struct span message)
{
	struct addr from = addr_of(q->from), at = addr_of(q->at);
	const struct stun_behaviour *b = q->alone ? NULL : &behaviour;
	struct stun_msg m;

	if (q->classic) {
		bool due = stun_server_classic(message, &from, &at, b, q->answer, &q->said);

		assert_int_equal(due, q->said.len > 0);
		return;
	}
	assert_int_equal(stun_parse(message, &m), 0);
	stun_server_binding(&m, &from, &at, b, q->stream, q->answer, &q->said);
}

static void read_answer(struct question *q)
{
	struct span reason;

	if (q->classic) {
		assert_memory_equal(q->answer + 4, "WXYZ" TID, 16);
		memcpy(q->answer + 4, (const uint8_t[]){ 0x21, 0x12, 0xA4, 0x42 }, 4);
	}
	assert_int_equal(stun_parse(span_of(q->answer, q->said.len), &q->m), 0);
	assert_int_equal(q->m.method, STUN_BINDING);
	assert_memory_equal(q->m.tid, TID, 12);
	if (q->m.class == STUN_ERROR)
		assert_true(stun_get_error(&q->m, &q->code, &reason));
	else
		assert_int_equal(q->m.class, STUN_SUCCESS);
}

static void ask(struct question *q)
{
	struct span message = span_of(q->buf, (size_t)stun_end(&q->o));

	if (q->classic)
		make_classic(q, &message);
	ask_bytes(q, message);
	assert_true(q->said.len > 0);
	read_answer(q);
}

static void expect_addr(struct question *q, uint16_t type, const char *want)
{
	struct addr a;
	char text[ADDR_TEXT_MAX];

	if (type == STUN_XOR_MAPPED_ADDRESS)
		assert_true(stun_get_xor_addr(&q->m, type, &a));
	else
		assert_true(stun_get_addr(&q->m, type, &a));
	assert_string_equal(addr_format(&a, text), want);
}

static void expect_error(struct question *q, uint16_t code)
{
	ask(q);
	assert_int_equal(q->code, code);
	assert_int_equal(q->said.origin, STUN_ORIGIN_SAME);
	assert_int_equal(q->said.port, 0);
}

/* Without behaviour discovery the answer is the address and nothing else. */
static void test_short_answers(void **state)
{
	struct question *q = begin();

	q->alone = true;
	ask(q);
	assert_int_equal(q->said.len, 32);
	expect_addr(q, STUN_XOR_MAPPED_ADDRESS, q->from);

	q = begin();
	q->alone = true;
	q->from = "[2001:db8::7]:5000";
	ask(q);
	assert_int_equal(q->said.len, 44);
	expect_addr(q, STUN_XOR_MAPPED_ADDRESS, q->from);

	q = begin();
	q->alone = true;
	q->from = "[::ffff:198.51.100.7]:5000"; /* of a dual-stack socket */
	ask(q);
	expect_addr(q, STUN_XOR_MAPPED_ADDRESS, "198.51.100.7:5000");

	q = begin();
	q->at = "192.0.2.9:3478"; /* another listener than those of the discovery */
	ask(q);
	assert_int_equal(q->said.len, 32);

	q = begin();
	q->alone = true;
	stun_put_fingerprint(&q->o);
	ask(q);
	assert_int_equal(q->said.len, 40);
	assert_int_equal(stun_check_fingerprint(&q->m), 0);
}

static void test_not_answered(void **state)
{
	struct question *q = begin();
	struct span message = span_of(q->buf, (size_t)stun_end(&q->o));

	q->from = "198.51.100.7:0";
	ask_bytes(q, message);
	assert_int_equal(q->said.len, 0);

	q = begin();
	stun_put_fingerprint(&q->o);
	message = span_of(q->buf, (size_t)stun_end(&q->o));
	q->buf[27] ^= 1;
	ask_bytes(q, message);
	assert_int_equal(q->said.len, 0);

	for (int class = STUN_INDICATION; class <= STUN_ERROR; class ++) {
		q = begin();
		stun_begin(&q->o, q->buf, sizeof(q->buf), (enum stun_class) class, STUN_BINDING,
			   (const uint8_t *)TID);
		ask_bytes(q, span_of(q->buf, (size_t)stun_end(&q->o)));
		assert_int_equal(q->said.len, 0);
	}
	q = begin();
	stun_begin(&q->o, q->buf, sizeof(q->buf), STUN_REQUEST, 3, (const uint8_t *)TID);
	ask_bytes(q, span_of(q->buf, (size_t)stun_end(&q->o)));
	assert_int_equal(q->said.len, 0);
}

static void expect_unknown(struct question *q, const char *types, size_t len)
{
	struct span value;

	expect_error(q, STUN_UNKNOWN_ATTRIBUTE);
	assert_true(stun_get(&q->m, STUN_UNKNOWN_ATTRIBUTES, &value));
	assert_int_equal(value.len, len);
	assert_memory_equal(value.ptr, types, len);
}

static void test_unknown_attributes(void **state)
{
	struct question *q = begin();

	stun_put_u32(&q->o, 0x7123, 1);
	stun_put_u32(&q->o, 0x9123, 1); /* need not be understood */
	stun_put_flag(&q->o, 0x0031);
	stun_put_fingerprint(&q->o);
	expect_unknown(q, "\x71\x23\x00\x31", 4);
	assert_int_equal(stun_check_fingerprint(&q->m), 0);

	/* the most that a message can have: still no gain */
	q = begin();
	for (unsigned i = 0; i < STUN_ATTRS_MAX; i++)
		stun_put_flag(&q->o, 0x7000);
	expect_error(q, STUN_UNKNOWN_ATTRIBUTE);
	assert_true(q->said.len <= STUN_HEADER_LEN + 4 * STUN_ATTRS_MAX);
}

/* What discovery needs is unknown to a server with one address, and over a stream. */
static void test_discovery_elsewhere(void **state)
{
	static const uint16_t types[] = { STUN_CHANGE_REQUEST, STUN_RESPONSE_PORT, STUN_PADDING };

	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		for (int way = 0; way < 3; way++) {
			const char want[] = { 0, (char)types[i] };
			struct question *q = begin();

			q->alone = way == 0;
			q->stream = way == 1;
			if (way == 2)
				q->at = "192.0.2.1:3480";
			stun_put_u32(&q->o, types[i], 0);
			expect_unknown(q, want, 2);
		}
}

/* From each of the four places, with each flag: who answers, and what else is told. */
static void test_change_request(void **state)
{
	for (unsigned at = 0; at < 4; at++)
		for (unsigned flags = 0; flags < 4; flags++) {
			struct question *q = begin();
			unsigned a = at / 2, p = at % 2;
			bool other_ip = flags & 2, other_port = flags & 1;

			q->at = places[a][p];
			stun_put_u32(&q->o, STUN_CHANGE_REQUEST, flags << 1 | 1);
			ask(q);
			assert_int_equal(q->code, 0);
			assert_int_equal(q->said.origin, flags);
			assert_int_equal(q->said.port, 0);
			expect_addr(q, STUN_XOR_MAPPED_ADDRESS, q->from);
			expect_addr(q, STUN_MAPPED_ADDRESS, q->from);
			expect_addr(q, STUN_RESPONSE_ORIGIN, places[a ^ other_ip][p ^ other_port]);
			expect_addr(q, STUN_OTHER_ADDRESS, places[a ^ 1][p ^ 1]);
		}
}

static void test_response_port(void **state)
{
	struct question *q = begin();

	stun_put_u32(&q->o, STUN_RESPONSE_PORT, 0x12340000);
	ask(q);
	assert_int_equal(q->code, 0);
	assert_int_equal(q->said.port, 0x1234);
	expect_addr(q, STUN_XOR_MAPPED_ADDRESS, q->from);

	q = begin();
	stun_put_u32(&q->o, STUN_RESPONSE_PORT, 0);
	expect_error(q, STUN_BAD_REQUEST);
	q = begin();
	stun_put(&q->o, STUN_RESPONSE_PORT, span_of("", 1));
	expect_error(q, STUN_BAD_REQUEST);
	q = begin();
	stun_put(&q->o, STUN_CHANGE_REQUEST, span_of("\0\0\6", 3));
	expect_error(q, STUN_BAD_REQUEST);
}

static void test_padding(void **state)
{
	static const uint8_t zeros[1900];
	struct question *q;
	struct span value;

	for (size_t len = 0; len < sizeof(zeros); len += 100) {
		q = begin();
		stun_put(&q->o, STUN_PADDING, span_of(zeros, len));
		stun_put_fingerprint(&q->o);
		ask(q);
		assert_int_equal(q->code, 0);
		assert_true(stun_get(&q->m, STUN_PADDING, &value));
		assert_int_equal(value.len, FL_MIN(len, (size_t)1440));
	}
	q = begin();
	stun_put(&q->o, STUN_PADDING, span_of(zeros, 100));
	stun_put_u32(&q->o, STUN_RESPONSE_PORT, 0x12340000);
	expect_error(q, STUN_BAD_REQUEST); /* RFC 5780 §6.1: not both */
}

/* ---- RFC 3489 ---- */

static void test_classic(void **state)
{
	struct question *q = begin();
	struct addr a;

	q->classic = true;
	ask(q);
	assert_int_equal(q->code, 0);
	expect_addr(q, STUN_MAPPED_ADDRESS, q->from);
	expect_addr(q, STUN_SOURCE_ADDRESS, places[0][0]);
	expect_addr(q, STUN_CHANGED_ADDRESS, places[1][1]);
	assert_false(stun_get_xor_addr(&q->m, STUN_XOR_MAPPED_ADDRESS, &a));

	q = begin();
	q->classic = true;
	stun_put_u32(&q->o, STUN_CHANGE_REQUEST, STUN_CHANGE_IP | STUN_CHANGE_PORT);
	ask(q);
	assert_int_equal(q->said.origin, STUN_ORIGIN_OTHER_BOTH);
	expect_addr(q, STUN_SOURCE_ADDRESS, places[1][1]);
}

static void test_classic_with_one_address(void **state)
{
	struct question *q = begin();
	struct addr a;

	q->classic = true;
	q->alone = true;
	stun_put_u32(&q->o, STUN_CHANGE_REQUEST, 0);
	ask(q);
	assert_int_equal(q->code, 0);
	assert_int_equal(q->said.len, 44);
	expect_addr(q, STUN_MAPPED_ADDRESS, q->from);
	expect_addr(q, STUN_SOURCE_ADDRESS, places[0][0]);
	assert_false(stun_get_addr(&q->m, STUN_CHANGED_ADDRESS, &a));

	q = begin();
	q->classic = true;
	q->alone = true;
	stun_put_u32(&q->o, STUN_CHANGE_REQUEST, STUN_CHANGE_PORT);
	expect_unknown(q, "\0\3", 2);
}

static void test_classic_refusals(void **state)
{
	struct question *q = begin();
	struct addr victim = addr_of("203.0.113.1:53");
	struct span message;

	q->classic = true;
	stun_put_addr(&q->o, 0x0002, &victim); /* RESPONSE-ADDRESS: to somebody else */
	expect_unknown(q, "\0\2", 2);
	q = begin();
	q->classic = true;
	stun_put_u32(&q->o, STUN_PADDING, 0);
	expect_unknown(q, "\0\x26", 2);

	/* a message of today is not for this entry; nor are other methods, junk, and port 0 */
	q = begin();
	q->classic = true;
	message = span_of(q->buf, (size_t)stun_end(&q->o));
	ask_bytes(q, message);
	assert_int_equal(q->said.len, 0);
	make_classic(q, &message);
	ask_bytes(q, message);
	assert_int_equal(q->said.len, 44 + 12);
	q->from = "198.51.100.7:0";
	ask_bytes(q, message);
	assert_int_equal(q->said.len, 0);
	q->from = "198.51.100.7:5000";
	for (size_t len = 0; len < message.len; len++) {
		ask_bytes(q, span_of(q->buf, len));
		assert_int_equal(q->said.len, 0);
	}
	q->buf[1] = 2;
	ask_bytes(q, message);
	assert_int_equal(q->said.len, 0);
	memset(q->buf, 0, sizeof(q->buf));
	ask_bytes(q, span_of(q->buf, sizeof(q->buf)));
	assert_int_equal(q->said.len, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_short_answers),
		TEST(test_not_answered),
		TEST(test_unknown_attributes),
		TEST(test_discovery_elsewhere),
		TEST(test_change_request),
		TEST(test_response_port),
		TEST(test_padding),
		TEST(test_classic),
		TEST(test_classic_with_one_address),
		TEST(test_classic_refusals),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
