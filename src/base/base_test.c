#include "test.h"

#include <errno.h>

#include "base/addr.h"
#include "base/buf.h"
#include "base/ct.h"
#include "base/err.h"
#include "base/list.h"
#include "base/log.h"
#include "base/map.h"
#include "base/pktq.h"
#include "base/siphash.h"
#include "base/text.h"
#include "base/usec.h"
#include "base/wire.h"

static void test_reader(void **state)
{
	static const uint8_t bytes[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9 };
	struct reader r = reader_of(span_of(bytes, sizeof(bytes))), sub;

	assert_int_equal(reader_u8(&r), 1);
	assert_int_equal(reader_u16(&r), 0x0203);
	sub = reader_sub(&r, 3);
	assert_int_equal(reader_u24(&sub), 0x040506);
	assert_true(reader_done(&sub));
	assert_int_equal(reader_u8(&sub), 0);
	assert_true(reader_failed(&sub));
	assert_int_equal(reader_left(&r), 3);
	assert_int_equal(reader_u32(&r), 0); /* too short: fails and stays failed */
	assert_true(reader_failed(&r));
	assert_int_equal(reader_u8(&r), 0);
	assert_int_equal(reader_left(&r), 0);
	assert_false(reader_done(&r));
}

static void test_reader_sub_too_long(void **state)
{
	struct reader r = reader_of(span_of("ab", 2)), sub = reader_sub(&r, 3);

	assert_true(reader_failed(&r) && reader_failed(&sub));
}

static void test_writer(void **state)
{
	uint8_t out[12];
	struct writer w = writer_of(out, sizeof(out));

	writer_u16(&w, 0);
	writer_u64(&w, 0x0102030405060708);
	writer_patch_u16(&w, 0, 0xbeef);
	assert_int_equal(writer_len(&w), 10);
	assert_memory_equal(out, "\xbe\xef\1\2\3\4\5\6\7\x8", 10);
	writer_u24(&w, 1); /* one byte too many: nothing is written */
	assert_true(writer_failed(&w));
	assert_int_equal(writer_len(&w), 10);
	writer_u8(&w, 1);
	assert_int_equal(writer_len(&w), 10);
}

static void test_buf(void **state)
{
	struct buf b = BUF_INIT(1000);
	char *s;

	assert_int_equal(buf_append(&b, "hello", 5), 0);
	buf_consume(&b, 2);
	assert_int_equal(buf_printf(&b, " %d", 42), 0);
	assert_true(span_is(buf_span(&b), "llo 42"));
	assert_int_equal(buf_append(&b, (char[995]){ 0 }, 995), FL_EQUOTA);
	assert_int_equal(b.len, 6);
	for (int i = 0; i < 200; i++) { /* slides inside its memory for ever */
		assert_int_equal(buf_append(&b, "0123456789", 10), 0);
		buf_consume(&b, 10);
	}
	assert_true(b.cap <= 512);
	s = buf_steal_string(&b);
	assert_int_equal(strlen(s), 6);
	free(s);
	buf_finish(&b);
}

static void test_map(void **state)
{
	struct rng rng;
	struct map *m;
	static int values[1000];
	size_t cursor = 0, seen = 0;

	rng_seed(&rng, 1);
	m = map_create(&rng, 600);
	for (int round = 0; round < 5; round++) {
		for (int i = 0; i < 600; i++)
			assert_int_equal(map_put(m, span_of(&i, sizeof(i)), &values[i]), 0);
		assert_int_equal(map_put(m, span_str("more"), &values[0]), FL_EQUOTA);
		for (int i = 0; i < 600; i++)
			assert_ptr_equal(map_get(m, span_of(&i, sizeof(i))), &values[i]);
		if (round == 4)
			break;
		for (int i = 599; i >= 0; i--)
			assert_ptr_equal(map_remove(m, span_of(&i, sizeof(i))), &values[i]);
		assert_int_equal(map_count(m), 0);
	}
	assert_int_equal(map_put(m, span_of(&(int){ 3 }, sizeof(int)), &values[0]), -EEXIST);
	while (map_next(m, &cursor))
		seen++;
	assert_int_equal(seen, 600);
	assert_null(map_get(m, span_str("absent")));
	map_destroy(m);
	map_destroy(NULL);
}

