#include "test.h"

#include "relay/behaviour.h"

static void listen_at(struct settings *s, enum turn_transport transport, const char *at)
{
	struct settings_listener *l = &s->listeners[s->n_listeners++];

	l->transport = transport;
	assert_int_equal(addr_parse(at, &l->at), 0);
}

static bool found(struct stun_behaviour *b, enum turn_transport last, const char *const *at)
{
	static struct settings s;

	memset(&s, 0, sizeof(s));
	for (; *at; at++)
		listen_at(&s, at[1] ? TURN_UDP : last, *at);
	return behaviour_of(&s, b);
}

#define AT(...)                                                                                    \
	(const char *const[])                                                                      \
	{                                                                                          \
		__VA_ARGS__, NULL                                                                  \
	}

static void test_square(void **state)
{
	struct stun_behaviour b;

	assert_true(found(&b, TURN_UDP,
			  AT("127.0.0.9:1", "127.0.0.1:3478", "127.0.0.1:3479", "127.0.0.2:3478",
			     "127.0.0.2:3479")));
	for (int i = 0; i < 2; i++) {
		assert_true(addr_ip_equal(&b.at[i][0], &b.at[i][1]));
		assert_int_equal(b.at[0][i].port, b.at[1][i].port);
	}
	assert_false(addr_ip_equal(&b.at[0][0], &b.at[1][0]));
	assert_int_not_equal(b.at[0][0].port, b.at[0][1].port);
	assert_true(found(
		&b, TURN_UDP,
		AT("[2001:db8::1]:1", "[2001:db8::1]:2", "[2001:db8::2]:1", "[2001:db8::2]:2")));
}

static void test_no_square(void **state)
{
	struct stun_behaviour b;

	assert_false(found(&b, TURN_UDP, AT("127.0.0.1:1", "127.0.0.1:2", "127.0.0.2:1")));
	assert_false(found(&b, TURN_TCP,
			   AT("127.0.0.1:1", "127.0.0.1:2", "127.0.0.2:1", "127.0.0.2:2")));
	assert_false(
		found(&b, TURN_UDP, AT("127.0.0.1:1", "127.0.0.1:2", "0.0.0.0:1", "0.0.0.0:2")));
	assert_false(found(&b, TURN_UDP,
			   AT("127.0.0.1:0", "127.0.0.1:2", "127.0.0.2:0", "127.0.0.2:2")));
	assert_false(found(&b, TURN_UDP, AT("127.0.0.1:1", "127.0.0.1:2", "[::1]:1", "[::1]:2")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_square),
		TEST(test_no_square),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
