/*
 * A relay with several workers, in this process, and clients around it on real sockets: what goes
 * through is what comes out, byte for byte, and an allocation follows its client from worker to
 * worker. Run it under ThreadSanitizer, too.
 */
#include "test.h"

#include <errno.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "proto/turn/turn_client.h"
#include "relay/relay.h"
#include "relay/sock_name.h"

#define CLIENTS 200
#define BURST 4
#define SIZE_MAX_TESTED 1400
#define AT_ONCE 20
#define PATIENCE_MS 20000 /* then something is lost */

struct client {
	unsigned id;
	int fd, peer_fd;
	struct addr peer;    /* our peer's socket */
	struct addr relayed; /* as the relay told it */
	struct turn_client *core;
	bool moved, failed;
	unsigned icmp;			     /* messages about our peer */
	uint8_t got[BURST][SIZE_MAX_TESTED]; /* data that came for it */
	size_t got_len[BURST];
	unsigned n_got;
};

struct rig {
	struct loop *loop;
	struct relay *relay;
	struct settings *settings;
	struct addr server;
	struct relay_snapshot *seen;
};

static void rig_start_with(struct rig *r, char *threads, char *address, char *first, char *last)
{
	char *argv[] = { "fairlead-relay",
			 "--listen",
			 "udp:127.0.0.1:0",
			 "--relay-address",
			 address,
			 "--user",
			 "someone:secret",
			 "--allow-peer",
			 "127.0.0.0/8",
			 "--threads",
			 threads,
			 "--mobility",
			 "--min-port",
			 first,
			 "--max-port",
			 last,
			 NULL };
	struct opt_error error;
	char why[256];

	*r = (struct rig){ 0 };
	assert_int_equal(settings_read(ARRAY_LEN(argv) - 1, argv, NULL, &r->settings, &error), 0);
	assert_int_equal(loop_create(&r->loop), 0);
	assert_int_equal(relay_create(r->loop, r->settings, &r->relay, why), 0);
	r->server = relay_listener_addr(r->relay, 0);
}

static void rig_start(struct rig *r, char *threads)
{
	rig_start_with(r, threads, "127.0.0.1", "49152", "65535");
}

static void rig_stop(struct rig *r)
{
	relay_destroy(r->relay);
	loop_destroy(r->loop);
	settings_unref(r->settings);
}

static void on_snapshot(void *arg, const struct relay_snapshot *s)
{
	struct relay_snapshot *out = arg;

	*out = *s;
}

static struct relay_snapshot look(struct rig *r)
{
	struct relay_snapshot s = { 0 };

	assert_int_equal(relay_snapshot(r->relay, on_snapshot, &s), 0);
	while (s.workers == 0)
		assert_int_equal(loop_turn(r->loop, USEC_NEVER), 0);
	return s;
}

/* at: with port 0 the kernel chooses one, and it is told. */
static int socket_at(struct addr *at)
{
	union sock_name name;
	socklen_t len = sock_name_from(at, &name);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, &name.sa, len), 0);
	assert_int_equal(getsockname(fd, &name.sa, &len), 0);
	assert_true(sock_name_addr(&name, at));
	return fd;
}

static int bound_socket(struct addr *at)
{
	assert_int_equal(addr_parse_ip("127.0.0.1", at), 0);
	return socket_at(at);
}

static void connect_to(int fd, const struct addr *at)
{
	union sock_name name;
	socklen_t len = sock_name_from(at, &name);

	assert_int_equal(connect(fd, &name.sa, len), 0);
}

static void wait_for(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
}

/* ---- clients ---- */

static void send_outputs(struct client *c)
{
	struct turn_client_event e;
	struct span out;

	while (turn_client_next_output(c->core, &out))
		assert_int_equal(send(c->fd, out.ptr, out.len, 0), out.len);
	while (turn_client_next_event(c->core, &e)) {
		if (e.type == TURN_CLIENT_FAILED) {
			c->failed = true;
			assert_int_equal(e.failure.code, TURN_INSUFFICIENT_CAPACITY);
		}
		c->moved |= e.type == TURN_CLIENT_MOVED;
		c->icmp += e.type == TURN_CLIENT_ICMP && e.icmp.type == 3 && e.icmp.code == 3 &&
			   addr_equal(&e.peer, &c->peer);
		if (e.type == TURN_CLIENT_ALLOCATED)
			c->relayed = e.relayed[0];
	}
}

