/*
 * The candidates of both ends, for the report: where each came from, when, and why one was dropped.
 * Also the place where the other side's are judged before the agent sees them.
 */
#include <stdio.h>

#include "base/text.h"
#include "peer/internal.h"

void peer_found_begin(struct peer *p, usec_t now)
{
	if (!p->gather_us)
		p->gather_us = now;
}

static struct found *find(struct peer *p, bool remote, const struct found *like)
{
	for (size_t i = 0; i < p->n_found; i++) {
		struct found *f = &p->found[i];

		if (f->remote == remote && ice_via(f->transport) == ice_via(like->transport) &&
		    f->type == like->type && addr_equal(&f->addr, &like->addr) &&
		    addr_equal(&f->base, &like->base) && strcmp(f->host, like->host) == 0)
			return f;
	}
	return NULL;
}

/* Room in a full table: the oldest that is gone, else the oldest that was dropped. */
static struct found *evict(struct peer *p)
{
	struct found *victim = NULL;

	for (size_t i = 0; i < p->n_found && !victim; i++)
		if (p->found[i].gone)
			victim = &p->found[i];
	for (size_t i = 0; i < p->n_found && !victim; i++)
		if (p->found[i].ignored)
			victim = &p->found[i];
	if (!victim)
		return NULL;
	memmove(victim, victim + 1, (size_t)(p->found + p->n_found - victim - 1) * sizeof(*victim));
	return &p->found[p->n_found - 1];
}

/* The entry of a new candidate, or that of one that was there before; NULL when the table is full
 * of useful ones. */
static struct found *note(struct peer *p, usec_t now, const struct found *want, bool *known)
{
	struct found *f = find(p, want->remote, want);

	peer_found_begin(p, now);
	*known = f && !f->gone;
	if (!f)
		f = p->n_found < FOUND_MAX ? &p->found[p->n_found++] : evict(p);
	if (!f || *known)
		return f;
	*f = *want;
	f->at = now;
	return f;
}

void peer_found_local(struct peer *p, usec_t now, const struct peer_local *local)
{
	struct found f = { .type = local->ice.type,
			   .transport = local->ice.transport,
			   .addr = local->ice.addr,
			   .net = local->ice.net };
	bool known;

	text_copy(f.origin, sizeof(f.origin), local->origin);
	(void)note(p, now, &f, &known);
}

void peer_found_gone(struct peer *p, const struct addr *addr, enum dgram_via via)
{
	for (size_t i = 0; i < p->n_found; i++) {
		struct found *f = &p->found[i];

		if (f->remote || ice_via(f->transport) != via ||
		    (!addr_equal(&f->addr, addr) && !addr_equal(&f->base, addr)))
			continue;
		f->gone = true;
		f->why = f->type == ICE_RELAY ? "its allocation at the relay ended"
					      : "the address was lost";
	}
}

static enum ice_net net_of(const struct peer *p, const struct addr *base)
{
	for (size_t i = 0; i < p->n_locals; i++)
		if (addr_equal(&p->locals[i].ice.addr, base))
			return p->locals[i].ice.net;
	return ICE_NET_PHYSICAL;
}

void peer_found_mapped(struct peer *p, usec_t now, const struct ice_candidate *c)
{
	struct ice_server_info servers[PEER_STUN_ASKED_MAX];
	size_t n = ice_servers(p->ice, servers, PEER_STUN_ASKED_MAX);
	struct found f = {
		.type = c->type, .transport = c->transport, .addr = c->addr, .base = c->related
	};
	char text[ADDR_TEXT_MAX];
	bool known;

	if (c->type != ICE_SRFLX)
		return;
	for (size_t i = 0; i < n && !f.origin[0]; i++)
		if (addr_equal(&servers[i].mapped, &c->addr) &&
		    addr_equal(&servers[i].base, &c->related))
			text_copy(f.origin, sizeof(f.origin),
				  addr_format(&servers[i].server, text));
	f.net = net_of(p, &f.base);
	(void)note(p, now, &f, &known);
}

