#include "check/check.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/err.h"
#include "base/text.h"
#include "check/check_internal.h"

#define NAME_LIMIT_US (3500 * USEC_PER_MSEC)
#define FIRST_LIMIT_US (5 * USEC_PER_SEC) /* then the rest begins without the hub's list */
#define PINGS 12

static void look_for_end(struct check *c);
static void name_done(struct name *n);

/* ---- names ---- */

static void on_resolved(void *arg, int err, const char *why, const struct addr *addrs, size_t n)
{
	struct name *name = arg;

	name->resolve = NULL;
	if (err < 0 || n == 0) {
		name->cause = err == -EAGAIN ? CAUSE_DNS_SILENT : CAUSE_DNS_NO_NAME;
	} else {
		name->n = FL_MIN(n, (size_t)RESOLVE_MAX);
		memcpy(name->addrs, addrs, name->n * sizeof(*addrs));
	}
	name_done(name);
}

static void on_name_limit(void *arg)
{
	struct name *name = arg;

	resolve_cancel(name->resolve);
	name->resolve = NULL;
	name->cause = CAUSE_DNS_SILENT;
	name_done(name);
}

static struct name *name_get(struct check *c, const char *host)
{
	struct addr literal;
	struct name *n;

	for (size_t i = 0; i < c->n_names; i++)
		if (strcasecmp(c->names[i].host, host) == 0)
			return &c->names[i];
	if (c->n_names == NAMES_MAX)
		return NULL;
	n = &c->names[c->n_names++];
	*n = (struct name){ .check = c, .began = loop_now(c->loop) };
	text_copy(n->host, sizeof(n->host), host);
	n->literal = addr_parse_ip(host, &literal) == 0;
	loop_timer_init(c->loop, &n->limit, on_name_limit, n);
	c->begun++;
	if (resolve_start(c->loop, host, 0, on_resolved, n, &n->resolve) < 0 ||
	    loop_timer_after(&n->limit, NAME_LIMIT_US) < 0) {
		resolve_cancel(n->resolve);
		n->resolve = NULL;
		n->cause = CAUSE_INTERNAL;
		n->done = true;
		c->finished++;
	}
	return n;
}

/* ---- probes ---- */

static void probe_done(struct probe *p)
{
	if (p->done)
		return;
	p->done = true;
	p->check->finished++;
	look_for_end(p->check);
}

int probe_best(const struct probe *p)
{
	int best = -1;

	for (int w = 0; w < WAYS; w++) {
		if (!p->asked[w])
			continue;
		/* where both fail the proxy's word counts: networks that have one close the rest */
		if (best < 0 || p->results[best].reached != VISIT_DONE)
			best = w;
	}
	return best;
}

bool probe_ok(const struct probe *p)
{
	int best = probe_best(p);

	return best >= 0 && p->results[best].reached == VISIT_DONE;
}

static void take_visit(struct probe *p, int way, struct visit_result *result)
{
	p->results[way] = *result;
	result->network = NULL; /* ours now */
	visit_destroy(p->visits[way]);
	p->visits[way] = NULL;
	p->answered[way] = true;
	look_for_end(p->check); /* it may have brought the list already */
	for (int w = 0; w < WAYS; w++)
		if (p->asked[w] && !p->answered[w])
			return;
	if (p->name->done) /* else the direct way is yet to come */
		probe_done(p);
}

static void on_direct(void *arg, struct visit_result *result)
{
	take_visit(arg, DIRECT, result);
}

static void on_proxied(void *arg, struct visit_result *result)
{
	take_visit(arg, BY_PROXY, result);
}

static void visit_way(struct probe *p, int way, struct proxy *proxy)
{
	struct check *c = p->check;
	struct addr v6[VISIT_ADDRS_MAX];
	struct visit_config config = { .kind = p->visit_kind,
				       .host = p->need.host,
				       .port = p->need.port_min,
				       .proxy = proxy,
				       .tls = !p->tls			    ? NULL
					      : p->visit_kind == VISIT_TURN ? c->tls_turn
									    : c->tls,
				       .upgrade = p->upgrade,
				       .hub_key = c->config.hub_key };

	if (!proxy) {
		config.addrs = p->name->addrs;
		config.n_addrs = p->name->n;
	}
	if (p->kind == PROBE_IPV6) {
		config.addrs = v6;
		config.n_addrs = 0;
		for (size_t i = 0; i < p->name->n && config.n_addrs < ARRAY_LEN(v6); i++)
			if (p->name->addrs[i].family == ADDR_V6)
				v6[config.n_addrs++] = p->name->addrs[i];
	}
	if (visit_start(c->loop, &config, way == DIRECT ? on_direct : on_proxied, p,
			&p->visits[way]) == 0) {
		p->asked[way] = true;
	} else {
		p->asked[way] = p->answered[way] = true;
		p->results[way].cause = CAUSE_INTERNAL;
	}
}

