/* What became of each STUN and TURN server, for the report. */
#include <errno.h>
#include <stdio.h>

#include "base/err.h"
#include "base/text.h"
#include "peer/driver.h"

struct driver_server *driver_server_add(struct fl_peer *p, const char *url, const char *transport,
					bool proxy)
{
	struct driver_server *s = &p->servers[p->n_servers];

	if (p->n_servers == FL_ROUTE_SERVERS_MAX)
		return NULL;
	p->n_servers++;
	*s = (struct driver_server){ .told = { .proxy = proxy, .state = FL_SERVER_UNUSED } };
	text_printable(s->told.url, sizeof(s->told.url), span_str(url));
	text_copy(s->told.transport, sizeof(s->told.transport), transport);
	return s;
}

void driver_server_asking(struct driver_server *s)
{
	if (!s)
		return;
	s->asked_us = usec_monotonic();
	s->told.state = FL_SERVER_ASKING;
	s->told.code = 0;
	s->told.error[0] = 0;
}

void driver_server_answered(struct driver_server *s, const struct addr *mapped)
{
	char text[ADDR_TEXT_MAX];
	usec_t took;

	if (!s)
		return;
	took = FL_MAX(usec_sub(usec_monotonic(), s->asked_us), 1);
	s->told.state = FL_SERVER_ANSWERED;
	s->told.took_us = (uint32_t)FL_MIN(took, UINT32_MAX);
	s->told.error[0] = 0;
	if (mapped->family != ADDR_NONE)
		text_copy(s->told.mapped, sizeof(s->told.mapped), addr_format(mapped, text));
}

void driver_server_failed(struct driver_server *s, enum fl_server_state state, unsigned code,
			  const char *error)
{
	if (!s)
		return;
	s->told.state = state;
	s->told.code = (uint16_t)code;
	text_printable(s->told.error, sizeof(s->told.error), span_str(error));
}

/* RFC 8656 §19 and RFC 8489 §14.8 */
void driver_server_refused(struct driver_server *s, unsigned code, const char *reason)
{
	static const struct {
		unsigned code;
		const char *error;
	} known[] = {
		{ 401, "wrong user name or password" },
		{ 403, "forbidden by the relay's rules" },
		{ 437, "the relay knows this address and port already" },
		{ 438, "the relay changes its nonce faster than we can answer" },
		{ 440, "the relay has no address of this family" },
		{ 441, "the relay has an allocation of another user here" },
		{ 442, "the relay does not relay UDP" },
		{ 486, "this user has as many allocations as the relay allows" },
		{ 508, "the relay has no free ports" },
	};

	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (known[i].code == code)
			reason = known[i].error;
	driver_server_failed(s, FL_SERVER_REFUSED, code, reason);
}

void driver_server_broken(struct driver_server *s, int err)
{
	bool late = err == -ETIMEDOUT;

	/* an address of a family that we do not have tells less than what another one met */
	if (s && s->told.error[0] && (err == -ENETUNREACH || err == -EADDRNOTAVAIL))
		return;

	/* a way that ends before it was open; after that the client's own word counts */
	driver_server_failed(s, late ? FL_SERVER_SILENT : FL_SERVER_FAILED, 0,
			     late		      ? "no answer"
			     : err == -ECONNREFUSED   ? "the connection was refused"
			     : err == FL_ETLS	      ? "TLS did not come about"
			     : err == FL_EUNSUPPORTED ? "the answer is not a relay's"
						      : err_text(err));
}

/* Whether s is one that was asked as the row's server. */
static bool is_row(const struct driver_server *row, const struct ice_server_info *s)
{
	return addr_equal(&s->server, &row->addrs[0]) || addr_equal(&s->server, &row->addrs[1]);
}

/* A STUN server is asked from every address of ours: the quickest answer is told, IPv4 first. */
static const struct ice_server_info *best_answer(const struct driver_server *row,
						 const struct ice_server_info *s, size_t n)
{
	const struct ice_server_info *best = NULL;

	for (size_t i = 0; i < n; i++) {
		if (!is_row(row, &s[i]) || s[i].mapped.family == ADDR_NONE)
			continue;
		if (!best || s[i].mapped.family < best->mapped.family ||
		    (s[i].mapped.family == best->mapped.family && s[i].rtt_us < best->rtt_us))
			best = &s[i];
	}
	return best;
}

static void describe_stun(const struct driver_server *row, const struct ice_server_info *s,
			  size_t n, struct fl_server *out)
{
	const struct ice_server_info *best = best_answer(row, s, n);
	size_t asked = 0, open = 0;
	char text[ADDR_TEXT_MAX];

	for (size_t i = 0; i < n; i++)
		if (is_row(row, &s[i])) {
			asked++;
			open += !s[i].gave_up;
		}
	if (best) {
		out->state = FL_SERVER_ANSWERED;
		out->took_us = FL_MAX(best->rtt_us, 1);
		text_copy(out->mapped, sizeof(out->mapped), addr_format(&best->mapped, text));
	} else if (asked && !open) {
		out->state = FL_SERVER_SILENT;
		text_copy(out->error, sizeof(out->error), "no answer over UDP");
	} else if (!asked) {
		out->state = FL_SERVER_UNUSED;
		text_copy(out->error, sizeof(out->error), "this end has no address to ask from");
	}
}

static bool is_stun(const struct driver_server *row)
{
	return row->addrs[0].family != ADDR_NONE || row->addrs[1].family != ADDR_NONE;
}

/* Where no route was found, that no relay was to be had is part of the reason: the first is named,
 * which is the one over UDP as a rule. */
static void explain(struct fl_route *route)
{
	const struct fl_server *first = NULL;
	size_t len = strlen(route->reason);

	for (size_t i = 0; i < route->n_servers; i++) {
		const struct fl_server *s = &route->servers[i];

		if (strncmp(s->url, "turn", 4) != 0)
			continue;
		if (s->state == FL_SERVER_ANSWERED)
			return;
		first = first ? first : s;
	}
	if (first)
		snprintf(route->reason + len, sizeof(route->reason) - len,
			 " No relay: %.90s: %.90s.", first->url,
			 first->error[0] ? first->error : fl_server_state_name(first->state));
}

void driver_servers_describe(const struct fl_peer *p, struct fl_route *route)
{
	struct ice_server_info asked[PEER_STUN_ASKED_MAX];
	size_t n = peer_stun_servers(p->core, asked, PEER_STUN_ASKED_MAX);

	for (size_t i = 0; i < p->n_servers; i++) {
		struct fl_server *s = &route->servers[route->n_servers++];

		*s = p->servers[i].told;
		if (is_stun(&p->servers[i]))
			describe_stun(&p->servers[i], asked, n, s);
	}
	if (p->mdns) {
		const struct mdns_stats *m = mdns_stats(p->mdns);

		peer_report_ignored(route, "name-off-link", m->off_link);
		peer_report_ignored(route, "name-malformed", m->malformed + m->wrong_port);
	}
	if (route->method == FL_ROUTE_NONE)
		explain(route);
}
