#include "test.h"

#include "modules/screen/message.h"
#include "modules/screen/notice.h"

static int parse(const void *data, size_t len, bool text, struct screen_message *m)
{
	return screen_message_parse(span_of(data, len), text, m);
}

static int parse_text(const char *json, struct screen_message *m)
{
	return parse(json, strlen(json), true, m);
}

static void test_control_messages(void **state)
{
	struct screen_message m;

	assert_int_equal(parse_text("{\"type\":\"control\",\"on\":true}", &m), 0);
	assert_int_equal(m.type, SCREEN_CONTROL);
	assert_true(m.on);
	assert_int_equal(parse_text("{\"type\":\"hide\",\"hidden\":false}", &m), 0);
	assert_int_equal(m.type, SCREEN_HIDE);
	assert_false(m.on);
	assert_int_equal(parse_text("{\"type\":\"display\",\"id\":\"1\"}", &m), 0);
	assert_string_equal(m.display, "1");
	assert_int_equal(parse_text("{\"type\":\"keyframe\"}", &m), 0);
	assert_int_equal(m.type, SCREEN_KEYFRAME);
	assert_int_equal(parse_text("{\"type\":\"clipboard\",\"text\":\"\\u00e9\"}", &m), 0);
	assert_int_equal(m.text_len, 2);
	assert_string_equal(m.text, "é");
	screen_message_finish(&m);
}

static void test_wrong_control_messages(void **state)
{
	static const struct {
		const char *json;
		int err;
	} wrong[] = {
		{ "", FL_EMALFORMED },
		{ "[]", FL_EMALFORMED },
		{ "{\"type\":1}", FL_EMALFORMED },
		{ "{\"type\":\"control\"}", FL_EMALFORMED },
		{ "{\"type\":\"control\",\"on\":1}", FL_EMALFORMED },
		{ "{\"type\":\"control\",\"on\":true,\"on\":false}", FL_EMALFORMED },
		{ "{\"type\":\"display\",\"id\":0}", FL_EMALFORMED },
		{ "{\"type\":\"clipboard\",\"text\":\"a\\u0000b\"}", FL_EMALFORMED },
		{ "{\"type\":\"clipboard\",\"text\":\"\xff\"}", FL_EMALFORMED },
		{ "{\"type\":\"dance\"}", FL_EUNSUPPORTED },
	};
	struct screen_message m;

	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		assert_int_equal(parse_text(wrong[i].json, &m), wrong[i].err);
}

static void test_limits(void **state)
{
	static char json[SCREEN_TEXT_MAX + 2];
	struct screen_message m;

	int head = snprintf(json, sizeof(json), "{\"type\":\"clipboard\",\"text\":\"");
	memset(json + head, 'a', SCREEN_CLIPBOARD_MAX + 1);
	memcpy(json + head + SCREEN_CLIPBOARD_MAX + 1, "\"}", 3);
	assert_int_equal(parse_text(json, &m), FL_EQUOTA);
	memcpy(json + head + SCREEN_CLIPBOARD_MAX, "\"}", 3);
	assert_int_equal(parse_text(json, &m), 0);
	assert_int_equal(m.text_len, SCREEN_CLIPBOARD_MAX);
	screen_message_finish(&m);
	memset(json, ' ', sizeof(json));
	assert_int_equal(parse(json, SCREEN_TEXT_MAX + 1, true, &m), FL_EQUOTA);
}

static void test_input_messages(void **state)
{
	struct screen_message m;

	assert_int_equal(parse("\x01\x12\x34\xff\xff", 5, false, &m), 0);
	assert_int_equal(m.type, SCREEN_MOVE);
	assert_int_equal(m.x, 0x1234);
	assert_int_equal(m.y, 0xffff);
	assert_int_equal(parse("\x02\x08\x01\x00\x01\x00\x02", 7, false, &m), 0);
	assert_int_equal(m.type, SCREEN_BUTTON);
	assert_int_equal(m.button, 8);
	assert_true(m.on);
	assert_int_equal(parse("\x03\xff\x88\x00\x78", 5, false, &m), 0);
	assert_int_equal(m.dx, -120);
	assert_int_equal(m.dy, 120);
	assert_int_equal(parse("\x04\x01\x01\x00\x04\x36\x04KeyA", 11, false, &m), 0);
	assert_int_equal(m.keysym, 0x01000436);
	assert_string_equal(m.code, "KeyA");
	assert_int_equal(parse("\x05", 1, false, &m), 0);
	assert_int_equal(m.type, SCREEN_RELEASE);
}

