#include "client/client.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/text.h"
#include "io/tls.h"

#define PROVE_US (15 * USEC_PER_SEC)	  /* from the connection to the hub's own proof */
#define STATUS_US (10 * USEC_PER_SEC)	  /* between looks at what may have changed */
#define SAY_AGAIN_US (600 * USEC_PER_SEC) /* the same failure, while it lasts */

int64_t uplink_hub_seconds(const struct client *c)
{
	return (int64_t)(usec_realtime() / USEC_PER_SEC) + c->clock_ahead_s;
}

/* One sentence when it is new, or has been true for long. */
static void say(struct client *c, const char *why)
{
	usec_t now = loop_now(c->loop);

	if (strcmp(why, c->last_why) == 0 && usec_sub(now, c->last_why_at) < SAY_AGAIN_US)
		return;
	(void)text_copy(c->last_why, sizeof(c->last_why), why);
	c->last_why_at = now;
	log_warn("hub-away", "reason=\"%s\"", why);
}

static void connect_later(struct client *c)
{
	realtime_destroy(c->rt);
	c->rt = NULL;
	c->challenged = c->proved = false;
	loop_timer_stop(&c->status_timer);
	loop_timer_after(&c->retry, backoff_next(&c->backoff, loop_now(c->loop), rng_system()));
}

static void on_status(void *arg);

bool uplink_clock_is_off(const struct client *c)
{
	return c->clock_ahead_s > CLIENT_CLOCK_TOLERANCE_S ||
	       c->clock_ahead_s < -CLIENT_CLOCK_TOLERANCE_S;
}

/* The clocks are compared at every sign-in; a large difference is said once. */
static void compare_clocks(struct client *c, json_t *time)
{
	int64_t ours = (int64_t)(usec_realtime() / USEC_PER_SEC);
	json_int_t ms = json_integer_value(time);

	if (!json_is_integer(time) || ms < 0 || ms > (json_int_t)253402300799000)
		return;
	c->clock_ahead_s = ms / 1000 - ours;
	int64_t off = c->clock_ahead_s < 0 ? -c->clock_ahead_s : c->clock_ahead_s;
	if (!uplink_clock_is_off(c)) {
		c->clock_told = false;
	} else if (!c->clock_told) {
		c->clock_told = true;
		log_warn("clock-off",
			 "reason=\"This device's clock is %lld minutes %s the hub's. Set one of "
			 "them, for instance with timedatectl set-ntp true.\"",
			 (long long)(off / 60), c->clock_ahead_s < 0 ? "ahead of" : "behind");
	}
}

/* What the hub says with its key, for this connection only. */
static bool hub_signed(struct client *c, const char *label, json_t *object)
{
	const char *signature = json_string_value(json_object_get(object, "signature"));
	const char *lines[] = { label, c->identity.device, c->nonce, c->hub_nonce };

	return signature &&
	       sign_check_lines(c->identity.hub_key, lines, ARRAY_LEN(lines), signature);
}

/* Who vouches for the TLS certificate does not matter, but is worth knowing. */
static void note_tls(struct client *c)
{
	const struct tls_session *tls = c->rt ? realtime_tls(c->rt) : NULL;
	const char *text = NULL;
	char issuer[128], shown[256];

	if (!tls || c->tls_told || tls_session_verify_result(tls, &text) == 0)
		return;
	c->tls_told = true;
	tls_session_issuer(tls, issuer, sizeof(issuer));
	log_info("tls-certificate", "issuer=\"%s\" note=\"%s; the hub's own key counts\"",
		 text_printable(shown, sizeof(shown), span_str(issuer)), text ? text : "unknown");
}

/* The hub names the key of its TLS, and signs that with its own: is it the one we speak with? */
static bool is_inspected(const struct client *c, json_t *result)
{
	const struct tls_session *tls = c->rt ? realtime_tls(c->rt) : NULL;
	const char *named = json_string_value(json_object_get(result, "tlsKey"));
	const char *signature = json_string_value(json_object_get(result, "tlsSignature"));
	const char *lines[] = { "fairlead-tls-v1", c->identity.device, c->nonce, c->hub_nonce,
				named };
	char seen[SIGN_KEY_TEXT];
	uint8_t cert[32], spki[32];

	if (!tls || !named || !tls_session_peer_fingerprint(tls, cert, spki))
		return false; /* an older hub does not tell */
	text_b64url_encode(span_of(spki, sizeof(spki)), seen, sizeof(seen));
	return strcmp(seen, named) != 0 || !signature ||
	       !sign_check_lines(c->identity.hub_key, lines, ARRAY_LEN(lines), signature);
}

