/*
 * fairlead-demo: what "fairlead up" shows on a machine without a display. A quiet desktop with a
 * clock, a log that grows, a tide curve, and a window to click and type into. Almost always still.
 */
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <X11/Xutil.h>
#include <X11/keysym.h>

#include "base/util.h"
#include "demo/desk.h"

/* --- the bar at the top ----------------------------------------------------------------- */

static void bar_draw(struct desk *d, struct window *w)
{
	canvas_gradient(&w->canvas, 0x0e2a3a, 0x10303f);
	canvas_disc(&w->canvas, 24, 18, 7, 0x5fd0bf, 1);
	canvas_disc(&w->canvas, 24, 18, 3, 0x0e2a3a, 1);
}

static void bar_write(struct desk *d, struct window *w)
{
	char text[64];

	desk_write(d, w, FONT_BOLD, 0xf2f6f8, 42, 23, "Fairlead demo desktop");
	strftime(text, sizeof(text), "%A, %e %B   %H:%M", &d->now);
	desk_write(d, w, FONT_TEXT, 0xf2f6f8,
		   w->canvas.width - desk_text_width(d, FONT_TEXT, text) - 20, 23, text);
}

static bool bar_tick(struct desk *d, struct window *w)
{
	return d->now.tm_sec == 0;
}

/* --- clock ------------------------------------------------------------------------------ */

static void hand(struct canvas *c, double x, double y, double turn, double length, double width,
		 uint32_t colour)
{
	double a = turn * 2 * M_PI;

	canvas_line(c, x - sin(a) * length * 0.12, y + cos(a) * length * 0.12, x + sin(a) * length,
		    y - cos(a) * length, width, colour, 1);
}

static void clock_draw(struct desk *d, struct window *w)
{
	double x = w->canvas.width / 2.0, y = DESK_TITLE_HEIGHT + 138, r = 112;
	double minute = d->now.tm_min + d->now.tm_sec / 60.0;

	canvas_disc(&w->canvas, x, y, r + 6, 0xeef3f6, 1);
	canvas_ring(&w->canvas, x, y, r + 6, 2, 0xc6d1db, 1);
	for (int i = 0; i < 60; i++) {
		double a = i / 60.0 * 2 * M_PI, inner = i % 5 ? r - 5 : r - 13;
		canvas_line(&w->canvas, x + sin(a) * inner, y - cos(a) * inner, x + sin(a) * r,
			    y - cos(a) * r, i % 5 ? 1.2 : 3, i % 5 ? 0xa9b6c2 : INK_SOFT, 1);
	}
	hand(&w->canvas, x, y, (d->now.tm_hour % 12 + minute / 60) / 12, r * 0.55, 6, INK);
	hand(&w->canvas, x, y, minute / 60, r * 0.82, 4, INK);
	hand(&w->canvas, x, y, d->now.tm_sec / 60.0, r * 0.88, 1.8, WARM);
	canvas_disc(&w->canvas, x, y, 5, WARM, 1);
}

static void clock_write(struct desk *d, struct window *w)
{
	char text[32];

	strftime(text, sizeof(text), "%H:%M:%S", &d->now);
	desk_write(d, w, FONT_LARGE, INK,
		   (w->canvas.width - desk_text_width(d, FONT_LARGE, text)) / 2,
		   w->canvas.height - 20, text);
}

static bool every_second(struct desk *d, struct window *w)
{
	return true;
}

/* --- the log ---------------------------------------------------------------------------- */

#define LOG_STEP 4 /* seconds between lines */
#define LOG_ROW 22

static const char *const log_lines[] = {
	"Pilot boat Seestern is back at the north pier",
	"Wind south-west 4, gusts 6, visibility good",
	"Ferry Nordlicht leaves berth 2, 184 passengers",
	"Buoy 17 has its new lamp; the old one is ashore",
	"Crane 3: service finished, released for work",
	"Sailing school: six boats out, all signed on",
	"Barge Hanne is moored at the timber quay",
	"Lock: next upstream passage in 20 minutes",
	"Fish market opens at five tomorrow",
	"Ferry Nordlicht reports on time at the outer buoy",
	"Tug Bruno assists the freighter Aurelia",
	"Water level 12 cm above the mean, falling",
	"Berth 4 is free again from noon",
};

