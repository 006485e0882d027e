/*
 * The TURN client in virtual time: allocating, keeping the allocation, moving, giving it back; and
 * what it makes of every whim of a server. With the real one: tests/sim/turn_sim_test.c.
 */
#include "base/err.h"
#include "turn_client_rig.h"

/* ---- allocating ---- */

static void test_allocate(void **state)
{
	struct rig r;

	rig_init(&r);
	assert_true(turn_client_deadline(r.c) == USEC_NEVER);
	assert_int_equal(turn_client_start(r.c, r.now), 0);
	assert_int_equal(turn_client_start(r.c, r.now), FL_ESTATE);
	rig_expect(&r, TURN_ALLOCATE);
	assert_null(stun_find(&r.m, STUN_USERNAME));
	assert_null(stun_find(&r.m, TURN_REQUESTED_ADDRESS_FAMILY));
	assert_null(stun_find(&r.m, TURN_MOBILITY_TICKET));
	rig_challenge(&r, STUN_UNAUTHENTICATED);
	rig_expect_proved(&r, TURN_ALLOCATE);
	/* SHA-256 was offered, so it is used; the server has no secrets, so the name is hidden */
	assert_int_equal(r.credential.integrity, TURN_INTEGRITY_SHA256);
	assert_int_equal(r.credential.key_len, 32);
	assert_non_null(stun_find(&r.m, STUN_USERHASH));
	assert_null(stun_find(&r.m, STUN_USERNAME));
	r.now += 30 * MS;
	rig_answer_success(&r);
	rig_expect_event(&r, TURN_CLIENT_ALLOCATED);
	assert_true(addr_equal(&r.e.relayed[0], &rig_relayed_v4));
	assert_int_equal(r.e.relayed[1].family, ADDR_NONE);
	assert_true(addr_equal(&r.e.mapped, &rig_client_addr));
	/* counted from the request, not from the answer */
	assert_int_equal(r.e.until, RIG_START + 600 * SEC);
	assert_int_equal(turn_client_deadline(r.c), RIG_START + 540 * SEC);
	assert_int_equal(turn_client_stats(r.c)->round_trip_us, 30 * MS);
	rig_expect_no_event(&r);
	rig_finish(&r);
}

static void test_answer_twice(void **state)
{
	struct rig r;

	rig_init(&r);
	rig_allocate(&r);
	assert_false(rig_feed(&r, NULL));
	assert_int_equal(turn_client_stats(r.c)->strays, 1);
	rig_expect_no_event(&r);
	rig_finish(&r);
}

static void test_families(void **state)
{
	struct turn_client_config config = { .v6 = true, .username = "anna", .password = "secret" };
	struct rig r;
	uint8_t family;

	rig_with(&r, &config);
	assert_int_equal(turn_client_start(r.c, r.now), 0);
	rig_expect(&r, TURN_ALLOCATE);
	assert_true(turn_get_family(&r.m, TURN_REQUESTED_ADDRESS_FAMILY, &family));
	assert_int_equal(family, TURN_FAMILY_V6);
	rig_challenge(&r, STUN_UNAUTHENTICATED);
	rig_expect_proved(&r, TURN_ALLOCATE);
	rig_answer_success(&r); /* with an IPv4 address, which we did not ask for */
	rig_expect_failure(&r, TURN_CLIENT_STEP_ALLOCATE, 0);
	rig_finish(&r);

	config.v4 = true;
	rig_with(&r, &config);
	r.two_families = true;
	rig_allocate(&r);
	assert_true(turn_get_family(&r.m, TURN_ADDITIONAL_ADDRESS_FAMILY, &family));
	assert_int_equal(family, TURN_FAMILY_V6);
	assert_true(addr_equal(&r.e.relayed[0], &rig_relayed_v4));
	assert_true(addr_equal(&r.e.relayed[1], &rig_relayed_v6));
	rig_permit(&r, &rig_peer_v6);
	rig_finish(&r);

	/* a server that has one of both */
	rig_with(&r, &config);
	rig_allocate(&r);
	assert_int_equal(turn_client_permit(r.c, r.now, &rig_peer_v6), FL_EUNSUPPORTED);
	rig_permit(&r, &rig_peer_a);
	rig_finish(&r);
}

