#include "test.h"

#include <errno.h>

#include "base/err.h"
#include "base/pktq.h"
#include "base/rng.h"
#include "base/wire.h"
#include "proto/dtls/dtls.h"
#include "vclock.h"

#define ONE_WAY_US (25 * USEC_PER_MSEC)

/* One side: what happened to it, and the datagrams on their way to it. */
struct side {
	struct dtls *d;
	struct pktq wire; /* tag: arrival, milliseconds */
	unsigned n_may_send, n_connected, n_closed, n_failed, n_data, n_sent;
	usec_t may_send_at, connected_at;
	uint8_t last[2048];
	size_t last_len;
};

struct pair {
	struct dtls_identity *id[2];
	struct side side[2];
	struct rng rng;
	unsigned loss_percent;
	size_t longest;
};

static void pair_init(struct pair *p)
{
	*p = (struct pair){ 0 };
	rng_seed(&p->rng, 1);
	vclock_set(USEC_PER_SEC);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(dtls_identity_create(&p->id[i]), 0);
		assert_int_equal(
			dtls_create(p->id[i], i == 0 ? DTLS_ACTIVE : DTLS_PASSIVE, &p->side[i].d),
			0);
		p->side[i].wire = PKTQ_INIT(1 << 20);
	}
}

static void pair_finish(struct pair *p)
{
	for (int i = 0; i < 2; i++) {
		dtls_destroy(p->side[i].d);
		dtls_identity_unref(p->id[i]);
		pktq_finish(&p->side[i].wire);
	}
}

static void know(struct pair *p, int side)
{
	assert_int_equal(dtls_set_fingerprint(p->side[side].d, vclock_now(),
					      dtls_identity_fingerprint(p->id[1 - side])),
			 0);
}

static void drain(struct pair *p, int i)
{
	struct side *s = &p->side[i];
	struct dtls_event ev;
	struct span out;

	while (dtls_next_event(s->d, &ev)) {
		switch (ev.type) {
		case DTLS_MAY_SEND:
			s->n_may_send++;
			s->may_send_at = vclock_now();
			break;
		case DTLS_CONNECTED:
			s->n_connected++;
			s->connected_at = vclock_now();
			break;
		case DTLS_DATA:
			s->n_data++;
			s->last_len = ev.data.len;
			memcpy(s->last, ev.data.ptr, FL_MIN(ev.data.len, sizeof(s->last)));
			break;
		case DTLS_CLOSED:
			s->n_closed++;
			break;
		case DTLS_FAILED:
			s->n_failed++;
			break;
		}
	}
	while (dtls_next_output(s->d, &out)) {
		s->n_sent++;
		p->longest = FL_MAX(p->longest, out.len);
		if (rng_below(&p->rng, 100) >= p->loss_percent)
			assert_int_equal(pktq_push(&p->side[1 - i].wire,
						   (uint32_t)((vclock_now() + ONE_WAY_US) / 1000),
						   out),
					 0);
	}
}

/* Steps both sides, a millisecond at a time. */
static void run(struct pair *p, usec_t duration)
{
	usec_t end = vclock_now() + duration;

	while (vclock_now() < end) {
		for (int i = 0; i < 2; i++) {
			struct side *s = &p->side[i];
			struct span in;
			uint32_t at;

			while (pktq_peek(&s->wire, &at, &in) && at * 1000ULL <= vclock_now()) {
				pktq_pop(&s->wire, &at, &in);
				assert_int_equal(dtls_input(s->d, vclock_now(), in), 0);
			}
			if (dtls_deadline(s->d) <= vclock_now())
				assert_int_equal(dtls_timeout(s->d, vclock_now()), 0);
			drain(p, i);
		}
		vclock_set(vclock_now() + 1000);
	}
}

static void assert_both_connected(const struct pair *p)
{
	for (int i = 0; i < 2; i++) {
		assert_int_equal(p->side[i].n_may_send, 1);
		assert_int_equal(p->side[i].n_connected, 1);
		assert_int_equal(p->side[i].n_failed, 0);
	}
}

