#include "test.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/rng.h"
#include "hub/identity/certificate.h"
#include "hub/identity/files.h"
#include "hub/identity/grant.h"
#include "hub/identity/hubkey.h"
#include "hub/identity/limit.h"
#include "hub/identity/password.h"

/* RFC 8032 §7.1, test 1: the seed and its public key. */
static const char rfc_seed[] = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
static const char rfc_public[] = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";

static struct hubkey *rfc_key(void)
{
	uint8_t seed[32];
	struct hubkey *k;

	assert_int_equal(text_hex_decode(span_str(rfc_seed), seed, sizeof(seed)), 32);
	k = hubkey_from_seed(seed);
	assert_non_null(k);
	return k;
}

static void test_key(void **state)
{
	/* the RFC's signature of the empty message */
	static const char want[] =
		"e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
		"5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b";
	struct hubkey *k = rfc_key();
	uint8_t public[32], bytes[64];
	char hex[TEXT_HEX_LEN(64)], signature[SIGNATURE_TEXT_CAP];

	assert_true(key_from_text(hubkey_public(k), public));
	text_hex_encode(span_of(public, 32), hex, sizeof(hex));
	assert_string_equal(hex, rfc_public);
	assert_int_equal(hubkey_sign(k, span_str(""), signature), 0);
	assert_int_equal(text_b64url_decode(span_str(signature), bytes, sizeof(bytes)), 64);
	text_hex_encode(span_of(bytes, 64), hex, sizeof(hex));
	assert_string_equal(hex, want);
	hubkey_destroy(k);
}

static void test_lines(void **state)
{
	const char *lines[] = { "fairlead-device-v1", "d1", "n1" },
		   *other[] = { "fairlead-device-v1", "d1", "n2" };
	struct hubkey *k = rfc_key();
	char signature[SIGNATURE_TEXT_CAP], joined[SIGNATURE_TEXT_CAP];
	uint8_t public[32];

	assert_true(key_from_text(hubkey_public(k), public));
	assert_int_equal(hubkey_sign_lines(k, lines, 3, signature), 0);
	assert_int_equal(hubkey_sign(k, span_str("fairlead-device-v1\nd1\nn1"), joined), 0);
	assert_string_equal(signature, joined);
	assert_true(signature_fits(public, lines, 3, signature));
	assert_false(signature_fits(public, other, 3, signature));
	assert_false(signature_fits(public, lines, 2, signature));
	signature[5] = signature[5] == 'A' ? 'B' : 'A';
	assert_false(signature_fits(public, lines, 3, signature));
	assert_false(signature_fits(public, lines, 3, ""));
	public[0] ^= 1;
	assert_false(signature_fits(public, lines, 3, joined));
	hubkey_destroy(k);
}

static void test_token_secret(void **state)
{
	/* HMAC-SHA256 of "fairlead-token-secret-v1\ntoken-a", by Python's hmac module */
	static const char want[] =
		"4bb76515854e6f047f6cc8ec82caa37a94b4786c0a4215d0ce83146751731d01";
	char hex[TEXT_HEX_LEN(32)];
	struct hubkey *k = rfc_key();
	uint8_t secret[32];

	hubkey_token_secret(k, "token-a", secret);
	text_hex_encode(span_of(secret, 32), hex, sizeof(hex));
	assert_string_equal(hex, want);
	hubkey_destroy(k);
}

static void test_proof(void **state)
{
	/* python3 -c 'import hmac; print(hmac.new(bytes(range(32)), b"fairlead-enrol-v1\nKEY",
	 * "sha256").digest())' in base64url */
	static const char proof[] = "wATMkGoMeC-Xg018guyzez6HLTvl5nflWzrMejvJZ_w";
	uint8_t secret[32];

	for (uint8_t i = 0; i < 32; i++)
		secret[i] = i;
	assert_true(enrol_proof_fits(secret, "KEY", proof));
	assert_false(enrol_proof_fits(secret, "KEy", proof));
	assert_false(enrol_proof_fits(secret, "KEY", ""));
	secret[31] ^= 1;
	assert_false(enrol_proof_fits(secret, "KEY", proof));
}

static void test_key_file(void **state)
{
	char dir[] = "/tmp/fairlead-key-XXXXXX", path[64], why[256], public[HUBKEY_TEXT_CAP];
	struct hubkey *k;
	struct stat st;

	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/hub.key", dir);
	assert_int_equal(hubkey_open(path, rng_system(), &k, why), 0);
	text_copy(public, sizeof(public), hubkey_public(k));
	hubkey_destroy(k);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(hubkey_open(path, rng_system(), &k, why), 0);
	assert_string_equal(hubkey_public(k), public);
	hubkey_destroy(k);
	assert_int_equal(file_write(path, span_str("short"), 0600, why), 0);
	assert_int_equal(hubkey_open(path, rng_system(), &k, why), FL_EMALFORMED);
	assert_non_null(strstr(why, "is damaged (5 bytes"));
	assert_int_equal(file_write(path, span_of(rfc_seed, 64), 0600, why), 0);
	assert_true(hubkey_open(path, rng_system(), &k, why) < 0);
	unlink(path);
	rmdir(dir);
}

