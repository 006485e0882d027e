/*
 * SignalR's hub protocol in JSON, version 1 (specification: dotnet/aspnetcore,
 * src/SignalR/docs/specs/HubProtocol.md and TransportProtocols.md), checked against the npm package
 * @microsoft/signalr 10. One object is one connection in either role. Invocations with and without
 * an answer, completions, pings and close; streams are refused politely.
 *
 * Sans-IO, and free of WebSocket: text comes in as it arrives (a message may be split over or share
 * transport messages), text goes out in pieces that each are whole transport messages. After
 * signalr_input() or signalr_timeout() the driver calls signalr_next_event() until it is false,
 * then signalr_next_output() until it is false, then asks signalr_deadline().
 *
 * json_t passed in is borrowed (its references stay the caller's). json_t in an event is borrowed
 * until the next signalr_next_event() or destroy: json_incref() to keep it. Integers are exact to
 * 64 bits; one that does not fit ends the connection rather than being rounded.
 */
#pragma once

#include <jansson.h>

#include "base/buf.h"
#include "base/rng.h"
#include "base/span.h"
#include "base/usec.h"
#include "base/util.h"

#define SIGNALR_MESSAGE_MAX                                                                        \
	(256 * 1024) /* one message with its separator; and one transport message */
#define SIGNALR_OUT_MAX (4 * 1024 * 1024) /* text not yet taken by signalr_next_output() */
#define SIGNALR_DEPTH_MAX 32		  /* nested arrays and objects in one message */
#define SIGNALR_ID_MAX 64		  /* bytes of an invocation id that we are given */
#define SIGNALR_TARGET_MAX 128		  /* bytes of a method's name that we are given */
#define SIGNALR_CONNECTION_ID_LEN 23	  /* 16 random bytes in base64url and the 0 */

/* ---- negotiation (TransportProtocols.md) ---- */

/* For connectionId (public); may also, made separately, be a connectionToken (secret). */
void signalr_connection_id(struct rng *rng, char out[SIGNALR_CONNECTION_ID_LEN]);

/* The negotiateVersion of a request's query: missing or nonsense is 0, above 1 is 1. */
unsigned signalr_negotiate_version(struct span query);

/* Appends the answer's JSON to out: WebSockets, server-sent events and long polling, with text. For
 * which the token stands is the driver's matter. With version 0 only
 * connection_id is told. Ids are plain base64url text. 0, -ENOMEM, FL_EQUOTA. */
int signalr_negotiate_answer(unsigned version, const char *connection_id,
			     const char *connection_token, struct buf *out) FL_WARN_UNUSED;

/* ---- a connection ---- */

struct signalr;

enum signalr_role { SIGNALR_SERVER, SIGNALR_CLIENT };

struct signalr_config {
	enum signalr_role role;
	usec_t ping_us;		     /* a ping when nothing was sent for so long; 0: 15 s */
	usec_t timeout_us;	     /* give up when nothing arrived for so long; 0: 30 s */
	usec_t handshake_timeout_us; /* 0: 15 s */
	size_t message_max;	     /* 0: SIGNALR_MESSAGE_MAX */
	size_t out_max;		     /* 0: SIGNALR_OUT_MAX */
	unsigned depth_max;	     /* 0: SIGNALR_DEPTH_MAX */
};

enum signalr_event_type {
	SIGNALR_CONNECTED,  /* handshake done; sending is possible from now on */
	SIGNALR_INVOCATION, /* the other side calls a method of ours */
	SIGNALR_COMPLETION, /* the answer to signalr_invoke() */
	SIGNALR_CLOSED, /* once, the last event; send what is queued, then close the transport */
};

enum signalr_why {
	SIGNALR_WHY_PEER,      /* the other side sent Close */
	SIGNALR_WHY_TIMEOUT,   /* silence, or no handshake in time */
	SIGNALR_WHY_HANDSHAKE, /* refused by us or by them; error says why */
	SIGNALR_WHY_MALFORMED, /* the other side broke the protocol; error says how */
	SIGNALR_WHY_MEMORY,    /* -ENOMEM or a full output queue while answering */
};

struct signalr_event {
	enum signalr_event_type type;
	/* INVOCATION */
	const char *invocation_id; /* to give to signalr_complete(); NULL: no answer is wanted */
	const char *target;	   /* 1 to SIGNALR_TARGET_MAX bytes, hostile text */
	json_t *args;		   /* array */
	/* COMPLETION. Ignore an id that you do not wait for. */
	uint64_t call;
	json_t *result; /* NULL: none (a method without result, or an error) */
	/* COMPLETION: NULL when it went well. CLOSED: may be NULL. Text from the other side. */
	const char *error;
	/* CLOSED */
	enum signalr_why why;
	bool allow_reconnect; /* PEER: it asks to connect anew */
};

struct signalr_counters {
	uint64_t messages_in, messages_out;
	uint64_t malformed;   /* messages that ended the connection */
	uint64_t unsupported; /* stream and unknown messages, refused or ignored */
};

/* The client role queues its handshake at once. NULL when there is no memory. */
struct signalr *signalr_create(const struct signalr_config *config, usec_t now);
void signalr_destroy(struct signalr *s); /* NULL is fine */

/* Takes one transport message, or part of one. 0 or -ENOMEM. */
int signalr_input(struct signalr *s, usec_t now, struct span text) FL_WARN_UNUSED;
bool signalr_next_event(struct signalr *s, struct signalr_event *event);

/* At most message_max bytes of whole messages, to be sent as one transport message; borrowed until
 * the next call on the object. */
bool signalr_next_output(struct signalr *s, struct span *out);
usec_t signalr_deadline(const struct signalr *s);
void signalr_timeout(struct signalr *s, usec_t now);
bool signalr_connected(const struct signalr *s);

/*
 * Calls a method of the other side with exactly one argument (none when arg is NULL). send wants no
 * answer; invoke gives *call, which COMPLETION will name. 0; FL_ESTATE (not connected), FL_EQUOTA
 * (message_max, or out_max: the other side reads too slowly, close), -ENOMEM, FL_EMALFORMED (arg
 * cannot be written, e.g. a string that is not UTF-8).
 */
int signalr_send(struct signalr *s, usec_t now, const char *target, json_t *arg) FL_WARN_UNUSED;
int signalr_invoke(struct signalr *s, usec_t now, const char *target, json_t *arg,
		   uint64_t *call) FL_WARN_UNUSED;

/* Answers an invocation; id may be kept (copied) and answered later. result may be NULL: none.
 * Errors as signalr_send(). id NULL: nothing is sent, 0. */
int signalr_complete(struct signalr *s, usec_t now, const char *invocation_id,
		     json_t *result) FL_WARN_UNUSED;
int signalr_complete_error(struct signalr *s, usec_t now, const char *invocation_id,
			   const char *error) FL_WARN_UNUSED;

/* For sending one message to many connections: encode once (appended to out), then queue it on
 * each. Errors as signalr_send(). */
int signalr_encode(const char *target, json_t *arg, struct buf *out) FL_WARN_UNUSED;
int signalr_send_encoded(struct signalr *s, usec_t now, struct span message) FL_WARN_UNUSED;

/* Queues Close (error may be NULL) and ends the connection. No CLOSED event follows. */
void signalr_close(struct signalr *s, usec_t now, const char *error, bool allow_reconnect);

const struct signalr_counters *signalr_counters(const struct signalr *s);
