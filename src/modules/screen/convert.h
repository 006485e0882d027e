/*
 * From a captured frame to what encoders take: I420 (BT.601, limited range), converting only the
 * rows that changed, with the mouse pointer blended in. The captured pixels stay as they are.
 */
#pragma once

#include "modules/screen/capture.h"

struct picture {
	uint8_t *y, *u, *v;
	int y_stride, uv_stride;
	int width, height; /* even */
};

struct convert {
	struct picture picture; /* what the last convert_frame() made */
	uint8_t *mem;
	uint32_t *scratch; /* the pointer's part of the picture */
	size_t scratch_pixels;
	struct capture_cursor drawn; /* as it stands in the picture */
};

void convert_init(struct convert *c);
void convert_finish(struct convert *c);

/*
 * Brings the picture up to date. 1: it changed; 0: nothing did; -ENOMEM. A frame of another size
 * than the last starts a new picture and must be damaged all over. The pointer's old and new place
 * are added to damage_pixels.
 */
int convert_frame(struct convert *c, struct capture_frame *frame) FL_WARN_UNUSED;
