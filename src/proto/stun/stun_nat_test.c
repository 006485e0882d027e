/* The questions of stun_nat.h through a model of a NAT, to the project's own STUN server, in
 * virtual time. */
#include "test.h"

#include "proto/stun/stun_nat.h"
#include "proto/stun/stun_server.h"

#define MSEC USEC_PER_MSEC
#define DELAY (20 * MSEC)
#define FLIGHT_MAX 32
#define PORTS_MAX 16
#define PUBLIC "203.0.113.9:1"

struct flight {
	usec_t at;
	bool to_server;
	struct addr from, to;
	size_t len;
	uint8_t data[STUN_SERVER_ANSWER_MAX];
};

struct model {
	enum stun_nat_mapping mapping;
	enum stun_nat_filtering filtering;
	unsigned loss;	  /* of 100 */
	bool alone;	  /* the server has one address */
	bool ignores;	  /* it does not look at CHANGE-REQUEST */
	bool dead;	  /* it says nothing */
	struct addr lies; /* what it says its other address is; ADDR_NONE: the truth */

	usec_t now;
	struct rng rng;
	struct stun_behaviour behaviour;
	struct {
		struct addr local, to; /* to: what the mapping is for */
	} ports[PORTS_MAX];	       /* public port 1000 + index */
	struct {
		size_t port;
		struct addr remote;
	} spoken[64];
	size_t n_ports, n_spoken, n_sent;
	struct flight flights[FLIGHT_MAX];
	size_t n_flights;
};

static struct addr addr_of(const char *text)
{
	struct addr a;

	assert_int_equal(addr_parse(text, &a), 0);
	return a;
}

static bool same_mapping(const struct model *m, size_t port, const struct addr *local,
			 const struct addr *to)
{
	const struct addr *was = &m->ports[port].to;

	if (!addr_equal(&m->ports[port].local, local))
		return false;
	if (m->mapping == STUN_NAT_MAPPING_INDEPENDENT)
		return true;
	return addr_ip_equal(was, to) &&
	       (m->mapping == STUN_NAT_MAPPING_ADDRESS || was->port == to->port);
}

static size_t port_for(struct model *m, const struct addr *local, const struct addr *to)
{
	for (size_t i = 0; i < m->n_ports; i++)
		if (same_mapping(m, i, local, to))
			return i;
	assert_true(m->n_ports < PORTS_MAX);
	m->ports[m->n_ports].local = *local;
	m->ports[m->n_ports].to = *to;
	return m->n_ports++;
}

static void fly(struct model *m, bool to_server, const struct addr *from, const struct addr *to,
		struct span data)
{
	struct flight *f = &m->flights[m->n_flights];

	if (rng_below(&m->rng, 100) < m->loss)
		return;
	assert_true(m->n_flights < FLIGHT_MAX && data.len <= sizeof(f->data));
	m->n_flights++;
	*f = (struct flight){ m->now + DELAY, to_server, *from, *to, data.len, { 0 } };
	memcpy(f->data, data.ptr, data.len);
}

static void send_out(struct model *m, const struct dgram *d)
{
	struct addr from = d->local;
	size_t port = 0;

	m->n_sent++;
	if (m->mapping != STUN_NAT_MAPPING_NONE) {
		port = port_for(m, &d->local, &d->remote);
		from = addr_of(PUBLIC);
		from.port = (uint16_t)(1000 + port);
	} else {
		port = d->local.port;
	}
	assert_true(m->n_spoken < ARRAY_LEN(m->spoken));
	m->spoken[m->n_spoken].port = port;
	m->spoken[m->n_spoken++].remote = d->remote;
	fly(m, true, &from, &d->remote, d->data);
}

static bool lets_in(const struct model *m, size_t port, const struct addr *from)
{
	for (size_t i = 0; i < m->n_spoken; i++) {
		const struct addr *remote = &m->spoken[i].remote;

		if (m->spoken[i].port != port)
			continue;
		if (m->filtering == STUN_NAT_FILTERING_OPEN || addr_equal(remote, from) ||
		    (m->filtering == STUN_NAT_FILTERING_ADDRESS && addr_ip_equal(remote, from)))
			return true;
	}
	return false;
}

/* A server that claims another address than it has. */
static void lie(const struct model *m, const struct stun_msg *q, const struct addr *client,
		uint8_t *buf, struct stun_answer *answer)
{
	struct stun_out o;

	stun_begin(&o, buf, STUN_SERVER_ANSWER_MAX, STUN_SUCCESS, STUN_BINDING, q->tid);
	stun_put_xor_addr(&o, STUN_XOR_MAPPED_ADDRESS, client);
	stun_put_addr(&o, STUN_OTHER_ADDRESS, &m->lies);
	*answer = (struct stun_answer){ .len = (size_t)stun_end(&o) };
}

