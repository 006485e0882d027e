#include "test.h"

#include "base/err.h"
#include "proto/turn/turn.h"

static void test_channel_data(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
		int result, number;
		size_t payload;
	} rows[] = {
		{ "\x40\x00\x00\x03"
		  "abc",
		  7, 0, 0x4000, 3 },
		{ "\x4f\xff\x00\x03"
		  "abc\x00",
		  8, 0, 0x4FFF, 3 }, /* padding, or anything else behind it */
		{ "\x4f\xff\x00\x00", 4, 0, 0x4FFF, 0 },
		{ "\x40\x00\x00\x04"
		  "abc",
		  7, FL_EMALFORMED, 0, 0 },
		{ "\x3f\xff\x00\x00", 4, FL_EMALFORMED, 0, 0 },
		{ "\x7f\xff\x00\x00", 4, 0, 0x7FFF, 0 },
		{ "\x80\x00\x00\x00", 4, FL_EMALFORMED, 0, 0 },
		{ "\xff\xff\x00\x00", 4, FL_EMALFORMED, 0, 0 },
		{ "\x40\x00\x00", 3, FL_EMALFORMED, 0, 0 },
		{ "", 0, FL_EMALFORMED, 0, 0 },
	};
	struct span payload;
	uint16_t number;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct span data = span_of(rows[i].bytes, rows[i].len);

		assert_int_equal(turn_channel_parse(data, &number, &payload), rows[i].result);
		if (rows[i].result != 0)
			continue;
		assert_true(turn_is_channel_data(data));
		assert_int_equal(number, rows[i].number);
		assert_int_equal(payload.len, rows[i].payload);
		assert_ptr_equal(payload.ptr, data.ptr + 4);
	}
}

static void test_channel_header(void **state)
{
	uint8_t bytes[TURN_CHANNEL_HEADER_LEN + 300] = { 0 };
	struct span payload;
	uint16_t number;

	turn_channel_header(0x4123, 300, bytes);
	assert_memory_equal(bytes, "\x41\x23\x01\x2c", 4);
	assert_int_equal(turn_channel_parse(span_of(bytes, sizeof(bytes)), &number, &payload), 0);
	assert_int_equal(number, 0x4123);
	assert_int_equal(payload.len, 300);
	turn_channel_header(0x4FFF, 65535, bytes);
	assert_memory_equal(bytes, "\x4f\xff\xff\xff", 4);
}

static void test_transport_names(void **state)
{
	static const char *const names[TURN_TRANSPORTS] = { "udp", "tcp", "tls", "dtls", "wss" };

	for (int t = 0; t < TURN_TRANSPORTS; t++)
		assert_string_equal(turn_transport_name((enum turn_transport)t), names[t]);
	assert_false(turn_transport_is_stream(TURN_UDP));
	assert_false(turn_transport_is_stream(TURN_DTLS));
	assert_true(turn_transport_is_stream(TURN_WSS));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_channel_data),
		TEST(test_channel_header),
		TEST(test_transport_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
