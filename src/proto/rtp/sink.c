#include "proto/rtp/sink.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "proto/rtp/h264.h"
#include "proto/rtp/rtcp.h"
#include "proto/rtp/rtp.h"
#include "proto/rtp/twcc.h"
#include "proto/rtp/vp8.h"

#define ARRIVALS_MAX 512
#define FEEDBACK_US 50000   /* between transport-wide feedbacks */
#define REPORT_US 1000000   /* between receiver reports */
#define NACK_AGAIN_US 50000 /* doubled with each try, up to NACK_AGAIN_MAX_US */
#define NACK_AGAIN_MAX_US 100000
#define NACK_TRIES 8
#define NACK_MAX 128 /* sequence numbers in one NACK */
#define PLI_AGAIN_US 300000
#define OUT_MAX 1200

struct slot {
	bool full, marker;
	uint16_t len, seq;
	uint32_t timestamp;
	unsigned nacks;
	usec_t nacked_at, missing_since; /* while empty; missing_since 0: not known to be missing */
	uint8_t data[SINK_PACKET_LEN_MAX];
};

struct sink {
	struct sink_config config;
	struct slot *slots; /* SINK_PACKETS_MAX, by sequence number */
	bool started;
	uint16_t next;	  /* the next to take out */
	uint16_t highest; /* received or known to be missing */
	uint32_t cycles;  /* of the sequence number, for reports */

	bool seeking;  /* for a keyframe */
	bool at_start; /* the packet before was the last of its frame */
	struct buf frame;
	struct h264_depacketizer h264;
	bool frame_key, frame_bad, frame_given;

	bool nack_due, pli_due, pli_sent;
	usec_t pli_at;

	struct twcc_arrival arrivals[ARRIVALS_MAX];
	size_t n_arrivals;
	bool has_base;
	uint16_t base;
	uint8_t feedback_seq;
	usec_t feedback_at, report_at;

	uint32_t received, received_before, expected_before, lost, first_ext;
	uint32_t lsr;
	usec_t lsr_at, now;
	struct sink_stats stats;
	uint8_t out[OUT_MAX];
};

struct sink *sink_create(const struct sink_config *config)
{
	struct sink *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->slots = calloc(SINK_PACKETS_MAX, sizeof(*s->slots));
	if (!s->slots) {
		free(s);
		return NULL;
	}
	s->config = *config;
	s->frame = BUF_INIT(2 * VIDEO_FRAME_MAX);
	s->seeking = true;
	s->feedback_at = s->report_at = USEC_NEVER;
	return s;
}

void sink_destroy(struct sink *s)
{
	if (!s)
		return;
	buf_finish(&s->frame);
	free(s->slots);
	free(s);
}

static struct slot *slot_of(struct sink *s, uint16_t seq)
{
	return &s->slots[seq % SINK_PACKETS_MAX];
}

static void note_arrival(struct sink *s, usec_t now, uint16_t seq)
{
	size_t at = s->n_arrivals;

	if (!s->has_base) {
		s->has_base = true;
		s->base = seq;
		s->feedback_at = now;
	}
	if (rtp_seq_diff(seq, s->base) < 0 || s->n_arrivals == ARRIVALS_MAX)
		return;
	while (at > 0 && rtp_seq_diff(s->arrivals[at - 1].seq, seq) > 0)
		at--;
	if (at > 0 && s->arrivals[at - 1].seq == seq)
		return;
	memmove(&s->arrivals[at + 1], &s->arrivals[at],
		(s->n_arrivals - at) * sizeof(*s->arrivals));
	s->arrivals[at] = (struct twcc_arrival){ seq, now };
	s->n_arrivals++;
}

/* Gives up what is missing before seq, or everything when the jump is too wide to hold. */
static void skip_to(struct sink *s, uint16_t seq)
{
	while (s->next != seq) {
		struct slot *slot = slot_of(s, s->next);

		slot->full = false;
		slot->missing_since = 0;
		s->next++;
	}
	s->seeking = true;
	s->at_start = false;
	s->pli_due = true;
	s->frame_bad = false;
	buf_clear(&s->frame);
	h264_depacketizer_reset(&s->h264);
}

