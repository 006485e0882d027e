/*
 * Mouse and keyboard of the endpoint by XTest. Everything that is held down is remembered and can
 * be let go at once; it is also written to a property of the root window, so that the next session
 * can let go what a module that was killed left down.
 *
 * A keysym that the layout lacks is put on a key that has none; such keys are given back when they
 * were not used for a while, on release and at the end. Key repeat comes from the console: the
 * server's own is switched off for a key while we hold it, so that a stalled network does not write
 * a line of letters.
 */
#pragma once

#include "base/usec.h"
#include "modules/screen/message.h"

struct input;
struct x11;

#define INPUT_HELD_MAX 32     /* keys at once */
#define INPUT_BORROWED_MAX 12 /* keys with a borrowed keysym */
#define INPUT_BORROW_US (5 * USEC_PER_SEC)
#define INPUT_NOTCHES_MAX 20 /* of one wheel message */

/* 0; FL_EUNSUPPORTED when the server has no XTest or XKB; -ENOMEM. x must outlive it. */
int input_create(struct x11 *x, struct input **out) FL_WARN_UNUSED;
void input_destroy(struct input *in); /* lets everything go; NULL is fine */

/* Where the positions of messages lie, in the desktop's pixels. */
void input_set_area(struct input *in, const struct screen_display *display);

/* A move, button, wheel, key or release message. */
void input_apply(struct input *in, usec_t now, const struct screen_message *m);

void input_release(struct input *in);

/* What a predecessor that died left down goes up. For whoever takes control. */
void input_release_stale(struct input *in);

/* Borrowed keys that are due go back; when to call again, or USEC_NEVER. */
usec_t input_timeout(struct input *in, usec_t now);
