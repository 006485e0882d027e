#include "client/client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/text.h"
#include "hublink/policy_peer.h"
#include "hublink/route_json.h"

#define CONNECT_US (30 * USEC_PER_SEC)	    /* from the offer to DTLS done */
#define LOST_US (60 * USEC_PER_SEC)	    /* without a route, before the session ends */
#define REPORT_US (2 * USEC_PER_SEC)	    /* until the pairs that lost are known too */
#define SEARCH_REPORT_US (3 * USEC_PER_SEC) /* while no route is found */
#define CHANNEL_QUEUE_MAX (4u << 20)	    /* bytes that a channel did not take yet */
#define VIDEO_KBPS_MAX 8000
#define ICE_SERVERS_MAX 16
#define TRIM_US (2 * USEC_PER_SEC)

/* A message that the channel's own queue had no room for. */
struct held {
	struct held *next;
	size_t len;
	bool text;
	uint8_t bytes[];
};

struct channel {
	struct list node;
	int id;
	bool closing;		    /* once the held messages are sent */
	struct held *first, **last; /* last: where the next one goes */
	size_t held_bytes;
};

struct session {
	struct list node;
	struct client *client;
	struct grant grant;
	struct fl_peer *peer;
	struct loop_watch watch;
	struct loop_timer timer;  /* CONNECT_US, then LOST_US while there is no route */
	struct loop_timer report; /* the route once more */
	struct loop_deferred gone;
	struct modulehost_session *modules;
	struct list channels;
	bool connected, over;
	char reason[64];
};

static struct session *find(struct client *c, json_t *args)
{
	const char *id = json_string_value(json_object_get(args, "session"));
	struct session *s, *tmp;

	list_for_each (s, tmp, &c->sessions, node)
		if (id && !s->over && strcmp(s->grant.session, id) == 0)
			return s;
	return NULL;
}

static struct channel *find_channel(struct session *s, int id)
{
	struct channel *ch, *tmp;

	list_for_each (ch, tmp, &s->channels, node)
		if (ch->id == id)
			return ch;
	return NULL;
}

static void free_channel(struct channel *ch)
{
	for (struct held *h = ch->first, *next; h; h = next) {
		next = h->next;
		free(h);
	}
	list_remove(&ch->node);
	free(ch);
}

/* ---- route ---- */

/* Also when there is none: then it says what was tried. */
static void report_route(struct session *s)
{
	FL_AUTOFREE struct fl_route *route = malloc(sizeof(*route));
	json_t *json;

	if (!route)
		return;
	fl_peer_route(s->peer, route);
	json = route_json(route);
	if (json)
		uplink_call(s->client, "Route",
			    json_pack("{s:s, s:o}", "session", s->grant.session, "route", json));
}

static void on_report(void *arg)
{
	struct session *s = arg;

	report_route(s);
	/* whichever end gives up first, the hub has heard from both by then */
	if (!s->connected)
		loop_timer_after(&s->report, SEARCH_REPORT_US);
}

/* ---- the end ---- */

static void on_gone(void *arg)
{
	struct session *s = arg;
	struct channel *ch, *tmp;

	list_remove(&s->node);
	s->client->n_sessions--;
	loop_watch_stop(&s->watch);
	modulehost_session_destroy(s->modules);
	list_for_each (ch, tmp, &s->channels, node)
		free_channel(ch);
	fl_peer_destroy(s->peer);
	/* what the session held goes back to the system a little after its last part */
	if (s->client->n_sessions == 0)
		loop_timer_after(&s->client->trim, TRIM_US);
	free(s);
}

/* Marks it; what it is made of goes after the turn, because its own functions may be running. */
static void finish(struct session *s, const char *reason, bool tell)
{
	if (s->over)
		return;
	s->over = true;
	loop_timer_stop(&s->timer);
	loop_timer_stop(&s->report);
	if (tell && s->peer)
		report_route(s); /* the last word, also of a session that found no route */
	log_info("session-ended", "session=%s reason=%s", s->grant.session, reason);
	if (tell)
		uplink_call(s->client, "Ended",
			    json_pack("{s:s, s:s}", "session", s->grant.session, "reason", reason));
	loop_defer(s->client->loop, &s->gone, on_gone, s);
}

