/* The TURN client's permissions and channels, and the user data that goes through them. */
#include <errno.h>

#include "base/err.h"
#include "proto/turn/turn_stream.h"
#include "turn_client_rig.h"

/* ---- peers ---- */

static void test_permission(void **state)
{
	struct turn_client_wrap w;
	struct addr elsewhere = rig_peer_a;
	struct rig r;

	rig_init(&r);
	assert_int_equal(turn_client_permit(r.c, r.now, &rig_peer_a), FL_ESTATE);
	rig_allocate(&r);
	assert_int_equal(turn_client_reach(r.c, r.now, &rig_peer_a), TURN_CLIENT_UNKNOWN);
	/* data may go right behind the request */
	assert_int_equal(turn_client_wrap(r.c, r.now, &rig_peer_a, 5, &w), 0);
	rig_expect_proved(&r, TURN_CREATE_PERMISSION);
	assert_int_equal(turn_client_wrap(r.c, r.now, &rig_peer_a, 5, &w), 0);
	rig_expect_silence(&r);
	assert_int_equal(turn_client_reach(r.c, r.now, &rig_peer_a), TURN_CLIENT_ASKED);
	rig_answer_success(&r);
	rig_expect_event(&r, TURN_CLIENT_CHANGED);
	assert_int_equal(r.e.reach, TURN_CLIENT_PERMITTED);
	/* a permission is for the IP */
	elsewhere.port = 1;
	assert_int_equal(turn_client_permit(r.c, r.now, &elsewhere), 0);
	rig_expect_silence(&r);
	rig_to_deadline(&r);
	assert_int_equal(r.now, RIG_START + 240 * SEC);
	rig_expect_proved(&r, TURN_CREATE_PERMISSION);
	rig_answer_success(&r);
	rig_expect_no_event(&r);
	/* no longer kept */
	turn_client_forget(r.c, &rig_peer_a);
	assert_int_equal(turn_client_deadline(r.c), RIG_START + 540 * SEC);
	rig_finish(&r);
}

static void test_permission_refused(void **state)
{
	struct turn_client_wrap w;
	struct rig r;

	rig_init(&r);
	rig_allocate(&r);
	assert_int_equal(turn_client_permit(r.c, r.now, &rig_peer_a), 0);
	rig_expect_proved(&r, TURN_CREATE_PERMISSION);
	rig_answer_error(&r, TURN_FORBIDDEN, true);
	rig_expect_event(&r, TURN_CLIENT_CHANGED);
	assert_int_equal(r.e.reach, TURN_CLIENT_REFUSED);
	assert_int_equal(r.e.failure.code, TURN_FORBIDDEN);
	assert_int_equal(r.e.failure.step, TURN_CLIENT_STEP_PERMISSION);
	assert_true(addr_ip_equal(&r.e.peer, &rig_peer_a));
	assert_int_equal(turn_client_wrap(r.c, r.now, &rig_peer_a, 5, &w), -EACCES);
	rig_expect_silence(&r);
	rig_permit(&r, &rig_peer_b); /* others are not concerned */
	r.now += 60 * SEC;
	assert_int_equal(turn_client_wrap(r.c, r.now, &rig_peer_a, 5, &w), 0);
	rig_expect_proved(&r, TURN_CREATE_PERMISSION);
	rig_answer_success(&r);
	rig_expect_event(&r, TURN_CLIENT_CHANGED);
	assert_int_equal(r.e.reach, TURN_CLIENT_PERMITTED);
	rig_finish(&r);
}

static void test_permission_unanswered(void **state)
{
	struct rig r;
	unsigned sent = 0;

	rig_init(&r);
	rig_allocate(&r);
	assert_int_equal(turn_client_permit(r.c, r.now, &rig_peer_a), 0);
	while (r.now < RIG_START + 30 * SEC) {
		while (rig_next_request(&r))
			sent++;
		rig_to_deadline(&r);
	}
	assert_in_range(sent, 21, 35); /* 7 of them every 8.3 s */
	rig_expect_no_event(&r);
	rig_finish(&r);
}

