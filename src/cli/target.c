#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/ct.h"
#include "base/err.h"
#include "base/text.h"
#include "cli/cli.h"
#include "hublink/request.h"

#define TOKEN_MAX 256

void cli_say(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fputs("fairlead: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
}

bool cli_colour(void)
{
	const char *no = getenv("NO_COLOR");

	return isatty(1) && !(no && *no);
}

int cli_parse(const struct opt_program *program, void *target, struct cli_common *common, int argc,
	      char **argv, bool stop_at_arg, int *first)
{
	struct opt_error error;

	if (opt_defaults(program->options, target) < 0) {
		cli_say("out of memory.");
		return CLI_FAILURE;
	}
	if (opt_parse_args(program->options, target, argc, argv, stop_at_arg, first, &error) < 0) {
		cli_say("%s\nTry fairlead %s --help.", error.text, argv[0]);
		return CLI_USAGE;
	}
	/* bash completes the name of a program, so there is one for all commands */
	if (common->asked.completion)
		cli_completion();
	else if (!opt_print_asked(program, &common->asked, stdout))
		return -1;
	return 0;
}

bool target_default_dir(char *dst, size_t cap)
{
	const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");

	if (state && *state == '/')
		return snprintf(dst, cap, "%s/fairlead", state) < (int)cap;
	if (home && *home == '/')
		return snprintf(dst, cap, "%s/.local/state/fairlead", home) < (int)cap;
	return false;
}

/* One line. NULL: errno. */
static char *read_token(const char *path)
{
	char text[TOKEN_MAX + 1] = "";
	FILE *f = fopen(path, "re");

	if (!f)
		return NULL;
	char *got = fgets(text, sizeof(text), f);
	(void)fclose(f);
	text[strcspn(text, "\r\n")] = 0;
	char *token = got && *text ? strdup(text) : NULL;
	ct_wipe(text, sizeof(text));
	if (!token)
		errno = EINVAL;
	return token;
}

/* The hub of a running fairlead up. */
static char *running_hub(const char *dir)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/up.json", dir);
	json_t *root = json_load_file(path, 0, NULL);
	const char *hub = json_string_value(json_object_get(root, "hub"));
	char *copy = hub ? strdup(hub) : NULL;
	json_decref(root);
	return copy;
}

struct choice {
	char *hub, *ca;
	char token_file[4200];
};

static int choose(const struct cli_common *common, struct target *t, struct choice *c)
{
	const char *hub = common->hub ? common->hub : getenv("FAIRLEAD_HUB");
	const char *token = getenv("FAIRLEAD_TOKEN");
	char dir[4096] = "";
	bool home = target_default_dir(dir, sizeof(dir));

	if (common->token_file)
		snprintf(c->token_file, sizeof(c->token_file), "%s", common->token_file);
	else if (token && *token)
		t->token = strdup(token);
	else if (home)
		snprintf(c->token_file, sizeof(c->token_file), "%s/admin.token", dir);
	c->hub = hub && *hub ? strdup(hub) : home ? running_hub(dir) : NULL;
	if (!c->hub) {
		cli_say("which hub? Name it with --hub URL or FAIRLEAD_HUB, or start one here with "
			"fairlead up.");
		return CLI_USAGE;
	}
	return 0;
}

static int need_token(struct target *t, const struct choice *c)
{
	if (*c->token_file && !(t->token = read_token(c->token_file))) {
		cli_say("the API key in %s cannot be read (%s). Name its file with --token-file.",
			c->token_file, strerror(errno));
		return CLI_FAILURE;
	}
	if (!t->token) {
		cli_say("there is no API key. Name its file with --token-file, or set "
			"FAIRLEAD_TOKEN.");
		return CLI_USAGE;
	}
	return 0;
}

