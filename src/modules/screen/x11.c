#include "modules/screen/x11.h"

#include <errno.h>

#include <X11/XKBlib.h>
#include <X11/extensions/XInput2.h>
#include <X11/extensions/XShm.h>
#include <X11/extensions/XTest.h>
#include <X11/extensions/Xdamage.h>
#include <X11/extensions/Xfixes.h>
#include <X11/extensions/Xrandr.h>

#include "base/err.h"

/* Xlib's handlers are per process and carry no argument; a module has one connection. */
static struct x11 *current;

static int on_error(Display *dpy, XErrorEvent *e)
{
	if (current && current->dpy == dpy)
		current->error_code = e->error_code;
	return 0;
}

static int on_io_error(Display *dpy)
{
	if (current && (current->dpy == dpy || !current->dpy))
		current->lost = true;
	return 0;
}

/* Instead of exit(): the calls return with whatever they have. */
static void on_io_exit(Display *dpy, void *arg)
{
	struct x11 *x = arg;

	x->lost = true;
	x11_touch(x);
}

static void hand_out(struct x11 *x, XEvent *event)
{
	struct x11_listener *l, *tmp;

	/* only the core keyboard's own map is kept by Xlib */
	if (event->type == MappingNotify)
		XRefreshKeyboardMapping(&event->xmapping);
	list_for_each (l, tmp, &x->listeners, node)
		l->fn(l->arg, event);
}

static void settle(void *arg)
{
	struct x11 *x = arg;
	XEvent event;

	x->touched = false;
	if (x->closed) {
		free(x);
		return;
	}
	while (!x->lost && XPending(x->dpy) > 0) {
		XNextEvent(x->dpy, &event);
		if (x->lost)
			break;
		bool cookie = event.type == GenericEvent && XGetEventData(x->dpy, &event.xcookie);
		hand_out(x, &event);
		if (cookie)
			XFreeEventData(x->dpy, &event.xcookie);
	}
	if (x->lost && !x->told_lost) {
		x->told_lost = true;
		loop_watch_stop(&x->watch);
		x->on_lost(x->arg);
	}
}

static void on_readable(void *arg, uint32_t events)
{
	x11_touch(arg);
}

void x11_touch(struct x11 *x)
{
	if (x->touched)
		return;
	x->touched = true;
	loop_defer(x->loop, &x->settle, settle, x);
}

static bool find_extensions(struct x11 *x)
{
	int error, major = 2, minor = 0, event;

	x->has_shm = XShmQueryExtension(x->dpy);
	x->has_xtest = XTestQueryExtension(x->dpy, &event, &error, &major, &minor);
	major = XkbMajorVersion;
	minor = XkbMinorVersion;
	x->has_xkb = XkbQueryExtension(x->dpy, NULL, &x->xkb_event, NULL, &major, &minor);
	major = 2;
	minor = 1;
	x->has_xi = XQueryExtension(x->dpy, "XInputExtension", &x->xi_opcode, &event, &error) &&
		    XIQueryVersion(x->dpy, &major, &minor) == Success;
	major = 5;
	minor = 0;
	return XDamageQueryExtension(x->dpy, &x->damage_event, &error) &&
	       XDamageQueryVersion(x->dpy, &major, &minor) &&
	       XFixesQueryExtension(x->dpy, &x->fixes_event, &error) &&
	       XFixesQueryVersion(x->dpy, &major, &minor) &&
	       XRRQueryExtension(x->dpy, &x->randr_event, &error) &&
	       XRRQueryVersion(x->dpy, &major, &minor);
}

int x11_open(struct loop *loop, const char *name, void (*on_lost)(void *arg), void *arg,
	     struct x11 **out)
{
	struct x11 *x = calloc(1, sizeof(*x));
	int err = -ENXIO;

	if (!x)
		return -ENOMEM;
	x->loop = loop;
	x->on_lost = on_lost;
	x->arg = arg;
	list_init(&x->listeners);
	current = x;
	XSetErrorHandler(on_error);
	XSetIOErrorHandler(on_io_error);
	x->dpy = XOpenDisplay(name);
	if (x->dpy) {
		XSetIOErrorExitHandler(x->dpy, on_io_exit, x);
		x->screen = DefaultScreen(x->dpy);
		x->root = RootWindow(x->dpy, x->screen);
		err = find_extensions(x) ? 0 : FL_EUNSUPPORTED;
		if (x->lost)
			err = -ENXIO;
	}
	if (err == 0)
		err = loop_watch_start(loop, &x->watch, ConnectionNumber(x->dpy), EPOLLIN,
				       on_readable, x);
	if (err < 0) {
		x->told_lost = true;
		x11_close(x);
		return err;
	}
	*out = x;
	return 0;
}

void x11_close(struct x11 *x)
{
	if (!x)
		return;
	loop_watch_stop(&x->watch);
	x->told_lost = true;
	if (x->dpy)
		XCloseDisplay(x->dpy);
	x->dpy = NULL;
	x->lost = true;
	if (current == x)
		current = NULL;
	/* a settle() that waits for its turn does the freeing */
	x->closed = true;
	if (!x->touched)
		free(x);
}

void x11_listen(struct x11 *x, struct x11_listener *l, void (*fn)(void *arg, XEvent *event),
		void *arg)
{
	l->fn = fn;
	l->arg = arg;
	list_push_back(&x->listeners, &l->node);
}

void x11_unlisten(struct x11_listener *l)
{
	if (l->node.next)
		list_remove(&l->node);
}

void x11_trap(struct x11 *x)
{
	x->error_code = 0;
}

int x11_trap_end(struct x11 *x)
{
	XSync(x->dpy, False);
	return x->lost ? BadImplementation : x->error_code;
}

unsigned char *x11_property(struct x11 *x, Window w, Atom property, Atom type, size_t max,
			    size_t *len)
{
	unsigned char *data = NULL;
	unsigned long n = 0, left = 0;
	Atom got = None;
	int format = 0;

	if (XGetWindowProperty(x->dpy, w, property, 0, (long)(max / 4 + 1), False, type, &got,
			       &format, &n, &left, &data) != Success)
		return NULL;
	if (!data || got != type || left > 0) {
		XFree(data);
		return NULL;
	}
	/* Xlib hands out 32-bit values as longs */
	*len = format == 32 ? n * sizeof(long) : n * (size_t)format / 8;
	return data;
}
