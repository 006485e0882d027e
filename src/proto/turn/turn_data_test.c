/* Permissions, channels and what passes through them (RFC 8656 §9 to §12). */
#include "turn_kit.h"

#include <malloc.h>

#define PEER "1.2.3.4:5000"

/* ---- permissions ---- */

static void test_permission(void **state)
{
	struct kit k;
	struct turn_alloc *a;

	kit_start(&k);
	a = kit_allocate(&k);
	assert_false(kit_peer_gets_in(&k, a, PEER));
	assert_int_equal(turn_server_stats(k.s)->no_permission, 1);
	assert_int_equal(kit_permit(&k, "1.2.3.4:9"), 0); /* the port does not matter */
	kit_expect_sealed(&k);
	assert_true(kit_peer_gets_in(&k, a, PEER));
	assert_false(kit_peer_gets_in(&k, a, "1.2.3.5:5000"));
	kit_pass(&k, 300 * SEC - 1);
	assert_true(kit_peer_gets_in(&k, a, PEER));
	kit_pass(&k, 1);
	assert_false(kit_peer_gets_in(&k, a, PEER));
	kit_stop(&k);
}

static void test_permission_refreshed(void **state)
{
	struct kit k;
	struct turn_alloc *a;

	kit_start(&k);
	a = kit_allocate(&k);
	assert_int_equal(kit_permit(&k, PEER), 0);
	kit_pass(&k, 200 * SEC);
	assert_int_equal(kit_permit(&k, PEER), 0);
	kit_pass(&k, 299 * SEC);
	assert_true(kit_peer_gets_in(&k, a, PEER));
	kit_pass(&k, 1 * SEC);
	assert_false(kit_peer_gets_in(&k, a, PEER));
	kit_stop(&k);
}

static int permit_two(struct kit *k, const char *first, const char *second)
{
	kit_begin(k, TURN_CREATE_PERMISSION);
	kit_put_peer(k, first);
	kit_put_peer(k, second);
	kit_send(k);
	return kit_outcome(k);
}

/* §10.2: all or none. */
static void test_permissions_together(void **state)
{
	struct kit k;
	struct turn_alloc *a;

	kit_start(&k);
	a = kit_allocate(&k);
	assert_int_equal(permit_two(&k, PEER, "10.0.0.1:1"), 403);
	assert_false(kit_peer_gets_in(&k, a, PEER));
	assert_int_equal(permit_two(&k, PEER, "[2600::1]:1"), 443);
	assert_false(kit_peer_gets_in(&k, a, PEER));
	kit_begin(&k, TURN_CREATE_PERMISSION);
	kit_put_peer(&k, PEER);
	stun_put_u32(&k.o, TURN_XOR_PEER_ADDRESS, 7);
	kit_send(&k);
	assert_int_equal(kit_outcome(&k), 400);
	assert_false(kit_peer_gets_in(&k, a, PEER));
	assert_int_equal(permit_two(&k, PEER, "1.2.3.5:1"), 0);
	assert_true(kit_peer_gets_in(&k, a, PEER));
	assert_true(kit_peer_gets_in(&k, a, "1.2.3.5:2"));
	kit_begin(&k, TURN_CREATE_PERMISSION);
	kit_send(&k);
	assert_int_equal(kit_outcome(&k), 400); /* none at all */
	kit_stop(&k);
}

static void test_forbidden_peers(void **state)
{
	static const char *const peers[] = { "127.0.0.1:1",	 "0.0.0.0:1",	  "169.254.1.1:1",
					     "10.1.1.1:1",	 "192.168.1.1:1", "224.0.0.1:1",
					     "255.255.255.255:1" };
	struct kit k;

	kit_start(&k);
	kit_allocate(&k);
	for (size_t i = 0; i < ARRAY_LEN(peers); i++) {
		assert_int_equal(kit_permit(&k, peers[i]), 403);
		assert_int_equal(kit_bind(&k, 0x4000, peers[i]), 403);
	}
	assert_int_equal(kit_bind(&k, 0x4000, "1.2.3.4:0"), 403); /* nowhere */
	assert_int_equal(turn_server_stats(k.s)->errors[TURN_ERROR_FORBIDDEN],
			 2 * ARRAY_LEN(peers) + 1);
	kit_stop(&k);
}

