#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/text.h"
#include "peer/driver.h"

static struct driver_lookup *free_lookup(struct fl_peer *p)
{
	for (size_t i = 0; i < DRIVER_LOOKUPS_MAX; i++)
		if (!p->lookups[i].used)
			return &p->lookups[i];
	return NULL;
}

static void server_found(struct fl_peer *p, struct driver_server *server, const struct addr *addrs,
			 size_t n)
{
	bool have[3] = { false };

	for (size_t i = 0; i < n; i++) { /* one address of each family is enough */
		int err;

		if (have[addrs[i].family])
			continue;
		have[addrs[i].family] = true;
		err = peer_add_stun_server(p->core, usec_monotonic(), &addrs[i]);
		if (err == 0 && server)
			server->addrs[addrs[i].family == ADDR_V6] = addrs[i];
		if (err == 0)
			driver_nat_server(p, &addrs[i]);
		if (err < 0)
			driver_server_failed(server, FL_SERVER_UNUSED, 0,
					     err == FL_EQUOTA ? "over the limit of STUN servers"
					     : err == -EEXIST ? "is asked already"
							      : "cannot be asked from here");
	}
}

static void on_resolved(void *arg, int err, const char *why, const struct addr *addrs, size_t n)
{
	struct driver_lookup *l = arg;
	struct fl_peer *p = l->peer;

	l->resolve = NULL;
	l->used = false;
	if (err == 0)
		server_found(p, l->server, addrs, n);
	else
		driver_server_failed(l->server, FL_SERVER_FAILED, 0, why);
	driver_gathered(p);
	driver_flush(p);
}

/* True when the core was told something. */
static bool on_mdns_event(struct fl_peer *p, const struct mdns_event *ev)
{
	bool any = false;

	for (size_t i = 0; i < DRIVER_LOOKUPS_MAX; i++) {
		struct driver_lookup *l = &p->lookups[i];
		struct ice_candidate c = l->candidate;

		if (!l->used || !l->mdns ||
		    !text_equal_nocase(span_str(c.host), span_str(ev->name)))
			continue;
		l->used = false;
		if (ev->type != MDNS_EVENT_ADDRESS) {
			peer_unresolved(p->core, &c,
					"its .local name has no address in this network");
			continue;
		}
		c.addr = ev->addr;
		c.addr.port = l->candidate.addr.port;
		peer_resolved(p->core, usec_monotonic(), &c);
		any = true;
	}
	return any;
}

static void flush_mdns(struct fl_peer *p)
{
	struct mdns_event ev;
	struct dgram d;
	bool any = false;

	while (mdns_next_output(p->mdns, &d))
		if (d.remote.family == ADDR_V4 && udp_send(p->mdns_udp, &d) < 0)
			break; /* asked again soon */
	udp_flush(p->mdns_udp);
	while (mdns_next_event(p->mdns, &ev))
		any |= on_mdns_event(p, &ev);
	(void)loop_timer_at(&p->mdns_timer, mdns_deadline(p->mdns));
	if (any)
		driver_flush(p);
}

static void on_mdns_batch(void *arg, const struct dgram *dgrams, size_t n)
{
	struct fl_peer *p = arg;

	for (size_t i = 0; i < n; i++)
		mdns_input(p->mdns, usec_monotonic(), &dgrams[i]);
	flush_mdns(p);
}

static void on_mdns_timer(void *arg)
{
	struct fl_peer *p = arg;

	mdns_timeout(p->mdns, loop_now(p->loop));
	flush_mdns(p);
}

/* Where port 5353 is not to be had, browsers' checks still arrive, as peer-reflexive ones. */
void driver_names_init(struct fl_peer *p)
{
	struct udp_config config = { .reuse = true, .ttl = 255 };

	config.bind = (struct addr){ .family = ADDR_V4, .port = MDNS_PORT };
	loop_timer_init(p->loop, &p->mdns_timer, on_mdns_timer, p);
	p->mdns = mdns_create(rng_system());
	if (!p->mdns)
		return;
	if (udp_create(p->loop, &config, on_mdns_batch, p, &p->mdns_udp) < 0) {
		mdns_destroy(p->mdns);
		p->mdns = NULL;
		p->mdns_udp = NULL;
	}
}

