/* Every attribute that STUN and TURN know here: bytes, and what they are read as. */
#include "test.h"

#include "base/err.h"
#include "proto/turn/turn_attr.h"

static const uint8_t tid[STUN_TID_LEN] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 };

/* How a value is read, and shown as text; false: it is of the wrong shape. */
typedef bool show_fn(const struct stun_msg *m, uint16_t type, char *out, size_t cap);

static bool show_bytes(const struct stun_msg *m, uint16_t type, char *out, size_t cap)
{
	struct span s;
	size_t n = 0;

	if (!stun_get(m, type, &s))
		return false;
	for (size_t i = 0; i < s.len; i++)
		n += (size_t)snprintf(out + n, cap - n, "%02x", s.ptr[i]);
	out[n] = 0;
	return true;
}

static bool show_flag(const struct stun_msg *m, uint16_t type, char *out, size_t cap)
{
	snprintf(out, cap, "set");
	return stun_get_flag(m, type);
}

static bool show_u32(const struct stun_msg *m, uint16_t type, char *out, size_t cap)
{
	uint32_t v;
	bool ok = stun_get_u32(m, type, &v);

	snprintf(out, cap, "%u", v);
	return ok;
}

static bool show_u64(const struct stun_msg *m, uint16_t type, char *out, size_t cap)
{
	uint64_t v;
	bool ok = stun_get_u64(m, type, &v);

	snprintf(out, cap, "%llu", (unsigned long long)v);
	return ok;
}

static bool show_addr(const struct stun_msg *m, uint16_t type, char *out, size_t cap)
{
	struct addr a;
	char text[ADDR_TEXT_MAX];
	bool ok = stun_get_addr(m, type, &a);

	snprintf(out, cap, "%s", ok ? addr_format(&a, text) : "");
	return ok;
}

static bool show_xor(const struct stun_msg *m, uint16_t type, char *out, size_t cap)
{
	struct addr a;
	char text[ADDR_TEXT_MAX];
	bool ok = stun_get_xor_addr(m, type, &a);

	snprintf(out, cap, "%s", ok ? addr_format(&a, text) : "");
	return ok;
}

static bool show_error(const struct stun_msg *m, uint16_t type, char *out, size_t cap)
{
	struct span reason;
	uint16_t code;
	bool ok = stun_get_error(m, &code, &reason);

	snprintf(out, cap, "%u %.*s", code, (int)reason.len, (const char *)reason.ptr);
	return ok;
}

static bool show_sha1(const struct stun_msg *m, uint16_t type, char *out, size_t cap)
{
	snprintf(out, cap, "%s", err_name(stun_check_integrity(m, span_str("key"))));
	return true;
}

static bool show_sha256(const struct stun_msg *m, uint16_t type, char *out, size_t cap)
{
	snprintf(out, cap, "%s", err_name(stun_check_integrity_sha256(m, span_str("key"), 16)));
	return true;
}

static bool show_fingerprint(const struct stun_msg *m, uint16_t type, char *out, size_t cap)
{
	snprintf(out, cap, "%s", err_name(stun_check_fingerprint(m)));
	return true;
}

static bool show_channel(const struct stun_msg *m, uint16_t type, char *out, size_t cap)
{
	uint16_t number;
	bool ok = turn_get_channel(m, &number);

	snprintf(out, cap, "%#x", number);
	return ok;
}

static bool show_family(const struct stun_msg *m, uint16_t type, char *out, size_t cap)
{
	uint8_t family;
	bool ok = turn_get_family(m, type, &family);

	snprintf(out, cap, "family %u", family);
	return ok;
}

static bool show_transport(const struct stun_msg *m, uint16_t type, char *out, size_t cap)
{
	uint8_t protocol;
	bool ok = turn_get_transport(m, &protocol);

	snprintf(out, cap, "protocol %u", protocol);
	return ok;
}

static bool show_even(const struct stun_msg *m, uint16_t type, char *out, size_t cap)
{
	bool reserve, ok = turn_get_even_port(m, &reserve);

	snprintf(out, cap, "%s", reserve ? "reserve" : "even");
	return ok;
}

