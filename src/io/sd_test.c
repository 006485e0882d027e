#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/err.h"
#include "io/sd.h"

static void set_pid(const char *name)
{
	char pid[32];

	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	setenv(name, pid, 1);
}

/* Descriptors from 3 on, as systemd hands them over; what was there before comes back. */
static int hand_over(int domain, int type, int at)
{
	struct sockaddr_in name = { .sin_family = AF_INET,
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(domain, type, 0);

	assert_true(fd >= 0);
	if (domain == AF_INET)
		assert_int_equal(bind(fd, (struct sockaddr *)&name, sizeof(name)), 0);
	assert_true(dup2(fd, at) == at);
	if (fd != at)
		close(fd);
	return at;
}

static void test_none(void **state)
{
	static struct sd_sockets s;
	char why[256];

	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	assert_int_equal(sd_sockets_take(&s, why), 0);
	assert_int_equal(s.n, 0);
	/* meant for another process */
	setenv("LISTEN_PID", "1", 1);
	setenv("LISTEN_FDS", "3", 1);
	assert_int_equal(sd_sockets_take(&s, why), 0);
	assert_int_equal(s.n, 0);
	assert_null(getenv("LISTEN_FDS"));
}

static void test_nonsense(void **state)
{
	static struct sd_sockets s;
	static const char *const numbers[] = { "-1", "x", "", "1x", "65", "99999999999999999999" };
	char why[256];

	for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
		set_pid("LISTEN_PID");
		setenv("LISTEN_FDS", numbers[i], 1);
		assert_true(sd_sockets_take(&s, why) < 0);
		assert_non_null(strstr(why, "LISTEN_FDS is not a number from 0 to 64"));
	}
}

static void test_sockets(void **state)
{
	static struct sd_sockets s;
	struct addr udp;
	char why[256];
	int saved[2] = { fcntl(3, F_DUPFD_CLOEXEC, 10), fcntl(4, F_DUPFD_CLOEXEC, 10) }, fd;

	hand_over(AF_INET, SOCK_DGRAM, 3);
	hand_over(AF_INET, SOCK_STREAM, 4);
	set_pid("LISTEN_PID");
	setenv("LISTEN_FDS", "2", 1);
	setenv("LISTEN_FDNAMES", "one:tls", 1);
	assert_int_equal(sd_sockets_take(&s, why), 0);
	assert_int_equal(s.n, 2);
	assert_string_equal(s.at[0].name, "one");
	assert_string_equal(s.at[1].name, "tls");
	assert_int_equal(s.at[0].type, SOCK_DGRAM);
	assert_int_equal(s.at[1].type, SOCK_STREAM);
	assert_false(s.at[0].dual);
	assert_true(fcntl(3, F_GETFD) & FD_CLOEXEC);
	assert_true(fcntl(3, F_GETFL) & O_NONBLOCK);
	udp = s.at[0].at;
	assert_int_equal(sd_sockets_claim(&s, SOCK_STREAM, &udp), -1);
	fd = sd_sockets_claim(&s, SOCK_DGRAM, &udp);
	assert_int_equal(fd, 3);
	assert_int_equal(sd_sockets_claim(&s, SOCK_DGRAM, &udp), -1);
	sd_sockets_close(&s);
	assert_int_equal(fcntl(4, F_GETFD), -1);
	assert_true(fcntl(3, F_GETFD) >= 0);
	close(3);

	hand_over(AF_UNIX, SOCK_STREAM, 3);
	set_pid("LISTEN_PID");
	setenv("LISTEN_FDS", "1", 1);
	assert_int_equal(sd_sockets_take(&s, why), FL_EMALFORMED);
	assert_non_null(strstr(why, "descriptor 3"));
	close(3);
	for (int i = 0; i < 2; i++)
		if (saved[i] >= 0) {
			dup2(saved[i], 3 + i);
			close(saved[i]);
		}
}

static void test_notify(void **state)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX, .sun_path = "" };
	socklen_t len = sizeof(sa_family_t); /* the kernel chooses an abstract name */
	char text[64] = "", name[64] = "@";
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&at, len), 0);
	len = sizeof(at);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
	memcpy(name + 1, at.sun_path + 1, len - offsetof(struct sockaddr_un, sun_path) - 1);
	setenv("NOTIFY_SOCKET", name, 1);
	sd_notify("READY=%d", 1);
	assert_int_equal(recv(fd, text, sizeof(text), MSG_DONTWAIT), 7);
	assert_string_equal(text, "READY=1");
	setenv("NOTIFY_SOCKET", "relative", 1);
	sd_notify("READY=1");
	unsetenv("NOTIFY_SOCKET");
	sd_notify("READY=1");
	assert_true(recv(fd, text, sizeof(text), MSG_DONTWAIT) < 0);
	close(fd);
}

static void test_watchdog(void **state)
{
	unsetenv("WATCHDOG_USEC");
	assert_int_equal(sd_watchdog_us(), 0);
	setenv("WATCHDOG_USEC", "30000000", 1);
	assert_int_equal(sd_watchdog_us(), 15 * USEC_PER_SEC);
	setenv("WATCHDOG_PID", "1", 1);
	assert_int_equal(sd_watchdog_us(), 0);
	set_pid("WATCHDOG_PID");
	assert_int_equal(sd_watchdog_us(), 15 * USEC_PER_SEC);
	setenv("WATCHDOG_USEC", "soon", 1);
	assert_int_equal(sd_watchdog_us(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_none),   TEST(test_nonsense), TEST(test_sockets),
		TEST(test_notify), TEST(test_watchdog),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
