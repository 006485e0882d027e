#include "base/ct.h"
#include "base/err.h"
#include "proto/turn/turn_internal.h"

/* ---- answers ---- */

const char *turn_error_reason(uint16_t code)
{
	switch (code) {
	case STUN_BAD_REQUEST:
		return "Bad Request";
	case STUN_UNAUTHENTICATED:
		return "Unauthenticated";
	case TURN_FORBIDDEN:
		return "Forbidden";
	case TURN_MOBILITY_FORBIDDEN:
		return "Mobility Forbidden";
	case STUN_UNKNOWN_ATTRIBUTE:
		return "Unknown Attribute";
	case TURN_ALLOCATION_MISMATCH:
		return "Allocation Mismatch";
	case STUN_STALE_NONCE:
		return "Stale Nonce";
	case TURN_ADDRESS_FAMILY_NOT_SUPPORTED:
		return "Address Family not Supported";
	case TURN_WRONG_CREDENTIALS:
		return "Wrong Credentials";
	case TURN_UNSUPPORTED_TRANSPORT:
		return "Unsupported Transport Protocol";
	case TURN_PEER_ADDRESS_FAMILY_MISMATCH:
		return "Peer Address Family Mismatch";
	case TURN_CONNECTION_ALREADY_EXISTS:
		return "Connection Already Exists";
	case TURN_CONNECTION_FAILED:
		return "Connection Timeout or Failure";
	case TURN_ALLOCATION_QUOTA_REACHED:
		return "Allocation Quota Reached";
	case TURN_INSUFFICIENT_CAPACITY:
		return "Insufficient Capacity";
	default:
		return "Server Error";
	}
}

static enum turn_error_kind kind_of(uint16_t code)
{
	switch (code) {
	case STUN_UNAUTHENTICATED:
	case TURN_WRONG_CREDENTIALS:
		return TURN_ERROR_UNAUTHENTICATED;
	case STUN_STALE_NONCE:
		return TURN_ERROR_STALE_NONCE;
	case TURN_FORBIDDEN:
	case TURN_MOBILITY_FORBIDDEN:
		return TURN_ERROR_FORBIDDEN;
	case TURN_ALLOCATION_QUOTA_REACHED:
		return TURN_ERROR_QUOTA;
	case TURN_INSUFFICIENT_CAPACITY:
		return TURN_ERROR_CAPACITY;
	case TURN_ADDRESS_FAMILY_NOT_SUPPORTED:
	case TURN_PEER_ADDRESS_FAMILY_MISMATCH:
		return TURN_ERROR_FAMILY;
	case TURN_ALLOCATION_MISMATCH:
		return TURN_ERROR_MISMATCH;
	default:
		return TURN_ERROR_BAD;
	}
}

static int64_t unix_seconds(const struct turn_server *s, usec_t now)
{
	int64_t us = s->wall_us + (int64_t)now;

	return us > 0 ? us / (int64_t)USEC_PER_SEC : 0;
}

void turn_answer_begin(struct turn_request *r, enum stun_class class)
{
	stun_begin(&r->out, r->s->out, TURN_REPLY_MAX, class, r->method, r->tid);
}

void turn_answer_end(struct turn_request *r)
{
	struct turn_server *s = r->s;
	int len;

	if (r->sealed) {
		if (s->config.software)
			stun_put(&r->out, STUN_SOFTWARE, span_str(s->config.software));
		turn_auth_seal(&r->out, &r->credential);
	}
	if (r->fingerprint)
		stun_put_fingerprint(&r->out);
	len = stun_end(&r->out);
	if (len < 0)
		return; /* no room: libcrypto failed, or SOFTWARE is too long */
	if (!r->proved &&
	    !turn_limit_answer(s->config.limit, r->now, &r->flow->client, (size_t)len)) {
		s->stats.unanswered++;
		return;
	}
	r->v->type = TURN_VERDICT_REPLY;
	r->v->data = span_of(s->out, (size_t)len);
}

static void error_begin(struct turn_request *r, uint16_t code)
{
	r->s->stats.errors[kind_of(code)]++;
	turn_answer_begin(r, STUN_ERROR);
	stun_put_error(&r->out, code, turn_error_reason(code));
	if (code == STUN_UNAUTHENTICATED || code == STUN_STALE_NONCE)
		turn_auth_challenge(r->s->config.auth, &r->out, &r->flow->client,
				    unix_seconds(r->s, r->now));
}

void turn_answer_error(struct turn_request *r, uint16_t code)
{
	error_begin(r, code);
	turn_answer_end(r);
}

void turn_answer_empty(struct turn_request *r)
{
	turn_answer_begin(r, STUN_SUCCESS);
	turn_answer_end(r);
}

/* ---- what every request goes through ---- */

