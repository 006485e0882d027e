#include "modules/terminal/message.h"

#include "test.h"

static void test_layout(void **state)
{
	uint8_t head[8];
	struct terminal_message m = { .type = TERMINAL_RESIZE, .cols = 132, .rows = 43 }, got;
	static const uint8_t resize[] = { 3, 0, 132, 0, 43 }, ack[] = { 0x86, 0, 2, 0, 0 };

	assert_int_equal(terminal_message_head(&m, head), sizeof(resize));
	assert_memory_equal(head, resize, sizeof(resize));
	m = (struct terminal_message){ .type = TERMINAL_ACK_BACK, .acked = 0x20000 };
	assert_int_equal(terminal_message_head(&m, head), sizeof(ack));
	assert_memory_equal(head, ack, sizeof(ack));
	assert_int_equal(terminal_message_get(span_of("\x83\x01\x0f", 3), &got), 0);
	assert_true(got.signalled);
	assert_int_equal(got.number, 15);
}

static void test_refused(void **state)
{
	static const struct {
		const char *what, *bytes;
		size_t len;
	} cases[] = {
		{ "nothing", "", 0 },
		{ "an unknown type", "\x7f", 1 },
		{ "half a RESIZE", "\x03\x00\x50", 3 },
		{ "a RESIZE to nothing", "\x03\x00\x00\x00\x18", 5 },
		{ "a RESIZE to 65535 columns", "\x03\xff\xff\x00\x18", 5 },
		{ "a RESIZE with more behind it", "\x03\x00\x50\x00\x18\x00", 6 },
		{ "SIGSTOP", "\x05\x13", 2 },
		{ "an EXIT of a third kind", "\x83\x02\x00", 3 },
		{ "EOF with a payload", "\x04x", 2 },
	};
	struct terminal_message m;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		if (terminal_message_get(span_of(cases[i].bytes, cases[i].len), &m) !=
		    FL_EMALFORMED)
			fail_msg("%s was taken", cases[i].what);
}

static void test_open_both_ways(void **state)
{
	char *argv[] = { "sh", "-c", "echo \"ü\"", NULL }, *env[] = { "A=b=c", NULL };
	struct terminal_open o = {
		.argv = argv, .env = env, .tty = true, .cols = 100, .rows = 30, .term = "vt100"
	};
	struct terminal_open got;
	char why[128];
	FL_AUTOFREE char *text = terminal_open_format(&o);

	assert_non_null(text);
	assert_int_equal(terminal_open_parse(span_str(text), &got, why), 0);
	assert_string_equal(got.argv[2], argv[2]);
	assert_null(got.argv[3]);
	assert_string_equal(got.env[0], "A=b=c");
	assert_true(got.tty);
	assert_int_equal(got.cols, 100);
	assert_string_equal(got.term, "vt100");
	terminal_open_finish(&got);
}

static void test_open_refused(void **state)
{
	static const char *const cases[] = {
		"",
		"[]",
		"{}",
		"{\"tty\":1}",
		"{\"tty\":true,\"argv\":[]}",
		"{\"tty\":true,\"argv\":[\"\"]}",
		"{\"tty\":true,\"argv\":[1]}",
		"{\"tty\":true,\"argv\":\"sh\"}",
		"{\"tty\":true,\"term\":\"../x\"}",
		"{\"tty\":true,\"env\":{\"A=B\":\"c\"}}",
		"{\"tty\":true,\"env\":{\"A\":1}}",
		"{\"tty\":true,\"tty\":false}",
	};
	struct terminal_open got;
	char why[128];

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		if (terminal_open_parse(span_str(cases[i]), &got, why) != FL_EMALFORMED)
			fail_msg("%s was taken", cases[i]);
}

static void test_open_sizes_are_bounded(void **state)
{
	struct terminal_open got;
	char why[128];

	assert_int_equal(terminal_open_parse(span_str("{\"tty\":false,\"cols\":0,\"rows\":99999}"),
					     &got, why),
			 0);
	assert_int_equal(got.cols, 80);
	assert_int_equal(got.rows, 24);
	assert_null(got.argv);
	terminal_open_finish(&got);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_layout),
		TEST(test_refused),
		TEST(test_open_both_ways),
		TEST(test_open_refused),
		TEST(test_open_sizes_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
