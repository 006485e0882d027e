/*
 * ICE over TCP (RFC 6544): a listening socket and an active candidate per address, and connections
 * whose packets are framed by RFC 4571: two bytes of length, then the packet.
 *
 * A connection is known by both its ends as the core names them: local is the candidate's address
 * (the listener's, or IP and port 9 for those we begin). One that the core sends to and that is not
 * there is begun; what is sent before it is open waits in its stream. A stranger can connect to the
 * listener: it has a named number of connections, and one that brings nothing is closed.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/wire.h"
#include "peer/driver.h"

#define SILENT_MAX_US (30 * USEC_PER_SEC) /* RFC 7675: consent is gone by then */
#define QUEUE_MAX (256 * 1024)		  /* beyond it packets are lost, as on any full network */
#define PACKET_MAX 2048			  /* of what we understand */
#define OPEN_TIMEOUT_US (5 * USEC_PER_SEC)

static void conn_free(struct driver_tcp_conn *c)
{
	loop_timer_stop(&c->silence);
	stream_destroy(c->stream);
	*c = (struct driver_tcp_conn){ 0 };
}

static void on_silence(void *arg)
{
	conn_free(arg);
}

static void on_read(void *arg, struct buf *in)
{
	struct driver_tcp_conn *c = arg;
	struct fl_peer *p = c->peer;
	usec_t now = usec_monotonic();

	(void)loop_timer_after(&c->silence, SILENT_MAX_US);
	for (;;) {
		struct reader r = reader_of(buf_span(in));
		size_t len = reader_u16(&r);
		struct span packet = reader_bytes(&r, len);
		struct dgram d = { c->local, c->remote, packet, DGRAM_TCP };

		if (reader_failed(&r))
			break;
		if (len > 0 && len <= PACKET_MAX && peer_input(p->core, now, &d) < 0)
			break;
		buf_consume(in, 2 + len);
	}
	driver_flush(p);
}

static void on_close(void *arg, int err)
{
	struct driver_tcp_conn *c = arg;
	struct fl_peer *p = c->peer;

	peer_note_error(p->core, &c->local, &c->remote, DGRAM_TCP, err ? err : -ECONNRESET);
	conn_free(c);
}

static void on_open(void *arg)
{
	(void)arg;
}

static const struct stream_handler handler = {
	.on_open = on_open,
	.on_read = on_read,
	.on_close = on_close,
};

static struct driver_tcp_conn *find(struct fl_peer *p, const struct addr *local,
				    const struct addr *remote)
{
	for (size_t i = 0; i < DRIVER_TCP_CONNS_MAX; i++) {
		struct driver_tcp_conn *c = &p->tcp_conns[i];

		if (c->stream && addr_equal(&c->local, local) && addr_equal(&c->remote, remote))
			return c;
	}
	return NULL;
}

static struct driver_tcp_conn *take_conn(struct fl_peer *p, const struct addr *local,
					 const struct addr *remote)
{
	for (size_t i = 0; i < DRIVER_TCP_CONNS_MAX; i++) {
		struct driver_tcp_conn *c = &p->tcp_conns[i];

		if (c->stream)
			continue;
		*c = (struct driver_tcp_conn){ .peer = p, .local = *local, .remote = *remote };
		loop_timer_init(p->loop, &c->silence, on_silence, c);
		return c;
	}
	return NULL;
}

static struct stream_config config_of(const struct fl_peer *p)
{
	return (struct stream_config){ .write_max = QUEUE_MAX,
				       .open_timeout_us = OPEN_TIMEOUT_US,
				       .dscp = p->rules.dscp };
}

static struct driver_tcp_conn *begin(struct fl_peer *p, const struct dgram *d)
{
	struct driver_tcp_conn *c = take_conn(p, &d->local, &d->remote);
	struct stream_config config = config_of(p);
	struct addr from = d->local;
	int err;

	if (!c)
		return NULL;
	from.port = 0;
	config.bind = &from;
	err = stream_connect(p->loop, &d->remote, &config, &handler, c, &c->stream);
	if (err < 0) {
		peer_note_error(p->core, &d->local, &d->remote, DGRAM_TCP, err);
		*c = (struct driver_tcp_conn){ 0 };
		return NULL;
	}
	(void)loop_timer_after(&c->silence, SILENT_MAX_US);
	return c;
}

