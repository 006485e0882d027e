/* The mark arrives: read back from received packets, and from the sockets where TCP has no other
 * way. */
#include "test.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/dscp.h"
#include "io/stream.h"
#include "io/udp.h"

#define DSCP 34

static void on_batch(void *arg, const struct dgram *dgrams, size_t n)
{
}

/* Sends one datagram to a plain socket that asks for the mark; the TOS or traffic class. */
static int mark_of(struct loop *loop, const char *ip)
{
	struct udp_config config = { .dscp = DSCP };
	uint8_t control[128], byte;
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control,
			      .msg_controllen = sizeof(control) };
	struct dgram d = { .data = span_of("x", 1) };
	struct sockaddr_storage ss;
	struct addr at;
	struct udp *u;
	socklen_t len;
	int fd, one = 1, tos = -1;

	assert_int_equal(addr_parse_ip(ip, &at), 0);
	len = addr_to_sockaddr(&at, &ss);
	fd = socket(ss.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&ss, len), 0);
	assert_int_equal(at.family == ADDR_V6
				 ? setsockopt(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, &one, sizeof(one))
				 : setsockopt(fd, IPPROTO_IP, IP_RECVTOS, &one, sizeof(one)),
			 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&ss, &len), 0);
	assert_int_equal(addr_from_sockaddr((struct sockaddr *)&ss, len, &d.remote), 0);
	config.bind = at;
	assert_int_equal(udp_create(loop, &config, on_batch, NULL, &u), 0);
	assert_int_equal(udp_send(u, &d), 0);
	udp_flush(u);
	assert_int_equal(recvmsg(fd, &msg, 0), 1);
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TOS)
			tos = *CMSG_DATA(c);
		else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_TCLASS)
			memcpy(&tos, CMSG_DATA(c), sizeof(tos));
	}
	udp_destroy(u);
	close(fd);
	return tos;
}

static void test_udp(void **state)
{
	struct loop *loop;

	assert_int_equal(loop_create(&loop), 0);
	assert_int_equal(mark_of(loop, "127.0.0.1"), DSCP << 2);
	assert_int_equal(mark_of(loop, "::1"), DSCP << 2);
	loop_destroy(loop);
}

struct tcp {
	int accepted;
	bool open;
};

static void on_accept(void *arg, int fd, const struct addr *from)
{
	((struct tcp *)arg)->accepted = fd;
}

static void on_open(void *arg)
{
	((struct tcp *)arg)->open = true;
}

static void on_close(void *arg, int err)
{
	fail_msg("closed: %d", err);
}

static int tos_of(int fd)
{
	int tos = -1;
	socklen_t len = sizeof(tos);

	assert_int_equal(getsockopt(fd, IPPROTO_IP, IP_TOS, &tos, &len), 0);
	return tos;
}

/* What a listener accepts is marked from its first packet on. */
static void test_tcp(void **state)
{
	const struct stream_handler handler = { .on_open = on_open, .on_close = on_close };
	const struct stream_config config = { .dscp = DSCP };
	struct listener_config at = { .dscp = DSCP };
	struct tcp t = { .accepted = -1 };
	struct listener *l;
	struct addr to;
	struct stream *s;
	struct loop *loop;

	assert_int_equal(loop_create(&loop), 0);
	assert_int_equal(addr_parse_ip("127.0.0.1", &at.at), 0);
	assert_int_equal(listener_open(loop, &at, on_accept, &t, &l), 0);
	to = listener_addr(l);
	assert_int_equal(stream_connect(loop, &to, &config, &handler, &t, &s), 0);
	for (int i = 0; i < 1000 && (!t.open || t.accepted < 0); i++)
		assert_int_equal(loop_turn(loop, USEC_PER_SEC), 0);
	assert_true(t.accepted >= 0);
	assert_int_equal(tos_of(t.accepted), DSCP << 2);
	close(t.accepted);
	stream_destroy(s);
	listener_destroy(l);
	loop_destroy(loop);
}

static void test_not_a_network(void **state)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	assert_int_equal(dscp_set(fds[0], DSCP), -EAFNOSUPPORT);
	close(fds[0]);
	close(fds[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_udp),
		cmocka_unit_test(test_tcp),
		cmocka_unit_test(test_not_a_network),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
