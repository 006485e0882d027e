#include "test.h"
#include "test_certificate.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "base/rng.h"
#include "io/ifaces.h"
#include "io/loop.h"
#include "io/resolve.h"
#include "io/stream.h"
#include "io/udp.h"

#define TURNS_MAX 20000 /* a test that would hang fails instead */

static struct loop *loop;

static int make_loop(void **state)
{
	return loop_create(&loop);
}

static int end_loop(void **state)
{
	loop_destroy(loop);
	return 0;
}

static void run_until(const bool *done)
{
	for (int i = 0; !*done && i < TURNS_MAX; i++)
		assert_int_equal(loop_turn(loop, USEC_PER_SEC), 0);
	assert_true(*done);
}

struct tick {
	struct loop_timer timer;
	int order[8], *next;
	int id;
};

static void on_tick(void *arg)
{
	struct tick *t = arg;

	*t->next++ = t->id;
}

static void test_timers(void **state)
{
	int order[8] = { 0 }, *next = order;
	struct tick ticks[4];
	usec_t now = loop_now(loop);

	for (int i = 0; i < 4; i++) {
		ticks[i] = (struct tick){ .id = i + 1 };
		loop_timer_init(loop, &ticks[i].timer, on_tick, &ticks[i]);
		ticks[i].next = next + i; /* each writes one cell; the turn decides whether */
	}
	loop_timer_at(&ticks[0].timer, now + 1);
	loop_timer_at(&ticks[1].timer, now + 2);
	loop_timer_at(&ticks[2].timer, now + 3);
	loop_timer_at(&ticks[3].timer, USEC_NEVER);
	loop_timer_stop(&ticks[1].timer);
	loop_timer_stop(&ticks[1].timer);
	while (loop_timer_running(&ticks[2].timer))
		assert_int_equal(loop_turn(loop, USEC_NEVER), 0);
	assert_int_equal(order[0], 1);
	assert_int_equal(order[1], 0);
	assert_int_equal(order[2], 3);
	assert_int_equal(order[3], 0);
}

static void on_again(void *arg)
{
	struct tick *t = arg;

	t->id++;
	loop_timer_at(&t->timer, 0); /* already past: must not starve the turn */
}

static void test_timer_in_the_past(void **state)
{
	struct tick t = { 0 };

	loop_timer_init(loop, &t.timer, on_again, &t);
	loop_timer_at(&t.timer, 0);
	assert_int_equal(loop_turn(loop, 0), 0);
	assert_int_equal(loop_turn(loop, 0), 0);
	assert_int_equal(t.id, 2);
	loop_timer_stop(&t.timer);
}

static void test_timer_heap(void **state)
{
	enum { N = 500 };
	static struct loop_timer timers[N];
	static struct tick sink;
	int cells[8 * N], last = 0;
	struct rng rng;

	rng_seed(&rng, 5);
	sink.next = cells;
	for (int i = 0; i < N; i++) {
		loop_timer_init(loop, &timers[i], on_tick, &sink);
		loop_timer_at(&timers[i], 1 + rng_below(&rng, 1000));
	}
	for (int i = 0; i < N; i += 3)
		loop_timer_stop(&timers[i]);
	for (int i = 1; i < N; i += 3)
		loop_timer_at(&timers[i], 1 + rng_below(&rng, 1000));
	assert_int_equal(loop_turn(loop, 0), 0);
	last = (int)(sink.next - cells);
	assert_int_equal(last, N - (N + 2) / 3);
}

static void set_flag(void *arg)
{
	*(bool *)arg = true;
}

static void *post_from_thread(void *arg)
{
	assert_int_equal(loop_post(loop, set_flag, arg), 0);
	return NULL;
}

static void test_post(void **state)
{
	struct loop_poster *poster = loop_poster_get(loop);
	pthread_t thread;
	bool done = false, late = false;

	assert_int_equal(pthread_create(&thread, NULL, post_from_thread, &done), 0);
	run_until(&done);
	pthread_join(thread, NULL);
	loop_destroy(loop);
	loop = NULL;
	assert_int_equal(loop_poster_post(poster, set_flag, &late), -ESHUTDOWN);
	assert_false(late);
	loop_poster_put(poster);
}