static void log_draw(struct desk *d, struct window *w)
{
	canvas_box(&w->canvas, 16, DESK_TITLE_HEIGHT + 14, w->canvas.width - 32,
		   w->canvas.height - DESK_TITLE_HEIGHT - 28, 6, 0xf1f4f7, 1);
	canvas_box(&w->canvas, 16, w->canvas.height - 39, w->canvas.width - 32, 25, 6, ACCENT_SOFT,
		   1);
}

static void log_write(struct desk *d, struct window *w)
{
	int rows = (w->canvas.height - DESK_TITLE_HEIGHT - 40) / LOG_ROW;
	time_t last = d->seconds - d->seconds % LOG_STEP;

	for (int i = 0; i < rows; i++) {
		time_t at = last - (time_t)(rows - 1 - i) * LOG_STEP;
		const char *line = log_lines[(size_t)(at / LOG_STEP) % ARRAY_LEN(log_lines)];
		int baseline = w->canvas.height - 22 - (rows - 1 - i) * LOG_ROW;
		struct tm tm;
		char text[16];

		localtime_r(&at, &tm);
		strftime(text, sizeof(text), "%H:%M:%S", &tm);
		desk_write(d, w, FONT_MONO, i == rows - 1 ? ACCENT : INK_SOFT, 28, baseline, text);
		desk_write(d, w, FONT_TEXT, INK, 110, baseline, line);
	}
}

static bool log_tick(struct desk *d, struct window *w)
{
	return d->seconds % LOG_STEP == 0;
}

/* --- the tide --------------------------------------------------------------------------- */

#define TIDE_STEP 10
#define TIDE_PERIOD 600.0 /* seconds of the demo's moon */

static double tide(double seconds)
{
	return sin(seconds / TIDE_PERIOD * 2 * M_PI) + 0.25 * sin(seconds / 97 * 2 * M_PI);
}

static void tide_draw(struct desk *d, struct window *w)
{
	int left = 20, right = w->canvas.width - 20, top = DESK_TITLE_HEIGHT + 40;
	int bottom = w->canvas.height - 48, middle = (top + bottom) / 2;
	double half = (bottom - top) / 2.0 / 1.4, old = 0;

	for (int i = -1; i <= 1; i++)
		canvas_box(&w->canvas, left, middle - i * half, right - left, 1, 0, LINE, 1);
	for (int x = left; x <= right; x += 2) {
		double y = middle - half * tide((double)d->seconds - (right - x) * 1.5);
		if (x > left)
			canvas_line(&w->canvas, x - 2, old, x, y, 2.5, ACCENT, 1);
		old = y;
	}
	canvas_disc(&w->canvas, right, old, 5, WARM, 1);
}

static void tide_write(struct desk *d, struct window *w)
{
	char text[64];
	double cm = 62 * tide((double)d->seconds);

	snprintf(text, sizeof(text), "%+.0f cm to the mean", cm);
	desk_write(d, w, FONT_TEXT, INK, 20, DESK_TITLE_HEIGHT + 26, text);
	desk_write(d, w, FONT_SMALL, INK_SOFT, 20, w->canvas.height - 18,
		   "the last minutes, by the demo\xe2\x80\x99s own moon");
}

static bool tide_tick(struct desk *d, struct window *w)
{
	return d->seconds % TIDE_STEP == 0;
}

/* --- to try ----------------------------------------------------------------------------- */

#define BUTTON_X 24
#define BUTTON_Y (DESK_TITLE_HEIGHT + 52)
#define BUTTON_WIDTH 190
#define BUTTON_HEIGHT 44
#define FIELD_Y (DESK_TITLE_HEIGHT + 160)
#define FIELD_HEIGHT 40

