#include "relay/settings_options.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/text.h"
#include "proto/turn/turn_server.h"

#define FIELD(f) offsetof(struct settings_options, f)
#define RATE_MAX 1000000000000ull

static const char *const log_levels[] = { "debug", "info", "warn", "error", NULL };

/* ---- values ---- */

/* "tls+proxy:" */
static const char *take_transport(const char *text, struct settings_listener *l)
{
	l->transport = TURN_UDP;
	l->proxy_protocol = false;
	for (int t = 0; t < TURN_TRANSPORTS; t++) {
		const char *name = turn_transport_name((enum turn_transport)t), *rest;

		if (strncmp(text, name, strlen(name)) != 0)
			continue;
		rest = text + strlen(name);
		if (strncmp(rest, "+proxy:", 7) != 0 && *rest != ':')
			continue;
		l->transport = (enum turn_transport)t;
		l->proxy_protocol = *rest == '+';
		return rest + (l->proxy_protocol ? 7 : 1);
	}
	return text;
}

static int parse_listen(void *target, const struct opt *opt, const char *value, char why[128])
{
	struct settings_options *o = target;
	struct settings_listener l = { .inherited = -1 };
	const char *rest = take_transport(value, &l);

	if (addr_parse(rest, &l.at) < 0) {
		snprintf(why, 128,
			 "is not [udp|tcp|tls|dtls|wss:]ADDRESS:PORT, such as tcp:0.0.0.0:3478 or "
			 "tls:[::]:5349");
		return FL_EMALFORMED;
	}
	if (l.proxy_protocol && !turn_transport_is_stream(l.transport)) {
		snprintf(why, 128, "has +proxy, which goes with tcp, tls and wss only");
		return FL_EUNSUPPORTED;
	}
	for (size_t i = 0; i < o->n_listeners; i++)
		if (l.at.port && addr_equal(&o->listeners[i].at, &l.at) &&
		    turn_transport_is_stream(o->listeners[i].transport) ==
			    turn_transport_is_stream(l.transport)) {
			snprintf(why, 128, "is an address and port that is listened on already");
			return -EEXIST;
		}
	if (o->n_listeners == SETTINGS_LISTENERS_MAX) {
		snprintf(why, 128, "is one more than the %d that are possible",
			 SETTINGS_LISTENERS_MAX);
		return FL_EQUOTA;
	}
	o->listeners[o->n_listeners++] = l;
	return 0;
}

/* "[2001:db8::1]" is what people write, too. */
static int parse_ip(const char *text, size_t len, struct addr *out)
{
	char plain[ADDR_TEXT_MAX];

	if (len >= 2 && text[0] == '[' && text[len - 1] == ']')
		text++, len -= 2;
	if (!text_copy_span(plain, sizeof(plain), span_of(text, len)))
		return FL_EMALFORMED;
	return addr_parse_ip(plain, out);
}

static int parse_relay_address(void *target, const struct opt *opt, const char *value,
			       char why[128])
{
	struct settings_options *o = target;
	struct settings_relay_address a = { 0 }, *at;
	size_t len = strcspn(value, "=");
	const char *local = value[len] ? value + len + 1 : value;
	enum addr_range range;

	if (parse_ip(value, len, &a.told) < 0 ||
	    parse_ip(local, strlen(local) - (local == value ? strlen(value) - len : 0), &a.bound) <
		    0 ||
	    a.told.family != a.bound.family) {
		snprintf(why, 128,
			 "is not an address, nor PUBLIC=LOCAL with two of one family, such as "
			 "203.0.113.5=10.0.0.5");
		return FL_EMALFORMED;
	}
	range = addr_range(&a.told);
	if (range == ADDR_UNSPECIFIED || range == ADDR_MULTICAST || range == ADDR_LINK_LOCAL ||
	    addr_range(&a.bound) == ADDR_MULTICAST) {
		snprintf(why, 128, "is no address at which peers could reach this relay");
		return FL_EMALFORMED;
	}
	at = &o->relay[a.told.family == ADDR_V6];
	if (at->told.family != ADDR_NONE) {
		snprintf(why, 128, "is the second of its family; one IPv4 and one IPv6 at most");
		return -EEXIST;
	}
	*at = a;
	return 0;
}