struct item {
	int n;
	struct list node;
};

static void test_list(void **state)
{
	struct item items[4] = { { .n = 0 }, { .n = 1 }, { .n = 2 }, { .n = 3 } }, *pos, *next;
	struct list head;
	int sum = 0;

	list_init(&head);
	assert_true(list_empty(&head));
	for (int i = 0; i < 4; i++)
		list_push_back(&head, &items[i].node);
	list_for_each (pos, next, &head, node) {
		sum = sum * 10 + pos->n;
		list_remove(&pos->node);
	}
	assert_int_equal(sum, 123);
	assert_true(list_empty(&head));
}

static void expect_range(const char *ip, enum addr_range range)
{
	struct addr a;

	assert_int_equal(addr_parse_ip(ip, &a), 0);
	if (addr_range(&a) != range)
		fail_msg("%s is in range %d, not %d", ip, addr_range(&a), range);
}

static void test_addr_range(void **state)
{
	expect_range("0.1.2.3", ADDR_UNSPECIFIED);
	expect_range("127.9.9.9", ADDR_LOOPBACK);
	expect_range("169.254.1.1", ADDR_LINK_LOCAL);
	expect_range("172.15.255.255", ADDR_PUBLIC);
	expect_range("172.16.0.0", ADDR_PRIVATE);
	expect_range("172.32.0.0", ADDR_PUBLIC);
	expect_range("100.64.0.1", ADDR_PRIVATE);
	expect_range("224.0.0.251", ADDR_MULTICAST);
	expect_range("255.255.255.255", ADDR_MULTICAST);
	expect_range("241.0.0.1", ADDR_RESERVED);
	expect_range("8.8.8.8", ADDR_PUBLIC);
	expect_range("::", ADDR_UNSPECIFIED);
	expect_range("::1", ADDR_LOOPBACK);
	expect_range("fe80::1", ADDR_LINK_LOCAL);
	expect_range("fd00::1", ADDR_PRIVATE);
	expect_range("ff02::fb", ADDR_MULTICAST);
	expect_range("2a00:1450::1", ADDR_PUBLIC);
	/* every way to hide an IPv4 address in an IPv6 one */
	expect_range("::ffff:127.0.0.1", ADDR_LOOPBACK);
	expect_range("::ffff:0:10.0.0.1", ADDR_PRIVATE);
	expect_range("64:ff9b::10.0.0.1", ADDR_PRIVATE);
	expect_range("2002:7f00:0001::1", ADDR_LOOPBACK);
	expect_range("::127.0.0.1", ADDR_LOOPBACK);
	expect_range("::ffff:8.8.8.8", ADDR_PUBLIC);
	expect_range("64:ff9b::8.8.8.8", ADDR_PUBLIC);
	expect_range("64:ff9b:1::8.8.8.8", ADDR_PRIVATE);
	expect_range("64:ff9b:1:ffff:ffff:ffff:ffff:ffff", ADDR_PRIVATE);
	expect_range("64:ff9b:2::1", ADDR_PUBLIC);
	expect_range("2001:0:808:808:0:ffff:f5ff:fffe", ADDR_PRIVATE); /* Teredo: 10.0.0.1 */
	expect_range("2001:0:a00:1:0:ffff:f7f7:f7f7", ADDR_PRIVATE);   /* its server: 10.0.0.1 */
	expect_range("2001:0:808:808:0:ffff:f7f7:f7f7", ADDR_PUBLIC);
	expect_range("2a00::5efe:127.0.0.1", ADDR_LOOPBACK);
	expect_range("2a00::200:5efe:192.168.1.1", ADDR_PRIVATE);
	expect_range("2a00::5efe:8.8.8.8", ADDR_PUBLIC);
	expect_range("2a00::5eff:127.0.0.1", ADDR_PUBLIC);
	expect_range("3fff::1", ADDR_RESERVED);
	expect_range("2001:2::1", ADDR_RESERVED);
	expect_range("2001:2f::1", ADDR_RESERVED);
	expect_range("2001:200::1", ADDR_PUBLIC);
	expect_range("100::1", ADDR_RESERVED);
	expect_range("5f00::1", ADDR_RESERVED);
}

