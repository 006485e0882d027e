/* What follows from the items: which methods work, and what to change first. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/text.h"
#include "check/check_internal.h"
#include "io/ifaces.h"

/* Words in the issuer's name of certificates that such products make. */
static const struct {
	const char *sign, *product;
} products[] = {
	{ "fortinet", "Fortinet FortiGate" },
	{ "fortigate", "Fortinet FortiGate" },
	{ "zscaler", "Zscaler" },
	{ "palo alto", "Palo Alto Networks" },
	{ "umbrella", "Cisco Umbrella" },
	{ "sophos", "Sophos" },
	{ "netskope", "Netskope" },
	{ "goskope", "Netskope" },
	{ "blue coat", "Symantec Blue Coat" },
	{ "bluecoat", "Symantec Blue Coat" },
	{ "forcepoint", "Forcepoint" },
	{ "websense", "Forcepoint" },
	{ "barracuda", "Barracuda" },
	{ "check point", "Check Point" },
	{ "watchguard", "WatchGuard" },
	{ "fireware", "WatchGuard" },
	{ "sonicwall", "SonicWall" },
	{ "smoothwall", "Smoothwall" },
	{ "lightspeed", "Lightspeed Filter" },
	{ "securly", "Securly" },
	{ "iboss", "iboss" },
	{ "contentkeeper", "ContentKeeper" },
	{ "untangle", "Untangle" },
	{ "kaspersky", "Kaspersky" },
	{ "eset ssl filter", "ESET" },
	{ "avast", "Avast" },
	{ "bitdefender", "Bitdefender" },
	{ "mitmproxy", "mitmproxy" },
	{ "squid", "Squid" },
	{ "charles proxy", "Charles" },
	{ "do_not_trust_fiddler", "Fiddler" },
};

const char *product_of(const char *issuer)
{
	size_t len = strlen(issuer);

	for (size_t p = 0; p < ARRAY_LEN(products); p++) {
		size_t sign = strlen(products[p].sign);

		for (size_t i = 0; i + sign <= len; i++)
			if (strncasecmp(issuer + i, products[p].sign, sign) == 0)
				return products[p].product;
	}
	return NULL;
}

/* ---- methods ---- */

static void set_method(struct check_method *m, enum check_works works, const char *why)
{
	m->works = works;
	text_copy(m->why, sizeof(m->why), why);
}

static bool hub_works(const struct check *c)
{
	for (size_t i = 0; i < c->n_items; i++)
		if (c->items[i].weight == NEED_REQUIRED && !c->items[i].ok &&
		    strcasecmp(c->items[i].host, c->probes[0]->need.host) == 0)
			return false;
	return true;
}

static bool has_network(void)
{
	FL_AUTOFREE struct iface *list = calloc(IFACES_MAX, sizeof(*list));
	int n = list ? ifaces_list(list, IFACES_MAX) : 0;

	for (int i = 0; i < n; i++)
		if (!list[i].loopback && addr_range(&list[i].addr) != ADDR_LINK_LOCAL)
			return true;
	return false;
}

static bool is_relay(const struct probe *p)
{
	return p->kind == PROBE_TURN_UDP ||
	       (p->kind == PROBE_VISIT &&
		(p->visit_kind == VISIT_TURN || p->visit_kind == VISIT_TURN_WSS));
}

static bool relay_works(const struct probe *p)
{
	return p->kind == PROBE_TURN_UDP ? p->asked_udp.answered > 0 : probe_ok(p);
}

static void judge_relayed(struct check *c)
{
	char why[CHECK_TEXT_MAX], ways[128] = "";
	unsigned asked = 0, fine = 0;

	for (size_t i = 0; i < c->n_probes; i++) {
		const struct probe *p = c->probes[i];

		if (!is_relay(p))
			continue;
		asked++;
		if (!relay_works(p))
			continue;
		fine++;
		if (!strstr(ways, need_kind_name(p->need.kind) + 5)) {
			size_t len = strlen(ways);

			snprintf(ways + len, sizeof(ways) - len, "%s%s", len ? ", " : "",
				 need_kind_name(p->need.kind) + 5); /* behind "turn-" */
		}
	}
	snprintf(why, sizeof(why), "the relay answers over %s", ways);
	if (!asked)
		set_method(&c->summary.relayed, CHECK_UNKNOWN,
			   c->needs_known ? "the hub names no relay"
					  : "the hub's list of relays is not known");
	else
		set_method(&c->summary.relayed, fine ? CHECK_WORKS : CHECK_FAILS,
			   fine ? why : "the relay is reached in none of its ways");
}

