/*
 * The screen module: shows the desktop as a video track and lets the console use its mouse,
 * keyboard and clipboard (docs/protocol.md §4.2 and §5). This file joins the parts: the module's
 * messages, the connection to the X server, which may come and go, and what hangs on it.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "base/err.h"
#include "base/log.h"
#include "base/text.h"
#include "modules/module.h"
#include "modules/screen/clipboard.h"
#include "modules/screen/control.h"
#include "modules/screen/input.h"
#include "modules/screen/message.h"
#include "modules/screen/notice.h"
#include "modules/screen/video.h"
#include "modules/screen/x11.h"

#define CONNECT_MIN_US (100 * USEC_PER_MSEC)
#define CONNECT_MAX_US (3 * USEC_PER_SEC)
#define NOTICE_US (10 * USEC_PER_MSEC)

struct screen {
	struct loop *loop;
	struct module *module;
	struct loop_signal signals;
	struct video *video;
	char user[CONTROL_NAME_MAX + 1];
	char display_name[256]; /* of the X server; "" for the DISPLAY variable */

	bool open, paused;
	uint16_t channel;
	char wanted_display[SCREEN_DISPLAY_ID_MAX + 1];

	struct loop_timer connect_timer, input_timer, notice_timer;
	usec_t connect_delay;
	const char *failure; /* code; NULL: the desktop is there */
	struct x11 *x;
	struct capture *capture;
	struct input *input;
	struct clipboard *clipboard;
	struct control *control;
	struct notice *notice;
	char controller[CONTROL_NAME_MAX + 1];

	uint64_t ignored; /* input without control, and what could not be read */
};

/* --- to the console --------------------------------------------------------------------- */

/* err: of the put that filled text. Takes the buffer's contents. */
static void send_text(struct screen *s, struct buf *text, int err)
{
	if (err == 0 && s->open && !s->paused)
		err = module_send(s->module, s->channel, buf_span(text), true);
	if (err < 0)
		log_warn("screen-send", "error=%s", err_name(err));
	buf_finish(text);
}

static const struct screen_display *active_display(struct screen *s)
{
	size_t n, active;
	const struct screen_display *list = s->capture->ops->displays(s->capture, &n, &active);

	return &list[active];
}

static void send_displays(struct screen *s)
{
	struct buf text = BUF_INIT(SCREEN_TEXT_MAX);
	size_t n, active;
	const struct screen_display *list;

	if (!s->capture)
		return;
	list = s->capture->ops->displays(s->capture, &n, &active);
	send_text(s, &text, screen_put_displays(&text, list, n, active));
}

static void send_control(struct screen *s)
{
	struct buf text = BUF_INIT(SCREEN_TEXT_MAX);

	send_text(s, &text, screen_put_control(&text, control_mine(s->control), s->controller));
}

static void send_failed(struct screen *s, const char *code, const char *message)
{
	struct buf text = BUF_INIT(SCREEN_TEXT_MAX);

	send_text(s, &text, screen_put_failed(&text, code, message));
}

static void send_failure(struct screen *s)
{
	char message[512];

	if (!s->failure)
		return;
	if (strcmp(s->failure, "unsupported-display") == 0)
		snprintf(message, sizeof(message),
			 "The desktop of this device cannot be shown: its X server lacks what is "
			 "needed (Damage, Fixes and RandR, and 24-bit colour).");
	else
		snprintf(message, sizeof(message),
			 "There is no desktop to show on this device%s%s. As soon as one is there, "
			 "it is shown.",
			 s->display_name[0] ? " at " : "", s->display_name);
	send_failed(s, s->failure, message);
}

static void send_state(struct screen *s)
{
	send_failure(s);
	send_displays(s);
	if (s->control)
		send_control(s);
}

/* --- what the parts tell ---------------------------------------------------------------- */

/* The first picture goes out before fonts are looked for. */
static void update_notice(struct screen *s)
{
	if (!loop_timer_running(&s->notice_timer))
		loop_timer_after(&s->notice_timer, NOTICE_US);
}

