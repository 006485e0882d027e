#include "hub/realtime/broker.h"

#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "base/map.h"
#include "base/text.h"
#include "hub/identity/grant.h"
#include "hub/realtime/console.h"
#include "hub/realtime/endpoint.h"

#define SWEEP_US (5 * USEC_PER_SEC)

struct broker {
	struct hub *hub;
	struct map *by_id;
	struct list all;
	struct loop_timer sweep;
};

/* ---- rows ---- */

enum row_change { ROW_ADD, ROW_ROUTE, ROW_END, ROW_AUDIT };

/* Copies of all it needs: the session may be gone before the store is done. */
struct row_job {
	struct store_job job;
	struct broker *broker;
	enum row_change change;
	bool from_device;
	char session[STORE_ID_CAP], device[STORE_ID_CAP], user[STORE_ID_CAP];
	char actor[STORE_TITLE_CAP], action[32];
	char target[STORE_ID_CAP];
	char *text;   /* modules, route or reason */
	char *detail; /* of the audit row */
	int64_t now;
};

static void row_free(struct row_job *j)
{
	free(j->text);
	free(j->detail);
	free(j);
}

static int row_run(struct store_job *job, struct store *s)
{
	struct row_job *j = CONTAINER_OF(job, struct row_job, job);
	const struct store_session row = { .id = j->session,
					   .device = j->device,
					   .user = j->user,
					   .modules = j->text,
					   .started = j->now };
	int err = 0;

	switch (j->change) {
	case ROW_ADD:
		err = s->ops->session_add(s, &row);
		break;
	case ROW_ROUTE:
		return s->ops->session_route(s, j->session, j->from_device, j->text);
	case ROW_END:
		err = s->ops->session_end(s, j->session, j->text, j->now);
		break;
	case ROW_AUDIT:
		break;
	}
	if (err < 0)
		return err;
	return s->ops->audit_add(s, j->now, j->actor, j->action, j->target,
				 j->detail ? j->detail : "{}");
}

static void session_stored(struct session *s, int err);

static void row_done(struct store_job *job, int err)
{
	struct row_job *j = CONTAINER_OF(job, struct row_job, job);
	struct session *s = j->change == ROW_ADD ? broker_find(j->broker, j->session) : NULL;

	if (err < 0)
		log_error("row-not-stored", "session=%s error=%s", j->session, err_name(err));
	row_free(j);
	if (s)
		session_stored(s, err);
}

/* detail is taken over. Negative: nothing was submitted. */
static int row_submit(struct row_job *j, struct hub *hub, json_t *detail)
{
	int err = -ENOMEM;

	if (j) {
		j->now = hub_now_ms();
		j->detail = detail ? json_dumps(detail, JSON_COMPACT) : NULL;
		j->job = (struct store_job){ .write = true, .run = row_run, .done = row_done };
		err = store_queue_submit(hub->store, &j->job);
	}
	json_decref(detail);
	if (err < 0) {
		log_error("row-not-stored", "error=%s", err_name(err));
		if (j)
			row_free(j);
	}
	return err;
}

static struct row_job *row_of(struct session *s, enum row_change change, const char *actor,
			      const char *action)
{
	struct row_job *j = calloc(1, sizeof(*j));

	if (!j)
		return NULL;
	j->broker = s->broker;
	j->change = change;
	text_copy(j->session, sizeof(j->session), s->id);
	text_copy(j->device, sizeof(j->device), s->device->id);
	text_copy(j->target, sizeof(j->target), s->device->id);
	text_copy(j->user, sizeof(j->user), s->user);
	text_copy(j->actor, sizeof(j->actor), actor);
	text_copy(j->action, sizeof(j->action), action);
	return j;
}

void hub_audit(struct hub *h, const char *actor, const char *action, const char *target,
	       json_t *detail)
{
	struct row_job *j = calloc(1, sizeof(*j));

	if (j) {
		j->broker = h->broker;
		j->change = ROW_AUDIT;
		text_copy(j->actor, sizeof(j->actor), actor);
		text_copy(j->action, sizeof(j->action), action);
		text_copy(j->target, sizeof(j->target), target);
	}
	if (row_submit(j, h, detail) < 0)
		log_error("audit-row-lost", "action=%s target=%s", action, target);
}

/* ---- life of a session ---- */

static void session_free(struct session *s)
{
	map_remove(s->broker->by_id, span_str(s->id));
	list_remove(&s->all);
	loop_timer_stop(&s->answer_timer);
	json_decref(s->connected);
	json_decref(s->held);
	free(s->call_id);
	free(s);
}

static void drop_console(struct session *s)
{
	if (s->console)
		s->console->n_sessions--;
	s->console = NULL;
	list_remove(&s->console_node);
}

