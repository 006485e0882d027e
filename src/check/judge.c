/*
 * From what the probes saw to items: one for each step that was come to, failed ones with the cause
 * that is behind all of it. A fault has one item for each service that it hits, and what follows
 * from it has none.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/text.h"
#include "check/check_internal.h"
#include "io/ifaces.h"

#define CLOCK_MAX_MS 60000
#define LOST_MAX 1 /* of the pings: one may go under without a fault */
#define LATENCY_MAX_US (400 * USEC_PER_MSEC)

/* ---- items ---- */

static struct check_item *add(struct check *c, const char *host, uint16_t port,
			      const char *protocol, enum need_weight weight)
{
	struct check_item *i;

	if (c->n_items == CHECK_ITEMS_MAX)
		return NULL;
	i = &c->items[c->n_items++];
	*i = (struct check_item){
		.port = port, .protocol = protocol, .weight = weight, .ok = true, .ms = -1
	};
	text_copy(i->host, sizeof(i->host), host);
	return i;
}

static void set_cause(struct check_item *i, enum check_cause cause, bool udp, const char *by)
{
	struct cause_at at = { .host = i->host, .port = i->port, .udp = udp, .by = by };

	i->ok = cause == CAUSE_NONE;
	i->cause = cause;
	if (!i->ok)
		cause_fix(cause, &at, i->fix);
}

static double ms_of(usec_t us)
{
	return (double)us / 1000.0;
}

/* ---- proxies ---- */

static const char *proxy_url(const struct check *c, const char *host)
{
	struct proxy *p = c->config.proxy_for ? c->config.proxy_for(c->config.proxy_arg, host)
					      : NULL;

	return p ? proxy_text(p) : "";
}

/* What the proxy has against one destination says nothing about the proxy. */
static bool is_proxy_fault(enum check_cause cause)
{
	return cause_is_proxy(cause) && cause != CAUSE_PROXY_DENIED && cause != CAUSE_PROXY_TARGET;
}

static void judge_proxy(struct check *c)
{
	enum check_cause cause = CAUSE_NONE;
	const char *url = "";
	char id[NEED_TEXT_MAX + 64];
	bool asked = false, passed = false, needed = false;
	struct check_item *i;

	for (size_t n = 0; n < c->n_probes; n++) {
		const struct probe *p = c->probes[n];
		const struct visit_result *r = &p->results[BY_PROXY];

		if (!p->asked[BY_PROXY])
			continue;
		asked = true;
		if (!*url)
			url = proxy_url(c, p->need.host);
		if (p->answered[BY_PROXY] && !is_proxy_fault(r->cause))
			passed = true;
		else if (cause == CAUSE_NONE)
			cause = p->answered[BY_PROXY] ? r->cause : CAUSE_PROXY_TIMEOUT;
		if (p->visit_kind == VISIT_HUB && p->results[DIRECT].reached != VISIT_DONE)
			needed = true;
	}
	if (!asked)
		return;
	c->summary.proxy.found = true;
	c->summary.proxy.works = passed;
	text_copy(c->summary.proxy.url, sizeof(c->summary.proxy.url), url);
	i = add(c, "", 0, "proxy", needed ? NEED_REQUIRED : NEED_BETTER);
	if (!i)
		return;
	snprintf(id, sizeof(id), "proxy:%.250s", url);
	text_copy(i->id, sizeof(i->id), id);
	set_cause(i, passed ? CAUSE_NONE : cause, false, url);
	text_copy(i->seen, sizeof(i->seen), url);
}

/* ---- names ---- */

static bool same_addrs(const struct name *a, const struct name *b)
{
	for (size_t i = 0; i < a->n; i++)
		for (size_t k = 0; k < b->n; k++)
			if (addr_ip_equal(&a->addrs[i], &b->addrs[k]))
				return true;
	return false;
}

