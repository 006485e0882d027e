#include "client/grant.h"

#include <errno.h>

#include <jansson.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/rng.h"
#include "test.h"

#include <openssl/evp.h>

#define NOW 1800000000
#define FP                                                                                         \
	"AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:"  \
	"AB:AB:AB"

static const uint8_t seed[32] = { 7 };
static char hub_key[SIGN_KEY_TEXT];

static int setup(void **state)
{
	struct sign_key *k;

	assert_int_equal(sign_key_create(seed, &k), 0);
	snprintf(hub_key, sizeof(hub_key), "%s", sign_key_public(k));
	sign_key_destroy(k);
	return 0;
}

/* Signs as the hub does. */
static char *make(const char *header, json_t *claims)
{
	static char text[GRANT_TEXT_MAX];
	FL_AUTOFREE char *body = json_dumps(claims, JSON_COMPACT);
	uint8_t sig[64];
	size_t n, len = sizeof(sig);
	EVP_PKEY *pkey = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, 32);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();

	n = text_b64url_encode(span_str(header), text, sizeof(text));
	text[n++] = '.';
	n += text_b64url_encode(span_str(body), text + n, sizeof(text) - n);
	assert_int_equal(EVP_DigestSignInit(ctx, NULL, NULL, NULL, pkey), 1);
	assert_int_equal(EVP_DigestSign(ctx, sig, &len, (uint8_t *)text, n), 1);
	text[n++] = '.';
	text_b64url_encode(span_of(sig, 64), text + n, sizeof(text) - n);
	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(pkey);
	json_decref(claims);
	return text;
}

static json_t *claims(void)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:[s,s], s:I, s:I, s:s}", "iss", "k", "jti",
			 "s1", "sub", "u1", "name", "Nora", "dev", "d1", "mod", "screen",
			 "terminal", "iat", (json_int_t)NOW, "exp", (json_int_t)NOW + 60, "fp",
			 "sha-256 " FP);
}

static json_t *claims_with(const char *name, json_t *value)
{
	json_t *c = claims();

	json_object_set_new(c, name, value);
	return c;
}

#define HEADER "{\"alg\":\"EdDSA\",\"typ\":\"fairlead-grant\"}"

static int verify(const char *text, int64_t now, struct grant *g)
{
	struct grant_check check = { hub_key, "d1", "s1", FP, now };
	char why[256];

	return grant_verify(text, &check, g, why);
}

static void test_good(void **state)
{
	struct grant g;

	assert_int_equal(verify(make(HEADER, claims()), NOW, &g), 0);
	assert_string_equal(g.user_name, "Nora");
	assert_int_equal(g.n_modules, 2);
	assert_string_equal(g.modules[1], "terminal");
	/* a minute of clock difference is forgiven, both ways */
	assert_int_equal(verify(make(HEADER, claims()), NOW + 120, &g), 0);
	assert_int_equal(verify(make(HEADER, claims()), NOW - 60, &g), 0);
}

static void test_policy(void **state)
{
	struct grant g;

	/* of a hub that knows no policies */
	assert_int_equal(verify(make(HEADER, claims()), NOW, &g), 0);
	assert_true(policy_relays(&g.policy));
	assert_int_equal(
		verify(make(HEADER,
			    claims_with("pol", json_pack("{s:s, s:i, s:s}", "relay", "forbidden",
							 "dscp", 34, "later", "key"))),
		       NOW, &g),
		0);
	assert_false(policy_relays(&g.policy));
	assert_int_equal(g.policy.dscp, 34);
	/* what cannot be kept to is not passed over */
	assert_int_equal(
		verify(make(HEADER, claims_with("pol", json_pack("{s:s}", "relay", "x"))), NOW, &g),
		FL_EUNAUTHENTICATED);
	assert_int_equal(verify(make(HEADER, claims_with("pol", json_string("none"))), NOW, &g),
			 FL_EUNAUTHENTICATED);
}

