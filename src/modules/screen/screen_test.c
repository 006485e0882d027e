/* The real module against a real X server: what it shows, what its input does, what it survives. */
#include "test.h"

#include <signal.h>
#include <unistd.h>

#include <X11/XKBlib.h>
#include <X11/Xatom.h>
#include <X11/Xutil.h>
#include <X11/extensions/Xrandr.h>
#include <X11/keysym.h>

#include "base/err.h"
#include "modules/screen/keysym.h"
#include "modules/screen/rig/rig.h"

#define WIDTH 640
#define HEIGHT 480
#define QUIET_MS 700 /* longer than every pause of the pacer */

static const char *program;
static struct rig_server server;

struct fixture {
	Display *dpy;
	Window window;
	struct rig_module module;
	struct rig_decoder *decoder;
	bool key; /* of the last frame */
};

static void paint(struct fixture *f, unsigned long colour)
{
	XSetWindowBackground(f->dpy, f->window, colour);
	XClearWindow(f->dpy, f->window);
	XFlush(f->dpy);
}

static void open_window(struct fixture *f)
{
	XSetWindowAttributes a = {
		.override_redirect = True,
		.background_pixel = 0x3060c0,
		.event_mask = KeyPressMask | KeyReleaseMask | ButtonPressMask | ButtonReleaseMask |
			      PointerMotionMask | PropertyChangeMask | ExposureMask,
	};
	XEvent e;

	f->dpy = XOpenDisplay(server.display);
	assert_non_null(f->dpy);
	f->window = XCreateWindow(f->dpy, DefaultRootWindow(f->dpy), 100, 100, 400, 300, 0,
				  CopyFromParent, InputOutput, CopyFromParent,
				  CWOverrideRedirect | CWBackPixel | CWEventMask, &a);
	XMapWindow(f->dpy, f->window);
	XWindowEvent(f->dpy, f->window, ExposureMask, &e);
	XSetInputFocus(f->dpy, f->window, RevertToParent, CurrentTime);
	XSync(f->dpy, False);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	open_window(f);
	rig_module_start(&f->module, program, server.display, "Ruth Keller");
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	if (f->module.pid)
		assert_int_equal(rig_module_stop(&f->module), 0);
	if (f->decoder)
		rig_decoder_destroy(f->decoder);
	if (f->dpy)
		XCloseDisplay(f->dpy);
	free(f);
	return 0;
}

/* --- picture ---------------------------------------------------------------------------- */

static void start_video(struct fixture *f, const char *codec)
{
	struct module_message msg;
	char start[128], ready[64];

	snprintf(start, sizeof(start), "{\"codecs\":[\"%s\"],\"maxKbps\":8000}", codec);
	snprintf(ready, sizeof(ready), "{\"codec\":\"%s\"}", codec);
	rig_send(&f->module, MODULE_VIDEO_START, 0, 0, span_str(start));
	rig_expect(&f->module, MODULE_VIDEO_READY, &msg);
	assert_true(span_is(msg.payload, ready));
	f->decoder = rig_decoder_create(codec);
}

static void next_frame(struct fixture *f)
{
	struct module_message msg;

	rig_expect(&f->module, MODULE_FRAME, &msg);
	f->key = msg.flags & MODULE_FLAG_KEY;
	assert_true(rig_decode(f->decoder, msg.payload));
}

/* Until the pixel has the colour; the frames in between may show what was before. */
static void expect_colour(struct fixture *f, int x, int y, uint32_t colour)
{
	for (int i = 0; i < 50; i++) {
		next_frame(f);
		if (rig_close(rig_pixel(f->decoder, x, y), colour, 6))
			return;
	}
	fail_msg("pixel is %06x and not %06x", rig_pixel(f->decoder, x, y), colour);
}

static void expect_colour_now_or_later(struct fixture *f, int x, int y, uint32_t colour)
{
	if (!rig_close(rig_pixel(f->decoder, x, y), colour, 6))
		expect_colour(f, x, y, colour);
}

