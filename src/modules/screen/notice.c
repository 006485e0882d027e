#include "modules/screen/notice.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <X11/Xatom.h>
#include <X11/Xft/Xft.h>
#include <X11/Xutil.h>
#include <X11/extensions/Xfixes.h>
#include <X11/extensions/shape.h>

#include "modules/screen/x11.h"

#define MARGIN 8
#define GAP 6
#define RAISE_GAP_US (500 * USEC_PER_MSEC)

#define COLOUR_BACK 0x14202e
#define COLOUR_EDGE 0x3a4d63
#define COLOUR_TEXT 0xf4f7fa
#define COLOUR_WATCH 0x4fc3b0
#define COLOUR_CONTROL 0xffb020

struct notice {
	struct x11 *x;
	struct x11_listener listener;
	struct screen_display area;
	char name[256], text[512];
	enum notice_state state;
	Window window;
	int place; /* -1: none */
	Atom place_atom[NOTICE_PLACES];
	int width, height, size; /* size: of the letters in pixels */
	XftFont *font;		 /* NULL: the server's own font */
	XFontStruct *core_font;
	XftDraw *draw;
	usec_t raised_at;
};

static void open_font(struct notice *n)
{
	char pattern[64];

	n->size = FL_MAX(14, n->area.height / 58);
	snprintf(pattern, sizeof(pattern), "sans:pixelsize=%d", n->size);
	n->font = XftFontOpenName(n->x->dpy, n->x->screen, pattern);
	if (!n->font)
		n->core_font = XLoadQueryFont(n->x->dpy, "fixed");
}

static void close_font(struct notice *n)
{
	if (n->font)
		XftFontClose(n->x->dpy, n->font);
	if (n->core_font)
		XFreeFont(n->x->dpy, n->core_font);
	n->font = NULL;
	n->core_font = NULL;
}

static int text_width(struct notice *n)
{
	XGlyphInfo extents = { 0 };
	int len = (int)strlen(n->text);

	if (!n->font)
		return n->core_font ? XTextWidth(n->core_font, n->text, len) : 6 * len;
	XftTextExtentsUtf8(n->x->dpy, n->font, (const FcChar8 *)n->text, len, &extents);
	return extents.xOff;
}

/* Round ends, as a mask of rows: no depth of half pixels to care for. */
static void shape_window(struct notice *n)
{
	XRectangle rows[256];
	int count = FL_MIN(n->height, 256), r = n->height / 2;

	for (int y = 0; y < count; y++) {
		int dy = y < r ? r - y : y - (n->height - 1 - r), dx = 0;
		while ((r - dx) * (r - dx) + dy * dy > r * r && dx < r)
			dx++;
		rows[y] = (XRectangle){ (short)dx, (short)y, (unsigned short)(n->width - 2 * dx),
					1 };
	}
	XShapeCombineRectangles(n->x->dpy, n->window, ShapeBounding, 0, 0, rows, count, ShapeSet,
				YXSorted);
	XserverRegion empty = XFixesCreateRegion(n->x->dpy, NULL, 0);
	XFixesSetWindowShapeRegion(n->x->dpy, n->window, ShapeInput, 0, 0, empty);
	XFixesDestroyRegion(n->x->dpy, empty);
}

/* 24-bit true colour is what capture_x11_create() asks for, so a pixel is its colour. */
static void draw_text(struct notice *n, GC gc, int x, int baseline)
{
	XftColor ink = {
		.pixel = COLOUR_TEXT,
		.color = { (COLOUR_TEXT >> 16 & 255) * 257, (COLOUR_TEXT >> 8 & 255) * 257,
			   (COLOUR_TEXT & 255) * 257, 0xffff },
	};
	int len = (int)strlen(n->text);

	if (n->font) {
		XftDrawStringUtf8(n->draw, &ink, n->font, x, baseline, (const FcChar8 *)n->text,
				  len);
		return;
	}
	XSetForeground(n->x->dpy, gc, COLOUR_TEXT);
	XDrawString(n->x->dpy, n->window, gc, x, baseline, n->text, len);
}

static void draw(struct notice *n)
{
	Display *dpy = n->x->dpy;
	GC gc = XCreateGC(dpy, n->window, 0, NULL);
	int dot = n->size * 5 / 8, ascent = n->font ? n->font->ascent : n->size * 3 / 4;
	int descent = n->font ? n->font->descent : n->size / 4, r = n->height;

	XSetForeground(dpy, gc, COLOUR_BACK);
	XFillRectangle(dpy, n->window, gc, 0, 0, (unsigned)n->width, (unsigned)n->height);
	XSetForeground(dpy, gc, COLOUR_EDGE);
	XDrawArc(dpy, n->window, gc, 0, 0, (unsigned)r - 1, (unsigned)r - 1, 90 * 64, 180 * 64);
	XDrawArc(dpy, n->window, gc, n->width - r, 0, (unsigned)r - 1, (unsigned)r - 1, -90 * 64,
		 180 * 64);
	XDrawLine(dpy, n->window, gc, r / 2, 0, n->width - r / 2, 0);
	XDrawLine(dpy, n->window, gc, r / 2, n->height - 1, n->width - r / 2, n->height - 1);
	XSetForeground(dpy, gc, n->state == NOTICE_CONTROLLED ? COLOUR_CONTROL : COLOUR_WATCH);
	XFillArc(dpy, n->window, gc, n->size, (n->height - dot) / 2, (unsigned)dot, (unsigned)dot,
		 0, 360 * 64);
	draw_text(n, gc, n->size * 2 + dot / 4, (n->height + ascent - descent) / 2);
	XFreeGC(dpy, gc);
}

