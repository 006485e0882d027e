#include "turn_kit.h"

#define START (1000 * SEC)

const struct turn_server_config kit_usual = {
	.worker = 3,
	.relay_v4 = true,
	.relay_v6 = true,
	.tcp_relay = true,
	.mobility = true,
	.allocations_max = 100,
	.software = "test",
	.ticket_key = "ticket key 1234",
};

struct addr kit_addr(const char *text)
{
	struct addr a;

	assert_int_equal(addr_parse(text, &a), 0);
	return a;
}

void kit_start_with(struct kit *k, const struct turn_server_config *config)
{
	static const struct turn_auth_user users[] = { { "anna", "a" }, { "bert", "b" } };
	struct turn_auth_config auth = {
		.realm = KIT_REALM,
		.users = users,
		.n_users = ARRAY_LEN(users),
		.secrets = { KIT_SECRET },
		.nonce_key = "0123456789abcde",
	};

	memset(k, 0, sizeof(*k));
	k->now = START;
	k->next_port = 50000;
	kit_user(k, "anna", "a");
	rng_seed(&k->rng, 1);
	assert_int_equal(turn_auth_create(&auth, &k->auth), 0);
	k->limit = turn_limit_create(&(struct turn_limit_config){ 0 }, &k->rng);
	assert_non_null(k->limit);
	k->config = *config;
	k->config.auth = k->auth;
	k->config.peers = &k->peers;
	k->config.limit = k->limit;
	k->s = turn_server_create(&k->config, &k->rng);
	assert_non_null(k->s);
	turn_server_set_wall(k->s, (int64_t)KIT_UNIX_START * 1000000 - (int64_t)START);
	kit_from(k, TURN_UDP, 4000);
}

void kit_start(struct kit *k)
{
	kit_start_with(k, &kit_usual);
}

void kit_stop(struct kit *k)
{
	turn_server_destroy(k->s);
	turn_auth_destroy(k->auth);
	turn_limit_destroy(k->limit);
}

void kit_from(struct kit *k, enum turn_transport t, uint16_t port)
{
	k->flow = (struct turn_flow){ .transport = t,
				      .client = kit_addr("8.1.1.1:1"),
				      .server = kit_addr("9.9.9.9:3478") };
	k->flow.client.port = port;
}

void kit_user(struct kit *k, const char *user, const char *password)
{
	snprintf(k->user, sizeof(k->user), "%s", user);
	snprintf(k->password, sizeof(k->password), "%s", password);
}

void kit_timed_user(struct kit *k, int64_t expires_s, const char *name)
{
	snprintf(k->user, sizeof(k->user), "%lld:%s", (long long)expires_s, name);
	turn_auth_password(KIT_SECRET, k->user, k->password);
}

/* ---- the client ---- */

static void begin_class(struct kit *k, enum stun_class class, uint16_t method)
{
	rng_bytes(&k->rng, k->tid, sizeof(k->tid));
	stun_begin(&k->o, k->request, sizeof(k->request), class, method, k->tid);
}

void kit_begin(struct kit *k, uint16_t method)
{
	begin_class(k, STUN_REQUEST, method);
}

void kit_begin_indication(struct kit *k, uint16_t method)
{
	begin_class(k, STUN_INDICATION, method);
}

void kit_put_peer(struct kit *k, const char *peer)
{
	struct addr a = kit_addr(peer);

	stun_put_xor_addr(&k->o, TURN_XOR_PEER_ADDRESS, &a);
}

/* What the driver does; the answer, if any, lies in k->answer. */
static void take_verdict(struct kit *k)
{
	if (k->v.type == TURN_VERDICT_OPEN) {
		k->open = k->v.open;
		snprintf(k->open_user, sizeof(k->open_user), "%s", k->v.open.user);
		turn_server_opened(k->s, k->now, &k->opened, &k->v);
	}
	k->answer.n_attrs = 0;
	if (k->v.type != TURN_VERDICT_REPLY && k->v.type != TURN_VERDICT_JOIN)
		return;
	assert_true(k->v.data.len <= sizeof(k->answer_bytes));
	memcpy(k->answer_bytes, k->v.data.ptr, k->v.data.len);
	k->v.data.ptr = k->answer_bytes;
	if (stun_is_message(k->v.data)) /* else it is RFC 3489's */
		assert_int_equal(stun_parse(k->v.data, &k->answer), 0);
}

void kit_send_bytes(struct kit *k, struct span bytes)
{
	turn_server_client(k->s, k->now, &k->flow, bytes, &k->v);
	take_verdict(k);
}

void kit_send_again(struct kit *k)
{
	kit_send_bytes(k, span_of(k->request, k->request_len));
}

static struct span finish(struct kit *k)
{
	int len = stun_end(&k->o);

	assert_true(len > 0);
	k->request_len = (size_t)len;
	return span_of(k->request, k->request_len);
}

void kit_send_bare(struct kit *k)
{
	kit_send_bytes(k, finish(k));
}

struct span kit_seal(struct kit *k)
{
	uint8_t key[32];
	size_t len = turn_auth_key(k->user, KIT_REALM, k->password, false, key);

	stun_put(&k->o, STUN_USERNAME, span_str(k->user));
	stun_put(&k->o, STUN_REALM, span_str(KIT_REALM));
	stun_put(&k->o, STUN_NONCE, span_str(k->nonce));
	stun_put_integrity(&k->o, span_of(key, len));
	return finish(k);
}

