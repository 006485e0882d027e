#include "hub/realtime/endpoint.h"

#include <string.h>

#include "base/log.h"
#include "base/text.h"
#include "hub/json/messages.h"
#include "hub/realtime/console.h"
#include "hub/realtime/ice_servers.h"
#include "hub/tls.h"

#define PING_US (2 * USEC_PER_SEC)
#define SILENCE_US (4500 * USEC_PER_MSEC) /* so that the list shows it within 5 s of the end */

static void offline(struct endpoint *e)
{
	struct device *d = e->device;

	if (!d || d->online != e)
		return;
	registry_set_online(e->hub->registry, d, NULL);
	broker_device_gone(d);
	log_info("device-offline", "device=%s", d->id);
}

/* ---- Prove ---- */

static bool signature_ok(const struct endpoint *e, const struct device *d, const json_t *args)
{
	const char *lines[] = { "fairlead-device-v1", d->id, e->nonce,
				schema_string(args, "nonce") };

	return signature_fits(d->key, lines, ARRAY_LEN(lines), schema_string(args, "signature"));
}

static json_t *proof_of_hub(const struct endpoint *e, const struct device *d, const json_t *args)
{
	const char *lines[] = { "fairlead-hub-v1", d->id, schema_string(args, "nonce"), e->nonce };
	char signature[SIGNATURE_TEXT_CAP], tls_signature[SIGNATURE_TEXT_CAP];
	char tls_key[HUBKEY_TEXT_CAP];
	/* so that the device sees whether it is this hub's TLS that it speaks */
	const char *tls[] = { "fairlead-tls-v1", d->id, schema_string(args, "nonce"), e->nonce,
			      tls_key };
	uint8_t spki[32];
	struct policy policy;
	json_t *ice, *out = NULL;

	place_effective(d->place, &policy);
	ice = ice_servers_for(e->hub, e->host, d->id, &policy);
	hub_tls_key(e->hub->tls, spki);
	text_b64url_encode(span_of(spki, sizeof(spki)), tls_key, sizeof(tls_key));
	if (ice && hubkey_sign_lines(e->hub->key, lines, ARRAY_LEN(lines), signature) == 0 &&
	    hubkey_sign_lines(e->hub->key, tls, ARRAY_LEN(tls), tls_signature) == 0)
		out = json_pack("{s:s, s:I, s:O, s:s, s:s}", "signature", signature, "time",
				(json_int_t)hub_now_ms(), "iceServers",
				json_object_get(ice, "iceServers"), "tlsKey", tls_key,
				"tlsSignature", tls_signature);
	json_decref(ice);
	return out;
}

static void refuse(struct endpoint *e, const char *call_id, const char *code, const char *text)
{
	rt_error(e->rt, call_id, code, "%s", text);
	rt_close(e->rt, WS_CODE_POLICY, code);
}

/* The status as it is kept: without the name, which has a field of its own. */
static int take_status(struct endpoint *e, const json_t *status, const char *version)
{
	json_t *kept = json_copy((json_t *)status);
	const char *name = schema_string(status, "name");
	FL_AUTOFREE char *text = NULL;
	int err = -1;

	if (!kept)
		return err;
	json_object_del(kept, "name");
	text = json_dumps(kept, JSON_COMPACT);
	json_decref(kept);
	if (text)
		err = registry_update(e->hub->registry, e->device, name, version, text);
	return err;
}

static void take_over(struct endpoint *e, struct device *d)
{
	struct endpoint *old = d->online;

	if (old) {
		/* the same device over a new connection: the old one is dead or about to be */
		offline(old);
		old->device = NULL;
		rt_close(old->rt, WS_CODE_POLICY, "replaced by a newer connection");
	}
	e->device = d;
	loop_timer_stop(&e->prove_timer);
	registry_set_online(e->hub->registry, d, e);
}

static void call_prove(void *arg, const char *call_id, json_t *args)
{
	struct endpoint *e = arg;
	struct device *d = registry_find(e->hub->registry, schema_string(args, "device"));
	json_t *proof;

	if (e->device) {
		rt_error(e->rt, call_id, "bad-request",
			 "this connection has proved itself already");
		return;
	}
	if (!d) {
		refuse(e, call_id, "unknown-device",
		       "The hub does not know this device; it was removed, or the hub's data is "
		       "another. Enrol it again.");
		return;
	}
	if (!signature_ok(e, d, args)) {
		refuse(e, call_id, "wrong-signature",
		       "The signature does not fit the key that was enrolled.");
		return;
	}
	proof = proof_of_hub(e, d, args);
	if (!proof) {
		refuse(e, call_id, "busy", "The hub is out of memory; try again later.");
		return;
	}
	text_copy(e->client_nonce, sizeof(e->client_nonce), schema_string(args, "nonce"));
	take_over(e, d);
	if (take_status(e, json_object_get(args, "status"), schema_string(args, "version")) < 0)
		log_warn("status-not-kept", "device=%s", d->id);
	rt_result(e->rt, call_id, proof);
	log_info("device-online", "device=%s address=%s", d->id, e->from);
	broker_device_here(e->hub->broker, d, json_object_get(args, "sessions"));
}

