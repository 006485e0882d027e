#include "modules/files/message.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "base/text.h"
#include "base/wire.h"

bool files_name_valid(struct span name)
{
	if (name.len == 0 || name.len > FILES_NAME_MAX || span_is(name, ".") || span_is(name, ".."))
		return false;
	for (size_t i = 0; i < name.len; i++)
		if (name.ptr[i] < 0x20 || name.ptr[i] == 0x7f || name.ptr[i] == '/')
			return false;
	return true;
}

bool files_path_valid(struct span path)
{
	size_t start = 0, names = 0;

	if (path.len > FILES_PATH_MAX)
		return false;
	for (size_t i = 0; i <= path.len; i++) {
		if (i < path.len && path.ptr[i] != '/')
			continue;
		if (!files_name_valid(span_of(path.ptr + start, i - start)) ||
		    ++names > FILES_DEPTH_MAX)
			return false;
		start = i + 1;
	}
	return true;
}

static bool target_valid(struct span target)
{
	return target.len > 0 && target.len <= FILES_PATH_MAX && !memchr(target.ptr, 0, target.len);
}

static void get_entry(struct reader *r, struct files_message *m)
{
	m->kind = reader_u8(r);
	m->mode = reader_u16(r);
	m->mtime_ns = (int64_t)reader_u64(r);
	m->size = reader_u64(r);
	m->path = reader_bytes(r, reader_u16(r));
	m->target = reader_rest(r);
	bool link = m->kind == FILES_LINK;
	if (m->kind < FILES_FILE || m->kind > FILES_DIR_END || m->mode > 0777 ||
	    m->size > INT64_MAX || (m->kind != FILES_FILE && m->size) ||
	    !files_path_valid(m->path) || (link ? !target_valid(m->target) : m->target.len > 0))
		reader_fail(r);
}

int files_message_get(struct span in, struct files_message *out)
{
	struct reader r = reader_of(in);
	struct files_message m = { .type = reader_u8(&r) };

	switch (m.type) {
	case FILES_PUT:
	case FILES_GET:
	case FILES_LIST:
	case FILES_BEGUN:
	case FILES_FAILED:
		m.bytes = reader_rest(&r);
		break;
	case FILES_DATA:
		m.bytes = reader_rest(&r);
		if (m.bytes.len == 0)
			reader_fail(&r);
		break;
	case FILES_ENTRY:
		get_entry(&r, &m);
		break;
	case FILES_FROM:
		m.offset = reader_u64(&r);
		break;
	case FILES_WANT:
		m.offset = reader_u64(&r);
		(void)reader_copy(&r, m.hash, sizeof(m.hash));
		break;
	case FILES_END:
		(void)reader_copy(&r, m.hash, sizeof(m.hash));
		break;
	case FILES_DONE:
		m.skipped = reader_u32(&r);
		break;
	case FILES_ACK:
		m.bytes_done = reader_u32(&r);
		m.entries_done = reader_u16(&r);
		break;
	case FILES_COMPLETE:
	case FILES_BUSY:
		break;
	default:
		return FL_EMALFORMED;
	}
	if (!reader_done(&r))
		return FL_EMALFORMED;
	*out = m;
	return 0;
}

int files_message_put(const struct files_message *m, void *dst, size_t cap)
{
	struct writer w = writer_of(dst, cap);

	writer_u8(&w, (uint8_t)m->type);
	switch (m->type) {
	case FILES_PUT:
	case FILES_GET:
	case FILES_LIST:
	case FILES_BEGUN:
	case FILES_FAILED:
	case FILES_DATA:
		writer_span_put(&w, m->bytes);
		break;
	case FILES_ENTRY:
		writer_u8(&w, (uint8_t)m->kind);
		writer_u16(&w, m->mode);
		writer_u64(&w, (uint64_t)m->mtime_ns);
		writer_u64(&w, m->size);
		writer_u16(&w, (uint16_t)m->path.len);
		writer_span_put(&w, m->path);
		writer_span_put(&w, m->target);
		break;
	case FILES_FROM:
		writer_u64(&w, m->offset);
		break;
	case FILES_WANT:
		writer_u64(&w, m->offset);
		writer_bytes(&w, m->hash, sizeof(m->hash));
		break;
	case FILES_END:
		writer_bytes(&w, m->hash, sizeof(m->hash));
		break;
	case FILES_DONE:
		writer_u32(&w, m->skipped);
		break;
	case FILES_ACK:
		writer_u32(&w, m->bytes_done);
		writer_u16(&w, m->entries_done);
		break;
	case FILES_COMPLETE:
	case FILES_BUSY:
		break;
	}
	return writer_failed(&w) ? FL_EQUOTA : (int)writer_len(&w);
}

