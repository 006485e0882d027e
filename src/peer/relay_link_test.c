/* The link to a TURN server over UDP: a message arrives whole, with its padding. */
#include "test.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/loop.h"
#include "peer/relay_link.h"

struct server {
	int fd;
	struct relay_link_to to;
};

static void server_open(struct server *s)
{
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	struct timeval patience = { .tv_sec = 20 };
	socklen_t len = sizeof(sin);

	s->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_true(s->fd >= 0);
	assert_int_equal(bind(s->fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
	assert_int_equal(getsockname(s->fd, (struct sockaddr *)&sin, &len), 0);
	setsockopt(s->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	s->to.server = (struct addr){ .family = ADDR_V4, .ip = { 127, 0, 0, 1 } };
	s->to.server.port = ntohs(sin.sin_port);
}

static void on_open(void *arg)
{
	*(bool *)arg = true;
}

static void on_message(void *arg, struct span message)
{
	(void)arg;
	(void)message;
}

/* Data that is no multiple of four bytes: a Send indication without its padding is malformed. */
static void test_udp_padding(void **state)
{
	struct relay_link_handler handler = { .on_open = on_open, .on_message = on_message };
	struct ice_url url = { .turn = true, .transport = TURN_UDP };
	struct relay_link *link;
	struct server server = { 0 };
	struct loop *loop;
	uint8_t got[64];
	bool open = false;

	(void)state;
	server_open(&server);
	assert_int_equal(loop_create(&loop), 0);
	assert_int_equal(relay_link_create(loop, &url, &server.to, &handler, &open, &link), 0);
	while (!open)
		assert_true(loop_turn(loop, USEC_PER_SEC) >= 0);
	relay_link_send(link, span_str("head"), span_str("hello"), 3);
	relay_link_flush(link);
	assert_int_equal(recv(server.fd, got, sizeof(got), 0), 12);
	assert_memory_equal(got, "headhello\0\0\0", 12);
	relay_link_destroy(link);
	loop_destroy(loop);
	close(server.fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_udp_padding),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