/* Frames until none comes any more; their number. */
static int settle(struct fixture *f)
{
	struct module_message msg;
	int frames = 0;

	while (rig_next(&f->module, &msg, QUIET_MS))
		if (msg.type == MODULE_FRAME) {
			assert_true(rig_decode(f->decoder, msg.payload));
			assert_true(frames++ < 100);
		}
	return frames;
}

static void check_video(struct fixture *f, const char *codec)
{
	int width, height;

	start_video(f, codec);
	next_frame(f);
	assert_true(f->key);
	rig_size(f->decoder, &width, &height);
	assert_int_equal(width, WIDTH);
	assert_int_equal(height, HEIGHT);
	assert_true(rig_close(rig_pixel(f->decoder, 300, 250), 0x3060c0, 6));
	assert_true(rig_close(rig_pixel(f->decoder, 20, 460), 0x000000, 6));
	settle(f);
	paint(f, 0xe02010);
	expect_colour(f, 300, 250, 0xe02010);
	assert_false(f->key);
}

static void test_h264(void **state)
{
	check_video(*state, "H264");
}

static void test_vp8(void **state)
{
	check_video(*state, "VP8");
}

static void test_still_screen_sends_nothing(void **state)
{
	struct fixture *f = *state;
	struct module_message msg;

	start_video(f, "H264");
	next_frame(f);
	settle(f);
	while (rig_next(&f->module, &msg, QUIET_MS))
		assert_int_not_equal(msg.type, MODULE_FRAME);
}

/* Frames that were under way may come first. */
static void expect_key(struct fixture *f)
{
	for (int i = 0; i < 20; i++) {
		next_frame(f);
		if (f->key)
			return;
	}
	fail_msg("no key frame comes");
}

static void test_keyframe_on_request(void **state)
{
	struct fixture *f = *state;

	start_video(f, "H264");
	next_frame(f);
	settle(f);
	rig_send(&f->module, MODULE_KEYFRAME, 0, 0, (struct span){ 0 });
	expect_key(f);
	settle(f);
	rig_send_text(&f->module, "{\"type\":\"keyframe\"}");
	expect_key(f);
}

static void test_hide(void **state)
{
	struct fixture *f = *state;

	start_video(f, "H264");
	next_frame(f);
	rig_send_text(&f->module, "{\"type\":\"hide\",\"hidden\":true}");
	settle(f);
	paint(f, 0x20a040);
	assert_int_equal(settle(f), 0);
	rig_send_text(&f->module, "{\"type\":\"hide\",\"hidden\":false}");
	expect_colour(f, 300, 250, 0x20a040);
	assert_true(f->key);
}

static void test_figures(void **state)
{
	struct fixture *f = *state;
	char text[1024];

	start_video(f, "H264");
	next_frame(f);
	rig_expect_text(&f->module, text, sizeof(text), "\"type\":\"figures\"", "\"width\":640",
			"\"codec\":\"H264\"", "\"encode_ms\":", NULL);
}

static void test_unknown_codec(void **state)
{
	struct fixture *f = *state;
	char text[1024];

	rig_send(&f->module, MODULE_VIDEO_START, 0, 0, span_str("{\"codecs\":[\"AV1\"]}"));
	rig_expect_text(&f->module, text, sizeof(text), "\"type\":\"failed\"", "no-codec", NULL);
}

