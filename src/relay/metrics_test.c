#include "test.h"

#include "relay/metrics.h"

/* Every figure another number, so that none can stand for another. */
static void fill(struct relay_snapshot *s)
{
	uint64_t n = 1000;

	for (int t = 0; t < TURN_TRANSPORTS; t++) {
		s->up[t] = (struct relay_flow_count){ n + 1, n + 2 };
		s->down[t] = (struct relay_flow_count){ n + 3, n + 4 };
		s->clients[t] = n + 5;
		s->allocations[t] = n + 6;
		n += 10;
	}
	s->offloaded_up = (struct relay_flow_count){ 2001, 2002 };
	s->offloaded_down = (struct relay_flow_count){ 2003, 2004 };
	s->over_quota = 2005;
	s->send_errors = 2006;
	s->handshakes_failed = 2007;
	s->ports_free = 2008;
	s->workers = 2009;
	s->turn.allocated = 3001;
	s->turn.refreshed = 3002;
	s->turn.bindings = 3003;
	s->turn.malformed = 3004;
	s->turn.unanswered = 3005;
	s->turn.no_permission = 3006;
	s->turn.no_allocation = 3007;
	for (int i = 0; i < TURN_CLOSE_REASONS; i++)
		s->turn.closed[i] = 4000u + (unsigned)i;
	for (unsigned i = 0; i < ARRAY_LEN(s->turn.requests); i++)
		s->turn.requests[i] = 5000 + i;
	for (unsigned i = 0; i < ARRAY_LEN(s->turn.errors); i++)
		s->turn.errors[i] = 6000 + i;
}

static char *text_of(const struct metrics_facts *facts)
{
	static struct relay_snapshot s;
	struct buf b = BUF_INIT(METRICS_TEXT_MAX);
	char *text;

	fill(&s);
	assert_int_equal(metrics_text(&s, facts, &b), 0);
	text = buf_steal_string(&b);
	assert_non_null(text);
	return text;
}

static void expect(const char *text, const char *line)
{
	char whole[256];

	snprintf(whole, sizeof(whole), "\nfairlead_relay_%s\n", line);
	if (!strstr(text, whole))
		fail_msg("there is no line %s", line);
}

static void test_every_figure(void **state)
{
	static const char *const lines[] = {
		"start_time_seconds 99",
		"workers 2009",
		"draining 0",
		"reloads_total{result=\"ok\"} 7",
		"reloads_total{result=\"failed\"} 8",
		"config_last_reload_successful 1",
		"certificate_expires_seconds 1234567890",
		"allocations{transport=\"udp\"} 1006",
		"allocations{transport=\"wss\"} 1046",
		"clients{transport=\"tcp\"} 1015",
		"allocations_created_total 3001",
		"allocations_refreshed_total 3002",
		"allocations_closed_total{reason=\"not_refreshed\"} 4000",
		"allocations_closed_total{reason=\"by_client\"} 4001",
		"allocations_closed_total{reason=\"credentials\"} 4002",
		"allocations_closed_total{reason=\"connection_ended\"} 4003",
		"ports_free 2008",
		"relayed_packets_total{transport=\"udp\",direction=\"up\"} 1001",
		"relayed_bytes_total{transport=\"tls\",direction=\"up\"} 1022",
		"relayed_packets_total{transport=\"dtls\",direction=\"down\"} 1033",
		"relayed_bytes_total{transport=\"wss\",direction=\"down\"} 1044",
		"offloaded_packets_total{direction=\"up\"} 2001",
		"offloaded_bytes_total{direction=\"up\"} 2002",
		"offloaded_packets_total{direction=\"down\"} 2003",
		"offloaded_bytes_total{direction=\"down\"} 2004",
		"bindings_total 3003",
		"requests_total{method=\"allocate\"} 5003",
		"requests_total{method=\"refresh\"} 5004",
		"requests_total{method=\"create_permission\"} 5008",
		"requests_total{method=\"channel_bind\"} 5009",
		"requests_total{method=\"connect\"} 5010",
		"requests_total{method=\"connection_bind\"} 5011",
		"errors_total{kind=\"bad_request\"} 6000",
		"errors_total{kind=\"unauthenticated\"} 6001",
		"errors_total{kind=\"stale_nonce\"} 6002",
		"errors_total{kind=\"forbidden_peer\"} 6003",
		"errors_total{kind=\"quota\"} 6004",
		"errors_total{kind=\"capacity\"} 6005",
		"errors_total{kind=\"family\"} 6006",
		"errors_total{kind=\"mismatch\"} 6007",
		"dropped_total{reason=\"malformed\"} 3004",
		"dropped_total{reason=\"rate_limit\"} 3005",
		"dropped_total{reason=\"no_permission\"} 3006",
		"dropped_total{reason=\"no_allocation\"} 3007",
		"dropped_total{reason=\"over_quota\"} 2005",
		"dropped_total{reason=\"send_error\"} 2006",
		"handshakes_failed_total 2007",
	};
	const struct metrics_facts facts = { .started_s = 99,
					     .certificate_until_s = 1234567890,
					     .reloads = 7,
					     .reload_failures = 8 };
	char *text = text_of(&facts);

	for (size_t i = 0; i < ARRAY_LEN(lines); i++)
		expect(text, lines[i]);
	free(text);
}

static void test_states(void **state)
{
	const struct metrics_facts facts = { .draining = true, .reload_failed = true };
	char *text = text_of(&facts);

	expect(text, "draining 1");
	expect(text, "config_last_reload_successful 0");
	assert_null(strstr(text, "certificate_expires"));
	free(text);
}

static void test_too_little_room(void **state)
{
	const struct metrics_facts facts = { 0 };
	struct relay_snapshot *s = calloc(1, sizeof(*s));
	struct buf b = BUF_INIT(1000);

	assert_non_null(s);
	assert_true(metrics_text(s, &facts, &b) < 0);
	buf_finish(&b);
	free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_every_figure),
		TEST(test_states),
		TEST(test_too_little_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
