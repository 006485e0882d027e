#include "hublink/sign.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

#include "base/buf.h"
#include "base/ct.h"
#include "base/err.h"
#include "base/rng.h"

#define SIGNED_MAX 4096 /* bytes of joined lines */

struct sign_key {
	EVP_PKEY *pkey;
	uint8_t seed[SIGN_SEED_LEN];
	char public_key[SIGN_KEY_TEXT];
};

int sign_key_create(const uint8_t seed[SIGN_SEED_LEN], struct sign_key **out)
{
	struct sign_key *k = calloc(1, sizeof(*k));
	uint8_t raw[32];
	size_t len = sizeof(raw);

	if (!k)
		return -ENOMEM;
	if (seed)
		memcpy(k->seed, seed, sizeof(k->seed));
	else
		rng_bytes(rng_system(), k->seed, sizeof(k->seed));
	k->pkey = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, k->seed, sizeof(k->seed));
	if (!k->pkey || EVP_PKEY_get_raw_public_key(k->pkey, raw, &len) != 1) {
		sign_key_destroy(k);
		return FL_ETLS;
	}
	text_b64url_encode(span_of(raw, len), k->public_key, sizeof(k->public_key));
	*out = k;
	return 0;
}

void sign_key_destroy(struct sign_key *k)
{
	if (!k)
		return;
	EVP_PKEY_free(k->pkey);
	ct_wipe(k, sizeof(*k));
	free(k);
}

const char *sign_key_public(const struct sign_key *k)
{
	return k->public_key;
}

void sign_key_seed(const struct sign_key *k, uint8_t seed[SIGN_SEED_LEN])
{
	memcpy(seed, k->seed, SIGN_SEED_LEN);
}

static int join(const char *const *lines, size_t n, struct buf *out)
{
	int err = 0;

	for (size_t i = 0; err == 0 && i < n; i++)
		err = buf_printf(out, "%s%s", i ? "\n" : "", lines[i]);
	return err;
}

int sign_lines(const struct sign_key *k, const char *const *lines, size_t n,
	       char out[SIGN_SIGNATURE_TEXT])
{
	struct buf data = BUF_INIT(SIGNED_MAX);
	uint8_t raw[64];
	size_t len = sizeof(raw);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();

	int err = ctx ? join(lines, n, &data) : -ENOMEM;
	struct span s = buf_span(&data);
	if (err == 0 && (EVP_DigestSignInit(ctx, NULL, NULL, NULL, k->pkey) != 1 ||
			 EVP_DigestSign(ctx, raw, &len, s.ptr, s.len) != 1))
		err = FL_ETLS;
	if (err == 0)
		text_b64url_encode(span_of(raw, len), out, SIGN_SIGNATURE_TEXT);
	EVP_MD_CTX_free(ctx);
	buf_finish(&data);
	return err;
}

bool sign_check(const char *public_key, struct span data, const char *signature)
{
	uint8_t key[32], raw[64];

	if (text_b64url_decode(span_str(public_key), key, sizeof(key)) != sizeof(key) ||
	    text_b64url_decode(span_str(signature), raw, sizeof(raw)) != sizeof(raw))
		return false;
	EVP_PKEY *pkey = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, key, sizeof(key));
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool good = pkey && ctx && EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, pkey) == 1 &&
		    EVP_DigestVerify(ctx, raw, sizeof(raw), data.ptr, data.len) == 1;
	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(pkey);
	return good;
}

bool sign_check_lines(const char *public_key, const char *const *lines, size_t n,
		      const char *signature)
{
	struct buf data = BUF_INIT(SIGNED_MAX);
	bool good = join(lines, n, &data) == 0 &&
		    sign_check(public_key, buf_span(&data), signature);

	buf_finish(&data);
	return good;
}

bool sign_fingerprint(const char *text, char out[SIGN_FINGERPRINT_TEXT])
{
	size_t i;

	if (text_equal_nocase(span_of(text, FL_MIN(strlen(text), (size_t)8)), span_str("sha-256 ")))
		text += 8;
	for (i = 0; i < 95; i++) {
		char c = text[i];
		if (c >= 'a' && c <= 'f')
			c = (char)(c - 'a' + 'A');
		bool hex = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'F');
		if (i % 3 == 2 ? c != ':' : !hex)
			return false;
		out[i] = c;
	}
	out[i] = 0;
	return text[i] == 0;
}

int enrol_token_parse(const char *text, struct enrol_token *out)
{
	struct enrol_token t = { 0 };
	uint8_t bytes[32];
	struct span part[4];
	const char *s = text;

	for (int i = 0; i < 4; i++) {
		size_t len = strcspn(s, ".");
		part[i] = span_of(s, len);
		s += len;
		if (*s != (i < 3 ? '.' : 0))
			return FL_EMALFORMED;
		s++;
	}
	if (!span_is(part[0], "fl1") || text_b64url_decode(part[1], bytes, sizeof(bytes)) != 9 ||
	    text_b64url_decode(part[2], t.secret, sizeof(t.secret)) != 32 ||
	    text_b64url_decode(part[3], bytes, sizeof(bytes)) != 32 ||
	    !text_copy_span(t.id, sizeof(t.id), part[1]) ||
	    !text_copy_span(t.hub, sizeof(t.hub), part[3]))
		return FL_EMALFORMED;
	*out = t;
	ct_wipe(&t, sizeof(t));
	return 0;
}

int enrol_token_proof(const struct enrol_token *t, const char *public_key, char out[SIGN_KEY_TEXT])
{
	static const char *const label = "fairlead-enrol-v1";
	const char *lines[] = { label, public_key };
	struct buf data = BUF_INIT(SIGNED_MAX);
	uint8_t mac[32];
	unsigned len = sizeof(mac);

	int err = join(lines, ARRAY_LEN(lines), &data);
	struct span s = buf_span(&data);
	if (err == 0 && !HMAC(EVP_sha256(), t->secret, sizeof(t->secret), s.ptr, s.len, mac, &len))
		err = FL_ETLS;
	if (err == 0)
		text_b64url_encode(span_of(mac, len), out, SIGN_KEY_TEXT);
	buf_finish(&data);
	return err;
}

bool enrol_token_names(const struct enrol_token *t, const char *hub_key)
{
	uint8_t key[32], hash[32];
	char text[SIGN_KEY_TEXT];

	if (text_b64url_decode(span_str(hub_key), key, sizeof(key)) != sizeof(key))
		return false;
	SHA256(key, sizeof(key), hash);
	text_b64url_encode(span_of(hash, sizeof(hash)), text, sizeof(text));
	return ct_equal(span_str(text), span_str(t->hub));
}
