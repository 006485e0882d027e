/*
 * VP8 over RTP (RFC 7741 §4): the payload descriptor.
 *
 *  |X|R|N|S|R| PID | one byte; then, each when its bit says so:
 *  |I|L|T|K|  RSV  | X
 *  |M| PictureID   | I, 7 or (M) 15 bits
 *  |  TL0PICIDX    | L
 *  |TID|Y| KEYIDX  | T or K
 */
#pragma once

#include "base/span.h"
#include "base/wire.h"

struct vp8_descriptor {
	bool non_reference, start; /* N; S with PID 0: the first bytes of the frame */
	uint8_t partition;	   /* PID */
	bool has_picture_id, has_tl0, has_tid, has_key_index;
	bool wide_picture_id; /* 15 bits rather than 7 */
	uint16_t picture_id;
	uint8_t tl0, tid, key_index;
	bool layer_sync; /* Y */
};

/* Bytes of the descriptor that vp8_packetizer_next() writes: with a 15-bit picture id. */
#define VP8_DESCRIPTOR_LEN 4

/* Reads the descriptor; what is left in the reader is the frame's data. FL_EMALFORMED: too short,
 * or nothing behind it. */
int vp8_parse_descriptor(struct reader *r, struct vp8_descriptor *out) FL_WARN_UNUSED;
void vp8_write_descriptor(struct writer *w, const struct vp8_descriptor *d);

/* The frame tag's first bit (RFC 6386 §9.1). */
static inline bool vp8_is_keyframe(struct span frame)
{
	return frame.len && !(frame.ptr[0] & 1);
}

struct vp8_packetizer {
	struct span frame;
	size_t sent;
	uint16_t picture_id;
};

/* Borrows the frame. False when it is empty. */
bool vp8_packetizer_start(struct vp8_packetizer *p, struct span frame, uint16_t picture_id);

/* As h264_packetizer_next(). */
bool vp8_packetizer_next(struct vp8_packetizer *p, struct writer *w, size_t max, bool *last);
