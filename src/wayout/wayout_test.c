#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/text.h"
#include "test.h"
#include "wayout/leases.h"
#include "wayout/lines.h"
#include "wayout/memory.h"
#include "wayout/network.h"
#include "wayout/system.h"
#include "wayout/wpad.h"

/* ---- a system of its own ---- */

static char root[] = "/tmp/fairlead-wayout-XXXXXX";

static int make_root(void **state)
{
	memset(root + strlen(root) - 6, 'X', 6);
	return mkdtemp(root) ? 0 : -1;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
	return remove(path);
}

static int remove_root(void **state)
{
	return nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void put(const char *path, const char *text)
{
	char full[512];
	FILE *f;

	snprintf(full, sizeof(full), "%s%s", root, path);
	for (char *slash = strchr(full + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = 0;
		(void)mkdir(full, 0755);
		*slash = '/';
	}
	f = fopen(full, "we");
	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
}

static void expect_system(const char *found, const char *proxy, const char *except, const char *pac)
{
	struct system_proxy got;
	const char *by;

	assert_int_equal(system_read(root, &got, &by), found != NULL);
	if (!found)
		return;
	assert_string_equal(by, found);
	assert_string_equal(got.proxy, proxy);
	assert_string_equal(got.except, except);
	assert_string_equal(got.pac, pac);
}

/* ---- the files of the system ---- */

static void kde(void **state)
{
	put("/etc/kde5rc", "[Other]\nProxyType=1\n");
	expect_system(NULL, NULL, NULL, NULL);
	put("/etc/xdg/kioslaverc",
	    "[Proxy Settings]\nProxyType[$i]=1\nhttpProxy=http://plain.example 8080\n"
	    "httpsProxy=http://kde.example 3128\nNoProxyFor=.intern.example,10.0.0.0/8\n");
	expect_system("kde", "http://kde.example:3128", ".intern.example,10.0.0.0/8", "");
	put("/etc/xdg/kioslaverc",
	    "[Proxy Settings]\nProxyType=2\nProxy Config Script=http://pac.example/p.pac\n");
	expect_system("kde", "", "", "http://pac.example/p.pac");
	put("/etc/xdg/kioslaverc",
	    "[Proxy Settings]\nProxyType=1\nsocksProxy=socks://s.example:1080\n");
	expect_system("kde", "socks5h://s.example:1080", "", "");
	put("/etc/xdg/kioslaverc", "[Proxy Settings]\nProxyType=0\nhttpProxy=http://x 1\n");
	expect_system(NULL, NULL, NULL, NULL);
}

static void gnome(void **state)
{
	put("/etc/dconf/db/local.d/00-proxy",
	    "# site\n[system/proxy]\nmode='manual'\nignore-hosts=['localhost', "
	    "'*.intern.example']\n"
	    "[system/proxy/http]\nhost='plain.example'\nport=8080\n"
	    "[system/proxy/https]\nhost='gnome.example'\nport=3128\n");
	expect_system("gnome", "http://gnome.example:3128", "localhost,.intern.example", "");
	put("/etc/dconf/db/local.d/00-proxy",
	    "[system/proxy]\nmode='auto'\nautoconfig-url='http://pac.example/gnome.pac'\n");
	expect_system("gnome", "", "", "http://pac.example/gnome.pac");
	/* the later file goes over the earlier */
	put("/etc/dconf/db/local.d/10-more",
	    "[system/proxy]\nmode='manual'\n[system/proxy/socks]\nhost='::1'\nport=1080\n");
	expect_system("gnome", "socks5h://[::1]:1080", "", "");
	put("/etc/dconf/db/local.d/10-more",
	    "[system/proxy]\nmode='manual'\n[system/proxy/https]\nhost=''\nport=0\n");
	expect_system("gnome", "", "", "http://pac.example/gnome.pac");
}

static void etc_environment(void **state)
{
	put("/etc/dconf/db/local.d/00-proxy",
	    "[system/proxy]\nmode='auto'\nautoconfig-url='http://pac.example/gnome.pac'\n");
	put("/etc/environment",
	    "PATH=\"/usr/bin\"\n# https_proxy=http://no:1\nNO_PROXY=.intern\n"
	    "ALL_PROXY=http://all:1\nexport HTTPS_PROXY=\"http://etc.example:3128\"\n");
	expect_system("etc-environment", "http://etc.example:3128", ".intern", "");
	put("/etc/environment", "https_proxy='http://etc.example:3128\x01'\n");
	expect_system("gnome", "", "", "http://pac.example/gnome.pac");
	put("/etc/environment.d/90-site.conf", "all_proxy=socks5://s:1\n");
	expect_system("etc-environment", "socks5://s:1", "", "");
}

static void apt(void **state)
{
	struct system_proxy got;

	assert_false(system_read_apt(root, &got));
	put("/etc/apt/apt.conf.d/01proxy", "Acquire::http::Proxy \"DIRECT\";\n"
					   "Acquire::http::Proxy \"http://apt.example:3142/\";\n");
	assert_true(system_read_apt(root, &got));
	assert_string_equal(got.proxy, "http://apt.example:3142/");
	expect_system(NULL, NULL, NULL, NULL);
}

/* ---- the network ---- */

static void where_we_are(void **state)
{
	static const char *const words[] = { "a", NULL }, *const others[] = { NULL, "a" };
	char one[NETWORK_ID_LEN], two[NETWORK_ID_LEN];
	struct network n;

	put("/etc/resolv.conf", "domain old.example\nsearch North.Example.ORG. b.example\n"
				"nameserver 192.0.2.53\n");
	put("/proc/net/route", "Iface\tDestination\tGateway\tFlags\n"
			       "eth1\t0001A8C0\t00000000\t0001\neth0\t00000000\t0101A8C0\t0003\n");
	network_read(root, &n);
	assert_int_equal(n.n_domains, 2);
	assert_string_equal(n.domains[0], "north.example.org");
	assert_string_equal(n.domains[1], "b.example");
	assert_string_equal(n.device, "eth0");
	assert_string_equal(n.gateway, "192.168.1.1");
	network_id(&n, words, 2, one);
	network_id(&n, words, 2, two);
	assert_string_equal(one, two);
	network_id(&n, others, 2, two);
	assert_string_not_equal(one, two);
	n.n_domains--;
	network_id(&n, words, 2, two);
	assert_string_not_equal(one, two);
}

static void which_names(void **state)
{
	static const struct {
		const char *domain, *names;
	} rows[] = {
		{ "north.site.example.org", "wpad.north.site.example.org wpad.site.example.org "
					    "wpad.example.org " },
		{ "example.org", "wpad.example.org " },
		{ "lan", "" },
		{ "org", "" },
		{ "co.uk", "" },
		{ "school.nz", "" },
		{ "north.example.co.uk", "wpad.north.example.co.uk wpad.example.co.uk " },
		{ "example.com.au", "wpad.example.com.au " },
		{ "example.de", "wpad.example.de " },
		{ "a..de", "" },
		{ ".de", "" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char names[WPAD_NAMES_MAX][WAYOUT_HOST_MAX + 1], all[2048] = "";
		struct network n = { .n_domains = 1 };

		(void)text_copy(n.domains[0], sizeof(n.domains[0]), rows[i].domain);
		for (size_t k = 0, many = wpad_names(&n, names); k < many; k++) {
			size_t len = strlen(all);

			snprintf(all + len, sizeof(all) - len, "%s ", names[k]);
		}
		assert_string_equal(all, rows[i].names);
	}
}

static void who_may_be_announced(void **state)
{
	struct network n = { .domains = { "north.example.co.uk" }, .n_domains = 1 };

	assert_true(wpad_inside(&n, "pac.example.co.uk"));
	assert_true(wpad_inside(&n, "EXAMPLE.co.uk"));
	assert_true(wpad_inside(&n, "wpad"));
	assert_true(wpad_inside(&n, "192.168.1.1"));
	assert_true(wpad_inside(&n, "fd00::1"));
	assert_false(wpad_inside(&n, "other.co.uk"));
	assert_false(wpad_inside(&n, "badexample.co.uk"));
	assert_false(wpad_inside(&n, "1.1.1.1"));
	assert_false(wpad_inside(&n, "127.0.0.1"));
	n.n_domains = 0;
	assert_false(wpad_inside(&n, "pac.example.co.uk"));
}

static void urls(void **state)
{
	static const char *const bad[] = { "",
					   "ftp://x/",
					   "http://",
					   "http://u@x/",
					   "http://x:0/",
					   "http://x:99999/",
					   "http://x y/",
					   "http://[::1/",
					   "/wpad.dat",
					   "http://x\r\n/",
					   "http://\xc3\xa4/",
					   "http://x:80:80/" };
	struct wayout_url url;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(wayout_url_parse(span_str(bad[i]), &url), FL_EMALFORMED);
	assert_int_equal(wayout_url_parse(span_str("HTTP://pac.example?x#y"), &url), 0);
	assert_string_equal(url.host, "pac.example");
	assert_string_equal(url.target, "/?x");
	assert_int_equal(url.port, 80);
	assert_int_equal(wayout_url_parse(span_str("https://[fd00::1]:8443/a/b"), &url), 0);
	assert_true(url.tls);
	assert_string_equal(url.host, "fd00::1");
	assert_string_equal(url.authority, "[fd00::1]:8443");
	assert_string_equal(url.target, "/a/b");
}

static void leases(void **state)
{
	char url[WAYOUT_URL_MAX + 1] = "";

	assert_false(leases_read(root, url));
	put("/var/lib/dhcp/dhclient.eth0.leases",
	    "lease {\n  option wpad \"http://old/\";\n}\nlease {\n"
	    "  option routers 192.168.1.1;\n  option unknown-252 \"http://new/p\\000\";\n}\n");
	assert_true(leases_read(root, url));
	assert_string_equal(url, "http://new/p");
	assert_true(leases_find(span_str("option unknown-252 68:74:74:70:3a:2f:2f:61:0a;\n"), url));
	assert_string_equal(url, "http://a");
	assert_true(leases_find(span_str("ADDRESS=1\nOPTION_252=687474703a2f2f62\n"), url));
	assert_string_equal(url, "http://b");
	assert_false(leases_find(span_str("option wpad \"\";\noption wpad 1\nOPTION_252=zz\n"
					  "OPTION_252=0001\noption wpad;\noption wpad \"a b\";"),
				 url));
}

/* ---- what worked ---- */

static void memory(void **state)
{
	static struct memory m, again;
	struct memory_entry e = { .at = 1700000000, .way = "http://p:1", .found = "wpad-dns" };
	char text[MEMORY_TEXT_MAX];
	size_t len;

	for (int i = 0; i < MEMORY_NETWORKS_MAX + 3; i++) {
		snprintf(e.network, sizeof(e.network), "net%d", i);
		memory_put(&m, &e);
	}
	assert_null(memory_find(&m, "net2"));
	(void)text_copy(e.network, sizeof(e.network), "net5");
	(void)text_copy(e.way, sizeof(e.way), "direct");
	memory_put(&m, &e);
	assert_int_equal(m.n, MEMORY_NETWORKS_MAX);
	len = memory_format(&m, text, sizeof(text));
	memory_parse(&again, span_of(text, len));
	assert_int_equal(again.n, m.n);
	assert_string_equal(again.list[0].network, "net5");
	assert_string_equal(memory_find(&again, "net5")->way, "direct");
	assert_string_equal(memory_find(&again, "net9")->found, "wpad-dns");
	assert_int_equal(again.list[0].at, 1700000000);
	memory_forget(&again, "net5");
	assert_null(memory_find(&again, "net5"));
	memory_parse(&again, span_str("a b c d\n\na 1 http://x\na 99999999999999 x y\na 1 w f\n"));
	assert_int_equal(again.n, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(kde, make_root, remove_root),
		cmocka_unit_test_setup_teardown(gnome, make_root, remove_root),
		cmocka_unit_test_setup_teardown(etc_environment, make_root, remove_root),
		cmocka_unit_test_setup_teardown(apt, make_root, remove_root),
		cmocka_unit_test_setup_teardown(where_we_are, make_root, remove_root),
		cmocka_unit_test(which_names),
		cmocka_unit_test(who_may_be_announced),
		cmocka_unit_test(urls),
		cmocka_unit_test_setup_teardown(leases, make_root, remove_root),
		cmocka_unit_test(memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
