/*
 * The route report of peers that are told nonsense, are sent forged packets, or have servers of no
 * use: whatever is dropped is counted, told, and harms nothing. Over the public functions and real
 * loopback sockets; what would send packets elsewhere is tried on a core without sockets.
 */
#include "test.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "base/rng.h"
#include "peer/core.h"
#include "proto/stun/stun.h"

#define LIMIT_US (20 * USEC_PER_SEC) /* a hang is a failure; nothing is asserted about speed */
#define CANDIDATES_MAX 64

struct end {
	struct fl_peer *peer;
	bool connected;
	unsigned n_messages;
	char *candidates[CANDIDATES_MAX]; /* what it offered by itself */
	size_t n_candidates;
};

struct two {
	struct fl_identity *id;
	struct end end[2];
	bool spoil; /* the password in the answer is another one */
};

static struct fl_route route; /* of the last look() */

static void look(const struct fl_peer *peer)
{
	fl_peer_route(peer, &route);
}

static uint64_t ignored(const char *word)
{
	for (size_t i = 0; i < route.n_ignored; i++)
		if (strcmp(route.ignored[i].word, word) == 0)
			return route.ignored[i].count;
	return 0;
}

static const struct fl_found *found(bool remote, const char *address, uint16_t port)
{
	for (size_t i = 0; i < route.n_candidates; i++) {
		const struct fl_found *f = &route.candidates[i];

		if (f->remote == remote && strcmp(f->address, address) == 0 && f->port == port)
			return f;
	}
	return NULL;
}

static void expect_ignored(const char *address, uint16_t port, const char *why)
{
	const struct fl_found *f = found(true, address, port);

	if (!f)
		fail_msg("%s:%u is not in the report", address, port);
	assert_int_equal(f->use, FL_USE_IGNORED);
	if (!strstr(f->why, why))
		fail_msg("%s: \"%s\" does not say \"%s\"", address, f->why, why);
}

static void offered(struct end *e, const char *line)
{
	if (*line && e->n_candidates < CANDIDATES_MAX)
		e->candidates[e->n_candidates++] = strdup(line);
}

/* Those in a description, too. */
static void offered_in(struct end *e, const char *sdp)
{
	char line[1024];

	for (const char *s = sdp; (s = strstr(s, "a=candidate:")); s++) {
		snprintf(line, sizeof(line), "%.*s", (int)strcspn(s, "\r\n"), s);
		offered(e, line);
	}
}

static void deliver(struct two *t, int from, const struct fl_event *ev)
{
	struct fl_peer *to = t->end[1 - from].peer;
	char *sdp, *pwd;

	if (ev->type == FL_EVENT_CANDIDATE) {
		offered(&t->end[from], ev->text);
		assert_int_equal(fl_peer_candidate(to, ev->text), 0);
		return;
	}
	offered_in(&t->end[from], ev->text);
	sdp = strdup(ev->text);
	pwd = strstr(sdp, "a=ice-pwd:");
	if (t->spoil && from == 1)
		pwd[strlen("a=ice-pwd:")] = pwd[strlen("a=ice-pwd:")] == 'A' ? 'B' : 'A';
	assert_int_equal(from == 0 ? fl_peer_answer(to, sdp) : fl_peer_accept(to, sdp), 0);
	free(sdp);
}

static void step(struct two *t)
{
	struct pollfd fds[2];
	struct fl_event ev;

	for (int i = 0; i < 2; i++) {
		struct end *e = &t->end[i];

		fds[i] = (struct pollfd){ .fd = fl_peer_fd(e->peer), .events = POLLIN };
		while (fl_peer_next_event(e->peer, &ev)) {
			if (ev.type == FL_EVENT_DESCRIPTION || ev.type == FL_EVENT_CANDIDATE)
				deliver(t, i, &ev);
			e->connected |= ev.type == FL_EVENT_CONNECTED;
			e->n_messages += ev.type == FL_EVENT_CHANNEL_DATA;
		}
	}
	if (poll(fds, 2, 100) > 0)
		for (int i = 0; i < 2; i++)
			if (fds[i].revents)
				assert_int_equal(fl_peer_dispatch(t->end[i].peer), 0);
}

