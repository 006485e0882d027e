#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "test.h"
#include "wayout/pac.h"

static char program[4096];
static struct loop *loop;

struct seen {
	enum pac_fault fault;
	char ways[256], why[400];
	int order;
	bool done;
};

static int n_done;

static void on_answer(void *arg, enum pac_fault fault, const struct pac_ways *ways, const char *why)
{
	struct seen *s = arg;
	char shown[PAC_URL_CAP];

	s->fault = fault;
	s->ways[0] = 0;
	for (size_t i = 0, len = 0; i < ways->n; i++)
		len += (size_t)snprintf(s->ways + len, sizeof(s->ways) - len, "%s ",
					pac_way_format(&ways->list[i], shown));
	snprintf(s->why, sizeof(s->why), "%s", why);
	s->order = ++n_done;
	s->done = true;
}

static struct pac *make(const char *script)
{
	struct pac *p;

	assert_int_equal(pac_create(loop, program, span_str(script), &p), 0);
	return p;
}

static struct seen ask(struct pac *p, const char *url, const char *host)
{
	struct seen s = { .done = false };

	assert_int_equal(pac_ask(p, url, host, on_answer, &s), 0);
	assert_false(s.done);
	while (!s.done)
		assert_int_equal(loop_turn(loop, USEC_NEVER), 0);
	return s;
}

static struct seen once(const char *script)
{
	struct pac *p = make(script);
	struct seen s = ask(p, "https://hub.example.org/", "hub.example.org");

	pac_destroy(p);
	return s;
}

static void modern_javascript(void **state)
{
	struct pac *p = make(
		"const rules = new Map([['hub.example.org', 'PROXY a:1']]);\n"
		"let f = (h, {d} = {d: 'DIRECT'}) => rules.get(h) ?? `${d}`;\n"
		"class C { #x = 1; get x() { return this.#x; } }\n"
		"function FindProxyForURL(url, host) { return new C().x && f(host); }");

	assert_string_equal(ask(p, "https://hub.example.org/", "hub.example.org").ways,
			    "http://a:1 ");
	assert_string_equal(ask(p, "https://x.example/", "x.example").ways, "direct ");
	pac_destroy(p);
}

/* Expressions that a file may use, and what they have to be. */
static void functions(void **state)
{
	static const char *const yes[] = {
		"isPlainHostName('hub')",
		"!isPlainHostName('hub.example')",
		"dnsDomainIs('www.Example.org', '.example.ORG')",
		"!dnsDomainIs('www.example.org', '.example.com')",
		"localHostOrDomainIs('www', 'www.example.org')",
		"localHostOrDomainIs('www.example.org', 'www.example.org')",
		"!localHostOrDomainIs('www.example.com', 'www.example.org')",
		"isInNet('10.1.2.3', '10.0.0.0', '255.0.0.0')",
		"!isInNet('11.1.2.3', '10.0.0.0', '255.0.0.0')",
		"!isInNet('10.1.2.3', '10.0.0.0', 'x')",
		"isInNetEx('2001:db8::7', '2001:db8::/32')",
		"!isInNetEx('2001:db9::7', '2001:db8::/32')",
		"isInNetEx('10.1.2.3', '10.1.0.0/16')",
		"isInNetEx('::ffff:1.2.3.4', '::ffff:1.2.0.0/112')",
		"dnsResolve('192.0.2.7') === '192.0.2.7'",
		"dnsResolve('localhost') === '127.0.0.1'",
		"isResolvable('localhost')",
		"/^[0-9.]+$/.test(myIpAddress())",
		"typeof myIpAddressEx() === 'string'",
		"dnsDomainLevels('a.b.c') === 2",
		"convert_addr('1.2.3.4') === 16909060",
		"sortIpAddressList('10.2.3.9;fd00::1;10.2.3.4') === 'fd00::1;10.2.3.4;10.2.3.9'",
		"shExpMatch('http://a.example/x', '*/x')",
		"shExpMatch('abc', 'a?c')",
		"!shExpMatch('abc', 'a?')",
		"shExpMatch('a.b', 'a.b') && !shExpMatch('axb', 'a.b')",
		"!shExpMatch('a'.repeat(40), 'a*'.repeat(20) + 'b')",
		"weekdayRange('SUN', 'SAT') && weekdayRange('MON', 'SUN', 'GMT')",
		"!weekdayRange('NODAY')",
		"timeRange(0, 0, 0, 23, 59, 59)",
		"!timeRange('x')",
		"dateRange(1, 31) && dateRange('JAN', 'DEC') && dateRange(1995, 2500)",
		"dateRange(1, 'JAN', 1995, 31, 'DEC', 2500, 'GMT')",
		"!dateRange(1995) && !dateRange('JUL', 1995, 'AUG', 1995)",
		"alert('x') === undefined",
	};
	char script[8192] = "function FindProxyForURL() {\n";
	size_t len = strlen(script);

	for (size_t i = 0; i < ARRAY_LEN(yes); i++)
		len += (size_t)snprintf(script + len, sizeof(script) - len,
					"if (!(%s)) return 'PROXY row-%zu:1';\n", yes[i], i);
	snprintf(script + len, sizeof(script) - len, "return 'DIRECT'; }");
	struct seen s = once(script);
	if (strcmp(s.ways, "direct ") != 0)
		fail_msg("%s %s", s.ways, s.why);
}

static void nothing_of_the_machine(void **state)
{
	struct seen s = once(
		"function FindProxyForURL() { for (const n of ['require', 'process', 'load', "
		"'readFile', 'fetch', 'XMLHttpRequest', 'print', 'quit', 'WebAssembly']) "
		"if (n !== 'WebAssembly' && n in globalThis) return 'PROXY ' + n + ':1'; "
		"return 'DIRECT'; }");

	assert_string_equal(s.ways, "direct ");
}