/* Two displays side by side, as a monitor each. */
static void test_displays(void **state)
{
	struct fixture *f = *state;
	char text[1024];
	int width, height;
	Window root = DefaultRootWindow(f->dpy);
	XRRMonitorInfo *half[2];

	rig_expect_text(&f->module, text, sizeof(text), "\"type\":\"displays\"", "\"width\":640",
			"\"active\":true", NULL);
	start_video(f, "H264");
	next_frame(f);
	for (int i = 0; i < 2; i++) {
		char name[] = "left";
		half[i] = XRRAllocateMonitor(f->dpy, 0);
		half[i]->name = XInternAtom(f->dpy, i ? "right" : name, False);
		half[i]->x = i * 320;
		half[i]->width = 320;
		half[i]->height = HEIGHT;
		half[i]->mwidth = half[i]->mheight = 100;
		XRRSetMonitor(f->dpy, root, half[i]);
	}
	XSync(f->dpy, False);
	/* a monitor made by a client is told with the next change of an output at the latest */
	rig_module_stop(&f->module);
	rig_module_start(&f->module, program, server.display, "Ruth Keller");
	rig_expect_text(&f->module, text, sizeof(text), "\"name\":\"left\"", "\"name\":\"right\"",
			NULL);
	rig_decoder_destroy(f->decoder);
	const char *id = strstr(text, "\"name\":\"right\"");
	assert_non_null(id);
	while (strncmp(id, "\"id\":\"", 6) != 0)
		id--;
	char choose[64];
	snprintf(choose, sizeof(choose), "{\"type\":\"display\",\"id\":\"%c\"}", id[6]);
	start_video(f, "H264");
	rig_send_text(&f->module, choose);
	/* the window reaches from 100 to 500: to 180 in the right half */
	expect_colour(f, 250, 250, 0x000000);
	assert_true(rig_close(rig_pixel(f->decoder, 100, 250), 0x3060c0, 6));
	rig_size(f->decoder, &width, &height);
	assert_int_equal(width, 320);
	assert_int_equal(height, HEIGHT);
	for (int i = 0; i < 2; i++) {
		XRRDeleteMonitor(f->dpy, root, half[i]->name);
		XRRFreeMonitors(half[i]);
	}
}

static void resize_screen(struct fixture *f, int width, int height)
{
	Window root = DefaultRootWindow(f->dpy);
	XRRScreenResources *r = XRRGetScreenResources(f->dpy, root);
	char name[32];
	int len = snprintf(name, sizeof(name), "%dx%d-test", width, height);
	XRRModeInfo mode = { .width = (unsigned)width,
			     .height = (unsigned)height,
			     .name = name,
			     .nameLength = (unsigned)len,
			     .dotClock = 1000,
			     .hTotal = (unsigned)width,
			     .hSyncStart = (unsigned)width,
			     .hSyncEnd = (unsigned)width,
			     .vTotal = (unsigned)height,
			     .vSyncStart = (unsigned)height,
			     .vSyncEnd = (unsigned)height };
	RRMode id = XRRCreateMode(f->dpy, root, &mode);

	XRRAddOutputMode(f->dpy, r->outputs[0], id);
	XRRSetCrtcConfig(f->dpy, r, r->crtcs[0], CurrentTime, 0, 0, None, RR_Rotate_0, NULL, 0);
	XRRSetScreenSize(f->dpy, root, width, height, 100, 100);
	assert_int_equal(XRRSetCrtcConfig(f->dpy, r, r->crtcs[0], CurrentTime, 0, 0, id,
					  RR_Rotate_0, r->outputs, 1),
			 RRSetConfigSuccess);
	XRRFreeScreenResources(r);
	XSync(f->dpy, False);
}

static void test_screen_changes_size(void **state)
{
	struct fixture *f = *state;
	int width, height;
	char text[1024];

	start_video(f, "H264");
	next_frame(f);
	/* odd numbers: the picture leaves the last row and column out */
	resize_screen(f, 481, 361);
	rig_expect_text(&f->module, text, sizeof(text), "\"type\":\"displays\"", "\"width\":481",
			"\"height\":361", NULL);
	do {
		next_frame(f);
		rig_size(f->decoder, &width, &height);
	} while (width != 480);
	assert_true(f->key);
	assert_int_equal(height, 360);
	expect_colour_now_or_later(f, 300, 250, 0x3060c0);
	resize_screen(f, WIDTH, HEIGHT);
	do {
		next_frame(f);
		rig_size(f->decoder, &width, &height);
	} while (width != WIDTH);
	expect_colour_now_or_later(f, 300, 250, 0x3060c0);
}

/* --- input ------------------------------------------------------------------------------ */

/* The next event of a type that the window gets. */
static XEvent next_event(struct fixture *f, int type)
{
	XEvent e;
	usec_t until = usec_monotonic() + RIG_WAIT_MS * USEC_PER_MSEC;

	while (usec_monotonic() < until) {
		if (!XPending(f->dpy)) {
			usleep(1000);
			continue;
		}
		XNextEvent(f->dpy, &e);
		if (e.type == MappingNotify)
			XRefreshKeyboardMapping(&e.xmapping);
		if (e.type == type)
			return e;
	}
	fail_msg("event %d does not come", type);
	return e;
}

