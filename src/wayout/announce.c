#include "wayout/announce.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/text.h"
#include "wayout/ask.h"
#include "wayout/inform.h"
#include "wayout/leases.h"
#include "wayout/network.h"
#include "wayout/wpad.h"

struct announce {
	struct loop *loop;
	const struct announce_handler *handler;
	void *arg;
	struct network network;
	char *url, *host;
	char names[WPAD_NAMES_MAX][WAYOUT_HOST_MAX + 1];
	size_t n_names, next; /* the DNS names that are left */
	struct ask *by_name, *by_dhcp;
	struct inform *inform;
	const char *root;
	struct loop_deferred begin, release;
	bool over, dead;
};

static void end_if_done(struct announce *a)
{
	if (a->over || a->dead || a->by_name || a->by_dhcp || a->inform)
		return;
	a->over = true;
	a->handler->on_end(a->arg);
}

static void cancel_all(struct announce *a)
{
	ask_cancel(a->by_name);
	ask_cancel(a->by_dhcp);
	inform_cancel(a->inform);
	a->by_name = a->by_dhcp = NULL;
	a->inform = NULL;
	a->next = a->n_names;
}

static void won(struct announce *a, const char *found, const struct pac_ways *ways)
{
	cancel_all(a);
	a->handler->on_ways(a->arg, found, ways);
	end_if_done(a);
}

/* ---- DNS ---- */

static void ask_next_name(struct announce *a);

static void on_name(void *arg, const char *cause, const char *why, const struct pac_ways *ways)
{
	struct announce *a = arg;

	if (!cause) {
		won(a, "wpad-dns", ways);
		return;
	}
	ask_cancel(a->by_name);
	a->by_name = NULL;
	/* most networks announce nothing */
	if (strcmp(cause, "pac-name") != 0)
		a->handler->on_problem(a->arg, cause, why);
	if (!a->dead)
		ask_next_name(a);
}

static void ask_next_name(struct announce *a)
{
	char url[WAYOUT_HOST_MAX + 32];

	while (!a->by_name && a->next < a->n_names) {
		snprintf(url, sizeof(url), "http://%s/wpad.dat", a->names[a->next++]);
		if (ask_start(a->loop, url, a->url, a->host, on_name, a, &a->by_name) < 0)
			a->by_name = NULL;
	}
	end_if_done(a);
}

/* ---- DHCP ---- */

static void on_option(void *arg, const char *cause, const char *why, const struct pac_ways *ways)
{
	struct announce *a = arg;

	if (!cause) {
		won(a, "wpad-dhcp", ways);
		return;
	}
	ask_cancel(a->by_dhcp);
	a->by_dhcp = NULL;
	a->handler->on_problem(a->arg, cause, why);
	end_if_done(a);
}

/* It may name a server anywhere; one that is not the site's own is not asked. */
static void take_url(struct announce *a, const char *text)
{
	char why[500], shown[200];
	struct wayout_url url;

	text_printable(shown, sizeof(shown), span_str(text));
	if (wayout_url_parse(span_str(text), &url) < 0) {
		snprintf(why, sizeof(why),
			 "DHCP's option 252 of this network is \"%s\", which is not where a PAC "
			 "file "
			 "can be. Correct it at the DHCP server.",
			 shown);
		a->handler->on_problem(a->arg, "dhcp-garbage", why);
	} else if (!wpad_inside(&a->network, url.host)) {
		snprintf(why, sizeof(why),
			 "DHCP's option 252 of this network is %s, outside of the site's own "
			 "domain. It "
			 "is not followed; if it is right, give it with --pac.",
			 shown);
		a->handler->on_problem(a->arg, "wpad-outside", why);
	} else if (ask_start(a->loop, text, a->url, a->host, on_option, a, &a->by_dhcp) < 0) {
		a->by_dhcp = NULL;
	}
}

static void on_informed(void *arg, int err, struct span pac)
{
	struct announce *a = arg;
	char url[WAYOUT_URL_MAX + 1];

	inform_cancel(a->inform);
	a->inform = NULL;
	if (err == 0 && leases_take_option(pac, url))
		take_url(a, url);
	else if (err == FL_EMALFORMED || pac.len)
		a->handler->on_problem(a->arg, "dhcp-garbage",
				       "What DHCP announces as this network's PAC file is no URL. "
				       "Correct option 252 at the DHCP server.");
	end_if_done(a);
}

/* What the server said when the address was leased, else what it says now. */
static void ask_dhcp(struct announce *a)
{
	char url[WAYOUT_URL_MAX + 1];

	if (leases_read(a->root, url))
		take_url(a, url);
	else if (inform_start(a->loop, &a->network, on_informed, a, &a->inform) < 0)
		a->inform = NULL;
}

/* ---- life ---- */

static void begin(void *arg)
{
	struct announce *a = arg;

	if (a->dead)
		return;
	a->n_names = wpad_names(&a->network, a->names);
	ask_dhcp(a);
	if (a->dead)
		return;
	ask_next_name(a);
}

static void release(void *arg)
{
	struct announce *a = arg;

	free(a->url);
	free(a->host);
	free(a);
}

int announce_start(struct loop *loop, const char *root, const char *url, const char *host,
		   const struct announce_handler *handler, void *arg, struct announce **out)
{
	struct announce *a = calloc(1, sizeof(*a));

	if (!a)
		return -ENOMEM;
	a->loop = loop;
	a->handler = handler;
	a->arg = arg;
	a->url = strdup(url);
	a->host = strdup(host);
	if (!a->url || !a->host) {
		release(a);
		return -ENOMEM;
	}
	a->root = root;
	network_read(root, &a->network);
	loop_defer(loop, &a->begin, begin, a);
	*out = a;
	return 0;
}

void announce_cancel(struct announce *a)
{
	if (!a || a->dead)
		return;
	a->dead = true;
	cancel_all(a);
	loop_defer(a->loop, &a->release, release, a);
}
