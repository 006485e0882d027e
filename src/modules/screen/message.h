/*
 * The messages of the screen channel (docs/protocol.md §4.2), read and written. No state here: a
 * message is parsed wholly into a value or refused.
 *
 * Text from a console is hostile as any peer's: sizes are limited here, the rest is the business of
 * whoever uses the value.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"

#define SCREEN_CLIPBOARD_MAX 60000 /* bytes of UTF-8 */
#define SCREEN_CODE_MAX 32	   /* bytes of KeyboardEvent.code */
#define SCREEN_DISPLAY_ID_MAX 64
#define SCREEN_TEXT_MAX 65536 /* bytes of any message to the console */

enum screen_message_type {
	SCREEN_CONTROL,
	SCREEN_DISPLAY,
	SCREEN_CLIPBOARD,
	SCREEN_KEYFRAME,
	SCREEN_HIDE,
	SCREEN_MOVE,
	SCREEN_BUTTON,
	SCREEN_WHEEL,
	SCREEN_KEY,
	SCREEN_RELEASE,
};

struct screen_message {
	enum screen_message_type type;
	bool on;			/* control: on; hide: hidden; button, key: down */
	uint16_t x, y;			/* move, button: 0…65535 across the display */
	uint8_t button;			/* 1, 2, 3, 8, 9 */
	int16_t dx, dy;			/* wheel: 1/120 of a notch */
	uint32_t keysym;		/* key */
	char code[SCREEN_CODE_MAX + 1]; /* key: ASCII, may be empty */
	char display[SCREEN_DISPLAY_ID_MAX + 1];
	char *text; /* clipboard: valid UTF-8 without 0 bytes; owned, see finish */
	size_t text_len;
};

/*
 * 0, FL_EMALFORMED (not what §4.2 says), FL_EQUOTA (too long), FL_EUNSUPPORTED (a type of a later
 * version) or -ENOMEM. Only after 0 there is something to finish.
 */
int screen_message_parse(struct span data, bool text, struct screen_message *out) FL_WARN_UNUSED;
void screen_message_finish(struct screen_message *m);

struct screen_display {
	char id[16];
	char name[64];
	int x, y, width, height; /* in the desktop's pixels */
};

struct screen_figures {
	int width, height;
	double fps, kbps, capture_ms, encode_ms;
	const char *codec;
};

/* Each appends one JSON text to out: 0, FL_EQUOTA or -ENOMEM. */
int screen_put_displays(struct buf *out, const struct screen_display *list, size_t n,
			size_t active) FL_WARN_UNUSED;
int screen_put_control(struct buf *out, bool on, const char *by) FL_WARN_UNUSED;
int screen_put_clipboard(struct buf *out, struct span text) FL_WARN_UNUSED;
int screen_put_figures(struct buf *out, const struct screen_figures *f) FL_WARN_UNUSED;
int screen_put_failed(struct buf *out, const char *code, const char *message) FL_WARN_UNUSED;
