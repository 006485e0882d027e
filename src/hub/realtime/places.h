/*
 * The tree of places (docs/protocol.md §1.2): the hub, organisations, sites, groups, each with the
 * policy keys it sets itself. The hub's loop keeps one; a worker that changes the tree builds its
 * own from the store and asks it whether the change fits, because only the writer sees what the
 * changes before it did.
 */
#pragma once

#include <jansson.h>

#include "base/list.h"
#include "hub/store/store.h"
#include "policy/policy.h"

#define PLACES_MAX 10000
#define PLACES_LEVELS_MAX 16

/* In the order in which they may stand in each other; groups also in groups. */
enum place_kind { PLACE_HUB, PLACE_ORGANISATION, PLACE_SITE, PLACE_GROUP, PLACE_KIND_COUNT };

struct place {
	char id[STORE_ID_CAP];
	enum place_kind kind;
	char *name;
	struct policy policy; /* its own keys */
	struct place *parent; /* NULL: the root */
	struct list children, sibling;
	size_t devices; /* directly in it; the registry counts */
	size_t running; /* budget.c's own */
};

struct places;

int places_create(struct places **out) FL_WARN_UNUSED; /* only the root */
void places_destroy(struct places *p);		       /* NULL is fine */
int places_load(struct places *p, struct store *s) FL_WARN_UNUSED;

struct place *places_find(const struct places *p, const char *id); /* NULL: unknown */
struct place *places_root(struct places *p);

/* Every key of it, from the nearest that has it. */
void place_effective(const struct place *place, struct policy *out);
/* The node whose siteKbit holds for this place; NULL: none. */
struct place *place_budget(struct place *place);

/* What a request wants; NULL: stays as it is. */
struct place_change {
	const char *id;	  /* of an existing place; NULL: a new one */
	const char *kind; /* of a new one */
	const char *name, *parent;
	const struct policy *policy;
};

struct place_refusal {
	unsigned status; /* of HTTP; 0: the change fits */
	const char *code;
	char message[160];
};

/* Whether a change fits the tree as it is. A name that is taken is the store's to find. */
void places_check(const struct places *p, const struct place_change *c, struct place_refusal *why);

/* After the store has it. 0 or -ENOMEM. */
int places_apply(struct places *p, const struct store_place *row) FL_WARN_UNUSED;
/* Its children go to its parent; its devices have been moved. */
void places_remove(struct places *p, struct place *place);

json_t *place_json(const struct place *place); /* Place of docs/protocol.md; NULL: no memory */
json_t *places_list(const struct places *p);

const char *place_kind_name(enum place_kind kind);
