#include "proto/stun/stun_hash.h"

#include <openssl/evp.h>
#include <stdatomic.h>

#include "base/ct.h"

#define BLOCK_LEN 64 /* of all three (RFC 2104) */
#define IPAD 0x36
#define OPAD 0x5c

static const struct {
	const char *name;
	size_t len;
} hashes[] = {
	[STUN_HASH_MD5] = { "MD5", 16 },
	[STUN_HASH_SHA1] = { "SHA1", 20 },
	[STUN_HASH_SHA256] = { "SHA256", 32 },
};

/* Filled on first use and kept for the life of the process. */
static _Atomic(EVP_MD *) fetched[ARRAY_LEN(hashes)];

size_t stun_hash_len(enum stun_hash h)
{
	return hashes[h].len;
}

static const EVP_MD *hash_of(enum stun_hash h)
{
	EVP_MD *md = atomic_load_explicit(&fetched[h], memory_order_acquire), *other = NULL;

	if (md)
		return md;
	md = EVP_MD_fetch(NULL, hashes[h].name, NULL);
	if (!md || atomic_compare_exchange_strong(&fetched[h], &other, md))
		return md;
	EVP_MD_free(md); /* another thread was first */
	return other;
}

static bool update_all(EVP_MD_CTX *ctx, const struct span *parts, size_t n_parts)
{
	bool ok = true;

	for (size_t i = 0; i < n_parts && ok; i++)
		ok = parts[i].len == 0 || EVP_DigestUpdate(ctx, parts[i].ptr, parts[i].len);
	return ok;
}

static bool digest_in(EVP_MD_CTX *ctx, enum stun_hash h, const struct span *parts, size_t n_parts,
		      uint8_t *out)
{
	const EVP_MD *md = hash_of(h);

	return ctx && md && EVP_DigestInit_ex(ctx, md, NULL) && update_all(ctx, parts, n_parts) &&
	       EVP_DigestFinal_ex(ctx, out, NULL);
}

bool stun_digest(enum stun_hash h, const struct span *parts, size_t n_parts,
		 uint8_t out[STUN_HASH_MAX])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool ok = digest_in(ctx, h, parts, n_parts, out);

	EVP_MD_CTX_free(ctx);
	return ok;
}

/* One of the two passes of RFC 2104: over the key with its padding, then the parts. */
static bool pass(EVP_MD_CTX *ctx, enum stun_hash h, const uint8_t key[BLOCK_LEN], uint8_t pad,
		 const struct span *parts, size_t n_parts, uint8_t *out)
{
	uint8_t block[BLOCK_LEN];
	struct span first = span_of(block, sizeof(block));
	const EVP_MD *md = hash_of(h);
	bool ok;

	for (size_t i = 0; i < sizeof(block); i++)
		block[i] = key[i] ^ pad;
	ok = md && EVP_DigestInit_ex(ctx, md, NULL) && update_all(ctx, &first, 1) &&
	     update_all(ctx, parts, n_parts) && EVP_DigestFinal_ex(ctx, out, NULL);
	ct_wipe(block, sizeof(block));
	return ok;
}

bool stun_hmac(enum stun_hash h, struct span key, const struct span *parts, size_t n_parts,
	       uint8_t out[STUN_HASH_MAX])
{
	uint8_t block[BLOCK_LEN] = { 0 }, inner[STUN_HASH_MAX];
	struct span inner_span = span_of(inner, stun_hash_len(h));
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool ok = ctx != NULL;

	if (key.len > sizeof(block))
		ok = digest_in(ctx, h, &key, 1, block);
	else if (key.len > 0)
		memcpy(block, key.ptr, key.len);
	ok = ok && pass(ctx, h, block, IPAD, parts, n_parts, inner) &&
	     pass(ctx, h, block, OPAD, &inner_span, 1, out);
	EVP_MD_CTX_free(ctx);
	ct_wipe(block, sizeof(block));
	return ok;
}