static int add_network(struct turn_network *list, size_t *n, const char *value, char why[128])
{
	if (*n == TURN_PEERS_NETWORKS_MAX) {
		snprintf(why, 128, "is one more than the %d that are possible",
			 TURN_PEERS_NETWORKS_MAX);
		return FL_EQUOTA;
	}
	if (turn_network_parse(value, &list[*n]) < 0) {
		snprintf(why, 128,
			 "is not an address or network such as 10.0.0.0/8 (bits behind the length "
			 "must be 0)");
		return FL_EMALFORMED;
	}
	++*n;
	return 0;
}

static int parse_allow(void *target, const struct opt *opt, const char *value, char why[128])
{
	struct settings_options *o = target;

	return add_network(o->allow, &o->n_allow, value, why);
}

static int parse_deny(void *target, const struct opt *opt, const char *value, char why[128])
{
	struct settings_options *o = target;

	return add_network(o->deny, &o->n_deny, value, why);
}

static bool name_known(const struct settings_options *o, struct span name)
{
	for (size_t i = 0; i < o->n_users; i++)
		if (span_equal(span_str(o->users[i].name), name))
			return true;
	return false;
}

int settings_add_user(struct settings_options *o, const char *value, char why[128])
{
	size_t len = strcspn(value, ":");
	struct settings_user *users;

	if (value[len] != ':' || len == 0 || !value[len + 1]) {
		snprintf(why, 128, "is not NAME:PASSWORD");
		return FL_EMALFORMED;
	}
	if (len > TURN_AUTH_USER_MAX || !text_utf8_valid(span_str(value))) {
		snprintf(why, 128, "has a name longer than %d bytes, or is not UTF-8",
			 TURN_AUTH_USER_MAX);
		return FL_EMALFORMED;
	}
	if (name_known(o, span_of(value, len))) {
		snprintf(why, 128, "has the name of a user who is there already");
		return -EEXIST;
	}
	if (o->n_users == TURN_AUTH_USERS_MAX) {
		snprintf(why, 128, "is one user more than the %d that are possible",
			 TURN_AUTH_USERS_MAX);
		return FL_EQUOTA;
	}
	users = realloc(o->users, (o->n_users + 1) * sizeof(*users));
	if (!users)
		return -ENOMEM;
	o->users = users;
	users[o->n_users] = (struct settings_user){ strndup(value, len), strdup(value + len + 1) };
	return users[o->n_users].name && users[o->n_users++].password ? 0 : -ENOMEM;
}

static int parse_user(void *target, const struct opt *opt, const char *value, char why[128])
{
	return settings_add_user(target, value, why);
}

int settings_add_secret(struct settings_options *o, const char *value, char why[128])
{
	if (!*value) {
		snprintf(why, 128, "is empty");
		return FL_EMALFORMED;
	}
	if (o->n_secrets == TURN_AUTH_SECRETS_MAX) {
		snprintf(why, 128, "is the third secret; two at most, the new one and the old one");
		return FL_EQUOTA;
	}
	o->secrets[o->n_secrets] = strdup(value);
	return o->secrets[o->n_secrets++] ? 0 : -ENOMEM;
}

static int parse_secret(void *target, const struct opt *opt, const char *value, char why[128])
{
	return settings_add_secret(target, value, why);
}

static int parse_metrics(void *target, const struct opt *opt, const char *value, char why[128])
{
	struct settings_options *o = target;

	if (addr_parse(value, &o->metrics) == 0)
		return 0;
	snprintf(why, 128, "is not ADDRESS:PORT, such as 127.0.0.1:9641");
	return FL_EMALFORMED;
}

