#include "modules/files/files.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "modules/files/receiver.h"
#include "modules/files/sender.h"

#define STEPS_PER_TURN 32

static const char where[] = "on the device";

struct transfers {
	struct loop *loop;
	struct module *module;
	struct list all;
	size_t n;
};

struct transfer {
	struct list node;
	struct transfers *owner;
	uint16_t channel;
	bool paused;
	struct files_sender *sender; /* one of the two, after the request */
	struct files_receiver *receiver;
	struct span held; /* a message that the module's queue had no room for */
	struct loop_timer turn;
	struct loop_deferred gone;
};

static void on_gone(void *arg)
{
	free(arg);
}

static void drop(struct transfer *t)
{
	loop_timer_stop(&t->turn);
	files_sender_destroy(FL_STEAL(t->sender));
	files_receiver_destroy(FL_STEAL(t->receiver));
	list_remove(&t->node);
	t->owner->n--;
	loop_defer(t->owner->loop, &t->gone, on_gone, t);
}

/* Tells why and closes the channel; for what fails before there is a sender or receiver. */
static void refuse(struct transfer *t, const struct files_failure *failure)
{
	FL_AUTOFREE char *text = files_failure_format(failure);
	uint8_t bytes[4096];
	struct files_message m = { .type = FILES_FAILED, .bytes = span_str(text ? text : "{}") };
	int n = files_message_put(&m, bytes, sizeof(bytes));

	if (n < 0 ||
	    module_send(t->owner->module, t->channel, span_of(bytes, (size_t)n), false) < 0)
		log_warn("files-refusal-lost", "code=%s", failure->code);
	(void)module_close(t->owner->module, t->channel);
	drop(t);
}

static void refuse_because(struct transfer *t, const char *code, const char *why)
{
	struct files_failure failure = { 0 };

	files_fail(&failure, code, "%s", why);
	refuse(t, &failure);
}

static enum files_step step(struct transfer *t, struct span *out)
{
	return t->sender ? files_sender_step(t->sender, out)
			 : files_receiver_step(t->receiver, out);
}

static void on_turn(void *arg)
{
	struct transfer *t = arg;

	for (int i = 0; i < STEPS_PER_TURN && !t->paused && (t->sender || t->receiver); i++) {
		enum files_step did = t->held.len ? FILES_STEP_MESSAGE : step(t, &t->held);
		if (did == FILES_STEP_IDLE)
			return;
		if (did == FILES_STEP_OVER) {
			(void)module_close(t->owner->module, t->channel);
			drop(t);
			return;
		}
		if (did != FILES_STEP_MESSAGE)
			continue;
		int err = module_send(t->owner->module, t->channel, t->held, false);
		if (err == FL_EQUOTA) /* on_drain comes */
			return;
		if (err < 0) {
			drop(t);
			return;
		}
		t->held = span_of(NULL, 0);
	}
	if (!t->paused)
		loop_timer_after(&t->turn, 0);
}

/* ---- requests ---- */

static bool begin_put(struct transfer *t, const struct files_request *request,
		      struct files_failure *failure)
{
	struct files_receiver_config config = { .force = request->force, .where = where };
	bool into = request->into;
	uint8_t bytes[64];

	if (!files_target_open(request->paths[0], request->many, request->has_into, &into, where,
			       &config.target, failure))
		return false;
	if (files_receiver_create(&config, &t->receiver) < 0)
		return files_fail(failure, "internal", "The device is out of memory.");
	struct files_message m = { .type = FILES_BEGUN,
				   .bytes = span_str(into ? "{\"into\":true}"
							  : "{\"into\":false}") };
	int n = files_message_put(&m, bytes, sizeof(bytes));
	if (n < 0 ||
	    module_send(t->owner->module, t->channel, span_of(bytes, (size_t)n), false) < 0)
		return files_fail(failure, "internal", "The device cannot answer now.");
	return true;
}

