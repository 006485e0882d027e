#include <stddef.h>

#include "base/opt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct target {
	bool flag;
	char *text;
	struct opt_list list;
	int64_t number;
	uint16_t port;
	int choice;
};

static const char *const colours[] = { "red", "blue", NULL };
static const struct opt table[] = {
	{ "flag", 'f', OPT_FLAG, offsetof(struct target, flag), .help = "a flag" },
	{ "text", 0, OPT_STRING, offsetof(struct target, text), .help = "a text" },
	{ "list", 0, OPT_LIST, offsetof(struct target, list), .help = "a list" },
	{ "number", 0, OPT_NUMBER, offsetof(struct target, number), .help = "a number", .min = -5,
	  .max = 5 },
	{ "port", 0, OPT_PORT, offsetof(struct target, port), .help = "a port" },
	{ "colour", 0, OPT_CHOICE, offsetof(struct target, choice), .help = "a colour",
	  .choices = colours },
	{ 0 },
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct target t = { 0 };
	struct opt_error error;

	if (opt_parse_text(table, &t, "fuzz", size ? (const char *)data : "", size, &error) == 0 &&
	    (t.number < -5 || t.number > 5 || t.choice < 0 || t.choice > 1))
		__builtin_trap();
	opt_finish(table, &t);
	return 0;
}
