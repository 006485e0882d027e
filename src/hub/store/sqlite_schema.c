/* The tables and every statement, in one place so that they can be read side by side. */
#include "hub/store/sqlite_schema.h"

#include "hub/store/sqlite_internal.h"

/* Migration N brings a database from version N to N + 1. They are never changed once released. */
const char *const sqlite_migrations[] = {
	"CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;"

	"CREATE TABLE users("
	" id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE COLLATE NOCASE,"
	" display_name TEXT NOT NULL, created INTEGER NOT NULL) STRICT;"

	"CREATE TABLE credentials("
	" user TEXT PRIMARY KEY REFERENCES users(id) ON DELETE CASCADE,"
	" password TEXT NOT NULL, changed INTEGER NOT NULL) STRICT, WITHOUT ROWID;"

	"CREATE TABLE cookies("
	" hash BLOB PRIMARY KEY, user TEXT NOT NULL REFERENCES users(id) ON DELETE CASCADE,"
	" created INTEGER NOT NULL, expires INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
	"CREATE INDEX cookies_user ON cookies(user);"
	"CREATE INDEX cookies_expires ON cookies(expires);"

	"CREATE TABLE links("
	" hash BLOB PRIMARY KEY, user TEXT NOT NULL REFERENCES users(id) ON DELETE CASCADE,"
	" created INTEGER NOT NULL, expires INTEGER NOT NULL, used INTEGER) STRICT, WITHOUT ROWID;"
	"CREATE INDEX links_expires ON links(expires);"

	"CREATE TABLE api_keys("
	" name TEXT PRIMARY KEY, hash BLOB NOT NULL UNIQUE,"
	" user TEXT NOT NULL REFERENCES users(id) ON DELETE CASCADE,"
	" created INTEGER NOT NULL) STRICT, WITHOUT ROWID;"

	"CREATE TABLE tokens("
	" id TEXT PRIMARY KEY, uses INTEGER NOT NULL, expires INTEGER NOT NULL,"
	" user TEXT REFERENCES users(id), created INTEGER NOT NULL) STRICT, WITHOUT ROWID;"

	"CREATE TABLE devices("
	" id TEXT PRIMARY KEY, key BLOB NOT NULL, name TEXT NOT NULL, client TEXT NOT NULL,"
	" status TEXT NOT NULL, token TEXT NOT NULL, enrolled INTEGER NOT NULL,"
	" last_seen INTEGER NOT NULL, forgotten INTEGER) STRICT;"
	"CREATE UNIQUE INDEX devices_key ON devices(key) WHERE forgotten IS NULL;"

	"CREATE TABLE sessions("
	" number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE,"
	" device TEXT NOT NULL REFERENCES devices(id), user TEXT NOT NULL REFERENCES users(id),"
	" modules TEXT NOT NULL, started INTEGER NOT NULL, ended INTEGER, end_reason TEXT,"
	" route_console TEXT, route_device TEXT) STRICT;"
	"CREATE INDEX sessions_device ON sessions(device, number);"
	"CREATE INDEX sessions_running ON sessions(id) WHERE ended IS NULL;"

	"CREATE TABLE audit("
	" id INTEGER PRIMARY KEY, at INTEGER NOT NULL, actor TEXT NOT NULL, action TEXT NOT NULL,"
	" target TEXT NOT NULL, detail TEXT NOT NULL, hash BLOB NOT NULL) STRICT;"
	"CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit"
	" BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;"
	"CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit"
	" BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;",

	"ALTER TABLE sessions ADD COLUMN verdict TEXT;"
	"ALTER TABLE sessions ADD COLUMN method TEXT;"
	"ALTER TABLE sessions ADD COLUMN cause TEXT;"
	"ALTER TABLE sessions ADD COLUMN side TEXT;"
	"CREATE INDEX sessions_started ON sessions(started);",

	/* 3: the tree of places. The columns may be NULL only because ALTER TABLE wants it so. */
	"CREATE TABLE places("
	" id TEXT PRIMARY KEY, parent TEXT REFERENCES places(id), kind TEXT NOT NULL,"
	" name TEXT NOT NULL, policy TEXT NOT NULL) STRICT;"
	"CREATE UNIQUE INDEX places_name ON places(parent, name COLLATE NOCASE);"
	"INSERT INTO places VALUES('" STORE_ROOT "', NULL, '" STORE_ROOT "', '', '{}');"
	"ALTER TABLE devices ADD COLUMN place TEXT REFERENCES places(id);"
	"ALTER TABLE tokens ADD COLUMN place TEXT REFERENCES places(id);"
	"UPDATE devices SET place = '" STORE_ROOT "';"
	"UPDATE tokens SET place = '" STORE_ROOT "';"
	"CREATE INDEX devices_place ON devices(place);"
	"CREATE INDEX tokens_place ON tokens(place);",
};

