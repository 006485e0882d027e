#include "test.h"

#include <errno.h>

#include "base/err.h"
#include "proto/stun/stun.h"
#include "proto/stun/stun_client.h"
#include "proto/stun/stun_hash.h"

/* RFC 5769 §2.1 to §2.4. Padding there is 0x20, so these are for reading, not for comparing what
 * we write. */
#define V_TID "\xb7\xe7\xa7\x01\xbc\x34\xd6\x86\xfa\x87\xdf\xae"
#define V_PASSWORD "VOkJxbRl1RmTxUk/WvJxBt"

static const char v_request[] =
	"\x00\x01\x00\x58\x21\x12\xa4\x42" V_TID "\x80\x22\x00\x10"
	"STUN test client"
	"\x00\x24\x00\x04\x6e\x00\x01\xff"
	"\x80\x29\x00\x08\x93\x2f\xf9\xb1\x51\x26\x3b\x36"
	"\x00\x06\x00\x09"
	"evtj:h6vY   "
	"\x00\x08\x00\x14\x9a\xea\xa7\x0c\xbf\xd8\xcb\x56\x78\x1e\xf2\xb5\xb2\xd3\xf2\x49\xc1\xb5"
	"\x71\xa2"
	"\x80\x28\x00\x04\xe5\x7a\x3b\xcf";

static const char v_response4[] =
	"\x01\x01\x00\x3c\x21\x12\xa4\x42" V_TID "\x80\x22\x00\x0b"
	"test vector "
	"\x00\x20\x00\x08\x00\x01\xa1\x47\xe1\x12\xa6\x43"
	"\x00\x08\x00\x14\x2b\x91\xf5\x99\xfd\x9e\x90\xc3\x8c\x74\x89\xf9\x2a\xf9\xba\x53\xf0\x6b"
	"\xe7\xd7"
	"\x80\x28\x00\x04\xc0\x7d\x4c\x96";

static const char v_response6[] =
	"\x01\x01\x00\x48\x21\x12\xa4\x42" V_TID "\x80\x22\x00\x0b"
	"test vector "
	"\x00\x20\x00\x14\x00\x02\xa1\x47\x01\x13\xa9\xfa\xa5\xd3\xf1\x79\xbc\x25\xf4\xb5\xbe\xd2"
	"\xb9\xd9"
	"\x00\x08\x00\x14\xa3\x82\x95\x4e\x4b\xe6\x7b\xf1\x17\x84\xc9\x7c\x82\x92\xc2\x75\xbf\xe3"
	"\xed\x41"
	"\x80\x28\x00\x04\xc8\xfb\x0b\x4c";

#define V_USER4                                                                                    \
	"\xe3\x83\x9e\xe3\x83\x88\xe3\x83\xaa\xe3\x83\x83\xe3\x82\xaf\xe3\x82\xb9" /* §2.4 */

static const char v_long_term[] =
	"\x00\x01\x00\x60\x21\x12\xa4\x42\x78\xad\x34\x33\xc6\xad\x72\xc0\x29\xda\x41\x2e"
	"\x00\x06\x00\x12" V_USER4 "\x00\x00"
	"\x00\x15\x00\x1c"
	"f//499k954d6OL34oL9FSTvy64sA"
	"\x00\x14\x00\x0b"
	"example.org\x00"
	"\x00\x08\x00\x14\xf6\x70\x24\x65\x6d\xd6\x4a\x3e\x02\xb8\xe0\x71\x2e\x85\xc9\xa2\x8c\xa8"
	"\x96\x66";

/* RFC 8489 §B.1 with erratum 6268, which puts in the PASSWORD-ALGORITHM that its text calls for and
 * a length that fits. */
