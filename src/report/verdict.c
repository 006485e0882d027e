#include "report/verdict.h"

#include <string.h>

#include "base/text.h"
#include "report/verdict_internal.h"

const char *const verdict_causes[CAUSES + 1] = {
	[CAUSE_SAME_NETWORK] = "same-network",
	[CAUSE_DIRECT] = "direct",
	[CAUSE_DIRECT_TCP] = "direct-tcp",
	[CAUSE_UDP_BLOCKED] = "udp-blocked",
	[CAUSE_UDP_AND_TCP_BLOCKED] = "udp-and-tcp-blocked",
	[CAUSE_PROXY_ONLY] = "proxy-only",
	[CAUSE_NAT_SYMMETRIC] = "nat-symmetric",
	[CAUSE_ISOLATED] = "isolated",
	[CAUSE_NO_COMMON_FAMILY] = "no-common-family",
	[CAUSE_POLICY] = "policy",
	[CAUSE_RELAY_UNREACHABLE] = "relay-unreachable",
	[CAUSE_RELAY_REFUSED] = "relay-refused",
	[CAUSE_PEER_SILENT] = "peer-silent",
	[CAUSE_UNKNOWN] = "unknown",
};
const char *const verdict_sides[SIDES + 1] = { "none", "console", "device", "both" };
const char *const verdict_methods[SEEN_METHODS + 1] = { "none", "local", "punched", "relayed" };
const char *const verdict_transports[SEEN_TRANSPORTS + 1] = { "udp", "tcp", "tls", "wss" };

static void set(struct judge *j, enum verdict_cause cause, enum verdict_side side)
{
	j->v->cause = cause;
	j->v->side = side;
}

/* Both have something: what is true of both. */
static enum verdict_cause block_cause(const struct judge *j)
{
	static const enum verdict_cause causes[] = {
		[BLOCK_NONE] = CAUSE_UNKNOWN,
		[BLOCK_UDP] = CAUSE_UDP_BLOCKED,
		[BLOCK_443_ONLY] = CAUSE_UDP_AND_TCP_BLOCKED,
		[BLOCK_PROXY_ONLY] = CAUSE_PROXY_ONLY,
	};
	enum block a = j->block[0], b = j->block[1];

	return a && b && a != b ? CAUSE_UDP_BLOCKED : causes[a ? a : b];
}

static enum verdict_side symmetric_side(const struct judge *j)
{
	return (enum verdict_side)((j->symmetric[0] ? SIDE_CONSOLE : 0) |
				   (j->symmetric[1] ? SIDE_DEVICE : 0));
}

static void blame_obstacle(struct judge *j)
{
	switch (j->obstacle) {
	case OBSTACLE_UNKNOWN:
	case OBSTACLE_UNREPORTED:
		set(j, CAUSE_UNKNOWN, SIDE_NONE);
		return;
	case OBSTACLE_FILTERED:
		set(j, CAUSE_UNKNOWN, SIDE_BOTH);
		return;
	case OBSTACLE_ONLY_RELAY:
	case OBSTACLE_NO_PUNCHING:
	case OBSTACLE_WITHHELD:
		set(j, CAUSE_POLICY, SIDE_NONE);
		return;
	case OBSTACLE_CHOICE:
		set(j, CAUSE_POLICY, j->end[0]->only_relay ? SIDE_CONSOLE : SIDE_DEVICE);
		return;
	case OBSTACLE_ISOLATED:
		set(j, CAUSE_ISOLATED, SIDE_BOTH);
		return;
	case OBSTACLE_BLOCKED:
		set(j, block_cause(j), judge_blocked(j));
		return;
	case OBSTACLE_FAMILY:
		set(j, CAUSE_NO_COMMON_FAMILY, SIDE_BOTH);
		return;
	case OBSTACLE_NAT:
		set(j, CAUSE_NAT_SYMMETRIC, symmetric_side(j));
		return;
	}
}

static void blame_local(struct judge *j)
{
	bool tcp = j->end[0]->tcp || j->end[1]->tcp;

	set(j, tcp ? CAUSE_DIRECT_TCP : CAUSE_SAME_NETWORK,
	    tcp && j->lan_silent ? SIDE_BOTH : SIDE_NONE);
}

static void blame_punched(struct judge *j)
{
	bool tcp = j->end[0]->tcp || j->end[1]->tcp;

	if (j->same_site && j->lan_silent && j->policy.methods[POLICY_LOCAL])
		set(j, CAUSE_ISOLATED, SIDE_BOTH);
	else if (tcp && judge_blocked(j))
		set(j, block_cause(j), judge_blocked(j));
	else
		set(j, tcp ? CAUSE_DIRECT_TCP : CAUSE_DIRECT, SIDE_NONE);
}

static enum verdict_side sides_with(const struct judge *j, enum relay_state state)
{
	return (enum verdict_side)((j->relay[0] == state ? SIDE_CONSOLE : 0) |
				   (j->relay[1] == state ? SIDE_DEVICE : 0));
}

/* The end from which nothing came, although the other one did all it could; SIDE_NONE: neither. */
static enum verdict_side silent_side(const struct judge *j)
{
	for (int i = 0; i < 2; i++)
		if (j->end[i]->reported && !j->end[!i]->reported && j->relay[i] == RELAY_OK)
			return i ? SIDE_CONSOLE : SIDE_DEVICE;
	return SIDE_NONE;
}

