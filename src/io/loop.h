/*
 * The event loop: epoll, timers, work after the turn, results from other threads, children and
 * signals. One loop per thread; nothing here is safe to call from another thread but loop_post().
 *
 * Every watch and timer is memory of its owner, embedded in the owner's struct. Stopping one takes
 * effect at once: its function is not called again, even when it was already due in this turn. An
 * owner that frees itself from inside one of its own functions uses loop_defer() to free after the
 * turn.
 */
#pragma once

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/types.h>

#include "base/list.h"
#include "base/usec.h"
#include "base/util.h"

struct loop;

int loop_create(struct loop **out) FL_WARN_UNUSED;
void loop_destroy(struct loop *loop); /* NULL is fine; runs what is still deferred */

/* Sampled once per turn; the same for everything that happens in it. Monotonic. */
usec_t loop_now(const struct loop *loop);

/* Runs until loop_stop(). 0 or negative errno. */
int loop_run(struct loop *loop);
void loop_stop(struct loop *loop);

/* One turn that waits at most timeout_us (USEC_NEVER: as long as it takes). 0 or negative errno. */
int loop_turn(struct loop *loop, usec_t timeout_us);

/*
 * For so long after the last event the loop asks again and again instead of sleeping: a processor
 * busy for nothing, and no time lost in waking up. 0 (the default): it sleeps at once.
 */
void loop_set_busy_poll(struct loop *loop, usec_t busy_us);

/* Pollable by a foreign loop: readable when loop_turn(loop, 0) has something to do. Negative: no
 * descriptor. */
int loop_fd(struct loop *loop);

struct loop_watch {
	struct loop *loop;
	int fd;
	uint32_t events; /* EPOLLIN | EPOLLOUT …, as asked for */
	void (*fn)(void *arg, uint32_t events);
	void *arg;
};

/* The fd stays the caller's; it must be stopped before it is closed. */
int loop_watch_start(struct loop *loop, struct loop_watch *w, int fd, uint32_t events,
		     void (*fn)(void *arg, uint32_t events), void *arg) FL_WARN_UNUSED;
int loop_watch_set(struct loop_watch *w, uint32_t events); /* no system call when unchanged */
void loop_watch_stop(struct loop_watch *w);		   /* fine on a stopped or zeroed one */

struct loop_timer {
	struct loop *loop;
	size_t index; /* in the heap, plus one; 0: not running */
	usec_t at;
	void (*fn)(void *arg);
	void *arg;
};

void loop_timer_init(struct loop *loop, struct loop_timer *t, void (*fn)(void *arg), void *arg);
int loop_timer_at(struct loop_timer *t, usec_t at); /* absolute; USEC_NEVER stops it; -ENOMEM */
int loop_timer_after(struct loop_timer *t, usec_t delay); /* from loop_now() */
void loop_timer_stop(struct loop_timer *t);
static inline bool loop_timer_running(const struct loop_timer *t)
{
	return t->index != 0;
}

/* Calls fn(arg) after the present turn. The struct is the caller's and may be freed by fn. */
struct loop_deferred {
	struct list node;
	void (*fn)(void *arg);
	void *arg;
};
void loop_defer(struct loop *loop, struct loop_deferred *d, void (*fn)(void *arg), void *arg);

/*
 * A block of memory for all users in the loop's thread, for what is read and handed on at once: the
 * first call makes it, of at least size bytes (the same for all callers), the last loop_unshare()
 * frees it. NULL when there is no memory.
 */
void *loop_share(struct loop *loop, size_t size);
void loop_unshare(struct loop *loop);

/* From any thread while the loop lives: fn(arg) runs in the loop's thread. 0 or -ENOMEM. */
int loop_post(struct loop *loop, void (*fn)(void *arg), void *arg) FL_WARN_UNUSED;

/*
 * The same for a thread that may outlive the loop: take a poster in the loop's thread, hand it to
 * the other one, which puts it back. Posting to a loop that is gone is -ESHUTDOWN: nothing will
 * run.
 */
struct loop_poster;
struct loop_poster *loop_poster_get(struct loop *loop);
int loop_poster_post(struct loop_poster *p, void (*fn)(void *arg), void *arg) FL_WARN_UNUSED;
void loop_poster_put(struct loop_poster *p); /* NULL is fine */

/* Signals by signalfd; blocks the signal for the process. */
struct loop_signal {
	struct loop_watch watch;
	int fd;
	void (*fn)(void *arg, int signo);
	void *arg;
};
int loop_signal_start(struct loop *loop, struct loop_signal *s, const int *signals, size_t n,
		      void (*fn)(void *arg, int signo), void *arg) FL_WARN_UNUSED;
void loop_signal_stop(struct loop_signal *s);

/* A child's end, by pidfd. status as from waitpid(). The child is reaped before fn is called. */
struct loop_child {
	struct loop_watch watch;
	int fd;
	pid_t pid;
	void (*fn)(void *arg, int status);
	void *arg;
};
int loop_child_start(struct loop *loop, struct loop_child *c, pid_t pid,
		     void (*fn)(void *arg, int status), void *arg) FL_WARN_UNUSED;
void loop_child_stop(struct loop_child *c); /* no longer told; the child is not touched or reaped */
