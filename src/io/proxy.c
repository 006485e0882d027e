#include "io/proxy.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/addr.h"
#include "base/ct.h"
#include "base/err.h"
#include "base/text.h"

struct proxy {
	struct list node; /* in all */
	unsigned refs;
	struct proxy_inside inside;
	char *user, *password, *ca_file, *except;
	char text[PROXY_HOST_MAX + 32];
	bool accepted, refused;
	const struct proxy_asker *asking; /* shows the password for the first time */
	struct list waiting;
};

/* So that two who name the same proxy and password share what it said to them. */
static struct list all = { &all, &all };

static int refuse(char why[256], const char *what)
{
	snprintf(why, 256,
		 "This is not a proxy's address: %s. It looks like http://proxy.example:3128.",
		 what);
	return FL_EMALFORMED;
}

/* ---- the URL ---- */

static const struct {
	const char *prefix, *shown;
	enum proxy_kind kind;
	uint16_t port; /* 0: has to be named */
} schemes[] = {
	{ "http://", "http", PROXY_HTTP, 0 },
	{ "https://", "https", PROXY_HTTPS, 443 },
	{ "socks5h://", "socks5h", PROXY_SOCKS5, 1080 },
	{ "socks5://", "socks5h", PROXY_SOCKS5, 1080 },
};

static bool parse_port(struct span s, uint16_t *out)
{
	unsigned port = 0;

	if (s.len == 0 || s.len > 5)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		if (s.ptr[i] < '0' || s.ptr[i] > '9')
			return false;
		port = port * 10 + (unsigned)(s.ptr[i] - '0');
	}
	*out = (uint16_t)port;
	return port >= 1 && port <= 65535;
}

static bool host_char(char c, bool v6)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '.' || c == '-' || c == '_' || (v6 && c == ':');
}

/* "host[:port]" and nothing behind it but a slash. */
static int parse_host(struct proxy_inside *p, const char *s, char why[256])
{
	bool v6 = *s == '[';
	const char *end;
	size_t len;

	s += v6;
	end = s + strcspn(s, v6 ? "]" : ":/?#");
	if (end == s || (size_t)(end - s) >= sizeof(p->host) || (v6 && *end != ']'))
		return refuse(why, "the host is missing or too long");
	for (const char *c = s; c < end; c++)
		if (!host_char(*c, v6))
			return refuse(why, "the host has a character that no host has");
	(void)text_copy_span(p->host, sizeof(p->host), span_of(s, (size_t)(end - s)));
	s = end + v6;
	len = *s == ':' ? strcspn(s + 1, "/?#") : 0;
	if (*s == ':' && !parse_port(span_of(s + 1, len), &p->port))
		return refuse(why, "the port is not a number from 1 to 65535");
	s += *s == ':' ? 1 + len : 0;
	if (*s && strcmp(s, "/") != 0)
		return refuse(why, "nothing may follow the host and port");
	return p->port ? 0 : refuse(why, "an HTTP proxy's port has to be named");
}

/* A part of the URL with its %XX undone (RFC 3986 §2.1). NULL: no memory, or malformed. */
static char *decode(struct span s)
{
	char *out = malloc(s.len + 1);
	size_t n = 0;

	for (size_t i = 0; out && i < s.len; i++) {
		uint8_t byte = s.ptr[i];

		if (byte == '%' &&
		    (i + 2 >= s.len || text_hex_decode(span_of(s.ptr + i + 1, 2), &byte, 1) != 1 ||
		     !byte)) {
			ct_wipe(out, n);
			free(out);
			return NULL;
		}
		i += s.ptr[i] == '%' ? 2 : 0;
		out[n++] = (char)byte;
	}
	if (out)
		out[n] = 0;
	return out;
}

/* "user:password@" in front of the host. */
static int parse_user(struct proxy *p, const char **s, char why[256])
{
	size_t len = strcspn(*s, "/?#");
	const char *at = memrchr(*s, '@', len), *colon;

	if (!at)
		return 0;
	colon = memchr(*s, ':', (size_t)(at - *s));
	p->user = decode(span_of(*s, (size_t)((colon ? colon : at) - *s)));
	if (colon)
		p->password = decode(span_of(colon + 1, (size_t)(at - colon - 1)));
	*s = at + 1;
	if (!p->user || (colon && !p->password))
		return refuse(why, "the user or the password is not written as a URL has it "
				   "(RFC 3986, percent-encoded)");
	return 0;
}

static int parse_url(struct proxy *p, const char *url, char why[256])
{
	const char *shown = "http";
	int err;

	for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
		size_t len = strlen(schemes[i].prefix);

		if (strncasecmp(url, schemes[i].prefix, len) != 0)
			continue;
		p->inside.kind = schemes[i].kind;
		p->inside.port = schemes[i].port;
		shown = schemes[i].shown;
		url += len;
		break;
	}
	if (strstr(url, "://"))
		return refuse(why, "its scheme is none of http, https, socks5h");
	err = parse_user(p, &url, why);
	if (err == 0)
		err = parse_host(&p->inside, url, why);
	snprintf(p->text, sizeof(p->text),
		 strchr(p->inside.host, ':') ? "%s://[%s]:%u" : "%s://%s:%u", shown, p->inside.host,
		 p->inside.port);
	return err;
}

/* ---- for which hosts ---- */

