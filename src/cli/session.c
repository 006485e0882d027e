#include "cli/session.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/rng.h"
#include "base/text.h"
#include "hublink/backoff.h"
#include "hublink/policy_peer.h"
#include "hublink/realtime.h"
#include "hublink/route_json.h"
#include "hublink/sign.h"

#define PING_US (10 * USEC_PER_SEC)
#define SILENCE_US (30 * USEC_PER_SEC)
#define CONNECT_US (30 * USEC_PER_SEC) /* all of it, until DTLS is done */
#define LOST_US (60 * USEC_PER_SEC)    /* without a route */
/* Most of what happens to a route ICE mends alone. */
#define RESTART_AFTER_US (1 * USEC_PER_SEC)
#define RESTART_EVERY_US (5 * USEC_PER_SEC)
#define HUB_ANSWER_US (2 * USEC_PER_SEC)    /* else the connection to it is as dead as the route */
#define OFFLINE_US (1 * USEC_PER_SEC)	    /* after the hub said that the device is not there */
#define ENDED_US (300 * USEC_PER_MSEC)	    /* what the device sent last may still be on its way */
#define UNKNOWN_MAX 2			    /* times that the hub does not know our session */
#define SEARCH_REPORT_US (3 * USEC_PER_SEC) /* while no route is found */
#define GOODBYE_US (500 * USEC_PER_MSEC)
#define ICE_SERVERS_MAX 16

const char *const session_route_names[] = { "auto", "local", "punched", "relayed", NULL };

struct console_session {
	struct loop *loop;
	const struct target *target;
	char *device_text;
	enum session_route route;
	const char *module;
	const struct console_handler *handler;
	void *arg;

	struct realtime *rt;
	bool up;
	struct backoff backoff;
	struct loop_timer retry, timer, report, mend;

	struct fl_identity *identity;
	struct fl_peer *peer;
	struct loop_watch watch;
	json_t *devices, *ice_servers;
	struct policy policy; /* complete; what the hub wants of sessions with the device */
	char device[128], device_key[SIGN_KEY_TEXT], id[128];
	json_t *early; /* candidates from before the session had an id; answers likewise */
	json_t *early_answer;
	json_t *verdict; /* the hub's, of the reports of both ends */
	bool asked, answered, connected, chosen, begun, over, closed, ended;
	bool asking;	  /* the hub, whether it knows the session */
	bool lost;	  /* the route, after it was there */
	bool gone;	  /* the device said to the hub that the session is over */
	unsigned unknown; /* times in a row that the hub did not know the session */
};

static void fail(struct console_session *s, const char *why)
{
	if (s->over)
		return;
	s->over = true;
	loop_timer_stop(&s->timer);
	loop_timer_stop(&s->mend);
	s->handler->on_failed(s->arg, why);
}

/* "CODE: sentence" → the sentence. */
static void fail_call(struct console_session *s, const char *error)
{
	const char *colon = strstr(error, ": ");
	char shown[400];

	fail(s, text_printable(shown, sizeof(shown), span_str(colon ? colon + 2 : error)));
}

static void call(struct console_session *s, const char *method, json_t *object)
{
	if (s->up && s->rt)
		(void)realtime_call(s->rt, method, object, NULL, NULL);
	else
		json_decref(object);
}

/* ---- candidates ---- */

/* Which candidates a chosen method may use. What the network makes of it is checked afterwards. */
static bool candidate_allowed(const struct console_session *s, const char *candidate)
{
	bool host = strstr(candidate, " typ host") != NULL;

	if (!*candidate || s->route == SESSION_AUTO)
		return true;
	if (s->route == SESSION_LOCAL)
		return host;
	if (s->route == SESSION_PUNCHED)
		return !host && !strstr(candidate, " typ relay");
	return strstr(candidate, " typ relay") != NULL;
}

static void send_candidate(struct console_session *s, const char *candidate)
{
	if (!candidate_allowed(s, candidate))
		return;
	if (!*s->id) {
		json_array_append_new(s->early, json_string(candidate));
		return;
	}
	call(s, "Trickle",
	     json_pack("{s:s, s:s, s:s}", "session", s->id, "candidate", candidate, "mid", "0"));
}

/* ---- the answer ---- */

