/* Streams as a server with several threads uses them; what every user needs is in io_test.c. */
#include "test.h"
#include "test_certificate.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "io/stream.h"

#define TURNS_MAX 20000
#define PARTS 3

static struct loop *loop;
static struct tls_context *server_tls, *client_tls;
static char dir[32], cert[64], key[64];

static int make_all(void **state)
{
	char why[256];

	make_certificate(dir, cert, key);
	assert_int_equal(tls_server_create(cert, key, NULL, &server_tls, why), 0);
	assert_int_equal(tls_client_create(NULL, TLS_VERIFY_NONE, NULL, &client_tls, why), 0);
	return loop_create(&loop);
}

static int end_all(void **state)
{
	loop_destroy(loop);
	tls_context_unref(server_tls);
	tls_context_unref(client_tls);
	remove_certificate(dir, cert, key);
	return 0;
}

static void turn(void)
{
	assert_int_equal(loop_turn(loop, USEC_PER_SEC), 0);
}

struct end {
	struct stream *stream;
	struct buf got;
	bool opened, eof, closed, drained;
	int err;
};

static void on_open(void *arg)
{
	((struct end *)arg)->opened = true;
}

static void on_read(void *arg, struct buf *in)
{
	struct end *e = arg;

	assert_int_equal(buf_append_span(&e->got, buf_span(in)), 0);
	buf_consume(in, in->len);
}

static void on_drain(void *arg)
{
	((struct end *)arg)->drained = true;
}

static void on_close(void *arg, int err)
{
	struct end *e = arg;

	e->closed = true;
	e->err = err;
}

static void on_eof(void *arg)
{
	((struct end *)arg)->eof = true;
}

static const struct stream_handler handler = { on_open, on_read, on_drain, on_close, on_eof };

static struct end *server_end;

static void on_accept(void *arg, int fd, const struct addr *from)
{
	struct stream_config config = { .tls = arg, .write_max = 300000 };

	assert_int_equal(stream_adopt(loop, fd, &config, &handler, server_end, &server_end->stream),
			 0);
}

/* Two ends that are open. */
static void connect_ends(struct end *client, struct end *server, bool tls)
{
	struct stream_config config = { .tls = tls ? client_tls : NULL };
	struct listener *listener;
	struct addr at;

	*client = *server = (struct end){ .got = BUF_INIT(64 << 20) };
	server_end = server;
	assert_int_equal(addr_parse("127.0.0.1:0", &at), 0);
	assert_int_equal(listener_create(loop, &at, on_accept, tls ? server_tls : NULL, &listener),
			 0);
	at = listener_addr(listener);
	assert_int_equal(stream_connect(loop, &at, &config, &handler, client, &client->stream), 0);
	for (int i = 0; i < TURNS_MAX && !(client->opened && server->opened); i++)
		turn();
	assert_true(client->opened && server->opened);
	listener_destroy(listener);
}

static void end_ends(struct end *client, struct end *server)
{
	stream_destroy(client->stream);
	stream_destroy(server->stream);
	buf_finish(&client->got);
	buf_finish(&server->got);
}

/* Message number i: parts of different lengths, one of them empty now and then. */
static size_t message(unsigned i, uint8_t mem[PARTS][3000], struct span parts[PARTS])
{
	size_t total = 0;

	for (unsigned p = 0; p < PARTS; p++) {
		size_t len = (i * 37 + p * 911) % 3000;

		if ((i + p) % 5 == 0)
			len = 0;
		memset(mem[p], (int)(i + p), len);
		parts[p] = span_of(mem[p], len);
		total += len;
	}
	return total;
}

static void check_messages(struct buf *got, unsigned n)
{
	uint8_t mem[PARTS][3000];
	struct span parts[PARTS];

	for (unsigned i = 0; i < n; i++) {
		message(i, mem, parts);
		for (unsigned p = 0; p < PARTS; p++) {
			assert_true(got->len >= parts[p].len);
			if (parts[p].len)
				assert_memory_equal(buf_span(got).ptr, parts[p].ptr, parts[p].len);
			buf_consume(got, parts[p].len);
		}
	}
	assert_int_equal(got->len, 0);
}

