#include "modules/screen/clipboard.h"

#include <errno.h>

#include <X11/Xatom.h>
#include <X11/extensions/Xfixes.h>

#include "base/text.h"
#include "modules/screen/x11.h"

enum { CLIPBOARD, TARGETS, UTF8, TEXT, PLAIN, INCR, TRANSFER, ATOMS };

struct clipboard {
	struct x11 *x;
	struct x11_listener listener;
	const struct clipboard_handler *handler;
	void *arg;
	Window window;
	Atom atom[ATOMS];
	bool active;
	struct buf ours;   /* what we own */
	struct buf theirs; /* what is being fetched in pieces */
	bool incremental, too_long;
};

/* --- giving ----------------------------------------------------------------------------- */

static void put_property(struct clipboard *c, XSelectionRequestEvent *r, Atom type, int format,
			 const void *data, size_t n)
{
	XChangeProperty(c->x->dpy, r->requestor, r->property, type, format, PropModeReplace, data,
			(int)n);
}

/* STRING is Latin-1: what it cannot say becomes a question mark. */
static void put_latin1(struct clipboard *c, XSelectionRequestEvent *r)
{
	struct span s = buf_span(&c->ours);
	size_t len = s.ptr ? s.len : 0;
	uint8_t *out = malloc(len + 1);
	size_t n = 0;

	for (size_t i = 0; out && i < len; i++) {
		uint8_t b = s.ptr[i];
		if (b < 0x80)
			out[n++] = b;
		else if ((b == 0xc2 || b == 0xc3) && i + 1 < len)
			out[n++] = (uint8_t)((b << 6) | (s.ptr[++i] & 0x3f));
		else if (b >= 0xc0)
			out[n++] = '?';
	}
	if (out)
		put_property(c, r, XA_STRING, 8, out, n);
	free(out);
}

/* SCREEN_CLIPBOARD_MAX fits into one request of any server, so nothing is sent in pieces. */
static bool answer(struct clipboard *c, XSelectionRequestEvent *r)
{
	const Atom *a = c->atom;
	Atom targets[] = { a[TARGETS], a[UTF8], a[PLAIN], a[TEXT], XA_STRING };

	if (r->property == None)
		r->property = r->target; /* clients from before ICCCM 2.0 */
	if (r->target == a[TARGETS])
		put_property(c, r, XA_ATOM, 32, targets, ARRAY_LEN(targets));
	else if (r->target == a[UTF8] || r->target == a[PLAIN] || r->target == a[TEXT])
		put_property(c, r, r->target == a[PLAIN] ? a[PLAIN] : a[UTF8], 8,
			     buf_span(&c->ours).ptr, c->ours.len);
	else if (r->target == XA_STRING)
		put_latin1(c, r);
	else
		return false;
	return true;
}

static void on_request(struct clipboard *c, XSelectionRequestEvent *r)
{
	XEvent reply = { .xselection = {
				 .type = SelectionNotify,
				 .requestor = r->requestor,
				 .selection = r->selection,
				 .target = r->target,
				 .time = r->time,
			 } };

	reply.xselection.property = answer(c, r) ? r->property : None;
	XSendEvent(c->x->dpy, r->requestor, False, NoEventMask, &reply);
}

/* --- taking ----------------------------------------------------------------------------- */

static void told(struct clipboard *c, struct span text)
{
	const uint8_t *zero = text.ptr ? memchr(text.ptr, 0, text.len) : NULL;

	if (zero)
		text.len = (size_t)(zero - text.ptr);
	if (c->active && text.len > 0 && text.len <= SCREEN_CLIPBOARD_MAX && text_utf8_valid(text))
		c->handler->on_text(c->arg, text);
}

static void on_owner(struct clipboard *c, XFixesSelectionNotifyEvent *e)
{
	c->incremental = false;
	if (e->subtype != XFixesSetSelectionOwnerNotify || e->owner == None ||
	    e->owner == c->window || !c->active)
		return;
	XDeleteProperty(c->x->dpy, c->window, c->atom[TRANSFER]);
	XConvertSelection(c->x->dpy, c->atom[CLIPBOARD], c->atom[UTF8], c->atom[TRANSFER],
			  c->window, e->selection_timestamp);
}

