/*
 * One libfairlead peer whose signalling is lines of JSON on stdin and stdout, for tests against
 * other implementations. What comes in on any channel goes back on it.
 *
 * In:  {"do":"new"} a fresh peer (the old one is destroyed); "loopback": use loopback addresses;
 *      "iceServers": [{"url","username","credential"}], "proxy": "http://host:port"
 *      {"do":"offer"} {"do":"answer","sdp"} {"do":"accept","sdp"} {"do":"candidate","candidate"}
 *      {"do":"restart"} {"do":"close"} {"do":"open","label"[,"text"]}
 * {"do":"send","channel","text"}
 *      {"do":"route"}
 * Out: {"event":"description"|"candidate"|"connected"|…} with what belongs to it, and
 *      "us", microseconds since "new", and "at", milliseconds since 1970.
 */
#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/usec.h"
#include <fairlead/peer.h>

#define LINE_MAX_BYTES 131072
#define SERVERS_MAX 8

static struct fl_identity *identity;
static struct fl_peer *peer;
static usec_t began;

static void say(json_t *o)
{
	json_object_set_new(o, "us", json_integer((json_int_t)(usec_monotonic() - began)));
	json_object_set_new(o, "at", json_real((double)usec_realtime() / 1e3));
	json_dumpf(o, stdout, JSON_COMPACT);
	putchar('\n');
	fflush(stdout);
	json_decref(o);
}

static void say_event(const struct fl_event *ev)
{
	static const char *const names[] = {
		[FL_EVENT_NONE] = "none",
		[FL_EVENT_DESCRIPTION] = "description",
		[FL_EVENT_CANDIDATE] = "candidate",
		[FL_EVENT_CONNECTED] = "connected",
		[FL_EVENT_ROUTE] = "route",
		[FL_EVENT_DISCONNECTED] = "disconnected",
		[FL_EVENT_CHANNEL_OPEN] = "open",
		[FL_EVENT_CHANNEL_DATA] = "data",
		[FL_EVENT_CHANNEL_CLOSED] = "channel-closed",
		[FL_EVENT_WRITABLE] = "writable",
		[FL_EVENT_VIDEO_READY] = "video-ready",
		[FL_EVENT_VIDEO_KEYFRAME] = "video-keyframe",
		[FL_EVENT_VIDEO_RATE] = "video-rate",
		[FL_EVENT_CLOSED] = "closed",
		[FL_EVENT_FAILED] = "failed",
	};
	json_t *o = json_pack("{s:s,s:i,s:b,s:I}", "event", names[ev->type], "channel", ev->channel,
			      "remote", ev->remote, "len", (json_int_t)ev->len);

	if (ev->text)
		json_object_set_new(o, "text", json_string(ev->text));
	if (ev->is_text && ev->len < 4096)
		json_object_set_new(o, "data", json_stringn((const char *)ev->data, ev->len));
	say(o);
}

static void take_events(void)
{
	struct fl_event ev;

	while (peer && fl_peer_next_event(peer, &ev)) {
		if (ev.type == FL_EVENT_CHANNEL_DATA && ev.remote)
			fl_channel_send(peer, ev.channel, ev.data, ev.len, ev.is_text);
		say_event(&ev);
	}
}

static void say_route(void)
{
	static struct fl_route r;
	int asking = 0;

	fl_peer_route(peer, &r);
	for (size_t i = 0; i < r.n_servers; i++)
		asking += r.servers[i].state == FL_SERVER_ASKING;
	say(json_pack("{s:s,s:s,s:b,s:b,s:s,s:s,s:s,s:s,s:s,s:i,s:i}", "event", "route-report",
		      "relay", r.relay_transport, "proxy", (int)r.relay_proxy, "tcp",
		      (int)r.pair.tcp, "method", fl_route_method_name(r.method), "reason", r.reason,
		      "local", r.pair.local.address, "remote", r.pair.remote.address, "remoteType",
		      fl_candidate_type_name(r.pair.remote.type), "tried", (int)r.n_tried, "asking",
		      asking));
}

static size_t take_servers(json_t *list, struct fl_ice_server servers[SERVERS_MAX])
{
	size_t n = 0, i;
	json_t *s;

	json_array_foreach(list, i, s) if (n < SERVERS_MAX) servers[n++] = (struct fl_ice_server){
		.url = json_string_value(json_object_get(s, "url")),
		.username = json_string_value(json_object_get(s, "username")),
		.credential = json_string_value(json_object_get(s, "credential")),
	};
	return n;
}

