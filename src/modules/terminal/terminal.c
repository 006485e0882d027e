#include "modules/terminal/terminal.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <jansson.h>

#include "base/log.h"
#include "modules/terminal/spawn.h"

struct terminals {
	struct loop *loop;
	struct module *module;
	struct list all;
	size_t n_open, n_processes;
	uint8_t chunk[1 + TERMINAL_CHUNK_MAX]; /* a message being filled */
};

/* One of a program's two output descriptors. */
struct outlet {
	struct terminal *terminal;
	enum terminal_type type;
	int fd; /* -1: ended */
	struct loop_watch watch;
};

struct terminal {
	struct list node;
	struct terminals *owner;
	uint16_t channel;
	bool attached; /* the channel is open */
	bool started;  /* OPEN was taken */
	bool tty, eof, paused, exited;
	int status; /* as from waitpid */
	pid_t pid;  /* 0: none, or reaped */
	struct loop_child child;
	struct loop_deferred gone;

	struct outlet outlets[2];
	size_t unacked; /* bytes of OUTPUT and ERROUT under way */

	int in; /* -1: closed */
	struct loop_watch in_watch;
	struct buf input;
	uint32_t consumed; /* bytes of INPUT not yet acknowledged */
};

static void outlet_pump(struct outlet *o);

static void on_gone(void *arg)
{
	struct terminal *t = arg;

	buf_finish(&t->input);
	free(t);
}

static void close_input(struct terminal *t)
{
	loop_watch_stop(&t->in_watch);
	fl_closep(&t->in);
}

static void close_outlet(struct outlet *o)
{
	loop_watch_stop(&o->watch);
	fl_closep(&o->fd);
}

/* The channel is no longer ours; the program may live on until it ends. */
static void detach(struct terminal *t)
{
	close_input(t);
	close_outlet(&t->outlets[0]);
	close_outlet(&t->outlets[1]);
	if (t->attached) {
		t->attached = false;
		t->owner->n_open--;
	}
	if (t->pid == 0) {
		loop_child_stop(&t->child);
		list_remove(&t->node);
		loop_defer(t->owner->loop, &t->gone, on_gone, t);
	}
}

/* As when a terminal window is closed. */
static void hang_up(struct terminal *t)
{
	if (t->pid > 0) {
		kill(-t->pid, SIGHUP);
		kill(-t->pid, SIGCONT);
	}
	detach(t);
}

static void send_message(struct terminal *t, const struct terminal_message *m)
{
	uint8_t head[8];
	struct buf b = BUF_INIT(sizeof(head) + m->bytes.len);

	int err = buf_append(&b, head, terminal_message_head(m, head));
	if (err == 0)
		err = buf_append_span(&b, m->bytes);
	if (err == 0)
		err = module_send(t->owner->module, t->channel, buf_span(&b), false);
	if (err < 0 && err != FL_ECLOSED)
		log_warn("terminal-send", "error=%s", err_name(err));
	buf_finish(&b);
}

static void send_json(struct terminal *t, enum terminal_type type, json_t *json)
{
	FL_AUTOFREE char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;

	json_decref(json);
	send_message(t, &(struct terminal_message){ .type = type,
						    .bytes = span_str(text ? text : "{}") });
}

/* Tells why and closes the channel. */
static void fail(struct terminal *t, const char *code, const char *why)
{
	send_json(t, TERMINAL_FAILED, json_pack("{s:s, s:s}", "code", code, "message", why));
	(void)module_close(t->owner->module, t->channel);
	hang_up(t);
}

static void finish_if_over(struct terminal *t)
{
	if (!t->attached || !t->exited || t->outlets[0].fd >= 0 || t->outlets[1].fd >= 0)
		return;
	bool signalled = WIFSIGNALED(t->status);
	send_message(t, &(struct terminal_message){
				.type = TERMINAL_EXIT,
				.signalled = signalled,
				.number = (uint8_t)(signalled ? WTERMSIG(t->status)
							      : WEXITSTATUS(t->status)) });
	(void)module_close(t->owner->module, t->channel);
	detach(t);
}

/* ---- output ---- */

static void on_outlet(void *arg, uint32_t events)
{
	outlet_pump(arg);
}

/* Watching while sending is not allowed would spin: a hang-up is reported whatever was asked for.
 */
static void outlet_watch(struct outlet *o, bool on)
{
	if (!on)
		loop_watch_stop(&o->watch);
	else if (!o->watch.loop && loop_watch_start(o->terminal->owner->loop, &o->watch, o->fd,
						    EPOLLIN, on_outlet, o) < 0)
		close_outlet(o);
}

