/* See run. The desktop is 1280 × 800; the console's rate is 4 Mbit/s. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <X11/Xft/Xft.h>

#include "modules/screen/rig/rig.h"

#define WIDTH 1280
#define HEIGHT 800
#define ROW 16
#define RATE 4000000
#define FLIPS 40

static struct rig_server server;

struct bench {
	const char *codec, *program;
	struct rig_module module;
	Display *dpy;
	Window window;
	GC gc;
	XftDraw *draw;
	XftFont *font;
	XftColor ink, paper;
	unsigned line;

	unsigned frames; /* since begin() */
	uint64_t bytes;
	usec_t began;
	uint64_t cpu_began;
};

/* CPU time of the module so far, in nanoseconds. */
static uint64_t cpu_ns(pid_t pid)
{
	char path[64], line[128] = "";
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/schedstat", (int)pid);
	f = fopen(path, "re");
	if (!f || !fgets(line, sizeof(line), f))
		rig_die(path);
	fclose(f);
	return strtoull(line, NULL, 10);
}

static void begin(struct bench *b)
{
	b->frames = 0;
	b->bytes = 0;
	b->began = usec_monotonic();
	b->cpu_began = cpu_ns(b->module.pid);
}

static void report(struct bench *b, const char *what)
{
	double seconds = (double)(usec_monotonic() - b->began) / 1e6;
	double cpu = (double)(cpu_ns(b->module.pid) - b->cpu_began) / 1e6;

	printf("%-5s %-28s %6.1f frames/s %8.0f kbit/s %6.2f %% of a core", b->codec, what,
	       b->frames / seconds, (double)b->bytes * 8 / 1000 / seconds, cpu / 10 / seconds);
	if (b->frames)
		printf(" %6.2f ms CPU a frame", cpu / b->frames);
	putchar('\n');
	fflush(stdout);
}

/* Takes what comes until then; stops after the first frame when one is wanted. */
static bool take_until(struct bench *b, usec_t until, bool one_frame)
{
	struct module_message msg;
	usec_t now;

	while ((now = usec_monotonic()) < until) {
		if (!rig_next(&b->module, &msg, (int)((until - now) / USEC_PER_MSEC)))
			continue;
		if (msg.type != MODULE_FRAME)
			continue;
		b->frames++;
		b->bytes += msg.payload.len;
		if (one_frame)
			return true;
	}
	return false;
}

/* --- the desktop ------------------------------------------------------------------------ */

static void open_desktop(struct bench *b)
{
	XSetWindowAttributes a = { .override_redirect = True, .background_pixel = 0x1e2430 };
	XEvent e;

	b->dpy = XOpenDisplay(server.display);
	if (!b->dpy)
		rig_die("X server");
	b->window = XCreateWindow(b->dpy, DefaultRootWindow(b->dpy), 0, 0, WIDTH, HEIGHT, 0,
				  CopyFromParent, InputOutput, CopyFromParent,
				  CWOverrideRedirect | CWBackPixel, &a);
	XSelectInput(b->dpy, b->window, ExposureMask);
	XMapWindow(b->dpy, b->window);
	XWindowEvent(b->dpy, b->window, ExposureMask, &e);
	b->gc = XCreateGC(b->dpy, b->window, 0, NULL);
	XSetGraphicsExposures(b->dpy, b->gc, False);
	Visual *visual = DefaultVisual(b->dpy, 0);
	Colormap map = DefaultColormap(b->dpy, 0);
	b->draw = XftDrawCreate(b->dpy, b->window, visual, map);
	b->font = XftFontOpenName(b->dpy, 0, "DejaVu Sans Mono:pixelsize=13");
	if (!b->font || !XftColorAllocName(b->dpy, visual, map, "#dfe6f0", &b->ink) ||
	    !XftColorAllocName(b->dpy, visual, map, "#1e2430", &b->paper))
		rig_die("fonts");
}

/* A line of something like a program's output, each one another. */
static void draw_line(struct bench *b, int row)
{
	char text[160];
	unsigned n = b->line++, seed = n * 2654435761u;
	int len = snprintf(text, sizeof(text), "%06u  ", n);

	while (len < 40 + (int)(seed % 100)) {
		seed = seed * 1664525u + 1013904223u;
		text[len++] = (seed >> 24) % 6 ? (char)('a' + (seed >> 16) % 26) : ' ';
	}
	XftDrawRect(b->draw, &b->paper, 0, row * ROW, WIDTH, ROW);
	XftDrawStringUtf8(b->draw, &b->ink, b->font, 4, row * ROW + 12, (FcChar8 *)text, len);
}

static void fill_screen(struct bench *b)
{
	for (int row = 0; row < HEIGHT / ROW; row++)
		draw_line(b, row);
	XFlush(b->dpy);
}