static void test_foreign_loop(void **state)
{
	struct tick t = { 0 };
	struct pollfd p = { .fd = loop_fd(loop), .events = POLLIN };
	struct loop_deferred later = { 0 };
	bool done = false;
	int cell = 0;

	t.next = &cell;
	t.id = 9;
	loop_timer_init(loop, &t.timer, on_tick, &t);
	assert_int_equal(loop_turn(loop, 0), 0);
	loop_timer_after(&t.timer, 2000);
	assert_int_equal(loop_turn(loop, 0), 0); /* arms the descriptor */
	while (cell == 0) {
		assert_int_equal(poll(&p, 1, 5000), 1);
		assert_int_equal(loop_turn(loop, 0), 0);
	}
	assert_int_equal(cell, 9);
	/* set outside of a turn, as by the functions of a library that keeps its loop to itself */
	loop_timer_at(&t.timer, usec_monotonic() + 2000);
	t.next = &cell;
	cell = 0;
	while (cell == 0) {
		assert_int_equal(poll(&p, 1, 5000), 1);
		assert_int_equal(loop_turn(loop, 0), 0);
	}
	loop_defer(loop, &later, set_flag, &done);
	assert_int_equal(poll(&p, 1, 5000), 1);
	assert_int_equal(loop_turn(loop, 0), 0);
	assert_true(done);
}

static void on_exit_status(void *arg, int status)
{
	*(int *)arg = status;
}

static void test_child(void **state)
{
	struct loop_child child;
	int status = -1;
	pid_t pid = fork();

	if (pid == 0)
		_exit(7);
	assert_int_equal(loop_child_start(loop, &child, pid, on_exit_status, &status), 0);
	while (status == -1)
		assert_int_equal(loop_turn(loop, USEC_PER_SEC), 0);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 7);
	assert_int_equal(waitpid(pid, &status, 0), -1); /* already reaped */
}

static void on_signo(void *arg, int signo)
{
	*(int *)arg = signo;
}

static void test_signal(void **state)
{
	struct loop_signal s;
	int got = 0;

	assert_int_equal(loop_signal_start(loop, &s, (int[]){ SIGUSR1 }, 1, on_signo, &got), 0);
	raise(SIGUSR1);
	assert_int_equal(loop_turn(loop, USEC_PER_SEC), 0);
	assert_int_equal(got, SIGUSR1);
	loop_signal_stop(&s);
}

/* A pair of stream ends: what the client sends, the server sends back. */

struct end {
	struct stream *stream;
	struct buf got;
	size_t expect;
	bool opened, done, closed, drained, destroy_in_read;
	int err;
};

static void on_open(void *arg)
{
	((struct end *)arg)->opened = true;
}

static void echo_read(void *arg, struct buf *in)
{
	struct end *e = arg;

	while (in->len) {
		struct span s = span_of(buf_span(in).ptr, FL_MIN(in->len, 1000));

		if (stream_write(e->stream, s) < 0)
			return; /* on_drain goes on */
		buf_consume(in, s.len);
	}
}

static void echo_drain(void *arg)
{
	struct end *e = arg;

	e->drained = true;
	stream_pause_read(e->stream, true);
	stream_pause_read(e->stream, false); /* asks for on_read again */
}

static void keep_read(void *arg, struct buf *in)
{
	struct end *e = arg;

	if (e->destroy_in_read) {
		stream_destroy(e->stream);
		e->stream = NULL;
		e->done = true;
		return;
	}
	assert_int_equal(buf_append_span(&e->got, buf_span(in)), 0);
	buf_consume(in, in->len);
	e->done = e->got.len >= e->expect;
}

static void on_close(void *arg, int err)
{
	struct end *e = arg;

	e->closed = true;
	e->err = err;
}

static const struct stream_handler echo_handler = { on_open, echo_read, echo_drain, on_close };
static const struct stream_handler keep_handler = { on_open, keep_read, NULL, on_close };

struct server {
	struct listener *listener;
	struct stream_config config;
	struct end end;
};

