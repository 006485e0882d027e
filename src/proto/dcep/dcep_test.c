#include "test.h"

#include "base/err.h"
#include "proto/dcep/dcep.h"

static void test_codec(void **state)
{
	struct dcep_params p = { .label = span_str("terminal"),
				 .protocol = span_str("p"),
				 .unordered = true,
				 .reliability = DCEP_LIFETIME,
				 .limit = 250,
				 .priority = 512 };
	/* RFC 8832 §5.1, byte for byte */
	static const uint8_t wire[] = { 3, 0x82, 2,   0,   0,	0,   0,	  250, 0,   8,	0,
					1, 't',	 'e', 'r', 'm', 'i', 'n', 'a', 'l', 'p' };
	uint8_t text[64];
	struct dcep_message m;

	assert_int_equal(dcep_write_open(&p, text, sizeof(text)), sizeof(wire));
	assert_memory_equal(text, wire, sizeof(wire));
	assert_int_equal(dcep_write_open(&p, text, sizeof(wire) - 1), FL_EQUOTA);
	assert_int_equal(dcep_parse(span_of(wire, sizeof(wire)), &m), 0);
	assert_true(m.type == DCEP_OPEN && m.params.unordered && m.params.limit == 250);
	assert_int_equal(m.params.reliability, DCEP_LIFETIME);
	assert_true(span_is(m.params.label, "terminal") && span_is(m.params.protocol, "p"));
	for (size_t n = 0; n < sizeof(wire); n++)
		assert_int_equal(dcep_parse(span_of(wire, n), &m), FL_EMALFORMED);
	assert_int_equal(dcep_parse(span_of("\x02", 1), &m), 0);
	assert_int_equal(dcep_parse(span_of("\x02\x00", 2), &m), FL_EMALFORMED);
	assert_int_equal(dcep_parse(span_of("\x09", 1), &m), FL_EUNSUPPORTED);
	memcpy(text, wire, sizeof(wire));
	text[1] = 0x05;
	assert_int_equal(dcep_parse(span_of(text, sizeof(wire)), &m), FL_EUNSUPPORTED);
}

/* Carries everything from one table to the other, resets included, until nothing moves. */
static void exchange(struct dcep *d[2], struct dcep_event last[2], unsigned counts[2][3])
{
	struct dcep_event ev;
	struct span message;
	uint16_t stream;
	bool moved = true;

	while (moved) {
		moved = false;
		for (int i = 0; i < 2; i++) {
			while (dcep_next_output(d[i], &stream, &message)) {
				dcep_input(d[1 - i], stream, message);
				moved = true;
			}
			while (dcep_next_event(d[i], &ev)) {
				counts[i][ev.type]++;
				moved = true;
				if (ev.type == DCEP_EVENT_RESET) {
					dcep_reset_out(d[i], ev.stream);
					dcep_reset_in(d[1 - i], ev.stream);
				} else {
					last[i] = ev;
				}
			}
		}
	}
}

static void start(struct dcep *d[2])
{
	for (int i = 0; i < 2; i++) {
		d[i] = dcep_create();
		assert_non_null(d[i]);
		dcep_set_role(d[i], i == 0);
		dcep_start(d[i]);
	}
}

