/*
 * The part of SDP (RFC 8866) that WebRTC's offers and answers need (RFC 8829): BUNDLE (RFC 9143),
 * ICE (RFC 8839), DTLS (RFC 8842, 8122), data channels (RFC 8841), and one video section that we
 * send on. Lines that are not known are skipped; what breaks a limit is FL_EQUOTA or ignored as
 * said below.
 *
 * Parsing borrows: every span points into the text given, which the caller keeps. Writing needs the
 * parsed offer for an answer, because an answer mirrors its sections.
 *
 * Two attributes of our own, at session level: "fairlead:1" says that the other side is this
 * library, and "fairlead-hello:BASE64" carries an offerer's first DTLS flight (a ClientHello, which
 * holds no secret), so that a native answerer replies to it a round trip earlier. Others skip them.
 */
#pragma once

#include <stdbool.h>

#include "base/span.h"
#include "base/util.h"
#include "base/wire.h"

#define SDP_TEXT_MAX 32768    /* bytes of a description, both ways */
#define SDP_MEDIA_MAX 16      /* sections; more: FL_EQUOTA */
#define SDP_CODECS_MAX 64     /* payload types of a section; what is beyond is ignored */
#define SDP_EXTMAPS_MAX 24    /* likewise */
#define SDP_CANDIDATES_MAX 64 /* of a whole description; likewise */
#define SDP_MID_MAX 32
#define SDP_HELLO_MAX 1024 /* bytes of a first DTLS flight */

enum sdp_setup { SDP_SETUP_NONE, SDP_SETUP_ACTPASS, SDP_SETUP_ACTIVE, SDP_SETUP_PASSIVE };
enum sdp_direction { SDP_SENDRECV, SDP_SENDONLY, SDP_RECVONLY, SDP_INACTIVE };
enum sdp_kind { SDP_OTHER, SDP_APPLICATION, SDP_VIDEO };

/* ICE and DTLS parameters; at session level they hold for sections without their own. */
struct sdp_transport {
	struct span ufrag, pwd;
	struct span fingerprint; /* "sha-256 AB:…": the first sha-256 one, else the first */
	enum sdp_setup setup;
	bool lite, trickle, renomination;
};

enum sdp_feedback {
	SDP_FB_NACK = 1,
	SDP_FB_PLI = 2,
	SDP_FB_FIR = 4,
	SDP_FB_TRANSPORT_CC = 8,
	SDP_FB_REMB = 16,
};

struct sdp_codec {
	uint8_t payload_type;
	uint32_t clock_rate;
	struct span name;  /* "H264" */
	struct span fmtp;  /* parameters, may be empty */
	unsigned feedback; /* enum sdp_feedback */
};

struct sdp_extmap {
	uint8_t id; /* 1…255 */
	struct span uri;
};

struct sdp_media {
	enum sdp_kind kind;
	struct span line;     /* what follows "m=", for mirroring */
	struct span protocol; /* "UDP/TLS/RTP/SAVPF" */
	struct span formats;
	struct span mid;
	uint16_t port;
	bool bundled, bundle_only;
	enum sdp_direction direction;
	struct sdp_transport transport; /* with the session's where it says nothing itself */
	bool rtcp_mux, rtcp_rsize;
	uint16_t sctp_port;	   /* 0: none given */
	uint32_t max_message_size; /* 65536 when not given (RFC 8841 §6.1), 0: any */
	struct sdp_codec codecs[SDP_CODECS_MAX];
	size_t n_codecs;
	struct sdp_extmap extmaps[SDP_EXTMAPS_MAX];
	size_t n_extmaps;
};

struct sdp {
	bool fairlead;
	struct span hello; /* base64 */
	struct sdp_media media[SDP_MEDIA_MAX];
	size_t n_media;
	struct span candidates[SDP_CANDIDATES_MAX]; /* "candidate:…" of the transport's section */
	size_t n_candidates;
	bool end_of_candidates;
};

/* 0, FL_EMALFORMED (not SDP), FL_EQUOTA (a limit), -ENOMEM. text is borrowed by *out. */
int sdp_parse(struct span text, struct sdp **out) FL_WARN_UNUSED;
void sdp_free(struct sdp *sdp); /* NULL is fine */

/* A section that is offered and not rejected. */
bool sdp_media_usable(const struct sdp_media *m);
/* The first usable section, whose transport a bundle uses; NULL: there is none. */
const struct sdp_media *sdp_transport_media(const struct sdp *sdp);
/* The first usable section of a kind, or NULL. */
const struct sdp_media *sdp_find(const struct sdp *sdp, enum sdp_kind kind);

/* The id that a header extension has in a section, 0: not there or not in 1…14. */
uint8_t sdp_extmap_id(const struct sdp_media *m, const char *uri);

#define SDP_EXT_TWCC "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
#define SDP_EXT_ABS_SEND_TIME "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"
#define SDP_EXT_MID "urn:ietf:params:rtp-hdrext:sdes:mid"
#define SDP_EXT_PLAYOUT_DELAY "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay"

enum sdp_video_codec { SDP_H264, SDP_VP8 };

/* How a section that wants to receive video is answered. */
struct sdp_video {
	enum sdp_video_codec codec;
	const struct sdp_codec *format; /* of the offer */
	bool rtx;
	uint8_t rtx_payload_type;
	uint8_t ext_twcc, ext_abs_send_time, ext_mid, ext_playout_delay;
};

/*
 * The best of prefs that the section offers: H.264 in packetization-mode 1 and constrained baseline
 * or baseline (RFC 6184 §8.1), VP8. 0 or FL_EUNSUPPORTED.
 */
int sdp_choose_video(const struct sdp_media *m, const enum sdp_video_codec *prefs, size_t n_prefs,
		     struct sdp_video *out) FL_WARN_UNUSED;

/* What we say of ourselves. */
struct sdp_local {
	uint64_t session_id;
	unsigned version; /* counts descriptions of the session */
	const char *ufrag, *pwd, *fingerprint;
	enum sdp_setup setup;
	struct span hello; /* bytes, or empty */
	const char *const *candidates;
	size_t n_candidates;
	bool end_of_candidates;
	/* of the video section, when there is one */
	uint32_t ssrc, rtx_ssrc;
	const char *cname;
};

/* An offer of data channels only, terminated. The length or FL_EQUOTA. */
int sdp_write_offer(const struct sdp_local *local, char *dst, size_t cap) FL_WARN_UNUSED;

/* The answer: the first usable application section is taken, the section *video points into is
 * answered with it, everything else is rejected. video may be NULL. The length or FL_EQUOTA. */
int sdp_write_answer(const struct sdp_local *local, const struct sdp *offer,
		     const struct sdp_media *video_media, const struct sdp_video *video, char *dst,
		     size_t cap) FL_WARN_UNUSED;
