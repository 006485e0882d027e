#include "test.h"

#include "proto/stun/stun.h"
#include "relay/binding.h"

static struct binding *fresh(void)
{
	static struct binding b;
	struct rng rng;

	rng_seed(&rng, 1);
	binding_init(&b, &rng);
	return &b;
}

/* A request with nothing, a FINGERPRINT, or an attribute that nobody knows. */
enum kind { BARE, MARKED, STRANGE, INDICATION };

static size_t ask(struct binding *b, usec_t now, const char *from, enum kind kind, uint8_t *answer)
{
	uint8_t buf[128];
	struct stun_out o;
	struct dgram d = { 0 };

	assert_int_equal(addr_parse(from, &d.remote), 0);
	stun_begin(&o, buf, sizeof(buf), kind == INDICATION ? STUN_INDICATION : STUN_REQUEST,
		   STUN_BINDING, (const uint8_t *)"abcdefghijkl");
	if (kind == STRANGE)
		stun_put_u32(&o, 0x7123, 1);
	if (kind == MARKED)
		stun_put_fingerprint(&o);
	d.data = span_of(buf, (size_t)stun_end(&o));
	return binding_answer(b, now, &d, answer);
}

static void expect_mapped(const char *from, enum kind kind, size_t want_len)
{
	struct binding *b = fresh();
	uint8_t answer[BINDING_ANSWER_MAX];
	size_t len = ask(b, 1, from, kind, answer);
	struct stun_msg m;
	struct addr mapped;
	char text[ADDR_TEXT_MAX];

	assert_int_equal(len, want_len);
	assert_int_equal(stun_parse(span_of(answer, len), &m), 0);
	assert_int_equal(m.class, STUN_SUCCESS);
	assert_memory_equal(m.tid, "abcdefghijkl", 12);
	assert_true(stun_get_xor_addr(&m, STUN_XOR_MAPPED_ADDRESS, &mapped));
	assert_string_equal(addr_format(&mapped, text), from);
	assert_int_equal(stun_check_fingerprint(&m) == 0, kind == MARKED);
	assert_int_equal(b->answered, 1);
}

static void test_mapped(void **state)
{
	expect_mapped("192.0.2.1:5000", BARE, 32);
	expect_mapped("192.0.2.1:5000", MARKED, 40);
	expect_mapped("[2001:db8::1]:5000", BARE, 44);
}

static void test_refusals(void **state)
{
	struct binding *b = fresh();
	uint8_t answer[BINDING_ANSWER_MAX];
	struct dgram d = { .data = span_str("no STUN") };
	struct stun_msg m;
	uint16_t code;
	struct span reason;
	size_t len;

	assert_int_equal(binding_answer(b, 1, &d, answer), 0);
	assert_int_equal(b->malformed, 1);
	assert_int_equal(ask(b, 1, "192.0.2.1:5000", INDICATION, answer), 0);
	assert_int_equal(b->other, 1);
	assert_int_equal(ask(b, 1, "192.0.2.1:0", BARE, answer), 0);
	len = ask(b, 1, "192.0.2.1:5000", STRANGE, answer);
	assert_int_equal(stun_parse(span_of(answer, len), &m), 0);
	assert_true(stun_get_error(&m, &code, &reason) && code == 420);
}

static void test_limit(void **state)
{
	struct binding *b = fresh();
	uint8_t answer[BINDING_ANSWER_MAX];
	unsigned answered = 0;

	for (unsigned i = 0; i < 2 * BINDING_PER_SECOND; i++)
		answered += ask(b, USEC_PER_SEC + i, "192.0.2.1:5000", BARE, answer) > 0;
	assert_int_equal(answered, BINDING_PER_SECOND);
	assert_int_equal(b->limited, BINDING_PER_SECOND);
	assert_true(ask(b, USEC_PER_SEC, "192.0.2.9:5000", BARE, answer) > 0);
	assert_true(ask(b, 2 * USEC_PER_SEC, "192.0.2.1:5000", BARE, answer) > 0);
	/* one IPv6 network is one source */
	for (unsigned i = 0; i < BINDING_PER_SECOND; i++)
		ask(b, USEC_PER_SEC, "[2001:db8::1]:5000", BARE, answer);
	assert_int_equal(ask(b, USEC_PER_SEC, "[2001:db8::2]:5000", BARE, answer), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_mapped),
		TEST(test_refusals),
		TEST(test_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
