#include "modules/files/message.h"

#include "test.h"

static void test_layout(void **state)
{
	static const uint8_t entry[] = { 0x10, 1, 1, 0xa4, 0, 0, 0, 0, 0, 0,   0,   5,	0,
					 0,    0, 0, 0,	   0, 1, 0, 0, 3, 'a', '/', 'b' },
			     ack[] = { 0x21, 0, 8, 0, 0, 0, 2 };
	struct files_message m = { .type = FILES_ENTRY,
				   .kind = FILES_FILE,
				   .mode = 0644,
				   .mtime_ns = 5,
				   .size = 256,
				   .path = span_str("a/b") },
			     got;
	uint8_t bytes[64];

	assert_int_equal(files_message_put(&m, bytes, sizeof(bytes)), sizeof(entry));
	assert_memory_equal(bytes, entry, sizeof(entry));
	assert_int_equal(files_message_get(span_of(entry, sizeof(entry)), &got), 0);
	assert_int_equal(got.mode, 0644);
	assert_true(span_is(got.path, "a/b"));
	m = (struct files_message){ .type = FILES_ACK, .bytes_done = 0x80000, .entries_done = 2 };
	assert_int_equal(files_message_put(&m, bytes, sizeof(bytes)), sizeof(ack));
	assert_memory_equal(bytes, ack, sizeof(ack));
	assert_int_equal(files_message_put(&m, bytes, 3), FL_EQUOTA);
}

static void test_refused(void **state)
{
	static const struct {
		const char *what, *bytes;
		size_t len;
	} cases[] = {
		{ "nothing", "", 0 },
		{ "an unknown type", "\x7f", 1 },
		{ "DATA of nothing", "\x11", 1 },
		{ "half a FROM", "\x12\0\0\0", 4 },
		{ "a FROM with more behind it", "\x12\0\0\0\0\0\0\0\0x", 10 },
		{ "half a hash",
		  "\x13"
		  "abcdef",
		  7 },
		{ "COMPLETE with a payload", "\x22x", 2 },
		{ "a fifth kind", "\x10\5\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1a", 23 },
		{ "setuid", "\x10\1\x09\xff\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1a", 23 },
		{ "a folder with a size", "\x10\2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\0\1a", 23 },
		{ "a size below zero", "\x10\1\0\0\0\0\0\0\0\0\0\0\x80\0\0\0\0\0\0\0\0\1a", 23 },
		{ "a link to nowhere", "\x10\3\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1a", 23 },
		{ "a file with a target", "\x10\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1ab", 24 },
		{ "a path that is cut off", "\x10\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\2a", 23 },
	};
	struct files_message m;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		if (files_message_get(span_of(cases[i].bytes, cases[i].len), &m) != FL_EMALFORMED)
			fail_msg("%s was taken", cases[i].what);
}

static void test_paths(void **state)
{
	static const char
		*const bad[] = { "",	 "/",  "/etc", "..",	"a/..", "../a",	 "a/../b",
				 "a//b", "a/", ".",    "a/./b", "a\nb", "a\x7f", "\x1b[2J" },
		       *const good[] = { "a", "a/b", "...", "..a", ".x", "ü", "\xff", " " };
	char longest[FILES_PATH_MAX + 2];

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (files_path_valid(span_str(bad[i])))
			fail_msg("\"%s\" was taken", bad[i]);
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		if (!files_path_valid(span_str(good[i])))
			fail_msg("\"%s\" was refused", good[i]);
	assert_false(files_path_valid(span_of("a\0b", 3)));
	memset(longest, 'a', sizeof(longest));
	assert_true(files_path_valid(span_of(longest, FILES_NAME_MAX)));
	assert_false(files_path_valid(span_of(longest, FILES_NAME_MAX + 1)));
	for (size_t i = 1; i < sizeof(longest); i += 2)
		longest[i] = '/';
	assert_true(files_path_valid(span_of(longest, 2 * FILES_DEPTH_MAX - 1)));
	assert_false(files_path_valid(span_of(longest, 2 * FILES_DEPTH_MAX + 1)));
}

static void test_request_both_ways(void **state)
{
	char *paths[] = { "/tmp/ü", "b" };
	struct files_request put = { .type = FILES_PUT,
				     .paths = paths,
				     .n_paths = 1,
				     .force = true,
				     .has_into = true,
				     .into = false },
			     get = { .type = FILES_GET, .paths = paths, .n_paths = 2 }, got;
	char why[128];

	FL_AUTOFREE char *text = files_request_format(&put);
	struct files_message m = { .type = FILES_PUT, .bytes = span_str(text) };
	assert_int_equal(files_request_parse(&m, &got, why), 0);
	assert_string_equal(got.paths[0], "/tmp/ü");
	assert_true(got.force && got.has_into && !got.into && !got.many);
	files_request_finish(&got);
	FL_AUTOFREE char *text2 = files_request_format(&get);
	m = (struct files_message){ .type = FILES_GET, .bytes = span_str(text2) };
	assert_int_equal(files_request_parse(&m, &got, why), 0);
	assert_int_equal(got.n_paths, 2);
	assert_string_equal(got.paths[1], "b");
	files_request_finish(&got);
}

static void test_request_refused(void **state)
{
	static const char *const cases[] = {
		"",
		"[]",
		"{}",
		"{\"paths\":[]}",
		"{\"paths\":[1]}",
		"{\"paths\":\"a\"}",
		"{\"paths\":[\"a\"],\"paths\":[\"b\"]}",
		"{\"paths\":[\"a\\u0000b\"]}",
	};
	struct files_request got;
	char why[128];

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct files_message m = { .type = FILES_GET, .bytes = span_str(cases[i]) };
		if (files_request_parse(&m, &got, why) != FL_EMALFORMED)
			fail_msg("%s was taken", cases[i]);
	}
}

static void test_failure_is_shown_printable(void **state)
{
	struct files_failure f;

	files_failure_parse(span_str("{\"code\":\"no-space\",\"message\":\"a\\u001b[2Jb\"}"), &f);
	assert_string_equal(f.code, "no-space");
	assert_null(strchr(f.text, 0x1b));
	files_failure_parse(span_str("nonsense"), &f);
	assert_string_equal(f.code, "internal");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_layout),	    TEST(test_refused),
		TEST(test_paths),	    TEST(test_request_both_ways),
		TEST(test_request_refused), TEST(test_failure_is_shown_printable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
