/*
 * The control thread of a running relay: signals, reloads, draining, the service manager, and the
 * watch over certificate files and interface addresses. The workers do the relay's work.
 *
 *	SIGHUP             settings read again; a bad file changes nothing
 *	SIGTERM            drain; a second one, or SIGINT, ends at once
 */
#pragma once

#include "relay/settings.h"

struct control_config {
	struct settings *settings;
	/* To be parsed again on SIGHUP; borrowed. */
	int argc;
	char **argv;
};

/* Runs until the end; the process's exit status. Says on stderr why it could not start. */
int control_run(const struct control_config *config);
