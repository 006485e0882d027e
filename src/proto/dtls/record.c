#include "proto/dtls/record.h"

#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>

#include "base/ct.h"
#include "base/err.h"

#define VERSION_DTLS_1_2 0xfefd
#define EPOCH 1
#define KEY_LEN 16
#define SALT_LEN 4

/* RFC 5246 §6.3: key_block = PRF(master_secret, "key expansion" + server_random + client_random) */
static int key_block(SSL *ssl, uint8_t *out, size_t len)
{
	uint8_t master[48], seed[13 + 32 + 32] = "key expansion";
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, "TLS1-PRF", NULL);
	EVP_KDF_CTX *ctx = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
	OSSL_PARAM params[4];
	int ok = 0;

	if (ctx && SSL_get_server_random(ssl, seed + 13, 32) == 32 &&
	    SSL_get_client_random(ssl, seed + 45, 32) == 32 &&
	    SSL_SESSION_get_master_key(SSL_get_session(ssl), master, sizeof(master)) ==
		    sizeof(master)) {
		params[0] = OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST,
							     (char[]){ "SHA256" }, 0);
		params[1] = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SECRET, master,
							      sizeof(master));
		params[2] = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SEED, seed,
							      sizeof(seed));
		params[3] = OSSL_PARAM_construct_end();
		ok = EVP_KDF_derive(ctx, out, len, params);
	}
	ct_wipe(master, sizeof(master));
	EVP_KDF_CTX_free(ctx);
	EVP_KDF_free(kdf);
	return ok == 1 ? 0 : FL_ETLS;
}

int record_init(struct record_layer *r, SSL *ssl, bool client)
{
	uint8_t block[2 * KEY_LEN +
		      2 * SALT_LEN]; /* client key, server key, client and server IV */
	size_t mine = client ? 0 : 1, theirs = client ? 1 : 0;
	int err = key_block(ssl, block, sizeof(block));

	if (err < 0)
		return err;
	*r = (struct record_layer){ .next_seq = RECORD_FIRST_SEQ };
	memcpy(r->seal_salt, block + 2 * KEY_LEN + mine * SALT_LEN, SALT_LEN);
	memcpy(r->open_salt, block + 2 * KEY_LEN + theirs * SALT_LEN, SALT_LEN);
	r->seal = EVP_CIPHER_CTX_new();
	r->open = EVP_CIPHER_CTX_new();
	if (!r->seal || !r->open)
		err = -ENOMEM;
	else if (EVP_EncryptInit_ex(r->seal, EVP_aes_128_gcm(), NULL, block + mine * KEY_LEN,
				    NULL) != 1 ||
		 EVP_DecryptInit_ex(r->open, EVP_aes_128_gcm(), NULL, block + theirs * KEY_LEN,
				    NULL) != 1)
		err = FL_ETLS;
	ct_wipe(block, sizeof(block));
	if (err < 0)
		record_finish(r);
	return err;
}

void record_finish(struct record_layer *r)
{
	EVP_CIPHER_CTX_free(r->seal); /* wipes the key */
	EVP_CIPHER_CTX_free(r->open);
	*r = (struct record_layer){ 0 };
}

/* RFC 5246 §6.2.3.3: sequence (with the epoch), type, version, length of the plaintext */
static void put_aad(uint8_t aad[13], uint64_t seq, uint8_t type, uint16_t version, size_t len)
{
	struct writer w = writer_of(aad, 13);

	writer_u64(&w, seq);
	writer_u8(&w, type);
	writer_u16(&w, version);
	writer_u16(&w, (uint16_t)len);
}

static void put_nonce(uint8_t iv[12], const uint8_t salt[SALT_LEN], struct span explicit)
{
	struct writer w = writer_of(iv, 12);

	writer_bytes(&w, salt, SALT_LEN);
	writer_span_put(&w, explicit);
}

