#include "peer/core.h"

#include <errno.h>

#include "base/err.h"
#include "base/wire.h"
#include "peer/internal.h"
#include "proto/stun/stun.h"

#define EARLY_BYTES 16384
#define SEAL_BATCH 256
#define UNANSWERED_MIN_US (400 * USEC_PER_MSEC) /* or three round trips: the path is looked at */
#define WAKE_US USEC_PER_SEC			/* a shorter sleep needs no notice */
#define REPEATED_US                                                                                \
	(150 * USEC_PER_MSEC) /* what SCTP sends without an answer by then, it repeats */

int peer_create(const struct peer_config *config, struct rng *rng, struct peer **out)
{
	struct peer *p = calloc(1, sizeof(*p));
	static const char digits[] = "0123456789abcdef";

	if (!p)
		return -ENOMEM;
	p->rng = rng;
	p->identity = dtls_identity_ref(config->identity);
	p->ice_config.loopback = config->loopback;
	p->early = PKTQ_INIT(EARLY_BYTES);
	p->heard_due = USEC_NEVER;
	p->session_id = rng_u64(rng) >> 2; /* RFC 8829 §5.2.1 */
	p->ssrc = rng_u32(rng);
	p->rtx_ssrc = rng_u32(rng);
	for (size_t i = 0; i + 1 < sizeof(p->cname); i++)
		p->cname[i] = digits[rng_below(rng, 16)];
	for (size_t i = 0; i < config->n_video_codecs && p->n_video_prefs < 2; i++)
		p->video_prefs[p->n_video_prefs++] = config->video_codecs[i] == FL_VIDEO_H264
							     ? SDP_H264
							     : SDP_VP8;
	p->video_max_bps = config->video_max_bps;
	p->policy = config->policy;
	bucket_limit(&p->bucket, 0, p->policy.max_kbit);
	for (size_t i = 0; i < DCEP_CHANNELS_MAX; i++) {
		p->queues[i].id = -1;
		p->queues[i].messages = PKTQ_INIT(PEER_CHANNEL_QUEUE_MAX + 65536);
	}
	p->dcep = dcep_create();
	if (!p->dcep) {
		peer_destroy(p);
		return -ENOMEM;
	}
	*out = p;
	return 0;
}

void peer_destroy(struct peer *p)
{
	if (!p)
		return;
	for (; p->n_events; p->n_events--) {
		free(p->events[p->event_head].text);
		p->event_head = (p->event_head + 1) % PEER_EVENTS_MAX;
	}
	free(p->event_text);
	for (size_t i = 0; i < DCEP_CHANNELS_MAX; i++)
		pktq_finish(&p->queues[i].messages);
	peer_forget_description(p);
	video_destroy(p->video);
	srtp_session_destroy(p->srtp);
	dcep_destroy(p->dcep);
	assoc_destroy(p->assoc);
	dtls_destroy(p->dtls);
	ice_destroy(p->ice);
	pktq_finish(&p->early);
	dtls_identity_unref(p->identity);
	free(p);
}

void peer_emit(struct peer *p, struct fl_event ev, const char *text)
{
	struct event *e;

	if (p->n_events == PEER_EVENTS_MAX)
		return; /* the embedder does not take events: nothing else can be done */
	e = &p->events[(p->event_head + p->n_events) % PEER_EVENTS_MAX];
	e->ev = ev;
	e->text = text ? strdup(text) : NULL;
	if (text && !e->text)
		return;
	p->n_events++;
}

void peer_fail(struct peer *p, int err, const char *text)
{
	if (p->state == PEER_FAILED || p->state == PEER_CLOSED)
		return;
	p->state = PEER_FAILED;
	peer_emit(p, (struct fl_event){ .type = FL_EVENT_FAILED, .err = err }, text);
}

void peer_closed(struct peer *p)
{
	if (p->state == PEER_CLOSED || p->state == PEER_FAILED)
		return;
	p->state = PEER_CLOSED;
	peer_emit(p, (struct fl_event){ .type = FL_EVENT_CLOSED }, NULL);
}

