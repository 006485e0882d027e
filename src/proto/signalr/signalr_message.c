#include "proto/signalr/signalr_message.h"

#include <errno.h>

#include "base/err.h"
#include "proto/signalr/signalr.h"

/* How deep arrays and objects nest; text that is no JSON may give any number. */
static unsigned depth_of(struct span text)
{
	unsigned depth = 0, deepest = 0;
	bool in_string = false;

	for (size_t i = 0; i < text.len; i++) {
		uint8_t c = text.ptr[i];

		if (in_string) {
			if (c == '\\')
				i++;
			else if (c == '"')
				in_string = false;
		} else if (c == '"') {
			in_string = true;
		} else if (c == '[' || c == '{') {
			depth++;
			deepest = FL_MAX(deepest, depth);
		} else if ((c == ']' || c == '}') && depth > 0) {
			depth--;
		}
	}
	return deepest;
}

json_t *signalr_parse(struct span text, unsigned depth_max, const char **fault)
{
	json_error_t error;
	json_t *root;

	/* jansson recurses, so the depth is looked at before */
	if (depth_of(text) > depth_max) {
		*fault = "message nests too deep";
		return NULL;
	}
	root = json_loadb((const char *)text.ptr, text.len, JSON_REJECT_DUPLICATES, &error);
	if (!root)
		*fault = json_error_code(&error) == json_error_out_of_memory
				 ? "no memory"
				 : "message is not JSON";
	return root;
}

/* A string member of 1 to max bytes. False when it is there and is not that. */
static bool get_text(json_t *root, const char *key, size_t max, const char **out)
{
	json_t *v = json_object_get(root, key);

	*out = NULL;
	if (!v)
		return true;
	if (!json_is_string(v) || json_string_length(v) < 1 || json_string_length(v) > max)
		return false;
	*out = json_string_value(v);
	return true;
}

static const char *read_invocation(struct signalr_message *m)
{
	json_t *streams = json_object_get(m->root, "streamIds");

	m->args = json_object_get(m->root, "arguments");
	if (!get_text(m->root, "target", SIGNALR_TARGET_MAX, &m->target) || !m->target)
		return "invocation without a proper target";
	if (!json_is_array(m->args))
		return "invocation without an array of arguments";
	if (m->type == SIGNALR_TYPE_STREAM_INVOCATION && !m->invocation_id)
		return "stream invocation without an id";
	m->streams = json_array_size(streams) > 0;
	return NULL;
}

static const char *read_completion(struct signalr_message *m)
{
	json_t *error = json_object_get(m->root, "error");

	m->result = json_object_get(m->root, "result");
	if (!m->invocation_id)
		return "completion without an id";
	if (error && !json_is_null(error)) {
		if (!json_is_string(error))
			return "completion's error is not text";
		if (m->result && !json_is_null(m->result))
			return "completion with result and error";
		m->error = json_string_value(error);
		m->result = NULL;
	}
	return NULL;
}

static const char *read_close(struct signalr_message *m)
{
	json_t *error = json_object_get(m->root, "error");

	if (error && !json_is_null(error) && !json_is_string(error))
		return "close's error is not text";
	m->error = json_string_value(error);
	m->allow_reconnect = json_is_true(json_object_get(m->root, "allowReconnect"));
	return NULL;
}

const char *signalr_message_read(json_t *root, struct signalr_message *out)
{
	json_t *type = json_object_get(root, "type");

	*out = (struct signalr_message){ .root = root, .type = json_integer_value(type) };
	if (!json_is_integer(type))
		return "message without a type";
	if (!get_text(root, "invocationId", SIGNALR_ID_MAX, &out->invocation_id))
		return "malformed invocation id";
	switch (out->type) {
	case SIGNALR_TYPE_INVOCATION:
	case SIGNALR_TYPE_STREAM_INVOCATION:
		return read_invocation(out);
	case SIGNALR_TYPE_COMPLETION:
		return read_completion(out);
	case SIGNALR_TYPE_CLOSE:
		return read_close(out);
	default: /* stream items, cancels, pings and what is yet to be invented */
		return NULL;
	}
}

void signalr_message_finish(struct signalr_message *m)
{
	json_decref(m->root);
	*m = (struct signalr_message){ 0 };
}

struct sink {
	struct buf *out;
	size_t limit; /* of out's length */
	int err;
};

static int dump_into(const char *text, size_t len, void *arg)
{
	struct sink *sink = arg;

	if (len > sink->limit - sink->out->len)
		sink->err = FL_EQUOTA;
	else
		sink->err = buf_append(sink->out, text, len);
	return sink->err < 0 ? -1 : 0;
}

int signalr_message_put(struct buf *out, size_t max, json_t *root)
{
	size_t before = out->len;
	struct sink sink = { out, before + max, 0 };
	int r;

	if (!root)
		return -ENOMEM;
	r = json_dump_callback(root, dump_into, &sink, JSON_COMPACT);
	json_decref(root);
	if (r == 0)
		r = dump_into("\x1e", 1, &sink);
	if (r == 0)
		return 0;
	out->len = before;
	return sink.err < 0 ? sink.err : FL_EMALFORMED;
}

json_t *signalr_make_invocation(const char *id, const char *target, json_t *arg)
{
	json_t *args = arg ? json_pack("[O]", arg) : json_array();

	if (!args)
		return NULL;
	if (id)
		return json_pack("{s:i, s:s, s:s, s:o}", "type", SIGNALR_TYPE_INVOCATION,
				 "invocationId", id, "target", target, "arguments", args);
	return json_pack("{s:i, s:s, s:o}", "type", SIGNALR_TYPE_INVOCATION, "target", target,
			 "arguments", args);
}

json_t *signalr_make_completion(const char *id, json_t *result, const char *error)
{
	if (error)
		return json_pack("{s:i, s:s, s:s}", "type", SIGNALR_TYPE_COMPLETION, "invocationId",
				 id, "error", error);
	if (result)
		return json_pack("{s:i, s:s, s:O}", "type", SIGNALR_TYPE_COMPLETION, "invocationId",
				 id, "result", result);
	return json_pack("{s:i, s:s}", "type", SIGNALR_TYPE_COMPLETION, "invocationId", id);
}

json_t *signalr_make_close(const char *error, bool allow_reconnect)
{
	json_t *root = json_pack("{s:i}", "type", SIGNALR_TYPE_CLOSE);

	if (root &&
	    ((error && json_object_set_new(root, "error", json_string(error)) < 0) ||
	     (allow_reconnect && json_object_set_new(root, "allowReconnect", json_true()) < 0))) {
		json_decref(root);
		return NULL;
	}
	return root;
}
