/*
 * The notice on the endpoint while somebody watches: a small bar at the top that says who, above
 * all windows, without taking clicks or focus. Several sessions' bars stand below each other: each
 * takes the first free place, and a place is an X selection, so it is free again when its module
 * dies.
 */
#pragma once

#include "base/util.h"
#include "modules/screen/message.h"

#define NOTICE_PLACES 12

enum notice_state { NOTICE_HIDDEN, NOTICE_WATCHED, NOTICE_CONTROLLED };

struct notice;
struct x11;

/* name: hostile text; shown printable and cut. x must outlive it. */
int notice_create(struct x11 *x, const char *name, struct notice **out) FL_WARN_UNUSED;
void notice_destroy(struct notice *n); /* NULL is fine */

/* At the end of the program, after the last notice: gives back what the font library keeps. */
void notice_cleanup(void);

/* On which display it stands. */
void notice_set_area(struct notice *n, const struct screen_display *display);
void notice_show(struct notice *n, enum notice_state state);

/* The sentence for a name, always terminated; for notice.c and its test. */
void notice_text(char *dst, size_t cap, const char *name, enum notice_state state);
