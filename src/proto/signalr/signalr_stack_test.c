/*
 * The three cores on top of each other, both ends in memory: an example of the glue that hub and
 * client write around a socket, and a test that the pieces fit.
 */
#include "test.h"

#include "proto/signalr/signalr.h"
#include "proto/ws/ws.h"

/* One end of a connection. http is gone once ws is there. */
struct end {
	struct http_server *server; /* the hub's end */
	struct http_client *client; /* the client's end */
	char key[WS_KEY_LEN];
	struct ws *ws;
	struct signalr *signalr;
	struct rng *rng;
	struct buf wire; /* bytes under way to the other end */
	bool closing;
	char seen[512];
};

static void note(struct end *end, const char *text)
{
	size_t n = strlen(end->seen);

	snprintf(end->seen + n, sizeof(end->seen) - n, "%s ", text);
}

static void to_wire(struct end *end, struct span out)
{
	assert_int_equal(buf_append_span(&end->wire, out), 0);
}

static void on_signalr(struct end *end, usec_t now, const struct signalr_event *e)
{
	uint64_t call;

	switch (e->type) {
	case SIGNALR_CONNECTED:
		note(end, "connected");
		if (end->server || !end->client)
			assert_int_equal(signalr_send(end->signalr, now, "challenge", NULL), 0);
		break;
	case SIGNALR_INVOCATION:
		note(end, e->target);
		if (strcmp(e->target, "challenge") == 0)
			assert_int_equal(signalr_invoke(end->signalr, now, "Prove", NULL, &call),
					 0);
		assert_int_equal(signalr_complete(end->signalr, now, e->invocation_id, e->args), 0);
		break;
	case SIGNALR_COMPLETION:
		note(end, e->error ? e->error : "completed");
		signalr_close(end->signalr, now, NULL, false);
		end->closing = true;
		break;
	case SIGNALR_CLOSED:
		note(end, "closed");
		end->closing = true;
		break;
	}
}

/* SignalR's events, then its text into WebSocket messages, only then the closing frame. */
static void pump_signalr(struct end *end, usec_t now)
{
	struct signalr_event e;
	struct span text;

	while (signalr_next_event(end->signalr, &e))
		on_signalr(end, now, &e);
	while (signalr_next_output(end->signalr, &text))
		(void)!ws_send_text(end->ws, text); /* fails when ws is closing already */
	if (end->closing)
		ws_close(end->ws, now, WS_CODE_NORMAL, NULL);
	to_wire(end, ws_output(end->ws));
	ws_sent(end->ws, ws_output(end->ws).len);
}

static void pump_ws(struct end *end, usec_t now, struct span in)
{
	struct ws_event e;

	assert_int_equal(ws_input(end->ws, now, in), 0);
	while (ws_next_event(end->ws, &e))
		if (e.type == WS_EVENT_TEXT) {
			assert_int_equal(signalr_input(end->signalr, now, e.data), 0);
			pump_signalr(end, now); /* each message before the next is parsed */
		} else if (e.type == WS_EVENT_CLOSED) {
			note(end, e.code == WS_CODE_NORMAL ? "ws-closed" : "ws-failed");
		}
	pump_signalr(end, now);
}

static void start_ws(struct end *end, usec_t now, bool server, struct span rest)
{
	const struct ws_config ws = { .role = server ? WS_SERVER : WS_CLIENT };
	const struct signalr_config signalr = {
		.role = server ? SIGNALR_SERVER : SIGNALR_CLIENT,
	};

	end->ws = ws_create(&ws, end->rng);
	end->signalr = signalr_create(&signalr, now);
	assert_true(end->ws && end->signalr);
	pump_ws(end, now, rest);
}

static void pump_server(struct end *end, usec_t now, struct span in)
{
	struct http_server_event e;
	struct http_field fields[3];
	struct ws_offer offer;
	bool upgraded = false;

	assert_int_equal(http_server_input(end->server, now, in), 0);
	while (!upgraded && http_server_next_event(end->server, &e)) {
		assert_int_equal(e.type, HTTP_SERVER_REQUEST);
		assert_string_equal(e.request->path, "/endpoint");
		assert_int_equal(ws_server_check(e.request, NULL, &offer), 0);
		assert_int_equal(http_server_upgrade(end->server, now, fields,
						     ws_server_fields(&offer, fields)),
				 0);
		upgraded = true;
	}
	to_wire(end, http_server_output(end->server));
	http_server_sent(end->server, http_server_output(end->server).len);
	if (upgraded) {
		start_ws(end, now, true, http_server_rest(end->server));
		http_server_destroy(end->server);
		end->server = NULL;
	}
}

static void pump_client(struct end *end, usec_t now, struct span in)
{
	struct http_client_event e;

	assert_int_equal(http_client_input(end->client, now, in), 0);
	if (!http_client_next_event(end->client, &e))
		return;
	assert_int_equal(e.type, HTTP_CLIENT_RESPONSE);
	assert_int_equal(ws_client_check(e.response, end->key, NULL), 0);
	start_ws(end, now, false, http_client_rest(end->client));
}

static void begin_client(struct end *end)
{
	struct http_field fields[4];
	struct http_client_request request = { .method = "GET",
					       .target = "/endpoint",
					       .host = "hub:8443",
					       .fields = fields,
					       .upgrade = true };

	ws_client_key(end->rng, end->key);
	request.field_count = ws_client_fields(end->key, NULL, fields);
	assert_int_equal(http_client_request(end->client, 0, &request), 0);
	to_wire(end, http_client_output(end->client));
	http_client_sent(end->client, http_client_output(end->client).len);
}

/* Moves up to step bytes; false when nothing was under way. */
static bool carry(struct end *from, struct end *to, size_t step)
{
	struct span in = buf_span(&from->wire);

	in.len = FL_MIN(in.len, step);
	if (in.len == 0)
		return false;
	if (to->ws)
		pump_ws(to, 0, in);
	else if (to->server)
		pump_server(to, 0, in);
	else
		pump_client(to, 0, in);
	buf_consume(&from->wire, in.len);
	return true;
}

static void end_finish(struct end *end)
{
	http_server_destroy(end->server);
	http_client_destroy(end->client);
	ws_destroy(end->ws);
	signalr_destroy(end->signalr);
	buf_finish(&end->wire);
}

static void run(size_t step)
{
	struct rng rng;
	struct end hub = { .rng = &rng, .wire = BUF_INIT(100000) };
	struct end client = { .rng = &rng, .wire = BUF_INIT(100000) };

	rng_seed(&rng, step);
	hub.server = http_server_create(&(struct http_server_config){ 0 }, 0);
	client.client = http_client_create(&(struct http_client_config){ 0 });
	begin_client(&client);
	while (carry(&client, &hub, step) | carry(&hub, &client, step))
		;
	assert_string_equal(hub.seen, "connected Prove closed ws-closed ");
	assert_string_equal(client.seen, "connected challenge completed ws-closed ");
	end_finish(&hub);
	end_finish(&client);
}

static void test_whole_stack(void **state)
{
	for (size_t step = 1; step < 400; step++)
		run(step);
}

int main(void)
{
	const struct CMUnitTest tests[] = { TEST(test_whole_stack) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