static void test_connect(void **state)
{
	struct pair p;
	uint8_t key[2][60], big[DTLS_LINK_MTU] = { 0 };
	usec_t began;

	pair_init(&p);
	know(&p, 0);
	know(&p, 1);
	began = vclock_now();
	assert_int_equal(dtls_send(p.side[0].d, span_str("x")), FL_ESTATE);
	assert_int_equal(dtls_export(p.side[0].d, "EXTRACTOR-dtls_srtp", key[0], 60), FL_ESTATE);
	assert_int_equal(dtls_start(p.side[0].d, vclock_now()), 0);
	run(&p, 300000);
	assert_both_connected(&p);
	assert_true(p.longest <= DTLS_LINK_MTU);
	/* the active side may speak after one round trip, both are through after two */
	assert_true(p.side[0].may_send_at - began < 55000);
	assert_true(p.side[0].connected_at - began < 110000);
	assert_true(p.side[1].connected_at - began < 85000);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(dtls_srtp_profile(p.side[i].d), DTLS_SRTP_AEAD_AES_128_GCM);
		assert_int_equal(dtls_export(p.side[i].d, "EXTRACTOR-dtls_srtp", key[i], 60), 0);
	}
	assert_memory_equal(key[0], key[1], 60);
	assert_int_equal(dtls_send(p.side[0].d, span_of(big, sizeof(big))), -EMSGSIZE);
	assert_int_equal(dtls_send(p.side[0].d, span_of(big, DTLS_LINK_MTU - DTLS_RECORD_OVERHEAD)),
			 0);
	assert_int_equal(dtls_send(p.side[1].d, span_str("hello")), 0);
	run(&p, 50000);
	assert_int_equal(p.longest, DTLS_LINK_MTU);
	assert_int_equal(p.side[1].last_len, DTLS_LINK_MTU - DTLS_RECORD_OVERHEAD);
	assert_memory_equal(p.side[0].last, "hello", 5);
	dtls_close(p.side[0].d);
	run(&p, 50000);
	assert_int_equal(p.side[1].n_closed, 1);
	assert_int_equal(dtls_deadline(p.side[1].d), USEC_NEVER);
	pair_finish(&p);
}

/* Data sent right behind the active side's Finished arrives (RFC 7918). */
static void test_false_start(void **state)
{
	struct pair p;

	pair_init(&p);
	know(&p, 0);
	know(&p, 1);
	assert_int_equal(dtls_start(p.side[0].d, vclock_now()), 0);
	run(&p, 55000);
	assert_int_equal(p.side[0].n_may_send, 1);
	assert_int_equal(p.side[0].n_connected, 0);
	assert_int_equal(dtls_send(p.side[0].d, span_str("early")), 0);
	run(&p, 30000);
	assert_int_equal(p.side[1].n_data, 1);
	assert_memory_equal(p.side[1].last, "early", 5);
	run(&p, 100000);
	assert_both_connected(&p);
	pair_finish(&p);
}

static void test_loss(void **state)
{
	for (uint64_t seed = 0; seed < 40; seed++) {
		struct pair p;

		pair_init(&p);
		rng_seed(&p.rng, seed);
		p.loss_percent = 30;
		know(&p, 0);
		know(&p, 1);
		assert_int_equal(dtls_start(p.side[0].d, vclock_now()), 0);
		for (int i = 0;
		     i < 60 && !(dtls_connected(p.side[0].d) && dtls_connected(p.side[1].d)); i++)
			run(&p, 500000);
		if (!p.side[0].n_connected || !p.side[1].n_connected)
			fail_msg("not connected with seed %llu", (unsigned long long)seed);
		assert_both_connected(&p);
		/* and data flows, also when Finished had to be repeated */
		p.loss_percent = 0;
		assert_int_equal(dtls_send(p.side[0].d, span_str("a")), 0);
		assert_int_equal(dtls_send(p.side[1].d, span_str("b")), 0);
		run(&p, 60000);
		assert_int_equal(p.side[0].n_data, 1);
		assert_int_equal(p.side[1].n_data, 1);
		pair_finish(&p);
	}
}

