/*
 * Inside the stream fronts: one client's connection, and what all fronts of a worker share.
 *
 *	stream_front.c	listeners, limits, the lists by which silent and idle connections end
 *	stream_conn.c	a connection: PROXY header, TURN messages in, moving, joining, the end
 *	stream_wss.c	the same behind HTTP and WebSocket frames
 *	stream_send.c	messages out
 *
 * A connection is on exactly one list: silent (its first message is awaited), watched (looked at
 * now and then whether it still has an allocation) or joined (half of a pair of RFC 6062). Each of
 * the first two is in the order in which its members are due.
 */
#pragma once

#include "proto/http/http.h"
#include "proto/proxy2/proxy2.h"
#include "proto/turn/turn_stream.h"
#include "proto/ws/ws.h"
#include "relay/source_count.h"
#include "relay/stream_front.h"
#include "relay/tcp_relay.h"

#define STREAM_WSS_MESSAGE_MAX (66 * 1024) /* a TURN message at its longest fits */

struct stream_clients {
	struct worker *worker;
	struct list fronts;
	struct list silent, watched, joined;
	struct loop_timer due;
	size_t n;
	struct source_count unproved;
};

struct stream_front {
	struct worker *worker;
	struct list node;
	struct settings_listener at;
	struct settings *settings;
	struct listener *listener;
	struct addr addr;
	size_t n;
};

enum stream_stage {
	STREAM_PROXY, /* the header of a load balancer */
	STREAM_HTTP,  /* WSS: the request that becomes a WebSocket */
	STREAM_TURN,  /* messages, over WSS in frames */
	STREAM_JOINED,
};

struct conn {
	struct worker *worker;
	struct stream_front *front;
	struct list node;
	usec_t due, last_message;
	enum stream_stage stage;
	struct link link;
	struct stream *stream;
	/* the PROXY header is read from the bare socket: what follows may be TLS */
	int fd;
	struct loop_watch watch;
	struct buf rest; /* the header so far; over WSS bytes whose message is not whole yet */
	struct http_server *http;
	struct ws *ws;
	struct tcp_pair *pair;
	struct worker *moving_to;
	unsigned moves; /* since the last message that was taken */
	struct loop_deferred later;
	bool counted, recount; /* in the table of what is not proved; recount: and is to be again */
	bool paused;	       /* by the pair */
	bool closing, dead;
};

/* stream_front.c */
struct conn *stream_conn_new(struct stream_front *f, const struct addr *from);
void stream_front_join(struct stream_front *f, struct conn *c);	 /* belongs to it from now on */
void stream_front_leave(struct stream_front *f, struct conn *c); /* counters, lists */
bool stream_front_count_source(struct conn *c);			 /* false: it has enough of them */
void stream_front_proved(struct conn *c); /* it has an allocation, or half of a pair */
void stream_front_watch(struct conn *c);  /* its first message came */
struct tls_context *stream_front_tls(const struct stream_front *f);

/* stream_conn.c */
void stream_conn_start(struct conn *c, int fd); /* takes fd over */
void stream_conn_end(struct conn *c);		/* at once; the memory goes after the turn */
void stream_conn_close(struct conn *c);		/* after what is queued */
/* Nothing more is to be looked at for now. */
bool stream_conn_stopped(const struct conn *c);
/* Hands bytes on, to the worker as messages or to the pair as they are; how many were used. What is
 * left is a part of a message, or comes again later. FL_EMALFORMED: they make no sense. */
int stream_conn_take(struct conn *c, struct span bytes, size_t *used) FL_WARN_UNUSED;
bool stream_conn_idle(const struct conn *c, usec_t now); /* may be closed */

/* stream_wss.c */
void stream_wss_start(struct conn *c);
void stream_wss_read(struct conn *c, struct span bytes);
void stream_wss_resume(struct conn *c); /* goes on with what was left, here or in a new worker */
void stream_wss_close(struct conn *c);	/* says goodbye; the stream is closed by the caller */
bool stream_wss_flush(struct conn *c);	/* false: the connection is over */

/* stream_send.c */
extern const struct link_ops stream_link_ops;
size_t stream_send(const struct link *l, const struct link_msg *msgs, size_t n);
/* Raw bytes of a joined pair: 0, FL_EQUOTA or negative. */
int stream_send_raw(struct conn *c, struct span data);
