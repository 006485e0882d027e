/*
 * What a PAC file answered: a list of ways out of the network, to be tried in order. Text of
 * somebody else's script: bounded, and what is not understood is left out and counted.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/util.h"

#define PAC_HOST_MAX 253
#define PAC_WAYS_MAX 8 /* alternatives of one answer, in order */
#define PAC_URL_CAP (PAC_HOST_MAX + 24)

enum pac_way_kind {
	PAC_DIRECT,
	PAC_HTTP,   /* CONNECT over TCP */
	PAC_HTTPS,  /* CONNECT over TLS */
	PAC_SOCKS5, /* the proxy resolves names (RFC 1928) */
	PAC_SOCKS4, /* SOCKS4A */
};

struct pac_way {
	enum pac_way_kind kind;
	char host[PAC_HOST_MAX + 1]; /* "" for PAC_DIRECT; an IPv6 address without brackets */
	uint16_t port;
};

struct pac_ways {
	struct pac_way list[PAC_WAYS_MAX];
	size_t n;
};

/*
 * The answer of FindProxyForURL: "PROXY a:3128; SOCKS5 b:1080; DIRECT". Entries that are not
 * understood are left out; *bad counts them. An answer without any entry that is understood: 0 ways
 * (an empty answer means DIRECT).
 */
void pac_answer_parse(const char *text, size_t len, struct pac_ways *out, unsigned *bad);

/* "http://host:port" into dst, as proxy_create() takes it; "direct". Returns dst. */
const char *pac_way_format(const struct pac_way *way, char dst[PAC_URL_CAP]);
