/*
 * The TURN client against the TURN server in thousands of seeded networks that lose, double and
 * reorder, for hours of virtual time. Argument: how many runs, or "seed=N" for one of them with its
 * story. A client always ends up allocated, reaches its peers by indication and by channel and is
 * reached by them, keeps all that, moves, renews its credentials, and leaves nothing behind at the
 * server.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/wire.h"
#include "net.h"
#include "proto/turn/turn_client.h"
#include "proto/turn/turn_ports.h"
#include "proto/turn/turn_server.h"

#define SEC USEC_PER_SEC
#define MINUTE (60 * SEC)
#define UNIX_START 1900000000
#define SERVER_PORT 3478
#define PEERS 3 /* the last one by IPv6 */
#define ALLOCATE_MAX_US (60 * SEC)
#define REACH_MAX_US (20 * SEC)
#define CLOSE_MAX_US (10 * SEC)
#define STAY_US (150 * MINUTE)
#define MESSAGE_LEN 24
#define QUIET_REQUESTS_MAX 260 /* of a whole run without loss: nothing is asked too often */

struct relay {
	struct sim_host *host;
	struct turn_server *s;
	struct turn_auth *auth;
	struct turn_limit *limit;
	struct turn_ports *ports;
	struct turn_peers peers;
	struct addr at[2]; /* its IPs */
	struct rng rng;
	struct turn_alloc *by_port[65536];
};

struct peer {
	struct sim_host *host;
	struct addr addr, relayed; /* relayed: where the client's last datagram came from */
	unsigned heard;
};

struct client {
	struct sim_host *host;
	struct turn_client *c;
	struct rng rng;
	struct addr local, server;
	struct turn_client_event last;
	bool allocated, moved, over;
	unsigned by_indication[PEERS], by_channel[PEERS];
	usec_t allocated_at;
};

struct run {
	struct sim *sim;
	struct relay relay;
	struct peer peers[PEERS];
	struct client client;
	unsigned loss, attempts;
	bool mobile, timed;
	int64_t expires_s; /* of the credentials, when timed */
};

static const char *const peer_addrs[PEERS] = { "203.0.113.50:7000", "203.0.113.51:7001",
					       "[2001:db8:1::52]:7002" };

static void check(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "turn_sim_test: %s\n", what);
	abort();
}

static unsigned pick(struct run *r, unsigned n)
{
	return rng_below(sim_rng(r->sim), n);
}

static struct addr parse(const char *text)
{
	struct addr a;

	check(addr_parse(text, &a) == 0, text);
	return a;
}

static int64_t unix_s(const struct run *r)
{
	return UNIX_START + (int64_t)(sim_now(r->sim) / SEC);
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
	check(!writer_failed(&w), "the relay's datagram is too long");
	d.data = writer_span(&w);
	sim_send(k->host, &d);
}

static void relay_open(struct relay *k, usec_t now, const struct turn_flow *flow,
		       struct turn_verdict *v)
{
	uint16_t port = turn_ports_take(k->ports, TURN_PORTS_ANY);
	struct turn_opened opened = { .data = (void *)(uintptr_t)port };

	check(port != 0, "the relay's ports are used up");
	opened.relayed[0] = v->open.v4 ? k->at[0] : (struct addr){ 0 };
	opened.relayed[1] = v->open.v6 ? k->at[1] : (struct addr){ 0 };
	opened.relayed[0].port = opened.relayed[1].port = port;
	turn_server_opened(k->s, now, &opened, v);
	k->by_port[port] = turn_server_find(k->s, flow);
	if (!k->by_port[port])
		turn_ports_put(k->ports, port);
}