static void on_accept(void *arg, int fd, const struct addr *from)
{
	struct server *s = arg;

	assert_int_equal(addr_range(from), ADDR_LOOPBACK);
	assert_int_equal(stream_adopt(loop, fd, &s->config, &echo_handler, &s->end, &s->end.stream),
			 0);
}

static void start_server(struct server *s)
{
	struct addr at;

	assert_int_equal(addr_parse("127.0.0.1:0", &at), 0);
	assert_int_equal(listener_create(loop, &at, on_accept, s, &s->listener), 0);
}

static void exchange(struct server *server, const struct stream_config *config, size_t len)
{
	struct end client = { .got = BUF_INIT(64 << 20), .expect = len };
	FL_AUTOFREE uint8_t *data = malloc(len);
	struct addr at, seen;
	size_t sent = 0;
	struct rng rng;

	rng_seed(&rng, 3);
	rng_bytes(&rng, data, len);
	start_server(server);
	at = listener_addr(server->listener);
	assert_int_equal(stream_connect(loop, &at, config, &keep_handler, &client, &client.stream),
			 0);
	for (int i = 0; !client.done && i < TURNS_MAX; i++) {
		size_t n = FL_MIN(len - sent, 10000);

		if (n && stream_write(client.stream, span_of(data + sent, n)) == 0)
			sent += n;
		assert_int_equal(loop_turn(loop, sent < len ? 0 : USEC_PER_SEC), 0);
	}
	assert_int_equal(client.got.len, len);
	assert_memory_equal(buf_span(&client.got).ptr, data, len);
	assert_true(stream_remote(client.stream, &seen) && addr_equal(&seen, &at));
	stream_close(client.stream);
	run_until(&server->end.closed);
	assert_int_equal(server->end.err, 0);
	assert_true(client.closed);
	stream_destroy(client.stream);
	stream_destroy(server->end.stream);
	listener_destroy(server->listener);
	buf_finish(&client.got);
}

static void test_stream_plain(void **state)
{
	struct server server = { .config = { .write_max = 64 * 1024, .read_max = 32 * 1024 } };

	exchange(&server, &(struct stream_config){ .write_max = 128 * 1024 }, 5 << 20);
}

static void test_stream_refused(void **state)
{
	struct end client = { 0 };
	struct addr at;
	struct server server = { 0 };

	start_server(&server);
	at = listener_addr(server.listener);
	listener_destroy(server.listener);
	assert_int_equal(stream_connect(loop, &at, &(struct stream_config){ 0 }, &keep_handler,
					&client, &client.stream),
			 0);
	run_until(&client.closed);
	assert_int_equal(client.err, -ECONNREFUSED);
	assert_false(client.opened);
	stream_destroy(client.stream);
}