int peer_make_ice(struct peer *p, usec_t now)
{
	ice_destroy(p->ice); /* of an offer that was refused */
	p->ice_config.controlling = p->offerer;
	p->ice = ice_create(&p->ice_config, p->rng);
	if (!p->ice)
		return -ENOMEM;
	p->began_us = now;
	peer_found_begin(p, now);
	for (size_t i = 0; i < p->n_locals; i++)
		if (ice_add_local(p->ice, now, &p->locals[i].ice) < 0)
			p->stats.bad_locals++;
	for (size_t i = 0; i < p->n_servers; i++)
		if (ice_add_stun_server(p->ice, now, &p->servers[i]) < 0)
			p->stats.bad_locals++;
	if (p->locals_ended)
		ice_end_of_locals(p->ice, now);
	return 0;
}

int peer_add_local(struct peer *p, usec_t now, const struct peer_local *local)
{
	int err = 0;

	if (p->n_locals == LOCALS_MAX)
		return FL_EQUOTA;
	if (p->ice)
		err = ice_add_local(p->ice, now, &local->ice);
	if (err == 0) {
		p->locals[p->n_locals++] = *local;
		peer_found_local(p, now, local);
	}
	peer_pump(p, now);
	return err;
}

void peer_remove_local(struct peer *p, usec_t now, const struct addr *addr, enum dgram_via via)
{
	for (size_t i = 0; i < p->n_locals; i++)
		if (ice_via(p->locals[i].ice.transport) == via &&
		    addr_equal(&p->locals[i].ice.addr, addr)) {
			p->locals[i] = p->locals[--p->n_locals];
			break;
		}
	peer_found_gone(p, addr, via);
	if (p->ice)
		ice_remove_local(p->ice, now, addr, via);
	peer_pump(p, now);
}

int peer_add_stun_server(struct peer *p, usec_t now, const struct addr *server)
{
	if (p->n_servers == ICE_STUN_SERVERS_MAX)
		return FL_EQUOTA;
	p->servers[p->n_servers++] = *server;
	peer_found_begin(p, now);
	return p->ice ? ice_add_stun_server(p->ice, now, server) : 0;
}

void peer_end_of_locals(struct peer *p, usec_t now)
{
	p->locals_ended = true;
	if (p->ice)
		ice_end_of_locals(p->ice, now);
	peer_pump(p, now);
}

size_t peer_relay_targets(const struct peer *p, struct addr *out, size_t cap)
{
	struct ice_pair_info pairs[ICE_PAIRS_MAX];
	size_t n_pairs = p->ice ? ice_pairs(p->ice, pairs, ICE_PAIRS_MAX) : 0, n = 0;

	for (size_t i = 0; i < n_pairs && n < cap; i++) {
		bool known = pairs[i].local_type != ICE_RELAY || pairs[i].remote_type == ICE_HOST;

		for (size_t k = 0; k < n && !known; k++)
			known = addr_ip_equal(&out[k], &pairs[i].remote);
		if (!known)
			out[n++] = pairs[i].remote;
	}
	return n;
}

void peer_path(const struct peer *p, struct ice_path *out)
{
	*out = p->path;
}

void peer_note_error(struct peer *p, const struct addr *local, const struct addr *remote,
		     enum dgram_via via, int err)
{
	if (p->ice)
		ice_note_error(p->ice, local, remote, via, err);
}

/* RFC 7983 §7 */
int peer_input(struct peer *p, usec_t now, const struct dgram *d)
{
	struct reader r = reader_of(d->data);
	uint8_t first = reader_u8(&r);
	int err = 0;

	if (reader_failed(&r) || !p->ice) {
		p->stats.unknown_packets++;
		return 0;
	}
	/* other packets count only from where a check has come through */
	if (first < 20 && !peer_policy_lets(p, d, false))
		return 0;
	if (first >= 20 && first <= 63) {
		err = peer_input_dtls(p, now, d);
	} else if (stun_is_message(d->data)) {
		err = ice_input(p->ice, now, d);
		peer_found_checked(p, now);
		peer_checked(p, now);
	} else if (first >= 128 && first <= 191) {
		peer_input_rtcp(p, now, d->data);
	} else {
		p->stats.unknown_packets++;
	}
	peer_pump(p, now);
	return err;
}

