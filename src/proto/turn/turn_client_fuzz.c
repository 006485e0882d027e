/*
 * The whole TURN client, driven by a script of steps: u8 what, u8 delay, u8 length, that many
 * bytes. The delay is in 1/16 of a second, from 0xC0 on in half minutes. So that the script gets
 * past credentials, it can have the client's latest requests answered with the right proof; what
 * the answers hold is the script's.
 */
#include <errno.h>

#include "base/err.h"
#include "base/wire.h"
#include "proto/turn/turn_auth.h"
#include "proto/turn/turn_client.h"

#define ASKED_MAX 8
#define STEPS_MAX 100
#define UNIX_S 1900000000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct asked {
	uint8_t bytes[TURN_CLIENT_MESSAGE_MAX];
	size_t len;
};

struct run {
	struct turn_client *c;
	struct rng rng;
	usec_t now;
	bool stream, over;
	struct asked asked[ASKED_MAX]; /* the latest */
	unsigned n_asked;
};

static const struct addr client_addr = { .family = ADDR_V4, .ip = { 8, 1, 1, 1 }, .port = 4000 };

static void check(bool ok)
{
	if (!ok)
		__builtin_trap();
}

/* Made once; immutable. With a secret there is no hiding of names, so both kinds are played. */
static const struct turn_auth *auth_of(bool hidden)
{
	static struct turn_auth *auths[2];
	struct turn_auth_user user = { "anna", "a" };
	struct turn_auth_config config = { .realm = "relay.test", .users = &user, .n_users = 1 };

	if (!auths[hidden]) {
		config.secrets[0] = hidden ? NULL : "secret";
		check(turn_auth_create(&config, &auths[hidden]) == 0);
	}
	return auths[hidden];
}

static void drain(struct run *r)
{
	struct turn_client_event e;
	struct span message;

	while (turn_client_next_output(r->c, &message)) {
		struct asked *a = &r->asked[r->n_asked++ % ASKED_MAX];

		check(message.len <= sizeof(a->bytes));
		memcpy(a->bytes, message.ptr, message.len);
		a->len = message.len;
	}
	while (turn_client_next_event(r->c, &e)) {
		check(!r->over);
		check(strlen(e.failure.reason) <= TURN_CLIENT_REASON_MAX);
		r->over = e.type == TURN_CLIENT_FAILED || e.type == TURN_CLIENT_CLOSED;
		if (e.type == TURN_CLIENT_ALLOCATED)
			check(e.relayed[0].family == ADDR_V4 || e.relayed[1].family == ADDR_V6);
	}
	check(!r->over || turn_client_deadline(r->c) == USEC_NEVER);
}

static void pass_time(struct run *r, usec_t until)
{
	while (turn_client_deadline(r->c) <= until) {
		r->now = FL_MAX(r->now, turn_client_deadline(r->c));
		turn_client_timeout(r->c, r->now);
		drain(r);
		check(turn_client_deadline(r->c) > r->now);
	}
	r->now = until;
}

static void input(struct run *r, const uint8_t *bytes, int len)
{
	struct turn_client_data data;
	struct span message = { bytes, len > 0 ? (size_t)len : 0 };

	if (len < 0 || !turn_client_input(r->c, r->now, message, &data))
		return;
	check(!r->over && data.peer.family != ADDR_NONE);
	check(data.payload.len <= message.len);
	if (data.payload.len)
		check(data.payload.ptr >= message.ptr &&
		      data.payload.ptr + data.payload.len <= message.ptr + message.len);
}

static struct addr address(uint8_t b)
{
	struct addr a = { .family = b & 0x40 ? ADDR_V6 : ADDR_V4, .ip = { 9, 0, 0, b & 0x1f } };

	a.port = b & 0x20 ? 6000 : 6001;
	return a;
}

/* Type and length of each attribute come from the script; or an address of its kind. */
static void put_attributes(struct stun_out *o, struct reader *s)
{
	while (reader_left(s) > 2) {
		uint16_t type = reader_u16(s);
		size_t len = reader_u8(s);
		struct addr a = address((uint8_t)len);

		if (len >= 0x80)
			stun_put_xor_addr(o, type, &a);
		else
			stun_put(o, type, reader_bytes(s, FL_MIN(len, reader_left(s))));
	}
}

/* What a server in good order answers. */
static void put_usual(struct stun_out *o, uint16_t method, uint8_t flags)
{
	struct addr relayed[2] = { address(1), address(0x41) };

	if (method == TURN_ALLOCATE) {
		stun_put_xor_addr(o, TURN_XOR_RELAYED_ADDRESS, &relayed[0]);
		stun_put_xor_addr(o, TURN_XOR_RELAYED_ADDRESS, &relayed[1]);
		stun_put_xor_addr(o, STUN_XOR_MAPPED_ADDRESS, &client_addr);
	}
	if (method == TURN_ALLOCATE || method == TURN_REFRESH)
		stun_put_u32(o, TURN_LIFETIME, flags & 1 ? 600 : 30u * (flags >> 2));
	if (flags & 2)
		stun_put(o, TURN_MOBILITY_TICKET, span_str("ticket"));
}

