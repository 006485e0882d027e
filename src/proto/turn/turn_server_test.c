/* Allocations: how they come and go, and what every request is checked for. */
#include "turn_kit.h"

static void test_binding(void **state)
{
	struct kit k;
	struct addr mapped;

	kit_start(&k);
	kit_begin(&k, STUN_BINDING);
	kit_send_bare(&k);
	assert_int_equal(kit_outcome(&k), 0);
	assert_true(stun_get_xor_addr(&k.answer, STUN_XOR_MAPPED_ADDRESS, &mapped));
	assert_true(addr_equal(&mapped, &k.flow.client));
	assert_int_equal(turn_server_stats(k.s)->bindings, 1);
	/* RFC 3489, whose transaction id stands where the cookie is now */
	kit_send_bytes(&k, span_of("\0\1\0\0"
				   "0123456789abcdef",
				   20));
	assert_int_equal(k.v.type, TURN_VERDICT_REPLY);
	assert_memory_equal(k.v.data.ptr + 4, "0123456789abcdef", 16);
	assert_int_equal(turn_server_stats(k.s)->bindings, 2);
	kit_stop(&k);
}

static void test_allocate(void **state)
{
	struct kit k;
	struct turn_alloc *a;
	struct addr got;
	struct span software;

	kit_start(&k);
	a = kit_allocate(&k);
	kit_expect_sealed(&k);
	assert_true(k.open.v4 && !k.open.v6 && !k.open.even && !k.open.by_token);
	assert_int_equal(k.open.protocol, TURN_PROTOCOL_UDP);
	assert_true(stun_get_xor_addr(&k.answer, TURN_XOR_RELAYED_ADDRESS, &got));
	assert_true(addr_equal(&got, &k.opened.relayed[0]));
	assert_true(stun_get_xor_addr(&k.answer, STUN_XOR_MAPPED_ADDRESS, &got));
	assert_true(addr_equal(&got, &k.flow.client));
	assert_true(stun_get(&k.answer, STUN_SOFTWARE, &software) && span_is(software, "test"));
	assert_int_equal(kit_lifetime(&k), 600);
	assert_ptr_equal(turn_server_find(k.s, &k.flow), a);
	assert_ptr_equal(turn_alloc_data(a), &k);
	assert_string_equal(turn_alloc_user(a), "anna");
	assert_int_equal(turn_alloc_until(a), k.now + 600 * SEC);
	assert_true(addr_equal(turn_alloc_relayed(a, ADDR_V4), &k.opened.relayed[0]));
	assert_null(turn_alloc_relayed(a, ADDR_V6));
	assert_int_equal(turn_server_stats(k.s)->allocations, 1);
	assert_int_equal(turn_server_stats(k.s)->allocated, 1);
	kit_stop(&k);
}

/* ---- who asks (RFC 8489 §9.2.4) ---- */

static void test_credentials_are_needed(void **state)
{
	struct kit k;
	struct span s;

	kit_start(&k);
	kit_challenge(&k);
	assert_true(stun_get(&k.answer, STUN_REALM, &s) && span_is(s, KIT_REALM));
	assert_null(stun_find(&k.answer, STUN_SOFTWARE)); /* strangers are told no more than due */
	kit_user(&k, "anna", "wrong");
	kit_begin_allocate(&k, TURN_PROTOCOL_UDP);
	kit_send(&k);
	assert_int_equal(kit_outcome(&k), 401);
	assert_null(stun_find(&k.answer, STUN_MESSAGE_INTEGRITY));
	kit_user(&k, "nobody", "a");
	kit_begin_allocate(&k, TURN_PROTOCOL_UDP);
	kit_send(&k);
	assert_int_equal(kit_outcome(&k), 401);
	kit_user(&k, "anna", "a");
	kit_begin_allocate(&k, TURN_PROTOCOL_UDP);
	stun_put_integrity(&k.o, span_str("0123456789abcdef")); /* and nothing to go with it */
	kit_send_bare(&k);
	assert_int_equal(kit_outcome(&k), 400);
	assert_int_equal(turn_server_stats(k.s)->errors[TURN_ERROR_UNAUTHENTICATED], 3);
	assert_int_equal(turn_server_stats(k.s)->errors[TURN_ERROR_BAD], 1);
	assert_int_equal(turn_server_stats(k.s)->allocations, 0);
	kit_stop(&k);
}

