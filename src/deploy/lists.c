#include "deploy/lists.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/err.h"

const char *const list_format_names[] = { "text", "json", "csv", "nftables", "squid", "pac", NULL };

/* What stands in the list for a need: its host may be a wildcard. */
struct line {
	const struct need *need;
	char host[NEED_TEXT_MAX + 3];
};

struct lines {
	const struct needs *needs;
	struct line line[NEEDS_MAX];
	size_t n;
};

static bool stands_already(const struct lines *l, const struct line *line)
{
	for (size_t i = 0; i < l->n; i++) {
		const struct need *a = l->line[i].need, *b = line->need;

		if (a->kind != b->kind && line->host[0] != '*')
			continue;
		if (a->udp == b->udp && a->port_min == b->port_min && a->port_max == b->port_max &&
		    strcasecmp(l->line[i].host, line->host) == 0)
			return true;
	}
	return false;
}

static void choose(const struct needs *needs, const struct list_options *o, struct lines *l)
{
	l->needs = needs;
	l->n = 0;
	for (size_t i = 0; i < needs->n; i++) {
		const struct need *n = &needs->list[i];
		struct line *line = &l->line[l->n];

		if (!need_in_region(n, o->region ? o->region : "") ||
		    (n->weight == NEED_RESERVED && !o->reserved && !o->wildcard))
			continue;
		line->need = n;
		line->host[0] = 0;
		if (o->wildcard)
			need_wildcard(needs, n, line->host);
		if (!line->host[0])
			snprintf(line->host, sizeof(line->host), "%s", n->host);
		if (!stands_already(l, line))
			l->n++;
	}
}

static bool inside(const struct need *n)
{
	return n->kind == NEED_LOCAL || n->kind == NEED_MDNS;
}

/* ---- text ---- */

static const char *where(const struct line *line)
{
	if (line->host[0])
		return line->host;
	return line->need->kind == NEED_PEERS ? "any address"
	       : inside(line->need)	      ? "your own subnets"
					      : "-";
}

static int text_group(const struct lines *l, enum need_weight weight, const char *title,
		      struct buf *out)
{
	bool begun = false;
	char ports[16];
	int err = 0;

	for (size_t i = 0; i < l->n && err == 0; i++) {
		const struct need *n = l->line[i].need;

		if (n->weight != weight)
			continue;
		if (!begun)
			err = buf_printf(out, "\n%s\n", title);
		begun = true;
		need_ports(n, ports);
		if (err == 0)
			err = buf_printf(out, "  %-3s  %-11s  %-38s  %-13s %s%s\n",
					 n->udp ? "udp" : "tcp", ports, where(&l->line[i]),
					 need_application(n), n->region,
					 n->region[0] && n->function[0] ? " " : "");
		if (err == 0 && n->own_min)
			err = buf_printf(out, "       from the client's own ports %u-%u\n",
					 n->own_min, n->own_max);
		if (err == 0)
			err = buf_printf(out, "       %s%s%s\n", n->function,
					 n->function[0] ? ": " : "", need_purpose(n));
	}
	return err;
}

static int write_text(const struct lines *l, struct buf *out)
{
	int err = buf_printf(out,
			     "What %s needs of your network. All of it is opened from the "
			     "inside; answers come back.\n",
			     l->needs->base);

	if (err == 0)
		err = text_group(l, NEED_REQUIRED, "Required", out);
	if (err == 0)
		err = text_group(l, NEED_ONE_OF,
				 "One of these, for sessions that cannot go straight", out);
	if (err == 0)
		err = text_group(l, NEED_BETTER, "For shorter routes", out);
	return err ? err
		   : text_group(l, NEED_RESERVED, "Kept for later (same port and address)", out);
}

/* ---- JSON, CSV ---- */

static int write_json(const struct lines *l, struct buf *out)
{
	struct needs chosen = { 0 };
	FL_AUTOFREE char *text = NULL;
	json_t *json;
	int err = 0;

	memcpy(chosen.base, l->needs->base, sizeof(chosen.base));
	for (size_t i = 0; i < l->n; i++)
		chosen.list[chosen.n++] = *l->line[i].need;
	json = needs_to_json(&chosen);
	for (size_t i = 0; i < l->n && json; i++)
		err |= json_object_set_new(json_array_get(json_object_get(json, "needs"), i),
					   "host", json_string(l->line[i].host));
	text = json && !err ? json_dumps(json, JSON_INDENT(2)) : NULL;
	json_decref(json);
	return text ? buf_printf(out, "%s\n", text) : -ENOMEM;
}

