#include "test.h"

#include <errno.h>

#include "base/err.h"
#include "base/pktq.h"
#include "base/rng.h"
#include "base/wire.h"
#include "proto/sctp/assoc.h"
#include "proto/sctp/crc32c.h"
#include "vclock.h"

#define MTU 1160

struct side {
	struct assoc *a;
	struct pktq wire; /* tag: arrival, milliseconds */
	unsigned n_up, n_lost, n_messages, n_writable, n_reset_in, n_reset_out, n_too_long;
	uint16_t last_reset;
	uint64_t bytes;
	usec_t up_at, first_message_at;
	uint32_t last_ppid;
	uint16_t last_stream;
	uint8_t last[64];
	size_t last_len;
};

struct pair {
	struct side side[2];
	struct rng rng;
	unsigned loss_permille;
	usec_t one_way;
	size_t longest;
	/* side 0's next chunk of data will be lost so many times */
	uint32_t unlucky_tsn; /* 0: not sent yet */
	unsigned unlucky_times;
};

static void pair_init(struct pair *p, usec_t one_way)
{
	struct assoc_config config = { .mtu = MTU };

	*p = (struct pair){ .one_way = one_way };
	rng_seed(&p->rng, 1);
	vclock_set(usec_add(vclock_now(), USEC_PER_SEC));
	for (int i = 0; i < 2; i++) {
		assert_int_equal(assoc_create(&config, vclock_now(), &p->side[i].a), 0);
		p->side[i].wire = PKTQ_INIT(64 << 20);
	}
}

static void pair_finish(struct pair *p)
{
	for (int i = 0; i < 2; i++) {
		assoc_destroy(p->side[i].a);
		pktq_finish(&p->side[i].wire);
	}
}

static void on_message(struct side *s, const struct assoc_message *m)
{
	if (s->n_messages++ == 0)
		s->first_message_at = vclock_now();
	s->bytes += m->data.len;
	s->last_ppid = m->ppid;
	s->last_stream = m->stream;
	s->last_len = m->data.len;
	memcpy(s->last, m->data.ptr, FL_MIN(m->data.len, sizeof(s->last)));
}

/* Whether the packet begins with the chunk that has no luck (RFC 9260 §3.1, §3.3.1). */
static bool is_unlucky(struct pair *p, int i, struct span packet)
{
	struct reader r = reader_of(packet);
	uint32_t tsn;

	reader_skip(&r, 12);
	if (i != 0 || !p->unlucky_times || reader_u8(&r) != 0)
		return false;
	reader_skip(&r, 3);
	tsn = reader_u32(&r);
	if (!p->unlucky_tsn)
		p->unlucky_tsn = tsn;
	if (tsn != p->unlucky_tsn || reader_failed(&r))
		return false;
	p->unlucky_times--;
	return true;
}

static void drain(struct pair *p, int i)
{
	struct side *s = &p->side[i];
	struct assoc_event ev;
	struct span out;

	while (assoc_next_event(s->a, vclock_now(), &ev)) {
		switch (ev.type) {
		case ASSOC_UP:
			s->n_up++;
			s->up_at = vclock_now();
			break;
		case ASSOC_MESSAGE:
			on_message(s, &ev.message);
			break;
		case ASSOC_WRITABLE:
			s->n_writable++;
			break;
		case ASSOC_RESET_IN:
			s->n_reset_in++;
			s->last_reset = ev.stream;
			break;
		case ASSOC_RESET_OUT:
			s->n_reset_out++;
			break;
		case ASSOC_TOO_LONG:
			s->n_too_long++;
			break;
		case ASSOC_LOST:
			s->n_lost++;
			break;
		}
	}
	while (assoc_next_output(s->a, &out)) {
		p->longest = FL_MAX(p->longest, out.len);
		if (rng_below(&p->rng, 1000) >= p->loss_permille && !is_unlucky(p, i, out))
			assert_int_equal(pktq_push(&p->side[1 - i].wire,
						   (uint32_t)((vclock_now() + p->one_way) / 1000),
						   out),
					 0);
	}
}

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
				assert_int_equal(assoc_input(s->a, vclock_now(), in), 0);
				drain(p, i);
			}
			if (assoc_deadline(s->a) <= vclock_now())
				assert_int_equal(assoc_timeout(s->a, vclock_now()), 0);
			drain(p, i);
		}
		vclock_set(vclock_now() + 1000);
	}
}

static int send_text(struct side *s, uint16_t stream, const char *text)
{
	struct assoc_message m = { .stream = stream, .ppid = ASSOC_STRING, .data = span_str(text) };

	return assoc_send(s->a, vclock_now(), &m);
}

