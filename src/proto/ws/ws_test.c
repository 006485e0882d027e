#include "test.h"

#include "base/err.h"
#include "base/wire.h"
#include "proto/ws/ws.h"

#define S(text) span_of(text, sizeof(text) - 1)

static struct rng rng;

static struct ws *new_ws(enum ws_role role, size_t message_max)
{
	const struct ws_config config = { .role = role, .message_max = message_max };
	struct ws *ws;

	rng_seed(&rng, 1);
	ws = ws_create(&config, &rng);
	assert_non_null(ws);
	return ws;
}

static void feed(struct ws *ws, struct span bytes)
{
	assert_int_equal(ws_input(ws, 0, bytes), 0);
}

static void assert_message(struct ws *ws, enum ws_event_type type, struct span data)
{
	struct ws_event e;

	assert_true(ws_next_event(ws, &e));
	if (e.type == WS_EVENT_CLOSED)
		fail_msg("closed: %u %.*s", e.code, (int)e.data.len, (const char *)e.data.ptr);
	assert_int_equal(e.type, type);
	assert_int_equal(e.data.len, data.len);
	assert_true(span_equal(e.data, data));
}

static void assert_nothing(struct ws *ws)
{
	struct ws_event e;

	assert_false(ws_next_event(ws, &e));
}

static void assert_closed(struct ws *ws, unsigned code, bool by_peer)
{
	struct ws_event e;

	assert_true(ws_next_event(ws, &e));
	assert_int_equal(e.type, WS_EVENT_CLOSED);
	if (e.code != code)
		fail_msg("code %u (%.*s), not %u", e.code, (int)e.data.len,
			 (const char *)e.data.ptr, code);
	assert_int_equal(e.by_peer, by_peer);
	assert_nothing(ws);
	feed(ws, S("\x81\x01x"));
	assert_nothing(ws);
	assert_int_equal(ws_send_text(ws, S("x")), FL_ESTATE);
	assert_int_equal(ws_deadline(ws), USEC_NEVER);
}

static void assert_output(struct ws *ws, struct span expected)
{
	struct span out = ws_output(ws);

	assert_int_equal(out.len, expected.len);
	assert_true(span_equal(out, expected));
	ws_sent(ws, out.len);
}

/* RFC 6455 §5.7 */
static void test_rfc_examples(void **state)
{
	static uint8_t long_frame[10 + 65536];
	struct ws *client = new_ws(WS_CLIENT, 0), *server = new_ws(WS_SERVER, 0);
	struct writer w = writer_of(long_frame, sizeof(long_frame));

	feed(client, S("\x81\x05Hello"));
	assert_message(client, WS_EVENT_TEXT, S("Hello"));
	feed(server, S("\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"));
	assert_message(server, WS_EVENT_TEXT, S("Hello"));
	feed(client, S("\x01\x03Hel\x80\x02lo"));
	assert_message(client, WS_EVENT_TEXT, S("Hello"));
	feed(client, S("\x89\x05Hello"));
	assert_nothing(client);
	assert_int_equal(ws_output(client).len, 11);
	assert_memory_equal(ws_output(client).ptr, "\x8a\x85", 2);
	feed(server, ws_output(client)); /* the masked pong */
	assert_message(server, WS_EVENT_PONG, S("Hello"));
	writer_bytes(&w, "\x82\x7e\x01\x00", 4);
	writer_zeros(&w, 256);
	feed(client, writer_span(&w));
	assert_message(client, WS_EVENT_BINARY, span_of(long_frame + 4, 256));
	w = writer_of(long_frame, sizeof(long_frame));
	writer_bytes(&w, "\x82\x7f\0\0\0\0\0\1\0\0", 10);
	writer_zeros(&w, 65536);
	feed(client, writer_span(&w));
	assert_message(client, WS_EVENT_BINARY, span_of(long_frame + 10, 65536));
	assert_nothing(client);
	ws_destroy(client);
	ws_destroy(server);
	ws_destroy(NULL);
}

static void test_round_trip(void **state)
{
	static const size_t lengths[] = { 0, 1, 7, 8, 9, 125, 126, 127, 65535, 65536, 262144 };
	static uint8_t data[262144];
	struct ws *client = new_ws(WS_CLIENT, 0), *server = new_ws(WS_SERVER, 0);

	rng_bytes(&rng, data, sizeof(data));
	for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
		struct span message = span_of(data, lengths[i]);

		assert_int_equal(ws_send_binary(client, message), 0);
		if (lengths[i] > 16) /* masked on the wire */
			assert_memory_not_equal(ws_output(client).ptr + 14, data + 6, 8);
		feed(server, ws_output(client));
		ws_sent(client, ws_output(client).len);
		assert_message(server, WS_EVENT_BINARY, message);
		assert_int_equal(ws_send_binary(server, message), 0);
		feed(client, ws_output(server));
		ws_sent(server, ws_output(server).len);
		assert_message(client, WS_EVENT_BINARY, message);
	}
	assert_int_equal(ws_counters(client)->messages_in, ARRAY_LEN(lengths));
	assert_int_equal(ws_counters(client)->bytes_out, ws_counters(server)->bytes_in);
	ws_destroy(client);
	ws_destroy(server);
}

