#include "test.h"

#include "base/err.h"
#include "base/text.h"
#include "proto/signalr/signalr.h"

#define SEC USEC_PER_SEC
#define RS "\x1e"
#define HELLO "{\"protocol\":\"json\",\"version\":1}" RS

static struct signalr *new_signalr(enum signalr_role role)
{
	const struct signalr_config config = { .role = role };
	struct signalr *s = signalr_create(&config, 0);

	assert_non_null(s);
	return s;
}

static void feed(struct signalr *s, const char *text)
{
	assert_int_equal(signalr_input(s, 0, span_str(text)), 0);
}

static struct signalr_event next(struct signalr *s, enum signalr_event_type type)
{
	struct signalr_event e;

	assert_true(signalr_next_event(s, &e));
	if (e.type != type)
		fail_msg("event %d (%s), not %d", e.type, e.error ? e.error : "", type);
	return e;
}

static void assert_nothing(struct signalr *s)
{
	struct signalr_event e;

	assert_false(signalr_next_event(s, &e));
}

static void assert_output(struct signalr *s, const char *expected)
{
	struct span out = { NULL, 0 };
	char text[1024];

	if (!signalr_next_output(s, &out))
		out.len = 0;
	assert_true(text_copy_span(text, sizeof(text), out));
	assert_string_equal(text, expected);
	assert_false(signalr_next_output(s, &out));
}

static struct signalr *connected_server(void)
{
	struct signalr *s = new_signalr(SIGNALR_SERVER);

	feed(s, HELLO);
	next(s, SIGNALR_CONNECTED);
	assert_output(s, "{}" RS);
	return s;
}

static struct signalr *connected_client(void)
{
	struct signalr *s = new_signalr(SIGNALR_CLIENT);

	assert_output(s, HELLO);
	feed(s, "{}" RS);
	next(s, SIGNALR_CONNECTED);
	return s;
}

/* The messages of @microsoft/signalr 10.0.11 in the order it sent them, captured from node. */
static const char captured[] = HELLO
	"{\"type\":6}" RS
	"{\"target\":\"WatchDevices\",\"arguments\":[{}],\"invocationId\":\"0\",\"type\":1}" RS
	"{\"target\":\"Trickle\",\"arguments\":[{\"session\":\"s\",\"candidate\":\"\",\"mid\":"
	"\"0\"}],"
	"\"type\":1}" RS "{\"target\":\"Connect\",\"arguments\":[{\"device\":\"d\",\"modules\":["
	"\"screen\",\"terminal\"],"
	"\"sdp\":\"v=0\\r\\n\",\"x\":1e+21,\"y\":0.1,\"z\":\"\\u001e\xc3\xa9\xf0\x9f\x98\x80\"}],"
	"\"invocationId\":\"1\",\"type\":1}" RS
	"{\"target\":\"Upload\",\"arguments\":[],\"streamIds\":[\"2\"],\"type\":1}" RS
	"{\"target\":\"Counter\",\"arguments\":[10],\"invocationId\":\"3\",\"type\":4}" RS
	"{\"invocationId\":\"2\",\"item\":5,\"type\":2}" RS "{\"invocationId\":\"2\",\"type\":3}" RS
	"{\"invocationId\":\"s1\",\"result\":{\"sig\":\"\xc3\xa9\"},\"type\":3}" RS
	"{\"type\":7}" RS;

/* Runs the capture through a server, in pieces of step bytes; returns what it made of it. */
static void run_captured(size_t step, char seen[512])
{
	struct signalr *s = new_signalr(SIGNALR_SERVER);
	struct signalr_event e;
	uint64_t call;

	seen[0] = 0;
	for (size_t at = 0; at < sizeof(captured) - 1; at += step) {
		size_t n = FL_MIN(step, sizeof(captured) - 1 - at);

		assert_int_equal(signalr_input(s, 0, span_of(captured + at, n)), 0);
		while (signalr_next_event(s, &e)) {
			size_t len = strlen(seen);

			if (e.type == SIGNALR_CONNECTED)
				assert_int_equal(signalr_invoke(s, 0, "challenge", NULL, &call), 0);
			snprintf(seen + len, 512 - len, "%d:%s:%s:%zu:%d ", e.type,
				 e.target ? e.target : "", e.invocation_id ? e.invocation_id : "",
				 json_array_size(e.args), (int)e.call);
		}
	}
	assert_int_equal(signalr_counters(s)->unsupported, 4);
	assert_int_equal(signalr_counters(s)->malformed, 0);
	assert_int_equal(signalr_counters(s)->messages_in, 10);
	assert_output(
		s, "{}" RS "{\"type\":1,\"invocationId\":\"s1\",\"target\":\"challenge\","
		   "\"arguments\":[]}" RS
		   "{\"type\":3,\"invocationId\":\"3\",\"error\":\"streams are not offered here; "
		   "use an ordinary invocation\"}" RS);
	signalr_destroy(s);
}