/* Nothing is let out before the fingerprint is known; then everything is, at once. */
static void test_late_fingerprint(void **state)
{
	struct pair p;
	uint8_t key[60];

	pair_init(&p);
	know(&p, 0);
	assert_int_equal(dtls_start(p.side[0].d, vclock_now()), 0);
	run(&p, 300000);
	assert_int_equal(p.side[0].n_connected, 1);
	assert_int_equal(p.side[1].n_connected, 0);
	assert_int_equal(dtls_send(p.side[0].d, span_str("held")), 0);
	run(&p, 100000);
	assert_int_equal(p.side[1].n_data, 0);
	assert_int_equal(dtls_send(p.side[1].d, span_str("x")), FL_ESTATE);
	assert_int_equal(dtls_export(p.side[1].d, "EXTRACTOR-dtls_srtp", key, 60), FL_ESTATE);
	know(&p, 1);
	drain(&p, 1);
	assert_int_equal(p.side[1].n_connected, 1);
	assert_int_equal(p.side[1].n_data, 1);
	pair_finish(&p);
}

static void test_wrong_fingerprint(void **state)
{
	struct pair p;
	uint8_t wrong[DTLS_FINGERPRINT_LEN];

	pair_init(&p);
	memcpy(wrong, dtls_identity_fingerprint(p.id[1]), sizeof(wrong));
	wrong[31] ^= 1;
	assert_int_equal(dtls_set_fingerprint(p.side[0].d, vclock_now(), wrong), 0);
	know(&p, 1);
	assert_int_equal(dtls_start(p.side[0].d, vclock_now()), 0);
	run(&p, 300000);
	assert_int_equal(p.side[0].n_failed, 1);
	assert_int_equal(p.side[0].n_may_send, 0);
	assert_int_equal(p.side[0].n_connected, 0);
	assert_int_equal(dtls_send(p.side[0].d, span_str("x")), FL_ESTATE);
	pair_finish(&p);
}

