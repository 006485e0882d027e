/* The ways to one host, in the order in which they are to be tried. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/ct.h"
#include "base/text.h"
#include "hublink/way_inside.h"
#include "wayout/announce.h"
#include "wayout/ask.h"
#include "wayout/system.h"

#define STEP_US (300 * USEC_PER_MSEC)	  /* between one way and the next */
#define PUT_OFF_US (1000 * USEC_PER_MSEC) /* one that failed lately waits for the others */
#define LIMIT_US (10 * USEC_PER_SEC)
/* The network is only asked when nothing has worked for so long: who runs it need not know of us.
 */
#define ANNOUNCED_US (250 * USEC_PER_MSEC)
#define ANNOUNCED_BESIDE_US (1500 * USEC_PER_MSEC) /* while something that is set is tried */

struct way_search {
	struct way *w;
	struct loop *loop;
	struct hub_url url;
	const struct way_search_handler *handler;
	void *arg;
	struct ask *ask;   /* the PAC file that is set */
	bool may_announce; /* not asked for yet */
	struct announce *announce;
	struct loop_timer limit, wait;
	struct loop_deferred end, release;
	bool ending, over, dead;
	char problem[500];
};

/* ---- what is told ---- */

static void end_search(void *arg)
{
	struct way_search *s = arg;

	if (s->dead || s->over)
		return;
	s->over = true;
	s->handler->on_end(s->arg, *s->problem ? s->problem : NULL);
}

/* At the end of the turn, when nothing is under way any more. */
static void end_if_done(struct way_search *s)
{
	if (s->ask || s->announce || s->may_announce || s->ending)
		return;
	s->ending = true;
	loop_defer(s->loop, &s->end, end_search, s);
}

static void problem(struct way_search *s, const char *cause, const char *why)
{
	struct way *w = s->w;

	if (!*s->problem)
		(void)text_copy(s->problem, sizeof(s->problem), why);
	if (w->on_problem)
		w->on_problem(w->on_problem_arg, cause, why);
}

static void tell(struct way_search *s, struct proxy *proxy, const char *found, usec_t delay)
{
	if (way_is_put_off(s->w, s->loop, proxy))
		delay = usec_add(delay, PUT_OFF_US);
	s->handler->on_way(s->arg, proxy, found, delay);
}

/* ---- the PAC file ---- */

/* Its list from now on, each step later than the one before. */
static void tell_list(struct way_search *s, const struct pac_ways *ways, const char *found)
{
	char url[PAC_URL_CAP], why[512];
	usec_t delay = 0;

	for (size_t i = 0; i < ways->n; i++) {
		const struct pac_way *way = &ways->list[i];
		struct proxy *proxy = NULL;

		if (way->kind != PAC_DIRECT) {
			proxy = way_proxy(s->w, pac_way_format(way, url), s->w->setting.except,
					  found, why);
			if (!proxy) {
				problem(s, "pac-proxy", why);
				continue;
			}
		}
		tell(s, proxy, found, delay);
		delay += STEP_US;
	}
}

static void on_answer(void *arg, const char *cause, const char *why, const struct pac_ways *ways)
{
	struct way_search *s = arg;

	if (cause)
		problem(s, cause, why);
	else
		tell_list(s, ways, s->w->setting.found);
	ask_cancel(s->ask);
	s->ask = NULL;
	end_if_done(s);
}

static int ask_pac(struct way_search *s)
{
	char url[HUB_HOST_MAX + 40];

	snprintf(url, sizeof(url), "%s/", s->url.base);
	return ask_start(s->loop, s->w->setting.pac, url, s->url.host, on_answer, s, &s->ask);
}

/* ---- what the network announces ---- */

static void on_announced(void *arg, const char *found, const struct pac_ways *ways)
{
	tell_list(arg, ways, found);
}

static void on_announced_problem(void *arg, const char *cause, const char *why)
{
	problem(arg, cause, why);
}

/* The last straw: the proxy by which packages are fetched may let us through as well. */
static void try_apt(struct way_search *s)
{
	struct system_proxy apt;
	struct proxy *proxy;
	char why[512];

	if (!system_read_apt(s->w->root, &apt))
		return;
	proxy = way_proxy(s->w, apt.proxy, s->w->setting.except, "apt", why);
	if (proxy)
		tell(s, proxy, "apt", 0);
	ct_wipe(&apt, sizeof(apt));
}

