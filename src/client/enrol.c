#include "client/enrol.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/ct.h"
#include "base/err.h"
#include "base/text.h"
#include "hublink/request.h"

struct enrol {
	struct client *client;
	struct enrol_token token;
	struct hub_request *request;
	struct loop_timer retry;
	struct backoff backoff;
	char last_why[512];
	void (*fn)(struct client *c, int err, const char *why);
};

static void finish(struct enrol *e, int err, const char *why)
{
	e->fn(e->client, err, why);
}

/* The hub's answer is only taken when the token vouches for it. */
static bool answer_genuine(struct enrol *e, json_t *body)
{
	const char *device = json_string_value(json_object_get(body, "device"));
	const char *hub_key = json_string_value(json_object_get(body, "hubKey"));
	const char *signature = json_string_value(json_object_get(body, "signature"));
	const char *lines[] = { "fairlead-enrolled-v1", device,
				sign_key_public(e->client->identity.key) };

	return device && *device && strlen(device) < IDENTITY_DEVICE_MAX && hub_key && signature &&
	       enrol_token_names(&e->token, hub_key) &&
	       sign_check_lines(hub_key, lines, ARRAY_LEN(lines), signature);
}

static void take_answer(struct enrol *e, json_t *body)
{
	struct identity *id = &e->client->identity;
	char why[512];

	if (!answer_genuine(e, body)) {
		snprintf(why, sizeof(why),
			 "%.150s is not the hub that made this token (its key is another one). "
			 "Check "
			 "--hub, or make a token at this hub.",
			 e->client->url.base);
		finish(e, FL_EUNAUTHENTICATED, why);
		return;
	}
	(void)text_copy(id->device, sizeof(id->device),
			json_string_value(json_object_get(body, "device")));
	(void)text_copy(id->hub_key, sizeof(id->hub_key),
			json_string_value(json_object_get(body, "hubKey")));
	(void)text_copy(id->hub, sizeof(id->hub), e->client->url.base);
	id->enrolled = true;
	int err = identity_save(id, why);
	if (err == 0)
		log_info("enrolled", "hub=%s device=%s", id->hub, id->device);
	finish(e, err, why);
}

static void on_answer(void *arg, const struct hub_answer *answer)
{
	struct enrol *e = arg;
	char why[512];

	hub_request_destroy(e->request);
	e->request = NULL;
	if (answer->err == 0) {
		take_answer(e, answer->body);
		return;
	}
	/* what the hub refuses it will refuse again; everything else may pass */
	if (*answer->code && answer->status >= 400 && answer->status < 500 &&
	    answer->status != 429) {
		snprintf(why, sizeof(why), "The hub does not take this enrolment: %s",
			 answer->message);
		finish(e, FL_EUNAUTHENTICATED, why);
		return;
	}
	if (strcmp(answer->message, e->last_why) != 0) {
		(void)text_copy(e->last_why, sizeof(e->last_why), answer->message);
		log_warn("enrol-waits", "reason=\"%s\"", answer->message);
	}
	loop_timer_after(&e->retry,
			 backoff_next(&e->backoff, loop_now(e->client->loop), rng_system()));
}

static void ask(void *arg)
{
	struct enrol *e = arg;
	struct client *c = e->client;
	char proof[SIGN_KEY_TEXT];
	json_t *status = status_json(c);
	json_t *body = NULL;

	int err = enrol_token_proof(&e->token, sign_key_public(c->identity.key), proof);
	if (err == 0)
		body = json_pack("{s:s, s:s, s:s, s:O, s:O, s:s}", "tokenId", e->token.id, "proof",
				 proof, "publicKey", sign_key_public(c->identity.key), "name",
				 json_object_get(status, "name"), "platform",
				 json_object_get(status, "platform"), "version", FAIRLEAD_VERSION);
	way_refresh(c->way);
	struct hub_request_config config = {
		.url = &c->url,
		.tls = c->tls,
		.way = c->way,
		.method = "POST",
		.target = "/endpoint/enrol",
		.body = body,
	};
	if (!body || hub_request_start(c->loop, &config, on_answer, e, &e->request) < 0)
		loop_timer_after(&e->retry, USEC_PER_SEC);
	json_decref(body);
	json_decref(status);
}

int enrol_start(struct client *c, const char *token,
		void (*fn)(struct client *c, int err, const char *why), struct enrol **out,
		char why[512])
{
	struct enrol *e = calloc(1, sizeof(*e));

	snprintf(why, 512, "Out of memory.");
	if (!e)
		return -ENOMEM;
	e->client = c;
	e->fn = fn;
	loop_timer_init(c->loop, &e->retry, ask, e);
	if (enrol_token_parse(token, &e->token) < 0) {
		snprintf(why, 512,
			 "This is not an enrolment token. One looks like fl1.….….… and is made in "
			 "the console under Devices, or by fairlead up.");
		enrol_destroy(e);
		return FL_EMALFORMED;
	}
	loop_timer_after(&e->retry, 0);
	*out = e;
	return 0;
}

void enrol_destroy(struct enrol *e)
{
	if (!e)
		return;
	loop_timer_stop(&e->retry);
	hub_request_destroy(e->request);
	ct_wipe(e, sizeof(*e));
	free(e);
}
