/*
 * Transport addresses as values: family, bytes, port, IPv6 scope. Nothing here resolves names or
 * touches a socket; conversion to and from struct sockaddr is for the drivers.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/span.h"
#include "base/util.h"

enum addr_family { ADDR_NONE, ADDR_V4, ADDR_V6 };

struct addr {
	enum addr_family family;
	uint8_t ip[16]; /* network order; 4 bytes used for ADDR_V4, the rest zero */
	uint16_t port;	/* host order */
	uint32_t scope; /* interface index of a link-local IPv6 address, else 0 */
};

/* Where an address can be reached from; the relay's peer check and the route rule build on it. */
enum addr_range {
	ADDR_UNSPECIFIED, /* 0.0.0.0/8, :: */
	ADDR_LOOPBACK,	  /* 127/8, ::1 */
	ADDR_LINK_LOCAL,  /* 169.254/16, fe80::/10 */
	ADDR_PRIVATE,	/* RFC 1918, 100.64/10, unique local fc00::/7, local NAT64 64:ff9b:1::/48 */
	ADDR_MULTICAST, /* 224/4, ff00::/8, and 255.255.255.255 */
	ADDR_RESERVED,	/* 240/4, documentation and benchmark ranges */
	ADDR_PUBLIC,
};

#define ADDR_TEXT_MAX 64 /* "[…%4294967295]:65535" and the 0 */

bool addr_equal(const struct addr *a, const struct addr *b);	/* with port */
bool addr_ip_equal(const struct addr *a, const struct addr *b); /* without */
uint32_t addr_hash(const struct addr *a, uint64_t key);

/*
 * IPv6 forms that carry an IPv4 address are looked through: mapped, compatible, translated, NAT64,
 * 6to4, Teredo, ISATAP. The first that is not public decides.
 */
enum addr_range addr_range(const struct addr *a);

#define ADDR_CARRIED_MAX 6

/* The IPv4 addresses that an IPv6 address may be read to carry, with its port; how many. */
size_t addr_carried(const struct addr *a, struct addr out[ADDR_CARRIED_MAX]);

/* ::ffff:a.b.c.d becomes a.b.c.d; anything else stays. */
struct addr addr_unmap(const struct addr *a);

/* Same first prefix_bits of the IP. */
bool addr_same_prefix(const struct addr *a, const struct addr *b, unsigned prefix_bits);

/* "192.0.2.1", "2001:db8::1", "fe80::1%2": only an IP; port stays 0. 0 or FL_EMALFORMED. */
int addr_parse_ip(const char *text, struct addr *out) FL_WARN_UNUSED;

/* "192.0.2.1:80", "[2001:db8::1]:80". 0 or FL_EMALFORMED. */
int addr_parse(const char *text, struct addr *out) FL_WARN_UNUSED;

/* Into buf, always terminated; returns buf. */
const char *addr_format(const struct addr *a, char buf[ADDR_TEXT_MAX]);
const char *addr_format_ip(const struct addr *a, char buf[ADDR_TEXT_MAX]);

int addr_from_sockaddr(const struct sockaddr *sa, socklen_t len, struct addr *out);
socklen_t addr_to_sockaddr(const struct addr *a, struct sockaddr_storage *out);
