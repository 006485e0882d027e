#include "test.h"

#include <sys/stat.h>
#include <unistd.h>

#include "relay/settings.h"

#define ARGS_MAX 16

static char dir[] = "/tmp/fairlead-settings-XXXXXX";
static char logged[8192];

static void take_log(void *arg, enum log_level level, const char *line)
{
	size_t at = strlen(logged);

	(void)level;
	snprintf(logged + at, sizeof(logged) - at, "%s", line);
}

static const char *write_file(const char *name, mode_t mode, const char *text)
{
	static char path[4][256];
	static size_t next;
	char *p = path[next++ % ARRAY_LEN(path)];
	FILE *f;

	snprintf(p, sizeof(path[0]), "%s/%s", dir, name);
	f = fopen(p, "we");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	assert_int_equal(chmod(p, mode), 0);
	return p;
}

/* Words end with NULL; they are copied, because parsing moves and hiding overwrites them. */
struct args {
	int argc;
	char *argv[ARGS_MAX + 1];
	char room[ARGS_MAX][256];
};

static void args_of(struct args *a, const char *const *words)
{
	*a = (struct args){ .argc = 1 };
	snprintf(a->room[0], sizeof(a->room[0]), "fairlead-relay");
	a->argv[0] = a->room[0];
	for (; *words; words++, a->argc++) {
		snprintf(a->room[a->argc], sizeof(a->room[0]), "%s", *words);
		a->argv[a->argc] = a->room[a->argc];
	}
}

static struct settings *good(const char *const *words)
{
	struct settings *s = NULL;
	struct opt_error error = { "" };
	struct args a;

	args_of(&a, words);
	if (settings_read(a.argc, a.argv, NULL, &s, &error) < 0)
		fail_msg("%s", error.text);
	return s;
}

static void bad(const char *const *words, const char *want)
{
	struct settings *s = NULL;
	struct opt_error error;
	struct args a;

	args_of(&a, words);
	if (settings_read(a.argc, a.argv, NULL, &s, &error) == 0)
		fail_msg("taken, but should say: %s", want);
	if (!strstr(error.text, want))
		fail_msg("says: %s\nshould say: %s", error.text, want);
}

#define GOOD(...) good((const char *const[]){ __VA_ARGS__, NULL })
#define BAD(want, ...) bad((const char *const[]){ __VA_ARGS__, NULL }, want)

static void test_defaults(void **state)
{
	struct settings *s = good((const char *const[]){ NULL });

	assert_true(s->n_listeners == 2 || s->n_listeners == 4);
	assert_int_equal(s->listeners[0].transport, TURN_UDP);
	assert_int_equal(s->listeners[0].at.port, 3478);
	assert_int_equal(s->listeners[0].inherited, -1);
	assert_int_equal(s->port_first, 49152);
	assert_int_equal(s->port_last, 65535);
	assert_null(s->auth);
	assert_int_equal(s->metrics.family, ADDR_NONE);
	assert_int_equal(s->lifetime_max_s, 3600);
	assert_int_equal(s->drain_s, 30);
	assert_null(s->software);
	assert_string_equal(s->realm, "fairlead");
	assert_true(s->tcp_relay && s->mobility);
	settings_unref(s);
}

static void test_listen(void **state)
{
	struct settings *s = GOOD("--listen", "127.0.0.1:1", "--listen=tcp:[::1]:2", "--listen",
				  "udp:[::]:3", "--listen", "tcp+proxy:0.0.0.0:3");

	assert_int_equal(s->n_listeners, 4);
	assert_int_equal(s->listeners[1].transport, TURN_TCP);
	assert_int_equal(s->listeners[1].at.family, ADDR_V6);
	assert_int_equal(s->listeners[2].at.port, 3);
	assert_true(s->listeners[3].proxy_protocol);
	settings_unref(s);
	BAD("--listen: \"udp:nowhere\" is not [udp|tcp|tls|dtls|wss:]ADDRESS:PORT", "--listen",
	    "udp:nowhere");
	BAD("is not [udp|tcp", "--listen", "sctp:127.0.0.1:1");
	BAD("is not [udp|tcp", "--listen", "udp:127.0.0.1");
	BAD("+proxy, which goes with tcp", "--listen", "dtls+proxy:127.0.0.1:1");
	BAD("listened on already", "--listen", "udp:127.0.0.1:1", "--listen", "dtls:127.0.0.1:1");
	BAD("--cert: is missing", "--listen", "tls:127.0.0.1:0");
	BAD("--cert: is missing", "--listen", "wss:127.0.0.1:0");
	BAD("--cert: is missing", "--listen", "dtls:127.0.0.1:0");
	BAD("belongs together with --key", "--cert", "/etc/hostname");
	BAD("certificate /dev/null cannot be used", "--cert", "/dev/null", "--key", "/dev/null");
}