static void take_data(struct client *c, const struct turn_client_data *d)
{
	assert_true(addr_equal(&d->peer, &c->peer));
	assert_true(c->n_got < BURST && d->payload.len <= SIZE_MAX_TESTED);
	memcpy(c->got[c->n_got], d->payload.ptr, d->payload.len);
	c->got_len[c->n_got++] = d->payload.len;
}

static void read_messages(struct client *c)
{
	static uint8_t buf[2048];
	struct turn_client_data d;
	ssize_t n;

	wait_for(c->fd);
	while ((n = recv(c->fd, buf, sizeof(buf), 0)) > 0)
		if (turn_client_input(c->core, usec_monotonic(), span_of(buf, (size_t)n), &d))
			take_data(c, &d);
	send_outputs(c);
}

/* False: the relay has no room for it (508). */
static bool client_allocate(struct client *c, unsigned id, const struct rig *r)
{
	struct turn_client_config config = { .v4 = true,
					     .mobility = true,
					     .server = r->server,
					     .username = "someone",
					     .password = "secret" };
	struct addr own;

	*c = (struct client){ .id = id };
	c->fd = bound_socket(&own);
	connect_to(c->fd, &r->server);
	c->peer_fd = bound_socket(&c->peer);
	c->core = turn_client_create(&config, rng_system());
	assert_non_null(c->core);
	assert_int_equal(turn_client_start(c->core, usec_monotonic()), 0);
	send_outputs(c);
	while (c->relayed.family == ADDR_NONE && !c->failed)
		read_messages(c);
	return !c->failed;
}

static void client_start(struct client *c, unsigned id, const struct rig *r)
{
	assert_true(client_allocate(c, id, r));
	connect_to(c->peer_fd, &c->relayed);
	assert_int_equal(turn_client_bind(c->core, usec_monotonic(), &c->peer), 0);
	send_outputs(c);
	while (turn_client_reach(c->core, usec_monotonic(), &c->peer) != TURN_CLIENT_BOUND)
		read_messages(c);
}

/* Gives the allocation back, and waits until the relay says so. */
static void client_close(struct client *c)
{
	turn_client_close(c->core, usec_monotonic());
	send_outputs(c);
	wait_for(c->fd);
}

static void client_stop(struct client *c)
{
	turn_client_destroy(c->core);
	close(c->fd);
	close(c->peer_fd);
}

/* ---- data ---- */

static void fill(uint8_t *data, size_t len, unsigned seed)
{
	uint32_t x = seed * 2654435761u + 1;

	for (size_t i = 0; i < len; i++) {
		x = x * 1664525u + 1013904223u;
		data[i] = (uint8_t)(x >> 24);
	}
}

static unsigned seed_of(const struct client *c, unsigned round, bool up, unsigned n)
{
	return ((c->id * 64 + round) * 2 + up) * BURST + n;
}

/* BURST pieces of equal length: as one train, or one by one. */
static void send_burst(int fd, const uint8_t *pieces, size_t each, bool train)
{
	_Alignas(struct cmsghdr) uint8_t control[CMSG_SPACE(2)] = { 0 };
	struct iovec iov = { (void *)(uintptr_t)pieces, each * BURST };
	struct msghdr h = { .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = control,
			    .msg_controllen = sizeof(control) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&h);
	uint16_t size = (uint16_t)each;

	c->cmsg_level = SOL_UDP;
	c->cmsg_type = UDP_SEGMENT;
	c->cmsg_len = CMSG_LEN(2);
	memcpy(CMSG_DATA(c), &size, 2);
	if (train) {
		assert_int_equal(sendmsg(fd, &h, 0), each * BURST);
		return;
	}
	for (unsigned i = 0; i < BURST; i++)
		assert_int_equal(send(fd, pieces + i * each, each, 0), each);
}

static void send_both_ways(struct client *c, unsigned round, size_t len, bool train)
{
	static uint8_t up[BURST * (SIZE_MAX_TESTED + 64)], down[BURST * SIZE_MAX_TESTED];
	struct turn_client_wrap w;
	size_t at = 0;

	for (unsigned i = 0; i < BURST; i++) {
		assert_int_equal(turn_client_wrap(c->core, usec_monotonic(), &c->peer, len, &w), 0);
		memcpy(up + at, w.head, w.head_len);
		fill(up + at + w.head_len, len, seed_of(c, round, true, i));
		at += w.head_len + len;
		fill(down + i * len, len, seed_of(c, round, false, i));
	}
	send_outputs(c);
	send_burst(c->fd, up, at / BURST, train);
	send_burst(c->peer_fd, down, len, train);
}

