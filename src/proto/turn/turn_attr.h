/*
 * The values of TURN's attributes (RFC 8656 §18, RFC 6062 §6.2) that are not plain addresses,
 * numbers or bytes; those are read and written by proto/stun/stun.h. Shapes only: whether a number
 * is in range is for whoever acts on it.
 *
 * Getters: false when the attribute is absent or of the wrong length. Reserved bits are ignored.
 */
#pragma once

#include "proto/stun/stun.h"
#include "proto/turn/turn.h"

struct turn_icmp {
	uint8_t type; /* 0…127: seven bits */
	uint16_t code;
	uint32_t data; /* MTU, or 0 */
};

bool turn_get_channel(const struct stun_msg *m, uint16_t *number); /* CHANNEL-NUMBER */
/* REQUESTED-ADDRESS-FAMILY and ADDITIONAL-ADDRESS-FAMILY: TURN_FAMILY_V4 and _V6, or another. */
bool turn_get_family(const struct stun_msg *m, uint16_t type, uint8_t *family);
bool turn_get_transport(const struct stun_msg *m, uint8_t *protocol); /* REQUESTED-TRANSPORT */
bool turn_get_even_port(const struct stun_msg *m, bool *reserve);     /* its R bit */
bool turn_get_token(const struct stun_msg *m, uint8_t token[TURN_RESERVATION_TOKEN_LEN]);
bool turn_get_icmp(const struct stun_msg *m, struct turn_icmp *icmp);
/* ADDRESS-ERROR-CODE; code 300…699. */
bool turn_get_address_error(const struct stun_msg *m, uint8_t *family, uint16_t *code,
			    struct span *reason);

void turn_put_channel(struct stun_out *o, uint16_t number);
void turn_put_family(struct stun_out *o, uint16_t type, uint8_t family);
void turn_put_transport(struct stun_out *o, uint8_t protocol);
void turn_put_even_port(struct stun_out *o, bool reserve);
void turn_put_icmp(struct stun_out *o, const struct turn_icmp *icmp);
void turn_put_address_error(struct stun_out *o, uint8_t family, uint16_t code, const char *reason);