static void bad_files(void **state)
{
	static const struct {
		const char *script;
		enum pac_fault fault;
		const char *why;
	} rows[] = {
		{ "while (1) ;", PAC_TIMEOUT, "It loops" },
		{ "function FindProxyForURL() { while (1) ; }", PAC_TIMEOUT, "did not answer" },
		{ "function FindProxyForURL() { /(a+)+$/.exec('a'.repeat(60) + 'b'); while (1) ; }",
		  PAC_TIMEOUT, "did not answer" },
		{ "function FindProxyForURL( {", PAC_THREW, "SyntaxError" },
		{ "throw new Error('no')", PAC_THREW, "Error: no" },
		{ "function FindProxyForURL() { throw 'a\\u202e\\nb'; }", PAC_THREW,
		  "failed: a\\x" },
		{ "", PAC_THREW, "no function FindProxyForURL" },
		{ "<html>Sign in</html>", PAC_THREW, "SyntaxError" },
		{ "var FindProxyForURL = 7;", PAC_THREW, "no function FindProxyForURL" },
		{ "function FindProxyForURL() { return 7; }", PAC_THREW, "no text" },
		{ "function FindProxyForURL() { return {}; }", PAC_THREW, "no text" },
		{ "function FindProxyForURL() { return 'ask Nora'; }", PAC_NONSENSE,
		  "\"ask Nora\"" },
		{ "function f() { return f() + f(); } function FindProxyForURL() { return f(); }",
		  PAC_THREW, "RangeError" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct seen s = once(rows[i].script);

		if (s.fault != rows[i].fault || !strstr(s.why, rows[i].why) || s.ways[0])
			fail_msg("row %zu: %s, %s %s", i, pac_fault_name(s.fault), s.why, s.ways);
	}
}

static void memory_is_bounded(void **state)
{
	struct seen s = once("function FindProxyForURL() { let a = []; "
			     "for (;;) a.push(new Uint8Array(1 << 24).fill(1)); }");

	/* the engine throws, or gives up */
	assert_true(s.fault == PAC_DIED || s.fault == PAC_THREW);
}

static void a_child_that_died_is_replaced(void **state)
{
	struct pac *p = make(
		"function FindProxyForURL(url, host) { if (host === 'bad') while (1) ; "
		"return 'PROXY ' + host + ':1'; }");
	struct seen s[3] = { { .done = false } };
	const char *hosts[] = { "bad", "one", "two" };

	n_done = 0;
	for (int i = 0; i < 3; i++)
		assert_int_equal(pac_ask(p, "https://x/", hosts[i], on_answer, &s[i]), 0);
	while (n_done < 3)
		assert_int_equal(loop_turn(loop, USEC_NEVER), 0);
	assert_int_equal(s[0].fault, PAC_TIMEOUT);
	assert_string_equal(s[1].ways, "http://one:1 ");
	assert_string_equal(s[2].ways, "http://two:1 ");
	assert_true(s[0].order == 1 && s[1].order == 2 && s[2].order == 3);
	pac_destroy(p);
}

static void limits(void **state)
{
	char *large = malloc(PAC_SCRIPT_MAX + 1), url[PAC_QUESTION_MAX + 1];
	struct seen s;
	struct pac *p;

	memset(large, ' ', PAC_SCRIPT_MAX + 1);
	assert_int_equal(pac_create(loop, program,
				    (struct span){ (uint8_t *)large, PAC_SCRIPT_MAX + 1 }, &p),
			 FL_EQUOTA);
	free(large);
	p = make("");
	memset(url, 'a', sizeof(url));
	url[PAC_QUESTION_MAX] = 0;
	assert_int_equal(pac_ask(p, url, "h", on_answer, &s), -EINVAL);
	assert_int_equal(pac_ask(p, "https://a\nb/", "h", on_answer, &s), -EINVAL);
	for (int i = 0; i < PAC_QUESTIONS_MAX; i++)
		assert_int_equal(pac_ask(p, "https://a/", "a", on_answer, &s), 0);
	assert_int_equal(pac_ask(p, "https://a/", "a", on_answer, &s), FL_EQUOTA);
	pac_destroy(p); /* with a start under way */
	p = make("function FindProxyForURL() { return 'DIRECT'; }");
	assert_int_equal(pac_ask(p, "https://a/", "a", on_answer, &s), 0);
	assert_int_equal(loop_turn(loop, 0), 0);
	pac_destroy(p); /* with a child under way */
	pac_destroy(NULL);
	assert_int_equal(loop_turn(loop, 0), 0);
}

static void no_program(void **state)
{
	struct pac *p;

	assert_int_equal(pac_create(loop, "/nonexistent/fairlead-pac", span_str("x"), &p), 0);
	assert_int_equal(ask(p, "https://a/", "a").fault, PAC_DIED);
	pac_destroy(p);
}

static int make_loop(void **state)
{
	return loop_create(&loop);
}

static int end_loop(void **state)
{
	loop_destroy(loop);
	return 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(modern_javascript),
		cmocka_unit_test(functions),
		cmocka_unit_test(nothing_of_the_machine),
		cmocka_unit_test(bad_files),
		cmocka_unit_test(memory_is_bounded),
		cmocka_unit_test(a_child_that_died_is_replaced),
		cmocka_unit_test(limits),
		cmocka_unit_test(no_program),
	};

	snprintf(program, sizeof(program), "%s/fairlead-pac", argc > 1 ? argv[1] : ".");
	return cmocka_run_group_tests(tests, make_loop, end_loop);
}