#define UNTIL(t, condition)                                                                        \
	do {                                                                                       \
		usec_t until_ = usec_monotonic() + LIMIT_US;                                       \
		while (!(condition)) {                                                             \
			step(t);                                                                   \
			assert_true(usec_monotonic() < until_);                                    \
		}                                                                                  \
	} while (0)

static void setup(struct two *t, const struct fl_ice_server *servers, size_t n)
{
	struct fl_peer_config config = { .loopback = true,
					 .ice_servers = servers,
					 .n_ice_servers = n };

	*t = (struct two){ 0 };
	assert_int_equal(fl_identity_create(&t->id), 0);
	config.identity = t->id;
	for (int i = 0; i < 2; i++)
		assert_int_equal(fl_peer_create(&config, &t->end[i].peer), 0);
}

static void teardown(struct two *t)
{
	for (int i = 0; i < 2; i++) {
		fl_peer_destroy(t->end[i].peer);
		for (size_t c = 0; c < t->end[i].n_candidates; c++)
			free(t->end[i].candidates[c]);
	}
	fl_identity_destroy(t->id);
}

static void connect_both(struct two *t)
{
	assert_true(fl_channel_open(t->end[0].peer, "c", NULL) >= 0);
	assert_int_equal(fl_peer_offer(t->end[0].peer), 0);
	UNTIL(t, t->end[0].connected && t->end[1].connected);
}

/* It still carries data. */
static void assert_works(struct two *t)
{
	unsigned had = t->end[1].n_messages;
	int channel = fl_channel_open(t->end[0].peer, "works", NULL);

	assert_true(channel >= 0);
	assert_int_equal(fl_channel_send(t->end[0].peer, channel, "x", 1, true), 0);
	UNTIL(t, t->end[1].n_messages > had);
}

static void tell(struct two *t, const char *line)
{
	assert_int_equal(fl_peer_candidate(t->end[1].peer, line), 0);
}

static void test_good_session(void **state)
{
	struct two t;
	size_t chosen = 0;

	setup(&t, NULL, 0);
	connect_both(&t);
	UNTIL(&t, (look(t.end[1].peer), route.method != FL_ROUTE_NONE));
	for (size_t i = 0; i < route.n_candidates; i++) {
		const struct fl_found *f = &route.candidates[i];

		chosen += f->use == FL_USE_SELECTED;
		assert_true(f->origin[0]);
		if (f->use == FL_USE_UNUSED || f->use == FL_USE_IGNORED)
			assert_true(f->why[0]);
	}
	assert_int_equal(chosen, 2);
	assert_int_equal(route.n_servers, 0);
	assert_int_equal(ignored("self") + ignored("malformed") + ignored("unauthenticated"), 0);
	teardown(&t);
}

static void test_candidates_of_no_use(void **state)
{
	struct two t;

	setup(&t, NULL, 0);
	connect_both(&t);
	tell(&t, "candidate:what");
	tell(&t, "candidate:1 1 udp 1 127.0.0.1 70000 typ host");
	tell(&t, "candidate:1 1 sctp 1 127.0.0.1 9 typ host");
	tell(&t, "candidate:1 2 udp 1 127.0.0.2 9 typ host");
	tell(&t, "candidate:1 1 udp 1 0.0.0.0 9 typ host");
	tell(&t, "candidate:1 1 udp 1 224.0.0.251 5353 typ host");
	tell(&t, "candidate:1 1 tcp 1 127.0.0.3 9 typ host tcptype so");
	tell(&t, "candidate:1 1 udp 1 intranet.example.org 80 typ host");
	look(t.end[1].peer);
	assert_int_equal(ignored("malformed"), 2);
	assert_int_equal(ignored("unsupported"), 2);
	assert_int_equal(ignored("component"), 1);
	assert_int_equal(ignored("address"), 2);
	assert_int_equal(ignored("name"), 1);
	expect_ignored("127.0.0.2", 9, "component");
	expect_ignored("0.0.0.0", 9, "no address to send to");
	expect_ignored("224.0.0.251", 5353, "no address to send to");
	expect_ignored("127.0.0.3", 9, "simultaneous-open");
	expect_ignored("intranet.example.org", 80, "not a browser's .local name");
	assert_works(&t);
	teardown(&t);
}

