#include "test.h"

#include "hub/json/messages.h"

static json_t *take(const struct schema *table, const char *text, char why[SCHEMA_WHY_MAX])
{
	return schema_take_text(table, span_str(text), why);
}

static void accept_as(const struct schema *table, const char *text, const char *want)
{
	char why[SCHEMA_WHY_MAX];
	json_t *v = take(table, text, why);
	char *got = json_dumps(v, JSON_COMPACT | JSON_SORT_KEYS);

	assert_string_equal(why, "");
	assert_string_equal(got, want);
	free(got);
	json_decref(v);
}

static void refuse(const struct schema *table, const char *text, const char *want)
{
	char why[SCHEMA_WHY_MAX];

	assert_null(take(table, text, why));
	assert_string_equal(why, want);
}

static void test_strings(void **state)
{
	accept_as(message_link, "{\"code\":\"abc\"}", "{\"code\":\"abc\"}");
	accept_as(message_link, "{\"more\":[1],\"code\":\"Ö\"}", "{\"code\":\"Ö\"}");
	refuse(message_link, "{}", "code is missing");
	refuse(message_link, "{\"code\":null}", "code is not a string");
	refuse(message_link, "{\"code\":\"\"}", "code is empty");
	refuse(message_password, "{\"password\":\"1234567\"}", "password is shorter than 8 bytes");
	refuse(message_link, "[]", "the body is not an object");
}

static void test_not_json(void **state)
{
	refuse(message_link, "", "the body is not JSON (line 1, column 0)");
	refuse(message_link, "{\"code\":\"a\"} x", "the body is not JSON (line 1, column 14)");
	refuse(message_link, "{\"code\":\"a\",\"code\":\"b\"}",
	       "the body is not JSON (line 1, column 18)");
	refuse(message_link, "{\"code\":\"\xff\"}", "the body is not JSON (line 1, column 9)");
	refuse(message_link, "{\"code\":\"a\\u0000b\"}",
	       "the body is not JSON (line 1, column 18)");
}

static void test_numbers(void **state)
{
	accept_as(message_enrolment_token, "{}", "{}");
	accept_as(message_enrolment_token, "{\"uses\":100000}", "{\"uses\":100000}");
	refuse(message_enrolment_token, "{\"uses\":0}", "uses is not between 1 and 100000");
	refuse(message_enrolment_token, "{\"uses\":1.0}", "uses is not a whole number");
	refuse(message_enrolment_token, "{\"uses\":\"1\"}", "uses is not a whole number");
}

#define CANDIDATE "{\"type\":\"host\",\"address\":\"a\",\"port\":1,\"protocol\":\"udp\"}"
#define ROUTE(extra)                                                                               \
	"{\"session\":\"s1\",\"route\":{\"method\":\"local\",\"transport\":\"udp\",\"rtt_ms\":0."  \
	"4,"                                                                                       \
	"\"reason\":\"\",\"pair\":{\"local\":" CANDIDATE ",\"remote\":" CANDIDATE "}" extra "}}"

static void test_nested(void **state)
{
	char why[SCHEMA_WHY_MAX];
	json_t *v = take(message_route, ROUTE(",\"x\":1"), why);

	assert_non_null(v);
	assert_null(json_object_get(json_object_get(v, "route"), "x"));
	json_decref(v);
	refuse(message_route, "{\"session\":\"s1\",\"route\":{\"method\":\"far\"}}",
	       "route.method is not one of the known words");
	refuse(message_route, "{\"session\":\"../x\",\"route\":{}}", "session is not an id");
	refuse(message_route, ROUTE(",\"tried\":[{\"local\":" CANDIDATE ",\"remote\":{}}]"),
	       "route.tried.remote.type is missing");
	refuse(message_route, ROUTE(",\"tried\":{}"), "route.tried is not a list");
}

#define PLATFORM "\"platform\":{\"arch\":\"\",\"os\":\"\",\"version\":\"\"}"

