#include "cli/tty.h"

#include "test.h"

static void check(const char *pieces[], const char *sent, bool leaves)
{
	struct tty_escape e = { .line_start = true };
	uint8_t out[64];
	char all[128] = "";
	bool left = false;

	for (size_t i = 0; pieces[i] && !left; i++) {
		size_t n;
		left = tty_escape_feed(&e, (const uint8_t *)pieces[i], strlen(pieces[i]), out, &n);
		strncat(all, (char *)out, n);
	}
	assert_string_equal(all, sent);
	assert_int_equal(left, leaves);
}

static void test_escape(void **state)
{
	check((const char *[]){ "~.", NULL }, "", true);
	check((const char *[]){ "ls\r~", ".", NULL }, "ls\r", true);
	check((const char *[]){ "ls~.", NULL }, "ls~.", false);
	check((const char *[]){ "~~.", NULL }, "~.", false);
	check((const char *[]){ "~", "x", NULL }, "~x", false);
	check((const char *[]){ "a\n~\r~.b", NULL }, "a\n~\r", true);
	check((const char *[]){ "cd ~\r", NULL }, "cd ~\r", false);
}

int main(void)
{
	const struct CMUnitTest tests[] = { TEST(test_escape) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
