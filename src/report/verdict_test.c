#include "test.h"

#include "base/text.h"
#include "report/verdict.h"

/* Reports are written with ' for ". */
static json_t *json_of(const char *text)
{
	char *copy = text ? strdup(text) : NULL;
	json_t *v;

	if (!copy)
		return NULL;
	for (char *p = copy; *p; p++)
		if (*p == '\'')
			*p = '"';
	v = json_loads(copy, JSON_REJECT_DUPLICATES, NULL);
	if (!v)
		fail_msg("not JSON: %s", copy);
	free(copy);
	return v;
}

#define SERVER(url, transport, via, state, mapped)                                                 \
	"{'url':'" url "','transport':'" transport "','via':'" via "','state':'" state             \
	"','ms':null,'mapped':" mapped ",'code':null,'error':null}"
#define STUN(state, mapped) SERVER("stun:192.0.2.9:3478", "udp", "direct", state, mapped)
#define TURN_UDP(state, mapped)                                                                    \
	SERVER("turn:relay.example.org:3478?transport=udp", "udp", "direct", state, mapped)
#define TURN_TCP(state)                                                                            \
	SERVER("turn:relay.example.org:3478?transport=tcp", "tcp", "direct", state, "null")
#define TURN_TLS(state)                                                                            \
	SERVER("turns:relay.example.org:443?transport=tcp", "tls", "direct", state, "null")
#define TURN_PROXY(state)                                                                          \
	SERVER("turns:relay.example.org:443?transport=tcp", "tls", "proxy", state, "null")

#define AT_A "'198.51.100.4:40000'"
#define AT_B "'203.0.113.7:50000'"
#define UDP_WORKS(mapped)                                                                          \
	STUN("answered", mapped)                                                                   \
	"," TURN_UDP("answered", mapped) "," TURN_TCP("unused") "," TURN_TLS("unused")
#define UDP_SILENT                                                                                 \
	STUN("silent", "null")                                                                     \
	"," TURN_UDP("silent", "null") "," TURN_TCP("answered") "," TURN_TLS("unused")
#define ONLY_443                                                                                   \
	STUN("silent", "null")                                                                     \
	"," TURN_UDP("silent", "null") "," TURN_TCP("silent") "," TURN_TLS("answered")
#define ONLY_PROXY                                                                                 \
	STUN("silent", "null")                                                                     \
	"," TURN_UDP("silent", "null") "," TURN_TCP("silent") "," TURN_TLS(                        \
		"failed") "," TURN_PROXY("answered")
#define NOTHING                                                                                    \
	STUN("silent", "null")                                                                     \
	"," TURN_UDP("silent", "null") "," TURN_TCP("silent") "," TURN_TLS("silent")

#define HOST(side, address)                                                                        \
	"{'side':'" side "','type':'host','address':'" address                                     \
	"','port':5000,'protocol':'udp','origin':'eth0','net':'physical','ms':1,'use':'tried',"    \
	"'why':null}"
#define SRFLX(side, address)                                                                       \
	"{'side':'" side "','type':'srflx','address':'" address "','port':40000,'protocol':'udp'}"
#define VIRTUAL(address)                                                                           \
	"{'side':'local','type':'host','address':'" address                                        \
	"','port':5000,'protocol':'udp','origin':'docker0','net':'virtual','ms':1,'use':'tried',"  \
	"'why':null}"
#define PAIR(local, remote, state, sent, answered)                                                 \
	"{'local':{'type':'host','address':'" local                                                \
	"','port':5000,'protocol':'udp'},'remote':{'type':'host','address':'" remote               \
	"','port':5000,'protocol':'udp'},'state':'" state "','sent':" #sent                        \
	",'answered':" #answered ",'received':0,'rtt_ms':null,'error':null}"
#define ROUTE(method, transport, servers, candidates, tried, mapping, filtering)                   \
	"{'method':'" method "','transport':'" transport                                           \
	"','rtt_ms':1.5,'setup_ms':41,'reason':'','pair':null,'tried':[" tried                     \
	"],'candidates':[" candidates "],'servers':[" servers "],'nat':{'mapping':'" mapping       \
	"','filtering':'" filtering "'},'ignored':{}}"
#define OVER_TCP(method, servers, candidates, tried)                                               \
	"{'method':'" method "','transport':'tcp','rtt_ms':1.5,'setup_ms':41,'reason':'','pair':"  \
	"{'local':{'type':'host','address':'10.0.0.4','port':9,'protocol':'tcp'},'remote':"        \
	"{'type':'host','address':'10.0.0.5','port':9,'protocol':'tcp'}},'tried':[" tried          \
	"],'candidates':[" candidates "],'servers':[" servers "]}"

#define HOST_A HOST("local", "10.1.0.4")
#define HOST_B HOST("local", "192.168.7.5")
#define CONE_A(method) ROUTE(method, "udp", UDP_WORKS(AT_A), HOST_A, "", "independent", "port")
#define OPEN_A(method)                                                                             \
	ROUTE(method, "udp", UDP_WORKS(AT_A), HOST("local", "198.51.100.4"), "", "none", "unknown")