static void show_notice(void *arg)
{
	struct screen *s = arg;

	if (!s->notice)
		return;
	notice_show(s->notice, control_mine(s->control)	 ? NOTICE_CONTROLLED
			       : video_running(s->video) ? NOTICE_WATCHED
							 : NOTICE_HIDDEN);
}

static void on_damage(void *arg)
{
	struct screen *s = arg;

	video_damage(s->video);
}

static void use_display(struct screen *s)
{
	const struct screen_display *d = active_display(s);

	if (s->input)
		input_set_area(s->input, d);
	if (s->notice)
		notice_set_area(s->notice, d);
	video_resized(s->video);
	send_displays(s);
}

static void on_displays(void *arg)
{
	use_display(arg);
}

static void on_control(void *arg, bool mine, const char *by)
{
	struct screen *s = arg;

	if (!mine && s->input)
		input_release(s->input);
	else if (s->input)
		input_release_stale(s->input);
	if (s->clipboard)
		clipboard_activate(s->clipboard, mine);
	text_copy(s->controller, sizeof(s->controller), by);
	send_control(s);
	update_notice(s);
}

static void on_clipboard(void *arg, struct span content)
{
	struct screen *s = arg;
	struct buf text = BUF_INIT(8 * SCREEN_TEXT_MAX);
	int err = screen_put_clipboard(&text, content);

	/* control characters grow in JSON; what does not fit then is not told */
	if (err == 0 && text.len > SCREEN_TEXT_MAX) {
		buf_finish(&text);
		return;
	}
	send_text(s, &text, err);
}

static void on_figures(void *arg, const struct screen_figures *f)
{
	struct screen *s = arg;
	struct buf text = BUF_INIT(SCREEN_TEXT_MAX);

	send_text(s, &text, screen_put_figures(&text, f));
}

static void on_video_failed(void *arg, const char *code, const char *message)
{
	send_failed(arg, code, message);
}

static const struct capture_handler capture_handler = {
	.on_damage = on_damage,
	.on_displays = on_displays,
};
static const struct control_handler control_handler = { .on_change = on_control };
static const struct clipboard_handler clipboard_handler = { .on_text = on_clipboard };
static const struct video_handler video_handler = {
	.on_figures = on_figures,
	.on_failed = on_video_failed,
};

/* --- the connection to the desktop ------------------------------------------------------ */

static void disconnect(struct screen *s)
{
	video_attach(s->video, NULL);
	loop_timer_stop(&s->input_timer);
	input_destroy(FL_STEAL(s->input));
	clipboard_destroy(FL_STEAL(s->clipboard));
	control_destroy(FL_STEAL(s->control));
	notice_destroy(FL_STEAL(s->notice));
	if (s->capture)
		s->capture->ops->destroy(s->capture);
	s->capture = NULL;
	x11_close(FL_STEAL(s->x));
	s->controller[0] = '\0';
}

static void set_failure(struct screen *s, const char *code)
{
	bool news = !s->failure || strcmp(s->failure, code) != 0;

	s->failure = code;
	loop_timer_after(&s->connect_timer, s->connect_delay);
	s->connect_delay = FL_MIN(2 * s->connect_delay, CONNECT_MAX_US);
	if (!news)
		return;
	log_info("screen-no-display", "code=%s display=%s", code, s->display_name);
	send_failure(s);
}

static void on_lost(void *arg)
{
	struct screen *s = arg;

	disconnect(s);
	s->connect_delay = CONNECT_MIN_US;
	set_failure(s, "no-display");
}

static int make_parts(struct screen *s)
{
	int err = capture_x11_create(s->x, &capture_handler, s, &s->capture);

	if (err < 0)
		return err;
	err = notice_create(s->x, s->user, &s->notice);
	if (err == 0)
		err = clipboard_create(s->x, &clipboard_handler, s, &s->clipboard);
	/* a server without XTest can still be watched */
	if (err == 0 && input_create(s->x, &s->input) == -ENOMEM)
		err = -ENOMEM;
	if (err == 0)
		err = control_create(s->x, s->user, &control_handler, s, &s->control);
	return err;
}