/* Damaged, replayed, cut and invented records change nothing but counters. */
static void test_hostile_records(void **state)
{
	struct pair p;
	struct span out;
	uint8_t copy[2048];
	uint64_t before;

	pair_init(&p);
	know(&p, 0);
	know(&p, 1);
	assert_int_equal(dtls_start(p.side[0].d, vclock_now()), 0);
	run(&p, 300000);
	assert_int_equal(dtls_send(p.side[0].d, span_str("once")), 0);
	assert_true(dtls_next_output(p.side[0].d, &out));
	memcpy(copy, out.ptr, out.len);
	before = dtls_stats(p.side[1].d)->malformed;
	for (size_t i = 0; i < out.len * 8; i++) {
		copy[i / 8] ^= (uint8_t)(1 << i % 8);
		assert_int_equal(dtls_input(p.side[1].d, vclock_now(), span_of(copy, out.len)), 0);
		copy[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	for (size_t n = 0; n < out.len; n++)
		assert_int_equal(dtls_input(p.side[1].d, vclock_now(), span_of(copy, n)), 0);
	drain(&p, 1);
	assert_int_equal(p.side[1].n_data, 0);
	assert_int_equal(p.side[1].n_failed + p.side[1].n_closed, 0);
	assert_true(dtls_stats(p.side[1].d)->malformed > before);
	for (int i = 0; i < 3; i++)
		assert_int_equal(dtls_input(p.side[1].d, vclock_now(), span_of(copy, out.len)), 0);
	drain(&p, 1);
	assert_int_equal(p.side[1].n_data, 1);
	pair_finish(&p);
}

/* Whoever knows the port can send these once the handshake is over: they end and change nothing. */
static void test_forged_handshake_after_connect(void **state)
{
	static const struct {
		uint8_t type, body[14], len;
	} forged[] = {
		{ 20, { 1 }, 1 },				  /* ChangeCipherSpec */
		{ 21, { 2, 40 }, 2 },				  /* fatal: handshake_failure */
		{ 21, { 1, 0 }, 2 },				  /* close_notify */
		{ 22, { 0 }, 12 },				  /* HelloRequest */
		{ 22, { 1, 0, 0, 2, [11] = 2, 0xfe, 0xfd }, 14 }, /* ClientHello, cut */
		{ 22, { 20, [5] = 3, [8] = 0xff }, 12 }, /* Finished, impossible fragment */
	};
	struct pair p;

	pair_init(&p);
	know(&p, 0);
	know(&p, 1);
	assert_int_equal(dtls_start(p.side[0].d, vclock_now()), 0);
	run(&p, 300000);
	for (int side = 0; side < 2; side++)
		for (size_t i = 0; i < ARRAY_LEN(forged) * 3 * 2; i++) {
			size_t n = i / 6;
			uint8_t record[64];
			struct writer w = writer_of(record, sizeof(record));

			writer_u8(&w, forged[n].type);
			writer_u16(&w, 0xfefd);
			writer_u64(&w, (uint64_t)(i % 3) << 48 | (i / 3 % 2 ? 5000 : 3));
			writer_u16(&w, forged[n].len);
			writer_bytes(&w, forged[n].body, forged[n].len);
			assert_int_equal(dtls_input(p.side[side].d, vclock_now(), writer_span(&w)),
					 0);
		}
	run(&p, 300000);
	assert_int_equal(dtls_send(p.side[0].d, span_str("still here")), 0);
	assert_int_equal(dtls_send(p.side[1].d, span_str("and here")), 0);
	run(&p, 300000);
	for (int side = 0; side < 2; side++) {
		assert_int_equal(p.side[side].n_failed + p.side[side].n_closed, 0);
		assert_int_equal(p.side[side].n_data, 1);
	}
	pair_finish(&p);
}

static void test_no_answer(void **state)
{
	struct pair p;

	pair_init(&p);
	p.loss_percent = 100;
	assert_int_equal(dtls_start(p.side[0].d, vclock_now()), 0);
	run(&p, 1000000);
	/* 0, 60, 180, 420, 900 ms */
	assert_int_equal(p.side[0].n_sent, 5);
	assert_int_equal(dtls_stats(p.side[0].d)->retransmissions, 4);
	pair_finish(&p);
}

static void test_fingerprint_text(void **state)
{
	struct dtls_identity *id;
	uint8_t fp[DTLS_FINGERPRINT_LEN];
	char text[DTLS_FINGERPRINT_TEXT_MAX + 2];

	assert_int_equal(dtls_identity_create(&id), 0);
	snprintf(text, sizeof(text), "%s", dtls_identity_fingerprint_text(id));
	assert_int_equal(strlen(text), 8 + 95);
	assert_int_equal(dtls_fingerprint_parse(span_str(text), fp), 0);
	assert_memory_equal(fp, dtls_identity_fingerprint(id), sizeof(fp));
	for (char *c = text; *c; c++)
		*c = (char)(*c >= 'A' && *c <= 'F' ? *c | 0x20 : *c);
	assert_int_equal(dtls_fingerprint_parse(span_str(text), fp), 0);
	assert_memory_equal(fp, dtls_identity_fingerprint(id), sizeof(fp));
	assert_int_equal(dtls_fingerprint_parse(span_of(text, strlen(text) - 1), fp),
			 FL_EMALFORMED);
	snprintf(text + strlen(text), 2, ":");
	assert_int_equal(dtls_fingerprint_parse(span_str(text), fp), FL_EMALFORMED);
	assert_int_equal(dtls_fingerprint_parse(span_str("sha-1 AB:CD"), fp), FL_EUNSUPPORTED);
	assert_int_equal(dtls_fingerprint_parse(span_str("sha-256"), fp), FL_EMALFORMED);
	dtls_identity_unref(id);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_connect),
		TEST(test_false_start),
		TEST(test_loss),
		TEST(test_late_fingerprint),
		TEST(test_wrong_fingerprint),
		TEST(test_hostile_records),
		TEST(test_forged_handshake_after_connect),
		TEST(test_no_answer),
		TEST(test_fingerprint_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