static bool show_token(const struct stun_msg *m, uint16_t type, char *out, size_t cap)
{
	uint8_t t[TURN_RESERVATION_TOKEN_LEN] = { 0 };
	bool ok = turn_get_token(m, t);

	snprintf(out, cap, "%02x…%02x", t[0], t[7]);
	return ok;
}

static bool show_icmp(const struct stun_msg *m, uint16_t type, char *out, size_t cap)
{
	struct turn_icmp i;
	bool ok = turn_get_icmp(m, &i);

	snprintf(out, cap, "type %u code %u data %u", i.type, i.code, i.data);
	return ok;
}

static bool show_address_error(const struct stun_msg *m, uint16_t type, char *out, size_t cap)
{
	struct span reason;
	uint8_t family;
	uint16_t code;
	bool ok = turn_get_address_error(m, &family, &code, &reason);

	snprintf(out, cap, "family %u: %u %.*s", family, code, (int)reason.len,
		 (const char *)reason.ptr);
	return ok;
}

struct row {
	uint16_t type;
	show_fn *show;
	const char *value;
	size_t len;
	const char *text; /* NULL: refused */
};

#define ROW(type, show, value, text)                                                               \
	{                                                                                          \
		type, show, value, sizeof(value) - 1, text                                         \
	}
#define V4 "\x01\x11\x22\xc0\x00\x02\x07"
#define V6 "\x02\x11\x22\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x07"
#define X4 "\x01\x30\x30\xe1\x12\xa6\x45" /* 192.0.2.7:4386 behind the cookie */
#define X6 "\x02\x30\x30\x01\x13\xa9\xfa\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0b"
#define TEN "0123456789"

/* All the ways an address can be wrong, for every attribute that is one. */
#define ADDRESS_ROWS(type, show, v4, v6)                                                           \
	ROW(type, show, "\x00" v4, "192.0.2.7:4386"),                                              \
		ROW(type, show, "\xff" v4, "192.0.2.7:4386"), /* the first byte is ignored */      \
		ROW(type, show, "\x00" v6, "[2001:db8::7]:4386"), ROW(type, show, "", NULL),       \
		ROW(type, show, "\x00", NULL), ROW(type, show, "\x00\x01\x11\x22", NULL),          \
		ROW(type, show, "\x00\x01\x11\x22\xc0\x00\x02", NULL),                             \
		ROW(type, show, "\x00" v4 "\x00", NULL),                                           \
		ROW(type, show, "\x00\x02\x11\x22\xc0\x00\x02\x07", NULL), /* IPv6 of 4 bytes */   \
		ROW(type, show, "\x00\x00\x11\x22\xc0\x00\x02\x07", NULL), /* no such family */    \
		ROW(type, show, "\x00\x03\x11\x22\xc0\x00\x02\x07", NULL),                         \
		ROW(type, show, "\x00" v6 "\x00", NULL),                                           \
		ROW(type, show, "\x00\x01\x11\x22" TEN "012345", NULL) /* IPv4 of 16 */

#define U32_ROWS(type)                                                                             \
	ROW(type, show_u32, "\x00\x00\x02\x58", "600"),                                            \
		ROW(type, show_u32, "\xff\xff\xff\xff", "4294967295"),                             \
		ROW(type, show_u32, "", NULL), ROW(type, show_u32, "\x00\x02\x58", NULL),          \
		ROW(type, show_u32, "\x00\x00\x02\x58\x00", NULL)

#define U64_ROWS(type)                                                                             \
	ROW(type, show_u64, "\x00\x00\x00\x01\x00\x00\x00\x00", "4294967296"),                     \
		ROW(type, show_u64, "", NULL), ROW(type, show_u64, "0123456", NULL),               \
		ROW(type, show_u64, "012345678", NULL)

#define FAMILY_ROWS(type)                                                                          \
	ROW(type, show_family, "\x01\x00\x00\x00", "family 1"),                                    \
		ROW(type, show_family, "\x02\xff\xff\xff", "family 2"),                            \
		ROW(type, show_family, "\x07\x00\x00\x00", "family 7"),                            \
		ROW(type, show_family, "", NULL), ROW(type, show_family, "\x01", NULL),            \
		ROW(type, show_family, "\x01\x00\x00", NULL),                                      \
		ROW(type, show_family, "\x01\x00\x00\x00\x00", NULL)

