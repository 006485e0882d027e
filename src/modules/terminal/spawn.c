#include "modules/terminal/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

extern char **environ;

#define ENV_ROOM (TERMINAL_ENV_MAX + 64)

struct user {
	char home[1024], name[128], shell[1024];
};

/* Everything that the child needs, made before the fork. */
struct plan {
	struct user user;
	char *argv0, *login[2], **argv;
	const char *file;
	char *env[ENV_ROOM];
	size_t n_env;
	const struct terminal_open *open;
	int child[3], ours[3]; /* 0, 1, 2 of each side; -1: none */
	int failed[2];	       /* the child tells errno if it cannot execute */
};

static void user_find(struct user *u)
{
	char mem[8192];
	struct passwd pw, *found = NULL;

	if (getpwuid_r(getuid(), &pw, mem, sizeof(mem), &found) != 0)
		found = NULL;
	/* who started the client may have chosen another home; as a service it has none */
	const char *home = getenv("HOME");
	if (!home || *home != '/')
		home = found && *found->pw_dir ? found->pw_dir : "/";
	snprintf(u->home, sizeof(u->home), "%s", home);
	snprintf(u->name, sizeof(u->name), "%s", found ? found->pw_name : "");
	snprintf(u->shell, sizeof(u->shell), "%s",
		 found && *found->pw_shell ? found->pw_shell : "/bin/sh");
}

/* The later value of a name wins. */
static int env_set(struct plan *p, const char *name, const char *value)
{
	size_t len = strlen(name), i;
	char *text;

	if (asprintf(&text, "%s=%s", name, value) < 0)
		return -ENOMEM;
	for (i = 0; i < p->n_env; i++)
		if (strncmp(p->env[i], text, len + 1) == 0)
			break;
	if (i == ENV_ROOM - 1) {
		free(text);
		return -E2BIG;
	}
	if (i == p->n_env)
		p->n_env++;
	free(p->env[i]);
	p->env[i] = text;
	return 0;
}

static bool env_kept(const char *s)
{
	static const char *const names[] = { "PATH",	"LANG",	      "LANGUAGE",	 "TZ",
					     "DISPLAY", "XAUTHORITY", "XDG_RUNTIME_DIR", "TMPDIR" };

	if (strncmp(s, "LC_", 3) == 0)
		return true;
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (strncmp(s, names[i], strlen(names[i])) == 0 && s[strlen(names[i])] == '=')
			return true;
	return false;
}

static int env_set_text(struct plan *p, const char *text)
{
	const char *eq = strchr(text, '=');
	char *name = eq ? strndup(text, (size_t)(eq - text)) : NULL;
	int err = name ? env_set(p, name, eq + 1) : -ENOMEM;

	free(name);
	return err;
}

static int plan_env(struct plan *p)
{
	const struct terminal_open *o = p->open;
	int err = env_set(p, "PATH",
			  getuid() == 0
				  ? "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
				  : "/usr/local/bin:/usr/bin:/bin");

	for (char **e = environ; err == 0 && *e; e++)
		if (env_kept(*e))
			err = env_set_text(p, *e);
	if (err == 0)
		err = env_set(p, "HOME", p->user.home);
	if (err == 0)
		err = env_set(p, "USER", p->user.name);
	if (err == 0)
		err = env_set(p, "LOGNAME", p->user.name);
	if (err == 0)
		err = env_set(p, "SHELL", p->user.shell);
	if (err == 0 && o->tty)
		err = env_set(p, "TERM", o->term);
	for (size_t i = 0; err == 0 && o->env && o->env[i]; i++)
		err = env_set_text(p, o->env[i]);
	return err;
}

static int plan_program(struct plan *p)
{
	user_find(&p->user);
	if (p->open->argv) {
		p->file = p->open->argv[0];
		p->argv = p->open->argv;
	} else {
		const char *base = strrchr(p->user.shell, '/');
		if (asprintf(&p->argv0, "-%s", base ? base + 1 : p->user.shell) < 0) {
			p->argv0 = NULL;
			return -ENOMEM;
		}
		/* a name that begins with a dash makes it a login shell */
		p->login[0] = p->argv0;
		p->file = p->user.shell;
		p->argv = p->login;
	}
	return plan_env(p);
}

