#include "test.h"

#include "base/err.h"
#include "base/wire.h"
#include "proto/http/http.h"

#define SEC USEC_PER_SEC

static struct http_server *new_server(void)
{
	struct http_server *s = http_server_create(&(struct http_server_config){ 0 }, 0);

	assert_non_null(s);
	return s;
}

static void feed(struct http_server *s, const char *text)
{
	assert_int_equal(http_server_input(s, 0, span_str(text)), 0);
}

static void assert_output(struct http_server *s, const char *expected)
{
	struct span out = http_server_output(s);
	char text[4096];

	assert_true(out.len < sizeof(text));
	if (out.len)
		memcpy(text, out.ptr, out.len);
	text[out.len] = 0;
	assert_string_equal(text, expected);
	http_server_sent(s, out.len);
}

static const struct http_request *next_request(struct http_server *s)
{
	struct http_server_event event;

	assert_true(http_server_next_event(s, &event));
	assert_int_equal(event.type, HTTP_SERVER_REQUEST);
	return event.request;
}

static void assert_closed(struct http_server *s, unsigned status)
{
	struct http_server_event event;

	assert_true(http_server_next_event(s, &event));
	assert_int_equal(event.type, HTTP_SERVER_CLOSE);
	if (event.status != status)
		fail_msg("status %u (%s), not %u", event.status, event.reason, status);
	assert_non_null(event.reason);
	assert_false(http_server_next_event(s, &event));
	assert_int_equal(http_server_input(s, 0, span_str("GET / HTTP/1.1\r\n\r\n")), 0);
	assert_false(http_server_next_event(s, &event));
	assert_int_equal(http_server_deadline(s), USEC_NEVER);
}

static void respond(struct http_server *s, unsigned status, const char *body)
{
	assert_int_equal(http_server_respond(s, 0, status, NULL, 0, span_str(body)), 0);
}

static void test_get(void **state)
{
	struct http_server *s = new_server();
	const struct http_field fields[] = { { "content-type", "text/plain" } };
	const struct http_request *r;

	feed(s,
	     "GET /pages/caf%C3%A9%20x?a=1&b HTTP/1.1\r\nHost: hub:8443\r\nX-Tag:  v 1 \t\r\n\r\n");
	r = next_request(s);
	assert_int_equal(r->method, HTTP_METHOD_GET);
	assert_string_equal(r->path, "/pages/caf\xc3\xa9 x");
	assert_true(span_is(r->query, "a=1&b"));
	assert_true(span_is(r->target, "/pages/caf%C3%A9%20x?a=1&b"));
	assert_true(span_is(r->host, "hub:8443"));
	assert_true(span_is(http_headers_get(&r->headers, "x-tag"), "v 1"));
	assert_null(http_headers_get(&r->headers, "x-none").ptr);
	assert_true(r->keep_alive);
	assert_false(r->upgrade);
	http_server_set_date(s, 784111777);
	assert_int_equal(http_server_respond(s, 0, 200, fields, 1, span_str("hello")), 0);
	assert_output(s, "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n"
			 "date: Sun, 06 Nov 1994 08:49:37 GMT\r\ncontent-length: 5\r\n\r\nhello");
	assert_int_equal(http_server_respond(s, 0, 200, NULL, 0, span_str("")), FL_ESTATE);
	http_server_destroy(s);
}

static void test_pipeline_in_order(void **state)
{
	struct http_server *s = new_server();
	struct http_server_event event;

	feed(s, "\r\nPOST /1 HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc"
		"POST /2 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
		"2;ext=1\r\nde\r\n1\r\nf\r\n0\r\nTrailer: x\r\n\r\n"
		"HEAD /3 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\nGET /4 HTTP/1.1\r\n");
	assert_true(span_is(next_request(s)->body, "abc"));
	assert_false(http_server_next_event(s, &event)); /* not before the first is answered */
	assert_true(http_server_full(s));
	respond(s, 200, "1");
	assert_true(span_is(next_request(s)->body, "def"));
	respond(s, 204, "");
	assert_string_equal(next_request(s)->path, "/3");
	respond(s, 200, "12345");
	assert_output(s, "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n1"
			 "HTTP/1.1 204 No Content\r\n\r\n"
			 "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\n");
	assert_closed(s, 0);
	http_server_destroy(s);
}