/* Any length will do; odd ones are padded. */
#define BYTES_ROWS(type)                                                                           \
	ROW(type, show_bytes, "", ""), ROW(type, show_bytes, "a", "61"),                           \
		ROW(type, show_bytes, "ab\x00", "616200"),                                         \
		ROW(type, show_bytes, "abcde", "6162636465")

static const struct row rows[] = {
	ADDRESS_ROWS(STUN_MAPPED_ADDRESS, show_addr, V4, V6),
	ADDRESS_ROWS(STUN_ALTERNATE_SERVER, show_addr, V4, V6),
	ADDRESS_ROWS(STUN_XOR_MAPPED_ADDRESS, show_xor, X4, X6),
	ADDRESS_ROWS(TURN_XOR_PEER_ADDRESS, show_xor, X4, X6),
	ADDRESS_ROWS(TURN_XOR_RELAYED_ADDRESS, show_xor, X4, X6),
	U32_ROWS(STUN_PRIORITY),
	U32_ROWS(STUN_NOMINATION),
	U32_ROWS(TURN_LIFETIME),
	U32_ROWS(TURN_CONNECTION_ID),
	U64_ROWS(STUN_ICE_CONTROLLED),
	U64_ROWS(STUN_ICE_CONTROLLING),
	FAMILY_ROWS(TURN_REQUESTED_ADDRESS_FAMILY),
	FAMILY_ROWS(TURN_ADDITIONAL_ADDRESS_FAMILY),
	BYTES_ROWS(STUN_USERNAME),
	BYTES_ROWS(STUN_REALM),
	BYTES_ROWS(STUN_NONCE),
	BYTES_ROWS(STUN_USERHASH),
	BYTES_ROWS(STUN_PASSWORD_ALGORITHM),
	BYTES_ROWS(STUN_PASSWORD_ALGORITHMS),
	BYTES_ROWS(STUN_ALTERNATE_DOMAIN),
	BYTES_ROWS(STUN_SOFTWARE),
	BYTES_ROWS(STUN_UNKNOWN_ATTRIBUTES),
	BYTES_ROWS(TURN_DATA_ATTR),
	BYTES_ROWS(TURN_MOBILITY_TICKET),
	ROW(STUN_USE_CANDIDATE, show_flag, "", "set"),
	ROW(STUN_USE_CANDIDATE, show_flag, "abc", "set"),
	ROW(TURN_DONT_FRAGMENT, show_flag, "", "set"),
	ROW(TURN_DONT_FRAGMENT, show_flag, "abc", "set"),
	ROW(STUN_ERROR_CODE, show_error, "\x00\x00\x04\x26Stale", "438 Stale"),
	ROW(STUN_ERROR_CODE, show_error, "\xff\xff\xfc\x00", "400 "), /* reserved bits */
	ROW(STUN_ERROR_CODE, show_error, "\x00\x00\x03\x00x", "300 x"),
	ROW(STUN_ERROR_CODE, show_error, "\x00\x00\x06\x63x", "699 x"),
	ROW(STUN_ERROR_CODE, show_error, "", NULL),
	ROW(STUN_ERROR_CODE, show_error, "\x00\x00\x04", NULL),
	ROW(STUN_ERROR_CODE, show_error, "\x00\x00\x02\x00", NULL),
	ROW(STUN_ERROR_CODE, show_error, "\x00\x00\x07\x00", NULL),
	ROW(STUN_ERROR_CODE, show_error, "\x00\x00\x04\x64", NULL),
	ROW(STUN_MESSAGE_INTEGRITY, show_sha1, TEN TEN, "unauthenticated"),
	ROW(STUN_MESSAGE_INTEGRITY, show_sha1, "", "unauthenticated"),
	ROW(STUN_MESSAGE_INTEGRITY, show_sha1, TEN "012345678", "unauthenticated"),
	ROW(STUN_MESSAGE_INTEGRITY, show_sha1, TEN TEN "0", "unauthenticated"),
	ROW(STUN_MESSAGE_INTEGRITY_SHA256, show_sha256, TEN TEN TEN "01", "unauthenticated"),
	ROW(STUN_MESSAGE_INTEGRITY_SHA256, show_sha256, "", "unauthenticated"),
	ROW(STUN_MESSAGE_INTEGRITY_SHA256, show_sha256, TEN "01", "unauthenticated"),
	ROW(STUN_MESSAGE_INTEGRITY_SHA256, show_sha256, TEN TEN TEN "012345", "unauthenticated"),
	ROW(STUN_FINGERPRINT, show_fingerprint, "\x00\x00\x00\x00", "malformed"),
	ROW(STUN_FINGERPRINT, show_fingerprint, "", "malformed"),
	ROW(STUN_FINGERPRINT, show_fingerprint, "\x00\x00\x00", "malformed"),
	ROW(STUN_FINGERPRINT, show_fingerprint, "\x00\x00\x00\x00\x00", "malformed"),
	ROW(TURN_CHANNEL_NUMBER, show_channel, "\x40\x00\x00\x00", "0x4000"),
	ROW(TURN_CHANNEL_NUMBER, show_channel, "\x4f\xff\xff\xff", "0x4fff"),
	ROW(TURN_CHANNEL_NUMBER, show_channel, "\x3f\xff\x00\x00", "0x3fff"),
	ROW(TURN_CHANNEL_NUMBER, show_channel, "", NULL),
	ROW(TURN_CHANNEL_NUMBER, show_channel, "\x40\x00", NULL),
	ROW(TURN_CHANNEL_NUMBER, show_channel, "\x40\x00\x00", NULL),
	ROW(TURN_CHANNEL_NUMBER, show_channel, "\x40\x00\x00\x00\x00", NULL),
	ROW(TURN_REQUESTED_TRANSPORT, show_transport, "\x11\x00\x00\x00", "protocol 17"),
	ROW(TURN_REQUESTED_TRANSPORT, show_transport, "\x06\x01\x02\x03", "protocol 6"),
	ROW(TURN_REQUESTED_TRANSPORT, show_transport, "\xff\x00\x00\x00", "protocol 255"),
	ROW(TURN_REQUESTED_TRANSPORT, show_transport, "", NULL),
	ROW(TURN_REQUESTED_TRANSPORT, show_transport, "\x11", NULL),
	ROW(TURN_REQUESTED_TRANSPORT, show_transport, "\x11\x00\x00", NULL),
	ROW(TURN_REQUESTED_TRANSPORT, show_transport, "\x11\x00\x00\x00\x00", NULL),
	ROW(TURN_EVEN_PORT, show_even, "\x80", "reserve"),
	ROW(TURN_EVEN_PORT, show_even, "\x7f", "even"),
	ROW(TURN_EVEN_PORT, show_even, "", NULL),
	ROW(TURN_EVEN_PORT, show_even, "\x80\x00", NULL),
	ROW(TURN_EVEN_PORT, show_even, "\x80\x00\x00\x00", NULL),
	ROW(TURN_RESERVATION_TOKEN, show_token, "01234567", "30…37"),
	ROW(TURN_RESERVATION_TOKEN, show_token, "", NULL),
	ROW(TURN_RESERVATION_TOKEN, show_token, "0123456", NULL),
	ROW(TURN_RESERVATION_TOKEN, show_token, "012345678", NULL),
	ROW(TURN_ICMP, show_icmp, "\x00\x00\x06\x04\x00\x00\x05\x14", "type 3 code 4 data 1300"),
	ROW(TURN_ICMP, show_icmp, "\xff\xff\xff\xff\x00\x00\x00\x00", "type 127 code 511 data 0"),
	ROW(TURN_ICMP, show_icmp, "", NULL),
	ROW(TURN_ICMP, show_icmp, "\x00\x00\x06\x04", NULL),
	ROW(TURN_ICMP, show_icmp, "\x00\x00\x06\x04\x00\x00\x05", NULL),
	ROW(TURN_ICMP, show_icmp, "\x00\x00\x06\x04\x00\x00\x05\x14\x00", NULL),
	ROW(TURN_ADDRESS_ERROR_CODE, show_address_error, "\x02\x00\x04\x28No", "family 2: 440 No"),
	ROW(TURN_ADDRESS_ERROR_CODE, show_address_error, "\x01\xff\xfd\x08", "family 1: 508 "),
	ROW(TURN_ADDRESS_ERROR_CODE, show_address_error, "", NULL),
	ROW(TURN_ADDRESS_ERROR_CODE, show_address_error, "\x02\x00\x04", NULL),
	ROW(TURN_ADDRESS_ERROR_CODE, show_address_error, "\x02\x00\x01\x28", NULL),
	ROW(TURN_ADDRESS_ERROR_CODE, show_address_error, "\x02\x00\x04\xff", NULL),
};

