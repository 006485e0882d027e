/*
 * One module process of a session: start, messages, death, start again. Internal to the module
 * host.
 */
#pragma once

#include "base/buf.h"
#include "client/modulehost/modulehost.h"
#include "io/stream.h"

struct process_handler {
	void (*on_message)(void *arg, const struct module_message *m);
	void (*on_started)(void *arg); /* again: HELLO is to be sent, before what waits */
	void (*on_died)(void *arg);    /* its channels are gone */
};

struct process {
	struct list node; /* in the session, later in the host's list of dying ones */
	struct loop *loop;
	char name[MODULEHOST_NAME_MAX];
	char path[4096];
	const struct process_handler *handler;
	void *arg;
	struct stream *stream; /* NULL: not running, or dying */
	pid_t pid;	       /* 0: none, or reaped */
	struct loop_child child;
	struct loop_timer timer; /* READY, then nothing; SIGKILL; start again */
	struct buf waiting;	 /* messages for a module that is being started */
	bool ready, orphan;
	unsigned deaths; /* in a row */
	usec_t started;
	struct loop_deferred gone;
	void (*on_gone)(void *arg, struct process *p); /* of an orphan */
	void *gone_arg;
};

struct process *process_create(struct loop *loop, const char *dir, const char *name,
			       const struct process_handler *handler, void *arg);
void process_start(struct process *p);
/* Queues for the module, or for its next start. */
void process_send(struct process *p, const struct module_message *m);
void process_die(struct process *p, const char *why); /* it broke a rule */

/* Ends it in good order and frees it when that has happened; fn is told just before. */
void process_orphan(struct process *p, void (*fn)(void *arg, struct process *p), void *arg);
void process_free(struct process *p); /* at once; SIGKILL if it runs */
