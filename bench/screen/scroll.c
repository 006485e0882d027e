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
#define LINE_CHARS 240

/*
 * Words of random letters across the whole line, the same in every run. Lines that come again would
 * cost an encoder that looks for motion nothing, and no log is like that.
 */
static void line_text(char text[LINE_CHARS + 1], unsigned *seed)
{
	unsigned left = 0;

	for (int i = 0; i < LINE_CHARS; i++) {
		*seed = *seed * 1664525U + 1013904223U;
		if (left == 0) {
			left = 3 + (*seed >> 16) % 8;
			text[i] = ' ';
			continue;
		}
		text[i] = (char)('a' + (*seed >> 16) % 26);
		left--;
	}
	text[LINE_CHARS] = '\0';
}

int main(int argc, char **argv)
{
	Display *d = XOpenDisplay(NULL);
	int s, width, height, steps = argc == 2 ? atoi(argv[1]) * STEPS_PER_SECOND : 0;
	XSetWindowAttributes attributes = { .override_redirect = True };
	unsigned seed = 1;
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
		char text[LINE_CHARS + 1];

		XCopyArea(d, w, w, gc, 0, LINE_HEIGHT, (unsigned)width,
			  (unsigned)(height - LINE_HEIGHT), 0, 0);
		XClearArea(d, w, 0, height - LINE_HEIGHT, (unsigned)width, LINE_HEIGHT, False);
		line_text(text, &seed);
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
