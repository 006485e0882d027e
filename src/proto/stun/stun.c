#include "proto/stun/stun.h"

#include <assert.h>
#include <errno.h>

#include "base/ct.h"
#include "base/err.h"
#include "proto/stun/stun_hash.h"

#define SHA1_LEN 20
#define SHA256_LEN 32
#define SHA256_LEN_MIN 16 /* §14.6 */
#define ATTR_HEADER_LEN 4
#define FINGERPRINT_LEN (ATTR_HEADER_LEN + 4)
#define FINGERPRINT_XOR 0x5354554Eu /* "STUN", §14.7 */

#define FAMILY_V4 1
#define FAMILY_V6 2

bool stun_is_message(struct span data)
{
	struct reader r = reader_of(data);
	uint16_t type = reader_u16(&r), len = reader_u16(&r);
	uint32_t magic = reader_u32(&r);

	return data.len >= STUN_HEADER_LEN && type < 0x4000 && magic == STUN_MAGIC &&
	       len % 4 == 0 && len == data.len - STUN_HEADER_LEN;
}

/* The class bits stand inside the method (§5): M11…M7 C1 M6…M4 C0 M3…M0. */
static uint16_t type_join(enum stun_class class, uint16_t method)
{
	return (uint16_t)((method & 0x000F) | (method & 0x0070) << 1 | (method & 0x0F80) << 2 |
			  (class & 1) << 4 | (class & 2) << 7);
}

static void type_split(uint16_t type, enum stun_class *class, uint16_t *method)
{
	*class = (enum stun_class)((type >> 4 & 1) | (type >> 7 & 2));
	*method = (uint16_t)((type & 0x000F) | (type >> 1 & 0x0070) | (type >> 2 & 0x0F80));
}

/* What an integrity attribute does not cover is ignored, but for those that come after it by rule
 * (§14.5, §14.6). seal: the integrity attribute that stands furthest, or 0. */
static bool attr_counts(uint16_t seal, uint16_t type)
{
	return !seal || type == STUN_FINGERPRINT ||
	       (seal == STUN_MESSAGE_INTEGRITY && type == STUN_MESSAGE_INTEGRITY_SHA256);
}

static int parse_attrs(struct reader *r, struct stun_msg *m)
{
	uint16_t seal = 0;

	while (reader_left(r) > 0) {
		struct stun_attr a = { .at = (uint32_t)(m->raw.len - reader_left(r)) };
		size_t len;

		a.type = reader_u16(r);
		len = reader_u16(r);
		a.value = reader_bytes(r, len);
		reader_skip(r, (4 - len % 4) % 4);
		if (reader_failed(r))
			return FL_EMALFORMED;
		if (!attr_counts(seal, a.type))
			continue;
		if (m->n_attrs == STUN_ATTRS_MAX)
			return FL_EMALFORMED;
		m->attrs[m->n_attrs++] = a;
		if (a.type == STUN_MESSAGE_INTEGRITY || a.type == STUN_MESSAGE_INTEGRITY_SHA256)
			seal = a.type;
	}
	return reader_failed(r) ? FL_EMALFORMED : 0;
}

int stun_parse(struct span data, struct stun_msg *out)
{
	struct reader r = reader_of(data);

	out->n_attrs = 0;
	out->raw = data;
	if (!stun_is_message(data))
		return FL_EMALFORMED;
	type_split(reader_u16(&r), &out->class, &out->method);
	reader_skip(&r, 6); /* length and cookie were seen above */
	reader_copy(&r, out->tid, sizeof(out->tid));
	return parse_attrs(&r, out);
}

const struct stun_attr *stun_find(const struct stun_msg *m, uint16_t type)
{
	for (size_t i = 0; i < m->n_attrs; i++)
		if (m->attrs[i].type == type)
			return &m->attrs[i];
	return NULL;
}

bool stun_get(const struct stun_msg *m, uint16_t type, struct span *value)
{
	const struct stun_attr *a = stun_find(m, type);

	*value = a ? a->value : (struct span){ 0 };
	return a != NULL;
}

bool stun_get_flag(const struct stun_msg *m, uint16_t type)
{
	return stun_find(m, type) != NULL;
}