static void relay_carry(struct relay *k, const struct turn_flow *flow, const struct turn_verdict *v)
{
	struct addr from;

	switch (v->type) {
	case TURN_VERDICT_DROP:
		return;
	case TURN_VERDICT_REPLY:
		relay_send(k, &flow->server, &flow->client, v->head, v->data);
		return;
	case TURN_VERDICT_TO_PEER:
		from = *turn_alloc_relayed(v->alloc, v->peer.family);
		relay_send(k, &from, &v->peer, (struct span){ 0 }, v->data);
		return;
	case TURN_VERDICT_TO_CLIENT:
		flow = turn_alloc_flow(v->alloc);
		relay_send(k, &flow->server, &flow->client, v->head, v->data);
		return;
	case TURN_VERDICT_OPEN:
	case TURN_VERDICT_CONNECT:
	case TURN_VERDICT_JOIN:
	case TURN_VERDICT_ELSEWHERE:
		check(false, "a verdict that makes no sense here");
	}
}

static void relay_events(struct relay *k)
{
	struct turn_event e;

	while (turn_server_next_event(k->s, &e)) {
		uint16_t port = (uint16_t)(uintptr_t)turn_alloc_data(e.alloc);

		if (e.type != TURN_EVENT_CLOSED)
			continue;
		k->by_port[port] = NULL;
		turn_ports_put(k->ports, port);
	}
}

static void relay_on_dgram(void *arg, usec_t now, const struct dgram *d)
{
	struct relay *k = arg;
	struct turn_flow flow = { .transport = TURN_UDP, .client = d->remote, .server = d->local };
	struct turn_verdict v = { .type = TURN_VERDICT_DROP };

	if (d->local.port == SERVER_PORT) {
		turn_server_client(k->s, now, &flow, d->data, &v);
		if (v.type == TURN_VERDICT_OPEN)
			relay_open(k, now, &flow, &v);
	} else if (k->by_port[d->local.port]) {
		turn_server_peer(k->s, now, k->by_port[d->local.port], &d->remote, d->data, &v);
	}
	relay_carry(k, &flow, &v);
	relay_events(k);
}

static usec_t relay_deadline(void *arg)
{
	return turn_server_deadline(((struct relay *)arg)->s);
}

static void relay_timeout(void *arg, usec_t now)
{
	struct relay *k = arg;

	turn_server_timeout(k->s, now);
	relay_events(k);
	check(turn_server_deadline(k->s) > now, "the server's deadline does not move on");
}

/* Also for a second time: a server that has forgotten everything. */
static void relay_start(struct relay *k)
{
	struct turn_server_config config = { .relay_v4 = true,
					     .relay_v6 = true,
					     .mobility = true,
					     .allocations_max = 100,
					     .ticket_key = "ticket key 1234",
					     .auth = k->auth,
					     .peers = &k->peers,
					     .limit = k->limit };

	turn_server_destroy(k->s);
	memset(k->by_port, 0, sizeof(k->by_port));
	k->s = turn_server_create(&config, &k->rng);
	check(k->s != NULL, "no memory");
	turn_server_set_wall(k->s, (int64_t)UNIX_START * 1000000);
}

static void relay_init(struct run *r)
{
	static const struct sim_ops ops = { relay_on_dgram, relay_deadline, relay_timeout };
	struct turn_auth_user user = { "anna", "a" };
	struct turn_auth_config auth = { .realm = "relay.test",
					 .users = &user,
					 .n_users = 1,
					 .secrets = { r->timed ? "secret" : NULL },
					 .nonce_s = 300 + pick(r, 3301) };
	struct relay *k = &r->relay;

	rng_seed(&k->rng, rng_u64(sim_rng(r->sim)));
	k->limit = turn_limit_create(NULL, &k->rng);
	k->ports = turn_ports_create(TURN_PORTS_FIRST, TURN_PORTS_LAST, &k->rng);
	check(turn_auth_create(&auth, &k->auth) == 0 && k->limit && k->ports, "no memory");
	check(turn_network_parse("203.0.113.48/29", &k->peers.allow[0]) == 0 &&
		      turn_network_parse("2001:db8:1::/48", &k->peers.allow[1]) == 0,
	      "networks do not parse");
	k->peers.n_allow = 2;
	k->at[0] = parse("203.0.113.10:0");
	k->at[1] = parse("[2001:db8::10]:0");
	relay_start(k);
	k->host = sim_host(r->sim, SIM_INTERNET, &ops, k);
	sim_host_addr(k->host, "203.0.113.10");
	sim_host_addr(k->host, "2001:db8::10");
}

