#include "proto/rtp/srtp.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <srtp2/srtp.h>

#include "base/ct.h"
#include "base/err.h"

enum {
	REPLAY_WINDOW = 1024, /* packets; NACK brings packets back late */
	RTP_LEN_MIN = 12,
	RTCP_LEN_MIN = 8,
	KEY_AND_SALT_MAX = SRTP_KEYING_MAX / 2,
};

_Static_assert(SRTP_TRAILER_MAX >= 16 + 4, "GCM's tag and SRTCP's index fit the trailer");

struct srtp_session {
	srtp_t outbound, inbound;
};

struct profile {
	enum srtp_protection id;
	srtp_profile_t lib;
	size_t key_len, salt_len;
};

static const struct profile profiles[] = {
	{ SRTP_AES128_CM_SHA1_80, srtp_profile_aes128_cm_sha1_80, 16, 14 },
	{ SRTP_AEAD_AES_128_GCM, srtp_profile_aead_aes_128_gcm, 16, 12 },
};

static const struct profile *find_profile(enum srtp_protection id)
{
	for (size_t i = 0; i < ARRAY_LEN(profiles); i++)
		if (profiles[i].id == id)
			return &profiles[i];
	return NULL;
}

size_t srtp_keying_len(enum srtp_protection profile)
{
	const struct profile *p = find_profile(profile);

	return p ? 2 * (p->key_len + p->salt_len) : 0;
}

/* libsrtp2's tables, set up once in the process whichever thread comes first. */
static int init_library(void)
{
	static _Atomic int state; /* 0: untouched, 1: under way, 2: done, 3: failed */
	int expected = 0;

	if (atomic_compare_exchange_strong(&state, &expected, 1))
		atomic_store(&state, srtp_init() == srtp_err_status_ok ? 2 : 3);
	while ((expected = atomic_load(&state)) == 1)
		;
	return expected == 2 ? 0 : -ENOMEM;
}

/* RFC 5764 §4.2: client key, server key, client salt, server salt. */
static void pick_key(const struct profile *p, struct span keying, bool of_client, uint8_t *out)
{
	const uint8_t *key = keying.ptr + (of_client ? 0 : p->key_len);
	const uint8_t *salt = keying.ptr + 2 * p->key_len + (of_client ? 0 : p->salt_len);

	memcpy(out, key, p->key_len);
	memcpy(out + p->key_len, salt, p->salt_len);
}

static int create_direction(const struct profile *p, struct span keying, bool of_client,
			    srtp_ssrc_type_t which, srtp_t *out)
{
	uint8_t key[KEY_AND_SALT_MAX];
	srtp_policy_t policy = { .ssrc = { .type = which },
				 .key = key,
				 .window_size = REPLAY_WINDOW,
				 .allow_repeat_tx = 1 };
	srtp_err_status_t err;

	pick_key(p, keying, of_client, key);
	err = srtp_crypto_policy_set_from_profile_for_rtp(&policy.rtp, p->lib);
	if (!err)
		err = srtp_crypto_policy_set_from_profile_for_rtcp(&policy.rtcp, p->lib);
	if (!err)
		err = srtp_create(out, &policy);
	ct_wipe(key, sizeof(key));
	if (!err)
		return 0;
	return err == srtp_err_status_alloc_fail ? -ENOMEM : -EINVAL;
}

int srtp_session_create(enum srtp_protection profile, struct span keying, bool dtls_client,
			struct srtp_session **out)
{
	const struct profile *p = find_profile(profile);
	struct srtp_session *s;
	int err;

	*out = NULL;
	if (!p || keying.len != srtp_keying_len(profile))
		return -EINVAL;
	err = init_library();
	if (err < 0)
		return err;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	err = create_direction(p, keying, dtls_client, ssrc_any_outbound, &s->outbound);
	if (err == 0)
		err = create_direction(p, keying, !dtls_client, ssrc_any_inbound, &s->inbound);
	if (err < 0) {
		srtp_session_destroy(s);
		return err;
	}
	*out = s;
	return 0;
}

void srtp_session_destroy(struct srtp_session *s)
{
	if (!s)
		return;
	if (s->outbound)
		srtp_dealloc(s->outbound);
	if (s->inbound)
		srtp_dealloc(s->inbound);
	free(s);
}

static bool has_header(bool rtcp, const uint8_t *packet, size_t len)
{
	return len >= (size_t)(rtcp ? RTCP_LEN_MIN : RTP_LEN_MIN) && len <= UINT16_MAX &&
	       packet[0] >> 6 == 2;
}

/* Not every status: what is left is a packet that the library could not make sense of. */
static int error_of(srtp_err_status_t err)
{
	if (err == srtp_err_status_auth_fail || err == srtp_err_status_replay_fail ||
	    err == srtp_err_status_replay_old)
		return FL_EUNAUTHENTICATED;
	if (err == srtp_err_status_key_expired)
		return FL_EQUOTA;
	return FL_EMALFORMED;
}

int srtp_session_protect(struct srtp_session *s, bool rtcp, uint8_t *packet, size_t len, size_t cap)
{
	srtp_err_status_t err;
	int n = (int)len;

	if (cap < SRTP_TRAILER_MAX || len > cap - SRTP_TRAILER_MAX)
		return -EMSGSIZE;
	if (!has_header(rtcp, packet, len))
		return FL_EMALFORMED;
	err = rtcp ? srtp_protect_rtcp(s->outbound, packet, &n)
		   : srtp_protect(s->outbound, packet, &n);
	return err ? error_of(err) : n;
}

int srtp_session_unprotect(struct srtp_session *s, bool rtcp, uint8_t *packet, size_t len)
{
	srtp_err_status_t err;
	int n = (int)len;

	if (!has_header(rtcp, packet, len))
		return FL_EMALFORMED;
	err = rtcp ? srtp_unprotect_rtcp(s->inbound, packet, &n)
		   : srtp_unprotect(s->inbound, packet, &n);
	return err ? error_of(err) : n;
}

bool srtp_is_rtcp(struct span packet)
{
	return packet.len >= RTCP_LEN_MIN && packet.ptr[1] >= 192 && packet.ptr[1] <= 223;
}
