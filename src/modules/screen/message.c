#include "modules/screen/message.h"

#include <errno.h>

#include <jansson.h>

#include "base/text.h"
#include "base/wire.h"

enum { BIN_MOVE = 0x01, BIN_BUTTON = 0x02, BIN_WHEEL = 0x03, BIN_KEY = 0x04, BIN_RELEASE = 0x05 };

static bool button_known(uint8_t button)
{
	return (button >= 1 && button <= 3) || button == 8 || button == 9;
}

static bool get_code(struct reader *r, char *dst)
{
	uint8_t len = reader_u8(r);
	struct span code = reader_bytes(r, len);

	if (reader_failed(r) || len > SCREEN_CODE_MAX)
		return false;
	for (size_t i = 0; i < code.len; i++)
		if (code.ptr[i] <= ' ' || code.ptr[i] > '~')
			return false;
	return text_copy_span(dst, SCREEN_CODE_MAX + 1, code);
}

static int parse_binary(struct span data, struct screen_message *m)
{
	struct reader r = reader_of(data);
	uint8_t down = 0;

	switch (reader_u8(&r)) {
	case BIN_MOVE:
		m->type = SCREEN_MOVE;
		m->x = reader_u16(&r);
		m->y = reader_u16(&r);
		break;
	case BIN_BUTTON:
		m->type = SCREEN_BUTTON;
		m->button = reader_u8(&r);
		down = reader_u8(&r);
		m->x = reader_u16(&r);
		m->y = reader_u16(&r);
		if (!button_known(m->button))
			return FL_EMALFORMED;
		break;
	case BIN_WHEEL:
		m->type = SCREEN_WHEEL;
		m->dx = (int16_t)reader_u16(&r);
		m->dy = (int16_t)reader_u16(&r);
		break;
	case BIN_KEY:
		m->type = SCREEN_KEY;
		down = reader_u8(&r);
		m->keysym = reader_u32(&r);
		if (!get_code(&r, m->code) || m->keysym == 0)
			return FL_EMALFORMED;
		break;
	case BIN_RELEASE:
		m->type = SCREEN_RELEASE;
		break;
	default:
		return data.len ? FL_EUNSUPPORTED : FL_EMALFORMED;
	}
	m->on = down;
	return reader_done(&r) && down <= 1 ? 0 : FL_EMALFORMED;
}

static int get_bool(json_t *root, const char *key, bool *out)
{
	json_t *v = json_object_get(root, key);

	if (!json_is_boolean(v))
		return FL_EMALFORMED;
	*out = json_is_true(v);
	return 0;
}

static int get_clipboard(json_t *root, struct screen_message *m)
{
	json_t *v = json_object_get(root, "text");

	if (!json_is_string(v))
		return FL_EMALFORMED;
	m->text_len = json_string_length(v);
	if (m->text_len > SCREEN_CLIPBOARD_MAX)
		return FL_EQUOTA;
	m->text = malloc(m->text_len + 1);
	if (!m->text)
		return -ENOMEM;
	memcpy(m->text, json_string_value(v), m->text_len + 1);
	return 0;
}

static int parse_object(json_t *root, struct screen_message *m)
{
	const char *type = json_string_value(json_object_get(root, "type"));
	const char *id;

	if (!type)
		return FL_EMALFORMED;
	if (strcmp(type, "control") == 0) {
		m->type = SCREEN_CONTROL;
		return get_bool(root, "on", &m->on);
	}
	if (strcmp(type, "display") == 0) {
		m->type = SCREEN_DISPLAY;
		id = json_string_value(json_object_get(root, "id"));
		return id && text_copy(m->display, sizeof(m->display), id) ? 0 : FL_EMALFORMED;
	}
	if (strcmp(type, "clipboard") == 0) {
		m->type = SCREEN_CLIPBOARD;
		return get_clipboard(root, m);
	}
	if (strcmp(type, "keyframe") == 0) {
		m->type = SCREEN_KEYFRAME;
		return 0;
	}
	if (strcmp(type, "hide") == 0) {
		m->type = SCREEN_HIDE;
		return get_bool(root, "hidden", &m->on);
	}
	return FL_EUNSUPPORTED;
}

int screen_message_parse(struct span data, bool text, struct screen_message *out)
{
	*out = (struct screen_message){ 0 };
	if (!text)
		return parse_binary(data, out);
	if (data.len > SCREEN_TEXT_MAX)
		return FL_EQUOTA;

	/* Without JSON_ALLOW_NUL a string with an escaped 0 is refused, and jansson checks UTF-8.
	 */
	json_t *root = json_loadb((const char *)data.ptr, data.len, JSON_REJECT_DUPLICATES, NULL);
	int err = root ? parse_object(root, out) : FL_EMALFORMED;

	json_decref(root);
	if (err < 0)
		screen_message_finish(out);
	return err;
}

void screen_message_finish(struct screen_message *m)
{
	free(m->text);
	m->text = NULL;
	m->text_len = 0;
}

/* Takes over the reference. */
static int put(struct buf *out, json_t *root)
{
	FL_AUTOFREE char *text = root ? json_dumps(root, JSON_COMPACT | JSON_REAL_PRECISION(6))
				      : NULL;

	json_decref(root);
	return text ? buf_append_span(out, span_str(text)) : -ENOMEM;
}

int screen_put_displays(struct buf *out, const struct screen_display *list, size_t n, size_t active)
{
	json_t *array = json_array();

	for (size_t i = 0; i < n; i++) {
		/* a monitor's name comes from its own memory: anything may stand there */
		char name[sizeof(list->name) * 4];
		text_printable(name, sizeof(name), span_str(list[i].name));
		if (json_array_append_new(array,
					  json_pack("{s:s,s:s,s:i,s:i,s:b}", "id", list[i].id,
						    "name", name, "width", list[i].width, "height",
						    list[i].height, "active", i == active)) < 0) {
			json_decref(array);
			return -ENOMEM;
		}
	}
	return put(out, json_pack("{s:s,s:o}", "type", "displays", "list", array));
}

int screen_put_control(struct buf *out, bool on, const char *by)
{
	return put(out, json_pack("{s:s,s:b,s:s}", "type", "control", "on", on, "by", by));
}

int screen_put_clipboard(struct buf *out, struct span text)
{
	return put(out, json_pack("{s:s,s:s%}", "type", "clipboard", "text", (const char *)text.ptr,
				  text.len));
}

int screen_put_figures(struct buf *out, const struct screen_figures *f)
{
	return put(out,
		   json_pack("{s:s,s:i,s:i,s:f,s:f,s:s,s:f,s:f}", "type", "figures", "width",
			     f->width, "height", f->height, "fps", f->fps, "kbps", f->kbps, "codec",
			     f->codec, "capture_ms", f->capture_ms, "encode_ms", f->encode_ms));
}

int screen_put_failed(struct buf *out, const char *code, const char *message)
{
	return put(out,
		   json_pack("{s:s,s:s,s:s}", "type", "failed", "code", code, "message", message));
}
