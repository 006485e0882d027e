/*
 * The TURN client in virtual time, against answers written here, so that a server's every whim can
 * be played: which requests come, when, and what follows from the answers. Requests are checked by
 * the server's own proto/turn/turn_auth. With the real server: tests/sim/turn_sim_test.c.
 */
#include <errno.h>

#include "base/err.h"
#include "proto/turn/turn_auth.h"
#include "proto/turn/turn_client.h"
#include "proto/turn/turn_stream.h"
#include "test.h"

#define MS USEC_PER_MSEC
#define SEC USEC_PER_SEC
#define START (1000 * SEC)

struct rig {
	struct turn_client *c;
	struct turn_auth *auth;
	struct rng rng;
	usec_t now;
	uint8_t request[TURN_CLIENT_MESSAGE_MAX]; /* the latest, and what it says */
	struct stun_msg m;
	struct turn_credential credential; /* of the latest, when it had any */
	struct turn_client_event e;
	uint8_t answer[2048];
	struct stun_out o;
	unsigned lifetime_s;
	bool two_families, ticket;
};

static const struct addr client_addr = { .family = ADDR_V4, .ip = { 192, 0, 2, 7 }, .port = 40000 };
static const struct addr relayed_v4 = { .family = ADDR_V4,
					.ip = { 198, 51, 100, 1 },
					.port = 50000 };
static const struct addr relayed_v6 = { .family = ADDR_V6,
					.ip = { 0x20, 1, 0x0d, 0xb8, [15] = 1 },
					.port = 50000 };
static const struct addr peer_a = { .family = ADDR_V4, .ip = { 203, 0, 113, 5 }, .port = 6000 };
static const struct addr peer_b = { .family = ADDR_V4, .ip = { 203, 0, 113, 6 }, .port = 6000 };
static const struct addr peer_v6 = { .family = ADDR_V6,
				     .ip = { 0x20, 1, 0x0d, 0xb8, [15] = 9 },
				     .port = 6000 };

static struct turn_auth *make_auth(const char *password)
{
	struct turn_auth_user user = { "anna", password };
	struct turn_auth_config config = { .realm = "example.org", .users = &user, .n_users = 1 };
	struct turn_auth *a;

	assert_int_equal(turn_auth_create(&config, &a), 0);
	return a;
}

static void rig_with(struct rig *r, const struct turn_client_config *config)
{
	*r = (struct rig){ .now = START, .lifetime_s = 600 };
	rng_seed(&r->rng, 7);
	r->auth = make_auth("secret");
	r->c = turn_client_create(config, &r->rng);
	assert_non_null(r->c);
}

static void rig_init(struct rig *r)
{
	rig_with(r, &(struct turn_client_config){
			    .v4 = true, .username = "anna", .password = "secret" });
}

static void rig_finish(struct rig *r)
{
	turn_client_destroy(r->c);
	turn_auth_destroy(r->auth);
}

/* ---- requests ---- */

/* The next output as a request; false: there is none. */
static bool next_request(struct rig *r)
{
	struct span message;

	if (!turn_client_next_output(r->c, &message))
		return false;
	assert_true(message.len <= sizeof(r->request));
	memcpy(r->request, message.ptr, message.len);
	assert_int_equal(stun_parse(span_of(r->request, message.len), &r->m), 0);
	assert_int_equal(r->m.class, STUN_REQUEST);
	return true;
}

static void expect(struct rig *r, uint16_t method)
{
	assert_true(next_request(r));
	assert_int_equal(r->m.method, method);
}

/* … with credentials that hold. */
static void expect_proved(struct rig *r, uint16_t method)
{
	expect(r, method);
	assert_int_equal(turn_auth_check(r->auth, &r->m, &client_addr, 1000, &r->credential), 0);
}

static void expect_silence(struct rig *r)
{
	assert_false(next_request(r));
}

static void expect_event(struct rig *r, enum turn_client_event_type type)
{
	assert_true(turn_client_next_event(r->c, &r->e));
	assert_int_equal(r->e.type, type);
}

static void expect_no_event(struct rig *r)
{
	assert_false(turn_client_next_event(r->c, &r->e));
}

static void expect_failure(struct rig *r, enum turn_client_step step, unsigned code)
{
	expect_event(r, TURN_CLIENT_FAILED);
	assert_int_equal(r->e.failure.step, step);
	assert_int_equal(r->e.failure.code, code);
	expect_silence(r);
	assert_true(turn_client_deadline(r->c) == USEC_NEVER);
}

/* To the next deadline; requests that become due wait for next_request(). */
static void to_deadline(struct rig *r)
{
	usec_t next = turn_client_deadline(r->c);

	assert_true(next != USEC_NEVER);
	r->now = FL_MAX(next, r->now);
	turn_client_timeout(r->c, r->now);
	assert_true(turn_client_deadline(r->c) > r->now);
}

/* ---- answers ---- */

static void begin(struct rig *r, enum stun_class class)
{
	stun_begin(&r->o, r->answer, sizeof(r->answer), class, r->m.method, r->m.tid);
}

static bool feed(struct rig *r, struct turn_client_data *data)
{
	struct turn_client_data unused;
	int len = stun_end(&r->o);

	assert_true(len > 0);
	return turn_client_input(r->c, r->now, span_of(r->answer, (size_t)len),
				 data ? data : &unused);
}