static void test_channel(void **state)
{
	struct turn_client_wrap w;
	struct rig r;
	uint16_t number;

	rig_init(&r);
	rig_allocate(&r);
	number = rig_bind_channel(&r, &rig_peer_a);
	assert_in_range(number, TURN_CHANNEL_MIN, TURN_CHANNEL_MAX);
	assert_int_not_equal(rig_bind_channel(&r, &rig_peer_b), number);
	assert_int_equal(turn_client_wrap(r.c, r.now, &rig_peer_a, 5, &w), 0);
	assert_int_equal(w.head_len, 4);
	assert_int_equal(w.pad, 0);
	assert_int_equal(w.head[0] << 8 | w.head[1], number);
	assert_int_equal(w.head[3], 5);
	/* permissions at 240 s and 480 s, channels at 540 s */
	for (unsigned channels = 0; channels < 2;) {
		rig_to_deadline(&r);
		while (rig_next_request(&r)) {
			assert_int_equal(turn_auth_check(r.auth, &r.m, &rig_client_addr, 1000,
							 &r.credential),
					 0);
			if (r.m.method == TURN_CHANNEL_BIND) {
				assert_int_equal(r.now, RIG_START + 540 * SEC);
				channels++;
			}
			rig_answer_success(&r);
		}
	}
	rig_expect_no_event(&r);
	/* forgotten and wanted again: the server still knows the number */
	turn_client_forget(r.c, &rig_peer_a);
	assert_int_equal(turn_client_reach(r.c, r.now, &rig_peer_a), TURN_CLIENT_UNKNOWN);
	assert_int_equal(rig_bind_channel(&r, &rig_peer_a), number);
	rig_finish(&r);
}

static void test_channel_refused(void **state)
{
	struct turn_client_wrap w;
	struct rig r;
	uint16_t first, second;

	rig_init(&r);
	rig_allocate(&r);
	rig_permit(&r, &rig_peer_a);
	assert_int_equal(turn_client_bind(r.c, r.now, &rig_peer_a), 0);
	rig_expect_proved(&r, TURN_CHANNEL_BIND);
	assert_true(turn_get_channel(&r.m, &first));
	rig_answer_error(&r, STUN_BAD_REQUEST, true); /* the number is taken: one more try */
	rig_expect_no_event(&r);
	rig_expect_proved(&r, TURN_CHANNEL_BIND);
	assert_true(turn_get_channel(&r.m, &second));
	assert_int_not_equal(first, second);
	rig_answer_error(&r, STUN_BAD_REQUEST, true);
	rig_expect_event(&r, TURN_CLIENT_CHANGED);
	assert_int_equal(r.e.reach, TURN_CLIENT_PERMITTED); /* by indication as before */
	assert_int_equal(r.e.failure.step, TURN_CLIENT_STEP_CHANNEL);
	assert_int_equal(turn_client_wrap(r.c, r.now, &rig_peer_a, 5, &w), 0);
	assert_int_equal(w.head_len, 36);
	assert_int_equal(turn_client_bind(r.c, r.now, &rig_peer_a), 0); /* not so soon */
	rig_expect_silence(&r);
	rig_finish(&r);
}

static void test_channel_number_after_unproved_error(void **state)
{
	struct rig r;
	uint16_t first, second;

	rig_init(&r);
	rig_allocate(&r);
	rig_permit(&r, &rig_peer_a);
	assert_int_equal(turn_client_bind(r.c, r.now, &rig_peer_a), 0);
	rig_expect_proved(&r, TURN_CHANNEL_BIND);
	assert_true(turn_get_channel(&r.m, &first));
	rig_answer_error(&r, STUN_BAD_REQUEST, false);
	rig_to_deadline(&r); /* checks that the deadline moves on */
	rig_expect_proved(&r, TURN_CHANNEL_BIND);
	assert_true(turn_get_channel(&r.m, &second));
	assert_int_not_equal(first, second);
	rig_finish(&r);
}

