/* The inside of struct video, shared by video.c (frames, pacer, output) and video_rtcp.c (reports
 * and feedback). Nobody else includes it. */
#pragma once

#include "proto/rtp/bwe.h"
#include "proto/rtp/rtcp.h"
#include "proto/rtp/srtp.h"
#include "proto/rtp/store.h"
#include "proto/rtp/video.h"

#define VIDEO_RESEND_MAX 512 /* retransmissions that wait for the pacer; a power of two */
#define VIDEO_CLOCK_HZ 90000

struct video {
	struct video_config config;
	uint32_t start_bps, max_bps;
	/* as configured; config has what holds now */ /* mid and cname point to the copies
							  below */
	char mid[VIDEO_MID_MAX + 1], cname[VIDEO_CNAME_MAX + 1];
	struct rng *rng;
	struct bwe *bwe;
	struct store *store;
	usec_t now; /* of the latest call that told it */
	bool closed;

	/* RTP */
	uint32_t timestamp_base;
	uint16_t rtx_seq, picture_id;
	uint32_t trains; /* numbers given to trains of packets, for the estimate */
	bool in_train;

	/* pacer */
	bool local;
	usec_t path_rtt_us;
	usec_t free_at; /* the line has sent what we gave it */
	uint16_t resend[VIDEO_RESEND_MAX];
	size_t resend_first, n_resend;
	uint32_t probe_bps;
	size_t probe_left; /* packets */

	/* the end of a burst, sent again when nothing says that it arrived */
	usec_t last_sent_us; /* media, first transmission */
	uint16_t last_seq;
	unsigned tail_tries;
	bool last_arrived;

	/* keyframes */
	bool need_keyframe; /* other frames are useless until one comes */
	bool want_keyframe; /* an event is due */
	bool asked_once;
	usec_t asked_at, keyframe_sent_at;
	bool fir_seen;
	uint8_t fir_seq;

	uint32_t told_bps; /* of the latest rate event; 0: none yet */

	/* RTCP */
	usec_t report_at; /* next sender report; USEC_NEVER before the first packet */
	bool bye;
	uint32_t sent_packets, sent_bytes; /* as the sender report counts: payload only, wraps */
	usec_t rtt_us;

	struct video_stats stats;
	uint8_t scratch[VIDEO_PACKET_MAX + SRTP_TRAILER_MAX] __attribute__((aligned(8)));
};

/* video_rtcp.c */
void video_write_report(struct video *v, struct writer *w);
void video_resend(struct video *v, usec_t now, uint16_t seq);

/* video.c */
void video_ask_keyframe(struct video *v, usec_t now);
usec_t video_rtt(const struct video *v); /* the best known; 0: unknown */
