#include "hub/store/sqlite.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/text.h"
#include "hub/store/sqlite_internal.h"
#include "hub/store/sqlite_schema.h"

#define APPLICATION_ID 0x464c4844	   /* "FLHD" in the file's header */
#define BUSY_TIMEOUT_MS 3000		   /* somebody else's backup or shell */
#define CHECK_MAX_BYTES (64 * 1024 * 1024) /* larger files are not read through at start */

struct sqlite_store *sqlite_of(struct store *s)
{
	return CONTAINER_OF(s, struct sqlite_store, base);
}

int sqlite_fail(struct sqlite_store *s, int rc)
{
	snprintf(s->error, sizeof(s->error), "%s", sqlite3_errmsg(s->db));
	switch (rc & 0xff) {
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	case SQLITE_CONSTRAINT:
		return rc == SQLITE_CONSTRAINT_FOREIGNKEY ? -ENOENT
		       : rc == SQLITE_CONSTRAINT_TRIGGER  ? -EPERM
							  : -EEXIST;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return FL_EMALFORMED;
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_READONLY:
	case SQLITE_PERM:
	case SQLITE_CANTOPEN:
		return -EACCES;
	default:
		return -EIO;
	}
}

static int prepare(struct sqlite_store *s, enum statement which)
{
	int rc;

	if (s->statements[which]) {
		sqlite3_reset(s->statements[which]);
		return 0;
	}
	rc = sqlite3_prepare_v3(s->db, sqlite_statements[which], -1, SQLITE_PREPARE_PERSISTENT,
				&s->statements[which], NULL);
	return rc == SQLITE_OK ? 0 : sqlite_fail(s, rc);
}

static int bind_all(struct sqlite_store *s, sqlite3_stmt *st, const char *format, va_list ap)
{
	int rc = SQLITE_OK;

	for (int i = 1; rc == SQLITE_OK && format[i - 1]; i++)
		switch (format[i - 1]) {
		case 's':
			rc = sqlite3_bind_text(st, i, va_arg(ap, const char *), -1,
					       SQLITE_TRANSIENT);
			break;
		case 'k':
			rc = sqlite3_bind_blob(st, i, va_arg(ap, const uint8_t *), 32,
					       SQLITE_TRANSIENT);
			break;
		default:
			rc = sqlite3_bind_int64(st, i, va_arg(ap, int64_t));
			break;
		}
	return rc == SQLITE_OK ? 0 : sqlite_fail(s, rc);
}

static int vbind(struct sqlite_store *s, enum statement which, const char *format, va_list ap)
{
	int err = prepare(s, which);

	return err < 0 ? err : bind_all(s, s->statements[which], format, ap);
}

int sqlite_bind(struct sqlite_store *s, enum statement which, sqlite3_stmt **out,
		const char *format, ...)
{
	va_list ap;
	int err;

	va_start(ap, format);
	err = vbind(s, which, format, ap);
	va_end(ap);
	*out = s->statements[which];
	return err;
}

int sqlite_step(struct sqlite_store *s, sqlite3_stmt *st)
{
	int rc = sqlite3_step(st), err;

	if (rc == SQLITE_ROW)
		return 1;
	err = rc == SQLITE_DONE ? 0 : sqlite_fail(s, sqlite3_extended_errcode(s->db));
	sqlite3_reset(st);
	sqlite3_clear_bindings(st); /* hashes and passwords are not kept longer than needed */
	return err;
}

int sqlite_run(struct sqlite_store *s, enum statement which, const char *format, ...)
{
	va_list ap;
	int err;

	va_start(ap, format);
	err = vbind(s, which, format, ap);
	va_end(ap);
	if (err < 0)
		return err;
	do
		err = sqlite_step(s, s->statements[which]);
	while (err > 0);
	return err < 0 ? err : sqlite3_changes(s->db);
}

const char *sqlite_text(sqlite3_stmt *st, int column)
{
	const unsigned char *text = sqlite3_column_text(st, column);

	return text ? (const char *)text : "";
}

static int no_count(int err)
{
	return err < 0 ? err : 0;
}

static int op_begin(struct store *s)
{
	return no_count(sqlite_run(sqlite_of(s), ST_BEGIN, ""));
}

static int op_commit(struct store *s)
{
	return no_count(sqlite_run(sqlite_of(s), ST_COMMIT, ""));
}