static void on_timer(void *arg)
{
	struct session *s = arg;

	finish(s, s->connected ? "lost" : "no-route", true);
}

/* ---- channels ---- */

static void close_channel(struct session *s, struct channel *ch)
{
	fl_channel_close(s->peer, ch->id);
	free_channel(ch);
}

static void hold(struct session *s, struct channel *ch, struct span data, bool text)
{
	struct held *h = NULL;

	if (ch->held_bytes + data.len <= CHANNEL_QUEUE_MAX)
		h = malloc(sizeof(*h) + data.len);
	if (!h) { /* the module went on although it was told to pause */
		log_warn("channel-overrun", "session=%s channel=%d", s->grant.session, ch->id);
		modulehost_close(s->modules, (uint16_t)ch->id);
		close_channel(s, ch);
		return;
	}
	h->len = data.len;
	h->text = text;
	if (data.len)
		memcpy(h->bytes, data.ptr, data.len);
	if (!ch->first)
		modulehost_pause(s->modules, (uint16_t)ch->id, true);
	h->next = NULL;
	*ch->last = h;
	ch->last = &h->next;
	ch->held_bytes += data.len;
}

static void on_module_data(void *arg, uint16_t id, struct span data, bool text)
{
	struct session *s = arg;
	struct channel *ch = find_channel(s, id);

	if (!ch || s->over)
		return;
	if (ch->first || fl_channel_send(s->peer, ch->id, data.ptr, data.len, text) == -EAGAIN)
		hold(s, ch, data, text);
}

static void on_module_close(void *arg, uint16_t id)
{
	struct session *s = arg;
	struct channel *ch = find_channel(s, id);

	if (!ch || s->over)
		return;
	ch->closing = true;
	if (!ch->first)
		close_channel(s, ch);
}

static void on_writable(struct session *s, int id)
{
	struct channel *ch = find_channel(s, id);

	if (!ch || !ch->first)
		return;
	while (ch->first) {
		struct held *h = ch->first;
		if (fl_channel_send(s->peer, id, h->bytes, h->len, h->text) == -EAGAIN)
			return;
		ch->first = h->next;
		if (!ch->first)
			ch->last = &ch->first;
		ch->held_bytes -= h->len;
		free(h);
	}
	if (ch->closing)
		close_channel(s, ch);
	else
		modulehost_pause(s->modules, (uint16_t)id, false);
}

static bool granted(const struct session *s, const char *module)
{
	for (size_t i = 0; i < s->grant.n_modules; i++)
		if (strcmp(s->grant.modules[i], module) == 0)
			return true;
	return false;
}

static void on_channel_open(struct session *s, const struct fl_event *e)
{
	struct channel *ch = NULL;

	if (!e->remote)
		return;
	if (e->text && granted(s, e->text) && (ch = calloc(1, sizeof(*ch))) &&
	    modulehost_open(s->modules, (uint16_t)e->channel, e->text) == 0) {
		ch->id = e->channel;
		ch->last = &ch->first;
		list_push_back(&s->channels, &ch->node);
		return;
	}
	free(ch);
	fl_channel_close(s->peer, e->channel);
}

static void on_channel_closed(struct session *s, int id)
{
	struct channel *ch = find_channel(s, id);

	if (!ch)
		return;
	modulehost_close(s->modules, (uint16_t)id);
	free_channel(ch);
}

static void on_frame(void *arg, struct span frame, bool key, uint64_t capture_us)
{
	struct session *s = arg;

	/* -EAGAIN: the frame is dropped, and a key frame asked for by an event */
	if (!s->over && s->connected)
		(void)fl_video_send(s->peer, frame.ptr, frame.len, key, capture_us);
}

