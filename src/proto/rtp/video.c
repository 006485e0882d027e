#include "proto/rtp/video.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "proto/rtp/h264.h"
#include "proto/rtp/rtp.h"
#include "proto/rtp/video_priv.h"
#include "proto/rtp/vp8.h"

enum {
	EXT_HEADER_LEN = 4,
	EXT_AT = RTP_HEADER_LEN + EXT_HEADER_LEN, /* the first element's own byte */
	EXT_TWCC_LEN = 2,
	EXT_TIME_LEN = 3,
	EXTS_MAX = 4,
	RTX_OSN_LEN = 2,
	TRAIN_MIN = 6, /* packets in a frame that make a train for the estimate */
	PROBE_PACKETS = 9,
	PROBE_BACK = 64, /* packets looked at for a large one */
	PROBE_LEN_MIN = 500,
	TAIL_TRIES = 3,
};

#define PACE_LOCAL_BPS 60e6 /* Wi-Fi at its usual worst still takes a burst at this rate */
#define BURST_US 5000	    /* what may leave at once after a pause, in time of the pace */
#define BATCH_US 1000	    /* wake no more often than this while a frame drains */
#define QUEUE_MIN (256 * 1024)
#define QUEUE_US USEC_PER_SEC
#define TAIL_US 60000
#define ASK_INTERVAL_US 300000
#define PROBE_IDLE_US 500000 /* probes only near real traffic: an idle screen stays idle */
#define LOCAL_RTT_US 20000
#define RATE_STEP 0.05
#define MEDIA_SHARE 0.96 /* of the rate; the rest is headers and reports */

static const uint8_t zeros[VIDEO_MID_MAX];

static int check_config(const struct video_config *c)
{
	const struct video_extensions *e = &c->ext;

	if (c->payload_type > 127 || c->rtx_payload_type > 127)
		return -EINVAL;
	if (e->twcc > 14 || e->abs_send_time > 14 || e->mid > 14 || e->playout_delay > 14)
		return -EINVAL;
	if (c->mid && (strlen(c->mid) > VIDEO_MID_MAX || !c->mid[0]))
		return -EINVAL;
	if (c->cname && (strlen(c->cname) > VIDEO_CNAME_MAX || !c->cname[0]))
		return -EINVAL;
	return 0;
}

static void random_cname(struct rng *rng, char *out)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz234567";

	for (size_t i = 0; i < 16; i++)
		out[i] = letters[rng_below(rng, sizeof(letters) - 1)];
}

/* The copies of the config's texts, and what it leaves to chance or default. */
static void fill_config(struct video *v)
{
	struct video_config *c = &v->config;

	if (c->mid)
		memcpy(v->mid, c->mid, strlen(c->mid));
	if (c->cname)
		memcpy(v->cname, c->cname, strlen(c->cname));
	else
		random_cname(v->rng, v->cname);
	c->mid = c->mid && c->ext.mid ? v->mid : NULL;
	c->cname = v->cname;
	while (c->ssrc == 0)
		c->ssrc = rng_u32(v->rng);
	if (!c->rtx)
		c->rtx_ssrc = 0;
	while (c->rtx && (c->rtx_ssrc == 0 || c->rtx_ssrc == c->ssrc))
		c->rtx_ssrc = rng_u32(v->rng);
	c->max_bps = c->max_bps ? FL_MAX(c->max_bps, (uint32_t)VIDEO_RATE_MIN) : VIDEO_RATE_MAX;
	c->start_bps = FL_MIN(c->start_bps ? c->start_bps : VIDEO_RATE_START, c->max_bps);
}

int video_create(const struct video_config *config, struct rng *rng, struct video **out)
{
	struct bwe_config rates = { .min_bps = VIDEO_RATE_MIN };
	int err = check_config(config);
	struct video *v;

	*out = NULL;
	if (err < 0)
		return err;
	v = calloc(1, sizeof(*v));
	if (!v)
		return -ENOMEM;
	v->config = *config;
	v->rng = rng;
	fill_config(v);
	v->start_bps = v->config.start_bps;
	v->max_bps = v->config.max_bps;
	rates.start_bps = v->config.start_bps;
	rates.max_bps = v->config.max_bps;
	v->bwe = bwe_create(&rates);
	/* RFC 3550 §5.1; the upper half is left out, so that SRTP's rollover counter starts at 0
	 * for both sides whatever is lost first */
	v->store = store_create((uint16_t)(rng_u32(rng) & 0x7fff));
	if (!v->bwe || !v->store) {
		video_destroy(v);
		return -ENOMEM;
	}
	v->rtx_seq = (uint16_t)(rng_u32(rng) & 0x7fff);
	v->picture_id = (uint16_t)(rng_u32(rng) & 0x7fff);
	v->timestamp_base = rng_u32(rng);
	v->need_keyframe = true;
	v->report_at = USEC_NEVER;
	*out = v;
	return 0;
}