static void test_nonce_gets_stale(void **state)
{
	struct kit k;

	kit_start(&k);
	kit_allocate(&k);
	for (int i = 0; i < 6; i++) {
		kit_pass(&k, 599 * SEC);
		assert_int_equal(kit_refresh(&k, -1), 0);
	}
	kit_pass(&k, 20 * SEC); /* the nonce is 3614 s old */
	assert_int_equal(kit_refresh(&k, -1), 438);
	assert_non_null(stun_find(&k.answer, STUN_NONCE));
	assert_int_equal(turn_server_stats(k.s)->errors[TURN_ERROR_STALE_NONCE], 1);
	kit_challenge(&k);
	assert_int_equal(kit_refresh(&k, -1), 0);
	kit_stop(&k);
}

/* Every request but Allocate needs the allocation, and the user who made it. */
static void test_wrong_user_or_allocation(void **state)
{
	static const uint16_t methods[] = { TURN_REFRESH, TURN_CREATE_PERMISSION, TURN_CHANNEL_BIND,
					    TURN_CONNECT };
	struct kit k;

	kit_start(&k);
	kit_allocate(&k);
	kit_user(&k, "bert", "b");
	for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
		kit_begin(&k, methods[i]);
		kit_send(&k);
		assert_int_equal(kit_outcome(&k), 441);
		kit_expect_sealed(&k);
	}
	kit_from(&k, TURN_UDP, 4001);
	for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
		kit_begin(&k, methods[i]);
		kit_send(&k);
		assert_int_equal(kit_outcome(&k), 437);
	}
	assert_int_equal(turn_server_stats(k.s)->errors[TURN_ERROR_MISMATCH], 4);
	kit_stop(&k);
}

static void test_unknown_attributes(void **state)
{
	struct kit k;
	struct span types;

	kit_start(&k);
	kit_challenge(&k);
	kit_begin_allocate(&k, TURN_PROTOCOL_UDP);
	stun_put_flag(&k.o, 0x7001);
	stun_put_flag(&k.o, 0xF001); /* optional */
	stun_put_flag(&k.o, 0x7002);
	kit_send(&k);
	assert_int_equal(kit_outcome(&k), 420);
	assert_true(stun_get(&k.answer, STUN_UNKNOWN_ATTRIBUTES, &types));
	assert_true(span_equal(types, span_of("\x70\x01\x70\x02", 4)));
	/* a stranger is not told: the credentials come first */
	kit_begin_allocate(&k, TURN_PROTOCOL_UDP);
	stun_put_flag(&k.o, 0x7001);
	kit_send_bare(&k);
	assert_int_equal(kit_outcome(&k), 401);
	kit_stop(&k);
}

/* ---- Allocate (RFC 8656 §7.2) ---- */

static int allocate_with(struct kit *k, void (*put)(struct stun_out *o))
{
	kit_begin_allocate(k, TURN_PROTOCOL_UDP);
	put(&k->o);
	kit_send(k);
	return kit_outcome(k);
}

static void put_token_and_even(struct stun_out *o)
{
	stun_put_u64(o, TURN_RESERVATION_TOKEN, 1);
	turn_put_even_port(o, false);
}

static void put_token_and_family(struct stun_out *o)
{
	stun_put_u64(o, TURN_RESERVATION_TOKEN, 1);
	turn_put_family(o, TURN_REQUESTED_ADDRESS_FAMILY, TURN_FAMILY_V4);
}

static void put_token_and_pair(struct stun_out *o)
{
	stun_put_u64(o, TURN_RESERVATION_TOKEN, 1);
	turn_put_family(o, TURN_ADDITIONAL_ADDRESS_FAMILY, TURN_FAMILY_V6);
}

static void put_short_token(struct stun_out *o)
{
	stun_put_u32(o, TURN_RESERVATION_TOKEN, 1);
}

static void put_both_families(struct stun_out *o)
{
	turn_put_family(o, TURN_REQUESTED_ADDRESS_FAMILY, TURN_FAMILY_V4);
	turn_put_family(o, TURN_ADDITIONAL_ADDRESS_FAMILY, TURN_FAMILY_V6);
}

static void put_additional_v4(struct stun_out *o)
{
	turn_put_family(o, TURN_ADDITIONAL_ADDRESS_FAMILY, TURN_FAMILY_V4);
}

static void put_pair_and_reserve(struct stun_out *o)
{
	turn_put_family(o, TURN_ADDITIONAL_ADDRESS_FAMILY, TURN_FAMILY_V6);
	turn_put_even_port(o, true);
}

static void put_bad_lifetime(struct stun_out *o)
{
	stun_put_u64(o, TURN_LIFETIME, 600);
}