#define OPEN_FILTER_A(method)                                                                      \
	ROUTE(method, "udp", UDP_WORKS(AT_A), HOST_A, "", "independent", "address")
#define CONE_B(method) ROUTE(method, "udp", UDP_WORKS(AT_B), HOST_B, "", "independent", "port")
#define SYM_A(method) ROUTE(method, "udp", UDP_WORKS(AT_A), HOST_A, "", "port", "port")
#define SYM_B(method) ROUTE(method, "udp", UDP_WORKS(AT_B), HOST_B, "", "port", "unknown")
#define BLOCKED_B(method, transport)                                                               \
	ROUTE(method, transport, UDP_SILENT, HOST_B, "", "unknown", "unknown")
#define BLOCKED_A(method, transport)                                                               \
	ROUTE(method, transport, UDP_SILENT, HOST_A, "", "unknown", "unknown")
#define ONE_SITE(method, own, other)                                                               \
	ROUTE(method, "udp", UDP_WORKS(AT_A), HOST("local", own) "," HOST("remote", other),        \
	      PAIR(own, other, "failed", 7, 0), "independent", "port")
#define BROWSER(method, transport)                                                                 \
	"{'method':'" method "','transport':'" transport                                           \
	"','rtt_ms':3,'setup_ms':90,'reason':'','pair':null}"

struct row {
	const char *name, *console, *device, *policy;
	const char *method, *cause, *side, *sentence;
	const char *remedies; /* "side protocol host ports gain" of each, with ";" between */
	bool not_final;
};

#define RELAY_FOR(side) side " udp relay.example.org 3478,49152-65535 relay-udp"
#define ALL_FOR(side) side " udp * * punched"

