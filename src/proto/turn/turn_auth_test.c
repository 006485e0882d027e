#include "test.h"

#include "base/err.h"
#include "base/text.h"
#include "proto/stun/stun_hash.h"
#include "proto/turn/turn_auth.h"

#define NOW 1900000000
#define REALM "relay.test"

static const uint8_t tid[STUN_TID_LEN] = "transaction!";
static const struct turn_auth_user users[] = {
	{ "anna", "anna's password" },
	{ "bert", "bert's password" },
	{ "1900000100:carl", "a static user with a name like that" },
};

struct ctx {
	struct turn_auth *auth;
	struct addr client;
	uint8_t buf[2048];
	struct stun_out o;
	char nonce[64];
	struct span list;
};

static struct turn_auth_config config_of(bool with_users, bool with_secrets)
{
	return (struct turn_auth_config){
		.realm = REALM,
		.users = users,
		.n_users = with_users ? ARRAY_LEN(users) : 0,
		.secrets = { with_secrets ? "old secret" : NULL,
			     with_secrets ? "new secret" : NULL },
		.nonce_key = "0123456789abcde",
	};
}

/* Asks for a challenge and keeps its nonce. */
static void challenge(struct ctx *c, int64_t now)
{
	static uint8_t answer[512];
	struct stun_out o;
	struct stun_msg m;
	struct span s;
	int len;

	stun_begin(&o, answer, sizeof(answer), STUN_ERROR, 3, tid);
	stun_put_error(&o, 401, "");
	turn_auth_challenge(c->auth, &o, &c->client, now);
	len = stun_end(&o);
	assert_true(len > 0);
	assert_int_equal(stun_parse(span_of(answer, (size_t)len), &m), 0);
	assert_true(stun_get(&m, STUN_REALM, &s) && span_is(s, REALM));
	assert_true(stun_get(&m, STUN_NONCE, &s));
	assert_int_equal(s.len, 28);
	snprintf(c->nonce, sizeof(c->nonce), "%.*s", (int)s.len, (const char *)s.ptr);
	assert_true(stun_get(&m, STUN_PASSWORD_ALGORITHMS, &c->list));
	assert_true(span_equal(c->list, span_of("\0\2\0\0\0\1\0\0", 8)));
}

static void setup(struct ctx *c, bool with_users, bool with_secrets)
{
	struct turn_auth_config config = config_of(with_users, with_secrets);

	memset(c, 0, sizeof(*c));
	assert_int_equal(turn_auth_create(&config, &c->auth), 0);
	assert_int_equal(addr_parse("192.0.2.1:4000", &c->client), 0);
	challenge(c, NOW);
}

static void begin(struct ctx *c, const char *user)
{
	stun_begin(&c->o, c->buf, sizeof(c->buf), STUN_REQUEST, 3, tid);
	if (user)
		stun_put(&c->o, STUN_USERNAME, span_str(user));
	stun_put(&c->o, STUN_REALM, span_str(REALM));
	stun_put(&c->o, STUN_NONCE, span_str(c->nonce));
}

static int finish(struct ctx *c, int64_t now, struct turn_credential *out)
{
	struct stun_msg m;
	int len = stun_end(&c->o);

	assert_true(len > 0);
	assert_int_equal(stun_parse(span_of(c->buf, (size_t)len), &m), 0);
	return turn_auth_check(c->auth, &m, &c->client, now, out);
}

/* As a client of RFC 5389 does it. */
static int old_client(struct ctx *c, const char *user, const char *password, int64_t now,
		      struct turn_credential *out)
{
	uint8_t key[32];
	size_t len = turn_auth_key(user, REALM, password, false, key);

	begin(c, user);
	stun_put_integrity(&c->o, span_of(key, len));
	return finish(c, now, out);
}

/* What a client of RFC 8489 sends; flags leave things out or put wrong ones in. */
struct new_client {
	const char *user, *password;
	bool userhash;		  /* USERHASH, not USERNAME */
	bool md5;		  /* choose MD5 */
	bool sha1;		  /* MESSAGE-INTEGRITY, not MESSAGE-INTEGRITY-SHA256 */
	const char *list, *one;	  /* other values of PASSWORD-ALGORITHMS and PASSWORD-ALGORITHM */
	size_t list_len, one_len; /* of those; SIZE_MAX: leave it out */
	size_t mac_len;		  /* shortened to this; 0: 32 */
};

