/* The video sender's RTCP: sender reports out, feedback in. */
#include "base/err.h"
#include "proto/rtp/rtp.h"
#include "proto/rtp/video_priv.h"

#define REPORT_US USEC_PER_SEC	/* while there is traffic */
#define REPORT_IDLE_US 5000000	/* RFC 3550 §6.2's five seconds, when there is none */
#define RESEND_AGE_US 2000000	/* older packets would come too late for any decoder */
#define RESEND_AGAIN_US 5000	/* the least time between two answers to NACKs of one packet */
#define KEYFRAME_GRACE_US 50000 /* a request that crossed the keyframe on its way */

/* 32.32 fixed seconds (RFC 3550 §4) on our own clock: §6.4.1 lets a host without a common wall
 * clock use its elapsed time. */
static uint64_t ntp_of(usec_t at)
{
	uint64_t fraction = (at % USEC_PER_SEC << 32) / USEC_PER_SEC;

	return at / USEC_PER_SEC << 32 | fraction;
}

void video_write_report(struct video *v, struct writer *w)
{
	struct rtcp_report report = { .ssrc = v->config.ssrc,
				      .is_sender = true,
				      .ntp = ntp_of(v->now),
				      .rtp_timestamp = v->timestamp_base +
						       (uint32_t)(v->now *
								  (VIDEO_CLOCK_HZ / 10000) / 100),
				      .packets = v->sent_packets,
				      .bytes = v->sent_bytes };
	usec_t interval = v->now - v->last_sent_us > REPORT_IDLE_US ? REPORT_IDLE_US : REPORT_US;

	rtcp_write_report(w, &report);
	rtcp_write_cname(w, v->config.ssrc, span_str(v->cname));
	if (v->bye) {
		rtcp_write_bye(w, v->config.ssrc);
		v->bye = false;
		return;
	}
	/* RFC 3550 §6.2: half to one and a half times the interval */
	v->report_at = v->now + interval / 2 + rng_below(v->rng, (uint32_t)interval);
}

static void take_block(struct video *v, usec_t now, const struct rtcp_block *b)
{
	uint32_t since = (uint32_t)(ntp_of(now) >> 16) - b->lsr - b->dlsr; /* 1/65536 s */

	if (b->ssrc != v->config.ssrc)
		return;
	/* half the range: a report of the future is nonsense (§6.4.1) */
	if (b->lsr && since < 0x80000000u)
		v->rtt_us = FL_MAX((usec_t)since * USEC_PER_SEC / 65536, (usec_t)1);
	if (rtp_seq_diff((uint16_t)b->highest_seq, v->last_seq) >= 0 && v->sent_packets)
		v->last_arrived = true;
	bwe_input_report(v->bwe, now, b->fraction_lost * 1000u / 256, v->rtt_us);
}

static void take_report(struct video *v, usec_t now, const struct rtcp_packet *p)
{
	struct rtcp_report report;

	if (rtcp_parse_report(p, &report) < 0) {
		v->stats.rtcp_malformed++;
		return;
	}
	for (size_t i = 0; i < report.n_blocks; i++)
		take_block(v, now, &report.blocks[i]);
}

void video_resend(struct video *v, usec_t now, uint16_t seq)
{
	struct store_packet *p = store_find(v->store, seq);
	usec_t again = FL_MAX((usec_t)RESEND_AGAIN_US, video_rtt(v) * 3 / 4);

	v->stats.nacked++;
	if (!p || now - p->sent_us > RESEND_AGE_US) {
		v->stats.nack_missed++;
		return;
	}
	if (v->n_resend == VIDEO_RESEND_MAX || (p->resent_us && now - p->resent_us < again))
		return;
	p->resent_us = now;
	v->resend[(v->resend_first + v->n_resend++) % VIDEO_RESEND_MAX] = seq;
}

static void take_nack(struct video *v, usec_t now, const struct rtcp_feedback *fb)
{
	struct rtcp_nack_walk walk = { 0 };
	uint16_t seq;

	if (fb->media_ssrc != v->config.ssrc)
		return;
	while (rtcp_nack_next(fb, &walk, &seq))
		video_resend(v, now, seq);
}

static void take_twcc(struct video *v, usec_t now, const struct rtcp_feedback *fb)
{
	struct twcc t;

	if (!v->config.ext.twcc)
		return;
	if (twcc_parse(fb, &t) < 0)
		v->stats.rtcp_malformed++;
	else
		bwe_input_twcc(v->bwe, now, &t);
}

static void take_keyframe_request(struct video *v, usec_t now)
{
	v->stats.keyframe_requests++;
	if (v->keyframe_sent_at &&
	    now - v->keyframe_sent_at < FL_MAX(video_rtt(v), (usec_t)KEYFRAME_GRACE_US))
		return;
	video_ask_keyframe(v, now);
}

/* RFC 5104 §4.3.1.2: a repeated request carries the same command number. */
static void take_fir(struct video *v, usec_t now, const struct rtcp_feedback *fb)
{
	uint8_t seq;

	if (!rtcp_fir_find(fb, v->config.ssrc, &seq) || (v->fir_seen && v->fir_seq == seq))
		return;
	v->fir_seen = true;
	v->fir_seq = seq;
	take_keyframe_request(v, now);
}

static void take_feedback(struct video *v, usec_t now, const struct rtcp_packet *p)
{
	struct rtcp_feedback fb;
	uint64_t bps;

	if (rtcp_parse_feedback(p, &fb) < 0) {
		v->stats.rtcp_malformed++;
	} else if (p->type == RTCP_RTPFB) {
		if (p->count == RTCP_FMT_NACK)
			take_nack(v, now, &fb);
		else if (p->count == RTCP_FMT_TWCC)
			take_twcc(v, now, &fb);
	} else if (p->count == RTCP_FMT_PLI && fb.media_ssrc == v->config.ssrc) {
		take_keyframe_request(v, now);
	} else if (p->count == RTCP_FMT_FIR) {
		take_fir(v, now, &fb);
	} else if (p->count == RTCP_FMT_AFB && rtcp_parse_remb(&fb, v->config.ssrc, &bps) == 0) {
		bwe_input_remb(v->bwe, now, bps);
	}
}

void video_input_rtcp(struct video *v, usec_t now, struct span packet)
{
	struct reader r = reader_of(packet);
	struct rtcp_packet p;

	v->now = now;
	while (rtcp_next(&r, &p)) {
		if (p.type == RTCP_SR || p.type == RTCP_RR)
			take_report(v, now, &p);
		else if (p.type == RTCP_RTPFB || p.type == RTCP_PSFB)
			take_feedback(v, now, &p);
	}
	if (reader_failed(&r))
		v->stats.rtcp_malformed++;
}
