/*
 * The demo desktop: windows that draw themselves into a picture, get their text by Xft on top of
 * it, and appear in one go. Titles, borders, raising and dragging are done here, since a bare X
 * server has no window manager.
 */
#pragma once

#include <X11/Xft/Xft.h>
#include <X11/Xlib.h>

#include <stdbool.h>
#include <time.h>

#include "demo/canvas.h"

#define DESK_TITLE_HEIGHT 34
#define DESK_WINDOWS 6

#define INK 0x1d2733
#define INK_SOFT 0x5b6877
#define PAPER 0xfbfcfd
#define LINE 0xd8dee6
#define ACCENT 0x0f766e
#define ACCENT_SOFT 0xd5ece8
#define WARM 0xd97706

struct desk;
struct window;

struct window_kind {
	const char *title; /* NULL: a plain window without title bar, which stays where it is */
	int x, y, width, height; /* on a desktop of 1280 × 800 */
	/* Shapes first; text may only be drawn in write(). */
	void (*draw)(struct desk *d, struct window *w);
	void (*write)(struct desk *d, struct window *w);
	/* Once a second; true: it looks different now. */
	bool (*tick)(struct desk *d, struct window *w);
	void (*click)(struct desk *d, struct window *w, int x, int y);
	void (*key)(struct desk *d, struct window *w, XKeyEvent *e);
};

struct window {
	const struct window_kind *kind;
	Window id;
	Pixmap back;
	XftDraw *text;
	struct canvas canvas;
	bool dirty;
};

enum desk_font { FONT_TEXT, FONT_BOLD, FONT_SMALL, FONT_MONO, FONT_LARGE, FONTS };

struct desk {
	Display *dpy;
	int screen, width, height;
	Window root;
	GC gc;
	XIM im;
	XIC ic;
	XftFont *font[FONTS];
	struct window window[DESK_WINDOWS];
	int windows;
	struct window *dragged;
	int drag_x, drag_y;
	struct tm now;
	time_t started, seconds;
};

/* False after a sentence on stderr: no X server, or no fonts. */
bool desk_open(struct desk *d);
bool desk_add(struct desk *d, const struct window_kind *kind);
void desk_run(struct desk *d); /* until the X server is gone */

void desk_write(struct desk *d, struct window *w, enum desk_font font, uint32_t colour, int x,
		int baseline, const char *text);
int desk_text_width(struct desk *d, enum desk_font font, const char *text);