static bool is_public(const struct addr *a)
{
	enum addr_range range = addr_range(a);

	return range == ADDR_PUBLIC ||
	       range == ADDR_RESERVED; /* documentation's, in laboratories */
}

/* Whether some other name of the deployment has a public address: then a private one is odd. */
static bool others_are_public(const struct check *c, const struct name *n)
{
	for (size_t i = 0; i < c->n_names; i++) {
		const struct name *o = &c->names[i];

		if (o != n && o != c->wildcard && o->n > 0 && is_public(&o->addrs[0]))
			return true;
	}
	return false;
}

static bool is_sinkhole(const struct check *c, const struct name *n)
{
	enum addr_range range = n->n ? addr_range(&n->addrs[0]) : ADDR_PUBLIC;
	size_t len = strlen(n->host);
	bool local = strcasecmp(n->host, "localhost") == 0 ||
		     (len > 10 && strcasecmp(n->host + len - 10, ".localhost") == 0);

	if (n->literal || n->n == 0 || local)
		return false;
	if (range == ADDR_UNSPECIFIED || range == ADDR_LOOPBACK)
		return true;
	return (range == ADDR_PRIVATE || range == ADDR_LINK_LOCAL) && others_are_public(c, n);
}

static bool probe_failed(const struct probe *p)
{
	switch (p->kind) {
	case PROBE_VISIT:
		return !probe_ok(p) ||
		       (p->results[probe_best(p)].tls_cause != CAUSE_NONE &&
			p->visit_kind != VISIT_TURN && p->visit_kind != VISIT_TURN_WSS);
	case PROBE_STUN:
	case PROBE_TURN_UDP:
		return !p->asked_udp.answered;
	case PROBE_MTU:
	case PROBE_QUALITY:
	case PROBE_NAT:
	case PROBE_IPV6:
		return false;
	}
	return false;
}

/* All that stands behind the name failed. */
static bool all_failed(const struct check *c, const struct name *n)
{
	for (size_t i = 0; i < c->n_probes; i++)
		if (c->probes[i]->name == n && c->probes[i]->kind != PROBE_IPV6 &&
		    !probe_failed(c->probes[i]))
			return false;
	return true;
}

static enum check_cause name_cause(const struct check *c, const struct name *n)
{
	if (!all_failed(c, n))
		return CAUSE_NONE; /* if the name server knew nothing the proxy's did */
	if (n->cause != CAUSE_NONE || !n->done)
		return n->done ? n->cause : CAUSE_DNS_SILENT;
	if (c->wildcard && c->wildcard->n && same_addrs(n, c->wildcard))
		return CAUSE_DNS_WILDCARD;
	return is_sinkhole(c, n) ? CAUSE_DNS_PRIVATE : CAUSE_NONE;
}

static enum need_weight name_weight(const struct check *c, const struct name *n)
{
	enum need_weight weight = NEED_BETTER;

	for (size_t i = 0; i < c->n_probes; i++)
		if (c->probes[i]->name == n && c->probes[i]->need.weight < weight)
			weight = c->probes[i]->need.weight;
	return weight;
}

static void judge_name(struct check *c, const struct name *n)
{
	struct check_item *i;
	char at[ADDR_TEXT_MAX];

	if (n->literal)
		return;
	i = add(c, n->host, 0, "dns", n == c->wildcard ? NEED_BETTER : name_weight(c, n));
	if (!i)
		return;
	if (n == c->wildcard) {
		text_copy(i->id, sizeof(i->id), "dns-wildcard");
		i->host[0] = 0;
		set_cause(i, n->n ? CAUSE_DNS_WILDCARD : CAUSE_NONE, true, "");
		snprintf(i->seen, sizeof(i->seen), n->n ? "%s is said to be at %s" : "%.0s%.0s",
			 n->host, n->n ? addr_format_ip(&n->addrs[0], at) : "");
		return;
	}
	snprintf(i->id, sizeof(i->id), "dns:%s", n->host);
	set_cause(i, name_cause(c, n), true, "");
	if (n->n)
		addr_format_ip(&n->addrs[0], i->seen);
	else if (i->ok)
		text_copy(i->seen, sizeof(i->seen), "resolved by the proxy alone");
	if (n->done)
		i->ms = ms_of(n->took);
}

