#include "peer_node.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "vclock.h"

struct letter {
	enum fl_event_type type;
	char text[32768];
};

static void must(int err)
{
	if (err < 0) {
		fprintf(stderr, "unexpected: %s\n", err_text(err));
		abort();
	}
}

/* OpenSSL and usrsctp see the same time as the core. */
static usec_t now_of(const struct peer_node *n)
{
	vclock_set(sim_now(n->sim));
	return sim_now(n->sim);
}

static void on_letter(void *arg, usec_t now, struct span data)
{
	struct peer_node *n = arg;
	static struct letter l;

	vclock_set(now);
	memcpy(&l, data.ptr, data.len);
	if (l.type == FL_EVENT_CANDIDATE)
		must(peer_candidate(n->peer, now, l.text));
	else if (n->offerer)
		must(peer_accept(n->peer, now, l.text));
	else
		must(peer_answer(n->peer, now, l.text));
	if (n->between)
		n->between->candidate(n, now);
	peer_node_turn(n);
}

/* Without the two attributes by which libfairlead knows itself. */
static void disguise(char *sdp)
{
	char *line;

	while ((line = strstr(sdp, "a=fairlead"))) {
		char *end = strchr(line, '\n') + 1;

		memmove(line, end, strlen(end) + 1);
	}
}

/* Puts a section behind the others, into their bundle; feedback is by reports alone. */
static void want_video(char *sdp, size_t cap)
{
	char *bundle = strstr(sdp, "a=group:BUNDLE");

	if (!bundle)
		abort();
	bundle = strchr(bundle, '\r');
	memmove(bundle + 2, bundle, strlen(bundle) + 1);
	bundle[0] = ' ';
	bundle[1] = 'v';
	snprintf(sdp + strlen(sdp), cap - strlen(sdp), "%s",
		 "m=video 9 UDP/TLS/RTP/SAVPF 96\r\n"
		 "c=IN IP4 0.0.0.0\r\n"
		 "a=mid:v\r\n"
		 "a=recvonly\r\n"
		 "a=rtcp-mux\r\n"
		 "a=rtpmap:96 VP8/90000\r\n"
		 "a=rtcp-fb:96 nack pli\r\n");
}

static void signal_other(struct peer_node *n, const struct fl_event *ev)
{
	static struct letter l;

	l.type = ev->type;
	snprintf(l.text, sizeof(l.text), "%s", ev->text);
	if (n->foreign)
		disguise(l.text);
	if (n->wants_video && ev->type == FL_EVENT_DESCRIPTION)
		want_video(l.text, sizeof(l.text));
	if (n->claims && strstr(l.text, "sha-256"))
		memcpy(strstr(l.text, "sha-256"), n->claims, strlen(n->claims));
	sim_after(n->sim, n->signal_delay, on_letter, n->other,
		  span_of(&l, offsetof(struct letter, text) + strlen(l.text) + 1));
}

static void on_data(struct peer_node *n, const struct fl_event *ev)
{
	uint32_t number;

	n->bytes_in += ev->len;
	if (n->messages++ == 0)
		n->first_message_at = sim_now(n->sim);
	if (ev->len == sizeof(number)) {
		memcpy(&number, ev->data, sizeof(number));
		if (number != n->next_number)
			n->out_of_order = true;
		n->next_number = number + 1;
	} else if (ev->remote) {
		int err = peer_channel_send(n->peer, sim_now(n->sim), ev->channel,
					    span_of(ev->data, ev->len), ev->is_text);

		if (err < 0 && err != -EAGAIN)
			must(err);
	} else {
		n->echoed = true;
	}
}

static void on_event(struct peer_node *n, const struct fl_event *ev)
{
	switch (ev->type) {
	case FL_EVENT_DESCRIPTION:
	case FL_EVENT_CANDIDATE:
		signal_other(n, ev);
		break;
	case FL_EVENT_CONNECTED:
		n->connected++;
		n->connected_at = sim_now(n->sim);
		break;
	case FL_EVENT_ROUTE:
		n->routes++;
		break;
	case FL_EVENT_DISCONNECTED:
		n->disconnected++;
		break;
	case FL_EVENT_CHANNEL_OPEN:
		n->opened++;
		n->opened_at = sim_now(n->sim);
		n->channel = ev->channel;
		break;
	case FL_EVENT_CHANNEL_DATA:
		on_data(n, ev);
		break;
	case FL_EVENT_CHANNEL_CLOSED:
		n->channels_closed++;
		break;
	case FL_EVENT_CLOSED:
		n->closed++;
		break;
	case FL_EVENT_FAILED:
		n->failed++;
		snprintf(n->last_failure, sizeof(n->last_failure), "%s", ev->text);
		break;
	case FL_EVENT_VIDEO_READY:
		n->videos++;
		break;
	case FL_EVENT_WRITABLE:
	case FL_EVENT_VIDEO_KEYFRAME:
	case FL_EVENT_VIDEO_RATE:
		break;
	case FL_EVENT_NONE:
		abort();
	}
}