static void number_to_peer(unsigned n, char out[ADDR_TEXT_MAX])
{
	snprintf(out, ADDR_TEXT_MAX, "1.2.%u.%u:%u", n / 250 + 1, n % 250 + 1, 5000 + n);
}

static void test_permissions_are_bounded(void **state)
{
	char peer[ADDR_TEXT_MAX];
	struct kit k;
	struct turn_alloc *a;

	kit_start(&k);
	a = kit_allocate(&k);
	for (unsigned i = 0; i < TURN_PERMISSIONS_MAX; i++) {
		number_to_peer(i, peer);
		assert_int_equal(kit_permit(&k, peer), 0);
	}
	assert_int_equal(kit_permit(&k, PEER), 508);
	assert_int_equal(kit_bind(&k, 0x4000, PEER), 508);
	for (unsigned i = 0; i < TURN_PERMISSIONS_MAX; i++) {
		number_to_peer(i, peer);
		assert_true(kit_peer_gets_in(&k, a, peer));
	}
	number_to_peer(0, peer);
	assert_int_equal(kit_permit(&k, peer), 0); /* those that are there can be refreshed */
	k.now += 301 * SEC;			   /* nobody called turn_server_timeout() yet */
	assert_int_equal(kit_permit(&k, PEER), 0);
	kit_stop(&k);
}

/* ---- channels ---- */

static void test_channel(void **state)
{
	struct kit k;
	struct turn_alloc *a;
	struct addr peer = kit_addr(PEER);
	uint16_t number;

	kit_start(&k);
	a = kit_allocate(&k);
	assert_int_equal(kit_bind(&k, 0x4001, PEER), 0);
	kit_expect_sealed(&k);
	kit_send_bytes(&k, span_of("\x40\x01\x00\x03"
				   "abc.",
				   8)); /* padded, as some do even over UDP */
	assert_int_equal(k.v.type, TURN_VERDICT_TO_PEER);
	assert_true(span_is(k.v.data, "abc") && addr_equal(&k.v.peer, &peer));
	assert_ptr_equal(k.v.alloc, a);
	turn_server_peer(k.s, k.now, a, &peer, span_str("hello"), &k.v);
	assert_int_equal(k.v.type, TURN_VERDICT_TO_CLIENT);
	assert_true(span_equal(k.v.head, span_of("\x40\x01\x00\x05", 4)));
	assert_true(span_is(k.v.data, "hello"));
	assert_true(turn_alloc_from_peer(a, k.now, &peer, &number) && number == 0x4001);
	assert_true(addr_equal(turn_alloc_channel(a, k.now, 0x4001), &peer));
	assert_null(turn_alloc_channel(a, k.now, 0x4002));
	peer.port++; /* the permission holds, the channel is another's */
	assert_true(turn_alloc_from_peer(a, k.now, &peer, &number) && number == 0);
	kit_stop(&k);
}

static void test_channel_refused(void **state)
{
	struct kit k;

	kit_start(&k);
	kit_allocate(&k);
	assert_int_equal(kit_bind(&k, 0x3FFF, PEER), 400);
	assert_int_equal(kit_bind(&k, TURN_CHANNEL_MAX + 1, PEER), 400);
	assert_int_equal(kit_bind(&k, 0xFFFF, PEER), 400);
	assert_int_equal(kit_bind(&k, 0x4000, "[2600::1]:1"), 443);
	kit_begin(&k, TURN_CHANNEL_BIND);
	kit_put_peer(&k, PEER);
	kit_send(&k);
	assert_int_equal(kit_outcome(&k), 400);
	kit_begin(&k, TURN_CHANNEL_BIND);
	turn_put_channel(&k.o, 0x4000);
	kit_send(&k);
	assert_int_equal(kit_outcome(&k), 400);
	assert_int_equal(kit_bind(&k, TURN_CHANNEL_MAX, PEER), 0);
	kit_stop(&k);
}