static const struct row rows[] = {
	{ "same lan", CONE_A("local"), CONE_A("local"), NULL, "local udp", "same-network", "none",
	  "Local: straight across the site's own network.", "" },
	{ "lan without udp",
	  OVER_TCP("local", UDP_WORKS(AT_A), HOST("local", "10.0.0.4"),
		   PAIR("10.0.0.4", "10.0.0.5", "failed", 7, 0)),
	  OVER_TCP("local", UDP_WORKS(AT_A), HOST("local", "10.0.0.5"), ""), NULL, "local tcp",
	  "direct-tcp", "both",
	  "Local: straight across the site's own network, but over TCP because UDP between "
	  "10.0.0.4 and 10.0.0.5 is not answered. Allow UDP both ways between the two and it goes "
	  "over UDP.",
	  "console udp 10.0.0.5 * local;device udp 10.0.0.4 * local" },
	{ "over tcp, nobody says why", OVER_TCP("local", "", "", ""), NULL, NULL, "local tcp",
	  "direct-tcp", "none", "Local: straight across the site's own network, but over TCP.", "",
	  .not_final = true },
	{ "cone and cone", CONE_A("punched"), CONE_B("punched"), NULL, "punched udp", "direct",
	  "none", "Punched: straight across the internet.", "" },
	{ "open and no udp", OVER_TCP("punched", UDP_WORKS(AT_A), "", ""),
	  OVER_TCP("punched", UDP_SILENT, HOST_B, ""), NULL, "punched tcp", "udp-blocked", "device",
	  "Punched: straight across the internet, but over TCP because the device's network blocks "
	  "UDP. Allow all UDP outbound and it goes over UDP.",
	  ALL_FOR("device") },
	{ "punched over tcp, udp works", OVER_TCP("punched", UDP_WORKS(AT_A), "", ""),
	  OVER_TCP("punched", UDP_WORKS(AT_B), "", ""), NULL, "punched tcp", "direct-tcp", "none",
	  "Punched: straight across the internet, but over TCP.", "" },
	{ "guests by hairpin", ONE_SITE("punched", "192.168.1.10", "192.168.1.11"),
	  ONE_SITE("punched", "192.168.1.11", "192.168.1.10"), NULL, "punched udp", "isolated",
	  "both",
	  "Punched: straight across the internet, because packets between 192.168.1.10 and "
	  "192.168.1.11 are not answered, although both ends are probably at one site (their "
	  "public address is 198.51.100.4). Switch off client isolation for the two, or allow UDP "
	  "both ways between them, and it goes straight across the site.",
	  "console udp 192.168.1.11 * local;device udp 192.168.1.10 * local" },

	{ "device blocks udp", OPEN_FILTER_A("relayed"), BLOCKED_B("relayed", "tcp"), NULL,
	  "relayed tcp", "udp-blocked", "device",
	  "Relayed over TCP 3478 because the device's network blocks UDP. Allow UDP 3478 and "
	  "49152–65535 outbound to relay.example.org and it goes through the relay over UDP; "
	  "allow all UDP outbound and it goes straight.",
	  RELAY_FOR("device") ";" ALL_FOR("device") },
	{ "console blocks udp, device symmetric", BLOCKED_A("relayed", "tcp"), SYM_B("relayed"),
	  NULL, "relayed tcp", "udp-blocked", "console",
	  "Relayed over TCP 3478 because the console's network blocks UDP. Allow UDP 3478 and "
	  "49152–65535 outbound to relay.example.org and it goes through the relay over UDP; "
	  "allow all UDP outbound and it can go straight.",
	  RELAY_FOR("console") ";" ALL_FOR("console") },
	{ "both block udp", BLOCKED_A("relayed", "tcp"), BLOCKED_B("relayed", "tcp"), NULL,
	  "relayed tcp", "udp-blocked", "both",
	  "Relayed over TCP 3478 because both networks block UDP. Allow UDP 3478 and 49152–65535 "
	  "outbound to relay.example.org in both networks and it goes through the relay over UDP; "
	  "allow all UDP outbound and it can go straight.",
	  RELAY_FOR("console") ";" RELAY_FOR("device") ";" ALL_FOR("console") ";" ALL_FOR(
		  "device") },
	{ "only 443", CONE_A("relayed"),
	  ROUTE("relayed", "tls", ONLY_443, HOST_B, "", "unknown", "unknown"), NULL, "relayed tls",
	  "udp-and-tcp-blocked", "device",
	  "Relayed over TLS 443 because the device's network lets nothing out but TCP 443. Allow "
	  "UDP 3478 and 49152–65535 outbound to relay.example.org and it goes through the relay "
	  "over UDP; allow all UDP outbound and it goes straight, unless the router (NAT) there "
	  "changes ports for every destination.",
	  RELAY_FOR("device") ";" ALL_FOR("device") },
	{ "no udp, and only 443", BLOCKED_A("relayed", "tcp"),
	  ROUTE("relayed", "tls", ONLY_443, HOST_B, "", "unknown", "unknown"), NULL, "relayed tls",
	  "udp-blocked", "both",
	  "Relayed over TLS 443 because the console's network blocks UDP and the device's lets "
	  "nothing out but TCP 443. Allow UDP 3478 and 49152–65535 outbound to relay.example.org "
	  "in both networks and it goes through the relay over UDP; allow all UDP outbound and it "
	  "can go straight.",
	  RELAY_FOR("console") ";" RELAY_FOR("device") ";" ALL_FOR("console") ";" ALL_FOR(
		  "device") },
	{ "only the proxy", CONE_A("relayed"),
	  ROUTE("relayed", "tls", ONLY_PROXY, HOST_B, "", "unknown", "unknown"), NULL,
	  "relayed tls", "proxy-only", "device",
	  "Relayed over TLS 443 because the device's network lets nothing out but through its "
	  "proxy. Allow UDP 3478 and 49152–65535 outbound to relay.example.org and it goes "
	  "through the relay over UDP; allow all UDP outbound and it goes straight, unless the "
	  "router (NAT) there changes ports for every destination.",
	  RELAY_FOR("device") ";" ALL_FOR("device") },
	{ "no udp, seen by the device alone", NULL, BLOCKED_B("relayed", "tcp"), NULL,
	  "relayed tcp", "udp-blocked", "device",
	  "Relayed over TCP 3478 because the device's network blocks UDP. Allow UDP 3478 and "
	  "49152–65535 outbound to relay.example.org and it goes through the relay over UDP; "
	  "allow all UDP outbound and it can go straight.",
	  RELAY_FOR("device") ";" ALL_FOR("device"), .not_final = true },
	{ "udp silent here, nothing else to ask, heard there", CONE_A("relayed"),
	  ROUTE("relayed", "tcp", STUN("silent", "null"), HOST_B, "", "unknown", "unknown"), NULL,
	  "relayed tcp", "udp-blocked", "device",
	  "Relayed over TCP because the device's network blocks UDP. Allow UDP 3478 and "
	  "49152–65535 outbound to relay.example.org and it goes through the relay over UDP; "
	  "allow all UDP outbound and it goes straight, unless the router (NAT) there changes "
	  "ports for every destination.",
	  RELAY_FOR("device") ";" ALL_FOR("device") },
	{ "udp not answered yet, tcp was", CONE_A("relayed"),
	  ROUTE("relayed", "tcp", STUN("asking", "null") "," TURN_TCP("answered"), HOST_B, "",
		"unknown", "unknown"),
	  NULL, "relayed tcp", "udp-blocked", "device", NULL, NULL },
	{ "only 443 answered yet", CONE_A("relayed"),
	  ROUTE("relayed", "tls",
		TURN_UDP("asking", "null") "," TURN_TCP("asking") "," TURN_TLS("answered"), HOST_B,
		"", "unknown", "unknown"),
	  NULL, "relayed tls", "udp-and-tcp-blocked", "device", NULL, NULL },
	{ "only the proxy answered yet", CONE_A("relayed"),
	  ROUTE("relayed", "tls",
		TURN_UDP("asking", "null") "," TURN_TLS("asking") "," TURN_PROXY("answered"),
		HOST_B, "", "unknown", "unknown"),
	  NULL, "relayed tls", "proxy-only", "device", NULL, NULL },
	{ "nothing answered yet", CONE_A("relayed"),
	  ROUTE("relayed", "tls", TURN_UDP("asking", "null") "," TURN_TLS("asking"), HOST_B, "",
		"unknown", "unknown"),
	  NULL, "relayed tls", "unknown", "none", NULL, NULL },
	{ "udp not answered yet, and udp in use", CONE_A("relayed"),
	  ROUTE("relayed", "udp", STUN("asking", "null") "," TURN_TCP("answered"), HOST_B, "",
		"independent", "unknown"),
	  NULL, "relayed udp", "unknown", "both", NULL, NULL },
	{ "symmetric and symmetric", SYM_A("relayed"), SYM_B("relayed"), NULL, "relayed udp",
	  "nat-symmetric", "both",
	  "Relayed over UDP because the routers (NAT) of both networks use a new port for every "
	  "destination, so neither end can be told where to send. Let both routers keep one "
	  "outside port for each inside port (endpoint-independent mapping, RFC 4787) and it goes "
	  "straight.",
	  "console udp * * punched;device udp * * punched" },
	{ "symmetric and port filter", CONE_A("relayed"), SYM_B("relayed"),
	  "{'udpPorts':'50000-50999'}", "relayed udp", "nat-symmetric", "device",
	  "Relayed over UDP because the router (NAT) of the device's network uses a new port for "
	  "every destination, and the console's lets in only ports that were spoken to. Let that "
	  "router keep one outside port for each inside port (endpoint-independent mapping, RFC "
	  "4787) and it goes straight.",
	  "device udp * 50000-50999 punched" },
	{ "symmetric and open", OPEN_A("relayed"), SYM_B("relayed"), NULL, "relayed udp", "unknown",
	  "both",
	  "Relayed over UDP because no packet straight between the two ends was answered, though "
	  "UDP works in both networks. Allow UDP outbound to any address, with replies, in both "
	  "networks and it can go straight.",
	  ALL_FOR("console") ";" ALL_FOR("device") },
	{ "symmetric and unknown filter",
	  ROUTE("relayed", "udp", UDP_WORKS(AT_A), HOST_A, "", "independent", "unknown"),
	  SYM_B("relayed"), NULL, "relayed udp", "nat-symmetric", "device",
	  "Relayed over UDP because the router (NAT) of the device's network uses a new port for "
	  "every destination, and the console's seems to let in only ports that were spoken to. "
	  "Let that router keep one outside port for each inside port (endpoint-independent "
	  "mapping, RFC 4787) and it goes straight.",
	  "device udp * * punched" },
	{ "guests", ONE_SITE("relayed", "192.168.1.10", "192.168.1.11"),
	  ONE_SITE("relayed", "192.168.1.11", "192.168.1.10"), "{'udpPorts':'50000-50999'}",
	  "relayed udp", "isolated", "both",
	  "Relayed over UDP because packets between 192.168.1.10 and 192.168.1.11 are not "
	  "answered, although both ends are probably at one site (their public address is "
	  "198.51.100.4). Switch off client isolation for the two, or allow UDP both ways between "
	  "them, and it goes straight across the site.",
	  "console udp 192.168.1.11 50000-50999 local;device udp 192.168.1.10 * local" },
	{ "two networks of a site", ONE_SITE("relayed", "192.168.1.10", "192.168.2.10"),
	  ONE_SITE("relayed", "192.168.2.10", "192.168.1.10"), NULL, "relayed udp", "isolated",
	  "both",
	  "Relayed over UDP because packets between 192.168.1.10 and 192.168.2.10 are not "
	  "answered, although both ends are probably at one site (their public address is "
	  "198.51.100.4). Allow UDP both ways between their two networks and it goes straight "
	  "across the site.",
	  "console udp 192.168.2.10 * local;device udp 192.168.1.10 * local" },
	{ "strangers behind a carrier's NAT", ONE_SITE("relayed", "192.168.1.10", "192.168.1.10"),
	  ONE_SITE("relayed", "192.168.1.10", "192.168.1.10"), NULL, "relayed udp", "unknown",
	  "both", NULL, NULL },
	{ "a container's network is no site",
	  ROUTE("relayed", "udp", UDP_WORKS(AT_A), HOST_A "," VIRTUAL("172.17.0.1"),
		PAIR("172.17.0.1", "192.168.7.5", "failed", 7, 0), "independent", "port"),
	  ROUTE("relayed", "udp", UDP_WORKS(AT_A), HOST_B, "", "independent", "port"), NULL,
	  "relayed udp", "unknown", "both", NULL, NULL },
	{ "ipv6 here, ipv4 there",
	  ROUTE("relayed", "udp", UDP_WORKS("'[2001:db8:1::5]:9'"), HOST("local", "2001:db8:1::5"),
		"", "none", "unknown"),
	  CONE_B("relayed"), NULL, "relayed udp", "no-common-family", "both",
	  "Relayed over UDP because the console has only IPv6 and the device only IPv4. With IPv6 "
	  "in the device's network, or IPv4 in the console's, it can go straight.",
	  "" },
	{ "ipv6 here, ipv4 without udp there",
	  ROUTE("relayed", "udp", UDP_WORKS("'[2001:db8:1::5]:9'"), HOST("local", "2001:db8:1::5"),
		"", "none", "unknown"),
	  BLOCKED_B("relayed", "tcp"), NULL, "relayed tcp", "udp-blocked", "device",
	  "Relayed over TCP 3478 because the device's network blocks UDP. Allow UDP 3478 and "
	  "49152–65535 outbound to relay.example.org and it goes through the relay over UDP. It "
	  "stays relayed all the same, because the console has only IPv6 and the device only IPv4.",
	  RELAY_FOR("device") },
	{ "the policy wants the relay", CONE_A("relayed"), CONE_B("relayed"),
	  "{'methods':['relayed']}", "relayed udp", "policy", "none",
	  "Relayed over UDP because the policy allows this device no direct routes. The policy of "
	  "the device's place decides that.",
	  "" },
	{ "the policy wants no punching", CONE_A("relayed"), CONE_B("relayed"),
	  "{'methods':['local','relayed']}", "relayed udp", "policy", "none",
	  "Relayed over UDP because the policy does not allow this device to go straight across "
	  "the internet. The policy of the device's place decides that.",
	  "" },
	{ "no punching, and no udp", CONE_A("relayed"), BLOCKED_B("relayed", "tcp"),
	  "{'methods':['local','relayed']}", "relayed tcp", "udp-blocked", "device",
	  "Relayed over TCP 3478 because the device's network blocks UDP. Allow UDP 3478 and "
	  "49152–65535 outbound to relay.example.org and it goes through the relay over UDP.",
	  RELAY_FOR("device") },
	{ "the policy wants no turn over udp", CONE_A("relayed"), BLOCKED_B("relayed", "tcp"),
	  "{'turnTransports':['tcp','tls']}", "relayed tcp", "udp-blocked", "device",
	  "Relayed over TCP 3478 because the device's network blocks UDP. Allow all UDP outbound "
	  "and it goes straight, unless the router (NAT) there changes ports for every "
	  "destination.",
	  ALL_FOR("device") },
	{ "the console's own choice",
	  ROUTE("relayed", "udp", UDP_WORKS(AT_A),
		"{'side':'local','type':'relay','address':'192.0.2.9','port':50001}", "", "unknown",
		"unknown"),
	  CONE_B("relayed"), NULL, "relayed udp", "policy", "console",
	  "Relayed over UDP because the console offered no address but its relay's.", "" },
	{ "cone and cone, but relayed", CONE_A("relayed"), CONE_B("relayed"), NULL, "relayed udp",
	  "unknown", "both",
	  "Relayed over UDP because no packet straight between the two ends was answered, though "
	  "UDP works in both networks. Allow UDP outbound to any address, with replies, in both "
	  "networks and it can go straight.",
	  ALL_FOR("console") ";" ALL_FOR("device") },
	{ "a choice of the command",
	  ROUTE("relayed", "udp", UDP_WORKS(AT_A),
		HOST_A "," SRFLX("local", "198.51.100.4") "," HOST("remote", "192.168.7.5"), "",
		"independent", "port"),
	  ROUTE("relayed", "udp", UDP_WORKS(AT_B),
		HOST_B "," SRFLX("local", "203.0.113.7") "," HOST("remote", "10.1.0.4"), "",
		"independent", "port"),
	  NULL, "relayed udp", "policy", "none",
	  "Relayed over UDP because the two ends were not told each other's public addresses: a "
	  "choice such as --route, or a policy.",
	  "" },
	{ "a browser that hides its addresses, without udp",
	  ROUTE("relayed", "tcp", UDP_SILENT,
		HOST("local",
		     "") ",{'side':'local','type':'relay','address':'192.0.2.9','port':50001}",
		"", "none", "unknown"),
	  CONE_B("relayed"), NULL, "relayed tcp", "udp-blocked", "console", NULL,
	  RELAY_FOR("console") ";" ALL_FOR("console") },
	{ "a browser that hides its addresses may have ipv6",
	  ROUTE("relayed", "udp", UDP_WORKS("'[2001:db8:1::5]:9'"), HOST("local", "2001:db8:1::5"),
		"", "none", "unknown"),
	  ROUTE("relayed", "udp", UDP_WORKS(AT_B),
		HOST("local", "0b2e.local") "," SRFLX("local", "203.0.113.7"), "", "independent",
		"unknown"),
	  NULL, "relayed udp", "unknown", "both", NULL, NULL },
	{ "browsers tell less", BROWSER("relayed", "tls"), BROWSER("relayed", "udp"), NULL,
	  "relayed tls", "unknown", "none",
	  "Relayed over TLS because no direct packet was answered, and the reports do not show "
	  "why.",
	  "" },
	{ "the device has not reported", CONE_A("relayed"), NULL, NULL, "relayed udp", "unknown",
	  "none",
	  "Relayed over UDP because no direct packet was answered; the device has not told what it "
	  "saw.",
	  "", .not_final = true },

	{ "no relay allowed", SYM_A("none"), SYM_B("none"), "{'relay':'forbidden'}", "none",
	  "policy", "none",
	  "No route: the policy allows this device no relay, and directly it did not work because "
	  "the routers (NAT) of both networks use a new port for every destination, so neither end "
	  "can be told where to send. Let both routers keep one outside port for each inside port "
	  "(endpoint-independent mapping, RFC 4787) and it goes straight.",
	  "console udp * * punched;device udp * * punched" },
	{ "only local allowed", CONE_A("none"), CONE_B("none"), "{'methods':['local']}", "none",
	  "policy", "none",
	  "No route: the policy allows this device no relay, and directly it did not work because "
	  "the policy does not allow this device to go straight across the internet. The policy of "
	  "the device's place decides that.",
	  "" },
	{ "the relay refuses",
	  ROUTE("none", "udp",
		"{'url':'turn:relay.example.org:3478','transport':'udp','via':'direct','state':"
		"'refused','code':401,'error':'<b>no</b>'}",
		HOST_A, "", "independent", "port"),
	  CONE_B("none"), NULL, "none", "relay-refused", "console",
	  "No route: the relay relay.example.org refuses the console (401: the credentials are not "
	  "accepted). Give the hub and the relay the same secret and the right time; directly it "
	  "did not work because no packet straight between the two ends was answered, though UDP "
	  "works in both networks.",
	  "" },
	{ "the relay is not reached",
	  ROUTE("none", "udp", NOTHING, HOST_A, "", "unknown", "unknown"), CONE_B("none"), NULL,
	  "none", "relay-unreachable", "console",
	  "No route: nothing came back from relay.example.org to the console, and no direct packet "
	  "was answered. Allow UDP 3478 or TCP 3478 or TCP 443 outbound to relay.example.org and "
	  "it goes through the relay.",
	  "console udp relay.example.org 3478 any;console tcp relay.example.org 3478 any;"
	  "console tcp relay.example.org 443 any" },
	{ "the relay is down", ROUTE("none", "udp", NOTHING, HOST_A, "", "unknown", "unknown"),
	  ROUTE("none", "udp", NOTHING, HOST_B, "", "unknown", "unknown"), NULL, "none",
	  "relay-unreachable", "both",
	  "No route: neither end reached relay.example.org; look whether it runs. Besides, no "
	  "direct packet was answered. Allow UDP 3478 or TCP 3478 or TCP 443 outbound to "
	  "relay.example.org and it goes through the relay.",
	  NULL },
	{ "the device is silent", CONE_A("none"), NULL, NULL, "none", "peer-silent", "device",
	  "No route: nothing came back from the device, neither directly nor through the relay, "
	  "and it has sent no report.",
	  "", .not_final = true },
	{ "nobody knows", BROWSER("none", "udp"), BROWSER("none", "udp"), NULL, "none", "unknown",
	  "none",
	  "No route: the reports do not show what became of the relay; no direct packet was "
	  "answered.",
	  "" },
	{ "relays reached in vain", CONE_A("none"), CONE_B("none"), NULL, "none", "unknown", "none",
	  "No route: a relay was reached, but nothing passed through it, and the reports do not "
	  "show why; directly it did not work because no packet straight between the two ends was "
	  "answered, though UDP works in both networks. Allow UDP outbound to any address, with "
	  "replies, in both networks and it can go straight.",
	  ALL_FOR("console") ";" ALL_FOR("device") },
};

