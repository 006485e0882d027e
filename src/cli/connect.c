/* fairlead connect: a shell on a device, or one command with its output and exit status. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/text.h"
#include "cli/pipe.h"
#include "cli/session.h"
#include "cli/tty.h"
#include "modules/terminal/message.h"

struct options {
	struct cli_common common; /* first */
	int route;
};

static const struct opt table[] = {
	CLI_COMMON_OPTIONS,
	{ "route", 0, OPT_CHOICE, offsetof(struct options, route), "METHOD",
	  "take only this method: auto, local, punched or relayed", "auto",
	  .choices = session_route_names },
	CLI_HELP_OPTIONS,
	{ NULL },
};

static const struct opt_program program = {
	.name = "fairlead connect",
	.summary = "open a shell on a device, or run one command there",
	.usage = "fairlead connect [OPTIONS] DEVICE [--] [CMD …]",
	.about =
		"DEVICE is a name or an id. Without CMD it opens a login shell in this terminal; "
		"~. "
		"at the beginning of a line leaves it, ~~ sends a ~.\n\n"
		"With CMD it runs that program with its arguments (no shell in between), passes on "
		"standard input, output and error and the signals HUP, INT, QUIT and TERM, and "
		"ends "
		"with its exit status (128 and the signal's number when a signal ended it). 255 is "
		"for failures of its own.",
	.options = table,
};

struct connect {
	struct loop *loop;
	struct console_session *session;
	int channel; /* -1: none yet */
	bool tty, opened;
	char **argv;   /* NULL: a shell */
	int status;    /* of the whole program */
	bool has_exit; /* the remote one has ended */
	bool done;
	struct tty_escape escape;
	struct pipe_in in;
	struct pipe_out out, err;
	struct loop_signal signals;
	size_t unacked;	   /* bytes of INPUT under way */
	uint32_t consumed; /* bytes of output not yet acknowledged */
};

static void leave(struct connect *c, int status)
{
	if (c->done)
		return;
	c->status = status;
	c->done = true;
}

static void complain(struct connect *c, const char *why)
{
	tty_restore();
	if (*why)
		cli_say("%s", why);
	leave(c, CLI_CONNECT_FAILURE);
}

static int send_message(struct connect *c, const struct terminal_message *m)
{
	uint8_t bytes[8 + PIPE_CHUNK + 1];
	size_t n = terminal_message_head(m, bytes);

	if (c->channel < 0)
		return FL_ESTATE;
	if (m->bytes.len)
		memcpy(bytes + n, m->bytes.ptr, m->bytes.len);
	int err = fl_channel_send(console_session_peer(c->session), c->channel, bytes,
				  n + m->bytes.len, false);
	/* The windows keep the channel's queue from filling; small messages find room. */
	if (err < 0 && err != -ENOENT)
		complain(c, fl_error_text(err));
	return err;
}

static void send_open(struct connect *c)
{
	struct terminal_open open = { .argv = c->argv, .tty = c->tty, .cols = 80, .rows = 24 };
	const char *term = getenv("TERM");

	(void)tty_size(&open.cols, &open.rows);
	(void)text_copy(open.term, sizeof(open.term), term && *term ? term : "xterm-256color");
	FL_AUTOFREE char *json = terminal_open_format(&open);
	if (!json) {
		complain(c, "the command's arguments are not valid UTF-8.");
		return;
	}
	if (strlen(json) > PIPE_CHUNK) {
		complain(c, "the command's arguments are too long (32 KiB).");
		return;
	}
	(void)send_message(
		c, &(struct terminal_message){ .type = TERMINAL_OPEN, .bytes = span_str(json) });
}

/* ---- input ---- */

