#include "proto/turn/turn_auth.h"

#include <errno.h>
#include <stdlib.h>

#include "base/ct.h"
#include "base/err.h"
#include "base/siphash.h"
#include "base/text.h"
#include "base/wire.h"
#include "proto/stun/stun_hash.h"

#define ALGORITHM_MD5 1 /* RFC 8489 §18.5.1 */
#define ALGORITHM_SHA256 2
#define ALGORITHM_LEN 4 /* number and length of parameters, which neither has */
#define MD5_LEN 16
#define SHA1_LEN 20
#define SHA256_LEN 32
#define EXPIRY_DIGITS_MAX 18 /* fits an int64_t */

/* Security features (§18.1). Bit 0 is the rightmost of the 24 (erratum 6290, and the nonce of the
 * vector in §B.1); the RFC's own text has it leftmost. */
#define FEATURE_PASSWORD_ALGORITHMS 0x000001
#define FEATURE_USERNAME_ANONYMITY 0x000002

/*
 * The cookie's 13 characters, then 15 of base64url that carry two bytes of time,
 * two of port and seven of MAC: with 28 in all the attribute needs no padding. Of the time its end
 * suffices, as nonces do not live for 65536 s; the MAC is over the whole of it. 56 bits of a MAC
 * with a 128-bit key: a forger needs some 2^55 requests for one address, and gains no more than to
 * be taken for reachable.
 */
#define COOKIE "obMatJos2"
#define COOKIE_LEN 13
#define NONCE_TAIL_LEN (2 + 2 + 7)
#define TAIL_TEXT_LEN 15
#define NONCE_LEN (COOKIE_LEN + TAIL_TEXT_LEN)
#define NONCE_ROOM (COOKIE_LEN + TEXT_B64_LEN(NONCE_TAIL_LEN))
#define NONCE_EARLY_S 10 /* another worker's clock, or one set back a little */

/* What is offered, the better first. */
static const uint8_t algorithms[2 * ALGORITHM_LEN] = { 0, ALGORITHM_SHA256, 0, 0,
						       0, ALGORITHM_MD5,    0, 0 };

struct user {
	char name[TURN_AUTH_USER_MAX + 1]; /* the rest is 0 */
	uint8_t hash[SHA256_LEN];	   /* USERHASH (§14.4) */
	uint8_t md5[MD5_LEN], sha256[SHA256_LEN];
};

struct index {
	uint64_t key;
	size_t user;
};

struct turn_auth {
	char realm[TURN_AUTH_REALM_MAX + 1];
	char *secrets[TURN_AUTH_SECRETS_MAX];
	size_t n_secrets;
	uint8_t nonce_key[TURN_AUTH_NONCE_KEY_LEN];
	unsigned nonce_s;
	char cookie[COOKIE_LEN + 1];
	/* users[n_users] is nobody: a record for unknown names, with a key that nobody has. */
	struct user *users;
	size_t n_users;
	struct index *by_name, *by_hash; /* sorted by key; n_users each */
};

/* What a request says about who sends it. */
struct claim {
	bool has_name, has_hash, has_realm, has_nonce, has_integrity;
	struct span name, hash, realm, nonce;
	enum stun_hash algorithm; /* of the key: MD5 or SHA-256 */
	bool algorithm_named;	  /* PASSWORD-ALGORITHM or PASSWORD-ALGORITHMS is there */
};

/* "user:realm:password" (§18.5.1); out gets the hash's length. */
static bool make_key(enum stun_hash h, struct span user, const char *realm, const char *password,
		     uint8_t *out)
{
	struct span colon = span_str(":");
	struct span parts[] = { user, colon, span_str(realm), colon, span_str(password) };

	return stun_digest(h, parts, ARRAY_LEN(parts), out);
}

static bool make_password(const char *secret, struct span user, char out[TURN_AUTH_PASSWORD_LEN])
{
	uint8_t mac[STUN_HASH_MAX];
	bool ok = stun_hmac(STUN_HASH_SHA1, span_str(secret), &user, 1, mac);

	memset(out, 0, TURN_AUTH_PASSWORD_LEN);
	if (ok)
		text_b64_encode(span_of(mac, SHA1_LEN), out, TURN_AUTH_PASSWORD_LEN);
	ct_wipe(mac, sizeof(mac));
	return ok;
}