static const struct {
	uint32_t colour;
	const char *name;
} button_states[] = {
	{ 0x0f766e, "sea green" }, { 0xb45309, "amber" },  { 0x1d4ed8, "blue" },
	{ 0xbe123c, "red" },	   { 0x6d28d9, "violet" },
};

static struct {
	unsigned clicks;
	char typed[512], sent[512];
} tried;

static void try_draw(struct desk *d, struct window *w)
{
	uint32_t colour = button_states[tried.clicks % ARRAY_LEN(button_states)].colour;
	int width = w->canvas.width - 48;

	canvas_box(&w->canvas, BUTTON_X, BUTTON_Y, BUTTON_WIDTH, BUTTON_HEIGHT, 8, colour, 1);
	canvas_box(&w->canvas, BUTTON_X, FIELD_Y, width, FIELD_HEIGHT, 7, ACCENT, 1);
	canvas_box(&w->canvas, BUTTON_X + 1.5, FIELD_Y + 1.5, width - 3, FIELD_HEIGHT - 3, 6,
		   0xffffff, 1);
}

static void try_write(struct desk *d, struct window *w)
{
	char text[64];
	const char *label = "Click me", *typed = tried.typed;
	int room = w->canvas.width - 48 - 28, x;

	desk_write(d, w, FONT_TEXT, INK_SOFT, 24, DESK_TITLE_HEIGHT + 32,
		   "Take control, then click and type. It happens on this desktop.");
	desk_write(d, w, FONT_BOLD, 0xffffff,
		   BUTTON_X + (BUTTON_WIDTH - desk_text_width(d, FONT_BOLD, label)) / 2,
		   BUTTON_Y + 28, label);
	snprintf(text, sizeof(text), "%u click%s: %s", tried.clicks, tried.clicks == 1 ? "" : "s",
		 button_states[tried.clicks % ARRAY_LEN(button_states)].name);
	desk_write(d, w, FONT_TEXT, INK, BUTTON_X + BUTTON_WIDTH + 20, BUTTON_Y + 28, text);
	desk_write(d, w, FONT_TEXT, INK_SOFT, 24, FIELD_Y - 12,
		   "Any character works, also \xc3\xa9, \xd0\xb6 and \xe2\x82\xac:");
	/* the end of a long line is what is being typed */
	while (*typed && desk_text_width(d, FONT_TEXT, typed) > room) {
		do
			typed++;
		while ((*typed & 0xc0) == 0x80);
	}
	desk_write(d, w, FONT_TEXT, INK, BUTTON_X + 14, FIELD_Y + 26, typed);
	x = BUTTON_X + 15 + desk_text_width(d, FONT_TEXT, typed);
	XSetForeground(d->dpy, d->gc, ACCENT);
	XFillRectangle(d->dpy, w->back, d->gc, x, FIELD_Y + 10, 2, FIELD_HEIGHT - 20);
	if (tried.sent[0]) {
		desk_write(d, w, FONT_SMALL, INK_SOFT, 24, FIELD_Y + 66, "before:");
		desk_write(d, w, FONT_SMALL, INK, 80, FIELD_Y + 66, tried.sent);
	}
}

static void try_click(struct desk *d, struct window *w, int x, int y)
{
	if (x < BUTTON_X || x >= BUTTON_X + BUTTON_WIDTH || y < BUTTON_Y ||
	    y >= BUTTON_Y + BUTTON_HEIGHT)
		return;
	tried.clicks++;
	w->dirty = true;
}