bool stun_get_u32(const struct stun_msg *m, uint16_t type, uint32_t *value)
{
	const struct stun_attr *a = stun_find(m, type);
	struct reader r = reader_of(a ? a->value : (struct span){ 0 });

	*value = reader_u32(&r);
	return reader_done(&r);
}

bool stun_get_u64(const struct stun_msg *m, uint16_t type, uint64_t *value)
{
	const struct stun_attr *a = stun_find(m, type);
	struct reader r = reader_of(a ? a->value : (struct span){ 0 });

	*value = reader_u64(&r);
	return reader_done(&r);
}

bool stun_get_addr(const struct stun_msg *m, uint16_t type, struct addr *value)
{
	const struct stun_attr *a = stun_find(m, type);
	struct reader r = reader_of(a ? a->value : (struct span){ 0 });
	uint8_t family;

	*value = (struct addr){ 0 };
	reader_skip(&r, 1);
	family = reader_u8(&r);
	value->port = reader_u16(&r);
	if (family == FAMILY_V4) {
		value->family = ADDR_V4;
		reader_copy(&r, value->ip, 4);
	} else if (family == FAMILY_V6) {
		value->family = ADDR_V6;
		reader_copy(&r, value->ip, 16);
	} else {
		reader_fail(&r);
	}
	if (reader_done(&r))
		return true;
	*value = (struct addr){ 0 };
	return false;
}

/* Port and IPv4 by the cookie, IPv6 by cookie and transaction id (§14.2). Its own inverse. */
static void xor_addr(struct addr *a, const uint8_t tid[STUN_TID_LEN])
{
	uint8_t mask[4 + STUN_TID_LEN];
	struct writer w = writer_of(mask, sizeof(mask));
	size_t len = a->family == ADDR_V4 ? 4 : 16;

	writer_u32(&w, STUN_MAGIC);
	writer_bytes(&w, tid, STUN_TID_LEN);
	a->port ^= STUN_MAGIC >> 16;
	for (size_t i = 0; i < len; i++)
		a->ip[i] ^= mask[i];
}

bool stun_get_xor_addr(const struct stun_msg *m, uint16_t type, struct addr *value)
{
	if (!stun_get_addr(m, type, value))
		return false;
	xor_addr(value, m->tid);
	return true;
}

bool stun_get_error(const struct stun_msg *m, uint16_t *code, struct span *reason)
{
	const struct stun_attr *a = stun_find(m, STUN_ERROR_CODE);
	struct reader r = reader_of(a ? a->value : (struct span){ 0 });
	unsigned hundreds, rest;

	reader_skip(&r, 2);
	hundreds = reader_u8(&r) & 7;
	rest = reader_u8(&r);
	*reason = reader_rest(&r);
	*code = (uint16_t)(hundreds * 100 + rest);
	return !reader_failed(&r) && hundreds >= 3 && hundreds <= 6 && rest < 100;
}

static bool type_known(uint16_t type, const uint16_t *known, size_t n_known)
{
	static const uint16_t all[] = {
		STUN_USERNAME, STUN_MESSAGE_INTEGRITY,	STUN_ERROR_CODE,
		STUN_REALM,    STUN_UNKNOWN_ATTRIBUTES, STUN_MESSAGE_INTEGRITY_SHA256,
		STUN_NONCE,    STUN_PASSWORD_ALGORITHM, STUN_USERHASH,
	};

	if (type >= 0x8000)
		return true;
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		if (all[i] == type)
			return true;
	for (size_t i = 0; i < n_known; i++)
		if (known[i] == type)
			return true;
	return false;
}

size_t stun_unknown(const struct stun_msg *m, const uint16_t *known, size_t n_known, uint16_t *out,
		    size_t cap)
{
	size_t n = 0;

	for (size_t i = 0; i < m->n_attrs && n < cap; i++)
		if (!type_known(m->attrs[i].type, known, n_known))
			out[n++] = m->attrs[i].type;
	return n;
}

/*
 * A message's head as a digest takes it: in two parts, of which the first, start, has the length
 * field that the message would have if it ended with an attribute of value_len bytes right there.
 */
