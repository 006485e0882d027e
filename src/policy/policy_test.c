/* Parsing, inheritance, formatting of route policies. */
#include "policy/policy.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "test.h"

static int parse(const char *text, struct policy *p, char why[POLICY_WHY_CAP])
{
	return policy_parse_text(span_str(text), POLICY_REFUSE_UNKNOWN, p, why);
}

static struct policy must(const char *text)
{
	struct policy p;
	char why[POLICY_WHY_CAP];

	if (parse(text, &p, why) < 0)
		fail_msg("%s: %s", text, why);
	return p;
}

#define ALL_KEYS                                                                                   \
	"{\"methods\":[\"local\",\"punched\"],\"relay\":\"forbidden\","                            \
	"\"turnTransports\":[\"tls\",\"wss\"],"                                                    \
	"\"interfaces\":{\"prefer\":[\"eth*\"],\"exclude\":[\"tun?\",\"docker0\"]},"               \
	"\"subnets\":{\"prefer\":[\"10.0.0.0/8\"],\"exclude\":[\"2001:db8::/32\"]},"               \
	"\"udpPorts\":\"50000-50999\",\"dscp\":34,\"deviceKbit\":8000,\"siteKbit\":50000}"

static void test_all_keys(void **state)
{
	struct policy p = must(ALL_KEYS);
	char *text = policy_text(&p);

	assert_true(p.methods[POLICY_LOCAL] && p.methods[POLICY_PUNCHED]);
	assert_false(p.methods[POLICY_RELAYED]);
	assert_int_equal(p.relay, POLICY_RELAY_FORBIDDEN);
	assert_true(p.turn[POLICY_TLS] && p.turn[POLICY_WSS]);
	assert_false(p.turn[POLICY_UDP] || p.turn[POLICY_TCP]);
	assert_int_equal(p.exclude_interfaces.n, 2);
	assert_string_equal(p.exclude_interfaces.items[1], "docker0");
	assert_int_equal(p.port_min, 50000);
	assert_int_equal(p.port_max, 50999);
	assert_int_equal(p.dscp, 34);
	assert_int_equal(p.device_kbit, 8000);
	assert_int_equal(p.site_kbit, 50000);
	assert_string_equal(text, ALL_KEYS);
	free(text);
}

static void test_errors_name_the_key(void **state)
{
	static const struct {
		const char *text, *why;
	} cases[] = {
		{ "{", "policy is not JSON (line 1, column 1)" },
		{ "[]", "policy is not an object" },
		{ "{\"a\":1}", "policy has a key that is not known" },
		{ "{\"dscp\":1,\"dscp\":2}", "policy is not JSON (line 1, column 16)" },
		{ "{\"methods\":\"local\"}", "policy.methods is not a list" },
		{ "{\"methods\":[]}",
		  "policy.methods is empty; name at least one of local, punched, relayed" },
		{ "{\"methods\":[\"local\",\"lan\"]}",
		  "policy.methods[1] is not one of local, punched, relayed" },
		{ "{\"methods\":[\"local\",\"local\"]}", "policy.methods names local twice" },
		{ "{\"relay\":\"never\"}",
		  "policy.relay is not one of allowed, last-resort, forbidden" },
		{ "{\"methods\":[\"relayed\"],\"relay\":\"forbidden\"}",
		  "policy.methods allows relayed only, and policy.relay forbids it" },
		{ "{\"turnTransports\":[7]}",
		  "policy.turnTransports[0] is not one of udp, tcp, tls, wss" },
		{ "{\"interfaces\":[]}",
		  "policy.interfaces is not an object with prefer and exclude" },
		{ "{\"interfaces\":{\"only\":[]}}",
		  "policy.interfaces has a key that is not known" },
		{ "{\"interfaces\":{\"exclude\":[\"a b\"]}}",
		  "policy.interfaces.exclude[0] is not the name of an interface (* and ? stand for "
		  "others)" },
		{ "{\"subnets\":{\"prefer\":[\"10.0.0.0/8\",\"10.0.0.0\"]}}",
		  "policy.subnets.prefer[1] is not a subnet such as 10.0.0.0/8 or 2001:db8::/32" },
		{ "{\"subnets\":{\"exclude\":[\"10.0.0.0/33\"]}}",
		  "policy.subnets.exclude[0] is not a subnet such as 10.0.0.0/8 or 2001:db8::/32" },
		{ "{\"udpPorts\":50000}", "policy.udpPorts is not a text such as \"50000-50999\"" },
		{ "{\"udpPorts\":\"0-10\"}",
		  "policy.udpPorts is neither \"any\" nor two ports from 1 to 65535 such as "
		  "\"50000-50999\"" },
		{ "{\"udpPorts\":\"600-70000\"}",
		  "policy.udpPorts is neither \"any\" nor two ports from 1 to 65535 such as "
		  "\"50000-50999\"" },
		{ "{\"udpPorts\":\"2000-1000\"}", "policy.udpPorts begins above its end" },
		{ "{\"dscp\":64}", "policy.dscp is not between 0 and 63" },
		{ "{\"dscp\":\"ef\"}", "policy.dscp is not a whole number" },
		{ "{\"deviceKbit\":-1}", "policy.deviceKbit is not between 0 and 100000000" },
		{ "{\"siteKbit\":1.5}", "policy.siteKbit is not a whole number" },
	};
	char why[POLICY_WHY_CAP];
	struct policy p;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_int_equal(parse(cases[i].text, &p, why), FL_EMALFORMED);
		assert_string_equal(why, cases[i].why);
	}
}