static void take_control(struct fixture *f)
{
	char text[1024];

	rig_send_text(&f->module, "{\"type\":\"control\",\"on\":true}");
	rig_expect_text(&f->module, text, sizeof(text), "\"type\":\"control\"", "\"on\":true",
			"\"by\":\"Ruth Keller\"", NULL);
}

static void test_mouse(void **state)
{
	struct fixture *f = *state;
	const uint8_t wheel[] = { 0x03, 0, 0, 0, 240 };

	take_control(f);
	rig_send_button(&f->module, 1, true, 65535 / 2, 65535 / 2);
	XEvent e = next_event(f, ButtonPress);
	assert_int_equal(e.xbutton.button, 1);
	assert_in_range(e.xbutton.x_root, WIDTH / 2 - 1, WIDTH / 2 + 1);
	assert_in_range(e.xbutton.y_root, HEIGHT / 2 - 1, HEIGHT / 2 + 1);
	rig_send_button(&f->module, 1, false, 65535 / 2, 65535 / 2);
	assert_int_equal(next_event(f, ButtonRelease).xbutton.button, 1);
	rig_send_bytes(&f->module, wheel, sizeof(wheel));
	for (int i = 0; i < 2; i++)
		assert_int_equal(next_event(f, ButtonPress).xbutton.button, 5);
}

static void test_input_needs_control(void **state)
{
	struct fixture *f = *state;

	rig_send_button(&f->module, 1, true, 30000, 30000);
	take_control(f);
	rig_send_button(&f->module, 3, true, 30000, 30000);
	assert_int_equal(next_event(f, ButtonPress).xbutton.button, 3);
}

static void type_and_expect(struct fixture *f, uint32_t keysym, uint32_t wanted)
{
	KeySym got = NoSymbol;
	char text[16];

	rig_send_key(&f->module, true, keysym, "");
	do {
		XEvent e = next_event(f, KeyPress);
		XLookupString(&e.xkey, text, sizeof(text), &got, NULL);
	} while (keysym_is_modifier((uint32_t)got));
	assert_int_equal(keysym_canonical((uint32_t)got), keysym_canonical(wanted));
	rig_send_key(&f->module, false, keysym, "");
	next_event(f, KeyRelease);
}

static void test_typing(void **state)
{
	struct fixture *f = *state;
	static const uint32_t keysyms[] = { 'a',	XK_A,	       0x010000e9, 0x01000436,
					    0x010020ac, XK_Return,     '@',	   0x0101f600,
					    XK_F5,	XK_dead_acute, XK_Left,	   '7' };

	take_control(f);
	for (size_t i = 0; i < ARRAY_LEN(keysyms); i++)
		type_and_expect(f, keysyms[i], keysyms[i]);
}

/* The other keyboard holds Shift for a character that this one has without, and stays held. */
static void test_typing_with_shift(void **state)
{
	struct fixture *f = *state;
	KeySym got;
	char text[16];

	take_control(f);
	rig_send_key(&f->module, true, XK_Shift_L, "ShiftLeft");
	next_event(f, KeyPress);
	rig_send_key(&f->module, true, '/', "Digit7");
	XEvent e = next_event(f, KeyPress);
	XLookupString(&e.xkey, text, sizeof(text), &got, NULL);
	assert_int_equal(got, '/');
	rig_send_key(&f->module, false, '/', "Digit7");
	rig_send_key(&f->module, true, 'X', "KeyX");
	do {
		e = next_event(f, KeyPress);
		XLookupString(&e.xkey, text, sizeof(text), &got, NULL);
	} while (keysym_is_modifier((uint32_t)got));
	assert_int_equal(got, 'X');
	/* Shift goes up first, so the key comes up under another name */
	rig_send_key(&f->module, false, XK_Shift_L, "ShiftLeft");
	rig_send_key(&f->module, false, 'x', "KeyX");
	do
		e = next_event(f, KeyRelease);
	while (XkbKeycodeToKeysym(f->dpy, (KeyCode)e.xkey.keycode, 0, 0) != 'x');
}