/* False: the client ends. */
static bool take_inspection(struct client *c, json_t *result)
{
	char issuer[128], before[sizeof(c->inspected_by)];

	if (!is_inspected(c, result)) {
		*c->inspected_by = 0;
		note_tls(c);
		return true;
	}
	memcpy(before, c->inspected_by, sizeof(before));
	tls_session_issuer(realtime_tls(c->rt), issuer, sizeof(issuer));
	text_printable(c->inspected_by, sizeof(c->inspected_by),
		       span_str(*issuer ? issuer : "unknown"));
	if (c->refuse_inspection) {
		log_error(
			"inspected",
			"issuer=\"%s\" reason=\"The TLS to the hub is opened on the way, by the "
			"one who signs as %s, and --inspection refuse is set. Exclude %s from "
			"inspection, or set --inspection warn: sessions are protected from end to "
			"end in any case.\"",
			c->inspected_by, c->inspected_by, c->url.authority);
		c->exit_status = 1;
		loop_stop(c->loop);
		return false;
	}
	if (strcmp(before, c->inspected_by) != 0)
		log_warn("inspected",
			 "issuer=\"%s\" note=\"the TLS to the hub is opened on the way; the hub's "
			 "own "
			 "key fits, and sessions are protected from end to end\"",
			 c->inspected_by);
	return true;
}

static void on_prove(void *arg, json_t *result, const char *error)
{
	struct client *c = arg;
	char why[512], shown[300];

	if (error) {
		const char *colon = strstr(error, ": ");
		snprintf(why, sizeof(why), "The hub at %.100s does not take this device: %s",
			 c->url.authority,
			 text_printable(shown, sizeof(shown), span_str(colon ? colon + 2 : error)));
		say(c, why);
		connect_later(c);
		return;
	}
	if (!hub_signed(c, "fairlead-hub-v1", result)) {
		snprintf(why, sizeof(why),
			 "The hub at %.100s has another key than the one this device was enrolled "
			 "with: it is another hub, or somebody stands in between. Check --hub; if "
			 "the hub was set up anew, enrol again with a new data folder.",
			 c->url.authority);
		say(c, why);
		connect_later(c);
		return;
	}
	if (!take_inspection(c, result))
		return;
	c->proved = true;
	compare_clocks(c, json_object_get(result, "time"));
	backoff_reset(&c->backoff);
	*c->last_why = 0;
	json_decref(c->ice_servers);
	c->ice_servers = json_incref(json_object_get(result, "iceServers"));
	loop_timer_stop(&c->retry);
	on_status(c); /* the clock may be news */
	loop_timer_after(&c->trim, USEC_PER_SEC);
	if (strcmp(c->way_said, way_used(c->way)) != 0) {
		(void)text_copy(c->way_said, sizeof(c->way_said), way_used(c->way));
		log_info("way-out", "way=%s found=%s", way_used(c->way), way_used_found(c->way));
	}
	log_info("hub-connected", "hub=%s device=%s", c->url.base, c->identity.device);
	sessions_report(c);
}

