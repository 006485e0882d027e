#include "base/text.h"

#include <assert.h>
#include <stdio.h>

#include "base/err.h"

static const char b64_std[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char b64_url[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static size_t b64_encode(struct span src, char *dst, size_t cap, const char *abc, bool pad)
{
	size_t n = 0;

	assert(cap >= TEXT_B64_LEN(src.len));
	(void)cap;
	for (size_t i = 0; i < src.len; i += 3) {
		size_t k = src.len - i < 3 ? src.len - i : 3;
		uint32_t v = (uint32_t)src.ptr[i] << 16;

		v |= k > 1 ? (uint32_t)src.ptr[i + 1] << 8 : 0;
		v |= k > 2 ? src.ptr[i + 2] : 0;
		for (size_t j = 0; j < 4; j++)
			if (j <= k)
				dst[n++] = abc[v >> (18 - 6 * j) & 63];
			else if (pad)
				dst[n++] = '=';
	}
	dst[n] = 0;
	return n;
}

size_t text_b64_encode(struct span src, char *dst, size_t cap)
{
	return b64_encode(src, dst, cap, b64_std, true);
}

size_t text_b64url_encode(struct span src, char *dst, size_t cap)
{
	return b64_encode(src, dst, cap, b64_url, false);
}

static int b64_value(uint8_t c, const char *abc)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == (uint8_t)abc[62])
		return 62;
	return c == (uint8_t)abc[63] ? 63 : -1;
}

/* text without its padding */
static int b64_decode(struct span text, uint8_t *dst, size_t cap, const char *abc)
{
	uint32_t bits = 0;
	unsigned n_bits = 0;
	size_t n = 0;

	if (text.len % 4 == 1)
		return FL_EMALFORMED;
	for (size_t i = 0; i < text.len; i++) {
		int v = b64_value(text.ptr[i], abc);

		if (v < 0)
			return FL_EMALFORMED;
		bits = bits << 6 | (uint32_t)v;
		n_bits += 6;
		if (n_bits < 8)
			continue;
		if (n == cap)
			return FL_EQUOTA;
		n_bits -= 8;
		dst[n++] = (uint8_t)(bits >> n_bits);
		bits &= (1U << n_bits) - 1;
	}
	return bits ? FL_EMALFORMED : (int)n;
}

int text_b64_decode(struct span text, uint8_t *dst, size_t cap)
{
	if (text.len % 4)
		return FL_EMALFORMED;
	for (int i = 0; i < 2 && text.len && text.ptr[text.len - 1] == '='; i++)
		text.len--;
	return b64_decode(text, dst, cap, b64_std);
}

int text_b64url_decode(struct span text, uint8_t *dst, size_t cap)
{
	return b64_decode(text, dst, cap, b64_url);
}

size_t text_hex_encode(struct span src, char *dst, size_t cap)
{
	static const char digits[] = "0123456789abcdef";

	assert(cap >= TEXT_HEX_LEN(src.len));
	(void)cap;
	for (size_t i = 0; i < src.len; i++) {
		dst[2 * i] = digits[src.ptr[i] >> 4];
		dst[2 * i + 1] = digits[src.ptr[i] & 15];
	}
	dst[2 * src.len] = 0;
	return 2 * src.len;
}

