/*
 * One table of options makes the command line, the config file, --help, the manual page and the
 * shell completion. A config file has "key = value" lines and # comments; a key is the long flag
 * without its dashes. An unknown key, a bad value or a missing argument is reported: start nothing
 * then, exit 2. The command line is left at its first error; of a file every bad line is told, with
 * its number.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/util.h"

enum opt_kind {
	OPT_FLAG, /* bool; in a file "yes" or "no"; --no-NAME on the command line when negatable */
	OPT_STRING, /* char *, owned by the target, freed by opt_finish() */
	OPT_LIST,   /* struct opt_list, may be repeated */
	OPT_NUMBER, /* int64_t within [min, max] */
	OPT_PORT,   /* uint16_t */
	OPT_CHOICE, /* int, an index into choices */
	OPT_CUSTOM, /* parse() does it */
};

struct opt_list {
	char **items;
	size_t count;
};

struct opt {
	const char *name; /* "data", without dashes; NULL ends the table */
	char letter;	  /* 'd', or 0 */
	enum opt_kind kind;
	size_t offset;	  /* of the field in the target */
	const char *arg;  /* name of the argument in help, "DIR" */
	const char *help; /* one sentence */
	const char
		*initial; /* text of the default, for help and used by opt_defaults(); NULL: none */
	int64_t min, max; /* OPT_NUMBER */
	const char *const *choices; /* OPT_CHOICE, ends with NULL */
	bool negatable;		    /* OPT_FLAG */
	bool cli_only;		    /* refused in a config file */
	bool secret;		    /* its value is never shown, and opt_hide_secrets() blots it */
	const char *group; /* help and manual begin a group of this name with this option */
	/* 0, or negative with a reason in why (a sentence without the option's name) */
	int (*parse)(void *target, const struct opt *opt, const char *value, char why[128]);
};

struct opt_program {
	const char *name;    /* "fairlead-hub" */
	const char *summary; /* one line */
	const char *usage;   /* "fairlead-hub --config FILE | OPTIONS" */
	const char *about;   /* paragraphs for help and manual, may be NULL */
	const struct opt *options;
};

#define OPT_ERRORS_MAX 16 /* lines of a file that are told; then one that says there are more */

/* One error a line: "hub.conf:3: unknown key "prot"; did you mean "port"?" */
struct opt_error {
	char text[4096];
};

int opt_defaults(const struct opt *table, void *target) FL_WARN_UNUSED;

/*
 * Parses argv[1…]. Options may stand anywhere before "--"; what is no option is moved, in order, to
 * the end and *first_arg is the index of the first of them. With stop_at_arg parsing ends at the
 * first argument that is no option (commands like "connect DEVICE CMD -x"). 0 or negative with
 * *error.
 */
int opt_parse_args(const struct opt *table, void *target, int argc, char **argv, bool stop_at_arg,
		   int *first_arg, struct opt_error *error) FL_WARN_UNUSED;

/* 0 or negative with *error. A file over 1 MiB (OPT_FILE_MAX) is refused. */
int opt_parse_file(const struct opt *table, void *target, const char *path,
		   struct opt_error *error) FL_WARN_UNUSED;

/* The same on text in memory; name is used in errors. For tests and fuzzing too. */
int opt_parse_text(const struct opt *table, void *target, const char *name, const char *text,
		   size_t len, struct opt_error *error) FL_WARN_UNUSED;

/* The last line that sets key, from 1; 0: there is none. For errors found after parsing. */
unsigned opt_line_of(const char *text, size_t len, const char *key);

/* Overwrites the values of secret options in argv, which everybody on the machine can read. Parse,
 * and copy what is needed again, before. */
void opt_hide_secrets(const struct opt *table, int argc, char **argv);

void opt_finish(const struct opt *table, void *target);

void opt_help(const struct opt_program *program, FILE *out);		/* --help */
void opt_manual(const struct opt_program *program, FILE *out);		/* roff, man(7) */
void opt_completion_bash(const struct opt_program *program, FILE *out); /* bash completion */

/* What every program is asked for that is printed instead of starting it. */
struct opt_asked {
	bool help, version, manual, completion;
};

/* The rows of a table whose target has a struct opt_asked at this offset. */
#define OPT_ASKED(at)                                                                              \
	OPT_ASKED_ROW(at, help, 'h', "show this help"),                                            \
		OPT_ASKED_ROW(at, version, 'V', "show the version"),                               \
		OPT_ASKED_ROW(at, manual, 0, "write the manual page (roff)"),                      \
		OPT_ASKED_ROW(at, completion, 0, "write the completion for bash")
#define OPT_ASKED_ROW(at, what, letter, text)                                                      \
	{                                                                                          \
#what, letter, OPT_FLAG, (at) + offsetof(struct opt_asked, what), NULL, text,      \
			.cli_only = true                                                           \
	}

bool opt_is_asked(const struct opt_asked *asked); /* for any of them */
/* Prints what was asked for, the first of them; false when there was nothing. */
bool opt_print_asked(const struct opt_program *program, const struct opt_asked *asked, FILE *out);
