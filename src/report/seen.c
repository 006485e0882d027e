#include "report/seen.h"

#include <string.h>

#define ENTRIES_MAX 128 /* of each list; what comes after is not looked at */
#define REPORT_MAX 64	/* an end cuts its lists there (docs/protocol.md §1.1) */
#define TEXT_MAX 512	/* longer ones are no addresses or URLs */

static const char *const method_words[] = { "none", "local", "punched", "relayed", NULL };
static const char *const transport_words[] = { "udp", "tcp", "tls", "wss", NULL };
static const char *const mapping_words[] = { "unknown", "none", "independent",
					     "address", "port", NULL };
static const char *const filtering_words[] = { "unknown", "open", "address", "port", NULL };

static const char *text_of(const json_t *o, const char *key)
{
	const json_t *v = json_object_get(o, key);

	return json_is_string(v) && json_string_length(v) < TEXT_MAX ? json_string_value(v) : "";
}

static bool is(const json_t *o, const char *key, const char *word)
{
	return strcmp(text_of(o, key), word) == 0;
}

/* The word's place in the list, or otherwise. */
static int word_of(const json_t *o, const char *key, const char *const *words, int otherwise)
{
	const char *text = text_of(o, key);

	for (int i = 0; words[i]; i++)
		if (strcmp(words[i], text) == 0)
			return i;
	return otherwise;
}

static uint32_t count_of(const json_t *o, const char *key)
{
	const json_t *v = json_object_get(o, key);
	json_int_t n = json_is_integer(v) ? json_integer_value(v) : 0;

	return n <= 0 ? 0 : n > 1000000 ? 1000000 : (uint32_t)n;
}

static uint32_t plus(uint32_t sum, uint32_t n)
{
	return sum > UINT32_MAX - n ? UINT32_MAX : sum + n;
}

static int32_t ms_of(const json_t *o, const char *key)
{
	double v = json_number_value(json_object_get(o, key));

	if (!json_is_number(json_object_get(o, key)) || !(v >= 0))
		return -1;
	return v > 1e9 ? 1000000000 : (int32_t)(v + 0.5);
}

static size_t entries(const json_t *list)
{
	size_t n = json_array_size(list);

	return n < ENTRIES_MAX ? n : ENTRIES_MAX;
}

static bool add_addr(struct addr list[SEEN_ADDRS_MAX], unsigned *n, struct addr a)
{
	a.port = 0;
	for (unsigned i = 0; i < *n; i++)
		if (addr_ip_equal(&list[i], &a))
			return true;
	if (*n >= SEEN_ADDRS_MAX)
		return false;
	list[(*n)++] = a;
	return true;
}

/* Of use towards another host: not loopback, link-local or nonsense. */
static bool parse_usable(const char *text, struct addr *out)
{
	if (addr_parse_ip(text, out) < 0)
		return false;
	*out = addr_unmap(out);
	switch (addr_range(out)) {
	case ADDR_UNSPECIFIED:
	case ADDR_LOOPBACK:
	case ADDR_LINK_LOCAL:
	case ADDR_MULTICAST:
		return false;
	case ADDR_PRIVATE:
	case ADDR_RESERVED:
	case ADDR_PUBLIC:
		return true;
	}
	return false;
}

static bool private_v4(const struct addr *a)
{
	return a->family == ADDR_V4 && addr_range(a) == ADDR_PRIVATE;
}

/* ---- servers ---- */

/* "turn:host:port?transport=tcp", "turns:[2001:db8::1]:443", "stun:host"; defaults of RFC 7065. */
static uint16_t port_of(const char *url)
{
	unsigned otherwise = strncmp(url, "turns:", 6) == 0 || strncmp(url, "stuns:", 6) == 0
				     ? 5349
				     : 3478;
	const char *rest = strchr(url, ':'), *colon;
	unsigned port = 0;

	if (!rest)
		return (uint16_t)otherwise;
	rest++;
	if (*rest == '[' && !(rest = strchr(rest, ']')))
		return (uint16_t)otherwise;
	colon = strchr(rest, ':');
	for (const char *p = colon ? colon + 1 : ""; *p >= '0' && *p <= '9' && port <= UINT16_MAX;
	     p++)
		port = 10 * port + (unsigned)(*p - '0');
	return (uint16_t)(port && port <= UINT16_MAX ? port : otherwise);
}

static void count_state(struct seen_servers *s, const json_t *server)
{
	static const char *const words[] = { "answered", "refused", "silent",
					     "failed",	 "asking",  NULL };
	uint8_t *const counts[] = { &s->answered, &s->refused, &s->silent, &s->failed, &s->asking };
	int i = word_of(server, "state", words, -1);

	if (i >= 0 && *counts[i] < UINT8_MAX)
		++*counts[i];
}

static void take_mapped(struct route_seen *s, const char *text)
{
	struct addr a;

	if (addr_parse(text, &a) < 0 && addr_parse_ip(text, &a) < 0)
		return;
	a = addr_unmap(&a);
	if (a.family == ADDR_V4)
		(void)add_addr(s->mapped, &s->n_mapped, a);
}

