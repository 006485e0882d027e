#include "hub/json/schema.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "hub/store/store.h"

#define LEVELS_MAX 8 /* of the tables themselves; a value cannot be deeper than its table */

struct check {
	const char *path[LEVELS_MAX];
	int depth;
	char *why;
};

static json_t *take_value(struct check *c, const struct schema *s, const json_t *value);

/* "status.platform.os" and the rest of the sentence. */
static json_t *refuse(struct check *c, const char *fmt, ...) FL_PRINTF(2, 3);
static json_t *refuse(struct check *c, const char *fmt, ...)
{
	size_t at = 0;
	va_list ap;

	for (int i = 0; i < c->depth && at < SCHEMA_WHY_MAX; i++)
		at += (size_t)snprintf(c->why + at, SCHEMA_WHY_MAX - at, "%s%s", i ? "." : "",
				       c->path[i]);
	if (at == 0)
		at = (size_t)snprintf(c->why, SCHEMA_WHY_MAX, "the body");
	if (at < SCHEMA_WHY_MAX - 1) {
		c->why[at++] = ' ';
		va_start(ap, fmt);
		vsnprintf(c->why + at, SCHEMA_WHY_MAX - at, fmt, ap);
		va_end(ap);
	}
	return NULL;
}

bool schema_is_id(const char *text)
{
	size_t n = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_");

	return n > 0 && n < STORE_ID_CAP && text[n] == 0;
}

static json_t *take_string(struct check *c, const struct schema *s, const json_t *value)
{
	size_t len = json_string_length(value);

	if (!json_is_string(value))
		return refuse(c, "is not a string");
	if ((int64_t)len > s->max)
		return refuse(c, "is longer than %lld bytes", (long long)s->max);
	if ((int64_t)len < s->min)
		return refuse(c, s->min == 1 ? "is empty" : "is shorter than %lld bytes",
			      (long long)s->min);
	return json_stringn_nocheck(json_string_value(value), len);
}

static json_t *take_id(struct check *c, const json_t *value)
{
	if (!json_is_string(value) || !schema_is_id(json_string_value(value)))
		return refuse(c, "is not an id");
	return json_string_nocheck(json_string_value(value));
}

static json_t *take_number(struct check *c, const struct schema *s, const json_t *value)
{
	double v;

	if (s->kind == SCHEMA_INTEGER ? !json_is_integer(value) : !json_is_number(value))
		return refuse(c, s->kind == SCHEMA_INTEGER ? "is not a whole number"
							   : "is not a number");
	v = json_number_value(value);
	if (json_is_integer(value)
		    ? json_integer_value(value) < s->min || json_integer_value(value) > s->max
		    : v < (double)s->min || v > (double)s->max)
		return refuse(c, "is not between %lld and %lld", (long long)s->min,
			      (long long)s->max);
	return json_is_integer(value) ? json_integer(json_integer_value(value)) : json_real(v);
}

static json_t *take_word(struct check *c, const struct schema *s, const json_t *value)
{
	for (int i = 0; json_is_string(value) && s->words[i]; i++)
		if (strcmp(s->words[i], json_string_value(value)) == 0)
			return json_string_nocheck(s->words[i]);
	return refuse(c, "is not one of the known words");
}

