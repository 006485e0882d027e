#include "hub/config.h"

#include <ctype.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "hub/api/network.h"
#include "hub/realtime/ice_servers.h"

static const char *const log_levels[] = { "debug", "info", "warn", "error", NULL };

#define FIELD(f) offsetof(struct hub_config, f)

static const struct opt options[] = {
	{ "config", 'c', OPT_STRING, FIELD(config_file), "FILE",
	  "Read options from FILE: lines \"key = value\", keys as below without dashes",
	  .cli_only = true },
	{ "data", 'd', OPT_STRING, FIELD(data), "DIR",
	  "Folder for the database, keys and certificates", "/var/lib/fairlead/hub" },
	{ "port", 'p', OPT_PORT, FIELD(port), "PORT",
	  "The one port of the hub; 0 lets the kernel choose (the ready line tells)", "8443" },
	{ "listen", 'l', OPT_LIST, FIELD(listen), "ADDR[:PORT]",
	  "Listen only on this address; may be repeated (default: every address)" },
	{ "name", 'n', OPT_LIST, FIELD(names), "NAME",
	  "Name under which people and devices reach the hub; may be repeated, the first is used "
	  "in links" },
	{ "certificate", 0, OPT_STRING, FIELD(certificate), "FILE",
	  "TLS certificate chain in PEM, read again when it changes (default: from a local CA)" },
	{ "key", 0, OPT_STRING, FIELD(key), "FILE", "Private key of --certificate in PEM" },
	{ "console", 0, OPT_STRING, FIELD(console), "DIR",
	  "Folder with the console's files (default: where they were installed or built)" },
	{ "stun", 0, OPT_LIST, FIELD(stun), "HOST:PORT",
	  "STUN server for consoles and devices; without HOST the hub's own name; may be "
	  "repeated" },
	{ "turn", 0, OPT_LIST, FIELD(turn), "URL",
	  "Relay for consoles and devices, such as turn:relay.example:3478?transport=udp; without "
	  "a "
	  "host (turn::3478) the hub's own name; may be repeated" },
	{ "turn-secret-file", 0, OPT_STRING, FIELD(turn_secret_file), "FILE",
	  "The secret that the relay has too (its --secret-file), for --turn; read at the start "
	  "and "
	  "on SIGHUP" },
	{ "relay-stream", 0, OPT_STRING, FIELD(relay_stream), "ADDR:PORT",
	  "Relay on the hub's own port: TURN that comes there, as TLS with ALPN stun.turn or as a "
	  "WebSocket on /turn, goes on to the relay that listens at ADDR:PORT (its --listen "
	  "tcp+proxy:ADDR:PORT). Consoles and devices are told of it; needs --turn-secret-file" },
	{ "store", 0, OPT_LIST, FIELD(stores), "REGION/STORE=URL",
	  "Where a region's store lies when that is not the hub, such as "
	  "eu/log-captures=https://captures.example/; may be repeated. Stores: log-captures, "
	  "log-rulesets, modules, portal-modules, notifications, service-desk" },
	{ "metrics", 0, OPT_STRING, FIELD(metrics), "ADDR:PORT",
	  "Serves /metrics (Prometheus) and /health over HTTP there. Without a password: choose an "
	  "address that only your monitoring reaches" },
	{ "sign-in-link", 0, OPT_FLAG, FIELD(sign_in_link),
	  .help = "Print a one-time link for the first account at this start too",
	  .cli_only = true },
	{ "log", 0, OPT_CHOICE, FIELD(log_level), "LEVEL", "Least level that is logged", "info",
	  .choices = log_levels },
	OPT_ASKED(FIELD(asked)),
	{ 0 },
};

const struct opt_program hub_program = {
	.name = "fairlead-hub",
	.summary = "the back end of Fairlead: console, API, realtime connections, identity, store",
	.usage = "fairlead-hub --config FILE | OPTIONS",
	.about = "On its first start the hub makes a key, a local certificate authority, the "
		 "account \"admin\" and an API key (DIR/admin.token), and prints a one-time link "
		 "to sign in with. When it can be reached it prints \"ready URL\".\n\n"
		 "SIGTERM and SIGINT end it in good order, SIGHUP reads certificates and console "
		 "files again.",
	.options = options,
};

static int fail(struct opt_error *error, const char *fmt, const char *a)
{
	snprintf(error->text, sizeof(error->text), fmt, a);
	return -EINVAL;
}

/* With room for the label of a function in front of it. */
bool hub_config_name_valid(const char *text)
{
	return strlen(text) <= 200 && need_name_valid(text);
}

bool hub_config_stun_valid(const char *text)
{
	const char *colon = strrchr(text, ':');
	char host[256], *end;
	struct addr a;
	long port;

	if (!colon || !isdigit((unsigned char)colon[1]))
		return false;
	port = strtol(colon + 1, &end, 10);
	if (*end || port < 1 || port > UINT16_MAX)
		return false;
	if (colon == text || addr_parse(text, &a) == 0)
		return true;
	if ((size_t)(colon - text) >= sizeof(host))
		return false;
	memcpy(host, text, (size_t)(colon - text));
	host[colon - text] = 0;
	return hub_config_name_valid(host);
}

