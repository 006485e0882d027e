/*
 * RTP packets (RFC 3550 §5) and their header extensions (RFC 8285): parse and write.
 *
 *  0                   1                   2                   3
 *  |V=2|P|X|  CC   |M|     PT      |        sequence number        |
 *  |                           timestamp                           |
 *  |                             SSRC                              |
 *  |                 CSRCs (0…15 words), extension                 |
 *
 * Everything is borrowed: a parsed packet points into the bytes it was parsed from.
 */
#pragma once

#include "base/span.h"
#include "base/wire.h"

#define RTP_HEADER_LEN 12
#define RTP_EXT_ONE_BYTE 0xBEDE /* RFC 8285 §4.2 */
#define RTP_EXT_TWO_BYTE 0x1000 /* RFC 8285 §4.3; the low four bits are the application's */

struct rtp_packet {
	bool marker;
	uint8_t payload_type;
	uint16_t seq;
	uint32_t timestamp, ssrc;
	uint8_t n_csrc;
	uint16_t ext_profile; /* of the extension, when ext.len > 0 */
	struct span ext;      /* its elements, without the four bytes before them */
	struct span payload;  /* without padding */
	size_t padding_len;
};

/* 0 or FL_EMALFORMED. */
int rtp_parse(struct span bytes, struct rtp_packet *out) FL_WARN_UNUSED;

struct rtp_ext {
	uint8_t id;
	struct span value;
};

/* Walks the elements of either form; start with *at = packet->ext as reader. False at the end or at
 * the first element that breaks the rules (RFC 8285 §4.2: what came before it counts). */
bool rtp_ext_next(const struct rtp_packet *packet, struct reader *at, struct rtp_ext *out);

/* The element with that id; false when there is none. */
bool rtp_ext_find(const struct rtp_packet *packet, uint8_t id, struct span *value);

/*
 * Writes header and extension; the payload follows by the caller. The one-byte form is used when
 * all elements fit it (ids 1…14, 1…16 bytes), else the two-byte form. Only marker, payload_type,
 * seq, timestamp and ssrc of the packet are looked at.
 */
void rtp_write_header(struct writer *w, const struct rtp_packet *packet, const struct rtp_ext *ext,
		      size_t n_ext);

/* a - b in sequence number space (RFC 1982): negative when a is before b. */
static inline int16_t rtp_seq_diff(uint16_t a, uint16_t b)
{
	return (int16_t)(uint16_t)(a - b);
}
