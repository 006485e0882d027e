#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "deploy/lists.h"
#include "deploy/verify.h"
#include "test.h"

static const struct need examples[] = {
	{ NEED_HUB, NEED_REQUIRED, false, "example.org", 443, 443, 0, 0, "", "", true, true },
	{ NEED_HUB_NAME, NEED_RESERVED, false, "console.example.org", 443, 443, 0, 0, "", "console",
	  false, true },
	{ NEED_STORE, NEED_REQUIRED, false, "captures.blob.example", 443, 443, 0, 0, "eu",
	  "log-captures", true, true },
	{ NEED_STORE, NEED_REQUIRED, false, "captures-us.blob.example", 443, 443, 0, 0, "us",
	  "log-captures", true, true },
	{ NEED_STUN, NEED_BETTER, true, "turn.example.org", 3478, 3478, 0, 0, "", "turn", true,
	  true },
	{ NEED_TURN_UDP, NEED_ONE_OF, true, "turn.example.org", 3478, 3478, 0, 0, "", "turn", true,
	  true },
	{ NEED_TURN_TLS, NEED_ONE_OF, false, "turn.example.org", 443, 443, 0, 0, "", "turn", true,
	  true },
	{ NEED_RELAY_PORTS, NEED_BETTER, true, "turn.example.org", 49152, 65535, 0, 0, "", "turn",
	  true, true },
	{ NEED_PEERS, NEED_BETTER, true, "", 1, 65535, 50000, 50999, "", "", true, true },
	{ NEED_LOCAL, NEED_BETTER, true, "", 1, 65535, 0, 0, "", "", true, true },
};

static struct needs needs;
static struct verify v;

static void fill(void)
{
	needs = (struct needs){ .base = "example.org" };
	for (size_t i = 0; i < ARRAY_LEN(examples); i++)
		assert_int_equal(needs_add(&needs, &examples[i]), 0);
}

static size_t resolve(void *arg, const char *host, struct addr *out, size_t cap)
{
	assert_true(cap >= 2);
	if (strcmp(host, "captures-us.blob.example") == 0)
		return 0;
	assert_int_equal(addr_parse_ip(host[0] == 't' ? "198.51.100.2" : "198.51.100.1", &out[0]),
			 0);
	assert_int_equal(addr_parse_ip("2001:db8::1", &out[1]), 0);
	return host[0] == 't' ? 1 : 2;
}

static char *write_list(struct list_options o)
{
	struct buf out = BUF_INIT(LISTS_MAX);
	char unresolved[NEED_TEXT_MAX + 1];

	o.resolve = resolve;
	assert_int_equal(list_write(&needs, &o, &out, unresolved), 0);
	return buf_steal_string(&out);
}

static void holds(const char *text, const char *what)
{
	if (!strstr(text, what))
		fail_msg("\"%s\" is not in:\n%s", what, text);
}

static void lacks(const char *text, const char *what)
{
	if (strstr(text, what))
		fail_msg("\"%s\" should not be in:\n%s", what, text);
}

static void once_only(void **state)
{
	fill();
	size_t n = needs.n;
	assert_int_equal(needs_add(&needs, &examples[0]), 0);
	assert_int_equal(needs.n, n);
	struct need other = examples[0];
	for (unsigned port = 1000; needs.n < NEEDS_MAX; port++) {
		other.port_min = other.port_max = (uint16_t)port;
		assert_int_equal(needs_add(&needs, &other), 0);
	}
	other.port_min = other.port_max = 1;
	assert_int_equal(needs_add(&needs, &other), FL_EQUOTA);
}

static void there_and_back_as_json(void **state)
{
	static struct needs again;
	char why[160];

	fill();
	json_t *json = needs_to_json(&needs);
	assert_int_equal(needs_from_json(json, &again, why), 0);
	assert_int_equal(again.n, needs.n);
	for (size_t i = 0; i < needs.n; i++)
		assert_memory_equal(&again.list[i], &needs.list[i], sizeof(needs.list[i]));
	json_t *first = json_array_get(json_object_get(json, "needs"), 0);
	static const struct {
		const char *key;
		const char *value;
	} bad[] = { { "host", "a b" },	      { "host", "<script>" }, { "host", "" },
		    { "kind", "everything" }, { "need", "" },	      { "protocol", "sctp" },
		    { "region", "e\nu" } };
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		json_t *was = json_incref(json_object_get(first, bad[i].key));
		json_object_set_new(first, bad[i].key, json_string(bad[i].value));
		assert_int_equal(needs_from_json(json, &again, why), FL_EMALFORMED);
		json_object_set_new(first, bad[i].key, was);
	}
	json_object_set_new(first, "portMin", json_integer(0));
	assert_int_equal(needs_from_json(json, &again, why), FL_EMALFORMED);
	json_decref(json);
}

