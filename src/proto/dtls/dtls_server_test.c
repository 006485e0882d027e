#include "test.h"
#include "test_certificate.h"
#include "vclock.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "base/err.h"
#include "base/pktq.h"
#include "proto/dtls/bio.h"
#include "proto/dtls/dtls_server.h"
#include "proto/dtls/hello.h"

static struct rng rng;
static char pem[2][4096];

static struct span read_file(const char *path, char *buf, size_t cap)
{
	FILE *f = fopen(path, "re");
	size_t n;

	assert_non_null(f);
	n = fread(buf, 1, cap, f);
	fclose(f);
	return span_of(buf, n);
}

static int make_pem(void **state)
{
	char dir[32], cert[64], key[64];

	make_certificate(dir, cert, key);
	pem[0][read_file(cert, pem[0], sizeof(pem[0]) - 1).len] = 0;
	pem[1][read_file(key, pem[1], sizeof(pem[1]) - 1).len] = 0;
	remove_certificate(dir, cert, key);
	return 0;
}

/* OpenSSL as the client. */
struct client {
	SSL_CTX *ctx;
	SSL *ssl;
	struct dtls_bio bio;
	struct pktq out;
	struct addr addr;
};

static const char *const alpn[] = { "stun.turn", "stun.nat-discovery", NULL };

static struct dtls_server *new_server(void)
{
	struct dtls_server *s;
	char why[256];

	rng_seed(&rng, 5);
	vclock_set(1000 * USEC_PER_SEC);
	assert_int_equal(dtls_server_create(&rng, &s), 0);
	assert_int_equal(
		dtls_server_set_certificate(s, span_str(pem[0]), span_str(pem[1]), alpn, why), 0);
	return s;
}

static void new_client(struct client *c, const char *addr)
{
	BIO *bio;

	*c = (struct client){ .out = PKTQ_INIT(1 << 20) };
	assert_int_equal(addr_parse(addr, &c->addr), 0);
	c->ctx = SSL_CTX_new(DTLS_client_method());
	c->ssl = SSL_new(c->ctx);
	c->bio.out = &c->out;
	bio = dtls_bio_create(&c->bio);
	SSL_set_bio(c->ssl, bio, bio);
	SSL_set_options(c->ssl, SSL_OP_NO_QUERY_MTU);
	DTLS_set_link_mtu(c->ssl, 1200);
	assert_int_equal(SSL_set_alpn_protos(c->ssl, (const uint8_t *)"\x09stun.turn", 10), 0);
	SSL_set_connect_state(c->ssl);
	SSL_do_handshake(c->ssl);
	ERR_clear_error();
}

static void end_client(struct client *c)
{
	SSL_free(c->ssl);
	SSL_CTX_free(c->ctx);
	pktq_finish(&c->out);
}

struct seen {
	unsigned opened, closed, data;
	struct dtls_session *last, *last_closed;
	char text[64];
};

static void take_events(struct dtls_server *s, struct seen *seen)
{
	struct dtls_server_event e;

	while (dtls_server_next_event(s, &e)) {
		seen->opened += e.type == DTLS_SERVER_OPENED;
		seen->closed += e.type == DTLS_SERVER_CLOSED;
		seen->data += e.type == DTLS_SERVER_DATA;
		if (e.type == DTLS_SERVER_CLOSED)
			seen->last_closed = e.session;
		else
			seen->last = e.session;
		if (e.type == DTLS_SERVER_DATA)
			snprintf(seen->text, sizeof(seen->text), "%.*s", (int)e.data.len,
				 (const char *)e.data.ptr);
	}
}

static struct addr server_addr(void)
{
	struct addr a;

	assert_int_equal(addr_parse("198.51.100.1:5349", &a), 0);
	return a;
}

static void give(struct dtls_server *s, const struct client *c, struct span data, struct seen *seen)
{
	struct dgram d = { .local = server_addr(), .remote = c->addr, .data = data };

	dtls_server_input(s, vclock_now(), &d);
	take_events(s, seen);
}