static void relay_finish(struct relay *k)
{
	turn_server_destroy(k->s);
	turn_auth_destroy(k->auth);
	turn_limit_destroy(k->limit);
	turn_ports_destroy(k->ports);
}

/* ---- peers: say back what they hear ---- */

static void peer_on_dgram(void *arg, usec_t now, const struct dgram *d)
{
	struct peer *p = arg;

	check(d->data.len == MESSAGE_LEN, "a peer got something else than what was sent to it");
	p->heard++;
	p->relayed = d->remote;
	sim_send(p->host, d);
}

/* ---- the client ---- */

static void client_turn(struct client *n)
{
	struct turn_client_event e;
	struct dgram d = { .local = n->local, .remote = n->server };

	while (turn_client_next_output(n->c, &d.data))
		sim_send(n->host, &d);
	while (turn_client_next_event(n->c, &e)) {
		check(!n->over, "an event after the last one");
		n->last = e;
		n->allocated |= e.type == TURN_CLIENT_ALLOCATED;
		n->moved |= e.type == TURN_CLIENT_MOVED;
		n->over = e.type == TURN_CLIENT_FAILED || e.type == TURN_CLIENT_CLOSED;
		n->allocated &= !n->over;
	}
}

static void client_on_dgram(void *arg, usec_t now, const struct dgram *d)
{
	struct client *n = arg;
	struct turn_client_data data;

	if (!n->c || !addr_equal(&d->local, &n->local))
		return;
	if (turn_client_input(n->c, now, d->data, &data)) {
		unsigned i = data.payload.len == MESSAGE_LEN ? data.payload.ptr[0] : PEERS;

		check(i < PEERS, "what came back is not what was sent");
		if (turn_is_channel_data(d->data))
			n->by_channel[i]++;
		else
			n->by_indication[i]++;
	}
	client_turn(n);
}

static usec_t client_deadline(void *arg)
{
	struct client *n = arg;

	return n->c ? turn_client_deadline(n->c) : USEC_NEVER;
}

static void client_timeout(void *arg, usec_t now)
{
	struct client *n = arg;

	turn_client_timeout(n->c, now);
	client_turn(n);
	check(turn_client_deadline(n->c) > now, "the client's deadline does not move on");
}

static void credentials(struct run *r, char user[64], char password[TURN_AUTH_PASSWORD_LEN])
{
	if (!r->timed) {
		snprintf(user, 64, "anna");
		snprintf(password, TURN_AUTH_PASSWORD_LEN, "a");
		return;
	}
	r->expires_s = unix_s(r) + 1800 + pick(r, 3600);
	snprintf(user, 64, "%lld:anna", (long long)r->expires_s);
	turn_auth_password("secret", user, password);
}

/* Another socket, another attempt. */
static void client_start(struct run *r)
{
	struct client *n = &r->client;
	char user[64], password[TURN_AUTH_PASSWORD_LEN];
	struct turn_client_config config = { .v4 = true,
					     .v6 = true,
					     .mobility = r->mobile,
					     .server = n->server,
					     .username = user,
					     .password = password };

	credentials(r, user, password);
	turn_client_destroy(n->c);
	n->local.port = (uint16_t)(40000 + r->attempts++);
	n->allocated = n->moved = n->over = false;
	n->c = turn_client_create(&config, &n->rng);
	check(n->c && turn_client_start(n->c, sim_now(r->sim)) == 0, "the client does not start");
	client_turn(n);
}

static void client_init(struct run *r)
{
	static const struct sim_ops ops = { client_on_dgram, client_deadline, client_timeout };
	struct client *n = &r->client;

	rng_seed(&n->rng, rng_u64(sim_rng(r->sim)));
	n->local = parse("198.51.100.7:0");
	n->server = parse("203.0.113.10:3478");
	n->host = sim_host(r->sim, SIM_INTERNET, &ops, n);
	sim_host_addr(n->host, "198.51.100.7");
	sim_host_addr(n->host, "198.51.100.8");
}