void peer_node_turn(struct peer_node *n)
{
	usec_t now = now_of(n);
	struct fl_event ev;
	struct dgram d;
	bool any = true;

	while (any) {
		any = false;
		while (peer_next_output(n->peer, now, &d)) {
			if (d.data.len > DTLS_LINK_MTU)
				abort();
			n->bytes_out += d.data.len + 28;
			if (!n->between || !n->between->send(n, now, &d))
				sim_send(n->host, &d);
			any = true;
		}
		while (peer_next_event(n->peer, now, &ev)) {
			on_event(n, &ev);
			any = true;
		}
	}
}

static void on_dgram(void *arg, usec_t now, const struct dgram *d)
{
	struct peer_node *n = arg;

	vclock_set(now);
	if (!n->between || !n->between->receive(n, now, d))
		must(peer_input(n->peer, now, d));
	peer_node_turn(n);
}

static usec_t deadline(void *arg)
{
	struct peer_node *n = arg;

	return usec_min(peer_deadline(n->peer), n->between ? n->between->deadline(n) : USEC_NEVER);
}

static void timeout(void *arg, usec_t now)
{
	struct peer_node *n = arg;

	vclock_set(now);
	if (n->between && n->between->deadline(n) <= now)
		n->between->timeout(n, now);
	must(peer_timeout(n->peer, now));
	peer_node_turn(n);
	if (peer_deadline(n->peer) <= now) {
		fprintf(stderr, "a deadline that is already due\n");
		abort();
	}
}

static const struct sim_ops ops = { .on_dgram = on_dgram,
				    .deadline = deadline,
				    .timeout = timeout };

void peer_node_init(struct peer_node *n, struct sim *sim, int segment, const char *ip,
		    const char *stun)
{
	peer_node_init_with(n, sim, segment, ip, stun, NULL);
}

void peer_node_init_with(struct peer_node *n, struct sim *sim, int segment, const char *ip,
			 const char *stun, const struct peer_policy *policy)
{
	struct peer_config config = { 0 };
	struct peer_local local = { .ice = { .type = ICE_HOST }, .prefix_bits = 24 };
	struct addr server;

	*n = (struct peer_node){ .sim = sim, .next_port = 40000 };
	rng_seed(&n->rng, rng_u64(sim_rng(sim)));
	must(dtls_identity_create(&n->identity));
	config.identity = n->identity;
	if (policy)
		config.policy = *policy;
	now_of(n);
	must(peer_create(&config, &n->rng, &n->peer));
	n->host = sim_host(sim, segment, &ops, n);
	sim_host_addr(n->host, ip);
	must(addr_parse_ip(ip, &local.ice.addr));
	local.ice.addr.port = n->next_port;
	must(peer_add_local(n->peer, sim_now(sim), &local));
	if (stun) {
		must(addr_parse_ip(stun, &server));
		server.port = 3478;
		must(peer_add_stun_server(n->peer, sim_now(sim), &server));
	}
	peer_end_of_locals(n->peer, sim_now(sim));
}

void peer_node_link(struct peer_node *offerer, struct peer_node *answerer, usec_t signal_delay)
{
	offerer->offerer = true;
	offerer->other = answerer;
	answerer->other = offerer;
	offerer->signal_delay = answerer->signal_delay = signal_delay;
}

void peer_node_finish(struct peer_node *n)
{
	peer_destroy(n->peer);
	dtls_identity_unref(n->identity);
}

void peer_node_offer(struct peer_node *n, const char *label)
{
	usec_t now = now_of(n);
	int id = peer_channel_open(n->peer, now, label, NULL);

	must(id);
	n->channel = id;
	must(peer_channel_send(n->peer, now, id, span_str("hello"), true));
	must(peer_offer(n->peer, now));
	peer_node_turn(n);
}

unsigned peer_node_count(struct peer_node *n, uint32_t first, unsigned count)
{
	unsigned sent = 0;

	for (; sent < count; sent++) {
		uint32_t number = first + sent;

		if (peer_channel_send(n->peer, now_of(n), n->channel,
				      span_of(&number, sizeof(number)), false) < 0)
			break;
	}
	peer_node_turn(n);
	return sent;
}