/* Our own candidates come back: nothing is ever sent round in a circle. */
static void test_loops(void **state)
{
	struct two t;
	uint64_t udp = 0;

	setup(&t, NULL, 0);
	connect_both(&t);
	for (size_t i = 0; i < t.end[1].n_candidates; i++) {
		udp += strstr(t.end[1].candidates[i], " udp ") != NULL;
		tell(&t, t.end[1].candidates[i]);
		tell(&t, t.end[1].candidates[i]);
	}
	look(t.end[1].peer);
	assert_true(udp > 0 && ignored("self") >= udp);
	assert_true(ignored("duplicate") >= udp);
	for (size_t i = 0; i < route.n_tried; i++)
		assert_false(route.tried[i].local.port == route.tried[i].remote.port &&
			     strcmp(route.tried[i].local.address, route.tried[i].remote.address) ==
				     0);
	assert_works(&t);
	teardown(&t);
}

/* A name that nobody answers for, within the three seconds that it is asked for. */
static void test_unknown_name(void **state)
{
	static const char name[] = "5b3cf0c4-8b1f-4b5e-9a55-0f4f5f0d8d11.local";
	struct two t;
	char line[128];

	setup(&t, NULL, 0);
	connect_both(&t);
	snprintf(line, sizeof(line), "candidate:1 1 udp 1 %s 4000 typ host", name);
	tell(&t, line);
	look(t.end[1].peer);
	assert_non_null(found(true, name, 4000));
	UNTIL(&t, (look(t.end[1].peer), ignored("name") == 1));
	assert_int_equal(found(true, name, 4000)->use, FL_USE_IGNORED);
	assert_true(strstr(found(true, name, 4000)->why, "network") ||
		    strstr(found(true, name, 4000)->why, "5353"));
	assert_works(&t);
	teardown(&t);
}

/* ---- names ---- */

/* An answer on the loopback link, from the right port, that names an address elsewhere. */
static bool answer_off_link(const char *host)
{
	static const uint8_t head[] = { 0, 0, 0x84, 0, 0, 0, 0, 1, 0, 0, 0, 0 };
	static const uint8_t record[] = { 5, 'l', 'o', 'c', 'a', 'l', 0,   0, 1,   0x80, 1,
					  0, 0,	  0,   120, 0,	 4,   203, 0, 113, 7 };
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(5353) };
	struct ip_mreqn link = { .imr_address.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), on = 1;
	uint8_t packet[128] = { 0 };
	size_t label = strcspn(host, "."), len = sizeof(head);
	bool sent;

	assert_true(fd >= 0);
	memcpy(packet, head, sizeof(head));
	packet[len++] = (uint8_t)label;
	memcpy(packet + len, host, label);
	memcpy(packet + len + label, record, sizeof(record));
	len += label + sizeof(record);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
	setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &link, sizeof(link));
	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	sent = bind(fd, (struct sockaddr *)&at, sizeof(at)) == 0;
	at.sin_addr.s_addr = htonl(0xe00000fb);
	sent = sent && sendto(fd, packet, len, 0, (struct sockaddr *)&at, sizeof(at)) > 0;
	close(fd);
	return sent;
}

/* Somebody on our link says that a name is an address on another network: it is not believed. */
static void test_name_off_link(void **state)
{
	static const char name[] = "5b3cf0c4-8b1f-4b5e-9a55-0f4f5f0d8d12.local";
	usec_t until = usec_monotonic() + 2 * USEC_PER_SEC;
	struct two t;
	char line[128];

	setup(&t, NULL, 0);
	connect_both(&t);
	snprintf(line, sizeof(line), "candidate:1 1 udp 1 %s 4001 typ host", name);
	tell(&t, line);
	if (!answer_off_link(name)) {
		teardown(&t);
		skip(); /* no multicast on the loopback interface */
	}
	do {
		step(&t);
		look(t.end[1].peer);
	} while (!ignored("name-off-link") && usec_monotonic() < until);
	assert_true(ignored("name-off-link") > 0);
	assert_null(found(true, "203.0.113.7", 4001));
	assert_works(&t);
	teardown(&t);
}