/* The property, whatever its type; deleting it asks the owner for the next piece. */
static unsigned char *take_property(struct clipboard *c, Atom *type, size_t *len)
{
	unsigned char *data = NULL;
	unsigned long n = 0, left = 0;
	int format = 0;

	*len = 0;
	*type = None;
	XGetWindowProperty(c->x->dpy, c->window, c->atom[TRANSFER], 0, SCREEN_CLIPBOARD_MAX / 4 + 1,
			   False, AnyPropertyType, type, &format, &n, &left, &data);
	XDeleteProperty(c->x->dpy, c->window, c->atom[TRANSFER]);
	if (format == 8)
		*len = n;
	if (left > 0)
		c->too_long = true;
	return data;
}

static void on_answer(struct clipboard *c, XSelectionEvent *e)
{
	Atom type;
	size_t len;

	if (e->property != c->atom[TRANSFER] || e->selection != c->atom[CLIPBOARD])
		return;
	c->too_long = false;
	unsigned char *data = take_property(c, &type, &len);
	if (type == c->atom[INCR]) {
		c->incremental = true;
		buf_clear(&c->theirs);
	} else if (type == c->atom[UTF8] && data && !c->too_long) {
		told(c, span_of(data, len));
	}
	XFree(data);
}

static void on_piece(struct clipboard *c)
{
	Atom type;
	size_t len;
	unsigned char *data = take_property(c, &type, &len);

	if (len == 0) {
		c->incremental = false;
		if (!c->too_long)
			told(c, buf_span(&c->theirs));
		buf_finish(&c->theirs);
	} else if (!c->too_long && buf_append(&c->theirs, data, len) < 0) {
		/* the rest is fetched and dropped, so that the owner comes to its end */
		c->too_long = true;
	}
	XFree(data);
}

static void on_event(void *arg, XEvent *event)
{
	struct clipboard *c = arg;

	if (event->type == c->x->fixes_event + XFixesSelectionNotify) {
		XFixesSelectionNotifyEvent *e = (void *)event;
		if (e->selection == c->atom[CLIPBOARD])
			on_owner(c, e);
	} else if (event->type == SelectionRequest && event->xselectionrequest.owner == c->window) {
		on_request(c, &event->xselectionrequest);
	} else if (event->type == SelectionNotify && event->xselection.requestor == c->window) {
		on_answer(c, &event->xselection);
	} else if (event->type == PropertyNotify && event->xproperty.window == c->window &&
		   event->xproperty.atom == c->atom[TRANSFER] &&
		   event->xproperty.state == PropertyNewValue && c->incremental) {
		on_piece(c);
	}
}

int clipboard_create(struct x11 *x, const struct clipboard_handler *handler, void *arg,
		     struct clipboard **out)
{
	static const char *names[ATOMS] = {
		"CLIPBOARD", "TARGETS",		  "UTF8_STRING", "TEXT", "text/plain;charset=utf-8",
		"INCR",	     "_FAIRLEAD_TRANSFER"
	};
	struct clipboard *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->x = x;
	c->handler = handler;
	c->arg = arg;
	c->ours = BUF_INIT(SCREEN_CLIPBOARD_MAX);
	c->theirs = BUF_INIT(SCREEN_CLIPBOARD_MAX);
	XInternAtoms(x->dpy, (char **)names, ATOMS, False, c->atom);
	c->window = XCreateSimpleWindow(x->dpy, x->root, -1, -1, 1, 1, 0, 0, 0);
	XSelectInput(x->dpy, c->window, PropertyChangeMask);
	XFixesSelectSelectionInput(x->dpy, c->window, c->atom[CLIPBOARD],
				   XFixesSetSelectionOwnerNotifyMask);
	x11_listen(x, &c->listener, on_event, c);
	x11_touch(x);
	*out = c;
	return 0;
}

void clipboard_destroy(struct clipboard *c)
{
	if (!c)
		return;
	x11_unlisten(&c->listener);
	if (!c->x->lost)
		XDestroyWindow(c->x->dpy, c->window);
	buf_finish(&c->ours);
	buf_finish(&c->theirs);
	free(c);
}

int clipboard_set(struct clipboard *c, struct span text)
{
	buf_clear(&c->ours);
	int err = buf_append_span(&c->ours, text);
	if (err < 0)
		return err;
	XSetSelectionOwner(c->x->dpy, c->atom[CLIPBOARD], c->window, CurrentTime);
	x11_touch(c->x);
	return 0;
}

void clipboard_activate(struct clipboard *c, bool active)
{
	c->active = active;
}