/* Datagrams to the server. */
static void to_server(struct dtls_server *s, struct client *c, struct seen *seen)
{
	struct span data;

	while (pktq_pop(&c->out, NULL, &data))
		give(s, c, data, seen);
}

/* And from it. Returns how many bytes. */
static size_t to_client(struct dtls_server *s, struct client *c, char *text, size_t cap)
{
	struct dgram d;
	size_t bytes = 0;

	while (dtls_server_next_output(s, &d)) {
		char plain[1000];
		int n;

		assert_true(addr_equal(&d.remote, &c->addr));
		bytes += d.data.len;
		c->bio.in = d.data;
		n = SSL_read(c->ssl, plain, sizeof(plain));
		if (n > 0 && text)
			snprintf(text, cap, "%.*s", n, plain);
		ERR_clear_error();
	}
	return bytes;
}

static void shake(struct dtls_server *s, struct client *c, struct seen *seen)
{
	for (int i = 0; i < 20 && !(SSL_is_init_finished(c->ssl) && pktq_empty(&c->out)); i++) {
		to_server(s, c, seen);
		to_client(s, c, NULL, 0);
	}
	assert_true(SSL_is_init_finished(c->ssl));
}

static void say(struct client *c, const char *text)
{
	assert_int_equal(SSL_write(c->ssl, text, (int)strlen(text)), (int)strlen(text));
}

static void test_session(void **state)
{
	struct dtls_server *s = new_server();
	struct client a, b;
	struct seen seen = { 0 };
	struct span parts[] = { span_str("hello "), span_str(""), span_str("a") };
	char text[64] = "";
	const unsigned char *chosen;
	unsigned len;

	new_client(&a, "192.0.2.1:4000");
	new_client(&b, "192.0.2.1:4001");
	shake(s, &a, &seen);
	assert_int_equal(seen.opened, 1);
	assert_true(addr_equal(&seen.last->remote, &a.addr));
	SSL_get0_alpn_selected(a.ssl, &chosen, &len);
	assert_true(span_is(span_of(chosen, len), "stun.turn"));
	seen.last->user = &a;
	say(&a, "one");
	to_server(s, &a, &seen);
	assert_string_equal(seen.text, "one");
	assert_ptr_equal(seen.last->user, &a);
	assert_int_equal(dtls_session_send(s, seen.last, parts, 3), 0);
	to_client(s, &a, text, sizeof(text));
	assert_string_equal(text, "hello a");

	shake(s, &b, &seen);
	assert_int_equal(dtls_server_stats(s)->sessions, 2);
	assert_int_equal(dtls_server_deadline(s), USEC_NEVER);
	SSL_shutdown(a.ssl);
	to_server(s, &a, &seen);
	assert_int_equal(seen.closed, 1);
	assert_int_equal(dtls_server_stats(s)->sessions, 1);
	assert_true(addr_equal(&seen.last->remote, &b.addr));
	dtls_session_close(s, seen.last);
	to_client(s, &b, NULL, 0);
	assert_int_equal(SSL_get_shutdown(b.ssl) & SSL_RECEIVED_SHUTDOWN, SSL_RECEIVED_SHUTDOWN);
	assert_int_equal(dtls_server_stats(s)->sessions, 0);
	assert_int_equal(dtls_server_stats(s)->opened, 2);
	end_client(&a);
	end_client(&b);
	dtls_server_destroy(s);
}

static void test_no_state_and_no_gain_before_the_cookie(void **state)
{
	struct dtls_server *s = new_server();
	struct client c, forged;
	struct seen seen = { 0 };
	struct span hello;
	struct dgram d;
	uint8_t copy[2000];
	size_t len;

	new_client(&c, "192.0.2.1:4000");
	assert_true(pktq_pop(&c.out, NULL, &hello));
	len = hello.len;
	memcpy(copy, hello.ptr, len);
	for (unsigned i = 0; i < 1000; i++) {
		forged = c;
		forged.addr.port = (uint16_t)(5000 + i);
		give(s, &forged, span_of(copy, len), &seen);
		assert_true(dtls_server_next_output(s, &d));
		assert_true(d.data.len <= 48 && d.data.len < len);
		assert_int_equal(d.remote.port, forged.addr.port);
		assert_false(dtls_server_next_output(s, &d));
	}
	assert_int_equal(dtls_server_stats(s)->sessions, 0);
	assert_int_equal(dtls_server_stats(s)->cookies, 1000);
	/* the shortest hello that is one: no extensions, one cipher */
	for (size_t cut = 0; cut < len; cut++) {
		give(s, &c, span_of(copy, cut), &seen);
		assert_false(dtls_server_next_output(s, &d));
	}
	assert_int_equal(dtls_server_stats(s)->strangers, len);
	end_client(&c);
	dtls_server_destroy(s);
}

