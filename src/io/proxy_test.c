#include "test.h"

#include <errno.h>

#include "base/err.h"
#include "io/proxy.h"

static struct proxy *make(const char *url, const char *user, const char *password)
{
	struct proxy_config config = { .url = url, .user = user, .password = password };
	struct proxy *p = NULL;
	char why[256];

	assert_int_equal(proxy_create(&config, &p, why), 0);
	return p;
}

static void addresses(void **state)
{
	static const struct {
		const char *url, *text, *host, *user, *password;
		uint16_t port;
		enum proxy_kind kind;
	} good[] = {
		{ "http://proxy.example:3128", "http://proxy.example:3128", "proxy.example", NULL,
		  NULL, 3128, PROXY_HTTP },
		{ "proxy:8080/", "http://proxy:8080", "proxy", NULL, NULL, 8080, PROXY_HTTP },
		{ "HTTPS://proxy.example", "https://proxy.example:443", "proxy.example", NULL, NULL,
		  443, PROXY_HTTPS },
		{ "socks5://[2001:db8::1]", "socks5h://[2001:db8::1]:1080", "2001:db8::1", NULL,
		  NULL, 1080, PROXY_SOCKS5 },
		{ "http://nora:s%40me%3Aword@10.0.0.1:80", "http://10.0.0.1:80", "10.0.0.1", "nora",
		  "s@me:word", 80, PROXY_HTTP },
		{ "http://nora@p:80", "http://p:80", "p", "nora", NULL, 80, PROXY_HTTP },
	};

	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		struct proxy *p = make(good[i].url, NULL, NULL);
		const struct proxy_inside *in = proxy_inside(p);

		assert_string_equal(proxy_text(p), good[i].text);
		assert_string_equal(in->host, good[i].host);
		assert_int_equal(in->port, good[i].port);
		assert_int_equal(in->kind, good[i].kind);
		assert_int_equal(!in->user, !good[i].user);
		assert_int_equal(!in->password, !good[i].password);
		if (in->user)
			assert_string_equal(in->user, good[i].user);
		if (in->password)
			assert_string_equal(in->password, good[i].password);
		proxy_unref(p);
	}
}

static void bad_addresses(void **state)
{
	static const char *const bad[] = {
		"",
		"http://",
		"http://p",
		"ftp://p:21",
		"http://p:0",
		"http://p:x",
		"http://p:65536",
		"http://p:80/path",
		"http://p:80?q",
		"http://p q:80",
		"http://[::1",
		"http://u:%zz@p:80",
		"http://u:%4@p:80",
		"http://u:%00@p:80",
	};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct proxy_config config = { .url = bad[i] };
		struct proxy *p = NULL;
		char why[256] = "";

		assert_int_equal(proxy_create(&config, &p, why), FL_EMALFORMED);
		assert_non_null(strstr(why, "It looks like http://"));
		assert_null(p);
	}
}

static void never_says_the_password(void **state)
{
	struct proxy_config config = { .url = "http://nora:hunter2@p:80/x" };
	struct proxy *p = NULL;
	char why[256];

	assert_int_equal(proxy_create(&config, &p, why), FL_EMALFORMED);
	assert_null(strstr(why, "hunter2"));
	p = make("http://nora:hunter2@p:80", NULL, NULL);
	assert_null(strstr(proxy_text(p), "hunter2"));
	proxy_unref(p);
}

