#include "hub/metrics.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/log.h"
#include "base/text.h"
#include "hub/realtime/broker.h"
#include "hub/realtime/registry.h"
#include "monitor/monitor.h"
#include "monitor/prom.h"

#define PREFIX "fairlead_"

/* Upper ends in milliseconds: the interesting ones are below a second. */
static const int32_t bounds[] = { 25, 50, 100, 200, 350, 500, 1000, 2500, 5000, 10000 };

struct set_up_times {
	uint64_t up_to[ARRAY_LEN(bounds)]; /* each also has those below */
	uint64_t count, sum_ms;
};

struct place_counts {
	char place[STORE_ID_CAP];
	uint64_t n[SEEN_METHODS][SEEN_TRANSPORTS][CAUSES];
};

struct hub_metrics {
	struct hub *hub;
	struct monitor *monitor;
	int64_t started_s;
	struct set_up_times set_up[SEEN_METHODS];
	struct place_counts *places[METRICS_PLACES_MAX];
	size_t n_places;
	struct place_counts other;
};

/* ---- counting ---- */

static struct place_counts *counts_of(struct hub_metrics *m, const char *place)
{
	struct place_counts *c;

	for (size_t i = 0; i < m->n_places; i++)
		if (strcmp(m->places[i]->place, place) == 0)
			return m->places[i];
	c = m->n_places < METRICS_PLACES_MAX ? calloc(1, sizeof(*c)) : NULL;
	if (!c)
		return &m->other;
	text_copy(c->place, sizeof(c->place), place);
	m->places[m->n_places++] = c;
	return c;
}

void hub_metrics_routed(struct hub_metrics *m, const struct session *s)
{
	const struct session_verdict *v = &s->verdict;

	if (m && v->json)
		counts_of(m, s->device->place->id)->n[v->method][v->transport][v->cause]++;
}

void hub_metrics_set_up(struct hub_metrics *m, enum seen_method method, int32_t ms)
{
	struct set_up_times *t;

	if (!m || method == SEEN_NONE || ms < 0)
		return;
	t = &m->set_up[method];
	for (size_t i = 0; i < ARRAY_LEN(bounds); i++)
		t->up_to[i] += ms <= bounds[i];
	t->count++;
	t->sum_ms += (uint64_t)ms;
}

/* ---- writing ---- */

static void put_place(struct prom *p, const struct place_counts *c)
{
	for (size_t i = 0; i < sizeof(c->n) / sizeof(c->n[0][0][0]); i++) {
		size_t cause = i % CAUSES, transport = i / CAUSES % SEEN_TRANSPORTS;
		size_t method = i / CAUSES / SEEN_TRANSPORTS;
		uint64_t n = c->n[method][transport][cause];

		if (!n)
			continue;
		prom_put(p, PREFIX "sessions_routed_total{");
		prom_label(p, "place", c->place);
		prom_put(p, ",method=\"%s\",transport=\"%s\",cause=\"%s\"} %" PRIu64 "\n",
			 verdict_methods[method],
			 method == SEEN_NONE ? "" : verdict_transports[transport],
			 verdict_causes[cause], n);
	}
}

static void put_routed(struct prom *p, const struct hub_metrics *m)
{
	prom_head(p, "sessions_routed_total", "counter",
		  "Sessions that ended, by how they travelled and why.");
	for (size_t i = 0; i < m->n_places; i++)
		put_place(p, m->places[i]);
	put_place(p, &m->other);
	prom_head(p, "place_info", "gauge", "Names of the places above; always 1.");
	for (size_t i = 0; i < m->n_places; i++) {
		const struct place *place = places_find(m->hub->places, m->places[i]->place);

		if (!place)
			continue;
		prom_put(p, PREFIX "place_info{");
		prom_label(p, "place", place->id);
		prom_put(p, ",");
		prom_label(p, "name", place->name);
		prom_put(p, "} 1\n");
	}
}

