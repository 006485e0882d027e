#include "proto/dhcp/dhcp.h"

#include <string.h>

#include "base/err.h"
#include "test.h"

#define XID 0x01020304
#define URL "http://wpad.site.example/wpad.dat"

static const uint8_t ip[4] = { 192, 168, 1, 10 }, mac[6] = { 2, 0, 0, 0, 0, 1 };

/* A DHCPACK with these options; the length. */
static size_t ack(uint8_t dst[1500], const void *options, size_t len)
{
	assert_int_equal(dhcp_inform_write(dst, 1500, XID, ip, mac), DHCP_INFORM_LEN);
	dst[0] = 2;
	memset(dst + 240, 0, DHCP_INFORM_LEN - 240);
	memcpy(dst + 240, options, len);
	return 240 + len;
}

static int take(const void *options, size_t len, struct dhcp_ack *out)
{
	uint8_t message[1500];
	size_t n = ack(message, options, len);

	return dhcp_ack_read(span_of(message, n), XID, mac, out);
}
#define TAKE(text, out) take(text, sizeof(text) - 1, out)

static void what_is_asked(void **state)
{
	uint8_t message[DHCP_INFORM_LEN];

	assert_int_equal(dhcp_inform_write(message, sizeof(message), XID, ip, mac), 300);
	assert_memory_equal(message, "\1\1\6\0\1\2\3\4\0\0\0\0\300\250\1\12", 16);
	assert_memory_equal(message + 28, mac, 6);
	assert_memory_equal(message + 236, "\x63\x82\x53\x63\x35\1\10\x37\2\xfc\x0f\xff", 12);
	assert_int_equal(dhcp_inform_write(message, sizeof(message) - 1, XID, ip, mac), FL_EQUOTA);
}

static void what_is_answered(void **state)
{
	struct dhcp_ack got;

	assert_int_equal(TAKE("\x35\1\5\0\0\xfc\x21" URL "\xff", &got), 0);
	assert_int_equal(got.pac_len, strlen(URL));
	assert_memory_equal(got.pac, URL, got.pac_len);
	assert_int_equal(TAKE("\x35\1\5\xff", &got), 0);
	assert_int_equal(got.pac_len, 0);
	/* in parts (RFC 3396), and without the end */
	assert_int_equal(TAKE("\xfc\7http://\x35\1\5\xfc\3x/y", &got), 0);
	assert_int_equal(got.pac_len, 10);
	assert_memory_equal(got.pac, "http://x/y", 10);
}

static void overload(void **state)
{
	static const uint8_t file[] = { 0xfc, 4, 'f', 'i', 'l', 'e', 0xff },
			     sname[] = { 0xfc, 5, 's', 'n', 'a', 'm', 'e', 0xff };
	uint8_t message[1500];
	struct dhcp_ack got;
	size_t n = ack(message, "\x35\1\5\x34\1\3\xff", 7);

	memcpy(message + 108, file, sizeof(file));
	memcpy(message + 44, sname, sizeof(sname));
	assert_int_equal(dhcp_ack_read(span_of(message, n), XID, mac, &got), 0);
	assert_int_equal(got.pac_len, 9);
	assert_memory_equal(got.pac, "filesname", 9);
}

static void what_is_not_ours(void **state)
{
	uint8_t message[1500], other[6] = { 2, 0, 0, 0, 0, 2 };
	struct dhcp_ack got;
	size_t n = ack(message, "\x35\1\5\xff", 4);

	assert_int_equal(dhcp_ack_read(span_of(message, n), XID + 1, mac, &got), FL_EUNSUPPORTED);
	assert_int_equal(dhcp_ack_read(span_of(message, n), XID, other, &got), FL_EUNSUPPORTED);
	assert_int_equal(TAKE("\x35\1\2\xff", &got), FL_EUNSUPPORTED); /* an offer */
	message[0] = 1;
	assert_int_equal(dhcp_ack_read(span_of(message, n), XID, mac, &got), FL_EUNSUPPORTED);
}

static void garbage(void **state)
{
	uint8_t message[1500], options[6 * 257];
	struct dhcp_ack got;
	size_t n = ack(message, "\x35\1\5\xff", 4);

	for (size_t len = 0; len < 240; len++)
		assert_int_equal(dhcp_ack_read(span_of(message, len), XID, mac, &got),
				 FL_EMALFORMED);
	message[236] ^= 1;
	assert_int_equal(dhcp_ack_read(span_of(message, n), XID, mac, &got), FL_EMALFORMED);
	assert_int_equal(TAKE("\x35\1\5\xfc\x20short", &got), FL_EMALFORMED);
	assert_int_equal(TAKE("\x35\1\5\xfc", &got), FL_EMALFORMED);
	/* more than any URL */
	for (size_t i = 0; i < 5; i++) {
		memset(options + i * 257, 'a', 257);
		options[i * 257] = 0xfc;
		options[i * 257 + 1] = 255;
	}
	assert_int_equal(take(options, (size_t)4 * 257, &got), FL_EUNSUPPORTED); /* no type */
	assert_int_equal(take(options, 4 * 257 - 1, &got), FL_EMALFORMED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_asked), cmocka_unit_test(what_is_answered),
		cmocka_unit_test(overload),	 cmocka_unit_test(what_is_not_ours),
		cmocka_unit_test(garbage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
