/* Loading, attaching, refusing, quotas, full maps: what xdp.c does around the program. */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "relay/xdp/xdp_rig.h"

static struct rig rig;

static struct xdp_binding binding(unsigned n)
{
	struct xdp_binding b = {
		.client = rig_addr("10.1.0.2:1"),
		.server = rig_addr("10.1.0.1:3478"),
		.channel = 0x4001,
		.relayed = rig_addr("10.1.0.1:1"),
		.peer = rig_addr("10.1.0.3:6000"),
		.until = usec_monotonic() + 3600 * USEC_PER_SEC,
		.user = n,
	};

	b.client.port = b.relayed.port = (uint16_t)(20000 + n);
	return b;
}

static struct rig_frame frame(const struct xdp_binding *b, bool up, size_t len)
{
	struct rig_packet p = { .ttl = 64, .len = up ? len + 4 : len };
	struct rig_frame out;

	memcpy(p.to_mac, rig.cli_mac, 6);
	p.from = up ? b->client : b->peer;
	p.to = up ? b->server : b->relayed;
	p.payload[0] = up ? (uint8_t)(b->channel >> 8) : 0x80;
	p.payload[1] = up ? (uint8_t)b->channel : 0;
	p.payload[2] = (uint8_t)(len >> 8);
	p.payload[3] = (uint8_t)len;
	rig_write(&p, &out);
	return out;
}

/* How many of n packets pass; the others must be as told. */
static unsigned passing(const struct xdp *x, const struct xdp_binding *b, bool up, size_t len,
			unsigned n, uint32_t other)
{
	struct rig_frame f = frame(b, up, len);
	struct rig_result r;
	unsigned passed = 0;

	for (unsigned i = 0; i < n; i++) {
		rig_run(xdp_program(x), rig.cli, &f, 1, &r);
		assert_true(r.verdict == XDP_TX || r.verdict == other);
		passed += r.verdict == XDP_TX;
	}
	return passed;
}

static struct xdp *create(const char *interfaces, size_t bindings_max)
{
	char why[256];
	struct xdp *x;

	if (xdp_create(interfaces, bindings_max, &x, why))
		fail_msg("%s", why);
	return x;
}

static void assert_refused(const char *interfaces, const char *words)
{
	char why[256] = "";
	struct xdp *x = (void *)1;

	assert_true(xdp_create(interfaces, 10, &x, why) < 0);
	assert_null(x);
	if (!strstr(why, words))
		fail_msg("\"%s\" does not say \"%s\"", why, words);
}

/* The kernel takes a program off a moment after its last reference went. */
static struct xdp *create_soon(const char *interfaces)
{
	struct xdp *x = NULL;
	char why[256];

	for (int i = 0; i < 500 && xdp_create(interfaces, 10, &x, why); i++)
		usleep(10000);
	return x;
}

static void test_refusals(void **state)
{
	struct xdp *x;

	assert_refused("nowhere0", "no interface is called \"nowhere0\"");
	assert_refused("", "no interface is called \"\"");
	assert_refused("cli0,nowhere0", "no interface is called \"nowhere0\"");
	assert_refused("lo", "no Ethernet");
	x = create("cli0", 10); /* the one above left nothing on it */
	assert_refused("cli0", "XDP program of somebody else");
	assert_refused("per0,cli0", "XDP program of somebody else");
	xdp_destroy(x);
	x = create_soon("per0");
	assert_non_null(x);
	xdp_destroy(x);
	xdp_destroy(NULL);
}

