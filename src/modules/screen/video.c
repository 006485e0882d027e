#include "modules/screen/video.h"

#include <errno.h>
#include <sys/ioctl.h>

#include <linux/sockios.h>

#include "base/err.h"
#include "base/log.h"
#include "modules/module.h"
#include "modules/screen/pacer.h"

#define BACKLOG_MAX (64 * 1024) /* bytes that the client has not read: about a key frame */
#define RETRY_US (200 * USEC_PER_MSEC)
#define RATE_DEFAULT 4000000u

struct video {
	struct loop *loop;
	struct module *module;
	const struct video_handler *handler;
	void *arg;
	struct loop_timer frame_timer, figure_timer;

	struct capture *capture;
	bool picture_whole; /* it was read from this capture at least once */
	struct convert convert;
	const struct encoder_ops *codec;
	struct encoder *encoder;
	int width, height; /* the encoder's */
	struct pacer pacer;
	bool told_failed;
	uint32_t rate_bps; /* that the client told; 0: not yet */

	/* of the second that runs */
	unsigned frames;
	uint64_t bytes, capture_us, encode_us;
	usec_t figures_began;
};

/* What the client has not taken yet: in our queue and in the socket. */
static bool backlogged(struct video *v)
{
	int in_socket = 0;

	if (ioctl(MODULE_FD, SIOCOUTQ, &in_socket) < 0)
		in_socket = 0;
	return module_queued(v->module) + (size_t)in_socket > BACKLOG_MAX;
}

static void arm(struct video *v)
{
	usec_t at = v->capture ? pacer_deadline(&v->pacer, loop_now(v->loop)) : USEC_NEVER;

	loop_timer_at(&v->frame_timer, at);
}

static void fail(struct video *v, const char *code, const char *message)
{
	if (!v->told_failed)
		v->handler->on_failed(v->arg, code, message);
	v->told_failed = true;
	loop_timer_after(&v->frame_timer, RETRY_US);
}

/* Reads and converts what changed. 1, 0 (nothing did), or negative. */
static int take_picture(struct video *v, struct capture_frame *frame)
{
	int err;

	if (!v->capture)
		return -ENODEV;
	err = v->capture->ops->grab(v->capture, !v->picture_whole, frame);
	if (err < 0)
		return err;
	err = convert_frame(&v->convert, frame);
	v->picture_whole = err >= 0;
	return err;
}

static int fit_encoder(struct video *v)
{
	const struct picture *p = &v->convert.picture;

	if (v->encoder && v->encoder->ops == v->codec && v->width == p->width &&
	    v->height == p->height)
		return 0;
	encoder_destroy(v->encoder);
	v->encoder = NULL;
	v->width = p->width;
	v->height = p->height;
	int err = encoder_create(v->codec, p->width, p->height, &v->encoder);
	if (err == 0 && v->pacer.playing)
		pacer_start(&v->pacer, p->width, p->height);
	return err;
}

static void note_figures(struct video *v, size_t bytes, usec_t capture_us, usec_t encode_us)
{
	if (!loop_timer_running(&v->figure_timer)) {
		v->figures_began = loop_now(v->loop);
		loop_timer_after(&v->figure_timer, USEC_PER_SEC);
	}
	v->frames++;
	v->bytes += bytes;
	v->capture_us += capture_us;
	v->encode_us += encode_us;
}

static void tell_figures(void *arg)
{
	struct video *v = arg;
	double seconds = (double)(loop_now(v->loop) - v->figures_began) / 1e6;
	struct screen_figures f = {
		.width = v->width,
		.height = v->height,
		.codec = v->codec->codec,
	};

	if (v->frames == 0)
		return;
	f.fps = v->frames / seconds;
	f.kbps = (double)v->bytes * 8 / 1000 / seconds;
	f.capture_ms = (double)v->capture_us / 1000 / v->frames;
	f.encode_ms = (double)v->encode_us / 1000 / v->frames;
	v->frames = 0;
	v->bytes = v->capture_us = v->encode_us = 0;
	v->figures_began = loop_now(v->loop);
	loop_timer_after(&v->figure_timer, USEC_PER_SEC);
	v->handler->on_figures(v->arg, &f);
}