static int new_client(struct ctx *c, const struct new_client *n, struct turn_credential *out)
{
	struct span parts[] = { span_str(n->user), span_str(":" REALM) };
	struct span one = span_of(n->md5 ? "\0\1\0\0" : "\0\2\0\0", 4);
	uint8_t key[32], hash[32];
	struct span k = span_of(key, turn_auth_key(n->user, REALM, n->password, !n->md5, key));

	assert_true(stun_digest(STUN_HASH_SHA256, parts, 2, hash));
	begin(c, n->userhash ? NULL : n->user);
	if (n->userhash)
		stun_put(&c->o, STUN_USERHASH, span_of(hash, sizeof(hash)));
	if (n->list_len != SIZE_MAX)
		stun_put(&c->o, STUN_PASSWORD_ALGORITHMS,
			 n->list ? span_of(n->list, n->list_len) : c->list);
	if (n->one_len != SIZE_MAX)
		stun_put(&c->o, STUN_PASSWORD_ALGORITHM,
			 n->one ? span_of(n->one, n->one_len) : one);
	if (n->sha1)
		stun_put_integrity(&c->o, k);
	else
		stun_put_integrity_sha256(&c->o, k, n->mac_len ? n->mac_len : 32);
	return finish(c, NOW, out);
}

static void test_old_client(void **state)
{
	struct turn_credential cred;
	struct ctx c;

	setup(&c, true, false);
	assert_int_equal(old_client(&c, "anna", "anna's password", NOW, &cred), 0);
	assert_string_equal(cred.user, "anna");
	assert_true(cred.expires_s == INT64_MAX && cred.reachable);
	assert_int_equal(cred.integrity, TURN_INTEGRITY_SHA1);
	assert_int_equal(cred.key_len, 16);
	assert_int_equal(old_client(&c, "bert", "anna's password", NOW, &cred), 401);
	assert_true(cred.reachable);
	assert_int_equal(old_client(&c, "dora", "anna's password", NOW, &cred), 401);
	assert_string_equal(cred.user, "");
	assert_int_equal(old_client(&c, "", "", NOW, &cred), 401);
	assert_int_equal(old_client(&c, "anna ", "anna's password", NOW, &cred), 401);
	turn_auth_destroy(c.auth);
}

static void test_new_client(void **state)
{
	static const struct {
		struct new_client client;
		int code;
	} rows[] = {
		{ { .user = "anna", .password = "anna's password" }, 0 },
		{ { .user = "anna", .password = "anna's password", .userhash = true }, 0 },
		{ { .user = "anna", .password = "anna's password", .md5 = true }, 0 },
		{ { .user = "anna", .password = "anna's password", .sha1 = true }, 0 },
		{ { .user = "anna", .password = "bert's password" }, 401 },
		{ { .user = "dora", .password = "anna's password" }, 401 },
		{ { .user = "dora", .password = "anna's password", .userhash = true }, 401 },
		/* RFC 8656 does not allow the shortened form */
		{ { .user = "anna", .password = "anna's password", .mac_len = 28 }, 401 },
		/* §9.2.4: only one of the two */
		{ { .user = "anna", .password = "anna's password", .list_len = SIZE_MAX }, 400 },
		{ { .user = "anna", .password = "anna's password", .one_len = SIZE_MAX }, 400 },
		/* SHA-256 taken out of the list on the way, order changed, cut, lengthened */
		{ { .user = "anna",
		    .password = "anna's password",
		    .md5 = true,
		    .list = "\0\1\0\0",
		    .list_len = 4 },
		  400 },
		{ { .user = "anna",
		    .password = "anna's password",
		    .list = "\0\1\0\0\0\2\0\0",
		    .list_len = 8 },
		  400 },
		{ { .user = "anna",
		    .password = "anna's password",
		    .list = "\0\2\0\0\0\1\0",
		    .list_len = 7 },
		  400 },
		{ { .user = "anna",
		    .password = "anna's password",
		    .list = "\0\2\0\0\0\1\0\0\0\3\0\0",
		    .list_len = 12 },
		  400 },
		{ { .user = "anna", .password = "anna's password", .list = "", .list_len = 0 },
		  400 },
		/* an algorithm that was not offered, one with parameters, half of one */
		{ { .user = "anna",
		    .password = "anna's password",
		    .one = "\0\3\0\0",
		    .one_len = 4 },
		  400 },
		{ { .user = "anna",
		    .password = "anna's password",
		    .one = "\0\2\0\4abcd",
		    .one_len = 8 },
		  400 },
		{ { .user = "anna", .password = "anna's password", .one = "\0\2", .one_len = 2 },
		  400 },
	};
	struct turn_credential cred;
	struct ctx c;

	setup(&c, true, false);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (new_client(&c, &rows[i].client, &cred) != rows[i].code)
			fail_msg("row %zu", i);
		assert_true(cred.reachable);
		if (rows[i].code != 0)
			continue;
		assert_string_equal(cred.user, "anna");
		assert_int_equal(cred.key_len, rows[i].client.md5 ? 16 : 32);
		assert_int_equal(cred.integrity, TURN_INTEGRITY_SHA256);
	}
	turn_auth_destroy(c.auth);
}

