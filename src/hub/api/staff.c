/* Health, enrolment, devices, sessions, the audit log, tokens and links. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "base/text.h"
#include "hub/api/api.h"
#include "hub/json/messages.h"
#include "hub/realtime/console.h"
#include "hub/realtime/endpoint.h"
#include "hub/tls.h"

#define ECHO_MAX 64
#define LIST_DEFAULT 100
#define LIST_MAX 1000

static const char echo_alphabet[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static int64_t query_number(const struct exchange *x, const char *name, int64_t otherwise,
			    int64_t max)
{
	char text[32], *end;
	long long v;

	if (http_query_get(span_str(x->query), name, text, sizeof(text)) <= 0)
		return otherwise;
	v = strtoll(text, &end, 10);
	return *end || v < 1 || v > max ? otherwise : v;
}

/*
 * Proof that it is this hub that answers, now: the asker's own text comes back, signed, with the
 * certificate that the hub shows. Who sees another certificate knows that somebody stands between.
 */
static json_t *echoed(const struct hub *h, const char *echo)
{
	char time[24], key[HUBKEY_TEXT_CAP], signature[SIGNATURE_TEXT_CAP];
	const char *lines[] = { "fairlead-health-v1", echo, time, key };
	int64_t now = hub_now_ms();
	uint8_t spki[32];

	hub_tls_key(h->tls, spki);
	text_b64url_encode(span_of(spki, sizeof(spki)), key, sizeof(key));
	snprintf(time, sizeof(time), "%lld", (long long)now);
	if (hubkey_sign_lines(h->key, lines, ARRAY_LEN(lines), signature) < 0)
		return NULL;
	return json_pack("{s:b, s:s, s:s, s:I, s:s, s:s, s:s}", "ok", 1, "version",
			 FAIRLEAD_VERSION, "echo", echo, "time", (json_int_t)now, "certificate",
			 key, "hubKey", hubkey_public(h->key), "signature", signature);
}

static void begin_health(struct exchange *x)
{
	char echo[ECHO_MAX + 1];

	if (http_query_get(span_str(x->query), "echo", echo, sizeof(echo)) > 0 &&
	    strspn(echo, echo_alphabet) == strlen(echo))
		x->result = echoed(x->hub, echo);
	else
		x->result = json_pack("{s:b, s:s}", "ok", 1, "version", FAIRLEAD_VERSION);
	if (!x->result)
		exchange_refuse(x, 503, "busy", "The hub is out of memory; try again later.");
	exchange_answer(x);
}

/* ---- enrolment ---- */

static void begin_enrol(struct exchange *x)
{
	uint8_t ip[16], key[32];
	usec_t wait = limit_take(&x->hub->by_address, loop_now(x->hub->loop),
				 limit_addr_key(&x->from, ip));

	if (wait) {
		exchange_refuse(x, 429, "too-many-attempts",
				"Too many wrong tokens from this address; wait %llu seconds.",
				(unsigned long long)wait / USEC_PER_SEC + 1);
		exchange_answer(x);
	} else if (!key_from_text(schema_string(x->body, "publicKey"), key)) {
		exchange_refuse(x, 400, "bad-request", "publicKey is not 32 bytes in base64url");
		exchange_answer(x);
	} else {
		exchange_work(x);
	}
}

static int refuse_token(struct exchange *x, int err)
{
	if (err == -ENOENT)
		exchange_refuse(x, 403, "unknown-token",
				"This hub made no such token. Make a new one in the console.");
	else if (err == -ETIME)
		exchange_refuse(x, 403, "expired-token",
				"This token is too old. Make a new one in the console.");
	else if (err == -EALREADY)
		exchange_refuse(x, 403, "spent-token",
				"This token was used up. Make a new one in the console.");
	else
		return err;
	return 0;
}

