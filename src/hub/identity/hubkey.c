#include "hub/identity/hubkey.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

#include "base/buf.h"
#include "base/ct.h"
#include "base/err.h"
#include "hub/identity/files.h"

#define LINES_BYTES_MAX (64 * 1024)

struct hubkey {
	EVP_PKEY *pkey;
	uint8_t seed[32];
	char public[HUBKEY_TEXT_CAP], id[HUBKEY_TEXT_CAP];
};

struct hubkey *hubkey_from_seed(const uint8_t seed[32])
{
	struct hubkey *k = calloc(1, sizeof(*k));
	uint8_t public[32], hash[32];
	size_t len = sizeof(public);

	if (!k)
		return NULL;
	memcpy(k->seed, seed, 32);
	k->pkey = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, 32);
	if (!k->pkey || EVP_PKEY_get_raw_public_key(k->pkey, public, &len) != 1) {
		hubkey_destroy(k);
		return NULL;
	}
	text_b64url_encode(span_of(public, 32), k->public, sizeof(k->public));
	secret_hash(span_of(public, 32), hash);
	text_b64url_encode(span_of(hash, 32), k->id, sizeof(k->id));
	return k;
}

int hubkey_open(const char *path, struct rng *rng, struct hubkey **out, char why[256])
{
	uint8_t seed[33];
	int n = file_read(path, seed, sizeof(seed), why);

	if (n == -ENOENT) {
		rng_bytes(rng, seed, 32);
		n = file_write(path, span_of(seed, 32), 0600, why);
		n = n < 0 ? n : 32;
	}
	if (n >= 0 && n != 32) {
		snprintf(
			why, 256,
			"%s is damaged (%d bytes instead of 32); restore it from a backup: without "
			"it every device must be enrolled again",
			path, n);
		n = FL_EMALFORMED;
	}
	if (n == 32) {
		*out = hubkey_from_seed(seed);
		n = *out ? 0 : -ENOMEM;
	}
	ct_wipe(seed, sizeof(seed));
	return n;
}

void hubkey_destroy(struct hubkey *k)
{
	if (!k)
		return;
	EVP_PKEY_free(k->pkey);
	ct_wipe(k, sizeof(*k));
	free(k);
}

const char *hubkey_public(const struct hubkey *k)
{
	return k->public;
}

const char *hubkey_id(const struct hubkey *k)
{
	return k->id;
}

static int join_lines(const char *const *lines, size_t n, struct buf *out)
{
	int err = 0;

	for (size_t i = 0; i < n && err == 0; i++)
		err = buf_printf(out, "%s%s", i ? "\n" : "", lines[i]);
	return err;
}

int hubkey_sign(const struct hubkey *k, struct span data, char out[SIGNATURE_TEXT_CAP])
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	uint8_t signature[64];
	size_t len = sizeof(signature);
	bool ok = md && EVP_DigestSignInit(md, NULL, NULL, NULL, k->pkey) == 1 &&
		  EVP_DigestSign(md, signature, &len, data.ptr, data.len) == 1;

	EVP_MD_CTX_free(md);
	if (!ok)
		return -ENOMEM;
	text_b64url_encode(span_of(signature, 64), out, SIGNATURE_TEXT_CAP);
	return 0;
}

int hubkey_sign_lines(const struct hubkey *k, const char *const *lines, size_t n,
		      char out[SIGNATURE_TEXT_CAP])
{
	struct buf text = BUF_INIT(LINES_BYTES_MAX);
	int err = join_lines(lines, n, &text);

	if (err == 0)
		err = hubkey_sign(k, buf_span(&text), out);
	buf_finish(&text);
	return err;
}

bool signature_fits(const uint8_t key[32], const char *const *lines, size_t n,
		    const char *signature)
{
	struct buf text = BUF_INIT(LINES_BYTES_MAX);
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	EVP_PKEY *pkey = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, key, 32);
	uint8_t bytes[64];
	bool ok = text_b64url_decode(span_str(signature), bytes, sizeof(bytes)) == 64 &&
		  join_lines(lines, n, &text) == 0 && md && pkey &&
		  EVP_DigestVerifyInit(md, NULL, NULL, NULL, pkey) == 1;

	ok = ok && EVP_DigestVerify(md, bytes, 64, buf_span(&text).ptr, text.len) == 1;
	EVP_PKEY_free(pkey);
	EVP_MD_CTX_free(md);
	buf_finish(&text);
	return ok;
}

bool key_from_text(const char *text, uint8_t out[32])
{
	return text && text_b64url_decode(span_str(text), out, 32) == 32;
}

static void hmac(const uint8_t key[32], const char *first, const char *second, uint8_t out[32])
{
	char text[256];
	int len = snprintf(text, sizeof(text), "%s\n%s", first, second);

	if (len < 0 || (size_t)len >= sizeof(text) ||
	    !HMAC(EVP_sha256(), key, 32, (const uint8_t *)text, (size_t)len, out, NULL))
		abort(); /* callers hand in ids and keys of fixed length */
}

void hubkey_token_secret(const struct hubkey *k, const char *token_id, uint8_t out[32])
{
	hmac(k->seed, "fairlead-token-secret-v1", token_id, out);
}

bool enrol_proof_fits(const uint8_t secret[32], const char *public_key, const char *proof)
{
	uint8_t want[32], given[32];
	bool fits;

	if (!key_from_text(proof, given))
		return false;
	hmac(secret, "fairlead-enrol-v1", public_key, want);
	fits = ct_equal(span_of(want, 32), span_of(given, 32));
	ct_wipe(want, sizeof(want));
	return fits;
}

void secret_make(struct rng *rng, char text[HUBKEY_TEXT_CAP], uint8_t hash[32])
{
	uint8_t bytes[32];

	rng_bytes(rng, bytes, sizeof(bytes));
	text_b64url_encode(span_of(bytes, sizeof(bytes)), text, HUBKEY_TEXT_CAP);
	secret_hash(span_str(text), hash);
	ct_wipe(bytes, sizeof(bytes));
}

void secret_hash(struct span text, uint8_t hash[32])
{
	if (EVP_Digest(text.ptr, text.len, hash, NULL, EVP_sha256(), NULL) != 1)
		abort(); /* only without memory; a wrong hash would be worse */
}

void id_make(struct rng *rng, size_t n, char *out, size_t cap)
{
	char text[TEXT_B64_LEN(16)];
	uint8_t bytes[16];

	rng_bytes(rng, bytes, FL_MIN(n, sizeof(bytes)));
	text_b64url_encode(span_of(bytes, FL_MIN(n, sizeof(bytes))), text, sizeof(text));
	text_copy(out, cap, text);
}
