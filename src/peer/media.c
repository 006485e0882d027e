#include <errno.h>

#include "base/ct.h"
#include "base/err.h"
#include "peer/internal.h"

#define RTCP_MAX 2048
/* How long feedback may take. Transport-wide feedback comes each 50 to 250 ms; without it there are
 * reports, once a second in browsers and half as much again at worst (RFC 3550 §6.3.1). */
#define FEEDBACK_US USEC_PER_SEC
#define REPORT_US (2500 * USEC_PER_MSEC)

/* Keys of RFC 5764 §4.2, as soon as DTLS is through. */
static int start_srtp(struct peer *p)
{
	enum srtp_protection profile = (enum srtp_protection)dtls_srtp_profile(p->dtls);
	uint8_t keying[SRTP_KEYING_MAX];
	size_t len = srtp_keying_len(profile);
	int err;

	if (!len)
		return FL_EUNSUPPORTED;
	err = dtls_export(p->dtls, "EXTRACTOR-dtls_srtp", keying, len);
	if (err == 0)
		err = srtp_session_create(profile, span_of(keying, len), p->role == DTLS_ACTIVE,
					  &p->srtp);
	ct_wipe(keying, sizeof(keying));
	return err;
}

static int create_video(struct peer *p)
{
	const struct sdp_video *c = &p->video_choice;
	char mid[VIDEO_MID_MAX + 1];
	struct video_config config = {
		.codec = c->codec == SDP_H264 ? VIDEO_H264 : VIDEO_VP8,
		.payload_type = c->format->payload_type,
		.ssrc = p->ssrc,
		.rtx = c->rtx,
		.rtx_payload_type = c->rtx_payload_type,
		.rtx_ssrc = p->rtx_ssrc,
		.ext = { .twcc = c->ext_twcc,
			 .abs_send_time = c->ext_abs_send_time,
			 .playout_delay = c->ext_playout_delay },
		.cname = p->cname,
		.max_bps = p->video_max_bps,
	};

	if (p->video_media->mid.len && p->video_media->mid.len < sizeof(mid)) {
		memcpy(mid, p->video_media->mid.ptr, p->video_media->mid.len);
		mid[p->video_media->mid.len] = 0;
		config.mid = mid;
		config.ext.mid = c->ext_mid;
	}
	return video_create(&config, p->rng, &p->video);
}

void peer_start_video(struct peer *p, usec_t now)
{
	struct fl_event ready = { .type = FL_EVENT_VIDEO_READY };

	if (!p->have_video || p->video)
		return;
	/* without it the session goes on: channels are the greater part of it */
	if (start_srtp(p) < 0 || create_video(p) < 0)
		return;
	ready.codec = p->video_choice.codec == SDP_H264 ? FL_VIDEO_H264 : FL_VIDEO_VP8;
	peer_emit(p, ready, NULL);
	peer_video_limit(p, now);
	peer_video_path(p, now);
}

void peer_video_path(struct peer *p, usec_t now)
{
	if (p->video && p->path.level >= ICE_PATH_VALID)
		video_set_path(p->video, now,
			       peer_method(p, p->path.local_type, p->path.remote_type,
					   &p->path.local, &p->path.remote) == FL_ROUTE_LOCAL,
			       p->path.rtt_us);
}

/* A tenth is left to the channels, which wait when the video takes all. */
void peer_video_limit(struct peer *p, usec_t now)
{
	uint64_t bps = (uint64_t)p->bucket.kbit * 900;

	if (p->video)
		video_set_max(p->video, now, (uint32_t)FL_MIN(bps, UINT32_MAX));
}

void peer_input_rtcp(struct peer *p, usec_t now, struct span packet)
{
	uint8_t plain[RTCP_MAX];
	int n;

	if (!p->video || !srtp_is_rtcp(packet) || packet.len > sizeof(plain)) {
		p->stats.rtp_refused++;
		return;
	}
	memcpy(plain, packet.ptr, packet.len);
	n = srtp_session_unprotect(p->srtp, true, plain, packet.len);
	if (n < 0) {
		p->stats.rtp_refused++;
		return;
	}
	p->feedback_due = 0;
	video_input_rtcp(p->video, now, span_of(plain, (size_t)n));
}

int peer_video_send(struct peer *p, usec_t now, struct span frame, bool keyframe, usec_t capture_us)
{
	if (!p->video || p->state != PEER_CONNECTED)
		return FL_ESTATE;
	return video_send_frame(p->video, now, frame, keyframe, capture_us);
}

bool peer_video_event(struct peer *p, struct fl_event *out)
{
	struct video_event ev;

	if (!p->video || !video_next_event(p->video, &ev))
		return false;
	*out = (struct fl_event){ .type = ev.type == VIDEO_EVENT_KEYFRAME ? FL_EVENT_VIDEO_KEYFRAME
									  : FL_EVENT_VIDEO_RATE,
				  .rate_bps = ev.rate_bps };
	return true;
}

static void await_feedback(struct peer *p, usec_t now)
{
	usec_t usual = p->video_choice.ext_twcc ? FEEDBACK_US : REPORT_US;

	p->feedback_due = usec_add(now, FL_MAX(usual, 3 * (usec_t)p->path.rtt_us));
}

bool peer_video_output(struct peer *p, usec_t now, struct dgram *out)
{
	struct video_output v;

	while (p->video && p->path.level >= ICE_PATH_VALID && video_next_output(p->video, &v)) {
		int n = srtp_session_protect(p->srtp, v.rtcp, v.data, v.len, v.cap);

		if (n < 0)
			continue;
		if (!v.rtcp && !p->feedback_due)
			await_feedback(p, now);
		*out = (struct dgram){ p->path.local, p->path.remote, span_of(v.data, (size_t)n),
				       p->path.via };
		return true;
	}
	return false;
}