static int add_device(struct exchange *x, struct store *s, const uint8_t key[32], const char *place)
{
	const char *name = schema_string(x->body, "name"),
		   *version = schema_string(x->body, "version");
	json_t *status = json_pack("{s:O, s:n, s:s, s:[], s:b}", "platform",
				   json_object_get(x->body, "platform"), "user", "address", "",
				   "modules", "display", 0);
	FL_AUTOFREE char *text = status ? json_dumps(status, JSON_COMPACT) : NULL;
	struct store_device row = { .id = x->id,
				    .name = name,
				    .client = version,
				    .status = text,
				    .token = schema_string(x->body, "tokenId"),
				    .place = place,
				    .enrolled = x->now,
				    .last_seen = x->now };
	int err;

	json_decref(status);
	if (!text)
		return -ENOMEM;
	memcpy(row.key, key, 32);
	/* an id is typed in commands, where a dash at the front would begin an option */
	do
		id_make(rng_system(), 9, x->id, sizeof(x->id));
	while (x->id[0] == '-');
	err = s->ops->device_add(s, &row);
	if (err == -EEXIST) {
		exchange_refuse(x, 409, "known-key",
				"A device with this key is enrolled already. Make a new key, or "
				"remove that device first.");
		return -EEXIST;
	}
	if (err == 0)
		err = api_audit(x, s, x->id, "enrol", x->id,
				json_pack("{s:s, s:s, s:s}", "token", row.token, "name", name,
					  "address", x->from_text));
	x->extra = err == 0 ? FL_STEAL(text) : NULL;
	return err;
}

static int work_enrol(struct exchange *x, struct store *s)
{
	const char *token_id = schema_string(x->body, "tokenId");
	const char *key_text = schema_string(x->body, "publicKey");
	struct store_token token;
	uint8_t secret[32], key[32];
	int err = s->ops->token_get(s, token_id, &token);

	if (err < 0)
		return refuse_token(x, err);
	hubkey_token_secret(x->hub->key, token_id, secret);
	if (!enrol_proof_fits(secret, key_text, schema_string(x->body, "proof"))) {
		exchange_refuse(x, 403, "wrong-proof",
				"The token is damaged or was made by another hub. Copy it again, "
				"whole.");
		return 0;
	}
	if (!key_from_text(key_text, key))
		return -EINVAL;
	/* the answer was lost on its way: the same again, without using the token up */
	err = s->ops->device_by_key(s, key, token_id, x->id);
	if (err != -ENOENT)
		return err;
	err = s->ops->token_use(s, token_id, x->now);
	if (err < 0)
		return refuse_token(x, err);
	text_copy(x->text, sizeof(x->text), token.place);
	return add_device(x, s, key, token.place);
}

static void answer_enrolled(struct exchange *x)
{
	const char *lines[] = { "fairlead-enrolled-v1", x->id,
				schema_string(x->body, "publicKey") };
	const struct hub *h = x->hub;
	char signature[SIGNATURE_TEXT_CAP];
	uint8_t ip[16];

	limit_give_back(&x->hub->by_address, loop_now(h->loop), limit_addr_key(&x->from, ip));
	if (hubkey_sign_lines(h->key, lines, ARRAY_LEN(lines), signature) == 0)
		x->result = json_pack("{s:s, s:s, s:s, s:s, s:s?}", "device", x->id, "hubKey",
				      hubkey_public(h->key), "name", h->name, "signature",
				      signature, "ca", h->ca_pem);
	if (!x->result)
		exchange_refuse(x, 503, "busy", "The hub is out of memory; try again later.");
	exchange_answer(x);
}

static void finish_enrol(struct exchange *x)
{
	FL_AUTOFREE char *status = x->extra;
	struct store_device row = { .id = x->id,
				    .name = schema_string(x->body, "name"),
				    .client = schema_string(x->body, "version"),
				    .status = status,
				    .token = "",
				    .place = x->text,
				    .enrolled = x->now,
				    .last_seen = x->now };
	int err = 0;

	x->extra = NULL;
	if (status && key_from_text(schema_string(x->body, "publicKey"), row.key))
		err = registry_add(x->hub->registry, &row);
	if (err < 0 && err != -EEXIST) {
		exchange_refuse(x, 503, "busy",
				"The hub has no room for another device just now; try again.");
		exchange_answer(x);
		return;
	}
	log_info("device-enrolled", "device=%s address=%s", x->id, x->from_text);
	answer_enrolled(x);
}