static int check_listen(struct hub_config *c, struct opt_error *error)
{
	if (c->listen.count > CONFIG_LISTEN_MAX)
		return fail(error, "--listen: more than %s addresses", "8");
	for (size_t i = 0; i < c->listen.count; i++) {
		const char *text = c->listen.items[i];
		struct addr *a = &c->listen_addrs[i];
		char plain[64];
		size_t len = strlen(text);

		if (len > 2 && len < sizeof(plain) && text[0] == '[' && text[len - 1] == ']') {
			memcpy(plain, text + 1, len - 2);
			plain[len - 2] = 0;
			text = plain;
		}
		if (addr_parse_ip(text, a) == 0)
			a->port = c->port;
		else if (addr_parse(text, a) < 0)
			return fail(error,
				    "--listen: \"%s\" is not an address such as 192.0.2.1, "
				    "192.0.2.1:8443 or [2001:db8::1]:8443",
				    c->listen.items[i]);
		c->n_listen = i + 1;
	}
	if (c->n_listen)
		return 0;
	c->listen_all = true;
	c->n_listen = 2;
	c->listen_addrs[0] = (struct addr){ .family = ADDR_V4, .port = c->port };
	c->listen_addrs[1] = (struct addr){ .family = ADDR_V6, .port = c->port };
	return 0;
}

static int check(struct hub_config *c, struct opt_error *error)
{
	for (size_t i = 0; i < c->names.count; i++)
		if (!hub_config_name_valid(c->names.items[i]))
			return fail(error, "--name: \"%s\" is not a host name", c->names.items[i]);
	for (size_t i = 0; i < c->stun.count; i++)
		if (!hub_config_stun_valid(c->stun.items[i]))
			return fail(error, "--stun: \"%s\" is not HOST:PORT", c->stun.items[i]);
	for (size_t i = 0; i < c->turn.count; i++)
		if (!ice_servers_turn_valid(c->turn.items[i]))
			return fail(error,
				    "--turn: \"%s\" is not turn:HOST:PORT?transport=udp|tcp or "
				    "turns:HOST:PORT?transport=tcp|wss",
				    c->turn.items[i]);
	for (size_t i = 0; i < c->stores.count; i++)
		if (!network_store_valid(c->stores.items[i]))
			return fail(error,
				    "--store: \"%s\" is not REGION/STORE=https://HOST/ with one "
				    "of the six stores",
				    c->stores.items[i]);
	if (c->stores.count > CONFIG_STORES_MAX)
		return fail(error, "--store: more than %s", "60");
	if (c->relay_stream &&
	    (addr_parse(c->relay_stream, &c->relay_addr) < 0 || c->relay_addr.port == 0))
		return fail(error,
			    "--relay-stream: \"%s\" is not ADDR:PORT, such as 127.0.0.1:3479",
			    c->relay_stream);
	if (!(c->turn.count || c->relay_stream) != !c->turn_secret_file)
		return fail(error,
			    "--turn or --relay-stream and --turn-secret-file belong together; "
			    "--%s is missing",
			    c->turn.count || c->relay_stream ? "turn-secret-file" : "turn");
	if (c->metrics && addr_parse(c->metrics, &c->metrics_addr) < 0)
		return fail(error, "--metrics: \"%s\" is not ADDR:PORT, such as 127.0.0.1:9642",
			    c->metrics);
	if (!c->certificate != !c->key)
		return fail(error, "--certificate and --key belong together; --%s is missing",
			    c->key ? "certificate" : "key");
	return check_listen(c, error);
}

/* Lists are not replaced by a later source but added to, so the file's go first only when the
 * command line has none. */
static void prefer(struct opt_list *mine, struct opt_list *from_file)
{
	struct opt_list spare = *mine;

	if (from_file->count == 0 || mine->count)
		return;
	*mine = *from_file;
	*from_file = spare;
}

static int load_file(struct hub_config *c, int argc, char **argv, struct opt_error *error)
{
	struct hub_config file = { 0 };
	int err = opt_defaults(options, &file), first;

	if (err == 0)
		err = opt_parse_file(options, &file, c->config_file, error);
	if (err == 0) {
		/* the command line once more, over what the file said */
		struct hub_config lists = file;

		memset(&file.listen, 0, sizeof(file.listen));
		memset(&file.names, 0, sizeof(file.names));
		memset(&file.stun, 0, sizeof(file.stun));
		memset(&file.turn, 0, sizeof(file.turn));
		memset(&file.stores, 0, sizeof(file.stores));
		err = opt_parse_args(options, &file, argc, argv, false, &first, error);
		prefer(&file.listen, &lists.listen);
		prefer(&file.names, &lists.names);
		prefer(&file.stun, &lists.stun);
		prefer(&file.turn, &lists.turn);
		prefer(&file.stores, &lists.stores);
		/* what the command line replaced */
		lists = (struct hub_config){ .listen = lists.listen,
					     .names = lists.names,
					     .stun = lists.stun,
					     .turn = lists.turn,
					     .stores = lists.stores };
		opt_finish(options, &lists);
	}
	opt_finish(options, c);
	*c = file;
	return err;
}

int hub_config_load(struct hub_config *c, int argc, char **argv, struct opt_error *error)
{
	int err = opt_defaults(options, c), first = argc;

	if (err < 0)
		return fail(error, "%s", "out of memory");
	err = opt_parse_args(options, c, argc, argv, false, &first, error);
	if (err < 0 || opt_is_asked(&c->asked))
		return err;
	if (first < argc)
		return fail(error, "\"%s\" is not an option; see fairlead-hub --help", argv[first]);
	if (c->config_file)
		err = load_file(c, argc, argv, error);
	return err < 0 ? err : check(c, error);
}

void hub_config_finish(struct hub_config *c)
{
	opt_finish(options, c);
}
