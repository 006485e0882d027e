#include "proto/dhcp/dhcp.h"

#include <string.h>

#include "base/err.h"
#include "base/wire.h"

#define COOKIE 0x63825363
#define BOOTREQUEST 1
#define BOOTREPLY 2
#define ETHERNET 1
#define SNAME_LEN 64
#define FILE_LEN 128

enum { /* RFC 2132 */
       OPTION_PAD = 0,
       OPTION_DOMAIN = 15,
       OPTION_OVERLOAD = 52,
       OPTION_TYPE = 53,
       OPTION_PARAMETERS = 55,
       OPTION_PAC = 252,
       OPTION_END = 255,
};
enum { TYPE_ACK = 5, TYPE_INFORM = 8 };

int dhcp_inform_write(uint8_t *dst, size_t cap, uint32_t xid, const uint8_t ip[4],
		      const uint8_t mac[6])
{
	static const uint8_t options[] = { OPTION_TYPE,	      1,	 TYPE_INFORM,
					   OPTION_PARAMETERS, 2,	 OPTION_PAC,
					   OPTION_DOMAIN,     OPTION_END };
	struct writer w = writer_of(dst, cap);

	writer_u8(&w, BOOTREQUEST);
	writer_u8(&w, ETHERNET);
	writer_u8(&w, 6);
	writer_u8(&w, 0);
	writer_u32(&w, xid);
	writer_u32(&w, 0); /* secs, flags */
	writer_bytes(&w, ip, 4);
	writer_zeros(&w, 12); /* yiaddr, siaddr, giaddr */
	writer_bytes(&w, mac, 6);
	writer_zeros(&w, 10 + SNAME_LEN + FILE_LEN);
	writer_u32(&w, COOKIE);
	writer_bytes(&w, options, sizeof(options));
	if (!writer_failed(&w) && writer_len(&w) < DHCP_INFORM_LEN)
		writer_zeros(&w, DHCP_INFORM_LEN - writer_len(&w));
	return writer_failed(&w) ? FL_EQUOTA : (int)writer_len(&w);
}

struct seen {
	uint8_t type, overload;
	struct dhcp_ack *out;
};

static bool take_option(struct seen *seen, uint8_t code, struct span value)
{
	struct dhcp_ack *out = seen->out;

	if (code == OPTION_TYPE && value.len == 1)
		seen->type = value.ptr[0];
	if (code == OPTION_OVERLOAD && value.len == 1)
		seen->overload = value.ptr[0];
	if (code != OPTION_PAC)
		return true;
	if (value.len > sizeof(out->pac) - out->pac_len)
		return false;
	if (value.len)
		memcpy(out->pac + out->pac_len, value.ptr, value.len);
	out->pac_len += value.len;
	return true;
}

static bool take_options(struct seen *seen, struct reader *r)
{
	while (reader_left(r)) {
		uint8_t code = reader_u8(r), len;

		if (code == OPTION_PAD)
			continue;
		if (code == OPTION_END)
			return true;
		len = reader_u8(r);
		if (!take_option(seen, code, reader_bytes(r, len)) || reader_failed(r))
			return false;
	}
	return !reader_failed(r);
}

int dhcp_ack_read(struct span message, uint32_t xid, const uint8_t mac[6], struct dhcp_ack *out)
{
	struct reader r = reader_of(message), sname, file;
	struct seen seen = { .out = out };
	uint8_t op, type, len, theirs[6];
	uint32_t id;

	*out = (struct dhcp_ack){ .pac_len = 0 };
	op = reader_u8(&r);
	type = reader_u8(&r);
	len = reader_u8(&r);
	reader_skip(&r, 1);
	id = reader_u32(&r);
	reader_skip(&r, 20);
	if (!reader_copy(&r, theirs, sizeof(theirs)))
		return FL_EMALFORMED;
	reader_skip(&r, 10);
	sname = reader_sub(&r, SNAME_LEN);
	file = reader_sub(&r, FILE_LEN);
	if (reader_u32(&r) != COOKIE || reader_failed(&r))
		return FL_EMALFORMED;
	if (op != BOOTREPLY || type != ETHERNET || len != 6 || id != xid ||
	    memcmp(theirs, mac, sizeof(theirs)) != 0)
		return FL_EUNSUPPORTED;
	if (!take_options(&seen, &r) || ((seen.overload & 1) && !take_options(&seen, &file)) ||
	    ((seen.overload & 2) && !take_options(&seen, &sname)))
		return FL_EMALFORMED;
	return seen.type == TYPE_ACK ? 0 : FL_EUNSUPPORTED;
}