static json_t *take_list(struct check *c, const struct schema *s, const json_t *value)
{
	json_t *list, *item;

	if (!json_is_array(value))
		return refuse(c, "is not a list");
	if ((int64_t)json_array_size(value) > s->max)
		return refuse(c, "has more than %lld items", (long long)s->max);
	list = json_array();
	for (size_t i = 0; list && i < json_array_size(value); i++) {
		item = take_value(c, s->item, json_array_get(value, i));
		if (!item || json_array_append_new(list, item) < 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

static bool is_word(const char *text)
{
	size_t n = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-");

	return n > 0 && n <= SCHEMA_WORD_MAX && text[n] == 0;
}

static json_t *take_counts(struct check *c, const struct schema *s, const json_t *value)
{
	json_t *out = json_object(), *count;
	const char *word;

	if (!json_is_object(value) || (int64_t)json_object_size(value) > s->max) {
		json_decref(out);
		return refuse(c, "is not an object of at most %lld numbers", (long long)s->max);
	}
	json_object_foreach((json_t *)value, word, count)
	{
		if (!is_word(word) || !json_is_integer(count) || json_integer_value(count) < 0) {
			json_decref(out);
			return refuse(c, "has something else than words with numbers from 0 on");
		}
		json_object_set_new_nocheck(out, word, json_integer(json_integer_value(count)));
	}
	return out;
}

static json_t *take_object(struct check *c, const struct schema *fields, const json_t *value)
{
	json_t *out, *item;
	const json_t *given;

	if (!json_is_object(value))
		return refuse(c, "is not an object");
	if (c->depth >= LEVELS_MAX)
		return refuse(c, "is nested too deep");
	out = json_object();
	for (const struct schema *f = fields; out && f->name; f++) {
		given = json_object_get(value, f->name);
		if (!given && f->optional)
			continue;
		c->path[c->depth++] = f->name;
		item = given ? take_value(c, f, given) : refuse(c, "is missing");
		c->depth--;
		if (!item || json_object_set_new_nocheck(out, f->name, item) < 0) {
			json_decref(out);
			return NULL;
		}
	}
	return out;
}

static json_t *take_value(struct check *c, const struct schema *s, const json_t *value)
{
	if (s->nullable && json_is_null(value))
		return json_null();
	switch (s->kind) {
	case SCHEMA_STRING:
		return take_string(c, s, value);
	case SCHEMA_ID:
		return take_id(c, value);
	case SCHEMA_INTEGER:
	case SCHEMA_NUMBER:
		return take_number(c, s, value);
	case SCHEMA_BOOL:
		return json_is_boolean(value) ? json_boolean(json_is_true(value))
					      : refuse(c, "is neither true nor false");
	case SCHEMA_OBJECT:
		return take_object(c, s->fields, value);
	case SCHEMA_LIST:
		return take_list(c, s, value);
	case SCHEMA_ONE_OF:
		return take_word(c, s, value);
	case SCHEMA_COUNTS:
		return take_counts(c, s, value);
	case SCHEMA_ANY:
		return json_deep_copy(value);
	}
	return NULL;
}

json_t *schema_take(const struct schema *table, const json_t *value, char why[SCHEMA_WHY_MAX])
{
	struct check c = { .why = why };
	json_t *out;

	why[0] = 0;
	out = take_object(&c, table, value);
	if (!out && !why[0])
		snprintf(why, SCHEMA_WHY_MAX, "the hub is out of memory");
	return out;
}

json_t *schema_take_text(const struct schema *table, struct span text, char why[SCHEMA_WHY_MAX])
{
	json_error_t error;
	json_t *value = json_loadb((const char *)text.ptr, text.len, JSON_REJECT_DUPLICATES,
				   &error);
	json_t *out;

	if (!value) {
		snprintf(why, SCHEMA_WHY_MAX, "the body is not JSON (line %d, column %d)",
			 error.line, error.column);
		return NULL;
	}
	out = schema_take(table, value, why);
	json_decref(value);
	return out;
}

const char *schema_string(const json_t *object, const char *name)
{
	return json_string_value(json_object_get(object, name));
}

int64_t schema_integer(const json_t *object, const char *name, int64_t otherwise)
{
	const json_t *v = json_object_get(object, name);

	return json_is_integer(v) ? json_integer_value(v) : otherwise;
}

bool schema_bool(const json_t *object, const char *name, bool otherwise)
{
	const json_t *v = json_object_get(object, name);

	return json_is_boolean(v) ? json_is_true(v) : otherwise;
}