static int hex_value(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int text_hex_decode(struct span text, uint8_t *dst, size_t cap)
{
	if (text.len % 2)
		return FL_EMALFORMED;
	if (text.len / 2 > cap)
		return FL_EQUOTA;
	for (size_t i = 0; i < text.len; i += 2) {
		int hi = hex_value(text.ptr[i]), lo = hex_value(text.ptr[i + 1]);

		if (hi < 0 || lo < 0)
			return FL_EMALFORMED;
		dst[i / 2] = (uint8_t)(hi << 4 | lo);
	}
	return (int)(text.len / 2);
}

/*
 * state: low byte = continuation bytes still wanted; the next two bytes = the lowest and highest
 * value that the next one may have (Unicode 15, table 3-7).
 */
static bool utf8_step(uint32_t *state, uint8_t c)
{
	uint32_t left = *state & 0xff, lo = *state >> 8 & 0xff, hi = *state >> 16 & 0xff;

	if (left) {
		if (c < lo || c > hi)
			return false;
		left--;
		*state = left ? left | 0x80 << 8 | 0xbf << 16 : 0;
		return true;
	}
	if (c < 0x80)
		return true;
	if (c < 0xc2 || c > 0xf4)
		return false;
	left = c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
	lo = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
	hi = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
	*state = left | lo << 8 | hi << 16;
	return true;
}

bool text_utf8_feed(uint32_t *state, struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if (!utf8_step(state, s.ptr[i]))
			return false;
	return true;
}

bool text_utf8_valid(struct span s)
{
	uint32_t state = 0;

	return text_utf8_feed(&state, s) && state == 0;
}

bool text_copy_span(char *dst, size_t cap, struct span src)
{
	size_t n = src.len < cap ? src.len : cap - 1;

	assert(cap > 0);
	if (n)
		memcpy(dst, src.ptr, n);
	dst[n] = 0;
	return n == src.len;
}

bool text_copy(char *dst, size_t cap, const char *src)
{
	return text_copy_span(dst, cap, span_str(src));
}

static uint8_t lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c;
}

bool text_equal_nocase(struct span a, struct span b)
{
	if (a.len != b.len)
		return false;
	for (size_t i = 0; i < a.len; i++)
		if (lower(a.ptr[i]) != lower(b.ptr[i]))
			return false;
	return true;
}

/* What has no glyph of its own, or reorders what stands around it; the console has the same list.
 */
static bool hidden(uint32_t c)
{
	static const struct {
		uint32_t first, last;
	} ranges[] = {
		{ 0x00, 0x1f },	      { 0x7f, 0x9f },	  { 0xad, 0xad },     { 0x34f, 0x34f },
		{ 0x61c, 0x61c },     { 0x115f, 0x1160 }, { 0x17b4, 0x17b5 }, { 0x180b, 0x180f },
		{ 0x200b, 0x200f },   { 0x2028, 0x202e }, { 0x2060, 0x206f }, { 0x3164, 0x3164 },
		{ 0xfe00, 0xfe0f },   { 0xfeff, 0xfeff }, { 0xffa0, 0xffa0 }, { 0xfff0, 0xfffb },
		{ 0xe0000, 0xe0fff },
	};

	for (size_t i = 0; i < sizeof(ranges) / sizeof(*ranges); i++)
		if (c >= ranges[i].first && c <= ranges[i].last)
			return true;
	return false;
}

/* Length of the valid, harmless character at the front; 0 when it must be escaped. */
static size_t plain_char(struct span s)
{
	size_t n = s.ptr[0] < 0x80 ? 1 : s.ptr[0] < 0xe0 ? 2 : s.ptr[0] < 0xf0 ? 3 : 4;
	uint32_t c;

	if (s.ptr[0] == '\\' || n > s.len || !text_utf8_valid(span_of(s.ptr, n)))
		return 0;
	c = n == 1 ? s.ptr[0] : s.ptr[0] & (0x7fU >> n);
	for (size_t i = 1; i < n; i++)
		c = c << 6 | (s.ptr[i] & 0x3f);
	return hidden(c) ? 0 : n;
}

char *text_printable(char *dst, size_t cap, struct span src)
{
	size_t at = 0;

	assert(cap > 0);
	while (src.len) {
		size_t n = plain_char(src), need = n ? n : 4;

		if (at + need >= cap)
			break;
		if (n)
			memcpy(dst + at, src.ptr, n);
		else
			snprintf(dst + at, 5, "\\x%02x", src.ptr[0]);
		at += need;
		n = n ? n : 1;
		src = span_of(src.ptr + n, src.len - n);
	}
	dst[at] = 0;
	return dst;
}
