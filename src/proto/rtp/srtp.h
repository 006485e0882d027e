/*
 * SRTP and SRTCP (RFC 3711; AES-GCM: RFC 7714), keyed by DTLS (RFC 5764), with libsrtp2.
 *
 * One session protects what we send and checks what the other side sends, each direction under its
 * own keys, any number of SSRCs. Packets are changed in place. Replays and forgeries are refused.
 *
 * Retransmitting the very same RTP packet (same sequence number, same bytes) is allowed; sending
 * *other* bytes under a used sequence number would break both ciphers and is the caller's duty to
 * avoid.
 *
 * Impurity: libsrtp2 has process-wide tables which the first session sets up and nobody tears down.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"
#include "base/util.h"

struct srtp_session;

/* Values of IANA's DTLS-SRTP Protection Profiles, as use_srtp carries them (RFC 5764 §4.1.2). */
enum srtp_protection {
	SRTP_AES128_CM_SHA1_80 = 0x0001,
	SRTP_AEAD_AES_128_GCM = 0x0007,
};

#define SRTP_KEYING_MAX 60 /* bytes of exported keying material, at most */
#define SRTP_TRAILER_MAX                                                                           \
	24 /* bytes protection adds at most: GCM's tag and SRTCP's index, rounded */

/* Bytes to export with the label "EXTRACTOR-dtls_srtp" (RFC 5764 §4.2); 0: profile unknown. */
size_t srtp_keying_len(enum srtp_protection profile);

/*
 * keying: client key, server key, client salt, server salt (RFC 5764 §4.2), exactly
 * srtp_keying_len() bytes; copied, the caller wipes its own. dtls_client: our role in the
 * handshake. 0, -EINVAL or -ENOMEM.
 */
int srtp_session_create(enum srtp_protection profile, struct span keying, bool dtls_client,
			struct srtp_session **out) FL_WARN_UNUSED;
void srtp_session_destroy(struct srtp_session *s); /* NULL is fine; keys are wiped */

/* The new length; -EMSGSIZE when cap is under len + SRTP_TRAILER_MAX; FL_EMALFORMED: not a packet;
 * FL_EQUOTA: the key's packet limit is reached. */
int srtp_session_protect(struct srtp_session *s, bool rtcp, uint8_t *packet, size_t len,
			 size_t cap) FL_WARN_UNUSED;

/* The new length; FL_EUNAUTHENTICATED: forged, replayed or too old; FL_EMALFORMED: not a packet. */
int srtp_session_unprotect(struct srtp_session *s, bool rtcp, uint8_t *packet,
			   size_t len) FL_WARN_UNUSED;

/* Tells RTCP from RTP on one port (RFC 5761 §4), protected or not; false when too short. */
bool srtp_is_rtcp(struct span packet);