/* ---- JSON ---- */

static int add_path(struct files_request *r, json_t *value, char why[128])
{
	const char *s = json_string_value(value);

	if (!s || strlen(s) > FILES_PATH_MAX) {
		snprintf(why, 128, "a path must be a text of at most %d bytes", FILES_PATH_MAX);
		return FL_EMALFORMED;
	}
	if (!(r->paths[r->n_paths] = strdup(s)))
		return -ENOMEM;
	r->n_paths++;
	return 0;
}

static int add_paths(struct files_request *r, json_t *root, char why[128])
{
	json_t *list = json_object_get(root, "paths"), *value;
	size_t i, n = r->type == FILES_GET ? json_array_size(list) : 1;
	int err = 0;

	if (n == 0 || n > FILES_ROOTS_MAX) {
		snprintf(why, 128, "paths must be a list of 1 to %d texts", FILES_ROOTS_MAX);
		return FL_EMALFORMED;
	}
	r->paths = calloc(n, sizeof(*r->paths));
	if (!r->paths)
		return -ENOMEM;
	if (r->type != FILES_GET)
		return add_path(r, json_object_get(root, "path"), why);
	json_array_foreach(list, i, value) if (err == 0) err = add_path(r, value, why);
	return err;
}

int files_request_parse(const struct files_message *m, struct files_request *out, char why[128])
{
	struct files_request r = { .type = m->type };
	json_t *root = json_loadb((const char *)m->bytes.ptr, m->bytes.len, JSON_REJECT_DUPLICATES,
				  NULL);
	json_t *into = json_object_get(root, "into");
	int err;

	snprintf(why, 128, "out of memory");
	if (!json_is_object(root)) {
		snprintf(why, 128, "the request is not a JSON object");
		err = FL_EMALFORMED;
	} else {
		err = add_paths(&r, root, why);
	}
	if (m->type == FILES_PUT) {
		r.force = json_is_true(json_object_get(root, "force"));
		r.many = json_is_true(json_object_get(root, "many"));
		r.has_into = json_is_boolean(into);
		r.into = json_is_true(into);
	}
	json_decref(root);
	if (err < 0) {
		files_request_finish(&r);
		return err;
	}
	*out = r;
	return 0;
}

void files_request_finish(struct files_request *r)
{
	for (size_t i = 0; i < r->n_paths; i++)
		free(r->paths[i]);
	free(r->paths);
	r->paths = NULL;
	r->n_paths = 0;
}

char *files_request_format(const struct files_request *r)
{
	json_t *root = json_object(), *list = json_array();
	int err = root && list ? 0 : -1;

	if (r->type == FILES_GET) {
		for (size_t i = 0; i < r->n_paths; i++)
			err |= json_array_append_new(list, json_string(r->paths[i]));
		err |= json_object_set(root, "paths", list);
	} else {
		err |= json_object_set_new(root, "path", json_string(r->paths[0]));
	}
	if (r->type == FILES_PUT) {
		err |= json_object_set_new(root, "force", json_boolean(r->force));
		err |= json_object_set_new(root, "many", json_boolean(r->many));
		if (r->has_into)
			err |= json_object_set_new(root, "into", json_boolean(r->into));
	}
	char *text = err ? NULL : json_dumps(root, JSON_COMPACT);
	json_decref(list);
	json_decref(root);
	return text;
}

int files_begun_parse(struct span json, bool *into)
{
	json_t *root = json_loadb((const char *)json.ptr, json.len, 0, NULL);
	json_t *value = json_object_get(root, "into");
	bool good = json_is_boolean(value);

	*into = json_is_true(value);
	json_decref(root);
	return good ? 0 : FL_EMALFORMED;
}

void files_failure_parse(struct span json, struct files_failure *out)
{
	json_t *root = json_loadb((const char *)json.ptr, json.len, 0, NULL);
	const char *code = json_string_value(json_object_get(root, "code"));
	const char *text = json_string_value(json_object_get(root, "message"));

	text_printable(out->code, sizeof(out->code), span_str(code ? code : "internal"));
	text_printable(out->text, sizeof(out->text),
		       span_str(text ? text : "The other end gave up without a reason."));
	json_decref(root);
}

char *files_failure_format(const struct files_failure *f)
{
	json_t *root = json_pack("{s:s, s:s}", "code", f->code, "message", f->text);
	char *text = root ? json_dumps(root, JSON_COMPACT) : NULL;

	json_decref(root);
	return text;
}