static void put_long_ticket(struct stun_out *o)
{
	stun_put_u32(o, TURN_MOBILITY_TICKET, 1);
}

static void put_bad_even(struct stun_out *o)
{
	stun_put_u32(o, TURN_EVEN_PORT, 1);
}

static void test_allocate_refused_400(void **state)
{
	static void (*const bad[])(struct stun_out * o) = {
		put_token_and_even, put_token_and_family, put_token_and_pair,	put_short_token,
		put_both_families,  put_additional_v4,	  put_pair_and_reserve, put_bad_lifetime,
		put_long_ticket,    put_bad_even,
	};
	struct kit k;

	kit_start(&k);
	kit_challenge(&k);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(allocate_with(&k, bad[i]), 400);
	kit_begin(&k, TURN_ALLOCATE); /* no REQUESTED-TRANSPORT */
	kit_send(&k);
	assert_int_equal(kit_outcome(&k), 400);
	kit_expect_sealed(&k);
	assert_int_equal(turn_server_stats(k.s)->allocations, 0);
	kit_stop(&k);
}

static void put_v6(struct stun_out *o)
{
	turn_put_family(o, TURN_REQUESTED_ADDRESS_FAMILY, TURN_FAMILY_V6);
}

static void put_family_3(struct stun_out *o)
{
	turn_put_family(o, TURN_REQUESTED_ADDRESS_FAMILY, 3);
}

static void put_pair(struct stun_out *o)
{
	turn_put_family(o, TURN_ADDITIONAL_ADDRESS_FAMILY, TURN_FAMILY_V6);
}

static void put_nothing(struct stun_out *o)
{
}

static void test_families(void **state)
{
	struct turn_server_config only_v4 = kit_usual, only_v6 = kit_usual, none = kit_usual;
	struct kit k;

	only_v4.relay_v6 = only_v6.relay_v4 = none.relay_v4 = none.relay_v6 = false;
	kit_start_with(&k, &only_v4);
	kit_challenge(&k);
	assert_int_equal(allocate_with(&k, put_v6), 440);
	assert_int_equal(allocate_with(&k, put_family_3), 440);
	assert_int_equal(turn_server_stats(k.s)->errors[TURN_ERROR_FAMILY], 2);
	kit_stop(&k);
	kit_start_with(&k, &only_v6);
	kit_challenge(&k);
	assert_int_equal(allocate_with(&k, put_nothing), 440);
	kit_stop(&k);
	kit_start_with(&k, &none);
	kit_challenge(&k);
	assert_int_equal(allocate_with(&k, put_pair), 440);
	kit_stop(&k);
}

static void expect_address_error(const struct kit *k, uint8_t family, uint16_t code)
{
	struct span reason;
	uint16_t got_code;
	uint8_t got_family;

	assert_true(turn_get_address_error(&k->answer, &got_family, &got_code, &reason));
	assert_int_equal(got_family, family);
	assert_int_equal(got_code, code);
}

static int allocate_pair(struct kit *k)
{
	kit_begin_allocate(k, TURN_PROTOCOL_UDP);
	put_pair(&k->o);
	k->opened.relayed[1] = kit_addr("[2600::9]:50001");
	kit_send(k);
	return kit_outcome(k);
}

static void test_pair(void **state)
{
	struct turn_server_config only_v4 = kit_usual;
	struct kit k;
	size_t n = 0;

	kit_start(&k);
	kit_challenge(&k);
	assert_int_equal(allocate_pair(&k), 0);
	assert_true(k.open.v4 && k.open.v6);
	for (size_t i = 0; i < k.answer.n_attrs; i++)
		n += k.answer.attrs[i].type == TURN_XOR_RELAYED_ADDRESS;
	assert_int_equal(n, 2);
	assert_null(stun_find(&k.answer, TURN_ADDRESS_ERROR_CODE));
	assert_non_null(turn_alloc_relayed(k.v.alloc, ADDR_V6));
	/* one port was not to be had */
	kit_from(&k, TURN_UDP, 4001);
	assert_int_equal(allocate_with(&k, put_pair), 0);
	expect_address_error(&k, TURN_FAMILY_V6, 508);
	assert_null(turn_alloc_relayed(k.v.alloc, ADDR_V6));
	kit_stop(&k);
	only_v4.relay_v6 = false;
	kit_start_with(&k, &only_v4);
	kit_challenge(&k);
	assert_int_equal(allocate_with(&k, put_pair), 0);
	assert_true(k.open.v4 && !k.open.v6);
	expect_address_error(&k, TURN_FAMILY_V6, 440);
	kit_stop(&k);
}