/* ---- TLS ---- */

static bool is_zero(const uint8_t digest[32])
{
	static const uint8_t zero[32];

	return memcmp(digest, zero, sizeof(zero)) == 0;
}

/* What the hub says of its certificate, where it proved who it is. */
static const struct visit_result *proof_of(const struct check *c)
{
	const struct probe *hub = c->probes[0];
	int best = probe_best(hub);
	const struct visit_result *r = best < 0 ? NULL : &hub->results[best];

	return r && r->proved && r->identity == CAUSE_NONE && !is_zero(r->hub_spki) ? r : NULL;
}

static bool hub_is_inspected(const struct check *c)
{
	const struct visit_result *r = proof_of(c);

	return r && memcmp(r->hub_spki, r->spki, sizeof(r->spki)) != 0;
}

static bool is_inspected(const struct check *c, const struct probe *p, const struct visit_result *r)
{
	const struct visit_result *proof = proof_of(c);

	if (product_of(r->issuer))
		return true;
	if (p == c->probes[0] || p->visit_kind == VISIT_HUB)
		return hub_is_inspected(c);
	return hub_is_inspected(c) && proof && strcmp(proof->issuer, r->issuer) == 0;
}

static bool is_page(enum check_cause cause)
{
	return cause == CAUSE_CAPTIVE_PORTAL || cause == CAUSE_FILTER_PAGE;
}

static bool clock_is_off(const struct visit_result *r)
{
	return r->timed && llabs((long long)r->clock_off_ms) > CLOCK_MAX_MS;
}

static enum check_cause certificate_cause(const struct check *c, const struct probe *p,
					  const struct visit_result *r)
{
	const struct visit_result *hub = &c->probes[0]->results[DIRECT];

	if (p->visit_kind == VISIT_TURN || p->visit_kind == VISIT_TURN_WSS)
		return CAUSE_NONE; /* not what protects there: sessions are sealed end to end */
	if (is_page(r->cause))
		return CAUSE_NONE; /* whose certificate that is goes without saying */
	if ((r->tls_cause == CAUSE_TLS_EXPIRED || r->tls_cause == CAUSE_TLS_NOT_YET_VALID) &&
	    (clock_is_off(r) || clock_is_off(hub)))
		return CAUSE_NONE; /* the clock has an item of its own */
	if (r->tls_cause == CAUSE_TLS_ISSUER && is_inspected(c, p, r))
		return CAUSE_INSPECTION;
	return r->tls_cause;
}

static void note_inspection(struct check *c, const struct visit_result *r)
{
	const char *product = product_of(r->issuer);

	if (c->summary.inspection.found)
		return;
	c->summary.inspection.found = true;
	text_copy(c->summary.inspection.issuer, sizeof(c->summary.inspection.issuer), r->issuer);
	text_copy(c->summary.inspection.product, sizeof(c->summary.inspection.product),
		  product ? product : "");
}

/* ---- connections ---- */

static const char *app_step(const struct probe *p)
{
	switch (p->visit_kind) {
	case VISIT_HUB:
	case VISIT_STORE:
		return "https";
	case VISIT_WEBSOCKET:
		return p->upgrade;
	case VISIT_TURN:
	case VISIT_TURN_WSS:
		return "turn";
	}
	return "";
}

static struct check_item *add_step(struct check *c, const struct probe *p, const char *step,
				   const char *protocol)
{
	struct check_item *i = add(c, p->need.host, p->need.port_min, protocol, p->need.weight);
	char id[NEED_TEXT_MAX + 32];

	if (!i)
		return NULL;
	need_id(&p->need, id);
	snprintf(i->id, sizeof(i->id), "%s/%s", id, step);
	i->by_proxy = probe_best(p) == BY_PROXY;
	return i;
}