static void put_set_up(struct prom *p, const struct hub_metrics *m)
{
	prom_head(p, "session_setup_seconds", "histogram",
		  "From the offer to the first route, as the ends measured it.");
	for (int method = SEEN_LOCAL; method < SEEN_METHODS; method++) {
		const struct set_up_times *t = &m->set_up[method];
		const char *name = verdict_methods[method];

		for (size_t i = 0; i < ARRAY_LEN(bounds); i++)
			prom_put(p,
				 PREFIX "session_setup_seconds_bucket{method=\"%s\",le=\"%g\"} "
					"%" PRIu64 "\n",
				 name, bounds[i] / 1000.0, t->up_to[i]);
		prom_put(p,
			 PREFIX "session_setup_seconds_bucket{method=\"%s\",le=\"+Inf\"} %" PRIu64
				"\n",
			 name, t->count);
		prom_put(p, PREFIX "session_setup_seconds_sum{method=\"%s\"} %.3f\n", name,
			 (double)t->sum_ms / 1000);
		prom_put(p, PREFIX "session_setup_seconds_count{method=\"%s\"} %" PRIu64 "\n", name,
			 t->count);
	}
}

static void put_running(struct prom *p, const struct hub *h)
{
	uint64_t by_method[SEEN_METHODS] = { 0 }, unreported = 0;

	for (struct session *s = broker_next(h->broker, NULL); s; s = broker_next(h->broker, s)) {
		if (s->verdict.json)
			by_method[s->verdict.method]++;
		else
			unreported++;
	}
	prom_head(p, "sessions_running", "gauge",
		  "Sessions now, by method; \"\": neither end has reported yet.");
	for (int i = 0; i < SEEN_METHODS; i++)
		prom_labelled(p, "sessions_running", "method", verdict_methods[i], by_method[i]);
	prom_labelled(p, "sessions_running", "method", "", unreported);
}

int hub_metrics_text(struct hub_metrics *m, struct buf *out)
{
	struct prom p = { .buf = out, .prefix = PREFIX };
	const struct hub *h = m->hub;
	uint64_t consoles = 0;

	for (const struct list *c = h->consoles.next; c != &h->consoles; c = c->next)
		consoles++;
	prom_head(&p, "hub_info", "gauge", "What runs; always 1.");
	prom_labelled(&p, "hub_info", "version", FAIRLEAD_VERSION, 1);
	prom_one(&p, "hub_start_time_seconds", "gauge", "Unix time of the start.",
		 (uint64_t)m->started_s);
	prom_one(&p, "devices", "gauge", "Devices that are enrolled.", registry_count(h->registry));
	prom_one(&p, "devices_connected", "gauge", "Of those, connected now.",
		 registry_online(h->registry));
	prom_one(&p, "consoles_connected", "gauge", "Consoles and commands connected now.",
		 consoles);
	prom_one(&p, "hub_store_jobs_waiting", "gauge",
		 "Reads and writes that the store has not begun.", store_queue_length(h->store));
	put_running(&p, h);
	put_routed(&p, m);
	put_set_up(&p, m);
	prom_process(&p);
	return p.err;
}

/* ---- life ---- */

static int gather(void *arg)
{
	const struct hub_metrics *m = arg;

	monitor_answer(m->monitor);
	return 0;
}

static unsigned write_metrics(void *arg, struct buf *out)
{
	return hub_metrics_text(arg, out) < 0 ? 0 : 200;
}

static unsigned write_health(void *arg, struct buf *out)
{
	return buf_printf(out, "ok\n") < 0 ? 0 : 200;
}

static const struct monitor_page pages[] = {
	{ "/metrics", MONITOR_PROMETHEUS, write_metrics },
	{ "/health", MONITOR_TEXT, write_health },
	{ NULL },
};
static const struct monitor_config config = {
	.pages = pages,
	.text_max = METRICS_TEXT_MAX,
	.late = "the hub is busy\n",
	.gather = gather,
};

int hub_metrics_create(struct hub *h, const struct addr *at, struct hub_metrics **out)
{
	struct hub_metrics *m = calloc(1, sizeof(*m));
	char text[ADDR_TEXT_MAX];
	struct addr real;
	int err;

	if (!m)
		return -ENOMEM;
	m->hub = h;
	m->started_s = hub_now_ms() / 1000;
	text_copy(m->other.place, sizeof(m->other.place), "other");
	err = monitor_create(h->loop, at, &config, m, &m->monitor);
	if (err < 0) {
		free(m);
		return err;
	}
	real = monitor_addr(m->monitor);
	log_info("listening", "metrics=%s", addr_format(&real, text));
	*out = m;
	return 0;
}

void hub_metrics_destroy(struct hub_metrics *m)
{
	if (!m)
		return;
	monitor_destroy(m->monitor);
	for (size_t i = 0; i < m->n_places; i++)
		free(m->places[i]);
	free(m);
}