static void test_ports(void **state)
{
	struct kit k;
	struct span token;

	kit_start(&k);
	kit_challenge(&k);
	kit_begin_allocate(&k, TURN_PROTOCOL_UDP);
	turn_put_even_port(&k.o, true);
	k.opened.reserved = true;
	memcpy(k.opened.token, "tokentok", 8);
	kit_send(&k);
	assert_int_equal(kit_outcome(&k), 0);
	assert_true(k.open.even && k.open.reserve_next && !k.open.by_token);
	assert_true(stun_get(&k.answer, TURN_RESERVATION_TOKEN, &token));
	assert_true(span_is(token, "tokentok"));
	kit_from(&k, TURN_UDP, 4001);
	kit_begin_allocate(&k, TURN_PROTOCOL_UDP);
	stun_put(&k.o, TURN_RESERVATION_TOKEN, token);
	k.opened.code = 508; /* it is gone */
	kit_send(&k);
	assert_int_equal(kit_outcome(&k), 508);
	assert_true(k.open.by_token && !k.open.even);
	assert_memory_equal(k.open.token, "tokentok", 8);
	assert_null(k.v.alloc);
	/* of which family the port is, is the driver's to know, and the other is not missed */
	assert_true(k.open.v4 && k.open.v6);
	kit_begin_allocate(&k, TURN_PROTOCOL_UDP);
	stun_put(&k.o, TURN_RESERVATION_TOKEN, span_str("tokentok"));
	k.opened.code = 0;
	kit_send(&k);
	assert_int_equal(kit_outcome(&k), 0);
	assert_null(stun_find(&k.answer, TURN_ADDRESS_ERROR_CODE));
	kit_stop(&k);
}

static void test_transport(void **state)
{
	struct kit k;

	kit_start(&k);
	kit_challenge(&k);
	kit_begin_allocate(&k, 132);
	kit_send(&k);
	assert_int_equal(kit_outcome(&k), 442);
	kit_stop(&k);
}

static void test_no_room(void **state)
{
	struct turn_server_config one = kit_usual;
	struct kit k;

	one.allocations_max = 1;
	kit_start_with(&k, &one);
	kit_challenge(&k);
	kit_begin_allocate(&k, TURN_PROTOCOL_UDP);
	k.opened.code = 486;
	kit_send(&k);
	assert_int_equal(kit_outcome(&k), 486);
	assert_string_equal(k.open_user, "anna");
	assert_int_equal(turn_server_stats(k.s)->errors[TURN_ERROR_QUOTA], 1);
	turn_server_drain(k.s, true);
	assert_int_equal(allocate_with(&k, put_nothing), 508);
	turn_server_drain(k.s, false);
	kit_allocate(&k);
	kit_from(&k, TURN_UDP, 4001);
	assert_int_equal(allocate_with(&k, put_nothing), 508);
	/* what there is may be refreshed while draining */
	turn_server_drain(k.s, true);
	kit_from(&k, TURN_UDP, 4000);
	assert_int_equal(kit_refresh(&k, -1), 0);
	assert_int_equal(kit_refresh(&k, 0), 0);
	turn_server_drain(k.s, false);
	kit_from(&k, TURN_UDP, 4001);
	assert_int_equal(allocate_with(&k, put_nothing), 0); /* at once */
	kit_stop(&k);
}

/* §7.2: at least the default, at most the maximum. */
static void test_lifetimes(void **state)
{
	static const struct {
		uint32_t asked, granted;
	} cases[] = { { 0, 600 },     { 1, 600 },     { 600, 600 },	   { 601, 601 },
		      { 3600, 3600 }, { 3601, 3600 }, { UINT32_MAX, 3600 } };
	struct kit k;

	kit_start(&k);
	kit_challenge(&k);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		kit_from(&k, TURN_UDP, (uint16_t)(4000 + i));
		kit_begin_allocate(&k, TURN_PROTOCOL_UDP);
		stun_put_u32(&k.o, TURN_LIFETIME, cases[i].asked);
		kit_send(&k);
		assert_int_equal(kit_outcome(&k), 0);
		assert_int_equal(kit_lifetime(&k), cases[i].granted);
		assert_int_equal(turn_alloc_until(k.v.alloc), k.now + cases[i].granted * SEC);
		if (!cases[i].asked)
			continue;
		assert_int_equal(kit_refresh(&k, cases[i].asked), 0);
		assert_int_equal(kit_lifetime(&k), cases[i].granted);
	}
	kit_stop(&k);
}

