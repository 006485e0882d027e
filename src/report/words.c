/* The sentences, and the rules that they name. */
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "report/verdict_internal.h"

#define RELAY_PORTS "49152-65535" /* RFC 8656 §2.2: where relayed addresses lie */
#define RELAY_PORTS_TEXT "49152–65535"

static const char *const end_names[] = { "console", "device" };

/* ---- text ---- */

/* "the device's network", "both networks" */
static const char *network(enum verdict_side side)
{
	static const char *const names[] = { "the network", "the console's network",
					     "the device's network", "both networks", "" };

	return names[side];
}

static enum verdict_side side_of(int end)
{
	return end ? SIDE_DEVICE : SIDE_CONSOLE;
}

static struct verdict_remedy *remedy(struct judge *j, int end, enum verdict_gain gain,
				     const char *host, const char *ports)
{
	struct verdict *v = j->v;
	struct verdict_remedy *r = v->n_remedies < VERDICT_REMEDIES_MAX
					   ? &v->remedy[v->n_remedies++]
					   : &j->spare;

	*r = (struct verdict_remedy){ .side = side_of(end), .gain = gain };
	text_copy(r->host, sizeof(r->host), host);
	text_copy(r->ports, sizeof(r->ports), ports);
	return r;
}

/* ---- relays ---- */

static const struct verdict_relay *first_relay(const struct judge *j)
{
	return j->q->n_relays ? &j->q->relays[0] : NULL;
}

static const char *relay_name(const struct judge *j)
{
	return first_relay(j) ? first_relay(j)->host : "the relay";
}

static bool offers_udp(const struct judge *j, const struct verdict_relay *r)
{
	return r->port[SEEN_UDP] && j->policy.turn[POLICY_UDP] && policy_relays(&j->policy);
}

/* The rules by which the ends of these sides reach the relays over UDP; false: no relay offers it.
 */
static bool remedy_relay_udp(struct judge *j, enum verdict_side sides)
{
	bool any = false;

	for (int end = 0; end < 2; end++)
		for (size_t i = 0; i < j->q->n_relays && (sides & side_of(end)); i++) {
			const struct verdict_relay *r = &j->q->relays[i];
			struct verdict_remedy *m;
			char ports[32];

			if (!offers_udp(j, r))
				continue;
			any = true;
			snprintf(ports, sizeof(ports), "%u," RELAY_PORTS, r->port[SEEN_UDP]);
			m = remedy(j, end, GAIN_RELAY_UDP, r->host, ports);
			snprintf(m->text, sizeof(m->text),
				 "Allow UDP %u and " RELAY_PORTS_TEXT
				 " outbound to %s: sessions then go through the relay over UDP.",
				 r->port[SEEN_UDP], r->host);
		}
	return any;
}

static void say_relay_udp(struct judge *j, enum verdict_side sides)
{
	for (size_t i = 0; i < j->q->n_relays; i++)
		if (offers_udp(j, &j->q->relays[i])) {
			judge_say(j, "Allow UDP %u and " RELAY_PORTS_TEXT " outbound to %s",
				  j->q->relays[i].port[SEEN_UDP], j->q->relays[i].host);
			break;
		}
	if (sides == SIDE_BOTH)
		judge_say(j, " in both networks");
}

/* ---- rules for direct routes ---- */

static void remedy_all_udp(struct judge *j, enum verdict_side sides)
{
	for (int end = 0; end < 2; end++)
		if (sides & side_of(end)) {
			struct verdict_remedy *r = remedy(j, end, GAIN_PUNCHED, "*", "*");

			text_copy(r->text, sizeof(r->text),
				  "Allow UDP outbound to any address, with replies: sessions can "
				  "then go straight across the internet.");
		}
}

static void own_ports(const struct judge *j, int end, char out[32])
{
	if (end == 1 && j->policy.port_min)
		snprintf(out, 32, "%u-%u", j->policy.port_min, j->policy.port_max);
	else
		text_copy(out, 32, "*");
}