static void try_key(struct desk *d, struct window *w, XKeyEvent *e)
{
	char text[64] = { 0 };
	KeySym keysym = NoSymbol;
	size_t len = strlen(tried.typed);
	int n = d->ic ? Xutf8LookupString(d->ic, e, text, sizeof(text) - 1, &keysym, NULL)
		      : XLookupString(e, text, sizeof(text) - 1, &keysym, NULL);

	w->dirty = true;
	if (keysym == XK_BackSpace) {
		while (len > 0 && (tried.typed[--len] & 0xc0) == 0x80)
			;
		tried.typed[len] = '\0';
	} else if (keysym == XK_Return || keysym == XK_KP_Enter) {
		memcpy(tried.sent, tried.typed, sizeof(tried.sent));
		tried.typed[0] = '\0';
	} else if (n > 0 && (unsigned char)text[0] >= ' ' && text[0] != 0x7f &&
		   len + (size_t)n < sizeof(tried.typed)) {
		memcpy(tried.typed + len, text, (size_t)n);
		tried.typed[len + (size_t)n] = '\0';
	}
}

/* --- about ------------------------------------------------------------------------------ */

static void about_draw(struct desk *d, struct window *w)
{
	canvas_box(&w->canvas, 18, DESK_TITLE_HEIGHT + 178, w->canvas.width - 36, 1, 0, LINE, 1);
	for (int i = 0; i < 4; i++)
		canvas_disc(&w->canvas, 29, DESK_TITLE_HEIGHT + 233 + i * 62, 11, ACCENT_SOFT, 1);
}

static void about_write(struct desk *d, struct window *w)
{
	static const char *const intro[] = { "This desktop belongs to",
					     "the demonstration. It is a", "virtual screen on the",
					     "machine where you started", "fairlead up." };
	static const char *const steps[][3] = {
		{ "1", "Take control above", "the picture." },
		{ "2", "Click the button,", "drag a window." },
		{ "3", "Type something into", "the field." },
		{ "4", "Read which route the", "picture takes." },
	};
	int y = DESK_TITLE_HEIGHT + 36;

	for (size_t i = 0; i < ARRAY_LEN(intro); i++)
		desk_write(d, w, FONT_TEXT, INK, 18, y + (int)i * 24, intro[i]);
	desk_write(d, w, FONT_BOLD, INK, 18, DESK_TITLE_HEIGHT + 206, "To try");
	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		y = DESK_TITLE_HEIGHT + 238 + (int)i * 62;
		desk_write(d, w, FONT_BOLD, ACCENT, 25, y, steps[i][0]);
		desk_write(d, w, FONT_TEXT, INK, 50, y, steps[i][1]);
		desk_write(d, w, FONT_TEXT, INK, 50, y + 20, steps[i][2]);
	}
}

/* ---------------------------------------------------------------------------------------- */

static const struct window_kind kinds[] = {
	{ .height = 36, .draw = bar_draw, .write = bar_write, .tick = bar_tick },
	{ "Clock", 56, 84, 300, 330, clock_draw, clock_write, every_second, NULL, NULL },
	{ "Tide", 56, 442, 300, 300, tide_draw, tide_write, tide_tick, NULL, NULL },
	{ "Harbour log", 384, 84, 560, 330, log_draw, log_write, log_tick, NULL, NULL },
	{ "Try it", 384, 442, 560, 300, try_draw, try_write, NULL, try_click, try_key },
	{ "About", 972, 84, 252, 520, about_draw, about_write, NULL, NULL, NULL },
};

int main(int argc, char **argv)
{
	struct desk d;

	if (argc > 1) {
		bool version = argc == 2 && strcmp(argv[1], "--version") == 0;
		fprintf(version ? stdout : stderr, "fairlead-demo %s%s\n", FAIRLEAD_VERSION,
			version ? "" : ": draws the demo desktop on DISPLAY; takes no arguments");
		return version ? 0 : 2;
	}
	/* text typed into the field is UTF-8 whatever the environment says */
	if (!setlocale(LC_CTYPE, "C.UTF-8"))
		setlocale(LC_CTYPE, "");
	if (!desk_open(&d))
		return 1;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (!desk_add(&d, &kinds[i]))
			return 1;
	desk_run(&d);
	return 0;
}