/* §9.2.4: without both algorithm attributes the key is MD5's, whichever integrity is used, and the
 * answer has MESSAGE-INTEGRITY. */
static void test_no_algorithms(void **state)
{
	struct new_client n = { .user = "anna", .password = "anna's password", .md5 = true };
	struct turn_credential cred;
	struct ctx c;

	setup(&c, true, false);
	n.list_len = n.one_len = SIZE_MAX;
	assert_int_equal(new_client(&c, &n, &cred), 0);
	assert_int_equal(cred.integrity, TURN_INTEGRITY_SHA1);
	n.md5 = false;
	assert_int_equal(new_client(&c, &n, &cred), 401);
	turn_auth_destroy(c.auth);
}

/* Both kinds of integrity in one request: MESSAGE-INTEGRITY-SHA256 decides (§9.2.4). */
static void test_both_integrities(void **state)
{
	struct turn_credential cred;
	uint8_t key[32], wrong[16] = { 0 };
	struct ctx c;
	size_t len = turn_auth_key("anna", REALM, "anna's password", false, key);

	setup(&c, true, false);
	for (int i = 0; i < 2; i++) {
		begin(&c, "anna");
		stun_put_integrity(&c.o, i ? span_of(key, len) : span_of(wrong, 16));
		stun_put_integrity_sha256(&c.o, i ? span_of(wrong, 16) : span_of(key, len), 32);
		assert_int_equal(finish(&c, NOW, &cred), i ? 401 : 0);
	}
	turn_auth_destroy(c.auth);
}

/* What a request lacks; the order of the checks is that of §9.2.4. */
static void test_missing(void **state)
{
	enum { NAME = 1, IN_REALM = 2, NONCE = 4, OTHER_REALM = 8, INTEGRITY = 16 };
	static const struct {
		unsigned has;
		int code;
		bool reachable;
	} rows[] = {
		{ 0, 401, false },
		{ NONCE, 401, true },
		{ NAME | IN_REALM | NONCE, 401, true },
		{ INTEGRITY, 400, false },
		{ INTEGRITY | IN_REALM | NONCE, 400, true },
		{ INTEGRITY | NAME | NONCE, 400, true },
		{ INTEGRITY | NAME | IN_REALM, 400, false },
		{ INTEGRITY | NAME | IN_REALM | NONCE, 0, true },
		{ INTEGRITY | NAME | OTHER_REALM | NONCE, 401, true },
	};
	struct turn_credential cred;
	uint8_t key[32];
	struct ctx c;
	size_t len = turn_auth_key("anna", REALM, "anna's password", false, key);

	setup(&c, true, false);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		stun_begin(&c.o, c.buf, sizeof(c.buf), STUN_REQUEST, 3, tid);
		if (rows[i].has & NAME)
			stun_put(&c.o, STUN_USERNAME, span_str("anna"));
		if (rows[i].has & (IN_REALM | OTHER_REALM))
			stun_put(&c.o, STUN_REALM,
				 span_str(rows[i].has & IN_REALM ? REALM : "other.test"));
		if (rows[i].has & NONCE)
			stun_put(&c.o, STUN_NONCE, span_str(c.nonce));
		if (rows[i].has & INTEGRITY)
			stun_put_integrity(&c.o, span_of(key, len));
		assert_int_equal(finish(&c, NOW, &cred), rows[i].code);
		assert_int_equal(cred.reachable, rows[i].reachable);
	}
	turn_auth_destroy(c.auth);
}

