/*
 * HTTP/1.1 (RFC 9110, RFC 9112): a server connection, a client connection, and small helpers for
 * header values. llhttp parses, in strict mode; a scan of the head before it refuses what strict
 * mode still lets pass (obs-fold, a line feed without carriage return), so no request means one
 * thing here and another to a proxy in front.
 *
 * Sans-IO: bytes and the time come in; events, bytes and one deadline come out. After each call
 * that takes `now` the driver calls next_event until it is false, then sends what output() shows,
 * then asks for the deadline. Input is only stored; next_event does the parsing and may queue
 * output (100 Continue, error answers), hence that order.
 *
 * A connection owns its buffers, each with a maximum. What an event points at is borrowed until the
 * next next_event, respond/start or destroy on that connection. Left to others: TLS, routing,
 * redirects, content codings, connection pools.
 */
#pragma once

#include "base/buf.h"
#include "base/span.h"
#include "base/usec.h"
#include "base/util.h"

#define HTTP_HEAD_MAX (32 * 1024)      /* start line and header fields together */
#define HTTP_TARGET_MAX (8 * 1024)     /* of the request line's target */
#define HTTP_FIELDS_MAX 100	       /* header fields in one message */
#define HTTP_BODY_MAX (64 * 1024)      /* of a message, unless told otherwise */
#define HTTP_PIPELINE_MAX (512 * 1024) /* bytes that wait while a request is being answered */
#define HTTP_OUT_MAX (4 * 1024 * 1024) /* answers not yet sent */
#define HTTP_DATE_LEN 30	       /* "Sun, 06 Nov 1994 08:49:37 GMT" and the 0 */

enum http_method {
	HTTP_METHOD_GET,
	HTTP_METHOD_HEAD,
	HTTP_METHOD_POST,
	HTTP_METHOD_PUT,
	HTTP_METHOD_PATCH,
	HTTP_METHOD_DELETE,
	HTTP_METHOD_OPTIONS,
};

const char *http_method_name(enum http_method method); /* "GET" */
const char *http_status_text(unsigned status);	       /* "Not Found"; "Unknown" */

/* A received header field. Names are lower case, values without white space around them. */
struct http_header {
	struct span name, value;
};

struct http_headers {
	const struct http_header *fields;
	size_t count;
};

/* A header field to send. A name that is no token or a value with CR, LF or 0 is refused. */
struct http_field {
	const char *name, *value;
};

/* The first field of that (lower-case) name; ptr is NULL when there is none. */
struct span http_headers_get(const struct http_headers *headers, const char *name);

/* A comma-separated list, over all fields of that name, holds the token; case is ignored. */
bool http_headers_has_token(const struct http_headers *headers, const char *name,
			    const char *token);

/* ---- server ---- */

struct http_server;

struct http_server_config {
	size_t head_max;     /* 0: HTTP_HEAD_MAX */
	size_t body_max;     /* 0: HTTP_BODY_MAX; larger bodies are answered 413 */
	size_t pipeline_max; /* 0: HTTP_PIPELINE_MAX */
	size_t out_max;	     /* 0: HTTP_OUT_MAX */
	/* Whole head, from its first byte; and from create to the first byte. 0: 10 s */
	usec_t head_timeout_us;
	usec_t body_timeout_us; /* whole body, from the end of the head; 0: 30 s */
	usec_t idle_timeout_us; /* between requests; 0: 60 s */
	bool ask_body; /* HTTP_SERVER_HEAD comes before a body is read; see http_server_read_body()
			*/
};

struct http_request {
	enum http_method method;
	/*
	 * Percent-decoded, terminated, begins with '/' ("*" for OPTIONS *). Valid UTF-8 without
	 * control characters, backslashes, empty, "." or ".." segments (a '/' at the end is fine);
	 * an encoded '/' is refused. So it can be looked up as it is.
	 */
	const char *path;
	struct span query;  /* as sent, without '?'; http_query_get() reads it */
	struct span target; /* as sent; may hold an access_token: never log it */
	struct span host;   /* of the target if it is in absolute form, else the Host field */
	struct http_headers headers;
	struct span body; /* chunks put together; empty with HTTP_SERVER_HEAD */
	/* Connection: upgrade with an Upgrade field. Answer with http_server_upgrade(), or as any
	 * other request to stay with HTTP. */
	bool upgrade;
	bool keep_alive; /* false: the connection closes after the answer */
};