static const char v_sha256[] =
	"\x00\x01\x00\x90\x21\x12\xa4\x42\x78\xad\x34\x33\xc6\xad\x72\xc0\x29\xda\x41\x2e"
	"\x00\x1e\x00\x20\x4a\x3c\xf3\x8f\xef\x69\x92\xbd\xa9\x52\xc6\x78\x04\x17\xda\x0f"
	"\x24\x81\x94\x15\x56\x9e\x60\xb2\x05\xc4\x6e\x41\x40\x7f\x17\x04"
	"\x00\x15\x00\x29"
	"obMatJos2AAACf//499k954d6OL34oL9FSTvy64sA\x00\x00\x00"
	"\x00\x14\x00\x0b"
	"example.org\x00"
	"\x00\x1d\x00\x04\x00\x02\x00\x00"
	"\x00\x1c\x00\x20\xb5\xc7\xbf\x00\x5b\x6c\x52\xa2\x1c\x51\xc5\xe8\x92\xf8\x19\x24"
	"\x13\x62\x96\xcb\x92\x7c\x43\x14\x93\x09\x27\x8c\xc6\x51\x8e\x65";

#define VECTOR(v) span_of(v, sizeof(v) - 1)

static void test_vector_request(void **state)
{
	struct stun_msg m;
	struct span s;
	uint32_t priority;
	uint64_t tie;

	assert_true(stun_is_message(VECTOR(v_request)));
	assert_int_equal(stun_parse(VECTOR(v_request), &m), 0);
	assert_int_equal(m.class, STUN_REQUEST);
	assert_int_equal(m.method, STUN_BINDING);
	assert_memory_equal(m.tid, V_TID, 12);
	assert_true(stun_get(&m, STUN_SOFTWARE, &s) && span_is(s, "STUN test client"));
	assert_true(stun_get(&m, STUN_USERNAME, &s) && span_is(s, "evtj:h6vY"));
	assert_true(stun_get_u32(&m, STUN_PRIORITY, &priority));
	assert_int_equal(priority, 0x6e0001ff);
	assert_true(stun_get_u64(&m, STUN_ICE_CONTROLLED, &tie));
	assert_true(tie == 0x932ff9b151263b36);
	assert_int_equal(stun_check_fingerprint(&m), 0);
	assert_int_equal(stun_check_integrity(&m, span_str(V_PASSWORD)), 0);
	assert_int_equal(stun_check_integrity(&m, span_str("other")), FL_EUNAUTHENTICATED);
}

static void expect_response(struct span vector, const char *mapped)
{
	struct stun_msg m;
	struct addr a;
	char text[ADDR_TEXT_MAX];

	assert_int_equal(stun_parse(vector, &m), 0);
	assert_int_equal(m.class, STUN_SUCCESS);
	assert_true(stun_get_xor_addr(&m, STUN_XOR_MAPPED_ADDRESS, &a));
	assert_string_equal(addr_format(&a, text), mapped);
	assert_int_equal(stun_check_fingerprint(&m), 0);
	assert_int_equal(stun_check_integrity(&m, span_str(V_PASSWORD)), 0);
}

static void test_vector_responses(void **state)
{
	expect_response(VECTOR(v_response4), "192.0.2.1:32853");
	expect_response(VECTOR(v_response6), "[2001:db8:1234:5678:11:2233:4455:6677]:32853");
}

static void test_vector_long_term(void **state)
{
	struct stun_msg m;
	uint8_t key[STUN_HASH_MAX];
	struct span text = span_str(V_USER4 ":example.org:TheMatrIX");

	assert_int_equal(stun_parse(VECTOR(v_long_term), &m), 0);
	assert_true(stun_digest(STUN_HASH_MD5, &text, 1, key));
	assert_int_equal(stun_check_integrity(&m, span_of(key, 16)), 0);
	assert_int_equal(stun_check_fingerprint(&m), -ENOENT);
}