/* §12: ten minutes, with a permission that lasts five; and a hold-off of five more. */
static void test_channel_times(void **state)
{
	struct kit k;

	kit_start(&k);
	kit_allocate(&k);
	assert_int_equal(kit_refresh(&k, 3600), 0);
	assert_int_equal(kit_bind(&k, 0x4000, PEER), 0);
	kit_pass(&k, 300 * SEC - 1);
	assert_true(kit_channel_works(&k, 0x4000));
	kit_pass(&k, 1);
	assert_false(kit_channel_works(&k, 0x4000)); /* the permission is over */
	assert_int_equal(kit_permit(&k, PEER), 0);
	assert_true(kit_channel_works(&k, 0x4000));
	kit_pass(&k, 299 * SEC);
	assert_int_equal(kit_permit(&k, PEER), 0);
	assert_true(kit_channel_works(&k, 0x4000));
	kit_pass(&k, 1 * SEC);
	assert_false(kit_channel_works(&k, 0x4000)); /* the binding is over */
	assert_int_equal(kit_bind(&k, 0x4000, "1.2.3.5:1"), 400);
	assert_int_equal(kit_bind(&k, 0x4001, PEER), 400);
	kit_pass(&k, 300 * SEC - 1);
	assert_int_equal(kit_bind(&k, 0x4000, "1.2.3.5:1"), 400);
	kit_take_events(&k);
	kit_pass(&k, 1);
	assert_int_equal(kit_bind(&k, 0x4000, "1.2.3.5:1"), 0);
	assert_int_equal(kit_bind(&k, 0x4001, PEER), 0);
	assert_true(kit_channel_works(&k, 0x4000) && kit_channel_works(&k, 0x4001));
	kit_stop(&k);
}

static void test_channel_rebound_in_hold_off(void **state)
{
	struct kit k;

	kit_start(&k);
	kit_allocate(&k);
	assert_int_equal(kit_refresh(&k, 3600), 0);
	assert_int_equal(kit_bind(&k, 0x4000, PEER), 0);
	kit_pass(&k, 700 * SEC);
	assert_false(kit_channel_works(&k, 0x4000));
	assert_int_equal(kit_bind(&k, 0x4000, PEER), 0); /* the same two may meet again */
	assert_true(kit_channel_works(&k, 0x4000));
	kit_pass(&k, 200 * SEC);
	assert_int_equal(kit_bind(&k, 0x4000, PEER), 0);
	kit_pass(&k, 299 * SEC);
	assert_true(kit_channel_works(&k, 0x4000));
	kit_stop(&k);
}

static void test_channel_conflicts(void **state)
{
	struct kit k;

	kit_start(&k);
	kit_allocate(&k);
	assert_int_equal(kit_bind(&k, 0x4000, PEER), 0);
	assert_int_equal(kit_bind(&k, 0x4001, "1.2.3.4:5001"), 0);
	assert_int_equal(kit_bind(&k, 0x4001, PEER), 400);	  /* both bound, to others */
	assert_int_equal(kit_bind(&k, 0x4002, PEER), 400);	  /* same peer, other channel */
	assert_int_equal(kit_bind(&k, 0x4000, "1.2.3.5:1"), 400); /* same channel, other peer */
	assert_int_equal(kit_bind(&k, 0x4000, PEER), 0);
	kit_stop(&k);
}

static void test_channels_are_bounded(void **state)
{
	char peer[ADDR_TEXT_MAX];
	struct kit k;
	struct turn_alloc *a;
	uint16_t number;

	kit_start(&k);
	a = kit_allocate(&k);
	assert_int_equal(kit_refresh(&k, 3600), 0);
	for (unsigned i = 0; i < TURN_CHANNELS_MAX; i++) {
		number_to_peer(i, peer);
		assert_int_equal(kit_bind(&k, (uint16_t)(0x4000 + i), peer), 0);
	}
	for (unsigned i = 0; i < TURN_CHANNELS_MAX; i++) {
		struct addr from;

		number_to_peer(i, peer);
		from = kit_addr(peer);
		assert_true(turn_alloc_from_peer(a, k.now, &from, &number));
		assert_int_equal(number, 0x4000 + i);
		assert_true(addr_equal(turn_alloc_channel(a, k.now, number), &from));
	}
	kit_take_events(&k);
	assert_int_equal(k.n_events, TURN_CHANNELS_MAX);
	kit_pass(&k, 400 * SEC); /* the permissions are over, the channels are not */
	kit_take_events(&k);
	assert_int_equal(k.n_events, TURN_CHANNELS_MAX);
	assert_int_equal(kit_bind(&k, 0x4FFF, PEER), 508);
	kit_pass(&k, 501 * SEC); /* and the hold-off is over */
	assert_int_equal(kit_bind(&k, 0x4FFF, PEER), 0);
	assert_null(turn_alloc_channel(a, k.now, 0x4000));
	kit_stop(&k);
}