static void on_input(void *arg, struct span bytes)
{
	struct connect *c = arg;
	uint8_t out[PIPE_CHUNK + 1];
	struct terminal_message m = { .type = TERMINAL_INPUT, .bytes = bytes };

	if (bytes.len == 0) {
		(void)send_message(c, &(struct terminal_message){ .type = TERMINAL_EOF });
		return;
	}
	if (c->tty) {
		size_t n;
		bool left = tty_escape_feed(&c->escape, bytes.ptr, bytes.len, out, &n);
		m.bytes = span_of(out, n);
		if (left) {
			complain(c, "left the session.");
			return;
		}
		if (n == 0)
			return;
	}
	c->unacked += m.bytes.len;
	if (c->unacked + PIPE_CHUNK + 1 > TERMINAL_WINDOW)
		pipe_in_hold(&c->in, true);
	(void)send_message(c, &m);
}

/* ---- output ---- */

static void on_written(void *arg, size_t len)
{
	struct connect *c = arg;

	c->consumed += (uint32_t)len;
	if (c->consumed >= TERMINAL_ACK_STEP && !c->has_exit) {
		(void)send_message(c, &(struct terminal_message){ .type = TERMINAL_ACK,
								  .acked = c->consumed });
		c->consumed = 0;
	}
	if (c->has_exit && pipe_out_empty(&c->out) && pipe_out_empty(&c->err))
		leave(c, c->status);
}

static void take_exit(struct connect *c, const struct terminal_message *m)
{
	c->has_exit = true;
	c->status = m->signalled ? 128 + m->number : m->number;
	pipe_in_stop(&c->in);
	tty_restore();
	on_written(c, 0);
}

static void take_failed(struct connect *c, struct span json)
{
	json_t *root = json_loadb((const char *)json.ptr, json.len, 0, NULL);
	const char *code = json_string_value(json_object_get(root, "code"));
	const char *message = json_string_value(json_object_get(root, "message"));
	char shown[300];

	complain(c, text_printable(shown, sizeof(shown),
				   span_str(message ? message : "The device could not start it.")));
	if (code && strcmp(code, "no-such-command") == 0)
		c->status = 127;
	json_decref(root);
}

static void take_message(struct connect *c, struct span data)
{
	struct terminal_message m;

	if (terminal_message_get(data, &m) < 0) {
		complain(c, "the device sent a message that is not known.");
		return;
	}
	switch (m.type) {
	case TERMINAL_OPENED:
		c->opened = true;
		if (!c->tty || tty_raw() == 0)
			if (pipe_in_start(c->loop, &c->in, on_input, c) == 0)
				return;
		complain(c, "standard input cannot be read.");
		return;
	case TERMINAL_OUTPUT:
	case TERMINAL_ERROUT:
		if (pipe_out_put(m.type == TERMINAL_OUTPUT ? &c->out : &c->err, m.bytes) < 0)
			complain(c, "the device sent more output than it may at once.");
		return;
	case TERMINAL_EXIT:
		take_exit(c, &m);
		return;
	case TERMINAL_FAILED:
		take_failed(c, m.bytes);
		return;
	case TERMINAL_ACK_BACK:
		c->unacked -= FL_MIN(c->unacked, (size_t)m.acked);
		if (c->unacked + PIPE_CHUNK + 1 <= TERMINAL_WINDOW)
			pipe_in_hold(&c->in, false);
		return;
	case TERMINAL_OPEN:
	case TERMINAL_INPUT:
	case TERMINAL_RESIZE:
	case TERMINAL_EOF:
	case TERMINAL_SIGNAL:
	case TERMINAL_ACK:
		complain(c, "the device sent a message that only a console may send.");
		return;
	}
}

/* ---- session ---- */

static void on_connected(void *arg)
{
	struct connect *c = arg;

	c->channel = fl_channel_open(console_session_peer(c->session), "terminal", NULL);
	if (c->channel < 0)
		complain(c, fl_error_text(c->channel));
	else
		send_open(c);
}

