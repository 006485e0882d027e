/*
 * What the NAT in front of us does, for the report: asked of the STUN servers one after the other
 * until one can tell (stun_nat.h), with two short-lived sockets beside those of the session. Begun
 * a little after the session, which never waits for it.
 */
#include "peer/driver.h"

#define BEGIN_US (100 * USEC_PER_MSEC)
#define AGAIN_US (500 * USEC_PER_MSEC) /* after this machine's addresses changed */

static void next_server(struct fl_peer *p);

static void stop(struct driver_nat *n)
{
	for (size_t i = 0; i < ARRAY_LEN(n->udp); i++) {
		udp_destroy(n->udp[i]);
		n->udp[i] = NULL;
	}
	loop_timer_stop(&n->timer);
}

static enum fl_nat_mapping mapping_of(enum stun_nat_mapping mapping)
{
	switch (mapping) {
	case STUN_NAT_MAPPING_UNKNOWN:
		return FL_MAPPING_UNKNOWN;
	case STUN_NAT_MAPPING_NONE:
		return FL_MAPPING_NONE;
	case STUN_NAT_MAPPING_INDEPENDENT:
		return FL_MAPPING_INDEPENDENT;
	case STUN_NAT_MAPPING_ADDRESS:
		return FL_MAPPING_ADDRESS;
	case STUN_NAT_MAPPING_PORT:
		return FL_MAPPING_PORT;
	}
	return FL_MAPPING_UNKNOWN;
}

static enum fl_nat_filtering filtering_of(enum stun_nat_filtering filtering)
{
	switch (filtering) {
	case STUN_NAT_FILTERING_UNKNOWN:
		return FL_FILTERING_UNKNOWN;
	case STUN_NAT_FILTERING_OPEN:
		return FL_FILTERING_OPEN;
	case STUN_NAT_FILTERING_ADDRESS:
		return FL_FILTERING_ADDRESS;
	case STUN_NAT_FILTERING_PORT:
		return FL_FILTERING_PORT;
	}
	return FL_FILTERING_UNKNOWN;
}

static void pump(struct fl_peer *p)
{
	struct driver_nat *n = &p->nat;
	struct dgram d;

	while (stun_nat_next_output(&n->core, usec_monotonic(), &d)) {
		struct udp *from = n->udp[addr_equal(&d.local, &n->core.local[1])];

		if (udp_send(from, &d) == 0)
			udp_flush(from);
	}
	peer_note_nat(p->core, mapping_of(stun_nat_mapping(&n->core)),
		      filtering_of(stun_nat_filtering(&n->core)));
	if (!stun_nat_done(&n->core)) {
		(void)loop_timer_at(&n->timer, stun_nat_deadline(&n->core));
		return;
	}
	stop(n);
	if (stun_nat_filtering(&n->core) == STUN_NAT_FILTERING_UNKNOWN)
		next_server(p);
}

static void on_batch(void *arg, const struct dgram *dgrams, size_t count)
{
	struct fl_peer *p = arg;
	struct driver_nat *n = &p->nat;

	for (size_t i = 0; i < count; i++) {
		struct dgram d = dgrams[i];

		for (size_t s = 0; s < ARRAY_LEN(n->core.local); s++)
			if (d.local.port == n->core.local[s].port)
				d.local = n->core.local[s];
		stun_nat_input(&n->core, usec_monotonic(), &d);
	}
	pump(p);
}

/* The address of ours that the server is asked from first by the session too. */
static const struct addr *ask_from(const struct fl_peer *p, const struct addr *server)
{
	bool loopback = addr_range(server) == ADDR_LOOPBACK;

	for (size_t i = 0; i < DRIVER_SOCKETS_MAX; i++) {
		const struct driver_socket *s = &p->sockets[i];

		if (s->udp && s->addr.family == server->family &&
		    (addr_range(&s->addr) == ADDR_LOOPBACK) == loopback &&
		    addr_range(&s->addr) != ADDR_LINK_LOCAL)
			return &s->addr;
	}
	return NULL;
}

static int open_sockets(struct fl_peer *p, const struct addr *from, struct addr local[2])
{
	struct driver_nat *n = &p->nat;
	struct udp_config config = { .bind = *from };
	int err = 0;

	config.bind.port = 0;
	for (size_t i = 0; i < ARRAY_LEN(n->udp) && err == 0; i++) {
		err = driver_udp_open(p, config, on_batch, p, &n->udp[i]);
		if (err == 0)
			local[i] = udp_addr(n->udp[i]);
	}
	if (err < 0)
		stop(n);
	return err;
}

static void next_server(struct fl_peer *p)
{
	struct driver_nat *n = &p->nat;
	struct addr local[2];

	while (n->next < n->n_servers) {
		const struct addr *server = &n->servers[n->next++];
		const struct addr *from = ask_from(p, server);

		if (!from || open_sockets(p, from, local) < 0)
			continue;
		stun_nat_start(&n->core, rng_system(), usec_monotonic(), server, local);
		pump(p);
		return;
	}
}

static void on_timer(void *arg)
{
	struct fl_peer *p = arg;

	if (p->nat.udp[0])
		pump(p);
	else
		next_server(p);
}

void driver_nat_init(struct fl_peer *p)
{
	loop_timer_init(p->loop, &p->nat.timer, on_timer, p);
}

void driver_nat_server(struct fl_peer *p, const struct addr *server)
{
	struct driver_nat *n = &p->nat;

	if (n->n_servers == ARRAY_LEN(n->servers))
		return;
	n->servers[n->n_servers++] = *server;
	if (!n->udp[0] && n->next + 1 == n->n_servers &&
	    stun_nat_filtering(&n->core) == STUN_NAT_FILTERING_UNKNOWN)
		(void)loop_timer_after(&n->timer, BEGIN_US);
}

/* This machine may be behind another NAT now. */
void driver_nat_moved(struct fl_peer *p)
{
	struct driver_nat *n = &p->nat;

	if (n->n_servers == 0)
		return;
	stop(n);
	n->next = 0;
	peer_note_nat(p->core, FL_MAPPING_UNKNOWN, FL_FILTERING_UNKNOWN);
	(void)loop_timer_after(&n->timer, AGAIN_US);
}

void driver_nat_finish(struct fl_peer *p)
{
	stop(&p->nat);
}
