/*
 * One incoming video stream, the other end of video.h: packets in, frames out in order, and the
 * feedback that a sender needs: receiver reports, NACK, PLI, transport-wide feedback.
 *
 * A core in the shape of video.h. Frames are given up when a packet stays missing for SINK_WAIT_US;
 * then everything up to the next keyframe is dropped and a keyframe asked for.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"
#include "base/usec.h"
#include "base/util.h"
#include "proto/rtp/video.h"

struct sink;

#define SINK_WAIT_US 600000
#define SINK_PACKETS_MAX 2048 /* held while one before them is missing; a power of two */
#define SINK_PACKET_LEN_MAX 1500

struct sink_config {
	enum video_codec codec;
	uint8_t payload_type;
	uint32_t ssrc; /* the sender's */
	bool rtx;
	uint8_t rtx_payload_type;
	uint32_t rtx_ssrc;
	struct video_extensions ext;
	uint32_t local_ssrc; /* of our reports */
	bool nack;	     /* ask for what is missing */
};

struct sink *sink_create(const struct sink_config *config); /* NULL: no memory */
void sink_destroy(struct sink *s);			    /* NULL is fine */

/* One decrypted packet. What is malformed or of another stream is counted. */
void sink_input_rtp(struct sink *s, usec_t now, struct span packet);
void sink_input_rtcp(struct sink *s, usec_t now, struct span packet);
void sink_timeout(struct sink *s, usec_t now);
usec_t sink_deadline(const struct sink *s); /* or USEC_NEVER */

struct sink_frame {
	struct span data; /* H.264 as Annex B, VP8 as is; borrowed until the next call */
	uint32_t timestamp;
	bool keyframe;
};

/* Call after each input until false. */
bool sink_next_frame(struct sink *s, struct sink_frame *out);

/* One RTCP compound to protect and send, borrowed until the next call; false when none is due. */
bool sink_next_output(struct sink *s, struct span *out);

struct sink_stats {
	uint64_t packets, bytes, duplicates, repaired; /* repaired: came by RTX or late */
	uint64_t nacks, plis, frames, malformed;
};

void sink_get_stats(const struct sink *s, struct sink_stats *out);