static int write_csv(const struct lines *l, struct buf *out)
{
	char ports[16], methods[8];
	int err = buf_printf(out,
			     "need,protocol,host,ports,own ports,direction,application,methods,"
			     "region,function,from,purpose\r\n");

	for (size_t i = 0; i < l->n && err == 0; i++) {
		const struct need *n = l->line[i].need;
		char own[16] = "any", *m = methods;

		need_ports(n, ports);
		if (n->own_min)
			snprintf(own, sizeof(own), "%u-%u", n->own_min, n->own_max);
		for (int method = 1; method <= 3; method++)
			if (need_methods(n) & 1U << method)
				*m++ = (char)('0' + method);
		*m = 0;
		err = buf_printf(out, "%s,%s,%s,%s,%s,%s,\"%s\",%s,%s,%s,%s%s%s,\"%s\"\r\n",
				 need_weight_name(n->weight), n->udp ? "udp" : "tcp",
				 l->line[i].host[0] ? l->line[i].host : "any", ports, own,
				 inside(n) ? "inside" : "out", need_application(n), methods,
				 n->region, n->function, n->client ? "client" : "",
				 n->client && n->console ? "+" : "", n->console ? "console" : "",
				 need_purpose(n));
	}
	return err;
}

/* ---- nftables ---- */

static int nft_ports(const struct need *n, struct buf *out)
{
	char ports[16];
	int err = 0;

	need_ports(n, ports);
	if (n->own_min)
		err = buf_printf(out, "%s sport %u-%u ", n->udp ? "udp" : "tcp", n->own_min,
				 n->own_max);
	if (err == 0 && strcmp(ports, "any") != 0)
		return buf_printf(out, "%s dport %s ", n->udp ? "udp" : "tcp", ports);
	return err ? err : n->own_min ? 0 : buf_printf(out, "meta l4proto udp ");
}

/* A rule's comment is the need's id, so each can be found again (nftables takes 128 bytes). A rule
 * that stands there already, because one port serves two needs, is not written twice. */
static int nft_accept(const struct need *need, struct buf *rule, struct buf *out)
{
	struct span all = buf_span(out), mine;
	char id[NEED_TEXT_MAX + 32];
	int err = nft_ports(need, rule);

	mine = buf_span(rule);
	if (err || memmem(all.ptr, all.len, mine.ptr, mine.len))
		return err;
	need_id(need, id);
	err = buf_append_span(out, mine);
	return err ? err : buf_printf(out, "accept comment \"%.120s\"\n", id);
}

static int nft_rule(const struct need *need, enum addr_family family, const struct addr *list,
		    size_t n_list, struct buf *out)
{
	struct buf rule = BUF_INIT(LISTS_MAX);
	char ip[ADDR_TEXT_MAX];
	size_t n = 0;
	int err = 0;

	for (size_t i = 0; i < n_list && err == 0; i++) {
		if (list[i].family != family)
			continue;
		err = buf_printf(&rule,
				 n++		     ? ", %s"
				 : family == ADDR_V4 ? "\t\tip daddr { %s"
						     : "\t\tip6 daddr { %s",
				 addr_format_ip(&list[i], ip));
	}
	if (n && err == 0)
		err = buf_printf(&rule, " } ");
	if (n && err == 0)
		err = nft_accept(need, &rule, out);
	buf_finish(&rule);
	return err;
}

static int nft_anywhere(const struct need *need, struct buf *out)
{
	struct buf rule = BUF_INIT(LISTS_MAX);
	int err = buf_printf(&rule, "\t\t");

	if (err == 0)
		err = nft_accept(need, &rule, out);
	buf_finish(&rule);
	return err;
}

static int nft_line(const struct line *line, const struct list_options *o, struct buf *out,
		    char unresolved[NEED_TEXT_MAX + 1])
{
	struct addr list[LISTS_ADDRS_MAX];
	size_t n;
	int err;

	if (inside(line->need))
		return 0;
	if (!line->host[0])
		return nft_anywhere(line->need, out);
	n = o->resolve ? o->resolve(o->arg, line->host, list, ARRAY_LEN(list)) : 0;
	if (n == 0) {
		snprintf(unresolved, NEED_TEXT_MAX + 1, "%s", line->need->host);
		return -ENOENT;
	}
	err = nft_rule(line->need, ADDR_V4, list, n, out);
	return err ? err : nft_rule(line->need, ADDR_V6, list, n, out);
}

static int write_nftables(const struct lines *l, const struct list_options *o, struct buf *out,
			  char unresolved[NEED_TEXT_MAX + 1])
{
	int err = buf_printf(out,
			     "# What %s needs. Jump to this chain from the one that filters what\n"
			     "# leaves: nft add rule inet filter forward jump fairlead_out\n"
			     "# Names were resolved when this was written; write it anew when they "
			     "move.\n"
			     "table inet filter {\n\tchain fairlead_out {\n",
			     l->needs->base);

	for (size_t i = 0; i < l->n && err == 0; i++)
		err = nft_line(&l->line[i], o, out, unresolved);
	return err ? err : buf_printf(out, "\t}\n}\n");
}

