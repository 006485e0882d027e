#include "proto/rtp/rtp.h"

#include "base/err.h"

enum {
	VERSION = 2,
	ID_STOP = 15, /* RFC 8285 §4.2: reserved, ends processing of the one-byte form */
};

static void parse_ext(struct reader *r, struct rtp_packet *out)
{
	size_t words;

	out->ext_profile = reader_u16(r);
	words = reader_u16(r);
	out->ext = reader_bytes(r, 4 * words);
}

int rtp_parse(struct span bytes, struct rtp_packet *out)
{
	struct reader r = reader_of(bytes);
	uint8_t first = reader_u8(&r), second = reader_u8(&r);

	*out = (struct rtp_packet){ .marker = second >> 7, .payload_type = second & 0x7f };
	out->seq = reader_u16(&r);
	out->timestamp = reader_u32(&r);
	out->ssrc = reader_u32(&r);
	out->n_csrc = first & 0x0f;
	reader_skip(&r, 4 * (size_t)out->n_csrc);
	if (first & 0x10)
		parse_ext(&r, out);
	out->payload = reader_rest(&r);
	if (reader_failed(&r) || first >> 6 != VERSION)
		return FL_EMALFORMED;
	if (first & 0x20) { /* the last byte counts the padding, itself included */
		out->padding_len = out->payload.len ? out->payload.ptr[out->payload.len - 1] : 0;
		if (out->padding_len == 0 || out->padding_len > out->payload.len)
			return FL_EMALFORMED;
		out->payload.len -= out->padding_len;
	}
	return 0;
}

static bool next_one_byte(struct reader *at, struct rtp_ext *out)
{
	while (reader_left(at)) {
		uint8_t head = reader_u8(at);

		if (head == 0)
			continue;
		if (head >> 4 == 0 || head >> 4 == ID_STOP)
			break;
		out->id = head >> 4;
		out->value = reader_bytes(at, (size_t)(head & 0x0f) + 1);
		return !reader_failed(at);
	}
	reader_fail(at);
	return false;
}

static bool next_two_byte(struct reader *at, struct rtp_ext *out)
{
	while (reader_left(at)) {
		uint8_t id = reader_u8(at);

		if (id == 0)
			continue;
		out->id = id;
		out->value = reader_bytes(at, reader_u8(at));
		return !reader_failed(at);
	}
	return false;
}

bool rtp_ext_next(const struct rtp_packet *packet, struct reader *at, struct rtp_ext *out)
{
	if (packet->ext_profile == RTP_EXT_ONE_BYTE)
		return next_one_byte(at, out);
	if ((packet->ext_profile & 0xfff0) == RTP_EXT_TWO_BYTE)
		return next_two_byte(at, out);
	return false;
}

bool rtp_ext_find(const struct rtp_packet *packet, uint8_t id, struct span *value)
{
	struct reader at = reader_of(packet->ext);
	struct rtp_ext ext;

	while (rtp_ext_next(packet, &at, &ext))
		if (ext.id == id) {
			*value = ext.value;
			return true;
		}
	return false;
}

static bool fits_one_byte(const struct rtp_ext *ext, size_t n_ext)
{
	for (size_t i = 0; i < n_ext; i++)
		if (ext[i].id >= ID_STOP || ext[i].value.len < 1 || ext[i].value.len > 16)
			return false;
	return true;
}

static void write_ext(struct writer *w, const struct rtp_ext *ext, size_t n_ext)
{
	bool one_byte = fits_one_byte(ext, n_ext);
	size_t start, len;

	writer_u16(w, one_byte ? RTP_EXT_ONE_BYTE : RTP_EXT_TWO_BYTE);
	writer_u16(w, 0);
	start = writer_len(w);
	for (size_t i = 0; i < n_ext; i++) {
		if (ext[i].id == 0 || ext[i].value.len > 255) {
			writer_fail(w);
			return;
		}
		if (one_byte) {
			writer_u8(w, (uint8_t)(ext[i].id << 4 | (ext[i].value.len - 1)));
		} else {
			writer_u8(w, ext[i].id);
			writer_u8(w, (uint8_t)ext[i].value.len);
		}
		writer_span_put(w, ext[i].value);
	}
	len = writer_len(w) - start;
	writer_zeros(w, (4 - len % 4) % 4);
	writer_patch_u16(w, start - 2, (uint16_t)((len + 3) / 4));
}

void rtp_write_header(struct writer *w, const struct rtp_packet *packet, const struct rtp_ext *ext,
		      size_t n_ext)
{
	writer_u8(w, VERSION << 6 | (n_ext ? 0x10 : 0));
	writer_u8(w, (uint8_t)(packet->marker << 7 | (packet->payload_type & 0x7f)));
	writer_u16(w, packet->seq);
	writer_u32(w, packet->timestamp);
	writer_u32(w, packet->ssrc);
	if (n_ext)
		write_ext(w, ext, n_ext);
}