static const char *const urls[] = { "turn:relay.example.org:3478?transport=udp",
				    "turn:relay.example.org:3478?transport=tcp",
				    "turns:relay.example.org:443?transport=tcp",
				    "turns:relay.example.org:443?transport=wss" };

static struct verdict_question question(struct verdict_relay relays[VERDICT_RELAYS_MAX])
{
	struct verdict_question q = { .relays = relays };

	for (size_t i = 0; i < ARRAY_LEN(urls); i++)
		assert_true(verdict_relay_add(relays, &q.n_relays, urls[i]));
	assert_int_equal(q.n_relays, 1);
	return q;
}

static struct route_seen seen_of(const char *text)
{
	struct route_seen seen;
	json_t *route = json_of(text);

	route_seen_take(route, &seen);
	json_decref(route);
	return seen;
}

static void list_remedies(const struct verdict *v, char *out, size_t cap)
{
	static const char *const gains[] = { "relay-udp", "punched", "local", "any" };
	size_t at = 0;

	out[0] = 0;
	for (size_t i = 0; i < v->n_remedies; i++) {
		const struct verdict_remedy *r = &v->remedy[i];

		at += (size_t)snprintf(out + at, cap - at, "%s%s %s %s %s %s", i ? ";" : "",
				       verdict_sides[r->side], r->tcp ? "tcp" : "udp", r->host,
				       r->ports, gains[r->gain]);
		assert_true(r->text[0]);
	}
}