static void serve(struct model *m, const struct flight *f)
{
	const struct stun_behaviour *behaviour = m->alone ? NULL : &m->behaviour;
	uint8_t buf[STUN_SERVER_ANSWER_MAX];
	struct stun_answer answer;
	struct addr from = f->to;
	struct stun_msg q;

	if (m->dead)
		return;
	assert_int_equal(stun_parse(span_of(f->data, f->len), &q), 0);
	stun_server_binding(&q, &f->from, &f->to, behaviour, false, buf, &answer);
	if (m->lies.family != ADDR_NONE)
		lie(m, &q, &f->from, buf, &answer);
	for (int i = 0; i < 4 && !m->ignores; i++)
		if (behaviour && addr_equal(&behaviour->at[i / 2][i % 2], &f->to))
			from = behaviour->at[(i / 2) ^ (answer.origin >> 1)]
					    [(i % 2) ^ (answer.origin & 1)];
	if (answer.len)
		fly(m, false, &from, &f->from, span_of(buf, answer.len));
}

static void arrive(struct model *m, struct stun_nat *n, const struct flight *f)
{
	struct dgram d = { f->to, f->from, span_of(f->data, f->len), DGRAM_UDP };
	size_t port = f->to.port;

	if (m->mapping != STUN_NAT_MAPPING_NONE) {
		port -= 1000;
		assert_true(port < m->n_ports);
		d.local = m->ports[port].local;
	}
	if (lets_in(m, port, &f->from))
		stun_nat_input(n, m->now, &d);
}

/* The next flight that is due by then is handled. */
static bool land(struct model *m, struct stun_nat *n, usec_t until)
{
	size_t first = m->n_flights;
	struct flight f;

	for (size_t i = 0; i < m->n_flights; i++)
		if (m->flights[i].at <= until &&
		    (first == m->n_flights || m->flights[i].at < m->flights[first].at))
			first = i;
	if (first == m->n_flights)
		return false;
	f = m->flights[first];
	m->flights[first] = m->flights[--m->n_flights];
	m->now = FL_MAX(m->now, f.at);
	if (f.to_server)
		serve(m, &f);
	else
		arrive(m, n, &f);
	return true;
}

/* The time it took. */
static usec_t run(struct model *m, struct stun_nat *n)
{
	struct addr local[2] = { addr_of("192.168.1.4:5000"), addr_of("192.168.1.4:5001") };
	struct addr server = addr_of("198.51.100.1:3478");
	usec_t began = USEC_PER_SEC;
	struct dgram d;

	m->now = began;
	for (int i = 0; i < 4; i++) {
		static const char *const places[] = { "198.51.100.1:3478", "198.51.100.1:3479",
						      "198.51.100.2:3478", "198.51.100.2:3479" };
		m->behaviour.at[i / 2][i % 2] = addr_of(places[i]);
	}
	stun_nat_start(n, &m->rng, m->now, &server, local);
	while (!stun_nat_done(n)) {
		while (stun_nat_next_output(n, m->now, &d))
			send_out(m, &d);
		if (stun_nat_done(n))
			break;
		if (!land(m, n, stun_nat_deadline(n)))
			m->now = stun_nat_deadline(n);
		assert_true(m->now < began + 10 * USEC_PER_SEC);
	}
	return m->now - began;
}

/* Every pair of mapping and filtering is told as it is, within a bounded time and effort. */
static void test_every_nat(void **state)
{
	for (int mapping = STUN_NAT_MAPPING_NONE; mapping <= STUN_NAT_MAPPING_PORT; mapping++)
		for (int f = STUN_NAT_FILTERING_OPEN; f <= STUN_NAT_FILTERING_PORT; f++) {
			struct model m = { .mapping = mapping, .filtering = f };
			struct stun_nat n;
			usec_t took;

			rng_seed(&m.rng, 1);
			took = run(&m, &n);
			assert_int_equal(stun_nat_mapping(&n), mapping);
			assert_int_equal(stun_nat_filtering(&n), f);
			assert_true(took < USEC_PER_SEC);
			assert_true(m.n_sent <= STUN_NAT_TESTS * STUN_NAT_TRIES);
		}
}

