#include "proto/rtp/rtcp.h"

#include "base/err.h"

enum {
	VERSION = 2,
	SDES_END = 0,
	SDES_CNAME = 1,
};

#define REMB_NAME 0x52454D42 /* "REMB" */

bool rtcp_next(struct reader *compound, struct rtcp_packet *out)
{
	uint8_t first;
	size_t pad;

	if (reader_left(compound) == 0)
		return false;
	first = reader_u8(compound);
	out->type = reader_u8(compound);
	out->count = first & 0x1f;
	out->body = reader_bytes(compound, 4 * (size_t)reader_u16(compound));
	if (reader_failed(compound) || first >> 6 != VERSION) {
		reader_fail(compound);
		return false;
	}
	if (first & 0x20) {
		pad = out->body.len ? out->body.ptr[out->body.len - 1] : 0;
		if (pad == 0 || pad > out->body.len) {
			reader_fail(compound);
			return false;
		}
		out->body.len -= pad;
	}
	return true;
}

static void read_block(struct reader *r, struct rtcp_block *b)
{
	b->ssrc = reader_u32(r);
	b->fraction_lost = reader_u8(r);
	b->lost = (int32_t)(reader_u24(r) << 8) >> 8;
	b->highest_seq = reader_u32(r);
	b->jitter = reader_u32(r);
	b->lsr = reader_u32(r);
	b->dlsr = reader_u32(r);
}

int rtcp_parse_report(const struct rtcp_packet *p, struct rtcp_report *out)
{
	struct reader r = reader_of(p->body);

	*out = (struct rtcp_report){ .is_sender = p->type == RTCP_SR, .n_blocks = p->count };
	out->ssrc = reader_u32(&r);
	if (out->is_sender) {
		out->ntp = reader_u64(&r);
		out->rtp_timestamp = reader_u32(&r);
		out->packets = reader_u32(&r);
		out->bytes = reader_u32(&r);
	}
	for (size_t i = 0; i < out->n_blocks; i++)
		read_block(&r, &out->blocks[i]);
	return reader_failed(&r) ? FL_EMALFORMED : 0;
}

/* One chunk of SDES (RFC 3550 §6.5): items up to a zero byte, then zeros to the next word. */
static struct span read_chunk(struct reader *r, size_t body_len)
{
	struct span cname = { 0 };
	uint8_t item;

	while ((item = reader_u8(r)) != SDES_END) {
		struct span text = reader_bytes(r, reader_u8(r));

		if (item == SDES_CNAME)
			cname = text;
	}
	reader_skip(r, (4 - (body_len - reader_left(r)) % 4) % 4);
	return cname;
}

int rtcp_parse_cname(const struct rtcp_packet *p, uint32_t ssrc, struct span *out)
{
	struct reader r = reader_of(p->body);

	*out = (struct span){ 0 };
	for (size_t i = 0; i < p->count; i++) {
		uint32_t of = reader_u32(&r);
		struct span cname = read_chunk(&r, p->body.len);

		if (of == ssrc)
			*out = cname;
	}
	return reader_failed(&r) ? FL_EMALFORMED : 0;
}

bool rtcp_bye_has(const struct rtcp_packet *p, uint32_t ssrc)
{
	struct reader r = reader_of(p->body);

	for (size_t i = 0; i < p->count && reader_left(&r) >= 4; i++)
		if (reader_u32(&r) == ssrc)
			return true;
	return false;
}

int rtcp_parse_feedback(const struct rtcp_packet *p, struct rtcp_feedback *out)
{
	struct reader r = reader_of(p->body);

	out->sender_ssrc = reader_u32(&r);
	out->media_ssrc = reader_u32(&r);
	out->fci = reader_rest(&r);
	return reader_failed(&r) ? FL_EMALFORMED : 0;
}

bool rtcp_nack_next(const struct rtcp_feedback *nack, struct rtcp_nack_walk *walk, uint16_t *seq)
{
	while (walk->blp) {
		bool set = walk->blp & 1;

		walk->blp >>= 1;
		walk->bit++;
		if (set) {
			*seq = (uint16_t)(walk->pid + walk->bit);
			return true;
		}
	}
	if (nack->fci.len - walk->at < 4)
		return false;

	struct reader r = reader_of(span_of(nack->fci.ptr + walk->at, 4));

	walk->pid = reader_u16(&r);
	walk->blp = reader_u16(&r);
	walk->bit = 0;
	walk->at += 4;
	*seq = walk->pid;
	return true;
}

bool rtcp_fir_find(const struct rtcp_feedback *fir, uint32_t ssrc, uint8_t *command_seq)
{
	struct reader r = reader_of(fir->fci);

	while (reader_left(&r) >= 8) {
		uint32_t of = reader_u32(&r);

		*command_seq = reader_u8(&r);
		reader_skip(&r, 3);
		if (of == ssrc)
			return true;
	}
	return false;
}

