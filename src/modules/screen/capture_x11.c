/* Capture from X11: pixels by MIT-SHM, changes by XDamage, pointer by XFixes, displays by RandR. */
#include "modules/screen/capture.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/shm.h>

#include <X11/Xutil.h>
#include <X11/extensions/XInput2.h>
#include <X11/extensions/XShm.h>
#include <X11/extensions/Xdamage.h>
#include <X11/extensions/Xfixes.h>
#include <X11/extensions/Xrandr.h>

#include "base/err.h"
#include "base/text.h"
#include "modules/screen/x11.h"

#define CURSOR_PIXELS_MAX (256 * 256)

struct capture_x11 {
	struct capture base;
	struct x11 *x;
	const struct capture_handler *handler;
	void *arg;
	struct x11_listener listener;
	Damage damage;
	XserverRegion region; /* for taking the damage over */

	struct screen_display displays[CAPTURE_DISPLAYS_MAX];
	size_t n_displays, active;

	XImage *image; /* of one display; NULL until the first grab */
	XShmSegmentInfo shm;
	bool shared;
	bool all;  /* the next grab reads everything */
	bool told; /* on_damage was called since the last grab */

	uint32_t cursor_pixels[CURSOR_PIXELS_MAX];
	struct capture_cursor cursor; /* x, y of the hot spot's image on the whole desktop */
	int hot_x, hot_y;
	bool cursor_stale;
};

static struct capture_x11 *self(struct capture *c)
{
	return CONTAINER_OF(c, struct capture_x11, base);
}

static void drop_image(struct capture_x11 *c)
{
	if (!c->image)
		return;
	if (c->shared) {
		if (!c->x->lost)
			XShmDetach(c->x->dpy, &c->shm);
		c->image->data = NULL;
		XDestroyImage(c->image);
		shmdt(c->shm.shmaddr);
	} else {
		XDestroyImage(c->image);
	}
	c->image = NULL;
	c->shared = false;
}

/* False: the server cannot share memory with us (it runs elsewhere, or as a stranger). */
static bool make_shared_image(struct capture_x11 *c, unsigned width, unsigned height)
{
	Display *dpy = c->x->dpy;

	if (!c->x->has_shm)
		return false;
	c->image = XShmCreateImage(dpy, DefaultVisual(dpy, c->x->screen),
				   (unsigned)DefaultDepth(dpy, c->x->screen), ZPixmap, NULL,
				   &c->shm, width, height);
	if (!c->image)
		return false;
	c->shm.shmid = shmget(IPC_PRIVATE, (size_t)c->image->bytes_per_line * height,
			      IPC_CREAT | 0600);
	c->shm.shmaddr = c->shm.shmid < 0 ? (void *)-1 : shmat(c->shm.shmid, NULL, 0);
	c->shm.readOnly = False;
	if (c->shm.shmaddr != (void *)-1) {
		x11_trap(c->x);
		XShmAttach(dpy, &c->shm);
		c->shared = x11_trap_end(c->x) == 0;
	}
	if (c->shm.shmid >= 0)
		shmctl(c->shm.shmid, IPC_RMID, NULL);
	if (!c->shared) {
		if (c->shm.shmaddr != (void *)-1)
			shmdt(c->shm.shmaddr);
		XDestroyImage(c->image);
		c->image = NULL;
		return false;
	}
	c->image->data = c->shm.shmaddr;
	return true;
}

static int make_image(struct capture_x11 *c)
{
	const struct screen_display *d = &c->displays[c->active];
	unsigned width = (unsigned)d->width & ~1u, height = (unsigned)d->height & ~1u;
	Display *dpy = c->x->dpy;

	if (make_shared_image(c, width, height))
		return 0;
	if (c->x->lost)
		return -EIO;
	c->image = XCreateImage(dpy, DefaultVisual(dpy, c->x->screen),
				(unsigned)DefaultDepth(dpy, c->x->screen), ZPixmap, 0, NULL, width,
				height, 32, (int)width * 4);
	if (!c->image)
		return -ENOMEM;
	c->image->data = calloc(height, (size_t)width * 4);
	if (!c->image->data) {
		drop_image(c);
		return -ENOMEM;
	}
	return 0;
}

static void add_display(struct capture_x11 *c, const char *name, int x, int y, int width,
			int height)
{
	struct screen_display *d = &c->displays[c->n_displays];

	if (c->n_displays == CAPTURE_DISPLAYS_MAX || width < CAPTURE_SIZE_MIN ||
	    height < CAPTURE_SIZE_MIN || width > CAPTURE_SIZE_MAX || height > CAPTURE_SIZE_MAX)
		return;
	*d = (struct screen_display){ .x = x, .y = y, .width = width, .height = height };
	snprintf(d->id, sizeof(d->id), "%zu", c->n_displays++);
	text_copy(d->name, sizeof(d->name), name);
}

