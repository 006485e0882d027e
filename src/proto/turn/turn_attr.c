#include "proto/turn/turn_attr.h"

#include <assert.h>

#define EVEN_PORT_R 0x80
#define ICMP_CODE_BITS 9 /* the type has the seven above (RFC 8656 §18.13) */
#define ADDRESS_ERROR_MAX 128

static struct reader value_of(const struct stun_msg *m, uint16_t type)
{
	const struct stun_attr *a = stun_find(m, type);

	return reader_of(a ? a->value : (struct span){ 0 });
}

/* Four bytes, of which the first counts. */
static bool get_first(const struct stun_msg *m, uint16_t type, uint8_t *value)
{
	struct reader r = value_of(m, type);

	*value = reader_u8(&r);
	reader_skip(&r, 3);
	return reader_done(&r);
}

bool turn_get_channel(const struct stun_msg *m, uint16_t *number)
{
	struct reader r = value_of(m, TURN_CHANNEL_NUMBER);

	*number = reader_u16(&r);
	reader_skip(&r, 2);
	return reader_done(&r);
}

bool turn_get_family(const struct stun_msg *m, uint16_t type, uint8_t *family)
{
	return get_first(m, type, family);
}

bool turn_get_transport(const struct stun_msg *m, uint8_t *protocol)
{
	return get_first(m, TURN_REQUESTED_TRANSPORT, protocol);
}

bool turn_get_even_port(const struct stun_msg *m, bool *reserve)
{
	struct reader r = value_of(m, TURN_EVEN_PORT);

	*reserve = (reader_u8(&r) & EVEN_PORT_R) != 0;
	return reader_done(&r);
}

bool turn_get_token(const struct stun_msg *m, uint8_t token[TURN_RESERVATION_TOKEN_LEN])
{
	struct reader r = value_of(m, TURN_RESERVATION_TOKEN);

	reader_copy(&r, token, TURN_RESERVATION_TOKEN_LEN);
	return reader_done(&r);
}

bool turn_get_icmp(const struct stun_msg *m, struct turn_icmp *icmp)
{
	struct reader r = value_of(m, TURN_ICMP);
	uint16_t both;

	reader_skip(&r, 2);
	both = reader_u16(&r);
	icmp->type = (uint8_t)(both >> ICMP_CODE_BITS);
	icmp->code = both & ((1 << ICMP_CODE_BITS) - 1);
	icmp->data = reader_u32(&r);
	return reader_done(&r);
}

bool turn_get_address_error(const struct stun_msg *m, uint8_t *family, uint16_t *code,
			    struct span *reason)
{
	struct reader r = value_of(m, TURN_ADDRESS_ERROR_CODE);
	unsigned hundreds, rest;

	*family = reader_u8(&r);
	reader_skip(&r, 1);
	hundreds = reader_u8(&r) & 7;
	rest = reader_u8(&r);
	*reason = reader_rest(&r);
	*code = (uint16_t)(hundreds * 100 + rest);
	return !reader_failed(&r) && hundreds >= 3 && hundreds <= 6 && rest < 100;
}

void turn_put_channel(struct stun_out *o, uint16_t number)
{
	stun_put_u32(o, TURN_CHANNEL_NUMBER, (uint32_t)number << 16);
}

void turn_put_family(struct stun_out *o, uint16_t type, uint8_t family)
{
	stun_put_u32(o, type, (uint32_t)family << 24);
}

void turn_put_transport(struct stun_out *o, uint8_t protocol)
{
	stun_put_u32(o, TURN_REQUESTED_TRANSPORT, (uint32_t)protocol << 24);
}

void turn_put_even_port(struct stun_out *o, bool reserve)
{
	uint8_t value = reserve ? EVEN_PORT_R : 0;

	stun_put(o, TURN_EVEN_PORT, span_of(&value, 1));
}

void turn_put_icmp(struct stun_out *o, const struct turn_icmp *icmp)
{
	uint32_t both = (uint32_t)(icmp->type & 0x7F) << ICMP_CODE_BITS |
			(icmp->code & ((1u << ICMP_CODE_BITS) - 1));

	stun_put_u64(o, TURN_ICMP, (uint64_t)both << 32 | icmp->data);
}

void turn_put_address_error(struct stun_out *o, uint8_t family, uint16_t code, const char *reason)
{
	uint8_t value[4 + ADDRESS_ERROR_MAX];
	struct writer w = writer_of(value, sizeof(value));

	assert(code >= 300 && code < 700 && strlen(reason) <= ADDRESS_ERROR_MAX);
	writer_u8(&w, family);
	writer_u8(&w, 0);
	writer_u8(&w, (uint8_t)(code / 100));
	writer_u8(&w, (uint8_t)(code % 100));
	writer_str(&w, reason);
	stun_put(o, TURN_ADDRESS_ERROR_CODE, writer_span(&w));
}
