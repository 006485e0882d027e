/*
 * Which network this machine is in, as far as it can be told without asking anybody: default
 * gateway, search domains, name servers. So that what worked in it is remembered for it, and so
 * that announcements are believed within its own domain only.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/span.h"
#include "base/util.h"

#define NETWORK_DOMAINS_MAX 4
#define NETWORK_DOMAIN_MAX 253
#define NETWORK_ID_LEN 33 /* hex and the 0 */

struct network {
	char gateway[16]; /* of IPv4; "" */
	char device[16];  /* through which the gateway is reached; "" */
	char domains[NETWORK_DOMAINS_MAX][NETWORK_DOMAIN_MAX + 1]; /* lower case */
	size_t n_domains;
	char servers[200]; /* name servers, as they stand there */
};

/* root: in front of /etc/resolv.conf and /proc/net/route; "". What cannot be read is empty. */
void network_read(const char *root, struct network *out);
/* The two parsers; they add to out. resolv.conf(5); /proc/net/route. */
void network_take_resolv(struct network *out, struct span text);
void network_take_routes(struct network *out, struct span text);

/* The same for the same network and the same words; NULL ends them, "" and NULL differ. */
void network_id(const struct network *n, const char *const *more, size_t n_more,
		char out[NETWORK_ID_LEN]);
