/* Command line and files, put together. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/ct.h"
#include "base/err.h"
#include "relay/settings_options.h"

#define FILE_MAX (1024 * 1024)
#define SECRET_SHORT 16 /* bytes; a shorter one can be guessed from one credential */

/* ---- errors ---- */

static bool on_command_line(const struct settings_options *o, const char *key)
{
	size_t len = strlen(key);

	for (int i = 1; i < o->argc; i++)
		if (strncmp(o->argv[i], "--", 2) == 0 && strncmp(o->argv[i] + 2, key, len) == 0 &&
		    (!o->argv[i][2 + len] || o->argv[i][2 + len] == '='))
			return true;
	return false;
}

static void add_line(struct opt_error *error, const char *where, const char *what, va_list ap)
{
	size_t at = strlen(error->text);

	if (at + 600 > sizeof(error->text))
		return;
	at += (size_t)snprintf(error->text + at, sizeof(error->text) - at, "%s%s: ", at ? "\n" : "",
			       where);
	vsnprintf(error->text + at, sizeof(error->text) - at, what, ap);
}

void settings_fail(const struct settings_options *o, struct opt_error *error, const char *key,
		   const char *fmt, ...)
{
	unsigned line = o->text ? opt_line_of(o->text, o->text_len, key) : 0;
	char where[400];
	va_list ap;

	if (line && !on_command_line(o, key))
		snprintf(where, sizeof(where), "%.300s:%u: %s", o->config, line, key);
	else
		snprintf(where, sizeof(where), "--%s", key);
	va_start(ap, fmt);
	add_line(error, where, fmt, ap);
	va_end(ap);
}

static void fail_at(struct opt_error *error, const char *path, unsigned line, const char *fmt, ...)
	FL_PRINTF(4, 5);

static void fail_at(struct opt_error *error, const char *path, unsigned line, const char *fmt, ...)
{
	char where[400];
	va_list ap;

	snprintf(where, sizeof(where), line ? "%.300s:%u" : "%.300s", path, line);
	va_start(ap, fmt);
	add_line(error, where, fmt, ap);
	va_end(ap);
}

static void add_text(struct opt_error *error, const char *text)
{
	size_t at = strlen(error->text);

	snprintf(error->text + at, sizeof(error->text) - at, "%s%s", at ? "\n" : "", text);
}

/* ---- files ---- */

struct text {
	char *bytes; /* and a 0 behind them */
	size_t len;
	bool world_readable;
};

static void text_drop(struct text *t)
{
	if (t->bytes)
		ct_wipe(t->bytes, t->len);
	free(t->bytes);
	*t = (struct text){ 0 };
}

static int read_all(int fd, struct text *t)
{
	struct stat st;
	ssize_t n;

	/* one piece of memory: a growing one would leave secrets where it was before */
	t->bytes = malloc(FILE_MAX + 2);
	if (!t->bytes)
		return -ENOMEM;
	do {
		n = read(fd, t->bytes + t->len, FILE_MAX + 1 - t->len);
		t->len += n > 0 ? (size_t)n : 0;
	} while (n > 0 || (n < 0 && errno == EINTR));
	if (n < 0)
		return -errno;
	t->bytes[t->len] = 0;
	t->world_readable = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & S_IROTH);
	return t->len > FILE_MAX ? FL_EQUOTA : 0;
}

static int read_file(const char *path, struct text *t, struct opt_error *error)
{
	FL_CLEANUP(fl_closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
	int err = fd < 0 ? -errno : read_all(fd, t);

	if (err == 0)
		return 0;
	text_drop(t);
	fail_at(error, path, 0, err == FL_EQUOTA ? "%s" : "cannot be read: %s",
		err == FL_EQUOTA ? "is larger than 1 MiB" : err_text(err));
	return err;
}

static void warn_readable(const char *path)
{
	log_warn("readable-secret", "file=%s remedy=\"chmod o-r %s\"", path, path);
}

typedef int (*add_line_fn)(struct settings_options *o, const char *value, char why[128]);

/* One line without the spaces around it; whether it held something. */
static bool trim(char **line, bool comments)
{
	char *end;

	*line += strspn(*line, " \t");
	end = *line + strlen(*line);
	while (end > *line && strchr(" \t\r", end[-1]))
		*--end = 0;
	return **line && !(comments && **line == '#');
}

/* Every line that is not empty goes to add(); users' files have comments. */
static int read_lines(struct settings_options *o, const char *path, bool comments, add_line_fn add,
		      struct opt_error *error)
{
	struct text t = { 0 };
	unsigned line_no = 0, found = 0;
	int first = read_file(path, &t, error);
	char why[128];

	if (first < 0)
		return first;
	if (t.world_readable)
		warn_readable(path);
	for (char *line = t.bytes, *next; line; line = next) {
		int err;

		next = strchr(line, '\n');
		if (next)
			*next++ = 0;
		line_no++;
		if (!trim(&line, comments))
			continue;
		found++;
		err = add(o, line, why);
		if (err < 0)
			fail_at(error, path, line_no, "%s", err == -ENOMEM ? err_text(err) : why);
		first = first ? first : err;
	}
	text_drop(&t);
	if (first == 0 && found == 0) {
		fail_at(error, path, 0, "holds no %s", comments ? "user" : "secret");
		first = FL_EMALFORMED;
	}
	return first;
}

static int read_user_files(struct settings_options *o, struct opt_error *error)
{
	int first = 0;

	for (size_t i = 0; i < o->secret_files.count; i++) {
		int err = read_lines(o, o->secret_files.items[i], false, settings_add_secret,
				     error);
		first = first ? first : err;
	}
	for (size_t i = 0; i < o->user_files.count; i++) {
		int err = read_lines(o, o->user_files.items[i], true, settings_add_user, error);
		first = first ? first : err;
	}
	return first;
}

/* ---- both ---- */

static void drop_users(struct settings_options *o)
{
	for (size_t i = 0; i < o->n_users; i++) {
		free(o->users[i].name);
		ct_wipe_strp(&o->users[i].password);
	}
	free(o->users);
	o->users = NULL;
	o->n_users = 0;
}

static void drop_secrets(struct settings_options *o)
{
	for (size_t i = 0; i < o->n_secrets; i++)
		ct_wipe_strp(&o->secrets[i]);
	o->n_secrets = 0;
}

static void drop_list(struct opt_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->items[i]);
	free(list->items);
	*list = (struct opt_list){ 0 };
}

