/* What is said of a route is what the hub takes, whole and at its limits, and docs/protocol.md
 * §1.1. */
#include "test.h"

#include "hub/json/messages.h"
#include "hublink/route_json.h"

static struct fl_route route;

static json_t *message(void)
{
	json_t *json = route_json(&route);

	assert_non_null(json);
	return json_pack("{s:s, s:o}", "session", "s1", "route", json);
}

/* The hub keeps every word of it. */
static void assert_taken(void)
{
	char why[SCHEMA_WHY_MAX];
	json_t *said = message(), *taken = schema_take(message_route, said, why);

	assert_string_equal(why, "");
	assert_true(json_equal(said, taken));
	json_decref(said);
	json_decref(taken);
}

static struct fl_candidate candidate(enum fl_candidate_type type, uint16_t port)
{
	struct fl_candidate c = { .type = type, .port = port };

	snprintf(c.address, sizeof(c.address), "2001:db8::%x", port);
	return c;
}

static void fill(char *dst, size_t cap)
{
	memset(dst, 'x', cap - 1);
	dst[cap - 1] = 0;
}

/* Every list full, every text as long as it can be, every enum's last value. */
static void fill_route(void)
{
	route = (struct fl_route){ .method = FL_ROUTE_RELAYED,
				   .rtt_us = UINT32_MAX,
				   .setup_us = UINT32_MAX,
				   .relay_transport = "wss",
				   .n_tried = FL_ROUTE_PAIRS_MAX,
				   .n_candidates = FL_ROUTE_CANDIDATES_MAX,
				   .n_servers = FL_ROUTE_SERVERS_MAX,
				   .n_ignored = FL_ROUTE_IGNORED_MAX,
				   .mapping = FL_MAPPING_PORT,
				   .filtering = FL_FILTERING_PORT };
	fill(route.reason, sizeof(route.reason));
	for (size_t i = 0; i < FL_ROUTE_PAIRS_MAX; i++) {
		route.tried[i] = (struct fl_pair){ .local = candidate(i % 4, (uint16_t)i),
						   .remote = candidate(3 - i % 4, UINT16_MAX),
						   .tcp = i % 2,
						   .state = i % 5,
						   .sent = UINT32_MAX,
						   .answered = UINT32_MAX,
						   .received = UINT32_MAX,
						   .rtt_us = i ? UINT32_MAX : 0 };
		if (i)
			fill(route.tried[i].error, sizeof(route.tried[i].error));
	}
	route.pair = route.tried[0];
	for (size_t i = 0; i < FL_ROUTE_CANDIDATES_MAX; i++) {
		struct fl_found *f = &route.candidates[i];

		*f = (struct fl_found){ .remote = i % 2,
					.tcp = i % 3 == 0,
					.type = i % 4,
					.port = UINT16_MAX,
					.net = i % 5,
					.since_us = UINT32_MAX,
					.use = i % 5 };
		fill(f->address, sizeof(f->address));
		fill(f->origin, sizeof(f->origin));
		if (i)
			fill(f->why, sizeof(f->why));
	}
	for (size_t i = 0; i < FL_ROUTE_SERVERS_MAX; i++) {
		struct fl_server *s = &route.servers[i];

		*s = (struct fl_server){ .transport = "tls", .proxy = i % 2, .state = i % 6 };
		fill(s->url, sizeof(s->url));
		if (i % 2 == 0)
			continue;
		s->took_us = UINT32_MAX;
		s->code = UINT16_MAX;
		fill(s->mapped, sizeof(s->mapped));
		fill(s->error, sizeof(s->error));
	}
	for (size_t i = 0; i < FL_ROUTE_IGNORED_MAX; i++) {
		snprintf(route.ignored[i].word, sizeof(route.ignored[i].word), "word-%zu", i);
		route.ignored[i].count = UINT32_MAX;
	}
	fill(route.ignored[0].word, sizeof(route.ignored[0].word));
}

static void test_full(void **state)
{
	char *text;
	json_t *json;

	fill_route();
	assert_taken();
	json = message();
	text = json_dumps(json, JSON_COMPACT);
	assert_true(strlen(text) < 128 * 1024); /* of the 256 KiB of a message */
	free(text);
	json_decref(json);
}

static void test_none(void **state)
{
	json_t *json;

	route = (struct fl_route){ .method = FL_ROUTE_NONE, .reason = "No route: why." };
	assert_taken();
	json = route_json(&route);
	assert_string_equal(json_string_value(json_object_get(json, "method")), "none");
	assert_true(json_is_null(json_object_get(json, "pair")));
	assert_true(json_is_null(json_object_get(json, "rtt_ms")));
	assert_true(json_is_null(json_object_get(json, "setup_ms")));
	json_decref(json);
}

static const char *transport(bool tcp, const char *relay)
{
	route = (struct fl_route){ .method = FL_ROUTE_RELAYED, .pair.tcp = tcp };
	snprintf(route.relay_transport, sizeof(route.relay_transport), "%s", relay);
	return route_transport(&route);
}

/* How the packets leave this end: the way to our own relay, else what the ends speak. */
static void test_transport(void **state)
{
	assert_string_equal(transport(false, ""), "udp");
	assert_string_equal(transport(true, ""), "tcp");
	assert_string_equal(transport(false, "tls"), "tls");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_none),
		cmocka_unit_test(test_transport),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