static void on_event(void *arg, const struct fl_event *e)
{
	struct connect *c = arg;

	if (e->type == FL_EVENT_ROUTE || e->type == FL_EVENT_DISCONNECTED ||
	    e->channel != c->channel)
		return;
	if (e->type == FL_EVENT_CHANNEL_DATA && !e->is_text)
		take_message(c, span_of(e->data, e->len));
	else if (e->type == FL_EVENT_CHANNEL_CLOSED && !c->has_exit && !c->done)
		complain(c, c->opened ? "the device closed the terminal."
				      : "the device did not open a terminal.");
}

static void on_failed(void *arg, const char *why)
{
	struct connect *c = arg;

	if (c->has_exit) /* it has all been said; only our own output is still being written */
		return;
	complain(c, why);
}

static const struct console_handler handler = { on_connected, on_event, on_failed };

static void on_signal(void *arg, int signo)
{
	struct connect *c = arg;
	struct terminal_message m = { .type = TERMINAL_SIGNAL, .number = (uint8_t)signo };

	if (signo == SIGWINCH) {
		m.type = TERMINAL_RESIZE;
		if (c->tty && c->opened && tty_size(&m.cols, &m.rows))
			(void)send_message(c, &m);
		return;
	}
	if (!c->opened ||
	    c->tty) { /* nothing runs yet, or somebody wants to end us, not the shell */
		tty_restore();
		leave(c, 128 + signo);
		return;
	}
	(void)send_message(c, &m);
}

static int start(struct connect *c, const struct options *o, const struct target *target,
		 const char *device)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH };
	struct console_config config = { target, device, (enum session_route)o->route };

	int err = loop_create(&c->loop);
	if (err < 0)
		return err;
	pipe_out_init(c->loop, &c->out, 1, TERMINAL_WINDOW, on_written, c);
	pipe_out_init(c->loop, &c->err, 2, TERMINAL_WINDOW, on_written, c);
	err = loop_signal_start(c->loop, &c->signals, signals, ARRAY_LEN(signals), on_signal, c);
	if (err == 0)
		err = console_session_create(c->loop, &config, &handler, c, &c->session);
	return err;
}

static int run_session(const struct options *o, const char *device, char **argv)
{
	struct target target;
	struct connect c = { .channel = -1, .escape.line_start = true, .signals.fd = -1 };

	c.argv = argv && *argv ? argv : NULL;
	c.tty = !c.argv && isatty(0);
	if (target_open(&o->common, &target) != 0)
		return CLI_CONNECT_FAILURE;
	int err = start(&c, o, &target, device);
	while (err == 0 && !c.done)
		err = loop_turn(c.loop, USEC_NEVER);
	tty_restore();
	if (err < 0) {
		cli_say("%s", err_text(err));
		c.status = CLI_CONNECT_FAILURE;
	}
	pipe_in_stop(&c.in);
	if (c.session)
		console_session_end(c.session);
	console_session_destroy(c.session);
	pipe_out_finish(&c.out);
	pipe_out_finish(&c.err);
	loop_signal_stop(&c.signals);
	target_close(&target);
	loop_destroy(c.loop);
	return c.status;
}

static int run(int argc, char **argv)
{
	struct options o = { 0 };
	int first;
	int status = cli_parse(&program, &o, &o.common, argc, argv, true, &first);

	if (status >= 0) {
		opt_finish(table, &o);
		return status;
	}
	if (first >= argc) {
		cli_say("connect needs a DEVICE. Try fairlead connect --help.");
		status = CLI_USAGE;
	} else {
		/* options may also stand behind the device; the command begins at the next word */
		char *device = argv[first];
		int rest = argc - first, next;
		struct opt_error error;
		argv[first] = argv[0];
		if (opt_parse_args(table, &o, rest, argv + first, true, &next, &error) < 0) {
			cli_say("%s\nTry fairlead connect --help.", error.text);
			status = CLI_USAGE;
		} else {
			status = run_session(&o, device, argv + first + next);
		}
	}
	opt_finish(table, &o);
	return status;
}

const struct cli_command cli_connect = { "connect", &program, run };
