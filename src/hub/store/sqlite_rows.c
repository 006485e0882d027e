/* Devices, sessions and the audit log. */
#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "base/text.h"
#include "hub/store/sqlite_internal.h"

static int no_count(int err)
{
	return err < 0 ? err : 0;
}

static int one_row(int n)
{
	return n == 0 ? -ENOENT : no_count(n);
}

static void copy_blob(sqlite3_stmt *st, int column, uint8_t dst[32])
{
	memset(dst, 0, 32);
	if (sqlite3_column_bytes(st, column) == 32)
		memcpy(dst, sqlite3_column_blob(st, column), 32);
}

int sqlite_device_add(struct store *s, const struct store_device *d)
{
	return no_count(sqlite_run(sqlite_of(s), ST_DEVICE_ADD, "skssssiis", d->id, d->key, d->name,
				   d->client, d->status, d->token, d->enrolled, d->last_seen,
				   d->place ? d->place : STORE_ROOT));
}

int sqlite_device_by_key(struct store *s, const uint8_t key[32], const char *token,
			 char id[STORE_ID_CAP])
{
	struct sqlite_store *q = sqlite_of(s);
	sqlite3_stmt *st;
	int err = sqlite_bind(q, ST_DEVICE_BY_KEY, &st, "ks", key, token);

	if (err == 0)
		err = sqlite_step(q, st);
	if (err <= 0)
		return err < 0 ? err : -ENOENT;
	text_copy(id, STORE_ID_CAP, sqlite_text(st, 0));
	sqlite3_reset(st);
	return 0;
}

int sqlite_device_update(struct store *s, const struct store_device *d)
{
	return one_row(sqlite_run(sqlite_of(s), ST_DEVICE_UPDATE, "sssis", d->name, d->client,
				  d->status, d->last_seen, d->id));
}

int sqlite_device_seen(struct store *s, const char *id, int64_t at)
{
	return one_row(sqlite_run(sqlite_of(s), ST_DEVICE_SEEN, "is", at, id));
}

int sqlite_device_forget(struct store *s, const char *id, int64_t now)
{
	return one_row(sqlite_run(sqlite_of(s), ST_DEVICE_FORGET, "is", now, id));
}

/* Hands each row of a bound statement to put until that, or the walk, fails. */
static int walk(struct sqlite_store *q, sqlite3_stmt *st, int (*put)(void *arg, sqlite3_stmt *st),
		void *arg)
{
	int more, err;

	while ((more = sqlite_step(q, st)) > 0) {
		err = put(arg, st);
		if (err < 0) {
			sqlite3_reset(st);
			return err;
		}
	}
	return more;
}

struct device_walk {
	store_device_fn each;
	void *arg;
};

static int put_device(void *arg, sqlite3_stmt *st)
{
	const struct device_walk *w = arg;
	struct store_device d = {
		.id = sqlite_text(st, 0),
		.name = sqlite_text(st, 2),
		.client = sqlite_text(st, 3),
		.status = sqlite_text(st, 4),
		.token = sqlite_text(st, 5),
		.enrolled = sqlite3_column_int64(st, 6),
		.last_seen = sqlite3_column_int64(st, 7),
		.place = sqlite_text(st, 8),
	};

	copy_blob(st, 1, d.key);
	return w->each(w->arg, &d);
}

int sqlite_devices(struct store *s, store_device_fn each, void *arg)
{
	struct sqlite_store *q = sqlite_of(s);
	struct device_walk w = { each, arg };
	sqlite3_stmt *st;
	int err = sqlite_bind(q, ST_DEVICES, &st, "");

	return err < 0 ? err : walk(q, st, put_device, &w);
}

int sqlite_session_add(struct store *s, const struct store_session *row)
{
	return no_count(sqlite_run(sqlite_of(s), ST_SESSION_ADD, "ssssi", row->id, row->device,
				   row->user, row->modules, row->started));
}

int sqlite_session_route(struct store *s, const char *id, bool from_device, const char *route)
{
	return one_row(sqlite_run(sqlite_of(s),
				  from_device ? ST_SESSION_ROUTE_DEVICE : ST_SESSION_ROUTE_CONSOLE,
				  "ss", route, id));
}

int sqlite_session_verdict(struct store *s, const char *id, const struct store_verdict *v)
{
	return one_row(sqlite_run(sqlite_of(s), ST_SESSION_VERDICT, "sssss", v->json, v->method,
				  v->cause, v->side, id));
}

int sqlite_session_end(struct store *s, const char *id, const char *reason, int64_t now)
{
	return one_row(sqlite_run(sqlite_of(s), ST_SESSION_END, "iss", now, reason, id));
}

struct session_walk {
	store_session_fn each;
	void *arg;
};

static int put_session(void *arg, sqlite3_stmt *st)
{
	const struct session_walk *w = arg;
	struct store_session row = {
		.id = sqlite_text(st, 0),
		.device = sqlite_text(st, 1),
		.user = sqlite_text(st, 2),
		.device_name = sqlite_text(st, 3),
		.user_name = sqlite_text(st, 4),
		.modules = sqlite_text(st, 5),
		.started = sqlite3_column_int64(st, 6),
		.ended = sqlite3_column_int64(st, 7),
		.end_reason = (const char *)sqlite3_column_text(st, 8),
		.route = (const char *)sqlite3_column_text(st, 9),
		.routes = { (const char *)sqlite3_column_text(st, 10),
			    (const char *)sqlite3_column_text(st, 11) },
		.verdict = (const char *)sqlite3_column_text(st, 12),
	};

	return w->each(w->arg, &row);
}

