#include "test.h"

#include "base/err.h"
#include "base/rng.h"
#include "proto/rtp/rtcp.h"
#include "proto/rtp/rtp.h"
#include "proto/rtp/twcc.h"

#define BYTES(s) span_of(s, sizeof(s) - 1)

#define assert_span_equal(a, b)                                                                    \
	do {                                                                                       \
		struct span a_ = (a), b_ = (b);                                                    \
		assert_int_equal(a_.len, b_.len);                                                  \
		assert_memory_equal(a_.ptr, b_.ptr, b_.len);                                       \
	} while (0)

static const struct rtp_packet header = { .marker = true,
					  .payload_type = 96,
					  .seq = 0x1234,
					  .timestamp = 0xdecafbad,
					  .ssrc = 0xcafebabe };

static void test_header(void **state)
{
	struct span bytes = BYTES("\x80\xe0\x12\x34\xde\xca\xfb\xad\xca\xfe\xba\xbehello");
	uint8_t out[64];
	struct writer w = writer_of(out, sizeof(out));
	struct rtp_packet p;

	rtp_write_header(&w, &header, NULL, 0);
	writer_str(&w, "hello");
	assert_span_equal(writer_span(&w), bytes);
	assert_int_equal(rtp_parse(bytes, &p), 0);
	assert_true(p.marker);
	assert_int_equal(p.payload_type, 96);
	assert_int_equal(p.seq, 0x1234);
	assert_int_equal(p.timestamp, 0xdecafbad);
	assert_int_equal(p.ssrc, 0xcafebabe);
	assert_span_equal(p.payload, span_str("hello"));
	for (size_t n = 0; n < RTP_HEADER_LEN; n++)
		assert_int_equal(rtp_parse(span_of(bytes.ptr, n), &p), FL_EMALFORMED);
}

static void test_csrc_and_padding(void **state)
{
	struct rtp_packet p;

	assert_int_equal(rtp_parse(BYTES("\xa1\x60\0\1\0\0\0\2\0\0\0\3\0\0\0\4ab\0\0\3"), &p), 0);
	assert_int_equal(p.n_csrc, 1);
	assert_int_equal(p.padding_len, 3);
	assert_span_equal(p.payload, span_str("ab"));
	/* padding only, padding of nothing, padding longer than the packet, version 1 */
	assert_int_equal(rtp_parse(BYTES("\xa0\x60\0\1\0\0\0\2\0\0\0\3\0\0\3"), &p), 0);
	assert_int_equal(p.payload.len, 0);
	assert_int_equal(rtp_parse(BYTES("\xa0\x60\0\1\0\0\0\2\0\0\0\3\0\0\0"), &p), FL_EMALFORMED);
	assert_int_equal(rtp_parse(BYTES("\xa0\x60\0\1\0\0\0\2\0\0\0\3\0\0\4"), &p), FL_EMALFORMED);
	assert_int_equal(rtp_parse(BYTES("\xa0\x60\0\1\0\0\0\2\0\0\0\3"), &p), FL_EMALFORMED);
	assert_int_equal(rtp_parse(BYTES("\x40\x60\0\1\0\0\0\2\0\0\0\3ab"), &p), FL_EMALFORMED);
}

static void test_ext_one_byte(void **state)
{
	/* RFC 8285 §4.2's picture: L 0, L 1 with padding behind, L 3 */
	struct span bytes = BYTES("\x90\xe0\x12\x34\xde\xca\xfb\xad\xca\xfe\xba\xbe"
				  "\xbe\xde\0\3\x10\xaa\x21\xbb\xbc\0\0\x33\xcc\xcd\xce\xcf"
				  "x");
	struct rtp_packet p;
	struct span v;

	assert_int_equal(rtp_parse(bytes, &p), 0);
	assert_span_equal(p.payload, span_str("x"));
	assert_true(rtp_ext_find(&p, 1, &v));
	assert_span_equal(v, BYTES("\xaa"));
	assert_true(rtp_ext_find(&p, 2, &v));
	assert_span_equal(v, BYTES("\xbb\xbc"));
	assert_true(rtp_ext_find(&p, 3, &v));
	assert_span_equal(v, BYTES("\xcc\xcd\xce\xcf"));
	assert_false(rtp_ext_find(&p, 4, &v));
}