static void expect_data(const struct client *c, unsigned round, bool up, unsigned n,
			const uint8_t *got, size_t got_len, size_t len)
{
	uint8_t want[SIZE_MAX_TESTED];

	fill(want, len, seed_of(c, round, up, n));
	assert_int_equal(got_len, len);
	assert_memory_equal(got, want, len);
}

static void receive_both(struct client *c, unsigned round, size_t len)
{
	uint8_t got[2048];

	for (unsigned i = 0; i < BURST; i++) {
		ssize_t n;

		wait_for(c->peer_fd);
		n = recv(c->peer_fd, got, sizeof(got), 0);
		assert_true(n > 0);
		expect_data(c, round, true, i, got, (size_t)n, len);
	}
	while (c->n_got < BURST)
		read_messages(c);
	for (unsigned i = 0; i < BURST; i++)
		expect_data(c, round, false, i, c->got[i], c->got_len[i], len);
	c->n_got = 0;
}

/* Every length from 1 to SIZE_MAX_TESTED, in bursts that come as trains and as single datagrams. */
static void test_many(void **state)
{
	static struct client clients[CLIENTS];
	const unsigned rounds = 2 * SIZE_MAX_TESTED / CLIENTS;
	struct relay_snapshot s;
	struct rig r;

	rig_start(&r, "4");
	for (unsigned i = 0; i < CLIENTS; i++)
		client_start(&clients[i], i, &r);
	for (unsigned round = 0; round < rounds; round++) {
		for (unsigned first = 0; first < CLIENTS; first += AT_ONCE) {
			struct client *c = clients + first;
			size_t len = 1 + (round * CLIENTS + first) % SIZE_MAX_TESTED;

			for (unsigned i = 0; i < AT_ONCE; i++)
				send_both_ways(&c[i], round, len + i, (round + i) % 2);
			for (unsigned i = 0; i < AT_ONCE; i++)
				receive_both(&c[i], round, len + i);
		}
	}
	s = look(&r);
	assert_int_equal(s.workers, 4);
	assert_int_equal(s.allocations[TURN_UDP], CLIENTS);
	assert_int_equal(s.up[TURN_UDP].packets, CLIENTS * BURST * rounds);
	assert_int_equal(s.down[TURN_UDP].packets, CLIENTS * BURST * rounds);
	assert_int_equal(s.up[TURN_UDP].bytes, s.down[TURN_UDP].bytes);
	assert_int_equal(s.send_errors + s.over_quota, 0);
	for (unsigned i = 0; i < CLIENTS; i++)
		client_stop(&clients[i]);
	rig_stop(&r);
}

/* ---- mobility ---- */

static void move(struct client *c, const struct rig *r)
{
	struct addr own;
	int before = c->fd;

	c->fd = bound_socket(&own); /* before the old one is closed: a port of its own */
	close(before);
	connect_to(c->fd, &r->server);
	c->moved = false;
	assert_int_equal(turn_client_moved(c->core, usec_monotonic()), 0);
	send_outputs(c);
	while (!c->moved)
		read_messages(c);
}

/* RFC 8016: peers are heard at the new address once something was sent from there. */
static void expect_alive(struct client *c, unsigned round)
{
	struct turn_client_wrap w;
	uint8_t out[128], got[128];

	assert_int_equal(turn_client_wrap(c->core, usec_monotonic(), &c->peer, 33, &w), 0);
	memcpy(out, w.head, w.head_len);
	fill(out + w.head_len, 33, round);
	send_outputs(c);
	assert_int_equal(send(c->fd, out, w.head_len + 33, 0), w.head_len + 33);
	wait_for(c->peer_fd);
	assert_int_equal(recv(c->peer_fd, got, sizeof(got), 0), 33);
	assert_memory_equal(got, out + w.head_len, 33);
	send_both_ways(c, round, 100 + round, round % 2);
	receive_both(c, round, 100 + round);
}

/* The kernel picks a worker for each new port, so some of the moves are between the two. */
static void test_mobility(void **state)
{
	static struct client clients[8];
	struct relay_snapshot s;
	struct rig r;

	rig_start(&r, "2");
	for (unsigned i = 0; i < ARRAY_LEN(clients); i++)
		client_start(&clients[i], i, &r);
	for (unsigned round = 0; round < 12; round++) {
		for (unsigned i = 0; i < ARRAY_LEN(clients); i++) {
			move(&clients[i], &r);
			expect_alive(&clients[i], round);
		}
	}
	s = look(&r);
	assert_int_equal(s.turn.allocations, ARRAY_LEN(clients));
	assert_int_equal(s.allocations[TURN_UDP], ARRAY_LEN(clients));
	for (unsigned i = 0; i < ARRAY_LEN(clients); i++)
		client_stop(&clients[i]);
	rig_stop(&r);
}

