/*
 * The TURN client core on real sockets, for tests against real servers:
 *
 *	turn_client_cli udp|tcp SERVER:PORT USER PASSWORD [stay]
 *
 * Allocates, sends to a peer of its own on the same IP and is answered, by indication and by
 * channel, moves to another socket when the server gave a ticket (not with "stay"), and closes.
 *Prints what it did; exits with 1 when a step did not work within TIMEOUT_US.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/wire.h"
#include "proto/turn/turn_client.h"
#include "proto/turn/turn_stream.h"

#define TIMEOUT_US (8 * USEC_PER_SEC)
#define DATAGRAMS 50
#define DATA_MAX 1200

struct cli {
	bool stream;
	struct addr server;
	int fd, peer;
	struct addr peer_addr;
	struct turn_client *c;
	struct turn_client_event last;
	bool allocated, moved, bound, over;
	unsigned by_indication, by_channel;
	uint8_t in[2 * TURN_STREAM_MESSAGE_MAX];
	size_t n_in;
};

static void die(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}

static int open_socket(const struct cli *t)
{
	struct sockaddr_storage sa;
	socklen_t len = addr_to_sockaddr(&t->server, &sa);
	int fd = socket(sa.ss_family, t->stream ? SOCK_STREAM : SOCK_DGRAM, 0);

	if (fd < 0 || connect(fd, (const struct sockaddr *)&sa, len) < 0)
		die("connect");
	return fd;
}

static void open_peer(struct cli *t)
{
	struct addr any = t->server;
	struct sockaddr_storage sa;
	socklen_t len;

	any.port = 0;
	len = addr_to_sockaddr(&any, &sa);
	t->peer = socket(sa.ss_family, SOCK_DGRAM, 0);
	if (t->peer < 0 || bind(t->peer, (const struct sockaddr *)&sa, len) < 0)
		die("peer");
	len = sizeof(sa);
	if (getsockname(t->peer, (struct sockaddr *)&sa, &len) < 0 ||
	    addr_from_sockaddr((const struct sockaddr *)&sa, len, &t->peer_addr) < 0)
		die("peer");
}

static void send_whole(const struct cli *t, struct span message)
{
	if (send(t->fd, message.ptr, message.len, MSG_NOSIGNAL) != (ssize_t)message.len)
		die("send");
}

static void drain(struct cli *t)
{
	struct turn_client_event e;
	struct span message;

	while (turn_client_next_output(t->c, &message))
		send_whole(t, message);
	while (turn_client_next_event(t->c, &e)) {
		t->last = e;
		t->allocated |= e.type == TURN_CLIENT_ALLOCATED;
		t->moved |= e.type == TURN_CLIENT_MOVED;
		t->bound |= e.type == TURN_CLIENT_CHANGED && e.reach == TURN_CLIENT_BOUND;
		t->over |= e.type == TURN_CLIENT_FAILED || e.type == TURN_CLIENT_CLOSED;
	}
}

static void take(struct cli *t, struct span message)
{
	struct turn_client_data data;

	if (turn_client_input(t->c, usec_monotonic(), message, &data) &&
	    addr_equal(&data.peer, &t->peer_addr)) {
		if (turn_is_channel_data(message))
			t->by_channel++;
		else
			t->by_indication++;
	}
	drain(t);
}

static void read_server(struct cli *t)
{
	ssize_t n = recv(t->fd, t->in + t->n_in, sizeof(t->in) - t->n_in, 0);
	struct span message;
	size_t used;

	if (n <= 0)
		die("the server");
	if (!t->stream) {
		take(t, span_of(t->in, (size_t)n));
		return;
	}
	t->n_in += (size_t)n;
	while ((n = turn_stream_next(span_of(t->in, t->n_in), &message, &used)) == 1) {
		take(t, message);
		memmove(t->in, t->in + used, t->n_in - used);
		t->n_in -= used;
	}
	if (n < 0)
		die("the stream");
}

/* The peer says back what it hears. */
static void read_peer(struct cli *t)
{
	struct sockaddr_storage sa;
	socklen_t len = sizeof(sa);
	uint8_t buf[DATA_MAX];
	ssize_t n = recvfrom(t->peer, buf, sizeof(buf), 0, (struct sockaddr *)&sa, &len);

	if (n >= 0 && sendto(t->peer, buf, (size_t)n, 0, (const struct sockaddr *)&sa, len) != n)
		die("peer");
}

