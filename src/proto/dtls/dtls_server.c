#include "proto/dtls/dtls_server.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <stdio.h>

#include "base/ct.h"
#include "base/err.h"
#include "base/list.h"
#include "base/map.h"
#include "base/pktq.h"
#include "base/siphash.h"
#include "base/wire.h"
#include "proto/dtls/bio.h"
#include "proto/dtls/dtls.h"
#include "proto/dtls/hello.h"

#define CIPHERS "ECDHE+AESGCM:ECDHE+CHACHA20"
#define ALPN_MAX 255
#define COOKIE_LEN 8
#define KEY_LEN 40 /* of the table: both addresses */

/* Before each datagram in the output queue. */
struct way {
	struct addr local, remote;
};

struct session {
	struct dtls_session pub;
	struct list node; /* of handshakes, open or ended */
	SSL *ssl;
	bool done, retired; /* done: the handshake; retired: CLOSED is to be told, or was */
	usec_t deadline, give_up;
	struct way way;
	uint8_t random[HELLO_RANDOM_LEN]; /* of its ClientHello */
};

struct dtls_server {
	SSL_CTX *ctx;
	SSL *listening; /* looks at ClientHellos until one has its cookie */
	BIO_ADDR *nobody;
	struct map *sessions;
	struct list handshakes, open, ended;
	size_t n_handshakes;
	struct session *reading, *told; /* told: its CLOSED was, so it goes with the next call */
	struct dtls_bio bio;
	struct pktq out;
	uint8_t alpn[ALPN_MAX]; /* length-prefixed, RFC 7301 §3.1 */
	unsigned alpn_len;
	uint8_t cookie_key[SIPHASH_KEY_LEN];
	usec_t now;
	const struct way *asking; /* whose cookie is being made or checked, */
	const uint8_t *random;	  /* and its random */
	struct dtls_server_stats stats;
	uint8_t plain[DTLS_SERVER_MESSAGE_MAX];
};

/* ---- cookies ---- */

static void put_addr(struct writer *w, const struct addr *a)
{
	writer_u8(w, (uint8_t)a->family);
	writer_bytes(w, a->ip, sizeof(a->ip));
	writer_u16(w, a->port);
}

static struct span table_key(const struct way *way, uint8_t key[KEY_LEN])
{
	struct writer w = writer_of(key, KEY_LEN);

	put_addr(&w, &way->remote);
	put_addr(&w, &way->local);
	return writer_span(&w);
}

static uint64_t cookie_of(const struct dtls_server *s, uint64_t slot)
{
	uint8_t text[KEY_LEN + HELLO_RANDOM_LEN + 8];
	struct writer w = writer_of(text, sizeof(text));

	put_addr(&w, &s->asking->remote);
	put_addr(&w, &s->asking->local);
	writer_bytes(&w, s->random, HELLO_RANDOM_LEN);
	writer_u64(&w, slot);
	return siphash24(s->cookie_key, writer_span(&w));
}

static uint64_t slot_of(usec_t now)
{
	return now / (DTLS_SERVER_COOKIE_S * USEC_PER_SEC) + 1;
}

static int make_cookie(SSL *ssl, unsigned char *cookie, unsigned *len)
{
	const struct dtls_server *s = SSL_get_app_data(ssl);
	struct writer w = writer_of(cookie, COOKIE_LEN);

	writer_u64(&w, cookie_of(s, slot_of(s->now)));
	*len = COOKIE_LEN;
	return 1;
}

static int check_cookie(SSL *ssl, const unsigned char *cookie, unsigned len)
{
	const struct dtls_server *s = SSL_get_app_data(ssl);
	uint64_t slot = slot_of(s->now);

	for (int i = 0; i < 2; i++) {
		uint8_t good[COOKIE_LEN];
		struct writer w = writer_of(good, sizeof(good));

		writer_u64(&w, cookie_of(s, slot - (uint64_t)i));
		if (ct_equal(span_of(cookie, len), span_of(good, sizeof(good))))
			return 1;
	}
	return 0;
}

/* ---- the certificate ---- */