static void test_too_many_items(void **state)
{
	char text[1024] = "{\"interfaces\":{\"prefer\":[\"a\"", why[POLICY_WHY_CAP];
	struct policy p;
	size_t len = strlen(text);

	for (int i = 1; i < POLICY_LIST_MAX; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, ",\"a\"");
	snprintf(text + len, sizeof(text) - len, "]}}");
	assert_int_equal(must(text).prefer_interfaces.n, POLICY_LIST_MAX);
	snprintf(text + len, sizeof(text) - len, ",\"a\"]}}");
	assert_int_equal(parse(text, &p, why), FL_EMALFORMED);
	assert_string_equal(why, "policy.interfaces.prefer has more than 16 items");
}

static void test_later_keys(void **state)
{
	static const char text[] = "{\"later\":{},\"interfaces\":{\"later\":1},\"dscp\":8}";
	char why[POLICY_WHY_CAP];
	struct policy p;

	assert_int_equal(policy_parse_text(span_str(text), POLICY_SKIP_UNKNOWN, &p, why), 0);
	assert_int_equal(p.keys, POLICY_DSCP);
	assert_int_equal(p.dscp, 8);
}

/* hub, organisation, site, group: each key from the nearest that has it. */
static void test_inheritance(void **state)
{
	const struct policy hub = must("{\"relay\":\"last-resort\",\"dscp\":34,"
				       "\"udpPorts\":\"50000-50999\","
				       "\"interfaces\":{\"exclude\":[\"tun*\"]}}");
	const struct policy site = must("{\"relay\":\"forbidden\",\"siteKbit\":50000,"
					"\"interfaces\":{\"prefer\":[\"eth0\"]}}");
	struct policy group = must("{\"dscp\":0,\"udpPorts\":\"any\"}");

	policy_inherit(&group, &site);
	policy_inherit(&group, &hub);
	assert_int_equal(group.relay, POLICY_RELAY_FORBIDDEN);
	assert_int_equal(group.dscp, 0);
	assert_int_equal(group.port_min, 0);
	assert_int_equal(group.site_kbit, 50000);
	/* the lists of one group of keys are inherited one by one */
	assert_string_equal(group.prefer_interfaces.items[0], "eth0");
	assert_string_equal(group.exclude_interfaces.items[0], "tun*");
	assert_false(group.keys & POLICY_METHODS);
	policy_complete(&group);
	assert_true(group.methods[POLICY_RELAYED]);
	assert_false(policy_relays(&group));
}

static void test_defaults(void **state)
{
	struct policy p = must("{}");
	char *text;

	policy_complete(&p);
	assert_true(policy_relays(&p));
	text = policy_text(&p);
	assert_string_equal(text, "{\"methods\":[\"local\",\"punched\",\"relayed\"],"
				  "\"relay\":\"allowed\","
				  "\"turnTransports\":[\"udp\",\"tcp\",\"tls\",\"wss\"],"
				  "\"interfaces\":{\"prefer\":[],\"exclude\":[]},"
				  "\"subnets\":{\"prefer\":[],\"exclude\":[]},"
				  "\"udpPorts\":\"any\",\"dscp\":0,\"deviceKbit\":0,"
				  "\"siteKbit\":0}");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_keys),       cmocka_unit_test(test_errors_name_the_key),
		cmocka_unit_test(test_too_many_items), cmocka_unit_test(test_later_keys),
		cmocka_unit_test(test_inheritance),    cmocka_unit_test(test_defaults),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
