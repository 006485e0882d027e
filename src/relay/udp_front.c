#include "relay/udp_front.h"

#include <errno.h>
#include <netinet/udp.h>
#include <unistd.h>

#include "base/log.h"
#include "relay/gro.h"
#include "relay/peer_socket.h"
#include "relay/udp_path.h"

#define BUFFER_BYTES (8 << 20) /* of a listener: all clients' datagrams wait there */

struct udp_front {
	struct worker *worker;
	struct udp_front *next; /* of the worker */
	struct addr at;
	struct loop_watch watch;
	struct gro gro;
	bool wildcard, v6, shared;
	int fd;
	struct list unsent; /* in udp_path */
	struct outbox out;
};

/* Datagrams of one client, one after the other, in a batch. */
struct run {
	const union sock_name *name; /* NULL: none yet */
	struct link link;
	bool looked;
	struct turn_alloc *alloc;
	uint16_t channel; /* 0: none */
	const struct addr *peer;
	struct peer_socket *to;
};

static int set_int(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value)) < 0 ? -errno : 0;
}

/* ---- out ---- */

static void flush_front(struct udp_front *f)
{
	f->worker->count.send_errors += outbox_send(&f->out, f->fd);
	list_remove(&f->unsent);
}

void udp_path_flush(struct worker *w)
{
	struct udp_path *p = w->path;

	while (!list_empty(&p->unsent))
		flush_front(list_entry(p->unsent.next, struct udp_front, unsent));
	area_clear(p->from_peers);
}

static void flush_deferred(void *arg)
{
	struct worker *w = arg;

	w->path->flush_pending = false;
	udp_path_flush(w);
}

void udp_front_queue(struct udp_front *f, const struct turn_flow *to, const union sock_name *name,
		     struct span head, struct span data)
{
	struct udp_path *p = f->worker->path;
	const struct addr *from = f->wildcard ? &to->server : NULL;

	if (!outbox_add(&f->out, name, from, head, data)) {
		f->worker->count.send_errors += outbox_send(&f->out, f->fd);
		if (!outbox_add(&f->out, name, from, head, data))
			return;
	}
	if (list_empty(&f->unsent))
		list_push_back(&p->unsent, &f->unsent);
	if (!p->flush_pending) {
		p->flush_pending = true;
		loop_defer(f->worker->loop, &p->flush, flush_deferred, f->worker);
	}
}

/* At once: the bytes are borrowed from the core. */
static bool send_now(struct udp_front *f, const struct addr *to, const struct addr *from,
		     struct span head, struct span data)
{
	struct outbox *o = &f->worker->path->to_peers;
	union sock_name name;

	if (sock_name_from(to, &name) == 0)
		return false;
	if (!outbox_empty(o))
		peer_path_flush(f->worker);
	if (!outbox_add(o, &name, f->wildcard ? from : NULL, head, data))
		return false;
	if (outbox_send(o, f->fd) == 0)
		return true;
	f->worker->count.send_errors++;
	return false;
}

static size_t udp_link_send(const struct link *l, const struct link_msg *msgs, size_t n)
{
	size_t sent = 0;

	for (size_t i = 0; i < n; i++)
		sent += send_now(l->owner, &l->flow.client, &l->flow.server, msgs[i].head,
				 msgs[i].data);
	return sent;
}

const struct link_ops udp_link_ops = { .send = udp_link_send };

static struct udp_front *front_at(struct worker *w, const struct addr *at)
{
	for (struct udp_front *f = w->udp_fronts; f; f = f->next)
		if (addr_equal(&f->at, at))
			return f;
	return NULL;
}

/* The socket that stands at the address which origin names, seen from server. */
static struct udp_front *other_front(struct udp_front *f, const struct addr *server,
				     enum stun_origin origin)
{
	const struct stun_behaviour *b = relay_behaviour(f->worker->relay);
	unsigned change = (unsigned)origin;

	if (!b || origin == STUN_ORIGIN_SAME)
		return origin == STUN_ORIGIN_SAME ? f : NULL;
	for (unsigned i = 0; i < 4; i++) {
		unsigned address = i >> 1, port = i & 1;

		if (!addr_equal(&b->at[address][port], server))
			continue;
		address ^= change & STUN_ORIGIN_OTHER_ADDRESS ? 1 : 0;
		port ^= change & STUN_ORIGIN_OTHER_PORT ? 1 : 0;
		return front_at(f->worker, &b->at[address][port]);
	}
	return NULL;
}

