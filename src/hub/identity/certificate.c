#include "hub/identity/certificate.h"

#include <errno.h>
#include <limits.h>
#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/addr.h"
#include "base/err.h"
#include "hub/identity/files.h"

#define DAY_S ((int64_t)24 * 3600)
#define BACKDATE_S DAY_S /* clocks of clients may be behind */
#define PEM_MAX (64 * 1024)

struct pair {
	X509 *cert;
	EVP_PKEY *key;
};

static void pair_finish(struct pair *p)
{
	X509_free(p->cert);
	EVP_PKEY_free(p->key);
	*p = (struct pair){ 0 };
}

static BIO *open_pem(const char *folder, const char *name, char path[PATH_MAX])
{
	snprintf(path, PATH_MAX, folder ? "%s/%s" : "%s%s", folder ? folder : "", name);
	return BIO_new_file(path, "re");
}

/* 1: both are there and belong together; 0: one is missing; negative with a sentence. */
static int load_pair(const char *folder, const char *cert_name, const char *key_name,
		     struct pair *out, char why[256])
{
	char cert_path[PATH_MAX], key_path[PATH_MAX];
	BIO *cert = open_pem(folder, cert_name, cert_path);
	BIO *key = cert ? open_pem(folder, key_name, key_path) : NULL;
	int result = 1;

	ERR_clear_error();
	if (!cert || !key) {
		result = 0;
	} else {
		out->cert = PEM_read_bio_X509(cert, NULL, NULL, NULL);
		out->key = PEM_read_bio_PrivateKey(key, NULL, NULL, NULL);
		if (!out->cert || !out->key) {
			snprintf(why, 256,
				 "%.120s is damaged or not PEM; restore it, or remove both "
				 "%s and %s to have new ones made",
				 out->cert ? key_path : cert_path, cert_name, key_name);
			result = FL_EMALFORMED;
		} else if (X509_check_private_key(out->cert, out->key) != 1) {
			snprintf(why, 256, "the key %.90s does not belong to the certificate %.90s",
				 key_path, cert_path);
			result = -EINVAL;
		}
	}
	BIO_free(cert);
	BIO_free(key);
	ERR_clear_error();
	return result;
}

static bool add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509_EXTENSION *e;
	bool ok;

	X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
	e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	ok = e && X509_add_ext(cert, e, -1) == 1;
	X509_EXTENSION_free(e);
	return ok;
}

static bool set_basics(X509 *cert, EVP_PKEY *key, const char *common_name, int64_t from, int64_t to)
{
	uint8_t serial[16];
	BIGNUM *bn = NULL;
	X509_NAME *name = X509_get_subject_name(cert);
	bool ok = RAND_bytes(serial, sizeof(serial)) == 1;

	serial[0] &= 0x7f;
	bn = BN_bin2bn(serial, sizeof(serial), NULL);
	ok = ok && bn && BN_to_ASN1_INTEGER(bn, X509_get_serialNumber(cert)) &&
	     X509_set_version(cert, X509_VERSION_3) == 1 &&
	     ASN1_TIME_set(X509_getm_notBefore(cert), (time_t)from) &&
	     ASN1_TIME_set(X509_getm_notAfter(cert), (time_t)to) &&
	     X509_set_pubkey(cert, key) == 1 &&
	     X509_NAME_add_entry_by_NID(name, NID_organizationName, MBSTRING_UTF8,
					(const unsigned char *)"Fairlead", -1, -1, 0) == 1 &&
	     X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8,
					(const unsigned char *)common_name, -1, -1, 0) == 1;
	BN_free(bn);
	return ok;
}

