#include "proto/rtp/h264.h"

#include <assert.h>
#include <errno.h>

#include "base/err.h"

enum {
	TYPE_MASK = 0x1f,
	NRI_MASK = 0x60,
	FORBIDDEN = 0x80,
	FU_START = 0x80,
	FU_END = 0x40,
	FU_HEADER_LEN = 2,
	STAP_HEADER_LEN = 1,
	STAP_SIZE_LEN = 2,
};

static const uint8_t start_code[4] = { 0, 0, 0, 1 };

static enum h264_nal nal_type(uint8_t head)
{
	return (enum h264_nal)(head & TYPE_MASK);
}

/* Offset of the next 00 00 01 at or after `from`, or s.len. */
static size_t find_start_code(struct span s, size_t from)
{
	while (from + 3 <= s.len) {
		const uint8_t *one = memchr(s.ptr + from + 2, 1, s.len - from - 2);
		size_t at;

		if (!one)
			break;
		at = (size_t)(one - s.ptr);
		if (s.ptr[at - 1] == 0 && s.ptr[at - 2] == 0)
			return at - 2;
		from = at - 1;
	}
	return s.len;
}

bool h264_next_nal(struct span *annexb, struct span *nal)
{
	size_t at = find_start_code(*annexb, 0);

	while (at < annexb->len) {
		size_t begin = at + 3, end = find_start_code(*annexb, begin);

		at = end;
		while (end > begin && annexb->ptr[end - 1] == 0)
			end--;
		if (end == begin || nal_type(annexb->ptr[begin]) == H264_NAL_FILLER)
			continue;
		*nal = span_of(annexb->ptr + begin, end - begin);
		*annexb = span_of(annexb->ptr + at, annexb->len - at);
		return true;
	}
	*annexb = span_of(annexb->ptr, 0);
	*nal = span_of(NULL, 0);
	return false;
}

bool h264_packetizer_start(struct h264_packetizer *p, struct span access_unit)
{
	*p = (struct h264_packetizer){ .rest = access_unit };
	return h264_next_nal(&p->rest, &p->nal);
}

static bool next_nal(struct h264_packetizer *p)
{
	p->sent = 0;
	return h264_next_nal(&p->rest, &p->nal);
}

static bool is_small_kind(struct span nal)
{
	enum h264_nal type = nal_type(nal.ptr[0]);

	return type == H264_NAL_SPS || type == H264_NAL_PPS || type == H264_NAL_SEI ||
	       type == H264_NAL_AUD;
}

/* How many NAL units from the present one on can share a STAP-A, and the highest NRI among them. */
static size_t count_shared(const struct h264_packetizer *p, size_t max, uint8_t *nri)
{
	struct h264_packetizer ahead = *p;
	size_t n = 0, len = STAP_HEADER_LEN;

	*nri = 0;
	while (ahead.nal.len && is_small_kind(ahead.nal) &&
	       len + STAP_SIZE_LEN + ahead.nal.len <= max) {
		len += STAP_SIZE_LEN + ahead.nal.len;
		*nri = FL_MAX(*nri, (uint8_t)(ahead.nal.ptr[0] & NRI_MASK));
		n++;
		if (!next_nal(&ahead))
			break;
	}
	return n;
}

static void write_fragment(struct h264_packetizer *p, struct writer *w, size_t max)
{
	uint8_t head = p->nal.ptr[0], fu = head & TYPE_MASK;
	size_t left, room = max - FU_HEADER_LEN, n, len;

	if (p->sent == 0) {
		fu |= FU_START;
		p->sent = 1; /* the NAL header travels in the FU's two bytes */
	}
	left = p->nal.len - p->sent;
	n = (left + room - 1) / room;
	len = (left + n - 1) / n; /* even pieces rather than a small last one */
	if (len == left)
		fu |= FU_END;
	writer_u8(w, (uint8_t)((head & (FORBIDDEN | NRI_MASK)) | H264_NAL_FU_A));
	writer_u8(w, fu);
	writer_bytes(w, p->nal.ptr + p->sent, len);
	p->sent += len;
	if (p->sent == p->nal.len)
		next_nal(p);
}

bool h264_packetizer_next(struct h264_packetizer *p, struct writer *w, size_t max, bool *last)
{
	uint8_t nri;
	size_t n;

	assert(max >= 8);
	if (p->nal.len == 0)
		return false;
	n = p->sent ? 0 : count_shared(p, max, &nri);
	if (n >= 2) {
		writer_u8(w, nri | H264_NAL_STAP_A);
		for (; n; n--, next_nal(p)) {
			writer_u16(w, (uint16_t)p->nal.len);
			writer_span_put(w, p->nal);
		}
	} else if (p->sent || p->nal.len > max) {
		write_fragment(p, w, max);
	} else {
		writer_span_put(w, p->nal);
		next_nal(p);
	}
	*last = p->nal.len == 0;
	return true;
}

static int append_nal(struct buf *out, const uint8_t *head, struct span body)
{
	int err = buf_append(out, start_code, sizeof(start_code));

	if (err == 0 && head)
		err = buf_append(out, head, 1);
	return err < 0 ? err : buf_append_span(out, body);
}

static int take_stap(struct span payload, struct buf *out)
{
	struct reader r = reader_of(payload);
	int err = 0;

	reader_skip(&r, STAP_HEADER_LEN);
	if (reader_left(&r) == 0)
		return FL_EMALFORMED;
	while (reader_left(&r) && err == 0) {
		struct span nal = reader_bytes(&r, reader_u16(&r));

		if (reader_failed(&r) || nal.len == 0)
			return FL_EMALFORMED;
		err = append_nal(out, NULL, nal);
	}
	return err;
}

static int take_fragment(struct h264_depacketizer *d, struct span payload, struct buf *out)
{
	struct reader r = reader_of(payload);
	uint8_t indicator = reader_u8(&r), fu = reader_u8(&r), head;
	struct span body = reader_rest(&r);
	bool start = fu & FU_START, end = fu & FU_END;

	/* RFC 6184 §5.8: never both, and never empty */
	if (reader_failed(&r) || body.len == 0 || (start && end) || start == d->in_fragment) {
		d->in_fragment = false;
		return FL_EMALFORMED;
	}
	d->in_fragment = !end;
	if (!start)
		return buf_append_span(out, body);
	head = (uint8_t)((indicator & (FORBIDDEN | NRI_MASK)) | (fu & TYPE_MASK));
	return append_nal(out, &head, body);
}

int h264_depacketize(struct h264_depacketizer *d, struct span payload, struct buf *out)
{
	enum h264_nal type;

	if (payload.len == 0)
		return FL_EMALFORMED;
	type = nal_type(payload.ptr[0]);
	if (type == H264_NAL_FU_A)
		return take_fragment(d, payload, out);
	if (d->in_fragment) {
		d->in_fragment = false;
		return FL_EMALFORMED;
	}
	if (type == H264_NAL_STAP_A)
		return take_stap(payload, out);
	if (type == 0 || type > H264_NAL_STAP_A)
		return FL_EUNSUPPORTED;
	return append_nal(out, NULL, payload);
}

void h264_depacketizer_reset(struct h264_depacketizer *d)
{
	d->in_fragment = false;
}
