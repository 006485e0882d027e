#include "proto/dtls/hello.h"

#include "base/wire.h"

#define TYPE_HANDSHAKE 22
#define TYPE_CLIENT_HELLO 1
#define VERSION_MAJOR 254 /* 1.0 and 1.2 */

bool hello_parse(struct span datagram, struct hello *out)
{
	struct reader r = reader_of(datagram), record, body;
	uint32_t len, fragment;
	uint16_t seq;

	if (reader_u8(&r) != TYPE_HANDSHAKE || reader_u8(&r) != VERSION_MAJOR)
		return false;
	reader_skip(&r, 1);
	if (reader_u16(&r) != 0) /* epoch */
		return false;
	reader_skip(&r, 6);
	record = reader_sub(&r, reader_u16(&r));
	if (reader_u8(&record) != TYPE_CLIENT_HELLO)
		return false;
	len = reader_u24(&record);
	seq = reader_u16(&record);
	if (reader_u24(&record) != 0)
		return false;
	fragment = reader_u24(&record);
	body = reader_sub(&record, fragment);
	if (fragment != len || reader_u8(&body) != VERSION_MAJOR)
		return false;
	reader_skip(&body, 1);
	reader_copy(&body, out->random, sizeof(out->random));
	out->message_seq = seq;
	return !reader_failed(&body);
}
