/* The tree of places, its policies, and which device stands where: docs/protocol.md §1.2. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "base/text.h"
#include "hub/api/api.h"
#include "hub/json/messages.h"
#include "hub/realtime/broker.h"
#include "hub/realtime/budget.h"
#include "hub/realtime/places.h"

/* What work() leaves for finish(), in exchange.extra: one piece of memory. */
struct outcome {
	char id[STORE_ID_CAP], parent[STORE_ID_CAP], kind[16], name[MESSAGE_PLACE_NAME_MAX + 1];
	char policy[];
};

static struct outcome *make_outcome(const struct store_place *row)
{
	const size_t len = strlen(row->policy) + 1;
	struct outcome *o = calloc(1, sizeof(*o) + len);

	if (!o)
		return NULL;
	text_copy(o->id, sizeof(o->id), row->id);
	text_copy(o->parent, sizeof(o->parent), row->parent ? row->parent : "");
	text_copy(o->kind, sizeof(o->kind), row->kind);
	text_copy(o->name, sizeof(o->name), row->name);
	memcpy(o->policy, row->policy, len);
	return o;
}

static void answer_busy(struct exchange *x)
{
	exchange_refuse(x, 503, "busy", "The hub is out of memory; try again later.");
	exchange_answer(x);
}

static void finish_list(struct exchange *x)
{
	json_t *list = places_list(x->hub->places);

	x->result = list ? json_pack("{s:o}", "places", list) : NULL;
	if (x->result)
		exchange_answer(x);
	else
		answer_busy(x);
}

/* The tree as the changes before this one left it. NULL: no memory, or the store failed. */
static struct places *tree_of(struct store *s)
{
	struct places *p;

	if (places_create(&p) < 0)
		return NULL;
	if (places_load(p, s) == 0)
		return p;
	places_destroy(p);
	return NULL;
}

/* False when it has been refused. */
static bool take_policy(struct exchange *x, struct policy *out)
{
	char why[POLICY_WHY_CAP];
	const json_t *value = json_object_get(x->body, "policy");

	if (!value || policy_parse(value, POLICY_REFUSE_UNKNOWN, out, why) == 0)
		return true;
	exchange_refuse(x, 400, "bad-policy", "%s", why);
	return false;
}

static json_t *change_detail(const struct place *before, const struct store_place *row,
			     const struct policy *policy)
{
	return json_pack("{s:s, s:s, s:s?, s:o?, s:o}", "kind", row->kind, "name", row->name,
			 "parent", row->parent, "before",
			 before ? policy_json(&before->policy) : NULL, "policy",
			 policy_json(policy));
}

/* Writes the row, its audit row, and what finish() needs. before: NULL for a new one. */
static int store_place(struct exchange *x, struct store *s, const struct place *before,
		       const struct store_place *row, const struct policy *policy)
{
	int err = before ? s->ops->place_update(s, row) : s->ops->place_add(s, row);
	if (err == -EEXIST) {
		exchange_refuse(x, 409, "name-taken", "A place of that name stands there already.");
		return err;
	}
	if (err == 0)
		err = api_audit(x, s, x->user.name, before ? "place-change" : "place-add", row->id,
				change_detail(before, row, policy));
	if (err == 0)
		x->extra = make_outcome(row);
	return err < 0 ? err : x->extra ? 0 : -ENOMEM;
}

static int change_in(struct exchange *x, struct store *s, const struct places *tree)
{
	const bool is_new = !x->id[0];
	struct place_change c = { .id = is_new ? NULL : x->id,
				  .kind = schema_string(x->body, "kind"),
				  .name = schema_string(x->body, "name"),
				  .parent = schema_string(x->body, "parent") };
	const struct place *before = places_find(tree, c.id);
	struct policy policy = { 0 };
	struct place_refusal why;
	FL_AUTOFREE char *text = NULL;
	struct store_place row;
	char id[STORE_ID_CAP];

	if (before)
		policy = before->policy;
	places_check(tree, &c, &why);
	if (why.status) {
		exchange_refuse(x, why.status, why.code, "%s", why.message);
		return 0;
	}
	if (!take_policy(x, &policy))
		return 0;
	text = policy_text(&policy);
	if (!text)
		return -ENOMEM;
	do
		id_make(rng_system(), 9, id, sizeof(id));
	while (id[0] == '-');
	row = (struct store_place){ .id = before ? x->id : id,
				    .kind = before ? place_kind_name(before->kind) : c.kind,
				    .name = c.name || !before ? c.name : before->name,
				    .policy = text };
	row.parent = c.parent	      ? c.parent
		     : !before	      ? STORE_ROOT
		     : before->parent ? before->parent->id
				      : NULL;
	return store_place(x, s, before, &row, &policy);
}

static int work_change(struct exchange *x, struct store *s)
{
	struct places *tree = tree_of(s);
	int err = tree ? change_in(x, s, tree) : -ENOMEM;

	places_destroy(tree);
	return err;
}

