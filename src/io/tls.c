#include "io/tls.h"

#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/addr.h"
#include "base/err.h"
#include "base/text.h"

#define ALPN_MAX 255

struct tls_context {
	atomic_uint refs;
	SSL_CTX *ctx;
	bool server, verify;
	uint8_t alpn[ALPN_MAX]; /* length-prefixed, RFC 7301 §3.1 */
	unsigned alpn_len;
};

struct tls_session {
	struct tls_context *context;
	SSL *ssl;
	struct tls_below below;
	bool wants_write, broken;
	char error[256];
};

static void take_error(char *dst, size_t cap, const char *what)
{
	unsigned long e = ERR_peek_last_error();
	char reason[160] = "unknown error";

	if (e)
		ERR_error_string_n(e, reason, sizeof(reason));
	if (e && ERR_reason_error_string(e))
		snprintf(reason, sizeof(reason), "%s", ERR_reason_error_string(e));
	snprintf(dst, cap, "%s: %s", what, reason);
	ERR_clear_error();
}

static int set_alpn(struct tls_context *c, const char *const *alpn)
{
	for (size_t i = 0; alpn && alpn[i]; i++) {
		size_t len = strlen(alpn[i]);

		if (len == 0 || c->alpn_len + 1 + len > ALPN_MAX)
			return -EINVAL;
		c->alpn[c->alpn_len++] = (uint8_t)len;
		memcpy(c->alpn + c->alpn_len, alpn[i], len);
		c->alpn_len += (unsigned)len;
	}
	return 0;
}

