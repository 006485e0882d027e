/*
 * The DHCP leases that this machine's own DHCP client has written down: option 252 in them, the URL
 * of a PAC file (draft-ietf-wrec-wpad-01 §4.4.1).
 */
#pragma once

#include <stdbool.h>

#include "base/span.h"
#include "wayout/url.h"

/* The last one in a file of dhclient (option wpad "…"; option unknown-252 "…" or in hex) or of
 * systemd-networkd (OPTION_252=hex). False: there is none. */
bool leases_find(struct span text, char url[WAYOUT_URL_MAX + 1]);

/* That of the newest file below root. */
bool leases_read(const char *root, char url[WAYOUT_URL_MAX + 1]);

/* What a DHCP server sent as the option, in bytes: without a 0 or a line end behind it. False:
 * empty, too long, or with bytes that no URL has. */
bool leases_take_option(struct span bytes, char url[WAYOUT_URL_MAX + 1]);