/* §7.2 for servers without a transaction's state: the same request gets the same answer. */
static void test_retransmission(void **state)
{
	uint8_t first[STUN_SERVER_ANSWER_MAX];
	struct kit k;
	struct turn_alloc *a;
	size_t len;

	kit_start(&k);
	a = kit_allocate(&k);
	len = k.v.data.len;
	memcpy(first, k.answer_bytes, len);
	k.now += 2 * SEC;
	kit_send_again(&k);
	assert_int_equal(kit_outcome(&k), 0);
	assert_true(span_equal(k.v.data, span_of(first, len)));
	assert_ptr_equal(turn_server_find(k.s, &k.flow), a);
	assert_int_equal(turn_server_stats(k.s)->allocated, 1);
	assert_int_equal(allocate_with(&k, put_nothing), 437); /* another Allocate */
	kit_user(&k, "bert", "b");
	assert_int_equal(allocate_with(&k, put_nothing), 437);
	kit_stop(&k);
}

/* ---- Refresh (§8.2) and the end ---- */

static void expect_closed(struct kit *k, enum turn_close_reason reason)
{
	const struct turn_event *e;

	kit_take_events(k);
	e = kit_event(k, TURN_EVENT_CLOSED);
	assert_non_null(e);
	assert_int_equal(e->reason, reason);
	assert_ptr_equal(k->closed_data, k);
	assert_int_equal(turn_server_stats(k->s)->allocations, 0);
	assert_int_equal(turn_server_stats(k->s)->closed[reason], 1);
	assert_null(turn_server_find(k->s, &k->flow));
}

static void test_refresh(void **state)
{
	struct kit k;

	kit_start(&k);
	kit_allocate(&k);
	kit_pass(&k, 599 * SEC);
	assert_int_equal(kit_refresh(&k, -1), 0);
	kit_expect_sealed(&k);
	assert_int_equal(kit_lifetime(&k), 600);
	kit_pass(&k, 600 * SEC - 1);
	assert_non_null(turn_server_find(k.s, &k.flow));
	kit_pass(&k, 1);
	expect_closed(&k, TURN_CLOSE_EXPIRED);
	assert_int_equal(turn_server_stats(k.s)->refreshed, 1);
	assert_int_equal(turn_server_deadline(k.s), USEC_NEVER);
	kit_stop(&k);
}

static void test_refresh_to_zero(void **state)
{
	struct kit k;

	kit_start(&k);
	kit_allocate(&k);
	assert_int_equal(kit_refresh(&k, 0), 0);
	assert_int_equal(kit_lifetime(&k), 0);
	expect_closed(&k, TURN_CLOSE_REFRESHED_0);
	assert_int_equal(kit_refresh(&k, 0), 437); /* which a client takes for success */
	kit_allocate(&k);
	kit_begin(&k, TURN_REFRESH);
	stun_put_u64(&k.o, TURN_LIFETIME, 0);
	kit_send(&k);
	assert_int_equal(kit_outcome(&k), 400);
	kit_stop(&k);
}

static int refresh_family(struct kit *k, uint8_t family, uint32_t seconds)
{
	kit_begin(k, TURN_REFRESH);
	stun_put_u32(&k->o, TURN_LIFETIME, seconds);
	turn_put_family(&k->o, TURN_REQUESTED_ADDRESS_FAMILY, family);
	kit_send(k);
	return kit_outcome(k);
}

static void test_refresh_of_one_family(void **state)
{
	struct kit k;
	struct turn_alloc *a;
	const struct turn_event *e;

	kit_start(&k);
	(void)kit_allocate(&k);
	assert_int_equal(refresh_family(&k, TURN_FAMILY_V6, 600), 443);
	assert_int_equal(refresh_family(&k, 9, 600), 443);
	assert_int_equal(refresh_family(&k, TURN_FAMILY_V4, 600), 0);
	kit_from(&k, TURN_UDP, 4001);
	assert_int_equal(allocate_pair(&k), 0);
	a = k.v.alloc;
	assert_int_equal(kit_bind(&k, 0x4000, "[2600::1]:7"), 0);
	kit_take_events(&k);
	assert_int_equal(refresh_family(&k, TURN_FAMILY_V6, 0), 0);
	kit_take_events(&k);
	e = kit_event(&k, TURN_EVENT_RELEASED);
	assert_non_null(e);
	assert_true(addr_equal(&e->peer, &k.opened.relayed[1]));
	e = kit_event(&k, TURN_EVENT_BINDING);
	assert_true(e && e->channel == 0x4000 && e->until == 0);
	assert_null(turn_alloc_relayed(a, ADDR_V6));
	assert_false(kit_channel_works(&k, 0x4000));
	assert_int_equal(kit_permit(&k, "[2600::1]:7"), 443);
	assert_int_equal(kit_permit(&k, "1.2.3.4:7"), 0);
	assert_int_equal(refresh_family(&k, TURN_FAMILY_V6, 600), 443);
	assert_int_equal(refresh_family(&k, TURN_FAMILY_V4, 0), 0); /* the last one */
	kit_take_events(&k);
	assert_non_null(kit_event(&k, TURN_EVENT_CLOSED));
	kit_stop(&k);
}