static void test_other_layout(void **state)
{
	struct fixture *f = *state;
	char command[128];
	static const uint32_t keysyms[] = { 'z', '@', 'e', 0x01000436, 0x010020ac, 0x010000e9 };

	snprintf(command, sizeof(command), "setxkbmap -display %s de,ru 2>/dev/null",
		 server.display);
	if (system(command) != 0) {
		print_message("no setxkbmap: the German layout is not tried\n");
		skip();
	}
	take_control(f);
	for (size_t i = 0; i < ARRAY_LEN(keysyms); i++)
		type_and_expect(f, keysyms[i], keysyms[i]);
	snprintf(command, sizeof(command), "setxkbmap -display %s us", server.display);
	assert_int_equal(system(command), 0);
}

static bool key_down_at_server(struct fixture *f, KeySym keysym)
{
	KeyCode key = XKeysymToKeycode(f->dpy, keysym);
	char keys[32];

	XQueryKeymap(f->dpy, keys);
	return keys[key / 8] & (1 << (key % 8));
}

static void wait_key(struct fixture *f, KeySym keysym, bool down)
{
	usec_t until = usec_monotonic() + RIG_WAIT_MS * USEC_PER_MSEC;

	while (key_down_at_server(f, keysym) != down) {
		assert_true(usec_monotonic() < until);
		usleep(1000);
	}
}

static void test_held_keys_go_up(void **state)
{
	struct fixture *f = *state;
	const uint8_t release = 0x05;

	take_control(f);
	rig_send_key(&f->module, true, XK_Control_L, "ControlLeft");
	wait_key(f, XK_Control_L, true);
	rig_send_bytes(&f->module, &release, 1);
	wait_key(f, XK_Control_L, false);
	rig_send_key(&f->module, true, XK_Shift_L, "ShiftLeft");
	wait_key(f, XK_Shift_L, true);
	rig_send(&f->module, MODULE_CLOSE, 0, RIG_CHANNEL, (struct span){ 0 });
	wait_key(f, XK_Shift_L, false);
	rig_send(&f->module, MODULE_OPEN, 0, RIG_CHANNEL, (struct span){ 0 });
	take_control(f);
	rig_send_key(&f->module, true, XK_Alt_L, "AltLeft");
	wait_key(f, XK_Alt_L, true);
	assert_int_equal(rig_module_stop(&f->module), 0);
	wait_key(f, XK_Alt_L, false);
}

static void test_killed_module_leaves_nothing_held(void **state)
{
	struct fixture *f = *state;

	take_control(f);
	rig_send_key(&f->module, true, XK_Shift_L, "ShiftLeft");
	wait_key(f, XK_Shift_L, true);
	rig_module_kill(&f->module);
	rig_module_start(&f->module, program, server.display, "Ruth Keller");
	take_control(f);
	wait_key(f, XK_Shift_L, false);
}

static void test_last_to_take_control_has_it(void **state)
{
	struct fixture *f = *state;
	struct rig_module other;
	char text[1024];

	take_control(f);
	rig_send_key(&f->module, true, XK_Shift_L, "ShiftLeft");
	wait_key(f, XK_Shift_L, true);
	rig_module_start(&other, program, server.display, "Nora");
	rig_send_text(&other, "{\"type\":\"control\",\"on\":true}");
	rig_expect_text(&f->module, text, sizeof(text), "\"type\":\"control\"", "\"on\":false",
			"\"by\":\"Nora\"", NULL);
	rig_expect_text(&other, text, sizeof(text), "\"on\":true", "\"by\":\"Nora\"", NULL);
	wait_key(f, XK_Shift_L, false);
	rig_module_kill(&other);
	rig_expect_text(&f->module, text, sizeof(text), "\"type\":\"control\"", "\"on\":false",
			"\"by\":\"\"", NULL);
}

/* --- clipboard -------------------------------------------------------------------------- */