/* One datagram to peer i; by the way that the client chooses. */
static void client_say(struct run *r, unsigned i)
{
	struct client *n = &r->client;
	uint8_t buf[TURN_CLIENT_HEAD_MAX + MESSAGE_LEN + 3] = { 0 };
	struct writer w = writer_of(buf, sizeof(buf));
	struct dgram d = { .local = n->local, .remote = n->server };
	struct turn_client_wrap wrap;

	check(turn_client_wrap(n->c, sim_now(r->sim), &r->peers[i].addr, MESSAGE_LEN, &wrap) == 0,
	      "user data is not taken");
	client_turn(n);
	writer_bytes(&w, wrap.head, wrap.head_len);
	writer_u8(&w, (uint8_t)i);
	writer_zeros(&w, MESSAGE_LEN - 1u + wrap.pad);
	d.data = writer_span(&w);
	sim_send(n->host, &d);
}

/* ---- a run ---- */

static void build(struct run *r, uint64_t seed)
{
	static const struct sim_ops peer_ops = { peer_on_dgram, NULL, NULL };
	struct sim_path net = { 0 };

	r->sim = sim_create(seed);
	r->loss = pick(r, 3) ? pick(r, 151) : 0;
	net.delay_us = 500 + pick(r, 100000);
	net.jitter_us = 1 + pick(r, 20000);
	net.loss = r->loss;
	net.duplicate = pick(r, 2) ? 0 : pick(r, 200);
	net.reorder = pick(r, 2) ? 0 : pick(r, 300);
	net.reorder_us = 1 + pick(r, 300000);
	sim_segment_set(r->sim, SIM_INTERNET, &net);
	r->mobile = pick(r, 3) == 0;
	r->timed = pick(r, 3) == 0;
	relay_init(r);
	client_init(r);
	for (unsigned i = 0; i < PEERS; i++) {
		char ip[ADDR_TEXT_MAX];
		struct peer *p = &r->peers[i];

		p->addr = parse(peer_addrs[i]);
		p->host = sim_host(r->sim, SIM_INTERNET, &peer_ops, p);
		sim_host_addr(p->host, addr_format_ip(&p->addr, ip));
	}
}

static bool allocate(struct run *r)
{
	usec_t end = sim_now(r->sim) + ALLOCATE_MAX_US;
	struct client *n = &r->client;

	while (!n->allocated && sim_now(r->sim) < end) {
		client_start(r);
		while (!n->allocated && !n->over && sim_step(r->sim, end))
			;
	}
	n->allocated_at = sim_now(r->sim);
	return n->allocated;
}

/* Says something to peer i until it came back in that way (channel or indication). */
static bool reaches(struct run *r, unsigned i, bool channel)
{
	struct client *n = &r->client;
	unsigned *count = channel ? &n->by_channel[i] : &n->by_indication[i], before = *count;
	usec_t end = sim_now(r->sim) + REACH_MAX_US;

	while (*count == before && !n->over && sim_now(r->sim) < end) {
		client_say(r, i);
		sim_run(r->sim, sim_now(r->sim) + SEC / 4);
	}
	return *count != before;
}

/* The peer speaks first: the permission must have been kept, although nothing was sent. */
static bool is_reached(struct run *r, unsigned i)
{
	struct client *n = &r->client;
	struct peer *p = &r->peers[i];
	uint8_t message[MESSAGE_LEN] = { (uint8_t)i };
	struct dgram d = { .local = p->addr,
			   .remote = p->relayed,
			   .data = span_of(message, sizeof(message)) };
	unsigned before = n->by_indication[i] + n->by_channel[i];
	usec_t end = sim_now(r->sim) + REACH_MAX_US;

	while (n->by_indication[i] + n->by_channel[i] == before && sim_now(r->sim) < end) {
		sim_send(p->host, &d);
		sim_run(r->sim, sim_now(r->sim) + SEC / 4);
	}
	return n->by_indication[i] + n->by_channel[i] != before;
}