/* ---- events for offloading ---- */

static void expect_binding(struct kit *k, usec_t until)
{
	struct addr peer = kit_addr(PEER);
	const struct turn_event *e;

	kit_take_events(k);
	assert_int_equal(k->n_events, 1);
	e = &k->events[0];
	assert_int_equal(e->type, TURN_EVENT_BINDING);
	assert_int_equal(e->channel, 0x4000);
	assert_true(addr_equal(&e->peer, &peer));
	assert_int_equal(e->until, until);
}

static void test_binding_events(void **state)
{
	struct kit k;

	kit_start(&k);
	kit_allocate(&k);
	kit_bind(&k, 0x4000, PEER);
	expect_binding(&k, k.now + 300 * SEC);
	kit_pass(&k, 10 * SEC);
	kit_bind(&k, 0x4000, PEER);
	expect_binding(&k, k.now + 300 * SEC);
	kit_pass(&k, 290 * SEC);
	kit_permit(&k, PEER);
	expect_binding(&k, k.now + 300 * SEC); /* all three end then */
	kit_pass(&k, 20 * SEC);
	kit_permit(&k, PEER); /* the allocation ends first */
	kit_take_events(&k);
	assert_int_equal(k.n_events, 0);
	kit_refresh(&k, -1);
	expect_binding(&k, k.now + 290 * SEC); /* now the binding does */
	kit_pass(&k, 290 * SEC);
	expect_binding(&k, 0);
	kit_pass(&k, 10 * SEC);
	kit_take_events(&k);
	assert_int_equal(k.n_events, 0); /* told once */
	kit_bind(&k, 0x4000, PEER);
	expect_binding(&k, k.now + 300 * SEC);
	kit_refresh(&k, 0);
	kit_take_events(&k);
	assert_int_equal(k.n_events, 2);
	assert_true(k.events[0].type == TURN_EVENT_BINDING && k.events[0].until == 0);
	assert_int_equal(k.events[1].type, TURN_EVENT_CLOSED);
	kit_stop(&k);
}

/* ---- data without channel ---- */

static void send_to(struct kit *k, const char *peer, struct span data, bool dont_fragment)
{
	kit_begin_indication(k, TURN_SEND);
	kit_put_peer(k, peer);
	if (dont_fragment)
		stun_put_flag(&k->o, TURN_DONT_FRAGMENT);
	stun_put(&k->o, TURN_DATA_ATTR, data);
	kit_send_bare(k);
}

