#include "deploy/needs.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/addr.h"
#include "base/err.h"
#include "base/text.h"

const char *const need_store_names[] = {
	"log-captures",	 "log-rulesets", "modules", "portal-modules",
	"notifications", "service-desk", NULL
};

/* In the order of enum need_kind. */
static const struct {
	const char *name, *application, *purpose;
	unsigned methods;
} kinds[] = {
	[NEED_HUB] = { "hub", "HTTPS, WSS",
		       "The hub: sign-in, presence, and setting up every session. Nothing works "
		       "without it.",
		       0xe },
	[NEED_HUB_NAME] = { "hub-name", "HTTPS, WSS",
			    "A function of the hub under its own name, for the day when the hub's "
			    "parts run apart.",
			    0xe },
	[NEED_STORE] = { "store", "HTTPS",
			 "A store of this region: what modules keep and fetch. Without it they "
			 "cannot.",
			 0 },
	[NEED_STUN] = { "stun", "STUN",
			"Tells each side its public address. Without it sessions over the internet "
			"go through the relay.",
			0x4 },
	[NEED_TURN_UDP] = { "turn-udp", "TURN over UDP",
			    "The relay by its quickest way, for sessions that cannot go straight.",
			    0x8 },
	[NEED_TURN_TCP] = { "turn-tcp", "TURN over TCP", "The relay where UDP is closed.", 0x8 },
	[NEED_TURN_TLS] = { "turn-tls", "TURN over TLS", "The relay where only TLS may leave.",
			    0x8 },
	[NEED_TURN_WSS] = { "turn-wss", "TURN over WSS",
			    "The relay where only what looks like HTTPS may leave.", 0x8 },
	[NEED_RELAY_PORTS] = { "relay-ports", "ICE, DTLS, SRTP",
			       "Addresses that the relay gives to the other side. Saves a second "
			       "trip through the relay.",
			       0x8 },
	[NEED_PEERS] = { "peers", "ICE, DTLS, SRTP",
			 "Sessions straight across the internet: UDP out to any address, answers "
			 "in. Without it they go through the relay.",
			 0x4 },
	[NEED_LOCAL] = { "local", "ICE, DTLS, SRTP",
			 "Sessions inside your network: UDP between the console's and the "
			 "device's subnets, both ways. Without it they leave by the internet line.",
			 0x2 },
	[NEED_MDNS] = { "mdns", "mDNS",
			"Names that browsers hide their addresses behind, inside one subnet.",
			0x2 },
};

static const char *const weights[] = { "required", "one-of", "better", "reserved" };

const char *need_kind_name(enum need_kind kind)
{
	return kinds[kind].name;
}

const char *need_application(const struct need *need)
{
	return kinds[need->kind].application;
}

const char *need_weight_name(enum need_weight weight)
{
	return weights[weight];
}

const char *need_purpose(const struct need *need)
{
	return kinds[need->kind].purpose;
}

unsigned need_methods(const struct need *need)
{
	return kinds[need->kind].methods;
}

void need_ports(const struct need *need, char out[16])
{
	if (need->port_min <= 1 && need->port_max == UINT16_MAX)
		snprintf(out, 16, "any");
	else if (need->port_min == need->port_max)
		snprintf(out, 16, "%u", need->port_min);
	else
		snprintf(out, 16, "%u-%u", need->port_min, need->port_max);
}

void need_id(const struct need *need, char out[NEED_TEXT_MAX + 32])
{
	char ports[16];

	need_ports(need, ports);
	if (need->host[0])
		snprintf(out, NEED_TEXT_MAX + 32, "%s:%s:%s", need_kind_name(need->kind),
			 need->host, ports);
	else
		snprintf(out, NEED_TEXT_MAX + 32, "%s", need_kind_name(need->kind));
}

bool need_in_region(const struct need *need, const char *region)
{
	return !region[0] || !need->region[0] || strcasecmp(need->region, region) == 0;
}

void need_wildcard(const struct needs *needs, const struct need *need, char out[NEED_TEXT_MAX + 3])
{
	size_t host = strlen(need->host), base = strlen(needs->base);
	const char *tail = need->host + host - base;

	out[0] = 0;
	if (!base || host <= base + 1 || strcasecmp(tail, needs->base) != 0 || tail[-1] != '.' ||
	    memchr(need->host, '.', host - base - 1))
		return;
	snprintf(out, NEED_TEXT_MAX + 3, "*.%s", needs->base);
}

bool need_name_valid(const char *text)
{
	size_t label = 0, len = strlen(text);

	if (len == 0 || len > 253)
		return false;
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c == '.' && label == 0)
			return false;
		if (c != '.' && !isalnum(c) && !(c == '-' && label > 0))
			return false;
		label = c == '.' ? 0 : label + 1;
		if (label > 63)
			return false;
	}
	return label > 0;
}

bool need_host_valid(const char *text)
{
	struct addr a;

	return addr_parse_ip(text, &a) == 0 ? a.scope == 0 : need_name_valid(text);
}

static bool same(const struct need *a, const struct need *b)
{
	return a->kind == b->kind && a->udp == b->udp && a->port_min == b->port_min &&
	       a->port_max == b->port_max && strcasecmp(a->host, b->host) == 0 &&
	       strcmp(a->region, b->region) == 0 && strcmp(a->function, b->function) == 0;
}

int needs_add(struct needs *needs, const struct need *need)
{
	for (size_t i = 0; i < needs->n; i++)
		if (same(&needs->list[i], need))
			return 0;
	if (needs->n == NEEDS_MAX)
		return FL_EQUOTA;
	needs->list[needs->n++] = *need;
	return 0;
}

/* ---- JSON ---- */