/* A cookie is good only where it was sent to, and not for ever. */
static void test_cookie_elsewhere_or_late(void **state)
{
	struct dtls_server *s = new_server();
	struct client c;
	struct seen seen = { 0 };
	struct span hello;
	uint8_t copy[2000];
	size_t len;

	new_client(&c, "192.0.2.1:4000");
	to_server(s, &c, &seen);
	to_client(s, &c, NULL, 0); /* now it has the cookie */
	assert_true(pktq_pop(&c.out, NULL, &hello));
	len = hello.len;
	memcpy(copy, hello.ptr, len);
	c.addr.port++;
	give(s, &c, span_of(copy, len), &seen);
	assert_int_equal(dtls_server_stats(s)->sessions, 0);
	c.addr.port--;
	vclock_set(vclock_now() + 2 * DTLS_SERVER_COOKIE_S * USEC_PER_SEC);
	give(s, &c, span_of(copy, len), &seen);
	assert_int_equal(dtls_server_stats(s)->sessions, 0);
	vclock_set(vclock_now() - DTLS_SERVER_COOKIE_S * USEC_PER_SEC);
	give(s, &c, span_of(copy, len), &seen);
	assert_int_equal(dtls_server_stats(s)->sessions, 1);
	assert_int_equal(dtls_server_stats(s)->cookies, 3);
	end_client(&c);
	dtls_server_destroy(s);
}

/* RFC 6347 §4.2.8: the same address and port, a new handshake. */
static void test_client_comes_back(void **state)
{
	struct dtls_server *s = new_server();
	struct client before, after;
	struct seen seen = { 0 };
	struct dtls_session *old;

	new_client(&before, "192.0.2.1:4000");
	shake(s, &before, &seen);
	old = seen.last;
	new_client(&after, "192.0.2.1:4000");
	to_server(s, &after, &seen); /* the first hello alone changes nothing */
	assert_int_equal(seen.closed, 0);
	say(&before, "still here");
	to_server(s, &before, &seen);
	assert_string_equal(seen.text, "still here");
	to_client(s, &after, NULL, 0);
	shake(s, &after, &seen);
	assert_int_equal(seen.closed, 1);
	assert_ptr_equal(seen.last_closed, old);
	assert_int_equal(seen.opened, 2);
	say(&after, "new");
	to_server(s, &after, &seen);
	assert_string_equal(seen.text, "new");
	assert_int_equal(dtls_server_stats(s)->sessions, 1);
	end_client(&before);
	end_client(&after);
	dtls_server_destroy(s);
}

/* The server's flight is lost: it comes again by the timer, and the handshake ends well. */
static void test_lost_flight(void **state)
{
	struct dtls_server *s = new_server();
	struct client c;
	struct seen seen = { 0 };
	struct dgram d;

	new_client(&c, "192.0.2.1:4000");
	to_server(s, &c, &seen);
	to_client(s, &c, NULL, 0);
	to_server(s, &c, &seen);
	while (dtls_server_next_output(s, &d)) /* lost */
		;
	assert_true(dtls_server_deadline(s) > vclock_now());
	vclock_set(dtls_server_deadline(s));
	dtls_server_timeout(s, vclock_now());
	take_events(s, &seen);
	assert_true(to_client(s, &c, NULL, 0) > 0);
	shake(s, &c, &seen);
	assert_int_equal(seen.opened, 1);
	end_client(&c);
	dtls_server_destroy(s);
}