/* Up to three digits behind the point, then k, M or G; in thousandths. */
static bool parse_scaled(const char *text, const char **end, uint64_t *thousandths)
{
	uint64_t v = 0, scale = 1000;

	if (!isdigit((unsigned char)*text))
		return false;
	for (; isdigit((unsigned char)*text); text++) {
		v = v * 10 + (uint64_t)(*text - '0');
		if (v > RATE_MAX)
			return false;
	}
	v *= 1000;
	if (*text == '.') {
		text++;
		if (!isdigit((unsigned char)*text))
			return false;
		for (; isdigit((unsigned char)*text) && scale > 1; text++) {
			scale /= 10;
			v += scale * (uint64_t)(*text - '0');
		}
	}
	scale = *text == 'k' || *text == 'K' ? 1000
		: *text == 'M'		     ? 1000000
		: *text == 'G'		     ? 1000000000
					     : 1;
	if (scale > 1)
		text++;
	if (v / 1000 > RATE_MAX / scale)
		return false;
	*thousandths = v * scale;
	*end = text;
	return true;
}

int settings_parse_rate(const char *text, uint64_t *bytes_per_s, char why[128])
{
	const char *end;
	uint64_t v;

	if (parse_scaled(text, &end, &v) &&
	    (!*end || strcmp(end, "bit") == 0 || strcmp(end, "bit/s") == 0) &&
	    (v == 0 || v >= 8000)) {
		*bytes_per_s = v / 8000;
		return 0;
	}
	snprintf(why, 128,
		 "is not a number of bits a second such as 500k, 10M or 1.5G (0: no "
		 "limit)");
	return FL_EMALFORMED;
}

static int parse_rate(void *target, const struct opt *opt, const char *value, char why[128])
{
	return settings_parse_rate(value, (uint64_t *)(void *)((char *)target + opt->offset), why);
}

static int parse_packets(void *target, const struct opt *opt, const char *value, char why[128])
{
	const char *end;
	uint64_t v;

	if (!parse_scaled(value, &end, &v) || *end || v % 1000) {
		snprintf(why, 128,
			 "is not a number of packets a second such as 5000 or 5k (0: no "
			 "limit)");
		return FL_EMALFORMED;
	}
	*(uint64_t *)(void *)((char *)target + opt->offset) = v / 1000;
	return 0;
}

static int parse_allocations(void *target, const struct opt *opt, const char *value, char why[128])
{
	const char *end;
	uint64_t v;

	if (!parse_scaled(value, &end, &v) || *end || v % 1000 || v / 1000 > UINT32_MAX) {
		snprintf(why, 128,
			 "is not a number of allocations such as 10 or 50k (0: no limit)");
		return FL_EMALFORMED;
	}
	*(unsigned *)(void *)((char *)target + opt->offset) = (unsigned)(v / 1000);
	return 0;
}

/* ---- the table ---- */