static void test_userhash_of_wrong_length(void **state)
{
	static const uint8_t zeros[40];
	struct turn_credential cred;
	struct ctx c;

	setup(&c, true, true);
	for (size_t len = 0; len <= sizeof(zeros); len++) {
		begin(&c, NULL);
		stun_put(&c.o, STUN_USERHASH, span_of(zeros, len));
		stun_put_integrity(&c.o, span_of(zeros, 16));
		assert_int_equal(finish(&c, NOW, &cred), 401);
	}
	turn_auth_destroy(c.auth);
}

/* ---- nonces ---- */

static int with_nonce(struct ctx *c, const char *nonce, int64_t now, bool *reachable)
{
	struct turn_credential cred;
	char kept[sizeof(c->nonce)];
	int code;

	memcpy(kept, c->nonce, sizeof(kept));
	if (nonce != c->nonce)
		assert_true(text_copy(c->nonce, sizeof(c->nonce), nonce));
	code = old_client(c, "anna", "anna's password", now, &cred);
	memcpy(c->nonce, kept, sizeof(kept));
	*reachable = cred.reachable;
	return code;
}

static void test_nonce_time(void **state)
{
	static const struct {
		int64_t after;
		int code;
	} rows[] = {
		{ 0, 0 },	  { 3600, 0 },	  { 3601, 438 },   { -10, 0 },
		{ -11, 438 },	  { 65536, 438 }, { 65530, 438 },  { -65536, 438 },
		{ 1 << 30, 438 }, { -NOW, 438 },  { 131072, 438 },
	};
	bool reachable;
	struct ctx c;

	setup(&c, true, false);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(with_nonce(&c, c.nonce, NOW + rows[i].after, &reachable),
				 rows[i].code);
		assert_int_equal(reachable, rows[i].code == 0);
	}
	turn_auth_destroy(c.auth);
}

/* No character can be changed, none left out, none added. */
static void test_nonce_changes(void **state)
{
	static const char others[] = "AZaz09+/-_= \x01";
	bool reachable;
	char nonce[64] = { 0 };
	struct ctx c;

	setup(&c, true, false);
	for (size_t i = 0; i < strlen(c.nonce); i++) {
		for (size_t j = 0; j < strlen(others); j++) {
			assert_true(text_copy(nonce, sizeof(nonce), c.nonce));
			if (nonce[i] == others[j])
				continue;
			nonce[i] = others[j];
			assert_int_equal(with_nonce(&c, nonce, NOW, &reachable), 438);
			assert_false(reachable);
		}
		assert_true(text_copy(nonce, sizeof(nonce), c.nonce));
		nonce[i] = 0;
		assert_int_equal(with_nonce(&c, nonce, NOW, &reachable), 438);
	}
	assert_true(text_copy(nonce, sizeof(nonce), c.nonce));
	nonce[strlen(c.nonce)] = 'A'; /* zeros follow */
	assert_int_equal(with_nonce(&c, nonce, NOW, &reachable), 438);
	turn_auth_destroy(c.auth);
}

/* §9.2.4: the integrity is looked at before the nonce is said to be stale. */
static void test_stale_and_wrong(void **state)
{
	struct turn_credential cred;
	struct ctx c;

	setup(&c, true, false);
	assert_int_equal(old_client(&c, "anna", "wrong", NOW + 3601, &cred), 401);
	assert_false(cred.reachable);
	assert_int_equal(old_client(&c, "anna", "anna's password", NOW + 3601, &cred), 438);
	assert_int_equal(cred.key_len, 0);
	assert_string_equal(cred.user, "");
	turn_auth_destroy(c.auth);
}

/* A nonce belongs to an IP, not to a port; but two ports never have the same. */
static void test_nonce_address(void **state)
{
	static const struct {
		const char *from;
		bool good;
	} rows[] = {
		{ "192.0.2.1:4000", true },
		{ "192.0.2.1:4001", true },
		{ "[::ffff:192.0.2.1]:4000", true },
		{ "192.0.2.2:4000", false },
		{ "[2001:db8::1]:4000", false },
		{ "[c000:201::]:4000", false }, /* the same first bytes */
	};
	char first[64];
	bool reachable;
	struct ctx c;

	setup(&c, true, false);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(addr_parse(rows[i].from, &c.client), 0);
		assert_int_equal(with_nonce(&c, c.nonce, NOW, &reachable), rows[i].good ? 0 : 438);
		assert_int_equal(reachable, rows[i].good);
	}
	assert_int_equal(addr_parse("192.0.2.1:4001", &c.client), 0);
	assert_true(text_copy(first, sizeof(first), c.nonce));
	challenge(&c, NOW);
	assert_string_not_equal(first, c.nonce);
	assert_int_equal(with_nonce(&c, c.nonce, NOW, &reachable), 0);
	turn_auth_destroy(c.auth);
}

