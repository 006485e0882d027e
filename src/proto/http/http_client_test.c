#include "test.h"

#include <errno.h>

#include "base/err.h"
#include "proto/http/http.h"

#define SEC USEC_PER_SEC

static const struct http_client_request get = { .method = "GET", .target = "/x", .host = "h:1" };

static struct http_client *asked(const struct http_client_request *request)
{
	struct http_client *c = http_client_create(&(struct http_client_config){ 0 });

	assert_int_equal(http_client_request(c, 0, request), 0);
	http_client_sent(c, http_client_output(c).len);
	return c;
}

static void feed(struct http_client *c, const char *text)
{
	assert_int_equal(http_client_input(c, 0, span_str(text)), 0);
}

static const struct http_response *answer(struct http_client *c)
{
	struct http_client_event e;

	assert_true(http_client_next_event(c, &e));
	if (e.type != HTTP_CLIENT_RESPONSE)
		fail_msg("%s", e.reason);
	return e.response;
}

static void assert_failed(struct http_client *c, int err)
{
	struct http_client_event e;

	assert_true(http_client_next_event(c, &e));
	assert_int_equal(e.type, HTTP_CLIENT_FAILED);
	assert_int_equal(e.err, err);
	assert_non_null(e.reason);
	assert_false(http_client_next_event(c, &e));
	assert_int_equal(http_client_request(c, 0, &get), FL_ESTATE);
	assert_int_equal(http_client_deadline(c), USEC_NEVER);
	http_client_destroy(c);
}

static void test_request(void **state)
{
	struct http_client *c = http_client_create(&(struct http_client_config){ 0 });
	const struct http_field fields[] = { { "content-type", "application/json" } };
	const struct http_client_request post = { .method = "POST",
						  .target = "/api?x=1",
						  .host = "hub:8443",
						  .fields = fields,
						  .field_count = 1,
						  .body = span_str("{}") };

	assert_int_equal(http_client_request(c, 0, &post), 0);
	assert_int_equal(http_client_request(c, 0, &post), FL_ESTATE);
	assert_true(span_is(http_client_output(c),
			    "POST /api?x=1 HTTP/1.1\r\nhost: hub:8443\r\n"
			    "content-type: application/json\r\ncontent-length: 2\r\n\r\n{}"));
	assert_int_equal(http_client_deadline(c), 30 * SEC);
	http_client_destroy(c);
	http_client_destroy(NULL);
}

static void test_request_injection(void **state)
{
	static const struct http_field bad = { "x", "a\r\nb: c" }, host = { "Host", "x" };
	const struct http_client_request requests[] = {
		{ .method = "GET", .target = "/a b", .host = "h" },
		{ .method = "GET", .target = "/a\r\nx: y", .host = "h" },
		{ .method = "GET", .target = "", .host = "h" },
		{ .method = "G ET", .target = "/", .host = "h" },
		{ .method = "GET", .target = "/", .host = "h\r\nx: y" },
		{ .method = "GET", .target = "/", .host = "h/x" },
		{ .method = "GET", .target = "/", .host = "h", .fields = &bad, .field_count = 1 },
		{ .method = "GET", .target = "/", .host = "h", .fields = &host, .field_count = 1 },
	};
	struct http_client *c = http_client_create(&(struct http_client_config){ 0 });

	for (size_t i = 0; i < ARRAY_LEN(requests); i++)
		assert_int_equal(http_client_request(c, 0, &requests[i]), FL_EMALFORMED);
	assert_int_equal(http_client_output(c).len, 0);
	assert_int_equal(http_client_request(c, 0, &get), 0);
	http_client_destroy(c);
}