static int work_token(struct exchange *x, struct store *s)
{
	struct store_token t = { .uses = schema_integer(x->body, "uses", 1) };
	char secret_text[HUBKEY_TEXT_CAP], *text = x->text;
	const char *place = schema_string(x->body, "place");
	uint8_t secret[32];
	int err;

	t.expires = x->now + 1000 * schema_integer(x->body, "expiresIn", HUB_TOKEN_SECONDS);
	id_make(rng_system(), 9, t.id, sizeof(t.id));
	if (place)
		text_copy(t.place, sizeof(t.place), place);
	err = s->ops->token_add(s, &t, x->user.id, x->now);
	if (err == -ENOENT) {
		exchange_refuse(x, 404, "unknown-place", "There is no such place.");
		return err;
	}
	if (err == 0)
		err = api_audit(x, s, x->user.name, "token-make", t.id,
				json_pack("{s:I, s:I, s:s}", "uses", (json_int_t)t.uses, "expires",
					  (json_int_t)t.expires, "place",
					  place ? place : STORE_ROOT));
	if (err < 0)
		return err;
	hubkey_token_secret(x->hub->key, t.id, secret);
	text_b64url_encode(span_of(secret, 32), secret_text, sizeof(secret_text));
	snprintf(text, sizeof(x->text), "fl1.%s.%s.%s", t.id, secret_text, hubkey_id(x->hub->key));
	x->result = json_pack("{s:s, s:I}", "token", text, "expires", (json_int_t)t.expires);
	return x->result ? 0 : -ENOMEM;
}

/* ---- devices ---- */

static void finish_devices(struct exchange *x)
{
	json_t *list = registry_list(x->hub->registry);

	x->result = list ? json_pack("{s:o}", "devices", list) : NULL;
	if (!x->result)
		exchange_refuse(x, 503, "busy", "The hub is out of memory; try again later.");
	exchange_answer(x);
}

static int work_forget(struct exchange *x, struct store *s)
{
	int err = s->ops->device_forget(s, x->id, x->now);

	if (err == -ENOENT) {
		exchange_refuse(x, 404, "unknown-device", "There is no such device.");
		return 0;
	}
	return err < 0 ? err
		       : s->ops->audit_add(s, x->now, x->user.name, "device-forget", x->id, "{}");
}

static void finish_forget(struct exchange *x)
{
	struct device *d = registry_find(x->hub->registry, x->id);

	if (d) {
		broker_device_forgotten(d);
		if (d->online)
			endpoint_forget(d->online);
		registry_forget(x->hub->registry, d);
	}
	exchange_answer(x);
}

/* ---- lists out of the store ---- */

static json_t *parsed(const char *text)
{
	json_t *v = text ? json_loads(text, JSON_DECODE_ANY, NULL) : NULL;

	return v ? v : json_null();
}

static json_t *session_json(const struct store_session *s)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:o, s:I, s:o, s:s?, s:o, s:o}", "id", s->id,
			 "device", s->device, "deviceName", s->device_name, "user", s->user,
			 "userName", s->user_name, "modules", parsed(s->modules), "started",
			 (json_int_t)s->started, "ended",
			 s->ended ? json_integer(s->ended) : json_null(), "endReason",
			 s->end_reason, "route", parsed(s->route), "verdict", parsed(s->verdict));
}

/* A list has a thousand of them: without the long parts of the reports, which one session has. */
static int put_session(void *arg, const struct store_session *s)
{
	static const char *const long_parts[] = { "candidates", "servers", "nat", "ignored" };
	json_t *o = session_json(s);

	for (size_t i = 0; i < ARRAY_LEN(long_parts); i++)
		json_object_del(json_object_get(o, "route"), long_parts[i]);
	return json_array_append_new(arg, o) < 0 ? -ENOMEM : 0;
}

static int work_sessions(struct exchange *x, struct store *s)
{
	char device[STORE_ID_CAP];
	bool one = http_query_get(span_str(x->query), "device", device, sizeof(device)) > 0;
	json_t *list = json_array();
	int err = list ? s->ops->sessions(s, one ? device : NULL,
					  (int)query_number(x, "limit", LIST_DEFAULT, LIST_MAX),
					  put_session, list)
		       : -ENOMEM;

	x->result = list ? json_pack("{s:o}", "sessions", list) : NULL;
	return err < 0 ? err : x->result ? 0 : -ENOMEM;
}