static int open_target(const struct cli_common *common, bool public, struct target *out)
{
	struct choice c = { 0 };
	char why[256], said[512], beside[4300] = "";

	*out = (struct target){ 0 };
	int status = choose(common, out, &c);
	if (status == 0 && !public)
		status = need_token(out, &c);
	if (status == 0 && hub_url_parse(c.hub, &out->url, why) < 0) {
		cli_say("%s", why);
		status = CLI_USAGE;
	}
	const char *ca = common->ca;
	char *slash = strrchr(c.token_file, '/');
	if (!ca && *c.token_file) {
		int len = slash ? (int)(slash - c.token_file) : 1;
		snprintf(beside, sizeof(beside), "%.*s/ca.pem", len, slash ? c.token_file : ".");
		if (access(beside, R_OK) == 0)
			ca = beside;
	}
	if (status == 0 && tls_client_create(ca, TLS_VERIFY_FULL, NULL, &out->tls, why) < 0) {
		cli_say("%s", why);
		status = CLI_FAILURE;
	}
	if (status == 0 && way_create(&common->way, &out->way, said) < 0) {
		cli_say("%s", said);
		status = CLI_USAGE;
	}
	if (status == 0 && ca && !(out->ca = strdup(ca))) {
		cli_say("out of memory.");
		status = CLI_FAILURE;
	}
	free(c.hub);
	if (status != 0)
		target_close(out);
	return status;
}

int target_open(const struct cli_common *common, struct target *out)
{
	return open_target(common, false, out);
}

int target_open_public(const struct cli_common *common, struct target *out)
{
	return open_target(common, true, out);
}

void target_close(struct target *t)
{
	ct_wipe_strp(&t->token);
	tls_context_unref(t->tls);
	way_destroy(t->way);
	free(t->ca);
	*t = (struct target){ 0 };
}

static const char *text_of(json_t *object, const char *name)
{
	const char *s = json_string_value(json_object_get(object, name));

	return s ? s : "";
}

json_t *target_find_device(json_t *list, const char *text)
{
	json_t *device, *found = NULL;
	size_t i, matches = 0;
	char name[256];

	json_array_foreach(list, i, device)
	{
		if (strcmp(text_of(device, "id"), text) == 0)
			return device;
		if (strcasecmp(text_of(device, "name"), text) == 0) {
			found = device;
			matches++;
		}
	}
	if (matches == 1)
		return found;
	if (matches > 1)
		cli_say("%zu devices are called %s. Name one by its id:", matches, text);
	else if (json_array_size(list) == 0)
		cli_say("the hub has no devices yet.");
	else
		cli_say("no device is called %s. The hub has:", text);
	json_array_foreach(list, i, device)
	{
		if (matches > 1 && strcasecmp(text_of(device, "name"), text) != 0)
			continue;
		fprintf(stderr, "  %-24s %s%s\n", text_of(device, "id"),
			text_printable(name, sizeof(name), span_str(text_of(device, "name"))),
			json_is_true(json_object_get(device, "online")) ? "" : " (offline)");
	}
	return NULL;
}

struct waiting {
	struct loop *loop;
	json_t *body;
	bool done;
	char *why;
};

static void on_answer(void *arg, const struct hub_answer *answer)
{
	struct waiting *w = arg;

	w->done = true;
	if (answer->err < 0)
		snprintf(w->why, 512, "%s", answer->message);
	else
		w->body = answer->body ? json_incref(answer->body) : json_object();
}

json_t *target_request(struct loop *loop, const struct target *t, const char *method,
		       const char *path, json_t *body, char why[512])
{
	struct waiting w = { .loop = loop, .why = why };
	struct hub_request *request = NULL;
	struct hub_request_config config = {
		.url = &t->url,
		.tls = t->tls,
		.way = t->way,
		.method = method,
		.target = path,
		.bearer = t->token,
		.body = body,
	};

	snprintf(why, 512, "Out of memory.");
	int err = hub_request_start(loop, &config, on_answer, &w, &request);
	while (err == 0 && !w.done)
		err = loop_turn(loop, USEC_NEVER);
	hub_request_destroy(request);
	json_decref(body);
	return w.body;
}