static void judge_tls(struct check *c, const struct probe *p, const struct visit_result *r)
{
	struct check_item *i = add_step(c, p, "tls", "tls");
	enum check_cause cause = r->reached == VISIT_TLS ? r->cause : certificate_cause(c, p, r);

	if (!i)
		return;
	if (cause == CAUSE_INSPECTION)
		note_inspection(c, r);
	set_cause(i, cause, false, r->issuer);
	if (r->reached == VISIT_TLS)
		text_copy(i->seen, sizeof(i->seen), r->seen);
	else if (r->issuer[0])
		snprintf(i->seen, sizeof(i->seen), "signed by %s", r->issuer);
	if (r->reached != VISIT_TLS)
		i->ms = ms_of(r->open_us);
}

static void judge_app(struct check *c, const struct probe *p, const struct visit_result *r)
{
	struct check_item *i = add_step(c, p, app_step(p),
					p->visit_kind == VISIT_WEBSOCKET  ? "wss"
					: p->visit_kind == VISIT_TURN	  ? "turn"
					: p->visit_kind == VISIT_TURN_WSS ? "turn"
									  : "https");

	if (!i)
		return;
	if (p->visit_kind == VISIT_WEBSOCKET)
		i->weight = NEED_ONE_OF;
	set_cause(i, r->reached == VISIT_DONE ? CAUSE_NONE : r->cause, false,
		  proxy_url(c, p->need.host));
	text_copy(i->seen, sizeof(i->seen), r->seen);
	if (r->reached == VISIT_DONE)
		i->ms = ms_of(r->answer_us);
}

static void judge_visit(struct check *c, const struct probe *p)
{
	int best = probe_best(p);
	struct visit_result r;
	struct check_item *i;

	if (best < 0 || name_cause(c, p->name) != CAUSE_NONE)
		return; /* the name's item tells */
	r = p->results[best];
	if (!p->answered[best])
		r.cause = best == BY_PROXY ? CAUSE_PROXY_TIMEOUT : CAUSE_TCP_TIMEOUT;
	if (p->visit_kind != VISIT_WEBSOCKET || r.reached == VISIT_TCP) {
		i = add_step(c, p, "tcp", "tcp");
		if (!i)
			return;
		set_cause(i, r.reached == VISIT_TCP ? r.cause : CAUSE_NONE, false,
			  proxy_url(c, p->need.host));
		if (r.reached == VISIT_TCP)
			text_copy(i->seen, sizeof(i->seen), r.seen);
		else if (best == DIRECT)
			addr_format(&r.at, i->seen);
		if (!p->tls && r.reached != VISIT_TCP)
			i->ms = ms_of(r.open_us);
	}
	if (p->tls && r.reached != VISIT_TCP &&
	    (p->visit_kind != VISIT_WEBSOCKET || r.reached == VISIT_TLS))
		judge_tls(c, p, &r);
	if (r.reached == VISIT_APP || r.reached == VISIT_DONE)
		judge_app(c, p, &r);
}

/* ---- what the hub says of itself ---- */

static void judge_identity(struct check *c, const struct visit_result *r)
{
	struct check_item *i;

	if (!r->proved && r->identity == CAUSE_NONE)
		return;
	i = add_step(c, c->probes[0], "identity", "https");
	if (!i)
		return;
	set_cause(i, r->identity, false, "");
	if (r->proved)
		snprintf(i->seen, sizeof(i->seen), "the hub's key is %s", r->hub_key);
	text_copy(c->summary.hub_key, sizeof(c->summary.hub_key), r->hub_key);
	if (r->tls_cause != CAUSE_NONE || !hub_is_inspected(c))
		return;
	i = add_step(c, c->probes[0], "inspection", "tls");
	if (!i)
		return;
	i->weight = NEED_BETTER;
	set_cause(i, CAUSE_INSPECTION_TRUSTED, false, r->issuer);
	snprintf(i->seen, sizeof(i->seen), "signed by %s", r->issuer);
	note_inspection(c, r);
}