int rtcp_parse_remb(const struct rtcp_feedback *afb, uint32_t ssrc, uint64_t *bps)
{
	struct reader r = reader_of(afb->fci);
	uint32_t name = reader_u32(&r), rate;
	uint8_t n = reader_u8(&r);
	bool ours = n == 0;

	rate = reader_u24(&r);
	if (name != REMB_NAME)
		return FL_EUNSUPPORTED;
	for (size_t i = 0; i < n; i++)
		ours |= reader_u32(&r) == ssrc;
	if (reader_failed(&r))
		return FL_EMALFORMED;
	/* six bits of exponent over an 18-bit mantissa: capped where 64 bits end */
	*bps = rate >> 18 > 40 ? UINT64_MAX : (uint64_t)(rate & 0x3ffff) << (rate >> 18);
	return ours ? 0 : FL_EUNSUPPORTED;
}

size_t rtcp_begin(struct writer *w, uint8_t count, uint8_t type)
{
	size_t start = writer_len(w);

	writer_u8(w, (uint8_t)(VERSION << 6 | (count & 0x1f)));
	writer_u8(w, type);
	writer_u16(w, 0);
	return start;
}

void rtcp_end(struct writer *w, size_t start)
{
	size_t len = writer_len(w) - start;

	writer_zeros(w, (4 - len % 4) % 4);
	writer_patch_u16(w, start + 2, (uint16_t)((len + 3) / 4 - 1));
}

static void write_block(struct writer *w, const struct rtcp_block *b)
{
	writer_u32(w, b->ssrc);
	writer_u8(w, b->fraction_lost);
	writer_u24(w, (uint32_t)b->lost & 0xffffff);
	writer_u32(w, b->highest_seq);
	writer_u32(w, b->jitter);
	writer_u32(w, b->lsr);
	writer_u32(w, b->dlsr);
}

void rtcp_write_report(struct writer *w, const struct rtcp_report *report)
{
	size_t start = rtcp_begin(w, report->n_blocks, report->is_sender ? RTCP_SR : RTCP_RR);

	writer_u32(w, report->ssrc);
	if (report->is_sender) {
		writer_u64(w, report->ntp);
		writer_u32(w, report->rtp_timestamp);
		writer_u32(w, report->packets);
		writer_u32(w, report->bytes);
	}
	for (size_t i = 0; i < report->n_blocks; i++)
		write_block(w, &report->blocks[i]);
	rtcp_end(w, start);
}

void rtcp_write_cname(struct writer *w, uint32_t ssrc, struct span cname)
{
	size_t start = rtcp_begin(w, 1, RTCP_SDES);

	writer_u32(w, ssrc);
	writer_u8(w, SDES_CNAME);
	writer_u8(w, (uint8_t)cname.len);
	writer_span_put(w, cname);
	writer_u8(w, SDES_END);
	rtcp_end(w, start);
}

void rtcp_write_bye(struct writer *w, uint32_t ssrc)
{
	size_t start = rtcp_begin(w, 1, RTCP_BYE);

	writer_u32(w, ssrc);
	rtcp_end(w, start);
}

static size_t begin_feedback(struct writer *w, uint8_t fmt, uint8_t type, uint32_t sender,
			     uint32_t media)
{
	size_t start = rtcp_begin(w, fmt, type);

	writer_u32(w, sender);
	writer_u32(w, media);
	return start;
}

void rtcp_write_nack(struct writer *w, uint32_t sender, uint32_t media, const uint16_t *seqs,
		     size_t n_seqs)
{
	size_t start = begin_feedback(w, RTCP_FMT_NACK, RTCP_RTPFB, sender, media), i = 0;

	while (i < n_seqs) {
		uint16_t pid = seqs[i++], blp = 0, ahead;

		while (i < n_seqs && (ahead = (uint16_t)(seqs[i] - pid)) <= 16) {
			if (ahead)
				blp |= (uint16_t)(1u << (ahead - 1));
			i++;
		}
		writer_u16(w, pid);
		writer_u16(w, blp);
	}
	rtcp_end(w, start);
}

void rtcp_write_pli(struct writer *w, uint32_t sender, uint32_t media)
{
	rtcp_end(w, begin_feedback(w, RTCP_FMT_PLI, RTCP_PSFB, sender, media));
}

void rtcp_write_fir(struct writer *w, uint32_t sender, uint32_t media, uint8_t command_seq)
{
	size_t start = begin_feedback(w, RTCP_FMT_FIR, RTCP_PSFB, sender, 0);

	writer_u32(w, media);
	writer_u8(w, command_seq);
	writer_u24(w, 0);
	rtcp_end(w, start);
}

void rtcp_write_remb(struct writer *w, uint32_t sender, uint32_t media, uint64_t bps)
{
	size_t start = begin_feedback(w, RTCP_FMT_AFB, RTCP_PSFB, sender, 0);
	uint32_t exponent = 0;

	while (bps >> exponent > 0x3ffff)
		exponent++;
	writer_u32(w, REMB_NAME);
	writer_u8(w, 1);
	writer_u24(w, exponent << 18 | (uint32_t)(bps >> exponent));
	writer_u32(w, media);
	rtcp_end(w, start);
}