void turn_auth_password(const char *secret, const char *user, char out[TURN_AUTH_PASSWORD_LEN])
{
	(void)make_password(secret, span_str(user), out);
}

size_t turn_auth_key(const char *user, const char *realm, const char *password, bool sha256,
		     uint8_t key[SHA256_LEN])
{
	enum stun_hash h = sha256 ? STUN_HASH_SHA256 : STUN_HASH_MD5;

	return make_key(h, span_str(user), realm, password, key) ? stun_hash_len(h) : 0;
}

/* ---- setting up ---- */

static bool length_fits(const char *s, size_t max)
{
	size_t len = s ? strnlen(s, max + 1) : 0;

	return len > 0 && len <= max;
}

static uint64_t index_key(const struct turn_auth *a, struct span s)
{
	return siphash24(a->nonce_key, s);
}

static int index_order(const void *a, const void *b)
{
	const struct index *x = a, *y = b;

	return (x->key > y->key) - (x->key < y->key);
}

static int index_sort(struct index *index, size_t n)
{
	qsort(index, n, sizeof(*index), index_order);
	for (size_t i = 1; i < n; i++)
		if (index[i].key == index[i - 1].key)
			return FL_EMALFORMED;
	return 0;
}

static int user_init(const struct turn_auth *a, struct user *u, const struct turn_auth_user *from)
{
	struct span name = span_str(from->name);
	struct span parts[] = { name, span_str(":"), span_str(a->realm) };

	memcpy(u->name, name.ptr, name.len);
	if (!stun_digest(STUN_HASH_SHA256, parts, ARRAY_LEN(parts), u->hash) ||
	    !make_key(STUN_HASH_SHA256, name, a->realm, from->password, u->sha256) ||
	    !make_key(STUN_HASH_MD5, name, a->realm, from->password, u->md5))
		return -ENOMEM;
	return 0;
}

/* Nobody's key comes from the nonce key, so nobody has it. */
static int nobody_init(const struct turn_auth *a, struct user *u)
{
	struct span text = span_str("nobody");

	if (!stun_hmac(STUN_HASH_SHA256, span_of(a->nonce_key, sizeof(a->nonce_key)), &text, 1,
		       u->sha256))
		return -ENOMEM;
	memcpy(u->md5, u->sha256, MD5_LEN);
	return 0;
}

static int users_init(struct turn_auth *a, const struct turn_auth_config *config)
{
	size_t n = config->n_users;
	int err;

	a->users = calloc(n + 1, sizeof(*a->users));
	a->by_name = calloc(n + 1, sizeof(*a->by_name));
	a->by_hash = calloc(n + 1, sizeof(*a->by_hash));
	if (!a->users || !a->by_name || !a->by_hash)
		return -ENOMEM;
	a->n_users = n;
	err = nobody_init(a, &a->users[n]);
	for (size_t i = 0; i < n && err == 0; i++) {
		struct user *u = &a->users[i];

		if (!length_fits(config->users[i].name, TURN_AUTH_USER_MAX))
			return FL_EMALFORMED;
		err = user_init(a, u, &config->users[i]);
		a->by_name[i] = (struct index){ index_key(a, span_str(u->name)), i };
		a->by_hash[i] = (struct index){ index_key(a, span_of(u->hash, SHA256_LEN)), i };
	}
	err = err == 0 ? index_sort(a->by_name, n) : err;
	return err == 0 ? index_sort(a->by_hash, n) : err;
}

static int secrets_init(struct turn_auth *a, const struct turn_auth_config *config)
{
	for (size_t i = 0; i < TURN_AUTH_SECRETS_MAX; i++) {
		if (!config->secrets[i])
			continue;
		if (!length_fits(config->secrets[i], TURN_AUTH_SECRET_MAX))
			return FL_EMALFORMED;
		a->secrets[a->n_secrets] = strdup(config->secrets[i]);
		if (!a->secrets[a->n_secrets])
			return -ENOMEM;
		a->n_secrets++;
	}
	return 0;
}

/*
 * A client that sees the bit for anonymous names must send USERHASH and nothing else (§9.2.5), and
 * the name of a time-limited user cannot be found from that.
 */
