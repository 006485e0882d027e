/*
 * One SignalR connection, server side: over a WebSocket over a stream, or over requests whose
 * answers fetch what it has to say (link.h). Its carrier owns it and hands it what arrives; a
 * console or an endpoint object stands behind it as handler. Whatever is sent is queued at once and
 * leaves after the turn of the loop. An other side that reads too slowly for its queue is dropped,
 * never waited for.
 */
#pragma once

#include <jansson.h>

#include "hub/json/schema.h"
#include "io/loop.h"
#include "io/stream.h"
#include "proto/signalr/signalr.h"
#include "proto/ws/ws.h"

#define RT_QUEUE_MAX (1024 * 1024) /* bytes one side may be behind */
#define RT_PACE                                                                                    \
	(192 *                                                                                     \
	 1024) /* backlog above which bulk senders wait for on_drain; more than a stream takes */

struct rt;

/* A method that the other side may call. args was checked by the table and is borrowed. Answers
 * with rt_result() or rt_error(), at once or later. */
struct rt_method {
	const char *name; /* NULL ends the list */
	const struct schema *args;
	void (*call)(void *arg, const char *call_id, json_t *args);
};

struct rt_handler {
	const struct rt_method *methods;
	void (*on_connected)(void *arg);
	/* NULL, or a sentence "CODE: …" that refuses every method for now */
	const char *(*on_guard)(void *arg, const char *method);
	void (*on_drain)(void *arg);  /* may be NULL */
	void (*on_closed)(void *arg); /* exactly once; rt is not to be used after it */
};

struct rt_config {
	usec_t ping_us, timeout_us;
};

/* What carries it, and stays its owner's. */
struct rt_carrier {
	struct stream *stream;	       /* of the WebSocket; NULL: rt_output() is fetched */
	void (*on_output)(void *conn); /* without a stream: rt_output() has something */
	void (*on_end)(void *conn);    /* nothing more comes; rt_destroy() is due */
	void *conn;
};

/* NULL: no memory. */
struct rt *rt_create(struct loop *loop, const struct rt_carrier *carrier,
		     const struct rt_config *config, const struct rt_handler *handler, void *arg);

/* From the connection. destroy tells the handler; the memory goes after the turn. */
void rt_read(struct rt *rt, struct span bytes);
void rt_drain(struct rt *rt);

/* The same without a stream: text of a request, which may be part of a message or several; whole
 * messages to be told, borrowed until the next call; so many bytes of them were taken. */
void rt_text(struct rt *rt, struct span text);
struct span rt_output(const struct rt *rt);
void rt_sent(struct rt *rt, size_t len);
void rt_destroy(struct rt *rt);
/* It is being closed because of what the other side sent; more of that may be on its way. */
bool rt_broke_rules(const struct rt *rt);

/* For handlers. Failures to queue drop the connection after the turn. */
void rt_send(struct rt *rt, const char *target, json_t *arg); /* arg is taken over */
void rt_send_encoded(struct rt *rt, struct span message);
void rt_result(struct rt *rt, const char *call_id, json_t *result); /* taken over; NULL: {} */
void rt_error(struct rt *rt, const char *call_id, const char *code, const char *fmt, ...)
	FL_PRINTF(4, 5);

/* A call that is answered later, when its connection may be gone. keep gives NULL when there is no
 * memory, or nobody waits for an answer. answer: {} or, for a negative err, "internal"; frees. */
struct rt_call;
struct rt_call *rt_call_keep(struct rt *rt, const char *call_id);
void rt_call_answer(struct rt_call *c, int err); /* NULL is fine */

/* Ends it in good order: queued messages first, then a WebSocket close with this code. */
void rt_close(struct rt *rt, unsigned ws_code, const char *reason);

/* Sends what is queued now; then the bytes that the kernel has not taken yet. */
size_t rt_backlog(struct rt *rt);