static void test_relay_address(void **state)
{
	struct settings *s = GOOD("--relay-address", "203.0.113.5=127.0.0.1", "-r",
				  "[2001:db8::5]=[::1]", "--user", "a:b");
	struct addr a;

	assert_int_equal(addr_parse_ip("203.0.113.5", &a), 0);
	assert_true(addr_ip_equal(&a, &s->relay[0].told));
	assert_int_equal(addr_parse_ip("127.0.0.1", &a), 0);
	assert_true(addr_ip_equal(&a, &s->relay[0].bound));
	assert_int_equal(s->relay[1].bound.family, ADDR_V6);
	assert_false(addr_ip_equal(&s->relay[1].told, &s->relay[1].bound));
	assert_false(s->relay[0].found);
	/* its own addresses are no peers, under any of their names */
	assert_int_equal(turn_peers_check(s->peers, &s->relay[0].told, false), TURN_PEER_OWN);
	settings_unref(s);

	s = GOOD("--user", "a:b"); /* every machine has at least a loopback address */
	assert_true(s->relay[0].found || s->relay[1].found);
	settings_unref(s);

	BAD("is not an address, nor PUBLIC=LOCAL", "-r", "relay.example.org");
	BAD("is not an address, nor PUBLIC=LOCAL", "-r", "203.0.113.5=::1");
	BAD("is not an address, nor PUBLIC=LOCAL", "-r", "203.0.113.5=");
	BAD("no address at which peers", "-r", "0.0.0.0");
	BAD("no address at which peers", "-r", "ff02::1");
	BAD("no interface of this machine has 203.0.113.5; behind a 1:1 NAT name both: "
	    "203.0.113.5=LOCAL",
	    "-r", "203.0.113.5");
	BAD("no interface of this machine has 203.0.113.6", "-r", "203.0.113.5=203.0.113.6");
	BAD("is the second of its family", "-r", "203.0.113.5", "-r", "203.0.113.6");
}

static void test_peers(void **state)
{
	struct settings *s = GOOD("--allow-peer", "10.0.0.0/8", "--deny-peer", "10.1.0.0/16",
				  "--listen", "udp:192.0.2.7:0");
	struct addr a;

	assert_int_equal(addr_parse_ip("10.2.3.4", &a), 0);
	assert_int_equal(turn_peers_check(s->peers, &a, false), TURN_PEER_ALLOWED);
	assert_int_equal(addr_parse_ip("10.1.3.4", &a), 0);
	assert_int_equal(turn_peers_check(s->peers, &a, false), TURN_PEER_DENIED);
	assert_int_equal(addr_parse_ip("192.0.2.7", &a), 0);
	assert_int_equal(turn_peers_check(s->peers, &a, false), TURN_PEER_OWN);
	settings_unref(s);
	BAD("--allow-peer: \"10.0.0.1/8\" is not an address or network", "--allow-peer",
	    "10.0.0.1/8");
	BAD("--deny-peer: \"lan\" is not", "--deny-peer", "lan");
}