static void test_ext_stops(void **state)
{
	/* id 0 with a length, id 15, an element longer than the extension: what is before counts */
	static const char *const elements[] = { "\x10\xaa\x01\x20", "\x10\xaa\xf0\x20",
						"\x10\xaa\x2f\x20" };

	for (size_t i = 0; i < ARRAY_LEN(elements); i++) {
		uint8_t bytes[20];
		struct writer w = writer_of(bytes, sizeof(bytes));
		struct rtp_packet p;
		struct span v;

		writer_bytes(&w, "\x90\x60\0\0\0\0\0\0\0\0\0\0\xbe\xde\0\1", 16);
		writer_bytes(&w, elements[i], 4);
		assert_int_equal(rtp_parse(writer_span(&w), &p), 0);
		assert_true(rtp_ext_find(&p, 1, &v));
		assert_false(rtp_ext_find(&p, 2, &v));
	}
}

static void test_ext_write(void **state)
{
	const struct rtp_ext small[] = { { 5, BYTES("\x01\x02") }, { 3, BYTES("\x77") } };
	const struct rtp_ext large[] = { { 5, BYTES("\x01\x02") }, { 16, { 0 } } };
	uint8_t out[64];
	struct writer w = writer_of(out, sizeof(out));
	struct rtp_packet p;
	struct span v;

	rtp_write_header(&w, &header, small, 2);
	assert_span_equal(writer_span(&w), BYTES("\x90\xe0\x12\x34\xde\xca\xfb\xad\xca\xfe\xba\xbe"
						 "\xbe\xde\0\2\x51\1\2\x30\x77\0\0\0"));
	w = writer_of(out, sizeof(out));
	rtp_write_header(&w, &header, large, 2);
	assert_span_equal(writer_span(&w), BYTES("\x90\xe0\x12\x34\xde\xca\xfb\xad\xca\xfe\xba\xbe"
						 "\x10\0\0\2\5\2\1\2\x10\0\0\0"));
	assert_int_equal(rtp_parse(writer_span(&w), &p), 0);
	assert_true(rtp_ext_find(&p, 5, &v));
	assert_span_equal(v, BYTES("\1\2"));
	assert_true(rtp_ext_find(&p, 16, &v));
	assert_int_equal(v.len, 0);
	w = writer_of(out, 18); /* no room */
	rtp_write_header(&w, &header, small, 2);
	assert_true(writer_failed(&w));
}

static void test_seq(void **state)
{
	assert_int_equal(rtp_seq_diff(1, 0xffff), 2);
	assert_int_equal(rtp_seq_diff(0xffff, 1), -2);
	assert_int_equal(rtp_seq_diff(0x8000, 0), -32768);
}

static const char sr_bytes[] = "\x81\xc8\0\x0c\0\0\0\1\xe1\x02\x03\x04\x05\x06\x07\x08"
			       "\0\0\0\2\0\0\0\3\0\0\0\4"
			       "\0\0\0\5\x20\xff\xff\xfe\0\1\0\2\0\0\0\6\0\0\0\7\0\0\0\x8";
static const char cname_bytes[] = "\x81\xca\0\3\0\0\0\1\1\4host\0\0";

static void test_sender_report(void **state)
{
	const struct rtcp_report report = { .ssrc = 1,
					    .is_sender = true,
					    .ntp = 0xe102030405060708,
					    .rtp_timestamp = 2,
					    .packets = 3,
					    .bytes = 4,
					    .n_blocks = 1,
					    .blocks = { { .ssrc = 5,
							  .fraction_lost = 32,
							  .lost = -2,
							  .highest_seq = 0x10002,
							  .jitter = 6,
							  .lsr = 7,
							  .dlsr = 8 } } };
	uint8_t out[128];
	struct writer w = writer_of(out, sizeof(out));
	struct rtcp_packet p;
	struct rtcp_report got;
	struct reader r;
	struct span cname;

	rtcp_write_report(&w, &report);
	assert_span_equal(writer_span(&w), BYTES(sr_bytes));
	rtcp_write_cname(&w, 1, span_str("host"));
	r = reader_of(writer_span(&w));
	assert_true(rtcp_next(&r, &p));
	assert_int_equal(rtcp_parse_report(&p, &got), 0);
	assert_true(got.is_sender);
	assert_int_equal(got.ntp, report.ntp);
	assert_int_equal(got.blocks[0].lost, -2);
	assert_int_equal(got.blocks[0].highest_seq, 0x10002);
	assert_int_equal(got.blocks[0].dlsr, 8);
	p.body.len -= 1;
	assert_int_equal(rtcp_parse_report(&p, &got), FL_EMALFORMED);
	assert_true(rtcp_next(&r, &p));
	assert_int_equal(p.type, RTCP_SDES);
	assert_int_equal(rtcp_parse_cname(&p, 1, &cname), 0);
	assert_span_equal(cname, span_str("host"));
	assert_int_equal(rtcp_parse_cname(&p, 2, &cname), 0);
	assert_int_equal(cname.len, 0);
	assert_false(rtcp_next(&r, &p));
	assert_false(reader_failed(&r));
	w = writer_of(out, sizeof(out));
	rtcp_write_cname(&w, 1, span_str("host"));
	assert_span_equal(writer_span(&w), BYTES(cname_bytes));
}

