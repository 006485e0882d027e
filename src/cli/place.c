/* fairlead place: the tree of places, their policies, and which device stands where. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/text.h"
#include "cli/cli.h"
#include "policy/policy.h"

#define PATH_CAP 160

struct options {
	struct cli_common common; /* first */
	char *parent, *name, *policy;
	bool move;
};

static const struct opt table[] = {
	{ "parent", 0, OPT_STRING, offsetof(struct options, parent), "PLACE",
	  "add, change: the place it stands in; of a new one otherwise the hub" },
	{ "name", 0, OPT_STRING, offsetof(struct options, name), "NAME", "change: its new name" },
	{ "policy", 0, OPT_STRING, offsetof(struct options, policy), "JSON|@FILE",
	  "add, change: its policy as a whole, or a file that has it" },
	{ "move", 0, OPT_FLAG, offsetof(struct options, move), NULL,
	  "remove: what is in it moves to its parent first" },
	CLI_COMMON_OPTIONS,
	CLI_HELP_OPTIONS,
	{ NULL },
};

static const struct opt_program program = {
	.name = "fairlead place",
	.summary = "organisations, sites and groups, and the policies they set",
	.usage =
		"fairlead place list\n"
		"       fairlead place show PLACE\n"
		"       fairlead place add organisation|site|group NAME [--parent PLACE] [--policy "
		"JSON|@FILE]\n"
		"       fairlead place change PLACE [--name NAME] [--parent PLACE] [--policy "
		"JSON|@FILE]\n"
		"       fairlead place remove PLACE [--move]\n"
		"       fairlead place assign DEVICE PLACE",
	.about = "PLACE is an id, a name that only one place has, or hub for the hub itself. list "
		 "shows the tree with the keys that each place sets; show also what holds in it. A "
		 "policy is an object such as {\"relay\":\"forbidden\",\"dscp\":34}; a key that a "
		 "place does not set comes from the nearest place above that does. --policy '{}' "
		 "takes all of a place's own keys away. --json writes the hub's answer.",
	.options = table,
};

/* One run: the target, and the last answer. */
struct run {
	const struct options *o;
	struct target target;
	struct loop *loop;
	json_t *places; /* the list, once it was asked for */
};

static json_t *ask(struct run *r, const char *method, const char *path, json_t *body)
{
	char why[512];
	json_t *answer = target_request(r->loop, &r->target, method, path, body, why);

	if (!answer)
		cli_say("%s", why);
	return answer;
}

static const char *text_of(const json_t *object, const char *name)
{
	const char *s = json_string_value(json_object_get(object, name));

	return s ? s : "";
}

/* ---- which place ---- */

static bool know_places(struct run *r)
{
	if (!r->places)
		r->places = ask(r, "GET", "/api/places", NULL);
	return r->places != NULL;
}

/* NULL after a sentence. */
static const json_t *find_place(struct run *r, const char *text)
{
	const json_t *list, *place, *found = NULL;
	size_t i, matches = 0;

	if (!know_places(r))
		return NULL;
	list = json_object_get(r->places, "places");
	json_array_foreach(list, i, place)
	{
		if (strcmp(text_of(place, "id"), text) == 0)
			return place;
		if (strcasecmp(text_of(place, "name"), text) == 0) {
			found = place;
			matches++;
		}
	}
	if (matches == 1)
		return found;
	cli_say(matches ? "%zu places are called %s; name one by its id. fairlead place list shows "
			  "them."
			: "%zu places are called %s. fairlead place list shows what there is.",
		matches, text);
	return NULL;
}

/* ---- output ---- */

static void print_place(const json_t *list, const json_t *place)
{
	char name[256];
	unsigned level = 0;
	const char *parent = text_of(place, "parent");
	FL_AUTOFREE char *policy = json_dumps(json_object_get(place, "policy"), JSON_COMPACT);
	const json_t *other;
	size_t i;

	for (bool up = true; *parent && up && level < 32;) {
		up = false;
		json_array_foreach(list, i,
				   other) if (!up && strcmp(text_of(other, "id"), parent) == 0)
		{
			parent = text_of(other, "parent");
			level++;
			up = true;
		}
	}
	text_printable(name, sizeof(name), span_str(text_of(place, "name")));
	printf("%*s%-*s %-13s %-13s %6lld  %s\n", (int)(2 * level), "", 28 - (int)(2 * level),
	       *name ? name : "the hub", text_of(place, "kind"), text_of(place, "id"),
	       (long long)json_integer_value(json_object_get(place, "devices")),
	       policy ? policy : "");
}

static int list_places(struct run *r, char **argv)
{
	const json_t *list, *place;
	size_t i;

	if (!know_places(r))
		return CLI_FAILURE;
	list = json_object_get(r->places, "places");
	if (r->o->common.json) {
		json_dumpf(r->places, stdout, JSON_INDENT(2)), putchar('\n');
		return 0;
	}
	printf("%-28s %-13s %-13s %6s  %s\n", "PLACE", "KIND", "ID", "DEVICES", "POLICY");
	json_array_foreach(list, i, place) print_place(list, place);
	return 0;
}

static void print_object(const json_t *o)
{
	json_dumpf(o, stdout, JSON_INDENT(2));
	putchar('\n');
}

static int show_place(struct run *r, char **argv)
{
	const json_t *place = find_place(r, argv[0]);

	if (!place)
		return CLI_FAILURE;
	if (!r->o->common.json) {
		printf("what it sets:\n");
		print_object(json_object_get(place, "policy"));
		printf("what holds in it:\n");
	}
	print_object(r->o->common.json ? place : json_object_get(place, "effective"));
	return 0;
}

