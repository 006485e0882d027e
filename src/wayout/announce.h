/*
 * What the network announces of its way out (WPAD): the name wpad within the site's own domain
 * (wpad.h), and DHCP's option 252 (dhcp.h), side by side. The first PAC file that answers counts.
 */
#pragma once

#include "io/loop.h"
#include "wayout/pac_answer.h"

struct announce;

struct announce_handler {
	/* The answer for the host that was asked about; found: "wpad-dns", "wpad-dhcp". */
	void (*on_ways)(void *arg, const char *found, const struct pac_ways *ways);
	/* A word of fetch.h, pac.h or ask.h, or wpad-outside, dhcp-garbage; and a sentence. */
	void (*on_problem)(void *arg, const char *cause, const char *why);
	void (*on_end)(void *arg); /* once, last */
};

/* root: in front of the system's files; ""; borrowed. url, host: of whom the way is for. Nothing is
 * called from inside. 0 or -ENOMEM. */
int announce_start(struct loop *loop, const char *root, const char *url, const char *host,
		   const struct announce_handler *handler, void *arg,
		   struct announce **out) FL_WARN_UNUSED;
void announce_cancel(struct announce *a); /* NULL is fine; from inside its functions too */