static void exceptions(void **state)
{
	static const struct {
		const char *list, *host;
		bool has;
	} rows[] = {
		{ "example.org", "example.org", true },
		{ "example.org", "www.EXAMPLE.org", true },
		{ ".example.org", "www.example.org", true },
		{ "example.org", "badexample.org", false },
		{ "example.org", "org", false },
		{ "a, b\tc", "c", true },
		{ "*", "anything", true },
		{ "a,,b", "b", true },
		{ "10.0.0.0/8", "10.9.8.7", true },
		{ "10.0.0.0/8", "11.9.8.7", false },
		{ "10.1.2.3", "10.1.2.3", true },
		{ "0.0.0.0/0", "192.0.2.1", true },
		{ "2001:db8::/32", "2001:db8:1::9", true },
		{ "2001:db8::/32", "2001:db9::9", false },
		{ "10.0.0.0/33", "10.0.0.1", false },
		{ "10.0.0.0/", "10.0.0.1", false },
		{ "10.0.0.0/8x", "10.0.0.1", false },
		{ "10.0.0.0/8", "host", false },
		{ "", "host", false },
		{ NULL, "host", false },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(proxy_list_has(rows[i].list, rows[i].host), rows[i].has);
}

struct woken {
	struct proxy_asker asker;
	int times;
};

static void on_wake(void *arg)
{
	((struct woken *)arg)->times++;
}

static void prepare(struct woken *w)
{
	*w = (struct woken){ .asker = { .wake = on_wake, .arg = w } };
	list_init(&w->asker.node);
}

static void one_asks_first(void **state)
{
	struct proxy *p = make("http://p:80", "nora", "wrong");
	struct woken a, b, c;

	prepare(&a);
	prepare(&b);
	prepare(&c);
	assert_int_equal(proxy_ask(p, &a.asker), PROXY_GO);
	assert_int_equal(proxy_ask(p, &b.asker), PROXY_WAIT);
	assert_int_equal(proxy_ask(p, &c.asker), PROXY_WAIT);
	/* the first one got no answer: the next may */
	proxy_answered(p, &a.asker, PROXY_UNCLEAR);
	assert_int_equal(b.times, 1);
	assert_int_equal(c.times, 1);
	assert_int_equal(proxy_ask(p, &b.asker), PROXY_GO);
	assert_int_equal(proxy_ask(p, &c.asker), PROXY_WAIT);
	proxy_answered(p, &b.asker, PROXY_REFUSED);
	assert_int_equal(c.times, 2);
	assert_int_equal(proxy_ask(p, &c.asker), PROXY_NO);
	assert_true(proxy_is_refused(p));
	proxy_unref(p);
}

static void all_go_once_it_is_known(void **state)
{
	struct proxy *p = make("http://p:80", "nora", "right"),
		     *open = make("http://p:80", NULL, NULL);
	struct woken a, b;

	prepare(&a);
	prepare(&b);
	assert_int_equal(proxy_ask(open, &a.asker), PROXY_GO);
	assert_int_equal(proxy_ask(open, &b.asker), PROXY_GO);
	assert_int_equal(proxy_ask(p, &a.asker), PROXY_GO);
	proxy_answered(p, &a.asker, PROXY_ACCEPTED);
	assert_int_equal(proxy_ask(p, &a.asker), PROXY_GO);
	assert_int_equal(proxy_ask(p, &b.asker), PROXY_GO);
	/* it was changed at the proxy */
	proxy_answered(p, &b.asker, PROXY_REFUSED);
	assert_int_equal(proxy_ask(p, &a.asker), PROXY_NO);
	proxy_unref(p);
	proxy_unref(open);
}

static void the_same_is_shared(void **state)
{
	struct proxy *p = make("http://p:80", "nora", "wrong"),
		     *q = make("http://p:80", "nora", "wrong"),
		     *r = make("http://p:80", "nora", "right"),
		     *s = make("http://nora:wrong@p:80", NULL, NULL);
	struct woken a;

	prepare(&a);
	assert_ptr_equal(p, q);
	assert_ptr_equal(p, s);
	assert_ptr_not_equal(p, r);
	assert_int_equal(proxy_ask(p, &a.asker), PROXY_GO);
	proxy_answered(p, &a.asker, PROXY_REFUSED);
	proxy_unref(p);
	assert_true(proxy_is_refused(q)); /* somebody still holds it */
	assert_false(proxy_is_refused(r));
	proxy_unref(q);
	proxy_unref(r);
	proxy_unref(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(addresses),	  TEST(bad_addresses),	TEST(never_says_the_password),
		TEST(exceptions),	  TEST(one_asks_first), TEST(all_go_once_it_is_known),
		TEST(the_same_is_shared),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
