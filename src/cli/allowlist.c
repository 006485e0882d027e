/* fairlead allowlist */
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/text.h"
#include "cli/cli.h"
#include "deploy/lists.h"
#include "deploy/verify.h"

struct options {
	struct cli_common common; /* first */
	int format;
	char *region, *network, *verify;
	bool wildcard, all;
};

#define FIELD(f) offsetof(struct options, f)

static const struct opt table[] = {
	CLI_COMMON_OPTIONS,
	{ "format", 'f', OPT_CHOICE, FIELD(format), "FORM",
	  "text, json, csv, nftables, squid or pac", "text", .choices = list_format_names },
	{ "region", 0, OPT_STRING, FIELD(region), "NAME",
	  "only what concerns this region, such as eu; otherwise all" },
	{ "wildcard", 'w', OPT_FLAG, FIELD(wildcard),
	  .help = "write *.NAME for the names one label below the hub's" },
	{ "all", 'a', OPT_FLAG, FIELD(all),
	  .help = "with the names that are kept for later, when the hub's parts run apart" },
	{ "network", 0, OPT_STRING, FIELD(network), "FILE",
	  "read the hub's network.json from FILE instead of asking the hub" },
	{ "verify", 0, OPT_STRING, FIELD(verify), "FILE",
	  "compare FILE, a list that exists, with what is needed; exit 1 when something is "
	  "missing" },
	CLI_HELP_OPTIONS,
	{ NULL },
};

static const struct opt_program program = {
	.name = "fairlead allowlist",
	.summary = "list what a firewall or filter has to let pass for this hub",
	.usage = "fairlead allowlist [--format FORM] [--region NAME] [--verify FILE]",
	.about =
		"The list comes from the hub's own configuration (https://HUB/network.json), so it "
		"is complete and current, and it needs no account. nftables resolves the names "
		"when the list is written.\n\n"
		"--verify reads the forms that --format writes, and plain lines such as "
		"\"hub.example.org 443\", \"udp relay.example.org 3478\", \"*.example.org\".",
	.options = table,
};

/* ---- the hub's list ---- */

static json_t *ask_hub(const struct options *o, int *status)
{
	struct target target;
	struct loop *loop = NULL;
	json_t *body = NULL;
	char why[512];

	*status = target_open_public(&o->common, &target);
	if (*status)
		return NULL;
	if (loop_create(&loop) == 0)
		body = target_request(loop, &target, "GET", "/network.json", NULL, why);
	if (!body) {
		cli_say("%s", loop ? why : "out of memory.");
		*status = CLI_FAILURE;
	}
	target_close(&target);
	loop_destroy(loop);
	return body;
}

static int load(const struct options *o, struct needs *needs)
{
	int status = 0;
	json_error_t error;
	char why[160];
	json_t *json = o->network ? json_load_file(o->network, JSON_REJECT_DUPLICATES, &error)
				  : ask_hub(o, &status);

	if (!json && o->network)
		cli_say("%s cannot be read: %s.", o->network, error.text);
	if (!json)
		return status ? status : CLI_FAILURE;
	if (needs_from_json(json, needs, why) < 0) {
		cli_say("%s: %s.", o->network ? o->network : "the hub's network.json", why);
		status = CLI_FAILURE;
	}
	json_decref(json);
	return status;
}

/* ---- names ---- */

static size_t resolve(void *arg, const char *host, struct addr *out, size_t cap)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *list = NULL;
	size_t n = 0;

	if (getaddrinfo(host, NULL, &hints, &list) != 0)
		return 0;
	for (struct addrinfo *i = list; i && n < cap; i = i->ai_next)
		if (addr_from_sockaddr(i->ai_addr, i->ai_addrlen, &out[n]) == 0)
			n++;
	freeaddrinfo(list);
	return n;
}

static int print_list(const struct options *o, const struct needs *needs)
{
	struct buf out = BUF_INIT(LISTS_MAX);
	char unresolved[NEED_TEXT_MAX + 1];
	struct list_options options = {
		.format = o->common.json ? LIST_JSON : (enum list_format)o->format,
		.region = o->region,
		.wildcard = o->wildcard,
		.reserved = o->all,
		.resolve = resolve,
	};
	int err = list_write(needs, &options, &out, unresolved);

	if (err == -ENOENT)
		cli_say("%s does not resolve, so a list of addresses would lack it. Is the name "
			"server reachable from here?",
			unresolved);
	else if (err == FL_EUNSUPPORTED)
		cli_say("nftables filters by address: --wildcard has no meaning there.");
	else if (err < 0)
		cli_say("out of memory.");
	else
		fwrite(buf_span(&out).ptr, 1, out.len, stdout);
	buf_finish(&out);
	return err == 0 ? 0 : err == FL_EUNSUPPORTED ? CLI_USAGE : CLI_FAILURE;
}

/* ---- comparing ---- */

static bool read_file(const char *path, struct buf *out)
{
	FILE *f = fopen(path, "re");
	uint8_t *at;
	size_t n = 0;

	if (!f)
		return false;
	while ((at = buf_reserve(out, 65536)) && (n = fread(at, 1, 65536, f)) > 0)
		buf_commit(out, n);
	bool good = at && !ferror(f);
	(void)fclose(f);
	if (!at)
		errno = EFBIG;
	return good;
}

