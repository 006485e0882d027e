#include "test.h"

#include <errno.h>
#include <sqlite3.h>
#include <unistd.h>

#include "base/err.h"
#include "base/text.h"
#include "hub/store/sqlite.h"
#include "hub/store/sqlite_schema.h"

/* ---- the interface: any store must pass these ---- */

struct fixture {
	char dir[64], path[96];
	struct store *s;
};

static int open_store(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	char why[256];

	strcpy(f->dir, "/tmp/fairlead-store-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->path, sizeof(f->path), "%s/hub.db", f->dir);
	assert_int_equal(sqlite_store_open(f->path, false, &f->s, why), 0);
	*state = f;
	return 0;
}

static int close_store(void **state)
{
	struct fixture *f = *state;
	char command[128];

	store_close(f->s);
	snprintf(command, sizeof(command), "rm -r %s", f->dir);
	assert_int_equal(system(command), 0);
	free(f);
	return 0;
}

static struct store_user add_user(struct store *s)
{
	struct store_user u = { .id = "u1", .name = "admin", .display_name = "Administrator" };

	assert_int_equal(s->ops->user_add(s, &u, 1), 0);
	return u;
}

static void test_users(void **state)
{
	struct store *s = ((struct fixture *)*state)->s;
	struct store_user u, got;

	assert_int_equal(s->ops->user_first(s, &got), -ENOENT);
	u = add_user(s);
	assert_int_equal(s->ops->user_add(s, &u, 1), -EEXIST);
	assert_int_equal(s->ops->user_by_name(s, "ADMIN", &got), 0);
	assert_string_equal(got.id, "u1");
	assert_string_equal(got.password, "");
	assert_int_equal(s->ops->user_password(s, "u1", "$argon2id$x", 2), 0);
	assert_int_equal(s->ops->user_password(s, "u1", "$argon2id$y", 3), 0);
	assert_int_equal(s->ops->user_by_id(s, "u1", &got), 0);
	assert_string_equal(got.password, "$argon2id$y");
	assert_int_equal(s->ops->user_password(s, "nobody", "x", 2), -ENOENT);
	assert_int_equal(s->ops->user_by_id(s, "nobody", &got), -ENOENT);
}

static void test_cookies(void **state)
{
	struct store *s = ((struct fixture *)*state)->s;
	const uint8_t a[32] = { 1 }, b[32] = { 2 }, c[32] = { 3 };
	struct store_user u;

	add_user(s);
	assert_int_equal(s->ops->cookie_add(s, a, "u1", 10, 100), 0);
	assert_int_equal(s->ops->cookie_add(s, b, "u1", 10, 200), 0);
	assert_int_equal(s->ops->cookie_user(s, a, 99, &u), 0);
	assert_string_equal(u.id, "u1");
	assert_int_equal(s->ops->cookie_user(s, a, 100, &u), -ENOENT); /* its time is over */
	assert_int_equal(s->ops->cookie_user(s, c, 10, &u), -ENOENT);
	assert_int_equal(s->ops->cookie_remove_others(s, "u1", b), 0);
	assert_int_equal(s->ops->cookie_user(s, a, 20, &u), -ENOENT);
	assert_int_equal(s->ops->cookie_user(s, b, 20, &u), 0);
	assert_int_equal(s->ops->cookie_remove_others(s, "u1", NULL), 0);
	assert_int_equal(s->ops->cookie_user(s, b, 20, &u), -ENOENT);
	assert_int_equal(s->ops->cookie_remove(s, b), -ENOENT);
	assert_int_equal(s->ops->cookie_add(s, a, "nobody", 10, 100), -ENOENT);
}

static void test_links(void **state)
{
	struct store *s = ((struct fixture *)*state)->s;
	const uint8_t a[32] = { 1 }, b[32] = { 2 };
	struct store_user u;

	add_user(s);
	assert_int_equal(s->ops->link_add(s, a, "u1", 10, 100), 0);
	assert_int_equal(s->ops->link_add(s, b, "u1", 10, 100), 0);
	assert_int_equal(s->ops->link_use(s, a, 20, &u), 0);
	assert_string_equal(u.name, "admin");
	assert_int_equal(s->ops->link_use(s, a, 20, &u), -EALREADY);
	assert_int_equal(s->ops->link_use(s, b, 100, &u), -ETIME);
	assert_int_equal(s->ops->link_use(s, (const uint8_t[32]){ 9 }, 20, &u), -ENOENT);
}

static void test_keys(void **state)
{
	struct store *s = ((struct fixture *)*state)->s;
	const uint8_t a[32] = { 1 }, b[32] = { 2 };
	struct store_user u;

	add_user(s);
	assert_int_equal(s->ops->key_set(s, a, "u1", "admin.token", 1), 0);
	assert_int_equal(s->ops->key_user(s, a, &u), 0);
	assert_int_equal(s->ops->key_set(s, b, "u1", "admin.token", 2), 0);
	assert_int_equal(s->ops->key_user(s, a, &u), -ENOENT);
	assert_int_equal(s->ops->key_user(s, b, &u), 0);
}

static void test_tokens(void **state)
{
	struct store *s = ((struct fixture *)*state)->s;
	const struct store_token t = { .id = "t1", .uses = 2, .expires = 100 };
	struct store_token got;

	add_user(s);
	assert_int_equal(s->ops->token_add(s, &t, "u1", 10), 0);
	assert_int_equal(s->ops->token_use(s, "t1", 20), 0);
	assert_int_equal(s->ops->token_get(s, "t1", &got), 0);
	assert_int_equal(got.uses, 1);
	assert_int_equal(s->ops->token_use(s, "t1", 100), -ETIME);
	assert_int_equal(s->ops->token_use(s, "t1", 20), 0);
	assert_int_equal(s->ops->token_use(s, "t1", 20), -EALREADY);
	assert_int_equal(s->ops->token_use(s, "t2", 20), -ENOENT);
}

static int count_device(void *arg, const struct store_device *d)
{
	int *n = arg;

	assert_true(d->key[0] != 0);
	return ++*n == 3 ? -EINTR : 0;
}

static void add_device(struct store *s, const char *id, uint8_t key)
{
	const struct store_device d = { .id = id,
					.key = { key },
					.name = "lab",
					.client = "0.1",
					.status = "{}",
					.token = "t1",
					.enrolled = 5,
					.last_seen = 5 };

	assert_int_equal(s->ops->device_add(s, &d), 0);
}

static void test_devices(void **state)
{
	struct store *s = ((struct fixture *)*state)->s;
	struct store_device d = {
		.id = "d1", .name = "new", .client = "0.2", .status = "{\"a\":1}", .last_seen = 9
	};
	const struct store_device twice = {
		.id = "d9", .key = { 1 }, .name = "", .client = "", .status = "", .token = ""
	};
	char id[STORE_ID_CAP];
	int n = 0;

	add_device(s, "d1", 1);
	add_device(s, "d2", 2);
	assert_int_equal(s->ops->device_add(s, &twice), -EEXIST);
	assert_int_equal(s->ops->device_by_key(s, (const uint8_t[32]){ 2 }, "t1", id), 0);
	assert_string_equal(id, "d2");
	assert_int_equal(s->ops->device_by_key(s, (const uint8_t[32]){ 2 }, "t2", id), -ENOENT);
	assert_int_equal(s->ops->device_update(s, &d), 0);
	assert_int_equal(s->ops->devices(s, count_device, &n), 0);
	assert_int_equal(n, 2);
	assert_int_equal(s->ops->device_forget(s, "d1", 10), 0);
	assert_int_equal(s->ops->device_forget(s, "d1", 10), -ENOENT);
	assert_int_equal(s->ops->device_update(s, &d), -ENOENT);
	n = 1;
	assert_int_equal(s->ops->devices(s, count_device, &n), 0);
	assert_int_equal(n, 2);
	/* its key may come again, as another device */
	add_device(s, "d3", 1);
	n = 1; /* the walk ends when it is told to */
	assert_int_equal(s->ops->devices(s, count_device, &n), -EINTR);
}

struct tree {
	char text[128]; /* "hub;o<hub;…" */
};

static int put_place(void *arg, const struct store_place *p)
{
	struct tree *t = arg;
	size_t at = strlen(t->text);

	snprintf(t->text + at, sizeof(t->text) - at, "%s<%s:%s;", p->id, p->parent ? p->parent : "",
		 p->policy);
	return 0;
}

static void assert_tree(struct store *s, const char *text)
{
	struct tree t = { 0 };

	assert_int_equal(s->ops->places(s, put_place, &t), 0);
	assert_string_equal(t.text, text);
}

static int take_place(void *arg, const struct store_device *d)
{
	snprintf(arg, STORE_ID_CAP, "%s", d->place);
	return 0;
}

static void test_places(void **state)
{
	struct store *s = ((struct fixture *)*state)->s;
	struct store_place site = {
		.id = "s", .parent = STORE_ROOT, .kind = "site", .name = "North", .policy = "{}"
	};
	struct store_place group = {
		.id = "a", .parent = "s", .kind = "group", .name = "Lab", .policy = "{}"
	};
	const struct store_token t = { .id = "t9", .uses = 1, .expires = 100, .place = "a" };
	struct store_token got;
	char place[STORE_ID_CAP];

	add_user(s);
	assert_tree(s, "hub<:{};");
	assert_int_equal(s->ops->place_add(s, &group), -ENOENT);
	assert_int_equal(s->ops->place_add(s, &site), 0);
	assert_int_equal(s->ops->place_add(s, &group), 0);
	site.id = "s2";
	site.name = "NORTH";
	assert_int_equal(s->ops->place_add(s, &site), -EEXIST);
	group.policy = "{\"dscp\":1}";
	assert_int_equal(s->ops->place_update(s, &group), 0);
	assert_int_equal(s->ops->place_update(s, &site), -ENOENT);
	/* parents first, whatever their ids and ages */
	assert_tree(s, "hub<:{};s<hub:{};a<s:{\"dscp\":1};");

	add_device(s, "d1", 1);
	assert_int_equal(s->ops->place_devices(s, STORE_ROOT), 1);
	assert_int_equal(s->ops->device_place(s, "d1", "x"), -ENOENT);
	assert_int_equal(s->ops->device_place(s, "d2", "s"), -ENOENT);
	assert_int_equal(s->ops->device_place(s, "d1", "s"), 0);
	assert_int_equal(s->ops->place_devices(s, "s"), 1);
	assert_int_equal(s->ops->token_add(s, &t, "u1", 10), 0);
	assert_int_equal(s->ops->token_get(s, "t9", &got), 0);
	assert_string_equal(got.place, "a");

	assert_int_equal(s->ops->place_remove(s, "s"), -ENOENT); /* it is not empty */
	assert_int_equal(s->ops->place_empty(s, "s", STORE_ROOT), 0);
	assert_int_equal(s->ops->place_remove(s, "s"), 0);
	assert_int_equal(s->ops->place_empty(s, "a", STORE_ROOT), 0);
	assert_int_equal(s->ops->place_remove(s, "a"), 0);
	assert_tree(s, "hub<:{};");
	assert_int_equal(s->ops->token_get(s, "t9", &got), 0);
	assert_string_equal(got.place, STORE_ROOT);
	assert_int_equal(s->ops->devices(s, take_place, place), 0);
	assert_string_equal(place, STORE_ROOT);
}

struct seen {
	int n;
	char ids[8][STORE_ID_CAP];
	char route[64], reason[16], device_name[16];
	int64_t ended;
};

static int see_session(void *arg, const struct store_session *row)
{
	struct seen *seen = arg;

	text_copy(seen->ids[seen->n++], STORE_ID_CAP, row->id);
	text_copy(seen->route, sizeof(seen->route), row->route ? row->route : "");
	text_copy(seen->reason, sizeof(seen->reason), row->end_reason ? row->end_reason : "");
	text_copy(seen->device_name, sizeof(seen->device_name), row->device_name);
	seen->ended = row->ended;
	return 0;
}

static void test_sessions(void **state)
{
	struct store *s = ((struct fixture *)*state)->s;
	struct store_session row = {
		.id = "s1", .device = "d1", .user = "u1", .modules = "[]", .started = 1
	};
	struct seen seen = { 0 };

	add_user(s);
	add_device(s, "d1", 1);
	add_device(s, "d2", 2);
	assert_int_equal(s->ops->session_add(s, &row), 0);
	assert_int_equal(s->ops->session_add(s, &row), -EEXIST);
	row.id = "s2";
	row.device = "d2";
	assert_int_equal(s->ops->session_add(s, &row), 0);
	row.id = "s3";
	row.device = "unknown";
	assert_int_equal(s->ops->session_add(s, &row), -ENOENT);
	assert_int_equal(s->ops->session_route(s, "s1", true, "\"device\""), 0);
	assert_int_equal(s->ops->sessions(s, "d1", 10, see_session, &seen), 0);
	assert_string_equal(seen.route, "\"device\"");
	assert_int_equal(s->ops->session_route(s, "s1", false, "\"console\""), 0);
	assert_int_equal(s->ops->session_end(s, "s1", "user", 7), 0);
	assert_int_equal(s->ops->session_end(s, "s1", "again", 8), -ENOENT);
	seen = (struct seen){ 0 };
	assert_int_equal(s->ops->sessions(s, NULL, 10, see_session, &seen), 0);
	assert_int_equal(seen.n, 2);
	assert_string_equal(seen.ids[0], "s2"); /* newest first */
	assert_string_equal(seen.route, "\"console\"");
	assert_string_equal(seen.reason, "user");
	assert_string_equal(seen.device_name, "lab");
	assert_int_equal(seen.ended, 7);
	seen = (struct seen){ 0 };
	assert_int_equal(s->ops->sessions_running(s, see_session, &seen), 0);
	assert_int_equal(seen.n, 1);
	assert_string_equal(seen.ids[0], "s2");
	assert_int_equal(s->ops->sessions(s, NULL, 1, see_session, &seen), 0);
	assert_int_equal(seen.n, 2);
}

struct counted {
	int n;
	char text[8][96];
};

static int see_routes(void *arg, const struct store_route_count *c)
{
	struct counted *seen = arg;

	snprintf(seen->text[seen->n++], sizeof(seen->text[0]), "%s %s %s %lld %s",
		 c->verdict.method, c->verdict.cause, c->verdict.side, (long long)c->sessions,
		 c->verdict.json);
	return 0;
}

static int see_one(void *arg, const struct store_session *row)
{
	char *text = arg;

	snprintf(text, 96, "%s|%s|%s", row->routes[0] ? row->routes[0] : "",
		 row->routes[1] ? row->routes[1] : "", row->verdict ? row->verdict : "");
	return 0;
}

static void test_verdicts(void **state)
{
	struct store *s = ((struct fixture *)*state)->s;
	const struct store_verdict old = { "\"old\"", "relayed", "unknown", "none" },
				   blocked = { "\"blocked\"", "relayed", "udp-blocked", "device" },
				   later = { "\"later\"", "relayed", "udp-blocked", "device" },
				   local = { "\"local\"", "local", "same-network", "none" };
	const struct store_verdict *const all[] = { &old, &blocked, &later, &local, NULL };
	struct store_session row = { .device = "d1", .user = "u1", .modules = "[]" };
	struct counted seen = { 0 };
	char text[96] = "", id[8];

	add_user(s);
	add_device(s, "d1", 1);
	for (int i = 0; i < 5; i++) {
		snprintf(id, sizeof(id), "s%d", i);
		row.id = id;
		row.started = i;
		assert_int_equal(s->ops->session_add(s, &row), 0);
		if (all[i])
			assert_int_equal(s->ops->session_verdict(s, id, all[i]), 0);
	}
	assert_int_equal(s->ops->session_verdict(s, "s9", &old), -ENOENT);
	assert_int_equal(s->ops->routes(s, 1, see_routes, &seen), 0);
	assert_int_equal(seen.n, 2); /* not the old one, and not the one without a report */
	assert_string_equal(seen.text[0], "relayed udp-blocked device 2 \"later\"");
	assert_string_equal(seen.text[1], "local same-network none 1 \"local\"");
	assert_int_equal(s->ops->session_route(s, "s1", true, "\"d\""), 0);
	assert_int_equal(s->ops->session(s, "s1", see_one, text), 0);
	assert_string_equal(text, "|\"d\"|\"blocked\"");
	text[0] = 0;
	assert_int_equal(s->ops->session(s, "s9", see_one, text), 0);
	assert_string_equal(text, "");
}

static void add_audit(struct store *s, int64_t at, const char *action)
{
	assert_int_equal(s->ops->audit_add(s, at, "admin", action, "d1", "{\"a\":1}"), 0);
}

static int see_audit(void *arg, const struct store_audit *a)
{
	struct seen *seen = arg;

	text_copy(seen->ids[seen->n++], STORE_ID_CAP, a->action);
	seen->ended = a->id;
	return 0;
}

static void test_audit(void **state)
{
	struct store *s = ((struct fixture *)*state)->s;
	struct seen seen = { 0 };
	int64_t bad;

	assert_int_equal(s->ops->audit_verify(s, &bad), 0);
	assert_int_equal(s->ops->begin(s), 0);
	add_audit(s, 1, "one");
	/* what is undone leaves no gap in the chain */
	assert_int_equal(s->ops->mark(s), 0);
	add_audit(s, 2, "undone");
	assert_int_equal(s->ops->unmark(s, true), 0);
	add_audit(s, 2, "two");
	assert_int_equal(s->ops->commit(s), 0);
	assert_int_equal(s->ops->begin(s), 0);
	add_audit(s, 3, "undone");
	s->ops->rollback(s);
	add_audit(s, 3, "three");
	assert_int_equal(s->ops->audit_verify(s, &bad), 0);
	assert_int_equal(s->ops->audit(s, 0, 10, see_audit, &seen), 0);
	assert_int_equal(seen.n, 3);
	assert_string_equal(seen.ids[0], "three");
	seen = (struct seen){ 0 };
	assert_int_equal(s->ops->audit(s, 3, 1, see_audit, &seen), 0);
	assert_int_equal(seen.n, 1);
	assert_string_equal(seen.ids[0], "two");
}

static void test_transactions(void **state)
{
	struct store *s = ((struct fixture *)*state)->s;
	char value[16];

	assert_int_equal(s->ops->meta_get(s, "k", value, sizeof(value)), -ENOENT);
	assert_int_equal(s->ops->begin(s), 0);
	assert_int_equal(s->ops->meta_set(s, "k", "1"), 0);
	assert_int_equal(s->ops->mark(s), 0);
	assert_int_equal(s->ops->meta_set(s, "k", "2"), 0);
	assert_int_equal(s->ops->unmark(s, true), 0);
	assert_int_equal(s->ops->commit(s), 0);
	assert_int_equal(s->ops->meta_get(s, "k", value, sizeof(value)), 0);
	assert_string_equal(value, "1");
	assert_int_equal(s->ops->meta_get(s, "k", value, 1), FL_EQUOTA);
	assert_int_equal(s->ops->begin(s), 0);
	assert_int_equal(s->ops->meta_set(s, "k", "3"), 0);
	s->ops->rollback(s);
	assert_int_equal(s->ops->meta_get(s, "k", value, sizeof(value)), 0);
	assert_string_equal(value, "1");
}

/* ---- SQLite's own ---- */

static void execute(const struct fixture *f, const char *sql, int want)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), want);
	sqlite3_close(db);
}