static const char *answer_problem(struct console_session *s, json_t *args)
{
	const char *sdp = json_string_value(json_object_get(args, "sdp"));
	const char *told = json_string_value(json_object_get(args, "fingerprint"));
	const char *signature = json_string_value(json_object_get(args, "signature"));
	char raw[256], carried[SIGN_FINGERPRINT_TEXT], theirs[SIGN_FINGERPRINT_TEXT],
		ours[SIGN_FINGERPRINT_TEXT];
	const char *lines[] = { "fairlead-answer-v1", s->id, ours, theirs };

	if (!sdp || !told || !signature || fl_sdp_fingerprint(sdp, raw, sizeof(raw)) < 0 ||
	    !sign_fingerprint(raw, carried) || !sign_fingerprint(told, theirs) ||
	    !sign_fingerprint(fl_identity_fingerprint(s->identity), ours))
		return "The device's answer is incomplete.";
	if (strcmp(carried, theirs) != 0)
		return "The device's answer carries another fingerprint than the one it signed; "
		       "somebody may stand in between. Nothing was sent.";
	if (!sign_check_lines(s->device_key, lines, ARRAY_LEN(lines), signature))
		return "The answer was not signed by this device; somebody may stand in between. "
		       "Nothing was sent.";
	return NULL;
}

static void take_answer(struct console_session *s, json_t *args)
{
	if (!*s->id) {
		json_decref(s->early_answer);
		s->early_answer = json_incref(args);
		return;
	}
	const char *problem = answer_problem(s, args);
	if (problem) {
		fail(s, problem);
		return;
	}
	s->answered = true;
	int err = fl_peer_accept(s->peer, json_string_value(json_object_get(args, "sdp")));
	if (err < 0 && !s->connected) /* else it is a restart that another one has overtaken */
		fail(s, fl_error_text(err));
	console_session_pump(s);
}

static void on_connect_result(void *arg, json_t *result, const char *error)
{
	struct console_session *s = arg;
	const char *id = json_string_value(json_object_get(result, "session"));
	const char *key = json_string_value(json_object_get(result, "deviceKey"));
	json_t *candidate;
	size_t i;

	if (error) {
		fail_call(s, error);
		return;
	}
	if (!id || !key || !text_copy(s->id, sizeof(s->id), id) ||
	    !text_copy(s->device_key, sizeof(s->device_key), key)) {
		fail(s, "The hub's answer lacks the session or the device's key.");
		return;
	}
	json_array_foreach(s->early, i, candidate) send_candidate(s, json_string_value(candidate));
	json_array_clear(s->early);
	if (s->early_answer)
		take_answer(s, s->early_answer);
}

/* ---- the peer ---- */

static void on_restart_result(void *arg, json_t *result, const char *error)
{
	struct console_session *s = arg;

	if (error && s->lost)
		loop_timer_after(&s->mend, OFFLINE_US);
}

static void on_description(struct console_session *s, const char *sdp)
{
	if (*s->id) {
		if (s->up)
			(void)realtime_call(s->rt, "Restart",
					    json_pack("{s:s, s:s}", "session", s->id, "sdp", sdp),
					    on_restart_result, s);
		return;
	}
	int err = realtime_call(s->rt, "Connect",
				json_pack("{s:s, s:[s], s:s, s:b}", "device", s->device, "modules",
					  s->module, "sdp", sdp, "trickle", 1),
				on_connect_result, s);
	if (err < 0)
		fail(s, "The hub went away while the session was being set up.");
}

static void report_route(struct console_session *s)
{
	json_t *json = console_session_route(s);

	if (!json)
		return;
	if (*s->id)
		call(s, "Route", json_pack("{s:s, s:o}", "session", s->id, "route", json));
	else
		json_decref(json);
}

/* Whichever end gives up first, the hub has heard from both by then. */
static void on_report(void *arg)
{
	struct console_session *s = arg;

	if (s->over || s->connected)
		return;
	report_route(s);
	loop_timer_after(&s->report, SEARCH_REPORT_US);
}

/* Data flows over any pair that works before one is chosen. Who asked for a kind of route waits for
 * the choice, so that not a byte goes another way. */
static void begin(struct console_session *s)
{
	if (s->begun || !s->connected || !(s->chosen || s->route == SESSION_AUTO))
		return;
	s->begun = true;
	loop_timer_stop(&s->timer);
	s->handler->on_connected(s->arg);
}