static void take_place(struct notice *n)
{
	Display *dpy = n->x->dpy;

	n->place = -1;
	for (int i = 0; i < NOTICE_PLACES && n->place < 0; i++)
		if (XGetSelectionOwner(dpy, n->place_atom[i]) == None) {
			XSetSelectionOwner(dpy, n->place_atom[i], n->window, CurrentTime);
			/* of two who saw it free the second wins; the first is told and goes on */
			if (XGetSelectionOwner(dpy, n->place_atom[i]) == n->window)
				n->place = i;
		}
}

static void lay_out(struct notice *n)
{
	notice_text(n->text, sizeof(n->text), n->name, n->state);
	n->height = n->size * 2 + 2;
	n->width = FL_MIN(text_width(n) + n->size * 3 + n->size / 4, n->area.width - 2 * MARGIN);
	int row = FL_MAX(n->place, 0);
	int x = n->area.x + (n->area.width - n->width) / 2;
	int y = n->area.y + MARGIN + row * (n->height + GAP);
	XMoveResizeWindow(n->x->dpy, n->window, x, y, (unsigned)FL_MAX(n->width, 1),
			  (unsigned)n->height);
	shape_window(n);
}

static void make_window(struct notice *n)
{
	Display *dpy = n->x->dpy;
	XSetWindowAttributes attributes = {
		.override_redirect = True,
		.background_pixel = COLOUR_BACK,
		.event_mask = ExposureMask | VisibilityChangeMask,
		.save_under = True,
	};
	Atom type = XInternAtom(dpy, "_NET_WM_WINDOW_TYPE", False);
	Atom notification = XInternAtom(dpy, "_NET_WM_WINDOW_TYPE_NOTIFICATION", False);

	n->window = XCreateWindow(
		dpy, n->x->root, 0, 0, 1, 1, 0, CopyFromParent, InputOutput, CopyFromParent,
		CWOverrideRedirect | CWBackPixel | CWEventMask | CWSaveUnder, &attributes);
	XStoreName(dpy, n->window, "Fairlead notice");
	XChangeProperty(dpy, n->window, type, XA_ATOM, 32, PropModeReplace,
			(unsigned char *)&notification, 1);
	n->draw = XftDrawCreate(dpy, n->window, DefaultVisual(dpy, n->x->screen),
				DefaultColormap(dpy, n->x->screen));
}

/* Another window came above us. Not without end: it may insist as we do. */
static void raise_again(struct notice *n)
{
	usec_t now = loop_now(n->x->loop);

	if (now - n->raised_at < RAISE_GAP_US)
		return;
	n->raised_at = now;
	XRaiseWindow(n->x->dpy, n->window);
}

static void on_event(void *arg, XEvent *event)
{
	struct notice *n = arg;

	if (event->xany.window != n->window)
		return;
	if (event->type == Expose && event->xexpose.count == 0)
		draw(n);
	else if (event->type == VisibilityNotify &&
		 event->xvisibility.state != VisibilityUnobscured)
		raise_again(n);
	else if (event->type == SelectionClear && n->place >= 0 &&
		 event->xselectionclear.selection == n->place_atom[n->place]) {
		take_place(n);
		lay_out(n);
	}
}

int notice_create(struct x11 *x, const char *name, struct notice **out)
{
	struct notice *n = calloc(1, sizeof(*n));

	if (!n)
		return -ENOMEM;
	n->x = x;
	n->place = -1;
	snprintf(n->name, sizeof(n->name), "%s", name);
	for (int i = 0; i < NOTICE_PLACES; i++) {
		char place[32];
		snprintf(place, sizeof(place), "_FAIRLEAD_NOTICE_%d", i);
		n->place_atom[i] = XInternAtom(x->dpy, place, False);
	}
	n->area.width = DisplayWidth(x->dpy, x->screen);
	n->area.height = DisplayHeight(x->dpy, x->screen);
	x11_listen(x, &n->listener, on_event, n);
	*out = n;
	return 0;
}

void notice_destroy(struct notice *n)
{
	if (!n)
		return;
	x11_unlisten(&n->listener);
	if (n->window) {
		XftDrawDestroy(n->draw);
		close_font(n);
		if (!n->x->lost)
			XDestroyWindow(n->x->dpy, n->window);
	}
	free(n);
}

void notice_cleanup(void)
{
	FcFini();
}

void notice_set_area(struct notice *n, const struct screen_display *display)
{
	n->area = *display;
	if (!n->window)
		return;
	close_font(n);
	open_font(n);
	lay_out(n);
	x11_touch(n->x);
}

void notice_show(struct notice *n, enum notice_state state)
{
	Display *dpy = n->x->dpy;
	bool was_shown = n->state != NOTICE_HIDDEN;

	if (state == n->state)
		return;
	n->state = state;
	x11_touch(n->x);
	if (state == NOTICE_HIDDEN) {
		XUnmapWindow(dpy, n->window);
		if (n->place >= 0)
			XSetSelectionOwner(dpy, n->place_atom[n->place], None, CurrentTime);
		n->place = -1;
		return;
	}
	if (!n->window) {
		make_window(n);
		open_font(n);
	}
	if (!was_shown)
		take_place(n);
	lay_out(n);
	if (was_shown)
		draw(n);
	else
		XMapRaised(dpy, n->window);
}
