#include "demo/desk.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <X11/Xutil.h>
#include <X11/cursorfont.h>

#include "base/util.h"

#define DESIGN_WIDTH 1280
#define DESIGN_HEIGHT 800
#define CORNER 9

static bool open_fonts(struct desk *d)
{
	static const char *const names[FONTS] = {
		[FONT_TEXT] = "DejaVu Sans:pixelsize=14",
		[FONT_BOLD] = "DejaVu Sans:pixelsize=14:weight=bold",
		[FONT_SMALL] = "DejaVu Sans:pixelsize=12",
		[FONT_MONO] = "DejaVu Sans Mono:pixelsize=13",
		[FONT_LARGE] = "DejaVu Sans:pixelsize=20",
	};

	for (int i = 0; i < FONTS; i++) {
		d->font[i] = XftFontOpenName(d->dpy, d->screen, names[i]);
		if (!d->font[i]) {
			fprintf(stderr, "fairlead-demo: no font is installed; install "
					"fonts-dejavu-core\n");
			return false;
		}
	}
	return true;
}

static void put_canvas(struct desk *d, struct canvas *c, Drawable to)
{
	XImage *image = XCreateImage(
		d->dpy, DefaultVisual(d->dpy, d->screen), (unsigned)DefaultDepth(d->dpy, d->screen),
		ZPixmap, 0, (char *)c->pixels, (unsigned)c->width, (unsigned)c->height, 32, 0);

	if (!image)
		return;
	XPutImage(d->dpy, to, d->gc, image, 0, 0, 0, 0, (unsigned)c->width, (unsigned)c->height);
	image->data = NULL;
	XDestroyImage(image);
}

static void hang_wallpaper(struct desk *d)
{
	struct canvas c;

	if (canvas_init(&c, d->width, d->height) < 0)
		return;
	canvas_gradient(&c, 0x12364a, 0x2c7a7b);
	canvas_wave(&c, d->height * 0.62, d->height * 0.035, d->width * 0.75, 0.10, 0x1f5f6b, 0.75);
	canvas_wave(&c, d->height * 0.74, d->height * 0.030, d->width * 0.60, 0.45, 0x174a58, 0.80);
	canvas_wave(&c, d->height * 0.86, d->height * 0.025, d->width * 0.50, 0.80, 0x0f3545, 0.85);
	Pixmap p = XCreatePixmap(d->dpy, d->root, (unsigned)d->width, (unsigned)d->height,
				 (unsigned)DefaultDepth(d->dpy, d->screen));
	put_canvas(d, &c, p);
	XSetWindowBackgroundPixmap(d->dpy, d->root, p);
	XClearWindow(d->dpy, d->root);
	XFreePixmap(d->dpy, p);
	canvas_finish(&c);
}

bool desk_open(struct desk *d)
{
	*d = (struct desk){ .dpy = XOpenDisplay(NULL) };
	if (!d->dpy) {
		fprintf(stderr, "fairlead-demo: no X server; DISPLAY must name one\n");
		return false;
	}
	d->screen = DefaultScreen(d->dpy);
	d->root = RootWindow(d->dpy, d->screen);
	d->width = DisplayWidth(d->dpy, d->screen);
	d->height = DisplayHeight(d->dpy, d->screen);
	if (DefaultDepth(d->dpy, d->screen) < 24) {
		fprintf(stderr, "fairlead-demo: the X server must have 24-bit colour\n");
		return false;
	}
	d->gc = XCreateGC(d->dpy, d->root, 0, NULL);
	XSetGraphicsExposures(d->dpy, d->gc, False);
	/* the built-in input method: dead keys and composed characters, no server needed */
	XSetLocaleModifiers("@im=none");
	d->im = XOpenIM(d->dpy, NULL, NULL, NULL);
	XDefineCursor(d->dpy, d->root, XCreateFontCursor(d->dpy, XC_left_ptr));
	d->started = time(NULL);
	hang_wallpaper(d);
	return open_fonts(d);
}

bool desk_add(struct desk *d, const struct window_kind *kind)
{
	struct window *w = &d->window[d->windows];
	int x = kind->title ? (d->width - DESIGN_WIDTH) / 2 + kind->x : kind->x;
	int y = kind->title ? (d->height - DESIGN_HEIGHT) / 2 + kind->y : kind->y;
	int width = kind->width ? kind->width : d->width;
	XSetWindowAttributes a = {
		.override_redirect = True,
		.event_mask = ExposureMask | ButtonPressMask | ButtonReleaseMask |
			      ButtonMotionMask | KeyPressMask,
	};

	if (canvas_init(&w->canvas, width, kind->height) < 0)
		return false;
	d->windows++;
	w->kind = kind;
	w->dirty = true;
	w->id = XCreateWindow(d->dpy, d->root, x, y, (unsigned)width, (unsigned)kind->height, 0,
			      CopyFromParent, InputOutput, CopyFromParent,
			      CWOverrideRedirect | CWEventMask, &a);
	w->back = XCreatePixmap(d->dpy, d->root, (unsigned)width, (unsigned)kind->height,
				(unsigned)DefaultDepth(d->dpy, d->screen));
	w->text = XftDrawCreate(d->dpy, w->back, DefaultVisual(d->dpy, d->screen),
				DefaultColormap(d->dpy, d->screen));
	XStoreName(d->dpy, w->id, kind->title ? kind->title : "Fairlead demo");
	XMapWindow(d->dpy, w->id);
	if (kind->key) {
		XSync(d->dpy, False);
		XSetInputFocus(d->dpy, w->id, RevertToPointerRoot, CurrentTime);
		if (d->im)
			d->ic = XCreateIC(d->im, XNInputStyle, XIMPreeditNothing | XIMStatusNothing,
					  XNClientWindow, w->id, NULL);
	}
	return true;
}