static void test_tampering_shows(void **state)
{
	const struct fixture *f = *state;
	struct store *s = f->s;
	int64_t bad = 0;

	for (int i = 0; i < 5; i++)
		add_audit(s, i, "action");
	execute(f, "UPDATE audit SET actor = 'nobody' WHERE id = 3", SQLITE_CONSTRAINT);
	execute(f, "DELETE FROM audit WHERE id = 3", SQLITE_CONSTRAINT);
	assert_int_equal(s->ops->audit_verify(s, &bad), 0);
	/* who takes the guards away is still seen */
	execute(f, "DROP TRIGGER audit_no_update; UPDATE audit SET actor = 'nobody' WHERE id = 3",
		SQLITE_OK);
	assert_int_equal(s->ops->audit_verify(s, &bad), FL_EMALFORMED);
	assert_int_equal(bad, 3);
	execute(f, "UPDATE audit SET actor = 'admin' WHERE id = 3", SQLITE_OK);
	assert_int_equal(s->ops->audit_verify(s, &bad), 0);
	execute(f, "DROP TRIGGER audit_no_delete; DELETE FROM audit WHERE id = 2", SQLITE_OK);
	assert_int_equal(s->ops->audit_verify(s, &bad), FL_EMALFORMED);
	assert_int_equal(bad, 3);
}