static void challenge(struct rig *r, uint16_t code)
{
	begin(r, STUN_ERROR);
	stun_put_error(&r->o, code, "say who you are");
	turn_auth_challenge(r->auth, &r->o, &client_addr, 1000);
	assert_false(feed(r, NULL));
}

static void answer_error(struct rig *r, uint16_t code, bool proved)
{
	begin(r, STUN_ERROR);
	stun_put_error(&r->o, code, "no\x1b[31m");
	if (proved)
		turn_auth_seal(&r->o, &r->credential);
	assert_false(feed(r, NULL));
}

static void put_success(struct rig *r)
{
	begin(r, STUN_SUCCESS);
	if (r->m.method == TURN_ALLOCATE) {
		stun_put_xor_addr(&r->o, TURN_XOR_RELAYED_ADDRESS, &relayed_v4);
		if (r->two_families)
			stun_put_xor_addr(&r->o, TURN_XOR_RELAYED_ADDRESS, &relayed_v6);
		stun_put_xor_addr(&r->o, STUN_XOR_MAPPED_ADDRESS, &client_addr);
	}
	if (r->m.method == TURN_ALLOCATE || r->m.method == TURN_REFRESH)
		stun_put_u32(&r->o, TURN_LIFETIME, r->lifetime_s);
	if (r->ticket)
		stun_put(&r->o, TURN_MOBILITY_TICKET, span_str("ticket"));
}

static void answer_success(struct rig *r)
{
	put_success(r);
	turn_auth_seal(&r->o, &r->credential);
	assert_false(feed(r, NULL));
}

static void allocate(struct rig *r)
{
	assert_int_equal(turn_client_start(r->c, r->now), 0);
	expect(r, TURN_ALLOCATE);
	challenge(r, STUN_UNAUTHENTICATED);
	expect_proved(r, TURN_ALLOCATE);
	answer_success(r);
	expect_event(r, TURN_CLIENT_ALLOCATED);
	expect_silence(r);
}

static void permit(struct rig *r, const struct addr *peer)
{
	assert_int_equal(turn_client_permit(r->c, r->now, peer), 0);
	expect_proved(r, TURN_CREATE_PERMISSION);
	answer_success(r);
	expect_event(r, TURN_CLIENT_CHANGED);
	assert_int_equal(r->e.reach, TURN_CLIENT_PERMITTED);
}

static uint16_t bind_channel(struct rig *r, const struct addr *peer)
{
	uint16_t number = 0;

	assert_int_equal(turn_client_bind(r->c, r->now, peer), 0);
	while (next_request(r)) {
		assert_int_equal(
			turn_auth_check(r->auth, &r->m, &client_addr, 1000, &r->credential), 0);
		if (r->m.method == TURN_CHANNEL_BIND)
			assert_true(turn_get_channel(&r->m, &number));
		answer_success(r);
	}
	while (turn_client_next_event(r->c, &r->e))
		assert_int_equal(r->e.type, TURN_CLIENT_CHANGED);
	assert_int_equal(turn_client_reach(r->c, r->now, peer), TURN_CLIENT_BOUND);
	return number;
}

/* ---- allocating ---- */

static void test_allocate(void **state)
{
	struct rig r;

	rig_init(&r);
	assert_true(turn_client_deadline(r.c) == USEC_NEVER);
	assert_int_equal(turn_client_start(r.c, r.now), 0);
	assert_int_equal(turn_client_start(r.c, r.now), FL_ESTATE);
	expect(&r, TURN_ALLOCATE);
	assert_null(stun_find(&r.m, STUN_USERNAME));
	assert_null(stun_find(&r.m, TURN_REQUESTED_ADDRESS_FAMILY));
	assert_null(stun_find(&r.m, TURN_MOBILITY_TICKET));
	challenge(&r, STUN_UNAUTHENTICATED);
	expect_proved(&r, TURN_ALLOCATE);
	/* SHA-256 was offered, so it is used; the server has no secrets, so the name is hidden */
	assert_int_equal(r.credential.integrity, TURN_INTEGRITY_SHA256);
	assert_int_equal(r.credential.key_len, 32);
	assert_non_null(stun_find(&r.m, STUN_USERHASH));
	assert_null(stun_find(&r.m, STUN_USERNAME));
	r.now += 30 * MS;
	answer_success(&r);
	expect_event(&r, TURN_CLIENT_ALLOCATED);
	assert_true(addr_equal(&r.e.relayed[0], &relayed_v4));
	assert_int_equal(r.e.relayed[1].family, ADDR_NONE);
	assert_true(addr_equal(&r.e.mapped, &client_addr));
	/* counted from the request, not from the answer */
	assert_int_equal(r.e.until, START + 600 * SEC);
	assert_int_equal(turn_client_deadline(r.c), START + 540 * SEC);
	assert_int_equal(turn_client_stats(r.c)->round_trip_us, 30 * MS);
	expect_no_event(&r);
	rig_finish(&r);
}

static void test_answer_twice(void **state)
{
	struct rig r;

	rig_init(&r);
	allocate(&r);
	assert_false(feed(&r, NULL));
	assert_int_equal(turn_client_stats(r.c)->strays, 1);
	expect_no_event(&r);
	rig_finish(&r);
}

