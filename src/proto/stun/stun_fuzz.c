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
	(void)!stun_check_fingerprint(&m);
	write_again(&m);
	return 0;
}