static struct proxy *proxy_for(const struct check *c, const char *host)
{
	return c->config.proxy_for ? c->config.proxy_for(c->config.proxy_arg, host) : NULL;
}

static void begin_visit(struct probe *p)
{
	struct proxy *proxy = p->kind == PROBE_IPV6 ? NULL : proxy_for(p->check, p->need.host);

	if (proxy && !p->asked[BY_PROXY])
		visit_way(p, BY_PROXY, proxy);
	if (p->name->done && !p->asked[DIRECT] &&
	    (p->kind == PROBE_IPV6 ? probe_has_v6(p->name) : p->name->n > 0))
		visit_way(p, DIRECT, NULL);
	for (int w = 0; w < WAYS; w++)
		if (p->asked[w] && !p->answered[w])
			return;
	if (p->name->done)
		probe_done(p);
}

static void on_asked(void *arg, const struct query_result *result)
{
	struct probe *p = arg;

	p->asked_udp = *result;
	probe_done(p);
}

static void on_nat(void *arg, const struct nat_result *result)
{
	struct probe *p = arg;

	p->nat_result = *result;
	probe_done(p);
}

static void begin_udp(struct probe *p)
{
	static const struct query_config once = { .sends = 5,
						  .want = 1,
						  .spacing_us = 150 * USEC_PER_MSEC,
						  .backoff = true,
						  .wait_us = 1000 * USEC_PER_MSEC };
	static const struct query_config pings = { .sends = PINGS,
						   .want = PINGS,
						   .spacing_us = 60 * USEC_PER_MSEC,
						   .wait_us = 1000 * USEC_PER_MSEC };
	struct query_config config = p->kind == PROBE_QUALITY ? pings : once;
	int err;

	config.to = p->at;
	config.allocate = p->kind == PROBE_TURN_UDP;
	if (p->kind == PROBE_MTU) {
		config.len = 1200 - (p->at.family == ADDR_V4 ? 28 : 48);
		config.dont_fragment = true;
	}
	err = query_start(p->check->loop, &config, on_asked, p, &p->ask);
	if (err < 0) {
		p->asked_udp.cause = CAUSE_INTERNAL;
		probe_done(p);
	}
}

/* Where to ask over UDP: IPv4 first, because its NATs are what is to be learnt about. */
static bool udp_address(struct probe *p)
{
	const struct name *n = p->name;

	if (p->at.family != ADDR_NONE)
		return true;
	for (size_t i = 0; i < n->n && p->at.family != ADDR_V4; i++)
		if (p->at.family == ADDR_NONE || n->addrs[i].family == ADDR_V4)
			p->at = n->addrs[i];
	p->at.port = p->need.port_min;
	return p->at.family != ADDR_NONE;
}

/* Called again when the name is there. */
static void probe_begin(struct probe *p)
{
	if (p->done)
		return;
	if (p->kind == PROBE_VISIT || p->kind == PROBE_IPV6) {
		p->begun = true;
		begin_visit(p);
		return;
	}
	if (p->begun || !p->name->done)
		return;
	p->begun = true;
	if (!udp_address(p)) {
		probe_done(p);
	} else if (p->kind != PROBE_NAT) {
		begin_udp(p);
	} else if (nat_start(p->check->loop, &p->at, &p->asked_udp.local, on_nat, p, &p->nat) < 0) {
		probe_done(p);
	}
}

static struct probe *probe_add(struct check *c, enum probe_kind kind, const struct need *need)
{
	struct name *name = name_get(c, need->host);
	struct probe *p = name && c->n_probes < PROBES_MAX ? calloc(1, sizeof(*p)) : NULL;

	if (!p)
		return NULL;
	*p = (struct probe){ .check = c, .kind = kind, .need = *need, .name = name, .tls = true };
	c->probes[c->n_probes++] = p;
	c->begun++;
	return p;
}

static void name_done(struct name *n)
{
	struct check *c = n->check;

	n->done = true;
	n->took = usec_sub(loop_now(c->loop), n->began);
	loop_timer_stop(&n->limit);
	c->finished++;
	for (size_t i = 0; i < c->n_probes; i++)
		if (c->probes[i]->name == n)
			probe_begin(c->probes[i]);
	look_for_end(c);
}

/* ---- what there is to ask ---- */

