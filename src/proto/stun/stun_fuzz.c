#include "base/err.h"
#include "proto/stun/stun.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What parses can be written again attribute by attribute, and parses to the same then. */
static void write_again(const struct stun_msg *m)
{
	static uint8_t buf[STUN_MESSAGE_MAX];
	struct stun_out o;
	struct stun_msg again;
	int len;

	stun_begin(&o, buf, sizeof(buf), m->class, m->method, m->tid);
	for (size_t i = 0; i < m->n_attrs; i++)
		stun_put(&o, m->attrs[i].type, m->attrs[i].value);
	len = stun_end(&o);
	if (len < 0 || stun_parse(span_of(buf, (size_t)len), &again) < 0 ||
	    again.class != m->class || again.method != m->method || again.n_attrs != m->n_attrs)
		__builtin_trap();
	for (size_t i = 0; i < m->n_attrs; i++)
		if (!span_equal(again.attrs[i].value, m->attrs[i].value))
			__builtin_trap();
}

/* After an integrity attribute only what may come there (RFC 8489 §14.5, §14.6). */
static void check_order(const struct stun_msg *m)
{
	bool sha1 = false, sha256 = false;

	for (size_t i = 0; i < m->n_attrs; i++) {
		uint16_t type = m->attrs[i].type;

		if ((sha256 && type != STUN_FINGERPRINT) ||
		    (sha1 && type != STUN_FINGERPRINT && type != STUN_MESSAGE_INTEGRITY_SHA256))
			__builtin_trap();
		sha1 = sha1 || type == STUN_MESSAGE_INTEGRITY;
		sha256 = sha256 || type == STUN_MESSAGE_INTEGRITY_SHA256;
	}
}

/* What is sealed by us is accepted by us, with the right key only. */
static void seal_again(const struct stun_msg *m)
{
	static uint8_t buf[STUN_INTEGRITY_MAX + 100];
	size_t n = 16 + m->tid[0] % 5 * 4;
	struct stun_out o;
	struct stun_msg again;
	int len;

	stun_begin(&o, buf, sizeof(buf), m->class, m->method, m->tid);
	for (size_t i = 0; i < m->n_attrs && i < STUN_ATTRS_MAX - 3; i++)
		if (m->attrs[i].type != STUN_MESSAGE_INTEGRITY &&
		    m->attrs[i].type != STUN_MESSAGE_INTEGRITY_SHA256 &&
		    m->attrs[i].type != STUN_FINGERPRINT)
			stun_put(&o, m->attrs[i].type, m->attrs[i].value);
	stun_put_integrity(&o, span_str("key"));
	stun_put_integrity_sha256(&o, span_str("key"), n);
	stun_put_fingerprint(&o);
	len = stun_end(&o);
	if (len < 0)
		return; /* too long for that */
	if (stun_parse(span_of(buf, (size_t)len), &again) < 0 ||
	    stun_check_integrity(&again, span_str("key")) != 0 ||
	    stun_check_integrity_sha256(&again, span_str("key"), n) != 0 ||
	    stun_check_fingerprint(&again) != 0 ||
	    stun_check_integrity(&again, span_str("yek")) == 0 ||
	    stun_check_integrity_sha256(&again, span_str("yek"), 16) == 0)
		__builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint16_t known[] = { STUN_PRIORITY, STUN_USE_CANDIDATE };
	struct stun_msg m;
	struct addr a;
	struct span s;
	uint16_t code, types[8];
	uint32_t u32;
	uint64_t u64;

	if (stun_parse(span_of(data, size), &m) < 0)
		return 0;
	if (!stun_is_message(m.raw))
		__builtin_trap();
	(void)stun_get_addr(&m, STUN_MAPPED_ADDRESS, &a);
	(void)stun_get_xor_addr(&m, STUN_XOR_MAPPED_ADDRESS, &a);
	(void)stun_get_error(&m, &code, &s);
	(void)stun_get_u32(&m, STUN_PRIORITY, &u32);
	(void)stun_get_u64(&m, STUN_ICE_CONTROLLING, &u64);
	(void)stun_unknown(&m, known, 2, types, 8);
	if (stun_check_integrity(&m, span_str("VOkJxbRl1RmTxUk/WvJxBt")) == 0 &&
	    !stun_find(&m, STUN_MESSAGE_INTEGRITY))
		__builtin_trap();
	if (stun_check_integrity_sha256(&m, span_str("VOkJxbRl1RmTxUk/WvJxBt"), 16) == 0 &&
	    (!stun_get(&m, STUN_MESSAGE_INTEGRITY_SHA256, &s) || s.len < 16 || s.len > 32))
		__builtin_trap();
	(void)!stun_check_fingerprint(&m);
	check_order(&m);
	write_again(&m);
	seal_again(&m);
	return 0;
}
