/*
 * Sessions: who talks to which device. The broker signs the grant, carries offer, answer and
 * candidates between the two ends, keeps the rows, and closes what neither end holds any more. What
 * travels on the route itself never comes here, so sessions go on while the hub is away.
 */
#pragma once

#include <jansson.h>

#include "hub/realtime/registry.h"
#include "hub/realtime/verdicts.h"

#define BROKER_SESSIONS_MAX 100000
#define BROKER_PER_CONSOLE 64
#define BROKER_PER_DEVICE 64
#define BROKER_ANSWER_US (10 * USEC_PER_SEC) /* then "no-answer" */
#define BROKER_ALONE_US (60 * USEC_PER_SEC)  /* held by neither end; then "lost" */
#define BROKER_HELD_MAX 256		     /* messages that wait for the row to be stored */

struct broker;
struct session;
struct console;
struct endpoint;

/* Reports of one side about the route. */
struct session_route {
	bool busy;	      /* one is being written */
	char *waiting;	      /* JSON; the next one, or NULL */
	struct rt_call *call; /* that brought it */
};

struct session {
	char id[STORE_ID_CAP];
	struct device *device;
	char user[STORE_ID_CAP], user_name[STORE_TITLE_CAP];
	struct console *console; /* NULL: away */
	bool device_holds;	 /* it has answered, or named it at Prove */
	struct list console_node, device_node, all;
	int64_t limit;		    /* kbit/s both ends were told; -1: nobody knows */
	struct place *budget_place; /* budget.c's own */
	/* broker.c's own */
	struct broker *broker;
	bool stored, ended, answered;
	char *call_id; /* of Connect, until the row is stored */
	json_t *connected, *held;
	struct session_route routes[2]; /* console's, device's */
	struct session_verdict verdict;
	struct loop_timer answer_timer;
	usec_t alone_since; /* USEC_NEVER: held */
};

int broker_create(struct hub *hub, struct broker **out) FL_WARN_UNUSED;
int broker_load(struct broker *b, struct store *s) FL_WARN_UNUSED; /* running ones, after devices */
void broker_destroy(struct broker *b);
size_t broker_count(const struct broker *b);
struct hub *broker_hub(const struct broker *b);

struct session *broker_find(struct broker *b, const char *id);
/* Walks those that have not ended: starts with NULL, ends with it. */
struct session *broker_next(struct broker *b, struct session *after);

/* Connect of docs/protocol.md; answers the call. args as checked. */
void broker_connect(struct broker *b, struct console *c, const char *call_id, json_t *args);

/* The console is back, or another of the same user's takes over. */
void broker_resume(struct session *s, struct console *c);
void broker_console_gone(struct session *s);

/* From a console or device to the other end; arg is borrowed. */
void broker_to_console(struct session *s, const char *target, json_t *arg);
void broker_to_device(struct session *s, const char *target, json_t *arg);

void broker_answered(struct session *s);
/* After Prove: which sessions the device says it has. */
void broker_device_here(struct broker *b, struct device *d, const json_t *named);
void broker_device_gone(struct device *d);
void broker_device_forgotten(struct device *d);

enum broker_by { BROKER_BY_DEVICE, BROKER_BY_CONSOLE, BROKER_BY_HUB };

/* call: answered when the row is stored; taken over, may be NULL. */
void broker_end(struct session *s, enum broker_by by, const char *reason, struct rt_call *call);
/* The device said no, or nothing came: "refused" to the console. */
void broker_refused(struct session *s, const char *code, const char *message, struct rt_call *call);
void broker_route(struct session *s, bool from_device, const json_t *route, struct rt_call *call);