static void test_compound_damage(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
	} bad[] = {
		{ "\x80\xc9\0\2\0\0\0\1", 8 },	   /* longer than the packet */
		{ "\x40\xc9\0\1\0\0\0\1", 8 },	   /* version */
		{ "\xa0\xc9\0\1\0\0\0\5", 8 },	   /* padding longer than the body */
		{ "\xa0\xc9\0\1\0\0\0\0", 8 },	   /* padding of nothing */
		{ "\x80\xc9\0\1\0\0\0\1\x80", 9 }, /* a byte behind */
	};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct reader r = reader_of(span_of(bad[i].bytes, bad[i].len));
		struct rtcp_packet p;

		while (rtcp_next(&r, &p))
			;
		assert_true(reader_failed(&r));
	}
}

/* The one packet that was written, as feedback. */
static struct rtcp_feedback feedback_of(struct writer *w, uint8_t type, uint8_t fmt)
{
	struct reader r = reader_of(writer_span(w));
	struct rtcp_feedback fb;
	struct rtcp_packet p;

	assert_true(rtcp_next(&r, &p));
	assert_int_equal(p.type, type);
	assert_int_equal(p.count, fmt);
	assert_int_equal(rtcp_parse_feedback(&p, &fb), 0);
	assert_true(reader_done(&r));
	return fb;
}

static void test_nack(void **state)
{
	const uint16_t seqs[] = { 0xfffe, 0xffff, 1, 14, 15 };
	uint8_t out[64];
	struct writer w = writer_of(out, sizeof(out));
	struct rtcp_nack_walk walk = { 0 };
	struct rtcp_feedback fb;
	uint16_t seq;
	size_t n = 0;

	rtcp_write_nack(&w, 1, 2, seqs, ARRAY_LEN(seqs));
	assert_span_equal(writer_span(&w),
			  BYTES("\x81\xcd\0\4\0\0\0\1\0\0\0\2\xff\xfe\x80\5\0\x0f\0\0"));
	fb = feedback_of(&w, RTCP_RTPFB, RTCP_FMT_NACK);
	assert_int_equal(fb.media_ssrc, 2);
	while (rtcp_nack_next(&fb, &walk, &seq))
		assert_int_equal(seq, seqs[n++]);
	assert_int_equal(n, ARRAY_LEN(seqs));
}

static void test_payload_feedback(void **state)
{
	uint8_t out[64], command;
	struct writer w = writer_of(out, sizeof(out));
	struct rtcp_feedback fb;
	uint64_t bps;

	rtcp_write_pli(&w, 1, 2);
	assert_span_equal(writer_span(&w), BYTES("\x81\xce\0\2\0\0\0\1\0\0\0\2"));
	w = writer_of(out, sizeof(out));
	rtcp_write_fir(&w, 1, 2, 9);
	assert_span_equal(writer_span(&w), BYTES("\x84\xce\0\4\0\0\0\1\0\0\0\0\0\0\0\2\x09\0\0\0"));
	fb = feedback_of(&w, RTCP_PSFB, RTCP_FMT_FIR);
	assert_true(rtcp_fir_find(&fb, 2, &command));
	assert_int_equal(command, 9);
	assert_false(rtcp_fir_find(&fb, 3, &command));
	w = writer_of(out, sizeof(out));
	rtcp_write_remb(&w, 1, 2, 1500000); /* 187500 · 2³ */
	assert_span_equal(writer_span(&w),
			  BYTES("\x8f\xce\0\5\0\0\0\1\0\0\0\0REMB\1\x0e\xdc\x6c\0\0\0\2"));
	fb = feedback_of(&w, RTCP_PSFB, RTCP_FMT_AFB);
	assert_int_equal(rtcp_parse_remb(&fb, 2, &bps), 0);
	assert_int_equal(bps, 1500000);
	assert_int_equal(rtcp_parse_remb(&fb, 3, &bps), FL_EUNSUPPORTED);
	w = writer_of(out, sizeof(out));
	rtcp_write_bye(&w, 7);
	assert_span_equal(writer_span(&w), BYTES("\x81\xcb\0\1\0\0\0\7"));
}

/*
 * By hand after §3.1: base 5, eight statuses, reference 2 (128 ms); one run chunk of two small
 * deltas, one vector of two-bit symbols (small, lost, large, lost, small, small); deltas 4, 8, 1,
 * −2, 0, 255.
 */