static void test_legacy_server(void **state)
{
	struct rig r;

	rig_init(&r);
	assert_int_equal(turn_client_start(r.c, r.now), 0);
	rig_expect(&r, TURN_ALLOCATE);
	rig_begin(&r, STUN_ERROR);
	stun_put_error(&r.o, STUN_UNAUTHENTICATED, "");
	stun_put(&r.o, STUN_REALM, span_str("example.org"));
	stun_put(&r.o, STUN_NONCE, span_str("12345"));
	rig_feed(&r, NULL);
	rig_expect(&r, TURN_ALLOCATE);
	assert_null(stun_find(&r.m, STUN_PASSWORD_ALGORITHM));
	assert_non_null(stun_find(&r.m, STUN_USERNAME));
	r.credential.integrity = TURN_INTEGRITY_SHA1;
	r.credential.key_len = (uint8_t)turn_auth_key("anna", "example.org", "secret", false,
						      r.credential.key);
	assert_int_equal(stun_check_integrity(&r.m, span_of(r.credential.key, 16)), 0);
	rig_answer_success(&r);
	rig_expect_event(&r, TURN_CLIENT_ALLOCATED);
	rig_finish(&r);
}

/* Somebody on the way takes PASSWORD-ALGORITHMS out, so that MD5 and SHA-1 are used. */
static void test_downgrade(void **state)
{
	struct rig r;

	rig_init(&r);
	assert_int_equal(turn_client_start(r.c, r.now), 0);
	rig_expect(&r, TURN_ALLOCATE);
	rig_begin(&r, STUN_ERROR);
	stun_put_error(&r.o, STUN_UNAUTHENTICATED, "");
	stun_put(&r.o, STUN_REALM, span_str("example.org"));
	stun_put(&r.o, STUN_NONCE, span_str("obMatJos2AAAB12345"));
	rig_feed(&r, NULL);
	rig_expect_silence(&r);
	/* the real answer comes within half a second: */
	r.now += 400 * MS;
	turn_client_timeout(r.c, r.now);
	rig_challenge(&r, STUN_UNAUTHENTICATED);
	rig_expect_proved(&r, TURN_ALLOCATE);
	rig_answer_success(&r);
	rig_expect_event(&r, TURN_CLIENT_ALLOCATED);
	rig_finish(&r);
}

static void test_no_answer(void **state)
{
	struct rig r;
	unsigned sent = 1;

	rig_init(&r);
	assert_int_equal(turn_client_start(r.c, r.now), 0);
	rig_expect(&r, TURN_ALLOCATE);
	for (rig_to_deadline(&r); rig_next_request(&r); rig_to_deadline(&r))
		sent++;
	assert_int_equal(sent, 7);
	assert_int_equal(r.now - RIG_START, 6300 * MS);
	rig_expect_failure(&r, TURN_CLIENT_STEP_ALLOCATE, 0);
	assert_string_equal(r.e.failure.reason, "the server did not answer");
	assert_int_equal(turn_client_stats(r.c)->repeated, 6);
	assert_int_equal(turn_client_start(r.c, r.now), FL_ESTATE);
	rig_finish(&r);
}

static void test_no_answer_on_a_stream(void **state)
{
	struct rig r;

	rig_with(&r,
		 &(struct turn_client_config){
			 .stream = true, .v4 = true, .username = "anna", .password = "secret" });
	assert_int_equal(turn_client_start(r.c, r.now), 0);
	rig_expect(&r, TURN_ALLOCATE);
	rig_to_deadline(&r);
	assert_int_equal(r.now - RIG_START, TURN_CLIENT_STREAM_TIMEOUT_US);
	rig_expect_failure(&r, TURN_CLIENT_STEP_ALLOCATE, 0);
	rig_finish(&r);
}

static void test_wrong_password(void **state)
{
	struct rig r;

	rig_init(&r);
	assert_int_equal(turn_client_set_credentials(r.c, r.now, "anna", "guess"), 0);
	assert_int_equal(turn_client_start(r.c, r.now), 0);
	rig_expect(&r, TURN_ALLOCATE);
	rig_challenge(&r, STUN_UNAUTHENTICATED);
	rig_expect(&r, TURN_ALLOCATE);
	assert_int_equal(turn_auth_check(r.auth, &r.m, &rig_client_addr, 1000, &r.credential),
			 STUN_UNAUTHENTICATED);
	rig_challenge(&r, STUN_UNAUTHENTICATED);
	rig_expect_failure(&r, TURN_CLIENT_STEP_AUTHENTICATE, STUN_UNAUTHENTICATED);
	assert_string_equal(r.e.failure.reason, "say who you are");
	rig_finish(&r);
}

