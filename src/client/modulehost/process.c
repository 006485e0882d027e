#include "client/modulehost/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/text.h"

extern char **environ;

#define RESTART_FIRST (50 * USEC_PER_MSEC)
#define RESTART_MOST (5 * USEC_PER_SEC)
#define HEALTHY_US (10 * USEC_PER_SEC) /* after so long a death counts as the first again */
#define ENV_MAX 64

static bool env_passes(const char *s)
{
	static const char *const names[] = {
		"PATH=",	 "HOME=",	  "USER=",	    "LOGNAME=",
		"SHELL=",	 "LANG=",	  "LANGUAGE=",	    "TZ=",
		"DISPLAY=",	 "XAUTHORITY=",	  "TMPDIR=",	    "XDG_RUNTIME_DIR=",
		"FAIRLEAD_LOG=", "ASAN_OPTIONS=", "UBSAN_OPTIONS=",
	};

	if (strncmp(s, "LC_", 3) == 0)
		return true;
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (strncmp(s, names[i], strlen(names[i])) == 0)
			return true;
	return false;
}

/* Only descriptors 0 to 3, an empty signal mask, a process group of its own. */
static int spawn(struct process *p, int fd)
{
	char *argv[] = { p->name, (char *)"--module", NULL }, *env[ENV_MAX + 1];
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t none, all;
	size_t n = 0;
	pid_t pid;

	for (char **e = environ; *e && n < ENV_MAX; e++)
		if (env_passes(*e))
			env[n++] = *e;
	env[n] = NULL;
	sigemptyset(&none);
	sigfillset(&all);
	posix_spawn_file_actions_init(&files);
	posix_spawnattr_init(&attr);
	posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&files, 2, 1);
	posix_spawn_file_actions_adddup2(&files, fd, 3);
	posix_spawn_file_actions_addclosefrom_np(&files, 4);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &all);
	posix_spawnattr_setpgroup(&attr, 0);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
						POSIX_SPAWN_SETPGROUP);
	int err = posix_spawn(&pid, p->path, &files, &attr, argv, env);
	posix_spawn_file_actions_destroy(&files);
	posix_spawnattr_destroy(&attr);
	if (err == 0)
		p->pid = pid;
	return -err;
}

static void on_timer(void *arg);

static void release(void *arg)
{
	struct process *p = arg;

	buf_finish(&p->waiting);
	free(p);
}

static void gone(struct process *p)
{
	loop_timer_stop(&p->timer);
	if (p->on_gone)
		p->on_gone(p->gone_arg, p);
	loop_defer(p->loop, &p->gone, release, p);
}

/* It neither runs nor is it being talked to: start it again, at once the first time. */
static void start_later(struct process *p)
{
	usec_t delay = 0;

	if (p->orphan) {
		gone(p);
		return;
	}
	if (usec_sub(loop_now(p->loop), p->started) > HEALTHY_US)
		p->deaths = 0;
	if (p->deaths > 0)
		delay = usec_min(RESTART_FIRST << FL_MIN(p->deaths - 1, 10u), RESTART_MOST);
	p->deaths++;
	loop_timer_after(&p->timer, delay);
}

static void drop_stream(struct process *p)
{
	if (!p->stream)
		return;
	stream_destroy(p->stream);
	p->stream = NULL;
	buf_clear(&p->waiting);
	if (!p->orphan)
		p->handler->on_died(p->arg);
}

void process_die(struct process *p, const char *why)
{
	if (!p->stream)
		return;
	log_warn("module-ended", "module=%s reason=\"%s\"", p->name, why);
	drop_stream(p);
	if (p->pid > 0)
		kill(-p->pid, SIGKILL); /* on_exit_status() goes on from there */
	else
		start_later(p);
}

