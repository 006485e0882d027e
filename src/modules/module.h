/*
 * The library of a module (docs/protocol.md §5): a program that fairlead-client starts with one end
 * of a socketpair as descriptor 3. It says READY by itself, reads messages, checks them and calls
 * the handler; the module answers with the functions below. One process serves one session and any
 * number of its channels.
 *
 *	int fd = module_start(argc, argv, "terminal");
 *	if (fd < 0)
 *		return 2;
 *	loop_create(&loop);
 *	module_create(loop, &(struct module_config){ … }, &handler, arg, &module);
 *	loop_run(loop);
 *
 * Threads: all calls in the loop's thread. Ownership: what a handler gets is borrowed until it
 * returns; what is sent is copied. Descriptor 3 belongs to the module object. A module that hears
 * nonsense from the client, or the end of descriptor 3, ends: on_end is called (NULL: the loop is
 * stopped).
 */
#pragma once

#include "base/span.h"
#include "base/util.h"
#include "io/loop.h"
#include "modules/wire.h"

#define MODULE_FD 3
#define MODULE_QUEUE_MAX (5 * MODULE_MESSAGE_MAX) /* bytes waiting to be taken by the client */
#define MODULE_CODECS_MAX 4

struct module;

struct module_hello {
	int version;
	const char *session, *user_id, *user_name, *device_name;
	const char *config; /* JSON object as text */
};

struct module_video {
	const char *codecs[MODULE_CODECS_MAX]; /* "H264", "VP8" in order of preference */
	size_t n_codecs;
	uint32_t max_kbps;
};

/* Any function may be NULL. None is called after module_destroy(), which each may call. */
struct module_handler {
	void (*on_hello)(void *arg, const struct module_hello *hello);
	void (*on_open)(void *arg, uint16_t channel);
	void (*on_data)(void *arg, uint16_t channel, struct span data, bool text);
	void (*on_close)(void *arg, uint16_t channel); /* by the console; no answer needed */
	/* Stop sending on this channel until paused is false. What is sent all the same is queued
	 * by the client until its limit, then the channel is closed. */
	void (*on_pause)(void *arg, uint16_t channel, bool paused);
	void (*on_video_start)(void *arg, const struct module_video *video);
	void (*on_video_stop)(void *arg);
	void (*on_keyframe)(void *arg);
	void (*on_rate)(void *arg, uint32_t bits_per_second);
	void (*on_drain)(void *arg); /* there is room again after FL_EQUOTA */
	void (*on_end)(void *arg);   /* 3 was closed: end now */
};

struct module_config {
	int fd; /* taken over, also on failure */
	const char *name, *version;
};

/*
 * Checks how the program was started: MODULE_FD, or -EINVAL after a sentence on stderr when
 * somebody ran it by hand. Prints and ends the process on --version.
 */
int module_start(int argc, char **argv, const char *name) FL_WARN_UNUSED;

/* handler and the strings are kept, not copied. 0 or negative errno. */
int module_create(struct loop *loop, const struct module_config *config,
		  const struct module_handler *handler, void *arg,
		  struct module **out) FL_WARN_UNUSED;
void module_destroy(struct module *m); /* NULL is fine */

/*
 * Each of the following: 0; FL_EQUOTA when the client does not take what is queued (on_drain tells
 * when it does; nothing was sent) or the message is too long; FL_ECLOSED when descriptor 3 is gone.
 */
int module_send(struct module *m, uint16_t channel, struct span data, bool text) FL_WARN_UNUSED;
int module_close(struct module *m, uint16_t channel); /* after everything sent before */
int module_video_ready(struct module *m, const char *codec) FL_WARN_UNUSED;
/* capture_us: CLOCK_MONOTONIC. frame: at most MODULE_FRAME_MAX bytes. */
int module_frame(struct module *m, struct span frame, bool key, uint64_t capture_us) FL_WARN_UNUSED;

/* Bytes sent and not yet taken over by the kernel. */
size_t module_queued(const struct module *m);
