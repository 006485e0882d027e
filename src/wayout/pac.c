#include "wayout/pac.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/text.h"

#define WHY_MAX 300

struct question {
	char text[PAC_QUESTION_MAX];
	pac_answered *fn;
	void *arg;
};

struct pac {
	struct loop *loop;
	char *program;
	uint8_t *script;
	size_t script_len;

	pid_t pid; /* 0: not running */
	int fd;	   /* our end of its stdin and stdout */
	struct loop_watch watch;
	struct loop_timer timer;
	struct loop_deferred start;
	bool starting; /* deferred */
	bool ready;    /* the script is loaded */
	struct buf out, in;

	struct question *waiting[PAC_QUESTIONS_MAX];
	size_t n_waiting; /* the first is being asked while a child runs */
};

const char *pac_fault_name(enum pac_fault fault)
{
	static const char *const names[] = { "fine",	    "pac-too-large", "pac-threw",
					     "pac-timeout", "pac-died",	     "pac-nonsense" };

	return names[fault];
}

/* ---- the child ---- */

static void stop_child(struct pac *p)
{
	loop_timer_stop(&p->timer);
	loop_watch_stop(&p->watch);
	if (p->fd >= 0)
		close(p->fd);
	p->fd = -1;
	if (p->pid > 0) {
		(void)kill(p->pid, SIGKILL);
		while (waitpid(p->pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	p->pid = 0;
	p->ready = false;
	buf_clear(&p->out);
	buf_clear(&p->in);
}

static void begin(void *arg);

static void start_soon(struct pac *p)
{
	if (p->starting || !p->n_waiting)
		return;
	p->starting = true;
	loop_defer(p->loop, &p->start, begin, p);
}

static void finish(struct pac *p, enum pac_fault fault, const struct pac_ways *ways,
		   const char *why)
{
	static const struct pac_ways none;
	struct question *q = p->waiting[0];

	memmove(p->waiting, p->waiting + 1, --p->n_waiting * sizeof(struct question *));
	loop_timer_stop(&p->timer);
	start_soon(p);
	q->fn(q->arg, fault, ways ? ways : &none, why);
	free(q);
}

/* What a child did wrong costs it its life: the next question finds a fresh one. */
static void fault(struct pac *p, enum pac_fault what, const char *why)
{
	stop_child(p);
	if (p->n_waiting)
		finish(p, what, NULL, why);
}

static void on_timer(void *arg)
{
	struct pac *p = arg;

	fault(p, PAC_TIMEOUT,
	      p->ready ? "The PAC file did not answer within 2 seconds. It loops, or waits for a "
			 "name server."
		       : "The PAC file was not loaded within 2 seconds. It loops.");
}

/* ---- messages ---- */

static bool push(struct pac *p, const void *data, size_t len)
{
	uint8_t head[4];

	for (int i = 0; i < 4; i++)
		head[i] = (uint8_t)(len >> (24 - 8 * i));
	return buf_append(&p->out, head, sizeof(head)) == 0 && buf_append(&p->out, data, len) == 0;
}

static void flush(struct pac *p)
{
	while (p->out.len) {
		ssize_t n = send(p->fd, buf_span(&p->out).ptr, p->out.len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0) {
			fault(p, PAC_DIED,
			      "The PAC file's process ended. It may have used up its memory.");
			return;
		}
		buf_consume(&p->out, (size_t)n);
	}
	(void)loop_watch_set(&p->watch, p->out.len ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

static void ask_first(struct pac *p)
{
	const char *text = p->waiting[0]->text;

	(void)loop_timer_after(&p->timer, PAC_ANSWER_US);
	if (push(p, text, strlen(text)))
		flush(p);
	else
		fault(p, PAC_DIED, "Out of memory.");
}

static void take_answer(struct pac *p, struct span text)
{
	struct pac_ways ways;
	unsigned bad;
	char shown[200], why[WHY_MAX] = "";

	pac_answer_parse((const char *)text.ptr, text.len, &ways, &bad);
	if (ways.n == 0)
		snprintf(why, sizeof(why), "The PAC file answered \"%s\", which names no proxy.",
			 text_printable(shown, sizeof(shown), text));
	finish(p, ways.n ? PAC_FINE : PAC_NONSENSE, &ways, why);
}

static void take_error(struct pac *p, struct span text)
{
	char shown[200], why[WHY_MAX];

	snprintf(why, sizeof(why), "The PAC file failed: %s",
		 text_printable(shown, sizeof(shown), text));
	/* after a failure at its top level the script is not whole */
	if (!p->ready)
		fault(p, PAC_THREW, why);
	else
		finish(p, PAC_THREW, NULL, why);
}

/* One message, when it is whole; false: not yet, or the child is gone. */
static bool take_message(struct pac *p)
{
	struct span in = buf_span(&p->in);
	char text[PAC_ANSWER_MAX];
	size_t len;
	char kind;

	if (p->fd < 0 || in.len < 5)
		return false;
	len = (size_t)in.ptr[1] << 24 | (size_t)in.ptr[2] << 16 | (size_t)in.ptr[3] << 8 |
	      in.ptr[4];
	kind = (char)in.ptr[0];
	if (len > PAC_ANSWER_MAX || !p->n_waiting) {
		fault(p, PAC_DIED, "The PAC file's process said something that was not asked for.");
		return false;
	}
	if (in.len < 5 + len)
		return false;
	memcpy(text, in.ptr + 5, len);
	buf_consume(&p->in, 5 + len);
	if (kind == 'E') {
		take_error(p, (struct span){ (const uint8_t *)text, len });
	} else if (kind == 'R' && !p->ready) {
		p->ready = true;
		ask_first(p);
	} else if (kind == 'A' && p->ready) {
		take_answer(p, (struct span){ (const uint8_t *)text, len });
	} else {
		fault(p, PAC_DIED, "The PAC file's process said something that was not asked for.");
	}
	return true;
}

static void on_fd(void *arg, uint32_t events)
{
	struct pac *p = arg;
	uint8_t *at = buf_reserve(&p->in, 4096);
	ssize_t n = at ? recv(p->fd, at, 4096, 0) : 0;

	if (n > 0)
		buf_commit(&p->in, (size_t)n);
	while (n > 0 && take_message(p))
		;
	if (p->fd >= 0 && (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)))
		fault(p, PAC_DIED, "The PAC file's process ended. It may have used up its memory.");
	else if (p->fd >= 0 && events & EPOLLOUT)
		flush(p);
}

/* ---- start ---- */

static void run_child(const char *program, int fd)
{
	char *const argv[] = { (char *)program, NULL },
		    *env[] = { (char[]){ "PATH=/usr/bin:/bin" }, NULL };
	sigset_t none;

	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)signal(SIGPIPE, SIG_DFL);
	if (dup2(fd, STDIN_FILENO) == 0 && dup2(fd, STDOUT_FILENO) == 1)
		execve(program, argv, env);
	_exit(127);
}

static int start_child(struct pac *p)
{
	int fds[2], err;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
		return -errno;
	p->pid = fork();
	if (p->pid == 0)
		run_child(p->program, fds[1]);
	close(fds[1]);
	p->fd = fds[0];
	if (p->pid < 0) {
		p->pid = 0;
		return -errno;
	}
	(void)fcntl(p->fd, F_SETFL, O_NONBLOCK);
	err = loop_watch_start(p->loop, &p->watch, p->fd, EPOLLIN, on_fd, p);
	if (err == 0 && !push(p, p->script, p->script_len))
		err = -ENOMEM;
	return err;
}

static void begin(void *arg)
{
	struct pac *p = arg;

	p->starting = false;
	if (!p->n_waiting)
		return;
	if (p->pid > 0) {
		if (p->ready)
			ask_first(p);
		return;
	}
	(void)loop_timer_after(&p->timer, PAC_LOAD_US);
	if (start_child(p) < 0)
		fault(p, PAC_DIED, "The process for the PAC file cannot be started.");
	else
		flush(p);
}

int pac_create(struct loop *loop, const char *program, struct span script, struct pac **out)
{
	struct pac *p;

	if (script.len > PAC_SCRIPT_MAX)
		return FL_EQUOTA;
	p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	p->loop = loop;
	p->fd = -1;
	p->out = BUF_INIT(PAC_SCRIPT_MAX + 2 * PAC_QUESTION_MAX);
	p->in = BUF_INIT(PAC_ANSWER_MAX + 8192);
	loop_timer_init(loop, &p->timer, on_timer, p);
	p->program = strdup(program);
	p->script = malloc(script.len ? script.len : 1);
	if (!p->program || !p->script) {
		pac_destroy(p);
		return -ENOMEM;
	}
	if (script.len)
		memcpy(p->script, script.ptr, script.len);
	p->script_len = script.len;
	*out = p;
	return 0;
}

static void free_pac(void *arg)
{
	struct pac *p = arg;

	free(p->program);
	free(p->script);
	free(p);
}

void pac_destroy(struct pac *p)
{
	if (!p)
		return;
	stop_child(p);
	while (p->n_waiting)
		free(p->waiting[--p->n_waiting]);
	buf_finish(&p->out);
	buf_finish(&p->in);
	/* a start that is deferred finds nobody waiting, and the memory goes after it */
	if (p->starting)
		p->start.fn = free_pac;
	else
		free_pac(p);
}

static bool printable(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text <= ' ' || *text == 0x7f)
			return false;
	return true;
}

int pac_ask(struct pac *p, const char *url, const char *host, pac_answered *fn, void *arg)
{
	struct question *q;

	if (!printable(url) || !printable(host))
		return -EINVAL;
	if (p->n_waiting == PAC_QUESTIONS_MAX)
		return FL_EQUOTA;
	q = malloc(sizeof(*q));
	if (!q)
		return -ENOMEM;
	q->fn = fn;
	q->arg = arg;
	if (snprintf(q->text, sizeof(q->text), "%s\n%s", url, host) >= (int)sizeof(q->text)) {
		free(q);
		return -EINVAL;
	}
	p->waiting[p->n_waiting++] = q;
	if (p->n_waiting == 1)
		start_soon(p);
	return 0;
}
