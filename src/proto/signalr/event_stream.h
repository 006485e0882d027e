/*
 * Server-sent events as SignalR uses them (WHATWG HTML, "Server-sent events", §9.2.6): bytes of the
 * body in, the data of each event out. Names, ids, retry times and comments are passed over.
 * Sans-IO.
 */
#pragma once

#include "base/buf.h"
#include "base/span.h"
#include "base/util.h"

#define EVENT_STREAM_MAX (512 * 1024) /* of one event, and of bytes not yet looked at */

struct event_stream {
	struct buf in, data;
	bool any;  /* a data field has come */
	bool told; /* data is what the last event_stream_next() showed */
	bool cr;   /* the last line ended with CR: an LF belongs to it */
};

void event_stream_init(struct event_stream *e);
void event_stream_finish(struct event_stream *e);

/* 0, -ENOMEM or FL_EQUOTA (an event is too large: give up). */
int event_stream_input(struct event_stream *e, struct span bytes) FL_WARN_UNUSED;
/* 1: *data is a whole event's, borrowed until the next call; 0: none; negative as above. */
int event_stream_next(struct event_stream *e, struct span *data) FL_WARN_UNUSED;
