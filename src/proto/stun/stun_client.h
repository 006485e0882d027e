/*
 * One client transaction (RFC 8489 §6.2): its id and, over a datagram transport, when to send
 * again. The owner builds and sends the message itself, once for each time stun_client_due() says
 * so, and ends the transaction when an answer with its id arrives.
 *
 * The first retransmission comes earlier than the RFC's 500 ms, which was chosen for congested
 * dial-up paths; the interval doubles up to a cap, so that the load stays as low over time.
 */
#pragma once

#include "base/rng.h"
#include "base/usec.h"
#include "proto/stun/stun.h"

#define STUN_RTO_US (100 * USEC_PER_MSEC)
#define STUN_RTO_MAX_US (1600 * USEC_PER_MSEC)
#define STUN_TRIES_MAX 7 /* Rc of the RFC: 100 … 1600, 1600: given up after 6.3 s */

struct stun_client {
	uint8_t tid[STUN_TID_LEN];
	bool running;
	unsigned tries, tries_max;
	usec_t rto_us, began, last_sent, due;
};

enum stun_client_step { STUN_CLIENT_WAIT, STUN_CLIENT_SEND, STUN_CLIENT_GIVE_UP };

/* A new id; the first message is due at once. rto_us 0: STUN_RTO_US. */
void stun_client_start(struct stun_client *c, struct rng *rng, usec_t now, usec_t rto_us);
/* The same over a reliable transport (§6.2.2): sent once, given up after timeout_us. */
void stun_client_start_once(struct stun_client *c, struct rng *rng, usec_t now, usec_t timeout_us);
/* What to do now. STUN_CLIENT_SEND counts as sent; after STUN_CLIENT_GIVE_UP it no longer runs. */
enum stun_client_step stun_client_due(struct stun_client *c, usec_t now);
/* USEC_NEVER when it does not run. */
usec_t stun_client_deadline(const struct stun_client *c);
bool stun_client_is(const struct stun_client *c, const struct stun_msg *answer);
/* The answer came: stops. Returns the time since the first message: the round trip when tries is 1,
 * else an upper bound of it (which message was answered is not known). */
usec_t stun_client_end(struct stun_client *c, usec_t now);