int sqlite_sessions(struct store *s, const char *device, int limit, store_session_fn each,
		    void *arg)
{
	struct sqlite_store *q = sqlite_of(s);
	struct session_walk w = { each, arg };
	sqlite3_stmt *st;
	int err;

	if (device)
		err = sqlite_bind(q, ST_SESSIONS_OF, &st, "si", device, (int64_t)limit);
	else
		err = sqlite_bind(q, ST_SESSIONS, &st, "i", (int64_t)limit);
	return err < 0 ? err : walk(q, st, put_session, &w);
}

int sqlite_sessions_running(struct store *s, store_session_fn each, void *arg)
{
	struct sqlite_store *q = sqlite_of(s);
	struct session_walk w = { each, arg };
	sqlite3_stmt *st;
	int err = sqlite_bind(q, ST_SESSIONS_RUNNING, &st, "");

	return err < 0 ? err : walk(q, st, put_session, &w);
}

int sqlite_session(struct store *s, const char *id, store_session_fn each, void *arg)
{
	struct sqlite_store *q = sqlite_of(s);
	struct session_walk w = { each, arg };
	sqlite3_stmt *st;
	int err = sqlite_bind(q, ST_SESSION, &st, "s", id);

	return err < 0 ? err : walk(q, st, put_session, &w);
}

struct route_walk {
	store_route_fn each;
	void *arg;
};

static int put_route(void *arg, sqlite3_stmt *st)
{
	const struct route_walk *w = arg;
	const struct store_route_count c = {
		.place = sqlite_text(st, 0),
		.name = sqlite_text(st, 1),
		.verdict = { .method = sqlite_text(st, 2),
			     .cause = sqlite_text(st, 3),
			     .side = sqlite_text(st, 4),
			     .json = sqlite_text(st, 6) },
		.sessions = sqlite3_column_int64(st, 5),
	};

	return w->each(w->arg, &c);
}

int sqlite_routes(struct store *s, int64_t since, store_route_fn each, void *arg)
{
	struct sqlite_store *q = sqlite_of(s);
	struct route_walk w = { each, arg };
	sqlite3_stmt *st;
	int err = sqlite_bind(q, ST_ROUTES, &st, "i", since);

	return err < 0 ? err : walk(q, st, put_route, &w);
}

static int load_last(struct sqlite_store *q)
{
	sqlite3_stmt *st;
	int err;

	if (q->audit_known)
		return 0;
	q->audit_id = 0;
	memset(q->audit_hash, 0, sizeof(q->audit_hash));
	err = sqlite_bind(q, ST_AUDIT_LAST, &st, "");
	if (err == 0)
		err = sqlite_step(q, st);
	if (err < 0)
		return err;
	if (err > 0) {
		q->audit_id = sqlite3_column_int64(st, 0);
		copy_blob(st, 1, q->audit_hash);
		sqlite3_reset(st);
	}
	q->audit_known = true;
	return 0;
}

int sqlite_audit_add(struct store *s, int64_t now, const char *actor, const char *action,
		     const char *target, const char *detail)
{
	struct sqlite_store *q = sqlite_of(s);
	struct store_audit row = {
		.at = now, .actor = actor, .action = action, .target = target, .detail = detail
	};
	int err = load_last(q);

	if (err < 0)
		return err;
	row.id = q->audit_id + 1;
	store_audit_hash(q->audit_hash, &row, row.hash);
	err = sqlite_run(q, ST_AUDIT_ADD, "iissssk", row.id, now, actor, action, target, detail,
			 row.hash);
	if (err < 0)
		return err;
	q->audit_id = row.id;
	memcpy(q->audit_hash, row.hash, sizeof(row.hash));
	return 0;
}

struct audit_walk {
	store_audit_fn each;
	void *arg;
};

static int put_audit(void *arg, sqlite3_stmt *st)
{
	const struct audit_walk *w = arg;
	struct store_audit row = {
		.id = sqlite3_column_int64(st, 0),
		.at = sqlite3_column_int64(st, 1),
		.actor = sqlite_text(st, 2),
		.action = sqlite_text(st, 3),
		.target = sqlite_text(st, 4),
		.detail = sqlite_text(st, 5),
	};

	copy_blob(st, 6, row.hash);
	return w->each(w->arg, &row);
}

int sqlite_audit(struct store *s, int64_t before, int limit, store_audit_fn each, void *arg)
{
	struct sqlite_store *q = sqlite_of(s);
	struct audit_walk w = { each, arg };
	sqlite3_stmt *st;
	int err = sqlite_bind(q, ST_AUDIT_PAGE, &st, "ii", before > 0 ? before : INT64_MAX,
			      (int64_t)limit);

	return err < 0 ? err : walk(q, st, put_audit, &w);
}

struct verify {
	int64_t next_id, bad_id;
	uint8_t hash[STORE_HASH_LEN];
};

static int verify_row(void *arg, const struct store_audit *row)
{
	struct verify *v = arg;

	store_audit_hash(v->hash, row, v->hash);
	if (row->id == v->next_id++ && memcmp(v->hash, row->hash, sizeof(v->hash)) == 0)
		return 0;
	v->bad_id = row->id;
	return FL_EMALFORMED;
}

int sqlite_audit_verify(struct store *s, int64_t *bad_id)
{
	struct sqlite_store *q = sqlite_of(s);
	struct verify v = { .next_id = 1 };
	struct audit_walk w = { verify_row, &v };
	sqlite3_stmt *st;
	int err = sqlite_bind(q, ST_AUDIT_ALL, &st, "");

	if (err == 0)
		err = walk(q, st, put_audit, &w);
	*bad_id = v.bad_id;
	return err;
}