static void advance_highest(struct sink *s, usec_t now, uint16_t seq)
{
	while (s->highest != seq) {
		struct slot *slot;

		s->highest++;
		if (s->highest == 0)
			s->cycles += 0x10000;
		slot = slot_of(s, s->highest);
		slot->full = false;
		slot->nacks = 0;
		slot->seq = s->highest;
		slot->missing_since = s->highest == seq ? 0 : now;
		s->nack_due |= s->highest != seq;
	}
}

static void start(struct sink *s, usec_t now, uint16_t seq)
{
	s->started = true;
	s->next = seq;
	s->highest = (uint16_t)(seq - 1);
	s->first_ext = seq;
	s->cycles = seq == 0 ? (uint32_t)-0x10000 : 0; /* advance_highest() counts the step to 0 */
	s->at_start = true;
	s->report_at = now;
}

static void take_packet(struct sink *s, usec_t now, uint16_t seq, const struct rtp_packet *p,
			struct span payload)
{
	struct slot *slot;

	if (!s->started)
		start(s, now, seq);
	if (rtp_seq_diff(seq, s->next) < 0) {
		s->stats.duplicates++;
		return;
	}
	if (rtp_seq_diff(seq, s->next) >= SINK_PACKETS_MAX) {
		if (rtp_seq_diff(seq, s->highest) > 0)
			advance_highest(s, now, seq);
		skip_to(s, seq);
	}
	slot = slot_of(s, seq);
	if (rtp_seq_diff(seq, s->highest) > 0)
		advance_highest(s, now, seq);
	else if (slot->full) {
		s->stats.duplicates++;
		return;
	} else {
		s->stats.repaired++;
	}
	slot->full = true;
	slot->marker = p->marker;
	slot->seq = seq;
	slot->timestamp = p->timestamp;
	slot->len = (uint16_t)payload.len;
	if (payload.len)
		memcpy(slot->data, payload.ptr, payload.len);
}

void sink_input_rtp(struct sink *s, usec_t now, struct span packet)
{
	struct rtp_packet p;
	struct span value;
	struct reader r;
	uint16_t seq;

	s->now = now;
	if (rtp_parse(packet, &p) < 0 || p.payload.len > SINK_PACKET_LEN_MAX) {
		s->stats.malformed++;
		return;
	}
	s->stats.packets++;
	s->stats.bytes += packet.len;
	if (s->config.ext.twcc && rtp_ext_find(&p, s->config.ext.twcc, &value) && value.len == 2) {
		r = reader_of(value);
		note_arrival(s, now, reader_u16(&r));
	}
	if (p.ssrc == s->config.ssrc && p.payload_type == s->config.payload_type) {
		s->received++; /* RFC 3550 §6.4.1: the stream's own, repeated ones too */
		take_packet(s, now, p.seq, &p, p.payload);
	} else if (s->config.rtx && p.ssrc == s->config.rtx_ssrc &&
		   p.payload_type == s->config.rtx_payload_type && s->started) {
		r = reader_of(p.payload);
		seq = reader_u16(&r);
		if (!reader_failed(&r))
			take_packet(s, now, seq, &p, reader_rest(&r));
	}
}

void sink_input_rtcp(struct sink *s, usec_t now, struct span packet)
{
	struct reader r = reader_of(packet);
	struct rtcp_report report;
	struct rtcp_packet p;

	s->now = now;
	while (rtcp_next(&r, &p))
		if (p.type == RTCP_SR && rtcp_parse_report(&p, &report) == 0 &&
		    report.ssrc == s->config.ssrc) {
			s->lsr = (uint32_t)(report.ntp >> 16);
			s->lsr_at = now;
		}
	if (reader_failed(&r))
		s->stats.malformed++;
}

