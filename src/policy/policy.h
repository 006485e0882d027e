/*
 * Route policies: what an administrator allows (docs/protocol.md §1.2). Parsing with errors that
 * name the key and the cause, inheritance from one node to the next, and formatting. What a policy
 * says is done elsewhere: the hub withholds relays and divides budgets, libfairlead keeps to the
 * rest. Values without pointers: copied by assignment.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/span.h"
#include "base/util.h"

#define POLICY_LIST_MAX 16
#define POLICY_TEXT_CAP 48	    /* one pattern or subnet with its 0 */
#define POLICY_WHY_CAP 160	    /* one sentence about one key */
#define POLICY_KBIT_MAX 100000000   /* 100 Gbit/s; more is a typing mistake */
#define POLICY_TEXT_MAX (16 * 1024) /* bytes of a policy as JSON */

/* The keys that one node may have; a key that it does not have comes from the node above. */
enum policy_key {
	POLICY_METHODS = 1 << 0,
	POLICY_RELAY = 1 << 1,
	POLICY_TURN_TRANSPORTS = 1 << 2,
	POLICY_INTERFACES_PREFER = 1 << 3,
	POLICY_INTERFACES_EXCLUDE = 1 << 4,
	POLICY_SUBNETS_PREFER = 1 << 5,
	POLICY_SUBNETS_EXCLUDE = 1 << 6,
	POLICY_UDP_PORTS = 1 << 7,
	POLICY_DSCP = 1 << 8,
	POLICY_DEVICE_KBIT = 1 << 9,
	POLICY_SITE_KBIT = 1 << 10,
};

enum policy_relay { POLICY_RELAY_ALLOWED, POLICY_RELAY_LAST_RESORT, POLICY_RELAY_FORBIDDEN };
enum policy_method { POLICY_LOCAL, POLICY_PUNCHED, POLICY_RELAYED, POLICY_METHOD_COUNT };
enum policy_turn { POLICY_UDP, POLICY_TCP, POLICY_TLS, POLICY_WSS, POLICY_TURN_COUNT };

struct policy_list {
	unsigned n;
	char items[POLICY_LIST_MAX][POLICY_TEXT_CAP];
};

struct policy {
	unsigned keys; /* enum policy_key; what is not set here has no meaning below */
	bool methods[POLICY_METHOD_COUNT];
	enum policy_relay relay;
	bool turn[POLICY_TURN_COUNT];
	struct policy_list prefer_interfaces, exclude_interfaces; /* shell patterns: * and ? */
	struct policy_list prefer_subnets, exclude_subnets;	  /* "address/bits" */
	uint16_t port_min, port_max;				  /* 0, 0: any */
	uint8_t dscp;						  /* RFC 2474 */
	uint32_t device_kbit, site_kbit;			  /* per second; 0: no limit */
};

/* How unknown keys are met: the hub refuses an administrator's typing mistake, the ends pass over
 * what a later hub may say. */
enum policy_unknown { POLICY_REFUSE_UNKNOWN, POLICY_SKIP_UNKNOWN };

/*
 * 0, or FL_EMALFORMED with a sentence that begins with the key ("policy.dscp is not between 0 and
 * 63"). why never repeats what was sent.
 */
int policy_parse(const json_t *value, enum policy_unknown unknown, struct policy *out,
		 char why[POLICY_WHY_CAP]) FL_WARN_UNUSED;
/* The same from text. */
int policy_parse_text(struct span text, enum policy_unknown unknown, struct policy *out,
		      char why[POLICY_WHY_CAP]) FL_WARN_UNUSED;

/* The keys it has, as an object; NULL: no memory. */
json_t *policy_json(const struct policy *p);
/* A string that the caller frees; NULL: no memory. */
char *policy_text(const struct policy *p);

/* Takes the keys that p does not have from above. */
void policy_inherit(struct policy *p, const struct policy *above);
/* Gives p every key: the defaults of docs/protocol.md §1.2 where it has none. */
void policy_complete(struct policy *p);

/* Of a complete policy: may its sessions go through a relay at all. */
bool policy_relays(const struct policy *p);

/* Of a complete policy: what a session may use while it is the only one; 0: no limit. */
uint32_t policy_kbit(const struct policy *p);

/* "10.0.0.0/8"; false when it is none. */
bool policy_subnet(const char *text, struct addr *base, unsigned *bits);

extern const char *const policy_method_names[POLICY_METHOD_COUNT + 1]; /* end with NULL */
extern const char *const policy_turn_names[POLICY_TURN_COUNT + 1];
extern const char *const policy_relay_names[];