static void cookie_init(struct turn_auth *a)
{
	uint8_t features[3];
	struct writer w = writer_of(features, sizeof(features));

	writer_u24(&w, FEATURE_PASSWORD_ALGORITHMS |
			       (a->n_secrets == 0 ? FEATURE_USERNAME_ANONYMITY : 0));
	memcpy(a->cookie, COOKIE, sizeof(COOKIE) - 1);
	text_b64_encode(writer_span(&w), a->cookie + sizeof(COOKIE) - 1,
			sizeof(a->cookie) - (sizeof(COOKIE) - 1));
}

int turn_auth_create(const struct turn_auth_config *config, struct turn_auth **out)
{
	struct turn_auth *a;
	int err;

	*out = NULL;
	if (!length_fits(config->realm, TURN_AUTH_REALM_MAX) || config->nonce_s > TURN_AUTH_NONCE_S)
		return FL_EMALFORMED;
	if (config->n_users > TURN_AUTH_USERS_MAX)
		return FL_EQUOTA;
	a = calloc(1, sizeof(*a));
	if (!a)
		return -ENOMEM;
	memcpy(a->realm, config->realm, strlen(config->realm));
	memcpy(a->nonce_key, config->nonce_key, sizeof(a->nonce_key));
	a->nonce_s = config->nonce_s ? config->nonce_s : TURN_AUTH_NONCE_S;
	err = secrets_init(a, config);
	if (err == 0)
		err = users_init(a, config);
	cookie_init(a);
	if (err == 0)
		*out = a;
	else
		turn_auth_destroy(a);
	return err;
}

void turn_auth_destroy(struct turn_auth *a)
{
	if (!a)
		return;
	for (size_t i = 0; i < a->n_secrets; i++)
		ct_wipe_strp(&a->secrets[i]);
	ct_wipe(a->users, (a->n_users + 1) * sizeof(*a->users));
	free(a->users);
	free(a->by_name);
	free(a->by_hash);
	ct_wipe(a, sizeof(*a));
	free(a);
}

/* ---- nonces ---- */

static void make_nonce(const struct turn_auth *a, const struct addr *client, uint64_t unix_s,
		       uint16_t port, char out[NONCE_ROOM])
{
	struct addr ip = addr_unmap(client);
	uint8_t text[8 + 2 + 1 + sizeof(ip.ip)], tail[2 + 2 + 8];
	struct writer w = writer_of(text, sizeof(text));
	uint64_t mac;

	writer_u64(&w, unix_s);
	writer_u16(&w, port);
	writer_u8(&w, (uint8_t)ip.family);
	writer_bytes(&w, ip.ip, sizeof(ip.ip));
	mac = siphash24(a->nonce_key, writer_span(&w));
	w = writer_of(tail, sizeof(tail));
	writer_u16(&w, (uint16_t)unix_s);
	writer_u16(&w, port);
	writer_u64(&w, mac); /* the last of its bytes stays behind */
	memcpy(out, a->cookie, COOKIE_LEN);
	text_b64url_encode(span_of(tail, NONCE_TAIL_LEN), out + COOKIE_LEN,
			   NONCE_ROOM - COOKIE_LEN);
}

/* The two things that stand in it in clear. */
static bool read_nonce(struct span nonce, uint16_t *time, uint16_t *port)
{
	struct reader r = reader_of(nonce), tail;
	uint8_t bytes[NONCE_TAIL_LEN];

	reader_skip(&r, COOKIE_LEN);
	if (text_b64url_decode(reader_rest(&r), bytes, sizeof(bytes)) != NONCE_TAIL_LEN)
		return false;
	tail = reader_of(span_of(bytes, sizeof(bytes)));
	*time = reader_u16(&tail);
	*port = reader_u16(&tail);
	return true;
}

/* Given by us, to this IP, and not too long ago. */
static bool nonce_holds(const struct turn_auth *a, struct span nonce, const struct addr *client,
			int64_t unix_s)
{
	uint64_t latest = (uint64_t)unix_s + NONCE_EARLY_S;
	char expected[NONCE_ROOM];
	uint16_t time, port, age;

	if (nonce.len != NONCE_LEN || !read_nonce(nonce, &time, &port))
		return false;
	age = (uint16_t)(latest - time);
	if (age > a->nonce_s + NONCE_EARLY_S)
		return false;
	make_nonce(a, client, latest - age, port, expected);
	return ct_equal(nonce, span_of(expected, NONCE_LEN));
}

