/*
 * A window that covers its display, for the end-to-end tests. Takes "colour RRGGBB" and "end" lines
 * from standard input, and tells every "click BUTTON X Y" and "key NAME" that reaches it on
 * standard output.
 */
#include <X11/XKBlib.h>
#include <X11/Xlib.h>
#include <X11/Xutil.h>
#include <X11/keysym.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void fill(Display *d, Window w, unsigned long colour)
{
	XSetWindowBackground(d, w, colour);
	XClearWindow(d, w);
	XFlush(d);
}

static void tell(XEvent *e)
{
	char text[32];
	KeySym sym = 0;

	if (e->type == ButtonPress) {
		printf("click %u %d %d\n", e->xbutton.button, e->xbutton.x, e->xbutton.y);
	} else if (e->type == KeyPress) {
		XLookupString(&e->xkey, text, sizeof(text), &sym, NULL);
		printf("key %s\n", sym ? XKeysymToString(sym) : "none");
	}
	fflush(stdout);
}

int main(void)
{
	Display *d = XOpenDisplay(NULL);
	XSetWindowAttributes attributes = { .override_redirect = True,
					    .event_mask = ButtonPressMask | KeyPressMask };
	struct pollfd fds[2];
	char line[64];
	Window w;
	int s;

	if (!d)
		return 1;
	s = DefaultScreen(d);
	w = XCreateWindow(d, RootWindow(d, s), 0, 0, (unsigned)DisplayWidth(d, s),
			  (unsigned)DisplayHeight(d, s), 0, CopyFromParent, InputOutput,
			  CopyFromParent, CWOverrideRedirect | CWEventMask, &attributes);
	XMapWindow(d, w);
	XSync(d, False);
	XSetInputFocus(d, w, RevertToParent, CurrentTime);
	fill(d, w, 0x203040);
	/* Xlib loads the keyboard map with the first key it looks up, and misses a change just then
	 */
	(void)XkbKeycodeToKeysym(d, 38, 0, 0);
	printf("ready\n");
	fflush(stdout);
	setvbuf(stdin, NULL, _IONBF, 0);
	for (;;) {
		fds[0] = (struct pollfd){ .fd = 0, .events = POLLIN };
		fds[1] = (struct pollfd){ .fd = ConnectionNumber(d), .events = POLLIN };
		if (poll(fds, 2, -1) < 0)
			return 1;
		if (fds[0].revents) {
			if (!fgets(line, sizeof(line), stdin) || strncmp(line, "end", 3) == 0)
				break;
			if (strncmp(line, "colour ", 7) == 0)
				fill(d, w, strtoul(line + 7, NULL, 16));
		}
		while (XPending(d)) {
			XEvent e;

			XNextEvent(d, &e);
			if (e.type == MappingNotify)
				XRefreshKeyboardMapping(&e.xmapping);
			tell(&e);
		}
	}
	XCloseDisplay(d);
	return 0;
}