static int choose_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
		       const unsigned char *in, unsigned in_len, void *arg)
{
	struct dtls_server *s = arg;
	unsigned char *picked;

	(void)ssl;
	if (SSL_select_next_proto(&picked, out_len, s->alpn, s->alpn_len, in, in_len) !=
	    OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_NOACK; /* RFC 7443 §3: ALPN is the client's choice */
	*out = picked;
	return SSL_TLSEXT_ERR_OK;
}

static int set_alpn(struct dtls_server *s, const char *const *alpn)
{
	struct writer w = writer_of(s->alpn, sizeof(s->alpn));

	for (size_t i = 0; alpn && alpn[i]; i++) {
		writer_u8(&w, (uint8_t)strlen(alpn[i]));
		writer_str(&w, alpn[i]);
	}
	s->alpn_len = (unsigned)writer_len(&w);
	return writer_failed(&w) ? FL_EQUOTA : 0;
}

/* The first certificate of the file is ours, the others are its chain. */
static bool use_certificates(SSL_CTX *ctx, struct span pem)
{
	BIO *bio = BIO_new_mem_buf(pem.ptr, (int)pem.len);
	X509 *x = bio ? PEM_read_bio_X509_AUX(bio, NULL, NULL, NULL) : NULL;
	bool ok = x && SSL_CTX_use_certificate(ctx, x) == 1;

	X509_free(x);
	while (ok && (x = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL) {
		ok = SSL_CTX_add0_chain_cert(ctx, x) == 1;
		if (!ok)
			X509_free(x);
	}
	BIO_free(bio);
	ERR_clear_error(); /* the end of the file */
	return ok;
}

static bool use_key(SSL_CTX *ctx, struct span pem)
{
	BIO *bio = BIO_new_mem_buf(pem.ptr, (int)pem.len);
	EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL) : NULL;
	bool ok = key && SSL_CTX_use_PrivateKey(ctx, key) == 1;

	EVP_PKEY_free(key);
	BIO_free(bio);
	ERR_clear_error();
	return ok;
}

static bool set_rules(struct dtls_server *s, SSL_CTX *ctx)
{
	SSL_CTX_set_options(ctx, SSL_OP_NO_QUERY_MTU | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET |
					 SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_NO_COMPRESSION);
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_read_ahead(ctx, 1);
	SSL_CTX_set_cookie_generate_cb(ctx, make_cookie);
	SSL_CTX_set_cookie_verify_cb(ctx, check_cookie);
	if (s->alpn_len)
		SSL_CTX_set_alpn_select_cb(ctx, choose_alpn, s);
	return SSL_CTX_set_min_proto_version(ctx, DTLS1_2_VERSION) &&
	       SSL_CTX_set_max_proto_version(ctx, DTLS1_2_VERSION) &&
	       SSL_CTX_set_cipher_list(ctx, CIPHERS);
}

int dtls_server_set_certificate(struct dtls_server *s, struct span cert_pem, struct span key_pem,
				const char *const *alpn, char why[256])
{
	const char *what = NULL;
	SSL_CTX *ctx;

	ERR_clear_error();
	ctx = SSL_CTX_new(DTLS_server_method());
	if (!ctx || set_alpn(s, alpn) < 0 || !set_rules(s, ctx))
		what = "DTLS cannot be set up";
	else if (cert_pem.len > INT32_MAX || !use_certificates(ctx, cert_pem))
		what = "the certificate cannot be used";
	else if (key_pem.len > INT32_MAX || !use_key(ctx, key_pem))
		what = "the key cannot be used, or does not belong to the certificate";
	else if (SSL_CTX_check_private_key(ctx) != 1)
		what = "the key does not belong to the certificate";
	ERR_clear_error();
	if (what) {
		snprintf(why, 256, "%s", what);
		SSL_CTX_free(ctx);
		return FL_ETLS;
	}
	SSL_free(s->listening);
	s->listening = NULL;
	SSL_CTX_free(s->ctx); /* sessions keep it while they live */
	s->ctx = ctx;
	return 0;
}

/* ---- life ---- */

int dtls_server_create(struct rng *rng, struct dtls_server **out)
{
	struct dtls_server *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	list_init(&s->handshakes);
	list_init(&s->open);
	list_init(&s->ended);
	s->out = PKTQ_INIT(DTLS_SERVER_OUTPUT_MAX);
	s->bio.out = &s->out;
	rng_bytes(rng, s->cookie_key, sizeof(s->cookie_key));
	s->sessions = map_create(rng, DTLS_SERVER_SESSIONS_MAX);
	s->nobody = BIO_ADDR_new();
	if (!s->sessions || !s->nobody) {
		dtls_server_destroy(s);
		return -ENOMEM;
	}
	*out = s;
	return 0;
}

static void free_session(struct session *c)
{
	if (!c)
		return;
	list_remove(&c->node);
	SSL_free(c->ssl);
	free(c);
}

static void free_all(struct list *list)
{
	while (!list_empty(list))
		free_session(list_entry(list->next, struct session, node));
}

void dtls_server_destroy(struct dtls_server *s)
{
	if (!s)
		return;
	free_session(s->told);
	free_all(&s->handshakes);
	free_all(&s->open);
	free_all(&s->ended);
	SSL_free(s->listening);
	SSL_CTX_free(s->ctx);
	BIO_ADDR_free(s->nobody);
	map_destroy(s->sessions);
	pktq_finish(&s->out);
	ct_wipe(s->plain, sizeof(s->plain));
	ct_wipe(s->cookie_key, sizeof(s->cookie_key));
	free(s);
}

/* Out of the table and the lists of the living. */
static void retire(struct dtls_server *s, struct session *c)
{
	uint8_t key[KEY_LEN];

	map_remove(s->sessions, table_key(&c->way, key));
	list_remove(&c->node);
	s->n_handshakes -= !c->done;
	s->stats.sessions--;
	s->stats.failed += !c->done;
	c->retired = true;
	if (s->reading == c)
		s->reading = NULL;
}

static void end(struct dtls_server *s, struct session *c)
{
	retire(s, c);
	list_push_back(&s->ended, &c->node);
}

/* What goes out from here on goes to that client. */
static void face(struct dtls_server *s, const struct way *way, const uint8_t *random,
		 struct span datagram)
{
	s->bio.prefix = span_of(way, sizeof(*way));
	s->bio.in = datagram;
	s->asking = way;
	s->random = random;
	ERR_clear_error();
}

/* ---- in ---- */

static void update_deadline(struct session *c, usec_t now)
{
	struct timeval left;

	c->deadline = USEC_NEVER;
	if (DTLSv1_get_timeout(c->ssl, &left))
		c->deadline = now +
			      FL_MAX((usec_t)left.tv_sec * USEC_PER_SEC + (usec_t)left.tv_usec,
				     USEC_PER_MSEC);
}

static SSL *listening(struct dtls_server *s)
{
	BIO *bio;

	if (s->listening || !s->ctx)
		return s->listening;
	s->listening = SSL_new(s->ctx);
	bio = s->listening ? dtls_bio_create(&s->bio) : NULL;
	if (!bio) {
		SSL_free(FL_STEAL(s->listening));
		return NULL;
	}
	SSL_set_bio(s->listening, bio, bio);
	SSL_set_app_data(s->listening, s);
	DTLS_set_link_mtu(s->listening, DTLS_LINK_MTU);
	SSL_set_accept_state(s->listening);
	return s->listening;
}

static struct session *add_session(struct dtls_server *s, const struct way *way,
				   const struct hello *hello)
{
	struct session *c = calloc(1, sizeof(*c));
	uint8_t key[KEY_LEN];

	if (!c)
		return NULL;
	list_init(&c->node);
	c->way = *way;
	c->pub.local = way->local;
	c->pub.remote = way->remote;
	memcpy(c->random, hello->random, sizeof(c->random));
	if (map_put(s->sessions, table_key(way, key), c) < 0) {
		free(c);
		return NULL;
	}
	c->ssl = FL_STEAL(s->listening);
	c->give_up = s->now + DTLS_SERVER_HANDSHAKE_S * USEC_PER_SEC;
	list_push_back(&s->handshakes, &c->node);
	s->n_handshakes++;
	s->stats.sessions++;
	return c;
}

/* A ClientHello of a new handshake; before is the session whose place it may take. */
static void listen_to(struct dtls_server *s, const struct way *way, const struct hello *hello,
		      struct span datagram, struct session *before)
{
	uint64_t written = s->bio.written;
	SSL *ssl = listening(s);
	int ret;

	if (!ssl)
		return;
	face(s, way, hello->random, datagram);
	ret = DTLSv1_listen(ssl, s->nobody);
	ERR_clear_error();
	if (ret <= 0) {
		/* 36 bytes; the shortest ClientHello that is whole has 66 */
		s->stats.cookies += s->bio.written - written;
		return;
	}
	if (s->n_handshakes >= DTLS_SERVER_HANDSHAKES_MAX) {
		s->stats.refused++;
		SSL_free(FL_STEAL(s->listening));
		return;
	}
	if (before)
		end(s, before);
	s->reading = add_session(s, way, hello);
	if (!s->reading) {
		s->stats.refused++;
		SSL_free(FL_STEAL(s->listening));
		return;
	}
	/* OpenSSL keeps the hello; its answers go where the session says */
	face(s, &s->reading->way, s->reading->random, (struct span){ 0 });
}

void dtls_server_input(struct dtls_server *s, usec_t now, const struct dgram *d)
{
	struct way way;
	struct session *c;
	struct hello hello;
	uint8_t key[KEY_LEN];
	bool is_hello = hello_parse(d->data, &hello);

	memset(&way, 0, sizeof(way));
	way.local = d->local;
	way.remote = d->remote;
	s->now = now;
	s->reading = NULL;
	c = map_get(s->sessions, table_key(&way, key));
	/* its own ClientHello once more: what we answered was lost */
	if (is_hello && !(c && memcmp(c->random, hello.random, sizeof(c->random)) == 0)) {
		listen_to(s, &way, &hello, d->data, c);
	} else if (c) {
		face(s, &c->way, c->random, d->data);
		s->reading = c;
	} else {
		s->stats.strangers++;
	}
}

static bool after_handshake(struct dtls_server *s, struct session *c, struct dtls_server_event *e)
{
	if (c->done || SSL_do_handshake(c->ssl) != 1)
		return false;
	c->done = true;
	list_remove(&c->node);
	list_push_back(&s->open, &c->node);
	s->n_handshakes--;
	s->stats.opened++;
	*e = (struct dtls_server_event){ .type = DTLS_SERVER_OPENED, .session = &c->pub };
	return true;
}

/* One step of the session that has something to read. False: no more. */
static bool read_session(struct dtls_server *s, struct session *c, struct dtls_server_event *e)
{
	int n, why;

	ERR_clear_error();
	if (after_handshake(s, c, e))
		return true;
	ERR_clear_error();
	n = SSL_read(c->ssl, s->plain, sizeof(s->plain));
	if (n > 0) {
		*e = (struct dtls_server_event){ DTLS_SERVER_DATA, &c->pub,
						 span_of(s->plain, (size_t)n) };
		return true;
	}
	why = SSL_get_error(c->ssl, n);
	ERR_clear_error();
	if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE)
		end(s, c); /* close_notify, or a broken handshake */
	s->reading = NULL;
	if (!c->done)
		update_deadline(c, s->now);
	return false;
}

