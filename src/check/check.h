/*
 * What works from here: asks everything that a deployment needs (deploy/needs.h) at once, each with
 * a time limit of its own, and says of each what is wrong and what to do about it. All of it is
 * over within CHECK_LIMIT_US also where nothing answers.
 *
 * The hub comes first, because it has the list; when the caller has one, all starts together. Every
 * TCP service is tried directly and through the proxy when there is one; a service is fine when one
 * of the two ways is. What failed only because something else did is not told again: a name that
 * does not resolve is one item, not one for each service under it.
 *
 *	check_start() → on_progress … → on_done once; then check_items(), check_summary(), until
 *	check_destroy()
 *
 * Nothing secret is sent and nothing is kept at the hub or relay.
 */
#pragma once

#include <jansson.h>

#include "base/addr.h"
#include "check/cause.h"
#include "check/nat.h"
#include "deploy/needs.h"
#include "hublink/hub_url.h"
#include "io/loop.h"
#include "io/proxy.h"
#include "io/tls.h"

#define CHECK_LIMIT_US (8500 * USEC_PER_MSEC)
#define CHECK_ITEMS_MAX 640
#define CHECK_TEXT_MAX 256

struct check_config {
	const struct hub_url *url;
	const struct needs *needs; /* NULL: asked of the hub */
	const char *ca_file;	   /* beside the system's authorities; or NULL */
	const char *hub_key;	   /* as pinned at enrolment; or NULL */
	const char *region;	   /* only what concerns it; NULL: all */
	/* The proxy for a host, borrowed; NULL: directly. May be NULL itself */
	struct proxy *(*proxy_for)(void *arg, const char *host);
	void *proxy_arg;
	const char *proxy_found; /* how it was found ("environment", "pac"); "" or NULL: not told */
};

struct check_item {
	char id[NEED_TEXT_MAX + 64]; /* stays the same: need_id() and the step, "dns:host" … */
	char host[NEED_TEXT_MAX + 1];
	uint16_t port;	      /* 0: of none */
	const char *protocol; /* "dns", "tcp", "tls", "https", "wss", "stun", "turn" … */
	enum need_weight weight;
	bool ok;
	enum check_cause cause;
	bool by_proxy;
	char fix[CAUSE_FIX_MAX];
	char seen[CHECK_TEXT_MAX]; /* a few words; hostile text made printable */
	double ms;		   /* negative: not measured */
};

enum check_works { CHECK_UNKNOWN, CHECK_WORKS, CHECK_FAILS };

struct check_method {
	enum check_works works;
	char why[CHECK_TEXT_MAX];
};

struct check_summary {
	bool ok; /* all that is required, and one way to the relay if it has any */
	struct check_method local, punched, relayed;
	struct {
		bool found, works;
		char url[CHECK_TEXT_MAX];
	} proxy;
	struct {
		bool found;
		char issuer[CHECK_TEXT_MAX], product[64];
	} inspection;
	struct {
		enum stun_nat_mapping mapping;
		enum stun_nat_filtering filtering;
		struct addr mapped;	   /* family ADDR_NONE: unknown */
		char odds[CHECK_TEXT_MAX]; /* of hole punching, a sentence */
	} nat;
	char hub_key[64]; /* "" when it was not shown */
	usec_t took_us;
};

struct check;

struct check_handler {
	void (*on_progress)(void *arg, unsigned done, unsigned begun); /* or NULL */
	void (*on_done)(void *arg);
};

/* 0; -ENOMEM; FL_ETLS with a sentence in why. config is copied, what it points at borrowed. */
int check_start(struct loop *loop, const struct check_config *config,
		const struct check_handler *handler, void *arg, struct check **out,
		char why[256]) FL_WARN_UNUSED;
void check_destroy(struct check *c); /* NULL is fine; from inside on_progress not */

/* After on_done. What failed comes where it belongs, not first. */
const struct check_item *check_items(const struct check *c, size_t *n);
const struct check_summary *check_summary(const struct check *c);
/* Failed items, what matters most first; at most cap. How many. */
size_t check_changes(const struct check *c, const struct check_item **out, size_t cap);

/* docs/check.md has the shape. NULL: no memory. */
json_t *check_json(const struct check *c);
