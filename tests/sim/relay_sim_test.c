/*
 * Two whole peers, each behind a symmetric NAT, that meet through a relay: the round trips from the
 * offer to the first message, in virtual time. TURN is the real client and the real server; what
 * the driver of the peer does with them (src/peer/relay.c) is done here in a few lines.
 */
#include "test.h"

#include "base/wire.h"
#include "peer_node.h"
#include "proto/turn/turn_client.h"
#include "proto/turn/turn_server.h"
#include "vclock.h"

#define QUARTER                                                                                    \
	12500 /* between a site and the relay, one way; 50 ms there and back between sites */
#define SERVER_PORT 3478
#define FIRST_PORT 50000
#define PORTS 16

struct relay {
	struct sim_host *host;
	struct turn_server *s;
	struct turn_auth *auth;
	struct turn_limit *limit;
	struct turn_peers peers;
	struct addr at;
	struct rng rng;
	struct turn_alloc *by_port[PORTS];
	uint16_t n_ports;
};

struct client {
	struct turn_client *c;
	struct rng rng;
	struct addr local, server, relayed;
	usec_t start_at; /* USEC_NEVER: begun */
};

struct net {
	struct sim *sim;
	struct relay relay;
	struct client clients[2];
	struct peer_node nodes[2]; /* the first one offers */
	usec_t began;
};

static struct addr parse(const char *ip, uint16_t port)
{
	struct addr a;

	assert_int_equal(addr_parse_ip(ip, &a), 0);
	a.port = port;
	return a;
}

/* ---- the relay ---- */

static void relay_send(struct relay *k, const struct addr *from, const struct addr *to,
		       struct span head, struct span data)
{
	uint8_t buf[SIM_DGRAM_MAX];
	struct writer w = writer_of(buf, sizeof(buf));
	struct dgram d = { .local = *from, .remote = *to };

	writer_span_put(&w, head);
	writer_span_put(&w, data);
	assert_false(writer_failed(&w));
	d.data = writer_span(&w);
	sim_send(k->host, &d);
}

static void relay_open(struct relay *k, usec_t now, const struct turn_flow *flow,
		       struct turn_verdict *v)
{
	struct turn_opened opened = { .relayed = { k->at } };

	assert_true(k->n_ports < PORTS);
	opened.relayed[0].port = FIRST_PORT + k->n_ports;
	turn_server_opened(k->s, now, &opened, v);
	k->by_port[k->n_ports++] = turn_server_find(k->s, flow);
}

static void relay_on_dgram(void *arg, usec_t now, const struct dgram *d)
{
	struct relay *k = arg;
	struct turn_flow flow = { .transport = TURN_UDP, .client = d->remote, .server = d->local };
	struct turn_verdict v = { .type = TURN_VERDICT_DROP };
	unsigned i = (unsigned)d->local.port - FIRST_PORT;
	const struct turn_flow *to = &flow;
	struct turn_event e;

	if (d->local.port == SERVER_PORT)
		turn_server_client(k->s, now, &flow, d->data, &v);
	else if (i < k->n_ports)
		turn_server_peer(k->s, now, k->by_port[i], &d->remote, d->data, &v);
	if (v.type == TURN_VERDICT_OPEN)
		relay_open(k, now, &flow, &v);
	if (v.type == TURN_VERDICT_TO_CLIENT)
		to = turn_alloc_flow(v.alloc);
	if (v.type == TURN_VERDICT_TO_PEER)
		relay_send(k, turn_alloc_relayed(v.alloc, v.peer.family), &v.peer,
			   (struct span){ 0 }, v.data);
	else if (v.type == TURN_VERDICT_REPLY || v.type == TURN_VERDICT_TO_CLIENT)
		relay_send(k, &to->server, &to->client, v.head, v.data);
	while (turn_server_next_event(k->s, &e))
		continue;
}

static usec_t relay_deadline(void *arg)
{
	return turn_server_deadline(((struct relay *)arg)->s);
}

static void relay_timeout(void *arg, usec_t now)
{
	turn_server_timeout(((struct relay *)arg)->s, now);
}

