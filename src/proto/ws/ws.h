/*
 * WebSocket (RFC 6455): the checks of the opening handshake, and the framing of one connection in
 * either role. Text is validated as it arrives; control frames are answered here; every rule broken
 * by the other side ends the connection with the close code that RFC 6455 §7.4.1 names for it. No
 * extensions (so no compression).
 *
 * Sans-IO. After ws_input() or ws_timeout() the driver calls ws_next_event() until it is false,
 * then sends what ws_output() shows, then asks ws_deadline(). Input is only stored; ws_next_event()
 * parses. A message that came in one frame is unmasked and handed out where it lies. What an event
 * points at is borrowed until the next ws_next_event(), ws_input() or ws_destroy().
 *
 * Left to others: sockets, TLS, the HTTP exchange around the handshake (proto/http), keep-alive
 * (SignalR has its own; ws_ping() is there for what has none).
 */
#pragma once

#include "base/buf.h"
#include "base/rng.h"
#include "base/span.h"
#include "base/usec.h"
#include "base/util.h"
#include "proto/http/http.h"

#define WS_MESSAGE_MAX (256 * 1024)  /* one message, unless told otherwise */
#define WS_OUT_MAX (4 * 1024 * 1024) /* bytes not yet sent */
#define WS_CONTROL_MAX 125	     /* payload of a control frame (RFC 6455 §5.5) */
#define WS_KEY_LEN 25		     /* Sec-WebSocket-Key and the 0 */
#define WS_ACCEPT_LEN 29	     /* Sec-WebSocket-Accept and the 0 */

/* Close codes (RFC 6455 §7.4.1). */
enum ws_code {
	WS_CODE_NORMAL = 1000,
	WS_CODE_GOING_AWAY = 1001,
	WS_CODE_PROTOCOL = 1002,
	WS_CODE_UNSUPPORTED = 1003,
	WS_CODE_NONE = 1005,	 /* never sent: the close frame had no code */
	WS_CODE_ABNORMAL = 1006, /* never sent: the stream ended without a close frame */
	WS_CODE_BAD_DATA = 1007,
	WS_CODE_POLICY = 1008,
	WS_CODE_TOO_BIG = 1009,
	WS_CODE_INTERNAL = 1011,
	WS_CODE_TRY_LATER = 1013,
};

/* ---- opening handshake (RFC 6455 §4) ---- */

/* The value of Sec-WebSocket-Accept for a key. 0 or FL_EMALFORMED (not 16 bytes in base64). */
int ws_accept_value(struct span key, char out[WS_ACCEPT_LEN]) FL_WARN_UNUSED;

struct ws_offer {
	char accept[WS_ACCEPT_LEN];
	const char *protocol; /* one of the given, or NULL: none */
};

/*
 * Server: is this request a WebSocket handshake? protocols, in our order of preference, ends with
 * NULL (or is NULL); the first that the client offers too is chosen. 0 and *out; or the HTTP status
 * to answer: 400, 405, or 426 (then with "sec-websocket-version: 13"). Origin is for the caller to
 * check.
 */
int ws_server_check(const struct http_request *request, const char *const *protocols,
		    struct ws_offer *out) FL_WARN_UNUSED;

/* Fills fields for http_server_upgrade(); returns how many (2 or 3). They borrow from offer. */
size_t ws_server_fields(const struct ws_offer *offer, struct http_field fields[3]);

/* Client: a fresh key. Then fields for http_client_request with upgrade set; protocols is one
 * comma-separated text or NULL. Returns how many (3 or 4). */
void ws_client_key(struct rng *rng, char key[WS_KEY_LEN]);
size_t ws_client_fields(const char *key, const char *protocols, struct http_field fields[4]);

/* Client: is this the right answer to that key? protocols as offered. 0; FL_EUNSUPPORTED (not a
 * 101), FL_EMALFORMED (wrong accept value, an extension or a protocol nobody asked for). */
int ws_client_check(const struct http_response *response, const char *key,
		    const char *protocols) FL_WARN_UNUSED;

/* ---- framing (RFC 6455 §5 to §7) ---- */

struct ws;

enum ws_role { WS_SERVER, WS_CLIENT };

struct ws_config {
	enum ws_role role;
	size_t message_max;	 /* 0: WS_MESSAGE_MAX */
	size_t out_max;		 /* 0: WS_OUT_MAX */
	usec_t close_timeout_us; /* from our close frame to the other side's; 0: 2 s */
};

enum ws_event_type {
	WS_EVENT_TEXT,	 /* a whole message, valid UTF-8 */
	WS_EVENT_BINARY, /* a whole message */
	WS_EVENT_PONG,	 /* answer to ws_ping(), or unasked; data is its payload */
	/* Comes once: send what ws_output() still holds, then close the stream. */
	WS_EVENT_CLOSED,
};

struct ws_event {
	enum ws_event_type type;
	struct span data; /* CLOSED: the reason's text */
	/* CLOSED: what the other side said (NONE, ABNORMAL when it said nothing), or what we told
	 * it when it broke a rule. */
	unsigned code;
	bool by_peer; /* CLOSED: the other side began it */
};

struct ws_counters {
	uint64_t messages_in, messages_out, bytes_in, bytes_out;
	uint64_t violations; /* 0 or 1: the connection ended because the other side broke a rule */
};

/* rng makes masks and is needed by WS_CLIENT only. NULL when there is no memory. */
struct ws *ws_create(const struct ws_config *config, struct rng *rng);
void ws_destroy(struct ws *ws); /* NULL is fine */

/* For messages that begin from now on; larger than before, say when the other side has proved
 * something. */
void ws_set_message_max(struct ws *ws, size_t message_max);

/* Takes all bytes. 0, -ENOMEM, FL_EQUOTA (more than message_max and a read's worth unparsed). */
int ws_input(struct ws *ws, usec_t now, struct span bytes) FL_WARN_UNUSED;
void ws_eof(struct ws *ws, usec_t now); /* the stream ended; CLOSED follows unless it came */
bool ws_next_event(struct ws *ws, struct ws_event *event);
usec_t ws_deadline(const struct ws *ws);
void ws_timeout(struct ws *ws, usec_t now);

/* A whole message in one frame, copied. text must be valid UTF-8. 0; FL_ESTATE (closing), FL_EQUOTA
 * (out_max: the other side reads too slowly), -ENOMEM. */
int ws_send_text(struct ws *ws, struct span text) FL_WARN_UNUSED;
int ws_send_binary(struct ws *ws, struct span data) FL_WARN_UNUSED;
int ws_ping(struct ws *ws, struct span data) FL_WARN_UNUSED; /* at most WS_CONTROL_MAX bytes */

/*
 * A server's head of a whole binary frame, for a driver that writes head and payload from where
 * they lie. It counts as sent. ws_output() holds whole frames only, so either may go first. The
 * head's length; 0: closing.
 */
#define WS_HEAD_MAX 10
size_t ws_binary_head(struct ws *ws, size_t payload_len, uint8_t head[WS_HEAD_MAX]);

/* Begins the closing handshake; messages that still arrive are dropped. reason may be NULL and is
 * cut to 123 bytes. CLOSED comes with the answer or after close_timeout_us. */
void ws_close(struct ws *ws, usec_t now, unsigned code, const char *reason);

/* Bytes to send, borrowed until the next call; then say how many were taken. */
struct span ws_output(const struct ws *ws);
void ws_sent(struct ws *ws, size_t len);

const struct ws_counters *ws_counters(const struct ws *ws);