static int read_list(const char *path, struct verify *v)
{
	struct buf text = BUF_INIT(VERIFY_FILE_MAX + 65536);
	int err = -EIO;

	if (!read_file(path, &text))
		cli_say("%s cannot be read: %s.", path, strerror(errno));
	else if ((err = verify_read(buf_span(&text), v)) == FL_EMALFORMED)
		cli_say("%s:%u: \"%s\" is not understood. A line is \"[udp|tcp] NAME [PORTS]\".",
			path, v->bad_line, v->bad);
	else if (err < 0)
		cli_say("%s is too large: at most %d entries and 1 MiB.", path, VERIFY_ENTRIES_MAX);
	buf_finish(&text);
	return err;
}

struct result {
	const struct need *missing[NEEDS_MAX];
	size_t n_missing, n_covered;
};

/* Names need looking up only for a list that has addresses. */
static bool has_addresses(const struct verify *v)
{
	char ip[NEED_TEXT_MAX + 1];
	struct addr a;

	for (size_t i = 0; i < v->n; i++) {
		snprintf(ip, sizeof(ip), "%.*s", (int)strcspn(v->list[i].host, "/"),
			 v->list[i].host);
		if (addr_parse_ip(ip, &a) == 0)
			return true;
	}
	return false;
}

static void compare(const struct options *o, const struct needs *needs, struct verify *v,
		    struct result *r)
{
	struct addr addrs[LISTS_ADDRS_MAX];
	bool addresses = has_addresses(v);

	for (size_t i = 0; i < needs->n; i++) {
		const struct need *n = &needs->list[i];
		size_t n_addrs = 0;

		if (n->kind == NEED_LOCAL || n->kind == NEED_MDNS ||
		    !need_in_region(n, o->region ? o->region : ""))
			continue;
		if (addresses && n->host[0])
			n_addrs = resolve(NULL, n->host, addrs, ARRAY_LEN(addrs));
		if (verify_covers(v, n, addrs, n_addrs))
			r->n_covered++;
		else if (n->weight != NEED_RESERVED)
			r->missing[r->n_missing++] = n;
	}
}

static json_t *entry_json(const struct verify_entry *e)
{
	return json_pack("{s:i, s:s, s:i, s:i}", "line", (int)e->line, "host", e->host, "portMin",
			 e->port_min, "portMax", e->port_max);
}

static json_t *result_json(const struct result *r, const struct verify *v)
{
	json_t *missing = json_array(), *excess = json_array();
	char id[NEED_TEXT_MAX + 32], ports[16];

	for (size_t i = 0; i < r->n_missing; i++) {
		const struct need *n = r->missing[i];

		need_id(n, id);
		need_ports(n, ports);
		json_array_append_new(missing,
				      json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "id", id, "need",
						need_weight_name(n->weight), "protocol",
						n->udp ? "udp" : "tcp", "host", n->host, "ports",
						ports, "purpose", need_purpose(n)));
	}
	for (size_t i = 0; i < v->n; i++)
		if (!v->list[i].used)
			json_array_append_new(excess, entry_json(&v->list[i]));
	return json_pack("{s:b, s:o, s:o}", "ok", r->n_missing == 0, "missing", missing, "excess",
			 excess);
}

static void print_result(const struct result *r, const struct verify *v, const char *path)
{
	const char *red = cli_colour() ? "\x1b[31m" : "", *yellow = cli_colour() ? "\x1b[33m" : "";
	const char *off = cli_colour() ? "\x1b[0m" : "";
	char ports[16], shown[NEED_TEXT_MAX * 2];
	size_t excess = 0;

	for (size_t i = 0; i < r->n_missing; i++) {
		const struct need *n = r->missing[i];

		need_ports(n, ports);
		printf("%smissing%s  %s %s to %s (%s)\n         %s\n", red, off,
		       n->udp ? "udp" : "tcp", ports, n->host[0] ? n->host : "any address",
		       need_weight_name(n->weight), need_purpose(n));
	}
	for (size_t i = 0; i < v->n; i++) {
		const struct verify_entry *e = &v->list[i];

		if (e->used)
			continue;
		excess++;
		printf("%stoo much%s %s:%u: %s is not needed by this deployment\n", yellow, off,
		       path, e->line, text_printable(shown, sizeof(shown), span_str(e->host)));
	}
	printf("%zu of %zu needs are covered, %zu entries are too much.\n", r->n_covered,
	       r->n_covered + r->n_missing, excess);
}

static int verify(const struct options *o, const struct needs *needs)
{
	FL_AUTOFREE struct verify *v = calloc(1, sizeof(*v));
	struct result r = { .n_missing = 0 };

	if (!v || read_list(o->verify, v) < 0)
		return CLI_FAILURE;
	compare(o, needs, v, &r);
	if (o->common.json) {
		json_t *json = result_json(&r, v);

		json_dumpf(json, stdout, JSON_INDENT(2));
		putchar('\n');
		json_decref(json);
	} else {
		print_result(&r, v, o->verify);
	}
	return r.n_missing ? CLI_FAILURE : 0;
}

static int run(int argc, char **argv)
{
	FL_AUTOFREE struct needs *needs = calloc(1, sizeof(*needs));
	struct options o = { .region = NULL };
	int first;
	int status = cli_parse(&program, &o, &o.common, argc, argv, false, &first);

	if (status < 0 && first < argc) {
		cli_say("allowlist takes no argument. Try fairlead allowlist --help.");
		status = CLI_USAGE;
	}
	if (status < 0 && !needs) {
		cli_say("out of memory.");
		status = CLI_FAILURE;
	}
	if (status < 0) {
		status = load(&o, needs);
		if (status == 0)
			status = o.verify ? verify(&o, needs) : print_list(&o, needs);
	}
	opt_finish(table, &o);
	return status;
}

const struct cli_command cli_allowlist = { "allowlist", &program, run };
