#include "test.h"

#include <errno.h>

#include "base/err.h"
#include "proto/mdns/mdns.h"
#include "proto/mdns/mdns_msg.h"

#define NAME "5b3cf0c4-8b1f-4b5e-9a55-0f4f5f0d8d11.local"
#define NAME_UPPER "5B3CF0C4-8B1F-4B5E-9A55-0F4F5F0D8D11.LOCAL"
#define NOW USEC_PER_SEC

static struct rng rng;

static struct addr at(const char *text)
{
	struct addr a;

	assert_int_equal(addr_parse(text, &a), 0);
	return a;
}

static struct mdns *fresh(void)
{
	struct mdns *m;
	struct addr a = at("192.168.1.10:0");

	rng_seed(&rng, 1);
	m = mdns_create(&rng);
	assert_int_equal(mdns_add_link(m, &a, 24), 0);
	assert_int_equal(mdns_add_link(m, &a, 24), -EEXIST);
	return m;
}

static void answer_from(struct mdns *m, usec_t now, const char *from, const char *name,
			const char *ip, uint32_t ttl)
{
	uint8_t buf[512];
	struct writer w = writer_of(buf, sizeof(buf));
	struct addr addr;
	struct dgram d = { .local = at("192.168.1.10:5353"), .remote = at(from) };

	assert_int_equal(addr_parse_ip(ip, &addr), 0);
	mdns_write_answer(&w, name, &addr, ttl, 0, NULL);
	d.data = writer_span(&w);
	mdns_input(m, now, &d);
}

static unsigned drain(struct mdns *m)
{
	struct dgram d;
	unsigned n = 0;

	while (mdns_next_output(m, &d))
		n++;
	return n;
}

static void expect_address(struct mdns *m, const char *ip)
{
	struct mdns_event e;
	char text[ADDR_TEXT_MAX];

	assert_true(mdns_next_event(m, &e));
	assert_int_equal(e.type, MDNS_EVENT_ADDRESS);
	assert_string_equal(e.name, NAME);
	assert_string_equal(addr_format_ip(&e.addr, text), ip);
}

static void test_names(void **state)
{
	assert_true(mdns_is_name(NAME));
	assert_true(mdns_is_name(NAME_UPPER));
	assert_false(mdns_is_name("printer.local"));
	assert_false(mdns_is_name("5b3cf0c4-8b1f-4b5e-9a55-0f4f5f0d8d11.local."));
	assert_false(mdns_is_name("5b3cf0c4-8b1f-4b5e-9a55-0f4f5f0d8d1g.local"));
	assert_false(mdns_is_name("5b3cf0c4.8b1f-4b5e-9a55-0f4f5f0d8d11.local"));
	assert_false(mdns_is_name("5b3cf0c4-8b1f-4b5e-9a55-0f4f5f0d8d11.locax"));
}

static void test_resolve(void **state)
{
	struct mdns *m = fresh();
	struct dgram d;
	struct mdns_msg msg;
	struct mdns_event e;

	assert_int_equal(mdns_resolve(m, NOW, "printer.local"), FL_EUNSUPPORTED);
	assert_int_equal(mdns_resolve(m, NOW, NAME_UPPER), 0);
	assert_int_equal(mdns_resolve(m, NOW, NAME), 0); /* asked already */
	assert_true(mdns_next_output(m, &d));
	assert_int_equal(d.remote.port, 5353);
	assert_int_equal(d.local.port, 5353);
	assert_int_equal(mdns_parse(d.data, &msg), 0);
	assert_false(msg.response);
	assert_int_equal(msg.n_questions, 2);
	assert_string_equal(msg.questions[0].name, NAME);
	assert_int_equal(msg.questions[0].type, MDNS_A);
	assert_string_equal(msg.questions[1].name, NAME);
	assert_int_equal(msg.questions[1].type, MDNS_AAAA);
	assert_false(msg.questions[0].unicast);
	assert_false(mdns_next_output(m, &d));
	answer_from(m, NOW + 20000, "192.168.1.20:5353", NAME_UPPER, "192.168.1.20", 120);
	expect_address(m, "192.168.1.20");
	assert_false(mdns_next_event(m, &e));
	mdns_timeout(m, NOW + 100000);
	assert_int_equal(drain(m), 0); /* found: not asked again */
	mdns_destroy(m);
}

