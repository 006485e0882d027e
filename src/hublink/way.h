/*
 * The way out: directly, or through which proxy. For connections to the hub, which let the ways
 * race (conn.h), and for relays of the sessions, which take the proxy and the direct way side by
 * side.
 *
 *	--proxy none   directly
 *	--proxy URL    through that proxy and no other way
 *	--proxy auto   the first of these that says something, and directly beside it:
 *		       --pac, the environment (https_proxy …, no_proxy), the files of system and
 *		       desktop (wayout/setting.h); when none does, what the network announces
 *(WPAD). This machine itself is always reached directly.
 *
 * The password is shown to proxies that the machine's owner named, or that a PAC file named which
 * the owner named; not to one that whoever runs the present network has announced.
 */
#pragma once

#include <fairlead/peer.h>

#include "base/opt.h"
#include "hublink/hub_url.h"
#include "io/loop.h"
#include "io/proxy.h"

#define WAY_FOUND_MAX 24

struct way_options {
	char *proxy, *pac, *user, *password_file, *ca;
	const char *root; /* no option: in front of the system's files, for tests; NULL: nothing */
};

/* The rows of a table whose target has a struct way_options at this offset. */
#define WAY_OPTIONS(at)                                                                            \
	WAY_ROW(at, "proxy", proxy, "auto|none|URL",                                               \
		"the way out: through the proxy http://HOST:PORT, https://HOST:PORT or "           \
		"socks5h://HOST:PORT; none: directly; auto: as --pac, the environment, the "       \
		"system's settings or the network say, and directly beside it",                    \
		"auto"),                                                                           \
		WAY_ROW(at, "pac", pac, "URL|FILE",                                                \
			"a PAC file that says which proxy to take; http://, https:// or a path",   \
			NULL),                                                                     \
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
/* After all connections by it, before their loop. NULL is fine; wipes. */
void way_destroy(struct way *w);

/* When a proxy has refused the password: looks whether the file holds another one by now. */
void way_refresh(struct way *w);

/* The proxy that is set, as far as it is known without asking anybody; borrowed. NULL: directly. */
struct proxy *way_to(const struct way *w, const char *host);
/* For fl_peer_config: the proxy that the hub was last reached through, else the one that is set.
 * NULL: no proxy. Borrowed until the next way_refresh() or connection. */
const struct fl_proxy *way_of_peers(struct way *w);

/* Keeps what worked in which network in that file, and begins with what it holds. */
int way_remember_in(struct way *w, const char *path) FL_WARN_UNUSED;

/* Told at each search: a source that says something unusable ("pac-timeout"). Both
 * borrowed. */
void way_on_problem(struct way *w, void (*fn)(void *arg, const char *cause, const char *why),
		    void *arg);
/* What the hub was last reached by ("direct", "http://proxy:3128"), and how it was found ("direct",
 * "option", "environment", "pac", …). "" before. */
const char *way_used(const struct way *w);
const char *way_used_found(const struct way *w);

/* ---- for conn.c ---- */

struct way_search;

struct way_search_handler {
	/* Not to be tried before that delay while others run; proxy NULL: directly. Comes from
	 * inside way_search_start() as well. */
	void (*on_way)(void *arg, struct proxy *proxy, const char *found, usec_t delay);
	/* Nothing more will come. problem: a sentence, or NULL. Not from inside. */
	void (*on_end)(void *arg, const char *problem);
};

/* *out: NULL when all was told already. 0 or -ENOMEM. */
int way_search_start(struct way *w, struct loop *loop, const struct hub_url *url,
		     const struct way_search_handler *handler, void *arg,
		     struct way_search **out) FL_WARN_UNUSED;
/* All that was told so far has failed: what was being held back is wanted now. */
void way_search_need(struct way_search *s);
void way_search_cancel(struct way_search *s); /* NULL is fine */

void way_worked(struct way *w, struct loop *loop, const struct hub_url *url, struct proxy *proxy,
		const char *found);
/* opened: somebody took the connection, and it was not the hub. */
void way_failed(struct way *w, struct loop *loop, struct proxy *proxy, bool opened);
