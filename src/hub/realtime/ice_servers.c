#include "hub/realtime/ice_servers.h"

#include <stdio.h>
#include <string.h>

#include "base/ct.h"
#include "proto/turn/turn_auth.h"

#define URL_CAP 600

/* The asker's Host without its port; an IPv6 literal keeps its brackets. */
static int host_len(const char *host)
{
	const char *end = host[0] == '[' ? strchr(host, ']') : strchr(host, ':');

	if (host[0] == '[' && end)
		end++;
	return (int)(end ? end - host : (long)strlen(host));
}

/* scheme "stun:" or what the URL begins with; rest ":PORT…" takes the asker's name before it. */
static json_t *url_of(const char *scheme, const char *rest, const char *host)
{
	char url[URL_CAP];

	if (rest[0] != ':')
		snprintf(url, sizeof(url), "%s%s", scheme, rest);
	else
		snprintf(url, sizeof(url), "%s%.*s%s", scheme, host_len(host), host, rest);
	return json_string(url);
}

static const char *scheme_of(const char *url)
{
	return strncmp(url, "turns:", 6) == 0 ? "turns:" : "turn:";
}

bool ice_servers_turn_valid(const char *url)
{
	static const char *const tails[] = { "", "?transport=udp", "?transport=tcp",
					     "?transport=wss", NULL };
	const char *rest = url + strlen(scheme_of(url)), *query = strchr(rest, '?');
	char authority[300];
	size_t len = query ? (size_t)(query - rest) : strlen(rest);

	if (strncmp(url, scheme_of(url), strlen(scheme_of(url))) != 0 || len >= sizeof(authority))
		return false;
	memcpy(authority, rest, len);
	authority[len] = 0;
	if (!hub_config_stun_valid(authority))
		return false;
	for (size_t i = 0; tails[i]; i++)
		if (strcmp(query ? query : "", tails[i]) == 0)
			return strcmp(tails[i], "?transport=wss") != 0 ||
			       strcmp(scheme_of(url), "turns:") == 0;
	return false;
}

static json_t *stun_servers(const struct hub *h, const char *host)
{
	const struct opt_list *stun = &h->config->stun;
	json_t *list = json_array();

	for (size_t i = 0; i < stun->count; i++)
		if (stun->items[i][0] != ':' || host[0])
			json_array_append_new(list,
					      json_pack("{s:[o]}", "urls",
							url_of("stun:", stun->items[i], host)));
	return list;
}

/* How a TURN URL is reached. DTLS runs over UDP, and is blocked where that is. */
static enum policy_turn transport_of(const char *url)
{
	const char *query = strchr(url, '?');
	bool tls = strncmp(url, "turns:", 6) == 0;

	if (!query)
		return tls ? POLICY_TLS : POLICY_UDP;
	if (strcmp(query, "?transport=wss") == 0)
		return POLICY_WSS;
	if (strcmp(query, "?transport=tcp") == 0)
		return tls ? POLICY_TLS : POLICY_TCP;
	return POLICY_UDP;
}

/* The relay on the hub's own port, under the name and port that the asker reached the hub by. */
static void add_own(const char *host, const struct policy *policy, json_t *urls)
{
	const char *port = host + host_len(host);
	char rest[64];

	if (*port != ':' || strlen(port) > 6)
		port = ":443";
	snprintf(rest, sizeof(rest), "%s?transport=tcp", port);
	if (!policy || policy->turn[POLICY_TLS])
		json_array_append_new(urls, url_of("turns:", rest, host));
	snprintf(rest, sizeof(rest), "%s?transport=wss", port);
	if (!policy || policy->turn[POLICY_WSS])
		json_array_append_new(urls, url_of("turns:", rest, host));
}

json_t *ice_servers_turn_urls(const struct hub *h, const char *host, const struct policy *policy)
{
	const struct opt_list *turn = &h->config->turn;
	json_t *urls = json_array();

	for (size_t i = 0; i < turn->count; i++) {
		const char *scheme = scheme_of(turn->items[i]);
		const char *rest = turn->items[i] + strlen(scheme);

		if (policy && !policy->turn[transport_of(turn->items[i])])
			continue;
		if (rest[0] != ':' || host[0])
			json_array_append_new(urls, url_of(scheme, rest, host));
	}
	if (h->config->relay_stream && host[0])
		add_own(host, policy, urls);
	return urls;
}

static void add_turn(const struct hub *h, const char *host, const char *who,
		     const struct policy *policy, json_t *list)
{
	char user[TURN_AUTH_USER_MAX + 1], password[TURN_AUTH_PASSWORD_LEN];
	json_t *urls = ice_servers_turn_urls(h, host, policy);

	snprintf(user, sizeof(user), "%lld:%.100s",
		 (long long)(hub_now_ms() / 1000 + ICE_SERVERS_LIFE_S), who);
	turn_auth_password(h->turn_secret, user, password);
	if (json_array_size(urls))
		json_array_append_new(list, json_pack("{s:O, s:s, s:s}", "urls", urls, "username",
						      user, "credential", password));
	ct_wipe(password, sizeof(password));
	json_decref(urls);
}

json_t *ice_servers_for(const struct hub *h, const char *host, const char *who,
			const struct policy *policy)
{
	/* a STUN server is only good for addresses that are punched to */
	json_t *list = !policy || policy->methods[POLICY_PUNCHED] ? stun_servers(h, host)
								  : json_array();

	if (h->turn_secret[0] && (!policy || policy_relays(policy)))
		add_turn(h, host, who, policy, list);
	return json_pack("{s:o, s:I, s:o*}", "iceServers", list, "expires",
			 (json_int_t)hub_now_ms() + (json_int_t)ICE_SERVERS_LIFE_S * 1000, "policy",
			 policy ? policy_json(policy) : NULL);
}
