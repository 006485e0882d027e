/* People, their sign-ins, links, keys and enrolment tokens. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "hub/store/sqlite_internal.h"

static int no_count(int err)
{
	return err < 0 ? err : 0;
}

/* Steps a bound statement whose columns are a user's. */
static int take_user(struct sqlite_store *q, int err, sqlite3_stmt *st, struct store_user *out)
{
	if (err == 0)
		err = sqlite_step(q, st);
	if (err <= 0)
		return err < 0 ? err : -ENOENT;
	memset(out, 0, sizeof(*out));
	text_copy(out->id, sizeof(out->id), sqlite_text(st, 0));
	text_copy(out->name, sizeof(out->name), sqlite_text(st, 1));
	text_copy(out->display_name, sizeof(out->display_name), sqlite_text(st, 2));
	text_copy(out->password, sizeof(out->password), sqlite_text(st, 3));
	sqlite3_reset(st);
	sqlite3_clear_bindings(st);
	return 0;
}

int sqlite_user_add(struct store *s, const struct store_user *u, int64_t now)
{
	struct sqlite_store *q = sqlite_of(s);
	int err = sqlite_run(q, ST_USER_ADD, "sssi", u->id, u->name, u->display_name, now);

	if (err >= 0 && u->password[0])
		err = sqlite_run(q, ST_USER_PASSWORD, "ssi", u->id, u->password, now);
	return no_count(err);
}

int sqlite_user_by_name(struct store *s, const char *name, struct store_user *out)
{
	struct sqlite_store *q = sqlite_of(s);
	sqlite3_stmt *st;
	int err = sqlite_bind(q, ST_USER_BY_NAME, &st, "s", name);

	return take_user(q, err, st, out);
}

int sqlite_user_by_id(struct store *s, const char *id, struct store_user *out)
{
	struct sqlite_store *q = sqlite_of(s);
	sqlite3_stmt *st;
	int err = sqlite_bind(q, ST_USER_BY_ID, &st, "s", id);

	return take_user(q, err, st, out);
}

int sqlite_user_first(struct store *s, struct store_user *out)
{
	struct sqlite_store *q = sqlite_of(s);
	sqlite3_stmt *st;
	int err = sqlite_bind(q, ST_USER_FIRST, &st, "");

	return take_user(q, err, st, out);
}

int sqlite_user_password(struct store *s, const char *id, const char *encoded, int64_t now)
{
	return no_count(sqlite_run(sqlite_of(s), ST_USER_PASSWORD, "ssi", id, encoded, now));
}

int sqlite_cookie_add(struct store *s, const uint8_t hash[32], const char *user, int64_t now,
		      int64_t expires)
{
	struct sqlite_store *q = sqlite_of(s);
	int err = sqlite_run(q, ST_COOKIE_PURGE, "i", now);

	if (err >= 0)
		err = sqlite_run(q, ST_COOKIE_ADD, "ksii", hash, user, now, expires);
	return no_count(err);
}

int sqlite_cookie_user(struct store *s, const uint8_t hash[32], int64_t now, struct store_user *out)
{
	struct sqlite_store *q = sqlite_of(s);
	sqlite3_stmt *st;
	int err = sqlite_bind(q, ST_COOKIE_USER, &st, "ki", hash, now);

	return take_user(q, err, st, out);
}

int sqlite_cookie_remove(struct store *s, const uint8_t hash[32])
{
	int n = sqlite_run(sqlite_of(s), ST_COOKIE_REMOVE, "k", hash);

	return n == 0 ? -ENOENT : no_count(n);
}

int sqlite_cookie_remove_others(struct store *s, const char *user, const uint8_t *keep)
{
	struct sqlite_store *q = sqlite_of(s);

	if (!keep) /* hash IS NOT NULL: all of them */
		return no_count(sqlite_run(q, ST_COOKIE_REMOVE_OTHERS, "ss", user, NULL));
	return no_count(sqlite_run(q, ST_COOKIE_REMOVE_OTHERS, "sk", user, keep));
}

int sqlite_link_add(struct store *s, const uint8_t hash[32], const char *user, int64_t now,
		    int64_t expires)
{
	struct sqlite_store *q = sqlite_of(s);
	/* kept for a week after their end, so that an old link is told from a wrong one */
	int err = sqlite_run(q, ST_LINK_PURGE, "i", now - (int64_t)7 * 24 * 3600 * 1000);

	if (err >= 0)
		err = sqlite_run(q, ST_LINK_ADD, "ksii", hash, user, now, expires);
	return no_count(err);
}

int sqlite_link_use(struct store *s, const uint8_t hash[32], int64_t now, struct store_user *out)
{
	struct sqlite_store *q = sqlite_of(s);
	char user[STORE_ID_CAP];
	sqlite3_stmt *st;
	bool used, expired;
	int err = sqlite_bind(q, ST_LINK_GET, &st, "k", hash);

	if (err == 0)
		err = sqlite_step(q, st);
	if (err <= 0)
		return err < 0 ? err : -ENOENT;
	text_copy(user, sizeof(user), sqlite_text(st, 0));
	expired = sqlite3_column_int64(st, 1) <= now;
	used = sqlite3_column_type(st, 2) != SQLITE_NULL;
	sqlite3_reset(st);
	if (used || expired)
		return used ? -EALREADY : -ETIME;
	err = sqlite_run(q, ST_LINK_USE, "ik", now, hash);
	return err < 0 ? err : err == 0 ? -EALREADY : sqlite_user_by_id(s, user, out);
}

int sqlite_key_set(struct store *s, const uint8_t hash[32], const char *user, const char *name,
		   int64_t now)
{
	return no_count(sqlite_run(sqlite_of(s), ST_KEY_SET, "sksi", name, hash, user, now));
}

int sqlite_key_user(struct store *s, const uint8_t hash[32], struct store_user *out)
{
	struct sqlite_store *q = sqlite_of(s);
	sqlite3_stmt *st;
	int err = sqlite_bind(q, ST_KEY_USER, &st, "k", hash);

	return take_user(q, err, st, out);
}

int sqlite_token_add(struct store *s, const struct store_token *t, const char *user, int64_t now)
{
	return no_count(sqlite_run(sqlite_of(s), ST_TOKEN_ADD, "siisis", t->id, t->uses, t->expires,
				   user, now, t->place[0] ? t->place : STORE_ROOT));
}

int sqlite_token_get(struct store *s, const char *id, struct store_token *out)
{
	struct sqlite_store *q = sqlite_of(s);
	sqlite3_stmt *st;
	int err = sqlite_bind(q, ST_TOKEN_GET, &st, "s", id);

	if (err == 0)
		err = sqlite_step(q, st);
	if (err <= 0)
		return err < 0 ? err : -ENOENT;
	memset(out, 0, sizeof(*out));
	text_copy(out->id, sizeof(out->id), sqlite_text(st, 0));
	out->uses = sqlite3_column_int64(st, 1);
	out->expires = sqlite3_column_int64(st, 2);
	text_copy(out->place, sizeof(out->place), sqlite_text(st, 3));
	sqlite3_reset(st);
	return 0;
}

int sqlite_token_use(struct store *s, const char *id, int64_t now)
{
	struct store_token t;
	int err = sqlite_token_get(s, id, &t);

	if (err < 0)
		return err;
	if (t.expires <= now)
		return -ETIME;
	err = sqlite_run(sqlite_of(s), ST_TOKEN_USE, "s", id);
	return err == 0 ? -EALREADY : no_count(err);
}