/* Another process or a reload with the same key knows the nonces; one with another key does not. */
static void test_nonce_key(void **state)
{
	struct turn_auth_config config = config_of(true, false);
	bool reachable;
	struct ctx c;

	setup(&c, true, false);
	for (int other = 0; other < 2; other++) {
		turn_auth_destroy(c.auth);
		config.nonce_key[15] ^= (uint8_t)other;
		assert_int_equal(turn_auth_create(&config, &c.auth), 0);
		assert_int_equal(with_nonce(&c, c.nonce, NOW, &reachable), other ? 438 : 0);
	}
	turn_auth_destroy(c.auth);
}

/*
 * The cookie's bits: password algorithms always; anonymous names only without secrets, because a
 * client that sees the bit sends nothing but the hash, and time-limited names are not found by it.
 */
static void test_cookie(void **state)
{
	struct ctx c;

	setup(&c, true, false);
	assert_memory_equal(c.nonce, "obMatJos2AAAD", 13);
	turn_auth_destroy(c.auth);
	setup(&c, true, true);
	assert_memory_equal(c.nonce, "obMatJos2AAAB", 13);
	turn_auth_destroy(c.auth);
}

/* ---- time-limited users ---- */

static void test_timed(void **state)
{
	static const char *const secrets[] = { "old secret", "new secret", "another" };
	char password[TURN_AUTH_PASSWORD_LEN];
	struct turn_credential cred;
	struct ctx c;

	for (int both = 0; both < 2; both++) {
		setup(&c, both, true);
		for (size_t i = 0; i < ARRAY_LEN(secrets); i++) {
			turn_auth_password(secrets[i], "1900000100:x:y", password);
			assert_int_equal(
				old_client(&c, "1900000100:x:y", password, NOW + 99, &cred),
				i < 2 ? 0 : 401);
			assert_string_equal(cred.user, i < 2 ? "x:y" : "");
			assert_true(cred.expires_s == (i < 2 ? 1900000100 : 0));
			assert_int_equal(
				old_client(&c, "1900000100:x:y", password, NOW + 100, &cred), 401);
		}
		turn_auth_destroy(c.auth);
	}
}

/* Of draft-uberti-behave-turn-rest: base64(HMAC-SHA1(secret, name)), made by openssl(1). */
static void test_password(void **state)
{
	char password[TURN_AUTH_PASSWORD_LEN];

	turn_auth_password("north", "1433895918:user", password);
	assert_string_equal(password, "/gk4t5tUc08OpM3NjrVjHSFVNmY=");
}

/* RFC 8489 §9.2.2. */
static void test_key(void **state)
{
	static const uint8_t md5[] = { 0x84, 0x93, 0xfb, 0xc5, 0x3b, 0xa5, 0x82, 0xfb,
				       0x4c, 0x04, 0x4c, 0x45, 0x6b, 0xdc, 0x40, 0xeb };
	uint8_t key[32];

	assert_int_equal(turn_auth_key("user", "realm", "pass", false, key), 16);
	assert_memory_equal(key, md5, sizeof(md5));
	assert_int_equal(turn_auth_key("user", "realm", "pass", true, key), 32);
}

static void test_timed_sha256(void **state)
{
	char password[TURN_AUTH_PASSWORD_LEN];
	struct new_client n = { .user = "1900000100:x", .password = password };
	struct turn_credential cred;
	struct ctx c;

	setup(&c, true, true);
	turn_auth_password("new secret", n.user, password);
	assert_int_equal(new_client(&c, &n, &cred), 0);
	assert_string_equal(cred.user, "x");
	n.userhash = true; /* cannot be found */
	assert_int_equal(new_client(&c, &n, &cred), 401);
	turn_auth_destroy(c.auth);
}

