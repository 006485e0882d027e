/*
 * The seam to the desktop: what the screen module needs of whatever shows the picture, as one table
 * of calls. Today there is X11 (capture_x11.c); another desktop system adds a table.
 *
 * A capture belongs to one connection to the desktop and dies with it. It tells of damage once and
 * then stays quiet until the next grab, so a busy screen costs nothing while nobody can take
 * frames. The picture is the selected display's, in 32-bit pixels (B, G, R, unused in memory),
 * without the mouse pointer, which comes beside it.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/usec.h"
#include "base/util.h"
#include "modules/screen/bands.h"
#include "modules/screen/message.h"

#define CAPTURE_DISPLAYS_MAX 16
#define CAPTURE_SIZE_MIN 16
#define CAPTURE_SIZE_MAX 8192

struct capture_cursor {
	bool visible;
	int x, y;	      /* of the image's top left corner in the picture; may be outside */
	int width, height;    /* of the image */
	const uint32_t *argb; /* premultiplied, width × height; borrowed from the capture */
	uint32_t serial;      /* another one is another image */
};

struct capture_frame {
	const uint8_t *pixels;	   /* borrowed until the next call on the capture */
	int stride, width, height; /* both even */
	struct bands damage;	   /* rows that changed since the last grab */
	uint64_t damage_pixels;	   /* about how many pixels that were */
	struct capture_cursor cursor;
};

struct capture;
struct x11;

struct capture_handler {
	/* The picture or the pointer changed; once per grab. */
	void (*on_damage)(void *arg);
	/* Displays came, went or changed size; the next grab has the new size, all of it damaged.
	 */
	void (*on_displays)(void *arg);
};

struct capture_ops {
	const char *name;
	void (*destroy)(struct capture *c);
	/* Borrowed until the next on_displays. At least one. *active: which one is shown. */
	const struct screen_display *(*displays)(struct capture *c, size_t *n, size_t *active);
	/* 0, or -ENOENT when there is no such display. The next grab is all damage. */
	int (*select)(struct capture *c, const char *id);
	/*
	 * Reads what changed. all: the whole picture, also what did not change. 0, or negative when
	 * the desktop did not let us (it may have changed size this very moment: ask again after
	 * on_displays).
	 */
	int (*grab)(struct capture *c, bool all, struct capture_frame *out);
};

struct capture {
	const struct capture_ops *ops;
};

/* 0; FL_EUNSUPPORTED (pixels that are not 32 bits) or -ENOMEM. x must outlive it. */
int capture_x11_create(struct x11 *x, const struct capture_handler *handler, void *arg,
		       struct capture **out) FL_WARN_UNUSED;