static const char *reach_all(struct run *r)
{
	struct client *n = &r->client;
	usec_t end;

	if (!reaches(r, 0, false) || !reaches(r, 2, false))
		return "no way there and back by indication";
	check(turn_client_permit(n->c, sim_now(r->sim), &r->peers[1].addr) == 0, "permit");
	check(turn_client_bind(n->c, sim_now(r->sim), &r->peers[0].addr) == 0, "bind");
	check(turn_client_bind(n->c, sim_now(r->sim), &r->peers[2].addr) == 0, "bind");
	client_turn(n);
	end = sim_now(r->sim) + REACH_MAX_US;
	for (unsigned i = 0; i < PEERS; i += 2) {
		while (turn_client_reach(n->c, sim_now(r->sim), &r->peers[i].addr) !=
			       TURN_CLIENT_BOUND &&
		       sim_step(r->sim, end))
			;
		if (!reaches(r, i, true))
			return "no way there and back by channel";
	}
	return reaches(r, 1, false) ? NULL : "no way there and back to the second peer";
}

static void renew(struct run *r)
{
	char user[64], password[TURN_AUTH_PASSWORD_LEN];

	if (!r->timed || r->expires_s - unix_s(r) > 120)
		return;
	credentials(r, user, password);
	check(turn_client_set_credentials(r->client.c, sim_now(r->sim), user, password) == 0,
	      "new credentials are not taken");
	client_turn(&r->client);
}

/* The client has another address from one moment to the next. */
static const char *move(struct run *r)
{
	struct client *n = &r->client;
	usec_t end = sim_now(r->sim) + REACH_MAX_US;

	n->local = parse("198.51.100.8:0");
	n->local.port = (uint16_t)(50000 + pick(r, 1000));
	n->moved = false;
	check(turn_client_moved(n->c, sim_now(r->sim)) == 0, "no ticket");
	client_turn(n);
	while (!n->moved && !n->over && sim_step(r->sim, end))
		;
	if (!n->moved)
		return "the move was not answered";
	return reaches(r, 0, true) && is_reached(r, 1) ? NULL : "not reached after the move";
}

static const char *stay(struct run *r)
{
	struct client *n = &r->client;
	usec_t start = sim_now(r->sim), move_at = USEC_NEVER, look = start;
	const char *bad;

	if (r->mobile)
		move_at = start + pick(r, (unsigned)(STAY_US / SEC)) * SEC;
	while (sim_now(r->sim) < start + STAY_US) {
		sim_run(r->sim, sim_now(r->sim) + 45 * SEC);
		if (n->over)
			return "lost the allocation";
		renew(r);
		if (sim_now(r->sim) >= move_at) {
			move_at = USEC_NEVER;
			bad = move(r);
			if (bad)
				return bad;
		}
		client_say(r, 0);
		if (sim_now(r->sim) < look)
			continue;
		look = sim_now(r->sim) + 10 * MINUTE + pick(r, 600) * SEC;
		if (!reaches(r, 0, true) || !reaches(r, 2, true))
			return "a channel was not kept";
		if (!is_reached(r, 1))
			return "a permission was not kept";
	}
	return NULL;
}

/* The server starts anew and knows nobody: the client must see it before its time is over. */
static const char *forgotten(struct run *r)
{
	struct client *n = &r->client;
	usec_t end = sim_now(r->sim) + 600 * SEC;

	relay_start(&r->relay);
	while (!n->over && sim_step(r->sim, end))
		;
	if (!n->over || n->last.type != TURN_CLIENT_FAILED)
		return "did not see that the server has forgotten it";
	if (n->last.failure.code != TURN_ALLOCATION_MISMATCH)
		return "failed with another code than 437";
	return allocate(r) ? reach_all(r) : "not allocated again";
}