static void encode(struct video *v, usec_t began, enum pacer_want want, uint64_t changed_pixels)
{
	bool key = want == PACER_KEY;
	usec_t captured = usec_monotonic(), done;
	int qp = pacer_qp(&v->pacer, began, want, changed_pixels);
	struct span data = { 0 };
	int err = v->encoder->ops->encode(v->encoder, &v->convert.picture, began, qp, &key, &data);

	done = usec_monotonic();
	if (err < 0) {
		log_error("screen-encode", "codec=%s error=%s", v->codec->codec, err_name(err));
		encoder_destroy(v->encoder);
		v->encoder = NULL;
		pacer_key(&v->pacer);
		fail(v, "encoder", "The video encoder failed; it is started again.");
		return;
	}
	pacer_sent(&v->pacer, began, key ? PACER_KEY : want, qp, data.len,
		   (uint32_t)(done - began));
	if (data.len > 0 && module_frame(v->module, data, key, began) < 0)
		pacer_key(&v->pacer); /* lost: what follows would refer to it */
	note_figures(v, data.len, captured - began, done - captured);
	v->told_failed = false;
	arm(v);
}

static void step(void *arg)
{
	struct video *v = arg;
	struct capture_frame frame;
	usec_t began = usec_monotonic();
	enum pacer_want want;
	int changed;

	pacer_block(&v->pacer, backlogged(v));
	if (!v->capture || pacer_next(&v->pacer, began) == PACER_NOTHING) {
		arm(v);
		return;
	}
	changed = take_picture(v, &frame);
	if (changed < 0) {
		log_debug("screen-grab", "error=%s", err_name(changed));
		fail(v, "capture", "The screen could not be read; it is tried again.");
		return;
	}
	if (fit_encoder(v) < 0) {
		fail(v, "encoder", "No video encoder can be started for this size of screen.");
		return;
	}
	/* the encoder may just have been made anew, and then a key frame is due */
	want = pacer_next(&v->pacer, began);
	if (want == PACER_NOTHING)
		want = PACER_FRAME;
	if (want == PACER_REFINE && changed)
		want = PACER_FRAME;
	if (want == PACER_FRAME && !changed) {
		pacer_still(&v->pacer, began);
		arm(v);
		return;
	}
	encode(v, began, want, frame.damage_pixels);
}

int video_create(struct loop *loop, struct module *m, const struct video_handler *handler,
		 void *arg, struct video **out)
{
	struct video *v = calloc(1, sizeof(*v));

	if (!v)
		return -ENOMEM;
	v->loop = loop;
	v->module = m;
	v->handler = handler;
	v->arg = arg;
	v->codec = &encoder_openh264;
	loop_timer_init(loop, &v->frame_timer, step, v);
	loop_timer_init(loop, &v->figure_timer, tell_figures, v);
	convert_init(&v->convert);
	pacer_init(&v->pacer, RATE_DEFAULT, v->codec->refine_rounds);
	*out = v;
	return 0;
}

void video_destroy(struct video *v)
{
	if (!v)
		return;
	loop_timer_stop(&v->frame_timer);
	loop_timer_stop(&v->figure_timer);
	encoder_destroy(v->encoder);
	convert_finish(&v->convert);
	free(v);
}

void video_attach(struct video *v, struct capture *c)
{
	struct capture_frame frame;

	v->capture = c;
	v->picture_whole = false;
	if (c && take_picture(v, &frame) >= 0)
		(void)fit_encoder(v); /* a failure is told when somebody wants to see */
	video_resized(v);
}

void video_start(struct video *v, const struct encoder_ops *codec, uint32_t max_kbps)
{
	bool hidden = v->pacer.hidden;
	uint32_t rate = v->rate_bps ? v->rate_bps : RATE_DEFAULT;

	v->codec = codec;
	pacer_init(&v->pacer, FL_MIN(rate, max_kbps * 1000), codec->refine_rounds);
	pacer_hide(&v->pacer, hidden);
	pacer_start(&v->pacer, v->width, v->height);
	step(v);
}

void video_stop(struct video *v)
{
	pacer_stop(&v->pacer);
	arm(v);
}

bool video_running(const struct video *v)
{
	return v->pacer.playing && !v->pacer.hidden;
}

void video_damage(struct video *v)
{
	pacer_damage(&v->pacer);
	arm(v);
}

void video_resized(struct video *v)
{
	if (v->pacer.playing)
		pacer_start(&v->pacer, v->width, v->height);
	arm(v);
}

void video_key(struct video *v)
{
	pacer_key(&v->pacer);
	arm(v);
}

void video_rate(struct video *v, uint32_t bps)
{
	v->rate_bps = bps;
	pacer_rate(&v->pacer, loop_now(v->loop), bps);
	arm(v);
}

void video_hide(struct video *v, bool hidden)
{
	pacer_hide(&v->pacer, hidden);
	arm(v);
}