/* Against a server; the mask is zero, so the payload stands as it is. Z: masked, zero mask. */
#define Z "\0\0\0\0"

static void test_violations(void **state)
{
	static const struct {
		const char *name;
		struct span input;
		unsigned code;
	} cases[] = {
		{ "no mask", { (const uint8_t *)"\x81\x01x", 3 }, 1002 },
#define C(name, text, code) { name, { (const uint8_t *)(text), sizeof(text) - 1 }, code }
		C("rsv1", "\xc1\x81" Z "x", 1002),
		C("rsv2", "\xa1\x81" Z "x", 1002),
		C("rsv3", "\x91\x81" Z "x", 1002),
		C("rsv on a ping", "\xd9\x80" Z, 1002),
		C("opcode 3", "\x83\x80" Z, 1002),
		C("opcode 7", "\x87\x80" Z, 1002),
		C("opcode 11", "\x8b\x80" Z, 1002),
		C("opcode 15", "\x8f\x80" Z, 1002),
		C("first two bytes suffice", "\x8f\x80", 1002),
		C("fragmented ping", "\x09\x80" Z, 1002),
		C("fragmented close", "\x08\x80" Z, 1002),
		C("long ping", "\x89\xfe\x00\x7e" Z, 1002),
		C("continuation of nothing", "\x80\x80" Z, 1002),
		C("continuation after a whole message", "\x81\x80" Z "\x80\x80" Z, 1002),
		C("text in text",
		  "\x01\x81" Z "a"
		  "\x81\x81" Z "b",
		  1002),
		C("binary in text",
		  "\x01\x81" Z "a"
		  "\x02\x81" Z "b",
		  1002),
		C("16 bits for 125", "\x82\xfe\x00\x7d" Z, 1002),
		C("64 bits for 65535", "\x82\xff\0\0\0\0\0\0\xff\xff" Z, 1002),
		C("too big", "\x82\xff\0\0\0\0\0\4\0\1" Z, 1009),
		C("huge", "\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff" Z, 1009),
		C("top bit", "\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff" Z, 1009),
		C("bad utf-8", "\x81\x81" Z "\xff", 1007),
		C("bad utf-8, at once", "\x81\x8a" Z "ab\xc0", 1007),
		C("overlong", "\x81\x82" Z "\xc0\xaf", 1007),
		C("surrogate", "\x81\x83" Z "\xed\xa0\x80", 1007),
		C("past U+10FFFF", "\x81\x84" Z "\xf4\x90\x80\x80", 1007),
		C("cut character", "\x81\x82" Z "\xe2\x82", 1007),
		C("cut character in the last fragment",
		  "\x01\x81" Z "a"
		  "\x80\x82" Z "\xe2\x82",
		  1007),
		C("bad utf-8 in a fragment",
		  "\x01\x81" Z "a"
		  "\x00\x81" Z "\xff",
		  1007),
		C("close of one byte", "\x88\x81" Z "\x03", 1002),
		C("close 999", "\x88\x82" Z "\x03\xe7", 1002),
		C("close 1004", "\x88\x82" Z "\x03\xec", 1002),
		C("close 1005", "\x88\x82" Z "\x03\xed", 1002),
		C("close 1006", "\x88\x82" Z "\x03\xee", 1002),
		C("close 1015", "\x88\x82" Z "\x03\xf7", 1002),
		C("close 2999", "\x88\x82" Z "\x0b\xb7", 1002),
		C("close 5000", "\x88\x82" Z "\x13\x88", 1002),
		C("close with bad utf-8", "\x88\x83" Z "\x03\xe8\xff", 1007),
#undef C
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct ws *ws = new_ws(WS_SERVER, 0);
		struct ws_event e = { .type = WS_EVENT_TEXT };
		struct span out;

		feed(ws, cases[i].input);
		while (e.type != WS_EVENT_CLOSED)
			if (!ws_next_event(ws, &e))
				fail_msg("%s was taken", cases[i].name);
		if (e.code != cases[i].code || e.by_peer)
			fail_msg("%s: %u", cases[i].name, e.code);
		out = ws_output(ws);
		assert_true(out.len > 4);
		assert_int_equal(out.ptr[0], 0x88);
		assert_int_equal(out.ptr[2] << 8 | out.ptr[3], cases[i].code);
		assert_int_equal(ws_counters(ws)->violations, 1);
		ws_destroy(ws);
	}
}