static void expect_carried(const char *ip, const char *const *want, size_t n_want)
{
	struct addr a, out[ADDR_CARRIED_MAX];
	char text[ADDR_TEXT_MAX];
	size_t n;

	assert_int_equal(addr_parse_ip(ip, &a), 0);
	n = addr_carried(&a, out);
	assert_int_equal(n, n_want);
	for (size_t i = 0; want && i < n; i++)
		assert_string_equal(addr_format_ip(&out[i], text), want[i]);
}

static void test_addr_carried(void **state)
{
	expect_carried("8.8.8.8", NULL, 0);
	expect_carried("2a00::1", NULL, 0);
	expect_carried("::ffff:1.2.3.4", (const char *[]){ "1.2.3.4" }, 1);
	expect_carried("2002:102:304::1", (const char *[]){ "1.2.3.4" }, 1);
	expect_carried("2002:102:304::5efe:5.6.7.8", (const char *[]){ "1.2.3.4", "5.6.7.8" }, 2);
	expect_carried("2001:0:506:708:0:ffff:fefd:fcfb", (const char *[]){ "1.2.3.4", "5.6.7.8" },
		       2);
	/* RFC 6052 §2.4 with each length of prefix: /48, /56, /64, /96 */
	expect_carried("64:ff9b:1:c000:2:2100::",
		       (const char *[]){ "192.0.2.33", "0.2.33.0", "2.33.0.0", "0.0.0.0" }, 4);
	expect_carried(
		"64:ff9b:1::5efe:1.2.3.4",
		(const char *[]){ "0.0.0.94", "0.0.94.254", "0.94.254.1", "1.2.3.4", "1.2.3.4" },
		5);
}

static void test_addr_text(void **state)
{
	static const char *const bad[] = {
		"",	      ":",	  "1.2.3.4",   "1.2.3.4:", "1.2.3.4:65536",
		"1.2.3.4:01", "1.2.3:1",  "[::1]",     "::1:80",   "[1.2.3.4]:80",
		"[::1]:80x",  "[::1%]:1", "1.2.3.4:-1"
	};
	char text[ADDR_TEXT_MAX];
	struct addr a, b;

	assert_int_equal(addr_parse("192.0.2.1:80", &a), 0);
	assert_string_equal(addr_format(&a, text), "192.0.2.1:80");
	assert_int_equal(addr_parse("[fe80::1%7]:65535", &a), 0);
	assert_int_equal(a.scope, 7);
	assert_string_equal(addr_format(&a, text), "[fe80::1%7]:65535");
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (addr_parse(bad[i], &a) != FL_EMALFORMED)
			fail_msg("\"%s\" was taken for an address", bad[i]);
	assert_int_equal(addr_parse("[::ffff:1.2.3.4]:5", &a), 0);
	a = addr_unmap(&a);
	assert_string_equal(addr_format(&a, text), "1.2.3.4:5");
	assert_int_equal(addr_parse("10.1.2.3:1", &a), 0);
	assert_int_equal(addr_parse("10.1.3.3:1", &b), 0);
	assert_true(addr_same_prefix(&a, &b, 23));
	assert_false(addr_same_prefix(&a, &b, 24));
	assert_true(addr_same_prefix(&a, &b, 0));
	assert_false(addr_same_prefix(&a, &b, 33));
}

static void test_addr_sockaddr(void **state)
{
	struct sockaddr_storage ss;
	struct addr a, b;

	assert_int_equal(addr_parse("[fe80::1%7]:443", &a), 0);
	assert_int_equal(addr_from_sockaddr((struct sockaddr *)&ss, addr_to_sockaddr(&a, &ss), &b),
			 0);
	assert_true(addr_equal(&a, &b));
	ss.ss_family = AF_UNIX;
	assert_int_equal(addr_from_sockaddr((struct sockaddr *)&ss, sizeof(ss), &b),
			 FL_EUNSUPPORTED);
}