/* The IPv4 group carries the addresses of both families. */
void driver_names_links(struct fl_peer *p, const struct iface *list, size_t n)
{
	struct addr group;

	if (!p->mdns || addr_parse_ip(MDNS_GROUP_V4, &group) < 0)
		return;
	mdns_clear_links(p->mdns);
	for (size_t i = 0; i < n; i++)
		if (!list[i].point_to_point && (!list[i].loopback || p->loopback) &&
		    mdns_add_link(p->mdns, &list[i].addr, list[i].prefix_bits) == 0 &&
		    list[i].addr.family == ADDR_V4 &&
		    udp_join(p->mdns_udp, &group, list[i].index) < 0)
			continue; /* no multicast there, or joined before */
}

static void ask_mdns(struct fl_peer *p, struct driver_lookup *l)
{
	l->mdns = p->mdns && mdns_resolve(p->mdns, usec_monotonic(), l->candidate.host) == 0;
	l->used = l->mdns;
	if (!l->mdns)
		peer_unresolved(p->core, &l->candidate,
				p->mdns ? "over the limit of names to look up"
					: "UDP port 5353 is not to be had here, so its .local name "
					  "cannot be looked up");
	if (l->mdns)
		flush_mdns(p);
}

/*
 * Candidates that hide their address behind a .local name. Any other name is passed over, as
 * browsers do: the other side could have us ask the site's resolver for whatever it likes.
 */
void driver_names_start(struct fl_peer *p)
{
	struct ice_candidate c;

	while (peer_next_name(p->core, &c)) {
		struct driver_lookup *l = free_lookup(p);

		if (!l || !mdns_is_name(c.host)) {
			peer_unresolved(p->core, &c,
					l ? "a name that is not a browser's .local name"
					  : "over the limit of names to look up");
			continue;
		}
		*l = (struct driver_lookup){ .peer = p, .candidate = c };
		ask_mdns(p, l);
	}
}

static int stun_server(struct fl_peer *p, const struct ice_url *url, const char *text)
{
	struct driver_lookup *l = free_lookup(p);
	int err;

	if (p->rules.core.no_punched) {
		driver_server_failed(driver_server_add(p, text, "udp", false), FL_SERVER_UNUSED, 0,
				     "the policy allows no punched route");
		return 0;
	}
	if (!l)
		return FL_EQUOTA;
	*l = (struct driver_lookup){ .peer = p, .used = true };
	l->server = driver_server_add(p, text, "udp", false);
	driver_server_asking(l->server);
	err = resolve_start(p->loop, url->host, url->port, on_resolved, l, &l->resolve);
	l->used = err == 0;
	p->n_gathering += err == 0;
	return err;
}

int driver_ice_servers(struct fl_peer *p, const struct fl_peer_config *config)
{
	int err = 0;

	p->n_gathering = 1; /* so that the end is not told before all have begun */
	for (size_t i = 0; i < config->n_ice_servers && err == 0; i++) {
		const struct fl_ice_server *server = &config->ice_servers[i];
		struct ice_url url;

		err = ice_url_parse(server->url, &url);
		if (err == 0)
			err = url.turn ? driver_relays_add(p, &url, server)
				       : stun_server(p, &url, server->url);
		if (err == FL_EUNSUPPORTED || err == FL_EQUOTA)
			err = 0; /* the others may be of use */
		if (err == FL_EMALFORMED)
			err = -EINVAL;
	}
	driver_gathered(p);
	return err;
}

void driver_names_finish(struct fl_peer *p)
{
	for (size_t i = 0; i < DRIVER_LOOKUPS_MAX; i++)
		resolve_cancel(p->lookups[i].resolve);
	loop_timer_stop(&p->mdns_timer);
	udp_destroy(p->mdns_udp);
	mdns_destroy(p->mdns);
}
