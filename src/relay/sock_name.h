/*
 * A socket address as system calls want it, of either family, in 28 bytes instead of the 128 of
 * struct sockaddr_storage: the data path keeps hundreds of them and compares them as bytes.
 */
#pragma once

#include <netinet/in.h>
#include <string.h>

#include "base/addr.h"

union sock_name {
	struct sockaddr sa;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

/* The length, 0 for an address of no family. Unused bytes are zero. */
static inline socklen_t sock_name_from(const struct addr *a, union sock_name *out)
{
	memset(out, 0, sizeof(*out));
	if (a->family == ADDR_V4) {
		out->v4.sin_family = AF_INET;
		out->v4.sin_port = htons(a->port);
		memcpy(&out->v4.sin_addr, a->ip, 4);
		return sizeof(out->v4);
	}
	if (a->family != ADDR_V6)
		return 0;
	out->v6.sin6_family = AF_INET6;
	out->v6.sin6_port = htons(a->port);
	out->v6.sin6_scope_id = a->scope;
	memcpy(&out->v6.sin6_addr, a->ip, 16);
	return sizeof(out->v6);
}

static inline bool sock_name_addr(const union sock_name *n, struct addr *out)
{
	*out = (struct addr){ 0 };
	if (n->sa.sa_family == AF_INET) {
		out->family = ADDR_V4;
		out->port = ntohs(n->v4.sin_port);
		memcpy(out->ip, &n->v4.sin_addr, 4);
		return true;
	}
	if (n->sa.sa_family != AF_INET6)
		return false;
	out->family = ADDR_V6;
	out->port = ntohs(n->v6.sin6_port);
	memcpy(out->ip, &n->v6.sin6_addr, 16);
	out->scope = n->v6.sin6_scope_id;
	return true;
}

/* Both names come from the kernel, or from sock_name_from(). */
static inline bool sock_name_equal(const union sock_name *a, const union sock_name *b)
{
	if (a->sa.sa_family != b->sa.sa_family)
		return false;
	if (a->sa.sa_family == AF_INET)
		return a->v4.sin_port == b->v4.sin_port &&
		       a->v4.sin_addr.s_addr == b->v4.sin_addr.s_addr;
	return a->v6.sin6_port == b->v6.sin6_port && a->v6.sin6_scope_id == b->v6.sin6_scope_id &&
	       memcmp(&a->v6.sin6_addr, &b->v6.sin6_addr, 16) == 0;
}