static void test_stale_nonce(void **state)
{
	struct rig r;
	unsigned asked = 1;

	rig_init(&r);
	rig_allocate(&r);
	assert_int_equal(turn_client_permit(r.c, r.now, &rig_peer_a), 0);
	rig_expect(&r, TURN_CREATE_PERMISSION);
	rig_challenge(&r, STUN_STALE_NONCE);
	rig_expect_proved(&r, TURN_CREATE_PERMISSION);
	rig_answer_success(&r);
	rig_expect_event(&r, TURN_CLIENT_CHANGED);
	rig_finish(&r);

	/* a server that never is content */
	rig_init(&r);
	assert_int_equal(turn_client_start(r.c, r.now), 0);
	rig_expect(&r, TURN_ALLOCATE);
	for (rig_challenge(&r, STUN_UNAUTHENTICATED); rig_next_request(&r); asked++)
		rig_challenge(&r, STUN_STALE_NONCE);
	assert_in_range(asked, 3, 6);
	rig_expect_failure(&r, TURN_CLIENT_STEP_AUTHENTICATE, STUN_STALE_NONCE);
	rig_finish(&r);
}

/* An error without proof may be forged. */
static void test_unproved_error(void **state)
{
	struct rig r;

	for (int real = 0; real < 2; real++) {
		rig_init(&r);
		assert_int_equal(turn_client_start(r.c, r.now), 0);
		rig_expect(&r, TURN_ALLOCATE);
		rig_challenge(&r, STUN_UNAUTHENTICATED);
		rig_expect_proved(&r, TURN_ALLOCATE);
		rig_answer_error(&r, TURN_ALLOCATION_QUOTA_REACHED, false);
		rig_expect_no_event(&r);
		if (real) {
			rig_answer_success(&r);
			rig_expect_event(&r, TURN_CLIENT_ALLOCATED);
		} else {
			rig_to_deadline(&r);
			assert_int_equal(r.now - RIG_START, 500 * MS);
			rig_expect_failure(&r, TURN_CLIENT_STEP_AUTHENTICATE,
					   TURN_ALLOCATION_QUOTA_REACHED);
			assert_true(r.e.failure.unproved);
		}
		assert_int_equal(turn_client_stats(r.c)->unproved, 1);
		rig_finish(&r);
	}
}

static void test_unproved_success(void **state)
{
	struct rig r;

	rig_init(&r);
	assert_int_equal(turn_client_start(r.c, r.now), 0);
	rig_expect(&r, TURN_ALLOCATE);
	rig_challenge(&r, STUN_UNAUTHENTICATED);
	rig_expect_proved(&r, TURN_ALLOCATE);
	rig_put_success(&r);
	rig_feed(&r, NULL);
	rig_expect_no_event(&r);
	rig_answer_success(&r);
	rig_expect_event(&r, TURN_CLIENT_ALLOCATED);
	rig_finish(&r);
}

static void test_refused(void **state)
{
	struct rig r;

	rig_init(&r);
	assert_int_equal(turn_client_start(r.c, r.now), 0);
	rig_expect(&r, TURN_ALLOCATE);
	rig_challenge(&r, STUN_UNAUTHENTICATED);
	rig_expect_proved(&r, TURN_ALLOCATE);
	rig_answer_error(&r, TURN_INSUFFICIENT_CAPACITY, true);
	rig_expect_failure(&r, TURN_CLIENT_STEP_ALLOCATE, TURN_INSUFFICIENT_CAPACITY);
	assert_false(r.e.failure.unproved);
	assert_string_equal(r.e.failure.reason, "no\\x1b[31m");
	rig_finish(&r);
}

static void redirect(struct rig *r, const struct addr *to)
{
	rig_expect(r, TURN_ALLOCATE);
	rig_begin(r, STUN_ERROR);
	stun_put_error(&r->o, STUN_TRY_ALTERNATE, "elsewhere");
	stun_put_addr(&r->o, STUN_ALTERNATE_SERVER, to);
	stun_put(&r->o, STUN_ALTERNATE_DOMAIN, span_str("b.example.org"));
	rig_feed(r, NULL);
}