static void parse_one(uint8_t *buf, size_t cap, const struct row *row, struct stun_msg *m)
{
	struct stun_out o;
	int len;

	stun_begin(&o, buf, cap, STUN_REQUEST, TURN_ALLOCATE, tid);
	stun_put(&o, row->type, span_of(row->value, row->len));
	len = stun_end(&o);
	assert_int_equal(len, STUN_HEADER_LEN + 4 + (row->len + 3) / 4 * 4);
	assert_int_equal(stun_parse(span_of(buf, (size_t)len), m), 0);
}

static void test_rows(void **state)
{
	uint8_t buf[256];
	struct stun_msg m;
	char text[128];
	bool ok;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		parse_one(buf, sizeof(buf), &rows[i], &m);
		ok = rows[i].show(&m, rows[i].type, text, sizeof(text));
		if (ok != (rows[i].text != NULL) || (ok && strcmp(text, rows[i].text) != 0))
			fail_msg("row %zu, type %#x: %s \"%s\", expected \"%s\"", i, rows[i].type,
				 ok ? "read as" : "refused", ok ? text : "",
				 rows[i].text ? rows[i].text : "(refused)");
	}
}

/* The getter of each row finds nothing in a message without the attribute. */
static void test_absent(void **state)
{
	static const struct row other = ROW(0x7777, NULL, "\x00\x01\x11\x22\xc0\x00\x02\x07", NULL);
	uint8_t buf[256];
	struct stun_msg m;
	char text[128];

	parse_one(buf, sizeof(buf), &other, &m);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (rows[i].show(&m, rows[i].type, text, sizeof(text)))
			assert_string_equal(text, "ENOENT");
}

