/*
 * What strangers may cost. A request that proves nothing may come from a forged address, so a
 * source prefix (IPv4 /24, IPv6 /48) gets back no more bytes than it brought, but for an advance
 * without which nobody could begin (a 401 is longer than the request it answers). What was advanced
 * is paid back by whatever the prefix brings later, also by requests that do prove themselves (a
 * nonce of ours came back), and slowly by time. All prefixes together have an advance, too. So an
 * honest site is never short of answers, and a forged address earns next to nothing. Besides, a
 * prefix has a number of requests a second.
 *
 * The table is of fixed size and keyed: prefixes that share a slot share its limit, and nobody can
 * choose a neighbour.
 */
#pragma once

#include "base/addr.h"
#include "base/rng.h"
#include "base/usec.h"
#include "base/util.h"

#define TURN_LIMIT_SLOTS 4096

struct turn_limit_config {
	unsigned requests_per_s; /* of one prefix; 0: 400 */
	/* the advance at most, and how fast time pays it back; 0: 8192 and 512 */
	unsigned prefix_bytes, prefix_bytes_per_s;
	unsigned all_bytes, all_bytes_per_s; /* of all together; 0: 524288 and 65536 */
};

struct turn_limit;
struct turn_limit *
turn_limit_create(const struct turn_limit_config *config,
		  struct rng *rng); /* NULL: no memory. A NULL config: the defaults */
void turn_limit_destroy(struct turn_limit *l);

/* May this unproved request be looked at? Books its bytes. */
bool turn_limit_request(struct turn_limit *l, usec_t now, const struct addr *from, size_t len);
/* A request that proved itself: only its bytes are booked. */
void turn_limit_proved(struct turn_limit *l, usec_t now, const struct addr *from, size_t len);
/* May an unproved one get an answer of that many bytes? Books them when so. */
bool turn_limit_answer(struct turn_limit *l, usec_t now, const struct addr *from, size_t len);