void video_destroy(struct video *v)
{
	if (!v)
		return;
	bwe_destroy(v->bwe);
	store_destroy(v->store);
	free(v);
}

uint32_t video_ssrc(const struct video *v)
{
	return v->config.ssrc;
}

uint32_t video_rtx_ssrc(const struct video *v)
{
	return v->config.rtx_ssrc;
}

void video_set_path(struct video *v, usec_t now, bool local, usec_t rtt_us)
{
	bool fast = local && rtt_us < LOCAL_RTT_US;

	v->now = now;
	v->local = local;
	v->path_rtt_us = rtt_us;
	v->rtt_us = 0;
	bwe_reset(v->bwe, now, fast ? v->config.max_bps : v->config.start_bps);
}

void video_set_max(struct video *v, usec_t now, uint32_t max_bps)
{
	uint32_t most = v->max_bps;

	if (max_bps)
		most = FL_MIN(most, FL_MAX(max_bps, (uint32_t)VIDEO_RATE_MIN));
	v->now = now;
	v->config.max_bps = most;
	v->config.start_bps = FL_MIN(v->start_bps, most);
	bwe_set_max(v->bwe, most);
}

usec_t video_rtt(const struct video *v)
{
	/* the report's is exact but old, the feedback's has the queue of this moment in it */
	usec_t rtt = FL_MAX(v->rtt_us, bwe_rtt(v->bwe));

	return rtt ? rtt : v->path_rtt_us;
}

static double pace_bps(const struct video *v)
{
	return bwe_pace(v->bwe, v->now, v->local ? PACE_LOCAL_BPS : 0);
}

static size_t queue_limit(const struct video *v)
{
	size_t limit = (size_t)(pace_bps(v) / 8 * QUEUE_US / 1e6);

	return FL_MIN(FL_MAX(limit, (size_t)QUEUE_MIN), (size_t)VIDEO_QUEUE_MAX / 2);
}

static uint32_t timestamp_of(const struct video *v, usec_t at)
{
	return v->timestamp_base + (uint32_t)(at * (VIDEO_CLOCK_HZ / 10000) / 100);
}

/* The extension elements; send time and transport number lie first and are filled in on sending. */
static size_t list_ext(const struct video *v, bool first, struct rtp_ext *ext)
{
	const struct video_extensions *e = &v->config.ext;
	size_t n = 0;

	if (e->twcc)
		ext[n++] = (struct rtp_ext){ e->twcc, span_of(zeros, EXT_TWCC_LEN) };
	if (e->abs_send_time)
		ext[n++] = (struct rtp_ext){ e->abs_send_time, span_of(zeros, EXT_TIME_LEN) };
	if (v->config.mid)
		ext[n++] = (struct rtp_ext){ e->mid, span_str(v->mid) };
	if (e->playout_delay && first) /* least and most: none */
		ext[n++] = (struct rtp_ext){ e->playout_delay, span_of(zeros, 3) };
	return n;
}

struct packetizer {
	enum video_codec codec;
	union {
		struct h264_packetizer h264;
		struct vp8_packetizer vp8;
	};
};

static bool packetizer_start(struct packetizer *p, const struct video *v, struct span frame)
{
	p->codec = v->config.codec;
	switch (p->codec) {
	case VIDEO_H264:
		return h264_packetizer_start(&p->h264, frame);
	case VIDEO_VP8:
		return vp8_packetizer_start(&p->vp8, frame, v->picture_id);
	}
	return false;
}

static bool packetizer_next(struct packetizer *p, struct writer *w, size_t max, bool *last)
{
	switch (p->codec) {
	case VIDEO_H264:
		return h264_packetizer_next(&p->h264, w, max, last);
	case VIDEO_VP8:
		return vp8_packetizer_next(&p->vp8, w, max, last);
	}
	return false;
}

