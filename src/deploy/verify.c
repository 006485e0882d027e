#include "deploy/verify.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/err.h"
#include "base/text.h"

#define LINE_MAX_BYTES 4096
#define WORDS_MAX 64

static int note(struct verify *v, unsigned line, const char *what)
{
	v->bad_line = line;
	text_printable(v->bad, sizeof(v->bad), span_str(what));
	return FL_EMALFORMED;
}

static bool take_port(const char *text, char **end, uint16_t *out)
{
	unsigned long port;

	if (!isdigit((unsigned char)*text))
		return false;
	port = strtoul(text, end, 10);
	*out = (uint16_t)port;
	return port >= 1 && port <= UINT16_MAX;
}

static bool is_any(const char *word)
{
	return strcmp(word, "*") == 0 || strcasecmp(word, "any") == 0;
}

/* "443", "49152-65535", "49152–65535", "any", "*". Nothing is changed when it is none of these. */
static bool take_ports(const char *text, uint16_t *low_out, uint16_t *high_out)
{
	uint16_t low, high;
	char *end;

	if (is_any(text) || strcmp(text, "0-65535") == 0)
		text = "1-65535";
	if (!take_port(text, &end, &low))
		return false;
	high = low;
	if (*end) {
		end += strncmp(end, "\u2013", strlen("\u2013")) == 0 ? strlen("\u2013") : 1;
		if ((end[-1] != '-' && end[-1] != ':' && end[-1] != "\u2013"[2]) ||
		    !take_port(end, &end, &high) || *end || high < low)
			return false;
	}
	*low_out = low;
	*high_out = high;
	return true;
}

static bool take_protocol(const char *word, struct verify_entry *e)
{
	bool tcp = strcasecmp(word, "tcp") == 0 || strcasecmp(word, "https") == 0 ||
		   strcasecmp(word, "wss") == 0 || strcasecmp(word, "http") == 0 ||
		   strcasecmp(word, "tls") == 0;
	bool udp = strcasecmp(word, "udp") == 0;

	e->tcp = e->tcp || tcp;
	e->udp = e->udp || udp;
	return tcp || udp;
}

static bool take_host(const char *word, struct verify_entry *e)
{
	const char *plain = strncmp(word, "*.", 2) == 0 ? word + 2
			    : word[0] == '.'		? word + 1
							: word;
	const char *slash = strchr(word, '/');

	if (is_any(word))
		return text_copy(e->host, sizeof(e->host), "*");
	if (slash && slash - word < 64) { /* a network */
		char ip[64];
		struct addr a;

		snprintf(ip, sizeof(ip), "%.*s", (int)(slash - word), word);
		if (addr_parse_ip(ip, &a) < 0 || !isdigit((unsigned char)slash[1]))
			return false;
	} else if (!need_host_valid(plain)) {
		return false;
	}
	return text_copy(e->host, sizeof(e->host), word);
}

static int add(struct verify *v, struct verify_entry *e, unsigned line)
{
	if (v->n == VERIFY_ENTRIES_MAX)
		return FL_EQUOTA;
	if (!e->tcp && !e->udp)
		e->tcp = e->udp = true;
	if (!e->port_max) {
		e->port_min = 1;
		e->port_max = UINT16_MAX;
	}
	e->line = line;
	v->list[v->n++] = *e;
	return 0;
}

/* Splits in place at white space and commas; quoted text is one word. How many. */
static size_t split(char *line, const char *between, char *words[WORDS_MAX])
{
	size_t n = 0;

	while (*line && n < WORDS_MAX) {
		line += strspn(line, between);
		if (!*line)
			break;
		if (*line == '"') {
			words[n++] = ++line;
			line += strcspn(line, "\"");
		} else {
			words[n++] = line;
			line += strcspn(line, between);
		}
		if (*line)
			*line++ = 0;
	}
	return n;
}

/* "name:443", "https://name/", "[2001:db8::1]:443" → name and ports. */
static void strip(char **word, struct verify_entry *e)
{
	char *scheme = strstr(*word, "://"), *colon, *end;
	struct addr a;

	if (scheme) {
		*scheme = 0;
		(void)take_protocol(*word, e);
		*word = scheme + 3;
		(*word)[strcspn(*word, "/")] = 0;
	}
	if (addr_parse_ip(*word, &a) == 0)
		return;
	colon = strrchr(*word, ':');
	if (colon && take_port(colon + 1, &end, &e->port_min) && !*end) {
		e->port_max = e->port_min;
		*colon = 0;
	}
	if (**word == '[') {
		++*word;
		(*word)[strcspn(*word, "]")] = 0;
	}
}

/* "443/tcp" */
static void take_suffix(char *word, struct verify_entry *e)
{
	char *slash = strchr(word, '/');

	if (slash && isdigit((unsigned char)*word) && take_protocol(slash + 1, e))
		*slash = 0;
}

/* A line of words in any order: protocols, a name, ports. What follows name and ports is remarks.
 * "any" stands for the name where there is none, else for the ports. */
