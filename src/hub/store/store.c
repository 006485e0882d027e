#include "hub/store/store.h"

#include <openssl/evp.h>

#include "base/wire.h"

static void add_number(EVP_MD_CTX *md, uint64_t v)
{
	uint8_t bytes[8];
	struct writer w = writer_of(bytes, sizeof(bytes));

	writer_u64(&w, v);
	EVP_DigestUpdate(md, bytes, sizeof(bytes));
}

static void add_text(EVP_MD_CTX *md, const char *text)
{
	add_number(md, strlen(text));
	EVP_DigestUpdate(md, text, strlen(text));
}

void store_audit_hash(const uint8_t before[STORE_HASH_LEN], const struct store_audit *row,
		      uint8_t out[STORE_HASH_LEN])
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();

	/* without a digest there is no chain to keep: better to stop than to write a gap */
	if (!md || EVP_DigestInit_ex(md, EVP_sha256(), NULL) != 1)
		abort();
	EVP_DigestUpdate(md, before, STORE_HASH_LEN);
	add_number(md, (uint64_t)row->id);
	add_number(md, (uint64_t)row->at);
	add_text(md, row->actor);
	add_text(md, row->action);
	add_text(md, row->target);
	add_text(md, row->detail);
	if (EVP_DigestFinal_ex(md, out, NULL) != 1)
		abort();
	EVP_MD_CTX_free(md);
}