static void relay_init(struct net *t)
{
	static const struct sim_ops ops = { relay_on_dgram, relay_deadline, relay_timeout };
	struct turn_auth_user user = { "anna", "a" };
	struct turn_auth_config auth = {
		.realm = "relay.test", .users = &user, .n_users = 1, .nonce_s = 600
	};
	struct relay *k = &t->relay;
	struct turn_server_config config = { .relay_v4 = true,
					     .allocations_max = PORTS,
					     .ticket_key = "ticket key 1234",
					     .peers = &k->peers };

	rng_seed(&k->rng, rng_u64(sim_rng(t->sim)));
	assert_int_equal(turn_auth_create(&auth, &k->auth), 0);
	k->limit = turn_limit_create(NULL, &k->rng);
	assert_int_equal(turn_network_parse("0.0.0.0/0", &k->peers.allow[0]), 0);
	k->peers.n_allow = 1;
	config.auth = k->auth;
	config.limit = k->limit;
	k->s = turn_server_create(&config, &k->rng);
	assert_non_null(k->s);
	turn_server_set_wall(k->s, 1900000000LL * 1000000);
	k->at = parse("192.0.2.10", 0);
	k->host = sim_host(t->sim, SIM_INTERNET, &ops, k);
	sim_host_addr(k->host, "192.0.2.10");
}

/* ---- a node's client of it ---- */

static void client_permit(struct peer_node *n, usec_t now)
{
	struct client *c = n->between_arg;
	struct addr targets[TURN_CLIENT_PEERS_MAX];
	size_t count = peer_relay_targets(n->peer, targets, ARRAY_LEN(targets));

	for (size_t i = 0; i < count && c->relayed.family != ADDR_NONE; i++)
		assert_int_equal(turn_client_permit(c->c, now, &targets[i]), 0);
}

static void client_turn(struct peer_node *n, usec_t now)
{
	struct client *c = n->between_arg;
	struct dgram d = { .local = c->local, .remote = c->server };
	struct turn_client_event e;

	while (turn_client_next_event(c->c, &e)) {
		struct peer_local local = {
			.ice = { .type = ICE_RELAY, .addr = e.relayed[0], .related = e.mapped }
		};

		if (e.type != TURN_CLIENT_ALLOCATED)
			continue;
		c->relayed = e.relayed[0];
		assert_int_equal(peer_add_local(n->peer, now, &local), 0);
		client_permit(n, now);
		peer_end_of_locals(n->peer, now);
	}
	while (turn_client_next_output(c->c, &d.data))
		sim_send(n->host, &d);
}

static bool client_send(struct peer_node *n, usec_t now, const struct dgram *d)
{
	struct client *c = n->between_arg;
	uint8_t buf[SIM_DGRAM_MAX];
	struct writer w = writer_of(buf, sizeof(buf));
	struct dgram out = { .local = c->local, .remote = c->server };
	struct turn_client_wrap wrap;

	if (c->relayed.family == ADDR_NONE || !addr_equal(&d->local, &c->relayed))
		return false;
	if (turn_client_wrap(c->c, now, &d->remote, d->data.len, &wrap) < 0)
		return true;
	client_turn(n, now);
	writer_bytes(&w, wrap.head, wrap.head_len);
	writer_span_put(&w, d->data);
	writer_zeros(&w, wrap.pad);
	out.data = writer_span(&w);
	sim_send(n->host, &out);
	return true;
}

static bool client_receive(struct peer_node *n, usec_t now, const struct dgram *d)
{
	struct client *c = n->between_arg;
	struct turn_client_data data;

	if (!addr_equal(&d->local, &c->local))
		return false;
	if (turn_client_input(c->c, now, d->data, &data)) {
		struct dgram in = { c->relayed, data.peer, data.payload, DGRAM_UDP };

		assert_int_equal(peer_input(n->peer, now, &in), 0);
	}
	client_turn(n, now);
	return true;
}

static usec_t client_deadline(struct peer_node *n)
{
	struct client *c = n->between_arg;

	return c->start_at == USEC_NEVER ? turn_client_deadline(c->c) : c->start_at;
}