struct head {
	uint8_t start[4];
	struct span parts[2];
};

static void head_init(struct head *h, struct span head, size_t value_len)
{
	struct writer w = writer_of(h->start, sizeof(h->start));
	size_t end = head.len + ATTR_HEADER_LEN + value_len;

	writer_bytes(&w, head.ptr, sizeof(h->start));
	writer_patch_u16(&w, 2, (uint16_t)(end - STUN_HEADER_LEN));
	assert(!writer_failed(&w) && head.len >= STUN_HEADER_LEN);
	h->parts[0] = span_of(h->start, sizeof(h->start));
	h->parts[1] = span_of(head.ptr + sizeof(h->start), head.len - sizeof(h->start));
}

/* Over what precedes the attribute (§14.5, §14.6). False only when libcrypto fails. */
static bool integrity_of(enum stun_hash hash, struct span head, struct span key, size_t len,
			 uint8_t mac[STUN_HASH_MAX])
{
	struct head h;

	head_init(&h, head, len);
	return stun_hmac(hash, key, h.parts, ARRAY_LEN(h.parts), mac);
}

static int check_integrity(const struct stun_msg *m, const struct stun_attr *a, enum stun_hash hash,
			   struct span key)
{
	uint8_t mac[STUN_HASH_MAX];

	if (a->at > STUN_INTEGRITY_MAX)
		return FL_EQUOTA;
	if (!integrity_of(hash, span_of(m->raw.ptr, a->at), key, a->value.len, mac) ||
	    !ct_equal(a->value, span_of(mac, a->value.len)))
		return FL_EUNAUTHENTICATED;
	return 0;
}

int stun_check_integrity(const struct stun_msg *m, struct span key)
{
	const struct stun_attr *a = stun_find(m, STUN_MESSAGE_INTEGRITY);

	if (!a)
		return -ENOENT;
	if (a->value.len != SHA1_LEN)
		return FL_EUNAUTHENTICATED;
	return check_integrity(m, a, STUN_HASH_SHA1, key);
}

int stun_check_integrity_sha256(const struct stun_msg *m, struct span key, size_t min_len)
{
	const struct stun_attr *a = stun_find(m, STUN_MESSAGE_INTEGRITY_SHA256);

	assert(min_len >= SHA256_LEN_MIN && min_len <= SHA256_LEN);
	if (!a)
		return -ENOENT;
	if (a->value.len < min_len || a->value.len > SHA256_LEN || a->value.len % 4 != 0)
		return FL_EUNAUTHENTICATED;
	return check_integrity(m, a, STUN_HASH_SHA256, key);
}

/*
 * CRC-32 as in ITU V.42, four bytes a step: row i is what nibble i of a word becomes after 32 steps
 * of the shift register. A third of the time of one nibble after the other, in 512 bytes.
 */
