/*
 * The way out: directly, or through which proxy, as the options or the environment say. For the
 * connection to the hub, and for relays of the sessions, which take both ways side by side.
 *
 *	--proxy none   directly
 *	--proxy URL    through that proxy, whatever the environment says
 *	--proxy auto   as the environment says: https_proxy, HTTPS_PROXY, all_proxy, ALL_PROXY, and
 *		       for whom not in no_proxy, NO_PROXY; this machine itself always directly
 */
#pragma once

#include <fairlead/peer.h>

#include "base/opt.h"
#include "io/proxy.h"

struct way_options {
	char *proxy, *user, *password_file, *ca;
};

/* The rows of a table whose target has a struct way_options at this offset. */
#define WAY_OPTIONS(at)                                                                            \
	WAY_ROW(at, "proxy", proxy, "auto|none|URL",                                               \
		"the way out: through the proxy http://HOST:PORT, https://HOST:PORT or "           \
		"socks5h://HOST:PORT; none: directly; auto: as https_proxy and no_proxy in the "   \
		"environment say",                                                                 \
		"auto"),                                                                           \
		WAY_ROW(at, "proxy-user", user, "NAME", "who we are to the proxy", NULL),          \
		WAY_ROW(at, "proxy-password-file", password_file, "FILE",                          \
			"file that holds the password for the proxy, readable by nobody else",     \
			NULL),                                                                     \
		WAY_ROW(at, "proxy-ca", ca, "FILE",                                                \
			"who may have signed the certificate of a proxy reached as https://, "     \
			"beside "                                                                  \
			"the system's authorities",                                                \
			NULL)
#define WAY_ROW(at, flag, field, arg, text, standard)                                              \
	{                                                                                          \
		flag, 0, OPT_STRING, (at) + offsetof(struct way_options, field), arg, text,        \
			standard                                                                   \
	}

struct way;

/* 0, or negative with a sentence in why. The options are borrowed until way_destroy(). */
int way_create(const struct way_options *options, struct way **out, char why[512]) FL_WARN_UNUSED;
void way_destroy(struct way *w); /* NULL is fine; wipes */

/* When the proxy has refused the password: looks whether the file holds another one by now. */
void way_refresh(struct way *w);

/* Borrowed; NULL: directly. */
struct proxy *way_to(const struct way *w, const char *host);
/* For fl_peer_config; NULL: no proxy. Borrowed until the next way_refresh(). */
const struct fl_proxy *way_of_peers(struct way *w);