void desk_write(struct desk *d, struct window *w, enum desk_font font, uint32_t colour, int x,
		int baseline, const char *text)
{
	XftColor ink = {
		.pixel = colour,
		.color = { (unsigned short)((colour >> 16 & 255) * 257),
			   (unsigned short)((colour >> 8 & 255) * 257),
			   (unsigned short)((colour & 255) * 257), 0xffff },
	};

	XftDrawStringUtf8(w->text, &ink, d->font[font], x, baseline, (const FcChar8 *)text,
			  (int)strlen(text));
}

int desk_text_width(struct desk *d, enum desk_font font, const char *text)
{
	XGlyphInfo extents;

	XftTextExtentsUtf8(d->dpy, d->font[font], (const FcChar8 *)text, (int)strlen(text),
			   &extents);
	return extents.xOff;
}

static void show(struct desk *d, struct window *w)
{
	XCopyArea(d->dpy, w->back, w->id, d->gc, 0, 0, (unsigned)w->canvas.width,
		  (unsigned)w->canvas.height, 0, 0);
}

static void paint(struct desk *d, struct window *w)
{
	const struct window_kind *k = w->kind;

	if (k->title) {
		canvas_fill(&w->canvas, PAPER);
		canvas_box(&w->canvas, 0, 0, w->canvas.width, DESK_TITLE_HEIGHT, 0, 0xe9eef3, 1);
		canvas_box(&w->canvas, 0, DESK_TITLE_HEIGHT - 1, w->canvas.width, 1, 0, LINE, 1);
	}
	if (k->draw)
		k->draw(d, w);
	put_canvas(d, &w->canvas, w->back);
	if (k->title)
		desk_write(d, w, FONT_BOLD, INK, 14, 22, k->title);
	if (k->write)
		k->write(d, w);
	show(d, w);
	w->dirty = false;
}

static void press(struct desk *d, struct window *w, XButtonEvent *e)
{
	if (e->button != 1)
		return;
	if (w->kind->title)
		XRaiseWindow(d->dpy, w->id);
	if (w->kind->title && e->y < DESK_TITLE_HEIGHT) {
		d->dragged = w;
		d->drag_x = e->x;
		d->drag_y = e->y;
	} else if (w->kind->click) {
		w->kind->click(d, w, e->x, e->y);
	}
	if (w->kind->key)
		XSetInputFocus(d->dpy, w->id, RevertToPointerRoot, CurrentTime);
}

static void handle(struct desk *d, XEvent *e)
{
	struct window *w = NULL;

	if (e->type == MappingNotify)
		XRefreshKeyboardMapping(&e->xmapping);
	for (int i = 0; i < d->windows; i++)
		if (d->window[i].id == e->xany.window)
			w = &d->window[i];
	if (!w)
		return;
	if (e->type == Expose && e->xexpose.count == 0)
		show(d, w);
	else if (e->type == ButtonPress)
		press(d, w, &e->xbutton);
	else if (e->type == ButtonRelease)
		d->dragged = NULL;
	else if (e->type == MotionNotify && d->dragged)
		XMoveWindow(d->dpy, d->dragged->id, e->xmotion.x_root - d->drag_x,
			    e->xmotion.y_root - d->drag_y);
	else if (e->type == KeyPress && w->kind->key)
		w->kind->key(d, w, &e->xkey);
}

static void tick(struct desk *d)
{
	time_t now = time(NULL);

	if (now == d->seconds)
		return;
	d->seconds = now;
	localtime_r(&now, &d->now);
	for (int i = 0; i < d->windows; i++)
		if (d->window[i].kind->tick && d->window[i].kind->tick(d, &d->window[i]))
			d->window[i].dirty = true;
}

static int until_next_second(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (int)((1000000000L - t.tv_nsec) / 1000000L) + 1;
}

void desk_run(struct desk *d)
{
	struct pollfd p = { .fd = ConnectionNumber(d->dpy), .events = POLLIN };

	for (;;) {
		tick(d);
		while (XPending(d->dpy)) {
			XEvent e;
			XNextEvent(d->dpy, &e);
			if (!XFilterEvent(&e, None))
				handle(d, &e);
		}
		for (int i = 0; i < d->windows; i++)
			if (d->window[i].dirty)
				paint(d, &d->window[i]);
		XFlush(d->dpy);
		if (poll(&p, 1, until_next_second()) < 0 && errno != EINTR)
			return;
	}
}