bool dtls_server_next_event(struct dtls_server *s, struct dtls_server_event *e)
{
	free_session(FL_STEAL(s->told));
	for (;;) {
		if (!list_empty(&s->ended)) {
			struct session *c = list_entry(s->ended.next, struct session, node);

			list_remove(&c->node);
			s->told = c;
			*e = (struct dtls_server_event){ DTLS_SERVER_CLOSED, &c->pub, { 0 } };
			return true;
		}
		if (!s->reading)
			return false;
		if (read_session(s, s->reading, e))
			return true;
	}
}

/* ---- time ---- */

void dtls_server_timeout(struct dtls_server *s, usec_t now)
{
	struct session *c, *next;

	s->now = now;
	s->reading = NULL;
	list_for_each (c, next, &s->handshakes, node) {
		bool failed = now >= c->give_up;

		if (!failed && now < c->deadline)
			continue;
		face(s, &c->way, c->random, (struct span){ 0 });
		if (!failed)
			failed = DTLSv1_handle_timeout(c->ssl) < 0;
		ERR_clear_error();
		if (failed)
			end(s, c);
		else
			update_deadline(c, now);
	}
}

usec_t dtls_server_deadline(const struct dtls_server *s)
{
	usec_t at = USEC_NEVER;
	struct session *c, *next;

	list_for_each (c, next, &s->handshakes, node)
		at = usec_min(at, usec_min(c->deadline, c->give_up));
	return at;
}