static const struct modulehost_handler module_handler = {
	.on_data = on_module_data,
	.on_close = on_module_close,
	.on_frame = on_frame,
};

/* ---- the peer ---- */

static void send_answer(struct session *s, const char *sdp)
{
	const char *full = fl_identity_fingerprint(s->client->dtls);
	char own[SIGN_FINGERPRINT_TEXT], signature[SIGN_SIGNATURE_TEXT];
	const char *lines[] = { "fairlead-answer-v1", s->grant.session, s->grant.fingerprint, own };

	if (!sign_fingerprint(full, own) ||
	    sign_lines(s->client->identity.key, lines, ARRAY_LEN(lines), signature) < 0) {
		finish(s, "internal", true);
		return;
	}
	uplink_call(s->client, "Answer",
		    json_pack("{s:s, s:s, s:s, s:s}", "session", s->grant.session, "sdp", sdp,
			      "fingerprint", full, "signature", signature));
}

static void on_connected(struct session *s)
{
	s->connected = true;
	loop_timer_stop(&s->timer);
	log_info("session-connected", "session=%s", s->grant.session);
}

static void on_route(struct session *s)
{
	if (s->connected)
		loop_timer_stop(&s->timer);
	report_route(s);
	loop_timer_after(&s->report, REPORT_US);
}

static void take_event(struct session *s, const struct fl_event *e)
{
	char shown[256];

	switch (e->type) {
	case FL_EVENT_NONE:
		return;
	case FL_EVENT_DESCRIPTION:
		send_answer(s, e->text);
		return;
	case FL_EVENT_CANDIDATE:
		uplink_call(s->client, "Trickle",
			    json_pack("{s:s, s:s, s:s}", "session", s->grant.session, "candidate",
				      e->text, "mid", "0"));
		return;
	case FL_EVENT_CONNECTED:
		on_connected(s);
		return;
	case FL_EVENT_ROUTE:
		on_route(s);
		return;
	case FL_EVENT_DISCONNECTED:
		report_route(s);
		loop_timer_after(&s->timer, LOST_US);
		return;
	case FL_EVENT_CHANNEL_OPEN:
		on_channel_open(s, e);
		return;
	case FL_EVENT_CHANNEL_DATA:
		modulehost_data(s->modules, (uint16_t)e->channel, span_of(e->data, e->len),
				e->is_text);
		return;
	case FL_EVENT_CHANNEL_CLOSED:
		on_channel_closed(s, e->channel);
		return;
	case FL_EVENT_WRITABLE:
		on_writable(s, e->channel);
		return;
	case FL_EVENT_VIDEO_READY:
		modulehost_video_start(s->modules, e->codec == FL_VIDEO_H264 ? "H264" : "VP8",
				       VIDEO_KBPS_MAX);
		return;
	case FL_EVENT_VIDEO_KEYFRAME:
		modulehost_keyframe(s->modules);
		return;
	case FL_EVENT_VIDEO_RATE:
		modulehost_rate(s->modules, e->rate_bps);
		return;
	case FL_EVENT_CLOSED:
		finish(s, "closed", true);
		return;
	case FL_EVENT_FAILED:
		/* the console may restart ICE; while it does not, the timer runs */
		if (s->connected && e->err == -EHOSTUNREACH)
			return;
		log_warn("session-failed", "session=%s reason=\"%s\"", s->grant.session,
			 text_printable(shown, sizeof(shown), span_str(e->text ? e->text : "")));
		finish(s, "failed", true);
		return;
	}
}

static void pump(struct session *s)
{
	struct fl_event e;

	while (!s->over && fl_peer_next_event(s->peer, &e))
		take_event(s, &e);
}

static void on_peer(void *arg, uint32_t events)
{
	struct session *s = arg;

	if (s->over)
		return;
	if (fl_peer_dispatch(s->peer) < 0)
		finish(s, "failed", true);
	pump(s);
}

