#include "peer/driver.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/text.h"

#define BUFFER (4 << 20) /* bytes asked for of the kernel, per socket and direction */

static void on_ifaces(void *arg);

static struct driver_socket *socket_of(struct fl_peer *p, const struct addr *local)
{
	for (size_t i = 0; i < DRIVER_SOCKETS_MAX; i++)
		if (p->sockets[i].udp && addr_equal(&p->sockets[i].addr, local))
			return &p->sockets[i];
	return NULL;
}

void driver_flush(struct fl_peer *p)
{
	struct driver_socket *s = NULL;
	struct dgram d;

	while (peer_next_output(p->core, usec_monotonic(), &d)) {
		if (d.via == DGRAM_TCP) {
			driver_tcp_send(p, &d);
			continue;
		}
		if (driver_relay_send(p, &d))
			continue;
		if (!s || !addr_equal(&s->addr, &d.local))
			s = socket_of(p, &d.local);
		if (s && udp_send(s->udp, &d) < 0)
			s = NULL; /* a full queue loses it, as a network would */
	}
	for (size_t i = 0; i < DRIVER_SOCKETS_MAX; i++)
		if (p->sockets[i].udp)
			udp_flush(p->sockets[i].udp);
	driver_relays_watch(p);
	if (p->relays_held && peer_relay_open(p->core))
		driver_relays_open(p);
	driver_relays_flush(p);
	driver_names_start(p);
	/* no memory for a timer: the next packet brings things on */
	(void)loop_timer_at(&p->timer, peer_deadline(p->core));
}

static void on_flush(void *arg)
{
	struct fl_peer *p = arg;

	p->flush_set = false;
	driver_flush(p);
}

void driver_flush_later(struct fl_peer *p)
{
	if (p->flush_set)
		return;
	p->flush_set = true;
	loop_defer(p->loop, &p->flush, on_flush, p);
}

void driver_gathered(struct fl_peer *p)
{
	if (--p->n_gathering == 0)
		peer_end_of_locals(p->core, usec_monotonic());
}

static void notice_wake(struct fl_peer *p)
{
	if (peer_note_asleep(p->core, usec_monotonic(), usec_asleep()))
		on_ifaces(p);
}

static void on_timer(void *arg)
{
	struct fl_peer *p = arg;

	notice_wake(p);
	if (peer_timeout(p->core, loop_now(p->loop)) == 0)
		driver_flush(p);
}

static void on_batch(void *arg, const struct dgram *dgrams, size_t n)
{
	struct driver_socket *s = arg;
	struct fl_peer *p = s->peer;
	usec_t now = usec_monotonic();

	for (size_t i = 0; i < n; i++) {
		struct dgram d = dgrams[i];

		d.local = s->addr;
		if (peer_input(p->core, now, &d) < 0)
			break;
	}
	driver_flush(p);
}

/* Into the report; the check is repeated in any case. */
static void on_send_error(void *arg, const struct addr *to, int err)
{
	struct driver_socket *s = arg;

	peer_note_error(s->peer->core, &s->addr, to, DGRAM_UDP, err);
}

int driver_udp_open(struct fl_peer *p, struct udp_config config,
		    void (*fn)(void *arg, const struct dgram *dgrams, size_t n), void *arg,
		    struct udp **out)
{
	config.dscp = p->rules.dscp;
	return ports_udp_create(p->loop, &p->rules.ports, &config, fn, arg, out);
}

static enum ice_net net_of(const struct iface *i)
{
	if (addr_range(&i->addr) == ADDR_LINK_LOCAL)
		return ICE_NET_LINK_LOCAL;
	if (i->virtual_link || i->point_to_point)
		return ICE_NET_VIRTUAL;
	return i->temporary ? ICE_NET_TEMPORARY : ICE_NET_PHYSICAL;
}

static void close_socket(struct fl_peer *p, struct driver_socket *s)
{
	driver_tcp_close(p, &s->addr);
	peer_remove_local(p->core, usec_monotonic(), &s->addr, DGRAM_UDP);
	udp_destroy(s->udp);
	s->udp = NULL;
}

/* Only an address that has no socket because the range is used up is worth telling: others, such as
 * a tentative one, have an event of their own later. */
static void note_no_socket(struct fl_peer *p, const struct iface *i, int err)
{
	const struct ice_candidate c = { .addr = i->addr };

	if (err != -EADDRINUSE || !p->rules.ports.min)
		return;
	p->ports_full = true;
	peer_left_out(p->core, usec_monotonic(), false, &c, i->name, PEER_IGNORED_LIMIT,
		      "no UDP port of the allowed range is free");
}

static void open_socket(struct fl_peer *p, const struct iface *i)
{
	struct peer_local local = { .ice = { .type = ICE_HOST, .net = net_of(i) },
				    .prefix_bits = i->prefix_bits };
	struct udp_config config = {
		.bind = i->addr, .rcvbuf = BUFFER, .sndbuf = BUFFER, .on_error = on_send_error
	};
	struct driver_socket *s = p->sockets;
	int err;

	local.ice.preference = driver_rules_preference(&p->rules, i);
	if (local.ice.preference) /* waited for, also a VPN that the policy prefers */
		local.ice.net = ICE_NET_PHYSICAL;
	while (s < p->sockets + DRIVER_SOCKETS_MAX && s->udp)
		s++;
	if (s == p->sockets + DRIVER_SOCKETS_MAX)
		return;
	s->peer = p;
	err = driver_udp_open(p, config, on_batch, s, &s->udp);
	if (err < 0) {
		s->udp = NULL;
		note_no_socket(p, i, err);
		return;
	}
	s->addr = udp_addr(s->udp);
	local.ice.addr = s->addr;
	text_copy(local.origin, sizeof(local.origin), i->name);
	s->local = local;
	if (peer_add_local(p->core, usec_monotonic(), &local) < 0)
		close_socket(p, s);
	else
		driver_tcp_open(p, s);
}