static void judge_clock(struct check *c, const struct visit_result *r)
{
	struct check_item *i;
	bool breaks = r->tls_cause == CAUSE_TLS_EXPIRED || r->tls_cause == CAUSE_TLS_NOT_YET_VALID;
	bool off = clock_is_off(r);
	long long seconds = llabs((long long)r->clock_off_ms) / 1000;

	if (!r->timed)
		return;
	i = add(c, "", 0, "clock", off && breaks ? NEED_REQUIRED : NEED_BETTER);
	if (!i)
		return;
	text_copy(i->id, sizeof(i->id), "clock");
	set_cause(i, off ? CAUSE_CLOCK_OFF : CAUSE_NONE, false, "");
	if (off)
		snprintf(i->seen, sizeof(i->seen), "%lld s %s the hub's", seconds,
			 r->clock_off_ms > 0 ? "ahead of" : "behind");
}

static void judge_hub(struct check *c)
{
	int best = probe_best(c->probes[0]);
	const struct visit_result *r = best < 0 ? NULL : &c->probes[0]->results[best];
	struct check_item *i;

	if (!r || r->reached != VISIT_DONE)
		return;
	judge_identity(c, r);
	judge_clock(c, r);
	if (c->needs_known && c->needs_cause == CAUSE_NONE)
		return;
	i = add_step(c, c->probes[0], "network", "https");
	if (i) {
		set_cause(i, CAUSE_NETWORK_LIST, false, "");
		text_copy(i->seen, sizeof(i->seen), c->needs_why);
	}
}

static bool has_global_v6(void)
{
	FL_AUTOFREE struct iface *list = calloc(IFACES_MAX, sizeof(*list));
	int n = list ? ifaces_list(list, IFACES_MAX) : 0;

	for (int i = 0; i < n; i++)
		if (list[i].addr.family == ADDR_V6 && is_public(&list[i].addr))
			return true;
	return false;
}

static void judge_ipv6(struct check *c, const struct probe *p)
{
	struct check_item *i = add(c, p->need.host, p->need.port_min, "ipv6", NEED_BETTER);
	bool here = has_global_v6(), there = probe_has_v6(p->name);
	bool tcp = p->asked[DIRECT] && p->results[DIRECT].reached != VISIT_TCP;
	bool v4 = probe_ok(c->probes[0]);

	if (!i)
		return;
	text_copy(i->id, sizeof(i->id), "ipv6");
	text_copy(i->seen, sizeof(i->seen),
		  tcp	  ? "the hub is reached by IPv6"
		  : !here ? "this machine has no public IPv6 address"
		  : there ? "the hub is not reached by IPv6"
			  : "the hub has no IPv6 address");
	if (here && there && !tcp && v4)
		set_cause(i, CAUSE_IPV6_BROKEN, false, "");
}

/* ---- UDP ---- */

static void judge_answer(struct check *c, const struct probe *p)
{
	bool turn = p->kind == PROBE_TURN_UDP;
	enum check_cause cause = p->done ? p->asked_udp.cause : CAUSE_UDP_SILENT;
	char at[ADDR_TEXT_MAX];
	struct check_item *i;

	if (!p->begun || p->at.family == ADDR_NONE || name_cause(c, p->name) != CAUSE_NONE)
		return;
	i = add_step(c, p, turn ? "turn" : "stun", turn ? "turn" : "stun");
	if (!i)
		return;
	set_cause(i, turn && cause == CAUSE_NOT_STUN ? CAUSE_NOT_TURN : cause, true, "");
	if (p->asked_udp.code && cause != CAUSE_NONE)
		snprintf(i->seen, sizeof(i->seen), "the relay's answer: %u", p->asked_udp.code);
	else if (p->asked_udp.mapped.family != ADDR_NONE)
		snprintf(i->seen, sizeof(i->seen), "sees us as %s",
			 addr_format(&p->asked_udp.mapped, at));
	if (cause == CAUSE_NONE)
		i->ms = ms_of(p->asked_udp.first_us);
}

