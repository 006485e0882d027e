#include "hub/realtime/broker.h"

#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "base/map.h"
#include "base/text.h"
#include "hub/identity/grant.h"
#include "hub/realtime/budget.h"
#include "hub/realtime/console.h"
#include "hub/realtime/endpoint.h"
#include "hub/realtime/ice_servers.h"
#include "hub/realtime/rows.h"

#define SWEEP_US (5 * USEC_PER_SEC)

struct broker {
	struct hub *hub;
	struct map *by_id;
	struct list all;
	struct loop_timer sweep;
};

/* ---- rows ---- */

static struct row row_of(const struct session *s, enum row_change change, const char *text)
{
	return (struct row){ .change = change,
			     .session = s->id,
			     .device = s->device->id,
			     .user = s->user,
			     .text = text };
}

static void route_stored(void *arg, const char *id, bool from_device, int err);

static void submit_route(struct session *s, bool from_device, const char *text,
			 struct rt_call *call)
{
	struct row row = row_of(s, ROW_ROUTE, text);

	row.from_device = from_device;
	row.verdict = verdicts_row(s);
	row.call = call;
	row.stored = route_stored;
	row.arg = s->broker;
	s->routes[from_device].busy = rows_submit(s->broker->hub, &row) == 0;
}

static void submit_waiting(struct session *s, bool from_device)
{
	struct session_route *r = &s->routes[from_device];
	FL_AUTOFREE char *text = FL_STEAL(r->waiting);

	if (text)
		submit_route(s, from_device, text, FL_STEAL(r->call));
}

static void route_stored(void *arg, const char *id, bool from_device, int err)
{
	struct session *s = broker_find(arg, id);

	if (!s)
		return;
	s->routes[from_device].busy = false;
	if (!s->ended)
		submit_waiting(s, from_device);
}

/* One is written at a time and side; of those that come meanwhile only the last counts. */
void broker_route(struct session *s, bool from_device, const json_t *route, struct rt_call *call)
{
	struct session_route *r = &s->routes[from_device];
	char *text = json_dumps(route, JSON_COMPACT);

	verdicts_take(s, from_device, route);
	if (!text) {
		rt_call_answer(call, -ENOMEM);
	} else if (r->busy) {
		rt_call_answer(r->call, 0);
		free(r->waiting);
		r->waiting = text;
		r->call = call;
	} else {
		submit_route(s, from_device, text, call);
		free(text);
	}
}

/* ---- life of a session ---- */

static void session_free(struct session *s)
{
	map_remove(s->broker->by_id, span_str(s->id));
	list_remove(&s->all);
	loop_timer_stop(&s->answer_timer);
	for (size_t i = 0; i < ARRAY_LEN(s->routes); i++) {
		free(s->routes[i].waiting);
		rt_call_answer(s->routes[i].call, FL_ECLOSED);
	}
	json_decref(s->connected);
	json_decref(s->held);
	verdicts_finish(s);
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
	broker_refused(arg, "no-answer", "The device did not answer within 10 seconds.", NULL);
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
	budget_changed(s->broker->hub->budget);
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

/* The last word of both sides about the route, then the end. */
static void submit_end(struct session *s, const char *actor, const char *action, const char *reason,
		       json_t *detail, struct rt_call *call)
{
	struct row row = row_of(s, ROW_END, reason);

	submit_waiting(s, false);
	submit_waiting(s, true);
	verdicts_end(s);
	row.verdict = verdicts_row(s);
	row.actor = actor;
	row.action = action;
	row.detail = detail;
	row.call = call;
	/* a row that cannot be ended now is ended as lost after the next start */
	if (rows_submit(s->broker->hub, &row) < 0)
		log_warn("session-end-not-stored", "session=%s", s->id);
}

void broker_end(struct session *s, enum broker_by by, const char *reason, struct rt_call *call)
{
	json_t *arg;

	if (s->ended) {
		rt_call_answer(call, 0);
		return;
	}
	submit_end(s, actor_of(s, by), "session-end", reason,
		   json_pack("{s:s, s:s, s:s}", "session", s->id, "by", by_names[by], "reason",
			     reason),
		   call);
	if (by != BROKER_BY_CONSOLE) {
		arg = json_pack("{s:s, s:s, s:s}", "session", s->id, "by", by_names[by], "reason",
				reason);
		broker_to_console(s, "ended", arg);
		json_decref(arg);
	}
	if (by != BROKER_BY_DEVICE) {
		arg = json_pack("{s:s, s:s}", "session", s->id, "reason", reason);
		broker_to_device(s, "end", arg);
		json_decref(arg);
	}
	session_over(s);
}

void broker_refused(struct session *s, const char *code, const char *message, struct rt_call *call)
{
	json_t *arg;

	if (s->ended) {
		rt_call_answer(call, 0);
		return;
	}
	arg = json_pack("{s:s, s:s, s:s}", "session", s->id, "code", code, "message", message);
	submit_end(s, s->user_name, "session-refused", code, json_incref(arg), call);
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
		broker_end(s, BROKER_BY_HUB, "internal", NULL);
	}
}