enum http_server_event_type {
	/* Only with ask_body, for a request that announces a body: call http_server_read_body(), or
	 * answer at once (then the body is not read and the connection closes). */
	HTTP_SERVER_HEAD,
	/* A whole request. Nothing more is parsed until it was answered in full. */
	HTTP_SERVER_REQUEST,
	/* Send what output() still holds, then close. Comes once; nothing is taken in after it. */
	HTTP_SERVER_CLOSE,
};

struct http_server_event {
	enum http_server_event_type type;
	const struct http_request *request; /* HEAD, REQUEST */
	unsigned status;    /* CLOSE: of the error answer the core made itself, else 0 */
	const char *reason; /* CLOSE: a few words for a counter or a log ("idle", "obs-fold") */
};

/* NULL when there is no memory. */
struct http_server *http_server_create(const struct http_server_config *config, usec_t now);
void http_server_destroy(struct http_server *s); /* NULL is fine */

/* Takes all bytes. 0, -ENOMEM, FL_EQUOTA (pipeline_max: close the connection). */
int http_server_input(struct http_server *s, usec_t now, struct span bytes) FL_WARN_UNUSED;
bool http_server_next_event(struct http_server *s, struct http_server_event *event);
usec_t http_server_deadline(const struct http_server *s);
void http_server_timeout(struct http_server *s, usec_t now); /* may make a 408 and a CLOSE */

/* True while input waits behind a request being answered: pause reading from the stream. */
bool http_server_full(const struct http_server *s);

/* The time for the Date field (RFC 9110 §6.6.1), seconds since 1970; no Date until the first call.
 * The string is kept, so calling it each second or each request is cheap. */
void http_server_set_date(struct http_server *s, int64_t unix_time);

/* Answer to HTTP_SERVER_HEAD: read a body of up to max bytes; HTTP_SERVER_REQUEST follows. Sends
 * 100 Continue when the client waits for it. 0, or FL_ESTATE. */
int http_server_read_body(struct http_server *s, usec_t now, size_t max) FL_WARN_UNUSED;

/*
 * A whole answer. Content-Length, Date and Connection are added; the body is copied, and left out
 * for HEAD, 204 and 304. Other Content-Length, Transfer-Encoding, Connection or Date fields are
 * refused. 0; FL_ESTATE (no request waits), FL_EMALFORMED (a field), FL_EQUOTA (out_max), -ENOMEM;
 * on failure nothing was queued and another answer may be given.
 */
int http_server_respond(struct http_server *s, usec_t now, unsigned status,
			const struct http_field *fields, size_t field_count,
			struct span body) FL_WARN_UNUSED;

#define HTTP_LENGTH_UNKNOWN UINT64_MAX /* sent chunked, to HTTP/1.0 until the connection closes */

/* The same in pieces: start, write as output() drains, end. write gives FL_EQUOTA when out_max is
 * reached (send, then try again) and FL_EMALFORMED past the announced length; end gives
 * FL_EMALFORMED and closes the connection when less was written. */
int http_server_start(struct http_server *s, usec_t now, unsigned status,
		      const struct http_field *fields, size_t field_count,
		      uint64_t length) FL_WARN_UNUSED;
int http_server_write(struct http_server *s, usec_t now, struct span piece) FL_WARN_UNUSED;
int http_server_end(struct http_server *s, usec_t now) FL_WARN_UNUSED;

/*
 * 101 Switching Protocols (RFC 9110 §7.8) with these fields; Connection: Upgrade is added. Then
 * HTTP is over: send output(), feed http_server_rest() (borrowed) to the new protocol, destroy. 0;
 * FL_ESTATE (no request waits that asks for it), FL_EMALFORMED, -ENOMEM.
 */
int http_server_upgrade(struct http_server *s, usec_t now, const struct http_field *fields,
			size_t field_count) FL_WARN_UNUSED;
struct span http_server_rest(const struct http_server *s);

/* Close once the present answer is sent (shutdown); an idle connection closes at once. */
void http_server_close(struct http_server *s, usec_t now);

/* Bytes to send, borrowed until the next call; then say how many were taken. */
struct span http_server_output(const struct http_server *s);
void http_server_sent(struct http_server *s, size_t len);

/* ---- client ---- */

struct http_client;