static json_t *need_to_json(const struct needs *needs, const struct need *n)
{
	char id[NEED_TEXT_MAX + 32], ports[16], wildcard[NEED_TEXT_MAX + 3];
	json_t *from = json_array(), *methods = json_array();

	need_id(n, id);
	need_ports(n, ports);
	need_wildcard(needs, n, wildcard);
	if (n->client)
		json_array_append_new(from, json_string("client"));
	if (n->console)
		json_array_append_new(from, json_string("console"));
	for (int method = 1; method <= 3; method++)
		if (need_methods(n) & 1U << method)
			json_array_append_new(methods, json_integer(method));
	return json_pack(
		"{s:s, s:s, s:s, s:s, s:s, s:s, s:i, s:i, s:i, s:i, s:s, s:s?, s:s?, s:s?, "
		"s:s, s:o, s:o, s:s}",
		"id", id, "kind", need_kind_name(n->kind), "need", need_weight_name(n->weight),
		"protocol", n->udp ? "udp" : "tcp", "host", n->host, "ports", ports, "portMin",
		n->port_min, "portMax", n->port_max, "ownPortMin", n->own_min, "ownPortMax",
		n->own_max, "direction",
		n->kind == NEED_LOCAL || n->kind == NEED_MDNS ? "inside" : "out", "region",
		n->region[0] ? n->region : NULL, "function", n->function[0] ? n->function : NULL,
		"wildcard", wildcard[0] ? wildcard : NULL, "application", need_application(n),
		"from", from, "methods", methods, "purpose", need_purpose(n));
}

json_t *needs_to_json(const struct needs *needs)
{
	json_t *list = json_array();

	for (size_t i = 0; i < needs->n; i++)
		json_array_append_new(list, need_to_json(needs, &needs->list[i]));
	return json_pack("{s:i, s:s, s:s, s:o}", "generation", 1, "version", FAIRLEAD_VERSION,
			 "deployment", needs->base, "needs", list);
}

static int word_index(const json_t *object, const char *name, const char *(*word)(size_t), size_t n)
{
	const char *text = json_string_value(json_object_get(object, name));

	for (size_t i = 0; text && i < n; i++)
		if (strcmp(word(i), text) == 0)
			return (int)i;
	return -1;
}

static const char *kind_word(size_t i)
{
	return kinds[i].name;
}

static const char *weight_word(size_t i)
{
	return weights[i];
}

/* 0 when it is missing. */
static int port_of(const json_t *object, const char *name)
{
	json_int_t v = json_integer_value(json_object_get(object, name));

	return v < 0 || v > UINT16_MAX ? -1 : (int)v;
}

static bool text_of(const json_t *object, const char *name, char *dst, size_t cap)
{
	const json_t *v = json_object_get(object, name);
	const char *text = json_string_value(v);

	dst[0] = 0;
	if (!v || json_is_null(v))
		return true;
	if (!text || strlen(text) != json_string_length(v))
		return false;
	for (const char *p = text; *p; p++)
		if (!isalnum((unsigned char)*p) && !strchr(".-:_", *p))
			return false;
	return text_copy(dst, cap, text);
}

static bool has_word(const json_t *list, const char *word)
{
	const json_t *v;
	size_t i;

	json_array_foreach(list, i, v)
	{
		if (json_is_string(v) && strcmp(json_string_value(v), word) == 0)
			return true;
	}
	return false;
}

static bool need_from_json(const json_t *v, struct need *n)
{
	int kind = word_index(v, "kind", kind_word, ARRAY_LEN(kinds));
	int weight = word_index(v, "need", weight_word, ARRAY_LEN(weights));
	int low = port_of(v, "portMin"), high = port_of(v, "portMax");
	int own_low = port_of(v, "ownPortMin"), own_high = port_of(v, "ownPortMax");
	const char *protocol = json_string_value(json_object_get(v, "protocol"));

	*n = (struct need){ 0 };
	if (kind < 0 || weight < 0 || low < 1 || high < low || own_low < 0 || own_high < own_low ||
	    !protocol || (strcmp(protocol, "udp") != 0 && strcmp(protocol, "tcp") != 0))
		return false;
	n->kind = (enum need_kind)kind;
	n->weight = (enum need_weight)weight;
	n->udp = protocol[0] == 'u';
	n->port_min = (uint16_t)low;
	n->port_max = (uint16_t)high;
	n->own_min = (uint16_t)own_low;
	n->own_max = (uint16_t)own_high;
	n->client = has_word(json_object_get(v, "from"), "client");
	n->console = has_word(json_object_get(v, "from"), "console");
	return text_of(v, "host", n->host, sizeof(n->host)) &&
	       text_of(v, "region", n->region, sizeof(n->region)) &&
	       text_of(v, "function", n->function, sizeof(n->function)) &&
	       (kind >= NEED_PEERS ? !n->host[0] : need_host_valid(n->host));
}

int needs_from_json(const json_t *json, struct needs *out, char why[160])
{
	const json_t *list = json_object_get(json, "needs"), *v;
	struct need n;
	size_t i;

	*out = (struct needs){ 0 };
	if (!json_is_array(list) || json_array_size(list) > NEEDS_MAX ||
	    !text_of(json, "deployment", out->base, sizeof(out->base))) {
		snprintf(why, 160, "this is not a list of what a deployment needs");
		return FL_EMALFORMED;
	}
	json_array_foreach(list, i, v)
	{
		/* what a later hub needs and this program does not know cannot be left out silently
		 */
		if (!need_from_json(v, &n) || needs_add(out, &n) < 0) {
			snprintf(why, 160,
				 "entry %zu of the list is not understood; is this "
				 "program older than the hub?",
				 i + 1);
			return FL_EMALFORMED;
		}
	}
	return 0;
}
