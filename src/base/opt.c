#include "base/opt.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/ct.h"
#include "base/err.h"
#include "base/text.h"

#define OPT_FILE_MAX (1024 * 1024)
#define OPT_LIST_MAX 1024

static int fail(struct opt_error *error, const char *where, const char *fmt, ...) FL_PRINTF(3, 4);

static int fail(struct opt_error *error, const char *where, const char *fmt, ...)
{
	char text[400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	snprintf(error->text, sizeof(error->text), "%s%s%s", where, where[0] ? ": " : "", text);
	return -EINVAL;
}

static const struct opt *find_name(const struct opt *table, const char *name, size_t len)
{
	for (const struct opt *o = table; o->name; o++)
		if (strlen(o->name) == len && memcmp(o->name, name, len) == 0)
			return o;
	return NULL;
}

static size_t edit_distance(const char *a, size_t n, const char *b)
{
	size_t row[64], m = strlen(b);

	if (m >= ARRAY_LEN(row) || n >= ARRAY_LEN(row))
		return SIZE_MAX;
	for (size_t j = 0; j <= m; j++)
		row[j] = j;
	for (size_t i = 1; i <= n; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= m; j++) {
			size_t change = diagonal + (a[i - 1] != b[j - 1]);

			diagonal = row[j];
			row[j] = FL_MIN(change, FL_MIN(row[j], row[j - 1]) + 1);
		}
	}
	return row[m];
}

static const struct opt *nearest(const struct opt *table, const char *name, size_t len)
{
	const struct opt *best = NULL;
	size_t least = 3;

	for (const struct opt *o = table; o->name; o++) {
		size_t d = edit_distance(name, len, o->name);

		if (d < least) {
			least = d;
			best = o;
		}
	}
	return best;
}

static int set_string(char **field, const char *value)
{
	char *copy = strdup(value);

	if (!copy)
		return -ENOMEM;
	free(*field);
	*field = copy;
	return 0;
}

static int add_item(struct opt_list *list, const char *value)
{
	char **items;

	if (list->count >= OPT_LIST_MAX)
		return FL_EQUOTA;
	items = realloc(list->items, (list->count + 1) * sizeof(*items));
	if (!items)
		return -ENOMEM;
	list->items = items;
	items[list->count] = strdup(value);
	if (!items[list->count])
		return -ENOMEM;
	list->count++;
	return 0;
}

static int set_number(void *field, const struct opt *o, const char *value, char why[128])
{
	int64_t min = o->kind == OPT_PORT ? 0 : o->min,
		max = o->kind == OPT_PORT ? UINT16_MAX : o->max, v;
	uint16_t port;
	char *end;

	errno = 0;
	v = strtoll(value, &end, 10);
	if (errno || end == value || *end || v < min || v > max) {
		snprintf(why, 128, "is not a number from %lld to %lld", (long long)min,
			 (long long)max);
		return -EINVAL;
	}
	port = (uint16_t)v;
	memcpy(field, o->kind == OPT_PORT ? (void *)&port : (void *)&v,
	       o->kind == OPT_PORT ? sizeof(port) : sizeof(v));
	return 0;
}

static int set_choice(int *field, const struct opt *o, const char *value, char why[128])
{
	size_t at = 0;

	for (int i = 0; o->choices[i]; i++)
		if (strcmp(o->choices[i], value) == 0) {
			*field = i;
			return 0;
		}
	at += (size_t)snprintf(why, 128, "is not one of");
	for (int i = 0; o->choices[i] && at < 128; i++)
		at += (size_t)snprintf(why + at, 128 - at, "%s %s", i ? "," : "", o->choices[i]);
	return -EINVAL;
}

static int set_flag(bool *field, const char *value, char why[128])
{
	bool yes = strcmp(value, "yes") == 0;

	if (!yes && strcmp(value, "no") != 0) {
		snprintf(why, 128, "is neither \"yes\" nor \"no\"");
		return -EINVAL;
	}
	*field = yes;
	return 0;
}

static int set_value(const struct opt *o, void *target, const char *value, char why[128])
{
	void *field = (char *)target + o->offset;

	why[0] = 0;
	switch (o->kind) {
	case OPT_FLAG:
		return set_flag(field, value, why);
	case OPT_STRING:
		return set_string(field, value);
	case OPT_LIST:
		return add_item(field, value);
	case OPT_NUMBER:
	case OPT_PORT:
		return set_number(field, o, value, why);
	case OPT_CHOICE:
		return set_choice(field, o, value, why);
	case OPT_CUSTOM:
		return o->parse(target, o, value, why);
	}
	return -EINVAL;
}

