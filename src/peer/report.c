/* The route report beside the route itself: pairs in words, candidates and their use, what was seen
 * of the NAT, counters. */
#include <errno.h>
#include <stdio.h>

#include "base/err.h"
#include "base/text.h"
#include "peer/internal.h"

static enum fl_candidate_type type_of(enum ice_type type)
{
	switch (type) {
	case ICE_HOST:
		return FL_CANDIDATE_HOST;
	case ICE_SRFLX:
		return FL_CANDIDATE_SRFLX;
	case ICE_PRFLX:
		return FL_CANDIDATE_PRFLX;
	case ICE_RELAY:
		return FL_CANDIDATE_RELAY;
	}
	return FL_CANDIDATE_HOST;
}

static enum fl_pair_state state_of(enum ice_pair_state state)
{
	switch (state) {
	case ICE_PAIR_FROZEN:
		return FL_PAIR_FROZEN;
	case ICE_PAIR_WAITING:
		return FL_PAIR_WAITING;
	case ICE_PAIR_IN_PROGRESS:
		return FL_PAIR_IN_PROGRESS;
	case ICE_PAIR_SUCCEEDED:
		return FL_PAIR_SUCCEEDED;
	case ICE_PAIR_FAILED:
		return FL_PAIR_FAILED;
	}
	return FL_PAIR_FROZEN;
}

static enum fl_net net_of(enum ice_net net)
{
	switch (net) {
	case ICE_NET_PHYSICAL:
		return FL_NET_PHYSICAL;
	case ICE_NET_TEMPORARY:
		return FL_NET_TEMPORARY;
	case ICE_NET_VIRTUAL:
		return FL_NET_VIRTUAL;
	case ICE_NET_LINK_LOCAL:
		return FL_NET_LINK_LOCAL;
	}
	return FL_NET_UNKNOWN;
}

/* ---- pairs ---- */

static struct fl_candidate candidate_of(enum ice_type type, const struct addr *a)
{
	struct fl_candidate c = { .type = type_of(type), .port = a->port };
	char text[ADDR_TEXT_MAX];

	snprintf(c.address, sizeof(c.address), "%s", addr_format_ip(a, text));
	return c;
}

static void pair_error(const struct ice_pair_info *i, char *dst, size_t cap)
{
	switch (i->error) {
	case ICE_PAIR_OK:
		text_copy(dst, cap, "");
		return;
	case ICE_PAIR_TIMEOUT:
		text_copy(dst, cap,
			  i->received ? "the other side's checks arrive, ours are not answered"
				      : "not answered");
		return;
	case ICE_PAIR_CONSENT:
		text_copy(dst, cap, "worked, then fell silent");
		return;
	case ICE_PAIR_REFUSED:
		snprintf(dst, cap, "refused by the other side (%u)", i->error_code);
		return;
	case ICE_PAIR_ASYMMETRIC:
		text_copy(dst, cap, "the answer came from another address");
		return;
	case ICE_PAIR_SEND:
		if (i->local_type == ICE_RELAY && i->send_error == -EACCES)
			text_copy(dst, cap, "the relay does not relay to this address");
		else
			snprintf(dst, cap, "could not be sent: %s", err_text(i->send_error));
		return;
	}
}

struct fl_pair peer_pair_of(const struct ice_pair_info *i)
{
	struct fl_pair p = {
		.local = candidate_of(i->local_type, &i->local),
		.remote = candidate_of(i->remote_type, &i->remote),
		.tcp = i->via == DGRAM_TCP,
		.state = state_of(i->state),
		.sent = i->sent,
		.answered = i->answered,
		.received = i->received,
		.rtt_us = i->rtt_us,
	};

	pair_error(i, p.error, sizeof(p.error));
	return p;
}

/* ---- candidates ---- */

static bool same_place(const struct addr *a, const struct addr *b)
{
	return a->port == b->port && addr_ip_equal(a, b);
}

/* A reflexive candidate of ours takes part by its base. */
static bool takes_part(const struct found *f, const struct ice_pair_info *i)
{
	if (ice_via(f->transport) != i->via)
		return false;
	if (f->remote)
		return same_place(&f->addr, &i->remote);
	return same_place(&f->addr, &i->base) || same_place(&f->base, &i->base);
}

static bool is_selected(const struct found *f, const struct ice_pair_info *s)
{
	return s && takes_part(f, s) && same_place(&f->addr, f->remote ? &s->remote : &s->local);
}

struct others {
	size_t n, family,
		transport; /* of the other end: good ones; of its family; of its protocol */
};

static struct others others_of(const struct peer *p, const struct found *f)
{
	struct others o = { 0 };

	for (size_t i = 0; i < p->n_found; i++) {
		const struct found *c = &p->found[i];

		if (c->remote == f->remote || c->gone || c->ignored || c->addr.family == ADDR_NONE)
			continue;
		o.n++;
		o.family += c->addr.family == f->addr.family;
		o.transport += ice_via(c->transport) == ice_via(f->transport);
	}
	return o;
}