static void test_wrong_input_messages(void **state)
{
	struct screen_message m;

	assert_int_equal(parse("", 0, false, &m), FL_EMALFORMED);
	assert_int_equal(parse("\x01\x12\x34\xff", 4, false, &m), FL_EMALFORMED);
	assert_int_equal(parse("\x01\x12\x34\xff\xff\x00", 6, false, &m), FL_EMALFORMED);
	assert_int_equal(parse("\x02\x04\x01\x00\x01\x00\x02", 7, false, &m), FL_EMALFORMED);
	assert_int_equal(parse("\x02\x01\x02\x00\x01\x00\x02", 7, false, &m), FL_EMALFORMED);
	assert_int_equal(parse("\x04\x01\x00\x00\x00\x61\x05KeyA", 11, false, &m), FL_EMALFORMED);
	assert_int_equal(parse("\x04\x01\x00\x00\x00\x61\x01\n", 8, false, &m), FL_EMALFORMED);
	assert_int_equal(parse("\x04\x01\x00\x00\x00\x00\x00", 7, false, &m), FL_EMALFORMED);
	assert_int_equal(parse("\x77", 1, false, &m), FL_EUNSUPPORTED);
}

static void expect(struct buf *b, int err, const char *json)
{
	assert_int_equal(err, 0);
	assert_int_equal(b->len, strlen(json));
	assert_memory_equal(buf_span(b).ptr, json, b->len);
	buf_finish(b);
}

static void test_messages_to_the_console(void **state)
{
	struct buf b = BUF_INIT(SCREEN_TEXT_MAX);
	struct screen_display displays[] = {
		{ .id = "0", .name = "HDMI-1", .width = 1280, .height = 800 },
		{ .id = "1", .name = "a\nb", .width = 640, .height = 480 },
	};
	struct screen_figures figures = { 1280, 800, 29.9751234, 1000.5, 0.25, 4.125, "H264" };

	expect(&b, screen_put_displays(&b, displays, 2, 1),
	       "{\"type\":\"displays\",\"list\":[{\"id\":\"0\",\"name\":\"HDMI-1\",\"width\":1280,"
	       "\"height\":800,\"active\":false},{\"id\":\"1\",\"name\":\"a\\\\x0ab\",\"width\":"
	       "640,"
	       "\"height\":480,\"active\":true}]}");
	expect(&b, screen_put_control(&b, true, "Ruth \"R\""),
	       "{\"type\":\"control\",\"on\":true,\"by\":\"Ruth \\\"R\\\"\"}");
	expect(&b, screen_put_clipboard(&b, span_of("abc", 2)),
	       "{\"type\":\"clipboard\",\"text\":\"ab\"}");
	expect(&b, screen_put_failed(&b, "no-display", "None."),
	       "{\"type\":\"failed\",\"code\":\"no-display\",\"message\":\"None.\"}");
	assert_int_equal(screen_put_figures(&b, &figures), 0);
	assert_non_null(memmem(b.mem, b.len, "\"kbps\":1000.5", 13));
	assert_non_null(memmem(b.mem, b.len, "\"fps\":29.9751,", 14));
	assert_non_null(memmem(b.mem, b.len, "\"codec\":\"H264\"", 14));
	buf_finish(&b);
	b.max = 10;
	assert_int_equal(screen_put_failed(&b, "no-display", "None."), FL_EQUOTA);
	buf_finish(&b);
}

static void test_notice_text(void **state)
{
	char text[512];

	notice_text(text, sizeof(text), "Ruth Keller", NOTICE_WATCHED);
	assert_string_equal(text, "Ruth Keller is watching this screen");
	notice_text(text, sizeof(text), "Ruth Keller", NOTICE_CONTROLLED);
	assert_string_equal(text, "Ruth Keller controls this computer");
	notice_text(text, sizeof(text), "", NOTICE_WATCHED);
	assert_string_equal(text, "Somebody is watching this screen");
	/* a bidi override and a line break are shown, not obeyed */
	notice_text(text, sizeof(text), "a\xe2\x80\xae\nb", NOTICE_WATCHED);
	assert_null(strchr(text, '\n'));
	assert_null(strstr(text, "\xe2\x80\xae"));
	notice_text(text, sizeof(text),
		    "éééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééé",
		    NOTICE_WATCHED);
	assert_string_equal(text,
			    "éééééééééééééééééééééééééééééééééééééééé… is watching this screen");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_control_messages),
		TEST(test_wrong_control_messages),
		TEST(test_limits),
		TEST(test_input_messages),
		TEST(test_wrong_input_messages),
		TEST(test_messages_to_the_console),
		TEST(test_notice_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
