#include "check/cause.h"

#include <stdio.h>
#include <string.h>

/* {host}, {port}, {protocol} and {by} are filled in. */
static const struct {
	const char *word, *fix;
} causes[CAUSES] = {
	[CAUSE_NONE] = { "", "" },
	[CAUSE_DNS_SILENT] = { "dns-silent",
			       "The name server gives no answer for {host}. Check this machine's "
			       "DNS server, and that UDP and TCP 53 to it pass." },
	[CAUSE_DNS_NO_NAME] = { "dns-no-name",
				"The name server knows no {host}. Check the spelling; if it is "
				"right, a DNS filter hides it: allow the name there." },
	[CAUSE_DNS_WILDCARD] = { "dns-wildcard",
				 "The name server answers for names that do not exist. Sign in to "
				 "this network if it wants that, or use another name server." },
	[CAUSE_DNS_PRIVATE] = { "dns-private",
				"The name server sends {host} to an address that is not the real "
				"one. A DNS filter does that: allow the name there." },
	[CAUSE_TCP_REFUSED] = { "tcp-refused",
				"Connections to {host} port {port} are refused. Either nothing "
				"runs there, or a firewall rejects them: allow TCP {port} out." },
	[CAUSE_TCP_TIMEOUT] = { "tcp-timeout",
				"Nothing comes back from {host} port {port}. A firewall most "
				"likely drops it: allow TCP {port} out to {host}." },
	[CAUSE_TCP_UNREACHABLE] = { "tcp-unreachable",
				    "There is no route to {host}. Check this machine's network "
				    "and gateway; a router may also reject TCP {port}." },
	[CAUSE_LOCAL_FIREWALL] = { "local-firewall",
				   "A firewall on this very machine forbids {protocol} {port} to "
				   "{host}. Allow it there." },
	[CAUSE_IPV6_BROKEN] = { "ipv6-broken",
				"{host} has an IPv6 address and so has this machine, but nothing "
				"comes through. Repair IPv6 here, or switch it off." },
	[CAUSE_NOT_TLS] = { "not-tls",
			    "What answers at {host} port {port} speaks no TLS: a sign-in page, a "
			    "filter, or another service. Open https://{host}:{port}/ in a "
			    "browser to see which." },
	[CAUSE_TLS_SILENT] = { "tls-silent",
			       "{host} port {port} takes the connection and then says nothing. A "
			       "filter in between most likely holds TLS back: allow it for "
			       "{host}." },
	[CAUSE_TLS_CLOSED] = { "tls-closed",
			       "The connection to {host} port {port} is cut as soon as TLS names "
			       "the host. A filter does that: allow {host} there." },
	[CAUSE_TLS_REFUSED] = { "tls-refused",
				"{host} port {port} refuses the TLS handshake. A filter that "
				"wants an older TLS, or the wrong service: look what runs "
				"there." },
	[CAUSE_TLS_EXPIRED] = { "tls-expired", "The certificate of {host} has expired. Renew it." },
	[CAUSE_TLS_NOT_YET_VALID] = { "tls-not-yet-valid",
				      "The certificate of {host} is not valid yet. Check the clock "
				      "of the machine that made it." },
	[CAUSE_TLS_NAME] = { "tls-name",
			     "The certificate at {host} port {port} is for another name. Use the "
			     "name that it was made for, or get one for {host}." },
	[CAUSE_TLS_ISSUER] = { "tls-issuer",
			       "The certificate of {host} was signed by {by}, which this machine "
			       "does not trust. If that is the hub's own authority, name its file "
			       "with --ca; if not, somebody opens TLS on the way." },
	[CAUSE_TLS_INVALID] = { "tls-invalid",
				"The certificate of {host} cannot be used. Get a new one." },
	[CAUSE_INSPECTION] = { "inspection", "This network opens TLS to {host}: {by} signed the "
					     "certificate anew. "
					     "Exempt {host} from HTTPS inspection." },
	[CAUSE_INSPECTION_TRUSTED] = { "inspection-trusted",
				       "The certificate at {host} is not the hub's own; {by} "
				       "signed "
				       "it. If that is not the hub's own front end, this network "
				       "inspects HTTPS: exempt {host}." },
	[CAUSE_CAPTIVE_PORTAL] = { "captive-portal",
				   "This network wants a sign-in first. Open any page in a "
				   "browser here and sign in." },
	[CAUSE_FILTER_PAGE] = { "filter-page",
				"A web page comes in place of {host}'s answer: a filter blocks it. "
				"Allow {host} there." },
	[CAUSE_NOT_A_HUB] = { "not-a-hub",
			      "What answers at {host} port {port} is no Fairlead hub. Check the "
			      "address." },
	[CAUSE_NOT_HTTP] = { "not-http",
			     "What answers at {host} port {port} is no web server. Check the "
			     "address." },
	[CAUSE_HTTP_SILENT] = { "http-silent",
				"{host} takes the request and does not answer. A filter that waits "
				"for the end of the answer, or an overloaded server: look at "
				"both." },
	[CAUSE_HTTP_CLOSED] = { "http-closed",
				"{host} closes the connection without an answer. A filter most "
				"likely cuts it: allow {host} there." },
	[CAUSE_HUB_DOWN] = { "hub-down",
			     "Something in front of {host} answers that the server behind it does "
			     "not. Start it, or repair what stands in front." },
	[CAUSE_STALE_ANSWER] = { "stale-answer",
				 "An old answer comes back in place of {host}'s: a cache on the "
				 "way. Exempt {host} from it." },
	[CAUSE_HUB_KEY] = { "hub-key",
			    "What answers at {host} does not have the key of the hub that is "
			    "meant. Check the address; if it is right, somebody stands in "
			    "between." },
	[CAUSE_CLOCK_OFF] = { "clock-off",
			      "This machine's clock and the hub's differ. Set the clock, best by "
			      "time servers (NTP)." },
	[CAUSE_NETWORK_LIST] = { "network-list",
				 "The hub's list of what it needs is not understood. Update this "
				 "program to the hub's version." },
	[CAUSE_WEBSOCKET_STRIPPED] = { "websocket-stripped",
				       "A proxy or filter takes the WebSocket upgrade out of the "
				       "requests to {host}. Allow WebSocket to {host} there." },
	[CAUSE_WEBSOCKET_DROPPED] = { "websocket-dropped",
				      "A WebSocket to {host} opens and is cut at once. A proxy or "
				      "filter does that: allow WebSocket to {host} there." },
	[CAUSE_WEBSOCKET_SILENT] = { "websocket-silent",
				     "A WebSocket to {host} opens, but nothing passes. A proxy or "
				     "filter holds it: allow WebSocket to {host} there." },
	[CAUSE_UDP_SILENT] = { "udp-silent",
			       "Nothing comes back over UDP from {host} port {port}. Allow UDP "
			       "{port} out to {host}, with replies." },
	[CAUSE_UDP_REFUSED] = { "udp-refused",
				"{host} refuses UDP {port}: either the relay does not run, or a "
				"firewall rejects it. Allow UDP {port} out to {host}." },
	[CAUSE_UDP_UNREACHABLE] = { "udp-unreachable",
				    "There is no route to {host} for UDP. Check this machine's "
				    "network; a router may also reject UDP {port}." },
	[CAUSE_NOT_STUN] = { "not-stun",
			     "What answers at {host} UDP {port} is no STUN. Another service has "
			     "the port, or something in between answers in its place." },
	[CAUSE_TURN_SILENT] = { "turn-silent",
				"The connection to {host} port {port} opens, but the relay's "
				"answer "
				"does not come through. A filter that knows only HTTPS does that: "
				"allow {host} there." },
	[CAUSE_TURN_CLOSED] = { "turn-closed",
				"The connection to {host} port {port} opens and is cut as soon as "
				"the relay is spoken to. A filter does that: allow {host} there." },
	[CAUSE_TURN_REFUSED] = { "turn-refused", "The relay at {host} says no. Look at its log; "
						 "the same secret has "
						 "to be at hub and relay." },
	[CAUSE_NOT_TURN] = { "not-turn",
			     "What answers at {host} port {port} is no relay. Another service has "
			     "the port, or a filter answers in its place." },
	[CAUSE_UDP_TO_OTHERS] = { "udp-to-others",
				  "UDP passes to the STUN server, but not to other addresses. "
				  "Allow "
				  "UDP out to any address, with replies: then sessions go straight "
				  "across the internet." },
	[CAUSE_RELAY_PORTS] = { "relay-ports",
				"The addresses that the relay at {host} gives out are not reached. "
				"Allow UDP to its port range: it saves a second trip through the "
				"relay." },
	[CAUSE_MTU_SMALL] = { "mtu-small", "Packets of 1200 bytes to {host} are lost, small ones "
					   "pass. Raise the "
					   "MTU of the tunnel or line to 1280 or more." },
	[CAUSE_LOSS] = { "loss", "The line to {host} loses packets. Look at the Wi-Fi or the line: "
				 "pictures will stutter." },
	[CAUSE_LATENCY] = { "latency", "The way to {host} is long: everything will feel slow. Use "
				       "a relay nearer by, or another line." },
	[CAUSE_NAT_SYMMETRIC] = { "nat-symmetric",
				  "The router here changes the port for each destination. Turn on "
				  "endpoint-independent mapping (\"static port\", \"full cone\" or "
				  "\"consistent NAT\"): then sessions go straight." },
	[CAUSE_PROXY_LIBRARY] = { "proxy-library",
				  "libcurl is missing, which speaks to proxies. Install it." },
	[CAUSE_PROXY_NAME] = { "proxy-name", "The name of the proxy {by} does not resolve. Check "
					     "the proxy settings." },
	[CAUSE_PROXY_REFUSED] = { "proxy-refused", "Nothing listens at the proxy {by}. Check the "
						   "proxy settings." },
	[CAUSE_PROXY_UNREACHABLE] = { "proxy-unreachable",
				      "There is no route to the proxy {by}. Check the proxy "
				      "settings and the network." },
	[CAUSE_PROXY_TIMEOUT] = { "proxy-timeout",
				  "The proxy {by} does not answer. Check that it runs, and the "
				  "proxy settings." },
	[CAUSE_PROXY_CLOSED] = { "proxy-closed",
				 "The proxy {by} closes the connection. Look at its log." },
	[CAUSE_PROXY_NOT_HTTP] = { "proxy-not-http",
				   "What answers at {by} is no proxy. Check the proxy settings." },
	[CAUSE_PROXY_TLS] = { "proxy-tls", "The certificate of the proxy {by} is not trusted, or "
					   "it speaks no TLS. Name its authority with "
					   "--proxy-ca, or write http:// for it." },
	[CAUSE_PROXY_USER] = { "proxy-user",
			       "The proxy {by} wants a user and password. Give them with "
			       "--proxy-user and --proxy-password-file, or let {host} through "
			       "without." },
	[CAUSE_PROXY_SCHEME] = { "proxy-scheme",
				 "The proxy {by} wants an authentication that Fairlead lacks. Let "
				 "it offer Basic, Digest, NTLM or Negotiate." },
	[CAUSE_PROXY_PASSWORD] = { "proxy-password", "The proxy {by} refuses the user or the "
						     "password. Correct them." },
	[CAUSE_PROXY_DENIED] = { "proxy-denied", "The proxy {by} does not let us to {host} port "
						 "{port}. Allow CONNECT to it there." },
	[CAUSE_PROXY_TARGET] = { "proxy-target",
				 "The proxy {by} lets us through, but does not reach {host} port "
				 "{port} itself. Look at its DNS and its firewall." },
	[CAUSE_INTERNAL] = { "internal",
			     "This check could not be made: this machine ran out of something. "
			     "Try again." },
};

