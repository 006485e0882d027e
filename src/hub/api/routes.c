/* How sessions travelled, place by place: what the console's network page shows. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "hub/api/api.h"

#define DAYS_DEFAULT 7
#define DAYS_MAX 366
#define CAUSES_MAX 16 /* of one place; the rest is in the sums only */
#define MS_PER_DAY (INT64_C(24) * 3600 * 1000)

static int64_t days_of(const struct exchange *x)
{
	char text[8], *end;
	long days;

	if (http_query_get(span_str(x->query), "days", text, sizeof(text)) <= 0)
		return DAYS_DEFAULT;
	days = strtol(text, &end, 10);
	return *end || days < 1 || days > DAYS_MAX ? DAYS_DEFAULT : days;
}

static json_t *new_place(const struct store_route_count *c)
{
	return json_pack("{s:s, s:s, s:i, s:i, s:i, s:i, s:i, s:[]}", "place", c->place, "name",
			 c->name, "sessions", 0, "local", 0, "punched", 0, "relayed", 0, "none", 0,
			 "causes");
}

static void add(json_t *place, const char *key, int64_t n)
{
	json_t *sum = json_object_get(place, key);

	json_integer_set(sum, json_integer_value(sum) + n);
}

static json_t *cause_json(const struct store_route_count *c)
{
	json_t *verdict = json_loads(c->verdict.json, 0, NULL);
	json_t *o = json_pack("{s:s, s:s, s:s, s:I, s:O?, s:O?}", "cause", c->verdict.cause, "side",
			      c->verdict.side, "method", c->verdict.method, "count",
			      (json_int_t)c->sessions, "sentence",
			      json_object_get(verdict, "sentence"), "remedy",
			      json_object_get(verdict, "remedy"));

	json_decref(verdict);
	return o;
}

/* The rows of a place come together. */
static int put_count(void *arg, const struct store_route_count *c)
{
	json_t *places = arg, *causes;
	json_t *place = json_array_get(places, json_array_size(places) - 1);
	const char *last = json_string_value(json_object_get(place, "place"));

	if (!last || strcmp(last, c->place) != 0) {
		place = new_place(c);
		if (json_array_append_new(places, place) < 0)
			return -ENOMEM;
	}
	add(place, "sessions", c->sessions);
	add(place, c->verdict.method, c->sessions);
	causes = json_object_get(place, "causes");
	if (json_array_size(causes) >= CAUSES_MAX)
		return 0;
	return json_array_append_new(causes, cause_json(c)) < 0 ? -ENOMEM : 0;
}

struct ranked {
	json_int_t sessions;
	json_t *place; /* borrowed */
};

static int by_sessions(const void *a, const void *b)
{
	json_int_t x = ((const struct ranked *)a)->sessions;
	json_int_t y = ((const struct ranked *)b)->sessions;

	return (x < y) - (x > y);
}

static json_t *sorted(const json_t *places)
{
	size_t n = json_array_size(places);
	struct ranked *rows = calloc(n + 1, sizeof(*rows));
	json_t *out = rows ? json_array() : NULL;

	for (size_t i = 0; rows && i < n; i++) {
		rows[i].place = json_array_get(places, i);
		rows[i].sessions = json_integer_value(json_object_get(rows[i].place, "sessions"));
	}
	if (rows)
		qsort(rows, n, sizeof(*rows), by_sessions);
	for (size_t i = 0; out && i < n; i++)
		json_array_append(out, rows[i].place);
	free(rows);
	return out;
}

static int work_routes(struct exchange *x, struct store *s)
{
	int64_t since = x->now - days_of(x) * MS_PER_DAY;
	json_t *places = json_array();
	int err = places ? s->ops->routes(s, since, put_count, places) : -ENOMEM;

	if (err == 0)
		x->result = json_pack("{s:I, s:o}", "since", (json_int_t)since, "places",
				      sorted(places));
	json_decref(places);
	return err < 0 ? err : x->result ? 0 : -ENOMEM;
}

const struct route api_route_routes[] = {
	{ HTTP_METHOD_GET, "/api/routes", .access = ROUTE_SIGNED_IN, .work = work_routes },
	{ 0 },
};
