#include "hub/realtime/console.h"

#include <string.h>

#include "base/log.h"
#include "base/text.h"
#include "hub/json/messages.h"
#include "hub/realtime/ice_servers.h"

/* ---- methods ---- */

static void call_watch(void *arg, const char *call_id, json_t *args)
{
	struct console *c = arg;
	json_t *list = registry_watch(c->hub->registry, &c->watcher, c->rt);

	if (list)
		rt_result(c->rt, call_id, list);
	else
		rt_error(c->rt, call_id, "busy", "The hub is out of memory; try again later.");
}

static void call_ice(void *arg, const char *call_id, json_t *args)
{
	struct console *c = arg;
	const char *id = schema_string(args, "device");
	const struct device *d = id ? registry_find(c->hub->registry, id) : NULL;
	struct policy policy;
	json_t *servers;

	if (id && !d) {
		rt_error(c->rt, call_id, "unknown-device", "There is no such device.");
		return;
	}
	if (d)
		place_effective(d->place, &policy);
	servers = ice_servers_for(c->hub, c->host, c->user, d ? &policy : NULL);
	if (servers)
		rt_result(c->rt, call_id, servers);
	else
		rt_error(c->rt, call_id, "busy", "The hub is out of memory; try again later.");
}

static void call_connect(void *arg, const char *call_id, json_t *args)
{
	struct console *c = arg;

	broker_connect(c->hub->broker, c, call_id, args);
}

/* A session that this connection owns, or NULL with the error sent. */
static struct session *own(struct console *c, const char *call_id, const json_t *args)
{
	struct session *s = broker_find(c->hub->broker, schema_string(args, "session"));

	if (s && s->console == c && !s->ended)
		return s;
	rt_error(c->rt, call_id, "unknown-session",
		 "This connection has no such session; it may have ended.");
	return NULL;
}

static void call_trickle(void *arg, const char *call_id, json_t *args)
{
	struct console *c = arg;
	struct session *s = own(c, call_id, args);

	if (!s)
		return;
	broker_to_device(s, "trickle", args);
	rt_result(c->rt, call_id, NULL);
}

static void call_route(void *arg, const char *call_id, json_t *args)
{
	struct console *c = arg;
	struct session *s = own(c, call_id, args);

	if (!s)
		return;
	broker_route(s, false, json_object_get(args, "route"), rt_call_keep(c->rt, call_id));
}

static void call_resume(void *arg, const char *call_id, json_t *args)
{
	struct console *c = arg;
	struct session *s = broker_find(c->hub->broker, schema_string(args, "session"));
	bool ok = s && !s->ended && s->stored && strcmp(s->user, c->user) == 0 &&
		  (s->console == c || c->n_sessions < BROKER_PER_CONSOLE);

	if (ok)
		broker_resume(s, c);
	rt_result(c->rt, call_id, json_pack("{s:b}", "ok", ok));
}

static void call_restart(void *arg, const char *call_id, json_t *args)
{
	struct console *c = arg;
	struct session *s = own(c, call_id, args);

	if (!s)
		return;
	if (!s->device->online) {
		rt_error(c->rt, call_id, "offline",
			 "The device is not connected to the hub now; try again when it is.");
		return;
	}
	broker_to_device(s, "restart", args);
	rt_result(c->rt, call_id, NULL);
}

static void call_end(void *arg, const char *call_id, json_t *args)
{
	struct console *c = arg;
	struct session *s = own(c, call_id, args);

	if (!s)
		return;
	broker_end(s, BROKER_BY_CONSOLE, schema_string(args, "reason"),
		   rt_call_keep(c->rt, call_id));
}

static const struct rt_method methods[] = {
	{ "WatchDevices", message_empty, call_watch },
	{ "IceServers", message_ice_servers, call_ice },
	{ "Connect", message_connect, call_connect },
	{ "Trickle", message_trickle, call_trickle },
	{ "Route", message_route, call_route },
	{ "Resume", message_session, call_resume },
	{ "Restart", message_restart, call_restart },
	{ "End", message_end, call_end },
	{ 0 },
};

/* ---- life ---- */

static void on_connected(void *arg)
{
}

static void on_drain(void *arg)
{
	struct console *c = arg;

	if (c->watcher.node.next && !list_empty(&c->watcher.node))
		registry_more(c->hub->registry, &c->watcher);
}

static void free_console(void *arg)
{
	free(arg);
}

static void on_closed(void *arg)
{
	struct console *c = arg;
	struct session *s, *next;

	registry_unwatch(&c->watcher);
	list_for_each (s, next, &c->sessions, console_node)
		broker_console_gone(s);
	list_remove(&c->node);
	loop_defer(c->hub->loop, &c->end, free_console, c);
}

static const struct rt_handler handler = {
	.methods = methods,
	.on_connected = on_connected,
	.on_drain = on_drain,
	.on_closed = on_closed,
};

struct rt *console_make(struct exchange *x, const struct rt_carrier *carrier)
{
	const struct rt_config config = { 0 }; /* SignalR's own: 15 s and 30 s */
	struct console *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->hub = x->hub;
	list_init(&c->sessions);
	list_init(&c->watcher.node);
	text_copy(c->user, sizeof(c->user), x->user.id);
	text_copy(c->user_name, sizeof(c->user_name), x->user.display_name);
	text_copy(c->host, sizeof(c->host), x->host);
	c->by_cookie = x->credential == CREDENTIAL_COOKIE;
	memcpy(c->cookie, x->credential_hash, sizeof(c->cookie));
	c->rt = rt_create(x->hub->loop, carrier, &config, &handler, c);
	if (!c->rt) {
		free(c);
		return NULL;
	}
	list_push_back(&x->hub->consoles, &c->node);
	return c->rt;
}

void console_signed_out(struct hub *h, const uint8_t *cookie, const char *user, const uint8_t *keep)
{
	struct console *c, *next;

	list_for_each (c, next, &h->consoles, node) {
		bool mine = cookie ? memcmp(c->cookie, cookie, 32) == 0
				   : strcmp(c->user, user) == 0 &&
					     !(keep && memcmp(c->cookie, keep, 32) == 0);

		if (!c->by_cookie || !mine)
			continue;
		rt_send(c->rt, "signedOut", json_object());
		rt_close(c->rt, WS_CODE_POLICY, "signed out");
	}
}
