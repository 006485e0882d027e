/* Sign-in, links, passwords, sign-out. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/ct.h"
#include "base/text.h"
#include "hub/api/api.h"
#include "hub/json/messages.h"
#include "hub/realtime/console.h"

#define COOKIE_S ((int64_t)HUB_COOKIE_DAYS * 24 * 3600)

static json_t *user_json(const struct store_user *u)
{
	return json_pack("{s:{s:s, s:s, s:s, s:b}}", "user", "id", u->id, "name", u->name,
			 "displayName", u->display_name, "hasPassword", u->password[0] != 0);
}

static int audit_sign_in(struct exchange *x, struct store *s, const char *actor, const char *how,
			 bool ok)
{
	json_t *detail = json_pack("{s:s, s:s}", "how", how, "address", x->from_text);
	FL_AUTOFREE char *text = detail ? json_dumps(detail, JSON_COMPACT) : NULL;

	json_decref(detail);
	return text ? s->ops->audit_add(s, x->now, actor, ok ? "sign-in" : "sign-in-failed",
					ok ? x->user.id : "", text)
		    : -ENOMEM;
}

/* A new cookie for x->user, in the worker. */
static int give_cookie(struct exchange *x, struct store *s)
{
	char cookie[HUBKEY_TEXT_CAP];
	uint8_t hash[32];
	int err;

	secret_make(rng_system(), cookie, hash);
	err = s->ops->cookie_add(s, hash, x->user.id, x->now, x->now + COOKIE_S * 1000);
	if (err == 0)
		snprintf(x->cookie, sizeof(x->cookie),
			 "fairlead=%s; Secure; HttpOnly; SameSite=Strict; Path=/; Max-Age=%lld",
			 cookie, (long long)COOKIE_S);
	ct_wipe(cookie, sizeof(cookie));
	x->status = 200;
	x->result = user_json(&x->user);
	return err < 0 ? err : x->result ? 0 : -ENOMEM;
}

/* ---- limits ---- */

static struct span account_key(const struct exchange *x, uint8_t room[64])
{
	const char *name = schema_string(x->body, "name");
	size_t n = name ? FL_MIN(strlen(name), (size_t)64) : 0;

	for (size_t i = 0; i < n; i++)
		room[i] = (uint8_t)(name[i] >= 'A' && name[i] <= 'Z' ? name[i] + 32 : name[i]);
	return span_of(room, n);
}

/* False when it has been refused. */
static bool may_try(struct exchange *x, bool account)
{
	usec_t now = loop_now(x->hub->loop), wait;
	uint8_t room[64], ip[16];

	wait = limit_take(&x->hub->by_address, now, limit_addr_key(&x->from, ip));
	if (wait == 0 && account)
		wait = limit_take(&x->hub->by_account, now, account_key(x, room));
	if (wait == 0)
		return true;
	exchange_refuse(x, 429, "too-many-attempts",
			"Too many attempts; wait %llu seconds. A one-time link works at once.",
			(unsigned long long)wait / USEC_PER_SEC + 1);
	exchange_answer(x);
	return false;
}

static void went_well(struct exchange *x, bool account)
{
	usec_t now = loop_now(x->hub->loop);
	uint8_t room[64], ip[16];

	limit_give_back(&x->hub->by_address, now, limit_addr_key(&x->from, ip));
	if (account)
		limit_give_back(&x->hub->by_account, now, account_key(x, room));
}

/* ---- sign-in by password: look up, hash, then write ---- */

static int lookup_run(struct store_job *job, struct store *s)
{
	struct exchange *x = CONTAINER_OF(job, struct exchange, job);
	int err = s->ops->user_by_name(s, schema_string(x->body, "name"), &x->user);

	if (err == -ENOENT)
		memset(&x->user, 0, sizeof(x->user));
	return err == -ENOENT ? 0 : err;
}

static void password_checked(struct password_job *job, int result)
{
	struct exchange *x = CONTAINER_OF(job, struct exchange, password);

	x->number = result;
	if (result < 0) {
		exchange_refuse(x, 503, "busy", "The hub is short of memory; try again.");
		exchange_answer(x);
		return;
	}
	exchange_work(x);
}

static void submit_password(struct exchange *x)
{
	text_copy(x->password.password, sizeof(x->password.password),
		  schema_string(x->body, "password"));
	if (password_submit(x->hub->passwords, &x->password) == 0)
		return;
	exchange_refuse(x, 503, "busy", "Many people sign in just now; try again in a moment.");
	exchange_answer(x);
}

static void lookup_done(struct store_job *job, int err)
{
	struct exchange *x = CONTAINER_OF(job, struct exchange, job);

	if (err < 0) {
		exchange_refuse(x, 500, "internal", "The hub could not read its store.");
		exchange_answer(x);
		return;
	}
	x->password = (struct password_job){ .verify = true, .done = password_checked };
	text_copy(x->password.encoded, sizeof(x->password.encoded), x->user.password);
	submit_password(x);
}

static void begin_sign_in(struct exchange *x)
{
	if (!may_try(x, true))
		return;
	x->job = (struct store_job){ .run = lookup_run, .done = lookup_done };
	if (store_queue_submit(x->hub->store, &x->job) == 0)
		return;
	exchange_refuse(x, 503, "busy", "The hub has too much to do; try again in a moment.");
	exchange_answer(x);
}

static int work_sign_in(struct exchange *x, struct store *s)
{
	char shown[STORE_TITLE_CAP];

	if (x->number == 1) {
		int err = give_cookie(x, s);

		return err < 0 ? err : audit_sign_in(x, s, x->user.name, "password", true);
	}
	text_printable(shown, sizeof(shown), span_str(schema_string(x->body, "name")));
	exchange_refuse(x, 401, "wrong-password",
			"Name or password is wrong. \"fairlead up\" prints a one-time link on the "
			"hub's machine.");
	return audit_sign_in(x, s, shown, "password", false);
}

