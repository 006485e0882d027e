#include "io/loop.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define EVENTS_PER_TURN 64

struct post {
	struct post *next;
	void (*fn)(void *arg);
	void *arg;
};

/* Outlives the loop while a thread still holds it. */
struct loop_poster {
	atomic_uint refs;
	int event_fd;
	pthread_mutex_t lock;
	bool closed;
	struct post *posts, **tail;
};

struct loop {
	int epoll_fd, timer_fd; /* timer_fd serves loop_fd() only, made on first use */
	usec_t armed_at;	/* what timer_fd is set to; 0: nothing */
	bool turning;		/* inside of loop_turn(), which arms timer_fd at its end */
	usec_t now;
	usec_t busy_us, busy_until; /* loop_set_busy_poll() */
	bool stopping;
	struct loop_timer **heap;
	size_t n_timers, cap_timers;
	struct list deferred;
	/* the events of the present turn; a watch that stops clears its own in it */
	struct epoll_event events[EVENTS_PER_TURN];
	int n_events;
	struct loop_watch post_watch;
	struct loop_poster *poster;
	void *shared;
	unsigned sharers;
};

static struct loop_poster *poster_create(void)
{
	struct loop_poster *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	atomic_init(&p->refs, 1);
	p->tail = &p->posts;
	pthread_mutex_init(&p->lock, NULL);
	p->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (p->event_fd < 0) {
		loop_poster_put(p);
		return NULL;
	}
	return p;
}

struct loop_poster *loop_poster_get(struct loop *loop)
{
	atomic_fetch_add(&loop->poster->refs, 1);
	return loop->poster;
}