static void test_answers_in_turn(void **state)
{
	struct http_client *c = asked(&get);
	const struct http_client_request head = { .method = "HEAD", .target = "/", .host = "h" };
	const struct http_response *r;

	feed(c, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A: 1\r\n\r\nhi");
	r = answer(c);
	assert_int_equal(r->status, 200);
	assert_true(span_is(r->body, "hi"));
	assert_true(span_is(http_headers_get(&r->headers, "x-a"), "1"));
	assert_null(http_headers_get(&r->headers, "link").ptr);
	assert_true(r->keep_alive);

	assert_int_equal(http_client_request(c, 0, &head), 0);
	feed(c, "HTTP/1.1 200 OK\r\nContent-Length: 999999\r\n\r\n");
	r = answer(c);
	assert_int_equal(r->body.len, 0);

	assert_int_equal(http_client_request(c, 0, &get), 0);
	feed(c, "HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n"
		"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
	r = answer(c);
	assert_int_equal(r->status, 404);
	assert_true(span_is(r->body, "abcde"));

	assert_int_equal(http_client_request(c, 0, &get), 0);
	feed(c, "HTTP/1.1 204 No Content\r\n\r\n");
	assert_int_equal(answer(c)->status, 204);

	assert_int_equal(http_client_request(c, 0, &get), 0);
	feed(c, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
	assert_false(answer(c)->keep_alive);
	assert_int_equal(http_client_request(c, 0, &get), FL_ESTATE);
	http_client_destroy(c);
}

static void test_body_until_eof(void **state)
{
	struct http_client *c = asked(&get);
	struct http_client_event e;
	const struct http_response *r;

	feed(c, "HTTP/1.1 200 OK\r\n\r\nall the ");
	assert_false(http_client_next_event(c, &e));
	feed(c, "rest");
	http_client_eof(c, 0);
	r = answer(c);
	assert_true(span_is(r->body, "all the rest"));
	assert_false(r->keep_alive);
	http_client_destroy(c);
}

static void test_failures(void **state)
{
	static const struct {
		const char *answer;
		int err;
	} cases[] = {
		{ "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
		  FL_EMALFORMED },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n",
		  FL_EMALFORMED },
		{ "HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n", FL_EMALFORMED },
		{ "HTTP/1.1 200 OK\nX: a\n\n", FL_EMALFORMED },
		{ "SSH-2.0-OpenSSH_9.2\r\n", FL_EMALFORMED },
		{ "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
		  FL_EMALFORMED },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 65537\r\n\r\n", FL_EQUOTA },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", FL_EMALFORMED },
	};
	struct http_client *c;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		c = asked(&get);
		feed(c, cases[i].answer);
		assert_failed(c, cases[i].err);
	}
	c = asked(&get);
	feed(c, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc");
	http_client_eof(c, 0);
	assert_failed(c, -ECONNRESET);
	c = asked(&get);
	http_client_timeout(c, 30 * SEC - 1);
	assert_false(http_client_next_event(c, &(struct http_client_event){ 0 }));
	http_client_timeout(c, 30 * SEC);
	assert_failed(c, -ETIMEDOUT);
}

static void test_unasked_answer(void **state)
{
	struct http_client *c = asked(&get);
	struct http_client_event e;

	feed(c, "HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
	assert_int_equal(answer(c)->status, 204);
	assert_false(http_client_next_event(c, &e));
	assert_int_equal(http_client_request(c, 0, &get), FL_ESTATE);
	http_client_destroy(c);
}

static void test_upgrade(void **state)
{
	const struct http_field fields[] = { { "upgrade", "websocket" } };
	const struct http_client_request ask = { .method = "GET",
						 .target = "/ws",
						 .host = "h",
						 .fields = fields,
						 .field_count = 1,
						 .upgrade = true };
	struct http_client *c = http_client_create(&(struct http_client_config){ 0 });
	const struct http_response *r;

	assert_int_equal(http_client_request(c, 0, &ask), 0);
	assert_true(span_is(http_client_output(c),
			    "GET /ws HTTP/1.1\r\nhost: h\r\n"
			    "upgrade: websocket\r\nconnection: Upgrade\r\n\r\n"));
	feed(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
		"\r\n\x81\x01x");
	r = answer(c);
	assert_true(r->upgraded);
	assert_true(span_is(http_client_rest(c), "\x81\x01x"));
	http_client_destroy(c);
}

static void test_split_everywhere(void **state)
{
	static const char text[] =
		"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nX: y\r\n"
		"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nT: u\r\n\r\n";

	for (size_t at = 0; at < sizeof(text); at++) {
		struct http_client *c = asked(&get);
		struct http_client_event e;

		assert_int_equal(http_client_input(c, 0, span_of(text, at)), 0);
		if (at < sizeof(text) - 1) {
			assert_false(http_client_next_event(c, &e));
			assert_int_equal(
				http_client_input(c, 0, span_of(text + at, sizeof(text) - 1 - at)),
				0);
		}
		assert_true(span_is(answer(c)->body, "abc"));
		http_client_destroy(c);
	}
}

static struct span piece_of(struct http_client *c, const char *bytes,
			    enum http_client_event_type type)
{
	struct http_client_event e;

	assert_int_equal(http_client_input(c, 1, span_str(bytes)), 0);
	assert_true(http_client_next_event(c, &e));
	assert_int_equal(e.type, type);
	assert_int_equal(e.response->status, 200);
	return e.response->body;
}

static void test_pieces(void **state)
{
	const struct http_client_config config = { .body_max = 8, .timeout_us = 5 };
	const struct http_client_request request = {
		.method = "GET", .target = "/", .host = "h", .pieces = true
	};
	struct http_client *c = http_client_create(&config);
	struct http_client_event e;

	assert_int_equal(http_client_request(c, 0, &request), 0);
	assert_true(span_is(piece_of(c,
				     "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
				     "3\r\nabc\r\n",
				     HTTP_CLIENT_PIECE),
			    "abc"));
	assert_false(http_client_next_event(c, &e));
	/* no end in time, and none in length, nor in the number of chunks */
	assert_true(http_client_deadline(c) == USEC_NEVER);
	for (int i = 0; i < 20000; i++) {
		assert_true(span_is(piece_of(c, "5\r\nhello\r\n", HTTP_CLIENT_PIECE), "hello"));
		assert_false(http_client_next_event(c, &e));
	}
	assert_true(span_is(piece_of(c, "2\r\nto\r\n0\r\n\r\n", HTTP_CLIENT_RESPONSE), "to"));
	assert_false(http_client_next_event(c, &e));
	http_client_destroy(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_request),	   TEST(test_request_injection), TEST(test_answers_in_turn),
		TEST(test_body_until_eof), TEST(test_failures),		 TEST(test_unasked_answer),
		TEST(test_upgrade),	   TEST(test_split_everywhere),	 TEST(test_pieces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