static void on_announced_end(void *arg)
{
	struct way_search *s = arg;

	try_apt(s);
	announce_cancel(s->announce);
	s->announce = NULL;
	end_if_done(s);
}

static const struct announce_handler announce_handler = { on_announced, on_announced_problem,
							  on_announced_end };

static void look_around(void *arg)
{
	struct way_search *s = arg;
	char url[HUB_HOST_MAX + 40];

	if (!s->may_announce || s->dead)
		return;
	s->may_announce = false;
	loop_timer_stop(&s->wait);
	snprintf(url, sizeof(url), "%s/", s->url.base);
	if (announce_start(s->loop, s->w->root, url, s->url.host, &announce_handler, s,
			   &s->announce) < 0)
		s->announce = NULL;
	end_if_done(s);
}

/* ---- the search ---- */

/* What worked here the last time goes first; the others as long after it. 0: nothing is known. */
static usec_t tell_remembered(struct way_search *s, struct proxy *set)
{
	const struct memory_entry *e = way_remembered(s->w, &s->url);
	struct proxy *proxy = NULL;
	char why[512];

	if (!e)
		return 0;
	if (set && strcmp(e->way, way_name(set)) == 0)
		proxy = set;
	else if (strcmp(e->way, "direct") != 0)
		proxy = way_proxy(s->w, e->way, s->w->setting.except, e->found, why);
	if ((!proxy && strcmp(e->way, "direct") != 0) || way_is_put_off(s->w, s->loop, proxy))
		return 0;
	tell(s, proxy, e->found, 0);
	return STEP_US;
}

static int search(struct way_search *s)
{
	struct way *w = s->w;
	const struct wayout_setting *set = &w->setting;
	char why[512];
	struct proxy *proxy = set->proxy ? way_proxy(w, set->proxy, set->except, set->found, why)
					 : NULL;

	if (w->mode == WAY_FIXED) {
		tell(s, proxy, set->found, 0);
		return 0;
	}
	if (w->mode == WAY_NONE || proxy_list_has(WAY_THIS_MACHINE, s->url.host) ||
	    (set->except && proxy_list_has(set->except, s->url.host))) {
		tell(s, NULL, "direct", 0);
		return 0;
	}
	usec_t base = tell_remembered(s, proxy);

	s->may_announce = true;
	loop_timer_after(&s->wait,
			 base + (set->proxy || set->pac ? ANNOUNCED_BESIDE_US : ANNOUNCED_US));
	if (set->proxy && !proxy)
		problem(s, "proxy-address", why);
	if (proxy)
		tell(s, proxy, set->found, base);
	tell(s, NULL, "direct", base + (proxy || set->pac ? STEP_US : 0));
	return set->pac ? ask_pac(s) : 0;
}

static void on_limit(void *arg)
{
	struct way_search *s = arg;

	ask_cancel(s->ask);
	s->ask = NULL;
	announce_cancel(s->announce);
	s->announce = NULL;
	s->may_announce = false;
	end_if_done(s);
}

int way_search_start(struct way *w, struct loop *loop, const struct hub_url *url,
		     const struct way_search_handler *handler, void *arg, struct way_search **out)
{
	struct way_search *s = calloc(1, sizeof(*s));
	int err;

	if (!s)
		return -ENOMEM;
	s->w = w;
	s->loop = loop;
	s->url = *url;
	s->handler = handler;
	s->arg = arg;
	loop_timer_init(loop, &s->wait, look_around, s);
	loop_timer_init(loop, &s->limit, on_limit, s);
	loop_timer_after(&s->limit, LIMIT_US);
	err = search(s);
	if (err < 0) {
		way_search_cancel(s);
		return err;
	}
	end_if_done(s);
	*out = s;
	return 0;
}

void way_search_need(struct way_search *s)
{
	look_around(s);
}

static void release(void *arg)
{
	free(arg);
}

void way_search_cancel(struct way_search *s)
{
	if (!s || s->dead)
		return;
	s->dead = true;
	loop_timer_stop(&s->limit);
	loop_timer_stop(&s->wait);
	announce_cancel(s->announce);
	ask_cancel(s->ask);
	/* behind the end, which may have been deferred earlier */
	loop_defer(s->loop, &s->release, release, s);
}