static void connect_display(void *arg)
{
	struct screen *s = arg;
	int err = x11_open(s->loop, s->display_name[0] ? s->display_name : NULL, on_lost, s, &s->x);

	if (err == 0)
		err = make_parts(s);
	if (err < 0) {
		disconnect(s);
		set_failure(s, err == FL_EUNSUPPORTED ? "unsupported-display" : "no-display");
		return;
	}
	s->failure = NULL;
	s->connect_delay = CONNECT_MIN_US;
	if (s->wanted_display[0])
		(void)s->capture->ops->select(s->capture, s->wanted_display);
	use_display(s);
	video_attach(s->video, s->capture);
	update_notice(s);
}

/* --- from the console ------------------------------------------------------------------- */

static void on_input_timer(void *arg)
{
	struct screen *s = arg;

	loop_timer_at(&s->input_timer, input_timeout(s->input, loop_now(s->loop)));
	x11_touch(s->x);
}

static void take_input(struct screen *s, const struct screen_message *m)
{
	if (!s->input || !control_mine(s->control)) {
		s->ignored++;
		return;
	}
	input_apply(s->input, loop_now(s->loop), m);
	if (m->type == SCREEN_KEY && !loop_timer_running(&s->input_timer))
		on_input_timer(s);
}

static void take_control(struct screen *s, bool on)
{
	if (!s->control)
		return;
	if (on && !s->input)
		send_failed(s, "no-input",
			    "Mouse and keyboard of this device cannot be used: its X server has no "
			    "XTest.");
	else if (on)
		control_take(s->control);
	else
		control_give(s->control);
}

static void take_display(struct screen *s, const char *id)
{
	text_copy(s->wanted_display, sizeof(s->wanted_display), id);
	if (s->capture && s->capture->ops->select(s->capture, id) == 0)
		use_display(s);
}

static void take_message(struct screen *s, const struct screen_message *m)
{
	switch (m->type) {
	case SCREEN_CONTROL:
		take_control(s, m->on);
		break;
	case SCREEN_DISPLAY:
		take_display(s, m->display);
		break;
	case SCREEN_CLIPBOARD:
		if (!s->clipboard || !control_mine(s->control))
			s->ignored++;
		else if (clipboard_set(s->clipboard, span_of(m->text, m->text_len)) < 0)
			log_warn("screen-clipboard", "error=memory");
		break;
	case SCREEN_KEYFRAME:
		video_key(s->video);
		break;
	case SCREEN_HIDE:
		video_hide(s->video, m->on);
		update_notice(s);
		break;
	case SCREEN_MOVE:
	case SCREEN_BUTTON:
	case SCREEN_WHEEL:
	case SCREEN_KEY:
	case SCREEN_RELEASE:
		take_input(s, m);
		break;
	}
}

static void on_data(void *arg, uint16_t channel, struct span data, bool text)
{
	struct screen *s = arg;
	struct screen_message m;

	if (!s->open || channel != s->channel)
		return;
	if (screen_message_parse(data, text, &m) < 0) {
		s->ignored++;
		return;
	}
	take_message(s, &m);
	screen_message_finish(&m);
	if (s->x)
		x11_touch(s->x);
}

static void on_open(void *arg, uint16_t channel)
{
	struct screen *s = arg;

	if (s->open) {
		/* one channel is enough for one screen */
		(void)module_close(s->module, channel);
		return;
	}
	s->open = true;
	s->paused = false;
	s->channel = channel;
	send_state(s);
}

static void on_close(void *arg, uint16_t channel)
{
	struct screen *s = arg;

	if (!s->open || channel != s->channel)
		return;
	s->open = false;
	if (s->input)
		input_release(s->input);
	if (s->control)
		control_give(s->control);
	video_hide(s->video, false);
	update_notice(s);
}