static void test_vector_sha256(void **state)
{
	struct span text = span_str(V_USER4 ":example.org:TheMatrIX"), hash;
	struct span name = span_str(V_USER4 ":example.org");
	uint8_t key[STUN_HASH_MAX], expected[STUN_HASH_MAX], again[sizeof(v_sha256)];
	struct stun_out o;
	struct stun_msg m;

	assert_int_equal(stun_parse(VECTOR(v_sha256), &m), 0);
	assert_true(stun_digest(STUN_HASH_SHA256, &text, 1, key));
	assert_int_equal(stun_check_integrity_sha256(&m, span_of(key, sizeof(key)), 32), 0);
	assert_int_equal(stun_check_integrity(&m, span_of(key, sizeof(key))), -ENOENT);
	assert_true(stun_get(&m, STUN_USERHASH, &hash));
	assert_true(stun_digest(STUN_HASH_SHA256, &name, 1, expected));
	assert_true(span_equal(hash, span_of(expected, sizeof(expected))));

	stun_begin(&o, again, sizeof(again), m.class, m.method, m.tid);
	for (size_t i = 0; i + 1 < m.n_attrs; i++)
		stun_put(&o, m.attrs[i].type, m.attrs[i].value);
	stun_put_integrity_sha256(&o, span_of(key, sizeof(key)), 32);
	assert_int_equal(stun_end(&o), sizeof(v_sha256) - 1);
	assert_memory_equal(again, v_sha256, sizeof(v_sha256) - 1);
}

/* RFC 2202 §2, §3 and RFC 4231 §4: a key longer than a block, and text in parts. */
static void test_hash(void **state)
{
	static const uint8_t sha1[] = "\xe8\xe9\x9d\x0f\x45\x23\x7d\x78\x6d\x6b"
				      "\xba\xa7\x96\x5c\x78\x08\xbb\xff\x1a\x91";
	static const uint8_t sha256[] =
		"\x60\xe4\x31\x59\x1e\xe0\xb6\x7f\x0d\x8a\x26\xaa\xcb\xf5\xb7\x7f"
		"\x8e\x0b\xc6\x21\x37\x28\xc5\x14\x05\x46\x04\x0f\x0e\xe3\x7f\x54";
	struct span parts[] = { span_str("Test Using Larger Than Block-Size Key"), span_of(NULL, 0),
				span_str(" and Larger Than One Block-Size Data") };
	struct span text = span_str("Test Using Larger Than Block-Size Key - Hash Key First");
	uint8_t key[131], out[STUN_HASH_MAX];

	memset(key, 0xaa, sizeof(key));
	assert_true(stun_hmac(STUN_HASH_SHA1, span_of(key, 80), parts, 3, out));
	assert_memory_equal(out, sha1, 20);
	assert_true(stun_hmac(STUN_HASH_SHA256, span_of(key, sizeof(key)), &text, 1, out));
	assert_memory_equal(out, sha256, 32);
	assert_int_equal(stun_hash_len(STUN_HASH_MD5), 16);
}

