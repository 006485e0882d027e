#include "proto/signalr/event_stream.h"
#include "test.h"

/* The events of a text that arrives in pieces of so many bytes, each followed by '|'. */
static void read_all(const char *text, size_t piece, struct buf *out)
{
	struct event_stream e;
	struct span data;

	event_stream_init(&e);
	for (size_t at = 0; at < strlen(text); at += piece) {
		size_t n = FL_MIN(piece, strlen(text) - at);

		assert_int_equal(event_stream_input(&e, span_of((const uint8_t *)text + at, n)), 0);
		while (event_stream_next(&e, &data) == 1) {
			assert_int_equal(buf_append_span(out, data), 0);
			assert_int_equal(buf_append(out, "|", 1), 0);
		}
	}
	event_stream_finish(&e);
}

static void test_events(void **state)
{
	static const struct {
		const char *text, *events;
	} cases[] = {
		{ ":\n\ndata: a\n\n", "a|" },
		{ "data: {\"type\":6}\x1e\n\n", "{\"type\":6}\x1e|" },
		{ "data: a\r\n\r\ndata: b\r\rdata:c\n\n", "a|b|c|" },
		{ "data: a\ndata: b\n\n", "a\nb|" },
		{ "data\n\ndata:\n\n", "||" },
		{ "data:  x\n\n", " x|" },
		{ "event: e\nid: 1\nretry: 5\ndatas: no\ndata: y\n\n", "y|" },
		{ "\n\n\r\n: comment\n\n", "" },
		{ "data: unfinished\n", "" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		for (size_t piece = 1; piece < 20; piece++) {
			struct buf out = BUF_INIT(1000);

			read_all(cases[i].text, piece, &out);
			assert_true(span_is(buf_span(&out), cases[i].events));
			buf_finish(&out);
		}
}

static void test_too_large(void **state)
{
	static uint8_t much[EVENT_STREAM_MAX];
	struct event_stream e;
	struct span data;
	int err = 0;

	memset(much, 'x', sizeof(much));
	event_stream_init(&e);
	assert_int_equal(event_stream_input(&e, span_of(much, sizeof(much))), 0);
	assert_int_equal(event_stream_next(&e, &data), 0);
	assert_true(event_stream_input(&e, span_str("x")) < 0);
	event_stream_finish(&e);
	memcpy(much, "data:", 5);
	much[1023] = '\n';
	event_stream_init(&e);
	for (int i = 0; i < 600 && err == 0; i++) {
		assert_int_equal(event_stream_input(&e, span_of(much, 1024)), 0);
		err = event_stream_next(&e, &data);
	}
	assert_true(err < 0);
	event_stream_finish(&e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_events),
		TEST(test_too_large),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
