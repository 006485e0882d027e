/*
 * From damage to frames: the pacer's driver. Owns the converted picture and the encoder; borrows
 * the capture, which comes and goes with the connection to the desktop.
 *
 * Prepared before anybody asks: with a capture attached, the first picture is read and an H.264
 * encoder is ready, so that video_start() costs one key frame.
 */
#pragma once

#include "io/loop.h"
#include "modules/screen/capture.h"
#include "modules/screen/encoder.h"

struct module;
struct video;

struct video_handler {
	/* Once a second while frames are sent. */
	void (*on_figures)(void *arg, const struct screen_figures *f);
	void (*on_failed)(void *arg, const char *code, const char *message);
};

int video_create(struct loop *loop, struct module *m, const struct video_handler *handler,
		 void *arg, struct video **out) FL_WARN_UNUSED;
void video_destroy(struct video *v); /* NULL is fine */

/* NULL detaches. A new capture starts with a key frame. */
void video_attach(struct video *v, struct capture *c);
void video_start(struct video *v, const struct encoder_ops *codec, uint32_t max_kbps);
void video_stop(struct video *v);
bool video_running(const struct video *v); /* started and not hidden */

void video_damage(struct video *v);
void video_resized(struct video *v); /* another display or another size */
void video_key(struct video *v);
void video_rate(struct video *v, uint32_t bps);
void video_hide(struct video *v, bool hidden);
