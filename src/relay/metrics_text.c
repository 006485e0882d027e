/* The relay's figures. */
#include <inttypes.h>

#include "monitor/prom.h"
#include "relay/metrics.h"

#define PREFIX "fairlead_relay_"

static void by_transport(struct prom *o, const char *name, const char *help, const uint64_t *v)
{
	prom_head(o, name, "gauge", help);
	for (int t = 0; t < TURN_TRANSPORTS; t++)
		prom_labelled(o, name, "transport", turn_transport_name((enum turn_transport)t),
			      v[t]);
}

/* ---- allocations ---- */

static const char *const reasons[TURN_CLOSE_REASONS] = {
	[TURN_CLOSE_EXPIRED] = "not_refreshed",
	[TURN_CLOSE_REFRESHED_0] = "by_client",
	[TURN_CLOSE_CREDENTIALS] = "credentials",
	[TURN_CLOSE_FLOW] = "connection_ended",
};

static void allocations(struct prom *o, const struct relay_snapshot *s)
{
	by_transport(o, "allocations", "Allocations that are alive, by the client's transport.",
		     s->allocations);
	by_transport(o, "clients", "Open client connections; for udp, which has none, allocations.",
		     s->clients);
	prom_one(o, "allocations_created_total", "counter", "Allocations made.", s->turn.allocated);
	prom_one(o, "allocations_refreshed_total", "counter",
		 "Refreshes that prolonged an allocation.", s->turn.refreshed);
	prom_head(o, "allocations_closed_total", "counter", "Allocations that ended, by reason.");
	for (size_t i = 0; i < ARRAY_LEN(reasons); i++)
		prom_labelled(o, "allocations_closed_total", "reason", reasons[i],
			      s->turn.closed[i]);
	prom_one(o, "ports_free", "gauge", "Relayed ports that are free, of all relay addresses.",
		 s->ports_free);
}

/* ---- traffic ---- */

static void by_direction(struct prom *o, const char *name, const char *help,
			 const struct relay_snapshot *s, bool bytes)
{
	prom_head(o, name, "counter", help);
	for (int t = 0; t < TURN_TRANSPORTS; t++) {
		const char *transport = turn_transport_name((enum turn_transport)t);
		const struct relay_flow_count *up = &s->up[t], *down = &s->down[t];

		prom_put(o, PREFIX "%s{transport=\"%s\",direction=\"up\"} %" PRIu64 "\n", name,
			 transport, bytes ? up->bytes : up->packets);
		prom_put(o, PREFIX "%s{transport=\"%s\",direction=\"down\"} %" PRIu64 "\n", name,
			 transport, bytes ? down->bytes : down->packets);
	}
}

static void traffic(struct prom *o, const struct relay_snapshot *s)
{
	by_direction(o, "relayed_packets_total",
		     "Packets relayed from clients (up) and to clients (down).", s, false);
	by_direction(o, "relayed_bytes_total", "User data in them.", s, true);
	prom_head(o, "offloaded_packets_total", "counter",
		  "Packets that the kernel relayed by itself (--xdp); part of no other figure.");
	prom_labelled(o, "offloaded_packets_total", "direction", "up", s->offloaded_up.packets);
	prom_labelled(o, "offloaded_packets_total", "direction", "down", s->offloaded_down.packets);
	prom_head(o, "offloaded_bytes_total", "counter", "User data in them.");
	prom_labelled(o, "offloaded_bytes_total", "direction", "up", s->offloaded_up.bytes);
	prom_labelled(o, "offloaded_bytes_total", "direction", "down", s->offloaded_down.bytes);
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

static void requests(struct prom *o, const struct relay_snapshot *s)
{
	const struct turn_server_stats *t = &s->turn;

	prom_one(o, "bindings_total", "counter", "STUN Binding requests answered.", t->bindings);
	prom_head(o, "requests_total", "counter", "TURN requests, by method.");
	for (size_t i = 0; i < ARRAY_LEN(methods); i++)
		prom_labelled(o, "requests_total", "method", methods[i].name,
			      t->requests[methods[i].method]);
	prom_head(o, "errors_total", "counter", "Error answers, by kind.");
	for (size_t i = 0; i < ARRAY_LEN(errors); i++)
		prom_labelled(o, "errors_total", "kind", errors[i], t->errors[i]);
	prom_head(o, "dropped_total", "counter", "Packets that were neither answered nor relayed.");
	prom_labelled(o, "dropped_total", "reason", "malformed", t->malformed);
	prom_labelled(o, "dropped_total", "reason", "rate_limit", t->unanswered);
	prom_labelled(o, "dropped_total", "reason", "no_permission", t->no_permission);
	prom_labelled(o, "dropped_total", "reason", "no_allocation", t->no_allocation);
	prom_labelled(o, "dropped_total", "reason", "over_quota", s->over_quota);
	prom_labelled(o, "dropped_total", "reason", "send_error", s->send_errors);
	prom_one(o, "handshakes_failed_total", "counter",
		 "TLS, DTLS and WebSocket handshakes that did not end well.", s->handshakes_failed);
}

/* ---- the program ---- */

static void facts_text(struct prom *o, const struct metrics_facts *f, unsigned workers)
{
	prom_head(o, "info", "gauge", "What runs; always 1.");
	prom_labelled(o, "info", "version", FAIRLEAD_VERSION, 1);
	prom_one(o, "start_time_seconds", "gauge", "Unix time of the start.",
		 (uint64_t)f->started_s);
	prom_one(o, "workers", "gauge", "Worker threads.", workers);
	prom_one(o, "draining", "gauge", "1 while no new allocations are taken.", f->draining);
	prom_head(o, "reloads_total", "counter",
		  "Times that the configuration, or a changed certificate, was read again.");
	prom_labelled(o, "reloads_total", "result", "ok", f->reloads);
	prom_labelled(o, "reloads_total", "result", "failed", f->reload_failures);
	prom_one(o, "config_last_reload_successful", "gauge",
		 "0: the last reload found an error, and the settings before it are in use.",
		 !f->reload_failed);
	if (f->certificate_until_s > 0)
		prom_one(o, "certificate_expires_seconds", "gauge",
			 "Unix time of the certificate's end.", (uint64_t)f->certificate_until_s);
}

int metrics_text(const struct relay_snapshot *s, const struct metrics_facts *facts, struct buf *out)
{
	struct prom o = { .buf = out, .prefix = PREFIX };

	facts_text(&o, facts, s->workers);
	allocations(&o, s);
	traffic(&o, s);
	requests(&o, s);
	prom_process(&o);
	return o.err;
}
