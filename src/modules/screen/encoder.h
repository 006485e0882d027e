/*
 * The seam to the video encoders, one table of calls each. An encoder turns the picture into one
 * frame with the quantizer it is told (H.264 units, 0…51); when to encode and how finely is the
 * pacer's business, so none of them does rate control of its own.
 *
 * Every frame refers to the one before it, none is ever held back: one picture in, one frame out.
 */
#pragma once

#include "base/span.h"
#include "base/usec.h"
#include "modules/screen/convert.h"

struct encoder;

struct encoder_ops {
	const char *codec; /* as in VIDEO_START: "H264", "VP8" */
	int refine_rounds; /* sharp frames until a still picture is sharp */
	int (*create)(int width, int height, struct encoder **out);
	void (*destroy)(struct encoder *e);
	/*
	 * 0, or FL_EUNSUPPORTED when the encoder refused. *out is borrowed until the next call;
	 * empty: the encoder saw nothing to say. *key tells whether it is a key frame (it always is
	 * when key was asked for). H.264 in Annex B, parameter sets before each key frame.
	 */
	int (*encode)(struct encoder *e, const struct picture *picture, usec_t at, int qp,
		      bool *key, struct span *out);
};

struct encoder {
	const struct encoder_ops *ops;
};

extern const struct encoder_ops encoder_openh264, encoder_vp8;

/* The table for a codec name, or NULL. */
const struct encoder_ops *encoder_find(const char *codec);

/* 0, -ENOMEM, or FL_EUNSUPPORTED when the encoder does not take this size. */
int encoder_create(const struct encoder_ops *ops, int width, int height,
		   struct encoder **out) FL_WARN_UNUSED;
void encoder_destroy(struct encoder *e); /* NULL is fine */