/* Every single-bit change of a protected message must be noticed. */
static void test_any_change_is_noticed(void **state)
{
	uint8_t bytes[sizeof(v_request) - 1];
	struct stun_msg m;

	memcpy(bytes, v_request, sizeof(bytes));
	for (size_t bit = 0; bit < 8 * sizeof(bytes); bit++) {
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_false(stun_parse(span_of(bytes, sizeof(bytes)), &m) == 0 &&
			     stun_check_integrity(&m, span_str(V_PASSWORD)) == 0 &&
			     stun_check_fingerprint(&m) == 0);
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
}

static void test_write_request(void **state)
{
	uint8_t buf[STUN_SHORT_MAX];
	struct stun_out o;
	struct stun_msg m;
	struct span s;
	uint32_t u32;
	uint64_t u64;
	int len;

	stun_begin(&o, buf, sizeof(buf), STUN_REQUEST, STUN_BINDING, (const uint8_t *)V_TID);
	stun_put(&o, STUN_USERNAME, span_str("remote:local"));
	stun_put(&o, STUN_SOFTWARE, span_str("x"));
	stun_put_u32(&o, STUN_PRIORITY, 0x01020304);
	stun_put_u64(&o, STUN_ICE_CONTROLLING, 0x0102030405060708);
	stun_put_flag(&o, STUN_USE_CANDIDATE);
	stun_put_integrity(&o, span_str("password"));
	stun_put_fingerprint(&o);
	len = stun_end(&o);
	assert_true(len > 0);
	assert_int_equal(stun_parse(span_of(buf, (size_t)len), &m), 0);
	assert_int_equal(stun_check_integrity(&m, span_str("password")), 0);
	assert_int_equal(stun_check_fingerprint(&m), 0);
	assert_true(stun_get(&m, STUN_USERNAME, &s) && span_is(s, "remote:local"));
	assert_true(stun_get(&m, STUN_SOFTWARE, &s) && span_is(s, "x"));
	assert_true(stun_get_u32(&m, STUN_PRIORITY, &u32) && u32 == 0x01020304);
	assert_true(stun_get_u64(&m, STUN_ICE_CONTROLLING, &u64) && u64 == 0x0102030405060708);
	assert_true(stun_get_flag(&m, STUN_USE_CANDIDATE));
	assert_false(stun_get_flag(&m, STUN_ICE_CONTROLLED));
}

static void test_write_error(void **state)
{
	static const uint16_t unknown[] = { 0x7001, 0x7002, 0x7003 };
	uint8_t buf[STUN_SHORT_MAX];
	struct stun_out o;
	struct stun_msg m;
	struct span s;
	uint16_t code;
	int len;

	stun_begin(&o, buf, sizeof(buf), STUN_ERROR, STUN_BINDING, (const uint8_t *)V_TID);
	stun_put_error(&o, 420, "Unknown Attribute");
	stun_put_unknown(&o, unknown, ARRAY_LEN(unknown));
	len = stun_end(&o);
	assert_true(len > 0);
	assert_int_equal(stun_parse(span_of(buf, (size_t)len), &m), 0);
	assert_int_equal(m.class, STUN_ERROR);
	assert_true(stun_get_error(&m, &code, &s));
	assert_int_equal(code, 420);
	assert_true(span_is(s, "Unknown Attribute"));
	assert_true(stun_get(&m, STUN_UNKNOWN_ATTRIBUTES, &s));
	assert_int_equal(s.len, 6);
	assert_memory_equal(s.ptr, "\x70\x01\x70\x02\x70\x03", 6);
}

static void test_write_addresses(void **state)
{
	static const char *const texts[] = { "192.0.2.7:9", "[2001:db8::7]:65535", "[::]:1" };
	uint8_t buf[STUN_SHORT_MAX];
	struct stun_out o;
	struct stun_msg m;
	struct addr a, b;
	int len;

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		assert_int_equal(addr_parse(texts[i], &a), 0);
		stun_begin(&o, buf, sizeof(buf), STUN_SUCCESS, STUN_BINDING,
			   (const uint8_t *)V_TID);
		stun_put_xor_addr(&o, STUN_XOR_MAPPED_ADDRESS, &a);
		stun_put_addr(&o, STUN_MAPPED_ADDRESS, &a);
		len = stun_end(&o);
		assert_int_equal(stun_parse(span_of(buf, (size_t)len), &m), 0);
		assert_true(stun_get_xor_addr(&m, STUN_XOR_MAPPED_ADDRESS, &b));
		assert_true(addr_equal(&a, &b));
		assert_true(stun_get_addr(&m, STUN_MAPPED_ADDRESS, &b));
		assert_true(addr_equal(&a, &b));
	}
}

static void test_write_too_long(void **state)
{
	uint8_t buf[64];
	struct stun_out o;

	stun_begin(&o, buf, sizeof(buf), STUN_REQUEST, STUN_BINDING, (const uint8_t *)V_TID);
	stun_put(&o, STUN_SOFTWARE, span_str("much too long for the buffer that was given to it"));
	stun_put_integrity(&o, span_str("k"));
	stun_put_fingerprint(&o);
	assert_int_equal(stun_end(&o), FL_EQUOTA);
}