/* Each side lets its end out to the other's address. */
static void remedy_lan(struct judge *j)
{
	char host[ADDR_TEXT_MAX], ports[32];

	for (int end = 0; end < 2; end++) {
		struct verdict_remedy *r;

		own_ports(j, !end, ports);
		addr_format_ip(&j->lan[!end], host);
		r = remedy(j, end, GAIN_LOCAL, host, ports);
		snprintf(r->text, sizeof(r->text),
			 "Allow UDP to %s and its network: sessions then go straight across the "
			 "site.",
			 host);
	}
}

static void say_lan_pair(struct judge *j)
{
	char a[ADDR_TEXT_MAX], b[ADDR_TEXT_MAX];

	judge_say(j, "%s and %s", addr_format_ip(&j->lan[0], a), addr_format_ip(&j->lan[1], b));
}

static void say_lan_remedy(struct judge *j)
{
	remedy_lan(j);
	if (addr_same_prefix(&j->lan[0], &j->lan[1], 24))
		judge_say(
			j,
			" Switch off client isolation for the two, or allow UDP both ways between "
			"them, and it goes straight across the site.");
	else
		judge_say(j, " Allow UDP both ways between their two networks and it goes straight "
			     "across "
			     "the site.");
}

static void remedy_mapping(struct judge *j, enum verdict_side sides)
{
	char ports[32];

	for (int end = 0; end < 2; end++)
		if (sides & side_of(end)) {
			struct verdict_remedy *r;

			own_ports(j, end, ports);
			r = remedy(j, end, GAIN_PUNCHED, "*", ports);
			text_copy(r->text, sizeof(r->text),
				  "Let the router keep one outside port for each inside port, "
				  "wherever packets go (endpoint-independent mapping, RFC 4787; on "
				  "some routers \"static port\").");
		}
}

/* ---- why ---- */

static const char *block_does(enum block b, bool plural)
{
	switch (b) {
	case BLOCK_NONE:
		break;
	case BLOCK_UDP:
		return plural ? "block UDP" : "blocks UDP";
	case BLOCK_443_ONLY:
		return plural ? "let nothing out but TCP 443" : "lets nothing out but TCP 443";
	case BLOCK_PROXY_ONLY:
		return plural ? "let nothing out but through their proxy"
			      : "lets nothing out but through its proxy";
	}
	return "";
}

static void say_blocked(struct judge *j)
{
	enum verdict_side sides = judge_blocked(j);
	int one = sides == SIDE_DEVICE;

	if (sides == SIDE_BOTH && j->block[0] == j->block[1])
		judge_say(j, "both networks %s", block_does(j->block[0], true));
	else if (sides == SIDE_BOTH)
		judge_say(j, "the console's network %s and the device's %s",
			  block_does(j->block[0], false), block_does(j->block[1], false));
	else
		judge_say(j, "%s %s", network(sides), block_does(j->block[one], false));
}

static void say_isolated(struct judge *j)
{
	char site[ADDR_TEXT_MAX];

	judge_say(j, "packets between ");
	say_lan_pair(j);
	judge_say(j,
		  " are not answered, although both ends are probably at one site (their public "
		  "address is %s)",
		  addr_format_ip(&j->site, site));
}

static void say_nat(struct judge *j)
{
	int sym = j->symmetric[0] ? 0 : 1;

	if (j->symmetric[0] && j->symmetric[1])
		judge_say(j, "the routers (NAT) of both networks use a new port for every "
			     "destination, so "
			     "neither end can be told where to send");
	else
		judge_say(j,
			  "the router (NAT) of the %s's network uses a new port for every "
			  "destination, "
			  "and the %s's %s in only ports that were spoken to",
			  end_names[sym], end_names[!sym],
			  j->port_filter[!sym] ? "lets" : "seems to let");
}

static void say_family(struct judge *j)
{
	int six = j->end[0]->v6 ? 0 : 1;

	judge_say(j, "the %s has only IPv6 and the %s only IPv4", end_names[six], end_names[!six]);
}