static void test_families(void **state)
{
	struct turn_client_config config = { .v6 = true, .username = "anna", .password = "secret" };
	struct rig r;
	uint8_t family;

	rig_with(&r, &config);
	assert_int_equal(turn_client_start(r.c, r.now), 0);
	expect(&r, TURN_ALLOCATE);
	assert_true(turn_get_family(&r.m, TURN_REQUESTED_ADDRESS_FAMILY, &family));
	assert_int_equal(family, TURN_FAMILY_V6);
	challenge(&r, STUN_UNAUTHENTICATED);
	expect_proved(&r, TURN_ALLOCATE);
	answer_success(&r); /* with an IPv4 address, which we did not ask for */
	expect_failure(&r, TURN_CLIENT_STEP_ALLOCATE, 0);
	rig_finish(&r);

	config.v4 = true;
	rig_with(&r, &config);
	r.two_families = true;
	allocate(&r);
	assert_true(turn_get_family(&r.m, TURN_ADDITIONAL_ADDRESS_FAMILY, &family));
	assert_int_equal(family, TURN_FAMILY_V6);
	assert_true(addr_equal(&r.e.relayed[0], &relayed_v4));
	assert_true(addr_equal(&r.e.relayed[1], &relayed_v6));
	permit(&r, &peer_v6);
	rig_finish(&r);

	/* a server that has one of both */
	rig_with(&r, &config);
	allocate(&r);
	assert_int_equal(turn_client_permit(r.c, r.now, &peer_v6), FL_EUNSUPPORTED);
	permit(&r, &peer_a);
	rig_finish(&r);
}

static void test_legacy_server(void **state)
{
	struct rig r;

	rig_init(&r);
	assert_int_equal(turn_client_start(r.c, r.now), 0);
	expect(&r, TURN_ALLOCATE);
	begin(&r, STUN_ERROR);
	stun_put_error(&r.o, STUN_UNAUTHENTICATED, "");
	stun_put(&r.o, STUN_REALM, span_str("example.org"));
	stun_put(&r.o, STUN_NONCE, span_str("12345"));
	feed(&r, NULL);
	expect(&r, TURN_ALLOCATE);
	assert_null(stun_find(&r.m, STUN_PASSWORD_ALGORITHM));
	assert_non_null(stun_find(&r.m, STUN_USERNAME));
	r.credential.integrity = TURN_INTEGRITY_SHA1;
	r.credential.key_len = (uint8_t)turn_auth_key("anna", "example.org", "secret", false,
						      r.credential.key);
	assert_int_equal(stun_check_integrity(&r.m, span_of(r.credential.key, 16)), 0);
	answer_success(&r);
	expect_event(&r, TURN_CLIENT_ALLOCATED);
	rig_finish(&r);
}

/* Somebody on the way takes PASSWORD-ALGORITHMS out, so that MD5 and SHA-1 are used. */
static void test_downgrade(void **state)
{
	struct rig r;

	rig_init(&r);
	assert_int_equal(turn_client_start(r.c, r.now), 0);
	expect(&r, TURN_ALLOCATE);
	begin(&r, STUN_ERROR);
	stun_put_error(&r.o, STUN_UNAUTHENTICATED, "");
	stun_put(&r.o, STUN_REALM, span_str("example.org"));
	stun_put(&r.o, STUN_NONCE, span_str("obMatJos2AAAB12345"));
	feed(&r, NULL);
	expect_silence(&r);
	/* the real answer comes within half a second: */
	r.now += 400 * MS;
	turn_client_timeout(r.c, r.now);
	challenge(&r, STUN_UNAUTHENTICATED);
	expect_proved(&r, TURN_ALLOCATE);
	answer_success(&r);
	expect_event(&r, TURN_CLIENT_ALLOCATED);
	rig_finish(&r);
}

static void test_no_answer(void **state)
{
	struct rig r;
	unsigned sent = 1;

	rig_init(&r);
	assert_int_equal(turn_client_start(r.c, r.now), 0);
	expect(&r, TURN_ALLOCATE);
	for (to_deadline(&r); next_request(&r); to_deadline(&r))
		sent++;
	assert_int_equal(sent, 7);
	assert_int_equal(r.now - START, 6300 * MS);
	expect_failure(&r, TURN_CLIENT_STEP_ALLOCATE, 0);
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
	expect(&r, TURN_ALLOCATE);
	to_deadline(&r);
	assert_int_equal(r.now - START, TURN_CLIENT_STREAM_TIMEOUT_US);
	expect_failure(&r, TURN_CLIENT_STEP_ALLOCATE, 0);
	rig_finish(&r);
}

static void test_wrong_password(void **state)
{
	struct rig r;

	rig_init(&r);
	assert_int_equal(turn_client_set_credentials(r.c, r.now, "anna", "guess"), 0);
	assert_int_equal(turn_client_start(r.c, r.now), 0);
	expect(&r, TURN_ALLOCATE);
	challenge(&r, STUN_UNAUTHENTICATED);
	expect(&r, TURN_ALLOCATE);
	assert_int_equal(turn_auth_check(r.auth, &r.m, &client_addr, 1000, &r.credential),
			 STUN_UNAUTHENTICATED);
	challenge(&r, STUN_UNAUTHENTICATED);
	expect_failure(&r, TURN_CLIENT_STEP_AUTHENTICATE, STUN_UNAUTHENTICATED);
	assert_string_equal(r.e.failure.reason, "say who you are");
	rig_finish(&r);
}