static void test_fields_cannot_be_shifted(void **state)
{
	const uint8_t start[STORE_HASH_LEN] = { 0 };
	const struct store_audit a = {
		.id = 1, .actor = "ab", .action = "c", .target = "", .detail = ""
	};
	const struct store_audit b = {
		.id = 1, .actor = "a", .action = "bc", .target = "", .detail = ""
	};
	uint8_t x[STORE_HASH_LEN], y[STORE_HASH_LEN];

	store_audit_hash(start, &a, x);
	store_audit_hash(start, &b, y);
	assert_memory_not_equal(x, y, sizeof(x));
}

static void reopen_refused(struct fixture *f, const char *words)
{
	struct store *s = NULL;
	char why[256];

	assert_true(sqlite_store_open(f->path, false, &s, why) < 0);
	assert_non_null(strstr(why, words));
}

static void test_future_and_foreign(void **state)
{
	struct fixture *f = *state;

	store_close(f->s);
	f->s = NULL;
	execute(f, "PRAGMA user_version = 99", SQLITE_OK);
	reopen_refused(f, "was written by a later fairlead-hub (schema 99");
	execute(f, "PRAGMA application_id = 7; PRAGMA user_version = 1", SQLITE_OK);
	reopen_refused(f, "is a database of another program");
}