static int put_one_session(void *arg, const struct store_session *s)
{
	json_t **out = arg;

	*out = session_json(s);
	return json_object_set_new(*out, "routes",
				   json_pack("{s:o, s:o}", "console", parsed(s->routes[0]),
					     "device", parsed(s->routes[1]))) < 0
		       ? -ENOMEM
		       : 0;
}

static int work_session(struct exchange *x, struct store *s)
{
	json_t *one = NULL;
	int err = s->ops->session(s, x->id, put_one_session, &one);

	if (err < 0) {
		json_decref(one);
		return err;
	}
	if (one)
		x->result = json_pack("{s:o}", "session", one);
	else
		exchange_refuse(x, 404, "unknown-session", "There is no such session.");
	return one && !x->result ? -ENOMEM : 0;
}

static int put_audit(void *arg, const struct store_audit *a)
{
	char hash[TEXT_HEX_LEN(STORE_HASH_LEN)], id[24];
	json_t *o;

	text_hex_encode(span_of(a->hash, STORE_HASH_LEN), hash, sizeof(hash));
	snprintf(id, sizeof(id), "%lld", (long long)a->id);
	o = json_pack("{s:s, s:I, s:s, s:s, s:s, s:o, s:s}", "id", id, "at", (json_int_t)a->at,
		      "actor", a->actor, "action", a->action, "target", a->target, "detail",
		      parsed(a->detail), "hash", hash);
	return json_array_append_new(arg, o) < 0 ? -ENOMEM : 0;
}

static int work_audit(struct exchange *x, struct store *s)
{
	json_t *list = json_array();
	int err = list ? s->ops->audit(s, query_number(x, "before", 0, INT64_MAX),
				       (int)query_number(x, "limit", LIST_DEFAULT, LIST_MAX),
				       put_audit, list)
		       : -ENOMEM;

	x->result = list ? json_pack("{s:o}", "rows", list) : NULL;
	return err < 0 ? err : x->result ? 0 : -ENOMEM;
}

static int work_sign_in_link(struct exchange *x, struct store *s)
{
	int64_t expires = x->now + (int64_t)HUB_LINK_SECONDS * 1000;
	struct store_user staff;
	char url[512];
	uint8_t hash[32];
	int err;

	if (x->credential != CREDENTIAL_KEY) {
		exchange_refuse(x, 403, "needs-key",
				"Links are made with the API key (admin.token), not from a "
				"browser.");
		return 0;
	}
	hub_make_link(x->hub, url, hash);
	err = s->ops->user_first(s, &staff);
	if (err == 0)
		err = s->ops->link_add(s, hash, staff.id, x->now, expires);
	if (err == 0)
		err = api_audit(x, s, x->user.name, "link-make", staff.id,
				json_pack("{s:I}", "expires", (json_int_t)expires));
	x->result = json_pack("{s:s, s:I}", "url", url, "expires", (json_int_t)expires);
	return err < 0 ? err : x->result ? 0 : -ENOMEM;
}

const struct route api_staff_routes[] = {
	{ HTTP_METHOD_GET, "/health", .begin = begin_health },
	{ HTTP_METHOD_POST, "/endpoint/enrol", .body = message_enrol, .write = true,
	  .begin = begin_enrol, .work = work_enrol, .finish = finish_enrol },
	{ HTTP_METHOD_GET, "/api/devices", .access = ROUTE_SIGNED_IN, .finish = finish_devices },
	{ HTTP_METHOD_DELETE, "/api/devices/", .prefix = true, .access = ROUTE_SIGNED_IN,
	  .write = true, .work = work_forget, .finish = finish_forget },
	{ HTTP_METHOD_GET, "/api/sessions", .access = ROUTE_SIGNED_IN, .work = work_sessions },
	{ HTTP_METHOD_GET, "/api/sessions/", .prefix = true, .access = ROUTE_SIGNED_IN,
	  .work = work_session },
	{ HTTP_METHOD_GET, "/api/audit", .access = ROUTE_SIGNED_IN, .work = work_audit },
	{ HTTP_METHOD_POST, "/api/enrolment-tokens", .access = ROUTE_SIGNED_IN,
	  .body = message_enrolment_token, .write = true, .work = work_token },
	{ HTTP_METHOD_POST, "/api/sign-in-links", .access = ROUTE_SIGNED_IN, .body = message_empty,
	  .write = true, .work = work_sign_in_link },
	{ 0 },
};