static int open_pty(struct plan *p)
{
	struct winsize size = { .ws_col = p->open->cols, .ws_row = p->open->rows };
	char name[64];

	p->ours[1] = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
	if (p->ours[1] < 0 || grantpt(p->ours[1]) < 0 || unlockpt(p->ours[1]) < 0 ||
	    ptsname_r(p->ours[1], name, sizeof(name)) != 0)
		return -errno;
	p->child[0] = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
	p->ours[0] = fcntl(p->ours[1], F_DUPFD_CLOEXEC, 3);
	if (p->child[0] < 0 || p->ours[0] < 0)
		return -errno;
	struct termios t;
	if (tcgetattr(p->child[0], &t) == 0) {
		t.c_iflag |= IUTF8;
		tcsetattr(p->child[0], TCSANOW, &t);
	}
	return ioctl(p->ours[1], TIOCSWINSZ, &size) < 0 ? -errno : 0;
}

static int open_pipes(struct plan *p)
{
	for (int i = 0; i < 3; i++) {
		int ends[2];
		if (pipe2(ends, O_CLOEXEC) < 0)
			return -errno;
		p->child[i] = ends[i == 0 ? 0 : 1];
		p->ours[i] = ends[i == 0 ? 1 : 0];
		if (fcntl(p->ours[i], F_SETFL, O_NONBLOCK) < 0)
			return -errno;
	}
	return 0;
}

/* In the child: only calls that are safe after a fork. */
static void child_run(const struct plan *p)
{
	sigset_t none;

	sigemptyset(&none);
	for (int s = 1; s < NSIG; s++)
		signal(s, SIG_DFL);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (setsid() < 0 || (p->open->tty && ioctl(p->child[0], TIOCSCTTY, 0) < 0))
		goto fail;
	for (int i = 0; i < 3; i++)
		if (dup2(p->child[p->open->tty ? 0 : i], i) < 0)
			goto fail;
	close_range(3, ~0u, CLOSE_RANGE_CLOEXEC);
	if (chdir(p->user.home) < 0 && chdir("/") < 0)
		goto fail;
	execvpe(p->file, p->argv, p->env);
fail:;
	int err = errno;
	ssize_t n = write(p->failed[1], &err, sizeof(err));
	_exit(n < 0 ? 126 : 127);
}

static int launch(struct plan *p, pid_t *out)
{
	int err = 0;

	if (pipe2(p->failed, O_CLOEXEC) < 0)
		return -errno;
	pid_t pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0)
		child_run(p);
	fl_closep(&p->failed[1]);
	/* end of file: the program runs */
	ssize_t n;
	do
		n = read(p->failed[0], &err, sizeof(err));
	while (n < 0 && errno == EINTR);
	if (n == sizeof(err)) {
		waitpid(pid, NULL, 0);
		return -err;
	}
	*out = pid;
	return 0;
}

static void explain(const struct plan *p, int err, const char **code, char why[256])
{
	if (err == -ENOENT || err == -ENOTDIR || err == -EACCES || err == -ENOEXEC) {
		*code = "no-such-command";
		snprintf(why, 256, "%.150s: %s", p->file,
			 err == -EACCES	   ? "no permission to run it on the device"
			 : err == -ENOEXEC ? "not a program"
					   : "no such command on the device");
	} else if (err == -EMFILE || err == -ENFILE || err == -EAGAIN || err == -ENOSPC) {
		*code = "limit";
		snprintf(why, 256,
			 "The device has no room for another terminal (%s). Close some and try "
			 "again.",
			 strerror(-err));
	} else {
		*code = "internal";
		snprintf(why, 256, "The device could not start %.100s: %s.", p->file,
			 strerror(-err));
	}
}

int terminal_spawn(const struct terminal_open *open, struct terminal_process *out,
		   const char **code, char why[256])
{
	struct plan p = {
		.open = open,
		.file = "a shell",
		.child = { -1, -1, -1 },
		.ours = { -1, -1, -1 },
		.failed = { -1, -1 },
	};
	pid_t pid = -1;

	int err = plan_program(&p);
	if (err == 0)
		err = open->tty ? open_pty(&p) : open_pipes(&p);
	if (err == 0)
		err = launch(&p, &pid);
	if (err < 0)
		explain(&p, err, code, why);
	for (int i = 0; i < 3; i++) {
		fl_closep(&p.child[i]);
		if (err < 0)
			fl_closep(&p.ours[i]);
	}
	fl_closep(&p.failed[0]);
	fl_closep(&p.failed[1]);
	for (size_t i = 0; i < p.n_env; i++)
		free(p.env[i]);
	free(p.argv0);
	*out = (struct terminal_process){ pid, p.ours[0], p.ours[1], p.ours[2] };
	return err;
}
