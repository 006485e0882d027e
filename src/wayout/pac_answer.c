#include "wayout/pac_answer.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/addr.h"
#include "base/text.h"

static const struct {
	const char *word;
	enum pac_way_kind kind;
	uint16_t port; /* when none is given */
} kinds[] = {
	{ "PROXY", PAC_HTTP, 80 },     { "HTTP", PAC_HTTP, 80 },
	{ "HTTPS", PAC_HTTPS, 443 },   { "SOCKS5", PAC_SOCKS5, 1080 },
	{ "SOCKS", PAC_SOCKS5, 1080 }, { "SOCKS4", PAC_SOCKS4, 1080 },
};

static bool host_valid(const char *text)
{
	size_t len = strlen(text);
	struct addr a;

	if (addr_parse_ip(text, &a) == 0)
		return true;
	if (len == 0 || len > PAC_HOST_MAX || text[0] == '.' || text[0] == '-')
		return false;
	/* names of proxies in the field have underscores */
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)text[i]) && !strchr("-_.", text[i]))
			return false;
	return true;
}

static bool take_port(const char *text, uint16_t *out)
{
	unsigned long port = 0;

	if (!*text || strlen(text) > 5)
		return false;
	for (; *text; text++) {
		if (!isdigit((unsigned char)*text))
			return false;
		port = port * 10 + (unsigned long)(*text - '0');
	}
	*out = (uint16_t)port;
	return port >= 1 && port <= UINT16_MAX;
}

/* "host", "host:port", "[v6]:port", a bare IPv6 address. */
static bool take_authority(const char *text, size_t len, uint16_t otherwise, struct pac_way *out)
{
	char copy[PAC_HOST_MAX + 16], *host = copy, *port;
	struct addr a;

	if (len == 0 || len >= sizeof(copy) || memchr(text, 0, len))
		return false;
	memcpy(copy, text, len);
	copy[len] = 0;
	out->port = otherwise;
	if (copy[0] == '[') {
		port = strchr(copy, ']');
		if (!port || (port[1] && port[1] != ':'))
			return false;
		host++;
		*port = 0;
		port = port[1] ? port + 2 : NULL;
		if (addr_parse_ip(host, &a) < 0 || a.family != ADDR_V6)
			return false;
	} else if (addr_parse_ip(copy, &a) == 0) {
		port = NULL;
	} else if ((port = strrchr(copy, ':'))) {
		*port++ = 0;
	}
	if ((port && !take_port(port, &out->port)) || !host_valid(host))
		return false;
	return text_copy(out->host, sizeof(out->host), host);
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool take_entry(const char *text, size_t len, struct pac_way *out)
{
	size_t word = 0, rest;

	while (word < len && !is_space(text[word]))
		word++;
	*out = (struct pac_way){ .kind = PAC_DIRECT };
	for (rest = word; rest < len && is_space(text[rest]);)
		rest++;
	if (word == 6 && strncasecmp(text, "DIRECT", 6) == 0)
		return rest == len;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (strlen(kinds[i].word) == word && strncasecmp(kinds[i].word, text, word) == 0) {
			out->kind = kinds[i].kind;
			return take_authority(text + rest, len - rest, kinds[i].port, out);
		}
	return false;
}

void pac_answer_parse(const char *text, size_t len, struct pac_ways *out, unsigned *bad)
{
	size_t at = 0;
	bool any = false;

	out->n = 0;
	*bad = 0;
	while (at < len) {
		const char *semicolon = memchr(text + at, ';', len - at);
		size_t end = semicolon ? (size_t)(semicolon - text) : len, next = end + 1;

		while (at < end && is_space(text[at]))
			at++;
		while (end > at && is_space(text[end - 1]))
			end--;
		any = any || end > at;
		if (end > at && out->n < PAC_WAYS_MAX &&
		    take_entry(text + at, end - at, &out->list[out->n]))
			out->n++;
		else if (end > at)
			++*bad;
		at = next;
	}
	if (!any)
		out->list[out->n++] = (struct pac_way){ .kind = PAC_DIRECT };
}

const char *pac_way_format(const struct pac_way *way, char dst[PAC_URL_CAP])
{
	static const char *const schemes[] = { "direct", "http", "https", "socks5h", "socks4a" };
	const char *open = strchr(way->host, ':') ? "[" : "", *close = *open ? "]" : "";

	if (way->kind == PAC_DIRECT)
		snprintf(dst, PAC_URL_CAP, "direct");
	else
		snprintf(dst, PAC_URL_CAP, "%s://%s%s%s:%u", schemes[way->kind], open, way->host,
			 close, way->port);
	return dst;
}