/* ---- drain ---- */

static void on_empty(void *arg)
{
	*(bool *)arg = true;
}

static void test_drain(void **state)
{
	static struct client clients[6];
	bool empty = false;
	struct rig r;

	rig_start(&r, "3");
	for (unsigned i = 0; i < ARRAY_LEN(clients); i++)
		client_start(&clients[i], i, &r);
	relay_drain(r.relay, on_empty, &empty);
	(void)look(&r);
	assert_false(empty);
	for (unsigned i = 0; i < ARRAY_LEN(clients); i++) {
		send_both_ways(&clients[i], 1, 50, true);
		receive_both(&clients[i], 1, 50);
	}
	for (unsigned i = 0; i < ARRAY_LEN(clients); i++) {
		turn_client_close(clients[i].core, usec_monotonic());
		send_outputs(&clients[i]);
	}
	while (!empty)
		assert_int_equal(loop_turn(r.loop, USEC_NEVER), 0);
	assert_int_equal(look(&r).turn.allocations, 0);
	for (unsigned i = 0; i < ARRAY_LEN(clients); i++)
		client_stop(&clients[i]);
	rig_stop(&r);
}

/* ---- ports ---- */

#define PORTS 4

/* An address of this test alone, so that its few ports are nobody else's. */
static char *own_address(char buf[ADDR_TEXT_MAX])
{
	snprintf(buf, ADDR_TEXT_MAX, "127.%u.%u.1", 1 + (unsigned)getpid() / 256 % 250,
		 (unsigned)getpid() % 256);
	return buf;
}

static void test_ports_run_out(void **state)
{
	static struct client clients[PORTS], late;
	char address[ADDR_TEXT_MAX];
	struct rig r;

	rig_start_with(&r, "2", own_address(address), "50000", "50003");
	for (unsigned i = 0; i < PORTS; i++)
		client_start(&clients[i], i, &r);
	assert_int_equal(look(&r).ports_free, 0);
	assert_false(client_allocate(&late, 99, &r));
	client_stop(&late);
	for (unsigned i = 0; i < PORTS; i++) { /* one is free again: at once */
		client_close(&clients[i]);
		assert_true(client_allocate(&late, 99, &r));
		client_stop(&clients[i]);
		clients[i] = late;
	}
	for (unsigned i = 0; i < PORTS; i++)
		client_stop(&clients[i]);
	rig_stop(&r);
}

/* Ports that others on the machine have are passed over. */
static void test_foreign_ports(void **state)
{
	static struct client clients[PORTS];
	char address[ADDR_TEXT_MAX], text[ADDR_TEXT_MAX + 8];
	struct addr taken;
	struct rig r;
	int fd;

	rig_start_with(&r, "2", own_address(address), "50000", "50003");
	snprintf(text, sizeof(text), "%s:50002", address);
	assert_int_equal(addr_parse(text, &taken), 0);
	fd = socket_at(&taken);
	for (unsigned i = 0; i < PORTS - 1; i++) {
		client_start(&clients[i], i, &r);
		assert_int_not_equal(clients[i].relayed.port, 50002);
	}
	assert_false(client_allocate(&clients[PORTS - 1], 99, &r));
	for (unsigned i = 0; i < PORTS; i++)
		client_stop(&clients[i]);
	close(fd);
	rig_stop(&r);
}

/* ---- ICMP ---- */

static void test_icmp(void **state)
{
	static struct client c;
	struct rig r;

	rig_start(&r, "1");
	client_start(&c, 1, &r);
	close(c.peer_fd); /* from here on the kernel answers for the peer: port unreachable */
	for (unsigned round = 1; round <= 3; round++) {
		struct turn_client_wrap w;

		assert_int_equal(turn_client_wrap(c.core, usec_monotonic(), &c.peer, 0, &w), 0);
		assert_int_equal(send(c.fd, w.head, w.head_len, 0), w.head_len);
		while (c.icmp < round)
			read_messages(&c);
	}
	/* and the socket still carries what can be carried */
	c.peer_fd = socket_at(&c.peer);
	connect_to(c.peer_fd, &c.relayed);
	send_both_ways(&c, 1, 70, false);
	receive_both(&c, 1, 70);
	client_stop(&c);
	rig_stop(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_many),	  TEST(test_mobility),	    TEST(test_drain),
		TEST(test_ports_run_out), TEST(test_foreign_ports), TEST(test_icmp),
	};

	log_set_level(LOG_LEVEL_WARN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