static void test_captured_in_all_pieces(void **state)
{
	for (size_t step = 1; step < sizeof(captured); step++) {
		char seen[512];

		run_captured(step, seen);
		assert_string_equal(seen, "0:::0:0 1:WatchDevices:0:1:0 1:Trickle::1:0 "
					  "1:Connect:1:1:0 2:::0:1 3:::0:0 ");
	}
}

static void test_invocation(void **state)
{
	struct signalr *s = connected_server();
	struct signalr_event e;
	json_t *result = json_pack("{s:b}", "ok", 1);

	feed(s, "{\"type\":1,\"target\":\"Resume\",\"arguments\":[{\"n\":9007199254740993}],"
		"\"invocationId\":\"7\"}" RS);
	e = next(s, SIGNALR_INVOCATION);
	assert_string_equal(e.target, "Resume");
	assert_string_equal(e.invocation_id, "7");
	assert_int_equal(json_integer_value(json_object_get(json_array_get(e.args, 0), "n")),
			 9007199254740993);
	assert_int_equal(signalr_send(s, 0, "echo", json_array_get(e.args, 0)), 0);
	assert_int_equal(signalr_complete(s, 0, e.invocation_id, result), 0);
	assert_int_equal(signalr_complete(s, 0, "8", NULL), 0);
	assert_int_equal(signalr_complete_error(s, 0, "9", "offline: the device is off"), 0);
	assert_int_equal(signalr_complete(s, 0, NULL, result), 0);
	assert_int_equal(signalr_complete_error(s, 0, NULL, "x"), 0);
	assert_output(
		s,
		"{\"type\":1,\"target\":\"echo\",\"arguments\":[{\"n\":9007199254740993}]}" RS
		"{\"type\":3,\"invocationId\":\"7\",\"result\":{\"ok\":true}}" RS
		"{\"type\":3,\"invocationId\":\"8\"}" RS
		"{\"type\":3,\"invocationId\":\"9\",\"error\":\"offline: the device is off\"}" RS);
	json_decref(result);
	signalr_destroy(s);
	signalr_destroy(NULL);
}

static void test_client(void **state)
{
	struct signalr *c = connected_client();
	struct signalr_event e;
	uint64_t first = 0, second = 0;

	assert_int_equal(signalr_invoke(c, 0, "Prove", NULL, &first), 0);
	assert_int_equal(signalr_invoke(c, 0, "Status", NULL, &second), 0);
	assert_true(first && second && first != second);
	assert_output(
		c, "{\"type\":1,\"invocationId\":\"1\",\"target\":\"Prove\",\"arguments\":[]}" RS
		   "{\"type\":1,\"invocationId\":\"2\",\"target\":\"Status\",\"arguments\":[]}" RS);
	feed(c,
	     "{\"type\":3,\"invocationId\":\"2\",\"error\":\"busy: no\",\"result\":null}" RS
	     "{\"type\":3,\"invocationId\":\"1\",\"result\":[1],\"error\":null}" RS
	     "{\"type\":3,\"invocationId\":\"3\",\"result\":1}" RS
	     "{\"type\":3,\"invocationId\":\"01x\",\"result\":1}" RS
	     "{\"type\":1,\"target\":\"end\",\"arguments\":[{}],\"future\":1}" RS "{\"type\":99}" RS
	     "{\"type\":7,\"error\":\"bye\",\"allowReconnect\":true}" RS "{\"type\":6}" RS);
	e = next(c, SIGNALR_COMPLETION);
	assert_int_equal(e.call, second);
	assert_string_equal(e.error, "busy: no");
	assert_null(e.result);
	e = next(c, SIGNALR_COMPLETION);
	assert_int_equal(e.call, first);
	assert_null(e.error);
	assert_int_equal(json_array_size(e.result), 1);
	e = next(c, SIGNALR_INVOCATION);
	assert_string_equal(e.target, "end");
	e = next(c, SIGNALR_CLOSED);
	assert_int_equal(e.why, SIGNALR_WHY_PEER);
	assert_string_equal(e.error, "bye");
	assert_true(e.allow_reconnect);
	assert_nothing(c);
	assert_int_equal(signalr_counters(c)->unsupported, 3);
	assert_int_equal(signalr_send(c, 0, "x", NULL), FL_ESTATE);
	assert_int_equal(signalr_deadline(c), USEC_NEVER);
	signalr_destroy(c);
}