static uint32_t crc32_add(uint32_t crc, struct span s)
{
	static const uint32_t nibbles[8][16] = {
		{ 0x00000000, 0xB8BC6765, 0xAA09C88B, 0x12B5AFEE, 0x8F629757, 0x37DEF032,
		  0x256B5FDC, 0x9DD738B9, 0xC5B428EF, 0x7D084F8A, 0x6FBDE064, 0xD7018701,
		  0x4AD6BFB8, 0xF26AD8DD, 0xE0DF7733, 0x58631056 },
		{ 0x00000000, 0x5019579F, 0xA032AF3E, 0xF02BF8A1, 0x9B14583D, 0xCB0D0FA2,
		  0x3B26F703, 0x6B3FA09C, 0xED59B63B, 0xBD40E1A4, 0x4D6B1905, 0x1D724E9A,
		  0x764DEE06, 0x2654B999, 0xD67F4138, 0x866616A7 },
		{ 0x00000000, 0x01C26A37, 0x0384D46E, 0x0246BE59, 0x0709A8DC, 0x06CBC2EB,
		  0x048D7CB2, 0x054F1685, 0x0E1351B8, 0x0FD13B8F, 0x0D9785D6, 0x0C55EFE1,
		  0x091AF964, 0x08D89353, 0x0A9E2D0A, 0x0B5C473D },
		{ 0x00000000, 0x1C26A370, 0x384D46E0, 0x246BE590, 0x709A8DC0, 0x6CBC2EB0,
		  0x48D7CB20, 0x54F16850, 0xE1351B80, 0xFD13B8F0, 0xD9785D60, 0xC55EFE10,
		  0x91AF9640, 0x8D893530, 0xA9E2D0A0, 0xB5C473D0 },
		{ 0x00000000, 0x191B3141, 0x32366282, 0x2B2D53C3, 0x646CC504, 0x7D77F445,
		  0x565AA786, 0x4F4196C7, 0xC8D98A08, 0xD1C2BB49, 0xFAEFE88A, 0xE3F4D9CB,
		  0xACB54F0C, 0xB5AE7E4D, 0x9E832D8E, 0x87981CCF },
		{ 0x00000000, 0x4AC21251, 0x958424A2, 0xDF4636F3, 0xF0794F05, 0xBABB5D54,
		  0x65FD6BA7, 0x2F3F79F6, 0x3B83984B, 0x71418A1A, 0xAE07BCE9, 0xE4C5AEB8,
		  0xCBFAD74E, 0x8138C51F, 0x5E7EF3EC, 0x14BCE1BD },
		{ 0x00000000, 0x77073096, 0xEE0E612C, 0x990951BA, 0x076DC419, 0x706AF48F,
		  0xE963A535, 0x9E6495A3, 0x0EDB8832, 0x79DCB8A4, 0xE0D5E91E, 0x97D2D988,
		  0x09B64C2B, 0x7EB17CBD, 0xE7B82D07, 0x90BF1D91 },
		{ 0x00000000, 0x1DB71064, 0x3B6E20C8, 0x26D930AC, 0x76DC4190, 0x6B6B51F4,
		  0x4DB26158, 0x5005713C, 0xEDB88320, 0xF00F9344, 0xD6D6A3E8, 0xCB61B38C,
		  0x9B64C2B0, 0x86D3D2D4, 0xA00AE278, 0xBDBDF21C },
	};
	const uint32_t *last = nibbles[7];
	struct reader r = reader_of(s);

	while (reader_left(&r) >= 4) {
		uint32_t word = crc ^ __builtin_bswap32(reader_u32(&r));

		crc = 0;
		for (int i = 0; i < 8; i++)
			crc ^= nibbles[i][word >> (4 * i) & 15];
	}
	while (reader_left(&r) > 0) {
		crc ^= reader_u8(&r);
		crc = crc >> 4 ^ last[crc & 15];
		crc = crc >> 4 ^ last[crc & 15];
	}
	return crc;
}

/* Over what precedes FINGERPRINT, with a length field that ends with it (§14.7). */
static uint32_t fingerprint_of(struct span head)
{
	uint32_t crc = UINT32_MAX;
	struct head h;

	head_init(&h, head, FINGERPRINT_LEN - ATTR_HEADER_LEN);
	for (size_t i = 0; i < ARRAY_LEN(h.parts); i++)
		crc = crc32_add(crc, h.parts[i]);
	return ~crc ^ FINGERPRINT_XOR;
}

int stun_check_fingerprint(const struct stun_msg *m)
{
	const struct stun_attr *a = stun_find(m, STUN_FINGERPRINT);
	uint32_t value;

	if (!a)
		return -ENOENT;
	if (!stun_get_u32(m, STUN_FINGERPRINT, &value) || a->at + FINGERPRINT_LEN != m->raw.len)
		return FL_EMALFORMED;
	return value == fingerprint_of(span_of(m->raw.ptr, a->at)) ? 0 : FL_EMALFORMED;
}

void stun_begin(struct stun_out *o, void *buf, size_t cap, enum stun_class class, uint16_t method,
		const uint8_t tid[STUN_TID_LEN])
{
	o->w = writer_of(buf, FL_MIN(cap, (size_t)STUN_MESSAGE_MAX));
	memcpy(o->tid, tid, STUN_TID_LEN);
	writer_u16(&o->w, type_join(class, method));
	writer_u16(&o->w, 0);
	writer_u32(&o->w, STUN_MAGIC);
	writer_bytes(&o->w, tid, STUN_TID_LEN);
}