static void connect_both(struct pair *p)
{
	for (int i = 0; i < 2; i++)
		assert_int_equal(assoc_connect(p->side[i].a, vclock_now()), 0);
	run(p, 10 * p->one_way + 100000);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(p->side[i].n_up, 1);
		assert_int_equal(p->side[i].n_lost, 0);
	}
}

/* Both send INIT at once; data queued before travels with the last handshake packet. */
static void test_simultaneous_init(void **state)
{
	struct pair p;
	usec_t began;

	pair_init(&p, 25000);
	began = vclock_now();
	for (int i = 0; i < 2; i++) {
		assert_int_equal(assoc_connect(p.side[i].a, vclock_now()), 0);
		assert_int_equal(send_text(&p.side[i], 1, "first"), 0);
	}
	run(&p, 300000);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(p.side[i].n_up, 1);
		assert_int_equal(p.side[i].n_messages, 1);
		assert_memory_equal(p.side[i].last, "first", 5);
		assert_true(p.side[i].up_at - began <= 105000);
	}
	assert_true(p.longest <= MTU);
	pair_finish(&p);
}

/* Only one side has connected; the other answers. */
static void test_one_init(void **state)
{
	struct pair p;

	pair_init(&p, 25000);
	assert_int_equal(assoc_connect(p.side[0].a, vclock_now()), 0);
	run(&p, 30000);
	assert_int_equal(assoc_connect(p.side[1].a, vclock_now()), 0);
	run(&p, 400000);
	assert_int_equal(p.side[0].n_up, 1);
	assert_int_equal(p.side[1].n_up, 1);
	pair_finish(&p);
}

/* The first association of a process on a machine that has been up for long, and one after a long
 * silence: what is sent first has only just been sent. */
static void test_long_silence(void **state)
{
	struct assoc_config config = { .mtu = MTU };
	struct assoc *a;
	struct span out;
	unsigned n = 0;

	vclock_set(usec_add(vclock_now(), 30 * 3600 * USEC_PER_SEC));
	assert_int_equal(assoc_create(&config, vclock_now(), &a), 0);
	assert_int_equal(assoc_connect(a, vclock_now()), 0);
	for (int i = 0; i < 10; i++) {
		vclock_set(usec_add(vclock_now(), 10 * USEC_PER_MSEC));
		assert_int_equal(assoc_timeout(a, vclock_now()), 0);
		while (assoc_next_output(a, &out))
			n++;
	}
	assert_int_equal(n, 1); /* INIT; the first wait is 400 ms */
	assoc_destroy(a);
}

static void test_messages(void **state)
{
	struct pair p;
	static uint8_t big[ASSOC_MESSAGE_MAX + 1];
	struct assoc_message m = { .stream = 7, .ppid = ASSOC_BINARY };

	pair_init(&p, 5000);
	connect_both(&p);
	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = (uint8_t)(i * 7);
	m.data = span_of(big, ASSOC_MESSAGE_MAX);
	assert_int_equal(assoc_send(p.side[0].a, vclock_now(), &m), 0);
	m.data = span_of(big, sizeof(big));
	assert_int_equal(assoc_send(p.side[0].a, vclock_now(), &m), -EMSGSIZE);
	drain(&p, 0);
	run(&p, 200000);
	assert_int_equal(p.side[1].n_messages, 1);
	assert_int_equal(p.side[1].last_len, ASSOC_MESSAGE_MAX);
	assert_int_equal(p.side[1].last_ppid, ASSOC_BINARY);
	assert_int_equal(p.side[1].last_stream, 7);
	assert_memory_equal(p.side[1].last, big, sizeof(p.side[1].last));
	m.stream = ASSOC_STREAMS_MAX;
	m.data = span_str("x");
	assert_int_equal(assoc_send(p.side[0].a, vclock_now(), &m), -EINVAL);
	/* idle: no deadline left */
	run(&p, 2000000);
	assert_int_equal(assoc_deadline(p.side[0].a), USEC_NEVER);
	assert_int_equal(assoc_deadline(p.side[1].a), USEC_NEVER);
	assert_int_equal(p.longest, MTU);
	pair_finish(&p);
}

static void test_back_pressure(void **state)
{
	struct pair p;
	static uint8_t chunk[16384];
	struct assoc_message m = { .stream = 1,
				   .ppid = ASSOC_BINARY,
				   .data = span_of(chunk, sizeof(chunk)) };
	unsigned sent = 0;
	int err;

	pair_init(&p, 5000);
	connect_both(&p);
	while ((err = assoc_send(p.side[0].a, vclock_now(), &m)) == 0)
		sent++;
	assert_int_equal(err, -EAGAIN);
	assert_true(sent * sizeof(chunk) <= ASSOC_SEND_BUFFER);
	assert_int_equal(p.side[0].n_writable, 0);
	drain(&p, 0);
	run(&p, 3000000);
	assert_true(p.side[0].n_writable >= 1);
	assert_int_equal(p.side[1].n_messages, sent);
	assert_int_equal(assoc_send(p.side[0].a, vclock_now(), &m), 0);
	pair_finish(&p);
}