static void test_redirection(void **state)
{
	struct addr servers[TURN_CLIENT_REDIRECTS_MAX + 2];
	struct rig r;

	for (size_t i = 0; i < ARRAY_LEN(servers); i++) {
		servers[i] = rig_relayed_v4;
		servers[i].port = (uint16_t)(3478 + i);
	}
	for (int circle = 0; circle < 2; circle++) {
		rig_with(&r, &(struct turn_client_config){ .v4 = true,
							   .server = servers[0],
							   .username = "anna",
							   .password = "secret" });
		for (unsigned i = 1; i <= TURN_CLIENT_REDIRECTS_MAX; i++) {
			assert_int_equal(turn_client_start(r.c, r.now), 0);
			redirect(&r, &servers[i]);
			rig_expect_event(&r, TURN_CLIENT_REDIRECTED);
			assert_true(addr_equal(&r.e.server, &servers[i]));
			assert_string_equal(r.e.domain, "b.example.org");
			assert_true(turn_client_deadline(r.c) == USEC_NEVER);
			if (circle)
				break;
		}
		if (circle) {
			assert_int_equal(turn_client_start(r.c, r.now), 0);
			redirect(&r, &servers[0]);
		} else {
			assert_int_equal(turn_client_start(r.c, r.now), 0);
			redirect(&r, &servers[TURN_CLIENT_REDIRECTS_MAX + 1]);
		}
		rig_expect_failure(&r, TURN_CLIENT_STEP_ALLOCATE, STUN_TRY_ALTERNATE);
		rig_finish(&r);
	}
	rig_init(&r);
	assert_int_equal(turn_client_start(r.c, r.now), 0);
	redirect(&r, &servers[1]);
	rig_expect_event(&r, TURN_CLIENT_REDIRECTED);
	rig_allocate(&r);
	rig_finish(&r);
}

/* ---- keeping ---- */

static void test_refresh(void **state)
{
	struct rig r;

	rig_init(&r);
	rig_allocate(&r);
	for (unsigned i = 1; i <= 20; i++) {
		rig_to_deadline(&r);
		assert_int_equal(r.now, RIG_START + i * 540 * SEC);
		rig_expect(&r, TURN_REFRESH);
		assert_null(stun_find(&r.m, TURN_LIFETIME));
		assert_int_equal(
			turn_auth_check(r.auth, &r.m, &rig_client_addr, 1000, &r.credential), 0);
		rig_answer_success(&r);
		rig_expect_no_event(&r);
	}
	/* a short one is refreshed at its half */
	r.lifetime_s = 20;
	rig_to_deadline(&r);
	rig_expect_proved(&r, TURN_REFRESH);
	rig_answer_success(&r);
	assert_int_equal(turn_client_deadline(r.c), r.now + 10 * SEC);
	rig_finish(&r);
}

static void test_refresh_unanswered(void **state)
{
	struct rig r;
	unsigned sent = 0;

	rig_init(&r);
	rig_allocate(&r);
	while (!turn_client_next_event(r.c, &r.e)) {
		rig_to_deadline(&r);
		while (rig_next_request(&r)) {
			assert_int_equal(r.m.method, TURN_REFRESH);
			sent++;
		}
	}
	assert_int_equal(r.now, RIG_START + 600 * SEC);
	assert_in_range(sent, 40, 60);
	assert_int_equal(r.e.type, TURN_CLIENT_FAILED);
	assert_int_equal(r.e.failure.step, TURN_CLIENT_STEP_REFRESH);
	assert_string_equal(r.e.failure.reason, "the server did not answer");
	assert_int_equal(turn_client_permit(r.c, r.now, &rig_peer_a), FL_ESTATE);
	rig_finish(&r);
}

