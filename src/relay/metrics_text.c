/* Prometheus' text format: HELP and TYPE once, then a line a sample. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/err.h"
#include "relay/metrics.h"

#define PREFIX "fairlead_relay_"

struct out {
	struct buf *buf;
	int err; /* the first; nothing is written after it */
};

static void put(struct out *o, const char *fmt, ...) FL_PRINTF(2, 3);

static void put(struct out *o, const char *fmt, ...)
{
	va_list ap;

	if (o->err < 0)
		return;
	va_start(ap, fmt);
	o->err = buf_vprintf(o->buf, fmt, ap);
	va_end(ap);
}

static void head(struct out *o, const char *name, const char *type, const char *help)
{
	put(o, "# HELP " PREFIX "%s %s\n# TYPE " PREFIX "%s %s\n", name, help, name, type);
}

static void one(struct out *o, const char *name, const char *type, const char *help, uint64_t v)
{
	head(o, name, type, help);
	put(o, PREFIX "%s %" PRIu64 "\n", name, v);
}

static void labelled(struct out *o, const char *name, const char *label, const char *value,
		     uint64_t v)
{
	put(o, PREFIX "%s{%s=\"%s\"} %" PRIu64 "\n", name, label, value, v);
}

static void by_transport(struct out *o, const char *name, const char *help, const uint64_t *v)
{
	head(o, name, "gauge", help);
	for (int t = 0; t < TURN_TRANSPORTS; t++)
		labelled(o, name, "transport", turn_transport_name((enum turn_transport)t), v[t]);
}

/* ---- allocations ---- */

static const char *const reasons[TURN_CLOSE_REASONS] = {
	[TURN_CLOSE_EXPIRED] = "not_refreshed",
	[TURN_CLOSE_REFRESHED_0] = "by_client",
	[TURN_CLOSE_CREDENTIALS] = "credentials",
	[TURN_CLOSE_FLOW] = "connection_ended",
};

static void allocations(struct out *o, const struct relay_snapshot *s)
{
	by_transport(o, "allocations", "Allocations that are alive, by the client's transport.",
		     s->allocations);
	by_transport(o, "clients", "Open client connections; for udp, which has none, allocations.",
		     s->clients);
	one(o, "allocations_created_total", "counter", "Allocations made.", s->turn.allocated);
	one(o, "allocations_refreshed_total", "counter", "Refreshes that prolonged an allocation.",
	    s->turn.refreshed);
	head(o, "allocations_closed_total", "counter", "Allocations that ended, by reason.");
	for (size_t i = 0; i < ARRAY_LEN(reasons); i++)
		labelled(o, "allocations_closed_total", "reason", reasons[i], s->turn.closed[i]);
	one(o, "ports_free", "gauge", "Relayed ports that are free, of all relay addresses.",
	    s->ports_free);
}

/* ---- traffic ---- */

static void by_direction(struct out *o, const char *name, const char *help,
			 const struct relay_snapshot *s, bool bytes)
{
	head(o, name, "counter", help);
	for (int t = 0; t < TURN_TRANSPORTS; t++) {
		const char *transport = turn_transport_name((enum turn_transport)t);
		const struct relay_flow_count *up = &s->up[t], *down = &s->down[t];

		put(o, PREFIX "%s{transport=\"%s\",direction=\"up\"} %" PRIu64 "\n", name,
		    transport, bytes ? up->bytes : up->packets);
		put(o, PREFIX "%s{transport=\"%s\",direction=\"down\"} %" PRIu64 "\n", name,
		    transport, bytes ? down->bytes : down->packets);
	}
}

static void traffic(struct out *o, const struct relay_snapshot *s)
{
	by_direction(o, "relayed_packets_total",
		     "Packets relayed from clients (up) and to clients (down).", s, false);
	by_direction(o, "relayed_bytes_total", "User data in them.", s, true);
	head(o, "offloaded_packets_total", "counter",
	     "Packets that the kernel relayed by itself (--xdp); part of no other figure.");
	labelled(o, "offloaded_packets_total", "direction", "up", s->offloaded_up.packets);
	labelled(o, "offloaded_packets_total", "direction", "down", s->offloaded_down.packets);
	head(o, "offloaded_bytes_total", "counter", "User data in them.");
	labelled(o, "offloaded_bytes_total", "direction", "up", s->offloaded_up.bytes);
	labelled(o, "offloaded_bytes_total", "direction", "down", s->offloaded_down.bytes);
}

/* ---- requests ---- */

static const struct {
	unsigned method;
	const char *name;
} methods[] = {
	{ TURN_ALLOCATE, "allocate" },
	{ TURN_REFRESH, "refresh" },
	{ TURN_CREATE_PERMISSION, "create_permission" },
	{ TURN_CHANNEL_BIND, "channel_bind" },
	{ TURN_CONNECT, "connect" },
	{ TURN_CONNECTION_BIND, "connection_bind" },
};