static usec_t answer_due(const struct peer *p)
{
	return p->unanswered_us ? p->suspect_at : USEC_NEVER;
}

/* Data is acknowledged within a round trip and a little, and video by feedback soon: where nothing
 * comes in, the path may be dead, and ICE would only notice when the next consent is due. */
static usec_t suspect_due(const struct peer *p)
{
	usec_t feedback = p->feedback_due ? p->feedback_due : USEC_NEVER;

	return p->state == PEER_CONNECTED ? usec_min(answer_due(p), feedback) : USEC_NEVER;
}

static void expect_answer(struct peer *p, usec_t now)
{
	p->suspect_at = usec_add(now, FL_MAX(UNANSWERED_MIN_US, 3 * (usec_t)p->path.rtt_us));
}

static void suspect_path(struct peer *p, usec_t now)
{
	if (answer_due(p) <= now)
		expect_answer(p, now);
	if (p->feedback_due <= now)
		p->feedback_due = 0; /* until more is sent */
	ice_suspect(p->ice, now);
}

bool peer_suspicious(const struct peer *p)
{
	return p->ice && ice_suspicious(p->ice);
}

bool peer_note_asleep(struct peer *p, usec_t now, usec_t asleep)
{
	bool woke = p->asleep_known && asleep >= usec_add(p->asleep, WAKE_US);

	if (p->asleep_known && !woke)
		return false;
	p->asleep_known = true;
	p->asleep = asleep;
	if (woke && p->ice)
		ice_suspect(p->ice, now);
	return woke;
}

int peer_timeout(struct peer *p, usec_t now)
{
	int err = 0;

	if (suspect_due(p) <= now)
		suspect_path(p, now);
	if (p->ice && ice_deadline(p->ice) <= now)
		err = ice_timeout(p->ice, now);
	if (err == 0 && peer_dtls_due(p) <= now)
		err = peer_dtls_timeout(p, now);
	if (err == 0 && p->assoc && assoc_deadline(p->assoc) <= now)
		err = assoc_timeout(p->assoc, now);
	if (p->video && video_deadline(p->video) <= now)
		video_timeout(p->video, now);
	if (peer_policy_deadline(p) <= now)
		peer_policy_timeout(p, now);
	if (p->bucket_waits && bucket_open(&p->bucket, now))
		peer_flush_channels(p, now);
	peer_pump(p, now);
	return err;
}

usec_t peer_deadline(const struct peer *p)
{
	usec_t at = p->ice && p->state != PEER_CLOSED ? ice_deadline(p->ice) : USEC_NEVER;

	at = usec_min(at, peer_dtls_due(p));
	at = usec_min(at, suspect_due(p));
	if (p->state != PEER_CLOSED && p->state != PEER_FAILED)
		at = usec_min(at, peer_policy_deadline(p));
	if (p->bucket_waits)
		at = usec_min(at, bucket_deadline(&p->bucket));
	if (p->assoc)
		at = usec_min(at, assoc_deadline(p->assoc));
	if (p->video)
		at = usec_min(at, video_deadline(p->video));
	return at;
}

static void on_ice_state(struct peer *p, usec_t now, enum ice_state state)
{
	struct fl_event lost = { .type = FL_EVENT_DISCONNECTED };
	char why[160];

	switch (state) {
	case ICE_NEW:
	case ICE_CONNECTED:
		break;
	case ICE_CHECKING:
		p->route_told = false;
		break;
	case ICE_DISCONNECTED:
		p->route_told = false;
		peer_policy_lost(p, now);
		peer_emit(p, lost, NULL);
		break;
	case ICE_FAILED:
		p->route_told = false;
		peer_emit(p, (struct fl_event){ .type = FL_EVENT_FAILED, .err = -EHOSTUNREACH },
			  p->ever_connected ? "The route is lost: the other side no longer answers."
					    : peer_no_route(p, why, sizeof(why)));
		break;
	}
}