static void test_families_expire_apart(void **state)
{
	struct kit k;
	const struct turn_event *e;

	kit_start(&k);
	kit_challenge(&k);
	assert_int_equal(allocate_pair(&k), 0);
	assert_int_equal(refresh_family(&k, TURN_FAMILY_V6, 1200), 0);
	kit_pass(&k, 600 * SEC);
	kit_take_events(&k);
	e = kit_event(&k, TURN_EVENT_RELEASED);
	assert_true(e && addr_equal(&e->peer, &k.opened.relayed[0]));
	assert_int_equal(k.n_events, 1);
	assert_int_equal(kit_permit(&k, "[2600::1]:7"), 0);
	kit_pass(&k, 600 * SEC);
	expect_closed(&k, TURN_CLOSE_EXPIRED);
	kit_stop(&k);
}

/* A session ends when its credentials do and were not renewed. */
static void test_credentials_expire(void **state)
{
	struct kit k;

	kit_start(&k);
	kit_timed_user(&k, KIT_UNIX_START + 700, "anna");
	kit_allocate(&k);
	assert_int_equal(kit_lifetime(&k), 600);
	assert_string_equal(k.open_user, "anna");
	kit_pass(&k, 300 * SEC);
	assert_int_equal(kit_refresh(&k, 3600), 0);
	assert_int_equal(kit_lifetime(&k), 400);
	kit_pass(&k, 399 * SEC);
	assert_non_null(turn_server_find(k.s, &k.flow));
	kit_pass(&k, 1 * SEC);
	expect_closed(&k, TURN_CLOSE_CREDENTIALS);
	kit_challenge(&k);
	assert_int_equal(kit_refresh(&k, -1), 401); /* they are over for every request */
	kit_stop(&k);
}

static void test_credentials_renewed(void **state)
{
	struct kit k;

	kit_start(&k);
	kit_timed_user(&k, KIT_UNIX_START + 700, "anna");
	kit_allocate(&k);
	kit_pass(&k, 500 * SEC);
	kit_timed_user(&k, KIT_UNIX_START + 5000, "bert");
	assert_int_equal(kit_refresh(&k, -1), 441);
	kit_timed_user(&k, KIT_UNIX_START + 5000, "anna"); /* the same name again */
	assert_int_equal(kit_refresh(&k, 1000), 0);
	assert_int_equal(kit_lifetime(&k), 1000);
	kit_pass(&k, 1000 * SEC);
	expect_closed(&k, TURN_CLOSE_EXPIRED);
	kit_stop(&k);
}

static void test_flow_gone(void **state)
{
	struct kit k;

	kit_start(&k);
	kit_from(&k, TURN_TLS, 4000);
	kit_allocate(&k);
	turn_server_flow_gone(k.s, k.now, &k.flow);
	expect_closed(&k, TURN_CLOSE_FLOW);
	turn_server_flow_gone(k.s, k.now, &k.flow); /* nothing is there any more */
	kit_stop(&k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_binding),
		TEST(test_allocate),
		TEST(test_credentials_are_needed),
		TEST(test_nonce_gets_stale),
		TEST(test_wrong_user_or_allocation),
		TEST(test_unknown_attributes),
		TEST(test_allocate_refused_400),
		TEST(test_families),
		TEST(test_pair),
		TEST(test_ports),
		TEST(test_transport),
		TEST(test_no_room),
		TEST(test_lifetimes),
		TEST(test_retransmission),
		TEST(test_refresh),
		TEST(test_refresh_to_zero),
		TEST(test_refresh_of_one_family),
		TEST(test_families_expire_apart),
		TEST(test_credentials_expire),
		TEST(test_credentials_renewed),
		TEST(test_flow_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