static void answer(struct run *r, uint8_t what, struct reader *s)
{
	static const uint16_t codes[] = { 300, 400, 403, 405, 437, 440, 441, 443, 486, 500, 508 };
	uint8_t which = reader_u8(s), flags = reader_u8(s), buf[1024];
	const struct asked *a = &r->asked[(r->n_asked - 1u - which % ASKED_MAX) % ASKED_MAX];
	struct turn_credential credential;
	struct stun_msg m;
	struct stun_out o;

	if (which % ASKED_MAX >= r->n_asked)
		return;
	check(stun_parse(span_of(a->bytes, a->len), &m) == 0 && m.class == STUN_REQUEST);
	stun_begin(&o, buf, sizeof(buf), what >= 2 ? STUN_ERROR : STUN_SUCCESS, m.method, m.tid);
	if (what == 0)
		put_usual(&o, m.method, flags);
	else if (what == 2)
		stun_put_error(&o, codes[flags % ARRAY_LEN(codes)], "no");
	else if (what == 3)
		stun_put_error(&o, flags & 2 ? STUN_STALE_NONCE : STUN_UNAUTHENTICATED, "who");
	if (what == 3)
		turn_auth_challenge(auth_of(flags & 1), &o, &client_addr, UNIX_S);
	put_attributes(&o, s);
	if (what != 3 && !(which & 0x80) && stun_find(&m, STUN_NONCE) &&
	    turn_auth_check(auth_of(stun_find(&m, STUN_USERHASH)), &m, &client_addr, UNIX_S,
			    &credential) == 0)
		turn_auth_seal(&o, &credential);
	input(r, buf, stun_end(&o));
}

static void from_peer(struct run *r, struct reader *s)
{
	static const uint8_t tid[STUN_TID_LEN];
	uint8_t b = reader_u8(s), buf[600];
	struct addr peer = address(b);
	struct stun_out o;

	if (b & 0x80) {
		struct span rest = reader_rest(s);
		struct writer w = writer_of(buf, sizeof(buf));

		writer_u16(&w, (uint16_t)(TURN_CHANNEL_MIN + (b & 0x1f)));
		writer_u16(&w, (uint16_t)(rest.len - (rest.len && b & 0x20)));
		writer_span_put(&w, rest);
		input(r, buf, writer_failed(&w) ? -1 : (int)writer_len(&w));
		return;
	}
	stun_begin(&o, buf, sizeof(buf), STUN_INDICATION, TURN_DATA, tid);
	stun_put_xor_addr(&o, TURN_XOR_PEER_ADDRESS, &peer);
	put_attributes(&o, s);
	input(r, buf, stun_end(&o));
}

static void wrap(struct run *r, const struct addr *peer, uint16_t len)
{
	struct turn_client_wrap w;
	uint16_t number;
	struct span payload;
	int err = turn_client_wrap(r->c, r->now, peer, len, &w);

	if (err < 0) {
		check(err == FL_ESTATE || err == FL_EUNSUPPORTED || err == FL_EQUOTA ||
		      err == -EACCES);
		return;
	}
	check(!r->over && w.head_len <= sizeof(w.head) && w.pad < 4);
	if (turn_is_channel_data(span_of(w.head, w.head_len)))
		check(w.head_len == 4 &&
		      (len > 0 || turn_channel_parse(span_of(w.head, 4), &number, &payload) == 0));
	else
		check(w.head_len == 36 || w.head_len == 48);
	if (r->stream)
		check((w.head_len + len + w.pad) % 4 == 0);
}

static void ask(struct run *r, struct reader *s)
{
	uint8_t what = reader_u8(s), b = reader_u8(s);
	struct addr peer = address(b);

	switch (what % 8) {
	case 0:
		(void)!turn_client_permit(r->c, r->now, &peer);
		break;
	case 1:
		(void)!turn_client_bind(r->c, r->now, &peer);
		break;
	case 2:
		turn_client_forget(r->c, &peer);
		check(turn_client_reach(r->c, r->now, &peer) == TURN_CLIENT_UNKNOWN);
		break;
	case 3:
	case 4:
		wrap(r, &peer, reader_u16(s));
		break;
	case 5:
		(void)!turn_client_moved(r->c, r->now);
		break;
	case 6:
		(void)!turn_client_set_credentials(r->c, r->now, "anna", b & 1 ? "a" : "wrong");
		break;
	case 7:
		if (b & 1)
			turn_client_close(r->c, r->now);
		else
			(void)!turn_client_start(r->c, r->now);
		break;
	}
}

static void step(struct run *r, struct reader *s)
{
	uint8_t what = reader_u8(s), delay = reader_u8(s), len = reader_u8(s);
	struct reader bytes = reader_sub(s, FL_MIN(len, reader_left(s)));

	pass_time(r, r->now + (delay >= 0xC0 ? (delay - 0xBFu) * 30 * USEC_PER_SEC
					     : delay * USEC_PER_SEC / 16));
	switch (what % 8) {
	case 0:
	case 1:
	case 2:
	case 3:
		answer(r, what % 8, &bytes);
		break;
	case 4:
		from_peer(r, &bytes);
		break;
	case 5:
		input(r, bytes.ptr, (int)reader_left(&bytes));
		break;
	case 6:
	case 7:
		ask(r, &bytes);
		break;
	}
	drain(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reader s = reader_of(span_of(data, size));
	struct run r = { .now = 1000 * USEC_PER_SEC };
	uint8_t flags = reader_u8(&s);
	struct turn_client_config config = { .stream = flags & 1,
					     .v4 = flags & 2 || !(flags & 4),
					     .v6 = flags & 4,
					     .mobility = flags & 8,
					     .lifetime_s = flags & 16 ? 120 : 0,
					     .username = "anna",
					     .password = flags & 32 ? "wrong" : "a" };

	rng_seed(&r.rng, 1);
	r.stream = config.stream;
	r.c = turn_client_create(&config, &r.rng);
	check(r.c && turn_client_start(r.c, r.now) == 0);
	drain(&r);
	for (unsigned i = 0; i < STEPS_MAX && reader_left(&s) > 0; i++)
		step(&r, &s);
	turn_client_close(r.c, r.now);
	drain(&r);
	/* whatever was under way ends by itself */
	pass_time(&r, r.now + 60 * USEC_PER_SEC);
	check(r.over);
	turn_client_destroy(r.c);
	return 0;
}