static void test_allocation_is_gone(void **state)
{
	struct rig r;

	rig_init(&r);
	rig_allocate(&r);
	rig_to_deadline(&r);
	rig_expect_proved(&r, TURN_REFRESH);
	rig_answer_error(&r, TURN_ALLOCATION_MISMATCH, true);
	rig_expect_failure(&r, TURN_CLIENT_STEP_REFRESH, TURN_ALLOCATION_MISMATCH);
	rig_finish(&r);

	rig_init(&r);
	rig_allocate(&r);
	rig_to_deadline(&r);
	rig_expect_proved(&r, TURN_REFRESH);
	r.lifetime_s = 0;
	rig_answer_success(&r);
	rig_expect_failure(&r, TURN_CLIENT_STEP_REFRESH, 0);
	rig_finish(&r);

	rig_init(&r);
	rig_allocate(&r);
	assert_int_equal(turn_client_permit(r.c, r.now, &rig_peer_a), 0);
	rig_expect_proved(&r, TURN_CREATE_PERMISSION);
	rig_answer_error(&r, TURN_ALLOCATION_MISMATCH, true);
	rig_expect_failure(&r, TURN_CLIENT_STEP_PERMISSION, TURN_ALLOCATION_MISMATCH);
	rig_finish(&r);
}

/* The server no longer takes our password: there is time until the allocation ends. */
static void test_credentials_end(void **state)
{
	struct rig r;

	for (int renewed = 0; renewed < 2; renewed++) {
		rig_init(&r);
		rig_allocate(&r);
		turn_auth_destroy(r.auth);
		r.auth = rig_make_auth("other");
		rig_to_deadline(&r);
		rig_expect(&r, TURN_REFRESH);
		rig_challenge(&r, STUN_UNAUTHENTICATED);
		rig_expect_event(&r, TURN_CLIENT_CREDENTIALS);
		assert_int_equal(r.e.until, RIG_START + 600 * SEC);
		assert_int_equal(r.e.failure.code, STUN_UNAUTHENTICATED);
		rig_expect_silence(&r);
		assert_int_equal(turn_client_permit(r.c, r.now, &rig_peer_a), 0);
		rig_expect_silence(&r);
		if (!renewed) {
			rig_to_deadline(&r);
			assert_int_equal(r.now, RIG_START + 600 * SEC);
			rig_expect_failure(&r, TURN_CLIENT_STEP_REFRESH, STUN_UNAUTHENTICATED);
		} else {
			r.now += 5 * SEC;
			assert_int_equal(turn_client_set_credentials(r.c, r.now, "anna", "other"),
					 0);
			rig_expect_proved(&r, TURN_REFRESH);
			rig_answer_success(&r);
			rig_expect_proved(&r, TURN_CREATE_PERMISSION);
			assert_int_equal(turn_client_deadline(r.c), r.now + 100 * MS);
		}
		rig_finish(&r);
	}
}

static void test_new_credentials_while_well(void **state)
{
	struct turn_credential old;
	struct stun_msg permission;
	struct rig r;

	rig_init(&r);
	rig_allocate(&r);
	assert_int_equal(turn_client_permit(r.c, r.now, &rig_peer_a), 0);
	rig_expect_proved(&r, TURN_CREATE_PERMISSION);
	old = r.credential;
	permission = r.m;
	turn_auth_destroy(r.auth);
	r.auth = rig_make_auth("other");
	assert_int_equal(turn_client_set_credentials(r.c, r.now, "anna", "other"), 0);
	rig_expect_proved(&r, TURN_REFRESH); /* at once */
	rig_answer_success(&r);
	/* the answer to what went out before has the old proof, and holds */
	r.m = permission;
	r.credential = old;
	rig_answer_success(&r);
	rig_expect_event(&r, TURN_CLIENT_CHANGED);
	rig_finish(&r);
}

static void test_names_too_long(void **state)
{
	char name[STUN_USERNAME_MAX + 2];
	struct turn_client_config config = { .v4 = true, .username = name, .password = "" };
	struct rig r;

	memset(name, 'a', sizeof(name));
	name[STUN_USERNAME_MAX + 1] = 0;
	rig_init(&r);
	assert_null(turn_client_create(&config, &r.rng));
	assert_int_equal(turn_client_set_credentials(r.c, r.now, name, ""), FL_EMALFORMED);
	rig_allocate(&r); /* with the old ones */
	name[STUN_USERNAME_MAX] = 0;
	assert_int_equal(turn_client_set_credentials(r.c, r.now, name, ""), 0);
	assert_true(rig_next_request(&r));
	rig_finish(&r);
}

/* ---- moving ---- */

