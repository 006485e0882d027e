#include "hub/realtime/places.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "base/map.h"
#include "base/text.h"

struct places {
	struct map *by_id;
	struct place *root;
};

static const char *const kind_names[PLACE_KIND_COUNT] = { "hub", "organisation", "site", "group" };

const char *place_kind_name(enum place_kind kind)
{
	return kind_names[kind];
}

/* PLACE_KIND_COUNT: none of them. */
static enum place_kind kind_of(const char *name)
{
	enum place_kind k = PLACE_HUB;

	while (k < PLACE_KIND_COUNT && strcmp(kind_names[k], name) != 0)
		k++;
	return k;
}

/* ---- the tree ---- */

static void place_free(struct place *place)
{
	free(place->name);
	free(place);
}

static int place_make(struct places *p, const char *id, enum place_kind kind, struct place **out)
{
	struct place *place = calloc(1, sizeof(*place));
	int err;

	if (!place)
		return -ENOMEM;
	text_copy(place->id, sizeof(place->id), id);
	place->kind = kind;
	place->name = strdup("");
	list_init(&place->children);
	list_init(&place->sibling);
	err = place->name ? map_put(p->by_id, span_str(place->id), place) : -ENOMEM;
	if (err < 0)
		place_free(place);
	else
		*out = place;
	return err;
}

int places_create(struct places **out)
{
	struct places *p = calloc(1, sizeof(*p));
	int err = -ENOMEM;

	if (p)
		p->by_id = map_create(rng_system(), PLACES_MAX);
	if (p && p->by_id)
		err = place_make(p, STORE_ROOT, PLACE_HUB, &p->root);
	if (err == 0)
		*out = p;
	else
		places_destroy(p);
	return err;
}

void places_destroy(struct places *p)
{
	size_t cursor = 0;
	struct place *place;

	if (!p)
		return;
	while (p->by_id && (place = map_next(p->by_id, &cursor)))
		place_free(place);
	map_destroy(p->by_id);
	free(p);
}

struct place *places_find(const struct places *p, const char *id)
{
	return id ? map_get(p->by_id, span_str(id)) : NULL;
}

struct place *places_root(struct places *p)
{
	return p->root;
}

static void set_parent(struct place *place, struct place *parent)
{
	list_remove(&place->sibling);
	list_init(&place->sibling);
	place->parent = parent;
	if (parent)
		list_push_back(&parent->children, &place->sibling);
}

int places_apply(struct places *p, const struct store_place *row)
{
	struct place *place = places_find(p, row->id), *parent = places_find(p, row->parent);
	enum place_kind kind = kind_of(row->kind);
	char *name = strdup(row->name), why[POLICY_WHY_CAP];
	struct policy policy;
	int err = name ? 0 : -ENOMEM;

	if (kind == PLACE_KIND_COUNT)
		kind = PLACE_GROUP;
	if (err == 0 && !place)
		err = place_make(p, row->id, kind, &place);
	if (err < 0) {
		free(name);
		return err;
	}
	/* what a later hub wrote is passed over; nothing else can be wrong in what was checked */
	if (policy_parse_text(span_str(row->policy), POLICY_SKIP_UNKNOWN, &policy, why) < 0)
		log_warn("stored-policy", "place=%s error=\"%s\"", row->id, why);
	else
		place->policy = policy;
	free(place->name);
	place->name = name;
	if (place != p->root)
		set_parent(place, parent ? parent : p->root);
	return 0;
}

static int load_one(void *arg, const struct store_place *row)
{
	return places_apply(arg, row);
}

int places_load(struct places *p, struct store *s)
{
	return s->ops->places(s, load_one, p);
}

void places_remove(struct places *p, struct place *place)
{
	struct place *child, *next;

	list_for_each (child, next, &place->children, sibling)
		set_parent(child, place->parent);
	list_remove(&place->sibling);
	map_remove(p->by_id, span_str(place->id));
	place_free(place);
}

/* ---- what holds in a place ---- */

void place_effective(const struct place *place, struct policy *out)
{
	memset(out, 0, sizeof(*out));
	for (; place; place = place->parent)
		policy_inherit(out, &place->policy);
	policy_complete(out);
}