/* One packet of a frame into the store. 1: there are more, 0: it was the last, or an error. */
static int push_packet(struct video *v, struct packetizer *p, uint32_t timestamp, bool first)
{
	size_t max = VIDEO_PACKET_MAX - (v->config.rtx ? RTX_OSN_LEN : 0), header_len, n_ext;
	uint8_t *mem = store_reserve(v->store, VIDEO_PACKET_MAX);
	struct rtp_packet header = { .payload_type = v->config.payload_type,
				     .seq = store_end_seq(v->store),
				     .timestamp = timestamp,
				     .ssrc = v->config.ssrc };
	struct rtp_ext ext[EXTS_MAX];
	struct store_packet *packet;
	struct writer w;
	bool last = false;

	if (!mem)
		return FL_EQUOTA;
	w = writer_of(mem, max);
	n_ext = list_ext(v, first, ext);
	rtp_write_header(&w, &header, ext, n_ext);
	header_len = writer_len(&w);
	if (!packetizer_next(p, &w, max - header_len, &last))
		return FL_EMALFORMED;
	if (last) /* the marker, known only now */
		writer_patch_u16(
			&w, 0, (uint16_t)((n_ext ? 0x9000 : 0x8000) | 0x80 | header.payload_type));
	assert(!writer_failed(&w));
	packet = store_push(v->store, writer_len(&w));
	packet->header_len = (uint16_t)header_len;
	packet->first = first;
	packet->last = last;
	return !last;
}

/* Frames of which nothing was sent are worth nothing once a keyframe stands behind them. */
static void drop_waiting_frames(struct video *v)
{
	uint64_t at = store_next(v->store), end = store_end(v->store);

	while (at < end && !store_at(v->store, at)->first)
		at++;
	for (uint64_t i = at; i < end; i++)
		v->stats.frames_dropped += store_at(v->store, i)->first;
	store_truncate(v->store, at);
}

static int push_frame(struct video *v, struct span frame, bool keyframe, usec_t capture_us)
{
	uint64_t begin = store_end(v->store);
	uint32_t timestamp = timestamp_of(v, capture_us);
	struct packetizer p;
	bool first = true;
	int err;

	if (!packetizer_start(&p, v, frame))
		return FL_EMALFORMED;
	do {
		err = push_packet(v, &p, timestamp, first);
		first = false;
	} while (err > 0);
	if (err < 0) {
		store_truncate(v->store, begin);
		return err;
	}
	v->picture_id = (v->picture_id + 1) & 0x7fff;
	if (keyframe)
		store_at(v->store, begin)->keyframe = true;
	return 0;
}

/* The decoder would miss this frame: nothing but a keyframe helps. */
static int refuse_frame(struct video *v, usec_t now)
{
	v->stats.frames_dropped++;
	v->need_keyframe = true;
	video_ask_keyframe(v, now);
	return -EAGAIN;
}

int video_send_frame(struct video *v, usec_t now, struct span frame, bool keyframe,
		     usec_t capture_us)
{
	int err;

	v->now = now;
	if (v->closed)
		return FL_ESTATE;
	if (frame.len > VIDEO_FRAME_MAX)
		return -EMSGSIZE;
	if (keyframe)
		drop_waiting_frames(v);
	else if (v->need_keyframe || store_waiting_bytes(v->store) > queue_limit(v))
		return refuse_frame(v, now);
	err = push_frame(v, frame, keyframe, capture_us);
	if (err == FL_EQUOTA)
		return refuse_frame(v, now);
	if (err < 0)
		return err;
	v->stats.frames++;
	if (keyframe)
		v->need_keyframe = v->want_keyframe = false;
	return 0;
}

void video_ask_keyframe(struct video *v, usec_t now)
{
	v->want_keyframe = true;
}

/* Asked at most every 300 ms, and not while the queue is too full to take it. */
static usec_t ask_deadline(const struct video *v)
{
	if (!v->want_keyframe || v->closed)
		return USEC_NEVER;
	return v->asked_once ? v->asked_at + ASK_INTERVAL_US : 0;
}

static bool can_ask(const struct video *v)
{
	return v->now >= ask_deadline(v) && store_waiting_bytes(v->store) <= queue_limit(v) / 2;
}

static bool rate_event(struct video *v, struct video_event *event)
{
	double rate = bwe_rate(v->bwe) * MEDIA_SHARE, step;

	/* what is lost is sent again out of the same rate */
	rate *= 1 - FL_MIN(bwe_loss_permille(v->bwe), 500u) / 1000.0;
	step = rate > v->told_bps ? rate - v->told_bps : v->told_bps - rate;
	if (v->told_bps && step < RATE_STEP * v->told_bps)
		return false;
	v->told_bps = (uint32_t)rate;
	*event = (struct video_event){ .type = VIDEO_EVENT_RATE, .rate_bps = v->told_bps };
	return true;
}

bool video_next_event(struct video *v, struct video_event *event)
{
	if (v->want_keyframe && can_ask(v)) {
		v->want_keyframe = false;
		v->asked_once = true;
		v->asked_at = v->now;
		*event = (struct video_event){ .type = VIDEO_EVENT_KEYFRAME };
		return true;
	}
	return !v->closed && rate_event(v, event);
}

