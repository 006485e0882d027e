/*
 * The PROXY protocol, version 2, for a receiver and for the one in front of it (its specification
 *is part of HAProxy's documentation): a load balancer in front of us says with the first bytes of a
 *connection for whom it was made. Sans-IO: bytes in, a value out.
 *
 *	 0                                               12      13       14      16
 *	| 0D 0A 0D 0A 00 0D 0A 51 55 49 54 0A            | 2 cmd | family | length | addresses, TLVs
 *…
 *
 * Taken are LOCAL (the balancer's own health check) and PROXY, for TCP and UDP over IPv4 and IPv6
 * and for "unspecified". TLVs are checked against their bounds and skipped. Everything else is
 * refused, above all version 1 and connections without a header: who may leave the header out may
 * also forge it.
 */
#pragma once

#include "base/addr.h"
#include "base/span.h"
#include "base/util.h"

#define PROXY2_PREFIX_LEN 16 /* before the addresses; the shortest header */
#define PROXY2_MAX 2048	     /* a longer header is refused; TLVs of a certificate's size fit */

struct proxy2 {
	bool local; /* not made for anybody: use the connection's own addresses */
	/* Both of one family; ADDR_NONE with local and for "unspecified". */
	struct addr source, destination;
};

/*
 * bytes is what has arrived. 1: the header is whole, *out is set, *need bytes are taken by it. 0:
 * *need bytes are needed in all, never more than belong to the header, so a reader that stops there
 * leaves what follows (a TLS handshake) untouched. FL_EMALFORMED: no such header, as soon as a byte
 * shows it.
 */
int proxy2_parse(struct span bytes, struct proxy2 *out, size_t *need) FL_WARN_UNUSED;

#define PROXY2_HEADER_MAX (PROXY2_PREFIX_LEN + 36)

/* The header for a TCP connection that was made by source to destination; "unspecified" when they
 * are not of one family. Its length. */
size_t proxy2_write(const struct addr *source, const struct addr *destination,
		    uint8_t out[PROXY2_HEADER_MAX]);