static void judge_mtu(struct check *c, const struct probe *p)
{
	struct check_item *i = p->done ? add_step(c, p, "mtu", "stun") : NULL;

	if (!i)
		return;
	i->weight = NEED_BETTER;
	set_cause(i, p->asked_udp.answered ? CAUSE_NONE : CAUSE_MTU_SMALL, true, "");
	text_copy(i->seen, sizeof(i->seen), "packets of 1200 bytes");
}

static void judge_quality(struct check *c, const struct probe *p)
{
	const struct query_result *r = &p->asked_udp;
	struct check_item *i = p->done && r->answered ? add_step(c, p, "quality", "stun") : NULL;
	usec_t mean = r->answered ? r->total_us / r->answered : 0;

	if (!i)
		return;
	i->weight = NEED_BETTER;
	set_cause(i,
		  r->sent - r->answered > LOST_MAX ? CAUSE_LOSS
		  : mean > LATENCY_MAX_US	   ? CAUSE_LATENCY
						   : CAUSE_NONE,
		  true, "");
	snprintf(i->seen, sizeof(i->seen), "%u of %u packets came back", r->answered, r->sent);
	i->ms = ms_of(mean);
}

static void judge_nat(struct check *c, const struct probe *p)
{
	const struct nat_result *r = &p->nat_result;
	bool symmetric = r->mapping == STUN_NAT_MAPPING_ADDRESS ||
			 r->mapping == STUN_NAT_MAPPING_PORT;
	struct check_item *i;

	if (!p->done || (r->mapping == STUN_NAT_MAPPING_UNKNOWN && !r->other_known))
		return;
	if (c->summary.nat.mapping == STUN_NAT_MAPPING_UNKNOWN) {
		c->summary.nat.mapping = r->mapping;
		c->summary.nat.filtering = r->filtering;
		c->summary.nat.mapped = r->mapped;
	}
	if (r->other_known) {
		i = add(c, "", 0, "udp", NEED_BETTER);
		if (!i)
			return;
		text_copy(i->id, sizeof(i->id), "peers");
		set_cause(i, r->other_answered ? CAUSE_NONE : CAUSE_UDP_TO_OTHERS, true, "");
		text_copy(i->seen, sizeof(i->seen), "the STUN server's other address");
	}
	if (r->mapping == STUN_NAT_MAPPING_UNKNOWN || !(i = add(c, "", 0, "nat", NEED_BETTER)))
		return;
	text_copy(i->id, sizeof(i->id), "nat");
	set_cause(i, symmetric ? CAUSE_NAT_SYMMETRIC : CAUSE_NONE, true, "");
}

/* ---- all ---- */

static void judge_probe(struct check *c, const struct probe *p)
{
	switch (p->kind) {
	case PROBE_VISIT:
		judge_visit(c, p);
		if (p == c->probes[0])
			judge_hub(c);
		break;
	case PROBE_STUN:
	case PROBE_TURN_UDP:
		judge_answer(c, p);
		break;
	case PROBE_MTU:
		judge_mtu(c, p);
		break;
	case PROBE_QUALITY:
		judge_quality(c, p);
		break;
	case PROBE_NAT:
		judge_nat(c, p);
		break;
	case PROBE_IPV6:
		break;
	}
}

void judge(struct check *c)
{
	judge_proxy(c);
	for (size_t i = 0; i < c->n_names; i++)
		judge_name(c, &c->names[i]);
	for (size_t i = 0; i < c->n_probes; i++)
		judge_probe(c, c->probes[i]);
	judge_ipv6(c, c->probes[1]);
}