static int apply(const struct opt *o, void *target, const char *value, const char *where,
		 const char *dashes, struct opt_error *error)
{
	char why[128], shown[128];
	int err = set_value(o, target, value, why);

	if (err == 0)
		return 0;
	if (o->secret)
		return fail(error, where, "%s%s: the value %s", dashes, o->name,
			    why[0] ? why : err_text(err));
	text_printable(shown, sizeof(shown), span_str(value));
	return fail(error, where, "%s%s: \"%s\" %s", dashes, o->name, shown,
		    why[0] ? why : err_text(err));
}

int opt_defaults(const struct opt *table, void *target)
{
	char why[128];
	int err = 0;

	for (const struct opt *o = table; o->name && err == 0; o++)
		if (o->initial && o->kind != OPT_LIST)
			err = set_value(o, target, o->initial, why);
	return err;
}

static int unknown(const struct opt *table, const char *name, size_t len, const char *where,
		   const char *what, const char *dashes, struct opt_error *error)
{
	const struct opt *near = nearest(table, name, len);
	char shown[128];

	text_printable(shown, sizeof(shown), span_of(name, len));
	if (near)
		return fail(error, where, "unknown %s \"%s%s\"; did you mean \"%s%s\"?", what,
			    dashes, shown, dashes, near->name);
	return fail(error, where, "unknown %s \"%s%s\"", what, dashes, shown);
}

/* One "--name", "--name=value" or "-x"; *used is how many arguments it took. */
static int parse_one(const struct opt *table, void *target, char **argv, int left, int *used,
		     struct opt_error *error)
{
	const char *arg = argv[0], *name = arg + 2, *value = NULL;
	const struct opt *o = NULL;
	bool negated = false;
	size_t len;

	*used = 1;
	if (arg[1] != '-') {
		for (o = table; o->name && !(o->letter && o->letter == arg[1] && !arg[2]); o++)
			;
		if (!o->name)
			return fail(error, "", "unknown option \"%s\"", arg);
	} else {
		value = strchr(name, '=');
		len = value ? (size_t)(value - name) : strlen(name);
		value = value ? value + 1 : NULL;
		o = find_name(table, name, len);
		if (!o && len > 3 && strncmp(name, "no-", 3) == 0) {
			o = find_name(table, name + 3, len - 3);
			negated = o && o->kind == OPT_FLAG && o->negatable;
			o = negated ? o : NULL;
		}
		if (!o)
			return unknown(table, name, len, "", "option", "--", error);
	}
	if (o->kind == OPT_FLAG) {
		if (value)
			return fail(error, "", "--%s takes no value", o->name);
		return apply(o, target, negated ? "no" : "yes", "", "--", error);
	}
	if (!value) {
		if (left < 2)
			return fail(error, "", "--%s needs a value: --%s %s", o->name, o->name,
				    o->arg ? o->arg : "VALUE");
		value = argv[1];
		*used = 2;
	}
	return apply(o, target, value, "", "--", error);
}

int opt_parse_args(const struct opt *table, void *target, int argc, char **argv, bool stop_at_arg,
		   int *first_arg, struct opt_error *error)
{
	char **plain = calloc((size_t)argc + 1, sizeof(*plain));
	char **options = calloc((size_t)argc + 1, sizeof(*options));
	int n_plain = 0, n_options = 0, err = plain && options ? 0 : -ENOMEM, i = 1, used;

	while (err == 0 && i < argc) {
		if (strcmp(argv[i], "--") == 0) {
			options[n_options++] = argv[i++];
			break;
		}
		if (argv[i][0] == '-' && argv[i][1]) {
			err = parse_one(table, target, argv + i, argc - i, &used, error);
			for (int k = 0; k < used; k++)
				options[n_options++] = argv[i + k];
			i += used;
		} else if (stop_at_arg) {
			break;
		} else {
			plain[n_plain++] = argv[i++];
		}
	}
	for (; err == 0 && i < argc; i++)
		plain[n_plain++] = argv[i];
	if (err == 0) {
		memcpy(argv + 1, options, (size_t)n_options * sizeof(*argv));
		memcpy(argv + 1 + n_options, plain, (size_t)n_plain * sizeof(*argv));
		*first_arg = 1 + n_options;
	} else if (err == -ENOMEM) {
		fail(error, "", "out of memory");
	}
	free(plain);
	free(options);
	return err;
}

static char *trim(char *s, char *end)
{
	while (s < end && (*s == ' ' || *s == '\t'))
		s++;
	while (end > s && (end[-1] == ' ' || end[-1] == '\t' || end[-1] == '\r'))
		end--;
	*end = 0;
	return s;
}

