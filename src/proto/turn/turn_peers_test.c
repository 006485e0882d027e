#include "test.h"

#include "base/err.h"
#include "proto/turn/turn_peers.h"

static void add(struct turn_network *list, size_t *n, const char *text)
{
	if (turn_network_parse(text, &list[*n]) < 0)
		fail_msg("%s is a network", text);
	(*n)++;
}

static struct addr at(const char *ip)
{
	struct addr a;

	if (addr_parse_ip(ip, &a) < 0)
		fail_msg("%s is an address", ip);
	a.port = 5000;
	return a;
}

static void expect(const struct turn_peers *p, const char *ip, enum turn_peer_verdict want)
{
	struct addr a = at(ip);

	for (int with_port = 0; with_port < 2; with_port++) {
		enum turn_peer_verdict v = turn_peers_check(p, &a, with_port);

		if (v != want)
			fail_msg("%s: %s; wanted: %s", ip, turn_peer_verdict_text(v),
				 turn_peer_verdict_text(want));
	}
}

/* first and last address of each refused range, and the neighbours that are public */
static const struct {
	const char *first, *last, *before, *after;
} ranges[] = {
	{ "0.0.0.0", "0.255.255.255", NULL, "1.0.0.0" },
	{ "10.0.0.0", "10.255.255.255", "9.255.255.255", "11.0.0.0" },
	{ "100.64.0.0", "100.127.255.255", "100.63.255.255", "100.128.0.0" },
	{ "127.0.0.0", "127.255.255.255", "126.255.255.255", "128.0.0.0" },
	{ "169.254.0.0", "169.254.255.255", "169.253.255.255", "169.255.0.0" },
	{ "172.16.0.0", "172.31.255.255", "172.15.255.255", "172.32.0.0" },
	{ "192.0.0.0", "192.0.0.255", "191.255.255.255", "192.0.1.0" },
	{ "192.0.2.0", "192.0.2.255", "192.0.1.255", "192.0.3.0" },
	{ "192.88.99.0", "192.88.99.255", "192.88.98.255", "192.88.100.0" },
	{ "192.168.0.0", "192.168.255.255", "192.167.255.255", "192.169.0.0" },
	{ "198.18.0.0", "198.19.255.255", "198.17.255.255", "198.20.0.0" },
	{ "198.51.100.0", "198.51.100.255", "198.51.99.255", "198.51.101.0" },
	{ "203.0.113.0", "203.0.113.255", "203.0.112.255", "203.0.114.0" },
	{ "224.0.0.0", "239.255.255.255", "223.255.255.255", NULL },
	{ "240.0.0.0", "255.255.255.255", NULL, NULL },
	{ "fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", NULL, NULL },
	{ "fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", NULL, NULL },
	{ "fec0::", "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", NULL, NULL },
	{ "ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", NULL, NULL },
	{ "2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", "2001:db7:ffff::", "2001:db9::" },
	{ "3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff", "3ffe:ffff::", "3fff:1000::" },
	{ "64:ff9b:1::", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff", NULL, NULL },
	{ "100::", "100::ffff:ffff:ffff:ffff", NULL, NULL },
	{ "2001:2::", "2001:2:0:ffff:ffff:ffff:ffff:ffff", NULL, NULL },
	{ "2001:10::", "2001:1f:ffff:ffff:ffff:ffff:ffff:ffff", NULL, NULL },
	{ "2001:20::", "2001:2f:ffff:ffff:ffff:ffff:ffff:ffff", NULL, NULL },
	{ "5f00::", "5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff", NULL, NULL },
	{ "::", "::1", NULL, NULL },
};

static void test_ranges(void **state)
{
	static const struct turn_peers none;

	for (size_t i = 0; i < ARRAY_LEN(ranges); i++) {
		expect(&none, ranges[i].first, TURN_PEER_RANGE);
		expect(&none, ranges[i].last, TURN_PEER_RANGE);
		if (ranges[i].before)
			expect(&none, ranges[i].before, TURN_PEER_ALLOWED);
		if (ranges[i].after)
			expect(&none, ranges[i].after, TURN_PEER_ALLOWED);
	}
	expect(&none, "8.8.8.8", TURN_PEER_ALLOWED);
	expect(&none, "2a00:1450::1", TURN_PEER_ALLOWED);
	expect(&none, "fe80::1%2", TURN_PEER_RANGE);
}

/* The forms in which an IPv6 address carries an IPv4 one. */
static const struct {
	const char *name, *head;
	uint8_t at[4], flip;
	bool mapped, local; /* local: refused whatever it carries */
} forms[] = {
	{ "mapped", "::ffff:0:0", { 12, 13, 14, 15 }, 0, .mapped = true },
	{ "compatible", "::", { 12, 13, 14, 15 }, 0 },
	{ "translated", "::ffff:0:0:0", { 12, 13, 14, 15 }, 0 },
	{ "NAT64", "64:ff9b::", { 12, 13, 14, 15 }, 0 },
	{ "local NAT64 /48", "64:ff9b:1::", { 6, 7, 9, 10 }, 0, .local = true },
	{ "local NAT64 /56", "64:ff9b:1::", { 7, 9, 10, 11 }, 0, .local = true },
	{ "local NAT64 /64", "64:ff9b:1::", { 9, 10, 11, 12 }, 0, .local = true },
	{ "local NAT64 /96", "64:ff9b:1::", { 12, 13, 14, 15 }, 0, .local = true },
	{ "6to4", "2002::1", { 2, 3, 4, 5 }, 0 },
	{ "Teredo client", "2001:0:808:808::", { 12, 13, 14, 15 }, 0xff },
	{ "Teredo server", "2001::f7f7:f7f7", { 4, 5, 6, 7 }, 0 },
	{ "ISATAP", "2a00::5efe:0:0", { 12, 13, 14, 15 }, 0 },
	{ "ISATAP global", "2a00::200:5efe:0:0", { 12, 13, 14, 15 }, 0 },
};

static const char *form_of(size_t form, const char *ipv4, char text[ADDR_TEXT_MAX])
{
	struct addr v4 = at(ipv4), a = at(forms[form].head);

	for (size_t i = 0; i < 4; i++)
		a.ip[forms[form].at[i]] = v4.ip[i] ^ forms[form].flip;
	return addr_format_ip(&a, text);
}

static void test_ranges_in_every_form(void **state)
{
	static const struct turn_peers none;
	char text[ADDR_TEXT_MAX];

	for (size_t f = 0; f < ARRAY_LEN(forms); f++) {
		for (size_t i = 0; i < ARRAY_LEN(ranges) && !strchr(ranges[i].first, ':'); i++) {
			enum turn_peer_verdict want = forms[f].mapped ? TURN_PEER_FORM
								      : TURN_PEER_RANGE;

			expect(&none, form_of(f, ranges[i].first, text), want);
			expect(&none, form_of(f, ranges[i].last, text), want);
		}
		expect(&none, form_of(f, "8.8.8.8", text),
		       forms[f].mapped	? TURN_PEER_FORM
		       : forms[f].local ? TURN_PEER_RANGE
					: TURN_PEER_ALLOWED);
	}
}

static void test_own_in_every_form(void **state)
{
	static struct turn_peers p;
	char text[ADDR_TEXT_MAX];

	add(p.own, &p.n_own, "8.8.8.8");
	add(p.own, &p.n_own, "2a00::1");
	expect(&p, "8.8.8.8", TURN_PEER_OWN);
	expect(&p, "8.8.8.9", TURN_PEER_ALLOWED);
	expect(&p, "2a00::1", TURN_PEER_OWN);
	expect(&p, "2a00::2", TURN_PEER_ALLOWED);
	for (size_t f = 0; f < ARRAY_LEN(forms); f++)
		expect(&p, form_of(f, "8.8.8.8", text),
		       forms[f].mapped ? TURN_PEER_FORM : TURN_PEER_OWN);
}

static void expect_at(const struct turn_peers *p, const char *ip, uint16_t port,
		      enum turn_peer_verdict want)
{
	struct addr a = at(ip);

	a.port = port;
	assert_int_equal(turn_peers_check(p, &a, true), want);
}

/* Two clients of this relay meet at their relayed addresses, and reach nothing else of it. */
static void test_relayed(void **state)
{
	static struct turn_peers p;
	struct addr a;
	char text[ADDR_TEXT_MAX];

	add(p.own, &p.n_own, "8.8.8.8");
	add(p.own, &p.n_own, "8.8.4.4");
	add(p.own, &p.n_own, "2a00::1");
	add(p.own, &p.n_own, "10.0.0.5");
	p.relayed[p.n_relayed++] = at("8.8.8.8");
	p.relayed[p.n_relayed++] = at("2a00::1");
	p.relayed[p.n_relayed++] = at("10.0.0.5");
	p.relayed_first = 49152;
	p.relayed_last = 49999;
	for (size_t i = 0; i < 2; i++) {
		const char *ip = i ? "2a00::1" : "8.8.8.8";

		a = at(ip);
		assert_int_equal(turn_peers_check(&p, &a, false), TURN_PEER_ALLOWED);
		expect_at(&p, ip, 49152, TURN_PEER_ALLOWED);
		expect_at(&p, ip, 49999, TURN_PEER_ALLOWED);
		expect_at(&p, ip, 49151, TURN_PEER_OWN);
		expect_at(&p, ip, 50000, TURN_PEER_OWN);
		expect_at(&p, ip, 3478, TURN_PEER_OWN);
		expect_at(&p, ip, 0, TURN_PEER_FORM);
	}
	/* not the other own address, not one that is private, not by another form */
	expect_at(&p, "8.8.4.4", 49152, TURN_PEER_OWN);
	expect_at(&p, "10.0.0.5", 49152, TURN_PEER_OWN);
	a = at("10.0.0.5");
	assert_int_equal(turn_peers_check(&p, &a, false), TURN_PEER_OWN);
	for (size_t f = 0; f < ARRAY_LEN(forms); f++)
		expect_at(&p, form_of(f, "8.8.8.8", text), 49152,
			  forms[f].mapped ? TURN_PEER_FORM : TURN_PEER_OWN);
	add(p.deny, &p.n_deny, "8.8.8.8");
	expect_at(&p, "8.8.8.8", 49152, TURN_PEER_DENIED);
}

static void test_denied_in_every_form(void **state)
{
	static struct turn_peers p;
	char text[ADDR_TEXT_MAX];

	add(p.deny, &p.n_deny, "9.9.0.0/16");
	add(p.deny, &p.n_deny, "2a00:1::/32");
	add(p.allow, &p.n_allow, "0.0.0.0/0");
	add(p.allow, &p.n_allow, "::/0");
	expect(&p, "9.8.255.255", TURN_PEER_ALLOWED);
	expect(&p, "9.9.0.0", TURN_PEER_DENIED);
	expect(&p, "9.9.255.255", TURN_PEER_DENIED);
	expect(&p, "9.10.0.0", TURN_PEER_ALLOWED);
	expect(&p, "2a00:1:ffff::1", TURN_PEER_DENIED);
	expect(&p, "2a00:2::1", TURN_PEER_ALLOWED);
	for (size_t f = 0; f < ARRAY_LEN(forms); f++)
		expect(&p, form_of(f, "9.9.1.2", text),
		       forms[f].mapped ? TURN_PEER_FORM : TURN_PEER_DENIED);
}

/* What is allowed is opened as it is named, and not in another form. */
static void test_allowed(void **state)
{
	static struct turn_peers p;
	char text[ADDR_TEXT_MAX];

	add(p.allow, &p.n_allow, "10.1.0.0/16");
	add(p.allow, &p.n_allow, "127.0.0.1");
	add(p.allow, &p.n_allow, "fd00:1::/32");
	add(p.allow, &p.n_allow, "::1");
	add(p.own, &p.n_own, "127.0.0.1");
	add(p.own, &p.n_own, "10.1.0.5");
	expect(&p, "10.0.255.255", TURN_PEER_RANGE);
	expect(&p, "10.1.0.0", TURN_PEER_ALLOWED);
	expect(&p, "10.1.255.255", TURN_PEER_ALLOWED);
	expect(&p, "10.2.0.0", TURN_PEER_RANGE);
	expect(&p, "127.0.0.1", TURN_PEER_ALLOWED); /* the relay's own, but named */
	expect(&p, "10.1.0.5", TURN_PEER_ALLOWED);
	expect(&p, "127.0.0.2", TURN_PEER_RANGE);
	expect(&p, "fd00:1::5", TURN_PEER_ALLOWED);
	expect(&p, "fd00:2::5", TURN_PEER_RANGE);
	expect(&p, "::1", TURN_PEER_ALLOWED);
	expect(&p, "::2", TURN_PEER_RANGE);
	for (size_t f = 0; f < ARRAY_LEN(forms); f++)
		expect(&p, form_of(f, "10.1.2.3", text),
		       forms[f].mapped ? TURN_PEER_FORM : TURN_PEER_RANGE);
	for (size_t f = 0; f < ARRAY_LEN(forms); f++)
		expect(&p, form_of(f, "10.1.0.5", text),
		       forms[f].mapped ? TURN_PEER_FORM : TURN_PEER_OWN);
}

static void test_deny_wins(void **state)
{
	static struct turn_peers p;

	add(p.allow, &p.n_allow, "10.0.0.0/8");
	add(p.deny, &p.n_deny, "10.1.0.0/16");
	add(p.allow, &p.n_allow, "10.1.2.0/24"); /* neither a longer prefix nor a later place */
	expect(&p, "10.0.0.1", TURN_PEER_ALLOWED);
	expect(&p, "10.1.0.1", TURN_PEER_DENIED);
	expect(&p, "10.1.2.3", TURN_PEER_DENIED);
	add(p.allow, &p.n_allow, "64:ff9b::/96");
	expect(&p, "64:ff9b::10.0.0.1", TURN_PEER_ALLOWED);
	expect(&p, "64:ff9b::10.1.2.3", TURN_PEER_DENIED);
}

/* An allowed network that covers the IPv4-mapped block still does not open it. */
static void test_mapped_is_never_allowed(void **state)
{
	static struct turn_peers p;

	add(p.allow, &p.n_allow, "::/0");
	add(p.allow, &p.n_allow, "0.0.0.0/0");
	expect(&p, "::ffff:8.8.8.8", TURN_PEER_FORM);
	expect(&p, "::ffff:127.0.0.1", TURN_PEER_FORM);
	expect(&p, "::fffe:127.0.0.1", TURN_PEER_ALLOWED);
}

static void test_ports_and_no_address(void **state)
{
	static struct turn_peers p;
	struct addr a = at("8.8.8.8"), none = { .port = 1 };

	add(p.allow, &p.n_allow, "0.0.0.0/0");
	a.port = 0;
	assert_int_equal(turn_peers_check(&p, &a, true), TURN_PEER_FORM);
	assert_int_equal(turn_peers_check(&p, &a, false), TURN_PEER_ALLOWED);
	assert_int_equal(turn_peers_check(&p, &none, true), TURN_PEER_FORM);
	assert_int_equal(turn_peers_check(&p, &none, false), TURN_PEER_FORM);
	for (int v = TURN_PEER_ALLOWED; v <= TURN_PEER_FORM; v++)
		assert_true(strlen(turn_peer_verdict_text((enum turn_peer_verdict)v)) > 10);
}

static void test_network_parse(void **state)
{
	static const char *const bad[] = {
		"",
		"/",
		"10.0.0.0/",
		"10.0.0.0/33",
		"10.0.0.1/8",
		"10.0.0.0/08",
		"10.0.0.0/-1",
		"10.0.0.0/ 8",
		"10.0.0.0/8 ",
		"10.0.0/8",
		"10/8",
		"0x7f000001",
		"2130706433",
		"0177.0.0.1",
		"127.1",
		"host/8",
		"fd00::/129",
		"fd00::1/8",
		"fe80::1%2",
		"fe80::%2/10",
		"[::1]",
		"::ffff:0:0/96",
		"::ffff:10.0.0.1",
		"10.0.0.0/8/8",
		"10.0.0.0/00000008",
		"1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc:dddd:eeee:ffff/1",
	};
	struct turn_network n;
	char text[ADDR_TEXT_MAX];

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (turn_network_parse(bad[i], &n) != FL_EMALFORMED)
			fail_msg("\"%s\" was taken for a network", bad[i]);
	assert_int_equal(turn_network_parse("10.0.0.0/8", &n), 0);
	assert_int_equal(n.bits, 8);
	assert_string_equal(addr_format_ip(&n.base, text), "10.0.0.0");
	assert_int_equal(turn_network_parse("192.0.2.1", &n), 0);
	assert_int_equal(n.bits, 32);
	assert_int_equal(turn_network_parse("0.0.0.0/0", &n), 0);
	assert_int_equal(n.bits, 0);
	assert_int_equal(turn_network_parse("::1", &n), 0);
	assert_int_equal(n.bits, 128);
	assert_int_equal(turn_network_parse("10.0.0.0/9", &n), 0);
	assert_int_equal(turn_network_parse("10.128.0.0/9", &n), 0);
	assert_int_equal(turn_network_parse("10.64.0.0/9", &n), FL_EMALFORMED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_ranges),
		TEST(test_ranges_in_every_form),
		TEST(test_own_in_every_form),
		TEST(test_relayed),
		TEST(test_denied_in_every_form),
		TEST(test_allowed),
		TEST(test_deny_wins),
		TEST(test_mapped_is_never_allowed),
		TEST(test_ports_and_no_address),
		TEST(test_network_parse),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
