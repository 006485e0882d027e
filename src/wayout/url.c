#include "wayout/url.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/err.h"
#include "base/text.h"

static bool clean(struct span text)
{
	for (size_t i = 0; i < text.len; i++)
		if (text.ptr[i] <= ' ' || text.ptr[i] >= 0x7f || strchr("\"<>\\^`{|}", text.ptr[i]))
			return false;
	return true;
}

static bool host_ok(const char *host, bool v6)
{
	static const char names[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";

	return *host && host[strspn(host, v6 ? "0123456789abcdefABCDEF:." : names)] == 0;
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

/* "host[:port]" in front of end. */
static bool parse_authority(const char *s, const char *end, struct wayout_url *out)
{
	bool v6 = *s == '[';
	const char *stop;

	s += v6;
	stop = v6 ? memchr(s, ']', (size_t)(end - s)) : memchr(s, ':', (size_t)(end - s));
	if (!stop && v6)
		return false;
	stop = stop ? stop : end;
	if (!text_copy_span(out->host, sizeof(out->host), span_of(s, (size_t)(stop - s))) ||
	    !host_ok(out->host, v6))
		return false;
	stop += v6;
	if (stop < end &&
	    (*stop != ':' || !parse_port(stop + 1, (size_t)(end - stop - 1), &out->port)))
		return false;
	snprintf(out->authority, sizeof(out->authority), v6 ? "[%s]:%u" : "%s:%u", out->host,
		 out->port);
	return true;
}

int wayout_url_parse(struct span text, struct wayout_url *out)
{
	char url[WAYOUT_URL_MAX + 1];
	const char *s = url, *end;

	*out = (struct wayout_url){ .port = 80 };
	if (!clean(text) || !text_copy_span(url, sizeof(url), text))
		return FL_EMALFORMED;
	if (strncasecmp(s, "https://", 8) == 0) {
		out->tls = true;
		out->port = 443;
		s += 8;
	} else if (strncasecmp(s, "http://", 7) == 0) {
		s += 7;
	} else {
		return FL_EMALFORMED;
	}
	url[strcspn(url, "#")] = 0;
	end = s + strcspn(s, "/?");
	if (!parse_authority(s, end, out))
		return FL_EMALFORMED;
	if (snprintf(out->target, sizeof(out->target), "%s%s", *end == '/' ? "" : "/", end) >=
	    (int)sizeof(out->target))
		return FL_EMALFORMED;
	return 0;
}