static void test_handshake_refused(void **state)
{
	static const struct {
		const char *hello, *answer;
	} cases[] = {
		{ "{\"protocol\":\"messagepack\",\"version\":1}" RS,
		  "{\"error\":\"only the protocol json is offered here\"}" RS },
		{ "{\"protocol\":\"json\",\"version\":2}" RS,
		  "{\"error\":\"only version 1 of the protocol is offered here\"}" RS },
		{ "{\"protocol\":\"json\"}" RS,
		  "{\"error\":\"handshake without protocol and version\"}" RS },
		{ "{\"type\":6}" RS, "{\"error\":\"handshake without protocol and version\"}" RS },
		{ "[]" RS, "{\"error\":\"handshake is not an object\"}" RS },
		{ "x" RS, "{\"error\":\"message is not JSON\"}" RS },
		{ RS, "{\"error\":\"message is not JSON\"}" RS },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct signalr *s = new_signalr(SIGNALR_SERVER);

		assert_int_equal(signalr_send(s, 0, "x", NULL), FL_ESTATE);
		feed(s, cases[i].hello);
		assert_int_equal(next(s, SIGNALR_CLOSED).why, SIGNALR_WHY_HANDSHAKE);
		assert_output(s, cases[i].answer);
		feed(s, HELLO);
		assert_nothing(s);
		signalr_destroy(s);
	}
}

static void test_handshake_of_client(void **state)
{
	struct signalr *c = new_signalr(SIGNALR_CLIENT);
	struct signalr_event e;

	feed(c, "{\"error\":\"too old\"}" RS);
	e = next(c, SIGNALR_CLOSED);
	assert_int_equal(e.why, SIGNALR_WHY_HANDSHAKE);
	assert_string_equal(e.error, "too old");
	signalr_destroy(c);

	c = new_signalr(SIGNALR_CLIENT);
	feed(c, "{\"type\":1,\"target\":\"x\",\"arguments\":[]}" RS);
	assert_int_equal(next(c, SIGNALR_CLOSED).why, SIGNALR_WHY_HANDSHAKE);
	assert_output(c, HELLO); /* and nothing more */
	signalr_destroy(c);

	/* the first message shares the answer's frame */
	c = new_signalr(SIGNALR_CLIENT);
	feed(c, "{}" RS "{\"type\":1,\"target\":\"challenge\",\"arguments\":[]}" RS);
	next(c, SIGNALR_CONNECTED);
	next(c, SIGNALR_INVOCATION);
	signalr_destroy(c);
}

