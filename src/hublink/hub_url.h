/* Where a hub is: "https://HOST[:PORT]". Only https; no path, no user, no query. */
#pragma once

#include <stdint.h>

#include "base/util.h"

#define HUB_HOST_MAX 256

struct hub_url {
	char host[HUB_HOST_MAX];	   /* a name or an IP without brackets */
	uint16_t port;			   /* 443 when none is given */
	char authority[HUB_HOST_MAX + 16]; /* "host:port" as the Host field has it */
	char base[HUB_HOST_MAX + 32];	   /* "https://host:port" */
};

/* 0, or FL_EMALFORMED with a sentence in why. */
int hub_url_parse(const char *text, struct hub_url *out, char why[256]) FL_WARN_UNUSED;
