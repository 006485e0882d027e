/* GET /network.json: anybody may read what has to be allowed, before there is an account. */
#include "hub/api/network.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/text.h"
#include "hub/api/api.h"

#define HTTPS_PORT 443

static const char *const functions[] = { "console",  "endpoint",    "id",
					 "realtime", "servicedesk", "turn" };

struct authority {
	char host[NEED_TEXT_MAX + 1];
	uint16_t port; /* 0: none was given */
};

/* "name", "name:port", "[2001:db8::1]:port", ":port". */
static bool take_authority(const char *text, size_t len, struct authority *out)
{
	char copy[NEED_TEXT_MAX + 16], *host = copy, *colon;
	unsigned long port = 0;

	if (len >= sizeof(copy))
		return false;
	memcpy(copy, text, len);
	copy[len] = 0;
	colon = strrchr(copy, ':');
	if (copy[0] == '[') {
		char *end = strchr(copy, ']');

		if (!end || (end[1] && end[1] != ':'))
			return false;
		host = copy + 1;
		*end = 0;
		colon = end[1] ? end + 1 : NULL;
	}
	if (colon) {
		char *end;

		*colon = 0;
		port = isdigit((unsigned char)colon[1]) ? strtoul(colon + 1, &end, 10) : 0;
		if (port < 1 || port > UINT16_MAX || *end)
			return false;
	}
	out->port = (uint16_t)port;
	return (!*host || need_host_valid(host)) && text_copy(out->host, sizeof(out->host), host);
}

/* ---- stores: "eu/log-captures=https://host[:port][/…]" ---- */

static bool take_store(const char *text, struct need *out)
{
	const char *slash = strchr(text, '/'), *equals = slash ? strchr(slash, '=') : NULL;
	const char *url = equals ? equals + 1 : "";
	struct authority at;

	*out = (struct need){
		.kind = NEED_STORE, .weight = NEED_REQUIRED, .client = true, .console = true
	};
	if (!equals || slash == text || slash - text > NEED_REGION_MAX ||
	    strncmp(url, "https://", 8) != 0)
		return false;
	memcpy(out->region, text, (size_t)(slash - text));
	for (const char *p = out->region; *p; p++)
		if (!islower((unsigned char)*p) && !isdigit((unsigned char)*p))
			return false;
	for (size_t i = 0; need_store_names[i]; i++)
		if (strlen(need_store_names[i]) == (size_t)(equals - slash - 1) &&
		    strncmp(need_store_names[i], slash + 1, (size_t)(equals - slash - 1)) == 0)
			text_copy(out->function, sizeof(out->function), need_store_names[i]);
	if (!out->function[0] || !take_authority(url + 8, strcspn(url + 8, "/"), &at) ||
	    !at.host[0])
		return false;
	memcpy(out->host, at.host, sizeof(out->host));
	out->port_min = out->port_max = at.port ? at.port : HTTPS_PORT;
	return true;
}

bool network_store_valid(const char *text)
{
	struct need n;

	return take_store(text, &n);
}

/* ---- the list ---- */

/* A list that is full stays as it is: NEEDS_MAX is more than the options can name. */
static void add(struct needs *needs, struct need n)
{
	n.client = n.console = true;
	(void)needs_add(needs, &n);
}

static void add_hub(const struct hub *h, const struct authority *at, struct needs *needs)
{
	struct need n = { .kind = NEED_HUB, .port_min = at->port, .port_max = at->port };
	struct addr ip;

	text_copy(n.host, sizeof(n.host), at->host);
	add(needs, n);
	if (addr_parse_ip(at->host, &ip) == 0 || !strchr(at->host, '.'))
		return;
	n.kind = NEED_HUB_NAME;
	n.weight = NEED_RESERVED;
	for (size_t i = 0; i < ARRAY_LEN(functions); i++) {
		text_copy(n.function, sizeof(n.function), functions[i]);
		if (snprintf(n.host, sizeof(n.host), "%s.%s", functions[i], at->host) <
		    (int)sizeof(n.host))
			add(needs, n);
	}
}

