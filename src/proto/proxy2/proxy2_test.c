#include "test.h"

#include "base/err.h"
#include "base/wire.h"
#include "proto/proxy2/proxy2.h"

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"

/* A header with that body; its length field says length, or the body's own when negative. */
static struct span header(uint8_t *buf, uint8_t command, uint8_t family, struct span body,
			  int length)
{
	struct writer w = writer_of(buf, PROXY2_MAX + 100);

	writer_bytes(&w, SIGNATURE, 12);
	writer_u8(&w, command);
	writer_u8(&w, family);
	writer_u16(&w, (uint16_t)(length < 0 ? (int)body.len : length));
	writer_bytes(&w, body.ptr, body.len);
	assert_false(writer_failed(&w));
	return span_of(buf, writer_len(&w));
}

#define V4                                                                                         \
	"\xc0\x00\x02\x01\xc6\x33\x64\x07\xd4\x31\x0d\x96" /* 192.0.2.1:54321 198.51.100.7:3478 */
#define V6                                                                                         \
	"\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x02"     \
	"\xd4\x31\x0d\x96"
#define TLVS "\x05\0\x03xyz\x20\0\0"

static struct span lit(const char *s, size_t len)
{
	return span_of(s, len);
}
#define LIT(s) lit(s, sizeof(s) - 1)

static void expect(struct span h, const char *source, const char *destination)
{
	struct proxy2 p;
	char text[ADDR_TEXT_MAX];
	size_t need;

	for (size_t n = 0; n < h.len; n++) {
		assert_int_equal(proxy2_parse(span_of(h.ptr, n), &p, &need), 0);
		assert_int_equal(need, n < PROXY2_PREFIX_LEN ? PROXY2_PREFIX_LEN : h.len);
	}
	assert_int_equal(proxy2_parse(h, &p, &need), 1);
	assert_int_equal(need, h.len);
	assert_false(p.local);
	if (!source) {
		assert_int_equal(p.source.family, ADDR_NONE);
		return;
	}
	assert_string_equal(addr_format(&p.source, text), source);
	assert_string_equal(addr_format(&p.destination, text), destination);
}

static void test_addresses(void **state)
{
	uint8_t buf[PROXY2_MAX + 100];
	const char *a = "192.0.2.1:54321", *b = "198.51.100.7:3478";

	expect(header(buf, 0x21, 0x11, LIT(V4), -1), a, b);
	expect(header(buf, 0x21, 0x12, LIT(V4 TLVS), -1), a, b);
	a = "[2001:db8::1]:54321";
	b = "[2001:db8::2]:3478";
	expect(header(buf, 0x21, 0x21, LIT(V6), -1), a, b);
	expect(header(buf, 0x21, 0x22, LIT(V6 TLVS), -1), a, b);
	expect(header(buf, 0x21, 0x00, LIT("anything"), -1), NULL, NULL);
}

static void test_what_follows_is_left(void **state)
{
	uint8_t buf[PROXY2_MAX + 100];
	struct span h = header(buf, 0x21, 0x11, LIT(V4 "\x16\x03\x01"), 12);
	struct proxy2 p;
	size_t need;

	assert_int_equal(proxy2_parse(h, &p, &need), 1);
	assert_int_equal(need, h.len - 3);
}

static void test_local(void **state)
{
	uint8_t buf[PROXY2_MAX + 100];
	struct proxy2 p;
	size_t need;

	/* the receiver takes the connection's own addresses, whatever else the header holds */
	assert_int_equal(proxy2_parse(header(buf, 0x20, 0x00, LIT(""), -1), &p, &need), 1);
	assert_true(p.local);
	assert_int_equal(need, 16);
	assert_int_equal(proxy2_parse(header(buf, 0x20, 0x11, LIT(V4), -1), &p, &need), 1);
	assert_true(p.local && p.source.family == ADDR_NONE);
}

static void test_refused(void **state)
{
	uint8_t buf[PROXY2_MAX + 100], long_body[PROXY2_MAX] = { 0 };
	struct proxy2 p;
	size_t need;
	struct span bad[] = {
		LIT("PROXY TCP4 192.0.2.1 198.51.100.7 1 2\r\n"), /* version 1 */
		LIT("\x16\x03\x01"),				  /* TLS at once */
		LIT("\r\n\r\n\0\r\nQUIX"),
	};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(proxy2_parse(bad[i], &p, &need), FL_EMALFORMED);
	for (unsigned command = 0; command < 256; command++)
		if (command != 0x20 && command != 0x21)
			assert_int_equal(
				proxy2_parse(header(buf, (uint8_t)command, 0x11, LIT(V4), -1), &p,
					     &need),
				FL_EMALFORMED);
	for (unsigned family = 0; family < 256; family++) {
		bool known = family == 0 || family == 0x11 || family == 0x12;
		struct span h = header(buf, 0x21, (uint8_t)family, LIT(V4), -1);

		assert_int_equal(proxy2_parse(h, &p, &need), known ? 1 : FL_EMALFORMED);
	}
	/* too short for its addresses, TLVs past the end, too long for us */
	assert_int_equal(proxy2_parse(header(buf, 0x21, 0x11, lit(V4, 11), -1), &p, &need),
			 FL_EMALFORMED);
	assert_int_equal(
		proxy2_parse(header(buf, 0x21, 0x11, LIT(V4 "\x05\0\x04xyz"), -1), &p, &need),
		FL_EMALFORMED);
	assert_int_equal(proxy2_parse(header(buf, 0x21, 0x11, LIT(V4 "\x05\0"), -1), &p, &need),
			 FL_EMALFORMED);
	assert_int_equal(
		proxy2_parse(header(buf, 0x21, 0x00, span_of(long_body, PROXY2_MAX - 15), -1), &p,
			     &need),
		FL_EMALFORMED);
}

static void test_write(void **state)
{
	static const char *const pairs[][2] = {
		{ "192.0.2.1:1000", "198.51.100.2:443" },
		{ "[2001:db8::1]:65535", "[2001:db8::2]:1" },
		{ "192.0.2.1:1000", "[2001:db8::2]:443" },
	};
	uint8_t out[PROXY2_HEADER_MAX];
	struct addr from, to;
	struct proxy2 p;
	size_t need;

	for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
		assert_int_equal(addr_parse(pairs[i][0], &from), 0);
		assert_int_equal(addr_parse(pairs[i][1], &to), 0);
		size_t n = proxy2_write(&from, &to, out);

		assert_int_equal(proxy2_parse(span_of(out, n), &p, &need), 1);
		assert_int_equal(need, n);
		assert_false(p.local);
		if (from.family != to.family) {
			assert_int_equal(p.source.family, ADDR_NONE);
			continue;
		}
		assert_true(addr_equal(&p.source, &from));
		assert_true(addr_equal(&p.destination, &to));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_addresses), TEST(test_what_follows_is_left),
		TEST(test_local),     TEST(test_refused),
		TEST(test_write),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