static void test_malformed(void **state)
{
	static const char *const cases[] = {
		"x",
		"",
		"[]",
		"1",
		"{}",
		"{\"type\":\"1\"}",
		"{\"type\":1.5}",
		"{\"type\":1}",
		"{\"type\":1,\"target\":\"x\"}",
		"{\"type\":1,\"target\":\"\",\"arguments\":[]}",
		"{\"type\":1,\"target\":7,\"arguments\":[]}",
		"{\"type\":1,\"target\":\"x\",\"arguments\":{}}",
		"{\"type\":1,\"target\":\"x\",\"arguments\":[],\"invocationId\":1}",
		"{\"type\":1,\"target\":\"x\",\"arguments\":[],\"invocationId\":\"\"}",
		"{\"type\":1,\"target\":\"x\",\"arguments\":[99999999999999999999]}",
		"{\"type\":1,\"target\":\"x\",\"arguments\":[\"\\u0000\"]}",
		"{\"type\":1,\"target\":\"x\",\"arguments\":[\"\xff\"]}",
		"{\"type\":1,\"type\":6}",
		"{\"type\":3,\"result\":1}",
		"{\"type\":3,\"invocationId\":\"1\",\"result\":1,\"error\":\"x\"}",
		"{\"type\":3,\"invocationId\":\"1\",\"error\":1}",
		"{\"type\":4,\"target\":\"x\",\"arguments\":[]}",
		"{\"type\":7,\"error\":{}}",
		"{\"type\":6}{\"type\":6}",
	};
	char long_id[200];

	for (size_t i = 0; i < ARRAY_LEN(cases) + 1; i++) {
		struct signalr *s = connected_server();
		struct signalr_event e;

		snprintf(long_id, sizeof(long_id), "{\"type\":6,\"invocationId\":\"%0*d\"}",
			 SIGNALR_ID_MAX + 1, 0);
		feed(s, i < ARRAY_LEN(cases) ? cases[i] : long_id);
		feed(s, RS "{\"type\":6}" RS);
		if (!signalr_next_event(s, &e))
			fail_msg("case %zu was taken", i);
		assert_int_equal(e.type, SIGNALR_CLOSED);
		assert_int_equal(e.why, SIGNALR_WHY_MALFORMED);
		assert_non_null(e.error);
		assert_int_equal(signalr_counters(s)->malformed, 1);
		assert_nothing(s);
		signalr_destroy(s);
	}
}

static void test_malformed_is_told(void **state)
{
	struct signalr *s = connected_server();

	feed(s, "{\"type\":1}" RS);
	next(s, SIGNALR_CLOSED);
	assert_output(s, "{\"type\":7,\"error\":\"invocation without a proper target\"}" RS);
	signalr_destroy(s);
}

/* An invocation whose arguments nest depth arrays. */
static void feed_nested(struct signalr *s, int depth)
{
	static const char open[] = "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[";
	static const char close[] = "]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]";
	char text[200];

	snprintf(text, sizeof(text), "{\"type\":1,\"target\":\"x\",\"arguments\":%.*s%.*s}" RS,
		 depth, open, depth, close);
	feed(s, text);
}

static void test_depth(void **state)
{
	struct signalr *s = connected_server();

	/* braces in strings do not count, not even after escaped quotes */
	feed(s, "{\"type\":1,\"target\":\"\\\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\","
		"\"arguments\":[]}" RS);
	next(s, SIGNALR_INVOCATION);
	feed_nested(s, SIGNALR_DEPTH_MAX - 1);
	next(s, SIGNALR_INVOCATION);
	feed_nested(s, SIGNALR_DEPTH_MAX);
	assert_string_equal(next(s, SIGNALR_CLOSED).error, "message nests too deep");
	signalr_destroy(s);
}

/* A ping of exactly len bytes with its separator. */
static char *long_ping(size_t len)
{
	char *text = malloc(len + 1);

	snprintf(text, len + 1, "{\"type\":6%*s}" RS, (int)len - 11, "");
	return text;
}

static void test_message_limit(void **state)
{
	struct signalr *s = connected_server();
	char *fits = long_ping(SIGNALR_MESSAGE_MAX), *more = long_ping(SIGNALR_MESSAGE_MAX + 1);
	struct signalr_event e;

	feed(s, fits);
	assert_nothing(s);
	assert_int_equal(signalr_counters(s)->messages_in, 1);
	feed(s, more);
	assert_string_equal(next(s, SIGNALR_CLOSED).error, "message too big");
	signalr_destroy(s);

	/* without an end it is refused as soon as it is too long */
	s = connected_server();
	for (int i = 0; i < SIGNALR_MESSAGE_MAX / 1024; i++) {
		assert_false(signalr_next_event(s, &e));
		assert_int_equal(signalr_input(s, 0, span_of(more, 1024)), 0);
	}
	assert_string_equal(next(s, SIGNALR_CLOSED).error, "message too big");
	signalr_destroy(s);

	/* more than the buffer holds at once */
	s = connected_server();
	for (int i = 0; i < 3; i++)
		assert_int_equal(signalr_input(s, 0, span_of(more, SIGNALR_MESSAGE_MAX)), 0);
	assert_string_equal(next(s, SIGNALR_CLOSED).error, "message too big");
	signalr_destroy(s);
	free(fits);
	free(more);
}