void turn_auth_challenge(const struct turn_auth *a, struct stun_out *o, const struct addr *client,
			 int64_t unix_s)
{
	char nonce[NONCE_ROOM];

	make_nonce(a, client, (uint64_t)unix_s, client->port, nonce);
	stun_put(o, STUN_REALM, span_str(a->realm));
	stun_put(o, STUN_NONCE, span_of(nonce, NONCE_LEN));
	stun_put(o, STUN_PASSWORD_ALGORITHMS, span_of(algorithms, sizeof(algorithms)));
}

/* ---- checking ---- */

static void read_claim(const struct stun_msg *m, struct claim *c)
{
	c->has_name = stun_get(m, STUN_USERNAME, &c->name);
	c->has_hash = stun_get(m, STUN_USERHASH, &c->hash) && !c->has_name;
	c->has_realm = stun_get(m, STUN_REALM, &c->realm);
	c->has_nonce = stun_get(m, STUN_NONCE, &c->nonce);
	c->has_integrity = stun_find(m, STUN_MESSAGE_INTEGRITY) ||
			   stun_find(m, STUN_MESSAGE_INTEGRITY_SHA256);
	c->algorithm = STUN_HASH_MD5;
	c->algorithm_named = false;
}

/*
 * Which key the client used. Without any algorithm named it is MD5, as RFC 5389 has it. With one,
 * both attributes must be there and the list be ours, or somebody on the way has shortened it to
 * have a weaker one chosen: 400. A nonce that is not ours tells nothing of what its giver offered;
 * it is refused later.
 */
static bool read_algorithm(const struct turn_auth *a, const struct stun_msg *m, struct claim *c)
{
	struct span list = { 0 }, one = { 0 };
	bool has_list = stun_get(m, STUN_PASSWORD_ALGORITHMS, &list);
	bool has_one = stun_get(m, STUN_PASSWORD_ALGORITHM, &one);
	bool known = true;

	c->algorithm_named = has_list || has_one;
	if (!c->algorithm_named)
		return true;
	if (span_equal(one, span_of(algorithms, ALGORITHM_LEN)))
		c->algorithm = STUN_HASH_SHA256;
	else
		known = span_equal(one, span_of(algorithms + ALGORITHM_LEN, ALGORITHM_LEN));
	if (c->nonce.len < COOKIE_LEN || memcmp(c->nonce.ptr, a->cookie, COOKIE_LEN) != 0)
		return true;
	return has_one && known && span_equal(list, span_of(algorithms, sizeof(algorithms)));
}

static bool integrity_holds(const struct stun_msg *m, const uint8_t *key, size_t len)
{
	if (stun_find(m, STUN_MESSAGE_INTEGRITY_SHA256))
		return stun_check_integrity_sha256(m, span_of(key, len), SHA256_LEN) == 0;
	return stun_check_integrity(m, span_of(key, len)) == 0;
}

/* The entry whose key is the greatest that is not above key, or the first: always the same steps.
 */
static size_t index_search(const struct index *index, size_t n, uint64_t key)
{
	size_t at = 0;

	for (size_t left = n; left > 1; left -= left / 2)
		at += index[at + left / 2].key <= key ? left / 2 : 0;
	return at;
}

/* The user of a name or hash; nobody (users[n_users]) when there is none. */
static const struct user *find_user(const struct turn_auth *a, const struct claim *c)
{
	uint8_t name[TURN_AUTH_USER_MAX] = { 0 };
	struct span wanted = c->has_name ? c->name : c->hash, stored;
	const struct index *index = c->has_name ? a->by_name : a->by_hash;
	const struct user *u;
	bool right;

	u = &a->users[index[index_search(index, a->n_users, index_key(a, wanted))].user];
	if (c->has_name) {
		right = wanted.len <= sizeof(name) && strlen(u->name) == wanted.len;
		if (wanted.len > 0)
			memcpy(name, wanted.ptr, FL_MIN(wanted.len, sizeof(name)));
		wanted = span_of(name, sizeof(name));
		stored = span_of(u->name, sizeof(name));
	} else {
		right = true;
		stored = span_of(u->hash, sizeof(u->hash));
	}
	right = ct_equal(wanted, stored) && right;
	return right ? u : &a->users[a->n_users];
}

static bool check_static(const struct turn_auth *a, const struct stun_msg *m, const struct claim *c,
			 struct turn_credential *out)
{
	const struct user *u;