/* What is behind MESSAGE-INTEGRITY is not protected by it and must not be seen (§14.5). */
static void test_after_integrity_is_ignored(void **state)
{
	uint8_t buf[STUN_SHORT_MAX];
	struct stun_out o;
	struct stun_msg m;
	int len;

	stun_begin(&o, buf, sizeof(buf), STUN_REQUEST, STUN_BINDING, (const uint8_t *)V_TID);
	stun_put_integrity(&o, span_str("k"));
	stun_put_flag(&o, STUN_USE_CANDIDATE);
	stun_put_fingerprint(&o);
	len = stun_end(&o);
	assert_int_equal(stun_parse(span_of(buf, (size_t)len), &m), 0);
	assert_false(stun_get_flag(&m, STUN_USE_CANDIDATE));
	assert_int_equal(stun_check_integrity(&m, span_str("k")), 0);
	assert_int_equal(stun_check_fingerprint(&m), 0);
}

/* MESSAGE-INTEGRITY-SHA256 may follow MESSAGE-INTEGRITY, not the other way round (§14.5, §14.6). */
static void test_order_of_integrity(void **state)
{
	static const struct {
		uint16_t put[4];
		size_t seen; /* of them */
	} rows[] = {
		{ { STUN_MESSAGE_INTEGRITY, STUN_MESSAGE_INTEGRITY_SHA256, STUN_FINGERPRINT }, 3 },
		{ { STUN_MESSAGE_INTEGRITY_SHA256, STUN_MESSAGE_INTEGRITY }, 1 },
		{ { STUN_MESSAGE_INTEGRITY_SHA256, STUN_REALM, STUN_FINGERPRINT }, 2 },
		{ { STUN_MESSAGE_INTEGRITY, STUN_MESSAGE_INTEGRITY, STUN_FINGERPRINT }, 2 },
		{ { STUN_MESSAGE_INTEGRITY, STUN_NONCE, STUN_MESSAGE_INTEGRITY_SHA256 }, 2 },
		{ { STUN_MESSAGE_INTEGRITY_SHA256, STUN_MESSAGE_INTEGRITY_SHA256 }, 1 },
		{ { STUN_NONCE, STUN_MESSAGE_INTEGRITY_SHA256, STUN_SOFTWARE }, 2 },
	};
	uint8_t buf[STUN_SHORT_MAX];
	struct stun_out o;
	struct stun_msg m;
	int len;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		stun_begin(&o, buf, sizeof(buf), STUN_REQUEST, STUN_BINDING,
			   (const uint8_t *)V_TID);
		for (size_t j = 0; j < ARRAY_LEN(rows[i].put) && rows[i].put[j]; j++) {
			if (rows[i].put[j] == STUN_MESSAGE_INTEGRITY)
				stun_put_integrity(&o, span_str("k"));
			else if (rows[i].put[j] == STUN_MESSAGE_INTEGRITY_SHA256)
				stun_put_integrity_sha256(&o, span_str("k"), 32);
			else if (rows[i].put[j] == STUN_FINGERPRINT)
				stun_put_fingerprint(&o);
			else
				stun_put(&o, rows[i].put[j], span_str("x"));
		}
		len = stun_end(&o);
		assert_int_equal(stun_parse(span_of(buf, (size_t)len), &m), 0);
		assert_int_equal(m.n_attrs, rows[i].seen);
		if (stun_find(&m, STUN_MESSAGE_INTEGRITY))
			assert_int_equal(stun_check_integrity(&m, span_str("k")), 0);
		if (stun_find(&m, STUN_MESSAGE_INTEGRITY_SHA256))
			assert_int_equal(stun_check_integrity_sha256(&m, span_str("k"), 32), 0);
		if (stun_find(&m, STUN_FINGERPRINT))
			assert_int_equal(stun_check_fingerprint(&m), 0);
	}
}