static void on_exit_status(void *arg, int status)
{
	struct process *p = arg;
	char why[64];

	p->pid = 0;
	if (p->orphan) {
		gone(p);
		return;
	}
	if (p->stream) {
		snprintf(why, sizeof(why), WIFSIGNALED(status) ? "signal %d" : "exit status %d",
			 WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
		process_die(p, why);
	} else {
		start_later(p);
	}
}

static void on_open(void *arg)
{
}

static void on_read(void *arg, struct buf *in)
{
	struct process *p = arg;
	struct module_message m;
	size_t used;
	int n;

	while (p->stream &&
	       (n = module_wire_get(buf_span(in), MODULE_FROM_MODULE, &m, &used)) != 0) {
		if (n < 0 || p->ready == (m.type == MODULE_READY)) {
			process_die(p, "malformed message");
			return;
		}
		if (!p->ready) {
			p->ready = true;
			loop_timer_stop(&p->timer);
		} else {
			p->handler->on_message(p->arg, &m);
		}
		buf_consume(in, used);
	}
}

static void on_close(void *arg, int err)
{
	process_die(arg, "it closed its connection");
}

static const struct stream_handler stream_handler = {
	.on_open = on_open,
	.on_read = on_read,
	.on_close = on_close,
};

static int start(struct process *p)
{
	static const struct stream_config config = {
		.read_max = MODULE_MESSAGE_MAX + MODULE_HEADER_LEN,
		.write_max = MODULEHOST_QUEUE_MAX,
	};
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return -errno;
	int err = spawn(p, ends[1]);
	close(ends[1]);
	if (err < 0) {
		close(ends[0]);
		return err;
	}
	err = loop_child_start(p->loop, &p->child, p->pid, on_exit_status, p);
	if (err < 0) {
		close(ends[0]);
		kill(p->pid, SIGKILL);
		waitpid(p->pid, NULL, 0);
		p->pid = 0;
		return err;
	}
	/* fails only without memory; the end of file then ends the module, and it is started again
	 */
	return stream_adopt(p->loop, ends[0], &config, &stream_handler, p, &p->stream);
}

void process_start(struct process *p)
{
	p->ready = false;
	p->started = loop_now(p->loop);
	int err = start(p);
	if (err < 0) {
		log_warn("module-start", "module=%s error=\"%s\"", p->name, err_text(err));
		if (p->pid == 0)
			start_later(p);
		return;
	}
	loop_timer_after(&p->timer, MODULEHOST_READY_US);
	p->handler->on_started(p->arg);
	if (p->waiting.len > 0 && stream_write(p->stream, buf_span(&p->waiting)) < 0)
		process_die(p, "out of memory");
	buf_finish(&p->waiting);
}

static void on_timer(void *arg)
{
	struct process *p = arg;

	if (p->orphan)
		kill(-p->pid, SIGKILL);
	else if (p->stream)
		process_die(p, "it did not get ready in time");
	else if (p->pid == 0)
		process_start(p);
}

void process_send(struct process *p, const struct module_message *m)
{
	struct buf b = BUF_INIT(MODULE_MESSAGE_MAX + 4);

	if (!p->stream) {
		if (module_wire_put(&p->waiting, m) < 0)
			log_warn("module-waiting-full", "module=%s", p->name);
		return;
	}
	int err = module_wire_put(&b, m);
	if (err == 0)
		err = stream_write(p->stream, buf_span(&b));
	buf_finish(&b);
	if (err < 0)
		process_die(p, "it does not read what it is sent");
}

struct process *process_create(struct loop *loop, const char *dir, const char *name,
			       const struct process_handler *handler, void *arg)
{
	struct process *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->loop = loop;
	p->handler = handler;
	p->arg = arg;
	(void)text_copy(p->name, sizeof(p->name), name);
	snprintf(p->path, sizeof(p->path), "%s/%s", dir, name);
	p->waiting = BUF_INIT(MODULEHOST_WAITING_MAX);
	list_init(&p->node);
	loop_timer_init(loop, &p->timer, on_timer, p);
	return p;
}

void process_orphan(struct process *p, void (*fn)(void *arg, struct process *p), void *arg)
{
	p->orphan = true;
	p->on_gone = fn;
	p->gone_arg = arg;
	drop_stream(p); /* end of file is the sign to end */
	if (p->pid == 0)
		gone(p);
	else
		loop_timer_after(&p->timer, MODULEHOST_END_US);
}

void process_free(struct process *p)
{
	loop_child_stop(&p->child);
	loop_timer_stop(&p->timer);
	stream_destroy(p->stream);
	if (p->pid > 0) {
		kill(-p->pid, SIGKILL);
		waitpid(p->pid, NULL, 0);
	}
	release(p);
}
