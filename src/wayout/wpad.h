/*
 * Web Proxy Auto-Discovery, the rules of it: which names are asked, and which announcements are
 * believed. A name server outside the organisation must never be asked for "wpad" (whoever
 * registers wpad.com would answer for everybody), so names end at the organisation's domain.
 */
#pragma once

#include "wayout/network.h"
#include "wayout/url.h"

#define WPAD_NAMES_MAX 6

/* Labels of the domain that an organisation can have registered at the end of this name: 2 for
 * "north.example.org", 3 for "north.example.co.uk"; 0: it is shorter than that, or one label. */
unsigned wpad_registered(const char *domain);

/* "wpad.north.example.org", "wpad.example.org" …; how many. */
size_t wpad_names(const struct network *n, char names[WPAD_NAMES_MAX][WAYOUT_HOST_MAX + 1]);

/* Whether a PAC file on that host may be announced here: a name of one label, a name within the
 * registered domain of one of the search domains, a private or link-local address. */
bool wpad_inside(const struct network *n, const char *host);
