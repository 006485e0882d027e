/*
 * What the administrator's policy allows (docs/protocol.md §1.2), where addresses pair. Candidates
 * that can only make a route of a kind that is not allowed are dropped; of the others it is known
 * only once they are paired, so packets between two addresses whose route is not allowed pass
 * neither in nor out, and such a pair never works.
 *
 * With the relay as last resort, relayed candidates of the other side wait until nothing direct
 * has worked for a while; the driver asks for its own allocations only then.
 */
#include <errno.h>
#include <stdio.h>

#include "peer/internal.h"

#define RELAY_AFTER_US (5 * USEC_PER_SEC)
#define DENIED_MAX_US (10 * USEC_PER_SEC) /* on a path that may not be used, and no other found */

static bool limits_methods(const struct peer *p)
{
	return p->policy.no_local || p->policy.no_punched || p->policy.no_relayed;
}

static bool limits(const struct peer *p)
{
	return limits_methods(p) || p->policy.relay_last || p->policy.n_excluded;
}

bool peer_policy_excludes(const struct peer_policy *policy, const struct addr *a)
{
	const struct addr plain = addr_unmap(a);

	for (size_t i = 0; i < policy->n_excluded; i++)
		if (addr_same_prefix(&policy->excluded[i].base, &plain, policy->excluded[i].bits))
			return true;
	return false;
}

static bool method_ok(const struct peer *p, enum fl_route_method method)
{
	switch (method) {
	case FL_ROUTE_LOCAL:
		return !p->policy.no_local;
	case FL_ROUTE_PUNCHED:
		return !p->policy.no_punched;
	case FL_ROUTE_RELAYED:
		return !p->policy.no_relayed && (!p->policy.relay_last || p->relay_open);
	case FL_ROUTE_NONE:
		return true;
	}
	return true;
}

const char *peer_policy_judge(const struct peer *p, const struct ice_candidate *c)
{
	if (c->type == ICE_RELAY && p->policy.no_relayed)
		return "the policy allows no relayed route";
	if (c->type == ICE_SRFLX && p->policy.no_punched)
		return "the policy allows no punched route";
	if (c->type != ICE_RELAY && peer_policy_excludes(&p->policy, &c->addr))
		return "the policy excludes its subnet";
	return NULL;
}

bool peer_policy_hold(struct peer *p, const struct ice_candidate *c)
{
	if (c->type != ICE_RELAY || !p->policy.relay_last || p->relay_open)
		return false;
	if (p->n_held < ARRAY_LEN(p->held))
		p->held[p->n_held++] = *c;
	else
		peer_found_dropped(p, c, PEER_IGNORED_LIMIT, "over the limit of 8 relays");
	return true;
}

/* ---- packets ---- */

static enum ice_type local_type(const struct peer *p, const struct addr *local)
{
	for (size_t i = 0; i < p->n_locals; i++)
		if (addr_equal(&p->locals[i].ice.addr, local))
			return p->locals[i].ice.type;
	return ICE_HOST;
}

/* As its candidates said, a relay's before others: a check may come before its candidate does, and
 * shows an address that nobody has named yet. */
static enum ice_type remote_type(const struct peer *p, const struct addr *remote)
{
	struct addr a = addr_unmap(remote);
	enum ice_type type = ICE_PRFLX;

	a.scope = 0;
	for (size_t i = 0; i < p->n_found && type != ICE_RELAY; i++) {
		const struct found *f = &p->found[i];

		if (f->remote && !f->gone && f->type != ICE_PRFLX &&
		    f->transport != ICE_TCP_ACTIVE && addr_equal(&f->addr, &a))
			type = f->type;
	}
	return type;
}

static bool is_server(const struct peer *p, const struct addr *remote)
{
	for (size_t i = 0; i < p->n_servers; i++)
		if (addr_equal(&p->servers[i], remote))
			return true;
	return false;
}

/* A check has shown a translation that the addresses alone do not tell? */
static bool pairs_ok(const struct peer *p, const struct addr *local, const struct addr *remote)
{
	struct ice_pair_info pairs[ICE_PAIRS_MAX];
	size_t n = ice_pairs(p->ice, pairs, ICE_PAIRS_MAX);

	for (size_t i = 0; i < n; i++)
		if (pairs[i].valid && addr_equal(&pairs[i].base, local) &&
		    addr_equal(&pairs[i].remote, remote) &&
		    !method_ok(p, peer_method(p, pairs[i].local_type, pairs[i].remote_type, local,
					      remote)))
			return false;
	return true;
}