static void test_base64(void **state)
{
	static const char *const plain[] = { "", "f", "fo", "foo", "foob", "fooba", "foobar" };
	static const char *const coded[] = { "",	 "Zg==",     "Zm8=",	"Zm9v",
					     "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy" };
	static const char *const bad[] = { "Z",	    "Zg",   "Zg=",  "Zh==",    "Z===",
					   "Zm9v ", "Zm_v", "====", "Zg==Zg==" };
	char text[64];
	uint8_t out[64];

	for (size_t i = 0; i < ARRAY_LEN(plain); i++) { /* RFC 4648 §10 */
		text_b64_encode(span_str(plain[i]), text, sizeof(text));
		assert_string_equal(text, coded[i]);
		assert_int_equal(text_b64_decode(span_str(coded[i]), out, sizeof(out)), (int)i);
		assert_memory_equal(out, plain[i], i);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (text_b64_decode(span_str(bad[i]), out, sizeof(out)) != FL_EMALFORMED)
			fail_msg("\"%s\" was decoded", bad[i]);
	assert_int_equal(text_b64_decode(span_str("Zm9v"), out, 2), FL_EQUOTA);
	text_b64url_encode(span_of("\xfb\xff", 2), text, sizeof(text));
	assert_string_equal(text, "-_8");
	assert_int_equal(text_b64url_decode(span_str("-_8"), out, 2), 2);
	assert_int_equal(text_b64url_decode(span_str("-_8="), out, 8), FL_EMALFORMED);
}

static void test_hex(void **state)
{
	char text[9];
	uint8_t out[4];

	text_hex_encode(span_of("\x00\xab\xff", 3), text, sizeof(text));
	assert_string_equal(text, "00abff");
	assert_int_equal(text_hex_decode(span_str("00ABff"), out, 4), 3);
	assert_int_equal(text_hex_decode(span_str("0"), out, 4), FL_EMALFORMED);
	assert_int_equal(text_hex_decode(span_str("0g"), out, 4), FL_EMALFORMED);
	assert_int_equal(text_hex_decode(span_str("0011223344"), out, 4), FL_EQUOTA);
}

static void test_utf8(void **state)
{
	static const char *const good[] = {
		"", "abc", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xf4\x8f\xbf\xbf"
	};
	static const char *const bad[] = { "\x80",
					   "\xc0\x80",
					   "\xc3",
					   "\xe0\x9f\xbf",
					   "\xed\xa0\x80",
					   "\xf4\x90\x80\x80",
					   "\xf0\x80\x80\x80",
					   "\xff",
					   "\xe2\x82",
					   "a\xc3(" };
	char safe[64];

	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		assert_true(text_utf8_valid(span_str(good[i])));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(text_utf8_valid(span_str(bad[i])));
	assert_string_equal(
		text_printable(safe, sizeof(safe), span_str("a\nb\xe2\x80\xae\xff\xc3\xa9\\")),
		"a\\x0ab\\xe2\\x80\\xae\\xff\xc3\xa9\\x5c");
	/* a name that looks like another's: zero width, right-to-left mark, soft hyphen, tag */
	assert_string_equal(
		text_printable(safe, sizeof(safe), span_str("a\xe2\x80\x8b\xe2\x80\x8f\xc2\xad")),
		"a\\xe2\\x80\\x8b\\xe2\\x80\\x8f\\xc2\\xad");
	assert_string_equal(
		text_printable(safe, sizeof(safe), span_str("\xf3\xa0\x81\xa1\xf0\x9f\x98\x80")),
		"\\xf3\\xa0\\x81\\xa1\xf0\x9f\x98\x80");
	assert_string_equal(text_printable(safe, 6, span_str("abcdefgh")), "abcde");
	assert_string_equal(text_printable(safe, 5, span_str("ab\xc3\xa9\xc3\xa9")), "ab\xc3\xa9");
}

static void test_ct(void **state)
{
	char secret[] = "secret";

	assert_true(ct_equal(span_str("abc"), span_str("abc")));
	assert_false(ct_equal(span_str("abc"), span_str("abd")));
	assert_false(ct_equal(span_str("abc"), span_str("abcd")));
	ct_wipe(secret, sizeof(secret));
	assert_memory_equal(secret, "\0\0\0\0\0\0", 7);
}

static void test_rng(void **state)
{
	unsigned counts[10] = { 0 };
	struct rng a, b;

	rng_seed(&a, 7);
	rng_seed(&b, 7);
	assert_true(rng_u64(&a) == rng_u64(&b));
	for (int i = 0; i < 10000; i++)
		counts[rng_below(&a, 10)]++;
	for (int i = 0; i < 10; i++)
		assert_in_range(counts[i], 800, 1200);
	assert_true(rng_u64(rng_system()) != rng_u64(rng_system()));
}

static void test_err(void **state)
{
	assert_string_equal(err_name(-ENOENT), "ENOENT");
	assert_string_equal(err_name(FL_EQUOTA), "quota");
	assert_string_equal(err_text(-ENOENT), "No such file or directory");
	assert_string_equal(err_name(-99999), "unknown");
	assert_true(usec_add(USEC_NEVER - 1, 5) == USEC_NEVER);
	assert_true(usec_sub(1, 2) == 0);
}

#define CAUGHT_MAX 4200

static void catch_line(void *arg, enum log_level level, const char *line)
{
	(void)level;
	snprintf(arg, CAUGHT_MAX, "%s", line);
}

static void test_log(void **state)
{
	struct log_limit limit = { .period_us = 100, .burst = 2 };
	char line[CAUGHT_MAX];
	unsigned held;

	log_set_sink(catch_line, line);
	log_info("hello", "name=%s", "a\nb");
	assert_string_equal(line, "fairlead info: hello name=a\\x0ab\n");
	log_debug("unseen", NULL);
	assert_string_equal(line, "fairlead info: hello name=a\\x0ab\n");
	log_set_sink(NULL, NULL);
	assert_true(log_limit_pass(&limit, 1, &held) && log_limit_pass(&limit, 2, &held));
	assert_false(log_limit_pass(&limit, 3, &held));
	assert_true(log_limit_pass(&limit, 101, &held));
	assert_int_equal(held, 1);
}

static void test_pktq(void **state)
{
	struct pktq q = PKTQ_INIT(64 * 1024);
	uint8_t byte[3000];
	struct span out;
	uint32_t tag;
	unsigned in = 0, taken = 0;

	/* in and out at different speeds, so that moving and growing both happen */
	while (taken < 5000) {
		memset(byte, (int)(in & 0xff), sizeof(byte));
		while (pktq_push(&q, in, span_of(byte, in % sizeof(byte))) == 0) {
			in++;
			memset(byte, (int)(in & 0xff), sizeof(byte));
		}
		for (unsigned i = 0; i < 7; i++) {
			assert_true(pktq_pop(&q, &tag, &out));
			assert_int_equal(tag, taken);
			assert_int_equal(out.len, taken % sizeof(byte));
			for (size_t k = 0; k < out.len; k++)
				assert_int_equal(out.ptr[k], taken & 0xff);
			taken++;
		}
	}
	assert_int_equal(pktq_push(&q, 0, span_of(byte, 64 * 1024)), FL_EQUOTA);
	pktq_clear(&q);
	assert_false(pktq_pop(&q, &tag, &out));
	memset(pktq_reserve(&q, 100), 1, 100);
	assert_true(pktq_empty(&q));
	pktq_commit(&q, 9, 10);
	assert_true(pktq_peek(&q, &tag, &out) && tag == 9 && out.len == 10);
	pktq_finish(&q);
}

/* The vectors of the paper (Appendix A) and of its reference code: key 0…15, text 0…len−1. */
static void test_siphash(void **state)
{
	uint8_t key[SIPHASH_KEY_LEN], text[15];

	for (size_t i = 0; i < sizeof(key); i++)
		key[i] = (uint8_t)i;
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (uint8_t)i;
	assert_true(siphash24(key, span_of(text, 15)) == 0xa129ca6149be45e5);
	assert_true(siphash24(key, span_of(text, 8)) == 0x93f5f5799a932462);
	assert_true(siphash24(key, span_of(text, 0)) == 0x726fdb47dd0e0e31);
	assert_true(siphash13(key, span_of(text, 0)) == 0xabac0158050fc4dc);
	assert_true(siphash13(key, span_of(text, 1)) == 0xc9f49bf37d57ca93);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_reader),
		TEST(test_reader_sub_too_long),
		TEST(test_writer),
		TEST(test_buf),
		TEST(test_pktq),
		TEST(test_map),
		TEST(test_list),
		TEST(test_addr_range),
		TEST(test_addr_carried),
		TEST(test_addr_text),
		TEST(test_addr_sockaddr),
		TEST(test_base64),
		TEST(test_hex),
		TEST(test_utf8),
		TEST(test_ct),
		TEST(test_rng),
		TEST(test_err),
		TEST(test_log),
		TEST(test_siphash),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