static void finish_change(struct exchange *x)
{
	const struct outcome *o = x->extra; /* refused: there would be no finish() */
	const struct store_place row = { .id = o ? o->id : STORE_ROOT,
					 .parent = o && o->parent[0] ? o->parent : NULL,
					 .kind = o ? o->kind : STORE_ROOT,
					 .name = o ? o->name : "",
					 .policy = o ? o->policy : "{}" };

	if (o && places_apply(x->hub->places, &row) == 0)
		x->result = json_pack("{s:o}", "place",
				      place_json(places_find(x->hub->places, row.id)));
	free(x->extra);
	x->extra = NULL;
	if (!x->result) {
		answer_busy(x);
		return;
	}
	budget_changed(x->hub->budget);
	exchange_answer(x);
}

/* ---- removal ---- */

static int remove_in(struct exchange *x, struct store *s, const struct places *tree, bool move)
{
	const struct place *place = places_find(tree, x->id);
	int n;

	if (!place) {
		exchange_refuse(x, 404, "unknown-place", "There is no such place.");
		return 0;
	}
	if (!place->parent) {
		exchange_refuse(x, 409, "fixed-place", "The hub itself cannot be removed.");
		return 0;
	}
	n = s->ops->place_devices(s, x->id);
	if (n < 0)
		return n;
	if (!move && (n > 0 || !list_empty(&place->children))) {
		exchange_refuse(x, 409, "not-empty",
				"There are devices or places in it. Move them, or remove it with "
				"move=parent.");
		return 0;
	}
	/* forgotten devices and tokens stand in it, too */
	n = s->ops->place_empty(s, x->id, place->parent->id);
	if (n == -EEXIST) {
		exchange_refuse(x, 409, "name-taken",
				"A place in it has the name of one that stands beside it; rename "
				"one of them.");
		return n;
	}
	if (n == 0)
		n = s->ops->place_remove(s, x->id);
	if (n < 0)
		return n;
	return api_audit(x, s, x->user.name, "place-remove", x->id,
			 json_pack("{s:s, s:s, s:s, s:o}", "kind", place_kind_name(place->kind),
				   "name", place->name, "parent", place->parent->id, "before",
				   policy_json(&place->policy)));
}

static int work_remove(struct exchange *x, struct store *s)
{
	char move[16];
	bool to_parent = http_query_get(span_str(x->query), "move", move, sizeof(move)) > 0 &&
			 strcmp(move, "parent") == 0;
	struct places *tree = tree_of(s);
	int err = tree ? remove_in(x, s, tree, to_parent) : -ENOMEM;

	places_destroy(tree);
	return err;
}

static void finish_remove(struct exchange *x)
{
	struct place *place = places_find(x->hub->places, x->id);

	if (place && place->parent) {
		registry_empty_place(x->hub->registry, place);
		places_remove(x->hub->places, place);
		budget_changed(x->hub->budget);
	}
	exchange_answer(x);
}

/* ---- devices ---- */

static int work_device(struct exchange *x, struct store *s)
{
	const char *to = schema_string(x->body, "place");
	int err = s->ops->device_place(s, x->id, to);

	/* the only thing it refers to is the place */
	if (err == -ENOENT) {
		struct places *tree = tree_of(s);
		bool known = tree && places_find(tree, to);

		places_destroy(tree);
		exchange_refuse(x, 404, known ? "unknown-device" : "unknown-place",
				known ? "There is no such device." : "There is no such place.");
		return 0;
	}
	return err < 0 ? err
		       : api_audit(x, s, x->user.name, "device-move", x->id,
				   json_pack("{s:s}", "place", to));
}

static void finish_device(struct exchange *x)
{
	struct device *d = registry_find(x->hub->registry, x->id);
	struct place *to = places_find(x->hub->places, schema_string(x->body, "place"));

	if (d && to) {
		registry_place(x->hub->registry, d, to);
		budget_changed(x->hub->budget);
		x->result = json_pack("{s:o}", "device", registry_json(d));
	}
	if (x->result)
		exchange_answer(x);
	else
		answer_busy(x);
}

const struct route api_place_routes[] = {
	{ HTTP_METHOD_GET, "/api/places", .access = ROUTE_SIGNED_IN, .finish = finish_list },
	{ HTTP_METHOD_POST, "/api/places", .access = ROUTE_SIGNED_IN, .body = message_place_add,
	  .write = true, .work = work_change, .finish = finish_change },
	{ HTTP_METHOD_PUT, "/api/places/", .prefix = true, .access = ROUTE_SIGNED_IN,
	  .body = message_place_change, .write = true, .work = work_change,
	  .finish = finish_change },
	{ HTTP_METHOD_DELETE, "/api/places/", .prefix = true, .access = ROUTE_SIGNED_IN,
	  .write = true, .work = work_remove, .finish = finish_remove },
	{ HTTP_METHOD_PUT, "/api/devices/", .prefix = true, .suffix = "/place",
	  .access = ROUTE_SIGNED_IN, .body = message_device_place, .write = true,
	  .work = work_device, .finish = finish_device },
	{ 0 },
};