/* Why a good candidate is in no pair. */
static const char *why_unpaired(const struct peer *p, const struct found *f)
{
	struct others o = others_of(p, f);

	if (o.n == 0)
		return f->remote ? "this end has no address" : "the other side named no address";
	if (f->transport == ICE_TCP_PASSIVE && !f->remote)
		return "nobody connected to it";
	if (f->addr.family == ADDR_V6 && o.family == 0)
		return f->remote ? "this end has no IPv6 address"
				 : "the other side has no IPv6 address";
	if (f->addr.family == ADDR_V4 && o.family == 0)
		return f->remote ? "this end has no IPv4 address"
				 : "the other side has no IPv4 address";
	if (o.transport == 0)
		return f->remote ? "this end has no TCP address"
				 : "the other side has no TCP address";
	return "nothing of the other end fits it";
}

static void judge(const struct peer *p, const struct found *f, const struct ice_pair_info *pairs,
		  size_t n, const struct ice_pair_info *selected, struct fl_found *out)
{
	const struct ice_pair_info *failed = NULL;
	bool paired = false, checked = false, works = false;

	for (size_t i = 0; i < n; i++) {
		if (!takes_part(f, &pairs[i]))
			continue;
		paired = true;
		checked |= pairs[i].sent || pairs[i].received;
		works |= pairs[i].state == ICE_PAIR_SUCCEEDED;
		if (!failed && pairs[i].error != ICE_PAIR_OK)
			failed = &pairs[i];
	}
	out->use = f->gone		      ? FL_USE_GONE
		   : f->ignored		      ? FL_USE_IGNORED
		   : is_selected(f, selected) ? FL_USE_SELECTED
		   : checked		      ? FL_USE_TRIED
					      : FL_USE_UNUSED;
	if (out->use == FL_USE_SELECTED || (out->use == FL_USE_TRIED && works))
		return;
	if (out->use == FL_USE_TRIED && failed)
		pair_error(failed, out->why, sizeof(out->why));
	else if (f->why)
		text_copy(out->why, sizeof(out->why), f->why);
	else if (out->use == FL_USE_UNUSED)
		text_copy(out->why, sizeof(out->why),
			  !paired    ? why_unpaired(p, f)
			  : selected ? "a better pair worked first"
				     : "not its turn yet");
}

static struct fl_found found_of(const struct peer *p, const struct found *f)
{
	struct fl_found out = { .remote = f->remote,
				.tcp = f->transport != ICE_UDP,
				.type = type_of(f->type),
				.port = f->addr.port,
				.net = f->remote ? FL_NET_UNKNOWN : net_of(f->net) };
	char text[ADDR_TEXT_MAX];
	usec_t since = usec_sub(f->at, p->gather_us);

	if (f->addr.family != ADDR_NONE)
		text_copy(out.address, sizeof(out.address), addr_format_ip(&f->addr, text));
	else
		text_printable(out.address, sizeof(out.address), span_str(f->host));
	text_printable(out.origin, sizeof(out.origin), span_str(f->origin));
	out.since_us = (uint32_t)FL_MIN(since, UINT32_MAX);
	if (f->type == ICE_RELAY || (!f->remote && addr_range(&f->addr) == ADDR_LOOPBACK))
		out.net = FL_NET_UNKNOWN;
	return out;
}

/* In three rounds, so that a flood of dropped ones does not push out what matters. */
static void fill_candidates(const struct peer *p, const struct ice_pair_info *pairs, size_t n,
			    const struct ice_pair_info *selected, struct fl_route *out)
{
	for (int round = 0; round < 3; round++)
		for (size_t i = 0; i < p->n_found; i++) {
			const struct found *f = &p->found[i];
			bool dropped = f->gone || f->ignored;
			struct fl_found *to = &out->candidates[out->n_candidates];

			if (round != (dropped ? 2 : f->remote) ||
			    out->n_candidates == FL_ROUTE_CANDIDATES_MAX)
				continue;
			*to = found_of(p, f);
			judge(p, f, pairs, n, selected, to);
			out->n_candidates++;
		}
}

/* ---- the NAT in front of us ---- */

/* What the answers of two servers to one address of ours tell. */
static enum fl_nat_mapping compare(const struct ice_server_info *a, const struct ice_server_info *b)
{
	if (addr_equal(&a->mapped, &b->mapped))
		return FL_MAPPING_INDEPENDENT;
	return addr_ip_equal(&a->server, &b->server) ? FL_MAPPING_PORT : FL_MAPPING_ADDRESS;
}

/* One answer tells whether there is a translation at all; where two answers differ, that counts. */
static enum fl_nat_mapping mapping_of(const struct ice_server_info *s, size_t n, size_t first)
{
	enum fl_nat_mapping worst = FL_MAPPING_UNKNOWN;

