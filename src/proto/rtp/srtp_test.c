#include "test.h"

#include <errno.h>

#include "base/err.h"
#include "base/rng.h"
#include "base/span.h"
#include "base/text.h"
#include "proto/rtp/srtp.h"

static size_t unhex(const char *hex, uint8_t *out, size_t cap)
{
	int n = text_hex_decode(span_str(hex), out, cap);

	assert_true(n > 0);
	return (size_t)n;
}

/* The key of both directions alike, so that one session talks to itself. */
static struct srtp_session *open_session(enum srtp_protection profile, const char *key,
					 const char *salt, bool client)
{
	uint8_t keying[SRTP_KEYING_MAX];
	struct srtp_session *s;
	size_t n = 0;

	n += unhex(key, keying + n, sizeof(keying) - n);
	n += unhex(key, keying + n, sizeof(keying) - n);
	n += unhex(salt, keying + n, sizeof(keying) - n);
	n += unhex(salt, keying + n, sizeof(keying) - n);
	assert_int_equal(n, srtp_keying_len(profile));
	assert_int_equal(srtp_session_create(profile, span_of(keying, n), client, &s), 0);
	return s;
}

static void expect_packet(enum srtp_protection profile, const char *key, const char *salt,
			  const char *protected_hex)
{
	struct srtp_session *s = open_session(profile, key, salt, true);
	const char *plain = "800f1234decafbadcafebabeabababababababababababababababab";
	uint8_t packet[100], want[100], copy[100];
	size_t len = unhex(plain, packet, sizeof(packet)),
	       want_len = unhex(protected_hex, want, sizeof(want));

	assert_int_equal(srtp_session_protect(s, false, packet, len, sizeof(packet)), want_len);
	assert_memory_equal(packet, want, want_len);
	memcpy(copy, packet, want_len);
	copy[20] ^= 1;
	assert_int_equal(srtp_session_unprotect(s, false, copy, want_len), FL_EUNAUTHENTICATED);
	memcpy(copy, packet, want_len);
	assert_int_equal(srtp_session_unprotect(s, false, copy, want_len), len);
	unhex(plain, want, sizeof(want));
	assert_memory_equal(copy, want, len);
	/* the same once more is a replay */
	assert_int_equal(srtp_session_unprotect(s, false, packet, want_len), FL_EUNAUTHENTICATED);
	srtp_session_destroy(s);
}

/* The reference packets of libsrtp's own validation (test/srtp_driver.c). */
static void test_vectors(void **state)
{
	expect_packet(
		SRTP_AES128_CM_SHA1_80, "e1f97a0d3e018be0d64fa32c06de4139",
		"0ec675ad498afeebb6960b3aabe6",
		"800f1234decafbadcafebabe4e55dc4ce79978d88ca4d215949d2402b78d6acc99ea179b8dbb");
	expect_packet(
		SRTP_AEAD_AES_128_GCM, "000102030405060708090a0b0c0d0e0f",
		"a0a1a2a3a4a5a6a7a8a9aaab",
		"800f1234decafbadcafebabec5002ede04cfdd2eb91159e0880aa06ed2976826f796b201df3131a1"
		"27e8a392");
}

/* Client and server as RFC 5764 §4.2 lays their keys out; both directions, both kinds. */
static void test_roles(void **state)
{
	static const enum srtp_protection all[] = { SRTP_AES128_CM_SHA1_80, SRTP_AEAD_AES_128_GCM };

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		static const char rtp[] = "\x80\x60\0\1\0\0\0\2\0\0\0\3payload";
		static const char rtcp[] = "\x80\xc9\0\1\0\0\0\3";
		struct srtp_session *client, *server;
		uint8_t keying[SRTP_KEYING_MAX], packet[64];
		struct rng rng;
		int n;

		rng_seed(&rng, 7);
		rng_bytes(&rng, keying, sizeof(keying));
		struct span k = span_of(keying, srtp_keying_len(all[i]));

		assert_int_equal(srtp_session_create(all[i], k, true, &client), 0);
		assert_int_equal(srtp_session_create(all[i], k, false, &server), 0);
		for (int turn = 0; turn < 4; turn++) {
			struct srtp_session *from = turn & 1 ? client : server;
			struct srtp_session *to = turn & 1 ? server : client;
			bool is_rtcp = turn & 2;
			size_t len = is_rtcp ? sizeof(rtcp) - 1 : sizeof(rtp) - 1;

			memcpy(packet, is_rtcp ? rtcp : rtp, len);
			n = srtp_session_protect(from, is_rtcp, packet, len, sizeof(packet));
			assert_true(n > (int)len && n <= (int)(len + SRTP_TRAILER_MAX));
			assert_int_equal(srtp_is_rtcp(span_of(packet, (size_t)n)), is_rtcp);
			assert_int_equal(srtp_session_unprotect(to, is_rtcp, packet, (size_t)n),
					 len);
			assert_memory_equal(packet, is_rtcp ? rtcp : rtp, len);
		}
		srtp_session_destroy(client);
		srtp_session_destroy(server);
	}
}

static void test_refusals(void **state)
{
	uint8_t keying[SRTP_KEYING_MAX] = { 0 }, packet[64] = { 0x80, 0x60 };
	struct srtp_session *s;

	assert_int_equal(srtp_session_create(5, span_of(keying, 60), true, &s), -EINVAL);
	assert_null(s);
	assert_int_equal(srtp_session_create(SRTP_AEAD_AES_128_GCM, span_of(keying, 60), true, &s),
			 -EINVAL);
	assert_int_equal(srtp_session_create(SRTP_AES128_CM_SHA1_80, span_of(keying, 60), true, &s),
			 0);
	assert_int_equal(srtp_session_protect(s, false, packet, 20, 20 + SRTP_TRAILER_MAX - 1),
			 -EMSGSIZE);
	assert_int_equal(srtp_session_protect(s, false, packet, 11, 64), FL_EMALFORMED);
	assert_int_equal(srtp_session_unprotect(s, false, packet, 11), FL_EMALFORMED);
	assert_true(srtp_session_unprotect(s, false, packet, 13) < 0);
	assert_true(srtp_session_unprotect(s, true, packet, 8) < 0);
	packet[0] = 0x9f; /* CSRCs and an extension beyond the end */
	assert_int_equal(srtp_session_protect(s, false, packet, 20, 64), FL_EMALFORMED);
	srtp_session_destroy(s);
	srtp_session_destroy(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = { TEST(test_vectors), TEST(test_roles),
					    TEST(test_refusals) };

	return cmocka_run_group_tests_name("srtp", tests, NULL, NULL);
}
