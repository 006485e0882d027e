/*
 * A whole peer under a hostile other side and a hostile network. The input is a script: per step a
 * byte of what happens (its upper five bits: tens of milliseconds that pass before), two of length,
 * then a text or a datagram.
 */
#include "base/wire.h"
#include "peer/core.h"
#include "vclock.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum step { ANSWER, ACCEPT, CANDIDATE, DATAGRAM, OFFER, RESTART, CHANNEL, CLOSE };

static usec_t now = USEC_PER_SEC;
static struct addr here, there;

/* An error is an answer; a crash, a hang or an oversized datagram is not. */
static void act(struct peer *p, enum step what, struct span arg, char *text)
{
	struct dgram d = { .local = here, .remote = there, .data = arg };
	int err = 0;

	memcpy(text, arg.ptr ? (const char *)arg.ptr : "", arg.len);
	text[arg.len] = 0;
	switch (what) {
	case ANSWER:
		err = peer_answer(p, now, text);
		break;
	case ACCEPT:
		err = peer_accept(p, now, text);
		break;
	case CANDIDATE:
		err = peer_candidate(p, now, text);
		break;
	case DATAGRAM:
		err = peer_input(p, now, &d);
		break;
	case OFFER:
		err = peer_offer(p, now);
		break;
	case RESTART:
		err = peer_restart(p, now);
		break;
	case CHANNEL:
		err = peer_channel_open(p, now, "label", NULL);
		break;
	case CLOSE:
		peer_close(p, now);
		break;
	}
	(void)err;
}

/* Names have an address, one elsewhere, or none. */
static void answer_name(struct peer *p, struct ice_candidate *name)
{
	uint16_t port = name->addr.port;

	if (name->host[0] & 1) {
		peer_unresolved(p, name, "no address");
		return;
	}
	name->addr = name->host[0] & 2 ? here : there;
	name->addr.port = port;
	peer_resolved(p, now, name);
}

static void check_text(const char *text, size_t cap)
{
	size_t len = strnlen(text, cap);

	if (len == cap)
		abort();
	for (size_t i = 0; i < len; i++)
		if (text[i] < 0x20 || text[i] > 0x7e)
			abort();
}

/* Whatever the other side said, the report keeps its limits and is plain text. */
static void check_report(const struct peer *p)
{
	static struct fl_route r;

	peer_route(p, &r);
	if (r.n_tried > FL_ROUTE_PAIRS_MAX || r.n_candidates > FL_ROUTE_CANDIDATES_MAX ||
	    r.n_ignored > FL_ROUTE_IGNORED_MAX || r.n_servers > FL_ROUTE_SERVERS_MAX)
		abort();
	check_text(r.reason, sizeof(r.reason));
	for (size_t i = 0; i < r.n_candidates; i++) {
		check_text(r.candidates[i].address, sizeof(r.candidates[i].address));
		check_text(r.candidates[i].origin, sizeof(r.candidates[i].origin));
		check_text(r.candidates[i].why, sizeof(r.candidates[i].why));
		if (r.candidates[i].use == FL_USE_IGNORED && !r.candidates[i].why[0])
			abort();
	}
	for (size_t i = 0; i < r.n_tried; i++)
		check_text(r.tried[i].error, sizeof(r.tried[i].error));
}

static void drain(struct peer *p)
{
	struct ice_candidate name;
	struct fl_event ev;
	struct dgram d;

	for (int i = 0; i < 2; i++) {
		while (peer_next_output(p, now, &d))
			if (d.data.len > DTLS_LINK_MTU)
				abort();
		while (peer_next_event(p, now, &ev))
			if (ev.type == FL_EVENT_CONNECTED)
				abort(); /* nobody here has a key */
		while (peer_next_name(p, &name))
			answer_name(p, &name);
	}
}

static struct peer *make(struct rng *rng)
{
	static const enum fl_video_codec codecs[] = { FL_VIDEO_H264, FL_VIDEO_VP8 };
	static struct dtls_identity *identity;
	struct peer_config config = { .video_codecs = codecs, .n_video_codecs = 2 };
	struct peer_local local = { .ice = { .type = ICE_HOST }, .prefix_bits = 24 };
	struct peer *p;

	rng_seed(rng, 1);
	if ((!identity && dtls_identity_create(&identity) < 0) ||
	    addr_parse("192.168.1.2:4000", &here) < 0 || addr_parse("192.168.1.3:5000", &there) < 0)
		abort();
	config.identity = identity;
	local.ice.addr = here;
	if (peer_create(&config, rng, &p) < 0 || peer_add_local(p, now, &local) < 0)
		abort();
	peer_end_of_locals(p, now);
	return p;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char text[UINT16_MAX + 1];
	struct reader r = reader_of(span_of(data, size));
	struct rng rng;
	struct peer *p;

	vclock_set(now);
	p = make(&rng);
	while (reader_left(&r) > 0) {
		uint8_t what = reader_u8(&r);
		size_t len = reader_u16(&r);
		struct span arg = reader_bytes(&r, FL_MIN(len, reader_left(&r)));

		now += (usec_t)(what >> 3) * 10 * USEC_PER_MSEC;
		vclock_set(now);
		if (peer_deadline(p) <= now && peer_timeout(p, now) < 0)
			abort();
		act(p, (enum step)(what & 7), arg, text);
		drain(p);
	}
	check_report(p);
	peer_destroy(p);
	return 0;
}