/* Goes after "because". */
static void say_obstacle(struct judge *j)
{
	switch (j->obstacle) {
	case OBSTACLE_UNKNOWN:
		judge_say(j, "no direct packet was answered, and the reports do not show why");
		break;
	case OBSTACLE_UNREPORTED:
		judge_say(j, "no direct packet was answered; the %s has not told what it saw",
			  end_names[j->end[0]->reported]);
		break;
	case OBSTACLE_FILTERED:
		judge_say(
			j,
			"no packet straight between the two ends was answered, though UDP works in "
			"both networks");
		break;
	case OBSTACLE_ONLY_RELAY:
		judge_say(j, "the policy allows this device no direct routes");
		break;
	case OBSTACLE_NO_PUNCHING:
		judge_say(
			j,
			"the policy does not allow this device to go straight across the internet");
		break;
	case OBSTACLE_CHOICE:
		judge_say(j, "the %s offered no address but its relay's",
			  end_names[j->end[0]->only_relay ? 0 : 1]);
		break;
	case OBSTACLE_WITHHELD:
		judge_say(j, "the two ends were not told each other's public addresses: a choice "
			     "such as --route, or a policy");
		break;
	case OBSTACLE_ISOLATED:
		say_isolated(j);
		break;
	case OBSTACLE_BLOCKED:
		say_blocked(j);
		break;
	case OBSTACLE_FAMILY:
		say_family(j);
		break;
	case OBSTACLE_NAT:
		say_nat(j);
		break;
	}
}

/* The end of a sentence about a relay that is of no help. */
static void say_directly(struct judge *j, const char *joint)
{
	if (j->obstacle == OBSTACLE_UNKNOWN || j->obstacle == OBSTACLE_UNREPORTED) {
		judge_say(j, "%sno direct packet was answered.", joint);
		return;
	}
	judge_say(j, "%sdirectly it did not work because ", joint);
	say_obstacle(j);
	judge_say(j, ".");
}

/* ---- what to change ---- */

/*
 * What opening UDP gains. What kind of NAT stands there nobody knows while nothing passes it: any
 * will do where the other end lets in every port of an address; else one that keeps its ports.
 */
static const char *goes_straight(const struct judge *j)
{
	enum verdict_side sides = judge_blocked(j);
	const struct route_seen *other = j->end[sides == SIDE_CONSOLE];

	if (sides == SIDE_BOTH ||
	    (other->mapping != SEEN_MAPPING_NONE && other->mapping != SEEN_MAPPING_INDEPENDENT))
		return "it can go straight";
	if (other->filtering == SEEN_FILTERING_OPEN || other->filtering == SEEN_FILTERING_ADDRESS)
		return "it goes straight";
	return "it goes straight, unless the router (NAT) there changes ports for every "
	       "destination";
}

static void advise_blocked(struct judge *j)
{
	enum verdict_side sides = judge_blocked(j);
	bool straight = j->policy.methods[POLICY_PUNCHED] && !j->no_family;
	bool udp = j->v->method == SEEN_RELAYED && remedy_relay_udp(j, sides);
	const char *where = sides == SIDE_BOTH && !udp ? " in both networks" : "";

	if (straight)
		remedy_all_udp(j, sides);
	if (udp || straight)
		judge_say(j, " ");
	if (udp) {
		say_relay_udp(j, sides);
		judge_say(j, " and it goes through the relay over UDP");
	}
	if (straight)
		judge_say(j, "%sllow all UDP outbound%s and %s", udp ? "; a" : "A", where,
			  goes_straight(j));
	if (udp || straight)
		judge_say(j, ".");
	if (j->no_family) {
		judge_say(j, " It stays relayed all the same, because ");
		say_family(j);
		judge_say(j, ".");
	}
}

static void advise_nat(struct judge *j)
{
	enum verdict_side sides = j->v->cause == CAUSE_NAT_SYMMETRIC ? j->v->side : SIDE_BOTH;

	if (j->v->cause != CAUSE_NAT_SYMMETRIC)
		sides = (enum verdict_side)((j->symmetric[0] ? SIDE_CONSOLE : 0) |
					    (j->symmetric[1] ? SIDE_DEVICE : 0));
	remedy_mapping(j, sides);
	judge_say(
		j,
		" Let %s keep one outside port for each inside port (endpoint-independent mapping, "
		"RFC 4787) and it goes straight.",
		sides == SIDE_BOTH ? "both routers" : "that router");
}

