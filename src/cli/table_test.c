#include "test.h"

#include <stdlib.h>

#include "cli/table.h"

static void expect(const struct table *t, const char *want)
{
	char *got = NULL;
	size_t len;
	FILE *f = open_memstream(&got, &len);

	assert_non_null(f);
	table_print(t, f);
	fclose(f);
	assert_string_equal(got, want);
	free(got);
}

/* Widths are of characters; an empty column and spaces at the end of a line are left out. */
static void test_aligned(void **state)
{
	static struct table t = { .columns = 4 };

	expect(&t, "");
	table_row(&t, NULL, (const char *[]){ "a", "", "übel", NULL });
	table_row(&t, NULL, (const char *[]){ "long", NULL, "x", "end" });
	table_row(&t, "\x1b[31m", (const char *[]){ "", "", "", "last" });
	expect(&t, "  a     übel\n"
		   "  long  x     end\n"
		   "\x1b[31m              last\x1b[0m\n");
	table_finish(&t);
}

static void test_full(void **state)
{
	static struct table t = { .columns = 1 };

	for (int i = 0; i < TABLE_ROWS_MAX + 5; i++)
		table_row(&t, NULL, (const char *[]){ "x" });
	assert_int_equal(t.rows, TABLE_ROWS_MAX);
	table_finish(&t);
	assert_int_equal(t.rows, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_aligned),
		cmocka_unit_test(test_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