/* ---- the hub's calls ---- */

static void refuse(struct client *c, const char *id, const char *code, const char *message)
{
	log_warn("session-refused", "session=%s code=%s reason=\"%s\"", id, code, message);
	uplink_call(c, "Refuse",
		    json_pack("{s:s, s:s, s:s}", "session", id, "code", code, "message", message));
}

static size_t take_ice_servers(json_t *list, struct fl_ice_server *out)
{
	json_t *server, *urls, *url;
	size_t i, j, n = 0;

	json_array_foreach(list, i, server)
	{
		urls = json_object_get(server, "urls");
		json_array_foreach(urls, j, url) if (json_is_string(url) && n < ICE_SERVERS_MAX)
			out[n++] = (struct fl_ice_server){
				json_string_value(url),
				json_string_value(json_object_get(server, "username")),
				json_string_value(json_object_get(server, "credential")),
			};
	}
	return n;
}

static int start_peer(struct session *s, json_t *args)
{
	static const enum fl_video_codec codecs[] = { FL_VIDEO_H264, FL_VIDEO_VP8 };
	struct fl_ice_server servers[ICE_SERVERS_MAX];
	struct fl_route_policy policy;
	json_t *list = json_object_get(args, "iceServers");
	struct fl_peer_config config = {
		.identity = s->client->dtls,
		.ice_servers = servers,
		.n_ice_servers = take_ice_servers(
			json_array_size(list) ? list : s->client->ice_servers, servers),
		.video_codecs = codecs,
		.n_video_codecs = granted(s, "screen") ? ARRAY_LEN(codecs) : 0,
		.video_max_bps = VIDEO_KBPS_MAX * 1000u,
		.loopback = s->client->loopback,
		.proxy = way_of_peers(s->client->way),
	};
	const char *sdp = json_string_value(json_object_get(args, "sdp"));
	int err;

	policy_to_peer(&s->grant.policy, &policy, &config);
	err = fl_peer_create(&config, &s->peer);
	if (err == 0)
		err = loop_watch_start(s->client->loop, &s->watch, fl_peer_fd(s->peer), EPOLLIN,
				       on_peer, s);
	if (err == 0)
		err = fl_peer_answer(s->peer, sdp);
	return err;
}

static int start_modules(struct session *s)
{
	const char *names[GRANT_MODULES_MAX];
	char device[256] = "device";
	struct modulehost_who who = { s->grant.session, s->grant.user_id, s->grant.user_name,
				      device };

	(void)gethostname(device, sizeof(device) - 1);
	for (size_t i = 0; i < s->grant.n_modules; i++)
		names[i] = s->grant.modules[i];
	return modulehost_session_create(s->client->modules, &who, names, s->grant.n_modules,
					 &module_handler, s, &s->modules);
}

/* 0, or the refusal was sent. */
static int check_grant(struct client *c, const char *id, json_t *args, struct grant *grant)
{
	const char *text = json_string_value(json_object_get(args, "grant"));
	const char *sdp = json_string_value(json_object_get(args, "sdp"));
	char raw[256], offer[SIGN_FINGERPRINT_TEXT], why[256];
	struct grant_check check = { c->identity.hub_key, c->identity.device, id, offer,
				     uplink_hub_seconds(c) };

	if (!text || !sdp || fl_sdp_fingerprint(sdp, raw, sizeof(raw)) < 0 ||
	    !sign_fingerprint(raw, offer)) {
		refuse(c, id, "grant",
		       "The offer has no SHA-256 fingerprint, or there is no grant.");
		return -EINVAL;
	}
	int err = grant_verify(text, &check, grant, why);
	if (err == 0 && (err = grant_used_add(&c->used, grant, check.now)) < 0)
		snprintf(why, sizeof(why), "%s",
			 err == -EEXIST ? "The grant was used before."
					: "Too many sessions were opened in the last minutes.");
	if (err < 0)
		refuse(c, id, err == FL_EQUOTA ? "busy" : "grant", why);
	return err;
}