/* ---- grants ---- */

#define FP                                                                                         \
	"AB:CD:AB:CD:AB:CD:AB:CD:AB:CD:AB:CD:AB:CD:AB:CD:AB:CD:AB:CD:AB:CD:AB:CD:AB:CD:AB:CD:AB:"  \
	"CD:AB:CD"

static void test_grant(void **state)
{
	struct hubkey *k = rfc_key();
	json_t *modules = json_pack("[s]", "terminal"), *claims;
	json_t *policy = json_pack("{s:i}", "dscp", 34);
	const struct grant g = { .session = "s1",
				 .user = "u1",
				 .name = "Nora \"N\" Ö",
				 .device = "d1",
				 .modules = modules,
				 .policy = policy,
				 .issued = 1000,
				 .fingerprint = "sha-256 " FP };
	char *text = grant_sign(k, &g), *dot = strrchr(text, '.'), *middle = strchr(text, '.') + 1;
	const char *signed_part[1];
	uint8_t public[32], body[2048];
	int n;

	assert_non_null(text);
	*dot = 0;
	signed_part[0] = text;
	assert_true(key_from_text(hubkey_public(k), public));
	assert_true(signature_fits(public, signed_part, 1, dot + 1));
	n = text_b64url_decode(span_str(middle), body, sizeof(body));
	assert_true(n > 0);
	claims = json_loadb((char *)body, (size_t)n, 0, NULL);
	assert_non_null(claims);
	assert_string_equal(json_string_value(json_object_get(claims, "iss")), hubkey_id(k));
	assert_string_equal(json_string_value(json_object_get(claims, "name")), "Nora \"N\" Ö");
	assert_int_equal(json_integer_value(json_object_get(claims, "exp")), 1060);
	assert_true(json_equal(json_object_get(claims, "pol"), policy));
	json_decref(claims);
	json_decref(policy);
	json_decref(modules);
	free(text);
	hubkey_destroy(k);
}

static bool fingerprint_of(const char *sdp, char out[FINGERPRINT_CAP])
{
	return grant_fingerprint(span_str(sdp), out);
}

static void test_fingerprint(void **state)
{
	char out[FINGERPRINT_CAP];

	assert_true(fingerprint_of("v=0\r\na=fingerprint:SHA-256 " FP "\r\n", out));
	assert_string_equal(out, "sha-256 " FP);
	assert_true(fingerprint_of("a=fingerprint:sha-256 " FP "\na=fingerprint:sha-256 " FP, out));
	assert_false(fingerprint_of("v=0\r\n", out));
	assert_false(fingerprint_of("", out));
	assert_false(fingerprint_of("a=fingerprint:sha-1 AB:CD\r\n", out));
	assert_false(fingerprint_of("a=fingerprint:sha-256 " FP ":AB\r\n", out));
	assert_false(fingerprint_of("a=fingerprint:sha-256 G" FP "\r\n", out));
	assert_false(
		fingerprint_of("a=fingerprint:sha-256 " FP "\r\na=fingerprint:sha-512 " FP, out));
	assert_false(fingerprint_of("x=a=fingerprint:sha-256 " FP "\r\n", out));
}

/* ---- limits ---- */

static void test_limit(void **state)
{
	struct limit *l = calloc(1, sizeof(*l));
	struct span key = span_str("admin");
	struct rng rng;
	usec_t now = 1000;

	rng_seed(&rng, 1);
	limit_init(l, &rng, 3, 10);
	for (int i = 0; i < 3; i++)
		assert_int_equal(limit_take(l, now, key), 0);
	assert_int_equal(limit_take(l, now, key), 10);
	assert_int_equal(limit_take(l, now + 4, key), 6);
	assert_int_equal(limit_take(l, now, span_str("other")), 0);
	assert_int_equal(limit_take(l, now + 10, key), 0);
	assert_int_equal(limit_take(l, now + 10, key), 10);
	limit_give_back(l, now + 10, key);
	assert_int_equal(limit_take(l, now + 10, key), 0);
	assert_int_equal(limit_take(l, now + 1000, key), 0);
	free(l);
}

/* A flood of other keys does not set one free that is being held back. */
static void test_limit_flood(void **state)
{
	struct limit *l = calloc(1, sizeof(*l));
	struct span key = span_str("attacker");
	struct rng rng;

	rng_seed(&rng, 2);
	limit_init(l, &rng, 20, 1000);
	for (int i = 0; i < 20; i++)
		assert_int_equal(limit_take(l, 1, key), 0);
	for (uint32_t i = 0; i < 100000; i++)
		assert_int_equal(limit_take(l, 1, span_of(&i, sizeof(i))), 0);
	assert_true(limit_take(l, 1, key) > 0);
	free(l);
}