int record_seal(struct record_layer *r, enum record_type type, struct span plain, struct writer *w)
{
	uint64_t seq = (uint64_t)EPOCH << 48 | r->next_seq;
	uint8_t aad[13], iv[12], *body, *tag;
	int n = 0, end = 0;
	size_t at;

	writer_u8(w, (uint8_t)type);
	writer_u16(w, VERSION_DTLS_1_2);
	writer_u64(w, seq);
	writer_u16(w, (uint16_t)(RECORD_NONCE_LEN + plain.len + RECORD_TAG_LEN));
	at = writer_len(w);
	writer_u64(w, seq);
	body = writer_claim(w, plain.len);
	tag = writer_claim(w, RECORD_TAG_LEN);
	if (writer_failed(w))
		return FL_EQUOTA;
	put_aad(aad, seq, (uint8_t)type, VERSION_DTLS_1_2, plain.len);
	put_nonce(iv, r->seal_salt, span_of(w->start + at, RECORD_NONCE_LEN));
	if (EVP_EncryptInit_ex(r->seal, NULL, NULL, NULL, iv) != 1 ||
	    EVP_EncryptUpdate(r->seal, NULL, &n, aad, sizeof(aad)) != 1 ||
	    EVP_EncryptUpdate(r->seal, body, &n, plain.ptr, (int)plain.len) != 1 ||
	    EVP_EncryptFinal_ex(r->seal, body + n, &end) != 1 ||
	    EVP_CIPHER_CTX_ctrl(r->seal, EVP_CTRL_AEAD_GET_TAG, RECORD_TAG_LEN, tag) != 1)
		return FL_ETLS;
	r->next_seq++;
	return 0;
}

/* RFC 6347 §4.1.2.6 */
static bool replayed(const struct record_layer *r, uint64_t seq)
{
	if (!r->any || seq > r->highest)
		return false;
	return r->highest - seq >= 64 || (r->window >> (r->highest - seq) & 1);
}

static void accept_seq(struct record_layer *r, uint64_t seq)
{
	if (!r->any || seq > r->highest) {
		uint64_t shift = r->any ? seq - r->highest : 64;

		r->window = shift >= 64 ? 1 : r->window << shift | 1;
		r->highest = seq;
		r->any = true;
	} else {
		r->window |= (uint64_t)1 << (r->highest - seq);
	}
}

int record_open(struct record_layer *r, struct span record, uint8_t *dst, size_t cap)
{
	struct reader in = reader_of(record);
	uint8_t type = reader_u8(&in);
	uint16_t version = reader_u16(&in);
	uint64_t seq = reader_u64(&in);
	uint16_t len = reader_u16(&in);
	struct span explicit = reader_bytes(&in, RECORD_NONCE_LEN), body, tag;
	uint8_t aad[13], iv[12];
	int n = 0, end = 0;

	if (len < RECORD_NONCE_LEN + RECORD_TAG_LEN)
		return FL_EMALFORMED;
	body = reader_bytes(&in, (size_t)len - RECORD_NONCE_LEN - RECORD_TAG_LEN);
	tag = reader_bytes(&in, RECORD_TAG_LEN);
	if (!reader_done(&in) || body.len > cap || version != VERSION_DTLS_1_2 ||
	    seq >> 48 != EPOCH)
		return FL_EMALFORMED;
	if (replayed(r, seq))
		return -EALREADY;
	put_aad(aad, seq, type, version, body.len);
	put_nonce(iv, r->open_salt, explicit);
	if (EVP_DecryptInit_ex(r->open, NULL, NULL, NULL, iv) != 1 ||
	    EVP_DecryptUpdate(r->open, NULL, &n, aad, sizeof(aad)) != 1 ||
	    EVP_DecryptUpdate(r->open, dst, &n, body.ptr, (int)body.len) != 1 ||
	    EVP_CIPHER_CTX_ctrl(r->open, EVP_CTRL_AEAD_SET_TAG, RECORD_TAG_LEN, (void *)tag.ptr) !=
		    1 ||
	    EVP_DecryptFinal_ex(r->open, dst + n, &end) != 1)
		return FL_EUNAUTHENTICATED;
	accept_seq(r, seq);
	return (int)body.len;
}