/* Forms of the name; the password is right in each. NULL: 401. */
static void test_timed_forms(void **state)
{
	static const struct {
		const char *name, *user;
	} rows[] = {
		{ "1900000001:x", "x" },
		{ "01900000001:x", "x" },
		{ "1900000001", "" },
		{ "1900000001:", "" },
		{ "1900000001:a:b:1", "a:b:1" },
		{ "999999999999999999:x", "x" },
		{ "9999999999999999999:x", NULL }, /* more digits than are taken */
		{ "18446744075609551617:x", NULL },
		{ "1900000000:x", NULL }, /* over */
		{ "0:x", NULL },
		{ "-1900000001:x", NULL },
		{ "+1900000001:x", NULL },
		{ " 1900000001:x", NULL },
		{ "1900000001 :x", NULL },
		{ "1900000001x:x", NULL },
		{ "0x71400000:x", NULL },
		{ "1900000001.5:x", NULL },
		{ "x:1900000001", NULL },
		{ ":x", NULL },
		{ ":", NULL },
		{ "", NULL },
		{ "x", NULL },
	};
	char password[TURN_AUTH_PASSWORD_LEN];
	struct turn_credential cred;
	struct ctx c;

	setup(&c, true, true);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		turn_auth_password("old secret", rows[i].name, password);
		assert_int_equal(old_client(&c, rows[i].name, password, NOW, &cred),
				 rows[i].user ? 0 : 401);
		if (rows[i].user)
			assert_string_equal(cred.user, rows[i].user);
	}
	turn_auth_destroy(c.auth);
}

/* A name with a 0 in it is not what its C string says. */
static void test_timed_zero(void **state)
{
	static const char name[] = "1900000001:x\0y";
	struct span text[] = { span_of(name, sizeof(name) - 1), span_str(":" REALM ":") }, parts[3];
	char password[29];
	uint8_t mac[32], key[32];
	struct turn_credential cred;
	struct ctx c;

	setup(&c, false, true);
	assert_true(stun_hmac(STUN_HASH_SHA1, span_str("old secret"), text, 1, mac));
	text_b64_encode(span_of(mac, 20), password, sizeof(password));
	parts[0] = text[0];
	parts[1] = text[1];
	parts[2] = span_str(password);
	assert_true(stun_digest(STUN_HASH_MD5, parts, 3, key));
	begin(&c, NULL);
	stun_put(&c.o, STUN_USERNAME, text[0]);
	stun_put_integrity(&c.o, span_of(key, 16));
	assert_int_equal(finish(&c, NOW, &cred), 401);
	turn_auth_destroy(c.auth);
}

static void test_timed_length(void **state)
{
	char name[TURN_AUTH_USER_MAX + 2], password[TURN_AUTH_PASSWORD_LEN];
	struct turn_credential cred;
	struct ctx c;

	setup(&c, true, true);
	for (size_t len = TURN_AUTH_USER_MAX; len <= TURN_AUTH_USER_MAX + 1; len++) {
		memset(name, 'x', len);
		memcpy(name, "1900000001:", 11);
		name[len] = 0;
		turn_auth_password("old secret", name, password);
		assert_int_equal(old_client(&c, name, password, NOW, &cred),
				 len <= TURN_AUTH_USER_MAX ? 0 : 401);
	}
	turn_auth_destroy(c.auth);
}

/* A static user whose name looks like a time-limited one gets in by its own password, and the
 * time-limited one of that name by the other. */
static void test_static_like_timed(void **state)
{
	char password[TURN_AUTH_PASSWORD_LEN];
	struct turn_credential cred;
	struct ctx c;

	setup(&c, true, true);
	turn_auth_password("old secret", users[2].name, password);
	assert_int_equal(old_client(&c, users[2].name, users[2].password, NOW, &cred), 0);
	assert_string_equal(cred.user, users[2].name);
	assert_true(cred.expires_s == INT64_MAX);
	assert_int_equal(old_client(&c, users[2].name, password, NOW, &cred), 0);
	assert_string_equal(cred.user, "carl");
	assert_int_equal(old_client(&c, users[2].name, "neither", NOW, &cred), 401);
	turn_auth_destroy(c.auth);
}

/* ---- the rest ---- */