static bool make_authority(struct pair *out, const char *host, int64_t now)
{
	char name[64];

	snprintf(name, sizeof(name), "Fairlead local CA %.40s", host);
	out->key = EVP_EC_gen("P-256");
	out->cert = X509_new();
	return out->key && out->cert &&
	       set_basics(out->cert, out->key, name, now - BACKDATE_S,
			  now + CERTIFICATE_AUTHORITY_DAYS * DAY_S) &&
	       X509_set_issuer_name(out->cert, X509_get_subject_name(out->cert)) == 1 &&
	       add_extension(out->cert, out->cert, NID_basic_constraints,
			     "critical,CA:TRUE,pathlen:0") &&
	       add_extension(out->cert, out->cert, NID_key_usage, "critical,keyCertSign,cRLSign") &&
	       add_extension(out->cert, out->cert, NID_subject_key_identifier, "hash") &&
	       X509_sign(out->cert, out->key, EVP_sha256()) > 0;
}

static bool add_name(GENERAL_NAMES *names, const char *text)
{
	GENERAL_NAME *name = GENERAL_NAME_new();
	struct addr ip;
	bool is_ip = addr_parse_ip(text, &ip) == 0;
	ASN1_STRING *value = is_ip ? ASN1_OCTET_STRING_new() : ASN1_IA5STRING_new();
	bool ok = name && value;

	if (ok && is_ip)
		ok = ASN1_STRING_set(value, ip.ip, ip.family == ADDR_V4 ? 4 : 16) == 1;
	else if (ok)
		ok = ASN1_STRING_set(value, text, -1) == 1;
	if (!ok) {
		ASN1_STRING_free(value);
		GENERAL_NAME_free(name);
		return false;
	}
	GENERAL_NAME_set0_value(name, is_ip ? GEN_IPADD : GEN_DNS, value);
	if (sk_GENERAL_NAME_push(names, name) > 0)
		return true;
	GENERAL_NAME_free(name);
	return false;
}

static GENERAL_NAMES *make_names(const struct certificate_names *names)
{
	GENERAL_NAMES *out = sk_GENERAL_NAME_new_null();

	for (size_t i = 0; out && i < names->count; i++)
		if (!add_name(out, names->names[i])) {
			sk_GENERAL_NAME_pop_free(out, GENERAL_NAME_free);
			return NULL;
		}
	return out;
}

static bool make_server(struct pair *out, const struct pair *ca, GENERAL_NAMES *names,
			const char *common_name, int64_t now)
{
	char name[64];

	snprintf(name, sizeof(name), "%.60s", common_name);
	out->key = EVP_EC_gen("P-256");
	out->cert = X509_new();
	return out->key && out->cert &&
	       set_basics(out->cert, out->key, name, now - BACKDATE_S,
			  now + CERTIFICATE_DAYS * DAY_S - BACKDATE_S) &&
	       X509_set_issuer_name(out->cert, X509_get_subject_name(ca->cert)) == 1 &&
	       X509_add1_ext_i2d(out->cert, NID_subject_alt_name, names, 0, X509V3_ADD_APPEND) ==
		       1 &&
	       add_extension(out->cert, ca->cert, NID_basic_constraints, "critical,CA:FALSE") &&
	       add_extension(out->cert, ca->cert, NID_key_usage, "critical,digitalSignature") &&
	       add_extension(out->cert, ca->cert, NID_ext_key_usage, "serverAuth") &&
	       add_extension(out->cert, ca->cert, NID_subject_key_identifier, "hash") &&
	       add_extension(out->cert, ca->cert, NID_authority_key_identifier, "keyid:always") &&
	       X509_sign(out->cert, ca->key, EVP_sha256()) > 0;
}

static int write_pem(const char *folder, const char *name, BIO *pem, mode_t mode, char why[256])
{
	char path[PATH_MAX];
	char *data;
	long len = BIO_get_mem_data(pem, &data);

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	return file_write(path, span_of(data, (size_t)len), mode, why);
}

/* The key first: a certificate without its key would be taken for a damaged pair. */
static int write_pair(const char *folder, const char *cert_name, const char *key_name,
		      const struct pair *p, const struct pair *issuer, char why[256])
{
	BIO *cert = BIO_new(BIO_s_mem()), *key = BIO_new(BIO_s_secmem());
	bool ok = cert && key && PEM_write_bio_X509(cert, p->cert) == 1 &&
		  (!issuer || PEM_write_bio_X509(cert, issuer->cert) == 1) &&
		  PEM_write_bio_PKCS8PrivateKey(key, p->key, NULL, NULL, 0, NULL, NULL) == 1;
	int err = ok ? 0 : -ENOMEM;

	if (err == 0)
		err = write_pem(folder, key_name, key, 0600, why);
	if (err == 0)
		err = write_pem(folder, cert_name, cert, 0644, why);
	BIO_free(cert);
	BIO_free(key);
	return err;
}

