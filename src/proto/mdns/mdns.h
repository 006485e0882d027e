/*
 * Multicast DNS for ICE candidates (RFC 6762, draft-ietf-mmusic-mdns-ice-candidates): browsers hide
 * their addresses behind names like 5b3cf0c4-8b1f-4b5e-9a55-0f4f5f0d8d11.local. The core learns the
 * addresses of such names, from announcements it overhears and by asking, and answers for names of
 * our own. Sans-IO, of the same shape as the ICE agent.
 *
 * Browsers answer only questions from port 5353 and only by multicast, so the driver joins
 * 224.0.0.251 and ff02::fb on port 5353, with address reuse, per interface, before signalling
 * begins; it sends with TTL 255 from the link's address in dgram.local.
 *
 * Hostile input: only names of that form are asked for, kept or answered. A message counts only
 * when it comes from an address on one of our links, an answer only from port 5353 (§11) and with
 * an address on one of our links. The cache, the questions and the output have named maxima.
 */
#pragma once

#include <stdbool.h>

#include "base/addr.h"
#include "base/dgram.h"
#include "base/rng.h"
#include "base/usec.h"
#include "base/util.h"

#define MDNS_PORT 5353
#define MDNS_GROUP_V4 "224.0.0.251"
#define MDNS_GROUP_V6 "ff02::fb"
#define MDNS_LINKS_MAX 16
#define MDNS_CACHE_MAX 128  /* addresses of others; those that end soonest give way */
#define MDNS_QUERIES_MAX 32 /* names asked for at the same time */
#define MDNS_OWN_MAX 32	    /* names of ours */
#define MDNS_OUTPUT_MAX 128 /* datagrams waiting for the driver */
#define MDNS_LABEL_LEN 36   /* a UUID as text */
#define MDNS_HOST_LEN 42    /* with ".local" */
#define MDNS_TTL_S 120	    /* §10: host records */

/* Whether it is a UUID and ".local", in any case: the only names this module deals with. */
bool mdns_is_name(const char *name);

struct mdns;

struct mdns *mdns_create(struct rng *rng); /* NULL: no memory. rng is kept, not owned */
void mdns_destroy(struct mdns *m);	   /* NULL is fine */

/* One address of an interface, to send from, and its network. 0; -EEXIST; FL_EQUOTA. */
int mdns_add_link(struct mdns *m, const struct addr *addr, unsigned prefix_bits) FL_WARN_UNUSED;
void mdns_clear_links(struct mdns *m);

/*
 * Asks on all links at 0, 100, 300 and 1000 ms. Each address found is an MDNS_EVENT_ADDRESS (a
 * cached one at once); none within 3 s is MDNS_EVENT_NOTHING. 0 (also when it is asked already);
 * FL_EUNSUPPORTED for other names; FL_EQUOTA.
 */
int mdns_resolve(struct mdns *m, usec_t now, const char *name) FL_WARN_UNUSED;

/* A new random name for an address of ours, announced and answered for until withdrawn. 0 or
 * FL_EQUOTA. */
int mdns_publish(struct mdns *m, usec_t now, const struct addr *addr,
		 char name[MDNS_HOST_LEN + 1]) FL_WARN_UNUSED;
void mdns_withdraw(struct mdns *m, usec_t now, const char *name); /* says goodbye (§10.1) */

void mdns_input(struct mdns *m, usec_t now, const struct dgram *d);
void mdns_timeout(struct mdns *m, usec_t now);
usec_t mdns_deadline(const struct mdns *m);
bool mdns_next_output(struct mdns *m, struct dgram *out); /* borrowed until the next call */

enum mdns_event_type { MDNS_EVENT_ADDRESS, MDNS_EVENT_NOTHING };

struct mdns_event {
	enum mdns_event_type type;
	char name[MDNS_HOST_LEN + 1]; /* lower case */
	struct addr addr;	      /* port 0 */
};

bool mdns_next_event(struct mdns *m, struct mdns_event *out);

struct mdns_stats {
	uint64_t queries_sent, answers_sent, addresses_learned;
	uint64_t malformed, off_link, wrong_port, over_limit; /* dropped */
};

const struct mdns_stats *mdns_stats(const struct mdns *m);