/* With a tenth lost, what is told of the mapping is never wrong, only missing at times. */
static void test_loss(void **state)
{
	unsigned told = 0;

	for (uint64_t seed = 1; seed <= 200; seed++) {
		struct model m = { .mapping = STUN_NAT_MAPPING_PORT,
				   .filtering = STUN_NAT_FILTERING_OPEN,
				   .loss = 10 };
		struct stun_nat n;

		rng_seed(&m.rng, seed);
		run(&m, &n);
		if (stun_nat_mapping(&n) != STUN_NAT_MAPPING_UNKNOWN) {
			assert_in_range(stun_nat_mapping(&n), STUN_NAT_MAPPING_ADDRESS,
					STUN_NAT_MAPPING_PORT);
			told++;
		}
	}
	assert_true(told > 190);
}

static void expect_unknown(struct model *m, size_t sent_max)
{
	struct stun_nat n;

	rng_seed(&m->rng, 1);
	run(m, &n);
	assert_int_equal(stun_nat_mapping(&n), STUN_NAT_MAPPING_UNKNOWN);
	assert_int_equal(stun_nat_filtering(&n), STUN_NAT_FILTERING_UNKNOWN);
	assert_true(m->n_sent <= sent_max);
}

/* One address, none at all, one that would have us ask somebody else. */
static void test_servers_of_no_use(void **state)
{
	struct model m = { .mapping = STUN_NAT_MAPPING_INDEPENDENT,
			   .filtering = STUN_NAT_FILTERING_OPEN,
			   .alone = true };
	static const char *const lies[] = { "127.0.0.1:22", "10.0.0.1:53", "198.51.100.1:9",
					    "198.51.100.9:3478", "[2001:db8::1]:9" };

	expect_unknown(&m, 1);
	m = (struct model){ .mapping = STUN_NAT_MAPPING_INDEPENDENT, .dead = true };
	expect_unknown(&m, STUN_NAT_TRIES);
	for (size_t i = 0; i < ARRAY_LEN(lies); i++) {
		m = (struct model){ .mapping = STUN_NAT_MAPPING_INDEPENDENT,
				    .filtering = STUN_NAT_FILTERING_OPEN,
				    .lies = addr_of(lies[i]) };
		expect_unknown(&m, 1);
	}
}

/* A server that answers from where it was asked although it should not tells nothing of filters. */
static void test_change_ignored(void **state)
{
	struct model m = { .mapping = STUN_NAT_MAPPING_INDEPENDENT,
			   .filtering = STUN_NAT_FILTERING_PORT,
			   .ignores = true };
	struct stun_nat n;

	rng_seed(&m.rng, 1);
	run(&m, &n);
	assert_int_equal(stun_nat_mapping(&n), STUN_NAT_MAPPING_INDEPENDENT);
	assert_int_equal(stun_nat_filtering(&n), STUN_NAT_FILTERING_UNKNOWN);
}

/* Answers to nothing, from elsewhere, or to the other socket change nothing. */
static void test_strangers(void **state)
{
	struct addr local[2] = { addr_of("192.168.1.4:5000"), addr_of("192.168.1.4:5001") };
	struct addr server = addr_of("198.51.100.1:3478"), wrong = addr_of("198.51.100.66:3478");
	struct addr mapped = addr_of("203.0.113.9:1000");
	uint8_t buf[STUN_SHORT_MAX];
	struct stun_nat n;
	struct stun_out o;
	struct dgram d;
	struct rng rng;

	rng_seed(&rng, 1);
	stun_nat_start(&n, &rng, 1000, &server, local);
	assert_true(stun_nat_next_output(&n, 1000, &d));
	for (int i = 0; i < 3; i++) {
		uint8_t tid[STUN_TID_LEN] = "abcdefghijk";

		if (i)
			memcpy(tid, n.asks[0].client.tid, sizeof(tid));
		stun_begin(&o, buf, sizeof(buf), STUN_SUCCESS, STUN_BINDING, tid);
		stun_put_xor_addr(&o, STUN_XOR_MAPPED_ADDRESS, &mapped);
		d = (struct dgram){ i == 2 ? local[1] : local[0], i == 1 ? wrong : server,
				    span_of(buf, (size_t)stun_end(&o)), DGRAM_UDP };
		stun_nat_input(&n, 2000, &d);
		d.data.len = 3;
		stun_nat_input(&n, 2000, &d);
		assert_false(stun_nat_done(&n));
	}
	assert_int_equal(n.asks[0].state, STUN_NAT_ASKED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_nat),	  cmocka_unit_test(test_loss),
		cmocka_unit_test(test_servers_of_no_use), cmocka_unit_test(test_change_ignored),
		cmocka_unit_test(test_strangers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
