/*
 * What the hub remembers: people, keys, devices, sessions, the audit log. This is the interface
 * that every database behind it fills in; SQLite (sqlite.h) is one, and the tests in store_test.c
 * are written against this file only.
 *
 * A store belongs to one thread. All calls may wait for the disk, so the hub makes them from
 * workers (queue.h), never from its loop. Changes are made between begin() and commit(); what
 * commit() said yes to survives kill -9 and a power cut.
 *
 * Results: 0 or a count; -ENOENT (no such row), -EEXIST, -EIO, -EBUSY, -ENOSPC, -ENOMEM,
 * FL_EMALFORMED (the database is damaged); error_text() has the sentence. Strings handed to an
 * each function are borrowed for that call. Times are milliseconds since 1970.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/util.h"

#define STORE_ID_CAP 28	    /* TEXT_B64_LEN(16) and a little more */
#define STORE_NAME_CAP 65   /* sign-in name */
#define STORE_TITLE_CAP 129 /* what people see */
#define STORE_SECRET_CAP 129
#define STORE_HASH_LEN 32

struct store;

struct store_user {
	char id[STORE_ID_CAP];
	char name[STORE_NAME_CAP];
	char display_name[STORE_TITLE_CAP];
	char password[STORE_SECRET_CAP]; /* encoded Argon2id hash; "" when none is set */
};

struct store_token {
	char id[STORE_ID_CAP];
	int64_t uses; /* left */
	int64_t expires;
	char place[STORE_ID_CAP]; /* where its devices begin; "": the hub */
};

#define STORE_ROOT "hub" /* the place that is always there */

struct store_place {
	const char *id;
	const char *parent; /* NULL: the root */
	const char *kind, *name;
	const char *policy; /* JSON object, checked by the hub before it came here */
};

struct store_device {
	const char *id;
	uint8_t key[32];    /* Ed25519 public key */
	const char *name;   /* as the client reported it */
	const char *client; /* version of the client */
	const char *status; /* JSON object, checked by the hub before it came here */
	const char *token;  /* enrolment token it came in with, or "" */
	const char *place;  /* NULL: the root */
	int64_t enrolled, last_seen;
};

struct store_session {
	const char *id, *device, *user;
	const char *device_name, *user_name; /* only read: as they are now */
	const char *modules;		     /* JSON array */
	int64_t started, ended;		     /* ended 0: running */
	const char *end_reason;		     /* NULL while running */
	const char *route;     /* JSON, the console's word before the device's, or NULL */
	const char *routes[2]; /* the console's, the device's; JSON or NULL */
	const char *verdict;   /* JSON or NULL */
};

/* Why a session travelled as it did: the whole as JSON, and the words that are counted. */
struct store_verdict {
	const char *json, *method, *cause, *side;
};

/* So many sessions of one place had this verdict; json is the newest one's. */
struct store_route_count {
	const char *place, *name;
	struct store_verdict verdict;
	int64_t sessions;
};

struct store_audit {
	int64_t id, at;
	const char *actor, *action, *target;
	const char *detail; /* JSON object */
	uint8_t hash[STORE_HASH_LEN];
};

/* Negative ends the walk and becomes its result. */
typedef int (*store_device_fn)(void *arg, const struct store_device *d);
typedef int (*store_place_fn)(void *arg, const struct store_place *p);
typedef int (*store_session_fn)(void *arg, const struct store_session *s);
typedef int (*store_route_fn)(void *arg, const struct store_route_count *c);
typedef int (*store_audit_fn)(void *arg, const struct store_audit *a);

struct store_ops {
	void (*close)(struct store *s);
	const char *(*error_text)(const struct store *s); /* of the last failed call */

	int (*begin)(struct store *s);
	int (*commit)(struct store *s);
	void (*rollback)(struct store *s);
	/* One level inside a transaction: what came after mark() is undone by unmark(true). */
	int (*mark)(struct store *s);
	int (*unmark)(struct store *s, bool undo);

	int (*meta_get)(struct store *s, const char *key, char *dst, size_t cap);
	int (*meta_set)(struct store *s, const char *key, const char *value);

	int (*user_add)(struct store *s, const struct store_user *u, int64_t now);
	int (*user_by_name)(struct store *s, const char *name, struct store_user *out);
	int (*user_by_id)(struct store *s, const char *id, struct store_user *out);
	int (*user_first)(struct store *s, struct store_user *out); /* the oldest account */
	int (*user_password)(struct store *s, const char *id, const char *encoded, int64_t now);