static void test_damage(void **state)
{
	struct fixture *f = *state;
	FILE *file;

	for (int i = 0; i < 200; i++)
		add_audit(f->s, i, "action");
	store_close(f->s);
	f->s = NULL;
	file = fopen(f->path, "r+e");
	assert_non_null(file);
	for (long page = 2; page < 12; page++) {
		fseek(file, page * 4096, SEEK_SET);
		fwrite("garbage garbage garbage", 1, 23, file);
	}
	fclose(file);
	reopen_refused(f, "is damaged");
}

/* A migration that fails half way leaves the version and the tables as they were. */
static void test_failed_migration(void **state)
{
	struct fixture *f = *state;
	struct store *s;
	char why[256];

	store_close(f->s);
	f->s = NULL;
	unlink(f->path);
	execute(f,
		"PRAGMA application_id = 1179404356; PRAGMA user_version = 0;"
		"CREATE TABLE devices(x)",
		SQLITE_OK);
	assert_true(sqlite_store_open(f->path, false, &s, why) < 0);
	execute(f, "CREATE TABLE meta(x)", SQLITE_OK); /* it is not there */
	execute(f, "DROP TABLE meta; DROP TABLE devices", SQLITE_OK);
	assert_int_equal(sqlite_store_open(f->path, false, &f->s, why), 0);
	add_audit(f->s, 1, "works");
}