static void test_send_limits(void **state)
{
	const struct signalr_config config = { .role = SIGNALR_SERVER,
					       .message_max = 200,
					       .out_max = 500 };
	struct signalr *s = signalr_create(&config, 0);
	json_t *big = json_stringn("", 0),
	       *half = json_pack("s#",
				 "0123456789012345678901234567890123456789"
				 "0123456789012345678901234567890123456789",
				 80);
	struct span out;
	int sent = 0;

	feed(s, HELLO);
	next(s, SIGNALR_CONNECTED);
	json_decref(big);
	big = json_array();
	for (int i = 0; i < 100; i++)
		json_array_append_new(big, json_integer(i));
	assert_int_equal(signalr_send(s, 0, "x", big), FL_EQUOTA);
	assert_int_equal(signalr_send(s, 0, "\xff", half), FL_EMALFORMED);
	while (signalr_send(s, 0, "x", half) == 0)
		sent++;
	assert_int_equal(sent, 4);
	for (int i = 0; i < 3; i++) { /* "{}" and one; then one; … each at most 200 bytes, whole */
		assert_true(signalr_next_output(s, &out));
		assert_true(out.len <= 200);
		assert_int_equal(out.ptr[out.len - 1], 0x1e);
	}
	assert_true(signalr_next_output(s, &out));
	assert_false(signalr_next_output(s, &out));
	json_decref(big);
	json_decref(half);
	signalr_destroy(s);
}

static void test_encode_once(void **state)
{
	struct signalr *s = connected_server(), *other = new_signalr(SIGNALR_SERVER);
	struct buf message = BUF_INIT(1000);
	json_t *arg = json_pack("{s:i}", "n", 1);

	assert_int_equal(signalr_encode("device", arg, &message), 0);
	assert_int_equal(signalr_send_encoded(s, 0, buf_span(&message)), 0);
	assert_int_equal(signalr_send_encoded(other, 0, buf_span(&message)), FL_ESTATE);
	assert_output(s, "{\"type\":1,\"target\":\"device\",\"arguments\":[{\"n\":1}]}" RS);
	json_decref(arg);
	buf_finish(&message);
	signalr_destroy(s);
	signalr_destroy(other);
}

static void test_keep_alive(void **state)
{
	const struct signalr_config config = { .role = SIGNALR_SERVER,
					       .ping_us = 2 * SEC,
					       .timeout_us = 5 * SEC };
	struct signalr *s = signalr_create(&config, 0);
	struct signalr_event e;

	assert_int_equal(signalr_deadline(s), 15 * SEC);
	assert_int_equal(signalr_input(s, SEC, span_str(HELLO)), 0);
	next(s, SIGNALR_CONNECTED);
	assert_output(s, "{}" RS);
	assert_int_equal(signalr_deadline(s), 3 * SEC);
	signalr_timeout(s, 2 * SEC);
	assert_output(s, "");
	signalr_timeout(s, 3 * SEC);
	assert_output(s, "{\"type\":6}" RS);
	assert_int_equal(signalr_deadline(s), 5 * SEC);
	assert_int_equal(signalr_send(s, 4 * SEC, "x", NULL), 0); /* stands in for a ping */
	assert_int_equal(signalr_deadline(s), 6 * SEC);
	assert_output(s, "{\"type\":1,\"target\":\"x\",\"arguments\":[]}" RS);
	signalr_timeout(s, 6 * SEC - 1);
	assert_nothing(s);
	signalr_timeout(s, 6 * SEC);
	e = next(s, SIGNALR_CLOSED);
	assert_int_equal(e.why, SIGNALR_WHY_TIMEOUT);
	assert_output(
		s, "{\"type\":7,\"error\":\"nothing heard in time\",\"allowReconnect\":true}" RS);
	signalr_destroy(s);
}