static const uint16_t known_attributes[] = {
	TURN_CHANNEL_NUMBER,	       TURN_LIFETIME,
	TURN_XOR_PEER_ADDRESS,	       TURN_DATA_ATTR,
	TURN_REQUESTED_ADDRESS_FAMILY, TURN_EVEN_PORT,
	TURN_REQUESTED_TRANSPORT,      TURN_DONT_FRAGMENT,
	TURN_RESERVATION_TOKEN,	       TURN_CONNECTION_ID,
};

static bool attributes_known(struct turn_request *r)
{
	uint16_t types[STUN_ATTRS_MAX];
	size_t n = stun_unknown(r->m, known_attributes, ARRAY_LEN(known_attributes), types,
				ARRAY_LEN(types));

	if (n == 0)
		return true;
	error_begin(r, STUN_UNKNOWN_ATTRIBUTE);
	stun_put_unknown(&r->out, types, n);
	turn_answer_end(r);
	return false;
}

bool turn_request_admit(struct turn_request *r)
{
	struct turn_server *s = r->s;
	const struct addr *client = &r->flow->client;
	int64_t unix_s = unix_seconds(s, r->now);
	int code;

	r->proved = r->flow->transport != TURN_UDP ||
		    turn_auth_reachable(s->config.auth, r->m, client, unix_s);
	if (r->proved && r->flow->transport == TURN_UDP)
		turn_limit_proved(s->config.limit, r->now, client, r->m->raw.len);
	if (!r->proved && !turn_limit_request(s->config.limit, r->now, client, r->m->raw.len)) {
		s->stats.unanswered++;
		return false;
	}
	code = turn_auth_check(s->config.auth, r->m, client, unix_s, &r->credential);
	if (code) {
		turn_answer_error(r, (uint16_t)code);
		return false;
	}
	r->sealed = true;
	return attributes_known(r);
}

bool turn_request_lifetime(const struct turn_request *r, bool *asked, uint32_t *seconds)
{
	*asked = stun_get_flag(r->m, TURN_LIFETIME);
	*seconds = 0;
	return !*asked || stun_get_u32(r->m, TURN_LIFETIME, seconds);
}

uint32_t turn_request_grant(const struct turn_request *r, uint32_t seconds, bool *by_credential)
{
	const struct turn_server_config *config = &r->s->config;
	int64_t left = r->credential.expires_s - unix_seconds(r->s, r->now);

	seconds = FL_MAX(FL_MIN(seconds, config->lifetime_max_s), config->lifetime_s);
	*by_credential = left < (int64_t)seconds;
	return *by_credential ? (uint32_t)FL_MAX(left, 1) : seconds;
}

bool turn_request_family(const struct turn_request *r, uint16_t attr, uint8_t *family)
{
	*family = 0;
	return !stun_get_flag(r->m, attr) || turn_get_family(r->m, attr, family);
}

bool turn_request_owns(struct turn_request *r, const struct turn_alloc *a)
{
	if (strcmp(a->user, r->credential.user) == 0)
		return true;
	turn_answer_error(r, TURN_WRONG_CREDENTIALS);
	return false;
}

struct turn_alloc *turn_request_alloc(struct turn_request *r)
{
	bool next;
	struct turn_alloc *a = turn_server_look_up(r->s, r->flow, &next);

	if (!a) {
		turn_answer_error(r, TURN_ALLOCATION_MISMATCH);
		return NULL;
	}
	if (!turn_request_owns(r, a))
		return NULL;
	if (next)
		turn_move_complete(r->s, a);
	return a;
}

/* ---- Refresh (RFC 8656 §8.2) ---- */

static void extend(struct turn_request *r, struct turn_alloc *a, size_t row, uint32_t seconds)
{
	if (!a->until[row])
		return;
	a->until[row] = r->now + seconds * USEC_PER_SEC;
	turn_server_due(r->s, a, a->until[row]);
}

/* Row of the family named, or both rows: [*first, *last]. False: answered. */
static bool refresh_rows(struct turn_request *r, struct turn_alloc *a, size_t *first, size_t *last)
{
	uint8_t family;

	*first = TURN_V4;
	*last = TURN_V6;
	if (!turn_request_family(r, TURN_REQUESTED_ADDRESS_FAMILY, &family)) {
		turn_answer_error(r, STUN_BAD_REQUEST);
		return false;
	}
	if (family == 0)
		return true;
	*first = *last = family == TURN_FAMILY_V6 ? TURN_V6 : TURN_V4;
	if ((family == TURN_FAMILY_V4 || family == TURN_FAMILY_V6) && a->until[*first])
		return true;
	turn_answer_error(r, TURN_PEER_ADDRESS_FAMILY_MISMATCH);
	return false;
}

