/* A certificate for tests that speak TLS. Link with OpenSSL; use it in one file of an executable.
 */
#pragma once

#include "test.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <unistd.h>

/* A self-signed certificate for "localhost" in a folder of its own. */
static void make_certificate(char dir[32], char cert[64], char key[64])
{
	EVP_PKEY *pkey = EVP_EC_gen("P-256");
	X509 *x = X509_new();
	X509_EXTENSION *names;
	FILE *f;

	snprintf(dir, 32, "/tmp/fairlead-tls-XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(cert, 64, "%s/cert.pem", dir);
	snprintf(key, 64, "%s/key.pem", dir);
	X509_set_version(x, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
	X509_gmtime_adj(X509_getm_notBefore(x), -60);
	X509_gmtime_adj(X509_getm_notAfter(x), 3600);
	X509_set_pubkey(x, pkey);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
				   (const unsigned char *)"localhost", -1, -1, 0);
	X509_set_issuer_name(x, X509_get_subject_name(x));
	names = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "DNS:localhost");
	X509_add_ext(x, names, -1);
	X509_EXTENSION_free(names);
	assert_true(X509_sign(x, pkey, EVP_sha256()) > 0);
	f = fopen(cert, "we");
	PEM_write_X509(f, x);
	fclose(f);
	f = fopen(key, "we");
	PEM_write_PrivateKey(f, pkey, NULL, NULL, 0, NULL, NULL);
	fclose(f);
	X509_free(x);
	EVP_PKEY_free(pkey);
}

static void remove_certificate(const char *dir, const char *cert, const char *key)
{
	unlink(cert);
	unlink(key);
	rmdir(dir);
}
