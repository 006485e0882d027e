#include "test.h"

#include "base/err.h"
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
	turn_auth_destroy(c.auth);
}

static void test_timed(void **state)
{
	static const char *const secrets[] = { "old secret", "new secret", "another" };
	char password[TURN_AUTH_PASSWORD_LEN];
	struct turn_credential cred;
	struct ctx c;

	setup(&c, false, true);
	for (size_t i = 0; i < ARRAY_LEN(secrets); i++) {
		turn_auth_password(secrets[i], "1900000100:x:y", password);
		assert_int_equal(old_client(&c, "1900000100:x:y", password, NOW + 99, &cred),
				 i < 2 ? 0 : 401);
		assert_string_equal(cred.user, i < 2 ? "x:y" : "");
		assert_int_equal(old_client(&c, "1900000100:x:y", password, NOW + 100, &cred), 401);
	}
	turn_auth_destroy(c.auth);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_old_client),
		TEST(test_timed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
