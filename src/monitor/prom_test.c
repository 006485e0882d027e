#include "test.h"

#include "base/err.h"
#include "monitor/prom.h"

static void test_format(void **state)
{
	struct buf b = BUF_INIT(4096);
	struct prom p = { .buf = &b, .prefix = "x_" };
	char *text;

	prom_one(&p, "a_total", "counter", "What it counts.", 7);
	prom_head(&p, "b", "gauge", "By name.");
	prom_labelled(&p, "b", "name", "plain", 1);
	prom_labelled(&p, "b", "name", "", 2);
	prom_labelled(&p, "b", "name", "a\"b\\c\nd\"", 3);
	assert_int_equal(p.err, 0);
	text = buf_steal_string(&b);
	assert_string_equal(text, "# HELP x_a_total What it counts.\n# TYPE x_a_total counter\n"
				  "x_a_total 7\n# HELP x_b By name.\n# TYPE x_b gauge\n"
				  "x_b{name=\"plain\"} 1\nx_b{name=\"\"} 2\n"
				  "x_b{name=\"a\\\"b\\\\c\\nd\\\"\"} 3\n");
	free(text);
}

static const char *value_of(const char *text, const char *name)
{
	const char *at = strstr(text, name);

	assert_non_null(at);
	return at + strlen(name);
}

static void test_process(void **state)
{
	struct buf b = BUF_INIT(4096);
	struct prom p = { .buf = &b, .prefix = "x_" };
	char *text;

	prom_process(&p);
	text = buf_steal_string(&b);
	assert_true(strtod(value_of(text, "\nprocess_cpu_seconds_total "), NULL) >= 0);
	assert_true(strtoull(value_of(text, "\nprocess_resident_memory_bytes "), NULL, 10) > 4096);
	free(text);
}

/* What does not fit is an error, and nothing comes after it. */
static void test_full(void **state)
{
	struct buf b = BUF_INIT(40);
	struct prom p = { .buf = &b, .prefix = "x_" };

	for (int i = 0; i < 10; i++)
		prom_labelled(&p, "b", "name", "plain", 1);
	assert_int_equal(p.err, FL_EQUOTA);
	assert_true(buf_span(&b).len <= 40);
	buf_finish(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = { TEST(test_format), TEST(test_process),
					    TEST(test_full) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
