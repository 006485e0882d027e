/* The terminal module: see docs/protocol.md §4.1 and terminal.h. */
#include <errno.h>
#include <signal.h>

#include "base/log.h"
#include "modules/terminal/terminal.h"

int main(int argc, char **argv)
{
	struct loop *loop = NULL;
	struct module *module = NULL;
	struct terminals *ts = NULL;

	int fd = module_start(argc, argv, "terminal");
	if (fd < 0)
		return 2;
	log_open("fairlead-terminal");
	signal(SIGPIPE, SIG_IGN);
	int err = loop_create(&loop);
	if (err == 0 && !(ts = terminals_create(loop)))
		err = -ENOMEM;
	if (err == 0)
		err = module_create(loop,
				    &(struct module_config){ fd, "terminal", FAIRLEAD_VERSION },
				    &terminals_handler, ts, &module);
	if (err == 0) {
		terminals_attach(ts, module);
		err = loop_run(loop);
	}
	if (err < 0)
		log_error("terminal-failed", "error=%s", err_name(err));
	terminals_destroy(ts);
	module_destroy(module);
	loop_destroy(loop);
	return err < 0;
}