static const char *close_it(struct run *r)
{
	struct client *n = &r->client;
	usec_t end = sim_now(r->sim) + CLOSE_MAX_US;
	bool clean;

	turn_client_close(n->c, sim_now(r->sim));
	client_turn(n);
	while (!n->over && sim_step(r->sim, end))
		;
	if (!n->over || n->last.type != TURN_CLIENT_CLOSED)
		return "not closed in time";
	clean = !n->last.failure.reason[0];
	if (clean && r->attempts == 1 && turn_server_stats(r->relay.s)->allocations != 0)
		return "closed, and the server still has it";
	if (!clean && !r->loss)
		return "closed without an answer, and nothing was lost";
	sim_run(r->sim, sim_now(r->sim) + 2 * TURN_LIFETIME_S * SEC);
	if (turn_server_stats(r->relay.s)->allocations != 0)
		return "the server keeps an allocation that nobody refreshes";
	return NULL;
}

static const char *judge(struct run *r)
{
	const char *bad;

	if (!allocate(r))
		return "not allocated in time";
	if (!r->loss && r->attempts > 1)
		return "a failure without any loss";
	bad = reach_all(r);
	bad = bad ? bad : stay(r);
	if (!bad && !r->loss && turn_client_stats(r->client.c)->requests > QUIET_REQUESTS_MAX)
		return "asks too often";
	if (!bad && pick(r, 4) == 0)
		bad = forgotten(r);
	return bad ? bad : close_it(r);
}

static void tell(const struct run *r)
{
	const struct client *n = &r->client;
	const struct turn_client_stats *s = turn_client_stats(n->c);

	printf("loss %u/1000%s%s, %u attempts, at %.3f s; %llu requests, %llu again, %llu answers, "
	       "%llu strays, %llu unproved; last event %d, %s %u %s\n",
	       r->loss, r->mobile ? ", mobile" : "", r->timed ? ", timed credentials" : "",
	       r->attempts, (double)sim_now(r->sim) / 1e6, (unsigned long long)s->requests,
	       (unsigned long long)s->repeated, (unsigned long long)s->answers,
	       (unsigned long long)s->strays, (unsigned long long)s->unproved, n->last.type,
	       turn_client_step_name(n->last.failure.step), n->last.failure.code,
	       n->last.failure.reason);
	for (unsigned i = 0; i < PEERS; i++)
		printf("  peer %u heard %u; from it by indication %u, by channel %u\n", i,
		       r->peers[i].heard, n->by_indication[i], n->by_channel[i]);
}

struct tally {
	unsigned bad, again;
	usec_t slowest;
};

static void one(uint64_t seed, bool story, struct tally *t)
{
	static struct run r;
	const char *bad;
	usec_t took;

	memset(&r, 0, sizeof(r));
	build(&r, seed);
	took = sim_now(r.sim);
	bad = judge(&r);
	took = usec_sub(r.client.allocated_at, took);
	if (bad)
		printf("seed=%llu: %s\n", (unsigned long long)seed, bad);
	if (bad || story)
		tell(&r);
	t->bad += bad != NULL;
	t->again += r.attempts > 1;
	t->slowest = FL_MAX(t->slowest, took);
	turn_client_destroy(r.client.c);
	relay_finish(&r.relay);
	sim_destroy(r.sim);
}

int main(int argc, char **argv)
{
	const char *arg = argc == 2 ? argv[1] : "1000";
	unsigned long runs = strtoul(arg, NULL, 10);
	struct tally t = { 0 };

	if (strncmp(arg, "seed=", 5) == 0) {
		one(strtoull(arg + 5, NULL, 10), true, &t);
		return t.bad != 0;
	}
	for (unsigned long seed = 1; seed <= runs; seed++)
		one(seed, false, &t);
	printf("%lu runs of %.1f hours: %u wrong; %u needed another attempt\n", runs,
	       (double)STAY_US / 3.6e9, t.bad, t.again);
	return t.bad != 0 || runs == 0;
}
