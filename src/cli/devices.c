/* fairlead devices */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/err.h"
#include "base/text.h"
#include "cli/cli.h"

struct options {
	struct cli_common common; /* first */
};

static const struct opt table[] = {
	CLI_COMMON_OPTIONS,
	CLI_HELP_OPTIONS,
	{ NULL },
};

static const struct opt_program program = {
	.name = "fairlead devices",
	.summary = "list the hub's devices",
	.usage = "fairlead devices [--json]",
	.about = "One line per device: name, whether it is online, its system, who is signed in, "
		 "its "
		 "address, its id. With --json the hub's own list.",
	.options = table,
};

/* Everything that a device told about itself is shown as text only. */
static const char *shown(char dst[128], json_t *object, const char *name)
{
	const char *s = json_string_value(json_object_get(object, name));

	return text_printable(dst, 128, span_str(s && *s ? s : "-"));
}

static void last_seen(char dst[32], json_t *device)
{
	time_t at = (time_t)(json_integer_value(json_object_get(device, "lastSeen")) / 1000);
	struct tm tm;

	if (json_is_true(json_object_get(device, "online")))
		snprintf(dst, 32, "online");
	else if (at <= 0 || !localtime_r(&at, &tm))
		snprintf(dst, 32, "offline");
	else
		strftime(dst, 32, "offline %Y-%m-%d %H:%M", &tm);
}

static void print_table(json_t *list)
{
	const char *green = cli_colour() ? "\x1b[32m" : "", *off = *green ? "\x1b[0m" : "";
	char name[128], state[32], os[128], user[128], address[128], id[128];
	json_t *device;
	size_t i;

	if (json_array_size(list) == 0) {
		printf("No devices yet.\n");
		return;
	}
	printf("%-20s %-24s %-26s %-12s %-16s %s\n", "NAME", "STATE", "SYSTEM", "USER", "ADDRESS",
	       "ID");
	json_array_foreach(list, i, device)
	{
		bool online = json_is_true(json_object_get(device, "online"));
		last_seen(state, device);
		printf("%-20s %s%-24s%s %-26s %-12s %-16s %s\n", shown(name, device, "name"),
		       online ? green : "", state, online ? off : "",
		       shown(os, json_object_get(device, "platform"), "os"),
		       shown(user, device, "user"), shown(address, device, "address"),
		       shown(id, device, "id"));
	}
}

static int list_devices(const struct options *o)
{
	struct target target;
	struct loop *loop = NULL;
	char why[512];

	int status = target_open(&o->common, &target);
	if (status != 0)
		return status;
	json_t *body = NULL;
	if (loop_create(&loop) == 0)
		body = target_request(loop, &target, "GET", "/api/devices", NULL, why);
	json_t *list = json_object_get(body, "devices");
	if (!body)
		cli_say("%s", loop ? why : "out of memory.");
	else if (!json_is_array(list))
		cli_say("the hub's answer has no list of devices.");
	else if (o->common.json)
		json_dumpf(body, stdout, JSON_INDENT(2)), putchar('\n');
	else
		print_table(list);
	status = json_is_array(list) ? 0 : CLI_FAILURE;
	json_decref(body);
	target_close(&target);
	loop_destroy(loop);
	return status;
}

static int run(int argc, char **argv)
{
	struct options o = { 0 };
	int first;
	int status = cli_parse(&program, &o, &o.common, argc, argv, false, &first);

	if (status < 0 && first < argc) {
		cli_say("devices takes no argument. Try fairlead devices --help.");
		status = CLI_USAGE;
	}
	if (status < 0)
		status = list_devices(&o);
	opt_finish(table, &o);
	return status;
}

const struct cli_command cli_devices = { "devices", &program, run };
