/*
 * TLS contexts (OpenSSL): certificate and key for a server, trust for a client. TLS 1.2 and 1.3
 * only. Reference counted, because a reload replaces a context while streams still use the old one.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/span.h"
#include "base/util.h"

struct tls_context;
struct tls_session; /* one connection's; belongs to its stream */

/* alpn: NULL-terminated list of protocols in order of preference, or NULL. why gets a sentence. */
int tls_server_create(const char *cert_file, const char *key_file, const char *const *alpn,
		      struct tls_context **out, char why[256]) FL_WARN_UNUSED;

enum tls_verify {
	TLS_VERIFY_FULL,   /* system store plus ca_file */
	TLS_VERIFY_NONE,   /* the caller checks tls_session_peer_key() or authenticates inside */
	TLS_VERIFY_IGNORE, /* the same, and nobody asks for the verification's result either: the
			      system store, whose parsing may take 40 ms, is not read */
};
int tls_client_create(const char *ca_file, enum tls_verify verify, const char *const *alpn,
		      struct tls_context **out, char why[256]) FL_WARN_UNUSED;

/* Unix time at which the first certificate of a PEM file ends. 0 or FL_ETLS. */
int tls_certificate_until(const char *cert_file, int64_t *unix_s) FL_WARN_UNUSED;

/* SHA-256 of the SubjectPublicKeyInfo of a server's own certificate; false when there is none. */
bool tls_context_key(const struct tls_context *c, uint8_t spki[32]);

struct tls_context *tls_context_ref(struct tls_context *c);
void tls_context_unref(struct tls_context *c); /* NULL is fine */

/* SHA-256 of the peer certificate's DER and of its SubjectPublicKeyInfo; false when there is none.
 */
bool tls_session_peer_fingerprint(const struct tls_session *s, uint8_t cert[32], uint8_t spki[32]);
/* Issuer's common name or organisation as text; "" when unknown. Hostile text. */
void tls_session_issuer(const struct tls_session *s, char *dst, size_t cap);
/* X509_V_OK (0) or the verification error and its text, also with TLS_VERIFY_NONE; means nothing
 * with TLS_VERIFY_IGNORE. */
long tls_session_verify_result(const struct tls_session *s, const char **text);
const char *tls_session_alpn(const struct tls_session *s); /* "" when none */
const char *tls_session_version(const struct tls_session *s);

/*
 * Below: for stream.c. A session works on a non-blocking descriptor that stays the stream's.
 * The calls return 0 or a count, -EAGAIN (then tls_session_wants_write() tells for what),
 * FL_ECLOSED for a close_notify, or FL_ETLS.
 */
/* What moves the bytes instead of the descriptor. A count; -EAGAIN: when the descriptor is readable
 * (writable) again; FL_ECLOSED; another negative error. */
struct tls_below {
	ssize_t (*read)(void *arg, void *dst, size_t cap);
	ssize_t (*write)(void *arg, const void *src, size_t len);
	void *arg;
};
/* below: NULL, or what carries the records; copied, arg outlives the session. */
int tls_session_create(struct tls_context *c, int fd, const struct tls_below *below,
		       const char *server_name, struct tls_session **out) FL_WARN_UNUSED;
void tls_session_destroy(struct tls_session *s);  /* NULL is fine */
void tls_session_shutdown(struct tls_session *s); /* sends close_notify when it still can */
/* close_notify for our direction only: what the other side still says can be read. */
void tls_session_end(struct tls_session *s);
int tls_session_handshake(struct tls_session *s) FL_WARN_UNUSED;
int tls_session_read(struct tls_session *s, void *dst, size_t cap) FL_WARN_UNUSED;
int tls_session_write(struct tls_session *s, const void *src, size_t len) FL_WARN_UNUSED;
bool tls_session_wants_write(const struct tls_session *s);
bool tls_session_pending(const struct tls_session *s);	    /* decrypted bytes wait inside */
const char *tls_session_error(const struct tls_session *s); /* NULL: none */
