/*
 * Packets from the other side of a DTLS connection. The first byte chooses a fresh association or
 * one that is up; then per step one byte of milliseconds, two of length, and a packet. The
 * verification tag is put in, so that the input need not guess it; the checksum is not looked at.
 */
#include "base/wire.h"
#include "proto/sctp/assoc.h"
#include "vclock.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static usec_t now = USEC_PER_SEC;

static void drain(struct assoc *from, struct assoc *to)
{
	struct assoc_event ev;
	struct span out;

	while (assoc_next_event(from, now, &ev))
		if (ev.type == ASSOC_MESSAGE && ev.message.data.len > ASSOC_MESSAGE_MAX)
			abort();
	while (assoc_next_output(from, &out))
		if (to && assoc_input(to, now, out) < 0)
			abort();
}

/* The first packet is an INIT: the tag that packets to its sender must carry follows its header. */
static uint32_t first_tag(struct assoc *a, struct assoc *to)
{
	struct reader r = { 0 };
	struct span out;

	if (!assoc_next_output(a, &out))
		abort();
	r = reader_of(out);
	reader_skip(&r, 16);
	if (to && assoc_input(to, now, out) < 0)
		abort();
	return reader_u32(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct assoc_config config = { .mtu = 1160 };
	struct reader r = reader_of(span_of(data, size));
	bool up = reader_u8(&r) & 1;
	struct assoc *a = NULL, *b = NULL;
	uint8_t packet[2048];
	uint32_t tag;

	if (assoc_create(&config, now, &a) < 0 || assoc_connect(a, now) < 0 ||
	    assoc_create(&config, now, &b) < 0)
		abort();
	if (up && assoc_connect(b, now) < 0)
		abort();
	tag = first_tag(a, up ? b : NULL);
	for (int i = 0; up && i < 4; i++) {
		drain(b, a);
		drain(a, b);
	}
	while (reader_left(&r) > 0) {
		uint8_t ms = reader_u8(&r);
		uint16_t len = reader_u16(&r);
		struct span body = reader_bytes(&r, FL_MIN((size_t)len, reader_left(&r)));
		struct writer w = writer_of(packet, sizeof(packet));

		now += ms * USEC_PER_MSEC;
		vclock_set(now);
		writer_u16(&w, 5000);
		writer_u16(&w, 5000);
		writer_u32(&w, tag);
		writer_u32(&w, 0);
		writer_bytes(&w, body.ptr, FL_MIN(body.len, writer_room(&w)));
		if (assoc_timeout(a, now) < 0 || assoc_input(a, now, writer_span(&w)) < 0)
			abort();
		drain(a, NULL);
	}
	assoc_destroy(a);
	assoc_destroy(b);
	return 0;
}
