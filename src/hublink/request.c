#include "hublink/request.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/ct.h"
#include "base/err.h"
#include "base/text.h"
#include "hublink/conn.h"
#include "proto/http/http.h"

struct hub_request {
	struct loop *loop;
	struct hub_url url;
	struct hub_conn *conn;
	struct http_client *http;
	struct loop_timer timer;
	struct loop_deferred later;
	void (*fn)(void *arg, const struct hub_answer *answer);
	void *arg;
	char *method, *target, *body, *bearer;
	bool done, dead;
};

static void finish(struct hub_request *r, const struct hub_answer *answer)
{
	if (r->done)
		return;
	r->done = true;
	loop_timer_stop(&r->timer);
	r->fn(r->arg, answer);
}

static void finish_failed(struct hub_request *r, int err, const char *why)
{
	finish(r, &(struct hub_answer){ .err = err, .code = "", .message = why });
}

static void take_response(struct hub_request *r, const struct http_response *response)
{
	struct hub_answer answer = { .status = response->status, .code = "", .message = "" };
	json_t *body = json_loadb((const char *)response->body.ptr, response->body.len,
				  JSON_REJECT_DUPLICATES, NULL);
	json_t *error = json_object_get(body, "error");
	const char *code = json_string_value(json_object_get(error, "code"));
	const char *message = json_string_value(json_object_get(error, "message"));
	char why[400], shown[256];

	answer.body = body;
	/* nobody else speaks like that */
	if (body && (json_is_object(body) || json_is_array(body)))
		hub_conn_works(r->conn);
	if (response->status < 200 || response->status > 299) {
		answer.err = code && message ? FL_EUNSUPPORTED : FL_EMALFORMED;
		if (code && message)
			snprintf(why, sizeof(why), "%s",
				 text_printable(shown, sizeof(shown), span_str(message)));
		else
			snprintf(why, sizeof(why),
				 "%.150s answered %u to %.60s, which a Fairlead hub would not. "
				 "Check "
				 "the address, and what stands in between.",
				 r->url.authority, response->status, r->target);
		answer.code = code ? code : "";
		answer.message = why;
	} else if (response->body.len > 0 && !body) {
		answer.err = FL_EMALFORMED;
		snprintf(why, sizeof(why),
			 "%.150s did not answer in JSON, so it is no Fairlead hub. Check the "
			 "address.",
			 r->url.authority);
		answer.message = why;
	}
	finish(r, &answer);
	json_decref(body);
}

static void advance(struct hub_request *r)
{
	struct http_client_event event;
	char why[400];

	while (!r->done && http_client_next_event(r->http, &event)) {
		if (event.type == HTTP_CLIENT_RESPONSE) {
			take_response(r, event.response);
		} else {
			snprintf(why, sizeof(why), "%.150s gave no usable answer (%.100s).",
				 r->url.authority, event.reason ? event.reason : "no reason given");
			finish_failed(r, event.err, why);
		}
	}
	if (r->done || r->dead)
		return;
	struct span out = http_client_output(r->http);
	if (out.len > 0) {
		int err = hub_conn_write(r->conn, out);
		if (err < 0) {
			finish_failed(r, err, "The request is too large to be sent.");
			return;
		}
		http_client_sent(r->http, out.len);
	}
	loop_timer_at(&r->timer, http_client_deadline(r->http));
}

static void on_timer(void *arg)
{
	struct hub_request *r = arg;

	http_client_timeout(r->http, loop_now(r->loop));
	advance(r);
}

static void on_open(void *arg)
{
	struct hub_request *r = arg;
	char authorization[512];
	struct http_field fields[3];
	size_t n = 0;

	fields[n++] = (struct http_field){ "accept", "application/json" };
	if (r->body)
		fields[n++] = (struct http_field){ "content-type", "application/json" };
	if (r->bearer) {
		snprintf(authorization, sizeof(authorization), "Bearer %s", r->bearer);
		fields[n++] = (struct http_field){ "authorization", authorization };
	}
	struct http_client_request request = {
		.method = r->method,
		.target = r->target,
		.host = r->url.authority,
		.fields = fields,
		.field_count = n,
		.body = r->body ? span_str(r->body) : span_of(NULL, 0),
		.close = true,
	};
	int err = http_client_request(r->http, loop_now(r->loop), &request);
	ct_wipe(authorization, sizeof(authorization));
	if (err < 0)
		finish_failed(r, err, "The request could not be written; is the API key one line?");
	else
		advance(r);
}

static void on_read(void *arg, struct buf *in)
{
	struct hub_request *r = arg;

	if (r->done) {
		buf_clear(in);
		return;
	}
	int err = http_client_input(r->http, loop_now(r->loop), buf_span(in));
	buf_clear(in);
	if (err < 0)
		finish_failed(r, err, "The hub's answer is too large.");
	else
		advance(r);
}

static void on_close(void *arg, int err, const char *why)
{
	struct hub_request *r = arg;

	if (r->done)
		return;
	if (err == 0) {
		http_client_eof(r->http, loop_now(r->loop));
		advance(r);
	}
	finish_failed(r, err ? err : -ECONNRESET, why);
}

static const struct hub_conn_handler conn_handler = { on_open, on_read, on_close };

int hub_request_start(struct loop *loop, const struct hub_request_config *config,
		      void (*fn)(void *arg, const struct hub_answer *answer), void *arg,
		      struct hub_request **out)
{
	static const struct http_client_config http_config = { .body_max = HUB_ANSWER_MAX };
	struct hub_request *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	r->loop = loop;
	r->url = *config->url;
	r->fn = fn;
	r->arg = arg;
	r->method = strdup(config->method);
	r->target = strdup(config->target);
	r->body = config->body ? json_dumps(config->body, JSON_COMPACT) : NULL;
	r->bearer = config->bearer ? strdup(config->bearer) : NULL;
	r->http = http_client_create(&http_config);
	loop_timer_init(loop, &r->timer, on_timer, r);
	int err = -ENOMEM;
	if (r->method && r->target && r->http && (!config->body || r->body) &&
	    (!config->bearer || r->bearer))
		err = hub_conn_create(loop, &r->url, config->tls, config->way, &conn_handler, r,
				      &r->conn);
	if (err < 0) {
		hub_request_destroy(r);
		return err;
	}
	*out = r;
	return 0;
}

static void release(void *arg)
{
	struct hub_request *r = arg;

	http_client_destroy(r->http);
	free(r->method);
	free(r->target);
	ct_wipe_strp(&r->body);
	ct_wipe_strp(&r->bearer);
	free(r);
}

void hub_request_destroy(struct hub_request *r)
{
	if (!r || r->dead)
		return;
	r->dead = r->done = true;
	loop_timer_stop(&r->timer);
	hub_conn_destroy(r->conn);
	loop_defer(r->loop, &r->later, release, r);
}
