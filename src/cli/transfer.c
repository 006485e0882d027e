#include "cli/transfer.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/rng.h"
#include "base/text.h"
#include "cli/retry.h"
#include "cli/tty.h"
#include "modules/files/receiver.h"
#include "modules/files/sender.h"

#define STEPS_PER_TURN 32
#define LOST_US (15 * USEC_PER_SEC)   /* without a route, until a new session is made */
#define SILENT_US (60 * USEC_PER_SEC) /* with one; a slow disk or link takes its time */
#define SHOW_US (200 * USEC_PER_MSEC) /* between two lines of progress */
#define MUTE_MAX 5		      /* channels in a row that closed without a word */

static const char where[] = "here";

enum state { CONNECTING, RUNNING, BROKEN, WAITING, DONE };

struct transfer {
	const struct transfer_config *config;
	struct loop *loop;
	struct console_session *session;
	int channel; /* -1: none */
	struct files_sender *sender;
	struct files_receiver *receiver;
	struct span held; /* a message that the channel had no room for */
	struct loop_timer turn, tick, again;
	struct loop_signal signals;

	enum state state;
	bool session_lost;	      /* a new one is needed, not only a new channel */
	bool connected_once, started; /* started: the device answered to some request */
	bool heard;		      /* on this channel */
	unsigned mute;
	bool has_into, into; /* put: what the device found its path to be; get: what we did */
	char *const *names;  /* get: the first names that may come */
	struct retry retry;
	usec_t began, active; /* active: when something was last heard, taken or worked on */
	usec_t lost;	      /* when the route fell silent; 0: it has not */
	size_t buffered;      /* bytes that the channel had not got rid of */
	struct files_failure failure;
	char why[512]; /* of the last break */
	uint64_t done_before, bytes_before;
	usec_t rate_at;
	uint64_t rate_bytes;
	double rate; /* bytes per second, of the last seconds */
	int status;
	struct transfer_result *result;
};

static const struct files_progress *progress_of(const struct transfer *t)
{
	static const struct files_progress none;

	return t->sender     ? files_sender_progress(t->sender)
	       : t->receiver ? files_receiver_progress(t->receiver)
			     : &none;
}

/* ---- progress on a terminal ---- */

static const char *amount(char dst[32], double bytes)
{
	static const char *const units[] = { "B", "kB", "MB", "GB", "TB" };
	size_t i = 0;

	for (; bytes >= 1000 && i + 1 < ARRAY_LEN(units); i++)
		bytes /= 1000;
	snprintf(dst, 32, i ? "%.1f %s" : "%.0f %s", bytes, units[i]);
	return dst;
}

static void clear_line(const struct transfer *t)
{
	if (t->config->show)
		fputs("\r\x1b[K", stderr);
}

static void measure(struct transfer *t, uint64_t bytes)
{
	usec_t now = loop_now(t->loop), passed = usec_sub(now, t->rate_at);

	if (passed < USEC_PER_SEC)
		return;
	double fresh = (double)(bytes - t->rate_bytes) * 1e6 / (double)passed;
	t->rate = t->rate > 0 ? 0.6 * t->rate + 0.4 * fresh : fresh;
	t->rate_at = now;
	t->rate_bytes = bytes;
}

static void show(struct transfer *t)
{
	const struct files_progress *p = progress_of(t);
	char name[256], line[512], at[32], size[32], rate[32];
	uint16_t cols = 80, rows;

	(void)tty_size(&cols, &rows);
	measure(t, t->bytes_before + p->bytes);
	text_printable(name, sizeof(name), span_str(p->current));
	if (t->state != RUNNING)
		snprintf(line, sizeof(line), "%s",
			 t->state == CONNECTING ? "connecting" : "cut off; trying again");
	else
		snprintf(line, sizeof(line), "%llu done  %s of %s  %.0f %%  %s/s  %s",
			 (unsigned long long)p->files, amount(at, (double)p->at),
			 amount(size, (double)p->size),
			 p->size ? 100.0 * (double)p->at / (double)p->size : 100.0,
			 amount(rate, t->rate), name);
	fprintf(stderr, "\r\x1b[K%.*s", cols - 1, line);
	fflush(stderr);
}

/* ---- ends ---- */

static void finish(struct transfer *t, int status)
{
	if (t->state == DONE)
		return;
	t->state = DONE;
	t->status = status;
}

static void complain(struct transfer *t, const char *code, const char *why)
{
	(void)files_fail(&t->failure, code, "%s", why);
	finish(t, CLI_FAILURE);
}