static void take_server(struct route_seen *s, const json_t *server)
{
	const char *url = text_of(server, "url");
	int transport = word_of(server, "transport", transport_words, -1);
	bool relay = strncmp(url, "turn", 4) == 0;
	uint16_t port = port_of(url);
	enum seen_way way = is(server, "via", "proxy") ? SEEN_BY_PROXY
			    : transport == SEEN_UDP    ? SEEN_BY_UDP
			    : port == 443	       ? SEEN_BY_STREAM_443
						       : SEEN_BY_STREAM;

	if (transport < 0)
		return;
	count_state(&s->servers[way], server);
	take_mapped(s, text_of(server, "mapped"));
	if (!relay)
		return;
	count_state(&s->relays, server);
	if (is(server, "state", "answered"))
		s->port[transport] = port;
	if (is(server, "state", "refused"))
		s->refused_code = (uint16_t)FL_MIN(count_of(server, "code"), 999);
}

/* ---- candidates ---- */

struct offered {
	bool relayed, direct;
};

static void take_local(struct route_seen *s, const json_t *c, struct offered *offered)
{
	struct addr a;

	if (is(c, "type", "relay")) {
		offered->relayed = true;
		return;
	}
	if (is(c, "use", "ignored") || is(c, "use", "gone"))
		return;
	offered->direct = true;
	if (!text_of(c, "address")[0] || strstr(text_of(c, "address"), ".local")) {
		s->hidden = true;
		return;
	}
	if (!parse_usable(text_of(c, "address"), &a))
		return;
	if (is(c, "type", "srflx") && a.family == ADDR_V4)
		(void)add_addr(s->mapped, &s->n_mapped, a);
	s->reflexive[0] |= is(c, "type", "srflx");
	if (is(c, "net", "virtual") || is(c, "net", "link-local"))
		return;
	s->v4 |= a.family == ADDR_V4;
	s->v6 |= a.family == ADDR_V6;
	if (is(c, "type", "host") && private_v4(&a))
		(void)add_addr(s->hosts, &s->n_hosts, a);
}

static void take_candidates(struct route_seen *s, const json_t *list)
{
	struct offered offered = { 0 };

	for (size_t i = 0; i < entries(list); i++) {
		const json_t *c = json_array_get(list, i);

		if (is(c, "side", "remote")) {
			s->n_remote++;
			s->reflexive[1] |= is(c, "type", "srflx");
		} else if (is(c, "side", "local")) {
			take_local(s, c, &offered);
		}
	}
	s->only_relay = offered.relayed && !offered.direct;
	/* cut, the other end's last: what is missing may have been there */
	s->reflexive[1] |= json_array_size(list) >= REPORT_MAX;
}

/* ---- pairs ---- */

static bool own_host(const struct route_seen *s, const struct addr *a)
{
	for (unsigned i = 0; i < s->n_hosts; i++)
		if (addr_ip_equal(&s->hosts[i], a))
			return true;
	return false;
}

static void take_lan_pair(struct route_seen *s, const json_t *local, const json_t *remote,
			  bool *answered)
{
	struct addr a, b;

	if (!parse_usable(text_of(local, "address"), &a) ||
	    !parse_usable(text_of(remote, "address"), &b) || !private_v4(&a) || !private_v4(&b))
		return;
	if (!is(local, "type", "host") ||
	    !(is(remote, "type", "host") || is(remote, "type", "prflx")))
		return;
	/* with the list of candidates known, not between virtual networks */
	if (s->n_hosts && !own_host(s, &a))
		return;
	if (*answered)
		return;
	if (!s->lan_silent || addr_same_prefix(&a, &b, 24)) {
		s->lan[0] = a;
		s->lan[1] = b;
	}
	s->lan_silent = true;
}

static void take_pair(struct route_seen *s, const json_t *pair, bool *lan_answered)
{
	const json_t *local = json_object_get(pair, "local"),
		     *remote = json_object_get(pair, "remote");
	uint32_t sent = count_of(pair, "sent"), answered = count_of(pair, "answered");
	uint32_t received = count_of(pair, "received");
	bool works = is(pair, "state", "succeeded") || answered > 0;

	if (is(local, "type", "relay") || is(remote, "type", "relay") ||
	    !is(local, "protocol", "udp"))
		return;
	s->direct_sent = plus(s->direct_sent, sent);
	s->direct_answered = plus(s->direct_answered, works && !answered ? 1 : answered);
	s->direct_received = plus(s->direct_received, received);
	if (sent || works || is(pair, "state", "failed"))
		take_lan_pair(s, local, remote, &works);
	if (works && is(local, "type", "host") && is(remote, "type", "host"))
		*lan_answered = true;
}

void route_seen_take(const json_t *route, struct route_seen *out)
{
	const json_t *list, *nat = json_object_get(route, "nat");
	const json_t *pair = json_object_get(route, "pair");
	bool lan_answered = false;

	*out = (struct route_seen){ .setup_ms = -1 };
	if (!json_is_object(route) || word_of(route, "method", method_words, -1) < 0)
		return;
	out->reported = true;
	out->method = (enum seen_method)word_of(route, "method", method_words, SEEN_NONE);
	out->transport = (enum seen_transport)word_of(route, "transport", transport_words,
						      SEEN_UDP);
	out->tcp = is(json_object_get(pair, "local"), "protocol", "tcp");
	out->setup_ms = ms_of(route, "setup_ms");
	out->mapping = (enum seen_mapping)word_of(nat, "mapping", mapping_words, 0);
	out->filtering = (enum seen_filtering)word_of(nat, "filtering", filtering_words, 0);
	list = json_object_get(route, "servers");
	for (size_t i = 0; i < entries(list); i++)
		take_server(out, json_array_get(list, i));
	take_candidates(out, json_object_get(route, "candidates"));
	list = json_object_get(route, "tried");
	for (size_t i = 0; i < entries(list); i++)
		take_pair(out, json_array_get(list, i), &lan_answered);
	if (lan_answered)
		out->lan_silent = false;
}
