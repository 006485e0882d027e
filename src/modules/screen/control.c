#include "modules/screen/control.h"

#include <errno.h>
#include <string.h>

#include <X11/Xatom.h>
#include <X11/extensions/Xfixes.h>

#include "base/text.h"
#include "modules/screen/x11.h"

struct control {
	struct x11 *x;
	struct x11_listener listener;
	const struct control_handler *handler;
	void *arg;
	Window window;
	Atom selection, name_atom, utf8;
	char name[CONTROL_NAME_MAX + 1];
	bool mine;
};

/* The name that the owner of the selection gave itself; "" when it is gone or gave none. */
static void read_name(struct control *c, Window owner, char *dst, size_t cap)
{
	size_t len = 0;
	unsigned char *data = owner == None ? NULL
					    : x11_property(c->x, owner, c->name_atom, c->utf8,
							   CONTROL_NAME_MAX, &len);

	dst[0] = '\0';
	if (data && text_utf8_valid(span_of(data, len)))
		text_copy_span(dst, cap, span_of(data, len));
	XFree(data);
}

static void tell(struct control *c, Window owner)
{
	char by[CONTROL_NAME_MAX + 1];

	c->mine = owner == c->window;
	read_name(c, owner, by, sizeof(by));
	c->handler->on_change(c->arg, c->mine, by);
}

static void on_event(void *arg, XEvent *event)
{
	struct control *c = arg;
	XFixesSelectionNotifyEvent *e = (void *)event;

	if (event->type == c->x->fixes_event + XFixesSelectionNotify &&
	    e->selection == c->selection)
		tell(c, e->owner);
}

int control_create(struct x11 *x, const char *name, const struct control_handler *handler,
		   void *arg, struct control **out)
{
	struct control *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->x = x;
	c->handler = handler;
	c->arg = arg;
	text_copy(c->name, sizeof(c->name), name);
	c->window = XCreateSimpleWindow(x->dpy, x->root, -1, -1, 1, 1, 0, 0, 0);
	c->selection = XInternAtom(x->dpy, "_FAIRLEAD_CONTROL", False);
	c->name_atom = XInternAtom(x->dpy, "_FAIRLEAD_NAME", False);
	c->utf8 = XInternAtom(x->dpy, "UTF8_STRING", False);
	XChangeProperty(x->dpy, c->window, c->name_atom, c->utf8, 8, PropModeReplace,
			(unsigned char *)c->name, (int)strlen(c->name));
	XFixesSelectSelectionInput(x->dpy, c->window, c->selection,
				   XFixesSetSelectionOwnerNotifyMask |
					   XFixesSelectionWindowDestroyNotifyMask |
					   XFixesSelectionClientCloseNotifyMask);
	x11_listen(x, &c->listener, on_event, c);
	tell(c, XGetSelectionOwner(x->dpy, c->selection));
	x11_touch(x);
	*out = c;
	return 0;
}

void control_destroy(struct control *c)
{
	if (!c)
		return;
	x11_unlisten(&c->listener);
	if (!c->x->lost)
		XDestroyWindow(c->x->dpy, c->window); /* frees the selection as well */
	free(c);
}

void control_take(struct control *c)
{
	XSetSelectionOwner(c->x->dpy, c->selection, c->window, CurrentTime);
	x11_touch(c->x);
}

void control_give(struct control *c)
{
	if (!c->mine)
		return;
	XSetSelectionOwner(c->x->dpy, c->selection, None, CurrentTime);
	x11_touch(c->x);
}

bool control_mine(const struct control *c)
{
	return c && c->mine;
}
