/*
 * Every enrolled device in memory, who of them is online, and the consoles that watch the list.
 * Changes are gathered for a moment and then told; a watcher that reads slowly gets each device
 * once, as it is by then. Changes also go to the store a little later, in one transaction; what a
 * device reports is told again at its next Prove, so nothing acknowledged hangs on it.
 */
#pragma once

#include <jansson.h>

#include "base/list.h"
#include "hub/hub.h"
#include "hub/realtime/places.h"
#include "hub/realtime/rt.h"

#define REGISTRY_DEVICES_MAX 200000
#define REGISTRY_TELL_US (50 * USEC_PER_MSEC)  /* changes are gathered for so long */
#define REGISTRY_SAVE_US (250 * USEC_PER_MSEC) /* and this long before they are stored */
#define REGISTRY_FIRST_BYTES (160 * 1024)      /* devices in the answer to WatchDevices */

struct registry;
struct endpoint;

struct device {
	char id[STORE_ID_CAP];
	uint8_t key[32];
	char *name, *client, *status; /* status: JSON text, checked */
	int64_t enrolled, last_seen;
	struct endpoint *online; /* NULL: offline */
	struct list sessions;	 /* broker.h: running ones */
	struct place *place;	 /* never NULL */
	size_t running;		 /* budget.c's own */
	/* registry.c's own */
	uint64_t change;
	struct list by_change;
	struct list unsaved;
	char *message; /* "device" message as sent to watchers; NULL: changed since */
	size_t message_len;
};

struct watcher {
	struct list node;
	struct rt *rt;
	uint64_t told; /* changes up to this one */
};

int registry_create(struct hub *hub, struct registry **out) FL_WARN_UNUSED;
void registry_destroy(struct registry *r); /* no more watchers by then */
/* Fills it; at start, before there are workers. */
int registry_load(struct registry *r, struct store *s) FL_WARN_UNUSED;

struct device *registry_find(struct registry *r, const char *id); /* NULL: unknown */
size_t registry_count(const struct registry *r);
size_t registry_online(const struct registry *r);

/* Takes over what the store has; -EEXIST is fine (a repeated enrolment). */
int registry_add(struct registry *r, const struct store_device *row) FL_WARN_UNUSED;
/* Tells watchers, frees. Its sessions and connection must have been ended. */
void registry_forget(struct registry *r, struct device *d);

/* Strings are copied; NULL leaves one as it is. Tells and saves. */
int registry_update(struct registry *r, struct device *d, const char *name, const char *client,
		    const char *status) FL_WARN_UNUSED;
/* After the store has it. empty: to the parent, for all devices directly in it. */
void registry_place(struct registry *r, struct device *d, struct place *to);
void registry_empty_place(struct registry *r, struct place *place);
void registry_set_online(struct registry *r, struct device *d, struct endpoint *e);

json_t *registry_json(const struct device *d); /* Device of docs/protocol.md; NULL: no memory */
json_t *registry_list(const struct registry *r);

/* The answer to WatchDevices; what does not fit follows as "device" messages. */
json_t *registry_watch(struct registry *r, struct watcher *w, struct rt *rt);
void registry_unwatch(struct watcher *w);		   /* fine when it is not watching */
void registry_more(struct registry *r, struct watcher *w); /* its connection has room again */

/* Stores what is still unsaved; at shutdown. */
void registry_save(struct registry *r);
