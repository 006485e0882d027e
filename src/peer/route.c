#include <stdio.h>

#include "peer/internal.h"

/* An address that a network gives out for itself: a packet between two such was not translated on
 * its way over the internet. */
static bool own_range(const struct addr *a)
{
	switch (addr_range(a)) {
	case ADDR_LOOPBACK:
	case ADDR_LINK_LOCAL:
	case ADDR_PRIVATE:
		return true;
	case ADDR_UNSPECIFIED:
	case ADDR_MULTICAST:
	case ADDR_RESERVED:
	case ADDR_PUBLIC:
		return false;
	}
	return false;
}

/* Both in the range of one of our own networks. */
static bool common_link(const struct peer *p, const struct addr *local, const struct addr *remote)
{
	for (size_t i = 0; i < p->n_locals; i++) {
		const struct peer_local *l = &p->locals[i];

		if (l->prefix_bits && addr_ip_equal(&l->ice.addr, local) &&
		    addr_same_prefix(&l->ice.addr, remote, l->prefix_bits))
			return true;
	}
	return false;
}

/*
 * A browser hides its host addresses behind .local names, so an address of it that we only know
 * from its checks may be untranslated all the same: its port is then the one of the name.
 */
static bool untranslated(const struct peer *p, enum ice_type type, const struct addr *remote)
{
	if (type == ICE_HOST)
		return true;
	for (size_t i = 0; type == ICE_PRFLX && i < p->n_names; i++)
		if (p->names[i].candidate.type == ICE_HOST &&
		    p->names[i].candidate.addr.port == remote->port)
			return true;
	return false;
}

enum fl_route_method peer_method(const struct peer *p, enum ice_type local_type,
				 enum ice_type remote_type, const struct addr *local,
				 const struct addr *remote)
{
	if (local_type == ICE_RELAY || remote_type == ICE_RELAY)
		return FL_ROUTE_RELAYED;
	if (common_link(p, local, remote) && local_type == ICE_HOST)
		return FL_ROUTE_LOCAL;
	if (local_type == ICE_HOST && untranslated(p, remote_type, remote) && own_range(local) &&
	    own_range(remote))
		return FL_ROUTE_LOCAL;
	return FL_ROUTE_PUNCHED;
}

/* Which step there is no route for. What the driver knows of its relays comes behind it. */
static void explain_none(const struct peer *p, struct fl_route *r)
{
	size_t remotes = 0, heard = 0, answered = 0;
	const char *how;

	for (size_t i = 0; i < r->n_candidates; i++)
		remotes += r->candidates[i].remote && r->candidates[i].use != FL_USE_IGNORED;
	for (size_t i = 0; i < r->n_tried; i++) {
		heard += r->tried[i].received > 0;
		answered += r->tried[i].answered > 0;
	}
	if (!p->ice || p->state < PEER_STARTED)
		how = "the other side has not answered yet";
	else if (remotes == 0)
		how = "the other side named no address that can be used";
	else if (r->n_tried == 0)
		how = "no address of this end fits one of the other side's";
	else if (answered)
		how = "what worked has fallen silent";
	else if (heard)
		how = "the other side's checks arrive here, but none of ours is answered";
	else if (p->state == PEER_STARTED && ice_state(p->ice) == ICE_CHECKING)
		how = "the checks go on, none was answered yet";
	else
		how = "nothing of the other side arrives at this end";
	snprintf(r->reason, sizeof(r->reason), "No route: %s (%zu address pairs tried).", how,
		 r->n_tried);
}

static void explain(struct fl_route *r, const struct ice_pair_info *s)
{
	double ms = r->rtt_us / 1000.0;
	const char *how = "";

	switch (r->method) {
	case FL_ROUTE_LOCAL:
		how = addr_range(&s->remote) == ADDR_LOOPBACK ? "Local: inside this machine"
		      : s->via == DGRAM_TCP ? "Local: straight across your own network, over TCP "
					      "because UDP does not pass"
					    : "Local: straight across your own network";
		break;
	case FL_ROUTE_PUNCHED:
		how = s->local_type == ICE_HOST && s->remote_type == ICE_HOST
			      ? "Punched: straight across the internet, between public addresses"
			      : "Punched: straight across the internet, through the routers' NAT";
		break;
	case FL_ROUTE_RELAYED:
		how = "Relayed: through the relay, because no direct path answered";
		break;
	case FL_ROUTE_NONE:
		how = "No route yet";
		break;
	}
	if (r->rtt_us)
		snprintf(r->reason, sizeof(r->reason), ms < 10 ? "%s, %.1f ms." : "%s, %.0f ms.",
			 how, ms);
	else
		snprintf(r->reason, sizeof(r->reason), "%s.", how);
}

/* The selected pair; before the choice is made, the one that data takes meanwhile. */
static const struct ice_pair_info *in_use(const struct peer *p, const struct ice_pair_info *pairs,
					  size_t n)
{
	bool carries = p->path.level == ICE_PATH_VALID ||
		       (p->path.level == ICE_PATH_EARLY && p->ever_connected);

	for (size_t i = 0; i < n; i++)
		if (pairs[i].selected)
			return &pairs[i];
	for (size_t i = 0; carries && i < n; i++)
		if (addr_equal(&pairs[i].base, &p->path.local) &&
		    addr_equal(&pairs[i].remote, &p->path.remote))
			return &pairs[i];
	return NULL;
}

void peer_route(const struct peer *p, struct fl_route *out)
{
	struct ice_pair_info pairs[ICE_PAIRS_MAX] = { 0 };
	size_t n = p->ice ? ice_pairs(p->ice, pairs, ICE_PAIRS_MAX) : 0;
	const struct ice_pair_info *selected = in_use(p, pairs, n);

	*out = (struct fl_route){ .method = FL_ROUTE_NONE };
	for (size_t i = 0; i < n && out->n_tried < FL_ROUTE_PAIRS_MAX; i++)
		out->tried[out->n_tried++] = peer_pair_of(&pairs[i]);
	peer_report(p, pairs, n, selected, out);
	if (!selected) {
		explain_none(p, out);
		return;
	}
	out->pair = peer_pair_of(selected);
	out->rtt_us = selected->rtt_us ? selected->rtt_us : p->path.rtt_us;
	if (p->selected_us > p->began_us)
		out->setup_us = (uint32_t)(p->selected_us - p->began_us);
	out->method = peer_method(p, selected->local_type, selected->remote_type, &selected->base,
				  &selected->remote);
	explain(out, selected);
}