static int read_plain(struct verify *v, char *text, unsigned line)
{
	struct verify_entry e = { 0 };
	char *words[WORDS_MAX];
	size_t n = split(text, " \t,;|", words);
	bool any = false;

	for (size_t i = 0; i < n && !(e.host[0] && e.port_max); i++) {
		take_suffix(words[i], &e);
		if (is_any(words[i]))
			any = true;
		else if (take_protocol(words[i], &e) ||
			 (!e.port_max && take_ports(words[i], &e.port_min, &e.port_max)))
			continue;
		else if (e.host[0] || (any && strcasecmp(words[i], "address") == 0))
			break;
		else if (strip(&words[i], &e), !take_host(words[i], &e))
			return note(v, line, words[i]);
	}
	if (!e.host[0] && !any)
		return note(v, line, "a line without a name");
	if (!e.host[0])
		text_copy(e.host, sizeof(e.host), "*");
	return add(v, &e, line);
}

/* ---- CSV of ours: need,protocol,host,ports,… ---- */

static int read_csv(struct verify *v, char *text, unsigned line)
{
	struct verify_entry e = { 0 };
	char *words[WORDS_MAX];

	/* the columns that count hold no commas */
	if (split(text, ",", words) < 6 || !take_protocol(words[1], &e) ||
	    !take_host(words[2], &e) || !take_ports(words[3], &e.port_min, &e.port_max))
		return note(v, line, "not a row of the CSV form");
	return strcmp(words[5], "inside") == 0 ? 0 : add(v, &e, line);
}

/* ---- nftables ---- */

/* "ip daddr { a, b } udp dport 3478 accept …" */
static int read_nft(struct verify *v, char *text, unsigned line)
{
	struct verify_entry e = { .port_min = 1, .port_max = UINT16_MAX };
	char *words[WORDS_MAX], *hosts[WORDS_MAX];
	char everywhere[] = "*";
	size_t n, n_hosts = 0;
	bool daddr = false, accept = false;
	int err = 0;

	text[strcspn(text, "\"")] = 0;
	n = split(text, " \t,{}", words);
	for (size_t i = 0; i < n; i++) {
		const char *before = i ? words[i - 1] : "";

		if (take_protocol(words[i], &e))
			continue;
		if (strcmp(before, "dport") == 0 && !take_ports(words[i], &e.port_min, &e.port_max))
			return note(v, line, words[i]);
		if (strcmp(before, "sport") == 0 && !take_ports(words[i], &e.own_min, &e.own_max))
			return note(v, line, words[i]);
		if (strcmp(before, "daddr") == 0 ||
		    (daddr && isxdigit((unsigned char)words[i][0]) && strpbrk(words[i], ".:")))
			hosts[n_hosts++] = words[i];
		daddr = strcmp(before, "daddr") == 0 || (daddr && strpbrk(words[i], ".:"));
		accept = accept || strcmp(words[i], "accept") == 0;
	}
	if (!accept)
		return 0;
	if (!n_hosts)
		hosts[n_hosts++] = everywhere;
	for (size_t i = 0; i < n_hosts && err == 0; i++) {
		if (!take_host(hosts[i], &e))
			return note(v, line, hosts[i]);
		err = add(v, &e, line);
	}
	return err;
}

/* ---- squid: the ports are those of the acl "port" lines ---- */

static int read_squid(struct verify *v, char *text, unsigned line)
{
	struct verify_entry e = { .tcp = true };
	char *words[WORDS_MAX];
	size_t n = split(text, " \t", words);
	int err = 0;

	if (n < 4 || strcmp(words[0], "acl") != 0 || strcmp(words[2], "dstdomain") != 0)
		return 0;
	/* our own form carries the port in the acl's name */
	if (strncmp(words[1], "fairlead_to_", 12) == 0)
		(void)take_ports(words[1] + 12, &e.port_min, &e.port_max);
	for (size_t i = 3; i < n && err == 0; i++) {
		if (!take_host(words[i], &e))
			return note(v, line, words[i]);
		err = add(v, &e, line);
	}
	return err;
}

/* ---- JSON ---- */

static int read_json(struct verify *v, struct span text)
{
	json_t *root = json_loadb((const char *)text.ptr, text.len, JSON_REJECT_DUPLICATES, NULL);
	const json_t *list = json_object_get(root, "needs"), *row;
	int err = json_is_array(list) ? 0 : note(v, 1, "JSON without a list \"needs\"");
	size_t i;

	json_array_foreach(list, i, row)
	{
		struct verify_entry e = { 0 };
		const char *host = json_string_value(json_object_get(row, "host"));
		const char *protocol = json_string_value(json_object_get(row, "protocol"));
		const char *ports = json_string_value(json_object_get(row, "ports"));

		const char *direction = json_string_value(json_object_get(row, "direction"));

		if (err)
			break;
		if (direction && strcmp(direction, "inside") == 0)
			continue;
		if (!host || !protocol || !ports || !take_protocol(protocol, &e) ||
		    !take_host(host[0] ? host : "*", &e) ||
		    !take_ports(ports, &e.port_min, &e.port_max))
			err = note(v, (unsigned)i + 1, "an entry without host, protocol or ports");
		else
			err = add(v, &e, (unsigned)i + 1);
	}
	json_decref(root);
	return err;
}