/* Does a keyframe begin with this payload? For H.264 also its parameter sets. */
static bool begins_keyframe(const struct sink *s, struct span payload)
{
	struct reader r = reader_of(payload);
	struct vp8_descriptor d;
	uint8_t type;

	if (s->config.codec == VIDEO_VP8)
		return vp8_parse_descriptor(&r, &d) == 0 && d.start && d.partition == 0 &&
		       vp8_is_keyframe(reader_rest(&r));
	type = reader_u8(&r) & 0x1f;
	if (type == H264_NAL_STAP_A) {
		reader_skip(&r, 2);
		type = reader_u8(&r) & 0x1f;
	} else if (type == H264_NAL_FU_A) {
		type = reader_u8(&r) & 0x1f;
	}
	return type == H264_NAL_SPS || type == H264_NAL_IDR;
}

static int depacketize(struct sink *s, struct span payload)
{
	struct reader r = reader_of(payload);
	struct vp8_descriptor d;

	if (s->config.codec == VIDEO_H264)
		return h264_depacketize(&s->h264, payload, &s->frame);
	if (vp8_parse_descriptor(&r, &d) < 0)
		return FL_EMALFORMED;
	return buf_append_span(&s->frame, reader_rest(&r));
}

/* Takes the slot at next out; true when it ended a frame that can be shown. */
static bool take_slot(struct sink *s, struct slot *slot)
{
	struct span payload = span_of(slot->data, slot->len);
	/* a lost end of the frame before must not hide the start of a keyframe */
	bool first = s->at_start || (s->seeking && begins_keyframe(s, payload)), good;

	slot->full = false;
	s->next++;
	s->at_start = slot->marker;
	if (payload.len == 0) /* padding */
		return false;
	if (first) {
		s->frame_key = begins_keyframe(s, payload);
		s->frame_bad = false;
		if (s->frame_key)
			s->seeking = false;
	}
	if (s->seeking)
		return false;
	if (depacketize(s, payload) < 0) {
		s->stats.malformed++;
		s->frame_bad = true;
	}
	if (!slot->marker)
		return false;
	good = !s->frame_bad;
	if (!good) {
		s->seeking = s->pli_due = true;
		buf_clear(&s->frame);
		h264_depacketizer_reset(&s->h264);
	}
	return good;
}

bool sink_next_frame(struct sink *s, struct sink_frame *out)
{
	if (s->frame_given) {
		buf_clear(&s->frame);
		s->frame_given = false;
	}
	while (s->started && rtp_seq_diff(s->highest, s->next) >= 0) {
		struct slot *slot = slot_of(s, s->next);
		uint32_t timestamp = slot->timestamp;

		if (!slot->full) {
			/* packets behind the missing one are useless when it does not come */
			if (s->now - slot->missing_since < SINK_WAIT_US)
				return false;
			skip_to(s, (uint16_t)(s->next + 1));
			continue;
		}
		if (!take_slot(s, slot))
			continue;
		s->stats.frames++;
		s->frame_given = true;
		*out = (struct sink_frame){ buf_span(&s->frame), timestamp, s->frame_key };
		return true;
	}
	return false;
}

/* When a missing packet is next asked for. */
static usec_t nack_deadline(const struct slot *slot)
{
	usec_t wait;

	if (slot->nacks == 0)
		return slot->missing_since;
	if (slot->nacks == NACK_TRIES)
		return USEC_NEVER;
	wait = usec_min((usec_t)NACK_AGAIN_US << (slot->nacks - 1), NACK_AGAIN_MAX_US);
	return slot->nacked_at + wait;
}

/* Sequence numbers to ask for now. */
static size_t list_missing(struct sink *s, uint16_t *seqs)
{
	size_t n = 0;

	if (!s->started || !s->config.nack)
		return 0;
	for (uint16_t seq = s->next; rtp_seq_diff(s->highest, seq) > 0 && n < NACK_MAX; seq++) {
		struct slot *slot = slot_of(s, seq);

		if (slot->full || s->now < nack_deadline(slot))
			continue;
		slot->nacks++;
		slot->nacked_at = s->now;
		seqs[n++] = seq;
	}
	return n;
}

