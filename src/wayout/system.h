/*
 * What files of system and desktop say about proxies, for those who have not logged on yet: parsers
 * of their text, none of which trusts it.
 */
#pragma once

#include <stdbool.h>

#include "base/span.h"

#define SYSTEM_TEXT_MAX 1024

struct system_proxy {
	bool none;		      /* it says that there is no proxy */
	char proxy[SYSTEM_TEXT_MAX];  /* URL; "" */
	char except[SYSTEM_TEXT_MAX]; /* as no_proxy; "" */
	char pac[SYSTEM_TEXT_MAX];    /* URL of a PAC file; "" */
};

/* NAME=value and export NAME=value lines of /etc/environment and environment.d (pam_env.conf(5),
 * environment.d(5)), with the names of the environment. Nothing is expanded. */
void system_take_environment(struct system_proxy *out, struct span text);

/* GNOME: a keyfile of dconf (dconf(7)), the groups system/proxy, …/https, …/http, …/socks. */
void system_take_dconf(struct system_proxy *out, struct span text);

/* KDE: kioslaverc, the group Proxy Settings. */
void system_take_kde(struct system_proxy *out, struct span text);

/* apt.conf(5): Acquire::https::Proxy or Acquire::http::Proxy on a line of its own. A hint only:
 * some such proxies know nothing but package archives. */
void system_take_apt(struct system_proxy *out, struct span text);

/* Each of them, in order, from below root; the first that says something. found: "etc-environment",
 * "gnome", "kde". False: none does. */
bool system_read(const char *root, struct system_proxy *out, const char **found);
bool system_read_apt(const char *root, struct system_proxy *out);
