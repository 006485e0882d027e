#include "modules/terminal/message.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>

#include <jansson.h>

#include "base/text.h"
#include "base/wire.h"

static bool signal_allowed(uint8_t number)
{
	return number == SIGHUP || number == SIGINT || number == SIGQUIT || number == SIGKILL ||
	       number == SIGTERM;
}

int terminal_message_get(struct span in, struct terminal_message *out)
{
	struct reader r = reader_of(in);
	struct terminal_message m = { .type = reader_u8(&r) };

	switch (m.type) {
	case TERMINAL_OPEN:
	case TERMINAL_INPUT:
	case TERMINAL_OPENED:
	case TERMINAL_OUTPUT:
	case TERMINAL_ERROUT:
	case TERMINAL_FAILED:
		m.bytes = reader_rest(&r);
		break;
	case TERMINAL_RESIZE:
		m.cols = reader_u16(&r);
		m.rows = reader_u16(&r);
		if (m.cols == 0 || m.rows == 0 || m.cols > TERMINAL_SIZE_MAX ||
		    m.rows > TERMINAL_SIZE_MAX)
			reader_fail(&r);
		break;
	case TERMINAL_EOF:
		break;
	case TERMINAL_SIGNAL:
		m.number = reader_u8(&r);
		if (!signal_allowed(m.number))
			reader_fail(&r);
		break;
	case TERMINAL_ACK:
	case TERMINAL_ACK_BACK:
		m.acked = reader_u32(&r);
		break;
	case TERMINAL_EXIT: {
		uint8_t how = reader_u8(&r);
		m.signalled = how == 1;
		m.number = reader_u8(&r);
		if (how > 1)
			reader_fail(&r);
		break;
	}
	default:
		return FL_EMALFORMED;
	}
	if (!reader_done(&r))
		return FL_EMALFORMED;
	*out = m;
	return 0;
}

size_t terminal_message_head(const struct terminal_message *m, uint8_t dst[8])
{
	struct writer w = writer_of(dst, 8);

	writer_u8(&w, (uint8_t)m->type);
	if (m->type == TERMINAL_RESIZE) {
		writer_u16(&w, m->cols);
		writer_u16(&w, m->rows);
	} else if (m->type == TERMINAL_SIGNAL) {
		writer_u8(&w, m->number);
	} else if (m->type == TERMINAL_ACK || m->type == TERMINAL_ACK_BACK) {
		writer_u32(&w, m->acked);
	} else if (m->type == TERMINAL_EXIT) {
		writer_u8(&w, m->signalled);
		writer_u8(&w, m->number);
	}
	return writer_len(&w);
}

static void free_strings(char **list)
{
	for (size_t i = 0; list && list[i]; i++)
		free(list[i]);
	free(list);
}

static int parse_argv(json_t *argv, struct terminal_open *o, char why[128])
{
	size_t n = json_array_size(argv);

	if (!json_is_array(argv) || n == 0 || n > TERMINAL_ARGS_MAX) {
		snprintf(why, 128, "argv must be a list of 1 to %d texts", TERMINAL_ARGS_MAX);
		return FL_EMALFORMED;
	}
	o->argv = calloc(n + 1, sizeof(*o->argv));
	if (!o->argv)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		const char *s = json_string_value(json_array_get(argv, i));
		if (!s || (i == 0 && !*s)) {
			snprintf(why, 128, "argv must be a list of texts");
			return FL_EMALFORMED;
		}
		o->argv[i] = strdup(s);
		if (!o->argv[i])
			return -ENOMEM;
	}
	return 0;
}

static bool env_name_valid(const char *s)
{
	if (!*s || (*s >= '0' && *s <= '9'))
		return false;
	for (; *s; s++)
		if (!(*s == '_' || (*s >= '0' && *s <= '9') || (*s >= 'A' && *s <= 'Z') ||
		      (*s >= 'a' && *s <= 'z')))
			return false;
	return true;
}