static void op_rollback(struct store *s)
{
	struct sqlite_store *q = sqlite_of(s);

	q->audit_known = false;
	/* an I/O error or a full disk may have ended the transaction already */
	if (!sqlite3_get_autocommit(q->db) && sqlite_run(q, ST_ROLLBACK, "") < 0)
		return;
}

static int op_mark(struct store *s)
{
	return no_count(sqlite_run(sqlite_of(s), ST_MARK, ""));
}

static int op_unmark(struct store *s, bool undo)
{
	struct sqlite_store *q = sqlite_of(s);
	int err = 0;

	if (undo) {
		q->audit_known = false;
		err = sqlite_run(q, ST_UNDO, "");
	}
	return err < 0 ? err : no_count(sqlite_run(q, ST_RELEASE, ""));
}

static int op_meta_get(struct store *s, const char *key, char *dst, size_t cap)
{
	struct sqlite_store *q = sqlite_of(s);
	sqlite3_stmt *st;
	int err = sqlite_bind(q, ST_META_GET, &st, "s", key);

	if (err < 0)
		return err;
	err = sqlite_step(q, st);
	if (err <= 0)
		return err < 0 ? err : -ENOENT;
	err = text_copy(dst, cap, sqlite_text(st, 0)) ? 0 : FL_EQUOTA;
	sqlite3_reset(st);
	return err;
}

static int op_meta_set(struct store *s, const char *key, const char *value)
{
	return no_count(sqlite_run(sqlite_of(s), ST_META_SET, "ss", key, value));
}

static const char *op_error_text(const struct store *s)
{
	return CONTAINER_OF(s, struct sqlite_store, base)->error;
}

static void op_close(struct store *s)
{
	struct sqlite_store *q = sqlite_of(s);

	for (size_t i = 0; i < ST_COUNT; i++)
		sqlite3_finalize(q->statements[i]);
	sqlite3_close_v2(q->db);
	free(q);
}

static const struct store_ops ops = {
	.close = op_close,
	.error_text = op_error_text,
	.begin = op_begin,
	.commit = op_commit,
	.rollback = op_rollback,
	.mark = op_mark,
	.unmark = op_unmark,
	.meta_get = op_meta_get,
	.meta_set = op_meta_set,
	.user_add = sqlite_user_add,
	.user_by_name = sqlite_user_by_name,
	.user_by_id = sqlite_user_by_id,
	.user_first = sqlite_user_first,
	.user_password = sqlite_user_password,
	.cookie_add = sqlite_cookie_add,
	.cookie_user = sqlite_cookie_user,
	.cookie_remove = sqlite_cookie_remove,
	.cookie_remove_others = sqlite_cookie_remove_others,
	.link_add = sqlite_link_add,
	.link_use = sqlite_link_use,
	.key_set = sqlite_key_set,
	.key_user = sqlite_key_user,
	.token_add = sqlite_token_add,
	.token_get = sqlite_token_get,
	.token_use = sqlite_token_use,
	.device_add = sqlite_device_add,
	.device_by_key = sqlite_device_by_key,
	.device_update = sqlite_device_update,
	.device_place = sqlite_device_place,
	.device_seen = sqlite_device_seen,
	.device_forget = sqlite_device_forget,
	.devices = sqlite_devices,
	.place_add = sqlite_place_add,
	.place_update = sqlite_place_update,
	.place_empty = sqlite_place_empty,
	.place_devices = sqlite_place_devices,
	.place_remove = sqlite_place_remove,
	.places = sqlite_places,
	.session_add = sqlite_session_add,
	.session_route = sqlite_session_route,
	.session_verdict = sqlite_session_verdict,
	.session_end = sqlite_session_end,
	.sessions = sqlite_sessions,
	.sessions_running = sqlite_sessions_running,
	.session = sqlite_session,
	.routes = sqlite_routes,
	.audit_add = sqlite_audit_add,
	.audit = sqlite_audit,
	.audit_verify = sqlite_audit_verify,
};

static int execute(struct sqlite_store *s, const char *sql)
{
	int rc = sqlite3_exec(s->db, sql, NULL, NULL, NULL);

	return rc == SQLITE_OK ? 0 : sqlite_fail(s, sqlite3_extended_errcode(s->db));
}

