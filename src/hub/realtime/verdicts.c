#include "hub/realtime/verdicts.h"

#include <string.h>

#include "hub/metrics.h"
#include "hub/realtime/broker.h"
#include "hub/realtime/console.h"
#include "hub/realtime/endpoint.h"
#include "hub/realtime/ice_servers.h"

/* By the names that this session's ends were told. */
static size_t relays_of(const struct session *s, struct verdict_relay relays[VERDICT_RELAYS_MAX])
{
	const char *host = s->device->online ? s->device->online->host
			   : s->console	     ? s->console->host
					     : "";
	json_t *urls = ice_servers_turn_urls(broker_hub(s->broker), host, NULL);
	size_t n = 0;

	for (size_t i = 0; i < json_array_size(urls); i++)
		(void)verdict_relay_add(relays, &n, json_string_value(json_array_get(urls, i)));
	json_decref(urls);
	return n;
}

static bool make(const struct session *s, bool ended, struct verdict *out)
{
	struct verdict_relay relays[VERDICT_RELAYS_MAX];
	struct policy policy;
	const struct verdict_question q = {
		.console = &s->verdict.seen[0],
		.device = &s->verdict.seen[1],
		.device_last = s->verdict.device_last,
		.ended = ended,
		.policy = &policy,
		.relays = relays,
		.n_relays = relays_of(s, relays),
	};

	place_effective(s->device->place, &policy);
	return verdict_make(&q, out);
}

void verdicts_tell(struct session *s)
{
	json_t *verdict = s->verdict.json ? json_loads(s->verdict.json, 0, NULL) : NULL;
	json_t *arg = verdict ? json_pack("{s:s, s:o}", "session", s->id, "verdict", verdict)
			      : NULL;

	if (arg)
		broker_to_console(s, "verdict", arg);
	json_decref(arg);
}

static void update(struct session *s, bool ended)
{
	struct session_verdict *mine = &s->verdict;
	struct verdict v;
	json_t *object;
	char *text;

	if (!make(s, ended, &v))
		return;
	object = verdict_json(&v);
	text = object ? json_dumps(object, JSON_COMPACT) : NULL;
	json_decref(object);
	if (!text || (mine->json && strcmp(text, mine->json) == 0)) {
		free(text);
		return;
	}
	free(mine->json);
	mine->json = text;
	mine->method = v.method;
	mine->transport = v.transport;
	mine->cause = v.cause;
	mine->side = v.side;
	verdicts_tell(s);
}

static void count_set_up(struct session *s, const struct route_seen *seen)
{
	if (s->verdict.timed || seen->setup_ms < 0 || seen->method == SEEN_NONE)
		return;
	s->verdict.timed = true;
	hub_metrics_set_up(broker_hub(s->broker)->metrics, seen->method, seen->setup_ms);
}

void verdicts_take(struct session *s, bool from_device, const json_t *route)
{
	route_seen_take(route, &s->verdict.seen[from_device]);
	s->verdict.device_last = from_device;
	count_set_up(s, &s->verdict.seen[from_device]);
	update(s, false);
}

static void load(struct route_seen *seen, const char *text)
{
	json_t *route = text ? json_loads(text, 0, NULL) : NULL;

	route_seen_take(route, seen);
	json_decref(route);
}

void verdicts_load(struct session *s, const struct store_session *row)
{
	load(&s->verdict.seen[0], row->routes[0]);
	load(&s->verdict.seen[1], row->routes[1]);
	s->verdict.timed = true; /* by the hub that ran then */
	update(s, false);
}

void verdicts_end(struct session *s)
{
	update(s, true);
	hub_metrics_routed(broker_hub(s->broker)->metrics, s);
}

struct store_verdict verdicts_row(const struct session *s)
{
	const struct session_verdict *v = &s->verdict;

	return (struct store_verdict){ .json = v->json,
				       .method = verdict_methods[v->method],
				       .cause = verdict_causes[v->cause],
				       .side = verdict_sides[v->side] };
}

void verdicts_finish(struct session *s)
{
	free(s->verdict.json);
	s->verdict.json = NULL;
}