static void take_challenge(struct client *c, json_t *args)
{
	const char *nonce = json_string_value(json_object_get(args, "nonce"));
	char signature[SIGN_SIGNATURE_TEXT];
	uint8_t random[32];

	if (c->challenged || !nonce || strlen(nonce) != 43)
		return;
	c->challenged = true;
	rng_bytes(rng_system(), random, sizeof(random));
	text_b64url_encode(span_of(random, sizeof(random)), c->nonce, sizeof(c->nonce));
	(void)text_copy(c->hub_nonce, sizeof(c->hub_nonce), nonce);
	const char *lines[] = { "fairlead-device-v1", c->identity.device, c->hub_nonce, c->nonce };
	int err = sign_lines(c->identity.key, lines, ARRAY_LEN(lines), signature);
	json_t *status = status_json(c);
	free(c->last_status);
	c->last_status = status ? json_dumps(status, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
	if (err == 0)
		err = realtime_call(c->rt, "Prove",
				    json_pack("{s:s, s:s, s:s, s:s, s:o, s:o}", "device",
					      c->identity.device, "nonce", c->nonce, "signature",
					      signature, "version", FAIRLEAD_VERSION, "status",
					      status, "sessions", sessions_list(c)),
				    on_prove, c);
	if (err < 0) {
		say(c, "The proof for the hub could not be made.");
		connect_later(c);
	}
}

/* It outlasts this connection, so somebody in between must not be able to say it. */
static void take_forget(struct client *c, json_t *args)
{
	if (!hub_signed(c, "fairlead-forget-v1", args)) {
		say(c, "Somebody told this device to end who does not have the hub's key; it goes "
		       "on. Something between this device and the hub changes their messages.");
		return;
	}
	log_error("forgotten",
		  "reason=\"This device was removed at the hub %s. To bring it back, "
		  "move %s/device.json away and enrol it with a new token.\"",
		  c->url.base, c->identity.dir);
	c->exit_status = 1;
	loop_stop(c->loop);
}

static void on_call(void *arg, const char *target, json_t *args)
{
	static const struct {
		const char *name;
		void (*fn)(struct client *c, json_t *args);
	} methods[] = {
		{ "connect", session_connect }, { "restart", session_restart },
		{ "trickle", session_trickle }, { "limit", session_limit },
		{ "end", session_end },
	};
	struct client *c = arg;

	if (strcmp(target, "challenge") == 0) {
		take_challenge(c, args);
		return;
	}
	/* only the hub that has proved itself may ask for anything */
	if (!c->proved)
		return;
	if (strcmp(target, "forget") == 0) {
		take_forget(c, args);
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(methods); i++)
		if (strcmp(target, methods[i].name) == 0)
			methods[i].fn(c, args);
}

static void on_up(void *arg)
{
	struct client *c = arg;

	c->loopback = realtime_is_local(c->rt);
	loop_timer_after(&c->retry, PROVE_US);
}

static void on_down(void *arg, int err, const char *why)
{
	struct client *c = arg;

	say(c, why);
	connect_later(c);
}

static const struct realtime_handler handler = { on_up, on_call, on_down };

static void on_retry(void *arg)
{
	struct client *c = arg;
	way_refresh(c->way);
	struct realtime_config config = {
		.url = &c->url,
		.tls = c->tls,
		.way = c->way,
		.path = "/endpoint",
		.ping_us = CLIENT_PING_US,
		.timeout_us = CLIENT_SILENCE_US,
	};

	if (c->rt) {
		say(c, "The hub did not finish the sign-in in time.");
		connect_later(c);
		return;
	}
	if (realtime_create(c->loop, &config, &handler, c, &c->rt) < 0) {
		say(c, "Out of memory.");
		connect_later(c);
	}
}

static void on_trim(void *arg)
{
	malloc_trim(0);
}

static void on_status(void *arg)
{
	struct client *c = arg;
	json_t *status = status_json(c);
	FL_AUTOFREE char *text = status ? json_dumps(status, JSON_COMPACT | JSON_SORT_KEYS) : NULL;

	loop_timer_after(&c->status_timer, STATUS_US);
	if (!text || (c->last_status && strcmp(text, c->last_status) == 0)) {
		json_decref(status);
		return;
	}
	free(c->last_status);
	c->last_status = FL_STEAL(text);
	uplink_call(c, "Status", status);
}

void uplink_call(struct client *c, const char *method, json_t *object)
{
	if (!c->proved || !c->rt) {
		json_decref(object);
		return;
	}
	int err = realtime_call(c->rt, method, object, NULL, NULL);
	if (err < 0)
		log_warn("hub-call", "method=%s error=%s", method, err_name(err));
}

static void on_way_problem(void *arg, const char *cause, const char *why)
{
	struct client *c = arg;

	/* each attempt meets it again */
	if (strcmp(c->problem_said, cause) == 0)
		return;
	(void)text_copy(c->problem_said, sizeof(c->problem_said), cause);
	log_warn("way-out-problem", "cause=%s reason=\"%s\"", cause, why);
}

void uplink_watch_way(struct client *c)
{
	way_on_problem(c->way, on_way_problem, c);
}

void uplink_start(struct client *c)
{
	loop_timer_init(c->loop, &c->retry, on_retry, c);
	loop_timer_init(c->loop, &c->status_timer, on_status, c);
	loop_timer_init(c->loop, &c->trim, on_trim, c);
	loop_timer_after(&c->retry, 0);
}

void uplink_stop(struct client *c)
{
	loop_timer_stop(&c->retry);
	loop_timer_stop(&c->status_timer);
	loop_timer_stop(&c->trim);
	realtime_destroy(c->rt);
	c->rt = NULL;
	json_decref(c->ice_servers);
	free(c->last_status);
}