	/* Console sign-ins, by the SHA-256 of the cookie. */
	int (*cookie_add)(struct store *s, const uint8_t hash[32], const char *user, int64_t now,
			  int64_t expires);
	int (*cookie_user)(struct store *s, const uint8_t hash[32], int64_t now,
			   struct store_user *out);
	int (*cookie_remove)(struct store *s, const uint8_t hash[32]);
	/* All of a user's but one; keep may be NULL. */
	int (*cookie_remove_others)(struct store *s, const char *user, const uint8_t *keep);

	/* One-time links, by the SHA-256 of the code. use: -ENOENT unknown, -EALREADY spent,
	 * -ETIME expired. */
	int (*link_add)(struct store *s, const uint8_t hash[32], const char *user, int64_t now,
			int64_t expires);
	int (*link_use)(struct store *s, const uint8_t hash[32], int64_t now,
			struct store_user *out);

	/* Keys for programs, by their SHA-256. An existing key of that name is replaced. */
	int (*key_set)(struct store *s, const uint8_t hash[32], const char *user, const char *name,
		       int64_t now);
	int (*key_user)(struct store *s, const uint8_t hash[32], struct store_user *out);

	/* Enrolment tokens. use: one less; -EALREADY when none is left, -ETIME expired. */
	int (*token_add)(struct store *s, const struct store_token *t, const char *user,
			 int64_t now);
	int (*token_get)(struct store *s, const char *id, struct store_token *out);
	int (*token_use)(struct store *s, const char *id, int64_t now);

	int (*device_add)(struct store *s, const struct store_device *d);
	/* The id of the device with this key that came in with this token. */
	int (*device_by_key)(struct store *s, const uint8_t key[32], const char *token,
			     char id[STORE_ID_CAP]);
	/* not key, token, place */
	int (*device_update)(struct store *s, const struct store_device *d);
	int (*device_place)(struct store *s, const char *id, const char *place);
	int (*device_seen)(struct store *s, const char *id, int64_t at);
	int (*device_forget)(struct store *s, const char *id, int64_t now);
	int (*devices)(struct store *s, store_device_fn each, void *arg);

	/* The tree of places. A name is unique under its parent: -EEXIST. */
	int (*place_add)(struct store *s, const struct store_place *p);
	int (*place_update)(struct store *s, const struct store_place *p); /* not kind */
	/* What is in it moves to another place: devices, tokens, places. */
	int (*place_empty)(struct store *s, const char *id, const char *to);
	int (*place_devices)(struct store *s, const char *id); /* how many are directly in it */
	int (*place_remove)(struct store *s, const char *id);  /* an empty one */
	/* Every place after its parent. */
	int (*places)(struct store *s, store_place_fn each, void *arg);

	int (*session_add)(struct store *s, const struct store_session *row);
	int (*session_route)(struct store *s, const char *id, bool from_device, const char *route);
	int (*session_verdict)(struct store *s, const char *id, const struct store_verdict *v);
	int (*session_end)(struct store *s, const char *id, const char *reason, int64_t now);
	/* Newest first; device NULL for all. */
	int (*sessions)(struct store *s, const char *device, int limit, store_session_fn each,
			void *arg);
	int (*sessions_running)(struct store *s, store_session_fn each, void *arg);
	int (*session)(struct store *s, const char *id, store_session_fn each, void *arg);
	/* Of sessions that began at since or later, by place and verdict; a place's together, its
	 * most frequent first. */
	int (*routes)(struct store *s, int64_t since, store_route_fn each, void *arg);

	/*
	 * Appends. Each row's hash is SHA-256 over the hash before it and its own fields
	 * (store_audit_hash()), so a row that is changed or taken out later shows.
	 */
	int (*audit_add)(struct store *s, int64_t now, const char *actor, const char *action,
			 const char *target, const char *detail);
	int (*audit)(struct store *s, int64_t before, int limit, store_audit_fn each, void *arg);
	/* 0, or FL_EMALFORMED and *bad_id the first row that does not fit the one before. */
	int (*audit_verify)(struct store *s, int64_t *bad_id);
};

struct store {
	const struct store_ops *ops;
};

/* The chain: SHA-256(before | id | at | each text with its length), numbers as 8 bytes big-endian.
 */
void store_audit_hash(const uint8_t before[STORE_HASH_LEN], const struct store_audit *row,
		      uint8_t out[STORE_HASH_LEN]);

static inline void store_close(struct store *s)
{
	if (s)
		s->ops->close(s);
}