/*
 * What SCTP has repeated went into the dead path, and by then it waits for seconds until it repeats
 * again. So its last repetition, which has the data that the other side waits for, goes out once
 * more, as if the network had held it up.
 */
static void repeat_data(struct peer *p)
{
	if (p->repeat_len && dtls_send(p->dtls, span_of(p->repeat, p->repeat_len)) < 0)
		p->stats.unsent++;
	p->repeat_len = 0;
}

/* FL_EVENT_ROUTE once for each selection: the first, another pair, or any after a silence or a
 * restart. */
static void on_path(struct peer *p, usec_t now)
{
	struct ice_path before = p->path;

	ice_path(p->ice, &p->path);
	peer_policy_path(p, now);
	if (p->path.level >= ICE_PATH_VALID && !same_path(&before, &p->path))
		repeat_data(p);
	/* during a restart the old pair goes on; what counts is the first one of the new generation
	 */
	if (p->path.level != ICE_PATH_SELECTED || p->path_denied ||
	    ice_state(p->ice) != ICE_CONNECTED || !ice_stats(p->ice)->selected_us)
		return;
	if (p->route_told && same_path(&before, &p->path))
		return;
	p->route_told = true;
	if (!p->selected_us)
		p->selected_us = now;
	peer_emit(p, (struct fl_event){ .type = FL_EVENT_ROUTE }, NULL);
	peer_video_path(p, now);
}

static void pump_ice(struct peer *p, usec_t now)
{
	struct ice_event ev;

	while (p->ice && ice_next_event(p->ice, &ev)) {
		switch (ev.type) {
		case ICE_EVENT_CANDIDATE:
			peer_found_mapped(p, now, &ev.candidate);
			peer_local_candidate(p, &ev.candidate);
			break;
		case ICE_EVENT_GATHERED:
			p->gathered = true;
			if (!p->describing)
				peer_emit(p, (struct fl_event){ .type = FL_EVENT_CANDIDATE }, "");
			break;
		case ICE_EVENT_STATE:
			on_ice_state(p, now, ev.state);
			on_path(p, now);
			break;
		case ICE_EVENT_PATH:
			on_path(p, now);
			break;
		case ICE_EVENT_ROLE:
			break;
		}
	}
}

static void pump_dtls(struct peer *p, usec_t now)
{
	struct dtls_event ev;

	while (p->dtls && dtls_next_event(p->dtls, &ev)) {
		int err = 0;

		switch (ev.type) {
		case DTLS_MAY_SEND:
			err = peer_start_channels(p, now);
			break;
		case DTLS_CONNECTED:
			p->state = PEER_CONNECTED;
			p->ever_connected = true;
			peer_emit(p, (struct fl_event){ .type = FL_EVENT_CONNECTED }, NULL);
			peer_start_video(p, now);
			break;
		case DTLS_DATA:
			p->unanswered_us = 0;
			p->repeat_len = 0;
			if (p->assoc)
				err = assoc_input(p->assoc, now, ev.data);
			break;
		case DTLS_CLOSED:
			peer_closed(p);
			break;
		case DTLS_FAILED:
			peer_fail(p, FL_EUNAUTHENTICATED, ev.reason);
			break;
		}
		if (err < 0)
			peer_fail(p, err, "SCTP: out of memory.");
	}
}

/* Lets what one part has said move the others. */
void peer_pump(struct peer *p, usec_t now)
{
	pump_ice(p, now);
	if (p->ice && !p->route_told)
		on_path(p, now);
	pump_dtls(p, now);
}