/* "place": what it is now. */
static int told(struct run *r, json_t *answer, const char *name)
{
	const json_t *o = json_object_get(answer, name);

	if (answer && r->o->common.json)
		print_object(o);
	else if (answer)
		printf("%s\n", text_of(o, "id"));
	json_decref(answer);
	return answer ? 0 : CLI_FAILURE;
}

/* ---- changes ---- */

static json_t *load_policy(const char *text, char why[POLICY_WHY_CAP])
{
	json_error_t error;
	json_t *value;

	if (text[0] != '@') {
		value = json_loads(text, JSON_REJECT_DUPLICATES, &error);
	} else {
		value = json_load_file(text + 1, JSON_REJECT_DUPLICATES, &error);
		if (!value && error.line < 0) {
			snprintf(why, POLICY_WHY_CAP, "%.120s cannot be read", text + 1);
			return NULL;
		}
	}
	if (!value)
		snprintf(why, POLICY_WHY_CAP, "policy is not JSON (line %d, column %d)", error.line,
			 error.column);
	return value;
}

/* 0, or the exit status after a sentence: a bad policy never reaches the hub. */
static int take_policy(const struct options *o, json_t *body)
{
	char why[POLICY_WHY_CAP];
	struct policy policy;
	json_t *value;

	if (!o->policy)
		return 0;
	value = load_policy(o->policy, why);
	if (value && policy_parse(value, POLICY_REFUSE_UNKNOWN, &policy, why) == 0) {
		json_object_set_new(body, "policy", value);
		return 0;
	}
	json_decref(value);
	cli_say("%s. docs/protocol.md lists the keys and their values.", why);
	return CLI_USAGE;
}

/* The same for what may be in both bodies. */
static int take_parent(struct run *r, json_t *body)
{
	const json_t *parent = r->o->parent ? find_place(r, r->o->parent) : NULL;

	if (parent)
		json_object_set_new(body, "parent", json_string(text_of(parent, "id")));
	return r->o->parent && !parent ? CLI_FAILURE : 0;
}

static int add_place(struct run *r, char **argv)
{
	json_t *body = json_pack("{s:s, s:s}", "kind", argv[0], "name", argv[1]);
	int status = take_parent(r, body);

	if (status == 0)
		status = take_policy(r->o, body);
	if (status == 0)
		return told(r, ask(r, "POST", "/api/places", body), "place");
	json_decref(body);
	return status;
}

static int change_place(struct run *r, char **argv)
{
	const json_t *place = find_place(r, argv[0]);
	json_t *body = json_object();
	char path[PATH_CAP];
	int status = place ? take_parent(r, body) : CLI_FAILURE;

	if (status == 0)
		status = take_policy(r->o, body);
	if (r->o->name)
		json_object_set_new(body, "name", json_string(r->o->name));
	if (status == 0) {
		snprintf(path, sizeof(path), "/api/places/%s", text_of(place, "id"));
		return told(r, ask(r, "PUT", path, body), "place");
	}
	json_decref(body);
	return status;
}

static int remove_place(struct run *r, char **argv)
{
	const json_t *place = find_place(r, argv[0]);
	char path[PATH_CAP];
	json_t *answer;

	if (!place)
		return CLI_FAILURE;
	snprintf(path, sizeof(path), "/api/places/%s%s", text_of(place, "id"),
		 r->o->move ? "?move=parent" : "");
	answer = ask(r, "DELETE", path, NULL);
	json_decref(answer);
	return answer ? 0 : CLI_FAILURE;
}

static int assign_device(struct run *r, char **argv)
{
	json_t *devices = ask(r, "GET", "/api/devices", NULL), *device;
	const json_t *place = devices ? find_place(r, argv[1]) : NULL;
	char path[PATH_CAP];
	int status = CLI_FAILURE;

	device = place ? target_find_device(json_object_get(devices, "devices"), argv[0]) : NULL;
	if (device) {
		snprintf(path, sizeof(path), "/api/devices/%s/place", text_of(device, "id"));
		status = told(
			r, ask(r, "PUT", path, json_pack("{s:s}", "place", text_of(place, "id"))),
			"device");
	}
	json_decref(devices);
	return status;
}

static const struct {
	const char *name;
	int n_args;
	int (*run)(struct run *r, char **argv);
} verbs[] = {
	{ "list", 0, list_places },    { "show", 1, show_place },
	{ "add", 2, add_place },       { "change", 1, change_place },
	{ "remove", 1, remove_place }, { "assign", 2, assign_device },
};

static int run_verb(const struct options *o, int argc, char **argv)
{
	struct run r = { .o = o };
	size_t i = 0;
	int status;

	while (i < ARRAY_LEN(verbs) && (argc == 0 || strcmp(verbs[i].name, argv[0]) != 0))
		i++;
	if (i == ARRAY_LEN(verbs) || argc - 1 != verbs[i].n_args) {
		cli_say("place is followed by list, show, add, change, remove or assign and what "
			"they need. Try fairlead place --help.");
		return CLI_USAGE;
	}
	/* what is wrong by itself is told without a hub */
	json_t *unused = json_object();
	status = take_policy(o, unused);
	json_decref(unused);
	if (status == 0)
		status = target_open(&o->common, &r.target);
	if (status != 0)
		return status;
	if (loop_create(&r.loop) == 0)
		status = verbs[i].run(&r, argv + 1);
	else
		status = CLI_FAILURE;
	json_decref(r.places);
	target_close(&r.target);
	loop_destroy(r.loop);
	return status;
}

static int run(int argc, char **argv)
{
	struct options o = { 0 };
	int first;
	int status = cli_parse(&program, &o, &o.common, argc, argv, false, &first);

	if (status < 0)
		status = run_verb(&o, argc - first, argv + first);
	opt_finish(table, &o);
	return status;
}

const struct cli_command cli_place = { "place", &program, run };
