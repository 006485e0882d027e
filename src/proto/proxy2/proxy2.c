#include "proto/proxy2/proxy2.h"

#include "base/err.h"
#include "base/wire.h"

static const uint8_t signature[12] = { 0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D,
				       0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A };

enum command { CMD_LOCAL = 0x20, CMD_PROXY = 0x21 }; /* version 2 in the upper half */

enum family {
	FAMILY_UNSPECIFIED = 0x00,
	FAMILY_TCP4 = 0x11,
	FAMILY_UDP4 = 0x12,
	FAMILY_TCP6 = 0x21,
	FAMILY_UDP6 = 0x22,
};

static bool begins_right(struct span bytes)
{
	size_t n = FL_MIN(bytes.len, sizeof(signature));

	return n == 0 || memcmp(bytes.ptr, signature, n) == 0;
}

static void read_addresses(struct reader *r, enum addr_family family, struct proxy2 *out)
{
	size_t len = family == ADDR_V4 ? 4 : 16;

	out->source.family = out->destination.family = family;
	reader_copy(r, out->source.ip, len);
	reader_copy(r, out->destination.ip, len);
	out->source.port = reader_u16(r);
	out->destination.port = reader_u16(r);
}

static int read_body(struct reader *r, uint8_t family, struct proxy2 *out)
{
	switch (family) {
	case FAMILY_TCP4:
	case FAMILY_UDP4:
		read_addresses(r, ADDR_V4, out);
		break;
	case FAMILY_TCP6:
	case FAMILY_UDP6:
		read_addresses(r, ADDR_V6, out);
		break;
	case FAMILY_UNSPECIFIED:
		reader_rest(r); /* what it is is not said either */
		break;
	default:
		return FL_EMALFORMED;
	}
	while (reader_left(r) > 0) {
		reader_skip(r, 1);
		reader_skip(r, reader_u16(r));
	}
	return reader_failed(r) ? FL_EMALFORMED : 0;
}

int proxy2_parse(struct span bytes, struct proxy2 *out, size_t *need)
{
	struct reader r = reader_of(bytes), body;
	uint8_t command, family;
	size_t len;

	*out = (struct proxy2){ 0 };
	*need = PROXY2_PREFIX_LEN;
	if (!begins_right(bytes))
		return FL_EMALFORMED;
	if (bytes.len < PROXY2_PREFIX_LEN)
		return 0;
	reader_skip(&r, sizeof(signature));
	command = reader_u8(&r);
	family = reader_u8(&r);
	len = reader_u16(&r);
	if ((command != CMD_LOCAL && command != CMD_PROXY) || PROXY2_PREFIX_LEN + len > PROXY2_MAX)
		return FL_EMALFORMED;
	*need += len;
	if (bytes.len < *need)
		return 0;
	out->local = command == CMD_LOCAL;
	body = reader_sub(&r, len);
	if (!out->local &&
	    read_body(&body, family, out) < 0) /* LOCAL: whatever it holds is skipped */
		return FL_EMALFORMED;
	return 1;
}

size_t proxy2_write(const struct addr *source, const struct addr *destination,
		    uint8_t out[PROXY2_HEADER_MAX])
{
	struct writer w = writer_of(out, PROXY2_HEADER_MAX);
	bool known = source->family == destination->family &&
		     (source->family == ADDR_V4 || source->family == ADDR_V6);
	size_t len = source->family == ADDR_V4 ? 4 : 16;

	writer_bytes(&w, signature, sizeof(signature));
	writer_u8(&w, CMD_PROXY);
	writer_u8(&w, !known ? FAMILY_UNSPECIFIED : len == 4 ? FAMILY_TCP4 : FAMILY_TCP6);
	writer_u16(&w, known ? (uint16_t)(2 * len + 4) : 0);
	if (known) {
		writer_bytes(&w, source->ip, len);
		writer_bytes(&w, destination->ip, len);
		writer_u16(&w, source->port);
		writer_u16(&w, destination->port);
	}
	return writer_len(&w);
}
