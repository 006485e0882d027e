/*
 * One outgoing video stream: encoded frames in, plain RTP and RTCP packets out, at a rate the path
 * carries.
 *
 * It packetizes (RFC 6184, RFC 7741), paces, keeps what it sent for retransmission (NACK of RFC
 * 4585; as RFC 4588 when negotiated, else the same packet once more), writes sender reports
 * (RFC 3550 §6.4), numbers packets for transport-wide feedback
 * (draft-holmer-rmcat-transport-wide-cc-extensions-01) and estimates the bandwidth from it, or from
 * REMB and receiver reports where there is none.
 *
 * It is a core: no socket, no clock. After every call that takes `now` the driver takes outputs and
 * events until there are none, then asks for the deadline and calls video_timeout() then.
 * Encryption is left to srtp.h, negotiation to sdp/, encoding to the caller.
 *
 * Ownership: frames are copied. The packet of video_next_output() lies in memory of the video
 * object and may be changed in place (srtp_session_protect()) until the next call on it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/rng.h"
#include "base/span.h"
#include "base/usec.h"
#include "base/util.h"

struct video;

/* The longest RTP packet that leaves here, before SRTP's trailer: with that, UDP and IPv6 it stays
 * under 1280 bytes, the least MTU of IPv6, and leaves a relay its 4 bytes of ChannelData header. */
#define VIDEO_PACKET_MAX 1200
#define VIDEO_FRAME_MAX (1024 * 1024)	 /* bytes of one encoded frame; what is longer is refused */
#define VIDEO_QUEUE_MAX (3 * 512 * 1024) /* bytes waiting for the pacer */
#define VIDEO_MID_MAX 16
#define VIDEO_CNAME_MAX 64
#define VIDEO_RATE_MIN 100000 /* bit/s; the estimate never goes below */
#define VIDEO_RATE_START 2000000
#define VIDEO_RATE_MAX 8000000

enum video_codec {
	VIDEO_H264, /* Annex B, packetization-mode=1 */
	VIDEO_VP8,
};

/* Header extension ids as negotiated (RFC 8285 one-byte form), 1…14; 0: not negotiated. */
struct video_extensions {
	uint8_t twcc; /* http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01
		       */
	uint8_t abs_send_time; /* http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time */
	uint8_t mid;	       /* urn:ietf:params:rtp-hdrext:sdes:mid (RFC 8843) */
	uint8_t playout_delay; /* http://www.webrtc.org/experiments/rtp-hdrext/playout-delay: asks
				  the receiver to show each frame at once */
};

struct video_config {
	enum video_codec codec;
	uint8_t payload_type; /* 0…127 */
	uint32_t ssrc;	      /* as in the SDP's a=ssrc; 0: a random one, see video_ssrc() */
	/* RFC 4588; both from the SDP (apt=payload_type, a=ssrc-group:FID). rtx false: retransmit
	 * on the stream itself. */
	bool rtx;
	uint8_t rtx_payload_type;
	uint32_t rtx_ssrc; /* 0: a random one, see video_rtx_ssrc() */
	struct video_extensions ext;
	const char *mid;   /* the media section's a=mid, up to VIDEO_MID_MAX bytes; NULL: none */
	const char *cname; /* RFC 3550 §6.5.1, up to VIDEO_CNAME_MAX bytes; NULL: a random one */
	uint32_t start_bps, max_bps; /* 0: VIDEO_RATE_START, VIDEO_RATE_MAX */
};

/* 0 and *out, -EINVAL (a payload type, id or text out of its range) or -ENOMEM. The rng is borrowed
 * for the object's life. */
int video_create(const struct video_config *config, struct rng *rng,
		 struct video **out) FL_WARN_UNUSED;
void video_destroy(struct video *v); /* NULL is fine */

uint32_t video_ssrc(const struct video *v);
uint32_t video_rtx_ssrc(const struct video *v); /* 0 when RTX is not in use */

/*
 * The route is new or changed. local: straight across one network; then the pacer may be faster and
 * the start rate is what such networks always carry. rtt_us: of the connectivity checks, 0:
 * unknown. The estimate starts afresh. Call it once before the first frame and at each change of
 * route.
 */
void video_set_path(struct video *v, usec_t now, bool local, usec_t rtt_us);
/* A lower maximum than the configured one, at least VIDEO_RATE_MIN; 0: that one again. */
void video_set_max(struct video *v, usec_t now, uint32_t max_bps);

/*
 * Queues one encoded frame; what the pacer lets go at once is ready for video_next_output().
 * capture_us: when the picture was taken, on the clock of now.
 * 0; -EAGAIN: dropped, because the queue is over its limit or the stream waits for a keyframe (an
 * event asks for it once there is room); -EMSGSIZE: longer than VIDEO_FRAME_MAX; FL_EMALFORMED: no
 * NAL unit in it.
 */
int video_send_frame(struct video *v, usec_t now, struct span frame, bool keyframe,
		     usec_t capture_us) FL_WARN_UNUSED;

/* One decrypted compound RTCP packet. What is malformed or not about this stream is counted, not
 * reported. */
void video_input_rtcp(struct video *v, usec_t now, struct span packet);

/* Does what is due: paces, reports, times out. Harmless when nothing is due. */
void video_timeout(struct video *v, usec_t now);

/* When video_timeout() is next needed, or USEC_NEVER. */
usec_t video_deadline(const struct video *v);

/* Says goodbye (RTCP BYE, RFC 3550 §6.6) once; queued packets are dropped, no frame is taken after.
 */
void video_close(struct video *v, usec_t now);

struct video_output {
	uint8_t *data; /* 8-byte aligned; [len, cap) is room for SRTP's trailer, at least
			  SRTP_TRAILER_MAX */
	size_t len, cap;
	bool rtcp;
};

/* The next packet to protect and send, or false. */
bool video_next_output(struct video *v, struct video_output *out);

enum video_event_type {
	VIDEO_EVENT_KEYFRAME, /* the next frame must be a keyframe; at most one per 300 ms */
	VIDEO_EVENT_RATE,     /* the encoder should aim at rate_bps */
};

struct video_event {
	enum video_event_type type;
	uint32_t rate_bps; /* bit/s of encoded frames */
};

bool video_next_event(struct video *v, struct video_event *event);

struct video_stats {
	uint64_t frames, frames_dropped; /* taken; refused or dropped from the queue */
	uint64_t packets, bytes;	 /* first transmissions, bytes with RTP header */
	uint64_t retransmits, probes;	 /* packets sent again on NACK; sent to measure or to reveal
					    a loss at the end */
	uint64_t nacked, nack_missed;	 /* packets asked for; of these no longer kept */
	uint64_t keyframe_requests;	 /* PLI and FIR that arrived */
	uint64_t rtcp_malformed;
	uint32_t rate_bps;	/* the estimate, RTP headers included */
	uint32_t acked_bps;	/* measured at the receiver by transport-wide feedback; 0:
				   unknown */
	uint32_t loss_permille; /* of the latest report */
	usec_t rtt_us;		/* 0: unknown */
	size_t queued_bytes;
};

void video_get_stats(const struct video *v, struct video_stats *out);
