#include "hub/http/headers.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/addr.h"
#include "base/text.h"

bool headers_host_valid(struct span host)
{
	if (host.len == 0 || host.len > 255)
		return false;
	for (size_t i = 0; i < host.len; i++)
		if (!host.ptr[i] || (!isalnum(host.ptr[i]) && !strchr(".-:[]", host.ptr[i])))
			return false;
	return true;
}

bool headers_origin_fits(struct span origin, struct span host)
{
	static const char scheme[] = "https://";
	const size_t n = sizeof(scheme) - 1;

	return headers_host_valid(host) && origin.len == n + host.len &&
	       memcmp(origin.ptr, scheme, n) == 0 &&
	       text_equal_nocase(span_of(origin.ptr + n, host.len), host);
}

void headers_csp(struct span host, char out[HEADERS_CSP_CAP])
{
	bool named = headers_host_valid(host);

	snprintf(out, HEADERS_CSP_CAP,
		 "default-src 'none'; script-src 'self'; style-src 'self'; "
		 "img-src 'self' blob: data:; font-src 'self'; connect-src 'self'%s%.*s; "
		 "media-src 'self' blob: mediastream:; form-action 'self'; frame-ancestors 'none'; "
		 "base-uri 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
		 named ? " wss://" : "", named ? (int)host.len : 0,
		 named ? (const char *)host.ptr : "");
}

static bool real_name(struct span host)
{
	char name[256];
	struct addr ip;
	char *colon;

	if (!headers_host_valid(host) || host.ptr[0] == '[')
		return false;
	text_copy_span(name, sizeof(name), host);
	colon = strchr(name, ':');
	if (colon)
		*colon = 0;
	return strchr(name, '.') && addr_parse_ip(name, &ip) < 0;
}

void headers_add(struct headers *h, const char *name, const char *value)
{
	if (h->count < HEADERS_MAX)
		h->fields[h->count++] = (struct http_field){ name, value };
}

void headers_init(struct headers *h, struct span host)
{
	h->count = 0;
	headers_csp(host, h->csp);
	headers_add(h, "content-security-policy", h->csp);
	headers_add(h, "x-content-type-options", "nosniff");
	headers_add(h, "referrer-policy", "no-referrer");
	headers_add(h, "cross-origin-opener-policy", "same-origin");
	headers_add(h, "cross-origin-resource-policy", "same-origin");
	if (real_name(host))
		headers_add(h, "strict-transport-security", "max-age=31536000");
}
