/*
 * A script for a server with a real client beside it, so that what strangers and forgers send meets
 * sessions in every state. Each entry: a byte (low two bits: from whose address, 0 is the real
 * client's; 4: time passes; 8: the real client's datagrams are carried first; 16: it begins anew),
 * two bytes of length, a datagram.
 */
#include <assert.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "base/pktq.h"
#include "base/wire.h"
#include "proto/dtls/bio.h"
#include "proto/dtls/dtls.h"
#include "proto/dtls/dtls_server.h"
#include "vclock.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct client {
	SSL *ssl;
	struct dtls_bio bio;
	struct pktq out;
};

static SSL_CTX *client_ctx;
/* Made once, which is most of the work; every script ends with no session left. */
static struct dtls_server *server;
static struct dtls_session *sessions[8];

static struct span mem(BIO *bio)
{
	char *p;
	long len = BIO_get_mem_data(bio, &p);

	return span_of(p, (size_t)len);
}

static void prepare(void)
{
	BIO *cert_pem = BIO_new(BIO_s_mem()), *key_pem = BIO_new(BIO_s_mem());
	char why[256];
	struct rng rng;
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *x = X509_new();

	ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
	X509_gmtime_adj(X509_getm_notBefore(x), 0);
	X509_gmtime_adj(X509_getm_notAfter(x), 3600);
	X509_set_pubkey(x, key);
	X509_sign(x, key, EVP_sha256());
	PEM_write_bio_X509(cert_pem, x);
	PEM_write_bio_PrivateKey(key_pem, key, NULL, NULL, 0, NULL, NULL);
	X509_free(x);
	EVP_PKEY_free(key);
	client_ctx = SSL_CTX_new(DTLS_client_method());
	rng_seed(&rng, 1);
	if (dtls_server_create(&rng, &server) < 0 ||
	    dtls_server_set_certificate(server, mem(cert_pem), mem(key_pem), NULL, why) < 0)
		abort();
	BIO_free(cert_pem);
	BIO_free(key_pem);
}

static void keep(struct dtls_session *session, bool open)
{
	for (size_t i = 0; i < ARRAY_LEN(sessions); i++)
		if (sessions[i] == (open ? NULL : session)) {
			sessions[i] = open ? session : NULL;
			return;
		}
}

static void begin(struct client *c)
{
	BIO *b;

	SSL_free(c->ssl);
	c->ssl = SSL_new(client_ctx);
	c->bio.out = &c->out;
	b = dtls_bio_create(&c->bio);
	SSL_set_bio(c->ssl, b, b);
	SSL_set_options(c->ssl, SSL_OP_NO_QUERY_MTU);
	DTLS_set_link_mtu(c->ssl, 1200);
	SSL_set_connect_state(c->ssl);
	SSL_do_handshake(c->ssl);
	ERR_clear_error();
}

static struct addr client_addr(unsigned which)
{
	return (struct addr){ .family = ADDR_V4,
			      .ip = { 192, 0, 2, 1 },
			      .port = (uint16_t)(1000 + which) };
}

static void take(struct dtls_server *s, struct client *c)
{
	struct dtls_server_event e;
	struct addr real = client_addr(0);
	struct dgram d;
	char plain[2000];

	while (dtls_server_next_event(s, &e)) {
		assert(e.session);
		if (e.type != DTLS_SERVER_DATA)
			keep(e.session, e.type == DTLS_SERVER_OPENED);
		if (e.type == DTLS_SERVER_DATA && e.data.len % 7 == 3) {
			keep(e.session, false);
			dtls_session_close(s, e.session);
		} else if (e.type == DTLS_SERVER_DATA) {
			(void)!dtls_session_send(s, e.session, &e.data, 1);
			e.session->user = s;
		}
	}
	while (dtls_server_next_output(s, &d)) {
		if (!c->ssl || !addr_equal(&d.remote, &real))
			continue;
		c->bio.in = d.data;
		SSL_read(c->ssl, plain, sizeof(plain));
		ERR_clear_error();
	}
}

static void give(struct dtls_server *s, struct client *c, unsigned from, struct span data)
{
	struct dgram d = { .local = client_addr(9), .remote = client_addr(from), .data = data };

	dtls_server_input(s, vclock_now(), &d);
	take(s, c);
}

static void carry(struct dtls_server *s, struct client *c)
{
	static uint8_t copy[2000];
	struct span data;

	if (!c->ssl)
		begin(c);
	while (pktq_pop(&c->out, NULL, &data)) {
		size_t len = FL_MIN(data.len, sizeof(copy));

		memcpy(copy, data.ptr, len);
		give(s, c, 0, span_of(copy, len));
	}
	if (SSL_is_init_finished(c->ssl))
		SSL_write(c->ssl, "data", 4);
	ERR_clear_error();
}

static void pass_time(struct dtls_server *s, struct client *c)
{
	usec_t at = usec_min(dtls_server_deadline(s), vclock_now() + USEC_PER_SEC);

	assert(at > vclock_now());
	vclock_set(at);
	dtls_server_timeout(s, at);
	take(s, c);
	if (c->ssl)
		DTLSv1_handle_timeout(c->ssl);
	ERR_clear_error();
}

static void end_all(struct client *c)
{
	for (size_t i = 0; i < ARRAY_LEN(sessions); i++)
		if (sessions[i])
			dtls_session_close(server, FL_STEAL(sessions[i]));
	SSL_free(FL_STEAL(c->ssl));
	vclock_set(vclock_now() + 2 * DTLS_SERVER_HANDSHAKE_S * USEC_PER_SEC);
	dtls_server_timeout(server, vclock_now());
	take(server, c);
	assert(dtls_server_stats(server)->sessions == 0);
	assert(dtls_server_deadline(server) == USEC_NEVER);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reader r = reader_of(span_of(data, size));
	struct client c = { .out = PKTQ_INIT(1 << 20) };

	if (!server)
		prepare();
	vclock_set(1000 * USEC_PER_SEC);
	while (reader_left(&r) >= 3) {
		uint8_t op = reader_u8(&r);
		uint16_t len = reader_u16(&r);
		struct span d = reader_bytes(&r, FL_MIN(len, reader_left(&r)));

		if (op & 16)
			begin(&c);
		if (op & 8)
			carry(server, &c);
		if (op & 4)
			pass_time(server, &c);
		give(server, &c, op & 3, d);
	}
	assert(dtls_server_stats(server)->sessions <= 4);
	end_all(&c);
	pktq_finish(&c.out);
	return 0;
}