static const struct turn_client_config mobile = {
	.v4 = true, .mobility = true, .username = "anna", .password = "secret"
};

static void test_moved(void **state)
{
	struct span ticket;
	struct rig r;

	rig_with(&r, &mobile);
	r.ticket = true;
	rig_allocate(&r);
	assert_int_equal(turn_client_permit(r.c, r.now, &rig_peer_a), 0);
	rig_expect(&r, TURN_CREATE_PERMISSION); /* its answer goes to where we were */
	r.now += 1 * SEC;
	assert_int_equal(turn_client_moved(r.c, r.now), 0);
	rig_expect(&r, TURN_REFRESH);
	assert_true(stun_get(&r.m, TURN_MOBILITY_TICKET, &ticket));
	assert_true(span_is(ticket, "ticket"));
	rig_expect_silence(&r);
	rig_challenge(&r, STUN_STALE_NONCE); /* nonces are bound to addresses */
	rig_expect_proved(&r, TURN_REFRESH);
	assert_true(stun_get(&r.m, TURN_MOBILITY_TICKET, &ticket));
	rig_answer_success(&r);
	rig_expect_event(&r, TURN_CLIENT_MOVED);
	assert_int_equal(r.e.until, r.now + 600 * SEC);
	assert_true(addr_equal(&r.e.relayed[0], &rig_relayed_v4));
	rig_expect_proved(&r, TURN_CREATE_PERMISSION);
	rig_answer_success(&r);
	rig_expect_event(&r, TURN_CLIENT_CHANGED);
	rig_finish(&r);
}

static void test_moved_without_ticket(void **state)
{
	struct rig r;

	rig_with(&r, &mobile);
	assert_int_equal(turn_client_moved(r.c, r.now), FL_ESTATE);
	assert_int_equal(turn_client_start(r.c, r.now), 0);
	rig_expect(&r, TURN_ALLOCATE);
	assert_true(stun_get_flag(&r.m, TURN_MOBILITY_TICKET));
	rig_challenge(&r, STUN_UNAUTHENTICATED);
	rig_expect_proved(&r, TURN_ALLOCATE);
	rig_answer_error(&r, TURN_MOBILITY_FORBIDDEN, true);
	rig_expect_proved(&r, TURN_ALLOCATE);
	assert_false(stun_get_flag(&r.m, TURN_MOBILITY_TICKET));
	rig_answer_success(&r);
	rig_expect_event(&r, TURN_CLIENT_ALLOCATED);
	assert_int_equal(turn_client_moved(r.c, r.now), FL_EUNSUPPORTED);
	rig_finish(&r);
}

static void test_move_refused(void **state)
{
	struct rig r;

	rig_with(&r, &mobile);
	r.ticket = true;
	rig_allocate(&r);
	assert_int_equal(turn_client_moved(r.c, r.now), 0);
	rig_expect_proved(&r, TURN_REFRESH);
	rig_answer_error(&r, TURN_ALLOCATION_MISMATCH, true);
	rig_expect_failure(&r, TURN_CLIENT_STEP_MOVE, TURN_ALLOCATION_MISMATCH);
	rig_finish(&r);
}

/* ---- giving it back ---- */

static void expect_closed(struct rig *r)
{
	rig_expect_event(r, TURN_CLIENT_CLOSED);
	rig_expect_no_event(r);
	assert_true(turn_client_deadline(r->c) == USEC_NEVER);
	turn_client_close(r->c, r->now);
	rig_expect_no_event(r);
}

static void answer_close(struct rig *r)
{
	uint32_t lifetime_s;

	rig_expect_proved(r, TURN_REFRESH);
	assert_true(stun_get_u32(&r->m, TURN_LIFETIME, &lifetime_s));
	assert_int_equal(lifetime_s, 0);
	r->lifetime_s = 0;
	rig_answer_success(r);
	expect_closed(r);
}