static void on_route(struct console_session *s, const struct fl_event *e)
{
	enum fl_route_method method = console_session_method(s);
	char why[256];

	if (s->route != SESSION_AUTO && method != FL_ROUTE_NONE && (int)method != (int)s->route) {
		snprintf(why, sizeof(why),
			 "No %s route was found; the network offers %s. Use --route auto to take "
			 "it.",
			 session_route_names[s->route], fl_route_method_name(method));
		fail(s, why);
		return;
	}
	report_route(s);
	s->lost = false;
	s->chosen = true;
	begin(s);
	loop_timer_stop(&s->mend);
	if (s->connected && !s->gone)
		loop_timer_stop(&s->timer);
	s->handler->on_event(s->arg, e);
}

static void on_lost(struct console_session *s)
{
	if (s->lost || s->gone || s->over)
		return;
	s->lost = true;
	s->unknown = 0;
	loop_timer_after(&s->timer, LOST_US);
	loop_timer_after(&s->mend, RESTART_AFTER_US);
}

/* The hub's word on the reports of both ends, where it has come; else what this end saw. */
static void fail_no_route(struct console_session *s)
{
	FL_AUTOFREE struct fl_route *route = console_session_report(s);
	const char *sentence = json_string_value(json_object_get(s->verdict, "sentence"));
	char why[800], policy[100], shown[600];

	policy_limits(&s->policy, policy);
	if (sentence)
		snprintf(why, sizeof(why), "%s%s",
			 text_printable(shown, sizeof(shown), span_str(sentence)), policy);
	else
		snprintf(why, sizeof(why), "%s%s",
			 route ? route->reason : "No route to the device was found.", policy);
	fail(s, why);
}

static void take_event(struct console_session *s, const struct fl_event *e)
{
	char why[400];

	switch (e->type) {
	case FL_EVENT_DESCRIPTION:
		on_description(s, e->text);
		return;
	case FL_EVENT_CANDIDATE:
		send_candidate(s, e->text);
		return;
	case FL_EVENT_CONNECTED:
		s->connected = true;
		begin(s);
		return;
	case FL_EVENT_ROUTE:
		on_route(s, e);
		return;
	case FL_EVENT_DISCONNECTED:
		report_route(s);
		on_lost(s);
		s->handler->on_event(s->arg, e);
		return;
	case FL_EVENT_CLOSED:
		s->closed = true;
		fail(s, "The device ended the session.");
		return;
	case FL_EVENT_FAILED:
		if (s->connected && e->err == -EHOSTUNREACH) { /* a restart may bring it back */
			on_lost(s);
			return;
		}
		s->closed = true;
		snprintf(why, sizeof(why), "%s", e->text ? e->text : fl_error_text(e->err));
		if (e->err == -EHOSTUNREACH && s->route == SESSION_AUTO)
			fail_no_route(s);
		else
			fail(s, why);
		return;
	case FL_EVENT_NONE:
	case FL_EVENT_VIDEO_READY:
	case FL_EVENT_VIDEO_KEYFRAME:
	case FL_EVENT_VIDEO_RATE:
		return;
	case FL_EVENT_CHANNEL_OPEN:
	case FL_EVENT_CHANNEL_DATA:
	case FL_EVENT_CHANNEL_CLOSED:
	case FL_EVENT_WRITABLE:
		if (!s->over)
			s->handler->on_event(s->arg, e);
		return;
	}
}

void console_session_pump(struct console_session *s)
{
	struct fl_event e;

	while (s->peer && fl_peer_next_event(s->peer, &e))
		take_event(s, &e);
}

static void on_peer(void *arg, uint32_t events)
{
	struct console_session *s = arg;

	if (fl_peer_dispatch(s->peer) < 0)
		fail(s, "The connection to the device cannot be used any more.");
	console_session_pump(s);
}

static size_t take_ice_servers(json_t *list, struct fl_ice_server *out)
{
	json_t *server, *url;
	size_t i, j, n = 0;

	json_array_foreach(list, i, server)
		json_array_foreach(json_object_get(server, "urls"), j,
				   url) if (json_is_string(url) && n < ICE_SERVERS_MAX)
			out[n++] = (struct fl_ice_server){
				json_string_value(url),
				json_string_value(json_object_get(server, "username")),
				json_string_value(json_object_get(server, "credential")),
			};
	return n;
}