static void on_pause(void *arg, uint16_t channel, bool paused)
{
	struct screen *s = arg;

	if (!s->open || channel != s->channel || paused == s->paused)
		return;
	s->paused = paused;
	if (!paused)
		send_state(s); /* what may have changed meanwhile */
}

/* --- from the client -------------------------------------------------------------------- */

static void on_hello(void *arg, const struct module_hello *hello)
{
	struct screen *s = arg;
	json_t *config = json_loads(hello->config, 0, NULL);
	const char *display = json_string_value(json_object_get(config, "display"));

	text_copy(s->user, sizeof(s->user), hello->user_name);
	if (!display)
		display = getenv("DISPLAY");
	text_copy(s->display_name, sizeof(s->display_name), display ? display : "");
	json_decref(config);
	if (!s->x)
		connect_display(s);
}

static void on_video_start(void *arg, const struct module_video *video)
{
	struct screen *s = arg;
	const struct encoder_ops *codec = NULL;

	for (size_t i = 0; i < video->n_codecs && !codec; i++)
		codec = encoder_find(video->codecs[i]);
	if (!codec) {
		send_failed(s, "no-codec",
			    "This console takes none of the video formats that the device can "
			    "make (H264, VP8).");
		return;
	}
	if (module_video_ready(s->module, codec->codec) < 0)
		return;
	video_start(s->video, codec, video->max_kbps);
	update_notice(s);
}

static void on_video_stop(void *arg)
{
	struct screen *s = arg;

	video_stop(s->video);
	update_notice(s);
}

static void on_keyframe(void *arg)
{
	struct screen *s = arg;

	video_key(s->video);
}

static void on_rate(void *arg, uint32_t bps)
{
	struct screen *s = arg;

	video_rate(s->video, bps);
}

static void on_end(void *arg)
{
	struct screen *s = arg;

	loop_stop(s->loop);
}

static void on_signal(void *arg, int signo)
{
	on_end(arg);
}

static const struct module_handler module_handler = {
	.on_hello = on_hello,
	.on_open = on_open,
	.on_data = on_data,
	.on_close = on_close,
	.on_pause = on_pause,
	.on_video_start = on_video_start,
	.on_video_stop = on_video_stop,
	.on_keyframe = on_keyframe,
	.on_rate = on_rate,
	.on_end = on_end,
};

static int run(struct screen *s, int fd)
{
	static const int signals[] = { SIGTERM, SIGINT };
	struct module_config config = { .fd = fd, .name = "screen", .version = FAIRLEAD_VERSION };
	int err = module_create(s->loop, &config, &module_handler, s, &s->module);

	if (err < 0)
		return err;
	err = video_create(s->loop, s->module, &video_handler, s, &s->video);
	if (err == 0)
		err = loop_signal_start(s->loop, &s->signals, signals, ARRAY_LEN(signals),
					on_signal, s);
	if (err == 0)
		err = loop_run(s->loop);
	if (s->ignored)
		log_info("screen-ignored", "messages=%llu", (unsigned long long)s->ignored);
	if (s->video)
		disconnect(s);
	notice_cleanup();
	video_destroy(s->video);
	module_destroy(s->module);
	loop_signal_stop(&s->signals);
	return err;
}

int main(int argc, char **argv)
{
	struct screen s = { .connect_delay = CONNECT_MIN_US };
	int fd = module_start(argc, argv, "screen"), err;

	if (fd < 0)
		return 2;
	log_open("screen");
	err = loop_create(&s.loop);
	if (err < 0)
		return 1;
	loop_timer_init(s.loop, &s.connect_timer, connect_display, &s);
	loop_timer_init(s.loop, &s.input_timer, on_input_timer, &s);
	loop_timer_init(s.loop, &s.notice_timer, show_notice, &s);
	err = run(&s, fd);
	loop_destroy(s.loop);
	if (err < 0)
		log_error("screen-end", "error=%s", err_name(err));
	return err < 0;
}