/* The first version's database keeps its rows. */
static void test_upgrade(void **state)
{
	struct fixture *f = *state;
	struct counted seen = { 0 };
	char why[256];

	store_close(f->s);
	f->s = NULL;
	unlink(f->path);
	execute(f, "PRAGMA application_id = 1179404356; PRAGMA user_version = 1", SQLITE_OK);
	execute(f, sqlite_migrations[0], SQLITE_OK);
	execute(f,
		"INSERT INTO users VALUES('u1', 'nora', 'Nora', 1);"
		"INSERT INTO devices VALUES('d1', zeroblob(32), 'lab', '', '{}', '', 1, 1, NULL);"
		"INSERT INTO sessions(id, device, user, modules, started)"
		" VALUES('s1', 'd1', 'u1', '[]', 5)",
		SQLITE_OK);
	assert_int_equal(sqlite_store_open(f->path, false, &f->s, why), 0);
	if (!f->s)
		abort();
	assert_int_equal(f->s->ops->session_verdict(
				 f->s, "s1",
				 &(struct store_verdict){ "{}", "local", "same-network", "none" }),
			 0);
	assert_int_equal(f->s->ops->routes(f->s, 0, see_routes, &seen), 0);
	assert_int_equal(seen.n, 1);
}

static void test_reader(void **state)
{
	struct fixture *f = *state;
	struct store *reader;
	char why[256], value[8];

	assert_int_equal(sqlite_store_open(f->path, true, &reader, why), 0);
	assert_int_equal(f->s->ops->meta_set(f->s, "k", "1"), 0);
	assert_int_equal(reader->ops->meta_get(reader, "k", value, sizeof(value)), 0);
	assert_true(reader->ops->meta_set(reader, "k", "2") < 0);
	store_close(reader);
}

#define STORE_TEST(fn) cmocka_unit_test_setup_teardown(fn, open_store, close_store)

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORE_TEST(test_users),
		STORE_TEST(test_cookies),
		STORE_TEST(test_links),
		STORE_TEST(test_keys),
		STORE_TEST(test_tokens),
		STORE_TEST(test_devices),
		STORE_TEST(test_sessions),
		STORE_TEST(test_verdicts),
		STORE_TEST(test_audit),
		STORE_TEST(test_transactions),
		STORE_TEST(test_tampering_shows),
		TEST(test_fields_cannot_be_shifted),
		STORE_TEST(test_future_and_foreign),
		STORE_TEST(test_damage),
		STORE_TEST(test_places),
		STORE_TEST(test_failed_migration),
		STORE_TEST(test_upgrade),
		STORE_TEST(test_reader),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