static void add_visit(struct check *c, const struct need *need, enum visit_kind kind, bool tls)
{
	struct probe *p = probe_add(c, PROBE_VISIT, need);

	if (p) {
		p->visit_kind = kind;
		p->tls = tls;
		probe_begin(p);
	}
}

static void add_udp(struct check *c, const struct need *need, enum probe_kind kind)
{
	struct probe *p = probe_add(c, kind, need);

	if (p)
		probe_begin(p);
}

/* Several stores may be one server. */
static bool is_asked(const struct check *c, const struct need *need)
{
	for (size_t i = 1; i < c->n_probes; i++) {
		const struct need *other = &c->probes[i]->need;

		if (other->kind == need->kind && other->port_min == need->port_min &&
		    strcasecmp(other->host, need->host) == 0)
			return true;
	}
	return false;
}

static void add_need(struct check *c, const struct need *need)
{
	if (need->weight == NEED_RESERVED || is_asked(c, need) ||
	    !need_in_region(need, c->config.region ? c->config.region : ""))
		return;
	switch (need->kind) {
	case NEED_HUB: /* the first probe is its */
	case NEED_HUB_NAME:
	case NEED_RELAY_PORTS:
	case NEED_PEERS: /* by what NEED_STUN's server with two addresses tells */
	case NEED_LOCAL:
	case NEED_MDNS:
		break;
	case NEED_STORE:
		add_visit(c, need, VISIT_STORE, true);
		break;
	case NEED_STUN:
		add_udp(c, need, PROBE_STUN);
		break;
	case NEED_TURN_UDP:
		add_udp(c, need, PROBE_TURN_UDP);
		break;
	case NEED_TURN_TCP:
		add_visit(c, need, VISIT_TURN, false);
		break;
	case NEED_TURN_TLS:
		add_visit(c, need, VISIT_TURN, true);
		break;
	case NEED_TURN_WSS:
		add_visit(c, need, VISIT_TURN_WSS, true);
		break;
	}
}

static void add_websocket(struct check *c, const char *upgrade)
{
	struct probe *p = probe_add(c, PROBE_VISIT, &c->probes[0]->need);

	if (p) {
		p->visit_kind = VISIT_WEBSOCKET;
		p->upgrade = upgrade;
		probe_begin(p);
	}
}

bool probe_has_v6(const struct name *n)
{
	for (size_t i = 0; i < n->n; i++)
		if (n->addrs[i].family == ADDR_V6)
			return true;
	return false;
}

/* Only where there is a real name: on a lone machine nobody is to be asked about strange ones. */
static void add_wildcard(struct check *c)
{
	const char *hub = c->probes[0]->need.host;
	uint8_t random[12];
	char host[64], hex[TEXT_HEX_LEN(sizeof(random))];

	if (c->probes[0]->name->literal || !strchr(hub, '.'))
		return;
	rng_bytes(rng_system(), random, sizeof(random));
	text_hex_encode(span_of(random, sizeof(random)), hex, sizeof(hex));
	snprintf(host, sizeof(host), "%s.com", hex);
	c->wildcard = name_get(c, host);
}

static void take_network(struct check *c, const json_t *network)
{
	if (c->needs_known)
		return;
	c->needs_known = true;
	if (needs_from_json(network, &c->needs, c->needs_why) < 0) {
		c->needs_cause = CAUSE_NETWORK_LIST;
		c->needs.n = 0;
	}
}

static void begin_rest(struct check *c)
{
	if (c->stage_two)
		return;
	c->stage_two = true;
	loop_timer_stop(&c->first);
	for (size_t i = 0; i < c->needs.n; i++)
		add_need(c, &c->needs.list[i]);
}

/* What a STUN answer makes worth asking, once for each server. */
static void follow_stun(struct check *c, const struct probe *stun)
{
	static const enum probe_kind kinds[] = { PROBE_MTU, PROBE_QUALITY, PROBE_NAT };

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		struct probe *p = probe_add(c, kinds[i], &stun->need);

		if (!p)
			return;
		p->at = stun->at;
		p->asked_udp.local = stun->asked_udp.local;
		probe_begin(p);
	}
}

/* ---- the course of it ---- */

static void finish(struct check *c)
{
	if (c->done)
		return;
	c->done = true;
	loop_timer_stop(&c->first);
	loop_timer_stop(&c->end);
	c->summary.took_us = usec_sub(loop_now(c->loop), c->began);
	judge(c);
	summarize(c);
	c->handler->on_done(c->arg);
}