void session_connect(struct client *c, json_t *args)
{
	const char *id = json_string_value(json_object_get(args, "session"));
	struct grant grant;
	char why[200];

	if (!id || strlen(id) >= sizeof(grant.session) || check_grant(c, id, args, &grant) < 0)
		return;
	if (c->n_sessions >= CLIENT_SESSIONS_MAX) {
		refuse(c, id, "busy",
		       "16 sessions run on this device already. End one of them first.");
		return;
	}
	struct session *s = calloc(1, sizeof(*s));
	if (!s) {
		refuse(c, id, "internal", "The device has no memory left.");
		return;
	}
	s->client = c;
	s->grant = grant;
	list_init(&s->channels);
	loop_timer_init(c->loop, &s->timer, on_timer, s);
	loop_timer_init(c->loop, &s->report, on_report, s);
	list_push_back(&c->sessions, &s->node);
	c->n_sessions++;
	int err = start_peer(s, args);
	/* the answer is on its way before the modules are started */
	if (err == 0)
		pump(s);
	if (err == 0 && !s->over)
		err = start_modules(s);
	if (err == -EADDRINUSE && s->grant.policy.port_max && !s->peer) {
		refuse(c, id, "policy", policy_ports_full(&s->grant.policy, why));
		finish(s, "refused", false);
		return;
	}
	if (err < 0) {
		refuse(c, id, "internal", fl_error_text(err));
		finish(s, "refused", false);
		return;
	}
	loop_timer_after(&s->timer, CONNECT_US);
	loop_timer_after(&s->report, SEARCH_REPORT_US);
	log_info("session-started", "session=%s user=%s", id, s->grant.user_id);
}

void session_restart(struct client *c, json_t *args)
{
	struct session *s = find(c, args);
	const char *sdp = json_string_value(json_object_get(args, "sdp"));
	char raw[256], offer[SIGN_FINGERPRINT_TEXT];

	/* a restart changes the route, never the other end */
	if (!s || !sdp || fl_sdp_fingerprint(sdp, raw, sizeof(raw)) < 0 ||
	    !sign_fingerprint(raw, offer) || strcmp(offer, s->grant.fingerprint) != 0)
		return;
	if (fl_peer_answer(s->peer, sdp) < 0)
		log_warn("restart-refused", "session=%s", s->grant.session);
	pump(s);
}

void session_trickle(struct client *c, json_t *args)
{
	struct session *s = find(c, args);
	const char *candidate = json_string_value(json_object_get(args, "candidate"));

	if (!s || !candidate)
		return;
	(void)fl_peer_candidate(s->peer, candidate);
	pump(s);
}

void session_limit(struct client *c, json_t *args)
{
	struct session *s = find(c, args);
	json_t *kbit = json_object_get(args, "kbit");

	if (!s || !s->peer || !json_is_integer(kbit) || json_integer_value(kbit) < 0 ||
	    json_integer_value(kbit) > POLICY_KBIT_MAX)
		return;
	fl_peer_limit(s->peer, (uint32_t)json_integer_value(kbit));
	pump(s);
}

void session_end(struct client *c, json_t *args)
{
	struct session *s = find(c, args);

	if (s)
		finish(s, "console", false);
}

void sessions_report(struct client *c)
{
	struct session *s, *tmp;

	list_for_each (s, tmp, &c->sessions, node)
		if (!s->over && s->connected)
			report_route(s);
}

json_t *sessions_list(const struct client *c)
{
	json_t *list = json_array();
	struct session *s, *tmp;

	list_for_each (s, tmp, &c->sessions, node)
		if (!s->over)
			json_array_append_new(list, json_pack("{s:s}", "id", s->grant.session));
	return list;
}

void sessions_end_all(struct client *c)
{
	struct session *s, *tmp;

	list_for_each (s, tmp, &c->sessions, node)
		finish(s, "shutdown", true);
}
