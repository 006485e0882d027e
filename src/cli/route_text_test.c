#include "test.h"

#include <stdlib.h>

#include "cli/route_text.h"

static struct fl_route route;

static char *text_of(const json_t *verdict, bool colour)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	assert_non_null(f);
	route_text(&route, verdict, colour, f);
	fclose(f);
	return text;
}

static void expect(const json_t *verdict, bool colour, const char *want)
{
	char *text = text_of(verdict, colour);

	if (!strstr(text, want))
		fail_msg("\"%s\" is not in\n%s", want, text);
	free(text);
}

static void fill(void)
{
	route = (struct fl_route){
		.method = FL_ROUTE_RELAYED,
		.rtt_us = 23100,
		.setup_us = 180000,
		.reason = "Relayed: through the relay.",
		.relay_transport = "tls",
		.pair = { .local = { FL_CANDIDATE_RELAY, "192.0.2.9", 49152 },
			  .remote = { FL_CANDIDATE_HOST, "2001:db8::5", 5000 } },
		.n_tried = 1,
		.n_candidates = 1,
		.n_servers = 2,
		.mapping = FL_MAPPING_PORT,
		.filtering = FL_FILTERING_UNKNOWN,
		.n_ignored = 1,
		.ignored = { { "malformed", 3 } },
	};
	route.tried[0] = (struct fl_pair){ .local = { FL_CANDIDATE_HOST, "10.0.0.4", 4000 },
					   .remote = { FL_CANDIDATE_HOST, "10.9.0.5", 5000 },
					   .state = FL_PAIR_FAILED,
					   .sent = 8,
					   .error = "not answered" };
	route.candidates[0] = (struct fl_found){ .type = FL_CANDIDATE_HOST,
						 .address = "10.0.0.4",
						 .port = 4000,
						 .origin = "eth0",
						 .net = FL_NET_PHYSICAL,
						 .since_us = 12345,
						 .use = FL_USE_TRIED,
						 .why = "not answered" };
	route.servers[0] = (struct fl_server){ .url = "turn:relay.example.org:3478",
					       .transport = "udp",
					       .state = FL_SERVER_REFUSED,
					       .code = 401,
					       .error = "wrong user name or password" };
	route.servers[1] = (struct fl_server){ .url = "stun:relay.example.org:3478",
					       .transport = "udp",
					       .state = FL_SERVER_ANSWERED,
					       .took_us = 2100,
					       .mapped = "198.51.100.4:40000" };
}

static void test_tables(void **state)
{
	fill();
	expect(NULL, false, "relayed  Relayed: through the relay.\n");
	expect(NULL, false,
	       "  relay 192.0.2.9:49152 - host [2001:db8::5]:5000 over tls, round trip 23 ms, set "
	       "up "
	       "in 180 ms\n");
	expect(NULL, false,
	       "\ncandidates\n  this end  host  10.0.0.4:4000  udp  eth0  physical  12.3 ms  "
	       "tried: not answered\n");
	expect(NULL, false,
	       "\npairs of addresses\n  fails  host 10.0.0.4:4000  host 10.9.0.5:5000  udp  8 "
	       "sent, 0 "
	       "answered, 0 received  not answered\n");
	route.tried[1] = (struct fl_pair){ .state = FL_PAIR_WAITING };
	route.n_tried = 2;
	expect(NULL, false, "not answered\n  and 1 more that it did not come to\n");
	expect(NULL, false,
	       "  turn:relay.example.org:3478  udp  refused            wrong user name or password "
	       "(401)\n");
	expect(NULL, false,
	       "  stun:relay.example.org:3478  udp  answered  2.10 ms  sees us as "
	       "198.51.100.4:40000\n");
	expect(NULL, false, "  mapping    another one for each address and port (symmetric)");
	expect(NULL, false, "\nignored\n  malformed  3\n");
}

static void test_none(void **state)
{
	route = (struct fl_route){ .reason = "No route: nothing arrives." };
	expect(NULL, false, "none  No route: nothing arrives.\n");
	expect(NULL, false, "\npairs of addresses\n  none\n");
}

/* Colours only where they are asked for; the hub's text cannot steer the terminal. */
static void test_verdict(void **state)
{
	json_t *verdict = json_pack("{s:s, s:[{s:s, s:s}]}", "sentence",
				    "UDP is blocked\x1b[2J here.", "remedy", "side", "device",
				    "text", "Allow UDP 3478.");
	char *text;

	fill();
	text = text_of(verdict, false);
	assert_null(strchr(text, '\x1b'));
	assert_non_null(strstr(text, "\nwhy\n  UDP is blocked\\x1b[2J here.\n  - in the device's "
				     "network: Allow UDP 3478.\n"));
	free(text);
	expect(verdict, true, "\x1b[1mrelayed\x1b[0m");
	json_decref(verdict);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tables),
		cmocka_unit_test(test_none),
		cmocka_unit_test(test_verdict),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
