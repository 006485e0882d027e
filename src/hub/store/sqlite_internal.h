/* Shared by the files that make up the SQLite store; nobody else includes this. */
#pragma once

#include <sqlite3.h>

#include "base/span.h"
#include "hub/store/store.h"

/* One prepared statement each, made on first use and kept. */
enum statement {
	ST_BEGIN,
	ST_COMMIT,
	ST_ROLLBACK,
	ST_MARK,
	ST_RELEASE,
	ST_UNDO,
	ST_META_GET,
	ST_META_SET,
	ST_USER_ADD,
	ST_USER_BY_NAME,
	ST_USER_BY_ID,
	ST_USER_FIRST,
	ST_USER_PASSWORD,
	ST_COOKIE_ADD,
	ST_COOKIE_PURGE,
	ST_COOKIE_USER,
	ST_COOKIE_REMOVE,
	ST_COOKIE_REMOVE_OTHERS,
	ST_LINK_ADD,
	ST_LINK_PURGE,
	ST_LINK_GET,
	ST_LINK_USE,
	ST_KEY_SET,
	ST_KEY_USER,
	ST_TOKEN_ADD,
	ST_TOKEN_GET,
	ST_TOKEN_USE,
	ST_DEVICE_ADD,
	ST_DEVICE_BY_KEY,
	ST_DEVICE_UPDATE,
	ST_DEVICE_PLACE,
	ST_DEVICE_SEEN,
	ST_DEVICE_FORGET,
	ST_DEVICES,
	ST_PLACE_ADD,
	ST_PLACE_UPDATE,
	ST_PLACE_DEVICES,
	ST_PLACE_MOVE_DEVICES,
	ST_PLACE_MOVE_TOKENS,
	ST_PLACE_MOVE_PLACES,
	ST_PLACE_REMOVE,
	ST_PLACES,
	ST_SESSION_ADD,
	ST_SESSION_ROUTE_CONSOLE,
	ST_SESSION_ROUTE_DEVICE,
	ST_SESSION_VERDICT,
	ST_SESSION_END,
	ST_SESSIONS,
	ST_SESSIONS_OF,
	ST_SESSIONS_RUNNING,
	ST_SESSION,
	ST_ROUTES,
	ST_AUDIT_LAST,
	ST_AUDIT_ADD,
	ST_AUDIT_PAGE,
	ST_AUDIT_ALL,
	ST_COUNT
};

struct sqlite_store {
	struct store base;
	sqlite3 *db;
	sqlite3_stmt *statements[ST_COUNT];
	char error[256];
	bool audit_known; /* the two below are those of the last committed or pending row */
	int64_t audit_id;
	uint8_t audit_hash[STORE_HASH_LEN];
};

struct sqlite_store *sqlite_of(struct store *s);

/*
 * Binds the arguments by a format letter each and leaves the statement ready to step: s text (NULL
 * allowed), i int64_t, k 32 bytes. 0 or negative.
 */
int sqlite_bind(struct sqlite_store *s, enum statement which, sqlite3_stmt **out,
		const char *format, ...) FL_WARN_UNUSED;

/* 1: a row is there; 0: done, and the statement is reset; negative: failed, and reset. */
int sqlite_step(struct sqlite_store *s, sqlite3_stmt *st) FL_WARN_UNUSED;

/* Binds, runs to the end, resets. The number of changed rows, or negative. */
int sqlite_run(struct sqlite_store *s, enum statement which, const char *format,
	       ...) FL_WARN_UNUSED;

/* Never NULL. */
const char *sqlite_text(sqlite3_stmt *st, int column);

int sqlite_fail(struct sqlite_store *s, int rc); /* our code for SQLite's; keeps its text */

extern const char *const sqlite_statements[ST_COUNT];

/* sqlite_identity.c */
int sqlite_user_add(struct store *s, const struct store_user *u, int64_t now);
int sqlite_user_by_name(struct store *s, const char *name, struct store_user *out);
int sqlite_user_by_id(struct store *s, const char *id, struct store_user *out);
int sqlite_user_first(struct store *s, struct store_user *out);
int sqlite_user_password(struct store *s, const char *id, const char *encoded, int64_t now);
int sqlite_cookie_add(struct store *s, const uint8_t hash[32], const char *user, int64_t now,
		      int64_t expires);
int sqlite_cookie_user(struct store *s, const uint8_t hash[32], int64_t now,
		       struct store_user *out);
int sqlite_cookie_remove(struct store *s, const uint8_t hash[32]);
int sqlite_cookie_remove_others(struct store *s, const char *user, const uint8_t *keep);
int sqlite_link_add(struct store *s, const uint8_t hash[32], const char *user, int64_t now,
		    int64_t expires);
int sqlite_link_use(struct store *s, const uint8_t hash[32], int64_t now, struct store_user *out);
int sqlite_key_set(struct store *s, const uint8_t hash[32], const char *user, const char *name,
		   int64_t now);
int sqlite_key_user(struct store *s, const uint8_t hash[32], struct store_user *out);
int sqlite_token_add(struct store *s, const struct store_token *t, const char *user, int64_t now);
int sqlite_token_get(struct store *s, const char *id, struct store_token *out);
int sqlite_token_use(struct store *s, const char *id, int64_t now);

/* sqlite_places.c */
int sqlite_device_place(struct store *s, const char *id, const char *place);
int sqlite_place_add(struct store *s, const struct store_place *p);
int sqlite_place_update(struct store *s, const struct store_place *p);
int sqlite_place_empty(struct store *s, const char *id, const char *to);
int sqlite_place_devices(struct store *s, const char *id);
int sqlite_place_remove(struct store *s, const char *id);
int sqlite_places(struct store *s, store_place_fn each, void *arg);

/* sqlite_rows.c */
int sqlite_device_add(struct store *s, const struct store_device *d);
int sqlite_device_by_key(struct store *s, const uint8_t key[32], const char *token,
			 char id[STORE_ID_CAP]);
int sqlite_device_update(struct store *s, const struct store_device *d);
int sqlite_device_seen(struct store *s, const char *id, int64_t at);
int sqlite_device_forget(struct store *s, const char *id, int64_t now);
int sqlite_devices(struct store *s, store_device_fn each, void *arg);
int sqlite_session_add(struct store *s, const struct store_session *row);
int sqlite_session_route(struct store *s, const char *id, bool from_device, const char *route);
int sqlite_session_verdict(struct store *s, const char *id, const struct store_verdict *v);
int sqlite_session_end(struct store *s, const char *id, const char *reason, int64_t now);
int sqlite_sessions(struct store *s, const char *device, int limit, store_session_fn each,
		    void *arg);
int sqlite_sessions_running(struct store *s, store_session_fn each, void *arg);
int sqlite_session(struct store *s, const char *id, store_session_fn each, void *arg);
int sqlite_routes(struct store *s, int64_t since, store_route_fn each, void *arg);
int sqlite_audit_add(struct store *s, int64_t now, const char *actor, const char *action,
		     const char *target, const char *detail);
int sqlite_audit(struct store *s, int64_t before, int limit, store_audit_fn each, void *arg);
int sqlite_audit_verify(struct store *s, int64_t *bad_id);
