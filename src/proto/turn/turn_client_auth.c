#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/ct.h"
#include "base/err.h"
#include "base/text.h"
#include "proto/turn/turn_auth.h"
#include "proto/turn/turn_client_internal.h"

#define ALGORITHM_MD5 1 /* RFC 8489 §18.5.1 */
#define ALGORITHM_SHA256 2
#define SHA256_LEN 32

/* The nonce cookie and its security features (§9.2, §18.1; bit 0 is the rightmost: erratum 6290).
 */
#define COOKIE "obMatJos2"
#define COOKIE_LEN 13
#define FEATURE_PASSWORD_ALGORITHMS 0x01 /* of the last of three bytes */
#define FEATURE_USERNAME_ANONYMITY 0x02

static bool derive(struct credentials *k)
{
	struct span parts[] = { span_str(k->username), span_str(":"), span_str(k->realm) };

	k->key_len = turn_auth_key(k->username, k->realm, k->password, k->sha256, k->key);
	return k->key_len > 0 &&
	       stun_digest(STUN_HASH_SHA256, parts, ARRAY_LEN(parts), k->userhash);
}

int credentials_change(struct credentials *k, const char *username, const char *password)
{
	char *u, *p;

	if (strlen(username) > STUN_USERNAME_MAX)
		return FL_EMALFORMED;
	u = strdup(username);
	p = strdup(password);
	if (!u || !p) {
		free(u);
		ct_wipe_strp(&p);
		return -ENOMEM;
	}
	free(k->username);
	ct_wipe_strp(&k->password);
	k->username = u;
	k->password = p;
	k->serial++;
	memcpy(k->old_key, k->key, sizeof(k->old_key));
	k->old_key_len = k->challenged ? k->key_len : 0;
	if (k->challenged && !derive(k))
		k->challenged = false; /* the next request is challenged again */
	return 0;
}

int credentials_init(struct credentials *k, const char *username, const char *password)
{
	*k = (struct credentials){ 0 };
	return credentials_change(k, username, password);
}

void credentials_finish(struct credentials *k)
{
	free(k->username);
	ct_wipe_strp(&k->password);
	ct_wipe(k, sizeof(*k));
}

void credentials_put(const struct credentials *k, struct stun_out *o)
{
	struct span key = span_of(k->key, k->key_len);

	if (k->anonymous)
		stun_put(o, STUN_USERHASH, span_of(k->userhash, SHA256_LEN));
	else
		stun_put(o, STUN_USERNAME, span_str(k->username));
	stun_put(o, STUN_REALM, span_str(k->realm));
	stun_put(o, STUN_NONCE, span_of(k->nonce, k->nonce_len));
	if (k->algorithms_len == 0) {
		stun_put_integrity(o, key);
		return;
	}
	stun_put(o, STUN_PASSWORD_ALGORITHMS, span_of(k->algorithms, k->algorithms_len));
	stun_put_u32(o, STUN_PASSWORD_ALGORITHM,
		     (uint32_t)(k->sha256 ? ALGORITHM_SHA256 : ALGORITHM_MD5) << 16);
	stun_put_integrity_sha256(o, key, SHA256_LEN);
}

static bool proves(const struct credentials *k, struct span key, const struct stun_msg *m)
{
	if (key.len == 0)
		return false;
	if (k->algorithms_len > 0)
		return stun_check_integrity_sha256(m, key, SHA256_LEN) == 0;
	return stun_check_integrity(m, key) == 0;
}

bool credentials_prove(const struct credentials *k, const struct stun_msg *m)
{
	return k->challenged && (proves(k, span_of(k->key, k->key_len), m) ||
				 proves(k, span_of(k->old_key, k->old_key_len), m));
}

/* The last byte of the features that the nonce tells, 0 when it is no such nonce. */
static uint8_t nonce_features(struct span nonce)
{
	struct reader r = reader_of(nonce);
	uint8_t features[3] = { 0 };

	if (!span_is(reader_bytes(&r, sizeof(COOKIE) - 1), COOKIE) ||
	    text_b64_decode(reader_bytes(&r, COOKIE_LEN - (sizeof(COOKIE) - 1)), features,
			    sizeof(features)) != (int)sizeof(features))
		return 0;
	return features[2];
}

/* The first algorithm of the list that we know (§9.2.5). False: none, or no list. */
static bool choose_algorithm(struct span list, bool *sha256)
{
	struct reader r = reader_of(list);

	while (reader_left(&r) > 0) {
		uint16_t number = reader_u16(&r), len = reader_u16(&r);

		reader_skip(&r, (len + 3u) & ~3u);
		if (reader_failed(&r))
			return false;
		*sha256 = number == ALGORITHM_SHA256;
		if (number == ALGORITHM_SHA256 || number == ALGORITHM_MD5)
			return true;
	}
	return false;
}

/*
 * §9.2.5: a nonce that promises PASSWORD-ALGORITHMS without that attribute beside it is somebody
 * else's doing, who wants us to use the weaker digest. Such an answer counts for nothing.
 */
enum challenge credentials_challenge(struct credentials *k, const struct stun_msg *m)
{
	struct span realm, nonce, list = { 0 };
	bool has_list = stun_get(m, STUN_PASSWORD_ALGORITHMS, &list), same, sha256 = false;
	uint8_t features;

	if (!stun_get(m, STUN_REALM, &realm) || realm.len > TURN_CLIENT_REALM_MAX ||
	    !stun_get(m, STUN_NONCE, &nonce) || nonce.len == 0 ||
	    nonce.len > TURN_CLIENT_NONCE_MAX || list.len > ALGORITHMS_MAX ||
	    (realm.len > 0 && memchr(realm.ptr, 0, realm.len)))
		return CHALLENGE_BAD;
	features = nonce_features(nonce);
	if (has_list ? !choose_algorithm(list, &sha256)
		     : (features & FEATURE_PASSWORD_ALGORITHMS) != 0)
		return CHALLENGE_BAD;
	same = k->challenged && span_is(realm, k->realm);
	k->algorithms_len = has_list ? list.len : 0;
	if (has_list)
		memcpy(k->algorithms, list.ptr, list.len);
	memcpy(k->nonce, nonce.ptr, nonce.len);
	k->nonce_len = nonce.len;
	k->anonymous = features & FEATURE_USERNAME_ANONYMITY;
	if (!same || sha256 != k->sha256) {
		text_copy_span(k->realm, sizeof(k->realm), realm);
		k->sha256 = sha256;
		k->old_key_len = 0;
		k->challenged = derive(k);
		if (!k->challenged)
			return CHALLENGE_BAD;
	}
	return same ? CHALLENGE_SAME_REALM : CHALLENGE_NEW_REALM;
}
