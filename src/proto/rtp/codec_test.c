/* H.264 and VP8 payloads. */
#include "test.h"

#include <errno.h>

#include "base/err.h"
#include "base/rng.h"
#include "proto/rtp/h264.h"
#include "proto/rtp/vp8.h"

#define BYTES(s) span_of(s, sizeof(s) - 1)

/* The next payload must be exactly this. */
static void expect_h264(struct h264_packetizer *p, size_t max, struct span want, bool want_last)
{
	uint8_t out[2000];
	struct writer w = writer_of(out, sizeof(out));
	bool last;

	assert_true(h264_packetizer_next(p, &w, max, &last));
	assert_int_equal(writer_len(&w), want.len);
	assert_memory_equal(out, want.ptr, want.len);
	assert_int_equal(last, want_last);
}

static void test_annexb(void **state)
{
	/* leading zeros, both start codes, trailing zeros, an empty unit and filler data */
	struct span s = BYTES(
			    "\0\0\0\1\x67\1\2\0\0\1\x68\0\0\0\0\1\0\0\1\x0c\xff\xff\0\0\1\x65zz\0"),
		    nal;

	assert_true(h264_next_nal(&s, &nal));
	assert_true(span_equal(nal, BYTES("\x67\1\2")));
	assert_true(h264_next_nal(&s, &nal));
	assert_true(span_equal(nal, BYTES("\x68")));
	assert_true(h264_next_nal(&s, &nal));
	assert_true(span_equal(nal, BYTES("\x65zz")));
	assert_false(h264_next_nal(&s, &nal));
	s = span_str("no start code");
	assert_false(h264_next_nal(&s, &nal));
}

static void test_h264_vectors(void **state)
{
	struct h264_packetizer p;
	struct span au = BYTES("\0\0\0\1\x27SPS\0\0\0\1\x68PPS\0\0\1\x65"
			       "0123456789abcdef\0\0\1\x41small");

	assert_true(h264_packetizer_start(&p, au));
	expect_h264(&p, 16, BYTES("\x78\0\4\x27SPS\0\4\x68PPS"), false); /* NRI: the highest, 3 */
	expect_h264(&p, 16,
		    BYTES("\x7c\x85"
			  "01234567"),
		    false);
	expect_h264(&p, 16,
		    BYTES("\x7c\x45"
			  "89abcdef"),
		    false);
	expect_h264(&p, 16, BYTES("\x41small"), true);
	assert_false(h264_packetizer_start(&p, span_str("")));
}

static void expect_depacketized(struct h264_depacketizer *d, struct span payload, int want_err,
				const char *want, size_t want_len)
{
	struct buf out = BUF_INIT(1000);

	assert_int_equal(h264_depacketize(d, payload, &out), want_err);
	if (want_err == 0) {
		assert_int_equal(out.len, want_len);
		assert_memory_equal(buf_span(&out).ptr, want, want_len);
	}
	buf_finish(&out);
}

static void test_h264_depacketize(void **state)
{
	struct h264_depacketizer d = { 0 };

	expect_depacketized(&d,
			    BYTES("\x78\0\2\x67"
				  "a\0\1\x68"),
			    0,
			    "\0\0\0\1\x67"
			    "a\0\0\0\1\x68",
			    11);
	expect_depacketized(&d,
			    BYTES("\x7c\x85"
				  "ab"),
			    0,
			    "\0\0\0\1\x65"
			    "ab",
			    7);
	expect_depacketized(&d,
			    BYTES("\x7c\x05"
				  "cd"),
			    0, "cd", 2);
	expect_depacketized(&d,
			    BYTES("\x7c\x45"
				  "ef"),
			    0, "ef", 2);
	expect_depacketized(&d, BYTES("\x41x"), 0, "\0\0\0\1\x41x", 6);
	/* a fragment without its start; start and end at once; a unit inside a fragment */
	expect_depacketized(&d,
			    BYTES("\x7c\x05"
				  "cd"),
			    FL_EMALFORMED, NULL, 0);
	expect_depacketized(&d,
			    BYTES("\x7c\xc5"
				  "cd"),
			    FL_EMALFORMED, NULL, 0);
	expect_depacketized(&d,
			    BYTES("\x7c\x85"
				  "cd"),
			    0,
			    "\0\0\0\1\x65"
			    "cd",
			    7);
	expect_depacketized(&d, BYTES("\x41x"), FL_EMALFORMED, NULL, 0);
	expect_depacketized(&d, BYTES(""), FL_EMALFORMED, NULL, 0);
	expect_depacketized(&d, BYTES("\x78"), FL_EMALFORMED, NULL, 0);
	expect_depacketized(&d,
			    BYTES("\x78\0\3\x67"
				  "a"),
			    FL_EMALFORMED, NULL, 0);
	expect_depacketized(&d, BYTES("\x78\0\0"), FL_EMALFORMED, NULL, 0);
	expect_depacketized(&d,
			    BYTES("\x7d\x85"
				  "cd"),
			    FL_EUNSUPPORTED, NULL, 0); /* FU-B */
	expect_depacketized(&d, BYTES("\x79\0\0\0\1\x41"), FL_EUNSUPPORTED, NULL, 0);
}