static int parse_line(const struct opt *table, void *target, const char *where, char *line,
		      char *end, struct opt_error *error)
{
	char *key = trim(line, end), *equals = strchr(key, '='), *value;
	const struct opt *o;

	if (!*key || *key == '#')
		return 0;
	if (!equals)
		return fail(error, where, "expected \"key = value\"");
	value = trim(equals + 1, key + strlen(key));
	key = trim(key, equals);
	o = find_name(table, key, strlen(key));
	if (!o)
		return unknown(table, key, strlen(key), where, "key", "", error);
	if (o->cli_only)
		return fail(error, where, "\"%s\" belongs on the command line, not in a file",
			    o->name);
	return apply(o, target, value, where, "", error);
}

/* Adds a line to what is told; false when there were enough of them. */
static bool add_error(struct opt_error *all, unsigned count, const struct opt_error *one)
{
	size_t at = strlen(all->text), room = sizeof(all->text) - at;
	bool last = count >= OPT_ERRORS_MAX || strlen(one->text) + 64 > room;

	snprintf(all->text + at, room, "%s%s", at ? "\n" : "",
		 last ? "there are more errors after these" : one->text);
	return !last;
}

int opt_parse_text(const struct opt *table, void *target, const char *name, const char *text,
		   size_t len, struct opt_error *error)
{
	char *copy = malloc(len + 1);
	int line_no = 1, first = 0;
	unsigned count = 0;
	char where[300];

	if (!copy)
		return fail(error, name, "out of memory");
	memcpy(copy, text, len);
	copy[len] = 0;
	error->text[0] = 0;
	for (char *line = copy, *end; line <= copy + len; line = end + 1, line_no++) {
		struct opt_error one;
		int err;

		end = memchr(line, '\n', (size_t)(copy + len - line));
		end = end ? end : copy + len;
		snprintf(where, sizeof(where), "%.270s:%d", name, line_no);
		if (memchr(line, 0, (size_t)(end - line)))
			err = fail(&one, where, "has a zero byte");
		else
			err = parse_line(table, target, where, line, end, &one);
		if (err == 0)
			continue;
		first = first ? first : err;
		if (!add_error(error, count++, &one))
			break;
	}
	ct_wipe(copy, len);
	free(copy);
	return first;
}

unsigned opt_line_of(const char *text, size_t len, const char *key)
{
	unsigned line_no = 0, found = 0;

	for (const char *line = text, *end; line < text + len; line = end + 1) {
		const char *at = line;

		end = memchr(line, '\n', (size_t)(text + len - line));
		end = end ? end : text + len;
		line_no++;
		while (at < end && (*at == ' ' || *at == '\t'))
			at++;
		if ((size_t)(end - at) < strlen(key) || memcmp(at, key, strlen(key)) != 0)
			continue;
		at += strlen(key);
		while (at < end && (*at == ' ' || *at == '\t'))
			at++;
		if (at < end && *at == '=')
			found = line_no;
	}
	return found;
}

void opt_hide_secrets(const struct opt *table, int argc, char **argv)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
		const char *name = argv[i] + 2, *value = strchr(argv[i], '=');
		const struct opt *o;
		char *hide;

		if (strncmp(argv[i], "--", 2) != 0)
			continue;
		o = find_name(table, name, value ? (size_t)(value - name) : strlen(name));
		if (!o || o->kind == OPT_FLAG)
			continue;
		if (!value && ++i == argc)
			break;
		hide = value ? argv[i] + (value + 1 - argv[i]) : argv[i];
		if (o->secret)
			memset(hide, '*', strlen(hide));
	}
}

int opt_parse_file(const struct opt *table, void *target, const char *path, struct opt_error *error)
{
	struct buf b = BUF_INIT(OPT_FILE_MAX);
	FILE *f = fopen(path, "re");
	int err = 0;

	if (!f)
		return fail(error, path, "cannot be read: %s", strerror(errno));
	for (;;) {
		uint8_t chunk[4096];
		size_t n = fread(chunk, 1, sizeof(chunk), f);

		if (n == 0)
			break;
		err = buf_append(&b, chunk, n);
		if (err < 0)
			break;
	}
	if (err == 0 && ferror(f))
		err = -EIO;
	fclose(f);
	if (err < 0)
		fail(error, path, "%s", err == FL_EQUOTA ? "is larger than 1 MiB" : err_text(err));
	else
		err = opt_parse_text(table, target, path,
				     b.len ? (const char *)buf_span(&b).ptr : "", b.len, error);
	buf_finish(&b);
	return err;
}

void opt_finish(const struct opt *table, void *target)
{
	for (const struct opt *o = table; o->name; o++) {
		void *field = (char *)target + o->offset;

		if (o->kind == OPT_STRING) {
			fl_freep(field);
			memset(field, 0, sizeof(char *));
		} else if (o->kind == OPT_LIST) {
			struct opt_list *list = field;

			for (size_t i = 0; i < list->count; i++)
				free(list->items[i]);
			free(list->items);
			*list = (struct opt_list){ 0 };
		}
	}
}