static bool same_names(X509 *cert, GENERAL_NAMES *want)
{
	GENERAL_NAMES *have = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
	bool same = have && sk_GENERAL_NAME_num(have) == sk_GENERAL_NAME_num(want);

	for (int i = 0; same && i < sk_GENERAL_NAME_num(want); i++)
		same = GENERAL_NAME_cmp(sk_GENERAL_NAME_value(have, i),
					sk_GENERAL_NAME_value(want, i)) == 0;
	sk_GENERAL_NAME_pop_free(have, GENERAL_NAME_free);
	return same;
}

static bool still_good(const struct pair *server, const struct pair *ca, GENERAL_NAMES *names,
		       int64_t now)
{
	time_t soon = (time_t)(now + CERTIFICATE_RENEW_DAYS * DAY_S), present = (time_t)now;
	EVP_PKEY *issuer = X509_get0_pubkey(ca->cert);

	return X509_verify(server->cert, issuer) == 1 && same_names(server->cert, names) &&
	       X509_cmp_time(X509_get0_notAfter(server->cert), &soon) > 0 &&
	       X509_cmp_time(X509_get0_notBefore(server->cert), &present) < 0;
}

static int ensure_authority(const char *folder, const char *host, int64_t now, struct pair *ca,
			    char why[256])
{
	int have = load_pair(folder, "ca.pem", "ca.key", ca, why);

	if (have != 0)
		return have < 0 ? have : 0;
	pair_finish(ca);
	if (!make_authority(ca, host, now))
		return -ENOMEM;
	have = write_pair(folder, "ca.pem", "ca.key", ca, NULL, why);
	return have < 0 ? have : 1;
}

int certificate_ensure(const char *folder, const struct certificate_names *names, int64_t now,
		       char why[256])
{
	struct pair ca = { 0 }, server = { 0 };
	GENERAL_NAMES *alt = make_names(names);
	int made, have = 0;

	snprintf(why, 256, "out of memory while making a certificate");
	made = alt ? ensure_authority(folder, names->names[0], now, &ca, why) : -ENOMEM;
	if (made >= 0)
		have = load_pair(folder, "hub.pem", "hub-tls.key", &server, why);
	/* interrupted between its two files: it is ours to make again */
	if (made >= 0 && (have <= 0 || !still_good(&server, &ca, alt, now))) {
		pair_finish(&server);
		made = make_server(&server, &ca, alt, names->names[0], now) ? 1 : -ENOMEM;
		if (made > 0)
			have = write_pair(folder, "hub.pem", "hub-tls.key", &server, &ca, why);
		if (made > 0 && have < 0)
			made = have;
	}
	pair_finish(&ca);
	pair_finish(&server);
	sk_GENERAL_NAME_pop_free(alt, GENERAL_NAME_free);
	ERR_clear_error();
	return made;
}

int certificate_check(const char *cert_file, const char *key_file, int64_t now, char why[256])
{
	time_t present = (time_t)now;
	struct pair p = { 0 };
	int have = load_pair(NULL, cert_file, key_file, &p, why), err = 0;

	if (have == 0) {
		snprintf(why, 256, "the certificate %s or its key %s cannot be read", cert_file,
			 key_file);
		err = -ENOENT;
	} else if (have < 0) {
		err = have;
	} else if (X509_cmp_time(X509_get0_notAfter(p.cert), &present) < 0 ||
		   X509_cmp_time(X509_get0_notBefore(p.cert), &present) > 0) {
		snprintf(why, 256,
			 "the certificate %s is not valid today; renew it, or check this "
			 "machine's clock",
			 cert_file);
		err = -ETIME;
	}
	pair_finish(&p);
	return err;
}