void udp_front_reply(struct udp_front *f, const struct link *l, const struct turn_verdict *v)
{
	struct udp_front *from = other_front(f, &l->flow.server, v->origin);
	struct addr to = l->flow.client;

	if (!from)
		return;
	if (v->reply_port)
		to.port = v->reply_port;
	send_now(from, &to, from == f ? &l->flow.server : &from->at, v->head, v->data);
}

/* ---- in ---- */

static void begin_run(struct udp_front *f, struct run *run, const union sock_name *name,
		      const struct addr *local)
{
	*run = (struct run){ .name = name };
	run->link.ops = &udp_link_ops;
	run->link.owner = f;
	run->link.flow.transport = TURN_UDP;
	run->link.flow.server = *local;
	if (!sock_name_addr(name, &run->link.flow.client))
		run->name = NULL;
}

/* What a channel of this run leads to; false: the core is to judge. */
static bool find_channel(struct udp_front *f, struct run *run, uint16_t channel)
{
	struct relayed *r;

	if (run->channel == channel)
		return run->peer != NULL;
	if (!run->looked) {
		run->alloc = turn_server_find(f->worker->core, &run->link.flow);
		run->looked = true;
	}
	if (!run->alloc)
		return false;
	run->channel = channel;
	run->peer = turn_alloc_channel(run->alloc, loop_now(f->worker->loop), channel);
	r = turn_alloc_data(run->alloc);
	if (!run->peer || !r->udp) {
		run->peer = NULL;
		return false;
	}
	run->to = &r->udp->at[run->peer->family == ADDR_V6];
	return true;
}

static void take(struct udp_front *f, struct run *run, struct span d)
{
	const uint8_t *p = d.ptr;

	if (d.len >= TURN_CHANNEL_HEADER_LEN && (p[0] & 0xC0) == 0x40) {
		uint16_t channel = (uint16_t)(p[0] << 8 | p[1]);
		size_t len = (size_t)(p[2] << 8 | p[3]);

		if (len <= d.len - TURN_CHANNEL_HEADER_LEN && find_channel(f, run, channel)) {
			peer_socket_queue(run->to, run->peer,
					  span_of(p + TURN_CHANNEL_HEADER_LEN, len));
			return;
		}
	}
	/* the core may change anything: what is queued goes before it, what was looked up is void
	 */
	peer_path_flush(f->worker);
	worker_message(f->worker, &run->link, d);
	run->looked = false;
	run->channel = 0;
}

static void take_slot(struct udp_front *f, struct run *run, struct area *a, unsigned slot,
		      unsigned *coalesced)
{
	struct addr local = f->at;
	size_t segment = area_segment(a, slot, &local), len = area_len(a, slot);
	const uint8_t *bytes = area_bytes(a, slot);

	if (!run->name || !sock_name_equal(run->name, &a->names[slot]) ||
	    (f->wildcard && !addr_ip_equal(&local, &run->link.flow.server)))
		begin_run(f, run, &a->names[slot], &local);
	if (!run->name)
		return;
	if (segment == 0) {
		take(f, run, span_of(bytes, len));
		return;
	}
	++*coalesced;
	for (size_t at = 0; at < len; at += segment)
		take(f, run, span_of(bytes + at, FL_MIN(segment, len - at)));
}

static bool follows(const struct area *a, unsigned slot)
{
	return slot > 0 && area_len(a, slot) == area_len(a, slot - 1) &&
	       sock_name_equal(&a->names[slot], &a->names[slot - 1]);
}

static void read_batch(struct udp_front *f)
{
	struct area *a = f->worker->path->from_clients;
	unsigned coalesced = 0, followers = 0;
	struct run run = { 0 };
	int n = area_read(a, f->fd, AREA_SLOTS);

	for (int i = 0; i < n; i++) {
		followers += follows(a, (unsigned)i);
		take_slot(f, &run, a, (unsigned)i, &coalesced);
	}
	peer_path_flush(f->worker);
	area_clear(a);
	if (n > 0 && gro_batch(&f->gro, (unsigned)n, coalesced, followers))
		(void)set_int(f->fd, SOL_UDP, UDP_GRO, !f->gro.off);
}