/* ---- connect ---- */

static void add_stored(void *arg, const char *id, bool from_device, int err)
{
	struct session *s = broker_find(arg, id);

	if (s)
		session_stored(s, err);
}

static bool submit_new(struct session *s, const json_t *modules)
{
	FL_AUTOFREE char *text = json_dumps(modules, JSON_COMPACT);
	struct row row = row_of(s, ROW_ADD, text);

	row.actor = s->user_name;
	row.action = "session-start";
	row.detail = json_pack("{s:s, s:s, s:O}", "session", s->id, "deviceName", s->device->name,
			       "modules", modules);
	row.stored = add_stored;
	row.arg = s->broker;
	return rows_submit(s->broker->hub, &row) == 0;
}

/* Grant and messages; false: no memory. */
static bool begin(struct session *s, const char *fingerprint, json_t *args)
{
	struct hub *h = s->broker->hub;
	json_t *modules = json_object_get(args, "modules");
	struct policy policy;
	struct grant g = { .session = s->id,
			   .user = s->user,
			   .name = s->user_name,
			   .device = s->device->id,
			   .modules = modules,
			   .issued = hub_now_ms() / 1000,
			   .fingerprint = fingerprint };
	FL_AUTOFREE char *grant = NULL;
	char key[HUBKEY_TEXT_CAP];
	json_t *ice, *arg;

	place_effective(s->device->place, &policy);
	g.policy = policy_json(&policy);
	s->limit = policy_kbit(&policy); /* where both ends begin */
	grant = g.policy ? grant_sign(h->key, &g) : NULL;
	json_decref(g.policy);
	if (!grant)
		return false;
	text_b64url_encode(span_of(s->device->key, 32), key, sizeof(key));
	s->connected = json_pack("{s:s, s:s, s:I, s:s}", "session", s->id, "grant", grant,
				 "expires", 1000 * ((json_int_t)g.issued + GRANT_LIFE_S),
				 "deviceKey", key);
	ice = ice_servers_for(h, s->device->online->host, s->device->id, &policy);
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

static size_t sessions_of(struct device *d)
{
	struct session *s, *next;
	size_t n = 0;

	list_for_each (s, next, &d->sessions, device_node)
		n++;
	return n;
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
	else if (sessions_of(d) >= BROKER_PER_DEVICE)
		rt_error(c->rt, call_id, "busy", "This device has %d sessions; end one first.",
			 BROKER_PER_DEVICE);
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
	budget_changed(s->broker->hub->budget);
}

void broker_resume(struct session *s, struct console *c)
{
	drop_console(s);
	hold(s, c);
	s->limit = -1; /* it may have changed while the console was away */
	verdicts_tell(s);
	budget_changed(s->broker->hub->budget);
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
		if (is_named(named, s->id)) {
			s->limit = -1;
			broker_answered(s);
		} else
			broker_end(s, BROKER_BY_DEVICE, "lost", NULL);
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
			broker_refused(s, "offline", "The device went away before it answered.",
				       NULL);
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
		broker_end(s, BROKER_BY_HUB, "forgotten", NULL);
}

/* ---- the broker ---- */

struct session *broker_find(struct broker *b, const char *id)
{
	return id ? map_get(b->by_id, span_str(id)) : NULL;
}

struct session *broker_next(struct broker *b, struct session *after)
{
	struct list *at = after ? after->all.next : b->all.next;

	while (at != &b->all && list_entry(at, struct session, all)->ended)
		at = at->next;
	return at == &b->all ? NULL : list_entry(at, struct session, all);
}

struct hub *broker_hub(const struct broker *b)
{
	return b->hub;
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
			broker_end(s, BROKER_BY_HUB, "lost", NULL);
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
	verdicts_load(s, row);
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
