/* Inside proto/dtls: what an identity holds. */
#pragma once

#include <openssl/ssl.h>

#include "proto/dtls/dtls.h"

struct dtls_identity {
	unsigned refs;
	SSL_CTX *ctx; /* certificate, key, ciphers and curves; read only after creation */
	uint8_t fingerprint[DTLS_FINGERPRINT_LEN];
	char fingerprint_text[DTLS_FINGERPRINT_TEXT_MAX];
};
