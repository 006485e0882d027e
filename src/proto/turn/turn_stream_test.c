#include "test.h"

#include "base/err.h"
#include "proto/turn/turn.h"
#include "proto/turn/turn_stream.h"

#define STUN_EMPTY                                                                                 \
	"\x00\x01\x00\x00\x21\x12\xa4\x42"                                                         \
	"tidtidtidtid"
#define STUN_ONE                                                                                   \
	"\x01\x13\x00\x08\x21\x12\xa4\x42"                                                         \
	"tidtidtidtid"                                                                             \
	"\x80\x22\x00\x03"                                                                         \
	"abc\x00"
#define CHANNEL_3                                                                                  \
	"\x40\x01\x00\x03"                                                                         \
	"abc\x00"
#define CHANNEL_4                                                                                  \
	"\x4f\xff\x00\x04"                                                                         \
	"abcd"
#define CHANNEL_0 "\x40\x01\x00\x00"

/* A stream of all kinds is cut the same at whatever size it comes. */
static void test_cuts(void **state)
{
	static const char stream[] = STUN_EMPTY CHANNEL_3 CHANNEL_4 STUN_ONE CHANNEL_0 STUN_EMPTY;
	static const size_t lens[] = { 20, 7, 8, 28, 4, 20 }, used[] = { 20, 8, 8, 28, 4, 20 };
	struct span message;
	size_t at = 0, taken;

	for (size_t i = 0; i < ARRAY_LEN(lens); i++) {
		for (size_t n = 0; n < used[i]; n++)
			assert_int_equal(
				turn_stream_next(span_of(stream + at, n), &message, &taken), 0);
		for (size_t n = used[i]; n <= sizeof(stream) - 1 - at; n++) {
			assert_int_equal(
				turn_stream_next(span_of(stream + at, n), &message, &taken), 1);
			assert_ptr_equal(message.ptr, stream + at);
			assert_int_equal(message.len, lens[i]);
			assert_int_equal(taken, used[i]);
		}
		at += taken;
	}
	assert_int_equal(at, sizeof(stream) - 1);
}

/* Refused with as few bytes as show it. */
static void test_malformed(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
	} rows[] = {
		{ "\x80", 1 }, /* a channel number out of range */
		{ "\x80", 1 }, /* RTP */
		{ "\xff", 1 },
		{ "\x16\x03\x01\x02", 4 }, /* TLS: a length that STUN cannot have */
		{ "\x00\x01\x00\x03", 4 },
		{ "\x00\x01\x00\x00\x21\x12\xa4\x43", 8 }, /* no cookie */
		{ "\x00\x01\xff\xfc\x00\x00\x00\x00", 8 },
	};
	struct span message;
	size_t used;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct span all = span_of(rows[i].bytes, rows[i].len);

		assert_int_equal(turn_stream_next(all, &message, &used), FL_EMALFORMED);
		assert_int_equal(turn_stream_next(span_of(all.ptr, all.len - 1), &message, &used),
				 0);
	}
}

static void test_longest(void **state)
{
	static uint8_t bytes[TURN_STREAM_MESSAGE_MAX] = "\x00\x01\xff\xfc\x21\x12\xa4\x42";
	struct span message;
	size_t used;

	assert_int_equal(turn_stream_next(span_of(bytes, sizeof(bytes) - 1), &message, &used), 0);
	assert_int_equal(turn_stream_next(span_of(bytes, sizeof(bytes)), &message, &used), 1);
	assert_int_equal(used, TURN_STREAM_MESSAGE_MAX);
	turn_channel_header(TURN_CHANNEL_MIN, 65535, bytes);
	assert_int_equal(turn_stream_next(span_of(bytes, 4 + 65535), &message, &used), 0);
	assert_int_equal(turn_stream_next(span_of(bytes, 4 + 65536), &message, &used), 1);
	assert_int_equal(message.len, 4 + 65535);
	assert_int_equal(used, 4 + 65536);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_cuts),
		TEST(test_malformed),
		TEST(test_longest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