/* ---- the others ---- */

static void call_status(void *arg, const char *call_id, json_t *args)
{
	struct endpoint *e = arg;

	if (take_status(e, args, NULL) < 0)
		rt_error(e->rt, call_id, "busy", "The hub is out of memory; try again later.");
	else
		rt_result(e->rt, call_id, NULL);
}

static struct session *own(struct endpoint *e, const char *call_id, const json_t *args)
{
	struct session *s = broker_find(e->hub->broker, schema_string(args, "session"));

	if (s && s->device == e->device && !s->ended)
		return s;
	rt_error(e->rt, call_id, "unknown-session",
		 "This device has no such session; it may have ended.");
	return NULL;
}

static void call_answer(void *arg, const char *call_id, json_t *args)
{
	struct endpoint *e = arg;
	struct session *s = own(e, call_id, args);

	if (!s)
		return;
	broker_answered(s);
	broker_to_console(s, "answer", args);
	rt_result(e->rt, call_id, NULL);
}

static void call_trickle(void *arg, const char *call_id, json_t *args)
{
	struct endpoint *e = arg;
	struct session *s = own(e, call_id, args);

	if (!s)
		return;
	broker_to_console(s, "trickle", args);
	rt_result(e->rt, call_id, NULL);
}

static void call_refuse(void *arg, const char *call_id, json_t *args)
{
	struct endpoint *e = arg;
	struct session *s = own(e, call_id, args);

	if (!s)
		return;
	broker_refused(s, schema_string(args, "code"), schema_string(args, "message"),
		       rt_call_keep(e->rt, call_id));
}

static void call_route(void *arg, const char *call_id, json_t *args)
{
	struct endpoint *e = arg;
	struct session *s = own(e, call_id, args);

	if (!s)
		return;
	broker_route(s, true, json_object_get(args, "route"), rt_call_keep(e->rt, call_id));
}

static void call_ended(void *arg, const char *call_id, json_t *args)
{
	struct endpoint *e = arg;
	struct session *s = own(e, call_id, args);

	if (!s)
		return;
	broker_end(s, BROKER_BY_DEVICE, schema_string(args, "reason"),
		   rt_call_keep(e->rt, call_id));
}

static const struct rt_method methods[] = {
	{ "Prove", message_prove, call_prove },	   { "Status", message_status, call_status },
	{ "Answer", message_answer, call_answer }, { "Trickle", message_trickle, call_trickle },
	{ "Refuse", message_refuse, call_refuse }, { "Route", message_route, call_route },
	{ "Ended", message_end, call_ended },	   { 0 },
};

/* ---- life ---- */

static const char *on_guard(void *arg, const char *method)
{
	struct endpoint *e = arg;

	return e->device || strcmp(method, "Prove") == 0
		       ? NULL
		       : "Prove the device's key first, or connect again.";
}

static void on_connected(void *arg)
{
	struct endpoint *e = arg;
	uint8_t unused[32];

	secret_make(rng_system(), e->nonce, unused);
	rt_send(e->rt, "challenge",
		json_pack("{s:s, s:I}", "nonce", e->nonce, "time", (json_int_t)hub_now_ms()));
}

static void on_unproved(void *arg)
{
	struct endpoint *e = arg;

	rt_close(e->rt, WS_CODE_POLICY, "the key was not proved in time");
}

static void free_endpoint(void *arg)
{
	free(arg);
}

static void on_closed(void *arg)
{
	struct endpoint *e = arg;

	loop_timer_stop(&e->prove_timer);
	offline(e);
	loop_defer(e->hub->loop, &e->end, free_endpoint, e);
}

static const struct rt_handler handler = {
	.methods = methods,
	.on_connected = on_connected,
	.on_guard = on_guard,
	.on_closed = on_closed,
};

struct rt *endpoint_make(struct exchange *x, const struct rt_carrier *carrier)
{
	const struct rt_config config = { .ping_us = PING_US, .timeout_us = SILENCE_US };
	struct endpoint *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	e->hub = x->hub;
	text_copy(e->host, sizeof(e->host), x->host);
	text_copy(e->from, sizeof(e->from), x->from_text);
	loop_timer_init(x->hub->loop, &e->prove_timer, on_unproved, e);
	e->rt = rt_create(x->hub->loop, carrier, &config, &handler, e);
	if (e->rt && loop_timer_after(&e->prove_timer, ENDPOINT_PROVE_US) == 0)
		return e->rt;
	if (e->rt)
		rt_destroy(e->rt);
	else
		free(e);
	return NULL;
}

void endpoint_forget(struct endpoint *e)
{
	const char *lines[] = { "fairlead-forget-v1", e->device->id, e->client_nonce, e->nonce };
	char signature[SIGNATURE_TEXT_CAP];

	if (hubkey_sign_lines(e->hub->key, lines, ARRAY_LEN(lines), signature) == 0)
		rt_send(e->rt, "forget", json_pack("{s:s}", "signature", signature));
	rt_close(e->rt, WS_CODE_POLICY, "this device was removed");
	e->device = NULL;
}
