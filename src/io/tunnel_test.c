/* Tunnels through proxies that this test plays: what they say is canned, and what they are told is
 * kept. Real ones are in tests/client/test_proxy.py. */
#include "test.h"
#include "test_certificate.h"

#include <errno.h>
#include <signal.h>

#include "base/err.h"
#include "base/text.h"
#include "io/tunnel.h"

#define TURNS_MAX 20000
#define HEADS_MAX 8

#define OPEN "HTTP/1.1 200 Connection established\r\n\r\n"
#define ASKS(scheme)                                                                               \
	"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: " scheme                \
	"\r\nContent-Length: 0\r\n\r\n"

static struct loop *loop;
static struct tls_context *server_tls, *client_tls;
static char dir[32], cert[64], key[64];

static int make_all(void **state)
{
	char why[256];

	signal(SIGPIPE, SIG_IGN); /* as the programs do */
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

/* ---- the proxy: answers[i] to the i-th request; after OPEN it is an echo ---- */

struct played {
	struct listener *listener;
	struct tls_context *tls; /* an HTTPS proxy */
	const char *answers[4];	 /* "": closes; NULL: says nothing */
	size_t n_heads;
	char heads[HEADS_MAX][2048];
	struct conn {
		struct played *proxy;
		struct stream *stream;
		bool open;
	} conns[8];
	size_t n_conns;
};

static void conn_read(void *arg, struct buf *in)
{
	struct conn *c = arg;
	struct played *p = c->proxy;
	const char *end, *answer;
	size_t len;

	if (c->open) {
		assert_int_equal(stream_write(c->stream, buf_span(in)), 0);
		buf_consume(in, in->len);
		return;
	}
	end = buf_span(in).ptr ? memmem(buf_span(in).ptr, in->len, "\r\n\r\n", 4) : NULL;
	if (!end)
		return;
	len = (size_t)(end - (const char *)buf_span(in).ptr) + 4;
	assert_true(p->n_heads < HEADS_MAX);
	text_copy_span(p->heads[p->n_heads], sizeof(p->heads[0]), span_of(buf_span(in).ptr, len));
	answer = p->n_heads < ARRAY_LEN(p->answers) ? p->answers[p->n_heads] : NULL;
	p->n_heads++;
	buf_consume(in, len);
	if (!answer)
		return;
	c->open = strcmp(answer, OPEN) == 0;
	if (*answer)
		assert_int_equal(stream_write(c->stream, span_str(answer)), 0);
	else
		stream_close(c->stream);
}

static void conn_close(void *arg, int err)
{
	struct conn *c = arg;

	stream_destroy(c->stream);
	c->stream = NULL;
}

static const struct stream_handler conn_handler = { .on_read = conn_read, .on_close = conn_close };

static void on_accept(void *arg, int fd, const struct addr *from)
{
	struct played *p = arg;
	struct conn *c = &p->conns[p->n_conns++];
	struct stream_config config = { .tls = p->tls };

	assert_true(p->n_conns <= ARRAY_LEN(p->conns));
	c->proxy = p;
	assert_int_equal(stream_adopt(loop, fd, &config, &conn_handler, c, &c->stream), 0);
}

static void play(struct played *p)
{
	struct addr at = { .family = ADDR_V4, .ip = { 127, 0, 0, 1 } };

	assert_int_equal(listener_create(loop, &at, on_accept, p, &p->listener), 0);
}

static void end_play(struct played *p)
{
	for (size_t i = 0; i < p->n_conns; i++)
		stream_destroy(p->conns[i].stream);
	listener_destroy(p->listener);
}

/* ---- our end ---- */

struct end {
	struct stream *stream;
	struct buf got;
	bool opened, closed;
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

static void on_close(void *arg, int err)
{
	struct end *e = arg;

	e->closed = true;
	e->err = err;
}

static const struct stream_handler handler = { .on_open = on_open,
					       .on_read = on_read,
					       .on_close = on_close };

static struct proxy *proxy_to(const struct played *p, const char *scheme, const char *user,
			      const char *password, const char *ca)
{
	char url[64], why[256];
	struct proxy_config config = {
		.url = url, .user = user, .password = password, .ca_file = ca
	};
	struct proxy *proxy;

	snprintf(url, sizeof(url), "%s://%s:%u", scheme, ca ? "localhost" : "127.0.0.1",
		 listener_addr(p->listener).port);
	assert_int_equal(proxy_create(&config, &proxy, why), 0);
	return proxy;
}

static void connect_to(struct end *e, struct proxy *proxy, usec_t limit, struct tls_context *tls)
{
	struct stream_config config = { .open_timeout_us = limit, .tls = tls };

	*e = (struct end){ .got = BUF_INIT(1 << 20) };
	assert_int_equal(
		tunnel_connect(loop, proxy, "relay.example", 443, &config, &handler, e, &e->stream),
		0);
}

static void until(const bool *one, const bool *other)
{
	for (int i = 0; i < TURNS_MAX && !*one && !*other; i++)
		assert_int_equal(loop_turn(loop, USEC_PER_SEC), 0);
	assert_true(*one || *other);
}

static void end_end(struct end *e)
{
	stream_destroy(e->stream);
	buf_finish(&e->got);
	assert_int_equal(loop_turn(loop, 0), 0);
}

static void expect_cause(struct end *e, const char *cause)
{
	until(&e->closed, &e->opened);
	assert_true(e->closed);
	assert_int_equal(e->err, FL_EPROXY);
	assert_string_equal(stream_error_cause(e->stream), cause);
	assert_non_null(stream_error_text(e->stream));
}

/* Sends len bytes and waits for the same. */
static void expect_echo(struct end *e, size_t len)
{
	FL_AUTOFREE uint8_t *sent = malloc(len);

	for (size_t i = 0; i < len; i++)
		sent[i] = (uint8_t)(i * 7 + i / 256);
	assert_int_equal(stream_write(e->stream, span_of(sent, len)), 0);
	for (int i = 0; i < TURNS_MAX && e->got.len < len && !e->closed; i++)
		assert_int_equal(loop_turn(loop, USEC_PER_SEC), 0);
	assert_int_equal(e->got.len, len);
	assert_memory_equal(buf_span(&e->got).ptr, sent, len);
}

/* ---- tests ---- */

static void an_open_one(void **state)
{
	struct played p = { .answers = { OPEN } };
	struct end e;

	play(&p);
	struct proxy *proxy = proxy_to(&p, "http", NULL, NULL, NULL);
	connect_to(&e, proxy, 0, NULL);
	until(&e.opened, &e.closed);
	assert_true(e.opened);
	expect_echo(&e, 300000);
	assert_non_null(strstr(p.heads[0], "CONNECT relay.example:443 HTTP/1.1\r\n"));
	assert_null(strstr(p.heads[0], "Authorization"));
	end_end(&e);
	proxy_unref(proxy);
	end_play(&p);
}

static void an_https_one(void **state)
{
	struct played p = { .answers = { OPEN }, .tls = server_tls };
	struct end e;

	play(&p);
	struct proxy *proxy = proxy_to(&p, "https", NULL, NULL, cert);
	connect_to(&e, proxy, 0, NULL);
	until(&e.opened, &e.closed);
	assert_true(e.opened);
	expect_echo(&e, 900000);
	end_end(&e);
	proxy_unref(proxy);
	proxy = proxy_to(&p, "https", NULL, NULL, NULL);
	connect_to(&e, proxy, 0, NULL);
	expect_cause(&e, "proxy-tls");
	end_end(&e);
	proxy_unref(proxy);
	end_play(&p);
}

static void it_wants_a_password(void **state)
{
	struct played p = { .answers = { ASKS("Basic realm=\"a\""), OPEN, OPEN } };
	struct end e;

	play(&p);
	struct proxy *proxy = proxy_to(&p, "http", "nora", "s3cret", NULL);
	connect_to(&e, proxy, 0, NULL);
	until(&e.opened, &e.closed);
	assert_true(e.opened);
	assert_null(strstr(p.heads[0], "Proxy-Authorization"));
	assert_non_null(strstr(p.heads[1], "Proxy-Authorization: Basic bm9yYTpzM2NyZXQ="));
	end_end(&e);
	/* the next one needs not be asked */
	connect_to(&e, proxy, 0, NULL);
	until(&e.opened, &e.closed);
	assert_true(e.opened);
	assert_int_equal(p.n_heads, 3);
	assert_non_null(strstr(p.heads[2], "Proxy-Authorization: Basic"));
	end_end(&e);
	proxy_unref(proxy);
	end_play(&p);
}

/* Two at once, and one later: the password is shown once. */
static void a_wrong_password_is_shown_once(void **state)
{
	struct played p = { .answers = { ASKS("Basic realm=\"a\""), ASKS("Basic realm=\"a\"") } };
	struct end a, b, c;

	play(&p);
	struct proxy *proxy = proxy_to(&p, "http", "nora", "wrong", NULL);
	connect_to(&a, proxy, 0, NULL);
	connect_to(&b, proxy, 0, NULL);
	expect_cause(&a, "proxy-password");
	expect_cause(&b, "proxy-password");
	connect_to(&c, proxy, 0, NULL);
	expect_cause(&c, "proxy-password");
	assert_int_equal(p.n_heads, 2);
	assert_true(proxy_is_refused(proxy));
	assert_null(strstr(stream_error_text(a.stream), "wrong"));
	end_end(&a);
	end_end(&b);
	end_end(&c);
	proxy_unref(proxy);
	end_play(&p);
}

static void what_it_may_answer(void **state)
{
	static const struct {
		const char *answer, *user, *cause;
	} rows[] = {
		{ ASKS("Basic realm=\"a\""), NULL, "proxy-user" },
		{ ASKS("Bearer realm=\"a\""), NULL, "proxy-scheme" },
		{ ASKS("Fancy realm=\"a\""), "nora", "proxy-scheme" },
		{ "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", NULL, "proxy-denied" },
		{ "HTTP/1.1 503 Nope\r\nContent-Length: 0\r\n\r\n", NULL, "proxy-target" },
		{ "HTTP/1.1 302 Found\r\nLocation: http://login/\r\nContent-Length: 0\r\n\r\n",
		  NULL, "proxy-not-http" },
		{ "", NULL, "proxy-closed" },
		{ "<html><body>Please sign in</body></html>\r\n\r\n", NULL, "proxy-not-http" },
		{ "SSH-2.0-OpenSSH_9.2\r\n\r\n", NULL, "proxy-not-http" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct played p = { .answers = { rows[i].answer } };
		struct end e;

		play(&p);
		struct proxy *proxy = proxy_to(&p, "http", rows[i].user, rows[i].user ? "x" : NULL,
					       NULL);
		connect_to(&e, proxy, 2 * USEC_PER_SEC, NULL);
		expect_cause(&e, rows[i].cause);
		end_end(&e);
		proxy_unref(proxy);
		end_play(&p);
	}
}

static void it_says_nothing(void **state)
{
	static const char *const answers[] = {
		NULL,
		"HTTP/1.1 20",
		"HTTP/1.1 407 Who\r\nProxy-Authenticate: Basic\r\nContent-Length: "
		"90000\r\n\r\nshort",
	};

	for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
		struct played p = { .answers = { answers[i] } };
		struct end e;

		play(&p);
		struct proxy *proxy = proxy_to(&p, "http", NULL, NULL, NULL);
		connect_to(&e, proxy, 100 * USEC_PER_MSEC, NULL);
		expect_cause(&e, "proxy-timeout");
		end_end(&e);
		proxy_unref(proxy);
		end_play(&p);
	}
}

static void it_is_not_there(void **state)
{
	struct played p = { 0 };
	struct end e;

	play(&p);
	struct proxy *proxy = proxy_to(&p, "http", NULL, NULL, NULL);
	end_play(&p);
	connect_to(&e, proxy, 0, NULL);
	expect_cause(&e, "proxy-refused");
	end_end(&e);
	proxy_unref(proxy);
}

static void its_name_is_unknown(void **state)
{
	struct proxy_config config = { .url = "http://no-such-proxy.invalid:3128" };
	struct proxy *proxy;
	struct end e;
	char why[256];

	assert_int_equal(proxy_create(&config, &proxy, why), 0);
	connect_to(&e, proxy, 20 * USEC_PER_SEC, NULL);
	expect_cause(&e, "proxy-name");
	end_end(&e);
	proxy_unref(proxy);
}

/* An HTML page behind a 200 where TLS should begin. */
static void tls_behind_it_fails(void **state)
{
	struct played p = { .answers = { OPEN } };
	struct end e;

	play(&p);
	struct proxy *proxy = proxy_to(&p, "http", NULL, NULL, NULL);
	connect_to(&e, proxy, 0, client_tls); /* hears its own hello */
	until(&e.closed, &e.opened);
	assert_true(e.closed);
	assert_int_equal(e.err, FL_ETLS);
	end_end(&e);
	proxy_unref(proxy);
	end_play(&p);
}

/* Destroyed at every step. */
static void it_may_go_at_any_time(void **state)
{
	for (int turns = 0; turns < 40; turns++) {
		struct played p = { .answers = { ASKS("Basic realm=\"a\""), OPEN },
				    .tls = turns % 2 ? server_tls : NULL };
		struct end e;

		play(&p);
		struct proxy *proxy = proxy_to(&p, turns % 2 ? "https" : "http", "nora", "x",
					       turns % 2 ? cert : NULL);
		connect_to(&e, proxy, 0, NULL);
		for (int i = 0; i < turns / 2; i++)
			assert_int_equal(loop_turn(loop, USEC_PER_MSEC), 0);
		end_end(&e);
		proxy_unref(proxy);
		end_play(&p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_open_one),	   TEST(an_https_one),
		TEST(it_wants_a_password), TEST(a_wrong_password_is_shown_once),
		TEST(what_it_may_answer),  TEST(it_says_nothing),
		TEST(it_is_not_there),	   TEST(its_name_is_unknown),
		TEST(tls_behind_it_fails), TEST(it_may_go_at_any_time),
	};

	return cmocka_run_group_tests(tests, make_all, end_all);
}