static void read_displays(struct capture_x11 *c)
{
	Display *dpy = c->x->dpy;
	int n = 0;
	XRRMonitorInfo *list = XRRGetMonitors(dpy, c->x->root, True, &n);

	c->n_displays = 0;
	for (int i = 0; list && i < n; i++) {
		char *name = XGetAtomName(dpy, list[i].name);
		add_display(c, name ? name : "display", list[i].x, list[i].y, list[i].width,
			    list[i].height);
		XFree(name);
	}
	if (list)
		XRRFreeMonitors(list);
	if (c->n_displays == 0)
		add_display(c, "display", 0, 0, DisplayWidth(dpy, c->x->screen),
			    DisplayHeight(dpy, c->x->screen));
	if (c->active >= c->n_displays)
		c->active = 0;
}

static void tell_damage(struct capture_x11 *c)
{
	if (c->told)
		return;
	c->told = true;
	c->handler->on_damage(c->arg);
}

static void on_screen_change(struct capture_x11 *c, XEvent *event)
{
	struct screen_display old[CAPTURE_DISPLAYS_MAX];
	size_t n_old = c->n_displays;

	memcpy(old, c->displays, sizeof(old));
	XRRUpdateConfiguration(event);
	read_displays(c);
	if (n_old == c->n_displays && memcmp(old, c->displays, sizeof(old[0]) * n_old) == 0)
		return;
	drop_image(c);
	c->all = true;
	c->handler->on_displays(c->arg);
	c->told = false;
	tell_damage(c);
}

static void on_event(void *arg, XEvent *event)
{
	struct capture_x11 *c = arg;
	struct x11 *x = c->x;

	if (event->type == x->damage_event + XDamageNotify) {
		tell_damage(c);
	} else if (event->type == x->fixes_event + XFixesCursorNotify) {
		c->cursor_stale = true;
		tell_damage(c);
	} else if (event->type == x->randr_event + RRScreenChangeNotify ||
		   event->type == x->randr_event + RRNotify) {
		on_screen_change(c, event);
	} else if (event->type == GenericEvent && event->xcookie.extension == x->xi_opcode &&
		   event->xcookie.evtype == XI_RawMotion) {
		tell_damage(c);
	}
}

static void listen_for_motion(struct x11 *x)
{
	unsigned char mask[XIMaskLen(XI_LASTEVENT)] = { 0 };
	XIEventMask events = { XIAllMasterDevices, sizeof(mask), mask };

	if (!x->has_xi)
		return;
	XISetMask(mask, XI_RawMotion);
	XISelectEvents(x->dpy, x->root, &events, 1);
}

/* False: keep what is there. */
static bool read_cursor_image(struct capture_x11 *c)
{
	XFixesCursorImage *image = XFixesGetCursorImage(c->x->dpy);

	if (!image)
		return false;
	c->cursor_stale = false;
	c->cursor.serial++;
	c->cursor.visible = (size_t)image->width * image->height <= CURSOR_PIXELS_MAX;
	if (c->cursor.visible) {
		c->cursor.width = image->width;
		c->cursor.height = image->height;
		c->hot_x = image->xhot;
		c->hot_y = image->yhot;
		/* Xlib gives 32-bit pixels as longs */
		for (size_t i = 0; i < (size_t)image->width * image->height; i++)
			c->cursor_pixels[i] = (uint32_t)image->pixels[i];
	}
	XFree(image);
	return true;
}

static void put_cursor(struct capture_x11 *c, struct capture_frame *out)
{
	const struct screen_display *d = &c->displays[c->active];
	int x, y, win_x, win_y;
	unsigned mask;
	Window root, child;

	if (c->cursor_stale)
		read_cursor_image(c);
	out->cursor = c->cursor;
	out->cursor.argb = c->cursor_pixels;
	if (!XQueryPointer(c->x->dpy, c->x->root, &root, &child, &x, &y, &win_x, &win_y, &mask)) {
		out->cursor.visible = false;
		return;
	}
	out->cursor.x = x - c->hot_x - d->x;
	out->cursor.y = y - c->hot_y - d->y;
}

/* Takes the damage over: what is reported again is newer than the pixels we are about to read. */
static void take_damage(struct capture_x11 *c, struct capture_frame *out)
{
	const struct screen_display *d = &c->displays[c->active];
	int n = 0;

	c->told = false;
	XDamageSubtract(c->x->dpy, c->damage, None, c->region);
	XRectangle *rects = XFixesFetchRegion(c->x->dpy, c->region, &n);
	for (int i = 0; rects && i < n; i++) {
		bool beside = rects[i].x >= d->x + d->width || rects[i].x + rects[i].width <= d->x;
		if (beside)
			continue;
		bands_add(&out->damage, rects[i].y - d->y, rects[i].y - d->y + rects[i].height,
			  c->image->height);
		out->damage_pixels += (uint64_t)rects[i].width * rects[i].height;
	}
	XFree(rects);
}