static void put_header(struct stun_out *o, uint16_t type, size_t len)
{
	if (len > UINT16_MAX)
		writer_fail(&o->w);
	writer_u16(&o->w, type);
	writer_u16(&o->w, (uint16_t)len);
}

void stun_put(struct stun_out *o, uint16_t type, struct span value)
{
	put_header(o, type, value.len);
	writer_span_put(&o->w, value);
	writer_zeros(&o->w, (4 - value.len % 4) % 4);
}

void stun_put_u32(struct stun_out *o, uint16_t type, uint32_t value)
{
	put_header(o, type, 4);
	writer_u32(&o->w, value);
}

void stun_put_u64(struct stun_out *o, uint16_t type, uint64_t value)
{
	put_header(o, type, 8);
	writer_u64(&o->w, value);
}

void stun_put_flag(struct stun_out *o, uint16_t type)
{
	put_header(o, type, 0);
}

void stun_put_addr(struct stun_out *o, uint16_t type, const struct addr *value)
{
	size_t len = value->family == ADDR_V4 ? 4 : 16;

	assert(value->family != ADDR_NONE);
	put_header(o, type, 4 + len);
	writer_u8(&o->w, 0);
	writer_u8(&o->w, value->family == ADDR_V4 ? FAMILY_V4 : FAMILY_V6);
	writer_u16(&o->w, value->port);
	writer_bytes(&o->w, value->ip, len);
}

void stun_put_xor_addr(struct stun_out *o, uint16_t type, const struct addr *value)
{
	struct addr a = *value;

	xor_addr(&a, o->tid);
	stun_put_addr(o, type, &a);
}

void stun_put_error(struct stun_out *o, uint16_t code, const char *reason)
{
	size_t len = strlen(reason);

	assert(code >= 300 && code < 700);
	put_header(o, STUN_ERROR_CODE, 4 + len);
	writer_u16(&o->w, 0);
	writer_u8(&o->w, (uint8_t)(code / 100));
	writer_u8(&o->w, (uint8_t)(code % 100));
	writer_str(&o->w, reason);
	writer_zeros(&o->w, (4 - len % 4) % 4);
}

void stun_put_unknown(struct stun_out *o, const uint16_t *types, size_t n)
{
	put_header(o, STUN_UNKNOWN_ATTRIBUTES, 2 * n);
	for (size_t i = 0; i < n; i++)
		writer_u16(&o->w, types[i]);
	writer_zeros(&o->w, n % 2 * 2);
}

static void put_integrity(struct stun_out *o, uint16_t type, enum stun_hash hash, struct span key,
			  size_t len)
{
	uint8_t mac[STUN_HASH_MAX];

	if (writer_failed(&o->w) || writer_len(&o->w) > STUN_INTEGRITY_MAX ||
	    !integrity_of(hash, writer_span(&o->w), key, len, mac)) {
		writer_fail(&o->w);
		return;
	}
	stun_put(o, type, span_of(mac, len));
}

void stun_put_integrity(struct stun_out *o, struct span key)
{
	put_integrity(o, STUN_MESSAGE_INTEGRITY, STUN_HASH_SHA1, key, SHA1_LEN);
}

void stun_put_integrity_sha256(struct stun_out *o, struct span key, size_t len)
{
	assert(len >= SHA256_LEN_MIN && len <= SHA256_LEN && len % 4 == 0);
	put_integrity(o, STUN_MESSAGE_INTEGRITY_SHA256, STUN_HASH_SHA256, key, len);
}

void stun_put_fingerprint(struct stun_out *o)
{
	if (!writer_failed(&o->w))
		stun_put_u32(o, STUN_FINGERPRINT, fingerprint_of(writer_span(&o->w)));
}

int stun_end(struct stun_out *o)
{
	if (writer_failed(&o->w))
		return FL_EQUOTA;
	writer_patch_u16(&o->w, 2, (uint16_t)(writer_len(&o->w) - STUN_HEADER_LEN));
	return (int)writer_len(&o->w);
}