static void advise(struct judge *j)
{
	switch (j->obstacle) {
	case OBSTACLE_UNKNOWN:
	case OBSTACLE_UNREPORTED:
	case OBSTACLE_CHOICE:
	case OBSTACLE_WITHHELD:
		break;
	case OBSTACLE_ONLY_RELAY:
	case OBSTACLE_NO_PUNCHING:
		judge_say(j, " The policy of the device's place decides that.");
		break;
	case OBSTACLE_FILTERED:
		remedy_all_udp(j, SIDE_BOTH);
		judge_say(j, " Allow UDP outbound to any address, with replies, in both networks "
			     "and it can "
			     "go straight.");
		break;
	case OBSTACLE_ISOLATED:
		say_lan_remedy(j);
		if (j->v->method == SEEN_RELAYED && j->v->transport != SEEN_UDP &&
		    judge_blocked(j) && remedy_relay_udp(j, judge_blocked(j))) {
			judge_say(j, " ");
			say_relay_udp(j, judge_blocked(j));
			judge_say(j, " and the relay is reached over UDP.");
		}
		break;
	case OBSTACLE_BLOCKED:
		advise_blocked(j);
		break;
	case OBSTACLE_FAMILY:
		judge_say(
			j,
			" With IPv6 in the %s's network, or IPv4 in the %s's, it can go straight.",
			end_names[j->end[0]->v6 ? 1 : 0], end_names[j->end[0]->v6 ? 0 : 1]);
		break;
	case OBSTACLE_NAT:
		advise_nat(j);
		break;
	}
}

/* ---- by method ---- */

void words_local(struct judge *j)
{
	if (j->v->cause == CAUSE_SAME_NETWORK) {
		judge_say(j, "Local: straight across the site's own network.");
		return;
	}
	judge_say(j, "Local: straight across the site's own network, but over TCP");
	if (j->v->side == SIDE_NONE) {
		judge_say(j, ".");
		return;
	}
	judge_say(j, " because UDP between ");
	say_lan_pair(j);
	judge_say(j, " is not answered. Allow UDP both ways between the two and it goes over UDP.");
	remedy_lan(j);
}

void words_punched(struct judge *j)
{
	bool tcp = j->end[0]->tcp || j->end[1]->tcp;

	judge_say(j, "Punched: straight across the internet%s", tcp ? ", but over TCP" : "");
	if (j->v->cause == CAUSE_ISOLATED) {
		judge_say(j, ", because ");
		say_isolated(j);
		judge_say(j, ".");
		say_lan_remedy(j);
		return;
	}
	if (tcp && judge_blocked(j)) {
		judge_say(j, " because ");
		say_blocked(j);
		judge_say(j, ". Allow all UDP outbound and it goes over UDP.");
		remedy_all_udp(j, judge_blocked(j));
		return;
	}
	judge_say(j, ".");
}

static void say_transport(struct judge *j)
{
	enum seen_transport t = j->v->transport;
	unsigned port = 0;

	for (int i = 0; i < 2; i++)
		if (j->end[i]->transport == t && j->end[i]->port[t])
			port = j->end[i]->port[t];
	switch (t) {
	case SEEN_UDP:
	case SEEN_TRANSPORTS:
		judge_say(j, "Relayed over UDP");
		return;
	case SEEN_TCP:
		judge_say(j, "Relayed over TCP");
		break;
	case SEEN_TLS:
		judge_say(j, "Relayed over TLS");
		break;
	case SEEN_WSS:
		judge_say(j, "Relayed over a WebSocket");
		break;
	}
	if (port)
		judge_say(j, t == SEEN_WSS ? " at port %u" : " %u", port);
}

void words_relayed(struct judge *j)
{
	say_transport(j);
	judge_say(j, " because ");
	say_obstacle(j);
	judge_say(j, ".");
	advise(j);
}

/* ---- no route at all ---- */

static void say_refused(struct judge *j)
{
	int end = j->relay[0] == RELAY_REFUSED ? 0 : 1;
	unsigned code = j->end[end]->refused_code;

	judge_say(j, "No route: the relay %s refuses the %s", relay_name(j), end_names[end]);
	switch (code) { /* RFC 8656 §18, RFC 8489 §14.8 */
	case 401:
	case 438:
	case 441:
		judge_say(j,
			  " (%u: the credentials are not accepted). Give the hub and the relay the "
			  "same "
			  "secret and the right time",
			  code);
		break;
	case 403:
		judge_say(j, " (403: forbidden). Look at the relay's rules for peers");
		break;
	case 486:
		judge_say(j, " (486: too many sessions of one user). Raise the relay's quota");
		break;
	case 508:
		judge_say(j, " (508: it is full). Give the relay more ports, or add one");
		break;
	default:
		if (code)
			judge_say(j, " (%u)", code);
		judge_say(j, ". The relay's log says why");
	}
	say_directly(j, "; ");
}