static void test_limits(void **state)
{
	struct turn_client_wrap w;
	struct addr peer = rig_peer_a;
	struct rig r;

	rig_init(&r);
	rig_allocate(&r);
	assert_int_equal(turn_client_wrap(r.c, r.now, &rig_peer_a, TURN_CLIENT_DATA_MAX + 1, &w),
			 FL_EQUOTA);
	for (unsigned i = 0; i < TURN_CLIENT_CHANNELS_MAX; i++) {
		peer.port = (uint16_t)(i + 1);
		rig_bind_channel(&r, &peer);
	}
	peer.port = 10000;
	assert_int_equal(turn_client_bind(r.c, r.now, &peer), FL_EQUOTA);
	for (unsigned i = 1; i < TURN_CLIENT_PEERS_MAX; i++) {
		peer.ip[3] = (uint8_t)(100 + i);
		rig_permit(&r, &peer);
	}
	peer.ip[3] = 1;
	assert_int_equal(turn_client_permit(r.c, r.now, &peer), FL_EQUOTA);
	assert_int_equal(turn_client_wrap(r.c, r.now, &peer, 1, &w), FL_EQUOTA);
	turn_client_forget(r.c, &rig_peer_a);
	rig_permit(&r, &peer);
	assert_int_equal(turn_client_bind(r.c, r.now, &peer), 0); /* an idle one gives way */
	rig_finish(&r);
}

/* ---- user data ---- */

/* Head, data and padding together are what a TURN server takes. */
static void test_wrap(void **state)
{
	struct turn_client_wrap w;
	struct rig r;

	for (int stream = 0; stream < 2; stream++)
		for (size_t len = 0; len < 9; len++) {
			uint8_t message[128] = { 0 };
			struct span whole, data = span_str("12345678");
			struct stun_msg m;
			struct addr to;
			size_t used;
			uint16_t number;

			data.len = FL_MIN(len, 8);
			rig_with(&r, &(struct turn_client_config){ .stream = stream,
								   .v4 = true,
								   .username = "anna",
								   .password = "secret" });
			rig_allocate(&r);
			assert_int_equal(turn_client_wrap(r.c, r.now, &rig_peer_a, data.len, &w),
					 0);
			memcpy(message, w.head, w.head_len);
			memcpy(message + w.head_len, data.ptr, data.len);
			used = w.head_len + data.len + w.pad;
			assert_int_equal(stun_parse(span_of(message, used), &m), 0);
			assert_int_equal(m.class, STUN_INDICATION);
			assert_int_equal(m.method, TURN_SEND);
			assert_true(stun_get_xor_addr(&m, TURN_XOR_PEER_ADDRESS, &to));
			assert_true(addr_equal(&to, &rig_peer_a));
			assert_true(stun_get(&m, TURN_DATA_ATTR, &whole));
			assert_true(span_equal(whole, data));
			while (rig_next_request(&r))
				continue;
			rig_bind_channel(&r, &rig_peer_b);
			assert_int_equal(turn_client_wrap(r.c, r.now, &rig_peer_b, data.len, &w),
					 0);
			memset(message, 0, sizeof(message));
			memcpy(message, w.head, w.head_len);
			memcpy(message + w.head_len, data.ptr, data.len);
			assert_int_equal(
				turn_channel_parse(span_of(message, 4 + data.len), &number, &whole),
				0);
			assert_true(span_equal(whole, data));
			if (stream) {
				assert_int_equal(
					turn_stream_next(span_of(message, 100), &whole, &used), 1);
				assert_int_equal(used, 4 + data.len + w.pad);
			}
			rig_finish(&r);
		}
}

