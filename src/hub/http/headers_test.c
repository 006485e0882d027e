#include "test.h"

#include "hub/http/headers.h"

static const char *value_of(const struct headers *h, const char *name)
{
	for (size_t i = 0; i < h->count; i++)
		if (strcmp(h->fields[i].name, name) == 0)
			return h->fields[i].value;
	return NULL;
}

static void test_csp(void **state)
{
	char csp[HEADERS_CSP_CAP];

	headers_csp(span_str("hub.example:8443"), csp);
	assert_string_equal(csp, "default-src 'none'; script-src 'self'; style-src 'self'; "
				 "img-src 'self' blob: data:; font-src 'self'; connect-src 'self' "
				 "wss://hub.example:8443; media-src 'self' blob: mediastream:; "
				 "form-action 'self'; frame-ancestors 'none'; base-uri 'none'; "
				 "require-trusted-types-for 'script'; trusted-types 'none'");
	headers_csp(span_str("[::1]:8443"), csp);
	assert_non_null(strstr(csp, "connect-src 'self' wss://[::1]:8443;"));
	/* a host that would add to the policy is left out */
	headers_csp(span_str("x; script-src *"), csp);
	assert_non_null(strstr(csp, "connect-src 'self'; media-src"));
	headers_csp(span_of("a\0b", 3), csp);
	assert_non_null(strstr(csp, "connect-src 'self'; media-src"));
}

static void test_hsts(void **state)
{
	static const char *const real[] = { "hub.example", "hub.example:8443" };
	static const char *const local[] = { "localhost:8443", "127.0.0.1:8443", "[::1]", "hub", "",
					     "a b.example" };
	struct headers h;

	for (size_t i = 0; i < ARRAY_LEN(real); i++) {
		headers_init(&h, span_str(real[i]));
		assert_non_null(value_of(&h, "strict-transport-security"));
	}
	for (size_t i = 0; i < ARRAY_LEN(local); i++) {
		headers_init(&h, span_str(local[i]));
		assert_null(value_of(&h, "strict-transport-security"));
		assert_string_equal(value_of(&h, "x-content-type-options"), "nosniff");
	}
}

static bool fits(const char *origin, const char *host)
{
	return headers_origin_fits(span_str(origin), span_str(host));
}

static void test_origin(void **state)
{
	assert_true(fits("https://hub.example", "hub.example"));
	assert_true(fits("https://HUB.example:8443", "hub.example:8443"));
	assert_false(fits("http://hub.example", "hub.example"));
	assert_false(fits("https://hub.example", "hub.example:8443"));
	assert_false(fits("https://hub.example.evil", "hub.example"));
	assert_false(fits("https://evil", "hub.example"));
	assert_false(fits("null", "hub.example"));
	assert_false(fits("", ""));
	assert_false(fits("https://", ""));
}

int main(void)
{
	const struct CMUnitTest tests[] = { TEST(test_csp), TEST(test_hsts), TEST(test_origin) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