static void test_seal(void **state)
{
	struct new_client n = { .user = "anna", .password = "anna's password" };
	struct turn_credential cred;
	uint8_t buf[256];
	struct stun_out o;
	struct stun_msg m;
	struct ctx c;
	int len;

	setup(&c, true, false);
	for (int is_new = 0; is_new < 2; is_new++) {
		if (is_new)
			assert_int_equal(new_client(&c, &n, &cred), 0);
		else
			assert_int_equal(old_client(&c, n.user, n.password, NOW, &cred), 0);
		stun_begin(&o, buf, sizeof(buf), STUN_SUCCESS, 3, tid);
		turn_auth_seal(&o, &cred);
		len = stun_end(&o);
		assert_int_equal(stun_parse(span_of(buf, (size_t)len), &m), 0);
		assert_int_equal(m.n_attrs, 1);
		if (is_new)
			assert_int_equal(stun_check_integrity_sha256(
						 &m, span_of(cred.key, cred.key_len), 32),
					 0);
		else
			assert_int_equal(stun_check_integrity(&m, span_of(cred.key, cred.key_len)),
					 0);
	}
	turn_auth_destroy(c.auth);
}

static void test_many_users(void **state)
{
	static struct turn_auth_user many[TURN_AUTH_USERS_MAX + 1];
	static char names[TURN_AUTH_USERS_MAX + 1][16];
	struct turn_auth_config config = config_of(true, false);
	struct turn_credential cred;
	struct ctx c;

	for (size_t i = 0; i < ARRAY_LEN(many); i++) {
		snprintf(names[i], sizeof(names[i]), "user-%zu", i);
		many[i] = (struct turn_auth_user){ names[i], names[i] };
	}
	config.users = many;
	config.n_users = ARRAY_LEN(many);
	assert_int_equal(turn_auth_create(&config, &c.auth), FL_EQUOTA);
	config.n_users = TURN_AUTH_USERS_MAX;
	setup(&c, false, false);
	turn_auth_destroy(c.auth);
	assert_int_equal(turn_auth_create(&config, &c.auth), 0);
	challenge(&c, NOW);
	for (size_t i = 0; i < ARRAY_LEN(many); i++) {
		struct new_client n = { .user = names[i], .password = names[i], .userhash = i & 1 };
		int code = i < TURN_AUTH_USERS_MAX ? 0 : 401;

		assert_int_equal(new_client(&c, &n, &cred), code);
		assert_string_equal(cred.user, code ? "" : names[i]);
	}
	turn_auth_destroy(c.auth);
}

static void test_bad_config(void **state)
{
	static const struct turn_auth_user empty[] = { { "", "x" } },
					   twice[] = { { "x", "y" }, { "z", "y" }, { "x", "z" } };
	static char long_name[TURN_AUTH_USER_MAX + 2], long_realm[TURN_AUTH_REALM_MAX + 2],
		long_secret[TURN_AUTH_SECRET_MAX + 2];
	struct turn_auth_user too_long = { long_name, "x" };
	struct turn_auth_config configs[8];
	struct turn_auth *a;

	memset(long_name, 'x', sizeof(long_name) - 1);
	memset(long_realm, 'x', sizeof(long_realm) - 1);
	memset(long_secret, 'x', sizeof(long_secret) - 1);
	for (size_t i = 0; i < ARRAY_LEN(configs); i++)
		configs[i] = config_of(true, true);
	configs[0].realm = "";
	configs[1].realm = long_realm;
	configs[2].users = empty;
	configs[2].n_users = 1;
	configs[3].users = &too_long;
	configs[3].n_users = 1;
	configs[4].users = twice;
	configs[4].n_users = 3;
	configs[5].secrets[1] = "";
	configs[6].secrets[0] = long_secret;
	configs[7].nonce_s = TURN_AUTH_NONCE_S + 1;
	for (size_t i = 0; i < ARRAY_LEN(configs); i++) {
		assert_int_equal(turn_auth_create(&configs[i], &a), FL_EMALFORMED);
		assert_null(a);
	}
	turn_auth_destroy(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_old_client),
		TEST(test_new_client),
		TEST(test_no_algorithms),
		TEST(test_both_integrities),
		TEST(test_missing),
		TEST(test_userhash_of_wrong_length),
		TEST(test_nonce_time),
		TEST(test_nonce_changes),
		TEST(test_stale_and_wrong),
		TEST(test_nonce_address),
		TEST(test_nonce_key),
		TEST(test_cookie),
		TEST(test_timed),
		TEST(test_password),
		TEST(test_key),
		TEST(test_timed_sha256),
		TEST(test_timed_forms),
		TEST(test_timed_zero),
		TEST(test_timed_length),
		TEST(test_static_like_timed),
		TEST(test_seal),
		TEST(test_many_users),
		TEST(test_bad_config),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
