/*
 * One connection to the X server, shared by capture, input, clipboard, control and notice.
 *
 * Xlib ends the process when the server is gone; here it does not: the connection is marked lost,
 * every further Xlib call on it returns at once, and on_lost is called once from the loop. Protocol
 * errors of single requests (a window that died meanwhile) are remembered, see x11_trap().
 *
 * Xlib keeps events in a queue of its own that epoll does not see. So whoever talked to the server
 * outside of an event function calls x11_touch(): after the turn everything is flushed and what
 * came in is handed out.
 *
 * Listeners get every event; each looks for its own. They are called in the loop's thread.
 */
#pragma once

#include <X11/Xlib.h>

#include "base/list.h"
#include "io/loop.h"

struct x11_listener {
	struct list node;
	void (*fn)(void *arg, XEvent *event);
	void *arg;
};

struct x11 {
	Display *dpy;
	int screen;
	Window root;
	struct loop *loop;
	struct loop_watch watch;
	struct loop_deferred settle;
	struct list listeners;
	void (*on_lost)(void *arg);
	void *arg;
	bool lost, touched, told_lost, closed;
	int error_code; /* of the last failed request; 0: none */

	bool has_shm, has_xtest, has_xkb, has_xi;
	int damage_event, fixes_event, randr_event, xkb_event, xi_opcode; /* bases */
};

/*
 * name: as in DISPLAY, NULL for that variable. 0; -ENXIO no server there (or none named);
 * FL_EUNSUPPORTED: it lacks Damage, Fixes or RandR; -ENOMEM.
 */
int x11_open(struct loop *loop, const char *name, void (*on_lost)(void *arg), void *arg,
	     struct x11 **out) FL_WARN_UNUSED;
void x11_close(struct x11 *x); /* NULL is fine; not from inside a listener */

void x11_listen(struct x11 *x, struct x11_listener *l, void (*fn)(void *arg, XEvent *event),
		void *arg);
void x11_unlisten(struct x11_listener *l); /* fine on a zeroed one */

void x11_touch(struct x11 *x);

/* Forgets earlier errors; x11_trap_end() waits for the server and returns the error code or 0. */
void x11_trap(struct x11 *x);
int x11_trap_end(struct x11 *x);

/*
 * A property of at most max bytes as a string that XFree() takes; NULL when there is none, it has
 * another type or is longer. *len without the terminator that Xlib adds.
 */
unsigned char *x11_property(struct x11 *x, Window w, Atom property, Atom type, size_t max,
			    size_t *len);
