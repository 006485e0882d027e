#include "stack.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/wire.h"

#define ACTIVE_PORT 9
#define FIRST_CONN_PORT 45000
#define FIRST_ALLOC_PORT 40000
#define FIRST_RELAYED_PORT 60000
#define PEERS_MAX 64 /* of an allocation; the oldest gives way */
#define ASK_AGAIN_US (200 * USEC_PER_MSEC)
#define ASKS_MAX 20

enum { MSG_ASK, MSG_GRANT, MSG_SEND, MSG_DATA };

static void put_addr(struct writer *w, const struct addr *a)
{
	writer_u8(w, (uint8_t)a->family);
	writer_bytes(w, a->ip, sizeof(a->ip));
	writer_u16(w, a->port);
}

static struct addr get_addr(struct reader *r)
{
	struct addr a = { .family = (enum addr_family)reader_u8(r) };

	reader_copy(r, a.ip, sizeof(a.ip));
	a.port = reader_u16(r);
	return a;
}

/* A message with an address and bytes behind it. */
static void post(struct sim_host *host, const struct addr *from, const struct addr *to,
		 enum dgram_via via, uint8_t type, const struct addr *a, struct span data)
{
	uint8_t buf[SIM_DGRAM_MAX];
	struct writer w = writer_of(buf, sizeof(buf));
	struct dgram d = { .local = *from, .remote = *to, .via = via };

	writer_u8(&w, type);
	put_addr(&w, a);
	writer_span_put(&w, data);
	assert(!writer_failed(&w));
	d.data = writer_span(&w);
	sim_send(host, &d);
}

void stack_init(struct stack *s, struct sim *sim, struct sim_host *host,
		const struct stack_ops *ops, void *arg)
{
	*s = (struct stack){ .sim = sim, .host = host, .ops = *ops, .arg = arg };
}

static void ask(void *arg, usec_t now, struct span data)
{
	struct stack_alloc *a = arg;

	(void)now;
	(void)data;
	if (a->n_relayed || a->tries++ == ASKS_MAX)
		return;
	post(a->stack->host, &a->base, &a->server, a->way, MSG_ASK, &a->base, span_of(NULL, 0));
	sim_after(a->stack->sim, ASK_AGAIN_US * a->tries, ask, a, span_of(NULL, 0));
}

void stack_allocate(struct stack *s, const struct addr *base, const struct addr *server,
		    enum dgram_via way)
{
	struct stack_alloc *a = &s->allocs[s->n_allocs];

	assert(s->n_allocs < STACK_ALLOCS_MAX);
	*a = (struct stack_alloc){ .base = *base, .server = *server, .way = way, .stack = s };
	a->base.port = (uint16_t)(FIRST_ALLOC_PORT + s->n_allocs++);
	ask(a, sim_now(s->sim), span_of(NULL, 0));
}

static const struct stack_alloc *alloc_of(const struct stack *s, const struct addr *relayed)
{
	for (size_t i = 0; i < s->n_allocs; i++)
		for (size_t k = 0; k < s->allocs[i].n_relayed; k++)
			if (addr_equal(&s->allocs[i].relayed[k], relayed))
				return &s->allocs[i];
	return NULL;
}

static uint16_t conn_port(struct stack *s, const struct dgram *d)
{
	size_t i;

	for (i = 0; i < s->n_conns; i++)
		if (addr_ip_equal(&s->conns[i].local, &d->local) &&
		    addr_equal(&s->conns[i].remote, &d->remote))
			return s->conns[i].local.port;
	assert(i < STACK_CONNS_MAX);
	s->n_conns++;
	s->conns[i].local = d->local;
	s->conns[i].local.port = (uint16_t)(FIRST_CONN_PORT + i);
	s->conns[i].remote = d->remote;
	return s->conns[i].local.port;
}

void stack_send(struct stack *s, const struct dgram *d)
{
	const struct stack_alloc *a = d->via == DGRAM_UDP ? alloc_of(s, &d->local) : NULL;
	struct addr peer_and_from[2] = { d->remote, d->local };
	uint8_t buf[SIM_DGRAM_MAX];
	struct writer w = writer_of(buf, sizeof(buf));
	struct dgram out = *d;

	if (a) {
		put_addr(&w, &peer_and_from[1]);
		writer_span_put(&w, d->data);
		post(s->host, &a->base, &a->server, a->way, MSG_SEND, &peer_and_from[0],
		     writer_span(&w));
		return;
	}
	if (d->via == DGRAM_TCP && d->local.port == ACTIVE_PORT)
		out.local.port = conn_port(s, d);
	sim_send(s->host, &out);
}

