/*
 * What this machine says about its way out, without asking the network: the first of these that
 * says something.
 *
 *	pac             the option
 *	environment     https_proxy, HTTPS_PROXY, all_proxy, ALL_PROXY; no_proxy, NO_PROXY
 *	etc-environment the same in /etc/environment and /etc/environment.d
 *	gnome           the system's defaults for all users, /etc/dconf/db, its folders ending in .d
 *	kde             the same, /etc/xdg/kioslaverc, /etc/kde5rc, /etc/kderc
 */
#pragma once

#include <stddef.h>

#include "base/util.h"

#define WAYOUT_FOUND_MAX 24

struct wayout_setting {
	char found[WAYOUT_FOUND_MAX]; /* one of the words above; "": nothing is said */
	char *proxy;  /* as proxy_create() takes it, perhaps with a password; or NULL */
	char *except; /* hosts that it is not for, this machine among them; or NULL */
	char *pac;    /* where a PAC file is; or NULL */
};

struct wayout_setting_from {
	const char *pac;  /* the option; or NULL */
	const char *root; /* in front of the system's files; "" */
};

/* 0 or -ENOMEM. */
int wayout_setting_read(const struct wayout_setting_from *from,
			struct wayout_setting *out) FL_WARN_UNUSED;
void wayout_setting_finish(struct wayout_setting *s); /* frees and wipes; fine on a zeroed one */