static void test_users_and_secrets(void **state)
{
	const char *users = write_file("users", 0600, "# staff\nalice:a:b\n\n bob : c \r\n");
	const char *secrets = write_file("secrets", 0600,
					 "one secret that is long\n"
					 "another one, as long\n");
	struct settings *s = GOOD("--user-file", users, "--secret-file", secrets);
	struct settings *t;

	assert_non_null(s->auth);
	settings_unref(s);

	BAD("third secret", "--secret-file", secrets, "--secret", "3");
	BAD(":2: has the name of a user who is there already", "--user-file",
	    write_file("twice", 0600, "alice:a\nalice:b\n"));
	BAD(":1: is not NAME:PASSWORD", "--user-file", write_file("broken", 0600, "alice\n"));
	BAD("broken2:2: is not NAME:PASSWORD\n", "--user-file",
	    write_file("broken2", 0600, "a:b\nalice\nalice:\n"));
	BAD("holds no user", "--user-file", write_file("empty", 0600, "# nobody\n"));
	BAD("/nonexistent: cannot be read: No such file", "--secret-file", "/nonexistent");
	/* a secret is not told again by the error about it */
	BAD("--user: the value is not NAME:PASSWORD", "--user", "hunter2");

	logged[0] = 0;
	t = GOOD("--secret-file", write_file("open", 0644, "a secret that is long enough\n"));
	assert_non_null(strstr(logged, "readable-secret file="));
	assert_non_null(strstr(logged, "chmod o-r"));
	settings_unref(t);
	logged[0] = 0;
	settings_unref(GOOD("--secret", "short"));
	assert_non_null(strstr(logged, "weak-secret bytes=5"));
}

static void test_rates(void **state)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} rows[] = { { "8000", 1000 },	       { "500k", 62500 },
		     { "10M", 1250000 },       { "1.5G", 187500000 },
		     { "10Mbit", 1250000 },    { "10Mbit/s", 1250000 },
		     { "0.125M", 15625 },      { "0", 0 },
		     { "1000G", 125000000000 } };
	static const char *const wrong[] = {
		"",	 "M",	  "10MB", "10MiB", "-1",
		"1.",	 "1..5M", "10 M", "1e6",   "99999999999999999999",
		"2000G", "1",	  "7"
	};
	uint64_t bytes;
	char why[128];

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(settings_parse_rate(rows[i].text, &bytes, why), 0);
		assert_int_equal(bytes, rows[i].bytes);
	}
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		if (settings_parse_rate(wrong[i], &bytes, why) == 0)
			fail_msg("\"%s\" was taken", wrong[i]);
	struct settings *s = GOOD("--user-bandwidth=10M", "--user-packets=5k",
				  "--user-allocations=3", "--total-allocations=50k");

	assert_int_equal(s->per_user.bytes_per_s, 1250000);
	assert_int_equal(s->per_user.packets_per_s, 5000);
	assert_int_equal(s->per_user.allocations, 3);
	assert_int_equal(s->total.allocations, 50000);
	settings_unref(s);
}

static void test_file_and_flags(void **state)
{
	const char *file = write_file("relay.conf", 0600,
				      "listen = udp:127.0.0.1:1\nlisten = tcp:127.0.0.1:1\n"
				      "realm = file\nmin-port = 50000\nsecret = from the config\n"
				      "tcp-relay = no\n");
	struct settings *s = GOOD("--config", file);

	assert_int_equal(s->n_listeners, 2);
	assert_string_equal(s->realm, "file");
	assert_false(s->tcp_relay);
	settings_unref(s);
	s = GOOD("--config", file, "--listen", "udp:127.0.0.1:2", "--realm=flag", "--tcp-relay");
	assert_int_equal(s->n_listeners, 1);
	assert_int_equal(s->listeners[0].at.port, 2);
	assert_string_equal(s->realm, "flag");
	assert_int_equal(s->port_first, 50000);
	assert_true(s->tcp_relay);
	settings_unref(s);
}

