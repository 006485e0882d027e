/*
 * The messages of SignalR's JSON hub protocol as values; private to this folder. Reading checks all
 * that the specification (HubProtocol.md, "JSON Encoding") asks of a message's fields.
 */
#pragma once

#include <jansson.h>

#include "base/buf.h"
#include "base/span.h"
#include "base/util.h"

#define SIGNALR_SEPARATOR 0x1e

enum signalr_type {
	SIGNALR_TYPE_INVOCATION = 1,
	SIGNALR_TYPE_STREAM_ITEM = 2,
	SIGNALR_TYPE_COMPLETION = 3,
	SIGNALR_TYPE_STREAM_INVOCATION = 4,
	SIGNALR_TYPE_CANCEL_INVOCATION = 5,
	SIGNALR_TYPE_PING = 6,
	SIGNALR_TYPE_CLOSE = 7,
};

struct signalr_message {
	json_t *root; /* owned; all below points into it */
	json_int_t type;
	const char *invocation_id; /* NULL: none */
	const char *target;
	json_t *args;
	bool streams; /* the invocation brings streams along */
	json_t *result;
	const char *error;
	bool allow_reconnect;
};

/* JSON text without separator into an object; NULL with *fault when it is none, or nests deeper
 * than depth_max. *fault is constant text. */
json_t *signalr_parse(struct span text, unsigned depth_max, const char **fault);

/* Takes root over. NULL, or what is wrong with it (constant text). */
const char *signalr_message_read(json_t *root, struct signalr_message *out);
void signalr_message_finish(struct signalr_message *m);

/* Appends root and a separator; takes root over. NULL root is -ENOMEM. 0, -ENOMEM, FL_EQUOTA (more
 * than max bytes, or out is full), FL_EMALFORMED; on failure out is as it was. */
int signalr_message_put(struct buf *out, size_t max, json_t *root) FL_WARN_UNUSED;

json_t *signalr_make_invocation(const char *id, const char *target, json_t *arg);
/* error NULL: a result, which may be NULL too. */
json_t *signalr_make_completion(const char *id, json_t *result, const char *error);
json_t *signalr_make_close(const char *error, bool allow_reconnect);