/* §14.6: 16 to 32 bytes, a multiple of 4, and not below what the usage allows. */
static void test_shortened_sha256(void **state)
{
	uint8_t buf[STUN_SHORT_MAX], mac[40] = { 0 };
	struct span value;
	struct stun_out o;
	struct stun_msg m;
	int len;

	for (size_t n = 16; n <= 32; n += 4) {
		stun_begin(&o, buf, sizeof(buf), STUN_REQUEST, STUN_BINDING,
			   (const uint8_t *)V_TID);
		stun_put_integrity_sha256(&o, span_str("k"), n);
		len = stun_end(&o);
		assert_int_equal(stun_parse(span_of(buf, (size_t)len), &m), 0);
		assert_true(stun_get(&m, STUN_MESSAGE_INTEGRITY_SHA256, &value));
		assert_int_equal(value.len, n);
		for (size_t min = 16; min <= 32; min += 4)
			assert_int_equal(stun_check_integrity_sha256(&m, span_str("k"), min),
					 n >= min ? 0 : FL_EUNAUTHENTICATED);
		assert_int_equal(stun_check_integrity_sha256(&m, span_str("l"), 16),
				 FL_EUNAUTHENTICATED);
	}
	for (size_t n = 0; n <= sizeof(mac); n++) {
		stun_begin(&o, buf, sizeof(buf), STUN_REQUEST, STUN_BINDING,
			   (const uint8_t *)V_TID);
		stun_put(&o, STUN_MESSAGE_INTEGRITY_SHA256, span_of(mac, n));
		len = stun_end(&o);
		assert_int_equal(stun_parse(span_of(buf, (size_t)len), &m), 0);
		assert_int_equal(stun_check_integrity_sha256(&m, span_str("k"), 16),
				 FL_EUNAUTHENTICATED);
	}
}

/* A MAC over more than that is neither made nor checked. */
static void test_integrity_of_long_message(void **state)
{
	static uint8_t buf[STUN_INTEGRITY_MAX + 100], text[STUN_INTEGRITY_MAX];
	struct stun_out o;
	struct stun_msg m;
	int len;

	for (size_t n = STUN_INTEGRITY_MAX - 24; n <= STUN_INTEGRITY_MAX - 20; n += 4) {
		stun_begin(&o, buf, sizeof(buf), STUN_REQUEST, STUN_BINDING,
			   (const uint8_t *)V_TID);
		stun_put(&o, STUN_SOFTWARE, span_of(text, n));
		stun_put_integrity_sha256(&o, span_str("k"), 32);
		len = stun_end(&o);
		if (n > STUN_INTEGRITY_MAX - 24) {
			assert_int_equal(len, FL_EQUOTA);
			continue;
		}
		assert_int_equal(stun_parse(span_of(buf, (size_t)len), &m), 0);
		assert_int_equal(stun_check_integrity_sha256(&m, span_str("k"), 32), 0);
	}
	stun_begin(&o, buf, sizeof(buf), STUN_REQUEST, STUN_BINDING, (const uint8_t *)V_TID);
	stun_put(&o, STUN_SOFTWARE, span_of(text, STUN_INTEGRITY_MAX - 20));
	stun_put(&o, STUN_MESSAGE_INTEGRITY, span_of(text, 20));
	len = stun_end(&o);
	assert_int_equal(stun_parse(span_of(buf, (size_t)len), &m), 0);
	assert_int_equal(stun_check_integrity(&m, span_str("k")), FL_EQUOTA);
}

static void test_unknown(void **state)
{
	static const uint16_t known[] = { STUN_PRIORITY };
	uint8_t buf[STUN_SHORT_MAX];
	struct stun_out o;
	struct stun_msg m;
	uint16_t types[4];
	int len;

	stun_begin(&o, buf, sizeof(buf), STUN_REQUEST, STUN_BINDING, (const uint8_t *)V_TID);
	stun_put_u32(&o, STUN_PRIORITY, 1);
	stun_put_u32(&o, 0x7777, 1);
	stun_put_u32(&o, 0x9999, 1); /* optional to understand */
	stun_put(&o, STUN_REALM, span_str("r"));
	stun_put(&o, STUN_USERHASH, span_str("h"));
	stun_put(&o, STUN_PASSWORD_ALGORITHM, span_str("a"));
	len = stun_end(&o);
	assert_int_equal(stun_parse(span_of(buf, (size_t)len), &m), 0);
	assert_int_equal(stun_unknown(&m, known, 1, types, ARRAY_LEN(types)), 1);
	assert_int_equal(types[0], 0x7777);
}