static void check_row(const struct row *row)
{
	struct verdict_relay relays[VERDICT_RELAYS_MAX];
	struct verdict_question q = question(relays);
	struct route_seen console = seen_of(row->console), device = seen_of(row->device);
	json_t *policy_object = json_of(row->policy);
	char why[POLICY_WHY_CAP], text[1024];
	struct policy policy = { 0 };
	static struct verdict v;

	q.console = &console;
	q.device = &device;
	if (policy_object) {
		assert_int_equal(policy_parse(policy_object, POLICY_REFUSE_UNKNOWN, &policy, why),
				 0);
		policy_complete(&policy);
		q.policy = &policy;
	}
	assert_true(verdict_make(&q, &v));
	snprintf(text, sizeof(text), "%s%s%s", verdict_methods[v.method],
		 v.method == SEEN_NONE ? "" : " ",
		 v.method == SEEN_NONE ? "" : verdict_transports[v.transport]);
	print_message("%s: %s, %s\n  %s\n", row->name, verdict_causes[v.cause],
		      verdict_sides[v.side], v.sentence);
	assert_string_equal(text, row->method);
	assert_string_equal(verdict_causes[v.cause], row->cause);
	assert_string_equal(verdict_sides[v.side], row->side);
	if (row->sentence)
		assert_string_equal(v.sentence, row->sentence);
	list_remedies(&v, text, sizeof(text));
	if (row->remedies)
		assert_string_equal(text, row->remedies);
	assert_int_equal(v.final, !row->not_final);
	json_decref(policy_object);
}

