/* The public functions over real loopback sockets: two peers in one process. */
#include "test.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "base/usec.h"
#include <fairlead/peer.h>

#define LIMIT_US (20 * USEC_PER_SEC) /* a hang is a failure; nothing is asserted about speed */

struct end {
	struct fl_peer *peer;
	bool connected, closed, failed, writable;
	int opened, n_closed_channels, last_channel;
	char label[FL_LABEL_MAX + 1];
	bool remote, is_text;
	uint8_t data[64];
	size_t len;
	unsigned n_messages;
	uint64_t bytes;
	int routes;
	char *sdp; /* the last description */
};

struct two {
	struct fl_identity *id;
	struct end end[2];
	bool withhold; /* descriptions are kept instead of delivered */
};

static void deliver(struct two *t, int from, const struct fl_event *ev)
{
	struct fl_peer *to = t->end[1 - from].peer;

	if (ev->type == FL_EVENT_CANDIDATE) {
		assert_int_equal(fl_peer_candidate(to, ev->text), 0);
		return;
	}
	free(t->end[from].sdp);
	t->end[from].sdp = strdup(ev->text);
	if (t->withhold)
		return;
	assert_int_equal(from == 0 ? fl_peer_answer(to, ev->text) : fl_peer_accept(to, ev->text),
			 0);
}

static void on_event(struct two *t, int i, const struct fl_event *ev)
{
	struct end *e = &t->end[i];

	switch (ev->type) {
	case FL_EVENT_DESCRIPTION:
	case FL_EVENT_CANDIDATE:
		deliver(t, i, ev);
		break;
	case FL_EVENT_CONNECTED:
		e->connected = true;
		break;
	case FL_EVENT_ROUTE:
		e->routes++;
		break;
	case FL_EVENT_CHANNEL_OPEN:
		e->opened++;
		e->last_channel = ev->channel;
		e->remote = ev->remote;
		snprintf(e->label, sizeof(e->label), "%s", ev->text);
		break;
	case FL_EVENT_CHANNEL_DATA:
		e->n_messages++;
		e->bytes += ev->len;
		e->is_text = ev->is_text;
		e->len = ev->len;
		memcpy(e->data, ev->data, FL_MIN(ev->len, sizeof(e->data)));
		break;
	case FL_EVENT_CHANNEL_CLOSED:
		e->n_closed_channels++;
		break;
	case FL_EVENT_WRITABLE:
		e->writable = true;
		break;
	case FL_EVENT_CLOSED:
		e->closed = true;
		break;
	case FL_EVENT_FAILED:
		e->failed = true;
		break;
	case FL_EVENT_NONE:
	case FL_EVENT_DISCONNECTED:
	case FL_EVENT_VIDEO_READY:
	case FL_EVENT_VIDEO_KEYFRAME:
	case FL_EVENT_VIDEO_RATE:
		break;
	}
}

static bool step(struct two *t)
{
	struct pollfd fds[2];
	struct fl_event ev;
	bool any = false;

	for (int i = 0; i < 2; i++) {
		fds[i] = (struct pollfd){ .fd = fl_peer_fd(t->end[i].peer), .events = POLLIN };
		while (fl_peer_next_event(t->end[i].peer, &ev)) {
			any = true;
			on_event(t, i, &ev);
		}
	}
	if (any)
		return true;
	if (poll(fds, 2, 1000) > 0)
		for (int i = 0; i < 2; i++)
			if (fds[i].revents)
				assert_int_equal(fl_peer_dispatch(t->end[i].peer), 0);
	return true;
}

#define UNTIL(t, condition)                                                                        \
	do {                                                                                       \
		usec_t until_ = usec_monotonic() + LIMIT_US;                                       \
		while (!(condition)) {                                                             \
			step(t);                                                                   \
			assert_false((t)->end[0].failed || (t)->end[1].failed);                    \
			assert_true(usec_monotonic() < until_);                                    \
		}                                                                                  \
	} while (0)

static void setup(struct two *t)
{
	struct fl_peer_config config = { .loopback = true };

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
		free(t->end[i].sdp);
	}
	fl_identity_destroy(t->id);
}