static void test_too_many(void **state)
{
	struct two t;
	char line[128];

	setup(&t, NULL, 0);
	connect_both(&t);
	for (int i = 0; i < 300; i++) {
		snprintf(line, sizeof(line), "candidate:1 1 udp 1 127.77.%d.%d 9 typ host",
			 1 + i / 200, 1 + i % 200);
		tell(&t, line);
	}
	look(t.end[1].peer);
	assert_true(ignored("over-limit") >= 300 - ICE_REMOTES_MAX);
	assert_true(route.n_candidates <= FL_ROUTE_CANDIDATES_MAX);
	assert_true(route.n_tried <= FL_ROUTE_PAIRS_MAX);
	/* what matters is still told */
	assert_false(route.candidates[0].remote);
	assert_works(&t);
	teardown(&t);
}

/* ---- forged packets ---- */

struct stranger {
	int fd;
	struct sockaddr_storage to;
	socklen_t to_len;
	uint8_t buf[STUN_SHORT_MAX];
	struct stun_out o;
};

/* A socket beside end[1]'s loopback one. */
static void stranger_init(struct stranger *s, struct two *t)
{
	struct addr to = { 0 };

	look(t->end[1].peer);
	for (size_t i = 0; i < route.n_candidates; i++) {
		const struct fl_found *f = &route.candidates[i];

		if (!f->remote && !f->tcp && strcmp(f->address, "127.0.0.1") == 0) {
			assert_int_equal(addr_parse_ip(f->address, &to), 0);
			to.port = f->port;
		}
	}
	assert_int_equal(to.family, ADDR_V4);
	s->to_len = addr_to_sockaddr(&to, &s->to);
	s->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_true(s->fd >= 0);
}

static void stranger_send(struct stranger *s, const void *data, size_t len)
{
	assert_int_equal(sendto(s->fd, data, len, 0, (struct sockaddr *)&s->to, s->to_len), len);
}

static void stranger_begin(struct stranger *s, enum stun_class class, const char *user)
{
	stun_begin(&s->o, s->buf, sizeof(s->buf), class, STUN_BINDING,
		   (const uint8_t *)"0123456789ab");
	if (user)
		stun_put(&s->o, STUN_USERNAME, span_str(user));
}

static void stranger_end(struct stranger *s)
{
	int len = stun_end(&s->o);

	assert_true(len > 0);
	stranger_send(s, s->buf, (size_t)len);
}

static void test_forged_checks(void **state)
{
	struct addr mapped = { .family = ADDR_V4, .ip = { 127, 0, 0, 1 }, .port = 9 };
	struct stranger s;
	struct two t;
	char junk[64];

	setup(&t, NULL, 0);
	connect_both(&t);
	stranger_init(&s, &t);
	/* a check with a wrong name and password, one without any, one without FINGERPRINT */
	stranger_begin(&s, STUN_REQUEST, "who:knows");
	stun_put_u32(&s.o, STUN_PRIORITY, 1);
	stun_put_flag(&s.o, STUN_USE_CANDIDATE);
	stun_put_integrity(&s.o, span_str("guessed"));
	stun_put_fingerprint(&s.o);
	stranger_end(&s);
	stranger_begin(&s, STUN_REQUEST, NULL);
	stun_put_fingerprint(&s.o);
	stranger_end(&s);
	stranger_begin(&s, STUN_REQUEST, "who:knows");
	stranger_end(&s);
	/* consent that nobody asked for: answers to nothing */
	stranger_begin(&s, STUN_SUCCESS, NULL);
	stun_put_xor_addr(&s.o, STUN_XOR_MAPPED_ADDRESS, &mapped);
	stun_put_integrity(&s.o, span_str("guessed"));
	stun_put_fingerprint(&s.o);
	stranger_end(&s);
	stranger_begin(&s, STUN_ERROR, NULL);
	stun_put_error(&s.o, 487, "Role Conflict");
	stranger_end(&s);
	/* no STUN, and STUN that breaks off */
	stranger_begin(&s, STUN_REQUEST, "who:knows");
	assert_true(stun_end(&s.o) > 32);
	s.buf[22] = 0xff;
	stranger_send(&s, s.buf, 32);
	stranger_send(&s, "\x02nothing", 8);
	UNTIL(&t, (look(t.end[1].peer), ignored("unknown-packet") >= 1));
	assert_int_equal(ignored("unauthenticated"), 2);
	assert_int_equal(ignored("fingerprint"), 1);
	assert_int_equal(ignored("unexpected"), 2);
	assert_int_equal(ignored("malformed-stun") + ignored("unknown-packet"), 2);
	/* and nobody was answered */
	assert_true(recv(s.fd, junk, sizeof(junk), MSG_DONTWAIT) < 0 && errno == EAGAIN);
	for (size_t i = 0; i < route.n_candidates; i++)
		assert_false(route.candidates[i].remote &&
			     route.candidates[i].type == FL_CANDIDATE_PRFLX &&
			     !route.candidates[i].tcp &&
			     route.candidates[i].use == FL_USE_SELECTED);
	assert_works(&t);
	close(s.fd);
	teardown(&t);
}