static const char twcc_bytes[] = "\x8f\xcd\0\7\0\0\0\1\0\0\0\2\0\5\0\x8\0\0\2\x2a\x20\2\xd2\x14"
				 "\4\x8\1\xff\xfe\0\xff\0";

static void test_twcc_read(void **state)
{
	static const int64_t at[] = { 129000, 131000, 131250, -1, 130750, -1, 130750, 194500 };
	struct rtcp_feedback fb;
	struct rtcp_packet p;
	struct twcc_walk walk;
	struct twcc_status s;
	struct twcc t;
	struct reader r = reader_of(BYTES(twcc_bytes));

	assert_true(rtcp_next(&r, &p));
	assert_int_equal(rtcp_parse_feedback(&p, &fb), 0);
	assert_int_equal(twcc_parse(&fb, &t), 0);
	assert_int_equal(t.feedback_seq, 0x2a);
	twcc_walk_start(&t, &walk);
	for (size_t i = 0; i < ARRAY_LEN(at); i++) {
		assert_true(twcc_walk_next(&t, &walk, &s));
		assert_int_equal(s.seq, 5 + i);
		assert_int_equal(s.received, at[i] >= 0);
		if (at[i] >= 0)
			assert_int_equal(s.at_us, at[i]);
	}
	assert_false(twcc_walk_next(&t, &walk, &s));
	for (size_t n = 0; n < fb.fci.len - 1; n++) { /* the last byte is padding */
		struct rtcp_feedback cut = fb;

		cut.fci.len = n;
		assert_int_equal(twcc_parse(&cut, &t), FL_EMALFORMED);
	}
}

/* Nine bytes may claim 65,535 packets: refused, as is a run of nothing and a reserved symbol. */
static void test_twcc_refused(void **state)
{
	static const char *const bad[] = { "\0\0\x20\1\0\0\0\1\x1f\xff\0\2",
					   "\0\0\0\1\0\0\0\1\0\0\0\1",
					   "\0\0\0\1\0\0\0\1\x60\1\0\0" };
	struct twcc t;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct rtcp_feedback fb = { .fci = span_of(bad[i], 12) };

		assert_int_equal(twcc_parse(&fb, &t), FL_EMALFORMED);
	}
}

/* Whatever pattern of loss and delay: what a receiver writes, the sender reads. */
static void test_twcc_round_trip(void **state)
{
	for (uint64_t seed = 1; seed <= 300; seed++) {
		struct twcc_arrival a[200] = { 0 };
		uint8_t out[1200];
		struct writer w = writer_of(out, sizeof(out));
		struct twcc_status s = { 0 };
		struct twcc_walk walk;
		struct twcc t;
		struct rng rng;
		usec_t now;
		uint16_t seq;
		size_t n = 0, i = 0, lost;

		rng_seed(&rng, seed);
		seq = (uint16_t)rng_u32(&rng);
		now = rng_below(&rng, 1000000000);
		lost = rng_below(&rng, 100);
		while (n < ARRAY_LEN(a)) {
			now += rng_below(&rng, 20) ? rng_below(&rng, 3000)
						   : rng_below(&rng, 200000);
			if (n == 0 || rng_below(&rng, 100) >= lost)
				a[n++] = (struct twcc_arrival){ seq, now };
			seq++;
			if (rng_below(&rng, 8) == 0)
				now -= FL_MIN(now, 2000);
			if (n && (uint16_t)(seq - a[0].seq) > 900)
				break;
		}
		assert_int_equal(twcc_write(&w, 1, 2, 3, (uint16_t)(a[0].seq - lost), a, n), n);
		assert_false(writer_failed(&w));

		struct rtcp_feedback fb = feedback_of(&w, RTCP_RTPFB, RTCP_FMT_TWCC);

		assert_int_equal(twcc_parse(&fb, &t), 0);
		twcc_walk_start(&t, &walk);
		while (twcc_walk_next(&t, &walk, &s)) {
			if (!s.received)
				continue;
			assert_int_equal(s.seq, a[i].seq);
			assert_int_equal(s.at_us, a[i].at_us / TWCC_TICK_US * TWCC_TICK_US);
			i++;
		}
		assert_int_equal(i, n);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_header),	     TEST(test_csrc_and_padding), TEST(test_ext_one_byte),
		TEST(test_ext_stops),	     TEST(test_ext_write),	  TEST(test_seq),
		TEST(test_sender_report),    TEST(test_compound_damage),  TEST(test_nack),
		TEST(test_payload_feedback), TEST(test_twcc_read),	  TEST(test_twcc_refused),
		TEST(test_twcc_round_trip),
	};

	return cmocka_run_group_tests_name("rtp", tests, NULL, NULL);
}