static void follow(struct check *c)
{
	struct probe *hub = c->probes[0];

	for (int w = 0; w < WAYS; w++)
		if (hub->results[w].network)
			take_network(c, hub->results[w].network);
	if (!c->stage_two && (hub->done || c->needs_known))
		begin_rest(c);
	if (!c->realtime && probe_ok(hub)) {
		c->realtime = true;
		add_websocket(c, "websocket");
		add_websocket(c, "WebSocket");
	}
	for (size_t i = 0, n = c->n_probes; i < n; i++) {
		struct probe *p = c->probes[i];

		if (p->kind == PROBE_STUN && p->done && p->asked_udp.answered &&
		    p->asked_udp.cause == CAUSE_NONE && !p->followed) {
			p->followed = true;
			follow_stun(c, p);
		}
	}
}

static void on_later(void *arg)
{
	struct check *c = arg;

	c->later_set = false;
	if (c->done || c->dead)
		return;
	follow(c);
	if (c->handler->on_progress)
		c->handler->on_progress(c->arg, c->finished, c->begun);
	if (c->finished >= c->begun && c->stage_two)
		finish(c);
}

static void look_for_end(struct check *c)
{
	if (c->later_set || c->done || c->dead)
		return;
	c->later_set = true;
	loop_defer(c->loop, &c->later, on_later, c);
}

static void on_first_limit(void *arg)
{
	begin_rest(arg);
	look_for_end(arg);
}

/* What has not answered by now is silent. */
static void on_end(void *arg)
{
	finish(arg);
}

static int begin(struct check *c)
{
	struct need hub = { .kind = NEED_HUB, .weight = NEED_REQUIRED };
	struct probe *p;

	c->began = loop_now(c->loop);
	text_copy(hub.host, sizeof(hub.host), c->config.url->host);
	hub.port_min = hub.port_max = c->config.url->port;
	p = probe_add(c, PROBE_VISIT, &hub);
	if (!p)
		return -ENOMEM;
	p->visit_kind = VISIT_HUB;
	probe_begin(p);
	p = probe_add(c, PROBE_IPV6, &hub);
	if (!p)
		return -ENOMEM;
	p->visit_kind = VISIT_HUB;
	probe_begin(p);
	add_wildcard(c);
	if (c->config.needs) {
		c->needs = *c->config.needs;
		c->needs_known = true;
	}
	if (loop_timer_after(&c->first, c->config.needs ? 0 : FIRST_LIMIT_US) < 0)
		return -ENOMEM;
	return loop_timer_after(&c->end, CHECK_LIMIT_US);
}

int check_start(struct loop *loop, const struct check_config *config,
		const struct check_handler *handler, void *arg, struct check **out, char why[256])
{
	static const char *const http[] = { "http/1.1", NULL }, *const turn[] = { "stun.turn",
										  NULL };
	struct check *c = calloc(1, sizeof(*c));
	int err;

	snprintf(why, 256, "Out of memory.");
	if (!c)
		return -ENOMEM;
	*c = (struct check){ .loop = loop, .config = *config, .handler = handler, .arg = arg };
	loop_timer_init(loop, &c->first, on_first_limit, c);
	loop_timer_init(loop, &c->end, on_end, c);
	err = tls_client_create(config->ca_file, TLS_VERIFY_NONE, http, &c->tls, why);
	if (err == 0)
		err = tls_client_create(NULL, TLS_VERIFY_IGNORE, turn, &c->tls_turn, why);
	if (err == 0)
		err = begin(c);
	if (err < 0) {
		check_destroy(c);
		return err;
	}
	*out = c;
	return 0;
}

static void release(void *arg)
{
	free(arg);
}

static void probe_destroy(struct probe *p)
{
	for (int w = 0; w < WAYS; w++) {
		visit_destroy(p->visits[w]);
		json_decref(p->results[w].network);
	}
	query_destroy(p->ask);
	nat_destroy(p->nat);
	free(p);
}

void check_destroy(struct check *c)
{
	if (!c || c->dead)
		return;
	c->dead = true;
	loop_timer_stop(&c->first);
	loop_timer_stop(&c->end);
	for (size_t i = 0; i < c->n_names; i++) {
		resolve_cancel(c->names[i].resolve);
		loop_timer_stop(&c->names[i].limit);
	}
	for (size_t i = 0; i < c->n_probes; i++)
		probe_destroy(c->probes[i]);
	tls_context_unref(c->tls);
	tls_context_unref(c->tls_turn);
	loop_defer(c->loop, &c->release, release, c);
}

const struct check_item *check_items(const struct check *c, size_t *n)
{
	*n = c->n_items;
	return c->items;
}

const struct check_summary *check_summary(const struct check *c)
{
	return &c->summary;
}