static void test_send(void **state)
{
	struct kit k;
	struct turn_alloc *a;
	struct addr peer = kit_addr(PEER);

	kit_start(&k);
	send_to(&k, PEER, span_str("hello"), false);
	assert_int_equal(k.v.type, TURN_VERDICT_DROP);
	assert_int_equal(turn_server_stats(k.s)->no_allocation, 1);
	a = kit_allocate(&k);
	send_to(&k, PEER, span_str("hello"), false);
	assert_int_equal(k.v.type, TURN_VERDICT_DROP);
	assert_int_equal(turn_server_stats(k.s)->no_permission, 1);
	kit_permit(&k, "1.2.3.4:1");
	send_to(&k, PEER, span_str("hello"), false);
	assert_int_equal(k.v.type, TURN_VERDICT_TO_PEER);
	assert_ptr_equal(k.v.alloc, a);
	assert_true(span_is(k.v.data, "hello") && addr_equal(&k.v.peer, &peer));
	assert_false(k.v.dont_fragment);
	send_to(&k, PEER, span_str(""), true);
	assert_int_equal(k.v.type, TURN_VERDICT_TO_PEER);
	assert_true(k.v.dont_fragment && k.v.data.len == 0);
	send_to(&k, "1.2.3.4:0", span_str("hello"), false);
	assert_int_equal(k.v.type, TURN_VERDICT_DROP);
	kit_begin_indication(&k, TURN_SEND);
	kit_put_peer(&k, PEER);
	kit_send_bare(&k); /* no DATA */
	assert_int_equal(k.v.type, TURN_VERDICT_DROP);
	kit_begin_indication(&k, TURN_SEND);
	kit_put_peer(&k, PEER);
	stun_put_flag(&k.o, 0x7001);
	stun_put(&k.o, TURN_DATA_ATTR, span_str("hello"));
	kit_send_bare(&k);
	assert_int_equal(k.v.type, TURN_VERDICT_DROP);
	assert_int_equal(turn_server_stats(k.s)->malformed, 2);
	kit_pass(&k, 300 * SEC);
	send_to(&k, PEER, span_str("hello"), false);
	assert_int_equal(k.v.type, TURN_VERDICT_DROP);
	kit_stop(&k);
}

/* A permission for our own relayed address is for other clients, not for what else listens there.
 */
static void test_send_to_another_client(void **state)
{
	struct kit k;

	kit_start(&k);
	k.peers.own[0] = (struct turn_network){ .base = kit_addr("9.9.9.9:0"), .bits = 32 };
	k.peers.n_own = 1;
	k.peers.relayed[0] = kit_addr("9.9.9.9:0");
	k.peers.n_relayed = 1;
	k.peers.relayed_first = 49152;
	k.peers.relayed_last = 65535;
	kit_allocate(&k);
	assert_int_equal(kit_permit(&k, "9.9.9.9:3478"), 0);
	send_to(&k, "9.9.9.9:49152", span_str("hello"), false);
	assert_int_equal(k.v.type, TURN_VERDICT_TO_PEER);
	send_to(&k, "9.9.9.9:3478", span_str("hello"), false);
	assert_int_equal(k.v.type, TURN_VERDICT_DROP);
	assert_int_equal(turn_server_stats(k.s)->no_permission, 1);
	assert_int_equal(kit_bind(&k, 0x4000, "9.9.9.9:3478"), 403);
	assert_int_equal(kit_bind(&k, 0x4000, "9.9.9.9:49152"), 0);
	kit_stop(&k);
}

static struct stun_msg whole_indication(const struct kit *k, uint8_t *buf, size_t cap)
{
	struct writer w = writer_of(buf, cap);
	struct stun_msg m;

	assert_int_equal(k->v.type, TURN_VERDICT_TO_CLIENT);
	writer_span_put(&w, k->v.head);
	writer_span_put(&w, k->v.data);
	assert_false(writer_failed(&w));
	assert_int_equal(stun_parse(writer_span(&w), &m), 0);
	assert_true(m.class == STUN_INDICATION && m.method == TURN_DATA);
	return m;
}

static void test_data(void **state)
{
	static uint8_t text[66000], buf[70000];
	struct kit k;
	struct turn_alloc *a;
	struct addr peer = kit_addr(PEER), got;
	struct span data;
	struct stun_msg m;

	kit_start(&k);
	a = kit_allocate(&k);
	kit_permit(&k, PEER);
	for (size_t len = 0; len < sizeof(text); len = len < 20 ? len + 1 : 3 * len) {
		len = FL_MIN(len, 65507u);
		turn_server_peer(k.s, k.now, a, &peer, span_of(text, len), &k.v);
		m = whole_indication(&k, buf, sizeof(buf));
		assert_true(stun_get_xor_addr(&m, TURN_XOR_PEER_ADDRESS, &got));
		assert_true(addr_equal(&got, &peer));
		assert_true(stun_get(&m, TURN_DATA_ATTR, &data));
		assert_int_equal(data.len, len);
		if (len % 4 == 0)
			assert_ptr_equal(k.v.data.ptr, text); /* not copied */
	}
	turn_server_peer(k.s, k.now, a, &peer, span_of(text, sizeof(text)), &k.v);
	assert_int_equal(k.v.type, TURN_VERDICT_DROP);
	kit_stop(&k);
}

