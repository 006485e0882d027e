/* The tree of places, and where devices stand in it. */
#include <errno.h>

#include "hub/store/sqlite_internal.h"

static int no_count(int err)
{
	return err < 0 ? err : 0;
}

static int one_row(int n)
{
	return n == 0 ? -ENOENT : no_count(n);
}

int sqlite_device_place(struct store *s, const char *id, const char *place)
{
	return one_row(sqlite_run(sqlite_of(s), ST_DEVICE_PLACE, "ss", place, id));
}

int sqlite_place_add(struct store *s, const struct store_place *p)
{
	return no_count(sqlite_run(sqlite_of(s), ST_PLACE_ADD, "sssss", p->id, p->parent, p->kind,
				   p->name, p->policy));
}

int sqlite_place_update(struct store *s, const struct store_place *p)
{
	return one_row(sqlite_run(sqlite_of(s), ST_PLACE_UPDATE, "ssss", p->parent, p->name,
				  p->policy, p->id));
}

int sqlite_place_empty(struct store *s, const char *id, const char *to)
{
	static const enum statement moves[] = { ST_PLACE_MOVE_DEVICES, ST_PLACE_MOVE_TOKENS,
						ST_PLACE_MOVE_PLACES };
	int err = 0;

	for (size_t i = 0; err >= 0 && i < ARRAY_LEN(moves); i++)
		err = sqlite_run(sqlite_of(s), moves[i], "ss", to, id);
	return no_count(err);
}

int sqlite_place_devices(struct store *s, const char *id)
{
	struct sqlite_store *q = sqlite_of(s);
	sqlite3_stmt *st;
	int err = sqlite_bind(q, ST_PLACE_DEVICES, &st, "s", id);

	if (err == 0)
		err = sqlite_step(q, st);
	if (err <= 0)
		return err;
	err = sqlite3_column_int(st, 0);
	sqlite3_reset(st);
	return err;
}

int sqlite_place_remove(struct store *s, const char *id)
{
	return one_row(sqlite_run(sqlite_of(s), ST_PLACE_REMOVE, "s", id));
}

int sqlite_places(struct store *s, store_place_fn each, void *arg)
{
	struct sqlite_store *q = sqlite_of(s);
	sqlite3_stmt *st;
	int err = sqlite_bind(q, ST_PLACES, &st, ""), more;

	if (err < 0)
		return err;
	while ((more = sqlite_step(q, st)) > 0) {
		const struct store_place p = { .id = sqlite_text(st, 0),
					       .parent = (const char *)sqlite3_column_text(st, 1),
					       .kind = sqlite_text(st, 2),
					       .name = sqlite_text(st, 3),
					       .policy = sqlite_text(st, 4) };

		err = each(arg, &p);
		if (err < 0) {
			sqlite3_reset(st);
			return err;
		}
	}
	return more;
}
