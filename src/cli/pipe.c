#include "cli/pipe.h"

#include <errno.h>
#include <limits.h>
#include <unistd.h>

static void read_some(struct pipe_in *p)
{
	uint8_t chunk[PIPE_CHUNK];
	ssize_t n = read(0, chunk, sizeof(chunk));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n <= 0) {
		pipe_in_stop(p);
		p->ended = true;
	}
	p->fn(p->arg, span_of(chunk, n > 0 ? (size_t)n : 0));
}

static void on_readable(void *arg, uint32_t events)
{
	read_some(arg);
}

static void on_again(void *arg)
{
	struct pipe_in *p = arg;

	read_some(p);
	if (!p->held && !p->ended)
		loop_timer_after(&p->again, 0);
}

static int resume(struct pipe_in *p)
{
	int err = p->file ? -EPERM
			  : loop_watch_start(p->loop, &p->watch, 0, EPOLLIN, on_readable, p);

	if (err != -EPERM)
		return err;
	p->file = true;
	return loop_timer_after(&p->again, 0);
}

int pipe_in_start(struct loop *loop, struct pipe_in *p, void (*fn)(void *arg, struct span bytes),
		  void *arg)
{
	*p = (struct pipe_in){ .loop = loop, .fn = fn, .arg = arg };
	loop_timer_init(loop, &p->again, on_again, p);
	return resume(p);
}

void pipe_in_hold(struct pipe_in *p, bool hold)
{
	if (!p->loop || p->ended || p->held == hold)
		return;
	p->held = hold;
	if (hold) {
		loop_watch_stop(&p->watch);
		loop_timer_stop(&p->again);
	} else if (resume(p) < 0) {
		p->ended = true;
		p->fn(p->arg, span_of(NULL, 0));
	}
}

void pipe_in_stop(struct pipe_in *p)
{
	if (!p->loop)
		return;
	loop_watch_stop(&p->watch);
	loop_timer_stop(&p->again);
	p->ended = true;
}

static void on_writable(void *arg, uint32_t events);

/* One write of at most PIPE_BUF bytes never blocks after the descriptor was reported writable. */
static void write_some(struct pipe_out *p, bool all)
{
	do {
		struct span s = buf_span(&p->queue);
		ssize_t n = p->broken ? (ssize_t)s.len
				      : write(p->fd, s.ptr, all ? s.len : FL_MIN(s.len, PIPE_BUF));
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n < 0) {
			p->broken = true;
			continue;
		}
		buf_consume(&p->queue, (size_t)n);
		p->on_written(p->arg, (size_t)n);
	} while (p->queue.len > 0 && (all || p->broken));
	if (p->queue.len == 0)
		loop_watch_stop(&p->watch);
}

static void on_writable(void *arg, uint32_t events)
{
	write_some(arg, false);
}

void pipe_out_init(struct loop *loop, struct pipe_out *p, int fd, size_t max,
		   void (*on_written)(void *arg, size_t len), void *arg)
{
	*p = (struct pipe_out){
		.loop = loop, .fd = fd, .queue = BUF_INIT(max), .on_written = on_written, .arg = arg
	};
}

int pipe_out_put(struct pipe_out *p, struct span bytes)
{
	int err = buf_append_span(&p->queue, bytes);

	if (err < 0 || p->queue.len == 0 || p->watch.loop)
		return err;
	err = loop_watch_start(p->loop, &p->watch, p->fd, EPOLLOUT, on_writable, p);
	if (err == -EPERM ||
	    err == -EEXIST) /* a regular file; or a terminal that is 1 and 2 at once */
		write_some(p, true);
	else if (err < 0)
		return err;
	return 0;
}

bool pipe_out_empty(const struct pipe_out *p)
{
	return p->queue.len == 0;
}

void pipe_out_finish(struct pipe_out *p)
{
	loop_watch_stop(&p->watch);
	buf_finish(&p->queue);
}