static bool reach(const char *text, size_t len, const struct authority *hub, struct need *n,
		  uint16_t otherwise)
{
	struct authority at;

	if (!take_authority(text, len, &at))
		return false;
	text_copy(n->host, sizeof(n->host), at.host[0] ? at.host : hub->host);
	n->port_min = n->port_max = at.port ? at.port : otherwise;
	return true;
}

/* "turn:host:3478?transport=udp" */
static void add_turn(const char *url, const struct authority *hub, struct needs *needs)
{
	bool tls = strncmp(url, "turns:", 6) == 0;
	const char *rest = url + (tls ? 6 : 5), *query = strchr(rest, '?');
	const char *transport = query ? strchr(query, '=') + 1 : tls ? "tcp" : "udp";
	struct need n = { .weight = NEED_ONE_OF, .function = "turn" };

	n.udp = strcmp(transport, "udp") == 0;
	n.kind = n.udp				 ? NEED_TURN_UDP
		 : strcmp(transport, "wss") == 0 ? NEED_TURN_WSS
		 : tls				 ? NEED_TURN_TLS
						 : NEED_TURN_TCP;
	if (!reach(rest, query ? (size_t)(query - rest) : strlen(rest), hub, &n, tls ? 5349 : 3478))
		return;
	add(needs, n);
	n.kind = NEED_RELAY_PORTS;
	n.weight = NEED_BETTER;
	n.udp = true;
	n.port_min = 49152;
	n.port_max = UINT16_MAX;
	add(needs, n);
}

/* The relay on the hub's own port. */
static void add_own_relay(const struct authority *at, struct needs *needs)
{
	struct need n = { .weight = NEED_ONE_OF,
			  .function = "turn",
			  .port_min = at->port,
			  .port_max = at->port };

	text_copy(n.host, sizeof(n.host), at->host);
	n.kind = NEED_TURN_TLS;
	add(needs, n);
	n.kind = NEED_TURN_WSS;
	add(needs, n);
}

static void add_direct(struct needs *needs)
{
	add(needs, (struct need){ .kind = NEED_PEERS,
				  .weight = NEED_BETTER,
				  .udp = true,
				  .port_min = 1,
				  .port_max = UINT16_MAX });
	add(needs, (struct need){ .kind = NEED_LOCAL,
				  .weight = NEED_BETTER,
				  .udp = true,
				  .port_min = 1,
				  .port_max = UINT16_MAX });
	add(needs, (struct need){ .kind = NEED_MDNS,
				  .weight = NEED_BETTER,
				  .udp = true,
				  .port_min = 5353,
				  .port_max = 5353 });
}

void network_needs(const struct hub *h, const char *host, struct needs *out)
{
	const struct hub_config *c = h->config;
	const char *own = h->url + strlen("https://");
	struct authority at;

	*out = (struct needs){ 0 };
	if (!host[0] || !take_authority(host, strlen(host), &at) || !at.host[0]) {
		if (!take_authority(own, strlen(own), &at))
			return;
	}
	if (!at.port)
		at.port = HTTPS_PORT;
	text_copy(out->base, sizeof(out->base), at.host);
	add_hub(h, &at, out);
	for (size_t i = 0; i < c->stores.count; i++) {
		struct need n;

		if (take_store(c->stores.items[i], &n))
			add(out, n);
	}
	for (size_t i = 0; i < c->stun.count; i++) {
		struct need n = {
			.kind = NEED_STUN, .weight = NEED_BETTER, .udp = true, .function = "turn"
		};

		if (reach(c->stun.items[i], strlen(c->stun.items[i]), &at, &n, 3478))
			add(out, n);
	}
	for (size_t i = 0; i < c->turn.count; i++)
		add_turn(c->turn.items[i], &at, out);
	if (c->relay_stream)
		add_own_relay(&at, out);
	add_direct(out);
}

static void begin_network(struct exchange *x)
{
	FL_AUTOFREE struct needs *needs = malloc(sizeof(*needs));

	if (needs) {
		network_needs(x->hub, x->host, needs);
		x->result = needs_to_json(needs);
	}
	if (!x->result)
		exchange_refuse(x, 503, "busy", "The hub is out of memory; try again later.");
	exchange_answer(x);
}

const struct route api_network_routes[] = {
	{ HTTP_METHOD_GET, "/network.json", .begin = begin_network },
	{ 0 },
};
