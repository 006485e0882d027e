#include "proto/rtp/vp8.h"

#include <assert.h>

#include "base/err.h"

enum {
	X = 0x80, /* first byte */
	N = 0x20,
	S = 0x10,
	PID = 0x07,
	I = 0x80, /* extension byte */
	L = 0x40,
	T = 0x20,
	K = 0x10,
	M = 0x80, /* picture id */
};

static void parse_extension(struct reader *r, struct vp8_descriptor *d)
{
	uint8_t bits = reader_u8(r), byte;

	d->has_picture_id = bits & I;
	d->has_tl0 = bits & L;
	d->has_tid = bits & T;
	d->has_key_index = bits & K;
	if (d->has_picture_id) {
		byte = reader_u8(r);
		d->wide_picture_id = byte & M;
		d->picture_id = byte & 0x7f;
		if (d->wide_picture_id)
			d->picture_id = (uint16_t)(d->picture_id << 8 | reader_u8(r));
	}
	if (d->has_tl0)
		d->tl0 = reader_u8(r);
	if (d->has_tid || d->has_key_index) {
		byte = reader_u8(r);
		d->tid = byte >> 6;
		d->layer_sync = byte & 0x20;
		d->key_index = byte & 0x1f;
	}
}

int vp8_parse_descriptor(struct reader *r, struct vp8_descriptor *out)
{
	uint8_t first = reader_u8(r);

	*out = (struct vp8_descriptor){ .non_reference = first & N,
					.start = first & S,
					.partition = first & PID };
	if (first & X)
		parse_extension(r, out);
	return reader_failed(r) || reader_left(r) == 0 ? FL_EMALFORMED : 0;
}

void vp8_write_descriptor(struct writer *w, const struct vp8_descriptor *d)
{
	bool layers = d->has_tid || d->has_key_index;
	bool extended = d->has_picture_id || d->has_tl0 || layers;

	writer_u8(w, (uint8_t)((extended ? X : 0) | (d->non_reference ? N : 0) |
			       (d->start ? S : 0) | (d->partition & PID)));
	if (!extended)
		return;
	writer_u8(w, (uint8_t)((d->has_picture_id ? I : 0) | (d->has_tl0 ? L : 0) |
			       (d->has_tid ? T : 0) | (d->has_key_index ? K : 0)));
	if (d->has_picture_id && d->wide_picture_id)
		writer_u16(w, (uint16_t)(M << 8 | (d->picture_id & 0x7fff)));
	else if (d->has_picture_id)
		writer_u8(w, d->picture_id & 0x7f);
	if (d->has_tl0)
		writer_u8(w, d->tl0);
	if (layers)
		writer_u8(w, (uint8_t)((d->tid & 3) << 6 | (d->layer_sync ? 0x20 : 0) |
				       (d->key_index & 0x1f)));
}

bool vp8_packetizer_start(struct vp8_packetizer *p, struct span frame, uint16_t picture_id)
{
	*p = (struct vp8_packetizer){ .frame = frame, .picture_id = picture_id };
	return frame.len > 0;
}

bool vp8_packetizer_next(struct vp8_packetizer *p, struct writer *w, size_t max, bool *last)
{
	struct vp8_descriptor d = { .start = p->sent == 0,
				    .has_picture_id = true,
				    .wide_picture_id = true,
				    .picture_id = p->picture_id };
	size_t left = p->frame.len - p->sent, room = max - VP8_DESCRIPTOR_LEN, n, len;

	assert(max > VP8_DESCRIPTOR_LEN);
	if (left == 0)
		return false;
	n = (left + room - 1) / room;
	len = (left + n - 1) / n; /* even pieces rather than a small last one */
	vp8_write_descriptor(w, &d);
	writer_bytes(w, p->frame.ptr + p->sent, len);
	p->sent += len;
	*last = p->sent == p->frame.len;
	return true;
}
