/*
 * The endpoint's clipboard (X selection CLIPBOARD), text only, as UTF-8. Setting makes us its
 * owner; while active, a change by another program is fetched and told. Contents of more than
 * SCREEN_CLIPBOARD_MAX bytes are not told at all rather than cut.
 */
#pragma once

#include "modules/screen/message.h"

struct clipboard;
struct x11;

struct clipboard_handler {
	/* Not empty, valid UTF-8 without 0 bytes, borrowed. */
	void (*on_text)(void *arg, struct span text);
};

int clipboard_create(struct x11 *x, const struct clipboard_handler *handler, void *arg,
		     struct clipboard **out) FL_WARN_UNUSED;
void clipboard_destroy(struct clipboard *c); /* NULL is fine */

/* Copied. 0 or -ENOMEM. */
int clipboard_set(struct clipboard *c, struct span text) FL_WARN_UNUSED;
void clipboard_activate(struct clipboard *c, bool active);
