/*
 * Where a PAC file lies: "http://host[:port]/path" or https (RFC 3986, the part of it that PAC
 * files need). Text from outside: a DHCP server, a settings file.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"
#include "base/util.h"

#define WAYOUT_HOST_MAX 253
#define WAYOUT_TARGET_MAX 1023
#define WAYOUT_URL_MAX 1400

struct wayout_url {
	bool tls;
	char host[WAYOUT_HOST_MAX + 1]; /* an IPv6 address without brackets */
	uint16_t port;
	char authority[WAYOUT_HOST_MAX + 16]; /* for the Host field */
	char target[WAYOUT_TARGET_MAX + 1];   /* "/wpad.dat" */
};

/* 0, or FL_EMALFORMED: another scheme, a user in it, characters that no URL has, too long. */
int wayout_url_parse(struct span text, struct wayout_url *out) FL_WARN_UNUSED;
