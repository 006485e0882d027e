/*
 * Standard input, output and error of a command as parts of the loop: reading that can be held, and
 * writing that never blocks the connection behind a slow reader. Regular files, which epoll does
 * not take, are read and written at once.
 */
#pragma once

#include "base/buf.h"
#include "io/loop.h"

#define PIPE_CHUNK 32767

struct pipe_in {
	struct loop *loop;
	struct loop_watch watch;
	struct loop_timer again; /* regular files */
	bool file, held, ended;
	/* Bytes, or len 0: the end. Borrowed. */
	void (*fn)(void *arg, struct span bytes);
	void *arg;
};

int pipe_in_start(struct loop *loop, struct pipe_in *p, void (*fn)(void *arg, struct span bytes),
		  void *arg) FL_WARN_UNUSED;
void pipe_in_hold(struct pipe_in *p, bool hold);
void pipe_in_stop(struct pipe_in *p);

struct pipe_out {
	struct loop *loop;
	struct loop_watch watch;
	int fd;
	bool broken; /* nobody reads: what comes is dropped */
	struct buf queue;
	void (*on_written)(void *arg, size_t len); /* taken by the other side, or dropped */
	void *arg;
};

void pipe_out_init(struct loop *loop, struct pipe_out *p, int fd, size_t max,
		   void (*on_written)(void *arg, size_t len), void *arg);
int pipe_out_put(struct pipe_out *p, struct span bytes) FL_WARN_UNUSED; /* FL_EQUOTA past max */
bool pipe_out_empty(const struct pipe_out *p);
void pipe_out_finish(struct pipe_out *p);