static void test_retries_and_gives_up(void **state)
{
	static const unsigned times_ms[] = { 100, 300, 1000, 3000 };
	struct mdns *m = fresh();
	struct mdns_event e;

	assert_int_equal(mdns_resolve(m, NOW, NAME), 0);
	assert_int_equal(drain(m), 1);
	for (size_t i = 0; i < ARRAY_LEN(times_ms); i++) {
		usec_t due = NOW + times_ms[i] * USEC_PER_MSEC;

		assert_true(mdns_deadline(m) == due);
		assert_false(mdns_next_event(m, &e));
		mdns_timeout(m, due);
		assert_int_equal(drain(m), times_ms[i] < 3000);
	}
	assert_true(mdns_next_event(m, &e));
	assert_int_equal(e.type, MDNS_EVENT_NOTHING);
	assert_string_equal(e.name, NAME);
	assert_true(mdns_deadline(m) == USEC_NEVER);
	mdns_destroy(m);
}

static void test_announcement_is_remembered(void **state)
{
	struct mdns *m = fresh();
	struct mdns_event e;

	answer_from(m, NOW, "192.168.1.20:5353", NAME, "192.168.1.20", 120);
	assert_false(mdns_next_event(m, &e)); /* nobody asked */
	assert_int_equal(mdns_resolve(m, NOW + 1, NAME), 0);
	expect_address(m, "192.168.1.20");
	assert_int_equal(drain(m), 0);
	/* a goodbye, and the end of its time, make it forgotten */
	answer_from(m, NOW + 2, "192.168.1.20:5353", NAME, "192.168.1.20", 0);
	assert_int_equal(mdns_resolve(m, NOW + 3, NAME), 0);
	assert_false(mdns_next_event(m, &e));
	assert_int_equal(drain(m), 1);
	answer_from(m, NOW + 4, "192.168.1.20:5353", NAME, "192.168.1.21", 120);
	expect_address(m, "192.168.1.21");
	mdns_timeout(m, NOW + 5 * USEC_PER_SEC); /* the question is over */
	mdns_timeout(m, mdns_deadline(m) == USEC_NEVER ? NOW : mdns_deadline(m));
	assert_int_equal(mdns_resolve(m, NOW + 200 * USEC_PER_SEC, NAME), 0);
	assert_false(mdns_next_event(m, &e));
	mdns_destroy(m);
}

static void test_strangers(void **state)
{
	struct mdns *m = fresh();
	struct mdns_event e;

	assert_int_equal(mdns_resolve(m, NOW, NAME), 0);
	answer_from(m, NOW, "10.9.9.9:5353", NAME, "192.168.1.20", 120);
	assert_int_equal(mdns_stats(m)->off_link, 1);
	answer_from(m, NOW, "192.168.1.20:5353", NAME, "203.0.113.1", 120);
	answer_from(m, NOW, "192.168.1.20:5353", NAME, "127.0.0.1", 120);
	assert_int_equal(mdns_stats(m)->off_link, 3);
	answer_from(m, NOW, "192.168.1.20:5354", NAME, "192.168.1.20", 120);
	assert_int_equal(mdns_stats(m)->wrong_port, 1);
	answer_from(m, NOW, "192.168.1.20:5353", "router.local", "192.168.1.1", 120);
	assert_int_equal(mdns_stats(m)->addresses_learned, 0);
	assert_false(mdns_next_event(m, &e));
	mdns_destroy(m);
}

static void test_cache_limit(void **state)
{
	struct mdns *m = fresh();
	char name[MDNS_HOST_LEN + 1];

	for (unsigned i = 0; i < 2 * MDNS_CACHE_MAX; i++) {
		snprintf(name, sizeof(name), "%08x-8b1f-4b5e-9a55-0f4f5f0d8d11.local", i);
		answer_from(m, NOW + i, "192.168.1.20:5353", name, "192.168.1.20", 120);
	}
	assert_int_equal(mdns_stats(m)->over_limit, MDNS_CACHE_MAX);
	mdns_destroy(m);
}

static void ask(struct mdns *m, usec_t now, const char *from, const char *name)
{
	uint8_t buf[512];
	struct writer w = writer_of(buf, sizeof(buf));
	struct dgram d = { .local = at("192.168.1.10:5353"), .remote = at(from) };

	mdns_write_query(&w, name);
	d.data = writer_span(&w);
	mdns_input(m, now, &d);
}