/* What the command line gives replaces what the file says, also where it may be repeated. */
static void replace_repeated(struct settings_options *file, const struct settings_options *args)
{
	if (args->n_listeners)
		file->n_listeners = 0;
	if (args->relay[0].told.family || args->relay[1].told.family)
		memset(file->relay, 0, sizeof(file->relay));
	if (args->n_allow)
		file->n_allow = 0;
	if (args->n_deny)
		file->n_deny = 0;
	if (args->n_users)
		drop_users(file);
	if (args->n_secrets)
		drop_secrets(file);
	if (args->user_files.count)
		drop_list(&file->user_files);
	if (args->secret_files.count)
		drop_list(&file->secret_files);
}

static int options_create(struct settings_options **out, int argc, char **argv)
{
	struct settings_options *o = calloc(1, sizeof(*o));
	int err;

	if (!o)
		return -ENOMEM;
	atomic_init(&o->refs, 1);
	o->argc = argc;
	o->argv = argv;
	err = opt_defaults(settings_table, o);
	if (err < 0)
		settings_options_unref(o);
	else
		*out = o;
	return err;
}

/* The file under what the command line said: its arguments are parsed once more. */
static int add_file(const struct settings_options *args, struct settings_options *o,
		    struct opt_error *error)
{
	struct opt_error one = { "" };
	struct text t = { 0 };
	int err, none, first = read_file(args->config, &t, error);

	if (first == 0) {
		first = opt_parse_text(settings_table, o, args->config, t.bytes, t.len, &one);
		if (first < 0)
			add_text(error, one.text);
		if (t.world_readable && (o->n_secrets || o->n_users))
			warn_readable(args->config);
	}
	o->text = t.bytes;
	o->text_len = t.len;
	replace_repeated(o, args);
	err = opt_parse_args(settings_table, o, args->argc, args->argv, false, &none, &one);
	if (err < 0 && first == 0)
		add_text(error, one.text);
	return first ? first : err;
}

/* Only what the command line says. */
static int read_args(int argc, char **argv, struct settings_options **out, struct opt_error *error)
{
	struct opt_error one = { "" };
	char text[200];
	int first_arg = argc, err = options_create(out, argc, argv);

	if (err < 0)
		return err;
	err = opt_parse_args(settings_table, *out, argc, argv, false, &first_arg, &one);
	if (err < 0) {
		add_text(error, one.text);
	} else if (!opt_is_asked(&(*out)->asked) && first_arg < argc) {
		snprintf(text, sizeof(text), "\"%.100s\" belongs to no option", argv[first_arg]);
		add_text(error, text);
		err = FL_EMALFORMED;
	}
	return err;
}

static void warn_weak(const struct settings_options *o)
{
	for (size_t i = 0; i < o->n_secrets; i++)
		if (strlen(o->secrets[i]) < SECRET_SHORT)
			log_warn("weak-secret",
				 "bytes=%zu remedy=\"make one with: openssl rand -hex 32\"",
				 strlen(o->secrets[i]));
}

int settings_options_read(int argc, char **argv, struct settings_options **out,
			  struct opt_error *error)
{
	struct settings_options *args = NULL, *o = NULL;
	int err, more;

	error->text[0] = 0;
	err = read_args(argc, argv, &args, error);
	if (err == 0 && args->config && !opt_is_asked(&args->asked)) {
		err = options_create(&o, argc, argv);
		if (err == 0)
			err = add_file(args, o, error);
		settings_options_unref(args);
		args = o;
	}
	/* a file's errors do not keep the other files' from being told */
	if ((err == 0 || o) && !opt_is_asked(&args->asked)) {
		more = read_user_files(args, error);
		err = err ? err : more;
	}
	if (err == 0) {
		warn_weak(args);
		*out = args;
		return 0;
	}
	if (!error->text[0])
		add_text(error, err_text(err));
	settings_options_unref(args);
	return err;
}

void settings_options_read_done(struct settings_options *o)
{
	if (o->text)
		ct_wipe(o->text, o->text_len);
	free(o->text);
	o->text = NULL;
	o->argc = 0;
	o->argv = NULL;
}

struct settings_options *settings_options_ref(struct settings_options *o)
{
	atomic_fetch_add(&o->refs, 1);
	return o;
}

void settings_options_unref(struct settings_options *o)
{
	if (!o || atomic_fetch_sub(&o->refs, 1) != 1)
		return;
	drop_users(o);
	drop_secrets(o);
	opt_finish(settings_table, o);
	settings_options_read_done(o);
	free(o);
}