static const char *const errors[] = {
	[TURN_ERROR_BAD] = "bad_request",
	[TURN_ERROR_UNAUTHENTICATED] = "unauthenticated",
	[TURN_ERROR_STALE_NONCE] = "stale_nonce",
	[TURN_ERROR_FORBIDDEN] = "forbidden_peer",
	[TURN_ERROR_QUOTA] = "quota",
	[TURN_ERROR_CAPACITY] = "capacity",
	[TURN_ERROR_FAMILY] = "family",
	[TURN_ERROR_MISMATCH] = "mismatch",
};

static void requests(struct out *o, const struct relay_snapshot *s)
{
	const struct turn_server_stats *t = &s->turn;

	one(o, "bindings_total", "counter", "STUN Binding requests answered.", t->bindings);
	head(o, "requests_total", "counter", "TURN requests, by method.");
	for (size_t i = 0; i < ARRAY_LEN(methods); i++)
		labelled(o, "requests_total", "method", methods[i].name,
			 t->requests[methods[i].method]);
	head(o, "errors_total", "counter", "Error answers, by kind.");
	for (size_t i = 0; i < ARRAY_LEN(errors); i++)
		labelled(o, "errors_total", "kind", errors[i], t->errors[i]);
	head(o, "dropped_total", "counter", "Packets that were neither answered nor relayed.");
	labelled(o, "dropped_total", "reason", "malformed", t->malformed);
	labelled(o, "dropped_total", "reason", "rate_limit", t->unanswered);
	labelled(o, "dropped_total", "reason", "no_permission", t->no_permission);
	labelled(o, "dropped_total", "reason", "no_allocation", t->no_allocation);
	labelled(o, "dropped_total", "reason", "over_quota", s->over_quota);
	labelled(o, "dropped_total", "reason", "send_error", s->send_errors);
	one(o, "handshakes_failed_total", "counter",
	    "TLS, DTLS and WebSocket handshakes that did not end well.", s->handshakes_failed);
}

/* ---- the process ---- */

/* The second number of statm: resident pages. */
static unsigned long resident_pages(void)
{
	FILE *f = fopen("/proc/self/statm", "re");
	unsigned long pages = 0;
	char line[128], *second;

	if (!f)
		return 0;
	second = fgets(line, sizeof(line), f) ? strchr(line, ' ') : NULL;
	if (second)
		pages = strtoul(second, NULL, 10);
	fclose(f);
	return pages;
}

static void process(struct out *o)
{
	unsigned long long resident = (unsigned long long)resident_pages() *
				      (unsigned long long)sysconf(_SC_PAGESIZE);
	struct rusage use;

	if (getrusage(RUSAGE_SELF, &use) == 0) {
		put(o, "# HELP process_cpu_seconds_total CPU time of the process.\n"
		       "# TYPE process_cpu_seconds_total counter\n");
		put(o, "process_cpu_seconds_total %.6f\n",
		    (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
			    (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6);
	}
	put(o, "# HELP process_resident_memory_bytes Memory of the process.\n"
	       "# TYPE process_resident_memory_bytes gauge\n");
	put(o, "process_resident_memory_bytes %llu\n", resident);
}

static void facts_text(struct out *o, const struct metrics_facts *f, unsigned workers)
{
	head(o, "info", "gauge", "What runs; always 1.");
	labelled(o, "info", "version", FAIRLEAD_VERSION, 1);
	one(o, "start_time_seconds", "gauge", "Unix time of the start.", (uint64_t)f->started_s);
	one(o, "workers", "gauge", "Worker threads.", workers);
	one(o, "draining", "gauge", "1 while no new allocations are taken.", f->draining);
	head(o, "reloads_total", "counter",
	     "Times that the configuration, or a changed certificate, was read again.");
	labelled(o, "reloads_total", "result", "ok", f->reloads);
	labelled(o, "reloads_total", "result", "failed", f->reload_failures);
	one(o, "config_last_reload_successful", "gauge",
	    "0: the last reload found an error, and the settings before it are in use.",
	    !f->reload_failed);
	if (f->certificate_until_s > 0)
		one(o, "certificate_expires_seconds", "gauge",
		    "Unix time of the certificate's end.", (uint64_t)f->certificate_until_s);
}

int metrics_text(const struct relay_snapshot *s, const struct metrics_facts *facts, struct buf *out)
{
	struct out o = { .buf = out };

	facts_text(&o, facts, s->workers);
	allocations(&o, s);
	traffic(&o, s);
	requests(&o, s);
	process(&o);
	return o.err;
}
