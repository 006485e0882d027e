#include "test.h"

#include "base/opt.h"

struct target {
	bool flag, relay;
	char *text;
	struct opt_list list;
	int64_t number;
	uint16_t port;
	int choice;
};

static const char *const colours[] = { "red", "blue", NULL };
static const struct opt table[] = {
	{ "flag", 'f', OPT_FLAG, offsetof(struct target, flag), .help = "A flag" },
	{ "relay", 0, OPT_FLAG, offsetof(struct target, relay), .help = "Relay", .initial = "yes",
	  .negatable = true },
	{ "text", 't', OPT_STRING, offsetof(struct target, text), "NAME", "A text", "first" },
	{ "list", 0, OPT_LIST, offsetof(struct target, list), .help = "A list" },
	{ "number", 0, OPT_NUMBER, offsetof(struct target, number), .help = "A number", .min = -5,
	  .max = 5 },
	{ "port", 0, OPT_PORT, offsetof(struct target, port), .help = "A port", .initial = "8443" },
	{ "colour", 0, OPT_CHOICE, offsetof(struct target, choice), .help = "A colour",
	  .choices = colours },
	{ "config", 0, OPT_STRING, offsetof(struct target, text), .help = "A file",
	  .cli_only = true },
	{ "secret", 0, OPT_NUMBER, offsetof(struct target, number), .help = "A secret", .min = 0,
	  .max = 9, .secret = true, .group = "Secrets" },
	{ 0 },
};

static struct target fresh(void)
{
	struct target t = { 0 };

	assert_int_equal(opt_defaults(table, &t), 0);
	return t;
}

static void test_args(void **state)
{
	char *argv[] = { "x",	   "one", "--port=99", "-f", "--no-relay", "two",
			 "--list", "a",	  "--list=b",  "--", "--text",	   NULL };
	struct target t = fresh();
	struct opt_error error;
	int first;

	assert_true(t.relay);
	assert_int_equal(opt_parse_args(table, &t, 11, argv, false, &first, &error), 0);
	assert_int_equal(t.port, 99);
	assert_true(t.flag && !t.relay);
	assert_int_equal(t.list.count, 2);
	assert_string_equal(t.list.items[1], "b");
	assert_string_equal(argv[first], "one");
	assert_string_equal(argv[first + 1], "two");
	assert_string_equal(argv[first + 2], "--text");
	assert_int_equal(first + 3, 11);
	opt_finish(table, &t);
}

static void test_stop_at_arg(void **state)
{
	char *argv[] = { "x", "-f", "ls", "-f", "--nonsense", NULL };
	struct target t = fresh();
	struct opt_error error;
	int first;

	assert_int_equal(opt_parse_args(table, &t, 5, argv, true, &first, &error), 0);
	assert_string_equal(argv[first], "ls");
	assert_string_equal(argv[first + 2], "--nonsense");
	opt_finish(table, &t);
}

static void expect_bad_arg(char *arg, const char *text)
{
	char *argv[] = { "x", arg, NULL };
	struct target t = fresh();
	struct opt_error error;
	int first;

	assert_true(opt_parse_args(table, &t, 2, argv, false, &first, &error) < 0);
	assert_string_equal(error.text, text);
	opt_finish(table, &t);
}

static void test_bad_args(void **state)
{
	expect_bad_arg("--prot=1", "unknown option \"--prot\"; did you mean \"--port\"?");
	expect_bad_arg("--port", "--port needs a value: --port VALUE");
	expect_bad_arg("--port=70000", "--port: \"70000\" is not a number from 0 to 65535");
	expect_bad_arg("--number=6", "--number: \"6\" is not a number from -5 to 5");
	expect_bad_arg("--colour=green", "--colour: \"green\" is not one of red, blue");
	expect_bad_arg("--flag=yes", "--flag takes no value");
	expect_bad_arg("--no-flag", "unknown option \"--no-flag\"");
	expect_bad_arg("-x", "unknown option \"-x\"");
}

static void expect_bad_text(const char *text, const char *want)
{
	struct target t = fresh();
	struct opt_error error;

	assert_true(opt_parse_text(table, &t, "hub.conf", text, strlen(text), &error) < 0);
	assert_string_equal(error.text, want);
	opt_finish(table, &t);
}

static void test_file(void **state)
{
	const char *good = "# comment\n\n port = 1 \ntext=a = b\r\nflag = yes\n";
	struct target t = fresh();
	struct opt_error error;

	assert_int_equal(opt_parse_text(table, &t, "f", good, strlen(good), &error), 0);
	assert_int_equal(t.port, 1);
	assert_string_equal(t.text, "a = b");
	assert_true(t.flag);
	opt_finish(table, &t);
	expect_bad_text("\nport = 1\nprot = 2\n",
			"hub.conf:3: unknown key \"prot\"; did you mean \"port\"?");
	expect_bad_text("port\n", "hub.conf:1: expected \"key = value\"");
	expect_bad_text("flag = maybe",
			"hub.conf:1: flag: \"maybe\" is neither \"yes\" nor \"no\"");
	expect_bad_text("config = x",
			"hub.conf:1: \"config\" belongs on the command line, not in a file");
	assert_true(opt_parse_file(table, &t, "/nonexistent/file", &error) < 0);
	assert_string_equal(error.text,
			    "/nonexistent/file: cannot be read: No such file or directory");
}

