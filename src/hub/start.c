#include "hub/start.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/ct.h"
#include "base/err.h"
#include "base/text.h"
#include "base/usec.h"
#include "hub/identity/files.h"
#include "hub/realtime/broker.h"
#include "hub/realtime/budget.h"
#include "hub/realtime/registry.h"
#include "hub/store/sqlite.h"

int64_t hub_now_ms(void)
{
	return (int64_t)(usec_realtime() / USEC_PER_MSEC);
}

void hub_make_link(const struct hub *h, char url[512], uint8_t hash[32])
{
	char code[HUBKEY_TEXT_CAP];

	secret_make(rng_system(), code, hash);
	snprintf(url, 512, "%s/sign-in#code=%s", h->url, code);
	ct_wipe(code, sizeof(code));
}

int start_turn_secret(struct hub *h, char why[256])
{
	const char *path = h->config->turn_secret_file;
	char text[2 * sizeof(h->turn_secret)];
	int n = path ? file_read(path, text, sizeof(text) - 1, why) : 0;
	size_t len;

	if (!path)
		return 0;
	if (n == -ENOENT)
		snprintf(why, 256, "%.180s, named by --turn-secret-file, is not there", path);
	if (n < 0)
		return n;
	text[n] = 0;
	len = strcspn(text, "\r\n");
	text[len] = 0;
	if (len == 0 || len >= sizeof(h->turn_secret)) {
		snprintf(why, 256, "the first line of %.150s is no secret of 1 to %zu bytes", path,
			 sizeof(h->turn_secret) - 1);
		n = FL_EMALFORMED;
	} else {
		text_copy(h->turn_secret, sizeof(h->turn_secret), text);
	}
	ct_wipe(text, sizeof(text));
	return n < 0 ? n : 0;
}

/* DATA/admin.token and its hash in the store, whichever of the two a crash left out. */
static int ensure_api_key(struct hub *h, struct store *s, const char *user, char why[256])
{
	char path[PATH_MAX], text[HUBKEY_TEXT_CAP + 2];
	struct store_user owner;
	uint8_t hash[32];
	int n, err;

	snprintf(path, sizeof(path), "%s/admin.token", h->config->data);
	n = file_read(path, text, sizeof(text) - 1, why);
	if (n == -ENOENT) {
		secret_make(rng_system(), text, hash);
		n = (int)strlen(text);
		err = file_write(path, span_of(text, (size_t)n), 0600, why);
		if (err < 0)
			return err;
	}
	if (n < 0)
		return n;
	while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == '\r' || text[n - 1] == ' '))
		n--;
	if (n < 32) {
		snprintf(why, 256, "%.180s is damaged; remove it to have a new API key made", path);
		return FL_EMALFORMED;
	}
	secret_hash(span_of(text, (size_t)n), hash);
	ct_wipe(text, sizeof(text));
	err = s->ops->key_user(s, hash, &owner);
	return err == -ENOENT ? s->ops->key_set(s, hash, user, "admin.token", hub_now_ms()) : err;
}

static int make_account(struct start *st, struct store *s, struct store_user *user)
{
	int err = s->ops->user_first(s, user);

	if (err != -ENOENT)
		return err;
	st->first = true;
	memset(user, 0, sizeof(*user));
	id_make(rng_system(), 9, user->id, sizeof(user->id));
	text_copy(user->name, sizeof(user->name), HUB_ADMIN);
	text_copy(user->display_name, sizeof(user->display_name), "Administrator");
	err = s->ops->user_add(s, user, hub_now_ms());
	return err < 0 ? err
		       : s->ops->audit_add(s, hub_now_ms(), "hub", "account-make", user->id, "{}");
}

int start_account(struct hub *h, struct start *st, struct store *s, char why[256])
{
	int64_t now = hub_now_ms();
	struct store_user user;
	uint8_t hash[32];
	int err = s->ops->begin(s);

	why[0] = 0;
	if (err == 0)
		err = make_account(st, s, &user);
	if (err == 0)
		err = ensure_api_key(h, s, user.id, why);
	if (err == 0 && (st->first || h->config->sign_in_link)) {
		hub_make_link(h, st->link, hash);
		err = s->ops->link_add(s, hash, user.id, now,
				       now + (int64_t)HUB_LINK_SECONDS * 1000);
	}
	if (err == 0)
		err = s->ops->commit(s);
	if (err == 0)
		return 0;
	if (!why[0])
		snprintf(why, 256, "the store in %s cannot be written: %s", h->config->data,
			 s->ops->error_text(s));
	s->ops->rollback(s);
	return err;
}

static int load_all(struct hub *h, struct store *s, char why[256])
{
	int err = places_create(&h->places);

	if (err == 0)
		err = places_load(h->places, s);
	if (err == 0)
		err = registry_create(h, &h->registry);
	if (err == 0)
		err = registry_load(h->registry, s);
	if (err == 0)
		err = budget_create(h, &h->budget);
	if (err == 0)
		err = broker_create(h, &h->broker);
	if (err == 0)
		err = broker_load(h->broker, s);
	if (err < 0)
		snprintf(why, 256, "the store in %s cannot be read: %s", h->config->data,
			 err == -ENOMEM ? "out of memory" : s->ops->error_text(s));
	return err;
}

int start_data(struct hub *h, struct start *st, char why[256])
{
	const char *data = h->config->data;
	struct store *writer = NULL, *reader = NULL;
	char path[PATH_MAX];
	int err = folder_prepare(data, why);

	if (err == 0) {
		st->lock = folder_lock(data, why);
		err = st->lock < 0 ? st->lock : 0;
	}
	snprintf(path, sizeof(path), "%s/hub.key", data);
	if (err == 0)
		err = hubkey_open(path, rng_system(), &h->key, why);
	snprintf(path, sizeof(path), "%s/hub.db", data);
	if (err == 0)
		err = sqlite_store_open(path, false, &writer, why);
	if (err == 0)
		err = load_all(h, writer, why);
	if (err == 0)
		err = start_account(h, st, writer, why);
	if (err == 0)
		err = sqlite_store_open(path, true, &reader, why);
	if (err < 0) {
		store_close(writer);
		return err;
	}
	err = store_queue_create(h->loop, writer, reader, &h->store);
	if (err == 0)
		err = password_pool_create(h->loop, &h->passwords);
	if (err < 0)
		snprintf(why, 256, "threads cannot be started: %s", err_text(err));
	return err;
}