static void test_stream_timeout(void **state)
{
	/* the other end never speaks TLS */
	struct tls_context *tls;
	struct end client = { 0 };
	char why[256];
	int fds[2];

	assert_int_equal(tls_client_create(NULL, TLS_VERIFY_NONE, NULL, &tls, why), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	assert_int_equal(
		stream_adopt(loop, fds[0],
			     &(struct stream_config){ .tls = tls, .open_timeout_us = 1000 },
			     &keep_handler, &client, &client.stream),
		0);
	run_until(&client.closed);
	assert_int_equal(client.err, -ETIMEDOUT);
	stream_destroy(client.stream);
	close(fds[1]);
	tls_context_unref(tls);
}

static void test_stream_destroy_inside(void **state)
{
	struct end client = { .destroy_in_read = true };
	struct server server = { 0 };
	struct addr at;

	start_server(&server);
	at = listener_addr(server.listener);
	assert_int_equal(stream_connect(loop, &at, &(struct stream_config){ 0 }, &keep_handler,
					&client, &client.stream),
			 0);
	assert_int_equal(stream_write(client.stream, span_str("x")), 0);
	run_until(&client.done);
	run_until(&server.end.closed);
	assert_false(client.closed);
	stream_destroy(server.end.stream);
	listener_destroy(server.listener);
}

static void test_stream_tls(void **state)
{
	static const char *const alpn[] = { "http/1.1", NULL };
	char dir[32], cert[64], key[64], why[256] = "";
	struct tls_context *server_tls, *good, *bad;
	struct server server = { 0 };
	struct end client = { 0 };
	struct addr at;

	make_certificate(dir, cert, key);
	assert_int_equal(tls_server_create(cert, key, alpn, &server_tls, why), 0);
	assert_int_equal(tls_client_create(cert, TLS_VERIFY_FULL, alpn, &good, why), 0);
	assert_int_equal(tls_client_create(NULL, TLS_VERIFY_FULL, alpn, &bad, why), 0);
	server.config.tls = server_tls;
	exchange(&server, &(struct stream_config){ .tls = good, .server_name = "localhost" },
		 3 << 20);

	/* a name or an issuer that does not fit ends before anything is sent */
	for (int i = 0; i < 2; i++) {
		memset(&server.end, 0, sizeof(server.end));
		client = (struct end){ 0 };
		start_server(&server);
		at = listener_addr(server.listener);
		assert_int_equal(stream_connect(loop, &at,
						&(struct stream_config){
							.tls = i ? bad : good,
							.server_name = i ? "localhost" : "other" },
						&keep_handler, &client, &client.stream),
				 0);
		run_until(&client.closed);
		assert_int_equal(client.err, FL_ETLS);
		assert_non_null(strstr(stream_error_text(client.stream), "not trusted"));
		run_until(&server.end.closed);
		stream_destroy(client.stream);
		stream_destroy(server.end.stream);
		listener_destroy(server.listener);
	}
	assert_int_equal(tls_server_create(cert, "/nonexistent", alpn, &good, why), FL_ETLS);
	assert_non_null(strstr(why, "/nonexistent"));
	tls_context_unref(server_tls);
	tls_context_unref(good);
	tls_context_unref(bad);
	remove_certificate(dir, cert, key);
}

struct udp_end {
	struct udp *udp;
	size_t count, bytes, bad;
	struct addr local, from;
};

static void on_batch(void *arg, const struct dgram *d, size_t n)
{
	struct udp_end *e = arg;

	for (size_t i = 0; i < n; i++) {
		uint8_t want = (uint8_t)e->count++;

		e->bytes += d[i].data.len;
		e->bad += d[i].data.len && d[i].data.ptr[0] != want;
		e->local = d[i].local;
		e->from = d[i].remote;
	}
}

static void udp_exchange(const char *bind_a, const char *bind_b, const char *to)
{
	struct udp_end a = { 0 }, b = { 0 };
	struct udp_config ca = { 0 }, cb = { 0 };
	struct dgram d = { 0 };
	uint8_t data[1200] = { 0 };

	assert_int_equal(addr_parse(bind_a, &ca.bind), 0);
	assert_int_equal(addr_parse(bind_b, &cb.bind), 0);
	assert_int_equal(udp_create(loop, &ca, on_batch, &a, &a.udp), 0);
	assert_int_equal(udp_create(loop, &cb, on_batch, &b, &b.udp), 0);
	assert_int_equal(addr_parse_ip(to, &d.remote), 0);
	d.remote.port = udp_addr(b.udp).port;
	d.local = udp_addr(a.udp);
	for (int i = 0; i < 100; i++) { /* runs of equal size, broken by others: order must hold */
		data[0] = (uint8_t)i;
		d.data = span_of(data, i % 7 == 3 ? 500 : i % 11 == 5 ? 0 : sizeof(data));
		assert_int_equal(udp_send(a.udp, &d), 0);
	}
	for (int i = 0; b.count < 100 && i < TURNS_MAX; i++)
		assert_int_equal(loop_turn(loop, USEC_PER_SEC), 0);
	assert_int_equal(b.count, 100);
	assert_int_equal(b.bad, 0);
	assert_true(addr_ip_equal(&b.local, &d.remote));
	assert_int_equal(b.from.port, udp_addr(a.udp).port);
	assert_int_equal(udp_stats(a.udp)->sent, 100);
	/* and back, from the address it came to */
	d = (struct dgram){ .local = b.local, .remote = b.from, .data = span_of("\0", 1) };
	assert_int_equal(udp_send(b.udp, &d), 0);
	for (int i = 0; a.count < 1 && i < TURNS_MAX; i++)
		assert_int_equal(loop_turn(loop, USEC_PER_SEC), 0);
	assert_true(addr_ip_equal(&a.from, &b.local));
	udp_destroy(a.udp);
	udp_destroy(b.udp);
}

static void test_udp(void **state)
{
	udp_exchange("127.0.0.1:0", "127.0.0.1:0", "127.0.0.1");
	udp_exchange("127.0.0.1:0", "0.0.0.0:0", "127.0.0.5");
	udp_exchange("[::1]:0", "[::]:0", "::1");
}

static void test_udp_queue_is_bounded(void **state)
{
	struct udp_end a = { 0 };
	struct udp_config c = { 0 };
	static uint8_t data[60000];
	struct dgram d = { .data = span_of(data, sizeof(data)) };
	int err = 0;

	assert_int_equal(addr_parse("127.0.0.1:0", &c.bind), 0);
	assert_int_equal(udp_create(loop, &c, on_batch, &a, &a.udp), 0);
	d.remote = udp_addr(a.udp);
	for (int i = 0; i < 1000 && err == 0; i++)
		err = udp_send(a.udp, &d);
	assert_int_equal(err, FL_EQUOTA);
	assert_int_equal(udp_stats(a.udp)->dropped, 1);
	udp_destroy(a.udp);
}

struct answer {
	bool done;
	int err;
	size_t n;
	struct addr first;
	char why[100];
};

static void on_answer(void *arg, int err, const char *why, const struct addr *addrs, size_t n)
{
	struct answer *a = arg;

	a->done = true;
	a->err = err;
	a->n = n;
	snprintf(a->why, sizeof(a->why), "%s", why);
	if (n)
		a->first = addrs[0];
}

static void test_resolve(void **state)
{
	struct answer a = { 0 }, b = { 0 }, c = { 0 };
	struct resolve *r;

	assert_int_equal(resolve_start(loop, "localhost", 80, on_answer, &a, &r), 0);
	run_until(&a.done);
	assert_int_equal(a.err, 0);
	assert_int_equal(addr_range(&a.first), ADDR_LOOPBACK);
	assert_int_equal(a.first.port, 80);
	assert_int_equal(resolve_start(loop, "[::1]", 443, on_answer, &b, &r), 0);
	assert_false(b.done);
	run_until(&b.done);
	assert_int_equal(b.first.port, 443);
	assert_int_equal(resolve_start(loop, "localhost", 1, on_answer, &c, &r), 0);
	resolve_cancel(r);
	loop_destroy(loop); /* the thread may still be at work */
	loop = NULL;
	assert_false(c.done);
}

static void test_ifaces(void **state)
{
	struct iface list[IFACES_MAX];
	struct ifaces_watch *w;
	int n = ifaces_list(list, ARRAY_LEN(list));
	bool found = false;

	assert_true(n > 0);
	for (int i = 0; i < n; i++)
		if (addr_range(&list[i].addr) == ADDR_LOOPBACK && list[i].addr.family == ADDR_V4)
			found = list[i].loopback && list[i].prefix_bits == 8;
	assert_true(found);
	assert_int_equal(ifaces_watch_create(loop, set_flag, &found, &w), 0);
	ifaces_watch_destroy(w);
}

#define LOOP_TEST(fn) cmocka_unit_test_setup_teardown(fn, make_loop, end_loop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		LOOP_TEST(test_timers),
		LOOP_TEST(test_timer_in_the_past),
		LOOP_TEST(test_timer_heap),
		LOOP_TEST(test_post),
		LOOP_TEST(test_foreign_loop),
		LOOP_TEST(test_child),
		LOOP_TEST(test_signal),
		LOOP_TEST(test_stream_plain),
		LOOP_TEST(test_stream_refused),
		LOOP_TEST(test_stream_timeout),
		LOOP_TEST(test_stream_destroy_inside),
		LOOP_TEST(test_stream_tls),
		LOOP_TEST(test_udp),
		LOOP_TEST(test_udp_queue_is_bounded),
		LOOP_TEST(test_resolve),
		LOOP_TEST(test_ifaces),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