/* This attempt is over; the main loop clears up, because our callers are the session's. */
static void interrupt(struct transfer *t, bool session_lost, const char *why)
{
	if (t->state == DONE)
		return;
	if (t->state != BROKEN)
		snprintf(t->why, sizeof(t->why), "%s", why);
	t->state = BROKEN;
	t->session_lost |= session_lost;
}

static void take_over(struct transfer *t)
{
	const struct files_failure *f = t->sender ? files_sender_failure(t->sender)
						  : files_receiver_failure(t->receiver);

	if (!f->code[0]) {
		finish(t, 0);
	} else if (strcmp(f->code, "busy") == 0 && t->started && t->result->attempts > 1) {
		/* the device has not noticed yet that our former session is gone */
		interrupt(t, false, f->text);
	} else {
		t->failure = *f;
		finish(t, CLI_FAILURE);
	}
}

/* ---- messages ---- */

static int send_bytes(struct transfer *t, struct span bytes)
{
	return fl_channel_send(console_session_peer(t->session), t->channel, bytes.ptr, bytes.len,
			       false);
}

static void on_turn(void *arg)
{
	struct transfer *t = arg;

	for (int i = 0; i < STEPS_PER_TURN && t->state == RUNNING; i++) {
		enum files_step did = FILES_STEP_MESSAGE;
		if (!t->held.len)
			did = t->sender	    ? files_sender_step(t->sender, &t->held)
			      : t->receiver ? files_receiver_step(t->receiver, &t->held)
					    : FILES_STEP_IDLE;
		if (did == FILES_STEP_IDLE)
			return;
		if (did == FILES_STEP_AGAIN)
			t->active = loop_now(t->loop);
		/* what we said last must reach the device, which then closes the channel */
		if (did == FILES_STEP_OVER) {
			if (t->channel < 0 || t->sender)
				take_over(t);
			return;
		}
		if (did != FILES_STEP_MESSAGE)
			continue;
		int err = send_bytes(t, t->held);
		if (err == -EAGAIN) /* FL_EVENT_WRITABLE comes */
			return;
		t->held = span_of(NULL, 0);
		if (err < 0)
			interrupt(t, err != -ENOENT, fl_error_text(err));
	}
	loop_timer_after(&t->turn, 0);
}

static bool create_sender(struct transfer *t)
{
	struct files_sender_config config = { .paths = t->config->from,
					      .n_paths = t->config->n_from,
					      .where = where };

	return files_sender_create(&config, &t->sender) == 0;
}

static bool create_receiver(struct transfer *t)
{
	struct files_receiver_config config = { .force = t->config->force,
						.expected = t->names,
						.n_expected = t->config->n_from,
						.where = where };

	if (!files_target_open(t->config->to, t->config->n_from > 1, t->has_into, &t->into, where,
			       &config.target, &t->failure)) {
		finish(t, CLI_FAILURE);
		return false;
	}
	t->has_into = true;
	return files_receiver_create(&config, &t->receiver) == 0;
}

static void send_request(struct transfer *t)
{
	const struct transfer_config *c = t->config;
	char *to[] = { (char *)c->to };
	struct files_request request = {
		.type = c->put ? FILES_PUT : FILES_GET,
		.paths = c->put ? to : (char **)c->from,
		.n_paths = c->put ? 1 : c->n_from,
		.force = c->force,
		.many = c->n_from > 1,
		.has_into = t->has_into,
		.into = t->into,
	};
	uint8_t bytes[FL_CHANNEL_MESSAGE_MAX];
	FL_AUTOFREE char *text = files_request_format(&request);
	struct files_message m = { .type = request.type, .bytes = span_str(text ? text : "") };
	int n = files_message_put(&m, bytes, sizeof(bytes));

	if (!text || n < 0) {
		complain(t, "name", "The paths are too long together, or not valid UTF-8.");
		return;
	}
	int err = send_bytes(t, span_of(bytes, (size_t)n));
	if (err < 0)
		interrupt(t, true, fl_error_text(err));
}

static void open_channel(struct transfer *t)
{
	t->result->attempts++;
	t->heard = false;
	t->held = span_of(NULL, 0);
	t->active = loop_now(t->loop);
	t->lost = 0;
	t->state = RUNNING;
	t->channel = fl_channel_open(console_session_peer(t->session), "files", NULL);
	if (t->channel < 0) {
		interrupt(t, true, fl_error_text(t->channel));
		return;
	}
	if (!t->config->put && !create_receiver(t)) {
		complain(t, "internal", "Out of memory.");
		return;
	}
	send_request(t);
	console_session_pump(t->session);
}