struct http_client_config {
	size_t head_max;   /* 0: HTTP_HEAD_MAX */
	size_t body_max;   /* 0: HTTP_BODY_MAX */
	usec_t timeout_us; /* from the request to the whole answer; 0: 30 s */
};

struct http_client_request {
	const char *method; /* "GET" */
	const char *target; /* "/path?query", already encoded */
	const char *host;   /* "hub.example:8443" */
	const struct http_field *fields;
	size_t field_count;
	struct span body; /* Content-Length is added when there is one or the method is POST, PUT,
			     PATCH */
	bool upgrade;	  /* Connection: Upgrade is added; a 101 is taken */
	bool close;	  /* Connection: close is added */
	/* The body of a 200 is told as it comes, without an end in time or length. */
	bool pieces;
};

struct http_response {
	unsigned status;
	struct http_headers headers;
	struct span body; /* chunks put together */
	bool upgraded;	  /* 101: http_client_rest() is the new protocol's */
	bool keep_alive;  /* another request may follow */
};

enum http_client_event_type {
	HTTP_CLIENT_RESPONSE, /* interim answers (1xx but 101) are passed over */
	HTTP_CLIENT_PIECE,  /* with pieces: response holds what has come since; RESPONSE ends it */
	HTTP_CLIENT_FAILED, /* no answer will come; close */
};

struct http_client_event {
	enum http_client_event_type type;
	const struct http_response *response;
	/* FAILED: FL_EMALFORMED, FL_EQUOTA (head_max or body_max), -ETIMEDOUT, -ECONNRESET (the
	 * other side closed before the end), -ENOMEM */
	int err;
	const char *reason; /* FAILED: a few words */
};

struct http_client *http_client_create(const struct http_client_config *config);
void http_client_destroy(struct http_client *c);

/* One at a time. 0; FL_ESTATE (one is under way, or the connection cannot be used again),
 * FL_EMALFORMED (a field or the target), -ENOMEM. */
int http_client_request(struct http_client *c, usec_t now,
			const struct http_client_request *request) FL_WARN_UNUSED;

/* 0, -ENOMEM, FL_EQUOTA. */
int http_client_input(struct http_client *c, usec_t now, struct span bytes) FL_WARN_UNUSED;
void http_client_eof(struct http_client *c, usec_t now); /* the other side closed */
bool http_client_next_event(struct http_client *c, struct http_client_event *event);
usec_t http_client_deadline(const struct http_client *c);
void http_client_timeout(struct http_client *c, usec_t now);
struct span http_client_output(const struct http_client *c);
void http_client_sent(struct http_client *c, size_t len);
struct span http_client_rest(const struct http_client *c); /* after a 101 */

/* ---- helpers ---- */

/* Percent-decodes (RFC 3986 §2.1) into out, terminated. The length; FL_EMALFORMED (a bad escape, or
 * a 0 byte), FL_EQUOTA (cap). plus: '+' is a space, as in forms and queries. */
int http_percent_decode(struct span in, bool plus, char *out, size_t cap) FL_WARN_UNUSED;

/* Encodes all but unreserved characters (RFC 3986 §2.3). 0 or FL_EQUOTA. */
int http_percent_encode(struct span in, char *out, size_t cap) FL_WARN_UNUSED;

/* The first value of that name, decoded. As http_percent_decode(), and -ENOENT. */
int http_query_get(struct span query, const char *name, char *out, size_t cap) FL_WARN_UNUSED;

/* The first cookie of that name (RFC 6265 §5.4), quotes stripped; ptr NULL when there is none. */
struct span http_cookie_get(const struct http_headers *headers, const char *name);

enum http_coding { HTTP_CODING_IDENTITY = 0, HTTP_CODING_GZIP = 1, HTTP_CODING_BR = 2 };

/* The coding to send (RFC 9110 §12.5.3), best quality first and br before gzip before identity.
 * available is a sum of the codings there are. */
enum http_coding http_choose_coding(const struct http_headers *headers, unsigned available);

/* If-None-Match (RFC 9110 §13.1.2) holds this entity tag, compared weakly, or is "*". etag has its
 * quotes. */
bool http_etag_match(struct span if_none_match, const char *etag);

/* IMF-fixdate (RFC 9110 §5.6.7); returns out. Years 1970 to 9999. */
const char *http_date(int64_t unix_time, char out[HTTP_DATE_LEN]);