/* A reader that does not read: the queue fills to its maximum and nothing is cut off. */
static void write_parts(bool tls)
{
	struct end client, server;
	uint8_t mem[PARTS][3000];
	struct span parts[PARTS];
	size_t sent = 0;
	unsigned n = 0, round;
	int err = 0;

	connect_ends(&client, &server, tls);
	stream_pause_read(client.stream, true);
	for (round = 0; round < 4; round++) {
		do {
			size_t len = message(n, mem, parts);

			err = stream_write_parts(server.stream, parts, PARTS);
			sent += err == 0 ? len : 0;
			n += err == 0;
		} while (err == 0 && n < 200000);
		assert_int_equal(err, FL_EQUOTA);
		assert_true(stream_queued(server.stream) <= 300000);
		stream_pause_read(client.stream, false);
		for (int i = 0; i < TURNS_MAX && client.got.len < sent; i++)
			turn();
		assert_int_equal(client.got.len, sent);
		assert_true(server.drained);
		server.drained = false;
		stream_pause_read(client.stream, true);
	}
	/* what the socket takes at once is never queued */
	assert_int_equal(stream_queued(server.stream), 0);
	assert_int_equal(stream_write_parts(server.stream, (struct span[]){ span_str("x") }, 1), 0);
	assert_int_equal(stream_queued(server.stream), 0);
	check_messages(&client.got, n);
	end_ends(&client, &server);
}

static void test_parts_plain(void **state)
{
	write_parts(false);
}

static void test_parts_tls(void **state)
{
	write_parts(true);
}

/* The client ends first, the server still has much to say. */
static void half_close(bool tls)
{
	static uint8_t much[200000];
	struct end client, server;

	connect_ends(&client, &server, tls);
	assert_int_equal(stream_write(client.stream, span_str("question")), 0);
	stream_end(client.stream);
	assert_int_equal(stream_write(client.stream, span_str("more")), -EPIPE);
	for (int i = 0; i < TURNS_MAX && !server.eof; i++)
		turn();
	assert_true(server.eof && !server.closed);
	assert_true(span_is(buf_span(&server.got), "question"));
	assert_int_equal(stream_write(server.stream, span_of(much, sizeof(much))), 0);
	/* the end comes while the reader is paused: nothing may be lost */
	stream_pause_read(client.stream, true);
	stream_end(server.stream);
	for (int i = 0; i < TURNS_MAX && !server.closed && stream_queued(server.stream); i++)
		turn();
	assert_int_equal(loop_turn(loop, 10000), 0);
	assert_false(client.closed);
	stream_pause_read(client.stream, false);
	for (int i = 0; i < TURNS_MAX && !(client.closed && server.closed); i++)
		turn();
	assert_int_equal(client.err, 0);
	assert_int_equal(server.err, 0);
	assert_int_equal(client.got.len, sizeof(much));
	end_ends(&client, &server);
}

static void test_half_close_plain(void **state)
{
	half_close(false);
}

static void test_half_close_tls(void **state)
{
	half_close(true);
}

/* A stream that moves to another thread and back while the other side goes on writing. */

struct thread {
	struct loop *loop;
	pthread_t id;
	struct end *end;
	bool keep_some; /* leaves bytes unconsumed, which must come again elsewhere */
	bool moved_on;
};

static struct thread other;

static void move_back(void *arg);

static void other_read(void *arg, struct buf *in)
{
	struct end *e = arg;

	assert_int_equal(buf_append(&e->got, buf_span(in).ptr, 1), 0);
	buf_consume(in, 1);
	stream_pause_read(e->stream, true); /* the rest is read at home */
	if (!other.moved_on)
		assert_int_equal(loop_post(other.loop, move_back, e), 0);
	other.moved_on = true;
}

static const struct stream_handler other_handler = { on_open, other_read, on_drain, on_close,
						     on_eof };

static void arrive_home(void *arg)
{
	struct end *e = arg;

	assert_int_equal(stream_resume(e->stream, loop, &handler, e), 0);
	e->drained = true; /* it is here again */
}

