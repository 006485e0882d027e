/*
 * The command for people. main.c finds the command; each command has a table of options and a
 * function. target.c says which hub is meant, session.c is the console's side of a session
 * (docs/protocol.md §2.1), and the commands are built on the two.
 */
#pragma once

#include <stdbool.h>

#include <jansson.h>

#include "base/opt.h"
#include "hublink/hub_url.h"
#include "hublink/way.h"
#include "io/loop.h"
#include "io/tls.h"

#define CLI_FAILURE 1
#define CLI_USAGE 2
#define CLI_CONNECT_FAILURE 255 /* as ssh does, because the command's own status may be 1 */

struct cli_common {
	char *hub, *token_file, *ca;
	struct way_options way;
	bool json;
	struct opt_asked asked;
};

/* The rows that every command has. Its options' struct begins with a struct cli_common. */
#define CLI_COMMON(field) offsetof(struct cli_common, field)
#define CLI_COMMON_OPTIONS                                                                         \
	{ "hub",      0,                                                                           \
	  OPT_STRING, CLI_COMMON(hub),                                                             \
	  "URL",      "the hub; otherwise FAIRLEAD_HUB, or the one that fairlead up runs" },       \
		{ "token-file",                                                                    \
		  0,                                                                               \
		  OPT_STRING,                                                                      \
		  CLI_COMMON(token_file),                                                          \
		  "FILE",                                                                          \
		  "file with the API key; otherwise the key in FAIRLEAD_TOKEN, or that of "        \
		  "fairlead up" },                                                                 \
		{ "ca",                                                                            \
		  0,                                                                               \
		  OPT_STRING,                                                                      \
		  CLI_COMMON(ca),                                                                  \
		  "FILE",                                                                          \
		  "who may have signed the hub's certificate; otherwise ca.pem beside the token "  \
		  "file, and the system's authorities" },                                          \
		WAY_OPTIONS(CLI_COMMON(way)),                                                      \
	{                                                                                          \
		"json", 0, OPT_FLAG, CLI_COMMON(json), NULL, "write JSON for programs"             \
	}

#define CLI_HELP_OPTIONS OPT_ASKED(CLI_COMMON(asked))

struct cli_command {
	const char *name;
	const struct opt_program *program;
	int (*run)(int argc, char **argv); /* argv[0] is the command's name; the exit status */
};

extern const struct cli_command cli_up, cli_devices, cli_connect, cli_route, cli_put, cli_get,
	cli_allowlist, cli_check, cli_place;

/* Writes the completion of bash for all commands. */
void cli_completion(void);

/* "fairlead: …" on stderr, with a line break. */
void cli_say(const char *fmt, ...) FL_PRINTF(1, 2);

/*
 * Parses a command's arguments. -1: go on, *first is the first argument that is no option; else the
 * exit status, and everything was said.
 */
int cli_parse(const struct opt_program *program, void *target, struct cli_common *common, int argc,
	      char **argv, bool stop_at_arg, int *first);

bool cli_colour(void); /* stdout is a terminal and NO_COLOR is not set */

/* ---- target.c ---- */

struct target {
	struct hub_url url;
	char *token;
	struct tls_context *tls;
	struct way *way;
	char *ca; /* the file that tls was made with; or NULL */
};

/* 0, or the exit status after a sentence. The public one is for requests that need no account. */
int target_open_public(const struct cli_common *common, struct target *out);
int target_open(const struct cli_common *common, struct target *out);
void target_close(struct target *t);

/* The data folder that fairlead up uses unless told otherwise; false: there is no home. */
bool target_default_dir(char *dst, size_t cap);

/*
 * The device of that id or name in the hub's list (borrowed from list). NULL after a sentence that
 * lists what there is.
 */
json_t *target_find_device(json_t *list, const char *text);

/* One request that is waited for. The body (new reference) or NULL with a sentence in why. */
json_t *target_request(struct loop *loop, const struct target *t, const char *method,
		       const char *path, json_t *body, char why[512]);