/* Why an address is left alone, for the report; NULL: it is used. */
static const char *unwanted(const struct iface *i)
{
	if (i->deprecated)
		return "deprecated: its preferred lifetime is over";
	if (i->addr.family == ADDR_V6 && addr_range(&i->addr) == ADDR_LINK_LOCAL)
		return "link-local IPv6: SDP cannot carry which interface is meant";
	return NULL;
}

static bool wanted(struct fl_peer *p, const struct iface *i)
{
	const struct ice_candidate c = { .addr = i->addr };
	const char *why = unwanted(i), *rule = driver_rules_exclude(&p->rules, i);

	if (i->loopback && !p->loopback)
		return false;
	if (rule)
		peer_left_out(p->core, usec_monotonic(), false, &c, i->name, PEER_IGNORED_POLICY,
			      rule);
	if (i->loopback || rule)
		return !rule;
	if (why)
		peer_left_out(p->core, usec_monotonic(), false, &c, i->name, PEER_IGNORED_ADDRESS,
			      why);
	return !why;
}

static bool has_socket(const struct fl_peer *p, const struct addr *ip)
{
	for (size_t s = 0; s < DRIVER_SOCKETS_MAX; s++)
		if (p->sockets[s].udp && addr_ip_equal(&p->sockets[s].addr, ip))
			return true;
	return false;
}

/* Sockets follow the addresses the machine has. */
static void match_ifaces(struct fl_peer *p)
{
	struct iface list[IFACES_MAX];
	int n = ifaces_list(list, IFACES_MAX);

	if (n < 0)
		return;
	driver_names_links(p, list, (size_t)n);
	for (size_t s = 0; s < DRIVER_SOCKETS_MAX; s++) {
		bool there = false;

		for (int i = 0; i < n && p->sockets[s].udp && !there; i++)
			there = addr_ip_equal(&p->sockets[s].addr, &list[i].addr);
		if (p->sockets[s].udp && !there)
			close_socket(p, &p->sockets[s]);
	}
	for (int i = 0; i < n; i++)
		if (!has_socket(p, &list[i].addr) && wanted(p, &list[i]))
			open_socket(p, &list[i]);
}

static void on_ifaces(void *arg)
{
	struct fl_peer *p = arg;

	/* a link that comes up is often the first that is heard after a sleep */
	(void)peer_note_asleep(p->core, usec_monotonic(), usec_asleep());
	match_ifaces(p);
	driver_relays_moved(p);
	driver_nat_moved(p);
	driver_flush(p);
}

static bool any_socket(const struct fl_peer *p)
{
	for (size_t s = 0; s < DRIVER_SOCKETS_MAX; s++)
		if (p->sockets[s].udp)
			return true;
	return false;
}

static int take_proxy(struct fl_peer *p, const struct fl_proxy *from)
{
	struct proxy_config config = { .url = from->url,
				       .user = from->user,
				       .password = from->password,
				       .ca_file = from->ca_file,
				       .except = from->except };
	char why[256];
	int err = proxy_create(&config, &p->proxy, why);

	return err == FL_EMALFORMED ? -EINVAL : err;
}

int driver_init(struct fl_peer *p, const struct fl_peer_config *config)
{
	struct peer_config core = {
		.identity = config->identity->dtls,
		.video_codecs = config->video_codecs,
		.n_video_codecs = config->n_video_codecs,
		.video_max_bps = config->video_max_bps,
		.loopback = config->loopback,
	};
	int err = driver_rules_init(&p->rules, config);

	if (err == 0)
		err = loop_create(&p->loop);
	if (err < 0)
		return err;
	p->loopback = config->loopback;
	core.policy = p->rules.core;
	loop_timer_init(p->loop, &p->timer, on_timer, p);
	err = peer_create(&core, rng_system(), &p->core);
	if (err < 0)
		return err;
	(void)peer_note_asleep(p->core, usec_monotonic(), usec_asleep());
	if (config->proxy)
		err = take_proxy(p, config->proxy);
	if (err < 0)
		return err;
	driver_names_init(p);
	driver_nat_init(p);
	match_ifaces(p);
	if (p->ports_full && !any_socket(p))
		return -EADDRINUSE;
	err = ifaces_watch_create(p->loop, on_ifaces, p, &p->ifaces);
	if (err < 0)
		p->ifaces = NULL; /* where netlink is forbidden the addresses stay as they are */
	return driver_ice_servers(p, config);
}

void driver_finish(struct fl_peer *p)
{
	if (!p->loop)
		return;
	driver_names_finish(p);
	driver_nat_finish(p);
	driver_tcp_finish(p);
	driver_relays_finish(p);
	ifaces_watch_destroy(p->ifaces);
	for (size_t i = 0; i < DRIVER_SOCKETS_MAX; i++)
		udp_destroy(p->sockets[i].udp);
	loop_timer_stop(&p->timer);
	peer_destroy(p->core);
	loop_destroy(p->loop);
	proxy_unref(p->proxy);
}
