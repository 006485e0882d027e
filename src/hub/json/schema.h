/*
 * Checks JSON from outside against a table and takes over only what the table names. Everything
 * that a client, a console or a program sends passes here first: types, lengths in bytes, ranges,
 * numbers of items. Strings are valid UTF-8 without a 0 character (jansson sees to that); fields
 * that are not in the table are dropped, so a later client can say more.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "base/span.h"
#include "base/util.h"

#define SCHEMA_WHY_MAX 160
#define SCHEMA_WORD_MAX 32  /* bytes of a word in SCHEMA_COUNTS */
#define SCHEMA_TEXT_MAX 255 /* bytes of any text that a client reports */

enum schema_kind {
	SCHEMA_STRING,	/* min to max bytes */
	SCHEMA_ID,	/* 1 to STORE_ID_CAP - 1 characters A-Z a-z 0-9 - _ */
	SCHEMA_INTEGER, /* min to max */
	SCHEMA_NUMBER,	/* min to max, with or without fraction */
	SCHEMA_BOOL,
	SCHEMA_OBJECT, /* by the table fields */
	SCHEMA_LIST,   /* up to max items, each as item says */
	SCHEMA_ONE_OF, /* a string out of words */
	SCHEMA_COUNTS, /* an object of up to max words (a-z 0-9 -), each with a number from 0 on */
	SCHEMA_ANY,    /* as it came; who asks for it checks it */
};

struct schema {
	const char *name; /* NULL ends the table */
	enum schema_kind kind;
	bool optional; /* may be missing */
	bool nullable; /* may be null; a missing optional one stays missing */
	int64_t min, max;
	const struct schema *fields; /* SCHEMA_OBJECT */
	const struct schema *item;   /* SCHEMA_LIST; its name is not used */
	const char *const *words;    /* SCHEMA_ONE_OF, ends with NULL */
};

/*
 * A new object with the fields of the table only, or NULL with a sentence in why ("status.name is
 * longer than 255 bytes"). why never repeats what was sent.
 */
json_t *schema_take(const struct schema *table, const json_t *value, char why[SCHEMA_WHY_MAX]);

/* The same from text: parsed strictly (no duplicate keys), then taken. */
json_t *schema_take_text(const struct schema *table, struct span text, char why[SCHEMA_WHY_MAX]);

/* Short forms for what schema_take() has checked. */
const char *schema_string(const json_t *object, const char *name); /* NULL: missing or null */
int64_t schema_integer(const json_t *object, const char *name, int64_t otherwise);
bool schema_bool(const json_t *object, const char *name, bool otherwise);

bool schema_is_id(const char *text);
