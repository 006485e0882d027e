/*
 * A request put together from a script: each step adds a right or a wrong piece. Nobody gets in who
 * did not bring a nonce of ours and seal with the right key as the last thing that counts.
 */
#include "base/err.h"
#include "base/wire.h"
#include "proto/stun/stun_hash.h"
#include "proto/turn/turn_auth.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REALM "relay.test"
#define NOW 1900000000

static const struct turn_auth_user users[] = { { "anna", "one" }, { "1900000001:bert", "two" } };
static const uint8_t tid[STUN_TID_LEN];

enum step {
	STEP_NAME,
	STEP_HASH,
	STEP_REALM,
	STEP_NONCE,
	STEP_LIST,
	STEP_ALGORITHM,
	STEP_SEAL_SHA1,
	STEP_SEAL_SHA256,
	STEP_ANY, /* a type and bytes of the script */
	STEPS,
};

struct script {
	const struct turn_auth *auth;
	struct reader r;
	struct stun_out o;
	struct addr client;
	bool nonce, sealed; /* were right ones put in? */
};

static const char *const names[] = { "anna", "1900000001:bert", "1900000001:carl", "1899999999:old",
				     "dora", "1900000001" };

static void put_nonce(struct script *s)
{
	uint8_t buf[512], how = reader_u8(&s->r);
	struct addr client = s->client;
	int64_t time = NOW;
	struct stun_out o;
	struct stun_msg m;
	struct span nonce;
	int len;

	client.port = how;
	client.ip[3] ^= how >> 6 == 1;
	time -= how >> 6 == 2 ? 3601 : 0;
	stun_begin(&o, buf, sizeof(buf), STUN_ERROR, 3, tid);
	turn_auth_challenge(s->auth, &o, &client, time);
	len = stun_end(&o);
	if (len < 0 || stun_parse(span_of(buf, (size_t)len), &m) < 0 ||
	    !stun_get(&m, STUN_NONCE, &nonce))
		__builtin_trap();
	s->nonce |= how >> 6 == 0 || how >> 6 == 3;
	stun_put(&s->o, STUN_NONCE, nonce);
}

static void put_name(struct script *s, bool hashed)
{
	struct span parts[] = { span_str(names[reader_u8(&s->r) % ARRAY_LEN(names)]),
				span_str(":" REALM) };
	uint8_t hash[STUN_HASH_MAX];

	if (!hashed)
		stun_put(&s->o, STUN_USERNAME, parts[0]);
	else if (stun_digest(STUN_HASH_SHA256, parts, 2, hash))
		stun_put(&s->o, STUN_USERHASH, span_of(hash, sizeof(hash)));
}

static void put_seal(struct script *s, bool sha256)
{
	uint8_t how = reader_u8(&s->r), key[32];
	char timed[TURN_AUTH_PASSWORD_LEN];
	const char *name = names[how % ARRAY_LEN(names)], *password = "wrong";
	struct span k;

	turn_auth_password(how & 64 ? "secret a" : "secret b", name, timed);
	if (how & 32)
		password = timed;
	else if (how % ARRAY_LEN(names) < ARRAY_LEN(users))
		password = users[how % ARRAY_LEN(names)].password;
	k = span_of(key, turn_auth_key(name, REALM, password, how & 128, key));
	if (sha256)
		stun_put_integrity_sha256(&s->o, k, 32);
	else
		stun_put_integrity(&s->o, k);
	s->sealed |= strcmp(password, "wrong") != 0;
}

static void put_any(struct script *s)
{
	uint16_t type = reader_u16(&s->r);
	size_t len = reader_u8(&s->r);

	stun_put(&s->o, type, reader_bytes(&s->r, FL_MIN(len, reader_left(&s->r))));
}

static void step(struct script *s)
{
	switch ((enum step)(reader_u8(&s->r) % STEPS)) {
	case STEP_NAME:
	case STEP_HASH:
		put_name(s, reader_u8(&s->r) & 1);
		break;
	case STEP_REALM:
		stun_put(&s->o, STUN_REALM, span_str(REALM));
		break;
	case STEP_NONCE:
		put_nonce(s);
		break;
	case STEP_LIST:
		stun_put(&s->o, STUN_PASSWORD_ALGORITHMS, span_of("\0\2\0\0\0\1\0\0", 8));
		break;
	case STEP_ALGORITHM:
		stun_put(&s->o, STUN_PASSWORD_ALGORITHM,
			 span_of(reader_u8(&s->r) & 1 ? "\0\1\0\0" : "\0\2\0\0", 4));
		break;
	case STEP_SEAL_SHA1:
		put_seal(s, false);
		break;
	case STEP_SEAL_SHA256:
		put_seal(s, true);
		break;
	case STEP_ANY:
	case STEPS:
		put_any(s);
		break;
	}
}

static struct turn_auth *auth_of(bool with_users, bool with_secrets)
{
	struct turn_auth_config config = {
		.realm = REALM,
		.users = users,
		.n_users = with_users ? ARRAY_LEN(users) : 0,
		.secrets = { with_secrets ? "secret a" : NULL, with_secrets ? "secret b" : NULL },
		.nonce_key = "a key",
	};
	struct turn_auth *a;

	if (turn_auth_create(&config, &a) < 0)
		__builtin_trap();
	return a;
}

static void judge(const struct script *s, struct span bytes)
{
	struct turn_credential c;
	struct stun_msg m;
	int code;

	if (stun_parse(bytes, &m) < 0)
		return;
	code = turn_auth_check(s->auth, &m, &s->client, NOW, &c);
	if (code != 0 && code != 400 && code != 401 && code != 438)
		__builtin_trap();
	if ((c.reachable && !s->nonce) || (code == 0 && (!s->sealed || !c.reachable)))
		__builtin_trap();
	if (code == 0 ? c.key_len != 16 && c.key_len != 32 : c.key_len != 0 || c.user[0])
		__builtin_trap();
	if (code == 0 && (c.expires_s <= NOW || strlen(c.user) > TURN_AUTH_USER_MAX))
		__builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct turn_auth *auths[3];
	struct script s = { .r = reader_of(span_of(data, size)) };
	uint8_t buf[1024];
	uint8_t how = reader_u8(&s.r);
	int len;

	for (size_t i = 0; i < ARRAY_LEN(auths) && !auths[i]; i++)
		auths[i] = auth_of(i != 1, i != 0);
	s.auth = auths[how % ARRAY_LEN(auths)];
	s.client = (struct addr){ .family = how & 64 ? ADDR_V6 : ADDR_V4, .ip = { 192, 0, 2, 1 } };
	if (how & 128) { /* the rest is the message */
		judge(&s, reader_rest(&s.r));
		return 0;
	}
	stun_begin(&s.o, buf, sizeof(buf), STUN_REQUEST, 3, tid);
	while (reader_left(&s.r) > 0)
		step(&s);
	len = stun_end(&s.o);
	if (len > 0)
		judge(&s, span_of(buf, (size_t)len));
	return 0;
}