static void refresh_to_zero(struct turn_request *r, struct turn_alloc *a, size_t first, size_t last)
{
	if (first == last && a->until[!first])
		turn_server_close_family(r->s, a, first);
	else
		turn_server_close(r->s, a, TURN_CLOSE_REFRESHED_0);
}

bool turn_refresh(struct turn_request *r, struct turn_alloc *a)
{
	uint32_t seconds;
	bool asked;
	size_t first, last;

	if (!turn_request_lifetime(r, &asked, &seconds)) {
		turn_answer_error(r, STUN_BAD_REQUEST);
		return false;
	}
	if (!refresh_rows(r, a, &first, &last))
		return false;
	r->s->stats.refreshed++;
	turn_answer_begin(r, STUN_SUCCESS);
	if (asked && seconds == 0) {
		refresh_to_zero(r, a, first, last);
	} else {
		seconds = turn_request_grant(r, asked ? seconds : 0, &a->by_credentials);
		for (size_t row = first; row <= last; row++)
			extend(r, a, row, seconds);
		turn_alloc_channels_update(a, r->now, NULL);
		turn_server_mark(r->s, a);
	}
	stun_put_u32(&r->out, TURN_LIFETIME, seconds);
	return true;
}

static void handle_refresh(struct turn_request *r)
{
	struct turn_alloc *a;

	if (stun_get_flag(r->m, TURN_MOBILITY_TICKET)) {
		turn_refresh_with_ticket(r, r->s->config.worker, NULL);
		return;
	}
	a = turn_request_alloc(r);
	if (a && turn_refresh(r, a))
		turn_answer_end(r);
}

/* ---- CreatePermission (§10.2) and ChannelBind (§12.2) ---- */

uint16_t turn_request_peer(const struct turn_request *r, const struct turn_alloc *a,
			   const struct addr *peer, bool with_port)
{
	if (!turn_alloc_has(a, peer))
		return TURN_PEER_ADDRESS_FAMILY_MISMATCH;
	if (turn_peers_check(r->s->config.peers, peer, with_port) != TURN_PEER_ALLOWED)
		return TURN_FORBIDDEN;
	return 0;
}

/* The n-th XOR-PEER-ADDRESS; false: there is none. family ADDR_NONE: it is malformed. */
static bool nth_peer(const struct stun_msg *m, size_t *at, struct addr *peer)
{
	for (; *at < m->n_attrs; ++*at) {
		struct stun_msg one = { .n_attrs = 1 };

		if (m->attrs[*at].type != TURN_XOR_PEER_ADDRESS)
			continue;
		memcpy(one.tid, m->tid, sizeof(one.tid));
		one.attrs[0] = m->attrs[(*at)++];
		if (!stun_get_xor_addr(&one, TURN_XOR_PEER_ADDRESS, peer))
			peer->family = ADDR_NONE;
		return true;
	}
	return false;
}

/* All are checked before the first is installed. */
static uint16_t check_permissions(struct turn_request *r, struct turn_alloc *a)
{
	size_t at = 0, n = 0, more = 0;
	struct addr peer;

	for (; nth_peer(r->m, &at, &peer); n++) {
		uint16_t code = peer.family == ADDR_NONE ? STUN_BAD_REQUEST
							 : turn_request_peer(r, a, &peer, false);

		if (code)
			return code;
		more += turn_alloc_permission(a, &peer) == NULL;
	}
	if (n == 0)
		return STUN_BAD_REQUEST;
	return more > turn_alloc_permission_room(a, r->now) ? TURN_INSUFFICIENT_CAPACITY : 0;
}

static void handle_create_permission(struct turn_request *r)
{
	struct turn_alloc *a = turn_request_alloc(r);
	struct addr peer;
	size_t at = 0;
	uint16_t code;

	if (!a)
		return;
	code = check_permissions(r, a);
	while (!code && nth_peer(r->m, &at, &peer)) {
		if (turn_alloc_permit(a, r->now, &peer) < 0)
			code = TURN_INSUFFICIENT_CAPACITY;
	}
	turn_server_due(r->s, a, r->now + TURN_PERMISSION_S * USEC_PER_SEC);
	turn_server_mark(r->s, a);
	if (code)
		turn_answer_error(r, code);
	else
		turn_answer_empty(r);
}

static uint16_t check_bind(struct turn_request *r, struct turn_alloc *a, uint16_t *number,
			   struct addr *peer)
{
	uint16_t code;

	if (!turn_get_channel(r->m, number) ||
	    !stun_get_xor_addr(r->m, TURN_XOR_PEER_ADDRESS, peer))
		return STUN_BAD_REQUEST;
	if (*number < TURN_CHANNEL_MIN || *number > TURN_CHANNEL_MAX)
		return STUN_BAD_REQUEST;
	if (a->protocol != TURN_PROTOCOL_UDP)
		return TURN_FORBIDDEN; /* channels are for datagrams */
	code = turn_request_peer(r, a, peer, true);
	if (code)
		return code;
	return turn_alloc_may_bind(a, r->now, *number, peer) ? 0 : STUN_BAD_REQUEST;
}