static void test_masked_from_server(void **state)
{
	struct ws *ws = new_ws(WS_CLIENT, 0);

	feed(ws, S("\x81\x81" Z "x"));
	assert_closed(ws, 1002, false);
	ws_destroy(ws);
}

static void test_valid_close_codes(void **state)
{
	static const unsigned codes[] = { 1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010,
					  1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999 };

	for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
		struct ws *ws = new_ws(WS_CLIENT, 0);
		const uint8_t frame[] = {
			0x88, 5, (uint8_t)(codes[i] >> 8), (uint8_t)codes[i], 'b', 'y', 'e'
		};
		struct ws_event e;

		feed(ws, span_of(frame, sizeof(frame)));
		assert_true(ws_next_event(ws, &e));
		assert_int_equal(e.type, WS_EVENT_CLOSED);
		assert_int_equal(e.code, codes[i]);
		assert_true(e.by_peer);
		assert_true(span_is(e.data, "bye"));
		assert_int_equal(ws_output(ws).len, 8); /* the code comes back */
		ws_destroy(ws);
	}
}

static void test_close_by_peer_without_code(void **state)
{
	struct ws *ws = new_ws(WS_SERVER, 0);

	feed(ws, S("\x81\x81" Z "x\x88\x80" Z "\x81\x81" Z "y"));
	assert_message(ws, WS_EVENT_TEXT, S("x"));
	assert_closed(ws, WS_CODE_NONE, true);
	assert_output(ws, S("\x88\x00"));
	ws_destroy(ws);
}

static void test_close_by_us(void **state)
{
	struct ws *ws = new_ws(WS_SERVER, 0);

	ws_close(ws, 100, WS_CODE_GOING_AWAY, "shutdown");
	ws_close(ws, 100, WS_CODE_NORMAL, "again");
	assert_output(ws, S("\x88\x0a\x03\xe9shutdown"));
	assert_int_equal(ws_send_text(ws, S("x")), FL_ESTATE);
	assert_int_equal(ws_ping(ws, S("x")), FL_ESTATE);
	feed(ws, S("\x81\x81" Z "x\x89\x80" Z)); /* was on its way: dropped, not answered */
	assert_nothing(ws);
	assert_int_equal(ws_output(ws).len, 0);
	feed(ws, S("\x88\x82" Z "\x03\xe9"));
	assert_closed(ws, 1001, false);
	assert_int_equal(ws_output(ws).len, 0);
	ws_destroy(ws);

	ws = new_ws(WS_SERVER, 0);
	ws_close(ws, 100, WS_CODE_NORMAL, NULL);
	assert_int_equal(ws_deadline(ws), 100 + 2 * USEC_PER_SEC);
	ws_timeout(ws, 100);
	assert_nothing(ws);
	ws_timeout(ws, 100 + 2 * USEC_PER_SEC);
	assert_closed(ws, WS_CODE_ABNORMAL, false);
	ws_destroy(ws);
}

static void test_eof(void **state)
{
	struct ws *ws = new_ws(WS_SERVER, 0);

	feed(ws, S("\x81\x85" Z "ab"));
	ws_eof(ws, 0);
	assert_closed(ws, WS_CODE_ABNORMAL, true);
	ws_destroy(ws);
}

static void test_reason_cut(void **state)
{
	struct ws *ws = new_ws(WS_SERVER, 0);
	char reason[200];

	memset(reason, 'a', sizeof(reason));
	memcpy(reason + 122, "\xe2\x82\xac", 4); /* would be cut in two */
	ws_close(ws, 0, WS_CODE_NORMAL, reason);
	assert_int_equal(ws_output(ws).len, 2 + 2 + 122);
	ws_destroy(ws);
}

/* Control frames may come between fragments; the limit counts all fragments. */
static void test_fragments(void **state)
{
	struct ws *ws = new_ws(WS_SERVER, 10);

	feed(ws, S("\x01\x82" Z "\xe2\x82"
		   "\x89\x81" Z "p"
		   "\x00\x80" Z "\x00\x81" Z "\xac"
		   "\x80\x81" Z "!"));
	assert_message(ws, WS_EVENT_TEXT, S("\xe2\x82\xac!"));
	assert_nothing(ws);
	assert_output(ws, S("\x8a\x01p"));
	feed(ws, S("\x02\x85" Z "12345\x80\x85" Z "67890"));
	assert_message(ws, WS_EVENT_BINARY, S("1234567890"));
	feed(ws, S("\x82\x8a" Z "1234567890"));
	assert_message(ws, WS_EVENT_BINARY, S("1234567890"));
	feed(ws, S("\x02\x85" Z "12345\x80\x86" Z));
	assert_closed(ws, WS_CODE_TOO_BIG, false);
	ws_destroy(ws);
}

