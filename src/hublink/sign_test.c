#include "hublink/sign.h"

#include "base/err.h"
#include "base/rng.h"
#include "hublink/backoff.h"
#include "hublink/hub_url.h"
#include "test.h"

/* RFC 8032 §7.1, test 1's key, over our own lines: the public key is the RFC's. */
static void test_key_and_lines(void **state)
{
	uint8_t seed[32];
	struct sign_key *k;
	char sig[SIGN_SIGNATURE_TEXT], want[SIGN_KEY_TEXT];
	uint8_t public_key[32];
	const char *lines[] = { "fairlead-device-v1", "dev", "n1", "n2" };

	assert_int_equal(text_hex_decode(span_str("9d61b19deffd5a60ba844af492ec2cc4"
						  "4449c5697b326919703bac031cae7f60"),
					 seed, 32),
			 32);
	assert_int_equal(text_hex_decode(span_str("d75a980182b10ab7d54bfed3c964073a"
						  "0ee172f3daa62325af021a68f707511a"),
					 public_key, 32),
			 32);
	assert_int_equal(sign_key_create(seed, &k), 0);
	text_b64url_encode(span_of(public_key, 32), want, sizeof(want));
	assert_string_equal(sign_key_public(k), want);
	assert_int_equal(sign_lines(k, lines, 4, sig), 0);
	assert_true(sign_check_lines(want, lines, 4, sig));
	assert_true(sign_check(want, span_str("fairlead-device-v1\ndev\nn1\nn2"), sig));
	assert_false(sign_check(want, span_str("fairlead-device-v1\ndev\nn1\nn3"), sig));
	sig[5] = sig[5] == 'A' ? 'B' : 'A';
	assert_false(sign_check_lines(want, lines, 4, sig));
	assert_false(sign_check_lines(want, lines, 4, "short"));
	assert_false(sign_check_lines("short", lines, 4, sig));
	sign_key_destroy(k);
}

static void test_fingerprint(void **state)
{
	char text[128] = "sha-256 ", out[SIGN_FINGERPRINT_TEXT];
	size_t n = strlen(text);

	for (int i = 0; i < 32; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, i < 31 ? "ab:" : "ab");
	assert_true(sign_fingerprint(text, out));
	assert_memory_equal(out, "AB:AB:", 6);
	assert_true(sign_fingerprint(text + 8, out));
	assert_false(sign_fingerprint(text + 9, out));
	text[10] = '-';
	assert_false(sign_fingerprint(text, out));
	assert_false(sign_fingerprint("", out));
	assert_false(sign_fingerprint("sha-1 AB", out));
}

static void test_token(void **state)
{
	struct enrol_token t;
	char text[160], id[16], secret[64], hub[64], proof[SIGN_KEY_TEXT];
	uint8_t bytes[32] = { 1, 2, 3 };
	struct sign_key *hub_key;

	/* the hub's part is the hash of its key */
	assert_int_equal(sign_key_create(bytes, &hub_key), 0);
	text_b64url_encode(span_of(bytes, 9), id, sizeof(id));
	text_b64url_encode(span_of(bytes, 32), secret, sizeof(secret));
	text_b64url_encode(span_of(bytes, 32), hub, sizeof(hub));
	snprintf(text, sizeof(text), "fl1.%s.%s.%s", id, secret, hub);
	assert_int_equal(enrol_token_parse(text, &t), 0);
	assert_string_equal(t.id, id);
	assert_false(enrol_token_names(&t, sign_key_public(hub_key)));
	assert_int_equal(enrol_token_proof(&t, sign_key_public(hub_key), proof), 0);
	assert_int_equal(strlen(proof), 43);
	snprintf(text, sizeof(text), "fl1.%s.%s.%s.", id, secret, hub);
	assert_int_equal(enrol_token_parse(text, &t), FL_EMALFORMED);
	assert_int_equal(enrol_token_parse("fl1.a.b.c", &t), FL_EMALFORMED);
	assert_int_equal(enrol_token_parse("", &t), FL_EMALFORMED);
	text[2] = '2';
	assert_int_equal(enrol_token_parse(text, &t), FL_EMALFORMED);
	sign_key_destroy(hub_key);
}

static void test_url(void **state)
{
	static const char *const bad[] = { "",
					   "http://h",
					   "https://",
					   "https://h:0",
					   "https://h:65536",
					   "https://h/x",
					   "https://h:8443?x",
					   "https://a b",
					   "https://u@h",
					   "https://[::1" };
	struct hub_url u;
	char why[256];

	assert_int_equal(hub_url_parse("https://hub.example:8443/", &u, why), 0);
	assert_string_equal(u.host, "hub.example");
	assert_int_equal(u.port, 8443);
	assert_string_equal(u.base, "https://hub.example:8443");
	assert_int_equal(hub_url_parse("HTTPS://[::1]", &u, why), 0);
	assert_string_equal(u.host, "::1");
	assert_string_equal(u.authority, "[::1]:443");
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (hub_url_parse(bad[i], &u, why) == 0)
			fail_msg("\"%s\" was taken", bad[i]);
}

/* At most 3 s in the first minute, 60 s after it, never less than half, and not twice the same. */
static void test_backoff(void **state)
{
	struct backoff b = { 0 };
	struct rng rng;
	usec_t now = 1000, wait;

	rng_seed(&rng, 7);
	wait = backoff_next(&b, now, &rng);
	assert_in_range(wait, 100 * USEC_PER_MSEC, 200 * USEC_PER_MSEC);
	while (now < 60 * USEC_PER_SEC) {
		wait = backoff_next(&b, now, &rng);
		assert_in_range(wait, 100 * USEC_PER_MSEC, 3 * USEC_PER_SEC);
		now += wait;
	}
	for (int i = 0; i < 10; i++) {
		wait = backoff_next(&b, now, &rng);
		now += wait;
	}
	assert_in_range(wait, 30 * USEC_PER_SEC, 60 * USEC_PER_SEC);
	backoff_reset(&b);
	assert_in_range(backoff_next(&b, now, &rng), 100 * USEC_PER_MSEC, 200 * USEC_PER_MSEC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_key_and_lines), TEST(test_fingerprint), TEST(test_token),
		TEST(test_url),		  TEST(test_backoff),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
