/* Shared by visit.c (the connection) and visit_app.c (what is said over it). */
#pragma once

#include "base/buf.h"
#include "base/text.h"
#include "check/visit.h"
#include "io/stream.h"
#include "proto/http/http.h"
#include "proto/signalr/signalr.h"
#include "proto/ws/ws.h"

#define VISIT_NONCE_LEN TEXT_B64_LEN(16)

struct leg {
	struct visit *visit;
	struct stream *stream;
	struct addr to;
	usec_t began;
};

struct visit {
	struct loop *loop;
	struct visit_config config;
	char host[256], authority[280];
	char upgrade[16], pinned[SIGN_KEY_TEXT];
	struct leg legs[VISIT_ADDRS_MAX]; /* through a proxy only the first */
	size_t n_legs, next, failed;
	struct stream *stream; /* the leg that won */
	struct loop_timer stagger, limit;
	struct loop_deferred release;
	usec_t opened;
	struct http_client *http;
	struct ws *ws;
	struct signalr *signalr;
	struct buf cut; /* VISIT_TURN_WSS: payload not yet a whole message */
	char key[WS_KEY_LEN], nonce[VISIT_NONCE_LEN];
	usec_t asked_at; /* of the real clock */
	bool list_asked, done, dead;
	uint8_t tid[12];
	struct visit_result result;
	void (*fn)(void *arg, struct visit_result *result);
	void *arg;
};

/* Ends the visit; cause CAUSE_NONE: all is well. */
void visit_finish(struct visit *v, enum check_cause cause);
void visit_note(struct visit *v, const char *fmt, ...) FL_PRINTF(2, 3);

/* visit_app.c */
void visit_app_open(struct visit *v);
void visit_app_read(struct visit *v, struct buf *in);
void visit_app_closed(struct visit *v, int err);
void visit_app_silent(struct visit *v);
