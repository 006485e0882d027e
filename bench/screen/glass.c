/*
 * Glass to glass: flips the colour of a window on one display and polls one pixel of another, where
 *a viewer shows it. Prints one latency in milliseconds a line, and "lost" when it never arrived.
 *
 *	glass DISPLAY-A DISPLAY-B X Y COUNT
 */
#include <X11/Xlib.h>
#include <X11/Xutil.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define LOST_MS 2000.0
#define POLL_US 500

static double now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

static Window cover(Display *d)
{
	int s = DefaultScreen(d);
	XSetWindowAttributes attributes = { .override_redirect = True };
	Window w = XCreateWindow(d, RootWindow(d, s), 0, 0, (unsigned)DisplayWidth(d, s),
				 (unsigned)DisplayHeight(d, s), 0, CopyFromParent, InputOutput,
				 CopyFromParent, CWOverrideRedirect, &attributes);

	XMapWindow(d, w);
	XSync(d, False);
	return w;
}

/* A square in the middle, as a window of a person would change, not the whole screen. */
static void paint(Display *d, Window w, GC gc, unsigned long colour)
{
	int s = DefaultScreen(d), cx = DisplayWidth(d, s) / 2, cy = DisplayHeight(d, s) / 2;

	XSetForeground(d, gc, colour);
	XFillRectangle(d, w, gc, cx - 100, cy - 100, 200, 200);
	XSync(d, False);
}

/* Red or blue, by which is stronger: the picture's colours are not exact. */
static int is_red(Display *d, int x, int y)
{
	XImage *i = XGetImage(d, DefaultRootWindow(d), x, y, 1, 1, AllPlanes, ZPixmap);
	unsigned long p = i ? XGetPixel(i, 0, 0) : 0;

	if (i)
		XDestroyImage(i);
	return (p >> 16 & 255) > (p & 255);
}

int main(int argc, char **argv)
{
	Display *a = argc == 6 ? XOpenDisplay(argv[1]) : NULL,
		*b = a ? XOpenDisplay(argv[2]) : NULL;
	int x, y, count, red = 0;
	Window w;
	GC gc;

	if (!b) {
		fprintf(stderr, "usage: glass DISPLAY-A DISPLAY-B X Y COUNT\n");
		return 2;
	}
	x = atoi(argv[3]);
	y = atoi(argv[4]);
	count = atoi(argv[5]);
	w = cover(a);
	gc = XCreateGC(a, w, 0, NULL);
	paint(a, w, gc, 0x2030e0);
	sleep(2);
	for (int i = 0; i <= count; i++) {
		double began = now_ms();

		red = !red;
		paint(a, w, gc, red ? 0xe03020 : 0x2030e0);
		while (is_red(b, x, y) != red && now_ms() - began < LOST_MS)
			usleep(POLL_US);
		if (i == 0)
			continue; /* the first one wakes everything up */
		if (now_ms() - began >= LOST_MS)
			printf("lost\n");
		else
			printf("%.1f\n", now_ms() - began);
		fflush(stdout);
		usleep(120000 +
		       (useconds_t)(rand() % 80000)); /* not in step with any frame clock */
	}
	return 0;
}
