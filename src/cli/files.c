/* fairlead put and get: files and folders to a device and from it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/text.h"
#include "cli/transfer.h"

struct options {
	struct cli_common common; /* first */
	bool force;
	int route;
	int64_t retry_s;
};

static const struct opt table[] = {
	CLI_COMMON_OPTIONS,
	{ "force", 'f', OPT_FLAG, offsetof(struct options, force), NULL,
	  "write over files that are there and differ" },
	{ "retry", 0, OPT_NUMBER, offsetof(struct options, retry_s), "SECONDS",
	  "give up after so long without progress; 0: at the first cut", "600", .min = 0,
	  .max = 7 * 86400 },
	{ "route", 0, OPT_CHOICE, offsetof(struct options, route), "METHOD",
	  "take only this method: auto, local, punched or relayed", "auto",
	  .choices = session_route_names },
	CLI_HELP_OPTIONS,
	{ NULL },
};

#define ABOUT_BOTH                                                                                 \
	"A folder goes with everything in it: files, folders, and symbolic links as links. Modes " \
	"and times are kept; owners are not. Sockets, pipes and devices are left out.\n\n"         \
	"When the connection is cut, the command connects again by itself and goes on where it "   \
	"was. When it ends early, run it again: what arrived is compared by SHA-256 and not sent " \
	"twice. A file appears under its name only when all of it arrived and its SHA-256 is the " \
	"sender's; until then it is called .NAME.….part.\n\n"                                    \
	"A file that is there already and is the same is fine. One that differs ends the "         \
	"transfer unless --force is given. Exit status: 0, 1 when it failed, 2 for a mistake in "  \
	"the command, 255 when the device could not be reached at all."

static const struct opt_program put_program = {
	.name = "fairlead put",
	.summary = "copy files and folders to a device",
	.usage = "fairlead put [OPTIONS] LOCAL… DEVICE:PATH",
	.about = "DEVICE is a name or an id. When PATH is a folder, everything goes into it; else "
		 "it is the new name of the one LOCAL. A PATH that does not begin with / counts "
		 "from the home folder of the client's account; an empty one is that "
		 "folder.\n\n" ABOUT_BOTH,
	.options = table,
};

static const struct opt_program get_program = {
	.name = "fairlead get",
	.summary = "copy files and folders from a device",
	.usage = "fairlead get [OPTIONS] DEVICE:PATH… LOCAL",
	.about = "DEVICE is a name or an id, the same for every PATH. When LOCAL is a folder, "
		 "everything goes into it; else it is the new name of the one PATH. A PATH that "
		 "does not begin with / counts from the home folder of the client's "
		 "account.\n\n" ABOUT_BOTH,
	.options = table,
};

/* "DEVICE:PATH" in two, in place. NULL: it is none. */
static char *split(char *word)
{
	char *colon = strchr(word, ':');

	if (!colon || colon == word)
		return NULL;
	*colon = 0;
	return colon + 1;
}

static void print_json(const struct transfer_result *r, bool complete)
{
	json_t *json = json_pack(
		"{s:b, s:I, s:I, s:I, s:I, s:i, s:f, s:s}", "complete", complete, "files",
		(json_int_t)r->progress.files, "same", (json_int_t)r->progress.already, "skipped",
		(json_int_t)r->progress.skipped, "bytes", (json_int_t)r->bytes, "attempts",
		(int)r->attempts, "seconds", r->seconds, "route", r->route);

	if (json)
		json_dumpf(json, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6)), putchar('\n');
	json_decref(json);
}

static void print_summary(const struct transfer_result *r)
{
	printf("%llu %s, %.1f MB in %.1f s (%.1f MB/s, %s)", (unsigned long long)r->progress.files,
	       r->progress.files == 1 ? "file" : "files", (double)r->bytes / 1e6, r->seconds,
	       (double)r->bytes / 1e6 / FL_MAX(r->seconds, 0.001), r->route);
	if (r->progress.already)
		printf("; %llu were there already", (unsigned long long)r->progress.already);
	if (r->progress.skipped)
		printf("; %llu left out that are no files",
		       (unsigned long long)r->progress.skipped);
	printf("\n");
}