/* A channel asked for before the start; messages both ways; closed by the other side; goodbye. */
static void test_session(void **state)
{
	struct two t;
	struct fl_route route;
	char fp[128];
	int channel;

	setup(&t);
	channel = fl_channel_open(t.end[0].peer, "terminal", NULL);
	assert_true(channel >= 0);
	assert_int_equal(fl_channel_send(t.end[0].peer, channel, "early", 5, true), 0);
	assert_int_equal(fl_peer_offer(t.end[0].peer), 0);
	UNTIL(&t, t.end[0].opened && t.end[1].n_messages);
	assert_string_equal(t.end[1].label, "terminal");
	assert_true(t.end[1].remote && !t.end[0].remote);
	assert_true(t.end[1].is_text && t.end[1].len == 5);
	assert_memory_equal(t.end[1].data, "early", 5);
	UNTIL(&t, t.end[0].connected && t.end[1].connected);
	assert_int_equal(fl_channel_send(t.end[1].peer, t.end[1].last_channel, "\0\1", 2, false),
			 0);
	UNTIL(&t, t.end[0].n_messages == 1);
	assert_true(!t.end[0].is_text && t.end[0].len == 2);
	assert_int_equal(fl_channel_send(t.end[1].peer, t.end[1].last_channel, "", 0, true), 0);
	UNTIL(&t, t.end[0].n_messages == 2);
	assert_true(t.end[0].is_text && t.end[0].len == 0);
	UNTIL(&t, t.end[0].routes && t.end[1].routes);
	fl_peer_route(t.end[0].peer, &route);
	assert_int_equal(route.method, FL_ROUTE_LOCAL);
	assert_int_equal(strncmp(route.reason, "Local: ", 7), 0);
	assert_true(route.n_tried >= 1 && route.pair.state == FL_PAIR_SUCCEEDED);
	assert_int_equal(fl_sdp_fingerprint(t.end[0].sdp, fp, sizeof(fp)), 0);
	assert_string_equal(fp, fl_identity_fingerprint(t.id));
	fl_channel_close(t.end[1].peer, t.end[1].last_channel);
	UNTIL(&t, t.end[0].n_closed_channels && t.end[1].n_closed_channels);
	assert_int_equal(fl_channel_send(t.end[0].peer, channel, "x", 1, true), -ENOENT);
	fl_peer_close(t.end[0].peer);
	UNTIL(&t, t.end[0].closed && t.end[1].closed);
	teardown(&t);
}

/* A sender that is faster than the receiver is told so, and told when to go on. */
static void test_back_pressure(void **state)
{
	static uint8_t chunk[FL_CHANNEL_MESSAGE_MAX];
	struct two t;
	uint64_t sent = 0;
	int channel, err;

	setup(&t);
	channel = fl_channel_open(t.end[0].peer, "bulk", NULL);
	assert_int_equal(fl_peer_offer(t.end[0].peer), 0);
	UNTIL(&t, t.end[0].opened);
	while ((err = fl_channel_send(t.end[0].peer, channel, chunk, sizeof(chunk), false)) == 0)
		sent += sizeof(chunk);
	assert_int_equal(err, -EAGAIN);
	assert_true(fl_channel_buffered(t.end[0].peer, channel) > 0);
	UNTIL(&t, t.end[0].writable);
	UNTIL(&t, t.end[1].bytes == sent);
	assert_int_equal(fl_channel_buffered(t.end[0].peer, channel), 0);
	assert_int_equal(fl_channel_send(t.end[0].peer, channel, chunk, sizeof(chunk) + 1, false),
			 -EMSGSIZE);
	teardown(&t);
}

/* An offer that fails half-way leaves a peer that can take a right one. */
static void test_second_offer(void **state)
{
	static const char broken[] = "v=0\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n"
				     "a=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\n";
	struct two t;

	setup(&t);
	assert_int_equal(fl_peer_answer(t.end[1].peer, broken), -EINVAL);
	assert_true(fl_channel_open(t.end[0].peer, "c", NULL) >= 0);
	assert_int_equal(fl_peer_offer(t.end[0].peer), 0);
	UNTIL(&t, t.end[1].opened);
	/* and one on a running peer leaves it as it is */
	assert_int_equal(fl_peer_answer(t.end[1].peer, "v=0\r\n"), -EINVAL);
	assert_int_equal(fl_channel_send(t.end[1].peer, t.end[1].last_channel, "x", 1, true), 0);
	UNTIL(&t, t.end[0].n_messages == 1);
	teardown(&t);
}

/* New ICE credentials under a running session; channels go on. */
static void test_restart(void **state)
{
	struct two t;
	int channel, routes;

	setup(&t);
	channel = fl_channel_open(t.end[0].peer, "c", NULL);
	assert_int_equal(fl_peer_offer(t.end[0].peer), 0);
	UNTIL(&t, t.end[1].opened && t.end[0].routes && t.end[1].routes);
	assert_int_equal(fl_channel_send(t.end[0].peer, channel, "before", 6, true), 0);
	routes = t.end[0].routes;
	assert_int_equal(fl_peer_restart(t.end[0].peer), 0);
	assert_int_equal(fl_channel_send(t.end[0].peer, channel, "during", 6, true), 0);
	UNTIL(&t, t.end[1].n_messages == 2);
	UNTIL(&t, t.end[0].routes > routes);
	assert_int_equal(fl_channel_send(t.end[0].peer, channel, "after", 5, true), 0);
	UNTIL(&t, t.end[1].n_messages == 3);
	assert_memory_equal(t.end[1].data, "after", 5);
	teardown(&t);
}

