/* What must be there before a hub can serve: data folder, keys, store, account, API key. */
#pragma once

#include "hub/hub.h"

struct start {
	int lock; /* of the data folder; -1 */
	bool first;
	char link[512]; /* one-time link made at the first start or when asked for, or "" */
};

/* Fills hub.key and hub.store, hub.registry, hub.broker with what was stored. 0 or negative with a
 * sentence. */
int start_data(struct hub *h, struct start *s, char why[256]) FL_WARN_UNUSED;

/* Reads --turn-secret-file into hub.turn_secret: its first line, because a second one is the old
 * secret that the relay still takes. 0 or negative with a sentence; then the present one stays. */
int start_turn_secret(struct hub *h, char why[256]) FL_WARN_UNUSED;

/* The first account's link, once hub.url is known. */
int start_account(struct hub *h, struct start *s, struct store *store,
		  char why[256]) FL_WARN_UNUSED;