static uint8_t fraction_lost(struct sink *s, uint32_t expected)
{
	uint32_t want = expected - s->expected_before, got = s->received - s->received_before;

	s->expected_before = expected;
	s->received_before = s->received;
	return want == 0 || got >= want ? 0 : (uint8_t)((want - got) * 256 / want);
}

static void write_report(struct sink *s, struct writer *w, bool with_block)
{
	struct rtcp_report report = { .ssrc = s->config.local_ssrc, .n_blocks = with_block };
	uint32_t highest = s->cycles + s->highest, expected = highest - s->first_ext + 1;

	if (with_block)
		report.blocks[0] = (struct rtcp_block){
			.ssrc = s->config.ssrc,
			.fraction_lost = fraction_lost(s, expected),
			.lost = (int32_t)(expected - s->received),
			.highest_seq = highest,
			.lsr = s->lsr,
			.dlsr = s->lsr ? (uint32_t)((s->now - s->lsr_at) * 65536 / USEC_PER_SEC)
				       : 0,
		};
	rtcp_write_report(w, &report);
}

static void write_twcc(struct sink *s, struct writer *w)
{
	size_t n = twcc_write(w, s->config.local_ssrc, s->config.ssrc, s->feedback_seq++, s->base,
			      s->arrivals, s->n_arrivals);

	s->base = (uint16_t)(s->arrivals[n - 1].seq + 1);
	s->n_arrivals -= n;
	memmove(s->arrivals, s->arrivals + n, s->n_arrivals * sizeof(*s->arrivals));
	s->feedback_at = s->now + FEEDBACK_US;
}

bool sink_next_output(struct sink *s, struct span *out)
{
	struct writer w = writer_of(s->out, sizeof(s->out));
	uint16_t seqs[NACK_MAX];
	size_t n = list_missing(s, seqs);
	bool report = s->now >= s->report_at;
	bool pli = s->pli_due && (!s->pli_sent || s->now - s->pli_at >= PLI_AGAIN_US);
	bool feedback = s->n_arrivals && s->now >= s->feedback_at;

	s->nack_due = false;
	if (!report && !pli && !feedback && n == 0)
		return false;
	write_report(s, &w, report);
	if (report)
		s->report_at = s->now + REPORT_US;
	if (n)
		rtcp_write_nack(&w, s->config.local_ssrc, s->config.ssrc, seqs, n);
	s->stats.nacks += n;
	if (pli) {
		rtcp_write_pli(&w, s->config.local_ssrc, s->config.ssrc);
		s->pli_due = false;
		s->pli_sent = true;
		s->pli_at = s->now;
		s->stats.plis++;
	}
	if (feedback)
		write_twcc(s, &w);
	*out = writer_span(&w);
	return !writer_failed(&w);
}

void sink_timeout(struct sink *s, usec_t now)
{
	s->now = now;
}

usec_t sink_deadline(const struct sink *s)
{
	usec_t at = s->report_at;

	if (s->nack_due)
		return 0;
	if (s->n_arrivals)
		at = usec_min(at, s->feedback_at);
	if (s->pli_due)
		at = usec_min(at, s->pli_sent ? s->pli_at + PLI_AGAIN_US : 0);
	if (!s->started)
		return at;
	for (uint16_t seq = s->next; rtp_seq_diff(s->highest, seq) > 0; seq++) {
		const struct slot *slot = &s->slots[seq % SINK_PACKETS_MAX];

		if (slot->full)
			continue;
		if (s->config.nack)
			at = usec_min(at, nack_deadline(slot));
		at = usec_min(at, slot->missing_since + SINK_WAIT_US);
	}
	return at;
}

void sink_get_stats(const struct sink *s, struct sink_stats *out)
{
	*out = s->stats;
}