static void client_timeout(struct peer_node *n, usec_t now)
{
	struct client *c = n->between_arg;

	if (c->start_at == USEC_NEVER)
		turn_client_timeout(c->c, now);
	else
		assert_int_equal(turn_client_start(c->c, now), 0);
	c->start_at = USEC_NEVER;
	client_turn(n, now);
}

static void client_candidate(struct peer_node *n, usec_t now)
{
	client_permit(n, now);
	client_turn(n, now);
}

/* ---- runs ---- */

/* connect_us: what the transport to the relay needs before its first message. */
static void net_init(struct net *t, usec_t connect_us)
{
	static const struct peer_node_between between = {
		.send = client_send,
		.receive = client_receive,
		.deadline = client_deadline,
		.timeout = client_timeout,
		.candidate = client_candidate,
	};
	static const char *const ips[] = { "192.168.1.2", "10.0.0.2" };
	static const char *const publics[] = { "198.51.100.7", "203.0.113.9" };
	struct sim_path lan = { 0 }, wan = { .delay_us = QUARTER };

	t->sim = sim_create(1);
	vclock_set(sim_now(t->sim));
	sim_segment_set(t->sim, SIM_INTERNET, &wan);
	sim_stun_server(t->sim, SIM_INTERNET, "192.0.2.53");
	relay_init(t);
	for (int i = 0; i < 2; i++) {
		struct client *c = &t->clients[i];
		struct turn_client_config config = { .v4 = true,
						     .username = "anna",
						     .password = "a" };
		int site = sim_segment(t->sim, &lan);

		sim_router(t->sim, site, SIM_INTERNET, publics[i], &sim_nat_symmetric);
		peer_node_init(&t->nodes[i], t->sim, site, ips[i], "192.0.2.53");
		rng_seed(&c->rng, rng_u64(sim_rng(t->sim)));
		c->server = config.server = parse("192.0.2.10", SERVER_PORT);
		c->local = parse(ips[i], 41000);
		c->c = turn_client_create(&config, &c->rng);
		assert_non_null(c->c);
		c->start_at = sim_now(t->sim) + connect_us;
		t->nodes[i].between = &between;
		t->nodes[i].between_arg = c;
	}
	peer_node_link(&t->nodes[0], &t->nodes[1], 2 * QUARTER);
	t->began = sim_now(t->sim);
}

static void net_finish(struct net *t)
{
	for (int i = 0; i < 2; i++) {
		peer_node_finish(&t->nodes[i]);
		turn_client_destroy(t->clients[i].c);
	}
	turn_server_destroy(t->relay.s);
	turn_auth_destroy(t->relay.auth);
	turn_limit_destroy(t->relay.limit);
	sim_destroy(t->sim);
}

/*
 * In round trips of 50 ms between the sites: one for the allocation, which takes two to the relay
 * and begins with the offer; half of one until the other side is told; half of one for its check,
 * which brings the handshake's first flight along; and three halves for the rest of the handshake,
 * for SCTP's, and for the message. A stream to the relay takes another half before all that.
 *
 * Another implementation's handshake begins only when it was heard: one and a half more.
 */
static void test_round_trips(void **state)
{
	static const struct {
		bool foreign;
		usec_t connect_us;
		usec_t quarters;
	} rows[] = {
		{ false, 0, 14 },
		{ false, 2 * QUARTER, 16 }, /* TCP */
		{ true, 0, 20 },
		{ true, 2 * QUARTER, 22 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct fl_route route;
		struct net *t = calloc(1, sizeof(*t));
		usec_t took;

		net_init(t, rows[i].connect_us);
		t->nodes[0].foreign = t->nodes[1].foreign = rows[i].foreign;
		peer_node_offer(&t->nodes[0], "x");
		sim_run(t->sim, t->began + 3 * USEC_PER_SEC);
		vclock_set(sim_now(t->sim));
		assert_true(t->nodes[0].echoed);
		peer_route(t->nodes[0].peer, &route);
		assert_int_equal(route.method, FL_ROUTE_RELAYED);
		took = t->nodes[1].first_message_at - t->began;
		if (took > rows[i].quarters * QUARTER + 8000)
			fail_msg("row %zu: the first message came after %llu us", i,
				 (unsigned long long)took);
		net_finish(t);
		free(t);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_round_trips),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
