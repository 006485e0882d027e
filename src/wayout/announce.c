#include "wayout/announce.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "wayout/ask.h"
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
	struct ask *by_name;
	struct loop_deferred begin, release;
	bool over, dead;
};

static void end_if_done(struct announce *a)
{
	if (a->over || a->dead || a->by_name)
		return;
	a->over = true;
	a->handler->on_end(a->arg);
}

static void won(struct announce *a, const char *found, const struct pac_ways *ways)
{
	ask_cancel(a->by_name);
	a->by_name = NULL;
	a->next = a->n_names;
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

/* ---- life ---- */

static void begin(void *arg)
{
	struct announce *a = arg;

	if (a->dead)
		return;
	a->n_names = wpad_names(&a->network, a->names);
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
	ask_cancel(a->by_name);
	a->by_name = NULL;
	loop_defer(a->loop, &a->release, release, a);
}