static bool entry_has(struct span entry, const char *host, const struct addr *ip)
{
	char text[PROXY_HOST_MAX];
	char *slash, *end;
	struct addr net;
	size_t len = strlen(host);

	if (entry.len && entry.ptr[0] == '.')
		entry = span_of(entry.ptr + 1, entry.len - 1);
	if (!text_copy_span(text, sizeof(text), entry) || !*text)
		return false;
	slash = strchr(text, '/');
	if (slash)
		*slash = 0;
	if (ip->family != ADDR_NONE && addr_parse_ip(text, &net) == 0) {
		unsigned bits = net.family == ADDR_V4 ? 32 : 128;
		unsigned long asked = slash ? strtoul(slash + 1, &end, 10) : bits;

		if (slash && (end == slash + 1 || *end || asked > bits))
			return false;
		return net.family == ip->family && addr_same_prefix(&net, ip, (unsigned)asked);
	}
	return !slash && len >= entry.len && strcasecmp(host + len - entry.len, text) == 0 &&
	       (len == entry.len || host[len - entry.len - 1] == '.');
}

bool proxy_list_has(const char *list, const char *host)
{
	struct addr ip = { .family = ADDR_NONE };

	if (addr_parse_ip(host, &ip) < 0)
		ip.family = ADDR_NONE;
	while (list && *list) {
		size_t len = strcspn(list, ", \t");

		if ((len == 1 && *list == '*') || entry_has(span_of(list, len), host, &ip))
			return true;
		list += len;
		list += strspn(list, ", \t");
	}
	return false;
}

bool proxy_is_for(const struct proxy *p, const char *host)
{
	return !proxy_list_has(p->except, host);
}

/* ---- life ---- */

static void destroy(struct proxy *p)
{
	ct_wipe_strp(&p->user);
	ct_wipe_strp(&p->password);
	free(p->ca_file);
	free(p->except);
	free(p);
}

static bool same(const char *a, const char *b)
{
	return a && b ? ct_equal(span_str(a), span_str(b)) : a == b;
}

static struct proxy *find_equal(const struct proxy *p)
{
	struct proxy *other, *tmp;

	list_for_each (other, tmp, &all, node)
		if (strcmp(other->text, p->text) == 0 && same(other->user, p->user) &&
		    same(other->password, p->password) && same(other->ca_file, p->ca_file) &&
		    same(other->except, p->except))
			return other;
	return NULL;
}

/* What came beside the URL goes over what is in it. */
static int take_others(struct proxy *p, const struct proxy_config *c)
{
	if (c->user) {
		ct_wipe_strp(&p->user);
		p->user = strdup(c->user);
	}
	if (c->password) {
		ct_wipe_strp(&p->password);
		p->password = strdup(c->password);
	}
	p->ca_file = c->ca_file ? strdup(c->ca_file) : NULL;
	p->except = c->except ? strdup(c->except) : NULL;
	if ((c->user && !p->user) || (c->password && !p->password) || (c->ca_file && !p->ca_file) ||
	    (c->except && !p->except))
		return -ENOMEM;
	return 0;
}

static bool too_long(const char *s)
{
	return s && strlen(s) > PROXY_CREDENTIAL_MAX;
}

int proxy_create(const struct proxy_config *config, struct proxy **out, char why[256])
{
	struct proxy *p = calloc(1, sizeof(*p)), *known;
	int err;

	snprintf(why, 256, "Out of memory.");
	if (!p)
		return -ENOMEM;
	list_init(&p->waiting);
	err = parse_url(p, config->url, why);
	if (err == 0)
		err = take_others(p, config);
	if (err == 0 && (too_long(p->user) || too_long(p->password)))
		err = refuse(why, "the user or the password is longer than 256 bytes");
	if (err < 0) {
		destroy(p);
		return err;
	}
	known = find_equal(p);
	if (known) {
		destroy(p);
		*out = proxy_ref(known);
		return 0;
	}
	p->refs = 1;
	p->inside.user = p->user;
	p->inside.password = p->password;
	p->inside.ca_file = p->ca_file;
	list_push_back(&all, &p->node);
	*out = p;
	return 0;
}

struct proxy *proxy_ref(struct proxy *p)
{
	p->refs++;
	return p;
}

void proxy_unref(struct proxy *p)
{
	if (!p || --p->refs > 0)
		return;
	list_remove(&p->node);
	destroy(p);
}

const char *proxy_text(const struct proxy *p)
{
	return p->text;
}

struct proxy_inside *proxy_inside(struct proxy *p)
{
	return &p->inside;
}

/* ---- the password ---- */

bool proxy_is_refused(const struct proxy *p)
{
	return p->refused;
}

enum proxy_leave proxy_ask(struct proxy *p, struct proxy_asker *a)
{
	if (!p->password || p->accepted)
		return PROXY_GO;
	if (p->refused)
		return PROXY_NO;
	if (p->asking && p->asking != a) {
		list_push_back(&p->waiting, &a->node);
		return PROXY_WAIT;
	}
	p->asking = a;
	return PROXY_GO;
}

void proxy_answered(struct proxy *p, struct proxy_asker *a, enum proxy_answer answer)
{
	struct proxy_asker *other, *tmp;

	if (answer != PROXY_UNCLEAR) {
		p->accepted = answer == PROXY_ACCEPTED;
		p->refused = answer == PROXY_REFUSED;
	} else if (p->asking != a) {
		return;
	}
	if (p->asking == a)
		p->asking = NULL;
	list_for_each (other, tmp, &p->waiting, node) {
		list_remove(&other->node);
		other->wake(other->arg);
	}
}
