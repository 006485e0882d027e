#include "test.h"

#include <errno.h>
#include <time.h>

#include "base/err.h"
#include "proto/http/http.h"

static void test_percent(void **state)
{
	char out[16];

	assert_int_equal(http_percent_decode(span_str("a%20b+c%C3%A9"), false, out, 16), 7);
	assert_string_equal(out, "a b+c\xc3\xa9");
	assert_int_equal(http_percent_decode(span_str("a+b"), true, out, 16), 3);
	assert_string_equal(out, "a b");
	assert_int_equal(http_percent_decode(span_str("%41"), false, out, 2), 1);
	assert_int_equal(http_percent_decode(span_str("%4"), false, out, 16), FL_EMALFORMED);
	assert_int_equal(http_percent_decode(span_str("%"), false, out, 16), FL_EMALFORMED);
	assert_int_equal(http_percent_decode(span_str("%g0"), false, out, 16), FL_EMALFORMED);
	assert_int_equal(http_percent_decode(span_str("%00"), false, out, 16), FL_EMALFORMED);
	assert_int_equal(http_percent_decode(span_str("ab"), false, out, 2), FL_EQUOTA);
	assert_int_equal(http_percent_decode(span_str(""), false, out, 0), FL_EQUOTA);
	assert_int_equal(http_percent_encode(span_str("a b/\xc3~"), out, 16), 0);
	assert_string_equal(out, "a%20b%2F%C3~");
	assert_int_equal(http_percent_encode(span_str("abcd"), out, 4), FL_EQUOTA);
}

static void test_query(void **state)
{
	const struct span q = span_str("id=a%3Db&empty=&flag&n%61me=x+y&id=2&bad=%zz");
	char out[16];

	assert_int_equal(http_query_get(q, "id", out, 16), 3);
	assert_string_equal(out, "a=b");
	assert_int_equal(http_query_get(q, "empty", out, 16), 0);
	assert_int_equal(http_query_get(q, "flag", out, 16), 0);
	assert_int_equal(http_query_get(q, "name", out, 16), 3);
	assert_string_equal(out, "x y");
	assert_int_equal(http_query_get(q, "none", out, 16), -ENOENT);
	assert_int_equal(http_query_get(q, "bad", out, 16), FL_EMALFORMED);
	assert_int_equal(http_query_get(span_of(NULL, 0), "id", out, 16), -ENOENT);
}

static struct http_headers headers_of(struct http_header fields[2], const char *name,
				      const char *first, const char *second)
{
	fields[0] = (struct http_header){ span_str(name), span_str(first) };
	fields[1] = (struct http_header){ span_str(name), span_str(second ? second : "") };
	return (struct http_headers){ fields, second ? 2 : 1 };
}

static void test_cookie(void **state)
{
	struct http_header f[2];
	struct http_headers h = headers_of(f, "cookie",
					   "a=1; xfairlead=no;fairlead=\"k=v\" ; novalue",
					   "late=3; fairlead=second; empty=");

	assert_true(span_is(http_cookie_get(&h, "fairlead"), "k=v"));
	assert_true(span_is(http_cookie_get(&h, "late"), "3"));
	assert_non_null(http_cookie_get(&h, "empty").ptr);
	assert_int_equal(http_cookie_get(&h, "empty").len, 0);
	assert_null(http_cookie_get(&h, "novalue").ptr);
	assert_null(http_cookie_get(&h, "b").ptr);
}

static void test_token_list(void **state)
{
	struct http_header f[2];
	struct http_headers h = headers_of(f, "connection", "keep-alive , UPGRADE", ",,close\t");

	assert_true(http_headers_has_token(&h, "connection", "upgrade"));
	assert_true(http_headers_has_token(&h, "connection", "close"));
	assert_false(http_headers_has_token(&h, "connection", "keep"));
	assert_false(http_headers_has_token(&h, "upgrade", "close"));
}

static void test_coding(void **state)
{
	static const struct {
		const char *accept;
		unsigned available;
		enum http_coding expected;
	} cases[] = {
		{ "gzip, deflate, br, zstd", 3, HTTP_CODING_BR },
		{ "gzip, deflate, br", 1, HTTP_CODING_GZIP },
		{ "gzip, deflate, br", 0, HTTP_CODING_IDENTITY },
		{ "gzip;q=1.0, br;q=0.5", 3, HTTP_CODING_GZIP },
		{ "gzip;q=0.5, br;q=0.501", 3, HTTP_CODING_BR },
		{ "br;q=0, gzip;q=0", 3, HTTP_CODING_IDENTITY },
		{ "*", 3, HTTP_CODING_BR },
		{ "br;q=0, *;q=0.1", 3, HTTP_CODING_GZIP },
		{ "identity;q=1, gzip;q=0.5", 3, HTTP_CODING_IDENTITY },
		{ "identity, gzip", 3, HTTP_CODING_GZIP },
		{ "identity;q=0.5, *;q=0", 3, HTTP_CODING_IDENTITY },
		{ "GZIP ; Q=0.3", 3, HTTP_CODING_GZIP },
		{ "br;q=2, gzip", 3, HTTP_CODING_GZIP },
		{ "br;q=nan", 3, HTTP_CODING_IDENTITY },
		{ "", 3, HTTP_CODING_IDENTITY },
		{ "brotli", 3, HTTP_CODING_IDENTITY },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct http_header f[2];
		struct http_headers h = headers_of(f, "accept-encoding", cases[i].accept, NULL);

		if (http_choose_coding(&h, cases[i].available) != cases[i].expected)
			fail_msg("%s", cases[i].accept);
	}
}

static void test_etag(void **state)
{
	assert_true(http_etag_match(span_str("\"a\", W/\"b\""), "\"b\""));
	assert_true(http_etag_match(span_str("\"a\""), "W/\"a\""));
	assert_true(http_etag_match(span_str(" * "), "\"a\""));
	assert_false(http_etag_match(span_str("\"ab\""), "\"a\""));
	assert_false(http_etag_match(span_str("a"), "\"a\""));
	assert_false(http_etag_match(span_of(NULL, 0), "\"a\""));
}

static void test_date(void **state)
{
	char out[HTTP_DATE_LEN], expected[64];

	assert_string_equal(http_date(784111777, out), "Sun, 06 Nov 1994 08:49:37 GMT");
	assert_string_equal(http_date(0, out), "Thu, 01 Jan 1970 00:00:00 GMT");
	assert_string_equal(http_date(-5, out), "Thu, 01 Jan 1970 00:00:00 GMT");
	assert_string_equal(http_date(INT64_MAX, out), "Fri, 31 Dec 9999 23:59:59 GMT");
	for (time_t t = 0; t < 8000000000; t += 86400 * 3 + 3677) {
		struct tm tm;

		gmtime_r(&t, &tm);
		strftime(expected, sizeof(expected), "%a, %d %b %Y %H:%M:%S GMT", &tm);
		assert_string_equal(http_date(t, out), expected);
	}
}

static void test_names(void **state)
{
	assert_string_equal(http_method_name(HTTP_METHOD_DELETE), "DELETE");
	assert_string_equal(http_status_text(404), "Not Found");
	assert_string_equal(http_status_text(299), "Unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_percent), TEST(test_query), TEST(test_cookie), TEST(test_token_list),
		TEST(test_coding),  TEST(test_etag),  TEST(test_date),	 TEST(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