static void test_bad_input(void **state)
{
	struct two t;

	setup(&t);
	assert_int_equal(fl_peer_answer(t.end[1].peer, "nonsense"), -EINVAL);
	assert_int_equal(fl_peer_answer(t.end[1].peer, "v=0\r\n"), -EINVAL);
	assert_int_equal(fl_peer_accept(t.end[0].peer, "v=0\r\n"), FL_ESTATE);
	assert_int_equal(fl_peer_restart(t.end[0].peer), FL_ESTATE);
	assert_int_equal(fl_channel_send(t.end[0].peer, 3, "x", 1, true), -ENOENT);
	assert_int_equal(fl_peer_offer(t.end[0].peer), 0);
	assert_int_equal(fl_peer_offer(t.end[0].peer), FL_ESTATE);
	assert_int_equal(fl_peer_candidate(t.end[0].peer, "candidate:what"), 0);
	teardown(&t);
}

/* A port that is free on every address now: the kernel's choice for the wildcard. */
static uint16_t free_port(void)
{
	struct sockaddr_in6 at = { .sin6_family = AF_INET6 };
	socklen_t len = sizeof(at);
	int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, len), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
	close(fd);
	return ntohs(at.sin6_port);
}

/* One port: the first peer has it on every address, the second finds none. */
static void test_ports(void **state)
{
	struct fl_peer_config config = { .loopback = true };
	struct fl_identity *identity;
	struct fl_peer *first = NULL, *second = NULL;
	static struct fl_route route;
	uint16_t port = 0;

	assert_int_equal(fl_identity_create(&identity), 0);
	config.identity = identity;
	/* tests run side by side, and another may take it in between */
	for (int i = 0; i < 20 && !first; i++) {
		port = config.port_min = config.port_max = free_port();
		if (fl_peer_create(&config, &first) < 0)
			first = NULL;
	}
	assert_non_null(first);
	fl_peer_route(first, &route);
	assert_true(route.n_candidates > 0);
	for (size_t i = 0; i < route.n_candidates; i++)
		if (route.candidates[i].use != FL_USE_IGNORED)
			assert_true(route.candidates[i].port == port ||
				    route.candidates[i].port == 9 /* active TCP */);
	assert_int_equal(fl_peer_create(&config, &second), -EADDRINUSE);
	fl_peer_destroy(first);
	fl_identity_destroy(identity);
}

static void count_locals(const struct fl_route_policy *policy, const char *why, int *used,
			 int *left_out)
{
	struct fl_peer_config config = { .loopback = true, .policy = policy };
	struct fl_identity *identity;
	struct fl_peer *peer;
	static struct fl_route route;

	*used = *left_out = 0;
	assert_int_equal(fl_identity_create(&identity), 0);
	config.identity = identity;
	assert_int_equal(fl_peer_create(&config, &peer), 0);
	fl_peer_route(peer, &route);
	for (size_t i = 0; i < route.n_candidates; i++) {
		const struct fl_found *f = &route.candidates[i];

		if (f->use != FL_USE_IGNORED)
			++*used;
		else if (strcmp(f->why, why) == 0)
			++*left_out;
	}
	fl_peer_destroy(peer);
	fl_identity_destroy(identity);
}

static void test_excluded(void **state)
{
	static const struct fl_route_policy names = { .exclude_interfaces = { "nothing", "l?" } };
	static const struct fl_route_policy subnets = { .exclude_subnets = { "127.0.0.0/8",
									     "::1/128" } };
	static const struct fl_route_policy bad = { .exclude_subnets = { "127.0.0.0/33" } };
	struct fl_peer_config config = { .policy = &bad };
	struct fl_identity *identity;
	struct fl_peer *peer;
	int all, none, used, left_out;

	count_locals(NULL, "", &all, &none);
	count_locals(&names, "the policy excludes its interface", &used, &left_out);
	assert_true(left_out >= 1 && used < all);
	count_locals(&subnets, "the policy excludes its subnet", &used, &left_out);
	assert_true(left_out >= 1 && used < all);
	assert_int_equal(fl_identity_create(&identity), 0);
	config.identity = identity;
	assert_int_equal(fl_peer_create(&config, &peer), -EINVAL);
	fl_identity_destroy(identity);
}

static void test_bad_proxy(void **state)
{
	struct fl_identity *identity;
	struct fl_proxy proxy = { .url = "gopher://p:70" };
	struct fl_peer_config config = { .proxy = &proxy };
	struct fl_peer *peer;

	assert_int_equal(fl_identity_create(&identity), 0);
	config.identity = identity;
	assert_int_equal(fl_peer_create(&config, &peer), -EINVAL);
	proxy.url = "http://127.0.0.1:9";
	assert_int_equal(fl_peer_create(&config, &peer), 0);
	fl_peer_destroy(peer);
	fl_identity_destroy(identity);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_bad_proxy),	 TEST(test_session),  TEST(test_back_pressure),
		TEST(test_second_offer), TEST(test_restart),  TEST(test_bad_input),
		TEST(test_ports),	 TEST(test_excluded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