static void remedy_any(struct judge *j, enum verdict_side sides)
{
	static const bool tcp[SEEN_TRANSPORTS] = { false, true, true, true };

	for (int end = 0; end < 2; end++)
		for (int t = 0; t < SEEN_TRANSPORTS && (sides & side_of(end)); t++) {
			const struct verdict_relay *r = first_relay(j);
			struct verdict_remedy *m;
			char ports[32];

			if (!r->port[t] || !j->policy.turn[t] ||
			    (t == SEEN_WSS && r->port[SEEN_TLS] == r->port[SEEN_WSS]))
				continue;
			snprintf(ports, sizeof(ports), "%u", r->port[t]);
			m = remedy(j, end, GAIN_ANY, r->host, ports);
			m->tcp = tcp[t];
			snprintf(m->text, sizeof(m->text),
				 "Allow %s %u outbound to %s: the relay can then be reached.",
				 tcp[t] ? "TCP" : "UDP", r->port[t], r->host);
		}
}

/* All that would do, in one sentence. */
static void say_any(struct judge *j, const struct verdict_relay *r)
{
	const char *before = " Allow";

	for (size_t i = 0; i < j->v->n_remedies; i++)
		if (j->v->remedy[i].side == j->v->remedy[0].side) {
			judge_say(j, "%s %s %s", before, j->v->remedy[i].tcp ? "TCP" : "UDP",
				  j->v->remedy[i].ports);
			before = " or";
		}
	if (j->v->n_remedies)
		judge_say(j, " outbound to %s and it goes through the relay.", r->host);
}

static void say_unreached(struct judge *j)
{
	enum verdict_side sides = j->v->side;

	if (sides == SIDE_NONE) {
		say_directly(j, "No route: the hub knows no relay (--turn), and ");
		advise(j);
		return;
	}
	if (sides == SIDE_BOTH)
		judge_say(j, "No route: neither end reached %s; look whether it runs.",
			  relay_name(j));
	else
		judge_say(j, "No route: nothing came back from %s to the %s", relay_name(j),
			  end_names[sides == SIDE_DEVICE]);
	say_directly(j, sides == SIDE_BOTH ? " Besides, " : ", and ");
	if (!first_relay(j))
		return;
	remedy_any(j, sides);
	say_any(j, first_relay(j));
}

static void say_lost(struct judge *j)
{
	if (j->relay[0] == RELAY_OK || j->relay[1] == RELAY_OK)
		say_directly(j, "No route: a relay was reached, but nothing passed through it, and "
				"the reports do not show why; ");
	else
		say_directly(j, "No route: the reports do not show what became of the relay; ");
	advise(j);
}

void words_none(struct judge *j)
{
	switch (j->v->cause) {
	case CAUSE_RELAY_REFUSED:
		say_refused(j);
		break;
	case CAUSE_RELAY_UNREACHABLE:
		say_unreached(j);
		break;
	case CAUSE_PEER_SILENT:
		judge_say(
			j,
			"No route: nothing came back from the %s, neither directly nor through the "
			"relay, and it has sent no report.",
			end_names[j->v->side == SIDE_DEVICE]);
		break;
	case CAUSE_POLICY:
		say_directly(j, "No route: the policy allows this device no relay, and ");
		advise(j);
		break;
	case CAUSE_SAME_NETWORK:
	case CAUSE_DIRECT:
	case CAUSE_DIRECT_TCP:
	case CAUSE_UDP_BLOCKED:
	case CAUSE_UDP_AND_TCP_BLOCKED:
	case CAUSE_PROXY_ONLY:
	case CAUSE_NAT_SYMMETRIC:
	case CAUSE_ISOLATED:
	case CAUSE_NO_COMMON_FAMILY:
	case CAUSE_UNKNOWN:
	case CAUSES:
		say_lost(j);
		break;
	}
}
