/*
 * The relayed ports of one address: which are free, chosen at random (RFC 8656 §7.2), even ones and
 * pairs, and reservations with their tokens and 30 seconds. Knows no socket: whoever binds says so
 * when a port turned out to be taken by somebody else. One bit per port, so that exhaustion is
 * known at once and a freed port is available at once.
 */
#pragma once

#include "base/rng.h"
#include "base/usec.h"
#include "base/util.h"
#include "proto/turn/turn.h"

#define TURN_PORTS_FIRST 49152
#define TURN_PORTS_LAST 65535
#define TURN_PORTS_RESERVATIONS_MAX 1024

struct turn_ports;
/* NULL when there is no memory. first ≤ last, first > 0. */
struct turn_ports *turn_ports_create(uint16_t first, uint16_t last, struct rng *rng);
void turn_ports_destroy(struct turn_ports *p); /* NULL is fine */

enum turn_ports_want {
	TURN_PORTS_ANY,
	TURN_PORTS_EVEN,
	TURN_PORTS_PAIR /* even, the next free too */
};

/* A port, now taken (of a pair both); 0 when there is none. */
uint16_t turn_ports_take(struct turn_ports *p, enum turn_ports_want want);
void turn_ports_put(struct turn_ports *p, uint16_t port);
/* Somebody else on this machine has it: not given out again for a minute. */
void turn_ports_foreign(struct turn_ports *p, usec_t now, uint16_t port);
unsigned turn_ports_free(const struct turn_ports *p);

/* Keeps a taken port for whoever brings the token within TURN_RESERVATION_S. 0 or FL_EQUOTA. handle
 * is the caller's (a bound socket, say). */
int turn_ports_reserve(struct turn_ports *p, usec_t now, uint16_t port, intptr_t handle,
		       uint8_t token[TURN_RESERVATION_TOKEN_LEN]) FL_WARN_UNUSED;
/* True: the reservation is used up and the port the caller's. */
bool turn_ports_claim(struct turn_ports *p, usec_t now,
		      const uint8_t token[TURN_RESERVATION_TOKEN_LEN], uint16_t *port,
		      intptr_t *handle);
/* Reservations that ran out, one a call, and their ports freed: until false. */
bool turn_ports_expired(struct turn_ports *p, usec_t now, uint16_t *port, intptr_t *handle);
usec_t turn_ports_deadline(const struct turn_ports *p);