/* The first column of the first row as a number, or negative. */
static int64_t number_of(struct sqlite_store *s, const char *sql)
{
	sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v2(s->db, sql, -1, &st, NULL);
	int64_t value = 0;

	if (rc == SQLITE_OK)
		rc = sqlite3_step(st);
	if (rc == SQLITE_ROW)
		value = sqlite3_column_int64(st, 0);
	else if (rc != SQLITE_DONE)
		value = sqlite_fail(s, rc);
	sqlite3_finalize(st);
	return value;
}

static int migrate(struct sqlite_store *s, int64_t from)
{
	char sql[96];
	int err = execute(s, "BEGIN EXCLUSIVE");

	for (int64_t v = from; err == 0 && v < SQLITE_STORE_VERSION; v++)
		err = execute(s, sqlite_migrations[v]);
	snprintf(sql, sizeof(sql), "PRAGMA application_id = %d; PRAGMA user_version = %d",
		 APPLICATION_ID, SQLITE_STORE_VERSION);
	if (err == 0)
		err = execute(s, sql);
	if (err == 0)
		err = execute(s, "COMMIT");
	if (err < 0 && !sqlite3_get_autocommit(s->db)) {
		char kept[sizeof(s->error)];

		memcpy(kept, s->error, sizeof(kept));
		if (execute(s, "ROLLBACK") == 0)
			memcpy(s->error, kept, sizeof(kept));
	}
	return err;
}

static int check_version(struct sqlite_store *s, const char *path, bool read_only, char why[256])
{
	int64_t version = number_of(s, "PRAGMA user_version");
	int64_t id = version < 0 ? version : number_of(s, "PRAGMA application_id");
	int64_t tables = id < 0 ? id : number_of(s, "SELECT count(*) FROM sqlite_schema");

	if (tables < 0)
		return (int)tables;
	if (id != APPLICATION_ID && tables > 0) {
		snprintf(why, 256,
			 "%s is a database of another program; choose another data "
			 "folder",
			 path);
		return -EINVAL;
	}
	if (version > SQLITE_STORE_VERSION) {
		snprintf(why, 256,
			 "%s was written by a later fairlead-hub (schema %lld, this one knows %d); "
			 "install that version or restore an older copy",
			 path, (long long)version, SQLITE_STORE_VERSION);
		return -EINVAL;
	}
	return version < SQLITE_STORE_VERSION && !read_only ? migrate(s, version) : 0;
}

static int set_up(struct sqlite_store *s, const char *path, bool read_only, char why[256])
{
	struct stat st;
	int err = execute(s, "PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF");

	if (err == 0 && !read_only)
		err = execute(s, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL");
	if (err == 0)
		err = check_version(s, path, read_only, why);
	if (err == 0 && !read_only && stat(path, &st) == 0 && st.st_size < CHECK_MAX_BYTES &&
	    number_of(s, "SELECT count(*) FROM pragma_quick_check(1) WHERE quick_check <> 'ok'") !=
		    0)
		err = FL_EMALFORMED;
	return err;
}

static void explain(const struct sqlite_store *s, const char *path, int err, char why[256])
{
	if (err == FL_EMALFORMED)
		snprintf(why, 256,
			 "%.80s is damaged (%.80s); restore it from a backup, or move it away "
			 "to start empty",
			 path, s->error[0] ? s->error : "failed its check");
	else if (err == -EBUSY)
		snprintf(why, 256,
			 "%s is locked by another program; close that one and start again", path);
	else
		snprintf(why, 256,
			 "%.90s cannot be opened: %.90s; check the folder's owner and free "
			 "space",
			 path, s->error[0] ? s->error : err_text(err));
}

int sqlite_store_open(const char *path, bool read_only, struct store **out, char why[256])
{
	struct sqlite_store *s = calloc(1, sizeof(*s));
	int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE |
		    (read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE);
	int rc, err = 0, fd;

	why[0] = 0;
	if (!s)
		return -ENOMEM;
	s->base.ops = &ops;
	/* made by us, so that SQLite's files beside it inherit 0600 and not the umask */
	if (!read_only && (fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600)) >= 0)
		close(fd);
	rc = sqlite3_open_v2(path, &s->db, flags, NULL);
	if (rc == SQLITE_OK) {
		sqlite3_busy_timeout(s->db, BUSY_TIMEOUT_MS);
		err = set_up(s, path, read_only, why);
	} else {
		err = s->db ? sqlite_fail(s, rc) : -ENOMEM;
	}
	if (err < 0) {
		if (!why[0])
			explain(s, path, err, why);
		op_close(&s->base);
		return err;
	}
	*out = &s->base;
	return 0;
}