/* ---- out ---- */

bool dtls_server_next_output(struct dtls_server *s, struct dgram *out)
{
	struct way way;
	struct span entry;
	struct reader r;

	if (!pktq_pop(&s->out, NULL, &entry))
		return false;
	r = reader_of(entry);
	reader_copy(&r, &way, sizeof(way));
	*out = (struct dgram){ way.local, way.remote, reader_rest(&r) };
	return true;
}

int dtls_session_send(struct dtls_server *s, struct dtls_session *session, const struct span *parts,
		      size_t n)
{
	struct session *c = CONTAINER_OF(session, struct session, pub);
	uint8_t message[DTLS_SERVER_MESSAGE_MAX];
	struct writer w = writer_of(message, sizeof(message));
	int ret;

	for (size_t i = 0; i < n; i++)
		writer_bytes(&w, parts[i].ptr, parts[i].len);
	if (writer_failed(&w))
		return -EMSGSIZE;
	if (!c->done || SSL_get_shutdown(c->ssl))
		return FL_ESTATE;
	face(s, &c->way, c->random, (struct span){ 0 });
	ret = SSL_write(c->ssl, message, (int)writer_len(&w));
	ERR_clear_error();
	return ret > 0 ? 0 : FL_ETLS;
}

void dtls_session_close(struct dtls_server *s, struct dtls_session *session)
{
	struct session *c = CONTAINER_OF(session, struct session, pub);

	face(s, &c->way, c->random, (struct span){ 0 });
	if (c->done)
		(void)SSL_shutdown(c->ssl);
	ERR_clear_error();
	if (s->told == c)
		s->told = NULL;
	if (!c->retired)
		retire(s, c);
	free_session(c);
}

const struct dtls_server_stats *dtls_server_stats(const struct dtls_server *s)
{
	return &s->stats;
}
