/* Shared by the files that make a verdict; nobody else includes this. */
#pragma once

#include "report/verdict.h"

/* What a network does to packets on their way out, as far as its end proves it. */
enum block { BLOCK_NONE, BLOCK_UDP, BLOCK_443_ONLY, BLOCK_PROXY_ONLY };

/* Why there is no direct route. */
enum obstacle {
	OBSTACLE_UNKNOWN,
	OBSTACLE_UNREPORTED, /* one end has not said anything yet */
	OBSTACLE_FILTERED,   /* UDP works at both ends, nothing passes between them */
	OBSTACLE_ONLY_RELAY, /* the policy's word */
	OBSTACLE_NO_PUNCHING,
	OBSTACLE_CHOICE,   /* an end offered nothing but its relay */
	OBSTACLE_WITHHELD, /* the ends were not told each other's public addresses */
	OBSTACLE_ISOLATED,
	OBSTACLE_BLOCKED,
	OBSTACLE_FAMILY,
	OBSTACLE_NAT,
};

enum relay_state { RELAY_UNTOLD, RELAY_OK, RELAY_REFUSED, RELAY_UNREACHED };

struct judge {
	const struct verdict_question *q;
	const struct route_seen *end[2]; /* console's, device's; never NULL */
	struct policy policy;		 /* complete */
	enum block block[2];
	enum relay_state relay[2];
	bool same_site; /* one public address, and different private ones */
	struct addr site;
	bool lan_silent;     /* packets between their private addresses were not answered */
	struct addr lan[2];  /* console's and device's such address */
	bool no_family;	     /* one has IPv4 alone, the other IPv6 alone */
	bool symmetric[2];   /* a new mapping for each destination */
	bool port_filter[2]; /* lets in only ports that were spoken to */
	enum obstacle obstacle;
	struct verdict_remedy spare; /* for those that are too many */
	struct verdict *v;
};

void judge_look(struct judge *j); /* fills what follows policy, up to obstacle */

enum verdict_side judge_blocked(const struct judge *j); /* which sides block something */

/* Adds to the sentence. */
void judge_say(struct judge *j, const char *fmt, ...) FL_PRINTF(2, 3);

/* Sentences and remedies; the verdict's method, transport, cause and side are set. */
void words_local(struct judge *j);
void words_punched(struct judge *j);
void words_relayed(struct judge *j);
void words_none(struct judge *j);