static bool begin_send(struct transfer *t, const struct files_request *request,
		       struct files_failure *failure)
{
	struct files_sender_config config = {
		.paths = request->paths,
		.n_paths = request->n_paths,
		.list = request->type == FILES_LIST,
		.where = where,
	};

	return files_sender_create(&config, &t->sender) == 0 ||
	       files_fail(failure, "internal", "The device is out of memory.");
}

static void take_request(struct transfer *t, const struct files_message *m)
{
	struct files_failure failure = { 0 };
	struct files_request request;
	char why[128];

	if (m->type != FILES_PUT && m->type != FILES_GET && m->type != FILES_LIST) {
		refuse_because(t, "bad-request", "The first message must be PUT, GET or LIST.");
		return;
	}
	if (files_request_parse(m, &request, why) < 0) {
		refuse_because(t, "bad-request", why);
		return;
	}
	bool good = m->type == FILES_PUT ? begin_put(t, &request, &failure)
					 : begin_send(t, &request, &failure);
	files_request_finish(&request);
	if (good)
		loop_timer_after(&t->turn, 0);
	else
		refuse(t, &failure);
}

/* ---- the module's side ---- */

static struct transfer *find(struct transfers *ts, uint16_t channel)
{
	struct transfer *t, *tmp;

	list_for_each (t, tmp, &ts->all, node)
		if (t->channel == channel)
			return t;
	return NULL;
}

static void on_open(void *arg, uint16_t channel)
{
	struct transfers *ts = arg;
	struct transfer *t = find(ts, channel) ? NULL : calloc(1, sizeof(*t));

	if (!t) {
		(void)module_close(ts->module, channel);
		return;
	}
	t->owner = ts;
	t->channel = channel;
	loop_timer_init(ts->loop, &t->turn, on_turn, t);
	list_push_back(&ts->all, &t->node);
	ts->n++;
	if (ts->n > TRANSFERS_MAX)
		refuse_because(t, "limit",
			       "This session has 8 transfers already. Wait until one has ended.");
}

static void on_data(void *arg, uint16_t channel, struct span data, bool text)
{
	struct transfer *t = find(arg, channel);
	struct files_message m;

	if (!t)
		return;
	if (text || files_message_get(data, &m) < 0) {
		refuse_because(t, "bad-request", "A message came that the protocol does not know.");
		return;
	}
	if (t->sender)
		files_sender_input(t->sender, &m);
	else if (t->receiver)
		files_receiver_input(t->receiver, &m);
	else
		take_request(t, &m);
	if ((t->sender || t->receiver) && !loop_timer_running(&t->turn))
		loop_timer_after(&t->turn, 0);
}

static void on_close(void *arg, uint16_t channel)
{
	struct transfer *t = find(arg, channel);

	if (t)
		drop(t);
}

static void on_pause(void *arg, uint16_t channel, bool paused)
{
	struct transfer *t = find(arg, channel);

	if (!t)
		return;
	t->paused = paused;
	if (!paused)
		loop_timer_after(&t->turn, 0);
}

static void on_drain(void *arg)
{
	struct transfers *ts = arg;
	struct transfer *t, *tmp;

	list_for_each (t, tmp, &ts->all, node)
		loop_timer_after(&t->turn, 0);
}

const struct module_handler transfers_handler = {
	.on_open = on_open,
	.on_data = on_data,
	.on_close = on_close,
	.on_pause = on_pause,
	.on_drain = on_drain,
};

struct transfers *transfers_create(struct loop *loop)
{
	struct transfers *ts = calloc(1, sizeof(*ts));

	if (!ts)
		return NULL;
	ts->loop = loop;
	list_init(&ts->all);
	return ts;
}

void transfers_attach(struct transfers *ts, struct module *module)
{
	ts->module = module;
}

void transfers_destroy(struct transfers *ts)
{
	struct transfer *t, *tmp;

	if (!ts)
		return;
	list_for_each (t, tmp, &ts->all, node)
		drop(t);
	free(ts);
}