	if (a->n_users == 0)
		return false;
	u = find_user(a, c);
	out->key_len = (uint8_t)stun_hash_len(c->algorithm);
	memcpy(out->key, c->algorithm == STUN_HASH_MD5 ? u->md5 : u->sha256, out->key_len);
	out->expires_s = INT64_MAX;
	memcpy(out->user, u->name, sizeof(u->name));
	return integrity_holds(m, out->key, out->key_len) && u != &a->users[a->n_users];
}

/* "expiry:name", or "expiry" alone: digits, and a name without 0. */
static bool read_expiry(struct span user, int64_t *expires_s, struct span *name)
{
	struct reader r = reader_of(user);
	unsigned digits = 0;
	uint8_t c = 0;

	for (*expires_s = 0; reader_peek_u8(&r, &c) && c >= '0' && c <= '9'; digits++) {
		if (digits == EXPIRY_DIGITS_MAX)
			return false;
		*expires_s = *expires_s * 10 + (reader_u8(&r) - '0');
	}
	if (digits == 0 || (reader_left(&r) > 0 && reader_u8(&r) != ':'))
		return false;
	*name = reader_rest(&r);
	return user.len <= TURN_AUTH_USER_MAX &&
	       (name->len == 0 || !memchr(name->ptr, 0, name->len));
}

static bool check_timed(const struct turn_auth *a, const struct stun_msg *m, const struct claim *c,
			int64_t unix_s, struct turn_credential *out)
{
	char password[TURN_AUTH_PASSWORD_LEN];
	struct span name;
	bool ok = false;

	if (a->n_secrets == 0 || !c->has_name || !read_expiry(c->name, &out->expires_s, &name) ||
	    out->expires_s <= unix_s)
		return false;
	memset(out->user, 0, sizeof(out->user));
	if (name.len > 0)
		memcpy(out->user, name.ptr, name.len);
	out->key_len = (uint8_t)stun_hash_len(c->algorithm);
	for (size_t i = 0; i < a->n_secrets && !ok; i++)
		ok = make_password(a->secrets[i], c->name, password) &&
		     make_key(c->algorithm, c->name, a->realm, password, out->key) &&
		     integrity_holds(m, out->key, out->key_len);
	ct_wipe(password, sizeof(password));
	return ok;
}

/* In the order of §9.2.4. */
static int check(const struct turn_auth *a, const struct stun_msg *m, struct claim *c,
		 int64_t unix_s, struct turn_credential *out)
{
	if (!c->has_integrity)
		return STUN_UNAUTHENTICATED;
	if ((!c->has_name && !c->has_hash) || !c->has_realm || !c->has_nonce ||
	    !read_algorithm(a, m, c))
		return STUN_BAD_REQUEST;
	if (!span_is(c->realm, a->realm) ||
	    (!check_static(a, m, c, out) && !check_timed(a, m, c, unix_s, out)))
		return STUN_UNAUTHENTICATED;
	return out->reachable ? 0 : STUN_STALE_NONCE;
}

bool turn_auth_reachable(const struct turn_auth *a, const struct stun_msg *m,
			 const struct addr *client, int64_t unix_s)
{
	struct span nonce;

	return stun_get(m, STUN_NONCE, &nonce) && nonce_holds(a, nonce, client, unix_s);
}

int turn_auth_check(const struct turn_auth *a, const struct stun_msg *m, const struct addr *client,
		    int64_t unix_s, struct turn_credential *out)
{
	bool reachable;
	struct claim c;
	int code;

	*out = (struct turn_credential){ 0 };
	read_claim(m, &c);
	reachable = turn_auth_reachable(a, m, client, unix_s);
	out->reachable = reachable;
	code = check(a, m, &c, unix_s, out);
	if (code != 0)
		ct_wipe(out, sizeof(*out));
	out->reachable = reachable;
	out->integrity = c.algorithm_named ? TURN_INTEGRITY_SHA256 : TURN_INTEGRITY_SHA1;
	return code;
}

void turn_auth_seal(struct stun_out *o, const struct turn_credential *c)
{
	struct span key = span_of(c->key, c->key_len);

	if (c->integrity == TURN_INTEGRITY_SHA256)
		stun_put_integrity_sha256(o, key, SHA256_LEN);
	else
		stun_put_integrity(o, key);
}