/* The time a packet takes at the pace, and when the line is free again. */
static void charge(struct video *v, size_t len, double bps)
{
	usec_t from = FL_MAX(v->free_at, usec_sub(v->now, BURST_US));

	v->free_at = from + (usec_t)((double)len * 8e6 / bps);
}

/* Fills in what is known only now: send time and transport-wide number. */
static void stamp(struct video *v, uint8_t *data, size_t len, uint32_t train, uint16_t *transport)
{
	const struct video_extensions *e = &v->config.ext;
	struct writer w = writer_of(data, len);
	size_t at = EXT_AT;

	writer_claim(&w, len);
	if (e->twcc) {
		*transport = bwe_sent(v->bwe, v->now, len, train);
		writer_patch_u16(&w, at + 1, *transport);
		at += 1 + EXT_TWCC_LEN;
	}
	if (e->abs_send_time) { /* seconds in 6.18 bits, behind the element's own byte */
		uint32_t time = (uint32_t)((v->now << 18) / USEC_PER_SEC) & 0xffffff;
		uint32_t head = (uint32_t)(e->abs_send_time << 4 | (EXT_TIME_LEN - 1));

		writer_patch_u32(&w, at, head << 24 | time);
	}
}

static void give(struct video *v, size_t len, bool rtcp, struct video_output *out)
{
	*out = (struct video_output){
		.data = v->scratch, .len = len, .cap = sizeof(v->scratch), .rtcp = rtcp
	};
}

/* How many packets the frame at the head of the queue has, up to enough for a train. */
static bool begins_train(struct video *v)
{
	uint64_t at = store_next(v->store);

	for (size_t n = 1; n < TRAIN_MIN; n++, at++) {
		const struct store_packet *p = store_at(v->store, at);

		if (!p || p->last)
			return false;
	}
	return true;
}

static void send_new(struct video *v, struct video_output *out)
{
	struct store_packet *p = store_at(v->store, store_next(v->store));

	if (p->first) {
		v->in_train = begins_train(v);
		v->trains += v->in_train;
	}
	stamp(v, p->data, p->len, v->in_train ? v->trains : 0, &p->transport_seq);
	store_send(v->store, v->now);
	memcpy(v->scratch, p->data, p->len);
	charge(v, p->len, pace_bps(v));
	if (p->keyframe)
		v->keyframe_sent_at = v->now;
	if (v->report_at == USEC_NEVER)
		v->report_at = v->now;
	v->sent_packets++;
	v->sent_bytes += (uint32_t)(p->len - p->header_len);
	v->stats.packets++;
	v->stats.bytes += p->len;
	v->last_sent_us = v->now;
	v->last_seq = p->seq;
	v->tail_tries = 0;
	v->last_arrived = false;
	give(v, p->len, false, out);
}

/* RFC 4588 §4: the original sequence number, then the original payload. */
static size_t write_rtx(struct video *v, struct store_packet *p, uint32_t train)
{
	struct writer w = writer_of(v->scratch, VIDEO_PACKET_MAX);
	struct reader r = reader_of(span_of(p->data, p->len));
	struct rtp_ext ext[EXTS_MAX];
	struct rtp_packet header;

	if (rtp_parse(span_of(p->data, p->len), &header) < 0)
		return 0;
	header.payload_type = v->config.rtx_payload_type;
	header.ssrc = v->config.rtx_ssrc;
	header.seq = v->rtx_seq++;
	rtp_write_header(&w, &header, ext, list_ext(v, false, ext));
	writer_u16(&w, p->seq);
	reader_skip(&r, p->header_len);
	writer_span_put(&w, reader_rest(&r));
	assert(!writer_failed(&w));
	stamp(v, v->scratch, writer_len(&w), train, &p->transport_seq);
	return writer_len(&w);
}

/*
 * Once more: as RTX, or the very same bytes. The same bytes, because a second packet under one
 * sequence number that differs in as much as its header extension would give away AES-GCM's
 * authentication key.
 */
static bool send_again(struct video *v, struct store_packet *p, uint32_t train, double bps,
		       struct video_output *out)
{
	size_t len = p->len;

	if (v->config.rtx)
		len = write_rtx(v, p, train);
	else
		memcpy(v->scratch, p->data, p->len);
	if (len == 0)
		return false;
	charge(v, len, bps);
	give(v, len, false, out);
	return true;
}