static void from_relay(struct stack *s, struct stack_alloc *a, usec_t now, const struct dgram *d)
{
	struct reader r = reader_of(d->data);
	uint8_t type = reader_u8(&r);
	struct addr first = get_addr(&r), second = get_addr(&r);

	if (type == MSG_DATA) {
		struct dgram in = { second, first, reader_rest(&r), DGRAM_UDP };

		s->ops.on_dgram(s->arg, now, &in);
	} else if (type == MSG_GRANT && !a->n_relayed) {
		a->relayed[a->n_relayed++] = first;
		a->relayed[a->n_relayed++] = second;
		s->ops.on_relayed(s->arg, now, &first, a->way);
		s->ops.on_relayed(s->arg, now, &second, a->way);
	}
}

void stack_input(struct stack *s, usec_t now, const struct dgram *d)
{
	struct dgram in = *d;

	for (size_t i = 0; i < s->n_allocs; i++)
		if (s->allocs[i].way == d->via && addr_equal(&s->allocs[i].base, &d->local)) {
			if (addr_equal(&s->allocs[i].server, &d->remote))
				from_relay(s, &s->allocs[i], now, d);
			return;
		}
	for (size_t i = 0; d->via == DGRAM_TCP && i < s->n_conns; i++)
		if (addr_equal(&s->conns[i].local, &d->local))
			in.local.port = ACTIVE_PORT;
	s->ops.on_dgram(s->arg, now, &in);
}

/* The relay. */

struct relay_client {
	struct addr addr, server; /* where it is, and which of our addresses it uses */
	enum dgram_via way;
	struct addr relayed[STACK_RELAYED_MAX];
	struct addr peers[PEERS_MAX];
	size_t n_peers;
};

struct relay {
	struct sim_host *host;
	struct addr ips[STACK_RELAYED_MAX];
	struct relay_client clients[RELAY_CLIENTS_MAX];
	size_t n_clients;
};

static struct relay_client *client_of(struct relay *r, const struct dgram *d)
{
	struct relay_client *c;

	for (size_t i = 0; i < r->n_clients; i++) {
		c = &r->clients[i];
		if (c->way == d->via && addr_equal(&c->addr, &d->remote))
			return c;
	}
	if (r->n_clients == RELAY_CLIENTS_MAX)
		return NULL;
	c = &r->clients[r->n_clients];
	c->addr = d->remote;
	c->server = d->local;
	c->way = d->via;
	for (size_t k = 0; k < STACK_RELAYED_MAX; k++) {
		c->relayed[k] = r->ips[k];
		c->relayed[k].port = (uint16_t)(FIRST_RELAYED_PORT + r->n_clients);
	}
	r->n_clients++;
	return c;
}

static bool known_peer(const struct relay_client *c, const struct addr *peer)
{
	for (size_t i = 0; i < FL_MIN(c->n_peers, (size_t)PEERS_MAX); i++)
		if (addr_ip_equal(&c->peers[i], peer))
			return true;
	return false;
}

static void from_client(struct relay *relay, const struct dgram *d)
{
	struct reader r = reader_of(d->data);
	uint8_t buf[64], type = reader_u8(&r);
	struct addr to = get_addr(&r), from;
	struct writer w = writer_of(buf, sizeof(buf));
	struct relay_client *c = client_of(relay, d);
	struct dgram out;

	if (!c)
		return;
	if (type == MSG_ASK) {
		put_addr(&w, &c->relayed[1]);
		post(relay->host, &d->local, &d->remote, d->via, MSG_GRANT, &c->relayed[0],
		     writer_span(&w));
		return;
	}
	from = get_addr(&r);
	if (!known_peer(c, &to))
		c->peers[c->n_peers++ % PEERS_MAX] = to;
	out = (struct dgram){ from, to, reader_rest(&r), DGRAM_UDP };
	sim_send(relay->host, &out);
}

static void relay_input(void *arg, usec_t now, const struct dgram *d)
{
	struct relay *r = arg;
	uint8_t buf[SIM_DGRAM_MAX];
	struct writer w = writer_of(buf, sizeof(buf));

	(void)now;
	if (d->local.port == RELAY_PORT) {
		from_client(r, d);
		return;
	}
	for (size_t i = 0; i < r->n_clients; i++) {
		const struct relay_client *c = &r->clients[i];

		if (d->local.port != c->relayed[0].port || !known_peer(c, &d->remote))
			continue;
		put_addr(&w, &d->local);
		writer_span_put(&w, d->data);
		post(r->host, &c->server, &c->addr, c->way, MSG_DATA, &d->remote, writer_span(&w));
	}
}

struct relay *relay_create(struct sim *sim, const char *v4, const char *v6)
{
	static const struct sim_ops ops = { .on_dgram = relay_input };
	struct relay *r = calloc(1, sizeof(*r));
	int err = r ? addr_parse_ip(v4, &r->ips[0]) | addr_parse_ip(v6, &r->ips[1]) : -1;

	assert(r && err == 0);
	(void)err;
	r->host = sim_host(sim, SIM_INTERNET, &ops, r);
	sim_host_addr(r->host, v4);
	sim_host_addr(r->host, v6);
	return r;
}