static void wildcards_have_one_label(void **state)
{
	char out[NEED_TEXT_MAX + 3];
	struct need n = examples[0];
	static const struct {
		const char *host, *wildcard;
	} rows[] = { { "turn.example.org", "*.example.org" },
		     { "example.org", "" },
		     { "a.b.example.org", "" },
		     { "turn.example.com", "" },
		     { "turnexample.org", "" },
		     { ".example.org", "" },
		     { "Turn.Example.ORG", "*.example.org" },
		     { "org", "" } };

	fill();
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		memset(n.host, 0, sizeof(n.host));
		memcpy(n.host, rows[i].host, strlen(rows[i].host));
		need_wildcard(&needs, &n, out);
		assert_string_equal(out, rows[i].wildcard);
	}
}

static void each_form_holds_the_lines(void **state)
{
	fill();
	FL_AUTOFREE char *text = write_list((struct list_options){ .format = LIST_TEXT });
	holds(text, "tcp  443          example.org ");
	holds(text, "udp  49152-65535  turn.example.org ");
	holds(text, "udp  any          any address ");
	holds(text, "from the client's own ports 50000-50999");
	lacks(text, "console.example.org");
	FL_AUTOFREE char *eu = write_list((struct list_options){ LIST_TEXT, .region = "EU" });
	holds(eu, "captures.blob.example");
	lacks(eu, "captures-us");
	FL_AUTOFREE char *wild = write_list((struct list_options){ LIST_TEXT, .wildcard = true });
	holds(wild, "*.example.org");
	lacks(wild, "turn.example.org");
	holds(wild, "captures.blob.example");
	FL_AUTOFREE char *csv = write_list((struct list_options){ .format = LIST_CSV });
	holds(csv, "required,tcp,example.org,443,any,out,\"HTTPS, WSS\",123,,,client+console,\"");
	FL_AUTOFREE char *squid = write_list((struct list_options){ .format = LIST_SQUID });
	holds(squid, "acl fairlead_to_443 dstdomain example.org\n");
	holds(squid, "http_access allow CONNECT fairlead_to_443 fairlead_port_443\n");
	lacks(squid, "3478");
	FL_AUTOFREE char *broad = write_list((struct list_options){ LIST_SQUID, .wildcard = true });
	holds(broad, "dstdomain .example.org\n");
	lacks(broad, "dstdomain example.org\n");
	FL_AUTOFREE char *pac = write_list((struct list_options){ .format = LIST_PAC });
	holds(pac, "if (host == \"turn.example.org\") return \"DIRECT\";");
}

static void nftables_has_a_rule_for_each(void **state)
{
	struct buf out = BUF_INIT(LISTS_MAX);
	char unresolved[NEED_TEXT_MAX + 1];
	struct list_options o = { LIST_NFTABLES, .region = "eu", .resolve = resolve };

	fill();
	assert_int_equal(list_write(&needs, &o, &out, unresolved), 0);
	FL_AUTOFREE char *text = buf_steal_string(&out);
	holds(text, "\t\tip daddr { 198.51.100.1 } tcp dport 443 accept comment "
		    "\"hub:example.org:443\"\n");
	holds(text, "\t\tip6 daddr { 2001:db8::1 } tcp dport 443 accept");
	holds(text, "\t\tip daddr { 198.51.100.2 } udp dport 49152-65535 accept");
	holds(text, "\t\tudp sport 50000-50999 accept comment \"peers\"\n");
	holds(text, "stun:turn.example.org:3478");
	lacks(text, "turn-udp"); /* the same rule */
	o.region = "us";
	assert_int_equal(list_write(&needs, &o, &out, unresolved), -ENOENT);
	assert_string_equal(unresolved, "captures-us.blob.example");
	o.wildcard = true;
	assert_int_equal(list_write(&needs, &o, &out, unresolved), FL_EUNSUPPORTED);
	buf_finish(&out);
}

static int read_text(const char *text)
{
	return verify_read(span_str(text), &v);
}

