#include "test.h"

#include "base/err.h"
#include "proto/ws/ws.h"

static void test_accept(void **state)
{
	char out[WS_ACCEPT_LEN];

	/* RFC 6455 §1.3 */
	assert_int_equal(ws_accept_value(span_str("dGhlIHNhbXBsZSBub25jZQ=="), out), 0);
	assert_string_equal(out, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
	assert_int_equal(ws_accept_value(span_str("dGhlIHNhbXBsZSBub25jZQ"), out), FL_EMALFORMED);
	assert_int_equal(ws_accept_value(span_str("dGhlIHNhbXBsZSBub25jZSBu"), out), FL_EMALFORMED);
	assert_int_equal(ws_accept_value(span_of(NULL, 0), out), FL_EMALFORMED);
}

/* The request as the HTTP core sees it. */
static int check(const char *request, const char *const *protocols, struct ws_offer *offer)
{
	struct http_server *s = http_server_create(&(struct http_server_config){ 0 }, 0);
	struct http_server_event e;
	int r;

	assert_int_equal(http_server_input(s, 0, span_str(request)), 0);
	assert_true(http_server_next_event(s, &e));
	assert_int_equal(e.type, HTTP_SERVER_REQUEST);
	r = ws_server_check(e.request, protocols, offer);
	http_server_destroy(s);
	return r;
}

#define HEAD "GET /ws HTTP/1.1\r\nHost: h\r\n"
#define UPGRADE "Connection: Upgrade\r\nUpgrade: WebSocket\r\n"
#define VERSION "Sec-WebSocket-Version: 13\r\n"
#define KEY "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

static void test_server_check(void **state)
{
	static const struct {
		const char *request;
		int status;
	} cases[] = {
		{ HEAD UPGRADE VERSION KEY "\r\n", 0 },
		{ HEAD UPGRADE KEY "\r\n", 426 },
		{ HEAD UPGRADE KEY "Sec-WebSocket-Version: 8\r\n\r\n", 426 },
		{ HEAD VERSION KEY "\r\n", 426 },
		{ HEAD VERSION KEY "Upgrade: websocket\r\n\r\n", 426 },
		{ HEAD VERSION KEY "Connection: upgrade\r\nUpgrade: h2c\r\n\r\n", 426 },
		{ HEAD UPGRADE VERSION "\r\n", 400 },
		{ HEAD UPGRADE VERSION KEY KEY "\r\n", 400 },
		{ HEAD UPGRADE VERSION "Sec-WebSocket-Key: short\r\n\r\n", 400 },
		{ HEAD UPGRADE VERSION KEY "Content-Length: 1\r\n\r\nx", 400 },
		{ "POST /ws HTTP/1.1\r\nHost: h\r\n" UPGRADE VERSION KEY "\r\n", 405 },
		{ "GET /ws HTTP/1.0\r\n" UPGRADE VERSION KEY "\r\n", 426 },
	};
	struct ws_offer offer;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		if (check(cases[i].request, NULL, &offer) != cases[i].status)
			fail_msg("case %zu", i);
}

static void test_subprotocol(void **state)
{
	static const char *const ours[] = { "fairlead.2", "fairlead.1", NULL };
	struct ws_offer offer;
	struct http_field fields[3];

	assert_int_equal(check(HEAD UPGRADE VERSION KEY
			       "Sec-WebSocket-Protocol: x, fairlead.1\r\n"
			       "Sec-WebSocket-Protocol: fairlead.2\r\n\r\n",
			       ours, &offer),
			 0);
	assert_string_equal(offer.protocol, "fairlead.2");
	assert_int_equal(ws_server_fields(&offer, fields), 3);
	assert_string_equal(fields[2].value, "fairlead.2");
	assert_int_equal(
		check(HEAD UPGRADE VERSION KEY "Sec-WebSocket-Protocol: x\r\n\r\n", ours, &offer),
		0);
	assert_null(offer.protocol);
	assert_int_equal(ws_server_fields(&offer, fields), 2);
	assert_string_equal(fields[1].value, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

static int check_answer(const char *answer, const char *protocols)
{
	struct http_client *c = http_client_create(&(struct http_client_config){ 0 });
	const struct http_client_request ask = {
		.method = "GET", .target = "/", .host = "h", .upgrade = true
	};
	struct http_client_event e;
	int r;

	assert_int_equal(http_client_request(c, 0, &ask), 0);
	assert_int_equal(http_client_input(c, 0, span_str(answer)), 0);
	assert_true(http_client_next_event(c, &e));
	assert_int_equal(e.type, HTTP_CLIENT_RESPONSE);
	r = ws_client_check(e.response, "dGhlIHNhbXBsZSBub25jZQ==", protocols);
	http_client_destroy(c);
	return r;
}

#define ANSWER "HTTP/1.1 101 Switching Protocols\r\n"
#define ACCEPT "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"

static void test_client_check(void **state)
{
	assert_int_equal(check_answer(ANSWER UPGRADE ACCEPT "\r\n", NULL), 0);
	assert_int_equal(
		check_answer(ANSWER UPGRADE ACCEPT "Sec-WebSocket-Protocol: a\r\n\r\n", "b, a"), 0);
	assert_int_equal(
		check_answer(ANSWER UPGRADE ACCEPT "Sec-WebSocket-Protocol: a\r\n\r\n", "b"),
		FL_EMALFORMED);
	assert_int_equal(
		check_answer(ANSWER UPGRADE ACCEPT "Sec-WebSocket-Protocol: a\r\n\r\n", NULL),
		FL_EMALFORMED);
	assert_int_equal(
		check_answer(ANSWER UPGRADE ACCEPT "Sec-WebSocket-Extensions: x\r\n\r\n", NULL),
		FL_EMALFORMED);
	assert_int_equal(check_answer(ANSWER UPGRADE ACCEPT ACCEPT "\r\n", NULL), FL_EMALFORMED);
	assert_int_equal(check_answer(ANSWER UPGRADE "\r\n", NULL), FL_EMALFORMED);
	assert_int_equal(check_answer(ANSWER UPGRADE "Sec-WebSocket-Accept: "
						     "S3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
				      NULL),
			 FL_EMALFORMED);
	assert_int_equal(check_answer(ANSWER "Connection: Upgrade\r\nUpgrade: other\r\n" ACCEPT
					     "\r\n",
				      NULL),
			 FL_EMALFORMED);
	assert_int_equal(
		check_answer("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", NULL),
		FL_EUNSUPPORTED);
}

static void test_key(void **state)
{
	char a[WS_KEY_LEN], b[WS_KEY_LEN], accept[WS_ACCEPT_LEN];
	struct http_field fields[4];
	struct rng rng;

	rng_seed(&rng, 1);
	ws_client_key(&rng, a);
	ws_client_key(&rng, b);
	assert_string_not_equal(a, b);
	assert_int_equal(ws_accept_value(span_str(a), accept), 0);
	assert_int_equal(ws_client_fields(a, NULL, fields), 3);
	assert_int_equal(ws_client_fields(a, "x", fields), 4);
	assert_string_equal(fields[2].value, a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_accept),	 TEST(test_server_check), TEST(test_subprotocol),
		TEST(test_client_check), TEST(test_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
