#include "cli/cli.h"
static const struct opt_program program = { .name = "fairlead up", .summary = "x", .usage = "x" };
static int run(int argc, char **argv)
{
	return 1;
}
const struct cli_command cli_up = { "up", &program, run };