static void start_peer(struct console_session *s)
{
	struct fl_ice_server servers[ICE_SERVERS_MAX];
	struct fl_peer_config config = {
		.identity = s->identity,
		.ice_servers = servers,
		.n_ice_servers = take_ice_servers(s->ice_servers, servers),
		.loopback = realtime_is_local(s->rt),
		.proxy = way_of_peers(s->target->way),
	};
	struct fl_route_policy policy;

	s->asked = true;
	policy_to_console(&s->policy, &policy, &config);
	int err = fl_peer_create(&config, &s->peer);
	if (err == 0)
		err = loop_watch_start(s->loop, &s->watch, fl_peer_fd(s->peer), EPOLLIN, on_peer,
				       s);
	if (err == 0)
		err = fl_peer_offer(s->peer);
	if (err < 0)
		fail(s, fl_error_text(err));
	else
		console_session_pump(s);
	loop_timer_after(&s->report, SEARCH_REPORT_US);
}

/* ---- the hub ---- */

static void on_ice_servers(void *arg, json_t *result, const char *error);

static void choose_device(struct console_session *s)
{
	json_t *device = target_find_device(s->devices, s->device_text);

	if (!device) {
		fail(s, "");
		return;
	}
	if (!json_is_true(json_object_get(device, "online"))) {
		fail(s, "The device is offline. Is it switched on, and does it reach the hub?");
		return;
	}
	(void)text_copy(s->device, sizeof(s->device),
			json_string_value(json_object_get(device, "id")));
	if (realtime_call(s->rt, "IceServers", json_pack("{s:s}", "device", s->device),
			  on_ice_servers, s) < 0)
		fail(s, "Out of memory.");
}

static void on_devices(void *arg, json_t *result, const char *error)
{
	struct console_session *s = arg;

	if (error) {
		fail_call(s, error);
		return;
	}
	s->devices = json_incref(json_object_get(result, "devices"));
	if (!s->over)
		choose_device(s);
}

/* False: it cannot be kept to. */
static bool take_policy(struct console_session *s, const json_t *policy)
{
	char why[POLICY_WHY_CAP];

	if (policy && policy_parse(policy, POLICY_SKIP_UNKNOWN, &s->policy, why) < 0)
		return false;
	policy_complete(&s->policy);
	return true;
}

static void on_ice_servers(void *arg, json_t *result, const char *error)
{
	struct console_session *s = arg;
	json_t *list = json_object_get(result, "iceServers");

	/* without them there are still the machine's own addresses */
	s->ice_servers = list ? json_incref(list) : json_array();
	if (!take_policy(s, json_object_get(result, "policy")))
		fail(s, "The policy of this device has a value that this program does not know; "
			"update it.");
	else if (!s->over)
		start_peer(s);
}

/*
 * The hub is there and knows us: a new offer, with new credentials and all our addresses. Never
 * before it answered: a restart that does not arrive would take away the pairs that may yet work.
 */
static void on_resumed(void *arg, json_t *result, const char *error)
{
	struct console_session *s = arg;

	s->asking = false;
	if (s->lost && !s->over)
		loop_timer_after(&s->mend, RESTART_EVERY_US);
	if (error || !s->lost || s->over)
		return;
	if (json_is_true(json_object_get(result, "ok"))) {
		s->unknown = 0;
		(void)fl_peer_restart(s->peer);
		console_session_pump(s);
	} else if (++s->unknown >= UNKNOWN_MAX) {
		fail(s, "The route fell silent, and the hub has no such session any more.");
	} else {
		loop_timer_after(&s->mend, OFFLINE_US);
	}
}

static void resume(struct console_session *s)
{
	s->asking = realtime_call(s->rt, "Resume", json_pack("{s:s}", "session", s->id), on_resumed,
				  s) == 0;
	if (s->lost)
		loop_timer_after(&s->mend, HUB_ANSWER_US);
}

static void on_down(void *arg, int err, const char *why);

static void on_mend(void *arg)
{
	struct console_session *s = arg;

	loop_timer_after(&s->mend, RESTART_EVERY_US);
	if (s->up && s->asking)
		on_down(s, -ETIMEDOUT, "The hub does not answer.");
	else if (s->up)
		resume(s);
}

