/*
 * Starts the program of one terminal: on a pseudo terminal of its own as leader of a new session
 * with it as controlling terminal, or on three pipes. It inherits nothing but 0, 1 and 2.
 */
#pragma once

#include <sys/types.h>

#include "modules/terminal/message.h"

struct terminal_process {
	pid_t pid; /* also its session and process group */
	/* Ours, non-blocking and close-on-exec. With a tty in and out are two descriptors of its
	 * master side and err is -1. */
	int in, out, err;
};

/*
 * 0, or negative; then code is the stable word and why the sentence of FAILED. Returns after the
 * program was executed, so a program that does not exist is told here.
 */
int terminal_spawn(const struct terminal_open *open, struct terminal_process *out,
		   const char **code, char why[256]) FL_WARN_UNUSED;
