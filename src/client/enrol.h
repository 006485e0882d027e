/* Enrolment (docs/protocol.md §1): the token and the device key become a place in the hub's list.
 */
#pragma once

#include "client/client.h"

struct enrol;

/*
 * Asks until the hub answers, with backoff while it is away. fn exactly once: err 0 and the
 * identity is saved, or negative and why says what is wrong with the token or the folder.
 */
int enrol_start(struct client *c, const char *token,
		void (*fn)(struct client *c, int err, const char *why), struct enrol **out,
		char why[512]) FL_WARN_UNUSED;
void enrol_destroy(struct enrol *e); /* NULL is fine */
