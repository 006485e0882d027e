/*
 * A connection to the hub for one HTTP request after the other. It connects when the first request
 * comes, and anew when the other side closed it in between.
 */
#pragma once

#include "hublink/conn.h"
#include "hublink/realtime.h"
#include "proto/http/http.h"

struct line;

struct line_handler {
	/* RESPONSE or PIECE; next_request may be made after RESPONSE */
	void (*on_answer)(void *arg, const struct http_response *response, bool whole);
	/* The request under way gets no answer. connected: it got as far as the hub, or a proxy. */
	void (*on_failed)(void *arg, bool connected, int err, const char *why);
	/* After the answer to an upgrade all bytes come here. */
	void (*on_bytes)(void *arg, struct span bytes);
};

struct line_config {
	const struct realtime_config *realtime;
	usec_t timeout_us; /* of an answer */
	size_t body_max;
};

int line_create(struct loop *loop, const struct line_config *config,
		const struct line_handler *handler, void *arg, struct line **out) FL_WARN_UNUSED;
void line_destroy(struct line *l); /* NULL is fine; from inside a handler too */
/* One at a time; the fields and texts are borrowed until it was answered, body is copied. Errors
 * as http_client_request(), -ENOMEM. */
int line_request(struct line *l, const struct http_client_request *request) FL_WARN_UNUSED;
bool line_busy(const struct line *l);
/* After an upgrade. */
int line_write(struct line *l, struct span bytes) FL_WARN_UNUSED;
/* It is the hub that answered; for later connections too. */
void line_works(struct line *l);
const struct hub_conn *line_conn(const struct line *l); /* NULL: none now */