static void found_reflexive(struct peer *p, usec_t now, const struct ice_pair_info *i)
{
	enum ice_transport transport = i->via == DGRAM_TCP ? ICE_TCP_PASSIVE : ICE_UDP;
	struct found ours = {
		.type = ICE_PRFLX, .transport = transport, .addr = i->local, .base = i->base
	};
	struct found theirs = {
		.remote = true, .type = ICE_PRFLX, .transport = transport, .addr = i->remote
	};
	bool known;

	text_copy(ours.origin, sizeof(ours.origin), "check");
	text_copy(theirs.origin, sizeof(theirs.origin), "check");
	ours.net = net_of(p, &i->base);
	theirs.addr.scope = 0;
	if (i->local_type == ICE_PRFLX)
		(void)note(p, now, &ours, &known);
	if (i->remote_type == ICE_PRFLX)
		(void)note(p, now, &theirs, &known);
}

void peer_found_checked(struct peer *p, usec_t now)
{
	struct ice_pair_info pairs[ICE_PAIRS_MAX];
	uint64_t seen = ice_stats(p->ice)->reflexive;
	size_t n;

	if (seen == p->reflexive_seen)
		return;
	p->reflexive_seen = seen;
	n = ice_pairs(p->ice, pairs, ICE_PAIRS_MAX);
	for (size_t i = 0; i < n; i++)
		found_reflexive(p, now, &pairs[i]);
}

static bool is_own(const struct peer *p, const struct ice_candidate *c)
{
	for (size_t i = 0; i < p->n_found; i++) {
		const struct found *f = &p->found[i];

		if (!f->remote && !f->gone && !f->ignored &&
		    ice_via(f->transport) == ice_via(c->transport) &&
		    addr_equal(&f->addr, &c->addr))
			return true;
	}
	return false;
}

static bool on_own_network(const struct peer *p, const struct addr *a)
{
	for (size_t i = 0; i < p->n_locals; i++)
		if (p->locals[i].prefix_bits &&
		    addr_same_prefix(&p->locals[i].ice.addr, a, p->locals[i].prefix_bits))
			return true;
	return false;
}

/* In a private network that is none of ours: perhaps the other side of a router, perhaps not even
 * in this building. */
static bool is_strange(const struct peer *p, const struct addr *a)
{
	enum addr_range range = addr_range(a);

	return (range == ADDR_PRIVATE || range == ADDR_LINK_LOCAL) && !on_own_network(p, a);
}

static unsigned count_strange(const struct peer *p)
{
	unsigned n = 0;

	for (size_t i = 0; i < p->n_found; i++) {
		const struct found *f = &p->found[i];

		n += f->remote && !f->gone && !f->ignored && f->type != ICE_PRFLX &&
		     f->addr.family != ADDR_NONE && is_strange(p, &f->addr);
	}
	return n;
}

/* NULL: of use. */
static const char *judge(const struct peer *p, const struct ice_candidate *c,
			 enum peer_ignored *reason)
{
	enum addr_range range = addr_range(&c->addr);

	*reason = PEER_IGNORED_UNSUPPORTED;
	if (c->transport == ICE_TCP_SO)
		return "simultaneous-open TCP is not spoken";
	*reason = PEER_IGNORED_COMPONENT;
	if (c->component != 1)
		return "of a component that is not used";
	*reason = PEER_IGNORED_ADDRESS;
	if (range == ADDR_UNSPECIFIED || range == ADDR_MULTICAST || c->addr.port == 0)
		return "no address to send to";
	*reason = PEER_IGNORED_LOOPBACK;
	if (range == ADDR_LOOPBACK && !p->ice_config.loopback)
		return "the loopback address of another machine";
	*reason = PEER_IGNORED_SELF;
	/* an active TCP candidate's port means nothing: two of one host look the same */
	if (c->transport != ICE_TCP_ACTIVE && is_own(p, c))
		return "our own address: a loop";
	*reason = PEER_IGNORED_POLICY;
	if (peer_policy_judge(p, c))
		return peer_policy_judge(p, c);
	*reason = PEER_IGNORED_PRIVATE;
	if (c->transport != ICE_TCP_ACTIVE && is_strange(p, &c->addr) &&
	    count_strange(p) >= PEER_PRIVATE_MAX)
		return "over the limit of 16 private addresses outside our networks";
	return NULL;
}

static void drop(struct peer *p, struct found *f, enum peer_ignored reason, const char *why)
{
	p->ignored[reason]++;
	if (!f)
		return;
	f->ignored = true;
	f->why = why;
}

static struct found remote_of(const struct ice_candidate *c)
{
	struct found f = {
		.remote = true, .type = c->type, .transport = c->transport, .addr = c->addr
	};

