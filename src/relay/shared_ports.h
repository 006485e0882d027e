/*
 * The relayed ports that all workers share, and the sockets bound to them: one set per address
 * family, behind a lock that is held for as long as a bitmap is looked at, never during a system
 * call.
 */
#pragma once

#include "base/usec.h"
#include "proto/turn/turn_ports.h"
#include "proto/turn/turn_server.h"
#include "relay/settings.h"

struct shared_ports;

int shared_ports_create(const struct settings *s, struct shared_ports **out) FL_WARN_UNUSED;
void shared_ports_destroy(struct shared_ports *p); /* NULL is fine; closes reserved sockets */

/* What an OPEN asked for, and what it got. */
struct shared_ports_open {
	bool stream; /* a TCP allocation */
	enum turn_ports_want want;
	const uint8_t *token; /* of a reservation; NULL: none */
	/* out: */
	int fds[2];	   /* [0] IPv4, [1] IPv6; -1: none. The caller's */
	uint16_t ports[2]; /* to be given back by shared_ports_put() */
	bool reserved;
	uint8_t reserved_token[TURN_RESERVATION_TOKEN_LEN];
};

/* A port and a bound socket in family v6 ? 1 : 0. 0; -ENOSPC: no port; -EMFILE …: no socket. */
int shared_ports_open(struct shared_ports *p, usec_t now, bool v6,
		      struct shared_ports_open *o) FL_WARN_UNUSED;
void shared_ports_put(struct shared_ports *p, const uint16_t ports[2]);
unsigned shared_ports_free(struct shared_ports *p);
/* Ends reservations that ran out; the next time something is due. */
usec_t shared_ports_expire(struct shared_ports *p, usec_t now);
