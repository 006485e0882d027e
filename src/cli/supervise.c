#include "cli/supervise.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "base/text.h"
#include "cli/cli.h"

#define AGAIN_FIRST (200 * USEC_PER_MSEC)
#define AGAIN_MOST (3 * USEC_PER_SEC)
#define HEALTHY_US (10 * USEC_PER_SEC)
#define STOP_US (3 * USEC_PER_SEC)
#define LINE_MAX_LEN 4096

static void on_again(void *arg);

void child_init(struct supervisor *s, struct child *c, const char *name)
{
	c->supervisor = s;
	c->name = name;
	c->out_fd = -1;
	c->line = BUF_INIT(LINE_MAX_LEN);
	loop_timer_init(s->loop, &c->again, on_again, c);
	s->children[s->n_children++] = c;
}

static int add_text(char **list, size_t max, const char *fmt, va_list ap)
{
	size_t n = 0;

	while (list[n])
		n++;
	if (n == max)
		return -E2BIG;
	if (vasprintf(&list[n], fmt, ap) < 0) {
		list[n] = NULL;
		return -ENOMEM;
	}
	return 0;
}

int child_arg(struct child *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	int err = add_text(c->argv, SUPERVISE_ARGS_MAX, fmt, ap);
	va_end(ap);
	return err;
}

int child_env(struct child *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	int err = add_text(c->env, SUPERVISE_ENV_MAX, fmt, ap);
	va_end(ap);
	return err;
}

static void log_path(const struct child *c, char *dst, size_t cap)
{
	snprintf(dst, cap, "%s/%s.log", c->supervisor->log_dir, c->name);
}

static int open_log(const struct child *c)
{
	char path[4200];
	struct stat st;

	log_path(c, path, sizeof(path));
	bool anew = stat(path, &st) == 0 && st.st_size > SUPERVISE_LOG_MAX;
	return open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | (anew ? O_TRUNC : 0), 0600);
}

static void run_child(const struct child *c, pid_t parent, int out, int log)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	for (int s = 1; s < NSIG; s++)
		signal(s, SIG_DFL);
	/* a group of its own: Ctrl-C is for us, and we end them in order */
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (getppid() != parent || null < 0 || dup2(null, 0) < 0 ||
	    dup2(out >= 0 ? out : null, 1) < 0 || dup2(log, 2) < 0)
		_exit(126);
	close_range(3, ~0u, CLOSE_RANGE_CLOEXEC);
	for (size_t i = 0; c->env[i]; i++)
		putenv(c->env[i]);
	execvp(c->argv[0], c->argv);
	dprintf(2, "%s cannot be started: %s\n", c->argv[0], strerror(errno));
	_exit(127);
}

static void drop_output(struct child *c)
{
	loop_watch_stop(&c->out);
	fl_closep(&c->out_fd);
	buf_clear(&c->line);
}

static void on_output(void *arg, uint32_t events)
{
	struct child *c = arg;
	uint8_t *room = buf_reserve(&c->line, 512);
	ssize_t n = room ? read(c->out_fd, room, 512) : 0;

	if (n <= 0) {
		drop_output(c);
		return;
	}
	buf_commit(&c->line, (size_t)n);
	for (;;) {
		struct span s = buf_span(&c->line);
		const uint8_t *end = s.ptr ? memchr(s.ptr, '\n', s.len) : NULL;
		if (!end)
			break;
		FL_AUTOFREE char *line = strndup((const char *)s.ptr, (size_t)(end - s.ptr));
		buf_consume(&c->line, (size_t)(end - s.ptr) + 1);
		if (line)
			c->on_line(c->arg, line);
	}
}

static void on_exit_status(void *arg, int status)
{
	struct child *c = arg;
	struct loop *loop = c->supervisor->loop;

	c->pid = 0;
	drop_output(c);
	if (c->supervisor->stopping)
		return;
	if (usec_sub(loop_now(loop), c->since) > HEALTHY_US)
		c->deaths = 0;
	loop_timer_after(&c->again, usec_min(AGAIN_FIRST << FL_MIN(c->deaths, 8u), AGAIN_MOST));
	c->deaths++;
	if (c->on_exit)
		c->on_exit(c->arg, status);
}

int child_start(struct child *c)
{
	struct loop *loop = c->supervisor->loop;
	int pipe_fds[2] = { -1, -1 };
	pid_t parent = getpid();

	FL_CLEANUP(fl_closep) int log = open_log(c);
	if (log < 0 || (c->on_line && pipe2(pipe_fds, O_CLOEXEC) < 0))
		return -errno;
	pid_t pid = fork();
	if (pid == 0)
		run_child(c, parent, pipe_fds[1], log);
	int err = pid < 0 ? -errno : 0;
	fl_closep(&pipe_fds[1]);
	c->since = loop_now(loop);
	c->started = true;
	c->out_fd = pipe_fds[0];
	if (err == 0) {
		c->pid = pid;
		err = loop_child_start(loop, &c->watch, pid, on_exit_status, c);
	}
	if (err == 0 && c->out_fd >= 0)
		err = loop_watch_start(loop, &c->out, c->out_fd, EPOLLIN, on_output, c);
	return err;
}

static void on_again(void *arg)
{
	struct child *c = arg;

	if (child_start(c) < 0)
		loop_timer_after(&c->again, AGAIN_MOST);
}

void child_restart(struct child *c)
{
	c->deaths = 0;
	if (c->pid > 0)
		kill(c->pid, SIGTERM);
}

void child_last_words(const struct child *c, char *dst, size_t cap)
{
	char path[4200], line[1024], last[1024] = "it gave no reason";
	FILE *f;

	log_path(c, path, sizeof(path));
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = 0;
		if (*line && strncmp(line, "Try ", 4) != 0)
			memcpy(last, line, sizeof(last));
	}
	if (f)
		(void)fclose(f);
	text_printable(dst, cap, span_str(last));
}

static bool any_runs(const struct supervisor *s)
{
	for (size_t i = 0; i < s->n_children; i++)
		if (s->children[i]->pid > 0)
			return true;
	return false;
}

static void signal_all(const struct supervisor *s, int signo)
{
	for (size_t i = 0; i < s->n_children; i++)
		if (s->children[i]->pid > 0)
			kill(s->children[i]->pid, signo);
}

void supervisor_stop(struct supervisor *s)
{
	usec_t until = usec_add(usec_monotonic(), STOP_US);

	s->stopping = true;
	for (size_t i = 0; i < s->n_children; i++)
		loop_timer_stop(&s->children[i]->again);
	signal_all(s, SIGTERM);
	while (any_runs(s)) {
		usec_t left = usec_sub(until, usec_monotonic());
		if (left == 0)
			signal_all(s, SIGKILL);
		if (loop_turn(s->loop, left ? left : 100 * USEC_PER_MSEC) < 0)
			break;
	}
	for (size_t i = 0; i < s->n_children; i++) {
		struct child *c = s->children[i];
		drop_output(c);
		buf_finish(&c->line);
		for (size_t j = 0; c->argv[j]; j++)
			free(c->argv[j]);
		for (size_t j = 0; c->env[j]; j++)
			free(c->env[j]);
	}
}
