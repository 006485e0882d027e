/*
 * RTCP: compound packets and what a video stream needs of them.
 *
 * RFC 3550 §6 (SR, RR, SDES CNAME, BYE), RFC 4585 (generic NACK, PLI), RFC 5104 (FIR), REMB
 * (draft-alvestrand-rmcat-remb-03). Transport-wide feedback is in twcc.h. Reading is in two steps:
 * rtcp_next() walks the compound, a parse function makes a value of one packet. Compounds that do
 * not begin with a report are read too (RFC 5506).
 */
#pragma once

#include "base/span.h"
#include "base/wire.h"

enum rtcp_type {
	RTCP_SR = 200,
	RTCP_RR = 201,
	RTCP_SDES = 202,
	RTCP_BYE = 203,
	RTCP_APP = 204,
	RTCP_RTPFB = 205, /* RFC 4585 §6.2 */
	RTCP_PSFB = 206,  /* RFC 4585 §6.3 */
	RTCP_XR = 207,
};

enum {
	RTCP_FMT_NACK = 1,  /* of RTPFB */
	RTCP_FMT_CCFB = 11, /* of RTPFB: RFC 8888 */
	RTCP_FMT_TWCC = 15, /* of RTPFB */
	RTCP_FMT_PLI = 1,   /* of PSFB */
	RTCP_FMT_FIR = 4,   /* of PSFB: RFC 5104 §4.3.1 */
	RTCP_FMT_AFB = 15,  /* of PSFB: application layer feedback, REMB among it */
};

#define RTCP_BLOCKS_MAX 31

/* One packet of a compound. */
struct rtcp_packet {
	uint8_t type;
	uint8_t count;	  /* RC, SC or FMT: the five bits after version and padding */
	struct span body; /* after the four bytes of header, without padding */
};

/* The next packet; false at the end, or, with the reader failed, at bytes that are no RTCP. */
bool rtcp_next(struct reader *compound, struct rtcp_packet *out);

struct rtcp_block { /* RFC 3550 §6.4.1 */
	uint32_t ssrc;
	uint8_t fraction_lost; /* of 256 */
	int32_t lost;	       /* 24 bits, signed */
	uint32_t highest_seq;  /* with the cycles above */
	uint32_t jitter;       /* in timestamp units */
	uint32_t lsr, dlsr;    /* 1/65536 s */
};

struct rtcp_report { /* SR or RR */
	uint32_t ssrc;
	bool is_sender; /* then the four below are set */
	uint64_t ntp;
	uint32_t rtp_timestamp, packets, bytes;
	uint8_t n_blocks;
	struct rtcp_block blocks[RTCP_BLOCKS_MAX];
};

/* Each parse: 0, or FL_EMALFORMED. */
int rtcp_parse_report(const struct rtcp_packet *p, struct rtcp_report *out) FL_WARN_UNUSED;
int rtcp_parse_cname(const struct rtcp_packet *p, uint32_t ssrc, struct span *out) FL_WARN_UNUSED;
bool rtcp_bye_has(const struct rtcp_packet *p, uint32_t ssrc);

struct rtcp_feedback { /* RFC 4585 §6.1 */
	uint32_t sender_ssrc, media_ssrc;
	struct span fci;
};

int rtcp_parse_feedback(const struct rtcp_packet *p, struct rtcp_feedback *out) FL_WARN_UNUSED;

/* Walks the sequence numbers of a NACK; start with all-zero state. */
struct rtcp_nack_walk {
	size_t at;
	uint16_t pid, blp;
	uint8_t bit;
};
bool rtcp_nack_next(const struct rtcp_feedback *nack, struct rtcp_nack_walk *walk, uint16_t *seq);

/* The entry for an SSRC in a FIR: true and its command sequence number. */
bool rtcp_fir_find(const struct rtcp_feedback *fir, uint32_t ssrc, uint8_t *command_seq);

/* bit/s of a REMB that names the SSRC; FL_EUNSUPPORTED: another application's message. */
int rtcp_parse_remb(const struct rtcp_feedback *afb, uint32_t ssrc, uint64_t *bps) FL_WARN_UNUSED;

void rtcp_write_report(struct writer *w, const struct rtcp_report *report);
void rtcp_write_cname(struct writer *w, uint32_t ssrc, struct span cname); /* 1…255 bytes */
void rtcp_write_bye(struct writer *w, uint32_t ssrc);
/* seqs in ascending order (in sequence number space). */
void rtcp_write_nack(struct writer *w, uint32_t sender, uint32_t media, const uint16_t *seqs,
		     size_t n_seqs);
void rtcp_write_pli(struct writer *w, uint32_t sender, uint32_t media);
void rtcp_write_fir(struct writer *w, uint32_t sender, uint32_t media, uint8_t command_seq);
void rtcp_write_remb(struct writer *w, uint32_t sender, uint32_t media, uint64_t bps);

/* For writers of further kinds: header with an open length, and the length filled in (padded with
 * zeros to a word). */
size_t rtcp_begin(struct writer *w, uint8_t count, uint8_t type);
void rtcp_end(struct writer *w, size_t start);