_Static_assert(ARRAY_LEN(sqlite_migrations) == SQLITE_STORE_VERSION, "one per version");

#define USER_COLUMNS "u.id, u.name, u.display_name, coalesce(c.password, '')"
#define USER_TABLES "users u LEFT JOIN credentials c ON c.user = u.id"
#define USER_OF_K "users u ON u.id = k.user LEFT JOIN credentials c ON c.user = u.id"
#define SESSION_SELECT                                                                             \
	"SELECT s.id, s.device, s.user, d.name, u.display_name, s.modules, s.started, s.ended,"    \
	" s.end_reason, coalesce(s.route_console, s.route_device), s.route_console,"               \
	" s.route_device, s.verdict"                                                               \
	" FROM sessions s JOIN devices d ON d.id = s.device JOIN users u ON u.id = s.user"

const char *const sqlite_statements[ST_COUNT] = {
	[ST_BEGIN] = "BEGIN IMMEDIATE",
	[ST_COMMIT] = "COMMIT",
	[ST_ROLLBACK] = "ROLLBACK",
	[ST_MARK] = "SAVEPOINT job",
	[ST_RELEASE] = "RELEASE job",
	[ST_UNDO] = "ROLLBACK TO job",
	[ST_META_GET] = "SELECT value FROM meta WHERE key = ?",
	[ST_META_SET] = "INSERT INTO meta VALUES(?, ?)"
			" ON CONFLICT(key) DO UPDATE SET value = excluded.value",
	[ST_USER_ADD] = "INSERT INTO users VALUES(?, ?, ?, ?)",
	[ST_USER_BY_NAME] = "SELECT " USER_COLUMNS " FROM " USER_TABLES " WHERE u.name = ?",
	[ST_USER_BY_ID] = "SELECT " USER_COLUMNS " FROM " USER_TABLES " WHERE u.id = ?",
	[ST_USER_FIRST] = "SELECT " USER_COLUMNS " FROM " USER_TABLES " ORDER BY u.rowid LIMIT 1",
	[ST_USER_PASSWORD] = "INSERT INTO credentials VALUES(?, ?, ?) ON CONFLICT(user)"
			     " DO UPDATE SET password = excluded.password,"
			     " changed = excluded.changed",
	[ST_COOKIE_ADD] = "INSERT INTO cookies VALUES(?, ?, ?, ?)",
	[ST_COOKIE_PURGE] = "DELETE FROM cookies WHERE expires <= ?",
	[ST_COOKIE_USER] = "SELECT " USER_COLUMNS " FROM cookies k JOIN " USER_OF_K
			   " WHERE k.hash = ? AND k.expires > ?",
	[ST_COOKIE_REMOVE] = "DELETE FROM cookies WHERE hash = ?",
	[ST_COOKIE_REMOVE_OTHERS] = "DELETE FROM cookies WHERE user = ? AND hash IS NOT ?",
	[ST_LINK_ADD] = "INSERT INTO links VALUES(?, ?, ?, ?, NULL)",
	[ST_LINK_PURGE] = "DELETE FROM links WHERE expires <= ?",
	[ST_LINK_GET] = "SELECT user, expires, used FROM links WHERE hash = ?",
	[ST_LINK_USE] = "UPDATE links SET used = ? WHERE hash = ? AND used IS NULL",
	[ST_KEY_SET] = "INSERT INTO api_keys VALUES(?, ?, ?, ?) ON CONFLICT(name)"
		       " DO UPDATE SET hash = excluded.hash, user = excluded.user,"
		       " created = excluded.created",
	[ST_KEY_USER] = "SELECT " USER_COLUMNS " FROM api_keys k JOIN " USER_OF_K
			" WHERE k.hash = ?",
	[ST_TOKEN_ADD] = "INSERT INTO tokens(id, uses, expires, user, created, place)"
			 " VALUES(?, ?, ?, ?, ?, ?)",
	[ST_TOKEN_GET] = "SELECT id, uses, expires, place FROM tokens WHERE id = ?",
	[ST_TOKEN_USE] = "UPDATE tokens SET uses = uses - 1 WHERE id = ? AND uses > 0",
	[ST_DEVICE_ADD] = "INSERT INTO devices(id, key, name, client, status, token, enrolled,"
			  " last_seen, place) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?)",
	[ST_DEVICE_BY_KEY] = "SELECT id FROM devices"
			     " WHERE key = ? AND token = ? AND forgotten IS NULL",
	[ST_DEVICE_UPDATE] = "UPDATE devices SET name = ?, client = ?, status = ?, last_seen = ?"
			     " WHERE id = ? AND forgotten IS NULL",
	[ST_DEVICE_PLACE] = "UPDATE devices SET place = ? WHERE id = ? AND forgotten IS NULL",
	[ST_DEVICE_SEEN] = "UPDATE devices SET last_seen = ? WHERE id = ?",
	[ST_DEVICE_FORGET] = "UPDATE devices SET forgotten = ? WHERE id = ? AND forgotten IS NULL",
	[ST_DEVICES] = "SELECT id, key, name, client, status, token, enrolled, last_seen, place"
		       " FROM devices WHERE forgotten IS NULL",
	[ST_PLACE_ADD] = "INSERT INTO places VALUES(?, ?, ?, ?, ?)",
	[ST_PLACE_UPDATE] = "UPDATE places SET parent = ?, name = ?, policy = ? WHERE id = ?",
	[ST_PLACE_DEVICES] = "SELECT count(*) FROM devices WHERE place = ? AND forgotten IS NULL",
	[ST_PLACE_MOVE_DEVICES] = "UPDATE devices SET place = ? WHERE place = ?",
	[ST_PLACE_MOVE_TOKENS] = "UPDATE tokens SET place = ? WHERE place = ?",
	[ST_PLACE_MOVE_PLACES] = "UPDATE places SET parent = ? WHERE parent = ?",
	[ST_PLACE_REMOVE] = "DELETE FROM places WHERE id = ?",
	[ST_PLACES] = "WITH RECURSIVE tree(id, parent, kind, name, policy) AS ("
		      " SELECT * FROM places WHERE parent IS NULL UNION ALL"
		      " SELECT p.* FROM tree t JOIN places p ON p.parent = t.id)"
		      " SELECT id, parent, kind, name, policy FROM tree",
	[ST_SESSION_ADD] = "INSERT INTO sessions(id, device, user, modules, started)"
			   " VALUES(?, ?, ?, ?, ?)",
	[ST_SESSION_ROUTE_CONSOLE] = "UPDATE sessions SET route_console = ? WHERE id = ?",
	[ST_SESSION_ROUTE_DEVICE] = "UPDATE sessions SET route_device = ? WHERE id = ?",
	[ST_SESSION_VERDICT] = "UPDATE sessions SET verdict = ?, method = ?, cause = ?, side = ?"
			       " WHERE id = ?",
	[ST_SESSION_END] = "UPDATE sessions SET ended = ?, end_reason = ?"
			   " WHERE id = ? AND ended IS NULL",
	[ST_SESSIONS] = SESSION_SELECT " ORDER BY s.number DESC LIMIT ?",
	[ST_SESSIONS_OF] = SESSION_SELECT " WHERE s.device = ? ORDER BY s.number DESC LIMIT ?",
	[ST_SESSIONS_RUNNING] = SESSION_SELECT " WHERE s.ended IS NULL",
	[ST_SESSION] = SESSION_SELECT " WHERE s.id = ?",
	/* beside max() SQLite takes the other columns from the row that has it: the newest */
	[ST_ROUTES] = "SELECT p.id, p.name, s.method, s.cause, s.side, count(*), s.verdict,"
		      " max(s.number) FROM sessions s JOIN devices d ON d.id = s.device"
		      " JOIN places p ON p.id = d.place"
		      " WHERE s.started >= ? AND s.method IS NOT NULL"
		      " GROUP BY 1, 3, 4, 5 ORDER BY 1, 6 DESC, 8 DESC",
	[ST_AUDIT_LAST] = "SELECT id, hash FROM audit ORDER BY id DESC LIMIT 1",
	[ST_AUDIT_ADD] = "INSERT INTO audit VALUES(?, ?, ?, ?, ?, ?, ?)",
	[ST_AUDIT_PAGE] = "SELECT id, at, actor, action, target, detail, hash FROM audit"
			  " WHERE id < ? ORDER BY id DESC LIMIT ?",
	[ST_AUDIT_ALL] = "SELECT id, at, actor, action, target, detail, hash FROM audit"
			 " ORDER BY id",
};