static void on_up(void *arg)
{
	struct console_session *s = arg;

	s->up = true;
	backoff_reset(&s->backoff);
	if (*s->id) {
		resume(s);
		return;
	}
	if (realtime_call(s->rt, "WatchDevices", json_object(), on_devices, s) < 0)
		fail(s, "Out of memory.");
}

static void take_limit(struct console_session *s, const json_t *kbit)
{
	if (!s->peer || !json_is_integer(kbit) || json_integer_value(kbit) < 0 ||
	    json_integer_value(kbit) > POLICY_KBIT_MAX)
		return;
	fl_peer_limit(s->peer, (uint32_t)json_integer_value(kbit));
	console_session_pump(s);
}

/* The device gave up before we did; where routes are limited, that is why. */
static void fail_early(struct console_session *s)
{
	char why[300], policy[100];

	snprintf(why, sizeof(why), "The session was ended before it was set up.%s",
		 policy_limits(&s->policy, policy));
	fail(s, why);
}

static bool is_ours(struct console_session *s, json_t *args)
{
	const char *id = json_string_value(json_object_get(args, "session"));

	return id && (!*s->id || strcmp(id, s->id) == 0);
}

/* A device that was started anew has nothing of its sessions, and says so to the hub. The hub alone
 * may be wrong: while there is a route the session goes on. */
static void take_ended(struct console_session *s, const char *by)
{
	bool device = by && strcmp(by, "device") == 0;

	if (!s->connected) {
		if (device && s->answered && s->route == SESSION_AUTO)
			fail_no_route(s);
		else
			fail_early(s);
	} else if (device) {
		s->gone = true;
		loop_timer_stop(&s->mend);
		loop_timer_after(&s->timer, ENDED_US);
	} else if (s->lost) {
		fail(s, "The hub ended the session.");
	}
}

static void on_call(void *arg, const char *target, json_t *args)
{
	struct console_session *s = arg;
	const char *text;
	char shown[400];

	if (!s->asked || !is_ours(s, args))
		return;
	if (strcmp(target, "verdict") == 0) { /* of a session that failed, too */
		json_decref(s->verdict);
		s->verdict = json_incref(json_object_get(args, "verdict"));
	} else if (s->over) {
		return;
	} else if (strcmp(target, "answer") == 0) {
		take_answer(s, args);
	} else if (strcmp(target, "trickle") == 0) {
		text = json_string_value(json_object_get(args, "candidate"));
		if (text && candidate_allowed(s, text))
			(void)fl_peer_candidate(s->peer, text);
		console_session_pump(s);
	} else if (strcmp(target, "limit") == 0) {
		take_limit(s, json_object_get(args, "kbit"));
	} else if (strcmp(target, "refused") == 0) {
		text = json_string_value(json_object_get(args, "message"));
		fail(s, text_printable(shown, sizeof(shown),
				       span_str(text ? text : "The device refused the session.")));
	} else if (strcmp(target, "ended") == 0) {
		take_ended(s, json_string_value(json_object_get(args, "by")));
	}
}

static void on_down(void *arg, int err, const char *why)
{
	struct console_session *s = arg;

	s->up = s->asking = false;
	if (!s->connected) {
		fail(s, why);
		return;
	}
	/* what runs goes on; the hub is only needed for a new route */
	realtime_destroy(s->rt);
	s->rt = NULL;
	loop_timer_after(&s->retry, backoff_next(&s->backoff, loop_now(s->loop), rng_system()));
}

static const struct realtime_handler realtime_handler = { on_up, on_call, on_down };

static void on_retry(void *arg)
{
	struct console_session *s = arg;
	struct realtime_config config = {
		.url = &s->target->url,
		.tls = s->target->tls,
		.way = s->target->way,
		.path = "/realtime",
		.bearer = s->target->token,
		.ping_us = PING_US,
		.timeout_us = SILENCE_US,
	};

	if (realtime_create(s->loop, &config, &realtime_handler, s, &s->rt) < 0)
		fail(s, "Out of memory.");
}

