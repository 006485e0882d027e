/*
 * The verdict on a session's route (docs/protocol.md §1.1): out of what both ends saw one cause,
 * one plain sentence, and the rules that would give a better route. A pure function: hub and
 * command line tell the same. It claims only what a report proves; where that is not enough the
 * cause is `unknown` and the sentence says so. Nothing of a report's text gets into it (seen.h).
 */
#pragma once

#include "policy/policy.h"
#include "report/seen.h"

enum verdict_cause {
	CAUSE_SAME_NETWORK,
	CAUSE_DIRECT,
	CAUSE_DIRECT_TCP,
	CAUSE_UDP_BLOCKED,
	CAUSE_UDP_AND_TCP_BLOCKED,
	CAUSE_PROXY_ONLY,
	CAUSE_NAT_SYMMETRIC,
	CAUSE_ISOLATED,
	CAUSE_NO_COMMON_FAMILY,
	CAUSE_POLICY,
	CAUSE_RELAY_UNREACHABLE,
	CAUSE_RELAY_REFUSED,
	CAUSE_PEER_SILENT,
	CAUSE_UNKNOWN,
	CAUSES
};

/* SIDE_CONSOLE | SIDE_DEVICE is both. */
enum verdict_side { SIDE_NONE, SIDE_CONSOLE, SIDE_DEVICE, SIDE_BOTH, SIDES };

enum verdict_gain { GAIN_RELAY_UDP, GAIN_PUNCHED, GAIN_LOCAL, GAIN_ANY };

#define VERDICT_RELAYS_MAX 4
#define VERDICT_REMEDIES_MAX 8
#define VERDICT_HOST_CAP 256

/* A relay by the name that goes into a firewall's rule. */
struct verdict_relay {
	char host[VERDICT_HOST_CAP];
	uint16_t port[SEEN_TRANSPORTS]; /* 0: not offered */
};

struct verdict_question {
	const struct route_seen *console, *device; /* NULL or not reported: nothing is known */
	bool device_last; /* the device's report is the newer one: counts when they differ */
	bool ended;	  /* no further report will come */
	const struct policy *policy; /* complete; NULL: everything is allowed */
	const struct verdict_relay *relays;
	size_t n_relays;
};

struct verdict_remedy {
	enum verdict_side side; /* console or device */
	bool tcp;		/* else UDP */
	char host[VERDICT_HOST_CAP], ports[32];
	enum verdict_gain gain;
	char text[VERDICT_HOST_CAP + 224];
};

struct verdict {
	enum seen_method method;
	enum seen_transport transport; /* without meaning for SEEN_NONE */
	enum verdict_cause cause;
	enum verdict_side side;
	bool final;
	char sentence[VERDICT_HOST_CAP + 1024];
	struct verdict_remedy remedy[VERDICT_REMEDIES_MAX];
	size_t n_remedies;
};

/* False: no end has reported, there is nothing to say. */
bool verdict_make(const struct verdict_question *q, struct verdict *out);

/* NULL: no memory. */
json_t *verdict_json(const struct verdict *v);

/* The words of docs/protocol.md; end with NULL. */
extern const char *const verdict_causes[CAUSES + 1],
	*const verdict_sides[SIDES + 1], *const verdict_methods[SEEN_METHODS + 1],
						 *const verdict_transports[SEEN_TRANSPORTS + 1];

/*
 * Adds a relay's URL as configured ("turns:relay.example.org:443?transport=tcp") to a list of
 * *n ≤ VERDICT_RELAYS_MAX; one entry a host. False: it is none, or the list is full.
 */
bool verdict_relay_add(struct verdict_relay relays[VERDICT_RELAYS_MAX], size_t *n, const char *url);