const struct opt settings_table[] = {
	{ "config", 'c', OPT_STRING, FIELD(config), "FILE",
	  "Reads options from FILE: lines \"key = value\", the keys as below without dashes. The "
	  "command line stands over it.",
	  .cli_only = true, .group = "Configuration" },
	{ "check-config", 0, OPT_FLAG, FIELD(check_config),
	  .help = "Tells what is wrong with the options, or that nothing is, and ends.",
	  .cli_only = true },

	{ "listen", 'l', OPT_CUSTOM, 0, "[TRANSPORT:]ADDR:PORT",
	  "Where clients come in: udp:, tcp:, tls:, dtls: or wss: (TURN in WebSocket frames); "
	  "without a word udp. tcp+proxy:, tls+proxy: and wss+proxy: expect a PROXY protocol v2 "
	  "header from a load balancer first. May be repeated. Default: udp and tcp on port 3478 "
	  "of "
	  "all addresses, with a certificate tls and dtls on 5349, too.",
	  .parse = parse_listen, .group = "Listening" },
	{ "cert", 0, OPT_STRING, FIELD(cert), "FILE",
	  "Certificate chain (PEM) for tls, dtls and wss. Read again on SIGHUP and when it "
	  "changes." },
	{ "key", 0, OPT_STRING, FIELD(key), "FILE", "Private key (PEM) of --cert." },

	{ "relay-address", 'r', OPT_CUSTOM, 0, "ADDR",
	  "Where relayed packets leave and arrive; one IPv4 and one IPv6 address. PUBLIC=LOCAL "
	  "behind a 1:1 NAT. Default: a public address of this machine, else a private one; the "
	  "log says which.",
	  .parse = parse_relay_address, .group = "Relaying" },
	{ "min-port", 0, OPT_NUMBER, FIELD(port_first), "PORT",
	  "First port of relayed addresses; the firewall must let UDP in to them.", "49152",
	  .min = 1, .max = 65535 },
	{ "max-port", 0, OPT_NUMBER, FIELD(port_last), "PORT", "Last port of relayed addresses.",
	  "65535", .min = 1, .max = 65535 },
	{ "allow-peer", 0, OPT_CUSTOM, 0, "CIDR",
	  "Relays to this network although it is private, loopback, link-local or the relay's own. "
	  "May be repeated.",
	  .parse = parse_allow },
	{ "deny-peer", 0, OPT_CUSTOM, 0, "CIDR",
	  "Never relays to this network, whatever --allow-peer says. May be repeated.",
	  .parse = parse_deny },
	{ "tcp-relay", 0, OPT_FLAG, FIELD(tcp_relay), NULL,
	  "TCP connections to peers, too (RFC 6062).", "yes", .negatable = true },
	{ "mobility", 0, OPT_FLAG, FIELD(mobility), NULL,
	  "An allocation survives its client's change of address (RFC 8016).", "yes",
	  .negatable = true },
	{ "max-lifetime", 0, OPT_NUMBER, FIELD(lifetime_max_s), "SECONDS",
	  "Longest time an allocation lives without being refreshed.", "3600", .min = 10,
	  .max = 86400 },

	{ "realm", 0, OPT_STRING, FIELD(realm), "REALM",
	  "Told to clients that must authenticate; part of what static users' passwords are "
	  "hashed with.",
	  "fairlead", .group = "Who may relay (nobody without a secret or a user: STUN only)" },
	{ "secret-file", 0, OPT_LIST, FIELD(secret_files), "FILE",
	  "A secret a line, shared with the hub, which makes time-limited credentials from it. Two "
	  "at most, so that one can be replaced. May be repeated." },
	{ "user-file", 0, OPT_LIST, FIELD(user_files), "FILE",
	  "A user a line, NAME:PASSWORD, with # comments. May be repeated." },
	{ "secret", 0, OPT_CUSTOM, 0, "SECRET",
	  "A secret itself. Others on this machine may see it in the list of processes before it "
	  "is blotted out: better a file.",
	  .parse = parse_secret, .secret = true },
	{ "user", 0, OPT_CUSTOM, 0, "NAME:PASSWORD",
	  "A user. Better in a file, for the same reason. May be repeated.", .parse = parse_user,
	  .secret = true },

	{ "user-allocations", 0, OPT_CUSTOM, FIELD(per_user.allocations), "N",
	  "Allocations of one user at a time; more get 486.", "0", .parse = parse_allocations,
	  .group = "Quotas (0: no limit)" },
	{ "user-bandwidth", 0, OPT_CUSTOM, FIELD(per_user.bytes_per_s), "RATE",
	  "User data of one user, both directions together, in bits a second: 500k, 10M. What is "
	  "beyond is dropped.",
	  "0", .parse = parse_rate },
	{ "user-packets", 0, OPT_CUSTOM, FIELD(per_user.packets_per_s), "N",
	  "Relayed packets a second of one user.", "0", .parse = parse_packets },
	{ "total-allocations", 0, OPT_CUSTOM, FIELD(total.allocations), "N",
	  "Allocations of all at a time; more get 508.", "0", .parse = parse_allocations },
	{ "total-bandwidth", 0, OPT_CUSTOM, FIELD(total.bytes_per_s), "RATE",
	  "User data of all users together.", "0", .parse = parse_rate },
	{ "total-packets", 0, OPT_CUSTOM, FIELD(total.packets_per_s), "N",
	  "Relayed packets a second of all users together.", "0", .parse = parse_packets },

	{ "metrics", 0, OPT_CUSTOM, 0, "ADDR:PORT",
	  "Serves /metrics (Prometheus) and /health over HTTP there. Without a password: choose an "
	  "address that only your monitoring reaches.",
	  .parse = parse_metrics, .group = "Operation" },
	{ "drain-seconds", 0, OPT_NUMBER, FIELD(drain_s), "SECONDS",
	  "How long SIGTERM waits for allocations to end.", "30", .min = 0, .max = 86400 },
	{ "log", 0, OPT_CHOICE, FIELD(log_level), "LEVEL",
	  "Least level that is logged: debug, info, warn, error.", "info", .choices = log_levels },
	{ "software", 0, OPT_FLAG, FIELD(software), NULL,
	  "Tells authenticated clients name and version.", "no", .negatable = true },

	{ "threads", 0, OPT_NUMBER, FIELD(threads), "N",
	  "Workers, each with a CPU's worth of work; 0: one per CPU that we may use.", "0",
	  .min = 0, .max = TURN_WORKERS_MAX, .group = "Speed" },
	{ "busy-poll", 0, OPT_NUMBER, FIELD(busy_poll_us), "USEC",
	  "Looks for packets that long before it sleeps: less delay for more CPU.", "0", .min = 0,
	  .max = 1000000 },
	{ "xdp", 0, OPT_STRING, FIELD(xdp), "IFACE",
	  "Forwards ChannelData inside the kernel on this interface, or on several with commas "
	  "between them (needs CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON; docs/xdp.md); without them "
	  "the relay says so and works as usual." },

	{ .name = "help",
	  .letter = 'h',
	  .kind = OPT_FLAG,
	  .offset = FIELD(asked.help),
	  .help = "show this help",
	  .cli_only = true,
	  .group = "Information" },
	{ .name = "version",
	  .letter = 'V',
	  .kind = OPT_FLAG,
	  .offset = FIELD(asked.version),
	  .help = "show the version",
	  .cli_only = true },
	{ .name = "manual",
	  .kind = OPT_FLAG,
	  .offset = FIELD(asked.manual),
	  .help = "write the manual page (roff)",
	  .cli_only = true },
	{ .name = "completion",
	  .kind = OPT_FLAG,
	  .offset = FIELD(asked.completion),
	  .help = "write the completion for bash",
	  .cli_only = true },
	{ 0 },
};

const struct opt_program settings_program = {
	.name = "fairlead-relay",
	.summary = "STUN and TURN server",
	.usage = "fairlead-relay --secret-file FILE [--listen [TRANSPORT:]ADDR:PORT …] "
		 "[--relay-address ADDR …] [OPTIONS]\n       fairlead-relay --config FILE",
	.about =
		"Tells clients the address under which they are seen (STUN), and relays for those "
		"who authenticate (TURN) over UDP, TCP, TLS, DTLS and WebSocket. Keeps no state "
		"but their allocations.\n\n"
		"SIGHUP reads config, secrets, users and certificates again; a bad file changes "
		"nothing. SIGTERM drains: no new allocations, and the end when the last is gone or "
		"after --drain-seconds; a second SIGTERM, or SIGINT, ends at once.\n\n"
		"The exit status is 0 after a signal, 1 for a failure, 2 for a wrong option.",
	.options = settings_table,
};