static void test_icmp(void **state)
{
	uint8_t buf[128];
	struct kit k;
	struct turn_alloc *a;
	struct addr peer = kit_addr(PEER), got;
	struct turn_icmp icmp;
	struct stun_msg m;

	kit_start(&k);
	a = kit_allocate(&k);
	turn_server_icmp(k.s, k.now, a, &peer, 3, 4, 1400, &k.v);
	assert_int_equal(k.v.type, TURN_VERDICT_DROP);
	kit_bind(&k, 0x4000, PEER); /* even then it is an indication */
	turn_server_icmp(k.s, k.now, a, &peer, 3, 4, 1400, &k.v);
	m = whole_indication(&k, buf, sizeof(buf));
	assert_true(stun_get_xor_addr(&m, TURN_XOR_PEER_ADDRESS, &got) && addr_equal(&got, &peer));
	assert_true(turn_get_icmp(&m, &icmp));
	assert_true(icmp.type == 3 && icmp.code == 4 && icmp.data == 1400);
	assert_null(stun_find(&m, TURN_DATA_ATTR));
	turn_server_icmp(k.s, k.now, a, &peer, 128, 0, 0, &k.v); /* no error at all */
	assert_int_equal(k.v.type, TURN_VERDICT_DROP);
	kit_stop(&k);
}

/* ---- a reload ---- */

static void test_reload_forbids(void **state)
{
	struct turn_peers now_denied = { .n_deny = 1 };
	struct kit k;
	struct turn_alloc *a;

	assert_int_equal(turn_network_parse("1.2.3.0/24", &now_denied.deny[0]), 0);
	kit_start(&k);
	a = kit_allocate(&k);
	kit_bind(&k, 0x4000, PEER);
	kit_permit(&k, "1.2.4.4:1");
	kit_take_events(&k);
	turn_server_set(k.s, k.now, k.auth, &now_denied);
	expect_binding(&k, 0);
	assert_false(kit_channel_works(&k, 0x4000));
	assert_false(kit_peer_gets_in(&k, a, PEER));
	assert_true(kit_peer_gets_in(&k, a, "1.2.4.4:1"));
	assert_int_equal(kit_permit(&k, PEER), 403);
	assert_int_equal(kit_refresh(&k, -1), 0);
	kit_stop(&k);
}

/* ---- hostile messages ---- */

static void expect_dropped(struct kit *k, const void *bytes, size_t len)
{
	kit_send_bytes(k, span_of(bytes, len));
	assert_int_equal(k->v.type, TURN_VERDICT_DROP);
}

static void test_hostile(void **state)
{
	static const char truncated[] = "\x40\x00\x00\x09"
					"abc",
			  reserved[] = "\x80\x00\x00\x00", bits[] = "\xC0\x00\x00\x00";
	struct kit k;
	struct span m;

	kit_start(&k);
	kit_allocate(&k);
	kit_bind(&k, 0x4000, PEER);
	expect_dropped(&k, "", 0);
	expect_dropped(&k, truncated, sizeof(truncated) - 1);
	expect_dropped(&k, reserved, 4);
	expect_dropped(&k, bits, 4);
	expect_dropped(&k, "\x40\x01\x00\x00", 4); /* no such channel */
	assert_false(k.v.close);
	kit_begin(&k, 0x7FF);
	kit_send_bare(&k); /* no such method */
	assert_int_equal(k.v.type, TURN_VERDICT_DROP);
	kit_begin(&k, TURN_REFRESH);
	m = kit_seal(&k);
	for (size_t cut = 1; cut < m.len; cut++)
		expect_dropped(&k, m.ptr, m.len - cut);
	assert_non_null(turn_server_find(k.s, &k.flow));
	kit_begin(&k, TURN_REFRESH);
	stun_put_u32(&k.o, STUN_FINGERPRINT, 1);
	kit_send_bare(&k);
	assert_int_equal(k.v.type, TURN_VERDICT_DROP);
	kit_from(&k, TURN_TCP, 4000);
	expect_dropped(&k, "\x00\x01\x00\x01 no such thing at all", 24);
	assert_true(k.v.close); /* what follows cannot be understood either */
	kit_stop(&k);
}