static bool has_cause(const struct check *c, enum check_cause cause)
{
	for (size_t i = 0; i < c->n_items; i++)
		if (c->items[i].cause == cause)
			return true;
	return false;
}

static const char *odds_of(const struct check *c)
{
	if (has_cause(c, CAUSE_UDP_TO_OTHERS))
		return "none: UDP passes only to the STUN server";
	switch (c->summary.nat.mapping) {
	case STUN_NAT_MAPPING_NONE:
		return "very good: there is no address translation here";
	case STUN_NAT_MAPPING_INDEPENDENT:
		return "good: the router keeps one outside port for each inside port";
	case STUN_NAT_MAPPING_ADDRESS:
	case STUN_NAT_MAPPING_PORT:
		return "fair: the router changes the port for each destination, so it works only "
		       "with ends whose router does not";
	case STUN_NAT_MAPPING_UNKNOWN:
		break;
	}
	return "not known: the STUN server has only one address, which cannot tell";
}

static void judge_punched(struct check *c)
{
	bool asked = false, answered = false;
	const char *odds;

	for (size_t i = 0; i < c->n_probes; i++)
		if (c->probes[i]->kind == PROBE_STUN) {
			asked = true;
			answered |= c->probes[i]->asked_udp.answered > 0;
		}
	if (!asked) {
		set_method(&c->summary.punched, CHECK_UNKNOWN,
			   c->needs_known ? "the hub names no STUN server"
					  : "the hub's list of STUN servers is not known");
		return;
	}
	if (!answered) {
		set_method(&c->summary.punched, CHECK_FAILS, "no STUN server answers over UDP");
		return;
	}
	odds = odds_of(c);
	text_copy(c->summary.nat.odds, sizeof(c->summary.nat.odds), odds);
	set_method(&c->summary.punched,
		   has_cause(c, CAUSE_UDP_TO_OTHERS) ? CHECK_FAILS
		   : c->summary.nat.mapping == STUN_NAT_MAPPING_NONE ||
				   c->summary.nat.mapping == STUN_NAT_MAPPING_INDEPENDENT
			   ? CHECK_WORKS
			   : CHECK_UNKNOWN,
		   odds);
}

/* ---- all ---- */

static bool group_works(const struct check *c, const char *protocol)
{
	bool asked = false;

	for (size_t i = 0; i < c->n_items; i++) {
		if (strcmp(c->items[i].protocol, protocol) != 0)
			continue;
		asked = true;
		if (c->items[i].ok)
			return true;
	}
	return !asked;
}

void summarize(struct check *c)
{
	struct check_summary *s = &c->summary;

	if (has_network())
		set_method(&s->local, CHECK_UNKNOWN,
			   "works where UDP passes between the two computers; one of them alone "
			   "cannot tell");
	else
		set_method(&s->local, CHECK_FAILS, "this machine is in no network");
	judge_punched(c);
	judge_relayed(c);
	s->ok = group_works(c, "wss") && s->relayed.works != CHECK_FAILS;
	for (size_t i = 0; i < c->n_items; i++)
		s->ok &= c->items[i].ok || c->items[i].weight != NEED_REQUIRED;
	if (!hub_works(c)) {
		set_method(&s->local, CHECK_FAILS, "no session begins without the hub");
		set_method(&s->punched, CHECK_FAILS, "no session begins without the hub");
		set_method(&s->relayed, CHECK_FAILS, "no session begins without the hub");
	}
}

/* Without which nothing works, then what all of a group needs, then what would be better. */
static unsigned urgency(const struct check *c, const struct check_item *i)
{
	bool wss = strcmp(i->protocol, "wss") == 0;

	switch (i->weight) {
	case NEED_REQUIRED:
		return 0;
	case NEED_ONE_OF:
		if (wss)
			return group_works(c, "wss") ? 4 : 1;
		return c->summary.relayed.works == CHECK_FAILS ? 1 : 3;
	case NEED_BETTER:
		return i->cause == CAUSE_LOSS || i->cause == CAUSE_LATENCY ? 3 : 2;
	case NEED_RESERVED:
		break;
	}
	return 5;
}

size_t check_changes(const struct check *c, const struct check_item **out, size_t cap)
{
	size_t n = 0;

	for (unsigned level = 0; level <= 5; level++)
		for (size_t i = 0; i < c->n_items && n < cap; i++)
			if (!c->items[i].ok && urgency(c, &c->items[i]) == level)
				out[n++] = &c->items[i];
	return n;
}