static void test_ping_flood(void **state)
{
	struct ws *ws = new_ws(WS_SERVER, 0);

	for (int i = 0; i < 100000; i++) {
		feed(ws, S("\x89\x84" Z "ping"));
		assert_nothing(ws);
	}
	assert_true(ws_output(ws).len <= 64 * 1024 + 6); /* and not 600,000 */
	ws_destroy(ws);
}

static void test_out_quota(void **state)
{
	const struct ws_config config = { .role = WS_SERVER, .out_max = 100 };
	struct ws *ws = ws_create(&config, NULL);
	const uint8_t data[126] = { 0 };

	assert_int_equal(ws_send_text(ws, span_of(data, 80)), 0);
	assert_int_equal(ws_send_text(ws, span_of(data, 80)), FL_EQUOTA);
	assert_int_equal(ws_output(ws).len, 82);
	assert_int_equal(ws_ping(ws, span_of(data, 126)), FL_EQUOTA);
	ws_destroy(ws);
}

static void test_split_everywhere(void **state)
{
	static const char text[] =
		"\x01\x82\1\2\3\4\xe3\x80"
		"\x89\x81" Z "p"
		"\x80\x81\4\3\2\1\xa8"
		"\x82\xfe\x00\x80" Z "0123456789abcdef0123456789abcdef"
		"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
		"0123456789abcdef0123456789abcdef"
		"\x88\x82" Z "\x03\xe8";
	const size_t len = sizeof(text) - 1;

	for (size_t step = 1; step <= len; step++) {
		struct ws *ws = new_ws(WS_SERVER, 0);
		struct ws_event e;
		unsigned seen = 0;

		for (size_t at = 0; at < len; at += step) {
			feed(ws, span_of(text + at, FL_MIN(step, len - at)));
			while (ws_next_event(ws, &e)) {
				seen = seen * 10 + e.type + 1;
				if (e.type == WS_EVENT_TEXT)
					assert_true(span_is(e.data, "\xe2\x82\xac"));
				if (e.type == WS_EVENT_BINARY)
					assert_int_equal(e.data.len, 128);
			}
		}
		assert_int_equal(seen, 124);
		assert_output(ws, S("\x8a\x01p\x88\x02\x03\xe8"));
		ws_destroy(ws);
	}
}

/* A head for a payload that is written from elsewhere is what ws_send_binary() writes. */
static void test_binary_head(void **state)
{
	static const size_t lens[] = { 0, 125, 126, 65535, 65536 };
	static uint8_t payload[65536];
	struct ws *ws = new_ws(WS_SERVER, 0);

	for (size_t i = 0; i < ARRAY_LEN(lens); i++) {
		uint8_t head[WS_HEAD_MAX];
		size_t n = ws_binary_head(ws, lens[i], head);
		struct span out;

		assert_int_equal(ws_send_binary(ws, span_of(payload, lens[i])), 0);
		out = ws_output(ws);
		assert_int_equal(out.len, n + lens[i]);
		assert_memory_equal(out.ptr, head, n);
		ws_sent(ws, out.len);
	}
	assert_int_equal(ws_counters(ws)->messages_out, 2 * ARRAY_LEN(lens));
	ws_close(ws, 0, WS_CODE_NORMAL, NULL);
	assert_int_equal(ws_binary_head(ws, 1, (uint8_t[WS_HEAD_MAX]){ 0 }), 0);
	ws_destroy(ws);
}

static void test_message_max_grows(void **state)
{
	struct ws *ws = new_ws(WS_SERVER, 3);

	feed(ws, S("\x82\x83\0\0\0\0abc"));
	assert_message(ws, WS_EVENT_BINARY, S("abc"));
	ws_set_message_max(ws, 4);
	feed(ws, S("\x82\x84\0\0\0\0abcd"));
	assert_message(ws, WS_EVENT_BINARY, S("abcd"));
	feed(ws, S("\x82\x85\0\0\0\0abcde"));
	assert_closed(ws, WS_CODE_TOO_BIG, false);
	ws_destroy(ws);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_rfc_examples),      TEST(test_round_trip),
		TEST(test_violations),	      TEST(test_masked_from_server),
		TEST(test_valid_close_codes), TEST(test_close_by_peer_without_code),
		TEST(test_close_by_us),	      TEST(test_eof),
		TEST(test_reason_cut),	      TEST(test_fragments),
		TEST(test_ping_flood),	      TEST(test_out_quota),
		TEST(test_split_everywhere),  TEST(test_binary_head),
		TEST(test_message_max_grows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