bool peer_policy_lets(struct peer *p, const struct dgram *d, bool out)
{
	enum ice_type local;
	bool ok;

	if (!limits(p) || is_server(p, &d->remote))
		return true;
	local = local_type(p, &d->local);
	if (local != ICE_RELAY && peer_policy_excludes(&p->policy, &d->remote))
		ok = remote_type(p, &d->remote) == ICE_RELAY;
	else if (p->path.level >= ICE_PATH_VALID && addr_equal(&p->path.local, &d->local) &&
		 addr_equal(&p->path.remote, &d->remote))
		ok = !p->path_denied;
	else
		ok = method_ok(p, peer_method(p, local, remote_type(p, &d->remote), &d->local,
					      &d->remote)) &&
		     pairs_ok(p, &d->local, &d->remote);
	if (!ok && out)
		ice_note_error(p->ice, &d->local, &d->remote, d->via, -EPERM);
	else if (!ok)
		p->ignored[PEER_IGNORED_POLICY]++;
	return ok;
}

bool peer_policy_waits(const struct peer *p)
{
	return limits_methods(p) && (p->path.level < ICE_PATH_VALID || p->path_denied);
}

void peer_policy_path(struct peer *p, usec_t now)
{
	enum ice_type remote = p->path.remote_type;
	bool denied;

	if (!limits(p) || p->path.level < ICE_PATH_VALID) {
		p->path_denied = false;
		return;
	}
	if (remote_type(p, &p->path.remote) == ICE_RELAY)
		remote = ICE_RELAY;
	denied = !method_ok(
		p, peer_method(p, p->path.local_type, remote, &p->path.local, &p->path.remote));

	if (denied && !p->path_denied)
		p->denied_us = now;
	p->path_denied = denied;
}

/* ---- time ---- */

static bool works(const struct peer *p)
{
	enum ice_state state = ice_state(p->ice);

	return p->path.level >= ICE_PATH_VALID && !p->path_denied &&
	       (state == ICE_CONNECTED || state == ICE_CHECKING);
}

void peer_policy_lost(struct peer *p, usec_t now)
{
	if (p->policy.relay_last && !p->relay_open)
		p->relay_due = usec_add(now, RELAY_AFTER_US);
}

static usec_t relay_due(const struct peer *p)
{
	if (!p->policy.relay_last || p->policy.no_relayed || p->relay_open || !p->ice)
		return USEC_NEVER;
	if (p->relay_due)
		return p->relay_due;
	return ice_stats(p->ice)->began_us ? usec_add(ice_stats(p->ice)->began_us, RELAY_AFTER_US)
					   : USEC_NEVER;
}

static usec_t denied_due(const struct peer *p)
{
	return p->path_denied && p->state == PEER_STARTED ? usec_add(p->denied_us, DENIED_MAX_US)
							  : USEC_NEVER;
}

usec_t peer_policy_deadline(const struct peer *p)
{
	return usec_min(relay_due(p), denied_due(p));
}

void peer_policy_timeout(struct peer *p, usec_t now)
{
	char why[160];

	if (denied_due(p) <= now) {
		p->denied_us = now;
		peer_emit(p, (struct fl_event){ .type = FL_EVENT_FAILED, .err = -EHOSTUNREACH },
			  peer_no_route(p, why, sizeof(why)));
	}
	if (relay_due(p) > now)
		return;
	p->relay_due = USEC_NEVER;
	if (works(p))
		return;
	p->relay_open = true;
	for (size_t i = 0; i < p->n_held; i++)
		peer_to_agent(p, now, &p->held[i]);
	p->n_held = 0;
}

bool peer_relay_open(const struct peer *p)
{
	return !p->policy.no_relayed && (!p->policy.relay_last || p->relay_open);
}

/* ---- words ---- */

bool peer_policy_text(const struct peer *p, char *dst, size_t cap)
{
	const struct peer_policy *y = &p->policy;
	const char *names[3];
	size_t n = 0;

	if (!y->no_local)
		names[n++] = "local";
	if (!y->no_punched)
		names[n++] = "punched";
	if (!y->no_relayed)
		names[n++] = "relayed";
	switch (n) {
	case 0:
		return snprintf(dst, cap, "the policy allows no kind of route") > 0;
	case 1:
		return snprintf(dst, cap, "the policy allows only %s routes", names[0]) > 0;
	case 2:
		return snprintf(dst, cap, "the policy allows only %s and %s routes", names[0],
				names[1]) > 0;
	default:
		return false;
	}
}

const char *peer_no_route(const struct peer *p, char *dst, size_t cap)
{
	char policy[80];

	if (peer_policy_text(p, policy, sizeof(policy)))
		snprintf(dst, cap, "No route: none of the address pairs answered, and %s.", policy);
	else
		snprintf(dst, cap, "No route: none of the address pairs answered.");
	return dst;
}
