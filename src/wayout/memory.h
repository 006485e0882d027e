/*
 * What worked in which network, so that the next start goes there first. Kept as text, a line each:
 * "NETWORK SECONDS WAY FOUND", the newest first; never with a password.
 */
#pragma once

#include <stdint.h>

#include "base/span.h"
#include "wayout/network.h"

#define MEMORY_NETWORKS_MAX 16
#define MEMORY_WAY_MAX 300
#define MEMORY_TEXT_MAX (MEMORY_NETWORKS_MAX * (MEMORY_WAY_MAX + 100))

struct memory_entry {
	char network[NETWORK_ID_LEN];
	int64_t at;		  /* Unix seconds */
	char way[MEMORY_WAY_MAX]; /* "direct" or a proxy's URL */
	char found[24];
};

struct memory {
	struct memory_entry list[MEMORY_NETWORKS_MAX];
	size_t n;
};

/* What is not understood is left out. */
void memory_parse(struct memory *m, struct span text);
/* The length; cap of MEMORY_TEXT_MAX suffices. */
size_t memory_format(const struct memory *m, char *dst, size_t cap);
const struct memory_entry *memory_find(const struct memory *m, const char *network);
void memory_put(struct memory *m, const struct memory_entry *entry);
void memory_forget(struct memory *m, const char *network);