struct place *place_budget(struct place *place)
{
	while (place && !(place->policy.keys & POLICY_SITE_KBIT))
		place = place->parent;
	return place && place->policy.site_kbit ? place : NULL;
}

/* ---- changes ---- */

static void refuse(struct place_refusal *why, unsigned status, const char *code, const char *fmt,
		   ...) FL_PRINTF(4, 5);
static void refuse(struct place_refusal *why, unsigned status, const char *code, const char *fmt,
		   ...)
{
	va_list ap;

	why->status = status;
	why->code = code;
	va_start(ap, fmt);
	vsnprintf(why->message, sizeof(why->message), fmt, ap);
	va_end(ap);
}

static unsigned levels_above(const struct place *place)
{
	unsigned n = 0;

	while (place->parent) {
		place = place->parent;
		n++;
	}
	return n;
}

/* How many levels a place has with what is in it; it and those below together at most max. */
static unsigned levels_below(const struct place *place, unsigned max)
{
	struct place *child, *next;
	unsigned deepest = 0, n;

	if (max == 0)
		return 1;
	list_for_each (child, next, &place->children, sibling) {
		n = levels_below(child, max - 1);
		deepest = FL_MAX(deepest, n);
	}
	return deepest + 1;
}

static bool stands_in(const struct place *place, const struct place *other)
{
	while (place && place != other)
		place = place->parent;
	return place != NULL;
}

static void check_parent(const struct place *place, enum place_kind kind,
			 const struct place *parent, struct place_refusal *why)
{
	const unsigned levels = place ? levels_below(place, PLACES_LEVELS_MAX) : 1;

	if (place && stands_in(parent, place))
		refuse(why, 400, "bad-place",
		       "parent is the place itself or one that stands in it");
	else if (kind < parent->kind || (kind == parent->kind && kind != PLACE_GROUP))
		refuse(why, 400, "bad-place", "parent is of the kind %s, where no %s can stand",
		       kind_names[parent->kind], kind_names[kind]);
	else if (levels_above(parent) + 1 + levels > PLACES_LEVELS_MAX)
		refuse(why, 400, "bad-place", "parent is too deep: a tree has at most %d levels",
		       PLACES_LEVELS_MAX);
}

void places_check(const struct places *p, const struct place_change *c, struct place_refusal *why)
{
	const struct place *place = places_find(p, c->id);
	const struct place *parent = c->parent ? places_find(p, c->parent) : p->root;

	memset(why, 0, sizeof(*why));
	if (c->id && !place)
		refuse(why, 404, "unknown-place", "There is no such place.");
	else if (place == p->root && (c->name || c->parent))
		refuse(why, 409, "fixed-place", "The hub's own name and place do not change.");
	else if (!parent)
		refuse(why, 404, "unknown-place", "parent is no place.");
	else if (!place && map_count(p->by_id) >= PLACES_MAX)
		refuse(why, 409, "too-many", "There are %d places; remove some first.", PLACES_MAX);
	else if (!place || c->parent)
		check_parent(place, place ? place->kind : kind_of(c->kind), parent, why);
}

/* ---- JSON ---- */

static size_t devices_below(const struct place *place)
{
	struct place *child, *next;
	size_t n = place->devices;

	list_for_each (child, next, &place->children, sibling)
		n += devices_below(child);
	return n;
}

json_t *place_json(const struct place *place)
{
	struct policy effective;

	place_effective(place, &effective);
	return json_pack("{s:s, s:s?, s:s, s:s, s:o, s:o, s:I, s:I}", "id", place->id, "parent",
			 place->parent ? place->parent->id : NULL, "kind", kind_names[place->kind],
			 "name", place->name, "policy", policy_json(&place->policy), "effective",
			 policy_json(&effective), "devices", (json_int_t)place->devices,
			 "devicesBelow", (json_int_t)devices_below(place));
}

static bool append(json_t *list, const struct place *place)
{
	struct place *child, *next;

	if (json_array_append_new(list, place_json(place)) < 0)
		return false;
	list_for_each (child, next, &place->children, sibling)
		if (!append(list, child))
			return false;
	return true;
}

json_t *places_list(const struct places *p)
{
	json_t *list = json_array();

	if (list && append(list, p->root))
		return list;
	json_decref(list);
	return NULL;
}