static void test_file_errors(void **state)
{
	char want[512];
	const char *file = write_file("bad.conf", 0600,
				      "listen = nowhere\nrealm = x\nmin-port = 60000\n"
				      "max-port = 50000\nsecre = x\nuser-file = /nonexistent\n");

	snprintf(want, sizeof(want), "%s:1: listen: \"nowhere\" is not", file);
	BAD(want, "--config", file);
	snprintf(want, sizeof(want), "%s:5: unknown key \"secre\"; did you mean \"secret\"?", file);
	BAD(want, "--config", file);
	BAD("/nonexistent: cannot be read", "--config", file);
	file = write_file("range.conf", 0600, "\nmin-port = 60000\nmax-port = 50000\n");
	snprintf(want, sizeof(want), "%s:2: min-port: 60000 is above --max-port 50000", file);
	BAD(want, "--config", file);
	BAD("--min-port: 60001 is above", "--config", file, "--min-port=60001");
	file = write_file("tls.conf", 0600,
			  "cert = /nonexistent\nkey = /nonexistent\n"
			  "realm = a\"b\n");
	snprintf(want, sizeof(want), "%s:3: realm: ", file);
	BAD(want, "--config", file);
	file = write_file("x.conf", 0600, "xdp = none0\n");
	snprintf(want, sizeof(want), "%s:1: xdp: there is no network interface \"none0\"", file);
	BAD(want, "--config", file);
}

static void reload(const struct settings *before, const char *const *words, const char *want)
{
	struct settings *next = NULL;
	struct opt_error error;
	char frozen[256];
	struct args a;

	args_of(&a, words);
	if (settings_reread(before, a.argc, a.argv, &next, frozen, sizeof(frozen), &error) < 0)
		fail_msg("%s", error.text);
	assert_string_equal(frozen, want);
	assert_int_equal(next->n_listeners, before->n_listeners);
	assert_int_equal(next->port_first, before->port_first);
	settings_unref(next);
}

static void test_reread(void **state)
{
	struct settings *s = GOOD("--listen", "udp:127.0.0.1:1"), *next = NULL;
	struct opt_error error;
	char frozen[256];
	struct args a;

	reload(s, (const char *const[]){ "--listen", "udp:127.0.0.1:1", NULL }, "");
	reload(s,
	       (const char *const[]){ "--listen", "udp:127.0.0.1:2", "--threads=2",
				      "--min-port=50000", "--xdp=lo", "--user=a:b", NULL },
	       "listen, min-port, threads, xdp");
	/* told again at each reload, until the restart */
	args_of(&a, (const char *const[]){ "--listen", "udp:127.0.0.1:2", "--user=a:b",
					   "--user-allocations=7", "-r", "127.0.0.1", NULL });
	assert_int_equal(settings_reread(s, a.argc, a.argv, &next, frozen, sizeof(frozen), &error),
			 0);
	assert_string_equal(frozen, "listen, relay-address");
	assert_int_equal(next->per_user.allocations, 7);
	assert_int_equal(next->listeners[0].at.port, 1);
	settings_unref(s);
	reload(next, (const char *const[]){ "--listen", "udp:127.0.0.1:2", NULL }, "listen");
	reload(next, (const char *const[]){ "--listen", "udp:127.0.0.1:1", NULL }, "");
	s = next;
	assert_int_equal(settings_renew(s, &next, &error), 0);
	assert_int_equal(next->per_user.allocations, 7);
	assert_non_null(next->auth);
	settings_unref(s);
	settings_unref(next);
}

static void test_asked(void **state)
{
	struct settings *s = GOOD("--help", "--listen", "udp:127.0.0.1:1");

	assert_true(s->asked.help);
	settings_unref(s);
}

static int remove_dir(void **state)
{
	char command[300];

	(void)state;
	log_set_sink(NULL, NULL);
	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	return system(command);
}

static int make_dir(void **state)
{
	(void)state;
	log_set_sink(take_log, NULL);
	return mkdtemp(dir) ? 0 : -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_defaults),
		TEST(test_listen),
		TEST(test_relay_address),
		TEST(test_peers),
		TEST(test_users_and_secrets),
		TEST(test_rates),
		TEST(test_file_and_flags),
		TEST(test_file_errors),
		TEST(test_reread),
		TEST(test_asked),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