static void test_clipboard_to_device(void **state)
{
	struct fixture *f = *state;
	Atom clipboard = XInternAtom(f->dpy, "CLIPBOARD", False);
	Atom utf8 = XInternAtom(f->dpy, "UTF8_STRING", False);
	Atom to = XInternAtom(f->dpy, "TO", False), type;
	unsigned char *data = NULL;
	unsigned long n, left;
	int format;

	take_control(f);
	rig_send_text(&f->module, "{\"type\":\"clipboard\",\"text\":\"Grüße, жук\"}");
	while (XGetSelectionOwner(f->dpy, clipboard) == None)
		usleep(1000);
	XConvertSelection(f->dpy, clipboard, utf8, to, f->window, CurrentTime);
	assert_int_equal(next_event(f, SelectionNotify).xselection.property, to);
	XGetWindowProperty(f->dpy, f->window, to, 0, 1000, True, utf8, &type, &format, &n, &left,
			   &data);
	assert_string_equal((char *)data, "Grüße, жук");
	XFree(data);
}

/* Serves one request for the clipboard, whole or (INCR) in pieces. */
static void serve_clipboard(struct fixture *f, const char *text, size_t piece)
{
	XSelectionRequestEvent r = next_event(f, SelectionRequest).xselectionrequest;
	Atom incr = XInternAtom(f->dpy, "INCR", False);
	size_t len = strlen(text), done = 0;
	XEvent reply = { .xselection = { .type = SelectionNotify,
					 .requestor = r.requestor,
					 .selection = r.selection,
					 .target = r.target,
					 .property = r.property,
					 .time = r.time } };
	long total = (long)len;

	if (piece == 0) {
		XChangeProperty(f->dpy, r.requestor, r.property, r.target, 8, PropModeReplace,
				(const unsigned char *)text, (int)len);
	} else {
		XSelectInput(f->dpy, r.requestor, PropertyChangeMask);
		XChangeProperty(f->dpy, r.requestor, r.property, incr, 32, PropModeReplace,
				(unsigned char *)&total, 1);
	}
	XSendEvent(f->dpy, r.requestor, False, NoEventMask, &reply);
	for (bool more = piece > 0; more;) {
		XEvent e = next_event(f, PropertyNotify);
		if (e.xproperty.atom != r.property || e.xproperty.state != PropertyDelete)
			continue;
		size_t now = FL_MIN(piece, len - done);
		XChangeProperty(f->dpy, r.requestor, r.property, r.target, 8, PropModeReplace,
				(const unsigned char *)text + done, (int)now);
		done += now;
		more = now > 0;
	}
	XFlush(f->dpy);
}

static void test_clipboard_from_device(void **state)
{
	struct fixture *f = *state;
	Atom clipboard = XInternAtom(f->dpy, "CLIPBOARD", False);
	static char large[50001];
	static char text[70000];

	take_control(f);
	XSetSelectionOwner(f->dpy, clipboard, f->window, CurrentTime);
	serve_clipboard(f, "von hier: ä", 0);
	rig_expect_text(&f->module, text, sizeof(text), "\"type\":\"clipboard\"",
			"\"text\":\"von hier: ä\"", NULL);
	memset(large, 'x', sizeof(large) - 1);
	large[49990] = '!';
	XSetSelectionOwner(f->dpy, clipboard, f->window, CurrentTime);
	serve_clipboard(f, large, 20000);
	rig_expect_text(&f->module, text, sizeof(text), "\"type\":\"clipboard\"", "xx!xxxxxxxxx\"",
			NULL);
	assert_true(strlen(text) > 50000);
}

/* --- the notice ------------------------------------------------------------------------- */

static Window find_notice(struct fixture *f, int skip_count, XWindowAttributes *a)
{
	Window root, parent, *list = NULL, found = None;
	unsigned n = 0;

	XQueryTree(f->dpy, DefaultRootWindow(f->dpy), &root, &parent, &list, &n);
	for (unsigned i = 0; i < n && !found; i++) {
		char *name = NULL;
		if (XFetchName(f->dpy, list[i], &name) && strcmp(name, "Fairlead notice") == 0 &&
		    XGetWindowAttributes(f->dpy, list[i], a) && a->map_state == IsViewable &&
		    skip_count-- == 0)
			found = list[i];
		XFree(name);
	}
	XFree(list);
	return found;
}

