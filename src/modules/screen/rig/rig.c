#include "modules/screen/rig/rig.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/wire.h"

void rig_die(const char *what)
{
	fprintf(stderr, "rig: %s (%s)\n", what, strerror(errno));
	exit(1);
}

/* --- the X server ----------------------------------------------------------------------- */

static void exec_server(int ready, int number, int width, int height)
{
	char screen[32], at[16], ready_text[16];
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	dup2(null, 0);
	dup2(null, 1);
	if (!getenv("RIG_SERVER_LOG"))
		dup2(null, 2);
	snprintf(screen, sizeof(screen), "%dx%dx24", width, height);
	snprintf(at, sizeof(at), ":%d", number);
	snprintf(ready_text, sizeof(ready_text), "%d", ready);
	if (number < 0)
		execlp("Xvfb", "Xvfb", "-displayfd", ready_text, "-screen", "0", screen,
		       "-nolisten", "tcp", "-noreset", (char *)NULL);
	else
		execlp("Xvfb", "Xvfb", at, "-displayfd", ready_text, "-screen", "0", screen,
		       "-nolisten", "tcp", "-noreset", (char *)NULL);
	_exit(127);
}

bool rig_server_start(struct rig_server *s, int number, int width, int height)
{
	int ready[2], status;
	char text[16] = { 0 };
	size_t n = 0;
	ssize_t got;

	if (pipe2(ready, O_CLOEXEC) < 0)
		rig_die("pipe");
	s->pid = fork();
	if (s->pid < 0)
		rig_die("fork");
	if (s->pid == 0) {
		fcntl(ready[1], F_SETFD, 0);
		exec_server(ready[1], number, width, height);
	}
	close(ready[1]);
	while (n + 1 < sizeof(text) && !memchr(text, '\n', n) &&
	       (got = read(ready[0], text + n, sizeof(text) - 1 - n)) > 0)
		n += (size_t)got;
	close(ready[0]);
	if (n == 0) {
		waitpid(s->pid, &status, 0);
		if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
			return false;
		rig_die("Xvfb ended at once");
	}
	s->number = (int)strtol(text, NULL, 10);
	snprintf(s->display, sizeof(s->display), ":%d", s->number);
	return true;
}

void rig_server_stop(struct rig_server *s)
{
	if (s->pid <= 0)
		return;
	kill(s->pid, SIGTERM);
	waitpid(s->pid, NULL, 0);
	s->pid = 0;
}

/* --- the module ------------------------------------------------------------------------- */

static void exec_module(int fd, const char *program)
{
	int copy = fcntl(fd, F_DUPFD, 10);

	if (copy < 0 || dup2(copy, 3) < 0)
		_exit(127);
	close(copy);
	if (fd != 3)
		close(fd);
	unsetenv("DISPLAY");
	execl(program, program, "--module", (char *)NULL);
	_exit(127);
}

void rig_module_start(struct rig_module *m, const char *program, const char *display,
		      const char *user)
{
	struct module_message msg;
	char hello[1024];
	int fd[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd) < 0)
		rig_die("socketpair");
	m->pid = fork();
	if (m->pid < 0)
		rig_die("fork");
	if (m->pid == 0)
		exec_module(fd[1], program);
	close(fd[1]);
	m->fd = fd[0];
	m->in = BUF_INIT(2 * MODULE_MESSAGE_MAX);
	m->used = 0;
	rig_expect(m, MODULE_READY, &msg);
	snprintf(hello, sizeof(hello),
		 "{\"version\":1,\"session\":\"s\",\"user\":{\"id\":\"u\",\"name\":\"%s\"},"
		 "\"device\":{\"name\":\"d\"},\"config\":{\"display\":\"%s\"}}",
		 user, display);
	rig_send(m, MODULE_HELLO, 0, 0, span_str(hello));
	rig_send(m, MODULE_OPEN, 0, RIG_CHANNEL, (struct span){ 0 });
}

int rig_module_stop(struct rig_module *m)
{
	int status = 0;

	close(m->fd);
	waitpid(m->pid, &status, 0);
	buf_finish(&m->in);
	m->pid = 0;
	return status;
}

