/* fairlead-relay: reads what it is told, then runs it. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/ct.h"
#include "relay/control.h"

/* A reload parses them again, and secrets must leave the originals before that.
 */
static char **copy_args(int argc, char **argv)
{
	char **copy = calloc((size_t)argc + 1, sizeof(*copy));

	for (int i = 0; copy && i < argc; i++) {
		copy[i] = strdup(argv[i]);
		if (!copy[i])
			return NULL; /* start-up: the process ends */
	}
	return copy;
}

/* Every line with our name before it. */
static void say(const char *text)
{
	while (*text) {
		size_t len = strcspn(text, "\n");

		fprintf(stderr, "fairlead-relay: %.*s\n", (int)len, text);
		text += len + (text[len] == '\n');
	}
}

static int usage_error(const char *text)
{
	say(text);
	fprintf(stderr, "Nothing was started. Try fairlead-relay --help.\n");
	return 2;
}

static int run(struct settings *s, int argc, char **argv)
{
	const struct control_config config = { .settings = s, .argc = argc, .argv = argv };

	if (opt_print_asked(&settings_program, &s->asked, stdout))
		return 0;
	if (s->check_config) {
		printf("fairlead-relay: nothing is wrong with the configuration\n");
		return 0;
	}
	if (!getenv("FAIRLEAD_LOG"))
		log_set_level(s->log_level);
	return control_run(&config);
}

int main(int argc, char **argv)
{
	struct sd_sockets *inherited = calloc(1, sizeof(*inherited));
	char **args = copy_args(argc, argv);
	struct settings *s = NULL;
	struct opt_error error;
	char why[256];
	int status;

	log_open("fairlead-relay");
	signal(SIGPIPE, SIG_IGN);
	if (!inherited || !args) {
		say("out of memory");
		return 1;
	}
	opt_hide_secrets(settings_program.options, argc, argv);
	if (sd_sockets_take(inherited, why) < 0)
		status = usage_error(why);
	else if (settings_read(argc, args, inherited, &s, &error) < 0)
		status = usage_error(error.text);
	else
		status = run(s, argc, args);
	settings_unref(s);
	for (int i = 0; i < argc; i++)
		ct_wipe_strp(&args[i]);
	free(args);
	free(inherited);
	return status;
}