const char *cause_word(enum check_cause cause)
{
	return causes[cause].word;
}

enum check_cause cause_of_word(const char *word)
{
	for (unsigned i = 1; word && i < CAUSES; i++)
		if (strcmp(causes[i].word, word) == 0)
			return (enum check_cause)i;
	return CAUSE_INTERNAL;
}

bool cause_is_proxy(enum check_cause cause)
{
	return cause >= CAUSE_PROXY_LIBRARY && cause <= CAUSE_PROXY_TARGET;
}

static const char *value_of(const char *name, size_t len, const struct cause_at *at, char port[8])
{
	const struct {
		const char *name, *value;
	} values[] = { { "host", at->host && *at->host ? at->host : "the server" },
		       { "port", port },
		       { "protocol", at->udp ? "UDP" : "TCP" },
		       { "by", at->by && *at->by ? at->by : "somebody" } };

	snprintf(port, 8, "%u", at->port);
	for (size_t i = 0; i < ARRAY_LEN(values); i++)
		if (strlen(values[i].name) == len && strncmp(values[i].name, name, len) == 0)
			return values[i].value;
	return "";
}

const char *cause_fix(enum check_cause cause, const struct cause_at *at, char out[CAUSE_FIX_MAX])
{
	const char *p = causes[cause].fix;
	char port[8];
	size_t n = 0;

	while (*p && n + 1 < CAUSE_FIX_MAX) {
		const char *end = *p == '{' ? strchr(p, '}') : NULL;

		if (end) {
			const char *value = value_of(p + 1, (size_t)(end - p - 1), at, port);

			for (; *value && n + 1 < CAUSE_FIX_MAX; value++)
				out[n++] = *value;
			p = end + 1;
		} else {
			out[n++] = *p++;
		}
	}
	out[n] = 0;
	return out;
}