/* What a form writes covers everything and has nothing too much. */
static void own_lists_are_complete(void **state)
{
	static const enum list_format forms[] = { LIST_TEXT, LIST_JSON, LIST_CSV, LIST_NFTABLES };
	struct addr addrs[LISTS_ADDRS_MAX];

	fill();
	for (size_t f = 0; f < ARRAY_LEN(forms) * 2; f++) {
		struct list_options o = { forms[f / 2], .region = "eu", .wildcard = f % 2 };

		if (o.format == LIST_NFTABLES && o.wildcard)
			continue;
		FL_AUTOFREE char *text = write_list(o);
		if (read_text(text) != 0)
			fail_msg("line %u: %s\n%s", v.bad_line, v.bad, text);
		for (size_t i = 0; i < needs.n; i++) {
			const struct need *n = &needs.list[i];
			size_t n_addrs = n->host[0] ? resolve(NULL, n->host, addrs, 2) : 0;

			if (need_in_region(n, "eu") && n->kind != NEED_LOCAL &&
			    n->weight != NEED_RESERVED && !verify_covers(&v, n, addrs, n_addrs))
				fail_msg("%s is not covered by\n%s", n->host, text);
		}
		for (size_t i = 0; i < v.n; i++)
			if (!v.list[i].used)
				fail_msg("line %u is said to be too much:\n%s", v.list[i].line,
					 text);
	}
}

static void gaps_and_excess_are_found(void **state)
{
	static const struct {
		const char *list;
		size_t need;
		bool covered;
	} rows[] = {
		{ "example.org", 0, true },
		{ "example.org:443\n", 0, true },
		{ "https://example.org/", 0, true },
		{ "example.org:8443", 0, false },
		{ "tcp example.org 443", 0, true },
		{ "udp example.org 443", 0, false },
		{ "443/tcp example.org", 0, true },
		{ "example.org tcp 80-500 our hub", 0, true },
		{ "any tcp example.org", 0, true },
		{ "any tcp example.org", 6, false },
		{ "example.org tcp 443 and https too", 0, true },
		{ "turn.example.org udp 443 not https", 6, false },
		{ "*.example.org", 0, false },
		{ "*.example.org", 5, true },
		{ ".example.org", 0, true },
		{ "*.org", 5, false },
		{ "*", 0, true },
		{ "198.51.100.0/24", 5, true },
		{ "198.51.100.2 udp 3478", 5, true },
		{ "198.51.101.0/24", 5, false },
		{ "udp any 49152-65535", 7, true },
		{ "udp any 49152-65534", 7, false },
		{ "udp any address 0-65535", 8, true },
		{ "acl x dstdomain .example.org", 6, true },
		{ "acl x dstdomain .example.org", 5, false },
	};
	struct addr at;

	fill();
	assert_int_equal(addr_parse_ip("198.51.100.2", &at), 0);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct need *n = &needs.list[rows[i].need];

		if (read_text(rows[i].list) != 0)
			fail_msg("row %zu: %s", i, v.bad);
		if (verify_covers(&v, n, &at, n->host[0] ? 1 : 0) != rows[i].covered)
			fail_msg("row %zu: \"%s\" for %s", i, rows[i].list, n->host);
	}
	assert_int_equal(read_text("example.org 443\n# remark\n\nold.example.net 443\n"), 0);
	assert_true(verify_covers(&v, &needs.list[0], NULL, 0));
	assert_int_equal(v.n, 2);
	assert_true(v.list[0].used);
	assert_false(v.list[1].used);
	assert_int_equal(v.list[1].line, 4);
}

static void bad_lists_are_told(void **state)
{
	static const struct {
		const char *list;
		unsigned line;
	} rows[] = { { "example.org\n<b>x</b>\n", 2 },
		     { "example.org 443\n443\n", 2 },
		     { "a.example 1.2.3.4.5 x", 0 },
		     { "{\"needs\":7}", 1 },
		     { "{", 1 },
		     { "need,protocol,host,ports\nrequired,tcp\n", 2 } };

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int err = read_text(rows[i].list);

		assert_int_equal(err, rows[i].line ? FL_EMALFORMED : 0);
		assert_int_equal(v.bad_line, rows[i].line);
	}
	FL_AUTOFREE char *many = malloc(VERIFY_FILE_MAX + 2);
	memset(many, 'a', VERIFY_FILE_MAX + 1);
	many[VERIFY_FILE_MAX + 1] = 0;
	assert_int_equal(read_text(many), FL_EQUOTA);
	many[VERIFY_FILE_MAX] = 0;
	assert_int_equal(read_text(many), FL_EMALFORMED);
	for (size_t i = 0; i + 1 < VERIFY_FILE_MAX; i += 2)
		memcpy(many + i, "a\n", 2);
	assert_int_equal(read_text(many), FL_EQUOTA);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(once_only),
		cmocka_unit_test(there_and_back_as_json),
		cmocka_unit_test(wildcards_have_one_label),
		cmocka_unit_test(each_form_holds_the_lines),
		cmocka_unit_test(nftables_has_a_rule_for_each),
		cmocka_unit_test(own_lists_are_complete),
		cmocka_unit_test(gaps_and_excess_are_found),
		cmocka_unit_test(bad_lists_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
