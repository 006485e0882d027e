#include "proto/dtls/identity.h"

#include <errno.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/x509.h>

#include "base/err.h"
#include "base/text.h"
#include "base/wire.h"

/* Forward secret, authenticated, in every WebRTC endpoint (RFC 8827 §6.5); record.c knows its
 * layout. */
#define CIPHERS "ECDHE-ECDSA-AES128-GCM-SHA256"
#define SRTP_PROFILES "SRTP_AEAD_AES_128_GCM:SRTP_AES128_CM_SHA1_80"

#define CERT_BACKDATE_S (24 * 3600L) /* for peers whose clock is behind */
#define CERT_LIFE_S (365 * 24 * 3600L)

/* The certificate says nothing about the machine: a random serial and the fixed name "fairlead". */
static X509 *make_cert(EVP_PKEY *key)
{
	X509 *cert = X509_new();
	X509_NAME *name;
	uint64_t serial = 0;

	if (!cert)
		return NULL;
	name = X509_get_subject_name(cert);
	if (RAND_bytes((unsigned char *)&serial, sizeof(serial)) != 1 ||
	    !X509_set_version(cert, X509_VERSION_3) ||
	    !ASN1_INTEGER_set_uint64(X509_get_serialNumber(cert), serial >> 1 | 1) ||
	    !X509_gmtime_adj(X509_getm_notBefore(cert), -CERT_BACKDATE_S) ||
	    !X509_gmtime_adj(X509_getm_notAfter(cert), CERT_LIFE_S) ||
	    !X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"fairlead",
					-1, -1, 0) ||
	    !X509_set_issuer_name(cert, name) || !X509_set_pubkey(cert, key) ||
	    !X509_sign(cert, key, EVP_sha256())) {
		X509_free(cert);
		return NULL;
	}
	return cert;
}

/* The real check is the fingerprint, once it is known. */
static int accept_any(int ok, X509_STORE_CTX *store)
{
	return 1;
}

static SSL_CTX *make_ctx(EVP_PKEY *key, X509 *cert)
{
	SSL_CTX *ctx = SSL_CTX_new(DTLS_method());

	if (!ctx)
		return NULL;
	SSL_CTX_set_options(ctx, SSL_OP_NO_QUERY_MTU | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET |
					 SSL_OP_CIPHER_SERVER_PREFERENCE);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, accept_any);
	SSL_CTX_set_read_ahead(ctx, 1);
	/* no newer one either: record.c and the early start are for 1.2 */
	if (!SSL_CTX_set_min_proto_version(ctx, DTLS1_2_VERSION) ||
	    !SSL_CTX_set_max_proto_version(ctx, DTLS1_2_VERSION) ||
	    !SSL_CTX_set_cipher_list(ctx, CIPHERS) ||
	    !SSL_CTX_set1_groups_list(ctx, "X25519:P-256") ||
	    SSL_CTX_set_tlsext_use_srtp(ctx, SRTP_PROFILES) != 0 /* 0 is success here */ ||
	    !SSL_CTX_use_certificate(ctx, cert) || !SSL_CTX_use_PrivateKey(ctx, key)) {
		SSL_CTX_free(ctx);
		return NULL;
	}
	return ctx;
}

int dtls_identity_create(struct dtls_identity **out)
{
	struct dtls_identity *id = calloc(1, sizeof(*id));
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = key ? make_cert(key) : NULL;
	unsigned len = 0;
	int err = FL_ETLS;

	if (!id) {
		err = -ENOMEM;
	} else if (cert && X509_digest(cert, EVP_sha256(), id->fingerprint, &len) &&
		   len == DTLS_FINGERPRINT_LEN) {
		id->refs = 1;
		id->ctx = make_ctx(key, cert);
		err = id->ctx ? 0 : FL_ETLS;
	}
	X509_free(cert);
	EVP_PKEY_free(key);
	if (err < 0) {
		free(id);
		return err;
	}
	dtls_fingerprint_format(id->fingerprint, id->fingerprint_text);
	*out = id;
	return 0;
}

struct dtls_identity *dtls_identity_ref(struct dtls_identity *id)
{
	id->refs++;
	return id;
}

void dtls_identity_unref(struct dtls_identity *id)
{
	if (!id || --id->refs)
		return;
	SSL_CTX_free(id->ctx);
	free(id);
}

const uint8_t *dtls_identity_fingerprint(const struct dtls_identity *id)
{
	return id->fingerprint;
}

const char *dtls_identity_fingerprint_text(const struct dtls_identity *id)
{
	return id->fingerprint_text;
}

int dtls_fingerprint_parse(struct span text, uint8_t out[DTLS_FINGERPRINT_LEN])
{
	struct reader r = reader_of(text);
	uint8_t fp[DTLS_FINGERPRINT_LEN];
	struct span hash;
	size_t n = 0;

	while (n < text.len && text.ptr[n] != ' ')
		n++;
	hash = reader_bytes(&r, n);
	reader_skip(&r, 1);
	if (reader_failed(&r))
		return FL_EMALFORMED;
	if (!text_equal_nocase(hash, span_str("sha-256")))
		return FL_EUNSUPPORTED;
	for (size_t i = 0; i < sizeof(fp); i++) {
		char lower[3] = { 0 };
		struct span hex = reader_bytes(&r, 2);

		for (size_t k = 0; k < hex.len; k++)
			lower[k] = (char)(hex.ptr[k] | (hex.ptr[k] >= 'A' ? 0x20 : 0));
		if (text_hex_decode(span_str(lower), &fp[i], 1) != 1)
			return FL_EMALFORMED;
		if (i + 1 < sizeof(fp) && reader_u8(&r) != ':')
			return FL_EMALFORMED;
	}
	if (!reader_done(&r))
		return FL_EMALFORMED;
	memcpy(out, fp, sizeof(fp));
	return 0;
}

void dtls_fingerprint_format(const uint8_t fp[DTLS_FINGERPRINT_LEN],
			     char out[DTLS_FINGERPRINT_TEXT_MAX])
{
	struct writer w = writer_of(out, DTLS_FINGERPRINT_TEXT_MAX);

	writer_str(&w, "sha-256 ");
	for (size_t i = 0; i < DTLS_FINGERPRINT_LEN; i++)
		writer_fmt(&w, i ? ":%02X" : "%02X", fp[i]);
	writer_u8(&w, 0);
}