static int choose_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
		       const unsigned char *in, unsigned in_len, void *arg)
{
	struct tls_context *c = arg;
	unsigned char *picked;

	(void)ssl;
	if (SSL_select_next_proto(&picked, out_len, c->alpn, c->alpn_len, in, in_len) !=
	    OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_NOACK; /* no common protocol: go on without, as HTTP/1.1 */
	*out = picked;
	return SSL_TLSEXT_ERR_OK;
}

static struct tls_context *context_create(bool server, const char *const *alpn, char why[256])
{
	struct tls_context *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	atomic_init(&c->refs, 1);
	c->server = server;
	c->ctx = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
	if (!c->ctx || set_alpn(c, alpn) < 0 ||
	    !SSL_CTX_set_min_proto_version(c->ctx, TLS1_2_VERSION)) {
		take_error(why, 256, "TLS cannot be set up");
		tls_context_unref(c);
		return NULL;
	}
	SSL_CTX_set_mode(c->ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
					 SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_options(c->ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
	return c;
}

int tls_server_create(const char *cert_file, const char *key_file, const char *const *alpn,
		      struct tls_context **out, char why[256])
{
	struct tls_context *c = context_create(true, alpn, why);
	char what[200] = "";

	if (!c)
		return FL_ETLS;
	if (SSL_CTX_use_certificate_chain_file(c->ctx, cert_file) != 1)
		snprintf(what, sizeof(what), "certificate %.160s cannot be used", cert_file);
	else if (SSL_CTX_use_PrivateKey_file(c->ctx, key_file, SSL_FILETYPE_PEM) != 1)
		snprintf(what, sizeof(what), "key %.160s cannot be used", key_file);
	else if (SSL_CTX_check_private_key(c->ctx) != 1)
		snprintf(what, sizeof(what), "key %.100s does not belong to the certificate",
			 key_file);
	if (what[0]) {
		take_error(why, 256, what);
		tls_context_unref(c);
		return FL_ETLS;
	}
	SSL_CTX_set_options(c->ctx, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
	SSL_CTX_set_session_id_context(c->ctx, (const unsigned char *)"fairlead", 8);
	if (c->alpn_len)
		SSL_CTX_set_alpn_select_cb(c->ctx, choose_alpn, c);
	*out = c;
	return 0;
}

int tls_certificate_until(const char *cert_file, int64_t *unix_s)
{
	FILE *f = fopen(cert_file, "re");
	X509 *cert = f ? PEM_read_X509(f, NULL, NULL, NULL) : NULL;
	struct tm tm;
	int err = FL_ETLS;

	if (cert && ASN1_TIME_to_tm(X509_get0_notAfter(cert), &tm) == 1) {
		*unix_s = timegm(&tm);
		err = 0;
	}
	ERR_clear_error();
	X509_free(cert);
	if (f)
		fclose(f);
	return err;
}

int tls_client_create(const char *ca_file, enum tls_verify verify, const char *const *alpn,
		      struct tls_context **out, char why[256])
{
	struct tls_context *c = context_create(false, alpn, why);

	if (!c)
		return FL_ETLS;
	c->verify = verify == TLS_VERIFY_FULL;
	/* without verification the chain is still built, so that the result can be told */
	SSL_CTX_set_verify(c->ctx, c->verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
	if (verify != TLS_VERIFY_IGNORE)
		SSL_CTX_set_default_verify_paths(c->ctx);
	if (ca_file && SSL_CTX_load_verify_locations(c->ctx, ca_file, NULL) != 1) {
		char what[200];

		snprintf(what, sizeof(what), "CA file %.160s cannot be used", ca_file);
		take_error(why, 256, what);
		tls_context_unref(c);
		return FL_ETLS;
	}
	if (c->alpn_len)
		SSL_CTX_set_alpn_protos(c->ctx, c->alpn, c->alpn_len);
	*out = c;
	return 0;
}

struct tls_context *tls_context_ref(struct tls_context *c)
{
	atomic_fetch_add(&c->refs, 1);
	return c;
}

void tls_context_unref(struct tls_context *c)
{
	if (!c || atomic_fetch_sub(&c->refs, 1) != 1)
		return;
	SSL_CTX_free(c->ctx);
	free(c);
}

static int set_name(struct tls_session *s, const char *name)
{
	struct addr ip;

	if (addr_parse_ip(name, &ip) == 0) /* no SNI for addresses, RFC 6066 §3 */
		return X509_VERIFY_PARAM_set1_ip(SSL_get0_param(s->ssl), ip.ip,
						 ip.family == ADDR_V4 ? 4 : 16);
	return SSL_set_tlsext_host_name(s->ssl, name) && SSL_set1_host(s->ssl, name);
}

/* ---- records that something else than a socket carries ---- */

static int below_result(BIO *bio, ssize_t n, void (*retry)(BIO *bio))
{
	BIO_clear_retry_flags(bio);
	if (n == -EAGAIN || n == -EINTR)
		retry(bio);
	else if (n < 0 && n != FL_ECLOSED)
		errno = n > FL_EMALFORMED ? (int)-n : EIO;
	return n > 0 ? (int)n : n == FL_ECLOSED ? 0 : -1;
}

static void retry_read(BIO *bio)
{
	BIO_set_retry_read(bio);
}

static void retry_write(BIO *bio)
{
	BIO_set_retry_write(bio);
}

static int below_read(BIO *bio, char *dst, int cap)
{
	const struct tls_below *b = BIO_get_data(bio);

	return cap > 0 ? below_result(bio, b->read(b->arg, dst, (size_t)cap), retry_read) : 0;
}

static int below_write(BIO *bio, const char *src, int len)
{
	const struct tls_below *b = BIO_get_data(bio);

	return len > 0 ? below_result(bio, b->write(b->arg, src, (size_t)len), retry_write) : 0;
}

static long below_ctrl(BIO *bio, int cmd, long num, void *ptr)
{
	return cmd == BIO_CTRL_FLUSH; /* nothing is held back */
}

static BIO_METHOD *below_method;

static void make_below_method(void)
{
	BIO_METHOD *m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "below");

	if (m && BIO_meth_set_read(m, below_read) && BIO_meth_set_write(m, below_write) &&
	    BIO_meth_set_ctrl(m, below_ctrl))
		below_method = m;
	else
		BIO_meth_free(m);
}

static bool set_below(struct tls_session *s, const struct tls_below *below)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	BIO *bio;

	pthread_once(&once, make_below_method);
	bio = below_method ? BIO_new(below_method) : NULL;
	if (!bio)
		return false;
	s->below = *below;
	BIO_set_data(bio, &s->below);
	BIO_set_init(bio, 1);
	SSL_set_bio(s->ssl, bio, bio); /* takes it over */
	return true;
}

int tls_session_create(struct tls_context *c, int fd, const struct tls_below *below,
		       const char *server_name, struct tls_session **out)
{
	struct tls_session *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->context = tls_context_ref(c);
	s->ssl = SSL_new(c->ctx);
	if (!s->ssl || !(below ? set_below(s, below) : SSL_set_fd(s->ssl, fd) == 1) ||
	    (!c->server && server_name && !set_name(s, server_name))) {
		ERR_clear_error();
		tls_session_destroy(s);
		return FL_ETLS;
	}
	if (c->server)
		SSL_set_accept_state(s->ssl);
	else
		SSL_set_connect_state(s->ssl);
	*out = s;
	return 0;
}

void tls_session_shutdown(struct tls_session *s)
{
	if (!s->broken && SSL_is_init_finished(s->ssl))
		SSL_shutdown(s->ssl);
	s->broken = true;
	ERR_clear_error();
}

void tls_session_end(struct tls_session *s)
{
	if (!s->broken && SSL_is_init_finished(s->ssl))
		(void)SSL_shutdown(s->ssl);
	ERR_clear_error();
}

void tls_session_destroy(struct tls_session *s)
{
	if (!s)
		return;
	if (s->ssl)
		tls_session_shutdown(s);
	SSL_free(s->ssl);
	tls_context_unref(s->context);
	free(s);
}

static int result(struct tls_session *s, int ret, const char *what)
{
	int saved = errno;
	long verify;

	switch (SSL_get_error(s->ssl, ret)) {
	case SSL_ERROR_WANT_READ:
		s->wants_write = false;
		return -EAGAIN;
	case SSL_ERROR_WANT_WRITE:
		s->wants_write = true;
		return -EAGAIN;
	case SSL_ERROR_ZERO_RETURN:
		return FL_ECLOSED;
	case SSL_ERROR_SYSCALL:
		s->broken = true;
		ERR_clear_error();
		return saved ? -saved : -ECONNRESET;
	default:
		break;
	}
	s->broken = true;
	verify = SSL_get_verify_result(s->ssl);
	if (!SSL_is_init_finished(s->ssl) && verify != X509_V_OK && s->context->verify) {
		snprintf(s->error, sizeof(s->error), "the certificate is not trusted: %s",
			 X509_verify_cert_error_string(verify));
		ERR_clear_error();
	} else {
		take_error(s->error, sizeof(s->error), what);
	}
	return FL_ETLS;
}

int tls_session_handshake(struct tls_session *s)
{
	int ret;

	ERR_clear_error();
	errno = 0;
	ret = SSL_do_handshake(s->ssl);
	return ret == 1 ? 0 : result(s, ret, "TLS handshake");
}

int tls_session_read(struct tls_session *s, void *dst, size_t cap)
{
	int ret;

	ERR_clear_error();
	errno = 0;
	ret = SSL_read(s->ssl, dst, cap > INT_MAX ? INT_MAX : (int)cap);
	return ret > 0 ? ret : result(s, ret, "TLS read");
}

int tls_session_write(struct tls_session *s, const void *src, size_t len)
{
	int ret;

	ERR_clear_error();
	errno = 0;
	ret = SSL_write(s->ssl, src, len > INT_MAX ? INT_MAX : (int)len);
	return ret > 0 ? ret : result(s, ret, "TLS write");
}

bool tls_session_wants_write(const struct tls_session *s)
{
	return s->wants_write;
}

bool tls_session_pending(const struct tls_session *s)
{
	return SSL_pending(s->ssl) > 0;
}

const char *tls_session_error(const struct tls_session *s)
{
	return s->error[0] ? s->error : NULL;
}

static bool key_digest(X509 *x, uint8_t spki[32])
{
	FL_AUTOFREE uint8_t *der = NULL;
	unsigned n = 32;
	int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x), &der);

	return len > 0 && EVP_Digest(der, (size_t)len, spki, &n, EVP_sha256(), NULL) == 1;
}

bool tls_context_key(const struct tls_context *c, uint8_t spki[32])
{
	X509 *x = SSL_CTX_get0_certificate(c->ctx);

	return x && key_digest(x, spki);
}

bool tls_session_peer_fingerprint(const struct tls_session *s, uint8_t cert[32], uint8_t spki[32])
{
	X509 *x = SSL_get0_peer_certificate(s->ssl);
	unsigned n = 32;

	return x && X509_digest(x, EVP_sha256(), cert, &n) && key_digest(x, spki);
}

void tls_session_issuer(const struct tls_session *s, char *dst, size_t cap)
{
	X509 *x = SSL_get0_peer_certificate(s->ssl);
	X509_NAME *name = x ? X509_get_issuer_name(x) : NULL;

	dst[0] = 0;
	if (!name)
		return;
	if (X509_NAME_get_text_by_NID(name, NID_commonName, dst, (int)cap) <= 0)
		X509_NAME_get_text_by_NID(name, NID_organizationName, dst, (int)cap);
}

long tls_session_verify_result(const struct tls_session *s, const char **text)
{
	long verify = SSL_get_verify_result(s->ssl);

	*text = X509_verify_cert_error_string(verify);
	return verify;
}

const char *tls_session_alpn(const struct tls_session *s)
{
	static __thread char name[ALPN_MAX + 1];
	const unsigned char *p;
	unsigned len;

	SSL_get0_alpn_selected(s->ssl, &p, &len);
	text_copy_span(name, sizeof(name), span_of(p, len));
	return name;
}

const char *tls_session_version(const struct tls_session *s)
{
	return SSL_get_version(s->ssl);
}
