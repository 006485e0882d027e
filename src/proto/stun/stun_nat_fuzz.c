/*
 * A script of answers to the questions about the NAT: per step two bytes of time (10 ms), whence,
 * whereto and of which question the transaction is, then a length and the message, whose
 * transaction id is set right when the step says so.
 */
#include "proto/stun/stun_nat.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { RIGHT_TID = 0x80, TO_SECOND = 0x40, TESTS = 0x07 };

static const struct addr server = { ADDR_V4, { 192, 0, 2, 1 }, 3478, 0 };
static const struct addr local[2] = { { ADDR_V4, { 10, 0, 0, 4 }, 5000, 0 },
				      { ADDR_V4, { 10, 0, 0, 4 }, 5001, 0 } };

static unsigned drain(struct stun_nat *n, usec_t now)
{
	unsigned sent = 0;
	struct dgram d;

	while (stun_nat_next_output(n, now, &d)) {
		if (d.data.len < STUN_HEADER_LEN || d.data.len > STUN_SHORT_MAX)
			__builtin_trap();
		if (addr_range(&d.remote) != addr_range(&server)) /* never where it is told to */
			__builtin_trap();
		sent++;
	}
	return sent;
}

static void step(struct stun_nat *n, usec_t now, uint8_t how, struct span message)
{
	const struct stun_nat_ask *a = &n->asks[(how & TESTS) % STUN_NAT_TESTS];
	uint8_t buf[STUN_SHORT_MAX];
	struct dgram d = { local[!!(how & TO_SECOND)], a->from, { NULL, 0 }, DGRAM_UDP };

	message.len = FL_MIN(message.len, sizeof(buf));
	if (message.len)
		memcpy(buf, message.ptr, message.len);
	if (how & RIGHT_TID && message.len >= STUN_HEADER_LEN)
		memcpy(buf + STUN_HEADER_LEN - STUN_TID_LEN, a->client.tid, STUN_TID_LEN);
	d.data = span_of(buf, message.len);
	stun_nat_input(n, now, &d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reader r = reader_of(span_of(data, size));
	usec_t now = USEC_PER_SEC;
	struct stun_nat n;
	unsigned sent;
	struct rng rng;

	rng_seed(&rng, 1);
	stun_nat_start(&n, &rng, now, &server, local);
	sent = drain(&n, now);
	while (reader_left(&r) > 0) {
		usec_t wait = (usec_t)reader_u16(&r) * 10 * USEC_PER_MSEC;
		uint8_t how = reader_u8(&r);
		size_t len = reader_u16(&r);

		now += wait;
		sent += drain(&n, now);
		step(&n, now, how, reader_bytes(&r, FL_MIN(len, reader_left(&r))));
		sent += drain(&n, now);
	}
	if (sent > STUN_NAT_TESTS * STUN_NAT_TRIES)
		__builtin_trap();
	while (!stun_nat_done(&n)) { /* it ends by itself */
		now = stun_nat_deadline(&n);
		sent += drain(&n, now);
		if (sent > STUN_NAT_TESTS * STUN_NAT_TRIES)
			__builtin_trap();
	}
	(void)stun_nat_mapping(&n);
	(void)stun_nat_filtering(&n);
	return 0;
}