static void note_holders(struct session *s)
{
	bool held = s->console || s->device_holds;

	if (held)
		s->alone_since = USEC_NEVER;
	else if (s->alone_since == USEC_NEVER)
		s->alone_since = loop_now(s->broker->hub->loop);
}

static void on_no_answer(void *arg)
{
	broker_refused(arg, "no-answer", "The device did not answer within 10 seconds.");
}

static struct session *session_make(struct broker *b, const char *id, struct device *d)
{
	struct session *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->broker = b;
	s->device = d;
	s->alone_since = loop_now(b->hub->loop);
	text_copy(s->id, sizeof(s->id), id);
	list_init(&s->console_node);
	loop_timer_init(b->hub->loop, &s->answer_timer, on_no_answer, s);
	if (map_put(b->by_id, span_str(s->id), s) < 0) {
		free(s);
		return NULL;
	}
	list_push_back(&b->all, &s->all);
	list_push_back(&d->sessions, &s->device_node);
	return s;
}

/* Out of everybody's sight; the memory stays until its row is stored. */
static void session_over(struct session *s)
{
	s->ended = true;
	loop_timer_stop(&s->answer_timer);
	list_remove(&s->device_node);
	if (s->stored) {
		drop_console(s);
		session_free(s);
	}
}

static const char *const by_names[] = { "device", "console", "hub" };

static const char *actor_of(const struct session *s, enum broker_by by)
{
	return by == BROKER_BY_DEVICE	 ? s->device->id
	       : by == BROKER_BY_CONSOLE ? s->user_name
					 : "hub";
}

void broker_end(struct session *s, enum broker_by by, const char *reason)
{
	json_t *to_console, *to_device;
	struct row_job *j;

	if (s->ended)
		return;
	j = row_of(s, ROW_END, actor_of(s, by), "session-end");
	if (j)
		j->text = strdup(reason);
	if (j && !j->text) {
		row_free(j);
		j = NULL;
	}
	/* a row that cannot be ended now is ended as lost after the next start */
	if (row_submit(j, s->broker->hub,
		       json_pack("{s:s, s:s, s:s}", "session", s->id, "by", by_names[by], "reason",
				 reason)) < 0)
		log_warn("session-end-not-stored", "session=%s", s->id);
	if (by != BROKER_BY_CONSOLE) {
		to_console = json_pack("{s:s, s:s, s:s}", "session", s->id, "by", by_names[by],
				       "reason", reason);
		broker_to_console(s, "ended", to_console);
		json_decref(to_console);
	}
	if (by != BROKER_BY_DEVICE) {
		to_device = json_pack("{s:s, s:s}", "session", s->id, "reason", reason);
		broker_to_device(s, "end", to_device);
		json_decref(to_device);
	}
	session_over(s);
}

void broker_refused(struct session *s, const char *code, const char *message)
{
	struct row_job *j = s->ended ? NULL : row_of(s, ROW_END, s->user_name, "session-refused");
	json_t *arg;

	if (s->ended)
		return;
	if (j)
		j->text = strdup(code);
	if (j && !j->text) {
		row_free(j);
		j = NULL;
	}
	if (row_submit(j, s->broker->hub,
		       json_pack("{s:s, s:s, s:s}", "session", s->id, "code", code, "message",
				 message)) < 0)
		log_warn("session-end-not-stored", "session=%s", s->id);
	arg = json_pack("{s:s, s:s, s:s}", "session", s->id, "code", code, "message", message);
	broker_to_console(s, "refused", arg);
	json_decref(arg);
	/* it may still be thinking about it */
	arg = json_pack("{s:s, s:s}", "session", s->id, "reason", code);
	broker_to_device(s, "end", arg);
	json_decref(arg);
	session_over(s);
}

/* ---- messages ---- */

void broker_to_console(struct session *s, const char *target, json_t *arg)
{
	if (!s->console)
		return;
	if (s->stored) {
		rt_send(s->console->rt, target, json_incref(arg));
		return;
	}
	/* the console must learn the session's name first */
	if (!s->held)
		s->held = json_array();
	if (json_array_size(s->held) < BROKER_HELD_MAX)
		json_array_append_new(s->held, json_pack("[s, O]", target, arg));
}

void broker_to_device(struct session *s, const char *target, json_t *arg)
{
	if (s->device->online)
		rt_send(s->device->online->rt, target, json_incref(arg));
}

static void tell_held(struct session *s)
{
	for (size_t i = 0; s->console && i < json_array_size(s->held); i++) {
		const json_t *m = json_array_get(s->held, i);

		rt_send(s->console->rt, json_string_value(json_array_get(m, 0)),
			json_incref(json_array_get(m, 1)));
	}
	json_decref(s->held);
	s->held = NULL;
}