static void take_begun(struct transfer *t, const struct files_message *m)
{
	bool into;

	if (files_begun_parse(m->bytes, &into) < 0 || (t->has_into && into != t->into)) {
		complain(t, "bad-request", "The device's answer is not known.");
		return;
	}
	t->has_into = true;
	t->into = into;
	if (!create_sender(t))
		complain(t, "internal", "Out of memory.");
}

static void take_message(struct transfer *t, struct span data)
{
	struct files_message m;

	t->heard = true;
	t->mute = 0;
	t->lost = 0;
	t->active = loop_now(t->loop);
	if (files_message_get(data, &m) < 0) {
		complain(t, "bad-request", "The device sent a message that is not known.");
	} else if (t->sender) {
		files_sender_input(t->sender, &m);
	} else if (t->receiver) {
		files_receiver_input(t->receiver, &m);
	} else if (m.type == FILES_BEGUN) {
		take_begun(t, &m);
	} else if (m.type == FILES_FAILED) {
		files_failure_parse(m.bytes, &t->failure);
		finish(t, CLI_FAILURE);
	} else {
		complain(t, "bad-request", "The device sent what was not asked for.");
	}
	t->started = true;
	loop_timer_after(&t->turn, 0);
}

static bool said_all(struct transfer *t)
{
	struct span out;

	return t->receiver && !t->held.len &&
	       files_receiver_step(t->receiver, &out) == FILES_STEP_OVER;
}

static void take_closed(struct transfer *t)
{
	t->channel = -1;
	if (said_all(t)) {
		take_over(t);
		return;
	}
	if (t->sender && files_sender_failure(t->sender)->code[0]) {
		take_over(t);
		return;
	}
	if (!t->heard && ++t->mute >= MUTE_MAX) {
		complain(t, "internal",
			 "The device closes the channel without a word. Is its client as new as "
			 "this command, and is the files module installed there?");
		return;
	}
	interrupt(t, false, "The files module on the device ended.");
}

/* ---- session ---- */

static void on_connected(void *arg)
{
	struct transfer *t = arg;

	t->connected_once = true;
	open_channel(t);
}

static void on_event(void *arg, const struct fl_event *e)
{
	struct transfer *t = arg;

	if (e->type == FL_EVENT_ROUTE)
		t->lost = 0;
	else if (e->type == FL_EVENT_DISCONNECTED && t->lost == 0)
		t->lost = loop_now(t->loop);
	if (e->type == FL_EVENT_ROUTE || e->type == FL_EVENT_DISCONNECTED ||
	    e->channel != t->channel || t->state != RUNNING)
		return;
	if (e->type == FL_EVENT_CHANNEL_DATA)
		take_message(t, span_of(e->data, e->len));
	else if (e->type == FL_EVENT_CHANNEL_CLOSED)
		take_closed(t);
	else if (e->type == FL_EVENT_WRITABLE)
		loop_timer_after(&t->turn, 0);
}

static void on_failed(void *arg, const char *why)
{
	struct transfer *t = arg;

	if (t->state == RUNNING && said_all(t)) { /* all is here; only the goodbye was lost */
		take_over(t);
		return;
	}
	if (!t->connected_once) {
		clear_line(t);
		if (*why)
			cli_say("%s", why);
		finish(t, CLI_CONNECT_FAILURE);
		return;
	}
	interrupt(t, true, *why ? why : "The hub does not list the device any more.");
}

static const struct console_handler handler = { on_connected, on_event, on_failed };

static void begin_session(struct transfer *t)
{
	struct console_config config = { t->config->hub, t->config->device, t->config->route,
					 "files" };

	t->state = CONNECTING;
	t->session_lost = false;
	if (console_session_create(t->loop, &config, &handler, t, &t->session) < 0)
		complain(t, "internal", "Out of memory.");
}

static void end_session(struct transfer *t)
{
	enum fl_route_method method;

	if (!t->session)
		return;
	method = console_session_method(t->session);
	if (method != FL_ROUTE_NONE)
		t->result->route = fl_route_method_name(method);
	console_session_end(t->session);
	console_session_destroy(FL_STEAL(t->session));
}