static void on_timer(void *arg)
{
	struct console_session *s = arg;

	if (s->gone)
		fail(s, "The device ended the session.");
	else if (s->begun)
		fail(s, "The route fell silent and no other one was found within a minute.");
	else if (!s->asked)
		fail(s, "The hub did not answer in time.");
	else if (!s->answered)
		fail(s, "The device did not answer in time.");
	else if (s->route != SESSION_AUTO)
		fail(s, "No route of the kind asked for was found. Use --route auto to take any.");
	else
		fail_no_route(s);
}

int console_session_create(struct loop *loop, const struct console_config *config,
			   const struct console_handler *handler, void *arg,
			   struct console_session **out)
{
	struct console_session *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->loop = loop;
	s->target = config->target;
	s->route = config->route;
	s->module = config->module ? config->module : "terminal";
	s->handler = handler;
	s->arg = arg;
	s->device_text = strdup(config->device);
	s->early = json_array();
	loop_timer_init(loop, &s->retry, on_retry, s);
	loop_timer_init(loop, &s->timer, on_timer, s);
	loop_timer_init(loop, &s->mend, on_mend, s);
	loop_timer_init(loop, &s->report, on_report, s);
	int err = s->device_text && s->early ? fl_identity_create(&s->identity) : -ENOMEM;
	if (err == 0)
		err = loop_timer_after(&s->retry, 0);
	if (err == 0)
		err = loop_timer_after(&s->timer, CONNECT_US);
	if (err < 0) {
		console_session_destroy(s);
		return err;
	}
	*out = s;
	return 0;
}

struct fl_peer *console_session_peer(struct console_session *s)
{
	return s->peer;
}

struct fl_route *console_session_report(const struct console_session *s)
{
	struct fl_route *route = s->peer ? malloc(sizeof(*route)) : NULL;

	if (route)
		fl_peer_route(s->peer, route);
	return route;
}

json_t *console_session_route(const struct console_session *s)
{
	FL_AUTOFREE struct fl_route *route = console_session_report(s);

	return route ? route_json(route) : NULL;
}

bool console_session_tell_route(struct console_session *s)
{
	if (!s->up || !*s->id || !s->peer)
		return false;
	report_route(s);
	return true;
}

enum fl_route_method console_session_method(const struct console_session *s)
{
	FL_AUTOFREE struct fl_route *route = console_session_report(s);

	return route ? route->method : FL_ROUTE_NONE;
}

const json_t *console_session_verdict(const struct console_session *s)
{
	return s->verdict;
}

static void on_ended(void *arg, json_t *result, const char *error)
{
	struct console_session *s = arg;

	s->ended = true;
}

/* Turns the loop until the flag is set or the time is over. */
static void wait_until(struct console_session *s, const bool *flag, usec_t until)
{
	while (!*flag) {
		usec_t left = usec_sub(until, usec_monotonic());
		if (left == 0 || loop_turn(s->loop, left) < 0)
			return;
		console_session_pump(s);
	}
}

void console_session_end(struct console_session *s)
{
	usec_t until = usec_add(usec_monotonic(), GOODBYE_US);

	s->over = true;
	loop_timer_stop(&s->timer);
	loop_timer_stop(&s->mend);
	loop_timer_stop(&s->report);
	report_route(s); /* the last word, also of a session that found no route */
	/* the hub hears it from us before the device can tell that we are gone */
	s->ended = !s->up || !*s->id ||
		   realtime_call(s->rt, "End",
				 json_pack("{s:s, s:s}", "session", s->id, "reason", "user"),
				 on_ended, s) < 0;
	wait_until(s, &s->ended, until);
	if (!s->peer || s->closed)
		return;
	fl_peer_close(s->peer);
	console_session_pump(s);
	wait_until(s, &s->closed, until);
}

void console_session_destroy(struct console_session *s)
{
	if (!s)
		return;
	loop_timer_stop(&s->retry);
	loop_timer_stop(&s->timer);
	loop_timer_stop(&s->mend);
	loop_timer_stop(&s->report);
	loop_watch_stop(&s->watch);
	realtime_destroy(s->rt);
	fl_peer_destroy(s->peer);
	fl_identity_destroy(s->identity);
	json_decref(s->devices);
	json_decref(s->ice_servers);
	json_decref(s->early);
	json_decref(s->early_answer);
	json_decref(s->verdict);
	free(s->device_text);
	free(s);
}