static void turn(struct cli *t)
{
	struct pollfd fds[] = { { .fd = t->fd, .events = POLLIN },
				{ .fd = t->peer, .events = POLLIN } };

	poll(fds, 2, 20);
	if (fds[0].revents)
		read_server(t);
	if (fds[1].revents)
		read_peer(t);
	turn_client_timeout(t->c, usec_monotonic());
	drain(t);
}

static void step(struct cli *t, const bool *done, const char *name)
{
	usec_t end = usec_monotonic() + TIMEOUT_US;

	while (!*done && !(t->over && done != &t->over) && usec_monotonic() < end)
		turn(t);
	if (!*done) {
		fprintf(stderr, "%s: not done; last event %d, %s: %u %s\n", name, t->last.type,
			turn_client_step_name(t->last.failure.step), t->last.failure.code,
			t->last.failure.reason);
		exit(1);
	}
	printf("%s\n", name);
}

static void say(struct cli *t, size_t len)
{
	uint8_t buf[TURN_CLIENT_HEAD_MAX + DATA_MAX + 3] = { 0 };
	struct writer w = writer_of(buf, sizeof(buf));
	struct turn_client_wrap wrap;

	if (turn_client_wrap(t->c, usec_monotonic(), &t->peer_addr, len, &wrap) < 0)
		die("wrap");
	drain(t);
	writer_bytes(&w, wrap.head, wrap.head_len);
	writer_zeros(&w, len + wrap.pad);
	send_whole(t, writer_span(&w));
}

/* One at a time, of every length modulo 4, until each came back in that way. */
static void exchange(struct cli *t, const unsigned *count, const char *name)
{
	usec_t end = usec_monotonic() + TIMEOUT_US;
	unsigned want = *count;

	for (unsigned i = 0; i < DATAGRAMS; i++) {
		want++;
		say(t, 1 + i * 23 % DATA_MAX);
		while (*count < want && usec_monotonic() < end)
			turn(t);
	}
	if (*count < want) {
		fprintf(stderr, "%s: %u of %u came back\n", name, DATAGRAMS - (want - *count),
			DATAGRAMS);
		exit(1);
	}
	printf("%s\n", name);
}

static void move(struct cli *t)
{
	int old = t->fd;

	t->fd = open_socket(t);
	t->n_in = 0;
	if (turn_client_moved(t->c, usec_monotonic()) < 0) {
		close(t->fd);
		t->fd = old;
		return;
	}
	close(old);
	drain(t);
	step(t, &t->moved, "moved");
	exchange(t, &t->by_channel, "channel after the move");
}

int main(int argc, char **argv)
{
	static struct cli t;
	struct turn_client_config config = { .mobility = argc == 5 };

	if (argc < 5 || argc > 6 || addr_parse(argv[2], &t.server) < 0) {
		fprintf(stderr, "usage: %s udp|tcp SERVER:PORT USER PASSWORD [stay]\n", argv[0]);
		return 2;
	}
	t.stream = config.stream = strcmp(argv[1], "tcp") == 0;
	config.v4 = t.server.family == ADDR_V4;
	config.v6 = !config.v4;
	config.server = t.server;
	config.username = argv[3];
	config.password = argv[4];
	t.fd = open_socket(&t);
	open_peer(&t);
	t.c = turn_client_create(&config, rng_system());
	if (!t.c || turn_client_start(t.c, usec_monotonic()) < 0)
		die("start");
	drain(&t);
	step(&t, &t.allocated, "allocated");
	exchange(&t, &t.by_indication, "indication");
	if (turn_client_bind(t.c, usec_monotonic(), &t.peer_addr) < 0)
		die("bind");
	drain(&t);
	step(&t, &t.bound, "bound");
	exchange(&t, &t.by_channel, "channel");
	move(&t);
	turn_client_close(t.c, usec_monotonic());
	drain(&t);
	step(&t, &t.over, "closed");
	turn_client_destroy(t.c);
	close(t.fd);
	close(t.peer);
	return t.last.type == TURN_CLIENT_CLOSED && !t.last.failure.reason[0] ? 0 : 1;
}