void loop_poster_put(struct loop_poster *p)
{
	if (!p || atomic_fetch_sub(&p->refs, 1) != 1)
		return;
	fl_closep(&p->event_fd);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

int loop_poster_post(struct loop_poster *p, void (*fn)(void *arg), void *arg)
{
	struct post *post = malloc(sizeof(*post));
	uint64_t one = 1;
	bool closed;

	if (!post)
		return -ENOMEM;
	*post = (struct post){ .fn = fn, .arg = arg };
	pthread_mutex_lock(&p->lock);
	closed = p->closed;
	if (!closed) {
		*p->tail = post;
		p->tail = &post->next;
	}
	pthread_mutex_unlock(&p->lock);
	if (closed) {
		free(post);
		return -ESHUTDOWN;
	}
	if (write(p->event_fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
		return 0; /* cannot happen; the post runs with the next one */
	return 0;
}

int loop_post(struct loop *loop, void (*fn)(void *arg), void *arg)
{
	return loop_poster_post(loop->poster, fn, arg);
}

static void take_posts(struct loop *loop, bool close)
{
	struct loop_poster *box = loop->poster;
	struct post *p;

	pthread_mutex_lock(&box->lock);
	p = box->posts;
	box->posts = NULL;
	box->tail = &box->posts;
	box->closed = close;
	pthread_mutex_unlock(&box->lock);
	while (p) {
		struct post *next = p->next;

		p->fn(p->arg);
		free(p);
		p = next;
	}
}

static void run_posts(void *arg, uint32_t events)
{
	struct loop *loop = arg;
	uint64_t count;

	(void)events;
	if (read(loop->poster->event_fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
		return;
	take_posts(loop, false);
}

int loop_create(struct loop **out)
{
	struct loop *loop = calloc(1, sizeof(*loop));
	int err;

	if (!loop)
		return -ENOMEM;
	loop->timer_fd = -1;
	list_init(&loop->deferred);
	loop->now = usec_monotonic();
	loop->poster = poster_create();
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	err = loop->epoll_fd < 0 || !loop->poster ? -errno : 0;
	if (err == 0)
		err = loop_watch_start(loop, &loop->post_watch, loop->poster->event_fd, EPOLLIN,
				       run_posts, loop);
	if (err < 0) {
		loop_destroy(loop);
		return err;
	}
	*out = loop;
	return 0;
}

static void run_deferred(struct loop *loop)
{
	while (!list_empty(&loop->deferred)) {
		struct loop_deferred *d = list_entry(loop->deferred.next, struct loop_deferred,
						     node);

		list_remove(&d->node);
		d->fn(d->arg);
	}
}

void loop_destroy(struct loop *loop)
{
	if (!loop)
		return;
	run_deferred(loop);
	if (loop->poster)
		take_posts(loop, true); /* a post owns memory that only its function frees */
	run_deferred(loop);
	for (size_t i = 0; i < loop->n_timers; i++)
		loop->heap[i]->index = 0;
	fl_closep(&loop->timer_fd);
	fl_closep(&loop->epoll_fd);
	loop_poster_put(loop->poster);
	free(loop->heap);
	free(loop);
}

usec_t loop_now(const struct loop *loop)
{
	return loop->now;
}

void *loop_share(struct loop *loop, size_t size)
{
	if (!loop->shared)
		loop->shared = malloc(size);
	loop->sharers += loop->shared != NULL;
	return loop->shared;
}

void loop_unshare(struct loop *loop)
{
	if (--loop->sharers)
		return;
	free(loop->shared);
	loop->shared = NULL;
}

/* Timers: a binary heap of pointers; a timer knows its place, so stopping one is O(log n). */

static void heap_place(struct loop *loop, size_t at, struct loop_timer *t)
{
	loop->heap[at] = t;
	t->index = at + 1;
}

static void heap_up(struct loop *loop, size_t at)
{
	struct loop_timer *t = loop->heap[at];

	while (at && loop->heap[(at - 1) / 2]->at > t->at) {
		heap_place(loop, at, loop->heap[(at - 1) / 2]);
		at = (at - 1) / 2;
	}
	heap_place(loop, at, t);
}

static void heap_down(struct loop *loop, size_t at)
{
	struct loop_timer *t = loop->heap[at];

	for (;;) {
		size_t child = 2 * at + 1;

		if (child + 1 < loop->n_timers && loop->heap[child + 1]->at < loop->heap[child]->at)
			child++;
		if (child >= loop->n_timers || loop->heap[child]->at >= t->at)
			break;
		heap_place(loop, at, loop->heap[child]);
		at = child;
	}
	heap_place(loop, at, t);
}

void loop_timer_init(struct loop *loop, struct loop_timer *t, void (*fn)(void *arg), void *arg)
{
	*t = (struct loop_timer){ .loop = loop, .fn = fn, .arg = arg };
}

void loop_timer_stop(struct loop_timer *t)
{
	struct loop *loop = t->loop;
	struct loop_timer *last;
	size_t at;

	if (!t->index)
		return;
	at = t->index - 1;
	t->index = 0;
	last = loop->heap[--loop->n_timers];
	if (last == t)
		return;
	heap_place(loop, at, last);
	heap_up(loop, at);
	heap_down(loop, last->index - 1);
}

/* For a foreign loop, which must wake for what was set outside of a turn, too. */
static void arm_timer_fd(struct loop *loop)
{
	struct itimerspec spec = { 0 };
	usec_t at = 0;

	if (loop->timer_fd < 0 || loop->turning)
		return;
	if (!list_empty(&loop->deferred))
		at = 1; /* at once */
	else if (loop->n_timers)
		at = FL_MAX(loop->heap[0]->at, 1u);
	if (at == loop->armed_at)
		return;
	loop->armed_at = at;
	spec.it_value.tv_sec = (time_t)(at / USEC_PER_SEC);
	spec.it_value.tv_nsec = (long)(at % USEC_PER_SEC) * 1000;
	timerfd_settime(loop->timer_fd, TFD_TIMER_ABSTIME, &spec, NULL);
}

int loop_timer_at(struct loop_timer *t, usec_t at)
{
	struct loop *loop = t->loop;

	if (at == USEC_NEVER) {
		loop_timer_stop(t);
		return 0;
	}
	if (t->index) {
		t->at = at;
		heap_up(loop, t->index - 1);
		heap_down(loop, t->index - 1);
		arm_timer_fd(loop);
		return 0;
	}
	if (loop->n_timers == loop->cap_timers) {
		size_t cap = loop->cap_timers ? 2 * loop->cap_timers : 16;
		struct loop_timer **heap = realloc(loop->heap, cap * sizeof(struct loop_timer *));

		if (!heap)
			return -ENOMEM;
		loop->heap = heap;
		loop->cap_timers = cap;
	}
	t->at = at;
	heap_place(loop, loop->n_timers++, t);
	heap_up(loop, loop->n_timers - 1);
	arm_timer_fd(loop);
	return 0;
}

int loop_timer_after(struct loop_timer *t, usec_t delay)
{
	return loop_timer_at(t, usec_add(t->loop->now, delay));
}

static void run_timers(struct loop *loop)
{
	/* a timer that sets itself to a past time runs again next turn, not for ever in this one */
	usec_t due = loop->now;

	for (size_t guard = loop->n_timers; guard && loop->n_timers; guard--) {
		struct loop_timer *t = loop->heap[0];

		if (t->at > due)
			break;
		loop_timer_stop(t);
		t->fn(t->arg);
	}
}

static void forget_events(struct loop *loop, const struct loop_watch *w)
{
	for (int i = 0; i < loop->n_events; i++)
		if (loop->events[i].data.ptr == w)
			loop->events[i].data.ptr = NULL;
}

int loop_watch_start(struct loop *loop, struct loop_watch *w, int fd, uint32_t events,
		     void (*fn)(void *arg, uint32_t events), void *arg)
{
	struct epoll_event e = { .events = events, .data.ptr = w };

	assert(!w->loop);
	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &e) < 0)
		return -errno;
	*w = (struct loop_watch){ loop, fd, events, fn, arg };
	return 0;
}

int loop_watch_set(struct loop_watch *w, uint32_t events)
{
	struct epoll_event e = { .events = events, .data.ptr = w };

	if (!w->loop)
		return -EINVAL;
	if (w->events == events)
		return 0;
	if (epoll_ctl(w->loop->epoll_fd, EPOLL_CTL_MOD, w->fd, &e) < 0)
		return -errno;
	w->events = events;
	return 0;
}

void loop_watch_stop(struct loop_watch *w)
{
	if (!w->loop)
		return;
	epoll_ctl(w->loop->epoll_fd, EPOLL_CTL_DEL, w->fd, NULL);
	forget_events(w->loop, w);
	w->loop = NULL;
}

void loop_defer(struct loop *loop, struct loop_deferred *d, void (*fn)(void *arg), void *arg)
{
	d->fn = fn;
	d->arg = arg;
	list_push_back(&loop->deferred, &d->node);
	arm_timer_fd(loop);
}

/* epoll takes whole milliseconds: rounded up, so that a timer is due when we wake for it. */
static int wait_ms(const struct loop *loop, usec_t until)
{
	usec_t ms;

	if (until == USEC_NEVER)
		return -1;
	ms = (usec_sub(until, loop->now) + USEC_PER_MSEC - 1) / USEC_PER_MSEC;
	return ms > INT_MAX ? INT_MAX : (int)ms;
}

static int wait_events(struct loop *loop, usec_t until)
{
	struct timespec ts;
	usec_t wait;
	int n;

	if (loop->n_timers)
		until = usec_min(until, loop->heap[0]->at);
	wait = usec_sub(until, loop->now);
	ts = (struct timespec){ (time_t)(wait / USEC_PER_SEC), (long)(wait % USEC_PER_SEC) * 1000 };
	n = epoll_pwait2(loop->epoll_fd, loop->events, EVENTS_PER_TURN,
			 until == USEC_NEVER ? NULL : &ts, NULL);
	if (n < 0 && (errno == ENOSYS || errno == EPERM)) /* kernels before 5.11, old sandboxes */
		n = epoll_wait(loop->epoll_fd, loop->events, EVENTS_PER_TURN, wait_ms(loop, until));
	return n < 0 && errno != EINTR ? -errno : FL_MAX(n, 0);
}

void loop_set_busy_poll(struct loop *loop, usec_t busy_us)
{
	loop->busy_us = busy_us;
}

/* Asks without waiting, until something is there, the time is over or a timer is due. */
static int spin(struct loop *loop, usec_t until)
{
	until = usec_min(until, loop->busy_until);
	if (loop->n_timers)
		until = usec_min(until, loop->heap[0]->at);
	while (loop->now < until) {
		int n = epoll_wait(loop->epoll_fd, loop->events, EVENTS_PER_TURN, 0);

		if (n != 0)
			return n < 0 && errno != EINTR ? -errno : FL_MAX(n, 0);
		loop->now = usec_monotonic();
	}
	return 0;
}

int loop_turn(struct loop *loop, usec_t timeout_us)
{
	usec_t until;
	int n = 0;

	loop->now = usec_monotonic();
	if (!list_empty(&loop->deferred) || loop->stopping)
		timeout_us = 0;
	until = usec_add(loop->now, timeout_us);
	if (loop->now < loop->busy_until)
		n = spin(loop, until);
	if (n == 0)
		n = wait_events(loop, until);
	if (n < 0)
		return n;
	loop->now = usec_monotonic();
	if (n > 0 && loop->busy_us)
		loop->busy_until = loop->now + loop->busy_us;
	loop->n_events = n;
	loop->turning = true;
	for (int i = 0; i < n; i++) {
		struct loop_watch *w = loop->events[i].data.ptr;
		uint64_t ticks;

		if (w == (void *)&loop->timer_fd) {
			if (read(loop->timer_fd, &ticks, sizeof(ticks)) < 0)
				continue;
			loop->armed_at = 0;
		} else if (w) {
			w->fn(w->arg, loop->events[i].events);
		}
	}
	loop->n_events = 0;
	run_timers(loop);
	run_deferred(loop);
	loop->turning = false;
	arm_timer_fd(loop);
	return 0;
}

int loop_fd(struct loop *loop)
{
	struct epoll_event e = { .events = EPOLLIN, .data.ptr = &loop->timer_fd };

	if (loop->timer_fd < 0) {
		loop->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
		if (loop->timer_fd < 0)
			return -errno;
		if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, loop->timer_fd, &e) < 0)
			return -errno;
		arm_timer_fd(loop);
	}
	return loop->epoll_fd;
}

int loop_run(struct loop *loop)
{
	int err = 0;

	loop->stopping = false;
	while (err == 0 && !loop->stopping)
		err = loop_turn(loop, USEC_NEVER);
	return err;
}

void loop_stop(struct loop *loop)
{
	loop->stopping = true;
}

static void on_signal(void *arg, uint32_t events)
{
	struct loop_signal *s = arg;
	struct signalfd_siginfo info;

	(void)events;
	while (s->watch.loop && read(s->fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
		s->fn(s->arg, (int)info.ssi_signo);
}

int loop_signal_start(struct loop *loop, struct loop_signal *s, const int *signals, size_t n,
		      void (*fn)(void *arg, int signo), void *arg)
{
	sigset_t set;
	int err;

	sigemptyset(&set);
	for (size_t i = 0; i < n; i++)
		sigaddset(&set, signals[i]);
	err = pthread_sigmask(SIG_BLOCK, &set, NULL);
	if (err)
		return -err;
	*s = (struct loop_signal){ .fn = fn, .arg = arg };
	s->fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (s->fd < 0)
		return -errno;
	err = loop_watch_start(loop, &s->watch, s->fd, EPOLLIN, on_signal, s);
	if (err < 0)
		fl_closep(&s->fd);
	return err;
}

void loop_signal_stop(struct loop_signal *s)
{
	if (!s->watch.loop)
		return;
	loop_watch_stop(&s->watch);
	fl_closep(&s->fd);
}

static void on_child(void *arg, uint32_t events)
{
	struct loop_child *c = arg;
	int status = 0;

	(void)events;
	if (waitpid(c->pid, &status, WNOHANG) == 0)
		return;
	loop_child_stop(c);
	c->fn(c->arg, status);
}

int loop_child_start(struct loop *loop, struct loop_child *c, pid_t pid,
		     void (*fn)(void *arg, int status), void *arg)
{
	int err;

	*c = (struct loop_child){ .pid = pid, .fn = fn, .arg = arg };
	c->fd = (int)syscall(SYS_pidfd_open, pid, 0); /* close-on-exec by itself */
	if (c->fd < 0)
		return -errno;
	err = loop_watch_start(loop, &c->watch, c->fd, EPOLLIN, on_child, c);
	if (err < 0)
		fl_closep(&c->fd);
	return err;
}

void loop_child_stop(struct loop_child *c)
{
	if (!c->watch.loop)
		return;
	loop_watch_stop(&c->watch);
	fl_closep(&c->fd);
}
