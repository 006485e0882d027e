/* fairlead check */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "check/check.h"
#include "cli/cli.h"
#include "hublink/sign.h"

#define CHANGES_MAX 8			/* shown; --json has more */
#define SEARCH_US (900 * USEC_PER_MSEC) /* for PAC files and what the network announces */
#define THIS_MACHINE "localhost,127.0.0.0/8,::1"

struct options {
	struct cli_common common; /* first */
	char *region, *network, *client_data;
};

#define FIELD(f) offsetof(struct options, f)

static const struct opt table[] = {
	CLI_COMMON_OPTIONS,
	{ "region", 0, OPT_STRING, FIELD(region), "NAME",
	  "only what concerns this region, such as eu; otherwise all" },
	{ "network", 0, OPT_STRING, FIELD(network), "FILE",
	  "read the hub's network.json from FILE, for networks where the hub is not reached" },
	{ "client-data", 0, OPT_STRING, FIELD(client_data), "DIR",
	  "compare the hub's key with the one that the client in DIR pinned at enrolment" },
	CLI_HELP_OPTIONS,
	{ NULL },
};

static const struct opt_program program = {
	.name = "fairlead check",
	.summary = "find out what works from here, and what is in the way",
	.usage = "fairlead check [--hub URL] [--json]",
	.about =
		"Asks everything that this hub's sessions need, all at once and in under ten "
		"seconds: names, connections, certificates, the hub itself, its realtime "
		"transports, the stores, STUN and NAT, and the relay by each of its ways, directly "
		"and through the proxy. Says of each what is wrong and what to do about it. It "
		"needs no account.\n\n"
		"Exit status: 0: all that is required works, and a way to the relay; 1: not; 2: "
		"usage.",
	.options = table,
};

struct run {
	struct loop *loop;
	struct check *check;
	bool progress, done;
};

/* ---- input ---- */

static int read_network(const char *path, struct needs *needs)
{
	json_error_t error;
	char why[160];
	json_t *json = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
	int err = -1;

	if (!json)
		cli_say("%s cannot be read: %s.", path, error.text);
	else if ((err = needs_from_json(json, needs, why)) < 0)
		cli_say("%s: %s.", path, why);
	json_decref(json);
	return err < 0 ? CLI_FAILURE : 0;
}

/* The list names its hub, so that nobody has to. */
static int hub_of_network(const struct needs *needs, struct options *o)
{
	char url[NEED_TEXT_MAX + 32];

	if (o->common.hub || getenv("FAIRLEAD_HUB"))
		return 0;
	for (size_t i = 0; i < needs->n; i++) {
		const struct need *n = &needs->list[i];

		if (n->kind != NEED_HUB)
			continue;
		snprintf(url, sizeof(url),
			 strchr(n->host, ':') ? "https://[%s]:%u" : "https://%s:%u", n->host,
			 n->port_min);
		o->common.hub = strdup(url);
		return o->common.hub ? 0 : CLI_FAILURE;
	}
	return 0;
}

static int read_key(const char *dir, char key[SIGN_KEY_TEXT])
{
	char path[4096];
	json_error_t error = { .text = "it holds no hub's key" };
	json_t *json;
	const char *text;

	snprintf(path, sizeof(path), "%s/device.json", dir);
	json = json_load_file(path, 0, &error);
	text = json_string_value(json_object_get(json, "hubKey"));
	bool good = text && text_copy(key, SIGN_KEY_TEXT, text);
	if (!good)
		cli_say("%s cannot be used: %s.", path, error.text);
	json_decref(json);
	return good ? 0 : CLI_FAILURE;
}

/* ---- text ---- */

static const char *red(void)
{
	return cli_colour() ? "\x1b[31m" : "";
}

static const char *green(void)
{
	return cli_colour() ? "\x1b[32m" : "";
}

static const char *yellow(void)
{
	return cli_colour() ? "\x1b[33m" : "";
}

static const char *off(void)
{
	return cli_colour() ? "\x1b[0m" : "";
}

static void print_item(const struct check_item *i)
{
	bool must = i->weight == NEED_REQUIRED;
	char ms[32] = "";

	if (i->ms >= 0)
		snprintf(ms, sizeof(ms), "%.1f ms", i->ms);
	if (i->ok)
		printf("%sok  %s  %-44s %-10s %s%s\n", green(), off(), i->id, ms, i->seen,
		       i->by_proxy ? " (through the proxy)" : "");
	else
		printf("%s%s%s  %-44s %s%s%s%s\n", must ? red() : yellow(), must ? "FAIL" : "fail",
		       off(), i->id, cause_word(i->cause), *i->seen ? ": " : "", i->seen,
		       i->by_proxy ? " (through the proxy)" : "");
}

static void print_method(unsigned number, const char *name, const struct check_method *m)
{
	static const char *const words[] = { "?", "yes", "no" };
	const char *colour = m->works == CHECK_WORKS   ? green()
			     : m->works == CHECK_FAILS ? red()
						       : "";

	printf("  %u %-8s %s%-3s%s  %s\n", number, name, colour, words[m->works], off(), m->why);
}

static void print_changes(const struct check *c)
{
	const struct check_item *changes[64];
	size_t n = check_changes(c, changes, ARRAY_LEN(changes)), shown = 0;

	for (size_t i = 0; i < n && shown < CHANGES_MAX; i++) {
		bool again = false;

		for (size_t k = 0; k < i; k++)
			again |= strcmp(changes[k]->fix, changes[i]->fix) == 0;
		if (again)
			continue;
		if (shown++ == 0)
			printf("\nwhat to change\n");
		printf("  %zu. %s\n", shown, changes[i]->fix);
	}
	if (n == 0)
		printf("\nnothing to change\n");
}