static void test_handshake_timeout(void **state)
{
	struct signalr *s = new_signalr(SIGNALR_SERVER);

	assert_int_equal(signalr_input(s, 14 * SEC, span_str("{")), 0);
	assert_int_equal(signalr_deadline(s), 15 * SEC); /* slow bytes win no time */
	signalr_timeout(s, 15 * SEC);
	assert_int_equal(next(s, SIGNALR_CLOSED).why, SIGNALR_WHY_TIMEOUT);
	signalr_destroy(s);
}

static void test_close_by_us(void **state)
{
	struct signalr *s = connected_server();

	signalr_close(s, 0, "restarting", true);
	assert_output(s, "{\"type\":7,\"error\":\"restarting\",\"allowReconnect\":true}" RS);
	feed(s, "{\"type\":6}" RS);
	assert_nothing(s);
	signalr_destroy(s);
	s = connected_server();
	signalr_close(s, 0, NULL, false);
	assert_output(s, "{\"type\":7}" RS);
	signalr_destroy(s);
}

/* What a stranger wrote is cut between characters. */
static void test_long_error(void **state)
{
	struct signalr *c = connected_client();
	struct signalr_event e;

	feed(c, "{\"type\":7,\"error\":\"");
	for (int i = 0; i < 200; i++)
		feed(c, "\xe2\x82\xac");
	feed(c, "\"}" RS);
	e = next(c, SIGNALR_CLOSED);
	assert_true(strlen(e.error) > 240);
	assert_true(text_utf8_valid(span_str(e.error)));
	signalr_destroy(c);
}

#define TRANSPORTS                                                                                 \
	"\"availableTransports\":["                                                                \
	"{\"transport\":\"WebSockets\",\"transferFormats\":[\"Text\"]},"                           \
	"{\"transport\":\"ServerSentEvents\",\"transferFormats\":[\"Text\"]},"                     \
	"{\"transport\":\"LongPolling\",\"transferFormats\":[\"Text\"]}]}"

static void test_negotiate(void **state)
{
	static const struct {
		const char *query;
		unsigned version;
	} cases[] = {
		{ "negotiateVersion=1", 1 },	 { "a=b&negotiateVersion=1", 1 },
		{ "negotiateVersion=2", 1 },	 { "negotiateVersion=0", 0 },
		{ "negotiateVersion=", 0 },	 { "negotiateVersion=x", 0 },
		{ "negotiateVersion=-1", 0 },	 { "", 0 },
		{ "negotiateVersion=00000", 0 },
	};
	char id[SIGNALR_CONNECTION_ID_LEN], token[SIGNALR_CONNECTION_ID_LEN];
	struct buf out = BUF_INIT(1000);
	struct rng rng;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_int_equal(signalr_negotiate_version(span_str(cases[i].query)),
				 cases[i].version);
	rng_seed(&rng, 1);
	signalr_connection_id(&rng, id);
	signalr_connection_id(&rng, token);
	assert_int_equal(strlen(id), 22);
	assert_string_not_equal(id, token);
	assert_int_equal(signalr_negotiate_answer(1, "I", "T", &out), 0);
	assert_true(span_is(buf_span(&out), "{\"negotiateVersion\":1,\"connectionId\":\"I\","
					    "\"connectionToken\":\"T\"," TRANSPORTS));
	buf_clear(&out);
	assert_int_equal(signalr_negotiate_answer(0, "I", "T", &out), 0);
	assert_true(span_is(buf_span(&out),
			    "{\"negotiateVersion\":0,\"connectionId\":\"I\"," TRANSPORTS));
	buf_finish(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_captured_in_all_pieces),
		TEST(test_invocation),
		TEST(test_client),
		TEST(test_handshake_refused),
		TEST(test_handshake_of_client),
		TEST(test_malformed),
		TEST(test_malformed_is_told),
		TEST(test_depth),
		TEST(test_message_limit),
		TEST(test_send_limits),
		TEST(test_encode_once),
		TEST(test_keep_alive),
		TEST(test_handshake_timeout),
		TEST(test_close_by_us),
		TEST(test_long_error),
		TEST(test_negotiate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