static void session_stored(struct session *s, int err)
{
	s->stored = true;
	if (s->console && err < 0)
		rt_error(s->console->rt, s->call_id, "internal",
			 "The hub could not store the session; its log says why.");
	else if (s->console)
		rt_result(s->console->rt, s->call_id, FL_STEAL(s->connected));
	free(s->call_id);
	s->call_id = NULL;
	if (err == 0)
		tell_held(s);
	if (s->ended) {
		drop_console(s);
		session_free(s);
	} else if (err < 0) {
		broker_end(s, BROKER_BY_HUB, "internal");
	}
}

/* ---- connect ---- */

static bool submit_new(struct session *s, const json_t *modules)
{
	struct row_job *j = row_of(s, ROW_ADD, s->user_name, "session-start");

	if (j)
		j->text = json_dumps(modules, JSON_COMPACT);
	if (j && !j->text) {
		row_free(j);
		j = NULL;
	}
	return row_submit(j, s->broker->hub,
			  json_pack("{s:s, s:s, s:O}", "session", s->id, "deviceName",
				    s->device->name, "modules", modules)) == 0;
}

/* Grant and messages; false: no memory. */
static bool begin(struct session *s, const char *fingerprint, json_t *args)
{
	struct hub *h = s->broker->hub;
	json_t *modules = json_object_get(args, "modules");
	const struct grant g = { .session = s->id,
				 .user = s->user,
				 .name = s->user_name,
				 .device = s->device->id,
				 .modules = modules,
				 .issued = hub_now_ms() / 1000,
				 .fingerprint = fingerprint };
	FL_AUTOFREE char *grant = grant_sign(h->key, &g);
	char key[HUBKEY_TEXT_CAP];
	json_t *ice, *arg;

	if (!grant)
		return false;
	text_b64url_encode(span_of(s->device->key, 32), key, sizeof(key));
	s->connected = json_pack("{s:s, s:s, s:I, s:s}", "session", s->id, "grant", grant,
				 "expires", (json_int_t)((g.issued + GRANT_LIFE_S) * 1000),
				 "deviceKey", key);
	ice = console_ice_servers(h, s->device->online->host);
	arg = json_pack("{s:s, s:s, s:O, s:O}", "session", s->id, "grant", grant, "sdp",
			json_object_get(args, "sdp"), "iceServers",
			json_object_get(ice, "iceServers"));
	json_decref(ice);
	if (!s->connected || !arg || !submit_new(s, modules)) {
		json_decref(arg);
		return false;
	}
	/* at once: the row is written while the device thinks about its answer */
	broker_to_device(s, "connect", arg);
	json_decref(arg);
	return true;
}

static void hold(struct session *s, struct console *c)
{
	s->console = c;
	c->n_sessions++;
	list_push_back(&c->sessions, &s->console_node);
	note_holders(s);
}

void broker_connect(struct broker *b, struct console *c, const char *call_id, json_t *args)
{
	struct device *d = registry_find(b->hub->registry, schema_string(args, "device"));
	const char *sdp = schema_string(args, "sdp");
	char fingerprint[FINGERPRINT_CAP], id[STORE_ID_CAP];
	struct session *s;

	if (!d)
		rt_error(c->rt, call_id, "unknown-device", "There is no such device.");
	else if (!d->online)
		rt_error(c->rt, call_id, "offline", "The device is not connected to the hub.");
	else if (json_array_size(json_object_get(args, "modules")) == 0)
		rt_error(c->rt, call_id, "bad-request", "modules is empty");
	else if (!grant_fingerprint(span_str(sdp), fingerprint))
		rt_error(c->rt, call_id, "bad-request", "sdp has no single sha-256 fingerprint");
	else if (c->n_sessions >= BROKER_PER_CONSOLE)
		rt_error(c->rt, call_id, "busy", "This console has %d sessions; end one first.",
			 BROKER_PER_CONSOLE);
	else {
		id_make(rng_system(), 15, id, sizeof(id));
		s = session_make(b, id, d);
		if (s) {
			text_copy(s->user, sizeof(s->user), c->user);
			text_copy(s->user_name, sizeof(s->user_name), c->user_name);
			hold(s, c);
			s->call_id = call_id ? strdup(call_id) : NULL;
		}
		if (s && (s->call_id || !call_id) && begin(s, fingerprint, args) &&
		    loop_timer_after(&s->answer_timer, BROKER_ANSWER_US) == 0)
			return;
		rt_error(c->rt, call_id, "busy", "The hub is out of memory; try again later.");
		if (s) {
			drop_console(s);
			s->stored = true;
			session_over(s);
		}
	}
}