static void handle_channel_bind(struct turn_request *r)
{
	struct turn_alloc *a = turn_request_alloc(r);
	uint16_t number, code;
	struct addr peer;

	if (!a)
		return;
	code = check_bind(r, a, &number, &peer);
	if (!code && turn_alloc_bind(a, r->now, number, &peer) < 0)
		code = TURN_INSUFFICIENT_CAPACITY;
	turn_server_due(r->s, a, r->now + TURN_PERMISSION_S * USEC_PER_SEC);
	turn_server_mark(r->s, a);
	if (code)
		turn_answer_error(r, code);
	else
		turn_answer_empty(r);
}

/* ---- dispatch ---- */

/* What is answered without asking who it is; over UDP within what strangers may cost. */
static bool may_ask(struct turn_server *s, usec_t now, const struct turn_flow *flow, size_t len)
{
	if (flow->transport != TURN_UDP ||
	    turn_limit_request(s->config.limit, now, &flow->client, len))
		return true;
	s->stats.unanswered++;
	return false;
}

static void answer_binding(struct turn_server *s, usec_t now, const struct turn_flow *flow,
			   const struct stun_answer *answer, struct turn_verdict *v)
{
	if (answer->len == 0)
		return;
	if (flow->transport == TURN_UDP &&
	    !turn_limit_answer(s->config.limit, now, &flow->client, answer->len)) {
		s->stats.unanswered++;
		return;
	}
	s->stats.bindings++;
	v->type = TURN_VERDICT_REPLY;
	v->data = span_of(s->out, answer->len);
	v->origin = answer->origin;
	v->reply_port = answer->port;
}

static void handle_binding(struct turn_request *r)
{
	struct turn_server *s = r->s;
	struct stun_answer answer;

	if (!may_ask(s, r->now, r->flow, r->m->raw.len))
		return;
	stun_server_binding(r->m, &r->flow->client, &r->flow->server, s->config.behaviour,
			    r->flow->transport != TURN_UDP, s->out, &answer);
	answer_binding(s, r->now, r->flow, &answer, r->v);
}

void turn_request_classic(struct turn_server *s, usec_t now, const struct turn_flow *flow,
			  struct span message, struct turn_verdict *v)
{
	struct stun_answer answer;

	if (flow->transport == TURN_UDP && may_ask(s, now, flow, message.len) &&
	    stun_server_classic(message, &flow->client, &flow->server, s->config.behaviour, s->out,
				&answer))
		answer_binding(s, now, flow, &answer, v);
	else
		s->stats.malformed++;
}

static void dispatch(struct turn_request *r)
{
	switch (r->method) {
	case TURN_ALLOCATE:
		turn_allocate(r);
		break;
	case TURN_REFRESH:
		handle_refresh(r);
		break;
	case TURN_CREATE_PERMISSION:
		handle_create_permission(r);
		break;
	case TURN_CHANNEL_BIND:
		handle_channel_bind(r);
		break;
	case TURN_CONNECT:
		turn_connect(r);
		break;
	case TURN_CONNECTION_BIND:
		turn_connection_bind(r, false);
		break;
	default:
		break;
	}
}

static bool is_turn_request(uint16_t method)
{
	return method == TURN_ALLOCATE || method == TURN_REFRESH ||
	       method == TURN_CREATE_PERMISSION || method == TURN_CHANNEL_BIND ||
	       method == TURN_CONNECT || method == TURN_CONNECTION_BIND;
}

void turn_request_begin(struct turn_request *r, struct turn_server *s, usec_t now,
			const struct turn_flow *flow, const struct stun_msg *m,
			struct turn_verdict *v)
{
	*r = (struct turn_request){ .s = s, .now = now, .flow = flow, .m = m, .v = v };
	r->method = m->method;
	r->tid = m->tid;
	r->fingerprint = stun_get_flag(m, STUN_FINGERPRINT);
	s->stats.requests[m->method < ARRAY_LEN(s->stats.requests) ? m->method : 0]++;
}

void turn_request_handle(struct turn_server *s, usec_t now, const struct turn_flow *flow,
			 const struct stun_msg *m, struct turn_verdict *v)
{
	struct turn_request r;

	turn_request_begin(&r, s, now, flow, m, v);
	if (m->method == STUN_BINDING)
		handle_binding(&r);
	else if (!s->config.auth || !is_turn_request(m->method))
		s->stats.malformed++; /* RFC 8489 §6.3: a method that we do not know */
	else if (turn_request_admit(&r))
		dispatch(&r);
	ct_wipe(&r.credential, sizeof(r.credential));
}