/* Answers to a class that is none of ours would make two servers talk for ever. */
static void test_no_answer_to_answers(void **state)
{
	static const uint16_t methods[] = { STUN_BINDING, TURN_ALLOCATE, TURN_REFRESH, TURN_DATA };
	struct kit k;

	kit_start(&k);
	for (size_t i = 0; i < ARRAY_LEN(methods); i++)
		for (int class = STUN_INDICATION; class <= STUN_ERROR; class ++) {
			stun_begin(&k.o, k.request, sizeof(k.request), (enum stun_class) class,
				   methods[i], k.tid);
			kit_send_bare(&k);
			assert_int_equal(k.v.type, TURN_VERDICT_DROP);
		}
	kit_stop(&k);
}

/* A source that proves nothing gets what it brought and a small allowance. */
static void test_flood(void **state)
{
	struct kit k;
	size_t brought = 0, got = 0;

	kit_start(&k);
	for (unsigned i = 0; i < 5000; i++) {
		k.flow.client.port = (uint16_t)(1000 + i);
		kit_begin(&k, TURN_ALLOCATE);
		kit_send_bare(&k);
		brought += k.request_len;
		got += k.v.type == TURN_VERDICT_REPLY ? k.v.data.len : 0;
	}
	assert_true(got > 0 && got <= brought + 8192);
	assert_true(turn_server_stats(k.s)->unanswered > 4000);
	kit_begin(&k, STUN_BINDING);
	kit_send_bare(&k);
	assert_int_equal(kit_outcome(&k), KIT_NONE);
	k.now += SEC; /* and the next second begins anew */
	kit_allocate(&k);
	for (unsigned i = 0; i < 5000; i++) { /* who is proved is not limited */
		assert_int_equal(kit_permit(&k, PEER), 0);
	}
	kit_stop(&k);
}

/* ---- size ---- */

#define MANY 10000

static void test_memory(void **state)
{
	struct turn_server_config big = kit_usual;
	struct kit k;
	size_t before;

	big.allocations_max = MANY;
	kit_start_with(&k, &big);
	kit_challenge(&k);
	before = mallinfo2().uordblks;
	for (unsigned i = 0; i < MANY; i++) {
		k.flow.client.port = (uint16_t)(1000 + i);
		kit_begin_allocate(&k, TURN_PROTOCOL_UDP);
		kit_send(&k);
		assert_int_equal(kit_outcome(&k), 0);
		assert_int_equal(kit_bind(&k, 0x4000, PEER), 0);
	}
	assert_int_equal(turn_server_stats(k.s)->allocations, MANY);
	assert_true((mallinfo2().uordblks - before) / MANY <= 1024);
	for (unsigned i = 0; i < MANY; i++) {
		k.flow.client.port = (uint16_t)(1000 + i);
		assert_true(kit_channel_works(&k, 0x4000));
	}
	kit_pass(&k, 600 * SEC);
	assert_int_equal(turn_server_stats(k.s)->allocations, 0);
	kit_stop(&k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_permission),
		TEST(test_permission_refreshed),
		TEST(test_permissions_together),
		TEST(test_forbidden_peers),
		TEST(test_permissions_are_bounded),
		TEST(test_channel),
		TEST(test_channel_refused),
		TEST(test_channel_times),
		TEST(test_channel_rebound_in_hold_off),
		TEST(test_channel_conflicts),
		TEST(test_channels_are_bounded),
		TEST(test_binding_events),
		TEST(test_send),
		TEST(test_send_to_another_client),
		TEST(test_data),
		TEST(test_icmp),
		TEST(test_reload_forbids),
		TEST(test_hostile),
		TEST(test_no_answer_to_answers),
		TEST(test_flood),
		TEST(test_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
