#include "modules/wire.h"

#include "test.h"

static struct buf put(struct module_message m)
{
	struct buf b = BUF_INIT(MODULE_MESSAGE_MAX + 4);

	assert_int_equal(module_wire_put(&b, &m), 0);
	return b;
}

static void test_layout(void **state)
{
	static const uint8_t want[] = { 0, 0, 0, 6, 0x03, 0x01, 0x12, 0x34, 'h', 'i' };
	struct buf b = put((struct module_message){
		.type = MODULE_DATA, .flags = 1, .channel = 0x1234, .payload = span_str("hi") });

	assert_true(span_equal(buf_span(&b), span_of(want, sizeof(want))));
	buf_finish(&b);
}

static void test_frame_keeps_its_time(void **state)
{
	struct module_message out;
	size_t used;
	struct buf b = put((struct module_message){ .type = MODULE_FRAME,
						    .flags = MODULE_FLAG_KEY,
						    .capture_us = 0x0102030405060708,
						    .payload = span_str("frame") });

	assert_int_equal(module_wire_get(buf_span(&b), MODULE_FROM_MODULE, &out, &used), 1);
	assert_int_equal(used, b.len);
	assert_true(out.capture_us == 0x0102030405060708);
	assert_int_equal(out.flags, MODULE_FLAG_KEY);
	assert_true(span_is(out.payload, "frame"));
	buf_finish(&b);
}

/* Every prefix of two messages yields as many as are complete. */
static void test_pieces(void **state)
{
	struct buf b = put((struct module_message){ .type = MODULE_RATE, .rate_bps = 4000000 });
	size_t first = b.len;
	struct module_message open = { .type = MODULE_OPEN, .channel = 2 }, out;
	size_t used;

	assert_int_equal(module_wire_put(&b, &open), 0);
	for (size_t n = 0; n <= b.len; n++) {
		struct span s = span_of(b.mem + b.start, n);
		int got = module_wire_get(s, MODULE_FROM_CLIENT, &out, &used);
		assert_int_equal(got, n >= first);
		if (got) {
			assert_int_equal(out.rate_bps, 4000000);
			s = span_of(s.ptr + used, s.len - used);
			got = module_wire_get(s, MODULE_FROM_CLIENT, &out, &used);
			assert_int_equal(got, n == b.len);
		}
	}
	buf_finish(&b);
}

static void test_refused(void **state)
{
	static const struct {
		const char *what;
		enum module_side from;
		uint8_t bytes[12];
		size_t len;
	} cases[] = {
		{ "length below its own header",
		  MODULE_FROM_CLIENT,
		  { 0, 0, 0, 3, 2, 0, 0, 0 },
		  8 },
		{ "length over the limit",
		  MODULE_FROM_MODULE,
		  { 0, 0x40, 0, 1, 0x91, 0, 0, 0 },
		  8 },
		{ "unknown type", MODULE_FROM_CLIENT, { 0, 0, 0, 4, 0x7f, 0, 0, 0 }, 8 },
		{ "READY from the client", MODULE_FROM_CLIENT, { 0, 0, 0, 6, 0x81, 0, 0, 0 }, 8 },
		{ "OPEN from the module", MODULE_FROM_MODULE, { 0, 0, 0, 4, 2, 0, 0, 0 }, 8 },
		{ "unknown flag", MODULE_FROM_MODULE, { 0, 0, 0, 4, 3, 2, 0, 0 }, 8 },
		{ "OPEN with a payload", MODULE_FROM_CLIENT, { 0, 0, 0, 5, 2, 0, 0, 0, 1 }, 9 },
		{ "RATE too short", MODULE_FROM_CLIENT, { 0, 0, 0, 6, 0x13, 0, 0, 0, 1, 1 }, 10 },
		{ "FRAME without bytes", MODULE_FROM_MODULE, { 0, 0, 0, 12, 0x91, 0, 0, 0 }, 8 },
		{ "KEYFRAME on a channel", MODULE_FROM_CLIENT, { 0, 0, 0, 4, 0x12, 0, 0, 1 }, 8 },
		{ "DATA too long", MODULE_FROM_MODULE, { 0, 1, 0, 5, 3, 0, 0, 0 }, 8 },
	};
	struct module_message out;
	size_t used;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		if (module_wire_get(span_of(cases[i].bytes, cases[i].len), cases[i].from, &out,
				    &used) != FL_EMALFORMED)
			fail_msg("%s was not refused", cases[i].what);
}

static void test_too_long_to_send(void **state)
{
	static uint8_t big[MODULE_FRAME_MAX + 1];
	struct buf b = BUF_INIT(MODULE_MESSAGE_MAX + 4);
	struct module_message m = { .type = MODULE_FRAME, .payload = span_of(big, sizeof(big)) };

	assert_int_equal(module_wire_put(&b, &m), FL_EQUOTA);
	assert_int_equal(b.len, 0);
	m.payload.len--;
	assert_int_equal(module_wire_put(&b, &m), 0);
	assert_int_equal(b.len, MODULE_MESSAGE_MAX + 4);
	buf_finish(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_layout),  TEST(test_frame_keeps_its_time), TEST(test_pieces),
		TEST(test_refused), TEST(test_too_long_to_send),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
