#include "test.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "hublink/way.h"

static const char *const variables[] = { "https_proxy", "HTTPS_PROXY", "all_proxy",
					 "ALL_PROXY",	"no_proxy",    "NO_PROXY" };

static int clear(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(variables); i++)
		unsetenv(variables[i]);
	return 0;
}

static struct way *make(const struct way_options *o)
{
	struct way *w = NULL;
	char why[512];

	assert_int_equal(way_create(o, &w, why), 0);
	return w;
}

static void expect_to(const struct way *w, const char *host, const char *proxy)
{
	struct proxy *p = way_to(w, host);

	assert_int_equal(!p, !proxy);
	if (p)
		assert_string_equal(proxy_text(p), proxy);
}

static void from_the_environment(void **state)
{
	struct way_options o = { .proxy = "auto", .root = "/nonexistent" };

	struct way *w = make(&o);
	expect_to(w, "hub.example", NULL);
	assert_null(way_of_peers(w));
	way_destroy(w);

	setenv("ALL_PROXY", "socks5://all:1", 1);
	setenv("no_proxy", ".intern.example, 10.0.0.0/8", 1);
	w = make(&o);
	expect_to(w, "hub.example", "socks5h://all:1");
	way_destroy(w);

	setenv("https_proxy", "http://nora:secret@proxy:3128", 1);
	w = make(&o);
	expect_to(w, "hub.example", "http://proxy:3128");
	expect_to(w, "hub.intern.example", NULL);
	expect_to(w, "10.1.2.3", NULL);
	expect_to(w, "localhost", NULL);
	expect_to(w, "127.0.0.1", NULL);
	expect_to(w, "::1", NULL);
	assert_string_equal(way_of_peers(w)->url, "http://nora:secret@proxy:3128");
	assert_non_null(strstr(way_of_peers(w)->except, "10.0.0.0/8"));
	way_destroy(w);
}

static void from_the_options(void **state)
{
	struct way_options o = { .proxy = "none" };

	setenv("https_proxy", "http://proxy:3128", 1);
	setenv("no_proxy", "*", 1);
	struct way *w = make(&o);
	expect_to(w, "hub.example", NULL);
	way_destroy(w);

	/* an option counts for every host, this machine included */
	o.proxy = "http://other:8080";
	w = make(&o);
	expect_to(w, "hub.example", "http://other:8080");
	expect_to(w, "127.0.0.1", "http://other:8080");
	assert_null(way_of_peers(w)->except);
	way_destroy(w);
}

static void what_is_refused(void **state)
{
	static const struct {
		struct way_options o;
		const char *says;
	} rows[] = {
		{ { .proxy = "ftp://p:21" }, "not a proxy's address" },
		{ { .proxy = "http://nora:secret@p:80" }, "--proxy-password-file" },
		{ { .proxy = "http://p:80", .password_file = "/nonexistent/file" },
		  "cannot be read" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct way *w = NULL;
		char why[512] = "";

		assert_true(way_create(&rows[i].o, &w, why) < 0);
		assert_non_null(strstr(why, rows[i].says));
		assert_null(strstr(why, "secret"));
		assert_null(w);
	}
}

static void write_password(const char *path, const char *text, mode_t mode)
{
	FILE *f = fopen(path, "we");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	assert_int_equal(chmod(path, mode), 0);
}

static void the_password_file(void **state)
{
	char path[] = "/tmp/fairlead-way-XXXXXX", why[512];
	struct way_options o = { .proxy = "http://p:80", .user = "nora", .password_file = path };
	struct proxy_asker asker = { 0 };
	struct way *w;
	int fd = mkstemp(path);

	list_init(&asker.node);
	assert_true(fd >= 0);
	close(fd);
	write_password(path, "secret\n", 0644);
	assert_int_equal(way_create(&o, &w, why), -EPERM);
	assert_non_null(strstr(why, "chmod o-r"));
	write_password(path, "secret\r\n", 0600);
	w = make(&o);
	struct proxy *first = way_to(w, "hub");
	assert_string_equal(way_of_peers(w)->password, "secret");
	assert_string_equal(proxy_inside(first)->password, "secret");

	/* nothing was refused: the file is of no interest */
	write_password(path, "other", 0600);
	way_refresh(w);
	assert_ptr_equal(way_to(w, "hub"), first);
	/* refused, and another password there by now */
	assert_int_equal(proxy_ask(first, &asker), PROXY_GO);
	proxy_answered(first, &asker, PROXY_REFUSED);
	way_refresh(w);
	assert_false(proxy_is_refused(way_to(w, "hub")));
	assert_string_equal(way_of_peers(w)->password, "other");
	/* refused again, and still the same there */
	assert_int_equal(proxy_ask(way_to(w, "hub"), &asker), PROXY_GO);
	proxy_answered(way_to(w, "hub"), &asker, PROXY_REFUSED);
	way_refresh(w);
	assert_true(proxy_is_refused(way_to(w, "hub")));
	way_destroy(w);
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(from_the_environment, clear),
		cmocka_unit_test_setup(from_the_options, clear),
		cmocka_unit_test_setup(what_is_refused, clear),
		cmocka_unit_test_setup(the_password_file, clear),
	};

	return cmocka_run_group_tests(tests, NULL, clear);
}
