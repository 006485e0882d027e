/* The files module: see docs/protocol.md §4.3 and files.h. */
#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "base/log.h"
#include "modules/files/files.h"

int main(int argc, char **argv)
{
	struct loop *loop = NULL;
	struct module *module = NULL;
	struct transfers *ts = NULL;
	const char *home = getenv("HOME");

	int fd = module_start(argc, argv, "files");
	if (fd < 0)
		return 2;
	log_open("fairlead-files");
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN); /* a limit on file sizes is an error of write() */
	/* a path that does not begin with / counts from the home folder, as with scp */
	if (!home || chdir(home) < 0)
		log_debug("files-no-home", NULL);
	int err = loop_create(&loop);
	if (err == 0 && !(ts = transfers_create(loop)))
		err = -ENOMEM;
	if (err == 0)
		err = module_create(loop, &(struct module_config){ fd, "files", FAIRLEAD_VERSION },
				    &transfers_handler, ts, &module);
	if (err == 0) {
		transfers_attach(ts, module);
		err = loop_run(loop);
	}
	if (err < 0)
		log_error("files-failed", "error=%s", err_name(err));
	transfers_destroy(ts);
	module_destroy(module);
	loop_destroy(loop);
	return err < 0;
}