static bool send_resend(struct video *v, struct video_output *out)
{
	while (v->n_resend) {
		uint16_t seq = v->resend[v->resend_first];
		struct store_packet *p = store_find(v->store, seq);

		v->resend_first = (v->resend_first + 1) % VIDEO_RESEND_MAX;
		v->n_resend--;
		if (p && send_again(v, p, 0, pace_bps(v), out)) {
			v->stats.retransmits++;
			return true;
		}
	}
	return false;
}

/* When the last packet should be sent again, in case it or others before it were lost: a receiver
 * notices a loss only by what comes after. */
static usec_t tail_deadline(const struct video *v)
{
	usec_t wait = FL_MAX((usec_t)TAIL_US, 2 * video_rtt(v));

	if (v->last_sent_us == 0 || v->last_arrived || v->tail_tries == TAIL_TRIES ||
	    store_waiting_bytes(v->store))
		return USEC_NEVER;
	return v->last_sent_us + (wait << v->tail_tries);
}

static bool send_tail(struct video *v, struct video_output *out)
{
	struct store_packet *p = store_find(v->store, v->last_seq);

	if (v->now < tail_deadline(v))
		return false;
	v->tail_tries++;
	if (p && v->config.ext.twcc && bwe_is_acked(v->bwe, p->transport_seq))
		v->last_arrived = true;
	if (!p || v->last_arrived || !send_again(v, p, 0, pace_bps(v), out))
		return false;
	v->stats.probes++;
	return true;
}

/* The largest of the latest packets makes the best padding. */
static struct store_packet *pick_padding(struct video *v)
{
	struct store_packet *best = NULL, *p;
	uint64_t next = store_next(v->store);

	for (uint64_t i = 1; i <= PROBE_BACK && i <= next && (p = store_at(v->store, next - i));
	     i++)
		if (!best || p->len > best->len)
			best = p;
	return best && best->len >= PROBE_LEN_MIN ? best : NULL;
}

static bool send_probe(struct video *v, struct video_output *out)
{
	struct store_packet *p;

	if (v->probe_left == 0) {
		if (!v->config.rtx || !v->config.ext.twcc || v->last_sent_us == 0 ||
		    v->now - v->last_sent_us > PROBE_IDLE_US || !pick_padding(v))
			return false;
		v->probe_bps = bwe_take_probe(v->bwe, v->now);
		if (v->probe_bps == 0)
			return false;
		v->probe_left = PROBE_PACKETS;
		v->trains++;
	}
	p = pick_padding(v);
	if (!p) {
		v->probe_left = 0;
		return false;
	}
	v->probe_left--;
	v->stats.probes++;
	return send_again(v, p, v->trains, v->probe_bps, out);
}

bool video_next_output(struct video *v, struct video_output *out)
{
	if (v->bye || v->now >= v->report_at) {
		struct writer w = writer_of(v->scratch, VIDEO_PACKET_MAX);

		video_write_report(v, &w);
		give(v, writer_len(&w), true, out);
		return true;
	}
	if (v->closed || v->free_at > v->now)
		return false;
	if (send_resend(v, out))
		return true;
	if (store_waiting_bytes(v->store)) {
		send_new(v, out);
		return true;
	}
	return send_tail(v, out) || send_probe(v, out);
}

void video_timeout(struct video *v, usec_t now)
{
	v->now = now;
	bwe_timeout(v->bwe, now);
}

usec_t video_deadline(const struct video *v)
{
	usec_t at = v->bye ? 0 : v->report_at;

	if (v->closed)
		return v->bye ? 0 : USEC_NEVER;
	if (v->n_resend || v->probe_left || store_waiting_bytes(v->store))
		at = usec_min(at, v->free_at + BATCH_US);
	at = usec_min(at, FL_MAX(tail_deadline(v), v->free_at));
	/* a wish that waits for the queue comes true while the pacer empties it */
	if (v->want_keyframe && store_waiting_bytes(v->store) <= queue_limit(v) / 2)
		at = usec_min(at, ask_deadline(v));
	return usec_min(at, bwe_deadline(v->bwe));
}

void video_close(struct video *v, usec_t now)
{
	if (v->closed)
		return;
	v->now = now;
	v->closed = true;
	v->bye = v->sent_packets > 0;
	v->report_at = USEC_NEVER;
	v->n_resend = 0;
	store_truncate(v->store, store_next(v->store));
}

void video_get_stats(const struct video *v, struct video_stats *out)
{
	*out = v->stats;
	out->rate_bps = bwe_rate(v->bwe);
	out->acked_bps = bwe_acked(v->bwe);
	out->loss_permille = bwe_loss_permille(v->bwe);
	out->rtt_us = video_rtt(v);
	out->queued_bytes = store_waiting_bytes(v->store);
}