/* A unit of random bytes that hold no start code and do not end in zero. */
static void put_nal(struct rng *rng, struct buf *au, uint8_t head, size_t len)
{
	assert_int_equal(buf_append(au, "\0\0\0\1", 4), 0);
	assert_int_equal(buf_append(au, &head, 1), 0);
	for (size_t i = 0; i < len; i++) {
		uint8_t byte = (uint8_t)(1 + rng_below(rng, 255));

		assert_int_equal(buf_append(au, &byte, 1), 0);
	}
}

static void random_access_unit(struct rng *rng, struct buf *au)
{
	static const uint8_t heads[] = { 0x67, 0x68, 0x06, 0x09, 0x65, 0x41, 0x01 };

	for (size_t n = 1 + rng_below(rng, 6); n; n--)
		put_nal(rng, au, heads[rng_below(rng, ARRAY_LEN(heads))],
			rng_below(rng, 3) ? rng_below(rng, 60) : rng_below(rng, 4000));
}

static void test_h264_round_trip(void **state)
{
	for (uint64_t seed = 1; seed <= 300; seed++) {
		struct buf au = BUF_INIT(100000), back = BUF_INIT(100000);
		struct h264_depacketizer d = { 0 };
		struct h264_packetizer p;
		bool last = false;
		struct rng rng;
		uint8_t out[1500];

		rng_seed(&rng, seed);
		random_access_unit(&rng, &au);
		assert_true(h264_packetizer_start(&p, buf_span(&au)));
		for (;;) {
			size_t max = 8 + rng_below(&rng, 1200);
			struct writer w = writer_of(out, max);

			if (!h264_packetizer_next(&p, &w, max, &last))
				break;
			assert_false(writer_failed(&w));
			assert_int_equal(h264_depacketize(&d, writer_span(&w), &back), 0);
		}
		assert_true(last);
		assert_true(span_equal(buf_span(&au), buf_span(&back)));
		buf_finish(&au);
		buf_finish(&back);
	}
}

static void test_vp8_vectors(void **state)
{
	uint8_t out[64];
	struct writer w = writer_of(out, sizeof(out));
	struct vp8_descriptor d;
	struct vp8_packetizer p;
	struct reader r;
	bool last;

	assert_true(vp8_packetizer_start(&p, span_str("abcdefgh"), 0x1234));
	assert_true(vp8_packetizer_next(&p, &w, 10, &last));
	assert_true(span_equal(writer_span(&w), BYTES("\x90\x80\x92\x34"
						      "abcd")));
	assert_false(last);
	w = writer_of(out, sizeof(out));
	assert_true(vp8_packetizer_next(&p, &w, 10, &last));
	assert_true(span_equal(writer_span(&w), BYTES("\x80\x80\x92\x34"
						      "efgh")));
	assert_true(last);
	assert_false(vp8_packetizer_next(&p, &w, 10, &last));

	r = reader_of(BYTES("\xb1\xf0\x11\x22\xa3x"));
	assert_int_equal(vp8_parse_descriptor(&r, &d), 0);
	assert_true(d.non_reference && d.start && d.layer_sync && !d.wide_picture_id);
	assert_int_equal(d.partition, 1);
	assert_int_equal(d.picture_id, 0x11);
	assert_int_equal(d.tl0, 0x22);
	assert_int_equal(d.tid, 2);
	assert_int_equal(d.key_index, 3);
	w = writer_of(out, sizeof(out));
	vp8_write_descriptor(&w, &d);
	assert_true(span_equal(writer_span(&w), BYTES("\xb1\xf0\x11\x22\xa3")));
	r = reader_of(BYTES("\x10x")); /* the short form */
	assert_int_equal(vp8_parse_descriptor(&r, &d), 0);
	assert_true(d.start && !d.has_picture_id);
	for (size_t n = 0; n < 6; n++) {
		r = reader_of(span_of("\xb1\xf0\x91\x22\x33\xa3", n));
		assert_int_equal(vp8_parse_descriptor(&r, &d), FL_EMALFORMED);
	}
	assert_true(vp8_is_keyframe(BYTES("\x50")));
	assert_false(vp8_is_keyframe(BYTES("\x51")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_annexb),	    TEST(test_h264_vectors), TEST(test_h264_depacketize),
		TEST(test_h264_round_trip), TEST(test_vp8_vectors),
	};

	return cmocka_run_group_tests_name("codec", tests, NULL, NULL);
}