static void test_stale_nonce(void **state)
{
	struct rig r;
	unsigned asked = 1;

	rig_init(&r);
	allocate(&r);
	assert_int_equal(turn_client_permit(r.c, r.now, &peer_a), 0);
	expect(&r, TURN_CREATE_PERMISSION);
	challenge(&r, STUN_STALE_NONCE);
	expect_proved(&r, TURN_CREATE_PERMISSION);
	answer_success(&r);
	expect_event(&r, TURN_CLIENT_CHANGED);
	rig_finish(&r);

	/* a server that never is content */
	rig_init(&r);
	assert_int_equal(turn_client_start(r.c, r.now), 0);
	expect(&r, TURN_ALLOCATE);
	for (challenge(&r, STUN_UNAUTHENTICATED); next_request(&r); asked++)
		challenge(&r, STUN_STALE_NONCE);
	assert_in_range(asked, 3, 6);
	expect_failure(&r, TURN_CLIENT_STEP_AUTHENTICATE, STUN_STALE_NONCE);
	rig_finish(&r);
}

/* An error without proof may be forged. */
static void test_unproved_error(void **state)
{
	struct rig r;

	for (int real = 0; real < 2; real++) {
		rig_init(&r);
		assert_int_equal(turn_client_start(r.c, r.now), 0);
		expect(&r, TURN_ALLOCATE);
		challenge(&r, STUN_UNAUTHENTICATED);
		expect_proved(&r, TURN_ALLOCATE);
		answer_error(&r, TURN_ALLOCATION_QUOTA_REACHED, false);
		expect_no_event(&r);
		if (real) {
			answer_success(&r);
			expect_event(&r, TURN_CLIENT_ALLOCATED);
		} else {
			to_deadline(&r);
			assert_int_equal(r.now - START, 500 * MS);
			expect_failure(&r, TURN_CLIENT_STEP_AUTHENTICATE,
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
	expect(&r, TURN_ALLOCATE);
	challenge(&r, STUN_UNAUTHENTICATED);
	expect_proved(&r, TURN_ALLOCATE);
	put_success(&r);
	feed(&r, NULL);
	expect_no_event(&r);
	answer_success(&r);
	expect_event(&r, TURN_CLIENT_ALLOCATED);
	rig_finish(&r);
}

static void test_refused(void **state)
{
	struct rig r;

	rig_init(&r);
	assert_int_equal(turn_client_start(r.c, r.now), 0);
	expect(&r, TURN_ALLOCATE);
	challenge(&r, STUN_UNAUTHENTICATED);
	expect_proved(&r, TURN_ALLOCATE);
	answer_error(&r, TURN_INSUFFICIENT_CAPACITY, true);
	expect_failure(&r, TURN_CLIENT_STEP_ALLOCATE, TURN_INSUFFICIENT_CAPACITY);
	assert_false(r.e.failure.unproved);
	assert_string_equal(r.e.failure.reason, "no\\x1b[31m");
	rig_finish(&r);
}

static void redirect(struct rig *r, const struct addr *to)
{
	expect(r, TURN_ALLOCATE);
	begin(r, STUN_ERROR);
	stun_put_error(&r->o, STUN_TRY_ALTERNATE, "elsewhere");
	stun_put_addr(&r->o, STUN_ALTERNATE_SERVER, to);
	stun_put(&r->o, STUN_ALTERNATE_DOMAIN, span_str("b.example.org"));
	feed(r, NULL);
}

static void test_redirection(void **state)
{
	struct addr servers[TURN_CLIENT_REDIRECTS_MAX + 2];
	struct rig r;

	for (size_t i = 0; i < ARRAY_LEN(servers); i++) {
		servers[i] = relayed_v4;
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
			expect_event(&r, TURN_CLIENT_REDIRECTED);
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
		expect_failure(&r, TURN_CLIENT_STEP_ALLOCATE, STUN_TRY_ALTERNATE);
		rig_finish(&r);
	}
	rig_init(&r);
	assert_int_equal(turn_client_start(r.c, r.now), 0);
	redirect(&r, &servers[1]);
	expect_event(&r, TURN_CLIENT_REDIRECTED);
	allocate(&r);
	rig_finish(&r);
}

/* ---- keeping ---- */

static void test_refresh(void **state)
{
	struct rig r;

	rig_init(&r);
	allocate(&r);
	for (unsigned i = 1; i <= 20; i++) {
		to_deadline(&r);
		assert_int_equal(r.now, START + i * 540 * SEC);
		expect(&r, TURN_REFRESH);
		assert_null(stun_find(&r.m, TURN_LIFETIME));
		assert_int_equal(turn_auth_check(r.auth, &r.m, &client_addr, 1000, &r.credential),
				 0);
		answer_success(&r);
		expect_no_event(&r);
	}
	/* a short one is refreshed at its half */
	r.lifetime_s = 20;
	to_deadline(&r);
	expect_proved(&r, TURN_REFRESH);
	answer_success(&r);
	assert_int_equal(turn_client_deadline(r.c), r.now + 10 * SEC);
	rig_finish(&r);
}

static void test_refresh_unanswered(void **state)
{
	struct rig r;
	unsigned sent = 0;

	rig_init(&r);
	allocate(&r);
	while (!turn_client_next_event(r.c, &r.e)) {
		to_deadline(&r);
		while (next_request(&r)) {
			assert_int_equal(r.m.method, TURN_REFRESH);
			sent++;
		}
	}
	assert_int_equal(r.now, START + 600 * SEC);
	assert_in_range(sent, 40, 60);
	assert_int_equal(r.e.type, TURN_CLIENT_FAILED);
	assert_int_equal(r.e.failure.step, TURN_CLIENT_STEP_REFRESH);
	assert_string_equal(r.e.failure.reason, "the server did not answer");
	assert_int_equal(turn_client_permit(r.c, r.now, &peer_a), FL_ESTATE);
	rig_finish(&r);
}

static void test_allocation_is_gone(void **state)
{
	struct rig r;

	rig_init(&r);
	allocate(&r);
	to_deadline(&r);
	expect_proved(&r, TURN_REFRESH);
	answer_error(&r, TURN_ALLOCATION_MISMATCH, true);
	expect_failure(&r, TURN_CLIENT_STEP_REFRESH, TURN_ALLOCATION_MISMATCH);
	rig_finish(&r);

	rig_init(&r);
	allocate(&r);
	to_deadline(&r);
	expect_proved(&r, TURN_REFRESH);
	r.lifetime_s = 0;
	answer_success(&r);
	expect_failure(&r, TURN_CLIENT_STEP_REFRESH, 0);
	rig_finish(&r);

	rig_init(&r);
	allocate(&r);
	assert_int_equal(turn_client_permit(r.c, r.now, &peer_a), 0);
	expect_proved(&r, TURN_CREATE_PERMISSION);
	answer_error(&r, TURN_ALLOCATION_MISMATCH, true);
	expect_failure(&r, TURN_CLIENT_STEP_PERMISSION, TURN_ALLOCATION_MISMATCH);
	rig_finish(&r);
}

/* The server no longer takes our password: there is time until the allocation ends. */
static void test_credentials_end(void **state)
{
	struct rig r;

	for (int renewed = 0; renewed < 2; renewed++) {
		rig_init(&r);
		allocate(&r);
		turn_auth_destroy(r.auth);
		r.auth = make_auth("other");
		to_deadline(&r);
		expect(&r, TURN_REFRESH);
		challenge(&r, STUN_UNAUTHENTICATED);
		expect_event(&r, TURN_CLIENT_CREDENTIALS);
		assert_int_equal(r.e.until, START + 600 * SEC);
		assert_int_equal(r.e.failure.code, STUN_UNAUTHENTICATED);
		expect_silence(&r);
		assert_int_equal(turn_client_permit(r.c, r.now, &peer_a), 0);
		expect_silence(&r);
		if (!renewed) {
			to_deadline(&r);
			assert_int_equal(r.now, START + 600 * SEC);
			expect_failure(&r, TURN_CLIENT_STEP_REFRESH, STUN_UNAUTHENTICATED);
		} else {
			r.now += 5 * SEC;
			assert_int_equal(turn_client_set_credentials(r.c, r.now, "anna", "other"),
					 0);
			expect_proved(&r, TURN_REFRESH);
			answer_success(&r);
			expect_proved(&r, TURN_CREATE_PERMISSION);
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
	allocate(&r);
	assert_int_equal(turn_client_permit(r.c, r.now, &peer_a), 0);
	expect_proved(&r, TURN_CREATE_PERMISSION);
	old = r.credential;
	permission = r.m;
	turn_auth_destroy(r.auth);
	r.auth = make_auth("other");
	assert_int_equal(turn_client_set_credentials(r.c, r.now, "anna", "other"), 0);
	expect_proved(&r, TURN_REFRESH); /* at once */
	answer_success(&r);
	/* the answer to what went out before has the old proof, and holds */
	r.m = permission;
	r.credential = old;
	answer_success(&r);
	expect_event(&r, TURN_CLIENT_CHANGED);
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
	allocate(&r); /* with the old ones */
	name[STUN_USERNAME_MAX] = 0;
	assert_int_equal(turn_client_set_credentials(r.c, r.now, name, ""), 0);
	assert_true(next_request(&r));
	rig_finish(&r);
}

/* ---- peers ---- */

static void test_permission(void **state)
{
	struct turn_client_wrap w;
	struct addr elsewhere = peer_a;
	struct rig r;

	rig_init(&r);
	assert_int_equal(turn_client_permit(r.c, r.now, &peer_a), FL_ESTATE);
	allocate(&r);
	assert_int_equal(turn_client_reach(r.c, r.now, &peer_a), TURN_CLIENT_UNKNOWN);
	/* data may go right behind the request */
	assert_int_equal(turn_client_wrap(r.c, r.now, &peer_a, 5, &w), 0);
	expect_proved(&r, TURN_CREATE_PERMISSION);
	assert_int_equal(turn_client_wrap(r.c, r.now, &peer_a, 5, &w), 0);
	expect_silence(&r);
	assert_int_equal(turn_client_reach(r.c, r.now, &peer_a), TURN_CLIENT_ASKED);
	answer_success(&r);
	expect_event(&r, TURN_CLIENT_CHANGED);
	assert_int_equal(r.e.reach, TURN_CLIENT_PERMITTED);
	/* a permission is for the IP */
	elsewhere.port = 1;
	assert_int_equal(turn_client_permit(r.c, r.now, &elsewhere), 0);
	expect_silence(&r);
	to_deadline(&r);
	assert_int_equal(r.now, START + 240 * SEC);
	expect_proved(&r, TURN_CREATE_PERMISSION);
	answer_success(&r);
	expect_no_event(&r);
	/* no longer kept */
	turn_client_forget(r.c, &peer_a);
	assert_int_equal(turn_client_deadline(r.c), START + 540 * SEC);
	rig_finish(&r);
}

static void test_permission_refused(void **state)
{
	struct turn_client_wrap w;
	struct rig r;

	rig_init(&r);
	allocate(&r);
	assert_int_equal(turn_client_permit(r.c, r.now, &peer_a), 0);
	expect_proved(&r, TURN_CREATE_PERMISSION);
	answer_error(&r, TURN_FORBIDDEN, true);
	expect_event(&r, TURN_CLIENT_CHANGED);
	assert_int_equal(r.e.reach, TURN_CLIENT_REFUSED);
	assert_int_equal(r.e.failure.code, TURN_FORBIDDEN);
	assert_int_equal(r.e.failure.step, TURN_CLIENT_STEP_PERMISSION);
	assert_true(addr_ip_equal(&r.e.peer, &peer_a));
	assert_int_equal(turn_client_wrap(r.c, r.now, &peer_a, 5, &w), -EACCES);
	expect_silence(&r);
	permit(&r, &peer_b); /* others are not concerned */
	r.now += 60 * SEC;
	assert_int_equal(turn_client_wrap(r.c, r.now, &peer_a, 5, &w), 0);
	expect_proved(&r, TURN_CREATE_PERMISSION);
	answer_success(&r);
	expect_event(&r, TURN_CLIENT_CHANGED);
	assert_int_equal(r.e.reach, TURN_CLIENT_PERMITTED);
	rig_finish(&r);
}

static void test_permission_unanswered(void **state)
{
	struct rig r;
	unsigned sent = 0;

	rig_init(&r);
	allocate(&r);
	assert_int_equal(turn_client_permit(r.c, r.now, &peer_a), 0);
	while (r.now < START + 30 * SEC) {
		while (next_request(&r))
			sent++;
		to_deadline(&r);
	}
	assert_in_range(sent, 21, 35); /* 7 of them every 8.3 s */
	expect_no_event(&r);
	rig_finish(&r);
}

static void test_channel(void **state)
{
	struct turn_client_wrap w;
	struct rig r;
	uint16_t number;

	rig_init(&r);
	allocate(&r);
	number = bind_channel(&r, &peer_a);
	assert_in_range(number, TURN_CHANNEL_MIN, TURN_CHANNEL_MAX);
	assert_int_not_equal(bind_channel(&r, &peer_b), number);
	assert_int_equal(turn_client_wrap(r.c, r.now, &peer_a, 5, &w), 0);
	assert_int_equal(w.head_len, 4);
	assert_int_equal(w.pad, 0);
	assert_int_equal(w.head[0] << 8 | w.head[1], number);
	assert_int_equal(w.head[3], 5);
	/* permissions at 240 s and 480 s, channels at 540 s */
	for (unsigned channels = 0; channels < 2;) {
		to_deadline(&r);
		while (next_request(&r)) {
			assert_int_equal(
				turn_auth_check(r.auth, &r.m, &client_addr, 1000, &r.credential),
				0);
			if (r.m.method == TURN_CHANNEL_BIND) {
				assert_int_equal(r.now, START + 540 * SEC);
				channels++;
			}
			answer_success(&r);
		}
	}
	expect_no_event(&r);
	/* forgotten and wanted again: the server still knows the number */
	turn_client_forget(r.c, &peer_a);
	assert_int_equal(turn_client_reach(r.c, r.now, &peer_a), TURN_CLIENT_UNKNOWN);
	assert_int_equal(bind_channel(&r, &peer_a), number);
	rig_finish(&r);
}

static void test_channel_refused(void **state)
{
	struct turn_client_wrap w;
	struct rig r;
	uint16_t first, second;

	rig_init(&r);
	allocate(&r);
	permit(&r, &peer_a);
	assert_int_equal(turn_client_bind(r.c, r.now, &peer_a), 0);
	expect_proved(&r, TURN_CHANNEL_BIND);
	assert_true(turn_get_channel(&r.m, &first));
	answer_error(&r, STUN_BAD_REQUEST, true); /* the number is taken: one more try */
	expect_no_event(&r);
	expect_proved(&r, TURN_CHANNEL_BIND);
	assert_true(turn_get_channel(&r.m, &second));
	assert_int_not_equal(first, second);
	answer_error(&r, STUN_BAD_REQUEST, true);
	expect_event(&r, TURN_CLIENT_CHANGED);
	assert_int_equal(r.e.reach, TURN_CLIENT_PERMITTED); /* by indication as before */
	assert_int_equal(r.e.failure.step, TURN_CLIENT_STEP_CHANNEL);
	assert_int_equal(turn_client_wrap(r.c, r.now, &peer_a, 5, &w), 0);
	assert_int_equal(w.head_len, 36);
	assert_int_equal(turn_client_bind(r.c, r.now, &peer_a), 0); /* not so soon */
	expect_silence(&r);
	rig_finish(&r);
}

static void test_channel_number_after_unproved_error(void **state)
{
	struct rig r;
	uint16_t first, second;

	rig_init(&r);
	allocate(&r);
	permit(&r, &peer_a);
	assert_int_equal(turn_client_bind(r.c, r.now, &peer_a), 0);
	expect_proved(&r, TURN_CHANNEL_BIND);
	assert_true(turn_get_channel(&r.m, &first));
	answer_error(&r, STUN_BAD_REQUEST, false);
	to_deadline(&r); /* checks that the deadline moves on */
	expect_proved(&r, TURN_CHANNEL_BIND);
	assert_true(turn_get_channel(&r.m, &second));
	assert_int_not_equal(first, second);
	rig_finish(&r);
}

static void test_limits(void **state)
{
	struct turn_client_wrap w;
	struct addr peer = peer_a;
	struct rig r;

	rig_init(&r);
	allocate(&r);
	assert_int_equal(turn_client_wrap(r.c, r.now, &peer_a, TURN_CLIENT_DATA_MAX + 1, &w),
			 FL_EQUOTA);
	for (unsigned i = 0; i < TURN_CLIENT_CHANNELS_MAX; i++) {
		peer.port = (uint16_t)(i + 1);
		bind_channel(&r, &peer);
	}
	peer.port = 10000;
	assert_int_equal(turn_client_bind(r.c, r.now, &peer), FL_EQUOTA);
	for (unsigned i = 1; i < TURN_CLIENT_PEERS_MAX; i++) {
		peer.ip[3] = (uint8_t)(100 + i);
		permit(&r, &peer);
	}
	peer.ip[3] = 1;
	assert_int_equal(turn_client_permit(r.c, r.now, &peer), FL_EQUOTA);
	assert_int_equal(turn_client_wrap(r.c, r.now, &peer, 1, &w), FL_EQUOTA);
	turn_client_forget(r.c, &peer_a);
	permit(&r, &peer);
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
			allocate(&r);
			assert_int_equal(turn_client_wrap(r.c, r.now, &peer_a, data.len, &w), 0);
			memcpy(message, w.head, w.head_len);
			memcpy(message + w.head_len, data.ptr, data.len);
			used = w.head_len + data.len + w.pad;
			assert_int_equal(stun_parse(span_of(message, used), &m), 0);
			assert_int_equal(m.class, STUN_INDICATION);
			assert_int_equal(m.method, TURN_SEND);
			assert_true(stun_get_xor_addr(&m, TURN_XOR_PEER_ADDRESS, &to));
			assert_true(addr_equal(&to, &peer_a));
			assert_true(stun_get(&m, TURN_DATA_ATTR, &whole));
			assert_true(span_equal(whole, data));
			while (next_request(&r))
				continue;
			bind_channel(&r, &peer_b);
			assert_int_equal(turn_client_wrap(r.c, r.now, &peer_b, data.len, &w), 0);
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
	allocate(&r);
	begin_data(&r, &peer_a);
	stun_put(&r.o, TURN_DATA_ATTR, span_str("hello"));
	assert_false(feed(&r, &data)); /* from a peer that we do not know */
	assert_int_equal(turn_client_stats(r.c)->strays, 1);
	permit(&r, &peer_a);
	begin_data(&r, &peer_a);
	stun_put(&r.o, TURN_DATA_ATTR, span_str("hello"));
	assert_true(feed(&r, &data));
	assert_true(span_is(data.payload, "hello"));
	assert_true(addr_equal(&data.peer, &peer_a));
	begin_data(&r, &peer_a);
	assert_false(feed(&r, &data));
	assert_int_equal(turn_client_stats(r.c)->malformed, 1);
	begin_data(&r, &peer_a);
	turn_put_icmp(&r.o, &icmp);
	assert_false(feed(&r, &data));
	expect_event(&r, TURN_CLIENT_ICMP);
	assert_true(addr_equal(&r.e.peer, &peer_a));
	assert_int_equal(r.e.icmp.type, 3);
	assert_int_equal(r.e.icmp.data, 1400);

	number = bind_channel(&r, &peer_b);
	message[0] = (uint8_t)(number >> 8);
	message[1] = (uint8_t)number;
	assert_true(turn_client_input(r.c, r.now, span_of(message, 6), &data));
	assert_true(span_is(data.payload, "hi"));
	assert_true(addr_equal(&data.peer, &peer_b));
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
	allocate(&r);
	permit(&r, &peer_a);
	for (unsigned i = 0; i < 2 * TURN_CLIENT_EVENTS_MAX; i++) {
		begin_data(&r, &peer_a);
		turn_put_icmp(&r.o, &icmp);
		assert_false(feed(&r, &data));
	}
	r.now += 600 * SEC;
	turn_client_timeout(r.c, r.now);
	while (turn_client_next_event(r.c, &r.e))
		n++;
	assert_int_equal(n, TURN_CLIENT_EVENTS_MAX);
	assert_int_equal(r.e.type, TURN_CLIENT_FAILED);
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
	allocate(&r);
	assert_int_equal(turn_client_permit(r.c, r.now, &peer_a), 0);
	expect(&r, TURN_CREATE_PERMISSION); /* its answer goes to where we were */
	r.now += 1 * SEC;
	assert_int_equal(turn_client_moved(r.c, r.now), 0);
	expect(&r, TURN_REFRESH);
	assert_true(stun_get(&r.m, TURN_MOBILITY_TICKET, &ticket));
	assert_true(span_is(ticket, "ticket"));
	expect_silence(&r);
	challenge(&r, STUN_STALE_NONCE); /* nonces are bound to addresses */
	expect_proved(&r, TURN_REFRESH);
	assert_true(stun_get(&r.m, TURN_MOBILITY_TICKET, &ticket));
	answer_success(&r);
	expect_event(&r, TURN_CLIENT_MOVED);
	assert_int_equal(r.e.until, r.now + 600 * SEC);
	assert_true(addr_equal(&r.e.relayed[0], &relayed_v4));
	expect_proved(&r, TURN_CREATE_PERMISSION);
	answer_success(&r);
	expect_event(&r, TURN_CLIENT_CHANGED);
	rig_finish(&r);
}

static void test_moved_without_ticket(void **state)
{
	struct rig r;

	rig_with(&r, &mobile);
	assert_int_equal(turn_client_moved(r.c, r.now), FL_ESTATE);
	assert_int_equal(turn_client_start(r.c, r.now), 0);
	expect(&r, TURN_ALLOCATE);
	assert_true(stun_get_flag(&r.m, TURN_MOBILITY_TICKET));
	challenge(&r, STUN_UNAUTHENTICATED);
	expect_proved(&r, TURN_ALLOCATE);
	answer_error(&r, TURN_MOBILITY_FORBIDDEN, true);
	expect_proved(&r, TURN_ALLOCATE);
	assert_false(stun_get_flag(&r.m, TURN_MOBILITY_TICKET));
	answer_success(&r);
	expect_event(&r, TURN_CLIENT_ALLOCATED);
	assert_int_equal(turn_client_moved(r.c, r.now), FL_EUNSUPPORTED);
	rig_finish(&r);
}

static void test_move_refused(void **state)
{
	struct rig r;

	rig_with(&r, &mobile);
	r.ticket = true;
	allocate(&r);
	assert_int_equal(turn_client_moved(r.c, r.now), 0);
	expect_proved(&r, TURN_REFRESH);
	answer_error(&r, TURN_ALLOCATION_MISMATCH, true);
	expect_failure(&r, TURN_CLIENT_STEP_MOVE, TURN_ALLOCATION_MISMATCH);
	rig_finish(&r);
}

/* ---- giving it back ---- */

static void expect_closed(struct rig *r)
{
	expect_event(r, TURN_CLIENT_CLOSED);
	expect_no_event(r);
	assert_true(turn_client_deadline(r->c) == USEC_NEVER);
	turn_client_close(r->c, r->now);
	expect_no_event(r);
}

static void answer_close(struct rig *r)
{
	uint32_t lifetime_s;

	expect_proved(r, TURN_REFRESH);
	assert_true(stun_get_u32(&r->m, TURN_LIFETIME, &lifetime_s));
	assert_int_equal(lifetime_s, 0);
	r->lifetime_s = 0;
	answer_success(r);
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
	expect(&r, TURN_ALLOCATE);
	turn_client_close(r.c, r.now);
	expect_closed(&r);
	rig_finish(&r);

	rig_init(&r); /* perhaps something: the answer will tell */
	assert_int_equal(turn_client_start(r.c, r.now), 0);
	expect(&r, TURN_ALLOCATE);
	challenge(&r, STUN_UNAUTHENTICATED);
	expect_proved(&r, TURN_ALLOCATE);
	turn_client_close(r.c, r.now);
	expect_no_event(&r);
	answer_success(&r);
	answer_close(&r);
	rig_finish(&r);

	rig_init(&r);
	allocate(&r);
	permit(&r, &peer_a);
	assert_int_equal(turn_client_permit(r.c, r.now, &peer_b), 0);
	turn_client_close(r.c, r.now);
	answer_close(&r);
	rig_finish(&r);
}

static void test_close_without_answer(void **state)
{
	struct rig r;

	rig_init(&r);
	allocate(&r);
	turn_client_close(r.c, r.now);
	while (next_request(&r))
		to_deadline(&r);
	assert_int_equal(r.now, START + 6300 * MS);
	expect_event(&r, TURN_CLIENT_CLOSED);
	assert_int_equal(r.e.failure.step, TURN_CLIENT_STEP_CLOSE);
	rig_finish(&r);

	rig_init(&r); /* the server has forgotten it already */
	allocate(&r);
	turn_client_close(r.c, r.now);
	expect_proved(&r, TURN_REFRESH);
	answer_error(&r, TURN_ALLOCATION_MISMATCH, true);
	expect_event(&r, TURN_CLIENT_CLOSED);
	assert_int_equal(r.e.failure.code, 0);
	rig_finish(&r);
}

static void test_close_while_moving(void **state)
{
	struct rig r;

	rig_with(&r, &mobile);
	r.ticket = true;
	allocate(&r);
	assert_int_equal(turn_client_moved(r.c, r.now), 0);
	expect_proved(&r, TURN_REFRESH);
	turn_client_close(r.c, r.now);
	expect_silence(&r);
	answer_success(&r);
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
		allocate(&r);
		assert_int_equal(turn_client_moved(r.c, r.now), 0);
		expect_proved(&r, TURN_REFRESH);
		if (late)
			turn_client_close(r.c, r.now);
		challenge(&r, STUN_UNAUTHENTICATED);
		if (!late) {
			expect_event(&r, TURN_CLIENT_CREDENTIALS);
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
		TEST(test_permission),
		TEST(test_permission_refused),
		TEST(test_permission_unanswered),
		TEST(test_channel),
		TEST(test_channel_refused),
		TEST(test_limits),
		TEST(test_wrap),
		TEST(test_unwrap),
		TEST(test_events_have_a_limit),
		TEST(test_moved),
		TEST(test_moved_without_ticket),
		TEST(test_move_refused),
		TEST(test_close),
		TEST(test_close_without_answer),
		TEST(test_close_while_moving),
		TEST(test_close_while_moving_is_refused),
		TEST(test_channel_number_after_unproved_error),
		TEST(test_step_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
