/*
 * H.264 over RTP, packetization mode 1 (RFC 6184): single NAL units, STAP-A for parameter sets,
 * FU-A for what does not fit one packet. Interleaved kinds (mode 2) are refused.
 *
 * The packetizer walks one access unit in Annex B form and writes one payload at a time. The
 * depacketizer is the way back: payloads in order, Annex B out.
 */
#pragma once

#include "base/buf.h"
#include "base/span.h"
#include "base/wire.h"

enum h264_nal {
	H264_NAL_IDR = 5,
	H264_NAL_SEI = 6,
	H264_NAL_SPS = 7,
	H264_NAL_PPS = 8,
	H264_NAL_AUD = 9,
	H264_NAL_FILLER = 12,
	H264_NAL_STAP_A = 24,
	H264_NAL_FU_A = 28,
};

/* The next NAL unit behind a start code, without trailing zeros; false at the end. Filler data and
 * empty units are skipped. *annexb moves on. */
bool h264_next_nal(struct span *annexb, struct span *nal);

struct h264_packetizer {
	struct span rest; /* of the access unit */
	struct span nal;  /* the one being sent; empty at the end */
	size_t sent;	  /* of it, in fragments; 0: not begun */
};

/* Borrows the access unit. False when it has no NAL unit. */
bool h264_packetizer_start(struct h264_packetizer *p, struct span access_unit);

/* Writes the next payload of at most max bytes (max ≥ 8 and ≤ the writer's room); *last: it ends
 * the access unit (RTP's marker). False when there was none left. */
bool h264_packetizer_next(struct h264_packetizer *p, struct writer *w, size_t max, bool *last);

struct h264_depacketizer {
	bool in_fragment; /* a FU-A began and did not end */
};

/*
 * Appends the NAL units of one payload to out, each behind 00 00 00 01. 0; FL_EMALFORMED (also a
 * fragment without its start); FL_EUNSUPPORTED (interleaved kinds); -ENOMEM; FL_EQUOTA.
 */
int h264_depacketize(struct h264_depacketizer *d, struct span payload,
		     struct buf *out) FL_WARN_UNUSED;

/* After a gap: the fragment under way is given up. */
void h264_depacketizer_reset(struct h264_depacketizer *d);