static void test_close(void **state)
{
	struct rig r;

	rig_init(&r); /* before it began */
	turn_client_close(r.c, r.now);
	expect_closed(&r);
	rig_finish(&r);

	rig_init(&r); /* nothing to give back yet */
	assert_int_equal(turn_client_start(r.c, r.now), 0);
	rig_expect(&r, TURN_ALLOCATE);
	turn_client_close(r.c, r.now);
	expect_closed(&r);
	rig_finish(&r);

	rig_init(&r); /* perhaps something: the answer will tell */
	assert_int_equal(turn_client_start(r.c, r.now), 0);
	rig_expect(&r, TURN_ALLOCATE);
	rig_challenge(&r, STUN_UNAUTHENTICATED);
	rig_expect_proved(&r, TURN_ALLOCATE);
	turn_client_close(r.c, r.now);
	rig_expect_no_event(&r);
	rig_answer_success(&r);
	answer_close(&r);
	rig_finish(&r);

	rig_init(&r);
	rig_allocate(&r);
	rig_permit(&r, &rig_peer_a);
	assert_int_equal(turn_client_permit(r.c, r.now, &rig_peer_b), 0);
	turn_client_close(r.c, r.now);
	answer_close(&r);
	rig_finish(&r);
}

static void test_close_without_answer(void **state)
{
	struct rig r;

	rig_init(&r);
	rig_allocate(&r);
	turn_client_close(r.c, r.now);
	while (rig_next_request(&r))
		rig_to_deadline(&r);
	assert_int_equal(r.now, RIG_START + 6300 * MS);
	rig_expect_event(&r, TURN_CLIENT_CLOSED);
	assert_int_equal(r.e.failure.step, TURN_CLIENT_STEP_CLOSE);
	rig_finish(&r);

	rig_init(&r); /* the server has forgotten it already */
	rig_allocate(&r);
	turn_client_close(r.c, r.now);
	rig_expect_proved(&r, TURN_REFRESH);
	rig_answer_error(&r, TURN_ALLOCATION_MISMATCH, true);
	rig_expect_event(&r, TURN_CLIENT_CLOSED);
	assert_int_equal(r.e.failure.code, 0);
	rig_finish(&r);
}

static void test_close_while_moving(void **state)
{
	struct rig r;

	rig_with(&r, &mobile);
	r.ticket = true;
	rig_allocate(&r);
	assert_int_equal(turn_client_moved(r.c, r.now), 0);
	rig_expect_proved(&r, TURN_REFRESH);
	turn_client_close(r.c, r.now);
	rig_expect_silence(&r);
	rig_answer_success(&r);
	answer_close(&r);
	rig_finish(&r);
}

/* No answer will come that lets it move: nothing is waited for. */
static void test_close_while_moving_is_refused(void **state)
{
	struct rig r;

	for (int late = 0; late < 2; late++) {
		rig_with(&r, &mobile);
		r.ticket = true;
		rig_allocate(&r);
		assert_int_equal(turn_client_moved(r.c, r.now), 0);
		rig_expect_proved(&r, TURN_REFRESH);
		if (late)
			turn_client_close(r.c, r.now);
		rig_challenge(&r, STUN_UNAUTHENTICATED);
		if (!late) {
			rig_expect_event(&r, TURN_CLIENT_CREDENTIALS);
			turn_client_close(r.c, r.now);
		}
		expect_closed(&r);
		assert_int_equal(r.e.failure.code, STUN_UNAUTHENTICATED);
		rig_finish(&r);
	}
}

static void test_step_names(void **state)
{
	for (int i = 0; i <= TURN_CLIENT_STEP_CLOSE; i++)
		for (int j = 0; j < i; j++)
			assert_string_not_equal(turn_client_step_name((enum turn_client_step)i),
						turn_client_step_name((enum turn_client_step)j));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_allocate),
		TEST(test_answer_twice),
		TEST(test_families),
		TEST(test_legacy_server),
		TEST(test_downgrade),
		TEST(test_no_answer),
		TEST(test_no_answer_on_a_stream),
		TEST(test_wrong_password),
		TEST(test_stale_nonce),
		TEST(test_unproved_error),
		TEST(test_unproved_success),
		TEST(test_refused),
		TEST(test_redirection),
		TEST(test_refresh),
		TEST(test_refresh_unanswered),
		TEST(test_allocation_is_gone),
		TEST(test_credentials_end),
		TEST(test_new_credentials_while_well),
		TEST(test_names_too_long),
		TEST(test_moved),
		TEST(test_moved_without_ticket),
		TEST(test_move_refused),
		TEST(test_close),
		TEST(test_close_without_answer),
		TEST(test_close_while_moving),
		TEST(test_close_while_moving_is_refused),
		TEST(test_step_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