static int transfer(const struct options *o, const struct transfer_config *what)
{
	struct transfer_config config = *what;
	struct transfer_result result;
	struct target target;
	int status = target_open(&o->common, &target);

	if (status != 0)
		return status;
	config.hub = &target;
	config.route = (enum session_route)o->route;
	config.force = o->force;
	config.retry_us = (usec_t)o->retry_s * USEC_PER_SEC;
	config.show = !o->common.json && isatty(2);
	status = transfer_run(&config, &result);
	if (o->common.json)
		print_json(&result, status == 0);
	else if (status == 0 && isatty(1))
		print_summary(&result);
	target_close(&target);
	return status;
}

static int put(const struct options *o, char **words, int n)
{
	struct transfer_config config = { .put = true,
					  .device = words[n - 1],
					  .from = words,
					  .n_from = (size_t)n - 1,
					  .to = split(words[n - 1]) };

	if (!config.to) {
		cli_say("\"%s\" is not DEVICE:PATH. Try fairlead put --help.", words[n - 1]);
		return CLI_USAGE;
	}
	/* a path that cannot be read is better told before anybody is connected */
	for (int i = 0; i < n - 1; i++)
		if (access(words[i], R_OK) < 0) {
			cli_say("%s cannot be read: %s.", words[i], strerror(errno));
			return CLI_FAILURE;
		}
	return transfer(o, &config);
}

/* The names that may come must be known before, and be different. */
static bool names_fit(char **paths, int n)
{
	for (int i = 0; i < n; i++) {
		const char *base = files_base(paths[i]);
		if (!files_name_valid(span_str(base))) {
			cli_say("\"%s\" has no name of its own. Name the file or folder itself.",
				paths[i]);
			return false;
		}
		for (int j = 0; j < i; j++)
			if (strcmp(base, files_base(paths[j])) == 0) {
				cli_say("two of the paths end with \"%s\". Get them one by one.",
					base);
				return false;
			}
	}
	return true;
}

static int get(const struct options *o, char **words, int n)
{
	struct transfer_config config = {
		.device = words[0], .from = words, .n_from = (size_t)n - 1, .to = words[n - 1]
	};

	for (int i = 0; i < n - 1; i++) {
		char *device = words[i], *path = split(device);
		if (!path || strcmp(device, config.device) != 0) {
			cli_say(path ? "\"%s\" is another device. Get from one at a time."
				     : "\"%s\" is not DEVICE:PATH. Try fairlead get --help.",
				device);
			return CLI_USAGE;
		}
		for (size_t len = strlen(path); len > 1 && path[len - 1] == '/'; len--)
			path[len - 1] = 0;
		words[i] = path;
	}
	return names_fit(words, n - 1) ? transfer(o, &config) : CLI_USAGE;
}

static int run(const struct opt_program *program, int argc, char **argv,
	       int (*fn)(const struct options *o, char **words, int n))
{
	struct options o = { 0 };
	int first;
	int status = cli_parse(program, &o, &o.common, argc, argv, false, &first);

	if (status < 0 && (argc - first < 2 || argc - first > FILES_ROOTS_MAX + 1)) {
		cli_say("%s needs at least one thing to copy, at most %d, and where to. Try %s "
			"--help.",
			argv[0], FILES_ROOTS_MAX, program->name);
		status = CLI_USAGE;
	}
	if (status < 0)
		status = fn(&o, argv + first, argc - first);
	opt_finish(table, &o);
	return status;
}

static int run_put(int argc, char **argv)
{
	return run(&put_program, argc, argv, put);
}

static int run_get(int argc, char **argv)
{
	return run(&get_program, argc, argv, get);
}

const struct cli_command cli_put = { "put", &put_program, run_put };
const struct cli_command cli_get = { "get", &get_program, run_get };