static void begin_data(struct rig *r, const struct addr *peer)
{
	static const uint8_t tid[STUN_TID_LEN] = "indication!";

	stun_begin(&r->o, r->answer, sizeof(r->answer), STUN_INDICATION, TURN_DATA, tid);
	stun_put_xor_addr(&r->o, TURN_XOR_PEER_ADDRESS, peer);
}

static void test_unwrap(void **state)
{
	uint8_t message[] = { 0, 0, 0, 2, 'h', 'i', 0, 0 };
	struct turn_icmp icmp = { 3, 4, 1400 };
	struct turn_client_data data;
	struct rig r;
	uint16_t number;

	rig_init(&r);
	rig_allocate(&r);
	begin_data(&r, &rig_peer_a);
	stun_put(&r.o, TURN_DATA_ATTR, span_str("hello"));
	assert_false(rig_feed(&r, &data)); /* from a peer that we do not know */
	assert_int_equal(turn_client_stats(r.c)->strays, 1);
	rig_permit(&r, &rig_peer_a);
	begin_data(&r, &rig_peer_a);
	stun_put(&r.o, TURN_DATA_ATTR, span_str("hello"));
	assert_true(rig_feed(&r, &data));
	assert_true(span_is(data.payload, "hello"));
	assert_true(addr_equal(&data.peer, &rig_peer_a));
	begin_data(&r, &rig_peer_a);
	assert_false(rig_feed(&r, &data));
	assert_int_equal(turn_client_stats(r.c)->malformed, 1);
	begin_data(&r, &rig_peer_a);
	turn_put_icmp(&r.o, &icmp);
	assert_false(rig_feed(&r, &data));
	rig_expect_event(&r, TURN_CLIENT_ICMP);
	assert_true(addr_equal(&r.e.peer, &rig_peer_a));
	assert_int_equal(r.e.icmp.type, 3);
	assert_int_equal(r.e.icmp.data, 1400);

	number = rig_bind_channel(&r, &rig_peer_b);
	message[0] = (uint8_t)(number >> 8);
	message[1] = (uint8_t)number;
	assert_true(turn_client_input(r.c, r.now, span_of(message, 6), &data));
	assert_true(span_is(data.payload, "hi"));
	assert_true(addr_equal(&data.peer, &rig_peer_b));
	assert_true(turn_client_input(r.c, r.now, span_of(message, 8), &data));
	assert_true(span_is(data.payload, "hi"));
	assert_false(turn_client_input(r.c, r.now, span_of(message, 5), &data));
	message[1]++;
	assert_false(turn_client_input(r.c, r.now, span_of(message, 6), &data));
	assert_int_equal(turn_client_stats(r.c)->strays, 2);
	assert_int_equal(turn_client_stats(r.c)->malformed, 2);
	rig_finish(&r);
}

static void test_events_have_a_limit(void **state)
{
	struct turn_icmp icmp = { 3, 1, 0 };
	struct turn_client_data data;
	struct rig r;
	unsigned n = 0;

	rig_init(&r);
	rig_allocate(&r);
	rig_permit(&r, &rig_peer_a);
	for (unsigned i = 0; i < 2 * TURN_CLIENT_EVENTS_MAX; i++) {
		begin_data(&r, &rig_peer_a);
		turn_put_icmp(&r.o, &icmp);
		assert_false(rig_feed(&r, &data));
	}
	r.now += 600 * SEC;
	turn_client_timeout(r.c, r.now);
	while (turn_client_next_event(r.c, &r.e))
		n++;
	assert_int_equal(n, TURN_CLIENT_EVENTS_MAX);
	assert_int_equal(r.e.type, TURN_CLIENT_FAILED);
	rig_finish(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_permission),
		TEST(test_permission_refused),
		TEST(test_permission_unanswered),
		TEST(test_channel),
		TEST(test_channel_refused),
		TEST(test_limits),
		TEST(test_wrap),
		TEST(test_unwrap),
		TEST(test_events_have_a_limit),
		TEST(test_channel_number_after_unproved_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
