/*
 * Full-screen scrolling text, as a log that runs by: 30 steps of one line a second.
 *
 *	scroll SECONDS        on $DISPLAY
 */
#include <X11/Xlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define STEPS_PER_SECOND 30
#define LINE_HEIGHT 14

static void line_text(char text[256], unsigned n)
{
	static const char *const words[] = {
		"started", "session", "printer", "library", "network",
		"refused", "address", "monday",	 "reading", "account"
	};
	size_t at = (size_t)snprintf(text, 256, "%08u  ", n * 2654435761U % 100000000);

	for (unsigned i = 0; i < 18 && at < 220; i++)
		at += (size_t)snprintf(text + at, 256 - at, "%s ", words[(n * 7 + i * i * 3) % 10]);
}

int main(int argc, char **argv)
{
	Display *d = XOpenDisplay(NULL);
	int s, width, height, steps = argc == 2 ? atoi(argv[1]) * STEPS_PER_SECOND : 0;
	XSetWindowAttributes attributes = { .override_redirect = True };
	struct timespec next;
	Window w;
	GC gc;

	if (!d || steps <= 0) {
		fprintf(stderr, "usage: scroll SECONDS\n");
		return 2;
	}
	s = DefaultScreen(d);
	width = DisplayWidth(d, s);
	height = DisplayHeight(d, s);
	attributes.background_pixel = 0x10151c;
	w = XCreateWindow(d, RootWindow(d, s), 0, 0, (unsigned)width, (unsigned)height, 0,
			  CopyFromParent, InputOutput, CopyFromParent,
			  CWOverrideRedirect | CWBackPixel, &attributes);
	XMapWindow(d, w);
	gc = XCreateGC(d, w, 0, NULL);
	XSetForeground(d, gc, 0xd5dde6);
	XSetGraphicsExposures(d, gc, False);
	clock_gettime(CLOCK_MONOTONIC, &next);
	for (int i = 0; i < steps; i++) {
		char text[256];

		XCopyArea(d, w, w, gc, 0, LINE_HEIGHT, (unsigned)width,
			  (unsigned)(height - LINE_HEIGHT), 0, 0);
		XClearArea(d, w, 0, height - LINE_HEIGHT, (unsigned)width, LINE_HEIGHT, False);
		line_text(text, (unsigned)i);
		XDrawString(d, w, gc, 6, height - 4, text, (int)strlen(text));
		XSync(d, False);
		next.tv_nsec += 1000000000 / STEPS_PER_SECOND;
		next.tv_sec += next.tv_nsec / 1000000000;
		next.tv_nsec %= 1000000000;
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
	}
	XCloseDisplay(d);
	return 0;
}
