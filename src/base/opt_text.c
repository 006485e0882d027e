/* What the option table says to people: --help, the manual page, shell completion. */
#include <stdlib.h>
#include <string.h>

#include "base/opt.h"

#define HELP_WIDTH 80
#define HELP_INDENT 28

static const char *arg_name(const struct opt *o)
{
	return o->kind == OPT_FLAG ? NULL : o->arg ? o->arg : "VALUE";
}

static void put_head(const struct opt *o, char *dst, size_t cap)
{
	const char *arg = arg_name(o);
	char letter[8] = "";

	if (o->letter)
		snprintf(letter, sizeof(letter), "-%c, ", o->letter);
	snprintf(dst, cap, "%s--%s%s%s%s", letter,
		 o->kind == OPT_FLAG && o->negatable ? "[no-]" : "", o->name, arg ? " " : "",
		 arg ? arg : "");
}

static void put_wrapped(FILE *out, const char *text, int indent, int at)
{
	while (*text) {
		size_t len = strcspn(text, " \n");

		if (at > indent && at + 1 + (int)len > HELP_WIDTH) {
			fprintf(out, "\n%*s", indent, "");
			at = indent;
		} else if (at > indent) {
			fputc(' ', out);
			at++;
		}
		fwrite(text, 1, len, out);
		at += (int)len;
		text += len;
		while (*text == ' ' || *text == '\n')
			text++;
	}
	fputc('\n', out);
}

static void put_paragraphs(FILE *out, const char *text)
{
	while (*text) {
		const char *end = strstr(text, "\n\n");
		size_t len = end ? (size_t)(end - text) : strlen(text);
		char *one = strndup(text, len);

		fputc('\n', out);
		if (one)
			put_wrapped(out, one, 0, 0);
		free(one);
		text += len + (end ? 2 : 0);
	}
}

void opt_help(const struct opt_program *program, FILE *out)
{
	char head[128], help[512];

	fprintf(out, "%s: %s\n\nUsage: %s\n", program->name, program->summary, program->usage);
	if (program->about)
		put_paragraphs(out, program->about);
	if (!program->options->group)
		fprintf(out, "\nOptions:\n");
	for (const struct opt *o = program->options; o->name; o++) {
		if (o->group)
			fprintf(out, "\n%s:\n", o->group);
		put_head(o, head, sizeof(head));
		fprintf(out, "  %-*s", HELP_INDENT - 4, head);
		if (strlen(head) > HELP_INDENT - 4)
			fprintf(out, "\n%*s", HELP_INDENT - 2, "");
		fputs("  ", out);
		snprintf(help, sizeof(help), "%s%s%s%s", o->help, o->initial ? " (default: " : "",
			 o->initial ? o->initial : "", o->initial ? ")" : "");
		put_wrapped(out, help, HELP_INDENT, HELP_INDENT);
	}
}

/* Text for roff: backslashes and leading dots and quotes must not be commands. */
static void put_roff(FILE *out, const char *text)
{
	for (const char *p = text; *p; p++) {
		if ((*p == '.' || *p == '\'') && (p == text || p[-1] == '\n'))
			fputs("\\&", out);
		if (*p == '\\')
			fputs("\\e", out);
		else if (*p == '-')
			fputs("\\-", out);
		else
			fputc(*p, out);
	}
}

void opt_manual(const struct opt_program *program, FILE *out)
{
	char head[128], name[64];

	/* the page of "fairlead connect" is called fairlead-connect */
	snprintf(name, sizeof(name), "%s", program->name);
	for (char *c = strchr(name, ' '); c; c = strchr(c, ' '))
		*c = '-';
	fprintf(out, ".TH %s 1\n.SH NAME\n%s \\- %s\n.SH SYNOPSIS\n", name, name, program->summary);
	put_roff(out, program->usage);
	fprintf(out, "\n.SH DESCRIPTION\n");
	put_roff(out, program->about ? program->about : program->summary);
	fprintf(out, "\n.SH OPTIONS\n");
	for (const struct opt *o = program->options; o->name; o++) {
		if (o->group)
			fprintf(out, ".SS %s\n", o->group);
		put_head(o, head, sizeof(head));
		fprintf(out, ".TP\n.B ");
		put_roff(out, head);
		fputc('\n', out);
		put_roff(out, o->help);
		if (o->initial)
			fprintf(out, " (default: %s)", o->initial);
		fputc('\n', out);
	}
}

void opt_completion_bash(const struct opt_program *program, FILE *out)
{
	char function[64];
	size_t n = 0;

	for (; program->name[n] && n < sizeof(function) - 1; n++)
		function[n] = program->name[n] == '-' ? '_' : program->name[n];
	function[n] = 0;
	fprintf(out, "_%s() {\n\tlocal cur=${COMP_WORDS[COMP_CWORD]}\n\tCOMPREPLY=($(compgen -W \"",
		function);
	for (const struct opt *o = program->options; o->name; o++)
		fprintf(out, "--%s%s", o->name, o[1].name ? " " : "");
	fprintf(out, "\" -- \"$cur\"))\n}\ncomplete -o default -F _%s %s\n", function,
		program->name);
}

bool opt_is_asked(const struct opt_asked *asked)
{
	return asked->help || asked->version || asked->manual || asked->completion;
}

bool opt_print_asked(const struct opt_program *program, const struct opt_asked *asked, FILE *out)
{
	if (asked->help)
		opt_help(program, out);
	else if (asked->version)
		fprintf(out, "%s %s\n", program->name, FAIRLEAD_VERSION);
	else if (asked->manual)
		opt_manual(program, out);
	else if (asked->completion)
		opt_completion_bash(program, out);
	return opt_is_asked(asked);
}