static void test_own_name(void **state)
{
	struct mdns *m = fresh();
	struct addr own = at("192.168.1.10:0");
	char name[MDNS_HOST_LEN + 1];
	struct dgram d;
	struct mdns_msg msg;

	assert_int_equal(mdns_publish(m, NOW, &own, name), 0);
	assert_true(mdns_is_name(name));
	assert_int_equal(drain(m), 1); /* announced */
	mdns_timeout(m, mdns_deadline(m));
	assert_int_equal(drain(m), 1); /* and again */
	assert_true(mdns_deadline(m) == USEC_NEVER);
	ask(m, NOW + 5 * USEC_PER_SEC, "192.168.1.20:5353", NAME);
	ask(m, NOW + 5 * USEC_PER_SEC, "10.9.9.9:5353", name);
	assert_int_equal(drain(m), 0);
	ask(m, NOW + 5 * USEC_PER_SEC, "192.168.1.20:5353", name);
	assert_true(mdns_next_output(m, &d));
	assert_int_equal(addr_range(&d.remote), ADDR_MULTICAST);
	assert_int_equal(mdns_parse(d.data, &msg), 0);
	assert_true(msg.response);
	assert_int_equal(msg.n_records, 1);
	assert_string_equal(msg.records[0].name, name);
	assert_true(addr_ip_equal(&msg.records[0].addr, &own));
	assert_false(mdns_next_output(m, &d));
	ask(m, NOW + 5 * USEC_PER_SEC + 1000, "192.168.1.20:5353", name);
	assert_int_equal(drain(m), 0); /* once a second */
	/* a simple resolver is answered where it asks from */
	ask(m, NOW + 7 * USEC_PER_SEC, "192.168.1.20:40000", name);
	assert_true(mdns_next_output(m, &d));
	assert_int_equal(d.remote.port, 40000);
	assert_int_equal(mdns_parse(d.data, &msg), 0);
	assert_int_equal(msg.n_questions, 1);
	mdns_withdraw(m, NOW + 8 * USEC_PER_SEC, name);
	assert_true(mdns_next_output(m, &d));
	assert_int_equal(mdns_parse(d.data, &msg), 0);
	assert_int_equal(msg.records[0].ttl, 0);
	ask(m, NOW + 9 * USEC_PER_SEC, "192.168.1.20:5353", name);
	assert_int_equal(drain(m), 0);
	mdns_destroy(m);
}

static void test_compression_pointers(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
		int err;
		size_t questions;
	} cases[] = {
		/* a name, then a pointer to it */
		{ "\0\0\0\0\0\2\0\0\0\0\0\0\1a\0\0\1\0\1\xc0\x0c\0\1\0\1", 25, 0, 2 },
		/* a pointer to itself */
		{ "\0\0\0\0\0\1\0\0\0\0\0\0\xc0\x0c\0\1\0\1", 18, FL_EMALFORMED, 0 },
		/* forward */
		{ "\0\0\0\0\0\1\0\0\0\0\0\0\xc0\x10\0\1\0\1\1a\0", 21, FL_EMALFORMED, 0 },
		/* a label, then a pointer to that label: a loop */
		{ "\0\0\0\0\0\1\0\0\0\0\0\0\1a\xc0\x0c\0\1\0\1", 20, FL_EMALFORMED, 0 },
		/* a label length with a reserved top */
		{ "\0\0\0\0\0\1\0\0\0\0\0\0\x41"
		  "a\0\0\1\0\1",
		  19, FL_EMALFORMED, 0 },
		/* counts that promise more than there is */
		{ "\0\0\0\0\xff\xff\0\0\0\0\0\0", 12, FL_EMALFORMED, 0 },
	};
	static struct mdns_msg msg;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_int_equal(mdns_parse(span_of(cases[i].bytes, cases[i].len), &msg),
				 cases[i].err);
		if (cases[i].err == 0)
			assert_int_equal(msg.n_questions, cases[i].questions);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_names),
		TEST(test_resolve),
		TEST(test_retries_and_gives_up),
		TEST(test_announcement_is_remembered),
		TEST(test_strangers),
		TEST(test_cache_limit),
		TEST(test_own_name),
		TEST(test_compression_pointers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