static void test_many_errors(void **state)
{
	const char *bad = "nonsense\nport = x\ntext = fine\nsecret = hunter2\n";
	struct target t = fresh();
	struct opt_error error;
	char text[4000];
	size_t len = 0;

	assert_true(opt_parse_text(table, &t, "f", bad, strlen(bad), &error) < 0);
	assert_string_equal(error.text, "f:1: expected \"key = value\"\n"
					"f:2: port: \"x\" is not a number from 0 to 65535\n"
					"f:4: secret: the value is not a number from 0 to 9");
	for (int i = 0; i < OPT_ERRORS_MAX + 5; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "nonsense\n");
	assert_true(opt_parse_text(table, &t, "f", text, len, &error) < 0);
	assert_non_null(strstr(error.text, "f:16: "));
	assert_null(strstr(error.text, "f:17: "));
	assert_non_null(strstr(error.text, "\nthere are more errors after these"));
	opt_finish(table, &t);
}

static void test_line_of(void **state)
{
	const char *text = "port=1\n\n  port = 2\nports = 3\n# port = 4";

	assert_int_equal(opt_line_of(text, strlen(text), "port"), 3);
	assert_int_equal(opt_line_of(text, strlen(text), "ports"), 4);
	assert_int_equal(opt_line_of(text, strlen(text), "por"), 0);
	assert_int_equal(opt_line_of("", 0, "port"), 0);
}

static void test_hide_secrets(void **state)
{
	char a[] = "--secret=123", b[] = "--secret", c[] = "hunter2", d[] = "--text",
	     e[] = "--secret", f[] = "--flag", g[] = "--", h[] = "--secret=9";
	char *argv[] = { "x", a, b, c, f, d, e, g, h, NULL };

	opt_hide_secrets(table, 9, argv);
	assert_string_equal(a, "--secret=***");
	assert_string_equal(c, "*******");
	assert_string_equal(e, "--secret"); /* --text's value */
	assert_string_equal(h, "--secret=9");
}

static void test_texts(void **state)
{
	static const struct opt_program program = { "fairlead-x", "does x", "fairlead-x [OPTIONS]",
						    ".about -x", table };
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	opt_help(&program, f);
	opt_manual(&program, f);
	opt_completion_bash(&program, f);
	fclose(f);
	assert_non_null(strstr(text, "  -t, --text NAME           A text (default: first)\n"));
	assert_non_null(strstr(text, "--[no-]relay"));
	assert_non_null(strstr(text, "\nSecrets:\n  --secret"));
	assert_non_null(strstr(text, ".SS Secrets\n"));
	assert_non_null(strstr(text, "\\&.about \\-x"));
	assert_non_null(strstr(text, "complete -o default -F _fairlead_x fairlead-x"));
	free(text);
}

static void test_asked(void **state)
{
	static const struct opt asked_table[] = { OPT_ASKED(0), { NULL } };
	static const struct opt_program program = { "fairlead x", "does x", "fairlead x", NULL,
						    asked_table };
	static const struct {
		char *flag;
		const char *shows;
	} cases[] = {
		{ "--help", "fairlead x: does x\n" },
		{ "-V", "fairlead x " FAIRLEAD_VERSION "\n" },
		{ "--manual", ".TH fairlead-x 1\n.SH NAME\nfairlead-x \\- does x\n" },
		{ "--completion", "--help --version --manual --completion" },
	};
	struct opt_asked asked = { 0 };
	struct opt_error error;

	assert_false(opt_print_asked(&program, &asked, stdout));
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char *argv[] = { "x", cases[i].flag, NULL }, *text = NULL;
		size_t len;
		int first;
		FILE *f = open_memstream(&text, &len);

		asked = (struct opt_asked){ 0 };
		assert_int_equal(
			opt_parse_args(asked_table, &asked, 2, argv, false, &first, &error), 0);
		assert_true(opt_is_asked(&asked));
		assert_true(opt_print_asked(&program, &asked, f));
		fclose(f);
		assert_non_null(strstr(text, cases[i].shows));
		free(text);
	}
	assert_true(opt_parse_text(asked_table, &asked, "x.conf", "help = yes\n", 11, &error) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_args),	 TEST(test_stop_at_arg), TEST(test_bad_args),
		TEST(test_file),	 TEST(test_many_errors), TEST(test_line_of),
		TEST(test_hide_secrets), TEST(test_texts),	 TEST(test_asked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
