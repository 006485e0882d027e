/*
 * http, ws and signalr when memory runs out: every allocation in turn fails, once alone and once
 * with all that follow. What the calls answer does not matter here; nothing may crash or leak (the
 * sanitizer build looks for that).
 */
#include "test.h"

#include "proto/signalr/signalr.h"
#include "proto/ws/ws.h"

#define ALLOCATIONS_MAX 1000 /* more than a run makes */

static long left = -1; /* allocations that still succeed; -1: all */
static bool ever_after;
static bool failed_one;

static bool fails(void)
{
	if (left < 0)
		return false;
	if (left > 0) {
		left--;
		return false;
	}
	failed_one = true;
	if (!ever_after)
		left = -1;
	return true;
}

/* The linker puts these in place of the C library's (--wrap).
 * NOLINTBEGIN(bugprone-reserved-identifier) */
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *ptr, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *ptr, size_t size);

void *__wrap_malloc(size_t size)
{
	return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
	return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *ptr, size_t size)
{
	return fails() ? NULL : __real_realloc(ptr, size);
}
/* NOLINTEND(bugprone-reserved-identifier) */

/* False: neither an answer nor an excuse could be queued. */
static bool answer(struct http_server *s, const struct http_request *r)
{
	struct http_field fields[3];
	struct ws_offer offer;

	if (ws_server_check(r, NULL, &offer) == 0)
		return http_server_upgrade(s, 0, fields, ws_server_fields(&offer, fields)) == 0;
	if (http_server_respond(s, 0, 200, NULL, 0, r->body) == 0)
		return true;
	if (http_server_start(s, 0, 500, NULL, 0, HTTP_LENGTH_UNKNOWN) < 0)
		return false;
	(void)!http_server_write(s, 0, span_str("ab"));
	return http_server_end(s, 0) == 0;
}

static void run_server(void)
{
	struct http_server *s = http_server_create(&(struct http_server_config){ 0 }, 0);
	struct http_server_event e;

	if (!s)
		return;
	(void)!http_server_input(s, 0,
				 span_str("POST /x HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n"
					  "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
					  "GET /ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\n"
					  "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
					  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"));
	while (http_server_next_event(s, &e))
		if (e.type == HTTP_SERVER_REQUEST && !answer(s, e.request))
			break;
	http_server_destroy(s);
}

static void run_client(void)
{
	static const struct http_client_request get = { .method = "GET",
							.target = "/",
							.host = "h" };
	struct http_client *c = http_client_create(&(struct http_client_config){ 0 });
	struct http_client_event e;

	if (c && http_client_request(c, 0, &get) == 0) {
		(void)!http_client_input(c, 0,
					 span_str("HTTP/1.1 200 OK\r\nA: b\r\nTransfer-Encoding: "
						  "chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"));
		while (http_client_next_event(c, &e))
			;
	}
	http_client_destroy(c);
}

static void run_ws(void)
{
	static const uint8_t big[5000];
	static const char fragments[] = "\x01\x81\0\0\0\0x\x80\x81\0\0\0\0y\x89\x80\0\0\0\0";
	struct rng rng;
	struct ws *client, *server;
	struct ws_event e;

	rng_seed(&rng, 1);
	client = ws_create(&(struct ws_config){ .role = WS_CLIENT }, &rng);
	server = ws_create(&(struct ws_config){ .role = WS_SERVER }, NULL);
	if (client && server) {
		(void)!ws_send_text(client, span_str("hi"));
		(void)!ws_send_binary(client, span_of(big, sizeof(big)));
		(void)!ws_input(server, 0, ws_output(client));
		(void)!ws_input(server, 0, span_of(fragments, sizeof(fragments) - 1));
		while (ws_next_event(server, &e))
			if (e.type == WS_EVENT_BINARY)
				(void)!ws_send_binary(server, e.data);
		ws_close(server, 0, WS_CODE_NORMAL, "x");
	}
	ws_destroy(client);
	ws_destroy(server);
}

static void run_signalr(enum signalr_role role, const char *hello)
{
	struct signalr *s = signalr_create(&(struct signalr_config){ .role = role }, 0);
	struct signalr_event e;
	struct span out;
	uint64_t call;

	if (!s)
		return;
	(void)!signalr_input(s, 0, span_str(hello));
	(void)!signalr_input(
		s, 0,
		span_str("{\"type\":1,\"target\":\"x\",\"arguments\":[{\"a\":1}],\"invocationId\":"
			 "\"1\"}"
			 "\x1e{\"type\":4,\"target\":\"x\",\"arguments\":[],\"invocationId\":\"1\"}"
			 "\x1e{\"type\":3,\"invocationId\":\"1\",\"result\":1}\x1e{\"type\":3}"
			 "\x1e"));
	while (signalr_next_event(s, &e)) {
		if (e.type == SIGNALR_CONNECTED)
			(void)!signalr_invoke(s, 0, "y", NULL, &call);
		if (e.type == SIGNALR_INVOCATION)
			(void)!signalr_complete(s, 0, e.invocation_id, e.args);
	}
	while (signalr_next_output(s, &out))
		;
	signalr_close(s, 0, "x", true);
	signalr_destroy(s);
}

static void run_all(void)
{
	run_server();
	run_client();
	run_ws();
	run_signalr(SIGNALR_SERVER, "{\"protocol\":\"json\",\"version\":1}\x1e");
	run_signalr(SIGNALR_CLIENT, "{}\x1e");
}

static void test_each_allocation_fails(void **state)
{
	long n = 0;

	ever_after = *(bool *)*state;
	do {
		failed_one = false;
		left = n++;
		run_all();
		left = -1;
	} while (failed_one && n < ALLOCATIONS_MAX);
	assert_in_range(n, 50,
			ALLOCATIONS_MAX - 1); /* the wrappers were in place, and all were met */
}

int main(void)
{
	static bool once = false, always = true;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_prestate(test_each_allocation_fails, &once),
		cmocka_unit_test_prestate(test_each_allocation_fails, &always),
	};

	/* jansson is a shared library: the linker's wrapping does not reach into it */
	json_set_alloc_funcs(__wrap_malloc, free);
	run_all(); /* what is allocated once and kept */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