static void finish_sign_in(struct exchange *x)
{
	went_well(x, true);
	exchange_answer(x);
}

/* ---- one-time link ---- */

static void begin_link(struct exchange *x)
{
	if (may_try(x, false))
		exchange_work(x);
}

static int work_link(struct exchange *x, struct store *s)
{
	uint8_t hash[32];
	int err;

	secret_hash(span_str(schema_string(x->body, "code")), hash);
	err = s->ops->link_use(s, hash, x->now, &x->user);
	if (err == 0) {
		err = give_cookie(x, s);
		return err < 0 ? err : audit_sign_in(x, s, x->user.name, "link", true);
	}
	if (err == -EALREADY)
		exchange_refuse(x, 401, "spent-link",
				"This link was used before. Make a new one: \"fairlead up\" and "
				"\"fairlead-hub "
				"--sign-in-link\" print it on the hub's machine.");
	else if (err == -ETIME)
		exchange_refuse(
			x, 401, "expired-link",
			"This link is too old. Make a new one: \"fairlead up\" and \"fairlead-hub "
			"--sign-in-link\" print it on the hub's machine.");
	else if (err == -ENOENT)
		exchange_refuse(x, 401, "unknown-link",
				"This is no link of this hub. Copy it again, whole.");
	else
		return err;
	return audit_sign_in(x, s, "", "link", false);
}

static void finish_link(struct exchange *x)
{
	went_well(x, false);
	exchange_answer(x);
}

/* ---- signed in ---- */

static int work_me(struct exchange *x, struct store *s)
{
	x->result = user_json(&x->user);
	return x->result ? 0 : -ENOMEM;
}

static void password_made(struct password_job *job, int result)
{
	struct exchange *x = CONTAINER_OF(job, struct exchange, password);

	if (result == 0) {
		exchange_work(x);
		return;
	}
	exchange_refuse(x, 503, "busy", "The hub is short of memory; try again.");
	exchange_answer(x);
}

/* Only who is signed in may make the hub compute a hash. */
static int check_run(struct store_job *job, struct store *s)
{
	struct exchange *x = CONTAINER_OF(job, struct exchange, job);

	if (x->credential == CREDENTIAL_COOKIE)
		return s->ops->cookie_user(s, x->credential_hash, x->now, &x->user);
	if (x->credential == CREDENTIAL_KEY)
		return s->ops->key_user(s, x->credential_hash, &x->user);
	return -ENOENT;
}

static void check_done(struct store_job *job, int err)
{
	struct exchange *x = CONTAINER_OF(job, struct exchange, job);

	if (err < 0) {
		if (err == -ENOENT)
			exchange_refuse(x, 401, "signed-out", "Sign in first.");
		else
			exchange_refuse(x, 500, "internal", "The hub could not read its store.");
		exchange_answer(x);
		return;
	}
	x->password = (struct password_job){ .done = password_made };
	rng_bytes(rng_system(), x->password.salt, sizeof(x->password.salt));
	submit_password(x);
}

static void begin_password(struct exchange *x)
{
	x->job = (struct store_job){ .run = check_run, .done = check_done };
	if (store_queue_submit(x->hub->store, &x->job) == 0)
		return;
	exchange_refuse(x, 503, "busy", "The hub has too much to do; try again in a moment.");
	exchange_answer(x);
}

static int work_password(struct exchange *x, struct store *s)
{
	const uint8_t *keep = x->credential == CREDENTIAL_COOKIE ? x->credential_hash : NULL;
	int err = s->ops->user_password(s, x->user.id, x->password.encoded, x->now);

	if (err == 0)
		err = s->ops->cookie_remove_others(s, x->user.id, keep);
	if (err == 0)
		err = s->ops->audit_add(s, x->now, x->user.name, "password-change", x->user.id,
					"{}");
	return err;
}

static void finish_password(struct exchange *x)
{
	/* whoever knew the old one is out */
	console_signed_out(x->hub, NULL, x->user.id,
			   x->credential == CREDENTIAL_COOKIE ? x->credential_hash : NULL);
	exchange_answer(x);
}

static int work_sign_out(struct exchange *x, struct store *s)
{
	int err = x->credential == CREDENTIAL_COOKIE ? s->ops->cookie_remove(s, x->credential_hash)
						     : 0;

	text_copy(x->cookie, sizeof(x->cookie),
		  "fairlead=; Secure; HttpOnly; SameSite=Strict; Path=/; Max-Age=0");
	return err;
}

static void finish_sign_out(struct exchange *x)
{
	if (x->credential == CREDENTIAL_COOKIE)
		console_signed_out(x->hub, x->credential_hash, NULL, NULL);
	exchange_answer(x);
}

const struct route api_identity_routes[] = {
	{ HTTP_METHOD_POST, "/id/sign-in", .body = message_sign_in, .write = true,
	  .begin = begin_sign_in, .work = work_sign_in, .finish = finish_sign_in },
	{ HTTP_METHOD_POST, "/id/link", .body = message_link, .write = true, .begin = begin_link,
	  .work = work_link, .finish = finish_link },
	{ HTTP_METHOD_POST, "/id/password", .access = ROUTE_SIGNED_IN, .body = message_password,
	  .write = true, .begin = begin_password, .work = work_password,
	  .finish = finish_password },
	{ HTTP_METHOD_POST, "/id/sign-out", .access = ROUTE_SIGNED_IN, .write = true,
	  .work = work_sign_out, .finish = finish_sign_out },
	{ HTTP_METHOD_GET, "/id/me", .access = ROUTE_SIGNED_IN, .work = work_me },
	{ 0 },
};
