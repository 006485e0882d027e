/* What two reports prove together. */
#include "report/verdict_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Something came back over UDP from beyond the own network. */
static bool udp_heard(const struct route_seen *s)
{
	const struct seen_servers *udp = &s->servers[SEEN_BY_UDP];

	/* without a translation nothing needs to have been heard to say so */
	if (udp->answered || udp->refused || s->mapping >= SEEN_MAPPING_INDEPENDENT)
		return true;
	if (s->method == SEEN_RELAYED)
		return s->transport == SEEN_UDP;
	return s->method == SEEN_PUNCHED && !s->tcp;
}

static unsigned answers(const struct seen_servers *s)
{
	return (unsigned)s->answered + s->refused;
}

static unsigned misses(const struct seen_servers *s)
{
	return (unsigned)s->silent + s->failed;
}

/*
 * The same when something slower brought an answer, which takes several round trips where this
 * takes one: then a question that is still open counts too.
 */
static unsigned late(const struct seen_servers *s)
{
	return misses(s) + s->asking;
}

/* UDP counts as blocked when it brought nothing, while a stream to a server got its answer, or the
 * other end got one over UDP. */
static enum block block_of(const struct route_seen *s, const struct route_seen *other)
{
	const struct seen_servers *udp = &s->servers[SEEN_BY_UDP],
				  *stream = &s->servers[SEEN_BY_STREAM],
				  *s443 = &s->servers[SEEN_BY_STREAM_443],
				  *proxy = &s->servers[SEEN_BY_PROXY];
	bool streams = answers(stream) || answers(s443) || answers(proxy);

	if (!s->reported || udp_heard(s) || !late(udp))
		return BLOCK_NONE;
	if (!streams) {
		bool tried = late(stream) || late(s443) || late(proxy);

		return misses(udp) && !tried && udp_heard(other) ? BLOCK_UDP : BLOCK_NONE;
	}
	if (!answers(stream) && !answers(s443))
		return late(stream) || late(s443) ? BLOCK_PROXY_ONLY : BLOCK_UDP;
	if (!answers(stream) && late(stream))
		return BLOCK_443_ONLY;
	return BLOCK_UDP;
}

static enum relay_state relay_of(const struct route_seen *s)
{
	const struct seen_servers *r = &s->relays;

	if (r->answered || s->method == SEEN_RELAYED)
		return RELAY_OK;
	if (r->refused)
		return RELAY_REFUSED;
	return misses(r) && !r->asking ? RELAY_UNREACHED : RELAY_UNTOLD;
}

static bool has_host(const struct route_seen *s, const struct addr *a)
{
	for (unsigned i = 0; i < s->n_hosts; i++)
		if (addr_ip_equal(&s->hosts[i], a))
			return true;
	return false;
}

static bool share_host(const struct route_seen *a, const struct route_seen *b)
{
	for (unsigned i = 0; i < a->n_hosts; i++)
		if (has_host(b, &a->hosts[i]))
			return true;
	return false;
}

/*
 * One public address for both. Behind a carrier's NAT strangers share one too; those have private
 * networks of their own, in which often the same addresses are given out.
 */
static void look_at_site(struct judge *j)
{
	const struct route_seen *a = j->end[0], *b = j->end[1];

	for (unsigned i = 0; i < a->n_mapped && !j->same_site; i++)
		for (unsigned k = 0; k < b->n_mapped && !j->same_site; k++)
			if (addr_ip_equal(&a->mapped[i], &b->mapped[k])) {
				j->same_site = !share_host(a, b);
				j->site = a->mapped[i];
			}
	for (int i = 0; i < 2; i++) {
		const struct route_seen *s = j->end[i], *other = j->end[!i];

		if (!s->lan_silent || j->lan_silent)
			continue;
		j->lan_silent = true;
		j->lan[i] = s->lan[0];
		/* what the other end says of itself is better than what was tried */
		j->lan[!i] = other->n_hosts && !has_host(other, &s->lan[1]) ? other->hosts[0]
									    : s->lan[1];
	}
}

static bool family_apart(const struct route_seen *a, const struct route_seen *b)
{
	if (a->hidden || b->hidden || !(a->v4 || a->v6) || !(b->v4 || b->v6))
		return false;
	return !(a->v4 && b->v4) && !(a->v6 && b->v6);
}

/* The NATs alone make a direct route over UDP impossible. */
static bool nats_forbid(const struct judge *j)
{
	for (int i = 0; i < 2; i++) {
		if (!j->symmetric[i])
			continue;
		if (j->symmetric[!i] || j->port_filter[!i])
			return true;
	}
	return false;
}

/* With one symmetric NAT known and the other end's unknown filter: theory leaves that filter only.
 */
static bool nats_suggest(const struct judge *j)
{
	for (int i = 0; i < 2; i++)
		if (j->symmetric[i] && j->end[!i]->mapping == SEEN_MAPPING_INDEPENDENT &&
		    j->end[!i]->filtering == SEEN_FILTERING_UNKNOWN)
			return true;
	return false;
}

/* Both have public addresses that the other one never heard of. */
static bool withheld(const struct route_seen *a, const struct route_seen *b)
{
	return a->reflexive[0] && b->reflexive[0] && a->n_remote && b->n_remote &&
	       !a->reflexive[1] && !b->reflexive[1];
}

static enum obstacle obstacle_of(const struct judge *j)
{
	const bool *may = j->policy.methods;
	bool both = j->end[0]->reported && j->end[1]->reported;

	if (!may[POLICY_LOCAL] && !may[POLICY_PUNCHED])
		return OBSTACLE_ONLY_RELAY;
	if (j->end[0]->only_relay || j->end[1]->only_relay)
		return OBSTACLE_CHOICE;
	if (j->same_site && j->lan_silent && may[POLICY_LOCAL])
		return OBSTACLE_ISOLATED;
	if (j->block[0] || j->block[1])
		return OBSTACLE_BLOCKED;
	if (j->no_family)
		return OBSTACLE_FAMILY;
	if (!may[POLICY_PUNCHED])
		return OBSTACLE_NO_PUNCHING;
	if (withheld(j->end[0], j->end[1]))
		return OBSTACLE_WITHHELD;
	if (nats_forbid(j) || nats_suggest(j))
		return OBSTACLE_NAT;
	if (!both)
		return OBSTACLE_UNREPORTED;
	return udp_heard(j->end[0]) && udp_heard(j->end[1]) ? OBSTACLE_FILTERED : OBSTACLE_UNKNOWN;
}

void judge_look(struct judge *j)
{
	for (int i = 0; i < 2; i++) {
		const struct route_seen *s = j->end[i];

		j->block[i] = block_of(s, j->end[!i]);
		j->relay[i] = relay_of(s);
		j->symmetric[i] = s->mapping == SEEN_MAPPING_ADDRESS ||
				  s->mapping == SEEN_MAPPING_PORT;
		j->port_filter[i] = s->filtering == SEEN_FILTERING_PORT;
	}
	look_at_site(j);
	j->no_family = family_apart(j->end[0], j->end[1]);
	j->obstacle = obstacle_of(j);
}

enum verdict_side judge_blocked(const struct judge *j)
{
	return (enum verdict_side)((j->block[0] ? SIDE_CONSOLE : 0) |
				   (j->block[1] ? SIDE_DEVICE : 0));
}

void judge_say(struct judge *j, const char *fmt, ...)
{
	size_t at = strlen(j->v->sentence);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(j->v->sentence + at, sizeof(j->v->sentence) - at, fmt, ap);
	va_end(ap);
}