static void test_no_privileges(void **state)
{
	int status;
	pid_t child = fork();

	if (child == 0) {
		char why[256];
		struct xdp *x;

		if (setgid(65534) || setuid(65534))
			_exit(3);
		_exit(xdp_create("cli0", 10, &x, why) == -EPERM && strstr(why, "CAP_BPF") ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_killed_process_leaves_nothing(void **state)
{
	int ready[2], status;
	struct xdp *x;
	pid_t child;
	char c;

	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	child = fork();
	if (child == 0) {
		char why[256];

		if (xdp_create("cli0", 10, &x, why) == 0 && write(ready[1], "y", 1) == 1)
			pause();
		_exit(1);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &c, 1), 1);
	assert_int_equal(c, 'y');
	assert_refused("cli0", "somebody else");
	kill(child, SIGKILL);
	assert_int_equal(waitpid(child, &status, 0), child);
	x = create_soon("cli0");
	assert_non_null(x);
	xdp_destroy(x);
	close(ready[0]);
}

static void remember(void *arg, enum log_level level, const char *line)
{
	snprintf(arg, 200, "%s", line);
}

/* A bridge has no XDP of its own: generic mode, and the log says so. */
static void test_generic(void **state)
{
	char said[200] = "";
	struct xdp *x;

	if (!rig_ip("link add generic0 type bridge"))
		skip();
	log_set_sink(remember, said);
	x = create("generic0", 10);
	log_set_sink(NULL, NULL);
	assert_string_equal(xdp_mode(x), "generic");
	assert_non_null(strstr(said, "xdp-generic"));
	assert_non_null(strstr(said, "generic0"));
	xdp_destroy(x);
	x = create_soon("cli0");
	assert_string_equal(xdp_mode(x), "native");
	xdp_destroy(x);
}

static void test_full_and_swept(void **state)
{
	struct xdp *x = create("cli0", 4);
	struct xdp_binding b;

	for (unsigned i = 0; i < 4; i++) {
		b = binding(i);
		b.until = i < 2 ? usec_monotonic() - 10 * USEC_PER_SEC : b.until;
		b.packets_per_s = 1000000;
		assert_int_equal(xdp_bind(x, &b), 0);
		assert_int_equal(xdp_bind(x, &b), 0); /* a refresh takes no room */
	}
	b = binding(9); /* makes room by itself */
	assert_int_equal(xdp_bind(x, &b), 0);
	b = binding(10);
	assert_int_equal(xdp_bind(x, &b), 0);
	b = binding(11);
	assert_int_equal(xdp_bind(x, &b), FL_EQUOTA);
	assert_int_equal(passing(x, &b, true, 10, 1, XDP_PASS), 0);
	b = binding(10);
	assert_int_equal(passing(x, &b, true, 10, 1, XDP_PASS), 1);
	assert_int_equal(passing(x, &b, false, 10, 1, XDP_PASS), 1);
	assert_int_equal(xdp_sweep(x), 0);
	b.until = 1;
	assert_int_equal(xdp_bind(x, &b), 0);
	assert_int_equal(xdp_sweep(x), 2);
	b.client = rig_addr("[fd01::2]:7");
	b.server = rig_addr("[fd01::1]:3478");
	assert_int_equal(xdp_bind(x, &b), 0);
	assert_int_equal(xdp_sweep(x), 2); /* of both families */
	b = binding(11);
	assert_int_equal(xdp_bind(x, &b), 0);
	xdp_destroy(x);
}

static void test_unbind_is_exact(void **state)
{
	struct xdp *x = create_soon("cli0");
	struct xdp_binding old = binding(1), new = binding(1);

	new.channel = 0x4002; /* the same peer, by another channel */
	assert_int_equal(xdp_bind(x, &old), 0);
	assert_int_equal(xdp_bind(x, &new), 0);
	xdp_unbind(x, &old);
	assert_int_equal(passing(x, &old, true, 10, 1, XDP_PASS), 0);
	assert_int_equal(passing(x, &new, true, 10, 1, XDP_PASS), 1);
	assert_int_equal(passing(x, &new, false, 10, 1, XDP_PASS), 1);
	old = new;
	new.peer.port++; /* the same channel, to another peer */
	assert_int_equal(xdp_bind(x, &new), 0);
	xdp_unbind(x, &old);
	assert_int_equal(passing(x, &new, true, 10, 1, XDP_PASS), 1);
	assert_int_equal(passing(x, &old, false, 10, 1, XDP_PASS), 0);
	xdp_destroy(x);
}

static void test_bad_bindings(void **state)
{
	static const char *const not_on_the_wire[] = { "0.0.0.0:5",	"[::]:5",
						       "127.0.0.1:5",	"[fe80::1]:5",
						       "224.0.0.1:5",	"[::1]:5",
						       "169.254.1.1:5", "10.0.0.1:0" };
	struct xdp *x = create_soon("cli0");
	struct xdp_binding b = binding(1);

	for (size_t i = 0; i < ARRAY_LEN(not_on_the_wire); i++) {
		b = binding(1);
		b.peer = b.relayed = rig_addr(not_on_the_wire[i]);
		assert_int_equal(xdp_bind(x, &b), -EINVAL);
		b = binding(1);
		b.client = b.server = rig_addr(not_on_the_wire[i]);
		assert_int_equal(xdp_bind(x, &b), -EINVAL);
	}
	b = binding(1);
	b.channel = 0x3fff;
	assert_int_equal(xdp_bind(x, &b), -EINVAL);
	b.channel = 0x8000;
	assert_int_equal(xdp_bind(x, &b), -EINVAL);
	b = binding(1);
	b.peer = rig_addr("[fd01::3]:1");
	assert_int_equal(xdp_bind(x, &b), -EINVAL);
	b = binding(1);
	b.client = rig_addr("[::ffff:10.1.0.2]:20001"); /* of a dual-stack socket */
	b.server = rig_addr("[::ffff:10.1.0.1]:3478");
	assert_int_equal(xdp_bind(x, &b), 0);
	b = binding(1);
	assert_int_equal(passing(x, &b, true, 10, 1, XDP_PASS), 1);
	xdp_destroy(x);
}

/* ---- quotas ---- */

/* What a rate may let through in the time it took, and its burst and one each CPU. */
static unsigned allowed(usec_t began, unsigned per_s)
{
	usec_t took = usec_monotonic() - began + 1100 * USEC_PER_MSEC;

	return (unsigned)(took * per_s / USEC_PER_SEC) + 2 +
	       (unsigned)sysconf(_SC_NPROCESSORS_CONF);
}

static void test_packet_quota(void **state)
{
	struct xdp *x = create_soon("cli0");
	struct xdp_binding a = binding(1), b = binding(2), other = binding(3);
	usec_t began = usec_monotonic();
	unsigned passed;
	struct xdp_count count;

	a.packets_per_s = b.packets_per_s = 20;
	b.user = a.user;
	other.packets_per_s = 1000000;
	assert_int_equal(xdp_bind(x, &a), 0);
	assert_int_equal(xdp_bind(x, &b), 0);
	assert_int_equal(xdp_bind(x, &other), 0);
	passed = passing(x, &a, true, 10, 100, XDP_DROP);
	assert_true(passed >= 3); /* the burst */
	passed += passing(x, &b, true, 10, 100, XDP_DROP);
	assert_int_equal(xdp_bind(x, &b), 0); /* a refresh gives nothing */
	passed += passing(x, &b, false, 10, 100, XDP_DROP);
	assert_true(passed <= allowed(began, 20));
	xdp_read(x, &count);
	assert_int_equal(count.over_quota, 300 - passed);
	assert_int_equal(count.up_packets + count.down_packets, passed);
	assert_int_equal(passing(x, &other, true, 10, 100, XDP_DROP), 100);
	a.packets_per_s = 0; /* a reload took the limit away */
	assert_int_equal(xdp_bind(x, &a), 0);
	assert_int_equal(passing(x, &a, true, 10, 100, XDP_DROP), 100);
	xdp_destroy(x);
}

static void test_byte_quota(void **state)
{
	struct xdp *x = create_soon("cli0");
	struct xdp_binding b = binding(1);
	usec_t began = usec_monotonic();
	unsigned passed;

	b.bytes_per_s = 20000;
	b.packets_per_s = 1000000;
	assert_int_equal(xdp_bind(x, &b), 0);
	passed = passing(x, &b, true, 1000, 200, XDP_DROP);
	assert_true(passed >= 3 && passed <= allowed(began, 20));
	xdp_destroy(x);
}

/* All users together have a limit, too. */
static void test_quota_of_all(void **state)
{
	struct xdp *x = create_soon("cli0");
	struct xdp_binding a = binding(1), b = binding(2);
	usec_t began = usec_monotonic();
	unsigned passed;

	a.packets_per_s = 1000000;
	a.all_packets_per_s = b.all_packets_per_s = 20;
	assert_int_equal(xdp_bind(x, &a), 0);
	assert_int_equal(xdp_bind(x, &b), 0);
	passed = passing(x, &a, true, 10, 100, XDP_DROP);
	passed += passing(x, &b, true, 10, 100, XDP_DROP);
	assert_true(passed >= 3 && passed <= allowed(began, 20));
	xdp_destroy(x);
}

struct racer {
	struct xdp *x;
	struct xdp_binding b;
	unsigned passed;
};

static void *race(void *arg)
{
	struct racer *r = arg;

	r->passed = passing(r->x, &r->b, true, 10, 20000, XDP_DROP);
	return NULL;
}

/* Several CPUs at once get no more than one. */
static void test_quota_across_cpus(void **state)
{
	struct racer racers[4];
	pthread_t threads[4];
	usec_t began;
	unsigned passed = 0;

	for (size_t i = 0; i < ARRAY_LEN(racers); i++)
		racers[i] = (struct racer){ .b = binding((unsigned)i) };
	racers[0].x = create_soon("cli0");
	began = usec_monotonic();
	for (size_t i = 0; i < ARRAY_LEN(racers); i++) {
		racers[i].x = racers[0].x;
		racers[i].b.user = 7;
		racers[i].b.packets_per_s = 5000;
		assert_int_equal(xdp_bind(racers[i].x, &racers[i].b), 0);
		assert_int_equal(pthread_create(&threads[i], NULL, race, &racers[i]), 0);
	}
	for (size_t i = 0; i < ARRAY_LEN(racers); i++) {
		pthread_join(threads[i], NULL);
		passed += racers[i].passed;
	}
	assert_true(passed >= 1000 && passed <= allowed(began, 5000));
	xdp_destroy(racers[0].x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_refusals),
		TEST(test_no_privileges),
		TEST(test_killed_process_leaves_nothing),
		TEST(test_generic),
		TEST(test_full_and_swept),
		TEST(test_unbind_is_exact),
		TEST(test_bad_bindings),
		TEST(test_packet_quota),
		TEST(test_byte_quota),
		TEST(test_quota_of_all),
		TEST(test_quota_across_cpus),
	};
	char why[256];
	struct xdp *x;
	int err;

	if (!rig_network(&rig))
		return 77;
	err = xdp_create("cli0", 10, &x, why);
	if (err) {
		printf("%s%s\n", err == -EPERM ? "skipped: " : "", why);
		return err == -EPERM ? 77 : 1;
	}
	xdp_destroy(x);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