static void on_ready(void *arg, uint32_t events)
{
	(void)events; /* an error shows up as a failed read, which takes it away */
	read_batch(arg);
}

/* ---- life ---- */

static void set_options(int fd)
{
	set_int(fd, SOL_UDP, UDP_GRO, 1); /* see gro.h */
	if (set_int(fd, SOL_SOCKET, SO_RCVBUFFORCE, BUFFER_BYTES) < 0)
		set_int(fd, SOL_SOCKET, SO_RCVBUF, BUFFER_BYTES);
	if (set_int(fd, SOL_SOCKET, SO_SNDBUFFORCE, BUFFER_BYTES) < 0)
		set_int(fd, SOL_SOCKET, SO_SNDBUF, BUFFER_BYTES);
}

static int open_socket(struct udp_front *f, const struct addr *at)
{
	union sock_name name;
	socklen_t len = sock_name_from(at, &name);
	int err;

	f->fd = socket(name.sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (f->fd < 0)
		return -errno;
	err = at->family == ADDR_V6 ? set_int(f->fd, IPPROTO_IPV6, IPV6_V6ONLY, 1) : 0;
	if (err == 0)
		err = set_int(f->fd, SOL_SOCKET, SO_REUSEPORT, 1);
	if (err == 0 && bind(f->fd, &name.sa, len) < 0)
		err = -errno;
	return err;
}

static int look_at_socket(struct udp_front *f)
{
	union sock_name name = { 0 };
	socklen_t len = sizeof(name);
	int reuse = 0;

	if (getsockname(f->fd, &name.sa, &len) < 0)
		return -errno;
	if (!sock_name_addr(&name, &f->at))
		return -EAFNOSUPPORT;
	f->v6 = f->at.family == ADDR_V6;
	f->wildcard = addr_range(&f->at) == ADDR_UNSPECIFIED;
	len = sizeof(reuse);
	f->shared = getsockopt(f->fd, SOL_SOCKET, SO_REUSEPORT, &reuse, &len) == 0 && reuse;
	if (!f->wildcard)
		return 0;
	return f->v6 ? set_int(f->fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1)
		     : set_int(f->fd, IPPROTO_IP, IP_PKTINFO, 1);
}

int udp_front_create(struct worker *w, const struct addr *at, int fd, struct udp_front **out)
{
	struct udp_front *f = calloc(1, sizeof(*f));
	int err = 0;

	if (!f) {
		fl_closep(&fd);
		return -ENOMEM;
	}
	f->worker = w;
	f->fd = fd;
	list_init(&f->unsent);
	f->next = w->udp_fronts;
	w->udp_fronts = f;
	if (fd < 0)
		err = open_socket(f, at);
	if (err == 0)
		err = look_at_socket(f);
	if (err == 0) {
		set_options(f->fd);
		err = loop_watch_start(w->loop, &f->watch, f->fd, EPOLLIN, on_ready, f);
	}
	if (err < 0) {
		udp_front_destroy(f);
		return err;
	}
	*out = f;
	return 0;
}

void udp_front_destroy(struct udp_front *f)
{
	if (!f)
		return;
	for (struct udp_front **p = &f->worker->udp_fronts; *p; p = &(*p)->next)
		if (*p == f) {
			*p = f->next;
			break;
		}
	list_remove(&f->unsent);
	loop_watch_stop(&f->watch);
	fl_closep(&f->fd);
	free(f);
}

struct addr udp_front_addr(const struct udp_front *f)
{
	return f->at;
}

bool udp_front_shared(const struct udp_front *f)
{
	return f->shared;
}

int udp_path_create(struct udp_path **out)
{
	struct udp_path *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	list_init(&p->unsent);
	list_init(&p->flush.node);
	p->n_up = 1;
	p->queued_tail = &p->queued;
	p->from_clients = area_create();
	p->from_peers = area_create();
	if (!p->from_clients || !p->from_peers) {
		udp_path_destroy(p);
		return -ENOMEM;
	}
	*out = p;
	return 0;
}

void udp_path_destroy(struct udp_path *p)
{
	if (!p)
		return;
	list_remove(&p->flush.node);
	area_destroy(p->from_clients);
	area_destroy(p->from_peers);
	free(p);
}
