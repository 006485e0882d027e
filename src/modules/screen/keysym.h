/*
 * Keysyms (X11 protocol, appendix A) in one form. A character has up to two keysyms, an old one and
 * the Unicode one (0x01000000 + code point); both become the Unicode one here, so that comparing is
 * enough. Also the key positions that KeyboardEvent.code names (W3C UI Events code values).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define KEYSYM_UNICODE 0x01000000u

/* Control characters sent as Unicode keysyms become their function keys (Return, Tab, …). */
uint32_t keysym_canonical(uint32_t keysym);

/* The form that programs know best: Latin-1 by its own number, other characters as Unicode. */
uint32_t keysym_plain(uint32_t canonical);

/* Shift, Control, Alt, …, the AltGr kind, and the locks. */
bool keysym_is_modifier(uint32_t keysym);

/* The X keycode of that position on evdev keyboards; 0 when unknown. */
uint8_t keysym_code_position(const char *code);