/* The other side answers with another password than it says. */
static void test_wrong_password(void **state)
{
	struct two t;

	setup(&t, NULL, 0);
	t.spoil = true;
	assert_true(fl_channel_open(t.end[0].peer, "c", NULL) >= 0);
	assert_int_equal(fl_peer_offer(t.end[0].peer), 0);
	UNTIL(&t, (look(t.end[1].peer), ignored("unauthenticated") > 3));
	look(t.end[0].peer);
	assert_int_equal(route.method, FL_ROUTE_NONE);
	assert_false(t.end[0].connected || t.end[1].connected);
	assert_int_equal(strncmp(route.reason, "No route: ", 10), 0);
	for (size_t i = 0; i < route.n_tried; i++)
		assert_int_equal(route.tried[i].answered, 0);
	teardown(&t);
}

/* ---- servers ---- */

static const struct fl_server *server(size_t i)
{
	assert_true(i < route.n_servers);
	return &route.servers[i];
}

/* A port of this machine that nobody listens on; kept bound, so that nobody will. */
static int deaf_port(int type, uint16_t *port)
{
	struct addr a = { .family = ADDR_V4, .ip = { 127, 0, 0, 1 } };
	struct sockaddr_storage ss;
	socklen_t len = addr_to_sockaddr(&a, &ss);
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0 && bind(fd, (struct sockaddr *)&ss, len) == 0);
	len = sizeof(ss);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&ss, &len), 0);
	assert_int_equal(addr_from_sockaddr((struct sockaddr *)&ss, len, &a), 0);
	*port = a.port;
	return fd;
}

static void test_servers(void **state)
{
	struct fl_ice_server servers[4] = { { NULL, "u", "p" },
					    { NULL, "u", "p" },
					    { "turns:127.0.0.1:9?transport=udp", "u", "p" },
					    { NULL, NULL, NULL } };
	char label[80] = "", name[128], refused[64], silent[64];
	struct two t;
	uint16_t port;
	int tcp = deaf_port(SOCK_STREAM, &port), udp;

	memset(label, 'x', 70); /* longer than a label of a name can be */
	snprintf(name, sizeof(name), "turn:%s.test:3478", label);
	snprintf(refused, sizeof(refused), "turn:127.0.0.1:%u?transport=tcp", port);
	udp = deaf_port(SOCK_DGRAM, &port);
	snprintf(silent, sizeof(silent), "stun:127.0.0.1:%u", port);
	servers[0].url = name;
	servers[1].url = refused;
	servers[3].url = silent;
	setup(&t, servers, ARRAY_LEN(servers));
	connect_both(&t);
	UNTIL(&t, (look(t.end[0].peer),
		   server(0)->state == FL_SERVER_FAILED && server(1)->state == FL_SERVER_FAILED));
	assert_string_equal(server(0)->url, name);
	assert_true(server(0)->error[0]);
	assert_string_equal(server(1)->error, "the connection was refused");
	assert_string_equal(server(1)->transport, "tcp");
	assert_false(server(1)->proxy);
	assert_int_equal(server(2)->state, FL_SERVER_UNUSED);
	assert_true(strstr(server(2)->error, "DTLS") != NULL);
	UNTIL(&t, (look(t.end[0].peer), server(3)->state == FL_SERVER_SILENT));
	assert_int_equal(route.mapping, FL_MAPPING_UNKNOWN);
	assert_int_equal(route.filtering, FL_FILTERING_UNKNOWN);
	teardown(&t);
	close(tcp);
	close(udp);
}

/* ---- without sockets ---- */

static struct peer *make_core(struct rng *rng, struct dtls_identity **identity, usec_t now)
{
	struct peer_config config = { 0 };
	struct peer_local local = { .ice = { .type = ICE_HOST },
				    .prefix_bits = 24,
				    .origin = "eth0" };
	struct peer *p;