/* Each is a request that two parsers could read differently, or is plainly wrong. */
static const struct {
	const char *input;
	unsigned status;
} refused[] = {
	/* smuggling: RFC 9112 §11.2 */
	{ "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nTransfer-Encoding: "
	  "chunked\r\n\r\n"
	  "0\r\n\r\n",
	  400 },
	{ "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Length: "
	  "4\r\n\r\n"
	  "0\r\n\r\n",
	  400 },
	{ "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nContent-Length: "
	  "5\r\n\r\nabcde",
	  400 },
	{ "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nContent-Length: "
	  "4\r\n\r\nabcd",
	  400 },
	{ "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4, 4\r\n\r\nabcd", 400 },
	{ "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: +4\r\n\r\nabcd", 400 },
	{ "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: -4\r\n\r\nabcd", 400 },
	{ "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0x4\r\n\r\nabcd", 400 },
	{ "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4 4\r\n\r\nabcd", 400 },
	{ "POST / HTTP/1.1\r\nHost: h\r\nContent-Length:\r\n\r\nabcd", 400 },
	{ "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 18446744073709551617\r\n\r\na", 400 },
	{ "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: identity\r\n\r\n", 400 },
	{ "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked, identity\r\n\r\n", 400 },
	{ "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501 },
	{ "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n"
	  "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	  400 },
	{ "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400 },
	{ "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding:\x0b"
	  "chunked\r\n\r\n0\r\n\r\n",
	  400 },
	{ "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400 },
	{ "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding\r\n : chunked\r\n\r\n0\r\n\r\n", 400 },
	{ "POST / HTTP/1.1\r\nHost: h\r\nContent-Length : 4\r\n\r\nabcd", 400 },
	{ "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400 },
	/* line ends, folding */
	{ "GET / HTTP/1.1\r\nHost: h\r\nX: a\r\n b\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\nHost: h\r\nX: a\r\n\tb\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\n Host: h\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\nHost: h\n\n", 400 },
	{ "GET / HTTP/1.1\r\nHost: h\nX: 1\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\nHost: h\r\n\n", 400 },
	{ "GET / HTTP/1.1\r\nHost: h\r\nX: a\rb\r\n\r\n", 400 },
	{ "\n", 400 },
	{ "\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", 400 },
	/* fields */
	{ "GET / HTTP/1.1\r\nHost: h\r\nA B: 1\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\nHost: h\r\n: 1\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\nHost: h\r\nnocolon\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\nHost: h\r\nX: \x01\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", 400 },
	{ "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nExpect: wonders\r\n\r\n", 417 },
	/* request line */
	{ "GET  / HTTP/1.1\r\nHost: h\r\n\r\n", 400 },
	{ "GET / HTTP/1.1 \r\nHost: h\r\n\r\n", 400 },
	{ "GET /a b HTTP/1.1\r\nHost: h\r\n\r\n", 400 },
	{ "GET\t/ HTTP/1.1\r\nHost: h\r\n\r\n", 400 },
	{ "GET /\r\n\r\n", 400 },
	{ "get / HTTP/1.1\r\nHost: h\r\n\r\n", 501 },
	{ "BREW / HTTP/1.1\r\nHost: h\r\n\r\n", 501 },
	{ "TRACE / HTTP/1.1\r\nHost: h\r\n\r\n", 501 },
	{ "CONNECT h:443 HTTP/1.1\r\nHost: h\r\n\r\n", 501 },
	{ "GET / HTTP/2.0\r\nHost: h\r\n\r\n", 505 },
	{ "GET / HTTP/0.9\r\nHost: h\r\n\r\n", 505 },
	{ "GET / HTTP/1.9\r\nHost: h\r\n\r\n", 505 },
	/* targets */
	{ "GET /a/../b HTTP/1.1\r\nHost: h\r\n\r\n", 400 },
	{ "GET /a/%2e%2e/b HTTP/1.1\r\nHost: h\r\n\r\n", 400 },
	{ "GET /.. HTTP/1.1\r\nHost: h\r\n\r\n", 400 },
	{ "GET /a/./b HTTP/1.1\r\nHost: h\r\n\r\n", 400 },
	{ "GET //b HTTP/1.1\r\nHost: h\r\n\r\n", 400 },
	{ "GET /a%2Fb HTTP/1.1\r\nHost: h\r\n\r\n", 400 },
	{ "GET /a%5Cb HTTP/1.1\r\nHost: h\r\n\r\n", 400 },
	{ "GET /a%00 HTTP/1.1\r\nHost: h\r\n\r\n", 400 },
	{ "GET /a%0a HTTP/1.1\r\nHost: h\r\n\r\n", 400 },
	{ "GET /%ff HTTP/1.1\r\nHost: h\r\n\r\n", 400 },
	{ "GET /%4 HTTP/1.1\r\nHost: h\r\n\r\n", 400 },
	{ "GET /%zz HTTP/1.1\r\nHost: h\r\n\r\n", 400 },
	{ "GET /#x HTTP/1.1\r\nHost: h\r\n\r\n", 400 },
	{ "GET * HTTP/1.1\r\nHost: h\r\n\r\n", 400 },
	{ "GET h:80 HTTP/1.1\r\nHost: h\r\n\r\n", 400 },
	{ "GET http://u@h/ HTTP/1.1\r\nHost: h\r\n\r\n", 400 },
	/* chunks */
	{ "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", 400 },
	{ "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: "
	  "chunked\r\n\r\n1\nA\r\n0\r\n\r\n",
	  400 },
	{ "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: "
	  "chunked\r\n\r\n1\r\nAB\r\n0\r\n\r\n",
	  400 },
	{ "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
	  "11111111111111111\r\n",
	  400 },
	{ "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0x1\r\nA\r\n", 400 },
	{ "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n", 400 },
	/* limits */
	{ "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 65537\r\n\r\n", 413 },
	{ "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 65537\r\nExpect: "
	  "100-continue\r\n\r\n",
	  413 },
};

static void test_refused(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		struct http_server *s = new_server();
		struct http_server_event event;
		char expected[64];
		struct span out;

		feed(s, refused[i].input);
		if (!http_server_next_event(s, &event) || event.type != HTTP_SERVER_CLOSE)
			fail_msg("case %zu was taken: %s", i, refused[i].input);
		if (event.status != refused[i].status)
			fail_msg("case %zu: %u (%s), not %u: %s", i, event.status, event.reason,
				 refused[i].status, refused[i].input);
		out = http_server_output(s);
		snprintf(expected, sizeof(expected), "HTTP/1.1 %u ", refused[i].status);
		assert_true(out.len > strlen(expected));
		assert_memory_equal(out.ptr, expected, strlen(expected));
		http_server_destroy(s);
	}
}

static void feed_many(struct http_server *s, const char *piece, size_t times)
{
	struct http_server_event event;

	for (size_t i = 0; i < times; i++) {
		feed(s, piece);
		if (http_server_next_event(s, &event))
			fail_msg("event after %zu pieces: %u %s", i, event.status,
				 event.reason ? event.reason : "");
	}
}

static void test_limits(void **state)
{
	static char long_path[HTTP_TARGET_MAX + 64];
	struct http_server *s = new_server();

	memset(long_path, 'a', sizeof(long_path) - 1);
	feed(s, "GET /");
	feed(s, long_path);
	assert_closed(s, 414); /* before the end of the line */
	http_server_destroy(s);

	s = new_server();
	feed(s, "GET / HTTP/1.1\r\nHost: h\r\n");
	feed_many(s, "X: yyyyyyyyyyyy\r\n", HTTP_HEAD_MAX / 17 - 2);
	feed(s, "X: yyyyyyyyyyyy\r\nX: yyyyyyyyyyyy\r\n");
	assert_closed(s, 431);
	http_server_destroy(s);

	s = new_server();
	feed(s, "GET / HTTP/1.1\r\nHost: h\r\n");
	feed_many(s, "X: y\r\n", HTTP_FIELDS_MAX - 1);
	feed(s, "\r\n");
	assert_int_equal(next_request(s)->headers.count, HTTP_FIELDS_MAX);
	http_server_destroy(s);

	s = new_server();
	feed(s, "GET / HTTP/1.1\r\nHost: h\r\n");
	feed_many(s, "X: y\r\n", HTTP_FIELDS_MAX);
	feed(s, "\r\n");
	assert_closed(s, 431);
	http_server_destroy(s);

	s = new_server();
	feed(s, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
	feed_many(s, "400\r\n", 1);
	for (int i = 0; i < 64; i++) {
		char kib[1025] = { 0 };

		memset(kib, 'x', 1024);
		feed_many(s, kib, 1);
		feed_many(s, "\r\n400\r\n", 1);
	}
	feed(s, "x");
	assert_closed(s, 413);
	http_server_destroy(s);

	s = new_server();
	feed(s, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1;");
	for (int i = 0; i < 40; i++) {
		struct http_server_event event;
		char kib[1025] = { 0 };

		memset(kib, 'x', 1024);
		feed(s, kib);
		if (http_server_next_event(s, &event)) {
			assert_int_equal(event.status, 431);
			http_server_destroy(s);
			return;
		}
	}
	fail_msg("endless chunk extension was taken");
}

static void test_split_everywhere(void **state)
{
	static const char text[] =
		"\r\nPOST /x?y HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello"
		"PUT /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: "
		"chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
		"GET / HTTP/1.1\r\nHost: h\r\n\r\n";

	for (size_t at = 0; at < sizeof(text); at++) {
		struct http_server *s = new_server();
		char seen[64] = "";

		for (int half = 0; half < 2; half++) {
			struct http_server_event e;
			struct span part = half ? span_of(text + at, sizeof(text) - 1 - at)
						: span_of(text, at);

			if (at == sizeof(text) - 1 && half)
				part.len = 0;
			assert_int_equal(http_server_input(s, 0, part), 0);
			while (http_server_next_event(s, &e)) {
				size_t n = strlen(seen);

				assert_int_equal(e.type, HTTP_SERVER_REQUEST);
				snprintf(seen + n, sizeof(seen) - n, "%s[%.*s]", e.request->path,
					 (int)e.request->body.len,
					 (const char *)e.request->body.ptr);
				respond(s, 200, "");
			}
		}
		assert_string_equal(seen, "/x[hello]/c[abc]/[]");
		http_server_destroy(s);
	}
}

static void test_byte_by_byte(void **state)
{
	static const char text[] = "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n"
				   "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
	struct http_server *s = new_server();
	struct http_server_event e;
	bool seen = false;

	for (size_t i = 0; i < sizeof(text) - 1; i++) {
		assert_int_equal(http_server_input(s, 0, span_of(text + i, 1)), 0);
		while (http_server_next_event(s, &e))
			seen = span_is(e.request->body, "abc");
	}
	assert_true(seen);
	assert_output(s, "HTTP/1.1 100 Continue\r\n\r\n");
	http_server_destroy(s);
}

static void test_timeouts(void **state)
{
	struct http_server *s = new_server();

	assert_int_equal(http_server_deadline(s), 10 * SEC);
	http_server_timeout(s, 9 * SEC);
	assert_int_equal(http_server_input(s, 9 * SEC, span_str("GET ")), 0);
	assert_int_equal(http_server_deadline(s), 19 * SEC);
	assert_int_equal(http_server_input(s, 18 * SEC, span_str("/ HTTP/1.1\r\n")), 0);
	assert_int_equal(http_server_deadline(s), 19 * SEC); /* slow bytes win no time */
	http_server_timeout(s, 19 * SEC);
	assert_closed(s, 408);
	http_server_destroy(s);

	s = new_server();
	feed(s, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nab");
	assert_false(http_server_next_event(s, &(struct http_server_event){ 0 }));
	assert_int_equal(http_server_deadline(s), 30 * SEC);
	http_server_timeout(s, 30 * SEC);
	assert_closed(s, 408);
	http_server_destroy(s);

	s = new_server();
	feed(s, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
	next_request(s);
	assert_int_equal(http_server_deadline(s), USEC_NEVER);
	assert_int_equal(http_server_respond(s, 5 * SEC, 200, NULL, 0, span_str("")), 0);
	assert_int_equal(http_server_deadline(s), 65 * SEC);
	http_server_sent(s, http_server_output(s).len);
	http_server_timeout(s, 65 * SEC);
	assert_closed(s, 0);
	assert_int_equal(http_server_output(s).len, 0); /* nobody asked: no 408 */
	http_server_destroy(s);
}

static void test_ask_body(void **state)
{
	const struct http_server_config config = { .ask_body = true };
	struct http_server *s = http_server_create(&config, 0);
	struct http_server_event e;

	feed(s, "PUT /blob HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\nExpect: "
		"100-continue\r\n\r\n");
	assert_true(http_server_next_event(s, &e));
	assert_int_equal(e.type, HTTP_SERVER_HEAD);
	assert_output(s, "");
	assert_int_equal(http_server_read_body(s, 0, 200000), 0);
	assert_int_equal(http_server_read_body(s, 0, 200000), FL_ESTATE);
	assert_output(s, "HTTP/1.1 100 Continue\r\n\r\n");
	for (int i = 0; i < 1000; i++) {
		assert_false(http_server_next_event(s, &e));
		assert_int_equal(http_server_input(s, 0, span_of((char[100]){ 0 }, 100)), 0);
	}
	assert_int_equal(next_request(s)->body.len, 100000);
	respond(s, 204, "");

	/* refused without reading: the connection cannot go on */
	http_server_sent(s, http_server_output(s).len);
	feed(s, "PUT /blob HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n0123456789");
	assert_true(http_server_next_event(s, &e));
	assert_int_equal(e.type, HTTP_SERVER_HEAD);
	respond(s, 403, "no");
	assert_output(s,
		      "HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno");
	assert_closed(s, 0);
	http_server_destroy(s);
}

static void test_streamed_answer(void **state)
{
	struct http_server *s = new_server();

	feed(s, "GET /1 HTTP/1.1\r\nHost: h\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\n"
		"GET /3 HTTP/1.0\r\n\r\n");
	next_request(s);
	assert_int_equal(http_server_start(s, 0, 200, NULL, 0, 5), 0);
	assert_int_equal(http_server_write(s, 0, span_str("hel")), 0);
	assert_int_equal(http_server_write(s, 0, span_str("lo!")), FL_EMALFORMED);
	assert_int_equal(http_server_write(s, 0, span_str("lo")), 0);
	assert_int_equal(http_server_end(s, 0), 0);
	next_request(s);
	assert_int_equal(http_server_start(s, 0, 200, NULL, 0, HTTP_LENGTH_UNKNOWN), 0);
	assert_int_equal(http_server_write(s, 0, span_str("0123456789abcdef")), 0);
	assert_int_equal(http_server_write(s, 0, span_str("")), 0); /* would end it */
	assert_int_equal(http_server_end(s, 0), 0);
	next_request(s);
	assert_int_equal(http_server_start(s, 0, 200, NULL, 0, HTTP_LENGTH_UNKNOWN), 0);
	assert_int_equal(http_server_write(s, 0, span_str("x")), 0);
	assert_int_equal(http_server_end(s, 0), 0);
	assert_output(s, "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"
			 "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
			 "10\r\n0123456789abcdef\r\n0\r\n\r\n"
			 "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nx");
	assert_closed(s, 0);
	http_server_destroy(s);
}

static void test_answer_cut_short(void **state)
{
	struct http_server *s = new_server();

	feed(s, "GET /1 HTTP/1.1\r\nHost: h\r\n\r\n");
	next_request(s);
	assert_int_equal(http_server_start(s, 0, 200, NULL, 0, 5), 0);
	assert_int_equal(http_server_write(s, 0, span_str("hel")), 0);
	assert_int_equal(http_server_end(s, 0), FL_EMALFORMED);
	assert_closed(s, 0);
	http_server_destroy(s);
}

/* A value from outside cannot add a field or end the head; a failed answer leaves no trace. */
static void test_answer_injection(void **state)
{
	static const struct http_field bad[] = {
		{ "x", "a\r\nset-cookie: b" },
		{ "x", "a\nb" },
		{ "x y", "a" },
		{ "", "a" },
		{ "Content-Length", "1" },
		{ "x:", "a" },
		{ "connection", "close" },
		{ "transfer-encoding", "chunked" },
	};
	struct http_server *s = new_server();
	struct http_server_config small = { .out_max = 100 };

	feed(s, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
	next_request(s);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(http_server_respond(s, 0, 200, &bad[i], 1, span_str("")),
				 FL_EMALFORMED);
	respond(s, 200, "ok");
	assert_output(s, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
	http_server_destroy(s);

	s = http_server_create(&small, 0);
	feed(s, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
	next_request(s);
	assert_int_equal(http_server_respond(s, 0, 200, NULL, 0, span_of((char[100]){ 0 }, 100)),
			 FL_EQUOTA);
	assert_int_equal(http_server_output(s).len, 0);
	respond(s, 500, "");
	http_server_destroy(s);
}

static void test_upgrade(void **state)
{
	static const char ask[] =
		"GET /ws HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, Upgrade\r\n"
		"Upgrade: websocket\r\n\r\n";
	const struct http_field fields[] = { { "upgrade", "websocket" } };
	struct http_server *s = new_server();
	const struct http_request *r;

	feed(s, ask);
	feed(s, "\x81\x01x");
	r = next_request(s);
	assert_true(r->upgrade);
	assert_int_equal(http_server_upgrade(s, 0, fields, 1), 0);
	assert_output(s, "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n"
			 "connection: Upgrade\r\n\r\n");
	assert_true(span_is(http_server_rest(s), "\x81\x01x"));
	assert_int_equal(http_server_deadline(s), USEC_NEVER);
	http_server_destroy(s);

	/* refused: HTTP goes on */
	s = new_server();
	feed(s, ask);
	feed(s, "GET /next HTTP/1.1\r\nHost: h\r\n\r\n");
	next_request(s);
	respond(s, 401, "");
	r = next_request(s);
	assert_string_equal(r->path, "/next");
	assert_false(r->upgrade);
	assert_int_equal(http_server_upgrade(s, 0, fields, 1), FL_ESTATE);
	respond(s, 200, "");
	http_server_destroy(s);
}

static void test_target_forms(void **state)
{
	struct http_server *s = new_server();
	const struct http_request *r;

	feed(s, "GET http://other:80/p?q HTTP/1.1\r\nHost: h\r\n\r\n"
		"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n"
		"GET https://other?q HTTP/1.1\r\nHost: h\r\n\r\n"
		"GET /dir/ HTTP/1.1\r\nHost: [::1]:80\r\n\r\n");
	r = next_request(s);
	assert_string_equal(r->path, "/p");
	assert_true(span_is(r->query, "q"));
	assert_true(span_is(r->host, "other:80"));
	respond(s, 200, "");
	r = next_request(s);
	assert_string_equal(r->path, "*");
	respond(s, 200, "");
	r = next_request(s);
	assert_string_equal(r->path, "/");
	assert_true(span_is(r->query, "q"));
	respond(s, 200, "");
	assert_string_equal(next_request(s)->path, "/dir/");
	http_server_destroy(s);
}

static void test_shutdown(void **state)
{
	struct http_server *s = new_server();

	http_server_close(s, 0);
	assert_closed(s, 0);
	http_server_destroy(s);

	s = new_server();
	feed(s, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
	next_request(s);
	http_server_close(s, 0);
	respond(s, 200, "");
	assert_output(s, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
	assert_closed(s, 0);
	http_server_destroy(s);
}

static void test_http_1_0(void **state)
{
	struct http_server *s = new_server();

	feed(s, "GET /1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /2 HTTP/1.0\r\n\r\n");
	assert_true(next_request(s)->keep_alive);
	respond(s, 200, "");
	assert_false(next_request(s)->keep_alive);
	respond(s, 200, "");
	assert_output(s, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: keep-alive\r\n\r\n"
			 "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
	assert_closed(s, 0);
	http_server_destroy(s);
}

static void test_pipeline_quota(void **state)
{
	const struct http_server_config config = { .pipeline_max = 100 };
	struct http_server *s = http_server_create(&config, 0);
	static const uint8_t zeros[101];

	feed(s, "GET /1 HTTP/1.0\r\n\r\n");
	next_request(s);
	assert_int_equal(http_server_input(s, 0, span_of(zeros, 101)), FL_EQUOTA);
	http_server_destroy(s);
	http_server_destroy(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_get),
		TEST(test_pipeline_in_order),
		TEST(test_refused),
		TEST(test_limits),
		TEST(test_split_everywhere),
		TEST(test_byte_by_byte),
		TEST(test_timeouts),
		TEST(test_ask_body),
		TEST(test_streamed_answer),
		TEST(test_answer_cut_short),
		TEST(test_answer_injection),
		TEST(test_upgrade),
		TEST(test_target_forms),
		TEST(test_shutdown),
		TEST(test_http_1_0),
		TEST(test_pipeline_quota),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
