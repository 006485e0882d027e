#include "turn_client_rig.h"

#include "base/err.h"

const struct addr rig_client_addr = { .family = ADDR_V4, .ip = { 192, 0, 2, 7 }, .port = 40000 };
const struct addr rig_relayed_v4 = { .family = ADDR_V4, .ip = { 198, 51, 100, 1 }, .port = 50000 };
const struct addr rig_relayed_v6 = { .family = ADDR_V6,
				     .ip = { 0x20, 1, 0x0d, 0xb8, [15] = 1 },
				     .port = 50000 };
const struct addr rig_peer_a = { .family = ADDR_V4, .ip = { 203, 0, 113, 5 }, .port = 6000 };
const struct addr rig_peer_b = { .family = ADDR_V4, .ip = { 203, 0, 113, 6 }, .port = 6000 };
const struct addr rig_peer_v6 = { .family = ADDR_V6,
				  .ip = { 0x20, 1, 0x0d, 0xb8, [15] = 9 },
				  .port = 6000 };

struct turn_auth *rig_make_auth(const char *password)
{
	struct turn_auth_user user = { "anna", password };
	struct turn_auth_config config = { .realm = "example.org", .users = &user, .n_users = 1 };
	struct turn_auth *a;

	assert_int_equal(turn_auth_create(&config, &a), 0);
	return a;
}

void rig_with(struct rig *r, const struct turn_client_config *config)
{
	*r = (struct rig){ .now = RIG_START, .lifetime_s = 600 };
	rng_seed(&r->rng, 7);
	r->auth = rig_make_auth("secret");
	r->c = turn_client_create(config, &r->rng);
	assert_non_null(r->c);
}

void rig_init(struct rig *r)
{
	rig_with(r, &(struct turn_client_config){
			    .v4 = true, .username = "anna", .password = "secret" });
}

void rig_finish(struct rig *r)
{
	turn_client_destroy(r->c);
	turn_auth_destroy(r->auth);
}

/* ---- requests ---- */

/* The next output as a request; false: there is none. */
bool rig_next_request(struct rig *r)
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

void rig_expect(struct rig *r, uint16_t method)
{
	assert_true(rig_next_request(r));
	assert_int_equal(r->m.method, method);
}

/* … with credentials that hold. */
void rig_expect_proved(struct rig *r, uint16_t method)
{
	rig_expect(r, method);
	assert_int_equal(turn_auth_check(r->auth, &r->m, &rig_client_addr, 1000, &r->credential),
			 0);
}

void rig_expect_silence(struct rig *r)
{
	assert_false(rig_next_request(r));
}

void rig_expect_event(struct rig *r, enum turn_client_event_type type)
{
	assert_true(turn_client_next_event(r->c, &r->e));
	assert_int_equal(r->e.type, type);
}

void rig_expect_no_event(struct rig *r)
{
	assert_false(turn_client_next_event(r->c, &r->e));
}

void rig_expect_failure(struct rig *r, enum turn_client_step step, unsigned code)
{
	rig_expect_event(r, TURN_CLIENT_FAILED);
	assert_int_equal(r->e.failure.step, step);
	assert_int_equal(r->e.failure.code, code);
	rig_expect_silence(r);
	assert_true(turn_client_deadline(r->c) == USEC_NEVER);
}

/* To the next deadline; requests that become due wait for rig_next_request(). */
void rig_to_deadline(struct rig *r)
{
	usec_t next = turn_client_deadline(r->c);

	assert_true(next != USEC_NEVER);
	r->now = FL_MAX(next, r->now);
	turn_client_timeout(r->c, r->now);
	assert_true(turn_client_deadline(r->c) > r->now);
}

/* ---- answers ---- */

void rig_begin(struct rig *r, enum stun_class class)
{
	stun_begin(&r->o, r->answer, sizeof(r->answer), class, r->m.method, r->m.tid);
}

bool rig_feed(struct rig *r, struct turn_client_data *data)
{
	struct turn_client_data unused;
	int len = stun_end(&r->o);

	assert_true(len > 0);
	return turn_client_input(r->c, r->now, span_of(r->answer, (size_t)len),
				 data ? data : &unused);
}

void rig_challenge(struct rig *r, uint16_t code)
{
	rig_begin(r, STUN_ERROR);
	stun_put_error(&r->o, code, "say who you are");
	turn_auth_challenge(r->auth, &r->o, &rig_client_addr, 1000);
	assert_false(rig_feed(r, NULL));
}

void rig_answer_error(struct rig *r, uint16_t code, bool proved)
{
	rig_begin(r, STUN_ERROR);
	stun_put_error(&r->o, code, "no\x1b[31m");
	if (proved)
		turn_auth_seal(&r->o, &r->credential);
	assert_false(rig_feed(r, NULL));
}

void rig_put_success(struct rig *r)
{
	rig_begin(r, STUN_SUCCESS);
	if (r->m.method == TURN_ALLOCATE) {
		stun_put_xor_addr(&r->o, TURN_XOR_RELAYED_ADDRESS, &rig_relayed_v4);
		if (r->two_families)
			stun_put_xor_addr(&r->o, TURN_XOR_RELAYED_ADDRESS, &rig_relayed_v6);
		stun_put_xor_addr(&r->o, STUN_XOR_MAPPED_ADDRESS, &rig_client_addr);
	}
	if (r->m.method == TURN_ALLOCATE || r->m.method == TURN_REFRESH)
		stun_put_u32(&r->o, TURN_LIFETIME, r->lifetime_s);
	if (r->ticket)
		stun_put(&r->o, TURN_MOBILITY_TICKET, span_str("ticket"));
}

void rig_answer_success(struct rig *r)
{
	rig_put_success(r);
	turn_auth_seal(&r->o, &r->credential);
	assert_false(rig_feed(r, NULL));
}

void rig_allocate(struct rig *r)
{
	assert_int_equal(turn_client_start(r->c, r->now), 0);
	rig_expect(r, TURN_ALLOCATE);
	rig_challenge(r, STUN_UNAUTHENTICATED);
	rig_expect_proved(r, TURN_ALLOCATE);
	rig_answer_success(r);
	rig_expect_event(r, TURN_CLIENT_ALLOCATED);
	rig_expect_silence(r);
}

void rig_permit(struct rig *r, const struct addr *peer)
{
	assert_int_equal(turn_client_permit(r->c, r->now, peer), 0);
	rig_expect_proved(r, TURN_CREATE_PERMISSION);
	rig_answer_success(r);
	rig_expect_event(r, TURN_CLIENT_CHANGED);
	assert_int_equal(r->e.reach, TURN_CLIENT_PERMITTED);
}

uint16_t rig_bind_channel(struct rig *r, const struct addr *peer)
{
	uint16_t number = 0;

	assert_int_equal(turn_client_bind(r->c, r->now, peer), 0);
	while (rig_next_request(r)) {
		assert_int_equal(
			turn_auth_check(r->auth, &r->m, &rig_client_addr, 1000, &r->credential), 0);
		if (r->m.method == TURN_CHANNEL_BIND)
			assert_true(turn_get_channel(&r->m, &number));
		rig_answer_success(r);
	}
	while (turn_client_next_event(r->c, &r->e))
		assert_int_equal(r->e.type, TURN_CLIENT_CHANGED);
	assert_int_equal(turn_client_reach(r->c, r->now, peer), TURN_CLIENT_BOUND);
	return number;
}