	rng_seed(rng, 1);
	assert_int_equal(dtls_identity_create(identity), 0);
	config.identity = *identity;
	assert_int_equal(addr_parse("192.168.1.2:4000", &local.ice.addr), 0);
	assert_int_equal(peer_create(&config, rng, &p), 0);
	assert_int_equal(peer_add_local(p, now, &local), 0);
	peer_end_of_locals(p, now);
	return p;
}

static const char answer[] =
	"v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n"
	"m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\n"
	"a=mid:0\r\na=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\n"
	"a=fingerprint:sha-256 00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:"
	"00:00:00:00:00:00:00:00:00:00:00:00:00:00\r\n"
	"a=setup:active\r\na=sctp-port:5000\r\n";

static unsigned drain(struct peer *p, usec_t now, bool failed[1])
{
	struct fl_event ev;
	unsigned sent = 0;
	struct dgram d;

	while (peer_next_output(p, now, &d))
		sent++;
	while (peer_next_event(p, now, &ev))
		failed[0] |= ev.type == FL_EVENT_FAILED;
	return sent;
}

/* Private addresses that are in none of our networks may be behind a router, so they are tried: so
 * many and no more, because the other side chooses where our packets go. */
static void test_strange_private(void **state)
{
	usec_t now = USEC_PER_SEC, began = now;
	struct dtls_identity *identity;
	unsigned tried = 0, sent = 0;
	bool failed = false;
	struct rng rng;
	struct peer *p = make_core(&rng, &identity, now);
	char line[128];

	assert_int_equal(peer_offer(p, now), 0);
	drain(p, now, &failed);
	assert_int_equal(peer_accept(p, now, answer), 0);
	for (int i = 0; i < 40; i++) {
		snprintf(line, sizeof(line), "candidate:1 1 udp 1 10.0.%d.1 53 typ host", i);
		assert_int_equal(peer_candidate(p, now, line), 0);
	}
	for (int i = 0; i < 10; i++) { /* in our own network as many as there are */
		snprintf(line, sizeof(line), "candidate:1 1 udp 1 192.168.1.%d 53 typ host",
			 100 + i);
		assert_int_equal(peer_candidate(p, now, line), 0);
	}
	assert_int_equal(peer_candidate(p, now, "candidate:1 1 udp 1 127.0.0.1 53 typ host"), 0);
	assert_int_equal(peer_candidate(p, now, ""), 0);
	/* it ends, in a bounded time, with the reason */
	while (!failed && now < began + 60 * USEC_PER_SEC) {
		sent += drain(p, now, &failed);
		now = FL_MIN(peer_deadline(p), now + USEC_PER_SEC);
		assert_int_equal(peer_timeout(p, now), 0);
	}
	assert_true(failed && now <= began + 31 * USEC_PER_SEC);
	peer_route(p, &route);
	for (size_t i = 0; i < route.n_tried; i++) {
		tried += strncmp(route.tried[i].remote.address, "10.", 3) == 0;
		assert_int_equal(route.tried[i].state, FL_PAIR_FAILED);
		assert_true(route.tried[i].error[0]);
	}
	assert_int_equal(tried, PEER_PRIVATE_MAX);
	assert_int_equal(ignored("private"), 40 - PEER_PRIVATE_MAX);
	assert_int_equal(ignored("loopback"), 1);
	expect_ignored("10.0.30.1", 53, "private addresses outside our networks");
	expect_ignored("127.0.0.1", 53, "loopback");
	assert_int_equal(found(true, "192.168.1.109", 53)->use, FL_USE_TRIED);
	assert_true(sent > 0 && sent <= 26 * 8 + 20);
	assert_non_null(strstr(route.reason, "nothing of the other side arrives"));
	peer_destroy(p);
	dtls_identity_unref(identity);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good_session),  cmocka_unit_test(test_candidates_of_no_use),
		cmocka_unit_test(test_loops),	      cmocka_unit_test(test_unknown_name),
		cmocka_unit_test(test_name_off_link), cmocka_unit_test(test_too_many),
		cmocka_unit_test(test_forged_checks), cmocka_unit_test(test_wrong_password),
		cmocka_unit_test(test_servers),	      cmocka_unit_test(test_strange_private),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
