/*
 * The input is a script for a passive side and an active one: per step one byte (bit 0: to whom;
 * the upper seven: milliseconds since the last) and two of length, then a datagram.
 */
#include "base/wire.h"
#include "proto/dtls/dtls.h"
#include "vclock.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void drain(struct dtls *d)
{
	struct dtls_event ev;
	struct span out;

	while (dtls_next_event(d, &ev))
		if (ev.type == DTLS_CONNECTED || ev.type == DTLS_DATA)
			abort(); /* nobody here knows a key or a right fingerprint */
	while (dtls_next_output(d, &out))
		if (out.len > DTLS_LINK_MTU)
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct dtls_identity *id;
	struct reader r = reader_of(span_of(data, size));
	struct dtls *d[2];
	usec_t now = USEC_PER_SEC;

	vclock_set(now);
	if ((!id && dtls_identity_create(&id) < 0) || dtls_create(id, DTLS_PASSIVE, &d[0]) < 0)
		return 0;
	if (dtls_create(id, DTLS_ACTIVE, &d[1]) < 0 || dtls_start(d[1], now) < 0)
		abort();
	while (reader_left(&r) > 0) {
		uint8_t step = reader_u8(&r);
		struct dtls *to = d[step & 1];
		uint16_t len = reader_u16(&r);
		struct span datagram = reader_bytes(&r, FL_MIN((size_t)len, reader_left(&r)));

		now += (usec_t)(step >> 1) * USEC_PER_MSEC;
		vclock_set(now);
		for (int i = 0; i < 2; i++)
			if (dtls_deadline(d[i]) <= now && dtls_timeout(d[i], now) < 0)
				abort();
		if (dtls_input(to, now, datagram) < 0)
			abort();
		drain(d[0]);
		drain(d[1]);
	}
	dtls_destroy(d[0]);
	dtls_destroy(d[1]);
	return 0;
}