static void end_attempt(struct transfer *t)
{
	const struct files_progress *p = progress_of(t);
	uint64_t done = p->files - FL_MIN(p->already, p->files);

	loop_timer_stop(&t->turn);
	if (p->bytes || done)
		retry_progress(&t->retry);
	t->bytes_before += p->bytes;
	t->result->bytes = t->bytes_before;
	t->result->progress = *p;
	/* what earlier attempts brought was not there already */
	t->result->progress.already -= FL_MIN(p->already, t->done_before);
	t->done_before += done;
	files_sender_destroy(FL_STEAL(t->sender));
	files_receiver_destroy(FL_STEAL(t->receiver));
	if (t->session && t->channel >= 0)
		fl_channel_close(console_session_peer(t->session), t->channel);
	t->channel = -1;
}

/* The attempt is over and not the transfer. */
static void mend(struct transfer *t)
{
	end_attempt(t);
	if (t->session_lost)
		end_session(t);
	usec_t wait = retry_failed(&t->retry, loop_now(t->loop), rng_system());
	if (wait == USEC_NEVER) {
		(void)files_fail(&t->failure, "lost",
				 "Cut off: %s Nothing more got through for %u s. What arrived is "
				 "kept: run the same command again to go on.",
				 t->why, (unsigned)(t->config->retry_us / USEC_PER_SEC));
		finish(t, CLI_FAILURE);
		return;
	}
	t->state = WAITING;
	loop_timer_after(&t->again, wait);
}

static void on_again(void *arg)
{
	struct transfer *t = arg;

	if (t->state != WAITING)
		return;
	if (t->session && !t->session_lost)
		open_channel(t);
	else
		begin_session(t);
}

/* Before the session itself gives up, because a new one is soon made and nothing is lost. */
static void check_alive(struct transfer *t)
{
	usec_t now = loop_now(t->loop);
	size_t buffered = fl_channel_buffered(console_session_peer(t->session), t->channel);

	if (buffered != t->buffered)
		t->active = now;
	t->buffered = buffered;
	if (t->lost && usec_sub(now, t->lost) > LOST_US)
		interrupt(t, true, "The route fell silent.");
	else if (usec_sub(now, t->active) > SILENT_US)
		interrupt(t, true, "The device fell silent.");
}

static void on_tick(void *arg)
{
	struct transfer *t = arg;

	if (t->config->show)
		show(t);
	if (t->state == RUNNING)
		check_alive(t);
	loop_timer_after(&t->tick, SHOW_US);
}

static void on_signal(void *arg, int signo)
{
	struct transfer *t = arg;

	if (t->state == DONE)
		return;
	clear_line(t);
	cli_say("stopped. What arrived is kept: run the same command again to go on.");
	finish(t, 128 + signo);
}

static int start(struct transfer *t)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP };

	int err = loop_create(&t->loop);
	if (err < 0)
		return err;
	loop_timer_init(t->loop, &t->turn, on_turn, t);
	loop_timer_init(t->loop, &t->tick, on_tick, t);
	loop_timer_init(t->loop, &t->again, on_again, t);
	err = loop_signal_start(t->loop, &t->signals, signals, ARRAY_LEN(signals), on_signal, t);
	if (err < 0)
		return err;
	t->began = t->rate_at = usec_monotonic();
	begin_session(t);
	return loop_timer_after(&t->tick, SHOW_US);
}

int transfer_run(const struct transfer_config *config, struct transfer_result *result)
{
	const char *names[FILES_ROOTS_MAX] = { 0 };
	struct transfer t = { .config = config,
			      .channel = -1,
			      .names = (char *const *)names,
			      .retry.limit_us = config->retry_us,
			      .signals.fd = -1,
			      .status = CLI_FAILURE,
			      .result = result };

	*result = (struct transfer_result){ .route = "none" };
	for (size_t i = 0; !config->put && i < config->n_from; i++)
		names[i] = files_base(config->from[i]);
	int err = start(&t);
	while (err == 0 && t.state != DONE) {
		err = loop_turn(t.loop, USEC_NEVER);
		if (err == 0 && t.state == BROKEN)
			mend(&t);
	}
	if (t.loop) {
		end_attempt(&t);
		end_session(&t);
		loop_timer_stop(&t.tick);
		loop_timer_stop(&t.again);
		loop_signal_stop(&t.signals);
	}
	clear_line(&t);
	result->seconds = (double)(usec_monotonic() - t.began) / 1e6;
	if (err < 0)
		cli_say("%s", err_text(err));
	else if (t.failure.code[0])
		cli_say("%s", t.failure.text);
	loop_destroy(t.loop);
	return t.status;
}