static void test_malformed(void **state)
{
	static const char *const bad[] = {
		"\x00\x01\x00\x04\x21\x12\xa4\x42" V_TID,		     /* too short */
		"\x00\x01\x00\x04\x21\x12\xa4\x43" V_TID "\x00\x24\x00\x00", /* no cookie */
		"\x40\x01\x00\x04\x21\x12\xa4\x42" V_TID "\x00\x24\x00\x00", /* no STUN */
		"\x00\x01\x00\x04\x21\x12\xa4\x42" V_TID "\x00\x24\x00\x01", /* inner length */
	};
	static const size_t lens[] = { 20, 24, 24, 24 };
	struct stun_msg m;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(stun_parse(span_of(bad[i], lens[i]), &m), FL_EMALFORMED);
	for (size_t len = 0; len < sizeof(v_request) - 1; len++)
		assert_int_equal(stun_parse(span_of(v_request, len), &m), FL_EMALFORMED);
}

static void test_too_many_attributes(void **state)
{
	uint8_t buf[STUN_SHORT_MAX];
	struct stun_out o;
	struct stun_msg m;
	int len;

	for (size_t n = STUN_ATTRS_MAX; n <= STUN_ATTRS_MAX + 1; n++) {
		stun_begin(&o, buf, sizeof(buf), STUN_REQUEST, STUN_BINDING,
			   (const uint8_t *)V_TID);
		for (size_t i = 0; i < n; i++)
			stun_put_flag(&o, 0x8123);
		len = stun_end(&o);
		assert_int_equal(stun_parse(span_of(buf, (size_t)len), &m),
				 n > STUN_ATTRS_MAX ? FL_EMALFORMED : 0);
	}
}

static void test_client(void **state)
{
	struct stun_client c;
	struct rng rng;
	usec_t now = 1000, first = now;
	unsigned sent = 0;

	rng_seed(&rng, 1);
	stun_client_start(&c, &rng, now, 0);
	for (;;) {
		enum stun_client_step step = stun_client_due(&c, now);

		if (step == STUN_CLIENT_GIVE_UP)
			break;
		assert_int_equal(step, STUN_CLIENT_SEND);
		assert_int_equal(stun_client_due(&c, now), STUN_CLIENT_WAIT);
		sent++;
		now = stun_client_deadline(&c);
	}
	assert_int_equal(sent, STUN_TRIES_MAX);
	assert_int_equal(now - first, 6300 * USEC_PER_MSEC);
	assert_true(stun_client_deadline(&c) == USEC_NEVER);
}

static void test_client_once(void **state)
{
	struct stun_client c;
	struct rng rng;

	rng_seed(&rng, 1);
	stun_client_start_once(&c, &rng, 1000, USEC_PER_SEC);
	assert_int_equal(stun_client_due(&c, 1000), STUN_CLIENT_SEND);
	assert_int_equal(stun_client_deadline(&c), 1000 + USEC_PER_SEC);
	assert_int_equal(stun_client_due(&c, USEC_PER_SEC), STUN_CLIENT_WAIT);
	assert_int_equal(stun_client_due(&c, 1000 + USEC_PER_SEC), STUN_CLIENT_GIVE_UP);
	assert_true(stun_client_deadline(&c) == USEC_NEVER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_vector_request),
		TEST(test_vector_responses),
		TEST(test_vector_long_term),
		TEST(test_vector_sha256),
		TEST(test_hash),
		TEST(test_any_change_is_noticed),
		TEST(test_write_request),
		TEST(test_write_error),
		TEST(test_write_addresses),
		TEST(test_write_too_long),
		TEST(test_after_integrity_is_ignored),
		TEST(test_order_of_integrity),
		TEST(test_shortened_sha256),
		TEST(test_integrity_of_long_message),
		TEST(test_unknown),
		TEST(test_malformed),
		TEST(test_too_many_attributes),
		TEST(test_client),
		TEST(test_client_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