void rig_module_kill(struct rig_module *m)
{
	kill(m->pid, SIGKILL);
	rig_module_stop(m);
}

void rig_send(struct rig_module *m, enum module_type type, uint8_t flags, uint16_t channel,
	      struct span payload)
{
	struct buf out = BUF_INIT(MODULE_MESSAGE_MAX + 64);
	struct module_message msg = {
		.type = (uint8_t)type, .flags = flags, .channel = channel, .payload = payload
	};

	if (module_wire_put(&out, &msg) < 0)
		rig_die("message does not fit");
	for (struct span s = buf_span(&out); s.len > 0;) {
		ssize_t n = send(m->fd, s.ptr, s.len, MSG_NOSIGNAL);
		if (n < 0)
			rig_die("module does not take a message");
		s = span_of(s.ptr + n, s.len - (size_t)n);
	}
	buf_finish(&out);
}

void rig_send_text(struct rig_module *m, const char *json)
{
	rig_send(m, MODULE_DATA, MODULE_FLAG_TEXT, RIG_CHANNEL, span_str(json));
}

void rig_send_bytes(struct rig_module *m, const void *data, size_t len)
{
	rig_send(m, MODULE_DATA, 0, RIG_CHANNEL, span_of(data, len));
}

void rig_send_key(struct rig_module *m, bool down, uint32_t keysym, const char *code)
{
	uint8_t mem[64];
	struct writer w = writer_of(mem, sizeof(mem));

	writer_u8(&w, 0x04);
	writer_u8(&w, down);
	writer_u32(&w, keysym);
	writer_u8(&w, (uint8_t)strlen(code));
	writer_str(&w, code);
	rig_send_bytes(m, mem, writer_len(&w));
}

void rig_send_button(struct rig_module *m, uint8_t button, bool down, uint16_t x, uint16_t y)
{
	uint8_t mem[8];
	struct writer w = writer_of(mem, sizeof(mem));

	writer_u8(&w, 0x02);
	writer_u8(&w, button);
	writer_u8(&w, down);
	writer_u16(&w, x);
	writer_u16(&w, y);
	rig_send_bytes(m, mem, writer_len(&w));
}

void rig_send_rate(struct rig_module *m, uint32_t bps)
{
	uint8_t mem[MODULE_HEAD_MAX];
	int n = module_wire_head(&(struct module_message){ .type = MODULE_RATE, .rate_bps = bps },
				 mem);

	if (n < 0 || send(m->fd, mem, (size_t)n, MSG_NOSIGNAL) != n)
		rig_die("module does not take a message");
}

bool rig_next(struct rig_module *m, struct module_message *msg, int ms)
{
	usec_t until = usec_monotonic() + (usec_t)ms * USEC_PER_MSEC;
	int n;

	buf_consume(&m->in, m->used);
	m->used = 0;
	while ((n = module_wire_get(buf_span(&m->in), MODULE_FROM_MODULE, msg, &m->used)) == 0) {
		struct pollfd p = { .fd = m->fd, .events = POLLIN };
		usec_t now = usec_monotonic();
		if (now >= until || poll(&p, 1, (int)((until - now) / USEC_PER_MSEC) + 1) == 0)
			return false;
		uint8_t *room = buf_reserve(&m->in, 65536);
		ssize_t got = room ? read(m->fd, room, 65536) : -1;
		if (got <= 0)
			rig_die("module is gone");
		buf_commit(&m->in, (size_t)got);
	}
	if (n < 0)
		rig_die("malformed message from the module");
	return true;
}

void rig_expect(struct rig_module *m, enum module_type type, struct module_message *msg)
{
	while (rig_next(m, msg, RIG_WAIT_MS))
		if (msg->type == type)
			return;
	fprintf(stderr, "rig: message of type 0x%02x does not come\n", type);
	exit(1);
}

void rig_expect_parts(struct rig_module *m, char *text, size_t cap, const char *const *parts)
{
	struct module_message msg;
	const char *const *part;

	do {
		rig_expect(m, MODULE_DATA, &msg);
		snprintf(text, cap, "%.*s", (int)msg.payload.len, (const char *)msg.payload.ptr);
		for (part = parts; *part && strstr(text, *part); part++)
			;
	} while (*part);
}