static void test_addr_key(void **state)
{
	struct addr a, b;
	uint8_t x[16], y[16];

	assert_int_equal(addr_parse_ip("2001:db8:1:2:3::4", &a), 0);
	assert_int_equal(addr_parse_ip("2001:db8:1:2:ffff::", &b), 0);
	assert_true(span_equal(limit_addr_key(&a, x), limit_addr_key(&b, y)));
	assert_int_equal(addr_parse_ip("::ffff:192.0.2.1", &a), 0);
	assert_int_equal(addr_parse_ip("192.0.2.1", &b), 0);
	assert_true(span_equal(limit_addr_key(&a, x), limit_addr_key(&b, y)));
	assert_int_equal(addr_parse_ip("192.0.2.2", &b), 0);
	assert_false(span_equal(limit_addr_key(&a, x), limit_addr_key(&b, y)));
}

/* ---- passwords ---- */

static void test_password(void **state)
{
	struct password_job job = { .password = "correct horse", .salt = "0123456789abcde" };

	assert_int_equal(password_make(&job), 0);
	assert_int_equal(strncmp(job.encoded, "$argon2id$v=19$m=19456,t=2,p=1$", 31), 0);
	job.verify = true;
	assert_int_equal(password_check(&job), 1);
	strcpy(job.password, "correct Horse");
	assert_int_equal(password_check(&job), 0);
	strcpy(job.encoded, "nonsense");
	assert_int_equal(password_check(&job), 0);
	job.encoded[0] = 0;
	assert_int_equal(password_check(&job), 0);
}

static void job_done(struct password_job *job, int result)
{
	assert_string_equal(job->password, ""); /* wiped */
	job->result = 100 + result;
}

static void test_pool(void **state)
{
	static struct password_job jobs[PASSWORD_QUEUE_MAX + 8];
	struct password_pool *p;
	struct loop *loop;
	size_t taken = 0;

	assert_int_equal(loop_create(&loop), 0);
	assert_int_equal(password_pool_create(loop, &p), 0);
	for (size_t i = 0; i < ARRAY_LEN(jobs); i++) {
		jobs[i] =
			(struct password_job){ .verify = true, .password = "x", .done = job_done };
		if (password_submit(p, &jobs[i]) == 0)
			taken++;
		else
			break;
	}
	assert_true(taken >= PASSWORD_QUEUE_MAX && taken < ARRAY_LEN(jobs)); /* bounded */
	password_pool_destroy(p);
	for (size_t i = 0; i < taken; i++)
		assert_int_equal(jobs[i].result, 100);
	loop_destroy(loop);
}

/* ---- certificates ---- */

#define NOW ((int64_t)1800000000)
#define DAY ((int64_t)24 * 3600)

static void test_certificates(void **state)
{
	struct certificate_names names = { { "localhost", "127.0.0.1", "::1" }, 3 };
	char dir[] = "/tmp/fairlead-tls-XXXXXX", why[256], cert[64], key[64], command[64];
	struct stat st;

	assert_non_null(mkdtemp(dir));
	snprintf(cert, sizeof(cert), "%s/hub.pem", dir);
	snprintf(key, sizeof(key), "%s/hub-tls.key", dir);
	assert_int_equal(certificate_ensure(dir, &names, NOW, why), 1);
	assert_int_equal(stat(key, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(certificate_check(cert, key, NOW, why), 0);
	assert_int_equal(certificate_ensure(dir, &names, NOW + 200 * DAY, why), 0);
	assert_int_equal(certificate_check(cert, key, NOW + 400 * DAY, why), -ETIME);
	/* in time before it ends, and when the clock went back */
	assert_int_equal(certificate_ensure(dir, &names, NOW + 300 * DAY, why), 1);
	assert_int_equal(certificate_check(cert, key, NOW + 400 * DAY, why), 0);
	assert_int_equal(certificate_ensure(dir, &names, NOW, why), 1);
	/* another name; then a key that was lost half way */
	names.names[names.count++] = "hub.example";
	assert_int_equal(certificate_ensure(dir, &names, NOW, why), 1);
	assert_int_equal(certificate_ensure(dir, &names, NOW, why), 0);
	unlink(key);
	assert_int_equal(certificate_check(cert, key, NOW, why), -ENOENT);
	assert_int_equal(certificate_ensure(dir, &names, NOW, why), 1);
	assert_int_equal(certificate_check(cert, key, NOW, why), 0);
	assert_int_equal(file_write(key, span_str("nonsense"), 0600, why), 0);
	assert_true(certificate_check(cert, key, NOW, why) < 0);
	assert_non_null(strstr(why, "is damaged or not PEM"));
	snprintf(command, sizeof(command), "rm -r %s", dir);
	assert_int_equal(system(command), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_key),		 TEST(test_lines),    TEST(test_token_secret),
		TEST(test_proof),	 TEST(test_key_file), TEST(test_grant),
		TEST(test_fingerprint),	 TEST(test_limit),    TEST(test_limit_flood),
		TEST(test_addr_key),	 TEST(test_password), TEST(test_pool),
		TEST(test_certificates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
