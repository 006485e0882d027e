#include <stdio.h>
#include <string.h>

#include "test.h"
#include "wayout/pac_answer.h"

static void answers(void **state)
{
	static const struct {
		const char *text, *formatted;
		unsigned bad;
	} rows[] = {
		{ "DIRECT", "direct ", 0 },
		{ "", "direct ", 0 },
		{ " ; ", "direct ", 0 },
		{ "PROXY a:1; DIRECT", "http://a:1 direct ", 0 },
		{ "proxy a:1;SOCKS b:2;SOCKS5 c;HTTPS d",
		  "http://a:1 socks5h://b:2 socks5h://c:1080 "
		  "https://d:443 ",
		  0 },
		{ "PROXY a:1 b:2; DIRECT", "direct ", 1 },
		{ "NONSENSE", "", 1 },
		{ "PROXY", "", 1 },
		{ "DIRECT now", "", 1 },
		{ "PROXY <script>:1", "", 1 },
		{ "PROXY [2001:db8::1]:1", "http://[2001:db8::1]:1 ", 0 },
	};
	char shown[PAC_URL_CAP], all[512];
	struct pac_ways ways;
	unsigned bad;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		pac_answer_parse(rows[i].text, strlen(rows[i].text), &ways, &bad);
		all[0] = 0;
		for (size_t k = 0, len = 0; k < ways.n; k++)
			len += (size_t)snprintf(all + len, sizeof(all) - len, "%s ",
						pac_way_format(&ways.list[k], shown));
		assert_string_equal(all, rows[i].formatted);
		assert_int_equal(bad, rows[i].bad);
	}
	pac_answer_parse("PROXY a\0b:1", 11, &ways, &bad);
	assert_int_equal(bad, 1);
	char many[PAC_WAYS_MAX * 20 + 40] = "";
	for (size_t i = 0; i < PAC_WAYS_MAX + 2; i++)
		snprintf(many + 10 * i, sizeof(many) - 10 * i, "PROXY a:1;");
	pac_answer_parse(many, strlen(many), &ways, &bad);
	assert_int_equal(ways.n, PAC_WAYS_MAX);
	assert_int_equal(bad, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
