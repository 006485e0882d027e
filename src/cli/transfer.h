/*
 * One transfer of the command, over as many sessions as it takes: a session that ends or falls
 * silent, or a module that dies, is followed by a new one, and what was there already is not sent
 * again. It ends when everything arrived, when something fails that trying again does not mend, or
 * after a time without any progress.
 */
#pragma once

#include "cli/session.h"
#include "modules/files/tree.h"

struct transfer_config {
	const struct target *hub; /* must outlive the call; so must the strings */
	const char *device;
	enum session_route route;
	bool put;	   /* else get */
	char *const *from; /* paths here (put) or on the device (get) */
	size_t n_from;
	const char *to;
	bool force;
	usec_t retry_us; /* give up after so long without progress */
	bool show;	 /* progress on stderr, which is a terminal */
};

struct transfer_result {
	struct files_progress progress; /* files, already, skipped: of all attempts */
	uint64_t bytes;			/* sent in all attempts */
	unsigned attempts;
	double seconds;
	const char *route; /* method of the last session */
};

/* 0, CLI_FAILURE, or CLI_CONNECT_FAILURE when the device was never reached; it was said why. Ends
 * with 128 and the number after SIGINT, SIGTERM or SIGHUP. */
int transfer_run(const struct transfer_config *config, struct transfer_result *result);
