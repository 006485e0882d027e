/* fairlead: finds the command and hands over. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "cli/cli.h"

static const struct cli_command *const commands[] = { &cli_up,	      &cli_devices, &cli_connect,
						      &cli_route,     &cli_put,	    &cli_get,
						      &cli_allowlist, &cli_check,   &cli_place };

static void help(FILE *out)
{
	fprintf(out, "fairlead: see, help and manage computers over the shortest route\n\n"
		     "usage: fairlead COMMAND [OPTIONS] [ARGUMENTS]\n\ncommands:\n");
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		fprintf(out, "  %-10s %s\n", commands[i]->name, commands[i]->program->summary);
	fprintf(out, "\nfairlead COMMAND --help says more. fairlead --version shows the version,\n"
		     "fairlead --completion writes the completion for bash.\n");
}

static const struct cli_command *find(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		if (strcmp(commands[i]->name, name) == 0)
			return commands[i];
	return NULL;
}

/* The commands' names; each command completes its own options. */
void cli_completion(void)
{
	printf("_fairlead()\n{\n\tlocal words=\"");
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		printf("%s%s", i ? " " : "", commands[i]->name);
	printf("\"\n\tif [ \"$COMP_CWORD\" -gt 1 ]; then\n\t\tcase \"${COMP_WORDS[1]}\" in\n");
	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		printf("\t\t%s) words=\"", commands[i]->name);
		for (const struct opt *o = commands[i]->program->options; o->name; o++)
			printf("%s--%s", o == commands[i]->program->options ? "" : " ", o->name);
		printf("\" ;;\n");
	}
	printf("\t\tesac\n\tfi\n\tmapfile -t COMPREPLY < <(compgen -W \"$words\" -- "
	       "\"${COMP_WORDS[COMP_CWORD]}\")\n}\ncomplete -o default -F _fairlead fairlead\n");
}

int main(int argc, char **argv)
{
	const char *word = argc > 1 ? argv[1] : "";
	const struct cli_command *command = find(word);

	log_open("fairlead");
	signal(SIGPIPE, SIG_IGN);
	if (command)
		return command->run(argc - 1, argv + 1);
	if (strcmp(word, "help") == 0 && argc > 2 && (command = find(argv[2]))) {
		opt_help(command->program, stdout);
		return 0;
	}
	if (strcmp(word, "help") == 0 || strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
		help(stdout);
		return 0;
	}
	if (strcmp(word, "--version") == 0) {
		printf("fairlead %s\n", FAIRLEAD_VERSION);
		return 0;
	}
	if (strcmp(word, "--completion") == 0) {
		cli_completion();
		return 0;
	}
	if (*word)
		cli_say("there is no command \"%s\".", word);
	help(stderr);
	return CLI_USAGE;
}
