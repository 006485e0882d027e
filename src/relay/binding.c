#include "relay/binding.h"

#include "proto/stun/stun.h"

void binding_init(struct binding *b, struct rng *rng)
{
	*b = (struct binding){ .key = rng_u64(rng) };
}

static bool within_limit(struct binding *b, usec_t now, const struct addr *from)
{
	struct addr source = *from;
	usec_t second = now / USEC_PER_SEC;
	struct binding_counter *c;

	source.port = 0;
	source.scope = 0;
	if (source.family == ADDR_V6)
		memset(source.ip + 8, 0, 8);
	c = &b->counters[addr_hash(&source, b->key) % BINDING_SOURCES];
	if (c->second != second)
		*c = (struct binding_counter){ .second = second };
	return c->answers++ < BINDING_PER_SECOND;
}

static size_t write_answer(const struct stun_msg *m, const struct addr *from, uint8_t *answer)
{
	struct stun_out o;
	struct addr mapped = addr_unmap(from);
	uint16_t unknown[4];
	size_t n = stun_unknown(m, NULL, 0, unknown, ARRAY_LEN(unknown));
	int len;

	if (n > 0) {
		stun_begin(&o, answer, BINDING_ANSWER_MAX, STUN_ERROR, STUN_BINDING, m->tid);
		stun_put_error(&o, STUN_UNKNOWN_ATTRIBUTE, "");
		stun_put_unknown(&o, unknown, n);
	} else {
		stun_begin(&o, answer, BINDING_ANSWER_MAX, STUN_SUCCESS, STUN_BINDING, m->tid);
		stun_put_xor_addr(&o, STUN_XOR_MAPPED_ADDRESS, &mapped);
	}
	if (stun_find(m, STUN_FINGERPRINT))
		stun_put_fingerprint(&o);
	len = stun_end(&o);
	if (len < 0 || (n > 0 && (size_t)len > m->raw.len + 12))
		return 0;
	return (size_t)len;
}

size_t binding_answer(struct binding *b, usec_t now, const struct dgram *d,
		      uint8_t answer[BINDING_ANSWER_MAX])
{
	struct stun_msg m;
	size_t len;

	if (stun_parse(d->data, &m) < 0 ||
	    (stun_find(&m, STUN_FINGERPRINT) && stun_check_fingerprint(&m) < 0)) {
		b->malformed++;
		return 0;
	}
	if (m.class != STUN_REQUEST || m.method != STUN_BINDING || d->remote.port == 0) {
		b->other++;
		return 0;
	}
	if (!within_limit(b, now, &d->remote)) {
		b->limited++;
		return 0;
	}
	len = write_answer(&m, &d->remote, answer);
	b->answered += len > 0;
	return len;
}