static void test_loss(void **state)
{
	struct pair p;
	char text[16];

	pair_init(&p, 10000);
	p.loss_permille = 100;
	for (int i = 0; i < 2; i++)
		assert_int_equal(assoc_connect(p.side[i].a, vclock_now()), 0);
	for (int i = 0; i < 500; i++) {
		snprintf(text, sizeof(text), "%d", i);
		assert_int_equal(send_text(&p.side[0], 1, text), 0);
	}
	run(&p, 60000000);
	assert_int_equal(p.side[1].n_messages, 500);
	assert_memory_equal(p.side[1].last, "499", 3);
	pair_finish(&p);
}

/* A full queue on the way may drop the same chunk again and again while others get through. */
static void test_one_chunk_without_luck(void **state)
{
	static uint8_t bytes[1100];
	struct assoc_message m = { .stream = 1,
				   .ppid = ASSOC_BINARY,
				   .data = span_of(bytes, sizeof(bytes)) };
	struct pair p;
	unsigned sent = 0;

	pair_init(&p, 1000);
	connect_both(&p);
	p.unlucky_times = 100;
	for (int i = 0; i < 3000 && p.unlucky_times; i++) {
		for (int k = 0; k < 8 && assoc_send(p.side[0].a, vclock_now(), &m) == 0; k++)
			sent++;
		drain(&p, 0);
		run(&p, 1000);
	}
	run(&p, 20000000);
	assert_int_equal(p.unlucky_times, 0);
	assert_int_equal(p.side[0].n_lost, 0);
	assert_int_equal(p.side[1].n_messages, sent);
	pair_finish(&p);
}

/* Messages that may not be repeated are given up, and what comes after them arrives. */
static void test_partial_reliability(void **state)
{
	struct pair p;
	struct assoc_message m = { .stream = 3,
				   .ppid = ASSOC_STRING,
				   .data = span_str("once"),
				   .reliability = ASSOC_RETRANSMITS,
				   .limit = 0 };

	pair_init(&p, 10000);
	connect_both(&p);
	p.loss_permille = 1000;
	assert_int_equal(assoc_send(p.side[0].a, vclock_now(), &m), 0);
	m.reliability = ASSOC_LIFETIME;
	m.limit = 50;
	assert_int_equal(assoc_send(p.side[0].a, vclock_now(), &m), 0);
	run(&p, 100000);
	p.loss_permille = 0;
	assert_int_equal(send_text(&p.side[0], 3, "kept"), 0);
	run(&p, 5000000);
	assert_int_equal(p.side[1].n_messages, 1);
	assert_memory_equal(p.side[1].last, "kept", 4);
	pair_finish(&p);
}

static void test_reset(void **state)
{
	struct pair p;

	pair_init(&p, 10000);
	connect_both(&p);
	assert_int_equal(send_text(&p.side[0], 5, "last words"), 0);
	for (uint16_t s = 4; s < 8; s++)
		assert_int_equal(assoc_reset_stream(p.side[0].a, vclock_now(), s), 0);
	drain(&p, 0);
	run(&p, 2000000);
	assert_int_equal(p.side[1].n_messages, 1);
	assert_int_equal(p.side[1].n_reset_in, 4);
	assert_int_equal(p.side[0].n_reset_out, 4);
	/* and the stream can be used again */
	assert_int_equal(assoc_reset_stream(p.side[1].a, vclock_now(), 5), 0);
	run(&p, 500000);
	assert_int_equal(send_text(&p.side[0], 5, "again"), 0);
	run(&p, 100000);
	assert_memory_equal(p.side[1].last, "again", 5);
	pair_finish(&p);
}

static void test_abort(void **state)
{
	struct pair p;

	pair_init(&p, 10000);
	connect_both(&p);
	assoc_abort(p.side[0].a, vclock_now());
	drain(&p, 0);
	run(&p, 100000);
	assert_int_equal(p.side[1].n_lost, 1);
	assert_int_equal(send_text(&p.side[1], 1, "x"), FL_ESTATE);
	pair_finish(&p);
}

/* The well-known check value. */
static void test_crc(void **state)
{
	assert_int_equal(crc32c(span_str("123456789")), 0xe3069283);
	assert_int_equal(crc32c(span_str("")), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_crc),
		TEST(test_simultaneous_init),
		TEST(test_one_init),
		TEST(test_messages),
		TEST(test_loss),
		TEST(test_one_chunk_without_luck),
		TEST(test_back_pressure),
		TEST(test_reset),
		TEST(test_partial_reliability),
		TEST(test_abort),
		TEST(test_long_silence),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