	if (addr_equal(&s[first].mapped, &s[first].base))
		worst = FL_MAPPING_NONE;
	for (size_t i = first + 1; i < n; i++)
		if (s[i].mapped.family != ADDR_NONE && addr_equal(&s[i].base, &s[first].base) &&
		    !(worst == FL_MAPPING_NONE && addr_equal(&s[i].mapped, &s[i].base)))
			worst = FL_MAX(worst, compare(&s[first], &s[i]));
	return worst;
}

/* The addresses that matter: IPv4 in a network of its own, where there is one. */
static void fill_mapping(const struct peer *p, struct fl_route *out)
{
	struct ice_server_info s[PEER_STUN_ASKED_MAX];
	size_t n = peer_stun_servers(p, s, PEER_STUN_ASKED_MAX);
	bool have_v4 = false;

	for (size_t i = 0; i < n; i++)
		have_v4 |= s[i].mapped.family == ADDR_V4;
	for (size_t i = 0; i < n; i++)
		if (s[i].mapped.family == (have_v4 ? ADDR_V4 : ADDR_V6))
			out->mapping = FL_MAX(out->mapping, mapping_of(s, n, i));
}

/* A check that came in from where we had sent nothing to. Only one that came through the NAT
 * counts: from a public address to one of ours that is not. */
static void fill_filtering(const struct ice_pair_info *pairs, size_t n, struct fl_route *out)
{
	for (size_t i = 0; i < n; i++) {
		if (pairs[i].unasked == ICE_UNASKED_NO || pairs[i].via != DGRAM_UDP ||
		    addr_range(&pairs[i].remote) != ADDR_PUBLIC ||
		    addr_range(&pairs[i].base) != ADDR_PRIVATE)
			continue;
		if (pairs[i].unasked == ICE_UNASKED_ADDRESS)
			out->filtering = FL_FILTERING_OPEN;
		else if (out->filtering == FL_FILTERING_UNKNOWN)
			out->filtering = FL_FILTERING_ADDRESS;
	}
}

/* ---- counters ---- */

void peer_report_ignored(struct fl_route *out, const char *word, uint64_t count)
{
	struct fl_ignored *i = out->ignored;

	if (!count)
		return;
	while (i < out->ignored + out->n_ignored && strcmp(i->word, word) != 0)
		i++;
	if (i == out->ignored + FL_ROUTE_IGNORED_MAX)
		return;
	if (i == out->ignored + out->n_ignored) {
		text_copy(i->word, sizeof(i->word), word);
		out->n_ignored++;
	}
	i->count += count;
}

static void fill_ignored(const struct peer *p, struct fl_route *out)
{
	static const char *const words[PEER_IGNORED_REASONS] = {
		[PEER_IGNORED_MALFORMED] = "malformed", [PEER_IGNORED_UNSUPPORTED] = "unsupported",
		[PEER_IGNORED_COMPONENT] = "component", [PEER_IGNORED_ADDRESS] = "address",
		[PEER_IGNORED_LOOPBACK] = "loopback",	[PEER_IGNORED_SELF] = "self",
		[PEER_IGNORED_DUPLICATE] = "duplicate", [PEER_IGNORED_PRIVATE] = "private",
		[PEER_IGNORED_NAME] = "name",		[PEER_IGNORED_LIMIT] = "over-limit",
		[PEER_IGNORED_POLICY] = "policy",
	};
	const struct ice_stats *s = p->ice ? ice_stats(p->ice) : NULL;

	for (size_t i = 0; i < PEER_IGNORED_REASONS; i++)
		peer_report_ignored(out, words[i], p->ignored[i]);
	peer_report_ignored(out, "unknown-packet", p->stats.unknown_packets);
	peer_report_ignored(out, "early-dtls", p->stats.early_dropped);
	peer_report_ignored(out, "unproved-rtp", p->stats.rtp_refused);
	if (!s)
		return;
	peer_report_ignored(out, "malformed-stun", s->malformed);
	peer_report_ignored(out, "fingerprint", s->fingerprint);
	peer_report_ignored(out, "unauthenticated", s->unauthenticated);
	peer_report_ignored(out, "unexpected", s->unexpected);
	peer_report_ignored(out, "unknown-attribute", s->unknown_attribute);
	peer_report_ignored(out, "wrong-address", s->wrong_local);
	peer_report_ignored(out, "stale", s->candidates_ignored);
	peer_report_ignored(out, "pair-limit", s->over_limit - s->candidates_full);
}

void peer_report(const struct peer *p, const struct ice_pair_info *pairs, size_t n,
		 const struct ice_pair_info *selected, struct fl_route *out)
{
	fill_candidates(p, pairs, n, selected, out);
	fill_mapping(p, out);
	fill_filtering(pairs, n, out);
	if (p->nat_mapping != FL_MAPPING_UNKNOWN)
		out->mapping = p->nat_mapping;
	if (p->nat_filtering != FL_FILTERING_UNKNOWN)
		out->filtering = p->nat_filtering;
	fill_ignored(p, out);
}
