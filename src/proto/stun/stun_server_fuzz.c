#include "proto/stun/stun_server.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The first byte says who is asked and how; the rest is the datagram. */
enum { FLAG_STREAM = 4, FLAG_ALONE = 8, FLAG_V6 = 16 };

static const struct stun_behaviour behaviour = {
	.at = { { { ADDR_V4, { 192, 0, 2, 1 }, 3478, 0 }, { ADDR_V4, { 192, 0, 2, 1 }, 3479, 0 } },
		{ { ADDR_V4, { 192, 0, 2, 2 }, 3478, 0 },
		  { ADDR_V4, { 192, 0, 2, 2 }, 3479, 0 } } },
};

/* What is answered can be read, says what the answer says, and is short for what was asked. */
static void check(struct span datagram, const uint8_t *buf, const struct stun_answer *out,
		  bool discovery)
{
	size_t gain = discovery ? 24 + 24 + 12 + 12
				: 36; /* a client's address is of IPv6 at most */

	if (out->len > STUN_SERVER_ANSWER_MAX || out->len > datagram.len + gain)
		__builtin_trap();
	if (!discovery && (out->origin != STUN_ORIGIN_SAME || out->port))
		__builtin_trap();
	if (buf[0] != 1 || (buf[1] & 0xef) != 1 || (out->len - STUN_HEADER_LEN) % 4)
		__builtin_trap();
}

static void check_modern(const struct stun_msg *m, const uint8_t *buf,
			 const struct stun_answer *out)
{
	struct stun_msg answer;

	if (stun_parse(span_of(buf, out->len), &answer) < 0 ||
	    memcmp(answer.tid, m->tid, sizeof(m->tid)) != 0 ||
	    (stun_find(m, STUN_FINGERPRINT) != NULL) != (stun_check_fingerprint(&answer) == 0))
		__builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t buf[STUN_SERVER_ANSWER_MAX];
	struct addr client = { ADDR_V4, { 198, 51, 100, 7 }, 5000, 0 };
	const struct stun_behaviour *b;
	struct stun_answer out;
	struct stun_msg m;
	struct span datagram;
	const struct addr *server;

	if (size == 0)
		return 0;
	datagram = span_of(data + 1, size - 1);
	server = &behaviour.at[data[0] >> 1 & 1][data[0] & 1];
	b = data[0] & FLAG_ALONE ? NULL : &behaviour;
	if (data[0] & FLAG_V6)
		client.family = ADDR_V6;
	if (stun_parse(datagram, &m) == 0) {
		stun_server_binding(&m, &client, server, b, data[0] & FLAG_STREAM, buf, &out);
		if (out.len == 0)
			return 0;
		check(datagram, buf, &out, b && !(data[0] & FLAG_STREAM));
		check_modern(&m, buf, &out);
	} else if (stun_server_classic(datagram, &client, server, b, buf, &out)) {
		check(datagram, buf, &out, b);
		if (memcmp(buf + 4, datagram.ptr + 4, 16) != 0)
			__builtin_trap();
	}
	return 0;
}