static void test_notice(void **state)
{
	struct fixture *f = *state;
	struct rig_module other;
	XWindowAttributes a, b;
	struct module_message msg;
	Window focus;
	int revert;

	assert_int_equal(find_notice(f, 0, &a), None);
	start_video(f, "H264");
	next_frame(f);
	while (find_notice(f, 0, &a) == None)
		usleep(1000);
	rig_module_start(&other, program, server.display, "Nora");
	rig_send(&other, MODULE_VIDEO_START, 0, 0, span_str("{\"codecs\":[\"VP8\"]}"));
	rig_expect(&other, MODULE_FRAME, &msg);
	while (find_notice(f, 1, &b) == None)
		usleep(1000);
	find_notice(f, 0, &a);
	assert_true(a.y + a.height <= b.y || b.y + b.height <= a.y);
	XGetInputFocus(f->dpy, &focus, &revert);
	assert_int_equal(focus, f->window);
	rig_module_stop(&other);
	rig_send(&f->module, MODULE_VIDEO_STOP, 0, 0, (struct span){ 0 });
	while (find_notice(f, 0, &a) != None)
		usleep(1000);
}

/* --- trouble ---------------------------------------------------------------------------- */

static void test_no_display(void **state)
{
	struct rig_module m;
	char text[1024];

	rig_module_start(&m, program, ":64999", "Ruth Keller");
	rig_expect_text(&m, text, sizeof(text), "\"type\":\"failed\"", "no-display", NULL);
	assert_int_equal(rig_module_stop(&m), 0);
}

static void test_nonsense_is_ignored(void **state)
{
	struct fixture *f = *state;

	rig_send_text(&f->module, "{\"type\":");
	rig_send_text(&f->module, "[]");
	rig_send_bytes(&f->module, "\x04\x01\x00", 3);
	rig_send_bytes(&f->module, "", 0);
	start_video(f, "H264");
	next_frame(f);
	assert_true(f->key);
}

/* Last, since it takes the server away from under everybody. */
static void test_server_killed_and_back(void **state)
{
	struct fixture *f = *state;
	char text[1024];
	int number = server.number;

	start_video(f, "H264");
	next_frame(f);
	take_control(f);
	XCloseDisplay(f->dpy);
	f->dpy = NULL;
	kill(server.pid, SIGKILL);
	rig_server_stop(&server);
	rig_expect_text(&f->module, text, sizeof(text), "\"type\":\"failed\"", "no-display", NULL);
	assert_true(rig_server_start(&server, number, 800, 600));
	rig_expect_text(&f->module, text, sizeof(text), "\"type\":\"displays\"", "\"width\":800",
			NULL);
	open_window(f);
	expect_colour(f, 300, 250, 0x3060c0);
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		CASE(test_h264),
		CASE(test_vp8),
		CASE(test_still_screen_sends_nothing),
		CASE(test_keyframe_on_request),
		CASE(test_hide),
		CASE(test_figures),
		CASE(test_unknown_codec),
		CASE(test_displays),
		CASE(test_screen_changes_size),
		CASE(test_mouse),
		CASE(test_input_needs_control),
		CASE(test_typing),
		CASE(test_typing_with_shift),
		CASE(test_other_layout),
		CASE(test_held_keys_go_up),
		CASE(test_killed_module_leaves_nothing_held),
		CASE(test_last_to_take_control_has_it),
		CASE(test_clipboard_to_device),
		CASE(test_clipboard_from_device),
		CASE(test_notice),
		TEST(test_no_display),
		CASE(test_nonsense_is_ignored),
		CASE(test_server_killed_and_back),
	};

	if (argc != 2)
		return 2;
	program = argv[1];
	if (argc == 2 && !rig_server_start(&server, -1, WIDTH, HEIGHT)) {
		puts("skipped: Xvfb is not installed");
		return 77;
	}
	if (getenv("SCREEN_TEST"))
		cmocka_set_test_filter(getenv("SCREEN_TEST"));
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	rig_server_stop(&server);
	return failed != 0;
}
