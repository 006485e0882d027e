/*
 * Children that are kept running: started, watched, started again when they die (200 ms, doubling
 * to 3 s), and ended in good order. Their stderr goes to a log file each. They are told by the
 * kernel when we die.
 */
#pragma once

#include "base/buf.h"
#include "io/loop.h"

#define SUPERVISE_CHILDREN_MAX 8
#define SUPERVISE_ARGS_MAX 24
#define SUPERVISE_ENV_MAX 8
#define SUPERVISE_LOG_MAX (4 << 20) /* bytes; a larger log is begun anew at the next start */

struct supervisor;

struct child {
	struct supervisor *supervisor;
	const char *name;		    /* "hub"; of the log file and in messages */
	char *argv[SUPERVISE_ARGS_MAX + 1]; /* owned */
	char *env[SUPERVISE_ENV_MAX + 1];   /* owned, added to ours: "NAME=value" */
	/* Each line that it writes to its stdout; NULL: /dev/null. */
	void (*on_line)(void *arg, const char *line);
	/* It ended; it is started again after this unless the supervisor is stopping. */
	void (*on_exit)(void *arg, int status);
	void *arg;

	pid_t pid;    /* 0: not running */
	bool started; /* child_start() was called */
	struct loop_child watch;
	struct loop_watch out;
	int out_fd;
	struct buf line;
	struct loop_timer again;
	usec_t since;
	unsigned deaths;
};

struct supervisor {
	struct loop *loop;
	char *log_dir;
	struct child *children[SUPERVISE_CHILDREN_MAX];
	size_t n_children;
	bool stopping;
};

void child_init(struct supervisor *s, struct child *c, const char *name);
/* printf-style, one argument or variable each. */
int child_arg(struct child *c, const char *fmt, ...) FL_PRINTF(2, 3) FL_WARN_UNUSED;
int child_env(struct child *c, const char *fmt, ...) FL_PRINTF(2, 3) FL_WARN_UNUSED;
int child_start(struct child *c) FL_WARN_UNUSED;
void child_restart(struct child *c); /* ends it, so that it is started again */

/* The last line of its log, for telling why it does not run. */
void child_last_words(const struct child *c, char *dst, size_t cap);

/* SIGTERM to all, SIGKILL after 3 s; turns the loop until all are gone; frees them. */
void supervisor_stop(struct supervisor *s);