void driver_tcp_send(struct fl_peer *p, const struct dgram *d)
{
	struct driver_tcp_conn *c = find(p, &d->local, &d->remote);
	uint8_t head[2];
	struct writer w = writer_of(head, sizeof(head));
	struct span parts[2] = { { head, sizeof(head) }, d->data };

	if (!c && d->local.port == ICE_TCP_ACTIVE_PORT)
		c = begin(p, d);
	if (!c || d->data.len > UINT16_MAX)
		return;
	writer_u16(&w, (uint16_t)d->data.len);
	if (stream_write_parts(c->stream, parts, ARRAY_LEN(parts)) == FL_EQUOTA)
		return; /* full: the packet is lost, as on any network */
}

static void on_accept(void *arg, int fd, const struct addr *from)
{
	struct driver_tcp *t = arg;
	struct driver_tcp_conn *c = take_conn(t->peer, &t->passive, from);
	const struct stream_config config = config_of(t->peer);

	if (!c) {
		close(fd);
		return;
	}
	if (stream_adopt(t->peer->loop, fd, &config, &handler, c, &c->stream) < 0)
		*c = (struct driver_tcp_conn){ 0 };
	else
		(void)loop_timer_after(&c->silence, SILENT_MAX_US);
}

static int listen_at(struct driver_tcp *t, const struct addr *at)
{
	const struct listener_config config = { .at = *at, .dscp = t->peer->rules.dscp };

	return listener_open(t->peer->loop, &config, on_accept, t, &t->listener);
}

static int add(struct fl_peer *p, const struct driver_socket *s, const struct addr *at,
	       enum ice_transport transport)
{
	struct peer_local local = s->local;

	local.ice.addr = *at;
	local.ice.transport = transport;
	return peer_add_local(p->core, usec_monotonic(), &local);
}

void driver_tcp_open(struct fl_peer *p, const struct driver_socket *s)
{
	struct driver_tcp *t = p->tcp;
	struct addr at = s->addr;

	while (t < p->tcp + DRIVER_TCP_MAX && t->used)
		t++;
	if (t == p->tcp + DRIVER_TCP_MAX)
		return;
	*t = (struct driver_tcp){ .used = true, .peer = p, .active = at, .passive = at };
	t->active.port = ICE_TCP_ACTIVE_PORT;
	t->has_active = add(p, s, &t->active, ICE_TCP_ACTIVE) == 0;
	/* the port of the UDP socket, so that one rule in a firewall can name both; else any */
	if (listen_at(t, &at) < 0) {
		at.port = 0;
		if (p->rules.ports.min || listen_at(t, &at) < 0)
			return;
	}
	t->passive = listener_addr(t->listener);
	t->passive.scope = at.scope;
	if (add(p, s, &t->passive, ICE_TCP_PASSIVE) < 0) {
		listener_destroy(t->listener);
		t->listener = NULL;
	}
}

static void close_one(struct fl_peer *p, struct driver_tcp *t)
{
	if (t->has_active)
		peer_remove_local(p->core, usec_monotonic(), &t->active, DGRAM_TCP);
	if (t->listener)
		peer_remove_local(p->core, usec_monotonic(), &t->passive, DGRAM_TCP);
	listener_destroy(t->listener);
	for (size_t i = 0; i < DRIVER_TCP_CONNS_MAX; i++)
		if (p->tcp_conns[i].stream && addr_ip_equal(&p->tcp_conns[i].local, &t->active))
			conn_free(&p->tcp_conns[i]);
	*t = (struct driver_tcp){ 0 };
}

void driver_tcp_close(struct fl_peer *p, const struct addr *ip)
{
	for (size_t i = 0; i < DRIVER_TCP_MAX; i++)
		if (p->tcp[i].used && addr_ip_equal(&p->tcp[i].active, ip))
			close_one(p, &p->tcp[i]);
}

void driver_tcp_finish(struct fl_peer *p)
{
	for (size_t i = 0; i < DRIVER_TCP_CONNS_MAX; i++)
		if (p->tcp_conns[i].stream)
			conn_free(&p->tcp_conns[i]);
	for (size_t i = 0; i < DRIVER_TCP_MAX; i++)
		if (p->tcp[i].used)
			listener_destroy(p->tcp[i].listener);
}