static int fresh(json_t *o)
{
	struct fl_ice_server servers[SERVERS_MAX];
	static const enum fl_video_codec codecs[] = { FL_VIDEO_H264, FL_VIDEO_VP8 };
	struct fl_proxy proxy = { 0 };
	struct fl_peer_config config = { .identity = identity,
					 .loopback = json_is_true(json_object_get(o, "loopback")),
					 .video_codecs = codecs,
					 .n_video_codecs = 2 };

	config.n_ice_servers = take_servers(json_object_get(o, "iceServers"), servers);
	config.ice_servers = servers;
	if (json_is_string(json_object_get(o, "proxy"))) {
		proxy.url = json_string_value(json_object_get(o, "proxy"));
		config.proxy = &proxy;
	}
	fl_peer_destroy(peer);
	peer = NULL;
	began = usec_monotonic();
	return fl_peer_create(&config, &peer);
}

/* A text goes out as soon as the library can send it. */
static int open_channel(const char *label, const char *text)
{
	int channel = fl_channel_open(peer, label, NULL);

	if (channel < 0 || !text)
		return channel;
	return fl_channel_send(peer, channel, text, strlen(text), true);
}

static int obey(json_t *o)
{
	const char *what = json_string_value(json_object_get(o, "do"));
	const char *sdp = json_string_value(json_object_get(o, "sdp"));
	const char *text = json_string_value(json_object_get(o, "text"));
	const char *label = json_string_value(json_object_get(o, "label"));
	const char *candidate = json_string_value(json_object_get(o, "candidate"));

	if (!what)
		return -EINVAL;
	if (!strcmp(what, "new")) {
		int err = fresh(o);

		if (err == 0)
			say(json_pack("{s:s}", "event", "ready"));
		return err;
	}
	if (!peer)
		return -EINVAL;
	if (!strcmp(what, "offer"))
		return fl_peer_offer(peer);
	if (!strcmp(what, "answer") && sdp)
		return fl_peer_answer(peer, sdp);
	if (!strcmp(what, "accept") && sdp)
		return fl_peer_accept(peer, sdp);
	if (!strcmp(what, "candidate") && candidate)
		return fl_peer_candidate(peer, candidate);
	if (!strcmp(what, "restart"))
		return fl_peer_restart(peer);
	if (!strcmp(what, "open") && label)
		return open_channel(label, text);
	if (!strcmp(what, "send") && text)
		return fl_channel_send(peer, (int)json_integer_value(json_object_get(o, "channel")),
				       text, strlen(text), true);
	if (!strcmp(what, "route"))
		say_route();
	else if (!strcmp(what, "close"))
		fl_peer_close(peer);
	else
		return -EINVAL;
	return 0;
}

static void on_line(const char *line)
{
	json_t *o = json_loads(line, 0, NULL);
	int err = o ? obey(o) : -EINVAL;

	if (err < 0)
		say(json_pack("{s:s,s:s,s:i}", "event", "error", "text", fl_error_text(err), "err",
			      err));
	json_decref(o);
}

/* False at the end of stdin. */
static bool read_lines(void)
{
	static char buf[LINE_MAX_BYTES];
	static size_t len;
	ssize_t n = read(0, buf + len, sizeof(buf) - 1 - len);
	char *end;

	if (n <= 0)
		return false;
	len += (size_t)n;
	buf[len] = 0;
	while ((end = memchr(buf, '\n', len))) {
		*end = 0;
		on_line(buf);
		len -= (size_t)(end + 1 - buf);
		memmove(buf, end + 1, len);
	}
	return len < sizeof(buf) - 1;
}

int main(void)
{
	if (fl_identity_create(&identity) < 0)
		return 1;
	for (;;) {
		struct pollfd fds[2] = { { .fd = 0, .events = POLLIN },
					 { .fd = peer ? fl_peer_fd(peer) : -1, .events = POLLIN } };

		take_events();
		poll(fds, 2, -1);
		if (fds[1].revents && fl_peer_dispatch(peer) < 0)
			return 1;
		if (fds[0].revents && !read_lines())
			break;
	}
	fl_peer_destroy(peer);
	fl_identity_destroy(identity);
	return 0;
}
