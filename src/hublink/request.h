/* One HTTPS request to the hub with a JSON answer, on a connection of its own. */
#pragma once

#include <jansson.h>

#include "hublink/hub_url.h"
#include "hublink/way.h"
#include "io/loop.h"
#include "io/tls.h"

#define HUB_ANSWER_MAX (4 * 1024 * 1024) /* bytes of an answer's body */

struct hub_request;

struct hub_answer {
	/* 0: status is 2xx. Else negative: no answer came, or FL_EMALFORMED (not the hub's JSON),
	 * or FL_EUNSUPPORTED (the hub answered with an error). */
	int err;
	unsigned status;     /* 0: none came */
	const char *code;    /* the hub's error code ("spent-token"), "" when there is none */
	const char *message; /* when err < 0: a sentence with cause and remedy */
	json_t *body;	     /* borrowed; NULL when there is none */
};

struct hub_request_config {
	const struct hub_url *url;
	struct tls_context *tls;
	struct way *way;	     /* NULL: directly */
	const char *method, *target; /* "POST", "/endpoint/enrol" */
	const char *bearer;	     /* API key, or NULL */
	json_t *body;		     /* borrowed; NULL: none */
};

/* fn exactly once, unless destroyed; it may destroy the request. */
int hub_request_start(struct loop *loop, const struct hub_request_config *config,
		      void (*fn)(void *arg, const struct hub_answer *answer), void *arg,
		      struct hub_request **out) FL_WARN_UNUSED;
void hub_request_destroy(struct hub_request *r); /* NULL is fine */