/* ---- which form ---- */

typedef int reader(struct verify *v, char *line, unsigned number);

static bool has_text(struct span text, const char *what)
{
	return text.len && memmem(text.ptr, text.len, what, strlen(what));
}

static reader *reader_for(struct span text)
{
	if (has_text(text, "need,protocol,host,ports"))
		return read_csv;
	if (has_text(text, "chain ") || has_text(text, " daddr "))
		return read_nft;
	return has_text(text, "dstdomain") ? read_squid : read_plain;
}

/* Titles, sentences and remarks of the text form, and comments. */
static bool is_remark(const char *line, reader *read)
{
	const char *p = line + strspn(line, " \t");

	if (!*p || *p == '#' || strncmp(p, "//", 2) == 0)
		return true;
	return (read == read_csv && strncmp(p, "need,", 5) == 0) ||
	       (read == read_plain &&
		(strncmp(line, "       ", 7) == 0 || strstr(line, "your own subnets")));
}

static bool our_text(struct span text)
{
	return has_text(text, "needs of your network.");
}

int verify_read(struct span text, struct verify *out)
{
	size_t skip = text.len && text.ptr[0] == 0xef ? 3 : 0, at = skip; /* a byte order mark */
	bool ours = our_text(text);
	reader *read = reader_for(text);
	unsigned number = 0;
	int err = 0;

	out->n = 0;
	out->bad_line = 0;
	out->bad[0] = 0;
	if (text.len > VERIFY_FILE_MAX)
		return FL_EQUOTA;
	if (at < text.len && text.ptr[at] == '{')
		return read_json(out, text);
	while (at < text.len && err == 0) {
		const uint8_t *end = memchr(text.ptr + at, '\n', text.len - at);
		size_t len = end ? (size_t)(end - (text.ptr + at)) : text.len - at;
		char line[LINE_MAX_BYTES];

		number++;
		if (len >= sizeof(line) || memchr(text.ptr + at, 0, len))
			return note(out, number, "a line that is too long or holds a 0 byte");
		memcpy(line, text.ptr + at, len);
		line[len] = 0;
		line[strcspn(line, "\r")] = 0;
		at += len + 1;
		/* lines of ours that hold entries begin with the protocol */
		if (is_remark(line, read) ||
		    (ours && strncmp(line, "  udp ", 6) != 0 && strncmp(line, "  tcp ", 6) != 0))
			continue;
		err = read(out, line, number);
	}
	return err;
}

/* ---- comparing ---- */

static bool name_matches(const char *pattern, const char *host)
{
	size_t p = strlen(pattern), h = strlen(host);

	if (strcmp(pattern, "*") == 0 || strcasecmp(pattern, host) == 0)
		return true;
	if (pattern[0] == '.') /* squid: the name and all below it */
		return strcasecmp(pattern + 1, host) == 0 ||
		       (h > p && strcasecmp(host + h - p, pattern) == 0);
	if (strncmp(pattern, "*.", 2) != 0 || h <= p - 1)
		return false;
	return strcasecmp(host + h - (p - 1), pattern + 1) == 0 && !memchr(host, '.', h - (p - 1));
}

static bool addr_matches(const char *pattern, const struct addr *a)
{
	const char *slash = strchr(pattern, '/');
	char ip[64];
	struct addr net;

	if (strcmp(pattern, "*") == 0)
		return true;
	snprintf(ip, sizeof(ip), "%.*s", slash ? (int)(slash - pattern) : 63, pattern);
	if (addr_parse_ip(ip, &net) < 0 || net.family != a->family)
		return false;
	return slash ? addr_same_prefix(&net, a, (unsigned)strtoul(slash + 1, NULL, 10))
		     : addr_ip_equal(&net, a);
}

static bool fits(const struct verify_entry *e, const struct need *need)
{
	bool from = !e->own_min ||
		    (need->own_min && e->own_min <= need->own_min && e->own_max >= need->own_max);

	return from && (need->udp ? e->udp : e->tcp) && e->port_min <= need->port_min &&
	       e->port_max >= need->port_max;
}

static bool covers_addr(struct verify *v, const struct need *need, const struct addr *a)
{
	bool found = false;

	for (size_t i = 0; i < v->n; i++)
		if (fits(&v->list[i], need) && addr_matches(v->list[i].host, a))
			found = v->list[i].used = true;
	return found;
}

bool verify_covers(struct verify *v, const struct need *need, const struct addr *addrs,
		   size_t n_addrs)
{
	bool by_name = false, by_addr = n_addrs > 0;

	for (size_t i = 0; i < v->n; i++)
		if (fits(&v->list[i], need) &&
		    name_matches(v->list[i].host, need->host[0] ? need->host : "*"))
			by_name = v->list[i].used = true;
	/* all of them are looked for, so that each entry that is of use is marked */
	for (size_t i = 0; i < n_addrs; i++)
		by_addr = covers_addr(v, need, &addrs[i]) && by_addr;
	return by_name || by_addr;
}
