/*
 * What strangers may cost. A request that proves nothing may come from a forged address, so a
 * source prefix (IPv4 /24, IPv6 /48) gets back no more bytes than it brought, but for a small
 * allowance per second without which nobody could begin (a 401 is longer than the request it
 * answers); and all prefixes together get no more than they brought but for a larger allowance.
 * Besides, a prefix has a number of requests a second. What proves to be reachable at its address
 * (a nonce of ours came back, or TCP's handshake was made) is only counted.
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
	unsigned requests_per_s;     /* of one prefix; 0: 400 */
	unsigned prefix_bytes_per_s; /* allowance of one prefix; 0: 8192 */
	unsigned all_bytes_per_s;    /* allowance of all together; 0: 1048576 */
};

struct turn_limit;
struct turn_limit *
turn_limit_create(const struct turn_limit_config *config,
		  struct rng *rng); /* NULL: no memory. A NULL config: the defaults */
void turn_limit_destroy(struct turn_limit *l);

/* May this unproved request be looked at? Books its bytes. */
bool turn_limit_request(struct turn_limit *l, usec_t now, const struct addr *from, size_t len);
/* May it get an answer of that many bytes? Books them when so. */
bool turn_limit_answer(struct turn_limit *l, usec_t now, const struct addr *from, size_t len);