/* ---- squid, PAC ---- */

/* What a proxy can pass on: TCP to a host. */
static bool for_proxy(const struct line *line)
{
	return !line->need->udp && line->host[0];
}

/* The same name stands in an earlier line, at that port or at any; "*.example.org" counts for
 * example.org, because squid takes the one with the other only once. */
static bool said_before(const struct lines *l, size_t at, bool same_port)
{
	const struct line *line = &l->line[at];

	for (size_t i = 0; i < l->n; i++) {
		const struct line *other = &l->line[i];

		if (i == at || !for_proxy(other) ||
		    (same_port && other->need->port_min != line->need->port_min))
			continue;
		if (i < at && strcasecmp(other->host, line->host) == 0)
			return true;
		if (other->host[0] == '*' && strcasecmp(other->host + 2, line->host) == 0)
			return true;
	}
	return false;
}

static bool first_with_port(const struct lines *l, size_t at)
{
	for (size_t i = 0; i < at; i++)
		if (for_proxy(&l->line[i]) &&
		    l->line[i].need->port_min == l->line[at].need->port_min &&
		    l->line[i].need->port_max == l->line[at].need->port_max)
			return false;
	return true;
}

/* squid writes ".example.org" for a name and all below it. */
static const char *squid_host(const struct line *line)
{
	return line->host[0] == '*' ? line->host + 1 : line->host;
}

static int squid_port(const struct lines *l, size_t at, struct buf *out)
{
	uint16_t low = l->line[at].need->port_min, high = l->line[at].need->port_max;
	int err = buf_printf(out, "acl fairlead_port_%u port %u", low, low);

	if (err == 0 && high != low)
		err = buf_printf(out, "-%u", high);
	if (err == 0)
		err = buf_printf(out, "\n");
	for (size_t i = at; i < l->n && err == 0; i++)
		if (for_proxy(&l->line[i]) && l->line[i].need->port_min == low &&
		    l->line[i].need->port_max == high && !said_before(l, i, true))
			err = buf_printf(out, "acl fairlead_to_%u dstdomain %s\n", low,
					 squid_host(&l->line[i]));
	return err ? err
		   : buf_printf(out, "http_access allow CONNECT fairlead_to_%u fairlead_port_%u\n",
				low, low);
}

static int write_squid(const struct lines *l, struct buf *out)
{
	int err = buf_printf(out,
			     "# What %s needs of a squid: put it before your own http_access "
			     "lines.\n# The last lines keep it out of TLS inspection; they "
			     "mean nothing without ssl_bump.\n",
			     l->needs->base);

	for (size_t i = 0; i < l->n && err == 0; i++)
		if (for_proxy(&l->line[i]) && first_with_port(l, i))
			err = squid_port(l, i, out);
	for (size_t i = 0; i < l->n && err == 0; i++)
		if (for_proxy(&l->line[i]) && !said_before(l, i, false))
			err = buf_printf(out, "acl fairlead_names ssl::server_name %s\n",
					 squid_host(&l->line[i]));
	return err ? err : buf_printf(out, "ssl_bump splice fairlead_names\n");
}

static int write_pac(const struct lines *l, struct buf *out)
{
	int err = buf_printf(out,
			     "// What %s needs goes past the proxy. Put your own answer in "
			     "the last line.\nfunction FindProxyForURL(url, host) {\n",
			     l->needs->base);

	for (size_t i = 0; i < l->n && err == 0; i++) {
		const struct line *line = &l->line[i];

		if (!for_proxy(line))
			continue;
		if (line->host[0] == '*')
			err = buf_printf(out,
					 "\tif (shExpMatch(host, \"%s\")) return \"DIRECT\";\n",
					 line->host);
		else
			err = buf_printf(out, "\tif (host == \"%s\") return \"DIRECT\";\n",
					 line->host);
	}
	return err ? err : buf_printf(out, "\treturn \"PROXY proxy.example:3128; DIRECT\";\n}\n");
}

int list_write(const struct needs *needs, const struct list_options *options, struct buf *out,
	       char unresolved[NEED_TEXT_MAX + 1])
{
	FL_AUTOFREE struct lines *l = calloc(1, sizeof(*l));

	unresolved[0] = 0;
	if (!l)
		return -ENOMEM;
	choose(needs, options, l);
	switch (options->format) {
	case LIST_TEXT:
		return write_text(l, out);
	case LIST_JSON:
		return write_json(l, out);
	case LIST_CSV:
		return write_csv(l, out);
	case LIST_NFTABLES:
		return options->wildcard ? FL_EUNSUPPORTED
					 : write_nftables(l, options, out, unresolved);
	case LIST_SQUID:
		return write_squid(l, out);
	case LIST_PAC:
		return write_pac(l, out);
	}
	return FL_EUNSUPPORTED;
}
