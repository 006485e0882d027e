#include "modules/screen/keysym.h"

#include <stddef.h>
#include <string.h>

#include "base/util.h"

struct pair {
	uint16_t keysym, character;
};

static const struct pair legacy[] = {
#include "keysym_table.h"
};

static uint32_t legacy_character(uint32_t keysym)
{
	size_t low = 0, high = ARRAY_LEN(legacy);

	while (low < high) {
		size_t mid = (low + high) / 2;
		if (legacy[mid].keysym == keysym)
			return legacy[mid].character;
		if (legacy[mid].keysym < keysym)
			low = mid + 1;
		else
			high = mid;
	}
	return 0;
}

static uint32_t control_key(uint32_t character)
{
	switch (character) {
	case 0x08:
	case 0x09:
	case 0x0d:
	case 0x1b:
		return 0xff00 | character; /* BackSpace, Tab, Return, Escape */
	case 0x0a:
		return 0xff0d;
	case 0x7f:
		return 0xffff; /* Delete */
	default:
		return 0;
	}
}

uint32_t keysym_canonical(uint32_t keysym)
{
	uint32_t character;

	if (keysym >= KEYSYM_UNICODE && keysym <= KEYSYM_UNICODE + 0x10ffff) {
		character = keysym - KEYSYM_UNICODE;
		return character < 0x20 || character == 0x7f ? control_key(character) : keysym;
	}
	character = legacy_character(keysym);
	return character ? KEYSYM_UNICODE | character : keysym;
}

uint32_t keysym_plain(uint32_t canonical)
{
	if (canonical >= KEYSYM_UNICODE + 0x20 && canonical <= KEYSYM_UNICODE + 0xff)
		return canonical - KEYSYM_UNICODE;
	return canonical;
}

bool keysym_is_modifier(uint32_t keysym)
{
	return (keysym >= 0xffe1 && keysym <= 0xffee) || (keysym >= 0xfe01 && keysym <= 0xfe13) ||
	       keysym == 0xff7e || keysym == 0xff7f;
}

/* Positions as evdev numbers them; X adds 8. */
static const struct {
	const char *code;
	uint8_t evdev;
} positions[] = {
	{ "Escape", 1 },
	{ "Digit1", 2 },
	{ "Digit2", 3 },
	{ "Digit3", 4 },
	{ "Digit4", 5 },
	{ "Digit5", 6 },
	{ "Digit6", 7 },
	{ "Digit7", 8 },
	{ "Digit8", 9 },
	{ "Digit9", 10 },
	{ "Digit0", 11 },
	{ "Minus", 12 },
	{ "Equal", 13 },
	{ "Backspace", 14 },
	{ "Tab", 15 },
	{ "KeyQ", 16 },
	{ "KeyW", 17 },
	{ "KeyE", 18 },
	{ "KeyR", 19 },
	{ "KeyT", 20 },
	{ "KeyY", 21 },
	{ "KeyU", 22 },
	{ "KeyI", 23 },
	{ "KeyO", 24 },
	{ "KeyP", 25 },
	{ "BracketLeft", 26 },
	{ "BracketRight", 27 },
	{ "Enter", 28 },
	{ "ControlLeft", 29 },
	{ "KeyA", 30 },
	{ "KeyS", 31 },
	{ "KeyD", 32 },
	{ "KeyF", 33 },
	{ "KeyG", 34 },
	{ "KeyH", 35 },
	{ "KeyJ", 36 },
	{ "KeyK", 37 },
	{ "KeyL", 38 },
	{ "Semicolon", 39 },
	{ "Quote", 40 },
	{ "Backquote", 41 },
	{ "ShiftLeft", 42 },
	{ "Backslash", 43 },
	{ "KeyZ", 44 },
	{ "KeyX", 45 },
	{ "KeyC", 46 },
	{ "KeyV", 47 },
	{ "KeyB", 48 },
	{ "KeyN", 49 },
	{ "KeyM", 50 },
	{ "Comma", 51 },
	{ "Period", 52 },
	{ "Slash", 53 },
	{ "ShiftRight", 54 },
	{ "NumpadMultiply", 55 },
	{ "AltLeft", 56 },
	{ "Space", 57 },
	{ "CapsLock", 58 },
	{ "F1", 59 },
	{ "F2", 60 },
	{ "F3", 61 },
	{ "F4", 62 },
	{ "F5", 63 },
	{ "F6", 64 },
	{ "F7", 65 },
	{ "F8", 66 },
	{ "F9", 67 },
	{ "F10", 68 },
	{ "NumLock", 69 },
	{ "ScrollLock", 70 },
	{ "Numpad7", 71 },
	{ "Numpad8", 72 },
	{ "Numpad9", 73 },
	{ "NumpadSubtract", 74 },
	{ "Numpad4", 75 },
	{ "Numpad5", 76 },
	{ "Numpad6", 77 },
	{ "NumpadAdd", 78 },
	{ "Numpad1", 79 },
	{ "Numpad2", 80 },
	{ "Numpad3", 81 },
	{ "Numpad0", 82 },
	{ "NumpadDecimal", 83 },
	{ "IntlBackslash", 86 },
	{ "F11", 87 },
	{ "F12", 88 },
	{ "IntlRo", 89 },
	{ "Convert", 92 },
	{ "KanaMode", 93 },
	{ "NonConvert", 94 },
	{ "NumpadEnter", 96 },
	{ "ControlRight", 97 },
	{ "NumpadDivide", 98 },
	{ "PrintScreen", 99 },
	{ "AltRight", 100 },
	{ "Home", 102 },
	{ "ArrowUp", 103 },
	{ "PageUp", 104 },
	{ "ArrowLeft", 105 },
	{ "ArrowRight", 106 },
	{ "End", 107 },
	{ "ArrowDown", 108 },
	{ "PageDown", 109 },
	{ "Insert", 110 },
	{ "Delete", 111 },
	{ "NumpadEqual", 117 },
	{ "Pause", 119 },
	{ "NumpadComma", 121 },
	{ "IntlYen", 124 },
	{ "MetaLeft", 125 },
	{ "MetaRight", 126 },
	{ "ContextMenu", 127 },
};

uint8_t keysym_code_position(const char *code)
{
	for (size_t i = 0; i < ARRAY_LEN(positions); i++)
		if (strcmp(positions[i].code, code) == 0)
			return (uint8_t)(positions[i].evdev + 8);
	return 0;
}
