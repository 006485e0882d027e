#include "test.h"

#include <netinet/udp.h>
#include <unistd.h>

#include "relay/outbox.h"

static struct outbox box;
static const uint8_t bytes[70000] = { 1, 2, 3, 4, 5, 6, 7, 8, 9 };

static union sock_name name(const char *text)
{
	union sock_name n;
	struct addr a;

	assert_int_equal(addr_parse(text, &a), 0);
	assert_true(sock_name_from(&a, &n) > 0);
	return n;
}

static bool add(const union sock_name *to, size_t len)
{
	return outbox_add(&box, to, NULL, (struct span){ 0 }, span_of(bytes, len));
}

static void empty(void)
{
	box.n = box.n_iov = box.plain = 0;
}

static void test_grouping(void **state)
{
	union sock_name a = name("192.0.2.1:5000"), b = name("[2001:db8::1]:5000");

	empty();
	for (int i = 0; i < 3; i++)
		assert_true(add(&a, 100));
	assert_true(add(&a, 60));  /* shorter: the run's last */
	assert_true(add(&a, 60));  /* a new run */
	assert_true(add(&a, 100)); /* longer: another */
	assert_true(add(&b, 100)); /* elsewhere */
	assert_int_equal(box.n, 4);
	assert_int_equal(box.meta[0].count, 4);
	assert_int_equal(box.meta[0].segment, 100);
	assert_int_equal(box.msgs[0].msg_hdr.msg_controllen, CMSG_SPACE(2));
	assert_int_equal(box.meta[1].count, 1);
	assert_int_equal(box.msgs[1].msg_hdr.msg_controllen, 0);
	assert_int_equal(box.msgs[3].msg_hdr.msg_namelen, sizeof(struct sockaddr_in6));
}

static void test_limits(void **state)
{
	union sock_name a = name("192.0.2.1:5000");

	empty();
	for (int i = 0; i < OUTBOX_SEGMENTS + 1; i++)
		assert_true(add(&a, 10));
	assert_int_equal(box.n, 2);
	assert_int_equal(box.meta[0].count, OUTBOX_SEGMENTS);
	empty();
	assert_true(add(&a, 40000));
	assert_true(add(&a, 40000)); /* both would be too long for one */
	assert_int_equal(box.n, 2);
	empty();
	assert_true(add(&a, 0)); /* an empty datagram is one */
	assert_true(add(&a, 0));
	assert_int_equal(box.n, 2);
	empty();
	for (unsigned i = 0; i < OUTBOX_MSGS; i++)
		assert_true(add(&a, i % 2 ? 10 : 20) && add(&a, i % 2 ? 5 : 15));
	assert_false(add(&a, 100));
}

static void test_sources_apart(void **state)
{
	union sock_name a = name("127.0.0.1:5000");
	struct addr one, two;

	assert_int_equal(addr_parse_ip("127.0.0.2", &one), 0);
	assert_int_equal(addr_parse_ip("127.0.0.3", &two), 0);
	empty();
	assert_true(outbox_add(&box, &a, &one, (struct span){ 0 }, span_of(bytes, 8)));
	assert_true(outbox_add(&box, &a, &one, (struct span){ 0 }, span_of(bytes, 8)));
	assert_true(outbox_add(&box, &a, &two, (struct span){ 0 }, span_of(bytes, 8)));
	assert_int_equal(box.n, 2);
	assert_int_equal(box.meta[0].count, 2);
}

static int bound_socket(union sock_name *at)
{
	union sock_name any = name("127.0.0.1:0");
	socklen_t len = sizeof(*at);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, &any.sa, sizeof(any.v4)), 0);
	assert_int_equal(getsockname(fd, &at->sa, &len), 0);
	return fd;
}

/* Heads and data of different places arrive as whole datagrams, and in order. */
static void test_sends(void **state)
{
	union sock_name at, from;
	int to = bound_socket(&at), fd = bound_socket(&from);
	uint8_t heads[8] = { 0, 1, 2, 3, 4, 5, 6, 7 }, got[100];
	const size_t lens[] = { 50, 50, 50, 20, 70, 0, 1 };

	empty();
	for (size_t i = 0; i < ARRAY_LEN(lens); i++)
		assert_true(outbox_add(&box, &at, NULL, span_of(&heads[i], 1),
				       span_of(bytes, lens[i])));
	assert_int_equal(outbox_send(&box, fd), 0);
	assert_true(outbox_empty(&box));
	for (size_t i = 0; i < ARRAY_LEN(lens); i++) {
		assert_int_equal(recv(to, got, sizeof(got), 0), lens[i] + 1);
		assert_int_equal(got[0], i);
		assert_memory_equal(got + 1, bytes, lens[i]);
	}
	close(to);
	close(fd);
}

/* A run too long to be segmented (its datagrams exceed the path's MTU) goes one by one. */
static void test_falls_back(void **state)
{
	union sock_name at, from;
	int to = bound_socket(&at), fd = bound_socket(&from);
	uint8_t got[100];

	empty();
	for (int i = 0; i < 3; i++)
		assert_true(add(&at, 40));
	/* segments of no length are refused by the kernel like any that a path cannot take */
	assert_int_equal(box.meta[0].count, 3);
	memset(CMSG_DATA((struct cmsghdr *)(void *)box.meta[0].control), 0, 2);
	((struct cmsghdr *)(void *)box.meta[0].control)->cmsg_len = CMSG_LEN(1);
	assert_int_equal(outbox_send(&box, fd), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(recv(to, got, sizeof(got), 0), 40);
	close(to);
	close(fd);
}

/* The answer to a send is an ICMP error that another send is told of: nothing is lost by it. */
static void test_pending_error(void **state)
{
	union sock_name gone, at, from;
	int closed = bound_socket(&gone), to = bound_socket(&at), fd = bound_socket(&from);
	int on = 1;
	uint8_t got[100];

	close(closed);
	assert_int_equal(setsockopt(fd, IPPROTO_IP, IP_RECVERR, &on, sizeof(on)), 0);
	empty();
	assert_true(add(&gone, 10));
	assert_int_equal(outbox_send(&box, fd), 0);
	assert_true(add(&at, 30));
	assert_int_equal(outbox_send(&box, fd), 0);
	assert_int_equal(recv(to, got, sizeof(got), MSG_DONTWAIT), 30);
	close(to);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_grouping), TEST(test_limits),	    TEST(test_sources_apart),
		TEST(test_sends),    TEST(test_falls_back), TEST(test_pending_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
