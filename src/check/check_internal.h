/* Shared by the files of the check: check.c runs the probes, judge.c makes items of what they saw,
 * summary.c draws the conclusions. */
#pragma once

#include "check/check.h"
#include "check/query.h"
#include "check/visit.h"
#include "io/resolve.h"

#define NAMES_MAX (NEEDS_MAX + 2)
#define PROBES_MAX (NEEDS_MAX * 4)

struct name {
	struct check *check;
	char host[NEED_TEXT_MAX + 1];
	struct resolve *resolve;
	struct loop_timer limit;
	usec_t began, took;
	bool literal; /* an address, no name */
	bool done;
	enum check_cause cause;
	struct addr addrs[RESOLVE_MAX];
	size_t n;
};

enum probe_kind {
	PROBE_VISIT,	/* one of visit.h, both ways */
	PROBE_STUN,	/* a Binding */
	PROBE_TURN_UDP, /* an Allocate */
	PROBE_MTU,	/* follows a STUN that answered */
	PROBE_QUALITY,
	PROBE_NAT,
	PROBE_IPV6, /* the hub by IPv6 alone */
};

enum { DIRECT, BY_PROXY, WAYS };

struct probe {
	struct check *check;
	enum probe_kind kind;
	struct need need; /* what it is for */
	struct name *name;
	bool begun, done;
	bool followed; /* PROBE_STUN: what its answer makes worth asking is under way */
	/* PROBE_VISIT, PROBE_IPV6 */
	enum visit_kind visit_kind;
	const char *upgrade;
	bool tls;
	struct visit *visits[WAYS];
	struct visit_result results[WAYS];
	bool asked[WAYS], answered[WAYS];
	/* over UDP */
	struct query *ask;
	struct query_result asked_udp;
	struct nat *nat;
	struct nat_result nat_result;
	struct addr at;
};

struct check {
	struct loop *loop;
	struct check_config config;
	const struct check_handler *handler;
	void *arg;
	struct tls_context *tls, *tls_turn; /* by what they offer in ALPN */
	struct loop_timer first, end;
	struct loop_deferred later, release;
	usec_t began;
	struct needs needs;
	bool needs_known, stage_two, realtime, done, dead, later_set;
	enum check_cause needs_cause;
	char needs_why[160];
	struct name names[NAMES_MAX];
	size_t n_names;
	struct name *wildcard; /* the name that nobody has; NULL: not asked */
	struct probe *probes[PROBES_MAX];
	size_t n_probes;
	unsigned begun, finished;
	struct check_item items[CHECK_ITEMS_MAX];
	size_t n_items;
	struct check_summary summary;
};

/* The way that worked, else the one that tells more; -1: none was asked. */
int probe_best(const struct probe *p);
bool probe_ok(const struct probe *p);
bool probe_has_v6(const struct name *n);

void judge(struct check *c);
void summarize(struct check *c);
/* Who is known to sign certificates anew under that issuer's name, or NULL. */
const char *product_of(const char *issuer);