static void print_text(const struct check *c)
{
	const struct check_summary *s = check_summary(c);
	const struct check_item *items;
	size_t n;

	items = check_items(c, &n);
	for (size_t i = 0; i < n; i++)
		print_item(&items[i]);
	printf("\nmethods\n");
	print_method(1, "local", &s->local);
	print_method(2, "punched", &s->punched);
	print_method(3, "relayed", &s->relayed);
	if (s->inspection.found)
		printf("\nHTTPS is inspected here; %s%s%s signs the certificates.\n",
		       s->inspection.product, *s->inspection.product ? ", as " : "",
		       s->inspection.issuer);
	print_changes(c);
}

/* ---- course ---- */

static void on_progress(void *arg, unsigned done, unsigned begun)
{
	struct run *r = arg;

	if (r->progress) {
		fprintf(stderr, "\rasking … %u of %u answered ", done, begun);
		fflush(stderr);
	}
}

static void on_done(void *arg)
{
	struct run *r = arg;

	r->done = true;
	if (r->progress)
		fputs("\r\x1b[K", stderr);
}

/* The first proxy of the way out, and how it was found. */
struct search {
	const struct way *way;
	struct proxy *proxy; /* NULL: none */
	char found[32];
	bool done;
};

static void on_way(void *arg, struct proxy *proxy, const char *found, usec_t delay)
{
	struct search *s = arg;

	if (!proxy || s->proxy)
		return;
	s->proxy = proxy_ref(proxy);
	text_copy(s->found, sizeof(s->found), found);
}

static void on_search_end(void *arg, const char *problem)
{
	struct search *s = arg;

	s->done = true;
}

/* What is set is known at once; the rest is looked for as the client does. */
static void search(struct loop *loop, const struct target *target, struct search *s)
{
	static const struct way_search_handler handler = { on_way, on_search_end };
	usec_t end = usec_add(usec_monotonic(), SEARCH_US);
	struct way_search *run = NULL;

	s->way = target->way;
	if (way_search_start(target->way, loop, &target->url, &handler, s, &run) < 0 || !run)
		return;
	if (!s->done)
		way_search_need(run);
	while (!s->done && !s->proxy && usec_monotonic() < end)
		if (loop_turn(loop, usec_sub(end, usec_monotonic())) < 0)
			break;
	way_search_cancel(run);
}

static struct proxy *proxy_for(void *arg, const char *host)
{
	const struct search *s = arg;
	struct proxy *set = way_to(s->way, host);

	return set ? set : s->proxy && !proxy_list_has(THIS_MACHINE, host) ? s->proxy : NULL;
}

static int check(const struct options *o, const struct target *target, const struct needs *needs,
		 const char *key)
{
	static const struct check_handler handler = { on_progress, on_done };
	struct run r = { .progress = isatty(2) && !o->common.json };
	struct search found = { .proxy = NULL };
	struct check_config config = { .url = &target->url,
				       .needs = needs,
				       .ca_file = target->ca,
				       .hub_key = *key ? key : NULL,
				       .region = o->region,
				       .proxy_for = proxy_for,
				       .proxy_arg = &found,
				       .proxy_found = found.found };
	char why[256] = "Out of memory.";
	int err = loop_create(&r.loop), status = CLI_FAILURE;

	if (err == 0)
		search(r.loop, target, &found);
	if (err == 0)
		err = check_start(r.loop, &config, &handler, &r, &r.check, why);
	while (err == 0 && !r.done)
		err = loop_turn(r.loop, USEC_NEVER);
	json_t *json = r.done && o->common.json ? check_json(r.check) : NULL;
	if (!r.done || (o->common.json && !json))
		cli_say("%s", why);
	else
		status = check_summary(r.check)->ok ? 0 : CLI_FAILURE;
	if (json) {
		json_dumpf(json, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(12));
		putchar('\n');
	} else if (r.done) {
		print_text(r.check);
	}
	json_decref(json);
	check_destroy(r.check);
	proxy_unref(found.proxy);
	loop_destroy(r.loop);
	return status;
}

static int run(int argc, char **argv)
{
	FL_AUTOFREE struct needs *needs = calloc(1, sizeof(*needs));
	struct options o = { .region = NULL };
	struct target target;
	char key[SIGN_KEY_TEXT] = "";
	int first;
	int status = cli_parse(&program, &o, &o.common, argc, argv, false, &first);

	if (status < 0 && first < argc) {
		cli_say("check takes no argument. Try fairlead check --help.");
		status = CLI_USAGE;
	}
	if (status < 0) {
		status = needs ? 0 : CLI_FAILURE;
		if (status == 0 && o.network)
			status = read_network(o.network, needs);
		if (status == 0 && o.network)
			status = hub_of_network(needs, &o);
		if (status == 0 && o.client_data)
			status = read_key(o.client_data, key);
		if (status == 0)
			status = target_open_public(&o.common, &target);
		if (status == 0) {
			status = check(&o, &target, o.network ? needs : NULL, key);
			target_close(&target);
		}
	}
	opt_finish(table, &o);
	return status;
}

const struct cli_command cli_check = { "check", &program, run };