/* A DATA chunk, the one kind that is always answered (RFC 9260 §3.2, §6.2)? */
static bool carries_data(struct span packet)
{
	struct reader r = reader_of(packet);

	reader_bytes(&r, 12); /* the common header */
	while (!reader_failed(&r) && reader_left(&r) > 0) {
		uint8_t type = reader_u8(&r);
		size_t len;

		if (type == 0)
			return true;
		reader_u8(&r);
		len = reader_u16(&r);
		if (len < 4)
			return false;
		reader_bytes(&r, FL_MIN(((len + 3) & ~(size_t)3) - 4, reader_left(&r)));
	}
	return false;
}

static void note_data(struct peer *p, usec_t now, struct span packet)
{
	if (!p->unanswered_us) {
		p->unanswered_us = now;
		expect_answer(p, now);
	} else if (now >= usec_add(p->unanswered_us, REPEATED_US) &&
		   packet.len <= sizeof(p->repeat)) {
		memcpy(p->repeat, packet.ptr, packet.len);
		p->repeat_len = packet.len;
	}
}

/* Moves what SCTP has to say into DTLS records, some at a time: the records' queue is the shorter
 * one. True when there was something. */
static bool seal_sctp(struct peer *p, usec_t now)
{
	struct span packet;
	unsigned n = 0;

	while (n < SEAL_BATCH && p->assoc && assoc_next_output(p->assoc, &packet)) {
		bool data = carries_data(packet);

		if (data)
			note_data(p, now, packet);
		bucket_sent(&p->bucket, now, packet.len + DTLS_RECORD_OVERHEAD, data);
		/* a packet that cannot be sent is lost, and SCTP repeats it */
		if (dtls_send(p->dtls, packet) < 0)
			p->stats.unsent++;
		n++;
	}
	return n > 0;
}

static bool next_output(struct peer *p, usec_t now, struct dgram *out)
{
	bool ice = ice_next_output(p->ice, out);

	if (!ice && peer_dtls_output(p, out)) /* counted when it was sealed */
		return true;
	if (ice || peer_video_output(p, now, out)) {
		bucket_sent(&p->bucket, now, out->data.len, false);
		return true;
	}
	return seal_sctp(p, now) && peer_dtls_output(p, out);
}

bool peer_next_output(struct peer *p, usec_t now, struct dgram *out)
{
	while (p->ice && next_output(p, now, out))
		if (peer_policy_lets(p, out, true))
			return true;
	return false;
}

void peer_limit(struct peer *p, usec_t now, uint32_t kbit)
{
	bucket_limit(&p->bucket, now, kbit);
	peer_video_limit(p, now);
	if (p->bucket_waits)
		peer_flush_channels(p, now);
}

static bool take_event(struct peer *p, struct fl_event *out)
{
	struct event *e = &p->events[p->event_head];

	if (!p->n_events)
		return false;
	*out = e->ev;
	out->text = p->event_text = FL_STEAL(e->text);
	p->event_head = (p->event_head + 1) % PEER_EVENTS_MAX;
	p->n_events--;
	return true;
}

bool peer_next_event(struct peer *p, usec_t now, struct fl_event *out)
{
	enum peer_step step = PEER_PROGRESS;

	free(p->event_text);
	p->event_text = NULL;
	while (step == PEER_PROGRESS) {
		*out = (struct fl_event){ .type = FL_EVENT_NONE };
		if (take_event(p, out))
			return true;
		if (p->state == PEER_CLOSED || p->state == PEER_FAILED)
			return false;
		step = peer_channel_step(p, now, out);
	}
	return step == PEER_EVENT || peer_video_event(p, out);
}

void peer_close(struct peer *p, usec_t now)
{
	if (p->state == PEER_CLOSED)
		return;
	if (p->video)
		video_close(p->video, now);
	if (p->assoc) {
		assoc_abort(p->assoc, now);
		seal_sctp(p, now);
	}
	if (p->dtls)
		dtls_close(p->dtls);
	peer_closed(p);
	p->state = PEER_CLOSED;
}

const struct peer_stats *peer_stats(const struct peer *p)
{
	return &p->stats;
}
