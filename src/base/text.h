/* Text and encodings: base64 (RFC 4648), hex, UTF-8 (RFC 3629), bounded copies. */
#pragma once

#include <stdbool.h>

#include "base/span.h"
#include "base/util.h"

#define TEXT_B64_LEN(n) (((n) + 2) / 3 * 4 + 1) /* room for the text of n bytes and the 0 */
#define TEXT_HEX_LEN(n) ((n)*2 + 1)

/* Standard alphabet with padding, or the URL alphabet without (RFC 4648 §4, §5). dst is terminated;
 * returns the text's length. cap must be at least TEXT_B64_LEN(src.len). */
size_t text_b64_encode(struct span src, char *dst, size_t cap);
size_t text_b64url_encode(struct span src, char *dst, size_t cap);

/* Strict: no white space, no other alphabet, no bits left over. Padding is required by the first
 * and refused by the second. The number of bytes, FL_EMALFORMED, or FL_EQUOTA when cap is too
 * small. */
int text_b64_decode(struct span text, uint8_t *dst, size_t cap) FL_WARN_UNUSED;
int text_b64url_decode(struct span text, uint8_t *dst, size_t cap) FL_WARN_UNUSED;

size_t text_hex_encode(struct span src, char *dst, size_t cap); /* lower case */
int text_hex_decode(struct span text, uint8_t *dst, size_t cap) FL_WARN_UNUSED;

/* Valid UTF-8: no overlong forms, surrogates or code points above U+10FFFF. */
bool text_utf8_valid(struct span s);

/*
 * Incremental validation for a message that arrives in pieces (RFC 6455 §8.1). Start with *state =
 * 0; false as soon as it is wrong; at the end *state must be 0 again.
 */
bool text_utf8_feed(uint32_t *state, struct span s);

/* Copies at most cap - 1 bytes, terminates; false when it had to cut. */
bool text_copy(char *dst, size_t cap, const char *src);
bool text_copy_span(char *dst, size_t cap, struct span src);

/* ASCII only, independent of the locale. */
bool text_equal_nocase(struct span a, struct span b);

/*
 * For showing or logging bytes from outside: control characters, invalid UTF-8 and what is
 * invisible or reorders its surroundings (zero width, bidi) become "\xNN". Cuts to fit; always
 * terminated; returns dst.
 */
char *text_printable(char *dst, size_t cap, struct span src);
