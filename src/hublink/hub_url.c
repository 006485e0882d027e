#include "hublink/hub_url.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/err.h"
#include "base/text.h"

static int refuse(char why[256], const char *text, const char *what)
{
	snprintf(why, 256,
		 "\"%.120s\" is not a hub's address: %s. It looks like https://hub.example:8443.",
		 text, what);
	return FL_EMALFORMED;
}

static bool parse_port(const char *s, size_t len, uint16_t *out)
{
	unsigned port = 0;

	if (len == 0 || len > 5)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (s[i] < '0' || s[i] > '9')
			return false;
		port = port * 10 + (unsigned)(s[i] - '0');
	}
	*out = (uint16_t)port;
	return port >= 1 && port <= 65535;
}

static bool host_char(char c, bool v6)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '.' || c == '-' || c == '_' || (v6 && (c == ':' || c == '%'));
}

int hub_url_parse(const char *text, struct hub_url *out, char why[256])
{
	struct hub_url u = { .port = 443 };
	const char *s = text, *end;

	if (strncasecmp(s, "https://", 8) != 0)
		return refuse(why, text, "it does not begin with https://");
	s += 8;
	bool v6 = *s == '[';
	if (v6)
		s++;
	end = s + (v6 ? strcspn(s, "]") : strcspn(s, ":/?#"));
	if (end == s || (size_t)(end - s) >= sizeof(u.host) || (v6 && *end != ']'))
		return refuse(why, text, "the host is missing or too long");
	for (const char *c = s; c < end; c++)
		if (!host_char(*c, v6))
			return refuse(why, text, "the host has a character that no host has");
	(void)text_copy_span(u.host, sizeof(u.host), span_of(s, (size_t)(end - s)));
	s = end + v6;
	if (*s == ':') {
		size_t len = strcspn(s + 1, "/?#");
		if (!parse_port(s + 1, len, &u.port))
			return refuse(why, text, "the port is not a number from 1 to 65535");
		s += 1 + len;
	}
	if (*s && strcmp(s, "/") != 0)
		return refuse(why, text, "nothing may follow the host and port");
	snprintf(u.authority, sizeof(u.authority), v6 ? "[%s]:%u" : "%s:%u", u.host, u.port);
	snprintf(u.base, sizeof(u.base), "https://%s", u.authority);
	*out = u;
	return 0;
}