void kit_send(struct kit *k)
{
	kit_send_bytes(k, kit_seal(k));
}

int kit_outcome(const struct kit *k)
{
	struct span reason;
	uint16_t code;

	if (k->v.type != TURN_VERDICT_REPLY && k->v.type != TURN_VERDICT_JOIN)
		return KIT_NONE;
	assert_memory_equal(k->answer.tid, k->tid, sizeof(k->tid));
	if (k->answer.class == STUN_SUCCESS)
		return 0;
	assert_int_equal(k->answer.class, STUN_ERROR);
	assert_true(stun_get_error(&k->answer, &code, &reason));
	return code;
}

void kit_expect_sealed(const struct kit *k)
{
	uint8_t key[32];
	size_t len = turn_auth_key(k->user, KIT_REALM, k->password, false, key);

	assert_int_equal(stun_check_integrity(&k->answer, span_of(key, len)), 0);
}

void kit_challenge(struct kit *k)
{
	struct span nonce;

	kit_begin(k, TURN_ALLOCATE);
	kit_send_bare(k);
	assert_int_equal(kit_outcome(k), 401);
	assert_true(stun_get(&k->answer, STUN_NONCE, &nonce));
	assert_true(nonce.len < sizeof(k->nonce));
	memcpy(k->nonce, nonce.ptr, nonce.len);
	k->nonce[nonce.len] = 0;
}

void kit_begin_allocate(struct kit *k, uint8_t protocol)
{
	k->opened = (struct turn_opened){ .data = k };
	k->opened.relayed[0] = kit_addr("9.9.9.9:1");
	k->opened.relayed[0].port = k->next_port++;
	kit_begin(k, TURN_ALLOCATE);
	turn_put_transport(&k->o, protocol);
}

struct turn_alloc *kit_allocate(struct kit *k)
{
	kit_challenge(k);
	kit_begin_allocate(k, TURN_PROTOCOL_UDP);
	kit_send(k);
	assert_int_equal(kit_outcome(k), 0);
	assert_non_null(k->v.alloc);
	return k->v.alloc;
}

int kit_permit(struct kit *k, const char *peer)
{
	kit_begin(k, TURN_CREATE_PERMISSION);
	kit_put_peer(k, peer);
	kit_send(k);
	return kit_outcome(k);
}

int kit_bind(struct kit *k, uint16_t number, const char *peer)
{
	kit_begin(k, TURN_CHANNEL_BIND);
	turn_put_channel(&k->o, number);
	kit_put_peer(k, peer);
	kit_send(k);
	return kit_outcome(k);
}

int kit_refresh(struct kit *k, int64_t seconds)
{
	kit_begin(k, TURN_REFRESH);
	if (seconds >= 0)
		stun_put_u32(&k->o, TURN_LIFETIME, (uint32_t)seconds);
	kit_send(k);
	return kit_outcome(k);
}

uint32_t kit_lifetime(const struct kit *k)
{
	uint32_t seconds;

	assert_true(stun_get_u32(&k->answer, TURN_LIFETIME, &seconds));
	return seconds;
}

/* ---- the driver ---- */

void kit_take_events(struct kit *k)
{
	struct turn_event *e = k->events;

	for (; e < k->events + KIT_EVENTS_MAX && turn_server_next_event(k->s, e); e++) {
		if (e->type == TURN_EVENT_CLOSED)
			k->closed_data = turn_alloc_data(e->alloc);
		if (e->type != TURN_EVENT_SEND)
			continue;
		assert_true(e->data.len <= sizeof(k->event_bytes));
		memcpy(k->event_bytes, e->data.ptr, e->data.len);
		assert_int_equal(stun_parse(span_of(k->event_bytes, e->data.len), &k->sent), 0);
	}
	k->n_events = (size_t)(e - k->events);
	assert_true(k->n_events < KIT_EVENTS_MAX);
}

const struct turn_event *kit_event(const struct kit *k, enum turn_event_type type)
{
	for (size_t i = 0; i < k->n_events; i++)
		if (k->events[i].type == type)
			return &k->events[i];
	return NULL;
}

void kit_pass(struct kit *k, usec_t us)
{
	usec_t end = k->now + us;

	while (turn_server_deadline(k->s) <= end) {
		k->now = FL_MAX(k->now, turn_server_deadline(k->s));
		turn_server_timeout(k->s, k->now);
		assert_true(turn_server_deadline(k->s) > k->now);
	}
	k->now = end;
}

bool kit_channel_works(struct kit *k, uint16_t number)
{
	uint8_t message[TURN_CHANNEL_HEADER_LEN + 4] = { 0 };

	turn_channel_header(number, 4, message);
	kit_send_bytes(k, span_of(message, sizeof(message)));
	assert_true(k->v.type == TURN_VERDICT_TO_PEER || k->v.type == TURN_VERDICT_DROP);
	return k->v.type == TURN_VERDICT_TO_PEER;
}

bool kit_peer_gets_in(struct kit *k, struct turn_alloc *a, const char *peer)
{
	struct addr from = kit_addr(peer);

	turn_server_peer(k->s, k->now, a, &from, span_str("data"), &k->v);
	assert_true(k->v.type == TURN_VERDICT_TO_CLIENT || k->v.type == TURN_VERDICT_DROP);
	return k->v.type == TURN_VERDICT_TO_CLIENT;
}