/* The longest policy there can be, and the longest of the rest: the grant fits. */
static void test_longest_policy(void **state)
{
	struct policy p = { 0 };
	struct policy_list *lists[] = { &p.prefer_interfaces, &p.exclude_interfaces,
					&p.prefer_subnets, &p.exclude_subnets };
	json_t *modules = json_array(), *c;
	char long_name[256];
	struct grant g;

	policy_complete(&p);
	for (size_t i = 0; i < ARRAY_LEN(lists); i++)
		for (; lists[i]->n < POLICY_LIST_MAX; lists[i]->n++) {
			char *item = lists[i]->items[lists[i]->n];

			if (i >= 2)
				snprintf(item, POLICY_TEXT_CAP,
					 "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128");
			else
				memset(item, 'x', POLICY_TEXT_CAP - 1);
		}
	memset(long_name, 'n', sizeof(long_name) - 1);
	long_name[255] = 0;
	for (int i = 0; i < GRANT_MODULES_MAX; i++)
		json_array_append_new(modules, json_string("thirty-one-characters-long-name"));
	c = claims_with("pol", policy_json(&p));
	json_object_set_new(c, "mod", modules);
	json_object_set_new(c, "name", json_string(long_name));
	assert_int_equal(verify(make(HEADER, c), NOW, &g), 0);
	assert_int_equal(g.policy.exclude_subnets.n, POLICY_LIST_MAX);
}

static void test_refused(void **state)
{
	struct grant g;
	char *text;

	assert_int_equal(verify(make(HEADER, claims()), NOW + 121, &g), FL_EUNAUTHENTICATED);
	assert_int_equal(verify(make(HEADER, claims()), NOW - 61, &g), FL_EUNAUTHENTICATED);
	assert_int_equal(
		verify(make("{\"alg\":\"none\",\"typ\":\"fairlead-grant\"}", claims()), NOW, &g),
		FL_EUNAUTHENTICATED);
	assert_int_equal(verify(make("{\"alg\":\"EdDSA\",\"typ\":\"other\"}", claims()), NOW, &g),
			 FL_EUNAUTHENTICATED);
	assert_int_equal(verify(make(HEADER, claims_with("dev", json_string("d2"))), NOW, &g),
			 FL_EUNAUTHENTICATED);
	assert_int_equal(verify(make(HEADER, claims_with("jti", json_string("s2"))), NOW, &g),
			 FL_EUNAUTHENTICATED);
	assert_int_equal(
		verify(make(HEADER, claims_with("fp", json_string("sha-256 AB"))), NOW, &g),
		FL_EUNAUTHENTICATED);
	assert_int_equal(verify(make(HEADER, claims_with("exp", json_string("never"))), NOW, &g),
			 FL_EUNAUTHENTICATED);
	assert_int_equal(verify(make(HEADER, claims_with("mod", json_string("all"))), NOW, &g),
			 FL_EUNAUTHENTICATED);
	assert_int_equal(verify("", NOW, &g), FL_EUNAUTHENTICATED);
	assert_int_equal(verify("..", NOW, &g), FL_EUNAUTHENTICATED);
	/* another signer */
	hub_key[0] = hub_key[0] == 'A' ? 'B' : 'A';
	assert_int_equal(verify(make(HEADER, claims()), NOW, &g), FL_EUNAUTHENTICATED);
	setup(NULL);
	/* one changed character in the claims */
	text = make(HEADER, claims());
	char *dot = strchr(text, '.');
	dot[30] = dot[30] == 'A' ? 'B' : 'A';
	assert_int_equal(verify(text, NOW, &g), FL_EUNAUTHENTICATED);
}

static void test_replay(void **state)
{
	static struct grant_used used;
	struct grant g = { .session = "s1", .expires = NOW + 60 };

	assert_int_equal(grant_used_add(&used, &g, NOW), 0);
	assert_int_equal(grant_used_add(&used, &g, NOW + 1), -EEXIST);
	assert_int_equal(grant_used_add(&used, &g, NOW + 120), -EEXIST);
	for (int i = 1; i < GRANT_USED_MAX; i++) {
		snprintf(g.session, sizeof(g.session), "t%d", i);
		assert_int_equal(grant_used_add(&used, &g, NOW), 0);
	}
	snprintf(g.session, sizeof(g.session), "one too many");
	assert_int_equal(grant_used_add(&used, &g, NOW), FL_EQUOTA);
	/* those that cannot come again make room */
	assert_int_equal(grant_used_add(&used, &g, NOW + 121), 0);
	assert_int_equal(used.n, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = { TEST(test_good), TEST(test_policy),
					    TEST(test_longest_policy), TEST(test_refused),
					    TEST(test_replay) };

	return cmocka_run_group_tests(tests, setup, NULL);
}