static void blame_none(struct judge *j)
{
	bool relays = j->q->n_relays || j->relay[0] || j->relay[1];

	if (!policy_relays(&j->policy))
		set(j, CAUSE_POLICY, SIDE_NONE);
	else if (sides_with(j, RELAY_REFUSED))
		set(j, CAUSE_RELAY_REFUSED, sides_with(j, RELAY_REFUSED));
	else if (sides_with(j, RELAY_UNREACHED))
		set(j, CAUSE_RELAY_UNREACHABLE, sides_with(j, RELAY_UNREACHED));
	else if (!relays)
		set(j, CAUSE_RELAY_UNREACHABLE, SIDE_NONE);
	else if (silent_side(j))
		set(j, CAUSE_PEER_SILENT, silent_side(j));
	else
		set(j, CAUSE_UNKNOWN, SIDE_NONE);
}

/* The newer report has the word when they differ; but a route that one end has is one. */
static void choose_method(struct judge *j)
{
	const struct route_seen *last = j->end[j->q->device_last],
				*first = j->end[!j->q->device_last];
	struct verdict *v = j->v;

	if (!last->reported || (last->method == SEEN_NONE && first->reported))
		last = first;
	v->method = last->method;
	for (int i = 0; i < 2; i++)
		if (j->end[i]->reported && j->end[i]->method == v->method &&
		    j->end[i]->transport > v->transport)
			v->transport = j->end[i]->transport;
}

bool verdict_make(const struct verdict_question *q, struct verdict *out)
{
	static const struct route_seen nothing = { .setup_ms = -1 };
	struct judge j = { .q = q, .v = out };

	*out = (struct verdict){ .method = SEEN_NONE };
	j.end[0] = q->console ? q->console : &nothing;
	j.end[1] = q->device ? q->device : &nothing;
	if (!j.end[0]->reported && !j.end[1]->reported)
		return false;
	if (q->policy)
		j.policy = *q->policy;
	policy_complete(&j.policy);
	out->final = q->ended || (j.end[0]->reported && j.end[1]->reported);
	choose_method(&j);
	judge_look(&j);
	switch (out->method) {
	case SEEN_LOCAL:
		blame_local(&j);
		words_local(&j);
		break;
	case SEEN_PUNCHED:
		blame_punched(&j);
		words_punched(&j);
		break;
	case SEEN_RELAYED:
		blame_obstacle(&j);
		words_relayed(&j);
		break;
	case SEEN_NONE:
	case SEEN_METHODS:
		blame_none(&j);
		words_none(&j);
		break;
	}
	return true;
}

static json_t *remedy_json(const struct verdict_remedy *r)
{
	static const char *const gains[] = { [GAIN_RELAY_UDP] = "relay-udp",
					     [GAIN_PUNCHED] = "punched",
					     [GAIN_LOCAL] = "local",
					     [GAIN_ANY] = "any" };

	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "side", verdict_sides[r->side],
			 "protocol", r->tcp ? "tcp" : "udp", "host", r->host, "ports", r->ports,
			 "gain", gains[r->gain], "text", r->text);
}

json_t *verdict_json(const struct verdict *v)
{
	json_t *list = json_array();

	for (size_t i = 0; list && i < v->n_remedies; i++)
		if (json_array_append_new(list, remedy_json(&v->remedy[i])) < 0) {
			json_decref(list);
			list = NULL;
		}
	return json_pack("{s:s, s:s?, s:s, s:s, s:s, s:b, s:o}", "method",
			 verdict_methods[v->method], "transport",
			 v->method == SEEN_NONE ? NULL : verdict_transports[v->transport], "cause",
			 verdict_causes[v->cause], "side", verdict_sides[v->side], "sentence",
			 v->sentence, "final", v->final, "remedy", list);
}

/* ---- relays ---- */

static enum seen_transport transport_of(const char *url)
{
	const char *tail = strstr(url, "?transport=");

	if (tail && strcmp(tail + 11, "wss") == 0)
		return SEEN_WSS;
	if (tail && strcmp(tail + 11, "udp") == 0)
		return SEEN_UDP;
	if (strncmp(url, "turns:", 6) == 0)
		return SEEN_TLS;
	return tail && strcmp(tail + 11, "tcp") == 0 ? SEEN_TCP : SEEN_UDP;
}

static struct verdict_relay *entry(struct verdict_relay *relays, size_t *n, const char *host)
{
	for (size_t i = 0; i < *n; i++)
		if (strcmp(relays[i].host, host) == 0)
			return &relays[i];
	if (*n >= VERDICT_RELAYS_MAX)
		return NULL;
	relays[*n] = (struct verdict_relay){ 0 };
	text_copy(relays[*n].host, sizeof(relays[*n].host), host);
	return &relays[(*n)++];
}

bool verdict_relay_add(struct verdict_relay relays[VERDICT_RELAYS_MAX], size_t *n, const char *url)
{
	size_t scheme = strncmp(url, "turns:", 6) == 0 ? 6 : strncmp(url, "turn:", 5) == 0 ? 5 : 0;
	const char *rest = url + scheme, *end;
	char host[VERDICT_HOST_CAP];
	struct verdict_relay *r;
	unsigned long port = 0;

	end = rest[0] == '[' ? strchr(rest, ']') : rest + strcspn(rest, ":?");
	if (rest[0] == '[')
		rest++;
	if (!scheme || !end || end == rest ||
	    !text_copy_span(host, sizeof(host), span_of(rest, (size_t)(end - rest))))
		return false;
	end += *end == ']';
	if (*end == ':')
		port = strtoul(end + 1, NULL, 10);
	r = entry(relays, n, host);
	if (r && !r->port[transport_of(url)])
		r->port[transport_of(url)] = port && port <= UINT16_MAX ? (uint16_t)port
					     : scheme == 6		? 5349
									: 3478;
	return r != NULL;
}