static void test_rows(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		check_row(&rows[i]);
}

/* Which of two different reports counts. */
static void test_newest(void **state)
{
	struct route_seen console = seen_of(CONE_A("relayed")), device = seen_of(CONE_B("punched")),
			  none = seen_of(CONE_B("none"));
	struct verdict_question q = { .console = &console, .device = &device };
	static struct verdict v;

	assert_true(verdict_make(&q, &v));
	assert_int_equal(v.method, SEEN_RELAYED);
	q.device_last = true;
	assert_true(verdict_make(&q, &v));
	assert_int_equal(v.method, SEEN_PUNCHED);
	q.device = &none;
	assert_true(verdict_make(&q, &v));
	assert_int_equal(v.method, SEEN_RELAYED);
	q.console = q.device = NULL;
	assert_false(verdict_make(&q, &v));
	q.device = &none;
	q.ended = true;
	assert_true(verdict_make(&q, &v));
	assert_true(v.final);
}

static void test_json(void **state)
{
	struct verdict_relay relays[VERDICT_RELAYS_MAX];
	struct verdict_question q = question(relays);
	struct route_seen device = seen_of(BLOCKED_B("relayed", "tcp")),
			  none = seen_of(CONE_A("none"));
	static struct verdict v;
	json_t *o, *want;

	q.device = &device;
	assert_true(verdict_make(&q, &v));
	o = verdict_json(&v);
	assert_string_equal(json_string_value(json_object_get(o, "cause")), "udp-blocked");
	assert_true(json_is_false(json_object_get(o, "final")));
	want = json_of("{'side':'device','protocol':'udp','host':'relay.example.org',"
		       "'ports':'3478,49152-65535','gain':'relay-udp','text':'Allow UDP 3478 and "
		       "49152–65535 outbound to relay.example.org: sessions then go through the "
		       "relay over UDP.'}");
	assert_true(json_equal(json_array_get(json_object_get(o, "remedy"), 0), want));
	json_decref(want);
	json_decref(o);
	q.device = &none;
	assert_true(verdict_make(&q, &v));
	o = verdict_json(&v);
	assert_true(json_is_null(json_object_get(o, "transport")));
	json_decref(o);
}