static bool read_rows(struct capture_x11 *c, struct band rows)
{
	const struct screen_display *d = &c->displays[c->active];
	Display *dpy = c->x->dpy;
	int height = rows.bottom - rows.top;

	if (!c->shared)
		return XGetSubImage(dpy, c->x->root, d->x, d->y + rows.top,
				    (unsigned)c->image->width, (unsigned)height, AllPlanes, ZPixmap,
				    c->image, 0, rows.top) != NULL;

	/* a view of these rows on the same memory: they land where they belong */
	XImage view = *c->image;
	view.height = height;
	view.data = c->image->data + (size_t)rows.top * (size_t)c->image->bytes_per_line;
	return XShmGetImage(dpy, c->x->root, &view, d->x, d->y + rows.top, AllPlanes);
}

static int grab(struct capture *base, bool all, struct capture_frame *out)
{
	struct capture_x11 *c = self(base);
	int err = c->image ? 0 : make_image(c);

	if (err < 0)
		return err;
	*out = (struct capture_frame){ 0 };
	take_damage(c, out);
	if (all || c->all) {
		bands_add(&out->damage, 0, c->image->height, c->image->height);
		out->damage_pixels = (uint64_t)c->image->width * (uint64_t)c->image->height;
	}
	x11_trap(c->x);
	for (int i = 0; i < out->damage.n; i++)
		if (!read_rows(c, out->damage.at[i]) || c->x->lost) {
			c->all = true;
			return c->x->lost ? -EIO : -EAGAIN;
		}
	c->all = false;
	out->pixels = (const uint8_t *)c->image->data;
	out->stride = c->image->bytes_per_line;
	out->width = c->image->width;
	out->height = c->image->height;
	put_cursor(c, out);
	x11_touch(c->x);
	return c->x->lost ? -EIO : 0;
}

static const struct screen_display *displays(struct capture *base, size_t *n, size_t *active)
{
	struct capture_x11 *c = self(base);

	*n = c->n_displays;
	*active = c->active;
	return c->displays;
}

static int select_display(struct capture *base, const char *id)
{
	struct capture_x11 *c = self(base);

	for (size_t i = 0; i < c->n_displays; i++)
		if (strcmp(c->displays[i].id, id) == 0) {
			if (i != c->active)
				drop_image(c);
			c->active = i;
			c->all = true;
			return 0;
		}
	return -ENOENT;
}

static void destroy(struct capture *base)
{
	struct capture_x11 *c = self(base);

	x11_unlisten(&c->listener);
	drop_image(c);
	if (!c->x->lost) {
		XDamageDestroy(c->x->dpy, c->damage);
		XFixesDestroyRegion(c->x->dpy, c->region);
	}
	free(c);
}

static const struct capture_ops ops = {
	.name = "x11",
	.destroy = destroy,
	.displays = displays,
	.select = select_display,
	.grab = grab,
};

/* 24-bit colour in 32-bit pixels, the layout that convert.c reads. */
static bool pixels_fit(struct x11 *x)
{
	Visual *v = DefaultVisual(x->dpy, x->screen);
	int depth = DefaultDepth(x->dpy, x->screen);

	return (depth == 24 || depth == 32) && v->red_mask == 0xff0000 && v->green_mask == 0xff00 &&
	       v->blue_mask == 0xff && ImageByteOrder(x->dpy) == LSBFirst;
}

int capture_x11_create(struct x11 *x, const struct capture_handler *handler, void *arg,
		       struct capture **out)
{
	if (!pixels_fit(x))
		return FL_EUNSUPPORTED;
	struct capture_x11 *c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->base.ops = &ops;
	c->x = x;
	c->handler = handler;
	c->arg = arg;
	c->all = c->cursor_stale = true;
	read_displays(c);
	c->damage = XDamageCreate(x->dpy, x->root, XDamageReportNonEmpty);
	c->region = XFixesCreateRegion(x->dpy, NULL, 0);
	XFixesSelectCursorInput(x->dpy, x->root, XFixesDisplayCursorNotifyMask);
	XRRSelectInput(x->dpy, x->root,
		       RRScreenChangeNotifyMask | RRCrtcChangeNotifyMask |
			       RROutputChangeNotifyMask);
	listen_for_motion(x);
	x11_listen(x, &c->listener, on_event, c);
	x11_touch(x);
	*out = &c->base;
	return 0;
}