static int parse_env(json_t *env, struct terminal_open *o, char why[128])
{
	const char *name;
	json_t *value;
	size_t i = 0;

	if (!json_is_object(env) || json_object_size(env) > TERMINAL_ENV_MAX) {
		snprintf(why, 128, "env must be an object of at most %d texts", TERMINAL_ENV_MAX);
		return FL_EMALFORMED;
	}
	o->env = calloc(json_object_size(env) + 1, sizeof(*o->env));
	if (!o->env)
		return -ENOMEM;
	json_object_foreach(env, name, value)
	{
		if (!env_name_valid(name) || !json_is_string(value)) {
			snprintf(why, 128,
				 "env has a name that is none, or a value that is no text");
			return FL_EMALFORMED;
		}
		if (asprintf(&o->env[i], "%s=%s", name, json_string_value(value)) < 0) {
			o->env[i] = NULL;
			return -ENOMEM;
		}
		i++;
	}
	return 0;
}

static uint16_t size_of(json_t *value, uint16_t otherwise)
{
	json_int_t n = json_is_integer(value) ? json_integer_value(value) : 0;
	return n >= 1 && n <= TERMINAL_SIZE_MAX ? (uint16_t)n : otherwise;
}

static int parse_term(json_t *term, struct terminal_open *o, char why[128])
{
	const char *s = term ? json_string_value(term) : "xterm-256color";

	/* It becomes part of a path in terminfo. */
	if (!s || !*s ||
	    strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
		      "0123456789-+._") != strlen(s) ||
	    !text_copy(o->term, sizeof(o->term), s)) {
		snprintf(why, 128, "term is not the name of a terminal");
		return FL_EMALFORMED;
	}
	return 0;
}

int terminal_open_parse(struct span json, struct terminal_open *out, char why[128])
{
	struct terminal_open o = { 0 };
	json_t *root = json_loadb((const char *)json.ptr, json.len, JSON_REJECT_DUPLICATES, NULL);
	json_t *argv = json_object_get(root, "argv"), *env = json_object_get(root, "env");
	int err = 0;

	snprintf(why, 128, "out of memory");
	if (!json_is_object(root) || !json_is_boolean(json_object_get(root, "tty"))) {
		snprintf(why, 128, "the request is not a JSON object with \"tty\"");
		err = FL_EMALFORMED;
	}
	if (err == 0)
		err = parse_term(json_object_get(root, "term"), &o, why);
	if (err == 0 && argv && !json_is_null(argv))
		err = parse_argv(argv, &o, why);
	if (err == 0 && env && !json_is_null(env))
		err = parse_env(env, &o, why);
	o.tty = json_is_true(json_object_get(root, "tty"));
	o.cols = size_of(json_object_get(root, "cols"), 80);
	o.rows = size_of(json_object_get(root, "rows"), 24);
	json_decref(root);
	if (err < 0) {
		terminal_open_finish(&o);
		return err;
	}
	*out = o;
	return 0;
}

void terminal_open_finish(struct terminal_open *o)
{
	free_strings(o->argv);
	free_strings(o->env);
	o->argv = o->env = NULL;
}

char *terminal_open_format(const struct terminal_open *o)
{
	json_t *root = json_pack("{s:b, s:i, s:i, s:s}", "tty", o->tty, "cols", o->cols, "rows",
				 o->rows, "term", o->term);
	int err = root ? 0 : -1;

	if (root && o->argv) {
		json_t *argv = json_array();
		for (size_t i = 0; o->argv[i]; i++)
			err |= json_array_append_new(argv, json_string(o->argv[i]));
		err |= json_object_set_new(root, "argv", argv);
	}
	if (root && o->env) {
		json_t *env = json_object();
		for (size_t i = 0; o->env[i]; i++) {
			const char *eq = strchrnul(o->env[i], '=');
			char *name = strndup(o->env[i], (size_t)(eq - o->env[i]));
			err |= json_object_set_new(env, name ? name : "",
						   json_string(*eq ? eq + 1 : ""));
			free(name);
		}
		err |= json_object_set_new(root, "env", env);
	}
	char *text = err ? NULL : json_dumps(root, JSON_COMPACT);
	json_decref(root);
	return text;
}