/* Fills one message with what is there. *more: there may be more; *ended: there is never more. */
static size_t outlet_read(struct outlet *o, size_t max, bool *more, bool *ended)
{
	uint8_t *chunk = o->terminal->owner->chunk;
	size_t len = 0;

	*more = *ended = false;
	while (len < max) {
		ssize_t n = read(o->fd, chunk + 1 + len, max - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return len;
		if (n <= 0) { /* EIO: nobody has the terminal open any more */
			*ended = true;
			return len;
		}
		len += (size_t)n;
	}
	*more = true;
	return len;
}

static void outlet_pump(struct outlet *o)
{
	struct terminal *t = o->terminal;
	bool more, ended;

	if (o->fd < 0)
		return;
	size_t window = t->paused ? 0 : TERMINAL_WINDOW - t->unacked;
	if (window == 0) {
		outlet_watch(o, false);
		return;
	}
	size_t len = outlet_read(o, FL_MIN(window, TERMINAL_CHUNK_MAX), &more, &ended);
	if (len > 0) {
		t->owner->chunk[0] = (uint8_t)o->type;
		t->unacked += len;
		int err = module_send(t->owner->module, t->channel,
				      span_of(t->owner->chunk, 1 + len), false);
		if (err < 0) { /* the queue has room for every window, so the client is gone */
			hang_up(t);
			return;
		}
	}
	/* Everything that the ended program itself wrote was there to be read. What its children
	 * that live on may still write is not waited for. */
	if (ended || (t->exited && !more)) {
		close_outlet(o);
		finish_if_over(t);
	} else {
		outlet_watch(o, true);
	}
}

static void pump_both(struct terminal *t)
{
	/* after the end a full window's worth may take several messages */
	for (int i = 0; i < 2; i++) {
		struct outlet *o = &t->outlets[i];
		do
			outlet_pump(o);
		while (t->exited && t->attached && o->fd >= 0 && !t->paused &&
		       t->unacked < TERMINAL_WINDOW);
	}
	finish_if_over(t);
}

static void on_exit_status(void *arg, int status)
{
	struct terminal *t = arg;

	t->status = status;
	t->exited = true;
	t->pid = 0;
	t->owner->n_processes--;
	if (!t->attached) {
		detach(t);
		return;
	}
	close_input(t);
	pump_both(t);
}

/* ---- input ---- */

static void acknowledge(struct terminal *t, uint32_t len)
{
	t->consumed += len;
	if (t->consumed < TERMINAL_ACK_STEP)
		return;
	send_message(t,
		     &(struct terminal_message){ .type = TERMINAL_ACK_BACK, .acked = t->consumed });
	t->consumed = 0;
}

static void on_input_writable(void *arg, uint32_t events);

static void input_flush(struct terminal *t)
{
	while (t->input.len > 0) {
		struct span s = buf_span(&t->input);
		ssize_t n = t->in < 0 ? (ssize_t)s.len : write(t->in, s.ptr, s.len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0) { /* nobody reads: what comes is dropped, but still acknowledged */
			close_input(t);
			continue;
		}
		buf_consume(&t->input, (size_t)n);
		acknowledge(t, (uint32_t)n);
	}
	if (t->input.len == 0 && t->eof && !t->tty)
		close_input(t);
	if (t->input.len == 0)
		loop_watch_stop(&t->in_watch);
	else if (!t->in_watch.loop && loop_watch_start(t->owner->loop, &t->in_watch, t->in,
						       EPOLLOUT, on_input_writable, t) < 0)
		fail(t, "internal", "The device ran out of memory.");
}

static void on_input_writable(void *arg, uint32_t events)
{
	input_flush(arg);
}

static void take_input(struct terminal *t, struct span bytes)
{
	if (t->eof)
		return;
	if (buf_append_span(&t->input, bytes) < 0) {
		fail(t, "limit",
		     "More than 1 MiB of input was sent without waiting for the device.");
		return;
	}
	if (!t->in_watch.loop)
		input_flush(t);
}

/* ---- requests ---- */

static void take_open(struct terminal *t, struct span json)
{
	struct terminal_open open;
	struct terminal_process process;
	const char *code = "internal";
	char why[256];

	if (t->owner->n_processes >= TERMINAL_PROCESSES_MAX) {
		fail(t, "limit", "64 programs of this session still run. End some first.");
		return;
	}
	int err = terminal_open_parse(json, &open, why);
	if (err < 0) {
		fail(t, err == FL_EMALFORMED ? "bad-request" : "internal", why);
		return;
	}
	err = terminal_spawn(&open, &process, &code, why);
	t->tty = open.tty;
	terminal_open_finish(&open);
	if (err < 0) {
		fail(t, code, why);
		return;
	}
	t->started = true;
	t->pid = process.pid;
	t->in = process.in;
	t->outlets[0].fd = process.out;
	t->outlets[1].fd = process.err;
	t->owner->n_processes++;
	err = loop_child_start(t->owner->loop, &t->child, t->pid, on_exit_status, t);
	if (err < 0) {
		fail(t, "internal", "The device cannot watch the program that it started.");
		return;
	}
	send_json(t, TERMINAL_OPENED, json_pack("{s:i}", "pid", (int)process.pid));
	for (int i = 0; i < 2; i++)
		if (t->outlets[i].fd >= 0)
			outlet_watch(&t->outlets[i], true);
}

static void take_signal(struct terminal *t, int number)
{
	pid_t group = t->tty && t->in >= 0 ? tcgetpgrp(t->in) : t->pid;

	if (t->pid > 0 && group > 0)
		kill(-group, number);
}

static void take_ack(struct terminal *t, uint32_t acked)
{
	if (acked > t->unacked) {
		fail(t, "bad-request", "More output was acknowledged than sent.");
		return;
	}
	t->unacked -= acked;
	pump_both(t);
}

static void take(struct terminal *t, const struct terminal_message *m)
{
	struct winsize size = { .ws_col = m->cols, .ws_row = m->rows };

	if ((m->type == TERMINAL_OPEN) == t->started) {
		fail(t, "bad-request", "The first message, and only the first, must be OPEN.");
		return;
	}
	switch (m->type) {
	case TERMINAL_OPEN:
		take_open(t, m->bytes);
		return;
	case TERMINAL_INPUT:
		take_input(t, m->bytes);
		return;
	case TERMINAL_RESIZE:
		if (t->tty && t->in >= 0)
			(void)ioctl(t->in, TIOCSWINSZ, &size);
		return;
	case TERMINAL_EOF:
		t->eof = true;
		input_flush(t);
		return;
	case TERMINAL_SIGNAL:
		take_signal(t, m->number);
		return;
	case TERMINAL_ACK:
		take_ack(t, m->acked);
		return;
	case TERMINAL_OPENED:
	case TERMINAL_OUTPUT:
	case TERMINAL_ERROUT:
	case TERMINAL_EXIT:
	case TERMINAL_FAILED:
	case TERMINAL_ACK_BACK:
		fail(t, "bad-request", "A message came that only the device may send.");
		return;
	}
}

/* ---- the module's side ---- */

static struct terminal *find(struct terminals *ts, uint16_t channel)
{
	struct terminal *t, *tmp;

	list_for_each (t, tmp, &ts->all, node)
		if (t->attached && t->channel == channel)
			return t;
	return NULL;
}

static void on_open(void *arg, uint16_t channel)
{
	struct terminals *ts = arg;
	struct terminal *t = find(ts, channel) ? NULL : calloc(1, sizeof(*t));

	if (!t) {
		(void)module_close(ts->module, channel);
		return;
	}
	t->owner = ts;
	t->channel = channel;
	t->attached = true;
	t->in = -1;
	t->input = BUF_INIT(TERMINAL_WINDOW);
	t->outlets[0] = (struct outlet){ .terminal = t, .type = TERMINAL_OUTPUT, .fd = -1 };
	t->outlets[1] = (struct outlet){ .terminal = t, .type = TERMINAL_ERROUT, .fd = -1 };
	list_push_back(&ts->all, &t->node);
	ts->n_open++;
	if (ts->n_open > TERMINALS_MAX)
		fail(t, "limit", "This session has 16 terminals already. Close one first.");
}

static void on_data(void *arg, uint16_t channel, struct span data, bool text)
{
	struct terminal *t = find(arg, channel);
	struct terminal_message m;

	if (!t)
		return;
	if (text || terminal_message_get(data, &m) < 0)
		fail(t, "bad-request", "A message came that the protocol does not know.");
	else
		take(t, &m);
}

static void on_close(void *arg, uint16_t channel)
{
	struct terminal *t = find(arg, channel);

	if (t)
		hang_up(t);
}

static void on_pause(void *arg, uint16_t channel, bool paused)
{
	struct terminal *t = find(arg, channel);

	if (!t)
		return;
	t->paused = paused;
	if (!paused)
		pump_both(t);
}

const struct module_handler terminals_handler = {
	.on_open = on_open,
	.on_data = on_data,
	.on_close = on_close,
	.on_pause = on_pause,
};

struct terminals *terminals_create(struct loop *loop)
{
	struct terminals *ts = calloc(1, sizeof(*ts));

	if (!ts)
		return NULL;
	ts->loop = loop;
	list_init(&ts->all);
	return ts;
}

void terminals_attach(struct terminals *ts, struct module *module)
{
	ts->module = module;
}

void terminals_destroy(struct terminals *ts)
{
	struct terminal *t, *tmp;

	if (!ts)
		return;
	list_for_each (t, tmp, &ts->all, node) {
		loop_child_stop(&t->child);
		hang_up(t);
		if (t->pid > 0) { /* it lives on without us */
			list_remove(&t->node);
			on_gone(t);
		}
	}
	free(ts);
}
