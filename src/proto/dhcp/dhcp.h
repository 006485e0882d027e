/*
 * DHCPv4 (RFC 2131, RFC 2132), the little of it that asks for a PAC file's address: a DHCPINFORM
 * and the options of its answer. Sans-IO: bytes only. Leases, addresses and renewals are left to
 * the machine's own DHCP client.
 */
#pragma once

#include "base/span.h"
#include "base/util.h"

#define DHCP_SERVER_PORT 67
#define DHCP_CLIENT_PORT 68
#define DHCP_INFORM_LEN 300 /* the least that old relay agents take (RFC 1542 §2.1) */
#define DHCP_OPTION_MAX 1024

/* Asks for options 252 (PAC file) and 15 (domain). ip: ours. The length; FL_EQUOTA when cap is
 * below DHCP_INFORM_LEN. */
int dhcp_inform_write(uint8_t *dst, size_t cap, uint32_t xid, const uint8_t ip[4],
		      const uint8_t mac[6]) FL_WARN_UNUSED;

struct dhcp_ack {
	uint8_t pac[DHCP_OPTION_MAX]; /* option 252 as it was sent; anything may be in it */
	size_t pac_len;		      /* 0: there is none */
};

/*
 * The DHCPACK for that DHCPINFORM. An option in several parts is put together (RFC 3396), the
 * fields sname and file are read as options where option 52 says so. 0; FL_EMALFORMED;
 * FL_EUNSUPPORTED: a message for somebody else, or of another type.
 */
int dhcp_ack_read(struct span message, uint32_t xid, const uint8_t mac[6],
		  struct dhcp_ack *out) FL_WARN_UNUSED;