static void test_given_up(void **state)
{
	struct dtls_server *s = new_server();
	struct client c;
	struct seen seen = { 0 };
	usec_t began = vclock_now();
	struct dgram d;

	new_client(&c, "192.0.2.1:4000");
	to_server(s, &c, &seen);
	to_client(s, &c, NULL, 0);
	to_server(s, &c, &seen);
	while (dtls_server_deadline(s) != USEC_NEVER) {
		assert_true(dtls_server_deadline(s) > vclock_now());
		vclock_set(dtls_server_deadline(s));
		dtls_server_timeout(s, vclock_now());
		take_events(s, &seen);
		while (dtls_server_next_output(s, &d))
			;
	}
	assert_int_equal(vclock_now() - began, DTLS_SERVER_HANDSHAKE_S * USEC_PER_SEC);
	assert_int_equal(seen.closed, 1);
	assert_int_equal(dtls_server_stats(s)->sessions, 0);
	assert_int_equal(dtls_server_stats(s)->failed, 1);
	end_client(&c);
	dtls_server_destroy(s);
}

static void test_handshakes_bounded(void **state)
{
	struct dtls_server *s = new_server();
	struct seen seen = { 0 };

	for (unsigned i = 0; i < DTLS_SERVER_HANDSHAKES_MAX + 5; i++) {
		struct client c;

		new_client(&c, "192.0.2.1:4000");
		c.addr.port = (uint16_t)(1000 + i);
		to_server(s, &c, &seen);
		to_client(s, &c, NULL, 0);
		to_server(s, &c, &seen);
		to_client(s, &c, NULL, 0);
		end_client(&c);
	}
	assert_int_equal(dtls_server_stats(s)->sessions, DTLS_SERVER_HANDSHAKES_MAX);
	assert_int_equal(dtls_server_stats(s)->refused, 5);
	dtls_server_destroy(s);
}

static void test_reload(void **state)
{
	char first[4096], why[256] = "";
	struct dtls_server *s = new_server();
	struct client before, after;
	struct seen seen = { 0 };

	memcpy(first, pem[0], sizeof(first));
	new_client(&before, "192.0.2.1:4000");
	shake(s, &before, &seen);
	make_pem(state);
	assert_int_equal(
		dtls_server_set_certificate(s, span_str(first), span_str(pem[1]), alpn, why),
		FL_ETLS);
	assert_non_null(strstr(why, "does not belong"));
	assert_int_equal(dtls_server_set_certificate(s, span_str("x"), span_str(pem[1]), alpn, why),
			 FL_ETLS);
	assert_int_equal(
		dtls_server_set_certificate(s, span_str(pem[0]), span_str(pem[1]), alpn, why), 0);
	new_client(&after, "192.0.2.1:4001");
	shake(s, &after, &seen);
	assert_int_not_equal(X509_cmp(SSL_get0_peer_certificate(before.ssl),
				      SSL_get0_peer_certificate(after.ssl)),
			     0);
	say(&before, "on the old one");
	to_server(s, &before, &seen);
	assert_string_equal(seen.text, "on the old one");
	end_client(&before);
	end_client(&after);
	dtls_server_destroy(s);
}

static void test_sizes(void **state)
{
	static uint8_t much[DTLS_SERVER_MESSAGE_MAX + 1];
	struct dtls_server *s = new_server();
	struct client c;
	struct seen seen = { 0 };
	struct span part = span_of(much, sizeof(much));

	new_client(&c, "192.0.2.1:4000");
	shake(s, &c, &seen);
	assert_int_equal(dtls_session_send(s, seen.last, &part, 1), -EMSGSIZE);
	part.len--;
	assert_int_equal(dtls_session_send(s, seen.last, &part, 1), 0);
	end_client(&c);
	dtls_server_destroy(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_session),
		TEST(test_no_state_and_no_gain_before_the_cookie),
		TEST(test_cookie_elsewhere_or_late),
		TEST(test_client_comes_back),
		TEST(test_lost_flight),
		TEST(test_given_up),
		TEST(test_handshakes_bounded),
		TEST(test_reload),
		TEST(test_sizes),
	};

	return cmocka_run_group_tests(tests, make_pem, NULL);
}
