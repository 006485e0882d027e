/*
 * The module host: starts a session's modules as processes, speaks docs/protocol.md §5 with them,
 * and starts again what dies. A module that dies or talks nonsense takes only its own channels
 * along.
 *
 *	session ──modulehost_data()──► host ──socketpair──► module
 *	session ◄──on_data, on_frame── host ◄──socketpair── module
 *
 * Two objects: one modulehost per client, which also reaps what outlives its session, and one
 * modulehost_session per session, with a process per module. The data channel's id is the channel
 * number of the module protocol. Back-pressure is the session's: modulehost_pause() when a
 *channel's queue is full.
 */
#pragma once

#include "base/span.h"
#include "base/util.h"
#include "io/loop.h"
#include "modules/wire.h"

#define MODULEHOST_MODULES_MAX 16	/* in one session, and in one folder */
#define MODULEHOST_CHANNELS_MAX 64	/* of one session */
#define MODULEHOST_NAME_MAX 32		/* of a module; letters a-z, digits, - and _ */
#define MODULEHOST_QUEUE_MAX (8u << 20) /* bytes that a module has not read yet */
#define MODULEHOST_WAITING_MAX                                                                     \
	(256u << 10) /* bytes kept for a module that is being started again */
#define MODULEHOST_READY_US (10 * USEC_PER_SEC) /* from the start to READY */
#define MODULEHOST_END_US (2 * USEC_PER_SEC)	/* from end of file to SIGKILL */

struct modulehost;
struct modulehost_session;

/* dir: the folder of the module programs, copied. */
int modulehost_create(struct loop *loop, const char *dir, struct modulehost **out) FL_WARN_UNUSED;
void modulehost_destroy(struct modulehost *host); /* kills what has not ended; sessions first */

/* The names of the modules in the folder, sorted. The count. */
size_t modulehost_list(const struct modulehost *host,
		       char names[MODULEHOST_MODULES_MAX][MODULEHOST_NAME_MAX]);

/* What HELLO tells. Text, valid UTF-8. */
struct modulehost_who {
	const char *session, *user_id, *user_name, *device_name;
};

/* Borrowed bytes. None may destroy the session object; it may be told to close channels. */
struct modulehost_handler {
	void (*on_data)(void *arg, uint16_t channel, struct span data, bool text);
	void (*on_close)(void *arg, uint16_t channel);	      /* also when the module died */
	void (*on_video_ready)(void *arg, const char *codec); /* may be NULL */
	void (*on_frame)(void *arg, struct span frame, bool key, uint64_t capture_us);
};

/* Starts the named modules at once, so that they are ready when the first channel opens; names that
 * are not in the folder are left out. 0 or -ENOMEM. */
int modulehost_session_create(struct modulehost *host, const struct modulehost_who *who,
			      const char *const *names, size_t n_names,
			      const struct modulehost_handler *handler, void *arg,
			      struct modulehost_session **out) FL_WARN_UNUSED;
void modulehost_session_destroy(struct modulehost_session *s); /* NULL is fine */

/* The console opened a channel with the module's name as label. 0, -ENOENT (no such module here),
 * FL_EQUOTA, -EEXIST. */
int modulehost_open(struct modulehost_session *s, uint16_t channel,
		    const char *label) FL_WARN_UNUSED;
/* Ignored for a channel that is not open. */
void modulehost_data(struct modulehost_session *s, uint16_t channel, struct span data, bool text);
void modulehost_close(struct modulehost_session *s, uint16_t channel); /* no on_close follows */
void modulehost_pause(struct modulehost_session *s, uint16_t channel, bool pause);

/* Video is the module "screen"'s. A module that was started again is told again. */
void modulehost_video_start(struct modulehost_session *s, const char *codec, uint32_t max_kbps);
void modulehost_keyframe(struct modulehost_session *s);
void modulehost_rate(struct modulehost_session *s, uint32_t bits_per_second);