static void test_status(void **state)
{
	char text[2048], name[300];

	accept_as(message_status,
		  "{\"name\":\"n\"," PLATFORM
		  ",\"user\":null,\"address\":\"\",\"modules\":[\"a\"],\"display\":true}",
		  "{\"address\":\"\",\"display\":true,\"modules\":[\"a\"],\"name\":\"n\"," PLATFORM
		  ",\"user\":null}");
	memset(name, 'x', 256);
	name[256] = 0;
	snprintf(text, sizeof(text), "{\"name\":\"%s\"}", name);
	refuse(message_status, text, "name is longer than 255 bytes");
	/* bytes, not characters */
	snprintf(text, sizeof(text), "{\"name\":\"%.*s\u00d6\"}", 254, name);
	refuse(message_status, text, "name is longer than 255 bytes");
	refuse(message_status,
	       "{\"name\":\"n\"," PLATFORM
	       ",\"user\":null,\"address\":\"\",\"modules\":[\"\"],\"display\":true}",
	       "modules is empty");
}

static const char whole_route[] =
	"{\"session\":\"s\",\"route\":{\"method\":\"none\",\"transport\":\"udp\",\"rtt_ms\":null,"
	"\"setup_ms\":null,\"reason\":\"\",\"pair\":null,\"tried\":[{\"local\":{\"type\":\"host\","
	"\"address\":\"10.0.0.4\",\"port\":1,\"protocol\":\"udp\"},\"remote\":{\"type\":\"relay\","
	"\"address\":\"10.0.0.5\",\"port\":2,\"protocol\":\"udp\"},\"state\":\"failed\",\"sent\":7,"
	"\"answered\":0,\"received\":1,\"rtt_ms\":null,\"error\":null}],"
	"\"candidates\":[{\"side\":\"local\",\"type\":\"host\",\"address\":\"10.0.0.4\",\"port\":1,"
	"\"protocol\":\"udp\",\"origin\":\"eth0\",\"net\":\"physical\",\"ms\":0.5,\"use\":"
	"\"tried\","
	"\"why\":null}],\"servers\":[{\"url\":\"stun:a:1\",\"transport\":\"udp\",\"via\":"
	"\"direct\","
	"\"state\":\"silent\",\"ms\":null,\"mapped\":null,\"code\":null,\"error\":null}],"
	"\"nat\":{\"mapping\":\"unknown\",\"filtering\":\"open\"},\"ignored\":{\"bad-name\":3}}}";

static void test_route(void **state)
{
	char why[SCHEMA_WHY_MAX];
	json_t *v = take(message_route, whole_route, why),
	       *given = json_loads(whole_route, 0, NULL);

	assert_true(json_equal(v, given));
	json_decref(v);
	json_decref(given);
#define IGNORED(x)                                                                                 \
	"{\"session\":\"s\",\"route\":{\"method\":\"none\",\"transport\":\"udp\",\"rtt_ms\":null," \
	"\"reason\":\"\",\"pair\":null,\"ignored\":" x "}}"
	refuse(message_route, IGNORED("[]"),
	       "route.ignored is not an object of at most 64 numbers");
	refuse(message_route, IGNORED("{\"<b>\":1}"),
	       "route.ignored has something else than words with numbers from 0 on");
	refuse(message_route, IGNORED("{\"a\":-1}"),
	       "route.ignored has something else than words with numbers from 0 on");
}

static void test_ids(void **state)
{
	assert_true(schema_is_id("AZaz09-_"));
	assert_false(schema_is_id(""));
	assert_false(schema_is_id("a/b"));
	assert_false(schema_is_id("a.b"));
	assert_true(schema_is_id("123456789012345678901234567"));
	assert_false(schema_is_id("1234567890123456789012345678"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_strings), TEST(test_not_json), TEST(test_numbers), TEST(test_nested),
		TEST(test_status),  TEST(test_route),	 TEST(test_ids),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
