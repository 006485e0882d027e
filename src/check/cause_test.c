#include "test.h"

#include <stdio.h>
#include <string.h>

#include "check/cause.h"

static void words_are_stable_and_each_has_a_fix(void **state)
{
	char fix[CAUSE_FIX_MAX];
	struct cause_at at = { .host = "hub.example", .port = 443, .by = "Somebody's CA" };

	for (unsigned i = 1; i < CAUSES; i++) {
		const char *word = cause_word((enum check_cause)i);

		assert_true(strlen(word) > 0);
		assert_int_equal(cause_of_word(word), i);
		cause_fix((enum check_cause)i, &at, fix);
		assert_true(strlen(fix) > 20 && strlen(fix) + 1 < CAUSE_FIX_MAX);
		assert_int_equal(fix[strlen(fix) - 1], '.');
		assert_null(strpbrk(fix, "{}"));
	}
	assert_string_equal(cause_word(CAUSE_NONE), "");
	assert_int_equal(cause_of_word("no such word"), CAUSE_INTERNAL);
	assert_int_equal(cause_of_word(NULL), CAUSE_INTERNAL);
}

static void values_are_filled_in(void **state)
{
	char fix[CAUSE_FIX_MAX], host[256];
	struct cause_at at = { .host = "hub.example", .port = 8443, .udp = true };

	assert_non_null(
		strstr(cause_fix(CAUSE_TCP_TIMEOUT, &at, fix), "TCP 8443 out to hub.example"));
	assert_non_null(strstr(cause_fix(CAUSE_LOCAL_FIREWALL, &at, fix), "UDP 8443"));
	at.host = "";
	assert_non_null(strstr(cause_fix(CAUSE_DNS_SILENT, &at, fix), "for the server"));
	/* the longest host fits or is cut, and the text ends */
	memset(host, 'a', 255);
	host[255] = 0;
	at.host = host;
	cause_fix(CAUSE_NOT_TLS, &at, fix);
	assert_int_equal(strlen(fix), CAUSE_FIX_MAX - 1);
}

static void proxies_are_known(void **state)
{
	assert_true(cause_is_proxy(cause_of_word("proxy-password")));
	assert_true(cause_is_proxy(cause_of_word("proxy-library")));
	assert_false(cause_is_proxy(CAUSE_TCP_REFUSED));
	assert_false(cause_is_proxy(CAUSE_INTERNAL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_are_stable_and_each_has_a_fix),
		cmocka_unit_test(values_are_filled_in),
		cmocka_unit_test(proxies_are_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