void broker_answered(struct session *s)
{
	s->answered = s->device_holds = true;
	loop_timer_stop(&s->answer_timer);
	note_holders(s);
}

void broker_resume(struct session *s, struct console *c)
{
	drop_console(s);
	hold(s, c);
}

void broker_console_gone(struct session *s)
{
	drop_console(s);
	note_holders(s);
}

/* ---- the device's side ---- */

static bool is_named(const json_t *named, const char *id)
{
	for (size_t i = 0; i < json_array_size(named); i++)
		if (strcmp(schema_string(json_array_get(named, i), "id"), id) == 0)
			return true;
	return false;
}

void broker_device_here(struct broker *b, struct device *d, const json_t *named)
{
	struct session *s, *next;

	list_for_each (s, next, &d->sessions, device_node) {
		if (is_named(named, s->id))
			broker_answered(s);
		else
			broker_end(s, BROKER_BY_DEVICE, "lost");
	}
	for (size_t i = 0; i < json_array_size(named); i++) {
		const char *id = schema_string(json_array_get(named, i), "id");

		s = broker_find(b, id);
		if (!s || s->device != d || s->ended)
			rt_send(d->online->rt, "end",
				json_pack("{s:s, s:s}", "session", id, "reason", "unknown"));
	}
}

void broker_device_gone(struct device *d)
{
	struct session *s, *next;

	list_for_each (s, next, &d->sessions, device_node) {
		if (!s->answered) {
			broker_refused(s, "offline", "The device went away before it answered.");
			continue;
		}
		s->device_holds = false;
		note_holders(s);
	}
}

void broker_device_forgotten(struct device *d)
{
	struct session *s, *next;

	list_for_each (s, next, &d->sessions, device_node)
		broker_end(s, BROKER_BY_HUB, "forgotten");
}

void broker_route(struct session *s, bool from_device, const json_t *route)
{
	struct row_job *j = row_of(s, ROW_ROUTE, "", "");

	if (j)
		j->text = json_dumps(route, JSON_COMPACT);
	if (j && !j->text) {
		row_free(j);
		j = NULL;
	}
	if (j)
		j->from_device = from_device;
	if (row_submit(j, s->broker->hub, NULL) < 0)
		log_warn("route-not-stored", "session=%s", s->id);
}

/* ---- the broker ---- */

struct session *broker_find(struct broker *b, const char *id)
{
	return id ? map_get(b->by_id, span_str(id)) : NULL;
}

size_t broker_count(const struct broker *b)
{
	return map_count(b->by_id);
}

static void on_sweep(void *arg)
{
	struct broker *b = arg;
	usec_t now = loop_now(b->hub->loop);
	struct session *s, *next;

	list_for_each (s, next, &b->all, all)
		if (!s->ended && s->alone_since != USEC_NEVER &&
		    now - s->alone_since >= BROKER_ALONE_US)
			broker_end(s, BROKER_BY_HUB, "lost");
	if (loop_timer_after(&b->sweep, SWEEP_US) < 0)
		log_warn("memory", NULL);
}

int broker_create(struct hub *hub, struct broker **out)
{
	struct broker *b = calloc(1, sizeof(*b));

	if (!b)
		return -ENOMEM;
	b->hub = hub;
	b->by_id = map_create(rng_system(), BROKER_SESSIONS_MAX);
	list_init(&b->all);
	loop_timer_init(hub->loop, &b->sweep, on_sweep, b);
	if (!b->by_id || loop_timer_after(&b->sweep, SWEEP_US) < 0) {
		broker_destroy(b);
		return -ENOMEM;
	}
	*out = b;
	return 0;
}

static int load_one(void *arg, const struct store_session *row)
{
	struct broker *b = arg;
	struct device *d = registry_find(b->hub->registry, row->device);
	struct session *s;

	if (!d)
		return 0; /* forgotten; its row is closed with it */
	s = session_make(b, row->id, d);
	if (!s)
		return -ENOMEM;
	s->stored = s->answered = true;
	text_copy(s->user, sizeof(s->user), row->user);
	text_copy(s->user_name, sizeof(s->user_name), row->user_name);
	return 0;
}

int broker_load(struct broker *b, struct store *s)
{
	return s->ops->sessions_running(s, load_one, b);
}

void broker_destroy(struct broker *b)
{
	struct session *s, *next;

	if (!b)
		return;
	list_for_each (s, next, &b->all, all)
		session_free(s);
	loop_timer_stop(&b->sweep);
	map_destroy(b->by_id);
	free(b);
}