static void test_relays(void **state)
{
	struct verdict_relay r[VERDICT_RELAYS_MAX];
	char url[64];
	size_t n = 0;

	assert_true(verdict_relay_add(r, &n, "turn:a.example"));
	assert_true(verdict_relay_add(r, &n, "turns:a.example"));
	assert_true(verdict_relay_add(r, &n, "turns:[2001:db8::1]:443?transport=wss"));
	assert_int_equal(n, 2);
	assert_string_equal(r[0].host, "a.example");
	assert_int_equal(r[0].port[SEEN_UDP], 3478);
	assert_int_equal(r[0].port[SEEN_TLS], 5349);
	assert_string_equal(r[1].host, "2001:db8::1");
	assert_int_equal(r[1].port[SEEN_WSS], 443);
	assert_false(verdict_relay_add(r, &n, "stun:a.example"));
	assert_false(verdict_relay_add(r, &n, "turn:"));
	assert_false(verdict_relay_add(r, &n, "turn:[2001:db8::1"));
	for (int i = 0; i < VERDICT_RELAYS_MAX; i++) {
		snprintf(url, sizeof(url), "turn:b%d.example", i);
		assert_int_equal(verdict_relay_add(r, &n, url), i < VERDICT_RELAYS_MAX - 2);
	}
}