	if (f.addr.family == ADDR_NONE)
		text_copy(f.host, sizeof(f.host), c->host);
	else
		f.addr = addr_unmap(&f.addr);
	f.addr.scope = 0;
	return f;
}

/* What a check had shown is now known by its proper name (RFC 8838 §11.4). */
static bool upgrade(struct peer *p, const struct found *want)
{
	struct found checked = *want, *f;

	checked.type = ICE_PRFLX;
	f = want->type != ICE_PRFLX && !want->host[0] ? find(p, true, &checked) : NULL;
	if (!f || f->gone)
		return false;
	f->type = want->type;
	f->transport = want->transport;
	text_copy(f->origin, sizeof(f->origin), want->origin);
	return true;
}

const char *peer_found_remote(struct peer *p, usec_t now, const struct ice_candidate *c,
			      enum found_from from)
{
	static const char *const origins[] = { "description", "trickle", "check" };
	static const char again[] = "named twice";
	bool name = c->addr.family == ADDR_NONE, known;
	struct found want = remote_of(c), *f;
	enum peer_ignored reason;
	const char *why = name ? NULL : judge(p, c, &reason);

	text_copy(want.origin, sizeof(want.origin), origins[from]);
	if (!why && upgrade(p, &want))
		return NULL;
	f = note(p, now, &want, &known);
	if (known) {
		p->ignored[PEER_IGNORED_DUPLICATE]++;
		/* ICE takes it for a sign that the other side's path is in doubt */
		return name || why || c->transport == ICE_TCP_ACTIVE ? again : NULL;
	}
	if (why)
		drop(p, f, reason, why);
	else if (name && f)
		f->why = "its name is being looked up";
	else if (c->transport == ICE_TCP_ACTIVE && f)
		f->why = "it makes the TCP connection itself";
	return c->transport == ICE_TCP_ACTIVE ? again : why;
}

void peer_found_dropped(struct peer *p, const struct ice_candidate *c, enum peer_ignored reason,
			const char *why)
{
	struct found want = remote_of(c);

	drop(p, find(p, true, &want), reason, why);
}

void peer_found_restart(struct peer *p)
{
	for (size_t i = 0; i < p->n_found; i++)
		if (p->found[i].remote) {
			p->found[i].gone = true;
			p->found[i].why = "from before the restart";
		}
}

void peer_left_out(struct peer *p, usec_t now, bool remote, const struct ice_candidate *c,
		   const char *origin, enum peer_ignored reason, const char *why)
{
	struct found want = remote_of(c), *f;
	bool known;

	want.remote = remote;
	if (addr_range(&want.addr) == ADDR_LINK_LOCAL)
		want.net = ICE_NET_LINK_LOCAL;
	text_copy(want.origin, sizeof(want.origin), origin ? origin : "trickle");
	f = note(p, now, &want, &known);
	if (remote) {
		drop(p, f, reason, why);
	} else if (f) {
		f->ignored = true;
		f->why = why;
	}
}

const char *peer_found_resolved(struct peer *p, usec_t now, const struct ice_candidate *c)
{
	struct ice_candidate named = *c;
	struct found want, *f;
	enum peer_ignored reason;
	const char *why = judge(p, c, &reason);
	bool known = false;

	named.addr = (struct addr){ .port = c->addr.port };
	want = remote_of(&named);
	f = find(p, true, &want);
	want.addr = remote_of(c).addr;
	if (!f) { /* a second address of the name */
		text_copy(want.origin, sizeof(want.origin), "trickle");
		f = note(p, now, &want, &known);
	}
	if (known)
		return "known";
	if (f) {
		f->addr = want.addr;
		f->at = now;
		f->why = NULL;
	}
	if (why)
		drop(p, f, reason, why);
	return why;
}

/* It stays in the report under its name, as one that has an address now or never will. */
void peer_unresolved(struct peer *p, const struct ice_candidate *candidate, const char *why)
{
	struct ice_candidate named = *candidate;

	named.addr = (struct addr){ .port = candidate->addr.port };
	peer_found_dropped(p, &named, PEER_IGNORED_NAME, why);
}

void peer_note_nat(struct peer *p, enum fl_nat_mapping mapping, enum fl_nat_filtering filtering)
{
	p->nat_mapping = mapping;
	p->nat_filtering = filtering;
}

size_t peer_stun_servers(const struct peer *p, struct ice_server_info *out, size_t cap)
{
	return p->ice ? ice_servers(p->ice, out, cap) : 0;
}