/* What the writers make is what the rows above say. */
static void test_written(void **state)
{
	static const uint8_t expected[] =
		"\x00\x0c\x00\x04\x4f\xff\x00\x00" /* CHANNEL-NUMBER */
		"\x00\x17\x00\x04\x02\x00\x00\x00" /* REQUESTED-ADDRESS-FAMILY */
		"\x00\x19\x00\x04\x11\x00\x00\x00" /* REQUESTED-TRANSPORT */
		"\x00\x18\x00\x01\x80\x00\x00\x00" /* EVEN-PORT */
		"\x00\x18\x00\x01\x00\x00\x00\x00"
		"\x80\x04\x00\x08\x00\x00\x06\x04\x00\x00\x05\x14" /* ICMP */
		"\x80\x01\x00\x06\x02\x00\x04\x28No\x00\x00";	   /* ADDRESS-ERROR-CODE */
	const struct turn_icmp icmp = { 3, 4, 1300 };
	uint8_t buf[256];
	struct stun_out o;

	stun_begin(&o, buf, sizeof(buf), STUN_SUCCESS, TURN_ALLOCATE, tid);
	turn_put_channel(&o, 0x4FFF);
	turn_put_family(&o, TURN_REQUESTED_ADDRESS_FAMILY, TURN_FAMILY_V6);
	turn_put_transport(&o, TURN_PROTOCOL_UDP);
	turn_put_even_port(&o, true);
	turn_put_even_port(&o, false);
	turn_put_icmp(&o, &icmp);
	turn_put_address_error(&o, TURN_FAMILY_V6, 440, "No");
	assert_int_equal(stun_end(&o), STUN_HEADER_LEN + sizeof(expected) - 1);
	assert_memory_equal(buf + STUN_HEADER_LEN, expected, sizeof(expected) - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_rows),
		TEST(test_absent),
		TEST(test_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