static void move_back(void *arg)
{
	struct end *e = arg;

	stream_park(e->stream);
	assert_int_equal(loop_post(loop, arrive_home, e), 0);
}

static void arrive_there(void *arg)
{
	struct end *e = arg;

	assert_int_equal(stream_resume(e->stream, other.loop, &other_handler, e), 0);
}

static void stop_other(void *arg)
{
	loop_stop(arg);
}

static void *run_other(void *arg)
{
	loop_run(arg);
	return NULL;
}

static void move(bool tls)
{
	uint8_t block[1000];
	struct end client, server;
	size_t sent = 0;

	connect_ends(&client, &server, tls);
	assert_int_equal(loop_create(&other.loop), 0);
	assert_int_equal(pthread_create(&other.id, NULL, run_other, other.loop), 0);
	for (int round = 0; round < 50; round++) {
		server.drained = other.moved_on = false;
		stream_park(server.stream);
		assert_int_equal(loop_post(other.loop, arrive_there, &server), 0);
		for (int i = 0; i < TURNS_MAX && !server.drained; i++) {
			for (size_t k = 0; k < sizeof(block); k++)
				block[k] = (uint8_t)(sent + k);
			if (stream_write(client.stream, span_of(block, sizeof(block))) == 0)
				sent += sizeof(block);
			turn();
		}
		assert_true(server.drained);
	}
	for (int i = 0; i < TURNS_MAX && server.got.len < sent; i++)
		turn();
	assert_int_equal(server.got.len, sent);
	for (size_t k = 0; k < sent; k++)
		assert_int_equal(buf_span(&server.got).ptr[k], (uint8_t)k);
	assert_int_equal(loop_post(other.loop, stop_other, other.loop), 0);
	pthread_join(other.id, NULL);
	loop_destroy(other.loop);
	stream_park(server.stream); /* and one that nobody takes can still be ended */
	end_ends(&client, &server);
}

static void test_move_plain(void **state)
{
	move(false);
}

static void test_move_tls(void **state)
{
	move(true);
}

static void count_accept(void *arg, int fd, const struct addr *from)
{
	close(fd);
	(*(int *)arg)++;
}

static void test_listeners(void **state)
{
	struct listener_config config = { .reuse_port = true };
	struct listener *a, *b, *c;
	int count = 0, fd;
	struct sockaddr_storage ss;
	socklen_t len;

	assert_int_equal(addr_parse("127.0.0.1:0", &config.at), 0);
	assert_int_equal(listener_open(loop, &config, count_accept, &count, &a), 0);
	config.at = listener_addr(a);
	assert_int_equal(listener_open(loop, &config, count_accept, &count, &b), 0);
	config.reuse_port = false;
	assert_int_equal(listener_open(loop, &config, count_accept, &count, &c), -EADDRINUSE);
	/* a descriptor that was opened by somebody else */
	fd = socket(AF_INET, SOCK_STREAM, 0);
	len = addr_to_sockaddr(&(struct addr){ .family = ADDR_V4, .ip = { 127, 0, 0, 1 } }, &ss);
	assert_int_equal(bind(fd, (struct sockaddr *)&ss, len), 0);
	config = (struct listener_config){ .adopt = true, .fd = fd };
	assert_int_equal(listener_open(loop, &config, count_accept, &count, &c), 0);
	config.at = listener_addr(c);
	assert_int_not_equal(config.at.port, 0);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	len = addr_to_sockaddr(&config.at, &ss);
	assert_int_equal(connect(fd, (struct sockaddr *)&ss, len), 0);
	for (int i = 0; i < TURNS_MAX && count == 0; i++)
		turn();
	assert_int_equal(count, 1);
	close(fd);
	listener_destroy(a);
	listener_destroy(b);
	listener_destroy(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_parts_plain),	   TEST(test_parts_tls),  TEST(test_half_close_plain),
		TEST(test_half_close_tls), TEST(test_move_plain), TEST(test_move_tls),
		TEST(test_listeners),
	};

	signal(SIGPIPE, SIG_IGN); /* as every program does: OpenSSL writes with write() */
	return cmocka_run_group_tests(tests, make_all, end_all);
}