static void test_open_and_close(void **state)
{
	struct dcep *d[2];
	struct dcep_event last[2] = { 0 };
	unsigned counts[2][3] = { { 0 } };
	struct dcep_params p = { .label = span_str("files"), .unordered = true };
	const struct dcep_channel *c;
	int id[2];

	start(d);
	id[0] = dcep_open(d[0], &p);
	p.label = span_str("screen");
	id[1] = dcep_open(d[1], &p);
	assert_false(dcep_by_id(d[0], id[0])->acked);
	exchange(d, last, counts);
	for (int i = 0; i < 2; i++)
		assert_int_equal(counts[i][DCEP_EVENT_OPENED], 2);
	assert_true(dcep_by_id(d[0], id[0])->acked);
	assert_int_equal(dcep_by_id(d[0], id[0])->stream, 0);
	assert_int_equal(dcep_by_id(d[1], id[1])->stream, 1);
	c = dcep_by_stream(d[1], 0);
	assert_true(c && c->remote && c->unordered);
	assert_string_equal(c->label, "files");
	dcep_close(d[1], c->id); /* closed by the side that did not open it */
	dcep_close(d[1], c->id);
	exchange(d, last, counts);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(counts[i][DCEP_EVENT_CLOSED], 1);
		assert_int_equal(counts[i][DCEP_EVENT_RESET], 1);
		assert_null(dcep_by_stream(d[i], 0));
	}
	dcep_destroy(d[0]);
	dcep_destroy(d[1]);
}

/* Channels asked for before role and association are there open with them, in order. */
static void test_early(void **state)
{
	struct dcep *d = dcep_create();
	struct dcep_params p = { .label = span_str("a") };
	struct dcep_event ev;
	struct span message;
	uint16_t stream;
	int first = dcep_open(d, &p), second = dcep_open(d, &p), third = dcep_open(d, &p);

	assert_false(dcep_next_event(d, &ev));
	dcep_close(d, second);
	assert_true(dcep_next_event(d, &ev) && ev.type == DCEP_EVENT_CLOSED && ev.id == second);
	dcep_start(d);
	assert_false(dcep_next_output(d, &stream, &message));
	dcep_set_role(d, false);
	assert_true(dcep_next_output(d, &stream, &message) && stream == 1);
	assert_true(dcep_next_output(d, &stream, &message) && stream == 3);
	assert_true(dcep_next_event(d, &ev) && ev.type == DCEP_EVENT_OPENED && ev.id == first);
	assert_true(dcep_next_event(d, &ev) && ev.type == DCEP_EVENT_OPENED && ev.id == third);
	assert_false(ev.remote);
	dcep_destroy(d);
}

static void test_limits(void **state)
{
	struct dcep *d[2];
	struct dcep_event last[2] = { 0 };
	unsigned counts[2][3] = { { 0 } };
	struct dcep_params p = { .label = span_str("x") };
	uint8_t text[DCEP_MESSAGE_MAX];
	char label[DCEP_LABEL_MAX + 2];
	int n;

	start(d);
	for (int i = 0; i < DCEP_CHANNELS_MAX; i++)
		assert_true(dcep_open(d[0], &p) >= 0);
	assert_int_equal(dcep_open(d[0], &p), FL_EQUOTA);
	exchange(d, last, counts);
	/* the other side's table is full too: what comes now is refused by a reset */
	n = dcep_write_open(&p, text, sizeof(text));
	dcep_input(d[1], 500, span_of(text, (size_t)n));
	assert_int_equal(dcep_stats(d[1])->refused, 1);
	exchange(d, last, counts);
	assert_int_equal(counts[1][DCEP_EVENT_RESET], 1);
	/* a stream of ours, and one in use */
	dcep_input(d[1], 501, span_of(text, (size_t)n));
	dcep_input(d[1], 0, span_of(text, (size_t)n));
	assert_int_equal(dcep_stats(d[1])->refused, 3);
	assert_int_equal(counts[1][DCEP_EVENT_OPENED], DCEP_CHANNELS_MAX);
	dcep_close(d[0], 0);
	exchange(d, last, counts);
	memset(label, 'l', sizeof(label));
	p.label = span_of(label, sizeof(label) - 1);
	assert_int_equal(dcep_open(d[0], &p), FL_EQUOTA);
	p.label.len--;
	assert_int_equal(dcep_open(d[0], &p), DCEP_CHANNELS_MAX); /* ids are not used again soon */
	dcep_destroy(d[0]);
	dcep_destroy(d[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_codec),
		TEST(test_open_and_close),
		TEST(test_early),
		TEST(test_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