static void test_no_relay(void **state)
{
	struct route_seen a = seen_of(ROUTE("none", "udp", STUN("answered", AT_A), HOST_A, "",
					    "port", "port")),
			  b = seen_of(ROUTE("none", "udp", STUN("answered", AT_B), HOST_B, "",
					    "port", "port"));
	struct verdict_question q = { .console = &a, .device = &b };
	static struct verdict v;

	assert_true(verdict_make(&q, &v));
	assert_int_equal(v.cause, CAUSE_RELAY_UNREACHABLE);
	assert_int_equal(v.side, SIDE_NONE);
	assert_non_null(strstr(v.sentence,
			       "No route: the hub knows no relay (--turn), and directly "
			       "it did not work because the routers (NAT) of both"));
	assert_int_equal(v.n_remedies, 2);
}

/* More relays than there is room for remedies. */
static void test_many_relays(void **state)
{
	struct verdict_relay r[VERDICT_RELAYS_MAX];
	struct route_seen a = seen_of(BLOCKED_A("relayed", "tcp")),
			  b = seen_of(BLOCKED_B("relayed", "tcp"));
	struct verdict_question q = { .console = &a, .device = &b, .relays = r };
	static struct verdict v;

	verdict_relay_add(r, &q.n_relays, "turn:a.example");
	verdict_relay_add(r, &q.n_relays, "turn:b.example");
	verdict_relay_add(r, &q.n_relays, "turn:c.example");
	verdict_relay_add(r, &q.n_relays, "turn:d.example");
	assert_true(verdict_make(&q, &v));
	assert_int_equal(v.n_remedies, VERDICT_REMEDIES_MAX);
	assert_string_equal(v.remedy[7].host, "d.example");
}

/* Whatever stands in a report's texts, the verdict is the same and harmless. */
static void test_hostile(void **state)
{
	struct verdict_relay relays[VERDICT_RELAYS_MAX];
	struct verdict_question q = question(relays);
	char *big = malloc(65537);
	static struct verdict v;
	struct route_seen seen;
	json_t *route, *servers, *tried, *o;
	const char *texts[] = { "<img src=x onerror=alert(1)>",
				"\x1b[31m\r\n",
				"\u202e\u200b",
				big,
				"255.255.255.255",
				"::",
				"evil.example.org" };
	FL_AUTOFREE char *dump = NULL;

	memset(big, 'A', 65536);
	big[65536] = 0;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		route = json_of(BLOCKED_B("relayed", "tcp"));
		json_object_set_new(route, "reason", json_string(texts[i]));
		servers = json_object_get(route, "servers");
		for (size_t k = 0; k < json_array_size(servers); k++) {
			o = json_array_get(servers, k);
			json_object_set_new(o, "mapped", json_string(texts[i]));
			json_object_set_new(o, "error", json_string(texts[i]));
		}
		json_array_append_new(servers, json_pack("{s:s, s:s, s:s}", "url", texts[i],
							 "transport", texts[i], "state", texts[i]));
		tried = json_object_get(route, "tried");
		json_array_append_new(tried,
				      json_pack("{s:{s:s, s:s, s:s}, s:{s:s, s:s}, s:I}", "local",
						"type", "host", "protocol", "udp", "address",
						texts[i], "remote", "type", "host", "address",
						texts[i], "sent", (json_int_t)1 << 60));
		route_seen_take(route, &seen);
		q.device = &seen;
		assert_true(verdict_make(&q, &v));
		assert_string_equal(verdict_causes[v.cause], "udp-blocked");
		o = verdict_json(&v);
		free(dump);
		dump = json_dumps(o, 0);
		assert_null(strstr(dump, texts[i]));
		assert_null(strchr(dump, '<'));
		assert_true(strlen(dump) < 4096);
		json_decref(o);
		json_decref(route);
	}
	free(big);
}

static void test_nonsense(void **state)
{
	static const char *const texts[] = { "[]", "{}", "{'method':7}", "{'method':'teleport'}" };
	struct route_seen seen;

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		seen = seen_of(texts[i]);
		assert_false(seen.reported);
	}
	seen = seen_of("{'method':'relayed','transport':7,'setup_ms':-3,'tried':{},'candidates':"
		       "[1,null,{}],'servers':[[],{'transport':'udp'}],'nat':[]}");
	assert_true(seen.reported);
	assert_int_equal(seen.setup_ms, -1);
	route_seen_take(NULL, &seen);
	assert_false(seen.reported);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_rows),    TEST(test_newest),	 TEST(test_json),
		TEST(test_relays),  TEST(test_no_relay), TEST(test_many_relays),
		TEST(test_hostile), TEST(test_nonsense),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