static void scroll_line(struct bench *b)
{
	XCopyArea(b->dpy, b->window, b->window, b->gc, 0, ROW, WIDTH, HEIGHT - ROW, 0, 0);
	draw_line(b, HEIGHT / ROW - 1);
	XFlush(b->dpy);
}

static void type_letter(struct bench *b, unsigned i)
{
	FcChar8 letter = (FcChar8)('a' + i % 26);

	XftDrawStringUtf8(b->draw, &b->ink, b->font, 8 + (int)(i % 120) * 8, HEIGHT / 2, &letter,
			  1);
	XFlush(b->dpy);
}

static void flip_square(struct bench *b, unsigned i)
{
	XSetForeground(b->dpy, b->gc, i % 2 ? 0xe02010 : 0x20a040);
	XFillRectangle(b->dpy, b->window, b->gc, 600, 300, 100, 100);
	XFlush(b->dpy);
}

/* --- what is measured ------------------------------------------------------------------- */

static void start(struct bench *b)
{
	char json[128];
	usec_t began;

	rig_module_start(&b->module, b->program, server.display, "Ruth Keller");
	rig_send_rate(&b->module, RATE);
	/* a moment later, as in a session, where the connection is made in between */
	take_until(b, usec_monotonic() + 300 * USEC_PER_MSEC, false);
	snprintf(json, sizeof(json), "{\"codecs\":[\"%s\"],\"maxKbps\":8000}", b->codec);
	begin(b);
	began = usec_monotonic();
	rig_send(&b->module, MODULE_VIDEO_START, 0, 0, span_str(json));
	take_until(b, began + 10 * USEC_PER_SEC, true);
	printf("%-5s %-28s %6.1f ms, %llu bytes\n", b->codec, "VIDEO_START to first frame",
	       (double)(usec_monotonic() - began) / 1e3, (unsigned long long)b->bytes);
	rig_send_rate(&b->module, RATE);
	take_until(b, usec_monotonic() + USEC_PER_SEC, false);
}

static void measure_idle(struct bench *b)
{
	begin(b);
	take_until(b, usec_monotonic() + 5 * USEC_PER_SEC, false);
	report(b, "still screen");
}

static void measure_typing(struct bench *b)
{
	begin(b);
	for (unsigned i = 0; i < 50; i++) {
		type_letter(b, i);
		take_until(b, usec_monotonic() + 100 * USEC_PER_MSEC, false);
	}
	report(b, "typing, 10 letters/s");
}

static void measure_scrolling(struct bench *b)
{
	usec_t next = usec_monotonic(), end = next + 5 * USEC_PER_SEC;

	begin(b);
	while (next < end) {
		scroll_line(b);
		next += 33333;
		take_until(b, next, false);
	}
	report(b, "scrolling text, 30 lines/s");
}

static void measure_pages(struct bench *b)
{
	usec_t next = usec_monotonic(), end = next + 5 * USEC_PER_SEC;

	begin(b);
	while (next < end) {
		fill_screen(b);
		next += 100000;
		take_until(b, next, false);
	}
	report(b, "new page of text, 10/s");
}

static int compare(const void *a, const void *b)
{
	const double *x = a, *y = b;
	return (*x > *y) - (*x < *y);
}

static void measure_latency(struct bench *b)
{
	double ms[FLIPS];

	for (unsigned i = 0; i < FLIPS; i++) {
		take_until(b, usec_monotonic() + 250 * USEC_PER_MSEC, false);
		usec_t began = usec_monotonic();
		flip_square(b, i);
		take_until(b, began + 5 * USEC_PER_SEC, true);
		ms[i] = (double)(usec_monotonic() - began) / 1e3;
	}
	qsort(ms, FLIPS, sizeof(ms[0]), compare);
	printf("%-5s %-28s p50 %.1f ms, p95 %.1f ms\n", b->codec, "change to frame", ms[FLIPS / 2],
	       ms[FLIPS * 95 / 100]);
}

static void measure(const char *program, const char *codec)
{
	struct bench b = { .program = program, .codec = codec };

	open_desktop(&b);
	fill_screen(&b);
	XSync(b.dpy, False);
	start(&b);
	measure_idle(&b);
	measure_latency(&b);
	measure_typing(&b);
	measure_scrolling(&b);
	measure_pages(&b);
	rig_module_stop(&b.module);
	XCloseDisplay(b.dpy);
}

int main(int argc, char **argv)
{
	if (argc != 2)
		return 2;
	if (!rig_server_start(&server, -1, WIDTH, HEIGHT)) {
		puts("skipped: Xvfb is not installed");
		return 77;
	}
	measure(argv[1], "H264");
	measure(argv[1], "VP8");
	rig_server_stop(&server);
	return 0;
}
